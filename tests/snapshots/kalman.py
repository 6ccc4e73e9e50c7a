"""Made by jitgrad from kalman (corpus.py:kalman): 129 instructions in 20 statements."""

import numpy as np


def add_up(total, term):
    return total + term


def kalman_gradient(log_params, y, grad_log_params):
    """Return the value; write grad_log_params."""
    t4 = np.empty(9)
    gain = np.empty(9)
    mean = np.empty(10)
    p = np.empty(10)
    # corpus.py:kalman+1
    t1 = np.exp(log_params[0])
    t2 = np.exp(log_params[1])
    t3 = np.exp(log_params[2])
    p[0] = t3
    mean[0] = 0.0
    # corpus.py:kalman+7
    loss = 0.0
    p_before = t3
    mean_before = 0.0
    # corpus.py:kalman+4
    for i in range(9):
        p2 = p_before + t1
        # corpus.py:kalman+5
        s = p2 + t2
        # corpus.py:kalman+6
        innovation = y[i] - mean_before
        # corpus.py:kalman+7
        t4[i] = innovation * innovation / s
        loss = add_up(loss, 0.5 * (np.log(s) + t4[i]))
        # corpus.py:kalman+8
        gain[i] = p2 / s
        # corpus.py:kalman+9
        gain_i = gain[i]
        mean2 = mean_before + gain_i * innovation
        mean[i + 1] = mean2
        # corpus.py:kalman+10
        p3 = (1.0 - gain_i) * p2
        p[i + 1] = p3
        p_before = p3
        mean_before = mean2
    total = 0.0
    total2 = 0.0
    p_bar = 0.0
    mean_bar = 0.0
    # corpus.py:kalman+4
    for i in range(8, -1, -1):
        p4 = p[i] + t1
        # corpus.py:kalman+10
        gain_i2 = gain[i]
        # corpus.py:kalman+6
        innovation2 = y[i] - mean[i]
        # corpus.py:kalman+5
        s2 = p4 + t2
        # corpus.py:kalman+8
        t5 = (mean_bar * innovation2 - p_bar * p4) / s2
        # corpus.py:kalman+7
        t6 = 0.5 / s2
        s_bar = t6 - t6 * t4[i] - t5 * gain_i2
        # corpus.py:kalman+5
        p_bar2 = p_bar * (1.0 - gain_i2) + t5 + s_bar
        total2 = add_up(total2, s_bar)
        # corpus.py:kalman+4
        total = add_up(total, p_bar2)
        p_bar = p_bar2
        mean_bar = mean_bar - (mean_bar * gain_i2 + t6 * (2.0 * innovation2))
    # corpus.py:kalman+1
    grad_log_params[0] = total * t1
    grad_log_params[1] = total2 * t2
    grad_log_params[2] = p_bar * t3
    return loss

"""Made by jitgrad from garch (corpus.py:garch): 130 instructions in 24 statements."""

import numpy as np


def add_up(total, term):
    return total + term


def garch_gradient(params, r, grad_params):
    """Return the value; write grad_params."""
    h2 = np.empty(12)
    e2 = np.empty(12)
    t3 = np.empty(11)
    params_2 = params[2]
    params_3 = params[3]
    # corpus.py:garch+2
    t1 = 1.0 - params_2 - params_3
    params_1 = params[1]
    h = params_1 / t1
    params_0 = params[0]
    # corpus.py:garch+3
    e = r[0] - params_0
    # corpus.py:garch+4
    t2 = e * e / h
    total = np.log(h) + t2
    e2[0] = e
    h2[0] = h
    # corpus.py:garch+8
    total2 = total
    e_before = e
    h_before = h
    # corpus.py:garch+6
    for i in range(11):
        h3 = params_1 + params_2 * (e_before * e_before) + params_3 * h_before
        h2[i + 1] = h3
        # corpus.py:garch+7
        e3 = r[i + 1] - params_0
        e2[i + 1] = e3
        # corpus.py:garch+8
        t3[i] = e3 * e3 / h3
        total2 = add_up(total2, np.log(h3) + t3[i])
        e_before = e3
        h_before = h3
    for i in range(4):
        grad_params[i] = 0.0
    e_bar = 0.0
    h_bar = 0.0
    grad_params_0 = grad_params[0]
    grad_params_3 = grad_params[3]
    grad_params_1 = grad_params[1]
    grad_params_2 = grad_params[2]
    for i in range(10, -1, -1):
        t4 = 0.5 / h2[i + 1]
        e_bar += t4 * (2.0 * e2[i + 1])
        h_bar += t4 - t4 * t3[i]
        # corpus.py:garch+7
        grad_params_0 = add_up(grad_params_0, -e_bar)
        # corpus.py:garch+6
        grad_params_3 = add_up(grad_params_3, h_bar * h2[i])
        grad_params_1 = add_up(grad_params_1, h_bar)
        e2_i = e2[i]
        grad_params_2 = add_up(grad_params_2, h_bar * (e2_i * e2_i))
        e_bar = h_bar * params_2 * (2.0 * e2_i)
        h_bar = h_bar * params_3
    # corpus.py:garch+4
    t5 = 0.5 / h
    # corpus.py:garch+3
    grad_params[0] = grad_params_0 - (e_bar + t5 * (2.0 * e))
    # corpus.py:garch+2
    t6 = (h_bar + t5 - t5 * t2) / t1
    grad_params[1] = grad_params_1 + t6
    t7 = -(-t6 * h)
    grad_params[3] = grad_params_3 + t7
    grad_params[2] = grad_params_2 + t7
    return 0.5 * total2

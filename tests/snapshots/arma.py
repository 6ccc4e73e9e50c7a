"""Made by jitgrad from arma (corpus.py:arma): 56 instructions in 13 statements."""

import numpy as np


def add_up(total, term):
    return total + term


def arma_gradient(phi, theta, x, grad_phi, grad_theta):
    """Return the value; write grad_phi, grad_theta."""
    t1 = np.empty(10)
    x_0 = x[0]
    t1[0] = x_0
    t2 = x_0 * x_0
    # corpus.py:arma+4
    total = 0.0
    t3 = t1[0]
    # corpus.py:arma+3
    for i in range(9):
        t4 = x[i + 1] - phi * x[i] - theta * t3
        t1[i + 1] = t4
        # corpus.py:arma+4
        total = add_up(total, t2)
        t2 = t4 * t4
        t3 = t4
    total2 = 0.0
    t5 = 1.0
    grad_theta2 = 0.0
    grad_phi2 = 0.0
    for i in range(8, -1, -1):
        total2 += t5 * (2.0 * t1[i + 1])
        # corpus.py:arma+3
        t6 = -total2
        grad_theta2 = add_up(grad_theta2, t6 * t1[i])
        grad_phi2 = add_up(grad_phi2, t6 * x[i])
        total2 = t6 * theta
        t5 = 1.0
    grad_theta[()] = grad_theta2
    grad_phi[()] = grad_phi2
    return total + t2

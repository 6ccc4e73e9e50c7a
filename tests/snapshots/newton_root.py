"""Made by jitgrad from newton_root (corpus.py:newton_root): 21 instructions in 5 statements."""

import numpy as np


def add_up(total, term):
    return total + term


def newton_root_gradient(a, grad_a):
    """Return the value; write grad_a."""
    t1 = np.empty(7)
    x = np.empty(8)
    x[0] = a
    x_before = a
    # corpus.py:newton_root+3
    for i in range(7):
        t1[i] = a / x_before
        x2 = 0.5 * (x_before + t1[i])
        x[i + 1] = x2
        x_before = x2
    x_bar = 1.0
    grad_a2 = 0.0
    for i in range(6, -1, -1):
        t2 = 0.5 * x_bar
        t3 = t2 / x[i]
        grad_a2 = add_up(grad_a2, t3)
        x_bar = t2 - t3 * t1[i]
    grad_a[()] = grad_a2 + x_bar
    return x[7]

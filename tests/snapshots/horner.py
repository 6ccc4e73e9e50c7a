"""Made by jitgrad from horner (corpus.py:horner): 12 instructions in 4 statements."""

import numpy as np


def add_up(total, term):
    return total + term


def horner_gradient(c, x, grad_c, grad_x):
    """Return the value; write grad_c, grad_x."""
    total = np.empty(7)
    total[0] = 0.0
    total_before = 0.0
    # corpus.py:horner+3
    for i in range(6):
        total2 = total_before * x + c[i]
        total[i + 1] = total2
        total_before = total2
    total_bar = 1.0
    grad_x2 = 0.0
    for i in range(5, -1, -1):
        grad_c[i] = total_bar
        grad_x2 = add_up(grad_x2, total_bar * total[i])
        total_bar = total_bar * x
    grad_x[()] = grad_x2
    return total[6]

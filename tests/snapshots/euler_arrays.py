"""Made by jitgrad from euler_arrays (corpus.py:euler_arrays): 27 instructions in 21 statements."""

import numpy as np


def add_up(total, term):
    return total + term


def euler_arrays_gradient(A, y, grad_A, grad_y):
    """Return the value; write grad_A, grad_y."""
    y_0 = np.empty(7)
    y_1 = np.empty(7)
    y_2 = np.empty(7)
    y_bar_0 = np.empty(7)
    y_bar_1 = np.empty(7)
    y_bar_2 = np.empty(7)
    y_0[0] = y[0]
    y_1[0] = y[1]
    y_2[0] = y[2]
    y_0_before = y_0[0]
    y_1_before = y_1[0]
    y_2_before = y_2[0]
    A_0_0 = A[0, 0]
    A_0_1 = A[0, 1]
    A_0_2 = A[0, 2]
    A_1_0 = A[1, 0]
    A_1_1 = A[1, 1]
    A_1_2 = A[1, 2]
    A_2_0 = A[2, 0]
    A_2_1 = A[2, 1]
    A_2_2 = A[2, 2]
    # corpus.py:euler_arrays+2
    for i in range(1, 7):
        t1 = 0.1 * (A_0_0 * y_0_before + A_0_1 * y_1_before + A_0_2 * y_2_before)
        y_0_2 = y_0_before + t1
        y_0[i] = y_0_2
        t2 = 0.1 * (A_1_0 * y_0_before + A_1_1 * y_1_before + A_1_2 * y_2_before)
        y_1_2 = y_1_before + t2
        y_1[i] = y_1_2
        t3 = 0.1 * (A_2_0 * y_0_before + A_2_1 * y_1_before + A_2_2 * y_2_before)
        y_2_2 = y_2_before + t3
        y_2[i] = y_2_2
        y_0_before = y_0_2
        y_1_before = y_1_2
        y_2_before = y_2_2
    # corpus.py:euler_arrays+3
    t4 = y_0[6] - 1.0
    t5 = y_1[6] - 1.0
    t6 = y_2[6] - 1.0
    for i in range(3):
        for j in range(3):
            grad_A[i, j] = 0.0
    for i in range(7):
        y_bar_0[i] = 0.0
        y_bar_1[i] = 0.0
        y_bar_2[i] = 0.0
    y_bar_0[6] += 2.0 * t4
    y_bar_1[6] += 2.0 * t5
    y_bar_2[6] += 2.0 * t6
    grad_A_2_0 = grad_A[2, 0]
    grad_A_2_1 = grad_A[2, 1]
    grad_A_2_2 = grad_A[2, 2]
    grad_A_1_0 = grad_A[1, 0]
    grad_A_1_1 = grad_A[1, 1]
    grad_A_1_2 = grad_A[1, 2]
    grad_A_0_0 = grad_A[0, 0]
    grad_A_0_1 = grad_A[0, 1]
    grad_A_0_2 = grad_A[0, 2]
    # corpus.py:euler_arrays+2
    for i in range(5, -1, -1):
        y_bar_0_next = y_bar_0[i + 1]
        t7 = 0.1 * y_bar_0_next
        y_bar_1_next = y_bar_1[i + 1]
        t8 = 0.1 * y_bar_1_next
        y_bar_2_next = y_bar_2[i + 1]
        t9 = 0.1 * y_bar_2_next
        y_0_i = y_0[i]
        grad_A_2_0 = add_up(grad_A_2_0, t9 * y_0_i)
        y_1_i = y_1[i]
        grad_A_2_1 = add_up(grad_A_2_1, t9 * y_1_i)
        y_2_i = y_2[i]
        grad_A_2_2 = add_up(grad_A_2_2, t9 * y_2_i)
        grad_A_1_0 = add_up(grad_A_1_0, t8 * y_0_i)
        grad_A_1_1 = add_up(grad_A_1_1, t8 * y_1_i)
        grad_A_1_2 = add_up(grad_A_1_2, t8 * y_2_i)
        grad_A_0_0 = add_up(grad_A_0_0, t7 * y_0_i)
        y_bar_0[i] += t9 * A_2_0 + t8 * A_1_0 + t7 * A_0_0 + y_bar_0_next
        grad_A_0_1 = add_up(grad_A_0_1, t7 * y_1_i)
        y_bar_1[i] += t9 * A_2_1 + t8 * A_1_1 + t7 * A_0_1 + y_bar_1_next
        grad_A_0_2 = add_up(grad_A_0_2, t7 * y_2_i)
        y_bar_2[i] += t9 * A_2_2 + t8 * A_1_2 + t7 * A_0_2 + y_bar_2_next
    grad_A[2, 0] = grad_A_2_0
    grad_A[2, 1] = grad_A_2_1
    grad_A[2, 2] = grad_A_2_2
    grad_A[1, 0] = grad_A_1_0
    grad_A[1, 1] = grad_A_1_1
    grad_A[1, 2] = grad_A_1_2
    grad_A[0, 0] = grad_A_0_0
    grad_A[0, 1] = grad_A_0_1
    grad_A[0, 2] = grad_A_0_2
    grad_y[0] = y_bar_0[0]
    grad_y[1] = y_bar_1[0]
    grad_y[2] = y_bar_2[0]
    return t4 * t4 + t5 * t5 + t6 * t6

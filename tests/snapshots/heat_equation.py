"""Made by jitgrad from heat_equation (corpus.py:heat_equation): 114 instructions in 45 statements."""

import numpy as np


def add_up(total, term):
    return total + term


def heat_equation_gradient(start, k, grad_start, grad_k):
    """Return the value; write grad_start, grad_k."""
    t1 = np.empty(5)
    t2 = np.empty(5)
    t3 = np.empty(5)
    t4 = np.empty(5)
    t5 = np.empty(5)
    t1[0] = start[1]
    t2[0] = start[2]
    t3[0] = start[3]
    t4[0] = start[4]
    t5[0] = start[5]
    t6 = t1[0]
    t7 = t2[0]
    t8 = t3[0]
    t9 = t4[0]
    t10 = t5[0]
    start_0 = start[0]
    start_6 = start[6]
    # corpus.py:heat_equation+4
    for i in range(1, 5):
        t11 = t6 + k * (start_0 - 2.0 * t6 + t7)
        t1[i] = t11
        t12 = t7 + k * (t6 - 2.0 * t7 + t8)
        t2[i] = t12
        t13 = t8 + k * (t7 - 2.0 * t8 + t9)
        t3[i] = t13
        t14 = t9 + k * (t8 - 2.0 * t9 + t10)
        t4[i] = t14
        t15 = t10 + k * (t9 - 2.0 * t10 + start_6)
        t5[i] = t15
        t6 = t11
        t7 = t12
        t8 = t13
        t9 = t14
        t10 = t15
    # corpus.py:heat_equation+6
    t1_4 = t1[4]
    t2_4 = t2[4]
    t3_4 = t3[4]
    t4_4 = t4[4]
    t16 = 0.0 + start_0 * start_0 + t1_4 * t1_4 + t2_4 * t2_4 + t3_4 * t3_4
    t5_4 = t5[4]
    for i in range(7):
        grad_start[i] = 0.0
    grad_start[6] += 2.0 * start_6
    t17 = 2.0 * t5_4
    t18 = 2.0 * t4_4
    t19 = 2.0 * t3_4
    t20 = 2.0 * t2_4
    t21 = 2.0 * t1_4
    grad_start[0] += 2.0 * start_0
    grad_k2 = 0.0
    grad_start_6 = grad_start[6]
    grad_start_0 = grad_start[0]
    # corpus.py:heat_equation+4
    for i in range(3, -1, -1):
        t5_i = t5[i]
        t4_i = t4[i]
        t22 = t17 * k
        grad_start_6 = add_up(grad_start_6, t22)
        t3_i = t3[i]
        t23 = t18 * k
        t2_i = t2[i]
        t24 = t19 * k
        t1_i = t1[i]
        t25 = t20 * k
        t26 = t21 * k
        t27 = t17 * (t4_i - 2.0 * t5_i + start_6) + t18 * (t3_i - 2.0 * t4_i + t5_i)
        t28 = t27 + t19 * (t2_i - 2.0 * t3_i + t4_i)
        t29 = t28 + t20 * (t1_i - 2.0 * t2_i + t3_i)
        grad_k2 = add_up(grad_k2, t29 + t21 * (start_0 - 2.0 * t1_i + t2_i))
        grad_start_0 = add_up(grad_start_0, t26)
        t21 = t25 - 2.0 * t26 + t21
        t20 = t24 + t26 - 2.0 * t25 + t20
        t19 = t23 + t25 - 2.0 * t24 + t19
        t18 = t22 + t24 - 2.0 * t23 + t18
        t17 = t23 - 2.0 * t22 + t17
    grad_k[()] = grad_k2
    grad_start[6] = grad_start_6
    grad_start[0] = grad_start_0
    grad_start[5] += t17
    grad_start[4] += t18
    grad_start[3] += t19
    grad_start[2] += t20
    grad_start[1] += t21
    return t16 + t4_4 * t4_4 + t5_4 * t5_4 + start_6 * start_6

"""Made by jitgrad from gravity (corpus.py:gravity): 90 instructions in 30 statements."""

import numpy as np
from numpy import sqrt

positions3 = np.array([3, 4, 5, 3, 4, 5, 6, 7, 8], dtype=np.int64).reshape(3, 3)
positions4 = np.array([6, 7, 8, 9, 10, 11, 9, 10, 11], dtype=np.int64).reshape(3, 3)
positions2 = np.array([1, 1, 2], dtype=np.int64)
positions = np.array([2, 3, 3], dtype=np.int64)


def add_up(total, term):
    return total + term


def gravity_gradient(x, m, grad_x, grad_m):
    """Return the value; write grad_x, grad_m."""
    x_flat = x.reshape(12)
    t7 = np.empty(3)
    t8 = np.empty(3)
    t11 = np.empty(3)
    t12 = np.empty(3)
    grad_x_flat = grad_x.reshape(12)
    t1 = np.empty(3)
    t2 = np.empty(3)
    t3 = np.empty(3)
    t4 = np.empty(3)
    t5 = np.empty(3)
    t6 = np.empty(3)
    # corpus.py:gravity+4
    x_0_0 = x[0, 0]
    t1[0] = x_0_0 - x[1, 0]
    x_0_1 = x[0, 1]
    t2[0] = x_0_1 - x[1, 1]
    x_0_2 = x[0, 2]
    t3[0] = x_0_2 - x[1, 2]
    m_0 = m[0]
    # corpus.py:gravity+5
    m_1 = m[1]
    t1_0 = t1[0]
    t2_0 = t2[0]
    t3_0 = t3[0]
    t7[0] = sqrt(t1_0 * t1_0 + t2_0 * t2_0 + t3_0 * t3_0 + 0.01)
    t8[0] = m_0 * m_1 / t7[0]
    # corpus.py:gravity+4
    t1[1] = x_0_0 - x[2, 0]
    t2[1] = x_0_1 - x[2, 1]
    t3[1] = x_0_2 - x[2, 2]
    # corpus.py:gravity+5
    m_2 = m[2]
    t1_1 = t1[1]
    t2_1 = t2[1]
    t3_1 = t3[1]
    t7[1] = sqrt(t1_1 * t1_1 + t2_1 * t2_1 + t3_1 * t3_1 + 0.01)
    t9 = -t8[0]
    t8[1] = m_0 * m_2 / t7[1]
    # corpus.py:gravity+4
    t1[2] = x_0_0 - x[3, 0]
    t2[2] = x_0_1 - x[3, 1]
    t3[2] = x_0_2 - x[3, 2]
    # corpus.py:gravity+5
    m_3 = m[3]
    t1_2 = t1[2]
    t2_2 = t2[2]
    t3_2 = t3[2]
    t7[2] = sqrt(t1_2 * t1_2 + t2_2 * t2_2 + t3_2 * t3_2 + 0.01)
    t10 = -t8[1]
    t8[2] = m_0 * m_3 / t7[2]
    energy = t9 + t10 - t8[2]
    # corpus.py:gravity+4
    x_flat_3 = x_flat[3]
    x_flat_6 = x_flat[6]
    t4[0] = x_flat_3 - x_flat_6
    x_flat_4 = x_flat[4]
    x_flat_7 = x_flat[7]
    t5[0] = x_flat_4 - x_flat_7
    x_flat_5 = x_flat[5]
    x_flat_8 = x_flat[8]
    t6[0] = x_flat_5 - x_flat_8
    # corpus.py:gravity+5
    t4_0 = t4[0]
    t5_0 = t5[0]
    t6_0 = t6[0]
    t11[0] = sqrt(t4_0 * t4_0 + t5_0 * t5_0 + t6_0 * t6_0 + 0.01)
    t12[0] = m_1 * m_2 / t11[0]
    # corpus.py:gravity+4
    x_flat_9 = x_flat[9]
    t4[1] = x_flat_3 - x_flat_9
    x_flat_10 = x_flat[10]
    t5[1] = x_flat_4 - x_flat_10
    x_flat_11 = x_flat[11]
    t6[1] = x_flat_5 - x_flat_11
    # corpus.py:gravity+5
    t4_1 = t4[1]
    t5_1 = t5[1]
    t6_1 = t6[1]
    t11[1] = sqrt(t4_1 * t4_1 + t5_1 * t5_1 + t6_1 * t6_1 + 0.01)
    t13 = -t12[0]
    t12[1] = m_1 * m_3 / t11[1]
    # corpus.py:gravity+4
    t4[2] = x_flat_6 - x_flat_9
    t5[2] = x_flat_7 - x_flat_10
    t6[2] = x_flat_8 - x_flat_11
    # corpus.py:gravity+5
    t4_2 = t4[2]
    t5_2 = t5[2]
    t6_2 = t6[2]
    t11[2] = sqrt(t4_2 * t4_2 + t5_2 * t5_2 + t6_2 * t6_2 + 0.01)
    t14 = -t12[1]
    t12[2] = m_2 * m_3 / t11[2]
    energy2 = t13 + t14 - t12[2] + energy
    for i in range(4):
        for j in range(3):
            grad_x[i, j] = 0.0
    for i in range(4):
        grad_m[i] = 0.0
    for i in range(3):
        t11_i = t11[i]
        t15 = -1.0 / t11_i
        t16 = -t15 * t12[i] / (2.0 * t11_i)
        t17 = t16 * (2.0 * t4[i])
        t18 = t16 * (2.0 * t5[i])
        t19 = t16 * (2.0 * t6[i])
        positions_i = positions[i]
        positions2_i = positions2[i]
        grad_m[positions2_i] += t15 * m[positions_i]
        grad_m[positions_i] += t15 * m[positions2_i]
        # corpus.py:gravity+4
        grad_x_flat[positions3[i, 2]] += t19
        grad_x_flat[positions4[i, 2]] -= t19
        grad_x_flat[positions3[i, 1]] += t18
        grad_x_flat[positions4[i, 1]] -= t18
        grad_x_flat[positions3[i, 0]] += t17
        grad_x_flat[positions4[i, 0]] -= t17
        # corpus.py:gravity+5
        t7_i = t7[i]
        t20 = -1.0 / t7_i
        t21 = -t20 * t8[i] / (2.0 * t7_i)
        t22 = t21 * (2.0 * t1[i])
        t23 = t21 * (2.0 * t2[i])
        t24 = t21 * (2.0 * t3[i])
        grad_m[0] = add_up(grad_m[0], t20 * m[i + 1])
        grad_m[i + 1] += t20 * m_0
        # corpus.py:gravity+4
        grad_x[0, 0] = add_up(grad_x[0, 0], t22)
        grad_x[i + 1, 0] -= t22
        grad_x[0, 1] = add_up(grad_x[0, 1], t23)
        grad_x[i + 1, 1] -= t23
        grad_x[0, 2] = add_up(grad_x[0, 2], t24)
        grad_x[i + 1, 2] -= t24
    return energy2

"""Made by jitgrad from lennard_jones (corpus.py:lennard_jones): 140 instructions in 45 statements."""

import numpy as np

positions = np.array([6, 7, 8, 6, 7, 8, 9, 10, 11], dtype=np.int64).reshape(3, 3)
positions2 = np.array([9, 10, 11, 12, 13, 14, 12, 13, 14], dtype=np.int64).reshape(3, 3)


def add_up(total, term):
    return total + term


def lennard_jones_gradient(x, grad_x):
    """Return the value; write grad_x."""
    x_flat = x.reshape(15)
    t1 = np.empty(4)
    s6 = np.empty(4)
    t3 = np.empty(3)
    s6_2 = np.empty(3)
    t6 = np.empty(3)
    s6_3 = np.empty(3)
    grad_x_flat = grad_x.reshape(15)
    dx_0 = np.empty(4)
    dx_1 = np.empty(4)
    dx_2 = np.empty(4)
    dx_0_2 = np.empty(3)
    dx_1_2 = np.empty(3)
    dx_2_2 = np.empty(3)
    dx_0_3 = np.empty(3)
    dx_1_3 = np.empty(3)
    dx_2_3 = np.empty(3)
    # corpus.py:lennard_jones+4
    x_0_0 = x[0, 0]
    x_1_0 = x[1, 0]
    dx_0[0] = x_0_0 - x_1_0
    x_0_1 = x[0, 1]
    x_1_1 = x[1, 1]
    dx_1[0] = x_0_1 - x_1_1
    x_0_2 = x[0, 2]
    x_1_2 = x[1, 2]
    dx_2[0] = x_0_2 - x_1_2
    # corpus.py:lennard_jones+7
    dx_0_0 = dx_0[0]
    dx_1_0 = dx_1[0]
    dx_2_0 = dx_2[0]
    t1[0] = dx_0_0 * dx_0_0 + dx_1_0 * dx_1_0 + dx_2_0 * dx_2_0
    s6[0] = 1.0 / t1[0] ** 3
    # corpus.py:lennard_jones+8
    s6_0 = s6[0]
    # corpus.py:lennard_jones+4
    x_2_0 = x[2, 0]
    dx_0[1] = x_0_0 - x_2_0
    x_2_1 = x[2, 1]
    dx_1[1] = x_0_1 - x_2_1
    x_2_2 = x[2, 2]
    dx_2[1] = x_0_2 - x_2_2
    # corpus.py:lennard_jones+7
    dx_0_1 = dx_0[1]
    dx_1_1 = dx_1[1]
    dx_2_1 = dx_2[1]
    t1[1] = dx_0_1 * dx_0_1 + dx_1_1 * dx_1_1 + dx_2_1 * dx_2_1
    s6[1] = 1.0 / t1[1] ** 3
    # corpus.py:lennard_jones+8
    s6_1 = s6[1]
    # corpus.py:lennard_jones+4
    x_3_0 = x[3, 0]
    dx_0[2] = x_0_0 - x_3_0
    x_3_1 = x[3, 1]
    dx_1[2] = x_0_1 - x_3_1
    x_3_2 = x[3, 2]
    dx_2[2] = x_0_2 - x_3_2
    # corpus.py:lennard_jones+7
    dx_0_2_2 = dx_0[2]
    dx_1_2_2 = dx_1[2]
    dx_2_2_2 = dx_2[2]
    t1[2] = dx_0_2_2 * dx_0_2_2 + dx_1_2_2 * dx_1_2_2 + dx_2_2_2 * dx_2_2_2
    s6[2] = 1.0 / t1[2] ** 3
    # corpus.py:lennard_jones+8
    s6_2_2 = s6[2]
    # corpus.py:lennard_jones+4
    x_4_0 = x[4, 0]
    dx_0[3] = x_0_0 - x_4_0
    x_4_1 = x[4, 1]
    dx_1[3] = x_0_1 - x_4_1
    x_4_2 = x[4, 2]
    dx_2[3] = x_0_2 - x_4_2
    # corpus.py:lennard_jones+7
    dx_0_3_2 = dx_0[3]
    dx_1_3_2 = dx_1[3]
    dx_2_3_2 = dx_2[3]
    t1[3] = dx_0_3_2 * dx_0_3_2 + dx_1_3_2 * dx_1_3_2 + dx_2_3_2 * dx_2_3_2
    s6[3] = 1.0 / t1[3] ** 3
    # corpus.py:lennard_jones+8
    s6_3_2 = s6[3]
    t2 = 4.0 * (s6_0 * s6_0 - s6_0) + 4.0 * (s6_1 * s6_1 - s6_1)
    energy = t2 + 4.0 * (s6_2_2 * s6_2_2 - s6_2_2) + 4.0 * (s6_3_2 * s6_3_2 - s6_3_2)
    # corpus.py:lennard_jones+4
    dx_0_2[0] = x_1_0 - x_2_0
    dx_1_2[0] = x_1_1 - x_2_1
    dx_2_2[0] = x_1_2 - x_2_2
    # corpus.py:lennard_jones+7
    dx_0_2_0 = dx_0_2[0]
    dx_1_2_0 = dx_1_2[0]
    dx_2_2_0 = dx_2_2[0]
    t3[0] = dx_0_2_0 * dx_0_2_0 + dx_1_2_0 * dx_1_2_0 + dx_2_2_0 * dx_2_2_0
    s6_2[0] = 1.0 / t3[0] ** 3
    # corpus.py:lennard_jones+8
    s6_2_0 = s6_2[0]
    # corpus.py:lennard_jones+4
    dx_0_2[1] = x_1_0 - x_3_0
    dx_1_2[1] = x_1_1 - x_3_1
    dx_2_2[1] = x_1_2 - x_3_2
    # corpus.py:lennard_jones+7
    dx_0_2_1 = dx_0_2[1]
    dx_1_2_1 = dx_1_2[1]
    dx_2_2_1 = dx_2_2[1]
    t3[1] = dx_0_2_1 * dx_0_2_1 + dx_1_2_1 * dx_1_2_1 + dx_2_2_1 * dx_2_2_1
    s6_2[1] = 1.0 / t3[1] ** 3
    # corpus.py:lennard_jones+8
    s6_2_1 = s6_2[1]
    # corpus.py:lennard_jones+4
    dx_0_2[2] = x_1_0 - x_4_0
    dx_1_2[2] = x_1_1 - x_4_1
    dx_2_2[2] = x_1_2 - x_4_2
    # corpus.py:lennard_jones+7
    dx_0_2_2_2 = dx_0_2[2]
    dx_1_2_2_2 = dx_1_2[2]
    dx_2_2_2_2 = dx_2_2[2]
    t4 = dx_0_2_2_2 * dx_0_2_2_2 + dx_1_2_2_2 * dx_1_2_2_2
    t3[2] = t4 + dx_2_2_2_2 * dx_2_2_2_2
    s6_2[2] = 1.0 / t3[2] ** 3
    # corpus.py:lennard_jones+8
    s6_2_2_2 = s6_2[2]
    t5 = 4.0 * (s6_2_0 * s6_2_0 - s6_2_0) + 4.0 * (s6_2_1 * s6_2_1 - s6_2_1)
    energy2 = t5 + 4.0 * (s6_2_2_2 * s6_2_2_2 - s6_2_2_2) + energy
    # corpus.py:lennard_jones+4
    x_flat_6 = x_flat[6]
    x_flat_9 = x_flat[9]
    dx_0_3[0] = x_flat_6 - x_flat_9
    x_flat_7 = x_flat[7]
    x_flat_10 = x_flat[10]
    dx_1_3[0] = x_flat_7 - x_flat_10
    x_flat_8 = x_flat[8]
    x_flat_11 = x_flat[11]
    dx_2_3[0] = x_flat_8 - x_flat_11
    # corpus.py:lennard_jones+7
    dx_0_3_0 = dx_0_3[0]
    dx_1_3_0 = dx_1_3[0]
    dx_2_3_0 = dx_2_3[0]
    t6[0] = dx_0_3_0 * dx_0_3_0 + dx_1_3_0 * dx_1_3_0 + dx_2_3_0 * dx_2_3_0
    s6_3[0] = 1.0 / t6[0] ** 3
    # corpus.py:lennard_jones+8
    s6_3_0 = s6_3[0]
    # corpus.py:lennard_jones+4
    x_flat_12 = x_flat[12]
    dx_0_3[1] = x_flat_6 - x_flat_12
    x_flat_13 = x_flat[13]
    dx_1_3[1] = x_flat_7 - x_flat_13
    x_flat_14 = x_flat[14]
    dx_2_3[1] = x_flat_8 - x_flat_14
    # corpus.py:lennard_jones+7
    dx_0_3_1 = dx_0_3[1]
    dx_1_3_1 = dx_1_3[1]
    dx_2_3_1 = dx_2_3[1]
    t6[1] = dx_0_3_1 * dx_0_3_1 + dx_1_3_1 * dx_1_3_1 + dx_2_3_1 * dx_2_3_1
    s6_3[1] = 1.0 / t6[1] ** 3
    # corpus.py:lennard_jones+8
    s6_3_1 = s6_3[1]
    # corpus.py:lennard_jones+4
    dx_0_3[2] = x_flat_9 - x_flat_12
    dx_1_3[2] = x_flat_10 - x_flat_13
    dx_2_3[2] = x_flat_11 - x_flat_14
    # corpus.py:lennard_jones+7
    dx_0_3_2_2 = dx_0_3[2]
    dx_1_3_2_2 = dx_1_3[2]
    dx_2_3_2_2 = dx_2_3[2]
    t7 = dx_0_3_2_2 * dx_0_3_2_2 + dx_1_3_2_2 * dx_1_3_2_2
    t6[2] = t7 + dx_2_3_2_2 * dx_2_3_2_2
    s6_3[2] = 1.0 / t6[2] ** 3
    # corpus.py:lennard_jones+8
    s6_3_2_2 = s6_3[2]
    t8 = 4.0 * (s6_3_0 * s6_3_0 - s6_3_0) + 4.0 * (s6_3_1 * s6_3_1 - s6_3_1)
    energy3 = t8 + 4.0 * (s6_3_2_2 * s6_3_2_2 - s6_3_2_2) + energy2
    for i in range(5):
        for j in range(3):
            grad_x[i, j] = 0.0
    for i in range(3):
        s6_3_i = s6_3[i]
        # corpus.py:lennard_jones+7
        t6_i = t6[i]
        t9 = (8.0 * s6_3_i - 4.0) * -(s6_3_i * s6_3_i) * (3.0 * (t6_i * t6_i))
        t10 = t9 * (2.0 * dx_2_3[i])
        t11 = t9 * (2.0 * dx_1_3[i])
        t12 = t9 * (2.0 * dx_0_3[i])
        # corpus.py:lennard_jones+4
        grad_x_flat[positions[i, 2]] += t10
        grad_x_flat[positions2[i, 2]] -= t10
        grad_x_flat[positions[i, 1]] += t11
        grad_x_flat[positions2[i, 1]] -= t11
        grad_x_flat[positions[i, 0]] += t12
        grad_x_flat[positions2[i, 0]] -= t12
        # corpus.py:lennard_jones+8
        s6_2_i = s6_2[i]
        # corpus.py:lennard_jones+7
        t3_i = t3[i]
        t13 = (8.0 * s6_2_i - 4.0) * -(s6_2_i * s6_2_i) * (3.0 * (t3_i * t3_i))
        t14 = t13 * (2.0 * dx_2_2[i])
        t15 = t13 * (2.0 * dx_1_2[i])
        t16 = t13 * (2.0 * dx_0_2[i])
        # corpus.py:lennard_jones+4
        grad_x[1, 0] = add_up(grad_x[1, 0], t16)
        grad_x[i + 2, 0] -= t16
        grad_x[1, 1] = add_up(grad_x[1, 1], t15)
        grad_x[i + 2, 1] -= t15
        grad_x[1, 2] = add_up(grad_x[1, 2], t14)
        grad_x[i + 2, 2] -= t14
    grad_x_0_0 = grad_x[0, 0]
    grad_x_0_1 = grad_x[0, 1]
    grad_x_0_2 = grad_x[0, 2]
    # corpus.py:lennard_jones+8
    for i in range(4):
        s6_i = s6[i]
        # corpus.py:lennard_jones+7
        t1_i = t1[i]
        t17 = (8.0 * s6_i - 4.0) * -(s6_i * s6_i) * (3.0 * (t1_i * t1_i))
        t18 = t17 * (2.0 * dx_2[i])
        t19 = t17 * (2.0 * dx_1[i])
        t20 = t17 * (2.0 * dx_0[i])
        # corpus.py:lennard_jones+4
        grad_x_0_0 = add_up(grad_x_0_0, t20)
        grad_x[i + 1, 0] -= t20
        grad_x_0_1 = add_up(grad_x_0_1, t19)
        grad_x[i + 1, 1] -= t19
        grad_x_0_2 = add_up(grad_x_0_2, t18)
        grad_x[i + 1, 2] -= t18
    grad_x[0, 0] = grad_x_0_0
    grad_x[0, 1] = grad_x_0_1
    grad_x[0, 2] = grad_x_0_2
    return energy3

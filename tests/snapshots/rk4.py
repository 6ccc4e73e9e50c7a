"""Made by jitgrad from rk4 (corpus.py:rk4): 513 instructions in 48 statements."""

import numpy as np

constants = np.array([0.025, 0.025, 0.05])


def add_up(total, term):
    return total + term


def rk4_gradient(params, data, grad_params):
    """Return the value; write grad_params."""
    t3 = np.empty((8, 3))
    t5 = np.empty((8, 3))
    t1 = np.empty((8, 4))
    t2 = np.empty((8, 4))
    u = np.empty(9)
    v = np.empty(9)
    total4 = np.empty(3)
    total5 = np.empty(3)
    total2 = np.empty(4)
    total3 = np.empty(4)
    u[0] = params[4]
    v[0] = params[5]
    # corpus.py:rk4+11
    total = 0.0
    u_before = u[0]
    v_before = v[0]
    params_0 = params[0]
    params_1 = params[1]
    params_2 = params[2]
    params_3 = params[3]
    # corpus.py:rates+2
    for i in range(8):
        t1[i, 0] = u_before
        t2[i, 0] = v_before
        t1_i_0 = t1[i, 0]
        t3[i, 0] = params_1 * t1_i_0
        t2_i_0 = t2[i, 0]
        t4 = params_0 * t1_i_0 - t3[i, 0] * t2_i_0
        t5[i, 0] = params_2 * t1_i_0
        t6 = t5[i, 0] * t2_i_0 - params_3 * t2_i_0
        # corpus.py:rk4+6
        t1[i, 1] = u_before + 0.025 * t4
        t2[i, 1] = v_before + 0.025 * t6
        # corpus.py:rates+2
        t1_i_1 = t1[i, 1]
        t3[i, 1] = params_1 * t1_i_1
        t2_i_1 = t2[i, 1]
        t7 = params_0 * t1_i_1 - t3[i, 1] * t2_i_1
        t5[i, 1] = params_2 * t1_i_1
        t8 = t5[i, 1] * t2_i_1 - params_3 * t2_i_1
        # corpus.py:rk4+6
        t1[i, 2] = u_before + 0.025 * t7
        t2[i, 2] = v_before + 0.025 * t8
        # corpus.py:rates+2
        t1_i_2 = t1[i, 2]
        t3[i, 2] = params_1 * t1_i_2
        t2_i_2 = t2[i, 2]
        t9 = params_0 * t1_i_2 - t3[i, 2] * t2_i_2
        t5[i, 2] = params_2 * t1_i_2
        t10 = t5[i, 2] * t2_i_2 - params_3 * t2_i_2
        # corpus.py:rk4+6
        t1[i, 3] = u_before + 0.05 * t9
        t2[i, 3] = v_before + 0.05 * t10
        # corpus.py:rates+2
        t1_i_3 = t1[i, 3]
        t2_i_3 = t2[i, 3]
        t11 = params_0 * t1_i_3 - params_1 * t1_i_3 * t2_i_3
        # corpus.py:rk4+9
        u2 = u_before + 0.008333333333333333 * (t4 + 2.0 * t7 + 2.0 * t9 + t11)
        u[i + 1] = u2
        # corpus.py:rates+2
        t12 = params_2 * t1_i_3 * t2_i_3 - params_3 * t2_i_3
        # corpus.py:rk4+10
        v2 = v_before + 0.008333333333333333 * (t6 + 2.0 * t8 + 2.0 * t10 + t12)
        v[i + 1] = v2
        # corpus.py:rk4+11
        t13 = u2 - data[i, 0]
        t14 = v2 - data[i, 1]
        total = add_up(total, t13 * t13 + t14 * t14)
        u_before = u2
        v_before = v2
    for i in range(6):
        grad_params[i] = 0.0
    u_bar = 0.0
    v_bar = 0.0
    grad_params_3 = grad_params[3]
    grad_params_2 = grad_params[2]
    grad_params_1 = grad_params[1]
    grad_params_0 = grad_params[0]
    for i in range(7, -1, -1):
        for j in range(4):
            total2[j] = 0.0
        for j in range(4):
            total3[j] = 0.0
        for j in range(3):
            total4[j] = 0.0
        for j in range(3):
            total5[j] = 0.0
        v_bar += 0.125 * (2.0 * (v[i + 1] - data[i, 1]))
        u_bar += 0.125 * (2.0 * (u[i + 1] - data[i, 0]))
        # corpus.py:rk4+10
        v_bar_next = v_bar
        t15 = 0.008333333333333333 * v_bar
        t16 = 0.016666666666666666 * v_bar
        total5[2] += t16
        total5[0] += t15
        total5[1] += t16
        # corpus.py:rk4+9
        u_bar_next = u_bar
        t17 = 0.008333333333333333 * u_bar
        t18 = 0.016666666666666666 * u_bar
        total4[2] += t18
        total4[0] += t17
        total4[1] += t18
        # corpus.py:rates+2
        t19 = -0.008333333333333333 * v_bar
        t2_i_3_2 = t2[i, 3]
        grad_params_3 = add_up(grad_params_3, t19 * t2_i_3_2)
        t20 = t15 * t2_i_3_2
        t1_i_3_2 = t1[i, 3]
        grad_params_2 = add_up(grad_params_2, t20 * t1_i_3_2)
        t21 = -0.008333333333333333 * u_bar
        t22 = t21 * t2_i_3_2
        t23 = t19 * params_3 + t15 * (params_2 * t1_i_3_2)
        total3[3] += t23 + t21 * (params_1 * t1_i_3_2)
        grad_params_1 = add_up(grad_params_1, t22 * t1_i_3_2)
        grad_params_0 = add_up(grad_params_0, t17 * t1_i_3_2)
        total2[3] += t17 * params_0 + t20 * params_2 + t22 * params_1
        # corpus.py:rk4+6
        for j in range(2, -1, -1):
            total3_next = total3[j + 1]
            v_bar_next = add_up(v_bar_next, total3_next)
            constants_j = constants[j]
            total5[j] += total3_next * constants_j
            total2_next = total2[j + 1]
            u_bar_next = add_up(u_bar_next, total2_next)
            total4[j] += total2_next * constants_j
            # corpus.py:rates+2
            total5_j = total5[j]
            t24 = -total5_j
            t2_i_j = t2[i, j]
            grad_params_3 = add_up(grad_params_3, t24 * t2_i_j)
            t25 = total5_j * t2_i_j
            t1_i_j = t1[i, j]
            grad_params_2 = add_up(grad_params_2, t25 * t1_i_j)
            total4_j = total4[j]
            t26 = -total4_j
            t27 = t26 * t2_i_j
            total3[j] += t24 * params_3 + total5_j * t5[i, j] + t26 * t3[i, j]
            grad_params_1 = add_up(grad_params_1, t27 * t1_i_j)
            grad_params_0 = add_up(grad_params_0, total4_j * t1_i_j)
            total2[j] += total4_j * params_0 + t25 * params_2 + t27 * params_1
        v_bar_next += total3[0]
        u_bar_next += total2[0]
        u_bar = u_bar_next
        v_bar = v_bar_next
    grad_params[3] = grad_params_3
    grad_params[2] = grad_params_2
    grad_params[1] = grad_params_1
    grad_params[0] = grad_params_0
    grad_params[5] += v_bar
    grad_params[4] += u_bar
    return total / 8.0

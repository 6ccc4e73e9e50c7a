"""Made by jitgrad from triangular_solve (corpus.py:triangular_solve): 35 instructions in 35 statements."""


def triangular_solve_gradient(L, b, grad_L, grad_b):
    """Return the value; write grad_L, grad_b."""
    # corpus.py:triangular_solve+6
    L_0_0 = L[0, 0]
    t1 = b[0] / L_0_0
    # corpus.py:triangular_solve+5
    L_1_0 = L[1, 0]
    s = b[1] - L_1_0 * t1
    # corpus.py:triangular_solve+6
    L_1_1 = L[1, 1]
    t2 = s / L_1_1
    # corpus.py:triangular_solve+5
    L_2_0 = L[2, 0]
    s2 = b[2] - L_2_0 * t1
    L_2_1 = L[2, 1]
    s3 = s2 - L_2_1 * t2
    # corpus.py:triangular_solve+6
    L_2_2 = L[2, 2]
    t3 = s3 / L_2_2
    # corpus.py:triangular_solve+5
    L_3_0 = L[3, 0]
    s4 = b[3] - L_3_0 * t1
    L_3_1 = L[3, 1]
    s5 = s4 - L_3_1 * t2
    L_3_2 = L[3, 2]
    s6 = s5 - L_3_2 * t3
    # corpus.py:triangular_solve+6
    L_3_3 = L[3, 3]
    t4 = s6 / L_3_3
    # corpus.py:triangular_solve+5
    L_4_0 = L[4, 0]
    s7 = b[4] - L_4_0 * t1
    L_4_1 = L[4, 1]
    s8 = s7 - L_4_1 * t2
    L_4_2 = L[4, 2]
    s9 = s8 - L_4_2 * t3
    L_4_3 = L[4, 3]
    s10 = s9 - L_4_3 * t4
    # corpus.py:triangular_solve+6
    L_4_4 = L[4, 4]
    t5 = s10 / L_4_4
    for i in range(5):
        for j in range(5):
            grad_L[i, j] = 0.0
    for i in range(5):
        grad_b[i] = 0.0
    t6 = 2.0 * t5 / L_4_4
    t7 = -t6
    grad_L[4, 4] += t7 * t5
    # corpus.py:triangular_solve+5
    grad_L[4, 3] += t7 * t4
    grad_L[4, 2] += t7 * t3
    grad_L[4, 1] += t7 * t2
    grad_b[4] += t6
    grad_L[4, 0] += t7 * t1
    # corpus.py:triangular_solve+6
    t8 = (2.0 * t4 + t7 * L_4_3) / L_3_3
    t9 = -t8
    grad_L[3, 3] += t9 * t4
    # corpus.py:triangular_solve+5
    grad_L[3, 2] += t9 * t3
    grad_L[3, 1] += t9 * t2
    grad_b[3] += t8
    grad_L[3, 0] += t9 * t1
    # corpus.py:triangular_solve+6
    t10 = (2.0 * t3 + t7 * L_4_2 + t9 * L_3_2) / L_2_2
    t11 = -t10
    grad_L[2, 2] += t11 * t3
    # corpus.py:triangular_solve+5
    grad_L[2, 1] += t11 * t2
    grad_b[2] += t10
    grad_L[2, 0] += t11 * t1
    # corpus.py:triangular_solve+6
    t12 = (2.0 * t2 + t7 * L_4_1 + t9 * L_3_1 + t11 * L_2_1) / L_1_1
    t13 = -t12
    grad_L[1, 1] += t13 * t2
    # corpus.py:triangular_solve+5
    grad_b[1] += t12
    grad_L[1, 0] += t13 * t1
    # corpus.py:triangular_solve+6
    t14 = (2.0 * t1 + t7 * L_4_0 + t9 * L_3_0 + t11 * L_2_0 + t13 * L_1_0) / L_0_0
    grad_b[0] += t14
    grad_L[0, 0] -= t14 * t1
    return 0.0 + t1 * t1 + t2 * t2 + t3 * t3 + t4 * t4 + t5 * t5

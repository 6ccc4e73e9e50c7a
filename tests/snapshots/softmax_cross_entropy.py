"""Made by jitgrad from softmax_cross_entropy (corpus.py:softmax_cross_entropy): 247 instructions in 56 statements."""

import numpy as np

positions = np.array([1, 2, 2], dtype=np.int64)


def add_up(total, term):
    return total + term


def softmax_cross_entropy_gradient(W, X, grad_W):
    """Return the value; write grad_W."""
    t18 = np.empty(4)
    total7 = np.empty(4)
    W_0_0 = W[0, 0]
    # corpus.py:softmax_cross_entropy+7
    X_0_0 = X[0, 0]
    W_1_0 = W[1, 0]
    X_0_1 = X[0, 1]
    W_2_0 = W[2, 0]
    X_0_2 = X[0, 2]
    score_0 = X_0_0 * W_0_0 + X_0_1 * W_1_0 + X_0_2 * W_2_0
    W_0_1 = W[0, 1]
    W_1_1 = W[1, 1]
    W_2_1 = W[2, 1]
    W_0_2 = W[0, 2]
    W_1_2 = W[1, 2]
    W_2_2 = W[2, 2]
    W_0_3 = W[0, 3]
    W_1_3 = W[1, 3]
    W_2_3 = W[2, 3]
    # corpus.py:log_softmax+4
    t1 = np.exp(score_0)
    t2 = np.exp(X_0_0 * W_0_1 + X_0_1 * W_1_1 + X_0_2 * W_2_1)
    t3 = np.exp(X_0_0 * W_0_2 + X_0_1 * W_1_2 + X_0_2 * W_2_2)
    t4 = np.exp(X_0_0 * W_0_3 + X_0_1 * W_1_3 + X_0_2 * W_2_3)
    total = t1 + t2 + t3 + t4
    # corpus.py:softmax_cross_entropy+9
    total2 = 0.0 - (score_0 - np.log(total))
    # corpus.py:softmax_cross_entropy+7
    X_1_0 = X[1, 0]
    X_1_1 = X[1, 1]
    X_1_2 = X[1, 2]
    score_3 = X_1_0 * W_0_3 + X_1_1 * W_1_3 + X_1_2 * W_2_3
    # corpus.py:log_softmax+4
    t5 = np.exp(X_1_0 * W_0_0 + X_1_1 * W_1_0 + X_1_2 * W_2_0)
    t6 = np.exp(X_1_0 * W_0_1 + X_1_1 * W_1_1 + X_1_2 * W_2_1)
    t7 = np.exp(X_1_0 * W_0_2 + X_1_1 * W_1_2 + X_1_2 * W_2_2)
    t8 = np.exp(score_3)
    total3 = t5 + t6 + t7 + t8
    # corpus.py:softmax_cross_entropy+9
    total4 = total2 - (score_3 - np.log(total3))
    total5 = total4
    # corpus.py:softmax_cross_entropy+7
    X_5_0 = X[5, 0]
    X_5_1 = X[5, 1]
    X_5_2 = X[5, 2]
    score_0_2 = X_5_0 * W_0_0 + X_5_1 * W_1_0 + X_5_2 * W_2_0
    # corpus.py:log_softmax+4
    t9 = np.exp(score_0_2)
    t10 = np.exp(X_5_0 * W_0_1 + X_5_1 * W_1_1 + X_5_2 * W_2_1)
    t11 = np.exp(X_5_0 * W_0_2 + X_5_1 * W_1_2 + X_5_2 * W_2_2)
    t12 = np.exp(X_5_0 * W_0_3 + X_5_1 * W_1_3 + X_5_2 * W_2_3)
    total6 = t9 + t10 + t11 + t12
    for i in range(3):
        for j in range(4):
            grad_W[i, j] = 0.0
    grad_W_0_0 = grad_W[0, 0]
    grad_W_1_0 = grad_W[1, 0]
    grad_W_2_0 = grad_W[2, 0]
    grad_W_0_1 = grad_W[0, 1]
    grad_W_1_1 = grad_W[1, 1]
    grad_W_2_1 = grad_W[2, 1]
    grad_W_0_2 = grad_W[0, 2]
    grad_W_1_2 = grad_W[1, 2]
    grad_W_2_2 = grad_W[2, 2]
    grad_W_0_3 = grad_W[0, 3]
    grad_W_1_3 = grad_W[1, 3]
    grad_W_2_3 = grad_W[2, 3]
    # corpus.py:softmax_cross_entropy+7
    for i in range(2, 5):
        X_i_0 = X[i, 0]
        X_i_1 = X[i, 1]
        X_i_2 = X[i, 2]
        score_0_3 = X_i_0 * W_0_0 + X_i_1 * W_1_0 + X_i_2 * W_2_0
        score_1 = X_i_0 * W_0_1 + X_i_1 * W_1_1 + X_i_2 * W_2_1
        score_2 = X_i_0 * W_0_2 + X_i_1 * W_1_2 + X_i_2 * W_2_2
        score_3_2 = X_i_0 * W_0_3 + X_i_1 * W_1_3 + X_i_2 * W_2_3
        # corpus.py:log_softmax+4
        t13 = np.exp(score_0_3)
        t14 = np.exp(score_1)
        t15 = np.exp(score_2)
        t16 = np.exp(score_3_2)
        total8 = t13 + t14 + t15 + t16
        # corpus.py:log_softmax+5
        t17 = np.log(total8)
        t18[0] = score_0_3 - t17
        t18[1] = score_1 - t17
        t18[2] = score_2 - t17
        t18[3] = score_3_2 - t17
        # corpus.py:softmax_cross_entropy+9
        positions_i__2 = positions[i - 2]
        total5 = add_up(total5, -t18[positions_i__2])
        for j in range(4):
            total7[j] = 0.0
        total7[positions_i__2] -= 0.16666666666666666
        # corpus.py:log_softmax+5
        total7_3 = total7[3]
        total7_2 = total7[2]
        total7_1 = total7[1]
        total7_0 = total7[0]
        t19 = -total7_3 / total8 - total7_2 / total8 - total7_1 / total8
        total_bar = t19 - total7_0 / total8
        # corpus.py:log_softmax+4
        score_bar_0 = total7_0 + total_bar * t13
        score_bar_1 = total7_1 + total_bar * t14
        score_bar_2 = total7_2 + total_bar * t15
        score_bar_3 = total7_3 + total_bar * t16
        # corpus.py:softmax_cross_entropy+7
        grad_W_0_0 = add_up(grad_W_0_0, score_bar_0 * X_i_0)
        grad_W_1_0 = add_up(grad_W_1_0, score_bar_0 * X_i_1)
        grad_W_2_0 = add_up(grad_W_2_0, score_bar_0 * X_i_2)
        grad_W_0_1 = add_up(grad_W_0_1, score_bar_1 * X_i_0)
        grad_W_1_1 = add_up(grad_W_1_1, score_bar_1 * X_i_1)
        grad_W_2_1 = add_up(grad_W_2_1, score_bar_1 * X_i_2)
        grad_W_0_2 = add_up(grad_W_0_2, score_bar_2 * X_i_0)
        grad_W_1_2 = add_up(grad_W_1_2, score_bar_2 * X_i_1)
        grad_W_2_2 = add_up(grad_W_2_2, score_bar_2 * X_i_2)
        grad_W_0_3 = add_up(grad_W_0_3, score_bar_3 * X_i_0)
        grad_W_1_3 = add_up(grad_W_1_3, score_bar_3 * X_i_1)
        grad_W_2_3 = add_up(grad_W_2_3, score_bar_3 * X_i_2)
    # corpus.py:softmax_cross_entropy+9
    total9 = total5 - (score_0_2 - np.log(total6))
    # corpus.py:log_softmax+5
    t20 = -0.0 / total6
    total_bar2 = t20 + t20 + t20 + 0.16666666666666666 / total6
    # corpus.py:log_softmax+4
    score_bar_0_2 = total_bar2 * t9 - 0.16666666666666666
    score_bar_1_2 = total_bar2 * t10
    score_bar_2_2 = total_bar2 * t11
    score_bar_3_2 = total_bar2 * t12
    # corpus.py:log_softmax+5
    t21 = -0.0 / total3
    total_bar3 = 0.16666666666666666 / total3 + t21 + t21 + t21
    # corpus.py:log_softmax+4
    score_bar_0_3 = total_bar3 * t5
    score_bar_1_3 = total_bar3 * t6
    score_bar_2_3 = total_bar3 * t7
    score_bar_3_3 = total_bar3 * t8 - 0.16666666666666666
    # corpus.py:log_softmax+5
    t22 = -0.0 / total
    total_bar4 = t22 + t22 + t22 + 0.16666666666666666 / total
    # corpus.py:log_softmax+4
    score_bar_0_4 = total_bar4 * t1 - 0.16666666666666666
    score_bar_1_4 = total_bar4 * t2
    score_bar_2_4 = total_bar4 * t3
    score_bar_3_4 = total_bar4 * t4
    # corpus.py:softmax_cross_entropy+7
    t23 = grad_W_0_0 + score_bar_0_3 * X_1_0 + score_bar_0_2 * X_5_0
    grad_W[0, 0] = t23 + score_bar_0_4 * X_0_0
    t24 = grad_W_1_0 + score_bar_0_3 * X_1_1 + score_bar_0_2 * X_5_1
    grad_W[1, 0] = t24 + score_bar_0_4 * X_0_1
    t25 = grad_W_2_0 + score_bar_0_3 * X_1_2 + score_bar_0_2 * X_5_2
    grad_W[2, 0] = t25 + score_bar_0_4 * X_0_2
    t26 = grad_W_0_1 + score_bar_1_2 * X_5_0 + score_bar_1_3 * X_1_0
    grad_W[0, 1] = t26 + score_bar_1_4 * X_0_0
    t27 = grad_W_1_1 + score_bar_1_2 * X_5_1 + score_bar_1_3 * X_1_1
    grad_W[1, 1] = t27 + score_bar_1_4 * X_0_1
    t28 = grad_W_2_1 + score_bar_1_2 * X_5_2 + score_bar_1_3 * X_1_2
    grad_W[2, 1] = t28 + score_bar_1_4 * X_0_2
    t29 = grad_W_0_2 + score_bar_2_2 * X_5_0 + score_bar_2_3 * X_1_0
    grad_W[0, 2] = t29 + score_bar_2_4 * X_0_0
    t30 = grad_W_1_2 + score_bar_2_2 * X_5_1 + score_bar_2_3 * X_1_1
    grad_W[1, 2] = t30 + score_bar_2_4 * X_0_1
    t31 = grad_W_2_2 + score_bar_2_2 * X_5_2 + score_bar_2_3 * X_1_2
    grad_W[2, 2] = t31 + score_bar_2_4 * X_0_2
    t32 = grad_W_0_3 + score_bar_3_2 * X_5_0 + score_bar_3_4 * X_0_0
    grad_W[0, 3] = t32 + score_bar_3_3 * X_1_0
    t33 = grad_W_1_3 + score_bar_3_2 * X_5_1 + score_bar_3_4 * X_0_1
    grad_W[1, 3] = t33 + score_bar_3_3 * X_1_1
    t34 = grad_W_2_3 + score_bar_3_2 * X_5_2 + score_bar_3_4 * X_0_2
    grad_W[2, 3] = t34 + score_bar_3_3 * X_1_2
    return total9 / 6.0

"""Made by jitgrad from logistic_loop (corpus.py:logistic_loop): 157 instructions in 12 statements."""

from jitgrad.vector_math import exp, log1p


def add_up(total, term):
    return total + term


def logistic_loop_gradient(w, X, y, grad_w):
    """Return the value; write grad_w."""
    # corpus.py:logistic_loop+6
    total = 0.0
    for i in range(4):
        grad_w[i] = 0.0
    grad_w_0 = grad_w[0]
    grad_w_1 = grad_w[1]
    grad_w_2 = grad_w[2]
    grad_w_3 = grad_w[3]
    w_0 = w[0]
    w_1 = w[1]
    w_2 = w[2]
    w_3 = w[3]
    # corpus.py:logistic_loop+5
    for i in range(12):
        X_i_0 = X[i, 0]
        X_i_1 = X[i, 1]
        X_i_2 = X[i, 2]
        X_i_3 = X[i, 3]
        score = w_0 * X_i_0 + w_1 * X_i_1 + w_2 * X_i_2 + w_3 * X_i_3
        # corpus.py:logistic_loop+6
        t1 = -y[i]
        t2 = exp(t1 * score)
        total = add_up(total, log1p(t2))
        t3 = 0.08333333333333333 / (1.0 + t2) * t2 * t1
        # corpus.py:logistic_loop+5
        grad_w_0 = add_up(grad_w_0, t3 * X_i_0)
        grad_w_1 = add_up(grad_w_1, t3 * X_i_1)
        grad_w_2 = add_up(grad_w_2, t3 * X_i_2)
        grad_w_3 = add_up(grad_w_3, t3 * X_i_3)
    grad_w[0] = grad_w_0
    grad_w[1] = grad_w_1
    grad_w[2] = grad_w_2
    grad_w[3] = grad_w_3
    return total / 12.0

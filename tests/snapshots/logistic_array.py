"""Made by jitgrad from logistic_array (corpus.py:logistic_array): 8 instructions in 19 statements."""

from jitgrad.vector_math import exp, log1p, sigmoid


def where(x, y, z):
    return y if x else z


def maximum(x, y):
    return where((x >= y) | (x != x), x, y)


def logaddexp(x, y):
    return where(x == y, x + 0.6931471805599453, maximum(x, y) + log1p(exp(-abs(x - y))))


def add_up(total, term):
    return total + term


def logistic_array_gradient(w, b, X, y, grad_w, grad_b):
    """Return the value; write grad_w, grad_b."""
    # corpus.py:logistic_array+1
    total = 0.0
    for i in range(4):
        grad_w[i] = 0.0
    grad_b2 = 0.0
    grad_w_0 = grad_w[0]
    grad_w_1 = grad_w[1]
    grad_w_2 = grad_w[2]
    grad_w_3 = grad_w[3]
    w_0 = w[0]
    w_1 = w[1]
    w_2 = w[2]
    w_3 = w[3]
    for i in range(12):
        t1 = -y[i]
        X_i_0 = X[i, 0]
        X_i_1 = X[i, 1]
        X_i_2 = X[i, 2]
        X_i_3 = X[i, 3]
        t2 = t1 * (X_i_0 * w_0 + X_i_1 * w_1 + X_i_2 * w_2 + X_i_3 * w_3 + b)
        total = add_up(total, logaddexp(0.0, t2))
        t3 = where(0.0 == t2, 0.041666666666666664, 0.08333333333333333 * sigmoid(t2)) * t1
        grad_b2 = add_up(grad_b2, t3)
        grad_w_0 = add_up(grad_w_0, t3 * X_i_0)
        grad_w_1 = add_up(grad_w_1, t3 * X_i_1)
        grad_w_2 = add_up(grad_w_2, t3 * X_i_2)
        grad_w_3 = add_up(grad_w_3, t3 * X_i_3)
    grad_b[()] = grad_b2
    grad_w[0] = grad_w_0
    grad_w[1] = grad_w_1
    grad_w[2] = grad_w_2
    grad_w[3] = grad_w_3
    return total / 12.0

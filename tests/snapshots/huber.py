"""Made by jitgrad from huber (corpus.py:huber): 12 instructions in 28 statements."""

from numpy import sign


def where(x, y, z):
    return y if x else z


def add_up(total, term):
    return total + term


def huber_gradient(w, X, y, grad_w):
    """Return the value; write grad_w."""
    # corpus.py:huber+3
    total = 0.0
    for i in range(3):
        grad_w[i] = 0.0
    grad_w_0 = grad_w[0]
    grad_w_1 = grad_w[1]
    grad_w_2 = grad_w[2]
    w_0 = w[0]
    w_1 = w[1]
    w_2 = w[2]
    # corpus.py:huber+1
    for i in range(10):
        X_i_0 = X[i, 0]
        X_i_1 = X[i, 1]
        X_i_2 = X[i, 2]
        r = X_i_0 * w_0 + X_i_1 * w_1 + X_i_2 * w_2 - y[i]
        # corpus.py:huber+2
        t1 = abs(r)
        small = where(t1 < 0.8, 1.0, 0.0)
        # corpus.py:huber+3
        t2 = 0.5 * r
        total = add_up(total, where(small != 0.0, t2 * r, 0.8 * (t1 - 0.4)))
        t3 = 0.8 * where(small != 0.0, 0.0, 1.0)
        t4 = small == 0.0
        t5 = where(t4, 0.0, small * t2) + 0.5 * where(t4, 0.0, small * r)
        r_bar = t5 + where(t3 == 0.0, 0.0, t3 * sign(r))
        # corpus.py:huber+1
        t6 = r_bar == 0.0
        grad_w_0 = add_up(grad_w_0, where(t6, 0.0, r_bar * X_i_0))
        grad_w_1 = add_up(grad_w_1, where(t6, 0.0, r_bar * X_i_1))
        grad_w_2 = add_up(grad_w_2, where(t6, 0.0, r_bar * X_i_2))
    grad_w[0] = grad_w_0
    grad_w[1] = grad_w_1
    grad_w[2] = grad_w_2
    return total

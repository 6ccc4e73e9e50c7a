"""Made by jitgrad from mlp (corpus.py:mlp): 11 instructions in 32 statements."""

import numpy as np

from jitgrad.vector_math import tanh


def add_up(total, term):
    return total + term


def mlp_gradient(
    params_W1,
    params_b1,
    params_b2,
    params_w2,
    X,
    y,
    grad_params_W1,
    grad_params_b1,
    grad_params_b2,
    grad_params_w2,
):
    """Return the value; write grad_params_W1, grad_params_b1, grad_params_b2, grad_params_w2."""
    h = np.empty(5)
    # corpus.py:mlp+3
    total = 0.0
    for i in range(3):
        for j in range(5):
            grad_params_W1[i, j] = 0.0
    for i in range(5):
        grad_params_b1[i] = 0.0
    for i in range(5):
        grad_params_w2[i] = 0.0
    grad_params_b2_2 = 0.0
    # corpus.py:mlp+2
    for i in range(8):
        total2 = 0.0
        X_0 = X[i, 0]
        X_1 = X[i, 1]
        X_2 = X[i, 2]
        # corpus.py:mlp+1
        for j in range(5):
            t1 = X_0 * params_W1[0, j] + X_1 * params_W1[1, j]
            h[j] = tanh(t1 + X_2 * params_W1[2, j] + params_b1[j])
            # corpus.py:mlp+2
            total2 = add_up(total2, h[j] * params_w2[j])
        residual = total2 + params_b2 - y[i]
        # corpus.py:mlp+3
        total = add_up(total, residual * residual)
        t2 = 0.125 * (2.0 * residual)
        # corpus.py:mlp+2
        grad_params_b2_2 = add_up(grad_params_b2_2, t2)
        for j in range(5):
            h_j = h[j]
            grad_params_w2[j] += t2 * h_j
            # corpus.py:mlp+1
            t3 = t2 * params_w2[j] * (1.0 - h_j * h_j)
            grad_params_b1[j] += t3
            grad_params_W1[0, j] += t3 * X_0
            grad_params_W1[1, j] += t3 * X_1
            grad_params_W1[2, j] += t3 * X_2
    grad_params_b2[()] = grad_params_b2_2
    return total / 8.0

"""One head of attention over 64 tokens: products, a softmax by rows, products."""

from math import sqrt

import numpy as np

from benchmarks.arrays.row import Row
from benchmarks.arrays.vector_math import fast_exp
from benchmarks.direct import fast

TOKENS, WIDTH = 64, 64


def attention(Wq, Wk, Wv, x, target):
    """Return the mean squared error of one attention head on tokens `x` (tokens, width)."""
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    scores = q @ k.T / np.sqrt(q.shape[1])
    weights = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    weights = weights / np.sum(weights, axis=1, keepdims=True)
    return np.mean((weights @ v - target) ** 2)


def make(rng):
    """Return three projections, tokens and a target."""
    scale = WIDTH**-0.5
    Wq, Wk, Wv = (scale * rng.standard_normal((WIDTH, WIDTH)) for _ in range(3))
    return Wq, Wk, Wv, *(rng.standard_normal((TOKENS, WIDTH)) for _ in range(2))


def by_numpy(Wq, Wk, Wv, x, target):
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    scale = q.shape[1] ** -0.5
    p = (q @ k.T) * scale
    p = np.exp(p - p.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    error = p @ v - target
    value = np.mean(error**2)
    error *= 2 / error.size
    dp = error @ v.T
    dscores = p * (dp - np.sum(dp * p, axis=1, keepdims=True)) * scale
    gradients = x.T @ (dscores @ k), x.T @ (dscores.T @ q), x.T @ (p.T @ error)
    return value, (*gradients, None, None)


@fast("reassoc")
def by_numba(Wq, Wk, Wv, x, target, dWq, dWk, dWv):
    """Products by BLAS; each row's softmax, and its reverse, in one pass."""
    tokens, width = target.shape
    scale = 1.0 / sqrt(Wq.shape[1])
    q, k, v = np.dot(x, Wq), np.dot(x, Wk), np.dot(x, Wv)
    p = np.dot(q, k.T)
    for i in range(tokens):
        top = p[i, 0]
        for j in range(tokens):
            top = max(top, p[i, j])
        total = 0.0
        for j in range(tokens):
            p[i, j] = fast_exp(scale * (p[i, j] - top))
            total += p[i, j]
        for j in range(tokens):
            p[i, j] /= total
    error = np.dot(p, v)
    value, factor = 0.0, 2.0 / (tokens * width)
    for i in range(tokens):
        for j in range(width):
            e = error[i, j] - target[i, j]
            value += e * e
            error[i, j] = factor * e
    np.dot(x.T, np.dot(p.T, error), dWv)
    d = np.dot(error, v.T)
    for i in range(tokens):
        along = 0.0
        for j in range(tokens):
            along += d[i, j] * p[i, j]
        for j in range(tokens):
            d[i, j] = scale * p[i, j] * (d[i, j] - along)
    np.dot(x.T, np.dot(d, k), dWq)
    np.dot(x.T, np.dot(d.T, q), dWk)
    return value / (tokens * width)


def torch_loss(torch, Wq, Wk, Wv, x, target):
    attend = torch.nn.functional.scaled_dot_product_attention
    out = attend((x @ Wq)[None], (x @ Wk)[None], (x @ Wv)[None])[0]
    return torch.nn.functional.mse_loss(out, target)


def pytensor_loss(pt, Wq, Wk, Wv, x, target):
    q, k, v = pt.dot(x, Wq), pt.dot(x, Wk), pt.dot(x, Wv)
    weights = pt.special.softmax(pt.dot(q, k.T) / np.sqrt(WIDTH), axis=1)
    return pt.mean((pt.dot(weights, v) - target) ** 2)


def casadi_loss(ca, Wq, Wk, Wv, x, target):
    q, k, v = ca.mtimes(x, Wq), ca.mtimes(x, Wk), ca.mtimes(x, Wv)
    scores = ca.mtimes(q, k.T) / np.sqrt(WIDTH)
    ones = ca.DM.ones(1, TOKENS)  # a product with it makes fewer instructions than repmat
    columns = ca.horzsplit(scores)
    top = columns[0]
    for column in columns[1:]:
        top = ca.fmax(top, column)
    weights = ca.exp(scores - ca.mtimes(top, ones))
    weights = weights / ca.mtimes(ca.sum2(weights), ones)
    return ca.sumsqr(ca.mtimes(weights, v) - target) / target.numel()


ROWS = (
    Row(
        "attention",
        "attention, 64 tokens, width 64",
        attention,
        make,
        by_numpy,
        by_numba,
        (0, 1, 2),
        {"torch": torch_loss, "pytensor": pytensor_loss, "casadi MX": casadi_loss},
    ),
)

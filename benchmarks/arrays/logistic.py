"""Logistic regression: two passes over a matrix that does not fit in cache."""

from math import log

import numpy as np

from benchmarks.arrays.row import Row
from benchmarks.arrays.vector_math import fast_exp
from benchmarks.direct import fast


def logistic(w, X, y):
    """Return the mean logistic loss of labels `y` in {-1, 1} (m,), given rows `X` (m, n)."""
    return np.mean(np.logaddexp(0, -y * (X @ w)))


def make_cancer(rng):
    """Return weights, and scikit-learn's breast cancer data, standardised."""
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return 0.1 * rng.standard_normal(30), X, np.where(y > 0, 1.0, -1.0)


def make_large(rng):
    """Return weights, and 100,000 random rows."""
    X = rng.standard_normal((100_000, 50))
    w = rng.standard_normal(50)
    y = np.where(X @ w + rng.standard_normal(100_000) > 0, 1.0, -1.0)
    return 0.1 * rng.standard_normal(50), X, y


def by_numpy(w, X, y):
    z = -y * (X @ w)
    loss = np.logaddexp(0.0, z)
    return np.mean(loss), ((-y * np.exp(z - loss) / len(y)) @ X, None, None)


BLOCK = 64  # rows: their factors 1 + exp(-|z|) do not overflow when multiplied


@fast("reassoc")
def by_numba(w, X, y, g):
    """Blocks of rows, read once: products, then exp in SIMD and one logarithm, then shares of g."""
    m, n = X.shape
    z = np.empty(BLOCK)
    g[:] = 0.0
    total = 0.0
    for start in range(0, m, BLOCK):
        rows = min(BLOCK, m - start)
        for i in range(rows):
            score = 0.0
            for j in range(n):
                score += X[start + i, j] * w[j]
            z[i] = -y[start + i] * score
        product = 1.0
        for i in range(rows):
            e = fast_exp(-abs(z[i]))
            total += max(z[i], 0.0)
            product *= 1.0 + e
            z[i] = (1.0 if z[i] > 0.0 else e) / (1.0 + e) * -y[start + i] / m
        total += log(product)
        for i in range(rows):
            for j in range(n):
                g[j] += z[i] * X[start + i, j]
    return total / m


def torch_loss(torch, w, X, y):
    return torch.nn.functional.softplus(-y * (X @ w)).mean()


def pytensor_loss(pt, w, X, y):
    return pt.mean(pt.softplus(-y * pt.dot(X, w)))


def casadi_loss(ca, w, X, y):
    z = -y * ca.mtimes(X, w)
    return ca.sum1(ca.fmax(z, 0) + ca.log1p(ca.exp(-ca.fabs(z)))) / y.numel()


PEERS = {"torch": torch_loss, "pytensor": pytensor_loss, "casadi MX": casadi_loss}
ROWS = (
    Row(
        "logistic-cancer",
        "logistic regression, 569 × 30",
        logistic,
        make_cancer,
        by_numpy,
        by_numba,
        peers=PEERS,
    ),
    Row(
        "logistic-large",
        "logistic regression, 100,000 × 50",
        logistic,
        make_large,
        by_numpy,
        by_numba,
        peers=PEERS,
    ),
)

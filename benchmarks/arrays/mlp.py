"""A two-layer network on scikit-learn's digits: matrix products, tanh and cross-entropy."""

from math import log

import numpy as np

from benchmarks.arrays.row import Row
from benchmarks.arrays.vector_math import fast_exp, fast_tanh
from benchmarks.direct import fast


def mlp(params, X, labels):
    """Return the mean cross-entropy of one batch: `X` (m, 64), `labels` (m,) of 0 to 9."""
    h = np.tanh(X @ params["W1"] + params["b1"])
    scores = h @ params["W2"] + params["b2"]
    top = np.max(scores, axis=1, keepdims=True)
    normaliser = np.log(np.sum(np.exp(scores - top), axis=1)) + top[:, 0]
    return np.mean(normaliser - scores[np.arange(len(labels)), labels])


def make(dtype):
    """Return a maker of parameters and one batch of 128 digits."""

    def arguments(rng):
        from sklearn.datasets import load_digits

        X, labels = load_digits(return_X_y=True)
        params = {
            "W1": rng.standard_normal((64, 100)) / 8.0,
            "b1": 0.1 * rng.standard_normal(100),
            "W2": rng.standard_normal((100, 10)) / 10.0,
            "b2": 0.1 * rng.standard_normal(10),
        }
        params = {name: part.astype(dtype) for name, part in params.items()}
        return params, (X[:128] / 16.0).astype(dtype), labels[:128]

    return arguments


def by_numpy(params, X, labels):
    W2 = params["W2"]
    rows = np.arange(len(labels))
    h = np.tanh(X @ params["W1"] + params["b1"])
    scores = h @ W2 + params["b2"]
    scores -= np.max(scores, axis=1, keepdims=True)
    p = np.exp(scores)
    total = np.sum(p, axis=1)
    value = np.mean(np.log(total) - scores[rows, labels])
    p /= total[:, None] * len(labels)
    p[rows, labels] -= p.dtype.type(1.0 / len(labels))
    dz = (p @ W2.T) * (1 - h * h)
    gradients = {"W1": X.T @ dz, "b1": dz.sum(axis=0), "W2": h.T @ p, "b2": p.sum(axis=0)}
    return value, (gradients, None, None)


@fast("reassoc")
def by_numba(W1, W2, b1, b2, X, labels, dW1, dW2, db1, db2):
    """Products by BLAS, all else in one pass over the rows; constants in the arrays' own type."""
    one = W1.dtype.type(1)
    m, units, classes = X.shape[0], W1.shape[1], W2.shape[1]
    share = one / W1.dtype.type(m)
    h = np.dot(X, W1)
    for i in range(m):
        for j in range(units):
            h[i, j] = fast_tanh(h[i, j] + b1[j])
    p = np.dot(h, W2)
    db2[:] = 0
    value = 0.0
    for i in range(m):
        top = p[i, 0] + b2[0]
        for j in range(classes):
            p[i, j] += b2[j]
            top = max(top, p[i, j])
        value -= p[i, labels[i]] - top
        total = one - one
        for j in range(classes):
            p[i, j] = fast_exp(p[i, j] - top)
            total += p[i, j]
        value += log(total)
        scale = share / total
        for j in range(classes):
            p[i, j] *= scale
        p[i, labels[i]] -= share
        for j in range(classes):
            db2[j] += p[i, j]
    np.dot(h.T, p, dW2)
    dz = np.dot(p, W2.T)
    db1[:] = 0
    for i in range(m):
        for j in range(units):
            dz[i, j] *= one - h[i, j] * h[i, j]
            db1[j] += dz[i, j]
    np.dot(X.T, dz, dW1)
    return value / m


def torch_loss(torch, params, X, labels):
    h = torch.tanh(torch.addmm(params["b1"], X, params["W1"]))
    scores = torch.addmm(params["b2"], h, params["W2"])
    return torch.nn.functional.cross_entropy(scores, labels)


def pytensor_loss(pt, params, X, labels):
    h = pt.tanh(pt.dot(X, params["W1"]) + params["b1"])
    scores = pt.dot(h, params["W2"]) + params["b2"]
    logs = pt.special.log_softmax(scores, axis=1)
    return -pt.mean(logs[pt.arange(labels.shape[0]), labels])


def casadi_loss(ca, params, X, labels):
    m, classes = X.shape[0], params["b2"].numel()
    ones = ca.DM.ones(m, 1)  # a product with it makes fewer instructions than repmat
    h = ca.tanh(ca.mtimes(X, params["W1"]) + ca.mtimes(ones, params["b1"].T))
    scores = ca.mtimes(h, params["W2"]) + ca.mtimes(ones, params["b2"].T)
    columns = ca.horzsplit(scores)
    top = columns[0]
    for column in columns[1:]:
        top = ca.fmax(top, column)
    normaliser = ca.log(ca.sum2(ca.exp(scores - ca.mtimes(top, ca.DM.ones(1, classes))))) + top
    one_hot = ca.DM(np.eye(classes)[labels])
    return (ca.sum1(normaliser) - ca.sum1(ca.sum2(one_hot * scores))) / m


def row(dtype, single, **peers):
    """Return the row in one floating-point type."""
    name = np.dtype(dtype).name
    peers = {"torch": torch_loss, "pytensor": pytensor_loss, **peers}
    title = f"network 64-100-10 on digits, {name}"
    made = make(dtype)
    return Row(f"mlp-{name}", title, mlp, made, by_numpy, by_numba, peers=peers, single=single)


ROWS = (
    row(np.float64, False, **{"casadi MX": casadi_loss}),
    row(np.float32, True, casadi="it computes in float64 alone"),
)

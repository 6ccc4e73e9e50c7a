"""Two transcendental functions of a million numbers, and a sum."""

import numpy as np

from benchmarks.arrays.row import Row
from benchmarks.arrays.vector_math import fast_exp
from benchmarks.direct import fast


def elementwise(x):
    """Return the sum of tanh(exp(x))."""
    return np.sum(np.tanh(np.exp(x)))


def make(rng):
    """Return a million standard normal numbers."""
    return (rng.standard_normal(1_000_000),)


def by_numpy(x):
    e = np.exp(x)
    t = np.tanh(e)
    return np.sum(t), (e * (1 - t * t),)


@fast("reassoc")
def by_numba(x, g):
    """One pass, and one exponential in place of tanh: u = exp(-2 e) gives it and its slope."""
    total = 0.0
    for i in range(x.shape[0]):
        e = fast_exp(x[i])
        u = fast_exp(-2.0 * e)
        inverse = 1.0 / (1.0 + u)
        total += (1.0 - u) * inverse
        g[i] = 4.0 * e * u * inverse * inverse
    return total


def torch_loss(torch, x):
    return torch.sum(torch.tanh(torch.exp(x)))


def pytensor_loss(pt, x):
    return pt.sum(pt.tanh(pt.exp(x)))


def casadi_loss(ca, x):
    return ca.sum1(ca.tanh(ca.exp(x)))


PEERS = {"torch": torch_loss, "pytensor": pytensor_loss, "casadi MX": casadi_loss}
ROWS = (
    Row(
        "elementwise",
        "sum of tanh(exp(x)), n = 1,000,000",
        elementwise,
        make,
        by_numpy,
        by_numba,
        peers=PEERS,
    ),
)

"""Rosenbrock's valley in slices: a stencil, from ten variables to a hundred thousand."""

import numpy as np

from benchmarks import tuned
from benchmarks.arrays.row import Row


def rosenbrock(x):
    """Return the sum of Rosenbrock's terms over neighbours."""
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def make(n):
    """Return a maker of a point (n,) away from the minimum."""
    return lambda rng: (rng.uniform(-1.2, 1.2, n),)


def by_numpy(x):
    t = x[1:] - x[:-1] ** 2
    q = 1.0 - x[:-1]
    g = np.zeros_like(x)
    g[:-1] = -400.0 * t * x[:-1] - 2.0 * q
    g[1:] += 200.0 * t
    return 100.0 * np.dot(t, t) + np.dot(q, q), (g,)


def torch_loss(torch, x):
    return torch.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def pytensor_loss(pt, x):
    return pt.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def casadi_loss(ca, x):
    return ca.sumsqr(10 * (x[1:] - x[:-1] ** 2)) + ca.sumsqr(1 - x[:-1])


def row(n, title, symbols):
    """Return the row of `n` variables, and for CasADi which of its symbols."""
    peers = {"torch": torch_loss, "pytensor": pytensor_loss, symbols: casadi_loss}
    return Row(
        f"rosenbrock-{n}", title, rosenbrock, make(n), by_numpy, tuned.rosenbrock, peers=peers
    )


ROWS = (
    row(10, "Rosenbrock, n = 10", "casadi SX"),
    row(1_000, "Rosenbrock, n = 1,000", "casadi SX"),
    row(100_000, "Rosenbrock, n = 100,000", "casadi MX"),
)

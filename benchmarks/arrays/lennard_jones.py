"""Lennard-Jones energy of 200 particles: by index arrays of the pairs, and by a double loop."""

import numpy as np

from benchmarks import tuned
from benchmarks.arrays.row import Row
from benchmarks.problems import lattice
from benchmarks.problems import lennard_jones as loops

PARTICLES = 200


def arrays(x):
    """Return the energy of positions `x` (n, 3), all pairs at once."""
    i, j = np.triu_indices(len(x), 1)
    s6 = 1 / np.sum((x[i] - x[j]) ** 2, axis=1) ** 3
    return np.sum(4 * (s6**2 - s6))


def make(rng):
    """Return positions on a shaken lattice."""
    return (lattice(PARTICLES),)


def by_numpy(x):
    i, j = np.triu_indices(len(x), 1)
    d = x[i] - x[j]
    q = 1 / np.sum(d * d, axis=1)
    s6 = q**3
    force = (24 * q * (s6 - 2 * s6 * s6))[:, None] * d
    g = np.zeros_like(x)
    np.add.at(g, i, force)
    np.subtract.at(g, j, force)
    return 4 * np.sum(s6 * s6 - s6), (g,)


def torch_loss(torch, x):
    i, j = torch.triu_indices(len(x), len(x), 1)
    s6 = 1 / ((x.index_select(0, i) - x.index_select(0, j)) ** 2).sum(1) ** 3
    return (4 * (s6**2 - s6)).sum()


def pytensor_loss(pt, x):
    i, j = np.triu_indices(PARTICLES, 1)
    s6 = 1 / pt.sum((x[i] - x[j]) ** 2, axis=1) ** 3
    return pt.sum(4 * (s6**2 - s6))


def casadi_loss(ca, x):
    i, j = (index.tolist() for index in np.triu_indices(PARTICLES, 1))
    s6 = 1 / ca.sum2((x[i, :] - x[j, :]) ** 2) ** 3
    return ca.sum1(4 * (s6**2 - s6))


ARRAY_PEERS = {"torch": torch_loss, "pytensor": pytensor_loss, "casadi MX": casadi_loss}
LOOPS = "19,900 pairs in a Python loop are not what it is for; the row above is"
LOOP_PEERS = dict.fromkeys(("jax", "torch", "pytensor", "casadi"), LOOPS)
ROWS = (
    Row(
        "lj-arrays",
        "Lennard-Jones, 200 particles, index arrays",
        arrays,
        make,
        by_numpy,
        tuned.lennard_jones,
        peers=ARRAY_PEERS,
    ),
    Row(
        "lj-loops",
        "Lennard-Jones, 200 particles, two Python loops",
        loops,
        make,
        by_numpy,
        tuned.lennard_jones,
        peers=LOOP_PEERS,
    ),
)

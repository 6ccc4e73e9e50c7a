"""Fluids: smoke that is to take a shape after some steps of time.

The scheme is that of Stam, *Real-time fluid dynamics for games* (2003): velocities carry
themselves along, then the part of them that has a divergence is taken away.
"""

import numpy as np


def neighbours(field):
    """The four fields that lie one cell above, below, left and right."""
    return [np.roll(field, step, axis) for axis in (0, 1) for step in (1, -1)]


def carried(field, down, right):
    """Move a field along velocities, by a look back and linear interpolation; edges wrap around."""
    rows, columns = field.shape
    y, x = np.arange(rows)[:, None] - down, np.arange(columns) - right
    top, left = np.floor(y), np.floor(x)
    below, beside = y - top, x - left
    i, j = top.astype(int) % rows, left.astype(int) % columns
    i1, j1 = (i + 1) % rows, (j + 1) % columns
    upper = (1.0 - beside) * field[i, j] + beside * field[i, j1]
    lower = (1.0 - beside) * field[i1, j] + beside * field[i1, j1]
    return (1.0 - below) * upper + below * lower


def slope(field, axis):
    """Central difference along an axis, edges wrapped around."""
    return 0.5 * (np.roll(field, -1, axis) - np.roll(field, 1, axis))


def without_divergence(down, right, sweeps=10):
    """Take away the gradient of a pressure that a few sweeps of Jacobi's method give."""
    source = -(slope(down, 0) + slope(right, 1))
    pressure = np.zeros(down.shape)
    for _ in range(sweeps):
        pressure = (source + sum(neighbours(pressure))) / 4.0
    return down - slope(pressure, 0), right - slope(pressure, 1)


def smoke(velocities, start, target):
    """Give the mean square between smoke after ten steps and a picture."""
    down, right = velocities
    field = start
    for _ in range(10):
        down, right = without_divergence(carried(down, down, right), carried(right, down, right))
        field = carried(field, down, right)
    return np.mean((field - target) ** 2)


def smoke_arguments(rng):
    """A grid of 24 by 24 cells."""
    y, x = np.mgrid[:24, :24]
    start = np.exp(-((y - 8.0) ** 2 + (x - 8.0) ** 2) / 12.0)
    target = np.exp(-((y - 14.0) ** 2 + (x - 12.0) ** 2) / 12.0)
    return 0.5 * rng.standard_normal((2, 24, 24)), start, target

"""Made by jitgrad from graph_energy (corpus.py:graph_energy): 21 instructions in 5 statements."""

import numpy as np

positions = np.array([3, 2, 5, 4, 5, 4, 4], dtype=np.int64)
positions2 = np.array([0, 1, 2, 0, 3, 1, 2], dtype=np.int64)


def add_up(total, term):
    return total + term


def graph_energy_gradient(x, grad_x):
    """Return the value; write grad_x."""
    # corpus.py:graph_energy+3
    energy = 0.0
    for i in range(6):
        grad_x[i] = 0.0
    for i in range(7):
        positions_i = positions[i]
        positions2_i = positions2[i]
        t1 = x[positions_i] - x[positions2_i]
        energy = add_up(energy, t1 * t1)
        grad_x[positions_i] += 2.0 * t1
        grad_x[positions2_i] -= 2.0 * t1
    return energy

"""Made by jitgrad from binomial_tree (corpus.py:binomial_tree): 105 instructions in 21 statements."""

import numpy as np

from jitgrad.vector_math import power

constants = np.array([-5.0, -3.0, -1.0, 1.0, 3.0, 5.0])


def where(x, y, z):
    return y if x else z


def maximum(x, y):
    return where((x >= y) | (x != x), x, y)


def add_up(total, term):
    return total + term


def binomial_tree_gradient(spot, sigma, grad_spot, grad_sigma):
    """Return the value; write grad_spot, grad_sigma."""
    t2 = np.empty(6)
    t3 = np.empty(6)
    t4 = np.empty((6, 6))
    t7 = np.empty(6)
    total = np.empty(6)
    total2 = np.empty(6)
    # corpus.py:binomial_tree+2
    up = np.exp(sigma * 0.4472135954999579)
    # corpus.py:binomial_tree+3
    down = 1.0 / up
    # corpus.py:binomial_tree+4
    t1 = up - down
    p = (1.004008010677342 - down) / t1
    # corpus.py:binomial_tree+6
    for i in range(6):
        t2[i] = power(up, constants[i])
        t3[i] = maximum(spot * t2[i] - 100.0, 0.0)
    for i in range(1, 6):
        t4[0, i] = maximum(spot * t2[i] - 100.0, 0.0)
    t4[0, 0] = t3[0]
    # corpus.py:binomial_tree+9
    t5 = 1.0 - p
    for i in range(5):
        for j in range(5 - i):
            t4[i + 1, j] = 0.9960079893439915 * (p * t4[i, j + 1] + t5 * t4[i, j])
    up_bar = 0.0
    p_bar = 0.0
    for i in range(6):
        total[i] = 0.0
    total[0] += 1.0
    for i in range(4, -1, -1):
        for j in range(6):
            total2[j] = 0.0
        for j in range(5 - i):
            t6 = 0.9960079893439915 * total[j]
            total2[j] += t6 * t5
            p_bar = add_up(p_bar, t6 * t4[i, j + 1] - t6 * t4[i, j])
            total2[j + 1] += t6 * p
        for j in range(6):
            total[j] = total2[j]
    t7[0] = total[0]
    for i in range(1, 6):
        t7[i] = total[i]
    grad_spot2 = 0.0
    # corpus.py:binomial_tree+6
    for i in range(6):
        t2_i = t2[i]
        t8 = spot * t2_i - 100.0
        t7_i = t7[i]
        t9 = where(t8 > 0.0, t7_i, where(t8 == 0.0, 0.5 * t7_i, 0.0))
        grad_spot2 = add_up(grad_spot2, t9 * t2_i)
        constants_i = constants[i]
        t10 = t9 * spot * (constants_i * power(up, constants_i - 1.0))
        up_bar = add_up(up_bar, where(constants_i == 0.0, 0.0, t10))
    grad_spot[()] = grad_spot2
    # corpus.py:binomial_tree+4
    t11 = -(p_bar / t1)
    t12 = t11 * p
    # corpus.py:binomial_tree+3
    up_bar += t12 + (t11 - t12) * -(down * down)
    # corpus.py:binomial_tree+2
    grad_sigma[()] = up_bar * up * 0.4472135954999579
    return t4[5, 0]

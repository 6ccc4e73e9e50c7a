"""First steps: a series in a loop, a formula of arrays, a valley, logistic regression."""

import numpy as np


def sine_series(x):
    """Sum sin(x) over an array, each from the first 15 terms of its Taylor series."""
    term = x
    total = term
    for k in range(1, 15):
        term = -term * x**2 / (2 * k * (2 * k + 1))
        total = total + term
    return np.sum(total)


def sine_arguments(rng):
    """400 angles, where 15 terms are exact to the last digits."""
    return (rng.uniform(-3.0, 3.0, 400),)


def tanh_sum(x):
    """Sum tanh over an array, written with exp; its gradient is tanh's derivative, elementwise."""
    decay = np.exp(-2.0 * x)
    return np.sum((1.0 - decay) / (1.0 + decay))


def tanh_arguments(rng):
    """700 points."""
    return (np.linspace(-5.0, 7.0, 700),)


def valley(x):
    """Rosenbrock's function of two variables."""
    a, b = x
    return (1.0 - a) ** 2 + 100.0 * (b - a**2) ** 2


def valley_arguments(rng):
    """One point."""
    return (np.array([-1.2, 1.0]),)


def logistic_regression(weights, inputs, labels):
    """Give the negative log-likelihood of labels in {0, 1}."""
    probability = 0.5 * (1.0 + np.tanh(0.5 * (inputs @ weights)))
    chosen = np.where(labels, probability, 1.0 - probability)
    return -np.sum(np.log(chosen))


def logistic_arguments(rng):
    """500 rows of 20 features."""
    inputs = rng.standard_normal((500, 20))
    labels = inputs @ rng.standard_normal(20) + rng.standard_normal(500) > 0.0
    return 0.1 * rng.standard_normal(20), inputs, labels

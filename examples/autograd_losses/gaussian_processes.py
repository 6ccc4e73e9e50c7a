"""Gaussian processes: regression, two of them in a row, and one whose inputs are unknown."""

import numpy as np
from scipy.stats import multivariate_normal, norm


def covariance(params, x, y):
    """Squared-exponential covariance of points (n, d) and (m, d)."""
    a, b = x / np.exp(params[1:]), y / np.exp(params[1:])
    distance = np.sum((a[:, None, :] - b[None, :, :]) ** 2, axis=2)
    return np.exp(params[0] - 0.5 * distance)


def log_marginal(params, x, y):
    """Log-likelihood of targets (n,), given mean, log noise and covariance parameters."""
    noise = np.exp(params[1]) + 1e-4
    matrix = covariance(params[2:], x, x) + noise * np.eye(len(y))
    return multivariate_normal.logpdf(y, params[0] * np.ones(len(y)), matrix)


def regression(params, x, y):
    """Give the negative log marginal likelihood of Gaussian process regression."""
    return -log_marginal(params, x, y)


def regression_arguments(rng):
    """40 points on a line."""
    x = np.sort(rng.uniform(-2.0, 2.0, (40, 1)), axis=0)
    return 0.1 * rng.standard_normal(4), x, np.cos(3.0 * x[:, 0]) + 0.1 * rng.standard_normal(40)


def deep(params, x, y):
    """Give the negative log-likelihood of two processes in a row, and of what is between them."""
    between = params["between"]
    first = log_marginal(params["first"], x, between)
    return -first - log_marginal(params["second"], between[:, None], y)


def deep_arguments(rng):
    """20 points of a step, as a function of a line."""
    x = np.linspace(-2.0, 2.0, 20)
    params = {"first": 0.1 * rng.standard_normal(4), "second": 0.1 * rng.standard_normal(4)}
    params["between"] = 0.5 * rng.standard_normal(20)
    return params, x[:, None], np.sign(x) + 0.1 * rng.standard_normal(20)


def latent_inputs(params, data):
    """Give the negative log-posterior of a process for each column of the data, inputs unknown."""
    processes, inputs = params
    likelihood = sum(log_marginal(row, inputs, data[:, k]) for k, row in enumerate(processes))
    return -likelihood - np.sum(norm.logpdf(inputs))


def latent_arguments(rng):
    """30 points in three dimensions, from two."""
    params = (0.1 * rng.standard_normal((3, 5)), rng.standard_normal((30, 2)))
    return params, rng.standard_normal((30, 3))

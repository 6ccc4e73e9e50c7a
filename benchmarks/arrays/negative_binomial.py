"""A negative-binomial regression of counts: gammaln, whose derivative is digamma."""

from math import exp, lgamma, log, pi

import numpy as np
from scipy import special

from benchmarks.arrays.row import Row
from benchmarks.direct import fast

HALF_LOG_2PI = 0.5 * log(2 * pi)


def negative_binomial(coefficients, log_size, X, counts):
    """Return minus the log-likelihood of `counts` (m,), given rows `X` (m, n) and a log link."""
    mean = np.exp(X @ coefficients)
    size = np.exp(log_size)
    ways = special.gammaln(counts + size) - special.gammaln(size) - special.gammaln(counts + 1)
    odds = size * np.log(size / (size + mean)) + counts * np.log(mean / (size + mean))
    return -np.sum(ways + odds)


def make(rng):
    """Return ten coefficients, the logarithm of the dispersion's inverse, and 1,000 counts."""
    X = 0.3 * rng.standard_normal((1000, 10))
    X[:, 0] = 1.0
    coefficients = rng.standard_normal(10)
    counts = rng.poisson(np.exp(X @ coefficients) * rng.gamma(2.0, 0.5, 1000)).astype(float)
    return coefficients + 0.1 * rng.standard_normal(10), 0.4, X, counts


def by_numpy(coefficients, log_size, X, counts):
    eta = X @ coefficients
    mean, size = np.exp(eta), np.exp(log_size)
    both = size + mean
    ways = special.gammaln(counts + size) - special.gammaln(size) - special.gammaln(counts + 1)
    value = -np.sum(ways + size * (log_size - np.log(both)) + counts * (eta - np.log(both)))
    by_eta = mean * (size + counts) / both - counts
    by_size = special.digamma(counts + size) - special.digamma(size)
    by_size += log_size - np.log(both) + (mean - counts) / both
    return value, (by_eta @ X, -size * np.sum(by_size), None, None)


@fast("reassoc")
def log_gamma_and_digamma(x):
    """Stirling's series for both, after steps that bring `x` above 8."""
    product, shift = 1.0, 0.0
    while x < 8.0:
        product *= x
        shift += 1.0 / x
        x += 1.0
    logarithm, r = log(x), 1.0 / x
    s = r * r
    series = 1 / 1260 - s * (1 / 1680 - s * (1 / 1188 - s * (691 / 360360 - s / 156)))
    log_gamma = (x - 0.5) * logarithm - x + HALF_LOG_2PI + r * (1 / 12 - s * (1 / 360 - s * series))
    slope = 1 / 252 - s * (1 / 240 - s * (1 / 132 - s * (691 / 32760 - s / 12)))
    digamma = logarithm - 0.5 * r - s * (1 / 12 - s * (1 / 120 - s * slope))
    return (log_gamma - log(product) if shift > 0.0 else log_gamma), digamma - shift


@fast("reassoc")
def by_numba(coefficients, log_size, X, counts, g, g_size):
    """One pass over the rows; logarithm of gamma and digamma share their steps."""
    m, n = X.shape
    size = exp(log_size)
    start, start_slope = log_gamma_and_digamma(size)
    g[:] = 0.0
    value = by_size = 0.0
    for i in range(m):
        eta = 0.0
        for j in range(n):
            eta += X[i, j] * coefficients[j]
        mean, y = exp(eta), counts[i]
        both = size + mean
        ratio = log(both)
        ways, slope = log_gamma_and_digamma(y + size)
        value += ways - start - lgamma(y + 1.0)
        value += size * (log_size - ratio) + y * (eta - ratio)
        by_size += slope - start_slope + log_size - ratio + (mean - y) / both
        by_eta = mean * (size + y) / both - y
        for j in range(n):
            g[j] += by_eta * X[i, j]
    g_size[()] = -size * by_size
    return -value


def torch_loss(torch, coefficients, log_size, X, counts):
    mean, size = torch.exp(X @ coefficients), torch.exp(log_size)
    ways = torch.lgamma(counts + size) - torch.lgamma(size) - torch.lgamma(counts + 1)
    odds = size * torch.log(size / (size + mean)) + counts * torch.log(mean / (size + mean))
    return -torch.sum(ways + odds)


def pytensor_loss(pt, coefficients, log_size, X, counts):
    mean, size = pt.exp(pt.dot(X, coefficients)), pt.exp(log_size)
    ways = pt.gammaln(counts + size) - pt.gammaln(size) - pt.gammaln(counts + 1)
    odds = size * pt.log(size / (size + mean)) + counts * pt.log(mean / (size + mean))
    return -pt.sum(ways + odds)


ROWS = (
    Row(
        "negative-binomial",
        "negative-binomial regression, 1,000 × 10",
        negative_binomial,
        make,
        by_numpy,
        by_numba,
        (0, 1),
        {"torch": torch_loss, "pytensor": pytensor_loss, "casadi": "it has no gammaln"},
    ),
)

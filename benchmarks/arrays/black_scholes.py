"""Prices of 100,000 European calls by Black and Scholes, and their delta, vega and rho."""

from math import pi, sqrt

import numpy as np
from scipy import special

from benchmarks.arrays import vector_math
from benchmarks.arrays.row import Row
from benchmarks.arrays.vector_math import fast_exp, fast_log
from benchmarks.direct import fast

OPTIONS = 100_000


def normal_cdf(x):
    """Return the standard normal distribution function."""
    return 0.5 * (1 + special.erf(x / np.sqrt(2)))


def black_scholes(spot, volatility, rate, strike, expiry):
    """Return the sum of the prices of calls; every argument is (n,)."""
    spread = volatility * np.sqrt(expiry)
    d1 = (np.log(spot / strike) + (rate + 0.5 * volatility**2) * expiry) / spread
    d2 = d1 - spread
    return np.sum(spot * normal_cdf(d1) - strike * np.exp(-rate * expiry) * normal_cdf(d2))


def make(rng):
    """Return spots, volatilities, rates, strikes and expiries."""
    n = OPTIONS
    bounds = ((80, 120), (0.1, 0.5), (0.01, 0.06), (80, 120), (0.2, 2.0))
    return tuple(rng.uniform(low, high, n) for low, high in bounds)


def by_numpy(spot, volatility, rate, strike, expiry):
    root = np.sqrt(expiry)
    spread = volatility * root
    d1 = (np.log(spot / strike) + (rate + 0.5 * volatility**2) * expiry) / spread
    d2 = d1 - spread
    delta = 0.5 + 0.5 * special.erf(d1 * 0.5**0.5)
    paid = strike * np.exp(-rate * expiry) * (0.5 + 0.5 * special.erf(d2 * 0.5**0.5))
    vega = spot * np.exp(-0.5 * d1 * d1) * (root / np.sqrt(2 * np.pi))
    return np.sum(spot * delta - paid), (delta, vega, paid * expiry, None, None)


@fast("reassoc")
def by_numba(spot, volatility, rate, strike, expiry, delta, vega, rho):
    """One pass: the three derivatives fall out of the price's own parts."""
    total = 0.0
    for i in range(spot.shape[0]):
        root = sqrt(expiry[i])
        spread = volatility[i] * root
        d1 = fast_log(spot[i] / strike[i]) + (rate[i] + 0.5 * volatility[i] ** 2) * expiry[i]
        d1 /= spread
        above = vector_math.normal_cdf(d1)
        below = vector_math.normal_cdf(d1 - spread)
        paid = strike[i] * fast_exp(-rate[i] * expiry[i]) * below
        total += spot[i] * above - paid
        delta[i] = above
        vega[i] = spot[i] * root * fast_exp(-0.5 * d1 * d1) * (1.0 / sqrt(2.0 * pi))
        rho[i] = paid * expiry[i]
    return total


def torch_loss(torch, spot, volatility, rate, strike, expiry):
    ndtr = torch.special.ndtr
    spread = volatility * torch.sqrt(expiry)
    d1 = (torch.log(spot / strike) + (rate + 0.5 * volatility**2) * expiry) / spread
    return (spot * ndtr(d1) - strike * torch.exp(-rate * expiry) * ndtr(d1 - spread)).sum()


def prices(lib, spot, volatility, rate, strike, expiry):
    """Return the calls' prices by a library's erf."""
    spread = volatility * lib.sqrt(expiry)
    d1 = (lib.log(spot / strike) + (rate + 0.5 * volatility**2) * expiry) / spread
    above = 0.5 * (1 + lib.erf(d1 * 0.5**0.5))
    below = 0.5 * (1 + lib.erf((d1 - spread) * 0.5**0.5))
    return spot * above - strike * lib.exp(-rate * expiry) * below


def pytensor_loss(pt, *arguments):
    return pt.sum(prices(pt, *arguments))


def casadi_loss(ca, *arguments):
    return ca.sum1(prices(ca, *arguments))


ROWS = (
    Row(
        "black-scholes",
        "Black-Scholes, 100,000 options",
        black_scholes,
        make,
        by_numpy,
        by_numba,
        (0, 1, 2),
        {"torch": torch_loss, "pytensor": pytensor_loss, "casadi MX": casadi_loss},
    ),
)

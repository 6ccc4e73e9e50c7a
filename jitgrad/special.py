"""The polygamma functions, for Python and for kernels: the derivatives of gammaln.

Small arguments are raised by the recurrence, large ones take the asymptotic series, negative ones
are reflected (DLMF 5.5.2, 5.5.4, 5.11.2, 5.15.6 and 5.15.8, https://dlmf.nist.gov/5).

>>> round(digamma(1.0), 12), round(polygamma(1.0, 1.0), 12)
(-0.577215664902, 1.644934066848)
"""

import math

import numpy as np
from numba.extending import register_jitable

BERNOULLI = (  # B2, B4, ..., B20
    1 / 6,
    -1 / 30,
    1 / 42,
    -1 / 30,
    5 / 66,
    -691 / 2730,
    7 / 6,
    -3617 / 510,
    43867 / 798,
    -174611 / 330,
)


@register_jitable  # type: ignore[untyped-decorator]
def _beside(x: float) -> float:
    """Return how far x is from the nearest whole number, exactly."""
    low: float = np.floor(x)  # math's would be a whole number of 64 bits in a kernel
    return x - low if x - low <= 0.5 else x - (low + 1.0)


LOWEST = -1000.0  # of an argument that the recurrence alone raises
HIGHEST = 100.0  # order: the factorials of higher ones overflow


@register_jitable  # type: ignore[untyped-decorator]
def digamma(x: float) -> float:
    """Return the derivative of log(gamma(x)); NaN at 0 and the negative integers."""
    if x == -math.inf or (x <= 0.0 and x == np.floor(x)):
        return math.nan
    reflected = 0.0
    if x < 0.0:
        reflected = math.pi / math.tan(math.pi * _beside(x))
        x = 1.0 - x
    numerator, denominator = 0.0, 1.0  # of 1 / x + 1 / (x + 1) + ...: one division for all
    while x < 8.0:
        numerator = numerator * x + denominator
        denominator *= x
        x += 1.0
    square = 1.0 / (x * x)
    series, power = 0.0, square
    for k in range(10):
        series += BERNOULLI[k] * power / (2 * k + 2)
        power *= square
    return math.log(x) - 0.5 / x - series - numerator / denominator - reflected


@register_jitable  # type: ignore[untyped-decorator]
def polygamma(n: float, x: float) -> float:
    """Return the derivative of digamma of order n.

    NaN at 0 and the negative integers, for an n that is not a whole number from 1 to 100, and for n
    above 1 below x = -1000.
    """
    pole = x == -math.inf or (x <= 0.0 and x == np.floor(x))
    if pole or not 1.0 <= n <= HIGHEST or n != np.floor(n) or (n > 1.0 and x < LOWEST):
        return math.nan
    if x < 0.0 and n == 1.0:
        sine = math.sin(math.pi * _beside(x))
        return (math.pi / sine) ** 2 - _polygamma(n, 1.0 - x)  # type: ignore[no-any-return]
    return _polygamma(n, x)  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def _polygamma(n: float, x: float) -> float:
    """The recurrence and the series."""
    factorial = math.gamma(n + 1.0)
    total: float = 0.0
    while x < 14.0 + n:
        total += factorial / x ** (n + 1.0)
        x += 1.0
    series = factorial / n / x**n + factorial / (2.0 * x ** (n + 1.0))
    term = factorial / x ** (n + 2.0) * (n + 1.0) / 2.0  # (n + 1)! / (2! x^(n + 2))
    for k in range(10):
        series += BERNOULLI[k] * term
        j = 2.0 * k + 3.0
        term *= (n + j - 1.0) * (n + j) / (j * (j + 1.0) * x * x)
    total += series
    return total if n % 2.0 == 1.0 else -total

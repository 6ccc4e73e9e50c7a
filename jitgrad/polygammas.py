"""The logarithm of gamma, its derivatives and the Hurwitz zeta function, for Python and kernels.

Small arguments are raised by the recurrence, large ones take the asymptotic series, negative ones
are reflected (DLMF 5.5.2, 5.5.4, 5.11.2, 5.15.1 and 25.11.5, https://dlmf.nist.gov).

>>> round(digamma(1.0), 12), round(polygamma(1.0, 1.0), 12), round(zeta(2.0, 1.0), 12)
(-0.577215664902, 1.644934066848, 1.644934066848)
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
LOW = 8.0  # from here on digamma's series has its full accuracy
EULER = 0.5772156649015329
LARGEST_GAMMALN = 2.5e305  # of the arguments for which it is a float64
LARGEST_FACTORIAL = 170.0  # of the whole numbers whose factorial is a float64


@register_jitable  # type: ignore[untyped-decorator]
def _beside(x: float) -> float:
    """Return how far x is from the nearest whole number, exactly."""
    low: float = np.floor(x)  # math's would be a whole number of 64 bits in a kernel
    return x - low if x - low <= 0.5 else x - (low + 1.0)


@register_jitable  # type: ignore[untyped-decorator]
def digamma(x: float) -> float:
    """Return the derivative of log(gamma(x)); NaN at the negative integers, infinite at 0."""
    if x == 0.0:
        return -math.copysign(math.inf, x)
    if x == -math.inf or (x <= 0.0 and x == np.floor(x)):
        return math.nan
    reflected = 0.0
    if x < 0.0:
        reflected = math.pi / math.tan(math.pi * _beside(x))
        x = 1.0 - x
    numerator, denominator = 0.0, 1.0  # of 1 / x + 1 / (x + 1) + ...: one division for all
    while x < LOW:
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
def digamma_step(x: float, h: float) -> float:
    """Return digamma(x + h) - digamma(x), with all digits also where the two are close."""
    if not (x > 0.0 and x + h > 0.0) or max(x, x + h) == math.inf:
        return digamma(x + h) - digamma(x)  # type: ignore[no-any-return]
    total = 0.0
    while min(x, x + h) < LOW:
        total += h / x / (x + h)
        x += 1.0
    y = x + h
    away = h / x / y  # 1 / x - 1 / y
    total += math.log1p(h / x) + 0.5 * away
    first, second = 1.0 / (x * x), 1.0 / (y * y)
    difference = gap = away * (1.0 / x + 1.0 / y)  # of these two, and then of their powers
    power = second
    for k in range(10):
        total += BERNOULLI[k] * difference / (2 * k + 2)
        difference = first * difference + power * gap
        power *= second
    return total


@register_jitable  # type: ignore[untyped-decorator]
def polygamma(n: float, x: float) -> float:
    """Return the derivative of digamma of order n.

    NaN for an n that is not a whole number from 0 on. At 0 and the negative integers it is infinite
    for an odd n, and NaN for an even one, which has another sign on the other side.
    """
    if not 0.0 <= n < math.inf or n != np.floor(n):
        return math.nan
    if n == 0.0:
        return digamma(x)  # type: ignore[no-any-return]
    if x == -math.inf:
        return math.nan
    if x <= 0.0 and x == np.floor(x):
        return math.inf if n % 2.0 == 1.0 else math.nan
    found: float = _scaled_zeta(n + 1.0, x, True)
    return found if n % 2.0 == 1.0 else -found


@register_jitable  # type: ignore[untyped-decorator]
def gammaln(x: float) -> float:
    """Return log(abs(gamma(x))), with all digits also where it is small, near 1 and 2.

    There it is the series of DLMF 5.7.3, of which the system's lgamma has 7 digits at 1.000001.
    """
    z = x - 1.0 if x < 1.5 else x - 2.0
    if not -0.1 < z < 0.1:
        if x > LARGEST_GAMMALN or x == -math.inf or (x <= 0.0 and x == np.floor(x)):
            return math.inf
        return math.lgamma(x)
    total, power = (1.0 - EULER) * z, -z
    for k in range(len(ZETA_LESS_ONE)):
        power *= -z
        total += ZETA_LESS_ONE[k] * power / (k + 2.0)
    return total - math.log1p(z) if x < 1.5 else total


@register_jitable  # type: ignore[untyped-decorator]
def zeta(s: float, q: float) -> float:
    """Return the sum of (q + k) ** -s over all k from 0 on (DLMF 25.11.1).

    As SciPy's: infinite at s = 1 and where q is 0 or a negative integer, NaN for s below 1 and, if
    s is not a whole number, for negative q.
    """
    if s == 1.0:
        return math.inf
    if not s > 1.0 or q != q:
        return math.nan
    if q <= 0.0 and q == np.floor(q):
        return math.inf
    if q < 0.0 and s != np.floor(s):
        return math.nan
    return _scaled_zeta(s, q, False)  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def _scaled_zeta(s: float, q: float, factorial: bool) -> float:
    """Return zeta, or (s - 1)! times it, for any q but whole numbers up to 0.

    A sum over the whole numbers on both sides depends on q's fraction alone. It is the sum to the
    right and the sum to the left.
    """
    if q > 0.0:
        return _first_term(s, q, factorial) * _in_first_terms(s, q)  # type: ignore[no-any-return]
    low: float = np.floor(q)
    right, left, beyond = q - low, low + 1.0 - q, 1.0 - q
    every: float = _first_term(s, left, factorial) * _in_first_terms(s, left)
    every -= _first_term(s, beyond, factorial) * _in_first_terms(s, beyond)
    other: float = _first_term(s, right, factorial) * _in_first_terms(s, right)
    return other + every if s % 2.0 == 0.0 else other - every


@register_jitable  # type: ignore[untyped-decorator]
def _first_term(s: float, q: float, factorial: bool) -> float:
    """Return q ** -s, or (s - 1)! times it; that neither factor overflows alone, in two steps."""
    if not factorial:
        term: float = q**-s
        return term
    if s - 1.0 > LARGEST_FACTORIAL:
        logarithm = math.lgamma(s) - s * math.log(q)
        return math.exp(logarithm) if logarithm < 709.0 else math.inf
    half = q ** (0.5 * s)
    return math.gamma(s) / half / half if half > 0.0 else math.inf


@register_jitable  # type: ignore[untyped-decorator]
def _in_first_terms(s: float, q: float) -> float:
    """Return zeta(s, q) / q ** -s for positive q: the sum of (q / (q + k)) ** s."""
    if q == math.inf:
        return q / (s - 1.0)
    total, x, share = 0.0, q, 1.0
    while x < 14.0 + s:
        total += share
        x += 1.0
        share = (q / x) ** s
        if share < 1e-18 * total:
            return total
    series = x / (s - 1.0) + 0.5
    term = 0.5 * s / x  # (s + 2 k)! / ((s - 1)! (2 k + 2)! x ** (2 k + 1))
    for k in range(10):
        series += BERNOULLI[k] * term
        j = 2.0 * k + 3.0
        term *= (s + j - 2.0) * (s + j - 1.0) / (j * (j + 1.0) * x * x)
    return total + share * series


ZETA_LESS_ONE = tuple(zeta(float(k), 2.0) for k in range(2, 16))

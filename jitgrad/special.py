"""The polygamma functions, for Python and for kernels: the derivatives of gammaln.

Small arguments are raised by the recurrence, large ones take the asymptotic series (DLMF 5.5.2,
5.11.2 and 5.15.8, https://dlmf.nist.gov/5).

>>> round(digamma(1.0), 15), round(polygamma(1.0, 1.0), 15)
(-0.577215664901533, 1.644934066848226)
"""

import math

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
def digamma(x: float) -> float:
    """Return the derivative of log(gamma(x)); NaN at 0 and the negative integers."""
    if x == -math.inf or (x <= 0.0 and x == math.floor(x)):
        return math.nan
    total = 0.0
    while x < 12.0:
        total -= 1.0 / x
        x += 1.0
    square = 1.0 / (x * x)
    series, power = 0.0, square
    for k in range(10):
        series += BERNOULLI[k] * power / (2 * k + 2)
        power *= square
    return total + (math.log(x) - 0.5 / x - series)


@register_jitable  # type: ignore[untyped-decorator]
def polygamma(n: float, x: float) -> float:
    """Return the derivative of digamma of order n, for a whole n of at least 1."""
    if x == -math.inf or (x <= 0.0 and x == math.floor(x)):
        return math.nan
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

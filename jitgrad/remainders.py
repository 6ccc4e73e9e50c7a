"""What is left where the leading terms of a formula cancel: derivatives of erfcx and exprel.

The derivative of ``erfcx`` is ``2 x erfcx(x) - 2 / sqrt(pi)``, of which nothing is right for large
x, and that of ``expm1(x) / x`` is as bad near 0. Each family here is closed under differentiation.

>>> round(erfc_ratio(1.0, 0.0), 12), exprel_moment(0.0, 0.0), log1p_moment(1.0, 0.0)
(0.564189583548, 1.0, 0.5)
"""

import math

from numba.extending import register_jitable

ROOT_PI = 1.7724538509055159
NEAR = 1.5  # from here on the continued fraction is used; it is short
FAR = 30.0  # beyond it the recurrence of `exprel_moment` is stable, and its series long


@register_jitable  # type: ignore[untyped-decorator]
def erfc_ratio(n: float, x: float) -> float:
    """Return the n-th level of the continued fraction of erfcx.

    ``sqrt(pi) erfcx(x) = 1 / (x + r1)`` with ``r1 = (1/2) / (x + r2)``, ``r2 = (2/2) / (x + r3)``
    and so on (DLMF 7.9.1). The derivative of erfcx is ``-2 r1 erfcx(x)``, that of a level
    ``2 rn (rn - rm)`` with m = n + 1.
    """
    if x >= NEAR:
        level = 0.0
        for k in range(int(12.0 + 290.0 / (x * x)), -1, -1):
            level = 0.5 * (n + k) / (x + level)
        return level
    level = math.exp(-x * x) / (ROOT_PI * math.erfc(x)) - x
    for k in range(1, int(n)):
        level = 0.5 * k / level - x
    return level


@register_jitable  # type: ignore[untyped-decorator]
def exprel_moment(n: float, x: float) -> float:
    """Return the integral of t ** n exp(x t) over t from 0 to 1; n is a whole number.

    With n = 0 it is ``expm1(x) / x``; the derivative is the moment of order n + 1. Its series has
    positive terms alone, if that of exp(-x t) is taken for a negative x (DLMF 13.2.2 and 13.2.39).
    """
    if not -FAR <= x <= FAR:
        power = math.exp(x) if x < 709.0 else math.inf
        moment = (power - 1.0) / x if power < math.inf else power
        k = 1.0
        while k <= n:
            moment = (power - k * moment) / x if power < math.inf else power
            k += 1.0
        return moment if x == x else x
    term, total, k = 1.0, 0.0, 0.0
    if x < 0.0:
        term = math.exp(x) / (n + 1.0)
        while term > 1e-18 * total:
            total += term
            k += 1.0
            term *= -x / (n + k + 1.0)
        return total
    while term > 1e-18 * total:
        total += term / (n + k + 1.0)
        k += 1.0
        term *= x / k
    return total


@register_jitable  # type: ignore[untyped-decorator]
def log1p_moment(n: float, x: float) -> float:
    """Return the integral of t ** n / (1 + x t) ** (n + 1) over t from 0 to 1; n is a whole number.

    With n = 0 it is ``log1p(x) / x``; the derivative is ``-(n + 1)`` times the moment of order
    n + 1. With s = x / (1 + x) it is a power of 1 - s times the integral of t ** n / (1 - s t).
    """
    if not x > -1.0:
        return math.nan
    s = x / (1.0 + x)
    if not -0.5 < s < 0.5:
        moment, k = math.log1p(x) / s, 1.0
        while k <= n:
            moment = (moment - 1.0 / k) / s
            k += 1.0
    else:
        moment, power, k = 0.0, 1.0, 0.0
        while k < 60.0:
            moment += power / (n + k + 1.0)
            power *= s
            k += 1.0
    scale: float = (1.0 + x) ** (n + 1.0)
    return moment / scale

"""The incomplete gamma and beta functions: their densities, and derivatives in the parameters.

The derivative of gammainc(a, x) in a is the integral of the density times ``log t - digamma(a)``,
over t from 0 to x or, with the other sign, from x on. The logarithm changes its sign once: of the
two ranges the one where it does not is taken, so that nothing cancels. With betainc it is the same.

>>> round(gammainc_by_a(2.0, 1.5), 12), round(betainc_by_a(2.0, 3.0, 0.4), 12)
(-0.313488637825, -0.240869376088)
"""

import math

import numpy as np
from numba.extending import register_jitable

from jitgrad.polygammas import BERNOULLI, digamma, digamma_step, polygamma

HALF_LOG_TWO_PI = 0.9189385332046727
POINTS, WEIGHTS = (tuple(map(float, x)) for x in np.polynomial.legendre.leggauss(20))  # of a panel
PANEL = 4.0  # the longest one, in the logarithm of t or of t / (1 - t)
SHORTEST = 4  # how many panels at least
NEGLIGIBLE = 42.0  # what the logarithm of a density falls by until the rest does not matter
START = -40.0  # below it log(t) is log(t / (1 - t)), to the last digit


@register_jitable  # type: ignore[untyped-decorator]
def _stirling_rest(a: float) -> float:
    """Return what Stirling's formula leaves of log(gamma(a)) (DLMF 5.11.1)."""
    if a < 10.0:
        return math.lgamma(a) - ((a - 0.5) * math.log(a) - a + HALF_LOG_TWO_PI)
    power, total = 1.0 / a, 0.0
    for k in range(10):
        total += BERNOULLI[k] * power / ((2 * k + 2) * (2 * k + 1))
        power /= a * a
    return total


# --- gamma ----------------------------------------------------------------------------------------


@register_jitable  # type: ignore[untyped-decorator]
def _log_gamma_weight(a: float, x: float) -> float:
    """Return log(x ** a exp(-x) / gamma(a)); the large terms cancel near the peak, here exactly."""
    away = (x - a) / a
    near = math.log1p(away) if abs(away) < 0.5 else math.log(x / a)
    return a * (near - away) + 0.5 * math.log(a) - HALF_LOG_TWO_PI - _stirling_rest(a)  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def gamma_density(a: float, x: float) -> float:
    """Return x ** (a - 1) exp(-x) / gamma(a), the derivative of gammainc in x."""
    if not (a > 0.0 and x >= 0.0):
        return math.nan
    if x == 0.0:
        return 0.0 if a > 1.0 else 1.0 if a == 1.0 else math.inf
    if x == math.inf or a == math.inf:
        return 0.0 if a < math.inf else math.nan
    weight: float = math.exp(_log_gamma_weight(a, x))
    return weight / x


@register_jitable  # type: ignore[untyped-decorator]
def gammainc_by_a(a: float, x: float) -> float:
    """Return the derivative of gammainc(a, x) in a."""
    return _gamma_by_a(a, x, False)  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def gammainc_by_aa(a: float, x: float) -> float:
    """Return the second derivative of gammainc(a, x) in a."""
    return _gamma_by_a(a, x, True)  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def _gamma_by_a(a: float, x: float, twice: bool) -> float:
    if not (0.0 < a < math.inf and x >= 0.0):
        return math.nan
    if x == 0.0 or x == math.inf:
        return 0.0
    log_x = math.log(x)
    if log_x > digamma(a + 1.0):
        return -_gamma_tail(a, x, twice)  # type: ignore[no-any-return]
    # DLMF 8.7.1, each term times its logarithmic derivative
    slope, bend = log_x - digamma(a + 1.0), polygamma(1.0, a + 1.0) if twice else 0.0
    term, k, total = 1.0, 1.0, slope * slope - bend if twice else slope
    while term > 1e-18:
        step = 1.0 / (a + k)
        term *= x * step
        slope -= step
        bend -= step * step
        total += term * (slope * slope - bend if twice else slope)
        k += 1.0
    return total * math.exp(_log_gamma_weight(a, x)) / a  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def _gamma_tail(a: float, x: float, twice: bool) -> float:
    """Integrate from x on, in v = log(t / x)."""
    slope, bend = math.log(x) - digamma(a), polygamma(1.0, a) if twice else 0.0
    length = math.sqrt(2.0 * NEGLIGIBLE / x)
    for _ in range(8):  # of Newton's steps to where the density is negligible, from beyond
        fallen = x * math.expm1(length) - a * length - NEGLIGIBLE
        length -= fallen / (x * math.exp(length) - a)
    panels = max(SHORTEST, int(length / PANEL))
    half, total = 0.5 * length / panels, 0.0
    for panel in range(panels):
        for k in range(len(POINTS)):
            v = half * (2 * panel + 1 + POINTS[k])
            weight = WEIGHTS[k] * math.exp(a * v - x * math.expm1(v))
            total += weight * ((slope + v) * (slope + v) - bend if twice else slope + v)
    return total * half * math.exp(_log_gamma_weight(a, x))


# --- beta -----------------------------------------------------------------------------------------


@register_jitable  # type: ignore[untyped-decorator]
def _log_beta_weight(a: float, b: float, log_x: float, log_y: float) -> float:
    """Return log(x ** a y ** b / beta(a, b)) for the logarithms of x and of y = 1 - x."""
    rest = _stirling_rest(a) + _stirling_rest(b) - _stirling_rest(a + b)
    peak = 0.5 * (math.log(a) - math.log1p(a / b)) - HALF_LOG_TWO_PI - rest
    return a * (log_x + math.log1p(b / a)) + b * (log_y + math.log1p(a / b)) + peak  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def beta_density(a: float, b: float, x: float) -> float:
    """Return x ** (a - 1) (1 - x) ** (b - 1) / beta(a, b), the derivative of betainc in x."""
    if not (0.0 < a < math.inf and 0.0 < b < math.inf and 0.0 <= x <= 1.0):
        return math.nan
    if x == 0.0 or x == 1.0:
        other, power = (b, a) if x == 0.0 else (a, b)
        return 0.0 if power > 1.0 else other if power == 1.0 else math.inf
    weight: float = math.exp(_log_beta_weight(a, b, math.log(x), math.log1p(-x)))
    return weight / x / (1.0 - x)


@register_jitable  # type: ignore[untyped-decorator]
def betainc_by_a(a: float, b: float, x: float) -> float:
    """Return the derivative of betainc(a, b, x) in a."""
    return _beta_by(a, b, x, 1, 0)  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def betainc_by_b(a: float, b: float, x: float) -> float:
    """Return the derivative of betainc(a, b, x) in b."""
    return _beta_by(a, b, x, 0, 1)  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def betainc_by_aa(a: float, b: float, x: float) -> float:
    """Return the second derivative of betainc(a, b, x) in a."""
    return _beta_by(a, b, x, 2, 0)  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def betainc_by_ab(a: float, b: float, x: float) -> float:
    """Return the derivative of betainc(a, b, x) in a and in b."""
    return _beta_by(a, b, x, 1, 1)  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def betainc_by_bb(a: float, b: float, x: float) -> float:
    """Return the second derivative of betainc(a, b, x) in b."""
    return _beta_by(a, b, x, 0, 2)  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def _beta_by(a: float, b: float, x: float, in_a: int, in_b: int) -> float:
    """Differentiate so many times in each parameter."""
    if not (0.0 < a < math.inf and 0.0 < b < math.inf and 0.0 <= x <= 1.0):
        return math.nan
    if x == 0.0 or x == 1.0:
        return 0.0
    log_x, log_y = math.log(x), math.log1p(-x)
    low = log_x <= -digamma_step(a, b) if in_a else log_y >= -digamma_step(b, a)
    if low:
        return _beta_tail(a, b, log_x - log_y, in_a, in_b)  # type: ignore[no-any-return]
    return -_beta_tail(b, a, log_y - log_x, in_b, in_a)  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def _beta_tail(a: float, b: float, end: float, in_a: int, in_b: int) -> float:
    """Integrate over u = log(t / (1 - t)) up to an end.

    What is integrated is the density times powers of its logarithmic derivatives, which are log(t)
    and log(1 - t) less what they are on average, and less the average of that.
    """
    center, other = -digamma_step(a, b), -digamma_step(b, a)
    average = 0.0
    if in_a + in_b == 2:
        average = -polygamma(1.0, a + b) + (
            0.0 if in_a == 1 else polygamma(1.0, a if in_a == 2 else b)
        )
    peak: float = _log_beta_weight(a, b, 0.0, 0.0)
    start: float = _negligible_below(a, b, end)
    total = 0.0
    if start <= START:  # the rest is an exponential function times powers of u
        r, s = start - center, 1.0 / a
        ahead = s if in_a == 0 else (r - s) * s if in_a == 1 else (r * r - 2.0 * s * (r - s)) * s
        total = math.exp(_log_at(a, b, start) + peak) * (ahead * (-other) ** in_b - average * s)
    panels = max(SHORTEST, int((end - start) / PANEL))
    half = 0.5 * (end - start) / panels
    for panel in range(panels):
        for k in range(len(POINTS)):
            u = start + half * (2 * panel + 1 + POINTS[k])
            below, least, most = _below(u), min(u, 0.0), max(u, 0.0)
            weight = half * WEIGHTS[k] * math.exp(a * least - b * most - (a + b) * below + peak)
            powers = 1.0
            for _ in range(in_a):
                powers *= least - below - center
            for _ in range(in_b):
                powers *= -most - below - other
            total += weight * (powers - average)
    return total


@register_jitable  # type: ignore[untyped-decorator]
def _negligible_below(a: float, b: float, end: float) -> float:
    """Return below what the density is negligible, or where it has become an exponential."""
    top = min(end, math.log(a / b))
    lowest = _log_at(a, b, top) - NEGLIGIBLE
    start, step = end, 0.01
    while start > START and (start >= top or _log_at(a, b, start) > lowest):
        start, step = start - step, 1.25 * step
    return min(max(start, START), end)


@register_jitable  # type: ignore[untyped-decorator]
def _log_at(a: float, b: float, u: float) -> float:
    """Return log(t ** a (1 - t) ** b)."""
    return a * min(u, 0.0) - b * max(u, 0.0) - (a + b) * _below(u)  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def _below(u: float) -> float:
    """Return what the larger of t and 1 - t has for a logarithm, with the sign changed."""
    return math.log1p(math.exp(-abs(u)))

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

from jitgrad.polygammas import BERNOULLI, digamma, digamma_step

HALF_LOG_TWO_PI = 0.9189385332046727
POINTS, WEIGHTS = (tuple(map(float, x)) for x in np.polynomial.legendre.leggauss(20))  # of a panel
PANEL = 2.0  # the longest one, in the logarithm of t or of t / (1 - t)
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
    if not (0.0 < a < math.inf and x >= 0.0):
        return math.nan
    if x == 0.0 or x == math.inf:
        return 0.0
    log_x = math.log(x)
    if log_x > digamma(a + 1.0):
        return -_gamma_tail(a, x, log_x - digamma(a))
    term, k = 1.0, 1.0
    slope = log_x - digamma(a + 1.0)
    total = slope
    while term > 1e-18:  # DLMF 8.7.1, each term times its logarithmic derivative
        term *= x / (a + k)
        slope -= 1.0 / (a + k)
        total += term * slope
        k += 1.0
    return total * math.exp(_log_gamma_weight(a, x)) / a  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def _gamma_tail(a: float, x: float, slope: float) -> float:
    """Integrate from x on, in v = log(t / x); ``slope`` is log(x) - digamma(a)."""
    length = math.sqrt(2.0 * NEGLIGIBLE / x)
    for _ in range(8):  # of Newton's steps to where the density is negligible, from beyond
        fallen = x * math.expm1(length) - a * length - NEGLIGIBLE
        length -= fallen / (x * math.exp(length) - a)
    panels = max(SHORTEST, int(length / PANEL))
    half, total = 0.5 * length / panels, 0.0
    for panel in range(panels):
        for k in range(len(POINTS)):
            v = half * (2 * panel + 1 + POINTS[k])
            fallen = x * math.expm1(v) - a * v
            total += WEIGHTS[k] * math.exp(-fallen) * (slope + v)
    return total * half * math.exp(_log_gamma_weight(a, x))  # type: ignore[no-any-return]


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
    if not (0.0 < a < math.inf and 0.0 < b < math.inf and 0.0 <= x <= 1.0):
        return math.nan
    if x == 0.0 or x == 1.0:
        return 0.0
    center = -digamma_step(a, b)
    at = math.log(x) - math.log1p(-x)
    if math.log(x) <= center:
        return _beta_tail(a, b, at, center, False)  # type: ignore[no-any-return]
    return -_beta_tail(b, a, -at, center, True)  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def betainc_by_b(a: float, b: float, x: float) -> float:
    """Return the derivative of betainc(a, b, x) in b."""
    if not (0.0 < a < math.inf and 0.0 < b < math.inf and 0.0 <= x <= 1.0):
        return math.nan
    if x == 0.0 or x == 1.0:
        return 0.0
    center = -digamma_step(b, a)
    at = math.log(x) - math.log1p(-x)
    if math.log1p(-x) >= center:
        return _beta_tail(a, b, at, center, True)  # type: ignore[no-any-return]
    return -_beta_tail(b, a, -at, center, False)  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def _log_share(u: float) -> float:
    """Return log(t) for u = log(t / (1 - t))."""
    return -math.log1p(math.exp(-u)) if u > 0.0 else u - math.log1p(math.exp(u))


@register_jitable  # type: ignore[untyped-decorator]
def _log_at(a: float, b: float, u: float) -> float:
    return _log_beta_weight(a, b, _log_share(u), _log_share(-u))  # type: ignore[no-any-return]


@register_jitable  # type: ignore[untyped-decorator]
def _beta_tail(a: float, b: float, end: float, center: float, other: bool) -> float:
    """Integrate the density times a logarithm less ``center`` over u = log(t / (1 - t)) up to end.

    The logarithm is that of t, or of the ``other`` share, 1 - t.
    """
    top = min(end, math.log(a / b))
    lowest = _log_at(a, b, top) - NEGLIGIBLE
    start, step = end, 0.01
    while start > START and (start >= top or _log_at(a, b, start) > lowest):
        start, step = start - step, 1.25 * step
    start = min(max(start, START), end)
    total = 0.0
    if start <= START:  # the rest is an exponential function times u
        ahead = -center / a if other else (start - center) / a - 1.0 / (a * a)
        total = math.exp(_log_at(a, b, start)) * ahead
    panels = max(SHORTEST, int((end - start) / PANEL))
    half = 0.5 * (end - start) / panels
    for panel in range(panels):
        for k in range(len(POINTS)):
            u = start + half * (2 * panel + 1 + POINTS[k])
            logarithm = _log_share(-u if other else u)
            total += half * WEIGHTS[k] * math.exp(_log_at(a, b, u)) * (logarithm - center)
    return total

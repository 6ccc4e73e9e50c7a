"""scipy.stats' distributions for Values: densities and distribution functions.

A distribution is a few formulas in its standard form, each of `x` and the shape parameters (see
`distributions`). Parametrisations are SciPy's; the formulas stand in the documentation of
scipy.stats.

>>> from jitgrad import Value
>>> round(float(norm.logpdf(Value(1.0), loc=0.0, scale=2.0).data), 12)
-1.737085713765
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitgrad.graph import elementwise
from jitgrad.protocols import SPECIAL
from jitgrad.scipy.distributions import FROM_ONE, POSITIVE, UNIT, Discrete, Distribution
from jitgrad.scipy.multivariate import dirichlet, multivariate_normal, wishart
from jitgrad.scipy.special import softplus
from jitgrad.ufuncs import Array, as_value, where

__all__ = [
    "bernoulli",
    "beta",
    "binom",
    "cauchy",
    "chi2",
    "dirichlet",
    "expon",
    "f",
    "gamma",
    "geom",
    "gumbel_l",
    "gumbel_r",
    "halfcauchy",
    "halfnorm",
    "invgamma",
    "laplace",
    "logistic",
    "lognorm",
    "multivariate_normal",
    "nbinom",
    "norm",
    "pareto",
    "poisson",
    "rayleigh",
    "t",
    "uniform",
    "weibull_min",
    "wishart",
]

_LOG_ROOT_2_PI = 0.9189385332046727


def _special(name: str, *operands: Array) -> Any:
    return SPECIAL[name](*map(as_value, operands))


def _finite(x: Any) -> Any:
    """Return a number that is not infinite, so that a formula has no quotient of infinities."""
    return np.minimum(x, 1e300)


def _away_from_0(x: Any) -> Any:
    """Return 1 for 0: for a formula that is not used there."""
    return where(x == 0.0, 1.0, x)


# --- on the whole line ---------------------------------------------------------------------------


def _t_log_density(x: Any, df: Any) -> Any:
    return (
        _special("gammaln", (df + 1.0) / 2.0)
        - _special("gammaln", df / 2.0)
        - 0.5 * np.log(df * math.pi)
        - (df + 1.0) / 2.0 * np.log1p(x * x / df)
    )


def _t_below(x: Any, df: Any) -> Any:
    """From the middle for small x, from the end for others; a straight line at 0.

    The incomplete beta function has a root's derivative there, infinite times 0.
    """
    square = x * x
    tail = 0.5 * _special("betainc", df / 2.0, 0.5, df / (df + square))
    share = where(square < df, square, 0.0) / (df + where(square < df, square, 0.0))
    middle = 0.5 * np.sign(x) * _special("betainc", 0.5, df / 2.0, share)
    line = x * np.exp(_t_log_density(0.0, df))
    near = 0.5 + where(np.abs(x) < 1e-150, line, middle)
    return where(square < df, near, where(x > 0.0, 1.0 - tail, tail))


def _t_entropy(df: Any) -> Any:
    half, next_half = df / 2.0, (df + 1.0) / 2.0
    change = _special("digamma", next_half) - _special("digamma", half)
    return next_half * change + 0.5 * np.log(df) + _special("betaln", half, 0.5)


norm = Distribution(
    "norm",
    (),
    lambda x: -0.5 * x * x - _LOG_ROOT_2_PI,
    lambda x: _special("ndtr", x),
    lambda x: _special("ndtr", -x),
    lambda x: _special("log_ndtr", x),
    lambda x: _special("log_ndtr", -x),
    quantile=lambda q: _special("ndtri", q),
    entropy=lambda: _LOG_ROOT_2_PI + 0.5,
)
t = Distribution(
    "t",
    ("df",),
    _t_log_density,
    _t_below,
    lambda x, df: _t_below(-x, df),
    entropy=_t_entropy,
)
cauchy = Distribution(
    "cauchy",
    (),
    lambda x: -math.log(math.pi) - np.log1p(x * x),
    lambda x: np.arctan2(1.0, -x) / math.pi,
    lambda x: np.arctan2(1.0, x) / math.pi,
    quantile=lambda q: np.tan(math.pi * (q - 0.5)),
    entropy=lambda: math.log(4.0 * math.pi),
)
logistic = Distribution(
    "logistic",
    (),
    lambda x: -softplus(x) - softplus(-x),
    lambda x: elementwise("sigmoid", x),
    lambda x: elementwise("sigmoid", -x),
    lambda x: -softplus(-x),
    lambda x: -softplus(x),
    quantile=lambda q: _special("logit", q),
    entropy=lambda: 2.0,
)
laplace = Distribution(
    "laplace",
    (),
    lambda x: -math.log(2.0) - np.abs(x),
    lambda x: where(x > 0.0, 1.0 - 0.5 * np.exp(-x), 0.5 * np.exp(x)),
    lambda x: where(x > 0.0, 0.5 * np.exp(-x), 1.0 - 0.5 * np.exp(x)),
    lambda x: where(x > 0.0, np.log1p(-0.5 * np.exp(-x)), x - math.log(2.0)),
    lambda x: where(x > 0.0, -x - math.log(2.0), np.log1p(-0.5 * np.exp(x))),
    quantile=lambda q: where(q > 0.5, -np.log(2.0 * (1.0 - q)), np.log(2.0 * q)),
    entropy=lambda: math.log(2.0) + 1.0,
)
gumbel_r = Distribution(
    "gumbel_r",
    (),
    lambda x: -x - np.exp(-x),
    lambda x: np.exp(-np.exp(-x)),
    lambda x: -np.expm1(-np.exp(-x)),
    lambda x: -np.exp(-x),
    quantile=lambda q: -np.log(-np.log(q)),
    entropy=lambda: np.euler_gamma + 1.0,
)
gumbel_l = Distribution(
    "gumbel_l",
    (),
    lambda x: x - np.exp(x),
    lambda x: -np.expm1(-np.exp(x)),
    lambda x: np.exp(-np.exp(x)),
    log_above=lambda x: -np.exp(x),
    entropy=lambda: np.euler_gamma + 1.0,
)

# --- on part of it -------------------------------------------------------------------------------

expon = Distribution(
    "expon",
    (),
    lambda x: -x,
    lambda x: -np.expm1(-x),
    lambda x: np.exp(-x),
    log_above=lambda x: -x,
    support=POSITIVE,
    quantile=lambda q: -np.log1p(-q),
    entropy=lambda: 1.0,
)
uniform = Distribution(
    "uniform",
    (),
    lambda x: 0.0 * x,
    lambda x: x,
    lambda x: 1.0 - x,
    support=UNIT,
    quantile=lambda q: q,
    entropy=lambda: 0.0,
)
halfnorm = Distribution(
    "halfnorm",
    (),
    lambda x: 0.5 * math.log(2.0 / math.pi) - 0.5 * x * x,
    lambda x: _special("erf", x * math.sqrt(0.5)),
    lambda x: _special("erfc", x * math.sqrt(0.5)),
    log_above=lambda x: math.log(2.0) + _special("log_ndtr", -x),
    support=POSITIVE,
    entropy=lambda: 0.5 * math.log(math.pi / 2.0) + 0.5,
)
halfcauchy = Distribution(
    "halfcauchy",
    (),
    lambda x: math.log(2.0 / math.pi) - np.log1p(x * x),
    lambda x: 2.0 / math.pi * np.arctan(x),
    lambda x: 2.0 / math.pi * np.arctan2(1.0, x),
    support=POSITIVE,
)
rayleigh = Distribution(
    "rayleigh",
    (),
    lambda x: np.log(_finite(x)) - 0.5 * x * x,
    lambda x: -np.expm1(-0.5 * x * x),
    lambda x: np.exp(-0.5 * x * x),
    log_above=lambda x: -0.5 * x * x,
    support=POSITIVE,
    entropy=lambda: np.euler_gamma / 2.0 + 1.0 - 0.5 * math.log(2.0),
)


def _lognorm_log_density(x: Any, s: Any) -> Any:
    log = np.log(_away_from_0(x))
    found = -0.5 * (log / s) ** 2 - np.log(s) - log - _LOG_ROOT_2_PI
    return where(x == 0.0, -math.inf, found)


def _invgamma_log_density(x: Any, a: Any) -> Any:
    safe = _away_from_0(x)
    found = -(a + 1.0) * np.log(safe) - _special("gammaln", a) - 1.0 / safe
    return where(x == 0.0, -math.inf, found)


lognorm = Distribution(
    "lognorm",
    ("s",),
    _lognorm_log_density,
    lambda x, s: _special("ndtr", np.log(x) / s),
    lambda x, s: _special("ndtr", -np.log(x) / s),
    lambda x, s: _special("log_ndtr", np.log(x) / s),
    lambda x, s: _special("log_ndtr", -np.log(x) / s),
    support=POSITIVE,
    quantile=lambda q, s: np.exp(s * _special("ndtri", q)),
    entropy=lambda s: _LOG_ROOT_2_PI + 0.5 + np.log(s),
)


def _gamma_entropy(a: Any) -> Any:
    return a + _special("gammaln", a) + (1.0 - a) * _special("digamma", a)


gamma = Distribution(
    "gamma",
    ("a",),
    lambda x, a: _special("xlogy", a - 1.0, x) - x - _special("gammaln", a),
    lambda x, a: _special("gammainc", a, x),
    lambda x, a: _special("gammaincc", a, x),
    support=POSITIVE,
    quantile=lambda q, a: _special("gammaincinv", a, q),
    entropy=_gamma_entropy,
)
chi2 = Distribution(
    "chi2",
    ("df",),
    lambda x, df: (
        _special("xlogy", df / 2.0 - 1.0, x)
        - x / 2.0
        - _special("gammaln", df / 2.0)
        - df / 2.0 * math.log(2.0)
    ),
    lambda x, df: _special("gammainc", df / 2.0, x / 2.0),
    lambda x, df: _special("gammaincc", df / 2.0, x / 2.0),
    support=POSITIVE,
    quantile=lambda q, df: 2.0 * _special("gammaincinv", df / 2.0, q),
    entropy=lambda df: _gamma_entropy(df / 2.0) + math.log(2.0),
)


def _f_share(x: Any, n: Any, d: Any) -> Any:
    x = _finite(x)
    return n * x / (d + n * x)


f = Distribution(
    "f",
    ("dfn", "dfd"),
    lambda x, n, d: (
        0.5 * (d * np.log(d) + n * np.log(n) - (n + d) * np.log(d + n * x))
        + _special("xlogy", n / 2.0 - 1.0, x)
        - _special("betaln", n / 2.0, d / 2.0)
    ),
    lambda x, n, d: _special("betainc", n / 2.0, d / 2.0, _f_share(x, n, d)),
    lambda x, n, d: _special("betainc", d / 2.0, n / 2.0, d / (d + n * x)),
    support=POSITIVE,
)
invgamma = Distribution(
    "invgamma",
    ("a",),
    _invgamma_log_density,
    lambda x, a: _special("gammaincc", a, 1.0 / x),
    lambda x, a: _special("gammainc", a, 1.0 / x),
    support=POSITIVE,
)
weibull_min = Distribution(
    "weibull_min",
    ("c",),
    lambda x, c: np.log(c) + _special("xlogy", c - 1.0, x) - x**c,
    lambda x, c: -np.expm1(-(x**c)),
    lambda x, c: np.exp(-(x**c)),
    log_above=lambda x, c: -(x**c),
    support=POSITIVE,
    quantile=lambda q, c: (-np.log1p(-q)) ** (1.0 / c),
    entropy=lambda c: np.euler_gamma * (1.0 - 1.0 / c) - np.log(c) + 1.0,
)
pareto = Distribution(
    "pareto",
    ("b",),
    lambda x, b: np.log(b) - (b + 1.0) * np.log(x),
    lambda x, b: 1.0 - x**-b,
    lambda x, b: x**-b,
    log_above=lambda x, b: -b * np.log(x),
    support=FROM_ONE,
    quantile=lambda q, b: (1.0 - q) ** (-1.0 / b),
    entropy=lambda b: 1.0 + 1.0 / b - np.log(b),
)


def _beta_entropy(a: Any, b: Any) -> Any:
    return (
        _special("betaln", a, b)
        - (a - 1.0) * _special("digamma", a)
        - (b - 1.0) * _special("digamma", b)
        + (a + b - 2.0) * _special("digamma", a + b)
    )


beta = Distribution(
    "beta",
    ("a", "b"),
    lambda x, a, b: (
        _special("xlog1py", b - 1.0, -x) + _special("xlogy", a - 1.0, x) - _special("betaln", a, b)
    ),
    lambda x, a, b: _special("betainc", a, b, x),
    lambda x, a, b: _special("betainc", b, a, 1.0 - x),
    support=UNIT,
    quantile=lambda q, a, b: _special("betaincinv", a, b, q),
    entropy=_beta_entropy,
)

# --- of whole numbers ----------------------------------------------------------------------------


def _choose(n: Any, k: Any) -> Any:
    """The logarithm of the number of ways to choose k of n."""
    return (
        _special("gammaln", n + 1.0)
        - _special("gammaln", k + 1.0)
        - _special("gammaln", n - k + 1.0)
    )


def _is_share(p: Any) -> Any:
    return np.logical_and(p >= 0.0, p <= 1.0)


poisson = Discrete(
    "poisson",
    ("mu",),
    lambda k, mu: _special("xlogy", k, mu) - _special("gammaln", k + 1.0) - mu,
    lambda k, mu: _special("gammaincc", k + 1.0, mu),
    lambda k, mu: _special("gammainc", k + 1.0, mu),
    support=POSITIVE,
    valid=lambda mu: mu >= 0.0,
)
binom = Discrete(
    "binom",
    ("n", "p"),
    lambda k, n, p: _choose(n, k) + _special("xlogy", k, p) + _special("xlog1py", n - k, -p),
    lambda k, n, p: where(k >= n, 1.0, _special("betainc", n - k, k + 1.0, 1.0 - p)),
    lambda k, n, p: where(k >= n, 0.0, _special("betainc", k + 1.0, n - k, p)),
    support=(UNIT[0], lambda n, p: n),
    valid=lambda n, p: np.logical_and(
        np.logical_and(n >= 0.0, np.equal(n, np.floor(n))), _is_share(p)
    ),
)
bernoulli = Discrete(
    "bernoulli",
    ("p",),
    lambda k, p: _special("xlogy", k, p) + _special("xlog1py", 1.0 - k, -p),
    lambda k, p: where(k >= 1.0, 1.0, 1.0 - p + 0.0 * k),
    lambda k, p: where(k >= 1.0, 0.0, p + 0.0 * k),
    support=UNIT,
    entropy=lambda p: _special("entr", p) + _special("entr", 1.0 - p),
    valid=_is_share,
)
nbinom = Discrete(
    "nbinom",
    ("n", "p"),
    lambda k, n, p: (
        _special("gammaln", n + k)
        - _special("gammaln", k + 1.0)
        - _special("gammaln", n)
        + n * np.log(p)
        + _special("xlog1py", k, -p)
    ),
    lambda k, n, p: _special("betainc", n, k + 1.0, p),
    lambda k, n, p: _special("betainc", k + 1.0, n, 1.0 - p),
    support=POSITIVE,
    valid=lambda n, p: np.logical_and(n > 0.0, np.logical_and(p > 0.0, p <= 1.0)),
)
geom = Discrete(
    "geom",
    ("p",),
    lambda k, p: _special("xlog1py", k - 1.0, -p) + np.log(p),
    lambda k, p: -np.expm1(_special("xlog1py", k, -p)),
    lambda k, p: np.exp(_special("xlog1py", k, -p)),
    log_above=lambda k, p: _special("xlog1py", k, -p),
    support=FROM_ONE,
    valid=lambda p: np.logical_and(p > 0.0, p <= 1.0),
)

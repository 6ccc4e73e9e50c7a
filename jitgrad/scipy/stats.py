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

from jitgrad.errors import ArgumentError, ShapeError, user_location
from jitgrad.graph import elementwise
from jitgrad.matrix_rules import routine
from jitgrad.protocols import SPECIAL
from jitgrad.scipy.distributions import FROM_ONE, POSITIVE, UNIT, Discrete, Distribution
from jitgrad.scipy.special import multigammaln, softplus
from jitgrad.ufuncs import Array, as_value, where

__all__ = [
    "bernoulli",
    "beta",
    "binom",
    "cauchy",
    "chi2",
    "dirichlet",
    "expon",
    "gamma",
    "geom",
    "gumbel_r",
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
    "t",
    "uniform",
    "weibull_min",
    "wishart",
]

_LOG_ROOT_2_PI = 0.9189385332046727


def _special(name: str, *operands: Array) -> Any:
    return SPECIAL[name](*map(as_value, operands))


# --- on the whole line ---------------------------------------------------------------------------


def _t_below(x: Any, df: Any) -> Any:
    tail = 0.5 * _special("betainc", df / 2.0, 0.5, df / (df + x * x))
    return where(x > 0.0, 1.0 - tail, tail)


norm = Distribution(
    "norm",
    (),
    lambda x: -0.5 * x * x - _LOG_ROOT_2_PI,
    lambda x: _special("ndtr", x),
    lambda x: _special("ndtr", -x),
    lambda x: _special("log_ndtr", x),
    quantile=lambda q: _special("ndtri", q),
)
t = Distribution(
    "t",
    ("df",),
    lambda x, df: (
        _special("gammaln", (df + 1.0) / 2.0)
        - _special("gammaln", df / 2.0)
        - 0.5 * np.log(df * math.pi)
        - (df + 1.0) / 2.0 * np.log1p(x * x / df)
    ),
    _t_below,
    lambda x, df: _t_below(-x, df),
)
cauchy = Distribution(
    "cauchy",
    (),
    lambda x: -math.log(math.pi) - np.log1p(x * x),
    lambda x: 0.5 + np.arctan(x) / math.pi,
    lambda x: 0.5 - np.arctan(x) / math.pi,
    quantile=lambda q: np.tan(math.pi * (q - 0.5)),
)
logistic = Distribution(
    "logistic",
    (),
    lambda x: -x - 2.0 * softplus(-x),
    lambda x: elementwise("sigmoid", x),
    lambda x: elementwise("sigmoid", -x),
    lambda x: -softplus(-x),
    quantile=lambda q: _special("logit", q),
)
laplace = Distribution(
    "laplace",
    (),
    lambda x: -math.log(2.0) - np.abs(x),
    lambda x: where(x > 0.0, 1.0 - 0.5 * np.exp(-x), 0.5 * np.exp(x)),
    lambda x: where(x > 0.0, 0.5 * np.exp(-x), 1.0 - 0.5 * np.exp(x)),
)
gumbel_r = Distribution(
    "gumbel_r",
    (),
    lambda x: -x - np.exp(-x),
    lambda x: np.exp(-np.exp(-x)),
    lambda x: -np.expm1(-np.exp(-x)),
    lambda x: -np.exp(-x),
)

# --- on part of it -------------------------------------------------------------------------------

expon = Distribution(
    "expon",
    (),
    lambda x: -x,
    lambda x: -np.expm1(-x),
    lambda x: np.exp(-x),
    support=POSITIVE,
    quantile=lambda q: -np.log1p(-q),
)
uniform = Distribution(
    "uniform",
    (),
    lambda x: 0.0 * x,
    lambda x: x,
    lambda x: 1.0 - x,
    support=UNIT,
    quantile=lambda q: q,
)
halfnorm = Distribution(
    "halfnorm",
    (),
    lambda x: 0.5 * math.log(2.0 / math.pi) - 0.5 * x * x,
    lambda x: _special("erf", x * math.sqrt(0.5)),
    lambda x: _special("erfc", x * math.sqrt(0.5)),
    support=POSITIVE,
)
lognorm = Distribution(
    "lognorm",
    ("s",),
    lambda x, s: -0.5 * (np.log(x) / s) ** 2 - np.log(s * x) - _LOG_ROOT_2_PI,
    lambda x, s: _special("ndtr", np.log(x) / s),
    lambda x, s: _special("ndtr", -np.log(x) / s),
    lambda x, s: _special("log_ndtr", np.log(x) / s),
    support=POSITIVE,
)
gamma = Distribution(
    "gamma",
    ("a",),
    lambda x, a: _special("xlogy", a - 1.0, x) - x - _special("gammaln", a),
    lambda x, a: _special("gammainc", a, x),
    lambda x, a: _special("gammaincc", a, x),
    support=POSITIVE,
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
)
invgamma = Distribution(
    "invgamma",
    ("a",),
    lambda x, a: -(a + 1.0) * np.log(x) - _special("gammaln", a) - 1.0 / x,
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
    support=POSITIVE,
)
pareto = Distribution(
    "pareto",
    ("b",),
    lambda x, b: np.log(b) - (b + 1.0) * np.log(x),
    lambda x, b: 1.0 - x**-b,
    lambda x, b: x**-b,
    support=FROM_ONE,
)
beta = Distribution(
    "beta",
    ("a", "b"),
    lambda x, a, b: (
        _special("xlog1py", b - 1.0, -x) + _special("xlogy", a - 1.0, x) - _special("betaln", a, b)
    ),
    lambda x, a, b: _special("betainc", a, b, x),
    support=UNIT,
)

# --- of whole numbers ----------------------------------------------------------------------------


def _choose(n: Any, k: Any) -> Any:
    """The logarithm of the number of ways to choose k of n."""
    return (
        _special("gammaln", n + 1.0)
        - _special("gammaln", k + 1.0)
        - _special("gammaln", n - k + 1.0)
    )


poisson = Discrete(
    "poisson",
    ("mu",),
    lambda k, mu: _special("xlogy", k, mu) - _special("gammaln", k + 1.0) - mu,
    lambda k, mu: _special("gammaincc", k + 1.0, mu),
    lambda k, mu: _special("gammainc", k + 1.0, mu),
    support=POSITIVE,
)
binom = Discrete(
    "binom",
    ("n", "p"),
    lambda k, n, p: _choose(n, k) + _special("xlogy", k, p) + _special("xlog1py", n - k, -p),
    lambda k, n, p: where(k >= n, 1.0, _special("betainc", n - k, k + 1.0, 1.0 - p)),
    support=(UNIT[0], lambda n, p: n),
)
bernoulli = Discrete(
    "bernoulli",
    ("p",),
    lambda k, p: _special("xlogy", k, p) + _special("xlog1py", 1.0 - k, -p),
    lambda k, p: where(k >= 1.0, 1.0, 1.0 - p),
    support=UNIT,
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
    support=POSITIVE,
)
geom = Discrete(
    "geom",
    ("p",),
    lambda k, p: _special("xlog1py", k - 1.0, -p) + np.log(p),
    lambda k, p: -np.expm1(_special("xlog1py", k, -p)),
    support=FROM_ONE,
)

# --- of several numbers --------------------------------------------------------------------------


class MultivariateNormal:
    """The normal distribution of several numbers, by Cholesky's factor of its covariance."""

    def logpdf(
        self, x: Array, mean: Any = None, cov: Any = 1.0, allow_singular: bool = False
    ) -> Any:
        """Return the logarithm of the density; the last axis of ``x`` holds one point.

        Raises
        ------
        LinAlgError
            If the covariance is not positive definite.
        """
        if allow_singular:
            raise ArgumentError(
                f"{user_location()}: multivariate_normal of Values with allow_singular=True"
            )
        x, cov = as_value(x), as_value(cov)
        n = cov.shape[-1] if cov.ndim else x.shape[-1] if x.ndim else 1
        if cov.ndim < 2:
            cov = cov * np.eye(n)
        x = x[..., None] if n == 1 and (not x.ndim or x.shape[-1] != 1) else x
        if x.shape[-1] != n:
            raise ShapeError(
                f"{user_location()}: multivariate_normal of points of shape {x.shape} with a "
                f"covariance of shape {cov.shape}"
            )
        away = x if mean is None else x - mean
        lower = np.linalg.cholesky(cov)
        scaled = routine("solve_lower", lower, away.reshape(-1, n).T)
        size = (scaled * scaled).sum(0).reshape(away.shape[:-1])
        spread = np.log(np.diagonal(lower)).sum()
        return -0.5 * size - spread - n * _LOG_ROOT_2_PI

    def pdf(self, x: Array, mean: Any = None, cov: Any = 1.0, allow_singular: bool = False) -> Any:
        """Return the density."""
        return np.exp(self.logpdf(x, mean, cov, allow_singular))

    def entropy(self, mean: Any = None, cov: Any = 1.0) -> Any:
        """Return the differential entropy."""
        cov = np.atleast_2d(as_value(cov))
        n = cov.shape[-1]
        spread = np.log(np.diagonal(np.linalg.cholesky(cov))).sum()
        return spread + n * (_LOG_ROOT_2_PI + 0.5)


class Dirichlet:
    """The Dirichlet distribution; the first axis of ``x`` holds the parts of one."""

    def logpdf(self, x: Array, alpha: Array) -> Any:
        """Return the logarithm of the density; the last part may be left out."""
        x, alpha = as_value(x), as_value(alpha)
        if x.shape[0] + 1 == alpha.shape[0]:
            x = np.concatenate([x, (1.0 - x.sum(0))[None]])
        if x.shape[0] != alpha.shape[0]:
            raise ShapeError(
                f"{user_location()}: dirichlet of an array of shape {x.shape} with {alpha.shape} "
                "parameters; expected one part for each along the first axis"
            )
        powers = (alpha - 1.0).reshape(-1, *(1,) * (x.ndim - 1))
        return _special("xlogy", powers, x).sum(0) - _log_multivariate_beta(alpha)

    def pdf(self, x: Array, alpha: Array) -> Any:
        """Return the density."""
        return np.exp(self.logpdf(x, alpha))

    def entropy(self, alpha: Array) -> Any:
        """Return the differential entropy."""
        alpha = as_value(alpha)
        total, count = alpha.sum(), alpha.shape[0]
        rest = ((alpha - 1.0) * elementwise("digamma", alpha)).sum()
        return (
            _log_multivariate_beta(alpha) + (total - count) * elementwise("digamma", total) - rest
        )


def _log_multivariate_beta(alpha: Any) -> Any:
    return _special("gammaln", alpha).sum() - _special("gammaln", alpha.sum())


class Wishart:
    """The Wishart distribution of one positive definite matrix."""

    def logpdf(self, x: Array, df: Any, scale: Array) -> Any:
        """Return the logarithm of the density."""
        x, scale = as_value(x), as_value(scale)
        n = scale.shape[-1]
        lower, root = np.linalg.cholesky(scale), np.linalg.cholesky(x)
        log_x = 2.0 * np.log(np.diagonal(root)).sum()
        log_scale = 2.0 * np.log(np.diagonal(lower)).sum()
        share = routine("solve_lower", lower, root)
        return (
            0.5 * (df - n - 1.0) * log_x
            - 0.5 * (share * share).sum()
            - 0.5 * n * math.log(2.0) * df
            - 0.5 * df * log_scale
            - multigammaln(0.5 * as_value(df), n)
        )


multivariate_normal = MultivariateNormal()
dirichlet = Dirichlet()
wishart = Wishart()

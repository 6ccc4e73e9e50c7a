"""scipy.stats' distributions of several numbers, for Values.

>>> from jitgrad import Value
>>> round(float(multivariate_normal.logpdf(Value([0.0, 0.0]), [0.0, 1.0]).data), 12)
-2.337877066409
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitgrad.errors import ArgumentError, ShapeError, user_location
from jitgrad.graph import elementwise
from jitgrad.matrix_rules import routine
from jitgrad.protocols import SPECIAL
from jitgrad.scipy.special import multigammaln
from jitgrad.ufuncs import Array, as_value, where

_LOG_ROOT_2_PI = 0.9189385332046727
_APART = {"f4": 1e-5, "f8": 1e-9}  # how far from 1 the parts of a whole may add up


def _special(name: str, *operands: Array) -> Any:
    return SPECIAL[name](*map(as_value, operands))


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
        x, mean, cov = _points(x, mean, cov)
        n, away = cov.shape[-1], x - mean
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
        _, _, cov = _points(0.0, mean, cov)
        n = cov.shape[-1]
        spread = np.log(np.diagonal(np.linalg.cholesky(cov))).sum()
        return spread + n * (_LOG_ROOT_2_PI + 0.5)


def _points(x: Array, mean: Any, cov: Any) -> tuple[Any, Any, Any]:
    """Return points along the last axis, the mean and the matrix; SciPy says which dimension."""
    x, cov = as_value(x), as_value(cov)
    mean = None if mean is None else as_value(mean)
    n = cov.shape[-1] if cov.ndim else 1
    if mean is not None:
        n = max(n, mean.size)
        mean = mean.reshape(-1)
    if cov.ndim < 2:
        cov = cov * np.eye(n)
    if n == 1 and (x.ndim < 2 or x.shape[-1] != 1):
        x = x[..., None]
    fits = x.ndim == 0 or x.shape[-1] == n
    if not fits or cov.shape != (n, n) or (mean is not None and mean.size != n):
        raise ShapeError(
            f"{user_location()}: multivariate_normal of points of shape {x.shape} with a mean of "
            f"shape {() if mean is None else mean.shape} and a covariance of shape {cov.shape}"
        )
    return x, np.zeros(n) if mean is None else mean, cov


class Dirichlet:
    """The Dirichlet distribution; the first axis of ``x`` holds the parts of one."""

    def logpdf(self, x: Array, alpha: Array) -> Any:
        """Return the logarithm of the density; the last part may be left out.

        It is NaN where SciPy raises an error: of parts that do not add up to 1, and of parameters
        that are not positive.
        """
        x, alpha = as_value(x), as_value(alpha)
        if x.shape[0] + 1 == alpha.shape[0]:
            x = np.concatenate([x, (1.0 - x.sum(0))[None]])
        if x.shape[0] != alpha.shape[0]:
            raise ShapeError(
                f"{user_location()}: dirichlet of an array of shape {x.shape} with {alpha.shape} "
                "parameters; expected one part for each along the first axis"
            )
        powers = (alpha - 1.0).reshape(-1, *(1,) * (x.ndim - 1))
        found = _special("xlogy", powers, x).sum(0) - _log_multivariate_beta(alpha)
        apart = np.abs(x.sum(0) - 1.0) <= _APART.get(x.element_type.str[1:], 1e-9)
        parts = np.all((x >= 0.0) & (x <= 1.0), axis=0) & np.all(alpha > 0.0)
        return where(apart & parts, found, math.nan)

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

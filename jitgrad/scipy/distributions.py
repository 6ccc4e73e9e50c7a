"""Families of distributions: a few formulas in standard form become SciPy's methods.

>>> line = Distribution("line", (), lambda x: 0.0 * x, lambda x: x, support=(_zero, _one))
>>> line.cdf(np.array([-1.0, 0.25, 2.0]), loc=0.0, scale=0.5).data
array([0. , 0.5, 1. ])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jitgrad.errors import ArgumentError, user_location
from jitgrad.ufuncs import Array, as_value, where

Formula = Callable[..., Any]


def _zero(*_: Any) -> float:
    return 0.0


def _one(*_: Any) -> float:
    return 1.0


def _far(*_: Any) -> float:
    return math.inf


def _below(*_: Any) -> float:
    return -math.inf


WHOLE_LINE: tuple[Formula, Formula] = (_below, _far)
POSITIVE: tuple[Formula, Formula] = (_zero, _far)
UNIT: tuple[Formula, Formula] = (_zero, _one)
FROM_ONE: tuple[Formula, Formula] = (_one, _far)


class Distribution:
    """A family of distributions of one number.

    Parameters
    ----------
    name : str
        SciPy's.
    shapes : tuple of str
        The names of the shape parameters.
    log_density : callable
        The logarithm of the density, or of the probability of a whole number.
    below : callable
        The distribution function.
    above : callable, optional
        One minus that.
    log_below : callable, optional
        The logarithm of the distribution function.
    support : (callable, callable)
        The ends of the support, from the shape parameters.
    quantile : callable, optional
        The inverse of the distribution function.
    """

    discrete = False

    def __init__(
        self,
        name: str,
        shapes: tuple[str, ...],
        log_density: Formula,
        below: Formula,
        above: Formula | None = None,
        log_below: Formula | None = None,
        support: tuple[Formula, Formula] = WHOLE_LINE,
        quantile: Formula | None = None,
    ) -> None:
        self.name, self.shapes, self.support = name, shapes, support
        self._log_density, self._below = log_density, below
        self._above, self._log_below, self._quantile = above, log_below, quantile

    # --- the methods ---

    def logpdf(self, x: Array, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of the density."""
        y, shapes, scale = self._standard("logpdf", x, args, kwds)
        low, high = self._ends(shapes)
        inside = np.logical_and(y >= low, y <= high)
        return where(inside, self._log_density(y, *shapes), -math.inf) - _log(scale)

    def pdf(self, x: Array, *args: Any, **kwds: Any) -> Any:
        """Return the density."""
        return np.exp(self.logpdf(x, *args, **kwds))

    def cdf(self, x: Array, *args: Any, **kwds: Any) -> Any:
        """Return the probability of up to ``x``."""
        y, shapes, _ = self._standard("cdf", x, args, kwds)
        return self._between(y, shapes, self._below(y, *shapes), 0.0, 1.0)

    def sf(self, x: Array, *args: Any, **kwds: Any) -> Any:
        """Return the probability of more than ``x``."""
        y, shapes, _ = self._standard("sf", x, args, kwds)
        found = 1.0 - self._below(y, *shapes) if self._above is None else self._above(y, *shapes)
        return self._between(y, shapes, found, 1.0, 0.0)

    def logcdf(self, x: Array, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of `cdf`."""
        if self._log_below is None:
            return np.log(self.cdf(x, *args, **kwds))
        y, shapes, _ = self._standard("logcdf", x, args, kwds)
        return self._between(y, shapes, self._log_below(y, *shapes), -math.inf, 0.0)

    def logsf(self, x: Array, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of `sf`."""
        return np.log(self.sf(x, *args, **kwds))

    def ppf(self, q: Array, *args: Any, **kwds: Any) -> Any:
        """Return the number up to which the probability is ``q``."""
        if self._quantile is None:
            raise ArgumentError(f"{user_location()}: {self.name}.ppf of a Value is not available")
        shapes, loc, scale = self._parameters("ppf", args, kwds)
        return self._quantile(as_value(q), *shapes) * scale + loc

    # --- parameters ---

    def _parameters(
        self, method: str, args: tuple[Any, ...], kwds: dict[str, Any]
    ) -> tuple[list[Any], Any, Any]:
        names = (*self.shapes, "loc") if self.discrete else (*self.shapes, "loc", "scale")
        given = {"loc": 0.0, "scale": 1.0, **dict(zip(names, args, strict=False)), **kwds}
        missing = [name for name in self.shapes if name not in given]
        unknown = [name for name in given if name not in (*names, "scale")]
        if missing or unknown or len(args) > len(names):
            raise ArgumentError(
                f"{user_location()}: {self.name}.{method}: expected the parameters "
                f"{', '.join(names)}; missing {missing or 'none'}, unknown {unknown or 'none'}"
            )
        return [as_value(given[name]) for name in self.shapes], given["loc"], given["scale"]

    def _standard(
        self, method: str, x: Array, args: tuple[Any, ...], kwds: dict[str, Any]
    ) -> tuple[Any, list[Any], Any]:
        shapes, loc, scale = self._parameters(method, args, kwds)
        y = as_value(x) if isinstance(loc, float) and loc == 0.0 else as_value(x) - loc
        plain = isinstance(scale, float) and scale == 1.0
        return (y if plain else y / scale), shapes, scale

    def _ends(self, shapes: list[Any]) -> tuple[Any, Any]:
        low, high = self.support
        return low(*shapes), high(*shapes)

    def _between(self, y: Any, shapes: list[Any], inside: Any, before: float, after: float) -> Any:
        low, high = self._ends(shapes)
        return where(y < low, before, where(y > high, after, inside))


class Discrete(Distribution):
    """A family of distributions of one whole number."""

    discrete = True

    def logpmf(self, k: Array, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of the probability."""
        y, shapes, _ = self._standard("logpmf", k, args, kwds)
        low, high = self._ends(shapes)
        inside = np.logical_and(np.logical_and(y >= low, y <= high), y == np.floor(y))
        return where(inside, self._log_density(y, *shapes), -math.inf)

    def pmf(self, k: Array, *args: Any, **kwds: Any) -> Any:
        """Return the probability."""
        return np.exp(self.logpmf(k, *args, **kwds))

    def _standard(
        self, method: str, x: Array, args: tuple[Any, ...], kwds: dict[str, Any]
    ) -> tuple[Any, list[Any], Any]:
        y, shapes, scale = super()._standard(method, x, args, kwds)
        return (y if method == "logpmf" else np.floor(y)), shapes, scale


def _log(scale: Any) -> Any:
    return 0.0 if isinstance(scale, float) and scale == 1.0 else np.log(as_value(scale))

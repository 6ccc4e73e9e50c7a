"""Families of distributions: a few formulas in standard form become SciPy's methods.

>>> line = Distribution("line", (), lambda x: 0.0 * x, lambda x: x, support=(_zero, _one))
>>> line.cdf(np.array([-1.0, 0.25, 2.0]), loc=0.0, scale=0.5).data
array([0. , 0.5, 1. ])
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jitgrad.errors import ArgumentError, UnsupportedError, user_location
from jitgrad.filled import settled
from jitgrad.ufuncs import Array, as_value, where
from jitgrad.value import Value

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
    log_below, log_above : callable, optional
        Their logarithms.
    support : (callable, callable)
        The ends of the support, from the shape parameters.
    quantile : callable, optional
        The inverse of the distribution function.
    entropy : callable, optional
        The entropy, from the shape parameters.
    valid : callable, optional
        Whether there are such shape parameters; without it, whether they are positive.
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
        log_above: Formula | None = None,
        support: tuple[Formula, Formula] = WHOLE_LINE,
        quantile: Formula | None = None,
        entropy: Formula | None = None,
        valid: Formula | None = None,
    ) -> None:
        self.name, self.shapes, self.support = name, shapes, support
        self._log_density, self._below = log_density, below
        self._above = above or (lambda *at: 1.0 - below(*at))
        self._log_below = log_below or (lambda *at: np.log(below(*at)))
        self._log_above = log_above or (lambda *at: np.log(self._above(*at)))
        self._quantile, self._entropy, self._valid = quantile, entropy, valid

    # --- the methods ---

    def logpdf(self, x: Array, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of the density."""
        given = self._given("logpdf", args, kwds)
        y = given.standard(x)
        found = self._log_density(y, *given.shapes) - _log(given.scale)
        return given.checked(self._between(y, given, found, -math.inf, -math.inf))

    def pdf(self, x: Array, *args: Any, **kwds: Any) -> Any:
        """Return the density."""
        return np.exp(self.logpdf(x, *args, **kwds))

    def cdf(self, x: Array, *args: Any, **kwds: Any) -> Any:
        """Return the probability of up to ``x``."""
        return self._probability("cdf", x, args, kwds, self._below, 0.0, 1.0)

    def sf(self, x: Array, *args: Any, **kwds: Any) -> Any:
        """Return the probability of more than ``x``."""
        return self._probability("sf", x, args, kwds, self._above, 1.0, 0.0)

    def logcdf(self, x: Array, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of `cdf`."""
        return self._probability("logcdf", x, args, kwds, self._log_below, -math.inf, 0.0)

    def logsf(self, x: Array, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of `sf`."""
        return self._probability("logsf", x, args, kwds, self._log_above, 0.0, -math.inf)

    def ppf(self, q: Array, *args: Any, **kwds: Any) -> Any:
        """Return the number up to which the probability is ``q``."""
        if self._quantile is None:
            raise UnsupportedError(f"{user_location()}: {self.name}.ppf of Values is not available")
        given, q = self._given("ppf", args, kwds), as_value(q)
        low, high = self._ends(given)
        y = where(q == 0.0, low, where(q == 1.0, high, self._quantile(q, *given.shapes)))
        y = where((q < 0.0) | (q > 1.0), math.nan, y)
        return given.checked(y * given.scale + given.loc)

    def entropy(self, *args: Any, **kwds: Any) -> Any:
        """Return the entropy."""
        if self._entropy is None:
            raise UnsupportedError(
                f"{user_location()}: {self.name}.entropy of Values is not available"
            )
        given = self._given("entropy", args, kwds)
        return given.checked(self._entropy(*given.shapes) + _log(given.scale))

    # --- parameters ---

    def _given(self, method: str, args: tuple[Any, ...], kwds: dict[str, Any]) -> Given:
        names = (*self.shapes, "loc") if self.discrete else (*self.shapes, "loc", "scale")
        given = {"loc": 0.0, "scale": 1.0, **dict(zip(names, args, strict=False)), **kwds}
        missing = [name for name in self.shapes if name not in given]
        unknown = [name for name in given if name not in (*names, "scale")]
        if missing or unknown or len(args) > len(names):
            raise ArgumentError(
                f"{user_location()}: {self.name}.{method}: expected the parameters "
                f"{', '.join(names)}; missing {missing or 'none'}, unknown {unknown or 'none'}"
            )
        shapes = [_number(given[name]) for name in self.shapes]
        scale = _number(given["scale"])
        conditions = [self._valid(*shapes)] if self._valid else [x > 0.0 for x in shapes]
        good = functools.reduce(np.logical_and, [*conditions, scale > 0.0])
        return Given([as_value(x) for x in shapes], _number(given["loc"]), scale, good)

    def _probability(
        self,
        method: str,
        x: Array,
        args: tuple[Any, ...],
        kwds: dict[str, Any],
        formula: Formula,
        before: float,
        after: float,
    ) -> Any:
        given = self._given(method, args, kwds)
        y = given.standard(x)
        y = np.floor(y) if self.discrete else y
        return given.checked(self._between(y, given, formula(y, *given.shapes), before, after))

    def _ends(self, given: Given) -> tuple[Any, Any]:
        low, high = self.support
        return low(*given.shapes), high(*given.shapes)

    def _between(self, y: Any, given: Given, inside: Any, before: float, after: float) -> Any:
        low, high = self._ends(given)
        if not _endless(high):
            inside = where(y > high, after, inside)
        return inside if _endless(low) else where(y < low, before, inside)


class Given(NamedTuple):
    """The parameters of one call, and whether there are such."""

    shapes: list[Any]
    loc: Any
    scale: Any
    good: Any

    def standard(self, x: Array) -> Any:
        """Return where a number lies in the standard form."""
        y = as_value(x)
        y = y if _is(self.loc, 0.0) else y - self.loc
        return y if _is(self.scale, 1.0) else y / self.scale

    def checked(self, found: Any) -> Any:
        """Return NaN where there are no such parameters."""
        if not isinstance(self.good, Value) and np.all(self.good):
            return found
        return where(self.good, found, math.nan)


class Discrete(Distribution):
    """A family of distributions of one whole number."""

    discrete = True

    def logpmf(self, k: Array, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of the probability."""
        given = self._given("logpmf", args, kwds)
        y = given.standard(k)
        found = where(y - np.floor(y) > 0.0, -math.inf, self._log_density(y, *given.shapes))
        return given.checked(self._between(y, given, found, -math.inf, -math.inf))

    def pmf(self, k: Array, *args: Any, **kwds: Any) -> Any:
        """Return the probability."""
        return np.exp(self.logpmf(k, *args, **kwds))


def _number(given: Any) -> Any:
    """Return a parameter as a number, an array or a Value."""
    given = settled(given)
    return given if isinstance(given, float | int | Value) else np.asarray(given)[()]


def _is(given: Any, number: float) -> bool:
    return isinstance(given, float | int) and given == number


def _endless(end: Any) -> bool:
    return isinstance(end, float) and math.isinf(end)


def _log(scale: Any) -> Any:
    return 0.0 if _is(scale, 1.0) else np.log(as_value(scale))

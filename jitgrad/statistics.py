"""NumPy's statistics over Values: without the elements that are not numbers, and covariances.

>>> import numpy as np
>>> from jitgrad import Value
>>> np.nanmean(Value([1.0, np.nan, 3.0]))
Value(data=2.0, grad=0)
"""

from __future__ import annotations

import functools
import math
from typing import Any

from jitgrad.arrays import atleast_2d, squeeze
from jitgrad.graph import Function, elementwise
from jitgrad.joining import concatenate
from jitgrad.protocols import implements
from jitgrad.rearrange import diag
from jitgrad.reductions import (
    along_first,
    amax,
    amin,
    average,
    count_nonzero,
    deviation,
    mean,
    total,
    variance,
)
from jitgrad.ufuncs import Array, as_value, clip


def _numbers(a: Array, where: Any) -> Any:
    """Where there is a number, and it is to be looked at."""
    known = elementwise("logical_not", elementwise("isnan", a))
    return known if where is None else elementwise("logical_and", known, where)


def _of_numbers(function: Function) -> Function:
    """Make a reduction leave out what is not a number."""

    @functools.wraps(function)
    def apply(a: Array, *arguments: Any, where: Any = None, **options: Any) -> Any:
        return function(a, *arguments, where=_numbers(a, where), **options)

    return apply


implements("nansum")(_of_numbers(total))
implements("nanmean")(_of_numbers(mean))
implements("nanvar")(_of_numbers(variance))
implements("nanstd")(_of_numbers(deviation))


@implements("nanmax")
def nanmax(
    a: Array, axis: Any = None, *, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    """np.nanmax."""
    return _extreme_number(amax, -math.inf, a, axis, keepdims, initial, where)


@implements("nanmin")
def nanmin(
    a: Array, axis: Any = None, *, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    """np.nanmin."""
    return _extreme_number(amin, math.inf, a, axis, keepdims, initial, where)


implements("fmax.reduce")(along_first(nanmax))
implements("fmin.reduce")(along_first(nanmin))


def _extreme_number(
    extreme: Any, end: float, a: Array, axis: Any, keepdims: bool, initial: Any, where: Any
) -> Any:
    known = _numbers(a, where)
    if initial is not None:
        return extreme(a, axis, keepdims=keepdims, initial=initial, where=known)
    found = extreme(elementwise("where", known, a, end), axis, keepdims=keepdims)
    some = count_nonzero(known, axis, keepdims=keepdims)
    return elementwise("where", elementwise("gt", some, 0.0), found, math.nan)


@implements("cov")
def cov(
    m: Array,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """np.cov."""
    x = _variables(m, rowvar)
    if y is not None:
        x = concatenate([x, _variables(y, rowvar)], 0)
    x = x.astype(dtype or float)
    ddof = (0 if bias else 1) if ddof is None else ddof
    weights = None
    for given in (fweights, aweights):
        if given is not None:
            weights = as_value(given) if weights is None else weights * given
    away, count = _away_and_count(x, weights, ddof, aweights)
    weighted = away if weights is None else away * weights
    return squeeze((away @ weighted.T) / count)


def _variables(m: Array, rowvar: bool) -> Any:
    """Return the variables as rows."""
    m = as_value(m)
    return m.T if not rowvar and m.ndim > 1 else atleast_2d(m)


def _away_and_count(x: Any, weights: Any, ddof: int, aweights: Any) -> tuple[Any, Any]:
    """Return the distances from the means, and what their products are divided by."""
    if weights is None:
        return x - mean(x, 1, keepdims=True), max(float(x.shape[1] - ddof), 0.0)
    away = x - average(x, 1, weights, keepdims=True)
    summed = total(weights)
    if ddof and aweights is not None:
        return away, summed - ddof * total(weights * aweights) / summed
    return away, summed - float(ddof)


@implements("corrcoef")
def corrcoef(x: Array, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """np.corrcoef: the value is cut off at 1, the derivative is not."""
    c = cov(x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return c / c
    spread = elementwise("sqrt", diag(c))
    ratios = c / spread.reshape(-1, 1) / spread.reshape(1, -1)
    return elementwise("attach", clip(ratios, -1.0, 1.0), ratios)

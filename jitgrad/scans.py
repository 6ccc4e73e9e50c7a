"""NumPy's running results and products over Values.

A scan keeps each result of doing an op over and over along an axis; a product is the last one. So
the derivative of a product is right where factors are zero: nothing is divided by them.

>>> np.cumsum(Value([1.0, 2.0, 4.0]))
Value(data=[1. 3. 7.], grad=0)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jitgrad.arrays import as_value
from jitgrad.errors import ShapeError, user_location
from jitgrad.graph import NUMPY, elementwise, structural
from jitgrad.structure import full_axes
from jitgrad.value import Value

Array = Any  # a Value, or an array of numbers


def scan(name: str, a: Array, axis: Any) -> Any:
    """Return the running results of a binary op along an axis; of the flat array without one."""
    a = as_value(a)
    if axis is None or not a.ndim:
        a, axis = a.ravel(), 0
    (axis,) = full_axes(axis, a.ndim)
    return structural("scan", (a,), name, axis)


def folded(name: str, a: Array, axis: Any, keepdims: bool, start: float | None) -> Any:
    """Return what a binary op makes of all elements along axes: the last running result.

    Without elements that is ``start``; None where NumPy refuses.
    """
    a = as_value(a)
    axes = full_axes(axis, a.ndim)
    kept = [n for n in range(a.ndim) if n not in axes]
    shape = tuple(1 if n in axes else extent for n, extent in enumerate(a.shape))
    rows = a.transpose([*axes, *kept]).reshape(-1, *(a.shape[n] for n in kept)) if axes else a[None]
    if not rows.shape[0]:
        if start is None:
            raise ShapeError(f"{user_location()}: {name} over no elements: shape {a.shape}")
        found = Value(np.full(rows.shape[1:], start), requires_grad=False)
    else:
        found = structural("scan", (rows,), name, 0)[-1]
    return found.reshape(shape) if keepdims else found


def cumsum(a: Array, axis: Any = None, dtype: Any = None) -> Any:
    """np.cumsum."""
    return _as_type(scan("add", a, axis), dtype)


def cumprod(a: Array, axis: Any = None, dtype: Any = None) -> Any:
    """np.cumprod."""
    return _as_type(scan("mul", a, axis), dtype)


def cumulative_sum(
    x: Array, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """np.cumulative_sum."""
    return _cumulative(cumsum(x, axis, dtype), 0.0, axis, include_initial)


def cumulative_prod(
    x: Array, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """np.cumulative_prod."""
    return _cumulative(cumprod(x, axis, dtype), 1.0, axis, include_initial)


def _cumulative(results: Any, start: float, axis: Any, include_initial: bool) -> Any:
    if not include_initial:
        return results
    (axis,) = full_axes(0 if axis is None else axis, results.ndim)
    shape = (*results.shape[:axis], 1, *results.shape[axis + 1 :])
    return np.concatenate([np.full(shape, start, results.element_type), results], axis)


def _as_type(result: Any, dtype: Any) -> Any:
    return result if dtype is None else result.astype(dtype)


def _without_nan(function: Callable[..., Any], instead: float) -> Callable[..., Any]:
    def apply(a: Array, axis: Any = None, dtype: Any = None, **more: Any) -> Any:
        a = as_value(a)
        return function(
            elementwise("where", elementwise("ne", a, a), instead, a), axis, dtype, **more
        )

    return apply


def prod(
    a: Array,
    axis: Any = None,
    dtype: Any = None,
    *,
    keepdims: bool = False,
    initial: Any = 1.0,
    where: Any = True,
) -> Any:
    """np.prod; with a factor of 0 the derivative in that factor is the product of the others."""
    a = as_value(a)
    if where is not True:
        a = elementwise("where", where, a, 1.0)
    product = _as_type(folded("mul", a, axis, keepdims, 1.0), dtype)
    return product if isinstance(initial, float | int) and initial == 1 else product * initial


def _accumulate(name: str) -> Callable[..., Any]:
    def accumulate(array: Array, axis: int = 0, dtype: Any = None) -> Any:
        return _as_type(scan(name, array, axis), dtype)

    return accumulate


def _reduce(name: str, start: float | None) -> Callable[..., Any]:
    def reduce(array: Array, axis: Any = 0, dtype: Any = None, *, keepdims: bool = False) -> Any:
        return _as_type(folded(name, array, axis, keepdims, start), dtype)

    return reduce


ACCUMULATED = {
    np.add: "add",
    np.logaddexp: "logaddexp",
    np.maximum: "maximum",
    np.minimum: "minimum",
    np.multiply: "mul",
}
"""The ufuncs with a method `accumulate`, and their ops."""

NUMPY.update({(ufunc, "accumulate"): _accumulate(name) for ufunc, name in ACCUMULATED.items()})
NUMPY.update(
    {
        (np.logaddexp, "reduce"): _reduce("logaddexp", -np.inf),
        (np.multiply, "reduce"): _reduce("mul", 1.0),
        np.cumprod: cumprod,
        np.cumsum: cumsum,
        np.cumulative_prod: cumulative_prod,
        np.cumulative_sum: cumulative_sum,
        np.nancumprod: _without_nan(cumprod, 1.0),
        np.nancumsum: _without_nan(cumsum, 0.0),
        np.nanprod: _without_nan(prod, 1.0),
        np.prod: prod,
    }
)

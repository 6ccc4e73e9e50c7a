"""NumPy's running results and products over Values.

A scan keeps each result of doing an op over and over along an axis; a product is the last one. So
the derivative of a product is right where factors are zero: nothing is divided by them.

>>> np.cumsum(Value([1.0, 2.0, 4.0]))
Value(data=[1. 3. 7.], grad=0)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jitgrad.errors import ShapeError, user_location
from jitgrad.graph import elementwise, structural
from jitgrad.protocols import implements
from jitgrad.structure import full_axes
from jitgrad.ufuncs import Array, as_value
from jitgrad.value import Value


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


@implements("cumsum")
def cumsum(a: Array, axis: Any = None, dtype: Any = None) -> Any:
    """np.cumsum."""
    return _as_type(scan("add", a, axis), dtype)


@implements("cumprod")
def cumprod(a: Array, axis: Any = None, dtype: Any = None) -> Any:
    """np.cumprod."""
    return _as_type(scan("mul", a, axis), dtype)


@implements("cumulative_sum")
def cumulative_sum(
    x: Array, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """np.cumulative_sum."""
    return _cumulative(cumsum(x, axis, dtype), 0.0, axis, include_initial)


@implements("cumulative_prod")
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


@implements("prod")
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


@implements("nancumsum")
def nancumsum(a: Array, axis: Any = None, dtype: Any = None) -> Any:
    """np.nancumsum."""
    return cumsum(_without_nan(a, 0.0), axis, dtype)


@implements("nancumprod")
def nancumprod(a: Array, axis: Any = None, dtype: Any = None) -> Any:
    """np.nancumprod."""
    return cumprod(_without_nan(a, 1.0), axis, dtype)


@implements("nanprod")
def nanprod(a: Array, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
    """np.nanprod."""
    return prod(_without_nan(a, 1.0), axis, dtype, keepdims=keepdims)


def _without_nan(a: Array, instead: float) -> Any:
    a = as_value(a)
    return elementwise("where", elementwise("ne", a, a), instead, a)


def _accumulate(name: str) -> Callable[..., Any]:
    def accumulate(array: Array, axis: int = 0, dtype: Any = None) -> Any:
        return _as_type(scan(name, array, axis), dtype)

    return accumulate


def _reduce(name: str, start: float | None) -> Callable[..., Any]:
    def reduce(array: Array, axis: Any = 0, dtype: Any = None, *, keepdims: bool = False) -> Any:
        return _as_type(folded(name, array, axis, keepdims, start), dtype)

    return reduce


ACCUMULATED = {
    "add": "add",
    "logaddexp": "logaddexp",
    "maximum": "maximum",
    "minimum": "minimum",
    "multiply": "mul",
}
"""The ufuncs with a method `accumulate`, and their ops."""

for _ufunc, _name in ACCUMULATED.items():
    implements(f"{_ufunc}.accumulate")(_accumulate(_name))
implements("multiply.reduce")(_reduce("mul", 1.0))


@implements("unwrap")
def unwrap(p: Array, discont: Any = None, axis: int = -1, *, period: Any = 2.0 * math.pi) -> Any:
    """np.unwrap: whole periods are added where neighbours are more than half a period apart."""
    p, half = as_value(p), period / 2.0
    steps = np.diff(p, axis=axis)
    short = (steps + half) % period - half
    short = np.where((short == -half) & (steps > 0.0), half, short)
    turns = elementwise("detach", np.rint((short - steps) / period))
    turns = np.where(np.abs(steps) < (half if discont is None else discont), 0.0, turns)
    shape = [1 if n == axis % p.ndim else m for n, m in enumerate(p.shape)]
    added = [np.zeros(shape, p.element_type), np.cumsum(turns, axis=axis)]
    return p + np.concatenate(added, axis=axis) * period

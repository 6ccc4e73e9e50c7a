"""NumPy's sums, means and extremes over Values.

>>> v = Value([[1.0, 5.0, 3.0]])
>>> np.max(v, axis=1), np.var(v)
(Value(data=[5.], grad=0), Value(data=2.6666666666666665, grad=0))
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from jitgrad.arrays import squeeze
from jitgrad.errors import ArgumentError, ShapeError, user_location
from jitgrad.graph import Function, elementwise, structural
from jitgrad.protocols import implements
from jitgrad.rearrange import typed
from jitgrad.structure import full_axes
from jitgrad.ufuncs import Array, as_value, truth
from jitgrad.value import Value

# --- sums and means -------------------------------------------------------------------------------


@implements("sum")
def total(
    a: Array,
    axis: Any = None,
    dtype: Any = None,
    *,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """np.sum."""
    a = _prepared(a, dtype, where, False)  # False is 0 in any type
    axes = full_axes(axis, a.ndim)
    if axes:
        out = structural("sum", (a,), axes, bool(keepdims))
    else:
        out = a.astype(float) if a.element_type.kind == "b" else elementwise("copy", a)
    return out if initial is None else out + initial


def along_first(function: Function) -> Function:
    """Make a ufunc's ``reduce``, which goes along the first axis if none is named."""

    @functools.wraps(function)
    def reduce(array: Array, axis: Any = 0, **options: Any) -> Any:
        return function(array, axis, **options)

    return reduce


implements("add.reduce")(along_first(total))


def _prepared(a: Array, dtype: Any, where: Any, otherwise: Any) -> Value:
    """Return an array in the type that is asked for, with a number in place of what is left out."""
    a = as_value(a) if dtype is None else as_value(a).astype(dtype)
    return a if where is None else as_value(elementwise("where", where, a, otherwise))


def _count(a: Value, axis: Any, keepdims: bool, where: Any) -> Any:
    """Return how many elements a mean is of, in the type of the mean."""
    axes = full_axes(axis, a.ndim)
    if where is None:
        return float(math.prod(a.shape[i] for i in axes))
    kind = a.element_type if a.element_type.kind == "f" else np.dtype(float)
    if not isinstance(where, Value):
        ones = np.broadcast_to(np.asarray(where, dtype=bool), a.shape)
        return np.sum(ones, axis=axes, keepdims=keepdims, dtype=kind)
    ones = elementwise("where", where, kind.type(1), kind.type(0))
    return total(structural("broadcast_to", (ones,), a.shape), axes, keepdims=keepdims)


@implements("mean")
def mean(
    a: Array, axis: Any = None, dtype: Any = None, *, keepdims: bool = False, where: Any = None
) -> Any:
    """np.mean."""
    a = _prepared(a, dtype, None, None)
    summed = total(a, axis, keepdims=keepdims, where=where)
    return elementwise("div", summed, _count(a, axis, keepdims, where))


@implements("var")
def variance(
    a: Array,
    axis: Any = None,
    dtype: Any = None,
    ddof: float = 0,
    *,
    keepdims: bool = False,
    where: Any = None,
    mean: Any = None,
    correction: float | None = None,
) -> Any:
    """np.var: the mean squared distance from the mean."""
    a = _prepared(a, dtype, None, None)
    ddof = ddof if correction is None else correction
    center = _center(a, axis, where) if mean is None else mean
    away = a - center
    squares = total(away * away, axis, keepdims=keepdims, where=where)
    count = _count(a, axis, keepdims, where)
    if isinstance(count, float):
        return elementwise("div", squares, max(count - ddof, 0.0))
    return elementwise("div", squares, elementwise("maximum", count - ddof, 0.0))


def _center(a: Value, axis: Any, where: Any) -> Any:
    return mean(a, axis, keepdims=True, where=where)


@implements("std")
@functools.wraps(variance)
def deviation(*arguments: Any, **options: Any) -> Any:
    """np.std; where all elements are equal the derivative is 0, as in PyTorch."""
    return root(variance(*arguments, **options))


def root(squared: Array) -> Any:
    """Return the square root; at 0 its derivative is 0."""
    zero = elementwise("eq", squared, 0.0)
    return elementwise("where", zero, 0.0, elementwise("sqrt", squared))


@implements("average")
def average(
    a: Array,
    axis: Any = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Any:
    """np.average: the mean, with weights."""
    a = as_value(a)
    axes = full_axes(axis, a.ndim)
    if weights is None:
        out, scale = mean(a, axes, keepdims=keepdims), _count(a, axes, keepdims, None)
    else:
        w = _weights(a, as_value(weights), axis)
        scale = total(w, axes, keepdims=keepdims)
        out = total(a * w, axes, keepdims=keepdims) / scale
    if not returned:
        return out
    if weights is None:
        return out, np.full(out.shape, scale, out.element_type)
    return out, structural("broadcast_to", (scale,), out.shape)


def _weights(a: Value, weights: Value, axis: Any) -> Value:
    """Return weights in a shape that broadcasts with the array's."""
    if weights.shape == a.shape:
        return weights
    axes = full_axes(axis, a.ndim)
    if axis is None or weights.shape != tuple(a.shape[i] for i in axes):
        raise ShapeError(
            f"{user_location()}: np.average of an array of {a.shape} with weights of "
            f"{weights.shape}; expected the same shape, or that of the axes given by axis=."
        )
    ordered = weights.transpose(*np.argsort(axes).tolist()) if len(axes) > 1 else weights
    return ordered.reshape([n if i in axes else 1 for i, n in enumerate(a.shape)])


# --- extremes -------------------------------------------------------------------------------------


def _extreme(
    name: str, a: Array, axis: Any, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    """The largest or smallest elements; the derivative is shared equally among those that tie.

    The value is the extreme itself, the derivative that of the mean of the elements equal to it.
    """
    if where is not None and initial is None:
        raise ArgumentError(f"{user_location()}: np.{name} with where= needs initial=, too.")
    a = _prepared(a, None, where, initial)
    axes = full_axes(axis, a.ndim)
    if initial is None:
        return _tied(name, a, axes, keepdims)
    larger = "maximum" if name == "amax" else "minimum"
    if a.size:
        return elementwise(larger, _tied(name, a, axes, keepdims), initial)
    shape = [1 if i in axes else n for i, n in enumerate(a.shape) if keepdims or i not in axes]
    return structural("broadcast_to", (typed(initial, a),), tuple(shape))


def _tied(name: str, a: Value, axes: tuple[int, ...], keepdims: bool) -> Any:
    if any(a.shape[i] == 0 for i in axes):
        raise ShapeError(f"{user_location()}: np.{name} over no elements: shape {a.shape}.")
    if not axes:
        return elementwise("copy", a)
    top = structural("extreme", (a,), name, axes)
    ties = elementwise("eq", a, top)
    ones = ties.astype(np.result_type(a.element_type, np.float32))
    tied = total(elementwise("where", ties, a, 0.0), axes, keepdims=True)
    found = elementwise("attach", top, tied / total(ones, axes, keepdims=True))
    return found if keepdims else squeeze(found, axes)


@implements("max", "amax")
def amax(
    a: Array, axis: Any = None, *, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    """np.max."""
    return _extreme("amax", a, axis, keepdims, initial, where)


@implements("min", "amin")
def amin(
    a: Array, axis: Any = None, *, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    """np.min."""
    return _extreme("amin", a, axis, keepdims, initial, where)


implements("maximum.reduce")(along_first(amax))
implements("minimum.reduce")(along_first(amin))


@implements("ptp")
def ptp(a: Array, axis: Any = None, *, keepdims: bool = False) -> Any:
    """np.ptp: the largest minus the smallest."""
    return _extreme("amax", a, axis, keepdims) - _extreme("amin", a, axis, keepdims)


@implements("logaddexp.reduce")
def log_sum_exp(array: Array, axis: Any = 0, *, keepdims: bool = False) -> Any:
    """np.logaddexp.reduce: the logarithm of the sum of exponentials."""
    a = as_value(array)
    axes = full_axes(axis, a.ndim)
    top = elementwise("detach", _extreme("amax", a, axes, True))
    top = elementwise("where", elementwise("isfinite", top), top, 0.0)
    summed = total(elementwise("exp", a - top), axes, keepdims=True)
    out = top + elementwise("log", summed)
    return out if keepdims else squeeze(out, axes)


# --- truths ---------------------------------------------------------------------------------------


@implements("any")
def any_of(a: Array, axis: Any = None, *, keepdims: bool = False, where: Any = None) -> Any:
    """np.any."""
    found = truth(a)
    if where is not None:
        found = elementwise("logical_and", found, where)
    if not isinstance(found, Value):
        return np.any(found, axis=axis, keepdims=keepdims)
    return elementwise("gt", total(found, axis, keepdims=keepdims), 0.0)


@implements("all")
def all_of(a: Array, axis: Any = None, *, keepdims: bool = False, where: Any = None) -> Any:
    """np.all."""
    false = elementwise("logical_not", truth(a))
    return elementwise("logical_not", any_of(false, axis, keepdims=keepdims, where=where))


implements("logical_or.reduce")(along_first(any_of))
implements("logical_and.reduce")(along_first(all_of))


@implements("count_nonzero")
def count_nonzero(a: Array, axis: Any = None, *, keepdims: bool = False) -> Any:
    """np.count_nonzero."""
    found = truth(a)
    if not isinstance(found, Value):
        return np.count_nonzero(found, axis=axis, keepdims=keepdims)
    return total(found, axis, keepdims=keepdims)


@implements("allclose")
def allclose(
    a: Array, b: Array, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False
) -> bool:
    """np.allclose, of eager Values: a trace has no number to ask."""
    return bool(all_of(np.isclose(a, b, rtol, atol, equal_nan)))


@implements("array_equal", "array_equiv")
def array_equal(a1: Array, a2: Array, equal_nan: bool = False) -> bool:
    """np.array_equal, of eager Values: a trace has no number to ask."""
    a, b = as_value(a1), as_value(a2)
    if a.shape != b.shape:
        return False
    same = elementwise("eq", a, b)
    if equal_nan:
        same = same | (elementwise("isnan", a) & elementwise("isnan", b))
    return bool(all_of(same))

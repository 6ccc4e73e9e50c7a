"""NumPy's sums, extremes and products over Values.

Like `arrays`, from the ops table and the array primitives of `structure`.

>>> from jitgrad import Value
>>> v = Value([[1.0, 5.0, 3.0]])
>>> np.max(v, axis=1), np.vdot(v, v)
(Value(data=[5.], grad=0), Value(data=35.0, grad=0))
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitgrad.arrays import Array, as_value, diagonal, moveaxis, squeeze, stack, where
from jitgrad.errors import ShapeError, UnsupportedError, user_location
from jitgrad.graph import NUMPY, elementwise, structural
from jitgrad.structure import full_axes


def total(a: Array, axis: Any = None, *, keepdims: bool = False) -> Any:
    """np.sum."""
    return as_value(a).sum(axis, keepdims)


def reduce_add(a: Array, axis: Any = 0, *, keepdims: bool = False) -> Any:
    """np.add.reduce."""
    return as_value(a).sum(axis, keepdims)


def mean(a: Array, axis: Any = None, *, keepdims: bool = False) -> Any:
    """np.mean."""
    return as_value(a).mean(axis, keepdims)


def variance(a: Array, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    """np.var: the mean squared distance from the mean."""
    a = as_value(a)
    away = a - a.mean(axis, keepdims=True)
    count = math.prod(a.shape[i] for i in full_axes(axis, a.ndim))
    return (away * away).sum(axis, keepdims) / float(count - ddof)


def deviation(a: Array, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    """np.std."""
    return elementwise("sqrt", variance(a, axis, ddof=ddof, keepdims=keepdims))


def _extreme(name: str, a: Array, axis: Any, keepdims: bool) -> Any:
    """The largest or smallest elements; the derivative is shared equally among those that tie.

    The value is the extreme itself, the derivative that of the mean of the elements equal to it.
    """
    a = as_value(a)
    axes = full_axes(axis, a.ndim)
    if any(a.shape[i] == 0 for i in axes):
        raise ShapeError(f"{user_location()}: np.{name} over no elements: shape {a.shape}.")
    if not axes:
        return a
    top = structural("extreme", (a,), name, axes)
    ties = elementwise("eq", a, top)
    ones = ties.astype(np.result_type(a.element_type, np.float32))
    tied, count = (total(x, axes, keepdims=True) for x in (where(ties, a, 0.0), ones))
    found = elementwise("attach", top, tied / count)
    return found if keepdims else squeeze(found, axes)


def amax(a: Array, axis: Any = None, *, keepdims: bool = False) -> Any:
    """np.max."""
    return _extreme("amax", a, axis, keepdims)


def amin(a: Array, axis: Any = None, *, keepdims: bool = False) -> Any:
    """np.min."""
    return _extreme("amin", a, axis, keepdims)


def reduce_maximum(a: Array, axis: Any = 0, *, keepdims: bool = False) -> Any:
    """np.maximum.reduce."""
    return _extreme("amax", a, axis, keepdims)


def reduce_minimum(a: Array, axis: Any = 0, *, keepdims: bool = False) -> Any:
    """np.minimum.reduce."""
    return _extreme("amin", a, axis, keepdims)


def ptp(a: Array, axis: Any = None, *, keepdims: bool = False) -> Any:
    """np.ptp: the largest minus the smallest."""
    return _extreme("amax", a, axis, keepdims) - _extreme("amin", a, axis, keepdims)


def norm(x: Array, ord: Any = None, axis: Any = None, *, keepdims: bool = False) -> Any:
    """np.linalg.norm: the root of the sum of squares; at the origin the derivative is 0."""
    x = as_value(x)
    if ord not in (None, 2) or (ord == 2 and axis is None and x.ndim != 1):
        raise UnsupportedError(f"{user_location()}: np.linalg.norm of a Value with ord={ord!r}.")
    squared = (x * x).sum(axis, keepdims)
    return where(elementwise("eq", squared, 0.0), 0.0, elementwise("sqrt", squared))


def dot(a: Array, b: Array) -> Any:
    """np.dot: for scalars the product, up to two dimensions the matrix product."""
    a, b = as_value(a), as_value(b)
    if not a.ndim or not b.ndim:
        return a * b
    if b.ndim > 2:
        raise UnsupportedError(
            f"{user_location()}: np.dot with an array of shape {b.shape}. Write a @ b or np.sum."
        )
    return a @ b


def inner(a: Array, b: Array) -> Any:
    """np.inner: products summed over the last axes; with a scalar the product."""
    a, b = as_value(a), as_value(b)
    return dot(a, b.T if a.ndim and b.ndim == 2 else b)


def outer(a: Array, b: Array) -> Any:
    """np.outer."""
    return as_value(a).reshape(-1, 1) * as_value(b).reshape(1, -1)


def vdot(a: Array, b: Array) -> Any:
    """np.vdot."""
    return as_value(a).ravel() @ as_value(b).ravel()


def cross(a: Array, b: Array, axis: int = -1) -> Any:
    """np.cross of vectors with three components."""
    a, b = (moveaxis(as_value(v), axis, -1) for v in (a, b))
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ShapeError(
            f"{user_location()}: np.cross of arrays of shapes {a.shape} and {b.shape}; expected "
            "three components along the axis."
        )
    (a0, a1, a2), (b0, b1, b2) = ([v[..., i] for i in range(3)] for v in (a, b))
    return stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis)


def trace(a: Array, offset: int = 0) -> Any:
    """np.trace of a matrix."""
    return diagonal(a, offset).sum()


NUMPY[np.add, "reduce"] = reduce_add
NUMPY[np.maximum, "reduce"] = reduce_maximum
NUMPY[np.minimum, "reduce"] = reduce_minimum
NUMPY.update(
    {
        np.amax: amax,
        np.amin: amin,
        np.cross: cross,
        np.dot: dot,
        np.inner: inner,
        np.linalg.norm: norm,
        np.max: amax,
        np.mean: mean,
        np.min: amin,
        np.outer: outer,
        np.ptp: ptp,
        np.std: deviation,
        np.sum: total,
        np.trace: trace,
        np.var: variance,
        np.vdot: vdot,
    }
)

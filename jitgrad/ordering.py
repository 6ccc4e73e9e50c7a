"""NumPy's sorting, searching and interpolation over Values.

A sorted array is the array picked in the order of its elements: the derivative goes back to where
each element came from. Equal elements stay in order, which decides who gets it.

>>> from jitgrad import Value
>>> np.sort(Value([3.0, 1.0, 2.0]))
Value(data=[1. 2. 3.], grad=0)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitgrad.arrays import moveaxis
from jitgrad.choosing import take_along_axis
from jitgrad.errors import ShapeError, UnsupportedError, user_location
from jitgrad.graph import elementwise
from jitgrad.matrix_rules import routine
from jitgrad.protocols import implements
from jitgrad.structure import full_axes
from jitgrad.ufuncs import Array, as_value, where


@implements("argsort")
def argsort(
    a: Array, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> Any:
    """np.argsort: equal elements as they stand, whatever the kind of sort."""
    a = as_value(a)
    if axis is None:
        a, axis = a.ravel(), -1
    return np.moveaxis(routine("argsort", moveaxis(a, axis, -1)), -1, axis)


@implements("sort")
def sort(
    a: Array, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> Any:
    """np.sort."""
    a = as_value(a)
    if axis is None:
        a, axis = a.ravel(), -1
    return take_along_axis(a, argsort(a, axis), axis)


@implements("partition")
def partition(
    a: Array, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None
) -> Any:
    """np.partition: all of it is in order, which is one of the orders that NumPy allows."""
    return sort(a, axis)


@implements("argpartition")
def argpartition(
    a: Array, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None
) -> Any:
    """np.argpartition: all of it is in order, which is one of the orders that NumPy allows."""
    return argsort(a, axis)


def _best(name: str, a: Array, axis: Any, keepdims: bool) -> Any:
    a = as_value(a)
    shape = [1] * a.ndim
    if axis is None:
        a, axis = a.ravel(), 0
    else:
        (axis,) = full_axes(axis, a.ndim)
        shape = [1 if n == axis else extent for n, extent in enumerate(a.shape)]
    if not a.shape[axis]:
        raise ShapeError(f"{user_location()}: np.{name} over no elements: shape {a.shape}")
    found = routine(name, moveaxis(a, axis, -1))[..., 0]
    return found.reshape(shape) if keepdims else found


@implements("argmax")
def argmax(a: Array, axis: Any = None, *, keepdims: bool = False) -> Any:
    """np.argmax: the first of the largest elements."""
    return _best("argmax", a, axis, keepdims)


@implements("argmin")
def argmin(a: Array, axis: Any = None, *, keepdims: bool = False) -> Any:
    """np.argmin: the first of the smallest elements."""
    return _best("argmin", a, axis, keepdims)


# --- searching -----------------------------------------------------------------------------------


@implements("searchsorted")
def searchsorted(a: Array, v: Array, side: str = "left", sorter: Any = None) -> Any:
    """np.searchsorted."""
    a, v = as_value(a), as_value(v)
    if side not in ("left", "right") or a.ndim != 1:
        raise UnsupportedError(
            f"{user_location()}: np.searchsorted with side={side!r} in an array of shape "
            f"{a.shape}; expected 'left' or 'right', and one dimension"
        )
    ordered = a if sorter is None else a[sorter]
    return routine(f"search_{side}", ordered, v.reshape(-1)).reshape(v.shape)


@implements("digitize")
def digitize(x: Array, bins: Array, right: bool = False) -> Any:
    """np.digitize, into bins whose edges are plain numbers."""
    edges = np.asarray(bins)
    if (np.diff(edges) < 0).any():
        return len(edges) - searchsorted(edges[::-1], x, "right" if right else "left")
    return searchsorted(edges, x, "left" if right else "right")


@implements("interp")
def interp(
    x: Array, xp: Array, fp: Array, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    """np.interp: derivatives in the points, the nodes and the values; at a node from the right."""
    if period is not None:
        raise UnsupportedError(
            f"{user_location()}: np.interp with period={period!r} of a Value; write x % period, "
            "and append the first node, moved by a period, to xp"
        )
    x, xp, fp = (as_value(part).astype(float) for part in (x, xp, fp))  # as NumPy does
    last = xp.shape[0] - 1
    low, high = (fp[0] if left is None else left), (fp[-1] if right is None else right)
    if last == 0:
        return where(x < xp[0], low, where(x > xp[0], high, fp[0]))
    flat = x.reshape(-1)
    at = np.clip(searchsorted(xp, flat, "right"), 1, last) - 1
    start, end, value = xp[at], xp[at + 1], fp[at]
    slope = (fp[at + 1] - value) / (end - start)
    inside = (slope * (flat - start) + value).reshape(x.shape)
    inside = where(elementwise("eq", x, xp[-1]), fp[-1], inside)
    return where(x < xp[0], low, where(x > xp[-1], high, inside))


# --- order statistics ----------------------------------------------------------------------------

_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


@implements("quantile")
def quantile(
    a: Array,
    q: Any,
    axis: Any = None,
    *,
    method: str = "linear",
    keepdims: bool = False,
    overwrite_input: bool = False,
) -> Any:
    """np.quantile, by the methods that take at most two neighbours; ``q`` is plain numbers."""
    if method not in _METHODS:
        raise UnsupportedError(
            f"{user_location()}: np.quantile with method={method!r} of a Value; expected one of "
            f"{', '.join(_METHODS)}"
        )
    a, q = as_value(a), np.asarray(q, float)
    if q.ndim:
        a = a.astype(float)  # to the type of q, as NumPy does
    axes = full_axes(axis, a.ndim)
    kept = [n for n in range(a.ndim) if n not in axes]
    rows = a.transpose([*kept, *axes]).reshape(*(a.shape[n] for n in kept), -1)
    ordered, count = sort(rows), rows.shape[-1]
    spoiled = elementwise("ne", ordered[..., -1], ordered[..., -1])
    shape = [1 if n in axes else extent for n, extent in enumerate(a.shape)]
    found = []
    for part in q.ravel().tolist():
        value = _between(ordered, part * (count - 1), method)
        value = where(spoiled, math.nan, value)
        found.append(value.reshape(shape) if keepdims else value)
    return np.stack(found).reshape(*q.shape, *found[0].shape) if q.ndim else found[0]


def _between(ordered: Any, place: float, method: str) -> Any:
    """Return what stands at a place between two elements, counted from 0."""
    low, high = math.floor(place), math.ceil(place)
    share = {"lower": 0.0, "higher": 1.0, "midpoint": 0.5, "nearest": float(round(place) - low)}
    part = share.get(method, place - low)
    start, end = ordered[..., low], ordered[..., high]
    return start if low == high else start + (end - start) * part


@implements("percentile")
def percentile(
    a: Array,
    q: Any,
    axis: Any = None,
    *,
    method: str = "linear",
    keepdims: bool = False,
    overwrite_input: bool = False,
) -> Any:
    """np.percentile."""
    return quantile(a, np.asarray(q, float) / 100.0, axis, method=method, keepdims=keepdims)


@implements("median")
def median(
    a: Array, axis: Any = None, *, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    """np.median."""
    return quantile(a, 0.5, axis, method="midpoint", keepdims=keepdims)

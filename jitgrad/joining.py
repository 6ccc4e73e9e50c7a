"""NumPy's functions that put Values together.

>>> v = Value([1.0, 2.0])
>>> np.block([[v], [np.zeros((1, 2))]])
Value(data=[[1. 2.]
 [0. 0.]], grad=0)
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from jitgrad.arrays import atleast_1d, atleast_2d, atleast_3d, expand_dims, moveaxis, ravel
from jitgrad.errors import ArgumentError, ShapeError, user_location
from jitgrad.graph import assemble, elementwise, known
from jitgrad.protocols import implements
from jitgrad.structure import full_axes
from jitgrad.ufuncs import Array, as_value
from jitgrad.value import Value


def parts_of(arrays: Any) -> list[Array]:
    """List the arrays of a sequence; a Value or an array is a sequence of its first axis."""
    if isinstance(arrays, Value) and not arrays.ndim:
        raise ArgumentError(f"{user_location()}: a scalar Value; expected a sequence of arrays.")
    return [part if known(part) else np.asarray(part) for part in arrays]


@implements("concatenate")
def concatenate(arrays: Any, /, axis: int | None = 0) -> Any:
    """np.concatenate."""
    parts = parts_of(arrays)
    if axis is None:
        parts, axis = [ravel(part) for part in parts], 0
    if not parts or not np.ndim(parts[0]):
        raise ShapeError(f"{user_location()}: concatenate of no arrays, or of scalars; np.stack.")
    (axis,) = full_axes(axis, np.ndim(parts[0]))
    shapes = [np.shape(part) for part in parts]
    if len({(shape[:axis], shape[axis + 1 :]) for shape in shapes}) > 1:
        raise ShapeError(f"{user_location()}: concatenate of {shapes} along axis {axis}.")
    ends = np.cumsum([0] + [shape[axis] for shape in shapes]).tolist()
    before = (slice(None),) * axis
    places = [(*before, slice(start, end)) for start, end in itertools.pairwise(ends)]
    whole = (*shapes[0][:axis], ends[-1], *shapes[0][axis + 1 :])
    return assemble(list(zip(parts, places, strict=True)), whole)


@implements("stack")
def stack(arrays: Any, axis: int = 0) -> Any:
    """np.stack."""
    parts = parts_of(arrays)
    shapes = [np.shape(part) for part in parts]
    if len(set(shapes)) != 1:
        raise ShapeError(f"{user_location()}: stack of arrays of different shapes: {shapes}.")
    (axis,) = full_axes(axis, len(shapes[0]) + 1)
    places: list[tuple[Any, ...]] = [(slice(None),) * axis + (i,) for i in range(len(parts))]
    whole = (*shapes[0][:axis], len(parts), *shapes[0][axis:])
    return assemble(list(zip(parts, places, strict=True)), whole)


@implements("hstack")
def hstack(tup: Any) -> Any:
    """np.hstack."""
    parts = [atleast_1d(part) for part in parts_of(tup)]
    return concatenate(parts, 0 if np.ndim(parts[0]) == 1 else 1)


@implements("vstack")
def vstack(tup: Any) -> Any:
    """np.vstack."""
    return concatenate([atleast_2d(part) for part in parts_of(tup)])


@implements("dstack")
def dstack(tup: Any) -> Any:
    """np.dstack."""
    return concatenate([atleast_3d(part) for part in parts_of(tup)], 2)


@implements("column_stack")
def column_stack(tup: Any) -> Any:
    """np.column_stack: what has one axis becomes a column."""
    parts = map(as_value, parts_of(tup))
    return concatenate([part if part.ndim > 1 else part.reshape(-1, 1) for part in parts], 1)


@implements("append")
def append(arr: Array, values: Array, axis: int | None = None) -> Any:
    """np.append."""
    return concatenate((arr, values), axis)


@implements("block")
def block(arrays: Any) -> Any:
    """np.block: nested lists of blocks; the innermost lists run along the last axis."""
    depth = _depth(arrays)
    joined = _joined(arrays, depth, max(depth, _most_axes(arrays)))
    return joined if depth else elementwise("copy", joined)


def _depth(nested: Any) -> int:
    """Return how many lists are around each block."""
    if not isinstance(nested, list):
        return 0
    depths = {_depth(part) for part in nested}
    if len(depths) != 1:
        raise ShapeError(f"{user_location()}: np.block of lists that are empty or not alike deep.")
    return 1 + depths.pop()


def _most_axes(nested: Any) -> int:
    if isinstance(nested, list):
        return max(map(_most_axes, nested))
    return int(np.ndim(nested))


def _joined(nested: Any, depth: int, axes: int) -> Any:
    if not isinstance(nested, list):
        part = as_value(nested)
        return part.reshape((*(1,) * (axes - part.ndim), *part.shape))
    return concatenate([_joined(part, depth - 1, axes) for part in nested], -depth)


# --- a function of the user's, applied to parts --------------------------------------------------


@implements("apply_along_axis")
def apply_along_axis(func1d: Any, axis: int, arr: Array, *args: Any, **kwargs: Any) -> Any:
    """np.apply_along_axis."""
    arr = as_value(arr)
    (axis,) = full_axes(axis, arr.ndim)
    rows = moveaxis(arr, axis, -1)
    lead = rows.shape[:-1]
    made = [as_value(func1d(rows[at], *args, **kwargs)) for at in np.ndindex(lead)]
    inner = made[0].shape
    out = stack(made).reshape((*lead, *inner))
    places = range(axis, axis + len(inner))
    return moveaxis(out, tuple(range(len(lead), out.ndim)), tuple(places))


@implements("apply_over_axes")
def apply_over_axes(func: Any, a: Array, axes: Any) -> Any:
    """np.apply_over_axes."""
    a = as_value(a)
    for axis in full_axes(axes, a.ndim):
        out = func(a, axis)
        a = out if out.ndim == a.ndim else expand_dims(out, axis)
    return a

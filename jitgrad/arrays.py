"""NumPy's functions of shapes over Values: other axes, parts, what lies on a diagonal.

In a trace all of these are views: other strides over the same elements.

>>> v = Value([[1.0, 2.0], [3.0, 4.0]])
>>> np.diagonal(np.rot90(v))
Value(data=[2. 3.], grad=0)
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from jitgrad.errors import ArgumentError, ShapeError, UnsupportedError, user_location
from jitgrad.graph import elementwise, structural
from jitgrad.protocols import implements
from jitgrad.structure import full_axes, numpy_s
from jitgrad.ufuncs import Array, as_value
from jitgrad.value import Value

# --- what NumPy says about an array ---------------------------------------------------------------


@implements("shape")
def shape(a: Array) -> tuple[int, ...]:
    """np.shape."""
    return as_value(a).shape


@implements("ndim")
def ndim(a: Array) -> int:
    """np.ndim."""
    return as_value(a).ndim


@implements("size")
def size(a: Array, axis: Any = None) -> int:
    """np.size: the number of elements, or those along some axes."""
    a = as_value(a)
    return math.prod(a.shape[i] for i in full_axes(axis, a.ndim))


@implements("copy")
def copy(a: Array, order: str = "K", subok: bool = False) -> Any:
    """np.copy."""
    return elementwise("copy", a)


@implements("astype")
def astype(x: Array, dtype: Any, /, *, copy: bool = True) -> Any:
    """np.astype: another type of floats."""
    return as_value(x).astype(dtype)


# --- other shapes ---------------------------------------------------------------------------------


@implements("reshape")
def reshape(a: Array, shape: Any, order: str = "C", copy: Any = None) -> Any:
    """np.reshape."""
    return as_value(a).reshape(shape, order=_order(order))


@implements("ravel")
def ravel(a: Array, order: str = "C") -> Any:
    """np.ravel."""
    return as_value(a).ravel(order=_order(order))


def _order(order: str) -> str:
    """Return "F" or "C"; Values have no other order in memory than "C"."""
    if order not in ("C", "F", "A", "K"):
        raise ArgumentError(f"{user_location()}: order={order!r}; expected 'C', 'F', 'A' or 'K'.")
    return "F" if order == "F" else "C"


@implements("squeeze")
def squeeze(a: Array, axis: Any = None) -> Any:
    """np.squeeze."""
    a = as_value(a)
    ones = [i for i, extent in enumerate(a.shape) if extent == 1]
    dropped = ones if axis is None else full_axes(axis, a.ndim)
    if not set(dropped) <= set(ones):
        raise ShapeError(f"{user_location()}: squeeze of axis {axis} of an array of {a.shape}.")
    return a.reshape([extent for i, extent in enumerate(a.shape) if i not in dropped])


@implements("expand_dims")
def expand_dims(a: Array, axis: Any) -> Any:
    """np.expand_dims."""
    a = as_value(a)
    count = len(axis) if isinstance(axis, tuple | list) else 1
    new = full_axes(axis, a.ndim + count)
    extents = iter(a.shape)
    return a.reshape([1 if i in new else next(extents) for i in range(a.ndim + count)])


@implements("broadcast_to")
def broadcast_to(array: Array, shape: Any) -> Any:
    """np.broadcast_to."""
    full = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    return structural("broadcast_to", (array,), tuple(map(operator.index, full)))


@implements("broadcast_arrays")
def broadcast_arrays(*args: Array) -> tuple[Any, ...]:
    """np.broadcast_arrays."""
    common = numpy_s(np.broadcast_shapes, *map(np.shape, args))
    return tuple(broadcast_to(a, common) for a in args)


def _each(arrays: tuple[Array, ...], shaped: Any) -> Any:
    """Return one array, or a tuple of several, as NumPy's atleast functions do."""
    out = tuple(shaped(as_value(a)) for a in arrays)
    return out[0] if len(out) == 1 else out


@implements("atleast_1d")
def atleast_1d(*arys: Array) -> Any:
    """np.atleast_1d."""
    return _each(arys, lambda a: a if a.ndim else a.reshape(1))


@implements("atleast_2d")
def atleast_2d(*arys: Array) -> Any:
    """np.atleast_2d: a row of what has one axis."""
    return _each(arys, lambda a: a if a.ndim > 1 else a.reshape(1, -1))


@implements("atleast_3d")
def atleast_3d(*arys: Array) -> Any:
    """np.atleast_3d: a row of columns of what has one axis, a last axis for what has two."""
    return _each(
        arys, lambda a: a if a.ndim > 2 else a.reshape((1, -1, 1) if a.ndim < 2 else (*a.shape, 1))
    )


@implements("meshgrid")
def meshgrid(
    *xi: Array, copy: bool = True, sparse: bool = False, indexing: str = "xy"
) -> tuple[Any, ...]:
    """np.meshgrid."""
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"{user_location()}: indexing={indexing!r}; expected 'xy' or 'ij'.")
    places = list(range(len(xi)))
    if indexing == "xy" and len(xi) > 1:
        places[:2] = 1, 0
    along = [[1] * len(xi) for _ in xi]
    for extents, place in zip(along, places, strict=True):
        extents[place] = -1
    grid = tuple(as_value(x).reshape(extents) for x, extents in zip(xi, along, strict=True))
    return grid if sparse else broadcast_arrays(*grid)


# --- other axes -----------------------------------------------------------------------------------


@implements("transpose")
def transpose(a: Array, axes: Any = None) -> Any:
    """np.transpose."""
    return as_value(a).transpose(*(() if axes is None else (axes,)))


@implements("matrix_transpose", "linalg.matrix_transpose")
def matrix_transpose(x: Array, /) -> Any:
    """np.matrix_transpose: the last two axes swapped."""
    return swapaxes(x, -1, -2)


@implements("moveaxis")
def moveaxis(a: Array, source: Any, destination: Any) -> Any:
    """np.moveaxis."""
    a = as_value(a)
    moved, places = full_axes(source, a.ndim), full_axes(destination, a.ndim)
    if len(moved) != len(places):
        raise ShapeError(f"{user_location()}: moveaxis from {source} to {destination}.")
    order = [axis for axis in range(a.ndim) if axis not in moved]
    for place, axis in sorted(zip(places, moved, strict=True)):
        order.insert(place, axis)
    return a.transpose(order)


@implements("rollaxis")
def rollaxis(a: Array, axis: int, start: int = 0) -> Any:
    """np.rollaxis: an axis moved to before another one."""
    a = as_value(a)
    (axis,) = full_axes(axis, a.ndim)
    (start,) = full_axes(start, a.ndim + 1) if start >= 0 else full_axes(start, a.ndim)
    return moveaxis(a, axis, start - 1 if axis < start else start)


@implements("swapaxes")
def swapaxes(a: Array, axis1: int, axis2: int) -> Any:
    """np.swapaxes."""
    a = as_value(a)
    order = list(range(a.ndim))
    (axis1,), (axis2,) = full_axes(axis1, a.ndim), full_axes(axis2, a.ndim)
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return a.transpose(order)


@implements("flip")
def flip(m: Array, axis: Any = None) -> Any:
    """np.flip."""
    m = as_value(m)
    axes = full_axes(axis, m.ndim)
    return m[tuple(slice(None, None, -1 if i in axes else None) for i in range(m.ndim))]


@implements("fliplr")
def fliplr(m: Array) -> Any:
    """np.fliplr."""
    return flip(m, 1)


@implements("flipud")
def flipud(m: Array) -> Any:
    """np.flipud."""
    return flip(m, 0)


@implements("rot90")
def rot90(m: Array, k: int = 1, axes: Any = (0, 1)) -> Any:
    """np.rot90: a matrix turned by quarters of a circle."""
    m = as_value(m)
    first, second = full_axes(tuple(axes), m.ndim)
    flipped = [(), (second,), (first, second), (first,)][k % 4]
    m = flip(m, flipped)
    return swapaxes(m, first, second) if k % 2 else m


# --- parts ----------------------------------------------------------------------------------------


@implements("diagonal")
def diagonal(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """np.diagonal; it becomes the last axis."""
    a = moveaxis(a, (axis1, axis2), (-2, -1))
    rows, columns = a.shape[-2:]
    first, second = max(-offset, 0), max(offset, 0)
    steps = np.arange(max(min(rows - first, columns - second), 0))
    return a[..., steps + first, steps + second]


@implements("linalg.diagonal")
def matrix_diagonal(x: Array, /, *, offset: int = 0) -> Any:
    """np.linalg.diagonal, of the last two axes."""
    return diagonal(x, offset, -2, -1)


@implements("take")
def take(a: Array, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    """np.take: elements of the flat array, or parts along an axis."""
    a = as_value(a)
    if axis is None:
        a, axis = a.ravel(), 0
    (axis,) = full_axes(axis, a.ndim)
    indices = positions(indices, a.shape[axis], mode)
    return a[(*(slice(None),) * axis, indices)]


def positions(indices: Any, extent: int, mode: str = "raise") -> Any:
    """Return integer positions; what lies outside an axis is moved as NumPy's ``mode`` says."""
    if isinstance(indices, Value):
        if mode != "raise":
            raise UnsupportedError(
                f"{user_location()}: mode={mode!r} of integers that the loss was given. Clip them "
                "before the call."
            )
        return indices
    indices = np.asarray(indices)
    if mode == "clip":
        return np.clip(indices, 0, extent - 1)
    return indices % extent if mode == "wrap" else indices


@implements("array_split")
def array_split(ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """np.array_split: parts that need not be equal."""
    ary = as_value(ary)
    (axis,) = full_axes(axis, ary.ndim)
    steps = numpy_s(np.array_split, np.arange(ary.shape[axis]), indices_or_sections)
    ends = [(part[0], part[-1] + 1) if len(part) else (0, 0) for part in steps]
    before = (slice(None),) * axis
    return [ary[(*before, slice(int(start), int(end)))] for start, end in ends]


@implements("split")
def split(ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """np.split."""
    (axis,) = full_axes(axis, as_value(ary).ndim)
    extent = as_value(ary).shape[axis]
    if np.ndim(indices_or_sections) == 0 and extent % (indices_or_sections or 1):
        raise ShapeError(
            f"{user_location()}: split of an axis of {extent} into {indices_or_sections} equal "
            "parts. Write np.array_split for parts that are not equal."
        )
    return array_split(ary, indices_or_sections, axis)


@implements("hsplit")
def hsplit(ary: Array, indices_or_sections: Any) -> list[Any]:
    """np.hsplit."""
    return split(ary, indices_or_sections, 0 if as_value(ary).ndim == 1 else 1)


@implements("vsplit")
def vsplit(ary: Array, indices_or_sections: Any) -> list[Any]:
    """np.vsplit."""
    return split(ary, indices_or_sections, 0)


@implements("dsplit")
def dsplit(ary: Array, indices_or_sections: Any) -> list[Any]:
    """np.dsplit."""
    return split(ary, indices_or_sections, 2)


@implements("unstack")
def unstack(x: Array, /, *, axis: int = 0) -> tuple[Any, ...]:
    """np.unstack: the parts along an axis."""
    return tuple(moveaxis(x, axis, 0))

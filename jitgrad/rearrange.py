"""NumPy's functions that move or repeat elements of Values.

Positions that NumPy computes on a plain array are read as runs of even steps. An array is put
together from slices, one for each run, and no table of positions is left in the kernel.

>>> steps([3, 4, 0, 1, 2, 2, 2])
[(3, 2, 1), (0, 3, 1), (2, 2, 0)]
>>> np.roll(Value([1.0, 2.0, 3.0]), 1)
Value(data=[3. 1. 2.], grad=0)
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgrad.arrays import diagonal, moveaxis, ravel
from jitgrad.errors import ArgumentError, ShapeError, UnsupportedError, user_location
from jitgrad.graph import assemble, elementwise, structural
from jitgrad.joining import concatenate
from jitgrad.protocols import implements
from jitgrad.structure import full_axes, numpy_s
from jitgrad.ufuncs import Array, as_value, where
from jitgrad.value import Value

MOST_RUNS = 16  # slices of which an array is put together; beyond, a table of positions is read

# --- along one axis -------------------------------------------------------------------------------


def steps(positions: Sequence[int]) -> list[tuple[int, int, int]]:
    """Read positions as runs of even steps: each a start, a count and a step."""
    found: list[tuple[int, int, int]] = []
    for at in positions:
        start, count, step = found[-1] if found else (0, 0, 0)
        if count == 1 and abs(at - start) <= 1:
            found[-1] = (start, 2, at - start)
        elif count > 1 and at == start + count * step:
            found[-1] = (start, count + 1, step)
        else:
            found.append((at, 1, 0))
    return found


def picked(a: Value, positions: Any, axis: int) -> Any:
    """Return the parts of an array at some positions of an axis."""
    before = (slice(None),) * axis
    even = set(np.diff(positions).tolist())
    if len(even) <= 1 and 0 not in even:
        first, step = int(positions[0]) if len(positions) else 0, even.pop() if even else 1
        return a[(*before, _run(first, len(positions), step))]
    runs = steps(positions.tolist())
    if len(runs) > MOST_RUNS:
        return a[(*before, positions)]
    parts, end = [], 0
    for start, count, step in runs:
        part = a[(*before, _run(start, count, step))]
        parts.append((part, (*before, slice(end, end + count))))
        end += count
    return assemble(parts, (*a.shape[:axis], end, *a.shape[axis + 1 :]))


def _run(start: int, count: int, step: int) -> slice:
    """Return a run as a slice; what is repeated is one element, which broadcasts."""
    if not step:
        return slice(start, start + 1)
    stop = start + count * step
    return slice(start, stop if stop >= 0 else None, step)


def _along(a: Array, axis: int | None) -> tuple[Value, int]:
    """Return an array and a non-negative axis; with None, the flat array."""
    a = as_value(a)
    if axis is None:
        return ravel(a), 0
    (axis,) = full_axes(axis, a.ndim)
    return a, axis


@implements("roll")
def roll(a: Array, shift: Any, axis: Any = None) -> Any:
    """np.roll."""
    a = as_value(a)
    if axis is None:
        return roll(a.ravel(), shift, 0).reshape(a.shape)
    for by, along in np.nditer([shift, axis]):  # NumPy broadcasts the two
        whole, at = _along(a, int(along))
        a = picked(whole, np.roll(np.arange(whole.shape[at]), int(by)), at)
    return a


@implements("repeat")
def repeat(a: Array, repeats: Any, axis: int | None = None) -> Any:
    """np.repeat."""
    a, axis = _along(a, axis)
    extent, counts = a.shape[axis], np.asarray(repeats)
    if counts.size != 1:
        return picked(a, numpy_s(np.repeat, np.arange(extent), counts), axis)
    before, after, count = a.shape[:axis], a.shape[axis + 1 :], int(counts.reshape(()))
    if count < 0:
        raise ShapeError(f"{user_location()}: np.repeat of {count} times.")
    wide = a.reshape((*before, extent, 1, *after))
    spread = structural("broadcast_to", (wide,), (*before, extent, count, *after))
    return spread.reshape((*before, extent * count, *after))


@implements("delete")
def delete(arr: Array, obj: Any, axis: int | None = None) -> Any:
    """np.delete."""
    a, axis = _along(arr, axis)
    return picked(a, numpy_s(np.delete, np.arange(a.shape[axis]), obj), axis)


@implements("insert")
def insert(arr: Array, obj: Any, values: Array, axis: int | None = None) -> Any:
    """np.insert."""
    a, axis = _along(arr, axis)
    extent, values = a.shape[axis], as_value(values)
    one = not isinstance(obj, slice) and np.ndim(obj) == 0
    values = values.reshape((*(1,) * (a.ndim - values.ndim), *values.shape))
    if one:  # several values go to the one place
        values = moveaxis(values, 0, axis)
    count = values.shape[axis]
    if not one and count == 1:
        places = np.arange(extent)[obj] if isinstance(obj, slice) else np.asarray(obj)
        count = int(np.sum(places)) if places.dtype == np.bool_ else len(places)
    wide = (*a.shape[:axis], count, *a.shape[axis + 1 :])
    values = structural("broadcast_to", (values,), wide)
    order = numpy_s(np.insert, np.arange(extent), obj, extent + np.arange(count))
    return picked(concatenate([a, typed(values, a)], axis), order, axis)


# --- several axes ---------------------------------------------------------------------------------


@implements("tile")
def tile(A: Array, reps: Any) -> Any:
    """np.tile."""
    a = as_value(A)
    counts = list(map(operator.index, reps)) if isinstance(reps, tuple | list) else [int(reps)]
    axes = max(a.ndim, len(counts))
    counts = [1] * (axes - len(counts)) + counts
    extents = [1] * (axes - a.ndim) + list(a.shape)
    pairs = list(zip(counts, extents, strict=True))
    wide = a.reshape([n for _, extent in pairs for n in (1, extent)])
    spread = structural("broadcast_to", (wide,), tuple(n for pair in pairs for n in pair))
    return spread.reshape([count * extent for count, extent in pairs])


@implements("resize")
def resize(a: Array, new_shape: Any) -> Any:
    """np.resize: another size, filled up with copies."""
    a = as_value(a)
    shape = tuple(new_shape) if isinstance(new_shape, tuple | list) else (new_shape,)
    size = math.prod(shape)
    if not a.size:
        return np.zeros(shape, a.element_type)
    return tile(a.ravel(), -(-size // a.size))[:size].reshape(shape)


@implements("pad")
def pad(array: Array, pad_width: Any, mode: str = "constant", **options: Any) -> Any:
    """np.pad with the modes constant, edge, reflect, symmetric and wrap."""
    a = as_value(array)
    if isinstance(pad_width, dict):
        given = {full_axes(axis, a.ndim)[0]: width for axis, width in pad_width.items()}
        pad_width = [given.get(axis, 0) for axis in range(a.ndim)]
        pad_width = [(width, width) if np.ndim(width) == 0 else width for width in pad_width]
    widths = numpy_s(np.broadcast_to, np.asarray(pad_width), (a.ndim, 2)).tolist()
    if min(map(min, widths), default=0) < 0:
        raise ShapeError(f"{user_location()}: np.pad with a negative width: {pad_width}.")
    allowed = {"constant": ["constant_values"]}.get(mode, [])
    refused = [name for name in options if name not in allowed]
    if mode not in ("constant", "edge", "reflect", "symmetric", "wrap") or refused:
        what = ", ".join([f"mode={mode!r}", *refused])
        raise UnsupportedError(
            f"{user_location()}: np.pad of a Value with {what}. Write mode='constant', 'edge', "
            "'reflect', 'symmetric' or 'wrap', or np.concatenate."
        )
    if mode == "constant":
        return _framed(a, widths, options.get("constant_values", 0))
    if not np.any(widths):
        return elementwise("copy", a)
    for axis, width in enumerate(widths):
        if any(width):
            order = numpy_s(np.pad, np.arange(a.shape[axis]), width, mode=mode)
            a = picked(a, order, axis)
    return a


def _framed(a: Value, widths: list[list[int]], values: Any) -> Any:
    """Put constants around an array: two slabs an axis.

    A slab is as long as the whole along the axes before its own, and as the array inside along
    those after it: the corners are the last axis's, as in NumPy.
    """
    constants = numpy_s(np.broadcast_to, np.asarray(values, dtype=object), (a.ndim, 2))
    shape = tuple(low + n + high for (low, high), n in zip(widths, a.shape, strict=True))
    inside = [slice(low, low + n) for (low, _), n in zip(widths, a.shape, strict=True)]
    parts: list[tuple[Any, tuple[slice, ...]]] = [(a, tuple(inside))]
    for axis, (low, high) in enumerate(widths):
        before, after = [slice(0, n) for n in shape[:axis]], inside[axis + 1 :]
        for width, constant, place in (
            (low, constants[axis, 0], slice(0, low)),
            (high, constants[axis, 1], slice(shape[axis] - high, shape[axis])),
        ):
            if width:
                parts.append((typed(constant, a), (*before, place, *after)))
    return assemble(parts, shape)


def typed(number: Any, like: Value) -> Any:
    """Return a number, or a Value, in the type of an array's elements."""
    if isinstance(number, Value):
        return number.astype(like.element_type) if like.element_type.kind == "f" else number
    return like.element_type.type(number)


# --- matrices -------------------------------------------------------------------------------------


def _banded(m: Array, mask: Any) -> Any:
    """Keep a matrix where a constant mask says so, and 0 elsewhere."""
    m = as_value(m)
    m = structural("broadcast_to", (m,), (*m.shape, *m.shape)) if m.ndim == 1 else m
    return where(mask(*m.shape[-2:]), m, False)  # False is 0 in the type of the matrix


@implements("tril")
def tril(m: Array, k: int = 0) -> Any:
    """np.tril: the elements on and below a diagonal."""
    return _banded(m, lambda rows, columns: np.tri(rows, columns, k, dtype=bool))


@implements("triu")
def triu(m: Array, k: int = 0) -> Any:
    """np.triu: the elements on and above a diagonal."""
    return _banded(m, lambda rows, columns: ~np.tri(rows, columns, k - 1, dtype=bool))


@implements("diag")
def diag(v: Array, k: int = 0) -> Any:
    """np.diag: the diagonal of a matrix, or a matrix with a diagonal."""
    v = as_value(v)
    if v.ndim == 2:
        return diagonal(v, k)
    if v.ndim != 1:
        raise ArgumentError(f"{user_location()}: np.diag of an array of {v.ndim} dimensions.")
    n = v.size + abs(k)
    rows = slice(0, v.size) if k >= 0 else slice(-k, n)
    here = np.eye(v.size, n, k, dtype=bool) if k >= 0 else np.eye(v.size, n, 0, dtype=bool)
    band = where(here, v.reshape(-1, 1), False)
    if not k:
        return band
    empty = (0, abs(k)) if k < 0 else (v.size, n)
    return assemble([(band, (rows,)), (typed(0, v), (slice(*empty),))], (n, n))


@implements("diagflat")
def diagflat(v: Array, k: int = 0) -> Any:
    """np.diagflat: a matrix with the elements on a diagonal."""
    return diag(ravel(v), k)

"""What NumPy does to shapes, and back: the array primitives, each with its adjoint.

Every NumPy function over Values is written with these and the ops table, so that these are all a
trace ever has to know. They work on plain arrays; ``value.py`` records them.

>>> PRIMITIVES["sum"].forward((np.ones((2, 3)),), (0,), False)
array([2., 2., 2.])
>>> PRIMITIVES["sum"].pull(0, np.array([1.0, 2.0, 3.0]), (np.ones((2, 3)),), (0,), False)
array([[1., 2., 3.],
       [1., 2., 3.]])
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from jitgrad.errors import PositionError, ShapeError, user_location
from jitgrad.ops import OPS
from jitgrad.routines import PULLS, ROUTINES, called

Array: TypeAlias = Any  # an ndarray, or a number where the shape is ()
Shape: TypeAlias = tuple[int, ...]
COUNTED = ("add", "mul")  # of integers, in 64 bits


class Primitive(NamedTuple):
    """An operation on whole arrays.

    Parameters
    ----------
    forward : callable
        ``forward(operands, *parameters)`` computes it.
    pull : callable
        ``pull(argument, g, operands, *parameters)`` is what that operand receives when the
        result's cotangent is ``g``.
    """

    forward: Callable[..., Array]
    pull: Callable[..., Array]


def unbroadcast(g: Array, shape: Shape) -> Array:
    """Sum a cotangent over the axes along which an operand of ``shape`` was repeated.

    Examples
    --------
    >>> unbroadcast(np.ones((2, 3)), (3,))
    array([2., 2., 2.])
    """
    wide = np.shape(g)
    if wide == shape:
        return g
    lead = len(wide) - len(shape)
    repeated = [lead + axis for axis, extent in enumerate(shape) if extent != wide[lead + axis]]
    return plain(np.sum(g, axis=(*range(lead), *repeated)).reshape(shape))


def plain(array: Array) -> Array:
    """Turn a NumPy scalar, or an array of shape (), into a Python number."""
    if type(array) is float or type(array) is int:
        return array
    zero_dimensional = isinstance(array, np.ndarray | np.generic) and array.ndim == 0
    return array.item() if zero_dimensional else array


def _pull_sum(_: int, g: Array, operands: Any, axes: Shape, keepdims: bool) -> Array:
    shape = np.shape(operands[0])
    kept = tuple(1 if axis in axes else extent for axis, extent in enumerate(shape))
    return np.broadcast_to(np.reshape(g, kept), shape)


def _pull_getitem(_: int, g: Array, operands: Any, index: tuple[Any, ...]) -> Array:
    received = np.zeros(np.shape(operands[0]), np.result_type(g))
    if any(isinstance(entry, np.ndarray) for entry in index):
        np.add.at(received, index, g)
    else:
        received[index] = g
    return received


def _pull_transpose(_: int, g: Array, _operands: Any, axes: Shape) -> Array:
    return np.transpose(g, np.argsort(axes))


def _pull_matmul(argument: int, g: Array, operands: Any) -> Array:
    """Giles, An extended collection of matrix derivative results, 2008, section 2.2.2."""
    a, b = operands
    rows = a[None, :] if a.ndim == 1 else a
    columns = b[:, None] if b.ndim == 1 else b
    g = np.expand_dims(g, -1) if b.ndim == 1 else g
    g = np.expand_dims(g, -2) if a.ndim == 1 else g
    if argument == 0:
        received = unbroadcast(g @ np.swapaxes(columns, -1, -2), rows.shape)
    else:
        received = unbroadcast(np.swapaxes(rows, -1, -2) @ g, columns.shape)
    return np.reshape(received, operands[argument].shape)


def _scan(x: Array, name: str, axis: int) -> Array:
    """Compute running results of an op along an axis."""
    out = np.array(np.moveaxis(x, axis, 0), np.cumsum(x[:0]).dtype if name in COUNTED else None)
    for k in range(1, len(out)):
        out[k] = OPS[name].evaluate(out[k - 1], out[k])
    return np.moveaxis(out, 0, axis)


def _pull_scan(_: int, g: Array, operands: Any, name: str, axis: int) -> Array:
    x = np.moveaxis(operands[0], axis, 0)
    out = np.moveaxis(_scan(operands[0], name, axis), axis, 0)
    received = np.array(np.moveaxis(g, axis, 0), np.result_type(g, x))
    for k in range(len(x) - 1, 0, -1):
        here = received[k].copy()
        received[k - 1] += OPS[name].pull(0, here, out[k], out[k - 1], x[k])
        received[k] = OPS[name].pull(1, here, out[k], out[k - 1], x[k])
    return np.moveaxis(received, 0, axis)


def _pull_routine(argument: int, g: Array, operands: Any, name: str) -> Array:
    if argument not in ROUTINES[name].active:
        return np.zeros(np.shape(operands[argument]))
    received = PULLS[name](argument, g, called(name, *operands), *operands)
    return unbroadcast(received, np.shape(operands[argument]))


def _assemble(parts: Any, indices: tuple[Any, ...], shape: Shape) -> Array:
    whole = np.empty(shape, np.result_type(*map(np.asarray, parts)) if parts else float)
    for part, index in zip(parts, indices, strict=True):
        whole[index] = part
    return whole


PRIMITIVES: dict[str, Primitive] = {
    "sum": Primitive(
        lambda operands, axes, keepdims: np.sum(operands[0], axis=axes, keepdims=keepdims),
        _pull_sum,
    ),
    "astype": Primitive(
        lambda operands, dtype: np.asarray(operands[0]).astype(dtype),
        lambda _, g, operands, dtype: g,
    ),
    "extreme": Primitive(
        lambda operands, name, axes: getattr(np, name)(operands[0], axis=axes, keepdims=True),
        lambda _, g, operands, name, axes: np.zeros(np.shape(operands[0])),
    ),
    "getitem": Primitive(
        lambda operands, index: np.copy(np.asarray(operands[0])[index]), _pull_getitem
    ),
    "reshape": Primitive(
        lambda operands, shape: np.reshape(operands[0], shape),
        lambda _, g, operands, shape: np.reshape(g, np.shape(operands[0])),
    ),
    "transpose": Primitive(
        lambda operands, axes: np.transpose(operands[0], axes),
        _pull_transpose,
    ),
    "broadcast_to": Primitive(
        lambda operands, shape: np.broadcast_to(operands[0], shape),
        lambda _, g, operands, shape: unbroadcast(g, np.shape(operands[0])),
    ),
    "matmul": Primitive(lambda operands: np.matmul(*operands), _pull_matmul),
    "scan": Primitive(lambda operands, name, axis: _scan(operands[0], name, axis), _pull_scan),
    "routine": Primitive(lambda operands, name: called(name, *operands), _pull_routine),
    "assemble": Primitive(
        _assemble,
        lambda argument, g, operands, indices, shape: unbroadcast(
            g[indices[argument]], np.shape(operands[argument])
        ),
    ),
}


# --- shapes, axes and indices in one form ---------------------------------------------------------


def numpy_s(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call NumPy on plain shapes or positions; what it objects to is an error of the user's call.

    Raises
    ------
    ShapeError
        Where NumPy raises ValueError, IndexError or TypeError.
    """
    try:
        return function(*arguments, **keywords)
    except (ValueError, IndexError, TypeError) as error:
        raise ShapeError(f"{user_location()}: {error}") from None


def full_axes(axis: Any, ndim: int) -> Shape:
    """Turn NumPy's ``axis`` (None, an int or several) into a tuple of non-negative ints.

    Raises
    ------
    ShapeError
        Where there is no such axis, or one is named twice.
    """
    if axis is None:
        return tuple(range(ndim))
    try:
        return np.lib.array_utils.normalize_axis_tuple(axis, ndim)
    except ValueError:
        raise ShapeError(
            f"{user_location()}: axis {axis} of an array of {ndim} dimensions"
        ) from None


def full_shape(shape: Any, size: int) -> Shape:
    """Turn the argument of ``reshape`` into a shape, with the extent that ``-1`` stands for.

    Raises
    ------
    ShapeError
        Where the sizes differ.
    """
    extents = [operator.index(n) for n in (shape if isinstance(shape, tuple | list) else (shape,))]
    if -1 in extents:
        known = -math.prod(extents)
        extents[extents.index(-1)] = size // known if known > 0 else 0
    if math.prod(extents) != size or min(extents, default=0) < 0:
        raise ShapeError(f"{user_location()}: {size} elements cannot have the shape {shape}.")
    return tuple(extents)


def full_index(index: Any, shape: Shape) -> tuple[Any, ...]:
    """Write an index with one entry an axis (int, slice or array of ints), None for a new axis.

    Raises
    ------
    PositionError
        Where NumPy raises IndexError.

    Examples
    --------
    >>> full_index((-1, ..., None), (4, 5))
    (3, slice(None, None, None), None)
    """
    entries: list[Any] = []
    masks: list[tuple[int, Shape]] = []
    for entry in index if isinstance(index, tuple) else (index,):
        found = _index_entries(entry)
        if np.ndim(found[0]) and np.asarray(entry).dtype == bool:
            masks.append((len(entries), np.shape(entry)))
        entries.extend(found)
    taken = sum(entry is not None and entry is not Ellipsis for entry in entries)
    if taken > len(shape):
        raise PositionError(f"{user_location()}: {taken} indices for an array of shape {shape}.")
    missing = [slice(None)] * (len(shape) - taken)
    cut = next((at for at, entry in enumerate(entries) if entry is Ellipsis), len(entries))
    for at, mask in masks:
        first = sum(entry is not None and entry is not Ellipsis for entry in entries[:at])
        first += len(missing) if at > cut else 0
        if shape[first : first + len(mask)] != mask:
            raise PositionError(f"{user_location()}: a mask of shape {mask} on axes of {shape}.")
    entries[cut : cut + 1] = missing
    extents = iter(shape)
    return tuple(None if entry is None else _inside(entry, next(extents)) for entry in entries)


def _index_entries(entry: Any) -> tuple[Any, ...]:
    if entry is None or entry is Ellipsis or isinstance(entry, slice):
        return (entry,)
    if isinstance(entry, list | tuple):
        entry = np.asarray(entry, dtype=None if len(entry) else int)
    if isinstance(entry, np.ndarray) and entry.dtype == bool and entry.ndim:
        return entry.nonzero()
    if isinstance(entry, np.ndarray) and entry.dtype.kind in "iu":
        return (entry if entry.ndim else int(entry),)
    if isinstance(entry, bool | float | np.ndarray):
        raise PositionError(f"{user_location()}: an index is an int, a slice or an array of ints.")
    return (operator.index(entry),)


def _inside(entry: Any, extent: int) -> Any:
    """Count negative positions from the start; check that all exist."""
    if isinstance(entry, slice):
        return entry
    if np.any(np.asarray(entry) < -extent) or np.any(np.asarray(entry) >= extent):
        raise PositionError(f"{user_location()}: index {entry} is outside an axis of {extent}.")
    if isinstance(entry, np.ndarray):
        return np.where(entry < 0, entry + extent, entry)
    return entry + extent if entry < 0 else entry

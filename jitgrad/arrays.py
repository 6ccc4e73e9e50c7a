"""NumPy's functions over Values.

``np.exp(v)``, ``np.stack([v, w])`` and the rest reach this module through NumPy's two protocols.
Each function is written with the ops table and the array primitives of `structure`, so that it
works on eager Values and in a trace alike. What is not in the table raises `UnsupportedError`.

>>> v = Value([1.0, 2.0, 4.0])
>>> np.concatenate([np.diff(v), np.log2(v)])
Value(data=[1. 2. 0. 1. 2.], grad=0)
"""

from __future__ import annotations

import itertools
import math
import operator
from typing import Any, TypeAlias

import numpy as np

from jitgrad.errors import ShapeError, UnsupportedError, user_location
from jitgrad.graph import (
    NUMPY,
    Function,
    Operand,
    assemble,
    elementwise,
    known,
    structural,
)
from jitgrad.ops import OPS
from jitgrad.structure import full_axes
from jitgrad.value import Value

Array: TypeAlias = Any  # a Value, or an array of numbers

# --- elementwise: NumPy's name where it differs from the row's ------------------------------------

RENAMED = {
    "absolute": "abs",
    "fabs": "abs",
    "positive": "copy",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "equal": "eq",
    "not_equal": "ne",
}


def _reciprocal(x: Array) -> Any:
    if x.element_type.kind in "iu":
        raise UnsupportedError(
            f"{user_location()}: np.reciprocal of integers, which NumPy rounds to 0; write 1.0 / n"
        )
    return 1.0 / x


# These go through Python's operators, so that scalars are composed as micrograd composes them.
OPERATORS: dict[str, Function] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "float_power": operator.pow,
    "remainder": operator.mod,
    "negative": operator.neg,
    "matmul": operator.matmul,
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "invert": operator.invert,
    "square": lambda x: x * x,
    "reciprocal": _reciprocal,
    "deg2rad": lambda x: x * (math.pi / 180.0),
    "radians": lambda x: x * (math.pi / 180.0),
    "rad2deg": lambda x: x * (180.0 / math.pi),
    "degrees": lambda x: x * (180.0 / math.pi),
}


def as_value(operand: Operand) -> Value:
    """Make an operand something with a Value's methods; what is one already stays as it is."""
    return operand if isinstance(operand, Value) else Value(operand, requires_grad=False)


def _through_operator(function: Function) -> Function:
    """Apply an operator so that the first operand is a Value and not NumPy's business again."""

    def apply(first: Operand, *others: Operand) -> Any:
        return function(as_value(first), *others)

    return apply


def through_row(name: str) -> Function:
    """Return a row of the ops table as a function of Values, numbers and arrays."""

    def apply(*operands: Operand) -> Any:
        return elementwise(name, *operands)

    return apply


for _name in [*OPERATORS, *RENAMED, *OPS]:
    _ufunc = getattr(np, _name, None)
    if isinstance(_ufunc, np.ufunc):
        _function = OPERATORS.get(_name)
        _meaning = _through_operator(_function) if _function else None
        NUMPY[_ufunc, "__call__"] = _meaning or through_row(RENAMED.get(_name, _name))

# --- choosing -------------------------------------------------------------------------------------


def where(condition: Array, x: Array, y: Array) -> Any:
    """np.where with three arguments."""
    return elementwise("where", condition, x, y)


def clip(a: Array, a_min: Any = None, a_max: Any = None, **bounds: Any) -> Any:
    """np.clip; at a bound the derivative is 1, as in PyTorch."""
    low, high = bounds.get("min", a_min), bounds.get("max", a_max)
    if low is not None:
        a = elementwise("where", as_value(a) < low, low, a)
    if high is not None:
        a = elementwise("where", as_value(a) > high, high, a)
    return a


# --- shapes ---------------------------------------------------------------------------------------


def reshape(a: Array, shape: Any, order: str = "C") -> Any:
    """np.reshape."""
    if order != "C":
        raise UnsupportedError(f"{user_location()}: reshape with order={order!r}; write a.T first.")
    return as_value(a).reshape(shape)


def ravel(a: Array) -> Any:
    """np.ravel."""
    return as_value(a).ravel()


def transpose(a: Array, axes: Any = None) -> Any:
    """np.transpose."""
    return as_value(a).transpose(*(axes or ()))


def moveaxis(a: Array, source: Any, destination: Any) -> Any:
    """np.moveaxis."""
    a = as_value(a)
    moved, places = full_axes(source, a.ndim), full_axes(destination, a.ndim)
    order = [axis for axis in range(a.ndim) if axis not in moved]
    for place, axis in sorted(zip(places, moved, strict=True)):
        order.insert(place, axis)
    return a.transpose(order)


def swapaxes(a: Array, axis1: int, axis2: int) -> Any:
    """np.swapaxes."""
    a = as_value(a)
    order = list(range(a.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return a.transpose(order)


def squeeze(a: Array, axis: Any = None) -> Any:
    """np.squeeze."""
    a = as_value(a)
    ones = [i for i, extent in enumerate(a.shape) if extent == 1]
    dropped = ones if axis is None else full_axes(axis, a.ndim)
    if not set(dropped) <= set(ones):
        raise ShapeError(f"{user_location()}: squeeze of axis {axis} of an array of {a.shape}.")
    return a.reshape([extent for i, extent in enumerate(a.shape) if i not in dropped])


def expand_dims(a: Array, axis: Any) -> Any:
    """np.expand_dims."""
    a = as_value(a)
    count = len(axis) if isinstance(axis, tuple | list) else 1
    new = full_axes(axis, a.ndim + count)
    extents = iter(a.shape)
    return a.reshape([1 if i in new else next(extents) for i in range(a.ndim + count)])


def broadcast_to(array: Array, shape: Any) -> Any:
    """np.broadcast_to."""
    full = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    return structural("broadcast_to", (array,), full)


def atleast_1d(*arys: Array) -> Any:
    """np.atleast_1d."""
    out = tuple(a if a.ndim else a.reshape(1) for a in map(as_value, arys))
    return out[0] if len(out) == 1 else out


def atleast_2d(*arys: Array) -> Any:
    """np.atleast_2d: a row of what has one axis."""
    out = tuple(a if a.ndim > 1 else a.reshape(1, -1) for a in map(as_value, arys))
    return out[0] if len(out) == 1 else out


def flip(m: Array, axis: Any = None) -> Any:
    """np.flip."""
    m = as_value(m)
    axes = full_axes(axis, m.ndim)
    return m[tuple(slice(None, None, -1 if i in axes else None) for i in range(m.ndim))]


def diff(a: Array, n: int = 1, axis: int = -1) -> Any:
    """np.diff: differences of neighbours, ``n`` times."""
    for _ in range(n):
        a = moveaxis(a, axis, 0)
        a = moveaxis(a[1:] - a[:-1], 0, axis)
    return a


def diagonal(a: Array, offset: int = 0) -> Any:
    """np.diagonal of a matrix."""
    return _rearrange(np.diagonal)(a, offset)


def take(a: Array, indices: Any, axis: int | None = None) -> Any:
    """np.take: elements of the flat array, or parts along an axis."""
    a = as_value(a)
    if isinstance(indices, tuple):
        indices = np.asarray(indices)
    if axis is None:
        return a.ravel()[indices]
    (axis,) = full_axes(axis, a.ndim)
    return a[(*(slice(None),) * axis, indices)]


def _rearrange(function: Function) -> Function:
    """Make a NumPy function that only moves elements: move their positions, then gather."""

    def apply(a: Array, *parameters: Any, **keywords: Any) -> Any:
        a = as_value(a)
        positions = np.arange(a.size).reshape(a.shape)
        return a.ravel()[function(positions, *parameters, **keywords)]

    return apply


# --- putting together -----------------------------------------------------------------------------


def _parts(arrays: Any) -> list[Array]:
    return [part if known(part) else np.asarray(part) for part in arrays]


def concatenate(arrays: Any, axis: int | None = 0) -> Any:
    """np.concatenate."""
    parts = _parts(arrays)
    if axis is None:
        parts, axis = [np.ravel(part) for part in parts], 0
    (axis,) = full_axes(axis, np.ndim(parts[0]))
    shapes = [np.shape(part) for part in parts]
    if len({(shape[:axis], shape[axis + 1 :]) for shape in shapes}) > 1:
        raise ShapeError(f"{user_location()}: concatenate of {shapes} along axis {axis}.")
    ends = np.cumsum([0] + [shape[axis] for shape in shapes]).tolist()
    before = (slice(None),) * axis
    places = [(*before, slice(start, end)) for start, end in itertools.pairwise(ends)]
    whole = (*shapes[0][:axis], ends[-1], *shapes[0][axis + 1 :])
    return assemble(list(zip(parts, places, strict=True)), whole)


def stack(arrays: Any, axis: int = 0) -> Any:
    """np.stack."""
    parts = _parts(arrays)
    shapes = [np.shape(part) for part in parts]
    if len(set(shapes)) > 1:
        raise ShapeError(f"{user_location()}: stack of arrays of different shapes: {shapes}.")
    (axis,) = full_axes(axis, len(shapes[0]) + 1)
    places: list[tuple[Any, ...]] = [(slice(None),) * axis + (i,) for i in range(len(parts))]
    whole = (*shapes[0][:axis], len(parts), *shapes[0][axis:])
    return assemble(list(zip(parts, places, strict=True)), whole)


def hstack(tup: Any) -> Any:
    """np.hstack."""
    parts = [np.atleast_1d(part) for part in _parts(tup)]
    return concatenate(parts, 0 if np.ndim(parts[0]) == 1 else 1)


def vstack(tup: Any) -> Any:
    """np.vstack."""
    return concatenate([np.atleast_2d(part) for part in _parts(tup)])


def column_stack(tup: Any) -> Any:
    """np.column_stack: what has one axis becomes a column."""
    parts = [part if np.ndim(part) > 1 else np.reshape(part, (-1, 1)) for part in _parts(tup)]
    return concatenate(parts, 1)


def append(arr: Array, values: Array, axis: int | None = None) -> Any:
    """np.append."""
    return concatenate((arr, values), axis)


# --- plain arrays and numbers ---------------------------------------------------------------------


def full_like(a: Array, fill_value: Any, *, dtype: Any = None) -> Any:
    """np.full_like: a plain array, of floats."""
    a = as_value(a)
    return np.full(a.shape, fill_value, dtype or _float_type(a))


def zeros_like(a: Array, *, dtype: Any = None) -> Any:
    """np.zeros_like: a plain array, of floats."""
    return full_like(a, 0.0, dtype=dtype)


def ones_like(a: Array, *, dtype: Any = None) -> Any:
    """np.ones_like: a plain array, of floats."""
    return full_like(a, 1.0, dtype=dtype)


def _float_type(a: Value) -> np.dtype[Any]:
    return a.element_type if a.element_type.kind == "f" else np.dtype(float)


def size(a: Array, axis: int | None = None) -> int:
    """np.size."""
    return as_value(a).size if axis is None else as_value(a).shape[axis]


NUMPY.update(
    {
        np.append: append,
        np.atleast_1d: atleast_1d,
        np.atleast_2d: atleast_2d,
        np.broadcast_to: broadcast_to,
        np.clip: clip,
        np.column_stack: column_stack,
        np.concatenate: concatenate,
        np.copy: lambda a: elementwise("copy", a),
        np.diagonal: diagonal,
        np.diff: diff,
        np.empty_like: zeros_like,
        np.expand_dims: expand_dims,
        np.flip: flip,
        np.fliplr: lambda m: flip(m, 1),
        np.flipud: lambda m: flip(m, 0),
        np.full_like: full_like,
        np.hstack: hstack,
        np.moveaxis: moveaxis,
        np.ndim: lambda a: as_value(a).ndim,
        np.ones_like: ones_like,
        np.ravel: ravel,
        np.repeat: _rearrange(np.repeat),
        np.reshape: reshape,
        np.roll: _rearrange(np.roll),
        np.shape: lambda a: as_value(a).shape,
        np.size: size,
        np.squeeze: squeeze,
        np.stack: stack,
        np.swapaxes: swapaxes,
        np.take: take,
        np.tile: _rearrange(np.tile),
        np.transpose: transpose,
        np.vstack: vstack,
        np.where: where,
        np.zeros_like: zeros_like,
    }
)

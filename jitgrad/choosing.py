"""NumPy's functions that choose among Values.

>>> np.select([Value([1.0, -1.0]) > 0], [Value([5.0, 6.0])], default=0.0)
Value(data=[5. 0.], grad=0)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitgrad.arrays import broadcast_to, positions, take
from jitgrad.errors import ArgumentError, ShapeError, UnsupportedError, user_location
from jitgrad.graph import with_numbers
from jitgrad.joining import stack
from jitgrad.protocols import implements
from jitgrad.rearrange import typed
from jitgrad.structure import full_axes, numpy_s
from jitgrad.ufuncs import Array, as_value, where
from jitgrad.value import Value


@implements("select")
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """np.select: what belongs to the first condition that holds."""
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ShapeError(
            f"{user_location()}: np.select with {len(condlist)} conditions and {len(choicelist)} "
            "choices."
        )
    out = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        out = where(condition, choice, out)
    return out


@implements("piecewise")
def piecewise(x: Array, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """np.piecewise; each function is given all of ``x``, and the last condition that holds counts.

    Conditions that overlap: the last one counts. One more function than conditions is for where
    none holds.
    """
    conditions = list(condlist) if isinstance(condlist, list | tuple) else [condlist]
    if conditions and isinstance(conditions[0], bool | np.bool_) and np.ndim(x):
        conditions = [np.asarray(condlist)]
    functions = list(funclist)
    otherwise: Any = 0
    if len(functions) == len(conditions) + 1:
        otherwise = functions.pop()
    if len(functions) != len(conditions):
        raise ShapeError(
            f"{user_location()}: np.piecewise with {len(conditions)} conditions and "
            f"{len(funclist)} functions."
        )
    x = as_value(x)
    out = _piece(otherwise, x, args, kw)
    for condition, function in zip(conditions, functions, strict=True):
        out = where(condition, _piece(function, x, args, kw), out)
    return out


def _piece(function: Any, x: Value, args: tuple[Any, ...], kw: dict[str, Any]) -> Any:
    made = function(x, *args, **kw) if callable(function) else function
    return made if isinstance(made, Value | np.ndarray) else typed(made, x)


@implements("choose")
def choose(a: Any, choices: Any, mode: str = "raise") -> Any:
    """np.choose, by integers that are constant or that the loss was given."""
    if isinstance(a, Value) and a.element_type.kind not in "iu":
        raise UnsupportedError(
            f"{user_location()}: np.choose by numbers that were computed. Write np.where or "
            "np.select with conditions."
        )
    given = a if isinstance(a, Value) else np.asarray(a)
    shape = numpy_s(np.broadcast_shapes, given.shape, *map(np.shape, choices))
    arrays = [as_value(x) for x in choices if isinstance(x, Value | np.ndarray)]
    kind = arrays[0].element_type if arrays else float  # beside arrays a number has their type
    parts = [
        broadcast_to(x, shape) if isinstance(x, Value | np.ndarray) else np.full(shape, x, kind)
        for x in choices
    ]
    rows = positions(given, len(parts), mode)
    if not isinstance(rows, Value):
        rows = np.broadcast_to(rows, shape)
    return stack(parts)[(rows, *np.indices(shape, sparse=True))]


@implements("compress")
def compress(condition: Any, a: Array, axis: int | None = None) -> Any:
    """np.compress, by a constant condition."""
    return take(a, np.flatnonzero(_constant(condition, "np.compress")), axis)


@implements("extract")
def extract(condition: Any, arr: Array) -> Any:
    """np.extract, by a constant condition."""
    return take(arr, np.flatnonzero(_constant(condition, "np.extract")))


def _constant(condition: Any, what: str) -> Any:
    """Refuse a condition that is traced: how many elements there are would not be known."""
    if isinstance(condition, Value):
        error = UnsupportedError(
            f"{user_location()}: {what} by a condition that is a Value: how many elements are "
            "taken is known only when the kernel runs. Write np.where(condition, x, 0.0)."
        )
        raise with_numbers(error, [condition])
    return np.asarray(condition)


@implements("take_along_axis")
def take_along_axis(arr: Array, indices: Any, axis: int | None = -1) -> Any:
    """np.take_along_axis."""
    a = as_value(arr)
    if axis is None:
        a, axis = a.ravel(), 0
    (axis,) = full_axes(axis, a.ndim)
    indices = indices if isinstance(indices, Value) else np.asarray(indices)
    if indices.ndim != a.ndim:
        raise ArgumentError(
            f"{user_location()}: np.take_along_axis of an array of {a.ndim} dimensions with "
            f"indices of {indices.ndim}."
        )
    grid = np.indices(a.shape, sparse=True)
    numpy_s(np.broadcast_shapes, indices.shape, *(np.shape(g) for g in _without(grid, axis)))
    return a[(*grid[:axis], indices, *grid[axis + 1 :])]


def _without(parts: Any, place: int) -> list[Any]:
    return [part for at, part in enumerate(parts) if at != place]

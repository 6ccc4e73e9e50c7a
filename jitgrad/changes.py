"""NumPy's functions that change an array: assignments to its elements.

They work where ``x[i] = v`` does: in a trace on arrays of the loss's own (see `assignment`), and on
arrays that are filled. Which elements are changed is known when the function is traced.

>>> import jitgrad
>>> @jitgrad.compile
... def loss(x):
...     a = np.outer(x, x)
...     np.fill_diagonal(a, 1.0)
...     return np.sum(a)
>>> loss(np.array([1.0, 2.0]))
6.0
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from jitgrad.errors import UnsupportedError, user_location
from jitgrad.filled import CHANGES, Filled, settled
from jitgrad.graph import Function, with_numbers
from jitgrad.protocols import NUMPY, implements
from jitgrad.ufuncs import Array
from jitgrad.value import Value


def _changes(name: str) -> Function:
    """Register what a function does to a Value, and to an array that is filled."""

    def register(meaning: Function) -> Function:
        @functools.wraps(meaning)
        def checked(*args: Any, **kwargs: Any) -> None:
            _check_target(name, next(iter((*args, *kwargs.values()))))  # by place or by name
            meaning(*args, **kwargs)

        implements(name)(checked)
        CHANGES[getattr(np, name)] = checked
        return checked

    return register


def _check_target(name: str, target: Any) -> None:
    if not isinstance(target, Value | Filled):
        raise UnsupportedError(
            f"{user_location()}: np.{name} cannot be applied to a Value and a plain array, "
            "which cannot hold Values. Write np.zeros(n) in a loss, or np.where(mask, v, x)"
        )


def _known(what: str, given: Any) -> Any:
    """Return the numbers of an argument that says which elements are changed."""
    given = settled(given)
    if isinstance(given, Value):
        error = UnsupportedError(
            f"{user_location()}: {what} where it is known only when the kernel runs which elements "
            "are changed. Write np.where(condition, v, x)"
        )
        raise with_numbers(error, [given])
    return given


def _cycled(values: Array, places: Any) -> Any:
    """Return the elements of an array at places, over and over again."""
    values = settled(values)
    values = values if isinstance(values, Value) else np.asarray(values)
    return values if not values.ndim else values.ravel()[places % values.size]


@_changes("copyto")
def copyto(dst: Any, src: Array, casting: str = "same_kind", where: Any = True) -> None:
    """np.copyto."""
    src = np.broadcast_to(settled(src), dst.shape)
    dst[...] = src if where is True else np.where(settled(where), src, settled(dst))


@_changes("fill_diagonal")
def fill_diagonal(a: Any, val: Array, wrap: bool = False) -> None:
    """np.fill_diagonal."""
    shape = np.shape(a)
    matrix = len(shape) == 2
    step = shape[1] + 1 if matrix else 1 + int(np.cumprod(shape[:-1]).sum())
    places = np.arange(a.size)[: shape[1] ** 2 if matrix and not wrap else None : step]
    a[np.unravel_index(places, shape)] = _cycled(val, np.arange(places.size))


@_changes("put")
def put(a: Any, ind: Any, v: Array, mode: str = "raise") -> None:
    """np.put."""
    places = np.arange(a.size).take(np.ravel(_known("np.put", ind)), mode=mode)  # type: ignore[call-overload]
    a[np.unravel_index(places, a.shape)] = _cycled(v, np.arange(places.size))


@_changes("place")
def place(arr: Any, mask: Any, vals: Array) -> None:
    """np.place."""
    chosen = np.nonzero(np.reshape(_known("np.place", mask), arr.shape))
    arr[chosen] = _cycled(vals, np.arange(chosen[0].size))


@_changes("putmask")
def putmask(a: Any, mask: Any, values: Array) -> None:
    """np.putmask."""
    places = np.arange(a.size).reshape(a.shape)
    a[...] = np.where(settled(mask), _cycled(values, places), settled(a))


@_changes("put_along_axis")
def put_along_axis(arr: Any, indices: Any, values: Array, axis: Any) -> None:
    """np.put_along_axis."""
    chosen = np.asarray(_known("np.put_along_axis", indices))
    if axis is None:
        put(arr, chosen, values)
        return
    places: list[Any] = list(np.indices(chosen.shape, sparse=True))
    places[axis] = chosen
    arr[tuple(places)] = np.broadcast_to(settled(values), chosen.shape)


def at(ufunc: np.ufunc, a: Any, indices: Any, b: Any = None) -> None:
    """Apply a ufunc to elements one after the other, as ``np.add.at`` does."""
    _check_target(f"{ufunc.__name__}.at", a)
    given = indices if isinstance(indices, tuple) else (indices,)
    known = tuple(_known(f"np.{ufunc.__name__}.at", part) for part in given)
    places = np.asarray(np.arange(a.size).reshape(a.shape)[known])
    others = None if b is None else np.broadcast_to(settled(b), places.shape)
    found: dict[int, Any] = {}
    for k in np.ndindex(places.shape):
        place = int(places[k])
        old = found[place] if place in found else a[np.unravel_index(place, a.shape)]
        found[place] = ufunc(old) if others is None else ufunc(old, others[k])
    for place, new in found.items():
        a[np.unravel_index(place, a.shape)] = new


# --- methods -------------------------------------------------------------------------------------


def fill(self: Any, value: Array) -> None:
    """Set all elements."""
    self[...] = value


def sort(self: Any, axis: int = -1) -> None:
    """Sort along an axis."""
    self[...] = np.sort(self, axis)


def partition(self: Any, kth: int, axis: int = -1) -> None:
    """Sort along an axis."""
    self[...] = np.partition(self, kth, axis)


METHODS: dict[str, Function] = {"fill": fill, "partition": partition, "put": put, "sort": sort}

# --- ufuncs --------------------------------------------------------------------------------------


def _method_at(ufunc: np.ufunc) -> Function:
    def meaning(a: Any, indices: Any, b: Any = None) -> None:
        at(ufunc, a, indices, b)

    return meaning


for _name in ("add", "subtract", "multiply", "divide", "maximum", "minimum"):
    _ufunc = getattr(np, _name)
    NUMPY[_ufunc, "at"] = CHANGES[_ufunc] = _method_at(_ufunc)

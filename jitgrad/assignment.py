"""Changing a traced array in place: ``x[i] = v`` and ``x += v``.

A trace holds values that are written once. So an array that is changed becomes another one: its
elements are set down one by one, as in `filled`, some of them are replaced, and where it is next
read they are put together. It is the Value itself that then stands for the new array, under all
the names that it has. What NumPy would change too, an argument of the loss or another view of the
same array that is still there, is refused.

>>> import jitgrad
>>> @jitgrad.compile
... def loss(x):
...     y = np.sin(x)
...     y[0] = 2.0 * x[1]
...     y[1:] += 1.0
...     return np.sum(y * y)
>>> loss(np.zeros(2))
1.0
"""

from __future__ import annotations

import dis
import functools
import itertools
import math
import sys
from types import CodeType
from typing import Any, NoReturn

import numpy as np

from jitgrad.errors import ShapeError, UnsupportedError, user_location
from jitgrad.filled import MOST, Filled, filled
from jitgrad.graph import elementwise, with_numbers
from jitgrad.traced import IN_PLACE, SHIFT, Traced, make
from jitgrad.value import Value


def assign(x: Value, index: Any, value: Any) -> None:
    """Set elements: ``x[index] = value``.

    Raises
    ------
    UnsupportedError
        Outside a trace, where the array is not the loss's own, where another view of it is still
        there, and where ``index`` is known only when the kernel runs.
    """
    if not isinstance(x, Traced) or not x.dims:
        raise UnsupportedError(
            f"{user_location()}: outside of jitgrad.compile a Value is not changed in place. Write "
            "out = np.zeros_like(x); out[...] = x; out[i] = v, or choose with np.where."
        )
    x.tape.take_back(value)
    _check_own(x, "x[i] = v")
    items = index if isinstance(index, tuple) else (index,)
    if any(isinstance(item, Value) for item in items):
        _assign_where(x, items, value)
        return
    if id(x) not in x.tape.pending:
        x.tape.set_down(x, _elements(x))
    x.tape.pending[id(x)][index] = value
    x.tape.changed.add(id(x))


def _check_own(x: Traced, what: str) -> None:
    if x.code < 0:
        raise UnsupportedError(
            f"{user_location()}: {what} changes an array in place that the loss was given. "
            "Arguments are never modified: write x = x.copy() first"
        )
    if any(view is not x for view in _views(x)):
        raise UnsupportedError(
            f"{user_location()}: {what} changes an array of which another view is still there, "
            "which NumPy would change too. Write x = x.copy() first"
        )


def _views(x: Traced) -> list[Traced]:
    """Return the views of the result that an array is a view of, as far as they are still there."""
    found = (view() for view in x.tape.views.get(x.code >> SHIFT, ()))
    return [view for view in found if view is not None]


def _elements(x: Traced) -> Filled:
    """Set down the elements of an array one by one."""
    if x.size > MOST:
        raise UnsupportedError(
            f"{user_location()}: x[i] = v in an array of {x.size} elements; expected at most "
            f"{MOST}. Write np.where(condition, v, x) or np.concatenate"
        )
    elements: Filled = filled(np.zeros(x.dims, x.element_type if x.kind[0] == "f" else float))
    offsets = sum(
        stride * np.arange(extent).reshape([-1 if d == n else 1 for d in range(len(x.dims))])
        for n, (extent, stride) in enumerate(zip(x.dims, x.strides, strict=True))
    )
    codes = np.broadcast_to(x.code + offsets, x.dims)
    for at in np.ndindex(*x.dims):
        elements[at] = make(x.tape, int(codes[at]), (), (), x.kind)
    return elements


def _assign_where(x: Traced, items: tuple[Any, ...], value: Any) -> None:
    """Set the elements that a condition chooses."""
    mask = items[0]
    chosen = len(items) == 1 and isinstance(mask, Value) and mask.element_type.kind == "b"
    if not chosen or mask.shape != x.dims or np.ndim(value):
        error = UnsupportedError(
            f"{user_location()}: x[i] = v where i is known only when the kernel runs; write "
            "x = np.where(np.arange(n) == i, v, x)"
        )
        raise with_numbers(error, items)
    _become(x, elementwise("where", mask, value, x))


def _become(x: Traced, other: Any) -> None:
    """Let a Value stand for another array of the same shape; it keeps its type."""
    if other.element_type != x.element_type and other.kind[0] == "f" and x.kind[0] == "f":
        other = other.astype(x.element_type)
    x.code, x.strides, x.kind = other.code, other.strides, other.kind
    x.tape.forget(id(x))


class _Replaced:
    """What stands for the elements of an array once a container holds the changed one.

    ``held[i] += v`` changes the array that a list holds, under all of its names. Here the list gets
    another Value. The old one and its views, where somebody still has them, must not be used.
    """

    def __init__(self, sign: str) -> None:
        self._text = (
            f"{user_location()}: an array is used that a[i] {sign}= v has changed in place, or a "
            f"view of it, under another name. Write a[i] = a[i] {sign} v to leave it as it was"
        )

    def parts(self) -> NoReturn:
        raise UnsupportedError(self._text)

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        self.parts()


def in_place(name: str, x: Traced, other: Any, sign: str) -> Any:
    """Apply an operator with an equals sign: ``x += other``."""
    if not x.dims:
        return x.tape.elementwise(name, (x, other))
    shape = np.broadcast_shapes(x.dims, np.shape(other))
    if math.prod(shape) != x.size:
        raise ShapeError(
            f"{user_location()}: x {sign}= v of arrays of shapes {x.dims} and {np.shape(other)}"
        )
    if _is_stored(sys._getframe(3)):
        return _to_be_stored(name, x, other, sign)
    _check_own(x, f"x {sign}= v")
    _become(x, x.tape.elementwise(name, (x, other)))
    return x


def _to_be_stored(name: str, x: Traced, other: Any, sign: str) -> Traced:
    """Return the sum of ``a[i] += v``, which Python now stores in a.

    If ``a`` is a Value, `assign` is next, and ``x`` was a view that nobody else has. If not, it is
    a list, a dict or an object, and ``x`` the array in it.
    """
    if x.code < 0:
        _check_own(x, f"x {sign}= v")
    made = x.tape.elementwise(name, (x, other))
    if made.element_type != x.element_type and made.kind[0] == "f" and x.kind[0] == "f":
        made = made.astype(x.element_type)
    x.tape.replace([x, *_views(x)], made, _Replaced(sign))
    return made  # type: ignore[no-any-return]


def _is_stored(frame: Any) -> bool:
    """Whether the result of what a frame executes is put back into the container it came from."""
    return frame.f_lasti in _stored(frame.f_code)


@functools.lru_cache(maxsize=256)
def _stored(code: CodeType) -> frozenset[int]:
    """Return the places of the operators in ``x[i] += v`` and ``x.y += v``."""
    steps = list(dis.get_instructions(code))
    pairs = itertools.pairwise(steps)
    return frozenset(a.offset for a, b in pairs if b.opname in ("SWAP", "ROT_THREE"))


setattr(Value, "__setitem__", assign)  # noqa: B010 - beside the table of methods
IN_PLACE.append(in_place)

"""Arrays that are filled with Values one by one: what ``np.zeros`` is in a loss.

``out = np.zeros(n); out[i] = value`` is how people build arrays. A plain array of floats cannot
hold a Value, so in a trace, and with ``like=``, NumPy's functions for new arrays give a `Filled`:
an array of objects, numbers at first. Views, slices and assignments are NumPy's own. Where it meets
a NumPy function or an operator it becomes a plain array, or one Value if there are Values in it.

>>> from jitgrad import Value
>>> out = filled(np.zeros(3))
>>> out[1] = Value(2.0) * 3.0
>>> np.sum(out[:2])
Value(data=6.0, grad=0)
>>> out[:1] + 2.0
array([2.])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jitgrad.errors import PositionError, ShapeError, UnsupportedError, user_location
from jitgrad.graph import active, assemble
from jitgrad.protocols import Labelled, signature_of
from jitgrad.value import Value

MOST = 1_000_000  # elements: each is an object
CHANGES: dict[Any, Callable[..., None]] = {}  # functions that change an array: see `changes`


class Filled(np.ndarray[Any, Any]):
    """An array of numbers and Values, with NumPy's ways of viewing and assigning."""

    element: np.dtype[Any]  # of the array that it stands for

    def __array_finalize__(self, other: Any) -> None:
        self.element = getattr(other, "element", np.dtype(float))

    @property
    def dtype(self) -> Any:
        """The type of the array that it stands for."""
        return self.element

    def __getitem__(self, index: Any) -> Any:
        if type(index) is not int and active.tape is not None:
            items = index if isinstance(index, tuple) else (index,)
            if any(isinstance(item, Value) for item in items):
                return Value(self.whole(), requires_grad=False)[index]
        return super().__getitem__(index)

    def __setitem__(self, index: Any, value: Any) -> None:
        index = tuple(map(_plain, index)) if isinstance(index, tuple) else _plain(index)
        value = settled(value) if isinstance(value, Labelled) else value
        if isinstance(value, Value) and value.shape:
            value = _objects(value)
        try:
            super().__setitem__(index, value)
        except IndexError as error:
            raise PositionError(f"{user_location()}: {error}") from None
        except ValueError as error:
            raise ShapeError(f"{user_location()}: {error}") from None

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        if method == "at":
            return _changed(ufunc, f"{ufunc.__name__}.at")(*inputs)
        out = keywords.get("out")
        if out is not None and isinstance(out[0], Filled):  # out += value
            keywords.pop("out")
            made = getattr(ufunc, method)(*map(settled, inputs), **keywords)
            out[0][...] = made
            return out[0]
        return getattr(ufunc, method)(*map(settled, inputs), **keywords)

    def __array_function__(self, function: Any, _types: Any, inputs: Any, keywords: Any) -> Any:
        bound = signature_of(function).bind(*inputs, **keywords)
        if function in CHANGES and isinstance(next(iter(bound.arguments.values())), Filled):
            return CHANGES[function](*bound.args, **bound.kwargs)
        out = bound.arguments.pop("out", None)
        made = function(*map(settled_all, bound.args), **_settled_values(bound.kwargs))
        if not isinstance(out, Filled):
            return made
        out[...] = made
        return out

    def astype(self, dtype: Any, *args: Any, **keywords: Any) -> Any:
        """Return it as another type: one Value, or an array that can be filled again."""
        whole = self.whole()
        if isinstance(whole, Value):
            return whole.astype(dtype)
        return filled(whole.astype(dtype, *args, **keywords))

    def whole(self) -> Any:
        """Return the plain array that it is, or one Value if it holds Values."""
        if any(isinstance(element, Value) for element in self.flat):
            made = assemble(self.parts(), self.shape)
            return made if made.element_type == self.element else made.astype(self.element)
        return np.asarray(self.view(np.ndarray), self.element)

    def parts(self) -> list[tuple[Any, Any]]:
        """Return its elements with their places, as `graph.assemble` takes them."""
        return [(part, at) for at, part in np.ndenumerate(self)]

    def __reduce__(self) -> Any:
        return settled(self).__reduce__()


def _of_whole(name: str) -> Any:
    """Make a method that NumPy's own arrays of objects answer by comparing their elements."""

    def method(self: Filled, *args: Any, **keywords: Any) -> Any:
        return getattr(self.whole(), name)(*args, **keywords)

    return method


for _name in ("all", "any", "argmax", "argmin", "argsort", "clip", "dot", "std", "var"):
    setattr(Filled, _name, _of_whole(_name))


def filled(array: Any) -> Any:
    """Make an array that can be filled with Values; one of whole numbers or truths stays plain."""
    array = np.asarray(array)
    if array.dtype.kind != "f" or array.size > MOST:
        return array
    made = array.astype(object).view(Filled)
    made.element = array.dtype
    return made


def settled(operand: Any) -> Any:
    """Return a `Filled` put together, the numbers of a table, or anything else as it is."""
    return operand.whole() if isinstance(operand, Filled | Labelled) else operand


def _changed(function: Any, name: str) -> Callable[..., None]:
    if function not in CHANGES:
        raise UnsupportedError(
            f"{user_location()}: np.{name} of an array that Values may be put in; write x[i] = v"
        )
    return CHANGES[function]


def _settled_values(given: dict[str, Any]) -> dict[str, Any]:
    return {name: settled_all(x) for name, x in given.items()}


def settled_all(given: Any) -> Any:
    """Return `settled` of something, or of each part of a tuple or list."""
    if isinstance(given, tuple | list):
        return type(given)(map(settled_all, given))
    return settled(given)


def _plain(index: Any) -> Any:
    """Return an index as NumPy takes it."""
    if isinstance(index, Value) and active.tape is not None:
        raise UnsupportedError(
            f"{user_location()}: x[i] = v where i is known only when the kernel runs; write "
            "x = np.where(np.arange(n) == i, v, x)"
        )
    return settled(index)


def _objects(value: Value) -> Any:
    """Return an array's elements as Values of their own."""
    elements = np.empty(value.shape, object)
    for at in np.ndindex(value.shape):
        elements[at] = value[at]
    return elements

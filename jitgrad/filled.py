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

from typing import Any

import numpy as np

from jitgrad.graph import assemble
from jitgrad.protocols import Labelled
from jitgrad.value import Value

MOST = 1_000_000  # elements: each is an object


class Filled(np.ndarray[Any, Any]):
    """An array of numbers and Values, with NumPy's ways of viewing and assigning."""

    element: np.dtype[Any]  # of the array that it stands for

    def __array_finalize__(self, other: Any) -> None:
        self.element = getattr(other, "element", np.dtype(float))

    def __setitem__(self, index: Any, value: Any) -> None:
        index = tuple(map(_plain, index)) if isinstance(index, tuple) else _plain(index)
        value = settled(value) if isinstance(value, Labelled) else value
        if isinstance(value, Value) and value.shape:
            value = _objects(value)
        super().__setitem__(index, value)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        out = keywords.get("out")
        if out is not None and isinstance(out[0], Filled):  # out += value
            keywords.pop("out")
            made = getattr(ufunc, method)(*map(settled, inputs), **keywords)
            out[0][...] = made
            return out[0]
        return getattr(ufunc, method)(*map(settled, inputs), **keywords)

    def __array_function__(self, function: Any, _types: Any, inputs: Any, keywords: Any) -> Any:
        given = _settled_all(inputs)
        return function(*given, **{name: _settled_all(x) for name, x in keywords.items()})

    def parts(self) -> list[tuple[Any, Any]]:
        """Return its elements with their places, as `graph.assemble` takes them."""
        return [(part, at) for at, part in np.ndenumerate(self)]

    def settle(self) -> Any:
        """Return the plain array that it is, or one Value if it holds Values."""
        if any(isinstance(element, Value) for element in self.flat):
            whole = assemble(self.parts(), self.shape)
            return whole if whole.element_type == self.element else whole.astype(self.element)
        return np.asarray(self.view(np.ndarray), self.element)

    def __reduce__(self) -> Any:
        return settled(self).__reduce__()


def filled(array: Any) -> Any:
    """Make an array that can be filled with Values; one of whole numbers or truths stays plain."""
    array = np.asarray(array)
    if array.dtype.kind != "f" or array.size > MOST:
        return array
    made = array.astype(object).view(Filled)
    made.element = array.dtype
    return made


def settled(operand: Any) -> Any:
    """Return what a `Filled` has become, or the numbers of a table; anything else as it is."""
    return operand.settle() if isinstance(operand, Filled | Labelled) else operand


def _settled_all(given: Any) -> Any:
    if isinstance(given, tuple | list):
        return type(given)(map(_settled_all, given))
    return settled(given)


def _plain(index: Any) -> Any:
    return settled(index)


def _objects(value: Value) -> Any:
    """Return an array's elements as Values of their own."""
    elements = np.empty(value.shape, object)
    for at in np.ndindex(value.shape):
        elements[at] = value[at]
    return elements

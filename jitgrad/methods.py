"""The methods of Values that tables say: those of NumPy's arrays, and the rows of the ops table.

>>> Value([1.0, -2.0, 3.0]).clip(0.0, 2.0).mean()
Value(data=1.0, grad=0)
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from jitgrad import (  # noqa: F401 - they register NumPy's functions
    assignment,
    changes,
    choosing,
    contractions,
    creation,
    differences,
    einsum,
    linalg,
    norms,
    ordering,
    scans,
    special_functions,
    statistics,
)
from jitgrad.changes import METHODS
from jitgrad.errors import UnsupportedError, user_location
from jitgrad.graph import Function, elementwise, refuse
from jitgrad.instead import IN_PLACE
from jitgrad.ops import OPS
from jitgrad.protocols import NUMPY, apply_function
from jitgrad.value import Value

SELF_SECOND = ("compress",)  # np.compress(condition, a)


def _method(name: str) -> Function:
    function = getattr(np, name)
    key = (function, "__call__") if isinstance(function, np.ufunc) else function

    def method(self: Value, *arguments: Any, **keywords: Any) -> Any:
        if name in SELF_SECOND:
            arguments = (*arguments[:1], self, *arguments[1:])
        else:
            arguments = (self, *arguments)
        if key is not function:
            return NUMPY[key](*arguments, **keywords)
        return apply_function(function, arguments, keywords)

    method.__name__ = name
    method.__doc__ = f"Return ``np.{name}`` of it."
    return method


def _refused(name: str) -> Function:
    def method(self: Value, *_: Any, **__: Any) -> NoReturn:
        raise UnsupportedError(
            f"{user_location()}: a Value is not changed in place by .{name}(). {IN_PLACE[name]}"
        )

    method.__name__ = name
    method.__doc__ = "Raise: a Value is not changed in place."
    return method


def _is_known(name: str) -> bool:
    function = getattr(np, name, None)
    return function is not None and (function in NUMPY or (function, "__call__") in NUMPY)


def _to_list(self: Value) -> Any:
    """Return the numbers as nested lists."""
    refuse(self, ".tolist()")
    return np.asarray(self._data).tolist()


PROPERTIES: dict[str, Function] = {
    "flat": lambda self: iter(self.ravel()),
    "imag": lambda self: np.imag(self),
    "itemsize": lambda self: self.element_type.itemsize,
    "mT": lambda self: np.matrix_transpose(self),
    "nbytes": lambda self: self.size * self.element_type.itemsize,
    "real": lambda self: self,
}
OWN = {"astype", "ravel", "reshape", "transpose", "ndim", "shape", "size"}  # of `Value` itself
for _name in dir(np.ndarray):
    if _name in PROPERTIES:
        setattr(Value, _name, property(PROPERTIES[_name]))
    elif _name in METHODS:
        setattr(Value, _name, METHODS[_name])
    elif _name in IN_PLACE:
        setattr(Value, _name, _refused(_name))
    elif not _name.startswith("_") and _name not in OWN and _is_known(_name):
        setattr(Value, _name, _method(_name))
setattr(Value, "tolist", _to_list)  # noqa: B010 - as the methods above


# --- the methods named after the rows ------------------------------------------------------------


def _row_method(name: str) -> Function:
    def method(self: Value, *others: Any) -> Any:
        return elementwise(name, self, *others)

    method.__name__ = name
    method.__doc__ = f"Return ``{name}``, elementwise. {OPS[name].kink}"
    return method


for _name in OPS:
    if not hasattr(Value, _name):
        setattr(Value, _name, _row_method(_name))

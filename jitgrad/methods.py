"""The methods of NumPy's arrays on Values: those whose function of the same name takes Values.

>>> Value([1.0, -2.0, 3.0]).clip(0.0, 2.0).mean()
Value(data=1.0, grad=0)
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from jitgrad import (  # noqa: F401 - they register NumPy's functions
    choosing,
    contractions,
    creation,
    differences,
    einsum,
    norms,
    statistics,
)
from jitgrad.errors import UnsupportedError, user_location
from jitgrad.graph import Function, refuse
from jitgrad.protocols import INSTEAD, NUMPY, apply_function
from jitgrad.value import Value

SELF_SECOND = ("compress",)  # np.compress(condition, a)
IN_PLACE = {
    "byteswap": "It changes an array in place",
    "fill": "Write np.full_like(v, number), or np.broadcast_to(number, v.shape)",
    "itemset": "Write np.where(mask, number, v)",
    "partition": "Write np.partition(v, kth)",
    "put": "Write np.where(mask, values, v)",
    "resize": "Write np.resize(v, shape)",
    "setfield": "Write np.where(mask, values, v)",
    "setflags": "It says how an array lies in memory",
    "sort": "Write np.sort(v)",
}
INSTEAD.update(
    {
        "argwhere": "Where a condition holds is known only when the kernel runs; np.where chooses.",
        "copyto": "Write np.broadcast_to(v, shape), or np.where(mask, v, x).",
        "extract": "Write np.where(condition, x, 0.0).",
        "fill_diagonal": "Write np.where(np.eye(n, dtype=bool), value, x).",
        "flatnonzero": "Where there are zeros is known only when the kernel runs; np.where chooses.",
        "frexp": "Write x / 2.0 ** n with n = np.floor(np.log2(abs(x))) + 1.",
        "ldexp": "Write x * 2.0 ** n.",
        "nextafter": "It has no derivative; write x.data for the number.",
        "nonzero": "Where there are zeros is known only when the kernel runs; np.where chooses.",
        "place": "Write np.where(mask, values, x).",
        "put": "Write np.where(mask, values, x).",
        "putmask": "Write np.where(mask, values, x).",
        "put_along_axis": "Write np.where(mask, values, x).",
        "spacing": "It has no derivative; write x.data for the number.",
        "trim_zeros": "Where there are zeros is known only when the kernel runs; slice x[i:j].",
        "unique": "Which elements are equal is known only when the kernel runs.",
    }
)
for _ufunc in ("add", "subtract", "multiply", "divide", "maximum", "minimum"):
    INSTEAD[f"{_ufunc}.at"] = (
        "It changes an array in place. Gather with x[indices], or write a sum of "
        "np.where(indices == i, x, 0.0)."
    )
    INSTEAD[f"{_ufunc}.reduceat"] = f"Write np.{_ufunc}.reduce of each slice, and np.stack."
    INSTEAD[f"{_ufunc}.accumulate"] = "Write a loop, and np.stack."


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
            f"{user_location()}: a Value is not changed in place by .{name}(). {IN_PLACE[name]}."
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
OWN = {"astype", "item", "ravel", "reshape", "transpose", "flatten"}  # with their own arguments
for _name in dir(np.ndarray):
    if _name in PROPERTIES:
        setattr(Value, _name, property(PROPERTIES[_name]))
    elif _name in IN_PLACE:
        setattr(Value, _name, _refused(_name))
    elif not _name.startswith("_") and _name not in OWN and _is_known(_name):
        if not isinstance(getattr(Value, _name, None), property):
            setattr(Value, _name, _method(_name))
setattr(Value, "tolist", _to_list)  # noqa: B010 - as the methods above

"""Python's and NumPy's functions of numbers and arrays, with IEEE results at the edges.

>>> import operator
>>> ieee(operator.truediv, 1.0, 0.0), scalar_library("numpy", "exp")(1000.0)
(inf, inf)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jitgrad import special
from jitgrad.native import is_native

Number = Any  # a Python number, a NumPy scalar or an array
WHOLE = ("floor", "ceil", "trunc")  # of which Python's own give an int


def quiet(function: Callable[..., Number], *operands: Number) -> Number:
    """Call without NumPy's warnings: infinities and NaNs are results here, as in a kernel."""
    with np.errstate(all="ignore"):
        return function(*operands)


def quiet_float(function: Callable[..., Number], *operands: Number) -> float:
    """Call likewise, for a Python float."""
    return float(quiet(function, *operands))


def ieee(function: Callable[..., Number], *operands: Number) -> Number:
    """Call on Python numbers; where Python raises (x / 0.0) give what IEEE arithmetic gives."""
    try:
        return function(*operands)
    except ArithmeticError:
        return quiet_float(function, *map(np.float64, operands))


def scalar_library(module: str, function: str) -> Callable[..., Number]:
    """Python's own function where it has one, NumPy's for the edges on which Python raises."""
    slow: Any = getattr(np, function, None)
    fast = getattr(math, {"arctan2": "atan2"}.get(function, function.replace("arc", "a")), None)
    if module in ("special", "math"):  # of math only erf and erfc, which never raise
        fast = slow = getattr(special if module == "special" else math, function)
    elif fast is None or function in WHOLE:
        return functools.partial(quiet_float, slow)

    def call(*operands: float) -> Number:
        try:
            return fast(*operands)
        except (ValueError, OverflowError, ZeroDivisionError):
            return quiet_float(slow, *map(np.float64, operands))

    return call


def scalar_pow(x: Number, y: Number) -> Number:
    """Python's ``**``, but real: a negative number to a fractional power is NaN."""
    try:
        power = x**y
    except ArithmeticError:
        return quiet_float(np.power, float(x), float(y))
    return math.nan if isinstance(power, complex) else power


def array_library(module: str, function: str) -> Callable[..., Number]:
    """NumPy's function, or one of numbers applied to each element."""
    if module == "numpy":
        return getattr(np, function)  # type: ignore[no-any-return]
    if module == "special" and is_native(native := getattr(special, function)):
        return functools.partial(_in_double, native)
    scalar = np.vectorize(scalar_library(module, function), otypes=[float])

    def apply(*operands: Number) -> Any:
        return scalar(*operands).astype(np.result_type(*operands, np.float16), copy=False)

    return apply


def _in_double(function: Callable[..., Number], *operands: Number) -> Any:
    """Call on arrays of float64; the result is of the type that NumPy gives to one of these."""
    found = function(*(np.asarray(operand, float) for operand in operands))
    return found.astype(np.result_type(*operands, np.float16), copy=False)


def scalar_where(condition: Any, chosen: Number, other: Number) -> Number:
    """np.where of numbers."""
    return chosen if condition else other

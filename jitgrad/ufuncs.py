"""NumPy's elementwise functions over Values.

A ufunc that is a row of the ops table is that row; the others are composed of rows, so that they
work on eager Values and in a trace alike.

>>> v = Value([-1.5, 0.5, 2.5])
>>> np.round(v), np.logical_xor(v > 0, v > 1)
(Value(data=[-2.  0.  2.], grad=0), array([False,  True, False]))
"""

from __future__ import annotations

import math
import operator
from typing import Any, TypeAlias

import numpy as np

from jitgrad.errors import UnsupportedError, user_location
from jitgrad.graph import Function, Operand, elementwise, known, with_numbers
from jitgrad.ops import OPS
from jitgrad.protocols import implements
from jitgrad.value import Value

Array: TypeAlias = Any  # a Value, or an array of numbers

# NumPy's names of rows that have another one.
RENAMED = {
    "absolute": "abs",
    "fabs": "abs",
    "positive": "copy",
    "conjugate": "copy",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "equal": "eq",
    "not_equal": "ne",
}

# These go through Python's operators, so that scalars are composed as micrograd composes them.
OPERATORS: dict[str, Function] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "remainder": operator.mod,
    "floor_divide": operator.floordiv,
    "negative": operator.neg,
    "matmul": operator.matmul,
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "bitwise_xor": operator.xor,
    "invert": operator.invert,
    "square": lambda x: x * x,
    "deg2rad": lambda x: x * (math.pi / 180.0),
    "radians": lambda x: x * (math.pi / 180.0),
    "rad2deg": lambda x: x * (180.0 / math.pi),
    "degrees": lambda x: x * (180.0 / math.pi),
    "divmod": divmod,
}


def as_value(operand: Operand) -> Value:
    """Make an operand something with a Value's methods; what is one already stays as it is."""
    return operand if isinstance(operand, Value) else Value(operand, requires_grad=False)


def _through_operator(function: Function) -> Function:
    """Apply an operator so that the first operand is a Value and not NumPy's business again."""

    def apply(first: Operand, *others: Operand) -> Any:
        return function(as_value(first), *(x if known(x) else as_value(x) for x in others))

    return apply


def through_row(name: str) -> Function:
    """Return a row of the ops table as a function of Values, numbers and arrays."""

    def apply(*operands: Operand) -> Any:
        return elementwise(name, *operands)

    return apply


for _name in OPS:
    if isinstance(getattr(np, _name, None), np.ufunc):
        implements(_name)(through_row(_name))
for _name, _row in RENAMED.items():
    implements(_name)(through_row(_row))
for _name, _function in OPERATORS.items():
    implements(_name)(_through_operator(_function))

# --- composed -------------------------------------------------------------------------------------


@implements("reciprocal")
def reciprocal(x: Array) -> Any:
    """np.reciprocal, of floats."""
    if as_value(x).element_type.kind in "iu":
        raise UnsupportedError(
            f"{user_location()}: np.reciprocal of integers, which NumPy rounds to 0; write 1.0 / n"
        )
    return 1.0 / x


@implements("float_power")
def float_power(x: Array, y: Array) -> Any:
    """np.float_power: a power in float64."""
    return as_value(x).astype(float) ** as_value(y).astype(float)


@implements("modf")
def modf(x: Array) -> tuple[Any, Any]:
    """np.modf: what is behind the point, and the rest."""
    x, whole = as_value(x), elementwise("trunc", x)
    return elementwise("where", elementwise("isinf", x), 0.0, x - whole), whole


@implements("logical_xor")
def logical_xor(x: Array, y: Array) -> Any:
    """np.logical_xor."""
    return elementwise("ne", truth(x), truth(y))


def truth(x: Array) -> Any:
    """Return whether numbers are not 0; truth values are as they are."""
    return x if as_value(x).element_type.kind == "b" else elementwise("ne", x, 0.0)


@implements("where")
def where(condition: Array, x: Array = None, y: Array = None, /) -> Any:
    """np.where with three arguments."""
    if x is None or y is None:
        error = UnsupportedError(
            f"{user_location()}: np.where with one argument: where a condition holds is known only "
            "when the kernel runs. Write np.where(condition, x, y)."
        )
        raise with_numbers(error, [condition])
    return elementwise("where", condition, x, y)


@implements("clip")
def clip(
    a: Array, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None
) -> Any:
    """np.clip; at a bound the derivative is 1, as in PyTorch."""
    low, high = a_min if min is None else min, a_max if max is None else max
    if low is None and high is None:
        return elementwise("copy", a)
    if low is not None:
        a = elementwise("where", _beyond(elementwise("lt", a, low), low), low, a)
    if high is not None:
        a = elementwise("where", _beyond(elementwise("gt", a, high), high), high, a)
    return a


def _beyond(outside: Any, bound: Any) -> Any:
    """Where a bound is taken: also where it is not a number."""
    if isinstance(bound, int | float) and not math.isnan(bound):
        return outside
    return elementwise("logical_or", outside, elementwise("isnan", bound))


@implements("round", "around")
def rounded(a: Array, decimals: int = 0) -> Any:
    """np.round: the nearest multiple of a power of ten; in the middle, the even one."""
    if decimals == 0:
        return elementwise("rint", a)
    power = 10.0 ** abs(decimals)
    up, down = (
        (operator.mul, operator.truediv) if decimals > 0 else (operator.truediv, operator.mul)
    )
    return down(elementwise("rint", up(as_value(a), power)), power)


@implements("fix")
def fix(x: Array) -> Any:
    """np.fix: the nearest whole number towards 0."""
    return elementwise("trunc", x)


@implements("nan_to_num")
def nan_to_num(
    x: Array, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    """np.nan_to_num; the derivative is 1 at finite numbers and 0 at others."""
    kind = as_value(x).element_type
    largest = float(np.finfo(kind).max) if kind.kind == "f" else math.inf
    high, low = (largest if posinf is None else posinf), (-largest if neginf is None else neginf)
    x = where(elementwise("eq", x, math.inf), high, x)
    x = where(elementwise("eq", x, -math.inf), low, x)
    return where(elementwise("isnan", x), nan, x)


@implements("sinc")
def sinc(x: Array) -> Any:
    """np.sinc: sin(pi x) / (pi x).

    Near 0 it is the Taylor series, whose derivatives do not cancel: 7 terms for angles up to 1/2.
    """
    angle = as_value(x) * math.pi
    square = angle * angle
    series: Any = 1.0 / math.factorial(15)
    for k in range(6, -1, -1):
        series = 1.0 / math.factorial(2 * k + 1) - square * series
    return where(square < 0.25, series, elementwise("sin", angle) / angle)


@implements("isposinf")
def isposinf(x: Array) -> Any:
    """np.isposinf."""
    return elementwise("eq", x, math.inf)


@implements("isneginf")
def isneginf(x: Array) -> Any:
    """np.isneginf."""
    return elementwise("eq", x, -math.inf)


@implements("ldexp")
def ldexp(x1: Array, x2: Array) -> Any:
    """np.ldexp: x1 * 2 ** x2."""
    return as_value(x1) * elementwise("pow", 2.0, x2)


@implements("isclose")
def isclose(
    a: Array, b: Array, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False
) -> Any:
    """np.isclose."""
    near = elementwise("le", abs(as_value(a) - b), abs(as_value(b)) * rtol + atol)
    close = (near & elementwise("isfinite", b)) | elementwise("eq", a, b)
    if equal_nan:
        close = close | (elementwise("isnan", a) & elementwise("isnan", b))
    return close


# --- of complex numbers, which Values are not ----------------------------------------------------


@implements("real")
def real(val: Array) -> Any:
    """np.real: the array itself."""
    return as_value(val)


@implements("real_if_close")
def real_if_close(a: Array, tol: float = 100) -> Any:
    """np.real_if_close: the array itself."""
    return as_value(a)


@implements("imag")
def imag(val: Array) -> Any:
    """np.imag: zeros, a plain array."""
    return np.zeros(as_value(val).shape, _float_type(val))[()]


@implements("angle")
def angle(z: Array, deg: bool = False) -> Any:
    """np.angle: 0 for positive numbers and pi for negative ones; the derivative is 0."""
    turned = elementwise("arctan2", 0.0, elementwise("detach", z))
    return turned * (180.0 / math.pi) if deg else turned


@implements("isreal")
def isreal(x: Array) -> Any:
    """np.isreal: true everywhere."""
    return np.ones(as_value(x).shape, dtype=bool)[()]


@implements("iscomplex")
def iscomplex(x: Array) -> Any:
    """np.iscomplex: false everywhere."""
    return np.zeros(as_value(x).shape, dtype=bool)[()]


@implements("isrealobj")
def isrealobj(x: Array) -> bool:
    """np.isrealobj: yes."""
    return True


@implements("iscomplexobj")
def iscomplexobj(x: Array) -> bool:
    """np.iscomplexobj: no."""
    return False


def _float_type(a: Array) -> np.dtype[Any]:
    kind = as_value(a).element_type
    return kind if kind.kind == "f" else np.dtype(float)

"""exp, log, sin, powers and their kin without branches, for loops that LLVM vectorises.

The system's library computes one number at a time, and Intel's vector library is out of reach of
PyPI's llvmlite. Here each function is one formula of `exponentials`, `angles` or `powers`. In
CPython these are plain functions of `math`; in a kernel they become LLVM instructions in the loop.

An error of one rounding that a formula relies on is computed with a fused multiply-add, never left
to the compiler: they are right under the flags ``contract`` and none, which kernels have. With
``strict=True`` kernels use the system's functions.

>>> exp(1.0), tanh(-0.0), log(0.0), power(-2.0, 3.0)
(2.718281828459045, -0.0, -inf, -8.0)
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import types
from numba.extending import intrinsic, overload

from jitgrad import (
    angles,
    blas,
    exponentials,
    formats,
    incomplete,
    instructions,
    native,
    polygammas,
    powers,
    remainders,
    special,
)
from jitgrad.formats import DOUBLE, SINGLE
from jitgrad.instructions import Number
from jitgrad.ops import OPS

_PARTS = (
    *(blas, formats, instructions, exponentials, angles, powers),
    *(native, polygammas, remainders, incomplete, special),
)
_FILES = (Path(__file__), *(Path(inspect.getfile(part)) for part in _PARTS))
DIGEST = hashlib.sha256(b"".join(file.read_bytes() for file in _FILES)).hexdigest()[:16]
"""For the names of kernels: Numba's cache does not see that a function of another file changed."""

NAMES = ("exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sigmoid", "erf", "erfc")
"""The functions of one argument here; they are rows of the ops table."""

POWER = "power"
"""The function here for the row ``pow``, which is printed as ``x ** y`` elsewhere."""

LARGEST_POWER = 64
"""Numba multiplies out whole powers that are written as int literals up to this one.

They are off by at most 1.9 units in the last place up to x ** 4, but 2.8 for x ** 5, 5 for x ** 8,
10 for x ** 16 and 46 for x ** 64. `power` takes several times as long.
"""

Formula = Callable[..., Number]


def _function(name: str, formula: Formula) -> Callable[[float], float]:
    """Make a function of one argument that CPython and Numba can call."""

    def scalar(x: float) -> float:
        return OPS[name].evaluate(x)  # type: ignore[no-any-return]

    instructions = _instructions(name, formula)

    def compiled(x):  # type: ignore[no-untyped-def]  # Numba compares this signature to the lambda's
        return (lambda x: instructions(x)) if isinstance(x, types.Float) else None

    return _published(scalar, name, compiled)  # type: ignore[no-any-return]


def _function_of_two(name: str, formula: Formula, op: str) -> Callable[[float, float], float]:
    """Make a function of two arguments that CPython and Numba can call."""

    def scalar(x: float, y: float) -> float:
        return OPS[op].evaluate(x, y)  # type: ignore[no-any-return]

    instructions = _instructions_of_two(name, formula)

    def compiled(x, y):  # type: ignore[no-untyped-def]  # see above
        real = isinstance(x, types.Float) and isinstance(y, types.Float)
        return (lambda x, y: instructions(x, y)) if real else None

    return _published(scalar, name, compiled)  # type: ignore[no-any-return]


def _instructions(name: str, formula: Formula) -> Any:
    def typed(_context: Any, x: Any) -> Any:
        return x(x), _generator(formula)

    typed.__name__ = f"_{name}_instructions"
    return intrinsic(typed)


def _instructions_of_two(name: str, formula: Formula) -> Any:
    def typed(_context: Any, x: Any, y: Any) -> Any:
        wider = max(x, y, key=lambda kind: kind.bitwidth)
        return wider(wider, wider), _generator(formula)  # Numba converts the other one

    typed.__name__ = f"_{name}_instructions"
    return intrinsic(typed)


def _generator(formula: Formula) -> Callable[..., Any]:
    """Return what Numba calls to have the instructions written."""

    def generate(_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # LLVM prefers vectors of 256 bits where there are 512. With these, exp takes 0.8 ns for a
        # number instead of 1.1, and a power 4.7 instead of 7.5.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        of = SINGLE if signature.return_type.bitwidth == 32 else DOUBLE
        return formula(*(Number(builder, argument, of) for argument in arguments)).value

    return generate


def _published(scalar: Any, name: str, compiled: Any) -> Any:
    """Give a function its name, and tell Numba what it is in a kernel."""
    scalar.__name__ = scalar.__qualname__ = name
    scalar.__doc__ = f"Return {name}({', '.join(inspect.signature(scalar).parameters)})."
    # Numba puts the instructions into the loop: LLVM finds some of these too large to inline.
    overload(scalar, inline="always")(compiled)
    return scalar


exp = _function("exp", exponentials.exp)
expm1 = _function("expm1", exponentials.expm1)
log = _function("log", exponentials.log)
log1p = _function("log1p", exponentials.log1p)
sin = _function("sin", angles.sin)
cos = _function("cos", angles.cos)
tanh = _function("tanh", exponentials.tanh)
sigmoid = _function("sigmoid", exponentials.sigmoid)
erf = _function("erf", exponentials.erf)
erfc = _function("erfc", exponentials.erfc)
power = _function_of_two(POWER, powers.power, "pow")


def is_direct(exponent: float) -> bool:
    """Whether a power is written as ``**``: it is multiplied out, or made of a square root.

    >>> is_direct(3.0), is_direct(-0.5), is_direct(1.5), is_direct(-2.0)
    (True, True, False, False)
    """
    return abs(exponent) == 0.5 or (0 <= exponent <= LARGEST_POWER and exponent % 1.0 == 0.0)

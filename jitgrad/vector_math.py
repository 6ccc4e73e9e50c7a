"""exp, log, tanh and their kin without branches, for loops that LLVM vectorises.

The system's library computes one number at a time, and Intel's vector library is out of reach of
PyPI's llvmlite. Here each function is one formula without a branch: the argument is reduced by
arithmetic on its bits, a polynomial does the rest, and the edges are chosen at the end. In CPython
these are plain functions of `math`; in a kernel they become LLVM instructions in the loop.

An error of one rounding that a formula relies on is computed with a fused multiply-add, never left
to the compiler: they are right under the flags ``contract`` and none, which kernels have. With
``strict=True`` kernels use the system's functions.

The reductions are those of Tang (*Table-driven implementation of the exponential function*, ACM
TOMS 1989) without the table and of Cephes (Moshier, 1989); log is 2 atanh(f / (2 + f)) as in
fdlibm (Sun, 1993); erfc follows Shepherd and Laframboise (*Chebyshev approximation of
(1 + 2x) exp(x²) erfc x*, Math. Comp. 1981). The coefficients are in `formats`.

>>> exp(1.0), tanh(-0.0), log(0.0)
(2.718281828459045, -0.0, -inf)
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from jitgrad import formats, special
from jitgrad.formats import DOUBLE, SINGLE, Format
from jitgrad.ops import OPS

_FILES = (Path(__file__), Path(formats.__file__), Path(special.__file__))
DIGEST = hashlib.sha256(b"".join(file.read_bytes() for file in _FILES)).hexdigest()[:16]
"""For the names of kernels: Numba's cache does not see that a function of another file changed."""

NAMES = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "erfc")
"""The functions of this module, which are rows of the ops table."""


# --- numbers that write LLVM instructions ---------------------------------------------------------


class Number:
    """A value in LLVM's registers, with Python's operators; constants mix with it."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value, of: Format) -> None:
        self.builder, self.value, self.of = builder, value, of

    def made(self, value: ir.Value) -> Number:
        """Wrap another value of the same function."""
        return Number(self.builder, value, self.of)

    def _other(self, other: Number | float) -> ir.Value:
        if isinstance(other, Number):
            return other.value
        return ir.Constant(self.value.type, other)

    @property
    def _is_real(self) -> bool:
        return bool(self.value.type == self.of.real)

    def __add__(self, other: Number | float) -> Number:
        add = self.builder.fadd if self._is_real else self.builder.add
        return self.made(add(self.value, self._other(other)))

    __radd__ = __add__

    def __sub__(self, other: Number | float) -> Number:
        subtract = self.builder.fsub if self._is_real else self.builder.sub
        return self.made(subtract(self.value, self._other(other)))

    def __rsub__(self, other: float) -> Number:
        return self.made(ir.Constant(self.value.type, other)) - self

    def __mul__(self, other: Number | float) -> Number:
        return self.made(self.builder.fmul(self.value, self._other(other)))

    __rmul__ = __mul__

    def __truediv__(self, other: Number | float) -> Number:
        return self.made(self.builder.fdiv(self.value, self._other(other)))

    def __rtruediv__(self, other: float) -> Number:
        return self.made(ir.Constant(self.value.type, other)) / self

    def __neg__(self) -> Number:
        return self.made(self.builder.fneg(self.value))

    def __and__(self, other: int) -> Number:
        return self.made(self.builder.and_(self.value, self._other(other)))

    def __lshift__(self, count: int) -> Number:
        return self.made(self.builder.shl(self.value, self._other(count)))

    def __rshift__(self, count: int) -> Number:
        return self.made(self.builder.lshr(self.value, self._other(count)))

    def __lt__(self, other: Number | float) -> Number:
        return self.made(self.builder.fcmp_ordered("<", self.value, self._other(other)))

    def __gt__(self, other: Number | float) -> Number:
        return self.made(self.builder.fcmp_ordered(">", self.value, self._other(other)))

    def equals(self, other: Number | float) -> Number:
        """Compare; a NaN equals nothing."""
        return self.made(self.builder.fcmp_ordered("==", self.value, self._other(other)))

    def bits(self) -> Number:
        """Return the bits as a whole number."""
        return self.made(self.builder.bitcast(self.value, self.of.whole))

    def real(self) -> Number:
        """Return the number with these bits."""
        return self.made(self.builder.bitcast(self.value, self.of.real))

    def magnitude(self) -> Number:
        """Return the absolute value."""
        return self._call("llvm.fabs", self)

    def signed_like(self, other: Number) -> Number:
        """Return it with another number's sign."""
        return self._call("llvm.copysign", self, other)

    def _call(self, name: str, *arguments: Number) -> Number:
        kinds = [self.of.real] * len(arguments)
        function = self.builder.module.declare_intrinsic(
            name, [self.of.real], ir.FunctionType(self.of.real, kinds)
        )
        return self.made(self.builder.call(function, [x.value for x in arguments]))


def choose(condition: Number, x: Number | float, y: Number | float) -> Number:
    """Return x where the condition holds, else y."""
    model = x if isinstance(x, Number) else y
    assert isinstance(model, Number)
    chosen = condition.builder.select(condition.value, model._other(x), model._other(y))
    return condition.made(chosen)


def fma(x: Number, y: Number | float, z: Number | float) -> Number:
    """Return ``x * y + z``, rounded once."""
    return x._call("llvm.fma", x, x.made(x._other(y)), x.made(x._other(z)))


def polynomial(x: Number, coefficients: tuple[float, ...]) -> Number:
    """Evaluate a polynomial by Horner's rule; the constant term comes first."""
    *rest, last = coefficients
    total: Number | float = last
    for c in reversed(rest):
        total = fma(x, total, c)
    assert isinstance(total, Number)
    return total


# --- the formulas ---------------------------------------------------------------------------------


def _reduced(x: Number) -> tuple[Number, Number, Number]:
    """Return a whole n, and x - n ln 2, at most ln(2) / 2 in size, in two parts."""
    shift = 1.5 * 2.0**x.of.digits  # adding it rounds to a whole number, which its last bits are
    high, low = x.of.ln2
    shifted = fma(x, 1.0 / math.log(2.0), shift)
    n = shifted - shift
    most = fma(n, -high, x)
    r = fma(n, -low, most)
    tail = fma(n, -low, most - r)
    start = np.float64(shift).view(np.int64) if x.of is DOUBLE else np.float32(shift).view(np.int32)
    return shifted.bits() - int(start), r, tail


def _power_of_two(n: Number) -> Number:
    """Return 2 ** n for a whole n within the normal exponents."""
    return ((n + n.of.bias) << n.of.digits).real()


def _scaled(y: Number, n: Number) -> Number:
    """Return ``y * 2 ** n`` in two steps: the result may be subnormal or infinite."""
    half = ((n + 2 * n.of.bias) >> 1) - n.of.bias
    return y * _power_of_two(half) * _power_of_two(n - half)


def _exp(x: Number, low: Number | float = 0.0) -> Number:
    """The exponential of x + low, where low is small beside x."""
    least, most = x.of.exponents
    x = choose(x < least, least, choose(x > most, most, x))
    n, r, _ = _reduced(x)
    if isinstance(low, Number):
        r = r + low
    return _scaled(fma(r * r, polynomial(r, x.of.exp), r) + 1.0, n)


def _expm1(x: Number) -> Number:
    near = choose(x.equals(0.0), x, _expm1_below(choose(x > 40.0, 40.0, x)))
    return choose(x > 40.0, _exp(x), near)


def _expm1_below(x: Number) -> Number:
    """2ⁿ (exp(r) - 1) + (2ⁿ - 1), for x up to 40: beyond it the last term does not matter."""
    n, r, tail = _reduced(choose(x < -40.0, -40.0, x))
    power = _power_of_two(n)
    rest = fma(r * r, polynomial(r, x.of.exp), tail)
    y = rest + r
    lost = rest - (y - r)
    less = power - 1.0
    total = fma(power, y, less)
    return total + fma(power, lost, fma(power, y, less - total))


def _significand(x: Number) -> tuple[Number, Number]:
    """Return the exponent k and m of ``x = m * 2 ** k``, where m is between sqrt(1/2) and sqrt(2).

    x is positive and normal.
    """
    root = _bits_of(math.sqrt(0.5), x.of)
    one = _bits_of(1.0, x.of)
    raised = x.bits() + (one - root)
    k = (raised >> x.of.digits) - x.of.bias
    m = ((raised & ((1 << x.of.digits) - 1)) + root).real()
    return _as_real(k), m


def _bits_of(number: float, of: Format) -> int:
    kinds = (np.float64, np.int64) if of is DOUBLE else (np.float32, np.int32)
    return int(kinds[0](number).view(kinds[1]))


def _as_real(k: Number) -> Number:
    """Convert a small whole number by arithmetic: AVX2 has no instruction for 64 bits."""
    shift = 1.5 * 2.0**k.of.digits
    return (k + _bits_of(shift, k.of)).real() - shift


def _log_of(k: Number, f: Number, c: Number | float) -> Number:
    """Return ``k ln 2 + log(1 + f) + c`` for f between sqrt(1/2) - 1 and sqrt(2) - 1."""
    s = f / (f + 2.0)
    z = s * s
    half = 0.5 * f * f
    high, low = f.of.ln2
    rest = z * polynomial(z, f.of.log)
    return fma(k, high, f - (half - fma(s, half + rest, fma(k, low, c))))


def _log(x: Number) -> Number:
    least = 2.0 ** (1 - x.of.bias)
    scale = x.of.digits + 2
    tiny = x < least
    k, m = _significand(choose(tiny, x * 2.0**scale, x))
    k = k - choose(tiny, x.made(ir.Constant(x.of.real, float(scale))), 0.0)
    result = _log_of(k, m - 1.0, 0.0)
    return _log_edges(x, x, result)


def _log_edges(x: Number, u: Number, result: Number) -> Number:
    """What a logarithm of u is at 0, below, at infinity and for a NaN, which is x."""
    result = choose(u.equals(math.inf), math.inf, result)
    result = choose(u.equals(0.0), -math.inf, result)
    return choose(u < 0.0, math.nan, choose(x.equals(x), result, x))


def _log1p(x: Number) -> Number:
    """The logarithm of u = 1 + x, corrected for the rounding error of u."""
    u = x + 1.0
    k, m = _significand(u)
    error = choose(x > 1.0, 1.0 - (u - x), x - (u - 1.0))
    near = k.equals(0.0)
    f = choose(near, x, m - 1.0)
    result = _log_of(k, f, choose(near, 0.0, error / u))
    return choose(x.equals(0.0), x, _log_edges(x, u, result))


def _tanh(x: Number) -> Number:
    """-t / (2 + t) for t = exp(-2 |x|) - 1; a step of refinement makes up for the quotient."""
    t = _expm1_below(-2.0 * x.magnitude())
    s = t + 2.0
    lost = t - (s - 2.0)
    reciprocal = 1.0 / s
    quotient = -t * reciprocal
    rest = fma(-quotient, s, -t) - quotient * lost
    return fma(rest, reciprocal, quotient).signed_like(x)


def _sigmoid(x: Number) -> Number:
    e = _exp(-x.magnitude())
    return choose(x < 0.0, e, choose(x.equals(x), 1.0, x)) / (e + 1.0)


def _erfc_far(x: Number) -> Number:
    """The erfc of x >= 0: exp(-x²) / (1 + 2 x) times a polynomial in (x - 4) / (x + 4)."""
    square = x * x
    lost = fma(x, x, -square)
    t = (x - 4.0) / (x + 4.0)
    return _exp(-square, -lost) * (polynomial(t, x.of.erfc) / (2.0 * x + 1.0))


def _erf(x: Number) -> Number:
    size = x.magnitude()
    size = choose(size > 28.0, 28.0, size)
    near = fma(x, polynomial(x * x, x.of.erf), x)
    far = (1.0 - _erfc_far(size)).signed_like(x)
    return choose(size > 1.0, far, near)


def _erfc(x: Number) -> Number:
    size = x.magnitude()
    size = choose(size > 28.0, 28.0, size)
    far = _erfc_far(size)
    far = choose(x < 0.0, size.made(ir.Constant(x.of.real, 2.0)), 0.0) + far.signed_like(x)
    near = 1.0 - fma(x, polynomial(x * x, x.of.erf), x)
    return choose(size > 0.3, far, near)


# --- as functions ---------------------------------------------------------------------------------


def _function(name: str, formula: Callable[[Number], Number]) -> Callable[[float], float]:
    """Make a function that CPython and Numba can call."""

    def scalar(x: float) -> float:
        return OPS[name].evaluate(x)  # type: ignore[no-any-return]

    scalar.__name__ = scalar.__qualname__ = name
    scalar.__doc__ = f"Return {name}(x)."

    def typed(_context: Any, x: Any) -> Any:
        if not isinstance(x, types.Float):
            return None

        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            of = SINGLE if x.bitwidth == 32 else DOUBLE
            return formula(Number(builder, arguments[0], of)).value

        return x(x), generate

    typed.__name__ = f"_{name}_instructions"
    instructions = intrinsic(typed)

    def compiled(x):  # type: ignore[no-untyped-def]  # Numba compares this signature to the lambda's
        return (lambda x: instructions(x)) if isinstance(x, types.Float) else None

    # Numba puts the instructions into the loop: LLVM finds some of these too large to inline.
    overload(scalar, inline="always")(compiled)
    return scalar


exp = _function("exp", _exp)
expm1 = _function("expm1", _expm1)
log = _function("log", _log)
log1p = _function("log1p", _log1p)
tanh = _function("tanh", _tanh)
sigmoid = _function("sigmoid", _sigmoid)
erf = _function("erf", _erf)
erfc = _function("erfc", _erfc)

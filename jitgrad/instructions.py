"""Numbers that write LLVM instructions, with Python's operators.

The formulas of `vector_math` are written with these: ``x * y + 1.0`` appends a multiplication and
an addition to the function that is being built. Nothing here branches, so that LLVM vectorises the
loop that a formula stands in.
"""

from __future__ import annotations

from llvmlite import ir

from jitgrad.formats import DOUBLE, Format


class Number:
    """A value in LLVM's registers, with Python's operators; constants mix with it."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value, of: Format) -> None:
        self.builder, self.value, self.of = builder, value, of

    def made(self, value: ir.Value) -> Number:
        """Wrap another value of the same function."""
        return Number(self.builder, value, self.of)

    def constant(self, value: float) -> Number:
        """Return a number of the same type."""
        return self.made(ir.Constant(self.value.type, value))

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
        return self.constant(other) - self

    def __mul__(self, other: Number | float) -> Number:
        return self.made(self.builder.fmul(self.value, self._other(other)))

    __rmul__ = __mul__

    def __truediv__(self, other: Number | float) -> Number:
        return self.made(self.builder.fdiv(self.value, self._other(other)))

    def __rtruediv__(self, other: float) -> Number:
        return self.constant(other) / self

    def __neg__(self) -> Number:
        return self.made(self.builder.fneg(self.value))

    def __and__(self, other: Number | int) -> Number:
        return self.made(self.builder.and_(self.value, self._other(other)))

    def __or__(self, other: Number) -> Number:
        return self.made(self.builder.or_(self.value, other.value))

    def __xor__(self, other: Number) -> Number:
        return self.made(self.builder.xor(self.value, other.value))

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

    def differs(self, other: Number | float) -> Number:
        """Compare; a NaN differs from everything."""
        return self.made(self.builder.fcmp_unordered("!=", self.value, self._other(other)))

    def bits(self) -> Number:
        """Return the bits as a whole number."""
        return self.made(self.builder.bitcast(self.value, self.of.whole))

    def real(self) -> Number:
        """Return the number with these bits."""
        return self.made(self.builder.bitcast(self.value, self.of.real))

    def converted(self) -> Number:
        """Return a whole number with a sign as a real one."""
        return self.made(self.builder.sitofp(self.value, self.of.real))

    def is_odd(self) -> Number:
        """Return whether the last bit of a whole number is set, as a condition."""
        return self.made(self.builder.trunc(self.value, ir.IntType(1)))

    def widened(self) -> Number:
        """Return the same number as a float64."""
        if self.of is DOUBLE:
            return self
        return Number(self.builder, self.builder.fpext(self.value, DOUBLE.real), DOUBLE)

    def rounded_to(self, of: Format) -> Number:
        """Return the nearest number of another format."""
        if self.of is of:
            return self
        return Number(self.builder, self.builder.fptrunc(self.value, of.real), of)

    def whole_part(self) -> Number:
        """Return the number without its fraction."""
        return self._call("llvm.trunc", self)

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
    """Evaluate a polynomial; the constant term comes first.

    Even and odd powers are apart, each by Horner's rule in x²: that is one multiplication more,
    and takes half as long until the result is there: exp takes 0.70 ns for a number, not 0.76.
    """
    if len(coefficients) < 5:
        return _horner(x, coefficients)
    square = x * x
    return fma(x, _horner(square, coefficients[1::2]), _horner(square, coefficients[::2]))


def _horner(x: Number, coefficients: tuple[float, ...]) -> Number:
    *rest, last = coefficients
    total: Number | float = last
    for c in reversed(rest):
        total = fma(x, total, c)
    assert isinstance(total, Number)
    return total


def two_sum(x: Number, y: Number) -> tuple[Number, Number]:
    """Return ``x + y`` and its rounding error (Dekker), for |x| >= |y| or x = 0.

    Neither may be a rounded product: that and the sum could become one rounding.
    """
    total = x + y
    return total, y - (total - x)


def two_product(x: Number, y: Number | float) -> tuple[Number, Number]:
    """Return ``x * y`` and its rounding error.

    A fused multiply-add of zero rounds like a product, and is never taken for half of one.
    """
    product = fma(x, y, 0.0)
    return product, fma(x, y, -product)

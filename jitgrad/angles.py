"""sin and cos, each as one formula.

The nearest multiple of π/2 is taken off with a fused multiply-add, which is exact, and two more
parts of π/2 (Cody and Waite, *Software Manual for the Elementary Functions*, 1980). Beyond 2⁴²,
where that is no longer enough, the argument is multiplied by those 192 bits of 2/π that matter
(Payne and Hanek, *Radian reduction for trigonometric functions*, SIGNUM 1983), in a function that
is called when it is needed; the system's own sine can be off by 100,000 units in the last place
there (glibc 2.36, near multiples of π). The polynomials are laid out as in fdlibm (Sun, 1993).

float32 is computed in float64 and rounded once.
"""

from __future__ import annotations

import math

from llvmlite import ir

from jitgrad.formats import DOUBLE
from jitgrad.instructions import Number, choose, fma, polynomial, two_product
from jitgrad.rare import unless

FAR = 2.0**42  # the multiple is then off by 2⁻¹⁰ at most, and the parts leave 2⁻¹²⁰ of π/2
HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
TWO_OVER_PI = (  # 1216 bits behind the point, in hexadecimal digits
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424d"
    "d2e006492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639"
    "835339f49c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f46"
    "3f669e5fea2d7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6bab"
)

# On |r| <= 1.002 π/4, in r²: (sin(r) / r - 1) / r², and (cos(r) - 1 + r²/2) / r⁴. The shorter ones
# are for a result in float32.
SIN = (
    -0.16666666666666666,
    0.008333333333330901,
    -0.00019841269836686008,
    2.7557316064986773e-06,
    -2.505112403138208e-08,
    1.59175674789068e-10,
)
COS = (
    0.041666666666666664,
    -0.0013888888888887367,
    2.480158729872029e-05,
    -2.7557317248229367e-07,
    2.0876141380294955e-09,
    -1.1382280957702634e-11,
)
SHORT_SIN = (
    -0.1666666666381008,
    0.008333331857164982,
    -0.0001984007727607258,
    2.7248701708232046e-06,
)
SHORT_COS = (0.04166666463535246, -0.0013888298350940012, 2.4546931841332072e-05)


def sin(x: Number) -> Number:
    """Write the sine."""
    return choose(x.equals(0.0), x, _turned(x, "sin", 0))


def cos(x: Number) -> Number:
    """Write the cosine."""
    return _turned(x, "cos", 1)


def _turned(x: Number, name: str, quarters: int) -> Number:
    """The sine of x and some quarters of a turn."""
    wide = x.widened()
    short = x.of is not DOUBLE
    coefficients = (SHORT_SIN, SHORT_COS) if short else (SIN, COS)
    usual = _sine_of(_reduced(wide), quarters, coefficients)

    def rare(far: Number) -> Number:
        return _sine_of(_reduced_far(far), quarters, (SIN, COS))

    result = unless(wide.magnitude() > FAR, usual, wide, f"{name}_far", rare)
    return result.rounded_to(x.of)


def _sine_of(
    reduced: tuple[Number, Number, Number],
    quarters: int,
    coefficients: tuple[tuple[float, ...], tuple[float, ...]],
) -> Number:
    """The sine of what is reduced and some quarters of a turn."""
    quadrant, r, low = reduced
    quadrant = quadrant + quarters
    square = r * r
    sine = _sine(r, low, square, coefficients[0])
    cosine = _cosine(r, low, square, coefficients[1])
    turned = choose(quadrant.is_odd(), cosine, sine)
    return (turned.bits() ^ ((quadrant & 2) << 62)).real()


def _reduced(x: Number) -> tuple[Number, Number, Number]:
    """Return a whole n in the last two bits, and x - n π/2 in two parts."""
    shift = 1.5 * 2.0**52
    shifted = fma(x, 2.0 / math.pi, shift)
    n = shifted - shift
    rest = fma(-n, HALF_PI[0], x)  # exact: both are multiples of 2⁻⁵³, and their difference small
    product, lost = two_product(n, HALF_PI[1])
    total = rest - product
    part = total - rest  # two_sum of Knuth: either of the two may be the larger
    error = (rest - (total - part)) - (product + part)
    error = fma(-n, HALF_PI[2], error - lost)
    r = total + error
    return shifted.bits(), r, error - (r - total)


def _sine(r: Number, low: Number, square: Number, coefficients: tuple[float, ...]) -> Number:
    more = fma(low, -0.5 * square, low)
    return r + fma(square * r, polynomial(square, coefficients), more)


def _cosine(r: Number, low: Number, square: Number, coefficients: tuple[float, ...]) -> Number:
    half = 0.5 * square
    most = 1.0 - half
    lost = (1.0 - most) - half
    more = fma(-r, low, lost)
    return most + fma(square * square, polynomial(square, coefficients), more)


# --- far from zero --------------------------------------------------------------------------------


def _reduced_far(x: Number) -> tuple[Number, Number, Number]:
    """Return what `_reduced` does, for a number from 2⁴² on; NaN for an infinity.

    The number is an integer times 2ᵉ. Of its product with 2/π, bits worth 4 and more are whole
    turns. Of the others 192 are computed, and 128 of them used.
    """
    builder = x.builder
    bits = x.bits()
    mantissa = (bits & (2**52 - 1)) | bits.constant(2**52)
    first = ((bits >> 52) & 2047) - (1075 - 62)  # place of the first bit in TWO_OVER_PI
    high, low = _product(builder, mantissa.value, _window(builder, first.value))
    quadrant = builder.lshr(builder.add(high, high.type(2**61)), high.type(62))
    fraction = _pair(builder, builder.sub(high, builder.shl(quadrant, high.type(62))), low)
    r, r_low = _quarters_to_radians(x, fraction)
    sign = x.constant(1.0).signed_like(x)
    turns = choose(x < 0.0, bits.made(builder.neg(quadrant)), bits.made(quadrant))
    finite = x - x  # NaN for an infinity
    return turns, r * sign + finite, r_low * sign


def _window(builder: ir.IRBuilder, first: ir.Value) -> list[ir.Value]:
    """Return 192 bits of 2/π as three words, the most significant first."""
    table = _table(builder.module)
    word, zero = builder.lshr(first, first.type(6)), first.type(0)
    places = [builder.add(word, first.type(k)) for k in range(4)]
    words = [builder.load(builder.gep(table, [zero, k]), typ=first.type) for k in places]
    kinds = ir.FunctionType(first.type, [first.type] * 3)
    shift = builder.module.declare_intrinsic("llvm.fshl", [first.type], kinds)
    return [builder.call(shift, [*words[k : k + 2], first]) for k in range(3)]


def _table(module: ir.Module) -> ir.GlobalVariable:
    """64 zeros and the first bits of 2/π, as words."""
    if "jitgrad_two_over_pi" in module.globals:
        return module.globals["jitgrad_two_over_pi"]
    count = len(TWO_OVER_PI) // 16
    words = [int(TWO_OVER_PI[16 * k : 16 * k + 16], 16) for k in range(count)]
    kind = ir.ArrayType(ir.IntType(64), count + 1)
    table = ir.GlobalVariable(module, kind, "jitgrad_two_over_pi")
    table.linkage, table.global_constant = "internal", True
    table.initializer = ir.Constant(kind, [0, *words])
    return table


def _product(
    builder: ir.IRBuilder, factor: ir.Value, words: list[ir.Value]
) -> tuple[ir.Value, ir.Value]:
    """Return the first two words of a product, modulo 2¹⁹²; the factor is below 2⁵³."""
    double = ir.IntType(128)
    most, middle, least = (builder.zext(word, double) for word in words)
    factor = builder.zext(factor, double)
    carried = builder.lshr(builder.mul(factor, least), double(64))
    lower = builder.add(builder.mul(factor, middle), carried)
    upper = builder.add(builder.mul(factor, most), builder.lshr(lower, double(64)))
    word = ir.IntType(64)
    return builder.trunc(upper, word), builder.trunc(lower, word)


def _pair(builder: ir.IRBuilder, high: ir.Value, low: ir.Value) -> ir.Value:
    double = ir.IntType(128)
    high = builder.shl(builder.zext(high, double), double(64))
    return builder.or_(high, builder.zext(low, double))


def _quarters_to_radians(x: Number, fraction: ir.Value) -> tuple[Number, Number]:
    """Convert a signed fraction of a quarter of a turn, in units of 2⁻¹²⁶, in two parts."""
    builder, double, word = x.builder, fraction.type, ir.IntType(64)
    sign = builder.trunc(builder.lshr(fraction, double(127)), word)
    size = builder.select(builder.trunc(sign, ir.IntType(1)), builder.neg(fraction), fraction)
    zeros = builder.ctlz(size, ir.IntType(1)(0))
    size = builder.shl(size, zeros)
    high, low = (builder.trunc(builder.lshr(size, double(k)), word) for k in (75, 22))
    low = builder.and_(low, word(2**53 - 1))
    exponent = builder.sub(word(1023 + 75 - 126), builder.trunc(zeros, word))
    bits = builder.or_(builder.shl(exponent, word(52)), builder.shl(sign, word(63)))
    scale = Number(builder, bits, x.of).real()
    most = x.made(builder.uitofp(high, x.of.real)) * scale
    rest = x.made(builder.uitofp(low, x.of.real)) * (scale * 2.0**-53)
    r, lost = two_product(most, HALF_PI[0])
    return r, fma(rest, HALF_PI[0], fma(most, HALF_PI[1], lost))

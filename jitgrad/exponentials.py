"""exp, log and what is made of them, each as one formula without a branch.

The argument is reduced by arithmetic on its bits, a polynomial does the rest, and the edges are
chosen at the end. The reductions are those of Tang (*Table-driven implementation of the exponential
function*, ACM TOMS 1989) without the table and of Cephes (Moshier, 1989); log is
2 atanh(f / (2 + f)) as in fdlibm (Sun, 1993); erfc follows Shepherd and Laframboise (*Chebyshev
approximation of (1 + 2x) exp(x²) erfc x*, Math. Comp. 1981). The coefficients are in `formats`.
"""

from __future__ import annotations

import math

import numpy as np

from jitgrad.formats import DOUBLE, Format
from jitgrad.instructions import Number, choose, fma, polynomial, two_product, two_sum


def _nearest(x: Number, factor: float) -> tuple[Number, Number]:
    """Return the whole number nearest to a product, as bits and as a number."""
    shift = 1.5 * 2.0**x.of.digits  # adding it rounds to a whole number, which its last bits are
    shifted = fma(x, factor, shift)
    return shifted.bits() - _bits_of(shift, x.of), shifted - shift


def _reduced(x: Number) -> tuple[Number, Number, Number]:
    """Return a whole n, and x - n ln 2, at most ln(2) / 2 in size, in two parts."""
    high, low = x.of.ln2
    bits, n = _nearest(x, 1.0 / math.log(2.0))
    most = fma(n, -high, x)
    r = fma(n, -low, most)
    return bits, r, fma(n, -low, most - r)


def _power_of_two(n: Number) -> Number:
    """Return 2 ** n for a whole n within the normal exponents."""
    return ((n + n.of.bias) << n.of.digits).real()


def _scaled(y: Number, rest: Number, n: Number) -> Number:
    """Return ``(y + rest) * 2 ** n`` in two steps: the result may be subnormal or infinite."""
    twice = n + 2 * n.of.bias
    half = twice >> 1
    digits = n.of.digits
    power = (half << digits).real()
    return fma(power, y, power * rest) * ((twice - half) << digits).real()


def exp(x: Number, low: Number | None = None) -> Number:
    """Write the exponential of x, or of x + low, where low is small beside x."""
    n, y = _without_one(x, low)
    return _scaled(y, x.constant(1.0), n)


def _without_one(x: Number, low: Number | None) -> tuple[Number, Number]:
    """Return n and y of ``exp(x + low) = 2 ** n * (1 + y)``."""
    least, most = x.of.exponents
    x = choose(x > most, most, x)
    n, r, tail = _reduced(choose(x < least, least, x))
    if low is None:
        return n, fma(r * r, polynomial(r, x.of.exp), r)
    r, lost = two_sum(r, low)
    tail = tail + lost
    return n, r + fma(r * r, polynomial(r, x.of.exp), fma(tail, r, tail))


def expm1(x: Number) -> Number:
    """Write exp(x) - 1."""
    near = choose(x.equals(0.0), x, _expm1_below(choose(x > 40.0, 40.0, x)))
    return choose(x > 40.0, exp(x), near)


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


def significand(x: Number) -> tuple[Number, Number]:
    """Return k and m of ``x = m * 2 ** k``, where m is between sqrt(1/2) and sqrt(2).

    x is positive; at infinity m is any such number. k comes times 2⁵² (float32: 2²³), which is how
    it lies in the bits; see `ln2`.
    """
    digits = x.of.digits
    tiny = x < 2.0 ** (1 - x.of.bias)
    k, m = _normal_significand(choose(tiny, x * 2.0 ** (digits + 2), x))
    return k - choose(tiny, x.constant((digits + 2) * 2.0**digits), 0.0), m


def _normal_significand(x: Number) -> tuple[Number, Number]:
    bits = x.bits()
    k = (bits - _bits_of(math.sqrt(0.5), x.of)) & -(1 << x.of.digits)
    return k.converted(), (bits - k).real()


def ln2(of: Format) -> tuple[float, float]:
    """Return ln 2 in two parts, for the k of `significand`; its product with the first is exact."""
    high, low = of.ln2
    return high * 0.5**of.digits, low * 0.5**of.digits


def _bits_of(number: float, of: Format) -> int:
    kinds = (np.float64, np.int64) if of is DOUBLE else (np.float32, np.int32)
    return int(kinds[0](number).view(kinds[1]))


def _log_of(k: Number, f: Number, c: Number | None = None) -> Number:
    """Return ``k ln 2 + log(1 + f) + c`` for f between sqrt(1/2) - 1 and sqrt(2) - 1.

    With s = f / (2 + f) it is f - (f² - s w) / 2, where w is f² + s² (4/3 + 4/5 s² + ...).
    """
    s = f / (f + 2.0)
    z = s * s
    square = f * f
    high, low = ln2(f.of)
    w = fma(z, polynomial(z, tuple(2.0 * c for c in f.of.log)), square)
    lower = k * low if c is None else fma(k, low, c)
    return fma(k, high, f + fma(fma(-s, w, square), -0.5, lower))


def log(x: Number) -> Number:
    """Write the natural logarithm."""
    k, m = significand(x)
    return _log_edges(x, x, _log_of(k, m - 1.0))


def _log_edges(x: Number, u: Number, result: Number) -> Number:
    """What a logarithm of u is at 0, below, and where x is infinite or a NaN."""
    result = choose(u.equals(0.0), -math.inf, result)
    result = choose(u < 0.0, math.nan, result)
    return choose(x < math.inf, result, x)


def log1p(x: Number) -> Number:
    """Write the logarithm of u = 1 + x, corrected for the rounding error of u."""
    u = x + 1.0
    k, m = _normal_significand(u)
    error = choose(x > 1.0, 1.0 - (u - x), x - (u - 1.0))
    near = k.equals(0.0)
    f = choose(near, x, m - 1.0)
    result = _log_of(k, f, choose(near, 0.0, error / u))
    return choose(x.equals(0.0), x, _log_edges(x, u, result))


def tanh(x: Number) -> Number:
    """Write (1 - e) / (1 + e) for e = exp(-2 |x|)."""
    size = x.magnitude()
    twice, y = _half_powers(choose(size > 20.0, 20.0, size))
    above = fma(twice, y, fma(twice, -0.5, 1.0))
    under = fma(-twice, y, fma(twice, 0.5, 1.0))
    lost = fma(-twice, y, fma(twice, 0.5, 1.0 - under))
    return _quotient(above, under, lost).signed_like(x)


def _quotient(x: Number, y: Number, low: Number) -> Number:
    """Return ``x / (y + low)``, with a step of refinement for the reciprocal and for low."""
    reciprocal = 1.0 / y
    quotient = x * reciprocal
    rest = fma(-quotient, low, fma(-quotient, y, x))
    return fma(rest, reciprocal, quotient)


def _half_powers(x: Number) -> tuple[Number, Number]:
    """Return a power of two p and y of ``exp(-2 x) = p / 2 - p y``, for x from 0 to 20."""
    n, whole = _nearest(x, -2.0 / math.log(2.0))
    high, low = x.of.ln2
    most = fma(whole, 0.5 * high, x)
    r = fma(whole, 0.5 * low, most)
    tail = fma(whole, 0.5 * low, most - r)
    coefficients = [-2.0 * (-2.0) ** k * c for k, c in enumerate(x.of.exp)]
    return _power_of_two(n + 1), r + fma(r * r, polynomial(r, tuple(coefficients)), tail)


def sigmoid(x: Number) -> Number:
    """Write 1 / (1 + exp(-x))."""
    e = exp(-x.magnitude())
    above = choose(x < 0.0, e, choose(x.equals(x), 1.0, x))
    return _quotient(above, *two_sum(x.constant(1.0), e))


def _erfc_far(x: Number) -> Number:
    """The erfc of x >= 0.3: exp(-x²) times a polynomial in (x - 4) / (x + 4), by 1 + 2 x.

    The polynomial, its divisor and the quotient carry their rounding errors along: with each of
    them rounded the result was off by 4 units in the last place.
    """
    square, lost = two_product(x, x)
    n, y = _without_one(-square, -lost)
    t = (x - 4.0) / (x + 4.0)
    first, *others = x.of.erfc
    p, p_low = two_sum(x.constant(first), fma(t, polynomial(t, tuple(others)), 0.0))
    under, under_low = two_sum(2.0 * x, x.constant(1.0))
    reciprocal = 1.0 / under
    g = fma(p, reciprocal, 0.0)
    low = fma(-g, under_low, fma(-g, under, p) + p_low) * reciprocal
    return _scaled(fma(y, g, fma(y, low, low)), g, n)


def erf(x: Number) -> Number:
    """Write the error function: x times a polynomial up to 1, then 1 - exp(a polynomial)."""
    size = x.magnitude()
    most = 6.0 if x.of is DOUBLE else 4.0  # from here on the result is 1
    bounded = choose(size > most, most, size)
    near = fma(x, polynomial(bounded * bounded, x.of.erf), x)
    twice, y = _half_powers(polynomial(bounded, x.of.far))
    far = fma(twice, y, fma(twice, -0.5, 1.0)).signed_like(x)
    return choose(size > 1.0, far, near)


def erfc(x: Number) -> Number:
    """Write 1 - erf(x)."""
    size = x.magnitude()
    size = choose(size > 28.0, 28.0, size)
    far = _erfc_far(size)
    far = choose(x < 0.0, x.constant(2.0), 0.0) + far.signed_like(x)
    near = 1.0 - fma(x, polynomial(x * x, x.of.erf), x)
    return choose(size > 0.3, far, near)

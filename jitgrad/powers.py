"""x ** y for real numbers, as one formula without a branch.

It is exp(y log |x|). The logarithm and the product are carried to about 68 bits in two numbers: an
error of the product is an error of the power 745 times as large. float32 is computed in float64 and
rounded once. The edges are those of C's ``pow`` (C17, F.10.4.4).
"""

from __future__ import annotations

import math

from jitgrad.exponentials import exp, ln2, log, significand
from jitgrad.formats import DOUBLE
from jitgrad.instructions import Number, choose, fma, polynomial, two_product, two_sum

THIRD = (0.3333333333333333, 1.850371707708594e-17)
LARGEST = 2.0**65  # an exponent beyond it does what it does; its product with log |x| is finite

# (atanh(s) / s - 1 - s²/3) / s⁴ for |s| <= 0.1716, in s².
ATANH = (
    0.2,
    0.14285714285714682,
    0.11111111110827972,
    0.09090909167689756,
    0.076922974819691,
    0.06667402308315055,
    0.058531192036303886,
    0.058615785005950945,
)


def power(x: Number, y: Number) -> Number:
    """Write ``x ** y``."""
    base, exponent = x.widened(), y.widened()
    product, lost = _exponent(base.magnitude(), exponent, x.of is not DOUBLE)
    return _edges(base, exponent, exp(product, lost)).rounded_to(x.of)


def _exponent(size: Number, y: Number, short: bool) -> tuple[Number, Number | None]:
    """Return ``y * log(size)``, in two parts unless the result is a float32."""
    y = choose(y > LARGEST, LARGEST, choose(y < -LARGEST, -LARGEST, y))
    if short:
        return y * log(size), None
    high, low = _log(size)
    product, lost = two_product(y, high)
    return product, choose(product.magnitude() < 1000.0, fma(y, low, lost), 0.0)


def _log(x: Number) -> tuple[Number, Number]:
    """The logarithm k ln 2 + 2 (s + s³/3 + ...) for s = f / (2 + f), in two parts."""
    k, m = significand(x)
    s, s_low = _quotient(m)
    cube, cube_low = _rest(s, s_low)
    factor, factor_low = ln2(x.of)
    total, lost = two_sum(k * factor, 2.0 * s)
    total, more = two_sum(total, 2.0 * cube)
    low = fma(k, factor_low, 2.0 * (s_low + cube_low)) + (lost + more)
    high, low = two_sum(total, low)
    infinite = choose(x.equals(0.0), x.constant(-math.inf), math.inf)
    return choose(x.equals(0.0) | x.equals(math.inf), infinite, high), low


def _quotient(m: Number) -> tuple[Number, Number]:
    """Return (m - 1) / (m + 1) in two parts."""
    f = m - 1.0
    under = m + 1.0
    under_low = m - (under - 1.0)
    reciprocal = 1.0 / under
    s = fma(f, reciprocal, 0.0)
    rest = fma(-s, under_low, fma(-s, under, f))
    return s, rest * reciprocal


def _rest(s: Number, s_low: Number) -> tuple[Number, Number]:
    """Return s³/3 + s⁵/5 + ..., in two parts."""
    z, z_low = two_product(s, s)
    z_low = fma(2.0 * s, s_low, z_low)
    p, p_low = two_sum(z.constant(THIRD[0]), fma(z, polynomial(z, ATANH), 0.0))
    p_low = p_low + THIRD[1]
    zp, zp_low = two_product(z, p)
    zp_low = zp_low + fma(z, p_low, z_low * p)
    cube, cube_low = two_product(s, zp)
    return cube, cube_low + fma(s, zp_low, s_low * zp)


def _edges(x: Number, y: Number, result: Number) -> Number:
    """What the power of |x| becomes for a negative x, and what it is for NaN, 1 and 0."""
    whole = y.whole_part()
    half = 0.5 * y
    odd = y.equals(whole) & half.differs(half.whole_part())
    result = choose(odd, result.signed_like(x), result)
    result = choose((x < 0.0) & (x > -math.inf) & y.differs(whole), math.nan, result)
    result = choose(x.equals(x), result, x)
    return choose(x.equals(1.0) | y.equals(0.0), 1.0, result)

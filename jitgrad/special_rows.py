"""The rows of the ops table for SciPy's special functions.

They are written as in `ops`: a value, and for each argument what it receives, over ``x``, ``y``,
``z``, the result ``out`` and the incoming cotangent ``g``. A derivative that has no formula here is
a `Refused`. The formulas are those of DLMF (https://dlmf.nist.gov), chapters 5, 7, 8, 10 and 25.

>>> ROWS["gammainc"].partials[1]
'g * gamma_density(x, y)'
"""

from __future__ import annotations

from typing import NamedTuple


class Refused(NamedTuple):
    """A partial that is asked for in vain: what the argument is called."""

    argument: str


class SpecialRow(NamedTuple):
    """The value, the partials, the domain and the kink of a row; see ``ops.Op``."""

    expression: str
    partials: tuple[str | Refused | None, ...]
    domain: tuple[tuple[float, float], ...]
    kink: str = ""


ORDER = Refused("order")
THIRD = Refused("parameters a third time")
INVERSE_ROOT_TWO = "0.7071067811865476"
INFINITY = "1e999"


def _call(name: str, arity: int = 1) -> str:
    return f"special.{name}({', '.join('xyz'[:arity])})"


def _unary(name: str, partial: str | None, *domain: float, **more: str) -> SpecialRow:
    low, high = domain or (0.2, 3.0)
    return SpecialRow(_call(name), (partial,), ((low, high),), **more)


def _bessel(name: str, partial: str) -> SpecialRow:
    return SpecialRow(_call(name, 2), (ORDER, partial), ((0.2, 3.0), (0.5, 3.0)))


_POSITIVE, _SHARE, _WIDE = (0.3, 3.0), (0.1, 0.9), (-2.0, 2.0)
_GAMMA = (_POSITIVE, _POSITIVE)
_BETA = (_POSITIVE, _POSITIVE, _SHARE)

_OF_GAMMA = "(log(y) - digamma(x))"  # the logarithmic derivative of the density in a
_OF_SHARE = "(log(z) + digamma_step(x, y))"
_OF_REST = "(log1p(-z) + digamma_step(y, x))"
_BY = {
    "a": _OF_SHARE,
    "b": _OF_REST,
    "aa": f"(square({_OF_SHARE}) - polygamma(1.0, x) + polygamma(1.0, x + y))",
    "ab": f"({_OF_SHARE} * {_OF_REST} + polygamma(1.0, x + y))",
    "bb": f"(square({_OF_REST}) - polygamma(1.0, y) + polygamma(1.0, x + y))",
}


def _from_zero(partial: str) -> str:
    """Guard a partial of the gamma distribution at 0, where its logarithm is infinite."""
    return f"where(logical_and(y == 0.0, x > 1.0), 0.0, {partial})"


def _within(partial: str) -> str:
    """Guard a partial of the beta distribution at both ends."""
    ends = "logical_or(logical_and(z == 0.0, x > 1.0), logical_and(z == 1.0, y > 1.0))"
    return f"where({ends}, 0.0, {partial})"


def _beta_by(name: str, in_a: str | Refused, in_b: str | Refused) -> SpecialRow:
    """Make the row of a derivative of betainc in its parameters."""
    in_x = _within(f"g * beta_density(x, y, z) * {_BY[name]}")
    return SpecialRow(_call(f"betainc_by_{name}", 3), (in_a, in_b, in_x), _BETA)


_GAMMAS = {
    "gamma": _unary("gamma", "g * out * digamma(x)"),
    "loggamma": _unary("loggamma", "g * where(x < 0.0, out, digamma(x))"),
    "rgamma": _unary(  # by reflection below 1/2: there are zeros where digamma is infinite
        "rgamma",
        "where(x < 0.5, g * gamma(1.0 - x) * (cos(3.141592653589793 * mod(x, 2.0)) - "
        "digamma(1.0 - x) * sin(3.141592653589793 * mod(x, 2.0)) / 3.141592653589793), "
        "-g * out * digamma(x))",
    ),
    "gammasgn": _unary("gammasgn", None),
    "beta": SpecialRow(
        _call("beta", 2),
        ("-g * out * digamma_step(x, y)", "-g * out * digamma_step(y, x)"),
        _GAMMA,
    ),
    "betaln": SpecialRow(
        _call("betaln", 2), ("-g * digamma_step(x, y)", "-g * digamma_step(y, x)"), _GAMMA
    ),
}

_INCOMPLETE = {
    "gammainc": SpecialRow(
        _call("gammainc", 2), ("g * gammainc_by_a(x, y)", "g * gamma_density(x, y)"), _GAMMA
    ),
    "gammaincc": SpecialRow(
        _call("gammaincc", 2), ("-g * gammainc_by_a(x, y)", "-g * gamma_density(x, y)"), _GAMMA
    ),
    "gammaincinv": SpecialRow(
        _call("gammaincinv", 2),
        ("-g * gammainc_by_a(x, out) / gamma_density(x, out)", "g / gamma_density(x, out)"),
        (_POSITIVE, _SHARE),
    ),
    "gammainccinv": SpecialRow(
        _call("gammainccinv", 2),
        ("-g * gammainc_by_a(x, out) / gamma_density(x, out)", "-g / gamma_density(x, out)"),
        (_POSITIVE, _SHARE),
    ),
    "betainc": SpecialRow(
        _call("betainc", 3),
        ("g * betainc_by_a(x, y, z)", "g * betainc_by_b(x, y, z)", "g * beta_density(x, y, z)"),
        _BETA,
    ),
    "betaincinv": SpecialRow(
        _call("betaincinv", 3),
        (
            "-g * betainc_by_a(x, y, out) / beta_density(x, y, out)",
            "-g * betainc_by_b(x, y, out) / beta_density(x, y, out)",
            "g / beta_density(x, y, out)",
        ),
        _BETA,
    ),
}

_ERRORS = {
    "erfcx": _unary("erfcx", "-g * 2.0 * out * erfc_ratio(1.0, x)", *_WIDE),
    "erfinv": _unary("erfinv", "g * 0.886226925452758 * exp(out * out)", -0.9, 0.9),
    "erfcinv": _unary("erfcinv", "-g * 0.886226925452758 * exp(out * out)", 0.1, 1.9),
    "ndtri": _unary("ndtri", "g * 2.5066282746310007 * exp(0.5 * (out * out))", 0.1, 0.9),
    "log_ndtr": _unary("log_ndtr", "g * mills(x)", *_WIDE),
}

_BESSEL = {
    "i0": _unary("i0", "g * i1(x)"),
    "i1": _unary("i1", "g * (0.5 * (i0(x) + iv(2.0, x)))"),
    "i0e": _unary("i0e", "g * (i1e(x) - sign(x) * out)", kink="0 at 0"),
    "i1e": _unary("i1e", "g * (0.5 * (i0e(x) + ive(2.0, x)) - sign(x) * out)"),
    "iv": _bessel("iv", "g * (0.5 * (iv(x - 1.0, y) + iv(x + 1.0, y)))"),
    "ive": _bessel(
        "ive", "g * (0.5 * (ive(x - 1.0, y) + ive(x + 1.0, y)) - sign(y) * out)"
    )._replace(kink="0 at 0 for the order 0"),
    "j0": _unary("j0", "-g * j1(x)"),
    "j1": _unary("j1", "g * (0.5 * (j0(x) - jv(2.0, x)))"),
    "jv": _bessel("jv", "g * (0.5 * (jv(x - 1.0, y) - jv(x + 1.0, y)))"),
    "y0": _unary("y0", "-g * y1(x)"),
    "y1": _unary("y1", "g * (0.5 * (y0(x) - yv(2.0, x)))"),
    "yv": _bessel("yv", "g * (0.5 * (yv(x - 1.0, y) - yv(x + 1.0, y)))"),
    "k0": _unary("k0", "-g * k1(x)"),
    "k1": _unary("k1", "-g * (0.5 * (k0(x) + kv(2.0, x)))"),
    "k0e": _unary("k0e", "g * (out - k1e(x))"),
    "k1e": _unary("k1e", "g * (out - 0.5 * (k0e(x) + kve(2.0, x)))"),
    "kv": _bessel("kv", "-g * (0.5 * (kv(x - 1.0, y) + kv(x + 1.0, y)))"),
    "kve": _bessel("kve", "g * (out - 0.5 * (kve(x - 1.0, y) + kve(x + 1.0, y)))"),
}

_LOGISTIC = {
    "expit": SpecialRow("sigmoid(x)", ("g * out * sigmoid(-x)",), (_WIDE,)),
    "log_expit": SpecialRow("minimum(x, 0.0) - log1p(exp(-abs(x)))", ("g * expit(-x)",), (_WIDE,)),
    "logit": SpecialRow(
        "where(abs(x - 0.5) < 0.25, 2.0 * arctanh(2.0 * x - 1.0), log(x / (1.0 - x)))",
        ("g / (x * (1.0 - x))",),
        (_SHARE,),
    ),
}

_ENTROPIES = {
    "xlogy": SpecialRow(
        "where((x == 0.0) & (y == y), 0.0, x * log(y))",
        (
            "where(logical_and(x == 0.0, y <= 0.0), 0.0, g * log(y))",
            "where(x == 0.0, 0.0, g * x / y)",
        ),
        _GAMMA,
        "0 for x at x = 0 where y is not positive",
    ),
    "xlog1py": SpecialRow(
        "where((x == 0.0) & (y == y), 0.0, x * log1p(y))",
        (
            "where(logical_and(x == 0.0, y <= -1.0), 0.0, g * log1p(y))",
            "where(x == 0.0, 0.0, g * x / (1.0 + y))",
        ),
        _GAMMA,
        "0 for x at x = 0 where y is -1 or less",
    ),
    "entr": SpecialRow(
        f"where(x > 0.0, -x * log(x), where(x == 0.0, 0.0, where(x < 0.0, -{INFINITY}, x)))",
        ("g * (-1.0 - log(x))",),
        (_POSITIVE,),
        "infinite at 0",
    ),
    "rel_entr": SpecialRow(
        "where((x > 0.0) & (y > 0.0), x * log_ratio(x, y), "
        "where((x == 0.0) & (y >= 0.0), 0.0, "
        f"where(x != x, x, where(y != y, y, {INFINITY}))))",
        (
            "where(logical_and(x == 0.0, y == 0.0), 0.0, g * (log_ratio(x, y) + 1.0))",
            "where(x == 0.0, 0.0, -g * x / y)",
        ),
        _GAMMA,
        "0 at (0, 0)",
    ),
    "kl_div": SpecialRow(
        "where((x > 0.0) & (y > 0.0), where(abs(x - y) < 0.5 * y, "
        "x * (square((x - y) / y) * log1p_moment(1.0, (x - y) / y)), "
        "x * log_ratio(x, y) - x + y), where((x == 0.0) & (y >= 0.0), y, "
        f"where(x != x, x, where(y != y, y, {INFINITY}))))",
        (
            "where(logical_and(x == 0.0, y == 0.0), 0.0, g * log_ratio(x, y))",
            "where(x == 0.0, g, g * (y - x) / y)",
        ),
        _GAMMA,
        "(0, 1) at (0, 0)",
    ),
    "huber": SpecialRow(
        f"where(x < 0.0, {INFINITY}, where(abs(y) <= x, 0.5 * (y * y), x * (abs(y) - 0.5 * x)))",
        (
            "where(abs(y) <= x, 0.0, g * (abs(y) - x))",
            "where(abs(y) <= x, g * y, g * x * sign(y))",
        ),
        (_POSITIVE, _WIDE),
    ),
    "pseudo_huber": SpecialRow(
        f"where(x < 0.0, {INFINITY}, where((x == 0.0) | (y == 0.0), 0.0, "
        "x * y * (y / where(y == 0.0, 1.0, x + hypot(x, y)))))",
        (
            "where(y == 0.0, 0.0, g * square(y * (y / (x + hypot(x, y)))) / hypot(x, y))",
            "where(x == 0.0, 0.0, g * x * (y / hypot(x, y)))",
        ),
        (_POSITIVE, _WIDE),
        "0 at (0, 0)",
    ),
}

_SAFE = "where(y == 0.0, 1.0, y)"  # a divisor for the branch that is not taken at y = 0

_POWERS = {
    "cbrt": SpecialRow(
        "numpy.cbrt(x)", ("g / (3.0 * (out * out))",), (_POSITIVE,), "infinite at 0"
    ),
    "exprel": SpecialRow(
        f"where(x > 717.0, {INFINITY}, where(x == 0.0, 1.0, expm1(x) / where(x == 0.0, 1.0, x)))",
        ("g * exprel_moment(1.0, x)",),
        (_WIDE,),
    ),
    "boxcox": SpecialRow(
        "where(y == 0.0, log(x), where(abs(y * log(x)) < 1e-3, log(x) * exprel(y * log(x)), "
        f"expm1(y * log(x)) / {_SAFE}))",
        (
            "g * pow(x, y - 1.0)",
            f"where(logical_and(x == 0.0, y > 0.0), g / ({_SAFE} * {_SAFE}), "
            "g * square(log(x)) * exprel_moment(1.0, y * log(x)))",
        ),
        (_POSITIVE, _WIDE),
    ),
    "boxcox1p": SpecialRow(
        "where(y == 0.0, log1p(x), where(abs(y * log1p(x)) < 1e-3, "
        f"log1p(x) * exprel(y * log1p(x)), expm1(y * log1p(x)) / {_SAFE}))",
        (
            "g * exp((y - 1.0) * log1p(x))",
            f"where(logical_and(x == -1.0, y > 0.0), g / ({_SAFE} * {_SAFE}), "
            "g * square(log1p(x)) * exprel_moment(1.0, y * log1p(x)))",
        ),
        (_POSITIVE, _WIDE),
    ),
    "inv_boxcox": SpecialRow(
        "where(y == 0.0, exp(x), exp(where(abs(x * y) < 1e-3, "
        f"x * log1p_moment(0.0, x * y), log1p(x * y) / {_SAFE})))",
        (
            f"g * exp(where(y == 0.0, x, xlog1py(1.0 - y, x * y) / {_SAFE}))",
            "-g * out * square(x) * log1p_moment(1.0, x * y)",
        ),
        ((0.2, 1.0), (-0.8, 0.8)),
    ),
    "inv_boxcox1p": SpecialRow(
        "where(y == 0.0, expm1(x), expm1(where(abs(x * y) < 1e-3, "
        f"x * log1p_moment(0.0, x * y), log1p(x * y) / {_SAFE})))",
        (
            f"g * exp(where(y == 0.0, x, xlog1py(1.0 - y, x * y) / {_SAFE}))",
            "-g * (out + 1.0) * square(x) * log1p_moment(1.0, x * y)",
        ),
        ((0.2, 1.0), (-0.8, 0.8)),
    ),
}

_OWN = {
    "digamma_step": SpecialRow(  # digamma(x + y) - digamma(x)
        _call("digamma_step", 2),
        ("g * (polygamma(1.0, x + y) - polygamma(1.0, x))", "g * polygamma(1.0, x + y)"),
        _GAMMA,
    ),
    "polygamma": SpecialRow(
        _call("polygamma", 2), (ORDER, "g * polygamma(x + 1.0, y)"), ((1.0, 1.0), _POSITIVE)
    ),
    "zeta": SpecialRow(
        _call("zeta", 2), (ORDER, "-g * x * zeta(x + 1.0, y)"), ((1.5, 4.0), _POSITIVE)
    ),
    "gamma_density": SpecialRow(  # of the distribution whose probabilities gammainc gives
        _call("gamma_density", 2),
        (
            _from_zero(f"g * out * {_OF_GAMMA}"),
            "g * (where(x > 1.0, gamma_density(x - 1.0, y), "
            "where(x == 1.0, 0.0, out * (x - 1.0) / y)) - out)",
        ),
        _GAMMA,
    ),
    "gammainc_by_a": SpecialRow(
        _call("gammainc_by_a", 2),
        ("g * gammainc_by_aa(x, y)", _from_zero(f"g * gamma_density(x, y) * {_OF_GAMMA}")),
        _GAMMA,
    ),
    "gammainc_by_aa": SpecialRow(
        _call("gammainc_by_aa", 2),
        (
            THIRD,
            _from_zero(
                f"g * gamma_density(x, y) * (square({_OF_GAMMA}) - polygamma(1.0, x))",
            ),
        ),
        _GAMMA,
    ),
    "beta_density": SpecialRow(  # of the distribution whose probabilities betainc gives
        _call("beta_density", 3),
        (
            _within(f"g * out * {_OF_SHARE}"),
            _within(f"g * out * {_OF_REST}"),
            "g * (where(x > 1.0, (x + y - 1.0) * beta_density(x - 1.0, y, z), "
            "where(x == 1.0, 0.0, out * (x - 1.0) / z)) - "
            "where(y > 1.0, (x + y - 1.0) * beta_density(x, y - 1.0, z), "
            "where(y == 1.0, 0.0, out * (y - 1.0) / (1.0 - z))))",
        ),
        _BETA,
    ),
    "betainc_by_a": _beta_by("a", "g * betainc_by_aa(x, y, z)", "g * betainc_by_ab(x, y, z)"),
    "betainc_by_b": _beta_by("b", "g * betainc_by_ab(x, y, z)", "g * betainc_by_bb(x, y, z)"),
    "betainc_by_aa": _beta_by("aa", THIRD, THIRD),
    "betainc_by_ab": _beta_by("ab", THIRD, THIRD),
    "betainc_by_bb": _beta_by("bb", THIRD, THIRD),
    "erfc_ratio": SpecialRow(
        _call("erfc_ratio", 2),
        (ORDER, "g * (2.0 * out * (out - erfc_ratio(x + 1.0, y)))"),
        ((1.0, 1.0), _WIDE),
    ),
    "mills": SpecialRow(  # the normal density over the distribution function
        f"0.7978845608028654 / erfcx(-x * {INVERSE_ROOT_TWO})",
        (f"-g * out * 1.4142135623730951 * erfc_ratio(1.0, -x * {INVERSE_ROOT_TWO})",),
        (_WIDE,),
    ),
    "log_ratio": SpecialRow(  # of positive numbers, with all digits also where they are close
        "where(abs(x - y) < 0.5 * y, log1p((x - y) / y), log(x) - log(y))",
        ("g / x", "-g / y"),
        _GAMMA,
    ),
    "exprel_moment": SpecialRow(
        _call("exprel_moment", 2), (ORDER, "g * exprel_moment(x + 1.0, y)"), ((1.0, 1.0), _WIDE)
    ),
    "log1p_moment": SpecialRow(
        _call("log1p_moment", 2),
        (ORDER, "-g * (x + 1.0) * log1p_moment(x + 1.0, y)"),
        ((1.0, 1.0), _POSITIVE),
    ),
}

UFUNCS = _GAMMAS | _INCOMPLETE | _ERRORS | _BESSEL | _LOGISTIC | _ENTROPIES | _POWERS
"""The rows of SciPy's ufuncs, by SciPy's name, with one of NumPy's."""

ROWS = UFUNCS | _OWN
"""And those that their derivatives need, in the order of the table."""

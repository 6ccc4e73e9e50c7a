"""The table of ops: every row against itself on arrays, and against differences."""

import ast
import math
import operator

import mpmath
import numpy as np
import pytest

from jitgrad import ops
from jitgrad.ops import OPS, rewrite
from jitgrad.special_rows import Refused
from tests import special_meanings

# `attach` has the derivative of something else than its value: see np.max.
DIFFERENTIABLE = [row for row in OPS.values() if any(row.partials) and row.name != "attach"]
FLAT = [row for row in OPS.values() if not any(row.partials)]
ids = {"ids": lambda row: row.name}

# An independent meaning for each row, in 40 digits.
MEANING = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "mod": lambda x, y: x - y * mpmath.floor(x / y),
    "pow": lambda x, y: mpmath.power(x, y),
    "arctan2": mpmath.atan2,
    "hypot": mpmath.hypot,
    "maximum": max,
    "minimum": min,
    "logaddexp": lambda x, y: mpmath.log(mpmath.exp(x) + mpmath.exp(y)),
    "neg": lambda x: -x,
    "copy": lambda x: x,
    "exp2": lambda x: mpmath.power(2, x),
    "log2": lambda x: mpmath.log(x, 2),
    "abs": lambda x: mpmath.fabs(x),
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "where": lambda c, x, y: x if c else y,
    "detach": lambda x: x,
    "attach": lambda x, y: x,
    "floor_divide": lambda x, y: mpmath.floor(x / y),
    "fmod": lambda x, y: x - y * int(x / y),
    "fmax": max,
    "fmin": min,
    "copysign": lambda x, y: mpmath.fabs(x) * (1 if y >= 0 else -1),
    "heaviside": lambda x, y: y if x == 0 else mpmath.mpf(x > 0),
    "logaddexp2": lambda x, y: mpmath.log(mpmath.power(2, x) + mpmath.power(2, y), 2),
    "trunc": lambda x: mpmath.mpf(int(x)),
    "rint": mpmath.nint,
    "signbit": lambda x: x < 0,
    "logical_and": lambda x, y: bool(x) and bool(y),
    "logical_or": lambda x, y: bool(x) or bool(y),
    "logical_not": lambda x: not x,
    **special_meanings.MEANING,
}


def meaning(name):
    """What a row should compute; a row that mpmath has no word for is believed."""
    known = MEANING.get(name) or getattr(mpmath, name.replace("arc", "a"), None)
    if known or name in ("eq", "ne", "lt", "le", "gt", "ge"):
        return known or getattr(operator, name)

    def from_the_row(*at):
        operands = dict(zip("xyz", at, strict=False))
        return rewrite(OPS[name].expression, operands, lambda op, of: meaning(op)(*of))

    return from_the_row


def points(row, count=25, seed=0):
    """Points of a row's domain, one array for each argument."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(low, high, count) for low, high in row.domain]


def derivative(name, argument, at):
    """The partial derivative to 15 digits, by central differences in 40."""
    with mpmath.workdps(40):
        h, at = mpmath.mpf(10) ** -12, [mpmath.mpf(float(x)) for x in at]
        above, below = list(at), list(at)
        above[argument] += h
        below[argument] -= h
        return float((meaning(name)(*above) - meaning(name)(*below)) / (2 * h))


def check_partials(row):
    """Compare each partial of a row with differences, on numbers and on arrays."""
    operands = points(row)
    out = row.evaluate(*operands)
    g = np.linspace(-1.5, 2.0, len(out))
    for argument, partial in enumerate(row.partials):
        if partial is None or isinstance(partial, Refused):
            continue
        expected = g * [derivative(row.name, argument, at) for at in zip(*operands, strict=True)]
        together = row.pull(argument, g, out, *operands)
        np.testing.assert_allclose(together, expected, rtol=2e-13, atol=1e-13)
        single = [
            row.pull(argument, *map(float, values))
            for values in zip(g, out, *operands, strict=True)
        ]
        np.testing.assert_allclose(single, expected, rtol=2e-13, atol=1e-13)


@pytest.mark.parametrize("row", OPS.values(), **ids)
def test_value(row):
    operands = points(row)
    together = row.evaluate(*operands)
    assert together.dtype == (bool if row.boolean else float)
    for number, at in zip(together, zip(*operands, strict=True), strict=True):
        at = [float(x) for x in at]
        alone = row.evaluate(*at)
        assert type(alone) is (bool if row.boolean else float)
        assert alone == pytest.approx(float(number), rel=4e-15, abs=1e-300)
        with mpmath.workdps(40):
            exact = meaning(row.name)(*map(mpmath.mpf, at))
        ours = (ops.library_call(row.name) or [""])[0] != "special"  # or SciPy's, or by quadrature
        assert alone == pytest.approx(float(exact), rel=2e-14 if ours else 1e-12, abs=1e-15)


@pytest.mark.parametrize("row", DIFFERENTIABLE, **ids)
def test_partials(row):
    check_partials(row)


@pytest.mark.parametrize("row", FLAT, **ids)
def test_flat_rows_are_flat(row):
    steps = ("gammasgn", "sign", "floor", "ceil", "trunc", "rint", "floor_divide", "detach")
    flat = row.boolean or row.name in steps
    assert flat, "a row without partials whose value changes"


def wrong(partial):
    """Partials that differ from a right one in one place."""
    yield f"-({partial})"
    yield f"({partial}) * 1.0000001"
    tree = ast.parse(partial, mode="eval")
    for node in ast.walk(tree):
        product = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)
        if product and ast.unparse(node.left) != "0.5":  # random points meet no tie; see test_kinks
            node.op = ast.Add()
            yield ast.unparse(tree)
            node.op = ast.Mult()


@pytest.mark.parametrize("row", DIFFERENTIABLE, **ids)
def test_a_planted_wrong_rule_is_caught(row, monkeypatch):
    argument = next(i for i, partial in enumerate(row.partials) if isinstance(partial, str))
    for partial in wrong(row.partials[argument]):
        partials = list(row.partials)
        partials[argument] = partial
        planted = row._replace(partials=tuple(partials))
        monkeypatch.setitem(ops.OPS, row.name, planted)
        ops._partial_function.cache_clear()
        with pytest.raises(AssertionError):
            check_partials(planted)
        monkeypatch.undo()
        ops._partial_function.cache_clear()


def both(name, argument, *operands, g=1.0):
    """A partial on numbers and on arrays, which must agree."""
    row = OPS[name]
    out = row.evaluate(*operands)
    alone = row.pull(argument, g, out, *operands)
    arrays = [np.array([x]) for x in (g, out, *operands)]
    (together,) = row.pull(argument, *arrays)
    assert alone == together or (math.isnan(alone) and math.isnan(together))
    return alone


@pytest.mark.parametrize(
    ("name", "operands", "expected"),
    [
        ("relu", (0.0,), [0.0]),
        ("relu", (-0.0,), [0.0]),
        ("abs", (0.0,), [0.0]),
        ("sqrt", (0.0,), [math.inf]),
        ("maximum", (2.0, 2.0), [0.5, 0.5]),
        ("minimum", (2.0, 2.0), [0.5, 0.5]),
        ("fmax", (2.0, 2.0), [0.5, 0.5]),
        ("fmin", (2.0, 2.0), [0.5, 0.5]),
        ("fmax", (2.0, math.nan), [1.0, 0.0]),
        ("fmin", (math.nan, 2.0), [0.0, 1.0]),
        ("copysign", (0.0, -1.0), [0.0, 0.0]),
        ("copysign", (-2.0, -0.0), [1.0, 0.0]),
        ("heaviside", (0.0, 0.5), [0.0, 1.0]),
        ("heaviside", (2.0, 0.5), [0.0, 0.0]),
        ("cbrt", (0.0,), [math.inf]),
        ("fmod", (4.0, 2.0), [1.0, -2.0]),
        ("fmod", (-4.0, 2.0), [1.0, 2.0]),
        ("logaddexp", (-math.inf, -math.inf), [0.5, 0.5]),
        ("logaddexp2", (-math.inf, -math.inf), [0.5, 0.5]),
        ("pow", (0.0, 0.0), [0.0, 0.0]),
        ("pow", (0.0, 1.0), [1.0, 0.0]),
        ("pow", (0.0, 2.0), [0.0, 0.0]),
        ("pow", (-2.0, 2.0), [-4.0, math.nan]),
        ("mod", (4.0, 2.0), [1.0, -2.0]),
    ],
)
def test_kinks(name, operands, expected):
    found = [both(name, argument, *operands) for argument in range(len(operands))]
    np.testing.assert_array_equal(found, expected)


def test_every_kink_is_stated():
    kinks = ("relu", "abs", "sqrt", "maximum", "minimum", "pow", "mod", "fmod", "cbrt")
    for name in (*kinks, "fmax", "fmin", "copysign", "heaviside"):
        assert OPS[name].kink


@pytest.mark.parametrize(
    ("name", "operands", "expected"),
    [
        ("div", (1.0, 0.0), math.inf),
        ("div", (-1, 0), -math.inf),
        ("div", (0.0, 0.0), math.nan),
        ("mod", (1.0, 0.0), math.nan),
        ("pow", (0.0, -1.0), math.inf),
        ("pow", (-8.0, 1.0 / 3.0), math.nan),
        ("pow", (10.0, 400.0), math.inf),
        ("exp", (1000.0,), math.inf),
        ("log", (0.0,), -math.inf),
        ("log", (-1.0,), math.nan),
        ("sqrt", (-1.0,), math.nan),
        ("sinh", (-1000.0,), -math.inf),
        ("sigmoid", (-1000.0,), 0.0),
        ("softplus", (1000.0,), 1000.0),
        ("logaddexp", (math.inf, math.inf), math.inf),
        ("maximum", (math.nan, 1.0), math.nan),
        ("maximum", (1.0, math.nan), math.nan),
        ("relu", (math.nan,), math.nan),
        ("arctanh", (1.0,), math.inf),
        ("fmax", (math.nan, 1.0), 1.0),
        ("fmax", (1.0, math.nan), 1.0),
        ("fmin", (math.nan, math.nan), math.nan),
        ("floor_divide", (1.0, 0.0), math.inf),
        ("floor_divide", (-7.0, 2.0), -4.0),
        ("fmod", (-7.0, 2.0), -1.0),
        ("fmod", (1.0, 0.0), math.nan),
        ("heaviside", (math.nan, 1.0), math.nan),
        ("cbrt", (-8.0,), -2.0),
        ("trunc", (-2.7,), -2.0),
        ("trunc", (math.inf,), math.inf),
        ("rint", (2.5,), 2.0),
        ("logaddexp2", (math.inf, math.inf), math.inf),
        ("isnan", (math.nan,), True),
        ("isinf", (-math.inf,), True),
        ("isinf", (math.nan,), False),
        ("isfinite", (math.nan,), False),
        ("isfinite", (-math.inf,), False),
        ("signbit", (-0.0,), True),
    ],
)
def test_edges_follow_ieee_without_warnings(name, operands, expected):
    np.testing.assert_equal(OPS[name].evaluate(*operands), expected)
    arrays = [np.array([x], dtype=float) for x in operands]
    np.testing.assert_equal(OPS[name].evaluate(*arrays), [expected])


def test_partials_where_python_would_raise():
    assert both("div", 0, 1.0, 0.0) == math.inf
    assert both("log", 0, 0.0) == math.inf


def test_rewrite_evaluates_to_the_same_number():
    def apply(name, operands):
        return OPS[name].evaluate(*operands)

    for row in OPS.values():
        if row.name == "where" or ops.library_call(row.name):
            continue  # a library call is a leaf of the rewriting
        x = dict(zip("xyz", (float(a[0]) for a in points(row, 1)), strict=False))
        assert rewrite(row.expression, x, apply) == row.evaluate(*x.values()), row.name


def test_partials_are_called_for_active_arguments_only():
    # micrograd's x**2 with x < 0: the exponent's partial would take log(x).
    assert OPS["pow"].pull(0, 1.0, 9.0, -3.0, 2) == -6.0

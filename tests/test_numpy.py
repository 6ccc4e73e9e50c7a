"""NumPy over Values beyond the support table: every axis, kinks, attributes, what a trace holds."""

import itertools
import math

import numpy as np
import pytest

import jitgrad
from jitgrad import Value
from jitgrad.tape import Recording, Tape

RNG = np.random.default_rng(7)
T = RNG.normal(size=(2, 3, 4))
HOLES = np.where(RNG.random((2, 3, 4)) < 0.3, np.nan, T)
AXES = [None, 0, 1, -1, -3, (0, 1), (0, -1), (2, 0, 1), ()]

REDUCTIONS = {
    "sum": np.sum,
    "mean": np.mean,
    "std": np.std,
    "var": np.var,
    "max": np.max,
    "min": np.min,
    "ptp": np.ptp,
    "average": np.average,
    "any": lambda x, **more: np.any(x > 1.0, **more),
    "all": lambda x, **more: np.all(x > -1.5, **more),
    "count_nonzero": lambda x, **more: np.count_nonzero(x > 0, **more),
    "nansum": np.nansum,
    "nanmean": np.nanmean,
    "nanmax": np.nanmax,
    "nanmin": np.nanmin,
    "nanvar": np.nanvar,
    "nanstd": np.nanstd,
    "logaddexp": np.logaddexp.reduce,
    "add": np.add.reduce,
    "maximum": np.maximum.reduce,
    "fmax": np.fmax.reduce,
    "logical_or": lambda x, **more: np.logical_or.reduce(x > 1.0, **more),
}


def number(x):
    return x.data if isinstance(x, Value) else x


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_over_all_axes(name, keepdims):
    function = REDUCTIONS[name]
    for axis, x in itertools.product(
        AXES, (T, HOLES if "nan" in name or name == "fmax" else T[1:])
    ):
        if axis == () and name in ("ptp", "nanmax", "nanmin", "average", "nanvar", "nanstd"):
            continue  # NumPy's own are of two minds
        expected = function(x, axis=axis, keepdims=keepdims)
        found = number(function(Value(x), axis=axis, keepdims=keepdims))
        assert np.shape(found) == np.shape(expected), axis
        np.testing.assert_allclose(found, expected, rtol=1e-13, err_msg=str(axis))
        tape = Tape()
        with Recording(tape):
            traced = function(tape.add_input("x", x.shape), axis=axis, keepdims=keepdims)
        assert traced.shape == np.shape(expected), axis


@pytest.mark.parametrize("name", ["sum", "any", "all", "count_nonzero", "add", "nansum"])
def test_reductions_of_nothing(name):
    for axis in (None, 0, 1):
        expected = REDUCTIONS[name](np.zeros((0, 3)), axis=axis)
        found = number(REDUCTIONS[name](Value(np.zeros((0, 3))), axis=axis))
        np.testing.assert_array_equal(found, expected)


def test_norms_of_nothing():
    for order, axis in itertools.product((None, 1, np.inf), (None, 0, (0, 1))):
        found = number(np.linalg.norm(Value(np.zeros((0, 3))), order, axis))
        np.testing.assert_array_equal(found, np.linalg.norm(np.zeros((0, 3)), order, axis))


NORMS = [None, 1, 2, 3, 1.5, 0.5, -1, -2, np.inf, -np.inf, 0]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("order", NORMS)
@pytest.mark.parametrize("x", [np.zeros(3), np.array([0.0, 2.0, -1.0])], ids=["zero", "a zero"])
def test_norms_have_finite_derivatives_at_zeros(order, x):
    value = Value(x)
    out = np.linalg.norm(value, order) + 0.0 * np.sum(value)  # the count has no derivative
    out.backward()
    assert out.data == pytest.approx(np.linalg.norm(x, order), rel=1e-15)
    found, gradient = jitgrad.compile(lambda x: np.linalg.norm(x, order)).value_and_grad(x)
    assert found == pytest.approx(out.data, rel=1e-15)
    slopes = np.broadcast_to(value.grad, 3)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-14)
    assert np.isfinite(gradient).all()
    if order not in (np.inf, -np.inf):
        assert (gradient[x == 0.0] == 0.0).all()


def test_the_deviation_of_equal_numbers_has_derivative_zero():
    assert jitgrad.compile(np.std).grad(np.ones(3)).tolist() == [0.0, 0.0, 0.0]


def test_bounds_that_are_not_numbers():
    bounds = np.array([0.0, np.nan, -3.0])
    for clip in (lambda x: np.clip(x, bounds, 5.0), lambda x: np.clip(x, None, bounds)):
        x = np.array([-1.0, 1.0, 2.0])
        np.testing.assert_array_equal(clip(Value(x)).data, clip(x))
    assert np.isnan(np.clip(Value(1.0), math.nan, 2.0).data)


def test_sinc_near_zero():
    """The series: (cos(a) - sin(a) / a) / x loses all digits there."""
    x = np.array([1e-9, 1e-6, 1e-3, 0.1, -0.159, -0.16])
    found = jitgrad.compile(lambda x: np.sum(np.sinc(x))).grad(x)
    a = np.pi * x
    exact = -np.pi * a / 3 + np.pi * a**3 / 30 - np.pi * a**5 / 840 + np.pi * a**7 / 45360
    np.testing.assert_allclose(found[:4], exact[:4], rtol=1e-8)
    np.testing.assert_allclose(found[:3], exact[:3], rtol=1e-14)
    np.testing.assert_allclose(found[4:], (np.cos(a) - np.sinc(x))[4:] / x[4:], rtol=1e-12)


# --- Python's operators and built-ins -------------------------------------------------------------


def test_operators_on_truths_of_scalars():
    for x in (1.0, -1.0):
        expected = [not x > 0, (x > 0) != (x < 2), x > 0, x > 0]
        v = Value(x)
        found = [~(v > 0), (v > 0) ^ (v < 2), (v > 0) & True, False | (v > 0)]
        assert found == expected

        def loss(x):
            truths = [~(x > 0), (x > 0) ^ (x < 2), (x > 0) & True, False | (x > 0)]
            return sum(np.where(truth, 2.0**n, 0.0) for n, truth in enumerate(truths)) + 0.0 * x

        assert jitgrad.compile(loss)(x) == sum(2.0**n for n, truth in enumerate(expected) if truth)


def test_builtins():
    v, s = Value([2.5, -1.5, 0.5]), Value(2.567)
    assert (max(v).data, min(v).data, sum(v).data, len(v)) == (2.5, -1.5, 1.5, 3)
    assert (round(s).data, round(s, 1).data, abs(v).data.tolist()) == (3.0, 2.6, [2.5, 1.5, 0.5])
    assert (2.5 in v, 7.0 in v) == (True, False)
    assert [x.data for x in reversed(v)] == [0.5, -1.5, 2.5]
    assert [x.data for x in divmod(s, 2)] == list(divmod(2.567, 2))
    assert [x.data for x in divmod(7, s)] == list(divmod(7, 2.567))
    a, b, c = v
    assert (a * b * c).data == 2.5 * -1.5 * 0.5


def test_rounding_in_a_trace():
    def loss(x):
        y = x * 1.0
        y //= 2.0
        return y + 10.0 * math.floor(x) + 100.0 * math.ceil(x) + round(x, 1) + math.trunc(-x) * x

    value, slope = jitgrad.compile(loss).value_and_grad(2.75)
    assert value == 1.0 + 20.0 + 300.0 + 2.8 - 2 * 2.75
    assert slope == -2.0
    with pytest.raises(jitgrad.errors.UnsupportedError, match="x //= v changes an array"):
        jitgrad.compile(lambda x: np.sum(x.__ifloordiv__(2.0)))(np.ones(3))


def test_steps_of_object_arrays_of_traced_scalars():
    def loss(x):
        parts = np.array([x[0] * x[1], x[1] * 3.0])
        return np.sum(np.floor(parts) + np.rint(parts) + np.trunc(parts) + parts * parts)

    x = np.array([1.6, 2.2])
    assert jitgrad.compile(loss)(x) == pytest.approx(loss(x), rel=1e-15)


def test_attributes():
    v = Value(T)
    assert (v.itemsize, v.nbytes, v.mT.shape) == (8, 192, (2, 4, 3))
    assert [x.data for x in v.flat][:2] == T.ravel()[:2].tolist()
    assert v.tolist() == T.tolist()
    assert (Value(3.0).tolist(), v.real is v, v.imag.sum()) == (3.0, True, 0.0)
    with pytest.raises(jitgrad.errors.DataDependentError, match="tolist"):
        jitgrad.compile(lambda x: x.tolist()[0])(np.ones(2))


@pytest.mark.parametrize(
    "function", [lambda x: np.allclose(x, x), lambda x: np.array_equal(x, 2 * x)]
)
def test_a_trace_has_no_bool_to_give(function):
    assert function(Value(np.ones(3))) == function(np.ones(3))
    with pytest.raises(jitgrad.errors.DataDependentError, match=r"bool\(\)"):
        jitgrad.compile(lambda x: np.sum(x) * function(x))(np.ones(3))


# --- what a trace holds ---------------------------------------------------------------------------

VIEWS = {
    "pad": lambda x: np.pad(x, 2),
    "pad reflect": lambda x: np.pad(x, 2, "reflect"),
    "pad edge": lambda x: np.pad(x, 1, "edge"),
    "pad wrap": lambda x: np.pad(x, ((0, 0), (2, 1)), "wrap"),
    "roll": lambda x: np.roll(x, (1, 2), axis=(0, 1)),
    "tile": lambda x: np.tile(x, (2, 3)),
    "repeat": lambda x: np.repeat(x, 3, axis=1),
    "tril": lambda x: np.tril(x),
    "diag": lambda x: np.diag(x[0], 1),
    "diagonal": lambda x: np.diagonal(x, 1),
    "rot90": lambda x: np.rot90(x),
    "insert": lambda x: np.insert(x, 2, 1.0, axis=1),
    "delete": lambda x: np.delete(x, 1, axis=0),
    "resize": lambda x: np.resize(x, 20),
    "convolve": lambda x: np.convolve(x[0], x[1]),
    "gradient": lambda x: np.gradient(x)[0],
    "split": lambda x: np.split(x, 2, axis=1)[1],
    "meshgrid": lambda x: np.meshgrid(x[0], x[1])[0],
    "kron": lambda x: np.kron(x, x),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "trace": lambda x: np.trace(x, 1)[None],
}


@pytest.mark.parametrize("name", VIEWS)
def test_regular_patterns_need_no_tables_of_positions(name):
    tape = Tape()
    with Recording(tape):
        VIEWS[name](tape.add_input("x", (4, 6)))
    ops = [tape.table[number].op for number in tape.symbols]
    assert "gather" not in ops


@pytest.mark.parametrize(
    ("function", "instruction"),
    [
        (lambda x: np.trunc(x) * x, "llvm.trunc"),
        (lambda x: np.rint(x) * x, "llvm.rint"),
        (lambda x: np.fmax(x, 0.5 * x * x), "fcmp"),
        (lambda x: np.where(np.isfinite(x), x, 0.0), "fcmp"),
        (lambda x: np.heaviside(x, 0.5) * x, "fcmp"),
    ],
    ids=["trunc", "rint", "fmax", "isfinite", "heaviside"],
)
def test_steps_are_vectorised(function, instruction):
    kernel = jitgrad.compile(lambda x: np.sum(function(x))).kernel(np.ones(1000))
    (text,) = kernel.inspect_llvm().values()
    assert any("x double>" in line and instruction in line for line in text.splitlines())

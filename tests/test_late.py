"""What is computed before it is gathered."""

import ast

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import jitgrad
from jitgrad.late import gather_late

RNG = np.random.default_rng(5)
CAMERAS, OBSERVATIONS = 6, 50
WHICH = RNG.integers(CAMERAS - 1, size=OBSERVATIONS)  # the last camera saw nothing
X = RNG.standard_normal((OBSERVATIONS, 3))


def turned(cameras, which, x, np=np):
    c = cameras[which]
    angle = np.sqrt(np.sum(c**2, axis=1))
    return np.sum(np.cos(angle) * x[:, 0] + np.sin(angle) * np.sum(c * x, axis=1) / angle)


def fresh():
    return np.random.default_rng(1).standard_normal((CAMERAS, 3))


def test_against_autograd():
    value, gradient = jitgrad.compile(turned).value_and_grad(fresh(), WHICH, X)
    fun = lambda c: turned(c, WHICH, X, anp)  # noqa: E731
    expected, slopes = autograd.value_and_grad(fun)(fresh())
    assert value == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-12, atol=1e-14)


def test_roots_and_cosines_are_taken_once_for_each_camera():
    source = jitgrad.compile(turned).lower(fresh(), WHICH, X).source
    nests = [
        ast.unparse(node) for node in ast.parse(source).body[-1].body if isinstance(node, ast.For)
    ]
    of_observations = [nest for nest in nests if "which" in nest]
    assert of_observations
    assert not any(name in nest for nest in of_observations for name in ("sqrt", "cos", "sin"))
    assert all(any(name in nest for nest in nests) for name in ("sqrt", "cos", "sin"))


def test_what_nothing_gathers_has_no_gradient_instead_of_nan():
    cameras = fresh()
    cameras[-1] = 0.0  # its angle is 0, where the root has no derivative
    value, gradient = jitgrad.compile(turned).value_and_grad(cameras, WHICH, X)
    assert np.isfinite(value)
    np.testing.assert_array_equal(gradient[-1], 0.0)
    cameras[0] = 0.0  # this one is used: its NaN is the user's
    assert np.isnan(jitgrad.compile(turned).grad(cameras, WHICH, X)[0]).any()


def test_rows_that_meet_rows_through_another_loop():
    def similar(x, which, np=np):
        rows = x[which]
        return np.sum(np.sin(rows @ rows.T))

    value, gradient = jitgrad.compile(similar).value_and_grad(X[:3], WHICH % 3)
    fun = lambda x: similar(x, WHICH % 3, anp)  # noqa: E731
    expected, slopes = autograd.value_and_grad(fun)(X[:3])
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-11, atol=1e-13)


def test_too_few_observations_stay_as_they_are():
    low = jitgrad.compile(turned).lower(fresh(), WHICH[:8], X[:8])
    assert gather_late(low.program) == low.program


def test_strict_leaves_it():
    source = jitgrad.compile(turned, strict=True).lower(fresh(), WHICH, X).source
    assert "sqrt(" in source[source.index("which[") :]


def test_two_tables_are_not_confused():
    other = RNG.integers(CAMERAS, size=OBSERVATIONS)

    def fun(c, which, other, np=np):
        return np.sum(np.exp(c[which, 0] * c[other, 1]) * np.exp(c[which, 2]))

    value, gradient = jitgrad.compile(fun).value_and_grad(fresh(), WHICH, other)
    expected, slopes = autograd.value_and_grad(lambda c: fun(c, WHICH, other, anp))(fresh())
    assert value == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-12)

"""Matrix products that go to BLAS, and those that do not."""

import random

import numba
import numpy as np
import pytest

import jitgrad
from jitgrad import blas
from jitgrad.program import Product, walk
from tests import fuzz_arrays
from tests.random_arrays import ArrayProgram

RNG = np.random.default_rng(0)
A, B, C = (
    RNG.standard_normal((20, 16)),
    RNG.standard_normal((16, 24)),
    RNG.standard_normal((24, 20)),
)


def loops(a, b):
    total = 0.0
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            s = 0.0
            for k in range(a.shape[1]):
                s = s + a[i, k] * b[k, j]
            total = total + s * s * s
    return total


def steps(a, b):
    h = a
    for _ in range(3):
        h = np.tanh(h @ b @ b.T)
    return np.sum(h)


LOSSES = {
    "as it lies": (lambda a, b: np.sum(np.sin(a @ b)), A, B, 3),
    "left transposed": (lambda a, b: np.sum(np.sin(a.T @ b)), A.T.copy(), B, 3),
    "right transposed": (lambda a, b: np.sum(np.sin(a @ b.T)), A, B.T.copy(), 3),
    "both": (lambda a, b: np.sum(np.sin(a.T @ b.T)), A.T.copy(), B.T.copy(), 3),
    "result": (lambda a, b: np.sum(np.sin((a @ b).T) * C), A, B, 3),
    "python loops": (loops, A, B, 3),
    "dot": (lambda a, b: np.sum(np.exp(0.1 * np.dot(a, b))), A, B, 3),
    "twice": (lambda a, b: np.sum(np.sin(a @ b)) + np.sum(np.cos(2 * a @ b)), A, B, 6),
    "small": (lambda a, b: np.sum(np.sin(a[:3] @ b)), A, B, 0),
    "part": (lambda a, b: np.sum(np.sin(a[:, 1:] @ b[1:])), A, B, 0),
    "vector": (lambda a, b: np.sum(np.sin(a @ b[:, 0])), A, B, 0),
    "time steps": (steps, A, B, 4),
}


def differences(loss, a, b, count=12):
    """Central differences along a few directions."""
    rng = np.random.default_rng(1)
    for _ in range(count):
        da, db = rng.standard_normal(a.shape), rng.standard_normal(b.shape)
        step = 1e-6
        slope = (loss(a + step * da, b + step * db) - loss(a - step * da, b - step * db)) / (
            2 * step
        )
        yield da, db, slope


@pytest.mark.parametrize("name", LOSSES)
def test_products(name):
    loss, a, b, least = LOSSES[name]
    fun = jitgrad.compile(loss, argnums=(0, 1))
    value, (da, db) = fun.value_and_grad(a, b)
    assert value == pytest.approx(loss(a, b), rel=1e-13)
    for va, vb, slope in differences(loss, a, b):
        assert np.sum(da * va) + np.sum(db * vb) == pytest.approx(slope, rel=1e-6, abs=1e-6)
    found = [n for n in walk(fun.lower(a, b).gradient_program.body) if isinstance(n, Product)]
    assert len(found) >= least
    assert bool(found) == bool(least)


# --- the call ------------------------------------------------------------------------------------


@numba.njit
def all_layouts(a, b, at, bt, out):
    blas.dot(a, b, out[0])
    blas.dot(at.T, b, out[1])
    blas.dot(a, bt.T, out[2])
    blas.dot(at.T, bt.T, out[3])


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_the_call_takes_matrices_as_they_lie(dtype):
    for m, k, n in ((3, 4, 5), (1, 1, 1), (7, 2, 1), (0, 3, 2), (3, 2, 0), (2, 0, 3), (0, 0, 0)):
        a, b = RNG.standard_normal((m, k)).astype(dtype), RNG.standard_normal((k, n)).astype(dtype)
        out = np.full((4, m, n), np.nan, dtype)
        all_layouts(a, b, a.T.copy(), b.T.copy(), out)
        np.testing.assert_allclose(out, np.stack(4 * [a @ b]), rtol=1e-6)


def test_the_call_is_numpys_in_python():
    a, b, out = A, B, np.empty((20, 24))
    blas.dot(a, b, out)
    np.testing.assert_array_equal(out, np.dot(a, b))


def test_without_scipy_products_are_loops(monkeypatch):
    monkeypatch.setattr(blas, "AVAILABLE", False)
    loss, a, b, _ = LOSSES["both"]
    fun = jitgrad.compile(loss, argnums=(0, 1))
    assert fun(a, b) == pytest.approx(loss(a, b), rel=1e-12)
    assert "dot(" not in fun.source


def test_products_in_a_loop_are_read_after_it():
    source = "def f(y):\n    return np.sum(np.expand_dims(y[[0, 1]], -3) @ y[2].T)\n"
    case = ArrayProgram(0, source, ("made(538788, 3, 5, 3)",), (0,), False)
    with fuzz_arrays.small_sizes():
        fuzz_arrays.passed(case, fuzz_arrays.eagerly(case), 1e-10, 99, "", random.Random(0))

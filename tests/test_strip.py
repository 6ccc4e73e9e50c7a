"""Loops over rows in strips."""

import numpy as np
import pytest

import jitgrad


def logistic(w, X, y):
    return np.mean(np.logaddexp(0.0, -y * (X @ w)))


def poisson(w, X, y):
    eta = X @ w
    return np.sum(np.exp(eta) - y * eta)


def two_sums(w, X, y):
    p = 1 / (1 + np.exp(-(X @ w)))
    return np.sum((p - y) ** 2) / np.sum(p)


@pytest.mark.parametrize("loss", [logistic, poisson, two_sums])
@pytest.mark.parametrize("rows", [20, 64, 128, 129, 1000])
def test_every_row_counts_once(loss, rows):
    rng = np.random.default_rng(rows)
    w, X, y = rng.standard_normal(5), rng.standard_normal((rows, 5)), rng.uniform(size=rows)
    fun = jitgrad.compile(loss)
    value, gradient = fun.value_and_grad(w, X, y)
    assert value == pytest.approx(loss(w, X, y), rel=1e-13)
    for at in range(5):
        h = np.zeros(5, dtype=complex)
        h[at] = 1e-30j
        if loss is not logistic:
            assert gradient[at] == pytest.approx(loss(w + h, X, y).imag / 1e-30, rel=1e-12)
    if loss is logistic:
        sigmoid = 1 / (1 + np.exp(y * (X @ w)))
        np.testing.assert_allclose(gradient, -(y * sigmoid) @ X / rows, rtol=1e-12)
    assert "range(min(64," in fun.source


def test_strips_keep_what_passes_between_them_small():
    X = np.zeros((10_000, 5))
    source = jitgrad.compile(logistic).lower(np.zeros(5), X, np.ones(10_000)).source
    assert "np.empty(64)" in source
    assert "np.empty(10000)" not in source


def test_no_strips_without_slow_arithmetic():
    X = np.zeros((1000, 5))
    source = jitgrad.compile(lambda w, X: np.sum((X @ w) ** 2)).lower(np.zeros(5), X).source
    assert "np.empty" not in source


def test_real_powers_are_worth_strips_and_whole_ones_are_not():
    w, X = np.full(5, 0.3), np.random.default_rng(0).uniform(0.5, 2.0, (1000, 5))
    real = jitgrad.compile(lambda w, X: np.sum((X @ w) ** 2.5))
    value, gradient = real.value_and_grad(w, X)
    assert "range(min(64," in real.source
    assert "power(" in real.source
    score = X @ w
    assert value == pytest.approx(np.sum(score**2.5), rel=1e-13)
    np.testing.assert_allclose(gradient, (2.5 * score**1.5) @ X, rtol=1e-12)
    whole = jitgrad.compile(lambda w, X: np.sum((X @ w) ** 3)).lower(w, X).source
    assert "range(min(64," not in whole

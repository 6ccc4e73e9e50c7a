"""np.where whose other branch is not finite: the derivative is that of the chosen one."""

import numpy as np
import pytest

import jitgrad
from jitgrad import Value

X = np.array([-1.0, 0.0, 0.5, 2.0, 1000.0])

CASES = {
    "sqrt": lambda x: np.where(x > 0, np.sqrt(x), 0.0),
    "log": lambda x: np.where(x > 0, np.log(x), x),
    "entropy": lambda x: np.where(x > 0, x * np.log(x), 0.0),
    "overflow": lambda x: np.where(x < 5, np.exp(x), x),
    "reciprocal": lambda x: np.where(x > 0, 1 / x, 0.0) * 3,
    "nested": lambda x: np.where(x > 0, np.sqrt(np.log1p(x)), -x) ** 2,
    "outside the domain": lambda x: np.where(np.abs(x) < 0.9, np.arcsin(x), x),
    "sinc": lambda x: np.where(x != 0, np.sin(x) / x, 1.0),
    "root": lambda x: np.where(x > 0, x**0.3, 0.0),
    "two ways": lambda x: np.where(x > 0, np.log(x) ** 2 + np.sqrt(x), 0.0),
    "where in where": lambda x: np.where(
        x > 1, np.where(x > 1.5, np.sqrt(x - 1.5), 0.0) + np.log(x - 1), 0.0
    ),
    "two wheres": lambda x: np.where(x > 0, np.sqrt(x), 0.0) + np.where(x > 0, np.sqrt(x) ** 3, x),
    "matrix rows": lambda x: np.where(
        x[:, None] > 0, np.log(x)[:, None] * np.sqrt(x[:, None] * np.ones(3)), 0.0
    ),
    "a sum of logs": lambda x: np.where(
        np.sum(x) > 0, np.sum(np.where(x > 0, np.log(x), 0.0)), np.sum(np.sqrt(x))
    ),
}


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_the_chosen_branch(name):
    case = CASES[name]

    def loss(x):
        return np.sum(case(x))

    gradient = jitgrad.compile(loss).grad(X)
    assert np.isfinite(gradient).all()
    eager = Value(X)
    loss(eager).backward()
    np.testing.assert_allclose(eager.grad, gradient, rtol=1e-14)
    step = 1e-6 * np.maximum(np.abs(X), 1.0)
    for at in range(len(X)):
        if X[at] == 0.0:
            continue  # at the boundary
        up, down = X.copy(), X.copy()
        up[at] += step[at]
        down[at] -= step[at]
        expected = (loss(up) - loss(down)) / (2 * step[at])
        assert gradient[at] == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_a_value_that_is_read_in_another_way_too_keeps_its_nan():
    loss = jitgrad.compile(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0) + 0.0 * np.sqrt(x)))
    assert np.isfinite(loss.grad(np.array([4.0]))).all()
    root = jitgrad.compile(lambda x: np.sum((lambda r: np.where(x > 0, r, 0.0) + r)(np.sqrt(x))))
    assert np.isinf(root.grad(np.array([0.0]))).all()


def test_scalars_in_a_loop():
    def loss(x):
        total = 0.0
        for v in x:
            total = total + np.where(v > 0, np.sqrt(v), 0.0)
        return total

    np.testing.assert_allclose(
        jitgrad.compile(loss).grad(X),
        [0.0, 0.0, 0.5 / np.sqrt(0.5), 0.5 / np.sqrt(2), 0.5 / 1000**0.5],
    )


def test_edges():
    assert jitgrad.compile(np.linalg.norm).grad(np.zeros(3)).tolist() == [0.0, 0.0, 0.0]
    assert jitgrad.compile(lambda x: np.sum(x**0)).grad(np.zeros(2)).tolist() == [0.0, 0.0]
    far = np.array([-np.inf, -800.0, 800.0, np.inf])
    logs = jitgrad.compile(lambda x: np.sum(np.logaddexp(x, 0.0)[:3])).grad(far)
    assert logs.tolist() == [0.0, 0.0, 1.0, 0.0]
    assert jitgrad.compile(lambda x: np.logaddexp(x[0], x[1])).grad(far[[0, 0]]).tolist() == [
        0.5,
        0.5,
    ]


def test_the_loop_is_vectorised():
    loss = jitgrad.compile(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)))
    loss.value_and_grad(np.ones(1000))
    (text,) = (
        jitgrad.compile(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0) * 1.25))
        .kernel(np.ones(1000))
        .inspect_llvm()
        .values()
    )
    assert "x double> @llvm.sqrt" in text

"""Optimisers: both faces agree with each other and with the formulas written out."""

import math

import numpy as np
import pytest

from jitgrad import Value, errors
from jitgrad.optim import SGD, Adam, adam, sgd

START = {"w": np.array([1.0, -2.0]), "b": (0.5,)}


def gradient(params):
    return {"w": 2.0 * params["w"] - 1.0, "b": (4.0 * params["b"][0],)}


def loss(w, b):
    return (w * w - w).sum() + 2.0 * b * b


PAIRS = [
    (lambda p: SGD(p, lr=0.1), sgd(0.1)),
    (lambda p: SGD(p, lr=0.1, momentum=0.9), sgd(0.1, momentum=0.9)),
    (lambda p: Adam(p, lr=0.1), adam(0.1)),
    (
        lambda p: Adam(p, lr=0.2, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
        adam(0.2, (0.8, 0.9), 1e-3, 0.1),
    ),
]


@pytest.mark.parametrize(("over_values", "pure"), PAIRS)
def test_both_faces_take_the_same_steps(over_values, pure):
    w, b = Value(START["w"]), Value(0.5)
    optimizer = over_values([w, b])
    params, state = START, pure.init(START)
    for _ in range(7):
        optimizer.zero_grad()
        loss(w, b).backward()
        optimizer.step()
        params, state = pure.update(gradient(params), state, params)
        np.testing.assert_allclose(w.data, params["w"], rtol=1e-14)
        assert b.data == pytest.approx(params["b"][0], rel=1e-14)
    np.testing.assert_array_equal(START["w"], [1.0, -2.0])


def test_momentum_by_hand():
    optimizer = sgd(0.5, momentum=0.25)
    p, state = 1.0, optimizer.init(1.0)
    p, state = optimizer.update(2.0, state, p)  # v = 2
    p, state = optimizer.update(1.0, state, p)  # v = 0.5 + 1
    assert p == 1.0 - 0.5 * 2.0 - 0.5 * 1.5


def test_adam_by_hand():
    optimizer = adam(lr=0.1, betas=(0.5, 0.75), eps=0.0)
    p, state = optimizer.update(2.0, optimizer.init(3.0), 3.0)
    assert p == pytest.approx(3.0 - 0.1)  # the first step is lr whatever the gradient
    p, state = optimizer.update(1.0, state, p)
    mean, square = (0.5 * 1.0 + 0.5) / 0.75, (0.75 * 1.0 + 0.25) / (1 - 0.75**2)
    assert p == pytest.approx(2.9 - 0.1 * mean / math.sqrt(square))
    assert state.steps == 2


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.05, 0.5), lambda p: Adam(p, 0.1)])
def test_finds_the_minimum(make):
    w, b = Value(START["w"]), Value(0.5)
    optimizer = make([w, b])
    for _ in range(300):
        optimizer.zero_grad()
        loss(w, b).backward()
        optimizer.step()
    np.testing.assert_allclose(w.data, 0.5, atol=1e-4)
    assert b.data == pytest.approx(0.0, abs=1e-4)


def test_learning_rate_can_change():
    x = Value(1.0)
    optimizer = SGD([x], lr=1.0)
    optimizer.lr = 0.25
    (2 * x).backward()
    optimizer.step()
    assert x.data == 0.5


def test_parameters_are_values():
    with pytest.raises(errors.ArgumentError, match=r"a parameter is ndarray; expected a Value"):
        Adam([np.ones(2)])

"""out= and bind: gradients in arrays that the caller has."""

import numpy as np
import pytest

import jitgrad
from jitgrad.errors import (
    ArgumentError,
    ChangedError,
    PositionError,
    ShapeError,
    UnsupportedError,
)

SCALE = np.array([1.0, 2.0, 3.0])


@jitgrad.compile
def loss(p, x):
    return np.sum((p["a"] * x - p["b"]) ** 2)


def parameters():
    return {"a": np.array([1.0, 2.0, 3.0]), "b": 0.5}


X = np.array([0.1, 0.2, 0.3])


def test_out_is_overwritten_and_returned():
    out = {"a": np.full(3, np.nan), "b": np.full((), np.nan)}
    value, gradient = loss.value_and_grad(parameters(), X, out=out)
    expected_value, expected = loss.value_and_grad(parameters(), X)
    assert gradient is out
    assert value == expected_value
    np.testing.assert_array_equal(out["a"], expected["a"])
    assert out["b"] == expected["b"]
    assert loss.grad(parameters(), X, out=out) is out


def test_out_of_several_arguments():
    fun = jitgrad.compile(lambda x, y: np.sum(x * y), argnums=(0, 1))
    out = np.empty(3), np.empty(3)
    fun.value_and_grad(X, SCALE, out=out)
    np.testing.assert_array_equal(out[0], SCALE)
    np.testing.assert_array_equal(out[1], X)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ({"a": np.empty(3)}, ArgumentError, "expected that of the gradient"),
        ({"a": np.empty(4), "b": np.empty(())}, ShapeError, "out_a has the shape"),
        (
            {"a": np.empty(3, "f4"), "b": np.empty(())},
            ArgumentError,
            "is an array of float32",
        ),
        ({"a": np.empty(6)[::2], "b": np.empty(())}, ArgumentError, "not C-contiguous"),
        ({"a": np.empty(3), "b": 1.0}, ArgumentError, "out_b is a float"),
        ({"a": X, "b": np.empty(())}, ArgumentError, "shares memory"),
    ],
)
def test_what_cannot_be_overwritten(out, error, message):
    before = X.copy()
    with pytest.raises(error, match=message):
        loss.value_and_grad(parameters(), X, out=out)
    np.testing.assert_array_equal(X, before)


def test_a_parameter_called_out_is_the_function_s():
    fun = jitgrad.compile(lambda x, out: np.sum(x) * out)
    assert fun.value_and_grad(X, out=2.0)[0] == pytest.approx(1.2)


def test_bind_sees_changes_in_place():
    p, x = {"a": np.ones(3), "b": 0.5}, X.copy()
    step = loss.bind(p, x)
    for _ in range(3):
        value = step()
        expected_value, expected = loss.value_and_grad(p, x)
        assert value == expected_value
        np.testing.assert_array_equal(step.gradient["a"], expected["a"])
        assert step.gradient["b"] == expected["b"]
        p["a"] -= 0.1 * step.gradient["a"]
        x += 1.0


def test_bind_sees_new_numbers_outside_and_refuses_new_things():
    space = {"np": np, "scale": 2.0}
    exec("def f(x):\n    return np.sum(scale * x)", space)
    step = jitgrad.compile(space["f"]).bind(X)
    assert step() == pytest.approx(1.2)
    space["scale"] = 3.0
    assert step() == pytest.approx(1.8)
    space["scale"] = np.ones(3)
    with pytest.raises(ChangedError, match="bind"):
        step()


def test_bind_of_several_arguments_and_aux():
    fun = jitgrad.compile(lambda x, y: (np.sum(x * y), x + y), argnums=(0, 1), has_aux=True)
    step = fun.bind(X, SCALE)
    assert step() == pytest.approx(np.sum(X * SCALE))
    np.testing.assert_array_equal(step.gradient[1], X)
    np.testing.assert_array_equal(step.aux, X + SCALE)


@pytest.mark.parametrize("given", [[0.1] * 20, X.astype("f2"), np.ones((3, 2))[:, 0]])
def test_bind_refuses_what_it_would_have_to_copy(given):
    with pytest.raises(ArgumentError, match="used in place"):
        jitgrad.compile(lambda x: np.sum(np.asarray(x) ** 2) if 0 else sum(v * v for v in x)).bind(
            given
        )


def test_bind_refuses_values_and_strange_surroundings():
    with pytest.raises(ArgumentError, match="over Values"):
        jitgrad.compile(lambda x: np.sum(x)).bind(jitgrad.Value(X))
    data = np.ones((3, 2))[:, 0]
    with pytest.raises(UnsupportedError, match="give it as an argument"):
        jitgrad.compile(lambda x: np.sum(x * data)).bind(X)


def test_positions_are_checked_at_each_call_on_the_straight_way():
    fun = jitgrad.compile(lambda x, where: np.sum(x[where] ** 2))
    where = np.array([0, 2, 2])
    for _ in range(3):
        value, gradient = fun.value_and_grad(X, where)
        assert value == pytest.approx(np.sum(X[where] ** 2))
        np.testing.assert_allclose(gradient, [0.2, 0.0, 1.2])
    where[0] = -1
    np.testing.assert_allclose(fun.grad(X, where), [0.0, 0.0, 1.8])
    where[0] = 3
    with pytest.raises(PositionError, match="from 2 to 3"):
        fun.value_and_grad(X, where)


def test_short_positions_are_checked_at_each_call_on_the_straight_way():
    fun = jitgrad.compile(lambda x, where: np.sum(x[where] ** 2))
    where = np.array([0, 2, 2], dtype=np.int8)
    for _ in range(3):
        np.testing.assert_allclose(fun.grad(X, where), [0.2, 0.0, 1.2])
    where[0] = -1
    np.testing.assert_allclose(fun.grad(X, where), [0.0, 0.0, 1.8])
    where[0] = 3
    with pytest.raises(PositionError, match="from 2 to 3"):
        fun.value_and_grad(X, where)


def test_bound_positions_are_checked_at_each_call():
    where = np.array([0, 2, 2])
    step = jitgrad.compile(lambda x, where: np.sum(x[where])).bind(X, where)
    assert step() == pytest.approx(0.7)
    for wrong in (3, -1):
        where[0] = wrong
        with pytest.raises(PositionError, match="outside its axis"):
            step()
    where[0] = 1
    assert step() == pytest.approx(0.8)

"""More surprises: what NumPy and Python do at their edges, each right or a typed error.

`test_footguns` has what a loss reads outside its arguments, and the straight way of a call.
"""

import numpy as np
import pytest

import jitgrad
from jitgrad import Value
from jitgrad.errors import UnsupportedError

X = np.array([0.5, -1.5, 2.25, 3.0])
Y = np.array([1.5, 0.25, -2.0, 0.75])
M = np.array([[1.0, 0.5, -2.0], [0.25, 3.0, 1.5], [-1.0, 0.75, 2.0]])


def single(x):
    return x.astype(np.float32)


def slopes(loss, args, at):
    """Central differences of a loss in one argument, in float64."""
    args = [a.astype(float) if a is args[at] else a for a in map(np.asarray, args)]
    x = args[at]
    found = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        ends = []
        for step in (1e-6, -1e-6):
            moved = x.copy()
            moved[place] += step
            ends.append(float(loss(*args[:at], moved, *args[at + 1 :])))
        found[place] = (ends[0] - ends[1]) / 2e-6
    return found


def agrees(loss, *calls, at=0, eager=True, differences=True):
    """Whether a loss is what it is in NumPy, by the ways of the first and of later calls."""
    compiled = jitgrad.compile(loss, argnums=at)
    for args in calls:
        args = args if isinstance(args, tuple) else (args,)
        loose = any(getattr(a, "dtype", None) == np.float32 for a in args)
        close = {"rtol": 1e-4, "atol": 1e-4} if loose else {"rtol": 1e-7, "atol": 1e-7}
        with np.errstate(all="ignore"):
            value = loss(*args)
            expected = slopes(loss, args, at) if differences else None
        for _ in range(2):
            given = [np.copy(a) if isinstance(a, np.ndarray) else a for a in args]
            found, gradient = compiled.value_and_grad(*given)
            np.testing.assert_allclose(found, value, **close)
            if differences:
                np.testing.assert_allclose(gradient, expected, **close)
            for before, after in zip(args, given, strict=True):
                np.testing.assert_array_equal(before, after)
        if eager:
            x = Value(args[at])
            with np.errstate(all="ignore"):
                out = loss(*args[:at], x, *args[at + 1 :])
            np.testing.assert_allclose(out.data if isinstance(out, Value) else out, value, **close)
            if differences:
                out.backward()
                np.testing.assert_allclose(x.grad + np.zeros(x.shape), expected, **close)
    return True


def refused(loss, *args, error=UnsupportedError, match=""):
    """Whether a loss raises a typed error that names this file."""
    with pytest.raises(error, match=match) as caught:
        jitgrad.compile(loss).value_and_grad(*args)
    assert isinstance(caught.value, jitgrad.JitgradError)
    assert __file__ in str(caught.value)
    return True


# --- arrays changed in place ---------------------------------------------------------------------


def overlapping(x):
    y = x * 2.0
    y[1:] += y[:-1]
    y[:-1] *= y[1:]
    y[::-1] -= x
    return np.sum(y * y * x)


def swapped(x):
    y = x * 2.0
    y[0], y[1] = y[1], y[0]
    y[[2, 3]] = y[[3, 2]]
    y[[0, 0, 1]] += x[:3]  # the last one counts, once
    return np.sum(y * y * x)


def read_before_and_after(x):
    y = x * 2.0
    first = y * 3.0
    y[0] = 0.0
    second = y * 2.0
    y[1:] = second[:-1]
    return np.sum(first * second * y)


def held_in_a_list(x):
    held = [x * 2.0, x * 3.0]
    held[0] += 1.0
    held[0] *= held[1]
    state = {"v": x[0]}
    state["v"] += 1.0  # of a number the old name keeps the old one
    return np.sum(held[0] * held[1]) * state["v"]


@pytest.mark.parametrize("loss", [overlapping, swapped, read_before_and_after, held_in_a_list])
def test_changes_in_place_are_numpys(loss):
    assert agrees(loss, X, Y, single(X), eager=loss is held_in_a_list)


def another_name(x):
    held = [x * 2.0]
    name = held[0]
    held[0] += 1.0
    return np.sum(name * x)


def another_view(x):
    held = {"a": x * 2.0}
    name = held["a"][1:]
    held["a"] *= 3.0
    return np.sum(name)


def an_attribute(x):
    def holder():
        return None

    holder.v = x * 2.0
    name = holder.v
    holder.v -= 1.0
    return np.sum(name * holder.v)


def a_row_in_a_list(m):
    y = m * 1.0
    held = [y[0], y[1]]
    held[0] += 1.0
    return np.sum(y)


def changed_before(x):
    held = [x * 1.0]
    name = held[0]
    name[0] = 3.0
    held[0] += 1.0
    return np.sum(name * x)


def an_argument_in_a_dict(x):
    held = {"a": x}
    held["a"] += 1.0
    return np.sum(held["a"])


@pytest.mark.parametrize(
    "loss",
    [another_name, another_view, an_attribute, a_row_in_a_list, changed_before],
)
def test_an_array_in_a_container_is_changed_under_all_its_names(loss):
    assert refused(loss, M if loss is a_row_in_a_list else X, match="another name")


def test_an_argument_in_a_container_is_not_changed():
    assert refused(an_argument_in_a_dict, X, match="Arguments are never modified")

"""More surprises: what NumPy and Python do at their edges, each right or a typed error.

`test_footguns` has what a loss reads outside its arguments, and the straight way of a call.
"""

import bisect
import collections
import copy
import datetime
import functools
import itertools
import math
import operator
import random
import threading
from random import gauss

import numpy as np
import pytest
from numpy.random import default_rng, rand

import jitgrad
from jitgrad import Value, interpreter
from jitgrad.errors import (
    ArgumentError,
    DataDependentError,
    NotScalarError,
    PositionError,
    ShapeError,
    TraceError,
    UnsupportedError,
)

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


def refused(loss, *args, error=UnsupportedError, match=None):
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


COPIES_AND_VIEWS = {
    "np.array": np.array,
    "np.array(copy=False)": lambda y: np.array(y, copy=None),
    "np.asarray": lambda y: np.asarray(y, float),
    "np.copy": np.copy,
    "astype": lambda y: y.astype(float),
    "astype(copy=False)": lambda y: y.astype(float, copy=False),
    "flatten": lambda y: y.flatten(),
    "ravel": np.ravel,
    "+": operator.pos,
    "reshape": lambda y: y.reshape(y.shape),
    "T": lambda y: y.T,
    "[:]": lambda y: y[:],
    "[...]": lambda y: y[...],
    "np.concatenate": lambda y: np.concatenate([y]),
    "np.hstack": lambda y: np.hstack([y]),
    "np.block": np.block,
    "np.tile": lambda y: np.tile(y, 1),
    "np.roll": lambda y: np.roll(y, 0),
    "np.pad": lambda y: np.pad(y, 0, mode="edge"),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "np.sum over no axes": lambda y: np.sum(y, axis=()),
    "np.max over no axes": lambda y: np.max(y, axis=()),
    "np.clip": lambda y: np.clip(y, None, None),
    "np.squeeze": np.squeeze,
    "np.atleast_1d": np.atleast_1d,
    "np.flip": np.flip,
    "np.split": lambda y: np.split(y, 1)[0],
    "np.take": lambda y: np.take(y, np.arange(len(y)), axis=0),
    "a list": lambda y: y[list(range(len(y)))],
    "a mask": lambda y: y[np.ones(len(y), bool)],
    "* 1": lambda y: y * 1,
}


@pytest.mark.parametrize("what", COPIES_AND_VIEWS)
def test_what_numpy_copies_is_a_copy(what):
    """Changing one of two arrays changes the other, too, or not, as in NumPy; or is refused."""
    made = COPIES_AND_VIEWS[what]
    for x, first, adds in itertools.product((X, M), (True, False), (True, False)):

        def loss(x, first=first, adds=adds):
            y = x * 2.0
            z = made(y)
            changed = z if first else y
            if adds:
                changed += 1.0
            else:
                changed[0] = 7.0
            return np.sum(y * y) + 3.0 * np.sum(z * z)

        try:
            bound, traced = jitgrad.compile(loss)._trace((x,), {})
        except UnsupportedError as error:
            assert "another view is still there" in str(error)
            continue
        given = {traced.arguments[0].buffer: x}
        assert interpreter.run(traced.program, given).value == pytest.approx(loss(x)), bound.key


# --- what a loop hands on to its next iteration --------------------------------------------------

ORDER = np.array([1, 0, 2, 2])


def picked_again(x):
    for _ in range(6):
        x = x[ORDER] * 0.9
    return np.sum(x * x)


def rows_and_columns_picked_again(m):
    for _ in range(4):
        m = m[[2, 0, 1]][:, [1, 1, 2]] * 0.5 + m
    return np.sum(m * m * np.arange(3.0))


def two_behind(x):
    a, b = x, x * 2.0
    for _ in range(7):
        a, b = b, a[ORDER] * 0.5 + b
    return np.sum(a * b)


def inside_another_loop(x):
    total = 0.0
    for i in range(3):
        y = x * (i + 1.0)
        for _ in range(4):
            y = y[ORDER] + x[[3, 1, 0, 2]]
        total = total + np.sum(y)
        x = x[[3, 1, 0, 2]] * 0.5
    return total + np.sum(x)


def sorted_again(x):
    y = x
    for _ in range(4):
        y = np.sort(y[np.argsort(x)] * 0.9 + np.array([0.3, 0.1, 0.7, 0.2]))
    return np.sum(y * np.arange(4.0))


def from_constants(x):
    y = np.ones(4)
    for _ in range(5):
        y = y[ORDER] * 0.9 + x
    return np.sum(y * np.arange(4.0))


@pytest.mark.parametrize(
    "loss",
    [
        picked_again,
        rows_and_columns_picked_again,
        two_behind,
        inside_another_loop,
        sorted_again,
        from_constants,
    ],
)
def test_elements_picked_again_and_again(loss):
    calls = (M, M.T.copy()) if loss is rows_and_columns_picked_again else (X, Y)
    assert agrees(loss, *calls)


def test_positions_that_are_arguments_in_a_loop():
    def loss(x, order):
        for _ in range(5):
            x = x[order] * 0.9 + np.sin(x)
        return np.sum(x * np.arange(4.0))

    assert agrees(loss, (X, np.array([3, 1, 0, 2])), (Y, np.array([0, -1, 2, 2])))
    with pytest.raises(PositionError, match="order holds indices"):
        jitgrad.compile(loss)(X, np.array([0, 1, 2, 4]))


def test_a_constant_array_in_front_of_a_value_leaves_a_loop():
    def loss(x):
        weights, total = np.array([1.0, 2.0, 1.0]), 0.0
        for row in x:
            total = total + np.sum(weights * row)
        return total

    low = jitgrad.compile(loss).lower(np.ones((100, 3)))
    assert low.program.statements < 20


# --- integers and truth values -------------------------------------------------------------------

WHOLE, DIVISORS = np.array([3, -2, 7, -5]), np.array([2, 3, 0, -2])


def divided(x, n, k):
    return np.sum(x * (n // k) + x * (n % k) * 0.25 + n // 0 + x * np.fmod(n, k))


def mixed_with_floats(x, n, k):
    q, r = divmod(n, 3)
    return np.sum((n // 2) / 3 * x + (n % 2) ** 2 * x + q * x + r + x * n ** abs(k) + n.mean())


def counted(x, n, k):
    b = n > 0
    return np.sum(x * (b + b)) + b.sum() * x[0] + b.mean() * x[1] + np.cumsum(b)[-1] * np.prod(n)


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("loss", [divided, mixed_with_floats, counted])
def test_integers(loss):
    other = (Y, WHOLE[::-1].copy(), np.array([0, 1, 2, 3]))
    assert agrees(loss, (X, WHOLE, DIVISORS), other, (single(X), WHOLE, DIVISORS))


def test_bits_of_integers_are_refused():
    for wrong in (
        lambda x, n: np.sum(x * ~n),
        lambda x, n: np.sum(x * (n & 3)),
        lambda x, n: np.sum(x * (n ^ n)),
        lambda x, n: np.sum(x * ((x > 0) | 2)),
        lambda x, n: np.sum(x * ((x > 0) & n)),
    ):
        assert refused(wrong, X, WHOLE, error=ArgumentError, match="expected truth values")
    assert refused(lambda x, n: np.sum(x * -(n > 0)), X, WHOLE, error=ArgumentError)
    assert refused(lambda x, n: np.sum(x * ((n > 0) - (n > 1))), X, WHOLE, error=ArgumentError)


# --- positions that are known only when the kernel runs ------------------------------------------


def by_floor(x):
    at = np.floor(np.abs(x)).astype(int)
    return np.sum(x[at] * x[-at - 1])


def test_computed_positions_count_from_the_end_too():
    assert agrees(by_floor, X + 0.1, Y + 0.1)


def test_computed_positions_outside_an_axis():
    fun = jitgrad.compile(by_floor)
    fun.value_and_grad(X)
    for call in (fun, fun.value_and_grad):
        with pytest.raises(PositionError, match="outside of its axis"):
            call(2.0 * X)
        assert np.isfinite(fun(X))


def test_a_plain_array_asked_for_a_computed_position():
    def loss(x):
        table = np.array([1.0, 2.0, 3.0, 4.0])
        return x[0] * table[np.argmax(x)]

    assert refused(loss, X, error=DataDependentError, match=r"np\.take")

    def taken(x):
        return x[0] * np.take(np.array([1.0, 2.0, 3.0, 4.0]), np.argmax(x))

    def filled(x):
        y = np.zeros(4)
        y[1:] = x[1:] * x[:3]
        return y[np.argmax(x)] * y[np.argsort(x)][0]

    assert agrees(taken, X, Y)
    assert agrees(filled, X, Y, eager=False)


def test_assignment_at_computed_positions_is_refused():
    def to_a_value(x):
        y = x * 1.0
        y[np.argmax(x)] = 0.0
        return np.sum(y)

    def to_zeros(x):
        y = np.zeros(4)
        y[np.argmax(x)] = x[0]
        return np.sum(y)

    for loss in (to_a_value, to_zeros):
        assert refused(loss, X, match="known only when the kernel runs")


def test_assignment_that_does_not_fit():
    def outside_of_zeros(x):
        y = np.zeros(4)
        y[4] = x[0]
        return np.sum(y)

    def outside_of_a_value(x):
        y = x * 1.0
        y[4] = x[0]
        return np.sum(y)

    def too_many(x):
        y = np.zeros(4)
        y[1:] = x
        return np.sum(y)

    def too_many_added(x):
        y = x * 1.0
        y += np.ones((2, 4))
        return np.sum(y)

    assert refused(outside_of_zeros, X, error=PositionError)
    assert refused(outside_of_a_value, X, error=PositionError)
    assert refused(too_many, X, error=ShapeError)
    assert refused(too_many_added, X, error=ShapeError)


# --- types ---------------------------------------------------------------------------------------


def test_new_arrays_of_float32_beside_values_of_float32():
    kinds = []

    def loss(x):
        b = np.ones(3, np.float32)
        kinds.extend(v.dtype for v in (x[0] * b, x @ b, np.linalg.solve(x, b), np.stack([x[0], b])))
        return np.sum(x @ b)

    jitgrad.compile(loss).lower(single(M))
    assert kinds == [np.float32] * 4


# --- random numbers ------------------------------------------------------------------------------


def test_random_numbers_under_names_of_their_own():
    generator = np.random.default_rng(0)
    normal = generator.standard_normal
    for wrong in (
        lambda x: x * rand(),
        lambda x: x * gauss(0.0, 1.0),
        lambda x: x * default_rng().random(),
        lambda x: x * normal(),
        lambda x: x * generator.random(),
        lambda x: x * np.random.rand(),
        lambda x: x * random.random(),
    ):
        assert refused(wrong, 1.0, match="Draw them outside")


# --- nothing there -------------------------------------------------------------------------------


def of_no_matrices(a):
    solved = np.linalg.solve(a, np.ones((3, 1)))
    return np.sum(solved) + np.sum(np.linalg.det(a)) + np.sum(np.linalg.cholesky(a)) + 1.0


def of_no_elements(x):
    lengths = np.sum(np.sort(x)) + np.sum(np.cumsum(x)) + np.prod(x) + x @ x + np.linalg.norm(x)
    joined = np.concatenate([x, x * 2.0, np.zeros(0)])
    shaped = (
        np.sum(np.outer(x, x)) + np.sum(np.pad(x, 2) ** 2) + np.sum(x[5:]) + np.max(x, initial=0)
    )
    return lengths + np.sum(joined) + shaped + np.any(x > 0.0) + np.all(x > 0.0)


def test_empty_arrays():
    assert agrees(of_no_elements, np.zeros(0), np.array([0.5, 1.5]))
    assert agrees(of_no_matrices, np.zeros((0, 3, 3)))
    assert agrees(lambda a: np.sum(np.linalg.inv(a)) + np.linalg.det(a), np.zeros((0, 0)))
    assert agrees(lambda a: np.sum(a.T @ a) + np.sum(a @ a.T), np.zeros((0, 3)))


def test_extremes_of_nothing_are_refused():
    for wrong in (np.max, np.min, np.argmax, np.ptp):
        assert refused(lambda x, f=wrong: f(x) * 1.0, np.zeros(0), error=ShapeError)


# --- positions that are numbers as well ----------------------------------------------------------


def a_position_and_what_follows_from_it(m):
    at = np.argmax(m)
    return m.ravel()[at] * m[at // 3, at % 3] ** 2 + m[at // 3, 0] * at


def a_position_between_others(x):
    low = np.argmin(x)
    around = x[(low + 1) % 4] * x[low - 1] + x[3 - low] + x[low // 2] ** 2
    both = np.stack([low, np.argmax(x)])
    return around + np.sum(x[both] * np.array([1.0, 3.0])) + np.sum(x[(x > 0.0).astype(int)])


def ordered_by_another_row(m):
    rows, order = np.arange(3)[:, None], np.argsort(m, axis=1)
    picked = m[rows, order] * m + m[:, np.argsort(m[0])] * m[np.argsort(m[:, 1])[::-1]]
    return np.sum(picked) + np.sum(m[np.argsort(-m[0])[:2], np.argsort(m[1])[:2]])


@pytest.mark.parametrize(
    "loss",
    [a_position_and_what_follows_from_it, a_position_between_others, ordered_by_another_row],
)
def test_computed_positions(loss):
    calls = (X, Y) if loss is a_position_between_others else (M, M[::-1] * 0.7)
    assert agrees(loss, *calls)


# --- other sizes at later calls ------------------------------------------------------------------


def test_positions_are_checked_against_the_size_of_each_call():
    def loss(x):
        return x[np.argmax(x)] * x[0] + x[(np.argmin(x) + 1) % len(x)]

    assert agrees(loss, *(np.cos(np.arange(float(n))) for n in (10, 12, 7)), eager=False)


def test_sorting_in_other_sizes():
    def loss(x):
        ordered = np.sort(x)
        return ordered @ np.cumsum(x) + np.sum(x[np.argsort(x)][1:] ** 2)

    assert agrees(loss, *(np.cos(np.arange(float(n))) for n in (6, 8, 3, 1)), eager=False)


# --- what is returned stays as it was ------------------------------------------------------------


def test_gradients_and_auxiliary_outputs_are_kept():
    fun = jitgrad.compile(lambda x: (np.sum(x**3), {"x": x, "half": 0.5 * x}), has_aux=True)
    calls = [fun.value_and_grad(k * X) for k in range(4)]
    for k, ((value, aux), gradient) in enumerate(calls):
        assert value == pytest.approx(np.sum((k * X) ** 3))
        np.testing.assert_allclose(gradient, 3.0 * (k * X) ** 2)
        np.testing.assert_array_equal(aux["x"], k * X)
        np.testing.assert_array_equal(aux["half"], 0.5 * k * X)
        gradient[:] = aux["x"][:] = np.nan
    (value, _), gradient = fun.value_and_grad(X)
    assert value == pytest.approx(np.sum(X**3))
    np.testing.assert_allclose(gradient, 3.0 * X**2)


def test_out_must_not_be_an_argument_or_used_twice():
    fun = jitgrad.compile(lambda x, y: np.sum(x * y * y), argnums=(0, 1))
    x, y, other = X.copy(), Y.copy(), np.zeros(4)
    long = np.zeros(6)
    for out in ((x, other), (other, y), (other, other), (long[:4], long[2:])):
        with pytest.raises(ArgumentError, match="shares memory"):
            fun.value_and_grad(x, y, out=out)
    with pytest.raises(ShapeError):
        fun.value_and_grad(x, y, out=(other, np.zeros(5)))
    frozen = np.zeros(4)
    frozen.flags.writeable = False
    for wrong in (single(x), np.zeros(8)[::2], frozen):
        with pytest.raises(ArgumentError, match="expected a writable, C-contiguous array"):
            fun.value_and_grad(x, y, out=(other, wrong))


def test_one_array_given_twice():
    fun = jitgrad.compile(lambda x, y: np.sum(x * y * y), argnums=(0, 1))
    window = np.arange(6.0)
    for x, y in ((X, X), (window[:4], window[2:]), (window[::-1][:4], window[:4]), (X, X)):
        value, (by_x, by_y) = fun.value_and_grad(x, y)
        assert value == pytest.approx(np.sum(x * y * y))
        np.testing.assert_allclose(by_x, y * y)
        np.testing.assert_allclose(by_y, 2.0 * x * y)


# --- Python around the numbers -------------------------------------------------------------------


def comprehended(x):
    pairs = [a * b * i for i, (a, b) in enumerate(zip(x[:-1], x[:0:-1], strict=True))]
    first, *rest = reversed(x)
    walk = itertools.accumulate(rest)
    generated = sum(v * v for v in x)
    return sum(pairs) + first * rest[0] + sum(walk) + generated + sum(map(operator.mul, x, x[::-1]))


def recursive(x):
    def even(n):
        return 1.0 if n == 0 else x[n] * odd(n - 1)

    def odd(n):
        return x[0] if n == 0 else x[n] + even(n - 1)

    @functools.cache
    def squared(n):
        return x[n] ** 2

    return even(3) + squared(0) * squared(0) + functools.reduce(lambda a, b: 0.5 * a + b, x)


def late_and_early_binding(x):
    late = [lambda v: v * k for k in range(3)]  # noqa: B023 - all see the last k
    early = [lambda v, k=k: v * k for k in range(3)]
    return sum(f(x[0]) for f in late) + sum(f(x[1]) for f in early) * x[2]


def copies_of_structures(x):
    held = {"a": x, "b": [x * 2.0]}
    other = copy.deepcopy(held)
    other["b"][0] = other["b"][0] + 1.0
    queue = collections.deque(maxlen=2)
    for v in x:
        queue.append(v)
    return np.sum(held["b"][0] * other["a"]) + queue[0] * queue[1] + np.sum(copy.copy(x) ** 2)


def caught_inside(x):
    try:
        return x[10]
    except IndexError:
        return x[0] * round(x[1], 1) * abs(x[2]) ** pow(x[3], 2)


@pytest.mark.parametrize(
    "loss", [comprehended, recursive, late_and_early_binding, copies_of_structures, caught_inside]
)
def test_python_around_the_numbers(loss):
    eager = loss is not copies_of_structures  # a copy of an eager Value is another leaf
    assert agrees(loss, X + 0.03, np.abs(Y) + 0.03, eager=eager)


ASKED = {
    "if": lambda x: x[0] if x[0] > 0 else x[1],
    "while": lambda x: [x for _ in iter(lambda: bool(x[0] < 1), False)],
    "and": lambda x: x[0] and x[1],
    "not": lambda x: 1.0 * (not x[0]),
    "chain": lambda x: 1.0 * (0 < x[0] < 1),
    "in": lambda x: x[0] * (2.25 in x),
    "list ==": lambda x: x[0] * ([x[0]] == [x[1]]),
    "sorted": lambda x: sorted(x)[0],
    "max": lambda x: max(x),
    "min, key": lambda x: min(x, key=lambda v: -v),
    "any": lambda x: 1.0 * any(v > 0 for v in x),
    "int": lambda x: int(x[0]) * x[1],
    "float": lambda x: float(x[0]) * x[1],
    "item": lambda x: x[0].item() * x[1],
    "tolist": lambda x: sum(x.tolist()),
    "format": lambda x: x[0] * float(f"{x[0]:.3f}"),
    "index": lambda x: x[0] * [1.0, 2.0, 3.0, 4.0][np.argmax(x)],
    "range": lambda x: sum(x[0] for _ in range(np.argmax(x))),
    "slice": lambda x: np.sum(x[: np.argmin(x)]),
    "bisect": lambda x: x[0] * bisect.bisect([0.0, 1.0], x[0]),
    "math.fsum": lambda x: math.fsum(x),
    "np.array_equal": lambda x: x[0] if np.array_equal(x, x) else x[1],
    "if np.any": lambda x: x[0] if np.any(x > 0) else x[1],
}


@pytest.mark.parametrize("what", ASKED)
def test_asking_for_a_number_in_a_trace_is_refused(what):
    assert refused(ASKED[what], X, error=DataDependentError)


REFUSED = {
    "np.nonzero": lambda x: np.sum(x[np.nonzero(x)]),
    "np.where of one": lambda x: np.sum(x[np.where(x > 0)]),
    "mask": lambda x: np.sum(x[x > 0]),
    "np.unique": lambda x: np.sum(np.unique(x)),
    "np.fft": lambda x: np.sum(np.abs(np.fft.fft(x))),
    "out=": lambda x: np.sum(np.multiply(x, 2.0, out=x * 1.0)),
    "where=": lambda x: np.sum(np.log(x, where=x > 0)),
    "x[1.0]": lambda x: x[1.0],
    "x[(x > 0) * 1.0]": lambda x: np.sum(x[(x > 0) * 1.0]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_trace_cannot_do_is_refused(what):
    assert refused(REFUSED[what], X)


def test_no_number_of_arrays_is_returned():
    for wrong, said in (
        (lambda x: x, "an array of shape"),
        (lambda x: None, "None"),
        (lambda x: [x[0]], "a list"),
        (lambda x: (v for v in x), "a generator"),
        (lambda x: np.any(x > 0), "a truth value"),
        (lambda x: 3j, "a complex"),
    ):
        assert refused(wrong, X, error=NotScalarError, match=said)


def test_complex_numbers_texts_and_dates():
    fun = jitgrad.compile(lambda x, y: np.sum(x))
    for wrong in (1j, X + 1j, np.array(["a"]), np.array(["2020-01-01"], "M8[D]")):
        with pytest.raises(ArgumentError):
            fun(X, wrong)
        with pytest.raises(ArgumentError):
            fun(wrong, X)

    def dated(x, day, how):
        return x * day.year if how == "times" else x + day.year

    first, second = datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)
    compiled = jitgrad.compile(dated)
    for day in (first, second, first):
        for how in ("times", "plus", None):
            assert compiled(2.0, day, how) == dated(2.0, day, how)


def test_an_exception_in_the_middle_leaves_all_as_it_was():
    def loss(x, fail):
        y = x * 2.0
        y[0] = 3.0
        if fail:
            raise KeyError("mine")
        return np.sum(y * x)

    fun = jitgrad.compile(loss)
    before = fun.value_and_grad(X, False)[0]
    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            fun.value_and_grad(X, True)
        assert fun.value_and_grad(X, False)[0] == before
    v = Value(3.0)
    (v * v).backward()
    assert v.grad == 6.0


def test_endless_recursion_ends():
    def loss(x):
        return loss(0.5 * x)

    fun = jitgrad.compile(loss)
    with pytest.raises(RecursionError):
        fun(1.0)
    assert jitgrad.compile(lambda x: 2.0 * x)(1.0) == 2.0


def test_a_generator_left_over_from_a_trace():
    kept = []

    def loss(x):
        kept.append(v * v for v in x)
        return next(kept[-1])

    assert jitgrad.compile(loss)(X) == 0.25
    with pytest.raises(TraceError):
        next(kept[0])


def test_compiled_functions_that_call_each_other_and_themselves():
    @jitgrad.compile
    def rising(x, n):
        return x if n == 0 else falling(x, n - 1) + x

    @jitgrad.compile
    def falling(x, n):
        return x if n == 0 else rising(x, n - 1) * x

    def expected(x, n):
        return x if n == 0 else expected(x, n - 1) * x if n % 2 == 0 else expected(x, n - 1) + x

    for x, n in ((2.0, 5), (2.0, 3), (3.0, 5)):
        slope = (expected(x + 1e-6, n) - expected(x - 1e-6, n)) / 2e-6
        assert rising.value_and_grad(x, n) == (expected(x, n), pytest.approx(slope))
    with pytest.raises(UnsupportedError):
        jitgrad.compile(lambda x: falling.grad(x, 2))(2.0)


def test_threads_with_shapes_of_their_own():
    fun = jitgrad.compile(lambda x: np.sum(np.sort(x) * np.arange(1.0, len(x) + 1.0)))
    found = {}

    def work(n):
        x = np.cos(np.arange(float(n)))
        found[n] = [fun.value_and_grad(x) for _ in range(3)]

    threads = [threading.Thread(target=work, args=(n,)) for n in (3, 5, 5 + 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120.0)
    for n, results in found.items():
        x = np.cos(np.arange(float(n)))
        for value, gradient in results:
            assert value == pytest.approx(np.sum(np.sort(x) * np.arange(1.0, n + 1.0)))
            np.testing.assert_array_equal(np.sort(gradient), np.arange(1.0, n + 1.0))
    assert len(found) == 4


# --- arrays that a loss fills --------------------------------------------------------------------


def methods_of_filled(x):
    z = np.zeros((2, 2))
    z[0, 0], z[1, 1] = x[0], x[1] * x[2]
    extremes = z.max() * z.min() + z.argmax() + z.argmin() + z.clip(0.0, 1.0)[0, 0]
    sums = z.sum() + z.mean() + z.std() + z.var() + z.cumsum()[-1] + z.trace() + z.dot(z)[1, 1]
    return extremes + sums + z.any() + z.all() + z.argsort(axis=None)[0] + z.T.ravel()[0]


def test_methods_of_an_array_that_is_filled():
    assert agrees(methods_of_filled, X, Y, eager=False)


def test_types_of_an_array_that_is_filled():
    kinds = []

    def loss(x):
        z = np.zeros_like(x)
        z[0] = x[1] / 3.0
        other = np.ones(3, dtype=z.dtype)
        kinds.extend([z.dtype, z[1:].dtype, z.T.dtype, z.copy().dtype, other.dtype, (z + x).dtype])
        wide = z.astype(float)
        kinds.append(wide.dtype)
        return np.sum(wide * x) + np.sum(other)

    value = jitgrad.compile(loss)(single(X))
    assert kinds == [np.float32] * 6 + [np.float64]
    assert value == float(np.float32(-0.5)) * 0.5 + 3.0


# --- how arrays lie in memory --------------------------------------------------------------------


def test_a_tall_matrix_that_a_routine_makes_keeps_its_layout():
    columns = np.cos(np.arange(800.0) ** 1.5).reshape(8, 100)

    def loss(w):
        inverse = np.linalg.pinv(columns * w[:, None])
        return np.sum((inverse @ np.sin(columns[:, :8])) ** 2)

    assert agrees(loss, np.linspace(0.5, 1.5, 8))

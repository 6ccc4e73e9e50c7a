"""Arrays filled one by one, arrays changed in place, and what a loss finds under NumPy's names."""

import math
import random

import numpy as np
import pytest
import scipy.linalg
import scipy.special
import scipy.stats
from scipy.special import logsumexp
from scipy.stats import norm

import jitgrad
from jitgrad import Value, errors
from jitgrad.filled import Filled, filled

X = np.array([0.4, 0.8, 1.3, 0.9])
TABLE = np.arange(8.0).reshape(2, 4)


def agrees(loss, x=X):
    """Whether the compiled value and gradient are those of the function in NumPy."""
    value, slopes = jitgrad.compile(loss).value_and_grad(x.copy())
    steps = 1e-6 * np.eye(x.size).reshape(x.size, *x.shape)
    expected = [(loss(x + step) - loss(x - step)) / 2e-6 for step in steps]
    assert value == pytest.approx(loss(x.copy()), rel=1e-13, abs=1e-13)
    np.testing.assert_allclose(slopes.ravel(), expected, rtol=1e-7, atol=1e-8)
    return True


# --- np.zeros, filled with Values ----------------------------------------------------------------


def recurrence(x):
    out = np.zeros(len(x))
    out[0] = x[0]
    for i in range(1, len(x)):
        out[i] = 0.5 * out[i - 1] + x[i] ** 2
    return np.sum(out * out) + np.exp(out).mean() + out[2]


def rows_and_columns(x):
    a = np.zeros((3, 3))
    a[0, :] = x[:3]
    a[1:, 1] = x[2:4] ** 2
    a[2] += x[1]
    view = a[:2].T
    view[0, 0] = x[3]
    return np.sum(a @ a) + np.trace(a) + a[0, 0]


def by_lists_and_masks(x):
    a = np.ones(6)
    a[[4, 1]] = x[:2]
    a[np.array([True, False, True, False, False, False])] = np.sin(x[2:])
    return np.sum(a**3)


def like_another(x):
    y = np.zeros_like(x)
    y[::2] = x[::2]
    y[1] = 3.0
    return np.sum(np.sin(y) * x)


def accumulated(x):
    total = np.zeros(4)
    for k in range(3):
        total += x**k
    return np.sum(total**2)


def of_numbers_alone(x):
    weights = np.ones(4)
    weights[0] = 0.5
    if weights.sum() > 3.0 and weights[0] < 1.0:
        return np.sum(weights * x)
    return np.sum(x)


def empty_and_full(x):
    a, b = np.empty((2, 2)), np.full(4, 2.0)
    a[0], a[1] = x[:2], x[2:]
    b[1:3] = x[0]
    return np.linalg.det(a) + b @ x


FILLED = (
    recurrence,
    rows_and_columns,
    by_lists_and_masks,
    like_another,
    accumulated,
    of_numbers_alone,
    empty_and_full,
)


@pytest.mark.parametrize("loss", FILLED)
def test_filled(loss):
    assert agrees(loss)


def test_a_loop_that_fills_an_array_stays_a_loop():
    low = jitgrad.compile(recurrence).lower(np.linspace(0.1, 1.0, 200))
    assert low.program.statements < 40


def test_like_makes_arrays_to_fill_outside_of_a_trace():
    x = Value([1.0, 2.0])
    out = np.zeros(3, like=x)
    out[1] = x[0] * x[1]
    np.sum(out * np.array([1.0, 2.0, 3.0])).backward()
    assert x.grad.tolist() == [4.0, 2.0]


def test_whole_numbers_and_truths_stay_plain():
    assert type(filled(np.zeros(3, int))) is np.ndarray
    assert type(filled(np.zeros(3, bool))) is np.ndarray
    single = filled(np.zeros(2, np.float32))
    single[0] = Value(np.float32(2.0))
    assert isinstance(single, Filled)
    assert np.multiply(single, np.float32(1.0)).element_type == np.float32


def test_outside_of_a_trace_a_plain_array_cannot_be_filled():
    with pytest.raises(ValueError) as caught:
        np.zeros(3)[0] = Value(1.0)
    assert "plain array cannot hold a Value" in str(caught.value.__cause__ or caught.value)


# --- in place ------------------------------------------------------------------------------------


def assigned(x):
    y = np.sin(x)
    y[0] = 2.0 * x[1]
    y[1:] += 1.0
    y[-1] *= x[0]
    return np.sum(y * y)


def a_recurrence_in_a_copy(x):
    y = x.copy()
    for i in range(1, len(x)):
        y[i] = y[i - 1] * 0.5 + x[i] ** 2
    return np.sum(y * x)


def two_names_for_one_array(x):
    y = x * 1.0
    z = y
    y += x
    z[0] = 3.0
    return np.sum(z * z) + y[0]


def a_matrix(x):
    y = np.outer(x, x)
    y[np.diag_indices(4)] = 1.0
    y[[0, 2], 1] = x[:2]
    y *= 2
    return np.sum(np.cos(y))


def by_a_condition(x):
    y = x**2
    y[y > 0.7] = 0.7
    return np.sum(y * x)


def read_in_between(x):
    y = np.exp(x)
    before = y[1:].sum()
    y[0] = 0.0
    part = y[1:3].sum()
    return before + part + y.sum()


def swapped(x):
    x = x.copy()
    x[0], x[1] = x[1], x[0]
    return x[0] * 3.0 + x[1] * x[2]


def by_functions(x):
    """Numbers alone, then Values: each is an assignment to the array itself."""
    a = np.zeros((4, 4))
    np.fill_diagonal(a, 3.0)
    np.put(a, [1, 2], 5.0)
    np.add.at(a, ([0, 0], [1, 1]), 1.0)
    np.add(np.ones((4, 4)), a, out=a)
    np.sum(np.ones((2, 4)), axis=0, out=a[3])
    b = a * x
    np.copyto(b, 2.0 * x, where=np.eye(4) > 0.0)
    np.subtract.at(b, (np.array([1, 1]), slice(0, 2)), x[:2])
    return np.sum(a) * x[0] + np.sum(b * b)


def by_methods(x):
    a, b = x * x, x + 0.0
    a.sort()
    b.fill(a[1])
    b.put([0, 3], x[1:3])
    return np.sum(a * np.arange(4.0)) + np.sum(b**3)


def with_out_by_position(x):
    a = np.zeros(4)
    np.dot(np.diag([1.0, 2.0, 3.0, 4.0]), x, a)
    return np.sum(a * a)


IN_PLACE = (
    by_functions,
    by_methods,
    with_out_by_position,
    assigned,
    a_recurrence_in_a_copy,
    two_names_for_one_array,
    a_matrix,
    by_a_condition,
    read_in_between,
    swapped,
)


@pytest.mark.parametrize("loss", IN_PLACE)
def test_in_place(loss):
    assert agrees(loss)


@pytest.mark.parametrize("change", [np.copyto, lambda a, v: np.add.at(a, [0, 1], v)])
def test_a_plain_array_is_not_given_values(change):
    with pytest.raises(errors.UnsupportedError, match="which cannot hold Values"):
        change(np.zeros(2), Value([1.0, 2.0]))


def changes_its_argument(x):
    x[0] = 1.0
    return np.sum(x)


def adds_to_its_argument(x):
    x += 1.0
    return np.sum(x)


def changes_what_another_name_sees(x):
    y = np.sin(x)
    z = y[1:]
    y[2] = 5.0
    return np.sum(z)


def changes_a_view(x):
    y = np.sin(x)
    z = y[1:]
    z += 1.0
    return np.sum(y)


def an_index_that_is_computed(x):
    y = np.sin(x)
    y[np.argmax(x)] = 0.0
    return np.sum(y)


@pytest.mark.parametrize(
    "loss, message",
    [
        (changes_its_argument, r"Arguments are never modified: write x = x\.copy\(\)"),
        (adds_to_its_argument, r"Arguments are never modified: write x = x\.copy\(\)"),
        (changes_what_another_name_sees, r"another view is still there.*x = x\.copy\(\)"),
        (changes_a_view, r"another view is still there.*x = x\.copy\(\)"),
        (an_index_that_is_computed, r"only when the kernel runs; write x = np\.where"),
    ],
)
def test_what_numpy_would_change_too_is_refused(loss, message):
    given = X.copy()
    with pytest.raises(errors.UnsupportedError, match=message) as caught:
        jitgrad.compile(loss)(given)
    assert "test_filled.py" in str(caught.value)
    np.testing.assert_array_equal(given, X)


# --- what stands under the names of modules ------------------------------------------------------


def functions_of_math(x):
    return (
        math.sin(x[0]) * math.exp(x[1])
        + math.log(x[2])
        + math.log(x[2], 2.0)
        + math.hypot(x[0], x[1])
        + math.gamma(x[3])
        + math.atan2(x[0], x[1])
        + math.sqrt(2.0)
    )


def functions_of_scipy(x):
    return logsumexp(2.0 * x) + scipy.special.logsumexp(x, axis=0) + scipy.special.gammaln(x).sum()


def distributions(x):
    cov = np.array([[2.0, 0.3], [0.3, 1.0]])
    return (
        norm.logpdf(x, 0.3, x[1]).sum()
        + scipy.stats.gamma.logpdf(x, 2.0, scale=1.5).sum()
        + scipy.stats.multivariate_normal.logpdf(x[:2], np.zeros(2), cov)
        + norm(loc=0.1, scale=2.0).cdf(x).sum()
    )


def matrices_of_scipy(x):
    a = np.outer(x, x) + np.eye(4)
    factor = scipy.linalg.cho_factor(a)
    return (
        scipy.linalg.solve_triangular(a, x, lower=True).sum() + scipy.linalg.cho_solve(factor, x)[0]
    )


def arrays_of_what_there_is(x):
    x = np.asarray(x, dtype=float)
    pair = np.array([x[0], x[1] * 2.0])
    return np.array(x).sum() + pair @ pair


def a_method_of_a_captured_array(x):
    return TABLE.dot(x).sum()


def a_vectorized_function(x):
    return np.sum(np.vectorize(lambda t, s: t * t + s)(x, 2.0))


def taken_from_a_table(x):
    return np.sum(np.take(TABLE[1], np.argsort(x)) * x)


STANDINS = (
    functions_of_math,
    functions_of_scipy,
    distributions,
    matrices_of_scipy,
    arrays_of_what_there_is,
    a_method_of_a_captured_array,
    a_vectorized_function,
    taken_from_a_table,
)


@pytest.mark.parametrize("loss", STANDINS)
def test_standin(loss):
    assert agrees(loss)


def helper(x):
    out = np.zeros(2)
    out[0] = math.cosh(x[0])
    return out


def test_in_helpers_too():
    assert agrees(lambda x: np.sum(helper(x)) * x[1])


def test_the_modules_stay_as_they_are():
    before = np.zeros, math.sin, scipy.special.logsumexp
    jitgrad.compile(recurrence)(X)
    assert (np.zeros, math.sin, scipy.special.logsumexp) == before
    assert type(np.zeros(2)) is np.ndarray


GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: np.sum(x * np.random.default_rng(0).normal(size=4)),
        lambda x: np.sum(x * np.random.normal(size=4)),
        lambda x: np.sum(x * GENERATOR.normal(size=4)),
        lambda x: np.sum(x) * random.random(),
    ],
)
def test_random_numbers_in_a_loss_are_refused(loss):
    with pytest.raises(errors.UnsupportedError, match=r"drawn once.*pass them as an argument"):
        jitgrad.compile(loss)(X)

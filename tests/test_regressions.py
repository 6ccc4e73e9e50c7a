"""What random functions once broke: one small function for each mistake, through every stage."""

import inspect
import textwrap

import numpy as np
import pytest

import jitgrad
from jitgrad import Value, errors
from jitgrad.roll import Repeat, Statement
from jitgrad.split import in_vain
from tests import fuzz_arrays
from tests.fuzz import check, stop
from tests.random_arrays import ArrayProgram
from tests.random_functions import RandomFunction


def agrees(f, *arguments):
    """Whether every stage agrees on a function called f, differentiated in all its arguments."""
    source = textwrap.dedent(inspect.getsource(f))
    case = RandomFunction(0, source, arguments, tuple(range(len(arguments))), False)
    return check(case)


X = np.array([0.7, -0.4, 1.1, 0.3])
A = np.array([[0.5, -1.2, 0.8], [1.4, 0.3, -0.6], [-0.9, 0.2, 1.3], [0.6, -0.7, 0.1]])


def test_a_gather_from_what_loops_made():
    def f(x):
        for _ in range(3):
            for _ in range(2):
                x = x[[1, 0, 2, 2]] * 0.9
        return np.sum(x * x)

    assert agrees(f, X)


SHUFFLED = np.array([1, 0, 2, 2])


def test_a_gather_from_what_its_own_loop_made():
    """Its loop began with the first element alone of what it picks from: other numbers came out."""

    def f(x):
        for _ in range(6):
            x = x[SHUFFLED] * 0.9
        return np.sum(x * x)

    x = np.array([1.0, 2.0, 3.0, 5.0])
    value, gradient = jitgrad.compile(f).value_and_grad(x)
    assert value == pytest.approx(f(x), rel=1e-14)
    np.testing.assert_allclose(gradient, 0.9**12 * np.array([2.0, 4.0, 12.0, 0.0]), rtol=1e-14)


PICKS = (
    "x[i] * 0.9",
    "np.concatenate([x[i[:2]] * 0.9, x[2:]])",
    "x[1:][i % 3][:4] + 0.1 * x",
    "x[::-1][i] * 0.9 + 0.01 * x",
    "np.sin(x)[i] - x[i] * 0.1",
    "x[i][:, None][np.array([3, 1, 1, 0])][:, 0] * 0.8",
    "np.where(x > 0.5, x[i], 0.7 * x)",
    "x.reshape(2, 2)[i[:2] % 2, i[2:] % 2].repeat(2) + 0.5 * x",
)


@pytest.mark.parametrize("picked", PICKS)
def test_gathers_of_carried_arrays(picked):
    loop = f"    for _ in range(5):\n        x = {picked}\n"
    top = "def f(x):\n    i = np.array([1, 0, 2, 2])\n"
    source = f"{top}{loop}    return np.sum(x * np.arange(1.0, 5.0))\n"
    assert check(RandomFunction(0, source, (X,), (0,), False))


def test_a_gather_by_computed_positions_that_starts_from_a_shorter_array():
    def f(x, i):
        for _ in range(4):
            x = np.tanh(x[i])
        for _ in range(4):
            x = x[np.floor(abs(30.0 * x)).astype(int) % 4] * 0.9
        return np.sum(x)

    picks = np.array([0, 1, 1, 0])
    value, gradient = jitgrad.compile(f).value_and_grad(X[:2], picks)
    slopes = [(f(X[:2] + e, picks) - f(X[:2] - e, picks)) / 2e-6 for e in 1e-6 * np.eye(2)]
    assert value == pytest.approx(f(X[:2], picks), rel=1e-14)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-10)


def test_a_gather_of_single_elements_in_loops():
    def f(a, B):
        for i in range(2):
            for _ in range(i, 3):
                B = B[[0]]
        return a * B[0, 0]

    assert agrees(f, 0.6, np.array([[-1.5]]))


def test_a_gather_that_leaves_its_row():
    def f(A):
        return np.sum(np.diagonal(A) * np.diagonal(A * A)) + np.diagonal(np.stack([A[0], A[1]]))[1]

    assert agrees(f, A)


def test_a_detached_value_that_is_the_result():
    def f(x):
        y = x
        for _ in range(3):
            y = stop(x)
        return np.mean(y)

    assert agrees(f, X[:1])
    assert agrees(f, X)


def test_an_inner_loop_that_is_empty_in_the_first_piece():
    def f(x):
        s = 1.0
        for i in range(len(x)):
            for j in range(i):
                s = np.sin(s + x[j])
            s = s * x[i]
        return s

    assert agrees(f, np.tile(X, 3))


def test_a_sum_that_starts_from_what_its_own_loop_makes():
    """Rolling takes the statements before the loop for its first iteration's."""

    def f(y, x):
        s = y[-1]
        for i in range(3):
            t = x[i + 2]
            for _ in range(1):
                t += -x[i]
            s = s - 0.08 * t
        total = s / (1.5 + x[-2] * y[-1] * x[-2] * y[-1])
        kept = []
        for _ in range(6):
            total = total + np.sqrt(1.0 + abs(s) * abs(s))
            kept.append(0.5 * s * 0.5 * y[0] * s / (1.5 + x[-2] * y[-1] * x[-2] * y[-1]))
        return abs(total) - 0.98 * s

    assert agrees(f, np.array([1.309]), np.array([-0.335, -0.306, 1.313, 0.376, -0.806]))


def test_a_running_sum_of_two_terms_that_the_next_outer_iteration_goes_on_from():
    """The first of the two was added to an element that was never assigned."""

    def f(a, b, x):
        for i in range(3):
            b = b - 0.9
            for j in range(4 - i):
                for k in range(3):
                    a = a + x[k - j] - 0.25
        return a

    assert agrees(f, 1.1, 0.9, X[:3])


def test_a_carried_loop_that_is_empty_in_the_last_iteration():
    """What it starts from was stored all the same, in an element that is not there."""

    def f(a, b, y):
        for i in range(6):
            for _ in range(i, 6):
                b = abs(b)
            y = y * (0.5 - a)
        return b + y

    assert agrees(f, -0.5, 0.2, -0.7)


def test_a_running_sum_that_has_no_terms_in_the_last_iteration():
    def f(a, x):
        product = before = 1.0
        for i in range(9):
            product = product * before
            before = a * x[i]
            for j in range(i, 8):
                before = before + x[j]
        return product

    assert agrees(f, 0.2, np.tile(X, 3))


def test_an_element_that_is_read_through_two_views():
    """What a loop starts from was stored once for each view, and had its cotangent twice."""

    def f(x):
        for _ in range(8):
            x = x[[-1]] + x[[-1]] @ x.reshape((1, 1))
        return x[0]

    assert agrees(f, X[1:2])


def test_nothing_is_stored_for_iterations_that_a_loop_does_not_have():
    """A loop over j < i for each i, and what is stored in front of it for some of its rows."""
    rows = (Repeat((2,), (Repeat((3, 0), (Repeat((0, 0, 1), (Statement(7),)),)),)),)  # time, i, j
    for_all = ("r0", 0, 1), ("r1", 1, 2), ("r2", 0, None)
    for_the_first = ("r0", 0, 1), ("r1", 1, 2), ("r2", 0, 1)
    for_the_second = ("r0", 0, 1), ("r1", 1, 2), ("r2", 1, 1)
    assert in_vain(rows, [for_all, for_the_first]) == ()
    (misfit,) = in_vain(rows, [for_the_second])
    assert misfit.loops == ("r0", "r1")
    assert misfit.indices[misfit.kinds == 0].tolist() == [[0, 1]]


def test_gathers_of_gathers_are_not_made_again_twice_as_often_each():
    """It took more memory than there is: 2 ** 24 elements on the way to one."""

    def f(x):
        for step in "abaabbabaababbaabaabbaba":  # no loop is found in it
            other = x[np.array([3, 2, 5, 1, 5, 0])]
            x = 0.5 * x - 0.4 * other if step == "a" else abs(0.6 * other - 0.5 * x)
        return np.sum(np.sin(x) * x)

    assert agrees(f, np.tile(X, 2)[:6])


# --- array programs -------------------------------------------------------------------------------


def array_agrees(f, *arguments, argnums=(0,), numba=False):
    """Whether every stage agrees on a program; arguments are texts, as `random_arrays` writes them.

    Every pass is left out once.
    """
    source = textwrap.dedent(inspect.getsource(f))
    case = ArrayProgram(0, source, arguments, argnums, any("float32" in a for a in arguments))
    report = fuzz_arrays.check(case, without=99, numba=numba)
    return report.outcome == "checked" and report.differences


def test_a_number_given_as_an_array_of_one():
    """The printer reshaped what the kernel is given as a number."""

    def f(x, y):
        return np.sum(np.vstack([x, y[None]]) * np.tanh(x)) + np.sum(np.reshape(x, (1, 1)))

    assert array_agrees(f, "0.7", "made(0)", argnums=(0, 1), numba=True)


def test_inner_with_a_scalar_is_a_product():
    """It multiplied by the transposed matrix."""

    def f(x, y):
        return np.sum(np.inner(x, y) * np.arange(6.0).reshape(2, 3))

    assert array_agrees(f, "0.7", "made(0, 2, 3)", argnums=(0, 1))


def test_a_new_axis_for_an_eager_scalar():
    v = Value(2.0)
    w = np.sum(v[None, ...] * np.array([1.0, 3.0]))
    w.backward()
    assert (w.data, v.grad) == (8.0, 4.0)


def test_a_product_of_gathered_columns():
    """The pass that looks for matrix products compared names with positions."""

    def f(x, y, i):
        return np.mean(np.matmul(x[:, i], y))

    given = "made(0, 5, 5)", "made(1, 5, 5)", "whole(2, 0, 5, 5)"
    assert array_agrees(f, *given, argnums=(0, 1))


def test_a_gathered_column_outside_of_loops():
    """The pass that splits short rows looked for the innermost loop."""

    def f(y, i):
        return (y[:, i] ** 2).sum()

    with fuzz_arrays.small_sizes():
        assert array_agrees(f, "made(0, 1, 3)", "whole(1, 0, 3, 2)", argnums=(0,))


def test_single_elements_of_a_matrix_get_their_cotangents_before_the_loop():
    """A fill was moved behind what had been added through a view of the same numbers."""

    def f(x, a):
        return np.sum(np.sin(np.multiply(x, a)[[1, 0], [1, 2]]))

    assert array_agrees(f, "made(0, 2, 6)", "0.7", argnums=(0, 1))


def test_nothing_read_backwards():
    """The view of no rows began one row before the array."""

    def f(x, y):
        return np.sum(np.matmul(np.subtract(1.32, x)[::-1, :], np.diagonal(y)) ** 2) + np.sum(y)

    assert array_agrees(f, "made(0, 0, 5)", "made(1, 5, 5)", argnums=(0, 1))


def test_extremes_over_axes_in_any_order():
    """A trace put the axes back in the order in which they were named."""

    def f(x):
        return np.sum(np.max(x, axis=(1, -3)) ** 2) + np.sum(np.amin(x, axis=(2, 0)) * x[0, :, 1])

    assert array_agrees(f, "made(0, 3, 3, 3)")


def test_arithmetic_of_truth_values_is_numpys():
    """True + True is True in an array; a kernel counted."""

    def f(x, m):
        both = (m + (x > 0.0)) + m * m
        inner = np.sum(m @ (x < 2.0)) + np.dot(m, m)
        single = m[0] + m[1] + (x[0] > -5.0)
        return np.sum(both * x) + (inner + single) * np.sum(x) + np.sum(np.maximum(m, m) + m)

    assert array_agrees(f, "made(0, 6)", "(whole(3, 0, 3, 6) > 0)")


@pytest.mark.parametrize("f", [lambda x, m: np.sum((m - m) * x), lambda x, m: np.sum(-m * x)])
def test_what_numpy_refuses_for_truth_values(f):
    given = np.ones(3), np.array([True, False, True])
    with pytest.raises(TypeError):
        f(*given)
    with pytest.raises(errors.ArgumentError, match="of truth values, which NumPy refuses"):
        jitgrad.compile(f)(*given)


def test_the_reciprocal_of_integers_is_not_made_a_fraction():
    with pytest.raises(errors.UnsupportedError, match=r"write 1\.0 / n"):
        jitgrad.compile(lambda x, n: np.sum(np.reciprocal(n) * x))(np.ones(2), np.array([1, 2]))


def test_zeros_beside_an_array_stay_beside_it():
    """A fill of a part was moved into the loop over another part, before what is put there."""
    low = jitgrad.compile(lambda x, y: np.sum(np.array([0.0] * 4 + list(x)) + y)).lower(
        np.ones(7), np.ones(11)
    )
    assert "[i + 4] = x[i]" in low.source
    assert "[i + 4] = 0.0" not in low.source


def test_arrays_that_each_round_makes_anew_do_not_stop_a_loop():
    def f(x):
        for _ in range(12):
            drift = np.zeros(4)
            for _ in range(3):
                drift = 0.5 * (drift + x)
            x = np.sin(x + np.arange(4.0)) + drift[np.array([1, 0, 2, 2])]
        return np.sum(x)

    low = jitgrad.compile(f).lower(X)
    assert low.program.statements < 20
    assert agrees(f, X)


def test_equal_arrays_are_changed_apart():
    def f(x):
        a, b, c = np.ones(4), np.ones(4), np.ones(4)
        first = np.sum(c * x)
        a[1] = x[0]
        b *= x
        b[0] = 3.0
        return first + np.sum(a * b) + np.sum(c * x**2) + np.sum(np.ones(4) * np.sin(x))

    value, gradient = jitgrad.compile(f).value_and_grad(X)
    slopes = [(f(X + e) - f(X - e)) / 2e-6 for e in 1e-6 * np.eye(4)]
    assert value == pytest.approx(f(X), rel=1e-14)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-8)

"""The kernel as a Numba function: what it takes, what it writes, and who may call it."""

import numba
import numpy as np
import pytest

import jitgrad
from jitgrad import Value

W, X, Y = np.array([0.5, -1.0]), np.arange(6.0).reshape(3, 2), np.array([1.0, -1.0, 2.0])


def loss(w, X, y):
    return np.mean((X @ w - y) ** 2)


def slope(w, X, y):
    return 2.0 * X.T @ (X @ w - y) / len(y)


@pytest.fixture(scope="module")
def kernel():
    return jitgrad.compile(loss).kernel(W, X, Y)


def test_gradients_are_overwritten_and_arguments_kept(kernel):
    arguments = [W.copy(), X.copy(), Y.copy()]
    for filling in (np.nan, 1e300, 0.0):
        gradient = np.full(2, filling)
        assert kernel(*arguments, gradient) == pytest.approx(loss(W, X, Y), rel=1e-14)
        np.testing.assert_allclose(gradient, slope(W, X, Y), rtol=1e-13)
    for given, original in zip(arguments, (W, X, Y), strict=True):
        np.testing.assert_array_equal(given, original)


def test_in_the_users_own_compiled_loop(kernel):
    @numba.njit
    def descend(w, X, y, steps):
        gradient = np.empty_like(w)
        value = 0.0
        for _ in range(steps):
            value = kernel(w, X, y, gradient)
            w -= 0.02 * gradient
        return value

    @numba.njit(nogil=True)
    def sum_over_rows(w, X, y):
        gradient, total = np.empty_like(w), 0.0
        for i in range(2):
            total += kernel(w * i, X, y, gradient) + gradient[0]
        return total

    w = W.copy()
    value = descend(w, X, Y, 5000)
    best = np.linalg.lstsq(X, Y)[0]
    assert value == pytest.approx(loss(best, X, Y), rel=1e-6)
    np.testing.assert_allclose(w, best, atol=1e-6)
    wanted = sum(loss(W * i, X, Y) + slope(W * i, X, Y)[0] for i in range(2))
    assert sum_over_rows(W, X, Y) == pytest.approx(wanted, rel=1e-13)


@pytest.mark.parametrize(
    "arguments",
    [
        (W.astype(int), X, Y),
        (W.astype("f4"), X, Y),
        (W, np.asfortranarray(X), Y),
        (W, np.repeat(X, 2, axis=1)[:, ::2], Y),
        (W, X.ravel(), Y),
        (W, X, 1.0),
        (W, X, list(Y)),
        (W, X),
        (W, X.astype(complex), Y),
        (W, X.astype(">f8"), Y),
    ],
)
def test_other_types_are_refused(kernel, arguments):
    gradient = np.full(2, 7.0)
    with pytest.raises((TypeError, NotImplementedError)):
        kernel(*arguments, gradient)
    np.testing.assert_array_equal(gradient, 7.0)


def test_other_types_are_refused_in_compiled_code(kernel):
    @numba.njit
    def call(w, X, y, gradient):
        return kernel(w, X, y, gradient)

    with pytest.raises(numba.TypingError):
        call(W.astype(int), X, Y, np.empty(2))


def test_scalars_have_arrays_without_dimensions_as_gradients():
    fun = jitgrad.compile(lambda a, b: a * a * b, argnums=(0, 1))
    ga, gb = np.full((), np.nan), np.full((), np.nan)
    assert fun.kernel(2.0, 3.0)(2.0, 3.0, ga, gb) == 12.0
    assert (ga, gb) == (12.0, 4.0)


def test_nested_arguments_are_flat_and_named():
    def fun(params, xs, n):
        return np.sum(params["w"] * xs[0]) ** n + params["b"][1] * xs[1]

    compiled = jitgrad.compile(fun)
    params, xs = {"w": W, "b": (1, 2.0)}, [W, 3.0]
    low = compiled.lower(params, xs, 2)
    assert low.arguments == ("params_b_0", "params_b_1", "params_w", "xs_0", "xs_1")
    gb0, gb1, gw = np.empty(()), np.empty(()), np.empty(2)
    value = low.kernel(1.0, 2.0, W, W, 3.0, gb0, gb1, gw)
    assert value == fun(params, xs, 2)
    gradient = compiled.grad(params, xs, 2)
    assert (gb0, gb1) == gradient["b"]
    np.testing.assert_array_equal(gw, gradient["w"])
    assert compiled.kernel(params, xs, 2) is low.kernel


def test_a_long_list_is_one_argument():
    fun = jitgrad.compile(lambda xs: sum(x * x for x in xs))
    xs = [0.5] * 20
    low = fun.lower(xs)
    gradient = np.empty(20)
    assert low.arguments == ("xs",)
    assert low.kernel(np.array(xs), gradient) == 5.0
    np.testing.assert_array_equal(gradient, 1.0)


def test_captured_values_and_data_come_after_the_arguments():
    a, b, v = Value(2.0), Value(3.0), Value(W)
    data = np.array([1.0, 2.0])
    fun = jitgrad.compile(lambda x: a * x + b * np.sum(data) * np.sum(v))
    low = fun.lower(5.0)
    assert low.arguments == ("x", "data", "parameters", "captured0")
    packed, array = np.full(2, np.nan), np.full(2, np.nan)
    value = low.kernel(5.0, *low.captured_arrays(), packed, array)
    assert value == 10.0 + 9.0 * W.sum()
    np.testing.assert_allclose(packed, [5.0, 3.0 * W.sum()])
    np.testing.assert_allclose(array, 9.0)
    assert fun.kernel(5.0) is low.kernel


def test_index_arrays_are_64_bit_integers():
    fun = jitgrad.compile(lambda w, i: np.sum(w[i]))
    kernel, gradient = fun.kernel(W, np.array([1, 1, 0])), np.empty(2)
    assert kernel(W, np.array([1, 1, 0]), gradient) == pytest.approx(-1.5)
    np.testing.assert_array_equal(gradient, [1.0, 2.0])
    with pytest.raises(TypeError):
        kernel(W, np.array([1.0, 1.0, 0.0]), gradient)


def test_auxiliary_output_is_written_last():
    fun = jitgrad.compile(lambda w: (np.sum(w * w), w * 3.0), has_aux=True)
    gradient, aux = np.empty(2), np.empty(2)
    assert fun.kernel(W)(W, gradient, aux) == 1.25
    np.testing.assert_array_equal(aux, W * 3.0)
    np.testing.assert_array_equal(gradient, W * 2.0)


def test_the_same_source_for_other_types_is_another_kernel():
    """What a kernel does not use does not show in its text."""
    fun = jitgrad.compile(lambda x: 7.0)
    for x in (1.0, np.ones(2), np.ones((2, 2)), np.ones((0, 2)), np.ones(0)):
        value, gradient = fun.value_and_grad(x)
        assert value == fun(x) == 7.0
        np.testing.assert_array_equal(gradient, np.zeros(np.shape(x)))


def test_results_are_the_same_every_time(kernel):
    gradients = np.empty((5, 2))
    values = {kernel(W, X, Y, row) for row in gradients}
    assert len(values) == 1 and len({tuple(row) for row in gradients}) == 1

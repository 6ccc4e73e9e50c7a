"""Calls of many sizes share a kernel."""

import numpy as np
import pytest

import jitgrad
from jitgrad.generic import Printed, generalised

RNG = np.random.default_rng(0)


def logistic(w, X, y):
    return np.mean(np.logaddexp(0.0, -y * (X @ w)))


def softmax_regression(p, X, Y):
    z = X @ p["W"] + p["b"]
    top = np.max(z, axis=1, keepdims=True)
    return np.mean(np.log(np.sum(np.exp(z - top), axis=1)) + top[:, 0] - np.sum(Y * z, axis=1))


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def layers(W, X):
    return np.sum(np.tanh(np.tanh(X @ W) @ W.T) ** 2)


def python_loop(p, x):
    total = 0.0
    for v in x:
        total = total + (p[0] * v - p[1]) ** 2
    return total / len(x)


def joined(x):
    return np.sum(np.concatenate([x, 2.0 * x[::-1]]).reshape(2, -1) ** 3)


def pairs(x, y):
    return np.sum((x[:, None] - y) ** 2) / x.size


ROWS = [100, 37, 64, 1000, 25, 128, 129, 300, 51, 2048]


def arguments(name, n):
    X = RNG.standard_normal((n, 4))
    return {
        "logistic": (RNG.standard_normal(4), X, np.sign(RNG.standard_normal(n))),
        "softmax": (
            {"W": RNG.standard_normal((4, 3)), "b": RNG.standard_normal(3)},
            X,
            np.eye(3)[RNG.integers(0, 3, n)],
        ),
        "rosenbrock": (RNG.standard_normal(n),),
        "layers": (RNG.standard_normal((30, 20)), RNG.standard_normal((n, 30))),
        "python loop": (RNG.standard_normal(2), RNG.standard_normal(n)),
        "joined": (RNG.standard_normal(n),),
        "pairs": (RNG.standard_normal(n), RNG.standard_normal(26)),
    }[name]


LOSSES = {
    "logistic": logistic,
    "softmax": softmax_regression,
    "rosenbrock": rosenbrock,
    "layers": layers,
    "python loop": python_loop,
    "joined": joined,
    "pairs": pairs,
}


def check(loss, fun, args):
    """Compare value and slopes along a direction with the loss itself."""
    value, gradient = fun.value_and_grad(*args)
    assert value == pytest.approx(loss(*args), rel=1e-12)
    first = args[0] if isinstance(args[0], dict) else {"": args[0]}
    given = gradient if isinstance(gradient, dict) else {"": gradient}
    way = {key: RNG.standard_normal(part.shape) for key, part in first.items()}

    def moved(step):
        there = {key: part + step * way[key] for key, part in first.items()}
        return loss(there if isinstance(args[0], dict) else there[""], *args[1:])

    slope = (moved(1e-6) - moved(-1e-6)) / 2e-6
    mine = sum(np.sum(given[key] * way[key]) for key in first)
    assert mine == pytest.approx(slope, rel=2e-6, abs=1e-6 * abs(value))


@pytest.mark.parametrize("name", LOSSES)
def test_ten_batch_sizes_take_two_compilations(name):
    loss = LOSSES[name]
    fun = jitgrad.compile(loss)
    for n in ROWS:
        check(loss, fun, arguments(name, n))
    assert fun.compilations <= 2


@pytest.mark.parametrize(
    "rows", [[100, 7, 70, 2, 200, 5, 33, 16, 64, 1000], [5, 300, 2, 33, 15, 130]]
)
@pytest.mark.parametrize("name", ["logistic", "layers"])
def test_few_rows_share_the_kernel_of_many(name, rows):
    loss = LOSSES[name]
    fun = jitgrad.compile(loss)
    for n in rows:
        check(loss, fun, arguments(name, n))
    assert fun.compilations <= 2


def test_few_rows_are_treated_like_many_only_where_many_were_seen():
    fun = jitgrad.compile(layers)
    for n in (3, 2):
        check(layers, fun, arguments("layers", n))
        assert "dot(" not in fun.source
    check(layers, fun, arguments("layers", 100))
    assert "dot(" in fun.source
    check(layers, fun, arguments("layers", 4))
    assert "dot(" in fun.source
    assert fun.compilations == 3


def test_a_ragged_last_batch():
    fun = jitgrad.compile(softmax_regression)
    p, X, Y = arguments("softmax", 1000)
    for _ in range(2):
        for start in range(0, 1000, 128):
            check(softmax_regression, fun, (p, X[start : start + 128], Y[start : start + 128]))
    assert fun.compilations <= 2


def test_extents_that_were_equal_by_chance():
    fun = jitgrad.compile(pairs)
    for n, m in [(30, 30), (40, 40), (30, 40), (50, 30), (27, 64), (64, 27)]:
        check(pairs, fun, (RNG.standard_normal(n), RNG.standard_normal(m)))


def test_small_and_empty_batches_are_right():
    fun = jitgrad.compile(logistic)
    for n in [100, 200, 1, 2, 3, 17, 150]:
        check(logistic, fun, arguments("logistic", n))
    total = jitgrad.compile(lambda x: np.sum(x**2))
    assert [total(np.ones(n)) for n in (50, 60, 0, 1)] == [50.0, 60.0, 0.0, 1.0]


def test_a_number_that_only_seems_linear():
    def loss(x):
        return np.sum(x) * float(len(x) ** 2 % 1000)

    fun = jitgrad.compile(loss)
    for n in (30, 31, 32, 40, 77):
        assert fun(np.ones(n)) == loss(np.ones(n))


def test_what_cannot_be_said_in_terms_of_sizes():
    first = Printed("def k(x):\n    return x[3] * 0.37\n", "k", {"x": (10,)})
    other = first._replace(text="def k(x):\n    return x[3] * 0.29\n", extents={"x": (12,)})
    assert generalised(first, other) is None
    assert generalised(first, first._replace(text="def k(x):\n    return x[3] + 0.37\n")) is None


def test_the_source_names_the_sizes():
    fun = jitgrad.compile(rosenbrock)
    for n in (50, 60):
        fun.value_and_grad(RNG.standard_normal(n))
    assert "n = x.shape[0]" in fun.source
    assert "range(n - 1)" in fun.source or "range((n - 1))" in fun.source


# --- what is called is no name of a local --------------------------------------------------------

SWAPPED = {
    "functions of NumPy": (np.tanh, np.sin),
    "reductions": (lambda x: np.max(x), lambda x: np.min(x)),
    "products": (lambda x: x * np.exp(x), lambda x: x * np.log(x)),
    "selections": (lambda x: np.maximum(x, 0.5), lambda x: np.minimum(x, 0.5)),
}


@pytest.mark.parametrize("name", SWAPPED)
@pytest.mark.parametrize("point", [1.5, np.array([0.25, 1.5, 3.0])], ids=["number", "array"])
def test_another_function_is_another_kernel(name, point):
    first, second = SWAPPED[name]
    function = first
    loss = jitgrad.compile(lambda x: np.sum(function(x)))
    for function in (first, second, first):
        for _ in range(2):
            assert loss(point) == pytest.approx(np.sum(function(point)), rel=1e-14)


def test_names_of_locals_may_differ_and_no_others():
    first = Printed("def k(x):\n    a = np.tanh(x)\n    return a\n", "k", {"x": ()})
    renamed = Printed("def k(x):\n    b = np.tanh(x)\n    return b\n", "k", {"x": ()})
    other = Printed("def k(x):\n    a = np.sin(x)\n    return a\n", "k", {"x": ()})
    kernel = generalised(first, renamed)
    assert kernel is not None and kernel.fits(renamed)
    assert generalised(first, other) is None and not kernel.fits(other)
    module = Printed("def k(x):\n    a = math.tanh(x)\n    return a\n", "k", {"x": ()})
    assert generalised(first, module) is None

"""Lists and tuples, with Values in them or not, wherever NumPy takes them for arrays."""

import numpy as np
import pytest

import jitgrad
from jitgrad import Value
from jitgrad.adjoint import gradient
from jitgrad.call import chosen_inputs, inputs
from tests import quick

X = np.array([1.25, 2.0, 3.5])
M = np.arange(9.0).reshape(3, 3) + 1.0
# ruff: noqa: RUF005 - the sums are of arrays

OPERATORS = {
    "x + list": lambda x: np.sum((x + [1.0, 2.0, 3.0]) ** 2),
    "list + x": lambda x: np.sum(([1.0, 2.0, 3.0] + x) ** 2),
    "tuple * x": lambda x: np.sum((1.0, 2.0, 3.0) * x),
    "x * list": lambda x: np.sum(x * [1, 2, 3]),
    "list - x": lambda x: np.sum(([2.0, 3.0, 4.0] - x) ** 3),
    "list / x": lambda x: np.sum([2.0, 3.0, 4.0] / x),
    "x // list": lambda x: np.sum(x // [1.0, 1.5, 2.0] * x),
    "x % list": lambda x: np.sum(x % [2.0, 3.0, 4.0]),
    "x ** list": lambda x: np.sum(x ** [1, 2, 3]),
    "list ** x": lambda x: np.sum([2.0, 3.0, 4.0] ** x),
    "x @ list": lambda x: x @ [1.0, 2.0, 3.0],
    "list @ x": lambda x: [1.0, 2.0, 3.0] @ x,
    "matrix @ list": lambda x: np.sum(M @ [x[0], x[1], x[2] ** 2]),
    "x > list": lambda x: np.sum(np.where(x > [0.0, 2.5, 1.0], x, 0.0)),
    "x != list": lambda x: np.sum(np.where(x != [0.25, 0.0, 8.5], x, 0.0)),
    "x + list of Values": lambda x: np.sum((x + [x[0], 1.0, x[1]]) ** 2),
    "x + nested lists": lambda x: np.sum((x + [[1.0, x[0], 3.0], [x[1], 5.0, 6.0]]) ** 2),
}
FUNCTIONS = {
    "sum": lambda x: np.sum([x[0], x[1] ** 2]),
    "max": lambda x: np.max([x[0], x[1] ** 2]),
    "amin": lambda x: np.amin([x[0], x[1] ** 2]),
    "mean of arrays": lambda x: np.mean([x, x * x]),
    "std": lambda x: np.std([x[0], x[1], 2.0]),
    "prod": lambda x: np.prod([x[1], x[0]]),
    "median": lambda x: np.median([x[1], x[0], x[2]]),
    "sort": lambda x: np.sort([x[1], x[0]])[0],
    "cumsum": lambda x: np.cumsum([x[0], x[1]])[1],
    "norm": lambda x: np.linalg.norm([x[0], x[1]]),
    "det": lambda x: np.linalg.det([[x[0], 1.0], [2.0, x[1]]]),
    "solve": lambda x: np.sum(np.linalg.solve([[2.0, 1.0], [1.0, 3.0]], [x[0], x[1]])),
    "exp": lambda x: np.sum(np.exp([x[0], x[1]])),
    "maximum": lambda x: np.sum(np.maximum([x[0], x[1]], 1.5)),
    "where": lambda x: np.sum(np.where([True, False, True], x, [1.0, 2.0, 3.0])),
    "dot": lambda x: np.dot([1.0, 2.0, 3.0], x) * np.dot(x, (1.0, 2.0, 3.0)),
    "outer": lambda x: np.sum(np.outer([1.0, 2.0], x)),
    "einsum": lambda x: np.einsum("i,i->", [1.0, 2.0, 3.0], x),
    "stack and concatenate": lambda x: (
        np.sum(np.stack([x, [1, 2, 3]]) ** 2) + np.sum(np.concatenate([x, [1.0, 2.0]]) ** 2)
    ),
    "index": lambda x: np.sum(x[[0, 2]]) * np.sum(x[[True, False, True]]),
    "array": lambda x: np.sum(np.array([[x[0], 1.0], [2.0, x[1]]]) @ [1.0, 2.0]),
    "array of arrays": lambda x: np.sum(np.array([x, x * x]) ** 2),
    "average": lambda x: np.average(x, weights=[1, 2, 3]),
    "clip": lambda x: np.clip(x, [0, 0, 0], [1, 1, 2.5]).sum() * x[0],
    "any": lambda x: np.where(np.any(x > [5, 5, 3]), x[0], x[1]),
    "scalars of NumPy": lambda x: np.float64(2.0) * np.sum(x) + np.int32(3) * x[0] ** 2,
}
CASES = OPERATORS | FUNCTIONS


@pytest.mark.parametrize("name", CASES)
def test_lists_are_arrays(name):
    loss = CASES[name]
    fun = jitgrad.compile(loss)
    bound, traced = fun._trace((X,), {})
    names = [argument.buffer for argument in traced.arguments]
    wrt = [names[place] for place in chosen_inputs(bound, traced)]
    data = dict(zip(names, inputs(bound, traced), strict=True))
    outcome = quick.run(gradient(traced.program, wrt), data)
    assert outcome.value == pytest.approx(loss(X), rel=1e-14)
    steps = 1e-6 * np.eye(3)
    expected = [(loss(X + step) - loss(X - step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(outcome.buffers[f"grad_{wrt[0]}"], expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", OPERATORS)
def test_eager_values_take_lists(name):
    loss = OPERATORS[name]
    x = Value(X)
    out = loss(x)
    out.backward()
    assert out.data == pytest.approx(loss(X), rel=1e-14)
    expected = [(loss(X + step) - loss(X - step)) / 2e-6 for step in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(x.grad, expected, rtol=1e-7, atol=1e-7)


def test_several_in_one_kernel():
    def loss(x):
        names = "x + list", "matrix @ list", "max", "sort", "array"
        return sum(CASES[name](x) for name in names)

    fun = jitgrad.compile(loss)
    assert fun(X) == pytest.approx(loss(X), rel=1e-13)

"""NumPy over Values: values as NumPy's own, gradients as HIPS autograd's."""

import re

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
import scipy.special

import jitgrad
import jitgrad.errors
from jitgrad import Value, errors
from jitgrad.graph import elementwise
from jitgrad.ops import OPS

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 4))
V = RNG.normal(size=4)
HERE = re.escape(__file__)

# Functions of a 3x4 array, written with the NumPy that they are given.
FUNCTIONS = {
    "broadcast left": lambda np, a: V * a + 2.0,
    "broadcast right": lambda np, a: a - A[:, :1],
    "division": lambda np, a: V / a + a / V + 1.0 / a,
    "power": lambda np, a: a**3 + np.abs(a) ** a[0] + 2.0**a,
    "remainder": lambda np, a: a % 2.0,
    "negative": lambda np, a: -a,
    "matmul": lambda np, a: a @ V,
    "matmul left": lambda np, a: np.ones((2, 3)) @ a,
    "matmul vectors": lambda np, a: a[0] @ a[1],
    "matmul vector left": lambda np, a: V @ a.T,
    "matmul matrices": lambda np, a: a @ a.T,
    "matmul batches": lambda np, a: np.ones((2, 5, 3)) @ a,
    "matmul batch vector": lambda np, a: np.ones((2, 5, 4)) @ a[0],
    "int": lambda np, a: a[1, 2] * a[-1],
    "slice": lambda np, a: a[1:, ::-2],
    "newaxis": lambda np, a: a[:, None, :2],
    "ellipsis": lambda np, a: a[..., 0],
    "array index": lambda np, a: a[[0, 0, 2], 1:],
    "array indices": lambda np, a: a[np.array([0, 1, 0]), np.array([-1, 0, -1])],
    "mask": lambda np, a: a[A > 0],
    "iteration": lambda np, a: sum(row[0] * row.sum() for row in a),
    "sum": lambda np, a: np.sum(a),
    "sum axis": lambda np, a: np.sum(a * a, axis=-1),
    "sum axes": lambda np, a: np.sum(a, axis=(0, 1), keepdims=True),
    "sum keepdims": lambda np, a: a / np.sum(np.exp(a), axis=0, keepdims=True),
    "mean": lambda np, a: np.mean(a, axis=1) * a.mean(),
    "var": lambda np, a: np.var(a, axis=0) + np.var(a, ddof=1),
    "std": lambda np, a: np.std(a, axis=1),
    "norm": lambda np, a: np.linalg.norm(a) + np.linalg.norm(a, axis=1),
    "dot": lambda np, a: np.dot(a, V) * np.dot(2.0, a[:, 0]),
    "dot left": lambda np, a: np.dot(np.ones((2, 3)), a),
    "inner": lambda np, a: np.inner(a, a),
    "inner vector": lambda np, a: np.inner(a, V),
    "outer": lambda np, a: np.outer(a[0], a[:, 0]),
    "where": lambda np, a: np.where(A > 0, a, a * a),
    "clip": lambda np, a: np.clip(a, -0.5, 0.5),
    "maximum": lambda np, a: np.maximum(a, 0.3) + np.minimum(a[0], V),
    "logaddexp": lambda np, a: np.logaddexp(0.0, -V * a),
    "reshape": lambda np, a: np.reshape(a, (2, -1)) * a.reshape(2, 6),
    "ravel": lambda np, a: np.ravel(a) * a.flatten(),
    "transpose": lambda np, a: np.transpose(a) + a.T * 2,
    "transpose axes": lambda np, a: np.transpose(a[None] * np.ones((2, 1, 1)), (1, 2, 0)),
    "moveaxis": lambda np, a: np.moveaxis(a[None] * np.ones((2, 1, 1)), 0, 2),
    "swapaxes": lambda np, a: np.swapaxes(a, 0, 1),
    "squeeze": lambda np, a: np.squeeze(a[:1]),
    "expand_dims": lambda np, a: np.expand_dims(a, 1),
    "atleast": lambda np, a: np.atleast_1d(a[0, 0]) + np.atleast_2d(a[0]),
    "flip": lambda np, a: np.flipud(a) + np.fliplr(a),
    "roll": lambda np, a: np.roll(a, 1, axis=1),
    "tile": lambda np, a: np.tile(a, (2, 2)),
    "repeat": lambda np, a: np.repeat(a, 2, axis=1),
    "diff": lambda np, a: np.diff(a) * np.diff(a, axis=1),
    "concatenate": lambda np, a: np.concatenate([a, np.ones((2, 4)), a * 2]),
    "concatenate axis": lambda np, a: np.concatenate((a, a), axis=-1),
    "stack": lambda np, a: np.stack([a[0], a[1], V], axis=1),
    "hstack": lambda np, a: np.hstack([a, a * 2]) * np.hstack([a[0], a[1]]),
    "vstack": lambda np, a: np.vstack([a, a[0]]),
    "column_stack": lambda np, a: np.column_stack([a[:, 0], a, V[:3]]),
    "append": lambda np, a: np.append(a, V),
    "softmax": lambda np, a: np.exp(a) / np.exp(a).sum(axis=1, keepdims=True),
    "layer": lambda np, a: np.tanh(a @ A.T + V[:3]).mean(axis=0),
}


def check(function, at):
    """Compare a function and its gradient with NumPy's and autograd's."""
    x = Value(at)
    out = function(np, x)
    expected = function(np, at)
    np.testing.assert_allclose(out.data, expected, rtol=1e-13, atol=1e-15)
    assert out.shape == np.shape(expected)
    weights = np.random.default_rng(1).normal(size=np.shape(expected))
    out.backward(weights)
    reference = autograd.grad(lambda a: anp.sum(weights * function(anp, a)))(at)
    np.testing.assert_allclose(x.grad, reference, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name):
    check(FUNCTIONS[name], A)


UNARY = [
    name
    for name, row in OPS.items()
    if row.arity == 1
    and any(row.partials)
    and hasattr(anp, name)
    and name not in ("cbrt", "copy", "i0")
]


@pytest.mark.parametrize("name", UNARY)
def test_ufunc(name):
    low, high = OPS[name].domain[0]
    check(lambda np, a: getattr(np, name)(a), np.linspace(low, high, 12).reshape(3, 4)[::-1] * 0.99)


@pytest.mark.parametrize("name", ["square", "reciprocal", "deg2rad", "rad2deg", "fabs", "absolute"])
def test_ufunc_by_operators(name):
    check(lambda np, a: getattr(np, name)(a), A)


def test_functions_that_autograd_lacks():
    x = Value(A)
    square = x @ x.T
    out = np.sum(np.copy(x) + np.positive(x)) + np.vdot(x, x) + np.add.reduce(x)[0]
    out = out + np.sum(np.broadcast_to(x, (2, 3, 4))) + np.trace(square) + np.diagonal(square, 1)[0]
    out.backward()
    expected = 2 + 2 * A + 2 + 2 * A
    expected[:, 0] += 1
    expected[0] += A[1]
    expected[1] += A[0]
    np.testing.assert_allclose(x.grad, expected)
    assert np.take(x, [1, 1], axis=0).shape == (2, 4)


def test_comparisons_and_truth():
    v = Value(A)
    np.testing.assert_array_equal(np.greater(v, 0), A > 0)
    np.testing.assert_array_equal(np.logical_not(v), A == 0)
    np.testing.assert_array_equal(np.where(v > 0, v, 0.0).data, np.where(A > 0, A, 0))
    truth = Value(A > 0, requires_grad=False)
    np.testing.assert_array_equal(truth & (A < 1), (A > 0) & (A < 1))
    np.testing.assert_array_equal(~truth | False, A <= 0)
    np.testing.assert_array_equal(truth.astype(float).data, (A > 0).astype(float))
    with pytest.raises(TypeError, match="expected truth values"):
        _ = v & v


def test_plain_answers():
    v = Value(A)
    assert (np.shape(v), np.ndim(v), np.size(v), np.size(v, 1)) == ((3, 4), 2, 12, 4)
    assert (v.shape, v.ndim, v.size, v.dtype, len(v)) == ((3, 4), 2, 12, np.float64, 3)
    for made in (np.zeros_like(v), np.ones_like(v), np.full_like(v, 2.0), np.empty_like(v)):
        assert isinstance(made, np.ndarray)
        assert (made.shape, np.add(made, 0.0).dtype) == ((3, 4), np.float64)


def test_scalars_come_out_as_python_numbers():
    v = Value(A)
    for number in (v.sum(), v[0, 0], np.linalg.norm(v), v[0] @ V):
        assert type(number.data) is float


def test_integers_become_floats():
    assert Value(np.arange(3)).element_type == np.float64
    assert Value([[1, 2], [3, 4]]).shape == (2, 2)


# --- object arrays -------------------------------------------------------------------------------


def test_object_array_of_scalars():
    a, b, c = Value(1.5), Value(-2.0), Value(0.5)
    array = np.array([a * b, c])
    assert (array.dtype, array.shape) == (object, (2,))
    assert np.array([[a, b], [b, c]]).shape == (2, 2)
    out = np.sum(np.exp(array) * array) + np.dot(array, array) + np.mean(array) + np.var(array)
    assert isinstance(out, Value)
    out.backward()

    def plain(x):
        y = anp.array([x[0] * x[1], x[2]])
        return anp.sum(anp.exp(y) * y) + anp.dot(y, y) + anp.mean(y) + anp.var(y)

    at = np.array([1.5, -2.0, 0.5])
    assert out.data == pytest.approx(plain(at), rel=1e-14)
    np.testing.assert_allclose([a.grad, b.grad, c.grad], autograd.grad(plain)(at), rtol=1e-13)


def test_object_arrays_meet_array_values():
    a, b, w = Value(2.0), Value(3.0), Value([1.0, 10.0])
    array = np.array([a, b])
    for product in (array * w, w * array):
        assert isinstance(product, Value)
        np.testing.assert_array_equal(product.data, [2.0, 30.0])
    (array @ w).backward()
    assert (a.grad, b.grad) == (1.0, 10.0)
    np.testing.assert_array_equal(w.grad, [2.0, 3.0])


def test_a_value_of_an_object_array_depends_on_its_parts():
    a = Value(2.0)
    v = Value(np.array([[a, 1.0], [a * a, 0.0]]))
    assert v.shape == (2, 2)
    v.backward([[1.0, 0.0], [10.0, 0.0]])
    assert a.grad == 41.0


def test_object_matrix_product():
    a, b = Value(2.0), Value(3.0)
    product = np.array([[a, b], [b, a]]) @ np.array([1.0, 2.0])
    product[0].backward()
    assert (product[1].data, a.grad, b.grad) == (7.0, 1.0, 2.0)


def test_lists_as_operands_of_functions():
    a, v = Value(2.0), Value([1.0, 2.0])
    assert np.dot([3.0, 4.0], v).data == 11.0
    np.dot([a, 1.0], v).backward()
    assert a.grad == 1.0
    np.testing.assert_array_equal(np.stack([[1.0, 2.0], v]).data, [[1.0, 2.0], [1.0, 2.0]])


# --- errors --------------------------------------------------------------------------------------


def raises(kind, message):
    return pytest.raises(kind, match=rf"^{HERE}:\d+: .*{message}")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: np.fft.fft(v), r"np\.fft\.fft cannot be applied .*docs/numpy\.md"),
        (lambda v: np.add.at(v, 0, 1.0), r"a Value is not changed in place\. Write out"),
        (lambda v: np.multiply.reduceat(v, [0, 1]), r"reduceat cannot .*each slice"),
        (lambda v: np.unique(v), "known only when the kernel runs"),
        (lambda v: np.add(v, v, where=A > 0), "not with these arguments: where.*np.where"),
        (lambda v: np.exp(v, dtype=np.float32), r"arguments: dtype.*astype"),
        (lambda v: np.add(v, v, out=np.ones((3, 4))), "A plain array cannot hold Values"),
        (lambda v: np.sum(v, out=np.ones(())), "A plain array cannot hold Values"),
        (lambda v: np.sum(v, None, None, np.ones(())), "A plain array cannot hold Values"),
        (lambda v: v.mean(out=np.ones(())), "A plain array cannot hold Values"),
        (lambda v: np.concatenate([v, v], dtype=np.float32), "arguments: dtype"),
        (lambda v: np.multiply.outer(v, v, dtype=float), "arguments: dtype"),
        (lambda v: np.where(v), "np.where with one argument"),
        (lambda v: np.pad(v, 1, "linear_ramp"), "mode='linear_ramp'"),
        (lambda v: np.pad(v, 1, "reflect", reflect_type="odd"), "reflect_type"),
        (
            lambda v: np.compress(Value([1.0, 0.0, 1.0]), v, axis=0),
            "by a condition that is a Value",
        ),
        (lambda v: v.astype(complex), r"astype\(complex128\)"),
        (lambda v: v.sort(), r"a Value is not changed in place\. Write out"),
    ],
)
def test_unsupported(call, message):
    with raises(errors.UnsupportedError, message):
        call(Value(A))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: np.concatenate([v, np.ones((2, 3))]), "concatenate of .* along axis 0"),
        (lambda v: np.stack([v, np.ones(4)]), "stack of arrays of different shapes"),
        (lambda v: np.squeeze(v, 0), "squeeze of axis 0"),
        (lambda v: np.broadcast_to(v, (3, 5)), "broadcast_to of arrays of shapes"),
        (lambda v: elementwise("hypot", v, np.ones(5)), "hypot of arrays of shapes"),
        (lambda v: np.sum(v, axis=2), "axis 2 of an array of 2 dimensions"),
        (lambda v: np.mean(v, axis=(0, 0)), r"axis \(0, 0\) of an array"),
        (lambda v: np.split(v, 3, axis=1), "split of an axis of 4 into 3 equal parts"),
        (lambda v: np.einsum("ij,jk", v, v), r"einsum 'ij,jk' of arrays of"),
        (lambda v: np.tensordot(v, v, 1), "np.tensordot of arrays of shapes"),
        (lambda v: np.cross(v, v), "expected two or three components"),
        (lambda v: np.max(v[:0]), "over no elements"),
        (lambda v: np.average(v, weights=np.ones(3)), "with weights of"),
        (lambda v: np.insert(v, 9, 1.0, axis=0), "index 9 is out of bounds"),
        (lambda v: np.pad(v, -1), "negative width"),
        (lambda v: np.block([[v], v]), "not alike deep"),
        (lambda v: np.broadcast_arrays(v, np.ones(3)), "shape mismatch"),
        (lambda v: np.array_split(v, 0), "sections must be larger than 0"),
        (lambda v: np.repeat(v, -1), "np.repeat of -1 times"),
        (lambda v: np.roll(v, 1, axis=5), "axis 5 of an array"),
        (lambda v: np.outer(v, v).reshape(7), "144 elements cannot have the shape 7"),
    ],
)
def test_shapes_that_do_not_fit(call, message):
    with raises(errors.ShapeError, message):
        call(Value(A))


def test_operand_that_is_not_a_number():
    with raises(errors.ArgumentError, "str 'x' cannot be combined"):
        np.maximum(Value(A), "x")
    with raises(errors.ArgumentError, "an array of <U1 cannot be combined"):
        Value(A) + np.array(["x"])


# --- extremes, crosses, stacks of matrices, index arrays, SciPy's functions -----------------------

TIES = np.array([[1.0, 3.0, 3.0], [2.0, 0.0, -1.0]])


@pytest.mark.parametrize("function", [np.max, np.amax, np.min, np.amin, np.ptp])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_extremes(function, axis, keepdims):
    def loss(x):
        return np.sum(np.sin(function(x, axis=axis, keepdims=keepdims)))

    x = np.random.default_rng(0).standard_normal((3, 4))
    expected = differences(loss, x)
    value, gradient = jitgrad.compile(loss).value_and_grad(x)
    eager = Value(x)
    out = loss(eager)
    out.backward()
    assert value == pytest.approx(loss(x), rel=1e-15)
    assert out.data == pytest.approx(loss(x), rel=1e-15)
    np.testing.assert_allclose(gradient, expected, atol=1e-8)
    np.testing.assert_allclose(eager.grad, expected, atol=1e-8)


def differences(loss, x, step=1e-6):
    found = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[at] += step
        down[at] -= step
        found[at] = (loss(up) - loss(down)) / (2 * step)
    return found


def test_ties_share_the_derivative_of_an_extreme():
    shares = np.array([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])
    value, gradient = jitgrad.compile(lambda x: np.sum(np.max(x, axis=1))).value_and_grad(TIES)
    assert value == 5.0
    np.testing.assert_array_equal(gradient, shares)
    np.testing.assert_array_equal(
        jitgrad.compile(lambda x: np.sum(np.maximum.reduce(x, 1))).grad(TIES), shares
    )
    assert jitgrad.compile(lambda x: np.minimum.reduce(x)[2])(TIES) == -1.0


def test_extremes_of_infinities_and_nothing():
    x = np.array([-np.inf, 1.0, np.inf])
    value, gradient = jitgrad.compile(np.max).value_and_grad(x)
    assert value == np.inf
    np.testing.assert_array_equal(gradient, [0.0, 0.0, 1.0])
    assert np.isnan(jitgrad.compile(np.max)(np.array([1.0, np.nan, 0.0])))
    with pytest.raises(jitgrad.errors.ShapeError, match="over no elements"):
        jitgrad.compile(np.max)(np.zeros(0))


@pytest.mark.parametrize("ranks", [(1, 3), (3, 1), (2, 3), (3, 2), (3, 3), (4, 3), (3, 4), (4, 4)])
def test_stacks_of_matrix_products(ranks):
    shape = (4, 4, 4, 4)  # equal extents: what is laid over what is not seen from the shapes
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(shape[-rank:]) for rank in ranks)

    def loss(a, b):
        return np.sum(np.cos(a @ b))

    value, gradient = jitgrad.compile(loss).value_and_grad(a, b)
    assert value == pytest.approx(loss(a, b), rel=1e-14)
    np.testing.assert_allclose(gradient, differences(lambda a: loss(a, b), a), atol=1e-7)


def test_cross():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 5, 3))
    loss = jitgrad.compile(lambda a: np.sum(np.cross(a, b) ** 2))
    np.testing.assert_allclose(
        loss.grad(a), differences(lambda a: np.sum(np.cross(a, b) ** 2), a), atol=1e-7
    )


@pytest.mark.parametrize(
    "name", ["erf", "erfc", "expit", "ndtr", "logit", "xlogy", "gammaln", "psi"]
)
def test_special_functions(name):
    function = getattr(scipy.special, name)

    def loss(x):
        return np.sum(function(x, x) if name == "xlogy" else function(x))

    x = np.array([0.1, 0.5, 0.9])
    value, gradient = jitgrad.compile(loss).value_and_grad(x)
    assert value == pytest.approx(loss(x), rel=1e-14)
    np.testing.assert_allclose(gradient, differences(loss, x), rtol=1e-8)


PICKS = {
    "an int and an array apart": lambda x, i, j: x[0, :, i],
    "an int and an array together": lambda x, i, j: x[:, 1, i],
    "rows in step": lambda x, i, j: x[np.arange(3), :, i],
    "two in step": lambda x, i, j: x[np.arange(3), i],
    "two given": lambda x, i, j: x[i, j],
    "three": lambda x, i, j: x[i, j, [1, 2, 2]],
    "constants": lambda x, i, j: x[[1, 2, 0], [3, 0, 0], [1, 2, 2]],
    "two constants apart": lambda x, i, j: x[[2, 1], None, [0, 3], ::-1],
    "a column": lambda x, i, j: x[:, :, i[:, None]],
    "an open mesh": lambda x, i, j: x[np.arange(3)[:, None], i[None]],
    "negative": lambda x, i, j: x[[-1, 0, -1]],
    "repeated": lambda x, i, j: x[[0, 0, 0, 1]],
    "backwards": lambda x, i, j: x[np.arange(3)[::-1], np.arange(3), np.arange(3)],
    "nothing": lambda x, i, j: x[np.zeros(0, dtype=int)],
    "a mask": lambda x, i, j: x[np.array([True, False, True])],
}


@pytest.mark.parametrize("name", PICKS)
def test_index_arrays(name):
    rng = np.random.default_rng(3)
    x, i, j = rng.standard_normal((3, 4, 5)), np.array([1, 0, 2]), np.array([3, 1, 1])
    shape = PICKS[name](x, i, j).shape
    weights = rng.standard_normal(shape)

    def loss(x):
        return np.sum(weights * PICKS[name](x, i, j) ** 2)

    value, gradient = jitgrad.compile(loss).value_and_grad(x)
    assert value == pytest.approx(loss(x), rel=1e-13)
    np.testing.assert_allclose(gradient, differences(loss, x), atol=1e-7)

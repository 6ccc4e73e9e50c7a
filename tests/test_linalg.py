"""Linear algebra: values against NumPy, first and second derivatives against mpmath."""

import functools

import mpmath
import numpy as np
import pytest
from mpmath import mp

import jitgrad
from jitgrad import Value
from jitgrad.adjoint import gradient
from jitgrad.call import inputs
from jitgrad.interpreter import run, verify
from jitgrad.pipeline import PASSES
from jitgrad.scipy import linalg
from jitgrad.simplify import prepare
from tests.test_corpus import dotted

RNG = np.random.default_rng(3)
N = 4
A = RNG.normal(size=(N, N)) + 2.0 * np.eye(N)
TALL, WIDE = RNG.normal(size=(5, 3)), RNG.normal(size=(3, 5))
B, W = RNG.normal(size=(N, 2)), RNG.normal(size=(N, N))
RIGHT, LEFT = RNG.normal(size=(5, 5)), RNG.normal(size=5)
LA = np.linalg
STEP = mpmath.mpf(10) ** -15


def weighed(matrix, weights=W):
    return sum(matrix[i, j] * weights[i, j] for i, j in np.ndindex(np.shape(weights)))


def cubes(values, vectors, weights):
    """Something that does not depend on the order and the signs of eigenvectors."""
    total = 0
    for k in range(len(values)):
        squares = sum(weights[i] * vectors[i, k] ** 2 for i in range(len(weights)))
        total += values[k] ** 3 + values[k] * squares
    return total


def positive(a):
    return a @ a.T + np.eye(len(a))


def mp_positive(a):
    return a * a.T + mpmath.eye(a.rows)


def mp_symmetric(a):
    values, vectors = mpmath.eigsy(a + a.T)
    return cubes(values, vectors, W[0])


def mp_eig(a):
    values, vectors = mpmath.eig(a)
    for k in range(a.rows):
        size = mpmath.sqrt(sum(abs(vectors[i, k]) ** 2 for i in range(a.rows)))
        phase = vectors[0, k] / abs(vectors[0, k])
        for i in range(a.rows):
            vectors[i, k] = mpmath.re(vectors[i, k] / size / phase)
    return cubes([mpmath.re(value) for value in values], vectors, W[0])


def mp_svd(a):
    u, s, v = mpmath.svd_r(a)
    return cubes(s, u, LEFT[: a.rows]) + cubes(s, v.T, RIGHT[0, : a.cols])


def by_svd(a):
    u, s, vt = LA.svd(a, full_matrices=False)
    return cubes(s, u, LEFT[: a.shape[0]]) + cubes(s, vt.T, RIGHT[0, : a.shape[1]])


def mp_svdvals(a):
    return list(mpmath.svd_r(a, compute_uv=False))


def mp_lower(a):
    return mpmath.matrix(a.rows, a.cols) + mpmath.matrix(
        [[a[i, j] if j <= i else 0 for j in range(a.cols)] for i in range(a.rows)]
    )


def mp_qr(a):
    q, r = mpmath.qr(a, mode="skinny")
    squares = lambda m: m.apply(lambda x: x**2)  # noqa: E731 - signs are a matter of choice
    k = min(a.rows, a.cols)
    weights = RIGHT[: a.rows, :k], RIGHT[:k, : a.cols]
    return weighed(squares(q), weights[0]) + weighed(squares(r), weights[1])


def mp_qr_wide(a):
    """Q and the first columns of R are those of the square part."""
    q, r = mpmath.qr(a[:, : a.rows], mode="skinny")
    r = mpmath.inverse(q) * a
    squares = lambda m: m.apply(lambda x: x**2)  # noqa: E731
    return weighed(squares(q), RIGHT[:3, :3]) + weighed(squares(r), RIGHT[:3])


def by_qr(a):
    q, r = LA.qr(a)
    return np.sum(q**2 * RIGHT[: q.shape[0], : q.shape[1]]) + np.sum(
        r**2 * RIGHT[: r.shape[0], : r.shape[1]]
    )


def mp_pinv(a):
    if a.rows >= a.cols:
        return mpmath.inverse(a.T * a) * a.T
    return a.T * mpmath.inverse(a * a.T)


CASES = {
    "solve": (
        lambda a: np.sum(LA.solve(a, B) * B),
        lambda a: weighed(mpmath.inverse(a) * mp_of(B), B),
        A,
    ),
    "solve a vector": (
        lambda a: np.sum(LA.solve(a, a[0] * B[:, 0]) ** 2),
        lambda a: (
            mpmath.norm(mpmath.lu_solve(a, mp_of([[a[0, i] * B[i, 0]] for i in range(N)]))) ** 2
        ),
        A,
    ),
    "inv": (lambda a: np.sum(LA.inv(a) * W), lambda a: weighed(mpmath.inverse(a)), A),
    "det": (LA.det, mpmath.det, A),
    "slogdet": (lambda a: LA.slogdet(a)[1], lambda a: mpmath.log(abs(mpmath.det(a))), A),
    "cholesky": (
        lambda a: np.sum(LA.cholesky(positive(a)) * W),
        lambda a: weighed(mpmath.cholesky(mp_positive(a))),
        A,
    ),
    "eigh": (lambda a: cubes(*LA.eigh(a + a.T), W[0]), mp_symmetric, A),
    "eigvalsh": (
        lambda a: np.sum(LA.eigvalsh(a + a.T) ** 3),
        lambda a: sum(value**3 for value in mpmath.eigsy(a + a.T, eigvals_only=True)),
        A,
    ),
    "eig": (lambda a: cubes(*LA.eig(a), W[0]), mp_eig, np.diag([1.0, 2.0, 4.0, 7.0]) + 0.1 * W),
    "svd": (by_svd, mp_svd, A),
    "svd of a tall one": (by_svd, mp_svd, TALL),
    "svd of a wide one": (by_svd, mp_svd, WIDE),
    "qr": (by_qr, mp_qr, A),
    "qr of a tall one": (by_qr, mp_qr, TALL),
    "qr of a wide one": (by_qr, mp_qr_wide, WIDE),
    "pinv": (lambda a: np.sum(LA.pinv(a) * WIDE), lambda a: weighed(mp_pinv(a), WIDE), TALL),
    "pinv of a wide one": (
        lambda a: np.sum(LA.pinv(a) * TALL),
        lambda a: weighed(mp_pinv(a), TALL),
        WIDE,
    ),
    "lstsq": (
        lambda a: np.sum(LA.lstsq(a, RIGHT[:, :2])[0] * WIDE[:, :2]),
        lambda a: weighed(mp_pinv(a) * mp_of(RIGHT[:, :2]), WIDE[:, :2]),
        TALL,
    ),
    "norm": (LA.norm, lambda a: mpmath.mnorm(a, "f"), WIDE),
    "largest singular value": (lambda a: LA.norm(a, 2), lambda a: max(mp_svdvals(a)), TALL),
    "smallest singular value": (lambda a: LA.norm(a, -2), lambda a: min(mp_svdvals(a)), A),
    "nuclear norm": (lambda a: LA.norm(a, "nuc"), lambda a: sum(mp_svdvals(a)), WIDE),
    "cond": (LA.cond, lambda a: max(mp_svdvals(a)) / min(mp_svdvals(a)), A),
    "vector norm": (
        lambda a: np.sum(LA.norm(a, 2.5, axis=1)),
        lambda a: sum(
            sum(abs(part) ** 2.5 for part in a[i, :]) ** mpmath.mpf(0.4) for i in range(a.rows)
        ),
        A,
    ),
    "expm": (
        lambda a: np.sum(linalg.expm(a[:2, :2]) * B[:2]),
        lambda a: weighed(mpmath.expm(a[:2, :2]), B[:2]),
        A,
    ),
    "solve_triangular": (
        lambda a: np.sum(linalg.solve_triangular(a, B, lower=True) * B),
        lambda a: weighed(mpmath.inverse(mp_lower(a)) * mp_of(B), B),
        A,
    ),
    "matrix_power": (lambda a: np.sum(LA.matrix_power(a, 5) * W), lambda a: weighed(a**5), A),
    "negative power": (
        lambda a: np.sum(LA.matrix_power(a, -2) * W),
        lambda a: weighed(mpmath.inverse(a) ** 2),
        A,
    ),
}


def mp_of(matrix):
    return mpmath.matrix(np.asarray(matrix).tolist() if isinstance(matrix, np.ndarray) else matrix)


def mp_derivatives(function, at, direction):
    """The value and the first two derivatives along a direction, to more than 20 digits."""
    with mp.workdps(60):
        ends = [
            function(mp_of(at) + step * mp_of(direction)) for step in (-STEP, mpmath.mpf(0), STEP)
        ]
        first = (ends[2] - ends[0]) / (2 * STEP)
        second = (ends[2] - 2 * ends[1] + ends[0]) / STEP**2
        return float(ends[1]), float(first), float(second)


def lowered(function, at):
    """The Program of a function of one array, and what its inputs hold."""
    bound, traced = jitgrad.compile(function)._trace((at,), {})
    names = [argument.buffer for argument in traced.arguments]
    return prepare(traced.program), dict(zip(names, inputs(bound, traced), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_value_and_derivatives(name):
    function, exact, at = CASES[name]
    direction = np.random.default_rng(1).normal(size=at.shape)
    value, first, second = mp_derivatives(exact, at, direction)
    assert function(at) == pytest.approx(value, rel=1e-12)
    x = Value(at)
    eager = function(x)
    eager.backward()
    assert eager.data == pytest.approx(value, rel=1e-12)
    assert np.sum(x.grad * direction) == pytest.approx(first, rel=1e-12)
    program, given = lowered(function, at)
    slopes = gradient(program, ["in1"])
    optimised = functools.reduce(lambda made, step: step(made), PASSES, slopes)
    for made in (slopes, optimised):
        found = run(made, given)
        assert found.value == pytest.approx(value, rel=1e-12)
        assert np.sum(found.buffers["grad_in1"] * direction) == pytest.approx(first, rel=1e-12)
    again = verify(gradient(dotted(slopes, "in1", direction), ["in1"]))
    curvature = run(again, given).buffers["grad2_in1"]
    assert np.sum(curvature * direction) == pytest.approx(second, rel=1e-11)


def many_routines(a):
    return (
        np.sum(LA.solve(a, B) * B)
        + np.sum(LA.svdvals(a[:3]) ** 3)
        + np.sum(LA.cholesky(positive(a)) * W)
        + np.sum(np.sort(a, axis=None) * np.arange(16.0))
        + np.max(a[np.argmax(a, axis=0), np.arange(4)])
    )


def test_many_routines_in_one_kernel():
    value, slopes = jitgrad.compile(many_routines).value_and_grad(A)
    assert value == pytest.approx(many_routines(A), rel=1e-12)
    x = Value(A)
    many_routines(x).backward()
    np.testing.assert_allclose(slopes, x.grad, rtol=1e-11, atol=1e-11)


# --- where there is no derivative, or no result --------------------------------------------------


def test_functions_of_equal_eigenvalues_have_derivatives():
    def spread(a):
        return np.sum(LA.eigvalsh(a) ** 3) + np.log(LA.eigh(a)[1][0, 0] ** 2)

    a = np.diag([1.0, 2.0, 2.0])  # the first vector belongs to a single eigenvalue
    _, slopes = jitgrad.compile(spread).value_and_grad(a)
    np.testing.assert_allclose(slopes, np.diag([3.0, 12.0, 12.0]), rtol=1e-12, atol=1e-14)


def an_element(a):
    return LA.eigh(a)[1][0, 0] + LA.eigh(a)[1][1, 0] * 2.0


def an_exponential(a):
    """It has a derivative, but not by way of the vectors: the gap is 0."""
    values, vectors = LA.eigh(a)
    return np.sum((vectors * np.exp(values)) @ vectors.T)


@pytest.mark.parametrize("function", [an_element, an_exponential])
@pytest.mark.parametrize("gap", [0.0, 1e-12])
@pytest.mark.parametrize("eager", [True, False])
def test_eigenvectors_of_equal_eigenvalues_have_none(function, gap, eager):
    a = np.diag([1.0, 1.0 + gap, 2.0])
    with pytest.raises(LA.LinAlgError, match="there twice have no derivative"):
        if eager:
            function(Value(a)).backward()
        else:
            jitgrad.compile(function).grad(a)


def slope_of_norm(at, order):
    x = Value(at)
    LA.norm(x, order).backward()
    return x.grad


@pytest.mark.parametrize("order", [2, -2, "nuc"])
def test_norms_of_nothing_have_the_derivative_0(order):
    assert not np.any(slope_of_norm(np.zeros((3, 2)), order))


def test_norms_of_a_matrix_of_rank_one():
    direction = np.outer(A[0] / LA.norm(A[0]), A[1] / LA.norm(A[1]))
    for order, expected in ((2, direction), ("nuc", direction), (-2, 0.0 * direction)):
        slope = slope_of_norm(np.outer(A[0], A[1]), order)
        np.testing.assert_allclose(slope, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("order", "dual"), [(2, "nuc"), ("nuc", 2), (-2, "nuc")])
def test_norms_of_equal_singular_values_have_a_subgradient(order, dual):
    at = 3.0 * LA.qr(A)[0]
    slope = slope_of_norm(at, order)
    assert np.sum(slope * at) == pytest.approx(LA.norm(at, order), rel=1e-12)
    assert LA.norm(slope, dual) == pytest.approx(1.0, rel=1e-12)


def test_condition_numbers_of_singular_matrices_are_infinite():
    assert LA.cond(Value(np.diag([1.0, 0.0]))).data == np.inf


def test_the_determinant_of_a_singular_matrix_has_its_cofactors():
    a = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 1.0, 1.0]])
    value, slopes = jitgrad.compile(LA.det).value_and_grad(a)
    cofactors = [
        [(-1) ** (i + j) * LA.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(3)]
        for i in range(3)
    ]
    assert value == pytest.approx(0.0, abs=1e-15)
    np.testing.assert_allclose(slopes, cofactors, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "function, at, message",
    [
        (lambda a: np.sum(LA.inv(a)), np.ones((2, 2)), "Singular matrix"),
        (lambda a: np.sum(LA.cholesky(a)), -np.eye(2), "not positive definite"),
        (lambda a: np.sum(LA.eigvals(a)), np.array([[0.0, 1.0], [-1.0, 0.0]]), "are complex"),
        (lambda a: np.sum(LA.svdvals(a)), np.full((2, 2), np.nan), "infs or NaNs"),
    ],
)
def test_what_has_no_result_raises_as_in_numpy(function, at, message):
    with pytest.raises(LA.LinAlgError, match=message):
        jitgrad.compile(function).value_and_grad(at)


def test_a_computed_index_is_checked():
    def taken(x):
        return np.sum(x[np.floor(x).astype(int)])

    fun = jitgrad.compile(taken)
    assert fun(np.array([0.5, 1.5, -0.5])) == 0.5 + 1.5 - 0.5
    with pytest.raises(IndexError, match="outside of its axis"):
        fun(np.array([0.5, 3.0, 1.0]))


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda a: LA.solve(a, np.ones(3)), "expected b to have 4 rows"),
        (lambda a: LA.inv(a[:2]), "expected a square matrix"),
        (lambda a: LA.svd(a[:2]), "Write full_matrices=False"),
        (lambda a: LA.qr(a[:, :2], mode="complete"), "Write mode='reduced'"),
    ],
)
def test_shapes_that_do_not_fit(function, message):
    for call in (lambda: function(Value(A)), lambda: jitgrad.compile(function)(A)):
        with pytest.raises(jitgrad.JitgradError, match=message) as caught:
            call()
        assert "test_linalg.py" in str(caught.value)

"""Linear algebra: values against NumPy, first and second derivatives against mpmath."""

import mpmath
import numpy as np
import pytest
from mpmath import mp

import jitgrad
from jitgrad import Value
from jitgrad.adjoint import gradient
from jitgrad.interpreter import run, verify
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


def printed(low):
    """The generated source in CPython."""
    namespace = {}
    exec(low.source, namespace)
    return namespace[low.kernel.__name__]


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
    low = jitgrad.compile(function).lower(at)
    given, slopes = [at, *low.captured_arrays()], np.full(at.shape, np.nan)
    found = printed(low)(*given, slopes)
    assert found == pytest.approx(value, rel=1e-12)
    assert np.sum(slopes * direction) == pytest.approx(first, rel=1e-12)
    np.testing.assert_allclose(slopes, x.grad, rtol=1e-11, atol=1e-12 * abs(first))
    program = dotted(gradient(prepare(low.program), ["in1"]), "in1", direction)
    again = verify(gradient(program, ["in1"]))
    names = [k for k, b in again.buffers.items() if b.kind == "input" and b.views is None]
    curvature = run(again, dict(zip(names, given, strict=True))).buffers["grad2_in1"]
    assert np.sum(curvature * direction) == pytest.approx(second, rel=1e-11)

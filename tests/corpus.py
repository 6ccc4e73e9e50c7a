"""Losses as people write them: what the tests, the snapshots and the docs share.

A function stands in `CASES` with sample arguments; where its value has an independent formula, that
stands there too. Nothing below knows of jitgrad but `erf` and `stop`, which have no NumPy name.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.signal
import scipy.spatial
import scipy.special
import scipy.stats
from numpy.random import default_rng

from jitgrad import Value


class Case(NamedTuple):
    """One loss.

    Parameters
    ----------
    name : str
    fun : callable
    args : tuple
        Sample arguments.
    argnums : int or tuple of int
        Which of them the gradient is taken in.
    reference : callable or None
        Another way to the same value, from the same arguments.
    has_aux : bool
        Whether the function returns a loss and something else.
    analytic : bool
        Whether it also runs on complex numbers, so that a complex step gives the gradient.
    loops : bool
        Whether every operation is on scalars and rounds alike in NumPy and in a kernel.
    peer : bool
        Whether HIPS autograd differentiates it.
    detached : bool
        Whether it stops a gradient, so that the gradient is not that of the value.
    """

    name: str
    fun: Callable[..., Any]
    args: tuple[Any, ...]
    argnums: int | tuple[int, ...] = 0
    reference: Callable[..., Any] | None = None
    has_aux: bool = False
    analytic: bool = True
    loops: bool = False
    peer: bool = False
    detached: bool = False

    @property
    def chosen(self) -> tuple[int, ...]:
        """The differentiated arguments."""
        return (self.argnums,) if isinstance(self.argnums, int) else self.argnums


CASES: dict[str, Case] = {}


def case(*args, **more):
    """Put a function into the corpus."""

    def add(fun):
        CASES[fun.__name__] = Case(fun.__name__, fun, args, **more)
        return fun

    return add


def erf(v):
    """The error function, which NumPy has not."""
    return v.erf() if isinstance(v, Value) else math.erf(v)


def stop(v):
    """A number without its derivative."""
    return v.data if isinstance(v, Value) else v


def normal(seed, *shape):
    """Normal numbers."""
    return default_rng(seed).normal(size=shape)


def uniform(seed, low, high, *shape):
    """Uniform numbers."""
    return default_rng(seed).uniform(low, high, shape)


def labels(seed, *shape):
    """Plus and minus ones."""
    return default_rng(seed).choice([-1.0, 1.0], shape)


def spd(seed, n):
    """A symmetric positive definite matrix."""
    root = normal(seed, n, n)
    return root @ root.T + n * np.eye(n)


# --- sums over elements --------------------------------------------------------------------------


@case(
    normal(1, 6),
    0.7,
    argnums=(0, 1),
    reference=lambda c, x: np.polyval(c, x),
    loops=True,
    peer=True,
)
def horner(c, x):
    total = 0.0
    for a in c:
        total = total * x + a
    return total


@case(normal(2, 7), normal(3, 7), argnums=(0, 1), reference=np.dot, loops=True, peer=True)
def dot_product(x, y):
    total = 0.0
    for i in range(len(x)):
        total += x[i] * y[i]
    return total


@case(normal(4, 9), reference=np.var, loops=True, peer=True)
def variance(x):
    mean = sum(x) / len(x)
    return sum((a - mean) ** 2 for a in x) / len(x)


@case(normal(5, 8), reference=lambda x: scipy.special.logsumexp(x), analytic=False)
def log_sum_exp(x):
    top = x[0]
    for a in x:
        top = np.maximum(top, a)
    total = 0.0
    for a in x:
        total += np.exp(a - top)
    return top + np.log(total)


@case(uniform(6, 0.5, 1.5, 6), reference=lambda x: np.sum(np.cumprod(x)), loops=True, peer=True)
def cumulative_products(x):
    product, total = 1.0, 0.0
    for a in x:
        product = product * a
        total = total + product
    return total


@case(
    normal(7, 11),
    reference=lambda x: sum(np.sum(x[a:b]) ** 2 for a, b in ((0, 3), (3, 4), (4, 9), (9, 11))),
    loops=True,
    peer=True,
)
def ragged_segments(x):
    total = 0.0
    first = 0
    for length in [3, 1, 5, 2]:
        segment = 0.0
        for i in range(first, first + length):
            segment += x[i]
        total += segment * segment
        first += length
    return total


@case(normal(8, 5), reference=lambda x: 3.0 * x[0] + 1.5, loops=True, peer=True)
def zero_trips(x):
    total = 1.5
    for i in range(len(x), 3):
        total += x[i] * x[i]
    for i in range(len(x)):
        for j in range(i, 0):
            total += x[i] * x[j]
    return total + 3.0 * x[0]


# --- regression and classification ---------------------------------------------------------------


@case(
    normal(10, 4),
    normal(11, 12, 4),
    labels(12, 12),
    reference=lambda w, X, y: np.mean(np.logaddexp(0.0, -y * (X @ w))),
    peer=True,
)
def logistic_loop(w, X, y):
    total = 0.0
    for i in range(len(y)):
        score = 0.0
        for j in range(len(w)):
            score += w[j] * X[i, j]
        total += np.log1p(np.exp(-y[i] * score))
    return total / len(y)


@case(
    normal(10, 4),
    0.3,
    normal(11, 12, 4),
    labels(12, 12),
    argnums=(0, 1),
    reference=lambda w, b, X, y: -np.mean(scipy.special.log_expit(y * (X @ w + b))),
    analytic=False,
    peer=True,
)
def logistic_array(w, b, X, y):
    return np.mean(np.logaddexp(0.0, -y * (X @ w + b)))


def log_softmax(scores):
    """The logarithms of probabilities, from scores."""
    total = 0.0
    for score in scores:
        total += np.exp(score)
    return [score - np.log(total) for score in scores]


def _cross_entropy(W, X, y):
    return -np.mean(scipy.special.log_softmax(X @ W, axis=1)[np.arange(len(y)), y])


@case(
    normal(13, 3, 4),
    normal(14, 6, 3),
    [0, 3, 1, 2, 2, 0],
    reference=_cross_entropy,
    peer=True,
)
def softmax_cross_entropy(W, X, y):
    total = 0.0
    for i in range(len(X)):
        scores = []
        for c in range(W.shape[1]):
            score = 0.0
            for j in range(W.shape[0]):
                score += X[i, j] * W[j, c]
            scores.append(score)
        total -= log_softmax(scores)[y[i]]
    return total / len(X)


def _mlp(params, X, y):
    hidden = np.tanh(np.einsum("ni,ih->nh", X, params["W1"]) + params["b1"])
    return np.average((np.einsum("nh,h->n", hidden, params["w2"]) + params["b2"] - y) ** 2)


MLP = {"W1": normal(15, 3, 5), "b1": normal(16, 5), "w2": normal(17, 5), "b2": 0.1}


@case(MLP, normal(18, 8, 3), normal(19, 8), reference=_mlp, peer=True)
def mlp(params, X, y):
    h = np.tanh(X @ params["W1"] + params["b1"])
    residual = h @ params["w2"] + params["b2"] - y
    return np.mean(residual**2)


LAYERS = {
    "layers": [(normal(20, 4, 3), normal(21, 4)), (normal(22, 2, 4), normal(23, 2))],
    "scale": np.array(0.5),
}


@case(LAYERS, normal(24, 3), peer=True)
def nested_containers(model, x):
    h = x
    for W, b in model["layers"]:
        h = np.tanh(W @ h + b)
    return model["scale"] * np.sum(h * h)


@case(
    normal(25, 4),
    normal(26, 9, 4),
    labels(27, 9),
    reference=lambda w, X, y: np.mean(np.clip(1.0 - y * (X @ w), 0.0, None)) + 0.01 * w @ w,
    analytic=False,
    peer=True,
)
def max_margin(w, X, y):
    losses = np.maximum(0.0, 1.0 - y * (X @ w))
    return np.sum(losses) / len(losses) + 0.01 * np.sum(w * w)


@case(
    normal(28, 3),
    normal(29, 10, 3),
    2.0 * normal(30, 10),
    reference=lambda w, X, y: np.sum(scipy.special.huber(0.8, X @ w - y)),
    analytic=False,
    peer=True,
)
def huber(w, X, y):
    r = X @ w - y
    small = np.abs(r) < 0.8
    return np.sum(np.where(small, 0.5 * r * r, 0.8 * (np.abs(r) - 0.4)))


GRID = np.linspace(-1.0, 1.0, 9)
RIDGE = 0.05


@case(
    normal(31, 4),
    normal(32, 9),
    reference=lambda c, y: np.mean((np.polyval(c[::-1], GRID) - y) ** 2) + RIDGE * np.dot(c, c),
    peer=True,
)
def polynomial_regression(c, y):
    total = 0.0
    for i in range(len(y)):
        fitted = 0.0
        power = 1.0
        for a in c:
            fitted += a * power
            power *= GRID[i]
        total += (fitted - y[i]) ** 2
    return total / len(y) + RIDGE * sum(a * a for a in c)


@case(
    normal(33, 2),
    normal(34, 7, 2),
    np.array([0.0, 2.0, 1.0, 5.0, 0.0, 3.0, 1.0]),
    reference=lambda w, X, y: np.sum(X @ w * -y + (y + 2.0) * np.log(1.0 + np.exp(X @ w))),
    peer=True,
)
def negative_binomial(w, X, y):
    eta = X @ w
    return np.sum((y + 2.0) * np.log1p(np.exp(eta)) - y * eta)


@case(
    normal(35, 6, 3),
    np.array([2, 0, 5, 2, 1]),
    normal(36, 5, 3),
    reference=lambda E, index, target: np.sum((np.take(E, index, axis=0) - target) ** 2),
)
def embedding(E, index, target):
    return np.sum((E[index] - target) ** 2)


@case(normal(37, 3), normal(38, 5, 3), normal(39, 5), has_aux=True, reference=None)
def with_aux(w, X, y):
    fitted = X @ w
    return np.sum((fitted - y) ** 2), {"fitted": fitted, "largest": fitted[0]}


# --- time series ---------------------------------------------------------------------------------


@case(np.array([0.02, 0.2, 0.1, 0.8]), 0.3 * normal(40, 12), peer=True)
def garch(params, r):
    mu, omega, alpha, beta = params
    h = omega / (1.0 - alpha - beta)
    e = r[0] - mu
    total = np.log(h) + e**2 / h
    for t in range(1, len(r)):
        h = omega + alpha * e**2 + beta * h
        e = r[t] - mu
        total = total + np.log(h) + e**2 / h
    return 0.5 * total


@case(
    np.array([0.1, 0.5, -0.3]),
    normal(41, 14),
    reference=lambda p, x: np.sum((x[2:] - p[0] - p[1] * x[1:-1] - p[2] * x[:-2]) ** 2),
    loops=True,
    peer=True,
)
def ar2(params, x):
    c, a, b = params
    total = 0.0
    for t in range(2, len(x)):
        residual = x[t] - (c + a * x[t - 1] + b * x[t - 2])
        total += residual * residual
    return total


@case(
    0.4,
    -0.3,
    normal(42, 10),
    argnums=(0, 1),
    reference=lambda phi, theta, x: np.sum(scipy.signal.lfilter([1.0, -phi], [1.0, theta], x) ** 2),
    loops=True,
    peer=True,
)
def arma(phi, theta, x):
    errors = [x[0]]
    for t in range(1, len(x)):
        errors.append(x[t] - phi * x[t - 1] - theta * errors[t - 1])
    return sum(e * e for e in errors)


@case(np.log([0.3, 0.5, 1.2]), normal(43, 9), peer=True)
def kalman(log_params, y):
    q, r, p = np.exp(log_params[0]), np.exp(log_params[1]), np.exp(log_params[2])
    mean, loss = 0.0, 0.0
    for observed in y:
        p = p + q
        s = p + r
        innovation = observed - mean
        loss += 0.5 * (np.log(s) + innovation * innovation / s)
        gain = p / s
        mean = mean + gain * innovation
        p = (1.0 - gain) * p
    return loss


@case(
    normal(44, 3),
    normal(45, 10),
    reference=lambda w, x: np.sum(np.convolve(x, w[::-1], "valid") ** 2),
    loops=True,
    peer=True,
)
def convolution(w, x):
    total = 0.0
    for i in range(len(x) - len(w) + 1):
        s = 0.0
        for k in range(len(w)):
            s += w[k] * x[i + k]
        total += s * s
    return total


# --- differential equations ----------------------------------------------------------------------


def rates(u, v, p):
    """Lotka and Volterra's predators and prey."""
    return p[0] * u - p[1] * u * v, p[2] * u * v - p[3] * v


@case(np.array([1.0, 0.9, 0.8, 1.0, 1.8, 1.2]), uniform(46, 0.8, 1.4, 8, 2), loops=True, peer=True)
def rk4(params, data):
    u, v = params[4], params[5]
    h = 0.05
    total = 0.0
    for t in range(len(data)):
        k1, l1 = rates(u, v, params)
        k2, l2 = rates(u + 0.5 * h * k1, v + 0.5 * h * l1, params)
        k3, l3 = rates(u + 0.5 * h * k2, v + 0.5 * h * l2, params)
        k4, l4 = rates(u + h * k3, v + h * l3, params)
        u = u + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        v = v + h / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)
        total = total + (u - data[t, 0]) ** 2 + (v - data[t, 1]) ** 2
    return total / len(data)


@case(np.array([1.0, 0.2]), 1.7, argnums=(0, 1), peer=True)
def leapfrog(start, k):
    q, p = start
    dt = 0.1
    p = p - 0.5 * dt * k * np.sin(q)
    for _ in range(9):
        q = q + dt * p
        p = p - dt * k * np.sin(q)
    q = q + dt * p
    p = p - 0.5 * dt * k * np.sin(q)
    return 0.5 * p * p - k * np.cos(q)


@case(
    0.5 * normal(47, 3, 3),
    normal(48, 3),
    argnums=(0, 1),
    reference=lambda A, y: np.sum((np.linalg.matrix_power(np.eye(3) + 0.1 * A, 6) @ y - 1.0) ** 2),
    peer=True,
)
def euler_arrays(A, y):
    for _ in range(6):
        y = y + 0.1 * (A @ y)
    return np.sum((y - 1.0) ** 2)


@case(normal(49, 7), 0.2, argnums=(0, 1), loops=True, peer=True)
def heat_equation(start, k):
    u = list(start)
    n = len(u)
    for _ in range(4):
        inner = [u[i] + k * (u[i - 1] - 2.0 * u[i] + u[i + 1]) for i in range(1, n - 1)]
        u = [u[0], *inner, u[-1]]
    return sum(a * a for a in u)


# --- particles and graphs ------------------------------------------------------------------------

POINTS = 1.2 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]) + 0.1 * normal(
    50, 5, 3
)


def _lennard_jones(x):
    i, j = np.triu_indices(len(x), 1)
    s6 = np.sum((x[i] - x[j]) ** 2, axis=1) ** -3.0
    return np.sum(4.0 * (s6**2 - s6))


@case(POINTS, reference=_lennard_jones, peer=True)
def lennard_jones(x):
    energy = 0.0
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            dx = x[i, 0] - x[j, 0]
            dy = x[i, 1] - x[j, 1]
            dz = x[i, 2] - x[j, 2]
            s6 = 1.0 / (dx * dx + dy * dy + dz * dz) ** 3
            energy = energy + 4.0 * (s6 * s6 - s6)
    return energy


@case(POINTS, reference=_lennard_jones, peer=True)
def lennard_jones_lower(x):
    energy = 0.0
    for i in range(len(x)):
        for j in range(i):
            r2 = 0.0
            for d in range(3):
                r2 += (x[i, d] - x[j, d]) ** 2
            s6 = r2**-3
            energy += 4.0 * (s6 * s6 - s6)
    return energy


@case(
    normal(51, 5, 2),
    reference=lambda x: np.sum(np.triu(1.0 / (1.0 + scipy.spatial.distance.cdist(x, x)), 1)) * 2.0,
    peer=True,
)
def all_pairs(x):
    energy = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            if i != j:
                dx = x[i, 0] - x[j, 0]
                dy = x[i, 1] - x[j, 1]
                energy += 1.0 / (1.0 + np.sqrt(dx * dx + dy * dy))
    return energy


def _gravity(x, m):
    i, j = np.triu_indices(len(m), 1)
    return -np.sum(m[i] * m[j] / np.sqrt(np.sum((x[i] - x[j]) ** 2, axis=1) + 0.01))


@case(normal(52, 4, 3), uniform(53, 0.5, 2.0, 4), argnums=(0, 1), reference=_gravity)
def gravity(x, m):
    energy = 0.0
    for i in range(len(m)):
        for j in range(i + 1, len(m)):
            r = np.array([x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]])
            energy = energy - m[i] * m[j] / np.sqrt(r @ r + 0.01)
    return energy


EDGES = [(0, 3), (1, 2), (2, 5), (0, 4), (3, 5), (1, 4), (2, 4)]


@case(
    normal(54, 6),
    EDGES,
    reference=lambda x, edges: np.sum(np.diff(x[np.array(edges)], axis=1) ** 2),
    loops=True,
    peer=True,
)
def graph_energy(x, edges):
    energy = 0.0
    for a, b in edges:
        energy += (x[b] - x[a]) ** 2
    return energy


# --- linear algebra by loops ---------------------------------------------------------------------


@case(
    normal(55, 3, 4),
    normal(56, 4, 2),
    argnums=(0, 1),
    reference=lambda A, B: np.sum((A @ B) ** 2),
    loops=True,
    peer=True,
)
def matmul(A, B):
    total = 0.0
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            c = 0.0
            for k in range(A.shape[1]):
                c = c + A[i, k] * B[k, j]
            total = total + c * c
    return total


@case(
    normal(57, 5),
    spd(58, 5),
    argnums=(0, 1),
    reference=lambda x, A: np.einsum("i,ij,j->", x, A, x),
    loops=True,
    peer=True,
)
def quadratic_form(x, A):
    total = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            total += x[i] * A[i, j] * x[j]
    return total


@case(
    np.tril(normal(59, 5, 5)) + 3.0 * np.eye(5),
    normal(60, 5),
    argnums=(0, 1),
    reference=lambda L, b: np.sum(scipy.linalg.solve_triangular(L, b, lower=True) ** 2),
    loops=True,
    peer=True,
)
def triangular_solve(L, b):
    x = []
    for i in range(len(b)):
        s = b[i]
        for j in range(i):
            s = s - L[i, j] * x[j]
        x.append(s / L[i, i])
    return sum(a * a for a in x)


def cholesky_log_det(A):
    """The logarithm of a determinant."""
    n = len(A)
    L = [[0.0] * n for _ in range(n)]
    total = 0.0
    for i in range(n):
        for j in range(i + 1):
            s = A[i, j]
            for k in range(j):
                s = s - L[i][k] * L[j][k]
            if i == j:
                L[i][i] = np.sqrt(s)
                total = total + 2.0 * np.log(L[i][i])
            else:
                L[i][j] = s / L[j][j]
    return total


for _n in (3, 4, 6):
    CASES[f"cholesky_{_n}"] = Case(
        f"cholesky_{_n}",
        cholesky_log_det,
        (spd(61, _n),),
        reference=lambda A: np.linalg.slogdet(np.tril(A) + np.tril(A, -1).T)[1],
        peer=True,
    )


@case(spd(62, 4), normal(63, 4), peer=True)
def power_iteration(A, v):
    for _ in range(5):
        v = A @ v
        v = v / np.sqrt(np.sum(v * v))
    return v @ (A @ v)


# --- recurrences ---------------------------------------------------------------------------------


@case(uniform(64, -1.2, 1.2, 6), reference=scipy.optimize.rosen, loops=True, peer=True)
def rosenbrock_loop(x):
    total = 0.0
    for i in range(len(x) - 1):
        total = total + 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


@case(uniform(64, -1.2, 1.2, 6), reference=scipy.optimize.rosen, peer=True)
def rosenbrock_slices(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


@case(
    normal(65, 7),
    0.3,
    argnums=(0, 1),
    reference=lambda c, x: np.polynomial.chebyshev.chebval(x, c),
    loops=True,
    peer=True,
)
def chebyshev(c, x):
    before, now = 1.0, x
    total = c[0] + c[1] * x
    for n in range(2, len(c)):
        before, now = now, 2.0 * x * now - before
        total = total + c[n] * now
    return total


@case(uniform(66, 0.5, 2.0, 6), 1.3, argnums=(0, 1), loops=True, peer=True)
def continued_fraction(a, x):
    value = a[-1]
    for k in range(len(a) - 2, -1, -1):
        value = a[k] + x / value
    return value


@case(2.7, reference=np.sqrt, loops=True, peer=True)
def newton_root(a):
    x = a
    for _ in range(7):
        x = 0.5 * (x + a / x)
    return x


# --- finance -------------------------------------------------------------------------------------


def normal_cdf(x):
    """The normal distribution function."""
    return 0.5 * (1.0 + erf(x / 2.0**0.5))


def _black_scholes(spot, strike, rate, sigma, time):
    d1 = (np.log(spot / strike) + (rate + 0.5 * sigma**2) * time) / (sigma * np.sqrt(time))
    d2 = d1 - sigma * np.sqrt(time)
    discounted = strike * np.exp(-rate * time)
    return spot * scipy.stats.norm.cdf(d1) - discounted * scipy.stats.norm.cdf(d2)


@case(100.0, 95.0, 0.03, 0.2, 0.75, argnums=(0, 2, 3, 4), reference=_black_scholes, analytic=False)
def black_scholes(spot, strike, rate, sigma, time):
    total = sigma * np.sqrt(time)
    d1 = (np.log(spot / strike) + (rate + 0.5 * sigma**2) * time) / total
    d2 = d1 - total
    return spot * normal_cdf(d1) - strike * np.exp(-rate * time) * normal_cdf(d2)


def _binomial_tree(spot, sigma):
    n, dt = 5, 0.2
    up = np.exp(sigma * np.sqrt(dt))
    p = (np.exp(0.02 * dt) - 1.0 / up) / (up - 1.0 / up)
    k = np.arange(n + 1)
    payoff = np.maximum(spot * up ** (2.0 * k - n) - 100.0, 0.0)
    return np.exp(-0.02 * n * dt) * np.sum(scipy.stats.binom.pmf(k, n, p) * payoff)


@case(101.0, 0.3, argnums=(0, 1), reference=_binomial_tree, analytic=False, peer=True)
def binomial_tree(spot, sigma):
    n, dt = 5, 0.2
    up = np.exp(sigma * dt**0.5)
    down = 1.0 / up
    p = (np.exp(0.02 * dt) - down) / (up - down)
    discount = np.exp(-0.02 * dt)
    values = [np.maximum(spot * up ** (2 * k - n) - 100.0, 0.0) for k in range(n + 1)]
    while len(values) > 1:
        values = [
            discount * (p * high + (1.0 - p) * low) for low, high in itertools.pairwise(values)
        ]
    return values[0]


# --- edges of what one can write -----------------------------------------------------------------


@case(1.3, 0.4, argnums=(0, 1), reference=lambda a, b: math.sin(a * b) + a / b, peer=True)
def scalars_only(a, b):
    return np.sin(a * b) + a / b


@case(normal(67, 4), reference=lambda x: 2.5, peer=False)
def constants_only(x):
    return 1.5 + 1.0


@case(normal(68, 3), normal(69, 4), 0.7, argnums=(0, 1, 2), reference=lambda x, y, a: np.sum(x))
def unused_arguments(x, y, a):
    return np.sum(x)


@case(normal(70, 5), reference=lambda x: np.sum(x * x), detached=True)
def detached(x):
    return np.sum(x * stop(x))


@case(normal(71, 4), reference=lambda x: x[2], loops=True, peer=True)
def one_element(x):
    return x[2]


@case(normal(72, 3, 3), reference=lambda A: np.sum(A * A.T) + np.trace(A @ A), peer=True)
def transposed(A):
    total = 0.0
    for i in range(3):
        for j in range(3):
            total += A[i, j] * A[j, i]
    return total + np.sum(A.T * A)

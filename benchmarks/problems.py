"""The losses, as a user would write them, and their data: no jitgrad in this file.

Each loss is ordinary Python over NumPy: loops where a person would write a loop, slices where they
would write slices. The data are the same in every run.

>>> rosenbrock_slices(np.ones(5))
np.float64(0.0)
"""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

TIME_STEP = 0.01  # of the Runge-Kutta steps, in the time unit of the rate parameters
WEIGHT_DECAY = 1e-4  # micrograd's L2 factor
TRUE_PARAMETERS = (0.30, 0.08, 0.85)  # omega, alpha, beta that the GARCH returns are drawn with


class Problem(NamedTuple):
    """One loss with the data it is measured on.

    Attributes
    ----------
    name : str
        Its row in the table.
    fun : callable
        The loss, returning one number.
    args : tuple
        The arguments of `fun`, arrays of float64.
    argnums : int or tuple of int
        Which of them the gradient is taken in.
    tolerance : float
        Largest error of value and gradient, relative to the largest entry.
    """

    name: str
    fun: Callable[..., Any]
    args: tuple[Any, ...]
    argnums: int | tuple[int, ...] = 0
    tolerance: float = 1e-10


# -- micrograd's demo ---------------------------------------------------------------------------


def moons_data() -> tuple[np.ndarray, np.ndarray]:
    """Return the 100 points (100, 2) and their labels in {-1, 1} (100,) of micrograd's demo."""
    from sklearn.datasets import make_moons

    points, labels = make_moons(n_samples=100, noise=0.1, random_state=1337)
    return points, labels * 2 - 1


def moons_model(MLP: Callable[..., Any]) -> Any:
    """Build the demo's 2-16-16-1 network, 337 parameters, from `random.seed(1337)`."""
    random.seed(1337)
    return MLP(2, [16, 16, 1])


def moons_scores(model: Any, Value: Callable[..., Any], X: Any) -> list[Any]:
    """Run the network on every row of `X`, one Value at a time."""
    inputs = [list(map(Value, xrow)) for xrow in X]
    return list(map(model, inputs))


def max_margin(model: Any, scores: list[Any], y: Any) -> Any:
    """Mean hinge loss of the scores plus the L2 penalty of the parameters."""
    losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(y, scores, strict=True)]
    data_loss = sum(losses) * (1.0 / len(losses))
    reg_loss = WEIGHT_DECAY * sum(p * p for p in model.parameters())
    return data_loss + reg_loss


def moons_loss(model: Any, Value: Callable[..., Any]) -> Callable[..., Any]:
    """Make the demo's loss of (X, y), which closes over the model's Values."""

    def loss(X, y):
        return max_margin(model, moons_scores(model, Value, X), y)

    return loss


def moons_loss_and_accuracy(model: Any, Value: Callable[..., Any]) -> Callable[..., Any]:
    """Make the demo's function of (X, y): the loss, and the fraction of right signs."""

    def loss_and_accuracy(X, y):
        scores = moons_scores(model, Value, X)
        right = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(y, scores, strict=True)]
        return max_margin(model, scores, y), sum(right) / len(right)

    return loss_and_accuracy


# -- Rosenbrock ---------------------------------------------------------------------------------


def rosenbrock_loop(x):
    """Rosenbrock's valley, element by element."""
    total = 0.0
    for i in range(len(x) - 1):
        total = total + 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


def rosenbrock_slices(x):
    """Rosenbrock's valley in NumPy slices."""
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def rosenbrock_start(n: int) -> np.ndarray:
    """Return a starting point away from the minimum."""
    return np.random.default_rng(n).uniform(-1.2, 1.2, n)


# -- an unrolled differential equation ----------------------------------------------------------


def rhs(u, v, p):
    """Lotka and Volterra's rates of change of prey `u` and predators `v`."""
    return p[0] * u - p[1] * u * v, p[2] * u * v - p[3] * v


def rk4(params, data):
    """Mean squared residual of a fit to `data` (steps, 2), one Runge-Kutta step per row.

    `params` holds the four rates, then the two initial values.
    """
    u, v = params[4], params[5]
    h = TIME_STEP
    total = 0.0
    for t in range(len(data)):
        k1, l1 = rhs(u, v, params)
        k2, l2 = rhs(u + 0.5 * h * k1, v + 0.5 * h * l1, params)
        k3, l3 = rhs(u + 0.5 * h * k2, v + 0.5 * h * l2, params)
        k4, l4 = rhs(u + h * k3, v + h * l3, params)
        u = u + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        v = v + h / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)
        total = total + (u - data[t, 0]) ** 2 + (v - data[t, 1]) ** 2
    return total / len(data)


def rk4_data(steps: int = 1000) -> np.ndarray:
    """Return a noisy orbit (steps, 2) around the fixed point of other rates than the start's."""
    rng = np.random.default_rng(4)
    phase = np.linspace(0.0, 0.9 * TIME_STEP * steps, steps)
    orbit = np.stack([1.3 + 0.6 * np.cos(phase), 1.1 + 0.5 * np.sin(phase)], axis=1)
    return orbit + 0.05 * rng.standard_normal(orbit.shape)


# -- a time series ------------------------------------------------------------------------------


def garch(params, r):
    """Negative log-likelihood of returns under GARCH(1,1) (Bollerslev 1986), constant left out.

    `params` holds mu, omega, alpha, beta; the recursion starts from the unconditional variance.
    """
    mu, omega, alpha, beta = params
    h = omega / (1.0 - alpha - beta)
    e = r[0] - mu
    total = np.log(h) + e**2 / h
    for t in range(1, len(r)):
        h = omega + alpha * e**2 + beta * h
        e = r[t] - mu
        total = total + np.log(h) + e**2 / h
    return 0.5 * total


def garch_returns(n: int = 5000) -> np.ndarray:
    """Draw `n` returns from a GARCH(1,1) process."""
    omega, alpha, beta = TRUE_PARAMETERS
    shocks = np.random.default_rng(5).standard_normal(n)
    returns = np.empty(n)
    h = omega / (1.0 - alpha - beta)
    for t in range(n):
        returns[t] = np.sqrt(h) * shocks[t]
        h = omega + alpha * returns[t] ** 2 + beta * h
    return returns


# -- particles, and a product -------------------------------------------------------------------


def lennard_jones(x):
    """Lennard-Jones energy of positions (N, 3), pair by pair."""
    energy = 0.0
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            dx = x[i, 0] - x[j, 0]
            dy = x[i, 1] - x[j, 1]
            dz = x[i, 2] - x[j, 2]
            s6 = 1.0 / (dx * dx + dy * dy + dz * dz) ** 3
            energy = energy + 4.0 * (s6 * s6 - s6)
    return energy


def lattice(n: int = 50) -> np.ndarray:
    """Return `n` positions (n, 3) on a shaken cubic lattice, near the minimum's spacing."""
    side = int(np.ceil(n ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return 1.12 * grid[:n] + np.random.default_rng(6).uniform(-0.08, 0.08, (n, 3))


def matmul_loss(A, B):
    """Sum of squares of the product of `A` (n, m) and `B` (m, l), as three loops."""
    total = 0.0
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            c = 0.0
            for k in range(A.shape[1]):
                c = c + A[i, k] * B[k, j]
            total = total + c * c
    return total


def recurrence(x, steps):
    """A scalar recurrence, five operations a step: for tapes of any length."""
    total = 0.0
    for _ in range(steps):
        x = x - 0.001 * x * x
        total = total + x * x
    return total


# -- the rows -----------------------------------------------------------------------------------


def rk4_problem() -> Problem:
    """Fit of the four rates and two initial values over 1,000 steps."""
    params = np.array([1.0, 0.9, 0.8, 1.0, 1.8, 1.2])
    return Problem("rk4", rk4, (params, rk4_data()))


def garch_problem() -> Problem:
    """Likelihood of 5,000 returns, away from the parameters they were drawn with."""
    return Problem("garch", garch, (np.array([0.02, 0.2, 0.1, 0.8]), garch_returns()))


def matmul_problem() -> Problem:
    """A 24 x 24 x 24 product, differentiated in both factors."""
    rng = np.random.default_rng(7)
    A, B = rng.standard_normal((2, 24, 24))
    return Problem("matmul", matmul_loss, (A.copy(), B.copy()), argnums=(0, 1))


def rosenbrock_problem(n: int, fun: Callable[..., Any]) -> Problem:
    """Rosenbrock's valley in `n` variables."""
    return Problem(f"rosenbrock-{n}", fun, (rosenbrock_start(n),))


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "rosenbrock-10": lambda: rosenbrock_problem(10, rosenbrock_loop),
    "rosenbrock-1000": lambda: rosenbrock_problem(1_000, rosenbrock_slices),
    "rosenbrock-100000": lambda: rosenbrock_problem(100_000, rosenbrock_slices),
    "rk4": rk4_problem,
    "garch": garch_problem,
    "lennard-jones": lambda: Problem("lennard-jones", lennard_jones, (lattice(),)),
    "matmul": matmul_problem,
}

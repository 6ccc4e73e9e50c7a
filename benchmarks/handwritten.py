"""The hand-written opponents: which there are, that they are right, and how fast they are.

`python -m benchmarks.handwritten` checks every one against complex steps, central differences or
micrograd and times them; `--flags` compiles all of them with each set of fast-math flags.

A *direct* one mirrors the loss's own loops; a *tuned* one is the fastest that we found.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from benchmarks import direct, tuned
from benchmarks.measure import interleave, print_table, show_ratio, show_seconds
from benchmarks.problems import PROBLEMS, Problem, moons_data, moons_loss, moons_model

CHECK_TOLERANCE = 1e-9  # of the references; complex steps are far better


class Opponent(NamedTuple):
    """Hand-written kernels `value = kernel(*args, *gradients)` for one row.

    Attributes
    ----------
    direct, tuned : callable
        The loss's own loops mirrored; the fastest found.
    others : dict of str to callable
        Further variants, shown by this module only.
    """

    direct: Callable[..., Any]
    tuned: Callable[..., Any]
    others: Mapping[str, Callable[..., Any]] = MappingProxyType({})

    def variants(self) -> dict[str, Callable[..., Any]]:
        """Return all of them by name."""
        return {"direct": self.direct, "tuned": self.tuned, **self.others}


ROSENBROCK = Opponent(direct.rosenbrock, tuned.rosenbrock)
OPPONENTS: dict[str, Opponent] = {
    "moons": Opponent(direct.moons, tuned.moons, {"skip dead": direct.moons_live}),
    "rosenbrock-10": ROSENBROCK,
    "rosenbrock-1000": ROSENBROCK,
    "rosenbrock-100000": ROSENBROCK,
    "rk4": Opponent(direct.rk4, tuned.rk4),
    "garch": Opponent(direct.garch, tuned.garch, {"log of products": tuned.garch_product}),
    "lennard-jones": Opponent(direct.lennard_jones, tuned.lennard_jones),
    "matmul": Opponent(direct.matmul, tuned.matmul),
}


# -- references -----------------------------------------------------------------------------------


def argnums_of(problem: Problem) -> tuple[int, ...]:
    """Return the differentiated positions as a tuple."""
    return (problem.argnums,) if isinstance(problem.argnums, int) else problem.argnums


def gradient_arrays(problem: Problem) -> list[np.ndarray]:
    """Return one array to be overwritten per differentiated argument, filled with NaN."""
    return [np.full_like(problem.args[k], np.nan) for k in argnums_of(problem)]


def complex_step(fun: Callable[..., Any], args: tuple[Any, ...], argnum: int, entry: int) -> float:
    """Return one partial derivative by Squire and Trapp's complex step (SIAM Review 1998)."""
    moved = args[argnum].astype(complex)
    moved.flat[entry] += 1e-30j
    return fun(*args[:argnum], moved, *args[argnum + 1 :]).imag / 1e-30


def sampled_entries(size: int, most: int = 12) -> np.ndarray:
    """Return at most `most` positions, both ends among them."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).astype(int))


def gradient_error(problem: Problem, gradients: list[np.ndarray]) -> float:
    """Largest difference from complex steps at sampled entries, relative to the largest entry."""
    worst = 0.0
    for argnum, gradient in zip(argnums_of(problem), gradients, strict=True):
        for entry in sampled_entries(gradient.size):
            exact = complex_step(problem.fun, problem.args, argnum, int(entry))
            worst = max(worst, abs(gradient.flat[entry] - exact) / np.abs(gradient).max())
    return float(worst)


def value_error(value: float, expected: float) -> float:
    """Return the relative error of a value."""
    return float(abs(value - expected) / abs(expected))


def moons_arguments() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points, labels and micrograd's 337 first parameters."""
    from micrograd.nn import MLP

    X, y = moons_data()
    return X, y, np.array([float(p.data) for p in moons_model(MLP).parameters()])


def micrograd_moons() -> tuple[float, np.ndarray]:
    """Value and gradient of the first step by micrograd itself."""
    from micrograd.engine import Value
    from micrograd.nn import MLP

    model = moons_model(MLP)
    loss = moons_loss(model, Value)(*moons_data())
    loss.backward()
    return float(loss.data), np.array([float(p.grad) for p in model.parameters()])


# -- check and time -------------------------------------------------------------------------------


def check_moons() -> dict[str, tuple[float, float]]:
    """Errors of value and gradient of the moons kernels against micrograd."""
    value, gradient = micrograd_moons()
    errors = {}
    for name, kernel in OPPONENTS["moons"].variants().items():
        g = np.full_like(gradient, np.nan)
        error = value_error(kernel(*moons_arguments(), g), value)
        errors[name] = error, float(np.abs(g - gradient).max() / np.abs(gradient).max())
    return errors


def check_row(row: str) -> dict[str, tuple[float, float]]:
    """Errors of value and gradient of every variant of one row."""
    if row == "moons":
        return check_moons()
    problem = PROBLEMS[row]()
    expected = float(problem.fun(*problem.args))
    errors = {}
    for name, kernel in OPPONENTS[row].variants().items():
        gradients = gradient_arrays(problem)
        error = value_error(kernel(*problem.args, *gradients), expected)
        errors[name] = error, gradient_error(problem, gradients)
    return errors


def row_calls(row: str) -> dict[str, Callable[[], Any]]:
    """Return calls without arguments of every variant of one row."""
    if row == "moons":
        args = moons_arguments()
        arrays = (*args, np.empty_like(args[2]))
    else:
        problem = PROBLEMS[row]()
        arrays = (*problem.args, *gradient_arrays(problem))
    variants = OPPONENTS[row].variants()
    return {name: partial(kernel, *arrays) for name, kernel in variants.items()}


def check() -> bool:
    """Print errors and times of every variant; return whether all are right."""
    lines, right = [], True
    for row in OPPONENTS:
        errors = check_row(row)
        times = interleave(row_calls(row), rounds=9)
        for name, (of_value, of_gradient) in errors.items():
            fine = of_value <= CHECK_TOLERANCE and of_gradient <= CHECK_TOLERANCE
            right = right and fine
            speed = show_seconds(times.typical(name)), show_ratio(times.ratio(name, "direct"))
            exact = f"{of_value:.0e}", f"{of_gradient:.0e}", "right" if fine else "WRONG"
            lines.append((row, name, *speed, *exact))
    columns = ("row", "variant", "median", "to direct", "value error", "gradient error", "")
    print_table(f"hand-written, fastmath {direct.FORCED or 'as chosen'}", columns, lines)
    return right


def compare_flags() -> bool:
    """Run the check once per set of fast-math flags, each in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.handwritten"]
    runs = [
        subprocess.run(command, env={**os.environ, "BENCHMARK_FASTMATH": flags}, check=False)
        for flags in direct.FLAGS
    ]
    return all(run.returncode == 0 for run in runs)


if __name__ == "__main__":
    sys.exit(0 if (compare_flags() if "--flags" in sys.argv[1:] else check()) else 1)

"""micrograd and HIPS autograd on the losses of `problems.py`: the user's own code, as it is.

Everything is float64. `python -m benchmarks.peers` prints autograd on all rows. Other libraries
run the losses of `benchmarks/arrays`.
"""

import gc
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks import problems
from benchmarks.arrays.tools import over
from benchmarks.first_call import run_module
from benchmarks.handwritten import OPPONENTS, moons_arguments
from benchmarks.measure import print_table, repetitions, sample, show_seconds
from benchmarks.problems import PROBLEMS, WEIGHT_DECAY, moons_data, moons_loss

TIME_LIMIT = 20.0  # seconds a peer may take for one row, its start included
SLOW = 0.5  # seconds a call; slower ones are not repeated

Call = Callable[[], Any]


# -- micrograd ------------------------------------------------------------------------------------


def micrograd_steps(collect: bool, steps: int = 3) -> list[float]:
    """Seconds of each full-batch step (forward and backward) of micrograd's demo.

    `collect` says whether Python's cyclic garbage collector is on, as it is by default.
    """
    from micrograd.engine import Value
    from micrograd.nn import MLP

    model = problems.moons_model(MLP)
    loss = moons_loss(model, Value)
    X, y = moons_data()
    was_enabled = gc.isenabled()
    (gc.enable if collect else gc.disable)()
    taken = []
    try:
        for _ in range(steps):
            start = perf_counter()
            model.zero_grad()
            loss(X, y).backward()
            taken.append(perf_counter() - start)
    finally:
        (gc.enable if was_enabled else gc.disable)()
        gc.collect()
    return taken


# -- HIPS autograd --------------------------------------------------------------------------------


def relu(z: Any) -> Any:
    """Positive part, by operators that every library has."""
    return 0.5 * (z + abs(z))


def moons_arrays(p: Any, X: Any, y: Any) -> Any:
    """The demo's loss with the network as matrix products; `p` holds its 337 parameters."""
    layer1, layer2, layer3 = p[:48].reshape((16, 3)), p[48:320].reshape((16, 17)), p[320:]
    h1 = relu(X @ layer1[:, :2].T + layer1[:, 2])
    h2 = relu(h1 @ layer2[:, :16].T + layer2[:, 16])
    scores = h2 @ layer3[:16] + layer3[16]
    return relu(1.0 - y * scores).sum() / len(y) + WEIGHT_DECAY * (p * p).sum()


def arguments(row: str) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Arguments of a peer's loss, and which are differentiated."""
    if row == "moons":
        X, y, p = moons_arguments()
        return (p, X, y.astype(float)), (0,)
    problem = PROBLEMS[row]()
    argnums = (problem.argnums,) if isinstance(problem.argnums, int) else problem.argnums
    return problem.args, argnums


def autograd_call(row: str) -> Call:
    """Value and gradient of the user's own code by HIPS autograd."""
    import autograd
    import autograd.numpy
    import autograd.scipy.special

    args, argnums = arguments(row)
    fun = moons_arrays
    if row != "moons":
        fun = over(PROBLEMS[row]().fun, autograd.numpy, autograd.scipy.special)
    both = autograd.value_and_grad(fun, argnums if len(argnums) > 1 else argnums[0])
    return lambda: both(*args)


def measure(row: str) -> dict[str, float]:
    """First call, typical call and value of autograd on one row."""
    start = perf_counter()
    call = autograd_call(row)
    value = float(call()[0])
    first = perf_counter() - start
    once = sample(call, 1)
    if once < SLOW:
        number = repetitions(call, 0.02)
        once = median(sample(call, number) for _ in range(9))
    return {"first": first, "seconds": once, "value": value}


def run_autograd(row: str) -> dict[str, float]:
    """`measure` in a process of its own.

    Raises
    ------
    ModuleNotFoundError
        When autograd is not installed.
    TimeoutError
        When it takes more than TIME_LIMIT seconds.
    """
    if importlib.util.find_spec("autograd") is None:
        raise ModuleNotFoundError("not installed")
    try:
        return run_module("benchmarks.peers", row, timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"> {TIME_LIMIT:.0f} s") from None


def main() -> None:
    """Print a table of autograd on every row."""
    rows = []
    for row in OPPONENTS:
        try:
            result = run_autograd(row)
            cells = [show_seconds(result["seconds"]), show_seconds(result["first"])]
        except Exception as reason:  # one failing row is one empty cell
            cells = [str(reason)[:40], ""]
        rows.append([row, *cells])
    print_table("value and gradient by HIPS autograd", ["row", "one call", "first call"], rows)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()

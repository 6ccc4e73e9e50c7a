"""The same losses by other libraries: micrograd, HIPS autograd, and JAX and PyTorch if installed.

micrograd and autograd run the user's own code of `problems.py`; JAX and PyTorch get what their
documentation would have one write: whole arrays, and `lax.scan` for a loop. Everything is float64
and includes the way back to NumPy arrays. `python -m benchmarks.peers` prints all that can be
imported.
"""

import gc
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks import problems
from benchmarks.first_call import run_module
from benchmarks.handwritten import OPPONENTS, moons_arguments
from benchmarks.measure import print_table, repetitions, sample, show_seconds
from benchmarks.problems import PROBLEMS, TIME_STEP, WEIGHT_DECAY, moons_data, moons_loss

PEERS = ("autograd", "jax", "torch")
TIME_LIMIT = 20.0  # seconds a peer may take for one row, its start and compilation included
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


# -- losses as whole arrays -----------------------------------------------------------------------


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


def rosenbrock_arrays(x: Any) -> Any:
    """Rosenbrock's valley in slices."""
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def lennard_jones_arrays(x: Any) -> Any:
    """Lennard-Jones energy over index arrays of the pairs."""
    i, j = np.triu_indices(x.shape[0], 1)
    s6 = 1.0 / ((x[i] - x[j]) ** 2).sum(-1) ** 3
    return (4.0 * (s6 * s6 - s6)).sum()


def matmul_arrays(A: Any, B: Any) -> Any:
    """Sum of squares of the product."""
    return ((A @ B) ** 2).sum()


ARRAYS: dict[str, Callable[..., Any]] = {
    "moons": moons_arrays,
    "rosenbrock-10": rosenbrock_arrays,
    "rosenbrock-1000": rosenbrock_arrays,
    "rosenbrock-100000": rosenbrock_arrays,
    "lennard-jones": lennard_jones_arrays,
    "matmul": matmul_arrays,
}


def arguments(row: str) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Arguments of a peer's loss, and which are differentiated."""
    if row == "moons":
        X, y, p = moons_arguments()
        return (p, X, y.astype(float)), (0,)
    problem = PROBLEMS[row]()
    argnums = (problem.argnums,) if isinstance(problem.argnums, int) else problem.argnums
    return problem.args, argnums


# -- HIPS autograd --------------------------------------------------------------------------------


def problems_over(namespace: Any) -> ModuleType:
    """Load a second copy of `problems.py` in which `np` is another namespace."""
    assert problems.__spec__ is not None
    spec = importlib.util.spec_from_file_location("benchmarks_problems_copy", problems.__file__)
    assert spec is not None and spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    vars(copy)["np"] = namespace
    return copy


def autograd_call(row: str) -> Call:
    """Value and gradient of the user's own code by HIPS autograd."""
    import autograd
    import autograd.numpy as anp

    args, argnums = arguments(row)
    if row == "moons":
        fun = moons_arrays
    else:
        fun = getattr(problems_over(anp), PROBLEMS[row]().fun.__name__)
    both = autograd.value_and_grad(fun, argnums if len(argnums) > 1 else argnums[0])
    return lambda: both(*args)


# -- JAX ------------------------------------------------------------------------------------------


def rk4_scan(params: Any, data: Any) -> Any:
    """The Runge-Kutta fit as a `lax.scan`."""
    from jax import lax

    h = TIME_STEP

    def step(state, row):
        u, v = state
        k1, l1 = problems.rhs(u, v, params)
        k2, l2 = problems.rhs(u + 0.5 * h * k1, v + 0.5 * h * l1, params)
        k3, l3 = problems.rhs(u + 0.5 * h * k2, v + 0.5 * h * l2, params)
        k4, l4 = problems.rhs(u + h * k3, v + h * l3, params)
        u = u + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        v = v + h / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)
        return (u, v), (u - row[0]) ** 2 + (v - row[1]) ** 2

    return lax.scan(step, (params[4], params[5]), data)[1].sum() / len(data)


def garch_scan(params: Any, r: Any) -> Any:
    """The GARCH likelihood as a `lax.scan` over the squared residuals."""
    import jax.numpy as jnp
    from jax import lax

    mu, omega, alpha, beta = params
    squared = (r - mu) ** 2

    def step(h, square):
        return omega + alpha * square + beta * h, h

    h = lax.scan(step, omega / (1.0 - alpha - beta), squared)[1]
    return 0.5 * (jnp.log(h) + squared / h).sum()


def jax_call(row: str) -> Call:
    """Value and gradient by JAX, jitted, returned as NumPy arrays."""
    import jax

    jax.config.update("jax_enable_x64", True)
    args, argnums = arguments(row)
    fun = {**ARRAYS, "rk4": rk4_scan, "garch": garch_scan}[row]
    both = jax.jit(jax.value_and_grad(fun, argnums))

    def call():
        value, gradients = both(*args)
        return float(value), [np.asarray(g) for g in gradients]

    return call


# -- PyTorch --------------------------------------------------------------------------------------


def torch_call(row: str) -> Call:
    """Value and gradient by PyTorch, eager, on one thread per core as it comes."""
    import torch

    args, argnums = arguments(row)
    tensors = [torch.tensor(a, dtype=torch.float64) for a in args]
    for k in argnums:
        tensors[k].requires_grad_()
    fun = ARRAYS.get(row) or getattr(problems_over(torch), PROBLEMS[row]().fun.__name__)

    def call():
        value = fun(*tensors)
        gradients = torch.autograd.grad(value, [tensors[k] for k in argnums])
        return float(value), [g.numpy() for g in gradients]

    return call


# -- running them ---------------------------------------------------------------------------------

CALLS: dict[str, Callable[[str], Call]] = {
    "autograd": autograd_call,
    "jax": jax_call,
    "torch": torch_call,
}


def measure(peer: str, row: str) -> dict[str, float]:
    """First call, typical call and value of one peer on one row."""
    start = perf_counter()
    call = CALLS[peer](row)
    value = float(call()[0])
    first = perf_counter() - start
    once = sample(call, 1)
    if once < SLOW:
        number = repetitions(call, 0.02)
        once = median(sample(call, number) for _ in range(9))
    return {"first": first, "seconds": once, "value": value}


def run_peer(peer: str, row: str) -> dict[str, float]:
    """`measure` in a process of its own.

    Raises
    ------
    ModuleNotFoundError
        When the peer is not installed.
    TimeoutError
        When it takes more than TIME_LIMIT seconds.
    """
    if importlib.util.find_spec(peer) is None:
        raise ModuleNotFoundError("not installed")
    try:
        return run_module("benchmarks.peers", peer, row, timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"> {TIME_LIMIT:.0f} s") from None


def main() -> None:
    """Print a table of every importable peer on every row."""
    rows = []
    for row in OPPONENTS:
        cells = [row]
        for peer in PEERS:
            try:
                result = run_peer(peer, row)
                cells += [show_seconds(result["seconds"]), show_seconds(result["first"])]
            except Exception as reason:  # one missing peer is one empty cell
                cells += [str(reason)[:40], ""]
        rows.append(cells)
    columns = ["row"] + [name for peer in PEERS for name in (peer, "first call")]
    print_table(
        "peers: value and gradient from Python, losses as they would write them", columns, rows
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(*sys.argv[1:])))
    else:
        main()

"""How far from what is possible: `python -m benchmarks.arrays.limits`, one thread.

Three tables: value and gradient against the compiled value alone, for each row of the array
benchmark; a logistic regression against one pass over its matrix; and the memory that kernels of
10,000 and of 1,000,000 rows take beside their arguments and results.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import jitgrad
from benchmarks.arrays.__main__ import jitgrad_kernel
from benchmarks.arrays.report import geometric_mean
from benchmarks.arrays.row import flatten
from benchmarks.arrays.rows import ROWS
from benchmarks.arrays.tools import argnums
from benchmarks.arrays.worker import forget_peak, megabytes
from benchmarks.direct import fast
from benchmarks.measure import interleave, print_table, show_ratio, show_seconds

FEW, MANY = 10_000, 1_000_000


def value_kernel(name: str) -> Callable[[], Any]:
    """Return a call of the kernel of the value alone."""
    row = ROWS[name]
    args = row.arguments()
    fun = jitgrad.compile(row.loss, argnums=argnums(row))
    fun(*args)  # the source that is kept latest is that of the value
    _, traced = fun._trace(args, {})
    arrays = [*flatten(args), *fun.lower(*args).captured_arrays()]
    return partial(fun._kernel(traced, ()).call, *arrays)


def both_over_value() -> None:
    """Print how many values a value with its gradient takes."""
    lines, ratios = [], []
    for name, row in ROWS.items():
        args = row.arguments()
        times = interleave({"value": value_kernel(name), "both": jitgrad_kernel(row, args)})
        ratios.append(times.ratio("both", "value"))
        seconds = [show_seconds(times.typical(kind)) for kind in ("value", "both")]
        lines.append([name, *seconds, show_ratio(ratios[-1])])
    mean = geometric_mean(ratios)
    assert mean is not None
    lines.append(["geometric mean", "", "", show_ratio(mean)])
    print_table("kernels", ("row", "value", "value and gradient", "ratio"), lines)


@fast("reassoc")
def one_pass(X):
    """Add up a matrix: nothing that reads all of it is quicker."""
    total = 0.0
    flat = X.reshape(-1)
    for i in range(flat.shape[0]):
        total += flat[i]
    return total


def against_bandwidth() -> None:
    """Print logistic regression on 100,000 x 50 over one pass over its matrix."""
    row = ROWS["logistic-large"]
    args = row.arguments()
    kernel, read = jitgrad_kernel(row, args), partial(one_pass, args[1])
    times = interleave({"pass": read, "kernel": kernel})
    rate = args[1].nbytes / times.typical("pass") / 1e9
    cells = [show_seconds(times.typical(kind)) for kind in ("pass", "kernel")]
    line = [*cells, show_ratio(times.ratio("kernel", "pass")), f"{rate:.1f} GB/s"]
    columns = ("one pass over X", "value and gradient", "ratio", "bandwidth")
    print_table("logistic regression, 100,000 x 50", columns, [line])


def logistic(w, X, y):
    return np.mean(np.logaddexp(0.0, -y * (X @ w)))


def poisson(w, X, y):
    eta = X @ w
    return np.mean(np.exp(eta) - y * eta)


def smooth(w, X, y):
    return np.sum(np.tanh(np.exp(0.1 * y)) ** 2) + np.sum(w**2)


def scratch(loss: Callable[..., Any], rows: int) -> float:
    """Return the megabytes that a kernel takes for the time of a call."""
    rng = np.random.default_rng(0)
    args = 0.1 * rng.standard_normal(8), rng.standard_normal((rows, 8)), rng.standard_normal(rows)
    kernel = jitgrad.compile(loss).kernel(*args)
    g = np.empty(8)
    kernel(*args, g)
    forget_peak()
    before = megabytes("VmRSS")
    kernel(*args, g)
    return max(megabytes("VmHWM") - before, 0.0)


def memory() -> None:
    """Print what kernels take beside arguments and results."""
    lines = [
        [loss.__name__, *(f"{scratch(loss, rows):.2f} MB" for rows in (FEW, MANY))]
        for loss in (logistic, poisson, smooth)
    ]
    columns = ("fused loss", f"{FEW:,} rows", f"{MANY:,} rows")
    print_table("memory beside arguments and results", columns, lines)


if __name__ == "__main__":
    with threadpool_limits(1):
        both_over_value()
        against_bandwidth()
        memory()

"""One tool on one row in a process of its own: `python -m benchmarks.arrays.worker TOOL ROW`.

It imports the tool, makes the data, then times building and the first call, compares the result
with the gradient by hand, and prints all that as a line of JSON. Then it prints a time per call
for each line that it reads.
"""

import importlib
import itertools
import json
import os
import resource
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.arrays.row import Row, concatenated
from benchmarks.arrays.rows import ROWS
from benchmarks.arrays.tools import TOOLS, NotForThisError, differentiated
from benchmarks.first_call import REPOSITORY
from benchmarks.measure import sample

SECONDS = 0.05  # of a sample
STATUS = Path("/proc/self/status")


def megabytes(field: str) -> float:
    """Return resident memory now (`VmRSS`) or at its highest since `forget_peak` (`VmHWM`)."""
    if not STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Let the highest resident memory start from now, where Linux allows it."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def fresh(row: Row, args: tuple[Any, ...], call: Callable[[], Any]) -> Callable[[], Any]:
    """Return the call with another first element of the first parameter each time."""
    first = next(x for x in differentiated(row, args) if isinstance(x, np.ndarray)).reshape(-1)
    start = first[0]
    values = itertools.cycle([start * (1 + 1e-3), start])

    def changed():
        first[0] = next(values)
        return call()

    return changed


def error(row: Row, args: tuple[Any, ...], result: tuple[Any, list[Any]]) -> float:
    """Return the largest error of value or gradient, relative to the largest entry."""
    args = tuple(widened(a) for a in args)
    value, gradients = row.by_numpy(*args)
    expected = concatenated([gradients[k] for k in row.argnums])
    found = np.concatenate([np.ravel(g).astype(float) for g in result[1]])
    of_gradient = np.abs(found - expected).max() / np.abs(expected).max()
    return float(max(abs(result[0] - value) / abs(value), of_gradient))


def widened(argument: Any) -> Any:
    """Return float32 arrays as float64."""
    if isinstance(argument, dict):
        return {name: widened(part) for name, part in argument.items()}
    single = isinstance(argument, np.ndarray) and argument.dtype == np.float32
    return argument.astype(float) if single else argument


def version(tool: str) -> str:
    """Return the version of a tool's library."""
    return metadata.version(TOOLS[tool].modules[-1])


def first_call(tool: str, row: Row, args: tuple[Any, ...]) -> tuple[dict[str, Any], Any]:
    """Build, call, check; return what was found, and the call for timing."""
    forget_peak()
    before = megabytes("VmRSS")
    start = perf_counter()
    call = TOOLS[tool].build(row, args)
    result = call()
    seconds = perf_counter() - start
    wrong = error(row, args, result)
    if not wrong <= row.tolerance():
        raise ArithmeticError(f"wrong by {wrong:.0e}")
    changing = fresh(row, args, call)
    start = perf_counter()
    changing()
    once = perf_counter() - start
    changing()
    found = {"first": seconds, "error": wrong, "once": once, "version": version(tool)}
    return {**found, "memory": megabytes("VmHWM") - before}, changing


def first_line(reason: Exception) -> str:
    """Return what went wrong, without the repository's path."""
    text = (str(reason).strip() or "no message").splitlines()[0].replace(f"{REPOSITORY}/", "")
    return f"{type(reason).__name__}: {text[:200]}"


def main(tool: str, name: str) -> None:
    """Print what the first call gave, then a time per call for each line read."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer
    try:
        for module in reversed(TOOLS[tool].modules):
            importlib.import_module(module)
        row = ROWS[name]
        found, call = first_call(tool, row, row.arguments())
    except NotForThisError as reason:
        print(json.dumps({"absent": str(reason)}), file=answers)
        return
    except Exception as reason:  # one failing cell must not end the run
        print(json.dumps({"failed": first_line(reason)}), file=answers)
        return
    print(json.dumps(found), file=answers)
    once = found["once"]
    for _ in sys.stdin:
        if once < 4 * SECONDS:
            call()  # what another process drove out of the caches comes back
        seconds = sample(call, max(1, round(SECONDS / once)))
        once = min(once, seconds)
        print(json.dumps(seconds), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])

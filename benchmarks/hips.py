"""jitgrad beside HIPS autograd on its own examples: `python -m benchmarks.hips [name ...]`.

The losses are those of `examples/autograd_losses`, in plain NumPy. jitgrad gets them as they are;
autograd gets the same text with `autograd.` in front of NumPy and SciPy in its imports. Both calls
give value and gradient and are timed in turns, in a process for each loss. `--write` puts the table
into docs/from-autograd.md.
"""

import argparse
import json
import platform
import re
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.arrays.report import geometric_mean, markdown, processor
from benchmarks.first_call import REPOSITORY, run_module
from benchmarks.measure import interleave, show_seconds
from examples.autograd_losses import EXAMPLES

DOCUMENT = REPOSITORY / "docs" / "from-autograd.md"
MARKERS = re.compile(r"(?<=<!-- hips -->\n).*(?=<!-- end of hips -->)", re.DOTALL)
COLUMNS = ["loss", "jitgrad", "autograd", "autograd ÷ jitgrad", "first call", "second process"]
SECONDS = 0.02  # of one sample of either; autograd's slowest call takes longer


def over_autograd(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return the loss from a copy of its module that imports autograd's NumPy and SciPy."""
    path = Path(loss.__code__.co_filename)
    text = re.sub(r"^(import|from) (?=numpy|scipy)", r"\1 autograd.", path.read_text(), flags=re.M)
    copy = ModuleType(f"{loss.__module__}_over_autograd")
    exec(compile(text, str(path), "exec"), copy.__dict__)
    return getattr(copy, loss.__name__)


def measure(name: str) -> dict[str, float]:
    """Time jitgrad's first call, then calls of both in turns."""
    import autograd

    import jitgrad

    example = EXAMPLES[name]
    args = example.arguments(np.random.default_rng(0))
    theirs = autograd.value_and_grad(over_autograd(example.loss))
    theirs(*args)
    start = perf_counter()
    mine = jitgrad.compile(example.loss).value_and_grad
    mine(*args)
    first = perf_counter() - start
    calls = {"jitgrad": lambda: mine(*args), "autograd": lambda: theirs(*args)}
    times = interleave(calls, rounds=9, seconds=SECONDS)
    found = {tool: times.typical(tool) for tool in calls}
    return {"first": first, "ratio": times.ratio("autograd", "jitgrad"), **found}


def two_processes(name: str) -> dict[str, float]:
    """Measure with an empty cache, and the first call again in a second process."""
    with tempfile.TemporaryDirectory(prefix="jitgrad-bench-") as folder:
        cold = run_module("benchmarks.hips", "--one", name, JITGRAD_CACHE_DIR=folder)
        warm = run_module("benchmarks.hips", "--one", name, JITGRAD_CACHE_DIR=folder)
    return {**cold, "second": warm["first"]}


def line(name: str, found: dict[str, float]) -> list[str]:
    """Return a row of the table."""
    example = EXAMPLES[name]
    size = (example.arguments.__doc__ or "").rstrip(".")
    size = size[:1].lower() + size[1:]
    times = [show_seconds(found[key]) for key in ("jitgrad", "autograd")]
    first = [show_seconds(found[key]) for key in ("first", "second")]
    ratio = found["ratio"]
    return [f"{example.title}: {size}", *times, f"{ratio:.{0 if ratio >= 10 else 1}f}", *first]


def report(names: list[str]) -> str:
    """Measure the examples and return the table, with what it was measured on."""
    results = {}
    for name in names:
        results[name] = two_processes(name)
        print(" | ".join(line(name, results[name])), flush=True)
    versions = ", ".join(f"{p} {version(p)}" for p in ("autograd", "numba", "numpy", "scipy"))
    mean = geometric_mean(found["ratio"] for found in results.values())
    lines = [line(name, found) for name, found in results.items()]
    lines.append(["geometric mean", "", "", f"{mean:.0f}", "", ""])
    where = f"{processor()}, Python {platform.python_version()}; {versions}."
    return f"{where}\n\n{markdown(COLUMNS, lines)}\n"


def main(arguments: list[str]) -> None:
    """Print the table of the examples named, or of all; write it if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hips", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(EXAMPLES))
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT.name}")
    parser.add_argument("--one", action="store_true", help="print the times of one as JSON")
    asked = parser.parse_args(arguments)
    for name in asked.names:
        if name not in EXAMPLES:
            parser.error(f"no example {name!r}; there are {', '.join(EXAMPLES)}")
    if asked.one:
        print(json.dumps(measure(*asked.names)))
        return
    text = report(asked.names or list(EXAMPLES))
    print(text)
    if asked.write:
        DOCUMENT.write_text(MARKERS.sub(lambda _: text, DOCUMENT.read_text()))


if __name__ == "__main__":
    main(sys.argv[1:])

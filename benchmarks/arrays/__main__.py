"""Losses over arrays: `python -m benchmarks.arrays [row ...]`, all rows when none is named.

Without options: jitgrad's kernel and its call from Python against code written by hand, in one
process and one thread, times taken in turns. With --peers: every tool that is installed, each cell
in a process of its own; `make bench-peers` installs them all first.
"""

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.arrays.race import ROUNDS, Cell, race, thread_limits
from benchmarks.arrays.report import Results, document, plot, write_between_markers
from benchmarks.arrays.row import Row, flatten
from benchmarks.arrays.rows import ROWS
from benchmarks.arrays.tools import TOOLS, argnums, by_jitgrad, by_numpy, differentiated
from benchmarks.arrays.worker import error, first_line
from benchmarks.first_call import REPOSITORY
from benchmarks.measure import Times, interleave, print_table, show_ratio, show_seconds

DOCUMENT = REPOSITORY / "docs" / "performance.md"


def gradient_arrays(row: Row, args: tuple[Any, ...]) -> list[np.ndarray]:
    """Return arrays for a kernel's gradients."""
    return [np.full(np.shape(x), np.nan, np.asarray(x).dtype) for x in differentiated(row, args)]


def jitgrad_kernel(row: Row, args: tuple[Any, ...]) -> Callable[[], Any]:
    """Return a call of jitgrad's kernel on arrays that are made once."""
    import jitgrad

    fun = jitgrad.compile(row.loss, argnums=argnums(row))
    captured = fun.lower(*args).captured_arrays()
    arrays = [*flatten(args), *captured, *gradient_arrays(row, args)]
    return partial(fun.kernel(*args), *arrays)


def quick(names: Sequence[str]) -> None:
    """Print one table of jitgrad and the code by hand."""
    lines, failures = [], []
    for name in names:
        row = ROWS[name]
        args = row.arguments()
        by_hand = partial(row.by_numba, *flatten(args), *gradient_arrays(row, args))
        calls = {"numba": by_hand, "numpy": by_numpy(row, args)}
        wrong = "-"
        try:
            calls["python"] = by_jitgrad(row, args)
            wrong = f"{error(row, args, calls['python']()):.0e}"
            calls["kernel"] = jitgrad_kernel(row, args)
            calls["kernel"]()
        except Exception as reason:  # one failing cell must not end the run
            failures.append(f"{name}: {first_line(reason)}")
            calls = {tool: calls[tool] for tool in ("numba", "numpy")}
        lines.append([name, *quick_cells(interleave(calls)), wrong])
    ratios = ("kernel/Numba", "call/Numba", "call/NumPy")
    columns = ("row", "jitgrad kernel", "call", "Numba by hand", "NumPy by hand", *ratios, "error")
    print_table("value and gradient (medians of rounds taken in turns)", columns, lines)
    print("\n".join(failures))


def quick_cells(times: Times) -> list[str]:
    """Write the times and the ratios of one row."""
    tools = ("kernel", "python", "numba", "numpy")
    seconds = [show_seconds(times.typical(t)) if t in times.seconds else "failed" for t in tools]
    if "python" not in times.seconds:
        return [*seconds, "", "", ""]
    pairs = (("kernel", "numba"), ("python", "numba"), ("python", "numpy"))
    return [*seconds, *(show_ratio(times.ratio(*pair)) for pair in pairs)]


def summary(name: str, cells: dict[str, Cell]) -> str:
    """Return one line on a row that was just measured."""
    parts = []
    for tool, cell in cells.items():
        seconds = cell.typical()
        text = "-" if cell.absent else "failed"
        parts.append(f"{tool} {text if seconds is None else show_seconds(seconds)}")
    return f"{name}: " + ", ".join(parts)


def measure(names: Sequence[str], tools: Sequence[str], asked: argparse.Namespace) -> Results:
    """Race every tool on every row; tell and keep each row as it comes."""
    results: Results = {}
    for name in names:
        results[name] = race(name, tools, asked.limit, asked.rounds)
        print(summary(name, results[name]), file=sys.stderr, flush=True)
        if asked.json:
            kept = {row: {t: c._asdict() for t, c in r.items()} for row, r in results.items()}
            asked.json.write_text(json.dumps(kept, indent=1))
    return results


def read(path: Path) -> Results:
    """Return what `measure` kept."""
    kept = json.loads(path.read_text())
    return {row: {t: Cell(**c) for t, c in cells.items()} for row, cells in kept.items()}


def peers(names: Sequence[str], tools: Sequence[str], asked: argparse.Namespace) -> None:
    """Measure every tool on every row, or read what was measured; print, and write if asked."""
    results = read(asked.read) if asked.read else measure(names, tools, asked)
    shown = [tool for tool in TOOLS if any(tool in cells for cells in results.values())]
    text = document(results, shown, command(asked))
    print(text)
    if asked.write:
        plot(results, shown, DOCUMENT.with_suffix(".svg"))
        picture = f"![Times over those of Numba by hand]({DOCUMENT.stem}.svg)\n\n"
        write_between_markers(DOCUMENT, picture + text)


def command(asked: argparse.Namespace) -> str:
    """Return the command that was given, as far as it changes the numbers."""
    threads = f"--threads {asked.threads}" if asked.threads else ""
    words = " ".join(filter(None, [threads, *asked.rows]))
    return f'make bench-peers ARGS="{words}"' if words else "make bench-peers"


def installed(tool: str) -> bool:
    """Whether a tool's library can be imported."""
    return importlib.util.find_spec(TOOLS[tool].modules[-1]) is not None


def main(arguments: Sequence[str]) -> None:
    """Measure the rows named, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.arrays", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help=", ".join(ROWS))
    parser.add_argument("--peers", action="store_true", help="every installed tool")
    parser.add_argument("--tools", help="only these, separated by commas: " + ", ".join(TOOLS))
    parser.add_argument("--limit", type=float, default=120.0, help="seconds a first call may take")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="times taken of each tool")
    parser.add_argument("--threads", type=int, help="threads for every tool; else their defaults")
    parser.add_argument("--json", type=Path, help="keep what was measured in this file")
    parser.add_argument("--read", type=Path, help="show what such a file holds; measure nothing")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md and .svg")
    asked = parser.parse_args(arguments)
    names = asked.rows or list(ROWS)
    tools = asked.tools.split(",") if asked.tools else [t for t in TOOLS if installed(t)]
    for name in names:
        if name not in ROWS:
            parser.error(f"no row {name!r}; there are {', '.join(ROWS)}")
    for tool in tools:
        if tool not in TOOLS:
            parser.error(f"no tool {tool!r}; there are {', '.join(TOOLS)}")
    if asked.peers or asked.read:
        os.environ.update(thread_limits(asked.threads) if asked.threads else {})
        peers(names, tools, asked)
    else:
        with threadpool_limits(asked.threads or 1):  # of BLAS
            quick(names)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Run the benchmarks: `python -m benchmarks [row ...]`, all rows when none is named.

Tables for speed, peers, compilation and a long tape; the times in one row of one table were taken
interleaved. A cell that fails says so, and its reason follows the tables.
"""

import argparse
import platform
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numba import njit

from benchmarks.first_call import first_calls
from benchmarks.handwritten import OPPONENTS, gradient_arrays, moons_arguments, row_calls
from benchmarks.long_tape import long_tapes
from benchmarks.measure import Times, interleave, print_table, show_ratio, show_seconds
from benchmarks.peers import micrograd_steps, run_autograd
from benchmarks.problems import PROBLEMS
from benchmarks.subject import Subject, gradient, kernel_call, subject

STEPS_INSIDE = 1000  # calls of the kernel inside one jitted loop
STEP_SIZE = 1e-9  # small: the loop must measure calls, not descend
SIZES = ("tape", "forward", "gradient")
STAGES = ("trace", "roll", "lower", "adjoint", "optimise", "emit", "compile")


class Report:
    """Collects table rows, and the reasons of the cells that failed."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def attempt(self, what: str, action: Callable[[], Any]) -> Any:
        """Return the action's result, or None after noting why it failed."""
        try:
            return action()
        except Exception as reason:  # one failing cell must not end the run
            text = str(reason).splitlines()[0] if str(reason) else ""
            self.failures.append(f"{what}: {type(reason).__name__}: {text[:200]}")
            return None

    def cell(self, what: str, action: Callable[[], str]) -> str:
        """Return the action's text, or `failed`."""
        return self.attempt(what, action) or "failed"

    def print_failures(self) -> None:
        """Print every reason once."""
        for line in dict.fromkeys(self.failures):
            print(line)


# -- speed ----------------------------------------------------------------------------------------


def interleaved_calls(report: Report, row: str, this: Subject | None) -> Times:
    """Time the kernel, the call from Python and the hand-written kernels together."""
    calls = row_calls(row)
    if this is not None:
        kernel = report.attempt(f"{row}, kernel", lambda: checked(kernel_call(this)))
        python = report.attempt(f"{row}, from Python", lambda: checked(this.from_python))
        found = {"kernel": kernel, "python": python}
        calls.update({name: call for name, call in found.items() if call is not None})
    return interleave(calls)


def checked(call: Callable[[], Any]) -> Callable[[], Any]:
    """Call once, so that a failure shows before the timing starts."""
    call()
    return call


def by_hand(row: str) -> tuple[float, np.ndarray]:
    """Value and flat gradient of the direct hand-written kernel."""
    if row == "moons":
        args = moons_arguments()
        gradients = [np.empty_like(args[2])]
    else:
        problem = PROBLEMS[row]()
        args, gradients = problem.args, gradient_arrays(problem)
    value = OPPONENTS[row].direct(*args, *gradients)
    return float(value), np.concatenate([g.ravel() for g in gradients])


def difference(row: str, this: Subject) -> str:
    """Largest difference from the hand-written value and gradient, relative."""
    value, flat = gradient(this)
    expected, expected_flat = by_hand(row)
    of_value = abs(value - expected) / abs(expected)
    of_gradient = np.abs(flat - expected_flat).max() / np.abs(expected_flat).max()
    return f"{max(of_value, of_gradient):.0e}"


def seconds_cell(times: Times, name: str) -> str:
    """Median time of one callable, if it could be timed."""
    return show_seconds(times.typical(name)) if name in times.seconds else "failed"


def ratio_cell(times: Times, to: str) -> str:
    """Median ratio of jitgrad's kernel to another, if both could be timed."""
    return show_ratio(times.ratio("kernel", to)) if "kernel" in times.seconds else "failed"


def hand_cells(times: Times, to_seconds: Callable[[str], str]) -> list[str]:
    """The kernel, and each hand-written opponent with the ratio to it."""
    cells = [to_seconds("kernel")]
    for name in ("direct", "tuned"):
        cells += [to_seconds(name), ratio_cell(times, name)]
    return cells


def speed_row(report: Report, row: str) -> tuple[list[str], Times]:
    """One line of the speed table, and the times behind it."""
    this = report.attempt(f"{row}, compile", lambda: subject(row))
    times = interleaved_calls(report, row, this)
    error = "failed"
    if this is not None:
        error = report.cell(f"{row}, difference", lambda: difference(row, this))
    cells = hand_cells(times, lambda name: seconds_cell(times, name))
    return [row, *cells, seconds_cell(times, "python"), error], times


def other_rows(row: str, times: Times) -> list[list[str]]:
    """Lines for the hand-written variants that are neither direct nor tuned."""
    others = OPPONENTS[row].others
    return [[row, name, seconds_cell(times, name), ratio_cell(times, name)] for name in others]


def descend(kernel: Any) -> Callable[[np.ndarray, np.ndarray, int], float]:
    """Compile a gradient descent that calls the kernel in its loop."""

    @njit(nogil=True, error_model="numpy")
    def descent(x, g, steps):
        total = 0.0
        for _ in range(steps):
            total += kernel(x, g)
            for i in range(x.shape[0]):
                x[i] -= STEP_SIZE * g[i]
        return total

    return descent


def inside_row(report: Report, row: str) -> list[str]:
    """Time one call inside a jitted loop, for the kernel and the hand-written ones."""
    start = PROBLEMS[row]().args[0]
    kernels = {"direct": OPPONENTS[row].direct, "tuned": OPPONENTS[row].tuned}
    this = report.attempt(f"{row} inside, compile", lambda: subject(row))
    if this is not None:
        kernel = report.attempt(f"{row} inside, kernel", lambda: this.fun.kernel(*this.args))
        kernels |= {"kernel": kernel} if kernel is not None else {}
    calls = {}
    for name, kernel in kernels.items():
        run, x, g = descend(kernel), start.copy(), np.empty_like(start)
        call = partial(run, x, g, STEPS_INSIDE)
        if report.attempt(f"{row} inside, {name}", lambda call=call: checked(call)) is not None:
            calls[name] = call
    times = interleave(calls)

    def a_step(name: str) -> str:
        return show_seconds(times.typical(name) / STEPS_INSIDE) if name in calls else "failed"

    return [f"{row} inside @njit", *hand_cells(times, a_step), "", ""]


# -- peers ----------------------------------------------------------------------------------------


def against(seconds: float, times: Times) -> str:
    """A peer's time, and how many of the calls from Python fit into it."""
    if "python" not in times.seconds:
        return show_seconds(seconds)
    return f"{show_seconds(seconds)} ({show_ratio(seconds / times.typical('python'))})"


def peer_row(report: Report, row: str, times: Times) -> list[str]:
    """micrograd with and without its garbage collector, and autograd."""
    cells = ["", ""]
    if row == "moons":
        cells = [
            report.cell(f"micrograd, gc {on}", lambda on=on: micrograd_cell(on, times))
            for on in (True, False)
        ]
    autograd = report.cell(f"{row}, autograd", lambda: against(run_autograd(row)["seconds"], times))
    return [row, seconds_cell(times, "python"), *cells, autograd]


def micrograd_cell(collect: bool, times: Times) -> str:
    """micrograd's fastest of a few steps: the ratio is in its favour."""
    return against(min(micrograd_steps(collect)), times)


# -- compilation ----------------------------------------------------------------------------------


def compile_row(report: Report, row: str) -> list[str]:
    """Tape, statements, stages (with an empty cache) and first calls of one row."""
    calls = report.attempt(f"{row}, first call", lambda: first_calls(row))
    if calls is None:
        return [row, *["failed"] * (len(SIZES) + len(STAGES) + 2)]
    cold, warm = calls
    sizes = [f"{cold[name]:,}" if name in cold else "failed" for name in SIZES]
    stages = [show_seconds(cold[name]) if name in cold else "-" for name in STAGES]
    return [row, *sizes, *stages, *(show_seconds(run["seconds"]) for run in (cold, warm))]


def long_tape_rows() -> list[list[str]]:
    """Lines for every length, with the growth over the first."""
    measured = long_tapes()
    first = measured[0]
    rows = []
    for tape in measured:
        both = tape["trace"] + tape["roll"]
        growth = both / (first["trace"] + first["roll"])
        linear = growth * first["instructions"] / tape["instructions"]
        sizes = [f"{tape['instructions']:,.0f}", f"{tape['statements']:.0f}"]
        seconds = [show_seconds(tape[stage]) for stage in ("trace", "roll")]
        memory = f"{tape['peak']:.0f} MB (imports {tape['before']:.0f})"
        rows.append([*sizes, *seconds, show_seconds(both), show_ratio(linear), memory])
    return rows


# -- tables ---------------------------------------------------------------------------------------


def print_speed_and_peers(report: Report, rows: Sequence[str]) -> None:
    """Measure and print the tables of speed and of peers."""
    lines, others, peers = [], [], []
    for row in rows:
        line, times = speed_row(report, row)
        lines.append(line)
        others += other_rows(row, times)
        if row == "rosenbrock-10":
            lines.append(inside_row(report, row))
        peers.append(peer_row(report, row, times))
    hand = ("direct", "kernel/direct", "tuned", "kernel/tuned")
    columns = ("row", "jitgrad kernel", *hand, "from Python", "difference")
    print_table("value and gradient: jitgrad and hand-written Numba (medians)", columns, lines)
    if others:
        columns = ("row", "variant", "median", "kernel/variant")
        print_table("further hand-written variants", columns, others)
    columns = ("row", "jitgrad from Python", "micrograd", "micrograd, gc off", "HIPS autograd")
    print_table("peers (in brackets: times jitgrad from Python)", columns, peers)


def print_compilation(report: Report, rows: Sequence[str]) -> None:
    """Measure and print sizes and compile times."""
    lines = [compile_row(report, row) for row in rows]
    columns = ("row", *SIZES, *STAGES, "first call, cold", "second process")
    print_table("instructions, statements, and seconds to compile", columns, lines)


def print_long_tape(report: Report) -> None:
    """Measure and print the long tapes."""
    lines = report.attempt("million", long_tape_rows) or [["failed"] * 7]
    columns = ("instructions", "statements", "trace", "roll", "both", "to linear", "peak memory")
    print_table("a long scalar tape", columns, lines)


def main(arguments: Sequence[str]) -> None:
    """Measure the rows named, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*OPPONENTS, "million"]
    parser.add_argument("rows", nargs="*", metavar="row", help=", ".join(names))
    asked = parser.parse_args(arguments).rows or names
    for name in asked:
        if name not in names:
            parser.error(f"no row {name!r}; there are {', '.join(names)}")
    report = Report()
    print(
        f"Python {platform.python_version()}, {platform.machine()}, medians of interleaved rounds"
    )
    rows = [name for name in asked if name != "million"]
    if rows:
        print_speed_and_peers(report, rows)
        print_compilation(report, rows)
    if "million" in asked:
        print_long_tape(report)
    report.print_failures()


if __name__ == "__main__":
    main(sys.argv[1:])

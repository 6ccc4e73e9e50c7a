"""The fuzz as a command: ``python -m tests.fuzz_command 10000 --seed 0``.

So many array programs, a fifth as many with calls in them (`random_calls`), and a fifth as many
functions of `random_functions`, in two processes. Of the programs of each kind at least 500 (or
all, if they are fewer) are compiled with Numba. Failures are
made smaller and printed as scripts; with any, the command fails.
"""

import argparse
import collections
import multiprocessing
import sys
import time
from typing import NamedTuple

from tests import fuzz, fuzz_arrays
from tests.fuzz import Mismatch
from tests.random_arrays import random_arrays
from tests.random_calls import random_calls
from tests.random_functions import random_function

BLOCK = 25  # programs to a task
TASKS = 8  # to a process: what is loaded stays in memory
COMPILED = 500
SHOWN = 2  # scripts for each way to fail
MAKERS = {"arrays": random_arrays, "calls": random_calls, "functions": random_function}


class Task(NamedTuple):
    """Some seeds for one process."""

    seeds: range
    without: int
    numba: int
    kind: str


def performed(task):
    """Check the programs of some seeds; return how many came out how, and what failed."""
    found, failed = collections.Counter(), []
    for seed in task.seeds:
        case = MAKERS[task.kind](seed)
        try:
            found.update(function(case) if task.kind == "functions" else arrays(case, task))
        except Mismatch as failure:
            found[f"FAILED {failure.stage}"] += 1
            failed.append((task, case, failure.stage, str(failure)))
    return found, failed


def function(case):
    yield "functions " + ("checked" if fuzz.check(case) else "not finite or not Python")


def arrays(case, task):
    """Check an array program; say what was compared."""
    report = fuzz_arrays.check(case, task.without, case.seed % task.numba == 0)
    yield f"{task.kind} {report.outcome}"
    if report.autograd:
        yield f"{task.kind} and {report.autograd}"
    if report.differences:
        yield f"{task.kind} and central differences"
    if report.numba:
        yield f"{task.kind} and Numba"
    yield from (f"{task.kind} without {name}" for name in report.left_out)


def shrunk(task, case, stage, text):
    """Describe a failure, made smaller, as a script."""

    def check(smaller):
        if task.kind == "functions":
            return fuzz.check(smaller)
        compiled = "Numba" in stage
        return fuzz_arrays.check(smaller, task.without, compiled)

    small = fuzz.minimised(case, stage, check)
    try:
        check(small)
    except Mismatch as again:
        text = str(again)
    return f"--- seed {case.seed}: {text}\n{small.reproduction()}"


def tasks(counts, seed, without):
    """Cut the seeds into tasks: so many programs of each kind."""
    for kind, count in counts.items():
        numba = max(count // COMPILED, 1)
        for first in range(seed, seed + count, BLOCK):
            yield Task(range(first, min(first + BLOCK, seed + count)), without, numba, kind)


def fuzzed(todo, processes):
    """Perform the tasks and print what fails and how far it is; return the counts."""
    found, start, done = collections.Counter(), time.perf_counter(), 0
    total = sum(len(task.seeds) for task in todo)
    with multiprocessing.Pool(processes, maxtasksperchild=TASKS) as pool:
        for task, (counts, failures) in zip(todo, pool.imap(performed, todo), strict=True):
            found += counts
            done += len(task.seeds)
            for of, case, stage, text in failures:
                if found[f"FAILED {stage}"] <= SHOWN:
                    print(f"\n{shrunk(of, case, stage, text)}", flush=True)
                else:
                    print(f"--- seed {case.seed}: {stage}", flush=True)
            if done % 500 < BLOCK:
                print(f"{done} of {total}, {time.perf_counter() - start:.0f} s", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=1000, help="array programs")
    parser.add_argument("--calls", type=int, help="with calls: a fifth of them if not given")
    parser.add_argument("--functions", type=int, help="a fifth of them if not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--without", type=int, default=2, help="passes left out of each")
    given = parser.parse_args()
    fifth = given.count // 5
    counts = {
        "arrays": given.count,
        "calls": fifth if given.calls is None else given.calls,
        "functions": fifth if given.functions is None else given.functions,
    }
    start = time.perf_counter()
    todo = list(tasks(counts, given.seed, given.without))
    found = fuzzed(todo, given.processes)
    for what, times in sorted(found.items()):
        print(f"{times:7d}  {what}")
    print(f"{time.perf_counter() - start:.0f} s")
    sys.exit(any(what.startswith("FAILED") for what in found))


if __name__ == "__main__":
    main()

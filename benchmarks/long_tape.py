"""Tracing and rolling of one very long scalar tape: seconds and peak memory.

`python -m benchmarks.long_tape 1000000` prints JSON for a tape of about that many instructions,
without compiling it. Each length has a process of its own, so that the peak is its own.
"""

import json
import resource
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.first_call import run_module

LENGTHS = (100_000, 1_000_000)
OPERATIONS_PER_STEP = 5  # of `problems.recurrence`
MEGABYTE_IN_KILOBYTES = 1024.0


def peak_megabytes() -> float:
    """Return the largest resident size of this process so far.

    Linux carries the parent's peak over into `getrusage` of a child (1.4 GB after micrograd ran),
    but not into VmHWM.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="ascii").splitlines()
        peak = next(line for line in lines if line.startswith("VmHWM"))
        return int(peak.split()[1]) / MEGABYTE_IN_KILOBYTES
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE_IN_KILOBYTES


def measure(length: int) -> dict[str, float]:
    """Trace and roll a recurrence of about `length` instructions."""
    import jitgrad
    from benchmarks.problems import recurrence

    fun = jitgrad.compile(recurrence)
    before = peak_megabytes()
    start = perf_counter()
    low = fun.lower(0.5, length // OPERATIONS_PER_STEP)
    statements = low.program.statements
    elapsed = perf_counter() - start
    stages = {name: float(seconds) for name, seconds in dict(low.timings).items()}
    counts = {"instructions": len(low.tape), "statements": statements, "elapsed": elapsed}
    return {**counts, **stages, "before": before, "peak": peak_megabytes()}


def long_tapes() -> list[dict[str, Any]]:
    """Measure every length, each in a fresh process, shortest first."""
    return [run_module("benchmarks.long_tape", str(length)) for length in LENGTHS]


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))

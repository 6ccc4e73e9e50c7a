"""All tools on one row: first calls in fresh processes, then times taken in turns.

Each tool has one process with an empty cache, which ends after its first call, and one that finds
what the first left on disk and stays for the timing. In each round every tool gives one time.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any, NamedTuple

from benchmarks.arrays.tools import TOOLS
from benchmarks.first_call import REPOSITORY

ROUNDS = 7
SLOW = 0.5  # seconds a call; slower ones are timed in the first two rounds only
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def thread_limits(threads: int) -> dict[str, str]:
    """Return the environment in which every library starts so many threads.

    JAX alone knows one thread or all.
    """
    limits = dict.fromkeys(THREADS, str(threads))
    if threads == 1:
        limits["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return limits


class Cell(NamedTuple):
    """What one tool did on one row.

    Attributes
    ----------
    seconds : sequence of float
        Of one call, one for each round; empty where there is none.
    cold, warm : float or None
        Seconds of the first call with an empty cache, and with a filled one if there is one.
    memory : float or None
        Megabytes above what the imports and the data take, at the highest, compiling included.
    error : float or None
        Largest error of value and gradient, relative to the largest entry.
    version : str
        The library's.
    absent, failed : str
        Why there is nothing here; at most one is not empty.
    """

    seconds: Sequence[float] = ()
    cold: float | None = None
    warm: float | None = None
    memory: float | None = None
    error: float | None = None
    version: str = ""
    absent: str = ""
    failed: str = ""

    def typical(self) -> float | None:
        """Return the median round."""
        return median(self.seconds) if self.seconds else None


class Worker:
    """A process of `worker.py`, asked line by line."""

    def __init__(self, tool: str, row: str, folder: Path) -> None:
        cache = {name: form.format(folder) for name, form in TOOLS[tool].cache.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.arrays.worker", tool, row],
            env={**os.environ, **cache},
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.unread = b""

    def answer(self, limit: float) -> Any:
        """Read one line of JSON.

        Raises
        ------
        TimeoutError, EOFError
            When it takes longer than `limit` seconds; when the process ended.
        """
        assert self.process.stdout is not None
        pipe, until = self.process.stdout.fileno(), monotonic() + limit
        while b"\n" not in self.unread:
            if not select.select([pipe], [], [], max(0.0, until - monotonic()))[0]:
                raise TimeoutError(f"more than {limit:.0f} s")
            read = os.read(pipe, 65536)
            if not read:
                raise EOFError(f"the process ended with status {self.process.wait()}")
            self.unread += read
        line, self.unread = self.unread.split(b"\n", 1)
        return json.loads(line)

    def sample(self, limit: float) -> float:
        """Return seconds per call of one sample."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return self.answer(limit)

    def close(self) -> None:
        """End the process and those that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def first(tool: str, row: str, folder: Path, limit: float) -> tuple[dict[str, Any], Worker | None]:
    """Start a process; return its first answer, and itself if it can be timed."""
    worker = Worker(tool, row, folder)
    try:
        found = worker.answer(limit)
    except (TimeoutError, EOFError, ValueError) as reason:
        found = {"failed": str(reason)}
    if "first" in found:
        return found, worker
    worker.close()
    return found, None


def start(tool: str, row: str, folder: Path, limit: float) -> tuple[Cell, Worker | None]:
    """Take both first calls of a tool on a row."""
    cold, worker = first(tool, row, folder, limit)
    if worker is None:
        return Cell(**cold), None
    names = ("memory", "error", "version")
    cell = Cell(cold=cold["first"], **{name: cold[name] for name in names})
    if not TOOLS[tool].cache:
        return cell, worker
    worker.close()
    warm, worker = first(tool, row, folder, limit)
    if worker is None:
        return cell._replace(failed=f"from disk: {warm.get('failed', '')}"), None
    return cell._replace(warm=warm["first"]), worker


def race(row: str, tools: Sequence[str], limit: float, rounds: int = ROUNDS) -> dict[str, Cell]:
    """Measure tools on one row; `limit` is the seconds that a first call or a sample may take."""
    cells: dict[str, Cell] = {}
    workers: dict[str, Worker] = {}
    with tempfile.TemporaryDirectory(prefix="jitgrad-bench-", ignore_cleanup_errors=True) as base:
        try:
            for tool in tools:
                folder = Path(base, tool)
                folder.mkdir()
                cells[tool], worker = start(tool, row, folder, limit)
                if worker is not None:
                    workers[tool] = worker
            times = take_turns(workers, limit, rounds)
        finally:
            for worker in workers.values():
                worker.close()
    return {tool: cell._replace(seconds=times.get(tool, ())) for tool, cell in cells.items()}


def take_turns(workers: dict[str, Worker], limit: float, rounds: int) -> dict[str, list[float]]:
    """Return times per call of every process, one a round."""
    times: dict[str, list[float]] = {tool: [] for tool in workers}
    for turn in range(rounds):
        for tool, worker in workers.items():
            if turn < 2 or (times[tool] and min(times[tool]) < SLOW):
                try:
                    times[tool].append(worker.sample(limit))
                except (TimeoutError, EOFError, BrokenPipeError):
                    continue
    return times

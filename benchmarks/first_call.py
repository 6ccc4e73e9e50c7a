"""The first call of a row in a fresh process, with an empty cache and with a filled one.

`python -m benchmarks.first_call garch` prints seconds as JSON. Imports and the making of the data
are over when the clock starts; timed are decorating, tracing, rolling, compiling and running.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
TIME_LIMIT = 300.0  # seconds


def run_module(name: str, *arguments: str, timeout: float = TIME_LIMIT, **environment: str) -> Any:
    """Run `python -m name arguments` in the repository and read the JSON of its last line.

    Raises
    ------
    RuntimeError
        When the process fails; the message is the last line of its error output.
    subprocess.TimeoutExpired
        When it takes longer than `timeout` seconds.
    """
    ran = subprocess.run(
        [sys.executable, "-m", name, *arguments],
        env={**os.environ, **environment},
        cwd=REPOSITORY,
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError((ran.stderr.strip() or "no message").splitlines()[-1])
    return json.loads(ran.stdout.strip().splitlines()[-1])


def first_calls(row: str) -> tuple[float, float]:
    """Return seconds of the first call, cold, and of the first in a second process."""
    with tempfile.TemporaryDirectory(prefix="jitgrad-bench-") as folder:
        cold = run_module("benchmarks.first_call", row, JITGRAD_CACHE_DIR=folder)
        warm = run_module("benchmarks.first_call", row, JITGRAD_CACHE_DIR=folder)
    return cold["seconds"], warm["seconds"]


def main(row: str) -> None:
    """Time the first value and gradient of one row."""
    import jitgrad  # noqa: F401  (its import is not part of the call)
    from benchmarks.problems import PROBLEMS, moons_data
    from benchmarks.subject import subject

    if row == "moons":
        moons_data()  # imports scikit-learn
    else:
        PROBLEMS[row]()
    start = perf_counter()
    subject(row).from_python()
    print(json.dumps({"seconds": perf_counter() - start}))


if __name__ == "__main__":
    main(sys.argv[1])

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


def first_calls(row: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what `main` prints with an empty cache, and again in a second process."""
    with tempfile.TemporaryDirectory(prefix="jitgrad-bench-") as folder:
        cold = run_module("benchmarks.first_call", row, JITGRAD_CACHE_DIR=folder)
        warm = run_module("benchmarks.first_call", row, JITGRAD_CACHE_DIR=folder)
    return cold, warm


def sizes_and_stages(this: Any) -> dict[str, Any]:
    """Instructions, statements, and seconds of each stage of the specialisation just made."""
    low = this.fun.lower(*this.args)
    timings = {name: float(seconds) for name, seconds in dict(low.timings).items()}
    forward, backward = low.program.statements, low.gradient_program.statements
    return {"tape": len(low.tape), "forward": forward, "gradient": backward, **timings}


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
    this = subject(row)
    this.from_python()
    seconds = perf_counter() - start
    try:
        details = sizes_and_stages(this)
    except Exception as reason:  # the time of the call is worth printing without them
        print(f"no stages: {reason}", file=sys.stderr)
        details = {}
    print(json.dumps({"seconds": seconds, **details}))


if __name__ == "__main__":
    main(sys.argv[1])

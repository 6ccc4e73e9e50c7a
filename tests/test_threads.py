"""Many threads, and many processes, on one compiled function."""

import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import jitgrad
from jitgrad import Value
from jitgrad.graph import active

ROOT = str(Path(jitgrad.__path__[0]).parent)
PRIVATE = 0o700


def together(count, act):
    """Call ``act(number)`` in threads that start at the same moment; return what they return."""
    barrier = threading.Barrier(count)

    def run(number):
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def loss(w, x):
    return np.sum(np.exp(-((w - x) ** 2)))


def expected(w, x):
    bell = np.exp(-((w - x) ** 2))
    return np.sum(bell), -2.0 * (w - x) * bell


# --- threads -------------------------------------------------------------------------------------


def test_the_first_call_from_eight_threads_at_once():
    fun = jitgrad.compile(loss)
    x = np.linspace(0.0, 1.0, 50)
    results = together(8, lambda number: fun.value_and_grad(x * number, x))
    for number, (value, gradient) in enumerate(results):
        wanted, slope = expected(x * number, x)
        assert value == pytest.approx(wanted, rel=1e-13)
        np.testing.assert_allclose(gradient, slope, rtol=1e-12, atol=1e-15)
    assert repr(fun).endswith("1 traced>")


def test_different_shapes_from_eight_threads_at_once():
    fun = jitgrad.compile(loss)

    def act(number):
        results = []
        for extent in (number % 4 + 1, 5, number % 3 + 1):
            w, x = np.full(extent, 0.1 * number), np.ones(extent)
            results.append((fun.value_and_grad(w, x), expected(w, x)))
        return results

    for results in together(8, act):
        for (value, gradient), (wanted, slope) in results:
            assert value == pytest.approx(wanted, rel=1e-13)
            np.testing.assert_allclose(gradient, slope, rtol=1e-12)
    assert repr(fun).endswith("5 traced>")


def test_many_calls_in_parallel_do_not_mix():
    fun = jitgrad.compile(loss)
    x = np.linspace(-1.0, 1.0, 2000)
    fun.value_and_grad(x, x)

    def act(number):
        w = x + 0.01 * number
        wanted, slope = expected(w, x)
        for _ in range(200):
            value, gradient = fun.value_and_grad(w, x)
            if not (abs(value - wanted) < 1e-9 and np.allclose(gradient, slope, atol=1e-13)):
                return False
        return True

    assert all(together(8, act))


def test_a_trace_in_one_thread_is_not_seen_in_another():
    entered, go_on = threading.Event(), threading.Event()

    def slow(x):
        entered.set()
        assert go_on.wait(30)
        return x * x

    fun = jitgrad.compile(slow)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(fun, 3.0)
        assert entered.wait(30)
        v = Value(2.0)
        (v * v).backward()  # eager, while the other thread traces
        assert active.tape is None and v.grad == 4.0
        assert jitgrad.compile(lambda x: x + 1.0)(1.0) == 2.0
        go_on.set()
        assert pending.result(30) == 9.0


def test_the_lock_of_python_is_released():
    """While one thread is in a kernel, others run: their progress is what tells."""

    def slow(x):
        total = 0.0
        for _ in range(60):
            total = total + np.sum(np.sin(x + total))
        return total

    fun = jitgrad.compile(slow)
    x = np.linspace(0.0, 1.0, 100_000)
    kernel = fun.kernel(x)
    gradient = np.empty_like(x)
    kernel(x, gradient)
    running, steps = threading.Event(), []

    def work():
        running.set()
        kernel(x, gradient)
        running.clear()

    thread = threading.Thread(target=work)
    thread.start()
    while running.is_set() or not steps:
        steps.append(time.perf_counter())
    thread.join()
    longest = max(np.diff(steps), default=0.0)
    assert len(steps) > 1000
    assert longest < 0.5 * (steps[-1] - steps[0]) or steps[-1] - steps[0] < 0.05


# --- processes -----------------------------------------------------------------------------------

PROGRAM = """
import sys
import numpy as np
import jitgrad

@jitgrad.compile
def loss(params, X, y):
    h = np.tanh(X @ params["W"] + params["b"])
    return np.mean((h.sum(axis=1) - y) ** 2)

rng = np.random.default_rng(0)
params = {"W": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}
X, y = rng.normal(size=(10, 3)), rng.normal(size=10)
if sys.argv[1:]:
    input()
value, gradient = loss.value_and_grad(params, X, y)
kernel = loss.kernel(params, X, y)
hits = sum(kernel.stats.cache_hits.values())
print(repr(value), repr(float(gradient["W"].sum())), hits, flush=True)
"""


def start(folder, *arguments):
    environment = {**os.environ, "JITGRAD_CACHE_DIR": str(folder), "PYTHONPATH": ROOT}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process, text=""):
    output, errors = process.communicate(text, timeout=120)
    assert process.returncode == 0, errors
    assert errors == ""
    value, slope, hits = output.split()
    return float(value), float(slope), int(hits)


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth", numbered=True)
    folder.chmod(PRIVATE)
    value, slope, hits = result(start(folder))
    assert hits == 0
    rng = np.random.default_rng(0)
    params = {"W": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}
    X, y = rng.normal(size=(10, 3)), rng.normal(size=10)
    h = np.tanh(X @ params["W"] + params["b"])
    away = h.sum(axis=1) - y
    assert value == pytest.approx(np.mean(away**2), rel=1e-13)
    wanted = X.T @ ((2.0 / 10.0) * away[:, None] * (1.0 - h * h))
    assert slope == pytest.approx(wanted.sum(), rel=1e-12)
    return folder, (value, slope)


@pytest.fixture
def folder(tmp_path):
    tmp_path.chmod(PRIVATE)
    return tmp_path


def test_a_second_process_starts_warm(truth):
    folder, wanted = truth
    *found, hits = result(start(folder))
    assert tuple(found) == wanted and hits == 1


def test_two_processes_compile_the_same_function_at_once(truth, folder):
    processes = [start(folder, "wait") for _ in range(2)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        assert result(process)[:2] == truth[1]
    *found, hits = result(start(folder))
    assert tuple(found) == truth[1] and hits == 1


@pytest.mark.parametrize(
    "kind, damage", [("*.nbc", "truncated"), ("*.nbi", "zeros"), ("*", "empty")]
)
def test_damaged_files_are_rebuilt(truth, folder, kind, damage):
    """`tests/test_cpu.py` has every kind of damage; these go the whole way."""
    shutil.copytree(truth[0], folder, dirs_exist_ok=True)
    files = [file for file in folder.rglob(kind) if file.is_file()]
    assert files
    for file in files:
        data = file.read_bytes()
        damaged = {"truncated": data[: len(data) // 2], "empty": b"", "zeros": bytes(len(data))}
        file.write_bytes(damaged[damage])
    *found, hits = result(start(folder))
    assert tuple(found) == truth[1] and hits == 0
    assert [file for file in files if file.stat().st_size > 100]


@pytest.mark.skipif(os.name == "nt", reason="folders have no mode bits there")
def test_a_folder_that_cannot_be_written(truth, folder):
    for path in (folder / "__pycache__", folder):
        path.mkdir(exist_ok=True)
        path.chmod(0o500)
    if os.access(folder, os.W_OK):  # root can write anywhere: a folder that is a file will do
        for path in (folder, folder / "__pycache__"):
            path.chmod(PRIVATE)
        (folder / "__pycache__").rmdir()
        (folder / "__pycache__").write_text("in the way")
    try:
        assert result(start(folder))[:2] == truth[1]
    finally:
        folder.chmod(PRIVATE)


@pytest.mark.skipif(os.name == "nt", reason="folders have no mode bits there")
def test_a_folder_that_others_can_write_to_is_not_used(truth, folder):
    folder.chmod(0o777)
    assert result(start(folder))[:2] == truth[1]
    assert not [file for file in folder.rglob("*") if file.is_file()]


# --- importing -----------------------------------------------------------------------------------


def seconds(statement):
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", statement],
        check=True,
        env={**os.environ, "PYTHONPATH": ROOT, "PYTHONDONTWRITEBYTECODE": ""},
    )
    return time.perf_counter() - started


def test_import_is_quick(record_property):
    """At most 150 ms on an idle machine; other work on this one is allowed for."""
    seconds("import jitgrad")  # what is installed has been compiled to bytecode
    pairs = [(seconds("import numba"), seconds("import numba, jitgrad")) for _ in range(5)]
    added = statistics.median(both for _, both in pairs) - statistics.median(
        alone for alone, _ in pairs
    )
    record_property("milliseconds", round(1000 * added))
    print(f"import jitgrad adds {1000 * added:.0f} ms to import numba")
    assert added < 0.4


def test_import_brings_nothing_heavy():
    statement = (
        "import sys, numba\n"
        "before = set(sys.modules)\n"
        "import jitgrad\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    environment = {**os.environ, "PYTHONPATH": ROOT}
    found = subprocess.run(
        [sys.executable, "-c", statement], capture_output=True, text=True, env=environment
    )
    packages = {name for name in found.stdout.split() if name not in sys.stdlib_module_names}
    assert packages <= {"jitgrad", "numpy", "optree", "platformdirs", "typing_extensions"}

"""Compiled once, right always: flags, cache hits, damage, and no warnings."""

import json
import math
import os
import pickle
import platform
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core import caching

from jitgrad import cache, cpu

DOT = """\
import math


def add_up(total, term):
    return total + term


def scaled(x):
    return 1.5 * x


def NAME(a, b):
    total = 0.0
    for i in range(a.shape[0]):
        total = add_up(total, scaled(a[i]) * b[i])
    return total + math.exp(0.0)
"""
A = np.linspace(-1.0, 2.0, 1001)
B = np.cos(A)
DOUBLES = (numba.float64[::1], numba.float64[::1])
x86 = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 instructions"
)


def named(text, strict=False, extra=""):
    """The text with its kernel's name, which holds the digest."""
    name = "k_" + cache.digest(text, cpu.flags(strict), extra)
    return text.replace("NAME", name), name


@pytest.fixture
def dot(request):
    """Source and name of a kernel that no other test uses."""
    return named(DOT, extra=request.node.nodeid)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JITGRAD_CACHE_DIR", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


def build(source, name, **options):
    options = {"helpers": ["add_up", "scaled"], "strict": False, "signature": DOUBLES, **options}
    return cpu.compile_module(source, name, **options)


def expected(a=A, b=B):
    return 1.5 * (a @ b) + 1.0


# What it returns


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("signature", [None, DOUBLES])
def test_value(strict, signature):
    source, name = named(DOT, strict, str(signature))
    kernel = build(source, name, strict=strict, signature=signature)
    assert kernel(A, B) == pytest.approx(expected(), rel=1e-14)
    assert build(source, name, strict=strict, signature=signature) is kernel


def test_interpret_runs_plain_python(dot):
    plain = cpu.interpret(*dot)
    build(*dot)
    again = cpu.interpret(*dot)
    total = 0.0
    for a, b in zip(A, B, strict=True):
        total += 1.5 * a * b
    assert plain(A, B) == again(A, B) == total + 1.0
    assert type(plain.__globals__["scaled"]) is type(test_value)
    assert Path(plain.__code__.co_filename).read_text() == dot[0]


def test_kernel_in_the_users_own_loop(dot):
    kernel = build(*dot)

    @numba.njit
    def descend(a, b):
        total = 0.0
        for _ in range(3):
            total += kernel(a, b)
        return total

    assert descend(A, B) == pytest.approx(3 * expected(), rel=1e-14)


def test_one_signature_only(dot):
    kernel = build(*dot)
    with pytest.raises(TypeError, match="No matching definition"):
        kernel(A.astype(np.float32), B)
    with pytest.raises(ValueError, match="is compiled for"):
        build(*dot, signature=(numba.float32[::1], numba.float64[::1]))
    assert len(kernel.signatures) == 1


def test_one_strictness_only(dot):
    build(*dot)
    with pytest.raises(ValueError, match="compiled already, with strict=False"):
        build(*dot, strict=True)


def test_types_of():
    assert cpu.types_of(A, 1.0, 3) == (numba.float64[::1], numba.float64, numba.int64)


def test_flags_differ():
    assert cpu.flags(True) != cpu.flags(False)


def test_division_by_zero_is_ieee():
    source, name = named(
        "def half(x):\n    return 0.5 / x\n\ndef NAME(x):\n    return half(x) / x\n"
    )
    kernel = cpu.compile_module(source, name, ["half"], False, (numba.float64,))
    assert kernel(0.0) == math.inf
    assert math.isnan(kernel(math.nan))


def test_no_advice_about_generated_source():
    source, name = named("import numpy as np\ndef NAME(a, b):\n    return np.dot(a, b)\n")
    strided = (numba.float64[:, :], numba.float64[:, :])  # Numba would advise contiguous arrays
    kernel = cpu.compile_module(source, name, [], False, strided)
    assert kernel(np.eye(4)[::2], np.ones((8, 2))[::2]).shape == (2, 2)


def test_without_compiler(folder, dot):
    code = (
        "import sys, numpy as np; from jitgrad import cpu\n"
        f"kernel = cpu.compile_module(*{dot}, ['add_up', 'scaled'], False, (1, 2))\n"
        "print(kernel(np.ones(2), np.ones(2)))"
    )
    assert python(code, folder, NUMBA_DISABLE_JIT="1") == "4.0"


# Flags

CANCEL = """\
def add_up(total, term):
    return total + term


def NAME(a, b):
    total = 0.0
    worst = 0.0
    for i in range(a.shape[0]):
        total = add_up(total, a[i] * b[i])
    for i in range(a.shape[0]):
        worst = max(worst, abs(((a[i] + 1e16) - 1e16) - b[i]))
    return total, worst
"""


def fastmath_flags(kernel):
    """The flags on each floating-point addition and product of the kernel's optimised LLVM IR."""
    (text,) = kernel.inspect_llvm().values()
    return re.findall(r"= f(?:add|mul|sub) ((?:\w+ )*)(?:<\d+ x )?double", text)


def assembly(kernel):
    (text,) = kernel.inspect_asm().values()
    return text


@x86
def test_sums_are_vectorised():
    source, name = named(CANCEL)
    kernel = cpu.compile_module(source, name, ["add_up"], False, DOUBLES)
    assert re.search(r"\bv?(fmadd\d+|add)pd\b", assembly(kernel))
    (text,) = kernel.inspect_llvm().values()
    assert re.search(r"fadd reassoc contract <\d+ x double>", text)


@x86
def test_strict_sums_are_not():
    source, name = named(CANCEL, strict=True)
    kernel = cpu.compile_module(source, name, ["add_up"], True, DOUBLES)
    assert set(fastmath_flags(kernel)) == {""}
    assert not re.search(r"\bv?fn?m(add|sub)\d+[ps]d\b", assembly(kernel)), "no contraction"
    total = 0.0
    for a, b in zip(A, B, strict=True):
        total += a * b
    assert kernel(A, B)[0] == total, "in order, to the last bit"


@pytest.mark.parametrize("strict", [False, True])
def test_only_sums_are_reassociated(strict):
    source, name = named(CANCEL, strict, "values")
    kernel = cpu.compile_module(source, name, ["add_up"], strict, DOUBLES)
    # (x + 1e16) - 1e16 rounds x to an even integer; folded, it would be x.
    assert kernel(np.array([0.3, 1.7]), np.array([0.0, 2.0]))[1] == 0.0
    (text,) = kernel.inspect_llvm().values()
    products = re.findall(r"= fmul (.*?)(?:double|<)", text)
    big = re.findall(r"= fadd (.*?)(?:double|<).*(?:1\.0+e\+16|0x.341C37937E08000)", text)
    assert products and big
    assert set(products + big) == {"" if strict else "contract "}
    assert set(" ".join(fastmath_flags(kernel)).split()) <= {"contract", "reassoc"}


def test_sum_keeps_nan_and_infinity(dot):
    kernel = build(*dot)
    for special in (math.nan, math.inf, -math.inf):
        a = A.copy()
        a[500] = special
        assert kernel(a, np.ones_like(a)) == pytest.approx(special, nan_ok=True)
    assert math.isnan(kernel(np.array([math.inf, -math.inf]), np.ones(2)))


# On disk

SCRIPT = """
import json, sys
import numpy as np
from jitgrad import cpu
source, name = json.loads(sys.argv[1])
a = np.linspace(-1.0, 2.0, 1001)
kernel = cpu.compile_module(
    source, name, ["add_up", "scaled"], False, cpu.types_of(a, a) if {eager} else None
)
value = kernel(a, np.cos(a))
print(repr(float(value)), sum(kernel.stats.cache_hits.values()))
print([f.__name__ for f in (sys.modules[kernel.py_func.__module__].scaled,) if f.signatures])
"""


def python(code, folder, *arguments, **environment):
    environment = {**os.environ, "JITGRAD_CACHE_DIR": str(folder), **environment}
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def fresh(dot, folder, eager=True, **environment):
    """Compile and call in a fresh process; return the value, the cache hits, helpers compiled."""
    code = SCRIPT.replace("{eager}", str(eager))
    first, helpers = python(code, folder, json.dumps(dot), **environment).splitlines()
    value, hits = first.split()
    return float(value), int(hits), helpers


def test_second_process_loads(folder, dot):
    value, hits, helpers = fresh(dot, folder)
    assert (hits, helpers) == (0, "['scaled']")
    assert value == pytest.approx(expected(), rel=1e-14)
    assert fresh(dot, folder) == (value, 1, "[]"), "the helpers' code came with the kernel's"
    compiled = [path.suffix for path in (folder / "__pycache__").iterdir()]
    assert sorted(compiled) == [".nbc", ".nbi"]


def test_changed_helper_is_no_stale_hit(folder):
    before = named(DOT, extra="helper")
    after = named(DOT.replace("1.5", "2.5"), extra="helper")
    assert fresh(before, folder)[1] == 0
    value, hits, _ = fresh(after, folder)
    assert value == pytest.approx(2.5 * (A @ B) + 1.0, rel=1e-14)
    assert hits == 0
    assert build(*before)(A, B) == pytest.approx(expected(), rel=1e-14)
    assert build(*after)(A, B) == pytest.approx(2.5 * (A @ B) + 1.0, rel=1e-14)


def damage_truncated(data):
    return data[: len(data) // 2]


def damage_emptied(data):
    return b""


def damage_garbage(data):
    return b"\x80\x05" + b"not a pickle" * 9


def damage_zeroed_block(data):
    middle = len(data) // 2
    return data[:middle] + bytes(512) + data[middle + 512 :]


def damage_other_pickle(data):
    return pickle.dumps(("something", "else", 1))


DAMAGES = [
    damage_truncated,
    damage_emptied,
    damage_garbage,
    damage_zeroed_block,
    damage_other_pickle,
]


@pytest.mark.parametrize(
    "damage, suffix, eager",
    [
        *((damage, ".nbc", True) for damage in DAMAGES),
        # An index is smaller than the block that gets zeroed.
        *((damage, ".nbi", True) for damage in DAMAGES[::2] if damage is not damage_zeroed_block),
        (damage_truncated, ".nbc", False),
    ],
)
def test_damaged_machine_code_is_compiled_again(folder, dot, damage, suffix, eager):
    value = build(*dot)(A, B)
    (path,) = (folder / "__pycache__").glob(f"*{suffix}")
    path.write_bytes(damage(path.read_bytes()))
    assert fresh(dot, folder, eager)[:2] == (value, 0)
    assert fresh(dot, folder, eager)[:2] == (value, 1), "the entry was repaired"


def test_lost_machine_code_is_compiled_again(folder, dot):
    value = build(*dot)(A, B)
    (path,) = (folder / "__pycache__").glob("*.nbc")
    path.unlink()
    assert fresh(dot, folder)[:2] == (value, 0)
    assert fresh(dot, folder)[:2] == (value, 1)


def test_damaged_source_is_replaced(folder, dot):
    value = build(*dot)(A, B)
    path = folder / f"{dot[1]}.py"
    path.write_text(dot[0].replace("1.5", "9.9"))
    assert fresh(dot, folder)[0] == value
    assert path.read_text() == dot[0]


def test_numbas_own_cache_folder_is_not_used(folder, dot, tmp_path):
    # Its permissions are nobody's business here, and pickles are executed.
    fresh(dot, folder, NUMBA_CACHE_DIR=str(tmp_path / "numba"))
    assert not (tmp_path / "numba").exists()
    assert fresh(dot, folder)[1] == 1


@pytest.mark.parametrize("signature", [None, DOUBLES])
def test_failing_save_is_no_error(folder, dot, monkeypatch, signature):
    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "_open_for_write", full)
    assert build(*dot, signature=signature)(A, B) == pytest.approx(expected(), rel=1e-14)
    assert os.listdir(folder / "__pycache__") == []


READ_ONLY = """
import os, sys
import numba
import numpy as np
from jitgrad import cpu
numba.njit(lambda x: x + 1)(1.0)  # Numba's late imports, while Python's own files can be read
os.setgroups([]); os.setgid(65534); os.setuid(65534)
os.environ["HOME"] = "/nonexistent"
a = np.linspace(-1.0, 2.0, 1001)
kernel = cpu.compile_module(*eval(sys.argv[1]), ["add_up", "scaled"], False, cpu.types_of(a, a))
print(repr(float(kernel(a, np.cos(a)))), sum(kernel.stats.cache_hits.values()))
"""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else"
)
def test_read_only_folder_as_an_ordinary_user(dot):
    with tempfile.TemporaryDirectory() as parent:
        os.chmod(parent, 0o755)
        folder = Path(parent, "kernels")
        (folder / "__pycache__").mkdir(parents=True)

        def give(mode):
            for path in (folder, *folder.rglob("*")):
                os.chown(path, 65534, 65534)
                path.chmod(mode if path.is_dir() else 0o400)

        give(0o500)
        value, hits = python(READ_ONLY, folder, repr(dot)).split()
        assert float(value) == pytest.approx(expected(), rel=1e-14)
        assert hits == "0"

        give(0o700)  # filled, then made read-only: loaded from
        assert python(READ_ONLY, folder, repr(dot)).split() == [value, "0"]
        give(0o500)
        assert python(READ_ONLY, folder, repr(dot)).split() == [value, "1"]

        for path in (folder / "__pycache__").iterdir():  # read-only and damaged
            path.write_bytes(damage_truncated(path.read_bytes()))
        assert python(READ_ONLY, folder, repr(dot)).split() == [value, "0"]


# At the same time


def test_several_processes(folder, dot):
    code = "import sys; sys.stdin.read()\n" + SCRIPT.replace("{eager}", "True")
    environment = {**os.environ, "JITGRAD_CACHE_DIR": str(folder)}
    command = [sys.executable, "-W", "error", "-c", code, json.dumps(dot)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, env=environment, text=True, **pipes) for _ in range(4)]
    for process in processes:
        process.stdin.close()
        process.stdin = None
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [errors for _, errors in outputs] == [""] * 4
    values = {float(output.split()[0]) for output, _ in outputs}
    assert len(values) == 1
    assert fresh(dot, folder)[:2] == (values.pop(), 1)


def test_several_threads(dot):
    kernels = []
    barrier = threading.Barrier(6)

    def work():
        barrier.wait()
        kernel = build(*dot)
        kernels.append((id(kernel), kernel(A, B)))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kernels) == 6
    assert len(set(kernels)) == 1

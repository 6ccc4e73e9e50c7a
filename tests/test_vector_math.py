"""vector_math against mpmath: a sample of what `python -m benchmarks.accuracy` measures."""

import ast
import os
import re
import subprocess
import sys

import mpmath
import numpy as np
import pytest
from numba import njit

from benchmarks.accuracy import FUNCTIONS, KINDS, arguments, edges, loop, near_quarter_turns, worst
from jitgrad import angles, vector_math
from jitgrad.vector_math import cos, exp, power, sin, tanh

ULPS = 2.0
COUNT = 8_000  # of arguments; a million in the benchmark
every_function = pytest.mark.parametrize("name", FUNCTIONS)
every_kind = pytest.mark.parametrize("kind", KINDS)
every_flag = pytest.mark.parametrize("flags", [(), ("contract",)], ids=["no flags", "contract"])


@every_function
@every_kind
def test_within_two_units_in_the_last_place(name, kind):
    error, at = worst(name, kind, arguments(name, kind, COUNT))
    assert 0.0 < error <= ULPS, at


@every_function
@every_kind
@every_flag
def test_edges(name, kind, flags):
    error, at = worst(name, kind, edges(name, kind), flags)
    assert error <= ULPS, at


@every_kind
def test_the_hardest_angles_are_among_the_arguments(kind):
    """A reduction that keeps too few bits is seen."""
    x = near_quarter_turns(kind)
    with mpmath.workprec(1400):
        nearest = min(abs(mpmath.sin(mpmath.mpf(at))) for at in x.astype(kind).astype(float))
    assert nearest < (1e-18 if kind is np.float64 else 1e-8)
    assert (np.abs(x) < angles.FAR).sum() > 20
    assert (np.abs(x) > angles.FAR).sum() > 20


def test_no_sine_is_above_one():
    x = (np.arange(-2000, 2000) * (np.pi / 2))[:, None] + np.linspace(-1e-7, 1e-7, 101)
    out = np.empty(x.size)
    for name in ("sin", "cos"):
        loop(name)(x.ravel(), out)
        assert np.abs(out).max() == 1.0


@pytest.mark.parametrize("at", [1e300, -1e300, 2.0**42 * 1.5, np.inf])
def test_a_huge_angle_changes_no_other(at):
    """One lane goes another way."""
    x = np.linspace(-3.0, 3.0, 67)
    plain, mixed = np.empty_like(x), np.empty_like(x)
    apply = loop("sin")
    apply(x, plain)
    for place in range(x.size):
        y = x.copy()
        y[place] = at
        apply(y, mixed)
        same = np.delete(mixed == plain, place)
        assert same.all()
        assert np.isnan(mixed[place]) if np.isinf(at) else abs(mixed[place]) <= 1.0


def test_python_agrees_on_the_edges_of_powers():
    """IEEE's rules, not from mpmath."""
    inf, nan = np.inf, np.nan
    cases = [
        (-0.0, -3.0, -inf), (-0.0, -2.0, inf), (-0.0, 3.0, -0.0), (-0.0, 2.5, 0.0),
        (0.0, -1e-300, inf), (-1.0, inf, 1.0), (-1.0, -inf, 1.0), (1.0, nan, 1.0),
        (nan, 0.0, 1.0), (nan, 1.0, nan), (2.0, nan, nan), (-8.0, 1.0 / 3.0, nan),
        (0.5, -inf, inf), (0.5, inf, 0.0), (2.0, -inf, 0.0), (2.0, inf, inf),
        (-inf, -3.0, -0.0), (-inf, -2.5, 0.0), (-inf, 3.0, -inf), (-inf, 0.5, inf),
        (inf, -2.0, 0.0), (inf, 2.0, inf), (-0.0, 0.5, 0.0), (-inf, -0.5, 0.0),
        (-0.0, 5e-324, 0.0), (-2.0, 1e308, inf), (-0.5, 2.0**53 - 1.0, -0.0), (0.0, 0.0, 1.0),
    ]  # fmt: skip
    x, y, expected = np.array(cases).T
    out = np.empty_like(x)
    loop("power")(x.copy(), y.copy(), out)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(
        np.signbit(out[expected == 0]), np.signbit(expected[expected == 0])
    )


@every_function
@every_kind
def test_loops_are_vectorised(name, kind):
    apply = loop(name)
    apply(*(np.ones(4, kind),) * (2 if name == "power" else 1), np.empty(4, kind))
    (text,) = apply.inspect_llvm().values()
    wide = kind is np.float64 or name in ("sin", "cos", "power")
    assert re.search(rf"call .*@llvm\.fma\.v\d+f{64 if wide else 32}\(", text)
    assert not re.findall(rf"call .*@{'pow' if name == 'power' else name}[f(]", text)
    (assembly,) = apply.inspect_asm().values()
    assert len(re.findall(r"\tv?fn?m\w+p[ds]\t|\tv?mulp[ds]\t|\tfmla\t", assembly)) > 5


@njit(error_model="numpy", fastmath={"contract", "reassoc"})
def add_up(total, term):
    return total + term


def body(x, y, out):
    """A loop with more in it: sums, a comparison, and values of two calls."""
    total = 0.0
    for i in range(x.size):
        s = sin(x[i]) * cos(y[i])
        if x[i] > 0.5:
            s = exp(-s)
        out[i] = tanh(s) + power(abs(y[i]), x[i])
        total = add_up(total, out[i])
    return total


def test_a_loop_with_several_is_vectorised():
    kernel = njit(error_model="numpy", fastmath={"contract"})(body)
    x, y = np.random.default_rng(0).uniform(-3, 3, (2, 1000))
    x[77] = -1e20
    out, plain = np.empty_like(x), np.empty_like(x)
    kernel(x, y, out)
    with np.errstate(all="ignore"):
        body(x, y, plain)
    np.testing.assert_allclose(out, plain, rtol=1e-14, atol=1e-15)
    (text,) = kernel.inspect_llvm().values()
    assert re.search(r"call .*<\d+ x double> @jitgrad_sin_far_\d", text)


def test_types_of_powers():
    @njit(error_model="numpy")
    def mixed(x, y):
        return power(x, y)

    assert mixed(np.float32(2.0), np.float32(0.5)) == np.float32(2.0**0.5)
    assert abs(mixed(np.float32(2.0), 0.5) - 2.0**0.5) < 1e-15
    assert abs(mixed(2.0, np.float32(0.5)) - 2.0**0.5) < 1e-15


def test_they_are_plain_functions_in_python():
    assert vector_math.exp(0.0) == 1.0
    assert vector_math.log(0.0) == -np.inf
    assert vector_math.tanh.__name__ == "tanh"
    assert vector_math.power(-8.0, 3.0) == -512.0
    assert np.isnan(vector_math.power(-8.0, 0.5))


def test_huge_angles_in_kernels_and_from_the_cache(tmp_path):
    """Two kernels of one process define the same functions; the second process loads both."""
    code = (
        "import numpy as np, jitgrad\n"
        "x = np.linspace(-3.0, 3.0, 100)\n"
        "x[50] = 1e250\n"
        "one = jitgrad.compile(lambda p, x: np.sum(np.sin(p * x) * np.cos(x)))\n"
        "two = jitgrad.compile(lambda p, x: np.sum(np.cos(p * x) * np.sin(x)))\n"
        "print(repr([float(k(1.0, x)) for k in (one, two)]))\n"
    )
    environment = {**os.environ, "JITGRAD_CACHE_DIR": str(tmp_path)}
    file = tmp_path / "kernels.py"
    file.write_text(code)
    found = {
        subprocess.run(
            [sys.executable, file], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    x = np.linspace(-3.0, 3.0, 100)
    x[50] = 1e250
    with mpmath.workprec(1400):
        exact = float(sum(mpmath.sin(mpmath.mpf(at)) * mpmath.cos(mpmath.mpf(at)) for at in x))
    (text,) = found
    np.testing.assert_allclose(ast.literal_eval(text), exact, rtol=0, atol=1e-14)

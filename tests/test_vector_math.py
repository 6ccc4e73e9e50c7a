"""vector_math against mpmath; `python -m tests.test_vector_math 1000000` for a long run."""

import sys

import mpmath
import numpy as np
import pytest
from numba import njit

from jitgrad import vector_math

EXACT = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    **{n: getattr(mpmath, n) for n in ("exp", "expm1", "log", "log1p", "tanh", "erf", "erfc")},
}
WIDEST = {"exp": (740, 100), "expm1": (740, 100), "tanh": (25, 12), "sigmoid": (740, 100)}
WIDEST |= {"erf": (7, 5), "erfc": (27, 10)}
ULPS = dict.fromkeys(EXACT, 2.0) | {"erfc": 4.5}
FLAGS = {"none": False, "contract": {"contract"}}


def loop(name, flags=("contract",)):
    function = getattr(vector_math, name)

    @njit(error_model="numpy", fastmath=set(flags))
    def apply(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return apply


def points(name, kind, count):
    """Arguments of all magnitudes, and more of them near 1."""
    rng = np.random.default_rng(0)
    single = kind is np.float32
    low, high = (-44, 38) if single else (-320, 308)
    if name == "log":
        parts = [10 ** rng.uniform(low, high, count), rng.uniform(0.5, 2, count)]
    elif name == "log1p":
        parts = [10 ** rng.uniform(low, high, count), rng.uniform(-0.999, 2, count)]
        parts.append(-(10 ** rng.uniform(-20, 0, count)))
    else:
        widest = WIDEST[name][single]
        parts = [rng.uniform(-widest, widest, count), rng.standard_normal(count)]
        parts.append(rng.choice([-1, 1], count) * 10 ** rng.uniform(low, 0, count))
    x = np.concatenate(parts).astype(kind)
    return x[x > (-1 if name == "log1p" else 0 if name == "log" else -np.inf)]


def worst(name, kind, count, flags=("contract",)):
    """The largest error in units in the last place, and where it is."""
    x = points(name, kind, count)
    out = np.empty_like(x)
    loop(name, flags)(x, out)
    found = 0.0, x[0]
    with mpmath.workprec(140):
        for at, got in zip(x, out, strict=True):
            exact = EXACT[name](mpmath.mpf(float(at)))
            nearest = kind(float(exact)) if abs(exact) < np.finfo(kind).max else kind(np.inf)
            if np.isinf(nearest) or np.isinf(got):
                assert got == nearest or abs(exact) > 0.999999 * np.finfo(kind).max, at
                continue
            unit = float(np.spacing(abs(nearest)))
            found = max(found, (float(abs(mpmath.mpf(float(got)) - exact) / unit), at))
    return found


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("name", vector_math.NAMES)
def test_within_two_units_in_the_last_place(name, kind):
    error, at = worst(name, kind, 1500)
    assert 0.0 < error <= ULPS[name], at


@pytest.mark.parametrize("flags", [(), ("contract",)], ids=["no flags", "contract"])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("name", vector_math.NAMES)
def test_edges(name, kind, flags):
    info = np.finfo(kind)
    x = [np.inf, np.nan, 0.0, 1.0, info.max, info.tiny, info.smallest_subnormal, 1e-39, 88.8, 709.7]
    x = np.array([*x, *np.negative(x), 710.0, -745.2, -104.0, -708.5], dtype=kind)
    out = np.empty_like(x)
    loop(name, flags)(x, out)
    for at, got in zip(x, out, strict=True):
        with np.errstate(all="ignore"), mpmath.workprec(140):
            expected = kind(vector_math_in_python(name, float(at)))
        if np.isnan(expected):
            assert np.isnan(got), at
        elif np.isinf(expected) or expected == 0.0:
            assert got == expected, at
            assert np.signbit(got) == np.signbit(expected), at
        else:
            assert abs(float(got) - float(expected)) <= 4 * float(np.spacing(abs(expected))), at


def vector_math_in_python(name, at):
    return getattr(vector_math, name)(at)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("name", vector_math.NAMES)
def test_loops_are_vectorised(name, kind):
    apply = loop(name)
    apply(np.ones(4, kind), np.empty(4, kind))
    (text,) = apply.inspect_llvm().values()
    width = "x float>" if kind is np.float32 else "x double>"
    assert width in text
    assert not [line for line in text.splitlines() if "call" in line and f"@{name}" in line]


def test_they_are_plain_functions_in_python():
    assert vector_math.exp(0.0) == 1.0
    assert vector_math.log(0.0) == -np.inf
    assert vector_math.tanh.__name__ == "tanh"


if __name__ == "__main__":
    for chosen in vector_math.NAMES:
        for form in (np.float64, np.float32):
            error, where = worst(chosen, form, int(sys.argv[1]) // 3)
            print(f"{chosen:8} {form.__name__} {error:.3f} ulp at {where!r}", flush=True)

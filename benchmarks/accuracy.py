"""How exact vector math is: `python -m benchmarks.accuracy [count] [function ...]`.

For each function and type the largest error against mpmath, in units in the last place, over
`count` random arguments (a million if it is not given, which takes ten minutes) and all edge
arguments: some are spread over all exponents, some lie where the function is hardest. The
functions are called in a compiled loop, under the flag that kernels have.
"""

import math
import sys

import mpmath
import numpy as np
from numba import njit

from jitgrad import vector_math

PRECISION = 140  # bits of mpmath's numbers; sin and cos of 1e308 take care of theirs
KINDS = (np.float64, np.float32)
FUNCTIONS = (*vector_math.NAMES, vector_math.POWER)
EXACT = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "power": mpmath.power,
    "erfc": lambda x: mpmath.erfc(x) if x < 1e9 else mpmath.mpf(0),
}
EXACT |= {name: getattr(mpmath, name) for name in vector_math.NAMES if name not in EXACT}


def loop(name, flags=("contract",)):
    """A compiled loop over the arguments."""
    function = getattr(vector_math, name)
    if name == vector_math.POWER:

        @njit(error_model="numpy", fastmath=set(flags))
        def apply(x, y, out):
            for i in range(x.size):
                out[i] = function(x[i], y[i])

    else:

        @njit(error_model="numpy", fastmath=set(flags))
        def apply(x, out):
            for i in range(x.size):
                out[i] = function(x[i])

    return apply


# -- arguments ------------------------------------------------------------------------------------

WIDEST = {  # beyond it the result is 0, 1 or infinite
    "exp": (746.0, 104.0),
    "expm1": (710.0, 89.0),
    "tanh": (22.0, 10.0),
    "sigmoid": (746.0, 104.0),
    "erf": (7.0, 5.0),
    "erfc": (27.5, 10.5),
}


def arguments(name, kind, count):
    """Random arguments of a function: a tuple of one array, or of two."""
    rng = np.random.default_rng(0)
    if name == vector_math.POWER:
        return powers(rng, kind, count)
    third = count // 3
    everywhere = rng.choice([-1.0, 1.0], third) * magnitudes(rng, kind, third)
    if name in ("log", "log1p"):
        near_one = rng.uniform(0.4, 2.2, third), 1.0 + rng.standard_normal(third) * 0.01
        parts = [everywhere, *(x - (name == "log1p") for x in near_one)]
    elif name in ("sin", "cos"):
        turns = rng.uniform(-100.0, 100.0, third), rng.uniform(-1e5, 1e5, third)
        parts = [everywhere, *turns, np.repeat(near_quarter_turns(kind), 2)]
    else:
        widest = WIDEST[name][kind is np.float32]
        parts = [everywhere, rng.uniform(-widest, widest, third), rng.standard_normal(third)]
    with np.errstate(over="ignore"):
        return (np.concatenate(parts).astype(kind),)


def magnitudes(rng, kind, count):
    """Positive numbers of all exponents, subnormal ones too."""
    info = np.finfo(kind)
    exponents = rng.integers(info.minexp - info.nmant, info.maxexp, count)
    return np.ldexp(rng.uniform(1.0, 2.0, count), exponents)


def near_quarter_turns(kind):
    """The number nearest to a multiple of π/2 for each exponent, and its neighbours.

    These are among the convergents of π/2 and a power of two (Kahan; Muller, *Elementary
    Functions*, 2016, section 11.3.2).
    """
    info = np.finfo(kind)
    digits = info.nmant + 1
    found = []
    with mpmath.workprec(1400):
        for exponent in range(-digits, info.maxexp - digits + 1):
            ratio = mpmath.mpf(2) ** exponent / (mpmath.pi / 2)
            found += [m * 2.0**exponent for m in denominators(ratio, 2**digits)]
    return np.array(found)


def denominators(ratio, limit):
    """The denominators of a number's convergents that use the last digits below a limit."""
    before, now = 0, 1
    while now < limit:
        if now > limit // 16:
            yield now
        ratio = 1 / (ratio - mpmath.floor(ratio))
        before, now = now, int(mpmath.floor(ratio)) * now + before


def powers(rng, kind, count):
    """Bases and exponents: any, near 1 with large exponents, and plain ones."""
    third = count // 3
    info = np.finfo(kind)
    largest = info.maxexp * np.log(2.0)
    any_base = magnitudes(rng, kind, third)
    inside = rng.uniform(-1.05, 1.05, third) * largest / np.log(any_base)
    near_one = 1.0 + rng.choice([-1.0, 1.0], third) * 10.0 ** rng.uniform(-7.0, -0.5, third)
    near_one = near_one.astype(kind).astype(np.float64)
    large = rng.uniform(-1.05, 1.05, third) * largest / np.log(near_one)
    plain = rng.uniform(0.0, 10.0, third), rng.uniform(-5.0, 5.0, third)
    x = np.concatenate([any_base, near_one, plain[0]])
    y = np.concatenate([inside, large, plain[1]])
    whole = rng.random(y.size) < 0.1
    y[whole] = np.round(y[whole])
    x[whole] *= rng.choice([-1.0, 1.0], whole.sum())
    return x.astype(kind), y.astype(kind)


def edges(name, kind):
    """The edge arguments of a function: a tuple of one array, or of two."""
    info = np.finfo(kind)
    x = [np.inf, np.nan, 0.0, 1.0, 0.5, 2.0, 3.0, 2.5, info.max, info.tiny, info.epsneg, info.eps]
    x += [info.smallest_subnormal, info.tiny / 3, 1e-39, 88.8, 709.7, 710.0, 745.2, 104.0, 708.5]
    x += [1.0 - info.epsneg, 1.0 + info.eps, 2.0**42, 2.0**53, 2.0**53 - 1.0, 1e22, 2.0**24 + 1.0]
    x = np.array([*x, *np.negative(x)]).astype(kind)
    if name == vector_math.POWER:
        return tuple(part.ravel() for part in np.meshgrid(x, x))
    return (x,)


# -- errors ---------------------------------------------------------------------------------------


def worst(name, kind, where, flags=("contract",)):
    """The largest error in units in the last place, and the arguments where it is."""
    out = np.empty_like(where[0])
    loop(name, flags)(*where, out)
    found = 0.0, tuple(x[0] for x in where)
    plain = np.isfinite(out) & np.all([np.isfinite(x) & (x != 0.0) for x in where], axis=0)
    with mpmath.workprec(PRECISION):
        for is_plain, got, *at in zip(
            *(part.tolist() for part in (plain, out, *where)), strict=True
        ):
            error = units(name, kind, at, got) if is_plain else edge_units(name, kind, at, got)
            if not error <= found[0]:
                found = error, tuple(at)
    return found


def units(name, kind, at, got):
    """The error of a finite result, in units in the last place of the right one."""
    info = np.finfo(kind)
    exact = EXACT[name](*map(mpmath.mpf, at))
    nearest = float(exact)
    if np.isinf(nearest):
        return float(abs(exact - got) / mpmath.ldexp(1, int(info.maxexp) - int(info.nmant) - 1))
    exponent = max(math.frexp(nearest)[1] - 1, int(info.minexp))
    rest = float(exact - nearest)  # the difference of two near numbers is exact
    return abs((got - nearest) - rest) / math.ldexp(1.0, exponent - int(info.nmant))


def edge_units(name, kind, at, got):
    """The same where an argument or the result is special; infinite if it is wrong.

    NaN, infinities and zeros have to be what they should be, to the sign. Half a unit beyond the
    largest number the result is infinite.
    """
    special = edge(name, at)
    if special is not None:
        same = got == special and np.signbit(got) == np.signbit(special)
        return 0.0 if same or (np.isnan(got) and np.isnan(special)) else np.inf
    if not np.isinf(got):
        return units(name, kind, at, got)
    exact = EXACT[name](*map(mpmath.mpf, at))
    beyond = mpmath.sign(got) * mpmath.ldexp(1, int(np.finfo(kind).maxexp))
    if exact * beyond >= beyond * beyond:
        return 0.0
    return float(abs(exact - beyond) / abs(beyond) * 2 ** (np.finfo(kind).nmant + 1))


def edge(name, at):
    """The result where it is NaN, infinite, a zero or, for a zero, known; else None."""
    with np.errstate(all="ignore"):
        result = getattr(vector_math, name)(*at)
    beyond = not all(map(np.isfinite, at))
    return result if beyond or np.isnan(result) or 0.0 in at else None


def table(count, names):
    """Print the table."""
    print(f"{'function':10}{'type':9}{'random':>8}{'edges':>8}  worst at")
    for name in names:
        for kind in KINDS:
            error, at = worst(name, kind, arguments(name, kind, count))
            edge_error, _ = worst(name, kind, edges(name, kind))
            place = ", ".join(repr(float(x)) for x in at)
            print(f"{name:10}{kind.__name__:9}{error:8.3f}{edge_error:8.3f}  {place}", flush=True)


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    chosen = [word for word in sys.argv[1:] if not word.isdecimal()]
    table(numbers[0] if numbers else 1_000_000, chosen or FUNCTIONS)

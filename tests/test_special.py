"""SciPy's special functions: values and derivatives against mpmath, and how kernels find them."""

import functools
import itertools
import os
import subprocess
import sys
import threading
from typing import NamedTuple

import mpmath
import numba
import numpy as np
import pytest
import scipy.special as sp
from mpmath import mpf

import jitgrad
from jitgrad import Value, build, cache, cpu, native, special
from jitgrad.call import chosen_inputs, inputs
from jitgrad.errors import UnsupportedError
from jitgrad.graph import elementwise
from jitgrad.ops import OPS, rewrite
from jitgrad.protocols import SPECIAL
from jitgrad.scipy import special as python
from jitgrad.signature import flatten
from jitgrad.special_functions import RENAMED
from tests.special_meanings import MEANING

COUNT = 6  # points for each function
TWICE = (1, 2, 3)  # those at which second derivatives are compared: mpmath takes long for them
WIDE, SHARE, PLUS = (-3.0, 3.0), (0.01, 0.99), (0.05, 20.0, "log")
SHAPE = (0.1, 200.0, "log")


class Case(NamedTuple):
    """Where a function is tested, and how many digits are right.

    Parameters
    ----------
    ranges : tuple
        For each argument (low, high), (low, high, "log") for points that are evenly spread in the
        logarithm, or a list: an order, in which nothing is differentiated.
    value, first, second : float
        The largest relative errors of the function and of its derivatives.
    place : callable
        Makes arguments of the points.
    """

    ranges: tuple
    value: float = 1e-12
    first: float = 1e-12
    second: float = 1e-10
    place: object = None


def near(a, share):
    """Arguments of the incomplete gamma functions up to six standard deviations from the middle."""
    return a, np.maximum(a + (12 * share - 6) * np.sqrt(a), 0.1 * a)


CASES = {
    "gamma": Case(((0.01, 60.0, "log"),)),
    "gammaln": Case(((0.01, 1e5, "log"),)),
    "loggamma": Case((PLUS,)),
    "rgamma": Case(((-4.2, 6.0),)),
    "digamma": Case(((-6.3, 30.0),)),
    "polygamma": Case(([0.0, 1.0, 2.0, 5.0], (-6.3, 30.0))),
    "zeta": Case(([1.01, 1.5, 2.0, 7.25], PLUS)),
    "beta": Case((SHAPE, (0.1, 20.0, "log"))),
    "betaln": Case((SHAPE, SHAPE)),
    "gammainc": Case((SHAPE, SHARE), place=near),
    "gammaincc": Case((SHAPE, SHARE), place=near),
    "gammaincinv": Case(((0.1, 50.0, "log"), SHARE)),
    "gammainccinv": Case(((0.1, 50.0, "log"), SHARE)),
    "betainc": Case((SHAPE, SHAPE, SHARE)),
    "betaincinv": Case(((0.3, 20.0, "log"), (0.3, 20.0, "log"), SHARE)),
    "erf": Case((WIDE,)),
    "erfc": Case(((-3.0, 20.0),)),
    "erfcx": Case(((-3.0, 500.0),)),
    "erfinv": Case(((-0.999, 0.999),)),
    "erfcinv": Case(((1e-30, 1.9, "log"),)),
    "ndtr": Case(((-30.0, 3.0),)),
    "ndtri": Case(((1e-30, 0.99, "log"),)),
    "log_ndtr": Case(((-1000.0, 30.0),)),
    "expit": Case(((-30.0, 30.0),)),
    "log_expit": Case(((-30.0, 30.0),)),
    "logit": Case(((1e-10, 0.999, "log"),)),
    "xlogy": Case((PLUS, PLUS)),
    "xlog1py": Case((PLUS, (-0.9, 3.0))),
    "entr": Case((PLUS,)),
    "rel_entr": Case((PLUS, PLUS)),
    "kl_div": Case((PLUS, PLUS)),
    "huber": Case(((0.5, 2.0), WIDE)),
    "pseudo_huber": Case(((0.5, 2.0), WIDE)),
    "expm1": Case((WIDE,)),
    "log1p": Case(((-0.9, 3.0),)),
    "exp2": Case((WIDE,)),
    "exp10": Case((WIDE,)),
    "cbrt": Case((PLUS,)),
    "cosm1": Case((WIDE,)),
    "exprel": Case(((-40.0, 40.0),)),
    "boxcox": Case((PLUS, WIDE)),
    "boxcox1p": Case((PLUS, WIDE)),
    "inv_boxcox": Case(((0.1, 0.9), (-1.0, 1.0))),
    "inv_boxcox1p": Case(((0.1, 0.9), (-1.0, 1.0))),
    "i0": Case(((-20.0, 20.0),)),
    "i1": Case(((-20.0, 20.0),)),
    "i0e": Case(((-50.0, 50.0),)),
    "i1e": Case(((-50.0, 50.0),)),
    "iv": Case(([0.0, 1.0, 2.5, 10.0], PLUS)),
    "ive": Case(([0.0, 1.0, 2.5, 10.0], (0.05, 50.0, "log"))),
    "j0": Case(((-20.0, 20.0),)),
    "j1": Case(((-20.0, 20.0),)),
    "jv": Case(([0.0, 1.0, 2.5, 10.0], PLUS)),
    "jn": Case(([0, 1, 2, -3], (-20.0, 20.0))),
    "y0": Case((PLUS,)),
    "y1": Case((PLUS,)),
    "yv": Case(([0.0, 1.0, 2.5, 10.0], PLUS)),
    "yn": Case(([0, 1, 2, 3], PLUS)),
    "k0": Case((PLUS,)),
    "k1": Case((PLUS,)),
    "k0e": Case((PLUS,)),
    "k1e": Case((PLUS,)),
    "kv": Case(([0.0, 1.0, 2.5, 10.0], PLUS)),
    "kn": Case(([0, 1, 2, 3], PLUS)),
    "kve": Case(([0.0, 1.0, 2.5, 10.0], PLUS)),
}
every_case = pytest.mark.parametrize("name", CASES)
ROWS = RENAMED | {"kn": "kv", "yn": "yv"}


def function(name):
    """SciPy's function; polygamma is no ufunc."""
    known = {"polygamma": functools.partial(elementwise, "polygamma")}
    return known.get(name) or getattr(sp, name)


@functools.cache
def arguments(name):
    """The points of a case: one array for each argument."""
    case, rng, found = CASES[name], np.random.default_rng(sum(map(ord, name))), []
    for spread in case.ranges:
        if isinstance(spread, list):
            found.append(np.resize(spread, COUNT))
        elif spread[2:] == ("log",):
            found.append(np.exp(rng.uniform(*np.log(spread[:2]), COUNT)))
        else:
            found.append(rng.uniform(*spread, COUNT))
    return tuple(case.place(*found) if case.place else found)


def smooth(name):
    """The arguments in which a function is differentiated."""
    return [n for n, spread in enumerate(CASES[name].ranges) if not isinstance(spread, list)]


@functools.cache
def exact(name, *orders, places=tuple(range(COUNT))):
    """The function or a derivative of it at its points, rounded from 40 digits."""
    meaning = MEANING.get(ROWS.get(name, name)) or getattr(mpmath, name)
    with mpmath.workdps(40):
        found = []
        for point in zip(*(part[[*places]] for part in arguments(name)), strict=True):
            point = tuple(mpmath.mpf(float(x)) for x in point)
            found.append(differentiated(meaning, point, orders))
    return np.array(found, float)


def differentiated(meaning, at, orders):
    if not any(orders):
        return meaning(*at)
    if len(at) == 1:
        return mpmath.diff(meaning, at[0], orders[0])
    return mpmath.diff(meaning, at, orders)


def error(found, expected):
    """Return the largest relative error."""
    return np.max(np.abs(found - expected) / np.maximum(np.abs(expected), 1e-300))


# --- values and derivatives -----------------------------------------------------------------------


@every_case
def test_value_and_derivatives(name):
    given, case = arguments(name), CASES[name]
    operands = [Value(a) if n in smooth(name) else a for n, a in enumerate(given)]
    out = function(name)(*operands)
    np.sum(out).backward()
    assert error(out.data, exact(name, *[0] * len(given))) <= case.value
    for n in smooth(name):
        once = [int(k == n) for k in range(len(given))]
        assert error(operands[n].grad, exact(name, *once)) <= case.first


class Dual(NamedTuple):
    """A number with its derivative in one direction."""

    value: object
    tangent: object


def apply(op, operands):
    """Compute an op on duals, each partial as the table has it."""
    row, values = OPS[op], [x.value if isinstance(x, Dual) else x for x in operands]
    out = row.evaluate(*values)
    tangent = np.zeros(np.shape(out))
    for n, x in enumerate(operands):
        if isinstance(x, Dual) and row.partials[n] is not None and np.any(x.tangent):
            tangent = tangent + row.pull(n, x.tangent, out, *values)
    return Dual(out, tangent)


def second_derivative(row, given, n, m):
    """Differentiate a row's partial in argument n once more, in argument m."""
    duals = [Dual(a, np.full(len(a), float(k == m))) for k, a in enumerate(given)]
    known = dict(zip("xyz", duals, strict=False))
    known |= {"g": Dual(np.ones(len(given[0])), np.zeros(len(given[0])))}
    known |= {"out": apply(row.name, duals)}
    return rewrite(row.partials[n], known, apply).tangent


@pytest.mark.parametrize("name", [name for name in CASES if ROWS.get(name, name) in OPS])
def test_second_derivatives(name):
    row, given = OPS[ROWS.get(name, name)], [part[[*TWICE]] for part in arguments(name)]
    for n, m in itertools.combinations_with_replacement(smooth(name), 2):
        twice = [int(k == n) + int(k == m) for k in range(len(given))]
        expected = exact(name, *twice, places=TWICE)
        for first, second in {(n, m), (m, n)}:
            found = second_derivative(row, given, first, second)
            np.testing.assert_allclose(found, expected, rtol=CASES[name].second, atol=1e-14)


def mp_logsumexp(x):
    return mpmath.log(sum(map(mpmath.exp, x)))


def mp_multigammaln(a, d):
    found = mpf(d * (d - 1)) / 4 * mpmath.log(mpmath.pi)
    return found + sum(mpmath.loggamma(a - mpf(j) / 2) for j in range(d))


PYTHON = {  # SciPy's Python functions of an array, as mpmath has them
    "logsumexp": (python.logsumexp, mp_logsumexp, [0.3, -2.0, 700.5, 699.0]),
    "log_softmax": (
        lambda x: python.log_softmax(x)[1],
        lambda x: x[1] - mp_logsumexp(x),
        [0.3, -2.0, 5.5],
    ),
    "softmax": (
        lambda x: python.softmax(x)[1],
        lambda x: mpmath.exp(x[1] - mp_logsumexp(x)),
        [0.3, -2.0, 5.5],
    ),
    "multigammaln": (
        lambda x: python.multigammaln(x[0], 3),
        lambda x: mp_multigammaln(x[0], 3),
        [4.7],
    ),
    "polygamma": (
        lambda x: python.polygamma(2, x[0]),
        lambda x: mpmath.psi(2, x[0]),
        [1.7],
    ),
    "psi": (lambda x: sp.psi(x[0]), lambda x: mpmath.psi(0, x[0]), [3.3]),
}


@pytest.mark.parametrize("name", PYTHON)
def test_python_functions(name):
    ours, exact, at = PYTHON[name]
    x = Value(at)
    out = ours(x)
    out.backward()
    with mpmath.workdps(40):
        point = [mpf(part) for part in at]
        assert out.data == pytest.approx(float(exact(point)), rel=1e-12)
        for n in range(len(at)):
            slope = mpmath.diff(
                lambda part, n=n: exact([*point[:n], part, *point[n + 1 :]]), point[n]
            )
            assert x.grad[n] == pytest.approx(float(slope), rel=1e-12)


# --- zeros, poles and ends ------------------------------------------------------------------------

EDGES = {
    "entr": (0.0, -1.0, np.inf, np.nan),
    "logit": (0.0, 1.0, 1.5, -0.5, 0.5, 0.25, 0.75, np.nan),
    "log_expit": (-np.inf, -800.0, 800.0, np.inf),
    "expit": (-np.inf, -800.0, 800.0, np.inf),
    "gamma": (0.0, -0.0, -1.0, 171.7, -np.inf, np.inf),
    "loggamma": (0.0, -1.5, np.inf, np.nan),
    "gammasgn": (-2.5, -1.5, 0.0, 3.0, np.nan),
    "rgamma": (0.0, -1.0, -2.0, 180.0),
    "digamma": (0.0, -0.0, -1.0, np.inf, np.nan),
    "erfinv": (-1.0, 1.0, 1.5),
    "ndtri": (0.0, 1.0, -0.5),
    "log_ndtr": (-np.inf, -1e10, 1e10, np.inf),
    "exprel": (-np.inf, -1e3, 0.0, 1e-300, 720.0, np.inf),
    "cbrt": (0.0, -8.0, -np.inf),
    "cosm1": (0.0, 1e-10, np.nan),
}
PAIRS = {
    "xlogy": [(0.0, 0.0), (0.0, -1.0), (0.0, np.nan), (np.nan, 1.0), (2.0, 0.0), (0.0, np.inf)],
    "xlog1py": [(0.0, -1.0), (0.0, -2.0), (0.0, np.nan), (2.0, -1.0), (2.0, 1e-20)],
    "rel_entr": [(0.0, 0.0), (0.0, 2.0), (2.0, 0.0), (-1.0, 2.0), (np.nan, 1.0), (1e300, 1e-300)],
    "kl_div": [(0.0, 0.0), (0.0, 2.0), (2.0, 0.0), (-1.0, 2.0), (1.0, np.nan), (1.0, 1.0)],
    "huber": [(-1.0, 0.5), (0.0, 0.5), (1.0, 1.0), (1.0, -np.inf), (1.0, np.nan)],
    "pseudo_huber": [(-1.0, 0.5), (0.0, 0.5), (0.0, 0.0), (2.0, 0.0), (0.0, np.nan)],
    "boxcox": [(0.0, 0.5), (0.0, -0.5), (0.0, 0.0), (-1.0, 0.5), (2.0, 0.0), (2.0, 1e-300)],
    "boxcox1p": [(-1.0, 0.5), (0.0, 0.5), (1e-300, 1e-300), (1.0, 0.0)],
    "inv_boxcox": [(2.0, 0.0), (-2.0, 0.5), (-3.0, 0.5), (1.0, 1e-300)],
    "inv_boxcox1p": [(2.0, 0.0), (-2.0, 0.5), (-3.0, 0.5)],
    "gammainc": [(2.0, 0.0), (2.0, np.inf), (-1.0, 1.0), (2.0, -1.0), (0.0, 1.0)],
    "beta": [(0.0, 1.0), (-0.5, 2.0), (1e-300, 1.0)],
    "iv": [(0.0, 0.0), (1.0, 0.0), (0.5, -1.0), (2.0, -1.0)],
    "kv": [(0.0, 0.0), (1.0, -1.0)],
}
EVERYWHERE = [(name, (x,)) for name, xs in EDGES.items() for x in xs]
EVERYWHERE += [(name, pair) for name, pairs in PAIRS.items() for pair in pairs]


@pytest.mark.parametrize(("name", "at"), EVERYWHERE)
def test_edges_are_scipys(name, at):
    expected = function(name)(*at)
    out = function(name)(*map(Value, at))
    array = function(name)(*(Value([x]) for x in at))
    np.testing.assert_allclose([out.data, array.data[0]], float(expected), rtol=1e-13)


DERIVATIVES = [  # at points where a formula would have 0 * inf or 0 / 0
    ("entr", (0.0,), [np.inf]),
    ("xlogy", (0.0, 0.0), [0.0, 0.0]),
    ("xlogy", (0.0, 2.0), [np.log(2.0), 0.0]),
    ("rel_entr", (0.0, 0.0), [0.0, 0.0]),
    ("rel_entr", (0.0, 2.0), [-np.inf, 0.0]),
    ("kl_div", (0.0, 0.0), [0.0, 1.0]),
    ("kl_div", (2.0, 2.0), [0.0, 0.0]),
    ("huber", (1.0, 0.0), [0.0, 0.0]),
    ("huber", (1.0, -3.0), [2.0, -1.0]),
    ("pseudo_huber", (1.0, 0.0), [0.0, 0.0]),
    ("pseudo_huber", (0.0, 0.0), [0.0, 0.0]),
    ("rgamma", (0.0,), [1.0]),
    ("rgamma", (-3.0,), [-6.0]),
    ("gammainc", (1.0, 0.0), [0.0, 1.0]),
    ("gammainc", (2.0, 0.0), [0.0, 0.0]),
    ("betainc", (1.0, 3.0, 0.0), [0.0, 0.0, 3.0]),
    ("betainc", (3.0, 1.0, 1.0), [0.0, 0.0, 3.0]),
    ("betainc", (2.0, 2.0, 0.0), [0.0, 0.0, 0.0]),
    ("exprel", (0.0,), [0.5]),
    ("boxcox", (1.0, 0.0), [1.0, 0.0]),
    ("boxcox", (np.e, 0.0), [1.0 / np.e, 0.5]),
    ("boxcox", (0.0, 2.0), [0.0, 0.25]),
    ("inv_boxcox", (0.0, 0.0), [1.0, 0.0]),
    ("inv_boxcox1p", (1.0, 0.0), [np.e, -0.5 * np.e]),
    ("i1", (0.0,), [0.5]),
    ("j1", (0.0,), [0.5]),
    ("i0e", (0.0,), [0.0]),
    ("expit", (-800.0,), [0.0]),
    ("log_expit", (-800.0,), [1.0]),
    ("log_ndtr", (40.0,), [0.0]),
    ("log_ndtr", (-1e6,), [1e6]),
]


@pytest.mark.parametrize(("name", "at", "expected"), DERIVATIVES)
def test_derivatives_at_edges(name, at, expected):
    for operands in (list(map(Value, at)), [Value([x]) for x in at]):
        np.sum(function(name)(*operands)).backward()
        found = [np.sum(x.grad) for x in operands]
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-300)


SECOND = [
    ("rgamma", (0.0,), 0, 2 * np.euler_gamma),
    ("rgamma", (-1.0,), 0, -2 * (np.euler_gamma - 1)),
    ("gammainc", (1.0, 0.0), 1, -1.0),
    ("gammainc", (2.0, 0.0), 1, 1.0),
    ("gammainc", (3.0, 0.0), 1, 0.0),
    ("betainc", (2.0, 3.0, 0.0), 2, 12.0),
    ("betainc", (3.0, 2.0, 1.0), 2, -12.0),
    ("betainc", (1.0, 1.0, 0.0), 2, 0.0),
    ("i1", (0.0,), 0, 0.0),
    ("j1", (0.0,), 0, 0.0),
    ("pseudo_huber", (2.0, 0.0), 1, 1.0),
    ("log_ndtr", (40.0,), 0, 0.0),
    ("exprel", (0.0,), 0, 1 / 3),
]


@pytest.mark.parametrize(("name", "at", "n", "expected"), SECOND)
def test_second_derivatives_at_edges(name, at, n, expected):
    given = [np.full(COUNT, x) for x in at]
    found = second_derivative(OPS[name], given, n, n)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_where_takes_the_derivative_of_the_side_that_is_chosen():
    x = np.array([-1.0, 0.0, 0.5, 2.0])
    fun = jitgrad.compile(lambda x: np.sum(np.where(x > 0, sp.entr(x) + sp.gammaln(x), 0.0)))
    expected = np.where(x > 0, -np.log(np.abs(x) + (x == 0)) - 1 + sp.digamma(x), 0.0)
    np.testing.assert_allclose(fun.grad(x), expected, rtol=1e-13)


# --- derivatives that there are not ---------------------------------------------------------------


REFUSED = {
    "jv": lambda v: sp.jv(v, 2.0),
    "iv": lambda v: sp.iv(v, 2.0),
    "ive": lambda v: sp.ive(v, 2.0),
    "kv": lambda v: sp.kv(v, 2.0),
    "kve": lambda v: sp.kve(v, 2.0),
    "yv": lambda v: sp.yv(v, 2.0),
    "zeta": lambda v: elementwise("zeta", v, 2.0),
    "polygamma": lambda v: elementwise("polygamma", v, 2.0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_derivative_in_the_order_is_refused(name):
    message = rf"test_special.py:\d+: the derivative of {name} in its order .* plain number"
    with pytest.raises(UnsupportedError, match=message):
        REFUSED[name](Value(3.0)).backward()
    with pytest.raises(UnsupportedError, match=message):
        np.sum(REFUSED[name](Value([3.0, 2.0]))).backward()
    with pytest.raises(UnsupportedError, match=message):
        jitgrad.compile(REFUSED[name]).grad(3.0)
    assert np.isfinite(jitgrad.compile(lambda v: v * REFUSED[name](v.detach())).grad(3.0))


def test_the_line_of_a_refusal_is_where_the_function_was_called():
    def loss(v):
        doubled = 2.0 * v
        return sp.jv(doubled, 1.0) + 1.0

    line = loss.__code__.co_firstlineno + 2
    with pytest.raises(UnsupportedError, match=rf"test_special.py:{line}: "):
        jitgrad.compile(loss).grad(1.0)
    assert jitgrad.compile(loss)(1.0) == pytest.approx(sp.jv(2.0, 1.0) + 1.0)


def test_whole_orders():
    x = Value(2.0)
    assert sp.kn(2, x).data == pytest.approx(sp.kn(2, 2.0), rel=1e-14)
    with pytest.raises(UnsupportedError, match=r"kn of an order.*scipy\.special\.kv"):
        sp.kn(Value(2.0), 1.0)


# --- kernels --------------------------------------------------------------------------------------


def everything(points, orders):
    """All functions in one loss."""
    made = {}
    for name, given in points.items():
        operands = (orders[name], *given) if name in orders else given
        made[name] = function(name)(*operands)
    return sum(np.sum(out) for out in made.values()), made


def chosen(names, dtype=float):
    """The points and the orders of some functions."""
    points = {name: tuple(arguments(name)[n].astype(dtype) for n in smooth(name)) for name in names}
    return points, {name: arguments(name)[0] for name in names if 0 not in smooth(name)}


def eager(points, orders):
    """The same with Values, outside a trace."""
    values = {name: tuple(map(Value, given)) for name, given in points.items()}
    total, made = everything(values, orders)
    total.backward()
    return {k: v.data for k, v in made.items()}, {k: [x.grad for x in v] for k, v in values.items()}


@pytest.mark.parametrize("strict", [False, True])
def test_the_source_of_all_in_cpython(strict):
    """A kernel of them takes Numba half a minute: see the next tests."""
    points, orders = chosen(CASES)
    fun = jitgrad.compile(everything, has_aux=True, strict=strict)
    bound, traced = fun._trace((points, orders), {})
    origin = build._origin(traced, chosen_inputs(bound, traced), "", strict)
    *_, (_, program) = origin.stages()
    text = origin.printed(program).text
    name = f"special_{cache.digest(text)}"
    source = cpu.interpret(text.replace(build._PLACEHOLDER, name), name)
    outputs = [np.empty(program.buffers[name].shape) for name in origin.outputs(program)]
    with np.errstate(all="ignore"):
        source(*inputs(bound, traced), *outputs)
    expected, slopes = eager(points, orders)
    for found, other in zip(outputs, flatten(slopes)[0] + flatten(expected)[0], strict=True):
        np.testing.assert_allclose(found, other, rtol=2e-13)


NATIVE = {  # where what only derivatives use is tested
    "digamma_step": (2.5, 1.0),
    "gammainc_by_aa": (2.5, 1.5),
    "beta_density": (2.5, 1.5, 0.3),
    "betainc_by_a": (2.5, 1.5, 0.3),
    "betainc_by_b": (2.5, 1.5, 0.3),
    "betainc_by_aa": (2.5, 1.5, 0.3),
    "betainc_by_ab": (2.5, 1.5, 0.3),
    "betainc_by_bb": (2.5, 1.5, 0.3),
    "erfc_ratio": (2.0, 1.5),
    "exprel_moment": (1.0, 0.7),
    "log1p_moment": (1.0, 0.7),
}
NATIVE |= {name: () for name in CASES if hasattr(special, ROWS.get(name, name))}


def arity(name):
    return len(NATIVE[name]) or len(arguments(name))


@functools.cache
def compiled_calls(count):
    """A jitted function that calls one of those of so many arguments: one takes less than each."""
    names, given = [name for name in NATIVE if arity(name) == count], ", ".join("xyz"[:count])
    lines = [f"    if k == {k}: return f{k}({given})" for k in range(len(names))]
    known = {f"f{k}": getattr(special, ROWS.get(name, name)) for k, name in enumerate(names)}
    exec("\n".join([f"def call(k, {given}):", *lines, "    return 0.0"]), known)
    return names, numba.njit(known["call"])


@pytest.mark.parametrize("name", NATIVE)
def test_functions_that_kernels_call(name):
    names, compiled = compiled_calls(arity(name))
    function = getattr(special, ROWS.get(name, name))
    for at in [NATIVE[name]] if NATIVE[name] else zip(*arguments(name), strict=True):
        at = tuple(map(float, at))
        found = compiled(names.index(name), *at)
        assert found == pytest.approx(float(function(*at)), rel=1e-13)


FEW = ("gammainc", "iv", "jn", "erfcx", "kl_div", "boxcox")


def test_one_kernel_of_few():
    points, orders = chosen(FEW)
    fun = jitgrad.compile(everything, has_aux=True)
    (_, made), gradient = fun.value_and_grad(points, orders)
    expected, slopes = eager(points, orders)
    for name in FEW:
        np.testing.assert_allclose(made[name], expected[name], rtol=1e-13, err_msg=name)
        for found, slope in zip(gradient[name], slopes[name], strict=True):
            np.testing.assert_allclose(found, slope, rtol=2e-13, err_msg=name)


def test_float32():
    points, orders = chosen(FEW, np.float32)
    orders = {name: order.astype(int) for name, order in orders.items()}
    single = {name: order.astype(np.int16) for name, order in orders.items()}
    (_, made), gradient = jitgrad.compile(everything, has_aux=True).value_and_grad(points, single)
    wide = {name: tuple(x.astype(float) for x in given) for name, given in points.items()}
    expected, slopes = eager(wide, orders)
    at_once, _ = eager(points, single)
    for name in FEW:
        assert made[name].dtype == np.float32
        assert at_once[name].dtype == np.float32
        np.testing.assert_allclose(made[name], expected[name], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(at_once[name], expected[name], rtol=1e-4, atol=1e-6)
        for found, slope in zip(gradient[name], slopes[name], strict=True):
            np.testing.assert_allclose(found, slope, rtol=1e-3, atol=1e-5)


def test_in_code_of_the_users_own():
    gammainc, iv = special.gammainc, special.iv

    @numba.njit(nogil=True)
    def total(xs):
        found = 0.0
        for x in xs:
            found += gammainc(2, x) * iv(1.0, x)
        return found

    xs = np.linspace(0.1, 3.0, 20)
    assert total(xs) == pytest.approx(np.sum(sp.gammainc(2.0, xs) * sp.iv(1.0, xs)), rel=1e-13)


PROGRAM = """
import sys
import numba
import numpy as np
import jitgrad
import scipy.special as sp
from mpmath import mpf

fun = jitgrad.compile(lambda x: np.sum(sp.gammainc(2.0, x) * sp.iv(1.5, x) + sp.betainc(2, 3, x)))
x, gradient = np.linspace(0.1, 0.9, 5), np.empty(5)
kernel = fun.kernel(x)

@numba.njit(cache=True)
def mine(x, gradient):
    return kernel(x, gradient)

value = mine(x, gradient)
print(repr(value), repr(gradient.tolist()))
print(sum(kernel.stats.cache_hits.values()), sum(mine.stats.cache_hits.values()))
"""


def run(program, tmp_path):
    environment = os.environ | {"JITGRAD_CACHE_DIR": str(tmp_path / "kernels")}
    environment |= {"NUMBA_CACHE_DIR": str(tmp_path / "numba"), "PYTHONPATH": os.getcwd()}
    (tmp_path / "program.py").write_text(program)
    command = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_machine_code_is_loaded_in_another_process(tmp_path):
    made, first = run(PROGRAM, tmp_path)
    again, second = run(PROGRAM, tmp_path)
    assert again == made
    assert first.split() == ["0", "0"]
    assert second.split() == ["1", "1"]


WITHOUT_SCIPY = """
import sys
sys.modules["scipy.special.cython_special"] = None
import numba
import numpy as np
from jitgrad import special
from jitgrad.errors import MissingPackageError

gammainc = special.gammainc

@numba.njit
def call(x):
    return gammainc(2.0, x)

try:
    call(1.0)
except MissingPackageError as error:
    print(error)
sys.modules["scipy.special"] = None
try:
    special.iv(1.0, 2.0)
except ImportError as error:
    print(type(error).__name__, str(error).partition(": ")[2])
"""


def test_without_scipy(tmp_path):
    compiled, called = run(WITHOUT_SCIPY, tmp_path)
    assert compiled == native.MISSING % "gammainc"
    assert called == "MissingPackageError " + native.MISSING % "iv"


def test_threads_look_up_together():
    gamma, errors = special.gamma, []

    @numba.njit(nogil=True)
    def call(x):
        return gamma(x)

    call.compile("float64(float64)")
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        if call(5.0) != 24.0:
            errors.append("wrong")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_all_of_them_are_tested():
    tested = {*CASES, *EDGES, *PAIRS, "psi", "_zeta", "gammasgn"}
    assert set(SPECIAL) <= tested
    in_the_kernel_of_few = {"gamma_density", "gammainc_by_a"}
    assert set(special.__all__) <= {*NATIVE, *in_the_kernel_of_few}

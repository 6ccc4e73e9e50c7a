"""SciPy's special functions: values and derivatives against mpmath, and how kernels find them."""

import functools
import itertools
import os
import subprocess
import sys
from typing import NamedTuple

import mpmath
import numpy as np
import pytest
import scipy.special as sp

import jitgrad
from jitgrad import Value, native
from jitgrad.errors import MissingPackageError, UnsupportedError
from jitgrad.graph import SPECIAL, elementwise
from jitgrad.ops import OPS, rewrite
from jitgrad.special_functions import RENAMED
from tests.special_meanings import MEANING

COUNT = 8  # points for each function
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
    floor : float
        Errors of numbers below it are compared with it: there the function has a zero.
    place : callable
        Makes arguments of the points.
    """

    ranges: tuple
    value: float = 1e-12
    first: float = 1e-12
    second: float = 1e-10
    floor: float = 0.0
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
    "jn": Case(([0.0, 1.0, 2.0, -3.0], (-20.0, 20.0))),
    "y0": Case((PLUS,)),
    "y1": Case((PLUS,)),
    "yv": Case(([0.0, 1.0, 2.5, 10.0], PLUS)),
    "yn": Case(([0.0, 1.0, 2.0, 3.0], PLUS)),
    "k0": Case((PLUS,)),
    "k1": Case((PLUS,)),
    "k0e": Case((PLUS,)),
    "k1e": Case((PLUS,)),
    "kv": Case(([0.0, 1.0, 2.5, 10.0], PLUS)),
    "kn": Case(([0.0, 1.0, 2.0, 3.0], PLUS)),
    "kve": Case(([0.0, 1.0, 2.5, 10.0], PLUS)),
}
every_case = pytest.mark.parametrize("name", CASES)
ROWS = RENAMED | {"kn": "kv", "yn": "yv"}
COMPOSED = {  # in terms of rows
    "ndtr": "0.5 * erfc(x * -0.7071067811865476)",
    "cosm1": "square(sin(0.5 * x)) * -2.0",
    "exp10": "pow(10.0, x)",
}


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
def exact(name, *orders):
    """The function or a derivative of it at its points, rounded from 40 digits."""
    meaning = MEANING.get(ROWS.get(name, name)) or getattr(mpmath, name)
    with mpmath.workdps(40):
        found = []
        for at in zip(*arguments(name), strict=True):
            at = tuple(mpmath.mpf(float(x)) for x in at)
            found.append(differentiated(meaning, at, orders))
    return np.array(found, float)


def differentiated(meaning, at, orders):
    if not any(orders):
        return meaning(*at)
    if len(at) == 1:
        return mpmath.diff(meaning, at[0], orders[0])
    return mpmath.diff(meaning, at, orders)


def error(name, found, expected):
    return np.max(np.abs(found - expected) / np.maximum(np.abs(expected), CASES[name].floor))

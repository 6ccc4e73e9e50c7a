"""`jitgrad.scipy.stats`: values against SciPy's, derivatives against differences of SciPy's."""

import functools
import inspect
from typing import NamedTuple

import mpmath
import numpy as np
import pytest
import scipy.stats

import jitgrad
from jitgrad import Value
from jitgrad.scipy import stats

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

DENSITIES = ("pdf", "logpdf")
PROBABILITIES = ("pmf", "logpmf")
BELOW = ("cdf", "sf", "logcdf", "logsf")


class Case(NamedTuple):
    """A distribution, and where it is tested.

    Parameters
    ----------
    shapes : dict
        Its shape parameters.
    points : tuple of float
        Points inside the support, in standard form.
    others : tuple of float
        Ends of the support, and points outside.
    invalid : tuple of dict
        Parameters that there are not.
    """

    shapes: dict
    points: tuple
    others: tuple = ()
    invalid: tuple = ({"scale": -1.0}, {"scale": 0.0})


def shaped(points, others, *values, **shapes):
    """A case with shape parameters that are positive."""
    wrong = tuple({name: 0.0} for name in shapes) + tuple({name: -1.5} for name in shapes)
    return Case(shapes, points, others, (*Case._field_defaults["invalid"], *wrong, *values))


LINE, ENDS = (-2.5, -0.4, 0.0, 1e-9, 0.3, 3.1), (-np.inf, np.inf)
HALF, HALF_ENDS = (1e-3, 0.4, 1.7, 6.0), (0.0, -1.0, np.inf)
CASES = {
    "norm": Case({}, LINE, ENDS),
    "t": shaped(LINE, ENDS, df=3.5),
    "cauchy": Case({}, LINE, ENDS),
    "logistic": Case({}, LINE, ENDS),
    "laplace": Case({}, tuple(x for x in LINE if x), (0.0, *ENDS)),
    "gumbel_r": Case({}, LINE, ENDS),
    "gumbel_l": Case({}, LINE, ENDS),
    "expon": Case({}, HALF, HALF_ENDS),
    "uniform": Case({}, (0.1, 0.5, 0.9), (0.0, 1.0, -0.5, 1.5)),
    "halfnorm": Case({}, HALF, HALF_ENDS),
    "halfcauchy": Case({}, HALF, HALF_ENDS),
    "rayleigh": Case({}, HALF, HALF_ENDS),
    "lognorm": shaped(HALF, HALF_ENDS, s=0.8),
    "gamma": shaped(HALF, HALF_ENDS, a=2.5),
    "chi2": shaped(HALF, HALF_ENDS, df=3.0),
    "f": shaped(HALF, HALF_ENDS, dfn=4.5, dfd=7.0),
    "invgamma": shaped(HALF[1:], HALF_ENDS, a=2.5),
    "weibull_min": shaped(HALF, HALF_ENDS, c=1.8),
    "pareto": shaped((1.1, 2.0, 7.5), (1.0, 0.5, np.inf), b=2.2),
    "beta": shaped((0.02, 0.4, 0.97), (0.0, 1.0, -0.5, 1.5), a=2.5, b=1.4),
}
SHARES = ({"p": -0.1}, {"p": 1.1})
WHOLE = (0.0, 1.0, 3.0)
DISCRETE = {
    "poisson": Case({"mu": 2.4}, (*WHOLE, 11.0), (-1.0, 0.5, 2.5, np.inf), ({"mu": -1.0},)),
    "binom": Case({"n": 6.0, "p": 0.3}, WHOLE, (6.0, 7.0, -1.0, 2.5), (*SHARES, {"n": -1.0})),
    "bernoulli": Case({"p": 0.3}, (0.0, 1.0), (2.0, -1.0, 0.5), SHARES),
    "nbinom": Case({"n": 2.5, "p": 0.3}, WHOLE, (-1.0, 0.5), (*SHARES, {"n": 0.0}, {"p": 0.0})),
    "geom": Case({"p": 0.3}, (1.0, 2.0, 5.0), (0.0, 1.5, -1.0), (*SHARES, {"p": 0.0})),
}
ALL = CASES | DISCRETE
EDGES = {  # where shape parameters make the end of the support a special place
    "gamma": ({"a": 1.0}, {"a": 0.5}),
    "beta": ({"a": 1.0, "b": 1.0}, {"a": 0.5, "b": 0.5}),
    "chi2": ({"df": 2.0}, {"df": 1.0}),
    "weibull_min": ({"c": 1.0}, {"c": 0.5}),
    "poisson": ({"mu": 0.0},),
    "binom": ({"n": 3.0, "p": 0.0}, {"n": 3.0, "p": 1.0}, {"n": 0.0, "p": 0.5}),
    "bernoulli": ({"p": 0.0}, {"p": 1.0}),
    "geom": ({"p": 1.0},),
    "nbinom": ({"n": 2.0, "p": 1.0},),
}
every_one = pytest.mark.parametrize("name", ALL)


def methods(name):
    return (*(PROBABILITIES if name in DISCRETE else DENSITIES), *BELOW)


def placed(name):
    """The parameters of a case, and its points moved and stretched."""
    place = {"loc": 1.0} if name in DISCRETE else {"loc": 0.3, "scale": 1.7}
    moved = [
        place["loc"] + place.get("scale", 1.0) * np.array(x)
        for x in (ALL[name].points, ALL[name].others)
    ]
    return {**ALL[name].shapes, **place}, *moved


def called(module, name, method, x, **parameters):
    return getattr(getattr(module, name), method)(x, **parameters)


def of_values(name, method, x, parameters):
    made = {key: Value(p) for key, p in parameters.items()}
    return getattr(getattr(stats, name), method)(Value(x), **made)


def same(found, expected, error=1e-12, least=1e-300):
    """Equal to a relative error, NaN where NaN is."""
    np.testing.assert_allclose(getattr(found, "data", found), expected, rtol=error, atol=least)


# --- values ---------------------------------------------------------------------------------------


@every_one
def test_values(name):
    parameters, points, others = placed(name)
    x = np.concatenate([points, others, [np.nan]])
    for method in methods(name):
        expected = getattr(getattr(scipy.stats, name), method)(x, **parameters)
        least = 3e-16 if method.startswith("log") else 1e-300  # SciPy's logarithms of nearly 1
        same(of_values(name, method, x, parameters), expected, least=least)
        same(of_values(name, method, points[0], parameters), expected[0], least=least)


@pytest.mark.parametrize("name", EDGES)
def test_values_at_ends(name):
    x = np.concatenate([ALL[name].points, ALL[name].others])
    for shapes in EDGES[name]:
        for method in methods(name):
            expected = getattr(getattr(scipy.stats, name), method)(x, **shapes)
            same(of_values(name, method, x, shapes), expected)


@every_one
def test_parameters_that_there_are_not_give_nan(name):
    parameters, points, _ = placed(name)
    for wrong in ALL[name].invalid:
        for method in methods(name):
            given = parameters | wrong
            theirs = getattr(getattr(scipy.stats, name), method)(points, **given)
            assert method in BELOW or np.all(np.isnan(theirs))
            assert np.all(np.isnan(of_values(name, method, points, given).data))
            plain = getattr(getattr(stats, name), method)(Value(points), **given)
            assert np.all(np.isnan(plain.data))


def test_parameters_broadcast_and_may_be_frozen():
    x, scales = np.array([[0.5], [1.5]]), np.array([1.0, 2.0, -1.0])
    expected = scipy.stats.gamma.logpdf(x, 2.5, 0.1, scales)
    for made in (
        stats.gamma.logpdf(Value(x), 2.5, 0.1, scales),
        stats.gamma.logpdf(x, 2.5, 0.1, Value(scales)),
        stats.gamma(2.5, 0.1, scale=Value(scales)).logpdf(x),
        stats.gamma(a=Value(2.5), loc=0.1, scale=scales).logpdf(x),
    ):
        same(made, expected)
    same(stats.norm.cdf(0.5, Value([0.0, 1.0]), 2.0), scipy.stats.norm.cdf(0.5, [0.0, 1.0], 2.0))


QUANTILES = (
    "norm",
    "cauchy",
    "logistic",
    "laplace",
    "expon",
    "uniform",
    "lognorm",
    "gamma",
    "chi2",
)
QUANTILES += ("beta", "weibull_min", "pareto", "gumbel_r")


@pytest.mark.parametrize("name", QUANTILES)
def test_quantiles(name):
    parameters = placed(name)[0]
    q = np.array([0.0, 0.02, 0.5, 0.9, 1.0, -0.1, 1.1, np.nan])
    same(of_values(name, "ppf", q, parameters), getattr(scipy.stats, name).ppf(q, **parameters))


# --- derivatives ----------------------------------------------------------------------------------


def differences(function, at, name, step=1e-3):
    """The derivative of SciPy's function in a parameter, by differences of the sixth order."""
    ends = []
    for k in (1, 2, 3):
        up, down = (
            function(
                **{**at, name: at[name] + sign * k * step * np.maximum(np.abs(at[name]), 0.02)}
            )
            for sign in (1, -1)
        )
        ends.append(up - down)
    size = step * np.maximum(np.abs(at[name]), 0.02)
    return (45.0 * ends[0] - 9.0 * ends[1] + ends[2]) / (60.0 * size)


@every_one
def test_derivatives(name):
    parameters, points, _ = placed(name)
    if name in DISCRETE:
        smooth = set(parameters) - {"loc", "n" if name == "binom" else ""}
    else:
        smooth = {*parameters, "x"}
        points = points[np.abs(points - parameters["loc"]) > 1e-2]
    at = {"x": points, **{key: np.full(len(points), p) for key, p in parameters.items()}}
    for method in methods(name):
        made = {key: Value(part) for key, part in at.items()}
        np.sum(called(stats, name, method, **made)).backward()
        for key in smooth:
            theirs = functools.partial(called, scipy.stats, name, method)
            expected = differences(theirs, at, key)
            found = np.where(np.isfinite(expected), made[key].grad, expected)
            np.testing.assert_allclose(found, expected, rtol=2e-8, atol=2e-9, err_msg=key)


@every_one
def test_nothing_flows_from_outside_the_support(name):
    parameters, _, others = placed(name)
    low, high = getattr(scipy.stats, name).support(**parameters)
    outside = others[np.isfinite(others) & ((others < low) | (others > high) | (others % 1 == 0.5))]
    for method in methods(name)[:2]:
        made, x = {key: Value(p) for key, p in parameters.items()}, Value(outside)
        if outside.size:
            np.sum(getattr(getattr(stats, name), method)(x, **made)).backward()
            assert not np.any([np.sum(np.abs(value.grad)) for value in (x, *made.values())])


def test_students_distribution_in_its_middle():
    for x in (0.0, 1e-200, 1e-9, -1e-5):
        values = [Value(x), Value(3.5)]
        stats.t.cdf(*values).backward()
        assert values[0].grad == pytest.approx(scipy.stats.t.pdf(x, 3.5), rel=1e-11)
        assert values[1].grad == pytest.approx(0.0, abs=1e-5)


ENTROPIES = [name for name in CASES if name not in ("f", "halfcauchy", "invgamma")]
ENTROPIES += ["bernoulli"]


@pytest.mark.parametrize("name", ENTROPIES)
def test_entropies(name):
    parameters = placed(name)[0]
    given = {k: p for k, p in parameters.items() if name in CASES or k != "loc"}
    made = {key: Value(p) for key, p in given.items()}
    found = getattr(stats, name).entropy(**made)
    theirs = getattr(scipy.stats, name).entropy
    same(found, theirs(**given), 1e-11)
    found.backward()
    for key in given:
        slope = differences(lambda **p: theirs(**p), given, key)
        assert made[key].grad == pytest.approx(slope, rel=1e-7, abs=1e-9)


MP = mpmath
EXACT = {  # the logarithms of densities, by mpmath
    "norm": (lambda x: -x * x / 2 - MP.log(2 * MP.pi) / 2, 0.7),
    "t": (
        lambda x, df: MP.log(
            (1 + x * x / df) ** (-(df + 1) / 2) / MP.sqrt(df) / MP.beta(MP.mpf(1) / 2, df / 2)
        ),
        0.7,
    ),
    "gamma": (lambda x, a: MP.log(x ** (a - 1) * MP.exp(-x) / MP.gamma(a)), 1.3),
    "chi2": (
        lambda x, df: MP.log(x ** (df / 2 - 1) * MP.exp(-x / 2) / 2 ** (df / 2) / MP.gamma(df / 2)),
        1.3,
    ),
    "beta": (lambda x, a, b: MP.log(x ** (a - 1) * (1 - x) ** (b - 1) / MP.beta(a, b)), 0.3),
    "f": (
        lambda x, n, d: MP.log(
            (n / d) ** (n / 2)
            * x ** (n / 2 - 1)
            * (1 + n / d * x) ** (-(n + d) / 2)
            / MP.beta(n / 2, d / 2)
        ),
        1.3,
    ),
    "lognorm": (
        lambda x, s: -((MP.log(x) / s) ** 2) / 2 - MP.log(x * s * MP.sqrt(2 * MP.pi)),
        1.3,
    ),
    "weibull_min": (lambda x, c: MP.log(c * x ** (c - 1)) - x**c, 1.3),
    "poisson": (lambda k, mu: MP.log(mu**k / MP.gamma(k + 1)) - mu, 3.0),
}


@pytest.mark.parametrize("name", EXACT)
def test_densities_have_12_digits(name):
    formula, x = EXACT[name]
    at = [x, *ALL[name].shapes.values()]
    values = [*map(Value, at)]
    out = getattr(getattr(stats, name), methods(name)[1])(*values)
    out.backward()
    with mpmath.workdps(40):
        given = tuple(map(mpmath.mpf, at))
        assert out.data == pytest.approx(float(formula(*given)), rel=1e-12)
        for n, value in enumerate(values):
            orders = tuple(int(k == n) for k in range(len(at)))
            slope = (
                mpmath.diff(formula, given, orders) if n or len(at) > 1 else mpmath.diff(formula, x)
            )
            assert value.grad == pytest.approx(float(slope), rel=1e-12)


# --- of several numbers ---------------------------------------------------------------------------

MEAN = np.array([0.2, -0.5, 1.0])
ROOT = np.array([[1.0, 0.0, 0.0], [0.4, 0.8, 0.0], [-0.3, 0.2, 1.5]])
COV = ROOT @ ROOT.T
POINTS = np.array([[0.1, 0.2, 0.3], [1.0, -1.0, 0.5]])


@pytest.mark.parametrize("method", ["pdf", "logpdf"])
def test_multivariate_normal(method):
    ours, theirs = (
        getattr(stats.multivariate_normal, method),
        getattr(scipy.stats.multivariate_normal, method),
    )
    for given in ((POINTS, MEAN, COV), (POINTS[0], MEAN, COV), (POINTS, MEAN, 2.0), (POINTS, MEAN)):
        same(ours(Value(given[0]), *given[1:]), theirs(*given))
    same(ours(Value(0.3), 0.1, 2.0), theirs(0.3, 0.1, 2.0))
    same(ours(Value([0.3, 0.4]), 0.1, 2.0), theirs([0.3, 0.4], 0.1, 2.0))
    same(ours(Value(POINTS), MEAN, [1.0, 2.0, 3.0]), theirs(POINTS, MEAN, [1.0, 2.0, 3.0]))
    frozen = stats.multivariate_normal(MEAN, Value(COV))
    same(getattr(frozen, method)(POINTS), theirs(POINTS, MEAN, COV))
    same(frozen.entropy(), scipy.stats.multivariate_normal.entropy(MEAN, COV))


def by_differences(function, at, step=1e-4):
    """The derivative of a function of one array, by differences of the fourth order."""
    found = np.empty(at.shape)
    for place in np.ndindex(at.shape):
        unit = np.zeros(at.shape)
        unit[place] = step
        near, far = (function(at + k * unit) - function(at - k * unit) for k in (1, 2))
        found[place] = (8.0 * near - far) / (12.0 * step)
    return found


def test_derivatives_of_multivariate_normal():
    given = POINTS, MEAN, ROOT

    def loss(points, mean, root, distribution):
        return np.sum(distribution.logpdf(points, mean, root @ root.T) * np.array([1.0, -2.0]))

    values = [*map(Value, given)]
    loss(*values, stats.multivariate_normal).backward()
    for n, value in enumerate(values):
        expected = by_differences(
            lambda part, n=n: loss(
                *given[:n], part, *given[n + 1 :], scipy.stats.multivariate_normal
            ),
            given[n],
        )
        np.testing.assert_allclose(value.grad, expected, rtol=1e-8, atol=1e-8)


def test_dirichlet():
    x, alpha = np.array([0.2, 0.3, 0.5]), np.array([1.5, 0.7, 2.0])
    ours, theirs = stats.dirichlet, scipy.stats.dirichlet
    for method in ("logpdf", "pdf"):
        same(getattr(ours, method)(Value(x), alpha), getattr(theirs, method)(x, alpha))
        same(getattr(ours, method)(Value(x[:2]), alpha), getattr(theirs, method)(x, alpha))
    given = Value(alpha)
    ours.logpdf(x, given).backward()
    expected = by_differences(lambda a: theirs.logpdf(x, a), alpha)
    np.testing.assert_allclose(given.grad, expected, rtol=1e-8)
    given = Value(alpha)
    ours(given).entropy().backward()
    expected = by_differences(lambda a: theirs.entropy(a), alpha)
    np.testing.assert_allclose(given.grad, expected, rtol=1e-8)
    for wrong in ((x * 1.1, alpha), ([-0.2, 0.7, 0.5], alpha), (x, -alpha)):
        assert np.isnan(ours.logpdf(Value(wrong[0]), wrong[1]).data)


# --- in the tails ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "exact"),
    [
        (lambda x: stats.norm.logsf(x), lambda x: mpmath.log(mpmath.ncdf(-x))),
        (lambda x: stats.expon.logsf(x), lambda x: -x),
        (lambda x: stats.logistic.logsf(x), lambda x: -mpmath.log1p(mpmath.exp(x))),
        (lambda x: stats.laplace.logsf(x), lambda x: -x - mpmath.log(2)),
        (lambda x: stats.weibull_min.logsf(x, 1.5), lambda x: -(x**1.5)),
        (lambda x: stats.gumbel_r.logsf(x), lambda x: mpmath.log(-mpmath.expm1(-mpmath.exp(-x)))),
        (lambda x: stats.t.sf(x, 3.5), lambda x: tail_of_t(x)),
        (lambda x: stats.cauchy.sf(x), lambda x: mpmath.atan(1 / x) / mpmath.pi),
    ],
)
def test_tails_have_all_digits(found, exact):
    for x in (5.0, 40.0, 700.0):
        value = Value(x)
        out = found(value)
        out.backward()
        with mpmath.workdps(400):
            assert out.data == pytest.approx(float(exact(mpmath.mpf(x))), rel=1e-12)
            assert value.grad == pytest.approx(float(mpmath.diff(exact, x)), rel=1e-12)


def tail_of_t(x):
    df = mpmath.mpf(3.5)
    return mpmath.betainc(df / 2, 0.5, 0, df / (df + x * x), regularized=True) / 2


def test_one_kernel():
    def loss(x, a, scale):
        return np.sum(scipy.stats.gamma.logpdf(x, a, scale=scale) + scipy.stats.norm(x).logcdf(a))

    at = np.array([0.5, -1.0, 2.0]), 2.5, 1.5
    with np.errstate(all="ignore"):
        assert jitgrad.compile(loss)(*at) == -np.inf
    inside = (at[0][::2], *at[1:])
    value, slopes = jitgrad.compile(loss, argnums=(0, 1, 2)).value_and_grad(*inside)
    assert value == pytest.approx(loss(*inside), rel=1e-13)
    for n, found in enumerate(slopes):
        names = list(inspect.signature(loss).parameters)
        expected = by_differences(
            lambda p, n=n: loss(*inside[:n], p, *inside[n + 1 :]), np.asarray(inside[n])
        )
        np.testing.assert_allclose(found, expected, rtol=1e-8, err_msg=names[n])

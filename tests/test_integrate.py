"""Differential equations: against SciPy's odeint, exact solutions and HIPS autograd's odeint."""

import autograd
import autograd.numpy as anp
import autograd.scipy.integrate
import numpy as np
import pytest
import scipy.integrate
from autograd.builtins import tuple as boxed
from scipy.integrate import odeint as theirs

import jitgrad
from jitgrad import Value
from jitgrad.errors import ArgumentError, NotReachedError, ShapeError, UnsupportedError
from jitgrad.scipy import integrate

TIMES = np.array([0.0, 0.3, 0.5, 1.1, 2.0])
TIGHT = {"rtol": 1e-12, "atol": 1e-12, "mxstep": 1000}


def pendulum(y, t, length, damping):
    return [y[1], -length * np.sin(y[0]) - damping * y[1] + 0.1 * np.cos(3.0 * t)]


def predators(y, t, growth, rate):
    prey, hunters = y
    return np.array([growth * prey - rate * prey * hunters, 0.5 * prey * hunters - hunters])


def logistic(y, t, growth, most):
    return growth * y * (1.0 - y / most)


EQUATIONS = {
    "pendulum": (pendulum, [0.5, 0.1], (1.3, 0.2)),
    "predators": (predators, [2.0, 1.0], (1.1, 0.4)),
    "logistic": (logistic, [0.1, 0.5], (1.5, 2.0)),
    "one number": (logistic, 0.1, (1.5, 2.0)),
}
every_equation = pytest.mark.parametrize("name", EQUATIONS)


# --- values ---------------------------------------------------------------------------------------


@every_equation
@pytest.mark.parametrize("times", [TIMES, 5.0 * TIMES, -TIMES, [0.0, 0.0, 1.0, 1.0], [0.5]])
def test_values_are_scipys(name, times):
    func, y0, args = EQUATIONS[name]
    exact = theirs(func, y0, times, args, rtol=1e-12, atol=1e-12)
    found = integrate.odeint(func, y0, times, args)
    assert isinstance(found, np.ndarray)
    assert found.shape == exact.shape
    np.testing.assert_allclose(found, exact, rtol=0.0, atol=1e-6)
    tight = integrate.odeint(func, y0, times, args, **TIGHT)
    np.testing.assert_allclose(tight, exact, rtol=0.0, atol=1e-9)


@every_equation
def test_solve_ivp(name):
    func, y0, args = EQUATIONS[name]
    span, y0 = (0.0, 2.0), np.atleast_1d(y0)
    exact = scipy.integrate.solve_ivp(
        lambda t, y: func(y, t, *args), span, y0, t_eval=TIMES, rtol=1e-12, atol=1e-12
    )
    found = integrate.solve_ivp(
        lambda t, y, *args: func(y, t, *args), span, y0, t_eval=TIMES, args=args
    )
    assert found.success
    np.testing.assert_array_equal(found.t, TIMES)
    np.testing.assert_allclose(found.y, exact.y, rtol=0.0, atol=2e-2)
    late = integrate.solve_ivp(
        lambda t, y: func(y, t, *args), span, Value(y0), t_eval=[1.1], rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(late.y.data, exact.y[:, 3:4], rtol=0.0, atol=1e-6)


def test_options():
    func, y0, args = EQUATIONS["pendulum"]
    expected = integrate.odeint(func, y0, TIMES, args)
    turned = integrate.odeint(lambda t, y, *a: func(y, t, *a), y0, TIMES, args, tfirst=True)
    np.testing.assert_array_equal(turned, expected)
    for more in ({"h0": 1e-3}, {"hmax": 0.05}, {"h0": 10.0, "hmax": 0.1}, {"printmessg": True}):
        found = integrate.odeint(func, y0, TIMES, args, **more)
        np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-6)
    each = integrate.odeint(func, y0, TIMES, args, rtol=0.0, atol=[1e-9, 1e-3])
    np.testing.assert_allclose(each, expected, rtol=0.0, atol=1e-3)


# --- derivatives ----------------------------------------------------------------------------------


def weighed(y):
    return np.sum(y * np.cos(np.arange(y.size)).reshape(y.shape))


def grown(growth, most, y0, t):
    """The exact solution of the logistic equation."""
    rise = anp.exp(growth * t)
    return most * y0 * rise / (most + y0 * (rise - 1.0))


@pytest.mark.parametrize(
    ("options", "error"), [(TIGHT, 1e-9), ({"rtol": 1e-5, "atol": 1e-5}, 1e-3)]
)
def test_derivatives_of_an_exact_solution(options, error):
    def exact(growth, most, y0, t):
        return sum(w * grown(growth, most, y0, x) for w, x in zip(np.cos(range(5)), t, strict=True))

    at = 1.5, 2.0, 0.1, TIMES
    expected = autograd.grad(exact, (0, 1, 2, 3))(*at)
    growth, most, y0, t = values = [*map(Value, at)]
    weighed(integrate.odeint(logistic, y0, t, (growth, most), **options)).backward()
    for value, slope in zip(values[:3], expected[:3], strict=True):
        assert value.grad == pytest.approx(slope, abs=error)
    # the first time belongs to y0: all others count from it
    np.testing.assert_allclose(t.grad[1:], expected[3][1:], rtol=0.0, atol=error)
    assert t.grad.sum() == pytest.approx(0.0, abs=1e-13)


@pytest.mark.parametrize("name", ["pendulum", "predators"])
def test_derivatives_are_those_of_hips_autograd(name):
    func, y0, args = EQUATIONS[name]
    y0, args = np.array(y0), np.array(args)
    tight = {"rtol": 1e-11, "atol": 1e-11}

    def loss(y0, t, args):
        named = {**func.__globals__, "np": anp}
        copied = type(func)(func.__code__, named)
        arrayed = lambda *given: anp.array(copied(*given))  # noqa: E731
        out = autograd.scipy.integrate.odeint(arrayed, y0, t, boxed(args), **tight)
        return anp.sum(out * np.cos(np.arange(10.0)).reshape(5, 2))

    slopes = autograd.grad(loss, (0, 1, 2))(y0, TIMES, args)
    start, t, given = values = [*map(Value, (y0, TIMES, args))]
    weighed(integrate.odeint(func, start, t, tuple(given), **tight, mxstep=500)).backward()
    for value, expected in zip(values, slopes, strict=True):
        np.testing.assert_allclose(value.grad, expected, rtol=0.0, atol=1e-8)


def test_the_derivative_in_a_time_that_is_there_twice():
    t = Value([0.0, 1.0, 1.0])
    y = integrate.odeint(lambda y, t: 2.0 * y, 1.0, t, **TIGHT)
    y[2, 0].backward()
    np.testing.assert_allclose(t.grad, [-2.0 * np.exp(2.0), 0.0, 2.0 * np.exp(2.0)], atol=1e-9)


# --- steps of fixed length ------------------------------------------------------------------------


def test_steps_of_fixed_length():
    """Of y' = a y they are powers of a polynomial, whose derivative is known."""
    a, y0, t = Value(-1.5), Value([2.0]), Value(np.linspace(0.0, 1.0, 5))
    y = integrate.rk4(lambda y, t, a: a * y, y0, t, (a,), substeps=3)
    y[-1, 0].backward()
    z = -1.5 / 12.0
    factor, slope = 1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24, 1 + z + z**2 / 2 + z**3 / 6
    assert y.data[-1, 0] == pytest.approx(2.0 * factor**12, rel=1e-14)
    assert y0.grad[0] == pytest.approx(factor**12, rel=1e-13)
    assert a.grad == pytest.approx(2.0 * factor**11 * slope, rel=1e-13)
    assert t.grad[-1] == pytest.approx(2.0 * factor**11 * slope * -1.5, rel=1e-13)


def test_twice_as_many_steps_make_a_sixteenth_of_the_error():
    func, y0, args = EQUATIONS["pendulum"]
    exact = theirs(func, y0, TIMES, args, rtol=1e-13, atol=1e-13)
    errors = [
        np.abs(integrate.rk4(func, y0, TIMES, args, n) - exact)[1:].max() for n in (5, 10, 20)
    ]
    assert errors[0] / errors[1] == pytest.approx(16.0, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(16.0, rel=0.2)


# --- kernels --------------------------------------------------------------------------------------


def adaptive_loss(y0, t, args):
    return weighed(scipy.integrate.odeint(logistic, y0, t, tuple(args), mxstep=12))


def fixed_loss(y0, t, args):
    return weighed(integrate.rk4(pendulum, y0, t, tuple(args), substeps=4))


def by_another_name(y0, t, args):
    return weighed(theirs(pendulum, y0, t, tuple(args), mxstep=12))


@pytest.mark.parametrize("loss", [adaptive_loss, fixed_loss])
def test_kernels(loss):
    at = np.array([0.5, 0.1]), TIMES, np.array([1.3, 0.2])
    fun = jitgrad.compile(loss, argnums=(0, 1, 2))
    value, slopes = fun.value_and_grad(*at)
    values = [*map(Value, at)]
    if loss is adaptive_loss:
        y = integrate.odeint(logistic, values[0], values[1], tuple(values[2]), mxstep=12)
    else:
        y = integrate.rk4(pendulum, values[0], values[1], tuple(values[2]), substeps=4)
    total = weighed(y)
    total.backward()
    assert value == pytest.approx(total.data, rel=1e-12)
    for found, expected in zip(slopes, values, strict=True):
        np.testing.assert_allclose(found, expected.grad, rtol=1e-10, atol=1e-12)
    if loss is adaptive_loss:
        with pytest.raises(NotReachedError, match="pass a larger mxstep"):
            fun.value_and_grad(at[0], 100.0 * TIMES, at[2])


def test_a_loop_over_steps_stays_one():
    few, many = (
        jitgrad.compile(by_another_name)._trace((np.ones(2), np.linspace(0, 1, n), [1.0, 0.2]), {})[
            1
        ]
        for n in (8, 24)
    )
    assert few.program.statements == many.program.statements
    assert len(many.tape) > 2.5 * len(few.tape)


# --- errors ---------------------------------------------------------------------------------------


def test_an_accuracy_that_is_not_reached_raises():
    with pytest.raises(NotReachedError, match="mxstep"):
        integrate.odeint(lambda y, t: -1e4 * (y - np.cos(t)), [0.0], [0.0, 5.0], mxstep=50)
    with pytest.raises(NotReachedError, match="mxstep"):
        integrate.odeint(lambda y, t: y * Value(np.nan), [1.0], [0.0, 1.0], mxstep=5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: integrate.odeint(f, 1.0, TIMES, full_output=True), UnsupportedError, "full_out"),
        (lambda f: integrate.odeint(f, 1.0, TIMES, tcrit=[1.0]), UnsupportedError, "tcrit"),
        (lambda f: integrate.odeint(f, np.eye(2), TIMES), ShapeError, r"\(2, 2\).*\(n,\)"),
        (lambda f: integrate.odeint(f, 1.0, 2.0), ShapeError, "expected the times"),
        (lambda f: integrate.odeint(lambda y, t: [y, y], 1.0, TIMES), ShapeError, "derivative"),
        (lambda f: integrate.rk4(2.0, Value(1.0), TIMES), ArgumentError, "func is 2.0"),
        (lambda f: integrate.solve_ivp(f, (0, 1), [1.0]), UnsupportedError, "t_eval=None"),
        (
            lambda f: integrate.solve_ivp(f, (0, 1), [1.0], method="BDF", t_eval=TIMES),
            UnsupportedError,
            "method='BDF'",
        ),
        (
            lambda f: integrate.solve_ivp(f, (0, 1), [1.0], t_eval=TIMES, events=f),
            UnsupportedError,
            "events",
        ),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=rf"test_integrate\.py:\d+: .*{message}"):
        call(lambda y, t: -y)

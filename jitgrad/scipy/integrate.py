"""scipy.integrate's solvers of differential equations, for Values.

How many steps a kernel takes is fixed when it is compiled, but how long they are follows from the
numbers: it makes ``mxstep`` attempts for each interval, and those that are left over when the end
is reached have length 0. The derivative is that of the steps that were taken, each a fixed share of
its interval: it differs from that of the exact solution about as much as the solution does.

>>> from jitgrad import Value
>>> rate, times = Value(-2.0), np.array([0.0, 0.5, 1.0])
>>> odeint(lambda y, t: rate * y, [1.0], times)[-1, 0].backward()
>>> print(f"{rate.grad:.6f}, exactly {np.exp(-2.0):.6f}")
0.135335, exactly 0.135335
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jitgrad.errors import ArgumentError, ShapeError, UnsupportedError, user_location
from jitgrad.filled import settled
from jitgrad.graph import active, elementwise, number_of
from jitgrad.matrix_rules import routine
from jitgrad.ufuncs import Array, as_value

__all__ = ["odeint", "rk4", "solve_ivp"]

Rate = Callable[[Any, Any], Any]  # of y and t

# Dormand and Prince, A family of embedded Runge-Kutta formulae, 1980, table 2: the stages of
# order 5, the last of which is the next step's first; and the difference to order 4.
_STAGES: tuple[tuple[float, ...], ...] = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_TIMES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_ORDER = 5
_LEAST, _ALL = 10, 500  # attempts: for each interval, and together

_IGNORED = ("Dfun", "col_deriv", "ml", "mu", "ixpr", "mxhnil", "mxordn", "mxords", "printmessg")


class OdeResult(NamedTuple):
    """What `solve_ivp` returns: times, and the solution with the times along its last axis."""

    t: Any
    y: Any
    success: bool = True
    status: int = 0
    message: str = "The end was reached."


class _Accuracy(NamedTuple):
    """How steps are chosen: SciPy's words."""

    rtol: Any
    atol: Any
    first: float
    longest: float
    attempts: int


# --- what is called ------------------------------------------------------------------------------


def odeint(
    func: Callable[..., Any],
    y0: Array,
    t: Array,
    args: Any = (),
    *,
    rtol: Any = None,
    atol: Any = None,
    h0: float = 0.0,
    hmax: float = 0.0,
    mxstep: int = 0,
    tfirst: bool = False,
    **more: Any,
) -> Any:
    """Solve a differential equation, by Dormand and Prince's steps of order 5.

    Parameters
    ----------
    func : callable
        ``func(y, t, *args)``, the derivative of y.
    y0 : array, shape (n,)
    t : array, shape (k,)
        ``y0`` belongs to the first time. Ascending or descending.
    args : tuple
    rtol, atol : float or array of shape (n,)
        The error of one step that is let through; 1.49012e-8 as in SciPy.
    h0, hmax : float
        The first step and the longest one; 0 leaves them open.
    mxstep : int
        Attempts at steps in each interval; 0 means 10, or as many as make 500 in all. All of them
        cost time in a kernel.
    tfirst : bool
        Whether it is ``func(t, y, *args)``.

    Returns
    -------
    Value, shape (k, n)

    Raises
    ------
    NotReachedError
        If an interval needs more than ``mxstep`` steps; a stiff equation does.
    """
    refused = [name for name, x in more.items() if name not in _IGNORED and x not in (None, 0)]
    if refused:
        raise UnsupportedError(
            f"{user_location()}: scipy.integrate.odeint of Values does not take "
            f"{', '.join(refused)}; it takes rtol, atol, h0, hmax, mxstep and tfirst"
        )
    y, t = _start(y0), _times(t)
    relative, absolute = (as_value(1.49012e-8 if x is None else x) for x in (rtol, atol))
    accuracy = _Accuracy(relative, absolute, h0, hmax, mxstep or _enough(t))
    return _adaptive(_rate(func, args, tfirst), y, t, accuracy)


def solve_ivp(
    fun: Callable[..., Any],
    t_span: Any,
    y0: Array,
    method: str = "RK45",
    t_eval: Any = None,
    args: Any = None,
    *,
    rtol: Any = 1e-3,
    atol: Any = 1e-6,
    first_step: float | None = None,
    max_step: float = np.inf,
    mxstep: int = 0,
    vectorized: bool = False,
    **more: Any,
) -> OdeResult:
    """Solve a differential equation as `odeint` does, with the arguments of SciPy's solve_ivp.

    ``t_eval`` is needed: which steps were taken is known only when the kernel runs. Steps end at
    its times, where SciPy interpolates. ``mxstep`` is that of `odeint`.
    """
    refused = [name for name, x in more.items() if x is not None and x is not False]
    if method != "RK45" or t_eval is None or refused:
        raise UnsupportedError(
            f"{user_location()}: scipy.integrate.solve_ivp of Values takes method='RK45' and "
            f"t_eval, the times that are asked for; found method={method!r}, "
            f"t_eval={'None' if t_eval is None else 'given'}, {', '.join(refused) or 'no more'}"
        )
    start, t_eval = as_value(t_span[0]), _times(t_eval)
    t = np.concatenate([start.reshape(1), t_eval])
    longest = 0.0 if max_step == np.inf else max_step
    relative, absolute, first = as_value(rtol), as_value(atol), first_step or 0.0
    accuracy = _Accuracy(relative, absolute, first, longest, mxstep or _enough(t))
    y = _adaptive(_rate(fun, args or (), True), _start(y0), t, accuracy)
    return OdeResult(t_eval, y[1:].T)


def rk4(
    func: Callable[..., Any],
    y0: Array,
    t: Array,
    args: Any = (),
    substeps: int = 1,
    tfirst: bool = False,
) -> Any:
    """Solve a differential equation in steps of fixed length, by the classic method of order 4.

    Called as `odeint`; each interval of ``t`` is divided into ``substeps``. The error is not
    controlled: it is proportional to the fourth power of a step's length, so that twice as many
    substeps make a sixteenth of it. The derivative is exactly that of what is returned.
    """
    y, t, rate = _start(y0), _times(t), _rate(func, args, tfirst)
    rows = [y]
    for i in range(len(t) - 1):
        step = (t[i + 1] - t[i]) / substeps
        for k in range(substeps):
            now = t[i] + k * step
            first = rate(y, now)
            second = rate(y + step / 2.0 * first, now + step / 2.0)
            third = rate(y + step / 2.0 * second, now + step / 2.0)
            fourth = rate(y + step * third, now + step)
            y = y + step / 6.0 * (first + 2.0 * second + 2.0 * third + fourth)
        rows.append(y)
    return np.stack(rows)


# --- arguments -----------------------------------------------------------------------------------


def _start(y0: Array) -> Any:
    y: Any = np.atleast_1d(as_value(settled(y0)))
    if y.ndim != 1:
        raise ShapeError(
            f"{user_location()}: y0 is an array of shape {y.shape}; expected one of shape (n,)"
        )
    return y.astype(float)


def _times(t: Array) -> Any:
    t = as_value(settled(t))
    if t.ndim != 1 or not len(t):
        raise ShapeError(
            f"{user_location()}: t is an array of shape {t.shape}; expected the times, of shape "
            "(k,) with k from 1 on"
        )
    return t


def _rate(func: Callable[..., Any], args: Any, tfirst: bool) -> Rate:
    """Return the derivative of y as an array of y's shape."""
    args = args if isinstance(args, tuple) else (args,)
    if not callable(func):
        raise ArgumentError(f"{user_location()}: func is {func!r}; expected a function of y and t")

    def rate(y: Any, t: Any) -> Any:
        found = settled(func(t, y, *args) if tfirst else func(y, t, *args))
        found = np.atleast_1d(as_value(found))
        if found.shape != y.shape:
            raise ShapeError(
                f"{user_location()}: the derivative of y, of shape {y.shape}, came with shape "
                f"{found.shape}"
            )
        return found

    return rate


def _enough(t: Any) -> int:
    return max(_LEAST, -(-_ALL // max(len(t) - 1, 1)))


# --- steps of chosen length ----------------------------------------------------------------------


def _adaptive(rate: Rate, y: Any, t: Any, accuracy: _Accuracy) -> Any:
    """Go from each time to the next one."""
    if len(t) == 1:
        return y[None]
    k = rate(y, t[0])
    length = _first_step(rate, y, k, t, accuracy)
    rows, shares = [y], []
    for i in range(len(t) - 1):
        y, k, length, share = _interval(rate, y, k, t[i], t[i + 1], length, accuracy)
        rows.append(y)
        shares.append(share)
    reached = routine("arrived", np.stack(shares))
    return np.stack(rows) * np.concatenate([np.ones(1), reached])[:, None]


def _interval(
    rate: Rate, y: Any, k: Any, start: Any, end: Any, length: Any, accuracy: _Accuracy
) -> tuple[Any, Any, Any, Any]:
    """Make the attempts of one interval.

    Returns y and its derivative at the end, the length of the next step, and which share of the way
    was made. Shares and lengths are constants to the derivative, but the interval is not.
    """
    way = end - start
    whole = _constant(abs(way))
    nothing = whole == 0.0
    divisor = np.where(nothing, 1.0, whole)
    left: Any = 1.0  # of the way
    for _ in range(accuracy.attempts):
        part = np.minimum(np.where(nothing, 1.0, length / divisor), left)
        new, rates = _step(rate, y, k, end - left * way, part * way)
        made = part * whole
        error = _error(y, new, made, rates, accuracy)
        good, last = error <= 1.0, part == left
        following = made * _growth(error)
        if accuracy.longest:
            following = np.minimum(following, accuracy.longest)
        y, k = np.where(good, new, y), np.where(good, rates[-1], k)
        length = np.where(good & last, np.maximum(length, following), following)
        left = np.where(good, left - part, left)  # exactly 0 after the last one
        if active.tape is None and number_of(left) == 0.0:
            break
    return y, k, length, 1.0 - as_value(left)


def _step(rate: Rate, y: Any, k: Any, t: Any, step: Any) -> tuple[Any, list[Any]]:
    """Make one step; return where it leads and the derivatives on the way."""
    rates, new = [k], y
    for weights, at in zip(_STAGES, _TIMES, strict=True):
        new = y + step * _weighed(weights, rates)
        rates.append(rate(new, t + at * step))
    return new, rates


def _weighed(weights: tuple[float, ...], rates: list[Any]) -> Any:
    total: Any = None
    for weight, k in zip(weights, rates, strict=True):
        if weight:
            total = weight * k if total is None else total + weight * k
    return total


def _error(y: Any, new: Any, length: Any, rates: list[Any], accuracy: _Accuracy) -> Any:
    """Return the error of a step over what is let through, a mean over y."""
    allowed = accuracy.atol + accuracy.rtol * np.maximum(np.abs(y), np.abs(new))
    return _constant(_size(length * _weighed(_ERROR, rates) / allowed))


def _growth(error: Any) -> Any:
    """Return how much longer the next step may be: 0.2 to 10 times, and 0.2 where there is NaN."""
    low, high = (0.9 / 10.0) ** _ORDER, (0.9 / 0.2) ** _ORDER
    return 0.9 * np.maximum(np.where(error < high, error, high), low) ** (-1.0 / _ORDER)


def _first_step(rate: Rate, y: Any, k: Any, t: Any, accuracy: _Accuracy) -> Any:
    """Guess a first step (Hairer, Norsett and Wanner, Solving ODEs I, section II.4)."""
    if accuracy.first:
        return as_value(accuracy.first)
    allowed = accuracy.atol + accuracy.rtol * np.abs(y)
    size, slope = _size(y / allowed), _size(k / allowed)
    small = (size < 1e-5) | (slope < 1e-5)
    guess = np.where(small, 1e-6, 0.01 * size / np.where(small, 1.0, slope))
    ahead = guess * np.sign(t[-1] - t[0])
    change = rate(y + ahead * k, t[0] + ahead) - k
    steepest = np.maximum(slope, _size(change / allowed) / guess)
    flat = steepest <= 1e-15
    length = (0.01 / np.where(flat, 1.0, steepest)) ** (1.0 / _ORDER)
    length = np.where(flat, np.maximum(1e-6, 1e-3 * guess), length)
    return _constant(np.minimum(np.minimum(100.0 * guess, length), accuracy.longest or np.inf))


def _size(x: Any) -> Any:
    return np.sqrt(np.mean(x * x))


def _constant(x: Any) -> Any:
    return elementwise("detach", x)

"""NumPy's differences, trapezoids, convolutions and polynomials of Values.

>>> np.gradient(Value([1.0, 4.0, 9.0])), np.convolve(Value([1.0, 2.0]), [1.0, 1.0])
(Value(data=[3. 4. 5.], grad=0), Value(data=[1. 3. 2.], grad=0))
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from jitgrad.arrays import atleast_1d, broadcast_to, moveaxis, ravel
from jitgrad.errors import ArgumentError, ShapeError, UnsupportedError, user_location
from jitgrad.graph import elementwise
from jitgrad.joining import concatenate, stack
from jitgrad.protocols import implements
from jitgrad.rearrange import pad, typed
from jitgrad.reductions import total
from jitgrad.structure import full_axes
from jitgrad.ufuncs import Array, as_value
from jitgrad.value import Value

# --- differences ----------------------------------------------------------------------------------


@implements("diff")
def diff(a: Array, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """np.diff: differences of neighbours, ``n`` times."""
    if n < 0:
        raise ArgumentError(f"{user_location()}: np.diff with n={n}; expected 0 or more.")
    a = moveaxis(a, axis, 0)
    ends = [_row(end, a, axis) for end in (prepend, append)] if n else [None, None]
    parts = [part for part in (ends[0], a, ends[1]) if part is not None]
    a = concatenate(parts) if len(parts) > 1 else a
    change = "ne" if a.element_type.kind == "b" else "sub"
    for _ in range(n):
        a = as_value(elementwise(change, a[1:], a[:-1]))
    return moveaxis(a, 0, axis)


def _row(end: Any, a: Value, axis: int) -> Any:
    """Return what is put before or after an array whose axis of differences is the first."""
    if end is None:
        return None
    return moveaxis(end, axis, 0) if np.ndim(end) else broadcast_to(end, (1, *a.shape[1:]))


@implements("ediff1d")
def ediff1d(ary: Array, to_end: Any = None, to_begin: Any = None) -> Any:
    """np.ediff1d: differences of the flat array, with ends."""
    flat = ravel(ary)
    parts = [to_begin, flat[1:] - flat[:-1], to_end]
    return concatenate([typed(ravel(part), flat) for part in parts if part is not None])


@implements("trapezoid", "trapz")
def trapezoid(y: Array, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """np.trapezoid: the integral along an axis by the trapezoidal rule."""
    y = moveaxis(y, axis, -1)
    if x is not None:
        dx = diff(x) if np.ndim(x) == 1 else diff(moveaxis(x, axis, -1))
    return total((y[..., 1:] + y[..., :-1]) * dx / 2.0, -1)


@implements("gradient")
def gradient(f: Array, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """np.gradient: differences to both sides, and to one side at the ends."""
    f = as_value(f)
    axes = full_axes(axis, f.ndim)
    spacings = list(varargs) or [1.0]
    if len(spacings) == 1 and np.ndim(spacings[0]) == 0:
        spacings = spacings * len(axes)
    if len(spacings) != len(axes) or edge_order not in (1, 2):
        raise ArgumentError(
            f"{user_location()}: np.gradient over {len(axes)} axes with {len(spacings)} spacings "
            f"and edge_order={edge_order}."
        )
    out = tuple(_slope(f, h, at, edge_order) for h, at in zip(spacings, axes, strict=True))
    return out[0] if len(out) == 1 else out


def _slope(f: Value, spacing: Any, axis: int, edge_order: int) -> Any:
    f = moveaxis(f, axis, 0)
    if len(f) < edge_order + 1:
        raise ShapeError(f"{user_location()}: np.gradient along an axis of {len(f)}.")
    steps = _steps(spacing, f)
    uniform = np.ndim(steps) == 0
    if uniform:
        inner = (f[2:] - f[:-2]) / (2.0 * steps)
    else:
        inner = _weighted(f[:-2], f[1:-1], f[2:], *_in_the_middle(steps[:-1], steps[1:]))
    first, last = (steps, steps) if uniform else (steps[:1], steps[-1:])
    if edge_order == 1:
        ends = (f[1:2] - f[:1]) / first, (f[-1:] - f[-2:-1]) / last
    else:
        second, last_but_one = (steps, steps) if uniform else (steps[1:2], steps[-2:-1])
        low, high = _at_the_start(first, second), _at_the_start(last, last_but_one)
        ends = (
            _weighted(f[:1], f[1:2], f[2:3], *low),
            _weighted(f[-1:], f[-2:-1], f[-3:-2], *(-c for c in high)),
        )
    return moveaxis(typed(concatenate([ends[0], inner, ends[1]]), f), 0, axis)


def _steps(spacing: Any, f: Value) -> Any:
    """Return one step, or those between coordinates, which broadcast with ``f``."""
    if np.ndim(spacing) == 0:
        return spacing
    if np.shape(spacing) != f.shape[:1]:
        raise ShapeError(
            f"{user_location()}: np.gradient with coordinates of shape {np.shape(spacing)} along "
            f"an axis of {len(f)}."
        )
    steps = np.diff(spacing)
    if not isinstance(steps, Value) and (steps == steps[0]).all():
        return steps[0]
    return steps.reshape((-1, *(1,) * (f.ndim - 1)))


def _weighted(x: Any, y: Any, z: Any, a: Any, b: Any, c: Any) -> Any:
    return a * x + b * y + c * z


def _in_the_middle(h: Any, k: Any) -> tuple[Any, Any, Any]:
    """Return the weights of the derivative at the second of three points, h and k apart.

    Quarteroni, Sacco and Saleri, Numerical Mathematics, 2007, section 10.10.
    """
    return -k / (h * (h + k)), (k - h) / (h * k), h / (k * (h + k))


def _at_the_start(h: Any, k: Any) -> tuple[Any, Any, Any]:
    """Return the weights of the derivative at the first of three points."""
    return -(2.0 * h + k) / (h * (h + k)), (h + k) / (h * k), -h / (k * (h + k))


# --- convolutions ---------------------------------------------------------------------------------


@implements("convolve")
def convolve(a: Array, v: Array, mode: str = "full") -> Any:
    """np.convolve: windows of the longer array, each times the shorter one reversed."""
    a, v = atleast_1d(a), atleast_1d(v)
    if a.ndim != 1 or v.ndim != 1 or not a.size or not v.size:
        raise ShapeError(f"{user_location()}: convolution of arrays of {a.shape} and {v.shape}.")
    a, v = (a, v) if a.size >= v.size else (v, a)
    n = v.size
    ends = {"full": (n - 1, n - 1), "same": (n // 2, (n - 1) // 2), "valid": (0, 0)}.get(mode)
    if ends is None:
        raise ArgumentError(
            f"{user_location()}: mode={mode!r}; expected 'full', 'same' or 'valid'."
        )
    a = pad(a, ends) if any(ends) else a
    windows = np.arange(a.size - n + 1)[:, None] + np.arange(n)
    return a[windows] @ v[::-1]


@implements("correlate")
def correlate(a: Array, v: Array, mode: str = "valid") -> Any:
    """np.correlate."""
    a, v = atleast_1d(a), atleast_1d(v)
    if a.size < v.size:
        return correlate(v, a, mode)[::-1]
    return convolve(a, v[::-1], mode)


# --- polynomials, the highest power first ---------------------------------------------------------


@implements("polyval")
def polyval(p: Any, x: Array) -> Any:
    """np.polyval, by Horner's rule."""
    coefficients = list(p if isinstance(p, Value) else np.asarray(p)) or [0.0]
    x, out = as_value(x), as_value(coefficients[0])
    for coefficient in coefficients[1:]:
        out = out * x + coefficient
    return out if out.shape == x.shape else broadcast_to(out, x.shape)


@implements("polyadd")
def polyadd(a1: Array, a2: Array) -> Any:
    """np.polyadd."""
    a1, a2 = _as_long(atleast_1d(a1), atleast_1d(a2))
    return a1 + a2


@implements("polysub")
def polysub(a1: Array, a2: Array) -> Any:
    """np.polysub."""
    a1, a2 = _as_long(atleast_1d(a1), atleast_1d(a2))
    return a1 - a2


def _as_long(a: Value, b: Value) -> tuple[Any, Any]:
    size = max(a.size, b.size)
    a, b = (x if x.size == size else pad(x, (size - x.size, 0)) for x in (a, b))
    return a, b


@implements("polymul")
def polymul(a1: Array, a2: Array) -> Any:
    """np.polymul; zeros at the start stay where they are of Values."""
    a1, a2 = (x if isinstance(x, Value) else np.trim_zeros(np.atleast_1d(x), "f") for x in (a1, a2))
    return convolve(a1, a2)


@implements("polyder")
def polyder(p: Array, m: int = 1) -> Any:
    """np.polyder: the derivative."""
    p = as_value(p)
    for _ in range(_count(m)):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1)
    return p


@implements("polyint")
def polyint(p: Array, m: int = 1, k: Any = None) -> Any:
    """np.polyint: the integral, with constants ``k``."""
    p = as_value(p)
    constants = [0.0] * m if k is None else list(k) if np.ndim(k) else [k] * m
    for _, constant in zip(range(_count(m)), constants, strict=True):
        parts = p / np.arange(len(p), 0, -1)
        p = concatenate([parts, typed(as_value(constant).reshape(1), parts)])
    return p


def _count(m: int) -> int:
    count = operator.index(m)
    if count < 0:
        raise ArgumentError(f"{user_location()}: m={m}; expected 0 or more.")
    return count


@implements("vander")
def vander(x: Array, N: int | None = None, increasing: bool = False) -> Any:
    """np.vander: the powers of each element."""
    x = as_value(x).astype(np.promote_types(as_value(x).element_type, int))
    if x.ndim != 1:
        raise ShapeError(f"{user_location()}: np.vander of an array of {x.ndim} dimensions.")
    count = len(x) if N is None else operator.index(N)
    if not count:
        raise UnsupportedError(f"{user_location()}: np.vander of no columns.")
    columns: list[Any] = [np.ones(len(x), x.element_type)]
    for _ in range(count - 1):
        columns.append(x * columns[-1])
    return stack(columns if increasing else columns[::-1], -1)


@implements("polyfit")
def polyfit(x: Array, y: Array, deg: int, rcond: Any = None, *, w: Any = None) -> Any:
    """np.polyfit: least squares of powers, each over its size; the coefficients alone."""
    x, y = as_value(x), as_value(y)
    weights = as_value(np.ones(x.shape) if w is None else w)
    powers = np.vander(x, deg + 1) * weights[:, None]
    sizes = np.sqrt(np.sum(powers * powers, axis=0))
    y = y * (weights if y.ndim == 1 else weights[:, None])
    share = x.size * float(np.finfo(float).eps) if rcond is None else rcond
    found = np.linalg.lstsq(powers / sizes, y, share)[0]
    return (found.T / sizes).T

"""scipy.special's Python functions, for Values; its ufuncs take Values as they are.

>>> from jitgrad import Value
>>> logsumexp(Value([0.0, 0.0])).data == np.log(2.0)
np.True_
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitgrad.graph import elementwise
from jitgrad.ufuncs import Array, as_value, where
from jitgrad.value import Value

__all__ = [
    "log_softmax",
    "logsumexp",
    "multigammaln",
    "polygamma",
    "softmax",
    "softplus",
]


def logsumexp(
    a: Array, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Any:
    """Return ``log(sum(b * exp(a)))``; where nothing is added, minus infinity with derivative 0."""
    a = as_value(a)
    top = np.max(a, axis=axis, keepdims=True)
    top = elementwise("detach", where(np.isfinite(top), top, 0.0))
    terms = np.exp(a - top)
    total = np.sum(terms if b is None else b * terms, axis=axis, keepdims=True)
    nothing = total == 0.0
    found = where(nothing, -math.inf, np.log(np.abs(where(nothing, 1.0, total))) + top)
    if not return_sign:
        found = where(total < 0.0, math.nan, found)
    if not keepdims:
        found, total = np.squeeze(found, axis), np.squeeze(total, axis)
    return (found, np.sign(total)) if return_sign else found


def softmax(x: Array, axis: Any = None) -> Any:
    """Return the exponentials over their sum."""
    terms = np.exp(_below(x, axis))
    return terms / np.sum(terms, axis=axis, keepdims=True)


def log_softmax(x: Array, axis: Any = None) -> Any:
    """Return the logarithm of `softmax`."""
    below = _below(x, axis)
    return below - np.log(np.sum(np.exp(below), axis=axis, keepdims=True))


def _below(x: Array, axis: Any) -> Any:
    """Subtract the largest element, which changes neither value nor derivative."""
    x = as_value(x)
    return x - elementwise("detach", np.max(x, axis=axis, keepdims=True))


def softplus(x: Array) -> Any:
    """Return ``log(1 + exp(x))``."""
    return elementwise("softplus", x)


def multigammaln(a: Array, d: int) -> Any:
    """Return the logarithm of the multivariate gamma function (DLMF 35.3.4)."""
    total = 0.25 * d * (d - 1) * math.log(math.pi)
    return sum((elementwise("gammaln", as_value(a) - 0.5 * j) for j in range(d)), start=total)


def polygamma(n: Any, x: Array) -> Any:
    """Return the n-th derivative of digamma; ``n`` is a whole number, or several."""
    if isinstance(n, int | np.integer) and n == 0:
        return elementwise("digamma", x)
    return elementwise("polygamma", n if isinstance(n, Value) else np.asarray(n, float)[()], x)

"""scipy.signal's convolutions for Values.

>>> from jitgrad import Value
>>> convolve(Value([1.0, 2.0, 3.0]), np.array([1.0, 1.0]))
Value(data=[1. 3. 5. 3.], grad=0)
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from jitgrad.errors import ArgumentError, ShapeError, user_location
from jitgrad.ufuncs import Array, as_value

__all__ = [
    "convolve",
    "convolve2d",
    "correlate",
    "fftconvolve",
]

_MODES = ("full", "same", "valid")


def convolve(in1: Array, in2: Array, mode: str = "full", method: str = "auto") -> Any:
    """Convolve two arrays of as many dimensions, directly whatever the method."""
    a: Any = as_value(in1)
    b: Any = as_value(in2)
    if a.ndim != b.ndim or mode not in _MODES:
        raise ShapeError(
            f"{user_location()}: convolve of arrays of shapes {a.shape} and {b.shape} with "
            f"mode={mode!r}; expected as many dimensions, and one of {', '.join(_MODES)}"
        )
    wanted = a.shape
    if mode == "valid" and all(m < n for m, n in zip(a.shape, b.shape, strict=True)):
        a, b = b, a
    if mode == "valid" and any(m < n for m, n in zip(a.shape, b.shape, strict=True)):
        raise ArgumentError(
            f"{user_location()}: convolve of arrays of shapes {a.shape} and {b.shape} with "
            "mode='valid'; expected one to be as large as the other in each dimension"
        )
    if mode != "valid" and b.size > a.size:
        a, b = b, a
    if mode != "valid":
        a = np.pad(a, [(n - 1, n - 1) for n in b.shape])
    full = _valid(a, b)
    if mode != "same":
        return full
    starts = [(n - m) // 2 for n, m in zip(full.shape, wanted, strict=True)]
    return full[tuple(slice(s, s + m) for s, m in zip(starts, wanted, strict=True))]


def _valid(a: Any, b: Any) -> Any:
    """Add up shifted copies of the larger array, one for each element of the other one."""
    shape = tuple(m - n + 1 for m, n in zip(a.shape, b.shape, strict=True))
    total: Any = 0.0
    for at in itertools.product(*map(range, b.shape)):
        last = tuple(n - 1 - k for n, k in zip(b.shape, at, strict=True))
        window = tuple(slice(k, k + m) for k, m in zip(last, shape, strict=True))
        total = total + b[at] * a[window]
    return total


def correlate(in1: Array, in2: Array, mode: str = "full", method: str = "auto") -> Any:
    """Correlate two arrays: convolve with the second one reversed."""
    b = as_value(in2)
    return convolve(in1, b[(slice(None, None, -1),) * b.ndim], mode)


def fftconvolve(in1: Array, in2: Array, mode: str = "full", axes: Any = None) -> Any:
    """Convolve two arrays, directly: for kernels of a few elements that is faster."""
    if axes is not None:
        raise ArgumentError(f"{user_location()}: fftconvolve of a Value with axes={axes!r}")
    return convolve(in1, in2, mode)


convolve2d = convolve

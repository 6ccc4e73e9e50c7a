"""Sorting and searching, for generated kernels: each routine fills its first argument.

>>> out = np.empty(3, np.int64)
>>> argsort(out, np.array([2.0, 3.0, 1.0]))
>>> out
array([2, 0, 1])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import register_jitable

from jitgrad.errors import PositionError

Array = np.ndarray[Any, Any]


@register_jitable  # type: ignore[untyped-decorator]
def argsort(out: Array, x: Array) -> None:
    """Order a vector's elements: equal ones as they stand, NaNs last.

    A merge sort from the bottom up. (Numba's own takes seconds to compile.)
    """
    n = x.shape[0]
    given, merged = np.empty(n, np.int64), np.empty(n, np.int64)
    for k in range(n):
        given[k] = k
    width = 1
    while width < n:
        for start in range(0, n, 2 * width):
            _merge(merged, given, x, start, min(start + width, n), min(start + 2 * width, n))
        given, merged = merged, given
        width *= 2
    for k in range(n):
        out[k] = given[k]


@register_jitable  # type: ignore[untyped-decorator]
def _merge(merged: Array, given: Array, x: Array, start: int, middle: int, end: int) -> None:
    """Merge two ordered runs, from ``start`` and from ``middle`` on."""
    i, j = start, middle
    for k in range(start, end):
        if i < middle and (j >= end or not _before(x[given[j]], x[given[i]])):
            merged[k] = given[i]
            i += 1
        else:
            merged[k] = given[j]
            j += 1


@register_jitable  # type: ignore[untyped-decorator]
def _before(a: float, b: float) -> bool:
    """Whether a number comes before another one: NaN after all others."""
    return a < b or (b != b and a == a)


@register_jitable  # type: ignore[untyped-decorator]
def argmax(out: Array, x: Array) -> None:
    """Find the first of the largest elements, or the first NaN; ``out`` has shape (1,)."""
    best = 0
    for k in range(1, x.shape[0]):
        if x[k] > x[best] or (x[k] != x[k] and x[best] == x[best]):
            best = k
    out[0] = best


@register_jitable  # type: ignore[untyped-decorator]
def argmin(out: Array, x: Array) -> None:
    """Find the first of the smallest elements, or the first NaN; ``out`` has shape (1,)."""
    best = 0
    for k in range(1, x.shape[0]):
        if x[k] < x[best] or (x[k] != x[k] and x[best] == x[best]):
            best = k
    out[0] = best


@register_jitable  # type: ignore[untyped-decorator]
def search_left(out: Array, ordered: Array, x: Array) -> None:
    """Count for each element of ``x`` how many of ``ordered`` come before it."""
    for k in range(x.shape[0]):
        low, high = 0, ordered.shape[0]
        while low < high:
            middle = (low + high) // 2
            if _before(ordered[middle], x[k]):
                low = middle + 1
            else:
                high = middle
        out[k] = low


@register_jitable  # type: ignore[untyped-decorator]
def search_right(out: Array, ordered: Array, x: Array) -> None:
    """Count for each element of ``x`` how many of ``ordered`` come before it or equal it."""
    for k in range(x.shape[0]):
        low, high = 0, ordered.shape[0]
        while low < high:
            middle = (low + high) // 2
            if _before(x[k], ordered[middle]):
                high = middle
            else:
                low = middle + 1
        out[k] = low


@register_jitable  # type: ignore[untyped-decorator]
def positions(out: Array, x: Array, extent: Array) -> None:
    """Turn whole numbers into positions on an axis; negative ones count from its end.

    Parameters
    ----------
    out, x : array, shape (n,)
    extent : array, shape (1,)
        The axis has so many elements.

    Raises
    ------
    PositionError
        Where there is no such position.
    """
    n = int(extent[0])
    for k in range(x.shape[0]):
        if not -n <= x[k] < n or x[k] != np.floor(x[k]):
            raise PositionError("an index that the loss computes is outside of its axis")
        at = int(x[k])
        out[k] = at + n if at < 0 else at

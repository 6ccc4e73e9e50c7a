"""Linear algebra by LAPACK, for generated kernels: each routine fills its first argument.

A routine is a plain Python function, and for Numba a call of the LAPACK that Numba itself links
kernels to (SciPy's); what LAPACK makes is laid out here in rows. What is singular, indefinite or
does not converge raises `numpy.linalg.LinAlgError`, as in NumPy.

>>> out = np.empty((2, 2))
>>> cholesky(out, np.array([[4.0, 2.0], [2.0, 5.0]]))
>>> out
array([[2., 0.],
       [1., 2.]])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

Array = np.ndarray[Any, Any]

DOUBLE, UPPER = map(ord, "dU")
NUMBERS, _WHOLES = types.CPointer(types.float64), types.CPointer(types.int32)
SIZE, CHAR = types.intp, types.char


def external(name: str, *arguments: Any) -> Any:
    """Declare one of the functions through which Numba calls LAPACK: a kind, then its arguments."""
    return types.ExternalFunction(name, types.intc(types.char, *arguments))


_getrf = external("numba_xxgetrf", SIZE, SIZE, NUMBERS, SIZE, _WHOLES)
_potrf = external("numba_xxpotrf", CHAR, SIZE, NUMBERS, SIZE)


@register_jitable  # type: ignore[untyped-decorator]
def by_columns(a: Array) -> Array:
    """Copy a matrix as LAPACK reads it."""
    turned = np.empty((a.shape[1], a.shape[0]))
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            turned[j, i] = a[i, j]
    return turned


# --- LU ------------------------------------------------------------------------------------------


def lu(out: Array, a: Array) -> None:
    """Factor a square matrix with partial pivoting: ``a[order] = L @ U``.

    Parameters
    ----------
    out : array, shape (n + 1, n)
        The factors in one matrix, L's unit diagonal left out, and in its last row the order.
    a : array, shape (n, n)

    Examples
    --------
    >>> out = np.empty((3, 2))
    >>> lu(out, np.array([[1.0, 2.0], [4.0, 3.0]]))
    >>> out
    array([[4.  , 3.  ],
           [0.25, 1.25],
           [1.  , 0.  ]])
    """
    n = len(a)
    factors, order = np.array(a), np.arange(n)
    for k in range(n):
        best = k + int(np.argmax(abs(factors[k:, k])))
        factors[[k, best]], order[[k, best]] = factors[[best, k]], order[[best, k]]
        if factors[k, k] != 0.0:
            factors[k + 1 :, k] /= factors[k, k]
            factors[k + 1 :, k + 1 :] -= np.outer(factors[k + 1 :, k], factors[k, k + 1 :])
    out[:n], out[n] = factors, order


@overload(lu)  # type: ignore[untyped-decorator]
def _lu(out: Array, a: Array) -> Any:
    def routine(out: Array, a: Array) -> None:
        n = a.shape[0]
        factors, swaps = by_columns(a), np.empty(n, np.int32)
        if n:
            _getrf(DOUBLE, n, n, factors.ctypes, n, swaps.ctypes)
        for i in range(n):
            for j in range(n):
                out[i, j] = factors[j, i]
            out[n, i] = i
        for k in range(n):
            other = swaps[k] - 1
            out[n, k], out[n, other] = out[n, other], out[n, k]
        keep(factors.size + swaps.size)

    return routine


@register_jitable(inline="never")  # type: ignore[untyped-decorator]
def keep(_: int) -> None:
    """Keep arrays alive until here: LAPACK has their addresses only."""


@register_jitable  # type: ignore[untyped-decorator]
def lu_solve(out: Array, a: Array, factors: Array, b: Array) -> None:
    """Solve ``a @ out = b`` with what `lu` made of ``a``."""
    n = a.shape[0]
    _check_pivots(factors)
    for i in range(n):
        for j in range(b.shape[1]):
            out[i, j] = b[int(factors[n, i]), j]
    for i in range(n):
        for k in range(i):
            _subtract(out, i, factors[i, k], k)
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            _subtract(out, i, factors[i, k], k)
        _divide(out, i, factors[i, i])


@register_jitable  # type: ignore[untyped-decorator]
def _subtract(x: Array, i: int, factor: float, k: int) -> None:
    """Subtract a multiple of row ``k`` from row ``i``."""
    for j in range(x.shape[1]):
        x[i, j] -= factor * x[k, j]


@register_jitable  # type: ignore[untyped-decorator]
def _divide(x: Array, i: int, by: float) -> None:
    for j in range(x.shape[1]):
        x[i, j] /= by


@register_jitable  # type: ignore[untyped-decorator]
def lu_solve_transposed(out: Array, a: Array, factors: Array, b: Array) -> None:
    """Solve ``a.T @ out = b`` with what `lu` made of ``a``."""
    n = a.shape[0]
    _check_pivots(factors)
    y = np.empty(b.shape)
    for i in range(n):
        for j in range(b.shape[1]):
            y[i, j] = b[i, j]
    for k in range(n):
        _divide(y, k, factors[k, k])
        for i in range(k + 1, n):
            _subtract(y, i, factors[k, i], k)
    for k in range(n - 1, -1, -1):
        for i in range(k):
            _subtract(y, i, factors[k, i], k)
    for i in range(n):
        for j in range(b.shape[1]):
            out[int(factors[n, i]), j] = y[i, j]


@register_jitable  # type: ignore[untyped-decorator]
def _check_pivots(factors: Array) -> None:
    for k in range(factors.shape[1]):
        if factors[k, k] == 0.0:
            raise np.linalg.LinAlgError("Singular matrix")


@register_jitable  # type: ignore[untyped-decorator]
def lu_sign(out: Array, factors: Array) -> None:
    """Return the sign of the determinant, or 0, in an array of shape (1,)."""
    n = factors.shape[1]
    sign = 1.0
    seen = np.zeros(n, np.bool_)
    for k in range(n):
        sign *= np.sign(factors[k, k])
        at = k
        while not seen[at]:  # a cycle of the order: its length less one is how many swaps it takes
            seen[at] = True
            at = int(factors[n, at])
            if not seen[at]:
                sign = -sign
    out[0] = sign


@register_jitable  # type: ignore[untyped-decorator]
def lu_logdet(out: Array, a: Array, factors: Array) -> None:
    """Return the logarithm of the determinant's size in an array of shape (1,)."""
    total = 0.0
    for k in range(a.shape[0]):
        total += np.log(np.abs(factors[k, k])) if factors[k, k] != 0.0 else -np.inf
    out[0] = total


@register_jitable  # type: ignore[untyped-decorator]
def lu_det(out: Array, a: Array, factors: Array) -> None:
    """Return the determinant in an array of shape (1,)."""
    lu_sign(out, factors)
    for k in range(a.shape[0]):
        out[0] *= np.abs(factors[k, k])


# --- Cholesky, and triangular systems ------------------------------------------------------------


def cholesky(out: Array, a: Array) -> None:
    """Factor a positive definite matrix: ``a = out @ out.T``; only its lower half is read."""
    out[:] = np.linalg.cholesky(a)


@overload(cholesky)  # type: ignore[untyped-decorator]
def _cholesky(out: Array, a: Array) -> Any:
    def routine(out: Array, a: Array) -> None:
        n = a.shape[0]
        for i in range(n):
            for j in range(n):
                out[i, j] = a[i, j] if j <= i else 0.0
        if n and _potrf(DOUBLE, UPPER, n, out.ctypes, n) != 0:
            raise np.linalg.LinAlgError("Matrix is not positive definite")

    return routine


@register_jitable  # type: ignore[untyped-decorator]
def solve_lower(out: Array, lower: Array, b: Array) -> None:
    """Solve ``lower @ out = b``; what stands above the diagonal is not read."""
    _check_pivots(lower)
    for i in range(lower.shape[0]):
        for j in range(b.shape[1]):
            out[i, j] = b[i, j]
        for k in range(i):
            _subtract(out, i, lower[i, k], k)
        _divide(out, i, lower[i, i])


@register_jitable  # type: ignore[untyped-decorator]
def solve_lower_transposed(out: Array, lower: Array, b: Array) -> None:
    """Solve ``lower.T @ out = b``; what stands above the diagonal is not read."""
    _check_pivots(lower)
    for i in range(lower.shape[0] - 1, -1, -1):
        for j in range(b.shape[1]):
            out[i, j] = b[i, j]
        for k in range(i + 1, lower.shape[0]):
            _subtract(out, i, lower[k, i], k)
        _divide(out, i, lower[i, i])

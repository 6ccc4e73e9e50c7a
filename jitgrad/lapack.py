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

_KIND, _UPPER, _VECTORS, _SMALL, _NO = map(ord, "dUVSN")
_NUMBERS, _WHOLES = types.CPointer(types.float64), types.CPointer(types.int32)


def _external(name: str, *arguments: Any) -> Any:
    """Declare one of the functions through which Numba calls LAPACK: a kind, then its arguments."""
    return types.ExternalFunction(name, types.intc(types.char, *arguments))


_SIZE, _CHAR = types.intp, types.char
_getrf = _external("numba_xxgetrf", _SIZE, _SIZE, _NUMBERS, _SIZE, _WHOLES)
_potrf = _external("numba_xxpotrf", _CHAR, _SIZE, _NUMBERS, _SIZE)
_syevd = _external("numba_ez_xxxevd", _CHAR, _CHAR, _SIZE, _NUMBERS, _SIZE, _NUMBERS)
_gesdd = _external(
    "numba_ez_gesdd", _CHAR, _SIZE, _SIZE, _NUMBERS, _SIZE, *2 * [_NUMBERS], _SIZE, _NUMBERS, _SIZE
)
_geqrf = _external("numba_ez_geqrf", _SIZE, _SIZE, _NUMBERS, _SIZE, _NUMBERS)
_orgqr = _external("numba_ez_xxgqr", _SIZE, _SIZE, _SIZE, _NUMBERS, _SIZE, _NUMBERS)
_geev = _external(
    "numba_ez_rgeev", _CHAR, _CHAR, _SIZE, _NUMBERS, _SIZE, *2 * [_NUMBERS], *2 * [_NUMBERS, _SIZE]
)


@register_jitable  # type: ignore[untyped-decorator]
def _by_columns(a: Array) -> Array:
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
        factors, swaps = _by_columns(a), np.empty(n, np.int32)
        if n:
            _getrf(_KIND, n, n, factors.ctypes, n, swaps.ctypes)
        for i in range(n):
            for j in range(n):
                out[i, j] = factors[j, i]
            out[n, i] = i
        for k in range(n):
            other = swaps[k] - 1
            out[n, k], out[n, other] = out[n, other], out[n, k]
        _used(factors.size + swaps.size)

    return routine


@register_jitable(inline="never")  # type: ignore[untyped-decorator]
def _used(_: int) -> None:
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
        if n and _potrf(_KIND, _UPPER, n, out.ctypes, n) != 0:
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


# --- orthogonal factors --------------------------------------------------------------------------


def qr(out: Array, a: Array) -> None:
    """Factor a matrix of at least as many rows as columns: Q, then R, one after the other.

    Parameters
    ----------
    out : array, shape (m * n + n * n,)
    a : array, shape (m, n)
    """
    q, r = np.linalg.qr(a)
    out[: q.size], out[q.size :] = q.ravel(), r.ravel()


@overload(qr)  # type: ignore[untyped-decorator]
def _qr(out: Array, a: Array) -> Any:
    def routine(out: Array, a: Array) -> None:
        m, n = a.shape
        q, r = out[: m * n].reshape(m, n), out[m * n :].reshape(n, n)
        factors, scales = _by_columns(a), np.empty(n)
        if n:
            _geqrf(_KIND, m, n, factors.ctypes, m, scales.ctypes)
        for i in range(n):
            for j in range(n):
                r[i, j] = factors[j, i] if i <= j else 0.0
        if n:
            _orgqr(_KIND, m, n, n, factors.ctypes, m, scales.ctypes)
        for i in range(m):
            for j in range(n):
                q[i, j] = factors[j, i]
        _used(factors.size + scales.size)

    return routine


def svd(out: Array, a: Array) -> None:
    """Decompose a matrix: U, the singular values and V transposed, one after the other.

    Parameters
    ----------
    out : array, shape (m * k + k + k * n,)
        With k the smaller of m and n.
    a : array, shape (m, n)
    """
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    out[:] = np.concatenate([u.ravel(), s, vt.ravel()])


@overload(svd)  # type: ignore[untyped-decorator]
def _svd(out: Array, a: Array) -> Any:
    def routine(out: Array, a: Array) -> None:
        m, n = a.shape
        k = min(m, n)
        # By columns, a in rows is its transpose, V S U^T: LAPACK then writes rows.
        vt, s, u = out[m * k + k :], out[m * k : m * k + k], out[: m * k]
        rows = a.copy()
        _check_finite(rows)
        if k:
            failed = _gesdd(
                _KIND, _SMALL, n, m, rows.ctypes, n, s.ctypes, vt.ctypes, n, u.ctypes, k
            )
            if failed != 0:
                raise np.linalg.LinAlgError("SVD did not converge")
        _used(rows.size)

    return routine


@register_jitable  # type: ignore[untyped-decorator]
def pinv(out: Array, a: Array, share: Array) -> None:
    """Invert a matrix as far as it goes.

    Parameters
    ----------
    out : array, shape (n, m)
    a : array, shape (m, n)
    share : array, shape (1,)
        Singular values of up to this share of the largest one count as 0.
    """
    m, n = a.shape
    k = min(m, n)
    packed = np.empty(m * k + k + k * n)
    svd(packed, a)
    u, s, vt = packed[: m * k], packed[m * k : m * k + k], packed[m * k + k :]
    for j in range(n):
        for i in range(m):
            out[j, i] = 0.0
    for p in range(k):
        if s[p] > share[0] * s[0]:
            for j in range(n):
                for i in range(m):
                    out[j, i] += vt[p * n + j] / s[p] * u[i * k + p]


@register_jitable  # type: ignore[untyped-decorator]
def _check_finite(a: Array) -> None:
    for value in a.flat:
        if not np.isfinite(value):
            raise np.linalg.LinAlgError("Array must not contain infs or NaNs")


@register_jitable  # type: ignore[untyped-decorator]
def cofactors(out: Array, a: Array) -> None:
    """Compute the derivatives of the determinant: det(a) times the transpose of the inverse.

    From the singular values, so that it is there for a singular matrix too.
    """
    n = a.shape[0]
    packed, sign, other = np.empty(2 * n * n + n), np.empty(1), np.empty(1)
    svd(packed, a)
    u, vt = packed[: n * n].reshape(n, n), packed[n * n + n :].reshape(n, n)
    factors = np.empty((n + 1, n))
    lu(factors, u)
    lu_sign(sign, factors)
    lu(factors, vt)
    lu_sign(other, factors)
    for k in range(n):
        product = sign[0] * other[0]  # of the other singular values
        for j in range(n):
            product *= packed[n * n + j] if j != k else 1.0
        for i in range(n):
            u[i, k] *= product
    for i in range(n):
        for j in range(n):
            out[i, j] = 0.0
            for k in range(n):
                out[i, j] += u[i, k] * vt[k, j]


# --- eigenvalues ---------------------------------------------------------------------------------


def eigh(out: Array, a: Array) -> None:
    """Decompose a symmetric matrix; only its lower half is read.

    Parameters
    ----------
    out : array, shape (n + 1, n)
        The eigenvalues, ascending, and below them the matrix whose columns are the eigenvectors.
    a : array, shape (n, n)
    """
    out[0], out[1:] = np.linalg.eigh(a)


@overload(eigh)  # type: ignore[untyped-decorator]
def _eigh(out: Array, a: Array) -> Any:
    def routine(out: Array, a: Array) -> None:
        n = a.shape[0]
        vectors, values = a.copy(), np.empty(n)
        _check_finite(vectors)
        if n and _syevd(_KIND, _VECTORS, _UPPER, n, vectors.ctypes, n, values.ctypes) != 0:
            raise np.linalg.LinAlgError("Eigenvalues did not converge")
        for i in range(n):
            out[0, i] = values[i]
            for j in range(n):
                out[1 + i, j] = vectors[j, i]
        _used(vectors.size + values.size)

    return routine


def eig(out: Array, a: Array) -> None:
    """Decompose a matrix with real eigenvalues; laid out as by `eigh`, in LAPACK's order."""
    values, vectors = np.linalg.eig(a)
    if np.iscomplexobj(values):
        raise np.linalg.LinAlgError("Eigenvalues are complex")
    out[0], out[1:] = values, vectors


@overload(eig)  # type: ignore[untyped-decorator]
def _eig(out: Array, a: Array) -> Any:
    def routine(out: Array, a: Array) -> None:
        n = a.shape[0]
        given, real, imaginary = _by_columns(a), np.empty(n), np.empty(n)
        vectors, none = np.empty((n, n)), np.empty(1)
        _check_finite(given)
        if n:
            failed = _geev(
                _KIND,
                _NO,
                _VECTORS,
                n,
                given.ctypes,
                n,
                real.ctypes,
                imaginary.ctypes,
                none.ctypes,
                1,
                vectors.ctypes,
                n,
            )
            if failed != 0:
                raise np.linalg.LinAlgError("Eigenvalues did not converge")
        for i in range(n):
            if imaginary[i] != 0.0:
                raise np.linalg.LinAlgError("Eigenvalues are complex")
            out[0, i] = real[i]
            for j in range(n):
                out[1 + i, j] = vectors[j, i]
        _used(given.size + real.size + imaginary.size + vectors.size + none.size)

    return routine


@register_jitable  # type: ignore[untyped-decorator]
def divide_by_gaps(out: Array, numerators: Array, values: Array) -> None:
    """Compute ``numerators[i, j] / (values[j] - values[i])``, and 0 on the diagonal.

    Where two values are equal but for rounding there is no such quotient. It is 0 if the numerator
    is 0 but for rounding too: then whatever is asked for does not depend on how the space that
    belongs to the value is spanned.

    Raises
    ------
    LinAlgError
        If the numerator is not 0.
    """
    n = values.shape[0]
    size, largest = 0.0, 0.0
    for i in range(n):
        size = max(size, abs(values[i]))
        for j in range(n):
            largest = max(largest, abs(numerators[i, j]))
    for i in range(n):
        for j in range(n):
            gap = values[j] - values[i]
            out[i, j] = 0.0
            if i != j and abs(gap) > 1e-13 * n * size:
                out[i, j] = numerators[i, j] / gap
            elif i != j and abs(numerators[i, j]) > 1e-8 * largest:
                raise np.linalg.LinAlgError(
                    "Eigenvectors of an eigenvalue that is there twice have no derivative"
                )

"""Orthogonal factors, singular values and eigenvalues by LAPACK, for generated kernels.

Like those of `lapack`, each routine fills its first argument. What a routine makes of several
matrices stands one after the other in one array.

>>> out = np.empty((3, 2))
>>> eigh(out, np.array([[2.0, 0.0], [0.0, 1.0]]))
>>> out[0]
array([1., 2.])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import overload, register_jitable

from jitgrad.lapack import (
    CHAR,
    DOUBLE,
    NUMBERS,
    SIZE,
    UPPER,
    Array,
    by_columns,
    external,
    keep,
    lu,
    lu_sign,
)

_VECTORS, _SMALL, _NO = map(ord, "VSN")

_syevd = external("numba_ez_xxxevd", CHAR, CHAR, SIZE, NUMBERS, SIZE, NUMBERS)
_gesdd = external(
    "numba_ez_gesdd", CHAR, SIZE, SIZE, NUMBERS, SIZE, *2 * [NUMBERS], SIZE, NUMBERS, SIZE
)
_geqrf = external("numba_ez_geqrf", SIZE, SIZE, NUMBERS, SIZE, NUMBERS)
_orgqr = external("numba_ez_xxgqr", SIZE, SIZE, SIZE, NUMBERS, SIZE, NUMBERS)
_geev = external(
    "numba_ez_rgeev", CHAR, CHAR, SIZE, NUMBERS, SIZE, *2 * [NUMBERS], *2 * [NUMBERS, SIZE]
)


@register_jitable  # type: ignore[untyped-decorator]
def _check_finite(a: Array) -> None:
    for value in a.flat:
        if not np.isfinite(value):
            raise np.linalg.LinAlgError("Array must not contain infs or NaNs")


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
        factors, scales = by_columns(a), np.empty(n)
        if n:
            _geqrf(DOUBLE, m, n, factors.ctypes, m, scales.ctypes)
        for i in range(n):
            for j in range(n):
                r[i, j] = factors[j, i] if i <= j else 0.0
        if n:
            _orgqr(DOUBLE, m, n, n, factors.ctypes, m, scales.ctypes)
        for i in range(m):
            for j in range(n):
                q[i, j] = factors[j, i]
        keep(factors.size + scales.size)

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
                DOUBLE, _SMALL, n, m, rows.ctypes, n, s.ctypes, vt.ctypes, n, u.ctypes, k
            )
            if failed != 0:
                raise np.linalg.LinAlgError("SVD did not converge")
        keep(rows.size)

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
        if n and _syevd(DOUBLE, _VECTORS, UPPER, n, vectors.ctypes, n, values.ctypes) != 0:
            raise np.linalg.LinAlgError("Eigenvalues did not converge")
        for i in range(n):
            out[0, i] = values[i]
            for j in range(n):
                out[1 + i, j] = vectors[j, i]
        keep(vectors.size + values.size)

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
        given, real, imaginary = by_columns(a), np.empty(n), np.empty(n)
        vectors, none = np.empty((n, n)), np.empty(1)
        _check_finite(given)
        if n:
            failed = _geev(
                DOUBLE,
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
        keep(given.size + real.size + imaginary.size + vectors.size + none.size)

    return routine


@register_jitable  # type: ignore[untyped-decorator]
def divide_by_gaps(out: Array, numerators: Array, values: Array) -> None:
    """Compute ``numerators[i, j] / (values[j] - values[i])``, and 0 on the diagonal.

    Where two values are equal, or nearly so, there is no such quotient. It is 0 where both
    numerators of the pair are 0 but for rounding: then nothing depends on these vectors.

    Raises
    ------
    LinAlgError
        If they are not. A difference of the two alone says nothing: it goes to 0 with the gap.
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
            if i != j and abs(gap) > 1e-10 * size:
                out[i, j] = numerators[i, j] / gap
            elif i != j and abs(numerators[i, j]) > 1e-12 * largest:
                raise np.linalg.LinAlgError(
                    "Eigenvectors of an eigenvalue that is there twice have no derivative"
                )

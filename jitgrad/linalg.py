"""NumPy's linear algebra over Values.

Written over the routines of LAPACK and matrix products; see `matrix_rules` for the derivatives.
Where NumPy reads one half of a symmetric matrix, so does the value here; the derivative is shared
by both halves, as in JAX and PyTorch.

>>> from jitgrad import Value
>>> a = Value([[4.0, 1.0], [1.0, 3.0]])
>>> round(float(np.linalg.slogdet(a).logabsdet.data), 12)
2.397895272798
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from jitgrad.errors import ShapeError, UnsupportedError, user_location
from jitgrad.matrix_rules import (
    eigh_parts,
    identity_like,
    qr_parts,
    routine,
    svd_parts,
    transposed,
)
from jitgrad.protocols import implements
from jitgrad.ufuncs import Array, as_value


class SlogdetResult(NamedTuple):
    """The sign of a determinant and the logarithm of its size."""

    sign: Any
    logabsdet: Any


class EigResult(NamedTuple):
    """Eigenvalues, and the matrix whose columns are the eigenvectors."""

    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    """An orthogonal and an upper triangular factor."""

    Q: Any
    R: Any


class SVDResult(NamedTuple):
    """Singular vectors, singular values, and singular vectors as rows."""

    U: Any
    S: Any
    Vh: Any


def _matrix(function: str, a: Array, square: bool = False) -> Any:
    """Check that an argument is a matrix, or a stack of them; integers become floats."""
    a = as_value(a)
    if a.ndim < 2 or (square and a.shape[-1] != a.shape[-2]):
        wanted = "a square matrix" if square else "a matrix"
        raise ShapeError(
            f"{user_location()}: np.linalg.{function} of an array of shape {a.shape}; expected "
            f"{wanted}, or a stack of them: (..., {'n, n' if square else 'm, n'})"
        )
    return a


def _typed(result: Any, *operands: Array) -> Any:
    """Return a result in float32 where all operands are."""
    types = [as_value(x).element_type for x in operands]
    single = np.result_type(*types, np.float32) == np.float32
    return result.astype(np.float32) if single else result


# --- systems and determinants --------------------------------------------------------------------


@implements("linalg.solve")
def solve(a: Array, b: Array) -> Any:
    """np.linalg.solve: a vector only where b has one dimension, as in NumPy 2."""
    a, b = _matrix("solve", a, square=True), as_value(b)
    if b.ndim < 1 or b.shape[0 if b.ndim == 1 else -2] != a.shape[-1]:
        raise ShapeError(
            f"{user_location()}: np.linalg.solve of arrays of shapes {a.shape} and {b.shape}; "
            f"expected b to have {a.shape[-1]} rows"
        )
    right = b[:, None] if b.ndim == 1 else b
    x = routine("lu_solve", a, routine("lu", a), right)
    return _typed(x[..., 0] if b.ndim == 1 else x, a, b)


@implements("linalg.tensorsolve")
def tensorsolve(a: Array, b: Array, axes: Any = None) -> Any:
    """np.linalg.tensorsolve: the last axes of ``a`` are those of the solution."""
    a, b = as_value(a), as_value(b)
    if axes is not None:
        a = np.moveaxis(a, axes, range(a.ndim - len(axes), a.ndim))
    shape = a.shape[b.ndim :]
    return solve(a.reshape(b.size, -1), b.ravel()).reshape(shape)


@implements("linalg.tensorinv")
def tensorinv(a: Array, ind: int = 2) -> Any:
    """np.linalg.tensorinv."""
    a = as_value(a)
    shape = (*a.shape[ind:], *a.shape[:ind])
    return inv(a.reshape(math.prod(a.shape[:ind]), -1)).reshape(shape)


@implements("linalg.inv")
def inv(a: Array) -> Any:
    """np.linalg.inv."""
    a = _matrix("inv", a, square=True)
    return _typed(routine("lu_solve", a, routine("lu", a), identity_like(a)), a)


@implements("linalg.det")
def det(a: Array) -> Any:
    """np.linalg.det; the derivative is that of the cofactors, for singular matrices too."""
    a = _matrix("det", a, square=True)
    return _typed(routine("lu_det", a, routine("lu", a))[..., 0], a)


@implements("linalg.slogdet")
def slogdet(a: Array) -> SlogdetResult:
    """np.linalg.slogdet."""
    a = _matrix("slogdet", a, square=True)
    factors = routine("lu", a)
    sign, size = routine("lu_sign", factors)[..., 0], routine("lu_logdet", a, factors)[..., 0]
    return SlogdetResult(_typed(sign, a), _typed(size, a))


@implements("linalg.matrix_power")
def matrix_power(a: Array, n: int) -> Any:
    """np.linalg.matrix_power: by repeated squaring, of the inverse where n is negative."""
    a = _matrix("matrix_power", a, square=True)
    if not isinstance(n, int | np.integer):
        raise TypeError(f"{user_location()}: matrix_power to {n!r}; expected a whole number")
    if n < 0:
        a, n = inv(a), -n
    result: Any = None
    while n:
        if n % 2:
            result = a if result is None else result @ a
        n //= 2
        a = a @ a if n else a
    return as_value(np.eye(a.shape[-1], dtype=a.element_type)) if result is None else result


# --- factors -------------------------------------------------------------------------------------


@implements("linalg.cholesky")
def cholesky(a: Array, /, *, upper: bool = False) -> Any:
    """np.linalg.cholesky; the lower half is read, or the upper one."""
    a = _matrix("cholesky", a, square=True)
    factor = _typed(routine("cholesky", transposed(a) if upper else a), a)
    return transposed(factor) if upper else factor


@implements("linalg.qr")
def qr(a: Array, mode: str = "reduced") -> Any:
    """np.linalg.qr, reduced, or only R."""
    a = _matrix("qr", a)
    m, n = a.shape[-2:]
    if mode not in ("reduced", "r") and not (mode == "complete" and m <= n):
        raise UnsupportedError(
            f"{user_location()}: np.linalg.qr with mode={mode!r} of a Value of shape {a.shape}: "
            "the vectors beyond the smaller extent are arbitrary. Write mode='reduced'"
        )
    k = min(m, n)
    square = a[..., :, :k]
    q, r = qr_parts(routine("qr", square), m, k)
    if n > m:
        r = np.concatenate([r, transposed(q) @ a[..., :, k:]], -1)
    q, r = _typed(q, a), _typed(r, a)
    return r if mode == "r" else QRResult(q, r)


@implements("linalg.svd")
def svd(
    a: Array, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """np.linalg.svd, for square matrices or with full_matrices=False."""
    a = _matrix("svd", a)
    m, n = a.shape[-2:]
    if compute_uv and full_matrices and m != n:
        raise UnsupportedError(
            f"{user_location()}: np.linalg.svd with full_matrices=True of a Value of shape "
            f"{a.shape}: the vectors beyond the smaller extent are arbitrary. Write "
            "full_matrices=False"
        )
    u, s, vt = (_typed(part, a) for part in svd_parts(routine("svd", a), m, n))
    return SVDResult(u, s, vt) if compute_uv else s


@implements("linalg.svdvals")
def svdvals(a: Array, /) -> Any:
    """np.linalg.svdvals."""
    return svd(a, compute_uv=False)


@implements("linalg.eigh")
def eigh(a: Array, UPLO: str = "L") -> EigResult:
    """np.linalg.eigh."""
    a = _matrix("eigh", a, square=True)
    half = transposed(a) if UPLO.upper() == "U" else a
    values, vectors = eigh_parts(routine("eigh", half))
    return EigResult(_typed(values, a), _typed(vectors, a))


@implements("linalg.eigvalsh")
def eigvalsh(a: Array, UPLO: str = "L") -> Any:
    """np.linalg.eigvalsh."""
    return eigh(a, UPLO).eigenvalues


@implements("linalg.eig")
def eig(a: Array) -> EigResult:
    """np.linalg.eig of matrices whose eigenvalues are real: others raise LinAlgError."""
    a = _matrix("eig", a, square=True)
    values, vectors = eigh_parts(routine("eig", a))
    return EigResult(_typed(values, a), _typed(vectors, a))


@implements("linalg.eigvals")
def eigvals(a: Array) -> Any:
    """np.linalg.eigvals, where they are real."""
    return eig(a).eigenvalues


# --- least squares -------------------------------------------------------------------------------


@implements("linalg.pinv")
def pinv(a: Array, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """np.linalg.pinv: what is small beside the largest singular value counts as 0.

    Its derivative holds as long as the rank stays what it is (Golub and Pereyra, 1973).
    """
    a = _matrix("pinv", a)
    share = rcond if rcond is not None else rtol if rtol is not None else 1e-15
    return _typed(routine("pinv", a, np.array([float(share)])), a)


@implements("linalg.lstsq")
def lstsq(a: Array, b: Array, rcond: Any = None) -> tuple[Any, Any, Any, Any]:
    """np.linalg.lstsq; the rank is counted as if it were full where it is not asked for."""
    a, b = _matrix("lstsq", a), as_value(b)
    if a.ndim != 2 or b.ndim not in (1, 2) or b.shape[0] != a.shape[0]:
        raise ShapeError(
            f"{user_location()}: np.linalg.lstsq of arrays of shapes {a.shape} and {b.shape}; "
            "expected a matrix (m, n), and m rows"
        )
    m, n = a.shape
    share = np.finfo(float).eps * max(m, n) if rcond is None else rcond
    x = pinv(a, share) @ b
    s = svdvals(a)
    rank = (s > share * s[0]).sum() if min(m, n) else 0
    away = b - a @ x
    residuals = (away * away).sum(0)
    whole = residuals.reshape(1) if b.ndim == 1 else residuals
    return x, whole if m > n else np.empty(0), rank, s

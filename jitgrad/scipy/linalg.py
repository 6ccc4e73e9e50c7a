"""scipy.linalg's functions for Values, over NumPy's.

>>> from jitgrad import Value
>>> solve_triangular(Value([[2.0, 0.0], [1.0, 1.0]]), np.array([2.0, 3.0]), lower=True)
Value(data=[1. 2.], grad=0)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitgrad.errors import ShapeError, UnsupportedError, user_location
from jitgrad.matrix_rules import routine, transposed
from jitgrad.ufuncs import Array, as_value

__all__ = [
    "block_diag",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "det",
    "eigh",
    "expm",
    "inv",
    "norm",
    "solve",
    "solve_triangular",
    "svdvals",
    "toeplitz",
]

# Pade's approximant of order 13, and up to which 1-norm it has all digits: Higham, The scaling and
# squaring method for the matrix exponential revisited, 2005, table 2.3 and algorithm 2.3.
_PADE = (
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
)
_LARGEST = 5.371920351148152
_SQUARINGS = 12  # exp of a matrix of a larger norm than 22,000 is seldom finite


def solve_triangular(
    a: Array,
    b: Array,
    trans: Any = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """Solve a triangular system; what stands in the other half is not read."""
    a, b = as_value(a), as_value(b)
    rows = b.shape[0 if b.ndim == 1 else -2] if b.ndim else 0
    if a.ndim < 2 or a.shape[-1] != a.shape[-2] or rows != a.shape[-1]:
        raise ShapeError(
            f"{user_location()}: solve_triangular of arrays of shapes {a.shape} and {b.shape}; "
            "expected a square matrix, and as many rows"
        )
    if unit_diagonal:
        a = a * (1.0 - np.eye(a.shape[-1])) + np.eye(a.shape[-1])
    right = b[:, None] if b.ndim == 1 else b
    turned = trans in (1, "T", 2, "C")
    half = a if lower else transposed(a)
    name = "solve_lower" if lower != turned else "solve_lower_transposed"
    x = routine(name, half, right)
    return x[..., 0] if b.ndim == 1 else x


def cholesky(
    a: Array, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    """Factor a positive definite matrix: the upper factor, or the lower one."""
    return np.linalg.cholesky(as_value(a), upper=not lower)


def cho_factor(
    a: Array, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Any, bool]:
    """Factor a positive definite matrix for `cho_solve`; the other half is zeros here."""
    return cholesky(a, lower), lower


def cho_solve(
    c_and_lower: tuple[Any, bool], b: Array, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """Solve a system with what `cho_factor` made of its matrix."""
    factor, lower = c_and_lower
    first = solve_triangular(factor, b, trans=0 if lower else 1, lower=lower)
    return solve_triangular(factor, first, trans=1 if lower else 0, lower=lower)


def solve(
    a: Array,
    b: Array,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    assume_a: Any = None,
    transposed: bool = False,
) -> Any:
    """Solve a system; with ``assume_a="pos"`` by Cholesky's factor."""
    a = as_value(a)
    if assume_a in ("pos", "positive definite"):
        return cho_solve(cho_factor(a, lower), b)
    return np.linalg.solve(np.swapaxes(a, -1, -2) if transposed else a, b)


def expm(A: Array) -> Any:
    """Return the exponential of a matrix, or of stacked ones.

    Pade's approximant of order 13 of the matrix over a power of two, squared as often. How often
    depends on the norm, which is known when the kernel runs: all 12 squarings stand in the kernel.
    """
    a = as_value(A)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"{user_location()}: expm of an array of shape {a.shape}")
    norm = np.max(np.sum(np.abs(a), axis=-2), axis=-1)
    halvings = np.clip(np.ceil(np.log2(np.maximum(norm, 1e-300) / _LARGEST)), 0.0, _SQUARINGS)
    halvings = halvings[..., None, None]
    a = a * np.exp2(-halvings)
    one, c = np.eye(a.shape[-1]), _PADE
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    odd = a @ (
        a6 @ (c[13] * a6 + c[11] * a4 + c[9] * a2) + c[7] * a6 + c[5] * a4 + c[3] * a2 + c[1] * one
    )
    even = a6 @ (c[12] * a6 + c[10] * a4 + c[8] * a2) + c[6] * a6 + c[4] * a4 + c[2] * a2
    even = even + c[0] * one
    result = np.linalg.solve(even - odd, even + odd)
    for k in range(_SQUARINGS):
        result = np.where(k < halvings, result @ result, result)
    return result


def block_diag(*arrs: Array) -> Any:
    """Put matrices along a diagonal."""
    blocks = [np.atleast_2d(as_value(block)) for block in arrs]
    width = sum(block.shape[1] for block in blocks)
    rows, start = [], 0
    for block in blocks:
        m, n = block.shape
        parts = [np.zeros((m, start)), block, np.zeros((m, width - start - n))]
        rows.append(np.concatenate(parts, axis=1))
        start += n
    return np.concatenate(rows)


def toeplitz(c: Array, r: Any = None) -> Any:
    """Return the matrix with constant diagonals of a first column and a first row."""
    c = as_value(c).ravel()
    r = c if r is None else as_value(r).ravel()
    m, n = c.shape[0], r.shape[0]
    values = np.concatenate([c[::-1], r[1:]])
    return values[np.arange(m)[::-1, None] + np.arange(n)]


def det(a: Array, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Return the determinant."""
    return np.linalg.det(as_value(a))


def inv(a: Array, overwrite_a: bool = False, check_finite: bool = True, **_: Any) -> Any:
    """Invert a matrix."""
    return np.linalg.inv(as_value(a))


def norm(
    a: Array, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True
) -> Any:
    """Return a norm."""
    return np.linalg.norm(as_value(a), ord, axis, keepdims)


def svdvals(a: Array, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Return the singular values."""
    return np.linalg.svd(as_value(a), compute_uv=False)


def eigh(
    a: Array, b: Any = None, *, lower: bool = True, eigvals_only: bool = False, **more: Any
) -> Any:
    """Decompose a symmetric matrix."""
    if b is not None or any(more.values()):
        raise UnsupportedError(
            f"{user_location()}: scipy.linalg.eigh of a Value takes lower and eigvals_only"
        )
    values, vectors = np.linalg.eigh(as_value(a), "L" if lower else "U")
    return values if eigvals_only else (values, vectors)

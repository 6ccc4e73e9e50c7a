"""Derivatives of the routines, in NumPy over the same routines.

A rule says what an operand receives when the result's cotangent is ``g``. Outside a trace it runs
on plain arrays; for a kernel it is traced for the shapes at hand and put into the adjoint, where it
can be differentiated again. Most formulas: Giles, *An extended collection of matrix derivative
results for forward and reverse mode algorithmic differentiation*, 2008.

>>> np.linalg.inv(Value([[2.0]])).sum().data
0.5
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jitgrad.arrays import swapaxes
from jitgrad.graph import active, number_of, structural
from jitgrad.routines import POSITIONS, PULLS, ROUTINES, called
from jitgrad.ufuncs import Array, as_value
from jitgrad.value import Value


def routine(name: str, *operands: Array) -> Any:
    """Apply a routine: record it on the tape, or compute it now; positions are plain integers."""
    if ROUTINES[name].dtype == POSITIONS and active.tape is None:
        return called(name, *map(number_of, operands))
    return structural("routine", operands, name)


def _rule(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(rule: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            PULLS[name] = rule
        return rule

    return add


def transposed(a: Array) -> Any:
    """Return the transposes of stacked matrices."""
    return swapaxes(as_value(a), -1, -2) if isinstance(a, Value) else np.swapaxes(a, -1, -2)


def lower_half(a: Array, k: int = 0) -> Any:
    """Return matrices with zeros above the k-th diagonal."""
    rows, columns = np.shape(a)[-2:]
    return np.where(np.tri(rows, columns, k) != 0.0, a, 0.0)


def identity_like(a: Array) -> Any:
    """Return the identity of the same shape as stacked square matrices."""
    return np.broadcast_to(np.eye(np.shape(a)[-1]), np.shape(a))


def diagonal_matrix(values: Array) -> Any:
    """Return diagonal matrices of stacked vectors."""
    return values[..., None] * np.eye(np.shape(values)[-1])


# --- linear systems ------------------------------------------------------------------------------


@_rule("lu_solve")
def _lu_solve(argument: int, g: Array, out: Array, a: Array, factors: Array, b: Array) -> Any:
    """Giles, section 2.2.3: for a x = b, b receives a^-T g, and a minus that times x^T."""
    received = routine("lu_solve_transposed", a, factors, g)
    return received if argument == 2 else -(received @ transposed(out))


@_rule("lu_solve_transposed")
def _lu_solve_transposed(
    argument: int, g: Array, out: Array, a: Array, factors: Array, b: Array
) -> Any:
    received = routine("lu_solve", a, factors, g)
    return received if argument == 2 else -(out @ transposed(received))


def inverse_transposed(a: Array, factors: Array) -> Any:
    """Return a^-T."""
    return routine("lu_solve_transposed", a, factors, identity_like(a))


@_rule("lu_logdet")
def _lu_logdet(_: int, g: Array, out: Array, a: Array, factors: Array) -> Any:
    return g[..., None] * inverse_transposed(a, factors)


@_rule("lu_det")
def _lu_det(_: int, g: Array, out: Array, a: Array, factors: Array) -> Any:
    """Jacobi's formula: the cofactors. They are there for a singular matrix too."""
    return g[..., None] * routine("cofactors", a)


@_rule("cofactors")
def _cofactors(_: int, g: Array, out: Array, a: Array) -> Any:
    """The differential of det(a) a^-T, by Jacobi's formula and that of the inverse."""
    inverse = inverse_transposed(a, routine("lu", a))
    along = (g * out).sum((-2, -1))[..., None, None]
    return along * inverse - out @ transposed(g) @ inverse


@_rule("solve_lower")
def _solve_lower(argument: int, g: Array, out: Array, lower: Array, b: Array) -> Any:
    received = routine("solve_lower_transposed", lower, g)
    return received if argument == 1 else -lower_half(received @ transposed(out))


@_rule("solve_lower_transposed")
def _solve_lower_transposed(argument: int, g: Array, out: Array, lower: Array, b: Array) -> Any:
    received = routine("solve_lower", lower, g)
    return received if argument == 1 else -lower_half(out @ transposed(received))


# --- factors -------------------------------------------------------------------------------------


@_rule("cholesky")
def _cholesky(_: int, g: Array, out: Array, a: Array) -> Any:
    """Murray, *Differentiation of the Cholesky decomposition*, 2016, equation 9, symmetric."""
    inner = lower_half(transposed(out) @ lower_half(g))
    inner = inner - 0.5 * inner * np.eye(np.shape(inner)[-1])
    half = routine("solve_lower_transposed", out, inner)
    whole = routine("solve_lower_transposed", out, transposed(half))
    return 0.5 * (whole + transposed(whole))


def qr_parts(packed: Array, m: int, n: int) -> tuple[Any, Any]:
    """Take Q and R out of what the routine makes."""
    stack = np.shape(packed)[:-1]
    q = packed[..., : m * n].reshape((*stack, m, n))
    return q, packed[..., m * n :].reshape((*stack, n, n))


@_rule("qr")
def _qr(_: int, g: Array, out: Array, a: Array) -> Any:
    """Walter and Lehmann, *Algorithmic differentiation of linear algebra functions*, 2012."""
    m, n = np.shape(a)[-2:]
    (q, r), (gq, gr) = qr_parts(out, m, n), qr_parts(g, m, n)
    inner = r @ transposed(gr) - transposed(gq) @ q
    inner = lower_half(inner) + transposed(lower_half(inner, -1))
    # times R^-T from the right: the transpose of R^-1 times the transpose
    total = transposed(gq + q @ inner)
    return transposed(routine("solve_lower_transposed", transposed(r), total))


@_rule("pinv")
def _pinv(_: int, g: Array, out: Array, a: Array, share: Array) -> Any:
    """Golub and Pereyra, *The differentiation of pseudo-inverses*, 1973, equation 4.12."""
    p, pt, gt = out, transposed(out), transposed(g)
    m, n = np.shape(a)[-2:]
    rows, columns = np.eye(m) - a @ p, np.eye(n) - p @ a
    received = -(pt @ g @ pt)
    return received + rows @ gt @ p @ pt + pt @ p @ gt @ columns


def eigh_parts(packed: Array) -> tuple[Any, Any]:
    """Take the eigenvalues and the eigenvectors out of what the routine makes."""
    return packed[..., 0, :], packed[..., 1:, :]


@_rule("eigh")
def _eigh(_: int, g: Array, out: Array, a: Array) -> Any:
    """Giles, section 3.1, made symmetric."""
    (values, vectors), (g_values, g_vectors) = eigh_parts(out), eigh_parts(g)
    mixed = routine("divide_by_gaps", transposed(vectors) @ g_vectors, values)
    inner = 0.5 * (mixed + transposed(mixed)) + diagonal_matrix(g_values)
    return vectors @ inner @ transposed(vectors)


@_rule("eig")
def _eig(_: int, g: Array, out: Array, a: Array) -> Any:
    """Giles, section 3.1, for eigenvectors that keep the length 1."""
    (values, vectors), (g_values, g_vectors) = eigh_parts(out), eigh_parts(g)
    along = (vectors * g_vectors).sum(-2)
    turned = transposed(vectors) @ (g_vectors - vectors * along[..., None, :])
    inner = routine("divide_by_gaps", turned, values) + diagonal_matrix(g_values)
    total = transposed(vectors)
    factors = routine("lu", total)
    return routine("lu_solve", total, factors, inner @ total)


@_rule("divide_by_gaps")
def _divide_by_gaps(argument: int, g: Array, out: Array, numerators: Array, values: Array) -> Any:
    if argument == 0:
        return routine("divide_by_gaps", g, values)
    slopes = routine("divide_by_gaps", g * out, values)
    return slopes.sum(-1) - slopes.sum(-2)


def svd_parts(packed: Array, m: int, n: int) -> tuple[Any, Any, Any]:
    """Take U, the singular values and V transposed out of what the routine makes."""
    stack, k = np.shape(packed)[:-1], min(m, n)
    u = packed[..., : m * k].reshape((*stack, m, k))
    return u, packed[..., m * k : m * k + k], packed[..., m * k + k :].reshape((*stack, k, n))


@_rule("svd")
def _svd(_: int, g: Array, out: Array, a: Array) -> Any:
    """Townsend, *Differentiating the singular value decomposition*, 2016, equations 20 to 22."""
    m, n = np.shape(a)[-2:]
    (u, s, vt), (gu, gs, gvt) = svd_parts(out, m, n), svd_parts(g, m, n)
    left, right = transposed(u) @ gu, vt @ transposed(gvt)
    squares = s * s
    across, along = (routine("divide_by_gaps", part, squares) for part in (left, right))
    across, along = across + transposed(across), along + transposed(along)
    inner = across * s[..., None, :] + s[..., :, None] * along + diagonal_matrix(gs)
    received = u @ inner @ vt
    if m > n:
        received = received + _over(gu - u @ left, s[..., None, :]) @ vt
    if n > m:
        received = received + u @ _over(gvt - transposed(right) @ vt, s[..., :, None])
    return received


def _over(x: Array, s: Array) -> Any:
    """Divide; nothing over a singular value of 0 stays nothing."""
    return np.where(x == 0.0, 0.0, x / np.where(x == 0.0, 1.0, s))

"""NumPy's products that sum over axes of Values.

They are matrix products of transposed and reshaped operands, so that large ones go to BLAS.

>>> a = Value([[1.0, 2.0], [3.0, 4.0]])
>>> np.tensordot(a, a), np.vdot(a, a)
(Value(data=30.0, grad=0), Value(data=30.0, grad=0))
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from jitgrad.arrays import diagonal, expand_dims, moveaxis, squeeze
from jitgrad.errors import ShapeError, user_location
from jitgrad.joining import stack
from jitgrad.protocols import implements
from jitgrad.reductions import total
from jitgrad.structure import full_axes
from jitgrad.ufuncs import Array, as_value
from jitgrad.value import Value

# --- vectors and matrices -------------------------------------------------------------------------


@implements("dot")
def dot(a: Array, b: Array) -> Any:
    """np.dot: a product summed over the last axis of one and the last but one of the other."""
    a, b = as_value(a), as_value(b)
    if not a.ndim or not b.ndim:
        return a * b
    return a @ b if b.ndim <= 2 else tensordot(a, b, (-1, -2))


@implements("inner")
def inner(a: Array, b: Array, /) -> Any:
    """np.inner: products summed over the last axes; with a scalar the product."""
    a, b = as_value(a), as_value(b)
    return tensordot(a, b, (-1, -1)) if a.ndim and b.ndim else a * b


@implements("outer")
def outer(a: Array, b: Array) -> Any:
    """np.outer."""
    return as_value(a).reshape(-1, 1) * as_value(b).reshape(1, -1)


@implements("linalg.outer")
def vector_outer(x1: Array, x2: Array, /) -> Any:
    """np.linalg.outer, of vectors."""
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ShapeError(f"{user_location()}: np.linalg.outer of {np.shape(x1)}, {np.shape(x2)}.")
    return outer(x1, x2)


@implements("vdot")
def vdot(a: Array, b: Array, /) -> Any:
    """np.vdot."""
    return as_value(a).ravel() @ as_value(b).ravel()


@implements("vecdot", "linalg.vecdot")
def vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Any:
    """np.vecdot: products summed over one axis, the others broadcast."""
    x1, x2 = (moveaxis(x, axis, -1) for x in (x1, x2))
    return total(x1 * x2, -1)


@implements("matvec")
def matvec(x1: Array, x2: Array, /) -> Any:
    """np.matvec: matrices times vectors, the other axes broadcast."""
    return squeeze(as_value(x1) @ expand_dims(x2, -1), -1)


@implements("vecmat")
def vecmat(x1: Array, x2: Array, /) -> Any:
    """np.vecmat: vectors times matrices, the other axes broadcast."""
    return squeeze(expand_dims(x1, -2) @ x2, -2)


@implements("linalg.matmul")
def matmul(x1: Array, x2: Array, /) -> Any:
    """np.linalg.matmul."""
    return as_value(x1) @ x2


@implements("trace")
def trace(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    """np.trace."""
    return total(diagonal(a, offset, axis1, axis2), -1, dtype)


@implements("linalg.trace")
def matrix_trace(x: Array, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """np.linalg.trace, of the last two axes."""
    return trace(x, offset, -2, -1, dtype)


@implements("cross")
def cross(
    a: Array, b: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    """np.cross of vectors with two or three components."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    if a.shape[-1] not in (2, 3) or b.shape[-1] not in (2, 3):
        raise ShapeError(
            f"{user_location()}: np.cross of arrays of shapes {a.shape} and {b.shape}; expected "
            "two or three components along the axis."
        )
    (a0, a1, *a2), (b0, b1, *b2) = ([v[..., i] for i in range(v.shape[-1])] for v in (a, b))
    last = a0 * b1 - a1 * b0
    if not a2 and not b2:
        return last
    first = (a1 * b2[0] if b2 else 0.0) - (a2[0] * b1 if a2 else 0.0)
    second = (a2[0] * b0 if a2 else 0.0) - (a0 * b2[0] if b2 else 0.0)
    return stack([first, second, last], axisc)


@implements("linalg.cross")
def vector_cross(x1: Array, x2: Array, /, *, axis: int = -1) -> Any:
    """np.linalg.cross of vectors with three components."""
    x1, x2 = as_value(x1), as_value(x2)
    if x1.shape[axis] != 3 or x2.shape[axis] != 3:
        raise ShapeError(f"{user_location()}: np.linalg.cross of {x1.shape} and {x2.shape}.")
    return cross(x1, x2, axis=axis)


# --- any axes -------------------------------------------------------------------------------------


@implements("tensordot")
def tensordot(a: Array, b: Array, axes: Any = 2) -> Any:
    """np.tensordot: products summed over pairs of axes."""
    a, b = as_value(a), as_value(b)
    if np.ndim(axes) == 0:
        count = operator.index(axes)
        axes = (range(a.ndim - count, a.ndim), range(count))
    summed_a, summed_b = (
        full_axes(tuple(np.atleast_1d(list(part) if np.ndim(part) else part).tolist()), x.ndim)
        for part, x in zip(axes, (a, b), strict=True)
    )
    extents = [a.shape[i] for i in summed_a]
    if extents != [b.shape[i] for i in summed_b]:
        raise ShapeError(
            f"{user_location()}: np.tensordot of arrays of shapes {a.shape} and {b.shape} over "
            f"the axes {summed_a} and {summed_b}."
        )
    rows = [i for i in range(a.ndim) if i not in summed_a]
    columns = [i for i in range(b.ndim) if i not in summed_b]
    left = a.transpose([*rows, *summed_a]).reshape(_size(a, rows), math.prod(extents))
    right = b.transpose([*summed_b, *columns]).reshape(math.prod(extents), _size(b, columns))
    return (left @ right).reshape([*(a.shape[i] for i in rows), *(b.shape[i] for i in columns)])


def _size(x: Value, axes: list[int]) -> int:
    return math.prod(x.shape[i] for i in axes)


@implements("linalg.tensordot")
def linalg_tensordot(x1: Array, x2: Array, /, *, axes: Any = 2) -> Any:
    """np.linalg.tensordot."""
    return tensordot(x1, x2, axes)


@implements("kron")
def kron(a: Array, b: Array) -> Any:
    """np.kron."""
    a, b = as_value(a), as_value(b)
    axes = max(a.ndim, b.ndim)
    a, b = (x.reshape((*(1,) * (axes - x.ndim), *x.shape)) for x in (a, b))
    wide = a.reshape([n for extent in a.shape for n in (extent, 1)])
    product = wide * b.reshape([n for extent in b.shape for n in (1, extent)])
    return product.reshape([m * n for m, n in zip(a.shape, b.shape, strict=True)])

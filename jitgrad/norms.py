"""NumPy's norms of Values; where a norm or a singular value is 0, its derivative is 0.

Where singular values are equal, those that are the largest or the smallest share the derivative,
which is one of the subgradients.

>>> import numpy as np
>>> np.linalg.norm(Value([[3.0, 4.0], [0.0, 0.0]]), axis=1)
Value(data=[5. 0.], grad=0)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitgrad.arrays import moveaxis
from jitgrad.errors import ArgumentError, user_location
from jitgrad.graph import elementwise
from jitgrad.linalg import inv, svdvals
from jitgrad.protocols import implements
from jitgrad.rearrange import typed
from jitgrad.reductions import amax, amin, root, total
from jitgrad.structure import full_axes
from jitgrad.ufuncs import Array, as_value, truth
from jitgrad.value import Value


@implements("linalg.norm")
def norm(x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """np.linalg.norm."""
    x = as_value(x)
    axes = full_axes(axis, x.ndim)
    if ord is None or (len(axes) == 2 and ord in ("fro", "f")):
        return root(total(x * x, axes, keepdims=keepdims))
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ArgumentError(
        f"{user_location()}: np.linalg.norm with ord={ord!r} over {len(axes)} axes; expected one "
        "or two."
    )


@implements("linalg.vector_norm")
def vector_norm(x: Array, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """np.linalg.vector_norm: of all elements along some axes."""
    x = as_value(x)
    return _vector_norm(x, ord, full_axes(axis, x.ndim), keepdims)


@implements("linalg.matrix_norm")
def matrix_norm(x: Array, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """np.linalg.matrix_norm, of the last two axes."""
    return norm(x, ord, (-2, -1), keepdims)


def _vector_norm(x: Value, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if isinstance(ord, str):
        raise ArgumentError(f"{user_location()}: ord={ord!r} is no norm of a vector.")
    size = elementwise("abs", x)
    if ord == math.inf and x.size:  # of nothing it is 0, as that of order 1
        return amax(size, axes, keepdims=keepdims)
    if ord == -math.inf:
        return amin(size, axes, keepdims=keepdims)
    if ord == 0:
        ones = elementwise("where", truth(x), typed(1, x), typed(0, x))
        return total(ones, axes, keepdims=keepdims)
    if ord in (1, math.inf):
        return total(size, axes, keepdims=keepdims)
    if ord == 2:
        return root(total(x * x, axes, keepdims=keepdims))
    return _power_norm(size, float(ord), axes, keepdims)


def _power_norm(size: Any, ord: float, axes: tuple[int, ...], keepdims: bool) -> Any:
    """Return the sum of powers, to the inverse power; an element that is 0 has derivative 0."""
    end = 0.0 if ord > 0 else math.inf  # the power of 0
    powers = elementwise("where", elementwise("eq", size, 0.0), end, size**ord)
    summed = total(powers, axes, keepdims=keepdims)
    return elementwise("where", elementwise("eq", summed, end), 0.0, summed ** (1.0 / ord))


def _matrix_norm(x: Value, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """Return a norm of the singular values, or a sum of absolute values of a column or of a row."""
    rows, columns = axes
    if ord not in (1, -1, math.inf, -math.inf, 2, -2, "nuc"):
        raise ArgumentError(f"{user_location()}: ord={ord!r} is no norm of a matrix.")
    if not x.size and (ord == "nuc" or ord > 0):
        return total(x, axes, keepdims=keepdims)
    if ord in (2, -2, "nuc"):
        combine = {2: amax, -2: amin, "nuc": total}[ord]
        out = combine(_singular_values(moveaxis(x, axes, (-2, -1))), -1)
        kept = [1 if i in axes else n for i, n in enumerate(x.shape)]
        return out.reshape(kept) if keepdims else out
    summed, left = (rows, columns) if abs(ord) == 1 else (columns, rows)
    extreme = amax if ord > 0 else amin
    sums = total(elementwise("abs", x), summed, keepdims=True)
    out = extreme(sums, left, keepdims=True)
    return out if keepdims else out.reshape([n for i, n in enumerate(x.shape) if i not in axes])


def _singular_values(x: Any) -> Any:
    """Return the singular values; those that are 0 but for rounding are constants."""
    s = svdvals(x)
    least = max(x.shape[-2:]) * float(np.finfo(x.element_type).eps)
    nothing = elementwise("le", s, least * s[..., :1])
    return elementwise("where", nothing, elementwise("detach", s), s)


@implements("linalg.cond")
def cond(x: Array, p: Any = None) -> Any:
    """np.linalg.cond: infinite, with an infinite or undefined derivative, of a singular matrix."""
    x = as_value(x)
    if p is None or p in (2, -2):
        s = svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return norm(x, p, (-2, -1)) * norm(inv(x), p, (-2, -1))

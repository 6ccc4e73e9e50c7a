"""Matrix products by BLAS, for generated kernels.

Numba's own ``np.dot`` calls the same function of the same BLAS (SciPy's), but it first compiles
some hundred lines that check shapes which a kernel knows: for each combination of transposed
operands half a second, in every kernel. Here a product is one call.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

Array = np.ndarray[Any, Any]

AVAILABLE = importlib.util.find_spec("scipy") is not None
"""Whether there is a BLAS: without SciPy products are loops."""

_BYTE, _SIZE, _ANY = ir.IntType(8), ir.IntType(64), ir.IntType(8).as_pointer()
_GEMM = ir.FunctionType(
    ir.IntType(32),
    # the type; two times whether to transpose; m, n, k; alpha; two matrices; beta; the third one
    [_BYTE, _BYTE, _BYTE, _SIZE, _SIZE, _SIZE, _ANY, _ANY, _SIZE, _ANY, _SIZE, _ANY, _ANY, _SIZE],
)
_KINDS = {types.float64: "d", types.float32: "s"}


def dot(left: Array, right: Array, out: Array) -> None:
    """Compute ``np.dot(left, right, out)``.

    Parameters
    ----------
    left, right : array, shape (m, k) and (k, n)
        C-contiguous matrices or the transposes of such.
    out : array, shape (m, n)
        A C-contiguous matrix that overlaps neither.

    Examples
    --------
    >>> out = np.empty((1, 2))
    >>> dot(np.ones((3, 1)).T, np.arange(6.0).reshape(3, 2), out)
    >>> out
    array([[6., 9.]])
    """
    np.dot(left, right, out)


@type_callable(dot)  # type: ignore[untyped-decorator,unused-ignore]
def _type(_context: Any) -> Any:
    def typed(left: Any, right: Any, out: Any) -> Any:
        as_they_lie = left.layout in "CF" and right.layout in "CF" and out.layout == "C"
        return types.none if as_they_lie else None

    return typed


@lower_builtin(dot, *3 * [types.Array])  # type: ignore[untyped-decorator,unused-ignore]
def _call(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    """Write the call: in BLAS's order by columns, with the transposes of the three matrices."""
    kinds = signature.args
    function = cgutils.get_or_insert_function(builder.module, _GEMM, "numba_xxgemm")
    arrays = [
        context.make_array(kind)(context, builder, value)
        for kind, value in zip(kinds, values, strict=True)
    ]
    shapes = [cgutils.unpack_tuple(builder, array.shape, 2) for array in arrays]
    data = [builder.bitcast(array.data, _ANY) for array in arrays]
    by_columns = [kind.layout == "F" for kind in kinds]
    turned = [ir.Constant(_BYTE, ord("t" if turn else "n")) for turn in by_columns]
    widths = [
        _at_least_one(builder, shape[0 if turn else 1])
        for shape, turn in zip(shapes, by_columns, strict=True)
    ]
    (m, k), (_, n), _ = shapes
    kind = ir.Constant(_BYTE, ord(_KINDS[kinds[2].dtype]))
    of = context.get_value_type(kinds[2].dtype)
    one, zero = (
        builder.bitcast(cgutils.alloca_once_value(builder, ir.Constant(of, x)), _ANY)
        for x in (1.0, 0.0)
    )
    head = [kind, turned[1], turned[0], n, m, k, one]
    rest = [data[1], widths[1], data[0], widths[0], zero, data[2], widths[2]]
    builder.call(function, [*head, *rest])
    return context.get_dummy_value()


def _at_least_one(builder: Any, extent: Any) -> Any:
    """Return an extent as BLAS takes it for a width."""
    one = ir.Constant(_SIZE, 1)
    return builder.select(builder.icmp_signed(">", extent, one), extent, one)

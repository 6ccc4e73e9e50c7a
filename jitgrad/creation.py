"""NumPy's functions that make arrays beside Values: alike ones, and those between two ends.

What depends on no Value can be filled with Values: see `filled`.

>>> np.linspace(0.0, Value(1.0), 3), np.zeros_like(Value([1, 2]))
(Value(data=[0.  0.5 1. ], grad=0), Filled([0.0, 0.0]))
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitgrad.arrays import broadcast_arrays, broadcast_to, expand_dims, moveaxis
from jitgrad.filled import filled
from jitgrad.graph import Function, elementwise
from jitgrad.protocols import implements
from jitgrad.ufuncs import Array, as_value, where
from jitgrad.value import Value

# --- alike ----------------------------------------------------------------------------------------


@implements("full_like")
def full_like(
    a: Array,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
) -> Any:
    """np.full_like: an array that can be filled; a Value if it is filled with one."""
    a = as_value(a)
    kind = dtype or (a.element_type if a.element_type.kind == "f" else np.dtype(float))
    extents = a.shape if shape is None else shape
    if isinstance(fill_value, Value):
        return broadcast_to(fill_value.astype(kind), extents)
    return filled(np.full(extents, fill_value, kind))


@implements("zeros_like", "empty_like")
def zeros_like(
    a: Array, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None
) -> Any:
    """np.zeros_like: an array that can be filled with Values."""
    return full_like(a, 0.0, dtype, shape=shape)


@implements("ones_like")
def ones_like(
    a: Array, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None
) -> Any:
    """np.ones_like: an array that can be filled with Values."""
    return full_like(a, 1.0, dtype, shape=shape)


# --- with like= -----------------------------------------------------------------------------------


def _plain(function: Function) -> Function:
    def make(*arguments: Any, **keywords: Any) -> Any:
        return filled(function(*arguments, **keywords))

    return make


for _name in ("zeros", "ones", "empty", "eye", "identity", "arange", "tri"):
    implements(_name)(_plain(getattr(np, _name)))


@implements("full")
def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> Any:
    """np.full with ``like=``: a Value if it is filled with one."""
    if not isinstance(fill_value, Value):
        return np.full(shape, fill_value, dtype)
    filled = broadcast_to(fill_value, shape)
    return filled if dtype is None else filled.astype(dtype)


@implements("array")
def array(
    object: Any,
    dtype: Any = None,
    *,
    copy: Any = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
) -> Any:
    """np.array with ``like=``: a Value, also of nested lists of Values."""
    out = asarray(object, dtype)
    return out.reshape((*(1,) * (ndmin - out.ndim), *out.shape))


@implements("asarray", "asanyarray", "ascontiguousarray")
def asarray(a: Any, dtype: Any = None, order: str = "K", *, copy: Any = None) -> Any:
    """np.asarray with ``like=``: a Value, also of nested lists of Values."""
    out = as_value(elementwise("copy", a))
    return out if dtype is None else out.astype(dtype)


@implements("result_type")
def result_type(*arrays_and_dtypes: Any) -> Any:
    """np.result_type."""
    return np.result_type(
        *(x.element_type if isinstance(x, Value) else x for x in arrays_and_dtypes)
    )


# --- between two ends -----------------------------------------------------------------------------


@implements("linspace")
def linspace(
    start: Array,
    stop: Array,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """np.linspace."""
    parts, change = (num - 1 if endpoint else num), as_value(stop) - start
    step = change / float(parts) if parts > 0 else change * np.nan
    places = np.arange(num).reshape((-1, *(1,) * change.ndim))
    kind = np.result_type(change.element_type, 0.0)
    out = start + places.astype(kind) * (step if parts > 0 else change)
    if endpoint and num > 1:
        out = _ending(out, stop)
    out = moveaxis(out if dtype is None else out.astype(dtype), 0, axis)
    return (out, step) if retstep else out


def _ending(out: Value, stop: Array) -> Any:
    """Make the last part exactly ``stop``."""
    last = np.arange(len(out)).reshape((-1, *(1,) * (out.ndim - 1))) == len(out) - 1
    return where(np.broadcast_to(last, out.shape), stop, out)


@implements("logspace")
def logspace(
    start: Array,
    stop: Array,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """np.logspace: powers of ``base``."""
    if np.ndim(base):
        start, stop, base = map(as_value, broadcast_arrays(start, stop, base))
        base = expand_dims(base, axis)
    out = as_value(base) ** linspace(start, stop, num, endpoint, axis=axis)
    return out if dtype is None else out.astype(dtype)


@implements("geomspace")
def geomspace(
    start: Array,
    stop: Array,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """np.geomspace, between ends of one sign."""
    ratio = as_value(stop) / start
    places = np.arange(num).reshape((-1, *(1,) * ratio.ndim))
    out = start * ratio ** (places / float(max(num - 1 if endpoint else num, 1)))
    if endpoint and num > 1:
        out = _ending(out, stop)
    return moveaxis(out if dtype is None else out.astype(dtype), 0, axis)

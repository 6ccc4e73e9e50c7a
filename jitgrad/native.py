"""SciPy's special functions, called from a kernel as they are compiled.

`scipy.special.cython_special` publishes the address of each function in a capsule whose name is the
C signature. A kernel must not hold addresses: Numba keeps it on disk, and the next process has
others. So the code here looks an address up when it is first needed, under the GIL, and keeps it
beside the kernel; from then on a call is a call of C. In Python the function is SciPy's ufunc.

>>> gammainc = native("gammainc", 2)
>>> round(gammainc(2.0, 1.0), 12)
0.264241117657
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from jitgrad.errors import MissingPackageError, user_location

MODULE = "scipy.special.cython_special"
VARIANTS = 4  # SciPy has up to three of one function: of float, double, complex numbers, ...
MISSING = "SciPy, or its function %s of real numbers, is not there: pip install scipy"
_NATIVE: set[Any] = set()
_BYTES = ir.IntType(8).as_pointer()
_DOUBLE = ir.DoubleType()


def native(name: str, count: int) -> Callable[..., Any]:
    """Make a function of SciPy's that Python and kernels can call.

    Parameters
    ----------
    name : str
        What ``scipy.special`` calls it.
    count : int
        How many arguments it has, all of them real.

    Returns
    -------
    callable
        From Python, of numbers or arrays; from ``@njit`` code, of numbers. It raises
        `MissingPackageError` where SciPy is not installed.
    """

    def function(*operands: Any) -> Any:
        found = _ufunc(name)(*operands)
        return found if isinstance(found, np.ndarray) else float(found)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Return SciPy's ``{name}``."
    _NATIVE.add(function)
    overload(function)(_COMPILED[count](_address_call(name, count)))
    return function


def is_native(function: Any) -> bool:
    """Whether a function was made by `native`, so that it takes arrays too."""
    return function in _NATIVE


@functools.cache
def _ufunc(name: str) -> Any:
    try:
        import scipy.special as found
    except ImportError:
        raise MissingPackageError(f"{user_location()}: {MISSING % name}") from None
    return getattr(found, name)


# Numba compares the arguments' names of the two functions in each of these.


def _of_one(call: Any) -> Any:
    def compiled(x):  # type: ignore[no-untyped-def]
        return (lambda x: call(float(x))) if _real(x) else None

    return compiled


def _of_two(call: Any) -> Any:
    def compiled(x, y):  # type: ignore[no-untyped-def]
        return (lambda x, y: call(float(x), float(y))) if _real(x, y) else None

    return compiled


def _of_three(call: Any) -> Any:
    def compiled(x, y, z):  # type: ignore[no-untyped-def]
        return (lambda x, y, z: call(float(x), float(y), float(z))) if _real(x, y, z) else None

    return compiled


_COMPILED = {1: _of_one, 2: _of_two, 3: _of_three}


def _real(*kinds: Any) -> bool:
    return all(isinstance(kind, types.Float | types.Integer) for kind in kinds)


# --- the code in a kernel -------------------------------------------------------------------------


def _address_call(name: str, count: int) -> Any:
    """Return the intrinsic that calls a function of so many doubles by its address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        doubles = [
            context.cast(builder, argument, kind, types.float64)
            for argument, kind in zip(arguments, signature.args, strict=True)
        ]
        place = _global(builder.module, f"jitgrad_{name}", ir.Constant(_BYTES, None))
        known = builder.load_atomic(place, "acquire", 8)
        with builder.if_then(_is_null(builder, known), likely=False):
            fresh = builder.call(_search(context, builder.module), [*_texts(builder, name, count)])
            with builder.if_then(_is_null(builder, fresh), likely=False):
                context.call_conv.return_user_exc(builder, MissingPackageError, (MISSING % name,))
            builder.store_atomic(fresh, place, "release", 8)
        address = builder.load_atomic(place, "monotonic", 8)
        kind = ir.FunctionType(_DOUBLE, [_DOUBLE] * count + [ir.IntType(32)])
        function = builder.bitcast(address, kind.as_pointer())
        return builder.call(function, [*doubles, ir.Constant(ir.IntType(32), 0)])

    def typed(_context: Any, *operands: Any) -> Any:
        return types.float64(*operands), generate

    typed = _WITH_NAMES[count](typed)
    typed.__name__ = f"_{name}_address_call"
    return intrinsic(typed)


# An intrinsic takes its arguments by name.
_WITH_NAMES: dict[int, Callable[[Any], Any]] = {
    1: lambda typed: lambda context, x: typed(context, x),
    2: lambda typed: lambda context, x, y: typed(context, x, y),
    3: lambda typed: lambda context, x, y, z: typed(context, x, y, z),
}


def _is_null(builder: Any, pointer: Any) -> Any:
    return builder.icmp_unsigned("==", pointer, ir.Constant(pointer.type, None))


def _global(module: Any, name: str, value: Any, constant: bool = False) -> Any:
    """Return a variable of the module's own."""
    known = module.globals.get(name)
    if known is None:
        known = ir.GlobalVariable(module, value.type, name)
        known.linkage, known.initializer, known.global_constant = "internal", value, constant
    return known


def _texts(builder: Any, name: str, count: int) -> tuple[Any, Any]:
    """Return the keys under which a function may be found, one after another, and its signature."""
    keys = [name, *(f"__pyx_fuse_{variant}{name}" for variant in range(VARIANTS))]
    found = "\0".join([*keys, "", ""])
    signature = f"double ({'double, ' * count}int __pyx_skip_dispatch)\0"
    first, second = (
        _global(builder.module, label, cgutils.make_bytearray(text.encode()), True)
        for label, text in (
            (f"jitgrad_{name}_keys", found),
            (f"jitgrad_{count}_doubles", signature),
        )
    )
    return builder.bitcast(first, _BYTES), builder.bitcast(second, _BYTES)


def _search(context: Any, module: Any) -> Any:
    """Return the function ``(keys, signature)`` that looks an address up; null where none is.

    In Python it would be::

        for key in keys:
            capsule = cython_special.__pyx_capi__.get(key)
            if capsule is not None and PyCapsule_IsValid(capsule, signature):
                return PyCapsule_GetPointer(capsule, signature)
    """
    known = module.globals.get("jitgrad_search")
    if known is not None:
        return known
    function = ir.Function(module, ir.FunctionType(_BYTES, [_BYTES] * 2), "jitgrad_search")
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block())
    python = context.get_python_api(builder)
    result = cgutils.alloca_once_value(builder, ir.Constant(_BYTES, None))
    gil = python.gil_ensure()
    scipy = python.import_module(context.insert_const_string(module, MODULE))
    with cgutils.if_likely(builder, cgutils.is_not_null(builder, scipy)):
        table = python.object_getattr_string(scipy, "__pyx_capi__")
        with cgutils.if_likely(builder, cgutils.is_not_null(builder, table)):
            _try_keys(builder, function.args, table, result)
            python.decref(table)
        python.decref(scipy)
    python.err_clear()
    python.gil_release(gil)
    builder.ret(builder.load(result))
    return function


def _try_keys(builder: Any, arguments: Any, table: Any, result: Any) -> None:
    """Go through the keys until a capsule has the signature."""
    keys, signature = arguments
    whole = ir.IntType(32)

    def c_function(name: str, returned: Any, *kinds: Any) -> Any:
        kind = ir.FunctionType(returned, kinds)
        return cgutils.get_or_insert_function(builder.module, kind, name)

    get_item = c_function("PyDict_GetItemString", table.type, table.type, _BYTES)
    is_valid = c_function("PyCapsule_IsValid", whole, table.type, _BYTES)
    get_pointer = c_function("PyCapsule_GetPointer", _BYTES, table.type, _BYTES)
    length = c_function("strlen", ir.IntType(64), _BYTES)

    key = cgutils.alloca_once_value(builder, keys)
    test, body, end = (builder.append_basic_block(name) for name in ("test", "body", "end"))
    builder.branch(test)
    builder.position_at_end(test)
    more = builder.icmp_unsigned("!=", builder.load(builder.load(key)), ir.IntType(8)(0))
    missing = _is_null(builder, builder.load(result))
    builder.cbranch(builder.and_(more, missing), body, end)
    builder.position_at_end(body)
    capsule = builder.call(get_item, [table, builder.load(key)])  # borrowed
    with builder.if_then(cgutils.is_not_null(builder, capsule)):
        valid = builder.call(is_valid, [capsule, signature])
        with builder.if_then(builder.icmp_signed("!=", valid, whole(0))):
            builder.store(builder.call(get_pointer, [capsule, signature]), result)
    step = builder.add(builder.call(length, [builder.load(key)]), ir.IntType(64)(1))
    builder.store(builder.gep(builder.load(key), [step]), key)
    builder.branch(test)
    builder.position_at_end(end)

"""Traced Values: strided views of what a tape holds.

A `Traced` stands for a number or an array that is known only when the kernel runs. It is a code,
extents and strides; a slice, a transpose or a broadcast is another offset and other strides over
the same code: it costs nothing and needs no derivative.

A code is ``(id << 32) + offset``. A non-negative id is the tape position of an earlier
instruction, a negative one is an input, and codes from `CONSTANT` down count constants.

>>> contiguous((2, 3, 4))
(12, 4, 1)
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from jitgrad.elements import FLOATS, element_type, strong, typed
from jitgrad.errors import (
    ArgumentError,
    PositionError,
    ShapeError,
    TraceError,
    UnsupportedError,
    user_location,
)
from jitgrad.graph import known, listed
from jitgrad.ops import OPS
from jitgrad.value import Value

Shape = tuple[int, ...]

SHIFT = 32
LOW = (1 << SHIFT) - 1
CONSTANT = -(1 << 61)  # constant number k has the code CONSTANT - k
NOTHING = -(1 << 63)  # an unused operand slot
# The symbols of the scalar ops, by what they compute in.
SCALAR = {"f8": {name: n for n, name in enumerate(OPS)}}
SCALAR["f4"] = {name: n + len(OPS) for name, n in SCALAR["f8"].items()}


def contiguous(shape: Shape) -> Shape:
    """Return the strides, in elements, of a C-ordered array."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent or 1  # never 0, so that positions can be divided by strides
    return tuple(reversed(strides))


def _without_number(name: str) -> Any:
    """Make an attribute that an eager Value has and a traced one has not."""

    def refuse(self: Traced, _: Any = None) -> NoReturn:
        raise TraceError(
            f"{user_location()}: a traced Value was used where a number is needed, after its trace "
            "had ended or in another one; it holds none. Return what you want to see as auxiliary "
            "output: `return loss, aux` with jitgrad.compile(has_aux=True)"
        )

    return property(refuse, refuse, doc=f"There is no {name} while tracing.")


class Traced(Value):
    """A Value whose number is known only when the kernel runs: a strided view of a tape entry."""

    __slots__ = ("code", "dims", "kind", "strides", "tape")
    tape: Any  # the Tape
    code: int
    dims: Shape
    strides: Shape
    kind: str  # see `elements`
    __pandas_priority__ = 10_000  # pandas leaves operators to it

    _data = _without_number("number")
    _grad = _without_number("gradient")
    _operands = _without_number("tuple of operands")
    _rule = _without_number("rule")

    @property
    def requires_grad(self) -> bool:  # type: ignore[override]
        """Whether a derivative can flow into it."""
        return self.kind in FLOATS

    @property
    def shape(self) -> Shape:
        """The extents."""
        return self.dims

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.dims)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.dims)

    @property
    def element_type(self) -> np.dtype[Any]:
        """NumPy's dtype of the number that will be here."""
        return element_type(self.kind)

    @property
    def data(self) -> Any:
        """The traced number cut off from its history (as in PyTorch)."""
        return self.tape.detach(self)

    @data.setter
    def data(self, number: Any) -> None:
        raise TraceError(
            f"{user_location()}: .data of a traced Value was assigned; a traced value cannot be "
            "changed, compute a new one instead"
        )

    @property
    def is_leaf(self) -> bool:
        """Whether it is an input or a constant rather than computed."""
        return self.code < 0

    @property
    def _op(self) -> str:  # type: ignore[override]
        return self.tape.symbol_of(self).op if self.code >= 0 else ""

    @property
    def _prev(self) -> set[Value]:
        return set(self.tape.operands_of(self))

    def __getitem__(self, index: Any) -> Traced:
        at = index if type(index) is tuple else (index,)
        if len(at) != len(self.dims):
            return self.tape.getitem(self, index)  # type: ignore[no-any-return]
        if self.tape.changed:
            self.tape.settle(self)
        code = self.code
        for step, extent, stride in zip(at, self.dims, self.strides, strict=True):
            if type(step) is not int or not -extent <= step < extent:
                return self.tape.getitem(self, index)  # type: ignore[no-any-return]
            code += (step if step >= 0 else step + extent) * stride
        return make(self.tape, code, (), (), self.kind)

    def __copy__(self) -> Traced:
        return self.tape.elementwise("copy", (self,)) if self.dims else self

    def __deepcopy__(self, _: Any) -> Traced:
        return self.__copy__()

    def __reduce__(self) -> NoReturn:
        raise TraceError(f"{user_location()}: a traced Value was pickled; it holds no number")

    def __repr__(self) -> str:
        what = "x".join(map(str, self.dims)) or "scalar"
        return f"Value(traced {what}, op={self._op!r})"

    def __format__(self, specification: str) -> str:
        if specification:
            self.tape.refuse(self, f"formatting with {specification!r}")
        return repr(self)


def make(tape: Any, code: int, dims: Shape = (), strides: Shape = (), kind: str = "f8") -> Traced:
    """Make a view of a tape entry or an input."""
    traced: Traced = object.__new__(Traced)
    traced.tape = tape
    traced.code = code
    traced.dims = dims
    traced.strides = strides
    traced.kind = kind
    return traced


# --- views ---------------------------------------------------------------------------------------


def spread(x: Traced, shape: Shape) -> Shape:
    """Return strides that lay a value over a broadcast shape."""
    lead = len(shape) - len(x.dims)
    own = (
        0 if extent == 1 and wanted != 1 else stride
        for extent, stride, wanted in zip(x.dims, x.strides, shape[lead:], strict=True)
    )
    return (*(0,) * lead, *own)


def insert_axis(x: Traced, at: int) -> Traced:
    """Return a view with a new axis of extent 1."""
    dims, strides = (*x.dims[:at], 1, *x.dims[at:]), (*x.strides[:at], 0, *x.strides[at:])
    return make(x.tape, x.code, dims, strides, strong(x.kind))


def is_contiguous(x: Traced) -> bool:
    """Whether a view's elements lie in order without gaps."""
    pairs = zip(x.dims, x.strides, contiguous(x.dims), strict=True)
    return all(extent == 1 or stride == packed for extent, stride, packed in pairs)


def expand_ellipsis(items: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    """Write out the ellipsis and the slices that an index leaves out."""
    used = sum(item is not None and item is not Ellipsis for item in items)
    if used > ndim or sum(item is Ellipsis for item in items) > 1:
        raise PositionError(f"{user_location()}: {used} indices for an array of {ndim} dimensions")
    missing = (slice(None),) * (ndim - used)
    at = next((d for d, item in enumerate(items) if item is Ellipsis), len(items))
    return (*items[:at], *missing, *items[at + 1 :])


def view(x: Traced, items: tuple[Any, ...]) -> Traced:
    """Apply a basic index: ints, slices, newaxis and ellipsis."""
    code, axis = x.code, 0
    dims: list[int] = []
    strides: list[int] = []
    for item in expand_ellipsis(items, len(x.dims)):
        if item is None:
            dims.append(1)
            strides.append(0)
            continue
        extent, stride = x.dims[axis], x.strides[axis]
        axis += 1
        if isinstance(item, slice):
            start, stop, step = item.indices(extent)
            dims.append(len(range(start, stop, step)))
            strides.append(stride * step)
            start = start if dims[-1] else 0  # nothing may start outside: -1 for x[::-1] of none
        else:
            start = _whole(item)
            if not -extent <= start < extent:
                raise PositionError(
                    f"{user_location()}: index {start} on an axis of extent {extent}"
                )
            start %= extent
        code += stride * start
    kind = strong(x.kind) if dims else x.kind
    return make(x.tape, code, tuple(dims), tuple(strides), kind)


def _whole(item: Any) -> int:
    if hasattr(item, "__index__") and not isinstance(item, bool | np.bool_):  # these are masks
        return int(item.__index__())
    raise UnsupportedError(
        f"{user_location()}: an index of type {type(item).__name__}; expected ints, slices, "
        "None, ... or integer arrays"
    )


OF_TRUTHS = {
    "add": "logical_or",
    "maximum": "logical_or",
    "mul": "logical_and",
    "minimum": "logical_and",
    "fmax": "logical_or",
    "fmin": "logical_and",
    "sub": "",
    "neg": "",
}


def is_truth(operand: Any) -> bool:
    """Whether an operand, traced or not, is a truth value or an array of them."""
    if type(operand) is Traced:
        return operand.kind == "b1"
    return isinstance(operand, bool | np.bool_) or getattr(operand, "dtype", None) == np.bool_


def of_truths(name: str) -> str:
    """Return what NumPy's arithmetic is on truth values alone: ``a + b`` is ``a | b``."""
    if not OF_TRUTHS[name]:
        raise ArgumentError(
            f"{user_location()}: {name} of truth values, which NumPy refuses; write a != b, ~a, or "
            "a.astype(float) to count with them"
        )
    return OF_TRUTHS[name]


def normal_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes of a reduction as sorted non-negative numbers."""
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    for a in axes:
        if not -ndim <= a < ndim:
            raise ShapeError(f"{user_location()}: axis {a} of an array of {ndim} dimensions")
    return tuple(sorted({a % ndim for a in axes}))


def normal_order(axes: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes of a transpose as non-negative numbers."""
    order = tuple(a % ndim for a in axes) if axes is not None else tuple(reversed(range(ndim)))
    if sorted(order) != list(range(ndim)):
        raise ShapeError(
            f"{user_location()}: transpose axes {axes} of an array of {ndim} dimensions"
        )
    return order


# --- the operators that scalar code spends its time in -------------------------------------------


def _binary(name: str, reflected: bool, sign: str = "") -> Callable[[Traced, Any], Any]:
    """Make an operator; with a sign, the in-place one."""
    known = {kind: _scalar_symbols(name, kind) for kind in FLOATS}

    def method(self: Traced, other: Any) -> Any:
        tape = self.tape
        found = None
        if not self.dims and self.kind in known:
            if type(other) is Traced and other.tape is tape:
                if not other.dims:
                    found, theirs = known[self.kind].get(other.kind), other.code
            elif type(other) is float or type(other) is int:
                found, theirs = known[self.kind]["float"], tape.constant(other)
        if found is None:
            return _general(name, self, other, reflected, sign)
        mine = self.code
        if reflected:
            mine, theirs = theirs, mine
        symbol, kind = found
        position = tape.record(symbol, mine, theirs, NOTHING, sys._getframe(1))
        return make(tape, position << SHIFT, (), (), kind)

    return method


def _scalar_symbols(name: str, kind: str) -> dict[str, tuple[int, str]]:
    """Return the symbol and the result's kind for each kind of another scalar; none is widened."""
    every = {other: typed(name, (kind, other)) for other in FLOATS}
    return {
        other: (SCALAR[found.dtype][name], found.kind)
        for other, found in every.items()
        if not found.singles
    }


IN_PLACE: list[Callable[..., Any]] = []
"""What ``x += v`` does, from `assignment`."""
WITH_SERIES: list[Callable[..., Any]] = []
"""What an operator does with one of pandas' own Series, from `series`."""


def _general(name: str, x: Traced, other: Any, reflected: bool, sign: str) -> Any:
    """Apply an operator to anything."""
    if isinstance(other, list | tuple):
        other = listed(other)
    if hasattr(other, "iloc"):
        return WITH_SERIES[0](name, x, other, reflected)
    if not known(other) and not isinstance(other, numbers.Real | np.generic):
        return NotImplemented
    if sign:
        return IN_PLACE[0](name, x, other, sign)
    return x.tape.elementwise(name, (other, x) if reflected else (x, other))


def _unary(name: str) -> Callable[[Traced], Any]:
    every = {kind: typed(name, (kind,)) for kind in FLOATS}
    known = {kind: (SCALAR[found.dtype][name], found.kind) for kind, found in every.items()}

    def method(self: Traced) -> Any:
        if self.dims or self.kind not in known:
            return self.tape.elementwise(name, (self,))
        symbol, kind = known[self.kind]
        position = self.tape.record(symbol, self.code, NOTHING, NOTHING, sys._getframe(1))
        return make(self.tape, position << SHIFT, (), (), kind)

    return method


_OPERATORS = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "div",
    "pow": "pow",
    "mod": "mod",
    "floordiv": "floor_divide",
}
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**", "mod": "%"}
_SIGNS["floordiv"] = "//"
for _dunder, _name in _OPERATORS.items():
    setattr(Traced, f"__{_dunder}__", _binary(_name, reflected=False))
    setattr(Traced, f"__r{_dunder}__", _binary(_name, reflected=True))
    setattr(Traced, f"__i{_dunder}__", _binary(_name, False, _SIGNS[_dunder]))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Traced, f"__{_name}__", _binary(_name, reflected=False))
setattr(Traced, "__hash__", object.__hash__)  # noqa: B010 - __eq__ was set, not defined
for _row in OPS.values():
    if _row.arity == 1 and _row.name not in ("neg", "abs", "copy", "detach", "logical_not"):
        setattr(Traced, _row.name, _unary(_row.name))
for _dunder in ("neg", "abs", "floor", "ceil", "trunc"):
    setattr(Traced, f"__{_dunder}__", _unary(_dunder))

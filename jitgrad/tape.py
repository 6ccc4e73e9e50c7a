"""Run a function on Values; write the DAG down in order.

While a tape is active every operation on a `Value` appends one instruction to it. The columns of
the tape are plain integers, so a million instructions are an ordinary input: a symbol (the op with
its shapes and strides), up to three operand codes, and the program point of the user's code.

An operand code is ``(id << 32) + offset``. A non-negative id is the tape position of an earlier
instruction, a negative one is an input, and codes below `CONSTANT` count constants. A slice, a
transpose or a broadcast is another offset and other strides over the same id: it costs nothing.
"""

from __future__ import annotations

import dis
import functools
import math
import numbers
import sys
from array import array
from collections.abc import Callable, Sequence
from types import CodeType, FrameType
from typing import Any, NamedTuple, NoReturn

import numpy as np

from jitgrad.errors import (
    ArgumentError,
    DataDependentError,
    ShapeError,
    TraceError,
    UnsupportedError,
    user_location,
)
from jitgrad.ops import OPS
from jitgrad.value import Value, active

Shape = tuple[int, ...]

SHIFT = 32
LOW = (1 << SHIFT) - 1
CONSTANT = -(1 << 61)  # constant number k has the code CONSTANT - k
NOTHING = -(1 << 63)  # an unused operand slot
CODE_SPAN = 1 << 20  # program points of one code object


class Symbol(NamedTuple):
    """What an instruction does: the op, its result's shape, and how each operand is laid over it.

    ``strides`` holds for each operand the stride of each dimension of the loop nest, which has
    the extents ``shape``; ``axes`` are the dimensions that a ``sum`` adds up.
    """

    op: str
    shape: Shape = ()
    strides: tuple[Shape, ...] = ()
    axes: tuple[int, ...] = ()


class Input(NamedTuple):
    """Something that the kernel reads: an argument, captured data, packed Values, or a table."""

    name: str
    shape: Shape
    dtype: str = "f8"
    data: np.ndarray[Any, Any] | None = None


SCALAR = {name: number for number, name in enumerate(OPS)}
_SCALAR_SYMBOLS = tuple(Symbol(row.name, (), ((),) * row.arity) for row in OPS.values())


def contiguous(shape: Shape) -> Shape:
    """Return the strides, in elements, of a C-ordered array."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


class Traced(Value):
    """A Value whose number is known only when the kernel runs: a strided view of a tape entry."""

    __slots__ = ("code", "dims", "kind", "strides", "tape")
    tape: Tape
    code: int
    dims: Shape
    strides: Shape
    kind: str  # "f" number, "b" truth value, "i" integer data

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
        return np.dtype({"f": np.float64, "b": np.bool_, "i": np.int64}[self.kind])

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
    def _op(self) -> str:  # type: ignore[override]
        return self.tape.symbol_of(self).op if self.code >= 0 else ""

    @property
    def _prev(self) -> set[Value]:
        return set(self.tape.operands_of(self))

    def __getitem__(self, index: Any) -> Traced:
        at = index if type(index) is tuple else (index,)
        if len(at) != len(self.dims):
            return self.tape.getitem(self, index)
        code = self.code
        for step, extent, stride in zip(at, self.dims, self.strides, strict=True):
            if type(step) is not int or not -extent <= step < extent:
                return self.tape.getitem(self, index)
            code += (step if step >= 0 else step + extent) * stride
        return make(self.tape, code, (), (), self.kind)

    def __repr__(self) -> str:
        what = "x".join(map(str, self.dims)) or "scalar"
        return f"Value(traced {what}, op={self._op!r})"


def make(tape: Tape, code: int, dims: Shape = (), strides: Shape = (), kind: str = "f") -> Traced:
    """Make a view of a tape entry or an input."""
    traced: Traced = object.__new__(Traced)
    traced.tape = tape
    traced.code = code
    traced.dims = dims
    traced.strides = strides
    traced.kind = kind
    return traced


class Tape:
    """The instructions of one traced call, in order.

    Parameters
    ----------
    newest : int
        The serial number of the newest Value that existed before the trace; Values made while
        tracing are constants, older ones are captured.
    """

    def __init__(self, newest: int = sys.maxsize) -> None:
        self.symbols = array("q")
        self.columns = (array("q"), array("q"), array("q"))
        self.sites = array("q")
        self.table: list[Symbol] = list(_SCALAR_SYMBOLS)
        self.constants: list[float] = []
        self.inputs: list[Input] = [Input("captured", (0,))]
        self.captured: list[Value] = []
        self.captured_arrays: list[tuple[int, Value]] = []
        self._newest = newest
        self._interned = {symbol: number for number, symbol in enumerate(self.table)}
        self._captured_codes: dict[int, Traced] = {}
        self._tables: dict[int, tuple[np.ndarray[Any, Any], Traced]] = {}
        self._codes: dict[int, int] = {}
        self.code_objects: list[CodeType] = []

    def __len__(self) -> int:
        return len(self.symbols)

    # --- recording -------------------------------------------------------------------------------

    def record(self, symbol: int, a: int, b: int, c: int, frame: FrameType) -> int:
        """Append one instruction; return its position."""
        code = frame.f_code
        base = self._codes.get(id(code))
        if base is None:
            base = self._codes[id(code)] = len(self.code_objects) * CODE_SPAN
            self.code_objects.append(code)
        self.sites.append(base + frame.f_lasti)
        columns = self.columns
        columns[0].append(a)
        columns[1].append(b)
        columns[2].append(c)
        self.symbols.append(symbol)
        return len(self.symbols) - 1

    def intern(self, symbol: Symbol) -> int:
        """Return the number of a symbol."""
        number = self._interned.get(symbol)
        if number is None:
            number = self._interned[symbol] = len(self.table)
            self.table.append(symbol)
        return number

    def constant(self, number: float) -> int:
        """Return the code of a constant."""
        self.constants.append(number)
        return CONSTANT - len(self.constants) + 1

    def add_input(self, name: str, shape: Shape, dtype: str = "f8", data: Any = None) -> Traced:
        """Declare an input and return the Value that stands for it."""
        self.inputs.append(Input(name, shape, dtype, data))
        code = -len(self.inputs) << SHIFT
        return make(self, code, shape, contiguous(shape), "i" if dtype == "i8" else "f")

    def _array(self, symbol: Symbol, shape: Shape, codes: Sequence[int], kind: str = "f") -> Traced:
        a, b, c = (*codes, NOTHING, NOTHING, NOTHING)[:3]
        position = self.record(self.intern(symbol), a, b, c, user_frame())
        return make(self, position << SHIFT, shape, contiguous(shape), kind)

    # --- operands --------------------------------------------------------------------------------

    def lift(self, operand: Any) -> Traced:
        """Make a traced Value of anything that may be an operand."""
        if type(operand) is Traced:
            if operand.tape is not self:
                raise TraceError(f"{user_location()}: a Value of another trace was used")
            return operand
        if isinstance(operand, Value):
            return self._capture(operand)
        if isinstance(operand, numbers.Real | np.bool_):
            return make(self, self.constant(float(operand)))
        if isinstance(operand, np.ndarray | np.generic):
            return self._table(np.asarray(operand))
        raise ArgumentError(
            f"{user_location()}: an operand is {type(operand).__name__}; expected a number, an "
            "array or a Value"
        )

    def _capture(self, value: Value) -> Traced:
        found = self._captured_codes.get(id(value))
        if found is not None:
            return found
        data = value._data
        if value._serial > self._newest and not value._operands:
            return self.lift(data)
        if isinstance(data, np.ndarray) and data.ndim:
            traced = self.add_input("captured", data.shape)
            self.captured_arrays.append((len(self.inputs) - 1, value))
        else:
            traced = make(self, (-1 << SHIFT) + len(self.captured))
            self.captured.append(value)
        self._captured_codes[id(value)] = traced
        return traced

    def _table(self, data: np.ndarray[Any, Any]) -> Traced:
        if data.dtype == object:
            parts = [(data[at], at) for at in np.ndindex(data.shape)]
            return self.assemble(parts, data.shape)
        if data.dtype.kind not in "fiub":
            raise ArgumentError(
                f"{user_location()}: an array of dtype {data.dtype} was used; expected real numbers"
            )
        if data.ndim == 0:
            return make(self, self.constant(float(data)))
        known = self._tables.get(id(data))
        if known is not None and np.array_equal(known[1].tape.inputs[~(known[1].code >> SHIFT)].data, data):  # type: ignore[arg-type]
            return known[1]
        dtype = "i8" if data.dtype.kind in "iu" else "f8"
        traced = self.add_input("table", data.shape, dtype, np.array(data, dtype=dtype, order="C"))
        self._tables[id(data)] = (data, traced)
        return traced

    # --- what Values ask for ---------------------------------------------------------------------

    def elementwise(self, name: str, operands: Sequence[Any]) -> Traced:
        """Record one op of the table over broadcast operands."""
        values = [self.lift(operand) for operand in operands]
        kind = "b" if OPS[name].boolean else "f"
        try:
            shape = np.broadcast_shapes(*(value.dims for value in values))
        except ValueError:
            shapes = " and ".join(str(value.dims) for value in values)
            raise ShapeError(
                f"{user_location()}: {name} of arrays of shapes {shapes}, which do not broadcast"
            ) from None
        strides = tuple(spread(value, shape) for value in values)
        return self._array(Symbol(name, shape, strides), shape, [v.code for v in values], kind)

    def sum(self, x: Any, axis: Any = None, keepdims: bool = False) -> Traced:
        """Record a sum over axes."""
        x = self.lift(x)
        axes = normal_axes(axis, len(x.dims))
        if not axes:
            return self.elementwise("copy", (x,))
        kept = tuple(n for d, n in enumerate(x.dims) if d not in axes)
        result = self._array(Symbol("sum", x.dims, (x.strides,), axes), kept, [x.code])
        if not keepdims:
            return result
        return self.reshape(result, tuple(1 if d in axes else n for d, n in enumerate(x.dims)))

    def matmul(self, a: Any, b: Any) -> Traced:
        """Record a matrix product as products of broadcast views, summed."""
        a, b = self.lift(a), self.lift(b)
        if not a.dims or not b.dims or a.dims[-1] != b.dims[-2 if len(b.dims) > 1 else 0]:
            raise ShapeError(
                f"{user_location()}: matmul of arrays of shapes {a.dims} and {b.dims}"
            )
        left = a if len(a.dims) == 1 else insert_axis(a, len(a.dims) - 1)
        if len(b.dims) == 1:
            right, left = b, a
        else:
            right = self.transpose(b, (*range(len(b.dims) - 2), len(b.dims) - 1, len(b.dims) - 2))
        return self.sum(self.elementwise("mul", (left, right)), -1)

    def assemble(self, parts: Sequence[tuple[Any, Any]], shape: Shape) -> Traced:
        """Record an array that is put together from parts, each with the index where it goes."""
        result = self._array(Symbol("alloc", shape), shape, ())
        for part, index in parts:
            value, target = self.lift(part), self.getitem(result, index)
            strides = (target.strides, spread(value, target.dims))
            symbol = Symbol("put", target.dims, strides)
            self._array(symbol, target.dims, (target.code, value.code))
        return result

    def getitem(self, x: Any, index: Any) -> Traced:
        """Return a view, or record a gather for an integer-array index."""
        x = self.lift(x)
        items = index if isinstance(index, tuple) else (index,)
        if any(isinstance(item, list | np.ndarray | Value) for item in items):
            return self._gather(x, items)
        return view(x, items)

    def _gather(self, x: Traced, items: tuple[Any, ...]) -> Traced:
        items = expand_ellipsis(items, len(x.dims))
        arrays = [d for d, item in enumerate(items) if isinstance(item, list | np.ndarray | Value)]
        if len(arrays) != 1 or any(item is None for item in items):
            raise UnsupportedError(f"{user_location()}: only one integer array can index at a time")
        axis = arrays[0] - sum(isinstance(item, int | np.integer) for item in items[: arrays[0]])
        x, where = view(x, tuple(slice(None) if d in arrays else i for d, i in enumerate(items))), items[arrays[0]]
        if isinstance(where, Value):
            raise UnsupportedError(
                f"{user_location()}: indexing by a traced array; close over a constant index array"
            )
        positions = np.asarray(where)
        if positions.dtype == bool:
            positions = np.flatnonzero(positions)
        if positions.dtype.kind not in "iu" or (positions.size and not -x.dims[axis] <= positions.min() <= positions.max() < x.dims[axis]):
            raise ShapeError(f"{user_location()}: an index array does not fit axis {axis} of {x.dims}")
        picked = self._table(np.ascontiguousarray(positions % x.dims[axis], dtype=np.int64))
        before, after = x.dims[:axis], x.dims[axis + 1 :]
        shape = (*before, *picked.dims, *after)
        hole = (0,) * len(picked.dims)
        over_x = (*x.strides[:axis], *hole, *x.strides[axis + 1 :])
        over_picked = (*(0,) * axis, *picked.strides, *(0,) * len(after))
        symbol = Symbol("gather", shape, (over_x, over_picked), (x.strides[axis],))
        return self._array(symbol, shape, (x.code, picked.code))

    def reshape(self, x: Any, shape: Any) -> Traced:
        """Return a view with another shape; what is not contiguous is copied first."""
        x = self.lift(x)
        wanted = tuple(int(n) for n in (shape if isinstance(shape, tuple | list) else (shape,)))
        if -1 in wanted:
            known = -math.prod(wanted)
            wanted = tuple(x.size // known if n == -1 and known else n for n in wanted)
        if math.prod(wanted) != x.size:
            raise ShapeError(f"{user_location()}: reshape of {x.dims} to {shape}")
        if not is_contiguous(x):
            x = self.elementwise("copy", (x,))
        return make(self, x.code, wanted, contiguous(wanted), x.kind)

    def transpose(self, x: Any, axes: Any = None) -> Traced:
        """Return a view with permuted axes."""
        x = self.lift(x)
        order = normal_order(axes, len(x.dims))
        dims, strides = (tuple(values[d] for d in order) for values in (x.dims, x.strides))
        return make(self, x.code, dims, strides, x.kind)

    def broadcast_to(self, x: Any, shape: Any) -> Traced:
        """Return a view with repeated axes."""
        x = self.lift(x)
        shape = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
        try:
            fits = np.broadcast_shapes(x.dims, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(f"{user_location()}: {x.dims} does not broadcast to {shape}")
        return make(self, x.code, shape, spread(x, shape), x.kind)

    def detach(self, x: Any) -> Traced:
        """Record a copy through which no derivative flows."""
        detached = self.elementwise("detach", (x,))
        detached.kind = x.kind if type(x) is Traced else "f"
        return detached

    def wrap(self, x: Any) -> Traced:
        """Return the traced Value for ``Value(x)``."""
        return self.lift(x)

    def refuse(self, x: Any, what: str) -> NoReturn:
        """Raise the error for asking a traced Value for its number."""
        raise DataDependentError(
            f"{user_location()}: {what} needs the number behind a traced Value, which is known only when "
            "the compiled kernel runs; write np.where(condition, a, b) for a branch, and "
            "np.array([...]) or np.stack([...]) to put traced values in an array"
        )

    # --- looking back ----------------------------------------------------------------------------

    def symbol_of(self, x: Traced) -> Symbol:
        """Return the symbol of the instruction that made a Value."""
        return self.table[self.symbols[x.code >> SHIFT]]

    def operands_of(self, x: Traced) -> list[Traced]:
        """Return scalar handles of a Value's operands, without constants."""
        if x.code < 0:
            return []
        codes = [column[x.code >> SHIFT] for column in self.columns]
        return [make(self, code) for code in codes if code > CONSTANT]

    def place(self, site: int) -> tuple[str, int, str]:
        """Return the file, the line and the assigned variable's name of a program point."""
        code = self.code_objects[site // CODE_SPAN]
        points = _points(code)
        offset = site % CODE_SPAN
        while offset not in points:  # inside the inline cache of an instruction
            offset -= 2
        return (code.co_filename, *points[offset])


@functools.lru_cache(maxsize=256)
def _points(code: CodeType) -> dict[int, tuple[int, str]]:
    """Map each instruction of a code object to its line and the variable its result is stored in."""
    steps = [step for step in dis.get_instructions(code) if step.opname != "PRECALL"]
    points = {}
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        stored = following is not None and following.opname in ("STORE_FAST", "STORE_NAME", "STORE_DEREF")
        line = step.positions.lineno if step.positions and step.positions.lineno else code.co_firstlineno
        points[step.offset] = (line, str(following.argval) if following and stored else "")
    return points


_INTERNAL = tuple(f"/jitgrad/{name}.py" for name in ("value", "tape", "arrays", "graph", "structure"))


@functools.lru_cache(maxsize=4096)
def _is_internal(filename: str) -> bool:
    name = filename.replace("\\", "/")
    return name.endswith(_INTERNAL) or "/numpy/" in name


def user_frame() -> FrameType:
    """Return the innermost frame that is not jitgrad's recording machinery or NumPy."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_internal(frame.f_code.co_filename):
        frame = frame.f_back
    assert frame is not None
    return frame


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
    return make(x.tape, x.code, dims, strides, x.kind)


def is_contiguous(x: Traced) -> bool:
    """Whether a view's elements lie in order without gaps."""
    pairs = zip(x.dims, x.strides, contiguous(x.dims), strict=True)
    return all(extent == 1 or stride == packed for extent, stride, packed in pairs)


def expand_ellipsis(items: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    """Write out the ellipsis and the slices that an index leaves out."""
    used = sum(item is not None and item is not Ellipsis for item in items)
    if used > ndim or sum(item is Ellipsis for item in items) > 1:
        raise IndexError(f"{user_location()}: {used} indices for an array of {ndim} dimensions")
    missing = (slice(None),) * (ndim - used)
    if Ellipsis not in [item for item in items if not isinstance(item, np.ndarray | Value | list)]:
        return (*items, *missing)
    at = next(d for d, item in enumerate(items) if item is Ellipsis)
    return (*items[:at], *missing, *items[at + 1 :])


def view(x: Traced, items: tuple[Any, ...]) -> Traced:
    """Apply a basic index: ints, slices, newaxis and ellipsis."""
    code, dims, strides, axis = x.code, [], [], 0
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
        else:
            start = _whole(item)
            if not -extent <= start < extent:
                raise IndexError(f"{user_location()}: index {start} on an axis of extent {extent}")
            start %= extent
        code += stride * start
    return make(x.tape, code, tuple(dims), tuple(strides), x.kind)


def _whole(item: Any) -> int:
    try:
        return int(item.__index__())
    except AttributeError:
        raise UnsupportedError(
            f"{user_location()}: an index of type {type(item).__name__}; expected ints, slices, "
            "None, ... or integer arrays"
        ) from None


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
        raise ShapeError(f"{user_location()}: transpose axes {axes} of an array of {ndim} dimensions")
    return order


# --- the operators that scalar code spends its time in ---------------------------------------------


def _binary(name: str, reflected: bool) -> Callable[[Traced, Any], Any]:
    symbol, kind = SCALAR[name], "b" if OPS[name].boolean else "f"

    def method(self: Traced, other: Any) -> Any:
        tape = self.tape
        mine = self.code
        if type(other) is Traced and other.tape is tape:
            if self.dims or other.dims:
                return tape.elementwise(name, (other, self) if reflected else (self, other))
            theirs = other.code
        elif not self.dims and (type(other) is float or type(other) is int):
            theirs = tape.constant(other)
        elif isinstance(other, Value | numbers.Real | np.ndarray | np.generic):
            return tape.elementwise(name, (other, self) if reflected else (self, other))
        else:
            return NotImplemented
        if reflected:
            mine, theirs = theirs, mine
        position = tape.record(symbol, mine, theirs, NOTHING, sys._getframe(1))
        return make(tape, position << SHIFT, (), (), kind)

    return method


def _unary(name: str) -> Callable[[Traced], Any]:
    symbol = SCALAR[name]

    def method(self: Traced) -> Any:
        if self.dims:
            return self.tape.elementwise(name, (self,))
        position = self.tape.record(symbol, self.code, NOTHING, NOTHING, sys._getframe(1))
        return make(self.tape, position << SHIFT)

    return method


_OPERATORS = {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "pow": "pow", "mod": "mod"}
for _dunder, _name in _OPERATORS.items():
    setattr(Traced, f"__{_dunder}__", _binary(_name, reflected=False))
    setattr(Traced, f"__r{_dunder}__", _binary(_name, reflected=True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Traced, f"__{_name}__", _binary(_name, reflected=False))
Traced.__hash__ = object.__hash__  # type: ignore[method-assign]
for _row in OPS.values():
    if _row.arity == 1 and _row.name not in ("neg", "abs", "copy", "detach", "logical_not"):
        setattr(Traced, _row.name, _unary(_row.name))
Traced.__neg__ = _unary("neg")  # type: ignore[method-assign]
Traced.__abs__ = _unary("abs")  # type: ignore[method-assign]


class Recording:
    """A context in which operations on Values go to a tape."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape

    def __enter__(self) -> Tape:
        self.previous, active.tape = active.tape, self.tape
        return self.tape

    def __exit__(self, *_: object) -> None:
        active.tape = self.previous

"""Run a function on Values; write the DAG down in order.

While a tape is active every operation on a `Value` appends one instruction to it. The columns of
the tape are plain integers, so a million instructions are an ordinary input: a symbol (the op with
its shapes and strides), up to three operand codes (see `traced`), and the program point of the
user's code.

>>> tape = Tape()
>>> x = tape.add_input("x", (2, 3))
>>> with Recording(tape):
...     y = (2.0 * x.T).sum()
>>> len(tape), tape.symbol_of(y)[:4]
(2, ('sum', (3, 2), ((2, 1),), (0, 1)))
"""

from __future__ import annotations

import math
import numbers
import sys
from array import array
from collections.abc import Sequence
from types import CodeType, FrameType
from typing import Any, NoReturn

import numpy as np

from jitgrad import elements
from jitgrad.elements import kind_of, stored, stored_from, strong
from jitgrad.errors import (
    ArgumentError,
    ShapeError,
    TraceError,
    data_dependent,
    user_location,
)
from jitgrad.gather import gather, is_array
from jitgrad.graph import active
from jitgrad.sites import points, user_frame
from jitgrad.symbols import REDUCTIONS, SCALAR_SYMBOLS, Input, Symbol
from jitgrad.traced import (
    CONSTANT,
    LOW,
    NOTHING,
    OF_TRUTHS,
    SCALAR,
    SHIFT,
    Shape,
    Traced,
    contiguous,
    insert_axis,
    is_contiguous,
    is_truth,
    make,
    normal_axes,
    normal_order,
    of_truths,
    spread,
    view,
)
from jitgrad.value import Value

Array = np.ndarray[Any, Any]
CODE_SPAN = 1 << 20  # program points of one code object


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
        self.table: list[Symbol] = list(SCALAR_SYMBOLS)
        self.constants: list[float] = []
        self.inputs: list[Input] = [Input("captured", (0,))]
        self.captured: list[Value] = []
        self.captured_arrays: list[tuple[int, Value]] = []
        self._newest = newest
        self._interned = {symbol: number for number, symbol in enumerate(self.table)}
        self._captured_codes: dict[int, Traced] = {}
        self._tables: dict[int, tuple[Array, Array, Traced]] = {}
        self._codes: dict[int, int] = {}
        self.indexed: dict[int, set[int]] = {}
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

    def add_input(
        self, name: str, shape: Shape, dtype: str = "f8", data: Any = None, kind: str = ""
    ) -> Traced:
        """Declare an input, data of a kind, and return the Value that stands for it."""
        self.inputs.append(Input(name, shape, dtype, data))
        code = -len(self.inputs) << SHIFT
        return make(self, code, shape, contiguous(shape), kind or dtype)

    def _array(self, symbol: Symbol, shape: Shape, codes: Sequence[int], kind: str) -> Traced:
        a, b, c = (*codes, NOTHING, NOTHING, NOTHING)[:3]
        position = self.record(self.intern(symbol), a, b, c, user_frame())
        return make(self, position << SHIFT, shape, contiguous(shape), kind)

    # --- operands --------------------------------------------------------------------------------

    def lift(self, operand: Any) -> Traced:
        """Make a traced Value of anything that may be an operand."""
        if type(operand) is Traced:
            if operand.tape is not self:
                raise TraceError(
                    f"{user_location()}: a Value of another trace was used; its number is not "
                    "known here. Pass it as an argument"
                )
            return operand
        if isinstance(operand, Value):
            return self._capture(operand)
        if isinstance(operand, numbers.Real | np.bool_):
            return make(self, self.constant(float(operand)), kind=elements.kind_of_number(operand))
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
            traced = self.add_input("captured", data.shape, stored(kind_of(data.dtype)))
            self.captured_arrays.append((len(self.inputs) - 1, value))
        else:
            traced = make(self, (-1 << SHIFT) + len(self.captured), kind="float")
            self.captured.append(value)
        self._captured_codes[id(value)] = traced
        return traced

    def _table(self, data: Array) -> Traced:
        if data.dtype == object:
            parts = [(data[at], at) for at in np.ndindex(data.shape)]
            return self.assemble(parts, data.shape)
        if data.dtype.kind not in "fiub":
            raise ArgumentError(
                f"{user_location()}: an array of dtype {data.dtype} was used; expected real numbers"
            )
        if data.ndim == 0:
            return make(self, self.constant(float(data)), kind=kind_of(data.dtype))
        known = self._tables.get(id(data))
        if known is not None and np.array_equal(known[1], data, equal_nan=data.dtype.kind == "f"):
            return known[2]
        kind = kind_of(data.dtype)
        whole = kind[0] in "iu" and kind != "u8"
        copied = np.array(data, "i8" if whole else stored(kind), order="C")
        traced = self.add_input("table", data.shape, copied.dtype.str[1:], copied, kind)
        self._tables[id(data)] = (data, copied, traced)
        return traced

    # --- what Values ask for ---------------------------------------------------------------------

    def elementwise(self, name: str, operands: Sequence[Any]) -> Traced:
        """Record one op of the table over broadcast operands."""
        if name in OF_TRUTHS and all(map(is_truth, operands)):
            name = of_truths(name)
        values = [x if type(x) is Traced and x.tape is self else self.lift(x) for x in operands]
        kind, dtype, singles = elements.typed(name, tuple([value.kind for value in values]))
        if not any(value.dims for value in values):
            a, b, c = (*[value.code for value in values], NOTHING, NOTHING)[:3]
            number = SCALAR[dtype][name]
            if singles:
                number = self.intern(self.table[number]._replace(singles=singles))
            position = self.record(number, a, b, c, user_frame())
            return make(self, position << SHIFT, (), (), kind)
        try:
            shape = np.broadcast_shapes(*(value.dims for value in values))
        except ValueError:
            shapes = " and ".join(str(value.dims) for value in values)
            raise ShapeError(
                f"{user_location()}: {name} of arrays of shapes {shapes}, which do not broadcast"
            ) from None
        # A constant has no storage. It is written as if it had this shape, so that `0 + x`, where a
        # sum starts, is the same instruction as the additions that follow.
        strides = tuple(
            contiguous(shape) if value.code <= CONSTANT else spread(value, shape)
            for value in values
        )
        symbol = Symbol(name, shape, strides, (), dtype, singles)
        return self._array(symbol, shape, [v.code for v in values], kind)

    def sum(self, x: Any, axis: Any = None, keepdims: bool = False) -> Traced:
        """Record a sum over axes."""
        x = self.lift(x)
        axes = normal_axes(axis, len(x.dims))
        if not axes:
            return self.elementwise("copy", (x,))
        return self._reduced("sum", x, axes, keepdims)

    def extreme(self, x: Any, name: str, axes: tuple[int, ...]) -> Traced:
        """Record the largest or smallest element along axes, which stay with extent 1.

        It has no derivative: see `arrays.extreme`.
        """
        x = self.lift(x)
        return self._reduced(name, x, normal_axes(axes, len(x.dims)), True)

    def _reduced(self, name: str, x: Traced, axes: tuple[int, ...], keepdims: bool) -> Traced:
        kept = tuple(n for d, n in enumerate(x.dims) if d not in axes)
        kind = elements.added(x.kind) if name == "sum" else strong(x.kind)
        symbol = Symbol(name, x.dims, (x.strides,), axes, stored(kind))
        result = self._array(symbol, kept, [x.code], kind)
        for axis in axes if keepdims else ():
            result = insert_axis(result, axis)
        return result

    def matmul(self, a: Any, b: Any) -> Traced:
        """Record a matrix product as products of broadcast views, summed."""
        a, b = self.lift(a), self.lift(b)
        if not a.dims or not b.dims or a.dims[-1] != b.dims[-2 if len(b.dims) > 1 else 0]:
            raise ShapeError(f"{user_location()}: matmul of arrays of shapes {a.dims} and {b.dims}")
        truths = is_truth(a) and is_truth(b)
        left = a if len(a.dims) == 1 else insert_axis(a, len(a.dims) - 1)
        if len(b.dims) == 1:
            right, left = b, a
        else:
            right = self.transpose(b, (*range(len(b.dims) - 2), len(b.dims) - 1, len(b.dims) - 2))
            if len(a.dims) > 1:  # its rows are an axis of their own beside the stacks
                right = insert_axis(right, len(b.dims) - 2)
        total = self.sum(self.elementwise("mul", (left, right)), -1)
        return self.elementwise("gt", (total, 0.0)) if truths else total

    def assemble(self, parts: Sequence[tuple[Any, Any]], shape: Shape) -> Traced:
        """Record an array that is put together from parts, each with the index where it goes."""
        values = [self.lift(part) for part, _ in parts]
        kind = elements.joined([value.kind for value in values])
        result = self._array(Symbol("alloc", shape, dtype=stored(kind)), shape, (), kind)
        for value, (_, index) in zip(values, parts, strict=True):
            target = self.getitem(result, index)
            strides = (target.strides, spread(value, target.dims))
            symbol = Symbol("put", target.dims, strides, (), *stored_from(kind, (kind, value.kind)))
            self._array(symbol, target.dims, (target.code, value.code), kind)
        return result

    def astype(self, x: Any, dtype: Any) -> Traced:
        """Record a copy of another element type."""
        x, kind = self.lift(x), kind_of(np.dtype(dtype))
        symbol = Symbol("copy", x.dims, (x.strides,), (), *stored_from(kind, (x.kind,)))
        return self._array(symbol, x.dims, (x.code,), kind)

    def getitem(self, x: Any, index: Any) -> Traced:
        """Return a view, or record a gather for an integer-array index."""
        x = self.lift(x)
        items = index if isinstance(index, tuple) else (index,)
        if any(map(is_array, items)):
            return gather(self, x, items)
        return view(x, items)

    def gathered(
        self, x: Traced, over: Shape, table: int, over_table: Shape, stride: int, shape: Shape
    ) -> Traced:
        """Record a gather: elements at ``over`` plus ``stride`` times the integers of a table."""
        symbol = Symbol("gather", shape, (over, over_table), (stride,), stored(x.kind))
        return self._array(symbol, shape, (x.code, table), x.kind)

    def holds_integers(self, x: Traced) -> bool:
        """Whether this is an input of integers, which can be positions."""
        given = x.kind != "b1" and CONSTANT < x.code < 0
        return given and self.inputs[~(x.code >> SHIFT)].dtype == "i8"

    def note_indexed(self, where: Traced, extent: int) -> None:
        """Remember that integers which the loss is given are positions on an axis."""
        self.indexed.setdefault(~(where.code >> SHIFT), set()).add(extent)

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
        return make(self, x.code, wanted, contiguous(wanted), strong(x.kind) if wanted else x.kind)

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
        return make(self, x.code, shape, spread(x, shape), strong(x.kind) if shape else x.kind)

    def detach(self, x: Any) -> Traced:
        """Record a copy through which no derivative flows."""
        return self.elementwise("detach", (x,))

    wrap = lift

    def refuse(self, x: Any, what: str) -> NoReturn:
        """Raise the error for asking a traced Value for its number."""
        error = data_dependent(what)
        if type(x) is Traced:
            error.inputs = self._numbers_behind(x)
        raise error

    def _numbers_behind(self, x: Any) -> frozenset[int]:
        """Return the inputs that a Value is computed from; none if some are not single numbers."""
        found: set[int] = set()
        waiting, seen = [x], {x.code}
        while waiting:
            code = waiting.pop().code
            if code < 0:
                number = ~(code >> SHIFT)
                if not number or self.inputs[number].shape:
                    return frozenset()
                found.add(number)
                continue
            operands = self.operands_of(make(self, code))
            waiting += [operand for operand in operands if operand.code not in seen]
            seen |= {operand.code for operand in operands}
        return frozenset(found)

    def is_shared(self, x: Traced) -> bool:
        """Whether an array is an input, or does not cover the result that it is a view of."""
        if x.code < 0:
            return True
        symbol = self.symbol_of(x)
        summed = symbol.axes if symbol.op in REDUCTIONS else ()
        size = math.prod(n for axis, n in enumerate(symbol.shape) if axis not in summed)
        return bool(x.code & LOW) or x.size != size or not is_contiguous(x)

    def close(self) -> None:
        """End the recording: whatever is asked of its Values from now on is an error."""
        setattr(self, "record", self._ended)  # noqa: B010 - an instance's own method

    def _ended(self, *_: Any) -> NoReturn:
        raise TraceError(
            f"{user_location()}: a traced Value was used after its trace had ended; it holds no "
            "number. Return what you want to see as auxiliary output: `return loss, aux` with "
            "jitgrad.compile(has_aux=True)"
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
        known = points(code)
        offset = site % CODE_SPAN
        while offset not in known:  # inside the inline cache of an instruction
            offset -= 2
        return (code.co_filename, *known[offset])


class Recording:
    """A context in which operations on Values go to a tape."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape

    def __enter__(self) -> Tape:
        self.previous, active.tape = active.tape, self.tape
        return self.tape

    def __exit__(self, *_: object) -> None:
        active.tape = self.previous
        self.tape.close()

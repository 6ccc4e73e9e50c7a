"""Run a function on Values; write the DAG down in order.

While a tape is active every operation on a `Value` appends one instruction to it (see `recorder`);
slices, transposes and broadcasts are views and record nothing.

>>> tape = Tape()
>>> x = tape.add_input("x", (2, 3))
>>> with Recording(tape):
...     y = (2.0 * x.T).sum()
>>> len(tape), tape.symbol_of(y)[:4]
(2, ('sum', (3, 2), ((2, 1),), (0, 1)))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from jitgrad import elements
from jitgrad.elements import kind_of, stored, stored_from, strong
from jitgrad.errors import ShapeError, data_dependent, user_location
from jitgrad.gather import gather, is_array
from jitgrad.graph import active
from jitgrad.protocols import is_labelled
from jitgrad.recorder import Recorder
from jitgrad.routines import ROUTINES
from jitgrad.sites import user_frame
from jitgrad.structure import COUNTED
from jitgrad.symbols import REDUCTIONS, SCAN, Symbol
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

Array = np.ndarray[Any, Any]
DIVISIONS = ("mod", "floor_divide", "fmod")


class Tape(Recorder):
    """The instructions of one traced call, in order: what Values ask for while it is traced."""

    def elementwise(self, name: str, operands: Sequence[Any]) -> Traced:
        """Record one op of the table over broadcast operands."""
        if name in OF_TRUTHS and all(map(is_truth, operands)):
            name = of_truths(name)
        if self.changed:
            values = list(map(self.lift, operands))
        else:
            own = (x if type(x) is Traced and x.tape is self else self.lift(x) for x in operands)
            values = list(own)
        kind, dtype, singles = elements.typed(name, tuple([value.kind for value in values]))
        if name in DIVISIONS and kind[0] in "iu" and self._may_be_zero(values[1]):
            return self._integers_divided(name, values[0], values[1], kind)
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
        return self.record_array(symbol, shape, [v.code for v in values], kind)

    def _may_be_zero(self, x: Traced) -> bool:
        return x.code > CONSTANT or not self.constants[CONSTANT - x.code]

    def _integers_divided(self, name: str, x: Traced, y: Traced, kind: str) -> Traced:
        """Record ``x // y`` or ``x % y`` of integers: NumPy gives 0 where y is 0."""
        divided = self.elementwise(name, (x, self.astype(y, float)))
        found = self.elementwise("where", (self.elementwise("eq", (y, 0)), 0.0, divided))
        return make(self, found.code, found.dims, found.strides, kind)

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
        result = self.record_array(symbol, kept, [x.code], kind)
        for axis in axes if keepdims else ():
            result = insert_axis(result, axis)
        return result

    def scan(self, x: Any, name: str, axis: int) -> Traced:
        """Record running results of an op along an axis: sums for ``add``."""
        x = self.lift(x)
        (axis,) = normal_axes(axis, len(x.dims))
        kind = elements.added(x.kind) if name in COUNTED else strong(x.kind)
        symbol = Symbol(SCAN + name, x.dims, (x.strides,), (axis,), stored(kind))
        return self.record_array(symbol, x.dims, [x.code], kind)

    def routine(self, *operands_and_name: Any) -> Traced:
        """Record a routine of `routines` over the last dimensions of its operands."""
        *operands, name = operands_and_name
        found = ROUTINES[name]
        values = [self.lift(x) for x in operands]
        ranks = [len(x.dims) - rank for x, rank in zip(values, found.ranks, strict=True)]
        stack = np.broadcast_shapes(*(x.dims[:n] for x, n in zip(values, ranks, strict=True)))
        whole = [self._whole(x) for x, n in zip(values, ranks, strict=True)]
        cores = [x.dims[n:] for x, n in zip(whole, ranks, strict=True)]
        result = found.shape(*cores)
        shapes = [(*stack, *core) for core in cores]
        strides = tuple(_moving(x, shape) for x, shape in zip(whole, shapes, strict=True))
        symbol = Symbol(name, stack, strides, (), found.dtype, (), (result, *cores))
        return self.record_array(symbol, (*stack, *result), [x.code for x in whole], found.dtype)

    def _whole(self, x: Traced) -> Traced:
        """Return an array of float64 that lies as it was made, or was given: a copy, if need be."""
        if x.kind != "f8" or not self._lies_whole(x):
            x = self.astype(x, float)
        return x

    def _lies_whole(self, x: Traced) -> bool:
        shape = self.inputs[~(x.code >> SHIFT)].shape if x.code < 0 else self._made(x)
        return not x.code & LOW and x.dims == shape and is_contiguous(x)

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
        result = self.record_array(Symbol("alloc", shape, dtype=stored(kind)), shape, (), kind)
        for value, (_, index) in zip(values, parts, strict=True):
            target = self.getitem(result, index)
            strides = (target.strides, spread(value, target.dims))
            symbol = Symbol("put", target.dims, strides, (), *stored_from(kind, (kind, value.kind)))
            self.record_array(symbol, target.dims, (target.code, value.code), kind)
        return result

    def astype(self, x: Any, dtype: Any) -> Traced:
        """Record a copy of another element type."""
        x, kind = self.lift(x), kind_of(np.dtype(dtype))
        if kind[0] in "iu" and x.kind[0] == "f":
            x = self.elementwise("trunc", (x,))
        symbol = Symbol("copy", x.dims, (x.strides,), (), *stored_from(kind, (x.kind,)))
        return self.record_array(symbol, x.dims, (x.code,), kind)

    def getitem(self, x: Any, index: Any) -> Traced:
        """Return a view, or record a gather for an integer-array index."""
        x = self.lift(x)
        items = index if isinstance(index, tuple) else (index,)
        if is_labelled(items):
            items = tuple(x.to_numpy() if is_labelled((x,)) else x for x in items)
        if any(map(is_array, items)):
            return gather(self, x, items)
        return self.note_view(x, view(x, items))

    def gathered(
        self, x: Traced, over: Shape, table: int, over_table: Shape, stride: int, shape: Shape
    ) -> Traced:
        """Record a gather: elements at ``over`` plus ``stride`` times the integers of a table."""
        symbol = Symbol("gather", shape, (over, over_table), (stride,), stored(x.kind))
        return self.record_array(symbol, shape, (x.code, table), x.kind)

    def holds_integers(self, x: Traced) -> bool:
        """Whether these are integers that are given or that a routine made: positions."""
        if x.code >= 0:
            return self.symbol_of(x).dtype == "i8"
        given = x.kind != "b1" and x.code > CONSTANT
        return given and self.inputs[~(x.code >> SHIFT)].dtype == "i8"

    def most_of(self, x: Traced) -> int:
        """Return how many different positions a routine's result, or what is given, may hold."""
        if x.code < 0:
            return 0  # what is given is checked at each call
        symbol = self.symbol_of(x)
        if symbol.op == "positions":
            return min(self.indexed[~(x.code >> SHIFT)])
        return ROUTINES[symbol.op].most(*symbol.cores[1:])

    def note_indexed(self, where: Traced, extent: int) -> None:
        """Remember that integers are positions on an axis."""
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
        kind = strong(x.kind) if wanted else x.kind
        return self.note_view(x, make(self, x.code, wanted, contiguous(wanted), kind))

    def transpose(self, x: Any, axes: Any = None) -> Traced:
        """Return a view with permuted axes."""
        x = self.lift(x)
        order = normal_order(axes, len(x.dims))
        dims, strides = (tuple(values[d] for d in order) for values in (x.dims, x.strides))
        return self.note_view(x, make(self, x.code, dims, strides, x.kind))

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
        kind = strong(x.kind) if shape else x.kind
        return self.note_view(x, make(self, x.code, shape, spread(x, shape), kind))

    def detach(self, x: Any) -> Traced:
        """Record a copy through which no derivative flows."""
        return self.elementwise("detach", (x,))

    wrap = Recorder.lift

    def refuse(self, x: Any, what: str) -> NoReturn:
        """Raise the error for asking a traced Value for its number."""
        error = data_dependent(what)
        error.inputs = self.inputs_behind([x])
        self.refused = error
        raise error

    def inputs_behind(self, operands: Sequence[Any]) -> frozenset[int]:
        """Return the inputs that Values are computed from; none if there are captured ones."""
        found: set[int] = set()
        waiting = [x for x in operands if type(x) is Traced]
        seen = {x.code for x in waiting}
        while waiting:
            code = waiting.pop().code
            if code < 0:
                number = ~(code >> SHIFT)
                if not number:
                    return frozenset()
                if self.inputs[number].data is None:
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
        return bool(x.code & LOW) or x.size != math.prod(self._made(x)) or not is_contiguous(x)

    def _made(self, x: Traced) -> Shape:
        """Return the shape of the result that a Value is a view of."""
        symbol = self.symbol_of(x)
        summed = symbol.axes if symbol.op in REDUCTIONS else ()
        kept = tuple(n for axis, n in enumerate(symbol.shape) if axis not in summed)
        return (*kept, *symbol.cores[0]) if symbol.cores else kept


def _moving(x: Traced, shape: Shape) -> Shape:
    """Return strides that lay an array over a broadcast shape: 0 where there is but one place."""
    return tuple(s if n > 1 else 0 for s, n in zip(spread(x, shape), shape, strict=True))


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

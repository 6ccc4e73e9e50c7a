"""The columns of a tape: instructions, what they read, and the program points of the user's code.

The columns are plain integers, so a million instructions are an ordinary input: a symbol (the op
with its shapes and strides), up to three operand codes (see `traced`), and the program point of the
user's code.

>>> recorder = Recorder()
>>> x = recorder.add_input("x", (2, 3))
>>> x.code == -2 << SHIFT, recorder.operands_of(x)
(True, [])
"""

from __future__ import annotations

import hashlib
import numbers
import sys
import weakref
from array import array
from collections.abc import Sequence
from types import CodeType, FrameType
from typing import Any, NoReturn

import numpy as np

from jitgrad import elements
from jitgrad.elements import kind_of, stored
from jitgrad.errors import ArgumentError, DataDependentError, TraceError, user_location
from jitgrad.graph import assemble, holds_objects, together
from jitgrad.sites import points, user_frame
from jitgrad.symbols import SCALAR_SYMBOLS, Input, Symbol
from jitgrad.traced import CONSTANT, NOTHING, SHIFT, Shape, Traced, contiguous, make
from jitgrad.value import Value

Array = np.ndarray[Any, Any]
CODE_SPAN = 1 << 20  # program points of one code object


class Recorder:
    """The instructions of one traced call, in order, and the Values that stand for their results.

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
        self._codes_by_content: dict[tuple[str, Shape, bytes], int] = {}
        self._codes: dict[int, int] = {}
        self.indexed: dict[int, set[int]] = {}
        self.refused: DataDependentError | None = None  # the latest, see `refuse`
        self.code_objects: list[CodeType] = []
        # Of arrays that are changed in place, by identity: the elements, which arrays were changed
        # since they were last put together, and the views that there are of each result.
        self.pending: dict[int, Any] = {}
        self.changed: set[int] = set()
        self.views: dict[int, list[weakref.ref[Traced]]] = {}
        self._replaced: tuple[weakref.ref[Traced], dict[int, tuple[Any, bool]]] | None = None

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

    def record_array(self, symbol: Symbol, shape: Shape, codes: Sequence[int], kind: str) -> Traced:
        """Append an instruction that makes an array; return the Value that stands for it."""
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
            return self.settle(operand) if self.changed else operand
        if isinstance(operand, Value):
            return self._capture(operand)
        if isinstance(operand, numbers.Real | np.bool_):
            return make(self, self.constant(float(operand)), kind=elements.kind_of_number(operand))
        if hasattr(operand, "whole"):  # it knows what array it stands for
            return self.lift(operand.whole())
        if isinstance(operand, np.ndarray | np.generic):
            return self._table(np.asanyarray(operand))
        raise ArgumentError(
            f"{user_location()}: an operand is {type(operand).__name__}; expected a number, an "
            "array or a Value"
        )

    def set_down(self, x: Traced, elements: Any) -> None:
        """Keep the elements of an array that is changed in place, as long as it is there."""
        self.pending[id(x)] = elements
        weakref.finalize(x, self.forget, id(x))

    def forget(self, key: int) -> None:
        """Drop the elements of an array."""
        self.pending.pop(key, None)
        self.changed.discard(key)

    def replace(self, old: Sequence[Traced], new: Traced, elements: Any) -> None:
        """Put something in the place of the elements of Values for which a new one stands."""
        before = {id(x): (self.pending.get(id(x)), id(x) in self.changed) for x in old}
        for x in old:
            if id(x) not in self.pending:
                self.set_down(x, elements)
            self.pending[id(x)] = elements
            self.changed.add(id(x))
        self._replaced = weakref.ref(new), before

    def take_back(self, new: Any) -> None:
        """Leave as they were the Values that a new one was to replace, if it was made last."""
        if self._replaced is not None and self._replaced[0]() is new:
            for key, (elements, changed) in self._replaced[1].items():
                if elements is None or key not in self.pending:
                    self.forget(key)
                    continue
                self.pending[key] = elements
                if not changed:
                    self.changed.discard(key)
        self._replaced = None

    def settle(self, x: Traced) -> Traced:
        """Put an array together that was changed in place."""
        if id(x) in self.changed:
            whole = assemble(self.pending[id(x)].parts(), x.dims)
            x.code, x.strides = whole.code, whole.strides
            self.changed.discard(id(x))
        return x

    def note_view(self, of: Traced, view: Traced) -> Traced:
        """Remember a view of a result while it is there: see `assignment`."""
        if of.code >= 0 and view.dims:
            found = self.views.setdefault(of.code >> SHIFT, [])
            found += [weakref.ref(of), weakref.ref(view)]
        return view

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
        if holds_objects(data):
            return self.lift(together(data))
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
        # What each round of a loop makes anew (np.zeros(n), np.arange(n)) has to be one table: a
        # loop is not found where each round reads another one.
        content = kind, data.shape, hashlib.sha256(copied.tobytes()).digest()
        code = self._codes_by_content.get(content)
        if code is None:
            traced = self.add_input("table", data.shape, copied.dtype.str[1:], copied, kind)
            self._codes_by_content[content] = traced.code
        else:
            traced = make(self, code, data.shape, contiguous(data.shape), kind)
        self._tables[id(data)] = (data, copied, traced)
        return traced

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

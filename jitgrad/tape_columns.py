"""A tape as NumPy's columns, and the loops that are found in them.

>>> from jitgrad.tape import Recording
>>> tape = Tape()
>>> x = tape.add_input("x", (3,))
>>> with Recording(tape):
...     y = x[0] * x[1] + x[2]
>>> columns(tape).operands.shape
(2, 3)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jitgrad.leaf import Ints
from jitgrad.roll import CONST, NONE, Item, roll
from jitgrad.symbols import Input
from jitgrad.tape import Tape
from jitgrad.traced import CONSTANT, NOTHING, SHIFT


class Columns(NamedTuple):
    """The tape as NumPy columns, captured Values numbered in order of their creation."""

    symbols: Ints
    operands: Ints
    sites: Ints
    constants: np.ndarray[Any, Any]
    inputs: tuple[Input, ...]


def columns(tape: Tape) -> Columns:
    """Take a tape's columns."""
    operands = np.column_stack([np.frombuffer(column, dtype=np.int64) for column in tape.columns])
    order = captured_order(tape)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    packed = operands >> SHIFT == -1
    operands[packed] = rank[operands[packed] & ((1 << SHIFT) - 1)] + (-1 << SHIFT)
    inputs = (tape.inputs[0]._replace(shape=(len(order),)), *tape.inputs[1:])
    symbols, sites = (np.frombuffer(part, dtype=np.int64) for part in (tape.symbols, tape.sites))
    return Columns(symbols, operands, sites, np.array(tape.constants, dtype=float), inputs)


def captured_order(tape: Tape) -> Ints:
    """Return the captured scalar Values' numbers in order of their creation."""
    return np.argsort([value._serial for value in tape.captured]).astype(np.int64)


def rolled(cols: Columns) -> tuple[Item, ...]:
    """Find the loops of a tape."""
    codes = np.where(cols.operands <= CONSTANT, CONST, cols.operands)
    codes[cols.operands == NOTHING] = NONE
    return roll(cols.symbols, codes, cols.sites, gathers=True)


def input_names(inputs: Sequence[Input]) -> list[str]:
    """Return a buffer name for each input of a tape."""
    return [f"in{number}" for number in range(len(inputs))]

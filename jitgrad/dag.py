"""The DAG of a traced call, for looking at.

>>> from jitgrad.tape import Recording, Tape
>>> tape = Tape()
>>> x = tape.add_input("x", (2, 3))
>>> with Recording(tape):
...     y = x[1, 0] * 2.0 + x[1, 0]
>>> [(node.op, node.operands) for node in Graph(tape)]
[('mul', ('x[1, 0]', 2.0)), ('add', (0, 'x[1, 0]'))]
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np

from jitgrad.tape import Tape
from jitgrad.traced import CONSTANT, LOW, NOTHING, SHIFT

SHOWN = 20  # lines of a graph's text, at its start and again at its end


class GraphNode(NamedTuple):
    """One instruction.

    Parameters
    ----------
    number : int
        Its place on the tape.
    op : str
        A row of the ops table, or "sum", "amax", "amin", "gather", "alloc" and "put" on arrays.
    operands : tuple of int, str or float
        The numbers of earlier nodes, elements of inputs by name, and constants.
    shape : tuple of int
        The extents of the loop nest it stands for; ``()`` for a scalar op.
    where : str
        ``file:line`` of the user's code.
    """

    number: int
    op: str
    operands: tuple[int | str | float, ...]
    shape: tuple[int, ...]
    where: str

    def __str__(self) -> str:
        shown = (f"%{x}" if isinstance(x, int) else str(x) for x in self.operands)
        shape = "".join(f"[{', '.join(map(str, self.shape))}]" if self.shape else "")
        return f"%{self.number} = {self.op}{shape}({', '.join(shown)})  # {self.where}"


class Graph(Sequence[GraphNode]):
    """The DAG of a tape: a sequence of nodes, each made when it is looked at.

    Attributes
    ----------
    inputs : tuple of (str, tuple of int)
        Name and shape of each input; the captured scalar Values are one, called "parameters".
    """

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        names = [(given.name, given.shape) for given in tape.inputs[1:]]
        own = [("parameters", (len(tape.captured),))] if tape.captured else []
        self.inputs: tuple[tuple[str, tuple[int, ...]], ...] = (*own, *names)
        ages = [value._serial for value in tape.captured]
        self._rank = {number: rank for rank, number in enumerate(np.argsort(ages).tolist())}

    @functools.cached_property
    def nodes(self) -> tuple[GraphNode, ...]:
        """All nodes, in the order of the tape."""
        return tuple(self)

    def __len__(self) -> int:
        return len(self._tape)

    @overload
    def __getitem__(self, number: int) -> GraphNode: ...
    @overload
    def __getitem__(self, number: slice) -> tuple[GraphNode, ...]: ...
    def __getitem__(self, number: int | slice) -> GraphNode | tuple[GraphNode, ...]:
        if isinstance(number, slice):
            return tuple(self._node(n) for n in range(len(self))[number])
        return self._node(range(len(self))[number])

    def __iter__(self) -> Iterator[GraphNode]:
        return map(self._node, range(len(self)))

    def __str__(self) -> str:
        lines = [f"{len(self)} nodes over {', '.join(map(_described, self.inputs)) or 'no inputs'}"]
        left_out = len(self) - 2 * SHOWN
        lines += map(str, self[:SHOWN] if left_out > 0 else self)
        if left_out > 0:
            lines += [f"... {left_out} more ...", *map(str, self[-SHOWN:])]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Graph of {len(self)} nodes>"

    def _node(self, number: int) -> GraphNode:
        tape = self._tape
        symbol = tape.table[tape.symbols[number]]
        file, line, _ = tape.place(tape.sites[number])
        codes = [column[number] for column in tape.columns]
        operands = tuple(self._operand(code, symbol.shape) for code in codes if code != NOTHING)
        return GraphNode(number, symbol.op, operands, symbol.shape, f"{file}:{line}")

    def _operand(self, code: int, over: tuple[int, ...]) -> int | str | float:
        if code <= CONSTANT:
            return float(self._tape.constants[CONSTANT - code])
        number, offset = code >> SHIFT, code & LOW
        if number >= 0:
            return number
        if number == -1:
            return f"parameters[{self._rank[offset]}]"
        given = self._tape.inputs[~number]
        if over or not given.shape:
            return given.name + (f"[{offset}:]" if offset else "")
        place = ", ".join(map(str, np.unravel_index(offset, given.shape)))
        return f"{given.name}[{place}]"


def _described(given: tuple[str, tuple[int, ...]]) -> str:
    name, shape = given
    return f"{name}[{', '.join(map(str, shape))}]" if shape else name

"""The derivative of a routine as nodes of a Program.

A rule of `matrix_rules` is traced for the shapes of a call and lowered like a loss. Its inputs then
become the arrays of the call, its temporaries get the loops around the call as dimensions of their
own, and its result is what an operand receives. As the nodes are those of any Program, the adjoint
of the adjoint goes through them again.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jitgrad.graph import newest_serial
from jitgrad.lower import lower
from jitgrad.program import (
    Affine,
    Block,
    Buffer,
    Call,
    Loop,
    Node,
    Program,
    Ref,
    map_refs,
    substitute,
)
from jitgrad.routines import PULLS
from jitgrad.simplify import prepare
from jitgrad.tape import Recording, Tape
from jitgrad.tape_columns import columns, rolled

Shape = tuple[int, ...]
RESULT = "aux0"  # what `lower` calls the first output


class Spliced(NamedTuple):
    """What an operand of a call receives.

    Parameters
    ----------
    buffers : dict of str to Buffer
        New ones.
    tables : dict of str to ndarray
        New ones.
    body : tuple of nodes
        What computes it.
    result : str
        The buffer that holds it, behind dimensions for the loops around.
    """

    buffers: dict[str, Buffer]
    tables: dict[str, np.ndarray[Any, Any]]
    body: Block
    result: str


@functools.lru_cache(maxsize=256)
def rule(name: str, argument: int, shapes: tuple[Shape, ...]) -> Program:
    """Trace and lower what an operand of a routine receives.

    Parameters
    ----------
    name : str
        The routine.
    argument : int
        Which operand.
    shapes : tuple of tuple of int
        Those of the cotangent, of the result and of the operands: the inputs ``in1``, ``in2``, ...
    """
    tape = Tape(newest_serial())
    given = [tape.add_input(f"x{number}", shape) for number, shape in enumerate(shapes)]
    with Recording(tape):
        received = tape.lift(PULLS[name](argument, *given))
        nothing = tape.lift(0.0)
    found = columns(tape)
    return prepare(lower(tape, rolled(found), found, (nothing, received)))


def splice(
    node: Call,
    argument: int,
    arrays: tuple[Ref, ...],
    buffers: Mapping[str, Buffer],
    around: Sequence[tuple[str, int]],
    prefix: str,
) -> Spliced:
    """Put a rule where a call is mirrored.

    Parameters
    ----------
    node : Call
    argument : int
        The operand.
    arrays : tuple of Ref
        The cotangent, the result and the operands of the call, in terms of the mirrored loops.
    buffers : mapping of str to Buffer
        Those of the Program.
    around : sequence of (str, int)
        The mirrored loops around, with their extents.
    prefix : str
        What no name of the Program starts with.
    """
    extents = dict(node.loops)
    outer = [node.outer(ref) for ref in arrays]
    cores = (ref.index[len(at) :] for ref, at in zip(arrays, outer, strict=True))
    shapes = tuple(tuple(extents[_only(p)] for p in core) for core in cores)
    made = rule(node.routine, argument, shapes)
    placing = _Placing(made, prefix, around)
    for number, (ref, at) in enumerate(zip(arrays, outer, strict=True), start=1):
        placing.places[f"in{number}"] = _Placed(ref.buffer, at, buffers[ref.buffer])
    placing.declare()
    tables = {f"{prefix}{name}": table for name, table in made.tables.items()}
    body = tuple(map(placing.node, made.body))
    return Spliced(placing.declared, tables, body, placing.places[RESULT].name)


class _Placed(NamedTuple):
    """What stands for a buffer of a rule: a buffer of the Program, at some outer positions."""

    name: str
    outer: tuple[Affine, ...]
    buffer: Buffer


class _Placing:
    """Gives the buffers, loops and calls of a rule their names and places in a Program."""

    def __init__(self, made: Program, prefix: str, around: Sequence[tuple[str, int]]) -> None:
        self.made, self.prefix = made, prefix
        self.scope = tuple(Affine.index(name) for name, _ in around)
        self.room = tuple(extent for _, extent in around)
        self.places: dict[str, _Placed] = {}
        self.declared: dict[str, Buffer] = {}

    def declare(self) -> None:
        """Declare what the call does not bring: temporaries, tables, and views of any of them."""
        owners = [item for item in self.made.buffers.items() if item[1].views is None]
        for name, buffer in owners:
            if buffer.kind == "table":
                self._add(name, buffer, ())
            elif buffer.kind != "input":
                kept = buffer._replace(shape=(*self.room, *buffer.shape), kind="temporary")
                self._add(name, kept, self.scope)
        for name, buffer in self.made.buffers.items():
            if buffer.views is not None:
                whole = math.prod(self.made.buffers[buffer.views].shape)
                assert (buffer.offset, math.prod(buffer.shape)) == (0, whole), "a part is viewed"
                base = self.places[buffer.views]
                lead = base.buffer.shape[: len(base.outer)]
                kept = base.buffer._replace(shape=(*lead, *buffer.shape), views=base.name, offset=0)
                self._add(name, kept, base.outer)

    def _add(self, name: str, buffer: Buffer, outer: tuple[Affine, ...]) -> None:
        fresh = f"{self.prefix}{name}"
        self.declared[fresh] = buffer._replace(label="")
        self.places[name] = _Placed(fresh, outer, buffer)

    def node(self, node: Node) -> Node:
        """Return a node of the rule as one of the Program."""
        return map_refs(self._renamed(node), self._moved)

    def _moved(self, ref: Ref) -> Ref:
        placed = self.places[ref.buffer]
        assert not ref.gathers(), "a rule gathers"
        return Ref(placed.name, (*placed.outer, *ref.index))

    def _renamed(self, node: Node) -> Node:
        """Give loops, and the indices of calls, names of their own."""
        if isinstance(node, Loop):
            name = self.prefix + node.index
            body = tuple(map(self._renamed, node.body))
            moved = tuple(substitute(child, {node.index: Affine.index(name)}) for child in body)
            return node._replace(index=name, body=moved)
        if isinstance(node, Call):
            own = {name: Affine.index(self.prefix + name) for name, _ in node.loops}
            renamed = substitute(node, own)
            assert isinstance(renamed, Call)
            loops = tuple((self.prefix + name, extent) for name, extent in node.loops)
            return renamed._replace(loops=loops)
        return node


def _only(position: Affine) -> str:
    """Return the index that a position is."""
    (index,) = position.indices()
    return index

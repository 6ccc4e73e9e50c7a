"""Where each value is made: definitions, and what an element is in terms of others.

All of it rests on one invariant of Programs before `contract`: a read sees the final value of an
element, so a definition may be used wherever the element is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from jitgrad.depend import ranges_of
from jitgrad.elements import fits, rounded
from jitgrad.ops import OPS
from jitgrad.program import (
    Accumulate,
    Affine,
    Assign,
    Block,
    Call,
    Loop,
    Node,
    Operand,
    Product,
    Program,
    Ref,
    Statement,
    storage,
    substitute,
)
from jitgrad.sizes import counted


class Definition(NamedTuple):
    """The only statement that writes a buffer, and the loops around it."""

    node: Assign
    loops: tuple[Loop, ...]


Definitions: TypeAlias = dict[str, Definition]


def written(block: Block, loops: tuple[Loop, ...] = ()) -> list[tuple[Statement, tuple[Loop, ...]]]:
    """List the statements of a block with the loops around them."""
    found: list[tuple[Statement, tuple[Loop, ...]]] = []
    for node in block:
        if isinstance(node, Loop):
            found.extend(written(node.body, (*loops, node)))
        else:
            found.append((node, loops))
    return found


def executions(loops: tuple[Loop, ...]) -> int:
    """Return how often what stands in these loops is done, at most, as extents count."""
    count = 1
    for (_, high), loop in zip(ranges_of(loops).values(), loops, strict=True):
        count *= counted(high + 1) if loop.extent != Affine(0) else 0
    return count


def definitions(program: Program) -> Definitions:
    """Return the temporaries that exactly one Assign writes, each element once."""
    counts: dict[str, int] = {}
    found: Definitions = {}
    for node, loops in written(program.body):
        root = storage(program.buffers, node.target.buffer)[0]
        counts[root] = counts.get(root, 0) + 1
        if (
            isinstance(node, Assign)
            and root == node.target.buffer
            and invertible(node.target, loops)
        ):
            found[root] = Definition(node, loops)
    viewed = {buffer.views for buffer in program.buffers.values()}
    return {
        name: definition
        for name, definition in found.items()
        if counts[name] == 1 and program.buffers[name].kind == "temporary" and name not in viewed
    }


def invertible(target: Ref, loops: tuple[Loop, ...]) -> bool:
    """Whether each dimension is one loop's index plus a constant, or a constant."""
    indices = [position.terms[0][0] for position in target.index if position.terms]
    plain = all(len(p.terms) <= 1 and all(c == 1 for _, c in p.terms) for p in target.index)
    return plain and sorted(map(str, indices)) == sorted(loop.index for loop in loops)


def placed(definition: Definition, ref: Ref) -> dict[str, Affine] | None:
    """Solve the target's position for the loop indices, given where it is read."""
    values: dict[str, Affine] = {}
    for position, wanted in zip(definition.node.target.index, ref.index, strict=True):
        if position.terms:
            values[position.terms[0][0]] = wanted.plus(-position.constant)
        elif position != wanted:
            return None
    return values


def instance(definition: Definition, ref: Ref) -> tuple[str, tuple[Operand, ...]] | None:
    """Return the op and the operands that made the element ``ref``."""
    values = placed(definition, ref)
    if values is None:
        return None
    operands = tuple(
        x.substitute(values) if isinstance(x, Ref) else x for x in definition.node.operands
    )
    return definition.node.op, operands


def copied(program: Program, copy: Ref, source: Operand) -> Operand:
    """Return what a copy of something holds; the copy itself where that was rounded."""
    dtype = program.buffers[copy.buffer].dtype
    if not isinstance(source, Ref):
        return rounded(source, dtype)
    return source if fits(program.buffers[source.buffer].dtype, dtype) else copy


Made: TypeAlias = Callable[[Operand], "tuple[str, tuple[Operand, ...]] | None"]


def makers(program: Program, known: Definitions, dtype: str) -> Made:
    """Return a function that tells what made an operand, in ``dtype`` or as a truth value."""

    def made(operand: Operand) -> tuple[str, tuple[Operand, ...]] | None:
        if not isinstance(operand, Ref) or operand.buffer not in known:
            return None
        definition = known[operand.buffer]
        same = program.buffers[operand.buffer].dtype == dtype
        return instance(definition, operand) if same or OPS[definition.node.op].boolean else None

    return made


def map_operands(program: Program, change: Callable[[Operand], Operand]) -> Program:
    """Change each operand that is read as a number."""

    def visit(node: Node) -> Node:
        if isinstance(node, Loop):
            return node._replace(body=tuple(map(visit, node.body)))
        if isinstance(node, Accumulate):
            return node._replace(value=change(node.value))
        if isinstance(node, Product | Call):
            return node  # it reads whole arrays, not numbers
        return node._replace(operands=tuple(map(change, node.operands)))

    return program._replace(body=tuple(map(visit, program.body)))


def renamed(node: Node, suffix: str) -> Node:
    """Give the loops of a copied nest names of their own."""
    if not isinstance(node, Loop):
        return node
    name = node.index + suffix
    body = tuple(renamed(child, suffix) for child in node.body)
    inner = tuple(substitute(child, {node.index: Affine.index(name)}) for child in body)
    return node._replace(index=name, body=inner)

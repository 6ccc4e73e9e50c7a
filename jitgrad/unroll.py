"""Program to Program: write out short loops, so that short arrays become locals.

An axis of a temporary that is indexed only by constants and by loops of a few iterations is split:
each position becomes a buffer of its own, and those loops are written out. Three coordinates of a
difference vector end up in three registers and not in an array.
"""

from __future__ import annotations

from typing import NamedTuple

from jitgrad.depend import Ranges, Use, is_carried, ranges_of, uses
from jitgrad.program import (
    Affine,
    Block,
    Buffer,
    Loop,
    Node,
    Program,
    Ref,
    map_refs,
    substitute,
    walk,
)
from jitgrad.sizes import counted

SHORT = 4  # iterations
LARGEST = 64  # statements that one loop may become


class _Axis(NamedTuple):
    """An axis of a temporary that can be split, with the loops to write out."""

    name: str
    axis: int
    loops: frozenset[str]


def unroll(program: Program) -> Program:
    """Write out the short loops over short axes of temporaries and split those axes."""
    while chosen := {axis.name: axis for axis in _axes(program)}:
        loops = frozenset().union(*(axis.loops for axis in chosen.values()))
        body = written_out(program.body, loops, program.buffers, {})
        program = program._replace(body=body)
        program = _split(program, {name: found.axis for name, found in chosen.items()})
    return program


def _axes(program: Program) -> list[_Axis]:
    by_name: dict[str, list[Use]] = {}
    for node in program.body:
        for use in uses(node):
            by_name.setdefault(use.ref.buffer, []).append(use)
    if isinstance(program.result, Ref):
        by_name.setdefault(program.result.buffer, []).append(Use(program.result, "read", ()))
    viewed = {buffer.views for buffer in program.buffers.values()}
    sizes = {
        node.index: len(list(walk(node.body)))
        for node in walk(program.body)
        if isinstance(node, Loop)
    }
    found = []
    for name, everywhere in by_name.items():
        buffer = program.buffers[name]
        if buffer.kind != "temporary" or buffer.views is not None or name in viewed:
            continue
        for axis, extent in enumerate(buffer.shape):
            if counted(extent) <= SHORT + 1:
                loops = _short_loops(everywhere, axis, sizes)
                if loops is not None:
                    found.append(_Axis(name, axis, loops))
    return found


def _short_loops(everywhere: list[Use], axis: int, sizes: dict[str, int]) -> frozenset[str] | None:
    """Return the loops that index the axis, if all of them are short."""
    names = set()
    for use in everywhere:
        position = use.ref.index[axis]
        if not position.terms:
            continue
        if len(position.terms) > 1 or position.gathers():
            return None
        loop = next(loop for loop in use.loops if loop.index == position.terms[0][0])
        if loop.index not in sizes:  # a routine takes the whole axis
            return None
        count = counted(loop.extent.constant)
        if loop.extent.terms or count > SHORT or count * sizes[loop.index] > LARGEST:
            return None
        if any(isinstance(node, Loop) for node in loop.body):
            return None
        names.add(loop.index)
    return frozenset(names)


def written_out(
    block: Block, loops: frozenset[str], buffers: dict[str, Buffer], outer: Ranges
) -> Block:
    """Write loops out, the iterations of a mirrored loop in order where that is the same."""
    nodes: list[Node] = []
    for node in block:
        if not isinstance(node, Loop):
            nodes.append(node)
            continue
        body = written_out(node.body, loops, buffers, ranges_of((node,), outer))
        if node.index not in loops:
            nodes.append(node._replace(body=body))
            continue
        steps = range(node.extent.constant)
        backward = node.backward and is_carried(node, buffers, outer, strict=True)
        for step in reversed(steps) if backward else steps:
            at = {node.index: Affine(step)}
            nodes.extend(
                _own_loops(substitute(child, at), f"_{node.index}{step}") for child in body
            )
    return tuple(nodes)


def _own_loops(node: Node, suffix: str) -> Node:
    """Give the loops of a copy names of their own."""
    if not isinstance(node, Loop):
        return node
    name = node.index + suffix
    body = tuple(_own_loops(child, suffix) for child in node.body)
    renamed = tuple(substitute(child, {node.index: Affine.index(name)}) for child in body)
    return node._replace(index=name, body=renamed)


def _split(program: Program, chosen: dict[str, int]) -> Program:
    """Give each position along one axis of some buffers a buffer of its own."""
    names: dict[tuple[str, int], str] = {}
    taken = set(program.buffers)
    made: dict[str, dict[str, Buffer]] = {name: {} for name in chosen}

    def declared(name: str, axis: int, position: int) -> str:
        old, part = program.buffers[name], f"{name}_{position}"
        while part in taken:
            part += "_"
        taken.add(part)
        shape = (*old.shape[:axis], *old.shape[axis + 1 :])
        label = f"{old.label}_{position}" if old.label else ""
        made[name][part] = old._replace(shape=shape, label=label)
        return part

    def change(ref: Ref) -> Ref:
        axis = chosen.get(ref.buffer)
        if axis is None:
            return ref
        at = ref.buffer, ref.index[axis].constant
        if at not in names:
            names[at] = declared(ref.buffer, axis, at[1])
        return Ref(names[at], (*ref.index[:axis], *ref.index[axis + 1 :]))

    body = tuple(map_refs(node, change) for node in program.body)
    result = change(program.result) if isinstance(program.result, Ref) else program.result
    buffers = {key: buffer for key, buffer in program.buffers.items() if key not in chosen}
    for parts in made.values():
        buffers |= parts
    return program._replace(buffers=buffers, body=body, result=result)

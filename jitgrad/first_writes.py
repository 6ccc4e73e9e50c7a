"""Program to Program: nothing is zeroed that is first written.

The adjoint fills each cotangent with zero and adds to it. Where every element that is read gets
exactly one addition, the addition becomes an assignment and the fill goes.
"""

from __future__ import annotations

from jitgrad.define import invertible, written
from jitgrad.program import (
    Accumulate,
    Affine,
    Assign,
    Block,
    Loop,
    Node,
    Program,
    Ref,
    Statement,
    reads,
    storage,
)


def first_writes(program: Program) -> Program:
    """Turn "fill with zero, then add once to each element" into one assignment."""
    statements = written(program.body)
    by_buffer: dict[str, list[tuple[Statement, tuple[Loop, ...]]]] = {}
    for node, loops in statements:
        by_buffer.setdefault(storage(program.buffers, node.target.buffer)[0], []).append(
            (node, loops)
        )
    regions = _read_regions(program, statements)
    single = set()
    for name, found in by_buffer.items():
        if len(found) != 2 or not _is_fill(found[0][0]):
            continue
        added, loops = found[1]
        if not isinstance(added, Accumulate) or added.op != "add" or added.target.buffer != name:
            continue
        if _covers(program, name, added, loops, regions.get(name, [])):
            single.add(name)

    def visit(block: Block) -> Block:
        nodes: list[Node] = []
        for node in block:
            if isinstance(node, Loop):
                body = visit(node.body)
                nodes.extend([node._replace(body=body)] if body else [])
            elif node.target.buffer not in single:
                nodes.append(node)
            elif isinstance(node, Accumulate):
                nodes.append(Assign(node.target, "copy", (node.value,), node.site))
        return tuple(nodes)

    return program._replace(body=visit(program.body)) if single else program


def _is_fill(node: Statement) -> bool:
    return isinstance(node, Assign) and node.op == "copy" and node.operands == (0.0,)


def _read_regions(
    program: Program, statements: list[tuple[Statement, tuple[Loop, ...]]]
) -> dict[str, list[tuple[Ref, tuple[Loop, ...]]]]:
    found: dict[str, list[tuple[Ref, tuple[Loop, ...]]]] = {}
    for node, loops in statements:
        for ref in reads(node):
            found.setdefault(storage(program.buffers, ref.buffer)[0], []).append((ref, loops))
    if isinstance(program.result, Ref):
        found.setdefault(storage(program.buffers, program.result.buffer)[0], []).append(
            (program.result, ())
        )
    return found


def _covers(
    program: Program,
    name: str,
    node: Accumulate,
    loops: tuple[Loop, ...],
    readers: list[tuple[Ref, tuple[Loop, ...]]],
) -> bool:
    """Whether each element that is read is added to exactly once."""
    if not invertible(node.target, loops):
        return False
    shape = program.buffers[name].shape
    region = _region(node.target, loops)
    if region == tuple(Affine(extent) for extent in shape):
        return True
    inside = all(ref.buffer == name and _region(ref, around) == region for ref, around in readers)
    return inside and region is not None and program.buffers[name].kind != "output"


def _region(ref: Ref, loops: tuple[Loop, ...]) -> tuple[Affine, ...] | None:
    """Return the extents over which a reference ranges, named by dimension."""
    numbered: dict[str, Affine] = {}
    extents = {loop.index: loop.extent for loop in loops}
    region = []
    for axis, position in enumerate(ref.index):
        if not position.terms:
            if position.constant:
                return None
            region.append(Affine(1))
            continue
        index = position.terms[0][0]
        if position != Affine.index(index) or index in numbered or index not in extents:
            return None
        region.append(extents[index].substitute(numbered))
        numbered[index] = Affine.index(f"#{axis}")
    return tuple(region)

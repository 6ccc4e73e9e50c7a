"""Program to Program: compute once, before the loop, what does not change in it.

A value made from constants, inputs and values from outside the loop needs no element for each
iteration. LLVM moves such arithmetic too, but only here does it lose its array.
"""

from __future__ import annotations

from jitgrad.define import Definition, definitions
from jitgrad.program import Block, Buffer, Loop, Node, Program, Ref, bounds, map_refs


def lift_invariants(program: Program) -> Program:
    """Move statements out of the loops that they do not depend on."""
    while True:
        known = definitions(program)
        found = next((name for name in known if _is_invariant(program, known, name)), None)
        if found is None:
            return program
        program = _lifted(program, known[found])


def _is_invariant(program: Program, known: dict[str, Definition], name: str) -> bool:
    node, loops = known[name]
    if not loops or node.op == "copy":
        return False
    index = loops[-1].index
    outer: dict[str, tuple[int, int]] = {}
    for loop in loops[:-1]:
        outer[loop.index] = (0, max(bounds(loop.extent, outer)[1] - 1, 0))
    for operand in node.operands:
        if not isinstance(operand, Ref):
            continue
        if index in operand.indices() or not _is_outside(program, known, operand, loops):
            return False
        for position, extent in zip(
            operand.index, program.buffers[operand.buffer].shape, strict=True
        ):
            low, high = bounds(position, outer)
            if low < 0 or high >= extent:
                return False
    return True


def _is_outside(
    program: Program, known: dict[str, Definition], ref: Ref, loops: tuple[Loop, ...]
) -> bool:
    """Whether an element is there before the innermost loop starts."""
    buffer = program.buffers[ref.buffer]
    if buffer.kind in ("input", "table"):
        return True
    made = known.get(ref.buffer)
    return made is not None and loops[-1].index not in {loop.index for loop in made.loops}


def _lifted(program: Program, definition: Definition) -> Program:
    node, loops = definition
    index, name = loops[-1].index, node.target.buffer
    axis = next(d for d, position in enumerate(node.target.index) if index in position.indices())
    old = program.buffers[name]
    buffers: dict[str, Buffer] = dict(program.buffers)
    buffers[name] = old._replace(shape=(*old.shape[:axis], *old.shape[axis + 1 :]))

    def change(ref: Ref) -> Ref:
        if ref.buffer != name:
            return ref
        return Ref(name, (*ref.index[:axis], *ref.index[axis + 1 :]))

    def visit(block: Block) -> Block:
        nodes: list[Node] = []
        for child in block:
            if isinstance(child, Loop):
                body = visit(tuple(inner for inner in child.body if inner is not node))
                if child.index == index:
                    nodes.append(map_refs(node, change))
                nodes.extend([child._replace(body=body)] if body else [])
            else:
                nodes.append(map_refs(child, change))
        return tuple(nodes)

    result = change(program.result) if isinstance(program.result, Ref) else program.result
    return program._replace(buffers=buffers, body=visit(program.body), result=result)

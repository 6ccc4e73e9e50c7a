"""Rows in strips: how a loop over rows is cut into loops over the rows of one strip.

Strip-mining and loop distribution: Allen and Kennedy, *Optimizing Compilers for Modern
Architectures*, 2001, sections 5.7 and 6.2.5. What goes from one loop of a strip to another is an
array of a strip's length.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import cast

from jitgrad.depend import uses
from jitgrad.program import (
    Affine,
    Block,
    Buffer,
    Loop,
    Node,
    Program,
    Ref,
    map_refs,
    storage,
    substitute,
    walk,
)


def stripped(
    program: Program, loop: Loop, body: Block, axes: Mapping[str, int], width: int
) -> Program:
    """Replace a loop over rows by one over strips.

    Parameters
    ----------
    program : Program
    loop : Loop
        Whose iterations need not keep their order where `body` changes it.
    body : tuple of nodes
        What the loop does for one strip: the loop's statements, all in loops that `rows_of` made.
    axes : mapping of str to int
        What `across` finds for the body.
    width : int
        Rows of a strip.
    """
    extent, index = loop.extent.constant, loop.index
    limit = Affine(extent, ((f"{index}_strip", -width),))
    buffers: dict[str, Buffer] = dict(program.buffers)
    for name, axis in axes.items():
        shape = buffers[name].shape
        buffers[name] = buffers[name]._replace(shape=(*shape[:axis], width, *shape[axis + 1 :]))

    def in_strip(rows: Loop) -> Loop:
        own = Affine.index(rows.index)

        def change(ref: Ref) -> Ref:
            axis = axes.get(ref.buffer)
            if axis is None:
                return ref
            return Ref(ref.buffer, (*ref.index[:axis], own, *ref.index[axis + 1 :]))

        place = Affine.of(0, {f"{index}_strip": width, rows.index: 1})
        local = (map_refs(node, change) for node in rows.body)
        moved = tuple(substitute(node, {index: place}) for node in local)
        return rows._replace(extent=Affine(width), body=moved, limit=limit)

    def visit(node: Node) -> Node:
        if not isinstance(node, Loop):
            return node
        if _is_rows(loop, node):
            return in_strip(node)
        return node._replace(body=tuple(map(visit, node.body)))

    count = Affine(-(-extent // width))
    strips = Loop(f"{index}_strip", count, tuple(map(visit, body)), loop.backward)

    def replaced(node: Node) -> Node:
        if node is loop:
            return strips
        return (
            node._replace(body=tuple(map(replaced, node.body))) if isinstance(node, Loop) else node
        )

    return program._replace(buffers=buffers, body=tuple(map(replaced, program.body)))


def rows_of(loop: Loop, number: int, nodes: Block) -> Loop:
    """Make a loop over the rows of a strip; its statements are in terms of `loop`'s own index."""
    return Loop(f"{loop.index}_rows{number}", loop.extent, nodes, loop.backward)


def _is_rows(loop: Loop, node: Loop) -> bool:
    head, _, number = node.index.rpartition("_rows")
    return head == loop.index and number.isdigit()


def across(program: Program, loop: Loop, body: Block) -> dict[str, int]:
    """Return the temporaries that go from one loop of a strip to another, with the rows' axis."""
    viewed = {buffer.views for buffer in program.buffers.values()}
    kept = outside(program, loop)
    places: dict[str, list[tuple[str, Ref]]] = {}
    for node in body:
        for use in uses(node):
            rows = next(around.index for around in use.loops if _is_rows(loop, around))
            places.setdefault(use.ref.buffer, []).append((rows, use.ref))
    found = {}
    for name, refs in places.items():
        buffer = program.buffers[name]
        if buffer.kind != "temporary" or buffer.views is not None or name in viewed | kept:
            continue
        axes = [
            axis
            for axis in range(len(buffer.shape))
            if all(ref.index[axis] == Affine.index(loop.index) for _, ref in refs)
        ]
        if axes and len({rows for rows, _ in refs}) > 1:
            found[name] = axes[0]
    return found


def outside(program: Program, loop: Loop) -> set[str]:
    """Name the storage that is used outside a loop."""

    def visit(block: Block) -> Block:
        """Return a block without the loop."""
        kept = (node for node in block if node is not loop)
        return tuple(
            node._replace(body=visit(node.body)) if isinstance(node, Loop) else node
            for node in kept
        )

    found = {use.ref.buffer for node in visit(program.body) for use in uses(node)}
    if isinstance(program.result, Ref):
        found.add(program.result.buffer)
    return {storage(program.buffers, name)[0] for name in found}


# --- for the printer -----------------------------------------------------------------------------


def by_first_rows(block: Block) -> Block:
    """Let loops over strips count rows: ``for i in range(0, n, 64)`` for positions like i + j.

    Only the printer may: everything else takes a loop's step for 1.
    """
    return tuple(_by_first_row(node) if isinstance(node, Loop) else node for node in block)


def _by_first_row(loop: Loop) -> Loop:
    index = loop.index
    body = by_first_rows(loop.body)
    limits = {
        node.limit
        for node in walk(body)
        if isinstance(node, Loop) and node.limit is not None and node.limit.coefficient(index)
    }
    if len(limits) != 1 or loop.backward:
        return loop._replace(body=body)
    (limit,) = limits
    width = -limit.coefficient(index)
    counted = Affine(0, ((index, cast(int, Fraction(1, width))),))
    moved = tuple(substitute(node, {index: counted}) for node in body)
    back = tuple(substitute(node, {index: Affine(0, ((index, width),))}) for node in moved)
    if back != body:  # something counts strips
        return loop._replace(body=body)
    return loop._replace(extent=Affine(limit.constant), body=moved, step=width)

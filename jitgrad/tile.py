"""Program to Program: loops over rows that lie in the fast index go innermost, in strips.

Where the arrays of a loop over rows lie with the rows next to each other, and each row has loops of
its own over a few coordinates, the loop should be the innermost one: in SIMD, along memory. All at
once each of the inner loops would go over whole arrays; so it is done for some hundred rows at a
time, whose coordinates stay in the first cache from one inner loop to the next. (Tiling: Allen and
Kennedy, *Optimizing Compilers for Modern Architectures*, 2001, sections 9.3 and 9.4.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from jitgrad.depend import Ranges, Use, is_carried, ranges_of, uses
from jitgrad.interchange import SHORT_SUM, step_cost
from jitgrad.program import Accumulate, Block, Loop, Node, Program, walk
from jitgrad.sizes import counted
from jitgrad.strips import across, outside, rows_of, stripped

FEWEST = 64  # rows
WIDEST, NARROWEST = 256, 64  # rows of a strip
CACHED = 5000  # numbers that stay in the first cache


def tile(program: Program) -> Program:
    """Turn loops over rows inside out where the rows lie next to each other."""
    for loop, outer in _candidates(program.body, {}):
        body = _Division(loop).block(loop.body)
        axes = across(program, loop, body)
        shared = outside(program, loop) | axes.keys()
        given = {name for name, buffer in program.buffers.items() if buffer.kind != "temporary"}
        arrays = shared | given
        kept = [use for node in loop.body for use in uses(node) if use.ref.buffer in arrays]
        if _lies_along(loop, kept) and not is_carried(loop, program.buffers, outer):
            return tile(stripped(program, loop, body, axes, _width(loop, kept)))
    return program


def _candidates(block: Block, outer: Ranges) -> Iterator[tuple[Loop, Ranges]]:
    """Yield the loops over many rows that have loops in them, with what is around them."""
    for node in block:
        if isinstance(node, Loop):
            inner = [child for child in walk(node.body) if isinstance(child, Loop)]
            plain = not any(loop.extent.terms or loop.limit is not None for loop in (node, *inner))
            if inner and plain and counted(node.extent.constant) >= FEWEST:
                yield node, outer
            yield from _candidates(node.body, ranges_of((node,), outer))


def _lies_along(loop: Loop, kept: list[Use]) -> bool:
    """Whether more of the arrays in inner loops lie along the rows than along those loops."""
    found = [use for use in kept if use.loops and use.ref.index]
    along = sum(step_cost(use.ref, loop.index) for use in found)
    return along > sum(step_cost(use.ref, use.loops[-1].index) for use in found)


class _Division:
    """Divides what a loop does for a row into loops over rows, as far inside as they go."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.count = 0

    def block(self, block: Block) -> Block:
        nodes: list[Node] = []
        flat: list[Node] = []
        for node in block:
            if isinstance(node, Loop) and not _is_short_sum(node):
                nodes.extend(self._rows(flat))
                nodes.append(node._replace(body=self.block(node.body)))
                flat = []
            else:
                flat.append(node)
        return (*nodes, *self._rows(flat))

    def _rows(self, nodes: list[Node]) -> Block:
        if not nodes:
            return ()
        self.count += 1
        return (rows_of(self.loop, self.count, tuple(nodes)),)


def _is_short_sum(loop: Loop) -> bool:
    """Whether a loop adds a few terms up that one row has."""
    added = [node for node in loop.body if isinstance(node, Accumulate)]
    flat = not any(isinstance(node, Loop) for node in loop.body)
    few = counted(loop.extent.constant) <= SHORT_SUM
    return few and flat and bool(added) and not any(loop.index in n.target.indices() for n in added)


def _width(loop: Loop, kept: list[Use]) -> int:
    """Return how many rows of the arrays stay in the first cache."""
    of_a_row: dict[str, int] = {}
    for use in kept:
        if loop.index in use.ref.indices():
            inner = (counted(x.extent.constant) for x in use.loops if x.index in use.ref.indices())
            known = of_a_row.get(use.ref.buffer, 0)
            of_a_row[use.ref.buffer] = max(known, math.prod(inner))
    width = WIDEST
    while width > NARROWEST and width * sum(of_a_row.values()) > CACHED:
        width //= 2
    return width

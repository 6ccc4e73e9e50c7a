"""Program to Program: loop order follows memory order, and what a loop goes over stays in cache.

In a perfect nest in which no iteration needs another one the loops may be in any order. The
innermost one becomes the one along which most arrays are contiguous; a matrix product in three
loops then runs along the rows of both matrices. Of the others the outermost becomes the one whose
single iteration touches least: a convolution written as a sum of 25 shifted images then goes over
the image once, 25 shifts for each row, and not 25 times. (Allen and Kennedy, *Optimizing Compilers
for Modern Architectures*, 2001, sections 5.2 and 9.3.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from jitgrad.define import renamed
from jitgrad.depend import Ranges, is_carried, ranges_of, uses
from jitgrad.program import (
    Accumulate,
    Assign,
    Block,
    Buffer,
    Call,
    Loop,
    Node,
    Product,
    Program,
    Ref,
    bounds,
)
from jitgrad.sizes import counted

SHORT_SUM = 16  # terms of a sum that LLVM writes out
FEW = 4  # statements that make one term
CACHED = 4096  # numbers that stay in the first cache, where the order of outer loops is all one


def interchange(program: Program) -> Program:
    """Reorder the loops of perfect nests."""
    inside = _private(program)
    return program._replace(body=_block(program.body, program.buffers, inside, {}))


def _private(program: Program) -> set[str]:
    """Return the temporaries that one outermost nest alone uses: most become locals."""
    seen: dict[str, set[int]] = {}
    for place, node in enumerate(program.body):
        for use in uses(node):
            seen.setdefault(use.ref.buffer, set()).add(place)
    found = {name for name, places in seen.items() if len(places) == 1}
    return {name for name in found if program.buffers[name].kind == "temporary"}


def _block(block: Block, buffers: dict[str, Buffer], inside: set[str], outer: Ranges) -> Block:
    nodes: list[Node] = []
    for node in block:
        if not isinstance(node, Loop):
            nodes.append(node)
            continue
        loops, fills, body = _perfect(node)
        flat = len(loops) > 1 and not any(
            isinstance(child, Loop | Product | Call) for child in body
        )
        order = _order(_Nest(loops, body, buffers, inside, outer)) if flat else loops
        if order != loops:
            nodes.extend([*fills, _nest(order, body)])
        else:
            inner = ranges_of((node,), outer)
            nodes.append(node._replace(body=_block(node.body, buffers, inside, inner)))
    return tuple(nodes)


def _perfect(loop: Loop) -> tuple[tuple[Loop, ...], list[Node], Block]:
    """Return the loops of a nest down to the first that holds more than a loop, and its body.

    Fills in front of an inner loop are taken out into nests of their own: nothing comes before an
    element's fill, so that it may come earlier.
    """
    loops = [loop]
    fills: list[Node] = []
    while True:
        *first, last = loop.body
        if not isinstance(last, Loop) or not all(map(_is_fill, first)):
            return tuple(loops), fills, loop.body
        for number, fill in enumerate(first):
            fills.append(renamed(_nest(loops, (fill,)), f"_fill{len(loops)}_{number}"))
        loop = last
        loops.append(loop)


def _is_fill(node: Node) -> bool:
    return isinstance(node, Assign) and node.op == "copy" and not isinstance(node.operands[0], Ref)


def _nest(loops: Sequence[Loop], body: Block) -> Node:
    for loop in reversed(loops):
        body = (loop._replace(body=body),)
    return body[0]


class _Nest(NamedTuple):
    """Loops around statements."""

    loops: tuple[Loop, ...]
    body: Block
    buffers: dict[str, Buffer]
    inside: set[str]
    outer: Ranges

    def is_free(self) -> bool:
        """Whether the loops are rectangular and no iteration needs another one."""
        around = self.outer
        for loop in self.loops:
            if loop.extent.terms or loop.limit is not None or not loop.extent.constant:
                return False
            if is_carried(loop, self.buffers, around):
                return False
            around = ranges_of((loop,), around)
        return True

    def refs(self) -> list[Ref]:
        """Return the elements of arrays that stay arrays, each once."""
        found = {use.ref for node in self.body for use in uses(node)}
        return [ref for ref in found if ref.index and ref.buffer not in self.inside]

    def contiguity(self, loop: Loop) -> int:
        """Count the elements that are next to each other, or the same, in successive iterations."""
        return sum(step_cost(ref, loop.index) for ref in self.refs())

    def footprint(self, moving: Sequence[Loop]) -> int:
        """Count the numbers that some of the loops touch while the others stand still."""
        ranges = {loop.index: (0, loop.extent.constant - 1) for loop in moving}
        still = dict.fromkeys(self.outer, (0, 0))
        still |= {loop.index: (0, 0) for loop in self.loops} | ranges
        total = 0
        for ref in self.refs():
            spans = (bounds(position, still) for position in ref.index)
            total += math.prod(min(counted(high - low + 1), 1 << 20) for low, high in spans)
        return total

    def with_sum_inside(self, order: tuple[Loop, ...]) -> tuple[Loop, ...]:
        """Move a loop over a few terms to the inside, where the sum of an element is a local.

        LLVM writes such a loop out and then finds SIMD in the one around it.
        """
        last = order[-1]
        if counted(last.extent.constant) <= SHORT_SUM:
            return order
        for loop in reversed(order[:-1]):
            few = counted(loop.extent.constant) <= SHORT_SUM
            if few and _adds_up(self.body, last.index, loop.index):
                return (*(other for other in order if other is not loop), loop)
        return order


def _adds_up(body: Block, moving: str, still: str) -> bool:
    """Whether statements do nothing but add to elements that one loop moves and one does not."""
    targets = [node.target.indices() for node in body if isinstance(node, Accumulate)]
    short = len(body) <= FEW and bool(targets)
    return short and all(moving in found and still not in found for found in targets)


def step_cost(ref: Ref, index: str) -> int:
    """1 for the same element or the next one, -2 for one further away."""
    if index not in ref.indices():
        return 1
    elsewhere = any(index in position.indices() for position in ref.index[:-1])
    return 1 if not elsewhere and abs(ref.index[-1].coefficient(index)) == 1 else -2


def _order(nest: _Nest) -> tuple[Loop, ...]:
    """Return the loops in the order in which they should stand."""
    if not nest.is_free():
        return nest.loops
    *rest, last = nest.loops
    best = max(nest.loops, key=lambda loop: (nest.contiguity(loop), counted(loop.extent.constant)))
    if nest.contiguity(best) > nest.contiguity(last):
        rest = [loop for loop in nest.loops if loop is not best]
        last = best
    order: list[Loop] = []
    while rest and nest.footprint([*rest, last]) > CACHED:
        first = min(rest, key=lambda loop: nest.footprint(_others(rest, loop, last)))
        order.append(first)
        rest = [loop for loop in rest if loop is not first]
    return nest.with_sum_inside((*order, *rest, last))


def _others(rest: Sequence[Loop], loop: Loop, last: Loop) -> list[Loop]:
    return [*(other for other in rest if other is not loop), last]

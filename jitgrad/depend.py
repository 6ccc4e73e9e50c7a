"""Which elements two statements may share: the test behind every reordering.

Positions are affine, so two references to one buffer meet only where some integer equation has a
solution. Each dimension is looked at on its own with intervals: where one dimension rules a
meeting out, there is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from jitgrad.program import (
    Accumulate,
    Affine,
    Buffer,
    Call,
    Loop,
    Node,
    Product,
    Ref,
    Statement,
    bounds,
    reads,
    storage,
)

Ranges = Mapping[str, tuple[int, int]]
_FAR = 1 << 40


class Use(NamedTuple):
    """One reference of a statement: what it touches, how, and inside which loops."""

    ref: Ref
    kind: str  # "read", "write" or "add"
    loops: tuple[Loop, ...]


def uses(node: Node, loops: tuple[Loop, ...] = ()) -> Iterator[Use]:
    """Yield the references of a node in order of execution."""
    if isinstance(node, Loop):
        for child in node.body:
            yield from uses(child, (*loops, node))
        return
    if isinstance(node, Product):
        (i, rows), (j, columns), (k, terms) = node.loops
        loops = (*loops, Loop(i, Affine(rows), ()), Loop(j, Affine(columns), ()))
        within = (*loops, Loop(k, Affine(terms), ()))
        yield from (Use(ref, "read", within) for ref in reads(node))
        yield Use(node.target, "write", loops)
        return
    if isinstance(node, Call):
        yield from (Use(ref, "read", (*loops, *node.around(ref))) for ref in reads(node))
        yield Use(node.target, "write", (*loops, *node.around(node.target)))
        return
    for ref in reads(node):
        yield Use(ref, "read", loops)
    yield Use(node.target, "add" if isinstance(node, Accumulate) else "write", loops)


def ranges_of(loops: tuple[Loop, ...], outer: Ranges | None = None) -> dict[str, tuple[int, int]]:
    """Return the interval of each loop's index."""
    found = dict(outer or {})
    for loop in loops:
        found[loop.index] = (0, max(bounds(loop.extent, found)[1] - 1, 0))
    return found


class Meeting(NamedTuple):
    """Two uses with the loops that both are in, and what those loops' indices may be."""

    buffers: Mapping[str, Buffer]
    outer: Ranges
    strict: bool = False  # whether the order of two additions matters

    def order_matters(self, a: Use, b: Use) -> bool:
        """Whether swapping the two may change a result: not for two reads or two additions."""
        return a.kind != b.kind or a.kind == "write" or (a.kind == "add" and self.strict)

    def distances(
        self, a: Use, b: Use, index_a: str, index_b: str, span: int
    ) -> tuple[int, int] | None:
        """Return between which values ``index_a - index_b`` lies where the two meet.

        ``index_a`` and ``index_b`` are the indices of two loops of one extent ``span``, the
        first loops of ``a.loops`` and of ``b.loops``. None when they never meet.
        """
        whole = (1 - span, span - 1)
        if storage(self.buffers, a.ref.buffer)[0] != storage(self.buffers, b.ref.buffer)[0]:
            return None
        over_a, over_b = ranges_of(a.loops, self.outer), ranges_of(b.loops, self.outer)
        if a.ref.buffer != b.ref.buffer:
            (first_a, last_a), (first_b, last_b) = (
                self._flat(a.ref, over_a),
                self._flat(b.ref, over_b),
            )
            return whole if first_a <= last_b and first_b <= last_a else None
        low, high = whole
        ends_a, ends_b = self._last(a.loops, over_a), self._last(b.loops, over_b)
        for p, q in zip(a.ref.index, b.ref.index, strict=True):
            if p.gathers() or q.gathers():
                continue
            rest = self._rest(p, q, index_a, index_b, ends_a, ends_b)
            found = self._axis(p, q, index_a, index_b, over_a, over_b, rest)
            if found is None:
                return None
            low, high = max(low, found[0]), min(high, found[1])
        return (low, high) if low <= high else None

    def _axis(
        self,
        p: Affine,
        q: Affine,
        index_a: str,
        index_b: str,
        over_a: Ranges,
        over_b: Ranges,
        rest: tuple[int, int],
    ) -> tuple[int, int] | None:
        """Solve one dimension: p at iteration a equals q at iteration b."""
        c, d = p.coefficient(index_a), q.coefficient(index_b)
        low, high = rest
        if c == d and c != 0:
            # c * (a - b) + rest = 0
            first, last = (-high, -low) if c > 0 else (low, high)
            return _whole_quotients(first, last, abs(c))
        for coefficient, index, over in ((c, index_a, over_a), (-d, index_b, over_b)):
            if coefficient:
                ends = sorted(coefficient * end for end in over[index])
                low, high = low + ends[0], high + ends[1]
        return (-_FAR, _FAR) if low <= 0 <= high else None

    def _rest(
        self,
        p: Affine,
        q: Affine,
        index_a: str,
        index_b: str,
        last_a: Mapping[str, Affine],
        last_b: Mapping[str, Affine],
    ) -> tuple[int, int]:
        """Return the interval of p - q without the two indices.

        Shared outer indices cancel, those in the extents of inner loops too: for j below i the
        positions i and j differ.
        """
        low = high = Affine(p.constant - q.constant)
        parts = [(atom, c, index_a, last_a) for atom, c in p.terms]
        parts += [(atom, -c, index_b, last_b) for atom, c in q.terms]
        for atom, c, moving, last in parts:
            if atom in self.outer:
                low, high = low.plus(Affine.index(atom), c), high.plus(Affine.index(atom), c)
            elif atom != moving:
                low, high = low.plus(last[atom], min(c, 0)), high.plus(last[atom], max(c, 0))
        return bounds(low, self.outer)[0], bounds(high, self.outer)[1]

    def _last(self, loops: tuple[Loop, ...], over: Ranges) -> dict[str, Affine]:
        """Return the largest value of each index, in terms of the outer ones where it can be."""
        found = {}
        for loop in loops:
            last = loop.extent.plus(-1)
            known = last.indices() <= set(self.outer) and bounds(last, self.outer)[0] >= 0
            found[loop.index] = last if known else Affine(over[loop.index][1])
        return found

    def _flat(self, ref: Ref, ranges: Ranges) -> tuple[int, int]:
        """Return between which elements of the owning storage a reference lies."""
        shape = self.buffers[ref.buffer].shape
        low = high = storage(self.buffers, ref.buffer)[1]
        step = math.prod(shape)
        for position, extent in zip(ref.index, shape, strict=True):
            step //= max(extent, 1)
            first, last = bounds(position, dict(ranges))
            low, high = low + step * first, high + step * last
        return low, high


def _whole_quotients(first: int, last: int, c: int) -> tuple[int, int] | None:
    low, high = -(-first // c), last // c
    return (low, high) if low <= high else None


def is_inside(ref: Ref, buffers: Mapping[str, Buffer], loops: tuple[Loop, ...]) -> bool:
    """Whether a reference stays inside its buffer; an element of an index array is trusted."""
    ranges = ranges_of(loops)
    last = {loop.index: loop.limit.plus(-1) for loop in loops if loop.limit is not None}
    for position, extent in zip(ref.index, buffers[ref.buffer].shape, strict=True):
        atoms = [atom for atom, _ in position.terms if isinstance(atom, Ref)]
        if not all(is_inside(atom, buffers, loops) for atom in atoms):
            return False
        low, high = bounds(position, ranges)
        if all(position.coefficient(index) >= 0 for index in last):
            high = min(high, bounds(position.substitute(last), ranges)[1])
        if not atoms and (low < 0 or high >= extent):
            return False
    return True


def differ(a: Ref, b: Ref) -> bool:
    """Whether two elements of one buffer are a constant apart in some dimension."""
    pairs = zip(a.index, b.index, strict=True)
    return any(p.terms == q.terms and p.constant != q.constant for p, q in pairs)


def is_carried(
    loop: Loop, buffers: Mapping[str, Buffer], outer: Ranges, strict: bool = False
) -> bool:
    """Whether an iteration of a loop needs or disturbs another one; sums do not count."""
    meeting = Meeting(buffers, outer, strict)
    span = max(bounds(loop.extent, dict(outer))[1], 0)
    found = list(uses(loop))
    writes = [use for use in found if use.kind != "read"]
    by_root: dict[str, list[Use]] = {}
    for use in found:
        by_root.setdefault(storage(buffers, use.ref.buffer)[0], []).append(use)
    for a in writes:
        for b in by_root[storage(buffers, a.ref.buffer)[0]]:
            if meeting.order_matters(a, b):
                between = meeting.distances(a, b, loop.index, loop.index, span)
                if between is not None and between != (0, 0):
                    return True
    return False


def touched(node: Node, buffers: Mapping[str, Buffer]) -> dict[str, list[Use]]:
    """Return a node's uses by the buffer that owns the storage."""
    found: dict[str, list[Use]] = {}
    for use in uses(node):
        found.setdefault(storage(buffers, use.ref.buffer)[0], []).append(use)
    return found


def writers(block: tuple[Node, ...], name: str) -> Iterator[Statement]:
    """Yield the statements that write a buffer."""
    for node in block:
        if isinstance(node, Loop):
            yield from writers(node.body, name)
        elif node.target.buffer == name:
            yield node

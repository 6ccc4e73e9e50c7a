"""Program to Program: one loop for neighbours that share data, forward and reverse.

Two loops of one block with equal extents become one when no element would be touched in another
order. The loops need not stand side by side: what lies between moves out of the way where the
dependences allow. So when the cotangent of each row of a sum is known before the sum starts, the
reverse loop over the rows joins the forward loop, and nothing is stored for it.
"""

from __future__ import annotations

from typing import NamedTuple

from jitgrad.define import renamed
from jitgrad.depend import Meeting, Ranges, Use, is_carried, ranges_of, touched
from jitgrad.program import (
    Affine,
    Assign,
    Block,
    Buffer,
    Loop,
    Node,
    Program,
    Ref,
    bounds,
    substitute,
)

_MANY = 400  # a block with more nodes than this is left as it is


def fuse(program: Program, *, strict: bool = False) -> Program:
    """Fuse the loops of each block, outer loops first.

    Parameters
    ----------
    program : Program
        In which every read sees the final value of an element.
    strict : bool
        Keep the order of the additions to each element.
    """
    return program._replace(body=_Fusion(program.buffers, strict).block(program.body, {}))


class _Group(NamedTuple):
    """Nodes that become one: their places in the block, and the direction they have to run in.

    The statements of a fused loop stand in the order of the block.
    """

    members: tuple[int, ...]
    is_loop: bool
    backward: bool | None  # None where both directions are right

    def node(self, block: Block) -> Node:
        """Return what the members become."""
        first = block[self.members[0]]
        if len(self.members) == 1 or not isinstance(first, Loop):
            return first
        index = Affine.index(first.index)
        body: list[Node] = []
        for member in self.members:
            loop = block[member]
            assert isinstance(loop, Loop)
            body.extend(substitute(node, {loop.index: index}) for node in loop.body)
        return first._replace(body=tuple(body), backward=bool(self.backward))


class _Fusion:
    def __init__(self, buffers: dict[str, Buffer], strict: bool) -> None:
        self.buffers = buffers
        self.strict = strict
        self.known: dict[tuple[int, int], tuple[int, int]] = {}  # of two nodes of a block

    def block(self, block: Block, outer: Ranges) -> Block:
        """Fuse the loops of a block, then those inside the result."""
        if sum(isinstance(node, Loop) for node in block) > 1 and len(block) <= _MANY:
            block = self._fused(block, outer)
        nodes: list[Node] = []
        for node in block:
            if isinstance(node, Loop):
                inner = ranges_of((node,), outer)
                backward = node.backward and is_carried(node, self.buffers, outer, self.strict)
                node = node._replace(body=self.block(node.body, inner), backward=backward)
            nodes.append(node)
        return tuple(nodes)

    def _fused(self, block: Block, outer: Ranges) -> Block:
        uses = [touched(node, self.buffers) for node in block]
        self.known = {}
        after = self._dependences(uses, outer)
        groups = {
            n: _Group((n,), True, _direction(node, self.buffers, outer, self.strict))
            if isinstance(node, Loop)
            else _Group((n,), False, None)
            for n, node in enumerate(block)
        }
        owner = list(range(len(block)))
        while self._merge_once(groups, owner, uses, after, block, outer):
            pass  # a loop that has grown may share data with one that stood before it
        return self._ordered(groups, owner, after, block)

    def _merge_once(
        self,
        groups: dict[int, _Group],
        owner: list[int],
        uses: list[dict[str, list[Use]]],
        after: list[set[int]],
        block: Block,
        outer: Ranges,
    ) -> bool:
        """Go through the groups once, each joining the first that it can; say whether one did."""
        some = False
        for later in range(len(block)):
            for earlier in range(later):
                a, b = groups.get(earlier), groups.get(later)
                if a is None or b is None or not (a.is_loop and b.is_loop):
                    continue
                merged = self._merge(a, b, uses, block, outer)
                if isinstance(merged, _Group) and not self._path_between(
                    a, b, owner, groups, after
                ):
                    groups[earlier] = merged
                    del groups[later]
                    for n in merged.members:
                        owner[n] = earlier
                    some = True
                    break
        return some

    # --- what depends on what --------------------------------------------------------------------

    def _dependences(self, uses: list[dict[str, list[Use]]], outer: Ranges) -> list[set[int]]:
        """Return for each node the later nodes that must stay after it."""
        meeting = Meeting(self.buffers, outer, self.strict)
        holders: dict[str, list[int]] = {}
        for n, found in enumerate(uses):
            for root in found:
                holders.setdefault(root, []).append(n)
        after: list[set[int]] = [set() for _ in uses]
        for root, nodes in holders.items():
            for at, first in enumerate(nodes):
                for second in nodes[at + 1 :]:
                    if second not in after[first] and _meet(
                        meeting, uses[first][root], uses[second][root]
                    ):
                        after[first].add(second)
        return after

    def _path_between(
        self,
        a: _Group,
        b: _Group,
        owner: list[int],
        groups: dict[int, _Group],
        after: list[set[int]],
    ) -> bool:
        """Whether a node outside the two has to stand between them."""
        own = {owner[a.members[0]], owner[b.members[0]]}
        for start, end in ((a, b), (b, a)):
            queue = list({owner[n] for m in start.members for n in after[m]} - own)
            seen = set(queue)
            while queue:
                group = groups[queue.pop()]
                following = {owner[n] for m in group.members for n in after[m]}
                if owner[end.members[0]] in following:
                    return True
                fresh = following - seen - own
                seen |= fresh
                queue.extend(fresh)
        return False

    def _ordered(
        self, groups: dict[int, _Group], owner: list[int], after: list[set[int]], block: Block
    ) -> Block:
        """Put the groups in an order that the dependences allow, the given one where possible."""
        waiting: dict[int, int] = dict.fromkeys(groups, 0)
        following: dict[int, set[int]] = {}
        for key, group in groups.items():
            following[key] = {owner[n] for m in group.members for n in after[m]} - {key}
            for n in following[key]:
                waiting[n] += 1
        nodes: list[Node] = []
        ready = sorted(key for key, count in waiting.items() if not count)
        while ready:
            key = ready.pop(0)
            nodes.append(groups[key].node(block))
            freed = []
            for n in following[key]:
                waiting[n] -= 1
                if not waiting[n]:
                    freed.append(n)
            ready = sorted([*ready, *freed])
        assert len(nodes) == len(groups), "fusing made a cycle"
        return tuple(nodes)

    # --- two loops into one ----------------------------------------------------------------------

    def _merge(
        self, a: _Group, b: _Group, uses: list[dict[str, list[Use]]], block: Block, outer: Ranges
    ) -> _Group | str:
        """Make one group of two, or say what stands against it."""
        first, second = block[a.members[0]], block[b.members[0]]
        assert isinstance(first, Loop) and isinstance(second, Loop)
        if first.extent != second.extent:
            return f"their extents are {first.extent.constant} and {second.extent.constant}"
        if a.backward is not None and b.backward is not None and a.backward != b.backward:
            return "one has to run forwards and the other backwards"
        roots = [{root for m in g.members for root in uses[m]} for g in (a, b)]
        if not roots[0] & roots[1]:
            return "they share no data"
        fixed = a.backward if a.backward is not None else b.backward
        low, high = self._distances(a, b, uses, block, outer)
        backward = fixed
        if low < 0 and high > 0:
            return "each needs other iterations of the other"
        if low < 0 or high > 0:
            backward = low >= 0 and high > 0
            if fixed is not None and fixed != backward:
                return "the second needs iterations that the first has not reached"
        return _Group(tuple(sorted((*a.members, *b.members))), True, backward)

    def _distances(
        self, a: _Group, b: _Group, uses: list[dict[str, list[Use]]], block: Block, outer: Ranges
    ) -> tuple[int, int]:
        """Return the smallest and largest difference of iterations that share data.

        It is the iteration of the member that stands first in the block minus that of the other.
        """
        low = high = 0
        for one in a.members:
            for other in b.members:
                m, n = sorted((one, other))
                if (m, n) not in self.known:
                    pair = block[m], block[n]
                    self.known[m, n] = self._between(*pair, uses[m], uses[n], outer)
                found = self.known[m, n]
                low, high = min(low, found[0]), max(high, found[1])
        return low, high

    def _between(
        self,
        first: Node,
        second: Node,
        uses: dict[str, list[Use]],
        others: dict[str, list[Use]],
        outer: Ranges,
    ) -> tuple[int, int]:
        """The same for two loops."""
        meeting = Meeting(self.buffers, outer, self.strict)
        assert isinstance(first, Loop) and isinstance(second, Loop)
        span = max(bounds(first.extent, dict(outer))[1], 0)
        low = high = 0
        for root in uses.keys() & others.keys():
            for use in uses[root]:
                for other in others[root]:
                    if meeting.order_matters(use, other):
                        found = meeting.distances(use, other, first.index, second.index, span)
                        if found is not None:
                            low, high = min(low, found[0]), max(high, found[1])
        return low, high


def _direction(loop: Loop, buffers: dict[str, Buffer], outer: Ranges, strict: bool) -> bool | None:
    return loop.backward if is_carried(loop, buffers, outer, strict) else None


def _meet(meeting: Meeting, first: list[Use], second: list[Use]) -> bool:
    return any(
        meeting.order_matters(a, b) and meeting.distances(a, b, "", "", 1 << 40) is not None
        for a in first
        for b in second
    )


def apart(program: Program, first: Node, second: Node) -> str:
    """Say why two nodes of a Program do not become one loop; nothing where they could, or need not.

    Examples
    --------
    >>> from jitgrad.program import Ref
    >>> v, i, k = Buffer((9,), "temporary"), Affine.index("i"), Affine.index("k")
    >>> mirrored = Ref("v", (Affine(8, (("k", -1),)),))
    >>> write = Loop("i", Affine(9), (Assign(Ref("v", (i,)), "copy", (1.0,)),))
    >>> read = Loop("k", Affine(9), (Assign(Ref("w", (k,)), "copy", (mirrored,)),))
    >>> program = Program({"v": v, "w": v}, (write, read), 0.0)
    >>> apart(program, write, read)
    'each needs other iterations of the other'
    """
    uses = [touched(node, program.buffers) for node in (first, second)]
    if not uses[0].keys() & uses[1].keys():
        return ""
    if not (isinstance(first, Loop) and isinstance(second, Loop)):
        return "one of them is no loop"
    one, other = (
        _Group((n,), True, _direction(loop, program.buffers, {}, False))
        for n, loop in enumerate((first, second))
    )
    merged = _Fusion(program.buffers, strict=False)._merge(one, other, uses, (first, second), {})
    return merged if isinstance(merged, str) else ""


# --- fills ---------------------------------------------------------------------------------------


def sink_fills(program: Program) -> Program:
    """Move a fill with zero into the loop that uses the elements one or two at a time.

    The cotangent of a carried value is used at ``i`` and ``i + 1`` in iteration i of the reverse
    loop. Element i is then zeroed when iteration i starts and only the last one before the loop, so
    that two locals can take the buffer's place.
    """
    nodes = list(program.body)
    for at, node in enumerate(nodes):
        sunk = _sink(program, node, nodes, at)
        if sunk is not None:
            nodes = sunk
            return sink_fills(program._replace(body=tuple(nodes)))
    return program


def _fill_target(node: Node) -> Ref | None:
    while isinstance(node, Loop) and len(node.body) == 1:
        node = node.body[0]
    fill = isinstance(node, Assign) and node.op == "copy" and node.operands == (0.0,)
    return node.target if fill and isinstance(node, Assign) else None


def _sink(program: Program, node: Node, nodes: list[Node], at: int) -> list[Node] | None:
    target = _fill_target(node)
    if target is None or not isinstance(node, Loop):
        return None
    if not target.index or target.index[0] != Affine.index(node.index):
        return None
    users = [
        n for n in range(at + 1, len(nodes)) if target.buffer in touched(nodes[n], program.buffers)
    ]
    loops = [n for n in users if isinstance(nodes[n], Loop)]
    if not loops:
        return None
    place = loops[0]
    loop = nodes[place]
    assert isinstance(loop, Loop)
    steps = _steps(loop, target.buffer, program)
    size, count = program.buffers[target.buffer].shape[0], loop.extent.constant
    if node.extent != Affine(size):  # a part only, such as what `np.pad` puts beside an array
        return None
    if steps is None or loop.extent.terms or not (size - count <= 4 and max(steps) + count <= size):
        return None
    step = min(steps) if loop.backward else max(steps)
    moved = range(step, step + count)
    for n in users[: users.index(place)]:
        for use in touched(nodes[n], program.buffers)[target.buffer]:
            place_of_use = use.ref.index[0]
            through_view = use.ref.buffer != target.buffer  # its positions are of another shape
            if through_view or place_of_use.terms or place_of_use.constant in moved:
                return None
    first = [
        substitute(child, {node.index: Affine(step, ((loop.index, 1),))}) for child in node.body
    ]
    rest = [n for n in range(size) if n not in moved]
    peeled = [substitute(child, {node.index: Affine(n)}) for n in rest for child in node.body]
    body = (*(renamed(child, f"_{loop.index}") for child in first), *loop.body)
    peeled = [renamed(child, f"_{n}") for n, child in enumerate(peeled)]
    return [
        *nodes[:at],
        *peeled,
        *nodes[at + 1 : place],
        loop._replace(body=body),
        *nodes[place + 1 :],
    ]


def _steps(loop: Loop, name: str, program: Program) -> set[int] | None:
    """Return the c of every use at ``index + c`` along the first axis; None if there are others."""
    steps = set()
    for use in touched(loop, program.buffers)[name]:
        if use.ref.buffer != name or use.ref.index[0].terms != ((loop.index, 1),):
            return None
        steps.add(use.ref.index[0].constant)
    return steps if max(steps) - min(steps) <= 1 else None

"""Program to Program: a sum into one element of an array is kept in a local while its loop runs.

LLVM does this only where it can prove that nothing else in the loop is that element.
"""

from __future__ import annotations

from jitgrad.contract import merge_fills
from jitgrad.depend import Meeting, Use, is_inside, ranges_of, touched, uses
from jitgrad.program import (
    Assign,
    Block,
    Buffer,
    Loop,
    Node,
    Operand,
    Program,
    Ref,
    map_refs,
    storage,
)


def promote(program: Program) -> Program:
    """Keep sums into elements in locals."""
    return merge_fills(_Promotion(program).program())


class _Promotion:
    def __init__(self, given: Program) -> None:
        self.given = given
        self.buffers: dict[str, Buffer] = dict(given.buffers)

    def program(self) -> Program:
        body = self._block(self.given.body, ())
        return self.given._replace(body=body, buffers=self.buffers)

    def _block(self, block: Block, around: tuple[Loop, ...]) -> Block:
        done = _Done(self.buffers)
        for node in block:
            node = done.with_locals(node)
            if not isinstance(node, Loop):
                done.add(node)
                continue
            sums, loop = self._promoted(node, around)
            loop = loop._replace(body=self._block(loop.body, (*around, loop)))
            for at, local in sums.items():
                done.add(Assign(local, "copy", (done.number_in(at),)))
            done.add(loop)
            for at, local in sums.items():
                done.add(Assign(at, "copy", (local,)))
                done.held[at] = local
        return tuple(node for node in done.nodes if node is not None)

    def _promoted(self, loop: Loop, around: tuple[Loop, ...]) -> tuple[dict[Ref, Ref], Loop]:
        """Return the elements that become locals in a loop, with these, and the loop over them."""
        sums: dict[Ref, Ref] = {}
        found = list(uses(loop))
        for target in dict.fromkeys(use.ref for use in found if use.kind == "add"):
            if self._is_local(target) or not self._alone(target, loop, found, around):
                continue
            name = f"s{len(self.buffers)}"
            kept = self.buffers[target.buffer]
            fixed = [str(p.constant) for p in target.index if not p.terms]
            label = "_".join([kept.label or "total", *fixed])
            self.buffers[name] = Buffer((), "temporary", kept.dtype, label=label)
            sums[target] = Ref(name)
        replaced = _replaced(loop, sums)
        assert isinstance(replaced, Loop)
        return sums, replaced

    def _is_local(self, target: Ref) -> bool:
        return not target.index and self.buffers[target.buffer].kind == "temporary"

    def _alone(self, target: Ref, loop: Loop, found: list[Use], around: tuple[Loop, ...]) -> bool:
        """Whether the element is fixed in the loop and nothing else in it may be that element.

        It has to be there even where the loop does not run: it is loaded and stored around it.
        """
        outer = ranges_of(around)
        if not target.indices() <= set(outer) or not is_inside(target, self.buffers, around):
            return False
        meeting = Meeting(self.buffers, outer)
        mine = Use(target, "add", (loop,))
        for use in found:
            if use.ref == target and use.kind == "add":
                continue
            if use.ref == target or meeting.distances(mine, use, "", "", 1 << 40) is not None:
                return False
        return True


class _Done:
    """What a block has become so far, and what is known of elements."""

    def __init__(self, buffers: dict[str, Buffer]) -> None:
        self.buffers = buffers
        self.nodes: list[Node | None] = []
        self.held: dict[Ref, Ref] = {}  # elements that were stored, with the locals they are in
        self.last: dict[str, int] = {}  # the last node that uses an array's storage

    def add(self, node: Node) -> None:
        self.last.update(dict.fromkeys(touched(node, self.buffers), len(self.nodes)))
        self.nodes.append(node)

    def with_locals(self, node: Node) -> Node:
        """Return a node that reads locals for the elements that are held; forget what it writes."""
        if self.held:
            found = touched(node, self.buffers)
            written = {root for root in found if any(use.kind != "read" for use in found[root])}
            self.held = {
                at: local for at, local in self.held.items() if self._root(at) not in written
            }
        return _replaced(node, self.held)

    def number_in(self, element: Ref) -> Operand:
        """Take out the number that an element was filled with; without one, return the element."""
        place = self.last.get(self._root(element), -1)
        fill = self.nodes[place] if place >= 0 else None
        if not isinstance(fill, Assign) or fill.target != element or fill.op != "copy":
            return element
        (value,) = fill.operands
        if isinstance(value, Ref):
            return element
        self.nodes[place] = None
        return value

    def _root(self, element: Ref) -> str:
        return storage(self.buffers, element.buffer)[0]


def _replaced(node: Node, locals_: dict[Ref, Ref]) -> Node:
    return map_refs(node, lambda ref: locals_.get(ref, ref)) if locals_ else node

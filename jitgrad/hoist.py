"""Program to Program: load once, before the loop, what does not change in it.

LLVM would do it if it knew that the kernel's arrays do not overlap, which Numba cannot tell it: a
store to ``grad_x[j]`` might change ``x[i]``. A position that may lie outside its buffer in a loop
that does not run is left where it is.
"""

from __future__ import annotations

from jitgrad.depend import Ranges, ranges_of, uses
from jitgrad.program import (
    Assign,
    Block,
    Buffer,
    Loop,
    Node,
    Operand,
    Program,
    Ref,
    bounds,
    storage,
)
from jitgrad.simplify import map_operands

MOST = 32  # locals that one loop is given; more would not stay in registers


def hoist(program: Program) -> Program:
    """Move loads that a loop does not change in front of it, outer loops first."""
    return _Hoisting(program).program()


class _Hoisting:
    def __init__(self, given: Program) -> None:
        self.given = given
        self.buffers: dict[str, Buffer] = dict(given.buffers)

    def program(self) -> Program:
        body = self._block(self.given.body, {})
        return self.given._replace(body=body, buffers=self.buffers)

    def _block(self, block: Block, outer: Ranges) -> Block:
        nodes: list[Node] = []
        for node in block:
            if not isinstance(node, Loop):
                nodes.append(node)
                continue
            loads = self._loads(node, outer)
            names = {ref: self._local(ref) for ref in loads}
            nodes.extend(Assign(local, "copy", (ref,)) for ref, local in names.items())
            changed = self._renamed(node, names)
            inner = ranges_of((changed,), outer)
            nodes.append(changed._replace(body=self._block(changed.body, inner)))
        return tuple(nodes)

    def _loads(self, loop: Loop, outer: Ranges) -> list[Ref]:
        found = list(uses(loop))
        written = {storage(self.buffers, use.ref.buffer)[0] for use in found if use.kind != "read"}
        loads = dict.fromkeys(
            use.ref
            for use in found
            if use.kind == "read"
            and use.ref.index
            and storage(self.buffers, use.ref.buffer)[0] not in written
            and self.buffers[use.ref.buffer].dtype == "f8"
            and use.ref.indices() <= set(outer)
            and self._inside(use.ref, outer)
        )
        return list(loads)[:MOST]

    def _inside(self, ref: Ref, outer: Ranges) -> bool:
        for position, extent in zip(ref.index, self.buffers[ref.buffer].shape, strict=True):
            low, high = bounds(position, dict(outer))
            if low < 0 or high >= extent:
                return False
        return True

    def _local(self, ref: Ref) -> Ref:
        name = f"load{len(self.buffers)}"
        label = self.buffers[ref.buffer].label or ref.buffer
        fixed = [str(position.constant) for position in ref.index if not position.terms]
        self.buffers[name] = Buffer((), "temporary", label="_".join([label, *fixed]))
        return Ref(name)

    def _renamed(self, loop: Loop, names: dict[Ref, Ref]) -> Loop:
        def change(operand: Operand) -> Operand:
            return names.get(operand, operand) if isinstance(operand, Ref) else operand

        changed = map_operands(self.given._replace(body=(loop,)), change).body[0]
        assert isinstance(changed, Loop)
        return changed

"""Program to Program: load once, before the loop, what does not change in it.

LLVM would do it if it knew that the kernel's arrays do not overlap, which Numba cannot tell it: a
store to ``grad_x[j]`` might change ``x[i]``. A position that may lie outside its buffer in a loop
that does not run is left where it is.
"""

from __future__ import annotations

from jitgrad.define import map_operands
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

MOST = 32  # locals that one loop is given; more would not stay in registers


def hoist(program: Program) -> Program:
    """Move loads that a loop does not change in front of it, outer loops first."""
    return _Hoisting(program).program()


class _Hoisting:
    def __init__(self, given: Program) -> None:
        self.given = given
        self.buffers: dict[str, Buffer] = dict(given.buffers)

    def program(self) -> Program:
        body = self._block(self.given.body, {}, {})
        return self.given._replace(body=body, buffers=self.buffers)

    def _block(self, block: Block, outer: Ranges, known: dict[Ref, Ref]) -> Block:
        loads = {node.index: self._loads(node, outer) for node in block if isinstance(node, Loop)}
        wanted = {ref for found in loads.values() for ref in found}
        shared = {ref for ref in wanted if self._is_input(ref)}
        known = dict(known)
        nodes: list[Node] = []
        for node in block:
            if isinstance(node, Loop):
                needed = loads[node.index]
            else:
                needed = [use.ref for use in uses(node) if use.kind == "read" and use.ref in shared]
            names: dict[Ref, Ref] = {}
            for ref in needed:
                if ref not in known:
                    names[ref] = self._local(ref)
                    nodes.append(Assign(names[ref], "copy", (ref,)))
                    if ref in shared:
                        known[ref] = names[ref]
            node = self._renamed(node, {**known, **names})
            if isinstance(node, Loop):
                node = node._replace(body=self._block(node.body, ranges_of((node,), outer), known))
            nodes.append(node)
        return tuple(nodes)

    def _is_input(self, ref: Ref) -> bool:
        """Whether an element never changes, so that one load serves the rest of the block."""
        return self.buffers[storage(self.buffers, ref.buffer)[0]].kind in ("input", "table")

    def _loads(self, loop: Loop, outer: Ranges) -> list[Ref]:
        found = list(uses(loop))
        written = {storage(self.buffers, use.ref.buffer)[0] for use in found if use.kind != "read"}
        loads = dict.fromkeys(
            use.ref
            for use in found
            if use.kind == "read"
            and use.ref.index
            and storage(self.buffers, use.ref.buffer)[0] not in written
            and self.buffers[use.ref.buffer].dtype != "i8"
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
        loaded = self.buffers[ref.buffer]
        fixed = [str(position.constant) for position in ref.index if not position.terms]
        label = "_".join([loaded.label or ref.buffer, *fixed])
        self.buffers[name] = Buffer((), "temporary", loaded.dtype, label=label)
        return Ref(name)

    def _renamed(self, node: Node, names: dict[Ref, Ref]) -> Node:
        def change(operand: Operand) -> Operand:
            return names.get(operand, operand) if isinstance(operand, Ref) else operand

        return map_operands(self.given._replace(body=(node,)), change).body[0] if names else node

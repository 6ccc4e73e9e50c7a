"""Program to Program: add contributions to each other before adding them to their sum.

``total += a``, ``total += b`` in a loop makes each iteration wait for two additions of the one
before. When nothing looks at ``total`` in between, ``total += a + b`` leaves one (GARCH: 0.9 of the
time), and ``x_bar = a``, ``x_bar += b`` reads better as ``x_bar = a + b``. What is known last is
added last.
"""

from __future__ import annotations

from typing import NamedTuple

from jitgrad.depend import uses
from jitgrad.program import (
    Accumulate,
    Assign,
    Block,
    Buffer,
    Loop,
    Node,
    Operand,
    Program,
    Ref,
)


def gather_sums(program: Program) -> Program:
    """Join the additions to one local in each block into one statement."""
    return _Gathering(program).program()


class _Run(NamedTuple):
    """Additions to one local, by their places in the block; the first may be its assignment."""

    places: list[int]
    values: list[Operand]
    assigned: bool


class _Gathering:
    def __init__(self, given: Program) -> None:
        self.given = given
        self.buffers: dict[str, Buffer] = dict(given.buffers)
        self.depths: dict[str, int] = {}

    def program(self) -> Program:
        body = self._block(self.given.body)
        return self.given._replace(body=body, buffers=self.buffers)

    def _block(self, block: Block) -> Block:
        nodes: list[Node | None] = [
            node._replace(body=self._block(node.body)) if isinstance(node, Loop) else node
            for node in block
        ]
        made: dict[int, list[Node]] = {}
        self.depths = _depths(block)
        for target, run in self._runs(block):
            last = block[run.places[-1]]
            assert isinstance(last, Accumulate)
            for place in run.places:
                nodes[place] = None
            made[run.places[-1]] = self._joined(target, run, last.site)
        result: list[Node] = []
        for place, node in enumerate(nodes):
            result.extend(made.get(place, ()))
            result.extend([node] if node is not None else [])
        return tuple(result)

    def _runs(self, block: Block) -> list[tuple[Ref, _Run]]:
        """Find the runs; a run ends where its local, or a value waiting in it, is touched."""
        open_: dict[Ref, _Run] = {}
        found: list[tuple[Ref, _Run]] = []
        for place, node in enumerate(block):
            written = {use.ref.buffer for use in uses(node) if use.kind != "read"}
            touched = {use.ref.buffer for use in uses(node)}
            own = (
                node.target
                if isinstance(node, Accumulate) and self._is_local(node.target)
                else None
            )
            if own is not None and isinstance(node, Accumulate) and node.value == own:
                own = None
            for target, run in list(open_.items()):
                waiting = {value.buffer for value in run.values if isinstance(value, Ref)}
                if (target != own and target.buffer in touched) or waiting & written:
                    found.append((target, open_.pop(target)))
            if own is not None and isinstance(node, Accumulate):
                run = open_.setdefault(own, _Run([], [], False))
                run.places.append(place)
                run.values.append(node.value)
            elif isinstance(node, Assign) and node.op == "copy" and self._is_local(node.target):
                open_[node.target] = _Run([place], [node.operands[0]], True)
        found += open_.items()
        return [(target, run) for target, run in found if len(run.places) > 1]

    def _is_local(self, ref: Ref) -> bool:
        buffer = self.buffers[ref.buffer]
        return buffer.kind == "temporary" and not buffer.shape and buffer.views is None

    def _joined(self, target: Ref, run: _Run, site: int) -> list[Node]:
        nodes: list[Node] = []
        total, *rest = sorted(run.values, key=self._depth)
        for number, value in enumerate(rest, start=1):
            if run.assigned and number == len(rest):
                nodes.append(Assign(target, "add", (total, value), site))
                return nodes
            total = self._added(total, value, site, nodes)
        nodes.append(Accumulate(target, total, site))
        return nodes

    def _depth(self, value: Operand) -> int:
        return self.depths.get(value.buffer, 0) if isinstance(value, Ref) else 0

    def _added(self, a: Operand, b: Operand, site: int, nodes: list[Node]) -> Ref:
        name = f"g{len(self.buffers)}"
        self.buffers[name] = Buffer((), "temporary")
        nodes.append(Assign(Ref(name), "add", (a, b), site))
        return Ref(name)


def _depths(block: Block) -> dict[str, int]:
    """Return for each buffer how many ops of the block its value waits for."""
    found: dict[str, int] = {}
    for node in block:
        if isinstance(node, Assign):
            waiting = [found.get(x.buffer, 0) for x in node.operands if isinstance(x, Ref)]
            found[node.target.buffer] = max(waiting, default=0) + (node.op not in ("copy", "neg"))
        elif isinstance(node, Accumulate) and isinstance(node.value, Ref):
            name = node.target.buffer
            found[name] = max(found.get(name, 0), found.get(node.value.buffer, 0)) + 1
    return found

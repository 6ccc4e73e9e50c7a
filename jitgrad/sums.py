"""Program to Program: add contributions to each other before adding them to their sum.

``total += a``, ``total += b`` in a loop makes each iteration wait for two additions of the one
before. When nothing looks at ``total`` in between, ``total += a + b`` leaves one (GARCH: 0.9 of the
time), and ``x_bar = a``, ``x_bar += b`` reads better as ``x_bar = a + b``. What is known last is
added last.
"""

from __future__ import annotations

from typing import NamedTuple

from jitgrad.depend import Use, differ, uses
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
    storage,
)


def gather_sums(program: Program) -> Program:
    """Join the additions to one element in each block into one statement."""
    return _Gathering(program).program()


class _Run(NamedTuple):
    """Additions to one element, by their places in the block; the first may be its assignment."""

    places: list[int]
    values: list[Operand]
    assigned: bool


def _adds(node: Accumulate) -> bool:
    """Whether an addition may wait: it does not read its own target."""
    return node.op == "add" and node.value != node.target


class _Open:
    """The runs that may still go on, found by the storage that they touch."""

    def __init__(self, buffers: dict[str, Buffer]) -> None:
        self.buffers = buffers
        self.runs: dict[Ref, _Run] = {}
        self.touching: dict[str, set[Ref]] = {}
        self.done: list[tuple[Ref, _Run]] = []

    def start(self, target: Ref, place: int, value: Operand) -> None:
        self.runs[target] = _Run([place], [value], True)
        self._note(target, target, value)

    def add(self, target: Ref, place: int, value: Operand) -> None:
        run = self.runs.setdefault(target, _Run([], [], False))
        run.places.append(place)
        run.values.append(value)
        self._note(target, target, value)

    def close(self, node: Node, own: Ref | None) -> None:
        """End the runs that a node disturbs."""
        for use in list(uses(node)):
            for target in list(self.touching.get(self._root(use.ref), ())):
                if self._disturbs(use, target, own):
                    self._end(target)

    def finished(self) -> list[tuple[Ref, _Run]]:
        """Return all runs of more than one statement."""
        return [pair for pair in [*self.done, *self.runs.items()] if len(pair[1].places) > 1]

    def _disturbs(self, use: Use, target: Ref, own: Ref | None) -> bool:
        run = self.runs[target]
        waiting = [value for value in run.values if isinstance(value, Ref)]
        if use.kind != "read" and any(self._same(use.ref, value) for value in waiting):
            return True
        if use.ref == own == target:
            return False
        return self._same(use.ref, target)

    def _same(self, a: Ref, b: Ref) -> bool:
        """Whether two references may be one element."""
        if self._root(a) != self._root(b):
            return False
        return a.buffer != b.buffer or not differ(a, b)

    def _end(self, target: Ref) -> None:
        self.done.append((target, self.runs.pop(target)))
        for targets in self.touching.values():
            targets.discard(target)

    def _note(self, target: Ref, *operands: Operand) -> None:
        for operand in operands:
            if isinstance(operand, Ref):
                self.touching.setdefault(self._root(operand), set()).add(target)

    def _root(self, ref: Ref) -> str:
        return storage(self.buffers, ref.buffer)[0]


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
        """Find the runs; a run ends where its element, or a value waiting in it, is touched."""
        runs = _Open(self.buffers)
        for place, node in enumerate(block):
            own = node.target if isinstance(node, Accumulate) and _adds(node) else None
            runs.close(node, own)
            if own is not None and isinstance(node, Accumulate):
                runs.add(own, place, node.value)
            elif isinstance(node, Assign) and node.op == "copy":
                runs.start(node.target, place, node.operands[0])
        return runs.finished()

    def _joined(self, target: Ref, run: _Run, site: int) -> list[Node]:
        nodes: list[Node] = []
        total, *rest = sorted(run.values, key=self._depth)
        for number, value in enumerate(rest, start=1):
            if run.assigned and number == len(rest):
                nodes.append(Assign(target, "add", (total, value), site))
                return nodes
            total = self._added(target, total, value, site, nodes)
        nodes.append(Accumulate(target, total, site))
        return nodes

    def _depth(self, value: Operand) -> int:
        return self.depths.get(value.buffer, 0) if isinstance(value, Ref) else 0

    def _added(self, target: Ref, a: Operand, b: Operand, site: int, nodes: list[Node]) -> Ref:
        name = f"g{len(self.buffers)}"
        self.buffers[name] = Buffer((), "temporary", self.buffers[target.buffer].dtype)
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

"""Where each local of a printed body is read and written: which need no line of their own.

>>> from jitgrad.program import Affine
>>> step = Assign(Ref("t"), "neg", (Ref("x", (Affine(),)),))
>>> uses = Uses((step, Assign(Ref("r"), "exp", (Ref("t"),))), Ref("r"))
>>> list(uses.read_once()), uses.truths()
(['t', 'r'], set())
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from jitgrad.ops import OPS, TRUTHS
from jitgrad.program import Assign, Block, Loop, Operand, Ref, Statement, reads


class Use(NamedTuple):
    """Where a buffer is read: in which block, as the how manieth statement, and how."""

    block: int
    order: int
    truth: bool = False


class Uses:
    """Where each local is read and written."""

    def __init__(self, body: Block, result: Operand) -> None:
        self.reads: dict[str, list[Use]] = {}
        self.writes: dict[str, list[tuple[Use, Statement]]] = {}
        self._blocks = itertools.count()
        self._order = itertools.count()
        self._scan(body)
        if isinstance(result, Ref):
            self.reads.setdefault(result.buffer, []).append(Use(0, next(self._order)))

    def _scan(self, body: Block) -> None:
        block = next(self._blocks)
        for node in body:
            if isinstance(node, Loop):
                self._scan(node.body)
            else:
                self._add(node, Use(block, next(self._order)))

    def _add(self, node: Statement, use: Use) -> None:
        self.writes.setdefault(node.target.buffer, []).append((use, node))
        for ref in reads(node):
            self.reads.setdefault(ref.buffer, []).append(use)
        if isinstance(node, Assign):
            for operand in node.operands[: TRUTHS.get(node.op, 0)]:
                if isinstance(operand, Ref):
                    found = self.reads[operand.buffer]
                    found[found.index(use)] = use._replace(truth=True)

    def truths(self) -> set[str]:
        """Return what is only ever a truth value."""
        return {
            name
            for name, node in self._written_once()
            if OPS[node.op].boolean and all(use.truth for use in self.reads.get(name, [Use(0, 0)]))
        }

    def read_once(self) -> dict[str, Assign]:
        """Return what is read once, later in the block in which it is written."""
        found = {}
        for name, node in self._written_once():
            (written, _), uses = self.writes[name][0], self.reads.get(name, [])
            alone = len(uses) == 1 and uses[0].block == written.block
            if alone and uses[0].order > written.order:
                found[name] = node
        return found

    def copies(self) -> set[str]:
        """Return what is a copy that no earlier line, and so no next iteration, reads."""
        return {
            name
            for name, node in self._written_once()
            if node.op == "copy"
            and all(use.order > self.writes[name][0][0].order for use in self.reads.get(name, []))
        }

    def _written_once(self) -> Iterator[tuple[str, Assign]]:
        for name, writes in self.writes.items():
            if len(writes) == 1 and isinstance(writes[0][1], Assign):
                yield name, writes[0][1]


def hands_on(body: Block, index: str) -> bool:
    """Whether an iteration reads what the one before it made: a local, or another element.

    Elements that other loops tell apart, as in the rows i and i + 1, are no matter of this one.
    """
    statements = [node for node in body if not isinstance(node, Loop)]
    made = {node.target.buffer for node in statements if isinstance(node, Assign)}
    targets = {node.target for node in statements}
    done: set[str] = set()
    for node in statements:
        for ref in reads(node):
            early = not ref.index and ref.buffer in made and ref.buffer not in done
            other = ref.index and ref not in targets
            if early or (other and any(_may_meet(ref, target, index) for target in targets)):
                return True
        done.add(node.target.buffer)
    return False


def _may_meet(a: Ref, b: Ref, index: str) -> bool:
    """Whether two elements may be one in different iterations of a loop."""
    if a.buffer != b.buffer:
        return False
    pairs = zip(a.index, b.index, strict=True)
    still = [(p, q) for p, q in pairs if index not in p.indices() | q.indices()]
    return not any(p.terms == q.terms and p.constant != q.constant for p, q in still)

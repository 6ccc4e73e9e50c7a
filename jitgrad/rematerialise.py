"""Program to Program: compute again what is cheaper than keeping.

A value that the forward loop makes and the reverse loop reads has to be kept in an array of one
element per iteration. Where its operands are there anyway (inputs, carried values, other values
worth keeping) and its op is a few cycles, the reverse loop makes it again: a store and a load cost
about a nanosecond an element, an addition a quarter of that.
"""

from __future__ import annotations

from jitgrad.define import (
    Definition,
    Definitions,
    definitions,
    executions,
    instance,
    map_operands,
    placed,
)
from jitgrad.program import Assign, Block, Buffer, Loop, Node, Operand, Program, Ref

CHEAP = frozenset(
    {"add", "sub", "mul", "neg", "copy", "abs", "relu", "where", "maximum", "minimum"}
    | {"lt", "le", "gt", "ge", "eq", "ne", "logical_and", "logical_or", "logical_not"}
    | {"fmax", "fmin", "heaviside", "isnan", "isfinite", "isinf"}
)
LONGEST = 100  # ops that one value may take


def rematerialise(program: Program) -> Program:
    """Give each loop nest its own copies of the cheap values of other nests."""
    return _Remaking(program).program()


class _Remaking:
    def __init__(self, given: Program) -> None:
        self.given = given
        self.buffers: dict[str, Buffer] = dict(given.buffers)
        self.known: Definitions = definitions(given)
        self.costs: dict[str, frozenset[Ref] | None] = {}
        self.loops: tuple[Loop, ...] = ()
        self.made: list[dict[Ref, Ref]] = [{}]  # for each loop around, and outside
        self.fresh: list[list[Node]] = [[]]  # what goes in front of the node that is looked at

    def program(self) -> Program:
        body = self._block(self.given.body)
        return self.given._replace(buffers=self.buffers, body=body)

    def _block(self, block: Block) -> Block:
        nodes: list[Node] = []
        for node in block:
            changed = self._loop(node) if isinstance(node, Loop) else self._statement(node)
            nodes.extend(self.fresh[-1])
            self.fresh[-1].clear()
            nodes.append(changed)
        return tuple(nodes)

    def _loop(self, loop: Loop) -> Loop:
        self.loops = (*self.loops, loop)
        self.made.append({})
        self.fresh.append([])
        body = self._block(loop.body)
        self.loops = self.loops[:-1]
        self.made.pop()
        self.fresh.pop()
        return loop._replace(body=body)

    def _statement(self, node: Node) -> Node:
        if not self.loops:
            return node
        changed = map_operands(self.given._replace(body=(node,)), self._operand).body[0]
        return changed

    def _operand(self, operand: Operand) -> Operand:
        if isinstance(operand, Ref) and self._is_remade(operand):
            return self._remake(operand)
        return operand

    def _is_remade(self, ref: Ref) -> bool:
        """Whether an element comes from another loop nest and is cheap to make."""
        definition = self.known.get(ref.buffer)
        if definition is None or not definition.loops or not ref.indices():
            return False
        if definition.loops[0].index == self.loops[0].index:
            return False
        if self.loops[0].index not in ref.indices():  # it would be made again and again
            return False
        if _gathers(definition) and executions(self.loops) > executions(definition.loops):
            return False  # it would be looked up again and again
        return self._cost(ref.buffer) is not None

    def _cost(self, name: str) -> frozenset[Ref] | None:
        """Return the elements that are made on the way from what is kept; None: it is kept itself.

        Elements, not buffers: a chain of gathers reads twice as many of each buffer before.
        """
        if name not in self.costs:
            self.costs[name] = None  # a value that depends on itself is kept
            definition = self.known.get(name)
            if definition is not None and definition.node.op in CHEAP:
                made = {definition.node.target}
                for operand in definition.node.operands:
                    if isinstance(operand, Ref) and (earlier := self._cost(operand.buffer)):
                        values = placed(self.known[operand.buffer], operand) or {}
                        made.update(ref.substitute(values) for ref in earlier)
                self.costs[name] = frozenset(made) if len(made) <= LONGEST else None
        return self.costs[name]

    def _remake(self, ref: Ref) -> Ref:
        known = next((made[ref] for made in self.made if ref in made), None)
        if known is not None:
            return known
        found = instance(self.known[ref.buffer], ref)
        assert found is not None
        op, operands = found
        operands = tuple(self._operand(operand) for operand in operands)
        old = self.buffers[ref.buffer]
        name = f"{ref.buffer}_again{len(self.buffers)}"
        self.buffers[name] = Buffer(old.shape, "temporary", old.dtype, label=old.label)
        target = Ref(name, ref.index)
        indices = ref.indices()
        depth = max(at for at, loop in enumerate(self.loops, 1) if loop.index in indices)
        self.fresh[depth].append(Assign(target, op, operands, self.known[ref.buffer].node.site))
        self.made[depth][ref] = target
        return target


def _gathers(definition: Definition) -> bool:
    return any(isinstance(x, Ref) and x.gathers() for x in definition.node.operands)

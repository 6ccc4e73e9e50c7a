"""Program to Program: constants, exact algebra, copies, common subexpressions, dead code.

Every rewrite keeps each bit of the result: nothing here can change a NaN, an infinity or the sign
of a zero, or round differently. All of it rests on one invariant of Programs before `contract`:
a read sees the final value of an element, so a definition may be used wherever it is read.
"""

from __future__ import annotations

import math
from typing import Any

from jitgrad.define import (
    Definitions,
    Made,
    copied,
    definitions,
    executions,
    instance,
    makers,
    map_operands,
    written,
)
from jitgrad.elements import computed, rounded
from jitgrad.first_writes import first_writes
from jitgrad.ops import OPS
from jitgrad.program import (
    Affine,
    Assign,
    Block,
    Buffer,
    Loop,
    Node,
    Operand,
    Program,
    Ref,
    map_refs,
    operands_of,
    reads,
    storage,
    substitute,
    walk,
)
from jitgrad.sizes import counted


def simplify(program: Program) -> Program:
    """Apply all the rewrites until nothing changes."""
    steps = (flatten_loops, tabled, first_writes, idle, propagate, algebra, common, direct, dead)
    for _ in range(20):
        before = program
        for step in steps:
            program = step(program)
        if program == before:
            break
    return program


def prepare(program: Program) -> Program:
    """Simplify before the adjoint; 1 / x and x * x become ops with cheaper derivatives."""

    def visit(node: Node) -> Node:
        if isinstance(node, Loop):
            return node._replace(body=tuple(map(visit, node.body)))
        if isinstance(node, Assign) and node.op == "div" and node.operands[0] == 1.0:
            return node._replace(op="reciprocal", operands=node.operands[1:])
        if isinstance(node, Assign) and node.op == "mul" and node.operands[0] == node.operands[1]:
            return node._replace(op="square", operands=node.operands[1:])
        return node

    program = simplify(program)
    return program._replace(body=tuple(map(visit, program.body)))


def plain(program: Program) -> Program:
    """Undo what only the adjoint has to tell apart: detached copies, reciprocals, squares."""

    def visit(node: Node) -> Node:
        if isinstance(node, Loop):
            return node._replace(body=tuple(map(visit, node.body)))
        if isinstance(node, Assign) and node.op in ("detach", "attach"):
            return node._replace(op="copy", operands=node.operands[:1])
        if isinstance(node, Assign) and node.op == "reciprocal":
            return node._replace(op="div", operands=(1.0, *node.operands))
        if isinstance(node, Assign) and node.op == "square":
            return node._replace(op="mul", operands=node.operands * 2)
        return node

    return program._replace(body=tuple(map(visit, program.body)))


# --- the rewrites --------------------------------------------------------------------------------


def flatten_loops(program: Program) -> Program:
    """Write out loops that run once; drop those that never run."""

    def flat(block: Block) -> Block:
        nodes: list[Node] = []
        for node in block:
            if not isinstance(node, Loop):
                nodes.append(node)
            elif node.extent == Affine(1):
                nodes.extend(
                    flat(tuple(substitute(child, {node.index: Affine(0)}) for child in node.body))
                )
            elif node.extent != Affine(0):
                body = flat(node.body)
                nodes.extend([node._replace(body=body)] if body else [])
        return tuple(nodes)

    return program._replace(body=flat(program.body))


def propagate(program: Program) -> Program:
    """Read the source of a copy instead of the copy."""
    known = {name: d for name, d in definitions(program).items() if d.node.op == "copy"}
    if not known:
        return program
    kept = _worth_gathering(program, known)
    known = {name: d for name, d in known.items() if name not in kept}

    def source(operand: Operand) -> Operand:
        while isinstance(operand, Ref) and operand.buffer in known:
            found = instance(known[operand.buffer], operand)
            inner = operand if found is None else copied(program, operand, found[1][0])
            if inner == operand:
                return operand
            operand = inner
        return operand

    result = source(program.result)
    looked_up = isinstance(result, Ref) and result.gathers()  # a kernel returns what is there
    return map_operands(program, source)._replace(result=program.result if looked_up else result)


def _worth_gathering(program: Program, known: Definitions) -> set[str]:
    """Return the gathered copies that are read several times for each element that is copied.

    Gathered again at each read, the 10 x 10 factors of a mixture's 25 components would be looked up
    1,000 times each, and their products with the points would not be seen to be matrix products.
    """
    copies = {
        name
        for name, definition in known.items()
        for source in definition.node.operands
        if isinstance(source, Ref) and source.gathers()
    }
    counts = dict.fromkeys(copies, 0)
    for node, loops in written(program.body) if copies else ():
        read = [ref.buffer for ref in reads(node) if ref.buffer in copies]
        for name in read:
            counts[name] += executions(loops)
    sizes = {name: math.prod(map(counted, program.buffers[name].shape)) for name in copies}
    return {name for name in copies if counts[name] >= 2 * sizes[name] > 0}


def tabled(program: Program) -> Program:
    """Put in what a table of constants holds at a fixed place."""

    def number(ref: Ref) -> Any:
        """What stands there, or None where the place is not fixed or is no table's."""
        if ref.buffer not in program.tables or any(position.terms for position in ref.index):
            return None
        return program.tables[ref.buffer][tuple(position.constant for position in ref.index)]

    def position(given: Affine) -> Affine:
        result = Affine(given.constant)
        for atom, c in given.terms:
            atom = ref(atom) if isinstance(atom, Ref) else atom
            known = number(atom) if isinstance(atom, Ref) else None
            result = result.plus(
                Affine(0, ((atom, 1),)) if known is None else Affine(int(known)), c
            )
        return result

    def ref(given: Ref) -> Ref:
        return Ref(given.buffer, tuple(map(position, given.index)))

    def operand(given: Operand) -> Operand:
        known = number(given) if isinstance(given, Ref) else None
        return given if known is None else float(known)

    if not program.tables:
        return program
    body = tuple(map_refs(node, ref) for node in program.body)
    return map_operands(program._replace(body=body), operand)


def idle(program: Program) -> Program:
    """Turn a detached copy into a plain one where only truth values are made from it."""

    def root(ref: Ref) -> str:
        return storage(program.buffers, ref.buffer)[0]

    differentiable: set[str] = set()
    for node, _ in written(program.body):
        partials = OPS[node.op].partials if isinstance(node, Assign) else ("g", "g")
        pairs = zip(operands_of(node), partials, strict=False)
        differentiable |= {root(x) for x, g in pairs if isinstance(x, Ref) and g is not None}
    if isinstance(program.result, Ref):
        differentiable.add(root(program.result))

    def visit(node: Node) -> Node:
        if isinstance(node, Loop):
            return node._replace(body=tuple(map(visit, node.body)))
        if (
            isinstance(node, Assign)
            and node.op == "detach"
            and root(node.target) not in differentiable
        ):
            return node._replace(op="copy")
        return node

    return program._replace(body=tuple(map(visit, program.body)))


def direct(program: Program) -> Program:
    """Write a value that is only copied to an output there at once."""
    known = definitions(program)
    counts: dict[str, int] = {}
    for node, _ in written(program.body):
        for ref in reads(node):
            counts[ref.buffer] = counts.get(ref.buffer, 0) + 1
    if isinstance(program.result, Ref):
        counts[program.result.buffer] = counts.get(program.result.buffer, 0) + 1

    def visit(block: Block) -> Block:
        nodes = [n._replace(body=visit(n.body)) if isinstance(n, Loop) else n for n in block]
        made = {n.target: at for at, n in enumerate(nodes) if isinstance(n, Assign)}
        gone = set()
        for at, node in enumerate(nodes):
            if not isinstance(node, Assign) or node.op != "copy":
                continue
            source, target = node.operands[0], program.buffers[node.target.buffer]
            if not isinstance(source, Ref) or program.buffers[source.buffer].dtype != target.dtype:
                continue
            only = source.buffer in known and counts[source.buffer] == 1
            if target.kind == "output" and only and source in made:
                earlier = nodes[made[source]]
                assert isinstance(earlier, Assign)
                nodes[at] = earlier._replace(target=node.target)
                gone.add(made[source])
        return tuple(node for at, node in enumerate(nodes) if at not in gone)

    return program._replace(body=visit(program.body))


def algebra(program: Program) -> Program:
    """Fold constants and apply identities that hold for every IEEE number."""
    known = definitions(program)

    def visit(node: Node) -> Node:
        if isinstance(node, Loop):
            return node._replace(body=tuple(map(visit, node.body)))
        if not isinstance(node, Assign) or node.op == "copy":
            return node
        dtype = program.buffers[node.target.buffer].dtype
        op, operands = rewritten(node.op, node.operands, makers(program, known, dtype), dtype)
        return node._replace(op=op, operands=operands)

    return program._replace(body=tuple(map(visit, program.body)))


_SWAPPED = {"add", "mul"}


def rewritten(
    op: str, operands: tuple[Operand, ...], made: Made, dtype: str = "f8"
) -> tuple[str, tuple[Operand, ...]]:
    """Return an equal and simpler op."""
    if not any(isinstance(x, Ref) for x in operands):
        return "copy", (computed(op, operands, dtype),)
    if op == "where" and not isinstance(operands[0], Ref):
        return "copy", (operands[1] if operands[0] else operands[2],)
    if op == "where" and operands[1:] == (1.0, 0.0) and _is_truth(operands[0], made):
        return "copy", operands[:1]
    if op == "pow" and not isinstance(operands[1], Ref):
        return _power(operands[0], operands[1])
    negated = [_negation(x, made) for x in operands]
    scaled = _scaled(op, operands, negated, made, dtype)
    if scaled is not None:
        return "mul", scaled
    match op, operands:
        case ("mul" | "div", (x, 1.0)) | ("mul", (1.0, x)):
            return "copy", (x,)
        case "sub", (x, 0.0 as zero) if math.copysign(1.0, zero) > 0.0:
            return "copy", (x,)  # x - -0.0 is 0.0 for x = -0.0
        case ("mul" | "div", (x, -1.0)) | ("mul", (-1.0, x)):
            return "neg", (x,)
        case "add", (x, y) if x == y:
            return "mul", (2.0, x)
        case "neg", _ if negated[0] is not None:
            return "copy", (negated[0],)
        case "add", (x, _) if negated[1] is not None:
            return "sub", (x, negated[1])
        case "add", (_, y) if negated[0] is not None:
            return "sub", (y, negated[0])
        case "sub", (x, _) if negated[1] is not None:
            return "add", (x, negated[1])
        case "mul" | "div", _ if negated[0] is not None and negated[1] is not None:
            return op, (negated[0], negated[1])
    return op, operands


def _is_truth(operand: Operand, made: Made) -> bool:
    found = made(operand)
    return found is not None and OPS[found[0]].boolean


def _negation(operand: Operand, made: Made) -> Operand | None:
    found = made(operand)
    return found[1][0] if found is not None and found[0] == "neg" else None


def _factor(op: str, operands: tuple[Operand, ...]) -> tuple[float, Operand] | None:
    """Return the constant and the other operand of a product with a constant."""
    if op == "mul":
        for c, x in (operands, operands[::-1]):
            if not isinstance(c, Ref) and c not in (1.0, -1.0):
                return c, x
    return None


def _scaled(
    op: str, operands: tuple[Operand, ...], negated: list[Operand | None], made: Made, dtype: str
) -> tuple[Operand, ...] | None:
    """Move a sign, or a power of two, into the constant of a product.

    Doubling is exact, so ``c * (2 * x)`` is ``2 * c * x``, unless ``2 * x`` overflows and c brings
    it back: |c| has to be at least 1.
    """
    if op == "neg":
        inner = made(operands[0])
        factor = _factor(*inner) if inner is not None else None
        return (-factor[0], factor[1]) if factor is not None else None
    factor = _factor(op, operands)
    if factor is None:
        return None
    c, x = factor
    opposite = negated[operands.index(x)]
    if opposite is not None:
        return -c, opposite
    inner = made(x)
    within = _factor(*inner) if inner is not None else None
    if (
        within is not None
        and within[0] >= 1.0
        and math.frexp(within[0])[0] == 0.5
        and abs(c) >= 1.0
    ):
        product = rounded(c * within[0], dtype)
        return (c * within[0], within[1]) if math.isfinite(product) else None
    return None


def _power(x: Operand, exponent: float) -> tuple[str, tuple[Operand, ...]]:
    match exponent:
        case 0.0:
            return "copy", (1.0,)
        case 1.0:
            return "copy", (x,)
        case 2.0:
            return "mul", (x, x)
        case -1.0:
            return "div", (1.0, x)
    return "pow", (x, exponent)


def common(program: Program) -> Program:
    """Compute each expression once: later equals become copies."""
    known = definitions(program)

    def visit(block: Block, seen: dict[object, Ref]) -> Block:
        nodes: list[Node] = []
        for node in block:
            if isinstance(node, Loop):
                nodes.append(node._replace(body=visit(node.body, dict(seen))))
                continue
            if isinstance(node, Assign) and node.op != "copy" and node.target.buffer in known:
                key = program.buffers[node.target.buffer].dtype, _key(node)
                earlier = seen.get(key)
                if earlier is not None:
                    nodes.append(node._replace(op="copy", operands=(earlier,)))
                    continue
                seen[key] = node.target
            nodes.append(node)
        return tuple(nodes)

    return program._replace(body=visit(program.body, {}))


def _key(node: Assign) -> object:
    operands = [x if isinstance(x, Ref) else float(x).hex() for x in node.operands]
    return node.op, tuple(sorted(operands, key=str) if node.op in _SWAPPED else operands)


def dead(program: Program) -> Program:
    """Drop statements whose results nobody reads, and buffers that nobody names."""
    needs: dict[str, set[str]] = {}
    for node, _ in written(program.body):
        root = storage(program.buffers, node.target.buffer)[0]
        needs.setdefault(root, set()).update(
            storage(program.buffers, ref.buffer)[0] for ref in reads(node)
        )
    live = {name for name, buffer in program.buffers.items() if buffer.kind == "output"}
    if isinstance(program.result, Ref):
        live.add(storage(program.buffers, program.result.buffer)[0])
    queue = list(live)
    while queue:
        for name in needs.get(queue.pop(), ()):
            if name not in live:
                live.add(name)
                queue.append(name)
    body = _kept(program.body, program.buffers, live)
    return _named(program, body)


def _kept(block: Block, buffers: dict[str, Buffer], live: set[str]) -> Block:
    nodes: list[Node] = []
    for node in block:
        if isinstance(node, Loop):
            body = _kept(node.body, buffers, live)
            nodes.extend([node._replace(body=body)] if body else [])
        elif storage(buffers, node.target.buffer)[0] in live:
            nodes.append(node)
    return tuple(nodes)


def _named(program: Program, body: Block) -> Program:
    """Keep the buffers that the body names."""
    names = {program.result.buffer} if isinstance(program.result, Ref) else set()
    for node in walk(body):
        if not isinstance(node, Loop):
            names |= {node.target.buffer} | {ref.buffer for ref in reads(node)}
    for name in list(names):
        names.add(storage(program.buffers, name)[0])
    kept = {
        name: buffer
        for name, buffer in program.buffers.items()
        if name in names or (buffer.kind in ("input", "output") and buffer.views is None)
    }
    tables = {name: table for name, table in program.tables.items() if name in kept}
    return program._replace(body=body, buffers=kept, tables=tables)

"""Which values `where` and gathers alone read: their cotangents are zero where nothing chose them.

``np.where(x > 0, np.log(x), 0.0)`` has the derivative 0 for x <= 0, but the chain rule would
multiply that 0 by log's infinite derivative. So what a partial makes of such a cotangent is taken
as 0 where the cotangent is 0. So it is with what `late` computes for elements that perhaps nothing
gathers. A value that is read in another way too is left alone: its NaN is the user's.

>>> keeps_zero("where", 1, ()), keeps_zero("log", 0, ()), keeps_zero("mul", 0, ("y",))
(True, False, True)
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Iterable

from jitgrad.ops import ARGUMENTS, OPS, parsed
from jitgrad.program import Assign, Loop, Operand, Program, Ref, operands_of, storage, walk

EACH = "_each"  # what the names of buffers end in that `late` makes


def masked(program: Program, active: Iterable[str]) -> set[str]:
    """Return the active temporaries that are read by choice, or on the way to such a read.

    Parameters
    ----------
    program : Program
        The forward Program.
    active : iterable of str
        The buffers, by owner of the storage, through which derivatives flow.
    """
    found = {name for name in active if program.buffers[name].kind == "temporary"}
    if isinstance(program.result, Ref):
        found.discard(storage(program.buffers, program.result.buffer)[0])
    readers = _readers(program, set(active))
    if not any(chosen for uses in readers.values() for chosen, _ in uses):
        return set()
    while True:
        spoiled = {
            name
            for name in found
            if any(not chosen and by not in found for chosen, by in readers.get(name, ()))
        }
        if not spoiled:
            return found
        found -= spoiled


def _readers(program: Program, active: set[str]) -> dict[str, list[tuple[bool, str]]]:
    """For each buffer: whether a read chooses among its elements, and what it helps to make."""

    def root(ref: Ref) -> str:
        return storage(program.buffers, ref.buffer)[0]

    found: dict[str, list[tuple[bool, str]]] = {}
    for node in walk(program.body):
        if isinstance(node, Loop) or root(node.target) not in active:
            continue
        operands = operands_of(node)
        partials = OPS[node.op].partials if isinstance(node, Assign) else ("g",) * len(operands)
        branch = isinstance(node, Assign) and node.op == "where"
        for operand, partial in zip(operands, partials, strict=True):
            if isinstance(operand, Ref) and partial is not None:
                chosen = branch or operand.buffer.endswith(EACH)
                found.setdefault(root(operand), []).append((chosen, root(node.target)))
    return found


def needs_guard(op: str, argument: int, operands: tuple[Operand, ...]) -> bool:
    """Whether a partial of a statement may make something else of a zero cotangent."""
    constants = tuple(
        name
        for name, operand in zip(ARGUMENTS, operands, strict=False)
        if not isinstance(operand, Ref) and operand and math.isfinite(operand)
    )
    return not keeps_zero(op, argument, constants)


@functools.cache
def keeps_zero(op: str, argument: int, constants: tuple[str, ...]) -> bool:
    """Whether a partial is 0 for a cotangent of 0, whatever the arguments.

    Parameters
    ----------
    op : str
        A row of the ops table.
    argument : int
        Which of its partials.
    constants : tuple of str
        The arguments that are finite numbers other than 0.
    """
    partial = OPS[op].partials[argument]
    allowed = {"g", *constants}

    def visit(node: ast.expr) -> bool:
        match node:
            case ast.Name(id=name):
                return name in allowed
            case ast.Call(func=ast.Name(id="where"), args=[_, x, y]):
                return visit(x) and visit(y)
            case ast.Call():
                return False
        return all(visit(n) for n in ast.iter_child_nodes(node) if isinstance(n, ast.expr))

    return partial is None or visit(parsed(partial))

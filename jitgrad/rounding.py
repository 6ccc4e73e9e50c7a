"""Program to Program: what differs by a rounding and is quicker.

A division by a number becomes a product with its reciprocal: a division takes four times as long,
and is not remade where a product is. Numbers that multiply one after the other become one. The
results differ by a unit in the last place; NaN, infinity and the sign of a zero stay as they are.
What is computed once, outside loops, is left alone: a mean of 60 ones in 100 is 0.6.
``strict=True`` leaves all of this out.
"""

from __future__ import annotations

from jitgrad.define import definitions, makers
from jitgrad.program import Assign, Loop, Node, Operand, Program, Ref

LIMITS = {"f8": (2.0**-1022, 2.0**1023), "f4": (2.0**-126, 2.0**127)}  # of normal numbers


def rounding(program: Program) -> Program:
    """Multiply instead of dividing by numbers; multiply numbers with each other."""
    known = definitions(program)

    def visit(node: Node, inside: bool) -> Node:
        if isinstance(node, Loop):
            return node._replace(body=tuple(visit(child, True) for child in node.body))
        if not isinstance(node, Assign) or not inside:
            return node
        dtype = program.buffers[node.target.buffer].dtype
        scaled = _scaled(node.op, node.operands, dtype)
        if scaled is None:
            return node
        factor, rest = scaled
        made = makers(program, known, dtype)(rest)
        inner = _scaled(*made, dtype) if made is not None else None
        if inner is not None and _may_join(inner[0], factor, dtype):
            factor, rest = factor * inner[0], inner[1]
        return node._replace(op="mul", operands=(factor, rest))

    return program._replace(body=tuple(visit(node, False) for node in program.body))


def _scaled(op: str, operands: tuple[Operand, ...], dtype: str) -> tuple[float, Operand] | None:
    """Return the number and the operand that an op multiplies, if it does that."""
    if op not in ("mul", "div") or len(operands) != 2:
        return None
    x, y = operands
    if op == "div":
        if isinstance(y, Ref) or not isinstance(x, Ref):
            return None
        normal = _is_normal(y, dtype) and _is_normal(1.0 / y, dtype)
        return (1.0 / y, x) if normal else None
    number, other = (x, y) if not isinstance(x, Ref) else (y, x)
    if isinstance(number, Ref) or not isinstance(other, Ref):
        return None
    return (number, other) if _is_normal(number, dtype) else None


def _is_normal(number: float, dtype: str) -> bool:
    least, most = LIMITS[dtype]
    return least <= abs(number) <= most


def _may_join(first: float, second: float, dtype: str) -> bool:
    """Whether one product overflows where two do: not if the second brings back the first."""
    shrinks = abs(first) > 1.0 and abs(second) < 1.0
    return not shrinks and _is_normal(first * second, dtype)

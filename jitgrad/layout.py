"""Lay out an expression over several lines where it is too long for one.

>>> tree = ast.parse("where(x > 0.0, log(x), where(x < -1.0, x, exp(x)))", mode="eval").body
>>> print(laid_out(tree, 0, 40))
where(
    x > 0.0,
    log(x),
    where(x < -1.0, x, exp(x)),
)
"""

from __future__ import annotations

import ast

WIDTH = 100  # no line is longer if that can be helped


def laid_out(node: ast.expr, indent: int, room: int) -> str:
    """Return the text of an expression: each argument of a long call has lines of its own.

    Parameters
    ----------
    node : ast.expr
    indent : int
        How far the line that it stands in is indented.
    room : int
        How much of the first line is left for it.
    """
    text = ast.unparse(node)
    if len(text) <= room or not isinstance(node, ast.Call):
        return text
    inner = indent + 4
    arguments = [laid_out(argument, inner, WIDTH - inner - 1) for argument in node.args]
    lines = [f"{' ' * inner}{argument},\n" for argument in arguments]
    return f"{ast.unparse(node.func)}(\n{''.join(lines)}{' ' * indent})"

"""Build expressions: the tree of each op, and which locals may go into one.

>>> ast.unparse(build("pow", [build("sub", [ast.Name("a"), ast.Name("b")]), constant(-2.0)]))
'(a - b) ** -2.0'
"""

from __future__ import annotations

import ast
import copy
import functools
import math
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jitgrad.layout import WIDTH, laid_out
from jitgrad.ops import ARGUMENTS, OPS, library_call, operator_node, parsed
from jitgrad.program import Assign
from jitgrad.routines import ROUTINES
from jitgrad.vector_math import LARGEST_POWER, POWER, is_direct

SUM = "add_up"  # the helper that sums are made with
DOT = "dot"  # what is printed for a matrix product by BLAS
SINGLE = "_f4"  # what the name of a helper for float32 ends with
_NUMBERS = re.compile(r"\b\d[\d.]*(e-?\d+)?")


class Expression(NamedTuple):
    """A tree, how deep it is, whether it is a truth value, which storage it reads, and its type."""

    node: ast.expr
    nesting: int = 0
    truth: bool = False
    reads: frozenset[str] = frozenset()
    dtype: str = "f8"


def width(text: str) -> int:
    """Return how long a line is, each number counted alike: two sizes have their lines alike.

    >>> width("x[i] * 0.013513513513513514") == width("x[i] * 0.25")
    True
    """
    return len(_NUMBERS.sub("0.00", text))


class Pending(NamedTuple):
    """An assignment that waits for the statement that reads it."""

    node: Assign
    expression: Expression
    width: int


def constant(value: float, dtype: str = "f8") -> ast.expr:
    """Build a number. A bare one is float64 in Numba.

    >>> ast.unparse(constant(-0.1, "f4"))
    '-f4(0.1)'
    """
    if dtype == "f4":
        size = call("f4", constant(shortest(math.fabs(value))))
        return ast.UnaryOp(ast.USub(), size) if math.copysign(1.0, value) < 0 else size
    if math.isnan(value):
        return ast.Attribute(ast.Name("np"), "nan")
    if math.copysign(1.0, value) < 0:
        return ast.UnaryOp(ast.USub(), constant(-value))
    if math.isfinite(value):
        return ast.Constant(float(value))
    return ast.Attribute(ast.Name("np"), "inf")


def shortest(value: float) -> float:
    """Return what is written for a number in float32: fewer digits where it is one.

    >>> shortest(0.10000000149011612), shortest(0.1), shortest(1 / 3)
    (0.1, 0.1, 0.3333333333333333)
    """
    with np.errstate(over="ignore"):
        single = np.float32(value)
    return float(str(single)) if float(single) == value else value


def build(op: str, nodes: list[ast.expr]) -> ast.expr:
    """Build the expression of an op."""
    match op, nodes:
        case "copy" | "detach" | "attach", [x, *_]:
            return x
        case "logical_and" | "logical_or", [x, y]:
            return ast.BinOp(x, ast.BitAnd() if op == "logical_and" else ast.BitOr(), y)
        case "logical_not", [ast.Compare(left=x, ops=[ast.NotEq()], comparators=[y])]:
            return ast.Compare(x, [ast.Eq()], [y])
        case "logical_not", [x]:
            return ast.UnaryOp(ast.Not(), x)
        case "pow", [x, y]:
            return ast.BinOp(x, ast.Pow(), _whole(y))
        case "add", [x, y] if (opposite := without_sign(y)) is not None:
            return ast.BinOp(x, ast.Sub(), opposite)
        case "add", [x, y] if (opposite := without_sign(x)) is not None:
            return ast.BinOp(y, ast.Sub(), opposite)
        case "sub", [x, y] if (opposite := without_sign(y)) is not None:
            return ast.BinOp(x, ast.Add(), opposite)
    match _operator(op), nodes:
        case ast.BinOp(op=symbol), [x, y]:
            return ast.BinOp(x, symbol, y)
        case ast.Compare(ops=symbols), [x, y]:
            return ast.Compare(x, symbols, [y])
        case ast.UnaryOp(op=sign), [x]:
            return ast.UnaryOp(sign, x)
    _, function = library_call(op) or ("", op)
    return call(function, *nodes)


def without_sign(node: ast.expr) -> ast.expr | None:
    """Return what an expression that begins with a minus is the negative of, to the bit.

    >>> ast.unparse(without_sign(ast.parse("-x * y / 2.0", mode="eval").body))
    'x * y / 2.0'
    """
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return operand
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div()):
            opposite = without_sign(left)
            return ast.BinOp(opposite, node.op, node.right) if opposite is not None else None
    return None


def call(function: str, *nodes: ast.expr) -> ast.expr:
    """Build a call."""
    return ast.Call(ast.Name(function), list(nodes), [])


def _operator(op: str) -> ast.expr | None:
    """Return the tree of an op that is one operator, if it names each argument once: not x * x."""
    node = operator_node(op)
    names = [child for child in ast.walk(node) if isinstance(child, ast.Name)] if node else []
    return node if len(names) == OPS[op].arity else None


def _whole(exponent: ast.expr) -> ast.expr:
    """Make a whole exponent an int, but no negative one: Numba's 0.0 ** -1 raises."""
    match exponent:
        case ast.Call(func=ast.Name("f4"), args=[ast.Constant() as inside]):
            whole = _whole(inside)
            return exponent if whole is inside else whole
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=float(value))):
            return ast.Constant(-value)  # on the right of ** a sign needs no parentheses
        case ast.Constant(value=float(value)):
            small = value.is_integer() and value <= LARGEST_POWER
            return ast.Constant(int(value)) if small else exponent
    return exponent


def power(x: ast.expr, exponent: ast.expr) -> ast.expr:
    """Build a power in a loop that LLVM is to vectorise.

    LLVM makes ``x ** 0.5`` a square root, with care for -0.0 and -inf.

    >>> show = lambda e: ast.unparse(power(ast.Name("x"), constant(e)))
    >>> show(3.0), show(0.5), show(-0.5), show(2.5)
    ('x ** 3', 'x ** 0.5', '1.0 / x ** 0.5', 'power(x, 2.5)')
    >>> ast.unparse(power(ast.Name("x"), constant(-0.5, "f4")))
    'f4(1.0) / x ** f4(0.5)'
    """
    value, dtype = _number(exponent)
    if value is None or not is_direct(value):
        return call(POWER, x, exponent)
    if value != -0.5:
        return build("pow", [x, exponent])
    root = build("pow", [x, constant(0.5, dtype)])
    return ast.BinOp(constant(1.0, dtype), ast.Div(), root)


def _number(node: ast.expr) -> tuple[float | None, str]:
    """Return the number that `constant` has written, if it is one, and its type."""
    match node:
        case ast.Constant(value=float(value)):
            return value, "f8"
        case ast.Call(func=ast.Name("f4"), args=[ast.Constant(value=float(value))]):
            return value, "f4"
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inside, dtype = _number(operand)
            return None if inside is None else -inside, dtype
    return None, "f8"


def nesting(op: str, operands: Sequence[Expression]) -> int:
    """Count levels; a chain of sums or of products is one."""
    if op in ("copy", "detach", "attach"):
        return operands[0].nesting
    levels = [operand.nesting + 1 for operand in operands]
    match operands[0].node, op:
        case ast.BinOp(op=ast.Add() | ast.Sub()), "add" | "sub":
            levels[0] -= 1
        case ast.BinOp(op=ast.Mult() | ast.Div()), "mul" | "div":
            levels[0] -= 1
    return max(levels)


def table(name: str, data: np.ndarray[Any, Any], width: int) -> str:
    """Return the definition of a constant."""
    single = data.dtype == np.float32
    numbers = [ast.unparse(_literal(value, single)) for value in data.reshape(-1).tolist()]
    if data.ndim == 0:
        return f"{name} = f4({numbers[0]})" if single else f"{name} = {numbers[0]}"
    shape = f".reshape({', '.join(map(str, data.shape))})" if data.ndim > 1 else ""
    kind = ", dtype=np.int64" if data.dtype.kind == "i" else ", dtype=f4" if single else ""
    line = f"{name} = np.array([{', '.join(numbers)}]{kind}){shape}"
    if len(line) <= width:
        return line
    indent = "        "
    inside = textwrap.fill(
        ", ".join(numbers) + ",", width, initial_indent=indent, subsequent_indent=indent
    )
    return f"{name} = np.array(\n    [\n{inside}\n    ]{kind}\n){shape}"


def _literal(value: float, single: bool) -> ast.expr:
    if isinstance(value, int):
        return ast.Constant(value)
    return constant(shortest(value) if single else value)


# --- the functions that a kernel calls -----------------------------------------------------------


def is_function(op: str) -> bool:
    """Whether an op is printed as a call."""
    plain = isinstance(parsed(OPS[op].expression), ast.Name) or op.startswith("logical_")
    return not plain and _operator(op) is None


def is_helper(op: str) -> bool:
    """Whether an op is printed as a call of a function that Python and NumPy do not have."""
    return is_function(op) and library_call(op) is None and op != "abs"


@functools.cache
def in_single(op: str) -> str:
    """Return the function of an op for float32: numbers that are written in it are float64 else.

    >>> in_single("relu"), in_single("maximum")
    ('relu_f4', 'maximum')
    """
    parts = ast.walk(parsed(OPS[op].expression))
    literals = is_helper(op) and any(isinstance(part, ast.Constant) for part in parts)
    return op + SINGLE if literals else op


def functions(ops: Iterable[str], library: Collection[str] = ()) -> list[str]:
    """Return the ops that are functions and what these call, each after those that it calls.

    What the functions of ``library`` call is left out.
    """
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        op = name.removesuffix(SINGLE)
        if op in OPS and name not in found and is_function(op):
            for node in ast.walk(parsed(OPS[op].expression)):
                if isinstance(node, ast.Name) and node.id != op and name not in library:
                    visit(node.id)
            found[name] = None

    for op in sorted(ops):
        visit(op)
    return list(found)


def imports(
    called: list[str],
    body: str,
    types: Iterable[str] = (),
    library: Collection[str] = (),
    routines: Collection[str] = (),
) -> str:
    """Return the import statements for the library functions among some ops, and for a text.

    Those of ``library`` come from `vector_math`, and ``routines`` from where their table says.
    """
    modules: dict[str, set[str]] = {"math": set(), "numpy": set(), "special": set()}
    modules["numpy"] |= {f"{np.dtype(name).name} as {name}" for name in types}
    ops = {name for name in called if name in OPS} - {*library}
    for module, function in filter(None, map(library_call, ops)):
        modules[module].add(function)
    powers = [POWER] if re.search(rf"\b{POWER}\(", body) else []
    vectors = sorted([*({*called} & {*library}), *powers])
    lines = {
        module: f"from {module} import {', '.join(sorted(names))}"
        for module, names in modules.items()
        if names
    }
    if re.search(r"\bmath\.", body):
        lines["math"] = "\n".join(filter(None, ["import math", lines.get("math", "")]))
    ours = ["import numpy as np"] if re.search(r"\bnp\.", body) else []
    ours += [lines["numpy"]] if "numpy" in lines else []
    made = [lines["special"].replace("special", "jitgrad.special")] if "special" in lines else []
    made += [f"from jitgrad.blas import {DOT}"] if re.search(rf"(?<![.\w]){DOT}\(", body) else []
    made += _routine_imports(routines)
    made += [f"from jitgrad.vector_math import {', '.join(vectors)}"] if vectors else []
    return "\n\n".join(filter(None, [lines.get("math", ""), "\n".join(ours), "\n".join(made)]))


def _routine_imports(routines: Collection[str]) -> list[str]:
    modules: dict[str, list[str]] = {}
    for name in sorted(routines):
        modules.setdefault(ROUTINES[name].module, []).append(name)
    return [f"from {module} import {', '.join(modules[module])}" for module in sorted(modules)]


def helper(name: str) -> str:
    """Return the definition of an op as a function."""
    if name == SUM:
        return f"def {SUM}(total, term):\n    return total + term"
    row = OPS[name.removesuffix(SINGLE)]
    arguments = ", ".join(ARGUMENTS[: row.arity])
    value = parsed(row.expression)
    if name.endswith(SINGLE):
        value = _Singles().visit(copy.deepcopy(value))
    return f"def {name}({arguments}):\n    return {laid_out(value, 4, WIDTH - 11)}"


class _Singles(ast.NodeTransformer):
    """Makes the numbers of an expression float32."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return call("f4", node)


# --- the module ----------------------------------------------------------------------------------


def signature(name: str, parameters: Sequence[str]) -> str:
    """Return the line or lines of a function's head."""
    line = f"def {name}({', '.join(parameters)}):"
    if len(line) <= WIDTH:
        return line
    inside = ", ".join(parameters)
    if len(inside) > WIDTH - 4:
        inside = ",\n    ".join(parameters) + ","
    return f"def {name}(\n    {inside}\n):"


def summary(outputs: Sequence[str]) -> str:
    """Return what a kernel's docstring says."""
    if not outputs:
        return "Return the value."
    line = f"Return the value; write {', '.join(outputs)}."
    return line if len(line) <= WIDTH - 10 else "Return the value; write the last arguments."


def docstring(header: str) -> str:
    """Return a module's docstring."""
    escaped = header.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""{escaped}"""' if header else ""

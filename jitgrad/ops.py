"""The table: one row per scalar op; the operators made from it.

A row holds an expression and, for each argument, the cotangent that flows back to it, as a
string that is linear in the incoming cotangent ``g``. Everything else is made from these strings:
the eager function on numbers and arrays, the generated source, and the statements of the adjoint.

>>> OPS["tanh"].evaluate(0.5)
0.46211715726000974
>>> OPS["tanh"].partials
('g * (1.0 - out * out)',)
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jitgrad import special_rows
from jitgrad.errors import UnsupportedError, user_location
from jitgrad.ieee import (
    Number,
    array_library,
    ieee,
    quiet,
    scalar_library,
    scalar_pow,
    scalar_where,
)
from jitgrad.special_rows import Refused

ARGUMENTS = ("x", "y", "z")
LN2 = "0.6931471805599453"


class Op(NamedTuple):
    """One scalar operation.

    Parameters
    ----------
    name : str
        NumPy's name for it.
    expression : str
        The value in terms of ``x``, ``y``, ``z``. ``numpy.f(x)`` and ``math.f(x)`` are library
        calls; other names are rows of this table.
    partials : tuple of (str, Refused or None)
        For each argument what it receives when the result's cotangent is ``g``; ``out`` is the
        result. None where the derivative is zero everywhere it exists, `Refused` where it is not
        zero and there is no formula.
    domain : tuple of (float, float)
        For each argument an interval inside which tests draw points.
    kink : str
        The convention where the derivative does not exist, if there is such a point.
    boolean : bool
        Whether the result is a truth value.
    """

    name: str
    expression: str
    partials: tuple[str | Refused | None, ...]
    domain: tuple[tuple[float, float], ...]
    kink: str = ""
    boolean: bool = False

    @property
    def arity(self) -> int:
        """The number of arguments."""
        return len(self.partials)

    def partial(self, argument: int, where: str) -> str | None:
        """Return a partial; ``where`` in the user's code is said where there is none to be had."""
        found = self.partials[argument]
        if isinstance(found, Refused):
            raise UnsupportedError(
                f"{where}: the derivative of {self.name} in its {found.argument} was asked for; it "
                "is not available. Pass this argument as a plain number, or write .detach() after "
                "it."
            )
        return found

    def evaluate(self, *operands: Number) -> Number:
        """Compute the op on numbers, or elementwise on arrays, with IEEE results at the edges."""
        if np.ndarray in map(type, operands):
            return quiet(_array_function(self.name), *operands)
        return ieee(_scalar_function(self.name), *operands)

    def pull(self, argument: int, g: Number, out: Number, *operands: Number) -> Number:
        """Compute what ``argument`` receives when the result's cotangent is ``g``."""
        if np.ndarray in map(type, (g, out, *operands)):
            return quiet(_partial_function(self.name, argument, True), g, out, *operands)
        return ieee(_partial_function(self.name, argument, False), g, out, *operands)


WIDE, POSITIVE, UNIT, FAR = (-2.0, 2.0), (0.2, 3.0), (-0.9, 0.9), (1.2, 3.0)  # where tests draw


def _unary(name: str, partial: str | None, domain: tuple[float, float] = WIDE, **more: Any) -> Op:
    expression = more.pop("expression", f"numpy.{name}(x)")
    return Op(name, expression, (partial,), (domain,), **more)


def _compare(name: str, expression: str, arity: int = 2) -> Op:
    return Op(name, expression, (None,) * arity, (WIDE,) * arity, boolean=True)


_ROWS = (
    Op("add", "x + y", ("g", "g"), (WIDE, WIDE)),
    Op("sub", "x - y", ("g", "-g"), (WIDE, WIDE)),
    Op("mul", "x * y", ("g * y", "g * x"), (WIDE, WIDE)),
    Op("div", "x / y", ("g / y", "-(g / y) * out"), (WIDE, POSITIVE)),
    Op(
        "mod",
        "x % y",
        ("g", "-g * floor(x / y)"),
        ((0.1, 0.9), (1.1, 1.9)),
        kink="the right derivative at multiples of y",
    ),
    Op("floor_divide", "x // y", (None, None), ((0.1, 0.9), (1.1, 1.9))),
    Op(
        "fmod",
        "numpy.fmod(x, y)",
        ("g", "-g * trunc(x / y)"),
        ((0.1, 0.9), (1.1, 1.9)),
        kink="that of a larger size at multiples of y",
    ),
    Op(
        "pow",
        "x ** y",
        (
            "where(y == 0.0, 0.0, g * (y * pow(x, y - 1.0)))",
            "where(logical_and(x == 0.0, y >= 0.0), 0.0, g * out * log(x))",
        ),
        (POSITIVE, WIDE),
        kink="x ** 0 has derivative 0 in x everywhere; 0 ** y has derivative 0 in y for y >= 0",
    ),
    Op(
        "arctan2",
        "numpy.arctan2(x, y)",
        ("g * y / (x * x + y * y)", "-g * x / (x * x + y * y)"),
        (WIDE, POSITIVE),
    ),
    Op("hypot", "numpy.hypot(x, y)", ("g * x / out", "g * y / out"), (POSITIVE, POSITIVE)),
    Op(
        "maximum",
        "where((x >= y) | (x != x), x, y)",
        (
            "where(x > y, g, where(x == y, 0.5 * g, 0.0))",
            "where(y > x, g, where(x == y, 0.5 * g, 0.0))",
        ),
        (WIDE, WIDE),
        kink="a tie gives each argument half",
    ),
    Op(
        "minimum",
        "where((x <= y) | (x != x), x, y)",
        (
            "where(x < y, g, where(x == y, 0.5 * g, 0.0))",
            "where(y < x, g, where(x == y, 0.5 * g, 0.0))",
        ),
        (WIDE, WIDE),
        kink="a tie gives each argument half",
    ),
    Op(
        "fmax",
        "where((x >= y) | (y != y), x, y)",
        (
            "where((x > y) | (y != y), g, where(x == y, 0.5 * g, 0.0))",
            "where((y > x) | (x != x), g, where(x == y, 0.5 * g, 0.0))",
        ),
        (WIDE, WIDE),
        kink="a tie gives each argument half",
    ),
    Op(
        "fmin",
        "where((x <= y) | (y != y), x, y)",
        (
            "where((x < y) | (y != y), g, where(x == y, 0.5 * g, 0.0))",
            "where((y < x) | (x != x), g, where(x == y, 0.5 * g, 0.0))",
        ),
        (WIDE, WIDE),
        kink="a tie gives each argument half",
    ),
    Op(
        "copysign",
        "numpy.copysign(x, y)",
        ("g * (sign(x) * copysign(1.0, y))", None),
        (POSITIVE, POSITIVE),
        kink="0 where x is 0",
    ),
    Op(
        "heaviside",
        "where(x == 0.0, y, where(x < 0.0, 0.0, where(x > 0.0, 1.0, x)))",
        (None, "where(x == 0.0, g, 0.0)"),
        ((0.0, 0.0), WIDE),
        kink="0 in x, at 0 too",
    ),
    Op(
        "logaddexp",
        f"where(x == y, x + {LN2}, maximum(x, y) + log1p(exp(-abs(x - y))))",
        (
            "where(x == y, 0.5 * g, g * sigmoid(x - y))",
            "where(x == y, 0.5 * g, g * sigmoid(y - x))",
        ),
        (WIDE, WIDE),
    ),
    Op(
        "logaddexp2",
        f"where(x == y, x + 1.0, maximum(x, y) + log1p(exp2(-abs(x - y))) / {LN2})",
        (
            f"where(x == y, 0.5 * g, g * sigmoid((x - y) * {LN2}))",
            f"where(x == y, 0.5 * g, g * sigmoid((y - x) * {LN2}))",
        ),
        (WIDE, WIDE),
    ),
    _unary("neg", "-g", expression="-x"),
    _unary("copy", "g", expression="x"),
    _unary("reciprocal", "g * -(out * out)", POSITIVE, expression="1.0 / x"),
    _unary("square", "g * (2.0 * x)", expression="x * x"),
    _unary("detach", None, expression="x"),
    Op("attach", "x", (None, "g"), (WIDE, WIDE)),  # the value of x with the derivative of y
    _unary("exp", "g * out"),
    _unary("exp2", f"g * out * {LN2}"),
    _unary("expm1", "g * (out + 1.0)"),
    _unary("log", "g / x", POSITIVE),
    _unary("log2", f"g / (x * {LN2})", POSITIVE),
    _unary("log10", "g / (x * 2.302585092994046)", POSITIVE),
    _unary("log1p", "g / (1.0 + x)", POSITIVE),
    _unary("sqrt", "g / (2.0 * out)", POSITIVE, kink="infinite at 0"),
    _unary("cbrt", "g / (3.0 * out * out)", POSITIVE, kink="infinite at 0"),
    _unary("sin", "g * cos(x)"),
    _unary("cos", "-g * sin(x)"),
    _unary("tan", "g * (1.0 + out * out)", (-1.2, 1.2)),
    _unary("arcsin", "g / sqrt(1.0 - x * x)", UNIT),
    _unary("arccos", "-g / sqrt(1.0 - x * x)", UNIT),
    _unary("arctan", "g / (1.0 + x * x)"),
    _unary("sinh", "g * cosh(x)"),
    _unary("cosh", "g * sinh(x)"),
    _unary("tanh", "g * (1.0 - out * out)"),
    _unary("arcsinh", "g / sqrt(x * x + 1.0)"),
    _unary("arccosh", "g / sqrt(x * x - 1.0)", FAR),
    _unary("arctanh", "g / (1.0 - x * x)", UNIT),
    _unary("erf", "g * 1.1283791670955126 * exp(-x * x)", expression="math.erf(x)"),
    _unary("erfc", "-g * 1.1283791670955126 * exp(-x * x)", expression="math.erfc(x)"),
    _unary("gammaln", "g * digamma(x)", POSITIVE, expression="special.gammaln(x)"),
    _unary("digamma", "g * polygamma(1.0, x)", POSITIVE, expression="special.digamma(x)"),
    _unary("abs", "g * sign(x)", POSITIVE, expression="abs(x)", kink="0 at 0"),
    _unary("sign", None, POSITIVE),
    _unary("floor", None, (0.1, 0.9)),
    _unary("ceil", None, (0.1, 0.9)),
    _unary("trunc", None, (0.1, 0.9)),
    _unary("rint", None, (0.1, 0.4)),
    _unary(
        "relu",
        "where(out > 0.0, g, 0.0)",
        POSITIVE,
        expression="where(x < 0.0, 0.0, x)",
        kink="0 at 0",
    ),
    _unary("sigmoid", "g * out * (1.0 - out)", expression="1.0 / (1.0 + exp(-x))"),
    _unary("softplus", "g * sigmoid(x)", expression="maximum(x, 0.0) + log1p(exp(-abs(x)))"),
    Op(
        "where",
        "y if x else z",
        (None, "where(x, g, 0.0)", "where(x, 0.0, g)"),
        (WIDE, WIDE, WIDE),
    ),
    _compare("eq", "x == y"),
    _compare("ne", "x != y"),
    _compare("lt", "x < y"),
    _compare("le", "x <= y"),
    _compare("gt", "x > y"),
    _compare("ge", "x >= y"),
    _compare("logical_and", "(x != 0.0) & (y != 0.0)"),
    _compare("logical_or", "(x != 0.0) | (y != 0.0)"),
    _compare("logical_not", "x == 0.0", 1),
    *(Op(name, *row) for name, row in special_rows.ROWS.items()),
    _compare("isnan", "x != x", 1),
    _compare("isfinite", "x - x == 0.0", 1),
    _compare("isinf", "(x == x) & (x - x != 0.0)", 1),
    _compare("signbit", "copysign(1.0, x) < 0.0", 1),
)

OPS: dict[str, Op] = {row.name: row for row in _ROWS}

TRUTHS = {"where": 1, "logical_and": 2, "logical_or": 2, "logical_not": 1}
"""How many leading arguments of an op are read as truth values."""

BINARY: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Mod: "mod",
    ast.FloorDiv: "floor_divide",
    ast.Pow: "pow",
    ast.BitAnd: "logical_and",
    ast.BitOr: "logical_or",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Eq: "eq",
    ast.NotEq: "ne",
}


@functools.cache
def parsed(expression: str) -> ast.expr:
    """Parse an expression of the table."""
    return ast.parse(expression, mode="eval").body


@functools.cache
def library_call(name: str) -> tuple[str, str] | None:
    """Return ``(module, function)`` when the row is one call of a library function."""
    node = parsed(OPS[name].expression)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return ast.unparse(node.func.value), node.func.attr
    return None


@functools.cache
def operator_node(name: str) -> ast.expr | None:
    """Return the expression's tree when the row is one Python operator on its arguments."""
    node = parsed(OPS[name].expression)
    children = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    plain = all(isinstance(child, ast.Name) for child in children)
    return node if plain and isinstance(node, ast.BinOp | ast.UnaryOp | ast.Compare) else None


def rewrite(
    expression: str, environment: Mapping[str, Any], apply: Callable[[str, tuple[Any, ...]], Any]
) -> Any:
    """Evaluate an expression of the table over any kind of operand.

    Parameters
    ----------
    expression : str
        An expression or a partial of a row.
    environment : mapping
        What ``x``, ``y``, ``z``, ``out`` and ``g`` stand for.
    apply : callable
        ``apply(op_name, operands)`` performs, records or emits one op; operands are what the
        environment holds, earlier results, or floats.

    Examples
    --------
    >>> show = lambda op, operands: f"{op}({', '.join(operands)})"
    >>> rewrite("g * cos(x)", {"g": "g", "x": "t"}, show)
    'mul(g, cos(t))'
    """

    def visit(node: ast.expr) -> Any:
        match node:
            case ast.Name(id=name):
                return environment[name]
            case ast.Constant(value=value):
                return float(value)  # type: ignore[arg-type]  # the table holds numbers only
            case ast.UnaryOp(operand=operand):
                return apply("neg", (visit(operand),))
            case (
                ast.BinOp(left=left, op=op, right=right)
                | ast.Compare(left=left, ops=[op], comparators=[right])
            ):
                return apply(BINARY[type(op)], (visit(left), visit(right)))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return apply(name, tuple(visit(argument) for argument in arguments))
        raise NotImplementedError(ast.dump(node))

    return visit(parsed(expression))


# --- the eager functions -------------------------------------------------------------------------


@functools.cache
def _namespace(arrays: bool) -> dict[str, Any]:
    """Every op of the table as a function on Python numbers, or on arrays."""
    library = array_library if arrays else scalar_library
    names: dict[str, Any] = {"abs": abs, "where": np.where}
    if not arrays:
        names.update(where=scalar_where, pow=scalar_pow)
    for row in OPS.values():
        call = library_call(row.name)
        if call is not None:
            names[row.name] = library(*call)
        elif row.name not in names:
            names[row.name] = _function(row.expression, ARGUMENTS[: row.arity], names)
    return names


def _function(
    expression: str, arguments: tuple[str, ...], names: dict[str, Any]
) -> Callable[..., Any]:
    made: Callable[..., Any] = eval(f"lambda {', '.join(arguments)}: {expression}", names)
    return made


@functools.cache
def _scalar_function(name: str) -> Callable[..., Number]:
    function: Callable[..., Number] = _namespace(arrays=False)[name]
    return function


@functools.cache
def _array_function(name: str) -> Callable[..., Number]:
    function: Callable[..., Number] = _namespace(arrays=True)[name]
    return function


@functools.cache
def _partial_function(name: str, argument: int, arrays: bool) -> Callable[..., Number]:
    row = OPS[name]
    if isinstance(row.partials[argument], Refused):
        return lambda *_: row.partial(argument, user_location())
    partial = row.partial(argument, "") or "0.0 * g"
    return _function(partial, ("g", "out", *ARGUMENTS[: row.arity]), _namespace(arrays))


@functools.cache
def scalar_partials(name: str) -> tuple[Callable[..., Number] | None, ...]:
    """Return a row's partials as functions ``(g, out, *operands)`` of Python numbers.

    This is `Op.pull` without its care for arrays and for operations on which Python raises.
    """
    return tuple(
        None if partial is None else _partial_function(name, argument, False)
        for argument, partial in enumerate(OPS[name].partials)
    )

r"""One kernel for all sizes: a generated source whose numbers follow the arguments' extents.

A kernel is printed for the shapes of one call. When a second call brings other shapes and its
kernel's source differs in numbers only, each of these is written in terms of the extents that
changed (``n``, ``n - 1``, ``3 * n``, ``1.0 / n``): that is the kernel for both. A third call's
source is still made, which takes milliseconds, and every number in it compared with what the
expression gives, bit by bit; so no size is ever assumed to follow a rule that it does not follow.

>>> first = Printed("def k(x):\n    return x[9] / 10.0\n", "k", {"x": (10,)})
>>> second = Printed("def k(x):\n    return x[11] / 12.0\n", "k", {"x": (12,)})
>>> kernel = generalised(first, second)
>>> print(kernel.text, end="")
def k(x):
    n = x.shape[0]
    return x[(n - 1)] / float(n)
>>> kernel.fits(Printed("def k(x):\n    return x[4] / 5.0\n", "k", {"x": (5,)}))
True
>>> kernel.fits(Printed("def k(x):\n    return x[3] / 5.0\n", "k", {"x": (5,)}))
False
"""

from __future__ import annotations

import ast
import builtins
import io
import itertools
import keyword
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

Extents: TypeAlias = Mapping[str, tuple[int, ...]]
_SKIPPED = (tokenize.NL, tokenize.COMMENT, tokenize.ENCODING)


class Printed(NamedTuple):
    """A generated module, its kernel's name, the extents of its arrays, its other functions."""

    text: str
    name: str
    extents: Extents
    helpers: tuple[str, ...] = ()


class Size(NamedTuple):
    """An extent that changes: an axis of an argument."""

    array: str
    axis: int

    def of(self, extents: Extents) -> int:
        """Return what it is in one call."""
        return extents[self.array][self.axis]


class Formula(NamedTuple):
    """A number in terms of sizes: one way to compute and to print it."""

    kind: str
    sizes: tuple[Size, ...]
    factor: float = 1
    offset: int = 0

    def value(self, extents: Extents) -> int | float:
        """Compute it."""
        first, *others = (size.of(extents) for size in self.sizes)
        match self.kind:
            case "linear":
                return int(self.factor) * first + self.offset
            case "product":
                return first * others[0]
            case "float":
                return float(first * (others[0] if others else 1))
        return self.factor / first if first else float("nan")

    def show(self, names: Mapping[Size, str]) -> str:
        """Print it."""
        first, *others = (names[size] for size in self.sizes)
        match self.kind:
            case "linear":
                scaled = first if self.factor == 1 else f"{int(self.factor)} * {first}"
                sign = "-" if self.offset < 0 else "+"
                shifted = f"{scaled} {sign} {abs(self.offset)}" if self.offset else scaled
                return shifted if shifted == first else f"({shifted})"
            case "product":
                return f"({first} * {others[0]})"
            case "float":
                return f"float({' * '.join([first, *others])})"
        return f"({self.factor!r} / {first})"


class Generic(NamedTuple):
    """A kernel for several shapes.

    Parameters
    ----------
    text : str
        The module.
    first : Printed
        What it was made from.
    holes : dict of int to Formula
        The numbers of the first module, by place among its tokens, that follow from sizes.
    """

    text: str
    first: Printed
    holes: Mapping[int, Formula]

    def fits(self, other: Printed) -> bool:
        """Whether this kernel does for another call what the source printed for it says."""
        differing = _differences(_tokens(self.first.text), _tokens(other.text))
        if differing is None or set(differing) - set(self.holes):
            return False
        tokens = _tokens(other.text)
        return all(
            _same(formula.value(other.extents), ast.literal_eval(tokens[at].string))
            for at, formula in self.holes.items()
        )


def generalised(first: Printed, second: Printed) -> Generic | None:
    """Make one kernel of two that differ in sizes only; None where there is no such kernel."""
    tokens, others = _tokens(first.text), _tokens(second.text)
    differing = _differences(tokens, others)
    head = _body_starts(first)
    if differing is None or any(tokens[at].start[0] <= head for at in differing):
        return None  # numbers of a table, in front of the kernel, know no sizes
    sizes = _changing(first.extents, second.extents)
    holes: dict[int, Formula] = {}
    for at in differing:
        pair = ast.literal_eval(tokens[at].string), ast.literal_eval(others[at].string)
        found = next(_formulas(pair, sizes, (first.extents, second.extents)), None)
        if found is None:
            return None
        holes[at] = found
    return Generic(_written(first, tokens, holes), first, holes)


# --- comparing two sources ------------------------------------------------------------------------


def _tokens(text: str) -> list[tokenize.TokenInfo]:
    found = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token for token in found if token.type not in _SKIPPED]


def _differences(
    tokens: Sequence[tokenize.TokenInfo], others: Sequence[tokenize.TokenInfo]
) -> list[int] | None:
    """Return where numbers differ; None where anything else does, names of locals apart."""
    if len(tokens) != len(others):
        return None
    locals_of = _locals(tokens), _locals(others)
    names: dict[str, str] = {}
    back: dict[str, str] = {}
    found = []
    for at, (token, other) in enumerate(zip(tokens, others, strict=True)):
        if token.type != other.type:
            return None
        if token.type == tokenize.NAME:
            same = names.setdefault(token.string, other.string) == other.string
            if not same or back.setdefault(other.string, token.string) != token.string:
                return None
            if token.string != other.string and not (
                token.string in locals_of[0] and other.string in locals_of[1]
            ):
                return None
        elif token.string != other.string:
            header = at == 0 and token.type == tokenize.STRING
            if token.type == tokenize.NUMBER:
                found.append(at)
            elif token.type != tokenize.INDENT and not header:
                return None
    return found


def _locals(tokens: Sequence[tokenize.TokenInfo]) -> set[str]:
    """Return the names that a source gives to its parameters and variables, and to nothing else.

    What is called, imported or looked up in a module means what it says.
    """
    names = {token.string for token in tokens if token.type == tokenize.NAME}
    strings = [token.string for token in tokens]
    elsewhere = {"import", "from", "def", "as", "."}
    fixed = {
        name
        for before, name, after in zip(["", *strings], strings, [*strings[1:], ""], strict=False)
        if before in elsewhere or after in ("(", ".")
    }
    return names - fixed - set(keyword.kwlist) - set(dir(builtins))


def _same(number: float, other: float) -> bool:
    return type(number) is type(other) and number == other


# --- numbers in terms of sizes --------------------------------------------------------------------


def _changing(first: Extents, second: Extents) -> list[Size]:
    """List the extents that changed; of several that changed alike, the first."""
    found: dict[tuple[int, int], Size] = {}
    for array, shape in first.items():
        for axis, pair in enumerate(zip(shape, second[array], strict=True)):
            if pair[0] != pair[1]:
                found.setdefault(pair, Size(array, axis))
    return list(found.values())


def _formulas(
    pair: tuple[float, float], sizes: list[Size], calls: tuple[Extents, Extents]
) -> Iterator[Formula]:
    """Yield the formulas that give both numbers, the simplest first."""
    for formula in itertools.chain(
        *(_of_one_size(pair, size, calls) for size in sizes),
        (Formula("product", two) for two in itertools.combinations_with_replacement(sizes, 2)),
        (Formula("float", two) for two in itertools.combinations_with_replacement(sizes, 2)),
    ):
        if all(_same(formula.value(call), x) for call, x in zip(calls, pair, strict=True)):
            yield formula


def _of_one_size(
    pair: tuple[float, float], size: Size, calls: tuple[Extents, Extents]
) -> Iterator[Formula]:
    a, b = (size.of(call) for call in calls)
    if isinstance(pair[0], float):
        yield Formula("float", (size,))
        factor = float(f"{pair[0] * a:.12g}")
        yield Formula("share", (size,), factor)
        return
    yield Formula("linear", (size,), 1, int(pair[0]) - a)
    slope, rest = divmod(int(pair[1] - pair[0]), b - a)
    if not rest:
        yield Formula("linear", (size,), slope, int(pair[0]) - slope * a)


# --- printing -------------------------------------------------------------------------------------


def _written(
    first: Printed, tokens: Sequence[tokenize.TokenInfo], holes: Mapping[int, Formula]
) -> str:
    """Put the formulas in, and name the sizes at the head of the kernel."""
    taken = {token.string for token in tokens}
    free = (name for k in itertools.count(1) if (name := "n" if k == 1 else f"n{k}") not in taken)
    used = dict.fromkeys(size for formula in holes.values() for size in formula.sizes)
    names = {size: next(free) for size in used}
    lines = first.text.splitlines(keepends=True)
    for at in sorted(holes, reverse=True):
        (row, start), (_, end) = tokens[at].start, tokens[at].end
        line = lines[row - 1]
        lines[row - 1] = line[:start] + holes[at].show(names) + line[end:]
    head = [f"    {name} = {size.array}.shape[{size.axis}]\n" for size, name in names.items()]
    row = _body_starts(first)
    return "".join([*lines[:row], *head, *lines[row:]])


def _body_starts(printed: Printed) -> int:
    """Return the number of the line before the kernel's first statement."""
    tree = ast.parse(printed.text)
    kernel = next(
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == printed.name
    )
    statement = kernel.body[0]
    documented = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return (statement.end_lineno or 0) if documented else statement.lineno - 1

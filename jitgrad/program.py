"""Programs: nodes, walking them, printing them.

A Program is an immutable tree of loop nests of scalar statements over named buffers. Everything
meets here: rolled scalar code and array code are lowered to it, the adjoint and the clean-up passes
map it to itself, and the printer writes it as Python.

A buffer element is addressed by one affine expression of the loop indices per dimension. A buffer
of shape ``()`` is a local. A buffer that ``views`` another one shares its storage from ``offset``
on, with a shape of its own: reshapes and the parts of a packed vector are views.

>>> i = Affine.index("i")
>>> body = Accumulate(Ref("s", ()), Ref("x", (i,)))
>>> program = Program(
...     {"x": Buffer((3,), "input"), "s": Buffer((), "temporary")},
...     (Assign(Ref("s", ()), "copy", (0.0,)), Loop("i", Affine(3), (body,))),
...     Ref("s", ()),
... )
>>> print(program)
x: input f8 3
s: temporary f8 scalar
s = copy(0.0)
for i in range(3):
    s += x[i]
return s
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np


class Affine(NamedTuple):
    """``constant + sum(coefficient * atom)``: an atom is an index or an int element."""

    constant: int = 0
    terms: tuple[tuple[Any, int], ...] = ()

    @staticmethod
    def index(name: str) -> Affine:  # type: ignore[override]
        """The loop index itself."""
        return Affine(0, ((name, 1),))

    @staticmethod
    def of(constant: int, terms: Mapping[Any, int]) -> Affine:
        """Build from a mapping: zero coefficients are dropped, terms are sorted."""
        kept = [(atom, int(c)) for atom, c in terms.items() if c]
        return Affine(int(constant), tuple(sorted(kept, key=lambda term: str(term[0]))))

    def plus(self, other: Affine | int, scale: int = 1) -> Affine:
        """Return ``self + scale * other``."""
        if isinstance(other, int):
            return Affine(self.constant + scale * other, self.terms)
        if not other.terms:
            return Affine(self.constant + scale * other.constant, self.terms)
        terms = dict(self.terms)
        for atom, c in other.terms:
            terms[atom] = terms.get(atom, 0) + scale * c
        return Affine.of(self.constant + scale * other.constant, terms)

    def substitute(self, values: Mapping[str, Affine]) -> Affine:
        """Replace loop indices, also inside gathered elements."""
        if not self.terms:
            return self
        result = Affine(self.constant)
        for atom, c in self.terms:
            if isinstance(atom, Ref):
                result = result.plus(Affine(0, ((atom.substitute(values), c),)))
            else:
                result = result.plus(values.get(atom, Affine(0, ((atom, 1),))), c)
        return result

    def coefficient(self, name: str) -> int:
        """Return the factor of a loop index."""
        return next((c for atom, c in self.terms if atom == name), 0)

    def indices(self) -> set[str]:
        """Return the loop indices that occur, gathered positions included."""
        found: set[str] = set()
        for atom, _ in self.terms:
            found |= atom.indices() if isinstance(atom, Ref) else {atom}
        return found

    def gathers(self) -> bool:
        """Whether an element of an integer buffer takes part."""
        return any(isinstance(atom, Ref) for atom, _ in self.terms)


class Ref(NamedTuple):
    """One element of a buffer."""

    buffer: str
    index: tuple[Affine, ...] = ()  # type: ignore[assignment]

    def substitute(self, values: Mapping[str, Affine]) -> Ref:
        """Replace loop indices in the position."""
        return Ref(self.buffer, tuple(position.substitute(values) for position in self.index))

    def gathers(self) -> bool:
        """Whether an element of an integer buffer takes part in the position."""
        return any(position.gathers() for position in self.index)

    def indices(self) -> set[str]:
        """Return the loop indices that the position depends on."""
        return (
            set().union(*(position.indices() for position in self.index)) if self.index else set()
        )


Operand: TypeAlias = Ref | float


class Assign(NamedTuple):
    """``target = op(*operands)``."""

    target: Ref
    op: str
    operands: tuple[Operand, ...]
    site: int = -1


class Accumulate(NamedTuple):
    """``target = op(target, value)``, where the order of the values does not matter: ``+=``."""

    target: Ref
    value: Operand
    site: int = -1
    op: str = "add"


class Product(NamedTuple):
    """``target[i, j] = sum over k of left[i, k] * right[k, j]``: a matrix product, made by BLAS.

    ``loops`` holds the indices i, j and k with their extents. Each matrix is all of its buffer's
    last two dimensions, as it lies or transposed.
    """

    target: Ref
    left: Ref
    right: Ref
    loops: tuple[tuple[str, int], ...]
    site: int = -1

    def nest(self) -> Loop:
        """Return the loops that compute the same."""
        (i, rows), (j, columns), (k, terms) = self.loops
        factor = Ref(f"{self.target.buffer}_term")
        step = (Assign(factor, "mul", (self.left, self.right)), Accumulate(self.target, factor))
        body = (Assign(self.target, "copy", (0.0,)), Loop(k, Affine(terms), step))
        return Loop(i, Affine(rows), (Loop(j, Affine(columns), body),))


class Call(NamedTuple):
    """``target = routine(*operands)``: whole arrays, made by a routine of `routines`.

    ``loops`` holds the indices that name the elements of these arrays, with their extents. Each
    array is all of its buffer's last dimensions, as they lie.
    """

    target: Ref
    routine: str
    operands: tuple[Ref, ...]
    loops: tuple[tuple[str, int], ...]
    site: int = -1

    def around(self, ref: Ref) -> tuple[Loop, ...]:
        """Return the loops over the elements of one of the arrays."""
        own = ref.indices()
        return tuple(Loop(name, Affine(extent), ()) for name, extent in self.loops if name in own)

    def outer(self, ref: Ref) -> tuple[Affine, ...]:
        """Return the positions that say which of the arrays in its buffer one is."""
        own = {name for name, _ in self.loops}
        return tuple(position for position in ref.index if not position.indices() & own)


class Loop(NamedTuple):
    """``body`` for each ``index`` in ``range(extent)``, from the last to the first if backward.

    A ``limit``, in terms of the loops around, cuts the extent: the last strip of rows is shorter.
    The ``step`` is for the printer alone: see `strips.by_first_rows`.
    """

    index: str  # type: ignore[assignment]
    extent: Affine
    body: tuple[Any, ...]
    backward: bool = False
    limit: Affine | None = None
    step: int = 1


Statement: TypeAlias = Assign | Accumulate | Product | Call
Node: TypeAlias = Statement | Loop
Block: TypeAlias = tuple[Node, ...]


class Buffer(NamedTuple):
    """Storage for numbers.

    Parameters
    ----------
    shape : tuple of int
        Its extents; ``()`` for a local.
    kind : str
        ``input``, ``output`` (given by the caller), ``temporary``, or ``table`` (constant data).
    dtype : str
        ``f8`` or ``i8``.
    views : str or None
        The buffer whose storage it shares.
    offset : int
        Where in the viewed storage it starts.
    label : str
        What a reader would call it.
    """

    shape: tuple[int, ...]
    kind: str
    dtype: str = "f8"
    views: str | None = None
    offset: int = 0
    label: str = ""


class Program(NamedTuple):
    """Loop nests over buffers.

    Parameters
    ----------
    buffers : dict of str to Buffer
        Every buffer that the body names; inputs first, in the caller's order, then outputs.
    body : tuple of nodes
        What is executed, in order.
    result : Ref or float
        The scalar that the kernel returns.
    tables : dict of str to ndarray
        The data of ``table`` buffers.
    sites : tuple of (str, int, str)
        For each site number its file, line and the name that the user's code gives to the value.
    """

    buffers: dict[str, Buffer]
    body: Block
    result: Operand
    tables: dict[str, np.ndarray[Any, Any]] = {}  # noqa: RUF012 - never changed
    sites: tuple[tuple[str, int, str], ...] = ()

    @property
    def statements(self) -> int:
        """The number of nodes, loops counted."""
        return sum(1 for _ in walk(self.body))

    def __str__(self) -> str:
        lines = [f"{name}: {describe(buffer)}" for name, buffer in self.buffers.items()]
        return "\n".join([*lines, *show(self.body), f"return {show_operand(self.result)}"])


def describe(buffer: Buffer) -> str:
    """Describe a buffer in one line."""
    shape = "x".join(map(str, buffer.shape)) or "scalar"
    view = f" view of {buffer.views}[{buffer.offset}:]" if buffer.views else ""
    return f"{buffer.kind} {buffer.dtype} {shape}{view}"


# --- walking -------------------------------------------------------------------------------------


def walk(block: Iterable[Node]) -> Iterator[Node]:
    """Yield each node of a block, outer before inner."""
    for node in block:
        yield node
        if isinstance(node, Loop):
            yield from walk(node.body)


def statements_of(block: Iterable[Node]) -> Iterator[Statement]:
    """Yield each statement of a block, those in loops included."""
    return (node for node in walk(block) if not isinstance(node, Loop))


def operands_of(node: Statement) -> tuple[Operand, ...]:
    """Return what a statement reads as numbers, the accumulated element excepted."""
    if isinstance(node, Assign | Call):
        return node.operands
    return (node.value,) if isinstance(node, Accumulate) else (node.left, node.right)


def refs_of(node: Statement) -> list[Ref]:
    """Return the elements that a statement itself names: what it writes, then what it reads."""
    return [node.target, *(x for x in operands_of(node) if isinstance(x, Ref))]


def reads(node: Statement) -> list[Ref]:
    """Return the elements that a statement reads, the accumulated one excepted."""
    found: list[Ref] = []
    for operand in operands_of(node):
        if isinstance(operand, Ref):
            found.append(operand)
            found += gathered(operand)
    found += gathered(node.target)
    return found


def gathered(ref: Ref) -> list[Ref]:
    """Return the elements of integer buffers inside a position."""
    found: list[Ref] = []
    for _, terms in ref.index:
        for atom, _ in terms:
            if isinstance(atom, Ref):
                found.append(atom)
                found += gathered(atom)
    return found


def nest(loops: Sequence[tuple[str, int]], *body: Node) -> Node:
    """Wrap a body in loops over fixed extents; a single node without loops is returned bare."""
    block: Block = body
    for name, extent in reversed(loops):
        block = (Loop(name, Affine(extent), block),)
    only = block[0]
    if len(block) == 1:
        return only
    assert not isinstance(only, Loop)
    return Loop(f"once_{only.target.buffer}", Affine(1), block)


def map_refs(node: Node, change: Callable[[Ref], Ref]) -> Node:
    """Rebuild a node with each of its Refs changed, first those inside of positions."""
    return _map_whole(node, lambda ref: change(_with_atoms(ref, change) if ref.gathers() else ref))


def _map_whole(node: Node, change: Callable[[Ref], Ref]) -> Node:
    """Rebuild a node with the Refs changed that are not inside of positions."""

    def operand(value: Operand) -> Operand:
        return change(value) if isinstance(value, Ref) else value

    if isinstance(node, Assign):
        return node._replace(
            target=change(node.target), operands=tuple(map(operand, node.operands))
        )
    if isinstance(node, Accumulate):
        return node._replace(target=change(node.target), value=operand(node.value))
    if isinstance(node, Product):
        return node._replace(
            target=change(node.target), left=change(node.left), right=change(node.right)
        )
    if isinstance(node, Call):
        return node._replace(target=change(node.target), operands=tuple(map(change, node.operands)))
    return node._replace(body=tuple(_map_whole(child, change) for child in node.body))


def _with_atoms(ref: Ref, change: Callable[[Ref], Ref]) -> Ref:
    """Change the elements of integer buffers in a position."""
    index = []
    for position in ref.index:
        terms = {
            change(_with_atoms(atom, change)) if isinstance(atom, Ref) else atom: c
            for atom, c in position.terms
        }
        index.append(Affine.of(position.constant, terms))
    return Ref(ref.buffer, tuple(index))


def substitute(node: Node, values: Mapping[str, Affine]) -> Node:
    """Replace loop indices by affine expressions throughout a node."""
    if isinstance(node, Loop):
        body = tuple(substitute(child, values) for child in node.body)
        limit = None if node.limit is None else node.limit.substitute(values)
        return node._replace(extent=node.extent.substitute(values), body=body, limit=limit)
    return _map_whole(node, lambda ref: ref.substitute(values))


def storage(buffers: Mapping[str, Buffer], name: str) -> tuple[str, int]:
    """Return the buffer that owns a buffer's storage, and the offset in it."""
    offset = 0
    while buffers[name].views is not None:
        offset += buffers[name].offset
        name = buffers[name].views or name
    return name, offset


# --- printing ------------------------------------------------------------------------------------


def show_affine(position: Affine) -> str:
    """Write a position the way a person would."""
    parts = []
    for atom, c in position.terms:
        name = show_operand(atom) if isinstance(atom, Ref) else atom
        parts.append(name if c == 1 else f"-{name}" if c == -1 else f"{c}*{name}")
    if position.constant or not parts:
        parts.append(str(position.constant))
    return " + ".join(parts).replace("+ -", "- ")


def show_operand(operand: Operand) -> str:
    """Write an operand."""
    if not isinstance(operand, Ref):
        return repr(operand)
    inside = ", ".join(map(show_affine, operand.index))
    return f"{operand.buffer}[{inside}]" if operand.index else operand.buffer


def show(block: Iterable[Node], indent: str = "") -> list[str]:
    """Write a block as indented lines."""
    lines: list[str] = []
    for node in block:
        if isinstance(node, Loop):
            order = "reversed " if node.backward else ""
            extent = show_affine(node.extent)
            extent += "" if node.limit is None else f" at most {show_affine(node.limit)}"
            lines.append(f"{indent}for {node.index} in {order}range({extent}):")
            lines.extend(show(node.body, indent + "    "))
        elif isinstance(node, Product):
            left, right = show_operand(node.left), show_operand(node.right)
            lines.append(f"{indent}{show_operand(node.target)} = product({left}, {right})")
        elif isinstance(node, Call):
            operands = ", ".join(map(show_operand, node.operands))
            lines.append(f"{indent}{show_operand(node.target)} = {node.routine}({operands})")
        elif isinstance(node, Accumulate):
            sign = "+" if node.op == "add" else node.op
            lines.append(f"{indent}{show_operand(node.target)} {sign}= {show_operand(node.value)}")
        else:
            operands = ", ".join(map(show_operand, node.operands))
            lines.append(f"{indent}{show_operand(node.target)} = {node.op}({operands})")
    return lines


# --- intervals -----------------------------------------------------------------------------------


def bounds(position: Affine, ranges: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Return the smallest and largest value that a position can take."""
    low = high = position.constant
    for atom, c in position.terms:
        first, last = (0, 1 << 40) if isinstance(atom, Ref) else ranges[atom]
        low += min(c * first, c * last)
        high += max(c * first, c * last)
    return low, high

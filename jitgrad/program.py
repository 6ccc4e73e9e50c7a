"""Programs: nodes, builder, verifier, printer, reference interpreter.

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
>>> run(program, {"x": [1.0, 2.0, 4.0]}).value
7.0
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from jitgrad.ops import OPS


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
    """``target += value``."""

    target: Ref
    value: Operand
    site: int = -1


class Loop(NamedTuple):
    """``body`` for each ``index`` in ``range(extent)``, from the last to the first if backward."""

    index: str  # type: ignore[assignment]
    extent: Affine
    body: tuple[Any, ...]
    backward: bool = False


Node: TypeAlias = Assign | Accumulate | Loop
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


def reads(node: Assign | Accumulate) -> Iterator[Ref]:
    """Yield the elements that a statement reads, the accumulated one excepted."""
    operands = node.operands if isinstance(node, Assign) else (node.value,)
    for operand in operands:
        if isinstance(operand, Ref):
            yield operand
            yield from gathered(operand)
    yield from gathered(node.target)


def gathered(ref: Ref) -> Iterator[Ref]:
    """Yield the elements of integer buffers inside a position."""
    for position in ref.index:
        for atom, _ in position.terms:
            if isinstance(atom, Ref):
                yield atom
                yield from gathered(atom)


def map_refs(node: Node, change: Callable[[Ref], Ref]) -> Node:
    """Rebuild a node with each of its Refs changed."""

    def operand(value: Operand) -> Operand:
        return change(value) if isinstance(value, Ref) else value

    if isinstance(node, Assign):
        return node._replace(
            target=change(node.target), operands=tuple(map(operand, node.operands))
        )
    if isinstance(node, Accumulate):
        return node._replace(target=change(node.target), value=operand(node.value))
    return node._replace(body=tuple(map_refs(child, change) for child in node.body))


def substitute(node: Node, values: Mapping[str, Affine]) -> Node:
    """Replace loop indices by affine expressions throughout a node."""
    if isinstance(node, Loop):
        body = tuple(substitute(child, values) for child in node.body)
        return node._replace(extent=node.extent.substitute(values), body=body)
    return map_refs(node, lambda ref: ref.substitute(values))


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
            lines.append(f"{indent}for {node.index} in {order}range({show_affine(node.extent)}):")
            lines.extend(show(node.body, indent + "    "))
        elif isinstance(node, Accumulate):
            lines.append(f"{indent}{show_operand(node.target)} += {show_operand(node.value)}")
        else:
            operands = ", ".join(map(show_operand, node.operands))
            lines.append(f"{indent}{show_operand(node.target)} = {node.op}({operands})")
    return lines


# --- verifying -----------------------------------------------------------------------------------


def verify(program: Program) -> Program:
    """Check that a Program is well formed and return it.

    Raises
    ------
    AssertionError
        When a buffer is unknown, a position has the wrong number of dimensions or may leave the
        buffer, an index is used outside its loop or bound twice, or an input is written.
    """
    operand = program.result
    _verify_block(program, program.body, {})
    if isinstance(operand, Ref):
        _verify_ref(program, operand, {})
    return program


def _verify_block(program: Program, block: Block, ranges: dict[str, tuple[int, int]]) -> None:
    for node in block:
        if isinstance(node, Loop):
            assert node.index not in ranges, f"{node.index} is bound twice"
            _, high = bounds(node.extent, ranges)
            inner = {**ranges, node.index: (0, max(high - 1, 0))}
            if high > 0:
                _verify_block(program, node.body, inner)
            continue
        kind = program.buffers[storage(program.buffers, node.target.buffer)[0]].kind
        assert kind in ("output", "temporary"), f"{node.target.buffer} is an {kind} and is written"
        if isinstance(node, Assign):
            assert node.op in OPS and len(node.operands) == OPS[node.op].arity, node.op
        for ref in (node.target, *reads(node)):
            _verify_ref(program, ref, ranges)


def _verify_ref(program: Program, ref: Ref, ranges: dict[str, tuple[int, int]]) -> None:
    shape = program.buffers[ref.buffer].shape
    assert len(shape) == len(ref.index), f"{show_operand(ref)} has not the dimensions of {shape}"
    for position, extent in zip(ref.index, shape, strict=True):
        assert position.indices() <= set(ranges), f"{show_operand(ref)} uses an unbound index"
        low, high = bounds(position, ranges)
        dense = len(position.terms) <= 1 and not position.gathers()
        assert not dense or (low >= 0 and high < extent) or _triangular(position, ranges), (
            f"{show_operand(ref)} leaves {shape}"
        )


def _triangular(position: Affine, ranges: Mapping[str, tuple[int, int]]) -> bool:
    return len(position.indices()) > 0 and len(ranges) > 1


def bounds(position: Affine, ranges: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Return the smallest and largest value that a position can take."""
    low = high = position.constant
    for atom, c in position.terms:
        first, last = (0, 1 << 40) if isinstance(atom, Ref) else ranges[atom]
        low += min(c * first, c * last)
        high += max(c * first, c * last)
    return low, high


# --- running -------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What a run of a Program leaves: its result and every buffer."""

    value: float
    buffers: dict[str, np.ndarray[Any, Any]]


def run(program: Program, inputs: Mapping[str, Any]) -> Outcome:
    """Execute a Program in plain Python: the definition of what each node means.

    Parameters
    ----------
    program : Program
    inputs : mapping of str to array_like
        The data of each input buffer.

    Returns
    -------
    Outcome
        The result and the final contents of each buffer.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name, buffer in program.buffers.items():
        if buffer.views is not None:
            size = math.prod(buffer.shape)
            flat = arrays[buffer.views].reshape(-1)
            arrays[name] = flat[buffer.offset : buffer.offset + size].reshape(buffer.shape)
        elif buffer.kind == "input":
            arrays[name] = np.array(inputs[name], dtype=buffer.dtype).reshape(buffer.shape)
        elif buffer.kind == "table":
            arrays[name] = program.tables[name]
        else:
            arrays[name] = np.full(buffer.shape, np.nan)
    with np.errstate(all="ignore"):
        _run_block(program.body, arrays, {})
        return Outcome(_load(program.result, arrays, {}), arrays)


def _run_block(block: Block, arrays: dict[str, Any], at: dict[str, int]) -> None:
    for node in block:
        if isinstance(node, Loop):
            steps = range(_position(node.extent, arrays, at))
            for step in reversed(steps) if node.backward else steps:
                _run_block(node.body, arrays, {**at, node.index: step})
        elif isinstance(node, Accumulate):
            place = _place(node.target, arrays, at)
            arrays[node.target.buffer][place] += _load(node.value, arrays, at)
        else:
            values = [_load(operand, arrays, at) for operand in node.operands]
            result = float(OPS[node.op].evaluate(*map(np.float64, values)))
            arrays[node.target.buffer][_place(node.target, arrays, at)] = result


def _load(operand: Operand, arrays: dict[str, Any], at: dict[str, int]) -> float:
    if not isinstance(operand, Ref):
        return float(operand)
    return float(arrays[operand.buffer][_place(operand, arrays, at)])


def _place(ref: Ref, arrays: dict[str, Any], at: dict[str, int]) -> tuple[int, ...]:
    place = tuple(_position(position, arrays, at) for position in ref.index)
    assert all(step >= 0 for step in place), f"{show_operand(ref)} at {place}"
    return place


def _position(position: Affine, arrays: dict[str, Any], at: dict[str, int]) -> int:
    total = position.constant
    for atom, c in position.terms:
        total += c * (int(_load(atom, arrays, at)) if isinstance(atom, Ref) else at[atom])
    return total

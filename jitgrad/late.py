"""Program to Program: compute with the elements of an array before they are gathered, not after.

With 2,000 observations by 20 cameras, ``np.cos(angle(cameras[camera]))`` takes 2,000 cosines, and
``np.cos(angle(cameras))[camera]`` takes 20. A value that depends on the observation through the
camera alone is computed for each camera, and gathered. This is done before the adjoint, whose
cotangents are then added up for each camera and go through the derivatives once.
"""

from __future__ import annotations

from typing import NamedTuple

from jitgrad.define import renamed, written
from jitgrad.masked import EACH
from jitgrad.ops import library_call
from jitgrad.program import (
    Affine,
    Assign,
    Block,
    Buffer,
    Loop,
    Node,
    Program,
    Ref,
    Statement,
    map_refs,
    nest,
    operands_of,
    walk,
)

HEAVY = frozenset(("div", "reciprocal", "pow", "sqrt"))  # and what calls a library
SHARE = 2  # so many times as many elements are gathered as there are


class _Late(NamedTuple):
    """A buffer whose elements depend on one index through an element of a table alone.

    ``axis`` is the axis that the index runs along, ``extent`` how many values the table's elements
    may have, ``places`` where the nests stand that write it, and ``needs`` the buffers of the same
    kind that these read.
    """

    axis: int
    table: str
    extent: int
    places: tuple[int, ...]
    heavy: bool
    needs: frozenset[str]


def gather_late(program: Program) -> Program:
    """Move expensive arithmetic in front of the gathers that its operands come from."""
    late = _late(program)
    wanted = [name for name, found in late.items() if found.heavy]
    chosen: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in chosen:
            chosen.add(name)
            wanted.extend(late[name].needs)
    return _moved(program, {name: late[name] for name in late if name in chosen})


# --- which buffers -------------------------------------------------------------------------------


def _late(program: Program) -> dict[str, _Late]:
    """Find the buffers, each after those that it needs."""
    viewed = {buffer.views for buffer in program.buffers.values()}
    writers: dict[str, list[tuple[int, Statement, tuple[Loop, ...]]]] = {}
    mixed: set[str] = set()
    for place, node in enumerate(program.body):
        inside = written((node,))
        names = {statement.target.buffer for statement, _ in inside}
        mixed |= names if len(names) > 1 else set()
        for statement, loops in inside:
            name = statement.target.buffer
            writers.setdefault(name, []).append((place, statement, loops))
    late: dict[str, _Late] = {}
    for name, found in writers.items():
        buffer = program.buffers[name]
        plain = buffer.kind == "temporary" and buffer.views is None and name not in viewed
        if plain and name not in mixed and program.result != Ref(name):
            for axis in range(len(buffer.shape)):
                made = _along(program, late, found, axis)
                if made is not None:
                    late[name] = made
                    break
    return late


def _along(
    program: Program,
    late: dict[str, _Late],
    found: list[tuple[int, Statement, tuple[Loop, ...]]],
    axis: int,
) -> _Late | None:
    """Describe a buffer by the statements that write it, if its index along an axis is hidden."""
    tables: set[str] = set()
    extents: set[int] = set()
    needs: set[str] = set()
    heavy = False
    indices: dict[int, str | None] = {}  # of each nest
    for place, node, loops in found:
        index = _own_index(node.target, axis, loops)
        if index is None or indices.setdefault(place, index) != index:
            return None
        for operand in operands_of(node):
            if isinstance(operand, Ref) and index in operand.indices():
                seen = _through(program, late, operand, index)
                if seen is None or operand.buffer == node.target.buffer:
                    return None
                tables.add(seen[0])
                extents.add(seen[1])
                needs |= {operand.buffer} & late.keys()
        heavy |= isinstance(node, Assign) and _is_heavy(node.op)
    many = program.buffers[found[0][1].target.buffer].shape[axis]
    if len(tables) != 1 or min(extents) * SHARE > many:
        return None
    places = tuple(dict.fromkeys(place for place, _, _ in found))
    return _Late(axis, tables.pop(), min(extents), places, heavy, frozenset(needs))


def _own_index(target: Ref, axis: int, loops: tuple[Loop, ...]) -> str | None:
    """Return the index of a loop over a whole axis, which nothing else of the nest follows."""
    for loop in loops:
        if target.index[axis] == Affine.index(loop.index):
            others = [p for d, p in enumerate(target.index) if d != axis]
            others += [around.extent for around in loops]
            free = all(loop.index not in position.indices() for position in others)
            return loop.index if free and not loop.extent.terms else None
    return None


def _through(
    program: Program, late: dict[str, _Late], operand: Ref, index: str
) -> tuple[str, int] | None:
    """Return the table through which alone an operand depends on an index, and its range."""
    places = [d for d, position in enumerate(operand.index) if index in position.indices()]
    if len(places) != 1:
        return None
    (axis,) = places
    position, known = operand.index[axis], late.get(operand.buffer)
    if known is not None and axis == known.axis and position == Affine.index(index):
        return known.table, known.extent
    if len(position.terms) == 1:
        atom, factor = position.terms[0]
        if isinstance(atom, Ref) and factor == 1 and atom.index == (Affine.index(index),):
            return atom.buffer, program.buffers[operand.buffer].shape[axis] - position.constant
    return None


def _is_heavy(op: str) -> bool:
    return op in HEAVY or library_call(op) is not None


# --- moving them ---------------------------------------------------------------------------------


def _moved(program: Program, chosen: dict[str, _Late]) -> Program:
    buffers: dict[str, Buffer] = dict(program.buffers)
    for name, late in chosen.items():
        shape = list(buffers[name].shape)
        shape[late.axis] = late.extent
        buffers[_each(name)] = buffers[name]._replace(shape=tuple(shape))
    changed = {place: name for name, late in chosen.items() for place in late.places}
    last = {late.places[-1]: name for name, late in chosen.items()}
    nodes: list[Node] = []
    for place, node in enumerate(program.body):
        if place not in changed:
            nodes.append(node)
            continue
        name = changed[place]
        nodes.append(_for_each(node, name, chosen))
        if place in last:
            nodes.append(_gathered(program, name, chosen[name]))
    return program._replace(buffers=buffers, body=tuple(nodes))


def _each(name: str) -> str:
    return name + EACH


def _for_each(node: Node, name: str, chosen: dict[str, _Late]) -> Node:
    """Let a nest run over what the table's elements may be."""
    late = chosen[name]
    target = next(s.target for s in walk((node,)) if not isinstance(s, Loop))
    index = target.index[late.axis].terms[0][0]

    def change(ref: Ref) -> Ref:
        at = tuple(
            Affine(p.constant, ((index, 1),)) if p.gathers() and index in p.indices() else p
            for p in ref.index
        )
        known = chosen.get(ref.buffer)
        same = known is not None and ref.index[known.axis] == Affine.index(index)
        return Ref(_each(ref.buffer) if same else ref.buffer, at)

    def visit(block: Block) -> Block:
        found: list[Node] = []
        for child in block:
            if not isinstance(child, Loop):
                found.append(map_refs(child, change))
            elif child.index == index:
                extent = Affine(late.extent)
                found.append(child._replace(extent=extent, body=visit(child.body)))
            else:
                found.append(child._replace(body=visit(child.body)))
        return tuple(found)

    return renamed(visit((node,))[0], EACH)


def _gathered(program: Program, name: str, late: _Late) -> Node:
    """Copy each element to all that refer to it."""
    shape = program.buffers[name].shape
    names = [f"g{axis}_{name}" for axis in range(len(shape))]
    index = tuple(map(Affine.index, names))
    atom = Ref(late.table, (index[late.axis],))
    source = (*index[: late.axis], Affine(0, ((atom, 1),)), *index[late.axis + 1 :])
    copy = Assign(Ref(name, index), "copy", (Ref(_each(name), source),))
    return nest(list(zip(names, shape, strict=True)), copy)

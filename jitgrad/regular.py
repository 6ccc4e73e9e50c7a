"""Program to Program: a loop over tables of positions that step evenly becomes a nest.

``i, j = np.triu_indices(n, 1)`` gives two tables of n (n - 1) / 2 positions, and a sum over pairs
gathers by them. The tables say what two loops say: i stays while j runs. As loops the positions
cost nothing, what belongs to i stays in registers, and j runs in SIMD.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jitgrad.program import (
    Affine,
    Block,
    Loop,
    Node,
    Program,
    Ref,
    gathered,
    map_refs,
    operands_of,
    statements_of,
    walk,
)

FEWEST = 3  # runs that make a nest, and positions that make a run worth a loop
Ints = np.ndarray[Any, Any]


def regular(program: Program) -> Program:
    """Write loops over regular tables as nests."""

    def visit(block: Block) -> Block:
        return tuple(
            _nested(program, node._replace(body=visit(node.body)))
            if isinstance(node, Loop)
            else node
            for node in block
        )

    return program._replace(body=visit(program.body)) if program.tables else program


class _Runs(NamedTuple):
    """Columns of positions as runs: run r has ``length(r)`` rows and starts at ``starts[k](r)``."""

    number: int
    length: tuple[int, int]  # of the first, and how much longer each next one is
    starts: tuple[tuple[int, int], ...]
    steps: tuple[int, ...]


def _nested(program: Program, loop: Loop) -> Node:
    """Write one loop as a nest, if its index does nothing but look up regular tables."""
    atoms = _looked_up(program, loop)
    if not atoms or loop.backward or loop.limit is not None or loop.extent.terms:
        return loop
    rows = slice(loop.extent.constant)
    columns = np.column_stack([program.tables[atom.buffer][rows] for atom in atoms])
    runs = _runs(columns)
    if runs is None:
        return loop
    outer, inner = f"{loop.index}_run", f"{loop.index}_step"
    places = {
        atom: Affine.of(start, {outer: more, inner: step})
        for atom, (start, more), step in zip(atoms, runs.starts, runs.steps, strict=True)
    }
    first, more = runs.length
    body = tuple(_replaced(node, places) for node in loop.body)
    nest = Loop(inner, Affine.of(first, {outer: more}), body)
    return Loop(outer, Affine(runs.number), (nest,))


def _looked_up(program: Program, loop: Loop) -> list[Ref]:
    """Return the elements of tables through which alone the body depends on the index."""
    found: dict[Ref, None] = {}
    if any(
        loop.index in inner.extent.indices() for inner in walk(loop.body) if isinstance(inner, Loop)
    ):
        return []
    for node in statements_of(loop.body):
        for ref in (node.target, *(x for x in operands_of(node) if isinstance(x, Ref))):
            if ref.buffer in program.tables and loop.index in ref.indices():
                return []  # a number of a table, not a position
            for position in ref.index:
                for atom, _ in position.terms:
                    if atom == loop.index:
                        return []
            for atom in gathered(ref):
                if loop.index in atom.indices():
                    if (
                        atom.index != (Affine.index(loop.index),)
                        or atom.buffer not in program.tables
                    ):
                        return []
                    found[atom] = None
    return list(found)


def _runs(columns: Ints) -> _Runs | None:
    """Cut rows of positions into runs with equal steps; None where these do not follow a rule."""
    if len(columns) < FEWEST * FEWEST:
        return None
    steps = np.diff(columns, axis=0)
    kinds, counts = np.unique(steps, axis=0, return_counts=True)
    usual = kinds[counts.argmax()]
    breaks = np.flatnonzero((steps != usual).any(axis=1)) + 1
    starts = np.concatenate([[0], breaks])
    lengths = np.diff(np.concatenate([starts, [len(columns)]]))
    if not FEWEST <= len(starts) <= len(columns) // 2:
        return None
    lines = [_line(lengths), *(_line(column) for column in columns[starts].T)]
    if any(line is None for line in lines):
        return None
    length, *first = [line for line in lines if line is not None]
    return _Runs(len(starts), length, tuple(first), tuple(map(int, usual)))


def _line(values: Ints) -> tuple[int, int] | None:
    """Return a and b where the values are a, a + b, a + 2 b, ..."""
    steps = np.diff(values)
    return (int(values[0]), int(steps[0])) if (steps == steps[0]).all() else None


def _replaced(node: Node, places: dict[Ref, Affine]) -> Node:
    """Put positions in for elements of tables."""

    def position(place: Affine) -> Affine:
        found = Affine(place.constant)
        for atom, c in place.terms:
            known = places.get(atom) if isinstance(atom, Ref) else None
            found = (
                found.plus(known, c)
                if known is not None
                else found.plus(Affine(0, ((atom, 1),)), c)
            )
        return found

    def ref(given: Ref) -> Ref:
        return Ref(given.buffer, tuple(map(position, given.index)))

    return map_refs(node, ref)

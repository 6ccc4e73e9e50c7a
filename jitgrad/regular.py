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
    refs_of,
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


def is_regular(program: Program, loop: Loop) -> bool:
    """Whether the tables that a loop looks up make it a nest, once its arrays are locals."""
    atoms = _atoms(program, loop)
    return bool(atoms) and _runs(_columns(program, loop, atoms)) is not None


def _atoms(program: Program, loop: Loop) -> list[Ref]:
    """Return the elements of tables that a loop's index looks up; none if it looks up others."""
    refs = [ref for node in statements_of(loop.body) for ref in refs_of(node)]
    atoms = dict.fromkeys(a for ref in refs for a in gathered(ref) if loop.index in a.indices())
    plain = (a.index == (Affine.index(loop.index),) and a.buffer in program.tables for a in atoms)
    return list(atoms) if all(plain) else []


def _columns(program: Program, loop: Loop, atoms: list[Ref]) -> Ints:
    rows = slice(loop.extent.constant)
    return np.column_stack([program.tables[atom.buffer][rows] for atom in atoms])


class _Runs(NamedTuple):
    """Columns of positions as runs: run r has ``length(r)`` rows and starts at ``starts[k](r)``."""

    number: int
    length: tuple[int, int]  # of the first, and how much longer each next one is
    starts: tuple[tuple[int, int], ...]
    steps: tuple[int, ...]


def _nested(program: Program, loop: Loop) -> Node:
    """Write one loop as a nest, if its index does nothing but look up regular tables."""
    atoms = _atoms(program, loop)
    if not atoms or loop.backward or loop.limit is not None or loop.extent.terms:
        return loop
    if not _only_looks_up(program, loop):
        return loop
    runs = _runs(_columns(program, loop, atoms))
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


def _only_looks_up(program: Program, loop: Loop) -> bool:
    """Whether the body depends on the index through the positions in tables alone."""
    extents = [inner.extent for inner in walk(loop.body) if isinstance(inner, Loop)]
    refs = [ref for node in statements_of(loop.body) for ref in refs_of(node)]
    bare = {atom for ref in refs for position in ref.index for atom, _ in position.terms}
    numbers = (ref for ref in refs if ref.buffer in program.tables)  # of a table, no positions
    return (
        loop.index not in bare
        and not any(loop.index in extent.indices() for extent in extents)
        and not any(loop.index in ref.indices() for ref in numbers)
    )


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

"""Fit each operand of rolled code to an affine position, exactly.

Rolling proposes which tape positions are iterations of one statement. Here every operand of every
statement is compared with the raw tape over all its iterations: it is a constant, a table of
constants, an element of an input, or an element of another statement's results, at a position that
is affine in the loop indices. An operand that starts from something else in the first iteration
and then reads an earlier iteration is *carried*: its producer's buffer gets one more element in
front, filled before the loop. What does not fit makes the caller split a loop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from jitgrad.leaf import Ints, Leaf, Picks, Place, Spans, loop_starts
from jitgrad.program import Affine, Ref
from jitgrad.traced import CONSTANT, LOW, SHIFT, Shape, contiguous

MAX_SHIFT = 4  # how far back a carried operand may reach
MOST_STARTS = 1_000_000  # elements that a carried operand may start from


class Element(NamedTuple):
    """An element of a statement's results, before the room for carried values is known."""

    leaf: Leaf
    outer: tuple[Affine, ...]
    inner: tuple[Affine, ...]
    flat: bool  # inner is one position in the flattened result


Fitted: TypeAlias = float | Ref | Element


class Carried(NamedTuple):
    """First elements to be put in front of a carried buffer, before ``loop`` starts at ``step``."""

    loop: str
    step: int
    target: Element
    source: Fitted
    spans: Spans


def fit(values: Ints, indices: Ints) -> tuple[int, tuple[int, ...]] | None:
    """Find ``constant + coefficients . indices`` that gives all the values, or None."""
    depth = indices.shape[1]
    if not depth or (values == values[0]).all():
        return (int(values[0]), (0,) * depth) if (values == values[0]).all() else None
    count = len(values)
    rows = np.unique(
        np.r_[0 : min(count, 16), np.linspace(0, count - 1, 48).astype(np.int64), _steps(indices)]
    )
    design = np.column_stack([np.ones(len(rows)), indices[rows]])
    varying = np.ptp(design, axis=0) > 0
    varying[0] = True
    solution = np.zeros(depth + 1)
    solution[varying] = np.linalg.lstsq(design[:, varying], values[rows].astype(float), rcond=None)[
        0
    ]
    whole = np.rint(solution).astype(np.int64)
    if (
        np.abs(solution - whole).max() > 0.01
        or not (indices @ whole[1:] + whole[0] == values).all()
    ):
        return None
    return int(whole[0]), tuple(int(c) for c in whole[1:])


def _steps(indices: Ints) -> Ints:
    """Return for each loop an iteration in which its index is 1."""
    return np.array([int(np.argmax(column == 1)) for column in indices.T], dtype=np.int64)


def affine(constant: int, coefficients: Sequence[int], names: Sequence[str]) -> Affine:
    """Build a position from fitted coefficients."""
    return Affine.of(constant, dict(zip(names, coefficients, strict=True)))


def delinearise(position: Affine, dims: Shape, place: Place) -> tuple[Affine, ...] | None:
    """Turn a flat position into one position per dimension, where it factors.

    Each term goes to the outermost dimension whose stride divides it; going from the innermost
    dimension outwards, constants are carried so that each position stays inside its extent.
    """
    if not dims or 0 in dims:  # of an array without elements nothing is read
        return (Affine(),) * len(dims) if dims or position == Affine() else None
    strides = contiguous(dims)
    parts: list[dict[Any, int]] = [{} for _ in dims]
    for atom, c in position.terms:
        axis = next(
            (d for d, s in enumerate(strides) if dims[d] > 1 and c % s == 0 and abs(c) >= s), None
        )
        if axis is None:
            return None
        parts[axis][atom] = c // strides[axis]
    result: list[Affine] = []
    carry = position.constant
    for axis in range(len(dims) - 1, -1, -1):
        if axis == 0:
            result.append(Affine.of(carry, parts[0]))
            break
        low, high = place.range_of(parts[axis])
        constant = carry % dims[axis]
        constant -= (constant + low) // dims[axis] * dims[axis]
        if constant + high >= dims[axis]:
            return None
        result.append(Affine.of(constant, parts[axis]))
        carry = (carry - constant) // dims[axis]
    return tuple(reversed(result))


class Resolver:
    """Fit operands; collect what has to be carried and which tables are needed.

    Parameters
    ----------
    leaves : list of Leaf
        The statements of the rolled tape.
    constants : ndarray
        The constants of the tape.
    inputs : list of (str, shape)
        The name and the shape of each input.
    """

    def __init__(
        self, leaves: list[Leaf], constants: np.ndarray[Any, Any], inputs: list[tuple[str, Shape]]
    ) -> None:
        self.leaves = leaves
        self.constants = constants
        self.inputs = inputs
        self.tables: dict[str, np.ndarray[Any, Any]] = {}
        self.flat_inputs: set[str] = set()
        self.carried: list[Carried] = []
        self._filled: dict[tuple[Any, ...], int | str] = {}
        self._starts: dict[str, Ints] = {}
        total = sum(len(leaf.positions) for leaf in leaves)
        self.leaf_of = np.empty(total, dtype=np.int64)
        self.turn_of = np.empty(total, dtype=np.int64)
        for leaf in leaves:
            self.leaf_of[leaf.positions] = leaf.number
            self.turn_of[leaf.positions] = np.arange(len(leaf.positions))

    # --- one operand -----------------------------------------------------------------------------

    def resolve(self, codes: Ints, strides: Shape, place: Place) -> Fitted | None:
        """Fit one operand over all iterations of a place; None where it does not fit."""
        fitted = self._uniform(codes, strides, place)
        return self._carry(codes, strides, place) if fitted is None else fitted

    def resolve_picked(
        self, codes: Ints, strides: Shape, place: Place, picks: Picks | None
    ) -> Fitted | None:
        """Fit what a gather reads at position 0; of a carried array all that it may pick starts.

        ``picks`` is None where they differ between iterations: nothing is carried then.
        """
        fitted = self._uniform(codes, strides, place)
        if fitted is not None or picks is None:
            return fitted
        read = [dim for dim in zip(place.inner, place.dims, strides, strict=True) if dim[2]]
        inner, dims, steps = zip(*read, picks, strict=True)
        fitted = self._carry(codes, steps, place._replace(inner=inner, dims=dims))
        if not isinstance(fitted, Element):
            return fitted
        first = {picks.name: Affine(0)}
        return fitted._replace(inner=tuple(p.substitute(first) for p in fitted.inner))

    def _uniform(self, codes: Ints, strides: Shape, place: Place) -> Fitted | None:
        low, high = int(codes.min()), int(codes.max())
        if high <= CONSTANT:
            return self._constants(CONSTANT - codes, place)
        inner = Affine.of(0, dict(zip(place.inner, strides, strict=True)))
        if low >= 0:
            return self._results(codes, inner, place)
        if low > CONSTANT and low >> SHIFT == high >> SHIFT:
            return self._input(~(low >> SHIFT), codes & LOW, inner, place)
        return None

    def _constants(self, numbers: Ints, place: Place) -> float | Ref:
        values = self.constants[numbers]
        if (values == values[0]).all() or (np.isnan(values).all()):
            return float(values[0])
        return self._table(values, place)

    def _table(self, values: np.ndarray[Any, Any], place: Place) -> Ref:
        """Keep values that differ between iterations in an array over the loops they depend on."""
        axes = list(range(len(place.loops)))
        for axis in list(axes):
            fewer = [d for d in axes if d != axis]
            if _spread_over(values, place.indices[:, fewer]) is not None:
                axes = fewer
        table = _spread_over(values, place.indices[:, axes])
        assert table is not None
        for name, known in self.tables.items():
            if known.dtype == table.dtype and np.array_equal(
                known, table, equal_nan=table.dtype.kind == "f"
            ):
                return Ref(name, tuple(Affine.index(place.loops[d]) for d in axes))
        name = f"table{len(self.tables)}"
        self.tables[name] = table
        return Ref(name, tuple(Affine.index(place.loops[d]) for d in axes))

    def _input(self, number: int, offsets: Ints, inner: Affine, place: Place) -> Fitted:
        name, shape = self.inputs[number]
        found = fit(offsets, place.indices)
        if found is None:
            position = inner.plus(Affine(0, ((self._table(offsets, place), 1),)))
        else:
            position = affine(*found, place.loops).plus(inner)
        index: tuple[Affine, ...] | None = (position,) if len(shape) == 1 else None
        if found is not None and index is None:
            index = delinearise(position, shape, place)
        if index is not None:
            return Ref(name, index)
        self.flat_inputs.add(name)
        return Ref(f"{name}_flat", (position,))

    def _results(self, codes: Ints, inner: Affine, place: Place) -> Element | None:
        made = codes >> SHIFT
        numbers = self.leaf_of[made]
        if (numbers != numbers[0]).any():
            return None
        leaf = self.leaves[int(numbers[0])]
        indices = leaf.indices[self.turn_of[made]][:, : leaf.depth]
        outer = []
        for column in indices.T:
            found = fit(column, place.indices)
            if found is None:
                at = self._table(column.copy(), place)
                outer.append(Affine(0, ((at, 1),)))
            else:
                outer.append(affine(*found, place.loops))
        found = fit(codes & LOW, place.indices)
        if found is None:
            return None
        position = affine(*found, place.loops).plus(inner)
        index = delinearise(position, leaf.result_dims, place)
        if index is None:
            return Element(leaf, tuple(outer), (position,), flat=True)
        return Element(leaf, tuple(outer), index, flat=False)

    # --- carried operands ------------------------------------------------------------------------

    def _carry(self, codes: Ints, strides: Shape, place: Place) -> Fitted | None:
        for axis in range(len(place.loops) - 1, -1, -1):
            for reach in range(1, MAX_SHIFT + 1):
                later = place.indices[:, axis] >= reach
                if not later.any():
                    break
                rest = place._replace(
                    indices=place.indices[later], positions=place.positions[later]
                )
                element = (
                    self._uniform(codes[later], strides, rest)
                    if (codes[later] >= 0).all()
                    else None
                )
                if isinstance(element, Element) and self._reaches_back(element, place, axis, reach):
                    if self._start(element, codes, strides, place, axis, reach):
                        return element
                    return None
        return None

    def precede(self, codes: Ints, loop: str, readers: Ints) -> bool:
        """Whether values are made before a loop starts that reads them at some tape positions."""
        made = codes >= 0
        if not made.any():
            return True
        if loop not in self._starts:
            self._starts[loop] = loop_starts(self.leaves, loop)
        starts = self._starts[loop]
        last = starts[np.searchsorted(starts, readers[made], side="right") - 1]
        return bool((codes[made] >> SHIFT < last).all())

    def _reaches_back(self, element: Element, place: Place, axis: int, reach: int) -> bool:
        leaf, loop = element.leaf, place.loops[axis]
        if loop not in leaf.loops[: leaf.depth]:
            return False
        return element.outer[leaf.loops.index(loop)] == Affine(-reach, ((loop, 1),))

    def _start(
        self, element: Element, codes: Ints, strides: Shape, place: Place, axis: int, reach: int
    ) -> bool:
        """Register what the first iterations read, to be stored before the loop."""
        loop = place.loops[axis]
        for step in range(reach):
            rows = place.indices[:, axis] == step
            if not rows.any():
                continue
            before = place.without(axis, rows)
            if not self.precede(codes[rows], loop, before.positions):
                return False
            source = self.resolve(codes[rows], strides, before)
            if source is None:
                return False
            at = {loop: Affine(step)}
            target = element._replace(
                outer=tuple(position.substitute(at) for position in element.outer),
                inner=tuple(position.substitute(at) for position in element.inner),
            )
            fresh = self._claim(target, codes[rows], strides, before)
            spans = _spans(fresh, before, axis) if fresh else None
            if fresh is None or (fresh and spans is None):
                return False
            if spans is not None:
                self.carried.append(Carried(loop, step, target, source, spans))
        return True

    def _claim(
        self, target: Element, codes: Ints, strides: Shape, place: Place
    ) -> list[tuple[int, ...]] | None:
        """Note which code each element starts from: where it is new, or None on a conflict."""
        if len(codes) * math.prod(place.dims) > MOST_STARTS:
            return None
        fresh: list[tuple[int, ...]] = []
        outer: list[list[int]] = []
        for row, code in zip(place.indices.tolist(), codes.tolist(), strict=True):
            at = dict(zip(place.loops, row, strict=True))
            outer.append([self._value(p, at) for p in target.outer])
            for cell in np.ndindex(place.dims):
                at.update(zip(place.inner, cell, strict=True))
                inner = [self._value(p, at) for p in target.inner]
                if not target.flat:  # the same element has the same key, however it is read
                    steps = contiguous(target.leaf.result_dims)
                    inner = [sum(p * step for p, step in zip(inner, steps, strict=True))]
                key = (target.leaf.number, *outer[-1], *inner)
                source = code + sum(s * c for s, c in zip(strides, cell, strict=True))
                if code <= CONSTANT:
                    source = float(self.constants[CONSTANT - code]).hex()
                if key not in self._filled:
                    fresh.append((*row, *cell))
                if self._filled.setdefault(key, source) != source:
                    return None
        for dim, positions in enumerate(zip(*outer, strict=True)):
            target.leaf.make_room(dim, min(positions), max(positions))
        return fresh

    def _value(self, position: Affine, at: dict[str, int]) -> int:
        total = position.constant
        for atom, c in position.terms:
            if isinstance(atom, Ref):
                place = tuple(self._value(p, at) for p in atom.index)
                total += c * int(self.tables[atom.buffer][place])
            else:
                total += c * at[atom]
        return total


def _spans(fresh: list[tuple[int, ...]], place: Place, first: int) -> Spans | None:
    """Describe the new iterations of the loops from ``first`` on; None if they are no box."""
    cells = np.array(list(np.ndindex(place.dims)), dtype=np.int64)
    rows = np.repeat(place.indices, len(cells), axis=0)
    every = np.hstack([rows, np.tile(cells, (len(place.indices), 1))])
    new, inside = np.array(fresh), np.ones(len(every), dtype=bool)
    spans = []
    for axis, loop in enumerate((*place.loops, *place.inner)):
        if axis < first:
            continue
        low, high = int(new[:, axis].min()), int(new[:, axis].max())
        whole = low == 0 and high == every[:, axis].max()
        inside &= (every[:, axis] >= low) & (every[:, axis] <= high)
        spans.append((loop, low, None if whole else high - low + 1))
    return tuple(spans) if inside.sum() == len(fresh) else None


def _spread_over(values: np.ndarray[Any, Any], indices: Ints) -> np.ndarray[Any, Any] | None:
    """Return values as an array over the indices, or None if they depend on something else."""
    shape = tuple(int(n) + 1 for n in indices.max(axis=0)) if indices.shape[1] else ()
    table = np.zeros(math.prod(shape), dtype=values.dtype)
    flat = (
        indices @ np.array(contiguous(shape), dtype=np.int64)
        if shape
        else np.zeros(len(values), dtype=np.int64)
    )
    table[flat] = values
    same = (table[flat] == values) | ((table[flat] != table[flat]) & (values != values))
    return table.reshape(shape) if same.all() else None

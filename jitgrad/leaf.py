"""One statement of a rolled tape: all its iterations, and where it reads its operands.

Here a loop is its index, a name; iterations are rows of loop indices, each with its tape position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from jitgrad.symbols import REDUCTIONS, Symbol
from jitgrad.traced import Shape

Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Spans: TypeAlias = tuple[tuple[str, int, int | None], ...]  # loops: first iteration, how many (all)


class Picks(NamedTuple):
    """The positions that a gather may add to where it reads: an index over them.

    Parameters
    ----------
    name : str
        The index.
    extent : int
        How many positions there are, from 0 on.
    stride : int
        How many elements further each one is.
    """

    name: str
    extent: int
    stride: int


class Leaf:
    """One statement of the rolled tape with all its iterations.

    Parameters
    ----------
    number : int
        Its place among the statements.
    symbol : Symbol
        What it does.
    loops : tuple of str
        The indices of the loops around it, outermost first.
    positions, indices : ndarray
        The tape position and the loop indices of each iteration, in order of execution.
    codes : list of ndarray
        For each operand its code in each iteration.
    site : int
        The program point of the first iteration.
    """

    def __init__(
        self,
        number: int,
        symbol: Symbol,
        loops: tuple[str, ...],
        positions: Ints,
        indices: Ints,
        codes: list[Ints],
        site: int,
    ) -> None:
        self.number = number
        self.symbol = symbol
        self.loops = loops
        self.positions = positions
        self.indices = indices
        self.codes = codes
        self.site = site
        self.reduced: int | None = None  # how many outer loops keep a running sum apart
        self.owner = self  # where a running sum is kept
        self.link: int | None = None  # the operand that continues a running sum
        self.shifts = [0] * len(loops)
        self.tops = [0] * len(loops)  # beyond the last position that a carried value starts at
        self.inner = tuple(f"d{number}_{axis}" for axis in range(len(symbol.shape)))

    @property
    def depth(self) -> int:
        """The number of loops that its results are kept apart by."""
        return len(self.loops) if self.reduced is None else self.reduced

    @property
    def result_dims(self) -> Shape:
        """The shape of what one iteration makes."""
        if self.symbol.op in REDUCTIONS:
            return tuple(n for d, n in enumerate(self.symbol.shape) if d not in self.symbol.axes)
        return (
            (*self.symbol.shape, *self.symbol.cores[0]) if self.symbol.cores else self.symbol.shape
        )

    @property
    def box(self) -> Shape:
        """The extents of the loops that its results are kept apart by."""
        return tuple(int(n) + 1 for n in self.indices.max(axis=0)[: self.depth])

    @property
    def room(self) -> Shape:
        """The extents of its buffer before those of one result: with room for carried values."""
        sizes = zip(self.box, self.tops, self.shifts, strict=False)
        return tuple(max(n, top) + shift for n, top, shift in sizes)

    def place(self, slot: int) -> Place:
        """Where an operand is read."""
        inner, dims = self.inner, self.symbol.shape
        if self.symbol.cores:
            inner, dims = (*inner, *self.core(slot + 1)), (*dims, *self.symbol.cores[slot + 1])
        return Place(self.loops, self.indices, self.positions, inner, dims)

    def core(self, number: int) -> tuple[str, ...]:
        """Return the indices of a routine's result (0), or of one of its operands (from 1 on)."""
        return tuple(f"d{self.number}_{number}_{k}" for k in range(len(self.symbol.cores[number])))

    def make_room(self, dim: int, low: int, high: int) -> None:
        """Let positions from ``low`` to ``high`` along a loop be in its buffer."""
        self.shifts[dim] = max(self.shifts[dim], -low)
        self.tops[dim] = max(self.tops[dim], high + 1)


class Place(NamedTuple):
    """Where an operand is read: the loops around it, their indices, and the nest inside it."""

    loops: tuple[str, ...]
    indices: Ints
    positions: Ints
    inner: tuple[str, ...] = ()
    dims: Shape = ()

    def range_of(self, terms: Mapping[Any, int]) -> tuple[int, int]:
        """Return the smallest and largest sum of coefficients times indices, 0 taken in."""
        outer = np.zeros(len(self.indices), dtype=np.int64)
        low = high = 0
        for atom, c in terms.items():
            if atom in self.inner:
                last = c * (self.dims[self.inner.index(atom)] - 1)
                low, high = low + min(last, 0), high + max(last, 0)
            else:
                outer += c * self.indices[:, self.loops.index(atom)]
        return low + int(outer.min(initial=0)), high + int(outer.max(initial=0))

    def without(self, axis: int, rows: Any) -> Place:
        """Return the place with one loop dropped, for some of the iterations."""
        kept = [d for d in range(len(self.loops)) if d != axis]
        return self._replace(
            loops=tuple(self.loops[d] for d in kept),
            indices=self.indices[rows][:, kept],
            positions=self.positions[rows],
        )

    def outer(self, kept: int, rows: Any) -> Place:
        """Return the place with the outer loops only, for some of the iterations."""
        return self._replace(
            loops=self.loops[:kept],
            indices=self.indices[rows][:, :kept],
            positions=self.positions[rows],
        )


def loop_starts(leaves: Sequence[Leaf], loop: str) -> Ints:
    """Return the tape position at which a loop starts, each time that it does, ascending."""
    found = []
    for leaf in leaves:
        if loop in leaf.loops:
            around = leaf.indices[:, : leaf.loops.index(loop)]
            first = _new_rows(around)
            found.append(np.column_stack([around, leaf.positions])[first])
    every = np.vstack(found)
    every = every[np.lexsort(every.T[::-1])]
    starts: Ints = every[_new_rows(every[:, :-1]), -1]
    return starts


def _new_rows(rows: Ints) -> Ints:
    """Return the numbers of the rows that differ from the one before."""
    new: Ints = np.flatnonzero((np.diff(rows, axis=0) != 0).any(axis=1)) + 1
    return np.concatenate([[0], new])

"""Cut a loop where the operands of a statement change their source.

Rolling may put iterations into one loop of which the first or the last read something else: the
boundary of a stencil, the start of a list. Such a loop is cut there, into a few shorter ones; where
there is no pattern it is written out. The same is done to a loop around one that does not always
run, if something is stored in front of that one for it to start from.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jitgrad.leaf import Ints, Spans
from jitgrad.roll import Item, Repeat, Runs, instances, runs

MOST_PIECES = 6  # a loop that would be cut into more is written out


class Misfit(NamedTuple):
    """An operand of a statement that no affine position fits, or a loop that is too short.

    Parameters
    ----------
    loops : tuple of str
        The loops around it.
    kinds : ndarray of int
        For each iteration which constant, input or statement the operand comes from, or whether
        the loop is long enough.
    indices : ndarray of int
        The loop indices of those iterations.
    """

    loops: tuple[str, ...]
    kinds: Ints
    indices: Ints


class MisfitError(Exception):
    """Some loops have to be cut.

    Parameters
    ----------
    misfits : tuple of Misfit
        In the order of the statements, each in another outermost loop.
    """

    def __init__(self, misfits: tuple[Misfit, ...]) -> None:
        super().__init__(*(misfit.loops for misfit in misfits))
        self.misfits = misfits


def split(tree: tuple[Item, ...], misfits: Sequence[Misfit]) -> tuple[Item, ...]:
    """Return the tree with one loop around each of some statements cut into pieces."""
    extents = dict(_extents(tree, itertools.count()))
    for misfit in reversed(misfits):  # a cut changes the numbers of later loops only
        tree = _cut(tree, *_place(misfit, extents), itertools.count())
    return _visited(tree)


def in_vain(tree: tuple[Item, ...], stored: Iterable[Spans]) -> tuple[Misfit, ...]:
    """List loops that are too short, in some iterations, for what is stored before they start.

    Parameters
    ----------
    tree : tuple of Item
        The loops.
    stored : iterable of Spans
        For each thing that is stored before a loop the iterations that read it, of that loop and
        then of loops inside it.

    Returns
    -------
    tuple of Misfit
        In the order of the tree, each in another outermost loop.
    """
    found: dict[int, Misfit] = {}
    every = list(runs(tree))
    for spans in stored:
        misfit = next(_too_short(spans, every), None)
        if misfit is not None:
            found.setdefault(int(misfit.loops[0][1:]), misfit)
    return tuple(found[number] for number in sorted(found))


def _too_short(spans: Spans, every: Sequence[Runs]) -> Iterator[Misfit]:
    """List the loops that do not have all iterations of these spans, each inside those before."""
    within: dict[int, tuple[int, int]] = {}
    for loop, low, count in spans:
        if loop[0] == "r" and count is not None:
            path, indices, counts = every[int(loop[1:])]
            enough = counts >= low + count
            for column, outer in zip(indices.T, path, strict=True):
                first, end = within.get(outer, (0, math.inf))
                enough |= (column < first) | (column >= end)
            if not enough.all():
                yield Misfit(tuple(f"r{outer}" for outer in path), enough.astype(np.int64), indices)
            within[int(loop[1:])] = low, low + count


def _place(misfit: Misfit, extents: dict[int, tuple[int, ...]]) -> tuple[int, list[int]]:
    """Choose a loop, and its iterations that begin a piece."""
    loops = [int(name[1:]) for name in misfit.loops]
    whole = [axis for axis, loop in enumerate(loops) if not any(extents[loop][1:])]
    for axis in reversed(whole):
        cuts = _cuts(misfit, axis)
        if 0 < len(cuts) < MOST_PIECES:
            return loops[axis], cuts
    return loops[whole[-1]], list(range(1, extents[loops[whole[-1]]][0]))


def _visited(tree: tuple[Item, ...]) -> tuple[Item, ...]:
    """Leave out what never runs: inner loops whose extent is 0 in all iterations of a piece."""
    return tuple(_kept(tree, (len(found.positions) for found in instances(tree))))


def _kept(tree: Sequence[Item], visits: Iterator[int]) -> Iterator[Item]:
    for item in tree:
        if isinstance(item, Repeat):
            body = tuple(_kept(item.body, visits))
            if body:
                yield item._replace(body=body)
        elif next(visits):
            yield item


def _extents(tree: Sequence[Item], numbers: Iterator[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    for item in tree:
        if isinstance(item, Repeat):
            yield next(numbers), item.extent
            yield from _extents(item.body, numbers)


def _cuts(misfit: Misfit, axis: int) -> list[int]:
    """Return the iterations of one loop at which the sources change."""
    if axis >= misfit.indices.shape[1]:
        return []
    steps = misfit.indices[:, axis]
    sources = [frozenset(misfit.kinds[steps == step].tolist()) for step in range(steps.max() + 1)]
    pairs = enumerate(itertools.pairwise(sources), start=1)
    return [step for step, (before, after) in pairs if before != after]


def _cut(
    tree: Sequence[Item], target: int, cuts: list[int], numbers: Iterator[int]
) -> tuple[Item, ...]:
    result: list[Item] = []
    for item in tree:
        if not isinstance(item, Repeat):
            result.append(item)
            continue
        number = next(numbers)
        body = _cut(item.body, target, cuts, numbers)
        if number != target:
            result.append(item._replace(body=body))
            continue
        for low, high in itertools.pairwise([0, *cuts, item.extent[0]]):
            result.extend(_piece(item, body, low, high))
    return tuple(result)


def _piece(loop: Repeat, body: tuple[Item, ...], low: int, high: int) -> tuple[Item, ...]:
    """Return the iterations from ``low`` to ``high`` of a loop."""
    axis = len(loop.extent) - 1
    moved = tuple(_moved(item, axis, low) for item in body)
    if high - low > 1:
        return (loop._replace(extent=(high - low, *loop.extent[1:]), body=moved),)
    return tuple(_without(item, axis) for item in moved)


def _moved(item: Item, axis: int, by: int) -> Item:
    """Let an enclosing loop start again from 0 where it was at ``by``."""
    if not isinstance(item, Repeat):
        return item
    extent = (item.extent[0] + item.extent[1 + axis] * by, *item.extent[1:])
    return Repeat(extent, tuple(_moved(child, axis, by) for child in item.body))


def _without(item: Item, axis: int) -> Item:
    """Take one enclosing loop out of the extents below it."""
    if not isinstance(item, Repeat):
        return item
    extent = (*item.extent[: 1 + axis], *item.extent[2 + axis :])
    return Repeat(extent, tuple(_without(child, axis) for child in item.body))


def kinds_of(codes: Ints, leaf_of: Ints, constant: int, shift: int) -> Ints:
    """Say for each operand code which constant, input or statement it comes from."""
    made = codes >= 0
    kinds = np.where(codes <= constant, -1, codes >> shift)
    kinds[made] = leaf_of[codes[made] >> shift]
    return np.where(made | (codes <= constant), kinds, kinds - 2)

"""The loops of a tape, as a tree.

A tree of `Statement` and `Repeat` stands for the order of a tape's positions: 0, 1, ..., n - 1.
Extents are affine in the indices of the loops around, so `for i ...: for j in range(i)` is

>>> pairs = (Repeat((3,), (Repeat((0, 1), (Statement(7),)),)),)
>>> leaf, = instances(pairs)
>>> leaf.positions.tolist(), leaf.indices.tolist()
([0, 1, 2], [[1, 0], [2, 0], [2, 1]])
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.int64]

NEVER = 1 << 40  # minus this: the size of an iteration with an extent below zero


class Statement(NamedTuple):
    """A leaf: the instructions at all its visits have this one symbol."""

    symbol: int


class Repeat(NamedTuple):
    """A loop.

    The number of iterations is ``extent[0] + sum(extent[1 + d] * index[d])`` over the enclosing
    Repeats, outermost first, so ``len(extent) == 1 + depth``; it is never negative.
    """

    extent: tuple[int, ...]
    body: tuple[Item, ...]


Item: TypeAlias = Statement | Repeat
Items: TypeAlias = tuple[Item, ...]


class Instances(NamedTuple):
    """All visits of one leaf, in execution order.

    Attributes
    ----------
    symbol : int
        The leaf's symbol.
    positions : int64 array of shape (count,)
        Tape positions.
    indices : int64 array of shape (count, depth)
        Indices of the enclosing loops, outermost first; one array is shared by leaves of one body.
    path : tuple of int
        The enclosing Repeats, outermost first, each as its number in a depth-first walk of the
        tree that counts Repeats only: leaves with a common start of the path share those loops.
    """

    symbol: int
    positions: Array
    indices: Array
    path: tuple[int, ...]


class Runs(NamedTuple):
    """All times that one Repeat is reached, in execution order.

    Attributes
    ----------
    path : tuple of int
        The numbers of the enclosing Repeats, as in `Instances`.
    indices : int64 array of shape (count, depth)
        Indices of the enclosing loops, outermost first.
    counts : int64 array of shape (count,)
        How many iterations it has.
    """

    path: tuple[int, ...]
    indices: Array
    counts: Array


def count_statements(tree: Iterable[Item]) -> int:
    """Count the leaves and the Repeats of a tree: about its number of source lines."""
    return sum(1 + count_statements(item.body) if isinstance(item, Repeat) else 1 for item in tree)


def instances(tree: Items, start: int = 0) -> list[Instances]:
    """List the visits of every leaf.

    Parameters
    ----------
    tree : tuple of Item
        What `roll` returned.
    start : int
        The tape position of the first visit.

    Returns
    -------
    list of Instances
        One for each leaf, in the order of the tree.

    Examples
    --------
    >>> pairs = (Repeat((3,), (Repeat((0, 1), (Statement(7),)),)),)      # i < 3, j < i
    >>> leaf, = instances(pairs)
    >>> leaf.positions.tolist(), leaf.indices.tolist(), leaf.path
    ([0, 1, 2], [[1, 0], [2, 0], [2, 1]], (0, 1))
    """
    found: list[Instances] = []
    _place(tree, np.zeros((1, 0), np.int64), np.full(1, start, np.int64), (), 0, found)
    return found


def _place(
    body: Items,
    indices: Array,
    at: Array,
    path: tuple[int, ...],
    repeats: int,
    found: list[Instances],
) -> int:
    """Append the visits of a body whose executions have these indices and begin at `at`."""
    for item in body:
        if isinstance(item, Statement):
            found.append(Instances(item.symbol, at, indices, path))
            at = at + 1
            continue
        counts = _counts(item, indices)
        inner = _enter(indices, counts)
        sizes = _sizes(item.body, inner)
        ends = np.cumsum(sizes)
        totals = _segment_sums(sizes, counts)
        begins = ends - sizes + np.repeat(at - (np.cumsum(totals) - totals), counts)
        repeats = _place(item.body, inner, begins, (*path, repeats), repeats + 1, found)
        at = at + totals
    return repeats


def runs(tree: Items) -> Iterator[Runs]:
    """Yield how often every Repeat runs, in the order of their numbers.

    Examples
    --------
    >>> pairs = (Repeat((3,), (Repeat((0, 1), (Statement(7),)),)),)      # i < 3, j < i
    >>> [found.counts.tolist() for found in runs(pairs)]
    [[3], [0, 1, 2]]
    """
    return _runs(tree, np.zeros((1, 0), np.int64), (), itertools.count())


def _runs(
    body: Items, indices: Array, path: tuple[int, ...], numbers: Iterator[int]
) -> Iterator[Runs]:
    for item in body:
        if isinstance(item, Repeat):
            inner, counts = (*path, next(numbers)), _counts(item, indices)
            yield Runs(path, indices, counts)
            if any(isinstance(child, Repeat) for child in item.body):
                yield from _runs(item.body, _enter(indices, counts), inner, numbers)


def _counts(repeat: Repeat, indices: Array) -> Array:
    base, *steps = repeat.extent
    return np.asarray(indices @ np.array(steps, np.int64) + base, np.int64)


def _enter(indices: Array, counts: Array) -> Array:
    """Indices of the iterations of a loop that runs `counts` times."""
    counts = np.maximum(counts, 0)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    return np.column_stack([np.repeat(indices, counts, axis=0), np.arange(len(first)) - first])


def _segment_sums(values: Array, counts: Array) -> Array:
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(values)])
    ends = np.cumsum(np.maximum(counts, 0))
    return np.asarray(sums[ends] - sums[ends - np.maximum(counts, 0)], np.int64)


def _sizes(body: Items, indices: Array) -> Array:
    """Tape positions that a body takes at each of these indices."""
    total = np.zeros(len(indices), np.int64)
    for item in body:
        total += 1 if isinstance(item, Statement) else _repeat_sizes(item, indices)
    return total


def _repeat_sizes(repeat: Repeat, indices: Array) -> Array:
    counts = _counts(repeat, indices)
    if _rectangular(repeat.body):
        once = _sizes(repeat.body, np.zeros((1, indices.shape[1] + 1), np.int64))
        sizes = counts * once
    else:
        sizes = _segment_sums(_sizes(repeat.body, _enter(indices, counts)), counts)
    return np.where(counts < 0, -NEVER, sizes)


def _rectangular(body: Items) -> bool:
    return all(
        isinstance(item, Statement) or (not any(item.extent[1:]) and _rectangular(item.body))
        for item in body
    )


def positions_in(body: Items) -> int:
    """Tape positions that a body outside all loops takes."""
    if len(body) == 1 and isinstance(body[0], Statement):
        return 1
    return int(_sizes(body, np.zeros((1, 0), np.int64))[0])


# ---- bodies of one loop: extents are (base, step in the loop's index, steps in inner indices) ----


def _merge(a: Item, b: Item, c: Item) -> Item | None:
    """One item for three iterations of a new loop, or None if they are not alike."""
    if isinstance(a, Statement) or isinstance(b, Statement) or isinstance(c, Statement):
        return a if a == b == c else None
    step = b.extent[0] - a.extent[0]
    if c.extent[0] - b.extent[0] != step or not a.extent[1:] == b.extent[1:] == c.extent[1:]:
        return None
    body = merge_bodies(a.body, b.body, c.body)
    return None if body is None else Repeat((a.extent[0], step, *a.extent[1:]), body)


def merge_bodies(a: Items, b: Items, c: Items) -> Items | None:
    """One body for three iterations of a new loop, or None if they are not alike."""
    if not len(a) == len(b) == len(c):
        return None
    merged: list[Item] = []
    for triple in zip(a, b, c, strict=True):
        item = _merge(*triple)
        if item is None:
            return None
        merged.append(item)
    return tuple(merged)


def is_steady(body: Items) -> bool:
    """Tell if all iterations of the loop are alike."""
    return all(
        isinstance(item, Statement) or (item.extent[1] == 0 and is_steady(item.body))
        for item in body
    )


def shifted(body: Items, by: int) -> Items:
    """The body with its loop's index counted from `by`."""
    return tuple(
        item
        if isinstance(item, Statement)
        else Repeat(
            (item.extent[0] + by * item.extent[1], *item.extent[1:]), shifted(item.body, by)
        )
        for item in body
    )


def first_iteration(body: Items) -> Items:
    """The body's iteration 0, outside its loop."""
    return tuple(
        item
        if isinstance(item, Statement)
        else Repeat((item.extent[0], *item.extent[2:]), first_iteration(item.body))
        for item in body
    )


def iteration_starts(body: Items, start: int, count: int) -> Array:
    """Where iterations begin; the last entry is the end."""
    sizes = _sizes(body, np.arange(count)[:, None])
    return np.asarray(start + np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]), np.int64)


def _predecessors(indices: Array, axis: int) -> tuple[Array, Array]:
    """Row numbers of each visit's last two predecessors along one loop; -1 where there are none."""
    radix = np.ones(indices.shape[1], np.int64)
    radix[:-1] = np.cumprod(indices.max(axis=0)[:0:-1] + 1)[::-1]
    keys = indices @ radix  # ascending: visits are in lexicographic order
    both = []
    for back in (1, 2):
        wanted = keys - back * radix[axis]
        row = np.searchsorted(keys, wanted)
        both.append(np.where((indices[:, axis] >= back) & (keys[row] == wanted), row, -1))
    return both[0], both[1]


def triples(indices: Array) -> tuple[Array, Array, Array]:
    """Two visits that each visit from the third iteration on is to continue, and that one.

    They are at the same inner indices in the two iterations before; where a longer inner loop has
    none there, in the innermost loop.
    """
    once, twice = _predecessors(indices, 0)
    if indices.shape[1] > 1:
        inner_once, inner_twice = _predecessors(indices, indices.shape[1] - 1)
        once, twice = np.where(twice < 0, inner_once, once), np.where(twice < 0, inner_twice, twice)
    rows = np.flatnonzero((twice >= 0) & (indices[:, 0] >= 2))
    return twice[rows], once[rows], rows

"""Find the additions that only continue their own previous result: running sums.

``total = total + a`` or ``total = total - a + b`` in a loop are instructions whose results nobody
reads but the next one of the chain, until the loop ends. They become `Accumulate`s into one
element, which may be added in any order and whose derivative needs nothing that was stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jitgrad.leaf import Ints, Leaf
from jitgrad.traced import SHIFT, contiguous


class Link(NamedTuple):
    """An operand of an addition that is the result of another one."""

    leaf: Leaf
    slot: int


class RunningSum(NamedTuple):
    """A chain of additions.

    Parameters
    ----------
    owner : Leaf
        The last one; the sum is kept in its buffer.
    links : tuple of Link
        All of them in order, each with the operand that continues the chain.
    kept : int
        How many of the outer loops have a sum of their own.
    starts : ndarray of bool
        The iterations in which a sum starts.
    """

    owner: Leaf
    links: tuple[Link, ...]
    kept: int
    starts: Ints


def running_sums(leaves: Sequence[Leaf], readers: Ints) -> list[RunningSum]:
    """List the running sums of a rolled tape.

    Parameters
    ----------
    leaves : sequence of Leaf
        The statements.
    readers : ndarray of int
        How often the result at each tape position is read.
    """
    additions = [leaf for leaf in leaves if leaf.loops and leaf.symbol.op in ("add", "sub")]
    made_at = {int(leaf.positions[0]): leaf for leaf in additions}
    continued = _continued(additions, made_at, readers)
    found = []
    for leaf in additions:
        for slot in range(2 if leaf.symbol.op == "add" else 1):
            links = _chain(Link(leaf, slot), continued)
            total = _running(links, readers) if _is_dense(leaf, slot) else None
            if total is not None:
                found.append(total)
                break
    return found


def _is_dense(leaf: Leaf, slot: int) -> bool:
    return leaf.symbol.strides[slot] == contiguous(leaf.symbol.shape)


def _continued(
    additions: Sequence[Leaf], made_at: dict[int, Leaf], readers: Ints
) -> dict[int, Link]:
    """Map each addition to the only reader of its results, an addition in the same iteration."""
    found: dict[int, Link] = {}
    for leaf in additions:
        for slot in range(2 if leaf.symbol.op == "add" else 1):
            source = made_at.get(int(leaf.codes[slot][0]) >> SHIFT)
            if source is None or source.loops != leaf.loops or not _is_dense(leaf, slot):
                continue
            a, b = source.symbol, leaf.symbol
            if (a.shape, a.dtype) != (b.shape, b.dtype):
                continue
            same = np.array_equal(leaf.codes[slot], source.positions << SHIFT)
            if same and (readers[source.positions] == 1).all():
                found[source.number] = Link(leaf, slot)
    return found


def _chain(first: Link, continued: dict[int, Link]) -> tuple[Link, ...]:
    links = [first]
    while (following := continued.get(links[-1].leaf.number)) is not None:
        links.append(following)
    return tuple(links)


def _running(links: tuple[Link, ...], readers: Ints) -> RunningSum | None:
    """Whether the first addition of a chain goes on from the last one's previous result."""
    (first, slot), owner = links[0], links[-1].leaf
    goes_on = first.codes[slot][1:] == owner.positions[:-1] << SHIFT
    if not goes_on.any():
        return None
    for kept in range(len(first.loops)):
        new = (np.diff(first.indices[:, :kept], axis=0) != 0).any(axis=1)
        inner = ~np.r_[new, True]
        if (goes_on == ~new).all() and (readers[owner.positions[inner]] == 1).all():
            return RunningSum(owner, links, kept, np.r_[True, new])
    return None

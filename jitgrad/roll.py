"""Find the loops in a tape.

Scalar code leaves one instruction for each operation: a million of them for a few lines of source.
Read the tape from left to right and keep a stack of terms; when its last three runs of k terms have
the same symbols, and operands that progress by constant steps, they become a `Repeat`, which takes
in all further runs that continue it; repeat on the `Repeat`s. This is nested loop recognition
(Ketterlin and Clauss, CGO 2008). The order of evaluation stays the tape's.

>>> s, x = 0, [-9, -8, -7, -6]                      # for x in xs: s = s + x * x
>>> codes = [[x[0], x[0]], [CONST, 0], [x[1], x[1]], [1 << 32, 2 << 32],
...          [x[2], x[2]], [3 << 32, 4 << 32], [x[3], x[3]], [5 << 32, 6 << 32]]
>>> roll(np.array([7, 5] * 4), np.array(codes), np.zeros(8, np.int64))
(Repeat(extent=(4,), body=(Statement(symbol=7), Statement(symbol=5))),)
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jitgrad.roll_tree import (
    Array,
    Instances,
    Item,
    Items,
    Repeat,
    Runs,
    Statement,
    count_statements,
    first_iteration,
    instances,
    is_steady,
    iteration_starts,
    merge_bodies,
    positions_in,
    runs,
    shifted,
    triples,
)

__all__ = [
    "CONST",
    "NONE",
    "Instances",
    "Item",
    "Repeat",
    "Runs",
    "Statement",
    "count_statements",
    "instances",
    "roll",
    "runs",
]

CONST = -(1 << 62)  # the code of every constant
NONE = CONST - 1  # the code of an operand slot that is not used
_ANY_INPUT = CONST - 2

_NEAR = 6  # periods up to this one are always tried ...
_GRAM = 12  # ... and farther ones where this many symbols, or one symbol and its site, came before,
_CHAIN = 6  # at the latest few such places
_CHUNK = 1 << 16  # tape positions compared at once
_PRIME, _BASE = (1 << 61) - 1, 0x9E3779B97F4A7C1


class _Loop(NamedTuple):
    """A Repeat on the tape."""

    start: int
    iterations: int
    body: Items
    length: int  # tape positions of every iteration; 0 if they differ
    limit: int  # the progression is known to hold up to this position


class _Tape(NamedTuple):
    """The raw columns and how to compare parts of them."""

    symbols: Array
    operands: Array
    sites: Array

    def last_break(self, start: int, length: int) -> int:
        """The last position at which three equally long runs are no progression, or -1.

        From the second run on, an operand may be carried: read the run before at a fixed distance.
        """
        b = start + length
        c = b + length
        rows = [self.operands[p : p + length] for p in (start, b, c)]
        step = rows[2] - rows[1]
        carried = (step == length << 32) & (rows[2] >= b << 32)
        good = ((step == rows[1] - rows[0]) | carried).all(axis=1)
        good &= self.symbols[c : c + length] == self.symbols[b:c]
        good &= self.symbols[b:c] == self.symbols[start:b]
        return -1 if good.all() else int(c + np.flatnonzero(~good)[-1])

    def first_break(self, at: int, length: int) -> int:
        """The first position from `at` on that does not continue those one and two runs before."""
        chunk = max(256, length)
        while at < len(self.symbols):
            end = min(at + chunk, len(self.symbols))
            once, twice = slice(at - length, end - length), slice(at - 2 * length, end - 2 * length)
            step = self.operands[at:end] - self.operands[once]
            good = (step == self.operands[once] - self.operands[twice]).all(axis=1)
            good &= self.symbols[at:end] == self.symbols[once]
            if not good.all():
                return at + int(good.argmin())
            at, chunk = end, min(2 * chunk, max(_CHUNK, length))
        return at

    def progress(self, body: Items, start: int, count: int, opening: bool) -> int:
        """How many of `count` iterations, whose lengths may differ, are one progression.

        If they open the loop, operands may be carried.
        """
        begins = iteration_starts(body, start, count)
        outside = (np.diff(begins) <= 0) | (begins[1:] > len(self.symbols))
        good = count = int(outside.argmax()) if outside.any() else count
        known: dict[int, tuple[Array, Array, Array]] = {}
        for leaf in instances((Repeat((count,), body),), start):
            if len(leaf.positions):
                if id(leaf.indices) not in known:
                    known[id(leaf.indices)] = triples(leaf.indices)
                bad = self._breaks(leaf, begins, known[id(leaf.indices)], opening)
                good = min(good, int(leaf.indices[bad.argmax(), 0])) if bad.any() else good
        return good

    def _breaks(
        self, leaf: Instances, begins: Array, triples: tuple[Array, Array, Array], opening: bool
    ) -> NDArray[np.bool_]:
        """Tell at which visits a leaf breaks its progression."""
        bad = self.symbols[leaf.positions] != leaf.symbol
        places = [leaf.positions[rows] for rows in triples]
        a, b, c = (self.operands[p] for p in places)
        # Relative to the instruction itself, where an operand is a result.
        ra, rb, rc = (
            np.where(x >= 0, x - (p[:, None] << 32), x)
            for x, p in zip((a, b, c), places, strict=True)
        )
        good = (c - b == b - a) | (rc - rb == rb - ra) | ((rc == rb) & (c >= 0))
        if opening:
            _, index_b, index_c = (leaf.indices[rows, 0] for rows in triples)
            good |= (
                self._carried(b, begins, index_b)
                & self._carried(c, begins, index_c)
                & (self.symbols[np.maximum(b, 0) >> 32] == self.symbols[np.maximum(c, 0) >> 32])
            )
        bad[triples[2]] |= ~good.all(axis=1)
        return np.asarray(bad)

    def _carried(self, codes: Array, begins: Array, index: Array) -> NDArray[np.bool_]:
        """Tell which operands of visits in these iterations read the iteration before."""
        first, last = begins[np.maximum(index - 1, 0), None], begins[index, None]
        return np.asarray((codes >= first << 32) & (codes < last << 32))


def roll(symbols: Array, operands: Array, sites: Array, gathers: bool = False) -> Items:
    """Find the loops in a tape of n instructions.

    Parameters
    ----------
    symbols : int64 array of shape (n,)
        What each instruction does; a leaf has one symbol.
    operands : int64 array of shape (n, slots)
        Codes: the tape position of a result in the upper 32 bits, an offset in it in the lower 32;
        below zero, an element of an input, `CONST` for any constant, `NONE` for no operand.
    sites : int64 array of shape (n,)
        Where in the user's source, ascending; only a hint for where a loop's body begins.
    gathers : bool
        Whether to then roll what is left as well if only elements of inputs are out of step, as in
        ``for i in batch: s = s + x[i]``.

    Returns
    -------
    tuple of Item
        Executing it visits tape positions 0, 1, ..., n - 1 in this order. Operands decide what is
        worth a loop, but need not be affine in the loops' indices: the first visit in a loop can
        read anything where later ones read the iteration before.

    Notes
    -----
    Ketterlin and Clauss, *Prediction and trace compression of data access addresses through nested
    loop recognition*, CGO 2008; here with carried operands, extents that are affine in outer
    indices, and whole iterations compared at once.
    """
    columns = (np.ascontiguousarray(column, np.int64) for column in (symbols, operands, sites))
    tape = _Tape(*columns)
    stack = _scan(tape, {})
    if gathers:
        inputs = (tape.operands < 0) & (tape.operands > CONST)
        alike = tape._replace(operands=np.where(inputs, _ANY_INPUT, tape.operands))
        stack = _scan(alike, dict(zip(stack.starts, stack.items, strict=True)))
    return tuple(stack.items)


def _scan(tape: _Tape, known: dict[int, Item]) -> _Stack:
    """Read the tape from left to right, or the known terms that start at these positions."""
    stack = _Stack(tape)
    while stack.end < len(tape.symbols):
        symbol = int(tape.symbols[stack.end])
        stack.push(stack.end, known.get(stack.end) or Statement(symbol))
        while (loop := stack.newest_loop()) is not None:
            stack.settle(loop)
    return stack


class _Stack:
    """Terms found so far, each an item and the tape position where it starts."""

    def __init__(self, tape: _Tape) -> None:
        self.tape = tape
        self.end = 0  # of the last term
        self.starts: list[int] = []
        self.items: list[Item] = []
        self.keys: list[int] = []
        self.codes: list[list[int]] = []  # operands of statements
        self.grams: list[tuple[tuple[int, int], int]] = []
        self.hashes = [0]  # of keys[:t]
        self.powers = [1]
        self.ids: dict[int | tuple[int, ...], int] = {}
        self.seen: dict[tuple[int, int] | int, list[int]] = defaultdict(list)
        self.broken: dict[int, int] = {}  # spacing: the last position at which it did not hold

    def key(self, item: Item) -> int:
        """A number for an item's structure, whatever its extents."""
        name = item.symbol if isinstance(item, Statement) else tuple(map(self.key, item.body))
        return self.ids.setdefault(name, len(self.ids) + 1)

    def push(self, start: int, item: Item) -> None:
        key = self.key(item)
        self.end = start + positions_in((item,))
        self.starts.append(start)
        self.items.append(item)
        self.keys.append(key)
        self.codes.append(self.tape.operands[start].tolist() if isinstance(item, Statement) else [])
        self.hashes.append((self.hashes[-1] * _BASE + key) % _PRIME)
        if len(self.powers) < len(self.hashes):
            self.powers.append(self.powers[-1] * _BASE % _PRIME)
        end = len(self.keys)
        grams = ((key, int(self.tape.sites[start])), self.hash(max(0, end - _GRAM), end))
        self.grams.append(grams)
        for gram in grams:
            self.seen[gram].append(end - 1)

    def pop(self, count: int) -> None:
        for _ in range(count):
            for gram in self.grams.pop():
                self.seen[gram].pop()
        for column in (self.starts, self.items, self.keys, self.codes, self.hashes):
            del column[len(column) - count :]

    def hash(self, begin: int, end: int) -> int:
        """Hash of the keys from begin to end (Karp and Rabin)."""
        return (self.hashes[end] - self.hashes[begin] * self.powers[end - begin]) % _PRIME

    def periods(self) -> list[int]:
        """Numbers of terms k, ascending, to look for three runs of."""
        top = len(self.keys) - 1
        places = set(range(max(0, top - _NEAR), top))
        for gram in self.grams[-1]:
            places.update(self.seen[gram][-1 - _CHAIN : -1])
        return sorted(top - t for t in places if self.keys[t] == self.keys[top])

    def spacing(self, k: int) -> int:
        """The length of three runs of k terms on the tape if they are equally long, or else -k."""
        a, b, c = self.starts[-3 * k], self.starts[-2 * k], self.starts[-k]
        return b - a if b - a == c - b == self.end - c else -k

    def plausible(self, k: int) -> bool:
        """Cheap tests of the last three runs of k terms, the cheapest first."""
        if 3 * k > len(self.keys):
            return False
        spacing = self.spacing(k)
        if self.starts[-k] <= self.broken.get(spacing, -1):
            return False
        return (spacing < 0 or self.top_progresses(k, spacing << 32)) and self.repeats(k)

    def top_progresses(self, k: int, length: int) -> bool:
        """Tell if the operands of the last terms of three runs progress or are carried."""
        three = self.codes[-1 - 2 * k], self.codes[-1 - k], self.codes[-1]
        for a, b, c in zip(*three, strict=False):
            if c - b != b - a and c - b != length:
                return False
        return True

    def repeats(self, k: int) -> bool:
        end = len(self.keys)
        last = self.hash(end - k, end)
        return last == self.hash(end - 2 * k, end - k) == self.hash(end - 3 * k, end - 2 * k)

    def newest_loop(self) -> _Loop | None:
        """Take the loop that ends with the last term off the stack, if there is one."""
        for k in self.periods():
            if self.plausible(k) and (loop := self.propose(k)) is not None:
                self.pop(3 * k)
                return loop
        return None

    def propose(self, k: int) -> _Loop | None:
        """Three iterations of a loop made from the last three runs of k terms."""
        runs = (tuple(self.items[len(self.items) - j * k :][:k]) for j in (3, 2, 1))
        body = merge_bodies(*runs)
        if body is None:
            return None
        start, spacing = self.starts[-3 * k], self.spacing(k)
        length = spacing if spacing > 0 and is_steady(body) else 0
        if length:
            broken = self.tape.last_break(start, length)
        else:
            broken = -1 if self.tape.progress(body, start, 3, True) == 3 else self.end - 1
        if broken < 0:
            return _Loop(start, 3, body, length, self.end)
        self.broken[spacing] = broken
        return None

    def settle(self, loop: _Loop) -> None:
        """Let a loop take in what it can, and push it."""
        loop = self.backward(self.turn(self.backward(self.forward(loop))))
        self.push(loop.start, Repeat((loop.iterations,), loop.body))

    def forward(self, loop: _Loop) -> _Loop:
        """Take in the iterations that follow."""
        if loop.length:
            limit = self.tape.first_break(loop.limit, loop.length)
            return loop._replace(limit=limit, iterations=(limit - loop.start) // loop.length)
        body, count, more = loop.body, loop.iterations, 1
        while True:
            begin = int(iteration_starts(body, loop.start, count - 2)[-1])
            good = self.tape.progress(shifted(body, count - 2), begin, 2 + more, False) - 2
            count += max(0, good)
            if good < more:
                return loop._replace(iterations=count)
            more *= 2

    def backward(self, loop: _Loop) -> _Loop:
        """Take in the iterations before, whose terms did not look the same."""
        while True:
            body = shifted(loop.body, -1)
            size = positions_in(first_iteration(body))
            start = loop.start - size
            place = bisect_left(self.starts, start)
            if size <= 0 or start < 0 or place == len(self.starts) or self.starts[place] != start:
                return loop
            if loop.length and self.tape.last_break(start, loop.length) >= 0:
                return loop
            if not loop.length and self.tape.progress(body, start, 3, True) < 3:
                return loop
            self.pop(len(self.starts) - place)
            loop = loop._replace(start=start, iterations=loop.iterations + 1, body=body)

    def turn(self, loop: _Loop) -> _Loop:
        """Begin the body where the source does, if no iteration is lost by it."""
        starts = self.item_starts(loop, 0)
        cut = self.cut(starts, self.item_starts(loop, 1))
        body = loop.body[cut:] + shifted(loop.body[:cut], 1)
        turned = loop._replace(start=int(starts[cut]), iterations=loop.iterations - 1, body=body)
        if cut == 0 or (turned := self.forward(turned)).iterations < loop.iterations:
            return loop
        for start, end, item in zip(
            starts, starts[1:], first_iteration(loop.body)[:cut], strict=False
        ):
            if start < end:
                self.push(int(start), item)
        return turned

    def item_starts(self, loop: _Loop, index: int) -> Array:
        """Where the items of the loop's body start in one of its iterations, and where it ends."""
        items = first_iteration(shifted(loop.body, index))
        start = iteration_starts(loop.body, loop.start, index)[-1:]
        return np.cumsum(np.concatenate([start, [positions_in((item,)) for item in items]]))

    def cut(self, one: Array, two: Array) -> int:
        """Choose the item that a body begins with, from the starts of items in two iterations.

        It is the first that has the same site in both, if those before do not: they come from
        before the source's loop. Or the first whose site is before its predecessor's, if any.
        """
        sites = self.tape.sites
        strange = (sites[one[:-1]] != sites[two[:-1]]) & (one[:-1] < one[1:])
        if strange[0] and not strange.all():
            return int(strange.argmin())
        return int((sites[two[:-1]] < sites[two[:-1] - 1]).argmax())

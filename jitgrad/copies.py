"""Containers that a loss sees in place of others, and what it does to them.

A list that holds numbers is another list while a function is traced, with Values in it. What the
function appends to it, or puts in and out of a dict, is done to the real one afterwards.

>>> real, copies = [1.0], Copies()
>>> seen = [Value(1.0)]
>>> copies.note(real, seen)
>>> seen.append(2.0)
>>> copies.write_back()
>>> real
[1.0, 2.0]
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from jitgrad.value import Value  # noqa: F401 - for the example

_CHANGEABLE = (list, dict, deque)


class _Copy(NamedTuple):
    real: Any
    seen: Any
    before: tuple[Any, ...]


class Copies:
    """The containers of one trace that stand for others."""

    def __init__(self) -> None:
        self.found: list[_Copy] = []
        self.reals: dict[int, tuple[Any, Any]] = {}  # by what is seen, which is held here

    def note(self, real: Any, seen: Any) -> None:
        """Remember that one stands for another, and their parts for one another."""
        if real is seen or id(seen) in self.reals:
            return
        self.reals[id(seen)] = seen, real
        if type(real) is not type(seen) or not isinstance(real, (*_CHANGEABLE, tuple)):
            return
        if isinstance(real, _CHANGEABLE):
            self.found.append(_Copy(real, seen, _items(seen)))
        for part, other in zip(_items(real), _items(seen), strict=False):
            self.note(part, other)

    def write_back(self) -> None:
        """Do to the real containers what was done to those that stand for them."""
        for real, seen, before in self.found:
            now = _items(seen)
            if len(now) == len(before) and all(a is b for a, b in zip(now, before, strict=True)):
                continue
            parts = [self.reals.get(id(part), (part, part))[1] for part in now]
            if isinstance(real, dict):
                real.clear()
                real.update(zip(parts[::2], parts[1::2], strict=True))
            else:
                real.clear()
                real.extend(parts)


def _items(container: Any) -> tuple[Any, ...]:
    """Return what a container holds; of a dict each key and its value."""
    if isinstance(container, dict):
        return tuple(part for pair in container.items() for part in pair)
    return tuple(container)

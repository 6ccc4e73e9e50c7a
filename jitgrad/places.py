"""Where a loss finds things outside its arguments, and what was found there.

A place is a global, a closure cell or an attribute. Numbers and arrays found there are inputs of
the kernel, read again at every call, so that a change is never missed; anything else is compared
with what it was, and the function is traced again when it is another.

>>> rate = 0.5
>>> place = Place("global", globals(), "rate")
>>> place.read()
0.5
>>> look(place).specs[0].kind
'number'
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Container
from typing import Any, NamedTuple

import numpy as np

from jitgrad.signature import Identity, Spec, flatten, frozen, is_plain, spec_as_it_is, spec_of
from jitgrad.tables import is_table
from jitgrad.value import Value

ABSENT = type("Absent", (), {"__repr__": lambda _: "<absent>"})()
_CONTAINERS = (list, tuple, dict, deque)
_CONSTANTS = (math.pi, math.e, math.tau, math.inf, math.nan, np.pi, np.e, np.inf, np.nan)


class Place(NamedTuple):
    """Where something stands: ``kind`` is "global", "cell", "attribute" or "names".

    ``holder`` is the dict of globals, the closure cell, or the object, class, module or function.
    "names" are all the names of an object's attributes.
    """

    kind: str
    holder: Any
    name: str

    @property
    def key(self) -> tuple[str, int, str]:
        """What tells it from other places."""
        return self.kind, id(self.holder), self.name

    def read(self) -> Any:
        """Return its contents now; `ABSENT` where there is nothing."""
        try:
            if self.kind == "global":
                return self.holder[self.name]
            if self.kind == "cell":
                return self.holder.cell_contents
            if self.kind == "names":
                return tuple(vars(self.holder))
            return getattr(self.holder, self.name)
        except (KeyError, ValueError, AttributeError):
            return ABSENT

    def expression(self, holder: str) -> str:
        """Return its text, given the name of its holder."""
        if self.kind == "cell":
            return f"{holder}.cell_contents"
        if self.kind == "global" or not self.name.isidentifier():
            return f"{holder}[{self.name!r}]"
        return f"{holder}.{self.name}"

    def __str__(self) -> str:
        if self.kind != "attribute":
            return self.name
        owner = getattr(self.holder, "__name__", type(self.holder).__name__)
        return f"{owner}.{self.name}"


class Found(NamedTuple):
    """What was found in a place at one call.

    Parameters
    ----------
    place : Place
        Where.
    content : Any
        What, as it is.
    leaves, specs : tuple
        Of a number, an array or a container: its leaves, and how each enters the trace.
    key : hashable
        What a trace that reads it depends on.
    """

    place: Place
    content: Any
    leaves: tuple[Any, ...]
    specs: tuple[Spec, ...]
    key: Any


def look(place: Place, fixed: Container[Any] = ()) -> Found:
    """Read a place.

    Parameters
    ----------
    place : Place
        Where.
    fixed : container of (key of a place, int)
        The leaves that the trace takes as they are.
    """
    content = place.read()
    if not holds_data(content):
        return Found(place, content, (), (), (place.key, frozen(content)))
    leaves, structure = flatten(content)
    specs = tuple(
        spec_as_it_is(leaf) if (place.key, n) in fixed else _spec(leaf, place.name)
        for n, leaf in enumerate(leaves)
    )
    return Found(place, content, tuple(leaves), specs, (place.key, structure, specs))


def holds_data(thing: Any) -> bool:
    """Whether something is a number, an array or a container, which may hold such."""
    if isinstance(thing, np.ndarray):
        return is_plain(thing)
    if any(thing is constant for constant in _CONSTANTS):
        return False
    if isinstance(thing, float | int | np.number):
        return True
    return type(thing) in _CONTAINERS or _is_node(thing) or is_table(thing)


def _is_node(thing: Any) -> bool:
    """Whether it is a container of another kind that can be taken apart."""
    return isinstance(thing, _CONTAINERS) and flatten(thing)[1].spec.num_nodes > 1


def _spec(leaf: Any, name: str) -> Spec:
    """Say how a leaf enters the trace: Values are captured when they are used."""
    other = isinstance(leaf, Value | complex) or (
        not is_plain(leaf) if isinstance(leaf, np.ndarray) else hasattr(leaf, "__array__")
    )
    if other and not isinstance(leaf, np.number):
        return Spec("static", static=frozen(leaf))
    return spec_of(leaf, False, name)


def stays(thing: Any) -> bool:
    """Whether it is enough to see that something is still the same object."""
    return isinstance(frozen(thing), Identity)

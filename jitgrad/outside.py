"""What a function names outside itself: globals and closure cells, its own and its helpers'.

Numbers and arrays found there are inputs of the kernel, read again at every call, so that a change
is never missed; anything else is compared by identity. Functions found there are looked into as
well, unless they belong to an installed package.

>>> rate = 0.5
>>> def half(x): return rate * x
>>> def loss(x): return half(x) ** 2
>>> [(place.name, place.read()) for place in outside(loss) if place.name == "rate"]
[('rate', 0.5)]
"""

from __future__ import annotations

import copy
import dis
import functools
import math
import types
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jitgrad.errors import is_library
from jitgrad.signature import Identity, Spec, is_plain, spec_of
from jitgrad.standins import standin
from jitgrad.value import Value

ABSENT = type("Absent", (), {"__repr__": lambda _: "<absent>"})()
_CONTAINERS = (list, tuple, dict, deque)
_CONSTANTS = (math.pi, math.e, math.tau, math.inf, math.nan, np.pi, np.e, np.inf, np.nan)


class Wrapper:
    """A callable of this package around the user's function."""

    _function: Callable[..., Any]


class Outside(NamedTuple):
    """One global or closure cell that a function names."""

    name: str
    cell: types.CellType | None  # None for a global
    globals: dict[str, Any]

    @property
    def key(self) -> tuple[int, str]:
        """What tells it from other places."""
        return id(self.globals if self.cell is None else self.cell), self.name

    def read(self) -> Any:
        """Return its contents now; `ABSENT` for an empty cell and a name that is a built-in's."""
        if self.cell is None:
            return self.globals.get(self.name, ABSENT)
        try:
            return self.cell.cell_contents
        except ValueError:
            return ABSENT


def outside(function: Callable[..., Any]) -> list[Outside]:
    """List the globals and closure cells that a function and its helpers name.

    The list is made anew for each call: a helper can be another one by then.
    """
    found: list[Outside] = []
    seen: set[int] = set()
    places: set[tuple[int, str]] = set()
    waiting = [underlying(function)]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        for place in named(current):
            if place.key not in places:
                places.add(place.key)
                found.append(place)
                waiting.append(helper(place.read()))
    return found


def named(function: types.FunctionType) -> list[Outside]:
    """List the globals and closure cells that one Python function names."""
    found = [Outside(n, None, function.__globals__) for n in global_names(function.__code__)]
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return found + [Outside(name, cell, function.__globals__) for name, cell in cells]


@functools.lru_cache(maxsize=1024)
def global_names(code: types.CodeType) -> tuple[str, ...]:
    """Return the globals that a code object and those inside it read, in order."""
    names = {
        step.argval: None
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return tuple(dict.fromkeys([*names, *(name for code in inner for name in global_names(code))]))


def underlying(thing: Any) -> types.FunctionType | None:
    """Return the Python function that calling something runs."""
    while not isinstance(thing, types.FunctionType):
        if isinstance(thing, types.MethodType):
            thing = thing.__func__
        elif isinstance(thing, functools.partial):
            thing = thing.func
        elif isinstance(thing, Wrapper):
            thing = thing._function
        else:
            method = getattr(type(thing), "__call__", None)  # noqa: B004 - the function itself
            return method if isinstance(method, types.FunctionType) else None
    return thing


def helper(thing: Any) -> types.FunctionType | None:
    """Return the user's function behind something that a function names."""
    if not isinstance(thing, types.FunctionType | types.MethodType | functools.partial | Wrapper):
        return None
    function = underlying(thing)
    return None if function is None or is_library(function.__code__.co_filename) else function


def holds_data(thing: Any) -> bool:
    """Whether what a function names is a number, an array or a container, which may hold such."""
    if isinstance(thing, np.ndarray):
        return is_plain(thing)
    if any(thing is constant for constant in _CONSTANTS):
        return False
    return isinstance(thing, (float, int, np.number, *_CONTAINERS))


def outside_spec(leaf: Any, name: str) -> Spec:
    """Say how a leaf of what a function names enters the trace: Values are captured when used."""
    other = isinstance(leaf, Value | complex) or (
        not is_plain(leaf) if isinstance(leaf, np.ndarray) else hasattr(leaf, "__array__")
    )
    if other and not isinstance(leaf, np.number):
        return Spec("static", static=Identity(leaf))
    return spec_of(leaf, False, name)


# --- a function with other surroundings ----------------------------------------------------------


class Rebuilt:
    """Makes functions that find other contents in some of the places that they name.

    Parameters
    ----------
    replaced : sequence of (Outside, content)
        What stands where instead.

    Examples
    --------
    >>> rate = 0.5
    >>> def half(x): return rate * x
    >>> def loss(x): return half(x) + 1.0
    >>> (place,) = [place for place in outside(loss) if place.name == "rate"]
    >>> Rebuilt([(place, 3.0)]).of(loss)(2.0)
    7.0
    """

    def __init__(self, replaced: Sequence[tuple[Outside, Any]]) -> None:
        self.contents = {place.key: content for place, content in replaced}
        self.worlds: dict[int, dict[str, Any]] = {}
        self.cells: dict[int, types.CellType] = {}
        self.made: dict[int, tuple[types.FunctionType, types.FunctionType]] = {}

    def of(self, thing: Any) -> Any:
        """Return a callable that does what this one does, in the other surroundings."""
        if isinstance(thing, types.FunctionType):
            return self._function(thing)
        if isinstance(thing, types.MethodType):
            return types.MethodType(self.of(thing.__func__), thing.__self__)
        if isinstance(thing, functools.partial):
            return functools.partial(self.of(thing.func), *thing.args, **thing.keywords)
        if isinstance(thing, Wrapper):
            wrapper = copy.copy(thing)
            wrapper._function = self.of(thing._function)
            return wrapper
        method = underlying(thing)
        return thing if method is None else types.MethodType(self._function(method), thing)

    def _function(self, function: types.FunctionType) -> types.FunctionType:
        known = self.made.get(id(function))
        if known is not None:
            return known[1]
        world = self.worlds.setdefault(id(function.__globals__), dict(function.__globals__))
        changed = [(place, *self._other(place)) for place in named(function)]
        cells = {
            id(place.cell): self.cells.setdefault(id(place.cell), types.CellType())
            for place, other, _ in changed
            if other and place.cell is not None
        }
        closure = tuple(cells.get(id(cell), cell) for cell in function.__closure__ or ())
        made = types.FunctionType(
            function.__code__, world, function.__name__, function.__defaults__, closure
        )
        made.__kwdefaults__ = function.__kwdefaults__
        made.__dict__ = function.__dict__  # the same one: what is set on it stays
        self.made[id(function)] = function, made  # before its helpers, which may name it
        for place, other, content in changed:
            if other and place.cell is not None:
                cells[id(place.cell)].cell_contents = content()
            elif other:
                world[place.name] = content()
        return made

    def _other(self, place: Outside) -> tuple[bool, Callable[[], Any]]:
        """Whether a place has other contents here, and a function that makes them."""
        if place.key in self.contents:
            return True, lambda: self.contents[place.key]
        now = place.read()
        other = standin(now)
        return (
            (True, lambda: other)
            if other is not now
            else (
                helper(now) is not None,
                lambda: self.of(now),
            )
        )

    def write_back(self) -> None:
        """Let the real surroundings have what the functions assigned to globals and cells."""
        for function, made in self.made.values():
            cells = zip(function.__closure__ or (), made.__closure__ or (), strict=True)
            for name, (real, changed) in zip(function.__code__.co_freevars, cells, strict=True):
                if real is not changed and name in assigned(function.__code__):
                    real.cell_contents = changed.cell_contents
            for name in assigned(function.__code__) & made.__globals__.keys():
                function.__globals__[name] = made.__globals__[name]


@functools.lru_cache(maxsize=1024)
def assigned(code: types.CodeType) -> frozenset[str]:
    """Return the globals and free variables that a code object and those inside it assign."""
    names = {
        step.argval
        for step in dis.get_instructions(code)
        if step.opname == "STORE_GLOBAL"
        or (step.opname == "STORE_DEREF" and step.argval in code.co_freevars)
    }
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return frozenset(names).union(*map(assigned, inner))

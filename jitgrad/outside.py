"""What a function sees outside itself while it is traced: its surroundings, with other contents.

The function is made anew, with the same code, over globals and closure cells of its own. So are the
functions that it finds there, unless they belong to an installed package. What is data comes from
``look``, which a trace uses to put Values in its place; objects, classes and modules are stood for
by twins, whose attributes come from there as well.

>>> rate = 0.5
>>> def half(x): return rate * x
>>> def loss(x): return half(x) + 1.0
>>> def look(place): return 3.0 if place.name == "rate" else place.read()
>>> Outside(look).of(loss)(2.0)
7.0
"""

from __future__ import annotations

import builtins
import copy
import dis
import functools
import types
from collections import deque
from collections.abc import Callable
from typing import Any

from jitgrad.copies import Copies
from jitgrad.errors import is_library
from jitgrad.places import ABSENT, Place
from jitgrad.signature import flatten, unflatten
from jitgrad.standins import BUILTINS, standin
from jitgrad.twins import Twins, has_methods

_CONTAINERS = (list, tuple, dict, deque)


class Wrapper:
    """A callable of this package around the user's function."""

    _function: Callable[..., Any]


class Outside:
    """The surroundings of one trace.

    Parameters
    ----------
    look : callable
        Of a `Place`, what the function finds there.
    """

    def __init__(self, look: Callable[[Place], Any]) -> None:
        self.look = look
        self.twins = Twins(self)
        self.found: dict[Any, tuple[Any, Any]] = {}  # what each place holds, and what is seen there
        self.worlds: dict[int, dict[str, Any]] = {}
        self.cells: dict[int, types.CellType] = {}
        self.made: dict[int, tuple[types.FunctionType, types.FunctionType]] = {}
        self.copies = Copies()

    # --- places ----------------------------------------------------------------------------------

    def read(self, place: Place) -> Any:
        """Return what is seen in a place: the same at each time, unless it was written to."""
        now = place.read()
        known = self.found.get(place.key)
        if known is None:
            known = self.found[place.key] = now, self.seen(self.look(place))
            self.copies.note(*known)
        return known[1] if known[0] is now or known[1] is now else now

    def wrote(self, place: Place) -> None:
        """Let a place hold what the function assigned: it is not read from outside any more."""
        now = place.read()
        self.found[place.key] = now, now

    def seen(self, thing: Any) -> Any:
        """Return what stands for something; mostly the thing itself."""
        if isinstance(thing, _CONTAINERS):
            return self._inside(thing)
        other = standin(thing)
        if other is not thing:
            return other
        return self.of(thing) if helper(thing) is not None else self.twins.of(thing)

    def _inside(self, container: Any) -> Any:
        leaves, structure = flatten(container, _is_tuple_with_methods)
        if len(leaves) == 1 and leaves[0] is container:
            return self._fields(container) if _is_tuple_with_methods(container) else container
        seen = [self.seen(leaf) for leaf in leaves]
        same = all(a is b for a, b in zip(seen, leaves, strict=True))
        return container if same else unflatten(structure, seen)

    def _fields(self, fields: Any) -> Any:
        return self.twins.tuple_of([*map(self.seen, fields)], type(fields))

    # --- functions -------------------------------------------------------------------------------

    def of(self, thing: Any) -> Any:
        """Return a callable that does what this one does, in these surroundings."""
        if isinstance(thing, types.FunctionType):
            return self._function(thing)
        if isinstance(thing, types.MethodType):
            return types.MethodType(self.of(thing.__func__), self.seen(thing.__self__))
        if isinstance(thing, functools.partial):
            args, keywords = (self.read(Place("attribute", thing, n)) for n in ("args", "keywords"))
            return functools.partial(self.seen(thing.func), *args, **keywords)
        if isinstance(thing, functools._lru_cache_wrapper):
            return self.of(thing.__wrapped__)
        if isinstance(thing, Wrapper):
            wrapper = copy.copy(thing)
            wrapper._function = self.of(thing._function)
            return wrapper
        method = underlying(thing)
        if method is None:
            return thing
        return types.MethodType(self._function(method), self.twins.of(thing))

    def _function(self, function: types.FunctionType) -> types.FunctionType:
        known = self.made.get(id(function))
        if known is not None:
            return known[1]
        is_helper = bool(self.made)
        cells = function.__closure__ or ()
        closure = tuple(map(self._cell, function.__code__.co_freevars, cells))
        world = self._world(function.__globals__)
        made = types.FunctionType(function.__code__, world, function.__name__, None, closure)
        made.__defaults__, made.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
        made.__qualname__, made.__module__ = function.__qualname__, function.__module__
        self.made[id(function)] = function, made  # before its helpers, which may name it
        if is_helper:
            self._watch(function, made)
        for name in function.__dict__:
            setattr(made, name, self.read(Place("attribute", function, name)))
        self._fill(function, made)
        return made

    def _watch(self, function: types.FunctionType, made: types.FunctionType) -> None:
        """Notice when a helper gets other code or defaults, and see its defaults' contents."""
        self.read(Place("attribute", function, "__code__"))
        for name in ("__defaults__", "__kwdefaults__"):
            if getattr(function, name) is not None:
                setattr(made, name, self.read(Place("attribute", function, name)))

    def _fill(self, function: types.FunctionType, made: types.FunctionType) -> None:
        """Put what is seen into a function's cells and globals."""
        cells = zip(function.__closure__ or (), made.__closure__ or (), strict=True)
        for name, (cell, own) in zip(function.__code__.co_freevars, cells, strict=True):
            if own is not cell and (content := self.read(Place("cell", cell, name))) is not ABSENT:
                own.cell_contents = content
        for name in global_names(function.__code__):
            content = self.read(Place("global", function.__globals__, name))
            if content is not ABSENT:
                made.__globals__[name] = content

    def _world(self, contents: dict[str, Any]) -> dict[str, Any]:
        """Return the globals that stand for others."""
        world = self.worlds.get(id(contents))
        if world is None:
            changed = {name: make(self) for name, make in BUILTINS.items()}
            world = self.worlds[id(contents)] = {
                **contents,
                "__builtins__": {**vars(builtins), **changed},
            }
        return world

    def _cell(self, name: str, cell: types.CellType) -> types.CellType:
        """Return the cell that stands for another; ``super()`` needs the class itself."""
        return cell if name == "__class__" else self.cells.setdefault(id(cell), types.CellType())

    def write_back(self) -> None:
        """Let the real surroundings have what the functions assigned to them."""
        self.copies.write_back()
        for function, made in self.made.values():
            names = assigned(function.__code__)
            cells = zip(function.__closure__ or (), made.__closure__ or (), strict=True)
            for name, (real, changed) in zip(function.__code__.co_freevars, cells, strict=True):
                if name in names and real is not changed:
                    real.cell_contents = changed.cell_contents
            for name in names & made.__globals__.keys():
                function.__globals__[name] = made.__globals__[name]
            for name, value in made.__dict__.items():
                known = self.found.get(Place("attribute", function, name).key)
                if known is None or known[1] is not value:
                    setattr(function, name, value)


def _is_tuple_with_methods(thing: Any) -> bool:
    return isinstance(thing, tuple) and has_methods(type(thing))


def underlying(thing: Any) -> types.FunctionType | None:
    """Return the Python function that calling something runs."""
    while not isinstance(thing, types.FunctionType):
        if isinstance(thing, types.MethodType):
            thing = thing.__func__
        elif isinstance(thing, functools.partial):
            thing = thing.func
        elif isinstance(thing, functools._lru_cache_wrapper):
            thing = thing.__wrapped__
        elif isinstance(thing, Wrapper):
            thing = thing._function
        else:
            method = getattr(type(thing), "__call__", None)  # noqa: B004 - the function itself
            return method if isinstance(method, types.FunctionType) else None
    return thing


def helper(thing: Any) -> types.FunctionType | None:
    """Return the user's function behind something that a function finds."""
    if not isinstance(thing, _CALLED):
        return None
    function = underlying(thing)
    return None if function is None or is_library(function.__code__.co_filename) else function


_CALLED: tuple[Any, ...] = (
    *(types.FunctionType, types.MethodType, functools.partial),
    *(functools._lru_cache_wrapper, Wrapper),
)


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

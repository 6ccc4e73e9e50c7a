"""Twins: what stands for a user's objects, classes and modules while a function is traced.

A loss that reads ``model.scale`` has to see the Value that a trace puts there, and the trace has to
know that it was read. So the function finds a twin of the object: an instance of a subclass of its
class whose attributes come from the `Outside` of the trace, and whose methods run in these
surroundings. What it assigns to attributes goes to the object itself.

>>> from jitgrad.outside import Outside
>>> model = types.SimpleNamespace(scale=2.0)
>>> twin = Outside(lambda place: 5.0 if place.name == "scale" else place.read()).seen(model)
>>> twin.scale, isinstance(twin, types.SimpleNamespace), model.scale
(5.0, True, 2.0)
"""

from __future__ import annotations

import argparse
import enum
import functools
import sys
import types
from typing import Any, Protocol

import optree

from jitgrad.errors import is_library
from jitgrad.places import ABSENT, Place, holds_data
from jitgrad.standins import standin

_NAMESPACES = (types.SimpleNamespace, argparse.Namespace)
_UNTOUCHED = (BaseException, enum.Enum)  # named by `except`, and singletons
_MISSING = object()


class Surroundings(Protocol):
    """What twins need of the trace's `Outside`."""

    def read(self, place: Place) -> Any:
        """Return what is seen in a place."""

    def wrote(self, place: Place) -> None:
        """Let a place hold what the function assigned."""

    def seen(self, thing: Any) -> Any:
        """Return what stands for something."""

    def of(self, thing: Any) -> Any:
        """Return a callable that does what this one does, in the trace's surroundings."""


class Twins:
    """The twins of one trace."""

    def __init__(self, outside: Surroundings) -> None:
        self.outside = outside
        self.made: dict[int, tuple[Any, Any]] = {}  # things and their twins
        self.reals: dict[int, Any] = {}  # by the identity of their twins

    def of(self, thing: Any) -> Any:
        """Return the twin of an object, class or module; the thing itself where it needs none."""
        known = self.made.get(id(thing))
        if known is not None:
            return known[1]
        twin = self._twin(thing)
        self.made[id(thing)] = thing, twin
        if twin is not thing:
            self.reals[id(twin)] = thing
            self.made[id(twin)] = twin, twin
        return twin

    def real(self, thing: Any) -> Any:
        """Return what a twin stands for; anything else as it is."""
        return self.reals.get(id(thing), thing)

    def tuple_of(self, fields: Any, cls: type) -> Any:
        """Return a named tuple whose methods run in the trace's surroundings."""
        return tuple.__new__(self.of(cls), fields)

    def plain(self, tree: Any) -> Any:
        """Return a container with things in place of their twins."""

        def leaf(part: Any) -> Any:
            if not _is_twin_of_tuple(part):
                return self.real(part)
            return tuple.__new__(self.real(type(part)), map(self.plain, part))

        return optree.tree_map(leaf, tree, is_leaf=_is_twin_of_tuple, none_is_leaf=True)

    def _twin(self, thing: Any) -> Any:
        if isinstance(thing, types.ModuleType):
            return ModuleTwin(thing, self.outside)
        if isinstance(thing, type):
            return self._class(thing) if is_users(thing) else thing
        cls: Any = type(thing)
        return self._instance(thing) if is_users(cls) else thing

    def _class(self, cls: type) -> type:
        own_access = isinstance(_in_classes(cls, "__getattribute__"), types.FunctionType)
        if own_access or issubclass(cls, _UNTOUCHED):
            return cls
        if issubclass(cls, tuple) and not has_methods(cls):
            return cls
        try:
            return class_twin(cls, self)
        except TypeError:  # no class can extend it
            return cls

    def _instance(self, thing: Any) -> Any:
        made = self.of(type(thing))
        if made is type(thing):
            return thing
        try:
            twin = object.__new__(made)
        except TypeError:  # it holds something that is not in its attributes
            return type(thing).__new__(made) if isinstance(thing, _NAMESPACES) else thing
        if type(getattr(thing, "__dict__", None)) is dict:
            object.__setattr__(twin, "__dict__", thing.__dict__)  # the same one
        return twin


@functools.lru_cache(maxsize=1024)
def is_users(cls: type) -> bool:
    """Whether a class is the user's own, and not of Python, of this or of an installed package."""
    name = cls.__module__
    if cls in _NAMESPACES or name in ("__main__", "jitgrad.nn"):
        return True
    if name.partition(".")[0] in (*sys.stdlib_module_names, "jitgrad"):
        return False
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is None or not is_library(file)


@functools.lru_cache(maxsize=1024)
def has_methods(cls: type) -> bool:
    """Whether a class of named tuples has functions of the user's own."""
    if not (hasattr(cls, "_fields") and is_users(cls)):
        return False
    bases = cls.__mro__[: cls.__mro__.index(tuple)]
    functions = (getattr(found, "fget", found) for base in bases for found in vars(base).values())
    codes = (f.__code__ for f in functions if isinstance(f, types.FunctionType))
    return any(
        code.co_filename != "<string>" and not is_library(code.co_filename) for code in codes
    )


def _is_twin_of_tuple(thing: Any) -> bool:
    return isinstance(thing, tuple) and isinstance(thing, Twin)


# --- classes -------------------------------------------------------------------------------------


class Twin:
    """What is common to the classes of twins."""

    __slots__ = ()

    def __init_subclass__(cls, **_: Any) -> None:
        """Keep the user's hook from hearing of classes that are not the user's."""


def class_twin(cls: type, twins: Twins) -> type:
    """Make the class of the twins of a class's objects, which stands for the class as well."""
    read = functools.partial(_attribute, twins, cls)
    special = {
        name: _dispatched(twins, found)
        for base in reversed(cls.__mro__[:-1])
        for name, found in vars(base).items()
        if name.startswith("__") and isinstance(found, types.FunctionType) and name != "__new__"
    }
    contents = {
        **special,
        "__slots__": (),
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__hash__": special.get("__hash__") or _hashing(cls, twins),
        "__eq__": special.get("__eq__") or _comparing(twins),
        "__getattribute__": lambda self, name: read(self, name),
        "__setattr__": _assigning(cls, twins, special.get("__setattr__")),
        "__getstate__": special.get("__getstate__") or _state,
    }
    meta = _meta_twin(cls, twins)
    made: type = type.__new__(meta, cls.__name__, (Twin, cls), contents)
    return made


def _dispatched(twins: Twins, function: types.FunctionType) -> Any:
    """Return a special method that runs in the trace's surroundings."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return twins.outside.of(function)(*args, **kwargs)

    return call


def _comparing(twins: Twins) -> Any:
    def equal(self: Any, other: Any) -> Any:
        return True if twins.real(self) is twins.real(other) else NotImplemented

    return equal


def _hashing(cls: Any, twins: Twins) -> Any:
    if cls.__hash__ is not object.__hash__:
        return cls.__hash__
    return lambda self: object.__hash__(twins.real(self))


def _state(self: Any) -> Any:
    """Return what a copy of an object holds."""
    return dict(self.__dict__)


def _assigning(cls: type, twins: Twins, own: Any) -> Any:
    def assign(self: Any, name: str, value: Any) -> None:
        real = twins.real(self)
        is_slot = isinstance(_in_classes(cls, name), types.MemberDescriptorType)
        if own is not None:
            own(self, name, value)
        elif real is not self and (is_slot or type(real) in _NAMESPACES):
            setattr(real, name, value)
        else:
            object.__setattr__(self, name, value)
        if real is not self:
            twins.outside.wrote(Place("attribute", real, name))

    return assign


def _in_classes(cls: type, name: str) -> Any:
    """Find what a class or those that it extends have under a name, without binding it."""
    for base in cls.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return _MISSING


def _attribute(twins: Twins, cls: type, twin: Any, name: str) -> Any:
    """Return an attribute of an object as a loss sees it."""
    outside, real = twins.outside, twins.real(twin)
    found = _in_classes(cls, name)
    if name == "__dict__":
        return _contents(twins, twin, real)
    if name.startswith("__") and name.endswith("__"):
        return object.__getattribute__(twin, name)
    if isinstance(found, property) and found.fget is not None:
        return outside.of(found.fget)(twin)
    if isinstance(found, functools.cached_property) and real is not twin:
        getattr(real, name)  # of numbers: it stays in the object
    held = name in getattr(real, "__dict__", ())
    if not held and found is not _MISSING and (bound := _bound(twins, cls, twin, found, name)):
        return bound[0]
    made_here = real is twin  # in the loss itself: only what its class holds is outside
    own = held or found is _MISSING or isinstance(found, types.MemberDescriptorType)
    if made_here and own:
        return object.__getattribute__(twin, name)
    content = outside.read(Place("attribute", cls if made_here else real, name))
    if content is ABSENT:
        raise AttributeError(f"{cls.__name__!r} object has no attribute {name!r}")
    return content


def _bound(twins: Twins, cls: type, twin: Any, found: Any, name: str) -> tuple[Any] | None:
    """Return a method bound to a twin; None for what is data."""
    outside = twins.outside
    if isinstance(found, types.FunctionType):
        outside.read(Place("attribute", cls, name))  # it may be another by the next call
        return (types.MethodType(outside.of(found), twin),)
    if isinstance(found, classmethod):
        return (types.MethodType(outside.of(found.__func__), type(twin)),)
    if isinstance(found, staticmethod):
        return (outside.seen(found.__func__),)
    if isinstance(found, functools.cached_property):
        return (object.__getattribute__(twin, name),)
    if isinstance(found, types.MemberDescriptorType) or not hasattr(type(found), "__get__"):
        return None
    return (found.__get__(twin, type(twin)),)


def _contents(twins: Twins, twin: Any, real: Any) -> Any:
    if real is twin:
        return object.__getattribute__(twin, "__dict__")
    names = tuple(vars(real))
    twins.outside.read(Place("names", real, "__dict__"))
    return types.MappingProxyType({name: getattr(twin, name) for name in names})


def _meta_twin(cls: type, twins: Twins) -> type:
    """Make the class of a twin of a class: what is read from the class itself is seen as well."""
    meta = type(cls)

    class Meta(meta):  # type: ignore[misc, valid-type]
        def __getattribute__(self, name: str) -> Any:
            return _class_attribute(twins, cls, self, name)

        def __setattr__(self, name: str, value: Any) -> None:
            setattr(cls, name, value)
            twins.outside.wrote(Place("attribute", cls, name))

        def __instancecheck__(self, thing: Any) -> bool:
            return isinstance(thing, cls)

        def __subclasscheck__(self, other: type) -> bool:
            return issubclass(other, cls)

        def __eq__(self, other: object) -> bool:
            return other is self or other is cls

        def __hash__(self) -> int:
            return hash(cls)

    return Meta


def _class_attribute(twins: Twins, cls: type, made: type, name: str) -> Any:
    """Return an attribute of a class as a loss sees it."""
    outside, found = twins.outside, _in_classes(cls, name)
    if name.startswith("__") or found is _MISSING:
        return type.__getattribute__(made, name)
    if isinstance(found, types.FunctionType):
        return outside.read(Place("attribute", cls, name))
    if isinstance(found, classmethod):
        return types.MethodType(outside.of(found.__func__), made)
    if isinstance(found, staticmethod):
        return outside.seen(found.__func__)
    if hasattr(type(found), "__get__"):
        return type.__getattribute__(made, name)
    return outside.read(Place("attribute", cls, name))


# --- modules -------------------------------------------------------------------------------------


class ModuleTwin(types.ModuleType):
    """A module whose attributes come from a trace's surroundings."""

    def __init__(self, module: types.ModuleType, outside: Surroundings) -> None:
        super().__init__(module.__name__, module.__doc__)
        object.__setattr__(self, "_held", (module, outside))

    def __getattribute__(self, name: str) -> Any:
        module, outside = object.__getattribute__(self, "_held")
        content = getattr(module, name)
        if name.startswith("__"):
            return content
        if is_library(getattr(module, "__file__", None) or "") and not holds_data(content):
            return standin(content)  # what is installed does not change
        return outside.read(Place("attribute", module, name))

    def __setattr__(self, name: str, value: Any) -> None:
        module, outside = object.__getattribute__(self, "_held")
        setattr(module, name, value)
        outside.wrote(Place("attribute", module, name))

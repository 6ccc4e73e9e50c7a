"""What a call gives to a kernel: arguments flattened, each leaf with the way it enters the trace.

Floats, arrays and Values become inputs of the kernel; ints, bools, strings, None and other objects
are static: part of the signature under which a trace is kept. A list of many numbers is one array.

>>> leaves, structure = flatten({"w": np.ones(3), "n": 2})
>>> [spec_of(leaf, False, "x").kind for leaf in leaves]
['static', 'array']
"""

from __future__ import annotations

import hashlib
import inspect
import math
import sys
from array import array as buffer
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import optree

from jitgrad.elements import kind_of, kind_of_number, stored
from jitgrad.errors import ArgumentError, PositionError, UnsupportedError, user_location
from jitgrad.labels import Part, Rows, check_dtype, is_from_pandas, of_pandas
from jitgrad.tables import NAMESPACE, is_table, register
from jitgrad.value import Value

Array = np.ndarray[Any, Any]
STATIC = (bool, int, str, bytes, type(None))
SCALARS: dict[str, Any] = {"f8": float, "f4": np.float32, "i8": int}
_SHORT = 4096  # bytes that are compared as they are, not by their digest
PACKED = 16  # so many numbers in a list, and it is one input: 300 inputs take 11 s to compile


class Spec(NamedTuple):
    """How one leaf of the arguments enters the trace.

    ``kind`` is "number", "array", "integers" (an index array or other data), "truths" (an array
    of bools), "value" (a scalar Value), "values" (an array Value), "numbers" (a list of many
    floats), "part" (of a table: what does not count until it is asked for) or "static". ``of`` is
    the kind of its elements in `elements`' words.
    """

    kind: str
    shape: tuple[int, ...] = ()
    static: Any = None
    of: str = "f8"

    @property
    def traced(self) -> bool:
        """Whether it is an input of the kernel."""
        return self.kind not in ("static", "part")

    @property
    def dtype(self) -> str:
        """The dtype of the kernel's input."""
        return "i8" if self.kind in ("integers", "truths") else stored(self.of)


class Identity:
    """Compares an unhashable static object by identity and keeps it alive."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and other.thing is self.thing


def frozen(thing: Any) -> Hashable:
    """Return what tells something from what it may become: its contents, where they can change."""
    kind = type(thing)
    if isinstance(thing, bytearray | buffer | memoryview):
        return kind, bytes(thing)
    if isinstance(thing, set | frozenset):
        return kind, frozenset(map(frozen, thing))
    if isinstance(thing, dict):
        return kind, tuple((frozen(key), frozen(value)) for key, value in thing.items())
    if isinstance(thing, list | tuple | deque):
        return kind, tuple(map(frozen, thing))
    if isinstance(thing, np.ndarray):
        return kind, thing.dtype.str, thing.shape, _elements(thing)
    if isinstance(thing, (*STATIC, float, complex, np.generic)):
        return kind, repr(thing)  # a NaN equals itself, and 1 is not 1.0
    if isinstance(thing, Part) or is_from_pandas(kind):
        return _of_pandas(thing)
    return Identity(thing)


def _of_pandas(thing: Any) -> Hashable:
    """Return the contents of a part of a table, of a table, of an index or of a moment of time."""
    kind: Any = type(thing)
    what = of_pandas(thing)
    if isinstance(thing, Part):
        return kind, frozen(thing.thing)
    if what == "DataFrame":
        return kind, frozen(thing.columns), tuple(frozen(column) for _, column in thing.items())
    if what:
        categories = frozen(getattr(thing.dtype, "categories", None))
        index = frozen(thing.index) if what == "Series" else None
        return (
            kind,
            repr(thing.dtype),
            frozen(thing.name),
            categories,
            index,
            frozen(thing.to_numpy()),
        )
    if sys.modules["pandas"].api.types.is_scalar(thing):
        return kind, repr(thing)
    return Identity(thing)


def _elements(array: Array) -> Hashable:
    if array.dtype.hasobject:
        return tuple(map(frozen, array.ravel().tolist()))
    masked = (frozen(np.ma.getmaskarray(array)),) if isinstance(array, np.ma.MaskedArray) else ()
    contents = np.asarray(array).tobytes()
    digest = contents if len(contents) <= _SHORT else hashlib.blake2b(contents).digest()
    return digest, *masked


# --- containers ----------------------------------------------------------------------------------


class Structure(NamedTuple):
    """How containers are nested: optree's word for it, and the order of each dict's keys.

    optree takes dicts of other orders for the same, but a loss can go through their values.
    """

    spec: Any
    orders: tuple[tuple[Any, ...], ...]


def flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], Structure]:
    """Return the leaves of nested containers and their structure; None is a leaf.

    ``is_leaf`` says what else is one, of containers.
    """
    orders: list[tuple[Any, ...]] = []

    def whole(part: Any) -> bool:
        if isinstance(part, dict):
            orders.append(tuple(part))
        return is_packed(part) or (is_leaf is not None and is_leaf(part))

    register()
    leaves, spec = optree.tree_flatten(tree, is_leaf=whole, none_is_leaf=True, namespace=NAMESPACE)
    return leaves, Structure(spec, tuple(orders))


def unflatten(structure: Structure, leaves: Sequence[Any]) -> Any:
    """Put leaves into a structure that `flatten` returned."""
    return optree.tree_unflatten(structure.spec, leaves)


def leaf_names(argument: Any, name: str) -> list[str]:
    """Return a name for each leaf of an argument: its path in words."""
    paths = optree.tree_paths(argument, is_leaf=is_packed, none_is_leaf=True, namespace=NAMESPACE)
    return ["_".join([name, *(_word(step) for step in path)]) for path in paths]


def _word(step: Any) -> str:
    word = "".join(c if c.isalnum() else "_" for c in str(step))
    return word or "_"


def is_packed(tree: Any) -> bool:
    """Whether a list or tuple holds so many floats that they are one array."""
    if type(tree) not in (list, tuple):
        return False
    levels = _levels(tree)
    return levels is not None and math.prod(extent for _, extent in levels) >= PACKED


def _levels(tree: Any) -> tuple[tuple[type, int], ...] | None:
    """Return type and extent of each level of rectangular nested lists of floats."""
    kind, kinds = type(tree), set(map(type, tree))
    if kinds == {float} or kinds == {np.float64} or kinds == {float, np.float64}:
        return ((kind, len(tree)),)
    if len(kinds) != 1 or not kinds <= {list, tuple}:
        return None
    inside = {_levels(child) for child in tree}
    (level,) = inside if len(inside) == 1 else (None,)
    return None if level is None else ((kind, len(tree)), *level)


def _is_weak(tree: Any) -> bool:
    """Whether nested lists hold Python's floats alone."""
    return all(type(x) is float or (type(x) in (list, tuple) and _is_weak(x)) for x in tree)


def unpacked(array: Any, levels: Sequence[tuple[type, int]]) -> Any:
    """Make nested lists of an array's elements, traced ones or numbers."""
    (kind, extent), *inner = levels
    elements = (array[n] for n in range(extent))
    return kind(unpacked(element, inner) for element in elements) if inner else kind(elements)


# --- leaves --------------------------------------------------------------------------------------


def spec_of(leaf: Any, differentiated: bool, name: str) -> Spec:
    """Say how a leaf enters the trace.

    Raises
    ------
    ArgumentError
        For arrays that do not hold real numbers, and for objects that look like arrays.
    """
    kind = type(leaf)
    if kind is float or (isinstance(leaf, np.floating) and leaf.itemsize <= 8):
        return Spec("number", of=kind_of_number(leaf))
    if isinstance(leaf, Value):
        of = kind_of(leaf.element_type)
        return Spec("values", leaf.shape, of=of) if leaf.shape else Spec("value", of="float")
    if isinstance(leaf, np.ndarray):
        return _array_spec(leaf, differentiated, name)
    if differentiated and isinstance(leaf, int | np.integer) and kind is not bool:
        return Spec("number", of="float")
    if isinstance(leaf, np.bool_ | np.integer):
        return Spec("static", static=(kind, leaf.item()))  # its type counts beside an array's
    if isinstance(leaf, STATIC):
        return Spec("static", static=(kind, leaf))
    if isinstance(leaf, Part):
        return _part_spec(leaf, differentiated, name)
    if kind in (list, tuple):
        levels = _levels(leaf)
        assert levels is not None  # flatten says so
        shape = tuple(extent for _, extent in levels)
        return Spec("numbers", shape, levels, "float" if _is_weak(leaf) else "f8")
    if hasattr(leaf, "__array__") or isinstance(leaf, complex | np.generic):
        raise ArgumentError(
            f"{user_location()}: argument {name} is {kind.__module__}.{kind.__qualname__}; "
            "expected a number, a NumPy array or a container of them; write "
            f"np.asarray({name}, dtype=float)"
        )
    return Spec("static", static=frozen(leaf))


def _part_spec(leaf: Part, differentiated: bool, name: str) -> Spec:
    thing = leaf.thing
    if differentiated and not isinstance(leaf, Rows):
        check_dtype(thing, f"argument {name}", name)
    dtype = thing.dtype
    return Spec("part", (len(thing),), dtype if isinstance(dtype, np.dtype) else str(dtype))


def spec_as_it_is(leaf: Any) -> Spec:
    """Make a number or an array part of the signature: its bits count; a NaN equals itself."""
    if isinstance(leaf, np.ndarray | Part):
        return Spec("static", static=frozen(leaf))
    number = leaf.item() if isinstance(leaf, np.generic) else leaf
    bits = number.hex() if isinstance(number, float) else number
    return Spec("static", static=(type(leaf), bits))


def is_plain(array: Array) -> bool:
    """Whether an array holds real numbers that a kernel can take."""
    return array.dtype.kind in "fiub" and array.dtype.itemsize <= 8


def _array_spec(leaf: Array, differentiated: bool, name: str) -> Spec:
    where = user_location
    if type(leaf) is not np.ndarray and not isinstance(leaf, np.memmap):
        raise ArgumentError(
            f"{where()}: argument {name} is a {type(leaf).__name__}, whose mask or operators would "
            f"be lost; expected a plain array; write np.asarray({name})"
        )
    if not is_plain(leaf):
        raise ArgumentError(
            f"{where()}: argument {name} is an array of dtype {leaf.dtype}; expected real numbers "
            f"of at most 64 bits; write {name}.astype(float)"
        )
    if leaf.dtype.kind == "f" or differentiated:
        return Spec("array", leaf.shape, of="f4" if kind_of(leaf.dtype) == "f4" else "f8")
    if leaf.dtype.kind == "u" and leaf.size and leaf.max() > np.iinfo(np.int64).max:
        raise ArgumentError(
            f"{where()}: argument {name} holds {leaf.max()}, which does not fit 64-bit integers; "
            f"write {name}.astype(float)"
        )
    kind = "truths" if leaf.dtype.kind == "b" else "integers"
    return Spec(kind, leaf.shape, of=kind_of(leaf.dtype))


def prepared(leaf: Any, spec: Spec) -> Any:
    """Return what the kernel takes for a leaf: a number or a C-ordered array."""
    if spec.kind in ("value", "values"):
        leaf = leaf._data
    if not spec.shape:
        return SCALARS[spec.dtype](leaf)
    if spec.kind == "numbers":
        return np.array(leaf, dtype=float)
    return np.require(np.asarray(leaf), spec.dtype, ["C", "A", "W"])


def checked(positions: Array, extents: tuple[int, ...], name: str) -> Array:
    """Return an index array without negative positions, within every axis that it indexes.

    Raises
    ------
    PositionError
        Where a position lies outside; a kernel would read whatever stands there.
    UnsupportedError
        Where negative positions would mean another element on each of several axes.
    """
    if not positions.size:
        return positions
    low, high, extent = positions.min(), positions.max(), min(extents)
    shown = " and ".join(map(str, sorted(extents)))
    if high >= extent or low < -extent:
        raise PositionError(
            f"{user_location()}: {name} holds indices from {low} to {high}; expected them within "
            f"an axis of extent {shown}"
        )
    if low < 0 and len(extents) > 1:
        raise UnsupportedError(
            f"{user_location()}: {name} holds negative indices and indexes axes of extent {shown}; "
            f"a kernel takes it for one of them; write {name} % n where an axis has extent n"
        )
    return positions % extent if low < 0 else positions


# --- names of parameters -------------------------------------------------------------------------


def parameters_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """Return a callable's signature, where it has one."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def argument_names(signature: inspect.Signature | None, count: int) -> list[str]:
    """Return a name for each positional argument."""
    names: list[str] = []
    for parameter in signature.parameters.values() if signature else ():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}{n}" for n in range(count - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return (names + [f"arg{n}" for n in range(len(names), count)])[:count]


def names_by_place(signature: inspect.Signature | None) -> list[str]:
    """Return the names of the positional parameters; a star for what has no keyword."""
    return [
        parameter.name if parameter.kind is parameter.POSITIONAL_OR_KEYWORD else "*"
        for parameter in (signature.parameters.values() if signature else ())
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]


def changeable_defaults(signature: inspect.Signature | None) -> Iterator[tuple[str, Any]]:
    """List the default arguments that hold arrays: they can change between two calls."""
    for parameter in signature.parameters.values() if signature else ():
        default = parameter.default
        if isinstance(default, np.ndarray | list | dict | tuple) or is_table(default):
            yield parameter.name, default

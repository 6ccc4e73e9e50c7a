"""What a call gives to a kernel: arguments, data from the surroundings, captured Values.

The arguments of a call are flattened (optree). Floats, arrays and Values become inputs of the
kernel; ints, bools, strings, None and other objects are static: part of the signature under which a
trace is kept. Numbers and arrays that the function names as globals or closure cells are inputs
too, read again at every call, so that a change is never missed.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import optree

from jitgrad.errors import ArgumentError
from jitgrad.value import Value

Array = np.ndarray[Any, Any]
STATIC = (bool, int, str, bytes, type(None))


class Spec(NamedTuple):
    """How one leaf of the arguments enters the trace.

    ``kind`` is "number", "array", "integers" (an index array or other data), "value" (a scalar
    Value), "values" (an array Value) or "static".
    """

    kind: str
    shape: tuple[int, ...] = ()
    static: Any = None

    @property
    def traced(self) -> bool:
        """Whether it is an input of the kernel."""
        return self.kind != "static"


class Identity:
    """Compares an unhashable static object by identity and keeps it alive."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and other.thing is self.thing


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """Return the leaves of nested containers and their structure; None is a leaf."""
    leaves, structure = optree.tree_flatten(tree, none_is_leaf=True)
    return leaves, structure


def spec_of(leaf: Any, differentiated: bool, name: str) -> Spec:
    """Say how a leaf enters the trace.

    Raises
    ------
    ArgumentError
        For arrays that do not hold real numbers, and for objects that look like arrays.
    """
    if isinstance(leaf, Value):
        return Spec("values", leaf.shape) if leaf.shape else Spec("value")
    if isinstance(leaf, float | np.floating) or (
        differentiated and isinstance(leaf, int | np.integer) and not isinstance(leaf, bool)
    ):
        return Spec("number")
    if isinstance(leaf, np.ndarray):
        return _array_spec(leaf, differentiated, name)
    if isinstance(leaf, np.generic):
        return Spec("static", static=leaf.item())
    if isinstance(leaf, STATIC):
        return Spec("static", static=(type(leaf), leaf))
    if hasattr(leaf, "__array__") or isinstance(leaf, complex):
        raise ArgumentError(
            f"argument {name} is {type(leaf).__module__}.{type(leaf).__qualname__}; expected a number, a NumPy array or a "
            f"container of them; write np.asarray({name}, dtype=float)"
        )
    return Spec("static", static=Identity(leaf))


def _array_spec(leaf: Array, differentiated: bool, name: str) -> Spec:
    if leaf.dtype.kind not in "fiub" or leaf.dtype.itemsize > 8:
        raise ArgumentError(
            f"argument {name} is an array of dtype {leaf.dtype}; expected real numbers of at most "
            f"64 bits; write {name}.astype(float)"
        )
    if leaf.dtype.kind == "f" or differentiated:
        return Spec("array", leaf.shape)
    return Spec("integers", leaf.shape)


def prepared(leaf: Any, spec: Spec) -> Any:
    """Return what the kernel takes for a leaf: a float or a C-ordered array."""
    if spec.kind == "number":
        return float(leaf)
    if spec.kind == "value":
        return float(leaf._data)
    if spec.kind == "values":
        leaf = leaf._data
    dtype = np.int64 if spec.kind == "integers" else np.float64
    array = np.require(leaf, dtype, "CAW").reshape(spec.shape)
    return array if spec.shape else array.item()


# --- what a function names outside itself --------------------------------------------------------


class Outside(NamedTuple):
    """One global or closure cell that a function names and that holds numbers or arrays."""

    name: str
    cell: types.CellType | None  # None for a global
    globals: Mapping[str, Any]

    def read(self) -> Any:
        """Return its contents now."""
        if self.cell is None:
            return self.globals.get(self.name)
        try:
            return self.cell.cell_contents
        except ValueError:  # the cell is still empty
            return None


def outside(function: Callable[..., Any]) -> list[Outside]:
    """List the globals and closure cells that a Python function names."""
    if not isinstance(function, types.FunctionType):
        return []
    names = [name for name in function.__code__.co_names if name in function.__globals__]
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    found = [Outside(name, None, function.__globals__) for name in names]
    return found + [Outside(name, cell, {}) for name, cell in cells]


def holds_data(thing: Any) -> bool:
    """Whether an outside object is a number, an array, or a container of nothing else."""
    if isinstance(thing, float | int | np.ndarray | np.number):
        return True
    if not isinstance(thing, list | tuple | dict) or not thing:
        return False
    leaves = optree.tree_leaves(thing, none_is_leaf=True)
    return len(leaves) <= 10_000 and all(
        isinstance(leaf, float | int | np.ndarray | np.number) for leaf in leaves
    )


def rebuilt(
    function: Callable[..., Any], replaced: Sequence[tuple[Outside, Any]]
) -> Callable[..., Any]:
    """Return the function with other contents for some of its globals and cells."""
    if not replaced or not isinstance(function, types.FunctionType):
        return function
    by_name = {place.name: thing for place, thing in replaced if place.cell is None}
    by_cell = {id(place.cell): thing for place, thing in replaced if place.cell is not None}
    closure = tuple(
        types.CellType(by_cell[id(cell)]) if id(cell) in by_cell else cell
        for cell in function.__closure__ or ()
    )
    made = types.FunctionType(
        function.__code__,
        {**function.__globals__, **by_name},
        function.__name__,
        function.__defaults__,
        closure,
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """Return a name for each positional argument."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return [f"arg{n}" for n in range(count)]
    names: list[str] = []
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}{n}" for n in range(count - len(names))]
        elif parameter.kind in (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        ):
            names.append(parameter.name)
    return (names + [f"arg{n}" for n in range(len(names), count)])[:count]


def leaf_names(argument: Any, name: str) -> list[str]:
    """Return a name for each leaf of an argument: its path in words."""
    paths = optree.tree_paths(argument, none_is_leaf=True)
    return ["_".join([name, *(_word(step) for step in path)]) for path in paths]


def _word(step: Any) -> str:
    word = "".join(c if c.isalnum() else "_" for c in str(step))
    return word or "_"

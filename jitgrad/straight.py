"""A straight way from Python to a kernel: one generated function per signature.

Flattening containers and comparing signatures in general code costs tens of microseconds; a
kernel for ten variables runs in a third of one. So a signature that consists of dicts, lists and
tuples of arrays and floats gets a function of its own that checks just what can
differ, allocates the gradients, calls the kernel and puts the result together. It returns `MISS`
for any other arguments, and the general way takes over.
"""

from __future__ import annotations

import math
import operator
from array import array
from collections.abc import Callable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from jitgrad.errors import UnsupportedError, user_location
from jitgrad.graph import active
from jitgrad.places import ABSENT, Place, holds_data, stays
from jitgrad.signature import is_packed
from jitgrad.value import Value

MISS = object()
_DTYPES = {np.dtype(name): name for name in ("f8", "f4", "i8")}
_NARROW = {np.dtype(name): name for name in ("b1", "i1", "i2", "i4", "u1", "u2", "u4")}
_NAMES = {
    "ndarray": np.ndarray,
    "u8": np.dtype(np.uint64),
    "empty": np.empty,
    "MISS": MISS,
    "is_": operator.is_,
    **{name: dtype for dtype, name in (_DTYPES | _NARROW).items()},
}
_LARGEST = 400  # checks
_FEW = 65536  # bytes of an array whose elements are compared
_CONTAINERS: dict[type, str] = {dict: "dict", list: "list", tuple: "tuple"}


class _Misfit(Exception):  # noqa: N818 - it never gets out
    """The arguments are not of the simple kind."""


class Leaves(NamedTuple):
    """What is known of leaves, counted over all arguments and then over what the function names.

    Parameters
    ----------
    wrt : set of int
        Those that are differentiated.
    extents : dict of int to int
        For each that holds positions, how many there are on the axis.
    fixed : set of int
        Numbers that the trace took as they are.
    """

    wrt: Set[int] = frozenset()
    extents: Mapping[int, int] = MappingProxyType({})
    fixed: Set[int] = frozenset()


class Straight:
    """Builds the text of one straight function.

    Parameters
    ----------
    args : tuple
        Sample arguments.
    known : Leaves
        What is known of their leaves.
    argnums : tuple of int
        Which arguments' structures are returned.
    outside : sequence of Place
        What the function finds outside itself.
    """

    def __init__(
        self,
        args: tuple[Any, ...],
        known: Leaves,
        argnums: tuple[int, ...],
        outside: Sequence[Place],
    ) -> None:
        self.checks: list[str] = []
        self.inputs: list[str] = []
        self.gradients: list[str] = []
        self.results: list[str] = []
        self.names: dict[str, Any] = {}
        self.known = known
        self.count = 0
        self.own: float = math.inf  # the number of leaves of the arguments
        trees = [self._visit(argument, f"a{number}") for number, argument in enumerate(args)]
        self.returned = [trees[number] for number in argnums]
        self.own = self.count
        for number, place in enumerate(outside):
            self._outside(place, number)

    def _visit(self, tree: Any, path: str) -> str:
        """Add the checks of a subtree; return the expression of its gradient."""
        kind = _CONTAINERS.get(type(tree))
        if kind is None:
            return self._leaf(tree, path)
        if is_packed(tree) or len(self.checks) > _LARGEST:
            raise _Misfit
        self.checks.append(f"type({path}) is {kind} and len({path}) == {len(tree)}")
        if self.count >= self.own and kind != "dict" and all(map(stays, tree)):
            held = self._held(tuple(tree))
            self.count += len(tree)
            self.checks.append(f"all(map(is_, {path}, {held}))")
            return "None"
        if kind == "dict":
            if not all(type(key) is str for key in tree):
                raise _Misfit
            self.checks[-1] = f"type({path}) is dict and tuple({path}) == {tuple(tree)!r}"
            parts = {key: self._visit(tree[key], f"{path}[{key!r}]") for key in sorted(tree)}
            return "{" + ", ".join(f"{key!r}: {parts[key]}" for key in tree) + "}"
        inside = [self._visit(child, f"{path}[{n}]") for n, child in enumerate(tree)]
        return (
            f"[{', '.join(inside)}]"
            if kind == "list"
            else f"({''.join(part + ', ' for part in inside)})"
        )

    def _outside(self, place: Place, number: int) -> None:
        """Read data from where the function finds it; check that the rest is still the same."""
        content, holder = place.read(), f"o{number}"
        self.names[holder], path = place.holder, place.expression(holder)
        if content is ABSENT and place.kind == "global":
            self.checks.append(f"{place.name!r} not in {holder}")
            return
        if content is ABSENT or place.kind == "names":
            self.names[holder], path = place.read, f"{holder}()"
        if holds_data(content):
            self._visit(content, path)
        elif stays(content):
            self._same(content, path)
        else:
            raise _Misfit

    def _same_elements(self, leaf: Any, name: str, path: str) -> str:
        """Check that an array that the trace took as it was is still the same."""
        if leaf.nbytes > _FEW:
            raise _Misfit
        self.checks.append(
            f"type({name} := {path}) is ndarray and {name}.shape == {leaf.shape}"
            f" and {name}.dtype.str == {leaf.dtype.str!r}"
            f" and {name}.tobytes() == {self._held(leaf.tobytes())}"
        )
        return "None"

    def _same(self, thing: Any, path: str) -> str:
        """Check that a static object is still the same."""
        self.checks.append(f"{path} is {self._held(thing)}")
        return "None"

    def _held(self, thing: Any) -> str:
        """Return the name under which the function has something."""
        name = f"same{len(self.names)}"
        self.names[name] = thing
        return name

    def _leaf(self, leaf: Any, path: str) -> str:
        number = self.count
        self.count += 1
        name = f"x{number}"
        if type(leaf) in (int, bool, str, type(None)) and number not in self.known.wrt:
            self.checks.append(f"type({name} := {path}) is type({leaf!r}) and {name} == {leaf!r}")
            return "None"
        if type(leaf) is float and number in self.known.fixed:
            self.checks.append(
                f"type({name} := {path}) is float and {name}.hex() == {leaf.hex()!r}"
            )
            return "None"
        if type(leaf) is np.ndarray and number in self.known.fixed:
            return self._same_elements(leaf, name, path)
        if type(leaf) is float:
            shape: tuple[int, ...] = ()
            dtype: str | None = "f8"
            self.checks.append(f"type({name} := {path}) is float")
        elif type(leaf) is np.ndarray and leaf.ndim and leaf.size and leaf.flags.c_contiguous:
            shape = leaf.shape
            dtype = self._array(leaf, name, path, number)
        elif stays(leaf) and (number >= self.own or not isinstance(leaf, Value)):
            return self._same(leaf, path)
        else:
            raise _Misfit
        self.inputs.append(name)
        if number not in self.known.wrt:
            return "None"
        gradient = f"g{len(self.gradients)}"
        self.gradients.append(gradient)
        self.results.append(f"{shape}, {dtype}" if dtype == "f4" else f"{shape}")
        return gradient if shape else f"float({gradient})"

    def _array(self, leaf: Any, name: str, path: str, number: int) -> str:
        """Check an array and make it what the kernel takes; return its type."""
        dtype = _DTYPES.get(leaf.dtype) or _NARROW.get(leaf.dtype)
        if dtype is None or (dtype not in ("f8", "f4") and number in self.known.wrt):
            raise _Misfit
        self.checks.append(
            f"type({name} := {path}) is ndarray and {name}.dtype is {dtype}"
            f" and {name}.shape == {leaf.shape}"  # the dispatcher refuses other layouts
        )
        if dtype in _NARROW.values():
            # Under a microsecond for 500 elements; the general way would take a hundred.
            self.checks.append(f"({name} := {name}.astype(i8, 'C')) is not None")
        if number in self.known.extents:
            self.checks.append(inside(name, self.known.extents[number]))
        return dtype

    def text(self, arity: int, single: bool) -> str:
        """Return the function's source."""
        parameters = ", ".join(f"a{n}" for n in range(arity))
        made = "\n".join(
            f"            {name} = empty({result})"
            for name, result in zip(self.gradients, self.results, strict=True)
        )
        returned = (
            self.returned[0] if single else f"({''.join(part + ', ' for part in self.returned)})"
        )
        return (
            f"def straight({parameters}):\n"
            "    try:\n"
            f"        if {' and '.join(self.checks) or 'True'}:\n"
            f"{made}\n"
            f"            return kernel({', '.join([*self.inputs, *self.gradients])}), {returned}\n"
            "    except (TypeError, KeyError, ValueError, AttributeError):\n"
            "        pass\n"
            "    return MISS\n"
        )


def straight(
    args: tuple[Any, ...],
    known: Leaves,
    argnums: Sequence[int],
    single: bool,
    kernel: Any,
    outside: Sequence[Place] = (),
) -> Callable[..., Any] | None:
    """Return a straight ``value_and_grad`` for arguments like these, or None.

    Examples
    --------
    >>> def kernel(x, y, g):
    ...     g[:] = y
    ...     return float(x.sum() * y)
    >>> f = straight((np.ones(2), 3.0), Leaves({0}), (0,), True, kernel)
    >>> f(np.ones(2), 4.0)
    (8.0, array([4., 4.]))
    >>> f(np.ones(3), 4.0) is MISS
    True
    """
    try:
        built = Straight(args, known, tuple(argnums), outside)
    except _Misfit:
        return None
    return _made(built.text(len(args), single), {"kernel": kernel, **built.names})


class Surroundings(NamedTuple):
    """What a straight function reads outside its arguments, as parts of its text.

    ``checks`` are expressions that have to be true, ``inputs`` names that they bind, and ``names``
    what the text needs in its namespace.
    """

    checks: list[str]
    inputs: list[str]
    names: dict[str, Any]


def inside(name: str, extent: int) -> str:
    """Return the check that an array of positions holds none outside an axis, negative ones apart.

    As unsigned integers negative positions are large, so that one pass will do; they make the
    check fail, and the general way knows what to do with them.
    """
    return f"{name}.view(u8).max() < {extent}"


def surroundings(outside: Sequence[Place], start: int, known: Leaves) -> Surroundings:
    """Return the parts of a text that reads what a function names; leaves count from ``start``.

    Raises
    ------
    UnsupportedError
        Where what the function names is not of the simple kind.
    """
    built = Straight((), known, (), ())
    built.count, built.own = start, start
    try:
        for number, place in enumerate(outside):
            built._outside(place, number)
    except _Misfit:
        raise UnsupportedError(
            f"{user_location()}: bind() of a loss that names other data outside itself than "
            "C-contiguous float64 and float32 arrays, integers of at most 64 signed bits, bools, "
            "numbers and containers of them; give it as an argument"
        ) from None
    return Surroundings(built.checks, built.inputs, {**_NAMES, **built.names})


_BACKWARD = """\
def straight({parameters}):
    try:
        if tracing.tape is None and {checks}:
            packed = frombuffer(array("d", [value._data for value in values]))
            gradient = empty({count})
            aux = [empty(*made) for made in kinds_of_aux]
            loss = kernel({inputs}, packed, gradient, *aux)
            for value, part in zip(values, gradient.tolist()):
                if value.requires_grad:
                    value._grad += part
            return loss, aux
    except (TypeError, KeyError, ValueError, AttributeError):
        pass
    return MISS
"""


def straight_backward(
    args: tuple[Any, ...],
    values: Sequence[Any],
    kinds_of_aux: Sequence[tuple[tuple[int, ...], str]],
    kernel: Any,
    outside: Sequence[Place] = (),
    fixed: Set[int] = frozenset(),
) -> Callable[..., Any] | None:
    """Return a straight ``backward`` for a loss over captured scalar Values, or None.

    It packs the Values, calls the kernel, adds to each ``grad`` and returns the loss and the
    arrays of the auxiliary output. Of the 55 us that this takes for micrograd's 337 parameters,
    35 are the kernel.
    """
    try:
        built = Straight(args, Leaves(fixed=fixed), (), outside)
    except _Misfit:
        return None
    text = _BACKWARD.format(
        parameters=", ".join(f"a{n}" for n in range(len(args))),
        checks=" and ".join(built.checks) or "True",
        count=len(values),
        inputs=", ".join(built.inputs),
    )
    names = {
        "values": values,
        "kinds_of_aux": kinds_of_aux,
        "tracing": active,
        "array": array,
        "frombuffer": np.frombuffer,
    }
    return _made(text.replace("kernel(, ", "kernel("), {"kernel": kernel, **names, **built.names})


def _made(text: str, names: dict[str, Any]) -> Callable[..., Any]:
    namespace = {**_NAMES, **names}
    exec(text, namespace)
    made: Callable[..., Any] = namespace["straight"]
    return made

"""One traced call: its tape, its inputs and what it returned."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jitgrad.binding import LEAF, Bound
from jitgrad.errors import DataDependentError, JitgradError, NotScalarError, user_location
from jitgrad.graph import active, holds_objects, newest_serial
from jitgrad.labels import ContentsNeeded, Part
from jitgrad.lower import lower
from jitgrad.narrow import narrow_tables
from jitgrad.outside import Outside, underlying
from jitgrad.places import Found, Place, look
from jitgrad.program import Program
from jitgrad.protocols import Labelled
from jitgrad.shapes import natural_shapes
from jitgrad.signature import Spec, flatten, leaf_names, unflatten, unpacked
from jitgrad.simplify import simplify
from jitgrad.tape import Recording, Tape
from jitgrad.tape_columns import Columns, captured_order, columns, input_names, rolled
from jitgrad.traced import Traced
from jitgrad.value import Value


class Argument(NamedTuple):
    """One input of a kernel.

    ``source`` is "leaf" (``number`` counts the leaves of the call's arguments), "outside" (it
    counts the leaves of the data that the function names), "captured" (all captured scalar Values,
    packed) or "value" (a captured array Value). ``extents`` are those of the axes that it indexes.
    """

    buffer: str
    name: str
    source: str
    number: int
    shape: tuple[int, ...]
    dtype: str
    extents: tuple[int, ...] = ()


def positions_of(arguments: Sequence[Argument], own: int) -> dict[int, int]:
    """Return for each leaf that holds positions the extent of the shortest axis that they are on.

    Leaves of the call's arguments, ``own`` in number, come first, then those that the function
    names outside itself.
    """
    starts = {"leaf": 0, "outside": own}
    return {
        starts[argument.source] + argument.number: min(argument.extents)
        for argument in arguments
        if argument.extents
    }


class TracedCall(NamedTuple):
    """Everything that a trace found out.

    Parameters
    ----------
    tape : Tape
        The instructions.
    program : Program
        The forward Program, rolled and lowered.
    arguments : tuple of Argument
        The kernel's inputs, in order.
    captured : tuple of Value
        The scalar Values that the function used from outside, in order of their creation.
    captured_arrays : tuple of Value
        Its array Values.
    aux : tuple
        The leaves of the auxiliary output: Traced for what the kernel computes.
    aux_structure : Any
        Its structure, None without one.
    timings : dict of str to float
        Seconds for each stage.
    """

    tape: Tape
    program: Program
    arguments: tuple[Argument, ...]
    captured: tuple[Value, ...]
    captured_arrays: tuple[Value, ...]
    aux: tuple[Any, ...]
    aux_structure: Any
    timings: dict[str, float]


class NumberNeeded(Exception):  # noqa: N818 - it never gets out
    """The function asks for numbers of its surroundings: trace it again with these as they are.

    ``leaves`` are keys of places, or `binding.LEAF` for the call's arguments, each with the number
    of a leaf.
    """

    def __init__(self, leaves: Iterable[tuple[Any, int]]) -> None:
        super().__init__()
        self.leaves = tuple(leaves)


def trace(
    function: Callable[..., Any], bound: Bound, has_aux: bool, fixed: Container[Any] = ()
) -> tuple[TracedCall, Sequence[Found]]:
    """Run a function once on traced Values, roll and lower what it did.

    Returns
    -------
    TracedCall
        What it did.
    sequence of Found
        What it found outside itself: ``bound.around``, and what was not known before.

    Raises
    ------
    NumberNeeded
        Where the function asks for what follows from its surroundings, or from truths, alone.
    """
    started = time.perf_counter()
    tape = Tape(newest_serial())
    arguments = _Inputs(tape)
    around = _Around(bound.around, arguments, fixed)
    outside = Outside(around.look)
    leaves = arguments.add_all("leaf", bound.names(), bound.specs, bound.leaves, 0)
    with Recording(tape):
        try:
            returned = _run(function, bound, leaves, outside)
        except JitgradError as error:
            raise (around.needed(error) or error) from error.__cause__
        except ContentsNeeded as asked:
            raise around.wanted([asked.given]) from None
        loss, aux, structure = _outputs(function, returned, has_aux, tape, outside)
    outside.write_back()
    traced = time.perf_counter()
    cols = columns(tape)
    tree = rolled(cols)
    found = time.perf_counter()
    outputs = [loss, *(leaf for leaf in aux if isinstance(leaf, Traced))]
    program = _labelled(narrow_tables(lower(tape, tree, cols, outputs)), arguments)
    lowered = time.perf_counter()
    call = TracedCall(
        tape,
        program,
        arguments.all(cols),
        tuple(tape.captured[n] for n in captured_order(tape)),
        tuple(value for _, value in tape.captured_arrays),
        aux,
        structure,
        {"trace": traced - started, "roll": found - traced, "lower": lowered - found},
    )
    return call, around.found


def _run(function: Callable[..., Any], bound: Bound, leaves: list[Any], outside: Outside) -> Any:
    """Call the user's function; of an error of ours that NumPy wrapped, show ours."""
    made = outside.of(function)
    trees, at = [], 0
    for structure in bound.structures:
        trees.append(
            outside.seen(unflatten(structure, leaves[at : at + structure.spec.num_leaves]))
        )
        at += structure.spec.num_leaves
    positional = len(trees) - len(bound.keywords)
    keywords = dict(zip(bound.keywords, trees[positional:], strict=True))
    try:
        return made(*trees[:positional], **keywords)
    except (ValueError, IndexError) as error:
        ours = _replaced_by(error)
        if ours is None:
            raise
        raise ours from None


def _replaced_by(error: Exception) -> JitgradError | None:
    """Return the error of ours in whose place NumPy put another one.

    It does so with "setting an array element with a sequence", and where it is asked for an element
    by a Value; of the latter it forgets what came before, so the place has to tell.
    """
    if isinstance(error.__cause__, JitgradError):
        return error.__cause__
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    place = f"{frame.f_code.co_filename}:{line}:"
    refused: DataDependentError | None = active.tape.refused
    return refused if refused is not None and str(refused).startswith(place) else None


class _Given(NamedTuple):
    """An input that a call gives: where it comes from, its number there, its name and its kind."""

    source: str
    number: int
    name: str
    kind: str

    @property
    def may_be_fixed(self) -> bool:
        """Whether the function may be traced again for other contents: arguments change often."""
        return self.source == "outside" or self.kind == "truths"


_CAPTURED = _Given("captured", 0, "", "")


class _Inputs:
    """Declares the inputs of a tape and remembers where each comes from."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.found: dict[int, _Given] = {}  # by their places among the tape's inputs

    def add_all(self, source: str, names: Any, specs: Any, leaves: Any, start: int) -> list[Any]:
        """Return what the function sees in place of some leaves, which count from ``start``."""
        triples = zip(names, specs, leaves, strict=True)
        return [self._add(*triple, source, start + n) for n, triple in enumerate(triples)]

    def _add(self, name: str, spec: Spec, leaf: Any, source: str, number: int) -> Any:
        if isinstance(leaf, Part):
            return type(leaf)(leaf.thing, (source, number), spec.kind == "static")
        if not spec.traced:
            return leaf
        self.found[len(self.tape.inputs)] = _Given(source, number, name, spec.kind)
        traced = self.tape.add_input(name, spec.shape, spec.dtype, kind=spec.of)
        return unpacked(traced, spec.static) if spec.kind == "numbers" else traced

    def all(self, cols: Columns) -> tuple[Argument, ...]:
        """Return the kernel's inputs."""
        names = input_names(cols.inputs)
        given = []
        for n, (source, number, name, _) in self.found.items():
            extents = tuple(self.tape.indexed.get(n, ()))
            shape, dtype = cols.inputs[n].shape, cols.inputs[n].dtype
            given.append(Argument(names[n], name, source, number, shape, dtype, extents))
        if self.tape.captured:
            shape = cols.inputs[0].shape
            given.append(Argument(names[0], "parameters", "captured", 0, shape, "f8"))
        for count, (n, _) in enumerate(self.tape.captured_arrays):
            shape, dtype = cols.inputs[n].shape, cols.inputs[n].dtype
            given.append(Argument(names[n], f"captured{count}", "value", count, shape, dtype))
        return tuple(given)


class _Around:
    """What a trace finds outside the function: what is data there becomes an input."""

    def __init__(self, known: Sequence[Found], inputs: _Inputs, fixed: Container[Any]) -> None:
        self.inputs, self.fixed = inputs, fixed
        self.found: list[Found] = []
        self.starts: dict[Any, tuple[Found, int]] = {}
        self.leaves: list[tuple[Any, int]] = []  # the key of its place, and its number there
        for found in known:
            self._add(found)

    def look(self, place: Place) -> Any:
        """Return what the function sees in a place."""
        if place.key not in self.starts:
            self._add(look(place, self.fixed))
        found, start = self.starts[place.key]
        if not any(
            spec.traced or isinstance(leaf, Part)
            for leaf, spec in zip(found.leaves, found.specs, strict=True)
        ):
            return found.content
        names = leaf_names(found.content, place.name.strip("_"))
        seen = self.inputs.add_all("outside", names, found.specs, found.leaves, start)
        return unflatten(flatten(found.content)[1], seen)

    def needed(self, error: JitgradError) -> NumberNeeded | None:
        """Return what to raise for what follows from the surroundings, or from truths, alone."""
        behind = [self.inputs.found.get(n, _CAPTURED) for n in error.inputs]
        if not behind or not all(given.may_be_fixed for given in behind):
            return None
        return self.wanted((given.source, given.number) for given in behind)

    def wanted(self, given: Iterable[tuple[str, int]]) -> NumberNeeded:
        """Return what to raise for leaves that are to be taken as they are."""
        return NumberNeeded(
            (LEAF, number) if source == LEAF else self.leaves[number] for source, number in given
        )

    def _add(self, found: Found) -> None:
        key = found.place.key
        self.found.append(found)
        self.starts[key] = found, len(self.leaves)
        self.leaves += [(key, n) for n in range(len(found.leaves))]


# --- what it returned ----------------------------------------------------------------------------


def _outputs(
    function: Any, returned: Any, has_aux: bool, tape: Tape, outside: Outside
) -> tuple[Traced, tuple[Any, ...], Any]:
    name = getattr(function, "__name__", type(function).__name__)
    own = underlying(function)
    code = own.__code__ if own else None
    where = f"{code.co_filename}:{code.co_firstlineno}" if code else user_location()
    aux: tuple[Any, ...] = ()
    structure = None
    if has_aux:
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise NotScalarError(
                f"{where}: {name} was compiled with has_aux=True and returned {_what(returned)}; "
                "expected a tuple (loss, aux)"
            )
        returned, rest = returned
        leaves, structure = flatten(outside.twins.plain(rest))
        aux = tuple(_lifted(leaf, tape) for leaf in leaves)
    if isinstance(returned, np.ndarray) and returned.ndim == 0:
        returned = returned.item()
    if not _is_number(returned):
        what, advice = _what(returned), _advice(returned)
        raise NotScalarError(f"{where}: {name} returned {what}; expected one number{advice}")
    return tape.lift(returned), aux, structure


def _is_number(returned: Any) -> bool:
    if isinstance(returned, Value):
        return returned.shape == () and returned.element_type.kind != "b"
    real = isinstance(returned, float | int | np.floating | np.integer)
    return real and not isinstance(returned, bool)


def _what(returned: Any) -> str:
    shape = getattr(returned, "shape", None)
    if isinstance(returned, Value | np.ndarray | Labelled) and shape:
        what = "an array" if not isinstance(returned, Labelled) else "a pandas object"
        return f"{what} of shape {shape}"
    if isinstance(returned, Value) and returned.element_type.kind != "b":
        return "a number"
    if isinstance(returned, Value | bool | np.bool_):
        return "a truth value"
    return "None" if returned is None else f"a {type(returned).__name__}"


def _advice(returned: Any) -> str:
    if returned is None:
        return "; is a return statement missing?"
    if isinstance(returned, tuple | list):
        return "; for (loss, aux) write jitgrad.compile(has_aux=True)"
    if isinstance(returned, Value | np.ndarray | Labelled) and returned.shape:
        return "; write np.sum(...) or np.mean(...)"
    if isinstance(returned, Value):
        return "; write np.where(condition, 1.0, 0.0)"
    return ""


def _lifted(leaf: Any, tape: Tape) -> Any:
    return tape.lift(leaf) if isinstance(leaf, Value) or holds_objects(leaf) else leaf


def _labelled(program: Program, arguments: _Inputs) -> Program:
    """Name the input buffers after the arguments."""
    buffers = dict(program.buffers)
    for n, (_, _, name, _) in arguments.found.items():
        for key in (f"in{n}", f"in{n}_flat"):
            if key in buffers:
                label = name + key.removeprefix(f"in{n}")
                buffers[key] = buffers[key]._replace(label=label)
    if "in0" in buffers:
        buffers["in0"] = buffers["in0"]._replace(label="parameters")
    if buffers["in0"].shape == (0,):
        del buffers["in0"]
    program = simplify(program._replace(buffers=buffers))
    return natural_shapes(program, "in0") if "in0" in buffers else program

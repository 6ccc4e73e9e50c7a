"""One traced call: its tape, its inputs and what it returned."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jitgrad.binding import Bound
from jitgrad.errors import DataDependentError, JitgradError, NotScalarError, user_location
from jitgrad.graph import active, holds_objects, newest_serial
from jitgrad.lower import lower
from jitgrad.narrow import narrow_tables
from jitgrad.outside import Outside, Rebuilt, underlying
from jitgrad.program import Program
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

    ``numbers`` counts the leaves of the data that the function names.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        super().__init__()
        self.numbers = tuple(numbers)


def trace(function: Callable[..., Any], bound: Bound, has_aux: bool) -> TracedCall:
    """Run a function once on traced Values, roll and lower what it did.

    Raises
    ------
    NumberNeeded
        Where the function asks for a number that follows from its surroundings alone.
    """
    started = time.perf_counter()
    tape = Tape(newest_serial())
    arguments = _Inputs(tape)
    leaves = arguments.add_all("leaf", bound.names(), bound.specs, bound.leaves)
    rebuilt = Rebuilt([*_replaced(bound, arguments)])
    with Recording(tape):
        try:
            returned = _run(rebuilt.of(function), bound, leaves)
        except DataDependentError as error:
            raise (arguments.needed(error) or error) from error.__cause__
        loss, aux, structure = _outputs(function, returned, has_aux, tape)
    rebuilt.write_back()
    traced = time.perf_counter()
    cols = columns(tape)
    tree = rolled(cols)
    found = time.perf_counter()
    outputs = [loss, *(leaf for leaf in aux if isinstance(leaf, Traced))]
    program = _labelled(narrow_tables(lower(tape, tree, cols, outputs)), arguments)
    lowered = time.perf_counter()
    return TracedCall(
        tape,
        program,
        arguments.all(cols),
        tuple(tape.captured[n] for n in captured_order(tape)),
        tuple(value for _, value in tape.captured_arrays),
        aux,
        structure,
        {"trace": traced - started, "roll": found - traced, "lower": lowered - found},
    )


def _run(function: Callable[..., Any], bound: Bound, leaves: list[Any]) -> Any:
    """Call the user's function; of an error of ours that NumPy wrapped, show ours."""
    trees, at = [], 0
    for structure in bound.structures:
        trees.append(unflatten(structure, leaves[at : at + structure.num_leaves]))
        at += structure.num_leaves
    positional = len(trees) - len(bound.keywords)
    keywords = dict(zip(bound.keywords, trees[positional:], strict=True))
    try:
        return function(*trees[:positional], **keywords)
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


class _Inputs:
    """Declares the inputs of a tape and remembers where each comes from."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.found: list[tuple[str, int, str]] = []
        self.counts = {"leaf": 0, "outside": 0}

    def add_all(self, source: str, names: Any, specs: Any, leaves: Any) -> list[Any]:
        """Return what the function sees in place of some leaves."""
        triples = zip(names, specs, leaves, strict=True)
        return [self.add(name, spec, leaf, source) for name, spec, leaf in triples]

    def add(self, name: str, spec: Spec, leaf: Any, source: str) -> Any:
        """Return what the function sees in place of a leaf."""
        number = self.counts[source]
        self.counts[source] += 1
        if not spec.traced:
            return leaf
        self.found.append((source, number, name))
        traced = self.tape.add_input(name, spec.shape, spec.dtype, kind=spec.of)
        return unpacked(traced, spec.static) if spec.kind == "numbers" else traced

    def needed(self, error: DataDependentError) -> NumberNeeded | None:
        """Return what to raise for a number that only the surroundings' numbers make."""
        behind = [self.found[n - 1] for n in error.inputs if n <= len(self.found)]
        if not behind or any(source != "outside" for source, _, _ in behind):
            return None
        return NumberNeeded(number for _, number, _ in behind)

    def all(self, cols: Columns) -> tuple[Argument, ...]:
        """Return the kernel's inputs."""
        names = input_names(cols.inputs)
        given = []
        for n, (source, number, name) in enumerate(self.found, start=1):
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


def _replaced(bound: Bound, arguments: _Inputs) -> Iterator[tuple[Outside, Any]]:
    """List the surroundings that are traced, each with what the function sees there."""
    specs = iter(bound.outside_specs)
    for place, content in bound.around:
        leaves, structure = flatten(content)
        own = [next(specs) for _ in leaves]
        seen = arguments.add_all("outside", leaf_names(content, place.name), own, leaves)
        if any(spec.traced for spec in own):
            yield place, unflatten(structure, seen)


# --- what it returned ----------------------------------------------------------------------------


def _outputs(
    function: Any, returned: Any, has_aux: bool, tape: Tape
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
        leaves, structure = flatten(rest)
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
    if isinstance(returned, Value | np.ndarray) and shape:
        return f"an array of shape {shape}"
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
    if isinstance(returned, Value | np.ndarray) and returned.shape:
        return "; write np.sum(...) or np.mean(...)"
    if isinstance(returned, Value):
        return "; write np.where(condition, 1.0, 0.0)"
    return ""


def _lifted(leaf: Any, tape: Tape) -> Any:
    return tape.lift(leaf) if isinstance(leaf, Value) or holds_objects(leaf) else leaf


def _labelled(program: Program, arguments: _Inputs) -> Program:
    """Name the input buffers after the arguments."""
    buffers = dict(program.buffers)
    for n, (_, _, name) in enumerate(arguments.found, start=1):
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

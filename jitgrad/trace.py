"""One traced call: its tape, its inputs and what it returned."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import optree

from jitgrad.errors import NotScalarError, TraceError, user_location
from jitgrad.graph import newest_serial
from jitgrad.lower import Columns, captured_order, columns, input_names, lower, rolled
from jitgrad.program import Program
from jitgrad.shapes import natural_shapes
from jitgrad.signature import Outside, Spec, flatten, rebuilt
from jitgrad.simplify import simplify
from jitgrad.tape import SHIFT, Recording, Tape, Traced
from jitgrad.value import Value


class Argument(NamedTuple):
    """One input of a kernel.

    ``source`` is "leaf" (``number`` counts the leaves of the call's arguments), "outside" (it counts
    the leaves of the data that the function names), "captured" (all captured scalar Values, packed)
    or "value" (a captured array Value).
    """

    buffer: str
    name: str
    source: str
    number: int
    shape: tuple[int, ...]
    dtype: str


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


class Call(NamedTuple):
    """What a function is traced with."""

    leaves: Sequence[Any]
    specs: Sequence[Spec]
    names: Sequence[str]
    structure: Any
    outside: Sequence[tuple[Outside, Any]]
    outside_specs: Sequence[Spec]


def trace(function: Callable[..., Any], call: Call, has_aux: bool) -> TracedCall:
    """Run a function once on traced Values, roll and lower what it did."""
    started = time.perf_counter()
    tape = Tape(newest_serial())
    arguments = _Inputs(tape)
    leaves = [
        arguments.add(name, spec, leaf, "leaf")
        for name, spec, leaf in zip(call.names, call.specs, call.leaves, strict=True)
    ]
    replaced = _replaced(call, arguments)
    with Recording(tape):
        args, kwargs = _arguments(call, leaves)
        returned = rebuilt(function, replaced)(*args, **kwargs)
        loss, aux, structure = _outputs(function, returned, has_aux, tape)
    traced = time.perf_counter()
    cols = columns(tape)
    tree = rolled(cols)
    found = time.perf_counter()
    outputs = [loss, *(leaf for leaf in aux if isinstance(leaf, Traced))]
    program = lower(tape, tree, cols, outputs)
    timings = {
        "trace": traced - started,
        "roll": found - traced,
        "lower": time.perf_counter() - found,
    }
    captured = tuple(tape.captured[n] for n in captured_order(tape))
    arrays = tuple(value for _, value in tape.captured_arrays)
    return TracedCall(
        tape,
        _labelled(program, arguments),
        arguments.all(cols),
        captured,
        arrays,
        aux,
        structure,
        timings,
    )


def _arguments(call: Call, leaves: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    structures, keywords = call.structure
    trees, at = [], 0
    for structure in structures:
        trees.append(optree.tree_unflatten(structure, leaves[at : at + structure.num_leaves]))
        at += structure.num_leaves
    positional = len(trees) - len(keywords)
    return trees[:positional], dict(zip(keywords, trees[positional:], strict=True))


class _Inputs:
    """Declares the inputs of a tape and remembers where each comes from."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.found: list[tuple[str, int, str]] = []
        self.counts = {"leaf": 0, "outside": 0}

    def add(self, name: str, spec: Spec, leaf: Any, source: str) -> Any:
        """Return what the function sees in place of a leaf."""
        number = self.counts[source]
        self.counts[source] += 1
        if not spec.traced:
            return leaf
        self.found.append((source, number, name))
        return self.tape.add_input(name, spec.shape, "i8" if spec.kind == "integers" else "f8")

    def all(self, cols: Columns) -> tuple[Argument, ...]:
        """Return the kernel's inputs."""
        names = input_names(cols.inputs)
        given = [
            Argument(names[n], name, source, number, cols.inputs[n].shape, cols.inputs[n].dtype)
            for n, (source, number, name) in enumerate(self.found, start=1)
        ]
        if self.tape.captured:
            given.append(
                Argument(names[0], "parameters", "captured", 0, cols.inputs[0].shape, "f8")
            )
        for count, (n, _) in enumerate(self.tape.captured_arrays):
            given.append(
                Argument(names[n], f"captured{count}", "value", count, cols.inputs[n].shape, "f8")
            )
        return tuple(given)


def _replaced(call: Call, arguments: _Inputs) -> list[tuple[Outside, Any]]:
    specs = iter(call.outside_specs)
    replaced = []
    for place, content in call.outside:
        leaves, structure = flatten(content)
        single = len(leaves) == 1 and leaves[0] is content
        seen = [
            arguments.add(
                place.name if single else f"{place.name}_{n}", next(specs), leaf, "outside"
            )
            for n, leaf in enumerate(leaves)
        ]
        if any(isinstance(leaf, Traced) for leaf in seen):
            replaced.append((place, optree.tree_unflatten(structure, seen)))
    return replaced


def _outputs(
    function: Any, returned: Any, has_aux: bool, tape: Tape
) -> tuple[Traced, tuple[Any, ...], Any]:
    name = getattr(function, "__name__", "the function")
    code = getattr(function, "__code__", None)
    where = f"{code.co_filename}:{code.co_firstlineno}" if code else user_location()
    aux: tuple[Any, ...] = ()
    structure = None
    if has_aux:
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise NotScalarError(
                f"{where}: {name} was compiled with has_aux=True and returned {_what(returned)}; expected a tuple "
                "(scalar, aux)"
            )
        returned, rest = returned
        leaves, structure = flatten(rest)
        aux = tuple(_lifted(leaf, tape) for leaf in leaves)
    if isinstance(returned, np.ndarray) and returned.dtype == object and returned.ndim == 0:
        returned = returned.item()
    if not isinstance(returned, Value | float | int | np.floating | np.integer) or np.shape(
        getattr(returned, "shape", ())
    ) not in ((), (0,)):
        raise NotScalarError(
            f"{where}: {name} returned {_what(returned)}; expected one number" + _advice(returned)
        )
    if isinstance(returned, Value) and returned.shape != ():
        if returned.size != 1:
            raise NotScalarError(
                f"{where}: {name} returned {_what(returned)}; expected one number"
                + _advice(returned)
            )
        returned = tape.reshape(returned, ())
    return tape.lift(returned), aux, structure


def _what(returned: Any) -> str:
    if isinstance(returned, Value) or isinstance(returned, np.ndarray):
        return f"an array of shape {returned.shape}"
    return f"a {type(returned).__name__}"


def _advice(returned: Any) -> str:
    if isinstance(returned, tuple | list):
        return "; for (loss, aux) write jitgrad.compile(has_aux=True)"
    if isinstance(returned, Value | np.ndarray):
        return "; write np.sum(...) or np.mean(...)"
    return ""


def _lifted(leaf: Any, tape: Tape) -> Any:
    if isinstance(leaf, Value) or (isinstance(leaf, np.ndarray) and leaf.dtype == object):
        try:
            return tape.lift(leaf)
        except TraceError:
            return leaf
    return leaf


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


__all__ = ["SHIFT", "Argument", "Call", "TracedCall", "simplify", "trace"]

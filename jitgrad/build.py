"""From a traced call to a compiled kernel: adjoint, passes, printer, Numba.

A `Lowered` shows each stage of one call.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numba

from jitgrad import cache, cpu
from jitgrad.adjoint import gradient
from jitgrad.binding import Bound
from jitgrad.call import inputs
from jitgrad.dag import Graph
from jitgrad.emit import emit
from jitgrad.explain import MIRRORED, explain
from jitgrad.generic import Generic, Printed, generalised
from jitgrad.pipeline import FORWARD, PASSES, STRICT_FORWARD, STRICT_PASSES
from jitgrad.program import Program
from jitgrad.tape import Tape
from jitgrad.trace import TracedCall

_PLACEHOLDER = "kernel_name"
_TYPES = {"f8": numba.float64, "f4": numba.float32, "i8": numba.int64}


class Kernel(NamedTuple):
    """A compiled Program.

    Parameters
    ----------
    program : Program
        After all passes.
    source : str
        The generated module.
    path : str
        Where it lies.
    call : Any
        The Numba function: ``value = call(*inputs, *gradients, *aux)``.
    wrt : tuple of int
        Which of the kernel's inputs it differentiates with respect to, by place.
    aux : tuple of (shape, dtype)
        The auxiliary outputs.
    strict : bool
        Whether the order of evaluation is kept.
    """

    program: Program
    source: str
    path: str
    call: Any
    wrt: tuple[int, ...]
    aux: tuple[tuple[tuple[int, ...], str], ...]
    strict: bool


class Family:
    """The kernels of one function for calls that differ in extents only.

    Attributes
    ----------
    compiled : int
        How many were compiled, or loaded from the cache.
    """

    def __init__(self) -> None:
        self.compiled = 0
        self._members: list[tuple[Generic, Any]] = []

    def find(self, printed: Printed) -> tuple[str, Any] | None:
        """Return the text and the compiled kernel that do for a call, if there are such."""
        return next(((g.text, call) for g, call in self._members if g.fits(printed)), None)

    def wanted(self, printed: Printed) -> Generic:
        """Return what to compile for a call: a kernel for its shapes and others, or for its own."""
        for member, _ in self._members:
            found = None if member.holes else generalised(member.first, printed)
            if found is not None:
                return found
        return Generic(printed.text, printed, {})

    def add(self, made: Generic, call: Any) -> None:
        """Keep a compiled kernel."""
        self.compiled += 1
        self._members.append((made, call))
        del self._members[:-MOST]


MOST = 32  # kernels that one family keeps for later calls


def stages(traced: TracedCall, wrt: tuple[int, ...], strict: bool) -> Iterator[tuple[str, Program]]:
    """Yield the Program after each step from the trace to the printer, with the step's name."""
    program = traced.program
    for step in STRICT_FORWARD if strict else FORWARD:
        program = step(program)
        yield step.__name__, program
    if wrt:
        program = gradient(program, [traced.arguments[place].buffer for place in wrt])
    yield MIRRORED, program
    for step in STRICT_PASSES if strict else PASSES:
        program = step(program)
        yield step.__name__, program


def build(
    traced: TracedCall,
    wrt: tuple[int, ...],
    stem: str,
    made_from: str,
    strict: bool,
    families: dict[Any, Family],
) -> Kernel:
    """Differentiate, optimise, print and compile.

    Parameters
    ----------
    traced : TracedCall
        The function; the time of each stage goes into its ``timings``.
    wrt : tuple of int
        The inputs, by place, that the kernel returns gradients of.
    stem : str
        What the kernel's name begins with.
    made_from : str
        The function's name and place, for the header.
    strict : bool
        Whether to keep the order of evaluation.
    families : dict
        The kernels that the function has; receives new ones.
    """
    clock = _Clock(traced.timings)
    names = [traced.arguments[place].buffer for place in wrt]
    program = traced.program
    for stage, program in stages(traced, wrt, strict):  # noqa: B007 - the last one is wanted
        if stage == MIRRORED:
            clock.lap("adjoint")
    clock.lap("optimise")
    outputs = [f"grad_{name}" for name in names]
    aux = [name for name, buffer in program.buffers.items() if name.startswith("aux")]
    arguments = [*(argument.buffer for argument in traced.arguments), *outputs, *aux]
    kind = "gradient" if wrt else "value"
    header = (
        f"Made by jitgrad from {made_from}: {len(traced.tape)} instructions in "
        f"{traced.program.statements} statements."
    )
    made = emit(
        program,
        name=_PLACEHOLDER,
        arguments=arguments,
        strict=strict,
        header=header,
    )
    types = [_type(argument.shape, argument.dtype) for argument in traced.arguments]
    results = [program.buffers[name] for name in (*outputs, *aux)]
    types += [numba.types.Array(_TYPES[to.dtype], len(to.shape), "C") for to in results]
    extents = [*(given.shape for given in traced.arguments), *(to.shape for to in results)]
    family = families.setdefault((wrt, str(types)), Family())
    printed = Printed(made.text, _PLACEHOLDER, dict(zip(made.parameters, extents, strict=True)))
    clock.lap("emit")
    found = family.find(printed)
    if found is None:
        wanted = family.wanted(printed)
        name = f"{stem}_{kind}_{cache.digest(wanted.text, cpu.flags(strict), str(types))}"
        text = wanted.text.replace(_PLACEHOLDER, name)
        call = cpu.compile_module(text, name, made.helpers, strict, tuple(types))
        family.add(wanted._replace(text=text), call)
    else:
        text, call = found
    clock.lap("compile")
    path = call.py_func.__code__.co_filename
    kinds_of_aux = tuple((to.shape, to.dtype) for to in results[len(outputs) :])
    return Kernel(program, text, path, call, wrt, kinds_of_aux, strict)


def _type(shape: tuple[int, ...], dtype: str) -> Any:
    return numba.types.Array(_TYPES[dtype], len(shape), "C") if shape else _TYPES[dtype]


class _Clock:
    """Notes how long each stage takes."""

    def __init__(self, timings: dict[str, float]) -> None:
        self.timings = timings
        self.at = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings[stage] = now - self.at
        self.at = now


class Lowered:
    """A traced call at every stage, for looking at.

    Attributes
    ----------
    tape : Tape
        The instructions in order; ``len(tape)`` counts them.
    program : Program
        The forward Program, rolled and lowered; ``.statements`` counts its nodes, loops included.
    gradient_program : Program
        Value and gradient after the adjoint and all passes.
    source : str
        The generated Python.
    path : str
        The file it lies in.
    kernel : Numba function
        ``value = kernel(*flat_arguments, *gradient_arrays)``.
    timings : dict of str to float
        Seconds for each stage.
    """

    def __init__(self, bound: Bound, traced: TracedCall, made: Kernel) -> None:
        self._traced = traced
        self._bound = bound
        self._made = made
        self.tape: Tape = traced.tape
        self.program = traced.program
        self.gradient_program = made.program
        self.source = made.source
        self.path = made.path
        self.kernel = made.call
        self.timings = traced.timings

    @functools.cached_property
    def graph(self) -> Graph:
        """The DAG: one node for each instruction of the tape."""
        return Graph(self.tape)

    def explain(self) -> str:
        """Say what the optimiser fused, contracted and sent to BLAS, and what stopped the rest.

        Examples
        --------
        >>> import jitgrad, numpy as np
        >>> x = np.ones(1000)
        >>> print(jitgrad.compile(lambda x: np.mean(np.tanh(x) ** 2)).lower(x).explain())
        loops:
          9 outermost loops became 1
          1: 1000: <doctest jitgrad.build.Lowered.explain[2]>:1
        arrays:
          5 of 5 arrays became locals
        """
        steps = list(stages(self._traced, self._made.wrt, self._made.strict))
        return explain(steps)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the kernel's parameters before the gradient arrays."""
        return tuple(argument.name for argument in self._traced.arguments)

    def captured_arrays(self) -> list[Any]:
        """Return what the kernel takes after the flat arguments, as it is now.

        Data that the function names as globals or closure cells, then the captured scalar Values
        packed in order of their creation, then each captured array Value.
        """
        pairs = zip(self._traced.arguments, inputs(self._bound, self._traced), strict=True)
        return [given for argument, given in pairs if argument.source != "leaf"]

"""From a traced call to a compiled kernel: adjoint, passes, printer, Numba.

A `Lowered` shows each stage of one call.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numba

from jitgrad import cache, cpu, sizes
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


class Origin(NamedTuple):
    """What a kernel is printed from.

    Parameters
    ----------
    program : Program
        The forward Program.
    wrt : tuple of str
        The inputs that it is differentiated with respect to.
    arguments : tuple of str
        The inputs, in order.
    header : str
        The module's docstring.
    strict : bool
        Whether the order of evaluation is kept.
    """

    program: Program
    wrt: tuple[str, ...]
    arguments: tuple[str, ...]
    header: str
    strict: bool

    def stages(self) -> Iterator[tuple[str, Program]]:
        """Yield the Program after each step from the trace to the printer, with its name."""
        program = self.program
        for step in STRICT_FORWARD if self.strict else FORWARD:
            program = step(program)
            yield step.__name__, program
        if self.wrt:
            program = gradient(program, list(self.wrt))
        yield MIRRORED, program
        for step in STRICT_PASSES if self.strict else PASSES:
            program = step(program)
            yield step.__name__, program

    def outputs(self, program: Program) -> tuple[str, ...]:
        """Name what the kernel writes: gradients, then auxiliary outputs."""
        aux = (name for name in program.buffers if name.startswith("aux"))
        return (*(f"grad_{name}" for name in self.wrt), *aux)

    def printed(self, program: Program) -> Printed:
        """Print what the passes made of it."""
        names = (*self.arguments, *self.outputs(program))
        made = emit(
            program,
            name=_PLACEHOLDER,
            arguments=names,
            strict=self.strict,
            header=self.header,
        )
        shapes = (program.buffers[name].shape for name in names)
        extents = dict(zip(made.parameters, shapes, strict=True))
        return Printed(made.text, _PLACEHOLDER, extents, made.helpers)

    def counted(self, as_others: Mapping[int, int]) -> Printed:
        """Print it as if its extents were others."""
        with sizes.counting(as_others):
            *_, (_, program) = self.stages()
            return self.printed(program)


_Alike: TypeAlias = tuple[Printed, Printed, Origin]


class Member(NamedTuple):
    """A compiled kernel of a family, and what it was printed from."""

    kernel: Generic
    call: Any
    origin: Origin


class Family:
    """The kernels of one function for calls that differ in extents only.

    Attributes
    ----------
    compiled : int
        How many were compiled, or loaded from the cache.
    """

    def __init__(self) -> None:
        self.compiled = 0
        self._members: list[Member] = []

    def find(self, printed: Printed) -> Member | None:
        """Return the member that does for a call, if there is one."""
        return next((member for member in self._members if member.kernel.fits(printed)), None)

    def wanted(self, printed: Printed, origin: Origin) -> Member | tuple[Generic, Origin]:
        """Return a member that does for a call, or what to compile and what it comes from.

        A kernel for the call's shapes and others, where the sources differ in sizes only: as they
        are, or when the smaller of two calls is treated like the larger one.
        """
        varied = any(member.kernel.holes for member in self._members)
        treated: Iterable[_Alike] = self._treated_alike(printed, origin)
        if varied:  # one of the kernels for several sizes may do
            treated = list(treated)
            known = next(filter(None, (self.find(other) for _, other, _ in treated)), None)
            if known is not None:
                return known
        fixed = (m.kernel.first for m in self._members if not m.kernel.holes)
        pairs = itertools.chain(((first, printed, origin) for first in fixed), treated)
        made = ((generalised(first, other), source) for first, other, source in pairs)
        own = Generic(printed.text, printed, {}), origin
        return next(((kernel, source) for kernel, source in made if kernel is not None), own)

    def _treated_alike(self, printed: Printed, origin: Origin) -> Iterator[_Alike]:
        """Yield pairs of sources, of an earlier call and of this one, with the larger's origin.

        The smaller of the two calls is brought through the passes as if it were the larger one.
        """
        for member in reversed(self._members[-TRIED:]):
            found = sizes.standing_for(origin.program, member.origin.program) or {}
            back = {other: mine for mine, other in found.items()}
            if found and all(mine < other for mine, other in found.items()):
                yield member.kernel.first, origin.counted(found), member.origin
            elif len(back) == len(found) > 0 and all(mine > other for mine, other in found.items()):
                yield member.origin.counted(back), printed, origin

    def add(self, member: Member) -> None:
        """Keep a compiled kernel."""
        self.compiled += 1
        self._members.append(member)
        del self._members[:-MOST]


MOST = 32  # kernels that one family keeps for later calls
TRIED = 3  # of these the latest, which a call of another structure is compared with


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
    header = (
        f"Made by jitgrad from {made_from}: {len(traced.tape)} instructions in "
        f"{traced.program.statements} statements."
    )
    origin = _origin(traced, wrt, header, strict)
    program = traced.program
    for stage, program in origin.stages():  # noqa: B007 - the last one is wanted
        if stage == MIRRORED:
            clock.lap("adjoint")
    clock.lap("optimise")
    printed = origin.printed(program)
    results = [program.buffers[name] for name in origin.outputs(program)]
    types = [_type(argument.shape, argument.dtype) for argument in traced.arguments]
    types += [numba.types.Array(_TYPES[to.dtype], len(to.shape), "C") for to in results]
    family = families.setdefault((wrt, str(types)), Family())
    clock.lap("emit")
    found = family.find(printed) or family.wanted(printed, origin)
    if not isinstance(found, Member):
        wanted, source = found
        kind = "gradient" if wrt else "value"
        name = f"{stem}_{kind}_{cache.digest(wanted.text, cpu.flags(strict), str(types))}"
        text = wanted.text.replace(_PLACEHOLDER, name)
        call = cpu.compile_module(text, name, wanted.first.helpers, strict, tuple(types))
        found = Member(wanted._replace(text=text), call, source)
        family.add(found)
    clock.lap("compile")
    path = found.call.py_func.__code__.co_filename
    aux = tuple((to.shape, to.dtype) for to in results[len(origin.wrt) :])
    return Kernel(program, found.kernel.text, path, found.call, wrt, aux, strict)


def _origin(traced: TracedCall, wrt: tuple[int, ...], header: str, strict: bool) -> Origin:
    arguments = tuple(argument.buffer for argument in traced.arguments)
    differentiated = tuple(arguments[place] for place in wrt)
    return Origin(traced.program, differentiated, arguments, header, strict)


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
        origin = _origin(self._traced, self._made.wrt, "", self._made.strict)
        return explain(list(origin.stages()))

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

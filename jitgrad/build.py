"""From a traced call to a compiled kernel.

The adjoint, the passes of the `pipeline`, the printer, and Numba.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numba

from jitgrad import cache, cpu
from jitgrad.adjoint import gradient
from jitgrad.emit import emit
from jitgrad.pipeline import PASSES, STRICT_PASSES
from jitgrad.program import Program
from jitgrad.simplify import prepare
from jitgrad.trace import TracedCall

_PLACEHOLDER = "kernel_name"


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
    aux : tuple of tuple
        The shapes of the auxiliary outputs.
    """

    program: Program
    source: str
    path: str
    call: Any
    wrt: tuple[int, ...]
    aux: tuple[tuple[int, ...], ...]


def build(
    traced: TracedCall, wrt: tuple[int, ...], stem: str, made_from: str, strict: bool
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
    """
    clock = _Clock(traced.timings)
    names = [traced.arguments[place].buffer for place in wrt]
    program = prepare(traced.program)
    if wrt:
        program = gradient(program, names)
    clock.lap("adjoint")
    for step in STRICT_PASSES if strict else PASSES:
        program = step(program)
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
    shapes = [program.buffers[name].shape for name in (*outputs, *aux)]
    types += [numba.types.Array(numba.float64, len(shape), "C") for shape in shapes]
    name = f"{stem}_{kind}_{cache.digest(made.text, cpu.flags(strict), str(types))}"
    text = made.text.replace(_PLACEHOLDER, name)
    clock.lap("emit")
    call = cpu.compile_module(text, name, made.helpers, strict, tuple(types))
    clock.lap("compile")
    path = call.py_func.__code__.co_filename
    return Kernel(
        program, text, path, call, wrt, tuple(program.buffers[name].shape for name in aux)
    )


def _type(shape: tuple[int, ...], dtype: str) -> Any:
    scalar = numba.int64 if dtype == "i8" else numba.float64
    return numba.types.Array(scalar, len(shape), "C") if shape else scalar


class _Clock:
    """Notes how long each stage takes."""

    def __init__(self, timings: dict[str, float]) -> None:
        self.timings = timings
        self.at = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings[stage] = now - self.at
        self.at = now

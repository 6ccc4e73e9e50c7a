"""What the optimiser did to one call, and what stopped the rest, in words.

It looks at the Program after each pass: nothing is reported that cannot be seen there.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from jitgrad.define import definitions, written
from jitgrad.depend import touched
from jitgrad.fuse import apart
from jitgrad.products import too_small
from jitgrad.program import (
    Accumulate,
    Buffer,
    Call,
    Loop,
    Node,
    Product,
    Program,
    statements_of,
    storage,
    walk,
)

MIRRORED = "gradient"  # the step between the passes before the adjoint and those after it
Stages: TypeAlias = Sequence[tuple[str, Program]]

DONE = {
    "gather_late": "computed before it is gathered",
    "lift_invariants": "moved in front of a loop",
    "interchange": "loops reordered by memory order",
    "tall": "short rows laid out with the rows next to each other",
    "tile": "loops over rows made innermost, in strips",
    "jam": "several sums made in one loop",
    "strip": "worked on in strips of 64 rows",
    "regular": "tables of positions written as loops",
    "columns": "short rows kept as columns",
}
"""What it means where a pass changed the Program."""


def explain(stages: Stages) -> str:
    """Describe what the passes did.

    Parameters
    ----------
    stages : sequence of (str, Program)
        The Program after each step from the trace to the printer, with the step's name.

    Returns
    -------
    str
        Lines of text, by heading: loops, arrays, matrix products, routines, other passes.
    """
    sections = {
        "loops": _loops(stages),
        "arrays": _arrays(stages),
        "matrix products": _products(stages),
        "routines": _routines(stages),
        "also": _others(stages),
    }
    lines: list[str] = []
    for heading, found in sections.items():
        told = list(found)
        lines += [f"{heading}:", *(f"  {line}" for line in told)] if told else []
    return "\n".join(lines)


def _stage(stages: Stages, name: str) -> Program:
    """The Program before the first step of a name, or the last one."""
    for (_, before), (step, _) in itertools.pairwise(stages):
        if step == name:
            return before
    return stages[-1][1]


# --- loops ---------------------------------------------------------------------------------------


def _loops(stages: Stages) -> Iterator[str]:
    before, after = dict(stages)[MIRRORED], _stage(stages, "strip")
    nests = [node for node in after.body if isinstance(node, Loop)]
    count = sum(isinstance(node, Loop) for node in before.body)
    yield f"{count} outermost loops became {len(nests)}"
    for number, nest in enumerate(nests, start=1):
        yield f"{number}: {_described(after, nest)}"
    for number, (first, second) in enumerate(itertools.pairwise(nests), start=1):
        reason = apart(after, first, second)
        if reason:
            yield f"{number} and {number + 1} stay apart: {reason}"


def _described(program: Program, nest: Loop) -> str:
    lines = dict.fromkeys(_place(program, s.site) for s in statements_of((nest,)) if s.site >= 0)
    extents = [loop.extent.constant for loop in walk((nest,)) if isinstance(loop, Loop)][:3]
    direction = ", from the last to the first" if nest.backward else ""
    what = ", ".join(lines) if lines else "fills"
    return f"{' x '.join(map(str, extents))}{direction}: {what}"


def _place(program: Program, site: int) -> str:
    file, line, _ = program.sites[site]
    return f"{os.path.basename(file)}:{line}"


# --- arrays --------------------------------------------------------------------------------------


def _arrays(stages: Stages) -> Iterator[str]:
    before, after, whole = _stage(stages, "contract"), stages[-1][1], _stage(stages, "strip")
    arrays = {name for name, buffer in before.buffers.items() if _is_scratch(buffer)}
    used = {s.target.buffer for s in statements_of(after.body)}
    locals_ = [n for n in arrays if n in used and not after.buffers[n].shape]
    yield f"{len(locals_)} of {len(arrays)} arrays became locals{_named(before, locals_)}"
    for name in sorted(used, key=lambda name: -_size(after, name)):
        if _is_scratch(after.buffers[name]):
            label = after.buffers[name].label or name
            shape = "x".join(map(str, after.buffers[name].shape))
            yield f"{label} ({shape}) is kept: {_reason(whole, name)}"


def _is_scratch(buffer: Buffer) -> bool:
    return buffer.kind == "temporary" and bool(buffer.shape) and buffer.views is None


def _size(program: Program, name: str) -> int:
    return math.prod(program.buffers[name].shape)


def _named(program: Program, names: Sequence[str]) -> str:
    labels = sorted({label for name in names if (label := program.buffers[name].label)})
    return f": {', '.join(labels)}" if labels else ""


def _reason(program: Program, name: str) -> str:
    """Say which parts of the Program need an array."""
    users = [node for node in program.body if _uses(program, node, name)]
    if any(isinstance(node, Product) for node in users):
        return "a matrix product takes it whole"
    if any(isinstance(node, Call) for node in users):
        return "a routine takes or makes it whole"
    loops = [node for node in users if isinstance(node, Loop)]
    if len(loops) < 2:
        return "one loop uses several of its elements at a time"
    reason = next(filter(None, (apart(program, loops[0], loop) for loop in loops[1:])), "")
    return f"made in one loop and used in another; {reason or 'something has to run in between'}"


def _uses(program: Program, node: Node, name: str) -> bool:
    found = touched(node, program.buffers).values()
    return any(use.ref.buffer == name for uses in found for use in uses)


# --- products, and what else was done ------------------------------------------------------------


def _products(stages: Stages) -> Iterator[str]:
    after = stages[-1][1]
    for node in walk(after.body):
        if isinstance(node, Product):
            (_, rows), (_, columns), (_, terms) = node.loops
            place = f", {_place(after, node.site)}" if node.site >= 0 else ""
            yield f"BLAS: {rows}x{terms} by {terms}x{columns}{place}"
    before = _stage(stages, "products")
    known = definitions(before)
    for statement, loops in written(before.body):
        if isinstance(statement, Accumulate) and len(loops) >= 3:
            reason = too_small(before, known, statement, loops)
            if reason:
                yield f"loops: {_place(before, statement.site)}, {reason}"


def _routines(stages: Stages) -> Iterator[str]:
    """Name the routines that are called on whole arrays, and for which lines."""
    program = stages[-1][1]
    found = [node for node in walk(program.body) if isinstance(node, Call)]
    for node in found:
        names = [program.buffers[x.buffer].label or x.buffer for x in node.operands]
        place = f": {_place(program, node.site)}" if node.site >= 0 else ""
        yield f"{node.routine} of {', '.join(names)}{place}"


def _others(stages: Stages) -> Iterator[str]:
    for (_, before), (name, after) in itertools.pairwise(stages):
        if name in DONE and before.body != after.body:
            yield f"{name}: {DONE[name]}{_changed(before, after)}"


def _changed(before: Program, after: Program) -> str:
    """Name what a pass changed, where the user has names for it."""
    old = {id(node) for node in before.body}
    labels = {label for node in after.body if id(node) not in old for label in _labels(after, node)}
    return f" ({', '.join(sorted(labels)[:8])})" if labels else ""


def _labels(program: Program, node: Node) -> Iterator[str]:
    for statement in statements_of((node,)):
        root = storage(program.buffers, statement.target.buffer)[0]
        if program.buffers[root].label:
            yield program.buffers[root].label

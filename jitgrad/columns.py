"""Program to Program: an array of short rows becomes an array for each column.

Positions of particles are an (n, 3) array, and a loop over pairs reads three numbers of every row
at a stride of three. In SIMD a stride costs more than the arithmetic. Where a nest goes over such
rows again and again, they are copied once into one array for each column, and the gradient is
collected in such arrays: a Lennard-Jones gradient takes a third of the time.
"""

from __future__ import annotations

from jitgrad.define import executions
from jitgrad.depend import Use, uses
from jitgrad.program import (
    Affine,
    Assign,
    Block,
    Buffer,
    Loop,
    Node,
    Program,
    Ref,
    map_refs,
)
from jitgrad.sizes import counted
from jitgrad.unroll import SHORT, written_out

LONGEST = 1 << 16  # rows: the copies stay in the second cache
AGAIN = 4  # so often each row has to be used


def columns(program: Program) -> Program:
    """Give each column of short rows that are used often an array of its own."""
    for name, found in _by_buffer(program).items():
        if _is_worth_it(program, name, found):
            loops = frozenset(
                atom for use in found for atom, _ in use.ref.index[1].terms if isinstance(atom, str)
            )
            body = written_out(program.body, loops, program.buffers, {})
            program = _split(program._replace(body=body), name)
    return program


def _by_buffer(program: Program) -> dict[str, list[Use]]:
    viewed = {buffer.views for buffer in program.buffers.values()}
    found: dict[str, list[Use]] = {}
    for node in program.body:
        for use in uses(node):
            buffer = program.buffers[use.ref.buffer]
            given = buffer.kind in ("input", "output") and buffer.views is None
            if given and buffer.dtype != "i8" and use.ref.buffer not in viewed:
                found.setdefault(use.ref.buffer, []).append(use)
    return found


def _is_worth_it(program: Program, name: str, found: list[Use]) -> bool:
    shape = program.buffers[name].shape
    if len(shape) != 2:
        return False
    rows, count = map(counted, shape)
    if not 2 <= count <= SHORT or rows > LONGEST:
        return False
    return all(_is_column(use, shape[1]) for use in found) and any(
        _runs_along(use) and executions(use.loops) >= AGAIN * rows for use in found
    )


def _is_column(use: Use, extent: int) -> bool:
    """Whether a column is fixed, or all are gone through by an innermost loop."""
    position = use.ref.index[1]
    if not position.terms or not use.loops:
        return not position.terms
    inner = use.loops[-1]
    return position == Affine.index(inner.index) and inner.extent == Affine(extent)


def _runs_along(use: Use) -> bool:
    """Whether the innermost loop goes from row to row."""
    position = use.ref.index[0]
    return len(use.loops) > 1 and position.coefficient(use.loops[-1].index) == 1


def _split(program: Program, name: str) -> Program:
    given = program.buffers[name]
    rows, count = given.shape
    parts = [f"{name}_column{k}" for k in range(count)]
    buffers: dict[str, Buffer] = dict(program.buffers)
    for k, part in enumerate(parts):
        label = f"{given.label or name}_{k}"
        buffers[part] = given._replace(shape=(rows,), kind="temporary", label=label)

    def change(ref: Ref) -> Ref:
        if ref.buffer != name:
            return ref
        return Ref(parts[ref.index[1].constant], ref.index[:1])

    index = Affine.index(f"{name}_row")
    pairs = [(Ref(part, (index,)), Ref(name, (index, Affine(k)))) for k, part in enumerate(parts)]
    if given.kind == "output":
        pairs = [(whole, part) for part, whole in pairs]
    copies: Block = tuple(Assign(target, "copy", (source,)) for target, source in pairs)
    nest: Node = Loop(f"{name}_row", Affine(rows), copies)
    body = tuple(map_refs(node, change) for node in program.body)
    body = (nest, *body) if given.kind == "input" else (*body, nest)
    return program._replace(buffers=buffers, body=body)

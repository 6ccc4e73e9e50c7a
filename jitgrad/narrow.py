"""Program to Program: constants that only float32 statements read are float32 themselves.

A Python number takes the type of the array that it meets. In a loop such numbers are a table of
constants, which would be read as float64 and narrowed in each iteration.
"""

from __future__ import annotations

import numpy as np

from jitgrad.define import written
from jitgrad.ops import TRUTHS
from jitgrad.program import Assign, Program, Ref, operands_of


def narrow_tables(program: Program) -> Program:
    """Store tables of constants as float32 where that is what they are read as."""
    tables = {name for name, buffer in program.buffers.items() if buffer.kind == "table"}
    found = {name for name in tables if program.buffers[name].dtype == "f8"} - _read_wide(program)
    if not found:
        return program
    narrow = {name: program.buffers[name]._replace(dtype="f4") for name in found}
    data = {name: program.tables[name].astype(np.float32) for name in found}
    return program._replace(
        buffers={**program.buffers, **narrow}, tables={**program.tables, **data}
    )


def _read_wide(program: Program) -> set[str]:
    """Return the buffers that are read as they are: in float64, as truths, or through a view."""
    found = {buffer.views for buffer in program.buffers.values() if buffer.views}
    if isinstance(program.result, Ref):
        found.add(program.result.buffer)
    for node, _ in written(program.body):
        wide = program.buffers[node.target.buffer].dtype != "f4"
        truths = TRUTHS.get(node.op, 0) if isinstance(node, Assign) else 0
        for place, operand in enumerate(operands_of(node)):
            if isinstance(operand, Ref) and (wide or place < truths):
                found.add(operand.buffer)
    return found

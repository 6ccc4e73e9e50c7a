"""What a Program means: the verifier and the reference interpreter.

A page of plain Python says what each node does; every pass and the printer are held to it.

>>> from jitgrad.program import Buffer
>>> i = Affine.index("i")
>>> body = Accumulate(Ref("s", ()), Ref("x", (i,)))
>>> program = Program(
...     {"x": Buffer((3,), "input"), "s": Buffer((), "temporary")},
...     (Assign(Ref("s", ()), "copy", (0.0,)), Loop("i", Affine(3), (body,))),
...     Ref("s", ()),
... )
>>> run(verify(program), {"x": [1.0, 2.0, 4.0]}).value
7.0
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jitgrad.elements import computed
from jitgrad.ops import OPS
from jitgrad.program import (
    Accumulate,
    Affine,
    Assign,
    Block,
    Call,
    Loop,
    Operand,
    Product,
    Program,
    Ref,
    bounds,
    reads,
    show_operand,
    storage,
)
from jitgrad.routines import ROUTINES

# --- verifying -----------------------------------------------------------------------------------


def verify(program: Program) -> Program:
    """Check that a Program is well formed and return it.

    Raises
    ------
    AssertionError
        When a buffer is unknown, a position has the wrong number of dimensions or may leave the
        buffer, an index is used outside its loop or bound twice, or an input is written; when
        something is computed in integers, a view or a table is of another type than its storage,
        or the matrices of a product are of different types.
    """
    operand = program.result
    _verify_types(program)
    _verify_block(program, program.body, {})
    if isinstance(operand, Ref):
        _verify_ref(program, operand, {})
    return program


def _verify_types(program: Program) -> None:
    for name, buffer in program.buffers.items():
        owner = program.buffers[storage(program.buffers, name)[0]]
        assert buffer.dtype == owner.dtype, f"{name} views {owner.dtype} as {buffer.dtype}"
        wanted = ("f8", "f4") if owner.kind == "output" else ("f8", "f4", "i8")
        assert buffer.dtype in wanted, f"{name} is an {owner.kind} of {buffer.dtype}"
    for name, table in program.tables.items():
        assert table.dtype == program.buffers[name].dtype, f"{name} holds {table.dtype}"


def _verify_block(program: Program, block: Block, ranges: dict[str, tuple[int, int]]) -> None:
    for node in block:
        if isinstance(node, Loop):
            assert node.index not in ranges, f"{node.index} is bound twice"
            _, high = bounds(node.extent, ranges)
            inner = {**ranges, node.index: (0, max(high - 1, 0))}
            if high > 0:
                _verify_block(program, node.body, inner)
            continue
        if isinstance(node, Product):
            ranges_of_it = {**ranges, **{index: (0, extent - 1) for index, extent in node.loops}}
            for ref in (node.target, node.left, node.right):
                _verify_ref(program, ref, ranges_of_it)
                assert (
                    program.buffers[ref.buffer].dtype == program.buffers[node.target.buffer].dtype
                )
            continue
        owner = program.buffers[storage(program.buffers, node.target.buffer)[0]]
        kind = owner.kind
        if isinstance(node, Call):
            _verify_call(program, node, ranges)
            continue
        assert owner.dtype != "i8", f"{node.target.buffer} holds positions and is computed"
        assert kind in ("output", "temporary"), f"{node.target.buffer} is an {kind} and is written"
        if isinstance(node, Assign):
            assert node.op in OPS and len(node.operands) == OPS[node.op].arity, node.op
        for ref in (node.target, *reads(node)):
            _verify_ref(program, ref, ranges)


def _verify_call(program: Program, node: Call, ranges: dict[str, tuple[int, int]]) -> None:
    """Check that a routine's arrays are whole ones, of the shapes and types that it takes."""
    routine, extents = ROUTINES[node.routine], dict(node.loops)
    shapes = []
    refs = (node.target, *node.operands)
    for ref, rank in zip(refs, (routine.rank, *routine.ranks), strict=True):
        buffer = program.buffers[ref.buffer]
        own = ref.index[len(ref.index) - rank :]
        shape = buffer.shape[len(buffer.shape) - rank :]
        assert ref.index == (*node.outer(ref), *own), f"{show_operand(ref)} is no whole array"
        for position, extent in zip(own, shape, strict=True):
            index = next(iter(position.indices()))
            assert position == Affine.index(index) and extents[index] == extent
        _verify_ref(program, Ref(ref.buffer, ref.index), {**ranges, **_over(node)})
        shapes.append(shape)
    assert shapes[0] == routine.shape(*shapes[1:]), f"{node.routine} of {shapes[1:]}"
    types = [program.buffers[ref.buffer].dtype for ref in refs]
    assert types == [routine.dtype, *("f8" for _ in node.operands)], f"{node.routine} of {types}"


def _over(node: Call) -> dict[str, tuple[int, int]]:
    return {name: (0, max(extent - 1, 0)) for name, extent in node.loops}


def _verify_ref(program: Program, ref: Ref, ranges: dict[str, tuple[int, int]]) -> None:
    shape = program.buffers[ref.buffer].shape
    assert len(shape) == len(ref.index), f"{show_operand(ref)} has not the dimensions of {shape}"
    for position, extent in zip(ref.index, shape, strict=True):
        assert position.indices() <= set(ranges), f"{show_operand(ref)} uses an unbound index"
        low, high = bounds(position, ranges)
        dense = len(position.terms) <= 1 and not position.gathers()
        assert not dense or (low >= 0 and high < extent) or _triangular(position, ranges), (
            f"{show_operand(ref)} leaves {shape}"
        )


def _triangular(position: Affine, ranges: Mapping[str, tuple[int, int]]) -> bool:
    return len(position.indices()) > 0 and len(ranges) > 1


# --- running -------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What a run of a Program leaves: its result and every buffer."""

    value: float
    buffers: dict[str, np.ndarray[Any, Any]]


def run(program: Program, inputs: Mapping[str, Any]) -> Outcome:
    """Execute a Program in plain Python: the definition of what each node means.

    A statement computes in the type of its target: what it reads is converted to that first, except
    where it is looked at as a truth value.

    Parameters
    ----------
    program : Program
    inputs : mapping of str to array_like
        The data of each input buffer.

    Returns
    -------
    Outcome
        The result and the final contents of each buffer.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name, buffer in program.buffers.items():
        if buffer.views is not None:
            size = math.prod(buffer.shape)
            flat = arrays[buffer.views].reshape(-1)
            arrays[name] = flat[buffer.offset : buffer.offset + size].reshape(buffer.shape)
        elif buffer.kind == "input":
            arrays[name] = np.array(inputs[name], dtype=buffer.dtype).reshape(buffer.shape)
        elif buffer.kind == "table":
            arrays[name] = program.tables[name]
        else:
            missing = -1 if buffer.dtype == "i8" else np.nan
            arrays[name] = np.full(buffer.shape, missing, buffer.dtype)
    with np.errstate(all="ignore"):
        _run_block(program.body, arrays, {})
        return Outcome(_load(program.result, arrays, {}), arrays)


def _run_block(block: Block, arrays: dict[str, Any], at: dict[str, int]) -> None:
    for node in block:
        if isinstance(node, Loop):
            extent = _position(node.extent, arrays, at)
            if node.limit is not None:
                extent = min(extent, _position(node.limit, arrays, at))
            steps = range(extent)
            for step in reversed(steps) if node.backward else steps:
                _run_block(node.body, arrays, {**at, node.index: step})
        elif isinstance(node, Product):
            dtype = arrays[node.target.buffer].dtype
            arrays[f"{node.target.buffer}_term"] = np.full((), np.nan, dtype)
            _run_block((node.nest(),), arrays, at)
        elif isinstance(node, Call):
            views = [_array(node, ref, arrays, at) for ref in (node.target, *node.operands)]
            ROUTINES[node.routine].function(*views)
        elif isinstance(node, Accumulate):
            place = _place(node.target, arrays, at)
            target = arrays[node.target.buffer]
            operands = (target[place], _load(node.value, arrays, at))
            target[place] = computed(node.op, operands, target.dtype.str[1:])
        else:
            target = arrays[node.target.buffer]
            values = [_load(operand, arrays, at) for operand in node.operands]
            result = computed(node.op, values, target.dtype.str[1:])
            target[_place(node.target, arrays, at)] = result


def _array(node: Call, ref: Ref, arrays: dict[str, Any], at: dict[str, int]) -> Any:
    """Return one of the arrays of a call."""
    return arrays[ref.buffer][_place(Ref(ref.buffer, node.outer(ref)), arrays, at)]


def _load(operand: Operand, arrays: dict[str, Any], at: dict[str, int]) -> float:
    if not isinstance(operand, Ref):
        return float(operand)
    return float(arrays[operand.buffer][_place(operand, arrays, at)])


def _place(ref: Ref, arrays: dict[str, Any], at: dict[str, int]) -> tuple[int, ...]:
    place = tuple(_position(position, arrays, at) for position in ref.index)
    assert all(step >= 0 for step in place), f"{show_operand(ref)} at {place}"
    return place


def _position(position: Affine, arrays: dict[str, Any], at: dict[str, int]) -> int:
    total = position.constant
    for atom, c in position.terms:
        total += c * (int(_load(atom, arrays, at)) if isinstance(atom, Ref) else at[atom])
    return total

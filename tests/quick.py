"""The reference interpreter, faster: a Program as Python text over flat lists.

It does what `jitgrad.interpreter.run` does, about thirty times as fast on long loops; the fuzz
holds the two to each other. Positions are counted in the whole buffer, so a position that leaves
its axis but not the buffer is for `verify` and the interpreter to see.
"""

import functools
import math

import numpy as np

from jitgrad import ops
from jitgrad.interpreter import Outcome
from jitgrad.ops import OPS
from jitgrad.program import Accumulate, Affine, Assign, Call, Loop, Product, Ref, storage
from jitgrad.routines import ROUTINES
from jitgrad.traced import contiguous

INFIX = {"add": "+", "sub": "-", "mul": "*"}
COMPARED = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def run(program, inputs):
    """Execute a Program: the result and the final contents of each output."""
    program = with_terms(program)
    code = compile(text_of(program), "<program>", "exec")
    namespace = functions(ops_in(program.body))
    exec(code, namespace)
    owners = [n for n, buffer in program.buffers.items() if buffer.views is None]
    storages = {name: filled(name, program, inputs) for name in owners}
    with np.errstate(all="ignore"):
        value = namespace["program"](*storages.values())
    found = {
        name: np.array(storages[name], dtype=float).reshape(buffer.shape)
        for name, buffer in program.buffers.items()
        if buffer.kind == "output" and buffer.views is None
    }
    return Outcome(value, found)


def with_terms(program):
    """Write products as loops."""
    body = tuple(map(spelled, program.body))
    terms = {}
    for node in program.body:
        for name in products_in(node):
            terms[f"{name}_term"] = program.buffers[name]._replace(
                shape=(), kind="temporary", views=None, offset=0
            )
    return program._replace(body=body, buffers={**program.buffers, **terms})


def spelled(node):
    if isinstance(node, Product):
        return node.nest()
    return node._replace(body=tuple(map(spelled, node.body))) if isinstance(node, Loop) else node


def products_in(node):
    if isinstance(node, Product):
        yield node.target.buffer
    for child in node.body if isinstance(node, Loop) else ():
        yield from products_in(child)


def filled(name, program, inputs):
    buffer = program.buffers[name]
    if buffer.kind == "input":
        return np.asarray(inputs[name], dtype=buffer.dtype).ravel().tolist()
    if buffer.kind == "table":
        return np.asarray(program.tables[name]).ravel().tolist()
    return [math.nan] * math.prod(buffer.shape)


# --- text ----------------------------------------------------------------------------------------


def text_of(program):
    owners = [n for n, buffer in program.buffers.items() if buffer.views is None]
    lines = [f"def program({', '.join(f'b_{name}' for name in owners)}):"]
    lines += written(program.body, program.buffers, "    ")
    lines.append(f"    return float({operand(program.result, program.buffers)})")
    return "\n".join(lines) + "\n"


def written(block, buffers, indent):
    lines = []
    for node in block:
        if isinstance(node, Loop):
            extent = position(node.extent, buffers)
            if node.limit is not None:
                extent = f"min({extent}, {position(node.limit, buffers)})"
            steps = f"reversed(range({extent}))" if node.backward else f"range({extent})"
            lines.append(f"{indent}for i_{node.index} in {steps}:")
            lines += written(node.body, buffers, indent + "    ") or [f"{indent}    pass"]
        else:
            lines.append(f"{indent}{statement(node, buffers)}")
    return lines


def statement(node, buffers):
    target = operand(node.target, buffers)
    if isinstance(node, Accumulate):
        return f"{target} = {applied(node.op, (target, operand(node.value, buffers)))}"
    if isinstance(node, Call):
        return called(node, buffers)
    assert isinstance(node, Assign), node
    return f"{target} = {applied(node.op, [operand(part, buffers) for part in node.operands])}"


def called(node, buffers):
    """A routine, on copies of its arrays as NumPy's."""
    routine, extents = ROUTINES[node.routine], dict(node.loops)
    parts = []
    for ref, rank in zip(
        (node.target, *node.operands), (routine.rank, *routine.ranks), strict=True
    ):
        own = ref.index[len(ref.index) - rank :]
        shape = tuple(extents[next(iter(index.indices()))] for index in own)
        zero = ref.substitute({name: Affine() for name in extents})
        owner = storage(buffers, ref.buffer)[0]
        start = operand(zero, buffers).partition("[")[2][:-1]
        parts.append(f"b_{owner}, {start}, {shape}")
    return f"f_routine({node.routine!r}, {', '.join(f'({part})' for part in parts)})"


def routine(name, target, *operands):
    arrays = [
        np.array(whole[at : at + math.prod(shape)]).reshape(shape) for whole, at, shape in operands
    ]
    whole, at, shape = target
    out = np.empty(shape, ROUTINES[name].dtype)
    ROUTINES[name].function(out, *arrays)
    whole[at : at + out.size] = out.ravel().tolist()


def applied(op, parts):
    if op in INFIX:
        return f"{parts[0]} {INFIX[op]} {parts[1]}"
    if op in COMPARED:
        return f"1.0 if {parts[0]} {COMPARED[op]} {parts[1]} else 0.0"
    if op in ("copy", "detach"):
        return parts[0]
    if op == "where":
        return f"{parts[1]} if {parts[0]} else {parts[2]}"
    return f"f_{op}({', '.join(parts)})"


def operand(part, buffers):
    if not isinstance(part, Ref):
        return f"({part!r})" if math.isfinite(part) else f"float('{part}')"
    owner, offset = storage(buffers, part.buffer)
    places = [str(offset)] if offset else []
    steps = contiguous(buffers[part.buffer].shape)
    for at, step in zip(part.index, steps, strict=True):
        places.append(f"{step} * ({position(at, buffers)})")
    return f"b_{owner}[{' + '.join(places) or '0'}]"


def position(affine, buffers):
    parts = [str(affine.constant)] if affine.constant or not affine.terms else []
    for atom, c in affine.terms:
        name = f"int({operand(atom, buffers)})" if isinstance(atom, Ref) else f"i_{atom}"
        parts.append(name if c == 1 else f"{c} * {name}")
    return " + ".join(parts)


# --- functions -----------------------------------------------------------------------------------


def ops_in(block):
    """The ops of all statements, as a key."""
    found = set()
    for node in block:
        if isinstance(node, Loop):
            found |= ops_in(node.body)
        elif not isinstance(node, Call):
            found.add(node.op)
    return frozenset(found)


def functions(names):
    return {"f_routine": routine} | {f"f_{name}": function(name) for name in names}


@functools.cache
def function(name):
    row = OPS[name]
    quick = getattr(ops, "_scalar_function")(name)  # noqa: B009 - what evaluate() calls

    def call(*operands):
        try:
            return float(quick(*operands))
        except ArithmeticError:
            return float(row.evaluate(*map(np.float64, operands)))

    return call

"""Programs written as text, for tests.

>>> program = parsed('''
... x: input(3)
... s: temporary()
... s = 0.0
... for i in range(3):
...     s += x[i]
... return s
... ''')
>>> run(program, {"x": [1.0, 2.0, 4.0]}).value
7.0
"""

import ast
import textwrap

import numpy as np

from jitgrad.interpreter import run, verify
from jitgrad.program import (
    Accumulate,
    Affine,
    Assign,
    Buffer,
    Loop,
    Program,
    Ref,
    show,
)


def parsed(text):
    """The verified Program of a text: declarations, then Python."""
    reader = _Reader()
    body, result = [], 0.0
    for line in ast.parse(textwrap.dedent(text)).body:
        if isinstance(line, ast.AnnAssign):
            reader.declare(line.target.id, line.annotation)
        elif isinstance(line, ast.Return):
            result = reader.operand(line.value)
        else:
            body.append(reader.node(line))
    return verify(Program(reader.buffers, tuple(body), result, reader.tables))


def lines(text):
    """A text without its indentation, as a list."""
    return textwrap.dedent(text).strip().splitlines()


def body_of(program):
    """The body as lines."""
    return show(program.body)


class _Reader:
    def __init__(self):
        self.buffers, self.tables = {}, {}

    def declare(self, name, call):
        more = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
        given = [ast.literal_eval(argument) for argument in call.args]
        if call.func.id == "table":
            self.tables[name] = np.array(given[0])
            given = self.tables[name].shape
        self.buffers[name] = Buffer(tuple(given), call.func.id, **more)

    def node(self, line):
        if isinstance(line, ast.For):
            call = line.iter
            backward = call.func.id == "reversed"
            extent = self.affine((call.args[0] if backward else call).args[0])
            return Loop(line.target.id, extent, tuple(map(self.node, line.body)), backward)
        if isinstance(line, ast.AugAssign):
            return Accumulate(self.operand(line.target), self.operand(line.value))
        target, value = self.operand(line.targets[0]), line.value
        if isinstance(value, ast.Call):
            return Assign(target, value.func.id, tuple(map(self.operand, value.args)))
        return Assign(target, "copy", (self.operand(value),))

    def operand(self, node):
        if isinstance(node, ast.Name) and node.id in self.buffers:
            return Ref(node.id)
        if isinstance(node, ast.Subscript):
            places = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return Ref(node.value.id, tuple(map(self.affine, places)))
        return float(eval(ast.unparse(node), {"inf": np.inf, "nan": np.nan}))

    def affine(self, node):
        match node:
            case ast.Constant():
                return Affine(node.value)
            case ast.Name():
                return Affine.index(node.id)
            case ast.Subscript():
                return Affine(0, ((self.operand(node), 1),))
            case ast.UnaryOp():
                return Affine().plus(self.affine(node.operand), -1)
            case ast.BinOp(op=ast.Mult()):
                return Affine().plus(self.affine(node.right), node.left.value)
        sign = -1 if isinstance(node.op, ast.Sub) else 1
        return self.affine(node.left).plus(self.affine(node.right), sign)


def data(program, seed=0):
    """Small whole numbers for the inputs, so that sums are exact in any order."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(0, 3, buffer.shape)
        if buffer.dtype == "i8"
        else rng.integers(-4, 5, buffer.shape)
        for name, buffer in program.buffers.items()
        if buffer.kind == "input" and buffer.views is None
    }


def outcome(program, inputs):
    """The result and the outputs of a run."""
    found = run(program, inputs)
    outputs = {k: found.buffers[k] for k, b in program.buffers.items() if b.kind == "output"}
    return found.value, outputs


def agree(before, after, inputs=None):
    """Compare the numbers of two Programs; return the second one, verified."""
    verify(after)
    inputs = data(before) if inputs is None else inputs
    (value, outputs), (found, others) = outcome(before, inputs), outcome(after, inputs)
    np.testing.assert_array_equal(found, value)
    for name, output in outputs.items():
        np.testing.assert_array_equal(others[name], output, err_msg=name)
    return after

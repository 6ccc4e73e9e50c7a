"""Print what a statement computes: its operands, in the type that it computes in.

In Numba a bare ``0.5`` is float64, and so is its product with a float32. In a statement that
computes in float32 constants are written ``f4(0.5)``, and what is of the other type is converted.

>>> from jitgrad.program import Affine, Buffer
>>> buffers = {name: Buffer((3,), "temporary", "f4") for name in "xy"}
>>> operands = Operands(buffers, Names(buffers), set(), 0.0, strict=False)
>>> place = (Affine.index("i"),)
>>> value = operands.value(Assign(Ref("y", place), "mul", (0.5, Ref("x", place))))
>>> ast.unparse(value.node)
'f4(0.5) * t1[i]'
"""

from __future__ import annotations

import ast

from jitgrad import vector_math
from jitgrad.expression import (
    Expression,
    Pending,
    build,
    call,
    constant,
    in_single,
    nesting,
    power,
)
from jitgrad.names import Names
from jitgrad.ops import OPS, TRUTHS, library_call
from jitgrad.program import Accumulate, Assign, Buffer, Operand, Ref, gathered, storage


class Operands:
    """Builds the expressions of one kernel.

    Parameters
    ----------
    buffers : dict of str to Buffer
        May grow later.
    names : Names
        Theirs.
    truths : set of str
        The locals that are truth values.
    result : Ref or float
        What the kernel returns.
    strict : bool
        Whether all functions are the system's.

    Attributes
    ----------
    pending : dict of str to Pending
        The locals that have no line of their own so far.
    called : set of str
        The ops that were printed as functions.
    types : set of str
        NumPy's types, by the names that the module gives them.
    simd : bool
        Whether LLVM can make several iterations of the innermost loop at once.
    """

    def __init__(
        self,
        buffers: dict[str, Buffer],
        names: Names,
        truths: set[str],
        result: Operand,
        strict: bool,
    ) -> None:
        self.buffers, self.names, self.truths = buffers, names, truths
        self.result, self.strict = result, strict
        self.pending: dict[str, Pending] = {}
        self.called: set[str] = set()
        self.types: set[str] = set()
        self.simd = False

    def value(self, node: Assign | Accumulate) -> Expression:
        """Return what a statement assigns, or adds."""
        dtype = self.dtype(node)
        if isinstance(node, Accumulate):
            return self._operand(node.value, dtype)
        operands = [self._operand(operand, dtype) for operand in node.operands]
        comparable = node.op in ("eq", "ne") and all(operand.truth for operand in operands)
        truths = 2 if comparable else TRUTHS.get(node.op, 0)
        nodes = [self._truth(operand) for operand in operands[:truths]]
        nodes += [self.typed(operand, dtype) for operand in operands[truths:]]
        built = self._called(node.op, nodes, dtype)
        read = frozenset[str]().union(*(operand.reads for operand in operands))
        return Expression(built, nesting(node.op, operands), OPS[node.op].boolean, read, dtype)

    def dtype(self, node: Assign | Accumulate) -> str:
        """Return what a statement computes in; the kernel returns what it has."""
        name = node.target.buffer
        if name not in self.buffers and isinstance(self.result, Ref):
            name = self.result.buffer
        return "f4" if name in self.buffers and self.buffers[name].dtype == "f4" else "f8"

    def _called(self, op: str, nodes: list[ast.expr], dtype: str) -> ast.expr:
        """Build an op; one number at a time is left to the system's functions."""
        library = library_call(op)
        if op in vector_math.NAMES and library is not None and not self.simd and not self.strict:
            module = "np" if library[0] == "numpy" else library[0]
            return ast.Call(ast.Attribute(ast.Name(module), library[1]), nodes, [])
        if op == "pow" and self.simd and not self.strict:
            return power(*nodes)
        single = dtype == "f4" and (self.strict or op not in vector_math.NAMES)
        if single and library is not None and library[0] == "special":  # computed in float64
            self.called.add(op)
            return self._cast(build(op, [self._cast(node, "f8") for node in nodes]), "f4")
        name = in_single(op) if single else op
        self.called.add(name)
        return build(op, nodes) if name == op else call(name, *nodes)

    def _operand(self, operand: Operand, dtype: str) -> Expression:
        """Return what a statement that computes in ``dtype`` reads; floats are as they are."""
        if not isinstance(operand, Ref):
            return Expression(self._constant(operand, dtype), dtype=dtype)
        if operand.buffer in self.pending:
            return self.pending[operand.buffer].expression
        node, own = self.names.element(operand), self.buffers[operand.buffer].dtype
        if own == "i8":
            node, own = self._cast(node, dtype) if dtype == "f4" else call("float", node), dtype
        read = frozenset(self._root(ref) for ref in (operand, *gathered(operand)))
        return Expression(node, 0, operand.buffer in self.truths, read, own)

    def _constant(self, value: float, dtype: str) -> ast.expr:
        self.types.update(("f4",) if dtype == "f4" else ())
        return constant(value, dtype)

    def _cast(self, node: ast.expr, dtype: str) -> ast.expr:
        self.types.add(dtype)
        return call(dtype, node)

    def typed(self, value: Expression, dtype: str) -> ast.expr:
        """Return a number of a type: Numba converts no bool by `float`, NumPy subtracts none."""
        if value.truth:
            self.called.add("where")
            ends = (self._constant(1.0, dtype), self._constant(0.0, dtype))
            return call("where", value.node, *ends)
        return value.node if value.dtype == dtype else self._cast(value.node, dtype)

    def _truth(self, value: Expression) -> ast.expr:
        if value.truth:
            return value.node
        return ast.Compare(value.node, [ast.NotEq()], [self._constant(0.0, value.dtype)])

    def _root(self, ref: Ref) -> str:
        return storage(self.buffers, ref.buffer)[0]

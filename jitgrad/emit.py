"""Print Python: the text of a kernel, one name per value.

Expressions are built as `ast` nodes and printed by `ast.unparse`, so that precedence is Python's
own. A local that is read once goes into the expression that reads it, as far as the line stays
readable. What the kernel calls beside NumPy and math is printed above it as small functions: Numba
takes a time quadratic in the number of ternaries of one function (900 in 75 s, 3.5 s as calls).

>>> from jitgrad.program import Assign, Buffer
>>> buffers = {name: Buffer((), "input") for name in "abc"}
>>> buffers |= {name: Buffer((), "temporary") for name in "tr"}
>>> body = (
...     Assign(Ref("t"), "sub", (Ref("a"), Ref("b"))),
...     Assign(Ref("r"), "div", (Ref("t"), Ref("c"))),
... )
>>> print(emit(Program(buffers, body, Ref("r")), name="ratio", arguments="abc").text)
def ratio(a, b, c):
    \"\"\"Return the value.\"\"\"
    return (a - b) / c
<BLANKLINE>
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jitgrad import vector_math
from jitgrad.expression import (
    DOT,
    SINGLE,
    SUM,
    Expression,
    Pending,
    call,
    docstring,
    functions,
    helper,
    imports,
    is_helper,
    signature,
    summary,
    table,
    width,
    without_sign,
)
from jitgrad.layout import WIDTH
from jitgrad.local_uses import Uses, hands_on
from jitgrad.names import (
    Names,
    depth,
    find_once,
    goes_along,
    load_once,
    name_indices,
    natural_start,
    shift,
    written,
)
from jitgrad.operands import Operands
from jitgrad.program import (
    Accumulate,
    Affine,
    Assign,
    Block,
    Buffer,
    Call,
    Loop,
    Product,
    Program,
    Ref,
    reads,
    statements_of,
    storage,
)
from jitgrad.strips import by_first_rows

COMFORT = 88  # an expression that makes a line longer is split
NESTING = 5  # and so is one that is deeper
LOOSE = "temporary", ""  # the kind and the label of a buffer that nobody named


class Source(NamedTuple):
    """A generated module.

    Parameters
    ----------
    text : str
        Plain Python.
    name : str
        The kernel's name.
    helpers : tuple of str
        The other functions in it, each calling only earlier ones.
    strict : bool
        Whether sums keep their order; otherwise they are made by the helper ``add_up``.
    parameters : tuple of str
        What the kernel calls its arguments.
    """

    text: str
    name: str
    helpers: tuple[str, ...]
    strict: bool
    parameters: tuple[str, ...]


def emit(
    program: Program, *, name: str, arguments: Sequence[str], strict: bool = False, header: str = ""
) -> Source:
    """Print a Program as a Python module.

    Parameters
    ----------
    program : Program
    name : str
        The kernel's name.
    arguments : sequence of str
        The input and output buffers, in the order of the kernel's parameters. Arrays are
        C-contiguous; an input of shape ``()`` is a float, an output of shape ``()`` an array.
    strict : bool
        Add in the order of the Program.
    header : str
        The module's docstring.

    Returns
    -------
    Source
    """
    nodes = list(statements_of(program.body))
    ops = {node.op for node in nodes if isinstance(node, Assign | Accumulate)}
    routines = {node.routine for node in nodes if isinstance(node, Call)}
    library = () if strict else vector_math.NAMES
    taken = {name, "where", vector_math.POWER, *functions(ops, library), *routines}
    if any(isinstance(node, Product) for node in nodes):
        taken.add(DOT)
    if any(buffer.dtype == "f4" for buffer in program.buffers.values()):
        taken |= {"f4", "f8", *(found + SINGLE for found in taken)}
    printer = _Printer(program, taken, strict)
    kernel = printer.kernel(name, arguments)
    tables = "\n".join(printer.tables())
    called = functions(printer.operands.called, library)
    own = [op for op in called if is_helper(op.removesuffix(SINGLE)) and op not in library]
    helpers = [*own, *({SUM} & printer.operands.called)]
    types = printer.operands.types | {"f4" for op in own if op.endswith(SINGLE)}
    libraries = imports(called, f"{tables}\n{kernel}", sorted(types), library, routines)
    top = [docstring(header), libraries, tables]
    parts = ["\n\n".join(filter(None, top)), *map(helper, helpers), kernel]
    text = "\n\n\n".join(filter(None, parts)) + "\n"
    return Source(text, name, tuple(helpers), strict, tuple(map(printer.names.of, arguments)))


class _Scope(NamedTuple):
    """The innermost loop: what tells a sum over it from other accumulations."""

    over: str
    assigned: frozenset[Ref]
    read: frozenset[str]


class _Printer:
    """Prints one kernel."""

    def __init__(self, program: Program, taken: set[str], strict: bool) -> None:
        self.program, self.strict = program, strict
        self.buffers = dict(program.buffers)
        for node in statements_of(program.body):
            described = self.buffers[node.target.buffer]
            if isinstance(node, Accumulate) and (described.kind, described.label) == LOOSE:
                self.buffers[node.target.buffer] = described._replace(label="total")
        self.names = Names(self.buffers, taken)
        self.indices = self.names.indices(max(2, depth(program.body)))
        self.body = name_indices(by_first_rows(program.body), self.indices)
        uses = Uses(self.body, program.result)
        self.copies = {name for name in uses.copies() if self.names.is_variable(name)}
        self.inlined = {name for name, node in uses.read_once().items() if self._melts(name, node)}
        self.readers: dict[str, list[str]] = {}
        truths = {name for name in uses.truths() if self.names.is_variable(name)}
        self.operands = Operands(self.buffers, self.names, truths, program.result, strict)
        self.lines: list[str] = []
        self.indent = "    "
        self.place: tuple[str, int] | None = None

    def _melts(self, name: str, node: Assign) -> bool:
        """Whether a local may go into the expression that reads it: not if the user named it."""
        label = self.buffers[name].label
        named = node.site >= 0 and label and self.program.sites[node.site][2] == label
        return self.names.is_variable(name) and (node.op == "copy" or not named)

    def kernel(self, name: str, arguments: Sequence[str]) -> str:
        """Return the kernel's text."""
        parameters = [self.names.of(argument) for argument in arguments]
        outputs = [
            self.names.of(argument)
            for argument in arguments
            if self.buffers[argument].kind == "output"
        ]
        if self.body:
            self._block(self.body, None)
        result = Assign(Ref("the result"), "copy", (self.program.result,))
        _, text = self._fit(result, lambda value: f"return {self._print(result, value)}")
        self._line(text)
        head = signature(name, parameters)
        lines = [f'    """{summary(outputs)}"""', *self._arrays(), *self.lines]
        return "\n".join([head, *lines])

    def _arrays(self) -> list[str]:
        """Make the arrays and views that the body uses."""
        chosen = self.names.chosen()
        used = {*chosen, *(storage(self.buffers, buffer)[0] for buffer in chosen)}
        lines = []
        for key, buffer in self.buffers.items():
            if key not in used or self.names.is_variable(key):
                continue
            if buffer.views is not None and buffer.shape:
                lines.extend(self._view(key, buffer))
            elif buffer.views is None and buffer.kind == "temporary":
                shape = buffer.shape if len(buffer.shape) != 1 else buffer.shape[0]
                lines.append(f"    {self.names.of(key)} = {self._empty(shape, buffer.dtype)}")
        return lines

    def _empty(self, shape: object, dtype: str) -> str:
        if dtype == "f8":
            return f"np.empty({shape})"
        self.operands.types.add(dtype)
        return f"np.empty({shape}, {dtype})"

    def tables(self) -> list[str]:
        """Return the definitions of the constants that the kernel uses."""
        used = [
            key
            for key in self.names.chosen()
            if self.buffers[key].kind == "table" and self.buffers[key].views is None
        ]
        self.operands.types.update(self.buffers[key].dtype for key in used if self._is_single(key))
        return [table(self.names.of(key), self.program.tables[key], WIDTH) for key in used]

    def _is_single(self, buffer: str) -> bool:
        return self.buffers[buffer].dtype == "f4"

    def _view(self, key: str, buffer: Buffer) -> list[str]:
        """Make a view; a matrix that is only read is copied.

        LLVM knows the extents of an array that is made here, but not those of a reshaped one: the
        step of micrograd's demo takes 35 us with the copy and 40 us without.
        """
        name, view = self.names.of(key), self.names.view(key)
        base, offset = storage(self.buffers, key)
        flat = len(self.buffers[base].shape) == 1
        if buffer.kind != "input" or len(buffer.shape) != 2 or not flat:
            return [f"    {name} = {view}"]
        rows, columns = buffer.shape
        i, j = self.indices[:2]
        start = f"{offset} + " if offset else ""
        return [
            f"    {name} = {self._empty(buffer.shape, buffer.dtype)}",
            f"    for {i} in range({rows}):",
            f"        for {j} in range({columns}):",
            f"            {name}[{i}, {j}] = {self.names.of(base)}[{start}{columns}*{i} + {j}]",
        ]

    def _block(self, block: Block, scope: _Scope | None) -> None:
        found = find_once(block, self.buffers, self.names.of)
        for node in load_once(found, self.buffers, self.names.of):
            if isinstance(node, Loop):
                self._loop(node)
            elif isinstance(node, Product):
                self._product(node)
            elif isinstance(node, Call):
                self._call(node)
            else:
                self._statement(node, scope)
        if not block:
            self._line("pass")

    def _loop(self, loop: Loop) -> None:
        for name in sorted(written(loop.body, self.buffers)):
            self._flush_readers(name)
        start = natural_start(loop) if loop.limit is None and loop.step == 1 else Affine()
        body = shift(loop, start)
        self._comment(next((node.site for node in statements_of(body) if node.site >= 0), -1))
        self._line(f"for {loop.index} in {self._range(loop, start)}:")
        outside = self.indent, self.operands.simd
        self.indent += "    "
        nested = any(isinstance(node, Loop) for node in body)
        self.operands.simd = not nested and not hands_on(body, loop.index)
        self._block(body, self._scope(loop.index, body))
        self.indent, self.operands.simd = outside

    def _product(self, node: Product) -> None:
        """Print a call of BLAS: Numba passes on the transpose of a contiguous matrix as it is."""
        (i, _), (j, _), _ = node.loops
        target, left, right = node.target, node.left, node.right
        if target.index[-2] != Affine.index(i):  # the transpose of the product
            left, right = right, left
            i, j = j, i
        names = self.names
        matrices = names.matrix(left, -2, i), names.matrix(right, -1, j), names.matrix(target)
        self._comment(node.site)
        self._line(f"{DOT}({', '.join(matrices)})")

    def _call(self, node: Call) -> None:
        """Print a call of a routine."""
        arrays = [self.names.array(ref, node.outer(ref)) for ref in (node.target, *node.operands)]
        self._comment(node.site)
        self._line(f"{node.routine}({', '.join(arrays)})")

    def _range(self, loop: Loop, start: Affine) -> str:
        if loop.limit is not None:
            limit = ast.unparse(self.names.position(loop.limit))
            extent = f"min({loop.extent.constant}, {limit})"
            return f"range({extent} - 1, -1, -1)" if loop.backward else f"range({extent})"
        if loop.step > 1:
            return f"range(0, {loop.extent.constant}, {loop.step})"
        low, high = start, loop.extent.plus(start)
        if low == Affine() and not loop.backward and (array := goes_along(loop, self.buffers)):
            return f"range({self.names.of(array[0])}.shape[{array[1]}])"
        ends = [low, high] if low != Affine() else [high]
        if loop.backward:
            ends = [high.plus(-1), low.plus(-1), Affine(-1)]
        return f"range({', '.join(ast.unparse(self.names.position(end)) for end in ends)})"

    def _scope(self, index: str, body: Block) -> _Scope:
        nodes = list(statements_of(body))
        assigned = frozenset(node.target for node in nodes if isinstance(node, Assign))
        read = frozenset(self._root(ref) for node in nodes for ref in reads(node))
        return _Scope(index, assigned, read)

    def _statement(self, node: Assign | Accumulate, scope: _Scope | None) -> None:
        name = node.target.buffer
        if isinstance(node, Assign) and self.buffers[name].dtype == "i8":
            self._position(node)
            return
        if isinstance(node, Assign) and name in self.inlined:
            value, _ = self._fit(node, lambda value: f"{name} = {ast.unparse(value.node)}")
            self._wait(node, value)
            return
        if isinstance(node, Assign) and name in self.copies and (source := self._loaded(node)):
            self.names.share(name, source.buffer)
            return
        _, text = self._fit(node, lambda value: self._text(node, value, scope))
        self._flush_readers(self._root(node.target))
        self._comment(node.site)
        self._line(text)

    def _loaded(self, node: Assign) -> Ref | None:
        """Return the local that `load_once` made which this copies, if it copies one as it is."""
        (source,) = node.operands
        if not isinstance(source, Ref) or source.buffer in self.program.buffers:
            return None
        same = self.buffers[source.buffer].dtype == self.buffers[node.target.buffer].dtype
        return source if same else None

    def _position(self, node: Assign) -> None:
        """Print a local that `find_once` made."""
        (source,) = node.operands
        assert isinstance(source, Ref)
        self._comment(node.site)
        self._line(
            f"{self.names.of(node.target.buffer)} = {ast.unparse(self.names.element(source))}"
        )

    def _wait(self, node: Assign, value: Expression) -> None:
        """Keep an assignment until it is read, or until something that it reads is overwritten."""
        name = node.target.buffer
        self.operands.pending[name] = Pending(node, value, width(ast.unparse(value.node)))
        for read in value.reads:
            self.readers.setdefault(read, []).append(name)

    def _flush_readers(self, root: str) -> None:
        for name in self.readers.pop(root, ()):
            if name in self.operands.pending:
                self._flush(name)

    def _flush(self, name: str) -> None:
        waiting = self.operands.pending.pop(name)
        self._comment(waiting.node.site)
        self._line(self._text(waiting.node, waiting.expression, None))

    def _fit(
        self, node: Assign | Accumulate, render: Callable[[Expression], str]
    ) -> tuple[Expression, str]:
        """Put as much as is readable into one line."""
        operands = node.operands if isinstance(node, Assign) else (node.value,)
        names = [operand.buffer for operand in operands if isinstance(operand, Ref)]
        while True:
            value = self.operands.value(node)
            text = render(value)
            inside = [name for name in names if name in self.operands.pending]
            fits = len(self.indent) + width(text) <= COMFORT and value.nesting <= NESTING
            if fits or not inside:
                break
            self._flush(max(inside, key=lambda name: self.operands.pending[name].width))
        for name in inside:
            del self.operands.pending[name]
        return value, text

    def _text(self, node: Assign | Accumulate, value: Expression, scope: _Scope | None) -> str:
        target = ast.unparse(self.names.element(node.target))
        if isinstance(node, Assign):
            as_is = node.target.buffer in self.operands.truths
            return f"{target} = {ast.unparse(value.node) if as_is else self._print(node, value)}"
        term = self.operands.typed(value, self.operands.dtype(node))
        if node.op != "add":
            self.operands.called.add(node.op)
            return f"{target} = {ast.unparse(call(node.op, ast.Name(target), term))}"
        if scope is not None and self._is_sum(node.target, scope):
            self.operands.called.add(SUM)
            return f"{target} = {ast.unparse(call(SUM, ast.Name(target), term))}"
        if (opposite := without_sign(term)) is not None:
            return f"{target} -= {ast.unparse(opposite)}"
        return f"{target} += {ast.unparse(term)}"

    def _print(self, node: Assign | Accumulate, value: Expression) -> str:
        return ast.unparse(self.operands.typed(value, self.operands.dtype(node)))

    def _is_sum(self, target: Ref, scope: _Scope) -> bool:
        """Whether a loop only ever adds to a target, so that no order of its terms is special."""
        varies = target.gathers() or scope.over in target.indices() or target in scope.assigned
        return not (self.strict or varies or self._root(target) in scope.read)

    def _root(self, ref: Ref) -> str:
        return storage(self.buffers, ref.buffer)[0]

    def _comment(self, site: int) -> None:
        """Say where in the user's code the next line comes from, where that changes."""
        if site < 0 or self.program.sites[site][:2] == self.place:
            return
        file, line, _ = self.program.sites[site]
        self.place = file, line
        self._line(f"# {os.path.basename(file)}:{line}")

    def _line(self, text: str) -> None:
        self.lines.append(self.indent + text)

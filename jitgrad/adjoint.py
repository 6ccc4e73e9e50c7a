"""From a Program to the Program of its gradient.

Statements are mirrored: in reverse order, loops backwards. ``t = op(x, y)`` becomes
``x_bar += (partial of op) * t_bar`` for each active operand, ``t += v`` becomes ``v_bar += t_bar``
(Griewank and Walther, *Evaluating Derivatives*, 2008, section 3.2). The result is a Program of the
same kinds of nodes in which every read still sees a final value, so the pass applies to its own
result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jitgrad.masked import masked, needs_guard
from jitgrad.ops import ARGUMENTS, OPS, rewrite
from jitgrad.program import (
    Accumulate,
    Affine,
    Assign,
    Block,
    Buffer,
    Call,
    Loop,
    Node,
    Operand,
    Program,
    Ref,
    bounds,
    nest,
    operands_of,
    storage,
    walk,
)
from jitgrad.routines import ROUTINES
from jitgrad.splice import splice


def gradient(program: Program, wrt: Sequence[str]) -> Program:
    """Return the Program of the value and its gradient.

    Parameters
    ----------
    program : Program
        A Program in which every read sees the final value of an element.
    wrt : sequence of str
        The input buffers to differentiate with respect to.

    Returns
    -------
    Program
        The same result, with one more output buffer ``grad_<name>`` for each name of ``wrt``.
    """
    return _Adjoint(program, wrt).program()


class _Scope(NamedTuple):
    """The loops around a node of the forward Program."""

    loops: tuple[Loop, ...] = ()

    def ranges(self) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for loop in self.loops:
            found[loop.index] = (0, max(bounds(loop.extent, found)[1] - 1, 0))
        return found


class _Adjoint:
    def __init__(self, program: Program, wrt: Sequence[str]) -> None:
        self.source = program
        self.wrt = tuple(wrt)
        self.buffers = dict(program.buffers)
        self.tables = dict(program.tables)
        self.active = _active(program, wrt)
        self.masked = masked(program, self.active)
        self.fresh = 0
        self.order = _free_order(program, wrt)
        for name in program.buffers:
            if self._root(name) in self.active:
                self._declare(name)
        self.fills = self._fill_places()

    def program(self) -> Program:
        seed: list[Node] = []
        result = self.source.result
        if isinstance(result, Ref) and self._root(result.buffer) in self.active:
            seed = [Accumulate(self._bar(result), 1.0)]
        fills = self.fills.pop((), [])
        reverse = self._reverse(self.source.body, _Scope())
        outputs = [_fill(self.buffers[bar], bar, {}) for bar in map(self._bar_name, self.wrt)]
        body = (*self.source.body, *outputs, *fills, *seed, *reverse)
        return self.source._replace(buffers=self.buffers, body=body, tables=self.tables)

    # --- cotangents ------------------------------------------------------------------------------

    def _root(self, name: str) -> str:
        return storage(self.source.buffers, name)[0]

    def _bar_name(self, name: str) -> str:
        return _bar_name(name, name in self.wrt, self.order)

    def _bar(self, ref: Ref) -> Ref:
        back = {index: self._back(index) for index in ref.indices()}
        return Ref(self._bar_name(ref.buffer), ref.substitute(back).index)

    def _declare(self, name: str) -> None:
        buffer = self.source.buffers[name]
        kind = "output" if name in self.wrt else "temporary"
        views = self._bar_name(buffer.views) if buffer.views else None
        label = (
            f"grad_{buffer.label or name}"
            if self._root(name) in self.wrt
            else f"{buffer.label}_bar"
            if buffer.label
            else ""
        )
        self.buffers[self._bar_name(name)] = buffer._replace(kind=kind, views=views, label=label)

    # --- zero before the first accumulation ------------------------------------------------------

    def _fill_places(self) -> dict[tuple[str, ...], list[Node]]:
        """For each scope the fills of the cotangents that live inside it."""
        seen: dict[str, list[tuple[tuple[str, ...], Ref]]] = {}
        split: set[str] = set()
        for scope, ref in _refs(self.source.body, ()):
            root = self._root(ref.buffer)
            if root in self.active and root not in self.wrt:
                seen.setdefault(root, []).append((scope, ref))
                split |= {root} if ref.buffer != root else set()
        if isinstance(self.source.result, Ref):
            seen.setdefault(self._root(self.source.result.buffer), []).append(
                ((), self.source.result)
            )
        places: dict[tuple[str, ...], list[Node]] = {}
        for root, uses in seen.items():
            if root in self.wrt or root not in self.active:
                continue
            scope, pinned = ((), {}) if root in split else _common_scope(uses)
            back = {axis: self._back(index) for axis, index in pinned.items()}
            fill = _fill(self.buffers[self._bar_name(root)], self._bar_name(root), back)
            places.setdefault(scope, []).append(fill)
        return places

    # --- mirroring -------------------------------------------------------------------------------

    def _reverse(self, block: Block, scope: _Scope) -> Block:
        nodes: list[Node] = []
        for node in reversed(block):
            if isinstance(node, Loop):
                inner = _Scope((*scope.loops, node))
                path = tuple(loop.index for loop in inner.loops)
                body = (*self.fills.get(path, ()), *self._reverse(node.body, inner))
                if body:
                    extent = node.extent.substitute(self._renaming(scope))
                    index = self._back(node.index).terms[0][0]
                    nodes.append(Loop(index, extent, body, not node.backward))
            elif self._root(node.target.buffer) in self.active:
                mirror = self._mirror_call if isinstance(node, Call) else self._mirror
                nodes.extend(mirror(node, scope))
        return tuple(nodes)

    def _mirror(self, node: Assign | Accumulate, scope: _Scope) -> list[Node]:
        g = self._bar(node.target)
        nodes: list[Node] = []
        if isinstance(node, Accumulate):
            assert node.op == "add", "the derivative of an extreme flows through `attach`"
            self._receive(node.value, g, node.site, nodes)
            return nodes
        back = self._renaming(scope)
        operands = [x.substitute(back) if isinstance(x, Ref) else x for x in node.operands]
        environment: dict[str, Any] = dict(zip(ARGUMENTS, operands, strict=False))
        environment |= {"g": g, "out": node.target.substitute(back)}

        dtype = self.source.buffers[node.target.buffer].dtype

        def apply(op: str, arguments: tuple[Any, ...]) -> Ref:
            target = self._temporary(scope, dtype)
            nodes.append(Assign(target, op, arguments, node.site))
            return target

        received: dict[Operand, Any] = {}
        guarded = self._root(node.target.buffer) in self.masked
        for argument, operand in enumerate(node.operands):
            if not self._is_active(operand):
                continue
            partial = OPS[node.op].partial(argument, self._place(node.site))
            if partial is not None:
                part = rewrite(partial, environment, apply)
                if guarded and needs_guard(node.op, argument, node.operands):
                    part = apply("where", (apply("eq", (g, 0.0)), 0.0, part))
                earlier = received.get(operand)
                received[operand] = part if earlier is None else apply("add", (earlier, part))
        for operand, part in received.items():
            self._receive(operand, part, node.site, nodes)
        return nodes

    def _mirror_call(self, node: Call, scope: _Scope) -> list[Node]:
        """Put in what each active operand of a routine receives."""
        back = self._renaming(scope)
        bar = Ref(self._bar_name(node.target.buffer), node.target.index)
        given = (bar, node.target, *node.operands)
        arrays = tuple(ref.substitute(back) for ref in given)
        ranges = scope.ranges()
        around = [(_back_name(name, self.order), high + 1) for name, (_, high) in ranges.items()]
        outer = tuple(Affine.index(name) for name, _ in around)
        nodes: list[Node] = []
        for argument in ROUTINES[node.routine].active:
            operand = node.operands[argument]
            if not self._is_active(operand):
                continue
            prefix = self._fresh_prefix()
            found = splice(node, argument, arrays, self.buffers, around, prefix)
            self.buffers |= found.buffers
            self.tables |= found.tables
            own = [(loop.index, loop.extent.constant) for loop in node.around(operand)]
            moved = {name: Affine.index(f"{prefix}to_{name}") for name, _ in own}
            place = operand.substitute({**back, **moved}).index
            received = Ref(found.result, (*outer, *moved.values()))
            add = Accumulate(Ref(self._bar_name(operand.buffer), place), received, node.site)
            loops = [(f"{prefix}to_{name}", extent) for name, extent in own]
            nodes += [*found.body, nest(loops, add)]
        return nodes

    def _fresh_prefix(self) -> str:
        while any(name.startswith(f"c{self.fresh}_") for name in self.buffers):
            self.fresh += 1
        return f"c{self.fresh}_"

    def _receive(self, operand: Operand, value: Any, site: int, nodes: list[Node]) -> None:
        if self._is_active(operand):
            assert isinstance(operand, Ref)
            nodes.append(Accumulate(self._bar(operand), value, site))

    def _place(self, site: int) -> str:
        """Return the file and the line of the user's code behind a statement."""
        return "{}:{}".format(*self.source.sites[site]) if site >= 0 else "<unknown>"

    def _is_active(self, operand: Operand) -> bool:
        return isinstance(operand, Ref) and self._root(operand.buffer) in self.active

    def _temporary(self, scope: _Scope, dtype: str) -> Ref:
        """A buffer with one element for each iteration of the loops around."""
        while f"p{self.fresh}" in self.buffers:
            self.fresh += 1
        name = f"p{self.fresh}"
        ranges = scope.ranges()
        shape = tuple(ranges[loop.index][1] + 1 for loop in scope.loops)
        self.buffers[name] = Buffer(shape, "temporary", dtype)
        return Ref(name, tuple(self._back(loop.index) for loop in scope.loops))

    def _back(self, index: str) -> Affine:
        """The index of the mirrored loop."""
        return Affine.index(_back_name(index, self.order))

    def _renaming(self, scope: _Scope) -> dict[str, Affine]:
        return {loop.index: self._back(loop.index) for loop in scope.loops}


def _mark(order: int) -> str:
    """Tell the cotangents of a second application from those of the first."""
    return "" if order == 1 else str(order)


def _bar_name(name: str, wanted: bool, order: int) -> str:
    return f"grad{_mark(order)}_{name}" if wanted else f"{name}_bar{_mark(order)}"


def _back_name(index: str, order: int) -> str:
    return f"{index}b{_mark(order)}"


def _free_order(program: Program, wrt: Sequence[str]) -> int:
    """Return the first order whose names an earlier application has not left in the Program."""
    indices = {node.index for node in walk(program.body) if isinstance(node, Loop)}
    taken = indices | program.buffers.keys()
    order = 1
    while any(_bar_name(name, name in wrt, order) in taken for name in program.buffers) or any(
        _back_name(index, order) in taken for index in indices
    ):
        order += 1
    return order


def _refs(block: Block, scope: tuple[str, ...]) -> Any:
    """Yield each written and each read element with the loops around it."""
    for node in block:
        if isinstance(node, Loop):
            yield from _refs(node.body, (*scope, node.index))
            continue
        for ref in (node.target, *operands_of(node)):
            if isinstance(ref, Ref):
                yield scope, ref


def _common_scope(
    uses: list[tuple[tuple[str, ...], Ref]],
) -> tuple[tuple[str, ...], dict[int, str]]:
    """Return the innermost loops that all uses share and by which one dimension is indexed."""
    scope = uses[0][0]
    for other, _ in uses:
        shared = 0
        while shared < min(len(scope), len(other)) and scope[shared] == other[shared]:
            shared += 1
        scope = scope[:shared]
    pinned: dict[int, str] = {}
    for depth, index in enumerate(scope):
        plain = Affine.index(index)
        axes = [
            axis
            for axis in range(len(uses[0][1].index))
            if axis not in pinned and all(ref.index[axis] == plain for _, ref in uses)
        ]
        if not axes:
            return scope[:depth], pinned
        pinned[axes[0]] = index
    return scope, pinned


def _fill(buffer: Buffer, name: str, pinned: dict[int, Affine]) -> Node:
    """Set a buffer, or the part of it at pinned positions, to zero."""
    index = tuple(
        pinned.get(axis, Affine.index(f"z{axis}_{name}")) for axis in range(len(buffer.shape))
    )
    node: Node = Assign(Ref(name, index), "copy", (0.0,))
    for axis in range(len(buffer.shape) - 1, -1, -1):
        if axis not in pinned:
            node = Loop(f"z{axis}_{name}", Affine(buffer.shape[axis]), (node,))
    return node


def _active(program: Program, wrt: Sequence[str]) -> set[str]:
    """Return the buffers through which the result depends on the inputs ``wrt``."""

    def root(name: str) -> str:
        return storage(program.buffers, name)[0]

    edges: list[tuple[str, str]] = []
    for node in walk(program.body):
        if isinstance(node, Accumulate) and node.op == "add" and isinstance(node.value, Ref):
            edges.append((root(node.value.buffer), root(node.target.buffer)))
        elif isinstance(node, Call):
            for argument in ROUTINES[node.routine].active:
                edges.append((root(node.operands[argument].buffer), root(node.target.buffer)))
        elif isinstance(node, Assign):
            for operand, partial in zip(node.operands, OPS[node.op].partials, strict=True):
                if isinstance(operand, Ref) and partial is not None:
                    edges.append((root(operand.buffer), root(node.target.buffer)))
    result = {root(program.result.buffer)} if isinstance(program.result, Ref) else set()
    forward = _closure(set(map(root, wrt)), edges)
    return forward & _closure(result, [(b, a) for a, b in edges]) | set(wrt)


def _closure(start: set[str], edges: list[tuple[str, str]]) -> set[str]:
    following: dict[str, list[str]] = {}
    for a, b in edges:
        following.setdefault(a, []).append(b)
    found, queue = set(start), list(start)
    while queue:
        for name in following.get(queue.pop(), ()):
            if name not in found:
                found.add(name)
                queue.append(name)
    return found

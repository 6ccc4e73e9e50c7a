"""From tape to Program.

The rolled tape gives loops and statements; `resolve` says where each operand lies. Here every
statement gets a buffer with the shape of the loops around it, an array instruction becomes a loop
nest of its own, a chain of additions becomes an `Accumulate`, and carried values get their first
elements before their loop. Where an operand does not fit, the loop is split and it starts again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgrad.chains import RunningSum, running_sums
from jitgrad.define import renamed
from jitgrad.elements import stored
from jitgrad.leaf import Ints, Leaf, Picks, Place, Spans
from jitgrad.picked import picked
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
    nest,
    substitute,
)
from jitgrad.resolve import Carried, Element, Fitted, Resolver
from jitgrad.roll import Instances, Item, Repeat, Statement, instances
from jitgrad.routines import ROUTINES
from jitgrad.split import Misfit, MisfitError, in_vain, kinds_of, split
from jitgrad.symbols import REDUCTIONS, SCAN, Symbol
from jitgrad.tape import Tape
from jitgrad.tape_columns import Columns, captured_order, input_names
from jitgrad.traced import CONSTANT, SHIFT, Shape, Traced, contiguous


def lower(tape: Tape, tree: tuple[Item, ...], cols: Columns, outputs: Sequence[Traced]) -> Program:
    """Lower a rolled tape.

    Parameters
    ----------
    tape : Tape
        The recorded instructions.
    tree : tuple of Item
        Its loops.
    cols : Columns
        Its columns.
    outputs : sequence of Traced
        The values that are wanted: the loss first, then auxiliary outputs.

    Returns
    -------
    Program
        The forward Program: it returns the loss and writes each auxiliary output to the output
        buffer ``aux0``, ``aux1``, ...
    """
    while True:
        try:
            return _Lowering(tape, tree, cols).program(outputs)
        except MisfitError as error:
            tree = split(tree, error.misfits)


class _Lowering:
    def __init__(self, tape: Tape, tree: tuple[Item, ...], cols: Columns) -> None:
        self.tape = tape
        self.tree = tree
        self.cols = cols
        self.names = input_names(cols.inputs)
        self.leaves = [
            _leaf(number, found, tape.table, cols) for number, found in enumerate(instances(tree))
        ]
        shapes = [(name, given.shape) for name, given in zip(self.names, cols.inputs, strict=True)]
        self.resolver = Resolver(self.leaves, cols.constants, shapes)
        self.fitted: dict[tuple[int, int], Fitted] = {}
        self.sums: list[tuple[RunningSum, Ints, Shape, Place]] = []
        self.picked: dict[str, Affine] = {}  # how many positions each gather may read at
        self.buffers: dict[str, Buffer] = {}
        self.used: dict[tuple[str, int, str], int] = {}

    def program(self, outputs: Sequence[Traced]) -> Program:
        """Assemble the Program."""
        resolve = self.resolver.resolve
        self._reductions(outputs)
        self._fit_leaves()
        started = [
            (total, self._fit(total.owner, codes, place, resolve(codes, strides, place)))
            for total, codes, strides, place in self.sums
        ]
        results = [self._output(output) for output in outputs]
        if misfits := in_vain(self.tree, self._spans()):
            raise MisfitError(misfits)
        self._declare(outputs)
        starts: dict[str, list[Node]] = {}
        for number, carried in enumerate(self.resolver.carried):
            starts.setdefault(carried.loop, []).append(self._start(carried, number))
        for total, source in started:
            loop = total.owner.loops[total.kept]
            starts.setdefault(loop, []).append(self._first(total, source))
        body = self._block(self.tree, (), iter(self.leaves), starts, [0])
        tail = [
            self._store(number, found, output)
            for number, (found, output) in enumerate(zip(results[1:], outputs[1:], strict=True))
        ]
        result = self._operand(results[0])
        if isinstance(result, Ref) and result.gathers():
            dtype = stored(outputs[0].kind)
            self.buffers["picked"] = Buffer((), "temporary", dtype)
            tail.append(Assign(Ref("picked"), "copy", (result,)))
            result = Ref("picked")
        sites = tuple(sorted(self.used, key=lambda place: self.used[place]))
        return Program(self.buffers, (*body, *tail), result, self.resolver.tables, sites)

    # --- running sums ----------------------------------------------------------------------------

    def _reductions(self, outputs: Sequence[Traced]) -> None:
        """Find the additions that only continue their own previous result."""
        count = len(self.cols.symbols)
        made = self.cols.operands[self.cols.operands >= 0] >> SHIFT
        readers = np.bincount(made, minlength=count)
        for output in outputs:
            if output.code >= 0:
                readers[output.code >> SHIFT] += 1
        for total in running_sums(self.leaves, readers):
            first, slot = total.links[0]
            place = first.place(slot).outer(total.kept, total.starts)
            codes = first.codes[slot][total.starts]
            if self.resolver.precede(codes, first.loops[total.kept], place.positions):
                self.sums.append((total, codes, contiguous(first.symbol.shape), place))
                for leaf, link in total.links:
                    leaf.owner, leaf.link, leaf.reduced = total.owner, link, total.kept

    def _fit_leaves(self) -> None:
        """Fit all operands; report at once what does not fit, for each outermost loop the first."""
        misfits: dict[str, Misfit] = {}
        for leaf in self.leaves:
            if misfits.keys().isdisjoint(leaf.loops[:1]):
                try:
                    self._fit_leaf(leaf)
                except MisfitError as error:
                    misfits[leaf.loops[0]] = error.misfits[0]
        if misfits:
            raise MisfitError(tuple(misfits.values()))

    def _fit_leaf(self, leaf: Leaf) -> None:
        for slot, strides in enumerate(leaf.symbol.strides):
            if slot == leaf.link:
                continue
            codes, place = leaf.codes[slot], leaf.place(slot)
            if leaf.symbol.op == "gather" and slot == 0:
                found = self.resolver.resolve_picked(codes, strides, place, self._picks(leaf))
            else:
                found = self.resolver.resolve(codes, strides, place)
            self.fitted[leaf.number, slot] = self._fit(leaf, codes, place, found)

    def _fit(self, leaf: Leaf, codes: Ints, place: Place, found: Fitted | None) -> Fitted:
        """Return what was found for an operand.

        Raises
        ------
        MisfitError
            If it is nothing.
        """
        if found is None:
            kinds = kinds_of(codes, self.resolver.leaf_of, CONSTANT, SHIFT)
            raise MisfitError((Misfit(leaf.loops, kinds, place.indices),))
        return found

    def _picks(self, leaf: Leaf) -> Picks | None:
        """The positions that a gather may read at; None where iterations differ in them."""
        first, *others = self._counts(leaf)
        if others:
            return None
        picks = Picks(f"d{leaf.number}_picked", first, leaf.symbol.axes[0])
        self.picked[picks.name] = Affine(picks.extent)
        return picks

    def _counts(self, leaf: Leaf) -> set[int]:
        """How many different positions the index arrays of a gather may hold."""
        found = set()
        for number in np.unique(~(leaf.codes[1] >> SHIFT)).tolist():
            data = self.cols.inputs[number].data if number >= 0 else None
            if data is None:
                found.add(min(self.tape.indexed[number]))  # checked when the kernel runs
            else:
                found.add(int(data.max(initial=0)) + 1)
        return found

    def _spans(self) -> list[Spans]:
        """The iterations that read what is stored before a loop."""
        sums = [((total.owner.loops[total.kept], 0, 1),) for total, *_ in self.sums]
        return sums + [((one.loop, one.step, 1), *one.spans) for one in self.resolver.carried]

    # --- buffers and references ------------------------------------------------------------------

    def _declare(self, outputs: Sequence[Traced]) -> None:
        for name, given in zip(self.names, self.cols.inputs, strict=True):
            kind = "table" if given.data is not None else "input"
            self.buffers[name] = Buffer(given.shape, kind, given.dtype, label=given.name)
            if given.data is not None:
                self.resolver.tables[name] = given.data
        for name in sorted(self.resolver.flat_inputs):
            self.buffers[f"{name}_flat"] = self.buffers[name]._replace(
                shape=(math.prod(self.buffers[name].shape),),
                kind="input",
                views=name,
                label=f"{self.buffers[name].label}_flat",
            )
        for number, output in enumerate(outputs[1:]):
            name, dtype = f"aux{number}", stored(output.kind)
            self.buffers[name] = Buffer(output.dims, "output", dtype, label=name)
        for name, table in self.resolver.tables.items():
            if name not in self.buffers:
                label = "positions" if table.dtype.kind == "i" else "constants"
                self.buffers[name] = Buffer(table.shape, "table", table.dtype.str[1:], label=label)
        for leaf in self.leaves:
            if leaf.symbol.op != "put" and leaf.owner is leaf:
                label = self.tape.place(leaf.site)[2]
                self.buffers[f"v{leaf.number}"] = Buffer(
                    (*leaf.room, *leaf.result_dims), "temporary", leaf.symbol.dtype, label=label
                )

    def _flattened(self, leaf: Leaf) -> str:
        """Declare a view of a statement's results in which each one is a vector."""
        name = f"v{leaf.number}"
        shape = (*leaf.room, math.prod(leaf.result_dims))
        self.buffers[f"{name}_flat"] = self.buffers[name]._replace(shape=shape, views=name)
        return f"{name}_flat"

    def _operand(self, fitted: Fitted) -> Operand:
        if isinstance(fitted, Element):
            leaf = fitted.leaf
            outer = tuple(p.plus(s) for p, s in zip(fitted.outer, leaf.shifts, strict=False))
            name = self._flattened(leaf) if fitted.flat else f"v{leaf.number}"
            return Ref(name, (*outer, *fitted.inner))
        return fitted if isinstance(fitted, Ref) else float(fitted)

    def _target(self, leaf: Leaf) -> Ref:
        """Where a statement writes."""
        if leaf.symbol.op == "put":
            target = self._operand(self.fitted[leaf.number, 0])
            assert isinstance(target, Ref)
            return target
        outer = tuple(
            Affine(shift, ((loop, 1),))
            for loop, shift in zip(leaf.loops[: leaf.depth], leaf.owner.shifts, strict=False)
        )
        kept = [
            d
            for d in range(len(leaf.inner))
            if leaf.symbol.op not in REDUCTIONS or d not in leaf.symbol.axes
        ]
        own = [leaf.inner[d] for d in kept] + [*(leaf.core(0) if leaf.symbol.cores else ())]
        return Ref(f"v{leaf.owner.number}", (*outer, *map(Affine.index, own)))

    # --- nodes -----------------------------------------------------------------------------------

    def _block(
        self,
        tree: Sequence[Item],
        path: tuple[str, ...],
        leaves: Any,
        starts: dict[str, list[Node]],
        count: list[int],
    ) -> Block:
        nodes: list[Node] = []
        for item in tree:
            if isinstance(item, Statement):
                nodes.extend(self._statement(next(leaves)))
                continue
            name = f"r{count[0]}"
            count[0] += 1
            extent = Affine.of(item.extent[0], dict(zip(path, item.extent[1:], strict=True)))
            body = self._block(item.body, (*path, name), leaves, starts, count)
            nodes.extend(starts.get(name, ()))
            nodes.append(Loop(name, extent, body))
        return tuple(nodes)

    def _statement(self, leaf: Leaf) -> list[Node]:
        op, target, site = (
            leaf.symbol.op,
            self._target(leaf) if leaf.symbol.op != "alloc" else Ref(""),
            self._site(leaf),
        )
        if op == "alloc":
            return []
        every = list(zip(leaf.inner, leaf.symbol.shape, strict=True))
        if op in REDUCTIONS:
            step_op, start = REDUCTIONS[op]
            kept = [pair for d, pair in enumerate(every) if d not in leaf.symbol.axes]
            added = [pair for d, pair in enumerate(every) if d in leaf.symbol.axes]
            value = self._operand(self.fitted[leaf.number, 0])
            step = nest(added, Accumulate(target, value, site, step_op))
            return [nest(kept, Assign(target, "copy", (start,), site), step)]
        if leaf.reduced is not None:
            return [nest(every, *self._add(leaf, target, site))]
        if op == "gather":
            return [nest(every, Assign(target, "copy", (self._picked(leaf),), site))]
        operands = [
            self._operand(self.fitted[leaf.number, slot]) for slot in range(len(leaf.codes))
        ]
        if op == "put":
            return [nest(every, Assign(target, "copy", (operands[1],), site))]
        if op in ROUTINES:
            return [nest(every, self._call(leaf, target, operands, site))]
        if op.startswith(SCAN):
            return _scan(every, leaf.symbol.axes[0], Assign(target, op, tuple(operands), site))
        return [nest(every, Assign(target, op, tuple(operands), site))]

    def _call(self, leaf: Leaf, target: Ref, operands: list[Operand], site: int) -> Call:
        """A routine; the indices over its arrays are its own."""
        loops: list[tuple[str, int]] = []
        arrays = []
        for number, ref in enumerate((target, *operands)):
            own, shape = leaf.core(number), leaf.symbol.cores[number]
            whole = tuple(map(Affine.index, own))
            assert isinstance(ref, Ref)
            outer, core = ref.index[: len(ref.index) - len(own)], ref.index[-len(own) :]
            moving = zip(core, whole, shape, strict=True)
            assert 0 in shape or all(place == index or n == 1 for place, index, n in moving)
            arrays.append(Ref(ref.buffer, (*outer, *whole)))
            loops += zip(own, shape, strict=True)
        return Call(arrays[0], leaf.symbol.op, tuple(arrays[1:]), tuple(loops), site)

    def _add(self, leaf: Leaf, target: Ref, site: int) -> list[Node]:
        """One step of a running sum."""
        assert leaf.link is not None
        value = self._operand(self.fitted[leaf.number, 1 - leaf.link])
        if leaf.symbol.op == "add":
            return [Accumulate(target, value, site)]
        name = f"v{leaf.number}_minus"
        dims = zip(
            (*leaf.loops, *leaf.inner), (*_box(leaf.indices), *leaf.symbol.shape), strict=True
        )
        names, extents = zip(*dims, strict=True)
        self.buffers[name] = Buffer(tuple(extents), "temporary", leaf.symbol.dtype)
        minus = Ref(name, tuple(Affine.index(index) for index in names))
        return [Assign(minus, "neg", (value,), site), Accumulate(target, minus, site)]

    def _picked(self, leaf: Leaf) -> Ref:
        source, index = (self._operand(self.fitted[leaf.number, slot]) for slot in range(2))
        assert isinstance(source, Ref) and isinstance(index, Ref)
        largest = max(self._counts(leaf)) - 1
        return picked(self.buffers, source, index, leaf.symbol.axes[0], largest, leaf.place(0))

    def _start(self, carried: Carried, number: int) -> Node:
        target = self._operand(carried.target)
        assert isinstance(target, Ref)
        node: Node = Assign(target, "copy", (self._operand(carried.source),), -1)
        extents = self._extents()
        for name, low, count in reversed(carried.spans):
            if count is None:
                extent = extents[name].substitute({carried.loop: Affine(carried.step)})
                node = Loop(name, extent, (node,))
            elif count == 1:
                node = substitute(node, {name: Affine(low)})
            else:
                moved = substitute(node, {name: Affine(low, ((name, 1),))})
                node = Loop(name, Affine(count), (moved,))
        return renamed(node, f"_{target.buffer}_{number}")

    def _extents(self) -> dict[str, Affine]:
        """The extent of each loop, those of array instructions included."""
        found: dict[str, Affine] = {}

        def visit(tree: Sequence[Item], path: tuple[str, ...]) -> None:
            for item in tree:
                if isinstance(item, Repeat):
                    name = f"r{len(found)}"
                    steps = dict(zip(path, item.extent[1:], strict=True))
                    found[name] = Affine.of(item.extent[0], steps)
                    visit(item.body, (*path, name))

        visit(self.tree, ())
        found |= self.picked
        for leaf in self.leaves:
            found |= zip(leaf.inner, map(Affine, leaf.symbol.shape), strict=True)
            for number, core in enumerate(leaf.symbol.cores):
                found |= zip(leaf.core(number), map(Affine, core), strict=True)
        return found

    def _first(self, total: RunningSum, source: Fitted) -> Node:
        """What a running sum starts from."""
        leaf = total.links[0].leaf
        assign = Assign(self._target(leaf), "copy", (self._operand(source),), self._site(leaf))
        return renamed(
            nest(list(zip(leaf.inner, leaf.symbol.shape, strict=True)), assign), "_start"
        )

    def _output(self, output: Traced) -> Fitted:
        inner = tuple(f"o{axis}" for axis in range(len(output.dims)))
        end = np.array([len(self.cols.symbols)])
        place = Place((), np.zeros((1, 0), dtype=np.int64), end, inner, output.dims)
        rank = captured_order(self.tape)
        code = output.code
        if code >> SHIFT == -1:
            code = (-1 << SHIFT) + int(np.argmax(rank == code & ((1 << SHIFT) - 1)))
        found = self.resolver.resolve(np.array([code], dtype=np.int64), output.strides, place)
        assert found is not None
        return found

    def _store(self, number: int, found: Fitted, output: Traced) -> Node:
        inner = [(f"o{axis}", extent) for axis, extent in enumerate(output.dims)]
        target = Ref(f"aux{number}", tuple(Affine.index(name) for name, _ in inner))
        return renamed(
            nest(inner, Assign(target, "copy", (self._operand(found),), -1)), f"_{number}"
        )

    def _site(self, leaf: Leaf) -> int:
        return self.used.setdefault(self.tape.place(leaf.site), len(self.used))


def _scan(dims: list[tuple[str, int]], axis: int, step: Assign) -> list[Node]:
    """The loops of a scan: the first element is copied, each other one made from the one before."""
    name, extent = dims[axis]
    if not extent:
        return []
    first = substitute(step._replace(op="copy"), {name: Affine(0)})
    following = substitute(step, {name: Affine(1, ((name, 1),))})
    assert isinstance(following, Assign)
    operands = (step.target, *following.operands)
    rest = following._replace(op=step.op.removeprefix(SCAN), operands=operands)
    others = [pair for d, pair in enumerate(dims) if d != axis]
    every = [*dims[:axis], (name, extent - 1), *dims[axis + 1 :]]
    return [renamed(nest(others, first), "_first"), nest(every, rest)]


def _leaf(number: int, found: Instances, table: list[Symbol], cols: Columns) -> Leaf:
    symbol = table[found.symbol]
    slots = 2 if symbol.op == "gather" else len(symbol.strides)
    codes = [cols.operands[found.positions, slot] for slot in range(slots)]
    loops = tuple(f"r{repeat}" for repeat in found.path)
    site = int(cols.sites[found.positions[0]])
    return Leaf(number, symbol, loops, found.positions, found.indices, codes, site)


def _box(indices: Ints) -> Shape:
    return tuple(int(n) + 1 for n in indices.max(axis=0))

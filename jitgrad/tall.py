"""Program to Program: products of many short rows stay in loops, the rows in the fast index.

A thousand points of ten coordinates times a 10 x 10 matrix is a product that BLAS is bad at: it
packs more than it multiplies. Where such points are temporaries, they are laid out with the points
in the fast index, one row of memory for each coordinate; inputs that are gone over again and again
are copied so. The products become loops over the points, which fuse with the arithmetic around
them; `tile` then turns these inside out. (The layout is known as structure of arrays.)
"""

from __future__ import annotations

from typing import NamedTuple

from jitgrad.define import executions, renamed, written
from jitgrad.depend import ranges_of
from jitgrad.program import (
    Accumulate,
    Affine,
    Assign,
    Block,
    Buffer,
    Call,
    Loop,
    Node,
    Product,
    Program,
    Ref,
    Statement,
    map_refs,
    nest,
    refs_of,
    walk,
)
from jitgrad.sizes import counted

LONG = 64  # rows that make a product tall
NARROW = 16  # the most columns of its matrices
AGAIN = 4  # so often each row of an input has to be used to be worth a copy


def tall(program: Program) -> Program:
    """Lay the rows of tall products out by columns, and write the products as loops."""
    chosen = [node for node in walk(program.body) if isinstance(node, Product) and _long(node)]
    while chosen:
        layout = _layout(program, chosen)
        kept = [product for product in chosen if layout.suits(product)]
        if len(kept) == len(chosen):
            return layout.applied()
        chosen = kept
    return program


def _long(product: Product) -> str:
    """Return the one long index of a product whose other two are short, or nothing."""
    found = [name for name, extent in product.loops if counted(extent) >= LONG]
    short = [name for name, extent in product.loops if counted(extent) <= NARROW]
    return found[0] if len(found) == 1 and len(short) == 2 else ""


class _Layout(NamedTuple):
    """Which arrays of short rows are turned: temporaries as they are made, inputs by a copy."""

    program: Program
    products: list[Product]
    temporaries: set[str]
    inputs: set[str]

    def rows(self, node: Statement) -> set[tuple[Affine, ...]]:
        """Return the pairs of positions of rows and columns that a statement turns."""
        if isinstance(node, Product) and node in self.products:
            long = Affine.index(_long(node))
            return {ref.index[-2:] for ref in refs_of(node) if ref.index[-2] == long}
        return {ref.index[-2:] for ref in refs_of(node) if ref.buffer in self.temporaries}

    def suits(self, product: Product) -> bool:
        """Whether a product's long matrices have the long index last, or will have."""
        rows = self.rows(product)
        return all(
            ref.index[-2:] not in rows or ref.buffer in self.temporaries | self.inputs
            for ref in refs_of(product)
        )

    def applied(self) -> Program:
        """Return the program with the arrays turned and the loops over them in the new order."""
        buffers = dict(self.program.buffers)
        for name in self.temporaries:
            buffers[name] = _turned(buffers[name])
        for name in sorted(self.inputs):
            label = f"{buffers[name].label or name}_columns"
            copy = _turned(buffers[name])._replace(kind="temporary", label=label)
            buffers[f"{name}_columns"] = copy
        copies = [_copy(name, self.program.buffers[name]) for name in sorted(self.inputs)]
        body = (*copies, *self._block(self.program.body, buffers, ()))
        return self.program._replace(buffers=buffers, body=body)

    def _block(self, block: Block, buffers: dict[str, Buffer], around: tuple[Loop, ...]) -> Block:
        nodes: list[Node] = []
        for node in block:
            if isinstance(node, Loop):
                inner = self._block(node.body, buffers, (*around, node))
                nodes.append(node._replace(body=inner))
                continue
            changed = self._changed(node)
            if isinstance(changed, Product) and node in self.products:
                nodes.extend(_loops(changed, buffers, around))
            else:
                nodes.append(changed)
        return tuple(nodes)

    def _changed(self, node: Statement) -> Node:
        rows = self.rows(node)

        def change(ref: Ref) -> Ref:
            if ref.buffer in self.temporaries:
                return Ref(ref.buffer, (*ref.index[:-2], ref.index[-1], ref.index[-2]))
            if ref.buffer in self.inputs and ref.index[-2:] in rows:
                return Ref(f"{ref.buffer}_columns", (ref.index[-1], ref.index[-2]))
            return ref

        return map_refs(node, change)


def _layout(program: Program, chosen: list[Product]) -> _Layout:
    """Find what has to be turned for some products: their matrices, and what stands with these."""
    layout = _Layout(program, chosen, set(), set())
    calls = [node for node in walk(program.body) if isinstance(node, Call)]
    whole = {ref.buffer for node in calls for ref in refs_of(node)}  # a routine takes them as laid
    able = {name for name in program.buffers if _has_short_rows(program, name)} - whole
    every = written(program.body)
    grows = True
    while grows:
        before = len(layout.temporaries)
        for node, _ in every:
            rows = layout.rows(node)
            named = {ref.buffer for ref in refs_of(node) if ref.index[-2:] in rows} & able
            layout.temporaries.update(n for n in named if program.buffers[n].kind == "temporary")
        grows = len(layout.temporaries) > before
    uses: dict[str, int] = {}
    for node, loops in every:
        rows = layout.rows(node)
        for ref in set(refs_of(node)[1:]):
            if ref.buffer in able and ref.index[-2:] in rows:
                moving = {loop.index for loop in loops} - ref.indices()
                count = executions(tuple(loop for loop in loops if loop.index in moving))
                uses[ref.buffer] = uses.get(ref.buffer, 0) + count
    layout.inputs.update(
        name
        for name, count in uses.items()
        if program.buffers[name].kind == "input" and count >= AGAIN
    )
    return layout


def _has_short_rows(program: Program, name: str) -> bool:
    buffer = program.buffers[name]
    viewed = buffer.views is not None or any(b.views == name for b in program.buffers.values())
    if viewed or buffer.dtype == "i8" or len(buffer.shape) < 2:
        return False
    *outer, rows, columns = buffer.shape
    given = buffer.kind == "input" and not outer
    long, narrow = counted(rows) >= LONG, counted(columns) <= NARROW
    return long and narrow and (given or buffer.kind == "temporary")


def _turned(buffer: Buffer) -> Buffer:
    *outer, rows, columns = buffer.shape
    return buffer._replace(shape=(*outer, columns, rows))


def _copy(name: str, given: Buffer) -> Node:
    """Return the loops that copy an input; detached, or its readers would read the input itself."""
    row, column = f"{name}_row", f"{name}_column"
    place = (Affine.index(row), Affine.index(column))
    step = Assign(Ref(f"{name}_columns", place[::-1]), "detach", (Ref(name, place),))
    rows, columns = given.shape
    return nest([(row, rows), (column, columns)], step)


def _loops(product: Product, buffers: dict[str, Buffer], around: tuple[Loop, ...]) -> Block:
    """Write a product as loops, the rows outermost: there they fuse with what is around them."""
    extents = dict(product.loops)
    terms = product.loops[2][0]
    places = product.target.index[-2:]
    target = [name for position in places for name in extents if position == Affine.index(name)]
    target.sort(key=lambda name: name != _long(product))
    ranges = ranges_of(around).values()
    outer = [(loop.index, high + 1) for loop, (_, high) in zip(around, ranges, strict=True)]
    inner = sorted((*target, terms), key=lambda name: name == _long(product))
    axes = [*outer, *((name, extents[name]) for name in inner)]
    at = tuple(Affine.index(name) for name, _ in axes)
    dtype = buffers[product.target.buffer].dtype
    factor = Ref(f"{product.target.buffer}_terms{len(buffers)}", at)
    buffers[factor.buffer] = Buffer(tuple(extent for _, extent in axes), "temporary", dtype)
    start = Assign(product.target, "copy", (0.0,), product.site)
    multiply = Assign(factor, "mul", (product.left, product.right), product.site)
    step = (multiply, Accumulate(product.target, factor, product.site))
    around_target = [(name, extents[name]) for name in target]
    if terms == _long(product):
        rows = (terms, extents[terms])
        fill = renamed(nest(around_target, start), "_fill")
        made: Block = (fill, nest([rows, *around_target], *step))
    else:
        made = (nest(around_target, start, Loop(terms, Affine(extents[terms]), step)),)
    # Names of its own: whoever compares loops by their indices must not take two products for one.
    return tuple(renamed(node, f"_{len(buffers)}") for node in made)

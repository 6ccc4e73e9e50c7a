"""Program to Program: large matrix products go to BLAS.

A sum of products over three loops, two of which index each of the three matrices, is a matrix
product however it came about: written as ``A @ B``, as three Python loops, or as the adjoint of
either. It leaves its loop nest and becomes one `Product`. From about 1,700 multiply-adds on BLAS
takes less time than the best loop (0.7 us against 0.9 us for 12 x 12 x 12, 14 against 32 for
64 x 64 x 64, on a machine with AVX2); smaller products stay loops, which fuse with what is around
them. A transposed operand is passed as it lies. The BLAS is SciPy's: without it all products are
loops.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import NamedTuple

from jitgrad import blas
from jitgrad.define import Definitions, definitions, instance, written
from jitgrad.depend import ranges_of, touched
from jitgrad.program import (
    Accumulate,
    Affine,
    Assign,
    Block,
    Buffer,
    Loop,
    Node,
    Product,
    Program,
    Ref,
    nest,
    storage,
)
from jitgrad.sizes import counted

SMALLEST = 2048  # multiply-adds of a product that is worth a call
NARROWEST = 4  # and the least extent of its matrices


def products(program: Program) -> Program:
    """Turn the loop nests of large matrix products into calls."""
    while blas.AVAILABLE:
        found = next(_found(program), None)
        if found is None:
            break
        program = _extracted(program, found)
    return program


class _Found(NamedTuple):
    """A sum that is a matrix product, and the loop that it moves in front of, or behind."""

    node: Accumulate
    loop: str
    after: bool  # where the loop makes what it multiplies
    product: Product
    fill: Assign | None  # the only other statement that writes the target
    inside: str  # the loop over the terms, if the nest gives the target the value it starts from
    around: tuple[Loop, ...]


def _found(program: Program) -> Iterator[_Found]:
    known = definitions(program)
    every = written(program.body)
    for node, loops in every:
        if isinstance(node, Accumulate) and node.op == "add" and len(loops) >= 3:
            found = _product(program, known, node, loops)
            if found is not None:
                yield found


def _product(
    program: Program, known: Definitions, node: Accumulate, loops: tuple[Loop, ...]
) -> _Found | None:
    factors = _factors(known, node)
    if factors is None:
        return None
    left, right = factors
    inner = {loop.index: loop for loop in loops[-3:]}
    summed = [index for index in inner if index not in node.target.indices()]
    if len(summed) != 1 or any(loop.extent.terms for loop in inner.values()):
        return None
    k = summed[0]
    row, column = map(_index, node.target.index[-2:]) if len(node.target.index) > 1 else ("", "")
    if {row, column, k} != set(inner):
        return None
    if row not in left.indices():
        left, right = right, left
    extents = {index: loop.extent.constant for index, loop in inner.items()}
    shapes = ((node.target, (row, column)), (left, (row, k)), (right, (k, column)))
    if not all(_is_matrix(program, ref, pair, extents) for ref, pair in shapes):
        return None
    read = (node.target, left, right, node.value)
    if len({program.buffers[x.buffer].dtype for x in read if isinstance(x, Ref)}) > 1:
        return None
    if _is_small(extents.values()):
        return None
    fill = _only_fill(program, node)
    after = _happens(program, (left, right), loops[-3], "write", "add")
    if after and _happens(program, (node.target,), loops[-3], "read"):
        return None
    starts = fill is None and not after and _happens(program, (node.target,), loops[-3], "write")
    if starts and loops[-1].index != k:
        return None
    # Names of its own: whoever compares loops by their indices must not take it for the old nest.
    own = {name: f"{name}_{node.target.buffer}" for name in (row, column, k)}
    moved = {name: Affine.index(other) for name, other in own.items()}
    product = Product(
        node.target.substitute(moved),
        left.substitute(moved),
        right.substitute(moved),
        tuple((own[name], extents[name]) for name in (row, column, k)),
        node.site,
    )
    inside = loops[-1].index if starts else ""
    return _Found(node, loops[-3].index, after, product, fill, inside, loops[:-3])


def _is_small(extents: Collection[int]) -> bool:
    weighed = [counted(extent) for extent in extents]
    return math.prod(weighed) < SMALLEST or min(weighed) < NARROWEST


def too_small(
    program: Program, known: Definitions, node: Accumulate, loops: tuple[Loop, ...]
) -> str:
    """Say why a sum of products over three loops stays in loops; nothing where it does not."""
    factors = _factors(known, node)
    extents = [loop.extent.constant for loop in loops[-3:]]
    if factors is None or any(loop.extent.terms for loop in loops[-3:]):
        return ""
    used = [ref.indices() & {loop.index for loop in loops[-3:]} for ref in (node.target, *factors)]
    if any(len(indices) != 2 for indices in used) or not _is_small(extents):
        return ""
    shown = " x ".join(map(str, extents))
    return (
        f"{shown}: a call is worth it from {SMALLEST} multiply-adds and extents of {NARROWEST} on"
    )


def _factors(known: Definitions, node: Accumulate) -> tuple[Ref, Ref] | None:
    """Return the two elements whose products are added up."""
    if not isinstance(node.value, Ref) or node.value.buffer not in known:
        return None
    made = instance(known[node.value.buffer], node.value)
    if made is None or made[0] != "mul":
        return None
    left, right = made[1]
    return (left, right) if isinstance(left, Ref) and isinstance(right, Ref) else None


def _index(position: Affine) -> str:
    """The loop index that a position is, or nothing."""
    atom = position.terms[0][0] if len(position.terms) == 1 else None
    return atom if isinstance(atom, str) and position == Affine.index(atom) else ""


def _is_matrix(program: Program, ref: Ref, pair: tuple[str, str], extents: dict[str, int]) -> bool:
    """Whether the last two positions are the two indices, in either order, over all of a matrix."""
    buffer = program.buffers[ref.buffer]
    if len(ref.index) < 2 or buffer.dtype not in ("f8", "f4"):
        return False
    last = [_index(position) for position in ref.index[-2:]]
    whole = buffer.shape[-2:] == tuple(extents.get(name, -1) for name in last)
    outer = set().union(*(position.indices() for position in ref.index[:-2])) & set(extents)
    return sorted(last) == sorted(pair) and whole and not outer and not ref.gathers()


def _happens(program: Program, refs: tuple[Ref, ...], nest: Loop, *kinds: str) -> bool:
    """Whether a nest uses the storage of some elements in one of these ways."""
    found = touched(nest, program.buffers)
    roots = {storage(program.buffers, ref.buffer)[0] for ref in refs}
    return any(use.kind in kinds for root in roots for use in found.get(root, ()))


def _only_fill(program: Program, node: Accumulate) -> Assign | None:
    """Return the fill with zero, if the target has no other writers and no outer sum."""
    root = storage(program.buffers, node.target.buffer)[0]
    writers = [
        (other, loops)
        for other, loops in written(program.body)
        if storage(program.buffers, other.target.buffer)[0] == root
    ]
    if len(writers) != 2 or root != node.target.buffer:
        return None
    (fill, around), (_, loops) = writers
    zero = isinstance(fill, Assign) and fill.op == "copy" and fill.operands == (0.0,)
    summed = {loop.index for loop in loops} - node.target.indices()
    if not zero or len(summed) != 1 or {loop.index for loop in around} - fill.target.indices():
        return None
    if not _covers(program.buffers[root], node.target, loops, fill.target, around):
        return None
    return fill if isinstance(fill, Assign) else None


def _covers(
    buffer: Buffer,
    target: Ref,
    loops: tuple[Loop, ...],
    filled: Ref,
    around: tuple[Loop, ...],
) -> bool:
    """Whether the products make all matrices that the fill fills, one for each outer iteration."""
    own = {loop.index: loop.extent for loop in loops}
    shared = own.keys() & {loop.index for loop in around}
    if target.index[:-2] == filled.index[:-2] and target.indices() & shared == set().union(
        *(position.indices() for position in target.index[:-2])
    ):
        return True
    outer = [_index(position) for position in target.index[:-2]]
    whole = all(
        own.get(name) == Affine(extent) for name, extent in zip(outer, buffer.shape, strict=False)
    )
    return whole and len(set(outer)) == len(outer)


def _extracted(program: Program, found: _Found) -> Program:
    """Put the product in front of its nest, or behind it, and take the sum out of it."""
    buffers = dict(program.buffers)
    made: tuple[Node, ...] = (found.product,)
    added: Node | None = None
    gone: set[int] = {id(found.node)}
    if found.fill is not None:
        gone.add(id(found.fill))
    else:
        product, added = _added(buffers, found)
        made = (product,) if found.inside else (product, added)

    def visit(block: Block) -> Block:
        nodes: list[Node] = []
        for node in block:
            if isinstance(node, Loop):
                nodes.extend((added,) if added and node.index == found.inside else ())
                here = made if node.index == found.loop else ()
                body = visit(node.body)
                rest = (node._replace(body=body),) if body else ()
                nodes.extend((*rest, *here) if found.after else (*here, *rest))
            elif id(node) not in gone:
                nodes.append(node)
        return tuple(nodes)

    return program._replace(buffers=buffers, body=visit(program.body))


def _added(buffers: dict[str, Buffer], found: _Found) -> tuple[Product, Node]:
    """Make the product in a matrix of its own and add that to the target, in loops or in place."""
    product, target = found.product, found.product.target
    name = f"product{len(buffers)}"
    (row, rows), (column, columns), _ = product.loops
    extents = {row: rows, column: columns}
    whole = buffers[target.buffer]
    indices = [_index(position) for position in target.index[-2:]]
    # One matrix for each iteration around, so that a copy of it may be read from it later.
    outer = ranges_of(found.around)
    shape = (*(high + 1 for _, high in outer.values()), *map(extents.__getitem__, indices))
    buffers[name] = Buffer(shape, "temporary", whole.dtype)
    own = tuple(map(Affine.index, outer))
    element = Ref(name, (*own, *target.index[-2:]))
    into = product._replace(target=element)
    if found.inside:
        target = found.node.target
        return into, Accumulate(target, Ref(name, (*own, *target.index[-2:])), product.site)
    fresh = {index: Affine.index(f"{index}_{name}") for index in indices}
    added = Accumulate(target.substitute(fresh), element.substitute(fresh), product.site)
    return into, nest([(f"{index}_{name}", extents[index]) for index in indices], added)

"""The pipeline: what happens to a Program before the adjoint, and between it and the printer.

Each pass maps a Program to a Program that computes the same; the reference interpreter holds them
to it. Up to `contract` every read sees the final value of an element.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from jitgrad.carry import carry
from jitgrad.columns import columns
from jitgrad.contract import contract
from jitgrad.fuse import fuse, sink_fills
from jitgrad.hoist import hoist
from jitgrad.interchange import interchange
from jitgrad.invariant import lift_invariants
from jitgrad.jam import jam
from jitgrad.late import gather_late
from jitgrad.products import products
from jitgrad.program import Program
from jitgrad.promote import promote
from jitgrad.regular import regular
from jitgrad.rematerialise import rematerialise
from jitgrad.rounding import rounding
from jitgrad.simplify import plain, prepare, simplify
from jitgrad.strip import strip
from jitgrad.sums import gather_sums
from jitgrad.tall import tall
from jitgrad.tile import tile
from jitgrad.unroll import unroll

Pass: TypeAlias = Callable[[Program], Program]

FORWARD: tuple[Pass, ...] = (prepare, gather_late)
"""Before the adjoint."""

STRICT_FORWARD: tuple[Pass, ...] = (prepare,)

PASSES: tuple[Pass, ...] = (
    plain,
    simplify,
    rounding,
    lift_invariants,
    unroll,
    products,
    tall,
    simplify,
    fuse,
    interchange,
    fuse,
    rematerialise,
    simplify,
    fuse,
    sink_fills,
    fuse,
    tile,
    strip,
    jam,
    contract,
    regular,
    columns,
    promote,
    gather_sums,
    carry,
    hoist,
)


def fuse_in_order(program: Program) -> Program:
    """Fuse loops where the additions to each element keep their order."""
    return fuse(program, strict=True)


STRICT_PASSES: tuple[Pass, ...] = tuple(
    fuse_in_order if step is fuse else step
    for step in PASSES
    if step not in (rounding, products, tall, tile, jam, interchange, gather_sums)
)
"""The same for ``strict=True``: sums are added up in the order in which they were written."""

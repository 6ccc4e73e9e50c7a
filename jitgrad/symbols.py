"""The words of a tape: what an instruction does, and what a kernel reads.

>>> SCALAR_SYMBOLS[SCALAR["f4"]["add"]][:3]
('add', (), ((), ()))
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from jitgrad.ops import OPS
from jitgrad.traced import SCALAR, Shape

Array = np.ndarray[Any, Any]


class Symbol(NamedTuple):
    """What an instruction does: the op, its result's shape, and how each operand is laid over it.

    ``strides`` holds for each operand the stride of each dimension of the loop nest, which has
    the extents ``shape``; ``axes`` are the dimensions that a reduction takes together. ``dtype``
    is what it computes in, and ``singles`` are the operands that are float32 where that is float64.
    For a routine ``shape`` is the stack of arrays that it is called for; ``cores`` holds the shapes
    of one result and of one array of each operand, and ``strides`` go over both.
    """

    op: str
    shape: Shape = ()
    strides: tuple[Shape, ...] = ()
    axes: tuple[int, ...] = ()
    dtype: str = "f8"
    singles: tuple[int, ...] = ()
    cores: tuple[Shape, ...] = ()


SCAN = "scan_"
"""What the names of instructions start with that do an op over and over and keep each result."""

REDUCTIONS = {"sum": ("add", 0.0), "amax": ("maximum", -math.inf), "amin": ("minimum", math.inf)}
"""The op that each reduction does over and over, and what it starts from."""


class Input(NamedTuple):
    """Something that the kernel reads: an argument, captured data, packed Values, or a table."""

    name: str
    shape: Shape
    dtype: str = "f8"
    data: Array | None = None


SCALAR_SYMBOLS = tuple(
    Symbol(row.name, (), ((),) * row.arity, dtype=dtype) for dtype in SCALAR for row in OPS.values()
)

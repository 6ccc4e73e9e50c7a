"""What extents count as where a pass asks whether something is large enough.

Products go to BLAS from 2,048 multiply-adds on, rows are worked on in strips from 16 rows on, short
loops are written out. Minibatches of 100, 7 and 33 rows then would give kernels of several
structures, each compiled again for the next size of its kind. So that one kernel does for all of
them, the program of the smaller batch can be brought through the passes as if it were the larger
one: what depends on size alone is decided for the larger one, and is right for any.

>>> from jitgrad.program import Affine, Assign, Buffer, Loop, Program, Ref
>>> def fill(n):
...     element = Ref("x", (Affine.index("i"),))
...     loop = Loop("i", Affine(n), (Assign(element, "copy", (1.0,)),))
...     return Program({"x": Buffer((n,), "output")}, (loop,), 0.0)
>>> standing_for(fill(7), fill(100))
{7: 100}
>>> with counting({7: 100}):
...     counted(7), counted(8)
(100, 8)
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from jitgrad.program import Assign, Call, Loop, Node, Program, walk

_NONE: Mapping[int, int] = MappingProxyType({})
_counted: contextvars.ContextVar[Mapping[int, int]] = contextvars.ContextVar(
    "counted", default=_NONE
)


def counted(extent: int) -> int:
    """Return what an extent counts as: itself, but in `counting`."""
    return _counted.get().get(extent, extent)


@contextlib.contextmanager
def counting(as_others: Mapping[int, int]) -> Iterator[None]:
    """Let extents count as others."""
    token = _counted.set(as_others)
    try:
        yield
    finally:
        _counted.reset(token)


def standing_for(program: Program, other: Program) -> dict[int, int] | None:
    """Return which extents of a program are which of another one, where they differ.

    None where the programs differ in anything else, or an extent is several of the other's.
    """
    nodes, others = list(walk(program.body)), list(walk(other.body))
    buffers, theirs = program.buffers, other.buffers
    if len(nodes) != len(others) or buffers.keys() != theirs.keys():
        return None
    pairs: list[tuple[int, int]] = []
    for name, buffer in buffers.items():
        if buffer._replace(shape=()) != theirs[name]._replace(shape=(), offset=buffer.offset):
            return None
        if len(buffer.shape) != len(theirs[name].shape):
            return None
        pairs += zip(buffer.shape, theirs[name].shape, strict=True)
    for node, another in zip(nodes, others, strict=True):
        if _kind(node) != _kind(another):
            return None
        if isinstance(node, Loop) and isinstance(another, Loop) and not node.extent.terms:
            pairs.append((node.extent.constant, another.extent.constant))
    found: dict[int, int] = {}
    for mine, its in pairs:
        if found.setdefault(mine, its) != its:
            return None
    return {mine: its for mine, its in found.items() if mine != its}


def _kind(node: Node) -> tuple[object, ...]:
    if isinstance(node, Loop):
        return Loop, node.index, node.backward, node.extent.terms, len(node.body)
    done = node.op if isinstance(node, Assign) else node.routine if isinstance(node, Call) else ""
    return type(node), node.target.buffer, done

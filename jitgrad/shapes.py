"""Program to Program: give packed vectors the shapes that their uses show.

The scalar Values of a model arrive as one vector, and rolling addresses a layer's weights in it as
``parameters[17*j + k + 48]``. The elements from 48 on are used with strides 17 and 1 and nothing
else touches them: they are a matrix with rows of 17, and the reader sees ``parameters2[j, k]``.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from jitgrad.depend import ranges_of, uses
from jitgrad.program import Affine, Buffer, Program, Ref, bounds, map_refs


class _Span(NamedTuple):
    """A reference, the elements between which it moves, and the ranges of its loops."""

    ref: Ref
    low: int
    high: int
    ranges: dict[str, tuple[int, int]]


class _Part(NamedTuple):
    """A run of elements that are used together, with the strides of its dimensions."""

    low: int
    high: int
    strides: tuple[int, ...]


def natural_shapes(program: Program, name: str) -> Program:
    """Split a one-dimensional input into views with the shapes that its uses show.

    Parameters
    ----------
    program : Program
        The forward Program.
    name : str
        The packed input.
    """
    spans = _spans(program, name)
    parts = [part for part in _parts(spans) if part is not None and len(part.strides) > 1]
    buffers = dict(program.buffers)
    views: dict[Ref, Ref] = {}
    for number, part in enumerate(sorted(parts), start=1):
        shape = _shape(part)
        view = f"{name}_part{number}"
        inside = [span for span in spans if part.low <= span.low <= span.high <= part.high]
        moved = {span.ref: _index(span, part, shape) for span in inside}
        if all(index is not None for index in moved.values()):
            base = buffers[name]
            buffers[view] = Buffer(
                shape, base.kind, base.dtype, name, part.low, f"{base.label}{number}"
            )
            views |= {ref: Ref(view, index) for ref, index in moved.items() if index is not None}

    def change(ref: Ref) -> Ref:
        return views.get(ref, ref)

    return program._replace(
        buffers=buffers, body=tuple(map_refs(node, change) for node in program.body)
    )


def _spans(program: Program, name: str) -> list[_Span]:
    found: dict[Ref, _Span] = {}
    for node in program.body:
        for use in uses(node):
            if use.ref.buffer == name:
                ranges = ranges_of(use.loops)
                found[use.ref] = _Span(use.ref, *bounds(use.ref.index[0], ranges), ranges)
    return list(found.values())


def _parts(spans: list[_Span]) -> list[_Part | None]:
    """Join spans that overlap; sweeps over several parts one by one do not join them."""
    local = [span for span in spans if not _is_sweep(span, spans)]
    parts: list[list[_Span]] = []
    for span in sorted(local, key=lambda span: (span.low, -span.high)):
        if parts and span.low <= max(other.high for other in parts[-1]):
            parts[-1].append(span)
        else:
            parts.append([span])
    return [_part(group) for group in parts]


def _is_sweep(span: _Span, spans: list[_Span]) -> bool:
    terms = span.ref.index[0].terms
    inside = [o for o in spans if o is not span and span.low <= o.low <= o.high <= span.high]
    strided = any(c != 1 for other in inside for _, c in other.ref.index[0].terms)
    return len(terms) == 1 and terms[0][1] == 1 and len(inside) > 1 and strided


def _part(group: list[_Span]) -> _Part | None:
    if any(span.ref.index[0].gathers() for span in group):
        return None
    strides = {abs(c) for span in group for _, c in span.ref.index[0].terms} | {1}
    ordered = tuple(sorted(strides, reverse=True))
    whole = all(a % b == 0 for a, b in itertools.pairwise(ordered))
    low, high = min(span.low for span in group), max(span.high for span in group)
    return _Part(low, high, ordered) if whole else None


def _shape(part: _Part) -> tuple[int, ...]:
    rows = -(-(part.high - part.low + 1) // part.strides[0])
    inner = (a // b for a, b in zip(part.strides, part.strides[1:], strict=False))
    return (rows, *inner)


def _index(span: _Span, part: _Part, shape: tuple[int, ...]) -> tuple[Affine, ...] | None:
    """Return the position in the view, if each dimension stays inside its extent."""
    position = span.ref.index[0].plus(-part.low)
    if part.high - part.low + 1 != shape[0] * part.strides[0]:
        return None
    index = []
    rest = position.constant
    for stride, extent in zip(part.strides, shape, strict=True):
        terms = {atom: c // stride for atom, c in position.terms if abs(c) == stride}
        index.append(Affine.of(rest // stride, terms))
        rest %= stride
        low, high = bounds(index[-1], span.ranges)
        if low < 0 or high >= extent:
            return None
    return tuple(index)

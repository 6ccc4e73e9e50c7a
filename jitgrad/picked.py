"""Which element a gather reads: a base, plus a stride times an element of an index array.

Where the stride is that of an axis in which all positions stay, the sum is a position on that axis;
otherwise the element is named by its place in all of its buffer's storage.
"""

from __future__ import annotations

import math

from jitgrad.leaf import Place
from jitgrad.program import Affine, Buffer, Ref, storage
from jitgrad.traced import contiguous


def picked(
    buffers: dict[str, Buffer], base: Ref, index: Ref, stride: int, largest: int, place: Place
) -> Ref:
    """Return the element.

    Parameters
    ----------
    buffers : dict of str to Buffer
        May grow by a view.
    base : Ref
        The element at which positions count from 0.
    index : Ref
        The position, an element of an array of integers.
    stride : int
        How many elements of the storage a position is.
    largest : int
        The largest position that there may be.
    place : Place
        Where this is read.
    """
    axis = _axis_along(buffers[base.buffer].shape, base, stride, stride * largest, place)
    if axis is None:
        base, axis = _as_vector(buffers, base), 0
    unit = contiguous(buffers[base.buffer].shape)[axis]
    moved = list(base.index)
    moved[axis] = moved[axis].plus(Affine(0, ((index, stride // unit),)))
    return Ref(base.buffer, tuple(moved))


def _axis_along(
    shape: tuple[int, ...], base: Ref, stride: int, reach: int, place: Place
) -> int | None:
    """Find the axis of a buffer in which up to ``reach`` elements, in strides, stay."""
    for axis, unit in enumerate(contiguous(shape)):
        position = base.index[axis]
        if shape[axis] > 1 and stride % unit == 0 and not position.gathers():
            low, high = place.range_of(dict(position.terms))
            ends = (low, high, low + reach // unit, high + reach // unit)
            fits = all(0 <= position.constant + end < shape[axis] for end in ends)
            return axis if fits else None
    return None


def _as_vector(buffers: dict[str, Buffer], ref: Ref) -> Ref:
    """Name an element by its place in all of its buffer's storage."""
    owner, offset = storage(buffers, ref.buffer)
    at = Affine(offset)
    strides = contiguous(buffers[ref.buffer].shape)
    for position, stride in zip(ref.index, strides, strict=True):
        at = at.plus(position, stride)
    name, old = f"{owner}_vector", buffers[owner]
    label = f"{old.label}_flat" if old.label else ""
    buffers[name] = old._replace(shape=(math.prod(old.shape),), views=owner, label=label)
    return Ref(name, (at,))

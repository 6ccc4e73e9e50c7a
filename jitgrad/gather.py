"""Indexing by integer arrays while tracing: views where the integers step evenly, else gathers.

``x[np.arange(n), labels]`` walks along the first axis as it picks from the second: only ``labels``
needs a gather. Arrays that step evenly in each direction need none.

>>> evenly(np.array([[1, 4, 7], [3, 6, 9]]))
(1, (2, 3))
>>> evenly(np.array([0, 1, 0]))
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jitgrad.errors import PositionError, ShapeError, UnsupportedError, user_location
from jitgrad.traced import Shape, Traced, expand_ellipsis, make, view
from jitgrad.value import Value

Array = np.ndarray[Any, Any]


class _Picked(NamedTuple):
    """An axis of a view that an index array picks from."""

    axis: int
    where: Any  # constant positions, or a traced Value of integers


def is_array(item: Any) -> bool:
    """Whether an entry of an index is an array of integers or truth values."""
    return isinstance(item, list | np.ndarray | Value)


def gather(tape: Any, x: Traced, items: tuple[Any, ...]) -> Traced:
    """Apply an index with at least one array in it, by NumPy's rules.

    Parameters
    ----------
    tape : Tape
        Where a gather is recorded.
    x : Traced
        What is indexed.
    items : tuple
        Ints, slices, None, an ellipsis, and arrays or lists of integers.
    """
    items = expand_ellipsis(_unmasked(items, x.dims), len(x.dims))
    advanced = [at for at, item in enumerate(items) if is_array(item) or _is_int(item)]
    together = advanced == list(range(advanced[0], advanced[-1] + 1))
    x = view(x, tuple(slice(None) if is_array(item) else item for item in items))
    kept = [item for item in items if not _is_int(item)]
    picked = [
        _Picked(axis, _positions(tape, item, x.dims[axis]))
        for axis, item in enumerate(kept)
        if is_array(item)
    ]
    inner = _broadcast([p.where.dims if _is_given(p) else p.where.shape for p in picked])
    axes = {p.axis for p in picked}
    place = picked[0].axis if together else 0
    rest = [axis for axis in range(len(x.dims)) if axis not in axes]
    before = [axis for axis in rest if axis < place] if together else []
    after = [axis for axis in rest if axis not in before]
    code, walked, uneven = _walk(x, picked, inner)
    dims = (*(x.dims[a] for a in before), *inner, *(x.dims[a] for a in after))
    over_x = (*(x.strides[a] for a in before), *walked, *(x.strides[a] for a in after))
    if not uneven:
        return make(tape, code, dims, over_x, x.kind)
    if len(uneven) > 1 and any(map(_is_given, uneven)):
        return _one_after_another(tape, x, kept, uneven, inner)
    code, stride, table = _one_table(tape, x, code, uneven, inner)
    hole = (0,) * (len(inner) - len(table.dims))
    steps = (s if n != 1 else 0 for s, n in zip(table.strides, table.dims, strict=True))
    over_table = (*(0,) * len(before), *hole, *steps, *(0,) * len(after))
    base = make(tape, code, kind=x.kind)
    made: Traced = tape.gathered(base, over_x, table.code, over_table, stride, dims)
    return made


def _unmasked(items: tuple[Any, ...], dims: Shape) -> tuple[Any, ...]:
    """Write a mask over several axes as the positions of its truths: an array for each axis."""
    masks = [np.asarray(item) if isinstance(item, list | np.ndarray) else None for item in items]
    counts = [
        mask.ndim if mask is not None and mask.dtype == bool and mask.ndim > 1 else 1
        for mask in masks
    ]
    written: list[Any] = []
    axis, used = 0, sum(counts[n] for n, x in enumerate(items) if x is not None and x is not ...)
    for item, mask, count in zip(items, masks, counts, strict=True):
        written.extend(np.nonzero(mask) if mask is not None and count > 1 else (item,))
        if mask is not None and count > 1 and mask.shape != dims[axis : axis + count]:
            raise PositionError(
                f"{user_location()}: a mask of shape {mask.shape} on axes of {dims[axis:]}"
            )
        axis += len(dims) - used if item is ... else count if item is not None else 0
    return tuple(written)


def _is_int(item: Any) -> bool:
    return hasattr(item, "__index__") and not is_array(item)


def _is_given(picked: _Picked) -> bool:
    return isinstance(picked.where, Traced)


def _broadcast(shapes: list[Shape]) -> Shape:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            f"{user_location()}: index arrays of shapes {shapes}, which do not broadcast"
        ) from None


def _walk(x: Traced, picked: list[_Picked], inner: Shape) -> tuple[int, list[int], list[_Picked]]:
    """Turn index arrays that step evenly into an offset and strides; return the others."""
    code, walked, uneven = x.code, [0] * len(inner), []
    for p in picked:
        steps = None if _is_given(p) else evenly(np.broadcast_to(p.where, inner))
        if steps is None:
            uneven.append(p)
            continue
        code += steps[0] * x.strides[p.axis]
        for d, step in enumerate(steps[1]):
            walked[d] += step * x.strides[p.axis]
    return code, walked, uneven


def evenly(positions: Array) -> tuple[int, tuple[int, ...]] | None:
    """Return the first position and the step along each axis, if the steps are all equal."""
    if positions.size == 0:
        return 0, (0,) * positions.ndim
    first = int(positions[(0,) * positions.ndim])
    steps = []
    expected = np.full((1,) * positions.ndim, first, dtype=np.int64)
    for axis, extent in enumerate(positions.shape):
        at = tuple(int(d == axis and extent > 1) for d in range(positions.ndim))
        steps.append(int(positions[at]) - first)
        shape = tuple(extent if d == axis else 1 for d in range(positions.ndim))
        expected = expected + steps[-1] * np.arange(extent).reshape(shape)
    return (first, tuple(steps)) if np.array_equal(positions, expected) else None


def _one_table(
    tape: Any, x: Traced, code: int, uneven: list[_Picked], inner: Shape
) -> tuple[int, int, Traced]:
    """Return one table of positions, the stride to count them in, and where they count from."""
    if len(uneven) == 1:
        (p,) = uneven
        return code, x.strides[p.axis], p.where if _is_given(p) else tape.lift(p.where)
    offsets = sum(np.broadcast_to(p.where, inner) * x.strides[p.axis] for p in uneven)
    low = int(np.min(offsets))
    return code + low, 1, tape.lift(np.ascontiguousarray(offsets - low))


def _one_after_another(
    tape: Any, x: Traced, kept: list[Any], uneven: list[_Picked], inner: Shape
) -> Traced:
    """Pick along one axis first: of two arrays that the loss was given no sum can be made."""
    first = uneven[0].axis
    arrays = [axis for axis, item in enumerate(kept) if is_array(item)]
    if len(x.dims) != len(kept) or arrays != list(range(arrays[0], arrays[-1] + 1)):
        raise UnsupportedError(
            f"{user_location()}: index arrays that the loss was given, with other entries between "
            "them; pick along one axis at a time, or move the axes together"
        )
    where = tape.broadcast_to(tape.lift(uneven[0].where), inner)
    if not _is_given(uneven[0]):
        where = np.broadcast_to(uneven[0].where, inner)
    whole: list[Any] = [slice(None)] * len(x.dims)
    rows = gather(tape, x, (*whole[:first], where, *whole[first + 1 :]))
    steps = [
        np.arange(n).reshape([-1 if d == axis else 1 for d in range(len(inner))])
        for axis, n in enumerate(inner)
    ]
    picks = [item if is_array(item) else slice(None) for item in kept]
    return gather(tape, rows, (*picks[:first], *steps, *picks[first + 1 :]))


def _positions(tape: Any, where: Any, extent: int) -> Any:
    """Return the integers of an index array: constants, or integers that the loss was given."""
    if isinstance(where, Value):
        return _given(tape, where, extent)
    positions = np.asarray(where)
    if positions.dtype == bool and positions.shape == (extent,):
        positions = np.flatnonzero(positions)
    if positions.size == 0 and isinstance(where, list):
        positions = positions.astype(np.int64)
    if positions.dtype.kind not in "iu":
        raise UnsupportedError(
            f"{user_location()}: an index array of dtype {positions.dtype} and shape "
            f"{positions.shape} on an axis of extent {extent}; expected integers, or one truth "
            "value for each place"
        )
    if positions.size and not -extent <= positions.min() <= positions.max() < extent:
        found = f"{positions.min()} to {positions.max()}"
        raise PositionError(f"{user_location()}: indices {found} on an axis of extent {extent}")
    return np.array(positions % max(extent, 1), dtype=np.int64, order="C")


def _given(tape: Any, where: Value, extent: int) -> Traced:
    """Return integers that are known when the kernel runs as positions on an axis."""
    given: Traced = tape.lift(where)
    if given.kind[0] not in "iu":
        what = "a condition" if given.kind == "b1" else "floats"
        advice = "np.where(condition, x, 0.0)" if given.kind == "b1" else "x[i.astype(int)]"
        error = UnsupportedError(
            f"{user_location()}: indexing by {what} in a trace: which elements are taken is "
            f"known only when the kernel runs. Write {advice}"
        )
        error.inputs = tape.inputs_behind([given])
        raise error
    if not tape.holds_integers(given) or tape.most_of(given) > extent:
        flat = tape.reshape(given, -1)
        whole = tape.routine(flat, np.array([float(extent)]), "positions")
        given = tape.reshape(whole, given.dims)
    tape.note_indexed(given, extent)
    return given

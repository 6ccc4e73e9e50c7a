"""From a call to a kernel's inputs, and from its outputs to what the caller gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jitgrad.binding import LEAF, Bound
from jitgrad.elements import kind_of, stored
from jitgrad.graph import Gradients, record
from jitgrad.labels import Labels, Part, Rows
from jitgrad.signature import Spec, checked, prepared, unflatten, unpacked
from jitgrad.trace import Argument, TracedCall
from jitgrad.traced import Traced
from jitgrad.value import Value

Array = np.ndarray[Any, Any]


# --- which inputs are differentiated -------------------------------------------------------------


def chosen_inputs(bound: Bound, traced: TracedCall) -> tuple[int, ...]:
    """Return the kernel inputs that are leaves of the arguments ``argnums``."""
    wanted = {n for numbers in bound.chosen_leaves() for n in numbers}
    return tuple(
        place
        for place, argument in enumerate(traced.arguments)
        if argument.source == "leaf" and argument.number in wanted and argument.dtype != "i8"
    )


def value_inputs(bound: Bound, traced: TracedCall) -> tuple[int, ...]:
    """Return the kernel inputs that are Values which require a gradient."""
    return tuple(
        place
        for place, argument in enumerate(traced.arguments)
        if any(value.requires_grad for value in _values(bound, traced, argument))
    )


def _values(bound: Bound, traced: TracedCall, argument: Argument) -> Sequence[Value]:
    """The Values behind one input of the kernel."""
    if argument.source == "captured":
        return traced.captured
    if argument.source == "value":
        return (traced.captured_arrays[argument.number],)
    leaf = bound.leaves[argument.number] if argument.source == "leaf" else None
    return (leaf,) if isinstance(leaf, Value) else ()


def still_fits(traced: TracedCall) -> bool:
    """Whether the captured Values have the types that they had when the function was traced."""
    kinds = [(a.shape, a.dtype) for a in traced.arguments if a.source == "value"]
    found = [(value.shape, stored(kind_of(value.element_type))) for value in traced.captured_arrays]
    return found == kinds and not any(
        type(value._data) is not float and np.ndim(value._data) for value in traced.captured
    )


# --- inputs --------------------------------------------------------------------------------------


def inputs(bound: Bound, traced: TracedCall) -> list[Any]:
    """Return the kernel's inputs for one call."""
    return [_input(bound, traced, argument) for argument in traced.arguments]


def _input(bound: Bound, traced: TracedCall, argument: Argument) -> Any:
    number = argument.number
    if argument.source == "captured":
        return np.array([value._data for value in traced.captured], dtype=float)
    if argument.source == "value":
        spec = Spec("values", argument.shape, of=argument.dtype)
        return prepared(traced.captured_arrays[number], spec)
    if argument.source == "leaf":
        given = prepared(bound.leaves[number], bound.specs[number])
    else:
        given = prepared(bound.outside_leaves[number], bound.outside_specs[number])
    return checked(given, argument.extents, argument.name) if argument.extents else given


# --- outputs -------------------------------------------------------------------------------------


def gradient_of(bound: Bound, wrt: Sequence[Argument], gradients: Sequence[Array]) -> list[Any]:
    """Return the gradient of each differentiated argument, in the argument's structure."""
    by_leaf = {given.number: part for given, part in zip(wrt, gradients, strict=True)}
    trees = []
    for number, leaves in zip(bound.chosen, bound.chosen_leaves(), strict=True):
        parts = [_like(by_leaf.get(n), bound.leaves[n], bound.specs[n]) for n in leaves]
        trees.append(unflatten(bound.structures[number], parts))
    return trees


def _like(gradient: Array | None, leaf: Any, spec: Spec) -> Any:
    """Give a gradient the type of what it belongs to; what is static has none."""
    if gradient is None:
        return leaf if isinstance(leaf, Rows) else None
    if spec.kind == "numbers":
        return unpacked(gradient.tolist(), spec.static)
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f":
        return gradient.astype(leaf.dtype, copy=False)
    return gradient if gradient.ndim or isinstance(leaf, np.ndarray) else float(gradient)


def auxiliary(traced: TracedCall, arrays: Sequence[Array], bound: Bound | None = None) -> Any:
    """Return the auxiliary output; what the kernel did not compute is a copy.

    ``bound`` is the call, whose indexes the tables in it have.
    """
    computed = iter(arrays)
    leaves = [
        _plain(next(computed), leaf) if isinstance(leaf, Traced) else _copied(leaf, bound)
        for leaf in traced.aux
    ]
    return unflatten(traced.aux_structure, leaves)


def _copied(leaf: Any, bound: Bound | None) -> Any:
    if isinstance(leaf, Labels):
        return Rows(leaf.of(_current(leaf.part, bound)))
    if isinstance(leaf, Part):
        return Part(_current(leaf, bound))
    return leaf.copy() if isinstance(leaf, np.ndarray | list) else leaf


def _current(part: Part, bound: Bound | None) -> Any:
    """Return an index, or a column that holds no numbers, as the call has it."""
    if part.given is None or bound is None:
        return part.thing
    source, number = part.given
    leaf: Part = (bound.leaves if source == LEAF else bound.outside_leaves)[number]
    return leaf.thing


def _plain(array: Array, leaf: Traced) -> Any:
    array = array.astype(leaf.element_type, copy=False)
    return array if array.ndim else array.item()


# --- Values --------------------------------------------------------------------------------------


def received(
    bound: Bound, traced: TracedCall, wrt: Sequence[Argument], gradients: Sequence[Array]
) -> Iterator[tuple[Value, Any]]:
    """List the Values that take part, each with its gradient."""
    for argument, gradient in zip(wrt, gradients, strict=True):
        values = _values(bound, traced, argument)
        parts = gradient.tolist() if argument.source == "captured" else [gradient]
        for value, part in zip(values, parts, strict=True):
            if value.requires_grad:
                yield value, part if np.ndim(part) else float(part)


def node(name: str, value: float, parts: Sequence[tuple[Value, Any]]) -> Value:
    """Make a Value of the loss, whose derivatives are known already."""
    operands, gradients = zip(*parts, strict=True)
    made: Value = record(value, name, operands, Gradients(gradients))
    return made

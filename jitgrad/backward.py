"""Walking back from a Value: what each operand receives.

>>> from jitgrad import Value
>>> x = Value(3.0)
>>> y = x * x
>>> y._grad = seed(y, None)
>>> for node in latest_first(y):
...     push(node)
>>> x.grad
6.0
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgrad.errors import NotScalarError, ShapeError, user_location
from jitgrad.graph import Gradients, Node, number_of
from jitgrad.ieee import ieee
from jitgrad.ops import OPS, scalar_partials
from jitgrad.structure import PRIMITIVES, plain, unbroadcast


def seed(value: Node, gradient: Any) -> Any:
    """Return the cotangent that ``backward()`` starts from."""
    where, shape = user_location(), value.shape
    if gradient is None and math.prod(shape) != 1:
        raise NotScalarError(
            f"{where}: backward() on an array of shape {shape}. Call it on one number, such as "
            ".sum() or .mean(), or give the cotangent: backward(gradient)."
        )
    if gradient is None:
        return np.ones(shape, value.element_type) if shape else 1
    gradient = number_of(gradient)
    if np.shape(gradient) != shape:
        given = np.shape(gradient)
        raise ShapeError(f"{where}: a gradient of shape {given} for a Value of shape {shape}.")
    return plain(np.array(gradient, dtype=value.element_type if shape else float))


def latest_first(root: Node) -> list[Node]:
    """Return all that ``root`` was made from, each after everything made from it.

    Operands are older than results, so the order of creation will do.
    """
    found, waiting = {root}, [root]
    while waiting:
        for operand in waiting.pop()._operands:
            if isinstance(operand, Node) and operand.requires_grad and operand not in found:
                found.add(operand)
                waiting.append(operand)
    return sorted(found, key=operator.attrgetter("_serial"), reverse=True)


def masked(nodes: Sequence[Node]) -> set[Node]:
    """Return the nodes that only `where` reads, or what it chooses from is made of.

    See the module ``masked``, which does this for Programs.

    Parameters
    ----------
    nodes : sequence of Node
        Each after everything made from it.
    """
    if not any(node._rule == "where" for node in nodes if type(node._rule) is str):
        return set()
    only = {nodes[0]: False}
    for node in nodes:
        for position, operand in enumerate(node._operands):
            if isinstance(operand, Node):
                chosen = only[node] or (position > 0 and node._rule == "where")
                only[operand] = only.get(operand, True) and chosen
    return {node for node, chosen in only.items() if chosen}


def push(node: Node, guarded: bool = False) -> None:
    """Add what each operand of a node receives to its gradient.

    Parameters
    ----------
    node : Node
        Whose gradient is complete.
    guarded : bool
        Whether a cotangent of 0 is to stay 0 whatever it is multiplied by.
    """
    rule = node._rule
    if guarded and type(rule) is str:
        with np.errstate(all="ignore"):
            _push_arrays(node, rule, True)
    elif type(rule) is str and not isinstance(node._data, np.ndarray):
        _push_scalars(node, rule)
    elif isinstance(rule, Gradients):
        for operand, part in zip(node._operands, rule.parts, strict=True):
            operand._grad = operand._grad + node._grad * part
    elif callable(rule):
        rule()
    elif rule is not None:
        _push_arrays(node, rule)


def _push_scalars(node: Node, rule: str) -> None:
    g, out, operands = node._grad, plain(node._data), node._operands
    values = [
        plain(operand._data) if isinstance(operand, Node) else operand for operand in operands
    ]
    for operand, partial in zip(operands, scalar_partials(rule), strict=True):
        if partial is not None and isinstance(operand, Node) and operand.requires_grad:
            try:
                operand._grad += partial(g, out, *values)
            except ArithmeticError:
                operand._grad += ieee(partial, g, out, *values)


def _push_arrays(node: Node, rule: Any, guarded: bool = False) -> None:
    values = [number_of(operand) for operand in node._operands]
    shape = np.shape(node._data)
    g = node._grad if np.shape(node._grad) == shape else np.broadcast_to(node._grad, shape)
    g = _typed_like(g, node)
    for position, operand in enumerate(node._operands):
        if isinstance(operand, Node) and operand.requires_grad:
            received = _pull(node, rule, position, g, values, guarded)
            operand._grad = operand._grad + _typed_like(received, operand)


def _typed_like(g: Any, node: Node) -> Any:
    """Return a cotangent in the type of what it belongs to: float32 stays float32."""
    single = isinstance(node._data, np.ndarray) and node._data.dtype.itemsize < 8
    return g.astype(node._data.dtype, copy=False) if single and isinstance(g, np.ndarray) else g


def _pull(node: Node, rule: Any, position: int, g: Any, values: list[Any], guarded: bool) -> Any:
    if not isinstance(rule, str):
        primitive, parameters = rule
        return plain(PRIMITIVES[primitive].pull(position, g, values, *parameters))
    if OPS[rule].partials[position] is None:
        return 0
    received = OPS[rule].pull(position, g, node._data, *values)
    if guarded:
        received = np.where(np.equal(g, 0.0), 0.0, received)
    return plain(unbroadcast(received, np.shape(values[position])))

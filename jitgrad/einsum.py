"""NumPy's einsum over Values: pairs of operands at a time, each pair one matrix product.

An axis has a label: a letter of the subscripts, or a number from the end where an ellipsis stands.

>>> x = Value([[1.0, 2.0], [3.0, 4.0]])
>>> np.einsum("ij,kj->ik", x, x)
Value(data=[[ 5. 11.]
 [11. 25.]], grad=0)
"""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from jitgrad.arrays import broadcast_to, diagonal
from jitgrad.errors import ArgumentError, ShapeError, user_location
from jitgrad.protocols import implements
from jitgrad.reductions import total
from jitgrad.ufuncs import Array, as_value
from jitgrad.value import Value

LETTERS = string.ascii_uppercase + string.ascii_lowercase  # in the order that NumPy sorts by
MOST_EXACT = 6  # operands whose best order is searched for among all; NumPy's greedy one beyond

Labels = tuple[Any, ...]


class _Term(NamedTuple):
    """An operand and a label for each of its axes."""

    array: Value
    labels: Labels


@implements("einsum")
def einsum(*operands: Any, optimize: Any = False) -> Any:
    """np.einsum; the order of the products is the cheapest, whatever ``optimize`` says."""
    terms, output = _parsed(operands)
    terms = [_single(term, _elsewhere(terms, n, output)) for n, term in enumerate(terms)]
    for step in _path(terms, output) if len(terms) > 1 else ():
        chosen = [terms[n] for n in step]
        terms = [term for n, term in enumerate(terms) if n not in step]
        while len(chosen) > 1:
            needed = {*output, *(x for term in (*terms, *chosen[2:]) for x in term.labels)}
            chosen[:2] = [_product(chosen[0], chosen[1], needed)]
        terms += chosen
    (term,) = terms
    return term.array.transpose([term.labels.index(label) for label in output])


@implements("einsum_path")
def einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: bool = False) -> Any:
    """np.einsum_path."""
    shaped = [
        np.broadcast_to(0.0, part.shape) if isinstance(part, Value) else part for part in operands
    ]
    return np.einsum_path(*shaped, optimize=optimize)


# --- subscripts -----------------------------------------------------------------------------------


def _parsed(operands: Sequence[Any]) -> tuple[list[_Term], Labels]:
    """Return the operands with their labels, and the labels of the result."""
    if isinstance(operands[0], str):
        text, arrays = operands[0].replace(" ", ""), list(operands[1:])
    else:
        text, arrays = _spelled(operands)
    inputs, arrow, output = text.partition("->")
    written = inputs.split(",")
    if len(written) != len(arrays):
        raise ArgumentError(
            f"{user_location()}: einsum subscripts {text!r} are of {len(written)} operands; "
            f"{len(arrays)} were given."
        )
    values = list(map(as_value, arrays))
    terms = [_Term(x, _labels(part, x.ndim, text)) for x, part in zip(values, written, strict=True)]
    every = [label for term in terms for label in term.labels]
    dots = sorted({label for label in every if isinstance(label, int)})
    if arrow:
        head, ellipsis, tail = output.partition("...")
        result: Labels = (*head, *(dots if ellipsis else ()), *tail)
    else:
        result = (
            *dots,
            *sorted(x for x in every if not isinstance(x, int) and every.count(x) == 1),
        )
    if len(set(result)) != len(result) or not set(result) <= set(every):
        raise ArgumentError(f"{user_location()}: einsum subscripts {text!r} have a wrong output.")
    return _spread(terms, text), result


def _spelled(operands: Sequence[Any]) -> tuple[str, list[Any]]:
    """Write operands that alternate with lists of axes as subscripts."""
    arrays, lists = list(operands[0::2]), list(operands[1::2])
    output = arrays.pop() if len(operands) % 2 else None
    texts = ["".join("..." if x is Ellipsis else LETTERS[x] for x in axes) for axes in lists]
    text = ",".join(texts)
    if output is not None:
        text += "->" + "".join("..." if x is Ellipsis else LETTERS[x] for x in output)
    return text, arrays


def _labels(part: str, ndim: int, text: str) -> Labels:
    """Return a label for each axis; those of the ellipsis are counted from the end."""
    head, ellipsis, tail = part.partition("...")
    more = ndim - len(head) - len(tail)
    letters = all(letter in LETTERS for letter in head + tail)
    if not letters or more < 0 or (more and not ellipsis):
        raise ArgumentError(
            f"{user_location()}: einsum subscripts {text!r}: {part!r} is not of {ndim} dimensions."
        )
    return (*head, *range(-more, 0), *tail)


def _spread(terms: list[_Term], text: str) -> list[_Term]:
    """Broadcast axes of extent 1 beside longer ones of the same label."""
    extents: dict[Any, int] = {}
    for term in terms:
        for label, n in zip(term.labels, term.array.shape, strict=True):
            known = extents.setdefault(label, n)
            extents[label] = n if known == 1 else known
            if n not in (1, extents[label]):
                shapes = [term.array.shape for term in terms]
                raise ShapeError(f"{user_location()}: einsum {text!r} of arrays of {shapes}.")
    shapes = [tuple(extents[label] for label in term.labels) for term in terms]
    return [
        term if shape == term.array.shape else term._replace(array=broadcast_to(term.array, shape))
        for term, shape in zip(terms, shapes, strict=True)
    ]


# --- products -------------------------------------------------------------------------------------


def _elsewhere(terms: Sequence[_Term], place: int, output: Labels) -> set[Any]:
    """Return the labels of the result and of all other operands."""
    others = (term.labels for n, term in enumerate(terms) if n != place)
    return {*output, *itertools.chain(*others)}


def _single(term: _Term, needed: Collection[Any]) -> _Term:
    """Take diagonals where a label is there twice; sum over what nothing else needs."""
    array, labels = term
    while len(set(labels)) < len(labels):
        label = next(x for x in labels if labels.count(x) > 1)
        first = labels.index(label)
        second = labels.index(label, first + 1)
        array = diagonal(array, 0, first, second)
        labels = (*(x for n, x in enumerate(labels) if n not in (first, second)), label)
    summed = tuple(n for n, x in enumerate(labels) if x not in needed)
    array = total(array, summed) if summed else array
    return _Term(array, tuple(x for x in labels if x in needed))


def _path(terms: Sequence[_Term], output: Labels) -> list[tuple[int, ...]]:
    """Return which operands are multiplied at each step, by NumPy's search for a cheap order."""
    if len(terms) == 2:
        return [(0, 1)]
    letters: dict[Any, str] = {}
    for label in itertools.chain(*(term.labels for term in terms)):
        letters.setdefault(label, LETTERS[len(letters)])
    texts = ["".join(letters[x] for x in labels) for labels in (*(t.labels for t in terms), output)]
    shaped = [np.broadcast_to(0.0, term.array.shape) for term in terms]
    kind = "optimal" if len(terms) <= MOST_EXACT else "greedy"
    path, _ = np.einsum_path(
        ",".join(texts[:-1]) + "->" + texts[-1], *shaped, optimize=(kind, 2**62)
    )
    return path[1:]


def _product(a: _Term, b: _Term, needed: Collection[Any]) -> _Term:
    """Multiply two operands and sum over the labels that nothing else needs."""
    a = _single(a, {*needed, *b.labels})
    b = _single(b, {*needed, *a.labels})
    shared = [x for x in a.labels if x in b.labels]
    batch = [x for x in shared if x in needed]
    summed = [x for x in shared if x not in needed]
    left = [x for x in a.labels if x not in shared]
    right = [x for x in b.labels if x not in shared]
    rows, columns = _arranged(a, [batch, left, summed]), _arranged(b, [batch, summed, right])
    if not summed:
        product = rows * columns
    elif not left and not right:
        product = total(_arranged(a, [batch, summed]) * _arranged(b, [batch, summed]), -1)
    else:
        product = rows @ columns
    extents = {**dict(zip(b.labels, b.array.shape, strict=True))}
    extents.update(zip(a.labels, a.array.shape, strict=True))
    labels = (*batch, *left, *right)
    return _Term(product.reshape([extents[x] for x in labels]), labels)


def _arranged(term: _Term, groups: Sequence[Sequence[Any]]) -> Value:
    """Return an operand whose axes are those of the first group, and one for each other group."""
    order = [term.labels.index(label) for group in groups for label in group]
    array = term.array.transpose(order)
    extents = dict(zip(term.labels, term.array.shape, strict=True))
    batch, *others = groups
    merged = [math.prod(extents[label] for label in group) for group in others]
    return array.reshape([*(extents[label] for label in batch), *merged])


@implements("linalg.multi_dot")
def multi_dot(arrays: Sequence[Array]) -> Any:
    """np.linalg.multi_dot: a product of matrices in the cheapest order."""
    axes = [(n, n + 1) for n in range(len(arrays))]
    if len(arrays) < 2:
        raise ArgumentError(f"{user_location()}: np.linalg.multi_dot of less than two arrays.")
    lists: list[Any] = [list(pair) for pair in axes]
    ends = [0, len(arrays)]
    if np.ndim(arrays[0]) == 1:
        lists[0], ends = [1], ends[1:]
    if np.ndim(arrays[-1]) == 1:
        lists[-1], ends = [len(arrays) - 1], ends[:-1]
    return einsum(*itertools.chain(*zip(arrays, lists, strict=True)), ends)

"""The graph behind Values: nodes, recording an operation, walking back.

A node is light: its number, a tuple of operands and the name of the rule that made it, with no
closures and no cycles, so that reference counting frees a graph the moment it is dropped. (In
micrograd each Value sits in a cycle with its ``_backward``; most of a training step is spent in
the garbage collector.)

Every operation ends in `elementwise`, `structural` or `assemble`, which compute it, or hand it to
the tape while a function is being traced.
"""

from __future__ import annotations

import itertools
import numbers
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar

import numpy as np

from jitgrad.errors import (
    ArgumentError,
    JitgradError,
    ShapeError,
    user_location,
)
from jitgrad.ops import OPS
from jitgrad.structure import PRIMITIVES, plain

Operand: TypeAlias = Any  # a Value, a number or an array
Function: TypeAlias = Callable[..., Any]
AnyNode = TypeVar("AnyNode", bound="Node")

LABELS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%", "pow": "**", "relu": "ReLU"}
NUMBERS = (int, float, np.floating, np.integer, np.bool_)
_serials = itertools.count()


class Active(threading.local):
    """The tape of this thread, where a function is being traced."""

    tape: Any = None


active = Active()


class Node:
    """What a Value is made of; `Value` gives it operators and says what the parameters are."""

    __slots__ = (
        "__weakref__",
        "_data",
        "_grad",
        "_op",
        "_operands",
        "_rule",
        "_serial",
        "requires_grad",
    )

    _data: Any
    _grad: Any
    _op: str
    _operands: tuple[Operand, ...]
    _rule: Any  # a row of OPS, a (primitive, parameters), a user's function, or None
    _serial: int
    requires_grad: bool

    def __new__(
        cls,
        data: Any,
        _children: Iterable[Node] = (),
        _op: str = "",
        *,
        requires_grad: bool = True,
    ) -> Self:
        """Make a leaf, or a node whose rule the caller sets."""
        if type(data) is not float and type(data) is not int:
            if isinstance(data, np.ndarray):
                data = data.copy()  # so that changing the Value leaves the caller's array alone
            data = accept(data, requires_grad)
            if isinstance(data, Node):
                return data  # type: ignore[return-value]
        return _node(cls, data, _op, tuple(_children), None, requires_grad)

    @property
    def shape(self) -> tuple[int, ...]:
        """The extents; ``()`` for a number."""
        return np.shape(self._data)

    @property
    def element_type(self) -> np.dtype[Any]:
        """The dtype of the number, or of the array's elements."""
        return np.result_type(self._data)


class Gradients(NamedTuple):
    """The rule of a scalar whose derivative by each operand is known already."""

    parts: tuple[Any, ...]


def newest_serial() -> int:
    """Return a serial number that all Values made from now on exceed."""
    return next(_serials)


# --- the three ways to compute -------------------------------------------------------------------


def elementwise(name: str, *operands: Operand) -> Any:
    """Apply a row of the ops table: record it on the tape, or compute it now.

    Parameters
    ----------
    name : str
        The row's name.
    *operands : Value, number or array_like
        They broadcast as in NumPy.

    Returns
    -------
    Value
        Plain truth values for a comparison outside a trace.

    Raises
    ------
    ShapeError
        Where the operands do not broadcast.

    Examples
    --------
    >>> from jitgrad import Value
    >>> elementwise("hypot", Value(3.0), 4.0)
    Value(data=5.0, grad=0)
    """
    given, operands = operands, tuple(map(_operand, operands))
    tape = active.tape
    if tape is not None:
        return tape.elementwise(name, operands)
    row = OPS[name]
    values = [number_of(operand) for operand in operands]
    if any(isinstance(value, np.ndarray) for value in values):
        values = list(map(_as_given, given, values))
    out = _compute(row.evaluate, name, operands, *values)
    if row.boolean:  # NumPy's truths: ~ of a Python bool is an int
        return out if isinstance(out, np.ndarray) else np.bool_(out)
    return record(out, LABELS.get(name, name), operands, name)


def structural(name: str, operands: Sequence[Operand], *parameters: Any) -> Any:
    """Apply an array primitive of ``structure.PRIMITIVES``: record it, or compute it now."""
    operands = tuple(map(_operand, operands))
    tape = active.tape
    if tape is not None:
        return getattr(tape, name)(*operands, *parameters)
    arrays = tuple(map(number_of, operands))
    out = _compute(PRIMITIVES[name].forward, name, operands, arrays, *parameters)
    return record(out, name, operands, (name, parameters))


def assemble(parts: Sequence[tuple[Operand, tuple[Any, ...]]], shape: tuple[int, ...]) -> Any:
    """Put an array together from parts, each with its place in it.

    Examples
    --------
    >>> from jitgrad import Value
    >>> assemble([(Value(1.0), (0,)), (2.0, (1,))], (2,))
    Value(data=[1. 2.], grad=0)
    """
    given = [part for part, _ in parts]
    parts = [(_operand(part), index) for part, index in parts]
    tape = active.tape
    if tape is not None:
        return tape.assemble(parts, shape)
    operands, indices = zip(*parts, strict=True) if parts else ((), ())
    arrays = tuple(map(_as_given, given, map(number_of, operands)))
    out = _compute(PRIMITIVES["assemble"].forward, "assemble", operands, arrays, indices, shape)
    return record(out, "assemble", operands, ("assemble", (indices, shape)))


def holds_objects(operand: Any) -> bool:
    """Whether this is an array of objects, a `filled.Filled` or NumPy's own."""
    objects = isinstance(operand, np.ndarray) and operand.dtype == object
    return objects or hasattr(operand, "whole")


def together(array: Any) -> Any:
    """Put an array of objects together: one Value, or what a `filled.Filled` says that it is."""
    if hasattr(array, "whole"):
        return array.whole()
    parts = [(part, at) for at, part in np.ndenumerate(array)]
    return assemble(parts, array.shape) if array.ndim else parts[0][0]


def _compute(function: Function, name: str, operands: Sequence[Operand], *arguments: Any) -> Any:
    try:
        return plain(function(*arguments))
    except np.linalg.LinAlgError:
        raise
    except ValueError as error:
        shapes = " and ".join(str(np.shape(number_of(operand))) for operand in operands)
        where = user_location()
        raise ShapeError(f"{where}: {name} of arrays of shapes {shapes}: {error}") from None


def record(data: Any, op: str, operands: tuple[Operand, ...], rule: Any) -> Any:
    """Make the node of a result: a leaf where no operand needs a gradient."""
    kind = None
    for operand in operands:
        if isinstance(operand, Node):
            kind = type(operand)
            if operand.requires_grad:
                return _node(kind, data, op, operands, rule, True)
    return data if kind is None else leaf(kind, data)


def leaf(kind: type[AnyNode], data: Any) -> AnyNode:
    """Make a node that needs no gradient, of data that is shared."""
    return _node(kind, data, "", (), None, False)


def _node(
    kind: type[AnyNode],
    data: Any,
    op: str,
    operands: tuple[Operand, ...],
    rule: Any,
    requires_grad: bool,
) -> AnyNode:
    node = object.__new__(kind)
    node._data = data
    node._grad = 0
    node._op = op
    node._operands = operands
    node._rule = rule
    node._serial = next(_serials)
    node.requires_grad = requires_grad
    return node


def operator_method(name: str, scalar: Function | None = None, reflected: bool = False) -> Function:
    """Make an operator's method; ``scalar(self, other)`` is how micrograd composes it."""

    def method(self: Node, other: Operand) -> Any:
        tape = active.tape
        if tape is not None and (isinstance(other, Node) or type(other) in (float, int)):
            return tape.elementwise(name, (other, self) if reflected else (self, other))
        if scalar is not None and scalars(self, other):
            return scalar(self, other)
        if not known(other):
            return NotImplemented
        return elementwise(name, other, self) if reflected else elementwise(name, self, other)

    return method


# --- what may be an operand ----------------------------------------------------------------------


def known(other: Any) -> bool:
    """Whether an operator can work with it; otherwise Python asks the other operand.

    Raises
    ------
    ArgumentError
        For a complex number, whose other operand knows nothing of Values.
    """
    if isinstance(other, complex):
        raise ArgumentError(
            f"{user_location()}: a complex number, {other!r}, beside a Value; expected real "
            "numbers; write the real and the imaginary part apart"
        )
    return isinstance(other, (Node, *NUMBERS, np.ndarray, list, tuple))


def is_truth(operand: Operand) -> bool:
    """Whether something is a truth value, or an array of such."""
    is_node = isinstance(operand, Node)
    kind = operand.element_type if is_node else np.asarray(operand).dtype
    return bool(kind.kind == "b")


def of_truths(sign: str, name: str, *operands: Operand) -> Any:
    """Apply an operator that is one of bits where its operands are not all truth values."""
    if not all(map(known, operands)):
        return NotImplemented
    if not all(map(is_truth, operands)):
        kinds = " and ".join("truth values" if is_truth(x) else "numbers" for x in operands)
        raise ArgumentError(
            f"{user_location()}: {sign} of {kinds}; expected truth values, such as x > 0. The bits "
            "of integers are not there in a Value: compute with plain arrays before"
        )
    return elementwise(name, *operands)


def scalars(self: Node, other: Any) -> bool:
    """Whether micrograd's own rules apply: eager numbers."""
    if active.tape is not None or isinstance(self._data, np.ndarray):
        return False
    if isinstance(other, Node):
        return not isinstance(other._data, np.ndarray)
    return isinstance(other, NUMBERS)


def constant(number: Operand, beside: Node) -> Node:
    """Wrap a number as a leaf, as micrograd does."""
    return (
        number
        if isinstance(number, Node)
        else type(beside)(number, requires_grad=beside.requires_grad)
    )


def number_of(operand: Operand) -> Any:
    """Return the number or array of an operand."""
    return plain(operand._data) if isinstance(operand, Node) else operand


def _as_given(operand: Operand, number: Any) -> Any:
    """Return a number as NumPy's, where it is one: in an array its type counts."""
    data = operand._data if isinstance(operand, Node) else operand
    return data if isinstance(data, np.generic) else number


def listed(sequence: Any) -> Any:
    """Put nested lists together, as `numpy.asarray` does: one Value if there are Values in them."""
    parts = [listed(part) if isinstance(part, list | tuple) else part for part in sequence]
    together = any(isinstance(part, Node) or hasattr(part, "whole") for part in parts)
    return np.stack(parts) if together else np.asarray(sequence)


def _operand(operand: Any) -> Operand:
    """Let through Values, Python numbers and arrays of numbers; put object arrays together."""
    if isinstance(operand, Node) or type(operand) is float or type(operand) is int:
        return operand
    if isinstance(operand, list | tuple):
        operand = listed(operand)
        if isinstance(operand, Node):
            return operand
    if holds_objects(operand):
        return _operand(together(operand))
    if isinstance(operand, np.ndarray) and operand.dtype.kind in "fiub":
        operand = np.asarray(operand)
        return plain(operand) if active.tape is None else operand
    if isinstance(operand, NUMBERS):
        return plain(operand) if active.tape is None else operand
    if hasattr(operand, "to_numpy") and isinstance(operand.dtype, np.dtype):
        return _operand(operand.to_numpy())  # pandas' own, where NumPy would make it an array
    raise ArgumentError(
        f"{user_location()}: {_describe(operand)} cannot be combined with a Value. "
        "Numbers, and arrays of real numbers or of Values, can."
    )


def accept(data: Any, requires_grad: bool) -> Any:
    """Check what a Value is to hold; arrays that need a gradient become arrays of floats."""
    if isinstance(data, Node):
        tape = active.tape
        return data if tape is None else tape.wrap(data)
    if isinstance(data, NUMBERS):
        return data
    if not isinstance(data, numbers.Real):
        data = _operand(data)
    integers = isinstance(data, np.ndarray) and data.dtype.kind != "f"
    return data.astype(float) if integers and requires_grad else data


def _describe(operand: Any) -> str:
    if isinstance(operand, np.ndarray):
        return f"an array of {operand.dtype}"
    return f"{type(operand).__name__} {operand!r:.40}"


def with_numbers(error: JitgradError, operands: Sequence[Any]) -> JitgradError:
    """Let an error say which inputs of a trace would have to be known."""
    if active.tape is not None:
        error.inputs = active.tape.inputs_behind(operands)
    return error


def refuse(value: Node, what: str) -> None:
    """While a function is being traced, a bare number must not leave it."""
    if active.tape is not None:
        active.tape.refuse(value, what)

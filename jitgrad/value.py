"""`Value`: a number or array that remembers where it came from.

A Value holds its number, the op that made it and the operands it was made from: the graph that
``backward()`` walks, that a trace writes down and that a person can look at. Scalars follow
micrograd (https://github.com/karpathy/micrograd) to the letter, graph included.

>>> a, b = Value(-4.0), Value(2.0)
>>> c = (a * b + b**3).relu() + a.exp()
>>> c.backward()
>>> a.grad
0.01831563888873418

While a function is being traced (``active.tape`` is set) operations are handed to the tape.
"""

from __future__ import annotations

import dis
import functools
import math
import operator
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from jitgrad.backward import latest_first, masked, push, seed
from jitgrad.errors import ArgumentError, NoGradientError, UnsupportedError, user_location
from jitgrad.graph import (
    Function,
    Node,
    Operand,
    accept,
    active,
    constant,
    elementwise,
    is_truth,
    known,
    leaf,
    number_of,
    of_truths,
    operator_method,
    record,
    refuse,
    scalars,
    structural,
)
from jitgrad.ops import OPS
from jitgrad.protocols import Labelled, apply_function, apply_ufunc, is_labelled
from jitgrad.structure import full_axes, full_index, full_shape, plain

STORES = {dis.opmap[name] for name in ("STORE_SUBSCR", "STORE_SLICE") if name in dis.opmap}


class Value(Node):
    """A number or array that remembers where it came from.

    Parameters
    ----------
    data : int, float, array or nested list
        A number is kept as it is. An array of integers becomes one of floats, since it can
        change by any amount; an array of Values becomes an array that depends on them. A Value
        is returned as it is.
    _children : iterable of Value
        The operands, for a node whose ``_backward`` you set yourself.
    _op : str
        The label of the op.
    requires_grad : bool
        Whether ``backward()`` computes a gradient for it.

    Attributes
    ----------
    grad : number or array
        The derivative of what ``backward()`` was called on, added up over the calls.

    Notes
    -----
    ``==`` compares numbers, elementwise on arrays, as in PyTorch; micrograd's compares identities.
    The hash is that of the identity, so sets and dicts of Values work as in both.

    Examples
    --------
    >>> x = Value(3.0)
    >>> y = x * x + 1
    >>> y.backward()
    >>> x
    Value(data=3.0, grad=6.0)
    """

    __slots__ = ()

    # --- what it holds ---

    @property
    def data(self) -> Any:
        """The number or array. In a trace, the detached Value."""
        tape = active.tape
        return self._data if tape is None else tape.detach(self)

    @data.setter
    def data(self, data: Any) -> None:
        if active.tape is not None:
            refuse(self, "assigning to .data")
        self._data = accept(number_of(data), self.requires_grad)

    @property
    def grad(self) -> Any:
        """The gradient, added up over calls of ``backward()``; 0 before the first."""
        if active.tape is not None:
            refuse(self, ".grad")
        return self._grad

    @grad.setter
    def grad(self, grad: Any) -> None:
        if active.tape is not None:
            refuse(self, "assigning to .grad")
        self._grad = grad

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of an array; object for a scalar, since that is what NumPy keeps it as."""
        # np.mean of an object array of scalars ends with dtype.type(total / n): for any other
        # dtype that would be float(), which forgets the graph.
        return self.element_type if self.shape else np.dtype(object)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def item(self) -> Any:
        """Return the Python number of a Value of one element."""
        refuse(self, ".item()")
        return self._data.item() if isinstance(self._data, np.ndarray | np.generic) else self._data

    def detach(self) -> Value:
        """Return a leaf with the same data, which needs no gradient."""
        tape = active.tape
        out: Value = leaf(Value, self._data) if tape is None else tape.detach(self)
        return out

    def zero_grad(self) -> None:
        """Set the gradient to 0."""
        self.grad = 0

    # --- the graph ---

    @property
    def _prev(self) -> set[Value]:
        return {operand for operand in self._operands if isinstance(operand, Value)}

    @property
    def _backward(self) -> Function:
        return functools.partial(push, self)

    @_backward.setter
    def _backward(self, function: Function) -> None:
        self._rule = function

    @property
    def is_leaf(self) -> bool:
        """Whether it was given rather than computed."""
        return not self._operands

    @property
    def grad_fn(self) -> str | None:
        """The label of the op that made it; None for a leaf."""
        return self._op or None

    def backward(self, gradient: Any = None) -> None:
        """Add the derivative of this Value to the ``grad`` of all that it was made from.

        Parameters
        ----------
        gradient : array_like of this shape, optional
            The cotangent to start from. Only a Value of one element can do without.

        Raises
        ------
        NoGradientError
            When nothing it was made from requires a gradient.
        NotScalarError
            When there is more than one element and no ``gradient``.
        ShapeError
            When ``gradient`` has another shape.
        """
        refuse(self, "backward()")
        if not self.requires_grad:
            raise NoGradientError(
                f"{user_location()}: backward() on a Value that does not require a gradient. "
                "Make it from Values created without requires_grad=False or detach()."
            )
        self._grad = seed(self, gradient)
        nodes = latest_first(self)
        guarded = masked(nodes)
        for node in nodes:
            push(node, node in guarded)

    # --- arithmetic: scalars as micrograd composes them, arrays by the direct op ---

    def __add__(self, other: Operand) -> Any:
        if scalars(self, other):
            other = constant(other, self)
            return record(self._data + other._data, "+", (self, other), "add")
        return elementwise("add", self, other) if known(other) else NotImplemented

    def __mul__(self, other: Operand) -> Any:
        if scalars(self, other):
            other = constant(other, self)
            return record(self._data * other._data, "*", (self, other), "mul")
        return elementwise("mul", self, other) if known(other) else NotImplemented

    def __pow__(self, other: Operand) -> Any:
        if scalars(self, other) and not isinstance(other, Value):
            power = OPS["pow"].evaluate(plain(self._data), plain(other))
            return record(power, f"**{other}", (self, plain(other)), "pow")
        return elementwise("pow", self, other) if known(other) else NotImplemented

    def relu(self) -> Value:
        """Return ``max(x, 0)``; the derivative at 0 is 0."""
        if scalars(self, 0):
            return record(0 if self._data < 0 else self._data, "ReLU", (self,), "relu")  # type: ignore[no-any-return]
        return elementwise("relu", self)  # type: ignore[no-any-return]

    def __neg__(self) -> Value:
        out: Value = self * -1 if scalars(self, 0) else elementwise("neg", self)
        return out

    __sub__ = operator_method("sub", lambda x, y: x + (-y))
    __truediv__ = operator_method("div", lambda x, y: x * _inverse(y))
    __radd__ = operator_method("add", lambda x, y: x + y, reflected=True)
    __rmul__ = operator_method("mul", lambda x, y: x * y, reflected=True)
    __rsub__ = operator_method("sub", lambda x, y: (-x) + y, reflected=True)
    __rtruediv__ = operator_method("div", lambda x, y: x**-1 * y, reflected=True)
    __rpow__ = operator_method("pow", reflected=True)
    __mod__ = operator_method("mod")
    __rmod__ = operator_method("mod", reflected=True)
    __floordiv__ = operator_method("floor_divide")
    __rfloordiv__ = operator_method("floor_divide", reflected=True)

    def __divmod__(self, other: Operand) -> Any:
        return (self // other, self % other) if known(other) else NotImplemented

    def __rdivmod__(self, other: Operand) -> Any:
        return (other // self, other % self) if known(other) else NotImplemented

    def __matmul__(self, other: Operand) -> Any:
        return structural("matmul", (self, other)) if known(other) else NotImplemented

    def __rmatmul__(self, other: Operand) -> Any:
        return structural("matmul", (other, self)) if known(other) else NotImplemented

    def __pos__(self) -> Value:
        return elementwise("copy", self) if self.shape else self

    def __abs__(self) -> Value:
        return elementwise("abs", self)  # type: ignore[no-any-return]

    def __round__(self, digits: int | None = None) -> Any:
        """Return the nearest number of so many digits, a Value."""
        return np.round(self, digits or 0)

    if TYPE_CHECKING:  # exp, log, tanh, ...: one method for each row of the table, made below

        def __getattr__(self, name: str) -> Any: ...

    # --- comparisons, of numbers ---

    __hash__ = object.__hash__
    __eq__ = operator_method("eq")
    __ne__ = operator_method("ne")
    __lt__ = operator_method("lt")
    __le__ = operator_method("le")
    __gt__ = operator_method("gt")
    __ge__ = operator_method("ge")

    def __and__(self, other: Operand) -> Any:
        return of_truths("&", "logical_and", self, other)

    def __or__(self, other: Operand) -> Any:
        return of_truths("|", "logical_or", self, other)

    def __xor__(self, other: Operand) -> Any:
        return of_truths("^", "ne", self, other)

    def __invert__(self) -> Any:
        return of_truths("~", "logical_not", self)

    __rand__ = __and__
    __ror__ = __or__
    __rxor__ = __xor__

    # --- arrays ---

    @property
    def T(self) -> Value:  # noqa: N802
        """The array with its axes reversed."""
        return self.transpose()

    def reshape(self, *shape: Any, order: str = "C") -> Value:
        """Arrange the elements in another shape; one extent may be -1.

        With the order "F" the first index changes fastest.
        """
        full = full_shape(shape[0] if len(shape) == 1 else shape, self.size)
        if order == "F":
            return self.T.reshape(full[::-1]).T
        return self if full == self.shape else structural("reshape", (self,), full)

    def ravel(self, order: str = "C") -> Value:
        """Return the elements in one axis."""
        return self.reshape(-1, order=order)

    def flatten(self, order: str = "C") -> Any:
        """Return a copy of the elements in one axis."""
        return elementwise("copy", self.ravel(order))

    def transpose(self, *axes: Any) -> Value:
        """Permute the axes; reverse them if none are given."""
        given = axes[0] if len(axes) == 1 and not isinstance(axes[0], int | np.integer) else axes
        order = full_axes(given or range(self.ndim)[::-1], self.ndim)
        return self if self.ndim < 2 else structural("transpose", (self,), order)

    def astype(self, dtype: Any, *, copy: bool = True) -> Any:
        """Return it as floats, a truth value as 0.0 or 1.0; or as integers, without a gradient."""
        wanted, tape = np.dtype(dtype), active.tape
        if not copy and wanted == self.element_type:
            return self
        if wanted.kind not in "fiu":
            raise UnsupportedError(
                f"{user_location()}: astype({wanted}) of a Value; expected floats or integers. "
                "For truth values write x != 0"
            )
        if wanted.kind != "f":
            return np.asarray(self._data, wanted) if tape is None else tape.astype(self, wanted)
        out: Value = elementwise("where", self, 1.0, 0.0) if is_truth(self) else self
        return structural("astype", (out,), wanted)

    def __getitem__(self, index: Any) -> Value:
        if active.tape is not None and _has_values(index):
            return active.tape.getitem(self, index)  # type: ignore[no-any-return]
        out: Value = structural("getitem", (self,), full_index(index, self.shape))
        return out

    def __len__(self) -> int:
        if not self.shape:  # a TypeError, so that NumPy takes scalars as objects, not sequences
            raise TypeError("len() of a scalar Value")
        return self.shape[0]

    def __iter__(self) -> Iterator[Value]:
        return map(self.__getitem__, range(len(self)))

    def __contains__(self, item: Operand) -> bool:
        return bool(np.any(self == item))

    # --- plain numbers ---

    def __repr__(self) -> str:
        return f"Value(data={self._data}, grad={self._grad})"

    def __bool__(self) -> bool:
        refuse(self, "bool()")
        return bool(self._data)

    def __float__(self) -> float:
        refuse(self, "float()")
        if self.requires_grad and _storing(sys._getframe(1)):
            raise ArgumentError(
                f"{user_location()}: a plain array cannot hold a Value: its gradient would be "
                "lost. Make the array with np.array([...]) of Values, or store `.data`."
            )
        return float(self._data)

    def __int__(self) -> int:
        refuse(self, "int()")
        return int(self._data)

    def __index__(self) -> int:
        refuse(self, "an index")
        return operator.index(self._data)

    @property
    def __array__(self) -> Function:
        if not self.shape:  # NumPy takes scalars as objects: np.array([a * b, c]) holds Values
            raise AttributeError("__array__")
        return self._as_array

    def _as_array(self, dtype: Any = None, copy: bool | None = None) -> Any:
        refuse(self, "np.asarray()")
        if self.requires_grad:
            raise ArgumentError(
                f"{user_location()}: making a plain array of a Value would lose its gradient. "
                "Write `.data` for the plain array, np.stack([...]) to put Values together."
            )
        return np.array(self._data, dtype=dtype, copy=copy)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._operands:
            raise UnsupportedError(
                f"{user_location()}: only leaf Values can be copied or pickled. "
                "Write `.detach()` for the number without its graph."
            )
        return _restore, (self._data, self._grad, self.requires_grad)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        if is_labelled(inputs):
            return NotImplemented
        return apply_ufunc(ufunc, method, inputs, keywords)

    def __array_function__(self, function: Any, types: Any, inputs: Any, keywords: Any) -> Any:
        if any(issubclass(kind, Labelled) for kind in types):
            return NotImplemented
        return apply_function(function, inputs, keywords)


def _has_values(index: Any) -> bool:
    return any(isinstance(x, Value) for x in (index if isinstance(index, tuple) else (index,)))


def _inverse(divisor: Operand) -> Operand:
    return divisor**-1 if isinstance(divisor, Value) else OPS["pow"].evaluate(plain(divisor), -1)


def _storing(frame: Any) -> bool:
    """Whether ``array[i] = value`` is what the frame is executing: then NumPy calls float()."""
    return frame.f_code.co_code[frame.f_lasti] in STORES


def _restore(data: Any, grad: Any, requires_grad: bool) -> Value:
    value = Value(data, requires_grad=requires_grad)
    value._grad = grad
    return value

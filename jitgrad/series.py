"""What stands for a pandas Series while a function is traced: numbers with labels.

Arithmetic goes by NumPy over the numbers, and keeps the labels. Reductions leave out what is not a
number, as pandas does, and so do NumPy's where they ask the Series: ``np.mean(s)`` is ``s.mean()``,
but ``np.dot(s, s)`` works on the plain array.

>>> from jitgrad.labels import Rows
>>> column = Column(np.array([1.0, np.nan, 3.0]), Labels(Rows(["a", "b", "c"])))
>>> float((column * 2.0).sum()), float(np.std(column))
(8.0, 1.0)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from jitgrad.errors import ArgumentError, ShapeError, user_location
from jitgrad.labels import Labels, Rows, check_same, is_plain, of_pandas, refused
from jitgrad.protocols import Labelled
from jitgrad.traced import WITH_SERIES, Traced, make
from jitgrad.value import Value


def element_type(data: Any) -> np.dtype[Any]:
    """Return the dtype of numbers, traced or not."""
    found: np.dtype[Any] = data.element_type if isinstance(data, Value) else np.asarray(data).dtype
    return found


_REDUCED = {np.add: "sum", np.multiply: "prod", np.maximum: "max", np.minimum: "min"}
_METHODS = {
    name: name for name in ("sum", "mean", "min", "max", "prod", "std", "var", "any", "all")
}
_METHODS |= {"amin": "min", "amax": "max", "around": "round"}
_METHODS |= {name: name for name in ("clip", "cumsum", "cumprod", "round")}
_OF_NUMPY = {"std": {"ddof": 0}, "var": {"ddof": 0}}
_WITH_LABELS = ("argsort", "fix", "flip", "repeat", "rollaxis", "squeeze", "transpose")


class Column(Labelled, NDArrayOperatorsMixin):
    """A Series in a trace.

    Parameters
    ----------
    data : Value or ndarray
        Its numbers.
    labels : Labels
        The labels of its rows.
    name : Any
        Its name.
    """

    __slots__ = ("data", "labels", "name")
    __hash__ = object.__hash__

    def __init__(self, data: Any, labels: Labels, name: Any = None) -> None:
        self.data, self.labels, self.name = data, labels, name

    # --- what it holds ---

    def whole(self) -> Any:
        """Return its numbers, without labels."""
        return self.data

    @property
    def values(self) -> Any:
        """Its numbers."""
        return self.data

    @property
    def index(self) -> Any:
        """Pandas' index; the function is traced for each one."""
        return self.labels.contents()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the numbers."""
        return element_type(self.data)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, in a tuple."""
        found: tuple[int, ...] = self.data.shape
        return found

    @property
    def size(self) -> int:
        """The number of rows."""
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """1."""
        return 1

    @property
    def empty(self) -> bool:
        """Whether there are no rows."""
        return self.size == 0

    @property
    def T(self) -> Column:  # noqa: N802
        """The same."""
        return self

    @property
    def iloc(self) -> At:
        """Rows by position."""
        return At(lambda rows: taken(self, rows))

    @property
    def loc(self) -> At:
        """Rows by label, or by truths."""
        return At(self._by_label)

    iat = iloc
    at = loc

    def to_numpy(self, dtype: Any = None, copy: bool = False) -> Any:
        """Return its numbers, without labels."""
        return self.data if dtype is None else self.astype(dtype).data

    def to_list(self) -> list[Any]:
        """Return its numbers one by one."""
        return list(self)

    tolist = to_list

    def copy(self, deep: bool = True) -> Column:
        """Return the same numbers; a trace changes none."""
        return Column(self.data, self.labels, self.name)

    def reset_index(self, drop: bool = False) -> Column:
        """Number the rows from 0; only with ``drop=True``."""
        if not drop:
            raise refused("reset_index() that keeps the index", "write reset_index(drop=True)")
        return Column(self.data, numbered(self.size), self.name)

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Any]:
        return iter(self.data)

    def __contains__(self, label: Any) -> bool:
        return label in self.index

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, slice):
            if getattr(self.labels.part.thing.dtype, "kind", "O") == "f" or not _is_whole(rows):
                raise refused("a slice by labels", "write .iloc[i:j] for positions")
            return taken(self, rows)
        return self._by_label(rows)

    def _by_label(self, rows: Any) -> Any:
        if is_truths(rows):
            return masked(self, rows)
        if not _is_label(rows):
            raise refused("rows by a list or slice of labels", "write .iloc[...] for positions")
        at = self.index.get_loc(rows)
        if not isinstance(at, int | np.integer):
            raise refused(f"the label {rows!r} of several rows", "write .iloc[...] for positions")
        return self.data[int(at)]

    def __setitem__(self, rows: Any, value: Any) -> NoReturn:
        raise refused(
            "assigning to a Series", "write np.where(mask, value, s), or x = s.to_numpy().copy()"
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        part = self.labels.part
        if getattr(part.thing.dtype, "kind", "O") == "O" and name in self.index:
            return self._by_label(name)
        raise refused(f"Series.{name}", "write it with NumPy over s.to_numpy(), or do it before")

    def __bool__(self) -> NoReturn:
        raise ArgumentError(
            f"{user_location()}: the truth value of a Series; write (s > 0).any(), .all(), or "
            "np.where(s > 0, a, b)"
        )

    def __repr__(self) -> str:
        return f"Column({self.data!r}, name={self.name!r})"

    # --- NumPy's protocols ---

    __pandas_priority__ = 10_000  # before a real Series and DataFrame

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise refused("making a plain array of a Series", "write s.to_numpy()")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        if method == "reduce" and ufunc in _REDUCED and not keywords.get("axis"):
            return getattr(self, _REDUCED[ufunc])(skipna=False)
        if any(x is not None for x in keywords.pop("out", ())):
            raise refused("changing a Series in place", "write x = x + v, not x += v")
        if any(isinstance(x, Labelled) and not isinstance(x, Column) for x in inputs):
            return NotImplemented
        if method != "__call__":
            raise refused(f"np.{ufunc.__name__}.{method} of a Series", "write s.to_numpy()")
        return combined(ufunc, inputs, keywords)

    def __array_function__(self, function: Any, _types: Any, inputs: Any, keywords: Any) -> Any:
        name = function.__name__
        if name in _WITH_LABELS:
            raise refused(f"np.{name} of a Series", "write s.to_numpy()")
        if name in _METHODS and inputs and isinstance(inputs[0], Column):
            options = _OF_NUMPY.get(name, {}) | keywords
            return getattr(inputs[0], _METHODS[name])(*inputs[1:], **options)
        return function(*settled_all(inputs), **{k: settled_all(x) for k, x in keywords.items()})

    # --- operators that are not NumPy's ---

    def __matmul__(self, other: Any) -> Any:
        return self.dot(other)

    def __rmatmul__(self, other: Any) -> Any:
        return np.matmul(other, self.data)

    def dot(self, other: Any) -> Any:
        """Return the product with another Series of the same index, or an array."""
        if isinstance(other, Labelled) and not isinstance(other, Column):
            raise refused("a Series @ a DataFrame", "write s.to_numpy() @ df.to_numpy()")
        _, (own, others) = numbers_of((self, other))
        return np.dot(own, others)

    def like(self, data: Any) -> Column:
        """Return other numbers with the same labels."""
        return Column(data, self.labels, self.name)


# --- rows ----------------------------------------------------------------------------------------


class At:
    """``.iloc`` and ``.loc``: something that is indexed."""

    def __init__(self, get: Callable[[Any], Any]) -> None:
        self._get = get

    def __getitem__(self, rows: Any) -> Any:
        return self._get(rows)

    def __setitem__(self, rows: Any, value: Any) -> NoReturn:
        raise refused("assigning to rows of a table", "write np.where(mask, value, s)")


def numbered(size: int) -> Labels:
    """Return the labels 0, 1, 2, ..."""
    return Labels(Rows(sys.modules["pandas"].RangeIndex(size)))


def picked(rows: Any) -> tuple[Any, Any, Any]:
    """Return positions as NumPy takes them, the name of taking them, and what is known of them."""
    if isinstance(rows, slice):
        return rows, f"slice {rows}", rows
    rows = settled_all(rows)
    if isinstance(rows, Value):
        return rows, (getattr(rows, "code", id(rows)), getattr(rows, "strides", ())), None
    rows = np.asarray(rows)
    if rows.ndim != 1 or rows.dtype.kind not in "iub":
        raise refused("such positions", "expected an int, a slice or integers")
    return rows, f"rows {rows.dtype} {rows.tolist()}", rows


def taken(column: Column, rows: Any) -> Any:
    """Return one number of a Series, or some of its rows."""
    if isinstance(rows, int | np.integer):
        return column.data[int(rows)]
    at, name, known = picked(rows)
    if isinstance(at, Value) and not at.shape:
        return column.data[at]
    return Column(column.data[at], column.labels.step(name, known), column.name)


def is_truths(rows: Any) -> bool:
    """Whether rows are chosen by truths."""
    return getattr(settled_all(rows), "dtype", None) == np.bool_


def masked(column: Column, truths: Any) -> Column:
    """Return the rows where something holds."""
    _, (_, holds) = numbers_of((column, truths))
    return taken(column, holds)  # type: ignore[no-any-return]


def _is_whole(rows: slice) -> bool:
    return all(x is None or isinstance(x, int) for x in (rows.start, rows.stop, rows.step))


def _is_label(rows: Any) -> bool:
    return isinstance(rows, tuple) or bool(sys.modules["pandas"].api.types.is_scalar(rows))


# --- combining -----------------------------------------------------------------------------------


def settled_all(given: Any) -> Any:
    """Return the numbers of Columns, in lists and tuples too; anything else as it is."""
    if isinstance(given, tuple | list):
        return type(given)(map(settled_all, given)) if type(given) in (tuple, list) else given
    return given.whole() if isinstance(given, Labelled) else given


def numbers_of(operands: tuple[Any, ...]) -> tuple[Labels, list[Any]]:
    """Return the labels of operands, of which one is a Column, and the numbers of each.

    Raises
    ------
    ArgumentError
        Where their rows are not the same, or they do not hold numbers.
    """
    plain, found = [], None
    for operand in operands:
        labels, numbers = _labelled(operand)
        plain.append(numbers)
        if labels is not None and found is not None:
            check_same(found, labels)
        found = found or labels
    assert found is not None
    return found, plain


def _with_series(name: str, x: Value, other: Any, reflected: bool) -> Any:
    """Apply an operator to a Value and one of pandas' own Series, or leave it to a stand-in."""
    if isinstance(other, Labelled):
        return NotImplemented
    labels, own = _labelled(other)
    assert labels is not None
    ufunc = getattr(np, _UFUNCS.get(name, name))
    column = Column(own, labels, other.name)
    return combined(ufunc, (column, x) if reflected else (x, column), {})


WITH_SERIES.append(_with_series)
_UFUNCS = {"sub": "subtract", "mul": "multiply", "div": "true_divide", "pow": "power"}
_UFUNCS |= {"mod": "remainder", "eq": "equal", "ne": "not_equal", "lt": "less", "gt": "greater"}
_UFUNCS |= {"le": "less_equal", "ge": "greater_equal"}


def _labelled(operand: Any) -> tuple[Labels | None, Any]:
    if isinstance(operand, Column):
        return operand.labels, operand.data
    kind = of_pandas(operand)
    if not kind:
        return None, operand
    if kind == "DataFrame" or not is_plain(operand.dtype):
        raise ArgumentError(
            f"{user_location()}: pandas' {kind} of dtype {getattr(operand, 'dtype', 'several')} is "
            "combined with traced numbers; expected a Series of NumPy's numbers; write "
            ".astype(float)"
        )
    return Labels(Rows(operand.index)) if kind == "Series" else None, operand.to_numpy()


def combined(ufunc: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Apply a ufunc to the numbers of Columns, and give the result their labels."""
    labels, plain = numbers_of(inputs)
    if ufunc in (np.floor_divide, np.remainder, np.divmod):
        _check_divisor(*plain)
    named = [x.name for x in inputs if isinstance(x, Column) or of_pandas(x)]
    name = named[0] if all(other == named[0] for other in named) else None
    if ufunc in _OPERATORS:
        plain = [weak(x) for x in plain]
    made = ufunc(*plain, **keywords)
    size = next(x.size for x in inputs if isinstance(x, Column))

    def column(data: Any) -> Column:
        if data.shape != (size,):
            raise ShapeError(
                f"{user_location()}: a Series of {size} rows with an array gives the shape "
                f"{data.shape}; expected one number for each row; write s.to_numpy()"
            )
        return Column(data, labels, name)

    return tuple(map(column, made)) if isinstance(made, tuple) else column(made)


def weak(number: Any) -> Any:
    """Return a number as pandas takes it beside a column: its type does not count there."""
    if isinstance(number, Traced) and not number.dims:
        wide = number.astype(float) if number.kind == "f4" else number
        kind = _WEAK.get(wide.kind, wide.kind)
        return make(wide.tape, wide.code, (), (), kind)
    if isinstance(number, np.generic | np.ndarray) and not number.shape:
        return number.item() if number.dtype.kind in "fiu" else number
    return number


_WEAK = {"f8": "float", "i8": "int"}
_OPERATORS: tuple[np.ufunc, ...] = (
    np.add,
    np.subtract,
    np.multiply,
    np.true_divide,
    np.floor_divide,
    np.remainder,
)
_OPERATORS += (np.divmod, np.power, np.equal, np.not_equal, np.less, np.less_equal)
_OPERATORS += (np.greater, np.greater_equal)


def _check_divisor(number: Any, divisor: Any) -> None:
    """Refuse to divide integers by what may be 0: pandas makes infinities of that."""
    known = isinstance(divisor, int) and divisor != 0
    if not known and all(element_type(x).kind != "f" for x in (number, divisor)):
        raise refused("// and % of integers by integers", "write s.astype(float)")

"""What stands for a pandas DataFrame while a function is traced: columns with common labels.

>>> from jitgrad.labels import Labels, Rows
>>> table = Table(Labels(Rows(range(2))), ("x", "y"), [np.ones(2), np.array([2.0, 3.0])])
>>> (table["x"] + table.y).values
array([3., 4.])
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from jitgrad.errors import ArgumentError, ShapeError, user_location
from jitgrad.labels import (
    Labels,
    Part,
    Rows,
    check_dtype,
    check_same,
    of_pandas,
    refused,
)
from jitgrad.protocols import Labelled
from jitgrad.series import (
    At,
    Column,
    element_type,
    is_truths,
    masked,
    numbered,
    numbers_of,
    settled_all,
    taken,
)
from jitgrad.series_methods import reduced


class Table(Labelled, NDArrayOperatorsMixin):
    """A DataFrame in a trace.

    Parameters
    ----------
    labels : Labels
        The labels of its rows.
    columns : Any
        The names of its columns: pandas' index of them.
    parts : list
        Of each column its numbers, an array with the place of the column in it, or a `Part` where
        it does not hold numbers.
    """

    __slots__ = ("columns", "labels", "parts")
    __hash__ = object.__hash__

    def __init__(self, labels: Labels, columns: Any, parts: list[Any]) -> None:
        self.labels, self.columns, self.parts = labels, columns, parts

    # --- what it holds ---

    def whole(self) -> Any:
        """Return its numbers as one array."""
        return self.values

    @property
    def values(self) -> Any:
        """Its numbers as one array."""
        blocks = {id(part[0]) if isinstance(part, tuple) else 0 for part in self.parts}
        if len(blocks) == 1 and 0 not in blocks:
            return _chosen(self.parts[0][0], [place for _, place in self.parts])
        numbers = [self.numbers(n) for n in range(len(self.parts))]
        kinds = [element_type(part) for part in numbers]
        if len({kind == np.bool_ for kind in kinds}) > 1:
            raise refused("truths beside numbers as one array", "write df.astype(float)")
        common = np.result_type(*kinds)
        return np.stack([_as(part, common) for part in numbers], axis=1)

    def to_numpy(self, dtype: Any = None, copy: bool = False) -> Any:
        """Return its numbers as one array."""
        return self.values if dtype is None else self.values.astype(dtype)

    @property
    def index(self) -> Any:
        """Pandas' index; the function is traced for each one."""
        return self.labels.contents()

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows and of columns."""
        return len(self), len(self.parts)

    @property
    def size(self) -> int:
        """The number of elements."""
        return len(self) * len(self.parts)

    @property
    def ndim(self) -> int:
        """2."""
        return 2

    @property
    def empty(self) -> bool:
        """Whether there are no elements."""
        return self.size == 0

    @property
    def iloc(self) -> At:
        """Rows, or rows and columns, by position."""
        return At(self._by_position)

    @property
    def loc(self) -> At:
        """Rows by truths, or all of them, and columns by name."""
        return At(self._by_label)

    iat = iloc
    at = loc

    def keys(self) -> Any:
        """Return the names of the columns."""
        return self.columns

    def items(self) -> Iterator[tuple[Any, Column]]:
        """List the columns with their names."""
        return ((name, self._column(n)) for n, name in enumerate(self.columns))

    def __len__(self) -> int:
        first = self.parts[0] if self.parts else self.labels.of(self.labels.part.thing)
        first = first[0] if isinstance(first, tuple) else first
        return len(first.thing if isinstance(first, Part) else first)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.columns)

    def __contains__(self, name: Any) -> bool:
        return name in self.columns

    def __getitem__(self, names: Any) -> Any:
        if is_truths(names):
            return self._rows(lambda column: masked(column, names))
        if isinstance(names, slice):
            return self._rows(lambda column: column[names])
        if isinstance(names, list) or of_pandas(names) == "Index":
            return self._chosen([self._place(name) for name in names])
        return self._column(self._place(names))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self.columns:
            return self[name]
        raise refused(f"DataFrame.{name}", 'write it with NumPy over df["x"] or df.to_numpy()')

    def __setitem__(self, name: Any, value: Any) -> NoReturn:
        raise refused(
            "assigning to a DataFrame",
            "keep the column in a variable, or write df = df.assign(name=...)",
        )

    def __bool__(self) -> NoReturn:
        raise ArgumentError(f"{user_location()}: the truth value of a DataFrame")

    def __repr__(self) -> str:
        return f"Table({', '.join(map(str, self.columns))})"

    def _place(self, name: Any) -> int:
        if name not in self.columns:
            raise KeyError(name)
        places = [n for n, other in enumerate(self.columns) if other == name]
        if len(places) > 1:
            raise refused(f"the name {name!r} of several columns", "write .iloc[:, n]")
        return places[0]

    def _column(self, place: int) -> Any:
        """Return a column; one that does not hold numbers is pandas' own, as it is."""
        part, name = self.parts[place], self.columns[place]
        if not isinstance(part, Part):
            return Column(self.numbers(place), self.labels, name)
        check_dtype(part.thing, f"column {name!r}", f"df[{name!r}]")
        if self.labels.steps:
            raise refused(f"rows of column {name!r}", "choose them outside the loss")
        column, index = part.contents(), self.labels.contents()
        return column if column.index is index else column.set_axis(index)

    def _chosen(self, places: list[int]) -> Table:
        return Table(self.labels, self.columns[places], [self.parts[n] for n in places])

    def numbers(self, place: int) -> Any:
        """Return the numbers of a column."""
        part = self.parts[place]
        if isinstance(part, Part):
            check_dtype(part.thing, f"column {self.columns[place]!r}", "df")
            raise refused(
                f"column {self.columns[place]!r} of dtype {part.thing.dtype} among numbers",
                'choose the columns first: df[["x", "y"]]',
            )
        return part[0][:, part[1]] if isinstance(part, tuple) else part

    def _rows(self, choose: Callable[[Column], Any]) -> Table:
        kept = [n for n, part in enumerate(self.parts) if not isinstance(part, Part)]
        made = [choose(self._column(n)) for n in kept]
        if len(kept) < len(self.parts) or not made:
            raise refused(
                "rows of a DataFrame with columns that are not numbers",
                'choose the columns first: df[["x", "y"]]',
            )
        return Table(made[0].labels, self.columns, [column.data for column in made])

    def _by_position(self, at: Any) -> Any:
        rows, places = at if isinstance(at, tuple) else (at, slice(None))
        if isinstance(places, int | np.integer):
            column = self._column(int(places))
            return column if _is_all(rows) else column.iloc[rows]
        every = list(range(len(self.parts)))
        chosen = every[places] if isinstance(places, slice) else [every[n] for n in places]
        table = self if chosen == every else self._chosen(chosen)
        if isinstance(rows, int | np.integer):
            return Column(table.values[int(rows)], Labels(Rows(table.columns)))
        return table if _is_all(rows) else table._rows(lambda column: taken(column, rows))

    def _by_label(self, at: Any) -> Any:
        rows, names = at if isinstance(at, tuple) else (at, slice(None))
        found = self if isinstance(names, slice) and _is_all(names) else self[names]
        if _is_all(rows):
            return found
        if is_truths(rows) or isinstance(found, Column):
            return found[rows] if is_truths(rows) else found.loc[rows]
        raise refused("df.loc of labels of rows", "write df.iloc[...] for positions")

    # --- NumPy's protocols ---

    __pandas_priority__ = 20_000  # before a real Series and DataFrame

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise refused("making a plain array of a DataFrame", "write df.to_numpy()")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        if method != "__call__" or keywords or ufunc.nout > 1:
            raise refused(f"np.{ufunc.__name__} of a DataFrame", "write df.to_numpy()")
        if ufunc is np.matmul:
            return inputs[0] @ inputs[1]
        for other in inputs:
            if isinstance(other, Column) or of_pandas(other) or np.ndim(settled_all(other)) == 1:
                raise refused(
                    "a DataFrame with one axis of numbers, which pandas aligns with its columns,",
                    "write df.to_numpy()",
                )
        self._check_fits(inputs)
        made = ufunc(*settled_all(inputs))
        if made.shape != self.shape:
            raise ShapeError(
                f"{user_location()}: a DataFrame of shape {self.shape} with an array gives the "
                f"shape {made.shape}; write df.to_numpy()"
            )
        return of_whole(made, self.labels, self.columns)

    def _check_fits(self, inputs: Any) -> None:
        for other in inputs:
            if isinstance(other, Table) and other is not self:
                check_same(self.labels, other.labels)
                check_same(Labels(Rows(self.columns)), Labels(Rows(other.columns)))

    def __array_function__(self, function: Any, _types: Any, inputs: Any, keywords: Any) -> Any:
        if function.__name__ not in _PLAIN:
            raise refused(f"np.{function.__name__} of a DataFrame", "write df.to_numpy()")
        return function(*settled_all(inputs), **{k: settled_all(x) for k, x in keywords.items()})

    def __matmul__(self, other: Any) -> Any:
        return self.dot(other)

    def __rmatmul__(self, other: Any) -> Any:
        raise refused("an array @ a DataFrame", "write x @ df.to_numpy()")

    # --- methods ---

    def dot(self, other: Any) -> Any:
        """Return the product with an array, or with a Series over the names of the columns."""
        if isinstance(other, Table):
            raise refused("a DataFrame @ a DataFrame", "write df.to_numpy() @ other.to_numpy()")
        if isinstance(other, Column) or of_pandas(other):
            names = Column(np.zeros(len(self.parts)), Labels(Rows(self.columns)))
            _, (_, other) = numbers_of((names, other))
        made = np.matmul(self.values, other)
        if len(made.shape) == 1:
            return Column(made, self.labels)
        return of_whole(made, self.labels, sys.modules["pandas"].RangeIndex(made.shape[1]))

    def copy(self, deep: bool = True) -> Table:
        """Return the same numbers; a trace changes none."""
        return Table(self.labels, self.columns, list(self.parts))

    def assign(self, **columns: Any) -> Table:
        """Return it with other columns, or more of them."""
        table = self
        for name, value in columns.items():
            table = table._with(name, value(table) if callable(value) else value)
        return table

    def _with(self, name: str, value: Any) -> Table:
        whole = Column(np.zeros(len(self)), self.labels)
        _, (_, numbers) = numbers_of((whole, value))
        numbers = numbers if np.ndim(numbers) else np.broadcast_to(numbers, (len(self),))
        if name in self.columns:
            parts = list(self.parts)
            parts[self._place(name)] = numbers
            return Table(self.labels, self.columns, parts)
        columns = self.columns.append(type(self.columns)([name]))
        return Table(self.labels, columns, [*self.parts, numbers])

    def drop(self, labels: Any = None, *, columns: Any = None, axis: Any = 0) -> Table:
        """Return it without some columns."""
        if labels is not None and axis not in (1, "columns"):
            raise refused("df.drop of rows", "do it outside the loss")
        gone = labels if columns is None else columns
        gone = {self._place(name) for name in (gone if isinstance(gone, list) else [gone])}
        return self._chosen([n for n in range(len(self.parts)) if n not in gone])

    def reset_index(self, drop: bool = False) -> Table:
        """Number the rows from 0; only with ``drop=True``."""
        if not drop:
            raise refused("reset_index() that keeps the index", "write reset_index(drop=True)")
        return Table(numbered(len(self)), self.columns, self.parts)


def _is_all(rows: Any) -> bool:
    return isinstance(rows, slice) and rows == slice(None)


def _as(part: Any, dtype: np.dtype[Any]) -> Any:
    return part if element_type(part) == dtype else part.astype(dtype)


def of_whole(whole: Any, labels: Labels, columns: Any) -> Table:
    """Make a Table of an array."""
    return Table(labels, columns, [(whole, n) for n in range(whole.shape[1])])


def _chosen(block: Any, places: list[int]) -> Any:
    """Return columns of an array, as a view where they lie evenly."""
    if places == list(range(block.shape[1])):
        return block
    step = places[1] - places[0] if len(places) > 1 else 1
    if step > 0 and places == list(range(places[0], places[-1] + 1, step)):
        return block[:, places[0] : places[-1] + 1 : step]
    return block[:, places]


def _reduction(name: str) -> Callable[..., Any]:
    def method(self: Table, axis: Any = 0, skipna: bool = True, **options: Any) -> Column:
        if axis not in (0, 1, "index", "columns"):
            raise refused(f"df.{name}(axis={axis!r})", f"write np.{name}(df.to_numpy())")
        across = axis in (1, "columns")
        made = reduced(name, self.values, int(across), skipna, **options)
        return Column(made, self.labels if across else Labels(Rows(self.columns)))

    method.__name__ = name
    method.__doc__ = f"Return pandas' ``{name}`` of each column, or of each row."
    return method


for _name in ("sum", "mean", "min", "max", "prod", "std", "var"):
    setattr(Table, _name, _reduction(_name))
_PLAIN: tuple[str, ...] = (
    "dot",
    "concatenate",
    "column_stack",
    "hstack",
    "vstack",
    "stack",
    "einsum",
    "inner",
)
_PLAIN += ("tensordot", "where", "norm", "multi_dot", "shape", "ndim", "size")

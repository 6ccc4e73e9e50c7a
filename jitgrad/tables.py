"""pandas' tables: taken apart for a kernel, and put together again.

A Series is its index and an array; a DataFrame its index and one array of all columns where they
are of one dtype, else one for each. Columns that do not hold NumPy's numbers are parts whose
contents count when a loss asks for them. In a trace they are put together as a `Column` or a
`Table`. pandas itself is never imported: there are no tables before the user has done it.

>>> is_table(np.ones(2))
False
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np
import optree

from jitgrad.frames import Table
from jitgrad.labels import Labels, Part, Rows, check_dtype, is_plain, of_pandas
from jitgrad.series import Column

Array = np.ndarray[Any, Any]
NAMESPACE = "jitgrad"
MOST = 16  # columns of one dtype that are inputs of their own, beside others


class Layout:
    """How a DataFrame is cut into leaves: part of the structure of a call's arguments.

    Parameters
    ----------
    columns : Index
        The names of the columns.
    blocks : tuple of (tuple of int, str)
        For each leaf after the index, which columns it holds, and how they lie: "column" (one by
        itself), "rows" (row after row), "columns" (column after column) or "part".
    """

    __slots__ = ("blocks", "columns")

    def __init__(self, columns: Any, blocks: tuple[tuple[tuple[int, ...], str], ...]) -> None:
        self.columns, self.blocks = columns, blocks

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layout) or self.blocks != other.blocks:
            return False
        return self.columns is other.columns or bool(self.columns.equals(other.columns))

    def __hash__(self) -> int:
        return hash(self.blocks)


def register() -> None:
    """Tell optree how to take pandas' objects apart, once the user has imported pandas."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and hasattr(pandas, "DataFrame"):
        _register(pandas)


@functools.lru_cache(maxsize=1)
def _register(pandas: Any) -> None:
    made: Any = functools.partial(optree.register_pytree_node, namespace=NAMESPACE)
    made(pandas.Series, _series_apart, _series)
    made(pandas.DataFrame, _frame_apart, _frame)
    made(Column, _column_apart, _series)
    made(Table, _table_apart, _frame)


def is_table(thing: Any) -> bool:
    """Whether it is a Series or DataFrame that can be taken apart."""
    return of_pandas(thing) in _KINDS


_KINDS = ("Series", "DataFrame")


def numbers(column: Any) -> Array:
    """Return the array of a Series: its own memory, which pandas only shows to be read."""
    array: Array = column.to_numpy()
    return _writable(array)


def _writable(array: Array) -> Array:
    if array.flags.writeable:
        return array
    view = array.view()
    try:
        view.flags.writeable = True  # kernels take such, and write to none of their inputs
    except ValueError:
        return array
    return view


def _series_apart(series: Any) -> tuple[Any, Any, Any]:
    data = numbers(series) if is_plain(series.dtype) else Part(series)
    return (Rows(series.index), data), series.name, ("index", "values")


def _frame_apart(frame: Any) -> tuple[Any, Any, Any]:
    whole = frame.to_numpy() if len(frame.columns) > 1 else None
    if whole is None or whole.flags.writeable or not is_plain(whole.dtype):
        blocks, leaves = _mixed([column for _, column in frame.items()])
    else:  # what is shown to be read only is one block of one dtype
        whole = _writable(whole)
        lies = "rows" if whole.flags.c_contiguous else "columns"
        blocks = ((tuple(range(whole.shape[1])), lies),)
        leaves = [whole if lies == "rows" else whole.T]
    names = [str(frame.columns[block[0]]) if len(block) == 1 else "numbers" for block, _ in blocks]
    return (Rows(frame.index), *leaves), Layout(frame.columns, blocks), ("index", *names)


def _mixed(columns: list[Any]) -> tuple[tuple[tuple[tuple[int, ...], str], ...], list[Any]]:
    """Return the blocks and leaves of columns of several dtypes."""
    groups: dict[Any, list[int]] = {}
    for n, column in enumerate(columns):
        groups.setdefault(column.dtype if is_plain(column.dtype) else n, []).append(n)
    blocks: list[tuple[tuple[int, ...], str]] = []
    leaves: list[Any] = []
    for kind, places in groups.items():
        if isinstance(kind, np.dtype) and len(places) > MOST:
            blocks.append((tuple(places), "columns"))
            leaves.append(np.stack([numbers(columns[n]) for n in places]))
            continue
        plain = isinstance(kind, np.dtype)
        blocks += [((n,), "column" if plain else "part") for n in places]
        leaves += [numbers(columns[n]) if plain else Part(columns[n]) for n in places]
    return tuple(blocks), leaves


def _column_apart(column: Column) -> tuple[Any, Any, Any]:
    return (column.labels, column.data), column.name, ("index", "values")


def _table_apart(table: Table) -> tuple[Any, Any, Any]:
    blocks = tuple(
        ((n,), "part" if isinstance(part, Part) else "column") for n, part in enumerate(table.parts)
    )
    names = map(str, table.columns)
    parts = (
        part if isinstance(part, Part) else table.numbers(n) for n, part in enumerate(table.parts)
    )
    return (table.labels, *parts), Layout(table.columns, blocks), ("index", *names)


def _series(name: Any, children: Any) -> Any:
    """Put a Series together: a `Column` where its index says that it is in a trace."""
    part, data = children
    labels = _traced_labels(part)
    if labels is None:
        return sys.modules["pandas"].Series(data, index=part.thing, name=name, copy=False)
    if isinstance(data, Part):
        check_dtype(data.thing, f"Series {name}", "s")
        return data.contents()
    return Column(data, labels, name)


def _frame(layout: Layout, children: Any) -> Any:
    """Put a DataFrame together: a `Table` where its index says that it is in a trace."""
    part, *leaves = children
    labels = _traced_labels(part)
    parts: list[Any] = [None] * sum(len(places) for places, _ in layout.blocks)
    whole = None
    for (places, lies), leaf in zip(layout.blocks, leaves, strict=True):
        if lies in ("column", "part") or leaf is None:
            parts[places[0]] = leaf
            continue
        block = leaf if lies == "rows" else leaf.T
        whole = block if len(layout.blocks) == 1 else None
        for n, place in enumerate(places):
            parts[place] = (block, n) if labels is not None else block[:, n]
    if labels is not None:
        return Table(labels, layout.columns, parts)
    return _real_frame(part.thing, layout.columns, parts, whole)


def _real_frame(index: Any, columns: Any, parts: list[Any], whole: Any) -> Any:
    """Make pandas' DataFrame; columns that have no numbers are left out."""
    pandas = sys.modules["pandas"]
    if whole is not None:
        return pandas.DataFrame(whole, index=index, columns=columns, copy=False)
    kept = [n for n, part in enumerate(parts) if part is not None]
    contents = [part.thing if isinstance(part := parts[n], Part) else part for n in kept]
    made = pandas.DataFrame(dict(enumerate(contents)), index=index, copy=False)
    made.columns = columns[kept]
    return made


def _traced_labels(part: Any) -> Labels | None:
    if isinstance(part, Labels):
        return part
    return Labels(part) if part.is_given else None

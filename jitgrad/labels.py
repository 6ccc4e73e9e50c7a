"""Which rows a table has: what stands for pandas' indexes while a function is traced.

pandas combines two columns by their indexes, not by their positions. An index may be another at
each call, so a trace is not kept for its contents, only for which indexes of a call are equal.
Where a loss asks for more than that (``s["rate"]``, ``df.index``), the contents count from then on.

>>> rows = Labels(Rows(["a", "b", "c"]))
>>> rows.same(Labels(Rows(["a", "b", "c"]))), rows.step("head", slice(0, 2)).contents()
(True, ['a', 'b'])
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

from jitgrad.errors import ArgumentError, UnsupportedError, user_location


def refused(what: str, advice: str) -> UnsupportedError:
    """Make the error for what pandas has and a trace has not."""
    return UnsupportedError(f"{user_location()}: {what} in a compiled loss; {advice}")


def is_plain(dtype: Any) -> bool:
    """Whether a column's dtype is one of NumPy's that a kernel can take."""
    return isinstance(dtype, np.dtype) and dtype.kind in "fiub" and dtype.itemsize <= 8


def is_from_pandas(kind: type) -> bool:
    """Whether a class is one of pandas' own, and not one that extends it."""
    return kind.__module__.partition(".")[0] == "pandas"


def of_pandas(thing: Any) -> str:
    """Return "Series", "DataFrame" or "Index" for pandas' own objects, else an empty string."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not is_from_pandas(type(thing)):
        return ""
    names = ("Series", "DataFrame", "Index")
    return next((name for name in names if isinstance(thing, getattr(pandas, name, ()))), "")


def check_dtype(series: Any, what: str, name: str) -> None:
    """Refuse numbers in a dtype of pandas' own, which may be missing.

    Raises
    ------
    ArgumentError
        For Float64, Int64, boolean, sparse and complex ones.
    """
    if getattr(series.dtype, "kind", "O") in "fiubc":
        raise ArgumentError(
            f"{user_location()}: {what} is of dtype {series.dtype}; expected one of NumPy's "
            f"numbers; write {name}.astype(float) outside the loss"
        )


class ContentsNeeded(Exception):  # noqa: N818 - it never gets out
    """The function asks for the contents of a part of a table: trace it for each of them."""

    def __init__(self, given: tuple[str, int]) -> None:
        super().__init__()
        self.given = given


class Part:
    """An index, or a column that does not hold numbers, whose contents do not count until asked.

    Parameters
    ----------
    thing : Any
        pandas' Index or Series.
    given : tuple of (str, int), optional
        In a trace: the source and the number of the leaf that it is.
    known : bool
        Whether the trace is kept for its contents.
    """

    __slots__ = ("given", "known", "thing")

    def __init__(
        self, thing: Any, given: tuple[str, int] | None = None, known: bool = True
    ) -> None:
        self.thing, self.given, self.known = thing, given, known

    def contents(self) -> Any:
        """Return the index or the column; raise `ContentsNeeded` where they do not count yet."""
        if self.given is not None and not self.known:
            raise ContentsNeeded(self.given)
        return self.thing

    @property
    def is_given(self) -> bool:
        """Whether it came with the call, among whose indexes the equal ones are known."""
        return self.given is not None


class Rows(Part):
    """The index of a table."""

    __slots__ = ()


class Labels:
    """The labels of the rows that are at hand.

    Parameters
    ----------
    part : Part
        The index of the whole table.
    steps : tuple
        Which rows of it were taken, step by step: a name of the step, and the rows; None where
        they are known only when the kernel runs.
    """

    __slots__ = ("part", "steps")

    def __init__(self, part: Part, steps: tuple[tuple[Hashable, Any], ...] = ()) -> None:
        self.part, self.steps = part, steps

    def step(self, name: Hashable, rows: Any) -> Labels:
        """Return the labels of some of the rows; equal names are of equal rows."""
        return Labels(self.part, (*self.steps, (name, rows)))

    def contents(self) -> Any:
        """Return the labels themselves; the trace is kept for them from now on."""
        return self.of(self.part.contents())

    def of(self, index: Any) -> Any:
        """Return the rows of an index that were taken."""
        for _, rows in self.steps:
            if rows is None:
                raise UnsupportedError(
                    f"{user_location()}: the index of rows whose positions are known only when the "
                    "kernel runs; write .to_numpy() of the columns"
                )
            index = index[rows]
        return index

    def same(self, other: Labels) -> bool:
        """Whether two tables have equal labels in the same order, at each call of the trace."""
        if [name for name, _ in self.steps] == [name for name, _ in other.steps]:
            if self.part is other.part:
                return True
            if self.part.is_given and other.part.is_given:
                return equal(self.part.thing, other.part.thing)
        elif self.part.is_given and other.part.is_given:
            return False  # by chance they might be equal at this call
        return equal(self.contents(), other.contents())


def equal(index: Any, other: Any) -> bool:
    """Whether pandas would take two indexes as they are, without aligning."""
    return index is other or (index.equals(other) if hasattr(index, "equals") else index == other)


def alike(leaves: Iterable[Any]) -> tuple[int, ...]:
    """Return for each index of a call the number of the first one that is equal to it."""
    found: list[Any] = []
    pattern = []
    for part in leaves:
        if not isinstance(part, Rows):
            continue
        at = next((n for n, index in enumerate(found) if equal(index, part.thing)), len(found))
        if at == len(found):
            found.append(part.thing)
        pattern.append(at)
    return tuple(pattern)


def check_same(labels: Labels, other: Labels) -> None:
    """Refuse to combine columns whose rows pandas would have to align.

    Raises
    ------
    ArgumentError
        Where the labels are not the same.
    """
    if not labels.same(other):
        raise ArgumentError(
            f"{user_location()}: two pandas objects with different indexes are combined; pandas "
            "would align them by their labels, a kernel goes by position. Write .to_numpy() of "
            "both to combine them by position, or align them outside the loss"
        )

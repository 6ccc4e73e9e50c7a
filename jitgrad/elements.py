"""Element types: NumPy's rules of promotion, and which of two types a statement computes in.

A kind is NumPy's short name of an element type: ``f4``, ``i8``, ``b1``. A Python number is of the
kind ``float`` or ``int``, which gives way to the other operands' kinds (NEP 50). A kernel computes
in float64 (``f8``), or in float32 (``f4``) where NumPy's result has this type; float16 counts as
float32. Integers are data: they are exact up to 2**53, and never wrap around.

>>> typed("mul", ("f4", "float")).kind, typed("mul", ("f4", "i4")).kind
('f4', 'f8')
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jitgrad.ops import OPS, TRUTHS

FLOATS = frozenset({"f8", "f4", "float"})
WEAK = {"float": 1.0, "int": 1}
_PYTHON = {float: "float", int: "int", bool: "b1"}
_OPERATORS = frozenset({"add", "sub", "mul", "div", "pow", "mod", "floor_divide", "neg", "abs"})
_ALIKE = frozenset({"copy", "detach", "attach", "relu"})  # results are of the operand's kind
_WHOLE = frozenset(
    {"maximum", "minimum", "fmax", "fmin", "fmod", "where", "sign", "square"}
    | {"floor", "ceil", "trunc"}
)


class Typed(NamedTuple):
    """What an op makes of operands of some kinds.

    Parameters
    ----------
    kind : str
        The result's element type in NumPy.
    dtype : str
        What it is computed and stored in: ``f8`` or ``f4``.
    singles : tuple of int
        The operands that are widened first.
    """

    kind: str
    dtype: str = "f8"
    singles: tuple[int, ...] = ()


def kind_of(dtype: np.dtype[Any]) -> str:
    """Return the kind of an array's elements.

    >>> kind_of(np.dtype(">f4")), kind_of(np.dtype(bool))
    ('f4', 'b1')
    """
    if dtype.kind == "f":
        return "f4" if dtype.itemsize <= 4 else "f8"
    return f"{dtype.kind}{dtype.itemsize}"


def kind_of_number(number: Any) -> str:
    """Return the kind of a scalar."""
    kind = _PYTHON.get(type(number))
    if kind is None:
        kind = kind_of(number.dtype) if isinstance(number, np.generic) else "float"
    return kind


def element_type(kind: str) -> np.dtype[Any]:
    """Return NumPy's dtype of an array of a kind."""
    return np.result_type(_sample(kind))


def stored(kind: str) -> str:
    """Return what results of a kind are computed and stored in."""
    return "f4" if kind == "f4" else "f8"


def rounded(number: float, dtype: str) -> float:
    """Return a constant as a statement that computes in ``dtype`` sees it."""
    return float(np.float32(number)) if dtype == "f4" else float(number)


def computed(op: str, operands: Sequence[Any], dtype: str) -> float:
    """Compute an op on numbers as a statement does; truths are looked at as they are."""
    truths = TRUTHS.get(op, 0)
    number = np.float32 if dtype == "f4" else float
    with np.errstate(all="ignore"):
        values = [x if n < truths else number(x) for n, x in enumerate(operands)]
        return rounded(OPS[op].evaluate(*values), dtype)


def fits(dtype: str, into: str) -> bool:
    """Whether every number of one stored type is there in another, to the bit.

    Integers count as data that fit float64.
    """
    return into in ("f8", dtype)


def strong(kind: str) -> str:
    """Return the kind of an array of such numbers."""
    return {"float": "f8", "int": "i8"}.get(kind, kind)


def joined(kinds: Sequence[str]) -> str:
    """Return the kind of an array that is put together from parts."""
    return kind_of(np.result_type(*(element_type(kind) for kind in kinds))) if kinds else "f8"


def added(kind: str) -> str:
    """Return the kind of a sum over an axis: NumPy counts truths, and adds integers in 64 bits."""
    return {"b": "i8", "i": "i8", "u": "u8", "f": strong(kind)}[kind[0]]


@functools.cache
def typed(op: str, kinds: tuple[str, ...]) -> Typed:
    """Say what NumPy's result is and what it is computed in.

    Parameters
    ----------
    op : str
        A row of the ops table.
    kinds : tuple of str
        Its operands' kinds.
    """
    truths = TRUTHS.get(op, 0)
    kinds = kinds[:1] if op == "attach" else kinds  # of its second operand only the derivative
    numbers = kinds[truths:] or kinds
    common = _common(numbers)
    if OPS[op].boolean:
        kind, dtype = "b1", "f4" if common == "f4" else "f8"
    else:
        kind = _result(op, numbers, common)
        dtype = stored(kind)
    singles = tuple(n for n in range(truths, len(kinds)) if kinds[n] == "f4" and dtype == "f8")
    return Typed(kind, dtype, singles)


def stored_from(kind: str, kinds: tuple[str, ...]) -> tuple[str, tuple[int, ...]]:
    """Return what a copy of a kind is stored in, and the operands that are widened for it."""
    wide = stored(kind) == "f8"
    return stored(kind), tuple(n for n, other in enumerate(kinds) if wide and other == "f4")


def _sample(kind: str) -> Any:
    return WEAK[kind] if kind in WEAK else np.dtype(kind)


def _common(kinds: tuple[str, ...]) -> str:
    return kind_of(np.result_type(*map(_sample, kinds)))


def _result(op: str, kinds: tuple[str, ...], common: str) -> str:
    if op == "pow" and common == "b1":
        return "i1"
    if WEAK.keys() >= set(kinds):
        return "float" if op in _OPERATORS | _ALIKE else "f8"
    if common[0] == "f" or op in _ALIKE | _WHOLE or op in _OPERATORS - {"div"}:
        return common
    looked_at = (common,) if "int" in kinds else kinds
    sizes = [np.dtype(kind).itemsize for kind in looked_at]
    short = op != "div" and max(sizes) <= 2  # np.exp of int16 is float32
    return "f4" if short else "f8"

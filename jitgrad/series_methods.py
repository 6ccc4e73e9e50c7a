"""The methods of a Series in a trace: as pandas has them, without what is not a number.

>>> from jitgrad.labels import Labels, Rows
>>> column = Column(np.array([1.0, np.nan, 3.0]), Labels(Rows(["a", "b", "c"])))
>>> column.cumsum().fillna(0.0).values
array([1., 0., 4.])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jitgrad.errors import ShapeError, user_location
from jitgrad.labels import refused
from jitgrad.series import Column, combined, element_type, numbers_of, taken


def method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function a method of `Column`, under its name without a last underscore."""
    setattr(Column, function.__name__.rstrip("_"), function)
    return function


@method
def astype(self: Column, dtype: Any) -> Any:
    """Return it with numbers of another dtype."""
    return self.like(self.data.astype(dtype))


@method
def abs_(self: Column) -> Any:
    """Return the absolute values."""
    return combined(np.abs, (self,), {})


@method
def round_(self: Column, decimals: int = 0) -> Any:
    """Return the rounded numbers."""
    return self.like(np.round(self.data, decimals))


@method
def clip(self: Column, lower: Any = None, upper: Any = None, **options: Any) -> Any:
    """Return the numbers moved between bounds."""
    lower, upper = (options.pop(name, x) for name, x in (("min", lower), ("max", upper)))
    without("clip", options)
    _, (own, low, high) = numbers_of((self, lower, upper))
    low, high = (None if isinstance(x, float) and x != x else x for x in (low, high))
    return self if low is None and high is None else self.like(np.clip(own, low, high))


@method
def cumsum(self: Column, axis: Any = None, skipna: bool = True, **options: Any) -> Any:
    """Return the running sums; what is not a number stays, and does not count."""
    return _running(self, np.cumsum, 0.0, skipna, options)


@method
def cumprod(self: Column, axis: Any = None, skipna: bool = True, **options: Any) -> Any:
    """Return the running products; what is not a number stays, and does not count."""
    return _running(self, np.cumprod, 1.0, skipna, options)


def _running(self: Column, scan: Any, neutral: float, skipna: bool, options: Any) -> Any:
    without(scan.__name__, options)
    if not (skipna and has_nan(self.data)):
        return self.like(scan(self.data))
    nan = np.isnan(self.data)
    return self.like(np.where(nan, np.nan, scan(np.where(nan, neutral, self.data))))


@method
def isna(self: Column) -> Any:
    """Return where there is no number."""
    return combined(np.isnan, (self,), {})


@method
def notna(self: Column) -> Any:
    """Return where there is a number."""
    return ~self.isna()


@method
def fillna(self: Column, value: Any) -> Any:
    """Return it with another number where there is none."""
    return self.where(self.notna(), value)


@method
def where(self: Column, cond: Any, other: Any = np.nan) -> Any:
    """Return it with another number where a condition does not hold."""
    _, (own, holds, others) = numbers_of((self, cond, other))
    return self.like(np.where(holds, own, others))


@method
def mask(self: Column, cond: Any, other: Any = np.nan) -> Any:
    """Return it with another number where a condition holds."""
    _, (own, holds, others) = numbers_of((self, cond, other))
    return self.like(np.where(holds, others, own))


@method
def between(self: Column, left: Any, right: Any, inclusive: str = "both") -> Any:
    """Return where the numbers lie between two bounds."""
    low = self >= left if inclusive in ("both", "left") else self > left
    high = self <= right if inclusive in ("both", "right") else self < right
    return low & high


@method
def shift(self: Column, periods: int = 1) -> Any:
    """Return the numbers of rows before; NaN where there is none."""
    size = self.size
    many = min(abs(periods), size)
    dtype = self.dtype if has_nan(self.data) else float
    none, kept = np.full(many, np.nan, dtype), self.data[: size - many]
    if periods < 0:
        return self.like(np.concatenate([self.data[many:], none]))
    return self.like(np.concatenate([none, kept]))


@method
def diff(self: Column, periods: int = 1) -> Any:
    """Return the differences to rows before; NaN where there is none."""
    return self.like(self.data - self.shift(periods).data)


@method
def head(self: Column, n: int = 5) -> Any:
    """Return the first rows."""
    return taken(self, slice(None, n))


@method
def tail(self: Column, n: int = 5) -> Any:
    """Return the last rows."""
    return taken(self, slice(-n if n else self.size, None))


@method
def any_(self: Column, axis: Any = None, **options: Any) -> Any:
    """Return whether any truth holds."""
    return _truths(self, np.any, options)


@method
def all_(self: Column, axis: Any = None, **options: Any) -> Any:
    """Return whether all truths hold."""
    return _truths(self, np.all, options)


def _truths(self: Column, function: Any, options: Any) -> Any:
    without(function.__name__, options)
    if self.dtype.kind != "b":
        raise refused(f".{function.__name__}() of numbers", "write (s != 0).any() or .all()")
    return function(self.data)


# --- reductions ----------------------------------------------------------------------------------


def has_nan(data: Any) -> bool:
    """Whether there may be something that is not a number."""
    return element_type(data).kind == "f"


def without(name: str, options: dict[str, Any]) -> None:
    """Refuse options that say something else than their defaults."""
    for option, value in options.items():
        if not (value is None or value is False or value is np._NoValue):
            raise refused(f"{name}({option}=...) of a Series", "write it over s.to_numpy()")


def reduced(name: str, data: Any, axis: Any = None, skipna: bool = True, **options: Any) -> Any:
    """Reduce numbers as pandas does: without what is not a number, unless ``skipna`` is False."""
    known = {"ddof": options.pop("ddof", 1)} if name in ("std", "var") else {}
    without(name, options)
    nan = "nan" if skipna and has_nan(data) else ""
    return getattr(np, nan + name)(data, axis=axis, **known)


def _reduction(name: str) -> Callable[..., Any]:
    def method(self: Column, axis: Any = None, skipna: bool = True, **options: Any) -> Any:
        if axis not in (None, 0, "index"):
            raise ShapeError(f"{user_location()}: axis {axis} of a Series; expected 0")
        return reduced(name, self.data, None, skipna, **options)

    method.__name__ = name
    method.__doc__ = f"Return pandas' ``{name}``."
    return method


@method
def count(self: Column) -> Any:
    """Return how many numbers there are."""
    return np.sum(self.notna().data) if has_nan(self.data) else self.size


def _flexible(ufunc: Any, reflected: bool) -> Callable[..., Any]:
    def method(
        self: Column, other: Any, level: Any = None, fill_value: Any = None, axis: Any = 0
    ) -> Any:
        if level is not None or fill_value is not None:
            raise refused("fill_value and level", "write s.fillna(...) before")
        return combined(ufunc, (other, self) if reflected else (self, other), {})

    return method


REDUCTIONS = {
    name: _reduction(name) for name in ("sum", "mean", "min", "max", "prod", "std", "var", "median")
}
_FLEXIBLE = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide}
_FLEXIBLE |= {"truediv": np.true_divide, "pow": np.power, "mod": np.remainder}
_FLEXIBLE |= {"floordiv": np.floor_divide}
_COMPARED = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal}
_COMPARED |= {"gt": np.greater, "ge": np.greater_equal}
for _name, _reduction_method in REDUCTIONS.items():
    setattr(Column, _name, _reduction_method)
for _alias, _name in {"isnull": "isna", "notnull": "notna", "product": "prod"}.items():
    setattr(Column, _alias, getattr(Column, _name))
for _name, _ufunc in _FLEXIBLE.items():
    setattr(Column, _name, _flexible(_ufunc, reflected=False))
    setattr(Column, f"r{_name}", _flexible(_ufunc, reflected=True))
for _name, _ufunc in _COMPARED.items():
    setattr(Column, _name, _flexible(_ufunc, reflected=False))

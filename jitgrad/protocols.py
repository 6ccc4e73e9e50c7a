"""NumPy's two protocols: the function of this package that a NumPy function means.

NumPy hands each call with a Value among the arguments to that Value, which looks here. What is not
in the table, and a keyword that the function here has not, raises `UnsupportedError`.

>>> from jitgrad import Value
>>> apply_ufunc(np.hypot, "__call__", (Value(3.0), 4.0), {})
Value(data=5.0, grad=0)
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np

from jitgrad.errors import UnsupportedError, user_location
from jitgrad.graph import with_numbers
from jitgrad.instead import INSTEAD

Function: TypeAlias = Callable[..., Any]
Meaning = TypeVar("Meaning", bound=Function)

NUMPY: dict[Any, Function] = {}  # `implements` fills in: (ufunc, method) or function -> its meaning
SPECIAL: dict[str, Function] = {}  # the name of one of scipy.special's ufuncs -> its meaning


class Labelled:
    """What stands for a table of pandas: NumPy's protocols are its own where it is an operand."""

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The extents of its numbers."""
        raise NotImplementedError

    def whole(self) -> Any:
        """Return its numbers, without labels."""
        raise NotImplementedError


def is_labelled(inputs: Any) -> bool:
    """Whether a table is among operands: a `Labelled`, or one of pandas' own."""
    return any(isinstance(x, Labelled) or hasattr(x, "iloc") for x in inputs)


def implements(*names: str) -> Callable[[Meaning], Meaning]:
    """Register what NumPy's functions of some names mean over Values.

    Parameters
    ----------
    *names : str
        As in ``np.name``: "pad", "linalg.norm", or a ufunc's method, "add.reduce". What this
        NumPy does not have is left out.

    Examples
    --------
    >>> implements("not_there")(abs) is abs, abs in NUMPY.values()
    (True, False)
    """

    def register(meaning: Meaning) -> Meaning:
        for name in names:
            key = _key(name)
            if key is not None:
                NUMPY[key] = meaning
        return meaning

    return register


def _key(name: str) -> Any:
    """Return what NumPy's protocols call a function."""
    owner: Any = np
    *modules, last = name.split(".")
    for module in modules:
        owner = getattr(owner, module, None)
    found = getattr(owner, last, None)
    if isinstance(owner, np.ufunc):
        return (owner, last)
    return (found, "__call__") if isinstance(found, np.ufunc) else found


def apply_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Call what a ufunc, or a method of one, means over Values."""
    meaning = NUMPY.get((ufunc, method)) or SPECIAL.get(ufunc.__name__)
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    given = {k: v for k, v in keywords.items() if k == "axis" or not _left_out(v)}
    if given.get("where") is True:  # an array's own methods say so
        del given["where"]
    if meaning is None and method == "outer" and (ufunc, "__call__") in NUMPY:
        return _outer(ufunc, name, inputs, given)
    if meaning is None:
        raise with_numbers(unknown(name), inputs)
    if given:
        _check_keywords(name, meaning, given)
    return meaning(*inputs, **given)


def _outer(ufunc: Any, name: str, inputs: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """Apply a ufunc of two arguments to each pair of their elements."""
    meaning = NUMPY[ufunc, "__call__"]
    _check_keywords(name, meaning, given)
    first, second = inputs
    return meaning(np.expand_dims(first, tuple(range(-np.ndim(second), 0))), second)


def apply_function(function: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Call what a function of NumPy means over Values.

    Its arguments are named by NumPy's own signature, and those with NumPy's default left out: a
    meaning has the parameters that it supports, under NumPy's names.
    """
    module = function.__module__.removeprefix("numpy").removeprefix(".")
    name = f"{module}.{function.__name__}" if module else function.__name__
    meaning = NUMPY.get(function)
    if meaning is None:
        raise with_numbers(unknown(name), inputs)
    positional, given = _arguments(function, inputs, keywords)
    _check_keywords(name, meaning, given)
    return meaning(*positional, **given)


def _arguments(
    function: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    positional: list[Any] = []
    given: dict[str, Any] = {}
    signature = signature_of(function)
    several = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
    for name, value in signature.bind(*inputs, **keywords).arguments.items():
        parameter = signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional.extend(value)
        elif parameter.kind is parameter.VAR_KEYWORD:
            given.update(value)
        elif parameter.kind is parameter.POSITIONAL_ONLY or (
            several and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ):
            positional.append(value)
        elif not (value is parameter.default or _left_out(value)) or name == "axis":
            given[name] = value
    return positional, given


def _check_keywords(name: str, meaning: Function, given: dict[str, Any]) -> None:
    """Refuse a keyword that is not supported."""
    parameters = signature_of(meaning).parameters
    refused = [keyword for keyword in given if keyword not in parameters]
    if not refused or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    advice = f"It takes Values, but not with these arguments: {', '.join(refused)}."
    if "out" in refused:
        advice = "A plain array cannot hold Values: write x = x + v, not x += v or out=x."
    elif "where" in refused:
        advice += " Write np.where(condition, np.f(x), y)."
    elif {"dtype", "casting"} & set(refused):
        advice += " Write x.astype(...) before."
    raise UnsupportedError(f"{user_location()}: np.{name} cannot be applied to a Value. {advice}")


def unknown(name: str) -> UnsupportedError:
    """Make the error for a function of NumPy that is not in the table."""
    advice = INSTEAD.get(name) or INSTEAD.get(name.rpartition(".")[2]) or _ELSE
    return UnsupportedError(f"{user_location()}: np.{name} cannot be applied to a Value. {advice}")


_ELSE = "Write it with operators, indexing and the functions in docs/numpy.md."


def _left_out(value: Any) -> bool:
    return value is None or value is np._NoValue


signature_of = functools.cache(inspect.signature)

"""SciPy's own functions for plain arguments, those of this package where Values are among them.

So ``jitgrad.scipy`` can stand for SciPy: what is not differentiated costs and gives what it does
there. A function that is given a function may meet Values in it; it is computed here, and what
does not depend on a Value comes back plain.

>>> total = either(lambda x: np.sum(x) * 1.0, "stats", "tmean")
>>> total([1.0, 2.0]), total(Value([1.0, 2.0]))
(np.float64(1.5), Value(data=3.0, grad=0))
"""

from __future__ import annotations

import functools
import importlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from jitgrad.errors import UnsupportedError, user_location
from jitgrad.filled import settled, settled_all
from jitgrad.graph import active
from jitgrad.value import Value

Function = Callable[..., Any]


def offer(module: types.ModuleType) -> None:
    """Make everything that a module names in ``__all__`` SciPy's own for plain arguments."""
    part = module.__name__.rpartition(".")[2]
    for name in module.__all__:
        ours = getattr(module, name)
        function = isinstance(ours, types.FunctionType)
        setattr(module, name, (either if function else Family)(ours, part, name))


def either(ours: Function, *path: str) -> Function:
    """Return a function that is SciPy's own where it is given neither Values nor functions.

    Parameters
    ----------
    ours : callable
        What it is over Values.
    *path : str
        Where SciPy has it, from the package on.
    """

    @functools.wraps(ours)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = (args, kwargs)
        if _any(_is_value, given):
            return ours(*args, **kwargs)
        theirs = None if _any(callable, given) else _of_scipy(path)
        if theirs is None:
            return _plain(ours(*args, **kwargs))
        return theirs(*settled_all(args), **{name: settled_all(x) for name, x in kwargs.items()})

    return call


def _of_scipy(path: tuple[str, ...]) -> Any:
    """Return what SciPy has under a path, None without it."""
    try:
        found: Any = importlib.import_module(f"scipy.{path[0]}")
    except ImportError:
        return None
    for name in path[1:]:
        found = getattr(found, name, None)
    return found


def _any(test: Callable[[Any], bool], given: Any) -> bool:
    """Whether something holds for one of the parts of containers."""
    if isinstance(given, list | tuple):
        return any(_any(test, part) for part in given)
    if isinstance(given, dict):
        return _any(test, list(given.values()))
    if isinstance(given, np.ndarray) and given.dtype == object:
        return any(map(test, given.flat))
    return test(given)


def _is_value(given: Any) -> bool:
    return isinstance(given, Value)


def _plain(result: Any) -> Any:
    """Return the arrays that Values hold on which no derivative depends."""
    if isinstance(result, tuple):
        parts = map(_plain, result)
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    constant = isinstance(result, Value) and active.tape is None and not result.requires_grad
    return result.data if constant else settled(result)


# --- distributions -------------------------------------------------------------------------------


class Family:
    """A distribution; each of its methods is SciPy's own where it is given no Values."""

    def __init__(self, ours: Any, *path: str) -> None:
        self._ours, self._path = ours, path

    def __call__(self, *args: Any, **kwds: Any) -> Frozen:
        """Fix the parameters, as in ``norm(loc, scale).logpdf(x)``."""
        return Frozen(self, args, kwds)

    def __getattr__(self, method: str) -> Function:
        if method.startswith("_"):
            raise AttributeError(method)
        found = getattr(self._ours, method, None)
        if found is None:
            found = functools.partial(_refused, ".".join((*self._path, method)))
            functools.update_wrapper(found, getattr(_of_scipy(self._path), method))
        made = either(found, *self._path, method)
        setattr(self, method, made)
        return made

    def rvs(self, *args: Any, **kwds: Any) -> Any:
        """Draw random numbers, by SciPy; not in a trace."""
        if active.tape is not None:
            raise UnsupportedError(
                f"{user_location()}: scipy.{'.'.join(self._path)}.rvs in a loss: the numbers would "
                "be drawn once, when it is traced. Draw them outside, and pass them as an argument"
            )
        return _of_scipy(self._path).rvs(*args, **kwds)


def _refused(what: str, *_: Any, **__: Any) -> None:
    raise UnsupportedError(f"{user_location()}: scipy.{what} of Values is not available")


class Frozen:
    """A distribution with its parameters."""

    def __init__(self, family: Family, args: tuple[Any, ...], kwds: dict[str, Any]) -> None:
        self._family, self._args, self._kwds = family, args, kwds

    def __getattr__(self, method: str) -> Function:
        found = getattr(self._family, method)

        def call(*points: Any, **more: Any) -> Any:
            return found(*points, *self._args, **self._kwds, **more)

        return call

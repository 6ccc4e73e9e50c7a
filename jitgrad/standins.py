"""What a loss finds under the names of NumPy, SciPy and math while it is traced.

NumPy asks a Value what a function means only where a Value is an argument. ``np.zeros(n)`` has
none, ``math.sin(x)`` and ``scipy.special.logsumexp(x)`` do not ask. So the function that is traced,
which has surroundings of its own anyway (see `outside`), finds other modules there: with all the
same names, some of which are other functions. The modules themselves stay as they are.

>>> out = beside(np).zeros(2)
>>> out[0] = Value(3.0)
>>> np.sum(out)
Value(data=3.0, grad=0)
>>> beside(math).sqrt(Value(4.0))
Value(data=2.0, grad=0)
"""

from __future__ import annotations

import functools
import math
import random
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from jitgrad import creation
from jitgrad.errors import UnsupportedError, user_location
from jitgrad.filled import Filled, filled, settled
from jitgrad.graph import listed
from jitgrad.protocols import NUMPY as IMPLEMENTED
from jitgrad.protocols import SPECIAL, Labelled
from jitgrad.scipy import integrate, linalg, signal, special, stats
from jitgrad.scipy.plain import Family, Frozen
from jitgrad.value import Value

Function = Callable[..., Any]

# --- NumPy ---------------------------------------------------------------------------------------


def _new(make: Function) -> Function:
    """Return a function for new arrays whose results can be filled with Values."""

    @functools.wraps(make)
    def call(*args: Any, **kwargs: Any) -> Any:
        made = make(*args, **kwargs)
        return made if isinstance(made, Value | Filled) else filled(made)

    return call


def _asarray(make: Function) -> Function:
    """Return a function for arrays of what there is, which takes Values as they are."""
    over_values = _array if make is np.array else _as_it_is

    @functools.wraps(make)
    def call(a: Any, *args: Any, **kwargs: Any) -> Any:
        a = settled(a)
        if isinstance(a, Value):
            return over_values(a, *args, **kwargs)
        if _holds_values(a):
            return over_values(listed(a), *args, **kwargs)
        return make(a, *args, **kwargs)

    return call


def _as_it_is(a: Any, dtype: Any = None, order: Any = None, **_: Any) -> Any:
    return a if dtype is None or np.dtype(dtype) == a.element_type else a.astype(dtype)


def _array(a: Any, dtype: Any = None, *, copy: Any = True, ndmin: int = 0, **_: Any) -> Any:
    out = creation.asarray(a, dtype) if copy else _as_it_is(a, dtype)
    return out.reshape((*(1,) * (ndmin - out.ndim), *out.shape)) if ndmin > out.ndim else out


def _full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", **_: Any) -> Any:
    if isinstance(fill_value, Value):
        return creation.full(shape, fill_value, dtype)
    return filled(np.full(shape, fill_value, dtype, order))


def _take(a: Any, indices: Any, axis: Any = None, **more: Any) -> Any:
    if isinstance(indices, Value) and not isinstance(a, Value):
        a = Value(a, requires_grad=False)
    return np.take(a, indices, axis, **more)


def _holds_values(thing: Any) -> bool:
    """Whether there are Values in nested lists."""
    if not isinstance(thing, list | tuple):
        return False
    return any(isinstance(part, Value | Filled | Labelled) or _holds_values(part) for part in thing)


class Listed:
    """A function of NumPy that takes lists with Values in them for arrays.

    NumPy makes an array of objects of such a list, and asks each object for its number where it
    compares them.
    """

    def __init__(self, function: Function) -> None:
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, with one Value in place of each list that has Values in it."""
        given = (listed(x) if _holds_values(x) else x for x in args)
        return self._function(
            *given, **{name: listed(x) if _holds_values(x) else x for name, x in kwargs.items()}
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

    def __repr__(self) -> str:
        return repr(self._function)


_SEQUENCES = {  # these take lists of arrays, and ask them
    *(np.concatenate, np.stack, np.hstack, np.vstack, np.dstack, np.column_stack, np.block),
    *(np.select, np.choose, np.piecewise, np.einsum, np.einsum_path, np.linalg.multi_dot),
    *(np.broadcast_arrays, np.ix_, np.lexsort),
}
_OF_ARRAYS = {key[0] if isinstance(key, tuple) else key for key in IMPLEMENTED} - _SEQUENCES


def _over_lists(module: types.ModuleType) -> dict[str, Any]:
    """Return what stands for the functions of a module that take arrays."""
    found = ((name, getattr(module, name)) for name in dir(module) if not name.startswith("_"))
    return {name: Listed(it) for name, it in found if callable(it) and it in _OF_ARRAYS}


class _Vectorized:
    """np.vectorize: the function is called for each element."""

    def __init__(self, pyfunc: Function, **more: Any) -> None:
        if any(value is not None and value is not False for value in more.values()):
            raise UnsupportedError(
                f"{user_location()}: np.vectorize with {', '.join(more)} in a loss; write a loop"
            )
        self.function = pyfunc

    def __call__(self, *args: Any) -> Any:
        arrays = np.broadcast_arrays(*map(settled, args))
        if not arrays[0].shape:
            return self.function(*args)
        out = filled(np.zeros(arrays[0].shape))
        for at in np.ndindex(*arrays[0].shape):
            out[at] = self.function(*(array[at] for array in arrays))
        return settled(out)


NUMPY: dict[str, Any] = _over_lists(np)
NUMPY |= {
    name: _new(getattr(np, name))
    for name in (
        "zeros",
        "ones",
        "empty",
        "zeros_like",
        "ones_like",
        "empty_like",
        "full_like",
        "eye",
        "identity",
    )
}
NUMPY |= {
    name: _asarray(getattr(np, name))
    for name in ("array", "asarray", "asanyarray", "ascontiguousarray")
}
NUMPY |= {"full": _full, "take": _take, "vectorize": _Vectorized}

# --- math ----------------------------------------------------------------------------------------

_RENAMED = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2"}
_RENAMED |= {"asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "pow": "power"}
_SAME = (
    *("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "exp2", "expm1", "log1p", "log2"),
    *("log10", "sqrt", "cbrt", "fabs", "floor", "ceil", "hypot", "radians", "degrees", "fmod"),
)
_SPECIAL = {"erf": "erf", "erfc": "erfc", "gamma": "gamma", "lgamma": "gammaln"}


def _of_numbers(plain: Function, over_values: Function) -> Function:
    """Return a function of math that takes Values too."""

    @functools.wraps(plain)
    def call(*args: Any) -> Any:
        return (over_values if any(isinstance(x, Value) for x in args) else plain)(*args)

    return call


def _log(x: Any, base: Any = math.e) -> Any:
    return np.log(x) if base == math.e else np.log(x) / np.log(base)


def _isclose(a: Any, b: Any, *, rel_tol: float = 1e-9, abs_tol: float = 0.0) -> Any:
    size = np.maximum(np.abs(a), np.abs(b))
    return np.abs(a - b) <= np.maximum(rel_tol * size, abs_tol)


MATH: dict[str, Any] = {
    name: _of_numbers(getattr(math, name), getattr(np, _RENAMED.get(name, name)))
    for name in (*_RENAMED, *_SAME)
    if hasattr(math, name)
}
MATH |= {name: _of_numbers(getattr(math, name), SPECIAL[other]) for name, other in _SPECIAL.items()}
MATH |= {
    "isclose": _of_numbers(math.isclose, _isclose),
    "isnan": _of_numbers(math.isnan, np.isnan),
    "log": _of_numbers(math.log, _log),
}

# --- what cannot be read again -------------------------------------------------------------------


class Refused:
    """Something that must not be used while a function is traced, and why."""

    def __init__(self, what: str, why: str) -> None:
        self._what, self._why = what, why

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise UnsupportedError(f"{user_location()}: {self._what} in a loss: {self._why}")

    __call__ = __iter__ = __next__ = _refuse

    def __getattr__(self, name: str) -> NoReturn:
        raise UnsupportedError(f"{user_location()}: {self._what}.{name} in a loss: {self._why}")


_DRAWN = (
    "the numbers would be drawn once, when it is traced, and be the same at each call. Draw them "
    "outside, and pass them as an argument"
)
_USED_UP = (
    "it would be used up when the function is traced, and not be seen at the next call; make it a "
    "list"
)
_UNSEEN = "what is read through it would not be seen to change; name what you read"
_GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)


def _draws(thing: Any) -> bool:
    """Whether this is a generator's method, as ``from random import gauss`` gives, or makes one."""
    if isinstance(thing, types.MethodType | types.BuiltinMethodType):
        return isinstance(thing.__self__, _GENERATORS)
    return thing is np.random.default_rng


def _is_used_up(thing: Any) -> bool:
    """Whether it is an iterator of Python's own: reading it once is all there is."""
    own = type(thing).__module__ in ("builtins", "itertools", "collections", "_csv")
    return own and isinstance(thing, Iterator)


# --- built-ins -----------------------------------------------------------------------------------


class _Super:
    """What ``super()`` gives, with methods that run in a trace's surroundings."""

    def __init__(self, found: Any, outside: Any) -> None:
        self._found, self._outside = found, outside

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._found, name)
        if isinstance(found, types.MethodType):
            return types.MethodType(self._outside.of(found.__func__), found.__self__)
        return found


def _super(outside: Any) -> Function:
    def call(*args: Any) -> Any:
        frame = sys._getframe(1)
        cls = args[0] if args else frame.f_locals["__class__"]
        of = args[1] if args else frame.f_locals[frame.f_code.co_varnames[0]]
        return _Super(super(outside.twins.real(cls), of), outside)

    return call


def _import(outside: Any) -> Function:
    def call(*args: Any, **kwargs: Any) -> Any:
        return outside.seen(__import__(*args, **kwargs))

    return call


BUILTINS: dict[str, Callable[[Any], Any]] = {
    "__import__": _import,
    "super": _super,
    "globals": lambda _: Refused("globals()", _UNSEEN),
    "eval": lambda _: Refused("eval()", _UNSEEN),
    "exec": lambda _: Refused("exec()", _UNSEEN),
}

# --- modules -------------------------------------------------------------------------------------


def _public(module: types.ModuleType) -> dict[str, Any]:
    """Return what a module of `jitgrad.scipy` offers under SciPy's names."""
    return {name: getattr(module, name) for name in module.__all__}


_SCIPY = {
    "integrate": integrate,
    "linalg": linalg,
    "signal": signal,
    "special": special,
    "stats": stats,
}
TABLES: dict[str, dict[str, Any]] = {"numpy": NUMPY, "math": MATH, "scipy": {}}
TABLES["numpy.linalg"] = _over_lists(np.linalg)
TABLES |= {f"scipy.{name}": _public(module) for name, module in _SCIPY.items()}
RANDOM = {"random": "random", "numpy.random": "np.random"}


class Beside:
    """A module some of whose functions are others."""

    def __init__(self, module: types.ModuleType) -> None:
        self.__dict__.update(TABLES[module.__name__], _module=module)

    def __getattr__(self, name: str) -> Any:
        found = standin(getattr(self._module, name))
        setattr(self, name, found)
        return found

    def __dir__(self) -> list[str]:
        return dir(self._module)

    def __repr__(self) -> str:
        return repr(self._module)


@functools.lru_cache(maxsize=64)
def beside(module: types.ModuleType) -> Any:
    """Return what stands for a module."""
    return Beside(module)


def standin(thing: Any) -> Any:
    """Return what stands for something that a loss finds under a name; mostly the thing itself."""
    if isinstance(thing, types.ModuleType):
        if thing.__name__ in RANDOM:
            return Refused(RANDOM[thing.__name__], _DRAWN)
        return beside(thing) if thing.__name__ in TABLES else thing
    if isinstance(thing, _GENERATORS):
        return Refused(type(thing).__name__, _DRAWN)
    if _is_used_up(thing):
        return Refused(f"a {type(thing).__name__}", _USED_UP)
    if _draws(thing):
        return Refused(f"{thing.__name__}(...)", _DRAWN)
    found = _others().get(id(thing))
    return found or _distribution(thing) or thing


def _distribution(thing: Any) -> Any:
    """Return what stands for a distribution of SciPy's that is not in the tables, or None.

    One with its parameters, which are plain numbers: arrays could be changed later.
    """
    if not type(thing).__module__.startswith("scipy.stats."):
        return None
    if hasattr(thing, "dist") and hasattr(thing, "kwds"):
        given = (*thing.args, *thing.kwds.values())
        family = _family(thing.dist)
        numbers = all(isinstance(x, int | float) for x in given)
        return Frozen(family, thing.args, thing.kwds) if family and numbers else None
    return _family(thing)


def _family(thing: Any) -> Any:
    """Return what stands for a distribution; one that is not known takes no Values."""
    name = getattr(thing, "name", None)
    if not type(thing).__module__.startswith("scipy.stats.") or not isinstance(name, str):
        return None
    return TABLES["scipy.stats"].get(name) or Family(None, "stats", name)


def _others() -> dict[int, Any]:
    """Map the functions of the modules that are loaded to what stands for them, by identity."""
    loaded = tuple(name for name in TABLES if name in sys.modules)
    return _by_identity(loaded)


@functools.lru_cache(maxsize=8)
def _by_identity(loaded: tuple[str, ...]) -> dict[int, Any]:
    found = {}
    for module in loaded:
        for name, other in TABLES[module].items():
            real = getattr(sys.modules[module], name, None)
            if real is not None:
                found[id(real)] = other
    return found

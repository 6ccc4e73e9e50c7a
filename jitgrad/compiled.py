"""`compile`: a function becomes a cached kernel of its value and gradient.

`CompiledFunction` keeps one trace for each signature and one
kernel for each thing that was asked of it.

>>> @compile
... def loss(x):
...     return (x * x + 1.0) ** 0.5
>>> loss.value_and_grad(2.0)
(2.23606797749979, 0.8944271909999159)
"""

from __future__ import annotations

import functools
import os
import threading
import types
from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np

from jitgrad.binding import Binder, Bound
from jitgrad.bound_call import BoundCall, given_arrays
from jitgrad.build import Family, Kernel, Lowered, build
from jitgrad.call import (
    auxiliary,
    chosen_inputs,
    gradient_of,
    inputs,
    node,
    received,
    still_fits,
    value_inputs,
)
from jitgrad.errors import (
    ArgumentError,
    NoGradientError,
    NotCalledError,
    UnsupportedError,
    user_location,
)
from jitgrad.graph import active
from jitgrad.outside import Wrapper, underlying
from jitgrad.signature import Identity
from jitgrad.straight import MISS
from jitgrad.trace import NumberNeeded, TracedCall, trace
from jitgrad.watcher import Watcher
from jitgrad.ways import Way, Ways, taken


class CompiledFunction(Wrapper):
    """A function with a compiled value and gradient; made by `compile`."""

    __name__: str

    def __init__(
        self,
        function: Callable[..., Any],
        argnums: int | Sequence[int],
        has_aux: bool,
        strict: bool,
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self._binder = Binder(function, argnums)
        self.__name__ = self._binder.name
        self._function = function
        self._argnums = argnums
        self._has_aux = has_aux
        self._strict = strict
        self._traces: dict[Any, TracedCall] = {}
        self._kernels: dict[Any, Kernel] = {}
        self._families: dict[Any, Family] = {}
        self._latest: tuple[TracedCall, tuple[int, ...]] | None = None
        self._lock = threading.RLock()
        self._ways = Ways(self._binder)
        self._watcher = Watcher(self.__name__)
        self._methods: dict[Identity, CompiledFunction] = {}

    # --- what users call -------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the loss: a float, or a Value where Values take part."""
        if active.tape is not None:
            return self._function(*args, **kwargs)
        if kwargs:
            args, kwargs = self._binder.by_place(args, kwargs)
        if not kwargs and (found := taken(self._ways.value, args)) is not MISS:
            return found[0]
        bound, traced = self._trace(args, kwargs)
        wrt = value_inputs(bound, traced)
        value: Any
        value, gradients, aux = self._run(bound, traced, wrt)
        if not wrt:
            self._keep(self._ways.value, args, bound, traced, wrt)
        else:
            given = [traced.arguments[place] for place in wrt]
            parts = list(received(bound, traced, given, gradients))
            value = node(self.__name__, value, parts)
        return (value, aux) if self._has_aux else value

    def value_and_grad(self, *args: Any, **kwargs: Any) -> Any:
        """Return the loss and its gradient.

        Parameters
        ----------
        out : optional
            Arrays to overwrite with the gradient, in its structure: C-contiguous, of the
            gradient's dtype and shapes, 0-dimensional for a number. They are returned. (Not for a
            loss that has a parameter of that name itself.)

        Returns
        -------
        value : float
            The loss; with ``has_aux``, the tuple ``(loss, aux)``.
        gradient
            Fresh arrays and floats in the structure of the argument ``argnums``, or a tuple of
            such structures where ``argnums`` is a tuple. Bools, strings and None have None there;
            a DataFrame's has its columns of numbers.
        """
        out = None
        if kwargs:
            out = None if self._binder.takes("out") else kwargs.pop("out", None)
            args, kwargs = self._binder.by_place(args, kwargs)
        if not kwargs and active.tape is None and out is None:
            for arity, way in self._ways.gradient:  # not by `taken`: a call costs 60 ns
                if arity == len(args) and (found := way(*args)) is not MISS:
                    return found
        bound, traced = self._trace(args, kwargs, "value_and_grad")
        self._binder.check(bound)
        wrt = chosen_inputs(bound, traced)
        value, gradients, aux = self._run(bound, traced, wrt, out)
        if out is not None:
            return ((value, aux) if self._has_aux else value), out
        self._keep(self._ways.gradient, args, bound, traced, wrt)
        trees = gradient_of(bound, [traced.arguments[place] for place in wrt], gradients)
        gradient = trees[0] if isinstance(self._argnums, int) else tuple(trees)
        return ((value, aux) if self._has_aux else value), gradient

    def grad(self, *args: Any, **kwargs: Any) -> Any:
        """Return the gradient; with ``has_aux``, the tuple ``(gradient, aux)``.

        ``out`` is as in `value_and_grad`.
        """
        value, gradient = self.value_and_grad(*args, **kwargs)
        return (gradient, value[1]) if self._has_aux else gradient

    def backward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the loss and add its gradient to ``.grad`` of the Values that take part.

        The gradient flows on into the history of those that were computed from other Values.

        Returns
        -------
        float
            The loss; with ``has_aux``, the tuple ``(loss, aux)``.

        Raises
        ------
        NoGradientError
            When no Value that requires a gradient takes part.
        """
        if kwargs:
            args, kwargs = self._binder.by_place(args, kwargs)
        if not kwargs and active.tape is None:
            for arity, way, known in self._ways.backward:
                if arity == len(args) and (found := way(*args)) is not MISS:
                    loss, arrays = found
                    return (loss, auxiliary(known, arrays)) if self._has_aux else loss
        bound, traced = self._trace(args, kwargs, "backward")
        wrt = value_inputs(bound, traced)
        if not wrt:
            raise NoGradientError(
                f"{user_location()}: {self.__name__}.backward() found no Value that requires a "
                "gradient among the arguments and the captured Values; for arrays and floats write "
                f"{self.__name__}.value_and_grad(...)"
            )
        value, gradients, aux = self._run(bound, traced, wrt)
        given = [traced.arguments[place] for place in wrt]
        parts = list(received(bound, traced, given, gradients))
        node(self.__name__, value, parts).backward()
        self._ways.keep_backward(args, bound, traced, self._kernel(traced, wrt))
        return (value, aux) if self._has_aux else value

    def bind(self, *args: Any, **kwargs: Any) -> BoundCall:
        """Return a callable for these very arrays: the loss at the lowest cost of a call.

        The arrays are used in place, so that changing their elements changes what the next call
        computes; the gradient goes to arrays that each call overwrites.

        Returns
        -------
        BoundCall
            ``loss = step()``; then ``step.gradient``.

        Raises
        ------
        ArgumentError
            For arguments that would have to be copied: other dtypes, not C-contiguous, lists.

        Examples
        --------
        >>> x = np.array([3.0, 4.0])
        >>> step = compile(lambda x: np.sum(x * x)).bind(x)
        >>> step(), step.gradient
        (25.0, array([6., 8.]))
        >>> x[0] = 0.0
        >>> step()
        16.0
        """
        bound, traced = self._trace(args, kwargs, "bind")
        self._binder.check(bound)
        kernel = self._kernel(traced, chosen_inputs(bound, traced))
        return BoundCall(bound, traced, kernel, isinstance(self._argnums, int))

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """Return the traced call at every stage; see `Lowered`."""
        bound, traced = self._trace(args, kwargs, "lower")
        wrt = value_inputs(bound, traced) or chosen_inputs(bound, traced)
        return Lowered(bound, traced, self._kernel(traced, wrt))

    def kernel(self, *args: Any, **kwargs: Any) -> Any:
        """Return the Numba function for these arguments' shapes.

        Returns
        -------
        Numba function
            ``value = kernel(*flat_arguments, *gradient_arrays)``: gradient arrays are given by the
            caller and overwritten (a 0-dimensional array for a scalar). It allocates no result,
            holds no lock, and can be called in ``@njit`` code. It takes float64, float32 and
            int64 arrays that are C-contiguous and writable, and refuses others; an index array is
            not checked. `Lowered.arguments` names what it takes, `Lowered.captured_arrays` has what
            is not an argument of the loss.
        """
        return self.lower(*args, **kwargs).kernel

    @property
    def source(self) -> str:
        """The generated Python of the latest specialisation."""
        if self._latest is None:
            raise NotCalledError(
                f"{user_location()}: {self.__name__} has not been called yet, so there is no "
                f"source for any types and shapes; write {self.__name__}.lower(...).source"
            )
        return self._kernel(*self._latest).source

    @property
    def compilations(self) -> int:
        """How many kernels were compiled, or loaded from the cache on disk, for this function.

        Calls that differ in extents share a kernel from the second size on.
        """
        return sum(family.compiled for family in self._families.values())

    def __repr__(self) -> str:
        return f"<jitgrad.compile({self.__name__}), {len(self._traces)} traced>"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        method = self._methods.get(Identity(instance))
        if method is None:
            bound = types.MethodType(self._function, instance)
            method = CompiledFunction(bound, self._argnums, self._has_aux, self._strict)
            method = self._methods.setdefault(Identity(instance), method)
        return method

    # --- traces ----------------------------------------------------------------------------------

    def _trace(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], method: str = ""
    ) -> tuple[Bound, TracedCall]:
        if active.tape is not None:
            raise UnsupportedError(
                f"{user_location()}: {self.__name__}.{method}(...) in a function that is being "
                f"traced: there are no derivatives of derivatives yet; {self.__name__}(...) gives "
                "the value there"
            )
        bound = self._binder.bind(args, kwargs)
        traced = self._traces.get(bound.key)
        if traced is not None and still_fits(traced):
            return bound, traced
        with self._lock:
            while True:
                traced = self._traces.get(bound.key)
                if traced is not None and still_fits(traced):
                    return bound, traced
                binder = self._binder
                try:
                    traced, around = trace(binder.function, bound, self._has_aux, binder.fixed)
                except NumberNeeded as needed:
                    binder.fix(bound, needed.leaves)
                    bound = binder.bind(args, kwargs)
                    continue
                bound = binder.learn(bound, around)
                self._traces[bound.key] = traced
                self._watcher.traced(bound)
                return bound, traced

    def _keep(
        self,
        ways: list[Way],
        args: tuple[Any, ...],
        bound: Bound,
        traced: TracedCall,
        wrt: tuple[int, ...],
    ) -> None:
        if not self._has_aux:
            single = isinstance(self._argnums, int)
            self._ways.keep(ways, args, bound, traced, self._kernel(traced, wrt), single)

    # --- kernels ---------------------------------------------------------------------------------

    def _kernel(self, traced: TracedCall, wrt: tuple[int, ...]) -> Kernel:
        key = (id(traced), wrt)
        made = self._kernels.get(key)
        if made is None:
            with self._lock:
                made = self._kernels.get(key)
                if made is None:
                    made = self._kernels[key] = self._compiled(traced, wrt)
        self._latest = traced, wrt
        return made

    def _compiled(self, traced: TracedCall, wrt: tuple[int, ...]) -> Kernel:
        own = underlying(self._function)
        made_from = self.__name__ + (f" ({_short(own.__code__)})" if own else "")
        stem = self.__name__ if self.__name__.isidentifier() else "function"
        return build(traced, wrt, stem, made_from, self._strict, self._families)

    def _run(
        self, bound: Bound, traced: TracedCall, wrt: tuple[int, ...], out: Any = None
    ) -> tuple[float, list[Any], Any]:
        kernel = self._kernel(traced, wrt)
        given = inputs(bound, traced)
        arguments = [traced.arguments[place] for place in wrt]
        if out is None:
            gradients = [np.empty(argument.shape, argument.dtype) for argument in arguments]
        else:
            single = isinstance(self._argnums, int)
            arrays = [x for x in given if isinstance(x, np.ndarray)]
            gradients = given_arrays(out, bound, arguments, single, arrays)
        aux = [np.empty(*made) for made in kernel.aux]
        value = kernel.call(*given, *gradients, *aux)
        return value, gradients, auxiliary(traced, aux, bound) if self._has_aux else None


def _short(code: types.CodeType) -> str:
    """The place of a function, without its folder."""
    return f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}"


@overload
def compile(fun: Callable[..., Any], /) -> CompiledFunction: ...
@overload
def compile(
    fun: Callable[..., Any],
    /,
    *,
    argnums: int | Sequence[int] = ...,
    has_aux: bool = ...,
    strict: bool = ...,
) -> CompiledFunction: ...
@overload
def compile(
    fun: None = None,
    /,
    *,
    argnums: int | Sequence[int] = ...,
    has_aux: bool = ...,
    strict: bool = ...,
) -> Callable[[Callable[..., Any]], CompiledFunction]: ...
def compile(
    fun: Callable[..., Any] | None = None,
    /,
    *,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    strict: bool = False,
) -> Any:
    """Compile a loss function and its gradient.

    Parameters
    ----------
    fun : callable
        Plain Python over floats, NumPy arrays, Values and pandas' Series and DataFrames that
        returns one number. Also a method
        (``argnums`` then counts the arguments after ``self``), a `functools.partial` (what it
        holds is not counted) or an object that can be called.
    argnums : int or sequence of int
        Which positional arguments to differentiate with respect to; negative ones count from the
        last argument of a call. An argument can be given by its keyword too.
    has_aux : bool
        Whether the function returns ``(loss, aux)``; ``aux`` is anything, with traced values in
        containers.
    strict : bool
        Keep the order of evaluation bit for bit: no fused multiply-add, sums in order.

    Returns
    -------
    CompiledFunction
        Or a decorator, where ``fun`` is left out.

    Raises
    ------
    ArgumentError
        If ``fun`` cannot be called, or ``argnums`` are not integers.

    Notes
    -----
    The function runs once for each signature: the structure of its arguments, shapes, and the
    values of ints, bools, strings and other static objects. Side effects happen then and only then.

    Read anew at each call are its arguments, the data of the Values it uses, and what it finds
    outside: globals, closure cells, default arguments, attributes of objects, classes and modules,
    and what these hold; also what its helpers and the methods that it calls find. Numbers and
    arrays among them are inputs of the kernel. Anything else is compared with what it was when the
    function was traced, and the function is traced again when it has changed: sets, texts and whole
    numbers by their contents, functions and objects by their identity. So changing something, in
    place or by rebinding, has its effect at the next call.

    Taken as they were at the trace are what functions of installed packages read, the insides of
    objects whose classes belong to installed packages, extend a built-in type or are written in C,
    files, the clock and the environment. Random numbers, iterators, ``globals()``, ``eval`` and
    ``exec`` raise.

    Examples
    --------
    >>> import numpy as np
    >>> loss = compile(lambda w, x: np.sum((x @ w) ** 2))
    >>> loss.grad(np.array([1.0, 2.0]), np.eye(2))
    array([2., 4.])
    """
    if fun is None:
        return functools.partial(compile, argnums=argnums, has_aux=has_aux, strict=strict)
    if not callable(fun):
        raise ArgumentError(
            f"{user_location()}: jitgrad.compile got a {type(fun).__name__}; expected a function"
        )
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    whole = isinstance(numbers, Sequence) and all(type(number) is int for number in numbers)
    if not whole or len(set(numbers)) < len(numbers) or not numbers:
        raise ArgumentError(
            f"{user_location()}: jitgrad.compile got argnums={argnums!r}; expected the place of an "
            "argument or several different ones, such as argnums=0 or argnums=(0, 2)"
        )
    return CompiledFunction(fun, argnums, has_aux, strict)

"""`compile`: a function becomes a cached kernel of its value and gradient.

The pipeline is the tuple `PASSES` of pipeline.py; `CompiledFunction` keeps one trace for each signature and one
kernel for each thing that was asked of it.

>>> @compile
... def loss(x):
...     return (x * x + 1.0) ** 0.5
>>> loss.value_and_grad(2.0)
(2.23606797749979, 0.8944271909999159)
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, overload

import numba
import numpy as np
import optree

from jitgrad import cache, cpu
from jitgrad.adjoint import gradient
from jitgrad.emit import emit
from jitgrad.errors import ArgumentError, NoGradientError, user_location
from jitgrad.graph import Gradients, active, record
from jitgrad.pipeline import PASSES, STRICT_PASSES
from jitgrad.program import Program
from jitgrad.signature import (
    Identity,
    Outside,
    Spec,
    argument_names,
    flatten,
    holds_data,
    leaf_names,
    outside,
    prepared,
    spec_of,
)
from jitgrad.simplify import prepare
from jitgrad.straight import MISS, straight, straight_backward
from jitgrad.tape import Tape
from jitgrad.trace import Argument, Call, TracedCall, trace
from jitgrad.traced import Traced
from jitgrad.value import Value

_PLACEHOLDER = "kernel_name"


class Kernel(NamedTuple):
    """A compiled Program.

    Parameters
    ----------
    program : Program
        After all passes.
    source : str
        The generated module.
    path : str
        Where it lies.
    call : Any
        The Numba function: ``value = call(*inputs, *gradients, *aux)``.
    wrt : tuple of int
        Which of the kernel's inputs it differentiates with respect to, by place.
    aux : tuple of tuple
        The shapes of the auxiliary outputs.
    """

    program: Program
    source: str
    path: str
    call: Any
    wrt: tuple[int, ...]
    aux: tuple[tuple[int, ...], ...]


class _Bound(NamedTuple):
    """The arguments of one call, flattened; the structure is one per argument, and keywords."""

    leaves: list[Any]
    specs: tuple[Spec, ...]
    structure: tuple[tuple[Any, ...], tuple[str, ...]]
    outside: list[tuple[Outside, Any]]
    outside_leaves: list[Any]
    outside_specs: tuple[Spec, ...]
    others: tuple[Identity, ...]

    @property
    def positional(self) -> int:
        """The number of positional arguments."""
        return len(self.structure[0]) - len(self.structure[1])


class Lowered:
    """A traced call at every stage, for looking at.

    Attributes
    ----------
    tape : Tape
        The instructions in order; ``len(tape)`` counts them.
    program : Program
        The forward Program, rolled and lowered; ``.statements`` counts its nodes, loops included.
    gradient_program : Program
        Value and gradient after the adjoint and all passes.
    source : str
        The generated Python.
    path : str
        The file it lies in.
    kernel : Numba function
        ``value = kernel(*flat_arguments, *gradient_arrays)``.
    arguments : tuple of str
        The names of the kernel's parameters.
    timings : dict of str to float
        Seconds for each stage.
    """

    def __init__(self, bound: _Bound, traced: TracedCall, made: Kernel) -> None:
        self._traced = traced
        self._bound = bound
        self.tape: Tape = traced.tape
        self.program = traced.program
        self.gradient_program = made.program
        self.source = made.source
        self.path = made.path
        self.kernel = made.call
        self.timings = traced.timings

    @property
    def graph(self) -> Any:
        """The DAG: one node for each instruction of the tape."""
        return self.tape.graph()

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the kernel's parameters."""
        return tuple(argument.name for argument in self._traced.arguments)

    def captured_arrays(self) -> list[np.ndarray[Any, Any]]:
        """Return what the kernel takes after the flat arguments, as it is now.

        Data that the function names as globals or closure cells, then the captured scalar Values
        packed in order of their creation, then each captured array Value.
        """
        pairs = zip(self._traced.arguments, _inputs(self._bound, self._traced), strict=True)
        return [given for argument, given in pairs if argument.source != "leaf"]


def _captured(traced: TracedCall) -> list[np.ndarray[Any, Any]]:
    packed = (
        [np.array([value._data for value in traced.captured], dtype=float)]
        if traced.captured
        else []
    )
    return packed + [
        np.ascontiguousarray(value._data, dtype=float) for value in traced.captured_arrays
    ]


class CompiledFunction:
    """A function with a compiled value and gradient; made by `compile`."""

    def __init__(
        self,
        function: Callable[..., Any],
        argnums: int | Sequence[int],
        has_aux: bool,
        strict: bool,
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._argnums = argnums
        self._has_aux = has_aux
        self._strict = strict
        self._outside = outside(function)
        self._traces: dict[Any, TracedCall] = {}
        self._kernels: dict[Any, Kernel] = {}
        self._latest: tuple[TracedCall, tuple[int, ...]] | None = None
        self._lock = threading.RLock()
        self._straight: list[Any] = []
        self._straight_backward: list[tuple[Any, TracedCall]] = []
        self._known_ways: set[Any] = set()

    # --- what users call -------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the loss: a float, or a Value where Values take part."""
        if active.tape is not None:
            return self._function(*args, **kwargs)
        bound, traced = self._trace(args, kwargs)
        wrt = self._values(bound, traced)
        value, gradients, aux = self._run(bound, traced, wrt)
        if wrt:
            value = self._node(bound, traced, wrt, value, gradients)
        return (value, aux) if self._has_aux else value

    def value_and_grad(self, *args: Any, **kwargs: Any) -> Any:
        """Return the loss and its gradient.

        Returns
        -------
        value : float
            The loss; with ``has_aux``, the tuple ``(loss, aux)``.
        gradient
            Fresh arrays and floats in the structure of the argument ``argnums``, or a tuple of
            such structures where ``argnums`` is a tuple.
        """
        if not kwargs:
            for straight_way in self._straight:
                found = (
                    straight_way(*args) if straight_way.__code__.co_argcount == len(args) else MISS
                )
                if found is not MISS:
                    return found
        bound, traced = self._trace(args, kwargs)
        wrt = self._differentiated(bound, traced)
        value, gradients, aux = self._run(bound, traced, wrt)
        if not kwargs:
            self._straighten(args, bound, traced, wrt)
        gradient = self._structured(bound, traced, gradients)
        return ((value, aux) if self._has_aux else value), gradient

    def grad(self, *args: Any, **kwargs: Any) -> Any:
        """Return the gradient; with ``has_aux``, the tuple ``(gradient, aux)``."""
        value, gradient = self.value_and_grad(*args, **kwargs)
        return (gradient, value[1]) if self._has_aux else gradient

    def backward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the loss and add its gradient to ``.grad`` of the Values that take part.

        Returns
        -------
        float
            The loss; with ``has_aux``, the tuple ``(loss, aux)``.
        """
        if not kwargs:
            for way, known in self._straight_backward:
                found = way(*args) if way.__code__.co_argcount == len(args) else MISS
                if found is not MISS:
                    loss, arrays = found
                    return (loss, self._aux(known, arrays)) if self._has_aux else loss
        bound, traced = self._trace(args, kwargs)
        wrt = self._values(bound, traced)
        if not wrt:
            raise NoGradientError(
                f"{user_location()}: {self.__name__}.backward() found no Value that requires a gradient among "
                "the arguments and the captured Values; for arrays use value_and_grad"
            )
        value, gradients, aux = self._run(bound, traced, wrt)
        for number, gradient in zip(wrt, gradients, strict=True):
            self._receive(bound, traced, traced.arguments[number], gradient)
        if not kwargs:
            self._straighten_backward(args, traced, wrt)
        return (value, aux) if self._has_aux else value

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """Return the traced call at every stage; see `Lowered`."""
        bound, traced = self._trace(args, kwargs)
        return Lowered(bound, traced, self._kernel(traced, self._default(bound, traced)))

    def kernel(self, *args: Any, **kwargs: Any) -> Any:
        """Return the Numba function for these arguments' shapes.

        Returns
        -------
        Numba function
            ``value = kernel(*flat_arguments, *gradient_arrays)``: gradient arrays are given by the
            caller and overwritten (a 0-dimensional array for a scalar). It allocates no result,
            holds no lock, and can be called in ``@njit`` code.
        """
        return self.lower(*args, **kwargs).kernel

    @property
    def source(self) -> str:
        """The generated Python of the latest specialisation."""
        if self._latest is None:
            raise NoGradientError(f"{self.__name__} has not been called yet, so there is no source")
        return self._kernel(*self._latest).source

    def __repr__(self) -> str:
        return f"<jitgrad.compile({self.__name__}), {len(self._traces)} traced>"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def _straighten(
        self, args: tuple[Any, ...], bound: _Bound, traced: TracedCall, wrt: tuple[int, ...]
    ) -> None:
        """Keep a straight way for calls like this one, if there can be one."""
        key = (id(traced), wrt)
        if key in self._known_ways or self._has_aux or active.tape is not None:
            return
        self._known_ways.add(key)
        if any(argument.source in ("captured", "value") for argument in traced.arguments):
            return
        numbers = {traced.arguments[place].number for place in wrt}
        single = isinstance(self._argnums, int)
        chosen = self._chosen(len(args))
        kernel = self._kernel(traced, wrt).call
        made = straight(args, numbers, chosen, single, kernel, self._outside)
        if made is not None:
            self._straight = [made, *self._straight][:4]

    def _straighten_backward(
        self, args: tuple[Any, ...], traced: TracedCall, wrt: tuple[int, ...]
    ) -> None:
        """Keep a straight way for a loss over captured scalar Values."""
        key = (id(traced), wrt, "backward")
        if key in self._known_ways:
            return
        self._known_ways.add(key)
        captured = [n for n, a in enumerate(traced.arguments) if a.source == "captured"]
        if tuple(captured) != wrt or any(a.source == "value" for a in traced.arguments):
            return
        kernel = self._kernel(traced, wrt)
        made = straight_backward(args, traced.captured, kernel.aux, kernel.call, self._outside)
        if made is not None:
            self._straight_backward = [(made, traced), *self._straight_backward][:4]

    # --- binding and tracing ---------------------------------------------------------------------

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Bound:
        chosen = self._chosen(len(args))
        leaves: list[Any] = []
        specs: list[Spec] = []
        structures = []
        for number, argument in enumerate((*args, *(kwargs[name] for name in sorted(kwargs)))):
            found, structure = flatten(argument)
            structures.append(structure)
            leaves += found
            try:
                specs += [spec_of(leaf, number in chosen, "") for leaf in found]
            except ArgumentError:
                self._explain(args, kwargs, chosen)
                raise
        return self._surroundings(leaves, tuple(specs), (tuple(structures), tuple(sorted(kwargs))))

    def _explain(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], chosen: tuple[int, ...]
    ) -> None:
        """Raise the error for an argument with its name."""
        for number, (name, leaf) in enumerate(self._named(args, kwargs)):
            del number
            spec_of(leaf, False, name)

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[str, Any]]:
        """Return a name for each leaf of a call."""
        pairs: list[tuple[str, Any]] = []
        given = [*zip(argument_names(self._function, len(args)), args, strict=True)]
        for name, argument in given + [(name, kwargs[name]) for name in sorted(kwargs)]:
            pairs += zip(leaf_names(argument, name), flatten(argument)[0], strict=True)
        return pairs

    def _surroundings(self, leaves: list[Any], specs: tuple[Spec, ...], structure: Any) -> _Bound:
        contents = [(place, place.read()) for place in self._outside]
        around = [(place, content) for place, content in contents if holds_data(content)]
        others = tuple(Identity(content) for _, content in contents if not holds_data(content))
        found: list[Any] = []
        kinds: list[Spec] = []
        for place, content in around:
            inside = flatten(content)[0]
            found += inside
            kinds += [spec_of(leaf, False, place.name) for leaf in inside]
        return _Bound(leaves, specs, structure, around, found, tuple(kinds), others)

    def _chosen(self, count: int) -> tuple[int, ...]:
        numbers = (self._argnums,) if isinstance(self._argnums, int) else tuple(self._argnums)
        for number in numbers:
            if not -count <= number < count and count:
                raise ArgumentError(
                    f"{user_location()}: argnums={self._argnums} of {self.__name__}, which was called with "
                    f"{count} positional arguments"
                )
        return tuple(number % count for number in numbers) if count else ()

    def _trace(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[_Bound, TracedCall]:
        bound = self._bind(args, kwargs)
        shapes = tuple((place.name, flatten(content)[1]) for place, content in bound.outside)
        key = (bound.structure, bound.specs, shapes, bound.outside_specs, bound.others)
        traced = self._traces.get(key)
        if traced is None:
            with self._lock:
                traced = self._traces.get(key)
                if traced is None:
                    traced = self._traces[key] = self._traced(bound, args, kwargs)
        return bound, traced

    def _traced(self, bound: _Bound, args: tuple[Any, ...], kwargs: dict[str, Any]) -> TracedCall:
        names = [name for name, _ in self._named(args, kwargs)]
        call = Call(
            bound.leaves, bound.specs, names, bound.structure, bound.outside, bound.outside_specs
        )
        return trace(self._function, call, self._has_aux)

    # --- which inputs are differentiated ---------------------------------------------------------

    def _differentiated(self, bound: _Bound, traced: TracedCall) -> tuple[int, ...]:
        """The kernel inputs that are leaves of the arguments ``argnums``."""
        wanted = {n for numbers in self._leaf_numbers(bound) for n in numbers}
        return tuple(
            place
            for place, argument in enumerate(traced.arguments)
            if argument.source == "leaf" and argument.number in wanted and argument.dtype == "f8"
        )

    def _leaf_numbers(self, bound: _Bound) -> list[list[int]]:
        """For each differentiated argument the numbers of its leaves."""
        starts = [0]
        for structure in bound.structure[0]:
            starts.append(starts[-1] + structure.num_leaves)
        return [list(range(starts[n], starts[n + 1])) for n in self._chosen(bound.positional)]

    def _values(self, bound: _Bound, traced: TracedCall) -> tuple[int, ...]:
        """The kernel inputs that are Values which require a gradient."""
        found = []
        for place, argument in enumerate(traced.arguments):
            if argument.source == "leaf":
                leaf = bound.leaves[argument.number]
                wanted = isinstance(leaf, Value) and leaf.requires_grad
            elif argument.source == "captured":
                wanted = any(value.requires_grad for value in traced.captured)
            else:
                wanted = (
                    argument.source == "value"
                    and traced.captured_arrays[argument.number].requires_grad
                )
            if wanted:
                found.append(place)
        return tuple(found)

    def _default(self, bound: _Bound, traced: TracedCall) -> tuple[int, ...]:
        return self._values(bound, traced) or self._differentiated(bound, traced)

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
        clock = _Clock(traced.timings)
        names = [traced.arguments[place].buffer for place in wrt]
        program = prepare(traced.program)
        if wrt:
            program = gradient(program, names)
        clock.lap("adjoint")
        for step in STRICT_PASSES if self._strict else PASSES:
            program = step(program)
        clock.lap("optimise")
        outputs = [f"grad_{name}" for name in names]
        aux = [name for name, buffer in program.buffers.items() if name.startswith("aux")]
        arguments = [*(argument.buffer for argument in traced.arguments), *outputs, *aux]
        stem = f"{self._stem()}_{'gradient' if wrt else 'value'}"
        made = emit(
            program,
            name=_PLACEHOLDER,
            arguments=arguments,
            strict=self._strict,
            header=self._header(traced),
        )
        name = f"{stem}_{cache.digest(made.text, cpu.flags(self._strict))}"
        text = made.text.replace(_PLACEHOLDER, name)
        clock.lap("emit")
        types = [_type(argument.shape, argument.dtype) for argument in traced.arguments]
        shapes = [program.buffers[name].shape for name in (*outputs, *aux)]
        types += [numba.types.Array(numba.float64, len(shape), "C") for shape in shapes]
        call = cpu.compile_module(text, name, made.helpers, self._strict, tuple(types))
        clock.lap("compile")
        path = call.py_func.__code__.co_filename
        return Kernel(
            program, text, path, call, wrt, tuple(program.buffers[name].shape for name in aux)
        )

    def _stem(self) -> str:
        name = getattr(self._function, "__name__", "function")
        return name if name.isidentifier() else "function"

    def _header(self, traced: TracedCall) -> str:
        code = getattr(self._function, "__code__", None)
        where = (
            f"{code.co_filename.rsplit('/', 1)[-1]}:{code.co_firstlineno}" if code else "a callable"
        )
        return (
            f"Made by jitgrad from {self.__name__} ({where}): {len(traced.tape)} instructions in "
            f"{traced.program.statements} statements."
        )

    # --- running ---------------------------------------------------------------------------------

    def _run(
        self, bound: _Bound, traced: TracedCall, wrt: tuple[int, ...]
    ) -> tuple[float, list[Any], Any]:
        kernel = self._kernel(traced, wrt)
        inputs = _inputs(bound, traced)
        gradients = [np.empty(traced.arguments[place].shape) for place in wrt]
        aux = [np.empty(shape) for shape in kernel.aux]
        value = kernel.call(*inputs, *gradients, *aux)
        return value, gradients, self._aux(traced, aux) if self._has_aux else None

    def _aux(self, traced: TracedCall, arrays: list[Any]) -> Any:
        computed = iter(arrays)
        leaves = [
            _plain(next(computed), leaf) if isinstance(leaf, Traced) else leaf
            for leaf in traced.aux
        ]
        return optree.tree_unflatten(traced.aux_structure, leaves)

    def _structured(self, bound: _Bound, traced: TracedCall, gradients: list[Any]) -> Any:
        by_leaf = {
            traced.arguments[place].number: gradient
            for place, gradient in zip(self._differentiated(bound, traced), gradients, strict=True)
        }
        trees = []
        for number, leaves in zip(
            self._chosen(bound.positional), self._leaf_numbers(bound), strict=True
        ):
            given = [_returned(by_leaf.get(n), bound.leaves[n]) for n in leaves]
            trees.append(optree.tree_unflatten(bound.structure[0][number], given))
        return trees[0] if isinstance(self._argnums, int) else tuple(trees)

    def _receive(
        self, bound: _Bound, traced: TracedCall, argument: Argument, gradient: Any
    ) -> None:
        for value, part in _receivers(bound, traced, argument, gradient):
            value._grad = value._grad + part

    def _node(
        self,
        bound: _Bound,
        traced: TracedCall,
        wrt: tuple[int, ...],
        value: float,
        gradients: list[Any],
    ) -> Value:
        pairs = [
            pair
            for place, gradient in zip(wrt, gradients, strict=True)
            for pair in _receivers(bound, traced, traced.arguments[place], gradient)
        ]
        operands, parts = zip(*pairs, strict=True)
        node: Value = record(value, self._stem(), operands, Gradients(parts))
        return node


def _receivers(
    bound: _Bound, traced: TracedCall, argument: Argument, gradient: Any
) -> list[tuple[Value, Any]]:
    """Return the Values behind one input of the kernel, each with its part of the gradient."""
    if argument.source == "captured":
        parts = zip(traced.captured, gradient.tolist(), strict=True)
        return [(value, part) for value, part in parts if value.requires_grad]
    value = (
        bound.leaves[argument.number]
        if argument.source == "leaf"
        else traced.captured_arrays[argument.number]
    )
    return [(value, gradient if gradient.ndim else float(gradient))]


def _inputs(bound: _Bound, traced: TracedCall) -> list[Any]:
    """Return the kernel's inputs for one call."""
    captured = iter(_captured(traced))
    inputs = []
    for argument in traced.arguments:
        if argument.source == "leaf":
            inputs.append(prepared(bound.leaves[argument.number], bound.specs[argument.number]))
        elif argument.source == "outside":
            inputs.append(
                prepared(
                    bound.outside_leaves[argument.number], bound.outside_specs[argument.number]
                )
            )
        else:
            inputs.append(next(captured))
    return inputs


def _returned(gradient: Any, leaf: Any) -> Any:
    """Give a gradient the type of what it belongs to."""
    if gradient is None:
        return None
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f" and leaf.dtype != np.float64:
        return gradient.astype(leaf.dtype)
    return gradient if gradient.ndim or isinstance(leaf, np.ndarray) else float(gradient)


def _plain(array: Any, leaf: Traced) -> Any:
    array = array.astype(bool) if leaf.kind == "b" else array
    return array if array.ndim else array.item()


def _type(shape: tuple[int, ...], dtype: str) -> Any:
    scalar = numba.int64 if dtype == "i8" else numba.float64
    return numba.types.Array(scalar, len(shape), "C") if shape else scalar


class _Clock:
    """Notes how long each stage takes."""

    def __init__(self, timings: dict[str, float]) -> None:
        self.timings = timings
        self.at = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings[stage] = now - self.at
        self.at = now


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
def compile(  # type: ignore[misc]
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
        Plain Python over floats, NumPy arrays and Values that returns one number.
    argnums : int or sequence of int
        Which positional arguments to differentiate with respect to.
    has_aux : bool
        Whether the function returns ``(loss, aux)``.
    strict : bool
        Keep the order of evaluation bit for bit: no fused multiply-add, sums in order.

    Returns
    -------
    CompiledFunction
        Or a decorator, where ``fun`` is left out.

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
            f"{user_location()}: jitgrad.compile got {type(fun).__name__}; expected a function"
        )
    return CompiledFunction(fun, argnums, has_aux, strict)

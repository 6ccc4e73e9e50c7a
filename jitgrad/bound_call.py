"""A call with its arrays in place: nothing is flattened, compared or allocated any more.

>>> from jitgrad.compiled import compile
>>> x = np.array([1.0, 2.0])
>>> step = compile(lambda x: np.sum(x**2)).bind(x)
>>> for _ in range(50):
...     loss = step()
...     x -= 0.25 * step.gradient
>>> bool(loss < 1e-20)
True
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitgrad.binding import Bound, fixed_leaves
from jitgrad.build import Kernel
from jitgrad.call import auxiliary, gradient_of, inputs
from jitgrad.errors import (
    ArgumentError,
    ChangedError,
    PositionError,
    ShapeError,
    user_location,
)
from jitgrad.labels import Part
from jitgrad.signature import flatten, leaf_names
from jitgrad.straight import Leaves, Surroundings, inside, surroundings
from jitgrad.trace import Argument, TracedCall, positions_of
from jitgrad.value import Value

Array = np.ndarray[Any, Any]


class BoundCall:
    """A loss with its arguments and gradient arrays held; made by `CompiledFunction.bind`.

    Calling it computes the loss and the gradient for what the arguments' arrays hold at that
    moment, and returns the loss. Numbers among the arguments stay as they were: what is to change
    has to be in an array.

    Attributes
    ----------
    gradient
        In the structure of the differentiated argument; its arrays are overwritten by each call.
    aux
        The auxiliary output of the latest call, with ``has_aux=True``.

    Raises
    ------
    ChangedError
        By a call, when something that the function names outside itself has become something
        else: another function, another type or shape. New numbers there are seen.
    PositionError
        By a call, when an array of positions holds one outside its axis, or a negative one.
    """

    def __init__(self, bound: Bound, traced: TracedCall, kernel: Kernel, single: bool) -> None:
        self._bound, self._traced, self._single = bound, traced, single
        self._wrt = [traced.arguments[place] for place in kernel.wrt]
        given = inputs(bound, traced)
        self._check(given)
        program = kernel.program
        self._gradients = [
            np.empty(argument.shape, program.buffers[f"grad_{argument.buffer}"].dtype)
            for argument in self._wrt
        ]
        self._aux = [np.empty(*made) for made in kernel.aux]
        held = [(a, x) for x, a in zip(given, traced.arguments, strict=True) if a.source == "leaf"]
        arrays = [x for _, x in held]
        around = positions_of([a for a in traced.arguments if a.source != "leaf"], len(held))
        leaves = Leaves(extents=around, fixed=fixed_leaves(bound, len(held)))
        found = surroundings(bound.places, len(held), leaves)
        limits = {f"h{n}": min(a.extents) for n, (a, _) in enumerate(held) if a.extents}
        self._run = _direct(kernel, arrays, [*self._gradients, *self._aux], found, limits)

    def __call__(self) -> float:
        """Compute loss and gradient; return the loss."""
        return self._run()

    @property
    def gradient(self) -> Any:
        """The gradient at the latest call, in arrays that the next one overwrites."""
        trees = gradient_of(self._bound, self._wrt, self._gradients)
        return trees[0] if self._single else tuple(trees)

    @property
    def aux(self) -> Any:
        """The auxiliary output of the latest call."""
        return auxiliary(self._traced, self._aux, self._bound)

    def _check(self, given: Sequence[Any]) -> None:
        """Refuse what would have to be copied: changes in it would not be seen."""
        names = self._bound.names()
        for name, leaf, spec in zip(names, self._bound.leaves, self._bound.specs, strict=True):
            if isinstance(leaf, Part):
                raise ArgumentError(
                    f"{user_location()}: bind() with a pandas object, {name}; expected arrays, "
                    "which are used in place; pass .to_numpy() of it"
                )
            if isinstance(leaf, np.ndarray) and not spec.traced:
                raise ArgumentError(
                    f"{user_location()}: bind() of a loss that needs the elements of {name} to be "
                    "known when it is traced: changes in it would not be seen; write value_and_grad"
                )
        for argument, prepared in zip(self._traced.arguments, given, strict=True):
            leaf = self._bound.leaves[argument.number] if argument.source == "leaf" else None
            if argument.source in ("captured", "value") or isinstance(leaf, Value):
                raise ArgumentError(
                    f"{user_location()}: bind() of a loss over Values; expected arrays and "
                    "numbers; write value_and_grad or backward"
                )
            is_array = argument.source == "leaf" and argument.shape
            if is_array and prepared is not leaf and not np.shares_memory(prepared, leaf):
                raise ArgumentError(
                    f"{user_location()}: bind() with argument {argument.name}, "
                    f"{_described(leaf)}; expected a writable, C-contiguous array of "
                    f"{np.dtype(argument.dtype)}, which is used in place; write "
                    f"np.array({argument.name}, dtype={np.dtype(argument.dtype)}) before"
                )


def _direct(
    kernel: Kernel,
    held: list[Any],
    results: list[Array],
    found: Surroundings,
    limits: dict[str, int],
) -> Callable[[], float]:
    """Make a function without arguments that calls the machine code.

    Numba's ``entry_point`` checks nothing, which saves 70 ns: the arrays were checked, and they are
    held, so that NumPy refuses to resize them. Positions can change, so they are checked each time.
    """
    (compiled,) = kernel.call.overloads.values()
    names = {f"h{n}": value for n, value in enumerate([*held, *results])}
    first = [f"h{n}" for n in range(len(held))]
    last = [f"h{n}" for n in range(len(held), len(names))]
    text = (
        "def call():\n"
        f"    if not ({' and '.join(found.checks) or 'True'}):\n"
        "        return changed()\n"
        f"    if not ({' and '.join(itertools.starmap(inside, limits.items())) or 'True'}):\n"
        "        return outside()\n"
        f"    return entry({', '.join([*first, *found.inputs, *last])})\n"
    )
    namespace = {
        **found.names,
        **names,
        "entry": compiled.entry_point,
        "changed": _changed,
        "outside": _outside,
    }
    exec(compile(text, f"{__file__} (made)", "exec"), namespace)  # no line of the user's
    made: Callable[[], float] = namespace["call"]
    return made


def _changed() -> float:
    raise ChangedError(
        f"{user_location()}: something that the loss names outside itself is not what it was when "
        "bind() was called: another function, type or shape; call bind() again"
    )


def _outside() -> float:
    raise PositionError(
        f"{user_location()}: an array of positions that is bound holds one outside its axis, or a "
        "negative one; expected positions from 0 up; write positions % extent"
    )


def _described(leaf: Any) -> str:
    if not isinstance(leaf, np.ndarray):
        return f"a {type(leaf).__name__}"
    order = "" if leaf.flags.c_contiguous else ", not C-contiguous"
    return f"an array of {leaf.dtype}{order}{'' if leaf.flags.writeable else ', read-only'}"


# --- gradients in given arrays --------------------------------------------------------------------


def given_arrays(
    out: Any, bound: Bound, wrt: Sequence[Argument], single: bool, taken: Sequence[Any]
) -> list[Array]:
    """Return the arrays of ``out`` in the order of a kernel's gradients.

    Raises
    ------
    ArgumentError, ShapeError
        Where ``out`` has not the gradient's structure, or an array cannot be written to in place.
    """
    trees = [out] if single else list(out)
    names: dict[int, str] = {}
    arrays: dict[int, Any] = {}
    for number, leaves, tree in zip(bound.chosen, bound.chosen_leaves(), trees, strict=False):
        found, structure = flatten(tree)
        if any(isinstance(part, Part) for part in found):
            raise ArgumentError(
                f"{user_location()}: out holds pandas objects, whose memory may be shared; leave "
                "out away, or give parameters and out as arrays"
            )
        wanted = bound.structures[number].spec
        if structure.spec != wanted or len(trees) != len(bound.chosen):
            raise ArgumentError(
                f"{user_location()}: out has the structure {structure.spec}; expected that of the "
                f"gradient, {wanted}"
            )
        arrays |= dict(zip(leaves, found, strict=True))
        names |= dict(zip(leaves, leaf_names(tree, "out"), strict=True))
    chosen = [arrays[argument.number] for argument in wrt]
    for at, argument in enumerate(wrt):
        _check_out(chosen[at], argument, names[argument.number])
        if any(np.may_share_memory(chosen[at], x) for x in (*taken, *chosen[:at])):
            raise ArgumentError(
                f"{user_location()}: {names[argument.number]} shares memory with an argument or "
                "with another gradient; write np.empty_like(...)"
            )
    return chosen


def _check_out(array: Any, argument: Argument, name: str) -> None:
    dtype = np.dtype(argument.dtype)
    if (
        not isinstance(array, np.ndarray)
        or array.dtype != dtype
        or not (array.flags.c_contiguous and array.flags.writeable)
    ):
        raise ArgumentError(
            f"{user_location()}: {name} is {_described(array)}; expected a writable, C-contiguous "
            f"array of {dtype}; write np.empty({argument.shape})"
        )
    if array.shape != argument.shape:
        raise ShapeError(
            f"{user_location()}: {name} has the shape {array.shape}; expected {argument.shape}"
        )

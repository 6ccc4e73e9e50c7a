"""One call's arguments and surroundings, flattened: what a trace is kept under and made with.

>>> binder = Binder(lambda w, x: w * x, argnums=0)
>>> bound = binder.bind((2.0,), {"x": 3.0})
>>> bound.leaves, bound.names()
([2.0, 3.0], ['w', 'x'])
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from jitgrad.errors import ArgumentError, user_location
from jitgrad.labels import alike
from jitgrad.places import Found, Place, look
from jitgrad.signature import (
    Spec,
    argument_names,
    changeable_defaults,
    flatten,
    leaf_names,
    names_by_place,
    parameters_of,
    spec_as_it_is,
    spec_of,
)

LEAF = "leaf"  # of the arguments


class Bound(NamedTuple):
    """The arguments and the surroundings of one call, flattened.

    Parameters
    ----------
    labelled : tuple of (str, Any)
        Each argument with its name: the positional ones, then the keywords in order.
    keywords : tuple of str
        The names of the keywords.
    chosen : tuple of int
        The positional arguments that are differentiated.
    structures : tuple
        The structure of each argument.
    leaves, specs
        Of all arguments, in order.
    inside : hashable
        What the trace depends on, of the arguments.
    around : tuple of Found
        What the function finds outside itself, as far as earlier traces know.
    rows : tuple of int
        Which of the indexes of pandas' objects are equal.
    """

    labelled: tuple[tuple[str, Any], ...]
    keywords: tuple[str, ...]
    chosen: tuple[int, ...]
    structures: tuple[Any, ...]
    leaves: list[Any]
    specs: tuple[Spec, ...]
    inside: Any
    around: tuple[Found, ...]
    rows: tuple[int, ...] = ()

    @property
    def key(self) -> Any:
        """What the trace depends on."""
        return self.inside, tuple(found.key for found in self.around), self.rows

    @property
    def places(self) -> list[Place]:
        """Where the function finds something outside itself."""
        return [found.place for found in self.around]

    @property
    def outside_leaves(self) -> list[Any]:
        """The leaves of all that is around, in order."""
        return [leaf for found in self.around for leaf in found.leaves]

    @property
    def outside_specs(self) -> list[Spec]:
        """How each of these leaves enters the trace."""
        return [spec for found in self.around for spec in found.specs]

    def names(self) -> list[str]:
        """Return a name for each leaf of the arguments."""
        return [leaf for name, argument in self.labelled for leaf in leaf_names(argument, name)]

    def chosen_leaves(self) -> list[range]:
        """Return for each differentiated argument the numbers of its leaves."""
        starts = [0]
        for structure in self.structures:
            starts.append(starts[-1] + structure.spec.num_leaves)
        return [range(starts[n], starts[n + 1]) for n in self.chosen]


def fixed_leaves(bound: Bound, own: int) -> set[int]:
    """Return which leaves the trace took as they are; the surroundings' count from ``own``."""
    around = {own + n for n, spec in enumerate(bound.outside_specs) if not spec.traced}
    return around | {n for n, spec in enumerate(bound.specs[:own]) if not spec.traced}


def _alike(leaves: Sequence[Any], around: Iterable[Found]) -> tuple[int, ...]:
    """Return which indexes are equal, of the arguments and then of the surroundings."""
    return alike(itertools.chain(leaves, *(found.leaves for found in around)))


class Binder:
    """Binds the arguments of calls of one function.

    Parameters
    ----------
    function : callable
        Of a `functools.partial` the given arguments come first and are never differentiated.
    argnums : int or sequence of int
        Which positional arguments are.
    """

    def __init__(self, function: Callable[..., Any], argnums: int | Sequence[int]) -> None:
        self.name = getattr(function, "__name__", type(function).__name__)
        self.signature = parameters_of(function)
        self.order = names_by_place(self.signature)
        self.defaults = dict(changeable_defaults(self.signature))
        self.given: tuple[Any, ...] = ()
        self.given_keywords: dict[str, Any] = {}
        while isinstance(function, functools.partial):
            self.given = (*function.args, *self.given)
            self.given_keywords = {**function.keywords, **self.given_keywords}
            function = function.func
        self.function = function
        self.fixed: set[Any] = set()
        self.known: dict[Any, tuple[Place, ...]] = {}
        self.argnums = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        self.inner = parameters_of(function) if self.given else self.signature

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bound:
        """Flatten a call.

        Raises
        ------
        ArgumentError
            For arguments that the function does not take, or of types that cannot be used.
        """
        args, kwargs = self.complete(args, kwargs)
        chosen = self._chosen(len(args))
        args, kwargs = (*self.given, *args), {**self.given_keywords, **kwargs}
        keywords = tuple(sorted(kwargs))
        names = argument_names(self.inner, len(args))
        labelled = (*zip(names, args, strict=True), *((name, kwargs[name]) for name in keywords))
        leaves: list[Any] = []
        specs: list[Spec] = []
        structures = []
        for number, (name, argument) in enumerate(labelled):
            found, structure = flatten(argument)
            structures.append(structure)
            leaves += found
            specs += self._specs(found, number in chosen, argument, name)
        given = tuple(structures)
        own = tuple(
            spec_as_it_is(leaf) if (given, n) in self.fixed else spec
            for n, (leaf, spec) in enumerate(zip(leaves, specs, strict=True))
        )
        inside = given, own, keywords
        around = tuple(look(place, self.fixed) for place in self.known.get(inside, ()))
        rows = _alike(leaves, around)
        return Bound(labelled, keywords, chosen, given, leaves, own, inside, around, rows)

    def learn(self, bound: Bound, around: Sequence[Found]) -> Bound:
        """Look at all the places that a trace found from now on; return the call as traced."""
        self.known[bound.inside] = tuple(found.place for found in around)
        return bound._replace(around=tuple(around), rows=_alike(bound.leaves, around))

    def complete(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Make keywords positional where they can be, and fill in defaults that hold arrays."""
        if kwargs:
            args, kwargs = self.by_place(args, kwargs)
        if self.signature is None or not (kwargs or self.defaults):
            return args, kwargs
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{user_location()}: {self.name}(): {error}") from None
        for name, default in self.defaults.items():
            if name not in self.given_keywords:
                bound.arguments.setdefault(name, default)
        return bound.args, {**self.given_keywords, **bound.kwargs}

    def fix(self, bound: Bound, leaves: Iterable[tuple[Any, int]]) -> None:
        """From now on take some leaves as they are: the function is traced for each content."""
        for key, number in leaves:
            self.fixed.add((bound.structures if key == LEAF else key, number))

    def by_place(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Make keywords positional where they are just the next arguments: the quick case."""
        names = self.order[len(args) : len(args) + len(kwargs)]
        if len(names) == len(kwargs) and all(name in kwargs for name in names):
            return (*args, *[kwargs[name] for name in names]), {}
        return args, kwargs

    def takes(self, name: str) -> bool:
        """Whether the function has a parameter of a name, or takes any keyword."""
        parameters = self.signature.parameters.values() if self.signature else ()
        return any(p.name == name or p.kind is p.VAR_KEYWORD for p in parameters)

    def _chosen(self, count: int) -> tuple[int, ...]:
        """The differentiated arguments, without those that the call does not have."""
        given = [number % count for number in self.argnums if -count <= number < count]
        return tuple(number + len(self.given) for number in given)

    def check(self, bound: Bound) -> None:
        """Raise the error for a call without an argument that is to be differentiated."""
        if len(bound.chosen) < len(self.argnums):
            count = len(bound.labelled) - len(bound.keywords) - len(self.given)
            wanted = ", ".join(map(str, self.argnums))
            raise ArgumentError(
                f"{user_location()}: {self.name} was called with {count} positional arguments, and "
                f"compiled with argnums={wanted}; write jitgrad.compile(fun, argnums=...) with the "
                "places of the arguments to differentiate with respect to, or backward() for Values"
            )

    def _specs(self, leaves: list[Any], wanted: bool, argument: Any, name: str) -> list[Spec]:
        try:
            return [spec_of(leaf, wanted, "") for leaf in leaves]
        except ArgumentError:  # again, with names: they take longer than all the rest
            for leaf, label in zip(leaves, leaf_names(argument, name), strict=True):
                spec_of(leaf, wanted, label)
            raise

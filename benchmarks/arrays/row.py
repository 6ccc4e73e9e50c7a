"""What a row of the array benchmark is: a loss in plain NumPy, its data, and its gradient by hand.

>>> flatten(({"b": 1.0, "a": np.zeros(2)}, 3.0))
[array([0., 0.]), 1.0, 3.0]
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np


class Row(NamedTuple):
    """One loss with its data and the gradients written by hand.

    Attributes
    ----------
    name : str
        What the command line calls it.
    title : str
        What the table calls it.
    loss : callable
        Plain NumPy; returns one number.
    make : callable
        From a random generator to the arguments: arrays, floats, or dicts of arrays.
    by_numpy : callable
        From the arguments to the value and a tuple of gradients, structured like the arguments.
    by_numba : callable
        `value = by_numba(*leaves, *gradients)`: the leaves of all arguments, then of those that
        are differentiated, which it overwrites; a dict's leaves in the order of their names.
    argnums : tuple of int
        The arguments that are differentiated.
    peers : dict of str to callable or str
        What another library gets in place of `loss`; a str says why it gets nothing.
    single : bool
        The arguments are float32, and errors are judged accordingly.
    """

    name: str
    title: str
    loss: Callable[..., Any]
    make: Callable[[np.random.Generator], tuple[Any, ...]]
    by_numpy: Callable[..., tuple[Any, tuple[Any, ...]]]
    by_numba: Callable[..., Any]
    argnums: tuple[int, ...] = (0,)
    peers: Mapping[str, Callable[..., Any] | str] = MappingProxyType({})
    single: bool = False

    def arguments(self) -> tuple[Any, ...]:
        """Make the arguments, the same in every process."""
        return self.make(np.random.default_rng(2024))

    def tolerance(self) -> float:
        """Largest error of value and gradient, relative to the largest entry."""
        return 1e-3 if self.single else 1e-6


def leaves(argument: Any) -> list[Any]:
    """Return the arrays and numbers of one argument, a dict's in the order of its names."""
    return [argument[k] for k in sorted(argument)] if isinstance(argument, dict) else [argument]


def flatten(arguments: tuple[Any, ...]) -> list[Any]:
    """Return the arrays and numbers of all arguments."""
    return [leaf for argument in arguments for leaf in leaves(argument)]


def concatenated(gradients: Any) -> np.ndarray:
    """Return gradients, in whatever containers, as one flat array of float64."""
    if isinstance(gradients, tuple | list):
        return np.concatenate([concatenated(part) for part in gradients])
    return np.concatenate([np.ravel(np.asarray(x, dtype=float)) for x in leaves(gradients)])

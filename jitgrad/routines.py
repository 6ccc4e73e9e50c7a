"""The table of routines: what works on whole arrays and not on one number at a time.

A routine takes vectors and matrices and fills one more; where NumPy stacks matrices, a kernel calls
it in a loop over the stack. All compute in float64. The derivatives are in `matrix_rules`, written
in NumPy over these same routines, so that they have derivatives again.

>>> ROUTINES["lu"].shape((3, 3))
(4, 3)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jitgrad import checks, lapack, sorting, spectral

Shape = tuple[int, ...]


class Routine(NamedTuple):
    """One routine.

    Parameters
    ----------
    function : callable
        ``function(out, *operands)``, for Python and for kernels.
    ranks : tuple of int
        How many dimensions each operand has.
    shape : callable
        The shape of what it fills, from the operands' shapes.
    active : tuple of int
        The operands in which the result has a derivative.
    dtype : str
        The element type of the result: ``f8``, or ``i8`` for positions.
    """

    function: Callable[..., None]
    ranks: tuple[int, ...]
    shape: Callable[..., Shape]
    active: tuple[int, ...] = ()
    dtype: str = "f8"

    def most(self, *shapes: Shape) -> int:
        """Return how many different positions there may be among the results."""
        return shapes[0][0] + (self.function in (sorting.search_left, sorting.search_right))

    @property
    def rank(self) -> int:
        """How many dimensions the result has."""
        return len(self.shape(*((1,) * rank for rank in self.ranks)))

    @property
    def module(self) -> str:
        """Where a kernel imports it from."""
        return self.function.__module__


def _like(number: int = 0) -> Callable[..., Shape]:
    return lambda *shapes: shapes[number]


def _one(*_: Shape) -> Shape:
    return (1,)


def _row_more(a: Shape, *_: Shape) -> Shape:
    return (a[0] + 1, a[1])


def _svd_shape(a: Shape) -> Shape:
    k = min(a)
    return (a[0] * k + k + k * a[1],)


POSITIONS = "i8"

ROUTINES: dict[str, Routine] = {
    "argmax": Routine(sorting.argmax, (1,), _one, dtype=POSITIONS),
    "argmin": Routine(sorting.argmin, (1,), _one, dtype=POSITIONS),
    "argsort": Routine(sorting.argsort, (1,), _like(), dtype=POSITIONS),
    "arrived": Routine(checks.arrived, (1,), _like()),
    "cholesky": Routine(lapack.cholesky, (2,), _like(), (0,)),
    "cofactors": Routine(spectral.cofactors, (2,), _like(), (0,)),
    "divide_by_gaps": Routine(spectral.divide_by_gaps, (2, 1), _like(), (0, 1)),
    "eig": Routine(spectral.eig, (2,), _row_more, (0,)),
    "eigh": Routine(spectral.eigh, (2,), _row_more, (0,)),
    "lu": Routine(lapack.lu, (2,), _row_more),
    "lu_det": Routine(lapack.lu_det, (2, 2), _one, (0,)),
    "lu_logdet": Routine(lapack.lu_logdet, (2, 2), _one, (0,)),
    "lu_sign": Routine(lapack.lu_sign, (2,), _one),
    "lu_solve": Routine(lapack.lu_solve, (2, 2, 2), _like(2), (0, 2)),
    "lu_solve_transposed": Routine(lapack.lu_solve_transposed, (2, 2, 2), _like(2), (0, 2)),
    "pinv": Routine(spectral.pinv, (2, 1), lambda a, _: (a[1], a[0]), (0,)),
    "positions": Routine(sorting.positions, (1, 1), _like(), dtype=POSITIONS),
    "qr": Routine(spectral.qr, (2,), lambda a: (a[0] * a[1] + a[1] * a[1],), (0,)),
    "search_left": Routine(sorting.search_left, (1, 1), _like(1), dtype=POSITIONS),
    "search_right": Routine(sorting.search_right, (1, 1), _like(1), dtype=POSITIONS),
    "solve_lower": Routine(lapack.solve_lower, (2, 2), _like(1), (0, 1)),
    "solve_lower_transposed": Routine(lapack.solve_lower_transposed, (2, 2), _like(1), (0, 1)),
    "svd": Routine(spectral.svd, (2,), _svd_shape, (0,)),
}


PULLS: dict[str, Callable[..., Any]] = {}
"""``PULLS[name](argument, g, out, *operands)``: what an operand receives, from `matrix_rules`."""


def called(name: str, *operands: Any) -> Any:
    """Run a routine on plain arrays, stacked ones too.

    Examples
    --------
    >>> called("argsort", np.array([[2.0, 1.0], [3.0, 4.0]]))
    array([[1, 0],
           [0, 1]])
    """
    routine = ROUTINES[name]
    arrays = [np.asarray(x, float) for x in operands]
    cores = [x.shape[x.ndim - rank :] for x, rank in zip(arrays, routine.ranks, strict=True)]
    stacks = [x.shape[: x.ndim - rank] for x, rank in zip(arrays, routine.ranks, strict=True)]
    stack = np.broadcast_shapes(*stacks)
    whole = [np.broadcast_to(x, (*stack, *core)) for x, core in zip(arrays, cores, strict=True)]
    out = np.empty((*stack, *routine.shape(*cores)), routine.dtype)
    for at in np.ndindex(stack):
        routine.function(out[at], *(np.ascontiguousarray(x[at]) for x in whole))
    return out

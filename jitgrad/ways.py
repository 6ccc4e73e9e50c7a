"""The straight ways that a compiled function keeps, newest first.

A way is made after the first call of its kind, and looked for before anything else at each call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from jitgrad.binding import Binder, Bound, fixed_leaves
from jitgrad.build import Kernel
from jitgrad.straight import MISS, Leaves, straight, straight_backward
from jitgrad.trace import TracedCall, positions_of

Way: TypeAlias = "tuple[int, Any]"  # how many arguments it takes, and the function
MOST = 4  # of each kind


class Ways:
    """The straight ways of one compiled function.

    Parameters
    ----------
    binder : Binder
        Binds the function's arguments.
    """

    def __init__(self, binder: Binder) -> None:
        self._binder = binder
        self.value: list[Way] = []
        self.gradient: list[Way] = []
        self.backward: list[tuple[int, Any, TracedCall]] = []
        self._known: set[Any] = set()

    def keep(
        self,
        ways: list[Way],
        args: tuple[Any, ...],
        bound: Bound,
        traced: TracedCall,
        kernel: Kernel,
        single: bool,
    ) -> None:
        """Keep a way to a value, or to a value and gradient, for calls like this one if it can be.

        Parameters
        ----------
        ways : list
            ``value`` or ``gradient``.
        args, bound, traced
            The call.
        kernel : Kernel
            What it ran.
        single : bool
            Whether the gradient of one argument is returned bare.
        """
        if not self._is_new((id(traced), kernel.wrt, id(ways)), args, bound):
            return
        if any(argument.source in ("captured", "value") for argument in traced.arguments):
            return
        own = len(bound.leaves)
        wanted = {traced.arguments[place].number for place in kernel.wrt}
        leaves = Leaves(wanted, positions_of(traced.arguments, own), fixed_leaves(bound, own))
        chosen = bound.chosen if ways is self.gradient else ()
        single = single and ways is self.gradient
        made = straight(args, leaves, chosen, single, kernel.call, bound.places)
        if made is not None:
            ways.insert(0, (len(args), made))
            del ways[MOST:]

    def keep_backward(
        self, args: tuple[Any, ...], bound: Bound, traced: TracedCall, kernel: Kernel
    ) -> None:
        """Keep a way for a loss over captured scalar Values."""
        if not self._is_new((id(traced), kernel.wrt, "backward"), args, bound):
            return
        captured = [n for n, a in enumerate(traced.arguments) if a.source == "captured"]
        if tuple(captured) != kernel.wrt or any(value._operands for value in traced.captured):
            return
        if any(a.source == "value" or a.extents for a in traced.arguments):
            return
        fixed = fixed_leaves(bound, len(bound.leaves))
        made = straight_backward(
            args, traced.captured, kernel.aux, kernel.call, bound.places, fixed
        )
        if made is not None:
            self.backward.insert(0, (len(args), made, traced))
            del self.backward[MOST:]

    def _is_new(self, key: Any, args: tuple[Any, ...], bound: Bound) -> bool:
        """Whether a call can have a straight way and has not been looked at."""
        if key in self._known or len(bound.labelled) != len(args) or bound.keywords:
            return False
        self._known.add(key)
        return bool(self._binder.bind(args, {}).key == bound.key)  # unless the call changed it


def taken(ways: Sequence[Way], args: tuple[Any, ...]) -> Any:
    """Go the first way that these arguments fit; `MISS` where there is none."""
    for arity, way in ways:
        if arity == len(args) and (found := way(*args)) is not MISS:
            return found
    return MISS

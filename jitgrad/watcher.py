"""Notices a function that is traced again and again because something outside it keeps changing."""

from __future__ import annotations

import warnings
from typing import Any

from jitgrad.binding import Bound
from jitgrad.errors import RetracedWarning, user_location

MANY = 12  # traces for the same arguments


class Watcher:
    """Counts the traces of one function.

    Parameters
    ----------
    name : str
        The function's.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._counts: dict[Any, int] = {}
        self._latest: dict[Any, Bound] = {}

    def traced(self, bound: Bound) -> None:
        """Take note of a trace; warn where many have differed in the same place.

        Warns
        -----
        RetracedWarning
            Once for each signature.
        """
        before = self._latest.get(bound.inside)
        self._latest[bound.inside] = bound
        count = self._counts[bound.inside] = self._counts.get(bound.inside, 0) + 1
        if before is None or count != MANY:
            return
        known = {found.place.key: found for found in before.around}
        changed = [
            str(found.place)
            for found in bound.around
            if found.place.key in known and found.key != known[found.place.key].key
        ]
        if changed:
            warnings.warn(
                f"{user_location()}: {self._name} was traced {MANY} times for the same kinds of "
                f"arguments, because {', '.join(changed)} is another each time, which costs "
                "milliseconds to seconds. Make it a float or an array, or an argument; if it "
                "counts calls, count them outside the function",
                RetracedWarning,
                stacklevel=2,
            )

"""Timing of several callables in one process, interleaved: A B C A B C ...

A shared machine changes speed from second to second, so a time alone means little. In each round
every callable is timed once; the ratio of two callables is taken inside the round, and the median
over the rounds is what the table shows.

>>> times = interleave({"a": lambda: sum(range(50)), "b": lambda: sum(range(50))}, rounds=3)
>>> 0.2 < times.ratio("a", "b") < 5.0
True
"""

import gc
import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

ROUNDS = 21
SECONDS_PER_SAMPLE = 2e-3

Call = Callable[[], Any]


class Times(NamedTuple):
    """Seconds per call, one entry per round, by name."""

    seconds: dict[str, list[float]]

    def best(self, name: str) -> float:
        """Return the fastest round."""
        return min(self.seconds[name])

    def typical(self, name: str) -> float:
        """Return the median round."""
        return median(self.seconds[name])

    def ratio(self, name: str, to: str) -> float:
        """Return the median over the rounds of one time over the other's in the same round."""
        pairs = zip(self.seconds[name], self.seconds[to], strict=True)
        return median(mine / other for mine, other in pairs)


def sample(call: Call, number: int) -> float:
    """Return seconds per call over `number` calls in a row."""
    repeats = range(number)
    start = perf_counter()
    for _ in repeats:
        call()
    return (perf_counter() - start) / number


def repetitions(call: Call, seconds: float) -> int:
    """Return how many calls fill about `seconds`; the call is warm afterwards."""
    call()
    number = 1
    while (elapsed := sample(call, number) * number) < seconds / 4:
        number *= 4
    return max(1, round(number * seconds / elapsed))


def interleave(
    calls: dict[str, Call], rounds: int = ROUNDS, seconds: float = SECONDS_PER_SAMPLE
) -> Times:
    """Time every callable once a round.

    Parameters
    ----------
    calls : dict of str to callable
        What to time, without arguments.
    rounds : int
        How many times each is sampled.
    seconds : float
        About how long one sample lasts.
    """
    number = {name: repetitions(call, seconds) for name, call in calls.items()}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    enabled = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in calls.items():
                taken[name].append(sample(call, number[name]))
    finally:
        if enabled:
            gc.enable()
    return Times(taken)


def show_seconds(seconds: float) -> str:
    """Write a duration with three digits and its unit.

    >>> show_seconds(3.214e-05), show_seconds(0.25), show_seconds(12.0)
    ('32.1 us', '250 ms', '12 s')
    """
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}" if seconds < 999.5 * unit else f"{seconds:.0f} s"
    return f"{seconds * 1e9:.3g} ns"


def show_ratio(ratio: float) -> str:
    """Write a ratio: two decimals, or thousands for a large one.

    >>> show_ratio(1.0849), show_ratio(23456.7)
    ('1.08x', '23,457x')
    """
    return f"{ratio:.2f}x" if ratio < 100 else f"{ratio:,.0f}x"


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose first column is a name and whose others are right-aligned."""
    table = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if position else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160).print(table)

"""Time grows with the length of a tape and no faster; how fast is for the benchmarks."""

import time

import pytest

from benchmarks.problems import recurrence
from jitgrad.lower import lower
from jitgrad.tape import Recording, Tape
from jitgrad.tape_columns import columns, rolled


def seconds(steps):
    """Trace, roll and lower a recurrence of four instructions a step; the best of two."""
    times = []
    for _ in range(2):
        start = time.process_time()
        tape = Tape()
        x = tape.add_input("x", ())
        with Recording(tape):
            loss = recurrence(x, steps)
        cols = columns(tape)
        program = lower(tape, rolled(cols), cols, [tape.lift(loss)])
        times.append(time.process_time() - start)
        assert len(tape) >= 4 * steps
        assert program.statements < 10
    return min(times)


@pytest.mark.slow
def test_a_tape_of_four_times_the_length_takes_about_four_times_as_long():
    seconds(1_000)
    assert seconds(100_000) < 1.6 * 4.0 * seconds(25_000)

"""All rows, in the order of the table.

>>> "garch" in ROWS
True
"""

from benchmarks.arrays import (
    attention,
    black_scholes,
    bundle,
    convolution,
    elementwise,
    garch,
    lennard_jones,
    logistic,
    lstm,
    mixture,
    mlp,
    negative_binomial,
    rosenbrock,
)
from benchmarks.arrays.row import Row

FAMILIES = (
    rosenbrock,
    logistic,
    mlp,
    mixture,
    bundle,
    lstm,
    attention,
    convolution,
    lennard_jones,
    black_scholes,
    elementwise,
    negative_binomial,
    garch,
)
ROWS: dict[str, Row] = {row.name: row for family in FAMILIES for row in family.ROWS}

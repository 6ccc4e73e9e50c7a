"""SciPy's special functions over Values.

They are ufuncs, so ``scipy.special.gammainc(a, v)`` asks a Value what it means. Most are rows of the
ops table, under SciPy's name or another one; the rest are written with rows.

>>> from jitgrad import Value
>>> round(SPECIAL["ndtr"](Value(1.0)).data, 12)
0.841344746069
"""

from __future__ import annotations

import math
from typing import Any

from jitgrad.arrays import Array, as_value, through_row
from jitgrad.graph import SPECIAL, elementwise
from jitgrad.special_rows import ROWS

OF_THE_TABLE = ("erf", "erfc", "exp2", "expm1", "gammaln", "log1p")

RENAMED = {
    "digamma": "digamma",
    "psi": "digamma",
    "_zeta": "zeta",  # what scipy.special.zeta(x, q) calls
    "jn": "jv",
    "kn": "kv",
    "yn": "yv",
}


def ndtr(x: Array) -> Any:
    """Return the normal distribution function."""
    return 0.5 * elementwise("erfc", as_value(x) * -math.sqrt(0.5))


def cosm1(x: Array) -> Any:
    """Return cos(x) - 1, with all digits also near 0."""
    sine = elementwise("sin", as_value(x) * 0.5)
    return sine * sine * -2.0


def exp10(x: Array) -> Any:
    """Return 10 ** x."""
    return elementwise("pow", 10.0, x)


SPECIAL.update({name: through_row(name) for name in [*OF_THE_TABLE, *ROWS]})
SPECIAL.update({name: through_row(row) for name, row in RENAMED.items()})
SPECIAL.update({"cosm1": cosm1, "exp10": exp10, "ndtr": ndtr})

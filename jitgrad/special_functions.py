"""SciPy's special functions over Values.

They are ufuncs, so ``scipy.special.gammainc(a, v)`` asks a Value what it means. Most are rows of
the ops table, under SciPy's name or another one; the rest are written with rows.

>>> from jitgrad import Value
>>> round(SPECIAL["ndtr"](Value(1.0)).data, 12)
0.841344746069
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitgrad.errors import UnsupportedError, user_location
from jitgrad.graph import Function, Operand, elementwise
from jitgrad.protocols import SPECIAL, implements
from jitgrad.special_rows import UFUNCS
from jitgrad.ufuncs import Array, as_value, through_row
from jitgrad.value import Value

OF_THE_TABLE = ("erf", "erfc", "exp2", "expm1", "gammaln", "log1p")

RENAMED = {
    "digamma": "digamma",
    "psi": "digamma",
    "_zeta": "zeta",  # what scipy.special.zeta(x, q) calls
    "jn": "jv",
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


def _of_whole_order(row: str) -> Function:
    """Return a function of a whole order; SciPy drops what follows the point."""

    def apply(n: Operand, x: Array) -> Any:
        if not isinstance(n, Value):
            n = np.trunc(n)
        elif n.element_type.kind not in "iu":
            raise UnsupportedError(
                f"{user_location()}: {row[0]}n of an order that is a Value of floats. Pass the "
                f"order as a plain number or as integers, or write scipy.special.{row}."
            )
        return elementwise(row, n, x)

    return apply


SPECIAL.update({name: through_row(name) for name in [*OF_THE_TABLE, *UFUNCS]})
SPECIAL.update({name: through_row(row) for name, row in RENAMED.items()})
SPECIAL.update({"cosm1": cosm1, "exp10": exp10, "ndtr": ndtr})
SPECIAL.update({"kn": _of_whole_order("kv"), "yn": _of_whole_order("yv")})


@implements("i0")
def i0(x: Array) -> Any:
    """np.i0."""
    return elementwise("i0", x)

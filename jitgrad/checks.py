"""What a kernel checks while it runs.

>>> out = np.empty(2)
>>> arrived(out, np.array([1.0, 1.0]))
>>> out
array([1., 1.])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import register_jitable

from jitgrad.errors import NotReachedError

Array = np.ndarray[Any, Any]


@register_jitable  # type: ignore[untyped-decorator]
def arrived(out: Array, shares: Array) -> None:
    """Fill with ones, if all shares of ways are 1.

    Raises
    ------
    NotReachedError
        If one is less, or not a number.
    """
    for k in range(shares.shape[0]):
        if not shares[k] >= 1.0:
            raise NotReachedError(
                "the differential equation's next time was not reached with mxstep steps of the "
                "accuracy that rtol and atol ask for; pass a larger mxstep or rtol"
            )
        out[k] = 1.0

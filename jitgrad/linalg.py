"""NumPy's linear algebra over Values.

Written over the routines of LAPACK and matrix products; see `matrix_rules` for the derivatives.
Where NumPy reads one half of a symmetric matrix, so does the value here; the derivative is shared
by both halves, as in JAX and PyTorch.

>>> a = Value([[4.0, 1.0], [1.0, 3.0]])
>>> round(float(np.linalg.slogdet(a).logabsdet.data), 12)
2.397895272798
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.linalg import linalg as _numpy

from jitgrad.arrays import as_value
from jitgrad.errors import ShapeError, UnsupportedError, user_location
from jitgrad.graph import NUMPY
from jitgrad.matrix_rules import (
    eigh_parts,
    inverse_transposed,
    qr_parts,
    routine,
    svd_parts,
    transposed,
)

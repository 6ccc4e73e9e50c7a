"""Exact gradients of plain Python and NumPy functions at the speed of hand-written Numba."""

from jitgrad import arrays as _arrays  # noqa: F401 - registers NumPy's functions
from jitgrad import linalg as _linalg  # noqa: F401 - registers NumPy's functions
from jitgrad import ordering as _ordering  # noqa: F401 - registers NumPy's functions
from jitgrad import reductions as _reductions  # noqa: F401 - registers NumPy's functions
from jitgrad import scans as _scans  # noqa: F401 - registers NumPy's functions
from jitgrad import special_functions as _special_functions  # noqa: F401 - registers SciPy's
from jitgrad.build import Lowered
from jitgrad.compiled import CompiledFunction, compile
from jitgrad.errors import JitgradError
from jitgrad.value import Value

__all__ = ["CompiledFunction", "JitgradError", "Lowered", "Value", "compile"]
__version__ = "0.1.0"

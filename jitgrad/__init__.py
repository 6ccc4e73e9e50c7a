"""Exact gradients of plain Python and NumPy functions at the speed of hand-written Numba."""

from jitgrad import methods as _methods  # noqa: F401 - the last one that registers
from jitgrad.build import Lowered
from jitgrad.compiled import CompiledFunction, compile
from jitgrad.errors import JitgradError
from jitgrad.value import Value

__all__ = ["CompiledFunction", "JitgradError", "Lowered", "Value", "compile"]
__version__ = "0.1.0"

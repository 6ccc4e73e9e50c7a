"""Every way a user can go wrong, and what to do about it.

Each class inherits the built-in that people would catch. A message says what was found and where
in the user's own file, what was expected, and what to write instead.

>>> issubclass(DataDependentError, TypeError)
True
"""

from __future__ import annotations

import os
import sys
import sysconfig
from types import FrameType


class JitgradError(Exception):
    """The base of all of jitgrad's errors.

    Attributes
    ----------
    inputs : frozenset of int
        The inputs of a trace whose numbers would have helped. Where a loss finds them outside its
        arguments, it is traced again with these as they are.
    """

    inputs: frozenset[int] = frozenset()


class TraceError(JitgradError, TypeError):
    """A traced value was used where it means nothing, most often after its trace had ended.

    While a function is traced, its values stand for numbers that are known only when the kernel
    runs. Return what you want to see: ``return loss, aux`` with ``compile(has_aux=True)``.
    """


class DataDependentError(TraceError):
    """Python asked for the number behind a traced value.

    ``if x > 0:``, ``float(x)``, ``int(x)``, ``np.asarray(x)`` and storing a traced value into a
    plain array all need a number, which is known only when the compiled kernel runs. Write
    ``np.where(x > 0, a, b)`` for the branch, and ``np.array([...])`` or ``np.stack`` for the array.
    """


_INSTEAD = {
    "bool()": "write np.where(condition, a, b) for a branch, np.maximum(a, b) for max(a, b), "
    "np.logical_and(a, b) for `a and b`",
    "float()": "write np.sin(x) for math.sin(x), x.data for the number without its history, and "
    "np.array([...]) or np.stack([...]) to put traced values in an array",
    "np.asarray()": "NumPy's functions take it as it is; write np.stack([...]) to put traced "
    "arrays together",
    "int()": "pass the integer as an int argument, which is static",
    "an index": "pass the integer as an int argument, which is static, or write np.take(a, i)",
    ".grad": "call value_and_grad or backward() of the compiled function, outside it",
    "backward()": "call value_and_grad or backward() of the compiled function, outside it",
    "assigning": "change parameters outside the compiled function",
}
_ELSE = "return it as auxiliary output: `return loss, aux` with jitgrad.compile(has_aux=True)"


def data_dependent(what: str) -> DataDependentError:
    """Make the error for asking a traced Value for its number by ``what``."""
    advice = next((text for start, text in _INSTEAD.items() if what.startswith(start)), _ELSE)
    return DataDependentError(
        f"{user_location()}: {what} needs the number behind a traced Value, which is known only "
        f"when the compiled kernel runs; {advice}"
    )


class ArgumentError(JitgradError, TypeError):
    """An argument has a type or dtype that cannot be used, or the arguments do not fit."""


class ShapeError(JitgradError, ValueError):
    """Arrays whose shapes do not go together."""


class PositionError(JitgradError, IndexError):
    """An index outside an array."""


class NotScalarError(JitgradError, TypeError):
    """A loss returned something that is not one number."""


class UnsupportedError(JitgradError, NotImplementedError):
    """A NumPy function or an indexing form that jitgrad does not know yet."""


class MissingPackageError(JitgradError, ImportError):
    """Something needs a package that jitgrad can do without otherwise, and it is not installed."""


class NoGradientError(JitgradError, RuntimeError):
    """``backward()`` was called where no gradient can flow."""


class NotCalledError(JitgradError, RuntimeError):
    """Something was asked of a compiled function that only its first call will make."""


class NotReachedError(JitgradError, RuntimeError):
    """The steps that a kernel may take are not enough for the accuracy that was asked for.

    How many it takes is fixed when it is compiled; pass ``mxstep`` to ``odeint`` and ``solve_ivp``.
    """


class ChangedError(JitgradError, RuntimeError):
    """A bound call was made after something that the loss names outside itself was replaced.

    ``loss.bind(...)`` compiles for what is there at that moment. Write ``loss.bind(...)`` again.
    """


class RetracedWarning(UserWarning):
    """Something outside a loss is another at each call, so that each call traces the loss anew.

    That is right, and slow. Give it as an argument, or make it a float or an array, which are read
    at each call without a new trace.
    """


_STANDARD = sysconfig.get_path("stdlib") + os.sep
_INSTALLED = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_INSIDE = (os.path.dirname(os.path.abspath(__file__)) + os.sep, "<frozen")


def is_library(filename: str) -> bool:
    """Whether a source file belongs to jitgrad, to the standard library or to what is installed."""
    return filename.startswith((*_INSIDE, _STANDARD, *_INSTALLED))


def user_location() -> str:
    """Return ``file:line`` of the innermost frame that is the user's own.

    Where all of the code is installed in site-packages, it is the innermost one outside jitgrad,
    NumPy and the standard library.
    """
    return _innermost(is_library) or _innermost(_is_machinery) or "<unknown>"


def _is_machinery(filename: str) -> bool:
    standard = filename.startswith(_STANDARD) and not filename.startswith(_INSTALLED)
    return standard or filename.startswith(_INSIDE) or f"{os.sep}numpy{os.sep}" in filename


def _innermost(excluded: object) -> str:
    assert callable(excluded)
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if not excluded(frame.f_code.co_filename):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return ""

"""Every way a user can go wrong, and what to do about it.

Each class inherits the built-in that people would catch. A message says what was found and where
in the user's own file, what was expected, and what to write instead.

>>> issubclass(DataDependentError, TypeError)
True
"""

from __future__ import annotations

import sys
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)


class JitgradError(Exception):
    """The base of all of jitgrad's errors."""


class TraceError(JitgradError, TypeError):
    """The function did something that a trace cannot follow."""


class DataDependentError(TraceError):
    """Python asked for the number behind a traced value.

    ``if x > 0:``, ``float(x)``, ``int(x)``, ``np.asarray(x)`` and storing a traced value into a
    plain array all need a number, which is known only when the compiled kernel runs. Write
    ``np.where(x > 0, a, b)`` for the branch, and ``np.array([...])`` or ``np.stack`` for the array.
    """


class ArgumentError(JitgradError, TypeError):
    """An argument has a type or dtype that cannot be used."""


class ShapeError(JitgradError, ValueError):
    """Arrays whose shapes do not go together."""


class NotScalarError(JitgradError, TypeError):
    """A loss returned something that is not one number."""


class UnsupportedError(JitgradError, NotImplementedError):
    """A NumPy function or an indexing form that jitgrad does not know yet."""


class NoGradientError(JitgradError, RuntimeError):
    """``backward()`` was called where no gradient can flow."""


class CacheError(JitgradError, RuntimeError):
    """Two different sources claimed one name in the cache."""


def user_location() -> str:
    """Return ``file:line`` of the innermost frame outside jitgrad, NumPy and the interpreter."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        inside = name.startswith(_PACKAGE) or f"{Path('/')}numpy{Path('/')}" in name
        if not inside and not name.startswith("<frozen"):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "<unknown>"

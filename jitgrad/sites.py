"""Where in the user's code something happened.

>>> def halve(x):
...     y = x / 2
...     return y
>>> [name for _, name in points(halve.__code__).values() if name]
['y']
"""

from __future__ import annotations

import dis
import functools
import sys
from types import CodeType, FrameType


@functools.lru_cache(maxsize=256)
def points(code: CodeType) -> dict[int, tuple[int, str]]:
    """Map each instruction of a code object to its line and the variable that it assigns."""
    steps = [step for step in dis.get_instructions(code) if step.opname != "PRECALL"]
    found = {}
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        stored = following is not None and following.opname in (
            "STORE_FAST",
            "STORE_NAME",
            "STORE_DEREF",
        )
        line = (
            step.positions.lineno
            if step.positions and step.positions.lineno
            else code.co_firstlineno
        )
        found[step.offset] = (line, str(following.argval) if following and stored else "")
    return found


_RECORDING = (
    *("value", "tape", "traced", "gather", "graph", "structure", "protocols", "methods"),
    *("ufuncs", "arrays", "joining", "rearrange", "choosing", "reductions", "statistics"),
    *("contractions", "einsum", "norms", "differences", "creation"),
)
_INTERNAL = tuple(f"/jitgrad/{name}.py" for name in _RECORDING)


@functools.lru_cache(maxsize=4096)
def _is_internal(filename: str) -> bool:
    name = filename.replace("\\", "/")
    return name.endswith(_INTERNAL) or "/numpy/" in name


def user_frame() -> FrameType:
    """Return the innermost frame that is not jitgrad's recording machinery or NumPy."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_internal(frame.f_code.co_filename):
        frame = frame.f_back
    assert frame is not None
    return frame

"""What to write instead of NumPy's functions and methods that cannot take Values.

>>> INSTEAD["reduceat"]
'Write the reduction of each slice, and np.stack.'
"""

_UNKNOWN = "Where there are zeros is known only when the kernel runs; "
_NUMBER = "It has no derivative; write x.data for the number."

INSTEAD = {
    "accumulate": "Write a loop, and np.stack.",
    "argwhere": f"{_UNKNOWN}np.where(condition, x, y) chooses.",
    "at": "It changes an array in place. Gather with x[indices], or add np.where(i == n, x, 0.0).",
    "flatnonzero": f"{_UNKNOWN}np.where(condition, x, y) chooses.",
    "frexp": "Write x / 2.0 ** n with n = np.floor(np.log2(abs(x))) + 1.",
    "nextafter": _NUMBER,
    "nonzero": f"{_UNKNOWN}np.where(condition, x, y) chooses.",
    "reduceat": "Write the reduction of each slice, and np.stack.",
    "spacing": _NUMBER,
    "trim_zeros": f"{_UNKNOWN}write a slice x[i:j].",
    "unique": "Which elements are equal is known only when the kernel runs.",
}
"""For functions, and methods of ufuncs, that are refused."""

IN_PLACE = {
    "byteswap": "It changes how an array lies in memory.",
    "resize": "Write np.resize(v, shape).",
    "setfield": "Write np.where(mask, values, v).",
    "setflags": "It says how an array lies in memory.",
}
"""For methods of arrays that change one in place."""

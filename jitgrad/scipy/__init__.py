"""What SciPy offers as Python functions, for Values, under SciPy's names.

SciPy's ufuncs take Values themselves. Its other functions turn their arguments into plain arrays
first, so that they are written here anew, over NumPy's. A function that is compiled finds these
where it names SciPy's own (see `standins`); elsewhere import them from here. Given plain numbers
and arrays alone, they are SciPy's own.

>>> from jitgrad import Value
>>> from jitgrad.scipy import special
>>> special.softmax([0.0, 0.0]), special.softmax(Value([0.0, 0.0]))
(array([0.5, 0.5]), Value(data=[0.5 0.5], grad=0))
"""

from jitgrad.scipy import integrate, linalg, signal, special, stats
from jitgrad.scipy.plain import offer

__all__ = ["integrate", "linalg", "signal", "special", "stats"]

for _module in (integrate, linalg, signal, special, stats):
    offer(_module)

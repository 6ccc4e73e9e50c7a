"""What SciPy offers as Python functions, for Values, under SciPy's names.

SciPy's ufuncs take Values themselves. Its other functions turn their arguments into plain arrays
first, so that they are written here anew, over NumPy's. A function that is compiled finds these
where it names SciPy's own (see `standins`); elsewhere import them from here.

>>> from jitgrad.scipy import special
>>> special.softmax(np.array([0.0, 0.0]))
array([0.5, 0.5])
"""

import numpy as np  # noqa: F401 - for the example

from jitgrad.scipy import linalg, signal, special, stats

__all__ = ["linalg", "signal", "special", "stats"]

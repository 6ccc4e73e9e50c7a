"""The special functions that kernels call: SciPy's own, and those that SciPy does not have.

The ops table names them ``special.gammainc`` and so on, and generated source imports them from
here. All work in float64, in Python and in ``@njit`` code.

>>> round(gammainc(2.0, 1.0), 12), round(digamma(1.0), 12)
(0.264241117657, -0.577215664902)
"""

from jitgrad.incomplete import (
    beta_density,
    betainc_by_a,
    betainc_by_aa,
    betainc_by_ab,
    betainc_by_b,
    betainc_by_bb,
    gamma_density,
    gammainc_by_a,
    gammainc_by_aa,
)
from jitgrad.native import native
from jitgrad.polygammas import digamma, digamma_step, gammaln, polygamma, zeta
from jitgrad.remainders import erfc_ratio, exprel_moment, log1p_moment

__all__ = [
    "beta_density",
    "betainc_by_a",
    "betainc_by_aa",
    "betainc_by_ab",
    "betainc_by_b",
    "betainc_by_bb",
    "digamma",
    "digamma_step",
    "erfc_ratio",
    "exprel_moment",
    "gamma_density",
    "gammaln",
    "gammainc_by_a",
    "gammainc_by_aa",
    "log1p_moment",
    "polygamma",
    "zeta",
]

gamma = native("gamma", 1)
loggamma = native("loggamma", 1)
rgamma = native("rgamma", 1)
gammasgn = native("gammasgn", 1)
beta = native("beta", 2)
betaln = native("betaln", 2)

gammainc = native("gammainc", 2)
gammaincc = native("gammaincc", 2)
gammaincinv = native("gammaincinv", 2)
gammainccinv = native("gammainccinv", 2)
betainc = native("betainc", 3)
betaincinv = native("betaincinv", 3)

erfcx = native("erfcx", 1)
erfinv = native("erfinv", 1)
erfcinv = native("erfcinv", 1)
ndtri = native("ndtri", 1)
log_ndtr = native("log_ndtr", 1)

i0 = native("i0", 1)
i0e = native("i0e", 1)
i1 = native("i1", 1)
i1e = native("i1e", 1)
iv = native("iv", 2)
ive = native("ive", 2)
j0 = native("j0", 1)
j1 = native("j1", 1)
jv = native("jv", 2)
k0 = native("k0", 1)
k0e = native("k0e", 1)
k1 = native("k1", 1)
k1e = native("k1e", 1)
kv = native("kv", 2)
kve = native("kve", 2)
y0 = native("y0", 1)
y1 = native("y1", 1)
yv = native("yv", 2)

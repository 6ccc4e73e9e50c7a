"""What the special functions are, in mpmath's words: independent of jitgrad and of SciPy."""

import mpmath
import scipy.special
from mpmath import mpf

INFINITY = mpf("inf")


def digamma_step(x, h):
    return mpmath.psi(0, x + h) - mpmath.psi(0, x)


def betaln(a, b):
    return mpmath.log(abs(mpmath.beta(a, b)))


def rgamma_sign(x):
    return mpf(-1 if x < 0 and int(mpmath.floor(x)) % 2 else 1)


def gamma_density(a, x):
    return x ** (a - 1) * mpmath.exp(-x) / mpmath.gamma(a)


def beta_density(a, b, x):
    return x ** (a - 1) * (1 - x) ** (b - 1) / mpmath.beta(a, b)


def gammainc(a, x):
    return mpmath.gammainc(a, 0, x, regularized=True)


def gammaincc(a, x):
    return mpmath.gammainc(a, x, regularized=True)


def betainc(a, b, x):
    return mpmath.betainc(a, b, 0, x, regularized=True)


def betainc_upper(a, b, x):
    """The same number less 1: where that is small, it is what has all digits."""
    return -mpmath.betainc(b, a, 0, 1 - x, regularized=True)


def gammainc_by(order):
    def derivative(a, x):
        low = x < a
        found = mpmath.diff(gammainc if low else gammaincc, (a, x), (order, 0))
        return found if low else -found

    return derivative


def betainc_by(in_a, in_b):
    def derivative(a, b, x):
        function = betainc if x < a / (a + b) else betainc_upper
        return mpmath.diff(function, (a, b, x), (in_a, in_b, 0))

    return derivative


def inverse(function, name):
    """Solve for the last argument, from what SciPy says on."""

    def solved(*at):
        start = mpf(float(getattr(scipy.special, name)(*map(float, at))))
        around = (start * (1 - mpf(10) ** -10), start * (1 + mpf(10) ** -10))
        return mpmath.findroot(lambda x: function(*at[:-1], x) - at[-1], around, solver="anderson")

    return solved


def erfc_ratio(n, x):
    level = mpmath.exp(-x * x) / (mpmath.sqrt(mpmath.pi) * mpmath.erfc(x)) - x
    for k in range(1, int(n)):
        level = mpf(k) / 2 / level - x
    return level


def moment(inside):
    def integral(n, x):
        return mpmath.quad(lambda t: inside(n, x, t), mpmath.linspace(0, 1, 5))

    return integral


def log_ndtr(x):
    return mpmath.log(mpmath.erfc(-x / mpmath.sqrt(2)) / 2)


def expit(x):
    return 1 / (1 + mpmath.exp(-x))


def xlogy(x, y):
    return mpf(0) if x == 0 else x * mpmath.log(y)


def rel_entr(x, y):
    return mpf(0) if x == 0 else x * mpmath.log(x / y)


def huber(d, r):
    return r * r / 2 if abs(r) <= d else d * (abs(r) - d / 2)


def boxcox(x, power):
    return mpmath.log(x) if power == 0 else (x**power - 1) / power


def inv_boxcox(x, power):
    return mpmath.exp(x) if power == 0 else (1 + x * power) ** (1 / power)


MEANING = {
    "gammaln": lambda x: mpmath.log(abs(mpmath.gamma(x))),
    "digamma": lambda x: mpmath.psi(0, x),
    "digamma_step": digamma_step,
    "polygamma": lambda n, x: mpmath.psi(int(n), x),
    "zeta": lambda s, q: mpmath.zeta(s, q),
    "gamma": mpmath.gamma,
    "loggamma": mpmath.loggamma,
    "rgamma": mpmath.rgamma,
    "gammasgn": rgamma_sign,
    "beta": mpmath.beta,
    "betaln": betaln,
    "gamma_density": gamma_density,
    "gammainc_by_a": gammainc_by(1),
    "gammainc_by_aa": gammainc_by(2),
    "gammainc": gammainc,
    "gammaincc": gammaincc,
    "gammaincinv": inverse(gammainc, "gammaincinv"),
    "gammainccinv": lambda a, p: inverse(gammainc, "gammaincinv")(a, 1 - p),
    "beta_density": beta_density,
    "betainc_by_a": betainc_by(1, 0),
    "betainc_by_b": betainc_by(0, 1),
    "betainc_by_aa": betainc_by(2, 0),
    "betainc_by_ab": betainc_by(1, 1),
    "betainc_by_bb": betainc_by(0, 2),
    "betainc": betainc,
    "betaincinv": inverse(betainc, "betaincinv"),
    "erfc_ratio": erfc_ratio,
    "erfcx": lambda x: mpmath.exp(x * x) * mpmath.erfc(x),
    "erfinv": mpmath.erfinv,
    "erfcinv": lambda x: mpmath.erfinv(1 - x),
    "ndtr": mpmath.ncdf,
    "ndtri": lambda x: mpmath.sqrt(2) * mpmath.erfinv(2 * x - 1),
    "mills": lambda x: mpmath.npdf(x) / mpmath.ncdf(x),
    "log_ndtr": log_ndtr,
    "i0": lambda x: mpmath.besseli(0, x),
    "i1": lambda x: mpmath.besseli(1, x),
    "iv": mpmath.besseli,
    "i0e": lambda x: mpmath.besseli(0, x) * mpmath.exp(-abs(x)),
    "i1e": lambda x: mpmath.besseli(1, x) * mpmath.exp(-abs(x)),
    "ive": lambda v, x: mpmath.besseli(v, x) * mpmath.exp(-abs(x)),
    "j0": lambda x: mpmath.besselj(0, x),
    "j1": lambda x: mpmath.besselj(1, x),
    "jv": mpmath.besselj,
    "y0": lambda x: mpmath.bessely(0, x),
    "y1": lambda x: mpmath.bessely(1, x),
    "yv": mpmath.bessely,
    "k0": lambda x: mpmath.besselk(0, x),
    "k1": lambda x: mpmath.besselk(1, x),
    "kv": mpmath.besselk,
    "k0e": lambda x: mpmath.besselk(0, x) * mpmath.exp(x),
    "k1e": lambda x: mpmath.besselk(1, x) * mpmath.exp(x),
    "kve": lambda v, x: mpmath.besselk(v, x) * mpmath.exp(x),
    "expit": expit,
    "log_expit": lambda x: mpmath.log(expit(x)),
    "logit": lambda x: mpmath.log(x / (1 - x)),
    "xlogy": xlogy,
    "xlog1py": lambda x, y: xlogy(x, 1 + y),
    "entr": lambda x: -xlogy(x, x) if x >= 0 else -INFINITY,
    "log_ratio": lambda x, y: mpmath.log(x / y),
    "rel_entr": rel_entr,
    "kl_div": lambda x, y: rel_entr(x, y) - x + y,
    "huber": huber,
    "pseudo_huber": lambda d, r: d * (mpmath.sqrt(d * d + r * r) - d),
    "exp2": lambda x: mpf(2) ** x,
    "exp10": lambda x: mpf(10) ** x,
    "cosm1": lambda x: mpmath.cos(x) - 1,
    "exprel_moment": moment(lambda n, x, t: t**n * mpmath.exp(x * t)),
    "log1p_moment": moment(lambda n, x, t: t**n / (1 + x * t) ** (n + 1)),
    "exprel": lambda x: mpmath.expm1(x) / x if x else mpf(1),
    "boxcox": boxcox,
    "boxcox1p": lambda x, power: boxcox(1 + x, power),
    "inv_boxcox": inv_boxcox,
    "inv_boxcox1p": lambda x, power: inv_boxcox(x, power) - 1,
}

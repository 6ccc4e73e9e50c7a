"""`jitgrad.scipy`: SciPy's own for plain arguments, over Values with derivatives."""

import pickle

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import scipy.special
import scipy.stats

import jitgrad
from jitgrad import Value
from jitgrad.errors import UnsupportedError
from jitgrad.scipy import linalg, signal, special, stats

A = np.array([[2.0, 0.5], [0.5, 1.0]])
X = np.array([0.3, 1.2, 2.5])


def arrays(result):
    """The arrays of a result, which holds no Value."""
    found = result if isinstance(result, tuple) else (result,)
    assert not any(isinstance(x, Value) for x in found)
    return found


# --- plain arguments ------------------------------------------------------------------------------

CALLS = {
    "logsumexp": lambda sp: sp.special.logsumexp(A, axis=0, return_sign=True),
    "softmax": lambda sp: sp.special.softmax([1.0, 2.0]),
    "multigammaln": lambda sp: sp.special.multigammaln(3.0, 2),
    "softplus": lambda sp: sp.special.softplus(X) if hasattr(sp.special, "softplus") else 0.0,
    "expm": lambda sp: sp.linalg.expm(A),
    "cho_solve": lambda sp: sp.linalg.cho_solve(sp.linalg.cho_factor(A), [1.0, 2.0]),
    "what is SciPy's alone": lambda sp: sp.linalg.eigh(A, subset_by_index=[0, 0]),
    "convolve": lambda sp: sp.signal.convolve([1, 2, 3], [1, 1]),
    "logpdf": lambda sp: sp.stats.gamma.logpdf(X, 2.5, scale=1.5),
    "pmf": lambda sp: sp.stats.poisson.pmf([0, 1, 2], 1.5),
    "frozen": lambda sp: sp.stats.norm(0.5, scale=2.0).logcdf(X),
    "moments": lambda sp: sp.stats.beta(2.0, 3.0).stats(moments="mv"),
    "quantile": lambda sp: sp.stats.t.ppf(0.975, 3),
    "drawn": lambda sp: sp.stats.norm(1.0, 2.0).rvs(size=3, random_state=1),
    "multivariate": lambda sp: sp.stats.multivariate_normal([0.0, 1.0], A).logpdf([[1.0, 2.0]]),
    "dirichlet": lambda sp: sp.stats.dirichlet.logpdf([0.2, 0.8], [1.0, 2.0]),
}


@pytest.mark.parametrize("name", CALLS)
def test_plain_arguments_give_what_scipy_gives(name):
    for found, expected in zip(
        arrays(CALLS[name](jitgrad.scipy)), arrays(CALLS[name](scipy)), strict=True
    ):
        assert type(found) is type(expected)
        np.testing.assert_array_equal(found, expected)


def test_values_among_the_arguments_give_values():
    for made in (
        special.logsumexp([Value(1.0), 2.0]),
        linalg.cho_solve(linalg.cho_factor(A), Value([1.0, 2.0])),
        stats.norm.logpdf(0.5, loc=Value(1.0)),
        stats.norm(Value(1.0)).pdf(0.5),
        stats.norm(1.0, 2.0).logpdf(Value(0.5)),
        signal.convolve([1.0, 2.0], Value([1.0, 1.0])),
        special.softmax(Value([1.0, 2.0], requires_grad=False)),
    ):
        assert isinstance(made, Value)


def test_what_is_constant_in_a_loss_is_scipys():
    def loss(x):
        return x * scipy.stats.t.ppf(0.975, 3) * scipy.linalg.expm(np.eye(2))[0, 0]

    expected = scipy.stats.t.ppf(0.975, 3) * scipy.linalg.expm(np.eye(2))[0, 0]
    assert jitgrad.compile(loss)(1.0) == expected


PRIOR = scipy.stats.norm(0.5, scale=2.0)


def test_a_distribution_with_parameters_may_be_made_outside():
    value, slope = jitgrad.compile(lambda x: PRIOR.logpdf(x)).value_and_grad(1.5)
    assert value == pytest.approx(PRIOR.logpdf(1.5), rel=1e-14)
    assert slope == pytest.approx(-0.25, rel=1e-14)


@pytest.mark.parametrize(
    "loss, message",
    [
        (lambda x: x + scipy.stats.norm.rvs(), r"norm\.rvs in a loss: .* Draw them outside"),
        (lambda x: x + scipy.stats.norm(0.0, 1.0).rvs(), r"norm\.rvs in a loss"),
        (lambda x: x + PRIOR.rvs(), r"norm\.rvs in a loss"),
        (lambda x: x + scipy.stats.triang.rvs(0.5), r"triang\.rvs in a loss"),
        (lambda x: scipy.stats.triang.pdf(x, 0.5), r"scipy\.stats\.triang\.pdf of Values is not"),
        (lambda x: scipy.stats.gamma.isf(x, 2.0), r"scipy\.stats\.gamma\.isf of Values is not"),
        (lambda x: scipy.stats.norm(x).mean(), r"scipy\.stats\.norm\.mean of Values is not"),
    ],
)
def test_what_is_refused(loss, message):
    with pytest.raises(UnsupportedError, match=rf"test_scipy\.py:\d+: .*{message}"):
        jitgrad.compile(loss)(0.5)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="nothing"):
        stats.norm.nothing  # noqa: B018
    assert pickle.loads(pickle.dumps(special.logsumexp)) is special.logsumexp

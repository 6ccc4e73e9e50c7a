"""Likelihoods: counts, a mixture of Gaussians, and independent components."""

import numpy as np
from scipy.special import gammaln, logsumexp
from scipy.stats import multivariate_normal, t


def negative_binomial(params, counts):
    """Give the negative log-likelihood of counts, given log r and the logit of p."""
    r = np.exp(params[0])
    log_p, log_q = -np.logaddexp(0.0, -params[1]), -np.logaddexp(0.0, params[1])
    choices = gammaln(r + counts) - gammaln(r) - gammaln(counts + 1.0)
    return -np.sum(choices + counts * log_p + r * log_q)


def counts_arguments(rng):
    """1,000 counts."""
    return np.array([0.0, 0.2]), rng.negative_binomial(5, 0.5, 1000).astype(float)


def gaussian_mixture(params, data):
    """Give the negative log-likelihood of a mixture with a factor of each covariance."""
    log_weights = params["scores"] - logsumexp(params["scores"])
    parts = [
        log_weight + multivariate_normal.logpdf(data, mean, factor.T @ factor)
        for log_weight, mean, factor in zip(
            log_weights, params["means"], params["factors"], strict=True
        )
    ]
    return -np.sum(logsumexp(np.vstack(parts), axis=0))


def mixture_arguments(rng):
    """300 points of a plane, five components."""
    params = {
        "scores": 0.1 * rng.standard_normal(5),
        "means": rng.standard_normal((5, 2)),
        "factors": np.eye(2) + 0.1 * rng.standard_normal((5, 2, 2)),
    }
    return params, 2.0 * rng.standard_normal((300, 2))


def components(params, observed):
    """Give the negative log-likelihood per sample of mixed sources under Student's t."""
    predicted = np.dot(params["weights"], params["sources"]).T
    return -np.sum(t.logpdf(predicted, 2.4, observed, np.exp(params["log_noise"]))) / len(observed)


def components_arguments(rng):
    """200 samples of 50 channels, two sources."""
    params = {
        "weights": rng.standard_normal((50, 2)),
        "sources": rng.standard_normal((2, 200)),
        "log_noise": 0.1,
    }
    return params, rng.standard_normal((200, 50))

"""Inference: bounds from samples whose noise was drawn outside of the loss."""

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm


def entropy(log_deviation):
    """Entropy of independent Gaussians."""
    return np.sum(log_deviation) + 0.5 * log_deviation.shape[0] * (1.0 + np.log(2.0 * np.pi))


def funnel(points, centre=0.0):
    """Log-density of a mean and a log deviation that it depends on."""
    place, log_scale = points[:, 0], points[:, 1]
    return norm.logpdf(log_scale, 0.0, 1.35) + norm.logpdf(place, centre, np.exp(log_scale))


def black_box(params, noise):
    """Give the negative lower bound of a diagonal Gaussian on the funnel."""
    mean, log_deviation = params[:2], params[2:]
    points = mean + np.exp(log_deviation) * noise
    return -(entropy(log_deviation) + np.mean(funnel(points)))


def black_box_arguments(rng):
    """2,000 samples."""
    return np.array([-1.0, -1.0, -2.0, -2.0]), rng.standard_normal((2000, 2))


def many_scales(params, noise, observed):
    """Give the negative lower bound for a mean and a deviation of each observation."""
    size = params.shape[0] // 2
    mean, log_deviation = params[:size], params[size:]
    points = mean + np.exp(log_deviation) * noise
    place, log_scale = np.split(points, 2, axis=1)
    prior = np.sum(norm.logpdf(log_scale, 0.0, 1.35), axis=1)
    likelihood = np.sum(norm.logpdf(observed, place, np.exp(log_scale)), axis=1)
    return -(entropy(log_deviation) + np.mean(prior + likelihood))


def many_scales_arguments(rng):
    """20 observations, 200 samples."""
    params = np.concatenate([-np.ones(40), -np.ones(40)])
    return params, rng.standard_normal((200, 40)), rng.standard_normal(20)


def two_funnels(points):
    """Log-density of two funnels side by side."""
    return np.logaddexp(funnel(points, -0.5), funnel(points, 0.5))


def mixture(params, noise):
    """Give the negative lower bound of a mixture of Gaussians, the choice integrated over."""
    log_weights = params["scores"] - logsumexp(params["scores"])
    means, deviations = params["means"], np.exp(params["log_deviations"])

    def log_density(points):
        parts = norm.logpdf(points[:, None, :], means, deviations)
        return logsumexp(np.sum(parts, axis=2) + log_weights, axis=1)

    bounds = []
    for mean, deviation, drawn in zip(means, deviations, noise, strict=True):
        points = mean + deviation * drawn
        bounds.append(np.mean(two_funnels(points) - log_density(points)))
    return -np.sum(np.exp(log_weights) * np.stack(bounds))


def mixture_arguments(rng):
    """Ten components, 40 samples of each."""
    params = {
        "scores": np.ones(10),
        "means": -1.0 + 0.5 * rng.standard_normal((10, 2)),
        "log_deviations": -2.0 + 0.1 * rng.standard_normal((10, 2)),
    }
    return params, rng.standard_normal((10, 40, 2))


def bayesian_network(params, noise, inputs, targets):
    """Give the negative lower bound on a network's weights, 1-20-20-1 with bumps as activations."""
    mean, log_deviation = params
    rest = mean + np.exp(log_deviation) * noise
    prior = -0.1 * np.sum(rest**2, axis=1)
    units = inputs[None]
    for rows, columns in ((1, 20), (20, 20), (20, 1)):
        weights = rest[:, : rows * columns].reshape(-1, rows, columns)
        biases = rest[:, None, rows * columns : (rows + 1) * columns]
        rest = rest[:, (rows + 1) * columns :]
        scores = np.einsum("snr,src->snc", units, weights) + biases
        units = np.exp(-(scores**2))
    likelihood = -100.0 * np.sum((scores - targets) ** 2, axis=(1, 2))
    return -(entropy(log_deviation) + np.mean(prior + likelihood))


def bayesian_arguments(rng):
    """20 samples of 481 weights, 40 points."""
    inputs = np.linspace(-1.0, 1.0, 40)[:, None]
    params = (rng.standard_normal(481), np.full(481, -3.0))
    return params, rng.standard_normal((20, 481)), inputs, np.cos(4.0 * inputs)

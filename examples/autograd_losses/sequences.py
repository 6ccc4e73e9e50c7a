"""Sequences: recurrent networks that predict the next character, and a hidden Markov model."""

from itertools import pairwise

import numpy as np
from scipy.special import logsumexp


def affine(weights, *parts):
    """Put arrays and a column of ones side by side, and multiply."""
    ones = np.ones((parts[0].shape[0], 1))
    return np.dot(np.hstack([*parts, ones]), weights)


def logistic(x):
    """Squash to between 0 and 1."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def log_probability(scores, targets):
    """Add up the log-probabilities that rows of scores give to their targets."""
    return np.sum((scores - logsumexp(scores, axis=1, keepdims=True)) * targets)


def recurrent(params, text):
    """Give a recurrent network's negative log-likelihood per character of text in one-hot rows."""
    steps, strings, _ = text.shape
    state = np.repeat(params["start"], strings, axis=0)
    total = log_probability(affine(params["predict"], state), text[0])
    for t in range(1, steps):
        state = np.tanh(affine(params["change"], text[t - 1], state))
        total += log_probability(affine(params["predict"], state), text[t])
    return -total / (steps * strings)


def recurrent_arguments(rng):
    """16 strings of 20 characters out of 30, 24 hidden units."""
    params = {
        "start": 0.1 * rng.standard_normal((1, 24)),
        "change": 0.1 * rng.standard_normal((30 + 24 + 1, 24)),
        "predict": 0.1 * rng.standard_normal((24 + 1, 30)),
    }
    return params, np.eye(30)[rng.integers(30, size=(20, 16))]


def lstm(params, text):
    """Give the same for a network with long short-term memory."""
    steps, strings, _ = text.shape
    hidden = np.repeat(params["hidden"], strings, axis=0)
    cell = np.repeat(params["cell"], strings, axis=0)
    total = log_probability(affine(params["predict"], hidden), text[0])
    for before, after in pairwise(text):
        forget, store, show = (
            logistic(affine(params[gate], before, hidden)) for gate in ("forget", "store", "show")
        )
        cell = forget * cell + store * np.tanh(affine(params["change"], before, hidden))
        hidden = show * np.tanh(cell)
        total += log_probability(affine(params["predict"], hidden), after)
    return -total / (steps * strings)


def lstm_arguments(rng):
    """16 strings of 20 characters out of 30, 24 hidden units."""
    params = {name: 0.1 * rng.standard_normal((1, 24)) for name in ("hidden", "cell")}
    for gate in ("change", "forget", "store", "show"):
        params[gate] = 0.1 * rng.standard_normal((30 + 24 + 1, 24))
    params["predict"] = 0.1 * rng.standard_normal((24 + 1, 30))
    return params, np.eye(30)[rng.integers(30, size=(20, 16))]


def markov(params, observed):
    """Give a hidden Markov model's log-likelihood; its gradient is the expected statistics."""
    start, transition, emission = params
    forward = start + emission[:, observed[0]]
    for symbol in observed[1:]:
        forward = logsumexp(forward[:, None] + transition, axis=0) + emission[:, symbol]
    return logsumexp(forward)


def markov_arguments(rng):
    """200 symbols out of 12 from ten states."""
    params = [rng.dirichlet(np.ones(10)), rng.dirichlet(np.ones(10), 10)]
    params.append(rng.dirichlet(np.ones(12), 10))
    return [np.log(p) for p in params], rng.integers(12, size=200)

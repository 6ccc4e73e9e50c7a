"""Networks: a classifier, a convolutional one, an autoencoder, and a pair of adversaries."""

from itertools import pairwise, product

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm


def layers(rng, *sizes, scale=0.1):
    """Draw the weights and biases of a network, a pair for each layer."""
    return [
        (scale * rng.standard_normal((rows, columns)), scale * rng.standard_normal(columns))
        for rows, columns in pairwise(sizes)
    ]


def one_hot(rng, count, classes):
    """Draw classes, one row of zeros and a one for each."""
    return np.eye(classes)[rng.integers(classes, size=count)]


def log_softmax(scores):
    """Normalise rows of scores to log-probabilities."""
    return scores - logsumexp(scores, axis=1, keepdims=True)


# --- a classifier --------------------------------------------------------------------------------


def classifier(params, images, targets, decay):
    """Give the negative log-posterior of a network with tanh layers and a Gaussian prior."""
    *hidden, (W, b) = params
    units = images
    for weights, biases in hidden:
        units = np.tanh(np.dot(units, weights) + biases)
    fit = np.sum(log_softmax(np.dot(units, W) + b) * targets)
    prior = sum(np.sum(weights**2) + np.sum(biases**2) for weights, biases in params)
    return decay * prior - fit


def classifier_arguments(rng):
    """A batch of 128 images of 64 pixels, ten classes."""
    return layers(rng, 64, 50, 30, 10), rng.random((128, 64)), one_hot(rng, 128, 10), 0.1


# --- a convolutional network ---------------------------------------------------------------------


def convolve(images, filters):
    """Slide filters (channels, new channels, rows, columns) over images, without a border."""
    rows, columns = filters.shape[2:]
    height, width = images.shape[2] - rows + 1, images.shape[3] - columns + 1
    result = 0.0
    for i, j in product(range(rows), range(columns)):
        window = images[:, :, i : i + height, j : j + width]
        result = result + np.einsum("ncyx,cf->nfyx", window, filters[:, :, i, j])
    return result


def pool(images):
    """Take the largest of each two by two pixels."""
    count, channels, height, width = images.shape
    blocks = np.reshape(images, (count, channels, height // 2, 2, width // 2, 2))
    return np.max(blocks, axis=(3, 5))


def convolutional(params, images, targets):
    """Give the negative log-likelihood of one convolution, pooling and two dense layers."""
    maps = convolve(images, params["filters"]) + params["offsets"][:, None, None]
    units = np.reshape(pool(maps), (len(images), -1))
    (W1, b1), (W2, b2) = params["dense"]
    units = np.tanh(np.dot(units, W1) + b1)
    return -np.sum(log_softmax(np.dot(units, W2) + b2) * targets)


def convolutional_arguments(rng):
    """A batch of 16 images of 16 by 16 pixels, six filters of five by five."""
    params = {
        "filters": 0.1 * rng.standard_normal((1, 6, 5, 5)),
        "offsets": 0.1 * rng.standard_normal(6),
        "dense": layers(rng, 216, 30, 10),
    }
    return params, rng.random((16, 1, 16, 16)), one_hot(rng, 16, 10)


# --- generative networks -------------------------------------------------------------------------


def batch_normalised(units):
    """Shift and scale each unit by its mean and deviation over the batch."""
    mean = np.mean(units, axis=0, keepdims=True)
    return (units - mean) / (1.0 + np.std(units, axis=0, keepdims=True))


def rectified(params, units):
    """Run a network with normalised, rectified hidden layers."""
    for weights, biases in params[:-1]:
        units = np.maximum(batch_normalised(np.dot(units, weights) + biases), 0.0)
    weights, biases = params[-1]
    return np.dot(units, weights) + biases


def autoencoder(params, images, noise):
    """Give the negative lower bound of a variational autoencoder; pixels are -1 or 1."""
    encoder, decoder = params
    code = rectified(encoder, images)
    size = noise.shape[1]
    mean, deviation = code[:, :size], np.exp(code[:, size:])
    latent = mean + deviation * noise
    prior = np.sum(norm.logpdf(latent), axis=1)
    posterior = np.sum(norm.logpdf(latent, mean, deviation), axis=1)
    likelihood = -np.sum(np.logaddexp(0.0, -images * rectified(decoder, latent)), axis=1)
    return -np.mean(prior + likelihood - posterior)


def autoencoder_arguments(rng):
    """A batch of 100 images of 64 pixels, five latent variables."""
    params = (layers(rng, 64, 40, 10), layers(rng, 5, 40, 64))
    return params, rng.choice([-1.0, 1.0], (100, 64)), rng.standard_normal((100, 5))


def adversaries(players, noise, real):
    """Give what the discriminator maximises, and the generator minimises."""
    generator, discriminator = players
    fake = 0.5 * (1.0 + np.tanh(rectified(generator, noise)))
    of_fake, of_real = rectified(discriminator, fake), rectified(discriminator, real)
    return np.mean(of_real - np.logaddexp(0.0, of_real)) - np.mean(
        of_fake - np.logaddexp(0.0, of_fake)
    )


def adversaries_arguments(rng):
    """Batches of 100, noise of ten numbers and images of 64 pixels."""
    players = {"generator": layers(rng, 10, 40, 64), "discriminator": layers(rng, 64, 40, 1)}
    return tuple(players.values()), rng.random((100, 10)), rng.random((100, 64))

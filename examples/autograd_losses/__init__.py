"""The losses of HIPS autograd's tutorial and examples, written anew in plain NumPy and SciPy.

Each module is what a user would write: nothing in it knows of jitgrad or of autograd. What each
loss computes is described in https://github.com/HIPS/autograd/tree/master/examples; code, sizes and
data are our own. `python -m benchmarks.hips` times them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from examples.autograd_losses import (
    basics,
    fluids,
    gaussian_processes,
    inference,
    likelihoods,
    networks,
    sequences,
)


class Example(NamedTuple):
    """A loss, what makes its arguments from a random generator, and its name in tables.

    The gradient is taken in the first argument.
    """

    title: str
    loss: Callable[..., Any]
    arguments: Callable[..., tuple[Any, ...]]


EXAMPLES = {
    "sine": Example("sine by its Taylor series", basics.sine_series, basics.sine_arguments),
    "tanh": Example("tanh from exp", basics.tanh_sum, basics.tanh_arguments),
    "rosenbrock": Example("Rosenbrock's valley", basics.valley, basics.valley_arguments),
    "logistic": Example(
        "logistic regression", basics.logistic_regression, basics.logistic_arguments
    ),
    "mlp": Example("neural network", networks.classifier, networks.classifier_arguments),
    "convnet": Example(
        "convolutional network", networks.convolutional, networks.convolutional_arguments
    ),
    "vae": Example("variational autoencoder", networks.autoencoder, networks.autoencoder_arguments),
    "gan": Example("adversarial networks", networks.adversaries, networks.adversaries_arguments),
    "rnn": Example("recurrent network", sequences.recurrent, sequences.recurrent_arguments),
    "lstm": Example("LSTM", sequences.lstm, sequences.lstm_arguments),
    "hmm": Example("hidden Markov model", sequences.markov, sequences.markov_arguments),
    "gp": Example(
        "Gaussian process regression",
        gaussian_processes.regression,
        gaussian_processes.regression_arguments,
    ),
    "deep-gp": Example(
        "deep Gaussian process", gaussian_processes.deep, gaussian_processes.deep_arguments
    ),
    "gplvm": Example(
        "Gaussian process, inputs unknown",
        gaussian_processes.latent_inputs,
        gaussian_processes.latent_arguments,
    ),
    "svi": Example(
        "black-box variational inference", inference.black_box, inference.black_box_arguments
    ),
    "natural-svi": Example(
        "the same, 40 dimensions", inference.many_scales, inference.many_scales_arguments
    ),
    "mixture-svi": Example("the same by a mixture", inference.mixture, inference.mixture_arguments),
    "bnn": Example(
        "Bayesian neural network", inference.bayesian_network, inference.bayesian_arguments
    ),
    "negbin": Example(
        "negative binomial", likelihoods.negative_binomial, likelihoods.counts_arguments
    ),
    "gmm": Example(
        "mixture of Gaussians", likelihoods.gaussian_mixture, likelihoods.mixture_arguments
    ),
    "ica": Example(
        "independent components", likelihoods.components, likelihoods.components_arguments
    ),
    "smoke": Example("fluid simulation", fluids.smoke, fluids.smoke_arguments),
}

"""The examples of HIPS autograd, rewritten in plain NumPy: values and gradients are autograd's."""

import ast
import inspect

import autograd
import numpy as np
import optree
import pytest

import jitgrad
from benchmarks.hips import over_autograd
from examples.autograd_losses import EXAMPLES
from jitgrad.adjoint import gradient
from jitgrad.call import chosen_inputs, inputs
from jitgrad.simplify import prepare
from tests import quick

CLOSE = 1e-10
# A sum of n terms that cancel keeps an error of about n units in the last place of the terms: some
# elements of a gradient are far smaller than what was added up for them.
CANCELLED = 1e-13
SLOW = [
    "convnet",
    "deep-gp",
    "gan",
    "gmm",
    "hmm",
    "lstm",
    "mixture-svi",
    "smoke",
    "vae",
]  # 5 to 14 s to compile


def close(found, expected, scale):
    np.testing.assert_allclose(found, expected, rtol=CLOSE, atol=CANCELLED * scale)


def gradients_agree(found, expected):
    """Compare two trees, in structure and leaf by leaf."""
    leaves, structure = optree.tree_flatten(found)
    others, other_structure = optree.tree_flatten(expected)
    assert structure == other_structure
    scale = max(np.max(np.abs(leaf)) for leaf in others)
    assert np.isfinite(scale) and scale > 0.0
    for leaf, other in zip(leaves, others, strict=True):
        assert np.shape(leaf) == np.shape(other)
        close(leaf, other, scale)


def moved(params):
    """The same structure, other numbers."""
    return optree.tree_map(lambda leaf: 0.9 * leaf + 0.01, params)


@pytest.mark.parametrize("name", SLOW)
def test_what_is_long_to_compile_agrees_as_it_is_traced(name):
    """Through the adjoint; `python -m benchmarks.hips` compiles all of them."""
    loss = EXAMPLES[name].loss
    params, *data = EXAMPLES[name].arguments(np.random.default_rng(0))
    bound, traced = jitgrad.compile(loss)._trace((params, *data), {})
    names = [argument.buffer for argument in traced.arguments]
    wrt = [names[place] for place in chosen_inputs(bound, traced)]
    given = dict(zip(names, inputs(bound, traced), strict=True))
    outcome = quick.run(gradient(prepare(traced.program), wrt), given)
    expected, expected_gradient = autograd.value_and_grad(over_autograd(loss))(params, *data)
    close(outcome.value, expected, np.abs(expected))
    found = [outcome.buffers[f"grad_{name}"] for name in wrt]
    gradients_agree(found, [np.asarray(x) for x in optree.tree_leaves(expected_gradient)])


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in SLOW])
def test_value_and_gradient_are_autograds(name):
    loss = EXAMPLES[name].loss
    params, *data = EXAMPLES[name].arguments(np.random.default_rng(0))
    compiled = jitgrad.compile(loss)
    theirs = autograd.value_and_grad(over_autograd(loss))
    for point in (params, moved(params)):
        value, gradient = compiled.value_and_grad(point, *data)
        expected, expected_gradient = theirs(point, *data)
        close(value, expected, np.abs(loss(point, *data)))
        gradients_agree(gradient, expected_gradient)
    assert compiled.compilations == 1


def test_modules_import_numpy_and_scipy_alone():
    for module in {inspect.getmodule(example.loss) for example in EXAMPLES.values()}:
        tree = ast.parse(inspect.getsource(module))
        names = {
            alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names
        }
        names |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert {name.split(".")[0] for name in names} <= {"numpy", "scipy", "itertools"}

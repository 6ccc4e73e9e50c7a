"""Networks apart from micrograd's behaviour, which is in test_micrograd.py."""

import random

import numpy as np

from jitgrad import Value
from jitgrad.nn import MLP, Layer, Module, Neuron


def test_parameters_in_order():
    model = MLP(3, [4, 2])
    assert len(model.parameters()) == 4 * (3 + 1) + 2 * (4 + 1)
    first = model.layers[0].neurons[0]
    assert model.parameters()[:4] == [*first.w, first.b]


def test_zero_grad():
    model = MLP(2, [3, 1])
    model([1.0, 2.0]).backward()
    assert any(p.grad for p in model.parameters())
    model.zero_grad()
    assert all(p.grad == 0 for p in model.parameters())
    assert Module().parameters() == []


def test_one_output_is_bare_and_several_are_a_list():
    assert isinstance(Layer(2, 1)([1.0, 2.0]), Value)
    assert len(Layer(2, 3)([1.0, 2.0])) == 3


def test_only_the_last_layer_is_linear():
    random.seed(0)
    model = MLP(1, [2, 2, 1])
    assert [layer.neurons[0].nonlin for layer in model.layers] == [True, True, False]
    neuron = Neuron(1)
    neuron.w[0].data, neuron.b.data = 1.0, 0.0
    assert neuron([-1.0]).data == 0


def test_a_network_of_scalars_takes_arrays_of_inputs():
    random.seed(1)
    model = MLP(2, [3, 1])
    X = np.random.default_rng(0).normal(size=(5, 2))
    together = model([X[:, 0], X[:, 1]])
    np.testing.assert_allclose(together.data, [model(row).data for row in X], rtol=1e-14)

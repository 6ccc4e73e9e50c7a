"""The main job: micrograd's demo, compiled, follows micrograd's own run."""

import random
from itertools import pairwise

import numpy as np
import pytest
from sklearn.datasets import make_moons

import jitgrad
from jitgrad import Value
from jitgrad.nn import MLP

FIRST, LAST = 0.8958441028683222, 0.010978370135492717  # printed in micrograd's notebook
CLOSE = 1e-11


@pytest.fixture(scope="module")
def history():
    """Train for 100 steps; return the losses, the accuracies and the lowered loss."""
    np.random.seed(1337)
    random.seed(1337)
    X, y = make_moons(n_samples=100, noise=0.1)
    y = y * 2 - 1
    model = MLP(2, [16, 16, 1])

    @jitgrad.compile(has_aux=True)
    def loss(X, y):
        inputs = [list(map(Value, row)) for row in X]
        scores = list(map(model, inputs))
        losses = [(1 + -yi * score).relu() for yi, score in zip(y, scores, strict=True)]
        data_loss = sum(losses) * (1.0 / len(losses))
        reg_loss = 1e-4 * sum(p * p for p in model.parameters())
        right = [(yi > 0) == (score.data > 0) for yi, score in zip(y, scores, strict=True)]
        return data_loss + reg_loss, sum(right) / len(right)

    losses, accuracies = [], []
    for k in range(100):
        model.zero_grad()
        total, accuracy = loss.backward(X, y)
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * k / 100) * p.grad
        losses.append(total)
        accuracies.append(accuracy)
    return losses, accuracies, loss.lower(X, y)


def test_first_and_last_loss(history):
    losses = history[0]
    assert abs(losses[0] - FIRST) < CLOSE
    assert abs(losses[-1] - LAST) < CLOSE


def test_accuracy_is_first_perfect_at_step_40(history):
    accuracies = history[1]
    assert accuracies[0] == 0.5
    assert accuracies.index(1.0) == 40
    assert accuracies[-1] == 1.0


def test_rolled_into_few_statements(history):
    lowered = history[2]
    assert 60_000 < len(lowered.tape) < 70_000
    assert lowered.program.statements <= 40


def test_follows_micrograd_for_the_first_steps():
    """The same three steps with micrograd from PyPI: losses and parameters."""
    import micrograd.engine
    import micrograd.nn

    np.random.seed(7)
    X = np.random.uniform(-1, 1, (12, 2))
    y = np.sign(X[:, 0] * X[:, 1])

    def trained(MLP, Value, compiled):
        random.seed(3)
        model = MLP(2, [5, 4, 1])

        def loss(X, y):
            scores = [model([Value(x) for x in row]) for row in X]
            return sum((1 + -yi * s).relu() for yi, s in zip(y, scores, strict=True)) * (1 / 12)

        fun = jitgrad.compile(loss) if compiled else loss
        losses = []
        for _ in range(3):
            model.zero_grad()
            out = fun(X, y)
            out.backward()
            for p in model.parameters():
                p.data -= 0.3 * p.grad
            losses.append(float(out.data))
        return losses, [float(p.data) for p in model.parameters()]

    theirs = trained(micrograd.nn.MLP, micrograd.engine.Value, compiled=False)
    for compiled in (False, True):
        mine = trained(MLP, Value, compiled)
        np.testing.assert_allclose(mine[0], theirs[0], rtol=0, atol=1e-13)
        np.testing.assert_allclose(mine[1], theirs[1], rtol=0, atol=1e-13)
    assert all(after < before for before, after in pairwise(theirs[0]))

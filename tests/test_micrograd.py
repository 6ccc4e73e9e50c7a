"""micrograd's behaviour, beside micrograd from PyPI."""

import random

import micrograd.engine
import micrograd.nn
import numpy as np
import pytest
from sklearn.datasets import make_moons

import jitgrad.nn
from jitgrad import Value

ENGINES = (micrograd.engine.Value, Value)


def sanity(V):
    x = V(-4.0)
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    y = h + q + q * x
    return (x,), y


def more_ops(V):
    a, b = V(-4.0), V(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    return (a, b), g


def reflected(V):
    a, b = V(1.5), V(-0.5)
    return (a, b), (1 - a) * (2 / b) - (-a) / 3 + (a - 4) * b**-2 + 0.5 * (a / b)


def shared(V):
    a = V(3.0)
    b = a + a
    return (a,), b * b + b * a + (b - b)


def dead(V):
    a, b = V(-2.0), V(0.0)
    return (a, b), a.relu() * 3 + b.relu() + (a * b).relu()


def integers(V):
    a, b = V(2), V(-3)
    return (a, b), (a * b + 7) * a - b


EXPRESSIONS = (sanity, more_ops, reflected, shared, dead, integers)
every_expression = pytest.mark.parametrize("expression", EXPRESSIONS)


def graph(root):
    """Everything below a Value, as nested tuples that do not depend on identities."""
    known = {}

    def described(v):
        if v not in known:
            below = sorted((described(child) for child in v._prev), key=repr)
            known[v] = (v._op, float(v.data), tuple(below))
        return known[v]

    return described(root)


def trace(root):
    """micrograd's trace_graph.ipynb: the nodes and the edges of a graph."""
    nodes, edges = set(), set()

    def build(v):
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)

    build(root)
    return nodes, edges


def test_numbers_of_micrograds_tests():
    (x,), y = sanity(Value)
    y.backward()
    assert (y.data, x.grad) == (-20.0, 46.0)
    (a, b), g = more_ops(Value)
    g.backward()
    assert (g.data, a.grad, b.grad) == (24.70408163265306, 138.83381924198252, 645.5772594752186)


@every_expression
def test_value_and_gradient(expression):
    (theirs, their_out), (ours, our_out) = (expression(V) for V in ENGINES)
    their_out.backward()
    our_out.backward()
    assert our_out.data == their_out.data
    for mine, yours in zip(ours, theirs, strict=True):
        assert mine.grad == pytest.approx(yours.grad, rel=1e-15)  # sums in another order


@every_expression
def test_graph(expression):
    (_, theirs), (_, ours) = (expression(V) for V in ENGINES)
    assert graph(ours) == graph(theirs)
    assert [len(part) for part in trace(ours)] == [len(part) for part in trace(theirs)]


@every_expression
def test_repr_before_and_after_backward(expression):
    (_, their_out), (_, our_out) = (expression(V) for V in ENGINES)
    assert repr(our_out) == repr(their_out)
    their_out.backward()
    our_out.backward()
    assert repr(our_out) == repr(their_out)


def test_attributes():
    for V in ENGINES:
        x = V(2.0)
        assert (x.data, x.grad, x._op, x._prev) == (2.0, 0, "", set())
        assert type(x.grad) is int
        assert x._backward() is None
        y = x * x
        assert (y._op, y._prev) == ("*", {x})
        assert ((x**2)._op, (x**2)._prev, (x**-0.5)._op) == ("**2", {x}, "**-0.5")
        assert (x + 1)._op == "+"
        assert (-x)._op == "*"
        assert x.relu()._op == "ReLU"
        assert len((-x)._prev) == 2
        assert repr(x) == "Value(data=2.0, grad=0)"


def test_relu_of_a_negative_number_is_the_int_zero():
    for V in ENGINES:
        assert repr(V(-1.5).relu()) == "Value(data=0, grad=0)"
        assert np.isnan(V(np.nan).relu().data)


def test_data_is_kept_as_given():
    for V in ENGINES:
        assert type(V(3).data) is int
        assert type(V(np.float32(3)).data) is np.float32


def test_second_backward_counts_inner_nodes_again():
    for V in ENGINES:
        x = V(1.0)
        y = x * 2 * 3
        y.backward()
        assert x.grad == 6
        y.backward()
        assert x.grad == 18


def test_gradients_accumulate_over_graphs():
    for V in ENGINES:
        x = V(3.0)
        (x * x).backward()
        (x * 5).backward()
        assert x.grad == 11.0


def test_a_node_with_its_own_backward():
    for V in ENGINES:
        x = V(0.5)
        out = V(np.tanh(x.data), (x,), "tanh")

        def backward(x=x, out=out):
            x.grad += (1 - out.data**2) * out.grad

        out._backward = backward
        (out * 2).backward()
        assert x.grad == 2 * (1 - np.tanh(0.5) ** 2)
        assert (out._op, out._prev) == ("tanh", {x})


def test_backward_node_by_node():
    x = Value(3.0)
    y = x * x
    y.grad = 1
    y._backward()
    assert x.grad == 6.0


def networks(*shape):
    for module in (micrograd.nn, jitgrad.nn):
        random.seed(1337)
        yield module.MLP(*shape)


def test_networks_are_drawn_alike():
    theirs, ours = networks(3, [4, 4, 1])
    assert repr(ours) == repr(theirs)
    assert [p.data for p in ours.parameters()] == [p.data for p in theirs.parameters()]
    assert [repr(p) for p in ours.parameters()] == [repr(p) for p in theirs.parameters()]
    inputs = [0.5, -1.0, 2.0]
    assert ours(inputs).data == theirs(inputs).data
    assert graph(ours(inputs)) == graph(theirs(inputs))


def moons_loss(model, X, y):
    V = type(model.parameters()[0])
    scores = [model(list(map(V, row))) for row in X]
    margins = [(1 + -label * score).relu() for label, score in zip(y, scores, strict=True)]
    return sum(margins) * (1.0 / len(margins)) + 1e-4 * sum(p * p for p in model.parameters())


@pytest.fixture
def moons():
    np.random.seed(1337)
    X, y = make_moons(n_samples=100, noise=0.1)
    return X, y * 2 - 1


def test_first_loss_of_the_demo(moons):
    theirs, ours = networks(2, [16, 16, 1])
    X, y = moons
    mine, yours = moons_loss(ours, X, y), moons_loss(theirs, X[:20], y[:20])
    assert mine.data == pytest.approx(0.8958441028683222, rel=1e-14)
    mine = moons_loss(ours, X[:20], y[:20])
    assert mine.data == yours.data
    for loss in (mine, yours):
        loss.backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert p.grad == pytest.approx(q.grad, rel=1e-12, abs=1e-14)


def test_a_step_of_training_agrees(moons):
    theirs, ours = networks(2, [4, 1])
    X, y = moons
    losses = []
    for model in (theirs, ours):
        for _ in range(3):
            model.zero_grad()
            loss = moons_loss(model, X[:10], y[:10])
            loss.backward()
            for p in model.parameters():
                p.data -= 0.5 * p.grad
        losses.append(loss.data)
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)

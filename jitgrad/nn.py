"""micrograd's neural networks: `Neuron`, `Layer`, `MLP`.

The names, the order of random draws, the order of parameters and the representations are those of
micrograd (https://github.com/karpathy/micrograd), so that its programs run on this module.

>>> model = MLP(2, [16, 16, 1])
>>> len(model.parameters())
337
>>> print(Neuron(2))
ReLUNeuron(2)
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from jitgrad.value import Value


class Module:
    """Something with parameters.

    Examples
    --------
    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope, self.offset = Value(1.0), Value(0.0)
    ...     def parameters(self):
    ...         return [self.slope, self.offset]
    >>> line = Line()
    >>> (line.slope * 2.0 + line.offset).backward()
    >>> line.slope.grad
    2.0
    >>> line.zero_grad()
    >>> line.slope.grad
    0
    """

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0."""
        for p in self.parameters():
            p.grad = 0

    def parameters(self) -> list[Value]:
        """Return the Values to be trained, always in the same order."""
        return []


class Neuron(Module):
    """A weighted sum and a bias, through ReLU.

    Parameters
    ----------
    nin : int
        The number of inputs. Each weight is drawn from ``random.uniform(-1, 1)``, in order.
    nonlin : bool
        Whether the sum goes through ReLU.

    Examples
    --------
    >>> neuron = Neuron(2, nonlin=False)
    >>> neuron.w, neuron.b = [Value(2.0), Value(-1.0)], Value(0.5)
    >>> neuron([3.0, 4.0])
    Value(data=2.5, grad=0)
    """

    def __init__(self, nin: int, nonlin: bool = True) -> None:
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0)
        self.nonlin = nonlin

    def __call__(self, x: Any) -> Value:
        """Return the activation for the inputs ``x``, any iterable of Values or numbers."""
        act: Value = sum((wi * xi for wi, xi in zip(self.w, x, strict=False)), self.b)
        return act.relu() if self.nonlin else act

    def parameters(self) -> list[Value]:
        """Return the weights, then the bias."""
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{'ReLU' if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    """Neurons side by side.

    Parameters
    ----------
    nin, nout : int
        The number of inputs and of neurons.
    **kwargs
        Passed on to each `Neuron`.

    Examples
    --------
    >>> len(Layer(3, 2)([1.0, 2.0, 3.0]))
    2
    """

    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        self.neurons = [Neuron(nin, **kwargs) for _ in range(nout)]

    def __call__(self, x: Any) -> Any:
        """Return the list of activations; of a single neuron the activation itself."""
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        """Return the parameters, neuron by neuron."""
        return [p for n in self.neurons for p in n.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(map(str, self.neurons))}]"


class MLP(Module):
    """A multilayer perceptron: ReLU on all layers but the last.

    Parameters
    ----------
    nin : int
        The number of inputs.
    nouts : sequence of int
        The number of neurons of each layer.

    Examples
    --------
    >>> MLP(2, [1])
    MLP of [Layer of [LinearNeuron(2)]]
    """

    def __init__(self, nin: int, nouts: Sequence[int]) -> None:
        sizes, last = [nin, *nouts], len(nouts) - 1
        self.layers = [Layer(sizes[i], sizes[i + 1], nonlin=i != last) for i in range(len(nouts))]

    def __call__(self, x: Any) -> Any:
        """Return what the last layer returns."""
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self) -> list[Value]:
        """Return the parameters, layer by layer."""
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(map(str, self.layers))}]"

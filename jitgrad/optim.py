"""Gradient descent, for Values in PyTorch's words and for arrays as pure functions.

Over Values an optimiser is an object that changes ``.data`` by ``.grad``. Over arrays it is a pair
of pure functions, as in optax: ``init`` makes its state, ``update`` returns the new parameters.

>>> from jitgrad import Value
>>> x = Value(3.0)
>>> optimizer = SGD([x], lr=0.1)
>>> for _ in range(50):
...     optimizer.zero_grad()
...     (x * x).backward()
...     optimizer.step()
>>> round(x.data, 4)
0.0
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import optree

from jitgrad.errors import ArgumentError, user_location
from jitgrad.value import Value


class Optimizer(NamedTuple):
    """A pair of pure functions; made by `sgd` and `adam`.

    Parameters
    ----------
    init : callable
        ``init(params)`` is the state before the first step.
    update : callable
        ``update(grads, state, params)`` returns ``(new_params, new_state)``.
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Any, Any], tuple[Any, Any]]


class AdamState(NamedTuple):
    """The steps taken, and the running means of the gradient and of its square."""

    steps: int
    mean: Any
    square: Any


def sgd(lr: float, momentum: float = 0.0) -> Optimizer:
    """Make gradient descent with momentum over nested containers of arrays.

    Parameters
    ----------
    lr : float
        The learning rate.
    momentum : float
        How much of the previous step's velocity is kept.

    Returns
    -------
    Optimizer
        The state is the velocity, in the structure of the parameters.

    Notes
    -----
    With velocity v, gradient g and momentum μ: v ← μ v + g, p ← p − lr v, as in PyTorch after
    Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.

    Examples
    --------
    >>> optimizer = sgd(0.1)
    >>> params = {"w": np.array([1.0, 2.0])}
    >>> params, state = optimizer.update({"w": np.ones(2)}, optimizer.init(params), params)
    >>> params["w"]
    array([0.9, 1.9])
    """

    def init(params: Any) -> Any:
        return optree.tree_map(_zeros, params)

    def update(grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
        velocity = optree.tree_map(lambda v, g: momentum * v + g, state, grads)
        return optree.tree_map(lambda p, v: p - lr * v, params, velocity), velocity

    return Optimizer(init, update)


def adam(
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Make Adam over nested containers of arrays.

    Parameters
    ----------
    lr : float
        The learning rate.
    betas : tuple of float
        The decay of the running means of the gradient and of its square.
    eps : float
        Added to the denominator.
    weight_decay : float
        Times the parameter, added to the gradient (an L2 penalty, as in ``torch.optim.Adam``).

    Returns
    -------
    Optimizer
        The state is an `AdamState`.

    Notes
    -----
    Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015, algorithm 1.

    Examples
    --------
    >>> optimizer = adam(lr=0.5)
    >>> params, state = optimizer.update(4.0, optimizer.init(1.0), 1.0)
    >>> round(params, 6)
    0.5
    """

    def init(params: Any) -> AdamState:
        return AdamState(0, optree.tree_map(_zeros, params), optree.tree_map(_zeros, params))

    def update(grads: Any, state: AdamState, params: Any) -> tuple[Any, AdamState]:
        (b1, b2), steps = betas, state.steps + 1
        grads = optree.tree_map(lambda g, p: g + weight_decay * p, grads, params)
        mean = optree.tree_map(lambda m, g: b1 * m + (1.0 - b1) * g, state.mean, grads)
        square = optree.tree_map(lambda s, g: b2 * s + (1.0 - b2) * g * g, state.square, grads)

        def step(p: Any, m: Any, s: Any) -> Any:
            return p - lr / (1.0 - b1**steps) * m / ((s / (1.0 - b2**steps)) ** 0.5 + eps)

        return optree.tree_map(step, params, mean, square), AdamState(steps, mean, square)

    return Optimizer(init, update)


def _zeros(parameter: Any) -> Any:
    return np.zeros(np.shape(parameter)) if np.ndim(parameter) else 0.0


class _OverValues:
    """An optimiser that keeps the parameters and the state of a pure one."""

    def __init__(self, params: Iterable[Value]) -> None:
        self.params = list(params)
        for param in self.params:
            if not isinstance(param, Value):
                raise ArgumentError(
                    f"{user_location()}: a parameter is {type(param).__name__}; expected a Value. "
                    "For plain arrays use jitgrad.optim.sgd or adam."
                )
        self._state: Any = self._pure().init([param.data for param in self.params])

    def _pure(self) -> Optimizer:
        """Return the pure optimiser with the settings of this moment."""
        raise NotImplementedError

    def step(self) -> None:
        """Change every parameter's ``.data`` by its ``.grad``."""
        data = [param.data for param in self.params]
        grads = [param.grad for param in self.params]
        changed, self._state = self._pure().update(grads, self._state, data)
        for param, new in zip(self.params, changed, strict=True):
            param.data = new

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0."""
        for param in self.params:
            param.grad = 0


class SGD(_OverValues):
    """Gradient descent with momentum; see `sgd` for the formula.

    Parameters
    ----------
    params : iterable of Value
        What to train.
    lr : float
        The learning rate; an attribute that may be changed at any time.
    momentum : float
        How much of the previous step's velocity is kept.

    Examples
    --------
    >>> from jitgrad import Value
    >>> w = Value([1.0, 2.0])
    >>> (w * w).sum().backward()
    >>> SGD([w], lr=0.25).step()
    >>> w.data
    array([0.5, 1. ])
    """

    def __init__(self, params: Iterable[Value], lr: float = 1e-3, momentum: float = 0.0) -> None:
        self.lr = lr
        self.momentum = momentum
        super().__init__(params)

    def _pure(self) -> Optimizer:
        return sgd(self.lr, self.momentum)


class Adam(_OverValues):
    """Adam; see `adam` for the formula.

    Parameters
    ----------
    params : iterable of Value
        What to train.
    lr : float
        The learning rate; an attribute that may be changed at any time.
    betas : tuple of float
        The decay of the running means of the gradient and of its square.
    eps : float
        Added to the denominator.
    weight_decay : float
        Times the parameter, added to the gradient.

    Examples
    --------
    >>> from jitgrad import Value
    >>> x = Value(1.0)
    >>> (4.0 * x).backward()
    >>> Adam([x], lr=0.5).step()
    >>> round(x.data, 6)
    0.5
    """

    def __init__(
        self,
        params: Iterable[Value],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        super().__init__(params)

    def _pure(self) -> Optimizer:
        return adam(self.lr, self.betas, self.eps, self.weight_decay)

"""jitgrad as the benchmarks see it: one compiled loss per row, its kernel and its arrays.

The only file here, besides the processes that `first_call.py` and `long_tape.py` start, that knows
jitgrad's interface.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.problems import PROBLEMS, moons_data, moons_loss, moons_model


class Subject(NamedTuple):
    """A compiled loss and how to call it.

    Attributes
    ----------
    fun : jitgrad's compiled function
    args : tuple
        Its arguments.
    from_python : callable
        Value and gradient, as a user calls them.
    argnums : tuple of int
        Differentiated arguments; empty for a loss over captured Values.
    model : object or None
        The module whose Values the loss closes over.
    """

    fun: Any
    args: tuple[Any, ...]
    from_python: Callable[[], Any]
    argnums: tuple[int, ...]
    model: Any = None


def moons_subject() -> Subject:
    """Compile micrograd's demo loss over jitgrad's own MLP."""
    import jitgrad
    import jitgrad.nn

    X, y = moons_data()
    model = moons_model(jitgrad.nn.MLP)
    fun = jitgrad.compile(moons_loss(model, jitgrad.Value))
    return Subject(fun, (X, y), partial(fun.backward, X, y), (), model)


def subject(row: str) -> Subject:
    """Decorate the loss of one row; nothing is traced yet."""
    import jitgrad

    if row == "moons":
        return moons_subject()
    problem = PROBLEMS[row]()
    fun = jitgrad.compile(problem.fun, argnums=problem.argnums)
    argnums = (problem.argnums,) if isinstance(problem.argnums, int) else problem.argnums
    return Subject(fun, problem.args, partial(fun.value_and_grad, *problem.args), argnums)


def kernel_arrays(this: Subject) -> tuple[list[Any], list[np.ndarray]]:
    """Return the kernel's flat arguments and the gradient arrays that follow them.

    What the loss captures (global numbers, then packed Values) follows the arguments.
    """
    captured = list(this.fun.lower(*this.args).captured_arrays())
    differentiated = [this.args[k] for k in this.argnums]
    if this.model is not None:
        differentiated += [a for a in captured if isinstance(a, np.ndarray)]
    return [*this.args, *captured], [np.full_like(a, np.nan) for a in differentiated]


def kernel_call(this: Subject) -> Callable[[], Any]:
    """Return a call of the kernel on arrays that are made once."""
    kernel = this.fun.kernel(*this.args)
    flat, gradients = kernel_arrays(this)
    return partial(kernel, *flat, *gradients)


def gradient(this: Subject) -> tuple[float, np.ndarray]:
    """Return value and gradient, the latter flat, by the way a user calls it."""
    if this.model is not None:
        for p in this.model.parameters():
            p.grad = 0
        value = this.from_python()
        number = value.data if hasattr(value, "grad") else value
        grads = [float(p.grad) for p in this.model.parameters()]
        return float(number), np.array(grads)
    value, grads = this.from_python()
    parts = grads if isinstance(grads, tuple) else (grads,)
    return float(value), np.concatenate([np.ravel(part) for part in parts])

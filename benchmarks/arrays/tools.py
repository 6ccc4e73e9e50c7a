"""How each tool gives the value and the gradient of a row: jitgrad, by hand, and the libraries.

A builder takes a row and its arguments and returns a call without arguments. The call reads the
arguments' arrays anew each time, since their numbers change between calls, and returns a float and
NumPy arrays in the order of `row.leaves`. Arguments that are not differentiated may be converted
once, beforehand.
"""

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from os import environ
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from benchmarks.arrays.row import Row, flatten, leaves

Result = tuple[float, list[Any]]
Call = Callable[[], Result]
Build = Callable[[Row, tuple[Any, ...]], Call]


class NotForThisError(Exception):
    """A library that cannot do a row in reason; the message says why."""


class Tool(NamedTuple):
    """A column of the table.

    Attributes
    ----------
    title : str
        Its heading.
    modules : tuple of str
        What is imported before the clock starts; the last one's version is shown.
    build : callable
        From a row and its arguments to a call.
    cache : dict of str to str
        Environment variables for its cache on disk, in the folder that replaces `{}`.
    """

    title: str
    modules: tuple[str, ...]
    build: Build
    cache: Mapping[str, str] = MappingProxyType({})


def instead(row: Row, name: str) -> Callable[..., Any]:
    """Return what a library gets for a row.

    Raises
    ------
    NotForThisError
        When it gets nothing.
    """
    found = row.peers.get(name, "not written")
    if isinstance(found, str):
        raise NotForThisError(found)
    return found


def differentiated(row: Row, args: tuple[Any, ...]) -> list[Any]:
    """Return the leaves that the gradient is taken in."""
    return flatten(tuple(args[k] for k in row.argnums))


def argnums(row: Row) -> int | tuple[int, ...]:
    """Return the differentiated arguments as a user names them."""
    return row.argnums if len(row.argnums) > 1 else row.argnums[0]


def unpacked(row: Row, gradients: Any) -> list[Any]:
    """Return the leaves of gradients that were asked for by `argnums`."""
    return flatten(tuple(gradients)) if len(row.argnums) > 1 else leaves(gradients)


def mapped(args: tuple[Any, ...], new: list[Any]) -> tuple[Any, ...]:
    """Return the arguments' structure with other leaves."""
    rest = iter(new)
    return tuple(
        {k: next(rest) for k in sorted(a)} if isinstance(a, dict) else next(rest) for a in args
    )


# -- jitgrad, and by hand -------------------------------------------------------------------------


def by_jitgrad(row: Row, args: tuple[Any, ...]) -> Call:
    import jitgrad

    both = jitgrad.compile(row.loss, argnums=argnums(row)).value_and_grad

    def call():
        value, gradients = both(*args)
        return value, unpacked(row, gradients)

    return call


def by_numba(row: Row, args: tuple[Any, ...]) -> Call:
    kernel, flat = row.by_numba, flatten(args)
    kernel.enable_caching()
    wanted = differentiated(row, args)

    def call():
        gradients = [np.empty_like(leaf) for leaf in wanted]
        return kernel(*flat, *gradients), gradients

    return call


def by_numpy(row: Row, args: tuple[Any, ...]) -> Call:
    def call():
        value, gradients = row.by_numpy(*args)
        return value, flatten(tuple(gradients[k] for k in row.argnums))

    return call


# -- libraries that take NumPy's functions ---------------------------------------------------------


def over(loss: Callable[..., Any], numpy: Any, special: Any) -> Callable[..., Any]:
    """Return the loss from a second copy of its module in which `np` is another library's."""
    source = sys.modules[loss.__module__]
    spec = importlib.util.spec_from_file_location(f"{source.__name__}_copy", str(source.__file__))
    assert spec is not None and spec.loader is not None
    copy: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    vars(copy).update(np=numpy, special=special)
    return getattr(copy, loss.__name__)


def by_autograd(row: Row, args: tuple[Any, ...]) -> Call:
    import autograd
    import autograd.numpy
    import autograd.scipy.special

    loss = over(row.loss, autograd.numpy, autograd.scipy.special)
    both = autograd.value_and_grad(loss, argnums(row))

    def call():
        value, gradients = both(*args)
        return value, unpacked(row, gradients)

    return call


def by_jax(row: Row, args: tuple[Any, ...]) -> Call:
    import jax

    if not row.single:
        jax.config.update("jax_enable_x64", True)
    if "jax" in row.peers:
        own = instead(row, "jax")

        def loss(*args):
            return own(jax, *args)
    else:
        loss = over(row.loss, jax.numpy, jax.scipy.special)
    both = jax.jit(jax.value_and_grad(loss, argnums(row)))
    moved = [a if k in row.argnums else jax.numpy.asarray(a) for k, a in enumerate(args)]

    def call():
        value, gradients = both(*moved)
        return float(value), [np.asarray(g) for g in unpacked(row, gradients)]

    return call


# -- PyTorch ---------------------------------------------------------------------------------------


def by_torch(row: Row, args: tuple[Any, ...], compiled: bool = False) -> Call:
    import torch

    own = instead(row, "torch")

    def loss(*args):
        return own(torch, *args)

    fun = torch.compile(loss) if compiled else loss
    flat = [torch.as_tensor(leaf) for leaf in flatten(args)]
    chosen = [k in row.argnums for k, argument in enumerate(args) for _ in leaves(argument)]
    numbers = differentiated(row, args)
    dtype = torch.float32 if row.single else torch.float64

    def call():
        inputs = [torch.as_tensor(x, dtype=dtype).detach().requires_grad_() for x in numbers]
        rest = iter(inputs)
        new = [next(rest) if c else leaf for c, leaf in zip(chosen, flat, strict=True)]
        value = fun(*mapped(args, new))
        gradients = torch.autograd.grad(value, inputs)
        return value.item(), [g.numpy() for g in gradients]

    return call


def by_torch_compile(row: Row, args: tuple[Any, ...]) -> Call:
    return by_torch(row, args, compiled=True)


# -- PyTensor --------------------------------------------------------------------------------------


def by_pytensor(row: Row, args: tuple[Any, ...]) -> Call:
    import pytensor
    import pytensor.tensor as pt

    own = instead(row, "pytensor")
    flat = [np.asarray(leaf) for leaf in flatten(args)]
    symbols = [pt.tensor(f"x{i}", dtype=x.dtype, shape=x.shape) for i, x in enumerate(flat)]
    structured = mapped(args, symbols)
    value = own(pt, *structured)
    gradients = pt.grad(value, differentiated(row, structured))
    fun = pytensor.function(symbols, [value, *gradients], mode="NUMBA", on_unused_input="ignore")
    fun.trust_input = True

    def call():
        value, *gradients = fun(*flat)
        return float(value), gradients

    return call


# -- CasADi ----------------------------------------------------------------------------------------


def casadi_matrix(ca: Any, vector: Any, shape: tuple[int, ...]) -> Any:
    """View a vector of numbers in NumPy's order as a matrix; further axes go into the columns."""
    if len(shape) < 2:
        return vector
    return ca.reshape(vector, int(np.prod(shape[1:])), shape[0]).T


def casadi_function(ca: Any, row: Row, args: tuple[Any, ...]) -> Any:
    """Return the CasADi function from parameters and data, as vectors, to value and gradient."""
    kind = next((k for k in ("SX", "MX") if f"casadi {k}" in row.peers), None)
    own = instead(row, f"casadi {kind}" if kind else "casadi")
    symbol = getattr(ca, kind).sym
    sizes = [int(np.size(x)) for x in differentiated(row, args)]
    parameters = symbol("parameters", sum(sizes))
    parts = iter(ca.vertsplit(parameters, np.cumsum([0, *sizes]).tolist()))
    inputs, structured = [parameters], []
    for k, argument in enumerate(args):
        new = []
        for leaf in leaves(argument):
            if k in row.argnums:
                new.append(casadi_matrix(ca, next(parts), np.shape(leaf)))
            elif np.asarray(leaf).dtype.kind == "i":
                new.append(leaf)  # an index is part of the expression
            else:
                inputs.append(symbol(f"data{len(inputs)}", int(np.size(leaf))))
                new.append(casadi_matrix(ca, inputs[-1], np.shape(leaf)))
        structured += mapped((argument,), new)
    value = own(ca, *structured)
    gradient = ca.densify(ca.gradient(value, parameters))
    return ca.Function("both", inputs, [ca.densify(value), gradient])


def casadi_call(row: Row, args: tuple[Any, ...], function: Any) -> Call:
    """Return a call through CasADi's buffers, which do without copies of the data."""
    numbers = differentiated(row, args)
    shapes, sizes = [np.shape(x) for x in numbers], [int(np.size(x)) for x in numbers]
    ends = np.cumsum([0, *sizes]).tolist()
    parameters, value, gradient = np.empty(ends[-1]), np.empty(1), np.empty(ends[-1])
    rest = flatten(tuple(a for k, a in enumerate(args) if k not in row.argnums))
    data = [np.ravel(leaf) for leaf in rest if np.asarray(leaf).dtype.kind != "i"]
    buffer, evaluate = function.buffer()
    for k, array in enumerate([parameters, *data]):
        buffer.set_arg(k, memoryview(array))
    buffer.set_res(0, memoryview(value))
    buffer.set_res(1, memoryview(gradient))
    parts = list(zip(ends, ends[1:], shapes, strict=False))

    def call():
        for (start, stop, _), leaf in zip(parts, numbers, strict=True):
            parameters[start:stop] = np.ravel(leaf)
        evaluate()
        fresh = gradient.copy()
        return float(value[0]), [fresh[a:b].reshape(shape) for a, b, shape in parts]

    call.keep = (buffer, data, function)  # it holds pointers alone
    return call


def by_casadi(row: Row, args: tuple[Any, ...]) -> Call:
    import casadi

    return casadi_call(row, args, casadi_function(casadi, row, args))


def by_casadi_c(row: Row, args: tuple[Any, ...]) -> Call:
    import casadi

    folder = Path(environ.get("CASADI_C_DIR") or tempfile.mkdtemp(prefix="casadi-"))
    library = folder / "both.so"
    if not library.exists():
        function = casadi_function(casadi, row, args)
        if function.n_instructions() > 50_000:
            raise NotForThisError("its C has more statements than gcc takes in reason")
        generator = casadi.CodeGenerator("both.c")
        generator.add(function)
        source = generator.generate(f"{folder}/")
        flags = ["-O3", "-march=native", "-fPIC", "-shared"]
        subprocess.run(["gcc", *flags, source, "-o", str(library), "-lm"], check=True)
    return casadi_call(row, args, casadi.external("both", str(library)))


JAX_CACHE = {
    "JAX_COMPILATION_CACHE_DIR": "{}",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
TOOLS = {
    "jitgrad": Tool("jitgrad", ("jitgrad",), by_jitgrad, {"JITGRAD_CACHE_DIR": "{}"}),
    "numba": Tool("Numba by hand", ("numba",), by_numba, {"NUMBA_CACHE_DIR": "{}"}),
    "numpy": Tool("NumPy by hand", ("scipy.special", "numpy"), by_numpy),
    "jax": Tool("JAX", ("jax.scipy.signal", "jax.scipy.special", "jax"), by_jax, JAX_CACHE),
    "torch": Tool("PyTorch", ("torch",), by_torch),
    "torch.compile": Tool(
        "torch.compile",
        ("torch._dynamo", "torch._inductor", "torch"),
        by_torch_compile,
        {"TORCHINDUCTOR_CACHE_DIR": "{}"},
    ),
    "autograd": Tool(
        "autograd", ("autograd.numpy", "autograd.scipy.special", "autograd"), by_autograd
    ),
    "casadi": Tool("CasADi", ("casadi",), by_casadi),
    "casadi-c": Tool("CasADi, C", ("casadi",), by_casadi_c, {"CASADI_C_DIR": "{}"}),
    "pytensor": Tool(
        "PyTensor",
        ("pytensor.tensor", "pytensor.link.numba.dispatch", "pytensor"),
        by_pytensor,
        {"PYTENSOR_FLAGS": "base_compiledir={}"},
    ),
}
PEERS = tuple(name for name in TOOLS if name not in ("jitgrad", "numba", "numpy"))

"""Elementwise functions of a million numbers: `python -m benchmarks.vector_math [function ...]`.

A loop that jitgrad prints and compiles against NumPy and, where they are installed, PyTorch and
JAX, all on one core and interleaved. A ratio says how long jitgrad takes for what another takes 1.
`make bench-peers` makes an environment that has them.
"""

import importlib.util
import os
import sys

import numpy as np

from benchmarks.measure import interleave, print_table, show_ratio
from jitgrad import cpu
from jitgrad.cache import digest
from jitgrad.emit import emit
from jitgrad.program import Affine, Assign, Buffer, Loop, Program, Ref

COUNT = 1_000_000
NAMES = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "sin", "cos", "erf", "pow")
ROUNDS = 41
RANGES = {"log": (1e-3, 10.0), "log1p": (-0.99, 10.0), "pow": (0.01, 10.0), "erf": (-3.0, 3.0)}
EXPONENTS = (-3.0, 3.0)


def made(op, operands, kind):
    """A kernel of jitgrad's that applies an op to arrays."""
    at = (Affine.index("i"),)
    names = "xy"[: len(operands)]
    dtype = {np.dtype(np.float64): "f8", np.dtype(np.float32): "f4"}[np.dtype(kind)]
    buffers = {name: Buffer((COUNT,), "input", dtype) for name in names}
    buffers["out"] = Buffer((COUNT,), "output", dtype)
    body = Assign(Ref("out", at), op, tuple(Ref(name, at) for name in names))
    program = Program(buffers, (Loop("i", Affine(COUNT), (body,)),), 0.0)
    draft = emit(program, name="elementwise", arguments=[*names, "out"])
    name = f"elementwise_{digest(draft.text, cpu.flags(False))}"
    source = emit(program, name=name, arguments=[*names, "out"])
    return cpu.compile_module(source.text, name, source.helpers, strict=False)


def arguments(op):
    """Random operands in the function's usual range."""
    rng = np.random.default_rng(0)
    x = rng.uniform(*RANGES.get(op, (-10.0, 10.0)), COUNT)
    return (x, rng.uniform(*EXPONENTS, COUNT)) if op == "pow" else (x,)


def numpy_call(op, operands):
    """NumPy's function, where it has one."""
    function = getattr(np, {"pow": "power"}.get(op, op), None)
    if function is None:
        return None
    out = np.empty(COUNT)
    return lambda: function(*operands, out=out)


def torch_call(op, operands):
    """PyTorch's function."""
    import torch

    torch.set_num_threads(1)
    tensors = [torch.from_numpy(x) for x in operands]
    out = torch.from_numpy(np.empty(COUNT))  # aligned like the others'
    function = getattr(torch, op)
    return lambda: function(*tensors, out=out)


def jax_call(op, operands):
    """JAX's function, compiled."""
    import jax

    jax.config.update("jax_enable_x64", True)
    function = {
        "sigmoid": jax.nn.sigmoid,
        "erf": jax.scipy.special.erf,
        "pow": jax.numpy.power,
    }.get(op) or getattr(jax.numpy, op)
    arrays = [jax.numpy.asarray(x) for x in operands]
    compiled = jax.jit(function)
    return lambda: compiled(*arrays).block_until_ready()


PEERS = {"numpy": numpy_call, "torch": torch_call, "jax": jax_call}


def row(op):
    """One line of the table: nanoseconds for an element, and ratios."""
    operands = arguments(op)
    kernel, out = made(op, operands, np.float64), np.empty(COUNT)
    calls = {"jitgrad": lambda: kernel(*operands, out)}
    for name, peer in PEERS.items():
        found = importlib.util.find_spec(name) and peer(op, operands)
        calls |= {name: found} if found else {}
    times = interleave(calls, ROUNDS)
    best = min((name for name in calls if name != "jitgrad"), key=times.typical, default=None)
    each = [f"{times.best(name) / COUNT * 1e9:.2f}" if name in calls else "" for name in PEERS]
    mine = f"{times.best('jitgrad') / COUNT * 1e9:.2f}"
    return [op, mine, *each, best or "", show_ratio(times.ratio("jitgrad", best)) if best else ""]


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # JAX has no other way to one thread
    rows = [row(op) for op in sys.argv[1:] or NAMES]
    print_table(
        "nanoseconds an element, float64, one core",
        ["", "jitgrad", *PEERS, "best peer", "jitgrad / best"],
        rows,
    )

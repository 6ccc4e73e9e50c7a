"""Random array programs through every stage, with and without each pass.

For each program the value has to be NumPy's, the gradient of eager Values that of HIPS autograd and
that of central differences. The Program after the adjoint, after every pass, with passes left out,
and the generated source in CPython have to give the same. Some are compiled with Numba as well and
called with the arguments as they lie in memory.
"""

import contextlib
import random
import sys
import warnings
from typing import NamedTuple
from unittest import mock

import autograd.numpy
import numpy as np

from jitgrad import Value, compiled, errors, interpreter, sizes
from jitgrad.program import Loop
from tests import fuzz, quick
from tests.fuzz import LARGE, Mismatch, Result, attempt, compare, near
from tests.random_arrays import helpers

DOUBLE, SINGLE = 1e-8, 2e-3  # tolerances: all float64, some float32
STEP = 1e-6
SHORT = 300  # executions of statements: up to this many the interpreter itself runs a program


class Report(NamedTuple):
    """What was compared for a program.

    Parameters
    ----------
    outcome : str
        "checked", "not finite" or "unsupported".
    autograd : str
        "autograd", or why the gradient was not compared with its.
    differences : int
        How many directions were compared with central differences.
    left_out : tuple of str
        The passes that it was run without.
    numba : bool
        Whether it was compiled.
    """

    outcome: str
    autograd: str = ""
    differences: int = 0
    left_out: tuple = ()
    numba: bool = False


def check(case, without=1, numba=False):
    """Compare all engines on a program.

    Parameters
    ----------
    case : ArrayProgram
    without : int
        How many passes to leave out, one at a time.
    numba : bool
        Whether to compile it.

    Raises
    ------
    Mismatch
    """
    tolerance = SINGLE if case.single else DOUBLE
    expected = plainly(defined(case.source), case.arguments)
    if not abs(expected) < LARGE:
        return Report("not finite")
    eager = attempt("eager", eagerly, case)
    if eager is None:
        return Report("unsupported")
    if not all(np.all(np.abs(g) < LARGE) for g in eager.gradients):
        return Report("not finite")
    near("value", "eager", eager.value, expected, abs(expected), tolerance)
    directions = with_differences(case, eager, max(tolerance, 1e-4))
    compared = with_autograd(case, eager, tolerance)
    left_out = through(case, eager, tolerance, without)
    if left_out is None:
        return Report("unsupported in a trace", compared, directions)
    if numba:
        with_numba(case, eager, tolerance)
    return Report("checked", compared, directions, left_out, numba)


# --- running the user's function -----------------------------------------------------------------


def defined(source, numpy=np, **others):
    """The function that a source defines."""
    namespace = {**helpers(), "np": numpy, "__name__": "fuzzed", **others}
    exec(compile(source, "<fuzz>", "exec"), namespace)
    return namespace["f"]


def plainly(function, arguments):
    """The value in CPython and NumPy."""
    with np.errstate(all="ignore"):
        return float(function(*arguments))


def eagerly(case):
    """The value and gradient of eager Values; None where a function is not supported."""
    given = [Value(a) if n in case.argnums else a for n, a in enumerate(case.arguments)]
    try:
        with np.errstate(all="ignore"):
            out = defined(case.source, **without_changes(np))(*given)
            out = out[()] if isinstance(out, np.ndarray) else out
            if isinstance(out, Value) and out.requires_grad:
                out.backward()
    except errors.UnsupportedError:
        return None
    gradients = [given[n].grad + np.zeros(np.shape(case.arguments[n])) for n in case.argnums]
    return Result(float(out.data if isinstance(out, Value) else out), gradients)


def without_changes(numpy):
    """What sets elements of an array, by picking from the old and the new ones."""

    def placed(x, index, value):
        size, where = int(np.prod(np.shape(x))), np.arange(np.size(x)).reshape(np.shape(x))
        target = np.shape(where[index])
        where[index] = size + np.arange(int(np.prod(target))).reshape(target)
        spread = value * np.ones(target) if target else numpy.reshape(value, (1,))
        every = numpy.concatenate([numpy.ravel(x), numpy.ravel(spread)])
        every = every if x.dtype == every.dtype else every.astype(x.dtype)
        return every[where]

    def added(x, index, value):
        return placed(x, index, x[index] + value)

    return {"placed": placed, "added": added}


def in_double(arguments):
    """The arguments as float64, in C order."""
    return [
        np.array(a, dtype=float, order="C")[()] if np.result_type(a).kind == "f" else a
        for a in arguments
    ]


# --- what shares no code with jitgrad ------------------------------------------------------------


class LinearAlgebra:
    """autograd.numpy.linalg, whose derivative of ``solve`` is wrong where matrices broadcast."""

    def __getattr__(self, name):
        return getattr(autograd.numpy.linalg, name)

    @staticmethod
    def solve(a, b):
        stack = np.broadcast_shapes(np.shape(a)[:-2], np.shape(b)[:-2]) if np.ndim(b) > 1 else ()
        a = a + np.zeros((*stack, 1, 1)) if stack else a
        return autograd.numpy.linalg.solve(a, b + np.zeros((*stack, 1, 1)) if stack else b)


class Autograd:
    """autograd.numpy, with what it lacks, or has wrong, written with what it has."""

    linalg = LinearAlgebra()

    def __getattr__(self, name):
        return getattr(autograd.numpy, name)

    @staticmethod
    def take(a, indices, axis):
        return a[(*(slice(None),) * axis, indices)]

    @staticmethod
    def flip(a, axis=None):
        axes = range(np.ndim(a)) if axis is None else (axis % np.ndim(a),)
        return a[tuple(slice(None, None, -1 if n in axes else 1) for n in range(np.ndim(a)))]

    @staticmethod
    def ptp(a, **axes):
        return autograd.numpy.max(a, **axes) - autograd.numpy.min(a, **axes)

    @staticmethod
    def broadcast_to(a, shape):
        return a * np.ones(shape)

    @staticmethod
    def diagonal(a):
        steps = np.arange(min(np.shape(a)))
        return a[steps, steps]

    @staticmethod
    def outer(a, b):
        return autograd.numpy.ravel(a)[:, None] * autograd.numpy.ravel(b)

    @staticmethod
    def repeat(a, times, axis):
        return autograd.numpy.repeat(a, times, axis % np.ndim(a))  # wrong for negative ones

    @staticmethod
    def tile(a, times):  # wrong for fewer numbers than axes
        down, across = (1, times) if isinstance(times, int) else times
        a = a if np.ndim(a) > 1 or isinstance(times, int) else a[None]
        a = autograd.numpy.concatenate([a] * across, axis=np.ndim(a) - 1)
        return autograd.numpy.concatenate([a] * down, axis=np.ndim(a) - 2) if down > 1 else a

    @staticmethod
    def where(condition, a, b):
        zeros = np.zeros(np.broadcast_shapes(*map(np.shape, (condition, a, b))))
        return autograd.numpy.where(condition, a + zeros, b + zeros)  # wrong where it broadcasts

    @staticmethod
    def vdot(a, b):
        return autograd.numpy.sum(a * b)


def with_autograd(case, eager, tolerance):
    """Compare with HIPS autograd; return "autograd", or why there was nothing to compare."""
    function = defined(case.source, Autograd(), **without_changes(autograd.numpy))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = autograd.grad(function, case.argnums)(*in_double(case.arguments))
    except Exception as error:
        return f"autograd cannot ({type(error).__name__})"
    gradients = [np.asarray(g, dtype=float) for g in found]
    if not all(np.all(np.isfinite(g)) for g in gradients):
        return "autograd gives NaN"
    compare("autograd", eager, Result(eager.value, gradients), tolerance)
    return "autograd"


def with_differences(case, eager, tolerance):
    """Compare with central differences in some directions; return in how many."""
    function, arguments = defined(case.source), in_double(case.arguments)
    draw = np.random.default_rng(case.seed)
    done = 0
    for number, gradient in zip(case.argnums, eager.gradients, strict=True):
        for direction in directions(draw, np.shape(gradient)):
            values = [
                plainly(function, moved(arguments, number, direction * step))
                for step in (-STEP, 0.0, STEP)
            ]
            slope = float(np.sum(gradient * direction))
            done += differs_not(values, slope, gradient, number, tolerance)
    return done


def directions(draw, shape):
    """All elements at once, with random signs; then one or two single elements."""
    size = int(np.prod(shape))
    if not size:
        return
    yield draw.choice([-1.0, 1.0], shape) / np.sqrt(size)
    for at in draw.choice(size, min(size, 2), replace=False) if size > 1 else ():
        single = np.zeros(size)
        single[at] = 1.0
        yield single.reshape(shape)


def moved(arguments, number, step):
    return [a + step if n == number else a for n, a in enumerate(arguments)]


def differs_not(values, slope, gradient, number, tolerance):
    """Raise where a slope is not that of three values in a row; False near a kink."""
    low, middle, high = values
    scale = 1.0 + abs(middle) + np.max(np.abs(gradient), initial=0.0)
    left, right, central = (middle - low) / STEP, (high - middle) / STEP, (high - low) / (2 * STEP)
    if abs(left - right) > 1e-3 * (scale + abs(central)):
        return False
    if not abs(central - slope) <= tolerance * scale:
        raise Mismatch("central differences", f"argument {number}: {slope}, not {central}")
    return True


# --- the pipeline --------------------------------------------------------------------------------


class Pipeline(fuzz.Pipeline):
    """One traced program through all stages, and through all but some passes."""

    def final(self, program):
        return super().final(program) if executions(program.body) <= SHORT else program

    def interpreted(self, program, outputs):
        given = dict(zip(self.names, self.given, strict=True))
        outcome = quick.run(program, given)
        if executions(program.body) <= SHORT:
            slow = interpreter.run(program, given)
            expected = Result(slow.value, [slow.buffers[name] for name in outputs])
            found = Result(outcome.value, [outcome.buffers[name] for name in outputs])
            single = any(buffer.dtype == "f4" for buffer in program.buffers.values())
            # The quick form computes in float64 throughout.
            compare(
                "the interpreter and its quick form", found, expected, SINGLE if single else 1e-12
            )
        return Result(outcome.value, [outcome.buffers[name] for name in outputs])

    def without(self, number):
        """What the source gives when one pass is left out: none needs another to be right."""
        program = self.reached[number]
        for step in self.passes()[number + 1 :]:
            program = step(program)
        return self.printed(program)


def executions(block, times=1):
    """How many statements are executed, about."""
    total = 0
    for node in block:
        if isinstance(node, Loop):
            total += executions(node.body, times * max(node.extent.constant, 1))
        else:
            total += times
    return total


def through(case, expected, tolerance, without):
    """Compare every stage of the pipeline; return the names of the passes left out."""
    draw = random.Random(case.seed)
    mode = "strict " if draw.random() < 0.2 else ""
    small = draw.random()
    if small < 0.3:
        with small_sizes():
            return passed(case, expected, tolerance, without, f"small sizes, {mode}", draw)
    if small < 0.5:
        with sizes.counting(LARGER):
            return passed(case, expected, tolerance, without, f"counted as larger, {mode}", draw)
    return passed(case, expected, tolerance, without, mode, draw)


LARGER = {2: 5, 4: 100, 5: 64, 6: 20, 7: 1000, 8: 30}  # what extents count as
SIZES = {
    "products": {"SMALLEST": 2, "NARROWEST": 1},
    "tall": {"LONG": 4, "NARROW": 3, "AGAIN": 1},
    "tile": {"FEWEST": 2, "WIDEST": 4, "NARROWEST": 2, "CACHED": 16},
    "strip": {"FEWEST": 2, "WIDTH": 2},
    "jam": {"FEWEST": 2},
    "columns": {"AGAIN": 1},
    "interchange": {"CACHED": 4},
}


@contextlib.contextmanager
def small_sizes():
    """What only large arrays are worth is done for those of a few elements."""
    with contextlib.ExitStack() as stack:
        for module, own in SIZES.items():
            stack.enter_context(mock.patch.multiple(sys.modules[f"jitgrad.{module}"], **own))
        yield


def passed(case, expected, tolerance, without, mode, draw):
    pipeline = attempt(f"{mode}trace", traced, case, "strict" in mode)
    if pipeline is None:
        return None
    stages, stage = pipeline.stages(), "lower"
    while True:
        following = attempt(f"{mode}after {stage}", next, stages, None)
        if following is None:
            break
        stage, found = following
        wanted = expected if found.gradients else Result(expected.value, [])
        compare(f"{mode}{stage}", found, wanted, tolerance)
    passes = pipeline.passes()
    chosen = draw.sample(range(len(passes)), min(without, len(passes)))
    for number in chosen:
        name = f"{mode}without {number} {passes[number].__name__}"
        compare(name, attempt(name, pipeline.without, number), expected, tolerance)
    return tuple(f"{number} {passes[number].__name__}" for number in chosen)


def traced(case, strict):
    """The pipeline; None where a trace does not support a function."""
    try:
        return Pipeline(defined(case.source), case, strict)
    except errors.UnsupportedError:
        return None


# --- under Numba ---------------------------------------------------------------------------------


def with_numba(case, eager, tolerance):
    """Compile, and call twice with the arguments as they lie in memory."""
    loss = compiled.compile(defined(case.source), argnums=case.argnums)
    arguments = case.arguments
    for call in ("first call", "second call"):
        stage = f"Numba, {call}"
        value, gradients = attempt(stage, loss.value_and_grad, *arguments)
        found = Result(float(value), [np.asarray(g, dtype=float) for g in gradients])
        compare(stage, found, eager, tolerance)
        for number, gradient in zip(case.argnums, gradients, strict=True):
            same_type(stage, gradient, arguments[number])
    for before, after in zip(case.arguments, arguments, strict=True):
        if not np.array_equal(before, after):
            raise Mismatch("Numba", "an argument was changed")


def same_type(stage, gradient, argument):
    """Raise where a gradient has not the dtype of its argument, an array."""
    if isinstance(argument, np.ndarray) and gradient.dtype != argument.dtype:
        found, wanted = np.result_type(gradient), np.result_type(argument)
        raise Mismatch(stage, f"a gradient of {found} for an argument of {wanted}")

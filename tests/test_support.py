"""Every row of the support table: values as NumPy's, derivatives of both orders, float32."""

import functools
import inspect
import math
import os
import types
from typing import Any, NamedTuple

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import jitgrad
from jitgrad import Value
from jitgrad.adjoint import gradient
from jitgrad.call import chosen_inputs, inputs
from jitgrad.errors import JitgradError, UnsupportedError
from jitgrad.instead import IN_PLACE, INSTEAD
from jitgrad.interpreter import run, verify
from jitgrad.outside import Outside
from jitgrad.pipeline import FORWARD, PASSES
from jitgrad.places import Place
from jitgrad.program import Accumulate, Affine, Assign, Buffer, Loop, Ref
from jitgrad.protocols import NUMPY
from jitgrad.simplify import prepare
from jitgrad.traced import Traced
from tests import quick
from tests.support import ROWS_OF_ALL, SAMPLES

WORKING = [row for row in ROWS_OF_ALL if not row.elsewhere]
EXACT = 1e-11  # between two ways to compute the same
STEP = 3e-5  # of differences, which are wrong by STEP ** 4 and by rounding over STEP
DIFFERENCES = 1e-8
SECOND = 1e-6
SINGLE = 2e-4
KERNELS = WORKING[::15]  # Numba takes a second for each; the passes are tested for all rows
if os.environ.get("JITGRAD_ALL_KERNELS"):  # make kernels
    KERNELS = WORKING
PASSED = [row for n, row in enumerate(WORKING) if row.tier or n % 3 == 0]
every_row = pytest.mark.parametrize("row", WORKING, ids=lambda row: row.name)
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning")


def given(call, dtype="f8"):
    """The arrays of a call, by the names of its parameters."""
    arrays = [getattr(SAMPLES, name) for name in inspect.signature(call).parameters]
    return [np.dtype(dtype).type(x) if np.ndim(x) == 0 else x.astype(dtype) for x in arrays]


def leaves(out):
    """The arrays that a function returns, alone or in lists and tuples."""
    if isinstance(out, list | tuple):
        return [leaf for part in out for leaf in leaves(part)]
    return [out]


def loss_of(call, numpy=np):
    """A number that depends on each element of each result in another way, linear and not."""

    def loss(*args):
        total = 0.0
        for x, at in zip(args, given(call), strict=True):  # whether the call depends on it or not
            total = total + 0.0 * numpy.sum(x[~np.isnan(at)] if np.ndim(at) else x)
        for n, out in enumerate(leaves(call(*args))):
            kind = np.float32 if kind_of(args[0]) == np.float32 else float
            v, w = (uneven(n + shift, np.shape(out), kind) for shift in (0.0, 0.5))
            out = numpy.where(out, 1.0, 0.0) if kind_of(out) == np.bool_ else out
            total = total + numpy.sum(w * out) + numpy.sum(v * (out * out)) / 2.0
        return total

    return loss


def uneven(start, shape, kind):
    """Weights of both signs, each another one."""
    weights = np.cos(np.arange(math.prod(shape)) * 1.7 + start).reshape(shape)
    return weights.astype(kind)[()]


def over_values(call):
    """The call as a trace makes it: with what stands for NumPy's and SciPy's functions."""
    changed = Outside(Place.read).of(call)
    changed.__signature__ = inspect.signature(call)
    return changed


def kind_of(out):
    return out.element_type if isinstance(out, Value) else getattr(out, "dtype", np.dtype(float))


def close(found, expected, tolerance):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    scale = max(1.0, np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=tolerance * scale)


def moved(arrays, place, at, step):
    """The arrays with one element moved."""
    arrays = [np.array(x, dtype=np.result_type(x, step)) for x in arrays]
    arrays[place][at] += step
    return [x[()] for x in arrays]


def derivative(row, call):
    """The gradient of a call's loss, by complex steps or differences of NumPy's function.

    Where there is none (steps and kinks at exactly 0) it is NaN.
    """
    loss, arrays = loss_of(call), given(call)
    found = []
    for place, array in enumerate(arrays):
        part = np.full(np.shape(array), np.nan)
        for at in np.ndindex(np.shape(array)):
            value = array[at] if np.ndim(array) else array
            if np.isnan(value) or (value == 0.0 and not row.analytic):
                continue
            if row.analytic:
                part[at] = loss(*moved(arrays, place, at, 1e-200j)).imag / 1e-200
            else:
                near, far = (
                    loss(*moved(arrays, place, at, h)) - loss(*moved(arrays, place, at, -h))
                    for h in (STEP, 2.0 * STEP)
                )
                part[at] = (8.0 * near - far) / (12.0 * STEP)
        found.append(part[()])
    return found


def eager(call, dtype="f8"):
    """The results of a call on Values, and the gradient of its loss."""
    values = [Value(x) for x in given(call, dtype)]
    loss = loss_of(over_values(call))(*values)
    loss.backward()
    grads = [np.broadcast_to(x.grad, x.shape) for x in values]
    return loss.data, grads


class Lowered(NamedTuple):
    """A call's loss as a Program."""

    program: Any
    inputs: dict[str, Any]  # what its buffers hold
    names: list[str]  # the buffers that are differentiated
    seen: list[Any]  # the results of the call in the trace


@functools.cache
def lowered(call, dtype="f8"):
    args = [float(x) if dtype == "f8" and np.ndim(x) == 0 else x for x in given(call, dtype)]
    seen = []

    def loss(*args):
        seen[:] = [x for x in leaves(call(*args)) if isinstance(x, Traced)]
        return loss_of(call)(*args)

    fun = jitgrad.compile(loss, argnums=tuple(range(len(args))))
    bound, traced = fun._trace(tuple(args), {})
    buffers = [argument.buffer for argument in traced.arguments]
    data = dict(zip(buffers, inputs(bound, traced), strict=True))
    names = [buffers[place] for place in chosen_inputs(bound, traced)]
    return Lowered(prepare(traced.program), data, names, list(seen))


def same_numbers(found, expected):
    for one, other in zip(leaves(found), leaves(expected), strict=True):
        data = one.data if isinstance(one, Value) else one
        assert np.shape(data) == np.shape(other)
        np.testing.assert_allclose(
            np.asarray(data, float), np.asarray(other, float), rtol=1e-12, atol=1e-13
        )


# --- the table ------------------------------------------------------------------------------------


def test_rows_have_calls_and_names_of_their_own():
    names = [row.name for row in ROWS_OF_ALL]
    assert len(set(names)) == len(names)
    assert all(row.calls for row in WORKING)


def test_every_function_that_is_registered_is_in_the_table():
    source = inspect.getsource(inspect.getmodule(ROWS_OF_ALL[0].__class__))
    missing = []
    for key in NUMPY:
        name = f"{key[0].__name__}.{key[1]}" if isinstance(key, tuple) else key.__name__
        name = name.removesuffix(".__call__")
        if name not in source:
            missing.append(name)
    assert missing == []


# --- values and first derivatives -----------------------------------------------------------------


@every_row
def test_eager_values(row):
    for call in row.calls:
        expected = call(*given(call))
        found = over_values(call)(*(Value(x) for x in given(call)))
        same_numbers(found, expected)
        for one, other in zip(leaves(found), leaves(expected), strict=True):
            kind = one.element_type if isinstance(one, Value) else np.asarray(one).dtype
            assert kind in (np.asarray(other).dtype, object) or not np.ndim(other)


@every_row
def test_derivatives(row):
    for call in row.calls:
        expected = derivative(row, call)
        value = loss_of(call)(*given(call))
        program, data, names, seen = lowered(call)
        shapes = [(np.shape(x), np.asarray(x).dtype) for x in leaves(call(*given(call)))]
        for x in seen:
            assert (x.shape, x.element_type) in shapes
        outcome = quick.run(verify(gradient(program, names)), data)
        found_eager = eager(call)
        close(found_eager[0], value, EXACT)
        close(outcome.value, value, EXACT)
        tolerance = EXACT if row.analytic else DIFFERENCES
        for n, (name, reference) in enumerate(zip(names, expected, strict=True)):
            traced = outcome.buffers[f"grad_{name}"]
            known = ~np.isnan(reference)
            close(found_eager[1][n], traced, EXACT)
            close(traced[known], reference[known], tolerance)
            assert np.isfinite(traced).all()


# By the place of the call: where= is ignored, a repeated axis is added up wrongly, no kinks.
AUTOGRAD_IS_WRONG = {
    "np.sinc": [1],
    "np.tile": [3],
    "np.sum": [4],
    "np.mean": [3],
    "np.std": [3],
    "np.var": [3],
    "np.linalg.norm": [3],
    "np.prod": [2, 3, 5],
    "np.full_like": [0, 2],
}


@every_row
def test_autograd_agrees(row):
    wrong = AUTOGRAD_IS_WRONG.get(row.name, [])
    for call in (call for n, call in enumerate(row.calls) if n not in wrong):
        names = {**call.__globals__, "np": anp}
        theirs = types.FunctionType(call.__code__, names, closure=call.__closure__)
        places = tuple(range(len(given(call))))
        try:
            expected = autograd.grad(loss_of(with_names(theirs, call), anp), places)(*given(call))
        except Exception:  # whatever autograd does not know
            continue
        for found, part in zip(eager(call)[1], expected, strict=True):
            close(found, part, 1e-10)


def with_names(function, call):
    """The function with the parameters of another one, which say what it is given."""
    function.__signature__ = inspect.signature(call)
    return function


# --- second derivatives ---------------------------------------------------------------------------


def dotted(program, directions):
    """The Program of the dot product of all gradients and directions."""
    buffers, nodes = {"dot": Buffer((), "temporary")}, []
    for name, direction in directions.items():
        shape = direction.shape
        index = tuple(Affine.index(f"{name}_{axis}") for axis in range(len(shape)))
        buffers[f"to_{name}"] = Buffer(shape, "table")
        buffers[f"term_{name}"] = Buffer(shape, "temporary")
        term = Ref(f"term_{name}", index)
        block = (
            Assign(term, "mul", (Ref(f"grad_{name}", index), Ref(f"to_{name}", index))),
            Accumulate(Ref("dot"), term),
        )
        for axis in reversed(range(len(shape))):
            block = (Loop(f"{name}_{axis}", Affine(shape[axis]), block),)
        nodes.extend(block)
    return program._replace(
        buffers={**program.buffers, **buffers},
        body=(*program.body, Assign(Ref("dot"), "copy", (0.0,)), *nodes),
        result=Ref("dot"),
        tables={**program.tables, **{f"to_{name}": to for name, to in directions.items()}},
    )


@every_row
def test_second_derivatives(row):
    for call in row.calls:
        program, data, names, _ = lowered(call)
        first = gradient(program, names)
        rng = np.random.default_rng(5)
        directions = {
            name: np.where((data[name] == 0.0) | np.isnan(data[name]), 0.0, 1.0)
            * rng.normal(size=np.shape(data[name]))
            for name in names
        }
        second = verify(gradient(dotted(first, directions), names))
        found = quick.run(second, data).buffers
        ends = [slopes(first, data, directions, h * STEP) for h in (1, -1, 2, -2)]
        for name in names:
            a, b, c, d = (end[f"grad_{name}"] for end in ends)
            close(found[f"grad2_{name}"], (8.0 * (a - b) - (c - d)) / (12.0 * STEP), SECOND)


def slopes(first, data, directions, step):
    """The gradients a step away."""
    moved = {name: data[name] + step * to for name, to in directions.items()}
    return quick.run(first, {**data, **moved}).buffers


# --- float32, and the kernel ----------------------------------------------------------------------


@every_row
def test_float32(row):
    for call in row.calls:
        arrays = given(call, "f4")
        if not any(np.ndim(x) for x in arrays):
            continue
        expected = leaves(call(*arrays))
        found = leaves(over_values(call)(*map(Value, arrays)))
        for one, other in zip(found, expected, strict=True):
            scalars = not all(np.ndim(x) for x in arrays)  # eager scalars are floats
            if np.ndim(other) and row.single and not scalars:
                kind = one.element_type if isinstance(one, Value) else np.asarray(one).dtype
                assert kind in (np.asarray(other).dtype, object)
        value, grads = eager(call, "f4")
        exact, slopes = eager(call)
        close(value, exact, SINGLE)
        program, data, names, seen = lowered(call, "f4")
        traced = run(gradient(program, names), data)
        kinds = [(np.shape(x), np.asarray(x).dtype) for x in expected]
        for x in seen if row.single else []:
            assert (x.shape, x.element_type) in kinds
        for n, name in enumerate(names):
            close(grads[n], slopes[n], SINGLE)
            close(traced.buffers[f"grad_{name}"], slopes[n], SINGLE)


def together(calls):
    """The sum of some calls' losses, its arguments and what they receive."""
    names = sorted({name for call in calls for name in inspect.signature(call).parameters})

    made = [over_values(call) for call in calls]

    def loss(*args):
        of = dict(zip(names, args, strict=True))
        return sum(
            loss_of(c)(*(of[name] for name in inspect.signature(c).parameters)) for c in made
        )

    args = [getattr(SAMPLES, name) for name in names]
    values = list(map(Value, args))
    total = loss(*values)
    total.backward()
    grads = [np.broadcast_to(x.grad, x.shape) for x in values]
    return jitgrad.compile(loss, argnums=tuple(range(len(args)))), args, total.data, grads


@pytest.mark.parametrize("row", PASSED, ids=lambda row: row.name)
def test_passes_keep_the_value_and_the_gradient(row):
    for call in row.calls[:2] if row.tier else row.calls[:1]:  # the others pass the adjoint above
        fun, args, value, grads = together([call])
        bound, traced = fun._trace(tuple(args), {})
        buffers = [argument.buffer for argument in traced.arguments]
        data = dict(zip(buffers, inputs(bound, traced), strict=True))
        names = [buffers[place] for place in chosen_inputs(bound, traced)]
        program = traced.program
        for step in FORWARD:
            program = step(program)
        program = gradient(program, names)
        for step in PASSES:
            program = step(program)
        found = quick.run(verify(program), data)
        close(found.value, value, EXACT)
        for name, part in zip(names, grads, strict=True):
            close(found.buffers[f"grad_{name}"], part, EXACT)


@pytest.mark.parametrize("row", KERNELS, ids=lambda row: row.name)
def test_one_kernel(row):
    fun, args, value, grads = together(row.calls[:1])
    found, parts = fun.value_and_grad(*args)
    close(found, value, EXACT)
    for part, expected in zip(parts, grads, strict=True):
        close(part, expected, EXACT)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IN_PLACE)
def test_methods_in_place_are_refused(name):
    with pytest.raises(UnsupportedError, match="not changed in place"):
        getattr(Value([1.0]), name)(0)


@pytest.mark.parametrize("name", INSTEAD)
def test_refused_functions_say_what_to_write(name):
    function = getattr(np.hypot if hasattr(np.hypot, name) else np, name)
    v = Value(np.ones((2, 2)))
    for arguments in ((v,), (v, v), (v, v, v), (v, 0, 0), (v, [0], [1.0], 0)):
        try:
            function(*arguments)
        except UnsupportedError as error:
            assert INSTEAD[name] in str(error)
            return
        except (TypeError, ValueError) as error:
            assert not isinstance(error, JitgradError)
    pytest.fail("it was not refused")

"""Every loss of the corpus means the same to every engine, and has the right derivatives."""

import functools
import importlib.util
from pathlib import Path
from typing import NamedTuple

import autograd
import numpy as np
import optree
import pytest

import jitgrad
import tests.corpus
from benchmarks.problems import PROBLEMS
from benchmarks.subject import moons_subject
from jitgrad import cpu
from jitgrad.adjoint import gradient
from jitgrad.interpreter import run, verify
from jitgrad.pipeline import PASSES
from jitgrad.program import Accumulate, Affine, Assign, Buffer, Loop, Ref
from jitgrad.simplify import plain, prepare, simplify
from tests.corpus import CASES

ENGINES = 1e-11  # between engines: they may add in another order
STEP = 1e-5  # of central differences
DIFFERENCES = 1e-6  # they are wrong by STEP ** 2 and by rounding over STEP
COMPLEX = 1e-11  # a complex step is not wrong by more than rounding
SECOND_ORDER = [
    "horner",
    "logistic_array",
    "mlp",
    "embedding",
    "garch",
    "arma",
    "rk4",
    "leapfrog",
    "heat_equation",
    "lennard_jones_lower",
    "matmul",
    "triangular_solve",
    "rosenbrock_slices",
    "continued_fraction",
    "scalars_only",
    "one_element",
    "constants_only",
]


def cases(chosen=lambda case: True):
    found = [case for case in CASES.values() if chosen(case)]
    return pytest.mark.parametrize("case", found, ids=[case.name for case in found])


def close(found, expected, tolerance):
    """Compare numbers relative to the largest one."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=tolerance * scale)


# --- the engines ---------------------------------------------------------------------------------


class Made(NamedTuple):
    """A compiled loss with its Programs and what its kernel takes."""

    fun: object
    lowered: object
    flat: list
    wrt: list

    def inputs(self, program):
        names = [k for k, b in program.buffers.items() if b.kind == "input" and b.views is None]
        return dict(zip(names, self.flat, strict=True))

    def outputs(self):
        """Fresh arrays for the kernel to write: gradients, then auxiliary outputs."""
        buffers = self.lowered.gradient_program.buffers
        names = [f"grad_{name}" for name in self.wrt] + [k for k in buffers if k.startswith("aux")]
        return {name: np.full(buffers[name].shape, np.nan) for name in names}

    def call(self, kernel):
        outputs = self.outputs()
        value = kernel(*self.flat, *outputs.values())
        return value, outputs

    def run(self, program):
        outcome = run(program, self.inputs(program))
        return outcome.value, {k: b for k, b in outcome.buffers.items() if k in self.outputs()}


def is_traced(leaf):
    return isinstance(leaf, float | np.floating | np.ndarray)


@functools.cache
def made(name):
    case = CASES[name]
    fun = jitgrad.compile(case.fun, argnums=case.argnums, has_aux=case.has_aux)
    lowered = fun.lower(*case.args)
    leaves = [leaf for leaf in optree.tree_leaves(case.args) if is_traced(leaf)]
    numbers = [leaf if np.ndim(leaf) else float(leaf) for leaf in leaves]
    outputs = lowered.gradient_program.buffers.items()
    wrt = [
        k[5:] for k, b in outputs if k.startswith("grad_") and b.kind == "output" and not b.views
    ]
    return Made(fun, lowered, [*numbers, *lowered.captured_arrays()], wrt)


def interpreted(lowered):
    return cpu.interpret(lowered.source, lowered.kernel.py_func.__name__)


def same(found, expected, tolerance=ENGINES):
    close(found[0], expected[0], tolerance)
    assert found[1].keys() == expected[1].keys()
    for name, output in found[1].items():
        close(output, expected[1][name], tolerance)


def unique_indices(program):
    """No two loops of a traced Program share an index."""
    indices = [line.split()[1] for line in str(program).splitlines() if line.strip()[:4] == "for "]
    return len(indices) == len(set(indices))


def loss_of(case, args):
    returned = case.fun(*args)
    return returned[0] if case.has_aux else returned


@cases()
def test_engines_agree(case):
    this = made(case.name)
    forward = verify(this.lowered.program)
    assert unique_indices(forward)
    value = loss_of(case, case.args)
    if case.reference is not None:
        close(value, case.reference(*case.args), 1e-12)
    close(run(forward, this.inputs(forward)).value, value, ENGINES)
    program = gradient(prepare(forward), this.wrt)
    expected = this.run(verify(program))
    close(expected[0], value, ENGINES)
    for step in PASSES:
        program = verify(step(program))
        same(this.run(program), expected)
    same(this.call(interpreted(this.lowered)), expected)
    same(this.call(this.lowered.kernel), expected)


@cases(lambda case: case.has_aux)
def test_auxiliary_outputs(case):
    (value, aux), found = made(case.name).fun.value_and_grad(*case.args)
    expected, expected_aux = case.fun(*case.args)
    close(value, expected, ENGINES)
    optree.tree_map(lambda a, b: close(a, b, ENGINES), aux, expected_aux)
    optree.tree_map(lambda a, b: close(a, b, 0.0), found, made(case.name).fun.grad(*case.args)[0])


@cases(lambda case: case.loops)
def test_strict_values_are_python_s_to_the_bit(case):
    strict = jitgrad.compile(case.fun, argnums=case.argnums, strict=True)
    value, found = strict.value_and_grad(*case.args)
    assert float(value).hex() == float(case.fun(*case.args)).hex()
    fast = made(case.name).fun.grad(*case.args)
    optree.tree_map(lambda a, b: close(a, b, ENGINES), found, fast)


# --- first derivatives ---------------------------------------------------------------------------


def moved(case, number, at, by):
    """The arguments with one element of one leaf moved."""
    leaves, structure = optree.tree_flatten(case.args[number])
    leaf, index = at
    kind = complex if isinstance(by, complex) else float
    changed = [np.array(x, dtype=kind) if is_traced(x) else x for x in leaves]
    changed[leaf][index] += by
    changed = [x[()] if is_traced(x) and x.ndim == 0 else x for x in changed]
    argument = optree.tree_unflatten(structure, changed)
    return (*case.args[:number], argument, *case.args[number + 1 :])


def slope(case, number, at):
    """The derivative by one element: a complex step, or central differences."""
    if case.analytic:
        return loss_of(case, moved(case, number, at, 1e-200j)).imag / 1e-200
    ends = [loss_of(case, moved(case, number, at, by)) for by in (STEP, -STEP)]
    return (ends[0] - ends[1]) / (2.0 * STEP)


def slopes(case, number):
    """The gradient by one argument, element by element: one array for each leaf."""
    leaves = optree.tree_leaves(case.args[number])
    return [
        np.array([slope(case, number, (n, at)) for at in np.ndindex(np.shape(leaf))]).reshape(
            np.shape(leaf)
        )
        for n, leaf in enumerate(leaves)
    ]


def gradients(case):
    """What jitgrad returns for each differentiated argument, as leaves."""
    found = made(case.name).fun.grad(*case.args)
    found = found[0] if case.has_aux else found
    per_argument = (found,) if isinstance(case.argnums, int) else found
    return [optree.tree_leaves(tree) for tree in per_argument]


@cases(lambda case: not case.detached)
def test_gradients_agree_with_differences(case):
    tolerance = COMPLEX if case.analytic else DIFFERENCES
    for number, found in zip(case.chosen, gradients(case), strict=True):
        for leaf, expected in zip(found, slopes(case, number), strict=True):
            close(leaf, np.real(expected), tolerance)


def test_a_detached_factor_counts_as_a_constant():
    case = CASES["detached"]
    close(gradients(case)[0][0], case.args[0], ENGINES)


@functools.cache
def peers():
    """The corpus once more, over HIPS autograd's NumPy."""
    path = Path(tests.corpus.__file__)
    text = path.read_text().replace("import numpy as np\n", "import autograd.numpy as np\n")
    spec = importlib.util.spec_from_loader("corpus_of_autograd", loader=None)
    module = importlib.util.module_from_spec(spec)
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module.CASES


@cases(lambda case: case.peer)
def test_gradients_agree_with_autograd(case):
    fun = peers()[case.name].fun
    expected = autograd.grad(fun, case.argnums)(*case.args)
    expected = (expected,) if isinstance(case.argnums, int) else expected
    for found, tree in zip(gradients(case), expected, strict=True):
        for leaf, other in zip(found, optree.tree_leaves(tree), strict=True):
            close(leaf, other, ENGINES)


# --- second derivatives --------------------------------------------------------------------------


def dotted(program, name, direction):
    """The Program of the dot product of a gradient and a direction."""
    shape = direction.shape
    index = tuple(Affine.index(f"dot{axis}") for axis in range(len(shape)))
    product = Ref("product", index)
    nodes = (
        Assign(product, "mul", (Ref(f"grad_{name}", index), Ref("direction", index))),
        Accumulate(Ref("dot"), product),
    )
    for axis in reversed(range(len(shape))):
        nodes = (Loop(f"dot{axis}", Affine(shape[axis]), nodes),)
    buffers = {
        "direction": Buffer(shape, "table"),
        "product": Buffer(shape, "temporary"),
        "dot": Buffer((), "temporary"),
    }
    return program._replace(
        buffers={**program.buffers, **buffers},
        body=(*program.body, Assign(Ref("dot"), "copy", (0.0,)), *nodes),
        result=Ref("dot"),
        tables={**program.tables, "direction": direction},
    )


def gradient_at(this, program, name, values):
    """The gradient by one input, where that input is something else."""
    return run(program, {**this.inputs(program), name: values}).buffers[f"grad_{name}"]


@pytest.mark.parametrize("cleaned", [False, True])
@pytest.mark.parametrize("name", SECOND_ORDER)
def test_the_gradient_of_a_gradient(name, cleaned):
    this = made(name)
    first = gradient(prepare(this.lowered.program), this.wrt)
    if cleaned:
        first = simplify(plain(first))
    by = this.wrt[0]
    at = np.asarray(this.inputs(first)[by], dtype=float)
    direction = np.random.default_rng(0).normal(size=at.shape)
    second = verify(gradient(dotted(first, by, direction), [by]))
    ends = [gradient_at(this, first, by, at + s * STEP * direction) for s in (1, -1)]
    expected = (ends[0] - ends[1]) / (2.0 * STEP)
    output = next(k for k, b in second.buffers.items() if k == f"grad2_{by}" and not b.views)
    for step in (lambda program: program, *PASSES):
        second = verify(step(second))
        found = run(second, this.inputs(second)).buffers[output]
        close(found, expected, DIFFERENCES)


# --- how much rolling finds ----------------------------------------------------------------------


@pytest.mark.parametrize("row, most", [("garch", 40), ("rk4", 150), ("lennard-jones", 40)])
def test_long_loops_stay_few_statements(row, most):
    problem = PROBLEMS[row]()
    lowered = jitgrad.compile(problem.fun, argnums=problem.argnums).lower(*problem.args)
    assert len(lowered.tape) > 5_000
    assert lowered.program.statements <= most


def test_micrograd_s_demo_stays_few_statements():
    subject = moons_subject()
    lowered = subject.fun.lower(*subject.args)
    assert 60_000 < len(lowered.tape) < 70_000
    assert lowered.program.statements <= 40

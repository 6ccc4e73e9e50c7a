"""Random functions through every stage; `fuzz_command` runs it on many.

For each function the value and the gradient of eager Values, of the reference interpreter after
the adjoint and after every pass, and of the generated source in CPython have to agree; the eager
gradient has to agree with central differences. A failure is made smaller and printed as a script.
"""

import ast
import functools
import itertools
import math
import traceback
from typing import NamedTuple

import numpy as np

from jitgrad import Value, cache, call, compiled, cpu, emit
from jitgrad.adjoint import gradient
from jitgrad.contract import contract
from jitgrad.interpreter import run, verify
from jitgrad.pipeline import FORWARD, PASSES, STRICT_FORWARD, STRICT_PASSES
from tests.finality import final

LARGE = 1e6  # a loop let it grow: nothing to compare with
STEP = 1e-6
ATTEMPTS = 600  # at making a failure smaller


class Mismatch(Exception):  # noqa: N818 - it is what the fuzz finds, not an error
    """Two stages disagree, or one fails."""

    def __init__(self, stage, message):
        super().__init__(f"{stage}: {message}")
        self.stage = stage


class Result(NamedTuple):
    """A value and the gradient with respect to each of ``argnums``."""

    value: float
    gradients: list


# --- running the user's function -----------------------------------------------------------------


class Stopped:
    """``stop`` for plain numbers: gives again what it gave at the first run.

    Differences then see a detached value as the constant that it is for derivatives.
    """

    def __init__(self):
        self.seen = []
        self.at = 0

    def __call__(self, v):
        if self.at == len(self.seen):
            self.seen.append(np.copy(v)[()])
        self.at += 1
        return self.seen[self.at - 1]


def stop(v):
    """Return a Value without its history."""
    return v.data if isinstance(v, Value) else v


def defined(source, stopped=stop):
    """The function that a source defines."""
    namespace = {"np": np, "Value": Value, "stop": stopped, "__name__": "fuzzed"}
    exec(compile(source, "<fuzz>", "exec"), namespace)
    return namespace["f"]


def fresh(arguments):
    """Copies, so that nobody can change another's arguments."""
    return [np.array(a) if isinstance(a, np.ndarray) else a for a in arguments]


def plainly(case, stopped):
    """The value in CPython and NumPy, as a function of the arguments."""
    function = defined(case.source, stopped)

    def value(*arguments):
        stopped.at = 0
        with np.errstate(all="ignore"):
            try:
                return float(function(*fresh(arguments)))
            except OverflowError:  # Python's x ** y where NumPy's is infinite
                return math.inf

    return value


def eagerly(case):
    """The value and gradient of eager Values."""
    values = [Value(a) for a in fresh(case.arguments)]
    with np.errstate(all="ignore"):
        out = defined(case.source)(*values)
        out = out[()] if isinstance(out, np.ndarray) else out
        if isinstance(out, Value) and out.requires_grad:
            out.backward()
    gradients = [values[n].grad + np.zeros(np.shape(case.arguments[n])) for n in case.argnums]
    return Result(float(out.data if isinstance(out, Value) else out), gradients)


# --- comparing -----------------------------------------------------------------------------------


def compare(stage, found, expected, tolerance=1e-8):
    """Raise where two results differ."""
    near("value", stage, found.value, expected.value, 1.0, tolerance)
    for number, (a, b) in enumerate(zip(found.gradients, expected.gradients, strict=True)):
        scale = max(np.max(np.abs(g), initial=0.0) for g in expected.gradients)
        near(f"gradient {number}", stage, a, b, scale, tolerance)


def near(what, stage, found, expected, scale, tolerance):
    if np.shape(found) != np.shape(expected):
        raise Mismatch(stage, f"{what} of shape {np.shape(found)}, not {np.shape(expected)}")
    away = np.abs(np.subtract(found, expected))
    if not np.all(away <= tolerance * (1.0 + abs(scale) + np.abs(expected))):
        raise Mismatch(stage, f"{what} is\n{found}\nexpected\n{expected}")


def differences(case, value, eager):
    """Compare the eager gradient with central differences, kinks and jumps left out."""
    for number, expected in zip(case.argnums, eager.gradients, strict=True):
        for at in np.ndindex(np.shape(expected)):
            low, middle, high = (
                value(*moved(case.arguments, number, at, step)) for step in (-STEP, 0, STEP)
            )
            scale = 1.0 + abs(middle) + np.max(np.abs(expected), initial=0.0)
            left, right = (middle - low) / STEP, (high - middle) / STEP
            central = (high - low) / (2 * STEP)
            curved = abs(left - right) > 1e-3 * (scale + abs(central))
            if not curved and not abs(central - expected[at]) <= 1e-5 * scale * 10:
                message = f"argument {number} at {at} is {expected[at]}, not {central}"
                raise Mismatch("central differences", message)


def moved(arguments, number, at, step):
    changed = fresh(arguments)
    if np.ndim(changed[number]):
        changed[number][at] += step
    else:
        changed[number] += step
    return changed


# --- the pipeline --------------------------------------------------------------------------------


class Pipeline:
    """One traced function through all stages."""

    def __init__(self, function, case, strict):
        self.strict = strict
        function = compiled.compile(function, argnums=case.argnums, strict=strict)
        bound, self.traced = function._trace(tuple(fresh(case.arguments)), {})
        self.given = call.inputs(bound, self.traced)
        self.names = [argument.buffer for argument in self.traced.arguments]
        wrt = call.chosen_inputs(bound, self.traced)
        self.wrt = [self.names[place] for place in wrt]
        self.outputs = [f"grad_{name}" for name in self.wrt]
        self.reached = []  # the program before each pass

    def final(self, program):
        """A program in which every read sees a final value."""
        return final(program, dict(zip(self.names, self.given, strict=True)))

    def interpreted(self, program, outputs):
        outcome = run(program, dict(zip(self.names, self.given, strict=True)))
        return Result(float(outcome.value), [outcome.buffers[name] for name in outputs])

    def stages(self):
        """Yield the name and the result of each stage."""
        yield "lower", self.interpreted(self.final(verify(self.traced.program)), [])
        program = self.final(self.differentiated())
        yield "adjoint", self.interpreted(program, self.outputs)
        contracted = False
        for number, step in enumerate(self.passes()):
            self.reached.append(program)
            before, program = program, step(program)
            contracted = contracted or step is contract
            if program != before:
                program = program if contracted else verify(program)
                yield f"{number} {step.__name__}", self.interpreted(program, self.outputs)
        yield "source in CPython", self.printed(program)

    def differentiated(self):
        """The program of the value and the gradient, before all passes."""
        program = self.traced.program
        for step in STRICT_FORWARD if self.strict else FORWARD:
            program = verify(step(program))
        return verify(gradient(program, self.wrt))

    def passes(self):
        """The passes in order."""
        return STRICT_PASSES if self.strict else PASSES

    def printed(self, program):
        """Run the generated text; what it leaves unwritten is NaN."""
        arguments = [*self.names, *self.outputs]
        made = emit.emit(program, name="kernel_name", arguments=arguments, strict=self.strict)
        name = f"fuzzed_{cache.digest(made.text)}"
        return self.executed(cpu.interpret(made.text.replace("kernel_name", name), name), program)

    def executed(self, kernel, program):
        kernel.__globals__.update(np=Poisoned(), float=np.float64)
        given = [np.float64(a) if isinstance(a, float) else a for a in fresh(self.given)]
        outputs = [program.buffers[name] for name in self.outputs]
        gradients = [np.full(output.shape, np.nan, output.dtype) for output in outputs]
        with np.errstate(all="ignore"):  # NumPy's floats divide by zero, as Numba's do
            value = kernel(*given, *gradients)
        return Result(float(value), gradients)


class Poisoned:
    """NumPy, except that new arrays hold NaN."""

    @staticmethod
    def empty(shape, dtype=float):
        return np.full(shape, np.nan, dtype)

    def __getattr__(self, name):
        return getattr(np, name)


def attempt(stage, function, *arguments):
    """Call; an exception is a failure of the stage."""
    try:
        return function(*arguments)
    except Mismatch:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{where.filename.rsplit('/', 1)[-1]}:{where.name}"
        text = "".join(traceback.format_exception(error, limit=-4))
        raise Mismatch(f"{stage} ({type(error).__name__} in {place})", text) from None


def check(case):
    """Compare all engines on a function.

    Returns
    -------
    bool
        False where the function itself gave no finite number, or Python refused it.

    Raises
    ------
    Mismatch
    """
    stopped = Stopped()
    value = plainly(case, stopped)
    try:
        expected = value(*case.arguments)
    except IndexError:  # of a list that grows, or of constants for fewer iterations
        return False
    if not abs(expected) < LARGE:
        return False
    eager = attempt("eager", eagerly, case)
    if not all(np.all(np.abs(g) < LARGE) for g in eager.gradients):
        return False
    near("value", "eager", eager.value, expected, abs(expected), 1e-9)
    differences(case, value, eager)
    through(case, eager, strict=False)
    if case.seed % 3 == 0 or case.exact:
        bits = expected if case.exact else None
        through(case, eager, strict=True, bits=bits)
    return True


def through(case, expected, strict, bits=None):
    """Compare every stage of the pipeline."""
    mode = "strict " if strict else ""
    pipeline = attempt(f"{mode}trace", Pipeline, defined(case.source), case, strict)
    stages = pipeline.stages()
    stage = "lower"
    while True:
        following = attempt(f"{mode}after {stage}", next, stages, None)
        if following is None:
            return
        stage, found = following
        wanted = expected if found.gradients else Result(expected.value, [])
        compare(f"{mode}{stage}", found, wanted)
        if bits is not None and found.value != bits:
            raise Mismatch(f"{mode}{stage}", f"value is {found.value!r}, in CPython {bits!r}")


# --- under Numba ---------------------------------------------------------------------------------


def check_compiled(cases):
    """Compile one weighted sum of several functions; compare with eager Values.

    Returns
    -------
    int
        How many functions took part: all that gave finite numbers.
    """
    cases = [case._replace(argnums=tuple(range(len(case.arguments)))) for case in cases]
    finite = [(case, eager) for case in cases if (eager := usable(case)) is not None]
    functions = [defined(case.source) for case, _ in finite]
    weights = [1.0 + 0.25 * n for n in range(len(finite))]

    def total(packs):
        out = 0.0
        for weight, function, pack in zip(weights, functions, packs, strict=True):
            out = out + weight * function(*pack)
        return out

    packs = [tuple(fresh(case.arguments)) for case, _ in finite]
    stage = f"Numba, seeds {[case.seed for case, _ in finite]}"
    value, gradients = attempt(stage, compiled.compile(total).value_and_grad, packs)
    expected = sum(w * eager.value for w, (_, eager) in zip(weights, finite, strict=True))
    near("value", stage, value, expected, abs(expected), 1e-9)
    for weight, (_, eager), found in zip(weights, finite, gradients, strict=True):
        wanted = [weight * part for part in eager.gradients]
        compare(stage, Result(0.0, list(found)), Result(0.0, wanted))
    return len(finite)


def usable(case):
    """The eager result, None where it is not finite."""
    with np.errstate(all="ignore"):
        eager = eagerly(case)
    numbers = [abs(eager.value), *(np.max(np.abs(g), initial=0.0) for g in eager.gradients)]
    return eager if all(number < LARGE for number in numbers) else None


# --- making failures smaller ---------------------------------------------------------------------


def minimised(case, stage, check=check):
    """Drop statements and parts of expressions as long as the same stage fails."""
    left = ATTEMPTS
    changed = True
    while changed:
        changed = False
        for smaller in smaller_sources(case.source):
            left -= 1
            if left < 0:
                return case
            if fails(case._replace(source=smaller), stage, check):
                case, changed = case._replace(source=smaller), True
                break
    return case


def fails(case, stage, check):
    try:
        check(case)
    except Mismatch as failure:
        return failure.stage == stage
    except Exception:
        return False
    return False


def smaller_sources(source):
    """Yield sources with one statement left out or one expression replaced by a part of it."""
    count = sum(1 for _ in ast.walk(ast.parse(source)))
    for number in range(count):
        for way in itertools.count():
            tree = ast.parse(source)
            node = next(itertools.islice(ast.walk(tree), number, None))
            if not hasattr(node, "_fields") or not reduce(node, way):
                break
            yield ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def reduce(node, way):
    """Change a node in the way of this number; False if there is none."""
    places = []
    for field, value in ast.iter_fields(node):
        if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
            for at, statement in enumerate(value):
                if not isinstance(statement, ast.Return | ast.FunctionDef):
                    places.append(functools.partial(drop, value, at))
        elif isinstance(value, ast.expr):
            places += [functools.partial(setattr, node, field, part) for part in parts(value)]
        elif isinstance(value, list):
            for at, item in enumerate(value):
                if isinstance(item, ast.expr):
                    places += [functools.partial(value.__setitem__, at, p) for p in parts(item)]
    if way >= len(places):
        return False
    places[way]()
    return True


def drop(block, at):
    body = block[at].body if isinstance(block[at], ast.For) else []
    block[at : at + 1] = [] if len(block) > 1 or body else [ast.Pass()]


def parts(value):
    """What can stand in an expression's place."""
    if isinstance(value, ast.BinOp):
        return [value.left, value.right]
    if isinstance(value, ast.Call):
        return list(value.args)
    if isinstance(value, ast.UnaryOp):
        return [value.operand]
    if isinstance(value, ast.IfExp):
        return [value.body, value.orelse]
    return []

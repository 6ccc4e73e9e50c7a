"""Random functions and array programs: every engine agrees, and a planted mistake is seen."""

import itertools

import numpy as np
import pytest

from jitgrad import ops
from jitgrad.adjoint import gradient
from jitgrad.pipeline import PASSES
from jitgrad.program import Assign, Loop
from jitgrad.routines import PULLS
from tests import fuzz, fuzz_arrays, quick
from tests.finality import final
from tests.fuzz import Mismatch, check, check_compiled, minimised, smaller_sources
from tests.random_arrays import ArrayProgram, random_arrays
from tests.random_calls import random_calls
from tests.random_functions import RandomFunction, random_function
from tests.written import parsed

BLOCK, GROUP = 20, 5  # functions to a test; functions to a kernel
FUNCTIONS, PROGRAMS, CALLING = 120, 400, 40  # `make fuzz` checks more, and compiles more of them


@pytest.mark.parametrize("first", range(0, PROGRAMS, BLOCK))
def test_every_stage_of_array_programs_agrees(first):
    for seed in range(first, first + BLOCK):
        report = fuzz_arrays.check(random_arrays(seed), without=seed % 3 == 0)
        assert report.outcome in ("checked", "not finite"), seed


@pytest.mark.parametrize("first", range(0, CALLING, BLOCK))
def test_every_stage_of_programs_with_calls_agrees(first):
    for seed in range(first, first + BLOCK):
        report = fuzz_arrays.check(random_calls(seed), without=1)
        assert report.outcome in ("checked", "not finite"), seed


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 12, 3))
def test_numba_agrees_on_array_programs(first):
    for seed in range(first, first + 3):
        assert fuzz_arrays.check(random_arrays(seed), without=0, numba=True).numba


@pytest.mark.parametrize("first", range(0, FUNCTIONS, BLOCK))
def test_every_stage_agrees(first):
    for seed in range(first, first + BLOCK):
        check(random_function(seed))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 20, GROUP))
def test_numba_agrees(first):
    check_compiled([random_function(seed) for seed in range(first, first + GROUP)])


def test_a_function_is_made_from_its_seed():
    assert random_function(7) == random_function(7)
    assert random_function(7).source != random_function(8).source


# --- the checker is checked ----------------------------------------------------------------------

UNDECIDED = """
    x: input(2)
    s: temporary(2)
    t: temporary()
    {}
    return t
"""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("s[0] = x[0]; s[0] = x[1]; t = s[0]", "s[0] is assigned twice"),
        ("s[0] += x[0]; t = s[0]", "s[0] has nothing to be added to"),
        ("s[0] = x[0]; t = s[0]; s[0] += x[1]", "s[0] changes after it was read"),
        ("t = s[1]", "s[1] is read before it is written"),
        ("for i in range(2):\n        for j in range(i):\n            s[2*i + j] = 0.0", "leaves"),
        ("s[1] = 0.0", "t is read before it is written"),
    ],
)
def test_a_read_of_what_is_not_final_is_seen(body, message):
    with pytest.raises(AssertionError) as found:
        final(parsed(UNDECIDED.format(body)), {"x": [1.0, 2.0]})
    assert message in str(found.value)


def failures(seeds=range(40), check=check, made=random_function):
    found = {}
    for seed in seeds:
        try:
            check(made(seed))
        except Mismatch as failure:
            found[seed] = failure
    return found


def forget():
    """Forget what was derived from the table of ops."""
    for thing in vars(ops).values():
        if hasattr(thing, "cache_clear"):
            thing.cache_clear()


@pytest.fixture
def wrong_tanh(monkeypatch):
    row = ops.OPS["tanh"]
    monkeypatch.setitem(ops.OPS, "tanh", row._replace(partials=("g * (1.0 - out)",)))
    yield
    monkeypatch.undo()
    forget()


def failures_of_arrays(text, without=0, count=10):
    """What fails of the first programs that hold a text."""
    with_text = (seed for seed in range(400) if text in random_arrays(seed).source)
    seeds = list(itertools.islice(with_text, count))
    return failures(seeds, lambda case: fuzz_arrays.check(case, without), random_arrays)


def test_a_wrong_rule_is_caught_in_array_programs(wrong_tanh):
    forget()
    found = failures_of_arrays("tanh")
    assert len(found) > 5
    assert {failure.stage for failure in found.values()} <= {"central differences", "autograd"}


@pytest.mark.parametrize("name", ["lu_solve", "eigh"])
def test_a_wrong_rule_of_a_routine_is_caught(monkeypatch, name):
    rule = PULLS[name]
    monkeypatch.setitem(PULLS, name, lambda *given: rule(*given) * 1.01)
    text = {"lu_solve": "solve(", "eigh": "eigh"}[name]
    seeds = itertools.islice((n for n in range(400) if text in random_calls(n).source), 4)
    found = failures(seeds, lambda case: fuzz_arrays.check(case, 0), random_calls)
    assert found
    assert {failure.stage for failure in found.values()} <= {"central differences", "autograd"}


def test_a_wrong_rule_is_caught_by_autograd(wrong_tanh, monkeypatch):
    forget()
    monkeypatch.setattr(fuzz_arrays, "with_differences", lambda *_: 0)
    found = failures_of_arrays("tanh")
    assert {failure.stage for failure in found.values()} == {"autograd"}


def test_a_wrong_rule_is_caught_by_differences(wrong_tanh):
    forget()
    found = failures()
    assert found
    assert {failure.stage for failure in found.values()} == {"central differences"}
    assert all("tanh" in random_function(seed).source for seed in found)


def test_a_rule_that_only_the_adjoint_gets_wrong_is_caught(wrong_tanh):
    forget()
    right = ops._namespace(arrays=False)["tanh"](0.5)
    case = RandomFunction(0, "def f(a):\n    return np.tanh(a)\n", (0.5,), (0,), False)
    with pytest.raises(Mismatch, match="central differences"):
        check(case)
    assert right == np.tanh(0.5)


def turned(program):
    """Run every loop the other way."""

    def turn(node):
        if not isinstance(node, Loop):
            return node
        return node._replace(body=tuple(map(turn, node.body)), backward=not node.backward)

    return program._replace(body=tuple(map(turn, program.body)))


def forgetful(program):
    """Leave out the last statement of every innermost loop that has several."""

    def visit(node):
        if not isinstance(node, Loop):
            return node
        body = node.body[:-1] if len(node.body) > 2 else node.body
        return node._replace(body=tuple(map(visit, body)))

    return program._replace(body=tuple(map(visit, program.body)))


@pytest.mark.parametrize("wrong", [turned, forgetful])
def test_a_wrong_pass_is_caught(monkeypatch, wrong):
    passes = (*PASSES[:3], wrong, *PASSES[3:])
    monkeypatch.setattr(fuzz, "PASSES", passes)
    found = failures()
    assert len(found) > 5
    assert {failure.stage.split(" (")[0] for failure in found.values()} <= {
        f"3 {wrong.__name__}",
        "after 2 lift_invariants",
        "after 1 simplify",
        "after 0 plain",
    }


def swapped(program):
    """Subtract the wrong way round."""

    def visit(node):
        if isinstance(node, Loop):
            return node._replace(body=tuple(map(visit, node.body)))
        wrong = isinstance(node, Assign) and node.op == "sub"
        return node._replace(operands=node.operands[::-1]) if wrong else node

    return program._replace(body=tuple(map(visit, program.body)))


@pytest.mark.parametrize("wrong", [forgetful, swapped])
@pytest.mark.parametrize("place", [3, len(PASSES)])
def test_a_wrong_pass_is_caught_in_array_programs(monkeypatch, wrong, place):
    monkeypatch.setattr(fuzz, "PASSES", (*PASSES[:place], wrong, *PASSES[place:]))
    monkeypatch.setattr(fuzz, "STRICT_PASSES", PASSES)
    found = failures_of_arrays(" - ")
    assert len(found) > 2
    assert any(f"{place} {wrong.__name__}" in failure.stage for failure in found.values())


def test_a_pass_that_is_wrong_without_another_is_caught(monkeypatch):
    """A pass that takes another to have been before it."""

    def first(program):
        return program._replace(tables={**program.tables, "mark": np.zeros(1)})

    def second(program):
        return program if "mark" in program.tables else swapped(program)

    monkeypatch.setattr(fuzz, "PASSES", (*PASSES, first, second))
    found = failures_of_arrays(" - ", without=99, count=6)
    stages = {failure.stage.split(", ")[-1] for failure in found.values()}
    assert stages == {f"without {len(PASSES)} first"}


def test_the_quick_interpreter_is_checked(monkeypatch):
    monkeypatch.setitem(quick.INFIX, "sub", "+")
    found = failures_of_arrays(" - ")
    assert any("quick form" in failure.stage for failure in found.values())


def test_numba_is_checked(monkeypatch):
    """What the kernel gives is compared, and so are its gradients."""
    source = "def f(x):\n    return np.sum(np.sin(x))\n"
    case = ArrayProgram(0, source, ("made(0, 3)[::-1]",), (0,), False)
    eager = fuzz_arrays.eagerly(case)
    fuzz_arrays.with_numba(case, eager, 1e-8)
    for wrong in (eager._replace(value=0.0), eager._replace(gradients=[np.zeros(3)])):
        with pytest.raises(Mismatch, match="Numba, first call"):
            fuzz_arrays.with_numba(case, wrong, 1e-8)


def test_an_array_program_is_made_from_its_seed():
    assert random_arrays(7) == random_arrays(7)
    exec(random_arrays(7).reproduction(), {})


def test_a_wrong_adjoint_is_caught(monkeypatch):
    def halved(program, wrt):
        return gradient(program, wrt[:-1]) if len(wrt) > 1 else gradient(program, wrt)

    monkeypatch.setattr(fuzz, "gradient", halved)
    assert any("after lower" in failure.stage for failure in failures(range(20)).values())


def test_a_failure_is_made_smaller(wrong_tanh):
    forget()
    seed, failure = next(iter(failures().items()))
    case = random_function(seed)
    small = minimised(case, failure.stage)
    assert len(small.source) < 150
    assert "np.tanh(" in small.source
    exec(small.reproduction(), {})


def test_smaller_sources():
    source = "def f(a):\n    b = 2 * a\n    return np.sin(b)\n"
    found = list(smaller_sources(source))
    assert "def f(a):\n    return np.sin(b)\n" in found
    assert "def f(a):\n    b = a\n    return np.sin(b)\n" in found
    assert "def f(a):\n    b = 2 * a\n    return b\n" in found

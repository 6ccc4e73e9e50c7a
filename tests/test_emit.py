"""The printed text: it computes what the Program means, and it reads well."""

import math
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given as with_
from hypothesis import settings
from hypothesis import strategies as st

import jitgrad
from jitgrad.emit import emit
from jitgrad.interpreter import run, verify
from jitgrad.ops import OPS
from jitgrad.program import Accumulate, Affine, Assign, Buffer, Loop, Program, Ref
from tests.programs import (
    arguments_of,
    execute,
    execute_exactly,
    given,
    inputs,
    random_program,
)

seeds = st.integers(0, 10**9)
I, J, K = map(Affine.index, "ijk")  # noqa: E741
LOCAL = Buffer((), "temporary")


def local(label):
    return Buffer((), "temporary", label=label)


def array(*shape, kind="input", **more):
    return Buffer(shape, kind, **more)


def printed(program, **more):
    source = emit(verify(program), name="kernel", arguments=arguments_of(program), **more)
    compile(source.text, "<kernel>", "exec")
    return source


def body_of(program, **more):
    """The kernel's lines below its docstring."""
    text = printed(program, **more).text
    return textwrap.dedent(text[text.rindex('"""\n') + 4 :])


def straight(statements, result="r", kinds=None):
    """A Program of assignments: its other names are inputs, its targets unlabelled locals."""
    body, buffers = [], {}
    for target, op, *operands in statements:
        refs = tuple(Ref(o) if isinstance(o, str) else o for o in operands)
        buffers |= {o: Buffer((), "input") for o in operands if isinstance(o, str)} | buffers
        body.append(Assign(Ref(target), op, refs))
    buffers |= {target: LOCAL for target, *_ in statements}
    return Program({**buffers, **(kinds or {})}, tuple(body), Ref(result))


def expression(*statements):
    """What the last of some assignments to locals is printed as, the others inside it."""
    return body_of(straight(statements)).removeprefix("return ").rstrip()


# --- what it computes ----------------------------------------------------------------------------


def agree(program, data, strict):
    """Compare each bit with the reference interpreter's."""
    expected = run(program, data)
    arguments, outputs = given(program, data)
    kernel = execute_exactly(printed(program, strict=strict))
    with np.errstate(all="ignore"):
        value = kernel(*arguments)
    same_bits(value, expected.value)
    for name, output in outputs.items():
        same_bits(output, expected.buffers[name])


def same_bits(found, expected):
    np.testing.assert_array_equal(found, expected)
    numbers = ~np.isnan(expected)
    assert np.array_equal(np.signbit(found)[numbers], np.signbit(expected)[numbers])


@with_(seeds, st.integers(3, 60), st.booleans())
@settings(max_examples=300, deadline=None)
def test_random_programs_mean_the_same_when_printed(seed, size, strict):
    agree(random_program(seed, size), inputs(seed), strict)


def test_random_programs_mean_the_same_under_numba():
    for seed in range(12):
        program, data = random_program(seed, 20), inputs(seed)
        source = printed(program, strict=bool(seed % 2))
        namespace = {}
        exec(source.text, namespace)
        for name in (*source.helpers, source.name):
            namespace[name] = numba.njit(error_model="numpy")(namespace[name])
        expected = run(program, data)
        arguments, outputs = given(program, data)
        np.testing.assert_allclose(namespace["kernel"](*arguments), expected.value, rtol=1e-12)
        for name, output in outputs.items():
            np.testing.assert_allclose(output, expected.buffers[name], rtol=1e-12)


@pytest.mark.parametrize("row", OPS.values(), ids=lambda row: row.name)
def test_every_op_is_printed_as_its_row_says(row):
    names = "xyz"[: row.arity]
    program = straight([("r", row.name, *names)])
    points = [
        np.float64(0.5 * low + 0.5 * high + 0.1 * k) for k, (low, high) in enumerate(row.domain)
    ]
    expected = float(row.evaluate(*points))
    np.testing.assert_allclose(execute(printed(program))(*points), expected, rtol=1e-15)
    agree(program, dict(zip(names, points, strict=True)), strict=False)


def test_the_text_is_the_same_in_every_process():
    code = (
        "import hashlib; from jitgrad.emit import emit; from tests.programs import *;"
        "made = [random_program(seed, 40) for seed in range(20)];"
        "text = [emit(p, name='k', arguments=arguments_of(p)).text for p in made];"
        "print(hashlib.sha256(''.join(text).encode()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            cwd=Path(__file__).parents[1],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in "123"
    }
    assert len(found) == 1


def test_the_text_is_lint_free(tmp_path):
    for seed in range(40):
        (tmp_path / f"kernel{seed}.py").write_text(printed(random_program(seed, 40)).text)
    rules = "--select=F401,F811,F821,F402,A001,I,W,E501,E3"
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length=100", rules]
    done = subprocess.run([*command, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# --- how it reads --------------------------------------------------------------------------------


def test_a_logistic_loss():
    program = Program(
        {
            "params": array(4),
            "X": array(100, 3),
            "y": array(100),
            "grad_params": array(4, kind="output"),
            "w": array(3, views="params"),
            "b": Buffer((), "input", views="params", offset=3),
            "dw": array(3, kind="output", views="grad_params", label="grad_w"),
            "db": Buffer((), "output", views="grad_params", offset=3),
            "v0": local("total"),
            "v1": local("z"),
            **dict.fromkeys(("t0", "t1", "t2", "t3", "t4", "t5"), LOCAL),
            "mean": local("mean"),
        },
        (
            Assign(Ref("v0"), "copy", (0.0,), 0),
            Loop("a", Affine(3), (Assign(Ref("dw", (Affine.index("a"),)), "copy", (0.0,)),)),
            Assign(Ref("db"), "copy", (0.0,)),
            Loop(
                "i",
                Affine(100),
                (
                    Assign(Ref("v1"), "copy", (Ref("b"),), 0),
                    Loop(
                        "j",
                        Affine(3),
                        (
                            Assign(Ref("t0"), "mul", (Ref("X", (I, J)), Ref("w", (J,))), 0),
                            Accumulate(Ref("v1"), Ref("t0"), 0),
                        ),
                    ),
                    Assign(Ref("t1"), "neg", (Ref("y", (I,)),), 1),
                    Assign(Ref("t2"), "mul", (Ref("t1"), Ref("v1")), 1),
                    Assign(Ref("t3"), "softplus", (Ref("t2"),), 1),
                    Accumulate(Ref("v0"), Ref("t3"), 1),
                    Assign(Ref("t4"), "sigmoid", (Ref("t2"),), 1),
                    Assign(Ref("t5"), "mul", (Ref("t1"), Ref("t4")), 1),
                    Accumulate(Ref("db"), Ref("t5"), 0),
                    Loop(
                        "j",
                        Affine(3),
                        (
                            Assign(Ref("t6"), "mul", (Ref("t5"), Ref("X", (I, J))), 0),
                            Accumulate(Ref("dw", (J,)), Ref("t6"), 0),
                        ),
                    ),
                ),
            ),
            Assign(Ref("mean"), "div", (Ref("v0"), 100.0), 2),
        ),
        Ref("mean"),
        {},
        (
            ("/home/me/loss.py", 3, "z"),
            ("/home/me/loss.py", 4, ""),
            ("/home/me/loss.py", 5, "mean"),
        ),
    )
    program.buffers["t6"] = LOCAL
    assert printed(program, header="Made from loss.py:2.").text == textwrap.dedent('''\
        """Made from loss.py:2."""

        from jitgrad.vector_math import exp, log1p, sigmoid


        def where(x, y, z):
            return y if x else z


        def maximum(x, y):
            return where((x >= y) | (x != x), x, y)


        def softplus(x):
            return maximum(x, 0.0) + log1p(exp(-abs(x)))


        def add_up(total, term):
            return total + term


        def kernel(params, X, y, grad_params):
            """Return the value; write grad_params."""
            w = params[:3]
            grad_w = grad_params[:3]
            # loss.py:3
            total = 0.0
            for i in range(3):
                grad_w[i] = 0.0
            grad_params[3] = 0.0
            for i in range(X.shape[0]):
                z = params[3]
                for j in range(3):
                    z = add_up(z, X[i, j] * w[j])
                # loss.py:4
                t1 = -y[i]
                t2 = t1 * z
                total = add_up(total, softplus(t2))
                t3 = t1 * sigmoid(t2)
                # loss.py:3
                grad_params[3] = add_up(grad_params[3], t3)
                for j in range(3):
                    grad_w[j] += t3 * X[i, j]
            # loss.py:5
            mean = total / 100.0
            return mean
        ''')


def pairs(backward=False):
    """A double loop over i < j, which a tape numbers from zero."""
    other = I.plus(J).plus(1)
    body = (
        Assign(Ref("d"), "sub", (Ref("x", (other,)), Ref("x", (I,)))),
        Assign(Ref("d2"), "mul", (Ref("d"), Ref("d"))),
        Accumulate(Ref("s"), Ref("d2")),
    )
    inner = Loop("j", Affine(49).plus(I, -1), body, backward)
    buffers = {"x": array(50), "d": local("d"), "d2": LOCAL, "s": LOCAL}
    start = Assign(Ref("s"), "copy", (0.0,))
    return Program(buffers, (start, Loop("i", Affine(49), (inner,), backward)), Ref("s"))


def test_a_triangular_loop_starts_where_its_index_is_used():
    assert body_of(pairs()) == textwrap.dedent("""\
        total = 0.0
        for i in range(49):
            for j in range(i + 1, 50):
                d = x[j] - x[i]
                total = add_up(total, d * d)
        return total
        """)
    agree(pairs(), {"x": np.arange(50.0) ** 0.5}, strict=False)


def test_a_backward_loop():
    assert body_of(pairs(backward=True), strict=True) == textwrap.dedent("""\
        total = 0.0
        for i in range(48, -1, -1):
            for j in range(49, i, -1):
                d = x[j] - x[i]
                total += d * d
        return total
        """)
    agree(pairs(backward=True), {"x": np.arange(50.0) ** 0.5}, strict=True)


def test_a_recurrence_keeps_its_range_where_both_of_its_positions_are_used():
    step = Assign(Ref("h", (I.plus(1),)), "mul", (Ref("h", (I,)), Ref("x", (I,))))
    program = Program(
        {"x": array(9), "h": array(10, kind="temporary", label="h")},
        (Assign(Ref("h", (Affine(),)), "copy", (1.0,)), Loop("i", Affine(9), (step,))),
        Ref("h", (Affine(9),)),
    )
    assert body_of(program) == textwrap.dedent("""\
        h = np.empty(10)
        h[0] = 1.0
        for i in range(9):
            h[i + 1] = h[i] * x[i]
        return h[9]
        """)


def test_positions():
    places = [
        (Affine(3).plus(I, -1), "3 - i"),
        (I.plus(J, 2).plus(-1), "i + 2 * j - 1"),
        (J.plus(I, -1).plus(4), "j - i + 4"),
        (Affine(7, ((Ref("n", (I,)), -1),)), "7 - n[i]"),
        (Affine(1, ((Ref("f", (I,)), 1),)), "int(f[i]) + 1"),
        (Affine(0, (("i", -2),)).plus(20), "20 - 2 * i"),
    ]
    body = [Accumulate(Ref("s"), Ref("x", (place,))) for place, _ in places]
    loops = Loop("i", Affine(2), (Loop("j", Affine(2), tuple(body)),))
    buffers = {"x": array(40), "n": array(2, dtype="i8"), "f": array(2), "s": LOCAL}
    program = Program(buffers, (Assign(Ref("s"), "copy", (0.0,)), loops), Ref("s"))
    lines = [line.strip() for line in body_of(program, strict=True).splitlines()]
    assert lines[3:-1] == [f"total += x[{text}]" for _, text in places]


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([("t", "sub", "b", "c"), ("r", "sub", "a", "t")], "a - (b - c)"),
        ([("t", "sub", "a", "b"), ("r", "sub", "t", "c")], "a - b - c"),
        ([("t", "neg", "a"), ("r", "pow", "t", 2.0)], "(-a) ** 2"),
        ([("t", "pow", "a", 2.0), ("r", "neg", "t")], "-a ** 2"),
        ([("r", "pow", "a", -2.0)], "a ** -2.0"),
        ([("r", "pow", "a", 2.5)], "a ** 2.5"),
        ([("r", "pow", "a", 65.0)], "a ** 65.0"),
        ([("r", "pow", -2.0, "a")], "(-2.0) ** a"),
        ([("t", "pow", "a", "b"), ("r", "pow", "t", "c")], "(a ** b) ** c"),
        ([("t", "mul", "b", "c"), ("r", "div", "a", "t")], "a / (b * c)"),
        ([("r", "mul", "a", -0.0)], "a * -0.0"),
        ([("r", "add", "a", float("-inf"))], "a - np.inf"),
        ([("r", "add", "a", float("nan"))], "a + np.nan"),
        ([("t", "lt", "a", "b"), ("r", "mul", "t", "c")], "where(a < b, 1.0, 0.0) * c"),
        ([("t", "lt", "a", "b"), ("r", "where", "t", "c", "a")], "where(a < b, c, a)"),
        ([("r", "where", "a", "b", "c")], "where(a != 0.0, b, c)"),
        (
            [
                ("s", "lt", "a", "b"),
                ("t", "lt", "b", "c"),
                ("u", "eq", "s", "t"),
                ("r", "abs", "u"),
            ],
            "abs(where((a < b) == (b < c), 1.0, 0.0))",
        ),
        (
            [
                ("s", "lt", "a", "b"),
                ("t", "logical_not", "c"),
                ("u", "logical_and", "s", "t"),
                ("v", "logical_not", "u"),
                ("r", "where", "v", "b", "c"),
            ],
            "where(not (a < b) & (c == 0.0), b, c)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_expressions(statements, expected):
    assert expression(*statements) == expected
    names = {"a": -1.5, "b": 2.0, "c": 0.25}
    program = straight(statements)
    agree(program, {name: names[name] for name in arguments_of(program)}, strict=True)


def test_a_truth_value_stays_one_where_that_is_all_it_is():
    program = straight(
        [("t", "gt", "a", 0.0), ("u", "where", "t", "a", "b"), ("v", "where", "t", "b", "u")], "v"
    )
    assert body_of(program) == "t1 = a > 0.0\nreturn where(t1, b, where(t1, a, b))\n"


def test_what_the_user_named_has_a_line():
    program = straight([("t", "mul", "a", "b"), ("r", "add", "t", "c")], kinds={"t": local("area")})
    assert body_of(program) == "return a * b + c\n"
    named = program._replace(
        body=(program.body[0]._replace(site=0), program.body[1]), sites=(("f.py", 2, "area"),)
    )
    assert body_of(named) == "# f.py:2\narea = a * b\nreturn area + c\n"


def test_an_expression_is_not_moved_past_a_write_to_what_it_reads():
    first = Affine(0)
    program = Program(
        {"a": Buffer((), "input"), "g": array(2, kind="output"), "t": LOCAL, "r": LOCAL},
        (
            Assign(Ref("g", (first,)), "copy", (1.0,)),
            Assign(Ref("t"), "add", (Ref("g", (first,)), Ref("a"))),
            Assign(Ref("g", (first,)), "copy", (2.0,)),
            Assign(Ref("r"), "mul", (Ref("t"), Ref("a"))),
        ),
        Ref("r"),
    )
    assert body_of(program) == "g[0] = 1.0\nt1 = g[0] + a\ng[0] = 2.0\nreturn t1 * a\n"


def test_two_expressions_that_read_what_is_written():
    g = [Ref("g", (Affine(k),)) for k in range(2)]
    program = Program(
        {
            "a": Buffer((), "input"),
            "g": array(2, kind="output"),
            "t": LOCAL,
            "u": LOCAL,
            "r": LOCAL,
        },
        (
            Loop("i", Affine(2), (Assign(Ref("g", (I,)), "copy", (1.0,)),)),
            Assign(Ref("t"), "add", (g[0], Ref("a"))),
            Assign(Ref("u"), "sub", (g[1], Ref("a"))),
            Loop("i", Affine(2), (Accumulate(Ref("g", (I,)), 2.0),)),
            Assign(Ref("r"), "mul", (Ref("t"), Ref("u"))),
        ),
        Ref("r"),
    )
    lines = body_of(program).splitlines()
    assert lines[2:4] == ["t1 = g[0] + a", "t2 = g[1] - a"]
    assert lines[-1] == "return t1 * t2"
    agree(program, {"a": 3.0}, strict=False)


def test_an_element_is_loaded_again_after_a_write():
    first = Ref("g", (Affine(0),))
    program = Program(
        {"g": array(2, kind="output"), "r": LOCAL, "t": LOCAL},
        (
            Assign(first, "copy", (3.0,)),
            Assign(Ref("t"), "mul", (first, first)),
            Loop("i", Affine(2), (Assign(Ref("g", (I,)), "copy", (5.0,)),)),
            Assign(Ref("r"), "sub", (first, Ref("t"))),
        ),
        Ref("r"),
    )
    assert body_of(program).endswith("return g[0] - g_0 * g_0\n")
    agree(program, {}, strict=False)


def test_an_expression_is_not_moved_into_a_loop():
    program = Program(
        {"a": Buffer((), "input"), "g": array(2, kind="output"), "t": LOCAL},
        (
            Assign(Ref("t"), "exp", (Ref("a"),)),
            Loop("i", Affine(2), (Assign(Ref("g", (I,)), "copy", (Ref("t"),)),)),
        ),
        0.0,
    )
    assert body_of(program) == "t1 = np.exp(a)\nfor i in range(2):\n    g[i] = t1\nreturn 0.0\n"


def test_a_long_expression_is_split():
    names = [f"quantity{k}" for k in range(12)]
    chain = [(f"t{k}", "add", f"t{k - 1}" if k else "quantity0", names[k]) for k in range(12)]
    text = body_of(straight(chain, "t11"))
    assert len(text.splitlines()) > 1
    assert all(len(line) <= 84 for line in text.splitlines())
    deep = [(f"t{k}", "exp", f"t{k - 1}" if k else "a") for k in range(10)]
    assert body_of(straight(deep, "t9")).count("exp") == 10
    assert len(body_of(straight(deep, "t9")).splitlines()) == 2


def test_an_element_is_loaded_once():
    x, y = Ref("x", (I,)), Ref("x", (I.plus(1),))
    program = Program(
        {"x": array(5), "g": array(5, kind="output"), "a": LOCAL, "b": local("x0"), "c": LOCAL},
        (
            Loop(
                "i",
                Affine(4),
                (
                    Assign(Ref("b"), "copy", (x,)),
                    Assign(Ref("a"), "mul", (y, y)),
                    Assign(Ref("g", (I,)), "add", (Ref("a"), x)),
                    Assign(Ref("c"), "mul", (Ref("g", (I,)), Ref("b"))),
                    Assign(Ref("g", (I,)), "mul", (Ref("g", (I,)), Ref("c"))),
                    Accumulate(Ref("g", (I,)), Ref("b")),
                ),
            ),
        ),
        0.0,
    )
    assert body_of(program) == textwrap.dedent("""\
        for i in range(4):
            x0 = x[i]
            x_next = x[i + 1]
            g[i] = x_next * x_next + x0
            g_i = g[i]
            g[i] = g_i * (g_i * x0)
            g[i] += x0
        return 0.0
        """)


def test_add_up_is_for_sums_over_the_innermost_loop():
    def lines(*body):
        buffers = {
            "x": array(3),
            "u": array(3, kind="output"),
            "s": local("s"),
            "p": array(3, kind="output"),
        }
        start = Assign(Ref("s"), "copy", (0.0,))
        program = Program(buffers, (start, Loop("i", Affine(3), body)), Ref("s"))
        assert "add_up" not in printed(program, strict=True).text
        assert ("add_up" in printed(program).helpers) == ("add_up" in printed(program).text)
        return body_of(program)

    term = Ref("x", (I,))
    assert "s = add_up(s, x[i])" in lines(Accumulate(Ref("s"), term))
    assert "u[0] = add_up(u[0], x[i])" in lines(Accumulate(Ref("u", (Affine(),)), term))
    assert "u[i] += x[i]" in lines(Accumulate(Ref("u", (I,)), term))
    running = Accumulate(Ref("s"), term), Assign(Ref("p", (I,)), "copy", (Ref("s"),))
    assert "s += x[i]" in lines(*running)
    fresh = Assign(Ref("s"), "copy", (1.0,)), Accumulate(Ref("s"), term)
    assert "s += x[i]" in lines(*fresh)


def test_names():
    labels = ["lambda", "lambda", "h", "h", "h2", "np", "i", "W['a']", "", "exp", "x1", "x1", "7th"]
    targets = [f"v{k}" for k in range(len(labels))]
    body = [Assign(Ref(target), "exp", (Ref("a"),)) for target in targets]
    # Read twice, so that each keeps its line.
    body += [Assign(Ref("r"), "mul", (Ref(target), Ref(target))) for target in targets]
    loop = Loop("anything", Affine(2), tuple(body))
    buffers = {"a": Buffer((), "input"), "r": local("r")}
    buffers |= {t: local(label) for t, label in zip(targets, labels, strict=True)}
    text = body_of(Program(buffers, (loop,), Ref("r")))
    assert text.splitlines()[0] == "for j in range(2):"
    found = [line.split()[0] for line in text.splitlines() if line.endswith("exp(a)")]
    assert found == [
        *("lambda_", "lambda2", "h", "h3", "h2", "np_", "i", "W_a", "t1", "exp2", "x1", "x1_2"),
        "_7th",
    ]


def test_views_of_what_is_not_a_vector():
    program = Program(
        {
            "A": array(4, 6),
            "flat": array(24, views="A"),
            "part": array(2, 3, views="A", offset=6),
            "row": array(3, views="part", offset=3),
            "one": Buffer((), "input", views="part", offset=5),
            "same": array(4, 6, views="A"),
            "unused": array(2, views="A"),
            "s": LOCAL,
        },
        (
            Assign(Ref("s"), "copy", (Ref("flat", (Affine(1),)),)),
            *(
                Accumulate(Ref("s"), Ref(name, tuple(map(Affine, place))))
                for name, place in {"part": (1, 2), "row": (0,), "one": (), "same": (3, 5)}.items()
            ),
        ),
        Ref("s"),
    )
    assert body_of(program) == textwrap.dedent("""\
        flat = A.reshape(24)
        part = A.reshape(-1)[6:12].reshape(2, 3)
        row = A.reshape(-1)[9:12]
        same = A
        total = flat[1]
        total += part[1, 2]
        total += row[0]
        total += A[1, 5]
        total += same[3, 5]
        return total
        """)
    agree(program, {"A": np.arange(24.0).reshape(4, 6)}, strict=False)


def test_tables_become_constants():
    numbers = np.array([0.1, np.inf, -np.inf, np.nan, -2.0, 1e-300] * 3)
    program = Program(
        {
            "weights": array(2, 3, kind="table"),
            "wide": array(18, kind="table"),
            "n": array(3, kind="table", dtype="i8"),
            "c": Buffer((), "table"),
            "unused": array(3, kind="table"),
            "t": LOCAL,
            "r": LOCAL,
        },
        (
            Assign(Ref("t"), "mul", (Ref("weights", (Affine(1), Affine(2))), Ref("c"))),
            Assign(
                Ref("r"),
                "add",
                (Ref("t"), Ref("wide", (Affine(0, ((Ref("n", (Affine(1),)), 1),)),))),
            ),
        ),
        Ref("r"),
        {
            "weights": np.arange(6.0).reshape(2, 3),
            "wide": numbers,
            "n": np.array([3, 0, 1]),
            "c": np.array(0.5),
            "unused": np.zeros(3),
        },
    )
    source = printed(program)
    lines = source.text.splitlines()
    assert "weights = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).reshape(2, 3)" in lines
    assert "n = np.array([3, 0, 1], dtype=np.int64)" in lines
    assert "c = 0.5" in lines
    first = (
        "        0.1, np.inf, -np.inf, np.nan, -2.0, 1e-300, 0.1, np.inf, -np.inf, np.nan, -2.0,"
    )
    start = lines.index("wide = np.array(")
    assert lines[start + 1] == "    [" and lines[start + 2].startswith(first)
    assert max(map(len, lines)) <= 100 and "unused" not in source.text
    namespace = {}
    exec(source.text, namespace)
    np.testing.assert_array_equal(namespace["wide"], numbers)
    assert execute(source)() == 2.6


def test_integers_are_converted_where_they_are_numbers():
    program = Program(
        {"m": Buffer((), "input", "i8"), "n": array(3, dtype="i8"), "x": array(3), "r": LOCAL},
        (
            Assign(Ref("r"), "div", (Ref("m"), Ref("n", (Affine(1),)))),
            Accumulate(Ref("r"), Ref("x", (Affine(0, ((Ref("m"), 1),)),))),
        ),
        Ref("r"),
    )
    assert body_of(program) == "total = float(m) / float(n[1])\ntotal += x[m]\nreturn total\n"


def test_a_subtraction_is_printed_as_one():
    program = Program(
        {"a": Buffer((), "input"), "g": Buffer((), "output"), "t": LOCAL},
        (
            Assign(Ref("g"), "copy", (0.0,)),
            Assign(Ref("t"), "neg", (Ref("a"),)),
            Accumulate(Ref("g"), Ref("t")),
        ),
        Ref("g"),
    )
    assert body_of(program) == "g[()] = 0.0\ng[()] -= a\nreturn g[()]\n"


def test_many_parameters_and_an_awkward_header():
    names = [f"parameter_number_{k}" for k in range(12)]
    program = Program({name: Buffer((), "input") for name in names}, (), 1.0)
    header = 'A """quoted""" \\path.\n\nMore.'
    source = printed(program, header=header)
    namespace = {}
    exec(source.text, namespace)
    assert namespace["__doc__"] == header
    assert max(map(len, source.text.splitlines())) <= 100
    assert execute(source)(*range(12)) == 1.0


def test_empty_loops():
    program = Program({}, (Loop("i", Affine(3), ()),), 0.0)
    assert body_of(program) == "for i in range(3):\n    pass\nreturn 0.0\n"


# --- powers --------------------------------------------------------------------------------------


def powers_in_a_loop(exponent, strict=False):
    buffers = {"x": Buffer((9,), "input"), "out": Buffer((9,), "output")}
    at = (Affine.index("i"),)
    body = Assign(Ref("out", at), "pow", (Ref("x", at), exponent))
    program = Program(buffers, (Loop("i", Affine(9), (body,)),), 0.0)
    return emit(program, name="kernel", arguments=["x", "out"], strict=strict)


@pytest.mark.parametrize(
    ("exponent", "text"),
    [
        (3.0, "x[i] ** 3"),
        (64.0, "x[i] ** 64"),
        (65.0, "power(x[i], 65.0)"),
        (0.5, "x[i] ** 0.5"),
        (-0.5, "1.0 / x[i] ** 0.5"),
        (1.5, "power(x[i], 1.5)"),
        (-2.0, "power(x[i], -2.0)"),
    ],
)
def test_powers_in_loops(exponent, text):
    source = powers_in_a_loop(exponent)
    assert f"out[i] = {text}\n" in source.text
    assert ("import power" in source.text) == ("power" in text)
    assert "power(" not in powers_in_a_loop(exponent, strict=True).text
    assert "import" not in powers_in_a_loop(exponent, strict=True).text


@pytest.mark.parametrize("exponent", [3.0, 0.5, -0.5, 1.5, -2.0, -3.0, 65.0])
def test_powers_in_loops_are_right_at_the_edges(exponent):
    namespace = {}
    exec(powers_in_a_loop(exponent).text, namespace)
    kernel = numba.njit(error_model="numpy", fastmath={"contract"})(namespace["kernel"])
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -1.7, 1.7, 1e-310, 1e300])
    out = np.empty(9)
    kernel(x, out)
    with np.errstate(all="ignore"):
        expected = np.array([math.nan if np.isnan(at) else c_pow(at, exponent) for at in x])
    np.testing.assert_allclose(out, expected, rtol=1e-15)
    zero = expected == 0.0
    np.testing.assert_array_equal(np.signbit(out[zero]), np.signbit(expected[zero]))


def c_pow(x, y):
    """C's pow, where Python raises."""
    try:
        return math.pow(x, y)
    except OverflowError:
        return math.inf * (math.copysign(1.0, x) if y % 2 == 1 else 1.0)
    except ValueError:
        if x != 0.0:
            return math.nan
        return math.copysign(math.inf, x) if y % 2 == 1 else math.inf


def test_a_variable_called_power_gets_out_of_the_way():
    @jitgrad.compile
    def loss(power, x):
        return np.sum(x**power * power)

    power, x = np.linspace(0.5, 1.5, 20), np.linspace(1.0, 2.0, 20)
    value, gradient = loss.value_and_grad(power, x)
    assert value == pytest.approx(np.sum(x**power * power), rel=1e-14)
    expected = x**power * (1.0 + power * np.log(x))
    np.testing.assert_allclose(gradient, expected, rtol=1e-13)

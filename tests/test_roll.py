"""Rolling is tested on tapes recorded from plain Python functions."""

from __future__ import annotations

import random
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitgrad.roll import (
    CONST,
    NONE,
    Item,
    Repeat,
    Statement,
    count_statements,
    instances,
    roll,
)

INPUTS = -(1 << 60)


class Tape:
    """Records one row for each operation on its numbers."""

    def __init__(self, with_sites: bool = True) -> None:
        self.symbols: list[int] = []
        self.operands: list[tuple[int, int]] = []
        self.sites: list[int] = []
        self.names: dict[str, int] = {}
        self.inputs = 0
        self.with_sites = with_sites

    def input(self) -> Number:
        self.inputs += 1
        return Number(self, INPUTS + self.inputs)

    def vector(self, n: int) -> list[Number]:
        return [self.input() for _ in range(n)]

    def matrix(self, n: int, m: int) -> list[list[Number]]:
        return [self.vector(m) for _ in range(n)]

    def emit(self, name: str, a: Any, b: Any = None) -> Number:
        frame = sys._getframe(2)
        self.symbols.append(self.names.setdefault(name, len(self.names)))
        self.operands.append((self.code(a), NONE if b is None else self.code(b)))
        self.sites.append(frame.f_lineno if self.with_sites else 0)
        return Number(self, (len(self.symbols) - 1) << 32)

    @staticmethod
    def code(x: Any) -> int:
        return x.code if isinstance(x, Number) else CONST

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        operands = np.array(self.operands, np.int64).reshape(-1, 2)
        return np.array(self.symbols, np.int64), operands, np.array(self.sites, np.int64)

    def roll(self, gathers: bool = False) -> tuple[Item, ...]:
        return checked(*self.columns(), gathers)


class Number:
    __slots__ = ("code", "tape")

    def __init__(self, tape: Tape, code: int) -> None:
        self.tape, self.code = tape, code

    def __add__(self, other: Any) -> Number:
        return self.tape.emit("add", self, other)

    def __radd__(self, other: Any) -> Number:
        return self.tape.emit("add", other, self)

    def __sub__(self, other: Any) -> Number:
        return self.tape.emit("sub", self, other)

    def __mul__(self, other: Any) -> Number:
        return self.tape.emit("mul", self, other)

    def __rmul__(self, other: Any) -> Number:
        return self.tape.emit("mul", other, self)

    def __truediv__(self, other: Any) -> Number:
        return self.tape.emit("div", self, other)

    def __neg__(self) -> Number:
        return self.tape.emit("neg", self)

    def relu(self) -> Number:
        return self.tape.emit("relu", self)

    def log(self) -> Number:
        return self.tape.emit("log", self)

    def sin(self) -> Number:
        return self.tape.emit("sin", self)


def checked(
    symbols: np.ndarray, operands: np.ndarray, sites: np.ndarray, gathers: bool = False
) -> tuple[Item, ...]:
    """Roll, and check all that must hold of any result."""
    tree = roll(symbols, operands, sites, gathers)
    leaves = instances(tree)
    visited = np.concatenate([leaf.positions for leaf in leaves] or [np.zeros(0, np.int64)])
    assert np.array_equal(np.sort(visited), np.arange(len(symbols)))
    for leaf in leaves:
        assert (symbols[leaf.positions] == leaf.symbol).all()
        assert (np.diff(leaf.positions) > 0).all()
        assert leaf.indices.shape == (len(leaf.positions), len(leaf.path))
    if len(symbols) <= 100_000:
        assert list(execute(tree)) == symbols.tolist()
    assert_extents(tree, ())
    return tree


def execute(items: tuple[Item, ...], indices: tuple[int, ...] = ()) -> Any:
    """What a tree means, in plain Python: the symbols in execution order."""
    for item in items:
        if isinstance(item, Statement):
            yield item.symbol
        else:
            base, *steps = item.extent
            count = base + sum(c * i for c, i in zip(steps, indices, strict=True))
            assert count >= 0
            for i in range(count):
                yield from execute(item.body, (*indices, i))


def assert_extents(items: tuple[Item, ...], above: tuple[int, ...]) -> None:
    for item in items:
        if isinstance(item, Repeat):
            assert len(item.extent) == 1 + len(above)
            assert item.body
            assert_extents(item.body, (*above, 0))


def shape(items: tuple[Item, ...]) -> list[Any]:
    """Extents and numbers of leaves: [2, ((10,), [1])] is two leaves and a loop of one."""
    out: list[Any] = []
    for item in items:
        if isinstance(item, Repeat):
            out.append((item.extent, shape(item.body)))
        elif out and isinstance(out[-1], int):
            out[-1] += 1
        else:
            out.append(1)
    return out


def affine(tree: tuple[Item, ...], operands: np.ndarray) -> float:
    """The share of operand slots whose code, itself or relative, is affine but for first visits."""
    good = total = 0
    for leaf in instances(tree):
        inner = (leaf.indices > 0).all(axis=1)
        design = np.column_stack([np.ones(inner.sum()), leaf.indices[inner]]).astype(float)
        for slot in operands[leaf.positions[inner]].T:
            total += 1
            shifts = (0, leaf.positions[inner] << 32)
            good += any(fits(design, slot - shift) for shift in shifts)
    return good / max(1, total)


def fits(design: np.ndarray, values: np.ndarray) -> bool:
    if len(values) == 0 or (values == values[0]).all():
        return True
    target = (values - values[0]).astype(float)
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    return bool(np.abs(design @ solution - target).max() <= 1e-6 * np.abs(target).max())


# ---- programs ----


def dot_with_bias(t: Tape, n: int) -> None:
    w, x, s = t.vector(n), t.vector(n), t.input()
    for i in range(n):
        s = s + w[i] * x[i]


def mlp(t: Tape, points: int, hidden: int = 16) -> None:
    """micrograd's demo loss: layers of 2, hidden, hidden, 1; hinge losses; regularisation."""
    sizes = [2, hidden, hidden, 1]
    layers = [[(t.vector(n), t.input()) for _ in range(m)] for n, m in pairwise(sizes)]

    def neuron(w: list[Number], b: Number, x: list[Any], last: bool) -> Number:
        act = b
        for wi, xi in zip(w, x, strict=True):
            act = act + wi * xi
        return act if last else act.relu()

    scores = []
    for _ in range(points):
        x: list[Any] = t.vector(2)
        for depth, layer in enumerate(layers):
            x = [neuron(w, b, x, depth == 2) for w, b in layer]
        scores.append(x[0])
    losses = [(1 + -y * score).relu() for y, score in zip(t.vector(points), scores, strict=True)]
    data = sum(losses) * (1.0 / len(losses))
    penalty = sum(p * p for layer in layers for w, b in layer for p in [*w, b])
    data + 1e-4 * penalty


def garch(t: Tape, n: int) -> None:
    omega, alpha, beta, r = t.input(), t.input(), t.input(), t.vector(n)
    h, total = omega / (1.0 + -alpha * beta), 0.0
    for x in r:
        total = total + (h.log() + x * x / h)
        h = omega + alpha * (x * x) + beta * h


def rhs(p: list[Number], x: Number, y: Number) -> tuple[Number, Number]:
    dx = p[0] * x - p[1] * x * y
    dy = p[2] * x * y - p[3] * y
    return dx, dy


def rk4(t: Tape, steps: int) -> None:
    p, x, y, h = t.vector(4), t.input(), t.input(), 0.01
    for _ in range(steps):
        a, b = rhs(p, x, y)
        c, d = rhs(p, x + 0.5 * h * a, y + 0.5 * h * b)
        e, f = rhs(p, x + 0.5 * h * c, y + 0.5 * h * d)
        g, k = rhs(p, x + h * e, y + h * f)
        x = x + h / 6 * (a + 2 * c + 2 * e + g)
        y = y + h / 6 * (b + 2 * d + 2 * f + k)


def matmul(t: Tape, n: int) -> None:
    a, b = t.matrix(n, n), t.matrix(n, n)
    for i in range(n):
        for j in range(n):
            s: Any = 0.0
            for k in range(n):
                s = s + a[i][k] * b[k][j]


def pair_energy(t: Tape, e: Any, p: list[Number], q: list[Number]) -> Any:
    d = [p[k] - q[k] for k in range(3)]
    r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    s2 = 1.0 * (1.0 * r2).log()
    s6 = s2 * s2 * s2
    s12 = s6 * s6
    v = (s12 - s6) * 4.0
    w = v * 2.0 + s6
    return e + (v + w * w * 0.5)


def pairs(
    t: Tape, n: int, growing: bool = False, before: bool = False, after: bool = False
) -> None:
    x, e = t.matrix(n, 3), t.input()
    for i in range(n):
        if before:
            e = e + (x[i][0] * x[i][1]).sin()
        for j in range(i) if growing else range(i + 1, n):
            e = pair_energy(t, e, x[i], x[j])
        if after:
            e = e * 2.0 + x[i][2].log()


# ---- tests ----


def rolled(program: Any, *args: Any, **kwargs: Any) -> tuple[Tape, tuple[Item, ...]]:
    t = Tape()
    program(t, *args, **kwargs)
    return t, t.roll()


def test_empty_and_short() -> None:
    assert Tape().roll() == ()
    assert shape(rolled(dot_with_bias, 2)[1]) == [4]
    assert shape(rolled(dot_with_bias, 3)[1]) == [((3,), [2])]


def test_dot_product_with_bias() -> None:
    assert shape(rolled(dot_with_bias, 100)[1]) == [((100,), [2])]


def test_micrograd_mlp() -> None:
    t, tree = rolled(mlp, 100)
    assert len(t.symbols) > 65_000
    assert shape(tree) == [
        ((100,), [((16, 0), [5]), ((16, 0), [((16, 0, 0), [2]), 1]), ((16, 0), [2])]),
        ((100,), [4]),
        ((100,), [1]),
        1,
        ((337,), [2]),
        2,
    ]
    assert count_statements(tree) == 28
    assert affine(tree, t.columns()[1]) == 1


def test_garch() -> None:
    t, tree = rolled(garch, 5000)
    assert shape(tree) == [4, ((5000,), [10])]
    assert affine(tree, t.columns()[1]) == 1


def test_rk4_with_a_helper() -> None:
    t, tree = rolled(rk4, 1000)
    assert shape(tree) == [((1000,), [((3, 0), [12]), 22])]  # the last three calls are a loop
    assert affine(tree, t.columns()[1]) == 1


def test_matrix_product() -> None:
    t, tree = rolled(matmul, 24)
    assert shape(tree) == [((24,), [((24, 0), [((24, 0, 0), [2])])])]
    assert affine(tree, t.columns()[1]) == 1


@pytest.mark.parametrize("growing", [False, True])
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("n", [6, 50])
def test_pairs(growing: bool, before: bool, after: bool, n: int) -> None:
    t, tree = rolled(pairs, n, growing=growing, before=before, after=after)
    pair = [((3, 0, 0), [1]), 19]
    if before or after:
        inner = ((0, 1) if growing else (n - 1, -1), pair)
        assert shape(tree) == [((n,), [3] * before + [inner] + [3] * after)]
    else:
        assert shape(tree) == [((n - 1,), [((1, 1) if growing else (n - 1, -1), pair)])]
    assert affine(tree, t.columns()[1]) == 1


@pytest.mark.parametrize(
    "program, args, count",
    [
        (mlp, (100,), 28),
        (garch, (5000,), 15),
        (rk4, (1000,), 36),
        (matmul, (24,), 5),
        (pairs, (50, False, True, True), 36),
        (pairs, (50, True, True, True), 36),
    ],
)
def test_without_sites(program: Any, args: Any, count: int) -> None:
    t = Tape(with_sites=False)
    program(t, *args)
    assert count_statements(t.roll()) <= count


def rotated(t: Tape, n: int) -> None:
    x, y, s = t.vector(n), t.vector(n), t.input()
    s = s * 0.5
    for i in range(n):
        u = x[i] + s
        v = u + y[i]
        s = v * 0.5


def test_body_begins_where_the_source_steps_back() -> None:
    t, tree = rolled(rotated, 50)
    assert shape(tree) == [1, ((50,), [3])]
    assert instances(tree)[1].symbol == t.names["add"]
    t = Tape(with_sites=False)
    rotated(t, 50)
    assert shape(t.roll()) == [((50,), [3]), 1]


def test_rotated_pairs() -> None:
    def program(t: Tape, n: int) -> None:
        x, e = t.vector(n), t.input()
        e = e.log()
        for i in range(n):
            for j in range(i + 1, n):
                e = e + x[i] * x[j]
            e = e.log()

    assert shape(rolled(program, 30)[1]) == [1, ((30,), [((29, -1), [2]), 1])]


def test_loops_in_time() -> None:
    """A triangular nest inside a loop, three deep, and accumulators running through all of it."""

    def program(t: Tape, n: int, steps: int) -> None:
        x, e = t.matrix(n, n), t.input()
        for _ in range(steps):
            for i in range(n):
                for j in range(i):
                    for k in range(j, n):
                        e = e + x[i][k] * x[j][k]
            e = e.sin()

    _, tree = rolled(program, 10, 20)
    assert shape(tree) == [((20,), [((9, 0), [((1, 0, 1), [((10, 0, 0, -1), [2])])]), 1])]


def test_accumulator_through_a_double_loop() -> None:
    def program(t: Tape, n: int) -> None:
        x, s = t.matrix(n, n), 0.0
        for i in range(n):
            for j in range(n):
                s = s + x[i][j] * x[j][i]

    t, tree = rolled(program, 12)
    assert shape(tree) == [((12,), [((12, 0), [2])])]
    assert affine(tree, t.columns()[1]) == 1


def test_shorter_period_wins() -> None:
    def program(t: Tape, n: int) -> None:
        x = t.vector(n)
        for i in range(0, n, 2):
            x[i].log()
            x[i + 1].log()

    assert shape(rolled(program, 40)[1]) == [((40,), [1])]


def test_operands_out_of_step_are_left_straight() -> None:
    def program(t: Tape, order: list[int]) -> None:
        x = t.vector(len(order))
        for i in order:
            x[i].log()

    assert shape(rolled(program, [0, 1, 3, 4, 6, 7, 0, 5, 5])[1]) == [((3,), [2]), 3]
    assert shape(rolled(program, [i * i for i in range(5)] + [1] * 12)[1]) == [5, ((12,), [1])]


def test_gathers() -> None:
    def program(t: Tape, n: int) -> None:
        x, w, s, rng = t.vector(1000), t.vector(8), t.input(), random.Random(0)
        for _ in range(n):
            start = rng.randrange(900)
            for j in range(8):
                s = s + x[start + j] * w[j]
            s = s.relu() + x[rng.randrange(900)]

    t, straight = rolled(program, 100)
    assert count_statements(straight) == 500
    assert shape(t.roll(gathers=True)) == [((100,), [((8, 0), [2]), 2])]
    t, tree = rolled(matmul, 5)
    assert t.roll(gathers=True) == tree


@pytest.mark.parametrize("symbols, inputs", [(20, 1000), (1, 1000), (2, 2), (1, 2)])
def test_incompressible(symbols: int, inputs: int) -> None:
    rng = np.random.default_rng(0)
    n = 20_000
    begin = time.perf_counter()
    tree = checked(
        rng.integers(0, symbols, n),
        rng.integers(INPUTS, INPUTS + inputs, (n, 2)),
        rng.integers(0, 100, n),
    )
    assert time.perf_counter() - begin < 10
    assert count_statements(tree) > n // 4


def test_symbols_repeat_but_operands_do_not() -> None:
    """Long bodies that look alike all the way and never match must not cost quadratic time."""
    rng = np.random.default_rng(0)
    body, n = 500, 40_000
    operands = np.tile(np.arange(INPUTS, INPUTS + body), n // body)[:, None].repeat(2, axis=1)
    operands[:: body // 2, 0] = rng.integers(INPUTS, 0, len(operands[:: body // 2]))
    begin = time.perf_counter()
    checked(np.tile(rng.integers(0, 5, body), n // body), operands, np.arange(n) % body)
    assert time.perf_counter() - begin < 10


# ---- random nested loops ----


def random_program(seed: int, t: Tape) -> None:
    """Loops to a depth of three, with extents that may depend on outer indices."""
    rng = random.Random(seed)
    inputs, state = t.vector(1000), t.vector(3)

    def make(depth: int) -> list[Any]:
        return [
            make_loop(depth) if depth < 3 and rng.random() < 0.4 else make_statement(depth)
            for _ in range(rng.randint(1, 4))
        ]

    def make_loop(depth: int) -> Any:
        steps = [rng.choice([0, 0, 0, 1, -1]) for _ in range(depth)]
        return "loop", rng.randint(0, 7), steps, make(depth + 1)

    def make_statement(depth: int) -> Any:
        return (
            "do",
            rng.choice("abc"),
            rng.randint(0, 2),
            [rng.choice([0, 1, 10]) for _ in range(depth)],
            rng.randint(0, 99),
            rng.randint(0, 2),
        )

    def run(body: list[Any], indices: tuple[int, ...]) -> None:
        for what, *rest in body:
            if what == "loop":
                base, steps, inner = rest
                extent = base + sum(a * b for a, b in zip(steps, indices, strict=True))
                for i in range(extent):
                    run(inner, (*indices, i))
            else:
                name, s, steps, base, target = rest
                element = inputs[base + sum(a * b for a, b in zip(steps, indices, strict=True))]
                state[target] = t.emit(name, state[s], element)

    run(make(0), ())


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9), st.booleans(), st.booleans())
def test_random_programs(seed: int, with_sites: bool, gathers: bool) -> None:
    t = Tape(with_sites)
    random_program(seed, t)
    t.roll(gathers)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(-8, 8), st.integers(0, 3)), max_size=60),
    st.booleans(),
)
def test_any_tape(rows: list[tuple[int, int, int]], gathers: bool) -> None:
    symbols = np.array([row[0] for row in rows], np.int64)
    operands = [[INPUTS + b if b < 0 else max(0, p - b) << 32] for p, (_, b, _) in enumerate(rows)]
    checked(
        symbols,
        np.array(operands, np.int64).reshape(-1, 1),
        np.array([row[2] for row in rows], np.int64),
        gathers,
    )


def seconds(program: Any, *args: Any) -> tuple[int, float]:
    t = Tape()
    program(t, *args)
    columns = t.columns()
    begin = time.perf_counter()
    checked_tree = roll(*columns)
    spent = time.perf_counter() - begin
    assert count_statements(checked_tree) < 100
    return len(t.symbols), spent


@pytest.mark.slow
@pytest.mark.parametrize(
    "program, small, large",
    [(garch, 10_000, 100_000), (mlp, 150, 1500), (matmul, 37, 80), (pairs, 92, 290)],
)
def test_linear_time(program: Any, small: int, large: int) -> None:
    (n, once), (m, more) = seconds(program, small), seconds(program, large)
    assert m > 900_000
    assert more < 2
    assert more < 3 * (once + 0.05) * m / n

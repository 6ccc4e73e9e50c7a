"""The decorator and what it returns: every way to call it, every kind of argument."""

import collections
import dataclasses
import functools
import inspect
import random
import re

import numpy as np
import pytest

import jitgrad
from jitgrad import Value
from jitgrad.dag import GraphNode
from jitgrad.nn import MLP

A, B = np.array([1.0, -2.0, 0.5]), np.array([0.5, 3.0, -1.0])


def traces(function):
    """How often a compiled function was traced."""
    return int(re.search(r"(\d+) traced", repr(function)).group(1))


def same(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-14, strict=True)


# --- ways to call it -----------------------------------------------------------------------------


def dot(a, b, scale=2.0):
    return scale * np.sum(a * a * b)


@pytest.fixture(scope="module")
def compiled_dot():
    return jitgrad.compile(dot)


def test_value_gradient_and_both(compiled_dot):
    assert compiled_dot(A, B) == dot(A, B)
    value, gradient = compiled_dot.value_and_grad(A, B)
    assert type(value) is float and value == dot(A, B)
    same(gradient, 4.0 * A * B)
    same(compiled_dot.grad(A, B), gradient)


def test_decorator_with_and_without_options():
    @jitgrad.compile
    def bare(x):
        """Bare."""
        return x * x

    @jitgrad.compile(argnums=1)
    def second(x, y):
        return x * y * y

    assert bare.grad(3.0) == 6.0
    assert second.grad(2.0, 3.0) == 12.0
    assert (bare.__name__, bare.__doc__) == ("bare", "Bare.")
    assert list(inspect.signature(second).parameters) == ["x", "y"]
    assert repr(bare) == "<jitgrad.compile(bare), 1 traced>"


@pytest.mark.parametrize(
    "argnums, wanted",
    [
        (0, 4.0 * A * B),
        (1, 2.0 * A * A),
        (-1, 2.0 * A * A),
        ((0, 1), (4.0 * A * B, 2.0 * A * A)),
        ((1, 0), (2.0 * A * A, 4.0 * A * B)),
        ([0], (4.0 * A * B,)),
        ((-1, -2), (2.0 * A * A, 4.0 * A * B)),
    ],
)
def test_argnums(argnums, wanted):
    gradient = jitgrad.compile(dot, argnums=argnums).grad(A, B)
    assert type(gradient) is type(wanted)
    for found, part in zip(np.atleast_2d(gradient), np.atleast_2d(wanted), strict=True):
        same(found, part)


def test_arguments_by_keyword_and_by_place_are_one_signature():
    fun = jitgrad.compile(dot, argnums=(0, 1))
    first = fun.grad(A, B)
    second = fun.grad(b=B, a=A)
    third = fun.grad(A, b=B)
    for one, other, another in zip(first, second, third, strict=True):
        same(one, other)
        same(one, another)
    assert traces(fun) == 1
    assert fun(A, B, scale=3.0) == pytest.approx(1.5 * fun(A, B))
    assert fun(A, B, 3.0) == fun(A, scale=3.0, b=B)


def test_calls_by_keyword_take_the_straight_way_too(monkeypatch):
    fun = jitgrad.compile(dot)
    wanted = fun.value_and_grad(A, b=B, scale=2.0), fun(A, b=B, scale=2.0)
    monkeypatch.setattr(fun, "_trace", None)  # the general way would fail now
    value, gradient = fun.value_and_grad(A, scale=2.0, b=B)
    assert value == wanted[0][0] == wanted[1] == fun(scale=2.0, b=B, a=A)
    same(gradient, wanted[0][1])


@pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "int32", "uint8", "uint16", "uint32"])
def test_bools_and_short_integers_take_the_straight_way_too(dtype, monkeypatch):
    weights, zeros = np.arange(12).reshape(3, 4).astype(dtype), np.zeros((3, 4), dtype)
    x = np.linspace(-1.0, 1.0, 12).reshape(3, 4)
    fun = jitgrad.compile(lambda x, weights: np.sum(weights * x))
    fun.value_and_grad(x, weights)
    monkeypatch.setattr(fun, "_trace", None)  # the general way would fail now
    for given in (weights, zeros, np.asfortranarray(weights), weights[::-1]):
        value, gradient = fun.value_and_grad(x, given)
        assert value == pytest.approx(np.sum(given * x), abs=1e-15)
        np.testing.assert_array_equal(gradient, given)


def test_short_integers_of_the_surroundings_are_read_at_each_call():
    labels = np.array([True, False, True])
    fun = jitgrad.compile(lambda x: np.sum(np.where(labels, x, 2.0 * x)))
    for place in (0, 1, 1, 2):
        labels[place] = not labels[place]
        np.testing.assert_array_equal(fun.grad(np.ones(3)), np.where(labels, 1.0, 2.0))


def test_positional_only_arguments():
    def fun(x, /, y, **options):
        return x * y * options.get("x", 1.0)

    assert jitgrad.compile(fun, argnums=(0, 1)).grad(2.0, y=3.0, x=5.0) == (15.0, 10.0)


def test_keyword_only_and_variable_arguments():
    def fun(x, *more, power=2, **options):
        return sum(x * m for m in more) ** power * options.get("scale", 1.0)

    compiled = jitgrad.compile(fun, argnums=(0, 2))
    assert compiled.value_and_grad(2.0, 3.0, 4.0) == (196.0, (196.0, 56.0))
    assert compiled(2.0, 3.0, 4.0, power=1, scale=0.5) == 7.0
    assert compiled.lower(2.0, 3.0, 4.0, scale=0.5).arguments == ("x", "more0", "more1", "scale")


def test_a_default_array_is_read_at_each_call():
    data = np.array([1.0, 2.0, 3.0])

    def fun(w, x=data, rate=0.5):
        return rate * np.sum(w * x)

    compiled = jitgrad.compile(fun)
    assert compiled(2.0) == 6.0
    data[0] = 11.0
    assert compiled(2.0) == 16.0
    assert compiled(2.0, np.ones(3)) == 3.0
    assert compiled(2.0, rate=1.0) == 32.0
    assert traces(compiled) == 2  # with rate static in the first, traced in the other


def test_method_partial_lambda_and_callable_object():
    class Model:
        def __init__(self, power):
            self.power = power

        @jitgrad.compile
        def decorated(self, w, x):
            return np.sum((w * x) ** self.power)

        def method(self, w, x):
            return np.sum((w * x) ** self.power)

        def __call__(self, w, x):
            return self.method(w, x) + 1.0

    square, cube = Model(2), Model(3)
    wanted = 2.0 * A * B * B
    same(square.decorated.grad(A, B), wanted)
    same(square.decorated.value_and_grad(A, B)[1], wanted)
    same(cube.decorated.grad(A, B), 3.0 * A**2 * B**3)
    assert square.decorated is square.decorated
    assert Model.decorated(square, A, B) == square.method(A, B)
    same(jitgrad.compile(square.method).grad(A, B), wanted)
    same(jitgrad.compile(square).grad(A, B), wanted)
    assert jitgrad.compile(square)(A, B) == square(A, B)
    same(jitgrad.compile(functools.partial(dot, scale=3.0)).grad(A, B), 6.0 * A * B)
    same(jitgrad.compile(lambda a: np.sum(a * a)).grad(A), 2.0 * A)


def test_what_a_partial_holds_is_read_at_each_call_and_not_counted():
    held = A.copy()
    fun = jitgrad.compile(functools.partial(dot, held, scale=1.0))
    same(fun.grad(B), A * A)
    held[:] = 2.0
    same(fun.grad(B), np.full(3, 4.0))
    assert fun(b=B) == pytest.approx(4.0 * B.sum())


def test_compiled_functions_nest_and_recur():
    @jitgrad.compile
    def inner(x):
        return x * x

    @jitgrad.compile
    def power(x, n):
        return x * power(x, n - 1) if n else 1.0

    assert jitgrad.compile(lambda x: inner(x) + inner(2.0 * x)).grad(3.0) == 30.0
    assert power.value_and_grad(2.0, 5) == (32.0, 80.0)


def test_data_of_a_nested_compiled_function_is_an_input():
    data = np.ones(3)
    inner = jitgrad.compile(lambda x: np.sum(x * data))
    outer = jitgrad.compile(lambda x: 2.0 * inner(x))
    assert outer(3.0) == 18.0
    data[0] = 2.0
    assert outer(3.0) == 24.0
    assert traces(outer) == 1


def test_strict_keeps_the_order_of_evaluation():
    x = np.random.default_rng(0).normal(size=1000)

    def fun(x):
        total = 0.0
        for i in range(len(x)):
            total = total + x[i] * 0.1
        return total

    assert jitgrad.compile(fun, strict=True)(x) == fun(x)


# --- auxiliary output ----------------------------------------------------------------------------


def test_auxiliary_output_of_every_kind():
    labels = np.array([1, 2])

    def fun(x, n):
        h = np.tanh(x)
        aux = {
            "h": h,
            "first": h[0],
            "many": h > 0,
            "one": h[0] > 0,
            "list": [h[1:], (n, "name", None)],
            "plain": labels * n,
            "python": 2.5,
        }
        return np.sum(h), aux

    compiled = jitgrad.compile(fun, has_aux=True)
    (value, aux), gradient = compiled.value_and_grad(A, 3)
    h = np.tanh(A)
    assert value == pytest.approx(h.sum(), rel=1e-14)
    same(gradient, 1.0 - h * h)
    same(aux["h"], h)
    assert type(aux["first"]) is float and aux["first"] == pytest.approx(h[0])
    assert aux["many"].dtype == bool and aux["many"].tolist() == [True, False, True]
    assert aux["one"] is True
    same(aux["list"][0], h[1:])
    assert aux["list"][1] == (3, "name", None)
    assert aux["plain"].tolist() == [3, 6] and aux["python"] == 2.5
    assert compiled(A, 3)[1].keys() == aux.keys()
    again, other = compiled.grad(A, 3)
    same(again, gradient)
    assert other["h"] is not aux["h"] and other["plain"] is not aux["plain"]


def test_auxiliary_output_may_be_the_arguments_or_nothing():
    compiled = jitgrad.compile(lambda x, y: (x * y, (x, y, ())), has_aux=True)
    assert compiled.value_and_grad(2.0, 3) == ((6.0, (2.0, 3, ())), 3.0)
    assert jitgrad.compile(lambda x: (x, None), has_aux=True)(1.0) == (1.0, None)


# --- kinds of arguments --------------------------------------------------------------------------


def square_sum(x):
    return np.sum(x * x)


@pytest.fixture(scope="module")
def squares():
    return jitgrad.compile(square_sum)


@pytest.mark.parametrize("number", [3, 3.0, np.float64(3.0), np.float32(3.0), np.int32(3)])
def test_scalars_in_a_differentiated_place_are_floats(squares, number):
    value, gradient = squares.value_and_grad(number)
    assert (value, gradient) == (9.0, 6.0)
    assert type(value) is type(gradient) is float


def test_static_arguments_retrace_where_they_change():
    def fun(x, n, flag, name, nothing):
        for _ in range(n):
            x = x * 2.0
        return x if flag and name == "on" and nothing is None else -x

    compiled = jitgrad.compile(fun)
    assert compiled.grad(1.0, 3, True, "on", None) == 8.0
    assert compiled.grad(2.0, 3, True, "on", None) == 8.0
    assert traces(compiled) == 1
    assert compiled.grad(1.0, 4, True, "on", None) == 16.0
    assert compiled.grad(1.0, 4, False, "on", None) == -16.0
    assert compiled.grad(1.0, 4, True, "off", None) == -16.0
    assert compiled.grad(1.0, 4, True, "on", ()) == -16.0
    assert compiled.grad(1.0, np.int64(4), True, "on", None) == 16.0  # its type may count
    assert traces(compiled) == 6
    assert compiled.grad(1.0, 1, True, "on", None) == 2.0
    assert compiled.grad(1.0, True, True, "on", None) == 2.0  # 1 == True, but not the same type
    assert traces(compiled) == 8


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">f8"])
def test_gradients_are_of_the_arguments_type(squares, dtype):
    x = np.array([0.1, 0.2, 0.3]).astype(dtype)
    value, gradient = squares.value_and_grad(x)
    wide = x.astype(float)
    assert value == pytest.approx(np.sum(wide * wide), rel=1e-15 if x.itemsize == 8 else 1e-7)
    assert gradient.dtype == x.dtype
    same(gradient, (2.0 * wide).astype(dtype))


@pytest.mark.parametrize("dtype", ["i1", "u2", "i4", "i8", "u8", "?"])
def test_integers_in_a_differentiated_place_are_floats(squares, dtype):
    x = np.array([0, 1, 3]).astype(dtype)
    value, gradient = squares.value_and_grad(x)
    same(gradient, 2.0 * x.astype(float))
    assert value == np.sum(x.astype(float) ** 2)


def test_integers_and_truth_values_are_data():
    def fun(w, counts, mask):
        return np.sum(np.where(mask, w * counts, -w))

    compiled = jitgrad.compile(fun)
    counts, mask = np.array([2, 3, 4], dtype=np.int16), np.array([True, False, True])
    same(compiled.grad(A, counts, mask), np.array([2.0, -1.0, 4.0]))
    same(compiled.grad(A, counts * 2, ~mask), np.array([-1.0, 6.0, -1.0]))
    assert traces(compiled) == 1
    inverted = jitgrad.compile(lambda w, mask: np.sum(np.where(~mask, w, 0.0)))
    same(inverted.grad(A, mask), np.array([0.0, 1.0, 0.0]))


@pytest.mark.parametrize("where", ["argument", "closure"])
def test_integer_arrays_are_indices(where):
    w = np.arange(12.0).reshape(4, 3)
    index = np.array([2, 0, 0, -1])

    def fun(w, index):
        return np.sum(w[index] * np.arange(4.0)[:, None])

    compiled = jitgrad.compile(fun if where == "argument" else lambda w: fun(w, index))
    given = (index,) if where == "argument" else ()
    wanted = np.zeros((4, 3))
    np.add.at(wanted, index, np.arange(4.0)[:, None])
    same(compiled.grad(w, *given), wanted)
    index[:] = [1, 1, 2, 3]
    value, gradient = compiled.value_and_grad(w, *given)
    wanted[:] = 0.0
    np.add.at(wanted, index, np.arange(4.0)[:, None])
    same(gradient, wanted)
    assert value == fun(w, index) and traces(compiled) == 1
    index[1] = 4
    with pytest.raises(IndexError, match="indices from 1 to 4"):
        compiled.value_and_grad(w, *given)


def test_integer_elements_are_indices():
    def fun(w, index):
        total = 0.0
        for k in range(len(index)):
            total = total + w[index[k]] * k
        return total

    index = np.array([2, 0, 0, 1])
    same(jitgrad.compile(fun).grad(A, index), np.array([3.0, 3.0, 0.0]))


def test_layouts_of_memory(squares):
    base = np.random.default_rng(1).normal(size=(4, 6))
    unaligned = np.frombuffer(b"x" + base.tobytes(), dtype=float, offset=1).reshape(4, 6)
    frozen = base.copy()
    frozen.flags.writeable = False
    views = [
        base,
        np.asfortranarray(base),
        base.T,
        base[::2, ::-1],
        unaligned,
        frozen,
        np.broadcast_to(base[0], (5, 6)),
        base[:, 1],
    ]
    for x in [*views, *views]:  # the second time in a straight way, where there is one
        value, gradient = squares.value_and_grad(x)
        assert value == pytest.approx(np.sum(x * x), rel=1e-14)
        same(gradient, 2.0 * x)
        assert gradient.flags.c_contiguous and gradient.flags.writeable


def test_arrays_without_dimensions_or_elements(squares):
    value, gradient = squares.value_and_grad(np.array(3.0))
    assert value == 9.0 and gradient.shape == () and gradient == 6.0
    assert squares.grad(np.array(3.0, dtype=np.float32)).dtype == np.float32
    assert squares.value_and_grad(np.array(3))[0] == 9.0
    for shape in [(0,), (0, 3), (2, 0)]:
        value, gradient = squares.value_and_grad(np.ones(shape))
        assert value == 0.0 and gradient.shape == shape
    assert np.isnan(jitgrad.compile(lambda x: np.mean(x))(np.ones(0)))


def test_nan_and_infinity_propagate(squares):
    x = np.array([np.nan, np.inf, -np.inf, 1.0])
    value, gradient = squares.value_and_grad(x)
    assert np.isnan(value)
    np.testing.assert_array_equal(gradient, 2.0 * x)
    log = jitgrad.compile(lambda x: np.sum(np.log(x)))
    value, gradient = log.value_and_grad(np.array([0.0, 1.0]))
    assert value == -np.inf
    np.testing.assert_array_equal(gradient, [np.inf, 1.0])
    assert np.isnan(log(np.array([-1.0, 1.0])))


def test_shapes_are_traced_once_each(squares):
    fun = jitgrad.compile(square_sum)
    for shape in [(3,), (4,), (2, 2), (3,), (2, 2)]:
        same(fun.grad(np.ones(shape)), np.full(shape, 2.0))
    assert traces(fun) == 3


Pair = collections.namedtuple("Pair", "w b")


def test_containers_keep_their_structure():
    def fun(p):
        return np.sum(p["net"][0].w * A) * p["net"][0].b + p["net"][1] ** 2 + sum(p["rest"])

    params = {
        "net": (Pair(B, 2.0), 3),
        "rest": [0.5, 1.0],
        "name": "n",
        "flag": True,
        "none": None,
        "empty": {},
        "ordered": collections.OrderedDict(z=1.0, a=2.0),
    }
    fun = jitgrad.compile(fun)
    for _ in range(2):
        value, gradient = fun.value_and_grad(params)
        assert value == np.sum(B * A) * 2.0 + 9.0 + 1.5
        assert list(gradient) == list(params)
        pair, six = gradient["net"]
        assert type(pair) is Pair and type(gradient["net"]) is tuple
        same(pair.w, 2.0 * A)
        assert pair.b == pytest.approx(np.sum(B * A)) and six == 6.0
        assert gradient["rest"] == [1.0, 1.0]
        assert gradient["name"] is gradient["flag"] is gradient["none"] is None
        assert gradient["empty"] == {}
        assert gradient["ordered"] == collections.OrderedDict(z=0.0, a=0.0)


def test_order_of_keys_does_not_matter():
    fun = jitgrad.compile(lambda p: p["a"] * 2.0 + p["b"] * 3.0)
    assert fun.grad({"a": 1.0, "b": 1.0}) == {"a": 2.0, "b": 3.0}
    second = fun.grad({"b": 1.0, "a": 1.0})
    assert second == {"a": 2.0, "b": 3.0}
    third = fun.grad({"b": 1.0, "a": 5})
    assert third == {"a": 2.0, "b": 3.0}
    with pytest.raises(KeyError):
        fun.grad({"a": 1.0})


def test_a_long_list_of_numbers_is_one_array():
    rows = [[0.1 * i, 0.2 * i] for i in range(100)]
    weights = tuple(float(i) for i in range(100))

    def fun(weights, rows):
        return sum(w * x * y for w, (x, y) in zip(weights, rows, strict=True))

    compiled = jitgrad.compile(fun, argnums=(0, 1))
    assert compiled.lower(weights, rows).program.statements < 20
    value, (for_weights, for_rows) = compiled.value_and_grad(weights, rows)
    assert value == pytest.approx(fun(weights, rows))
    assert type(for_weights) is tuple and type(for_rows[0]) is list
    assert for_weights == pytest.approx([x * y for x, y in rows])
    assert for_rows[3] == pytest.approx([3.0 * 0.6, 3.0 * 0.3])
    changed = [[2.0 * x, y] for x, y in rows]
    assert compiled(weights, changed) == pytest.approx(2.0 * value)
    assert traces(compiled) == 1


def test_dataclasses_and_other_objects_are_static():
    @dataclasses.dataclass(frozen=True)
    class Config:
        power: int

    fun = jitgrad.compile(lambda x, config: x**config.power)
    two, three = Config(2), Config(3)
    assert [fun.grad(2.0, two), fun.grad(2.0, three), fun.grad(3.0, two)] == [4.0, 12.0, 6.0]
    assert traces(fun) == 2


def test_unused_arguments_and_constant_losses_have_zero_gradients():
    fun = jitgrad.compile(lambda x, y: y * y, argnums=(0, 1))
    value, (gx, gy) = fun.value_and_grad(A, 3.0)
    assert value == 9.0 and gy == 6.0
    same(gx, np.zeros(3))
    assert jitgrad.compile(lambda x: 7).value_and_grad(2.0) == (7.0, 0.0)
    same(jitgrad.compile(lambda x: np.float32(2.0)).grad(A), np.zeros(3))
    assert jitgrad.compile(lambda x: x).value_and_grad(2.0) == (2.0, 1.0)
    same(jitgrad.compile(lambda x: x[1]).grad(A), np.array([0.0, 1.0, 0.0]))
    assert jitgrad.compile(lambda: 2.5)() == 2.5


def test_one_array_in_two_places():
    fun = jitgrad.compile(lambda x, y: np.sum(x * y), argnums=(0, 1))
    for _ in range(2):
        gx, gy = fun.grad(A, A)
        same(gx, A)
        same(gy, A)
        assert not np.shares_memory(gx, gy)


def test_arguments_are_not_modified_and_results_are_fresh(squares):
    x = A.copy()
    first, second = squares.grad(x), squares.grad(x)
    same(x, A)
    assert not np.shares_memory(first, second) and not np.shares_memory(first, x)
    params = {"w": A.copy()}

    def fun(p):
        p["w"] = p["w"] * 2.0
        return np.sum(p["w"])

    jitgrad.compile(fun).grad(params)
    same(params["w"], A)


# --- Values --------------------------------------------------------------------------------------


def more_ops(a, b):
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    return g


def test_micrograds_example():
    eager = Value(-4.0), Value(2.0)
    more_ops(*eager).backward()
    fun = jitgrad.compile(more_ops, argnums=(0, 1))
    a, b = Value(-4.0), Value(2.0)
    g = fun(a, b)
    g.backward()
    assert [f"{x:.4f}" for x in (g.data, a.grad, b.grad)] == ["24.7041", "138.8338", "645.5773"]
    assert (a.grad, b.grad) == pytest.approx((eager[0].grad, eager[1].grad), rel=1e-14)
    value, gradients = fun.value_and_grad(-4.0, 2.0)
    assert (value, *gradients) == pytest.approx((g.data, a.grad, b.grad), rel=1e-14)
    assert g._prev == {a, b} and g._op == "more_ops"


def test_backward_accumulates_as_micrograd_does():
    a, b = Value(3.0), Value(2.0, requires_grad=False)
    fun = jitgrad.compile(lambda a, b: a * a * b)
    out = fun(a, b)
    (out * 10.0).backward()
    assert (a.grad, b.grad) == (120.0, 0)
    assert fun.backward(a, b) == 18.0
    assert a.grad == 132.0
    a.zero_grad()
    a.data = 1.0
    assert fun.backward(a, b) == 2.0
    assert (a.grad, b.grad) == (4.0, 0)


def test_values_and_numbers_mix():
    fun = jitgrad.compile(lambda a, x, n: a * np.sum(x) ** n, argnums=1)
    a = Value(2.0)
    out = fun(a, A, 2)
    out.backward()
    assert out.data == pytest.approx(2.0 * A.sum() ** 2)
    assert a.grad == pytest.approx(A.sum() ** 2)
    value, gradient = fun.value_and_grad(a, A, 2)
    assert type(value) is float
    same(gradient, np.full(3, 4.0 * A.sum()))
    assert type(fun(2.0, A, 2)) is float


def test_array_values():
    w, x = Value(A), Value(B, requires_grad=False)
    fun = jitgrad.compile(lambda w: np.sum(np.tanh(w * x)))
    fun(w).backward()
    same(w.grad, B * (1.0 - np.tanh(A * B) ** 2))
    assert fun.backward(w) == pytest.approx(np.tanh(A * B).sum())
    same(w.grad, 2.0 * B * (1.0 - np.tanh(A * B) ** 2))
    assert isinstance(x.grad, int) and x.grad == 0
    x.data = np.zeros(3)
    assert fun(w).data == 0.0


def model_and_loss():
    random.seed(1)
    model = MLP(2, [4, 1])

    def loss(X, y):
        scores = [model(list(map(Value, row))) for row in X]
        losses = [(1 + -yi * score).relu() for yi, score in zip(y, scores, strict=True)]
        data_loss = sum(losses) * (1.0 / len(losses))
        total = data_loss + 1e-2 * sum(p * p for p in model.parameters())
        right = [(yi > 0) == (score.data > 0) for yi, score in zip(y, scores, strict=True)]
        return total, sum(right) / len(right)

    rng = np.random.default_rng(2)
    return model, loss, rng.normal(size=(20, 2)), rng.choice([-1, 1], size=20)


def test_a_captured_model_in_micrograds_words():
    model, loss, X, y = model_and_loss()
    eager, accuracy = loss(X, y)
    eager.backward()
    wanted = [p.grad for p in model.parameters()]
    fun = jitgrad.compile(loss, has_aux=True)
    model.zero_grad()
    out, found = fun(X, y)
    out.backward()
    assert out.data == pytest.approx(eager.data, rel=1e-13) and found == accuracy
    assert [p.grad for p in model.parameters()] == pytest.approx(wanted, rel=1e-12, abs=1e-15)
    for times in (2, 3):  # at the third call in a straight way
        assert fun.backward(X, y) == (pytest.approx(eager.data, rel=1e-13), accuracy)
        grads = [p.grad for p in model.parameters()]
        assert grads == pytest.approx([times * g for g in wanted], rel=1e-12, abs=1e-15)
    for p in model.parameters():
        p.data -= 0.1 * p.grad
    assert fun(X, y)[0].data == pytest.approx(loss(X, y)[0].data, rel=1e-13)
    assert traces(fun) == 1


def test_frozen_parameters_receive_nothing():
    model, loss, X, y = model_and_loss()
    frozen = model.layers[0].parameters()
    for p in frozen:
        p.requires_grad = False
    fun = jitgrad.compile(loss, has_aux=True)
    for _ in range(2):
        fun.backward(X, y)
    assert all(p.grad == 0 for p in frozen)
    assert any(p.grad != 0 for p in model.layers[1].parameters())
    frozen[0].requires_grad = True  # seen at the next call
    fun.backward(X, y)
    assert frozen[0].grad != 0


def test_captured_values_may_change_their_shape():
    w, v = Value(A), Value(2.0)
    fun = jitgrad.compile(lambda x: np.sum(w * v) * x)
    for _ in range(2):
        assert fun.backward(3.0) == pytest.approx(6.0 * A.sum())
    w.data = np.ones(5)
    w.zero_grad()
    assert fun.backward(3.0) == 30.0
    w.zero_grad()
    v.zero_grad()
    w.data, v.data = np.ones((2, 2)), np.array([1.0, 2.0])
    fun(3.0).backward()
    same(w.grad, np.full((2, 2), [3.0, 6.0]))
    assert traces(fun) == 1


def test_the_gradient_flows_on_into_eager_history():
    fun = jitgrad.compile(lambda x: scaled * x * x)
    for step in (lambda: fun(2.0).backward(), lambda: fun.backward(2.0)):
        w = Value(3.0)
        scaled = w * w
        step()
        assert (scaled.grad, w.grad) == (4.0, 24.0)
    v = Value(2.0)
    fun.backward(v * v)
    assert v.grad == pytest.approx(2 * 9.0 * 4.0 * 4.0)
    array = Value(A)
    jitgrad.compile(lambda x: np.sum(x * x)).backward(array * 2.0)
    same(array.grad, 8.0 * A)


def test_a_value_made_inside_is_a_constant_and_of_a_traced_one_traced():
    fun = jitgrad.compile(lambda x: Value(3.0) * x + Value(x) * Value(x))
    assert fun.value_and_grad(2.0) == (10.0, 7.0)
    assert fun.value_and_grad(5.0) == (40.0, 13.0)
    assert traces(fun) == 1


def test_data_inside_is_detached():
    w = Value(3.0)
    fun = jitgrad.compile(lambda x: x.data * x + w.data * x)
    assert fun.value_and_grad(2.0) == (10.0, 5.0)
    w.data = 4.0
    assert fun.value_and_grad(2.0) == (12.0, 6.0)


# --- looking inside ------------------------------------------------------------------------------


def test_lower_shows_every_stage():
    w = Value(0.5)

    def fun(x, n):
        total = 0.0
        for i in range(n):
            total = total + w * x[i] * bias[0]
        return np.exp(total)

    bias = np.array([2.0])
    compiled = jitgrad.compile(fun)
    low = compiled.lower(A, 3)
    assert len(low.tape) == len(low.graph) == len(low.graph.nodes) == 10
    assert low.arguments == ("x", "bias", "parameters")
    assert low.program.statements < low.gradient_program.statements < 20
    with open(low.path) as file:
        assert file.read() == low.source == compiled.source
    assert set(low.timings) >= {"trace", "roll", "lower", "adjoint", "emit", "compile"}
    given, parameters = low.captured_arrays()
    same(given, bias)
    same(parameters, np.array([0.5]))
    gradient = np.full(1, np.nan)
    assert low.kernel(A, bias, parameters, gradient) == pytest.approx(np.exp(A.sum()))
    w.data = 1.0
    same(low.captured_arrays()[1], np.array([1.0]))


def test_source_is_that_of_the_latest_specialisation():
    fun = jitgrad.compile(square_sum)
    fun.grad(np.ones(3))
    assert "range(3)" in fun.source
    fun.grad(np.ones(4))
    assert "range(4)" in fun.source and "range(3)" not in fun.source
    fun.grad(np.ones(3))
    fun.lower(np.ones(5))
    assert "n = x.shape[0]" in fun.source  # for 5 and for 4


def test_graph():
    w, z = Value(0.5), Value(0.25)

    def fun(x, y):
        h = x[1, 0] * 2.0 + z * w
        return h + np.sum(x * y)

    graph = jitgrad.compile(fun).lower(np.ones((2, 2)), 3.0).graph
    here, line = __file__, fun.__code__.co_firstlineno
    assert graph.inputs == (("parameters", (2,)), ("x", (2, 2)), ("y", ()))
    assert list(graph) == [
        GraphNode(0, "mul", ("x[1, 0]", 2.0), (), f"{here}:{line + 1}"),
        GraphNode(1, "mul", ("parameters[1]", "parameters[0]"), (), f"{here}:{line + 1}"),
        GraphNode(2, "add", (0, 1), (), f"{here}:{line + 1}"),
        GraphNode(3, "mul", ("x", "y"), (2, 2), f"{here}:{line + 2}"),
        GraphNode(4, "sum", (3,), (2, 2), f"{here}:{line + 2}"),
        GraphNode(5, "add", (2, 4), (), f"{here}:{line + 2}"),
    ]
    assert graph[-1] == graph.nodes[5] and graph[1:3] == graph.nodes[1:3]
    text = str(graph).replace(here, "test_compile.py").splitlines()
    assert text[0] == "6 nodes over parameters[2], x[2, 2], y"
    assert text[1] == f"%0 = mul(x[1, 0], 2.0)  # test_compile.py:{line + 1}"
    assert text[4] == f"%3 = mul[2, 2](x, y)  # test_compile.py:{line + 2}"
    assert repr(graph) == "<Graph of 6 nodes>"


def test_a_long_graph_is_shown_in_part():
    def fun(x):
        for _ in range(1000):
            x = x * x
        return x

    lines = str(jitgrad.compile(fun).lower(0.5).graph).splitlines()
    assert len(lines) == 42 and lines[21] == "... 960 more ..."
    assert lines[-1].startswith("%999 = mul(%998, %998)")

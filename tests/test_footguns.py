"""One test for each surprise a user can meet, the silent ones first.

What a loss reads outside its arguments is either seen at the next call or listed in the docstring
of `jitgrad.compile`.
"""

import math
import re
import types

import numpy as np
import pytest

import jitgrad
from jitgrad import Value
from jitgrad.errors import DataDependentError, TraceError
from jitgrad.graph import active
from jitgrad.outside import Outside, global_names
from jitgrad.places import Place

X = np.array([1.0, 2.0, 3.0])


def traces(function):
    return int(re.search(r"(\d+) traced", repr(function)).group(1))


def twice(function, *args):
    """The value by both ways that a call can take."""
    first, second = (function.value_and_grad(*args)[0] for _ in range(2))
    assert first == second == function(*args)
    return first


# --- globals and closures are read at each call --------------------------------------------------


def test_globals_changed_in_place_and_bound_anew():
    module = types.ModuleType("user")
    exec(
        "import numpy as np\n"
        "def loss(w):\n"
        "    return rate * np.sum(w * data) + sum(w[i] for i in range(count))\n",
        vars(module),
    )
    fun = jitgrad.compile(module.loss)  # before there are any of its globals
    module.rate, module.data, module.count = 0.5, np.ones(3), 1
    w = np.array([1.0, 2.0, 3.0])
    assert twice(fun, w) == 4.0
    module.data[0] = 3.0
    assert twice(fun, w) == 5.0
    module.data = np.zeros(3)
    assert twice(fun, w) == 1.0
    module.rate = 2.0
    module.data[:] = 1.0
    assert twice(fun, w) == 13.0
    assert traces(fun) == 1
    module.count = 3  # a static number: traced again
    assert twice(fun, w) == 18.0
    assert traces(fun) == 2
    module.data = np.float32(2.0)  # another type
    assert twice(fun, w) == 30.0
    module.data = None
    with pytest.raises(TypeError, match="NoneType"):
        fun(w)
    module.data = 1
    del module.rate
    with pytest.raises(NameError):
        fun(w)
    assert active.tape is None


def test_closure_cells_and_comprehensions():
    scale, data = 2.0, np.ones(3)

    def loss(w):
        inner = [scale * w[i] * data[i] for i in range(len(data))]
        return sum(inner) + (lambda: scale)()

    fun = jitgrad.compile(loss)
    w = np.array([1.0, 2.0, 3.0])
    assert twice(fun, w) == loss(w) == 14.0
    data[0] = 2.0
    assert twice(fun, w) == loss(w)
    scale = 3.0
    assert twice(fun, w) == loss(w)
    assert traces(fun) == 1
    data = np.ones(2)
    assert twice(fun, w) == loss(w)


def test_containers_of_data_around_the_loss():
    held = {"a": np.ones(3), "b": [1.0, 2.0], "n": 2, "name": "t", "empty": []}

    def loss(w):
        extra = sum(held["empty"], 0.0)
        return w ** held["n"] * (np.sum(held["a"]) + held["b"][0]) + extra

    fun = jitgrad.compile(loss)
    assert twice(fun, 2.0) == loss(2.0) == 16.0
    held["a"][1] = 5.0
    held["b"][0] = 0.0
    assert twice(fun, 2.0) == loss(2.0)
    held["b"] = [0.25, 1.0]
    assert twice(fun, 2.0) == loss(2.0)
    assert traces(fun) == 1
    held["n"] = 3
    assert twice(fun, 2.0) == loss(2.0)
    held["empty"].append(1.5)
    assert twice(fun, 2.0) == loss(2.0)
    held["a"] = np.ones((2, 3))
    assert twice(fun, 2.0) == loss(2.0)


def test_a_long_list_around_the_loss_is_one_array():
    prices = [float(i) for i in range(300)]
    fun = jitgrad.compile(lambda w: sum(w * p for p in prices))
    assert twice(fun, 2.0) == pytest.approx(2.0 * sum(prices))
    prices[7] = 1000.0
    assert twice(fun, 2.0) == pytest.approx(2.0 * sum(prices))
    prices.append(1.0)
    assert twice(fun, 2.0) == pytest.approx(2.0 * sum(prices))


def test_helpers_and_what_they_name():
    module = types.ModuleType("user")
    exec(
        "offset = 1.0\n"
        "def helper(x): return x * factor() + offset\n"
        "def factor(): return numbers['factor']\n"
        "def loss(x): return helper(x) + (loss(x - 1.0, 0) if deep else 0.0)\n"
        "def loss(x, deep=1): return helper(x) + (loss(x - 1.0, 0) if deep else 0.0)\n"
        "numbers = {'factor': 2.0}\n",
        vars(module),
    )
    fun = jitgrad.compile(module.loss)
    assert twice(fun, 3.0) == module.loss(3.0) == 12.0
    module.offset = 2.0
    assert twice(fun, 3.0) == module.loss(3.0)
    module.numbers["factor"] = 5.0
    assert twice(fun, 3.0) == module.loss(3.0)
    assert traces(fun) == 1
    module.helper = lambda x: x * x * module.offset  # an attribute: the documented gap
    assert twice(fun, 3.0) == module.loss(3.0)
    assert traces(fun) == 2
    exec("def helper(x): return -x * offset", vars(module))
    assert twice(fun, 3.0) == module.loss(3.0)
    module.offset = 7.0
    assert twice(fun, 3.0) == module.loss(3.0)


def test_attributes_of_the_function_itself():
    held = np.ones(2)

    def loss(x):
        loss.seen += 1
        return x * np.sum(held) * loss.scale

    loss.seen, loss.scale = 0, 2.0
    assert jitgrad.compile(loss)(1.5) == 6.0
    assert loss.seen == 1


def test_assignment_to_globals_and_cells_reaches_them():
    module = types.ModuleType("user")
    exec(
        "data = 1.5\n"
        "calls = 0\n"
        "def loss(x):\n"
        "    global calls\n"
        "    calls += 1\n"
        "    return x * data\n",
        vars(module),
    )
    assert jitgrad.compile(module.loss)(2.0) == 3.0
    assert module.calls == 1
    total, calls = 0.25, 0

    def loss(x):
        nonlocal total, calls
        calls = calls + 1
        total = total + x
        return total * 2.0

    fun = jitgrad.compile(loss)
    assert fun(2.0) == 4.5
    assert calls == 1
    with pytest.raises(TraceError, match="after its trace had ended"):
        total + 1.0
    with pytest.raises(TraceError):  # what leaked is not taken for a number at the next call
        fun(2.0)


def test_the_surroundings_are_those_that_were_traced():
    """A call that changes what it depends on does not leave a straight way for the change."""
    step = 0

    def loss(x):
        nonlocal step
        step = step + 1
        return x * step

    fun = jitgrad.compile(loss)
    assert [fun.value_and_grad(1.0)[0] for _ in range(3)] == [1.0, 2.0, 3.0]


def test_names_of_attributes_and_locals_are_not_looked_up_outside():
    def loss(w):
        return w.rate + len(X) * np.sum(w)

    assert global_names(loss.__code__) == ("len", "X", "np")
    assert Outside(Place.read).of(loss).__code__ is loss.__code__


# --- arrays --------------------------------------------------------------------------------------


def test_in_place_operators_of_scalars_and_results_work():
    def loss(x, y):
        total = 0.0
        total += x
        total *= 2.0
        h = y * 2.0
        h += y
        h -= 1.0
        return total + np.sum(h)

    assert jitgrad.compile(loss).value_and_grad(3.0, X) == (loss(3.0, X), 2.0)


def test_a_number_seen_while_tracing_is_not_baked_in():
    """A comparison's outcome, seen with one number, must not be used for another."""
    fun = jitgrad.compile(lambda x: np.where(x > 0, x, -2.0 * x))
    assert [fun.value_and_grad(x) for x in (3.0, -3.0, 3.0)] == [
        (3.0, 1.0),
        (6.0, -2.0),
        (3.0, 1.0),
    ]


def test_an_array_changed_during_the_trace_is_two_constants():
    def loss(x):
        weights = np.ones(3)
        first = np.sum(x * weights)
        weights[:] = 2.0
        return first + np.sum(x * weights)

    assert jitgrad.compile(loss)(X) == 18.0


def test_constants_with_nan_are_kept_once():
    holes = np.array([1.0, np.nan, 2.0])

    def loss(x):
        known = np.array(holes)
        total = 0.0
        for i in range(3):
            total = total + np.where(np.isnan(holes)[i], 0.0, x[i] * known[i])
        return total

    def other(x):
        table = np.array([1.0, np.nan, 2.0])
        return loss(x) * 0.0 + np.sum(x[0] * table) + np.sum(x[1] * table)

    fun = jitgrad.compile(other)
    tables = [given for given in fun.lower(X).tape.inputs if given.data is not None]
    assert len(tables) == 1 and np.isnan(fun(X))


def test_an_array_of_traced_scalars():
    def loss(x):
        v = np.array([x[0] * x[1], x[2], 1.0])
        m = np.array([[x[0], 2.0], [x[1], x[2]]])
        return np.sum(v * v) + np.sum(m @ np.array([1.0, 2.0]))

    assert jitgrad.compile(loss)(X) == pytest.approx(loss(X))


def test_numpy_scalars_meet_traced_values_on_either_side():
    def loss(x):
        return np.float64(2.0) * x + x / np.float32(4.0) - np.int64(3) ** x

    assert jitgrad.compile(loss)(2.0) == pytest.approx(loss(2.0))


def test_a_global_object_array_of_values_is_captured():
    values = np.array([Value(1.0), Value(2.0)], dtype=object)
    fun = jitgrad.compile(lambda x: np.sum(values * x))
    for _ in range(2):
        fun.backward(3.0)
    assert [v.grad for v in values] == [6.0, 6.0]


def test_text_and_other_data_around_the_loss_does_no_harm():
    names = np.array(["a", "b"])
    letters, nothing, z = {"a", "b"}, None, 2j

    def loss(x):
        return x * len(names) * len(letters) * (nothing is None) * z.imag

    assert jitgrad.compile(loss)(1.5) == loss(1.5)


# --- after an error ------------------------------------------------------------------------------


def test_an_error_leaves_no_trace_behind():
    fail = True

    def loss(x):
        if fail:
            raise RuntimeError("stopped")
        return x * x

    fun = jitgrad.compile(loss)
    with pytest.raises(RuntimeError, match="stopped"):
        fun(2.0)
    assert active.tape is None
    v = Value(3.0)
    (v * v).backward()
    assert v.grad == 6.0 and traces(fun) == 0
    fail = False
    assert fun(2.0) == 4.0


def test_an_interrupted_trace_leaves_nothing_behind():
    def loss(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jitgrad.compile(loss)(2.0)
    assert active.tape is None


def test_an_error_can_be_handled_inside_the_loss():
    def loss(x):
        try:
            return float(x)
        except DataDependentError:
            return x * 2.0

    assert jitgrad.compile(loss).grad(1.0) == 2.0


def test_a_leaked_value_can_be_looked_at_but_not_used():
    kept = []
    jitgrad.compile(lambda x: kept.append(x * x) or x)(np.ones((2, 3)).sum())
    (leaked,) = kept
    assert repr(leaked) == "Value(traced scalar, op='mul')"
    assert leaked.shape == () and leaked._op == "mul"
    uses = [
        lambda: leaked + 1,
        lambda: 1 - leaked,
        lambda: leaked > 0,
        lambda: -leaked,
        lambda: np.exp(leaked),
        lambda: Value(1.0) * leaked,
        lambda: bool(leaked),
        lambda: float(leaked),
        lambda: leaked.item(),
        lambda: leaked.data,
        lambda: leaked.grad,
        lambda: leaked.backward(),
        lambda: leaked.zero_grad(),
        lambda: np.zeros(2) + leaked,
        lambda: jitgrad.compile(lambda x: x)(leaked),
    ]
    for use in uses:
        with pytest.raises(TraceError):
            use()


# --- the straight way ----------------------------------------------------------------------------


def mixed(params, x, n, flag, name):
    value = np.sum(params["w"] * x) * params["b"][0] + params["b"][1]
    return value**n if flag and name == "on" else -value


@pytest.fixture
def straightened():
    fun = jitgrad.compile(mixed)
    arguments = {"w": np.ones(3), "b": [2.0, 1.0]}, X, 2, True, "on"
    fun.value_and_grad(*arguments)
    assert len(fun._ways.gradient) == 1
    return fun, arguments


def test_the_straight_way_is_taken_and_right(straightened, monkeypatch):
    fun, (params, *rest) = straightened
    monkeypatch.setattr(fun, "_trace", None)  # the general way would fail now
    value, gradient = fun.value_and_grad(params, *rest)
    assert value == mixed(params, *rest) == 169.0
    assert gradient["b"] == [26.0 * 6.0, 26.0]
    np.testing.assert_array_equal(gradient["w"], 26.0 * 2.0 * X)
    params["w"] = params["w"] * 2.0
    params["b"][0] = 3.0
    assert fun.value_and_grad(params, *rest)[0] == mixed(params, *rest)


CHANGES = {
    "float32": lambda p, x, n, f, s: ({**p, "w": p["w"].astype("f4")}, x, n, f, s),
    "integers": lambda p, x, n, f, s: (p, x.astype(int), n, f, s),
    "bools": lambda p, x, n, f, s: (p, x > 1.5, n, f, s),
    "strided": lambda p, x, n, f, s: (p, np.repeat(x, 2)[::2], n, f, s),
    "reversed": lambda p, x, n, f, s: (p, x[::-1], n, f, s),
    "big-endian": lambda p, x, n, f, s: (p, x.astype(">f8"), n, f, s),
    "unaligned": lambda p, x, n, f, s: (
        p,
        np.frombuffer(b"x" + x.tobytes(), offset=1),
        n,
        f,
        s,
    ),
    "read-only": lambda p, x, n, f, s: (p, np.broadcast_to(2.0, 3), n, f, s),
    "shape": lambda p, x, n, f, s: (p, x.reshape(3, 1), n, f, s),
    "extent": lambda p, x, n, f, s: ({**p, "w": np.ones(2)}, x[:2], n, f, s),
    "list": lambda p, x, n, f, s: (p, x, n, f, s),
    "number": lambda p, x, n, f, s: (p, 2.0, n, f, s),
    "numpy number": lambda p, x, n, f, s: ({**p, "b": [np.float64(1.5), 1.0]}, x, n, f, s),
    "int number": lambda p, x, n, f, s: ({**p, "b": [2, 1]}, x, n, f, s),
    "tuple": lambda p, x, n, f, s: ({**p, "b": (2.0, 1.0)}, x, n, f, s),
    "longer": lambda p, x, n, f, s: ({**p, "b": [2.0, 1.0, 5.0]}, x, n, f, s),
    "more keys": lambda p, x, n, f, s: ({**p, "c": 1.0}, x, n, f, s),
    "order": lambda p, x, n, f, s: (dict(reversed(p.items())), x, n, f, s),
    "static": lambda p, x, n, f, s: (p, x, 3, f, s),
    "static float": lambda p, x, n, f, s: (p, x, 3.0, f, s),
    "static bool": lambda p, x, n, f, s: (p, x, True, f, s),
    "flag": lambda p, x, n, f, s: (p, x, n, False, s),
    "flag as int": lambda p, x, n, f, s: (p, x, n, 1, s),
    "none": lambda p, x, n, f, s: (p, x, n, None, s),
    "name": lambda p, x, n, f, s: (p, x, n, f, "off"),
    "nan": lambda p, x, n, f, s: (p, x * np.nan, n, f, s),
    "memmap": lambda p, x, n, f, s: (p, np.array(x).view(np.memmap), n, f, s),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_the_straight_way_stays_right(straightened, change):
    fun, arguments = straightened
    changed = CHANGES[change](*arguments)
    for given in (changed, arguments, changed):
        value, gradient = fun.value_and_grad(*given)
        np.testing.assert_allclose(value, mixed(*given), rtol=1e-13)
        assert gradient.keys() == given[0].keys()
        assert type(gradient["b"]) is type(given[0]["b"])
        assert gradient["w"].dtype == given[0]["w"].dtype
        assert gradient["w"].shape == given[0]["w"].shape


def test_another_type_with_the_same_fields_is_not_taken_for_a_dict(straightened):
    fun, (params, *rest) = straightened

    class Mine(dict):
        def __getitem__(self, key):
            return super().__getitem__(key) * 2.0 if key == "w" else super().__getitem__(key)

    mine = Mine(params)
    with pytest.raises((TypeError, jitgrad.JitgradError, KeyError)):
        assert fun.value_and_grad(mine, *rest)[0] == mixed(mine, *rest)
        raise KeyError  # right as well


def test_the_straight_way_looks_at_its_surroundings():
    data, power, helper = np.ones(3), 2, np.sum

    def loss(w):
        return helper(w * data) ** power

    fun = jitgrad.compile(loss)
    w = np.array([1.0, 2.0, 3.0])
    for _ in range(2):
        assert fun.value_and_grad(w)[0] == loss(w)
    assert fun._ways.gradient
    data[1] = 4.0
    assert fun.value_and_grad(w)[0] == loss(w)
    data = data.astype("f4")
    assert fun.value_and_grad(w)[0] == loss(w)
    data = 2.0
    assert fun.value_and_grad(w)[0] == loss(w)
    power = 3
    assert fun.value_and_grad(w)[0] == loss(w)
    helper = np.mean
    assert fun.value_and_grad(w)[0] == pytest.approx(loss(w))


def test_no_straight_way_through_a_trace():
    inner = jitgrad.compile(lambda x: x * x)
    inner.value_and_grad(2.0)
    with pytest.raises(jitgrad.errors.UnsupportedError):
        jitgrad.compile(lambda x: x * inner.value_and_grad(2.0)[0])(1.0)


SCALE, PRIOR = 2.0, 0.5


def test_numbers_of_the_surroundings_can_be_asked_for_and_stay_fresh():
    def loss(x):
        penalty = math.log(SCALE) if PRIOR > 0.0 else 0.0
        return x * x * SCALE + penalty * x

    compiled = jitgrad.compile(loss)
    global_names = loss.__globals__
    before = SCALE, PRIOR
    try:
        for scale, prior in (
            (2.0, 0.5),
            (2.0, 0.5),
            (3.0, 0.5),
            (3.0, -1.0),
            (2.0, -0.0),
            (2.0, 0.5),
        ):
            global_names.update(SCALE=scale, PRIOR=prior)
            for _ in range(2):
                slope = 2.0 * 1.5 * scale + (math.log(scale) if prior > 0.0 else 0.0)
                assert compiled.value_and_grad(1.5) == (loss(1.5), pytest.approx(slope))
    finally:
        global_names.update(SCALE=before[0], PRIOR=before[1])


def test_a_number_that_follows_from_an_argument_too_is_refused():
    with pytest.raises(DataDependentError, match="float"):
        jitgrad.compile(lambda x: x * float(SCALE * x))(1.0)

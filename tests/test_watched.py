"""Everything that a loss reads outside its arguments is seen when it changes: nothing is stale.

Each case makes something, compiles a loss that reads it, calls it twice, changes one thing, and
calls it twice again: the first call after a change takes the general way, the second the straight
one. What it gives is compared with what the plain function gives at that moment.
"""

import array
import collections
import dataclasses
import enum
import functools
import math
import threading
import types
import warnings
from typing import NamedTuple

import numpy as np
import pytest

import jitgrad
from jitgrad import Value, nn
from jitgrad.errors import JitgradError, TraceError, UnsupportedError

X = np.array([1.0, 2.0, 3.0])


def traces(fun):
    return len(fun._traces)


def fresh(fun, loss, *args):
    """The compiled function gives what the plain one gives, by each way that a call can take."""
    for _ in range(2):
        value, gradient = fun.value_and_grad(*args)
        assert value == pytest.approx(loss(*args), rel=1e-14)
        step = 1e-6
        if isinstance(args[0], float):
            up, down = (loss(args[0] + h, *args[1:]) for h in (step, -step))
            assert gradient == pytest.approx((up - down) / (2 * step), rel=1e-6, abs=1e-6)
        assert fun(*args) == value


def module(text, **contents):
    made = types.ModuleType("user")
    made.np, made.math = np, math
    vars(made).update(contents)
    exec(text, vars(made))
    return made


class Model:
    """A class with everything that people put into classes."""

    offset = 0.5

    def __init__(self):
        self.scale = 2.0
        self.data = np.ones(3)
        self.power = 2
        self.name = "on"
        self.parts = [1.0, 2.0]
        self.options = {"rate": 0.25, "deep": {"n": 3}}
        self.inner = types.SimpleNamespace(bias=1.5, table=np.arange(3.0))
        self.activation = np.tanh

    @property
    def doubled(self):
        return 2.0 * self.scale

    @staticmethod
    def square(x):
        return x * x * FACTOR

    @classmethod
    def shifted(cls, x):
        return x + cls.offset

    def energy(self, x):
        return self.scale * x**self.power + FACTOR

    def __call__(self, x):
        return self.energy(x) + np.sum(self.data * x)

    def __getitem__(self, n):
        return self.parts[n] * FACTOR


FACTOR = 1.25


@pytest.fixture
def factor():
    yield
    globals()["FACTOR"] = 1.25


def set_factor(_):
    globals()["FACTOR"] = 3.0


def put(**changes):
    return lambda model: vars(model).update(changes)


def change(action):
    """An action as a function of the model: what it evaluates to does not matter."""

    def call(model):
        action(model)

    return call


def fill(path, value):
    def call(model):
        target = model
        for name in path.split("."):
            target = getattr(target, name)
        target[...] = value

    return call


READS = {
    "a number": (lambda m, x: m.scale * x, put(scale=5.0)),
    "an array bound anew": (lambda m, x: np.sum(m.data) * x, put(data=np.arange(3.0))),
    "an array changed in place": (lambda m, x: np.sum(m.data * x), fill("data", 4.0)),
    "an array of another shape": (lambda m, x: np.sum(m.data) * x, put(data=np.ones((2, 5)))),
    "a whole number": (lambda m, x: x**m.power, put(power=3)),
    "a text": (lambda m, x: x if m.name == "on" else -x, put(name="off")),
    "a list": (lambda m, x: sum(m.parts) * x, change(lambda m: m.parts.append(4.0))),
    "a dict": (lambda m, x: m.options["rate"] * x, lambda m: m.options.update(rate=2.0)),
    "a dict in a dict": (
        lambda m, x: m.options["deep"]["n"] * x,
        lambda m: m.options["deep"].update(n=7),
    ),
    "an object in an object": (
        lambda m, x: m.inner.bias * x,
        lambda m: vars(m.inner).update(bias=9.0),
    ),
    "an array in an object in an object": (
        lambda m, x: np.sum(m.inner.table) * x,
        fill("inner.table", 2.0),
    ),
    "another object in an object": (
        lambda m, x: m.inner.bias * x,
        put(inner=types.SimpleNamespace(bias=-1.0)),
    ),
    "a property": (lambda m, x: m.doubled * x, put(scale=7.0)),
    "a function": (lambda m, x: m.activation(x), put(activation=np.sin)),
    "a function of the user's": (lambda m, x: m.activation(x), put(activation=lambda x: x * x)),
    "a method": (lambda m, x: m.energy(x), put(scale=-1.0, power=4)),
    "a method's globals": (lambda m, x: m.energy(x), set_factor),
    "a static method's globals": (lambda m, x: m.square(x), set_factor),
    "a call": (lambda m, x: m(x), fill("data", -2.0)),
    "a subscript": (lambda m, x: m[1] * x, set_factor),
    "an attribute of the class": (lambda m, x: m.offset * x, put(offset=8.0)),
    "a class method": (lambda m, x: m.shifted(x) * x, lambda m: setattr(type(m), "offset", 0.75)),
    "getattr": (lambda m, x: getattr(m, "sc" + "ale") * x, put(scale=0.1)),
    "vars": (lambda m, x: vars(m)["scale"] * x, put(scale=0.1)),
    "an alias": (lambda m, x: [m][0].scale * x, put(scale=0.1)),
    "what is not there yet": (
        lambda m, x: x * (m.extra if hasattr(m, "extra") else 1.0),
        put(extra=6.0),
    ),
    "what is not there any more": (
        lambda m, x: x * getattr(m, "name_of", 2.0) * (3.0 if hasattr(m, "name") else 1.0),
        lambda m: delattr(m, "name"),
    ),
    "a list of functions": (
        lambda m, x: sum(f(x) for f in getattr(m, "layers", [math.sin, m.energy])),
        put(layers=[math.cos, lambda x: x * FACTOR]),
    ),
}


@pytest.fixture
def model(factor):
    yield Model()
    Model.offset = 0.5


@pytest.mark.parametrize("name", READS)
def test_an_object_found_by_its_name(name, model):
    read, changing = READS[name]

    def loss(x):
        return read(model, x)

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    changing(model)
    fresh(fun, loss, 1.5)


@pytest.mark.parametrize("name", list(READS)[::3])
def test_an_object_that_is_an_argument(name, model):
    read, changing = READS[name]

    def loss(x, models):
        return read(models["it"][0], x)

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5, {"it": [model]})
    changing(model)
    fresh(fun, loss, 1.5, {"it": [model]})


@pytest.mark.parametrize("name", list(READS)[1::3])
def test_self_of_a_method(name, model):
    read, changing = READS[name]

    class Fit(Model):
        @jitgrad.compile
        def loss(self, x):
            return read(self, x)

        def plain(self, x):
            return read(self, x)

    fit = Fit()
    fresh(fit.loss, fit.plain, 1.5)
    changing(fit)
    fresh(fit.loss, fit.plain, 1.5)


def test_changes_of_numbers_need_no_new_trace(model):
    fun = jitgrad.compile(lambda x: model(x) + model.doubled)
    for scale in (1.0, 2.0, 3.0):
        model.scale = scale
        model.data[:] = scale
        fresh(fun, lambda x: model(x) + model.doubled, 1.5)
    assert traces(fun) == 1
    assert fun.compilations <= 2


def test_another_object_in_its_place(model):
    held = model

    def loss(x):
        return held.scale * x

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 2.0)
    held = Model()
    held.scale = -3.0
    fresh(fun, loss, 2.0)
    held.scale = -4.0
    fresh(fun, loss, 2.0)


# --- classes, modules and functions as holders ---------------------------------------------------


class Settings:
    rate = 0.5
    table = np.ones(3)

    @staticmethod
    def helper(x):
        return x * Settings.rate * FACTOR


def test_attributes_of_classes(factor):
    def loss(x):
        return Settings.rate * np.sum(Settings.table) * x + Settings.helper(x)

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    try:
        Settings.rate = 2.0
        fresh(fun, loss, 1.5)
        Settings.table[:] = 3.0
        fresh(fun, loss, 1.5)
        set_factor(None)
        fresh(fun, loss, 1.5)
        assert traces(fun) == 1
    finally:
        Settings.rate, Settings.table = 0.5, np.ones(3)


def test_modules_and_what_their_functions_name():
    other = module("def scaled(x): return x * rate + np.sum(table)", rate=2.0, table=np.ones(2))

    def loss(x):
        return other.scaled(x) * other.rate

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    other.rate = 3.0
    fresh(fun, loss, 1.5)
    other.table[0] = 5.0
    fresh(fun, loss, 1.5)
    assert traces(fun) == 1
    other.scaled = lambda x: x * x
    fresh(fun, loss, 1.5)


def test_attributes_of_functions():
    def helper(x):
        return x * helper.rate

    def loss(x):
        return helper(x) + loss.offset

    helper.rate, loss.offset = 2.0, 1.0
    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    helper.rate, loss.offset = 3.0, 4.0
    fresh(fun, loss, 1.5)


def test_defaults_of_helpers():
    table, options = np.ones(3), {"rate": 2.0}

    def helper(x, table=table, *, options=options, power=2):
        return np.sum(table) * x**power * options["rate"]

    def loss(x):
        return helper(x)

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    table[0] = 5.0
    fresh(fun, loss, 1.5)
    options["rate"] = 7.0
    fresh(fun, loss, 1.5)
    helper.__defaults__ = (np.arange(3.0),)
    fresh(fun, loss, 1.5)
    helper.__kwdefaults__["power"] = 3
    fresh(fun, loss, 1.5)


def test_what_partials_hold():
    table = np.ones(3)
    helper = functools.partial(lambda a, x, b: np.sum(a) * x * b["rate"], table, b={"rate": 2.0})

    def loss(x):
        return helper(x)

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    table[:] = 4.0
    fresh(fun, loss, 1.5)
    helper.keywords["b"]["rate"] = 5.0
    fresh(fun, loss, 1.5)


def test_the_code_of_a_helper():
    def helper(x):
        return x * x

    def loss(x):
        return helper(x)

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    helper.__code__ = (lambda x: x * x * x).__code__
    fresh(fun, loss, 1.5)


def test_functions_in_containers_and_arguments(factor):
    layers = [math.sin, lambda x: x * FACTOR]

    def loss(x, activation):
        return sum(f(x) for f in layers) + activation(x)

    fun = jitgrad.compile(loss)
    own = lambda x: x * FACTOR**2  # noqa: E731
    fresh(fun, loss, 1.5, own)
    set_factor(None)
    fresh(fun, loss, 1.5, own)
    layers[0] = math.cos
    fresh(fun, loss, 1.5, own)
    fresh(fun, loss, 1.5, math.exp)


def test_a_method_replaced_in_its_class(model):
    class Own(Model):
        def energy(self, x):
            return x

    it = Own()

    def loss(x):
        return it.energy(x) * it.scale

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    Own.energy = lambda self, x: x**3
    fresh(fun, loss, 1.5)


# --- kinds of classes ----------------------------------------------------------------------------


@dataclasses.dataclass
class Plain:
    rate: float
    data: np.ndarray

    def value(self, x):
        return self.rate * np.sum(self.data) * x * FACTOR


@dataclasses.dataclass(frozen=True)
class Frozen:
    rate: float
    data: np.ndarray

    def value(self, x):
        return self.rate * np.sum(self.data) * x * FACTOR


@dataclasses.dataclass(slots=True)
class Slotted:
    rate: float
    data: np.ndarray

    def value(self, x):
        return self.rate * np.sum(self.data) * x * FACTOR


class Derived(Plain):
    def value(self, x):
        return super().value(x) * 2.0 + FACTOR


class Registered(Plain):
    known: list[type] = []  # noqa: RUF012 - for all of its classes

    def __init_subclass__(cls, **_):
        Registered.known.append(cls)


class Dynamic:
    def __init__(self, rate, data):
        self._held = {"rate": rate, "data": data}

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._held[name]

    def value(self, x):
        return self.rate * np.sum(self.data) * x * FACTOR


class Pair(NamedTuple):
    rate: float
    data: np.ndarray

    def value(self, x):
        return self.rate * np.sum(self.data) * x * FACTOR


@pytest.mark.parametrize("kind", [Plain, Frozen, Slotted, Derived, Registered, Dynamic, Pair])
def test_kinds_of_classes(kind, factor):
    it = kind(2.0, np.ones(3))

    def loss(x):
        return it.value(x) * (3.0 if isinstance(it, kind) else 1.0)

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    it.data[:] = 2.0
    fresh(fun, loss, 1.5)
    set_factor(None)
    fresh(fun, loss, 1.5)
    if kind in (Plain, Derived, Slotted, Registered):
        it.rate = 5.0
    fresh(fun, loss, 1.5)
    assert traces(fun) == 1
    assert Registered.known == []


def test_tuples_with_methods_go_in_and_out(factor):
    pair = Pair(2.0, np.ones(3))

    def loss(x, other):
        made = Pair(x, other.data)
        same = type(pair) is type(made) is type(other) is Pair
        return made.value(x) + pair.value(x) * other.rate, {"made": made, "same": same}

    fun = jitgrad.compile(loss, has_aux=True)
    for _ in range(2):
        (value, aux), _ = fun.value_and_grad(1.5, pair)
        assert value == loss(1.5, pair)[0]
        assert type(aux["made"]) is Pair and aux["made"].rate == 1.5 and aux["same"] is True
        set_factor(None)


class Vector:
    """Arithmetic of a user's own."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, other):
        return type(self)(self.x + other.x, self.y + other.y * FACTOR)

    def __mul__(self, k):
        return Vector(self.x * k, self.y * k)

    def __eq__(self, other):
        return isinstance(other, Vector) and (self.x, self.y) == (other.x, other.y)

    __hash__ = None

    def norm(self):
        return math.sqrt(self.x**2 + self.y**2)


def test_objects_made_in_the_loss(factor):
    shift = Vector(1.0, 2.0)

    def loss(x):
        made = Vector(x, x * x) + shift * x
        return made.norm() if type(made) is Vector and type(shift) is Vector else 0.0 * x

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    shift.y = -3.0
    fresh(fun, loss, 1.5)
    set_factor(None)
    fresh(fun, loss, 1.5)
    assert traces(fun) == 1


class Scaled:
    k = 2.0

    def __init__(self, x):
        self.x = x

    def value(self):
        return self.k * self.x


@dataclasses.dataclass(slots=True)
class Point:
    x: float

    def value(self):
        return self.x * self.x


def test_objects_made_in_the_loss_read_their_class_and_their_slots():
    def loss(x):
        return Scaled(x).value() * Point(x).value() * sum(Scaled(x).k for _ in range(2))

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    try:
        Scaled.k = 5.0
        fresh(fun, loss, 1.5)
    finally:
        Scaled.k = 2.0
    assert traces(fun) == 1


def test_identity_and_keys_of_objects(model):
    other = Model()
    rates = {model: 2.0, other: 3.0}
    chosen = {"it": model}

    def loss(x):
        it = chosen["it"]
        known = it is model or it is other
        return x * rates[it] * (1.0 if known else 0.0) * (2.0 if it is model else 5.0)

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    rates[model] = 7.0
    fresh(fun, loss, 1.5)
    chosen["it"] = other
    fresh(fun, loss, 1.5)


class Kind(enum.Enum):
    FIRST = 1
    SECOND = 2


def test_members_of_enumerations():
    holder = types.SimpleNamespace(kind=Kind.FIRST)

    def loss(x):
        return x * x if holder.kind is Kind.FIRST else -x

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    holder.kind = Kind.SECOND
    fresh(fun, loss, 1.5)


def test_exceptions_of_the_user_are_caught():
    class WrongError(ValueError):
        code = 3

    def check(x):
        raise WrongError

    def loss(x):
        try:
            return check(x)
        except WrongError:
            return x * 2.0

    assert jitgrad.compile(loss).value_and_grad(1.5) == (3.0, 2.0)


# --- other containers ----------------------------------------------------------------------------

CONTAINERS = {
    "set": (lambda: {1.0, 2.0}, lambda c: c.add(5.0), sum),
    "counter": (lambda: collections.Counter(a=1), lambda c: c.update("aab"), lambda c: c["a"]),
    "default dict": (
        lambda: collections.defaultdict(float, a=1.0),
        lambda c: c.update(a=4.0),
        lambda c: c["a"],
    ),
    "ordered dict": (
        lambda: collections.OrderedDict(a=1.0),
        lambda c: c.update(a=4.0),
        lambda c: c["a"],
    ),
    "deque": (lambda: collections.deque([1.0]), lambda c: c.append(2.0), sum),
    "array of the array module": (
        lambda: array.array("d", [1.0, 2.0]),
        lambda c: c.append(3.0),
        sum,
    ),
    "bytes that change": (lambda: bytearray(b"ab"), lambda c: c.append(9), sum),
    "a list's subclass": (
        lambda: type("Own", (list,), {})([1.0, 2.0]),
        lambda c: c.append(3.0),
        sum,
    ),
    "texts in an array": (
        lambda: np.array(["a", "b"]),
        lambda c: c.__setitem__(0, "b"),
        lambda c: float(np.sum(c == "b")),
    ),
    "complex numbers": (
        lambda: np.array([1j, 2.0]),
        lambda c: c.__setitem__(0, 5j),
        lambda c: float(np.abs(c).sum()),
    ),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_by_their_contents(name):
    make, changing, number = CONTAINERS[name]
    held = make()

    def loss(x):
        return x * number(held)

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    changing(held)
    fresh(fun, loss, 1.5)


def test_masked_arrays_are_refused_wherever_they_are():
    held = np.ma.masked_array(np.arange(3.0), [0, 0, 1])
    with pytest.raises(jitgrad.errors.ArgumentError, match="MaskedArray"):
        jitgrad.compile(lambda x: x * held.sum())(1.0)


def test_a_set_as_an_argument():
    fun = jitgrad.compile(lambda x, s: x * sum(s))
    given = {1.0}
    assert fun(2.0, given) == 2.0
    given.add(3.0)
    assert fun(2.0, given) == 8.0


# --- what cannot be read again -------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [lambda: iter([1.0, 2.0]), lambda: (x for x in [1.0, 2.0]), lambda: map(float, "12")],
    ids=["iterator", "generator", "map"],
)
def test_iterators_around_a_loss_are_refused(make):
    held = make()
    with pytest.raises(UnsupportedError, match=r"test_watched\.py.*used up"):
        jitgrad.compile(lambda x: x * next(held))(1.0)
    with pytest.raises(UnsupportedError, match=r"test_watched\.py.*used up"):
        jitgrad.compile(lambda x: x * sum(held))(1.0)


def test_the_dict_of_globals_is_refused():
    with pytest.raises(UnsupportedError, match="globals"):
        jitgrad.compile(lambda x: x * globals()["FACTOR"])(1.0)


# --- numbers that have to be known when a loss is traced -----------------------------------------

KNOWN = {
    "a mask": lambda m, x: np.sum(x * m.data[m.mask]),
    "a mask that is computed": lambda m, x: np.sum(x * m.data[m.data > 1.5]),
    "where it holds": lambda m, x: x * len(np.where(m.data > 1.5)[0]),
    "what is not zero": lambda m, x: x * np.sum(np.flatnonzero(m.mask)),
    "groups": lambda m, x: sum(x * np.sum(m.data[m.labels == n]) for n in np.unique(m.labels)),
    "a count": lambda m, x: x * sum(range(int(m.labels.sum()))),
    "a branch": lambda m, x: x if m.data.mean() > 1.0 else -x * m.data[0],
    "a plain array": lambda m, x: x * np.sum(np.asarray(m.data, dtype=float)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_numbers_of_arrays_can_be_asked_for_and_stay_fresh(name, model):
    read = KNOWN[name]
    model.data, model.mask = np.array([1.0, 2.0, 3.0]), np.array([True, False, True])
    model.labels = np.array([0, 1, 1])

    def loss(x):
        return read(model, x)

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)
    model.data[0] = -9.0
    fresh(fun, loss, 1.5)
    model.mask[:] = True
    model.labels[0] = 2
    fresh(fun, loss, 1.5)


def test_a_mask_can_be_an_argument():
    def loss(w, x, mask):
        return w * np.sum(x[mask])

    fun = jitgrad.compile(loss)
    mask = np.array([True, False, True])
    fresh(fun, loss, 2.0, X, mask)
    mask[1] = True
    fresh(fun, loss, 2.0, X, mask)
    fresh(fun, loss, 2.0, 3.0 * X, mask)
    assert traces(fun) == 2
    with pytest.raises(jitgrad.errors.ArgumentError, match="elements of mask"):
        fun.bind(2.0, X, mask)
    with pytest.raises(UnsupportedError, match="known only when the kernel runs"):
        jitgrad.compile(lambda x: np.sum(x[x > 1.0]))(X)


# --- imports in the loss -------------------------------------------------------------------------


def test_imports_in_the_loss():
    def loss(x):
        import math
        from math import sin

        import numpy as np
        import scipy.special as sp

        out = np.zeros(2)
        out[0] = sin(x) * math.cos(x)
        return np.sum(out) + sp.expit(x)

    fun = jitgrad.compile(loss)
    fresh(fun, loss, 1.5)


# --- writing -------------------------------------------------------------------------------------


def test_what_a_loss_writes_reaches_the_object(model):
    def loss(x):
        model.seen = "yes"
        model.inner.count = 3
        hidden = model.scale * x
        model.last = hidden
        return model.last * 2.0

    fun = jitgrad.compile(loss)
    assert fun(1.5) == 6.0
    assert model.seen == "yes" and model.inner.count == 3
    with pytest.raises(TraceError):
        model.last + 1.0
    model.scale = 5.0
    assert fun(1.5) == 15.0


def test_a_counter_in_the_loss_counts_every_call_and_says_that_it_is_slow(model):
    model.calls = 0

    def loss(x):
        model.calls += 1
        return x * x

    fun = jitgrad.compile(loss)
    with pytest.warns(jitgrad.errors.RetracedWarning, match="calls"):
        for n in range(30):
            assert fun.value_and_grad(float(n))[0] == n * n
    assert model.calls >= 30


def test_cached_properties_hold_numbers():
    class Own(Model):
        @functools.cached_property
        def total(self):
            return float(np.sum(self.data)) * FACTOR

    it = Own()
    fun = jitgrad.compile(lambda x: x * it.total)
    assert fun(2.0) == 7.5
    assert type(it.total) is float
    del it.total
    it.data[:] = 2.0
    assert fun(2.0) == 15.0


def test_caches_of_functions_are_not_in_the_way():
    table = np.ones(3)

    @functools.lru_cache
    def total(n):
        return np.sum(table) * n

    fun = jitgrad.compile(lambda x: x * total(2))
    assert fun(1.0) == 6.0
    table[:] = 2.0
    assert fun(1.0) == 12.0


# --- Values --------------------------------------------------------------------------------------


def test_values_that_take_the_place_of_others():
    model = nn.MLP(2, [3, 1])
    point = [1.0, -2.0]
    fun = jitgrad.compile(lambda: model(point))

    def check():
        for _ in range(2):
            model.zero_grad()
            model(point).backward()
            expected = [p.grad for p in model.parameters()]
            model.zero_grad()
            assert fun.backward() == pytest.approx(model(point).data, rel=1e-14)
            np.testing.assert_allclose([p.grad for p in model.parameters()], expected, rtol=1e-13)

    check()
    model.layers[0].neurons[1].w[0] = Value(0.75)
    check()
    model.layers[1].neurons[0].b = Value(-0.5)
    check()
    model.layers[0].neurons[0].nonlin = False
    check()
    model.layers[1] = nn.Layer(3, 1, nonlin=False)
    check()


def test_a_value_as_an_attribute(model):
    model.w = Value(np.array([1.0, 2.0, 3.0]))
    fun = jitgrad.compile(lambda: np.sum(model.w * model.data))
    assert fun.backward() == 6.0
    model.w = Value(np.array([2.0, 2.0, 2.0]))
    assert fun.backward() == 6.0
    np.testing.assert_array_equal(model.w.grad, model.data)


# --- bind, kernels, threads ----------------------------------------------------------------------


def test_bound_calls_see_attributes(model):
    x = np.array([1.0, 2.0])
    step = jitgrad.compile(lambda x: np.sum(x) * model.scale * np.sum(model.data)).bind(x)
    assert step() == 18.0
    model.scale = 3.0
    model.data[0] = 2.0
    assert step() == 36.0
    model.data = np.ones(4)
    with pytest.raises(jitgrad.errors.ChangedError):
        step()


def test_threads_see_one_another_s_objects(model):
    def loss(x, m):
        return np.sum(m.data * x) * m.scale

    fun = jitgrad.compile(loss)
    models = [Model() for _ in range(4)]
    for n, it in enumerate(models):
        it.scale = float(n)
    found = {}

    def work(n):
        found[n] = [fun(1.5, models[n]) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: [loss(1.5, models[n])] * 5 for n in range(4)}


def test_an_error_in_the_loss_leaves_objects_as_they_were(model):
    def loss(x):
        return model.scale * x.shape

    with pytest.raises((TypeError, JitgradError)):
        jitgrad.compile(loss)(1.0)
    assert type(model) is Model and type(model.scale) is float
    assert vars(model)["data"] is model.data


def test_objects_in_the_auxiliary_output_are_the_real_ones(model):
    fun = jitgrad.compile(lambda x: (x * model.scale, {"model": model, "x": x}), has_aux=True)
    (_, aux), _ = fun.value_and_grad(1.5)
    assert aux["model"] is model and aux["x"] == 1.5


def test_no_warning_for_ordinary_use(model):
    fun = jitgrad.compile(lambda x: model(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(40):
            model.scale = float(n)
            fun.value_and_grad(1.5)


# --- containers that a loss changes --------------------------------------------------------------


def test_what_is_appended_to_a_list_outside_is_there_at_the_next_call():
    log, state = [], {"n": [1.0], "last": 0.5}

    def loss(x):
        log.append(1.0)
        state["n"].append(2.0)
        state["new"] = len(log)
        del state["last"]
        state["last"] = 0.5
        return x * len(log) * sum(state["n"]) * state["last"]

    def plain(x):
        copied = [*log, 1.0], [*state["n"], 2.0]
        return x * len(copied[0]) * sum(copied[1]) * 0.5

    fun = jitgrad.compile(loss)
    for n in range(1, 5):
        expected = plain(2.0)
        assert fun(2.0) == expected
        assert log == [1.0] * n and state["n"] == [1.0, *[2.0] * n] and state["new"] == n
        assert all(type(x) is float for x in (*log, *state["n"], state["last"]))


def test_the_order_of_a_dict_counts():
    def loss(params):
        return sum((n + 1.0) * np.sum(v) for n, v in enumerate(params.values()))

    fun = jitgrad.compile(loss)
    first, second = {"b": X, "a": 2.0 * X}, {"a": 2.0 * X, "b": X}
    for params in (first, first, second, second, first):
        value, gradient = fun.value_and_grad(params)
        assert value == loss(params) == fun(params)
        assert list(gradient) == list(params)
    held = dict(first)
    outside = jitgrad.compile(lambda x: x * loss(held))
    for params in (first, first, second, second, first):
        held.clear()
        held.update(params)
        assert outside(1.0) == loss(params)

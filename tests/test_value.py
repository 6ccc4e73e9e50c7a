"""Values on their own: the graph, PyTorch's words, conversions, errors, routing to a tape."""

import copy
import gc
import math
import pickle
import re
import threading

import numpy as np
import pytest

from jitgrad import Value, errors
from jitgrad.graph import active
from jitgrad.ops import OPS

HERE = re.escape(__file__)


def raises(kind, message):
    """An error of this kind that names a line of this file."""
    return pytest.raises(kind, match=rf"^{HERE}:\d+: .*{message}")


# --- the graph -----------------------------------------------------------------------------------


def test_long_chain():
    x = Value(1.0)
    y = x
    for _ in range(100_000):
        y = y * 1.00001
    y.backward()
    assert x.grad == pytest.approx(math.e, rel=1e-5)
    del y  # dropping it does not recurse either


def test_graphs_are_freed_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        x = Value(1.0)
        for _ in range(10):
            sum(x * i for i in range(1000)).backward()
        alive = sum(type(thing) is Value for thing in gc.get_objects())
    finally:
        gc.enable()
    assert alive < 1000


def test_gradients_are_the_same_every_time():
    def gradients():
        values = [Value(0.1 * i) for i in range(50)]
        out = sum((v * w).sin() for v in values for w in values)
        out.backward()
        return [v.grad for v in values]

    assert gradients() == gradients()


def test_pytorch_words():
    x, y = Value(2.0), Value(3.0, requires_grad=False)
    z = x * y
    assert (x.is_leaf, z.is_leaf, x.grad_fn, z.grad_fn) == (True, False, None, "*")
    assert (x.requires_grad, y.requires_grad, z.requires_grad) == (True, False, True)
    assert not (y * y).requires_grad
    assert (y * y).is_leaf
    assert z.item() == 6.0
    z.backward()
    assert (x.grad, y.grad) == (3.0, 0)
    x.zero_grad()
    assert x.grad == 0


def test_detach_stops_the_gradient():
    x = Value(2.0)
    (x * (x * 5).detach()).backward()
    assert x.grad == 10.0
    assert not x.detach().requires_grad


def test_no_gradient_flows_past_requires_grad_false():
    x = Value([1.0, 2.0], requires_grad=False)
    w = Value([3.0, 4.0])
    (x * w).sum().backward()
    np.testing.assert_array_equal(w.grad, [1.0, 2.0])
    assert x.grad == 0


def test_value_of_a_value_is_the_value():
    x = Value(2.0)
    assert Value(x) is x


def test_the_callers_array_is_left_alone():
    data = np.ones(3)
    w = Value(data)
    w.data -= 0.5
    np.testing.assert_array_equal(data, 1.0)


def test_gradients_of_two_operands_are_not_one_array():
    a, b = Value(np.ones(2)), Value(np.ones(2))
    (a + b).sum().backward()
    a.grad *= 2
    np.testing.assert_array_equal(b.grad, 1.0)


def test_hash_is_by_identity_and_equality_by_number():
    a, b = Value(1.0), Value(1.0)
    assert a == b
    assert len({a, b}) == 2
    assert {a: 1}[a] == 1
    assert a != 2
    assert (a == "1") is False
    assert (a == None) is False  # noqa: E711


def test_comparisons_are_plain():
    v = Value([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(v > 1.5, [False, True, True])
    assert type(Value(1.0) < 2.0) is np.bool_  # of a Python bool, ~ would be an int
    assert not ~(Value(1.0) < 2.0)
    assert 1 <= Value(1.0) <= 1


def test_copies_are_leaves():
    x = Value([1.0, 2.0])
    (x * x).sum().backward()
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        np.testing.assert_array_equal(twin.data, x.data)
        np.testing.assert_array_equal(twin.grad, x.grad)
        assert twin.data is not x.data
    with pytest.raises(errors.UnsupportedError, match=r"only leaf Values.*\.detach\(\)"):
        copy.deepcopy(x * 2)


# --- numbers -------------------------------------------------------------------------------------


def test_a_method_for_every_row():
    for name, row in OPS.items():
        if row.arity == 1 and not row.boolean:
            low, high = row.domain[0]
            x = Value((low + 2 * high) / 3)
            y = abs(x) if name == "abs" else -x if name == "neg" else getattr(x, name)()
            y = y if isinstance(y, Value) else Value(y)
            assert y.data == pytest.approx(row.evaluate(x.data)), name


def test_methods_differentiate():
    x = Value(0.5)
    (x.exp() * x.tanh() + x.arctan2(2.0) + x.sigmoid().log1p()).backward()
    e, t, s = math.exp(0.5), math.tanh(0.5), 1 / (1 + math.exp(-0.5))
    assert x.grad == pytest.approx(
        e * t + e * (1 - t * t) + 2 / (0.25 + 4) + s * (1 - s) / (1 + s), rel=1e-14
    )


def test_powers():
    x, y = Value(2.0), Value(3.0)
    (x**y + 2**x).backward()
    assert x.grad == pytest.approx(12 + 4 * math.log(2))
    assert y.grad == pytest.approx(8 * math.log(2))
    z = Value(-3.0)
    (z**2).backward()
    assert z.grad == -6.0
    assert math.isnan((z**0.5).data)
    assert (Value(0.0) ** -1).data == math.inf


def test_division_by_zero_is_infinite():
    x = Value(0.0)
    y = 1.0 / x
    assert y.data == math.inf
    y.backward()
    assert x.grad == -math.inf
    assert (Value(1.0) / 0).data == math.inf


def test_remainder_and_abs():
    x = Value(-7.5)
    y = x % 2 + abs(x) + 9 % Value(5.0)
    y.backward()
    assert (y.data, x.grad) == (0.5 + 7.5 + 4.0, 0.0)


def test_conversions():
    x = Value(2.75)
    assert (float(x), int(x), bool(x), bool(Value(0.0)), x.item()) == (2.75, 2, True, False, 2.75)
    assert [10, 20, 30][Value(1)] == 20
    assert Value([[3.0]]).item() == 3.0
    with pytest.raises(ValueError, match="ambiguous"):
        bool(Value([1.0, 2.0]))
    with pytest.raises(ValueError, match="size 1"):
        Value([1.0, 2.0]).item()


def test_numpy_scalars_on_either_side():
    x = Value(2.0)
    for y in (np.float64(3) * x, x * np.float64(3), np.float32(3) * x, np.int64(3) * x):
        assert isinstance(y, Value)
        assert y.data == 6.0
        assert type(np.float64(3) * (x * 1.0)) is Value


# --- errors --------------------------------------------------------------------------------------


def test_backward_of_an_array():
    v = Value([1.0, 2.0])
    with raises(errors.NotScalarError, r"shape \(2,\).*\.sum\(\).*backward\(gradient\)"):
        (v * 2).backward()
    (v * 2).backward([1.0, 10.0])
    np.testing.assert_array_equal(v.grad, [2.0, 20.0])
    with raises(errors.ShapeError, r"gradient of shape \(3,\) for a Value of shape \(2,\)"):
        (v * 2).backward([1.0, 1.0, 1.0])


def test_backward_of_one_element():
    v = Value([[2.0]])
    (v * v).backward()
    np.testing.assert_array_equal(v.grad, [[4.0]])


def test_backward_without_a_gradient():
    with raises(errors.NoGradientError, "does not require a gradient"):
        (Value(1.0, requires_grad=False) * 2).backward()


@pytest.mark.parametrize("data", ["1.0", None, 1j, np.array(["a"]), {}, np.array([1j])])
def test_data_that_is_not_a_number(data):
    with raises(errors.ArgumentError, "cannot be combined with a Value"):
        Value(data)


@pytest.mark.parametrize("other", ["1", None, {1.0}])
def test_operands_that_are_not_numbers(other):
    with pytest.raises(TypeError, match="unsupported operand"):
        Value(1.0) + other
    with pytest.raises(TypeError, match="unsupported operand"):
        other / Value(1.0)


def test_shapes_that_do_not_fit():
    v = Value(np.ones((2, 3)))
    with raises(errors.ShapeError, r"add of arrays of shapes \(2, 3\) and \(2,\)"):
        v + np.ones(2)
    with raises(errors.ShapeError, r"matmul of arrays of shapes \(2, 3\) and \(2,\)"):
        v @ np.ones(2)
    with raises(errors.ShapeError, r"6 elements cannot have the shape \(4, -1\)"):
        v.reshape(4, -1)


def test_indices_that_do_not_fit():
    v = Value(np.ones((2, 3)))
    with raises(IndexError, "index 2 is outside an axis of 2"):
        v[2]
    with raises(IndexError, "index -3 is outside"):
        v[-3]
    with raises(IndexError, r"3 indices for an array of shape \(2, 3\)"):
        v[0, 0, 0]
    with raises(IndexError, "an index is an int, a slice or an array of ints"):
        v[0.5]


def test_values_are_not_changed_in_place():
    v = Value(np.ones(3))
    with raises(errors.UnsupportedError, r"not changed in place.*np\.zeros_like.*np\.where"):
        v[0] = 2.0


def test_a_plain_array_does_not_take_a_value():
    plain = np.zeros(3)
    with pytest.raises(ValueError, match="setting an array element") as caught:
        plain[0] = Value(1.0)  # NumPy wraps what float() raises
    assert isinstance(caught.value.__cause__, errors.ArgumentError)
    assert re.match(rf"{HERE}:\d+: a plain array cannot hold a Value", str(caught.value.__cause__))
    with raises(errors.UnsupportedError, r"np\.add .*write x = x \+ v, not x \+= v"):
        plain += Value(np.ones(3))
    plain[1] = Value(1.0, requires_grad=False)
    plain[2] = float(Value(2.0))
    np.testing.assert_array_equal(plain, [0.0, 1.0, 2.0])


def test_asarray_of_an_array_value():
    v = Value(np.ones(3))
    for make in (np.asarray, np.array, lambda v: np.array([v, v])):
        with raises(errors.ArgumentError, r"lose its gradient. Write `\.data`.*np\.stack"):
            make(v)
    np.testing.assert_array_equal(np.asarray(v.detach()), 1.0)


def test_scalars_have_no_length():
    with pytest.raises(TypeError, match=r"len\(\) of a scalar Value"):
        len(Value(1.0))
    with pytest.raises(TypeError, match="scalar"):
        iter(Value(1.0))
    assert not hasattr(Value(1.0), "__array__")


# --- while a tape is active ----------------------------------------------------------------------


class RefusedError(Exception):
    pass


class Notebook:
    """A tape that only notes what it is asked."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        def note(*arguments):
            self.asked.append((name, *arguments))
            return "noted"

        return note

    def wrap(self, value):
        self.asked.append(("wrap", value))
        return value

    def refuse(self, value, what):
        raise RefusedError(what)


@pytest.fixture
def tape():
    active.tape = Notebook()
    yield active.tape
    active.tape = None


def test_operations_go_to_the_tape_as_direct_ops(tape):
    x, row = Value(2.0), np.ones(3)
    asked = [x + 1, 1 - x, x / 2, -x, x**2, x > 0, x == x, abs(x), x.exp(), x.relu(), row * x]
    assert asked == ["noted"] * len(asked)
    names = [name for kind, name, _ in tape.asked]
    expected = ["add", "sub", "div", "neg", "pow", "gt", "eq", "abs", "exp", "relu", "mul"]
    assert names == expected
    assert {kind for kind, *_ in tape.asked} == {"elementwise"}
    assert tape.asked[1][2] == (1, x)
    assert x.grad_fn is None


def test_structure_goes_to_the_tape_in_one_form(tape):
    v, scalar = Value(np.ones((2, 3))), Value(1.0)
    _ = v.sum(-1), v[-1, ..., None], v.reshape(-1), v.T, v @ v, np.broadcast_to(scalar, 2)
    np.stack([scalar, 2.0])
    assert tape.asked == [
        ("sum", v, (1,), False),
        ("getitem", v, (1, slice(None), None)),
        ("reshape", v, (6,)),
        ("transpose", v, (1, 0)),
        ("matmul", v, v),
        ("broadcast_to", scalar, (2,)),
        ("assemble", [(scalar, (0,)), (2.0, (1,))], (2,)),
    ]


def test_no_number_leaves_a_trace(tape):
    x = Value(2.0)
    v = Value(np.ones(2))
    assert (x.data, x.detach()) == ("noted", "noted")
    assert Value(x) is x
    assert tape.asked == [("detach", x), ("detach", x), ("wrap", x)]
    for ask, what in {
        float: "float()",
        int: "int()",
        bool: "bool()",
        Value.item: ".item()",
        Value.backward: "backward()",
        Value.zero_grad: "assigning to .grad",
        (lambda x: x.grad): ".grad",
        (lambda x: setattr(x, "data", 1.0)): "assigning to .data",
        (lambda x: range(3)[x]): "an index",
        (lambda _: np.asarray(v)): "np.asarray()",
    }.items():
        with pytest.raises(RefusedError, match=re.escape(what)):
            ask(x)


def test_the_tape_belongs_to_its_thread(tape):
    found = []
    thread = threading.Thread(target=lambda: found.append((Value(2.0) * 3).data))
    thread.start()
    thread.join()
    assert found == [6.0]

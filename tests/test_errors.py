"""Every error of jitgrad's own: its class, the user's line in it, and its whole text."""

import inspect
import linecache
import math
import re
import sys
import textwrap
import unittest.mock

import numpy as np
import pytest
import scipy.special

import jitgrad
import jitgrad.errors
from jitgrad import Value, native
from jitgrad.errors import (
    ArgumentError,
    ChangedError,
    DataDependentError,
    JitgradError,
    MissingPackageError,
    NoGradientError,
    NotCalledError,
    NotReachedError,
    NotScalarError,
    PositionError,
    ShapeError,
    TraceError,
    UnsupportedError,
)

# --- what the messages end in --------------------------------------------------------------------

BEHIND = "needs the number behind a traced Value, which is known only when the compiled kernel runs"
BRANCH = (
    "write np.where(condition, a, b) for a branch, np.maximum(a, b) for max(a, b), "
    "np.logical_and(a, b) for `a and b`"
)
NUMBER = (
    "write np.sin(x) for math.sin(x), x.data for the number without its history, and "
    "np.array([...]) or np.stack([...]) to put traced values in an array"
)
WHOLE = "pass the integer as an int argument, which is static"
ARRAY = "NumPy's functions take it as it is; write np.stack([...]) to put traced arrays together"
OUTSIDE = "call value_and_grad or backward() of the compiled function, outside it"
AUX = "return it as auxiliary output: `return loss, aux` with jitgrad.compile(has_aux=True)"
RETURN_AUX = (
    "Return what you want to see as auxiliary output: `return loss, aux` with "
    "jitgrad.compile(has_aux=True)"
)
VECTOR = np.array([1.0, 2.0, 3.0])
CASES = []


def case(error, message, *arguments, **options):
    """Register a loss that raises on its line marked `# here` when it is compiled."""

    def register(function):
        def act():
            jitgrad.compile(function, **options).value_and_grad(*arguments)

        CASES.append(pytest.param(act, error, message, id=function.__name__))
        return function

    return register


def action(error, message):
    """Register a function that raises on its line marked `# here`."""

    def register(function):
        CASES.append(pytest.param(function, error, message, id=function.__name__))
        return function

    return register


def line_and_text(message):
    """Split a message into the source line that it names and the rest."""
    file, line, text = re.match(r"(.+?):(\d+): (.*)", message, re.DOTALL).groups()
    return linecache.getline(file, int(line)), text


def check(act, error, message):
    with pytest.raises(error) as caught:
        act()
    assert type(caught.value) is error
    line, text = line_and_text(str(caught.value))
    assert "# here" in line
    assert text == message
    assert Value(2.0) * 3.0 > 5.0  # no trace is left behind


# --- the number behind a traced value ------------------------------------------------------------


@case(DataDependentError, f"bool() {BEHIND}; {BRANCH}", 1.0)
def branch(x):
    if x > 0:  # here
        return x
    return -x


@case(DataDependentError, f"bool() {BEHIND}; {BRANCH}", 1.0)
def loop(x):
    while x < 10:  # here
        x = x * 2
    return x


@case(DataDependentError, f"bool() {BEHIND}; {BRANCH}", 1.0)
def conjunction(x):
    return x and 1.0  # here


@case(DataDependentError, f"bool() {BEHIND}; {BRANCH}", 1.0)
def disjunction(x):
    return x or 1.0  # here


@case(DataDependentError, f"bool() {BEHIND}; {BRANCH}", 1.0)
def negation(x):
    return float(not x)  # here


@case(DataDependentError, f"bool() {BEHIND}; {BRANCH}", 1.0)
def chained_comparison(x):
    return 1.0 * (0 < x < 2)  # here


@case(DataDependentError, f"bool() {BEHIND}; {BRANCH}", 1.0)
def membership(x):
    return x if x in [1.0, 2.0] else 0.0  # here


@case(DataDependentError, f"bool() {BEHIND}; {BRANCH}", 1.0)
def largest(x):
    return max(x, 0.0)  # here


@case(DataDependentError, f"bool() {BEHIND}; {BRANCH}", VECTOR)
def smallest(x):
    return min(x)  # here


@case(DataDependentError, f"bool() {BEHIND}; {BRANCH}", VECTOR)
def sorting(x):
    return sorted(x)[0]  # here


@case(DataDependentError, f"bool() {BEHIND}; {BRANCH}", VECTOR)
def any_of(x):
    return 1.0 if any(x > 0) else 0.0  # here


@case(DataDependentError, f"bool() {BEHIND}; {BRANCH}", VECTOR)
def truth_of_an_array(x):
    return np.sum(x) if (x > 0).sum() == 3 else 0.0  # here


@case(DataDependentError, f"float() {BEHIND}; {NUMBER}", 1.0)
def to_float(x):
    return float(x)  # here


@case(DataDependentError, f"float() {BEHIND}; {NUMBER}", 1.0)
def math_function(x):
    return math.frexp(x)[0]  # here


@case(DataDependentError, f"float() {BEHIND}; {NUMBER}", 1.0)
def stored_in_an_array(x):
    z = np.arange(3.0)
    z[0] = x  # here
    return np.sum(z)


@case(DataDependentError, f"float() {BEHIND}; {NUMBER}", 1.0)
def array_of_floats(x):
    return np.sum(np.fromiter([x, 2.0], float))  # here


@case(
    UnsupportedError,
    "np.copyto cannot be applied to a Value and a plain array, which cannot hold Values. Write "
    "np.zeros(n) in a loss, or np.where(mask, v, x)",
    1.0,
)
def copied_into_an_array(x):
    z = np.arange(3.0)
    np.copyto(z, x)  # here
    return np.sum(z)


@case(DataDependentError, f"np.asarray() {BEHIND}; {ARRAY}", VECTOR)
def array_stored_in_an_array(x):
    z = np.arange(3.0)
    z[:] = x  # here
    return np.sum(z)


@case(DataDependentError, f"np.asarray() {BEHIND}; {ARRAY}", VECTOR)
def as_array(x):
    return np.sum(np.asarray_chkfinite(x))  # here


@case(DataDependentError, f"np.asarray() {BEHIND}; {ARRAY}", VECTOR)
def array_of_arrays(x):
    return np.sum(np.asarray_chkfinite([x, x]))  # here


@case(DataDependentError, f"int() {BEHIND}; {WHOLE}", 1.0)
def to_int(x):
    return int(x) * x  # here


@case(DataDependentError, f"an index {BEHIND}; {WHOLE}, or write np.take(a, i)", 1.0)
def in_range(x):
    return sum(1.0 for _ in range(x))  # here


@case(DataDependentError, f"an index {BEHIND}; {WHOLE}, or write np.take(a, i)", 1.0)
def list_index(x):
    return [1.0, 2.0][x]  # here


@case(DataDependentError, f".item() {BEHIND}; {AUX}", 1.0)
def item(x):
    return x.item()  # here


@case(DataDependentError, f"formatting with '.3f' {BEHIND}; {AUX}", 1.0)
def formatted(x):
    return float(f"{x:.3f}")  # here


@case(DataDependentError, f".grad {BEHIND}; {OUTSIDE}", 1.0)
def gradient_inside(x):
    return x.grad * x  # here


@case(DataDependentError, f"backward() {BEHIND}; {OUTSIDE}", 1.0)
def backward_inside(x):
    y = x * x
    y.backward()  # here
    return y


parameter = Value(3.0)


@case(
    DataDependentError,
    f"assigning to .data {BEHIND}; change parameters outside the compiled function",
    1.0,
)
def parameter_changed(x):
    parameter.data = 2.0  # here
    return parameter * x


@case(DataDependentError, f"bool() {BEHIND}; {BRANCH}", 1.0)
def branch_on_a_parameter(x):
    return x if parameter > 0 else -x  # here


# --- traced values that cannot be changed, or are used too late ----------------------------------


@case(
    TraceError,
    ".data of a traced Value was assigned; a traced value cannot be changed, compute a new one "
    "instead",
    1.0,
)
def traced_changed(x):
    x.data = 2.0  # here
    return x


@case(TraceError, "a traced Value was pickled; it holds no number", 1.0)
def pickled(x):
    import pickle

    pickle.dumps(x)  # here
    return x


def leaked():
    kept = []
    jitgrad.compile(lambda x: kept.append(x) or x * x)(2.0)
    return kept[0]


@action(
    TraceError,
    f"a traced Value was used after its trace had ended; it holds no number. {RETURN_AUX}",
)
def operator_too_late():
    leaked() + 1.0  # here


@action(
    TraceError,
    "a traced Value was used where a number is needed, after its trace had ended or in another "
    f"one; it holds none. {RETURN_AUX}",
)
def number_too_late():
    float(leaked())  # here


@action(
    TraceError,
    "a traced Value was used where a number is needed, after its trace had ended or in another "
    f"one; it holds none. {RETURN_AUX}",
)
def gradient_too_late():
    leaked().grad  # noqa: B018  # here


@action(
    TraceError,
    "a Value of another trace was used; its number is not known here. Pass it as an argument",
)
def in_another_trace():
    old = leaked()
    jitgrad.compile(lambda x: x * old)(2.0)  # here


# --- arguments -----------------------------------------------------------------------------------


def total(x, y=0.0):
    return np.sum(x) + y


loss = jitgrad.compile(total)


@action(
    ArgumentError,
    "argument x is an array of dtype complex128; expected real numbers of at most 64 bits; write "
    "x.astype(float)",
)
def complex_array():
    loss(np.ones(2, complex))  # here


@action(
    ArgumentError,
    "argument x_W1 is an array of dtype object; expected real numbers of at most 64 bits; write "
    "x_W1.astype(float)",
)
def object_array():
    loss({"b": 1.0, "W1": np.array([1.0, None])})  # here


@action(
    ArgumentError,
    "argument x is builtins.complex; expected a number, a NumPy array or a container of them; "
    "write np.asarray(x, dtype=float)",
)
def complex_number():
    loss(1j)  # here


class Tensor:
    def __array__(self, dtype=None, copy=None):
        return np.ones(3)


@action(
    ArgumentError,
    "argument x is test_errors.Tensor; expected a number, a NumPy array or a container of them; "
    "write np.asarray(x, dtype=float)",
)
def other_array():
    loss(Tensor())  # here


@action(
    ArgumentError,
    "argument x is a MaskedArray, whose mask or operators would be lost; expected a plain array; "
    "write np.asarray(x)",
)
def masked_array():
    loss(np.ma.array([1.0, 2.0], mask=[0, 1]))  # here


@action(
    ArgumentError,
    "argument y holds 18446744073709551615, which does not fit 64-bit integers; write "
    "y.astype(float)",
)
def large_integer():
    loss(VECTOR, np.array([1, 2**64 - 1], dtype=np.uint64))  # here


@action(ArgumentError, "total(): got an unexpected keyword argument 'z'")
def unknown_keyword():
    loss(VECTOR, z=1)  # here


@action(
    ArgumentError,
    "total was called with 1 positional arguments, and compiled with argnums=1; write "
    "jitgrad.compile(fun, argnums=...) with the places of the arguments to differentiate with "
    "respect to, or backward() for Values",
)
def no_such_argument():
    jitgrad.compile(total, argnums=1).grad(VECTOR)  # here


@action(ArgumentError, "jitgrad.compile got a str; expected a function")
def not_a_function():
    jitgrad.compile("total")  # here


@action(
    ArgumentError,
    "jitgrad.compile got argnums='x'; expected the place of an argument or several different "
    "ones, such as argnums=0 or argnums=(0, 2)",
)
def argument_by_name():
    jitgrad.compile(total, argnums="x")  # here


@action(
    ArgumentError,
    "jitgrad.compile got argnums=(0, 0); expected the place of an argument or several different "
    "ones, such as argnums=0 or argnums=(0, 2)",
)
def argument_twice():
    jitgrad.compile(total, argnums=(0, 0))  # here


@case(ArgumentError, "an array of dtype complex128 was used; expected real numbers", VECTOR)
def complex_constant(x):
    return np.sum(x * CONSTANT)  # here


CONSTANT = np.ones(3, complex)

# --- shapes and indices --------------------------------------------------------------------------


@case(ShapeError, "add of arrays of shapes (3,) and (2,), which do not broadcast", VECTOR)
def not_broadcast(x):
    return np.sum(x + x[:2])  # here


@case(ShapeError, "matmul of arrays of shapes (3,) and (2,)", VECTOR)
def no_product(x):
    return x @ x[:2]  # here


@case(ShapeError, "x += v of arrays of shapes (3,) and (2, 3)", VECTOR)
def grows_in_place(x):
    y = x * 2.0
    y += np.ones((2, 3))  # here
    return np.sum(y)


@case(PositionError, "index 3 on an axis of extent 3", VECTOR)
def index_too_large(x):
    return x[3]  # here


@case(PositionError, "2 indices for an array of 1 dimensions", VECTOR)
def too_many_indices(x):
    return x[0, 0]  # here


@case(PositionError, "indices 0 to 5 on an axis of extent 3", VECTOR)
def indices_too_large(x):
    return np.sum(x[[0, 5]])  # here


@action(PositionError, "i holds indices from 0 to 5; expected them within an axis of extent 3")
def given_indices_too_large():
    jitgrad.compile(lambda x, i: np.sum(x[i])).grad(VECTOR, np.array([0, 5]))  # here


# --- what a loss returns -------------------------------------------------------------------------


def returns(number, what):
    def check_returned():
        with pytest.raises(NotScalarError) as caught:
            jitgrad.compile(number)(VECTOR)
        file, line, text = re.match(r"(.+?):(\d+): (.*)", str(caught.value)).groups()
        assert (file, int(line)) == (__file__, number.__code__.co_firstlineno)
        assert text == f"<lambda> returned {what}"

    return check_returned


@pytest.mark.parametrize(
    "function, what",
    [
        (
            lambda x: (x[0], x),
            "a tuple; expected one number; for (loss, aux) write jitgrad.compile(has_aux=True)",
        ),
        (
            lambda x: [x[0]],
            "a list; expected one number; for (loss, aux) write jitgrad.compile(has_aux=True)",
        ),
        (
            lambda x: x * 2,
            "an array of shape (3,); expected one number; write np.sum(...) or np.mean(...)",
        ),
        (
            lambda x: x[:1],
            "an array of shape (1,); expected one number; write np.sum(...) or np.mean(...)",
        ),
        (lambda x: None, "None; expected one number; is a return statement missing?"),
        (lambda x: "loss", "a str; expected one number"),
        (lambda x: True, "a truth value; expected one number"),
        (
            lambda x: x[0] > 0,
            "a truth value; expected one number; write np.where(condition, 1.0, 0.0)",
        ),
        (lambda x: 1j, "a complex; expected one number"),
        (lambda x: (x for x in x), "a generator; expected one number"),
    ],
)
def test_what_a_loss_may_not_return(function, what):
    returns(function, what)()


@pytest.mark.parametrize(
    "returned, what", [(1.0, "a number"), ("s", "a str"), ((1.0, 2.0, 3.0), "a tuple")]
)
def test_auxiliary_output_needs_a_pair(returned, what):
    def fun(x):
        return returned

    with pytest.raises(NotScalarError) as caught:
        jitgrad.compile(fun, has_aux=True)(1.0)
    assert str(caught.value) == (
        f"{__file__}:{fun.__code__.co_firstlineno}: fun was compiled with has_aux=True and "
        f"returned {what}; expected a tuple (loss, aux)"
    )


# --- what jitgrad does not know, and what comes too early ----------------------------------------


@case(
    UnsupportedError,
    "x[i] = v changes an array in place that the loss was given. Arguments are never modified: "
    "write x = x.copy() first",
    VECTOR,
)
def assignment_to_an_element(x):
    x[0] = 1.0  # here
    return np.sum(x)


@case(
    UnsupportedError,
    "x += v changes an array in place that the loss was given. Arguments are never modified: "
    "write x = x.copy() first",
    VECTOR,
)
def argument_changed(x):
    x += 1.0  # here
    return np.sum(x)


@case(
    UnsupportedError,
    "x *= v changes an array of which another view is still there, which NumPy would change too. "
    "Write x = x.copy() first",
    VECTOR,
)
def part_changed(x):
    y = x * x
    part = y[1:]
    part *= 2.0  # here
    return np.sum(y)


@case(
    UnsupportedError,
    "np.add cannot be applied to a Value. A plain array cannot hold Values: write x = x + v, not "
    "x += v or out=x.",
    VECTOR,
)
def plain_array_changed(x):
    y = np.arange(3.0)
    y += x  # here
    return np.sum(y)


@case(
    UnsupportedError,
    "indexing by a condition in a trace: which elements are taken is known only when the kernel "
    "runs. Write np.where(condition, x, 0.0)",
    VECTOR,
)
def masked(x):
    return np.sum(x[x > 1.0])  # here


@case(
    ArgumentError,
    "a complex number, 2j, beside a Value; expected real numbers; write the real and the imaginary "
    "part apart",
    VECTOR,
)
def complex_number_beside_a_value(x):
    return np.sum(2j * x)  # here


@case(
    UnsupportedError,
    "indexing by floats in a trace: which elements are taken is known only when the kernel runs. "
    "Write x[i.astype(int)]",
    VECTOR,
)
def computed_index(x):
    return x[x[0]]  # here


@case(
    UnsupportedError,
    "an index array of dtype float64 and shape (2,) on an axis of extent 3; expected integers, or "
    "one truth value for each place",
    VECTOR,
)
def indices_that_are_floats(x):
    return np.sum(x[np.array([0.0, 1.0])])  # here


@case(
    ShapeError,
    "index arrays of shapes [(2,), (3,)], which do not broadcast",
    np.ones((3, 3)),
)
def index_arrays_that_do_not_broadcast(x):
    return np.sum(x[[0, 1], [1, 2, 0]])  # here


@case(
    UnsupportedError,
    "np.fft.fft cannot be applied to a Value. Write it with operators, indexing and the functions "
    "in docs/numpy.md.",
    VECTOR,
)
def unknown_function(x):
    return np.fft.fft(x)  # here


@case(
    UnsupportedError,
    "total.value_and_grad(...) in a function that is being traced: there are no derivatives of "
    "derivatives yet; total(...) gives the value there",
    VECTOR,
)
def gradient_in_a_loss(x):
    return np.sum(loss.grad(x))  # here


@action(
    ChangedError,
    "something that the loss names outside itself is not what it was when bind() was called: "
    "another function, type or shape; call bind() again",
)
def changed_behind_a_bound_call():
    rate = 1.0

    def scaled(x):
        return rate * x

    step = jitgrad.compile(scaled).bind(2.0)
    rate = [1.0]
    step()  # here


@action(
    NotCalledError,
    "total has not been called yet, so there is no source for any types and shapes; write "
    "total.lower(...).source",
)
def source_too_early():
    jitgrad.compile(total).source  # noqa: B018  # here


@action(
    NoGradientError,
    "total.backward() found no Value that requires a gradient among the arguments and the captured "
    "Values; for arrays and floats write total.value_and_grad(...)",
)
def nothing_to_differentiate():
    loss.backward(VECTOR)  # here


@action(
    MissingPackageError,
    "SciPy, or its function gamma of real numbers, is not there: pip install scipy",
)
def a_function_of_scipy_without_scipy():
    native._ufunc.cache_clear()
    with unittest.mock.patch.dict(sys.modules, {"scipy.special": None}):
        Value(2.0).gamma()  # here


@case(
    UnsupportedError,
    "the derivative of jv in its order was asked for; it is not available. Pass this argument as a "
    "plain number, or write .detach() after it.",
    1.5,
)
def an_order(v):
    return scipy.special.jv(v, 2.0)  # here


# --- the classes ---------------------------------------------------------------------------------

test_message = pytest.mark.parametrize("act, error, message", CASES)(check)


BUILT_IN = {
    ArgumentError: TypeError,
    ChangedError: RuntimeError,
    DataDependentError: TypeError,
    MissingPackageError: ImportError,
    NoGradientError: RuntimeError,
    NotCalledError: RuntimeError,
    NotReachedError: RuntimeError,
    NotScalarError: TypeError,
    PositionError: IndexError,
    ShapeError: ValueError,
    TraceError: TypeError,
    UnsupportedError: NotImplementedError,
}


def test_each_error_is_a_built_in_one_too():
    defined = {
        thing
        for thing in vars(jitgrad.errors).values()
        if isinstance(thing, type) and issubclass(thing, JitgradError)
    }
    assert defined == {JitgradError, *BUILT_IN}
    assert all(issubclass(error, BUILT_IN[error]) for error in BUILT_IN)
    assert all(inspect.getdoc(error) for error in defined)


def test_each_error_has_a_message_here():
    tested = {error for _, error, _ in (case.values for case in CASES)}
    assert tested | {NotScalarError, NotReachedError} == set(BUILT_IN)  # the latter: test_integrate


def test_nothing_of_numpy_is_shown_around_our_error():
    with pytest.raises(DataDependentError) as caught:
        jitgrad.compile(stored_in_an_array)(1.0)
    assert caught.value.__suppress_context__


def test_an_error_of_the_user_passes_through():
    def fails(x):
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$"):
        jitgrad.compile(fails)(1.0)
    assert float(Value(1.0) + 1.0) == 2.0


def test_the_line_is_the_users_inside_the_standard_library():
    import statistics

    def average(x):
        return statistics.fmean([x, x])

    with pytest.raises(DataDependentError) as caught:
        jitgrad.compile(average)(1.0)
    assert "statistics.fmean" in line_and_text(str(caught.value))[0]


def test_a_project_beside_the_package_is_the_users(tmp_path):
    """A folder whose path begins like jitgrad's own is not jitgrad."""
    file = f"{jitgrad.__path__[0]}_examples/loss.py"
    namespace = {"jitgrad": jitgrad}
    text = textwrap.dedent(
        """
        def loss(x):
            return float(x)
        """
    )
    exec(compile(text, file, "exec"), namespace)
    with pytest.raises(DataDependentError, match=re.escape(f"{file}:3: float()")):
        jitgrad.compile(namespace["loss"])(1.0)

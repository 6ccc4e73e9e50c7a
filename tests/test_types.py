"""Element types: float32 stays float32, and NumPy's promotion decides what is which."""

import itertools
import operator
import re

import numpy as np
import pytest

import jitgrad
from jitgrad import Value, call
from jitgrad.adjoint import gradient
from jitgrad.errors import ArgumentError
from jitgrad.graph import elementwise
from jitgrad.interpreter import run, verify
from jitgrad.ops import OPS, library_call
from jitgrad.pipeline import PASSES
from jitgrad.simplify import prepare
from jitgrad.special_rows import Refused
from jitgrad.tape import Recording, Tape
from tests import quick

N, M = 40, 6
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, M))
W = RNG.standard_normal(M) / 3.0
B = RNG.standard_normal(N)
POSITIVE = np.abs(B) + 0.3
LABELS = RNG.integers(0, M, N)
MASK = RNG.random(N) < 0.5
SIGNS = np.float32(-1.0), np.float32(1.0)  # np.where(m, -1.0, 1.0) is float64 in NumPy too
SMALL = RNG.integers(0, 5, N).astype(np.int8)


def softmax_loss(w, x, labels):
    scores = x * w
    scores = scores - np.max(scores, axis=1, keepdims=True)
    logs = scores - np.log(np.sum(np.exp(scores), axis=1, keepdims=True))
    return -np.mean(logs[np.arange(len(labels)), labels])


def network(params, x):
    h = np.tanh(x @ params["w"] + params["b"])
    h = np.maximum(h @ params["v"], 0.1)
    return np.mean(h**2)


def recurrence(x, rate):
    h = x[0]
    total = 0.0
    for n in range(1, 30):
        h = h + 0.1 * rate * h * (1.0 - h)
        total = total + (h - x[n]) ** 2
    return total / 29


LOSSES = {
    "chain": (lambda w: np.sum(np.sin(w) * 0.5 + 1.0 / (2.0 + w * w)), W),
    "mean of squares": (lambda w, x, y: np.mean((x @ w - y) ** 2), W, X, B),
    "logistic": (
        lambda w, x, m: np.mean(np.logaddexp(0.0, np.where(m, *SIGNS) * (x @ w))),
        W,
        X,
        MASK,
    ),
    "softmax": (softmax_loss, W, X, LABELS),
    "network": (
        network,
        {"w": RNG.standard_normal((M, 8)), "b": B[:8], "v": RNG.standard_normal((8, 3))},
        X,
    ),
    "large products": (
        network,
        {
            "w": RNG.standard_normal((24, 30)) / 5,
            "b": B[:30],
            "v": RNG.standard_normal((30, 20)) / 5,
        },
        RNG.standard_normal((32, 24)),
    ),
    "powers": (lambda p: np.sum(p**2 + p**0.5 + p**-1.5 + 2.0**p + p**3 / p), POSITIVE),
    "functions": (
        lambda p: np.sum(
            np.exp(-p) + np.log(p) + np.log1p(p) + np.expm1(0.1 * p) + np.sqrt(p) + np.tanh(p)
        ),
        POSITIVE,
    ),
    "geometry": (
        lambda p: np.sum(np.hypot(p, 0.5) + np.arctan2(p, 2.0) + np.cosh(0.1 * p)),
        POSITIVE,
    ),
    "choices": (
        lambda b: np.sum(np.where(b > 0.1, b * b, 0.2 * b) + np.clip(b, -0.5, 0.5) + np.abs(b)),
        B,
    ),
    "extremes": (lambda x: np.sum(np.max(x, axis=1) - np.min(x, axis=0).sum() * 0.1), X),
    "variance": (lambda x: np.var(x) + np.std(x, axis=0).sum() + np.linalg.norm(x), X),
    "indices": (lambda w, k, b: np.sum(w[k] * b), W, LABELS, B),
    "integers": (lambda b, k: np.sum(b * k + k / np.float32(2.0)), B, SMALL),
    "truths": (lambda b, m: np.sum(b * m) + np.sum(b[1:] * m[:-1]), B, MASK),
    "stencil": (lambda b: np.sum((b[2:] - 2.0 * b[1:-1] + b[:-2]) ** 2), B),
    "stack": (lambda b: np.sum(np.stack([b * 2.0, b[::-1]]).T @ np.ones(2, np.float32)), B),
    "recurrence": (recurrence, POSITIVE / 3.0, np.float32(0.7)),
    "a number": (lambda b, scale: np.sum(np.exp(scale * b)), B, 0.3),
    "constants": (lambda b: sum(c * b[n] for n, c in enumerate([0.1, 0.7, 0.2] * 8)), B),
    "sigmoid": (lambda b: np.sum(1.0 / (1.0 + np.exp(-b))), B),
}
ROUNDED_ONCE = ("chain", "powers")  # sin, cos and powers are computed in float64 in registers
IN_MEMORY = re.compile(r"(load|store) (<\d+ x )?double")
STRICT = ("softmax", "choices", "recurrence")
every_loss = pytest.mark.parametrize("name", LOSSES)


def converted(tree, dtype):
    """Arguments with their floats in another type."""
    if isinstance(tree, dict):
        return {key: converted(part, dtype) for key, part in tree.items()}
    if isinstance(tree, np.ndarray | np.float32) and tree.dtype.kind == "f":
        return np.dtype(dtype).type(tree) if tree.shape == () else tree.astype(dtype)
    return tree


def flat(tree):
    return [tree[key] for key in sorted(tree)] if isinstance(tree, dict) else [tree]


def single_and_double(name, **options):
    """The loss compiled twice, each with its arguments: in float32 and in float64."""
    fun, *args = LOSSES[name]
    return [
        (jitgrad.compile(fun, **options), [converted(argument, dtype) for argument in args])
        for dtype in ("f4", "f8")
    ]


def agree_in_single(found, expected, wide):
    """Compare a float32 gradient with a float64 one."""
    for part, right, like in zip(flat(found), flat(expected), flat(wide), strict=True):
        assert part.dtype == np.float32 and part.shape == np.shape(like)
        np.testing.assert_allclose(part, right, rtol=2e-4, atol=2e-5 * np.abs(right).max(initial=0))


@pytest.mark.parametrize(
    ("name", "strict"),
    [*((name, False) for name in LOSSES), *((name, True) for name in STRICT)],
)
def test_float32_agrees_with_float64(name, strict):
    (single, given), (double, wide) = single_and_double(name, strict=strict)
    value, gradient = single.value_and_grad(*given)
    expected, gradients = double.value_and_grad(*wide)
    assert type(value) is float
    assert value == pytest.approx(expected, rel=2e-5, abs=1e-6)
    agree_in_single(gradient, gradients, wide[0])


WIDE = re.compile(
    r"= (fast |contract |reassoc )*(fadd|fsub|fmul|fdiv|fneg|fcmp|call)\b.* double|to double"
)


def machine_code(compiled, *args):
    """The LLVM instructions of a kernel and of what it calls, without what boxes the result."""
    (text,) = compiled.kernel(*args).inspect_llvm().values()
    parts = re.split(r"\ndefine ", text)[1:]
    wrappers = re.compile(r"[^(]*@(cfunc\.|_ZN7cpython|NRT_)")
    return [
        line.strip() for part in parts if not wrappers.match(part) for line in part.splitlines()
    ]


@every_loss
def test_the_machine_code_computes_in_float32(name):
    (single, given), (double, wide) = single_and_double(name)
    assert [line for line in machine_code(double, *wide) if WIDE.search(line)]
    wide_lines = [line for line in machine_code(single, *given) if WIDE.search(line)]
    if name in ROUNDED_ONCE:
        wide_lines = [line for line in wide_lines if IN_MEMORY.search(line)]
    assert wide_lines == []


@pytest.mark.parametrize("name", ["softmax", "choices", "recurrence", "indices", "integers"])
def test_every_stage_means_the_same(name):
    (single, given), _ = single_and_double(name)
    low = single.lower(*given)
    bound, traced = single._trace(tuple(given), {})
    names = [argument.buffer for argument in traced.arguments]
    data = dict(zip(names, call.inputs(bound, traced), strict=True))
    wrt = [names[place] for place in call.chosen_inputs(bound, traced)]
    expected = run(verify(low.program), data).value
    program = verify(gradient(prepare(low.program), wrt))
    outputs = run(program, data).buffers
    for step in PASSES:
        program = step(program)
        found = run(program, data)
        assert np.float32(found.value) == pytest.approx(expected, rel=1e-4, abs=1e-6), step
        for output in (f"grad_{name}" for name in wrt):
            size = np.abs(outputs[output]).max()
            assert found.buffers[output].dtype == np.float32
            np.testing.assert_allclose(
                found.buffers[output], outputs[output], rtol=1e-3, atol=1e-5 * size, err_msg=step
            )


def differentiated(fun):
    """The value and the gradient, by the interpreter."""

    def call_of(*args):
        bound, traced = fun._trace(args, {})
        names = [argument.buffer for argument in traced.arguments]
        data = dict(zip(names, call.inputs(bound, traced), strict=True))
        wrt = [names[place] for place in call.chosen_inputs(bound, traced)]
        program = gradient(prepare(traced.program), wrt)
        found, grads = quick.run(program, data), [f"grad_{name}" for name in wrt]
        parts = [np.asarray(found.buffers[n], program.buffers[n].dtype) for n in grads]
        return found.value, parts

    return call_of


# What calls a special function computes in float64 and rounds, one like the other.
ALIKE = {name for name in OPS if (library_call(name) or [""])[0] == "special"}
ALIKE -= {"digamma", "polygamma", "gammainc", "betainc"}


@pytest.mark.parametrize(
    "row", [row for row in OPS.values() if row.name not in ALIKE], ids=lambda row: row.name
)
def test_every_op_in_float32(row):
    points = [np.linspace(low + 0.01, high - 0.013, 37) for low, high in row.domain]
    points = [p[::-1] if n % 2 else p for n, p in enumerate(points)]
    if row.domain[0][0] == row.domain[0][1]:  # a whole order
        points[0] = np.full(37, row.domain[0][0])
    weight = np.linspace(0.5, 2.0, 37).astype("f4")

    def loss(*xs):
        out = elementwise(row.name, *xs)
        return np.sum((np.where(out, xs[0], 0.5 * xs[0]) if row.boolean else out) * weight)

    wrt = [n for n, partial in enumerate(row.partials) if not isinstance(partial, Refused)]
    fun = jitgrad.compile(loss, argnums=tuple(wrt), strict=row.arity == 1)
    single = [p.astype("f4") for p in points]
    by_kernel = list(OPS).index(row.name) % 4 == 0  # a kernel takes a second
    value, found = (fun.value_and_grad if by_kernel else differentiated(fun))(*single)
    wide = [p.astype(float) for p in single]
    assert value == pytest.approx(loss(*map(Value, wide)).data, rel=1e-5, abs=1e-5)
    out = row.evaluate(*wide)
    for argument, part in zip(wrt, found, strict=True):
        assert part.dtype == np.float32
        if not row.boolean and row.partials[argument]:
            exact = row.pull(argument, weight.astype(float), out, *wide)
            np.testing.assert_allclose(part, exact, rtol=2e-4, atol=2e-6 * np.abs(exact).max())


# --- promotion -----------------------------------------------------------------------------------

ARRAYS = {k: np.array([1, 2, 3]).astype(k) for k in ("f4", "f8", "i1", "i4", "i8", "u2", "?")}
SCALARS = [2.0, 2, True, np.float64(2.0), np.float32(2.0), np.int64(2), np.int8(2), np.bool_(True)]
OPERATIONS = {  # add promotes as sub, mul and maximum do
    "add": np.add,
    "div": operator.truediv,
    "lt": operator.lt,
    "where": lambda a, b: np.where(a > 1, a, b),
}


def numpy_s(op, a, b):
    """NumPy's result; None where it refuses."""
    try:
        return np.asarray(op(a, b))
    except TypeError:
        return None


def interpreted(fun, *args):
    """The auxiliary output, by the interpreter."""
    bound, traced = fun._trace(args, {})
    names = [argument.buffer for argument in traced.arguments]
    data = dict(zip(names, call.inputs(bound, traced), strict=True))
    outputs = quick.run(verify(traced.program), data).buffers
    return call.auxiliary(traced, [outputs[n] for n in traced.program.buffers if n[:3] == "aux"])


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("eager", [False, True])
def test_promotion_is_numpy_s(name, eager):
    first = ARRAYS[name]
    others = [*ARRAYS.values(), *SCALARS]
    expected = {}
    for (n, other), (op, apply) in itertools.product(enumerate(others), OPERATIONS.items()):
        for swapped in (False, True):
            pair = (other, first) if swapped else (first, other)
            if (right := numpy_s(apply, *pair)) is not None:
                expected[op, n, swapped] = right
    if eager and first.dtype.kind != "f":
        pytest.skip("eager Values that require gradients are floats")

    def loss(z, first, *others):
        pairs = ((others[n], first) if swap else (first, others[n]) for _, n, swap in expected)
        return np.sum(z), [OPERATIONS[op](*p) for (op, *_), p in zip(expected, pairs, strict=True)]

    if eager:
        _, found = loss(1.0, Value(first), *others)
        found = [part.data if isinstance(part, Value) else part for part in found]
    elif name == "f4":
        _, found = jitgrad.compile(loss, has_aux=True)(np.ones(2), first, *others)
    else:  # a kernel of so many results takes 15 s to compile
        found = interpreted(jitgrad.compile(loss, has_aux=True), np.ones(2), first, *others)
    for part, (key, right) in zip(found, expected.items(), strict=True):
        assert part.dtype == right.dtype, (key, others[key[1]])
        np.testing.assert_array_equal(part, right, err_msg=str(key))


FURTHER = {
    "fmax": np.fmax,
    "fmod": np.fmod,
    "copysign": np.copysign,
    "heaviside": np.heaviside,
    "logaddexp2": np.logaddexp2,
    "floor_divide": operator.floordiv,
    "rint": lambda a, b: np.rint(a),
    "trunc": lambda a, b: np.trunc(a),
    "cbrt": lambda a, b: np.cbrt(b) if np.ndim(b) else np.cbrt(a),
    "isfinite": lambda a, b: np.isfinite(a),
    "float_power": np.float_power,
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", FURTHER)
def test_promotion_of_further_functions(name):
    apply, tape = FURTHER[name], Tape()
    pairs = itertools.product(ARRAYS.values(), [*ARRAYS.values(), *SCALARS])
    expected = [(numpy_s(apply, *pair), *pair) for pair in pairs]
    with Recording(tape):
        found = [apply(tape.lift(a), tape.lift(b)) for right, a, b in expected if right is not None]
    known = [case for case in expected if case[0] is not None]
    for part, (right, first, other) in zip(found, known, strict=True):
        if right.dtype == np.int8 and first.dtype == bool:
            continue  # truths, which NumPy counts
        kind = np.float32 if right.dtype == np.float16 else right.dtype
        assert part.element_type == kind, (first.dtype, other)


def test_reductions_have_numpy_s_types():
    functions = (np.sum, np.mean, np.max, np.square, np.sign, lambda x: x**2)

    def loss(z, *arrays):
        return np.sum(z), [[np.stack([f(x)]) for f in functions] for x in arrays]

    arrays = [ARRAYS[name] for name in ("f4", "f8", "i4", "i8")]
    _, found = jitgrad.compile(loss, has_aux=True)(np.ones(2), *arrays)
    for array, parts in zip(arrays, found, strict=True):
        for function, part in zip(functions, parts, strict=True):
            assert part.dtype == np.stack([function(array)]).dtype, (array.dtype, function)


def test_a_sum_of_truths_is_an_or():
    b = np.array([True, True, False])
    fun = jitgrad.compile(lambda x, b: np.sum((b + b[::-1]) * x + (b * b[::-1]) * 10.0 * x))
    assert fun(np.ones(3), b) == 3.0 + 10.0


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_mixed_types(dtype):
    """Each argument has its gradient in its own type; what meets float64 is float64."""
    x, y = X[0].astype("f4"), X[1].astype(dtype)
    fun = jitgrad.compile(
        lambda x, y, s: (np.sum(s * x * np.exp(y)), s * x * y), argnums=(0, 1, 2), has_aux=True
    )
    (value, aux), (by_x, by_y, by_s) = fun.value_and_grad(x, y, 0.3)
    assert aux.dtype == np.dtype(dtype)
    assert (by_x.dtype, by_y.dtype, type(by_s)) == (np.dtype("f4"), np.dtype(dtype), float)
    wide = x.astype(float), y.astype(float)
    exact = 0.3 * wide[0] * np.exp(wide[1])
    accuracy = {"rtol": 1e-6} if dtype == "f4" else {"rtol": 1e-7}
    np.testing.assert_allclose(value, exact.sum(), rtol=1e-6 if dtype == "f4" else 1e-7)
    np.testing.assert_allclose(by_y, exact, **accuracy)
    np.testing.assert_allclose(by_s, exact.sum() / 0.3, **accuracy)


def test_astype_is_seen():
    def loss(x):
        low = x.astype(np.float32)
        return np.sum(low.astype(float) * x), (low, low.astype(float))

    value, (low, again) = jitgrad.compile(loss, has_aux=True)(B)
    assert (low.dtype, again.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(low, B.astype("f4"))
    np.testing.assert_array_equal(again, B.astype("f4").astype(float))  # rounded, then widened
    assert value == pytest.approx(np.sum(again * B), rel=1e-14)


def test_constants_are_rounded_where_they_meet_float32():
    fun = jitgrad.compile(lambda x: np.sum((x * 0.1) == np.float32(0.3)) + np.sum(x))
    assert fun(np.full(2, 3.0, "f4")) == 6.0 + 2 * (
        np.float32(3.0) * np.float32(0.1) == np.float32(0.3)
    )


# --- calls ---------------------------------------------------------------------------------------


def test_another_type_is_another_trace():
    fun = jitgrad.compile(lambda w, x: np.sum(w * x) ** 2)
    w, x = W, X[0]
    expected = fun.grad(w, x)
    for _ in range(2):
        for kinds in itertools.product(("f4", "f8", ">f4", "f2"), ("f4", "f8", "i8", "i1", "f8")):
            given = w.astype(kinds[0]), (4 * x).astype(kinds[1])
            found = fun.grad(*given)
            exact = fun.grad(given[0].astype(float), given[1].astype(float))
            assert found.dtype == given[0].dtype
            np.testing.assert_allclose(found, exact, rtol=2e-3 if kinds[0] == "f2" else 1e-5)
    np.testing.assert_array_equal(fun.grad(w, x), expected)


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
        lambda x: x.astype(x.dtype.newbyteorder()),
        lambda x: np.lib.stride_tricks.as_strided(x, x.shape, x.strides, writeable=False),
        lambda x: np.ascontiguousarray(x.T).T,
    ],
)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_layouts(change, dtype):
    fun = jitgrad.compile(lambda x, y: np.sum(np.exp(x) * y), argnums=(0, 1))
    x, y = X.astype(dtype), X[::-1].astype(dtype)
    for _ in range(2):  # the second call may take the straight way
        value, gradients = fun.value_and_grad(x, y)
        found, parts = fun.value_and_grad(change(x), change(y))
        assert found == value
        for part, expected in zip(parts, gradients, strict=True):
            np.testing.assert_array_equal(part, expected)
            assert part.dtype == change(x).dtype


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_empty_and_scalar_arrays(dtype):
    fun = jitgrad.compile(lambda x: np.sum(np.exp(x) * 2.0))
    value, gradient = fun.value_and_grad(np.empty((0, 3), dtype))
    assert (value, gradient.shape, gradient.dtype) == (0.0, (0, 3), np.dtype(dtype))
    value, gradient = fun.value_and_grad(np.array(0.5, dtype))
    assert (gradient.shape, gradient.dtype) == ((), np.dtype(dtype))
    assert value == pytest.approx(2.0 * np.exp(0.5), rel=1e-6)
    assert type(fun.grad(np.float32(0.5))) is float


def test_bind_and_out_in_float32():
    fun = jitgrad.compile(lambda w, x: np.mean((x @ w) ** 2))
    w, x = W.astype("f4"), X.astype("f4")
    value, gradient = fun.value_and_grad(w, x)
    step = fun.bind(w, x)
    assert step() == value
    np.testing.assert_array_equal(step.gradient, gradient)
    out = np.empty_like(w)
    fun.value_and_grad(w, x, out=out)
    np.testing.assert_array_equal(out, gradient)
    with pytest.raises(ArgumentError, match="float32"):
        fun.value_and_grad(w, x, out=np.empty(w.shape))


def test_captured_arrays_in_float32():
    w = Value(W.astype("f4"))
    fun = jitgrad.compile(lambda x: np.mean((x @ w) ** 2))
    value = fun.backward(X.astype("f4"))
    eager = np.mean((X.astype("f4") @ w.detach()) ** 2)
    assert w.grad.dtype == np.float32
    assert value == pytest.approx(eager.data, rel=1e-5)
    w.data = W  # of another type from now on
    w.zero_grad()
    assert fun.backward(X) == pytest.approx(np.mean((X @ W) ** 2), rel=1e-14)
    assert w.grad.dtype == np.float64


@every_loss
def test_eager_arrays_stay_float32(name):
    (_, given), (double, wide) = single_and_double(name)
    fun = LOSSES[name][0]
    single = isinstance(given[0], dict)
    values = {k: Value(v) for k, v in given[0].items()} if single else Value(given[0])
    fun(values, *given[1:]).backward()
    parts = [values[k] for k in sorted(values)] if single else [values]
    gradients = flat(double.grad(*wide))
    for part, exact in zip(parts, gradients, strict=True):
        assert part.grad.dtype == np.float32
        np.testing.assert_allclose(part.grad, exact, rtol=1e-3, atol=5e-5 * np.abs(exact).max())


def test_a_sum_of_a_million_terms():
    """NumPy adds in pairs: 2e-8 away. Partial sums in SIMD: 7e-7; one after another: 8e-6."""
    x = np.random.default_rng(0).random(1_000_000).astype("f4")
    exact = np.sum(x.astype(float))
    assert jitgrad.compile(lambda x: np.sum(x))(x) == pytest.approx(exact, rel=3e-6)


def test_a_function_with_numbers_in_it_may_be_all_that_needs_the_type():
    x, y = np.float32(0.3), np.ones((1, 3), np.float32)
    fun = jitgrad.compile(lambda x, y: np.sum(np.logaddexp(x, x * y)))
    assert fun(x, y) == pytest.approx(3 * np.logaddexp(0.3, 0.3), rel=1e-6)

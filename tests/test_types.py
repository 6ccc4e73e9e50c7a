"""Element types: float32 stays float32, and NumPy's promotion decides what is which."""

import re

import numpy as np
import pytest

import jitgrad

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
    fun, *args = LOSSES[name]
    found = []
    for dtype in ("f4", "f8"):
        compiled = jitgrad.compile(fun, **options)
        found.append(
            (
                compiled,
                converted(tuple(args), dtype) if False else [converted(a, dtype) for a in args],
            )
        )
    return found


@every_loss
@pytest.mark.parametrize("strict", [False, True])
def test_float32_agrees_with_float64(name, strict):
    (single, given), (double, wide) = single_and_double(name, strict=strict)
    value, gradient = single.value_and_grad(*given)
    expected, gradients = double.value_and_grad(*wide)
    assert type(value) is float
    assert value == pytest.approx(expected, rel=2e-5, abs=1e-6)
    assert value != expected or name in ("a number",) or expected == np.float32(expected)
    for found, right, like in zip(flat(gradient), flat(gradients), flat(given[0]), strict=True):
        assert found.dtype == like.dtype == np.float32
        np.testing.assert_allclose(found, right, rtol=2e-4, atol=2e-5 * np.abs(right).max())


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
    assert [line for line in machine_code(single, *given) if WIDE.search(line)] == []

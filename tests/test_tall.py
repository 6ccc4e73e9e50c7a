"""Rows in the fast index: `tall` lays them out, `tile` turns their loops inside out."""

import ast

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import jitgrad
from tests.test_loop_order import agrees

POINTS, COORDINATES, COMPONENTS = 200, 6, 5


def rng():
    return np.random.default_rng(3)


def numbers(*shape):
    return rng().standard_normal(shape)


def loops(source):
    """The nests of a source: for each innermost loop the loops around it, outermost first."""

    def visit(node, around):
        inner = [child for child in ast.walk(node) if isinstance(child, ast.For)]
        if isinstance(node, ast.For):
            around = (*around, ast.unparse(node.iter))
            if len(inner) == 1:
                yield around
        for child in ast.iter_child_nodes(node):
            yield from visit(child, around)

    return list(visit(ast.parse(source), ()))


# --- products of points with small matrices ------------------------------------------------------


def mahalanobis(means, factors, x):
    """Points from several centres, in the metric of each."""
    centered = x - means[:, None, :]
    whitened = centered @ np.swapaxes(factors, 1, 2)
    return np.sum(np.log1p(np.sum(whitened**2, axis=2)))


def rotated(means, factors, x):
    """Products from the left, and of what products made."""
    centered = np.swapaxes(x - means[:, None, :], 1, 2)
    once = factors @ centered
    return np.sum(np.tanh(np.swapaxes(factors, 1, 2) @ once) ** 2)


def scattered(means, factors, x):
    """The sums over points are the matrices."""
    centered = x - means[:, None, :]
    scatter = np.swapaxes(centered, 1, 2) @ (centered * np.cos(centered))
    return np.sum(scatter * factors)


def both_sides(means, factors, x):
    """The points themselves are multiplied, again and again."""
    total = 0.0
    for k in range(len(means)):
        total = total + np.sum(np.sin(x @ factors[k] - means[k]) ** 2)
    return total


def twice(means, factors, x):
    """The gradient by the centres takes a product and the product of its transpose."""
    centres = np.tanh(factors[0] @ np.tanh(x).T)
    return np.sum((centres @ centres.T) ** 2) + np.sum(means * factors[:, 0])


LOSSES = (twice, mahalanobis, rotated, scattered, both_sides)


def arguments(points=POINTS, dtype=float):
    shapes = (COMPONENTS, COORDINATES), (COMPONENTS, COORDINATES, COORDINATES)
    given = (*(numbers(*shape) for shape in shapes), numbers(points, COORDINATES))
    return tuple(a.astype(dtype) for a in given)


def compared(loss, *given, rtol=1e-11):
    """Compare with NumPy and with autograd, by all arguments; return the source."""
    fun = jitgrad.compile(loss, argnums=(0, 1, 2))
    value, gradients = fun.value_and_grad(*given)
    assert value == pytest.approx(loss(*given), rel=rtol)
    of_autograd = type(loss)(loss.__code__, {**loss.__globals__, "np": anp})
    wide = [a.astype(float) for a in given]
    wanted = autograd.grad(of_autograd, (0, 1, 2))(*wide)
    for found, expected in zip(gradients, wanted, strict=True):
        assert found.dtype == given[0].dtype
        scale = np.max(np.abs(expected))
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * scale)
    return fun.source


@pytest.mark.parametrize("loss", LOSSES)
def test_products_of_points_are_right(loss):
    compared(loss, *arguments())


@pytest.mark.parametrize("points", [64, 65, 128, 259])
def test_any_number_of_points_is_right(points):
    compared(mahalanobis, *arguments(points))


def test_products_of_points_are_right_in_float32():
    compared(mahalanobis, *arguments(dtype=np.float32), rtol=2e-4)


def test_two_products_with_the_same_indices_stay_two():
    def loss(x):
        return np.sum((x @ x.T) ** 2)

    for shape in ((8, 100), (100, 8)):
        x = numbers(*shape)
        np.testing.assert_allclose(jitgrad.compile(loss).grad(x), 4.0 * (x @ x.T) @ x, rtol=1e-12)


def test_points_are_laid_out_by_coordinates():
    means, factors, x = arguments()
    fun = jitgrad.compile(mahalanobis, argnums=(0, 1))
    fun.value_and_grad(means, factors, x)
    assert "dot(" not in fun.source
    assert "x_columns[j, i] = x[i, j]" in fun.source
    assert f"np.empty(({POINTS}," not in fun.source


def test_products_go_over_points_innermost():
    means, factors, x = arguments()
    fun = jitgrad.compile(mahalanobis, argnums=(0, 1))
    fun.value_and_grad(means, factors, x)
    strips = [around for around in loops(fun.source) if any("min(" in text for text in around)]
    short = [around for around in strips if "min(" not in around[-1]]
    assert len(strips) >= 4
    assert short, "the sum of a row's terms is inside"
    assert all("min(" in around[-2] and around[-1] == "range(6)" for around in short)


def test_few_or_long_rows_go_to_blas():
    for points, coordinates in ((60, 6), (200, 40)):
        x, factor = numbers(points, coordinates), numbers(coordinates, coordinates)
        fun = jitgrad.compile(lambda f, x: np.sum(np.tanh(np.tanh(x) @ f) ** 2))
        fun.value_and_grad(factor, x)
        assert "dot(" in fun.source


def test_rows_that_are_read_once_go_to_blas():
    fun = jitgrad.compile(lambda f, x: np.sum(np.tanh(x @ f) ** 2))
    fun.value_and_grad(numbers(6, 6), numbers(200, 6))
    assert "dot(x, " in fun.source


def test_strict_keeps_the_order():
    fun = jitgrad.compile(mahalanobis, argnums=(0, 1), strict=True)
    fun.value_and_grad(*arguments())
    assert "min(" not in fun.source
    assert "x_columns" not in fun.source


def test_many_sizes_share_a_kernel():
    fun = jitgrad.compile(mahalanobis, argnums=(0, 1))
    for points in (100, 250, 64, 1000, 333, 77):
        given = arguments(points)
        assert fun(*given) == pytest.approx(mahalanobis(*given), rel=1e-12)
        fun.value_and_grad(*given)
    assert fun.compilations <= 4  # two for the value, two with the gradient


# --- sums over the first axis --------------------------------------------------------------------


def mixed(a):
    top = np.max(a, axis=0)
    return np.sum(np.log(np.sum(np.exp(a - top), axis=0)) + top)


def test_sums_over_the_first_axis_run_along_memory():
    a = numbers(30, 500)
    source = agrees(mixed, a)
    inner = {around[-1] for around in loops(source)}
    assert not inner & {"range(30)", "range(a.shape[0])", "range(grad_a.shape[0])"}


def test_sums_over_the_last_axis_stay():
    a = numbers(500, 30)
    source = agrees(lambda a: np.sum(np.log(np.sum(a**2 + 1.0, axis=1)) ** 2), a)
    assert any(around[-1] == "range(a.shape[1])" for around in loops(source))
    assert "min(128" not in source

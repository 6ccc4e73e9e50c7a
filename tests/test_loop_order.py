"""Interchange, regular tables, columns of short rows, recurrences in strips: source and numbers."""

import ast
import re

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import jitgrad


def rng():
    return np.random.default_rng(11)


def agrees(loss, *arguments, rtol=1e-11):
    """Compare with NumPy and with autograd; return the source."""
    fun = jitgrad.compile(loss)
    value, gradient = fun.value_and_grad(*arguments)
    assert value == pytest.approx(loss(*arguments), rel=1e-12)
    library = {**loss.__globals__, "np": anp}
    of_autograd = type(loss)(loss.__code__, library, closure=loss.__closure__)
    expected = autograd.grad(of_autograd)(*arguments)
    np.testing.assert_allclose(gradient, expected, rtol=rtol, atol=1e-12)
    return fun.source


def ranges(source, target):
    """The loops around the first addition to an array, or to its local, outermost first."""

    def visit(node, around):
        if isinstance(node, ast.For):
            around = [*around, ast.unparse(node.iter)]
        text = ast.unparse(node) if isinstance(node, ast.AugAssign | ast.Assign) else ""
        if re.match(rf"{target}\[.*\] \+=|{target}\d* = add_up\(", text):
            yield around
        for child in ast.iter_child_nodes(node):
            yield from visit(child, around)

    return next(visit(ast.parse(source), []))


# --- interchange ---------------------------------------------------------------------------------


def filtered(kernel, image):
    m, n = image.shape[0] - kernel.shape[0] + 1, image.shape[1] - kernel.shape[1] + 1
    out = 0
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            out = out + kernel[i, j] * image[i : i + m, j : j + n]
    return np.sum(out**2)


def test_shifted_images_are_gone_over_once():
    kernel, image = rng().standard_normal((5, 5)), rng().standard_normal((90, 95))
    source = agrees(filtered, kernel, image)
    assert ranges(source, "out") == ["range(86)", "range(5)", "range(91)", "range(5)"]
    assert "np.empty((86, 91))" not in source


def test_five_taps_are_summed_in_one_loop():
    source = agrees(filtered, rng().standard_normal((5, 5)), rng().standard_normal((90, 95)))
    assert ranges(source, "grad_kernel_4") == ["range(86)", "range(5)", "range(91)"]
    assert source.count("add_up(grad_kernel_") == 5


def gram(a, b):
    return np.sum(np.tanh(a @ b.T) ** 3)


@pytest.mark.parametrize("rows", [(6, 6), (6, 17), (16, 2), (3, 40)])
def test_sums_of_products_agree(rows):
    a, b = (rng().standard_normal((n, 100)) for n in rows)
    fun = jitgrad.compile(gram, argnums=(0, 1))
    of_autograd = type(gram)(gram.__code__, {**gram.__globals__, "np": anp})
    for found, expected in zip(
        fun.grad(a, b), autograd.grad(of_autograd, (0, 1))(a, b), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


def test_a_sum_that_the_other_statements_read_stays():
    def loss(w, x):
        total = 0.0
        seen = np.zeros(4)
        for k in range(4):
            s = np.sum(w[k] * x)
            seen = seen + s * np.arange(4.0)
            total = total + np.sum(np.sin(x * s)) * seen[k]
        return total

    agrees(loss, rng().standard_normal((4, 60)), rng().standard_normal(60))


def test_a_small_image_keeps_the_order_of_the_user():
    source = agrees(filtered, rng().standard_normal((3, 3)), rng().standard_normal((12, 13)))
    assert ranges(source, "out") == ["range(3)", "range(3)", "range(10)", "range(11)"]


def product(A, B):
    c = np.sum(B) * 0.0
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            s = 0.0
            for k in range(A.shape[1]):
                s = s + A[i, k] * B[k, j]
            c = c + s * s
    return c


def test_a_matrix_product_in_loops_against_autograd():
    agrees(product, rng().standard_normal((6, 7)), rng().standard_normal((7, 5)))


def test_strict_keeps_the_loops():
    kernel, image = rng().standard_normal((5, 5)), rng().standard_normal((90, 95))
    source = jitgrad.compile(filtered, strict=True).lower(kernel, image).source
    assert ranges(source, "out")[:2] == ["range(5)", "range(5)"]


def blurred(x, image):
    for _ in range(6):  # each pass needs all of the one before
        image = image[1:-1] + x[0] * image[:-2] + x[1] * image[2:]
    return np.sum(image**2)


def test_iterations_that_need_each_other_stay_in_order():
    agrees(blurred, np.array([0.3, -0.2]), rng().standard_normal((40, 130)))


# --- regular tables ------------------------------------------------------------------------------


def upper(x, k):
    i, j = np.triu_indices(x.shape[0], k)
    return np.sum(1.0 / (1.0 + np.sum((x[i] - x[j]) ** 2, axis=1)))


def lower(x, k):
    i, j = np.tril_indices(x.shape[0], k)
    return np.sum(np.exp(-np.sum((x[i] - 0.5 * x[j]) ** 2, axis=1)))


def grid(x, k):
    i, j = np.repeat(np.arange(x.shape[0] - k), 5), np.tile(np.arange(5), x.shape[0] - k)
    return np.sum(np.sin(x[i + k, 0] * x[j, 1]))


@pytest.mark.parametrize("loss", [upper, lower, grid])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_tables_of_pairs_become_loops(loss, k):
    k = -k if loss.__name__ == "lower" else k
    source = agrees(loss, rng().standard_normal((9, 3)), k)
    assert "np.array" not in source


def test_irregular_tables_stay():
    i = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3])
    j = np.array([1, 2, 3, 2, 3, 3, 4, 5, 6, 4, 5, 6])

    def loss(x):
        return np.sum(np.exp(x[i] * x[j]))

    fun = jitgrad.compile(loss)
    x = rng().standard_normal(7)
    value, gradient = fun.value_and_grad(x)
    assert value == pytest.approx(loss(x))
    expected = np.zeros(7)
    np.add.at(expected, i, np.exp(x[i] * x[j]) * x[j])
    np.add.at(expected, j, np.exp(x[i] * x[j]) * x[i])
    np.testing.assert_allclose(gradient, expected)
    assert "np.array" in fun.lower(x).source or "i[" in fun.lower(x).source


def test_a_table_whose_last_run_is_cut_short_stays_right():
    def loss(x):
        i, j = (table[:-3] for table in np.triu_indices(len(x), 1))
        return np.sum(np.cos(x[i] - x[j]) * x[j])

    x = rng().standard_normal(8)
    value, gradient = jitgrad.compile(loss).value_and_grad(x)
    assert value == pytest.approx(loss(x))
    for at in range(8):
        step = np.zeros(8, dtype=complex)
        step[at] = 1e-30j
        assert gradient[at] == pytest.approx(loss(x + step).imag / 1e-30)


# --- columns -------------------------------------------------------------------------------------


def gravity(x):
    total = 0.0
    for i in range(len(x)):
        for j in range(i):
            d = x[i] - x[j]
            total = total - 1.0 / np.sqrt(np.sum(d * d) + 0.1)
    return total


def test_short_rows_become_columns():
    source = agrees(gravity, rng().standard_normal((20, 3)))
    assert "x_0 = np.empty(20)" in source and "grad_x_2 = np.empty(20)" in source


def test_rows_that_are_used_once_stay():
    source = agrees(lambda x: np.sum(np.sqrt(np.sum(x**2, axis=1))), rng().standard_normal((50, 3)))
    assert "np.empty" not in source


# --- recurrences ---------------------------------------------------------------------------------


def garch(p, r):
    h = p[0]
    total = 0.0
    for t in range(len(r)):
        total = total + np.log(h) + r[t] ** 2 / h
        h = p[0] + p[1] * r[t] ** 2 + p[2] * h
    return total


@pytest.mark.parametrize("count", [5, 64, 65, 200])
def test_logarithms_of_a_recurrence_are_taken_in_strips(count):
    source = agrees(garch, np.array([0.1, 0.2, 0.6]), rng().standard_normal(count))
    assert ("range(min(64," in source) == (count > 20)


def feedback(p, r):
    state, total = 0.1, 0.0
    for t in range(len(r)):
        state = np.tanh(p[0] * state + p[1] * r[t])  # the slow part is in the circle
        total = total + np.exp(-state * state)
    return total


def test_what_goes_around_in_a_circle_stays_scalar():
    source = agrees(feedback, np.array([0.5, 0.7]), rng().standard_normal(150))
    assert "= np.tanh(" in source and " exp(" in source


def mirrored(p, r):
    h = p[0]
    total = 0.0
    for t in range(len(r) - 1, -1, -1):
        h = p[1] * h + r[t]
        total = total + np.log(1.0 + h * h)
    return total


def test_a_recurrence_that_runs_down():
    agrees(mirrored, np.array([0.5, 0.7]), rng().standard_normal(150))


# --- what the next iteration adds to -------------------------------------------------------------


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


@pytest.mark.parametrize("count", [2, 3, 4, 50])  # a short loop is written out
def test_a_neighbour_s_share_is_handed_on(count):
    source = agrees(rosenbrock, rng().standard_normal(count))
    assert ("grad_x_carried" in source) == (count > 4)


def test_three_neighbours_are_not_handed_on():
    source = agrees(lambda x: np.sum((x[2:] - 2 * x[1:-1] * x[:-2]) ** 3), np.arange(1.0, 9.0))
    assert "carried" not in source


# --- divisions by numbers ------------------------------------------------------------------------


def test_a_division_by_a_number_is_a_product_unless_strict():
    x = rng().standard_normal(40)
    assert "/ 3.0" not in agrees(lambda x: np.sum(np.tanh(x / 3.0)), x)
    assert "/ 3.0" in jitgrad.compile(lambda x: np.sum(x / 3.0), strict=True).lower(x).source


@pytest.mark.parametrize("number", [5e-324, 1e-310, 1.7e308, np.inf, np.nan, 0.0, -0.0])
def test_a_division_that_a_product_would_change_stays(number):
    x = np.array([1.0, -1.0, 0.0, 1e-300, 3e300, np.inf])
    fun = jitgrad.compile(lambda x: (x[0], x / number), has_aux=True)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(fun(x)[1], x / number)


def test_two_numbers_that_overflow_and_come_back_stay_apart():
    fun = jitgrad.compile(lambda x: (x[0], 1e-200 * (1e200 * x)), has_aux=True)
    x = np.array([1.0, 1e150])
    np.testing.assert_array_equal(fun(x)[1], [1.0, np.inf])


# --- explain -------------------------------------------------------------------------------------


def test_explain_tells_what_was_done_and_what_stopped_the_rest():
    small, large = rng().standard_normal((8, 8)), rng().standard_normal((40, 40))

    def loss(A, B):
        return np.sum(np.tanh(A @ A) ** 2) + np.sum((B @ B) ** 3)

    told = jitgrad.compile(lambda a: np.sum(np.sort(np.linalg.solve(a, large[:3, 0])))).lower(
        np.eye(3) * 2.0
    )
    assert "routines:\n  lu of a: test_loop_order.py" in told.explain()
    assert "is kept: a routine takes or makes it whole" in told.explain()
    told = jitgrad.compile(loss, argnums=(0, 1)).lower(small, large).explain()
    assert "BLAS: 40x40 by 40x40, test_loop_order.py" in told
    assert "8 x 8 x 8: a call is worth it from 2048 multiply-adds" in told
    assert "a matrix product takes it whole" in told
    told = jitgrad.compile(garch).lower(np.array([0.1, 0.2, 0.6]), np.ones(200)).explain()
    assert "one has to run forwards and the other backwards" in told
    assert "strip: worked on in strips of 64 rows" in told

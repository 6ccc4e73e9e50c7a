"""Each pass on small Programs written by hand: the same numbers, and the shape it promises."""

import itertools
import random

import numpy as np
import pytest

from jitgrad.contract import contract, drop_axes, hand_on, keep_latest, merge_fills
from jitgrad.first_writes import first_writes
from jitgrad.fuse import fuse, sink_fills
from jitgrad.hoist import hoist
from jitgrad.interpreter import run
from jitgrad.invariant import lift_invariants
from jitgrad.ops import OPS
from jitgrad.pipeline import PASSES, STRICT_PASSES
from jitgrad.program import Accumulate, Affine, Assign, Buffer, Loop, Program, Ref, walk
from jitgrad.promote import promote
from jitgrad.rematerialise import rematerialise
from jitgrad.shapes import natural_shapes
from jitgrad.simplify import common, dead, flatten_loops, propagate, simplify
from jitgrad.sums import gather_sums
from jitgrad.unroll import unroll
from tests.written import agree, body_of, data, lines, parsed


def becomes(step, before, after):
    """Apply a pass; compare the numbers before and after, and the text."""
    program = parsed(before)
    found = agree(program, step(program))
    assert body_of(found) == lines(after)
    return found


def stays(step, text):
    """A pass that has no right to change a Program leaves it as it is."""
    program = parsed(text)
    assert agree(program, step(program)).body == program.body


# --- fuse ----------------------------------------------------------------------------------------


def two_loops(first, second, more=""):
    """Two loops over 5; ``a`` has room on both sides."""
    return f"""
x: input(7)
a: temporary(7)
b: output(7)
s: temporary()
{more}
s = 0.0
a[0] = 2.0
a[6] = 3.0
for k in range(7):
    b[k] = 0.0
for i in range(5):
    {first}
for j in range(5):
    {second}
return s
"""


def loops_of(program):
    return [node for node in program.body if isinstance(node, Loop)]


def fused(text):
    """The last loop after fusing, and how many there are."""
    program = parsed(text)
    found = loops_of(agree(program, fuse(fuse(program))))
    return found[-1], len(found)


def test_the_same_element_fuses():
    loop, count = fused(two_loops("a[i + 1] = mul(x[i], 2.0)", "b[j] += a[j + 1]"))
    assert count == 2 and len(loop.body) == 2 and not loop.backward


def test_an_earlier_element_fuses_forward():
    loop, count = fused(two_loops("a[i + 1] = mul(x[i], 2.0)", "b[j] += a[j]"))
    assert count == 2 and not loop.backward


def test_a_later_element_fuses_backward():
    loop, count = fused(two_loops("a[i + 1] = mul(x[i], 2.0)", "b[j] += a[j + 2]"))
    assert count == 2 and loop.backward


def test_elements_on_both_sides_do_not_fuse():
    text = two_loops("a[i + 1] = mul(x[i], 2.0)", "b[j] = add(a[j], a[j + 2])")
    assert fused(text)[1] == 3


def test_a_carried_loop_does_not_turn_around():
    text = two_loops("a[i + 1] = mul(a[i], x[i])", "b[j] += a[j + 2]")
    assert fused(text)[1] == 3


def test_a_mirrored_element_does_not_fuse():
    assert fused(two_loops("a[i + 1] = mul(x[i], 2.0)", "b[j] += a[5 - j]"))[1] == 3


def test_strides_that_never_meet_fuse():
    text = two_loops("a[i + 1] = mul(x[i], 2.0)", "s += y[j]", "y: input(5)")
    assert fused(text)[1] == 3  # they share nothing, so there is nothing to be won
    text = two_loops("b[i + 1] += x[i]", "b[j + 1] += a[0]")
    assert fused(text)[1] == 2


def test_what_stands_between_may_have_to_stay_there():
    text = """
    x: input(4)
    a: temporary(4)
    b: output(4)
    s: temporary()
    t: temporary()
    s = 0.0
    for i in range(4):
        a[i] = mul(x[i], 2.0)
        s += x[i]
    t = mul(s, 3.0)
    for j in range(4):
        b[j] = mul(a[j], t)
    """
    assert fused(text)[1] == 2
    assert fused(text.replace("mul(s, 3.0)", "mul(x[1], 3.0)"))[1] == 1


def test_triangles_fuse_over_equal_extents():
    text = """
    x: input(4)
    a: temporary(4, 4)
    g: output(4)
    for z in range(4):
        g[z] = 0.0
    for i in range(4):
        for j in range(3 - i):
            a[i, j] = mul(x[i], x[j + i + 1])
    for k in range(4):
        for l in range(3 - k):
            g[k] += a[k, l]
    """
    program = parsed(text)
    (loop,) = loops_of(agree(program, fuse(fuse(program))))
    assert [type(node) for node in loop.body] == [Assign, Loop]
    other = parsed(
        text.replace("for l in range(3 - k)", "for l in range(2)").replace("a[k, l]", "x[l]")
    )
    (loop,) = loops_of(agree(other, fuse(fuse(other))))
    assert [type(node) for node in loop.body] == [Assign, Loop, Loop]


def test_views_are_the_storage_they_share():
    text = """
    x: input(4)
    a: temporary(2, 4)
    row: temporary(4, views="a", offset={offset})
    g: output(4)
    for i in range(4):
        a[1, i] = mul(x[i], 2.0)
    for j in range(4):
        g[j] = mul(row[{place}], x[j])
    """
    apart = text.format(offset=4, place="3 - j")
    assert fused(apart)[1] == 2
    same = text.replace("a[1, i]", "row[i]").format(offset=4, place="j")
    assert fused(same)[1] == 1


def test_elements_that_are_picked_may_be_any():
    text = """
    x: input(4)
    n: input(4, dtype="i8")
    a: temporary(4)
    g: output(4)
    for z in range(4):
        g[z] = 0.0
    for i in range(4):
        a[i] = mul(x[i], 2.0)
    for j in range(4):
        g[{place}] += a[{read}]
    """
    assert fused(text.format(place="j", read="n[j]"))[1] == 2
    assert fused(text.format(place="n[j]", read="j"))[1] == 2  # the fill of g stays before


def test_a_row_s_cotangent_joins_its_forward_loop():
    text = """
    x: input(6)
    e: temporary(6)
    s: temporary()
    e_bar: temporary(6)
    g: output(6)
    s = 0.0
    for i in range(6):
        e[i] = mul(x[i], x[i])
    for k in range(6):
        s += e[k]
    for m in reversed(range(6)):
        e_bar[m] = 2.0
    for n in reversed(range(6)):
        g[n] = mul(e_bar[n], x[n])
    return s
    """
    loop, count = fused(text)
    assert count == 1 and not loop.backward and len(loop.body) == 4


def test_strict_keeps_the_order_of_additions():
    text = """
    x: input(4)
    y: input(4)
    s: temporary()
    s = 0.0
    for i in range(4):
        s += x[i]
    for j in range(4):
        s += y[j]
    return s
    """
    program = parsed(text)
    assert len(loops_of(agree(program, fuse(program)))) == 1
    assert len(loops_of(agree(program, fuse(program, strict=True)))) == 2


# --- fills ---------------------------------------------------------------------------------------

CARRIED_BAR = """
w: input()
g: output(4)
bar: temporary(5)
for z in range(5):
    bar[z] = 0.0
bar[4] += 3.0
for i in reversed(range(4)):
    g[i] = mul(bar[i + 1], 2.0)
    bar[i] += mul_[i]
return w
"""


def carried_bar():
    text = CARRIED_BAR.replace(
        "    bar[i] += mul_[i]", "    p[i] = mul(bar[i + 1], w)\n    bar[i] += p[i]"
    )
    return text.replace("bar: temporary(5)", "bar: temporary(5)\np: temporary(4)")


def test_a_fill_sinks_to_the_iteration_that_needs_it():
    found = becomes(
        sink_fills,
        carried_bar(),
        """
        bar[4] = copy(0.0)
        bar[4] += 3.0
        for i in reversed range(4):
            bar[i] = copy(0.0)
            g[i] = mul(bar[i + 1], 2.0)
            p[i] = mul(bar[i + 1], w)
            bar[i] += p[i]
        """,
    )
    found = agree(parsed(carried_bar()), contract(found))
    assert found.buffers["bar"].shape == ()
    assert not any(b.shape for b in found.buffers.values() if b.kind == "temporary")


def test_a_fill_does_not_sink_below_what_it_would_undo():
    stays(sink_fills, carried_bar().replace("bar[4] += 3.0", "bar[4] += 3.0\nbar[2] += 1.0"))


def test_a_fill_of_what_is_used_elsewhere_does_not_sink():
    stays(sink_fills, carried_bar().replace("p[i] = mul(bar[i + 1], w)", "p[i] = mul(bar[4], w)"))


def test_the_first_addition_is_an_assignment():
    becomes(
        merge_fills,
        """
        x: input(2)
        g: output(3)
        s: temporary()
        s = 0.0
        g[0] = 0.0
        g[1] = 0.0
        s += x[0]
        s += x[1]
        g[1] += s
        g[0] += x[1]
        g[2] = 0.0
        for i in range(2):
            g[2] += x[i]
        return s
        """,
        """
        s = copy(x[0])
        s += x[1]
        g[1] = copy(s)
        g[0] = copy(x[1])
        g[2] = copy(0.0)
        for i in range(2):
            g[2] += x[i]
        """,
    )


def test_a_fill_stays_before_an_addition_that_reads_it():
    stays(
        merge_fills,
        """
        a: temporary()
        b: temporary()
        x: input()
        a = x
        b = 0.0
        a += b
        b += x
        return a
        """,
    )


def test_a_fill_stays_before_a_view_that_reads_it():
    stays(
        merge_fills,
        """
        x: input(4)
        g: output(4)
        view: output(4, views="g")
        g[2] = 0.0
        g[3] = 0.0
        g[0] = 0.0
        g[1] = view[0]
        g[0] += x[1]
        """,
    )


ZEROED = """
x: input(4)
g: {kind}(5)
s: temporary()
s = 0.0
for z in range(5):
    g[z] = 0.0
for i in range({count}):
    g[{place}] += x[{read}]
for j in range({reads}):
    s += g[{at}]
return s
"""


@pytest.mark.parametrize(
    "kind, count, place, read, reads, at, merges",
    [
        ("temporary", 4, "i", "i", 4, "j", True),  # all that is read
        ("temporary", 4, "i", "i", 5, "j", False),  # the last is read and never added to
        ("temporary", 4, "i + 1", "i", 4, "j + 1", False),  # not seen, but never wrong
        ("temporary", 4, "4 - i", "i", 4, "4 - j", False),
        ("temporary", 4, "2", "i", 1, "2", False),  # more than one addition
        ("output", 4, "i", "i", 4, "j", False),  # the caller reads all of an output
    ],
)
def test_nothing_is_zeroed_that_is_first_written(kind, count, place, read, reads, at, merges):
    text = ZEROED.format(kind=kind, count=count, place=place, read=read, reads=reads, at=at)
    program = parsed(text)
    found = agree(program, first_writes(program))
    assert (len(loops_of(found)) == 2) == merges


def test_a_triangle_that_is_read_is_first_written():
    text = """
    x: input(4)
    g: temporary(4, 4)
    s: temporary()
    s = 0.0
    for y in range(4):
        for z in range(4):
            g[y, z] = 0.0
    for i in range(4):
        for j in range({first}):
            g[i, j] += x[j]
    for k in range(4):
        for l in range({second}):
            s += g[k, l]
    return s
    """
    same = parsed(text.format(first="i + 1", second="k + 1"))
    assert len(loops_of(agree(same, first_writes(same)))) == 2
    more = parsed(text.format(first="i + 1", second="4 - k"))
    assert len(loops_of(agree(more, first_writes(more)))) == 3


# --- contract ------------------------------------------------------------------------------------


def test_an_array_of_one_iteration_is_a_local():
    becomes(
        drop_axes,
        """
        x: input(3, 4)
        a: temporary(3, 4)
        b: temporary(3, 5)
        g: output(3, 4)
        for i in range(3):
            b[i, 0] = 1.0
            for j in range(4):
                a[i, j] = mul(x[i, j], 2.0)
                b[i, j + 1] = mul(b[i, j], a[i, j])
                g[i, j] = add(b[i, j + 1], 1.0)
        """,
        """
        for i in range(3):
            b[0] = copy(1.0)
            for j in range(4):
                a = mul(x[i, j], 2.0)
                b[j + 1] = mul(b[j], a)
                g[i, j] = add(b[j + 1], 1.0)
        """,
    )


def test_an_axis_is_kept_for_a_loop_that_reads_it_later():
    stays(
        drop_axes,
        """
        x: input(3)
        a: temporary(3)
        g: output(3)
        for i in range(3):
            a[i] = mul(x[i], 2.0)
        for j in range(3):
            g[j] = add(a[j], 1.0)
        """,
    )


def test_a_carried_value_is_handed_on():
    text = """
    x: input(4)
    h: temporary(5)
    g: output(4)
    h[0] = 1.0
    for i in range(4):
        g[i] = mul(h[i], 3.0)
        h[i + 1] = mul(h[i], x[i])
    return h[4]
    """
    becomes(
        hand_on,
        text,
        """
        h = copy(1.0)
        for i in range(4):
            g[i] = mul(h, 3.0)
            h = mul(h, x[i])
        """,
    )
    both = text.replace("        g[i] = mul(h[i], 3.0)\n", "").replace(
        "x[i])\n", "x[i])\n        g[i] = sub(h[i + 1], h[i])\n"
    )
    becomes(
        hand_on,
        both,
        """
        h = copy(1.0)
        for i in range(4):
            h_next = mul(h, x[i])
            g[i] = sub(h_next, h)
            h = copy(h_next)
        """,
    )
    stays(hand_on, text.replace("return h[4]", "return h[3]"))
    stays(hand_on, text.replace("mul(h[i], 3.0)", "mul(h[0], 3.0)"))


def test_a_row_that_is_carried_is_handed_on():
    text = """
    x: input(3)
    h: temporary(5, 3)
    g: output(3)
    for z in range(3):
        h[0, z] = x[z]
    for t in range(4):
        for i in range(3):
            h[t + 1, i] = mul(h[t, 2 - i], x[i])
    for k in range(3):
        g[k] = add(h[4, k], 1.0)
    """
    program = parsed(text)
    found = agree(program, hand_on(program))
    assert found.buffers["h"].shape == found.buffers["h_next"].shape == (3,)


def test_a_stored_carried_value_is_read_from_a_local():
    becomes(
        keep_latest,
        """
        x: input(4)
        h: temporary(5)
        g: output(4)
        h[0] = 1.0
        for i in range(4):
            h[i + 1] = mul(h[i], x[i])
        for j in reversed(range(4)):
            g[j] = mul(h[j + 1], h[j])
        """,
        """
        h[0] = copy(1.0)
        h_before = copy(1.0)
        for i in range(4):
            h_latest = mul(h_before, x[i])
            h[i + 1] = copy(h_latest)
            h_before = copy(h_latest)
        for j in reversed range(4):
            g[j] = mul(h[j + 1], h[j])
        """,
    )


@pytest.mark.parametrize("between", ["h[0] = mul(x[1], 2.0)", "h[0] += 2.0", "a = 2.0"])
def test_a_carried_value_that_was_stored_and_changed_is_loaded(between):
    program = parsed(
        f"""
        x: input(4)
        a: temporary()
        h: temporary(5)
        a = x[0]
        h[0] = a
        {between}
        for i in range(4):
            h[i + 1] = mul(h[i], x[i])
        return h[3]
        """
    )
    found = agree(program, keep_latest(program))
    assert "h_before = copy(h[0])" in body_of(found)


def test_a_sum_into_one_element_is_a_local():
    found = becomes(
        promote,
        """
        x: input(3, 4)
        g: output(3)
        for z in range(3):
            g[z] = 0.0
        for i in range(3):
            for j in range(4):
                g[i] += x[i, j]
        """,
        """
        for z in range(3):
            g[z] = copy(0.0)
        for i in range(3):
            s2 = copy(g[i])
            for j in range(4):
                s2 += x[i, j]
            g[i] = copy(s2)
        """,
    )
    assert found.buffers["s2"].shape == ()


@pytest.mark.parametrize("other", ["g[j] += x[0, j]", "y[j] = g[j]", "g[n[j]] += x[0, j]"])
def test_a_sum_stays_where_the_loop_may_touch_its_element(other):
    stays(
        promote,
        f"""
        x: input(3, 4)
        n: input(4, dtype="i8")
        g: output(4)
        y: output(4)
        for z in range(4):
            g[z] = 0.0
        for i in range(3):
            for j in range(4):
                g[i] += x[i, j]
                {other}
        """,
    )


def test_a_sum_is_not_promoted_where_its_loop_may_not_run_at_all():
    stays(
        promote,
        """
        x: input(4)
        g: output(4)
        for z in range(4):
            g[z] = 0.0
        for i in range(4):
            for j in range(3 - i):
                g[i + 1] += x[j]
        """,
    )


# --- simplify ------------------------------------------------------------------------------------


def test_a_copy_is_looked_through_at_shifted_places():
    becomes(
        propagate,
        """
        x: input(5, 4)
        a: temporary(6, 4)
        g: output(4, 3)
        for i in range(5):
            for j in range(4):
                a[i + 1, j] = x[i, j]
        for k in range(4):
            for l in range(3):
                g[k, l] = mul(a[k + 2, l + 1], 2.0)
        """,
        """
        for i in range(5):
            for j in range(4):
                a[i + 1, j] = copy(x[i, j])
        for k in range(4):
            for l in range(3):
                g[k, l] = mul(x[k + 1, l + 1], 2.0)
        """,
    )


def test_a_copy_with_two_writers_is_not_looked_through():
    stays(
        propagate,
        """
        x: input(4)
        a: temporary(5)
        g: output(5)
        a[0] = 0.0
        for i in range(4):
            a[i + 1] = x[i]
        for k in range(5):
            g[k] = mul(a[k], 2.0)
        """,
    )


SPECIAL = [0.0, 1.0, -0.0, -1.0, np.inf, 2.0, -np.inf, 0.5, np.nan, 3.0, 5e-324, -2.0, 1e308]
SPECIAL += [-0.1, -1.7e308, -5e-324, 2.2e-308]


def bits(value):
    """A number as text; all NaNs are one."""
    return "nan" if value != value else float(value).hex()


def applied(op, *operands):
    """``r = op(*operands)``; an operand is a name, a number, or again ``(op, ...)``."""
    body, buffers = [], {name: Buffer((), "input") for name in "xy"}

    def made(operand, name):
        if not isinstance(operand, tuple):
            return Ref(operand) if isinstance(operand, str) else operand
        inner = tuple(made(part, f"{name}{n}") for n, part in enumerate(operand[1:]))
        body.append(Assign(Ref(name), operand[0], inner))
        buffers[name] = Buffer((), "temporary")
        return Ref(name)

    result = made((op, *operands), "r")
    return Program(buffers, tuple(body), result)


CONSTANTS = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 4.0, 0.5, -3.0, np.inf, np.nan, 1e308]
BINARY = ["add", "sub", "mul", "div", "maximum", "minimum"]
INNER = [
    "x",
    "y",
    ("neg", "x"),
    ("neg", "y"),
    ("mul", 2.0, "x"),
    ("mul", "x", -3.0),
    ("neg", ("neg", "x")),
]


def expressions():
    for op, constant, inner in itertools.product(BINARY, CONSTANTS, INNER):
        yield applied(op, inner, constant)
        yield applied(op, constant, inner)
    for op, a, b in itertools.product(BINARY, INNER, INNER):
        yield applied(op, a, b)
    for inner in INNER:
        yield applied("neg", inner)
        yield applied("where", 1.0, inner, "y")
        yield applied("where", 0.0, inner, "y")
        yield applied("where", np.nan, inner, "y")
        for exponent in (0.0, -0.0, 1.0):
            yield applied("pow", inner, exponent)


def test_algebra_keeps_every_bit():
    changed = 0
    few = SPECIAL[::2]
    for program in expressions():
        found = simplify(program)
        if found.body == program.body:
            continue
        changed += 1
        others = few if "'y'" in str(program.body) else [0.0]
        for x, y in itertools.product(few if len(others) > 1 else SPECIAL, others):
            before, after = (run(p, {"x": x, "y": y}).value for p in (program, found))
            assert bits(after) == bits(before), f"{program}\n{found}\n{x} {y}"
    assert changed > 400


@pytest.mark.parametrize("exponent", [2.0, -1.0])
def test_a_small_power_is_at_most_one_rounding_away(exponent):
    program = applied("pow", "x", exponent)
    found = simplify(program)
    assert [node.op for node in found.body] != ["pow"]
    for x in [*SPECIAL, *np.random.default_rng(0).normal(size=200)]:
        before, after = (run(p, {"x": x, "y": 0.0}).value for p in (program, found))
        np.testing.assert_allclose(after, before, rtol=3e-16)


def test_what_a_table_holds_at_a_fixed_place_is_put_in():
    found = becomes(
        simplify,
        """
        x: input(4)
        k: table([0.5, 2.0])
        n: table([[3, 1], [0, 2]], dtype="i8")
        g: output(3)
        g[0] = mul(x[n[0, 0]], k[1])
        for i in range(2):
            g[i + 1] = mul(x[n[1, i] + n[1, 0]], k[i])
        """,
        """
        g[0] = mul(x[3], 2.0)
        for i in range(2):
            g[i + 1] = mul(x[n[1, i]], k[i])
        """,
    )
    assert set(found.tables) == {"k", "n"}


def test_constants_fold_through_copies():
    becomes(
        simplify,
        """
        x: input()
        a: temporary()
        b: temporary()
        c: temporary()
        a = 2.0
        b = mul(a, 3.0)
        c = mul(x, b)
        return c
        """,
        "c = mul(x, 6.0)",
    )


def test_equal_expressions_are_computed_once():
    found = becomes(
        common,
        """
        x: input(4)
        a: temporary(4)
        b: temporary(4)
        c: temporary(4)
        d: temporary(4)
        g: output(4)
        for i in range(4):
            a[i] = mul(x[i], 3.0)
            b[i] = mul(3.0, x[i])
            c[i] = sub(x[i], 3.0)
            d[i] = sub(3.0, x[i])
            g[i] = div(a[i], b[i])
        """,
        """
        for i in range(4):
            a[i] = mul(x[i], 3.0)
            b[i] = copy(a[i])
            c[i] = sub(x[i], 3.0)
            d[i] = sub(3.0, x[i])
            g[i] = div(a[i], b[i])
        """,
    )
    assert body_of(simplify(found)) == lines(
        """
        for i in range(4):
            a[i] = mul(x[i], 3.0)
            g[i] = div(a[i], a[i])
        """
    )


def test_zeros_of_two_signs_are_not_equal():
    stays(
        common,
        """
        x: input()
        a: temporary()
        b: temporary()
        c: temporary()
        a = div(x, 0.0)
        b = div(x, -0.0)
        c = add(a, b)
        return c
        """,
    )


def test_an_expression_in_a_loop_that_may_not_run_is_not_shared():
    stays(
        common,
        """
        x: input(4)
        a: temporary(4, 4)
        b: temporary(4)
        g: output(4)
        for i in range(4):
            for j in range(i):
                a[i, j] = mul(x[i], x[i])
            b[i] = mul(x[i], x[i])
            g[i] = add(b[i], 1.0)
        """,
    )


def test_what_nobody_reads_goes():
    found = becomes(
        dead,
        """
        x: input(4)
        y: input(4)
        a: temporary(4)
        b: temporary(4)
        c: temporary(4)
        view: temporary(2, 2, views="c")
        g: output(4)
        for i in range(4):
            a[i] = mul(x[i], 2.0)
            b[i] = mul(a[i], 2.0)
            c[i] = mul(x[i], 3.0)
        for k in range(4):
            b[k] += a[k]
        for j in range(2):
            g[j] = add(view[1, j], 1.0)
            g[j + 2] = 0.0
        """,
        """
        for i in range(4):
            c[i] = mul(x[i], 3.0)
        for j in range(2):
            g[j] = add(view[1, j], 1.0)
            g[j + 2] = copy(0.0)
        """,
    )
    assert set(found.buffers) == {"x", "y", "c", "view", "g"}


def test_loops_of_one_iteration_are_written_out_and_of_none_dropped():
    becomes(
        flatten_loops,
        """
        x: input(3)
        g: output(3)
        for i in range(1):
            for j in range(2 - i):
                g[i + j] = mul(x[i], 2.0)
            for k in range(i):
                g[k] = 5.0
        for l in range(0):
            g[l] = 1.0
        g[2] = 1.0
        """,
        """
        for j in range(2):
            g[j] = mul(x[0], 2.0)
        g[2] = copy(1.0)
        """,
    )


# --- unroll, rematerialise, invariants -----------------------------------------------------------


def test_short_axes_become_locals():
    found = becomes(
        unroll,
        """
        x: input(5, 3)
        d: temporary(5, 3)
        s: temporary(5)
        g: output(5, 3)
        for i in range(5):
            for a in range(3):
                d[i, a] = mul(x[i, a], 2.0)
            s[i] = add(d[i, 0], d[i, 2])
            for b in reversed(range(3)):
                g[i, b] = mul(s[i], d[i, b])
        """,
        """
        for i in range(5):
            d_0[i] = mul(x[i, 0], 2.0)
            d_1[i] = mul(x[i, 1], 2.0)
            d_2[i] = mul(x[i, 2], 2.0)
            s[i] = add(d_0[i], d_2[i])
            g[i, 0] = mul(s[i], d_0[i])
            g[i, 1] = mul(s[i], d_1[i])
            g[i, 2] = mul(s[i], d_2[i])
        """,
    )
    assert found.buffers["d_0"].shape == (5,) and "d" not in found.buffers


@pytest.mark.parametrize(
    "extent, place", [("6", "a"), ("3", "n[a]"), ("2", "a + i"), ("i + 1", "a")]
)
def test_long_or_wandering_axes_stay(extent, place):
    stays(
        unroll,
        f"""
        x: input(7)
        n: input(7, dtype="i8")
        d: temporary(3, 6)
        g: output(3, 6)
        for i in range(3):
            for z in range(6):
                d[i, z] = 1.0
            for a in range({extent}):
                g[i, a] = mul(d[i, {place}], x[a])
            for y in range(6):
                g[i, y] = mul(x[0], d[i, y])
        """.replace("for y in range(6):\n                g[i, y] = mul(x[0], d[i, y])", ""),
    )


def test_a_cheap_value_is_made_again():
    becomes(
        rematerialise,
        """
        x: input(4)
        a: temporary(4)
        e: temporary(4)
        g: output(4)
        s: temporary()
        s = 0.0
        for i in range(4):
            a[i] = mul(x[i], 2.0)
            e[i] = exp(a[i])
            s += e[i]
        for j in reversed(range(4)):
            g[j] = mul(a[j], e[j])
        return s
        """,
        """
        s = copy(0.0)
        for i in range(4):
            a[i] = mul(x[i], 2.0)
            e[i] = exp(a[i])
            s += e[i]
        for j in reversed range(4):
            a_again5[j] = mul(x[j], 2.0)
            g[j] = mul(a_again5[j], e[j])
        """,
    )


def test_a_carried_value_is_kept():
    stays(
        rematerialise,
        """
        x: input(4)
        h: temporary(5)
        g: output(4)
        h[0] = 1.0
        for i in range(4):
            h[i + 1] = mul(h[i], x[i])
        for j in reversed(range(4)):
            g[j] = mul(h[j], 2.0)
        """,
    )


def test_what_does_not_change_is_computed_before_the_loop():
    becomes(
        lift_invariants,
        """
        x: input(4)
        a: temporary(4, 3)
        b: temporary(4, 3)
        g: output(4, 3)
        for i in range(4):
            for j in range(3):
                a[i, j] = exp(x[i])
                b[i, j] = mul(a[i, j], 2.0)
                g[i, j] = mul(b[i, j], x[j])
        """,
        """
        for i in range(4):
            a[i] = exp(x[i])
            b[i] = mul(a[i], 2.0)
            for j in range(3):
                g[i, j] = mul(b[i], x[j])
        """,
    )


def test_an_element_outside_its_buffer_is_not_computed_before_a_loop_that_does_not_run():
    stays(
        lift_invariants,
        """
        x: input(4)
        a: temporary(4, 4)
        g: output(4)
        for z in range(4):
            g[z] = 0.0
        for i in range(4):
            for j in range(3 - i):
                a[i, j] = exp(x[i + 1])
                g[j] += a[i, j]
        """,
    )


def test_a_loop_that_may_not_run_gives_up_what_is_inside_its_buffers():
    becomes(
        lift_invariants,
        """
        x: input(4)
        a: temporary(4, 4)
        g: output(4)
        for z in range(4):
            g[z] = 0.0
        for i in range(4):
            for j in range(3 - i):
                a[i, j] = exp(x[i])
                g[j] += a[i, j]
        """,
        """
        for z in range(4):
            g[z] = copy(0.0)
        for i in range(4):
            a[i] = exp(x[i])
            for j in range(-i + 3):
                g[j] += a[i]
        """,
    )


# --- the last ones -------------------------------------------------------------------------------


def test_loads_move_in_front_of_a_loop():
    program = parsed(
        """
        x: input(4, 3)
        w: input(3)
        g: output(4)
        for i in range(4):
            g[i] = 0.0
            for j in range(3):
                g[i] += x[i, 1]
                g[i] += w[j]
                g[i] += w[2]
        """
    )
    found = agree(program, hoist(program))
    assert body_of(found) == lines(
        f"""
        {found.body[0].target.buffer} = copy(w[2])
        for i in range(4):
            g[i] = copy(0.0)
            {found.body[1].body[1].target.buffer} = copy(x[i, 1])
            for j in range(3):
                g[i] += {found.body[1].body[1].target.buffer}
                g[i] += w[j]
                g[i] += {found.body[0].target.buffer}
        """
    )


@pytest.mark.parametrize("read", ["x[i + 1]", "x[3 - i]", "g[3]", "x[n[j]]", "x[n[i]]"])
def test_loads_that_may_be_wrong_in_front_stay(read):
    text = f"""
    x: input(4)
    n: input(4, dtype="i8")
    g: output(5)
    for z in range(4):
        g[z] = 1.0
    g[4] = 0.0
    for i in range(4):
        for j in range(3 - i):
            g[j] += {read}
    """
    program = parsed(text)
    found = agree(program, hoist(program))
    if read == "x[3 - i]":
        assert len(found.buffers) == 4
    else:
        assert found == program


def test_additions_to_one_local_are_joined_the_latest_last():
    becomes(
        gather_sums,
        """
        x: input(4)
        y: input(4)
        a: temporary()
        b: temporary()
        s: temporary()
        s = 0.0
        for i in range(4):
            a = mul(x[i], y[i])
            b = mul(a, y[i])
            s += b
            s += x[i]
            s += a
        return s
        """,
        """
        s = copy(0.0)
        for i in range(4):
            a = mul(x[i], y[i])
            b = mul(a, y[i])
            g5 = add(x[i], a)
            g6 = add(g5, b)
            s += g6
        """,
    )


def test_additions_are_not_joined_across_a_look_at_the_sum():
    stays(
        gather_sums,
        """
        x: input(4)
        g: output(4)
        s: temporary()
        s = 1.0
        for i in range(4):
            s += x[i]
            g[i] = s
            s += x[3 - i]
        return s
        """,
    )


def test_additions_are_not_joined_across_a_change_of_what_is_added():
    stays(
        gather_sums,
        """
        x: input(4)
        a: temporary()
        s: temporary()
        s = 1.0
        for i in range(4):
            a = mul(x[i], 2.0)
            s += a
            a = mul(x[i], 3.0)
            s += a
        return s
        """,
    )


def test_a_packed_vector_gets_the_shapes_of_its_uses():
    program = parsed(
        """
        in0: input(20)
        x: input(3)
        s: temporary()
        s = 0.0
        for i in range(3):
            s += in0[i]
            for j in range(4):
                s += in0[4 * i + j + 8]
            s += x[i]
        return s
        """
    )
    found = agree(program, natural_shapes(program, "in0"))
    views = [b for b in found.buffers.values() if b.views == "in0"]
    assert [(view.shape, view.offset) for view in views] == [((3, 4), 8)]


def test_a_vector_that_is_used_in_two_ways_stays_packed():
    stays(
        lambda program: natural_shapes(program, "in0"),
        """
        in0: input(12)
        s: temporary()
        s = 0.0
        for i in range(3):
            for j in range(4):
                s += in0[4 * i + j]
        for k in range(4):
            for l in range(3):
                s += in0[3 * k + l]
        return s
        """,
    )


# --- random loops through every pass -------------------------------------------------------------


class Loops:
    """Random loops that write arrays once, at shifted and mirrored places; reads are final."""

    def __init__(self, seed):
        self.draw = random.Random(seed)
        self.extent = self.draw.randint(1, 5)
        size = self.extent + 4
        self.buffers = {"x": Buffer((size,), "input"), "w": Buffer((size,), "input")}
        self.ready = ["x", "w"]
        self.count = 0

    def program(self):
        body = [node for _ in range(self.draw.randint(2, 6)) for node in self.loop()]
        outputs = []
        for name in self.draw.sample(self.ready[2:], min(2, len(self.ready) - 2)):
            outputs += self.copied(name)
        return Program(self.buffers, (*body, *outputs), self.anywhere(None))

    def fresh(self, stem):
        self.count += 1
        return f"{stem}{self.count}"

    def anywhere(self, index):
        """An element of an array that is complete."""
        name = self.draw.choice(self.ready)
        if self.buffers[name].shape == ():
            return Ref(name)
        at = Affine(self.draw.randint(0, 4))
        if index is not None and self.draw.random() < 0.85:
            mirrored = Affine(self.extent - 1 + self.draw.randint(0, 4), ((index, -1),))
            straight = Affine(self.draw.randint(0, 4), ((index, 1),))
            at = mirrored if self.draw.random() < 0.2 else straight
        return Ref(name, (at,))

    def loop(self):
        """A loop, after what its arrays start with."""
        index, before, body, made = self.fresh("i"), [], [], []
        backward = self.draw.random() < 0.4
        for _ in range(self.draw.randint(1, 4)):
            kind = self.draw.choice(["array", "array", "carried", "sum", "added"])
            first, node, name = getattr(self, kind)(index, backward)
            before, body, made = [*before, *first], [*body, *node], [*made, name]
        self.ready += made
        return [*before, Loop(index, Affine(self.extent), tuple(body), backward)]

    def value(self, index):
        op = self.draw.choice(["add", "sub", "mul", "maximum", "neg", "copy"])
        return op, tuple(self.anywhere(index) for _ in range(OPS[op].arity))

    def rim(self, name, missing):
        """The elements of an array that a loop does not write."""
        return [Assign(Ref(name, (Affine(at),)), "copy", (float(at % 3),)) for at in missing]

    def array(self, index, backward):
        name, shift = self.fresh("a"), self.draw.randint(0, 4)
        self.buffers[name] = Buffer((self.extent + 4,), "temporary")
        missing = set(range(self.extent + 4)) - set(range(shift, shift + self.extent))
        place = Affine(shift, ((index, 1),))
        if self.draw.random() < 0.2:
            place = Affine(self.extent - 1 + shift, ((index, -1),))
        node = Assign(Ref(name, (place,)), *self.value(index))
        return self.rim(name, sorted(missing)), [node], name

    def carried(self, index, backward):
        name = self.fresh("c")
        self.buffers[name] = Buffer((self.extent + 4,), "temporary")
        new, old = (2, 3) if backward else (3, 2)
        missing = set(range(self.extent + 4)) - set(range(new, new + self.extent))
        place = Ref(name, (Affine(old, ((index, 1),)),))
        op, operands = self.value(index)
        operands = (place, *operands[1:])
        node = Assign(Ref(name, (Affine(new, ((index, 1),)),)), op, operands)
        return self.rim(name, sorted(missing)), [node], name

    def sum(self, index, backward):
        name = self.fresh("s")
        self.buffers[name] = Buffer((), "temporary")
        start = Assign(Ref(name), "copy", (1.0,))
        return [start], [Accumulate(Ref(name), self.anywhere(index))], name

    def added(self, index, backward):
        name = self.fresh("b")
        self.buffers[name] = Buffer((self.extent + 4,), "temporary")
        fill = Loop(f"z{name}", Affine(self.extent + 4), (self.zero(name),))
        nodes = []
        for _ in range(self.draw.randint(1, 2)):
            at = Ref(name, (Affine(self.draw.randint(0, 4), ((index, 1),)),))
            nodes.append(Accumulate(at, self.anywhere(index)))
        return [fill], nodes, name

    def zero(self, name):
        return Assign(Ref(name, (Affine.index(f"z{name}"),)), "copy", (0.0,))

    def copied(self, name):
        """An output with the contents of an array."""
        output, index = f"out_{name}", f"o_{name}"
        self.buffers[output] = self.buffers[name]._replace(kind="output")
        if not self.buffers[name].shape:
            return [Assign(Ref(output), "copy", (Ref(name),))]
        at = (Affine.index(index),)
        copy = Assign(Ref(output, at), "copy", (Ref(name, at),))
        return [Loop(index, Affine(self.extent + 4), (copy,))]


def bounded(program, inputs):
    """Whether all numbers are small enough to be exact in any order."""
    found = run(program, inputs).buffers.values()
    return all(np.abs(array).max(initial=0.0) < 2.0**50 for array in found)


@pytest.mark.parametrize("passes", [PASSES, STRICT_PASSES], ids=["fast", "strict"])
@pytest.mark.parametrize("chunk", range(2))
def test_random_loops_through_every_pass(passes, chunk):
    used = 0
    for seed in range(50 * chunk, 50 * chunk + 50):
        program = Loops(seed).program()
        inputs = data(program, seed)
        if not bounded(program, inputs):
            continue
        used += 1
        changed = program
        for step in passes:
            changed = agree(program, step(changed), inputs)
    assert used > 25


def test_the_checker_sees_a_pass_that_is_wrong():
    program = parsed(carried_bar())
    wrong = program._replace(body=program.body[1:])
    with pytest.raises(AssertionError):
        agree(program, wrong)
    assert sum(isinstance(node, Loop) for node in walk(program.body)) == 2

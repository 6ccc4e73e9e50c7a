"""Random array programs: real Python source over NumPy arrays, made from a seed.

Each expression is evaluated in NumPy while the program is written: what leaves its domain, grows,
or stands near a kink or a tie is thrown away and drawn again. So all that comes out has a finite
value and one derivative. A program takes numbers and arrays of up to three axes, of several dtypes
and memory layouts, and returns a number.
"""

import functools
import math
import random
import warnings
from typing import NamedTuple

import numpy as np

from jitgrad.protocols import NUMPY
from tests.random_functions import Drawing

PREAMBLE = """\
import numpy as np


def made(seed, *shape, dtype=float):
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], shape)
    return np.round(signs * rng.uniform(0.2, 1.5, shape), 3).astype(dtype)


def whole(seed, low, high, *shape):
    return np.random.default_rng(seed).integers(low, high, shape)


def read_only(x):
    x.flags.writeable = False
    return x


def placed(x, index, value):
    x = x.copy()
    x[index] = value
    return x


def added(x, index, value):
    x = x.copy()
    x[index] += value
    return x


"""
LARGE = 50.0  # the largest number in a program
GAP = 1e-3  # between two numbers that an op compares
TRIES = 12  # at an expression
WRONG = (ValueError, IndexError, TypeError, AttributeError, ArithmeticError)
EXTENTS = [1, 2, 3, 5, 5, 6, 6, 7, 17]  # loops of up to 4 are written out: programs get long
MOST = {"small": 60, "long": 500, "large": 1500}  # elements of an array
WORK = {"small": 600, "long": 5000, "large": 14000}  # multiply-adds and elements of a program
SMOOTH = [
    "np.sin({})",
    "np.cos({})",
    "np.tanh({})",
    "np.exp(-{0} * {0})",
    "np.log(1.5 + {0} * {0})",
    "np.sqrt(1.0 + {0} * {0})",
    "np.arctan({})",
    "1.0 / (2.0 + np.cos({}))",
    "np.exp(0.5 * np.sin({}))",
    "(0.5 * {}) ** 2",
    "np.square({})",
    "np.tanh({}) ** 3",
    "np.logaddexp({}, 0.3)",
    "np.arcsinh({})",
]
PARTIAL = [
    "np.log({})",
    "np.sqrt({})",
    "np.exp({})",
    "np.log1p({})",
    "np.expm1({})",
    "np.log2({})",
    "1.0 / {}",
    "np.reciprocal({})",
    "{} ** 3",
    "{} ** -1",
    "{} ** 1.5",
    "{} ** -0.5",
    "np.arcsin({})",
    "np.arctanh({})",
    "np.sinh({})",
    "np.cosh({})",
    "np.tan({})",
    "np.power({}, 2.5)",
    "2.0 ** {}",
    "-{}",
    "np.deg2rad({})",
]
KINKED = ["np.abs({})", "abs({})", "np.fabs({})", "np.maximum({}, 0.0)", "np.maximum(0.0, {})"]
BINARY = [
    "{} + {}",
    "{} - {}",
    "{} * {}",
    "{} * {}",
    "{} / {}",
    "0.5 * {} - {}",
    "{0} / (1.5 + {1} * {1})",
    "np.logaddexp({}, {})",
    "np.hypot({}, 1.0 + {})",
    "np.arctan2({0}, 2.0 + {1} * {1})",
    "(1.2 + {0} * {0}) ** np.tanh({1})",
    "np.add({}, {})",
    "np.multiply({}, {})",
    "np.subtract({}, {})",
    "np.divide({}, {})",
]
COMPARED = [
    "np.maximum({}, {})",
    "np.minimum({}, {})",
    "np.where({0} > {1}, {0}, 0.5 * {1})",
    "np.where({0} <= {1}, np.sin({0}), {1} * {0})",
    "np.where(({0} > {1}) & ({1} > -2.0), {1}, 0.3)",
    "np.where(~({0} < {1}), {1} * 2.0, {0})",
    "({0} > {1}) * {0}",
]
GUARDED = [  # the side that is not taken may be NaN, or have an infinite derivative
    "np.where({0} > 0.0, np.log({0}), 0.5 * {0})",
    "np.where({0} > 0.0, np.sqrt({0}), 0.0)",
    "np.where({0} < 0.0, {0} * {0}, {0} ** 1.5)",
    "np.where({0} > 0.0, 1.0 / {0}, np.exp({0}))",
]
UNDER = [  # with whole numbers that may be 0
    "np.where({1} == 0, 1.0, {0} / {1})",
    "np.where({1} != 0, np.sqrt({1}) * {0}, {0})",
    "np.where({1} > 0, {0} * np.log({1}), 0.2)",
]
MASKED = [
    "np.where({m}, {a}, {b})",
    "{a} * {m}",
    "np.where(~{m}, {a}, 0.0)",
    "({m} + ({a} > 0.2)) * {a}",  # + of truth values is `or`
    "({m} | ({a} > 0.2)) * {a}",
    "({m} * ({a} > 0.2)) * {b}",
]
REDUCTIONS = ["sum", "sum", "mean", "max", "min", "var", "std", "amax", "amin", "ptp"]
REDUCTIONS += ["prod"] if np.prod in NUMPY else []
MOVES = [
    "np.flip({a}, {axis})",
    "np.flip({a})",
    "np.roll({a}, {steps}, axis={axis})",
    "np.roll({a}, {steps})",
    "np.repeat({a}, 2, axis={axis})",
    "np.tile({a}, 2)",
    "np.tile({a}, (2, 1))",
    "np.diff({a}, axis={axis})",
]
MOVES += ["np.cumsum({a}, axis={axis})"] if np.cumsum in NUMPY else []
FLAT_MOVES = ["np.diagonal({a})", "np.fliplr({a})", "np.flipud({a})"]  # of matrices


class ArrayProgram(NamedTuple):
    """A function of arrays as text, and arguments for it.

    Parameters
    ----------
    seed : int
    source : str
        Global data, then the definition of ``f``.
    texts : tuple of str
        An expression for each argument, with its dtype and layout.
    argnums : tuple of int
        What to differentiate with respect to.
    single : bool
        Whether there are float32 numbers.
    """

    seed: int
    source: str
    texts: tuple
    argnums: tuple
    single: bool
    exact: bool = False

    @property
    def arguments(self):
        """Arguments, made anew."""
        return tuple(evaluated(text) for text in self.texts)

    def reproduction(self):
        """A script that defines the function and its arguments."""
        given = "".join(f"    {text},\n" for text in self.texts)
        return f"{PREAMBLE}{self.source}\n\narguments = (\n{given})\nargnums = {self.argnums}\n"


@functools.cache
def helpers():
    """The functions that arguments and global data are made with."""
    namespace = {}
    exec(PREAMBLE, namespace)
    return namespace


def evaluated(text):
    return eval(text, dict(helpers()))


class Maker(Drawing):
    """Writes one program."""

    def __init__(self, seed):
        self.seed = seed
        self.draw = random.Random(seed)
        self.scale = self.draw.choices(["small", "long", "large"], [80, 15, 5])[0]
        self.single = False
        self.floats = []  # names of arrays of floats
        self.given = []  # expressions without a derivative: whole numbers
        self.masks = []
        self.picks = {}  # name of an index array: the smallest extent that it fits
        self.values = dict(helpers())
        self.lines = []
        self.globals = []
        self.unused = []
        self.work = 0
        self.count = 0

    # --- small things ---

    def number(self):
        number = round(self.draw.uniform(-1.5, 1.5), 2)
        return f"({number})" if number < 0 else repr(number)

    def value(self, text):
        """Evaluate an expression of the program; None where it fails or leaves its domain."""
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # more degrees of freedom than numbers
                found = eval(text, self.values)
        except WRONG:
            return None
        return found

    def accepted(self, text):
        """Whether an expression gives moderate floats, not too many."""
        found = self.value(text)
        if found is None or np.result_type(found).kind != "f":
            return False
        size = np.size(found)
        if size > MOST[self.scale] or np.ndim(found) > 4:
            return False
        return bool(np.all(np.abs(found) < LARGE))  # False for NaN

    def apart(self, text):
        """Whether all elements of an expression are away from zero."""
        found = self.value(text)
        return found is not None and bool(np.all(np.abs(found) > GAP))

    def shape(self, text):
        return np.shape(self.value(text))

    # --- terms ---

    def term(self, depth):
        """An expression of floats."""
        if depth > 0 and not self.chance(0.15):
            for _ in range(TRIES):
                text = self.draw.choices(self.ways(), self.weights())[0](depth - 1)
                if text is not None and len(text) < 160 and self.accepted(text):
                    return text
        return self.leaf()

    def ways(self):
        return (
            self.unary,
            self.binary,
            self.compared,
            self.guarded,
            self.reduced,
            self.viewed,
            self.product,
            self.joined,
            self.composite,
            self.with_data,
        )

    def weights(self):
        return (14, 22, 6, 4, 12, 16, 12, 7, 5, 8)

    def leaf(self):
        """A name, mostly one that was not read yet."""
        names = self.unused if self.unused and self.chance(0.4) else self.floats
        name = self.draw.choice(names)
        return self.view_of(name) if self.chance(0.25) else name

    def inner(self, depth):
        """A term in brackets, where it needs them."""
        text = self.term(depth)
        return text if text.isidentifier() or text.endswith(("]", ".T")) else f"({text})"

    def unary(self, depth):
        a = self.inner(depth)
        kind = self.draw.random()
        if kind < 0.12:
            return self.draw.choice(KINKED).format(a) if self.apart(a) else None
        if kind < 0.5 and len(a) < 60:
            return self.draw.choice(SMOOTH).format(a)
        text = self.draw.choice(PARTIAL).format(a)
        return text if self.apart(a) else None

    def binary(self, depth):
        a = self.inner(depth)
        b = self.fitting(a, depth)
        a, b = (a, b) if self.chance(0.5) else (b, a)
        text = self.draw.choice(BINARY).format(a, b)
        return text if "/" not in text or self.apart(b) else None

    def fitting(self, a, depth):
        """A term that broadcasts with another."""
        if self.chance(0.15):
            return self.number()
        for _ in range(TRIES):
            b = self.inner(depth if self.chance(0.5) else 0)
            if self.value(f"{a} + {b}") is not None:
                return b
            b = self.aligned(a, b)
            if b is not None:
                return b
        return self.one(a, self.number())

    def aligned(self, a, b):
        """Put new axes into a term, so that it broadcasts with another."""
        rank = len(self.shape(b))
        texts = [f"{b}[:, None]"] if rank == 1 else []
        texts += [f"{b}[..., None]", f"{b}[:, None, :]", f"{b}.T", f"{b}[None, ..., None]"]
        fits = [t for t in texts if self.value(f"{a} + {t}") is not None]
        return self.draw.choice(fits) if fits else None

    def compared(self, depth):
        a = self.inner(depth)
        b = self.fitting(a, 0)
        if not self.apart(f"{a} - {b}"):
            return None
        text = self.draw.choice(COMPARED).format(a, b)
        # ~True is -2 in Python: the comparison has to be an array's.
        return text if "~" not in text or self.shape(f"{a} - {b}") else None

    def guarded(self, depth):
        a = self.inner(depth if self.chance(0.3) else 0)
        return self.draw.choice(GUARDED).format(a) if self.apart(a) else None

    def with_data(self, depth):
        """Something that carries no derivative takes part."""
        a = self.inner(depth)
        n = self.draw.choice(self.given) if self.given and self.chance(0.6) else None
        if n is not None and self.value(f"{a} * {n}") is not None:
            plain = ["{0} * {1}", "{0} + 0.1 * {1}", "{0} ** {1}", "{0} * ({1} > 1)", "{1} - {0}"]
            text = self.draw.choice(plain + UNDER).format(a, n)
            return text if self.apart(a) else None
        if self.masks:
            m = self.draw.choice(self.masks)
            if self.value(f"{a} * {m}") is not None:
                b = self.fitting(a, 0)
                text = self.draw.choice(MASKED).format(m=m, a=a, b=b)
                return text if self.apart(f"{a} - 0.2") else None
        return f"{a} * {self.captured(self.shape(a))}"

    def captured(self, shape):
        """A global array that broadcasts to a shape."""
        shape = tuple(n if self.chance(0.8) else 1 for n in shape)
        shape = shape[self.draw.choice([0, 0, 1]) :]
        name = self.fresh("W")
        dtype = self.dtype()
        text = f"made({self.draw.randrange(1 << 20)}, {listed(shape)}{dtype})"
        self.globals.append(f"{name} = {text}")
        self.values[name] = evaluated(text)
        return name

    def dtype(self):
        if not self.singles:
            return ""
        single = self.chance(0.5)
        self.single = self.single or single
        return "dtype=np.float32" if single else ""

    # --- reductions and products ---

    def axes(self, rank):
        """An axis argument."""
        kinds = [None, self.draw.randrange(rank), self.draw.randrange(-rank, 0)]
        if rank > 1:
            some = self.draw.sample(range(rank), self.draw.randint(1, rank))
            kinds.append(tuple(n - rank if self.chance(0.3) else n for n in some))
        return self.draw.choice(kinds)

    def reduced(self, depth):
        a = self.inner(depth)
        rank = len(self.shape(a))
        if not rank:
            return None
        name, axis = self.draw.choice(REDUCTIONS), self.axes(rank)
        words = "" if axis is None and self.chance(0.5) else f"axis={axis}"
        if self.chance(0.3):
            words = ", ".join(filter(None, [words, "keepdims=True"]))
        if name in ("var", "std") and self.chance(0.2):
            words = ", ".join(filter(None, [words, "ddof=1"]))
        if name not in ("sum",) and not all(self.shape(a)):
            return None
        if name in ("max", "min", "amax", "amin", "ptp") and not self.untied(a, axis):
            return None
        if name == "std" and not self.apart(f"np.std({a}, axis={axis})"):
            return None
        if name in ("sum", "mean") and self.chance(0.3):
            return f"{a}.{name}({words})"
        if name == "sum" and self.chance(0.15):
            return f"np.linalg.norm({a}, axis={axis})" if self.apart(a) else None
        return f"np.{name}({', '.join(filter(None, [a, words]))})"

    def untied(self, a, axis):
        """Whether the largest and the smallest along axes are ahead of the next."""
        value = np.asarray(self.value(a))
        rank = value.ndim
        axes = range(rank) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = sorted(n % rank for n in axes)
        moved = np.moveaxis(value, axes, range(len(axes)))
        rows = np.sort(moved.reshape(math.prod(moved.shape[: len(axes)]), -1), axis=0)
        return len(rows) < 2 or bool(np.all(np.diff(rows, axis=0)[[0, -1]] > GAP))

    def product(self, depth):
        for _ in range(TRIES):
            a, b = self.inner(depth), self.inner(depth if self.chance(0.5) else 0)
            fits = [text for text in self.products_of(a, b) if self.value(text) is not None]
            if fits:
                return self.affordable(self.draw.choice(fits), a, b)
        return None

    def products_of(self, a, b):
        yield from (f"{a} @ {b}", f"{a} @ {b}.T", f"{a}.T @ {b}", f"np.matmul({a}, {b})")
        ranks = len(self.shape(a)), len(self.shape(b))
        if len(self.shape(b)) <= 2:
            yield from (f"np.dot({a}, {b})", f"np.inner({a}, {b})")
        if max(ranks) == 1:
            yield f"np.outer({a}, {b})"
        if ranks == (1, 1):
            yield f"np.vdot({a}, {b})"
        if max(ranks) == 3:
            yield f"{a} @ np.swapaxes({b}, -1, -2)"
        if np.tensordot in NUMPY:
            yield f"np.tensordot({a}, {b}, 1)"
        if np.einsum in NUMPY:
            yield from (f"np.einsum('ij,jk->ik', {a}, {b})", f"np.einsum('ij,ij->i', {a}, {b})")

    def affordable(self, text, a, b):
        cost = np.size(self.value(text)) * max((*self.shape(a)[-1:], 1))
        return text if cost <= WORK[self.scale] else None

    def composite(self, depth):
        """What people write: softmax, log-sum-exp, standardised and normalised rows."""
        a = self.term(0)
        shape = self.shape(a)
        if not shape or not all(shape) or not self.untied(a, -1):
            return None
        shifted = f"{a} - np.max({a}, axis=-1, keepdims=True)"
        ways = [
            f"np.exp({shifted}) / np.sum(np.exp({shifted}), axis=-1, keepdims=True)",
            f"np.log(np.sum(np.exp({a}), axis=-1))",
            f"({a} - np.mean({a}, axis=0)) / (0.5 + np.std({a}, axis=0))",
            f"{a} / np.sqrt(0.3 + np.sum({a} * {a}, axis=-1, keepdims=True))",
            f"np.mean(({a} - np.mean({a})) ** 2)",
        ]
        text = self.draw.choice(ways)
        return text if "std" not in text or self.apart(f"np.std({a}, axis=0)") else None

    # --- views ---

    def viewed(self, depth):
        return self.view_of(self.inner(depth))

    def view_of(self, a):
        shape = self.shape(a)
        for _ in range(TRIES):
            text = self.draw.choice(self.view_kinds())(a, shape)
            found = None if text is None else self.value(text)
            if found is not None and np.size(found) <= MOST[self.scale]:
                return text
        return a

    def view_kinds(self):
        return (self.indexed,) * 3 + (self.permuted, self.reshaped, self.picked, self.moved)

    def indexed(self, a, shape):
        """An index of ints, slices, new axes and an ellipsis."""
        entries = []
        for n in shape:
            entries.append(self.entry(n))
            if self.chance(0.08):
                entries.append("None")
        entries = entries[: self.draw.randint(1, len(entries))] if entries else ["None"]
        if len(entries) < len(shape) and self.chance(0.3):
            entries.insert(self.draw.choice([0, len(entries)]), "...")
        return f"{a}[{', '.join(entries)}]"

    def entry(self, n):
        slices = [":", ":", "::-1", "1:", ":-1", "::2", "1::2", "::-2", "-2:", "::3", "1:2", "0:0"]
        if n and self.chance(0.25):
            return str(self.draw.randint(-n, n - 1))
        return self.draw.choices(slices, [4, 4, 4, 3, 3, 2, 2, 2, 2, 1, 2, 0.1])[0]

    def permuted(self, a, shape):
        rank = len(shape)
        if rank < 2:
            return None
        order = tuple(self.draw.sample(range(rank), rank))
        i, j = (self.draw.randrange(-rank, rank) for _ in range(2))
        return self.one(
            f"{a}.T",
            f"np.transpose({a})",
            f"np.transpose({a}, {order})",
            f"np.swapaxes({a}, {i}, {j})",
            f"np.moveaxis({a}, {i}, {j})",
        )

    def reshaped(self, a, shape):
        size = math.prod(shape)
        some = [(size,), (1, size), (size, 1), (-1,)]
        some += [(n, size // n) for n in (2, 3, 5) if size and size % n == 0]
        some += [(*shape[::-1],), (2, -1), (*shape, 1)]
        wanted = self.draw.choice(some)
        rank = len(shape)
        return self.one(
            f"{a}.reshape{wanted}",
            f"np.reshape({a}, {wanted})",
            f"{a}.ravel()",
            f"np.ravel({a})",
            f"np.expand_dims({a}, {self.draw.randint(-rank - 1, rank)})",
            f"np.squeeze({a})",
            f"np.broadcast_to({a}, {(self.draw.randint(1, 3), *shape)})",
            f"np.atleast_2d({a})",
        )

    def picked(self, a, shape):
        """An index with arrays of ints or truth values."""
        if not shape:
            return None
        axis = self.draw.randrange(len(shape))
        before = ":, " * axis
        n = shape[axis]
        fitting = [name for name, extent in self.picks.items() if extent <= n]
        if fitting and self.chance(0.5):
            name = self.draw.choice(fitting)
            return self.one(f"{a}[{before}{name}]", f"np.take({a}, {name}, axis={axis})")
        if not n:
            return None
        some = [self.draw.randint(-n, n - 1) for _ in range(self.draw.randint(1, 4))]
        truths = [self.chance(0.6) for _ in range(n)]
        texts = [f"{a}[{before}{some}]", f"{a}[{before}np.array({some})]"]
        if n < 20:
            texts.append(f"{a}[{before}np.array({truths})]")
        if len(shape) > 1:
            other = [self.draw.randrange(shape[0]) for _ in some] if shape[0] else []
            second = [self.draw.randrange(-shape[1], shape[1]) for _ in some] if shape[1] else []
            texts.append(f"{a}[{other}, {second}]")
            texts.append(f"{a}[np.arange({shape[0]}), {[0] * shape[0]}]")
        return self.draw.choice(texts)

    def moved(self, a, shape):
        rank = len(shape)
        if not rank:
            return None
        text = self.draw.choice(MOVES + FLAT_MOVES * (rank == 2))
        axis, steps = self.draw.randrange(-rank, rank), self.draw.randint(-2, 2)
        return text.format(a=a, axis=axis, steps=steps)

    # --- putting together ---

    def joined(self, depth):
        a = self.inner(depth)
        for _ in range(TRIES):
            b = self.inner(0)
            parts = self.draw.sample([a, b, self.one(a, b)], self.draw.choice([2, 2, 3]))
            fits = [t for t in self.joins_of(", ".join(parts), a) if self.value(t) is not None]
            if fits:
                return self.draw.choice(fits)
        return f"np.stack([{a}, 0.5 * {a}], axis={self.draw.choice([0, -1])})"

    def joins_of(self, parts, a):
        rank = len(self.shape(a))
        axis = self.draw.randrange(-rank, rank) if rank else 0
        yield f"np.concatenate([{parts}], axis={axis})"
        yield f"np.stack([{parts}], axis={self.draw.randrange(-rank - 1, rank + 1)})"
        yield from (f"np.hstack([{parts}])", f"np.vstack([{parts}])")
        if rank == 1:
            yield f"np.column_stack([{parts}])"

    # --- statements ---

    def statement(self):
        loops = self.draw.random()
        if loops < 0.2:
            for _ in range(TRIES):
                lines, name = self.draw.choice(
                    [self.rows, self.stacked, self.steps, self.listed_sum]
                )()
                if lines and self.run(lines, name):
                    return
        for _ in range(TRIES):
            name, text = self.fresh("v"), self.term(self.draw.choice([1, 1, 2, 2, 3]))
            if not text.isidentifier() and self.run([f"{name} = {text}"], name):
                return

    def run(self, lines, name):
        """Take lines that define a name, if they give moderate floats."""
        before = dict(self.values)
        try:
            with np.errstate(all="ignore"):
                exec("\n".join(lines), self.values)
        except WRONG:
            self.values = before
            return False
        if not self.accepted(name):
            self.values = before
            return False
        text = "\n".join(lines)
        self.lines += lines
        self.unused = [n for n in self.unused if not mentions(text, n)]
        self.floats.append(name)
        self.unused.append(name)
        self.work += np.size(self.values[name]) * (1 + text.count("np."))
        return True

    def matrix(self):
        """A name with rows, and their shape."""
        some = [n for n in self.floats if np.ndim(self.values[n]) > 1]
        some = [n for n in some if 0 < len(self.values[n]) <= 17]
        return self.draw.choice(some) if some else None

    def over_row(self, row, shape):
        """A smooth expression of a row."""
        text = self.draw.choice(SMOOTH).format(row)
        if self.chance(0.5):
            others = [n for n in self.floats if np.shape(self.values[n]) in (shape, shape[-1:], ())]
            if others:
                text = f"{text} * {self.draw.choice(others)}"
        return text

    def rows(self):
        """A loop over the rows of an array."""
        x = self.matrix()
        if x is None:
            return None, None
        total, row, k = self.fresh("s"), self.fresh("row"), self.fresh("k")
        shape = np.shape(self.values[x])[1:]
        text = self.over_row(row, shape)
        if self.chance(0.5):
            text = self.one(f"np.sum({text})", f"np.mean({row} * {row})" if all(shape) else "0.1")
        header = self.one(
            f"for {row} in {x}:",
            f"for {k}, {row} in enumerate({x}):",
            f"for {k} in range(len({x})):",
        )
        first = [f"    {row} = {x}[{k}]"] if "range" in header else []
        step = self.one("{} + {}", "0.5 * {} + {}", "{} - 0.3 * {}", "{} * (1.2 + {})")
        start = "1.0" if "(1.2" in step else "0.0"
        return [
            f"{total} = {start}",
            header,
            *first,
            f"    {total} = {step.format(total, text)}",
        ], total

    def stacked(self):
        """A list of rows, put together again."""
        x = self.matrix()
        if x is None:
            return None, None
        name, row = self.fresh("v"), "row"
        text = self.over_row(row, np.shape(self.values[x])[1:])
        join = self.one("np.stack([{}])", "np.concatenate([{}])", "np.array([{}])", "sum([{}])")
        if "array" in join or ("concat" in join and np.ndim(self.values[x]) < 2):
            join = "np.stack([{}])"
        return [f"{name} = {join.format(f'{text} for {row} in {x}')}"], name

    def steps(self):
        """An array that a loop moves on."""
        x = self.draw.choice(self.floats)
        name, k = self.fresh("y"), self.fresh("k")
        shape = np.shape(self.values[x])
        value = self.over_row(name, shape)
        squares = [n for n in self.floats if np.shape(self.values[n]) == shape[-1:] * 2]
        if shape and squares and self.chance(0.6):
            value = f"np.tanh({name} @ {self.draw.choice(squares)})"
        count = self.draw.randint(0, 4)
        step = self.one(f"{name} + 0.1 * {value}", f"0.9 * {name} - 0.1 * {k} * {value}")
        return [f"{name} = {x}", f"for {k} in range({count}):", f"    {name} = {step}"], name

    def listed_sum(self):
        """Python's sum over elements."""
        some = [n for n in self.floats if np.ndim(self.values[n]) == 1]
        if not some:
            return None, None
        x, name = self.draw.choice(some), self.fresh("s")
        if len(self.values[x]) > 17:
            return None, None
        return [f"{name} = sum({self.over_row('e', ())} for e in {x})"], name

    # --- the whole ---

    def parameters(self):
        """Arguments: an expression for each, by name."""
        self.singles = self.chance(0.25)
        pool = self.draw.sample(EXTENTS, 3)
        if self.scale == "small":
            pool = [n if n < 17 else 5 for n in pool]
        if self.chance(0.04):
            pool[0] = 0
        if self.scale != "small":
            pool[0] = self.draw.choice([70, 70, 17, 130])
        if self.scale == "large":
            pool[1:] = [self.draw.choice([5, 17]), self.draw.choice([2, 3, 17])]
        self.pool = pool
        given = {}
        for name in ("x", "y", "z")[: self.draw.randint(1, 3)]:
            given[name] = self.array_argument()
        if self.chance(0.25):
            given["a"] = self.one(
                repr(round(self.draw.uniform(0.2, 1.5), 3)), "np.float64(0.7)", "np.array(1.3)"
            )
        for name, text in given.items():
            self.floats.append(name)
            self.unused.append(name)
            self.values[name] = evaluated(text)
        given.update(self.data_arguments())
        return given

    def drawn_shape(self):
        rank = self.draw.choice([0, 1, 1, 1, 2, 2, 2, 2, 3])
        shape = tuple(self.draw.choice(self.pool) for _ in range(rank))
        if rank and self.scale != "small" and self.chance(0.7):
            shape = (self.pool[0], *shape[1:])
        shape = tuple(n if self.chance(0.93) else 1 for n in shape)
        return shape if math.prod(shape) <= MOST[self.scale] else shape[-2:][:1]

    def array_argument(self):
        shape, seed = self.drawn_shape(), self.draw.randrange(1 << 20)
        dtype = self.dtype()
        if not shape:
            single = f"np.float32({round(self.draw.uniform(0.2, 1.5), 3)})"
            return single if dtype else repr(round(self.draw.uniform(0.2, 1.5), 3))
        return self.laid_out(shape, lambda dims: f"made({seed}, {listed(dims)}{dtype})")

    def laid_out(self, shape, text):
        """An array of a shape in some memory layout."""
        kind = self.draw.random()
        if kind < 0.5:
            return text(shape)
        if kind < 0.62:
            return f"np.asfortranarray({text(shape)})"
        if kind < 0.7:
            return f"read_only({text(shape)})"
        if kind < 0.8:
            return f"{text(shape)}[{', '.join(['::-1'] * self.draw.randint(1, len(shape)))}]"
        if kind < 0.9:
            return f"{text((*shape[:-1], shape[-1] * 2))}[..., ::2]"
        return f"{text(shape[::-1])}.T"

    def data_arguments(self):
        """Whole numbers, truth values and positions: never differentiated."""
        given = {}
        if self.chance(0.3):
            seed, shape = self.draw.randrange(1 << 20), self.drawn_shape() or (2,)
            given["n"] = self.laid_out(shape, lambda dims: f"whole({seed}, 0, 4, {listed(dims)})")
            self.given.append("n")
        if self.chance(0.25):
            seed, shape = self.draw.randrange(1 << 20), self.drawn_shape() or (2,)
            given["m"] = self.laid_out(
                shape, lambda dims: f"(whole({seed}, 0, 2, {listed(dims)}) > 0)"
            )
            self.masks.append("m")
        if self.chance(0.3):
            extent, count = self.draw.choice(self.pool), self.draw.randint(1, 5)
            if extent:
                low = self.draw.choice([0, 0, -extent])
                given["i"] = f"whole({self.draw.randrange(1 << 20)}, {low}, {extent}, {count})"
                self.picks["i"] = extent
        for name, text in given.items():
            self.values[name] = evaluated(text)
        return given

    def program(self):
        parameters = self.parameters()
        for _ in range(self.draw.choice([1, 1, 2, 2, 2, 3, 4])):
            if self.work > WORK[self.scale]:
                break
            self.statement()
        self.lines.append(f"return {self.result()}")
        body = "".join(f"    {line}\n" for line in self.lines)
        used = [line for line in self.globals if mentions(body, line.split(" ")[0])]
        head = "".join(f"{line}\n" for line in used)
        source = f"{head}{head and chr(10) * 2}def f({', '.join(parameters)}):\n{body}"
        wanted = [n for n, name in enumerate(parameters) if name in ("x", "y", "z", "a")]
        count = self.draw.randint(1, len(wanted))
        argnums = tuple(sorted(self.draw.sample(wanted, count)))
        return ArrayProgram(self.seed, source, tuple(parameters.values()), argnums, self.single)

    def result(self):
        """Each name that was not read, as a number."""
        parts = [self.summed(name) for name in self.unused] or [self.summed(self.floats[-1])]
        return " + ".join(parts)

    def summed(self, name):
        value = self.values[name]
        ways = [f"np.sum({name})", f"np.sum(np.sin({name}))", f"({name} * {name}).sum()"]
        if np.size(value):
            ways += [f"np.mean({name} * {name})", f"np.mean({name})"]
        if np.ndim(value):
            ways += [f"np.sum({self.captured(np.shape(value))} * {name})"]
        else:
            ways = [name, f"0.5 * {name}"] if self.chance(0.5) else [f"np.sin({name})"]
        return self.draw.choice(ways)


def listed(shape):
    """Extents as arguments of a call, with a comma behind each."""
    return "".join(f"{n}, " for n in shape)


def mentions(text, name):
    """Whether a name occurs in a text."""
    spaced = "".join(c if c.isalnum() or c == "_" else " " for c in text)
    return name in spaced.split()


def random_arrays(seed):
    """The random array program of a seed."""
    return Maker(seed).program()

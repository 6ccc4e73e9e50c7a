"""Random user functions: real Python source, made from a seed.

A function takes floats, vectors and matrices and returns a number. It is written the way people
write losses: loops over indices and elements, carried scalars, lists that grow and are read back,
stencils, array expressions. Every expression stays inside the domain of its functions, and every
position inside its array, so that what comes out is finite unless a loop lets it grow.
"""

import contextlib
import random
import re
from typing import NamedTuple

import numpy as np

PREAMBLE = """\
import numpy as np
from jitgrad import Value


def stop(v):
    return v.data if isinstance(v, Value) else v


"""
MOST_WORK = 16  # iterations of an innermost loop body
SMOOTH = [
    "np.sin({})",
    "np.cos({})",
    "np.tanh({})",
    "np.exp(-{0} * {0})",
    "np.log(1.5 + {0} * {0})",
    "np.log1p({0} ** 2)",
    "np.sqrt(1.0 + {0} * {0})",
    "(1.0 + {0} ** 2) ** 0.5",
    "np.arctan({})",
    "1.0 / (2.0 + np.cos({}))",
    "np.tanh({}) ** 3",
    "np.exp(0.5 * np.sin({}))",
    "2.0 ** np.tanh({})",
    "(0.5 * {}) ** 2",
]
EXACT = ["np.sqrt(1.0 + {0} * {0})", "abs({})", "(-{})", "1.0 / (2.0 + {0} * {0})"]
SUMS = ["({} + {})", "({} - {})", "(0.5 * {} + {})", "({} - 0.3 * {})"]
PRODUCTS = ["{} * {}", "0.5 * {} * {}", "{0} / (1.5 + {1} * {1})"]
PAIRS = [
    "np.logaddexp({}, {})",
    "np.hypot({}, 1.0 + {})",
    "np.arctan2({0}, 2.0 + {1} * {1})",
    "(1.2 + {0} * {0}) ** np.tanh({1})",
]
KINKS = ["np.maximum({}, {})", "np.minimum({}, {})", "(np.where({0} > {1}, {0}, 0.5 * {1}) + 0.1)"]


class RandomFunction(NamedTuple):
    """A function as text, and arguments for it.

    Parameters
    ----------
    seed : int
    source : str
        Global data, then the definition of ``f``.
    arguments : tuple
        Floats and arrays.
    argnums : tuple of int
        What to differentiate with respect to.
    exact : bool
        Whether only operations occur that every engine rounds alike.
    """

    seed: int
    source: str
    arguments: tuple
    argnums: tuple
    exact: bool

    def __eq__(self, other):
        return self.reproduction() == other.reproduction()

    def reproduction(self):
        """A script that defines the function and its arguments."""
        given = ", ".join(
            f"np.{a!r}" if isinstance(a, np.ndarray) else repr(a) for a in self.arguments
        )
        return f"{PREAMBLE}{self.source}\n\narguments = ({given},)\nargnums = {self.argnums}\n"


class Names:
    """What a statement may read."""

    def __init__(self):
        self.scalars = []
        self.arrays = {}  # name: shape
        self.lists = {}  # name: number of scalars in it
        self.grids = {}  # name: (rows, columns) of a list of lists
        self.indices = {}  # name: (smallest, largest)
        self.said = []  # expressions that can be said again

    def copy(self):
        made = Names()
        for key, value in vars(self).items():
            setattr(made, key, value.copy())
        return made


def is_object(text):
    """Whether an expression holds an object array (their names begin with o or w)."""
    return re.search(r"\b[ow]\d", text) is not None


def is_mixed(text):
    """Whether it holds one that has numbers in it: NumPy calls ``.sin()`` on each element."""
    return re.search(r"\bo\d", text) is not None


class Drawing:
    """What makers of random programs have in common: ``draw`` decides, ``count`` numbers names."""

    def chance(self, probability):
        return self.draw.random() < probability

    def one(self, *choices):
        return self.draw.choice(choices)

    def fresh(self, stem):
        self.count += 1
        return f"{stem}{self.count}"


class Maker(Drawing):
    """Writes one function."""

    def __init__(self, seed):
        self.draw = random.Random(seed)
        self.exact = self.draw.random() < 0.2
        self.most = self.draw.choice([3, 6, 9, 12, 15, 20])
        self.lines = []
        self.globals = []
        self.names = Names()
        self.count = 0
        self.deep = 0
        self.level = 1
        self.work = 1

    # --- small things ---

    def say(self, line):
        self.lines.append("    " * self.level + line)

    def number(self):
        number = round(self.draw.uniform(-1.5, 1.5), 2)
        return f"({number})" if number < 0 else repr(number)

    def numbers(self, count):
        return str([round(self.draw.uniform(-1.5, 1.5), 2) for _ in range(count)])

    @contextlib.contextmanager
    def inside(self, header, trips):
        """The body of a loop: what it defines is forgotten, since it may never run."""
        outer, work = self.names, self.work
        self.names, self.work = outer.copy(), work * max(trips, 1)
        self.say(header)
        self.level += 1
        yield
        self.level -= 1
        self.names, self.work = outer, work

    # --- positions ---

    def position(self, extent):
        """An index expression for an axis."""
        fitting = [text for name in self.names.indices for text in self.walk(name, extent)]
        if fitting and self.chance(0.85):
            return self.draw.choice(fitting)
        return str(self.draw.randint(-extent, extent - 1))

    def walk(self, name, extent):
        low, high = self.names.indices[name]
        for shift in (0, 0, 0, -2, -1, 1, 2):
            if low + shift >= -extent and high + shift < extent:
                yield f"{name} {'+-'[shift < 0]} {abs(shift)}" if shift else name
        if low >= 0 and high < extent:
            yield f"{extent - 1} - {name}"
            yield f"-1 - {name}"
        if low >= 0:
            yield f"({name} + {self.draw.randint(0, 3)}) % {extent}"
            yield f"{name} // 2" if high // 2 < extent else f"{name} % {extent}"
            if 2 * high < extent:
                yield f"2 * {name}"
            places = [self.draw.randrange(extent) for _ in range(high + 1)]
            yield f"{places}[{name}]"
        for other, (first, last) in self.names.indices.items():
            if other != name and low + first >= 0 and high + last < extent:
                yield f"{name} + {other}"
            if other != name and high - first < extent and low - last >= -extent:
                yield f"{name} - {other}"

    # --- scalars ---

    def scalar(self, depth=2):
        """A scalar expression."""
        if depth <= 0 or self.chance(0.15):
            return self.atom()
        text = self.combined(self.scalar, depth)
        if self.chance(0.3):
            self.names.said.append(text)
        return text

    def combined(self, make, depth):
        """An operation on expressions made by ``make``."""
        kind = self.draw.random()
        a = make(depth - 1)
        if kind < 0.3 and not is_mixed(a):
            return self.fill(EXACT if self.exact else SMOOTH, a)
        b = make(depth - 1)
        if kind < 0.6:
            return self.fill(SUMS, a, b)
        if kind < 0.85 or self.exact or is_object(a + b):
            return self.fill(PRODUCTS, a, b)
        return self.fill(PAIRS if kind < 0.93 else KINKS, a, b)

    def fill(self, templates, *parts):
        """Put expressions into one of some templates, long ones only once."""
        if max(map(len, parts)) > 40:
            templates = [text for text in templates if "{0}" not in text] or SUMS
        return self.draw.choice(templates).format(*parts)

    def atom(self):
        makers = [self.known] * 6 + [self.element] * 5 + [self.listed] * 4
        makers += [self.number, self.indexed, self.again, self.stopped, self.reduced]
        while True:
            text = self.draw.choice(makers)()
            if text:
                return text

    def known(self):
        some = self.names.scalars
        return self.draw.choice(some[-3:] if self.chance(0.5) else some) if some else None

    def element(self):
        if not self.names.arrays:
            return None
        name = self.draw.choice(list(self.names.arrays))
        shape = self.names.arrays[name]
        if 0 in shape:
            return None
        places = [self.position(extent) for extent in shape]
        if len(shape) == 2 and self.chance(0.3):
            return f"{name}[{places[0]}][{places[1]}]"
        return f"{name}[{', '.join(places)}]"

    def listed(self):
        if self.names.grids and self.chance(0.4):
            name = self.draw.choice(list(self.names.grids))
            rows, columns = self.names.grids[name]
            return f"{name}[{self.position(rows)}][{self.position(columns)}]"
        filled = [name for name, size in self.names.lists.items() if size]
        if not filled:
            return None
        name = self.draw.choice(filled)
        return f"{name}[{self.position(self.names.lists[name])}]"

    def indexed(self):
        """A constant that depends on a loop index."""
        if not self.names.indices:
            return None
        name = self.draw.choice(list(self.names.indices))
        low, high = self.names.indices[name]
        if low >= 0 and self.chance(0.4):
            return f"{self.numbers(high + 1)}[{name}]"
        return self.one(f"(0.1 * {name})", f"(1.0 / ({name} + 7))", f"(0.3 - 0.2 * {name})")

    def again(self):
        return self.draw.choice(self.names.said) if self.names.said else None

    def stopped(self):
        return f"stop({self.draw.choice(self.names.scalars)})" if self.names.scalars else None

    def reduced(self):
        """A scalar from an array."""
        if not self.names.arrays or self.exact or self.deep > 1:
            return None
        shape = self.draw.choice(list(self.names.arrays.values()))
        a = self.array(shape, 1)
        ways = ["np.sum({})", "np.mean({})", "({}).sum()"] if 0 not in shape else ["np.sum({})"]
        if len(shape) == 1 and self.chance(0.3):
            return f"(({a}) @ ({self.array(shape, 1)}))"
        return self.draw.choice(ways).format(a)

    # --- arrays ---

    def array(self, shape, depth=2):
        """An array expression of a shape."""
        if depth <= 0 or self.chance(0.2):
            return self.whole(shape)
        if self.chance(0.25):
            return self.mixed(shape, depth)
        return self.combined(lambda less: self.array(shape, less), depth)

    def mixed(self, shape, depth):
        """An array with something that broadcasts."""
        a = self.array(shape, depth - 1)
        if len(shape) == 2 and self.chance(0.6):
            b = self.array(shape[1:], 0)
            if self.chance(0.5):
                b = f"({self.array(shape[:1], 0)})[:, None]"
        else:
            b = self.scalar(1)
        a, b = (a, b) if self.chance(0.5) else (b, a)
        return self.one(*SUMS, "{} * {}").format(a, b)

    def whole(self, shape):
        """An array of a shape without arithmetic, as far as possible."""
        found = list(self.views(shape))
        if found and self.chance(0.85):
            return self.draw.choice(found)
        if self.deep > 1:
            return f"np.array({self.numbers(int(np.prod(shape)))}, dtype=float).reshape({shape})"
        self.deep += 1
        made = self.vector(*shape) if len(shape) == 1 else self.matrix(*shape)
        self.deep -= 1
        return made

    def views(self, shape):
        """Names, and views of names, that have a shape."""
        for name, whole in self.names.arrays.items():
            if whole == shape:
                yield from [name] * 4
                yield f"{name}[::-1]"
                yield f"stop({name})" if not is_object(name) else name
            if whole[::-1] == shape and len(shape) == 2:
                yield from (f"{name}.T", f"np.transpose({name})")
            if np.prod(whole) == np.prod(shape) and whole != shape and np.prod(shape):
                yield f"{name}.reshape({shape})"
            if len(whole) == len(shape) == 1:
                yield from self.pieces(name, whole[0], shape[0])
            if len(whole) == 2 and 0 not in whole:
                yield from self.lower(name, whole, shape)

    def pieces(self, name, extent, wanted):
        """Slices of a vector."""
        if wanted < extent:
            first = self.draw.randint(0, extent - wanted)
            yield f"{name}[{first}:{first + wanted}]"
            yield f"{name}[{first - extent}:][:{wanted}]"
        if wanted == (extent + 1) // 2:
            yield f"{name}[::2]"
        if wanted == extent // 2:
            yield f"{name}[1::2]"
            yield f"{name}[::-2][:{wanted}]"
        if extent:
            places = [self.draw.randrange(-extent, extent) for _ in range(wanted)]
            yield f"{name}[np.array({places}, dtype=int)]"
            if wanted:
                yield f"{name}[{places}]"

    def lower(self, name, whole, shape):
        """Rows, columns, blocks and reductions of a matrix."""
        rows, columns = whole
        if shape == (columns,):
            yield from (f"{name}[{self.position(rows)}]", f"np.sum({name}, axis=0)")
            yield from (f"{name}.mean(axis=0)", f"{name}[{self.position(rows)}, ::-1][::-1]")
        if shape == (rows,):
            yield from (f"{name}[:, {self.position(columns)}]", f"np.sum({name}, axis=1)")
            yield f"np.mean({name}.T, axis=0)"
        if len(shape) == 2 and shape != whole and shape[0] <= rows and shape[1] <= columns:
            yield f"{name}[{rows - shape[0]}:, :{shape[1]}]"
        if shape == (rows, columns):
            yield from (f"{name}[::-1, ::-1]", f"{name}[:, ::-1]")
            places = [self.draw.randrange(rows) for _ in range(rows)]
            yield f"{name}[{places}]"
        if len(shape) == 1 and shape[0] == min(whole):
            yield f"np.diagonal({name})"

    def vector(self, size):
        kind = self.draw.random()
        if kind < 0.2 or not self.names.scalars or not size:
            return f"np.array({self.numbers(size)}, dtype=float)"
        inner = self.draw.choice(list(self.names.arrays.values()))[0] if self.names.arrays else 2
        if kind < 0.4 and not self.exact and inner:
            return f"(({self.array((size, inner), 1)}) @ ({self.array((inner,), 1)}))"
        if kind < 0.5 and not self.exact and inner:
            return f"(({self.array((inner,), 1)}) @ ({self.array((inner, size), 1)}))"
        if kind < 0.7 and size > 1:
            at = self.draw.randint(1, size - 1)
            return f"np.concatenate([{self.whole((at,))}, {self.whole((size - at,))}])"
        return f"np.stack([{', '.join(self.scalar(1) for _ in range(size))}])"

    def matrix(self, rows, columns):
        kind = self.draw.random()
        if kind < 0.4:
            return f"(({self.array((rows,), 0)})[:, None] * {self.array((columns,), 0)})"
        if kind < 0.6 and not self.exact:
            inner = self.draw.randint(1, 3)
            return f"(({self.array((rows, inner), 0)}) @ ({self.array((inner, columns), 0)}))"
        if kind < 0.8 and rows:
            return f"np.stack([{', '.join(self.array((columns,), 0) for _ in range(rows))}])"
        numbers = [[round(0.3 * r - 0.2 * c, 2) for c in range(columns)] for r in range(rows)]
        return f"np.array({numbers}).reshape({rows}, {columns})"

    # --- statements ---

    def block(self, size):
        """A few statements."""
        for _ in range(size):
            if len(self.lines) >= self.most:
                return
            self.statement()

    def statement(self):
        ways = [self.assign] * 3 + [self.update] * 5 + [self.assign_array] * 2
        ways += [self.update_array, self.swap, self.unused]
        if self.level < 4 and self.work < MOST_WORK:
            ways += [self.loop] * 7 + self.idioms()
        self.draw.choice(ways)()

    def idioms(self):
        return [
            self.grown_list,
            self.comprehension,
            self.stencil,
            self.grid,
            self.in_place,
            self.two_back,
            self.pairs,
            self.object_array,
            self.array_steps,
            self.reset_sum,
        ]

    def assign(self):
        name = self.fresh("t")
        self.say(f"{name} = {self.scalar()}")
        self.names.scalars.append(name)

    def unused(self):
        self.say(f"{self.fresh('unused')} = {self.scalar()}")

    def update(self):
        """Change a scalar that is there, perhaps from outside the loop."""
        if not self.names.scalars:
            return self.assign()
        name, value = self.draw.choice(self.names.scalars), self.scalar()
        ways = ["{0} = {0} + {1}", "{0} += {1}", "{0} -= {1}", "{0} = {1} + {0}"]
        ways += ["{0} = 0.5 * {0} + {1}", "{0} = {1} - 0.5 * {0}", "{0} = {1}"]
        ways += ["{0} = {0} - {1}", "{0} = {0} + {1} - 0.25", "{0} = {0} + ({1} + 0.1 * {0})"]
        ways += ["{0} = {0} / (1.0 + {1} * {1})", "{0} = {0} * np.sqrt(0.5 + 0.0 * {1})"]
        if not self.exact:
            ways += ["{0} = np.tanh({0} + {1})", "{0} = {0} * np.cos({1})"]
        self.say(self.draw.choice(ways).format(name, value))

    def swap(self):
        if len(self.names.scalars) < 2:
            return
        a, b = self.draw.sample(self.names.scalars, 2)
        self.say(f"{a}, {b} = {b}, {self.one(a, f'0.5 * {a} + {self.scalar(1)}')}")

    def a_shape(self):
        shapes = list(self.names.arrays.values()) or [(3,)]
        return self.draw.choice(shapes)

    def assign_array(self):
        shape, name = self.a_shape(), self.fresh("v")
        value = self.array(shape)
        name = self.fresh("o") if is_object(value) else name
        self.say(f"{name} = {value}")
        self.names.arrays[name] = shape

    def update_array(self):
        plain = [name for name in self.names.arrays if not is_object(name) and name != "DATA"]
        if not plain:
            return
        name = self.draw.choice(plain)
        value = self.array(self.names.arrays[name])
        if not is_object(value):
            way = self.one("{0} = {0} + 0.1 * {1}", "{0} = 0.5 * {0} - {1}", "{0} = {1}")
            self.say(way.format(name, value))

    # --- loops ---

    def loop(self):
        header, trips, names = self.draw.choice([self.counted, self.triangular, self.elements])()
        with self.inside(header, trips):
            for kind, name, what in names:
                getattr(self.names, kind).append(name) if what is None else getattr(
                    self.names, kind
                ).__setitem__(name, what)
            before = len(self.lines)
            self.block(self.draw.randint(1, 4))
            if len(self.lines) == before:
                self.say("pass")

    def counted(self):
        """A loop over a range of numbers."""
        name, count = self.fresh("i"), self.draw.choice([0, 1, 2, 3, 3, 4, 4, 5, 6, 8])
        first = self.draw.choice([0, 0, 0, 1, 2])
        index = [("indices", name, (first, max(first, first + count - 1)))]
        last = first + count
        kind = self.draw.random()
        if kind < 0.15:
            return f"for {name} in range({last - 1}, {first - 1}, -1):", count, index
        if kind < 0.25:
            return f"for {name} in reversed(range({first}, {last})):", count, index
        if kind < 0.35:
            return f"for {name} in range({first}, {last}, 2):", (count + 1) // 2, index
        return f"for {name} in range({f'{first}, ' * (first > 0)}{last}):", count, index

    def triangular(self):
        """A loop whose range depends on an outer index."""
        outer = [name for name, (low, _) in self.names.indices.items() if low >= 0]
        if not outer:
            return self.counted()
        base, name = self.draw.choice(outer), self.fresh("j")
        low, high = self.names.indices[base]
        n = high + self.draw.randint(0, 2)
        ranges = [
            (f"range({base})", (0, max(high - 1, 0))),
            (f"range({base} + 1)", (0, high)),
            (f"range({base}, {n})", (low, max(n - 1, low))),
            (f"range({base} + 1, {n + 1})", (low + 1, max(n, low + 1))),
            (f"range({base} - 1)", (0, max(high - 2, 0))),
            (f"reversed(range({base} + 1))", (0, high)),
            (f"range({base}, -1, -1)", (0, high)),
            (f"range({n} - {base})", (0, max(n - low - 1, 0))),
        ]
        text, reach = self.draw.choice(ranges)
        return f"for {name} in {text}:", max(1, (high + 1) // 2), [("indices", name, reach)]

    def elements(self):
        """A loop over the elements of something."""
        vectors = [name for name, shape in self.names.arrays.items() if len(shape) == 1]
        some = [(name, self.names.arrays[name][0]) for name in vectors]
        some += list(self.names.lists.items())
        if not some:
            return self.counted()
        name, size = self.draw.choice(some)
        value, index = self.fresh("e"), self.fresh("i")
        reach = ("indices", index, (0, max(size - 1, 0)))
        scalar = ("scalars", value, None)
        kind = self.draw.random()
        if kind < 0.3:
            return f"for {value} in {name}[:]:", size, [scalar]
        if kind < 0.6:
            return f"for {index}, {value} in enumerate({name}[:]):", size, [scalar, reach]
        if kind < 0.8:
            other, second = self.draw.choice(some)[0], self.fresh("e")
            both = [scalar, ("scalars", second, None)]
            return f"for {value}, {second} in zip({name}[:], {other}[:]):", size, both
        return f"for {value} in reversed({name}[:]):", size, [scalar]

    # --- idioms ---

    def grown_list(self):
        """A list that grows in a loop and reads itself."""
        name, ready = self.fresh("L"), self.draw.randint(0, 2)
        count, index = self.draw.randint(1, 6), self.fresh("i")
        self.say(f"{name} = [{', '.join(self.scalar(1) for _ in range(ready))}]")
        with self.inside(f"for {index} in range({count}):", count):
            self.names.indices[index] = (0, count - 1)
            self.names.lists[name] = ready
            back = [f"{name}[{-1 - k}]" for k in range(ready)]
            back += [f"{name}[{index}]"] if ready else []
            back += [f"{name}[{index} + 1]"] if ready > 1 else []
            self.names.scalars += back
            value = self.scalar()
            if back:
                value = f"0.5 * {self.draw.choice(back)} + {value}"
            self.names.scalars = [s for s in self.names.scalars if s not in back]
            self.block(self.draw.randint(0, 1))
            self.say(f"{name}.append({value})")
        self.names.lists[name] = ready + count

    def comprehension(self):
        name, index, count = self.fresh("L"), self.fresh("i"), self.draw.randint(1, 6)
        before = self.names
        self.names = before.copy()
        self.names.indices[index] = (0, count - 1)
        value = self.scalar()
        self.names = before
        self.say(f"{name} = [{value} for {index} in range({count})]")
        self.names.lists[name] = count

    def stencil(self):
        """Several steps in time of a list of values with boundaries."""
        name, size, steps = self.fresh("L"), self.draw.randint(3, 6), self.draw.randint(1, 4)
        i, new = self.fresh("i"), self.fresh("new")
        self.say(f"{name} = [{', '.join(self.scalar(1) for _ in range(size))}]")
        clock = self.fresh("k")
        with self.inside(f"for {clock} in range({steps}):", steps * size):
            self.names.indices[clock] = (0, steps - 1)
            rim = self.one(f"{name}[0]", self.number(), f"0.5 * {name}[1]")
            ring = f"{name}[{i} - 1] + {name}[({i} + 1) % {size}]"
            inner = f"{name}[{i}] + 0.1 * ({name}[{i} - 1] - 2.0 * {name}[{i}] + {name}[{i} + 1])"
            if self.chance(0.3):
                self.say(f"{name} = [0.3 * ({ring}) - {name}[{i}] for {i} in range({size})]")
            elif self.chance(0.5):
                self.say(f"{new} = [{inner} for {i} in range(1, {size - 1})]")
                self.say(f"{name} = [{rim}] + {new} + [{name}[-1]]")
            else:
                self.say(f"{new} = list({name})")
                self.say(f"for {i} in range(1, {size - 1}):")
                self.say(f"    {new}[{i}] = {inner} + {self.one('0.1', self.scalar(0))}")
                self.say(f"{name} = {new}")
        self.names.lists[name] = size

    def in_place(self):
        """A list whose elements are replaced one after the other."""
        name, size, i = self.fresh("L"), self.draw.randint(2, 6), self.fresh("i")
        clock, steps = self.fresh("k"), self.draw.randint(1, 4)
        self.say(f"{name} = [{self.scalar(0)} for _ in range({size})]")
        with self.inside(f"for {clock} in range({steps}):", steps):
            self.names.indices[clock] = (0, steps - 1)
            first = self.one(0, 1)
            with self.inside(f"for {i} in range({first}, {size}):", size):
                self.names.indices[i] = (first, size - 1)
                self.names.lists[name] = size
                self.say(f"{name}[{i}] = 0.4 * {name}[{i} - 1] + {self.scalar(1)}")
        self.names.lists[name] = size

    def grid(self):
        """A list of lists."""
        name, row = self.fresh("G"), self.fresh("row")
        rows, columns = self.draw.randint(1, 4), self.draw.randint(1, 4)
        i, j = self.fresh("i"), self.fresh("j")
        self.say(f"{name} = []")
        with self.inside(f"for {i} in range({rows}):", rows):
            self.names.indices[i] = (0, rows - 1)
            self.say(f"{row} = []")
            with self.inside(f"for {j} in range({columns}):", columns):
                self.names.indices[j] = (0, columns - 1)
                above = f" + 0.5 * {name}[{i} - 1][{j}] if {i} else 0.2"
                left = f" + 0.5 * {row}[-1] if {j} > 0 else {self.scalar(0)}"
                self.say(f"{row}.append({self.scalar(1)}{self.one('', above, left)})")
            self.say(f"{name}.append({row})")
        self.names.grids[name] = (rows, columns)

    def two_back(self):
        """A recurrence over the last two values."""
        p, q, i = self.fresh("p"), self.fresh("q"), self.fresh("i")
        count = self.draw.randint(0, 6)
        self.say(f"{p}, {q} = {self.scalar(1)}, {self.scalar(1)}")
        with self.inside(f"for {i} in range({count}):", count):
            self.names.indices[i] = (0, max(count - 1, 0))
            self.names.scalars += [p, q]
            self.say(f"{p}, {q} = {q}, 0.6 * {q} - 0.3 * {p} + 0.1 * {self.scalar(1)}")
            self.block(self.draw.randint(0, 1))
        self.names.scalars += [p, q]

    def pairs(self):
        """A double loop over pairs i < j or j <= i."""
        vectors = [n for n, shape in self.names.arrays.items() if len(shape) == 1 and shape[0]]
        if not vectors:
            return
        x, total = self.draw.choice(vectors), self.fresh("s")
        size = self.names.arrays[x][0]
        i, j = self.fresh("i"), self.fresh("j")
        self.say(f"{total} = {self.one('0.0', self.number(), self.scalar(0))}")
        with self.inside(f"for {i} in range({size}):", size):
            self.names.indices[i] = (0, size - 1)
            ranges = self.one(f"{i} + 1, {size}", f"{i} + 1", f"{i}", f"{i}, {size}")
            with self.inside(f"for {j} in range({ranges}):", (size + 1) // 2):
                self.names.indices[j] = (0, size - 1)
                gap = self.fresh("r")
                self.say(f"{gap} = {x}[{i}] - {x}[{j}]")
                self.names.scalars += [gap]
                self.say(f"{total} {self.one('+=', '-=')} {self.scalar()} / (1.0 + {gap} * {gap})")
                self.block(self.draw.randint(0, 1))
        self.names.scalars.append(total)

    def reset_sum(self):
        """A sum that starts again in each iteration of an outer loop."""
        total, inner, i, j = (self.fresh(stem) for stem in "ssij")
        rows, columns = self.draw.randint(1, 4), self.draw.randint(0, 4)
        self.say(f"{total} = {self.one('0.0', self.scalar(0))}")
        with self.inside(f"for {i} in range({rows}):", rows):
            self.names.indices[i] = (0, rows - 1)
            self.say(f"{inner} = {self.one('0.0', self.scalar(0))}")
            with self.inside(f"for {j} in range({columns}):", columns):
                self.names.indices[j] = (0, max(columns - 1, 0))
                for _ in range(self.draw.randint(1, 3)):
                    self.say(f"{inner} {self.one('+=', '-=')} {self.scalar(1)}")
            after = self.one(f"{inner}", f"{inner} * {inner}", f"{self.scalar(0)} * {inner}")
            self.say(f"{total} = {total} {self.one('+', '-')} {after}")
        self.names.scalars.append(total)

    def object_array(self):
        """np.array of traced scalars."""
        name, size = self.fresh("o"), self.draw.randint(1, 5)
        factor = ""
        if self.chance(0.5):  # each element is traced
            name, factor = self.fresh("w"), f"{self.argument} * "
        values = [f"{factor}{self.scalar(1)}" for _ in range(size)]
        values[0] = f"{self.argument} + {values[0]}"
        self.say(f"{name} = np.array([{', '.join(values)}])")
        self.names.arrays[name] = (size,)

    def array_steps(self):
        """An array that a loop moves on: y = y + dt * f(y)."""
        plain = [name for name in self.names.arrays if not is_object(name) and name != "DATA"]
        if not plain:
            return
        start, name, i = self.draw.choice(plain), self.fresh("y"), self.fresh("k")
        shape, count = self.names.arrays[start], self.draw.randint(0, 5)
        self.say(f"{name} = {start}")
        with self.inside(f"for {i} in range({count}):", count * int(np.prod(shape))):
            self.names.indices[i] = (0, max(count - 1, 0))
            self.names.arrays[name] = shape
            value = self.array(shape)
            if not is_object(value):
                rate = self.one("0.1", f"{self.numbers(count)}[{i}]", "0.05 * stop(1.0)")
                self.say(f"{name} = {name} + {rate} * {value}")
            self.block(self.draw.randint(0, 1))
            self.say("pass")
        self.names.arrays[name] = shape

    # --- the whole ---

    def function(self, seed):
        parameters = self.parameters()
        self.block(self.draw.randint(1, 6))
        self.say(f"return {self.result()}")
        body = "\n".join(self.lines)
        head = "".join(f"{line}\n" for line in self.globals)
        source = f"{head}{head and chr(10) * 2}def f({', '.join(parameters)}):\n{body}\n"
        count = self.draw.randint(1, len(parameters))
        argnums = tuple(sorted(self.draw.sample(range(len(parameters)), count)))
        arguments = tuple(parameters.values())
        return RandomFunction(seed, source, arguments, argnums, self.exact)

    def parameters(self):
        """Arguments by name."""
        rng = np.random.default_rng(self.draw.randrange(1 << 30))
        given = {}
        for name in self.draw.sample(["a", "b"], self.draw.randint(0, 2)):
            given[name] = float(np.round(rng.uniform(-1.5, 1.5), 3))
            self.names.scalars.append(name)
        for name in self.draw.sample(["x", "y"], self.draw.randint(0, 2)):
            given[name] = self.values(rng, (self.draw.randint(1, 6),))
        for name in self.draw.sample(["A", "B"], self.draw.choice([0, 0, 1, 1, 2])):
            given[name] = self.values(rng, (self.draw.randint(1, 4), self.draw.randint(1, 4)))
        if not given:
            given["x"] = self.values(rng, (4,))
        for name, value in given.items():
            if np.ndim(value):
                self.names.arrays[name] = value.shape
            self.argument = f"{name}{['', '[0]', '[0, 0]'][np.ndim(value)]}"
        self.outside(rng)
        return given

    def outside(self, rng):
        """Global data that the function names."""
        if self.chance(0.2):
            size = self.draw.randint(1, 5)
            self.globals.append(f"TABLE = {self.numbers(size)}")
            self.names.lists["TABLE"] = size
        if self.chance(0.2):
            data = self.values(rng, (self.draw.randint(1, 5),))
            self.globals.append(f"DATA = np.{data!r}")
            self.names.arrays["DATA"] = data.shape

    def values(self, rng, shape):
        signs = rng.choice([-1.0, 1.0], shape)
        return np.round(signs * rng.uniform(0.2, 1.5, shape), 3)

    def result(self):
        """What the function returns: a bit of everything that is there."""
        if self.chance(0.02):
            return self.one("0.5", self.scalar(0))
        parts = [self.scalar(1)]
        pool = [f"{self.number()} * {name}" for name in self.names.scalars]
        pool += [f"{name}[-1]" for name, size in self.names.lists.items() if size]
        pool += [f"{name}[-1][0]" for name in self.names.grids]
        if not self.exact:
            pool += [f"np.sum({name})" for name in self.names.arrays]
            pool += [f"np.mean({name} ** 2)" for name in self.names.arrays]
        self.draw.shuffle(pool)
        return " + ".join([*parts, *pool[: self.draw.randint(1, 5)]])


def random_function(seed):
    """The random function of a seed."""
    return Maker(seed).function(seed)

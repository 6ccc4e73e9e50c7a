"""Random Programs, and ways to run what is printed from one."""

import ast
import functools
import random

import numpy as np

from jitgrad.ops import OPS, library_call
from jitgrad.program import Accumulate, Affine, Assign, Buffer, Loop, Program, Ref

# --- running text --------------------------------------------------------------------------------


class _IEEE(ast.NodeTransformer):
    """Make float literals NumPy's, so that `1.0 / 0.0` is infinity, as in a kernel."""

    def visit_Constant(self, node):
        if isinstance(node.value, float):
            return ast.copy_location(ast.Call(ast.Name("float64", ast.Load()), [node], []), node)
        return node

    def visit_Attribute(self, node):
        if node.attr in OPS and library_call(node.attr):  # `np.exp`
            return ast.copy_location(ast.Name(f"numpy_{node.attr}", node.ctx), node)
        call = ast.Call(ast.Name("float64", ast.Load()), [node], [])
        return ast.copy_location(call, node) if node.attr in ("inf", "nan") else node


def execute(source):
    """The kernel of a Source in CPython, exactly as it is printed."""
    namespace = {}
    exec(source.text, namespace)
    return namespace[source.name]


def execute_exactly(source):
    """The same with the reference interpreter's library functions and IEEE's edges."""
    namespace = {"float64": np.float64}
    tree = ast.fix_missing_locations(_IEEE().visit(ast.parse(source.text)))
    exec(compile(tree, "<kernel>", "exec"), namespace)
    for name, row in OPS.items():
        if library_call(name):
            exact = functools.partial(_exactly, row)
            namespace[f"numpy_{name}"] = exact
            for called in {name, library_call(name)[1]}:
                if callable(namespace.get(called)):
                    namespace[called] = exact
    namespace["float"] = np.float64
    return namespace[source.name]


def _exactly(row, *operands):
    return np.float64(row.evaluate(*operands))


def arguments_of(program):
    """The inputs and outputs, in order."""
    kinds = ("input", "output")
    return [k for k, b in program.buffers.items() if b.kind in kinds and b.views is None]


def given(program, inputs):
    """Fresh arguments for the kernel, and the outputs among them by name."""
    arguments, outputs = [], {}
    for name in arguments_of(program):
        buffer = program.buffers[name]
        if buffer.kind == "output":
            outputs[name] = np.full(buffer.shape, np.nan)
            arguments.append(outputs[name])
        elif buffer.shape == ():
            arguments.append(np.dtype(buffer.dtype).type(inputs[name]))
        else:
            arguments.append(np.array(inputs[name], dtype=buffer.dtype))
    return arguments, outputs


# --- random Programs -----------------------------------------------------------------------------

ROWS, COLUMNS = 3, 4
CONSTANTS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    3.0,
    -2.0,
    0.5,
    -1.5,
    64.0,
    65.0,
    float("inf"),
    float("nan"),
]
LABELS = ["", "", "h", "h", "i", "x2", "lambda", "exp", "sum", "where", "total", "W['a b']", "np"]
FREQUENT = ["add", "sub", "mul", "div", "neg", "pow", "copy", "where", "lt", "eq", "logical_and"]


def buffers(draw):
    """The buffers that every random Program has."""
    made = {
        "x": Buffer((COLUMNS,), "input", label=draw.choice(LABELS)),
        "A": Buffer((ROWS, COLUMNS), "input"),
        "a": Buffer((), "input", label=draw.choice(LABELS)),
        "m": Buffer((), "input", "i8"),
        "n": Buffer((ROWS,), "input", "i8"),
        "p": Buffer((ROWS * COLUMNS + 2,), "input"),
        "W": Buffer((ROWS, COLUMNS), "input", views="p", offset=1),
        "W1": Buffer((COLUMNS,), "input", views="W", offset=COLUMNS, label="W"),
        "b": Buffer((), "input", views="p", offset=ROWS * COLUMNS + 1),
        "k": Buffer((COLUMNS,), "table", label=draw.choice(LABELS)),
        "g": Buffer((), "output", label=draw.choice(LABELS)),
        "G": Buffer((ROWS, COLUMNS), "output"),
        "G1": Buffer((COLUMNS,), "output", views="G", offset=COLUMNS),
        "G2": Buffer((), "output", views="G", offset=COLUMNS + 2),
        "u": Buffer((COLUMNS,), "temporary", label=draw.choice(LABELS)),
        "H": Buffer((ROWS, COLUMNS), "temporary", label=draw.choice(LABELS)),
        "H1": Buffer((COLUMNS * ROWS,), "temporary", views="H"),
    }
    for local in ("s0", "s1", "s2"):
        made[local] = Buffer((), "temporary", label=draw.choice(LABELS))
    return made


def inputs(seed):
    """Numbers for the inputs, some of them at the edges."""
    rng = np.random.default_rng(seed)
    edges = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan])

    def numbers(*shape):
        values = rng.normal(size=shape)
        return np.where(rng.random(shape) < 0.1, rng.choice(edges, shape), values)

    return {
        "x": numbers(COLUMNS),
        "A": numbers(ROWS, COLUMNS),
        "a": numbers(),
        "m": rng.integers(0, COLUMNS),
        "n": rng.integers(0, COLUMNS, ROWS),
        "p": numbers(ROWS * COLUMNS + 2),
    }


class _Maker:
    """Grows a Program at random; ``last`` holds the largest value of each index in scope."""

    def __init__(self, draw, size):
        self.draw, self.left = draw, size
        self.buffers = buffers(draw)
        self.count = 0
        self.recent = []

    def program(self):
        start = [Assign(Ref(s), "copy", (self.draw.choice(CONSTANTS),)) for s in ("s0", "s1", "s2")]
        for name in ("u", "H", "G"):
            start.append(self.fill(name))
        start.append(Assign(Ref("g"), "copy", (Ref("a"),)))
        body = self.block({}, ["s0", "s1", "s2"], 6)
        result = self.draw.choice([Ref("s0"), Ref("g"), self.operand({}, body[1])])
        table = np.array([0.1, -2.0, np.inf, 3.0])
        sites = (("/a/loss.py", 3, "h"), ("/a/loss.py", 4, ""), ("/a/b.py", 3, "lambda"))
        return Program(self.buffers, (*start, *body[0]), result, {"k": table}, sites)

    def fill(self, name):
        shape = self.buffers[name].shape
        indices = tuple(self.fresh("i") for _ in shape)
        place = tuple(map(Affine.index, indices))
        node = Assign(Ref(name, place), "copy", (self.draw.choice(CONSTANTS),))
        for index, extent in reversed(list(zip(indices, shape, strict=True))):
            node = Loop(index, Affine(extent), (node,))
        return node

    def fresh(self, stem):
        self.count += 1
        return f"{stem}{self.count}"

    def block(self, last, visible, size):
        visible, nodes = list(visible), []
        for _ in range(self.draw.randint(1, size)):
            self.left -= 1
            if self.left < 0:
                break
            nodes.append(self.node(last, visible))
        return tuple(nodes), visible

    def node(self, last, visible):
        kind = self.draw.random()
        site = self.draw.randint(-1, 2)
        if kind < 0.2 and len(last) < 3:
            return self.loop(last, visible)
        if kind < 0.6:
            local = self.fresh("t")
            self.buffers[local] = Buffer((), "temporary", label=self.draw.choice(LABELS))
            node = self.assign(Ref(local), last, visible, site)
            visible.append(local)
            return node
        if kind < 0.8:
            return self.assign(self.target(last), last, visible, site)
        return Accumulate(self.target(last), self.operand(last, visible), site)

    def assign(self, target, last, visible, site):
        op = self.draw.choice(FREQUENT) if self.draw.random() < 0.7 else self.draw.choice(list(OPS))
        operands = tuple(self.operand(last, visible) for _ in range(OPS[op].arity))
        return Assign(target, op, operands, site)

    def target(self, last):
        names = ["s0", "s1", "s2", "u", "H", "H1", "g", "G", "G1", "G2"]
        used = [ref.buffer for ref in self.recent[-3:] if ref.buffer in names]
        name = self.draw.choice(used if used and self.draw.random() < 0.5 else names)
        return self.element(name, last)

    def operand(self, last, visible):
        kind = self.draw.random()
        if kind < 0.15:
            return self.draw.choice(CONSTANTS)
        if kind < 0.7 and visible:
            recent = visible[-3:] if self.draw.random() < 0.6 else visible
            return Ref(self.draw.choice(recent))
        names = ["x", "A", "a", "m", "n", "p", "W", "W1", "b", "k", "u", "H", "H1", "g", "G", "G2"]
        if self.recent and self.draw.random() < 0.4:
            names = [self.recent[-1].buffer]
        return self.element(self.draw.choice(names), last)

    def element(self, name, last):
        """An element of a buffer; often one that was used a moment ago."""
        again = [
            ref for ref in self.recent[-6:] if ref.buffer == name and ref.indices() <= set(last)
        ]
        if again and self.draw.random() < 0.7:
            return again[-1]
        places = tuple(self.place(extent, last) for extent in self.buffers[name].shape)
        self.recent.append(Ref(name, places))
        return self.recent[-1]

    def place(self, extent, last):
        choices = [Affine(self.draw.randrange(extent))]
        if extent == COLUMNS:
            choices.append(Affine(0, ((Ref("m"), 1),)))
        for index, (outer, end) in last.items():
            here = Affine.index(index)
            whole = here.plus(Affine.index(outer)) if outer else here
            for place, largest in ((here, end), (whole, end)):
                room = extent - 1 - largest
                if room >= 0:
                    choices += [place.plus(self.draw.randint(0, room))] * 3
                    choices.append(Affine(extent - 1).plus(place, -1))
            if extent == COLUMNS and end < ROWS:
                choices.append(Affine(0, ((Ref("n", (here,)), 1),)))
        return self.draw.choice(choices)

    def loop(self, last, visible):
        """A loop over a constant range, or over the rest of an outer one."""
        index = self.fresh("i") if self.draw.random() < 0.5 else self.draw.choice("jk")
        index = index if index not in last else self.fresh("i")
        end = self.draw.randint(0, COLUMNS)
        plain = [name for name, (outer, _) in last.items() if outer is None]
        outer, extent = None, Affine(end)
        if plain and self.draw.random() < 0.5:
            outer = self.draw.choice(plain)
            end = last[outer][1] + 1
            extent = Affine(end).plus(Affine.index(outer), -1)
        inner = {**last, index: (outer, end - 1)}
        self.recent = [ref for ref in self.recent if index not in ref.indices()]
        body, _ = self.block(inner, visible, 4)
        return Loop(index, extent, body, self.draw.random() < 0.4)


def random_program(seed, size=25):
    """A random Program of about ``size`` statements."""
    return _Maker(random.Random(seed), size).program()

"""Choose names: what buffers, their elements and loop indices are called.

A buffer is called by its label, what a reader would call it; a second one of that label gets a
number. Nothing takes the name of a keyword, a builtin or a function that the module uses.

>>> names = Names({"b0": Buffer((3,), "input", label="lambda"), "b1": Buffer((), "temporary")})
>>> names.of("b0"), names.of("b1")
('lambda_', 't1')
>>> identifier("params['W1']")
'params_W1'
"""

import ast
import builtins
import itertools
import keyword
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from jitgrad.program import (
    Accumulate,
    Affine,
    Assign,
    Block,
    Buffer,
    Loop,
    Node,
    Operand,
    Ref,
    gathered,
    map_refs,
    operands_of,
    reads,
    refs_of,
    statements_of,
    storage,
    substitute,
    walk,
)
from jitgrad.sizes import counted

LONG = 24  # iterations of a loop that LLVM must not write out
FORBIDDEN = {*keyword.kwlist, *dir(builtins), "np", "numpy", "math", "numba", "njit", "add_up"}


def identifier(text: str) -> str:
    """Turn a text into the nearest identifier, or into nothing."""
    name = re.sub(r"\W+", "_", text).strip("_")
    return f"_{name}" if name[:1].isdigit() else name


class Names:
    """The names of one module, each chosen when it is first asked for.

    Parameters
    ----------
    buffers : mapping of str to Buffer
        May grow later.
    taken : iterable of str
        What else the module names.
    """

    def __init__(self, buffers: Mapping[str, Buffer], taken: Iterable[str] = ()) -> None:
        self._buffers = buffers
        self._taken = {*FORBIDDEN, *taken}
        # A number is never added to a label in such a way that it makes another label.
        self._labels = {identifier(buffer.label) for buffer in buffers.values()}
        self._viewed = {buffer.views for buffer in buffers.values()}
        self._chosen: dict[str, str] = {}
        self._numbers: Counter[str] = Counter()

    def of(self, buffer: str) -> str:
        """Return the name of a buffer."""
        if buffer not in self._chosen:
            self._chosen[buffer] = self._choose(buffer)
        return self._chosen[buffer]

    def share(self, buffer: str, other: str) -> None:
        """Call a buffer what another one is called."""
        self._chosen[buffer] = self.of(other)

    def chosen(self) -> list[str]:
        """Return the buffers that were asked for, in their own order."""
        return [buffer for buffer in self._buffers if buffer in self._chosen]

    def is_variable(self, buffer: str) -> bool:
        """Whether a buffer is a Python number, not an array."""
        shape, kind, _, views, *_ = self._buffers[buffer]
        if kind == "input":  # given as a number, whatever views of it there are
            return not (shape or views)
        return not (shape or kind == "output" or views or buffer in self._viewed)

    def element(self, ref: Ref) -> ast.expr:
        """Return the expression of one element."""
        if self.is_variable(ref.buffer):
            return ast.Name(self.of(ref.buffer))
        buffer = self._buffers[ref.buffer]
        if buffer.views is not None and buffer.shape == ():
            root, offset = storage(self._buffers, ref.buffer)
            place = np.unravel_index(offset, self._buffers[root].shape)
            return self.element(Ref(root, tuple(Affine(int(step)) for step in place)))
        places = [self.position(place) for place in ref.index]
        inside = places[0] if len(places) == 1 else ast.Tuple(places)
        return ast.Subscript(ast.Name(self.of(ref.buffer)), inside)

    def position(self, place: Affine) -> ast.expr:
        """Return the expression of a position: what is added, then what is taken away."""
        terms: list[tuple[int, ast.expr | None]] = []
        terms += [(c, self._atom(atom)) for atom, c in place.terms]
        terms.sort(key=lambda term: term[0] < 0)
        if place.constant or not terms:
            last = bool(terms) and terms[0][0] > 0
            terms.insert(len(terms) if last else 0, (place.constant, None))
        (c, atom), *rest = terms
        sum_ = _scaled(c, atom)
        for c, atom in rest:
            sum_ = ast.BinOp(sum_, ast.Sub() if c < 0 else ast.Add(), _scaled(abs(c), atom))
        return sum_

    def _atom(self, atom: str | Ref) -> ast.expr:
        if isinstance(atom, str):
            return ast.Name(atom)
        element = self.element(atom)
        whole = self._buffers[atom.buffer].dtype == "i8"
        return element if whole else ast.Call(ast.Name("int"), [element], [])

    def matrix(self, ref: Ref, axis: int = 0, index: str = "") -> str:
        """Name a matrix; transposed, unless ``index`` is what an axis is indexed by."""
        as_it_lies = not index or ref.index[axis] == Affine.index(index)
        return self.array(ref, ref.index[:-2]) + ("" if as_it_lies else ".T")

    def array(self, ref: Ref, outer: Sequence[Affine]) -> str:
        """Name an array that is all of a buffer's last dimensions, at some outer positions."""
        name: ast.expr = ast.Name(self.of(ref.buffer))
        places = [self.position(place) for place in outer]
        if places:
            name = ast.Subscript(name, places[0] if len(places) == 1 else ast.Tuple(places))
        return ast.unparse(name)

    def view(self, buffer: str) -> str:
        """Return the expression that makes a view."""
        shape = self._buffers[buffer].shape
        root, offset = storage(self._buffers, buffer)
        base, extents = self.of(root), self._buffers[root].shape
        if not extents and self._buffers[root].kind == "input":  # given as a number
            return f"np.full({shape}, {base})"
        end = offset + math.prod(shape)
        if (offset, end) != (0, math.prod(extents)):
            base += "" if len(extents) == 1 else ".reshape(-1)"
            base += f"[{offset or ''}:{end}]"
            extents = (end - offset,)
        same = shape == extents
        return base if same else f"{base}.reshape({', '.join(map(str, shape))})"

    def indices(self, depth: int) -> list[str]:
        """Return names for nested loop indices, which no buffer will take."""
        names = (f"{letter}{n or ''}" for n in itertools.count() for letter in "ijklmn")
        free = (name for name in names if name not in self._taken | self._labels)
        found = list(itertools.islice(free, depth))
        self._taken.update(found)
        return found

    def _choose(self, buffer: str) -> str:
        described = self._buffers[buffer]
        label = identifier(described.label)
        if not label and described.kind != "temporary":
            label = identifier(buffer)
        name = next(name for name in self._candidates(label) if name not in self._taken)
        self._taken.add(name)
        return name

    def _candidates(self, label: str) -> Iterator[str]:
        if label:
            yield label
        if label in FORBIDDEN:
            yield f"{label}_"
        stem = f"{label}_" if label[-1:].isdigit() else label or "t"
        while True:
            self._numbers[stem] += 1
            name = f"{stem}{self._numbers[stem] + bool(label)}"
            if name not in self._labels:
                yield name


def _scaled(c: int, atom: ast.expr | None) -> ast.expr:
    if atom is None or abs(c) != 1:
        factor = ast.Constant(abs(c))
        number = ast.UnaryOp(ast.USub(), factor) if c < 0 else factor
        return number if atom is None else ast.BinOp(number, ast.Mult(), atom)
    return ast.UnaryOp(ast.USub(), atom) if c < 0 else atom


# --- elements that are read several times --------------------------------------------------------


_Load: TypeAlias = tuple[Ref, int]  # an element, and how often its array was written before
_Loads: TypeAlias = tuple[Node, list[_Load]]


def load_once(block: Block, buffers: dict[str, Buffer], name: Callable[[str], str]) -> Block:
    """Give each array element that a block reads several times a local.

    Straight-line code over array elements takes Numba quadratic time to compile (1,000 statements:
    158 s, against 1.2 s over locals), and after a store to another array LLVM has to read again.

    Parameters
    ----------
    block : Block
        Its loops are left as they are.
    buffers : dict of str to Buffer
        Receives the new locals.
    name : callable
        Gives the name of an array.
    """
    found = list(_loads(block, buffers))
    counts = Counter(load for _, loads in found for load in loads)
    labels = {loads[0]: _copied_to(node, buffers) for node, loads in reversed(found) if loads}
    single = _read_in_single(found, buffers)
    locals_: dict[_Load, Ref] = {}
    loaded: list[Node] = []
    for node, loads in found:
        for ref, version in loads:
            if counts[ref, version] > 1 and (ref, version) not in locals_:
                label = labels.get((ref, version)) or _label(ref, name(ref.buffer))
                local = locals_[ref, version] = Ref(f"{label} {len(buffers)}")
                own = buffers[ref.buffer].dtype
                dtype = own if own != "i8" else "f4" if (ref, version) in single else "f8"
                buffers[local.buffer] = Buffer((), "temporary", dtype, label=label)
                loaded.append(Assign(local, "copy", (ref,), getattr(node, "site", -1)))
        known = {ref: locals_[ref, version] for ref, version in loads if (ref, version) in locals_}
        loaded.append(_with_locals(node, known))
    return tuple(loaded)


def _read_in_single(found: list[_Loads], buffers: Mapping[str, Buffer]) -> set[_Load]:
    """Return the elements that only statements which compute in float32 read."""
    types: dict[_Load, set[str]] = {}
    for node, loads in found:
        for load in loads:
            assert not isinstance(node, Loop)
            types.setdefault(load, set()).add(buffers[node.target.buffer].dtype)
    return {load for load, every in types.items() if every == {"f4"}}


def find_once(block: Block, buffers: dict[str, Buffer], name: Callable[[str], str]) -> Block:
    """Give each gathered position that a block uses several times a local.

    After a store to a gradient LLVM reads the index array again, and works out anew what a negative
    position would mean: a bundle adjustment takes 1.1 times as long without the locals.

    Parameters
    ----------
    block, buffers, name
        As in `load_once`.
    """
    atoms = [_positions_in(node) for node in block]
    counts = Counter(atom for found in atoms for atom in found)
    locals_: dict[Ref, Ref] = {}
    found: list[Node] = []

    def change(ref: Ref) -> Ref:
        return Ref(ref.buffer, tuple(map(position, ref.index)))

    def position(place: Affine) -> Affine:
        if not place.gathers():
            return place
        terms = {locals_.get(atom, atom): c for atom, c in place.terms}
        return Affine.of(place.constant, terms)

    for node, own in zip(block, atoms, strict=True):
        for atom in own:
            if counts[atom] > 1 and atom.index and atom not in locals_:
                label = _label(atom, name(atom.buffer))
                local = locals_[atom] = Ref(f"{label} {len(buffers)}")
                buffers[local.buffer] = Buffer((), "temporary", "i8", label=label)
                found.append(Assign(local, "copy", (atom,), getattr(node, "site", -1)))
        found.append(node if isinstance(node, Loop) else map_refs(node, change))
    return tuple(found)


def _positions_in(node: Node) -> list[Ref]:
    """The gathered positions that a statement itself uses."""
    return [] if isinstance(node, Loop) else [x for ref in refs_of(node) for x in gathered(ref)]


def _loads(block: Block, buffers: Mapping[str, Buffer]) -> Iterator[_Loads]:
    """Yield each node with the elements that it reads and how often their arrays were written."""
    versions: Counter[str] = Counter()
    for node in block:
        # A position stays an integer, whoever else reads it as a number: `find_once` loads it.
        operands: Sequence[Operand] = ()
        if isinstance(node, Assign | Accumulate) and buffers[node.target.buffer].dtype != "i8":
            operands = operands_of(node)
        yield (
            node,
            [
                (ref, versions[storage(buffers, ref.buffer)[0]])
                for ref in operands
                if isinstance(ref, Ref) and (ref.index or buffers[ref.buffer].kind == "output")
            ],
        )
        versions.update(written((node,), buffers))


def _with_locals(node: Node, known: Mapping[Ref, Ref]) -> Node:
    def operand(value: Operand) -> Operand:
        return known.get(value, value) if isinstance(value, Ref) else value

    if isinstance(node, Assign):
        return node._replace(operands=tuple(map(operand, node.operands)))
    return node._replace(value=operand(node.value)) if isinstance(node, Accumulate) else node


def _copied_to(node: Node, buffers: Mapping[str, Buffer]) -> str:
    if isinstance(node, Assign) and node.op == "copy" and not node.target.index:
        return buffers[node.target.buffer].label
    return ""


def _label(ref: Ref, array: str) -> str:
    return "_".join([array, *map(_words, ref.index)])


def _words(place: Affine) -> str:
    if place.gathers():
        return "at"
    if not place.terms:
        return str(place.constant)
    if len(place.terms) == 1 and place.terms[0][1] == 1 and abs(place.constant) == 1:
        return "next" if place.constant == 1 else "previous"
    return "_".join(atom for atom, _ in place.terms) + (
        f"_{place.constant}" if place.constant else ""
    )


def written(block: Block, buffers: Mapping[str, Buffer]) -> set[str]:
    """Return the buffers whose storage a block writes to."""
    return {storage(buffers, node.target.buffer)[0] for node in statements_of(block)}


# --- loop indices --------------------------------------------------------------------------------


def depth(block: Block) -> int:
    """Return how deep the loops of a block are nested."""
    return max((1 + depth(node.body) for node in block if isinstance(node, Loop)), default=0)


def name_indices(
    block: Block, names: list[str], values: Mapping[str, Affine] | None = None
) -> Block:
    """Rename each loop's index by the loop's depth."""
    values = values or {}
    return tuple(_rename(node, names, values) for node in block)


def _rename(node: Node, names: list[str], values: Mapping[str, Affine]) -> Node:
    if not isinstance(node, Loop):
        return substitute(node, values)
    inner = {**values, node.index: Affine.index(names[0])}
    body = name_indices(node.body, names[1:], inner)
    limit = None if node.limit is None else node.limit.substitute(values)
    extent = node.extent.substitute(values)
    return node._replace(index=names[0], extent=extent, body=body, limit=limit)


def natural_start(loop: Loop) -> Affine:
    """Return where the index of a loop should start for the positions in it to be simplest.

    >>> from jitgrad.program import Accumulate, Ref
    >>> use = Accumulate(Ref("s"), Ref("x", (Affine(1, (("i", 1), ("j", 1))),)))
    >>> natural_start(Loop("j", Affine(9, (("i", -1),)), (use,)))
    Affine(constant=1, terms=(('i', 1),))
    """
    positions = [place for place in _positions(loop.body) if loop.index in place.indices()]
    inner = {node.index for node in walk((loop,)) if isinstance(node, Loop)}
    starts = Counter(
        _outer_part(place, inner) for place in positions if place.coefficient(loop.index) == 1
    )
    best, least = Affine(), _cost(loop, positions, Affine())
    for start, _ in starts.most_common(3):
        cost = _cost(loop, positions, start)
        if cost < least:
            best, least = start, cost
    return best


def goes_along(loop: Loop, buffers: Mapping[str, Buffer]) -> tuple[str, int] | None:
    """Return an argument and the axis of it along which a long loop goes from end to end.

    LLVM writes out a loop of up to about 40 iterations that it knows the number of, and then finds
    no SIMD in it: the gradient of a logistic regression on 569 x 30 takes twice the time.
    """
    if loop.extent.terms or counted(loop.extent.constant) < LONG:
        return None
    for node in walk(loop.body):
        for ref in () if isinstance(node, Loop) else (node.target, *reads(node)):
            buffer = buffers[ref.buffer]
            if buffer.kind in ("input", "output") and buffer.views is None:
                for axis, position in enumerate(ref.index):
                    whole = buffer.shape[axis] == loop.extent.constant
                    if whole and position == Affine.index(loop.index):
                        return ref.buffer, axis
    return None


def shift(loop: Loop, start: Affine) -> Block:
    """Return the body of a loop whose index runs from ``start`` instead of zero."""
    if start == Affine():
        return loop.body
    values = {loop.index: Affine.index(loop.index).plus(start, -1)}
    return tuple(substitute(node, values) for node in loop.body)


def _positions(block: Block) -> Iterator[Affine]:
    """Yield every position in a block, those inside positions and the extents included."""
    for node in walk(block):
        if not isinstance(node, Loop):
            for ref in (node.target, *reads(node)):
                yield from ref.index
        else:
            yield node.extent
            for ref in gathered(Ref("", (node.extent,))):
                yield from ref.index


def _outer_part(place: Affine, inner: set[str]) -> Affine:
    kept = {atom: c for atom, c in place.terms if isinstance(atom, str) and atom not in inner}
    return Affine.of(place.constant, kept)


def _cost(loop: Loop, positions: list[Affine], start: Affine) -> int:
    """Count the terms that a reader sees when a loop starts there."""
    values = {loop.index: Affine.index(loop.index).plus(start, -1)}
    ends = [start, loop.extent.plus(start)] if start != Affine() else [loop.extent]
    return sum(map(_terms, [*(place.substitute(values) for place in positions), *ends]))


def _terms(place: Affine) -> int:
    return len(place.terms) + bool(place.constant or not place.terms)

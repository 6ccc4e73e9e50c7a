"""Program to Program: an array that lives inside one iteration becomes a local.

A dimension that every use indexes by the same position inside one loop is dropped. A carried value,
used at ``i`` and ``i + 1`` only, becomes two that are handed on. A sum into one element becomes a
local that is stored after the loop. This is the last pass: afterwards an element may be written
more than once.
"""

from __future__ import annotations

from typing import NamedTuple

from jitgrad.depend import Use, differ, touched, uses
from jitgrad.program import (
    Accumulate,
    Affine,
    Assign,
    Block,
    Buffer,
    Call,
    Loop,
    Node,
    Operand,
    Product,
    Program,
    Ref,
    map_refs,
    nest,
    storage,
)


def contract(program: Program) -> Program:
    """Shrink temporaries, hand on carried values."""
    while True:
        before = program
        program = hand_on(drop_axes(program))
        if program == before:
            return merge_fills(keep_latest(merge_fills(program)))


class _Uses(NamedTuple):
    """All uses of one temporary, each with the loops around it."""

    name: str
    found: list[Use]

    def common(self) -> set[str]:
        """Return the loops that every use is in."""
        return set.intersection(*({loop.index for loop in use.loops} for use in self.found))


def _temporaries(program: Program) -> list[_Uses]:
    by_name: dict[str, list[Use]] = {}
    for node in program.body:
        for use in uses(node):
            by_name.setdefault(use.ref.buffer, []).append(use)
    if isinstance(program.result, Ref):
        by_name.setdefault(program.result.buffer, []).append(Use(program.result, "read", ()))
    viewed = {buffer.views for buffer in program.buffers.values()}
    return [
        _Uses(name, found)
        for name, found in by_name.items()
        if program.buffers[name].kind == "temporary"
        and program.buffers[name].views is None
        and name not in viewed
        and program.buffers[name].shape
    ]


def drop_axes(program: Program) -> Program:
    """Drop the dimensions along which only one position is alive at a time."""
    kept = {use.name: _alive_axes(use) for use in _temporaries(program)}
    buffers = dict(program.buffers)
    for name, axes in kept.items():
        old = buffers[name]
        buffers[name] = old._replace(shape=tuple(old.shape[axis] for axis in axes))

    def change(ref: Ref) -> Ref:
        axes = kept.get(ref.buffer)
        if axes is None or len(axes) == len(ref.index):
            return ref
        return Ref(ref.buffer, tuple(ref.index[axis] for axis in axes))

    body = tuple(map_refs(node, change) for node in program.body)
    result = change(program.result) if isinstance(program.result, Ref) else program.result
    return program._replace(buffers=buffers, body=body, result=result)


def _alive_axes(use: _Uses) -> list[int]:
    """Return the dimensions along which several positions are used at once."""
    common = use.common()
    axes = []
    for axis in range(len(use.found[0].ref.index)):
        positions = {found.ref.index[axis] for found in use.found}
        if len(positions) > 1 or not positions.pop().indices() <= common:
            axes.append(axis)
    return axes


# --- carried values ------------------------------------------------------------------------------


class _Window(NamedTuple):
    """A carried value: along ``axis`` the loop uses ``index + step`` and ``index + step + 1``."""

    name: str
    axis: int
    loop: Loop
    step: int


def hand_on(program: Program) -> Program:
    """Replace a buffer that a loop walks along two elements at a time by those two."""
    for use in _temporaries(program):
        for axis in range(len(program.buffers[use.name].shape)):
            window = _window(use, axis)
            if window is not None:
                return hand_on(_handed_on(program, window))
    return program


def _window(use: _Uses, axis: int) -> _Window | None:
    loops = {loop.index: loop for found in use.found for loop in found.loops}
    walking = {term for found in use.found for term, _ in found.ref.index[axis].terms}
    if len(walking) != 1 or not isinstance(index := walking.pop(), str):
        return None
    loop, steps, fixed = loops[index], set(), set()
    for found in use.found:
        position = found.ref.index[axis]
        if any(around.index == index for around in found.loops):
            if position.terms != ((index, 1),):
                return None
            steps.add(position.constant)
        elif position.terms:
            return None
        else:
            fixed.add((position.constant, _comes_after(found, use, index)))
    step = min(steps)
    if loop.extent.terms or max(steps) - step != 1:
        return None
    first, last = step, step + loop.extent.constant
    before, after = (last, first) if loop.backward else (first, last)
    right = all(position == (after if late else before) for position, late in fixed)
    return _Window(use.name, axis, loop, step) if right else None


def _comes_after(found: Use, use: _Uses, index: str) -> bool:
    order = [
        k for k, other in enumerate(use.found) if any(loop.index == index for loop in other.loops)
    ]
    return next(k for k, other in enumerate(use.found) if other is found) > order[0]


def _handed_on(program: Program, window: _Window) -> Program:
    name, axis = window.name, window.axis
    buffer = program.buffers[name]
    rest = [d for d in range(len(buffer.shape)) if d != axis]
    shape = tuple(buffer.shape[d] for d in rest)
    label = f"{buffer.label}_next" if buffer.label else ""
    new = window.step if window.loop.backward else window.step + 1
    single = not rest and _old_is_done(window, new)
    other = name if single else f"{name}_next"

    def inside(ref: Ref) -> Ref:
        if ref.buffer != name:
            return ref
        fresh = ref.index[axis] == Affine(new, ((window.loop.index, 1),))
        return Ref(other if fresh else name, tuple(ref.index[d] for d in rest))

    def outside(ref: Ref) -> Ref:
        return Ref(name, tuple(ref.index[d] for d in rest)) if ref.buffer == name else ref

    def visit(node: Node) -> Node:
        if isinstance(node, Loop) and node.index == window.loop.index:
            body = tuple(map_refs(child, inside) for child in node.body)
            return node._replace(
                body=body if single else (*body, _copy(other, name, shape, node.index))
            )
        if isinstance(node, Loop):
            return node._replace(body=tuple(map(visit, node.body)))
        return map_refs(node, outside)

    buffers = {**program.buffers, name: buffer._replace(shape=shape)}
    if not single:
        buffers[other] = buffer._replace(shape=shape, label=label)
    result = outside(program.result) if isinstance(program.result, Ref) else program.result
    return program._replace(buffers=buffers, body=tuple(map(visit, program.body)), result=result)


def _old_is_done(window: _Window, new: int) -> bool:
    """Whether the old value is never used after the new one begins."""
    last_old, first_new = -1, len(window.loop.body)
    fresh = Affine(new, ((window.loop.index, 1),))
    for at, node in enumerate(window.loop.body):
        for use in uses(node):
            if use.ref.buffer != window.name:
                continue
            if use.ref.index[window.axis] == fresh:
                first_new = min(first_new, at)
            else:
                last_old = at
    same = last_old == first_new and isinstance(window.loop.body[last_old], Assign)
    return last_old < first_new or same


def _copy(source: str, target: str, shape: tuple[int, ...], suffix: str) -> Node:
    names = [f"c{axis}_{target}_{suffix}" for axis in range(len(shape))]
    index = tuple(map(Affine.index, names))
    copy = Assign(Ref(target, index), "copy", (Ref(source, index),))
    return nest(list(zip(names, shape, strict=True)), copy)


# --- carried values that are stored all the same -------------------------------------------------


def keep_latest(program: Program) -> Program:
    """Read a carried value from a local where the array is only stored for later.

    A load of what the iteration before stored takes 4 to 5 cycles on the critical path.
    """
    done: set[tuple[str, str]] = set()
    while True:
        before = program
        for use, loop in _walks(program):
            if (use.name, loop.index) not in done:
                done.add((use.name, loop.index))
                program = _kept_latest(program, use, loop)
                if program is not before:
                    break
        else:
            return program


def _walks(program: Program) -> list[tuple[_Uses, Loop]]:
    """List one-dimensional temporaries, each with the innermost loops that use it."""
    return [
        (use, loop)
        for use in _temporaries(program)
        if len(program.buffers[use.name].shape) == 1
        for loop in {
            found.loops[-1].index: found.loops[-1] for found in use.found if found.loops
        }.values()
    ]


def _kept_latest(program: Program, use: _Uses, loop: Loop) -> Program:
    name = use.name
    inside = [
        found for found in use.found if any(around.index == loop.index for around in found.loops)
    ]
    positions = {found.ref.index[0] for found in inside}
    writes = [node for node in loop.body if isinstance(node, Assign) and node.target.buffer == name]
    walks = all(position.coefficient(loop.index) == 1 for position in positions)
    runs = loop.extent.constant > 0 and not loop.extent.terms
    if loop.limit is not None:
        runs = not loop.backward  # a strip is never empty, but where the last one ends is not known
    if len(writes) != 1 or len(positions) != 2 or not walks or not runs:
        return program
    if sum(found.kind != "read" for found in inside) != 1:
        return program
    new = writes[0].target.index[0]
    step = 1 if loop.backward else -1
    old = new.plus(step)
    first = loop.extent.constant - 1 if loop.backward else 0
    if positions != {new, old}:
        return program
    old_one = program.buffers[name]
    label, dtype = old_one.label, old_one.dtype
    latest, before = Ref(f"{name}_latest"), Ref(f"{name}_before")
    locals_ = {
        latest.buffer: Buffer((), "temporary", dtype, label=label),
        before.buffer: Buffer((), "temporary", dtype, label=f"{label}_before" if label else ""),
    }

    def local(ref: Ref) -> Ref:
        if ref.buffer != name:
            return ref
        return latest if ref.index[0] == new else before

    body: list[Node] = []
    for node in loop.body:
        body.append(map_refs(node, local))
        if node is writes[0]:
            body.append(Assign(writes[0].target, "copy", (latest,), node.site))
    body.append(Assign(before, "copy", (latest,)))
    start = Ref(name, (old.substitute({loop.index: Affine(first)}),))

    def visit(block: Block) -> Block:
        nodes: list[Node] = []
        for node in block:
            if isinstance(node, Loop) and node.index == loop.index:
                value = _just_stored(nodes, start)
                nodes.append(Assign(before, "copy", (value,)))
                nodes.append(node._replace(body=tuple(body)))
            else:
                nodes.append(
                    node._replace(body=visit(node.body)) if isinstance(node, Loop) else node
                )
        return tuple(nodes)

    return program._replace(body=visit(program.body), buffers={**program.buffers, **locals_})


def _just_stored(nodes: list[Node], element: Ref) -> Operand:
    """Return the number or local that was copied into an element last, or else the element."""
    changed: set[str] = set()
    for node in reversed(nodes):
        written = [use.ref for use in uses(node) if use.kind != "read"]
        if isinstance(node, Assign) and node.target == element and node.op == "copy":
            (source,) = node.operands
            is_element = isinstance(source, Ref) and (source.index or source.buffer in changed)
            return element if is_element else source
        if any(ref.buffer == element.buffer and not differ(ref, element) for ref in written):
            return element
        changed |= {ref.buffer for ref in written}
    return element


# --- sums ----------------------------------------------------------------------------------------


def merge_fills(program: Program) -> Program:
    """Join "set to zero" and the first addition after it in the same block."""

    def visit(block: Block) -> Block:
        nodes: list[Node | None] = [
            node._replace(body=visit(node.body)) if isinstance(node, Loop) else node
            for node in block
        ]
        pending: dict[Ref, int] = {}
        for at, node in enumerate(nodes):
            assert node is not None
            first = None
            if isinstance(node, Accumulate) and node.op == "add":
                first = pending.get(node.target)
            if isinstance(node, Accumulate) and first is not None and not _reads_its_own(node):
                del pending[node.target]
                nodes[first] = None
                nodes[at] = Assign(node.target, "copy", (node.value,), node.site)
            used = touched(node, program.buffers)
            roots = {ref: storage(program.buffers, ref.buffer)[0] for ref in pending}
            pending = {
                ref: n for ref, n in pending.items() if _apart(node, used.get(roots[ref], []), ref)
            }
            if isinstance(node, Assign) and node.op == "copy" and node.operands == (0.0,):
                pending[node.target] = at
        return tuple(node for node in nodes if node is not None)

    return program._replace(body=visit(program.body))


def _apart(node: Node, used: list[Use], ref: Ref) -> bool:
    """Whether these uses of a storage are surely of other elements than ``ref``."""
    if isinstance(node, Loop | Product | Call) and used:
        return False
    return all(use.ref.buffer == ref.buffer and differ(use.ref, ref) for use in used)


def _reads_its_own(node: Accumulate) -> bool:
    return any(use.ref.buffer == node.target.buffer for use in uses(node) if use.kind == "read")

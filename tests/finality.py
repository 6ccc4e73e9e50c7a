"""Whether every read of a Program sees a final value, element by element.

The passes rest on this: an element is assigned once, then perhaps added to, and only then read. The
interpreter would give a number also where that does not hold.

>>> from jitgrad.program import Affine, Assign, Buffer, Program, Ref
>>> first = Assign(Ref("s", (Affine(),)), "copy", (1.0,))
>>> program = Program({"s": Buffer((1,), "temporary")}, (first, first), 0.0)
>>> final(program, {})
Traceback (most recent call last):
AssertionError: s[0] = copy(1.0) at {}: s[0] is assigned twice
"""

import itertools
import math

import numpy as np

from jitgrad import interpreter
from jitgrad.program import Accumulate, Assign, Call, Loop, Ref, reads, show, show_operand, storage
from jitgrad.traced import contiguous

UNWRITTEN, WRITTEN, READ = range(3)


def final(program, inputs):
    """Return a Program that keeps the rule for these inputs, of which only positions matter.

    Raises
    ------
    AssertionError
    """
    replay = _Replay(program, inputs)
    replay.block(program.body, {})
    if isinstance(program.result, Ref):
        replay.read(program.result, {}, "return")
    return program


class _Replay:
    """What has happened to each element so far."""

    def __init__(self, program, inputs):
        self.buffers = program.buffers
        given = {**inputs, **program.tables}
        self.states = {
            name: np.full(math.prod(buffer.shape), READ if name in given else UNWRITTEN)
            for name, buffer in program.buffers.items()
            if buffer.views is None
        }
        if any(b.dtype == "i8" and b.kind == "temporary" for b in program.buffers.values()):
            given |= interpreter.run(program, inputs).buffers  # positions that routines make
        self.given = {name: np.asarray(data) for name, data in given.items()}

    def block(self, block, at):
        for node in block:
            if isinstance(node, Loop):
                steps = range(self.position(node.extent, at))
                for step in reversed(steps) if node.backward else steps:
                    self.block(node.body, {**at, node.index: step})
                continue
            if isinstance(node, Call):
                self.call(node, at)
                continue
            for ref in reads(node):
                self.read(ref, at, node)
            self.write(node, at)

    def call(self, node, at):
        """A routine reads whole arrays and assigns each element of one."""
        for ref in node.operands:
            for cell in self.cells(node, ref):
                self.read(ref, {**at, **cell}, node)
        for cell in self.cells(node, node.target):
            self.assign(node, {**at, **cell})

    def cells(self, node, ref):
        own = [(name, extent) for name, extent in node.loops if name in ref.indices()]
        for place in itertools.product(*(range(extent) for _, extent in own)):
            yield {name: step for (name, _), step in zip(own, place, strict=True)}

    def read(self, ref, at, node):
        states, place = self.element(ref, at, node)
        say(states[place] != UNWRITTEN, node, at, ref, "is read before it is written")
        states[place] = READ

    def write(self, node, at):
        if isinstance(node, Assign):
            self.assign(node, at)
            return
        states, place = self.element(node.target, at, node)
        assert isinstance(node, Accumulate)
        say(states[place] != UNWRITTEN, node, at, node.target, "has nothing to be added to")
        say(states[place] != READ, node, at, node.target, "changes after it was read")
        states[place] = WRITTEN

    def assign(self, node, at):
        states, place = self.element(node.target, at, node)
        say(states[place] == UNWRITTEN, node, at, node.target, "is assigned twice")
        states[place] = WRITTEN

    def element(self, ref, at, node):
        """The states of a buffer's storage, and the place of an element in it."""
        owner, offset = storage(self.buffers, ref.buffer)
        shape = self.buffers[ref.buffer].shape
        place = [self.position(position, at) for position in ref.index]
        inside = all(0 <= p < extent for p, extent in zip(place, shape, strict=True))
        say(inside, node, at, ref, f"leaves {shape}")
        steps = zip(place, contiguous(shape), strict=True)
        return self.states[owner], offset + sum(p * step for p, step in steps)

    def position(self, position, at):
        total = position.constant
        for atom, c in position.terms:
            if isinstance(atom, Ref):
                owner, offset = storage(self.buffers, atom.buffer)
                place = [self.position(p, at) for p in atom.index]
                strides = contiguous(self.buffers[atom.buffer].shape)
                flat = offset + sum(p * s for p, s in zip(place, strides, strict=True))
                total += c * int(self.given[owner].flat[flat])
            else:
                total += c * at[atom]
        return total


def say(good, node, at, ref, what):
    """Raise with the statement, unless all is good."""
    if not good:
        text = node if isinstance(node, str) else show([node])[0]
        raise AssertionError(f"{text} at {at}: {show_operand(ref)} {what}")

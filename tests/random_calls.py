"""Random array programs with calls in them: sorting, scans, linear algebra, changes in place.

A program of `random_arrays` that works on whole arrays at a time as well, picks elements at
positions that it computes, and sets elements of arrays of its own.
"""

import numpy as np

from tests.random_arrays import GAP, TRIES, Maker

SQUARE = [
    "np.linalg.inv({a})",
    "np.linalg.det({a})",
    "np.linalg.slogdet({a})[1]",
    "np.linalg.slogdet({a})[0] * {a}",
    "np.linalg.solve({a}, {b})",
    "np.linalg.solve({a}, {b}[..., None])[..., 0]",
    "np.linalg.matrix_power({a}, -2)",
]
DEFINITE = [
    "np.linalg.cholesky({s})",
    "np.linalg.cholesky({s}, upper=True)",
    "np.linalg.eigvalsh({s})",
    "np.linalg.eigh({s})[0]",
    "np.linalg.eigh({s})[1] ** 2",
    "np.linalg.solve({s}, {b})",
]
OBLONG = [
    "np.linalg.svd({a}, compute_uv=False)",
    "np.linalg.pinv({a})",
    "np.linalg.qr({a})[1] ** 2",
    "np.linalg.norm({a}, axis=-1)",
]
ORDERED = [
    "np.sort({a}, axis={axis})",
    "np.sort({a}, axis={axis})",
    "np.take_along_axis({a}, np.argsort({a}, axis={axis}), {axis})",
    "{a} * np.argsort({a}, axis={axis})",
    "np.argmax({a}, axis={axis}) * np.max({a}, axis={axis})",
    "np.median({a}, axis={axis})",
    "np.quantile({a}, 0.3, axis={axis})",
    "np.partition({a}, 0, axis={axis})[..., :1]",
]
SCANNED = [
    "np.cumsum({a}, axis={axis})",
    "np.cumprod({a}, axis={axis})",
    "np.maximum.accumulate({a}, axis={axis})",
    "np.logaddexp.accumulate({a}, axis={axis})",
]
POSITIONS = [
    "np.argsort({b})",
    "np.argsort({b})[::-1]",
    "np.argsort(np.argsort({b}))",
    "np.argmax({b})",
    "np.searchsorted(np.sort({b}), {b}[:2]) % {n}",
    "np.floor(2.0 * {b}).astype(int) % {n}",
    "-1 - np.floor(np.abs({b})).astype(int) % {n}",
]


class CallMaker(Maker):
    """Writes one program with calls."""

    def ways(self):
        return (*super().ways(), self.ordered, self.scanned, self.solved, self.chosen)

    def weights(self):
        return (*super().weights(), 16, 12, 22, 14)

    def untied_along(self, a, axis):
        """Whether all elements along an axis are apart from each other."""
        value = self.value(a)
        return value is not None and bool(np.all(np.diff(np.sort(value, axis), axis=axis) > GAP))

    def ordered(self, depth):
        a = self.inner(depth)
        rank = len(self.shape(a))
        if not rank or not all(self.shape(a)):
            return None
        axis = self.draw.randrange(-rank, rank)
        if not self.untied_along(a, axis):
            return None
        return self.draw.choice(ORDERED).format(a=a, axis=axis)

    def scanned(self, depth):
        a = self.inner(depth)
        rank = len(self.shape(a))
        if not rank:
            return None
        axis = self.draw.randrange(-rank, rank)
        text = self.draw.choice(SCANNED)
        if "maximum" in text and not self.untied_along(a, axis):
            return None
        return text.format(a=a, axis=axis)

    def solved(self, depth):
        """Linear algebra, of matrices that are not close to singular."""
        for _ in range(TRIES):
            a = self.inner(depth)
            shape = self.shape(a)
            if len(shape) > 1 and min(shape) > 0 and max(shape[-2:]) < 8:
                break
        else:
            return None
        b = self.inner(0)
        if shape[-1] != shape[-2]:
            # Of a wide matrix R follows from its first columns, which may be singular.
            text = self.draw.choice(OBLONG if shape[-2] > shape[-1] else OBLONG[:2]).format(a=a)
            values = self.value(f"np.linalg.svd({a}, compute_uv=False)")
            apart = values is not None and np.all(np.diff(values, axis=-1) < -0.05)
            return text if apart and np.all(values > 0.1) else None
        if self.chance(0.5):
            base = f"({a} + 2.0 * np.eye({shape[-1]}))"
            values = self.value(f"np.linalg.svd({base}, compute_uv=False)")
            text = self.draw.choice(SQUARE).format(a=base, b=b)
            return text if values is not None and np.all(values > 0.2) else None
        turned = f"np.swapaxes({a}, -1, -2)"
        base = f"({a} @ {turned} + np.diag(np.arange(1.0, {shape[-1] + 1})))"
        values = self.value(f"np.linalg.eigvalsh({base})")
        if values is None or not np.all(np.diff(values, axis=-1) > 0.1):
            return None
        return self.draw.choice(DEFINITE).format(s=base, b=b)

    def chosen(self, depth):
        """Elements at positions that the program computes."""
        a = self.inner(depth)
        shape = self.shape(a)
        some = [n for n in self.floats if np.ndim(self.values[n]) == 1 and np.size(self.values[n])]
        if not shape or not shape[0] or not some:
            return None
        b = self.draw.choice(some)
        text = self.draw.choice(POSITIONS).format(b=b, n=shape[0])
        ends = f"np.concatenate([{b} - np.round({b}), 2.0 * {b} - np.round(2.0 * {b})])"
        safe = self.apart(ends) if "floor" in text else self.untied_along(b, 0)
        axis = self.draw.randrange(len(shape)) if self.chance(0.3) else 0
        if "sort(" in text and "search" not in text and len(self.values[b]) > shape[axis]:
            return None
        return f"{a}[{':, ' * axis}{text}]" if safe else None

    # --- statements ---

    def statement(self):
        if self.chance(0.3):
            for _ in range(TRIES):
                lines, name = self.one(self.placed, self.handed_on)()
                if lines and self.run(lines, name):
                    return
        super().statement()

    def placed(self):
        """Elements of an array set or changed, one or several times."""
        some = [n for n in self.floats if np.ndim(self.values[n]) and np.size(self.values[n])]
        if not some:
            return None, None
        x, name = self.draw.choice(some), self.fresh("v")
        lines, shape = [f"{name} = {x} * {self.number()}"], self.shape(x)
        # From now on the array itself may be read: on the right it is what it was before.
        self.values[name] = self.value(f"{x} * 1.0")
        self.floats.append(name)
        for _ in range(self.draw.randint(1, 3)):
            index = self.place(shape)
            value = self.fitting(f"{name}[{index}]", 1) if self.chance(0.7) else self.number()
            if np.ndim(self.value(f"{name}[{index}] + {value}")) != np.ndim(
                self.value(f"{name}[{index}]")
            ):
                continue
            lines.append(f"{name} = {self.one('placed', 'added')}({name}, np.s_[{index}], {value})")
        self.floats.remove(name)
        del self.values[name]
        return lines, name

    def place(self, shape):
        n = shape[0]
        some = [self.draw.randint(-n, n - 1) for _ in range(self.draw.randint(1, 3))]
        truths = [self.chance(0.6) for _ in range(n)]
        texts = [str(self.draw.randint(-n, n - 1)), str(some), "::2", "::-1", "1:", ":-1", "..."]
        if n < 20:
            texts.append(f"np.array({truths})")
        if len(shape) > 1 and shape[1]:
            texts += [f":, {self.draw.randint(-shape[1], shape[1] - 1)}", "::2, ::-1"]
        return self.draw.choice(texts)

    def handed_on(self):
        """A loop that moves an array on by calls and by picking from it."""
        some = [n for n in self.floats if np.ndim(self.values[n]) and all(self.shape(n))]
        if not some:
            return None, None
        x, name, k = self.draw.choice(some), self.fresh("y"), self.fresh("k")
        n = self.shape(x)[0]
        order = [self.draw.randrange(-n, n) for _ in range(n)]
        shift = f"np.linspace(0.1, 0.9, {n}){'[:, None]' * (len(self.shape(x)) == 2)}"
        step = self.one(
            f"0.9 * {name}[{order}] + {shift}",
            f"{name} + 0.1 * {name}[{order}]",
            f"np.sort({name}, axis=0) * 0.9 + {shift}",
            f"np.cumsum({name}, axis=-1) * 0.3",
            f"np.roll({name}, 1, axis=0) * 0.7 + np.sin({name})",
            f"np.linalg.solve({name} @ {name}.T + np.eye({n}), {name})",
            f"placed({name}, 0, {name}[-1] * 0.5)",
            f"added({name}, np.s_[1:], {name}[:-1] * 0.2)",
        )
        if len(self.shape(x)) > 2 or ("solve" in step and len(self.shape(x)) != 2):
            return None, None
        count = self.draw.choice([2, 3, 4, 6])
        if "sort" in step and not self.apart_while(x, name, step, count):
            return None, None
        return [f"{name} = {x}", f"for {k} in range({count}):", f"    {name} = {step}"], name

    def apart_while(self, x, name, step, count):
        """Whether nothing that is sorted along the first axis has ties."""
        self.values[name] = self.value(x)
        apart = True
        for _ in range(count):
            apart = apart and self.untied_along(name, 0)
            self.values[name] = self.value(step)
        del self.values[name]
        return apart


def random_calls(seed):
    """The random program with calls of a seed."""
    return CallMaker(seed).program()

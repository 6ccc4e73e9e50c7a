"""pandas objects in compiled losses: the numbers that pandas gives, and gradients of them."""

import numpy as np
import pytest

import jitgrad
from jitgrad.errors import ArgumentError, JitgradError, UnsupportedError

pd = pytest.importorskip("pandas")

ROWS = [10, 11, 12, 13, 14]
X = [0.3, -1.2, 2.0, 0.7, 1.1]
Y = [1.5, 0.4, -0.6, 2.2, 0.9]


def series(values=X, name="x", **options):
    return pd.Series(np.array(values), index=options.pop("index", ROWS), name=name)


def frame(**columns):
    columns = columns or {"x": X, "y": Y}
    return pd.DataFrame({name: np.array(v) for name, v in columns.items()}, index=ROWS)


def difference_quotients(function, point):
    """The gradient of a function of an array, by central differences."""
    found = np.zeros(point.shape)
    for at in np.ndindex(point.shape):
        step = np.zeros(point.shape)
        step[at] = 1e-6
        found[at] = (function(point + step) - function(point - step)) / 2e-6
    return found


def check(function, w, *args, calls=2):
    """Compare a compiled loss and its gradient with pandas."""
    loss = jitgrad.compile(function)
    for n in range(calls):
        w = w * (1.0 - 0.3 * n)
        value, gradient = loss.value_and_grad(w, *args)
        np.testing.assert_allclose(value, function(w, *args), rtol=1e-12)
        expected = difference_quotients(lambda w: function(w, *args), w)
        np.testing.assert_allclose(gradient, expected, rtol=2e-6, atol=1e-8)
    return loss


def check_all(losses, some, table):
    """Compare every fourth loss of a table, all in one compiled function."""
    names = list(losses)[some::4]

    def every(w, table):
        found = [losses[name](w, table) for name in names]
        return sum((1.0 + n / 7.0) * value for n, value in enumerate(found)), found

    loss = jitgrad.compile(every, has_aux=True)
    (_, found), gradient = loss.value_and_grad(W, table)
    expected = dict(zip(names, every(W, table)[1], strict=True))
    assert dict(zip(names, found, strict=True)) == pytest.approx(expected, rel=1e-12)
    total = difference_quotients(lambda w: every(w, table)[0], W)
    np.testing.assert_allclose(gradient, total, rtol=1e-6)


W = np.array([0.8, -0.3])
NAN = [0.3, np.nan, 2.0, 0.7, np.nan]

COLUMN_LOSSES = {
    "sum": lambda w, s: (s * w[0] + w[1]).sum(),
    "mean": lambda w, s: (s * w[0] - w[1] ** 2).mean(),
    "np.sum": lambda w, s: np.sum(s * w[0]) * w[1],
    "np.mean": lambda w, s: np.mean(w[1] * s + w[0]),
    "std": lambda w, s: (s * w[0] + w[1]).std(),
    "np.std": lambda w, s: np.std(s * w[0] + w[1]),
    "var": lambda w, s: (s * w[0]).var() * w[1],
    "var ddof": lambda w, s: (s * w[0]).var(ddof=0) * w[1],
    "np.var": lambda w, s: np.var(w[0] * s) + w[1],
    "prod": lambda w, s: (s * w[0] + w[1]).prod(),
    "np.prod": lambda w, s: np.prod(s * w[0] + w[1]),
    "max": lambda w, s: (s * w[0] + w[1]).max(),
    "min": lambda w, s: (s * w[0] + w[1]).min(),
    "np.max": lambda w, s: np.max(s * w[0]) * w[1],
    "sum skipna": lambda w, s: (s * w[0]).fillna(w[1]).sum(skipna=False),
    "cumsum": lambda w, s: ((s * w[0]).cumsum() * w[1]).sum(),
    "np.cumsum": lambda w, s: (np.cumsum(s * w[0]) ** 2).sum() * w[1],
    "cumprod": lambda w, s: ((s * w[0] + 1.0).cumprod() * w[1]).sum(),
    "abs": lambda w, s: (s * w[0]).abs().sum() + abs(w[1]),
    "clip": lambda w, s: (s * w[0]).clip(-0.5, w[1] + 1.0).sum(),
    "np.clip": lambda w, s: np.clip(s * w[0], w[1], 1.0).sum(),
    "clip below": lambda w, s: (s * w[0]).clip(lower=w[1]).sum(),
    "exp": lambda w, s: np.exp(s * w[0] + w[1]).sum(),
    "maximum": lambda w, s: np.maximum(w[0] * s, w[1]).mean(),
    "pow": lambda w, s: s.abs().pow(w[0]).sum() * w[1],
    "flexible": lambda w, s: s.mul(w[0]).add(w[1]).rsub(1.0).sub(s).rtruediv(2.0).sum(),
    "reflected": lambda w, s: (w[0] - s * w[1] + 2.0 / (3.0 + s)).sum(),
    "fillna": lambda w, s: (s.fillna(w[0]) * w[1]).sum(),
    "notna": lambda w, s: np.where(s.notna(), w[0], w[1]).sum(),
    "where": lambda w, s: s.where(s > 0.5, w[0]).sum() * w[1],
    "mask": lambda w, s: (s * w[1]).mask(s > 0.5, w[0]).sum(),
    "between": lambda w, s: np.where(s.between(0.0, 1.0), w[0] * s, w[1]).sum(),
    "shift": lambda w, s: ((s - w[0] * s.shift(1)) ** 2).sum() * w[1],
    "shift back": lambda w, s: ((s - w[0] * s.shift(-2)) ** 2).mean() * w[1],
    "diff": lambda w, s: ((w[0] * s).diff() ** 2).mean() * w[1],
    "count": lambda w, s: (s * w[0]).sum() / s.count() * w[1],
    "len": lambda w, s: (s * w[0]).sum() / len(s) * w[1],
    "iloc": lambda w, s: s.iloc[0] * w[0] + s.iloc[-2] * w[1],
    "iloc slice": lambda w, s: (s.iloc[:2] * w[0]).sum() * w[1],
    "iloc list": lambda w, s: (s.iloc[[0, 2]] * w[0]).sum() * w[1],
    "slice": lambda w, s: (s[1:4] * w[0]).sum() * w[1],
    "label": lambda w, s: s[10] * w[0] + s.loc[13] * w[1],
    "head": lambda w, s: (s.head(2) * w[0] - s.head(2) ** 2 * w[1]).sum(),
    "reset": lambda w, s: (
        (s.iloc[1:].reset_index(drop=True) - w[0] * s.iloc[:-1].reset_index(drop=True)).sum() * w[1]
    ),
    "iterate": lambda w, s: sum(x * w[0] if n else w[1] for n, x in enumerate(s.fillna(1.0))),
    "values": lambda w, s: np.dot(s.fillna(0.0).values, s.fillna(w[0]).to_numpy()) * w[1],
    "np.dot": lambda w, s: np.dot(s.fillna(0.0), s.fillna(w[0])) * w[1],
    "np.asarray": lambda w, s: np.sum(np.asarray(s.fillna(1.0)) * w[0]) * w[1],
    "np.array": lambda w, s: np.sum(np.array([s.fillna(0.0) * w[0], s.fillna(1.0)]) ** 2) * w[1],
    "stack": lambda w, s: np.sum(np.stack([s.fillna(0.0) * w[0], s.fillna(1.0)])) * w[1],
    "concatenate": lambda w, s: np.nansum(np.concatenate([s * w[0], np.ones(2)])) * w[1],
    "norm": lambda w, s: np.linalg.norm(s.fillna(w[0])) * w[1],
    "@": lambda w, s: s.fillna(0.0) @ s.fillna(w[0]) * w[1],
    "matrix @": lambda w, s: np.sum(np.ones((2, 5)) @ s.fillna(w[0])) * w[1],
    "np.median": lambda w, s: np.median(s.fillna(w[0])) * w[1],
    "remainder": lambda w, s: (s % 0.7 * w[0]).sum() + ((s + w[1] + 0.11) // 0.43).sum(),
    "index": lambda w, s: (s * np.asarray(s.index) * w[0]).sum() * w[1],
    "add.reduce": lambda w, s: np.add.reduce(s.fillna(w[0])) * w[1],
    "np.round": lambda w, s: (np.round(s, 1) * w[0]).sum() * w[1],
    "modf": lambda w, s: (np.modf(s)[0] * w[0]).sum() * w[1],
    "astype": lambda w, s: ((s > 0.5).astype(float) * w[0]).sum() * w[1],
    "truths": lambda w, s: (((s > 0.5) & ~(s > 1.5) | (s < 0.0)) * w[0]).sum() * w[1],
    "gather": lambda w, s: (w[(s > 0.5).astype(int)] * s).sum(),
    "in place": lambda w, s: _in_place(w, s),
}


def _in_place(w, s):
    total = np.zeros(2)
    total[0] = (s * w[0]).sum()
    total[1] = s.max() * w[1]
    return np.sum(total)


@pytest.mark.parametrize("values", [X, NAN], ids=["numbers", "nan"])
@pytest.mark.parametrize("some", range(4))
def test_series(some, values):
    check_all(COLUMN_LOSSES, some, series(values))


FRAME_LOSSES = {
    "columns": lambda w, d: ((d["x"] * w[0] + w[1] - d.y) ** 2).mean(),
    "values": lambda w, d: np.sum((d.values @ w) ** 2),
    "to_numpy": lambda w, d: np.sum((d[["y", "x"]].to_numpy() @ w) ** 2),
    "@": lambda w, d: ((d @ w - 1.0) ** 2).sum(),
    "dot": lambda w, d: ((d.dot(w) - d["x"]) ** 2).mean(),
    "np.dot": lambda w, d: np.sum(np.dot(d, w) ** 2),
    "matrix": lambda w, d: (d @ np.outer(w, w))[1].sum(),
    "means": lambda w, d: (d.mean() * w).sum(),
    "sums": lambda w, d: d.sum()["x"] * w[0] + d.sum().y * w[1],
    "rows": lambda w, d: (d.mean(axis=1) * w[0] + d["x"] * w[1]).sum(),
    "std": lambda w, d: ((d - 0.1) * w[0]).std().max() * w[1],
    "exp": lambda w, d: np.exp(d * w[0]).sum().sum() * w[1],
    "two": lambda w, d: ((d * w[0] + d) ** 2).mean(axis=1).mean() * w[1],
    "array": lambda w, d: (d * np.outer(np.arange(5.0), w)).sum().sum(),
    "assign": lambda w, d: d.assign(z=lambda d: d.x * w[0], y=1.0)[["z", "y"]].sum(axis=1).sum(),
    "drop": lambda w, d: (d.drop(columns="x").to_numpy() * w[0]).sum() * w[1],
    "iloc": lambda w, d: (d.iloc[:, 0] * w[0]).sum() + d.iloc[1:3, 1].sum() * w[1],
    "iloc rows": lambda w, d: ((d.iloc[1:4] @ w) ** 2).sum(),
    "iloc row": lambda w, d: (d.iloc[2] * w).sum(),
    "loc": lambda w, d: (d.loc[:, "x"] * w[0]).sum() * w[1],
    "label": lambda w, d: d.loc[11, "x"] * w[0] + d.at[12, "y"] * w[1],
    "for": lambda w, d: sum((d[name] * w[n]).sum() for n, name in enumerate(d)),
    "items": lambda w, d: sum((column * w[0]).mean() for _, column in d.items()) * w[1],
    "shape": lambda w, d: (d["x"] * w[0]).sum() / d.shape[0] / len(d.columns) / len(d) * w[1],
    "column_stack": lambda w, d: np.sum((np.column_stack([d.x, d["y"]]) @ w) ** 2),
    "reset": lambda w, d: (d.reset_index(drop=True)["x"] * w[0]).sum() * w[1],
}


@pytest.mark.parametrize("some", range(4))
def test_frame(some):
    check_all(FRAME_LOSSES, some, frame())

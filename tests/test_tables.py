"""pandas objects in compiled losses: the numbers that pandas gives, and gradients of them."""

import numpy as np
import pytest

import jitgrad
from jitgrad import optim
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


def check_all(losses, some, *tables):
    """Compare every fourth loss with pandas, all in one compiled function."""
    names = list(losses)[some::4]

    def every(w, table):
        found = [losses[name](w, table) for name in names]
        return sum((1.0 + n / 7.0) * value for n, value in enumerate(found)), found

    loss = jitgrad.compile(every, has_aux=True)
    for table in tables:
        (_, found), gradient = loss.value_and_grad(W, table)
        expected = dict(zip(names, every(W, table)[1], strict=True))
        assert dict(zip(names, found, strict=True)) == pytest.approx(expected, rel=1e-12)
        total = difference_quotients(lambda w, table=table: every(w, table)[0], W)
        np.testing.assert_allclose(gradient, total, rtol=1e-6)
    assert len(loss._traces) == 1


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


@pytest.mark.parametrize("some", range(4))
def test_series(some):
    check_all(COLUMN_LOSSES, some, series(), series(NAN))


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


# --- gradients -----------------------------------------------------------------------------------


def table_quotients(function, table):
    """The gradient with respect to the numbers of a DataFrame or Series, by central differences."""
    values = table.to_numpy(dtype=float)

    def at(numbers):
        if isinstance(table, pd.Series):
            return function(pd.Series(numbers, index=table.index, name=table.name))
        return function(pd.DataFrame(numbers, index=table.index, columns=table.columns))

    return difference_quotients(at, values)


def test_gradient_of_a_series():
    x, y = np.array(X), np.array(Y)

    def loss(p):
        return np.sum((x * p["a"] + p.b - y) ** 2) * p.loc["c"] + (p**2).sum()

    params = pd.Series({"a": 1.0, "b": 0.5, "c": 0.7}, name="params")
    fun = jitgrad.compile(loss)
    value, gradient = fun.value_and_grad(params)
    assert value == pytest.approx(loss(params))
    pd.testing.assert_index_equal(gradient.index, params.index)
    assert gradient.name == "params"
    np.testing.assert_allclose(gradient, table_quotients(loss, params), rtol=1e-6)
    for _ in range(30):
        params = params - 0.01 * fun.grad(params)
    assert fun(params) < 0.7 * value and len(fun._traces) == 1


LAYOUTS = {
    "columns": frame(),
    "rows": pd.DataFrame(np.array([X, Y]).T.copy(), columns=["x", "y"], index=ROWS),
    "fortran": pd.DataFrame(np.array([X, Y]).T, columns=["x", "y"], index=ROWS),
    "float32 beside": frame().astype({"y": "f4"}),
    "every other row": pd.concat([frame()] * 2).iloc[::2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradient_of_a_frame(layout):
    table = LAYOUTS[layout]

    def loss(d):
        return (d["x"] ** 2 * d.y).sum() + np.sum(d.to_numpy()[1:] * d.values[:-1]) + d.mean()["y"]

    fun = jitgrad.compile(loss)
    for _ in range(2):
        value, gradient = fun.value_and_grad(table)
        assert value == pytest.approx(loss(table), rel=1e-6)
        pd.testing.assert_index_equal(gradient.index, table.index)
        pd.testing.assert_index_equal(gradient.columns, table.columns)
        assert list(gradient.dtypes) == list(table.dtypes)
        np.testing.assert_allclose(gradient, table_quotients(loss, table), rtol=1e-5)


def test_gradient_of_a_frame_with_other_columns():
    table = frame().assign(kind=list("abcab"), whole=[1, 2, 3, 4, 5])
    gradient = jitgrad.compile(lambda d: (d["x"] * d["whole"]).sum()).grad(table)
    assert list(gradient.columns) == ["x", "y", "whole"]  # what is not a number has none
    np.testing.assert_array_equal(gradient["x"], table["whole"])
    np.testing.assert_array_equal(gradient["whole"], table["x"])
    assert not gradient.isna().any().any()


def test_containers():
    table = frame()
    given = {"s": table["x"], "more": [table, np.ones(2)]}
    gradient = jitgrad.compile(lambda p: (p["s"] * p["more"][0].y).sum() * p["more"][1].sum()).grad(
        given
    )
    pd.testing.assert_series_equal(gradient["s"], (2.0 * table["y"]).rename("x"))
    assert not gradient["more"][0]["x"].any()
    np.testing.assert_allclose(gradient["more"][1], [table["x"] @ table["y"]] * 2)


def test_values_and_backward():
    rate = jitgrad.Value(2.0)
    table = frame()
    fun = jitgrad.compile(lambda d: (d["x"] * rate).sum())
    assert fun.backward(table) == pytest.approx(2.0 * sum(X))
    assert rate.grad == pytest.approx(sum(X))


# --- traces --------------------------------------------------------------------------------------


def squares(w, d):
    return ((d["x"] * w[0] + w[1] - d["y"]) ** 2).mean()


def test_batches_share_a_trace():
    order = np.random.default_rng(0).permutation(60)
    table = pd.DataFrame({"x": np.sin(order), "y": np.cos(order)}, index=order)
    fun = jitgrad.compile(squares)
    for start in range(0, 60, 20):
        batch = table.iloc[start : start + 20]
        assert fun(W, batch) == pytest.approx(squares(W, batch), rel=1e-12)
    assert len(fun._traces) == 1
    for size in (13, 17, 29):
        fun(W, table.iloc[:size])
    assert fun.compilations <= 3  # as many as for arrays


def test_changes_are_seen():
    table = frame()
    held = {"x": table["x"].copy()}

    class Model:
        data = frame()

    losses = [
        lambda w: squares(w, table),
        lambda w: (held["x"] * w[0] - w[1]).sum(),
        lambda w, d=table: (d["x"] * w[0]).sum() * w[1],
        lambda w: (Model.data.y * w[0]).sum() * w[1],
    ]
    funs = [jitgrad.compile(loss) for loss in losses]

    def compare():
        for fun, loss in zip(funs, losses, strict=True):
            for _ in range(2):
                assert fun(W) == pytest.approx(loss(W), rel=1e-12)

    compare()
    table.loc[10, "x"] = 5.0
    held["x"].iloc[2] = -1.0
    Model.data.loc[11, "y"] = 3.0
    compare()
    assert all(len(fun._traces) == 1 for fun in funs)
    table["new"] = 1.0
    Model.data = Model.data.iloc[1:]
    compare()
    table["x"] = table["x"].astype("i4")
    held["x"] = held["x"].iloc[1:3]
    compare()
    Model.data = Model.data.drop(columns="x").assign(y=[1, 2, 3, 4])
    compare()


def test_different_indexes():
    fun = jitgrad.compile(lambda w, a, b: ((a - w[0] * b) ** 2).sum())
    a, b = series(), series(Y, "y")
    shifted = b.set_axis([11, 12, 13, 14, 15])
    expected = fun(W, a, b)
    with pytest.raises(ArgumentError, match=r"test_tables.py:\d+: .*different indexes.*to_numpy"):
        fun(W, a, shifted)
    moved = a.set_axis(shifted.index)
    assert fun(W, moved, shifted) == expected and len(fun._traces) == 1
    for other in (b.iloc[::-1], b.iloc[:4], b.reset_index(drop=True)):
        with pytest.raises(JitgradError):
            fun(W, a, other)
    b.index = shifted.index
    with pytest.raises(ArgumentError, match="different indexes"):
        fun(W, a, b)


@pytest.mark.parametrize(
    "loss",
    [
        lambda w, d: (d["x"].iloc[1:] * w[0] - d["y"].iloc[:-1]).sum(),
        lambda w, d: (d["x"] * w[0] - pd.Series(np.arange(5.0))).sum(),
        lambda w, d: (d + d["x"]).sum().sum() * w[0],
        lambda w, d: (d + d[["y", "x"]]).sum().sum() * w[0],
        lambda w, d: (d @ pd.Series({"y": 1.0, "x": 2.0}) * w[0]).sum(),
        lambda w, d: (d.mean() * w[0] - d["x"]).sum(),
        lambda w, d: np.maximum(d["x"] * w[0], d["y"].head(3)).sum(),
        lambda w, d: (d["x"] * w[0]).where(d["y"].iloc[::-1] > 0.0, 1.0).sum(),
        lambda w, d: (d["x"] * w[0]).clip(lower=d["y"].tail(2)).sum(),
    ],
)
def test_what_pandas_would_align(loss):
    with pytest.raises(JitgradError, match=r"test_tables.py:\d+"):
        jitgrad.compile(loss)(W, frame())


def test_labels_are_seen_where_they_are_asked_for():
    def loss(w, s):
        return s["b"] * w[0] + (s * s.index.get_loc("a")).sum() * w[1]

    fun = jitgrad.compile(loss)
    for labels in ("abcde", "cbade", "edcba", "abcde"):
        s = series(index=list(labels))
        assert fun(W, s) == pytest.approx(loss(W, s))
    assert len(fun._traces) == 3


def test_words():
    table = frame().assign(kind=list("abcab"), group=pd.Categorical(list("uvuvu")))

    def loss(w, d):
        weight = d["kind"].map({"a": 1.0, "b": 2.0, "c": 0.5})
        chosen = (d["x"] * w[0])[d["kind"] == "a"].sum()
        return chosen + (w[d["group"].cat.codes] * weight * d["y"]).sum() + (w[1] * weight).sum()

    check(loss, W, table)
    fun = jitgrad.compile(loss)
    fun(W, table)
    table.loc[11, "kind"] = "a"
    assert fun(W, table) == pytest.approx(loss(W, table))


def test_masks_of_truths():
    table = frame().assign(train=[True, False, True, True, False])
    check(lambda w, d: ((d["x"] * w[0] - d["y"])[d["train"]] ** 2).mean() * w[1], W, table)
    check(lambda w, d: squares(w, d.loc[d["train"], ["x", "y"]]), W, table)


def test_auxiliary_output():
    def loss(w, d):
        rest = d["x"] * w[0] - d["y"]
        return (rest**2).sum(), {"rest": rest, "table": d.assign(z=rest), "last": rest.iloc[-2:]}

    fun = jitgrad.compile(loss, has_aux=True)
    for table in (frame(), frame().set_axis(range(5))):
        _, aux = fun(W, table)
        expected = loss(W, table)[1]
        pd.testing.assert_series_equal(aux["rest"], expected["rest"])
        pd.testing.assert_series_equal(aux["last"], expected["last"])
        pd.testing.assert_frame_equal(aux["table"], expected["table"])
    assert len(fun._traces) == 1


COLUMNS = {
    "multiply": lambda w, s: s * w[0],
    "reflected": lambda w, s: w[0] / (s + 1.0),
    "power": lambda w, s: s ** w[0],
    "ufunc": lambda w, s: np.power(s, w[0]),
    "maximum": lambda w, s: np.maximum(s, w[0]),
    "exp": lambda w, s: np.exp(s),
    "array": lambda w, s: s * np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
    "whole": lambda w, s: s * 2,
    "half": lambda w, s: s / 2 + (s > 1),
    "clip": lambda w, s: s.clip(0, 2),
    "where": lambda w, s: s.where(s > 1, w[0]),
    "shift": lambda w, s: s.shift(2),
    "diff": lambda w, s: s.diff(),
    "cumsum": lambda w, s: s.cumsum(),
    "iloc": lambda w, s: s.iloc[::2],
    "head": lambda w, s: s.head(2) * w[0],
    "compare": lambda w, s: s >= w[0],
    "astype": lambda w, s: s.astype(float),
    "reset": lambda w, s: s.iloc[2:].reset_index(drop=True),
}


@pytest.mark.parametrize("dtype", ["f4", "i4"])
def test_dtypes_names_and_indexes(dtype):
    s = pd.Series([1, 2, 3, 1, 4], index=ROWS, name="s", dtype=dtype)

    def loss(w, s):
        return np.sum(w), {name: column(w, s) for name, column in COLUMNS.items()}

    found = jitgrad.compile(loss, has_aux=True)(W, s)[1]
    for name, expected in loss(W, s)[1].items():
        pd.testing.assert_series_equal(found[name], expected, rtol=1e-6, obj=name)


def test_many_columns():
    numbers = np.random.default_rng(0).standard_normal((7, 40))
    table = pd.DataFrame(numbers).assign(label=list("abcdefg"))

    def loss(w, d):
        return np.sum((d.drop(columns="label").to_numpy() @ w) ** 2)

    fun = jitgrad.compile(loss)
    w = np.linspace(-1.0, 1.0, 40)
    assert fun(w, table) == pytest.approx(np.sum((numbers @ w) ** 2))
    np.testing.assert_allclose(fun.grad(w, table), 2.0 * numbers.T @ (numbers @ w))


# --- what raises ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (lambda w, d: d.groupby("x").sum().sum() * w[0], "DataFrame.groupby.*to_numpy"),
        (lambda w, d: d["x"].rolling(2).mean().sum() * w[0], "Series.rolling.*to_numpy"),
        (lambda w, d: np.std(d) * w[0], "np.std of a DataFrame.*to_numpy"),
        (lambda w, d: np.repeat(d["x"], 2).sum() * w[0], "np.repeat of a Series.*to_numpy"),
        (lambda w, d: d["x"] * w[0], "pandas object of shape.*np.sum"),
        (lambda w, d: d["x"][d["x"] > 0.0].sum() * w[0], "np.where"),
        (lambda w, d: 1.0 if d["x"] > 0.0 else w[0], "truth value.*np.where"),
        (lambda w, d: (d["n"] // d["n"]).sum() * w[0], "integers.*astype"),
        (lambda w, d: (d["missing"] * w[0]).sum(), "Float64.*astype"),
        (lambda w, d: (d["thing"] * w[0]).sum(), "object.*astype"),
        (lambda w, d: d.to_numpy().sum() * w[0], "dtype|truths"),
        (lambda w, d: d["x"].sum(min_count=3) * w[0], "min_count"),
        (lambda w, d: d["x"].add(w[0], fill_value=0.0).sum(), "fill_value"),
        (lambda w, d: d["x"].__setitem__(10, w[0]), "assigning to a Series"),
        (lambda w, d: d.__setitem__("z", d["x"] * w[0]), "assigning to a DataFrame.*assign"),
        (lambda w, d: np.add.outer(d["x"], w).sum(), "outer"),
        (lambda w, d: (d["x"] * np.ones((5, 1)) * w[0]).sum(), "one number for each row"),
    ],
)
def test_refused(loss, says):
    table = frame().assign(
        n=[0, 1, 2, 3, 4],
        missing=pd.array([1.0, None, 2.0, 3.0, 4.0], dtype="Float64"),
        thing=np.array([1.0, 2, "a", None, 3.0], dtype=object),
    )
    with pytest.raises(JitgradError, match=rf"(?s)test_tables.py:\d+: .*({says})"):
        jitgrad.compile(loss)(W, table)


def test_in_place_changes_are_refused():
    def loss(w, d):
        total = d["x"] * w[0]
        total += 1.0
        return total.sum()

    with pytest.raises(UnsupportedError, match="in place"):
        jitgrad.compile(loss)(W, frame())


def test_numbers_that_may_be_missing_are_refused_as_parameters():
    table = frame().assign(n=pd.array([1, 2, 3, 4, 5], dtype="Int64"))
    for given in (table, table["n"]):
        with pytest.raises(ArgumentError, match=r"Int64.*astype"):
            jitgrad.compile(lambda d: np.sum(d * 2.0)).grad(given)


def test_bind_and_out_take_arrays():
    fun, table = jitgrad.compile(squares), frame()
    with pytest.raises(ArgumentError, match=r"bind\(\) with a pandas object"):
        fun.bind(W, frame())
    with pytest.raises(JitgradError, match=r"bind\(\)"):
        jitgrad.compile(lambda w: squares(w, table)).bind(W)
    with pytest.raises(ArgumentError, match="out holds pandas"):
        jitgrad.compile(lambda d: (d["x"] ** 2).sum()).grad(frame(), out=frame())


def test_the_tables_stay_as_they_are():
    table = frame()
    before = table.copy()
    gradient = jitgrad.compile(lambda d: (d["x"] ** 2 * d["y"]).sum()).grad(table)
    gradient.loc[10, "x"] = 100.0
    pd.testing.assert_frame_equal(table, before)
    assert not table.to_numpy().flags.writeable or pd.__version__ < "3"


def test_an_index_outside_that_changes():
    a, b = series(), series(Y, "y")
    fun = jitgrad.compile(lambda w: (a * b * w[0]).sum())
    assert fun(W) == fun(W) == pytest.approx((a * b * W[0]).sum())
    b.index = range(5)
    with pytest.raises(ArgumentError, match="different indexes"):
        fun(W)


def test_moments_as_labels():
    days = pd.date_range("2024-01-01", periods=5)
    s = series(index=days)
    day = days[2]

    def loss(w, s):
        return s.loc[day] * w[0] + np.where(s.index > day, s, w[1]).sum()

    fun = jitgrad.compile(loss)
    for day in (days[2], days[3]):  # noqa: B007 - the loss reads it
        assert fun(W, s) == pytest.approx(loss(W, s))


def test_optimizers():
    params = pd.Series({"a": 1.0, "b": 0.5})
    loss = jitgrad.compile(lambda p: (p["a"] - 3.0) ** 2 + (p.b + p.a) ** 2)
    optimizer = optim.adam(0.1)
    state, before = optimizer.init(params), loss(params)
    for _ in range(50):
        params, state = optimizer.update(loss.grad(params), state, params)
    assert loss(params) < 0.3 * before and list(params.index) == ["a", "b"]

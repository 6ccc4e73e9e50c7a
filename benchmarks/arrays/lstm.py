"""A plain LSTM cell over a short sequence: small matrix products and gates in a Python loop."""

import numpy as np

from benchmarks.arrays.row import Row
from benchmarks.arrays.vector_math import fast_exp, fast_tanh
from benchmarks.direct import fast

BATCH, INPUTS, HIDDEN = 32, 32, 64


def sigmoid(z):
    """Return the logistic function."""
    return 1 / (1 + np.exp(-z))


def lstm(params, X, target):
    """Return the mean squared error after a sequence `X` (steps, batch, inputs)."""
    n = HIDDEN
    h = c = np.zeros((X.shape[1], n))
    for x in X:
        z = np.concatenate([x, h], axis=1) @ params["W"] + params["b"]
        keep, write, show = (
            sigmoid(z[:, :n]),
            sigmoid(z[:, n : 2 * n]),
            sigmoid(z[:, 2 * n : 3 * n]),
        )
        c = keep * c + write * np.tanh(z[:, 3 * n :])
        h = show * np.tanh(c)
    return np.mean((h @ params["V"] - target) ** 2)


def make(steps):
    """Return a maker of parameters, a sequence and a target."""

    def arguments(rng):
        params = {
            "W": rng.standard_normal((INPUTS + HIDDEN, 4 * HIDDEN)) / 10.0,
            "b": 0.1 * rng.standard_normal(4 * HIDDEN),
            "V": rng.standard_normal((HIDDEN, INPUTS)) / 8.0,
        }
        X = rng.standard_normal((steps, BATCH, INPUTS))
        return params, X, rng.standard_normal((BATCH, INPUTS))

    return arguments


def by_numpy(params, X, target):
    n, W, V = HIDDEN, params["W"], params["V"]
    h = c = np.zeros((X.shape[1], n))
    kept = []
    for x in X:
        xh = np.concatenate([x, h], axis=1)
        z = xh @ W + params["b"]
        gates = 1 / (1 + np.exp(-z[:, : 3 * n]))
        new = np.tanh(z[:, 3 * n :])
        before, c = c, gates[:, :n] * c + gates[:, n : 2 * n] * new
        t = np.tanh(c)
        h = gates[:, 2 * n :] * t
        kept.append((xh, gates, new, before, t))
    error = h @ V - target
    value = np.mean(error**2)
    error *= 2 / error.size
    dV, dh = h.T @ error, error @ V.T
    dW, db, dc = np.zeros_like(W), np.zeros_like(params["b"]), 0.0
    dz = np.empty((X.shape[1], 4 * n))
    for xh, gates, new, before, t in reversed(kept):
        keep, write, show = gates[:, :n], gates[:, n : 2 * n], gates[:, 2 * n :]
        dc = dc + dh * show * (1 - t * t)
        dz[:, :n], dz[:, n : 2 * n], dz[:, 2 * n : 3 * n] = dc * before, dc * new, dh * t
        dz[:, : 3 * n] *= gates * (1 - gates)
        dz[:, 3 * n :] = dc * write * (1 - new * new)
        dW += xh.T @ dz
        db += dz.sum(axis=0)
        dh = dz @ W[INPUTS:].T
        dc = dc * keep
    return value, ({"W": dW, "b": db, "V": dV}, None, None)


@fast("reassoc")
def cell(z, more, b, before, gates, c, t, h):
    """One step's gates (batch, 4 hidden), state and output from the two halves of `z`."""
    batch, n = c.shape
    for i in range(batch):
        for j in range(3 * n):
            gates[i, j] = 1.0 / (1.0 + fast_exp(-(z[i, j] + more[i, j] + b[j])))
        for j in range(3 * n, 4 * n):
            gates[i, j] = fast_tanh(z[i, j] + more[i, j] + b[j])
        for j in range(n):
            c[i, j] = gates[i, j] * before[i, j] + gates[i, n + j] * gates[i, 3 * n + j]
            t[i, j] = fast_tanh(c[i, j])
            h[i, j] = gates[i, 2 * n + j] * t[i, j]


@fast("reassoc")
def cell_reverse(gates, before, t, dh, dc, dz, db):
    """Turn cotangents of a step's output and state into those of `z`; `dc` becomes the last's."""
    batch, n = t.shape
    for i in range(batch):
        for j in range(n):
            keep, write = gates[i, j], gates[i, n + j]
            show, new = gates[i, 2 * n + j], gates[i, 3 * n + j]
            d = dc[i, j] + dh[i, j] * show * (1.0 - t[i, j] * t[i, j])
            dz[i, j] = d * before[i, j] * keep * (1.0 - keep)
            dz[i, n + j] = d * new * write * (1.0 - write)
            dz[i, 2 * n + j] = dh[i, j] * t[i, j] * show * (1.0 - show)
            dz[i, 3 * n + j] = d * write * (1.0 - new * new)
            dc[i, j] = d * keep
        for j in range(4 * n):
            db[j] += dz[i, j]


@fast("reassoc")
def by_numba(V, W, b, X, target, dV, dW, db):
    """The inputs' products of all steps at once, and the weights' gradient too."""
    steps, batch, inputs = X.shape
    n = V.shape[0]
    flat = X.reshape((steps * batch, inputs))
    z = np.dot(flat, W[:inputs]).reshape((steps, batch, 4 * n))
    gates, dz = np.empty((steps, batch, 4 * n)), np.empty((steps, batch, 4 * n))
    h, c, t = (
        np.zeros((steps + 1, batch, n)),
        np.zeros((steps + 1, batch, n)),
        np.empty((steps, batch, n)),
    )
    more = np.zeros((batch, 4 * n))
    for s in range(steps):
        if s > 0:
            np.dot(h[s], W[inputs:], more)
        cell(z[s], more, b, c[s], gates[s], c[s + 1], t[s], h[s + 1])
    error = np.dot(h[steps], V)
    value, size = 0.0, batch * V.shape[1]
    for i in range(batch):
        for j in range(V.shape[1]):
            e = error[i, j] - target[i, j]
            value += e * e
            error[i, j] = 2.0 / size * e
    np.dot(h[steps].T, error, dV)
    dh, dc = np.dot(error, V.T), np.zeros((batch, n))
    db[:] = 0.0
    for s in range(steps - 1, -1, -1):
        cell_reverse(gates[s], c[s], t[s], dh, dc, dz[s], db)
        if s > 0:
            np.dot(dz[s], W[inputs:].T, dh)
    dflat = dz.reshape((steps * batch, 4 * n))
    np.dot(flat.T, dflat, dW[:inputs])
    if steps > 1:
        np.dot(h[:steps].reshape((steps * batch, n)).T, dflat, dW[inputs:])
    else:
        dW[inputs:] = 0.0
    return value / size


def jax_loss(jax, params, X, target):
    jnp, n = jax.numpy, HIDDEN

    def step(state, x):
        h, c = state
        z = jnp.concatenate([x, h], axis=1) @ params["W"] + params["b"]
        keep, write, show = jnp.split(jax.nn.sigmoid(z[:, : 3 * n]), 3, axis=1)
        c = keep * c + write * jnp.tanh(z[:, 3 * n :])
        return (show * jnp.tanh(c), c), None

    zeros = jnp.zeros((X.shape[1], n))
    (h, _), _ = jax.lax.scan(step, (zeros, zeros), X)
    return jnp.mean((h @ params["V"] - target) ** 2)


def torch_loss(torch, params, X, target):
    n = HIDDEN
    h = c = torch.zeros(X.shape[1], n, dtype=X.dtype)
    for x in X:
        z = torch.addmm(params["b"], torch.cat([x, h], 1), params["W"])
        keep, write, show = torch.sigmoid(z[:, : 3 * n]).chunk(3, 1)
        c = keep * c + write * torch.tanh(z[:, 3 * n :])
        h = show * torch.tanh(c)
    return torch.nn.functional.mse_loss(h @ params["V"], target)


def steps_loss(lib, concatenate, product, bias, columns, params, X, target):
    """The unrolled loss, for libraries that name these operations differently."""
    n = HIDDEN
    h = c = None
    for x in X:
        W = params["W"]
        z = product(x, W[:INPUTS, :]) if h is None else product(concatenate(x, h), W)
        z = z + bias
        gates, new = 1 / (1 + lib.exp(-columns(z, 0, 3 * n))), lib.tanh(columns(z, 3 * n, 4 * n))
        fresh = columns(gates, n, 2 * n) * new
        c = fresh if c is None else columns(gates, 0, n) * c + fresh
        h = columns(gates, 2 * n, 3 * n) * lib.tanh(c)
    return (product(h, params["V"]) - target) ** 2


def pytensor_loss(steps):
    """Return the loss with its steps written out."""

    def loss(pt, params, X, target):
        return pt.mean(
            steps_loss(
                pt,
                lambda x, h: pt.concatenate([x, h], axis=1),
                pt.dot,
                params["b"],
                lambda z, start, stop: z[:, start:stop],
                params,
                [X[s] for s in range(steps)],
                target,
            )
        )

    return loss


def casadi_loss(steps):
    """Return the loss with its steps written out; `X` comes as (steps, batch · inputs)."""

    def loss(ca, params, X, target):
        squares = steps_loss(
            ca,
            ca.horzcat,
            ca.mtimes,
            ca.mtimes(ca.DM.ones(BATCH, 1), params["b"].T),
            lambda z, start, stop: z[:, start:stop],
            params,
            [ca.reshape(X[s, :], INPUTS, BATCH).T for s in range(steps)],
            target,
        )
        return ca.sum1(ca.sum2(squares)) / target.numel()

    return loss


def row(steps, title):
    """Return the row of a sequence of so many steps."""
    peers = {
        "jax": jax_loss,
        "torch": torch_loss,
        "pytensor": pytensor_loss(steps),
        "casadi MX": casadi_loss(steps),
    }
    return Row(f"lstm-{steps}", title, lstm, make(steps), by_numpy, by_numba, peers=peers)


ROWS = (
    row(1, "LSTM cell, batch 32, hidden 64, one step"),
    row(8, "the same, eight steps in a Python loop"),
)

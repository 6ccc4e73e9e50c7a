"""GARCH(1,1) over 5,000 returns: a recurrence, in a Python loop."""

import numpy as np

from benchmarks import tuned
from benchmarks.arrays.row import Row
from benchmarks.problems import garch, garch_returns


def make(rng):
    """Return mu, omega, alpha and beta, and the returns."""
    return np.array([0.02, 0.2, 0.1, 0.8]), garch_returns()


def by_numpy(params, r):
    mu, omega, alpha, beta = params
    n = len(r)
    e = r - mu
    h = np.empty(n)
    h[0] = omega / (1 - alpha - beta)
    for t in range(1, n):
        h[t] = omega + alpha * e[t - 1] ** 2 + beta * h[t - 1]
    own = 0.5 / h - 0.5 * (e / h) ** 2
    dh = own.copy()
    for t in range(n - 2, -1, -1):
        dh[t] += beta * dh[t + 1]
    start = dh[0] * h[0] / (1 - alpha - beta)
    later = dh[1:]
    g = np.array(
        [
            -np.sum(e / h) - 2 * alpha * np.dot(later, e[:-1]),
            np.sum(later) + dh[0] / (1 - alpha - beta),
            np.dot(later, e[:-1] ** 2) + start,
            np.dot(later, h[:-1]) + start,
        ]
    )
    return 0.5 * np.sum(np.log(h) + e * e / h), (g, None)


def jax_loss(jax, params, r):
    mu, omega, alpha, beta = params
    squared = (r - mu) ** 2

    def step(h, square):
        return omega + alpha * square + beta * h, h

    h = jax.lax.scan(step, omega / (1.0 - alpha - beta), squared)[1]
    return 0.5 * (jax.numpy.log(h) + squared / h).sum()


def torch_loss(torch, params, r):
    mu, omega, alpha, beta = params
    squared = (r - mu) ** 2
    steps = (omega + alpha * squared[:-1]).unbind()
    variances = [omega / (1.0 - alpha - beta)]
    for step in steps:
        variances.append(step + beta * variances[-1])
    h = torch.stack(variances)
    return 0.5 * (torch.log(h) + squared / h).sum()


def pytensor_loss(pt, params, r):
    from pytensor import scan

    mu, omega, alpha, beta = (params[i] for i in range(4))
    squared = (r - mu) ** 2
    start = omega / (1.0 - alpha - beta)
    later = scan(
        lambda square, h, omega, alpha, beta: omega + alpha * square + beta * h,
        sequences=[squared[:-1]],
        outputs_info=[start],
        non_sequences=[omega, alpha, beta],
        return_updates=False,
    )
    h = pt.concatenate([start[None], later])
    return 0.5 * pt.sum(pt.log(h) + squared / h)


def casadi_loss(ca, params, r):
    mu, omega, alpha, beta = ca.vertsplit(params)
    squared = (r - mu) ** 2
    h, square, p = ca.SX.sym("h"), ca.SX.sym("square"), ca.SX.sym("p", 4)
    step = ca.Function("step", [h, square, p], [p[1] + p[2] * square + p[3] * h])
    n = r.numel() - 1
    start = omega / (1.0 - alpha - beta)
    later = step.mapaccum(n)(start, squared[:-1].T, ca.repmat(params, 1, n))
    all_h = ca.vertcat(start, later.T)
    return 0.5 * ca.sum1(ca.log(all_h) + squared / all_h)


ROWS = (
    Row(
        "garch",
        "GARCH(1,1), 5,000 returns, a Python loop",
        garch,
        make,
        by_numpy,
        tuned.garch,
        peers={
            "jax": jax_loss,
            "torch": torch_loss,
            "pytensor": pytensor_loss,
            "casadi MX": casadi_loss,
        },
    ),
)

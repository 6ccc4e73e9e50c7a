"""Value and gradient by hand in Numba, directly: the loss's own loops, mirrored.

What a good engineer writes first: one pass where the cotangent is known, scratch kept local, only
the state of a recurrence stored and its stages recomputed in the reverse sweep. Every function
takes the loss's arguments and then the gradient arrays, which it overwrites. The flags of each are
those that measured fastest (`python -m benchmarks.handwritten --flags` shows the others).
"""

import os
from collections.abc import Callable
from math import log
from typing import Any

import numpy as np
from numba import njit

from benchmarks.problems import TIME_STEP, WEIGHT_DECAY

FLAGS: dict[str, bool | set[str]] = {
    "off": False,
    "reassoc": {"reassoc", "contract"},
    "all": True,
}
FORCED = os.environ.get("BENCHMARK_FASTMATH")  # compile everything with these flags instead

PARAMETERS = (
    337  # of the 2-16-16-1 network, in micrograd's order: a neuron's weights, then its bias
)
UNITS = 16
LAYER2 = 3 * UNITS  # offset of the second layer's first neuron
LAYER3 = LAYER2 + UNITS * (UNITS + 1)
STEP = TIME_STEP


def fast(flags: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile with the named fast-math flags, or with those of BENCHMARK_FASTMATH."""
    return njit(nogil=True, error_model="numpy", fastmath=FLAGS[FORCED or flags])


def inlined(flags: str) -> Callable[[Callable[..., Any]], Any]:
    """`fast` for a part of a kernel, always inlined: left to LLVM, RK4 took 1.5 times as long."""
    options = {"nogil": True, "error_model": "numpy", "forceinline": True}
    return njit(**options, fastmath=FLAGS[FORCED or flags])


@fast("off")
def rosenbrock(x, g):
    """One pass; the cotangent of x[i + 1] from the left term is carried in a local."""
    n = x.shape[0]
    total = 0.0
    left = 0.0
    for i in range(n - 1):
        t = x[i + 1] - x[i] * x[i]
        q = 1.0 - x[i]
        total += 100.0 * t * t + q * q
        g[i] = left - 400.0 * t * x[i] - 2.0 * q
        left = 200.0 * t
    g[n - 1] = left
    return total


# -- moons: forward and reverse for one sample, then the next -------------------------------------


@inlined("reassoc")
def start_from_penalty(p, g):
    """Write the penalty's gradient into `g`; return the penalty."""
    total = 0.0
    for k in range(PARAMETERS):
        total += p[k] * p[k]
        g[k] = 2.0 * WEIGHT_DECAY * p[k]
    return WEIGHT_DECAY * total


@inlined("off")
def moons_forward(x0, x1, p, h1, h2):
    """Score of one sample; the hidden units are left in `h1` and `h2`."""
    for i in range(UNITS):
        z = p[3 * i] * x0 + p[3 * i + 1] * x1 + p[3 * i + 2]
        h1[i] = z if z > 0.0 else 0.0
    score = p[LAYER3 + UNITS]
    for i in range(UNITS):
        o = LAYER2 + (UNITS + 1) * i
        z = p[o + UNITS]
        for j in range(UNITS):
            z += p[o + j] * h1[j]
        z = z if z > 0.0 else 0.0
        h2[i] = z
        score += p[LAYER3 + i] * z
    return score


@inlined("off")
def moons_reverse(x0, x1, d, p, g, h1, h2, d1):
    """Add one sample's gradient to `g`, from the cotangent `d` of its score."""
    g[LAYER3 + UNITS] += d
    for j in range(UNITS):
        d1[j] = 0.0
    for i in range(UNITS):
        g[LAYER3 + i] += d * h2[i]
        e = d * p[LAYER3 + i] if h2[i] > 0.0 else 0.0
        o = LAYER2 + (UNITS + 1) * i
        for j in range(UNITS):
            g[o + j] += e * h1[j]
            d1[j] += e * p[o + j]
        g[o + UNITS] += e
    for i in range(UNITS):
        e = d1[i] if h1[i] > 0.0 else 0.0
        g[3 * i] += e * x0
        g[3 * i + 1] += e * x1
        g[3 * i + 2] += e


@fast("off")
def moons(X, y, p, g):
    """Max-margin loss of all samples, each read once; 337 parameters in `p`."""
    n = X.shape[0]
    h1, h2, d1 = np.empty(UNITS), np.empty(UNITS), np.empty(UNITS)
    penalty = start_from_penalty(p, g)
    loss, share = 0.0, 1.0 / n
    for s in range(n):
        margin = 1.0 - y[s] * moons_forward(X[s, 0], X[s, 1], p, h1, h2)
        d = 0.0
        if margin > 0.0:
            loss += margin
            d = -y[s] * share
        moons_reverse(X[s, 0], X[s, 1], d, p, g, h1, h2, d1)
    return loss * share + penalty


reassociated_forward = inlined("reassoc")(moons_forward.py_func)  # 20 us here, 33 us in `moons`


@inlined("reassoc")
def moons_reverse_live(x0, x1, d, p, g, h1, h2, d1):
    """`moons_reverse`, passing over units whose output is 0."""
    g[LAYER3 + UNITS] += d
    for j in range(UNITS):
        d1[j] = 0.0
    for i in range(UNITS):
        if h2[i] > 0.0:
            g[LAYER3 + i] += d * h2[i]
            e = d * p[LAYER3 + i]
            o = LAYER2 + (UNITS + 1) * i
            for j in range(UNITS):
                g[o + j] += e * h1[j]
                d1[j] += e * p[o + j]
            g[o + UNITS] += e
    for i in range(UNITS):
        if h1[i] > 0.0:
            g[3 * i] += d1[i] * x0
            g[3 * i + 1] += d1[i] * x1
            g[3 * i + 2] += d1[i]


@fast("reassoc")
def moons_live(X, y, p, g):
    """`moons`, doing no work for a dead unit or a sample outside the margin."""
    n = X.shape[0]
    h1, h2, d1 = np.empty(UNITS), np.empty(UNITS), np.empty(UNITS)
    penalty = start_from_penalty(p, g)
    loss, share = 0.0, 1.0 / n
    for s in range(n):
        margin = 1.0 - y[s] * reassociated_forward(X[s, 0], X[s, 1], p, h1, h2)
        if margin > 0.0:
            loss += margin
            moons_reverse_live(X[s, 0], X[s, 1], -y[s] * share, p, g, h1, h2, d1)
    return loss * share + penalty


# -- GARCH: store the variances, sweep back -------------------------------------------------------


@inlined("reassoc")
def garch_reverse(params, r, hs, g):
    """Reverse sweep over the stored variances `hs`; return twice the data term e^2 / h."""
    mu, omega, alpha, beta = params[0], params[1], params[2], params[3]
    total = d_mu = d_omega = d_alpha = d_beta = d_h = 0.0
    n = r.shape[0]
    e = r[n - 1] - mu
    for t in range(n - 1, 0, -1):
        inverse = 1.0 / hs[t]
        z = e * inverse
        total += e * z
        d_mu -= z
        d_h = beta * d_h + 0.5 * (inverse - z * z)
        d_omega += d_h
        e = r[t - 1] - mu
        d_alpha += d_h * e * e
        d_mu -= 2.0 * alpha * d_h * e
        d_beta += d_h * hs[t - 1]
    inverse = 1.0 / hs[0]
    z = e * inverse
    d_h = beta * d_h + 0.5 * (inverse - z * z)
    scale = 1.0 / (1.0 - alpha - beta)
    start = d_h * omega * scale * scale
    g[0], g[1] = d_mu - z, d_omega + d_h * scale
    g[2], g[3] = d_alpha + start, d_beta + start
    return total + e * z


@fast("reassoc")
def garch(params, r, g):
    """Variances and their logarithms in one loop, then the reverse sweep."""
    mu, omega, alpha, beta = params[0], params[1], params[2], params[3]
    n = r.shape[0]
    hs = np.empty(n)
    h = omega / (1.0 - alpha - beta)
    hs[0] = h
    total = log(h)
    for t in range(1, n):
        e = r[t - 1] - mu
        h = omega + alpha * e * e + beta * h
        hs[t] = h
        total += log(h)
    return 0.5 * (total + garch_reverse(params, r, hs, g))


# -- RK4: store the states, recompute the stages --------------------------------------------------


@inlined("all")
def rk4_forward(params, data, us, vs):
    """Store the state before each step and after the last; return the squared residuals."""
    a, b, c, d = params[0], params[1], params[2], params[3]
    u, v = params[4], params[5]
    us[0], vs[0] = u, v
    total = 0.0
    for t in range(data.shape[0]):
        k1, l1 = u * (a - b * v), v * (c * u - d)
        x, y = u + 0.5 * STEP * k1, v + 0.5 * STEP * l1
        k2, l2 = x * (a - b * y), y * (c * x - d)
        x, y = u + 0.5 * STEP * k2, v + 0.5 * STEP * l2
        k3, l3 = x * (a - b * y), y * (c * x - d)
        x, y = u + STEP * k3, v + STEP * l3
        k4, l4 = x * (a - b * y), y * (c * x - d)
        u = (u + STEP / 6.0 * (k1 + 2.0 * (k2 + k3))) + STEP / 6.0 * k4
        v = (v + STEP / 6.0 * (l1 + 2.0 * (l2 + l3))) + STEP / 6.0 * l4
        us[t + 1], vs[t + 1] = u, v
        p, q = u - data[t, 0], v - data[t, 1]
        total += p * p + q * q
    return total


@inlined("all")
def rk4_step_reverse(a, b, c, d, u, v, du, dv):
    """Cotangents of (u, v, a, b, c, d) from those of the state after the step."""
    p1, q1 = a - b * v, c * u - d
    x2, y2 = u + 0.5 * STEP * u * p1, v + 0.5 * STEP * v * q1
    p2, q2 = a - b * y2, c * x2 - d
    x3, y3 = u + 0.5 * STEP * x2 * p2, v + 0.5 * STEP * y2 * q2
    p3, q3 = a - b * y3, c * x3 - d
    x4, y4 = u + STEP * x3 * p3, v + STEP * y3 * q3
    p4, q4 = a - b * y4, c * x4 - d
    k4, l4 = STEP / 6.0 * du, STEP / 6.0 * dv
    e4, f4 = p4 * k4 + c * y4 * l4, q4 * l4 - b * x4 * k4
    k3, l3 = STEP / 3.0 * du + STEP * e4, STEP / 3.0 * dv + STEP * f4
    e3, f3 = p3 * k3 + c * y3 * l3, q3 * l3 - b * x3 * k3
    k2, l2 = STEP / 3.0 * du + 0.5 * STEP * e3, STEP / 3.0 * dv + 0.5 * STEP * f3
    e2, f2 = p2 * k2 + c * y2 * l2, q2 * l2 - b * x2 * k2
    k1, l1 = STEP / 6.0 * du + 0.5 * STEP * e2, STEP / 6.0 * dv + 0.5 * STEP * f2
    e1, f1 = p1 * k1 + c * v * l1, q1 * l1 - b * u * k1
    w1, w2, w3, w4 = u * v, x2 * y2, x3 * y3, x4 * y4
    d_a = (k1 * u + k2 * x2) + (k3 * x3 + k4 * x4)
    d_b = (k1 * w1 + k2 * w2) + (k3 * w3 + k4 * w4)
    d_c = (l1 * w1 + l2 * w2) + (l3 * w3 + l4 * w4)
    d_d = (l1 * v + l2 * y2) + (l3 * y3 + l4 * y4)
    return du + e4 + e3 + e2 + e1, dv + f4 + f3 + f2 + f1, d_a, -d_b, d_c, -d_d


@fast("all")
def rk4(params, data, g):
    """Forward storing u and v, then the steps in reverse."""
    n = data.shape[0]
    us, vs = np.empty(n + 1), np.empty(n + 1)
    total = rk4_forward(params, data, us, vs)
    a, b, c, d = params[0], params[1], params[2], params[3]
    du = dv = d_a = d_b = d_c = d_d = 0.0
    for t in range(n - 1, -1, -1):
        du += 2.0 / n * (us[t + 1] - data[t, 0])
        dv += 2.0 / n * (vs[t + 1] - data[t, 1])
        du, dv, ta, tb, tc, td = rk4_step_reverse(a, b, c, d, us[t], vs[t], du, dv)
        d_a += ta
        d_b += tb
        d_c += tc
        d_d += td
    g[0], g[1], g[2], g[3], g[4], g[5] = d_a, d_b, d_c, d_d, du, dv
    return total / n


# -- pairs, and a product -------------------------------------------------------------------------


@fast("all")
def lennard_jones(x, g):
    """Energy and force of each pair i < j, in the pair loop."""
    n = x.shape[0]
    energy = 0.0
    g[:] = 0.0
    for i in range(n):
        xi, yi, zi = x[i, 0], x[i, 1], x[i, 2]
        gx, gy, gz = g[i, 0], g[i, 1], g[i, 2]
        for j in range(i + 1, n):
            dx, dy, dz = xi - x[j, 0], yi - x[j, 1], zi - x[j, 2]
            q = 1.0 / (dx * dx + dy * dy + dz * dz)
            s6 = q * q * q
            energy += s6 * s6 - s6
            f = 24.0 * q * (s6 - 2.0 * s6 * s6)
            fx, fy, fz = f * dx, f * dy, f * dz
            gx += fx
            gy += fy
            gz += fz
            g[j, 0] -= fx
            g[j, 1] -= fy
            g[j, 2] -= fz
        g[i, 0], g[i, 1], g[i, 2] = gx, gy, gz
    return 4.0 * energy


@fast("reassoc")
def matmul(A, B, dA, dB):
    """One row of the product at a time: forward, its cotangent, both gradients."""
    n, m = A.shape
    columns = B.shape[1]
    row = np.empty(columns)
    dB[:] = 0.0
    total = 0.0
    for i in range(n):
        row[:] = 0.0
        for k in range(m):
            a = A[i, k]
            for j in range(columns):
                row[j] += a * B[k, j]
        for j in range(columns):
            total += row[j] * row[j]
            row[j] *= 2.0
        for k in range(m):
            a, dot = A[i, k], 0.0
            for j in range(columns):
                dot += row[j] * B[k, j]
                dB[k, j] += a * row[j]
            dA[i, k] = dot
    return total

"""Value and gradient by hand in Numba, tuned: the fastest that we found for each loss.

Restructured for SIMD, with the same arguments and results as `direct.py`: a stencil where a carried
local stands in the way, structure of arrays, samples in the fast index, a library product, step
Jacobians computed off the dependence chain. A compiler of general functions is not expected to find
all of these; the table shows how far away they are.
"""

from math import log

import numpy as np

from benchmarks.direct import (
    LAYER2,
    LAYER3,
    UNITS,
    fast,
    garch_reverse,
    inlined,
    rk4_forward,
    rk4_step_reverse,
    start_from_penalty,
)


@fast("reassoc")
def rosenbrock(x, g):
    """As a stencil: t is computed twice, nothing is carried, and the loop vectorises."""
    n = x.shape[0]
    t, q = x[1] - x[0] * x[0], 1.0 - x[0]
    total = 100.0 * t * t + q * q
    g[0] = -400.0 * t * x[0] - 2.0 * q
    for i in range(1, n - 1):
        left = x[i] - x[i - 1] * x[i - 1]
        t, q = x[i + 1] - x[i] * x[i], 1.0 - x[i]
        total += 100.0 * t * t + q * q
        g[i] = 200.0 * left - 400.0 * t * x[i] - 2.0 * q
    g[n - 1] = 200.0 * (x[n - 1] - x[n - 2] * x[n - 2])
    return total


# -- moons: layer by layer, samples in the fast index, four weights at a time ---------------------


@inlined("reassoc")
def moons_layer1(x0, x1, p, H):
    """Hidden units (16, n) of the first layer."""
    for i in range(UNITS):
        a, b, c = p[3 * i], p[3 * i + 1], p[3 * i + 2]
        for s in range(x0.shape[0]):
            H[i, s] = max(a * x0[s] + b * x1[s] + c, 0.0)


@inlined("reassoc")
def moons_layer2(p, H, Z, score):
    """Hidden units (16, n) of the second layer, and the scores (n,)."""
    n = score.shape[0]
    score[:] = p[LAYER3 + UNITS]
    for i in range(UNITS):
        o = LAYER2 + (UNITS + 1) * i
        bias, w = p[o + UNITS], p[LAYER3 + i]
        for s in range(n):
            Z[i, s] = bias
        for j in range(0, UNITS, 4):
            a, b, c, d = p[o + j], p[o + j + 1], p[o + j + 2], p[o + j + 3]
            for s in range(n):
                Z[i, s] += a * H[j, s] + b * H[j + 1, s] + c * H[j + 2, s] + d * H[j + 3, s]
        for s in range(n):
            z = max(Z[i, s], 0.0)
            Z[i, s] = z
            score[s] += w * z


@inlined("reassoc")
def moons_reverse2(p, g, H, Z, d):
    """Gradients of the last two layers; `Z` becomes its own cotangent."""
    n = d.shape[0]
    for i in range(UNITS):
        w, o = p[LAYER3 + i], LAYER2 + (UNITS + 1) * i
        dw = db = 0.0
        for s in range(n):
            dw += d[s] * Z[i, s]
            e = d[s] * w if Z[i, s] > 0.0 else 0.0
            Z[i, s] = e
            db += e
        g[LAYER3 + i] += dw
        g[o + UNITS] += db
        for j in range(0, UNITS, 4):
            t0 = t1 = t2 = t3 = 0.0
            for s in range(n):
                e = Z[i, s]
                t0 += e * H[j, s]
                t1 += e * H[j + 1, s]
                t2 += e * H[j + 2, s]
                t3 += e * H[j + 3, s]
            g[o + j] += t0
            g[o + j + 1] += t1
            g[o + j + 2] += t2
            g[o + j + 3] += t3


@inlined("reassoc")
def moons_reverse1(x0, x1, p, g, H, Z):
    """Gradient of the first layer."""
    n, m = x0.shape[0], UNITS + 1
    D = np.empty(n)
    for j in range(UNITS):
        D[:] = 0.0
        for i in range(0, UNITS, 4):
            o = LAYER2 + m * i + j
            a, b, c, d = p[o], p[o + m], p[o + 2 * m], p[o + 3 * m]
            for s in range(n):
                D[s] += a * Z[i, s] + b * Z[i + 1, s] + c * Z[i + 2, s] + d * Z[i + 3, s]
        t0 = t1 = t2 = 0.0
        for s in range(n):
            e = D[s] if H[j, s] > 0.0 else 0.0
            t0 += e * x0[s]
            t1 += e * x1[s]
            t2 += e
        g[3 * j] += t0
        g[3 * j + 1] += t1
        g[3 * j + 2] += t2


@fast("reassoc")
def moons(X, y, p, g):
    """Max-margin loss, all samples through one layer before the next."""
    n = X.shape[0]
    H, Z = np.empty((UNITS, n)), np.empty((UNITS, n))
    x0, x1, score = np.empty(n), np.empty(n), np.empty(n)
    for s in range(n):
        x0[s], x1[s] = X[s, 0], X[s, 1]
    penalty = start_from_penalty(p, g)
    moons_layer1(x0, x1, p, H)
    moons_layer2(p, H, Z, score)
    loss = total = 0.0
    share = 1.0 / n
    for s in range(n):
        margin = 1.0 - y[s] * score[s]
        loss += max(margin, 0.0)
        d = -y[s] * share if margin > 0.0 else 0.0
        score[s] = d
        total += d
    g[LAYER3 + UNITS] += total
    moons_reverse2(p, g, H, Z, score)
    moons_reverse1(x0, x1, p, g, H, Z)
    return loss * share + penalty


# -- GARCH ----------------------------------------------------------------------------------------


@fast("reassoc")
def garch(params, r, g):
    """Four variances, then their four logarithms: the chain of h runs on while log works."""
    mu, omega, alpha, beta = params[0], params[1], params[2], params[3]
    n = r.shape[0]
    hs = np.empty(n)
    h = omega / (1.0 - alpha - beta)
    hs[0] = h
    total = log(h)
    e = r[0] - mu
    blocks = (n - 1) // 4
    for block in range(blocks):
        t = 1 + 4 * block
        h1 = omega + alpha * e * e + beta * h
        e = r[t] - mu
        h2 = omega + alpha * e * e + beta * h1
        e = r[t + 1] - mu
        h3 = omega + alpha * e * e + beta * h2
        e = r[t + 2] - mu
        h = omega + alpha * e * e + beta * h3
        e = r[t + 3] - mu
        hs[t], hs[t + 1], hs[t + 2], hs[t + 3] = h1, h2, h3, h
        total += (log(h1) + log(h2)) + (log(h3) + log(h))
    for t in range(1 + 4 * blocks, n):
        h = omega + alpha * e * e + beta * h
        e = r[t] - mu
        hs[t] = h
        total += log(h)
    return 0.5 * (total + garch_reverse(params, r, hs, g))


@fast("reassoc")
def garch_product(params, r, g):
    """One logarithm for the product of eight variances: another overflow than the loss's."""
    mu, omega, alpha, beta = params[0], params[1], params[2], params[3]
    n = r.shape[0]
    hs = np.empty(n)
    h = omega / (1.0 - alpha - beta)
    hs[0] = h
    total, product = 0.0, h
    for t in range(1, n):
        e = r[t - 1] - mu
        h = omega + alpha * e * e + beta * h
        hs[t] = h
        product *= h
        if t % 8 == 0:
            total += log(product)
            product = 1.0
    total += log(product)
    return 0.5 * (total + garch_reverse(params, r, hs, g))


# -- RK4: each step's transposed Jacobian, all steps at once --------------------------------------


@fast("all")
def rk4(params, data, g):
    """Step Jacobians in a vectorised loop, so that the chain back is four products a step."""
    n = data.shape[0]
    us, vs, J = np.empty(n + 1), np.empty(n + 1), np.empty((12, n))
    total = rk4_forward(params, data, us, vs)
    a, b, c, d = params[0], params[1], params[2], params[3]
    for t in range(n):
        u, v = us[t], vs[t]
        J[0, t], J[1, t], J[2, t], J[3, t], J[4, t], J[5, t] = rk4_step_reverse(
            a, b, c, d, u, v, 1.0, 0.0
        )
        J[6, t], J[7, t], J[8, t], J[9, t], J[10, t], J[11, t] = rk4_step_reverse(
            a, b, c, d, u, v, 0.0, 1.0
        )
    du = dv = d_a = d_b = d_c = d_d = 0.0
    for t in range(n - 1, -1, -1):
        du += 2.0 / n * (us[t + 1] - data[t, 0])
        dv += 2.0 / n * (vs[t + 1] - data[t, 1])
        d_a += du * J[2, t] + dv * J[8, t]
        d_b += du * J[3, t] + dv * J[9, t]
        d_c += du * J[4, t] + dv * J[10, t]
        d_d += du * J[5, t] + dv * J[11, t]
        du, dv = du * J[0, t] + dv * J[6, t], du * J[1, t] + dv * J[7, t]
    g[0], g[1], g[2], g[3], g[4], g[5] = d_a, d_b, d_c, d_d, du, dv
    return total / n


# -- pairs, and a product -------------------------------------------------------------------------


@fast("reassoc")
def lennard_jones(x, g):
    """Coordinates and forces as six separate arrays, so that the pair loop vectorises."""
    n = x.shape[0]
    px, py, pz = np.empty(n), np.empty(n), np.empty(n)
    ax, ay, az = np.empty(n), np.empty(n), np.empty(n)
    energy = 0.0
    for i in range(n):
        xi, yi, zi = x[i, 0], x[i, 1], x[i, 2]
        gx = gy = gz = 0.0
        for j in range(i):
            dx, dy, dz = xi - px[j], yi - py[j], zi - pz[j]
            q = 1.0 / (dx * dx + dy * dy + dz * dz)
            s6 = q * q * q
            energy += s6 * s6 - s6
            f = 24.0 * q * (s6 - 2.0 * s6 * s6)
            gx += f * dx
            gy += f * dy
            gz += f * dz
            ax[j] -= f * dx
            ay[j] -= f * dy
            az[j] -= f * dz
        px[i], py[i], pz[i] = xi, yi, zi
        ax[i], ay[i], az[i] = gx, gy, gz
    for i in range(n):
        g[i, 0], g[i, 1], g[i, 2] = ax[i], ay[i], az[i]
    return 4.0 * energy


@fast("reassoc")
def matmul(A, B, dA, dB):
    """Three products by BLAS, through Numba's `np.dot`."""
    P = np.dot(A, B)
    total = 0.0
    for i in range(P.shape[0]):
        for j in range(P.shape[1]):
            total += P[i, j] * P[i, j]
            P[i, j] *= 2.0
    np.dot(P, B.T, dA)
    np.dot(A.T, P, dB)
    return total

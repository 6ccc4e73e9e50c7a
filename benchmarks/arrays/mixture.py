"""Log-likelihood of a Gaussian mixture with full covariances: ADBench's GMM.

Šrajer, Kukelova and Fitzgibbon, *A benchmark of selected algorithmic differentiation tools on some
problems in computer vision and machine learning* (2018). Each inverse covariance is L Lᵀ, with the
logarithms of L's diagonal and then its lower triangle, column by column, in a row of `icf`.
"""

from math import exp, lgamma, log, pi

import numpy as np

from benchmarks.arrays.row import Row
from benchmarks.arrays.vector_math import fast_exp
from benchmarks.direct import fast

N, D, K = 1000, 10, 25
GAMMA, EXTRA = 1.0, 0  # the Wishart prior's scale and its degrees of freedom over d + 1


def triangle(d):
    """Return the places (d, d) of L's entries in [0, triangle], column by column."""
    index = np.zeros((d, d), dtype=int)
    index.T[np.triu_indices(d, 1)] = np.arange(1, d * (d - 1) // 2 + 1)
    return index


INDEX = triangle(D)


def logsumexp(a, axis):
    """Return the logarithm of the sum of exponentials along an axis."""
    top = np.max(a, axis=axis, keepdims=True)
    return np.log(np.sum(np.exp(a - top), axis=axis)) + np.squeeze(top, axis=axis)


def wishart_constant(d, k):
    """Return the prior's part that no parameter enters."""
    df = d + EXTRA + 1
    log_gamma = 0.25 * d * (d - 1) * log(pi) + sum(lgamma(0.5 * (df - j)) for j in range(d))
    return k * (df * d * (log(GAMMA) - 0.5 * log(2)) - log_gamma)


PRIOR = wishart_constant(D, K)


def mixture(alphas, means, icf, x):
    """Return the log-posterior of points `x` (n, d), given `k` weights, means and factors."""
    n, d = x.shape
    k = len(alphas)
    logs = icf[:, :d]
    diagonal = np.exp(logs)
    lower = icf[:, d:]
    L = np.concatenate([np.zeros((k, 1)), lower], axis=1)[:, INDEX]
    centered = x - means[:, None, :]
    Q = centered * diagonal[:, None, :] + centered @ np.swapaxes(L, 1, 2)
    inner = (alphas + np.sum(logs, axis=1))[:, None] - 0.5 * np.sum(Q**2, axis=2)
    likelihood = np.sum(logsumexp(inner, 0)) - n * logsumexp(alphas, 0) - 0.5 * n * d * log(2 * pi)
    squares = 0.5 * GAMMA**2 * (np.sum(diagonal**2) + np.sum(lower**2))
    return likelihood + squares - EXTRA * np.sum(logs) - wishart_constant(d, k)


def make(rng):
    """Return ADBench's kind of random parameters and 1,000 points in 10 dimensions."""
    alphas = rng.standard_normal(K)
    means = rng.uniform(size=(K, D))
    icf = rng.standard_normal((K, D + D * (D - 1) // 2))
    return alphas, means, icf, rng.standard_normal((N, D))


def by_numpy(alphas, means, icf, x):
    n, d = x.shape
    k = len(alphas)
    logs, lower = icf[:, :d], icf[:, d:]
    diagonal = np.exp(logs)
    column, row = np.triu_indices(d, 1)
    factors = np.zeros((k, d, d))
    factors[:, row, column] = lower
    factors[:, np.arange(d), np.arange(d)] = diagonal
    centered = x - means[:, None, :]
    Q = centered @ factors.transpose(0, 2, 1)
    inner = (alphas + logs.sum(axis=1))[:, None] - 0.5 * np.sum(Q * Q, axis=2)
    top = inner.max(axis=0)
    p = np.exp(inner - top)
    total = p.sum(axis=0)
    p /= total
    value = np.sum(np.log(total) + top)
    weights = np.exp(alphas - alphas.max())
    value -= n * (np.log(weights.sum()) + alphas.max()) + 0.5 * n * d * log(2 * pi)
    value += 0.5 * GAMMA**2 * (np.sum(diagonal**2) + np.sum(lower**2))
    value -= EXTRA * np.sum(logs) + wishart_constant(d, k)
    share = p.sum(axis=1)
    dQ = p[:, :, None] * Q  # with the sign turned
    dfactors = dQ.transpose(0, 2, 1) @ centered
    dicf = np.empty_like(icf)
    own = dfactors[:, np.arange(d), np.arange(d)]
    dicf[:, :d] = share[:, None] - diagonal * own + GAMMA**2 * diagonal**2 - EXTRA
    dicf[:, d:] = GAMMA**2 * lower - dfactors[:, row, column]
    dmeans = (dQ.sum(axis=1)[:, None, :] @ factors)[:, 0]
    return value, (share - n * weights / weights.sum(), dmeans, dicf, None)


@fast("reassoc")
def forward(means, diagonal, lower, k, xt, C, Q):
    """Differences `C` from a mean and `Q` = L C, both (d, points), for component `k`."""
    d, n = xt.shape
    at = 0
    for j in range(d):
        mean, own = means[k, j], diagonal[j]
        for i in range(n):
            C[j, i] = xt[j, i] - mean
            Q[j, i] = own * C[j, i]
    for j in range(d):
        for row in range(j + 1, d):
            entry = lower[at]
            at += 1
            for i in range(n):
                Q[row, i] += entry * C[j, i]


@fast("reassoc")
def reverse(means, diagonal, lower, k, xt, Q, p, C, dicf, dmeans):
    """Gradients of component `k` from its responsibilities `p` (points,); return their sum."""
    d, n = xt.shape
    share = 0.0
    for i in range(n):
        share += p[i]
    for j in range(d):
        mean, column_sum, own = means[k, j], 0.0, 0.0
        for i in range(n):
            C[j, i] = xt[j, i] - mean
            Q[j, i] *= p[i]
            column_sum += Q[j, i]
            own += Q[j, i] * C[j, i]
        e = diagonal[j]
        dicf[k, j] = share - e * own + GAMMA**2 * e * e - EXTRA
        dmeans[k, j] = e * column_sum
        at = j - 1  # of L[j, 0] among the lower entries, column by column
        for column in range(j):
            total = 0.0
            for i in range(n):
                total += Q[j, i] * C[column, i]
            dicf[k, d + at] = GAMMA**2 * lower[at] - total
            dmeans[k, column] += lower[at] * column_sum
            at += d - column - 2
    return share


@fast("reassoc")
def shares(inner):
    """Turn `inner` (k, points) into responsibilities; return the sum of their normalisers."""
    k, n = inner.shape
    top, total = inner[0].copy(), np.zeros(n)
    for c in range(1, k):
        for i in range(n):
            top[i] = max(top[i], inner[c, i])
    for c in range(k):
        for i in range(n):
            inner[c, i] = fast_exp(inner[c, i] - top[i])
            total[i] += inner[c, i]
    value = 0.0
    for i in range(n):
        value += top[i] + log(total[i])
        total[i] = 1.0 / total[i]
    for c in range(k):
        for i in range(n):
            inner[c, i] *= total[i]
    return value


@fast("reassoc")
def by_numba(alphas, means, icf, x, dalphas, dmeans, dicf):
    """Points in the fast index, in SIMD; only the triangle of each factor is multiplied."""
    n, d = x.shape
    k = alphas.shape[0]
    xt = x.T.copy()
    Q, inner, C = np.empty((k, d, n)), np.empty((k, n)), np.empty((d, n))
    diagonal = np.exp(icf[:, :d])
    value, heaviest = 0.0, alphas[0]
    for c in range(k):
        base = alphas[c]
        heaviest = max(heaviest, alphas[c])
        for j in range(d):
            base += icf[c, j]
            value += 0.5 * GAMMA**2 * diagonal[c, j] ** 2 - EXTRA * icf[c, j]
        for j in range(d, icf.shape[1]):
            value += 0.5 * GAMMA**2 * icf[c, j] ** 2
        forward(means, diagonal[c], icf[c, d:], c, xt, C, Q[c])
        for i in range(n):
            inner[c, i] = 0.0
        for j in range(d):
            for i in range(n):
                inner[c, i] += Q[c, j, i] * Q[c, j, i]
        for i in range(n):
            inner[c, i] = base - 0.5 * inner[c, i]
    value += shares(inner)
    total = 0.0
    for c in range(k):
        total += exp(alphas[c] - heaviest)
    for c in range(k):
        share = reverse(means, diagonal[c], icf[c, d:], c, xt, Q[c], inner[c], C, dicf, dmeans)
        dalphas[c] = share - n * exp(alphas[c] - heaviest) / total
    value -= n * (log(total) + heaviest) + 0.5 * n * d * log(2 * pi)
    return value - PRIOR


def torch_loss(torch, alphas, means, icf, x):
    n, d = x.shape
    k = len(alphas)
    logs, lower = icf[:, :d], icf[:, d:]
    diagonal = torch.exp(logs)
    L = torch.cat([torch.zeros(k, 1, dtype=x.dtype), lower], 1)[:, INDEX]
    centered = x - means[:, None, :]
    Q = centered * diagonal[:, None, :] + centered @ L.transpose(1, 2)
    inner = (alphas + logs.sum(1))[:, None] - 0.5 * (Q**2).sum(2)
    likelihood = torch.logsumexp(inner, 0).sum() - n * torch.logsumexp(alphas, 0)
    squares = 0.5 * GAMMA**2 * ((diagonal**2).sum() + (lower**2).sum())
    constant = 0.5 * n * d * log(2 * pi) + PRIOR
    return likelihood + squares - EXTRA * logs.sum() - constant


def pytensor_loss(pt, alphas, means, icf, x):
    logs, lower = icf[:, :D], icf[:, D:]
    diagonal = pt.exp(logs)
    L = pt.concatenate([pt.zeros((K, 1)), lower], axis=1)[:, INDEX]
    centered = x[None, :, :] - means[:, None, :]
    Q = centered * diagonal[:, None, :] + pt.matmul(centered, L.transpose(0, 2, 1))
    inner = (alphas + logs.sum(axis=1))[:, None] - 0.5 * (Q**2).sum(axis=2)
    likelihood = pt.logsumexp(inner, axis=0).sum() - N * pt.logsumexp(alphas)
    squares = 0.5 * GAMMA**2 * ((diagonal**2).sum() + (lower**2).sum())
    constant = 0.5 * N * D * log(2 * pi) + PRIOR
    return likelihood + squares - EXTRA * logs.sum() - constant


def casadi_loss(ca, alphas, means, icf, x):
    n, d = x.shape
    k = alphas.numel()
    logs, lower = icf[:, :d], icf[:, d:]
    ones = ca.DM.ones(n, 1)  # a product with it makes fewer instructions than repmat
    inner = []
    for c in range(k):
        entries = ca.vertcat(0, lower[c, :].T)
        L = ca.reshape(entries[INDEX.T.ravel().tolist()], d, d)
        L = L + ca.diag(ca.exp(logs[c, :]))
        Q = ca.mtimes(x - ca.mtimes(ones, means[c, :]), L.T)
        inner.append(alphas[c] + ca.sum2(logs[c, :]) - 0.5 * ca.sum2(Q**2))
    top = inner[0]
    for column in inner[1:]:
        top = ca.fmax(top, column)
    terms = ca.log(sum(ca.exp(column - top) for column in inner)) + top
    value = ca.sum1(terms) - n * ca.logsumexp(alphas)
    value += 0.5 * GAMMA**2 * (ca.sumsqr(ca.exp(logs)) + ca.sumsqr(lower))
    return value - EXTRA * ca.sum1(ca.sum2(logs)) - 0.5 * n * d * log(2 * pi) - PRIOR


ROWS = (
    Row(
        "mixture",
        "Gaussian mixture, n = 1,000, d = 10, k = 25",
        mixture,
        make,
        by_numpy,
        by_numba,
        (0, 1, 2),
        {"torch": torch_loss, "pytensor": pytensor_loss, "casadi MX": casadi_loss},
    ),
)

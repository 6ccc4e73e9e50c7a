"""A two-dimensional convolution written as a sum of shifted images."""

import numpy as np

from benchmarks.arrays.row import Row
from benchmarks.direct import fast

IMAGE, KERNEL = 128, 5


def convolution(kernel, image):
    """Return the sum of squares of the image filtered by the kernel, where they overlap."""
    a, b = kernel.shape
    m, n = image.shape[0] - a + 1, image.shape[1] - b + 1
    out = 0
    for i in range(a):
        for j in range(b):
            out = out + kernel[i, j] * image[i : i + m, j : j + n]
    return np.sum(out**2)


def make(rng):
    """Return a kernel and an image."""
    return rng.standard_normal((KERNEL, KERNEL)), rng.standard_normal((IMAGE, IMAGE))


def by_numpy(kernel, image):
    a, b = kernel.shape
    m, n = image.shape[0] - a + 1, image.shape[1] - b + 1
    out = np.zeros((m, n))
    for i in range(a):
        for j in range(b):
            out += kernel[i, j] * image[i : i + m, j : j + n]
    value = np.vdot(out, out)
    out *= 2
    dkernel, dimage = np.empty_like(kernel), np.zeros_like(image)
    for i in range(a):
        for j in range(b):
            dkernel[i, j] = np.sum(out * image[i : i + m, j : j + n])
            dimage[i : i + m, j : j + n] += kernel[i, j] * out
    return value, (dkernel, dimage)


@fast("reassoc")
def by_numba(kernel, image, dkernel, dimage):
    """Five taps of a kernel's row at a time; the image's cotangent gathers from a padded copy."""
    m, n = image.shape[0] - KERNEL + 1, image.shape[1] - KERNEL + 1
    pad = KERNEL - 1
    out = np.zeros((m + 2 * pad, n + 2 * pad))
    dkernel[:] = 0.0
    value = 0.0
    for r in range(m):
        row = out[r + pad]
        for i in range(KERNEL):
            a, b, c, d, e = kernel[i, 0], kernel[i, 1], kernel[i, 2], kernel[i, 3], kernel[i, 4]
            p = image[r + i]
            for s in range(n):
                row[s + pad] += a * p[s] + b * p[s + 1] + c * p[s + 2] + d * p[s + 3] + e * p[s + 4]
        for s in range(n):
            value += row[s + pad] * row[s + pad]
            row[s + pad] *= 2.0
        for i in range(KERNEL):
            a = b = c = d = e = 0.0
            p = image[r + i]
            for s in range(n):
                t = row[s + pad]
                a += t * p[s]
                b += t * p[s + 1]
                c += t * p[s + 2]
                d += t * p[s + 3]
                e += t * p[s + 4]
            dkernel[i, 0] += a
            dkernel[i, 1] += b
            dkernel[i, 2] += c
            dkernel[i, 3] += d
            dkernel[i, 4] += e
    for r in range(image.shape[0]):
        g = dimage[r]
        g[:] = 0.0
        for i in range(KERNEL):
            a, b, c, d, e = kernel[i, 4], kernel[i, 3], kernel[i, 2], kernel[i, 1], kernel[i, 0]
            p = out[r + pad - i]
            for s in range(g.shape[0]):
                g[s] += a * p[s] + b * p[s + 1] + c * p[s + 2] + d * p[s + 3] + e * p[s + 4]
    return value


def torch_loss(torch, kernel, image):
    return (torch.nn.functional.conv2d(image[None, None], kernel[None, None]) ** 2).sum()


def jax_loss(jax, kernel, image):
    out = jax.scipy.signal.convolve(image, kernel[::-1, ::-1], mode="valid")
    return (out**2).sum()


def filtered(kernel, image):
    """Return the image filtered by the kernel as a sum of shifted images."""
    n = IMAGE - KERNEL + 1
    shifts = ((i, j) for i in range(KERNEL) for j in range(KERNEL))
    return sum(kernel[i, j] * image[i : i + n, j : j + n] for i, j in shifts)


def pytensor_loss(pt, kernel, image):
    return pt.sum(filtered(kernel, image) ** 2)


def casadi_loss(ca, kernel, image):
    return ca.sumsqr(filtered(kernel, image))


ROWS = (
    Row(
        "convolution",
        "convolution, 128 × 128 by 5 × 5",
        convolution,
        make,
        by_numpy,
        by_numba,
        (0, 1),
        {
            "jax": jax_loss,
            "torch": torch_loss,
            "pytensor": pytensor_loss,
            "casadi MX": casadi_loss,
        },
    ),
)

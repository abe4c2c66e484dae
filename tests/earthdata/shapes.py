"""Which granules a search area touches.

Areas are rings, lines and points in longitude and latitude, compared in the plane. CMR compares on the sphere; for areas of some
degrees, away from the poles, that is the same.
"""

import math

EARTH_M = 6371008.8


def crosses(p, q, r, s):
    """Whether segment p-q meets segment r-s."""

    def side(a, b, c):
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    def within(a, b, c):
        return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])

    d1, d2, d3, d4 = side(r, s, p), side(r, s, q), side(p, q, r), side(p, q, s)
    if d1 * d2 < 0 and d3 * d4 < 0:
        return True
    return any(d == 0 and within(*segment, point) for d, segment, point in
               ((d1, (r, s), p), (d2, (r, s), q), (d3, (p, q), r), (d4, (p, q), s)))


def contains(ring, point):
    inside, (x, y) = False, point
    for (x1, y1), (x2, y2) in zip(ring, ring[1:]):
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            inside = not inside
    return inside


def unwrapped(points):
    """No step of more than half a turn: what crosses 180 goes on beyond it."""
    result = [points[0]]
    for lon, lat in points[1:]:
        result.append((lon - 360 * round((lon - result[-1][0]) / 360), lat))
    return result


def touch(a, b):
    """Whether two paths meet; closed ones are areas, single points are points."""
    for shift in (-360, 0, 360):
        moved = [(lon + shift, lat) for lon, lat in b]
        if any(contains(ring, other[0]) for ring, other in ((a, moved), (moved, a)) if len(ring) > 3 and ring[0] == ring[-1]):
            return True
        first, second = a if len(a) > 1 else a * 2, moved if len(moved) > 1 else moved * 2
        if any(crosses(p, q, r, s) for p, q in zip(first, first[1:]) for r, s in zip(second, second[1:])):
            return True
    return False


def box(w, s, e, n):
    """Going east from w, across 180 where e is less."""
    e = e if e >= w else e + 360
    return [(w, s), (e, s), (e, n), (w, n), (w, s)]


def circle(lon, lat, radius_m):
    """72 points at that distance."""
    y, d = math.radians(lat), radius_m / EARTH_M
    if abs(lat) + math.degrees(d) >= 90:  # around a pole: everything beyond the nearest parallel
        edge = abs(lat) - math.degrees(d)
        return box(-180, edge, 180, 90) if lat > 0 else box(-180, -90, 180, -edge)
    points = []
    for k in range(72):
        bearing = -2 * math.pi * k / 72
        y2 = math.asin(math.sin(y) * math.cos(d) + math.cos(y) * math.sin(d) * math.cos(bearing))
        x2 = math.atan2(math.sin(bearing) * math.sin(d) * math.cos(y), math.cos(d) - math.sin(y) * math.sin(y2))
        points.append((lon + math.degrees(x2), math.degrees(y2)))
    return [*points, points[0]]


def of_granule(shape):
    if "rectangles" in shape:
        return [box(*r) for r in shape["rectangles"]]
    return [unwrapped(ring) for ring in shape["polygons"]]


def clockwise(ring):
    return sum((x2 - x1) * (y2 + y1) for (x1, y1), (x2, y2) in zip(ring, ring[1:])) > 0


class Refused(ValueError):
    """With CMR's text."""


def decode(kind, text):
    """The path of a search area in a parameter of CMR; Refused where CMR does."""
    try:
        values = [float(v) for v in text.split(",")]
    except ValueError:
        values = []
    count = len(values)
    right = {"bounding_box": count == 4, "circle": count == 3, "point": count == 2, "line": count >= 4 and count % 2 == 0,
             "polygon": count >= 8 and count % 2 == 0}[kind]
    if not right or not all(map(math.isfinite, values)):
        raise Refused(f"[{text}] is not a valid URL encoded {kind}")
    if kind == "circle":
        if not 10 <= values[2] <= 6_000_000:
            raise Refused(f"Circle radius must be between 10 and 6000000, but was {values[2]}.")
        check_points([values[:2]])
        return circle(*values)
    points = list(zip(values[::2], values[1::2]))
    check_points(points)
    if kind == "bounding_box":
        if values[3] < values[1]:
            raise Refused(f"The bounding rectangle north value [{values[3]}] was less than the south value [{values[1]}]")
        return box(*values)
    if kind == "polygon":
        if points[0] != points[-1]:
            raise Refused("Polygon boundary was not closed. The last point must be equal to the first point.")
        if clockwise(unwrapped(points)):
            raise Refused("The polygon boundary points are listed in the wrong order (clockwise vs counter clockwise). "
                          "Please see the API documentation for the correct order.")
    return unwrapped(points)


def check_points(points):
    for lon, lat in points:
        if abs(lon) > 180:
            raise Refused(f"Point longitude [{lon}] must be within -180.0 and 180.0")
        if abs(lat) > 90:
            raise Refused(f"Point latitude [{lat}] must be within -90 and 90.0")

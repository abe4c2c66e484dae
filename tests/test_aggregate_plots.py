"""upwell aggregate -o NAME.png: the picture shows the values, where they are."""

import netCDF4
import numpy as np
import pytest
from PIL import Image

from test_own_form import upwell

MISSING = (205, 208, 212)
DARKEST, LIGHTEST = (20, 20, 20), (250, 250, 250)  # of --colormap gray


def write_field(path, lat, lon, values, dimensions=("time", "lat", "lon"), **attributes):
    """`values` over `dimensions`; latitude and longitude are 1-D, or 2-D over (y, x)."""
    with netCDF4.Dataset(path, "w") as f:
        for name, size in zip(dimensions, values.shape):
            f.createDimension(name, size)
        time = f.createVariable("time", "f8", ("time",))
        time.units = "days since 2003-12-24"
        time[:] = 365 * np.arange(values.shape[0])
        for name, axis, units in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
            v = f.createVariable(name, "f8", (name,) if axis.ndim == 1 else dimensions[-2:])
            v.units = units
            v[:] = axis
        v = f.createVariable("sst", "f4", dimensions, fill_value=np.float32(-9999))
        v.long_name, v.units = "sea surface temperature", "K"
        if lat.ndim == 2:
            v.coordinates = "lat lon"
        v.setncatts(attributes)
        v[:] = np.where(np.isnan(values), -9999, values)
    return path


def draw(source, out, *options, reduce="time:mean"):
    upwell("aggregate", source, "--variables", "sst", "--reduce", reduce, "-o", out, *options)
    return np.asarray(Image.open(out).convert("RGB"))


def is_color(image, color):
    return (np.abs(image.astype(int) - color) <= 1).all(axis=2)


def inner_box(mask):
    """Rows and columns of the largest block: [top, bottom), [left, right)."""
    rows, columns = mask.mean(axis=1), mask.mean(axis=0)
    r, c = np.flatnonzero(rows > 0.2), np.flatnonzero(columns > 0.2)
    return r[0], r[-1] + 1, c[0], c[-1] + 1


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """West 0, east 1, the north missing; in the Pacific, where there is no coast."""
    lat, lon = np.linspace(-49, -41, 9), np.linspace(-139, -121, 19)
    values = np.broadcast_to((lon > -130).astype(float), (3, 9, 19)).copy()
    values[:, lat > -44] = np.nan
    return write_field(tmp_path_factory.mktemp("plots") / "halves.nc", lat, lon, values)


def test_cells_have_the_colour_of_their_value_at_their_place(halves, tmp_path):
    image = draw(halves, tmp_path / "out.png", "--colormap", "gray", "--range", "0,1")
    assert image.shape[1] <= 1500
    top, bottom, left, right = inner_box(is_color(image, DARKEST) | is_color(image, LIGHTEST) | is_color(image, MISSING))
    plot = image[top:bottom, left:right]
    height, width = plot.shape[:2]
    # A degree of longitude at 45 degrees is cos(45) of one of latitude.
    assert (9 / height) / (19 / width) == pytest.approx(np.cos(np.radians(45)), rel=0.03)
    for fraction_x, fraction_y, color in ((0.1, 0.9, DARKEST), (0.4, 0.5, DARKEST), (0.9, 0.9, LIGHTEST), (0.6, 0.5, LIGHTEST), (0.1, 0.1, MISSING), (0.9, 0.2, MISSING)):
        around = plot[int(fraction_y * height) - 6 :, int(fraction_x * width) - 6 :][:12, :12]
        assert is_color(around, color).mean() > 0.7, (fraction_x, fraction_y)
    # Cells 0 to 9 of 19 are dark, rows 0 to 5 of 9 from below are there.
    middle = is_color(plot, DARKEST)[int(0.8 * height)]
    assert np.flatnonzero(middle)[-1] + 1 == pytest.approx(width * 10 / 19, abs=2)
    column = is_color(plot, MISSING)[:, int(0.55 * width)]
    assert np.flatnonzero(column)[-1] + 1 == pytest.approx(height * 3 / 9, abs=2)


def test_title_subtitle_axes_and_colour_bar_are_written(halves, tmp_path):
    options = ("--colormap", "gray", "--range", "0,1", "--size", "1500x900")
    plain = draw(halves, tmp_path / "a.png", *options)
    assert plain.shape == (900, 1500, 3)
    titled = draw(halves, tmp_path / "b.png", *options, "--title", "December over ten years")
    changed = np.flatnonzero((plain != titled).any(axis=(1, 2)))
    assert 0 < changed[0] and changed[-1] < 75, "only the line of the title"
    ink = (plain < 110).all(axis=2) & ~is_color(plain, DARKEST)
    top, bottom, left, right = inner_box(is_color(plain, DARKEST) | is_color(plain, LIGHTEST) | is_color(plain, MISSING))
    assert ink[:top].sum() > 300 and ink[bottom + 10 :].sum() > 100 and ink[top:bottom, : left - 20].sum() > 100
    # The bar: dark below, light above, and numbers right of it.
    bar = plain[:, right + 40 : right + 110]
    column = bar[:, np.argmax(is_color(bar, DARKEST).sum(axis=0) + is_color(bar, LIGHTEST).sum(axis=0)), 0].astype(int)
    column = column[top + 40 : bottom - 40]
    assert column[0] > 220 and column[-1] < 50 and (np.diff(column) <= 0).all()
    assert (plain[top:bottom, right + 70 :] < 110).all(axis=2).sum() > 100


def test_coasts_and_shores_of_lakes_lie_where_they_are(tmp_path):
    """The land and the sea have one value, so that every dark pixel is coast, a tick line or the frame."""
    lat, lon = np.linspace(40.5, 48.5, 9), np.linspace(-94.5, -74.5, 21)
    write_field(tmp_path / "in.nc", lat, lon, np.ones((2, 9, 21)))
    image = draw(tmp_path / "in.nc", tmp_path / "out.png", "--colormap", "gray", "--range", "0,1")
    field = is_color(image, LIGHTEST)
    top, bottom, left, right = inner_box(field)
    dark = (image[top:bottom, left:right] < 140).all(axis=2)
    height, width = dark.shape

    def near(lon, lat, reach=3):
        x, y = int((lon + 95) / 21 * width), int((49 - lat) / 9 * height)
        return dark[y - reach : y + reach + 1, x - reach : x + reach + 1].any()

    # Duluth, Chicago, Cleveland, the tip of Keweenaw: on shores. In the lakes, and on land far from any: nothing.
    for place in ((-92.08, 46.77), (-87.61, 41.89), (-81.70, 41.51), (-87.72, 47.47)):
        assert near(*place, reach=6), place
    for place in ((-87.3, 47.9), (-87.0, 43.4), (-82.4, 44.7), (-78.0, 43.6), (-89.6, 41.3), (-93.6, 42.3)):
        assert not near(*place), place
    # Around the world, in either count of longitudes, and over the antimeridian.
    for west in (-180, 0, 100):
        lon = west + np.arange(0.5, 360, 1)
        write_field(tmp_path / "in.nc", np.arange(-89.5, 90), lon, np.ones((2, 180, 360)))
        image = draw(tmp_path / "in.nc", tmp_path / "out.png", "--colormap", "gray", "--range", "0,1")
        top, bottom, left, right = inner_box(is_color(image, LIGHTEST))
        dark = (image[top:bottom, left:right] < 140).all(axis=2)
        cape = int((18.5 - west) % 360 / 360 * dark.shape[1]), int((90 + 34.3) / 180 * dark.shape[0])
        assert dark[cape[1] - 4 : cape[1] + 5, cape[0] - 4 : cape[0] + 5].any(), west
        pacific = int((-130 - west) % 360 / 360 * dark.shape[1]), int((90 - 10) / 180 * dark.shape[0])
        assert not dark[pacific[1] - 8 : pacific[1] + 9, pacific[0] - 8 : pacific[0] + 9].any(), west
        seam = dark[int(0.45 * dark.shape[0]) : int(0.55 * dark.shape[0])].mean(axis=0)
        assert seam.max() < 0.8, "no line where the map was cut"


def test_one_map_for_each_place_along_a_third_dimension(tmp_path):
    lat, lon = np.linspace(-49, -41, 9), np.linspace(-139, -121, 19)
    values = np.broadcast_to(np.arange(4.0)[None, :, None, None] / 3, (2, 4, 9, 19))
    write_field(tmp_path / "in.nc", lat, lon, values, ("time", "year", "lat", "lon"))
    with netCDF4.Dataset(tmp_path / "in.nc", "a") as f:
        f.createVariable("year", "i4", ("year",))[:] = [2003, 2004, 2005, 2006]
    image = draw(tmp_path / "in.nc", tmp_path / "out.png", "--colormap", "gray", "--range", "0,1")
    first, last = is_color(image, DARKEST), is_color(image, LIGHTEST)
    a, b = inner_box(first & (np.arange(image.shape[1]) < image.shape[1] * 0.8)), inner_box(last)
    assert (a[1] - a[0], a[3] - a[2]) == pytest.approx((b[1] - b[0], b[3] - b[2]), abs=3), "panels have one size"
    assert a[0] < b[0] or a[2] < b[2]
    colors = {tuple(c) for c in image.reshape(-1, 3)[:: 7]}
    assert len(colors) > 4
    with netCDF4.Dataset(tmp_path / "many.nc", "w") as f:
        for name, size in (("time", 2), ("year", 25), ("y", 2), ("x", 2)):
            f.createDimension(name, size)
        f.createVariable("sst", "f4", ("time", "year", "y", "x"))[:] = 1
    run = upwell("aggregate", tmp_path / "many.nc", "--reduce", "time:mean", "-o", tmp_path / "many.png", status=64)
    assert "25 maps along year" in run.stderr and "--isel" in run.stderr


def test_curvilinear_cells_lie_where_they_are(tmp_path):
    """A grid turned by 30 degrees: what its four corners leave free is missing."""
    j, i = np.mgrid[-10:11, -10:11] * 0.5
    angle = np.radians(30)
    lat, lon = -30 + j * np.cos(angle) + i * np.sin(angle), -110 + i * np.cos(angle) - j * np.sin(angle)
    write_field(tmp_path / "in.nc", lat, lon, np.broadcast_to((i > 0.1).astype(float), (2, 21, 21)), ("time", "y", "x"))
    image = draw(tmp_path / "in.nc", tmp_path / "out.png", "--colormap", "gray", "--range", "0,1")
    top, bottom, left, right = inner_box(is_color(image, DARKEST) | is_color(image, LIGHTEST) | is_color(image, MISSING))
    plot = image[top:bottom, left:right]
    height, width = plot.shape[:2]
    for fraction_x, fraction_y, color in ((0.02, 0.02, MISSING), (0.97, 0.97, MISSING), (0.3, 0.55, DARKEST), (0.72, 0.45, LIGHTEST)):
        around = plot[int(fraction_y * height) :, int(fraction_x * width) :][:10, :10]
        assert is_color(around, color).mean() > 0.6, (fraction_x, fraction_y)


def test_a_series_is_a_curve(halves, tmp_path):
    image = draw(halves, tmp_path / "out.png", reduce="lat,lon:mean")
    curve = is_color(image, (24, 98, 156))
    columns = np.flatnonzero(curve.any(axis=0))
    assert columns[-1] - columns[0] > 0.5 * image.shape[1], "from the first year to the last"
    assert not is_color(image, DARKEST).any()


def test_large_fields_are_drawn_in_cells_of_their_own_mean(tmp_path):
    """A chessboard of cells smaller than a pixel is grey, not moiré."""
    lat, lon = np.linspace(-50, -40, 2000), np.linspace(-140, -120, 4000)
    values = np.broadcast_to((np.add.outer(np.arange(2000), np.arange(4000)) % 2).astype("f4"), (1, 2000, 4000))
    write_field(tmp_path / "in.nc", lat, lon, values)
    image = draw(tmp_path / "in.nc", tmp_path / "out.png", "--colormap", "gray", "--range", "0,1", "--size", "800")
    plot = image[200:350, 200:500].astype(int)
    # Of an odd number of cells one more is white or black.
    assert np.ptp(np.percentile(plot[..., 0], [1, 99])) < 30 and 60 < np.median(plot) < 200


def test_what_cannot_be_drawn_is_said(halves, tmp_path):
    out = tmp_path / "out.png"
    with netCDF4.Dataset(tmp_path / "two.nc", "w") as f:
        for name in ("time", "a", "b", "c", "d"):
            f.createDimension(name, 2)
        f.createVariable("u", "f8", ("time", "a"))[:] = 1
        f.createVariable("v", "f8", ("time", "a"))[:] = 1
        f.createVariable("w", "f8", ("time", "a", "b", "c", "d"))[:] = 1
    for source, options, why in (
        (tmp_path / "two.nc", ("--variables", "u,v", "--reduce", "time:mean"), "one variable, not u and v"),
        (tmp_path / "two.nc", ("--variables", "w", "--reduce", "time:mean"), "up to three"),
        (halves, ("--reduce", "time,lat,lon:mean"), "one number"),
        (halves, ("--reduce", "time:mean", "--range", "5,1"), "--range"),
        (halves, ("--reduce", "time:mean", "--range", "a,b"), "--range"),
        (halves, ("--reduce", "time:mean", "--size", "10"), "--size"),
        (halves, ("--reduce", "time:mean", "--size", "1500x"), "--size"),
        (halves, ("--reduce", "time:mean", "--compress"), "--compress"),
    ):
        run = upwell("aggregate", source, *options, "-o", out, status=64)
        assert why in run.stderr and not out.exists(), (options, run.stderr)
    run = upwell("aggregate", halves, "--reduce", "time:mean", "--title", "t", "-o", tmp_path / "out.nc", status=64)
    assert "NAME.png" in run.stderr

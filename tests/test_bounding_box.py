"""--bbox and --nearest around the globe: what a box takes, against numpy on the whole grid."""

import netCDF4
import numpy as np
import pytest
import xarray as xr

from test_own_form import upwell

STEP = 2.5


def axis_of(kind):
    return {
        "0..360": np.arange(0, 360, STEP),
        "-180..180": np.arange(-180, 180, STEP),
        "both ends": np.arange(-180, 180 + STEP, STEP),
        "falls": np.arange(0, 360, STEP)[::-1],
        "single": np.arange(0, 360, STEP, dtype="f4") + np.float32(0.3),
        "packed": np.arange(0, 360, STEP),
        "integers": np.arange(0, 360, 3),
    }[kind]


def write_globe(path, kind, day=0):
    rng = np.random.default_rng(day)
    lon = axis_of(kind)
    lat = np.arange(-88.0, 89, 4)
    with netCDF4.Dataset(path, "w") as f:
        for name, size in (("time", None), ("lat", lat.size), ("lon", lon.size), ("nv", 2)):
            f.createDimension(name, size)
        time = f.createVariable("time", "i4", ("time",))
        time.units = "days since 2000-01-01"
        time[:] = [day]
        y = f.createVariable("lat", "f8", ("lat",))
        y.units = "degrees_north"
        y[:] = lat
        x = f.createVariable("lon", {"packed": "i2", "integers": "u2"}.get(kind, lon.dtype.str), ("lon",))
        x.units, x.bounds = "degrees_east", "lon_bnds"
        x.valid_min = lon.min() if kind != "packed" else np.int16(0)
        if kind == "packed":
            x.scale_factor, x.add_offset = 0.5, 0.0
        x[:] = lon
        half = abs(lon[1] - lon[0]) / 2
        f.createVariable("lon_bnds", "f8", ("lon", "nv"))[:] = lon[:, None] + np.array([-half, half])
        area, values = np.random.default_rng(99).random((lat.size, lon.size)), rng.random((1, lat.size, lon.size))
        if kind == "both ends":  # one meridian, twice
            area[..., -1], values[..., -1] = area[..., 0], values[..., 0]
        f.createVariable("area", "f4", ("lat", "lon"))[:] = area
        v = f.createVariable("v", "f4", ("time", "lat", "lon"), zlib=True, chunksizes=(1, 11, 17), fill_value=np.float32(-1))
        v.coordinates, v.units = "area", "K"
        v[:] = np.ma.masked_less(values, 0.1)
    return path


def part_of(path, west, east):
    """v between west and east, in the order from west on (falling: from east on), and its longitudes."""
    with xr.open_dataset(path, mask_and_scale=True) as d:
        d = d.load()
    lon = d.lon.values.astype("f8")
    counted = west + (lon - west) % 360
    width = (east - west) % 360 or 360
    taken = np.flatnonzero(counted - west <= width)
    taken = taken[np.argsort(counted[taken], kind="stable")]
    taken = taken[np.concatenate([[True], np.diff(counted[taken]) > 0])]  # 180 is -180
    if lon[0] > lon[1]:
        taken = taken[::-1]
    return d.isel(lon=taken), counted[taken]


BOXES = {"0..360": (-10, 10), "-180..180": (170, -170), "both ends": (170, -165), "falls": (-20, 12.5), "single": (350, 10),
         "packed": (-7.5, 5), "integers": (-15, 9)}


@pytest.mark.parametrize("kind", BOXES)
@pytest.mark.parametrize("form", ["granule", "cube.json", "cube.upwell"])
def test_a_box_across_where_longitudes_begin(tmp_path, kind, form):
    west, east = BOXES[kind]
    granule = write_globe(tmp_path / "g.nc", kind)
    source = granule
    if form != "granule":
        source = tmp_path / form
        upwell("virtualize", granule, "-o", source)
    want, lon = part_of(granule, west, east)
    want = want.isel(lat=(want.lat >= -30) & (want.lat <= 50))
    out = tmp_path / "box.nc"
    upwell("read", source, "v", f"--bbox={west},-30,{east},50", "-o", out)
    with xr.open_dataset(out) as ours:
        np.testing.assert_array_equal(ours.v.values, want.v.values)
        np.testing.assert_array_equal(ours.area.values, want.area.values)
        np.testing.assert_allclose(ours.lon.values, lon, rtol=0, atol=0 if kind != "single" else 2e-5)  # stays float32
        steps = np.diff(ours.lon.values)
        assert (steps > 0).all() or (steps < 0).all()
        middle = ours.lon_bnds.values.mean(axis=1)
        np.testing.assert_allclose(middle, lon, atol=1e-4)
        assert not {"valid_min", "actual_range"} & set(ours.lon.attrs) and ours.lon.units == "degrees_east"
    upwell("aggregate", source, "--bbox", f"{west},-30,{east},50", "--reduce", "lat:mean", "--variables", "v", "-o", out)
    with xr.open_dataset(out) as ours:
        np.testing.assert_allclose(ours.v.values, want.v.astype("f8").mean("lat").values, rtol=1e-12)
        np.testing.assert_allclose(ours.lon.values, lon, atol=1e-5)


def test_many_granules_and_a_summary(tmp_path):
    paths = [write_globe(tmp_path / f"g{day}.nc", "0..360", day) for day in range(4)]
    parts = [part_of(path, -10, 10)[0] for path in paths]
    want = np.concatenate([part.v.values for part in parts]).astype("f8")
    upwell("aggregate", *paths, "--bbox=-10,-90,10,90", "--reduce", "time,lat,lon:mean", "--variables", "v", "-o", tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc") as ours:
        np.testing.assert_allclose(ours.v.values, np.nanmean(want), rtol=1e-12)
    text = upwell("read", paths[0], "v", "--bbox=-10,-90,10,90").stdout
    assert f"missing {int(np.isnan(parts[0].v.values).sum())}" in text and f"{parts[0].v.shape[2]}] float32" in text


def test_boxes_of_curvilinear_grids_are_refused(tmp_path):
    with netCDF4.Dataset(tmp_path / "c.nc", "w") as f:
        f.createDimension("y", 3)
        f.createDimension("x", 4)
        for name, units in (("lat", "degrees_north"), ("lon", "degrees_east")):
            f.createVariable(name, "f8", ("y", "x")).units = units
        f.createVariable("v", "f4", ("y", "x")).coordinates = "lat lon"
    for command in (["read", tmp_path / "c.nc", "v"], ["aggregate", tmp_path / "c.nc", "--reduce", "y:mean"]):
        run = upwell(*command, "--bbox=-10,0,10,10", "-o", tmp_path / "o.nc", status=64)
        assert "no dimension with a coordinate variable of longitudes" in run.stderr
        assert "aggregate chooses by --where '(lon >= -10 and lon <= 10 or lon >= 350 and lon <= 370) and lat >= 0 and lat <= 10'" in run.stderr
    assert "--where '(lon >= -190 and lon <= -170 or lon >= 170 and lon <= 190) and lat >= 0 and" in upwell("read", tmp_path / "c.nc", "v", "--bbox=170,0,-170,10", "-o", tmp_path / "o.nc", status=64).stderr
    assert "370 is 10" in upwell("read", tmp_path / "c.nc", "v", "--bbox=350,0,370,10", status=64).stderr
    assert "WEST,SOUTH" in upwell("read", tmp_path / "c.nc", "v", "--bbox=1,2,3", status=64).stderr


@pytest.mark.parametrize("first", [-180, 0])
@pytest.mark.parametrize("box", [(-95, 40, -73, 49), (-10, -20, 10, 20), (170, -90, -170, 90), (265, 40, 287, 49), (350, 0, 10, 90)])
def test_what_is_advised_in_place_of_a_box_takes_the_box(tmp_path, first, box):
    """Longitudes of a swath, in either count."""
    lon, lat = (a.ravel() for a in np.meshgrid(np.arange(first, first + 360, 7.0), np.arange(-90, 91, 3.0)))
    with netCDF4.Dataset(tmp_path / "s.nc", "w") as f:
        f.createDimension("n", lon.size)
        for name, values, units in (("lon", lon, "degrees_east"), ("lat", lat, "degrees_north")):
            f.createVariable(name, "f4", ("n",)).units = units
            f[name][:] = values
        f.createVariable("v", "f4", ("n",))[:] = np.arange(lon.size)
    options = ["--variables", "v", "--reduce", "n:count", "-o", "-"]
    told = upwell("aggregate", tmp_path / "s.nc", "--bbox=" + ",".join(map(str, box)), *options, status=64).stderr
    condition = told.split("--where '")[1].split("'")[0]
    count = int(upwell("aggregate", tmp_path / "s.nc", "--where", condition, *options).stdout.split()[-1])
    west, south, east, north = box
    inside = ((lon - west) % 360 <= (east - west) % 360) & (lat >= south) & (lat <= north)
    assert count == inside.sum() > 0


@pytest.mark.parametrize("kind, wanted, found", [
    ("0..360", 359.9, 0), ("0..360", -10, 350), ("0..360", -1, 0), ("0..360", 356, 355), ("-180..180", 190, -170),
    ("-180..180", 179.5, -180), ("both ends", 179.5, 180), ("both ends", -179.5, -180), ("0..360", 720, 0),
])
def test_nearest_is_around_the_globe(tmp_path, kind, wanted, found):
    granule = write_globe(tmp_path / "g.nc", kind)
    upwell("read", granule, "v", "--sel", f"lon={wanted}", "--nearest", "-o", tmp_path / "o.nc")
    with xr.open_dataset(tmp_path / "o.nc") as ours, xr.open_dataset(granule) as theirs:
        assert ours.lon == found
        np.testing.assert_array_equal(ours.v.values, theirs.v.sel(lon=found).values)
    if wanted not in axis_of(kind):
        run = upwell("read", granule, "v", "--sel", f"lon={wanted}", status=64)
        assert "no such value" in run.stderr and f"the nearest is {found} " in run.stderr


def test_latitudes_and_other_axes_do_not_go_around(tmp_path):
    granule = write_globe(tmp_path / "g.nc", "0..360")
    upwell("read", granule, "v", "--sel", "lat=270", "--nearest", "-o", tmp_path / "o.nc")
    with xr.open_dataset(tmp_path / "o.nc") as ours:
        assert ours.lat == 88


@pytest.mark.parametrize("west, east", [(9.85, 10.05), (9.95, 10.05), (-9.95, 10.05), (189.95, -160.05)])
def test_edges_that_are_float32_are_taken(tmp_path, west, east):
    """Cells at 9.85 are at the float32 next to it, which may lie outside of the box as it is written."""
    lon, lat = (np.arange(0.05, 360, 0.1)).astype("f4"), np.arange(-1.95, 2, 0.1).astype("f4")
    with netCDF4.Dataset(tmp_path / "g.nc", "w") as f:
        for name, values, units in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
            f.createDimension(name, values.size)
            f.createVariable(name, "f4", (name,))[:] = values
            f[name].units = units
        f.createVariable("v", "f4", ("lat", "lon"))[:] = np.random.default_rng(1).random((lat.size, lon.size))
    with xr.open_dataset(tmp_path / "g.nc") as d:
        rows = d.v.sel(lat=slice(-1.05, 1.05))
        if 0 <= west < east:
            want = rows.sel(lon=slice(west, east))
            upwell("read", tmp_path / "g.nc", "v", "--sel", f"lon={west}:{east},lat=-1.05:1.05", "-o", tmp_path / "sel.nc")
            with xr.open_dataset(tmp_path / "sel.nc") as ours:
                np.testing.assert_array_equal(ours.v.values, want.values)
        else:
            pieces = [rows.sel(lon=slice(a, b)) for a, b in ((west % 360, 360 if west < 0 else east % 360), (0, east if west < 0 else -1))]
            want = xr.concat([piece for piece in pieces if piece.size], "lon")
        upwell("read", tmp_path / "g.nc", "v", f"--bbox={west},-1.05,{east},1.05", "-o", tmp_path / "box.nc")
        with xr.open_dataset(tmp_path / "box.nc") as ours:
            assert ours.v.shape == want.shape and ours.lon.dtype == "f4"
            np.testing.assert_array_equal(ours.v.values, want.values)


@pytest.mark.parametrize("lons,asked,fits", [
    (np.arange(0, 360, 5.0), "-20:20", False), (np.arange(0, 360, 5.0), "-180:180", False), (np.arange(0, 360, 5.0), "350:20", False),
    (np.arange(0, 360, 5.0), "350:360", True), (np.arange(0, 360, 5.0), "0:360", True), (np.arange(0, 360, 5.0), ":20", True),
    (np.arange(-180, 180, 5.0), "0:360", False), (np.arange(-180, 180, 5.0), "170:200", False), (np.arange(-180, 181, 5.0), "170:180", True),
    (np.arange(-180, 180, 5.0), "-180:180", True), (np.arange(0, 45, 5.0), "-20:20", True), (np.arange(355, -1, -5.0), "350:20", True),
    (np.array([0.0]), "170:-170", False), (np.array([0.0]), "-10:10", True),
])
def test_longitudes_that_are_counted_in_another_way(tmp_path, lons, asked, fits):
    xr.Dataset({"v": ("lon", lons)}, coords={"lon": ("lon", lons, {"units": "degrees_east"})}).to_netcdf(tmp_path / "g.nc")
    run = upwell("read", tmp_path / "g.nc", "v", "--sel", f"lon={asked}", "-o", tmp_path / "o.nc", status=0 if fits else 64)
    if not fits:
        assert "--bbox WEST,SOUTH,EAST,NORTH" in run.stderr
        return
    low, high = (float(end or -np.inf) for end in asked.split(":"))
    with xr.open_dataset(tmp_path / "o.nc") as got:
        assert np.array_equal(got.v, lons[(lons >= min(low, high)) & (lons <= max(low, high))])


@pytest.mark.parametrize("lons", [np.arange(0, 361, 10.0), np.arange(-180, 181, 10.0), np.arange(360, -1, -10.0)])
@pytest.mark.parametrize("west,east", [(-180, 180), (0, 360), (-25, 25), (170, -170)])
def test_a_box_holds_no_longitude_twice(tmp_path, lons, west, east):
    """Of a grid of which the last longitude is the first once more."""
    lats, east_of_west = np.arange(-10, 11, 10.0), (east - west) % 360 or 360
    values = np.add.outer(lats, (lons % 360) ** 1.5)
    coords = {"lat": ("lat", lats, {"units": "degrees_north"}), "lon": ("lon", lons, {"units": "degrees_east"})}
    xr.Dataset({"v": (("lat", "lon"), values)}, coords=coords).to_netcdf(tmp_path / "g.nc")
    upwell("aggregate", tmp_path / "g.nc", "--reduce", "lon:sum", f"--bbox={west},-90,{east},90", "-o", tmp_path / "o.nc")
    once = {lon % 360 for lon in lons if (lon - west) % 360 <= east_of_west}
    with xr.open_dataset(tmp_path / "o.nc") as got:
        np.testing.assert_allclose(got.v, lats * len(once) + sum(lon**1.5 for lon in once), rtol=1e-12)


@pytest.mark.parametrize("lons,box,fits", [
    (np.arange(0, 360, 5.0), "-180,-90,180,90", False), (np.arange(0, 360, 5.0), "-20,-90,20,90", False), (np.arange(0, 360, 5.0), "0,-90,360,90", True),
    (np.arange(-180, 180, 5.0), "0,-90,360,90", False), (np.arange(-180, 180, 5.0), "-180,-90,180,90", True), (np.arange(0, 360, 5.0), "-95,-90,-75,90", False),
    (np.arange(0, 360, 5.0, dtype="f4") + np.float32(0.1), "0.1,-90,20,90", True),
])
def test_a_condition_on_longitudes_that_the_box_counts_in_another_way(tmp_path, lons, box, fits):
    coords = {"lat": ("lat", [0.0], {"units": "degrees_north"}), "lon": ("lon", lons, {"units": "degrees_east"})}
    xr.Dataset({"v": (("lat", "lon"), np.ones((1, len(lons))))}, coords=coords).to_netcdf(tmp_path / "g.nc")
    run = upwell("aggregate", tmp_path / "g.nc", "--reduce", "lat,lon:count", f"--bbox={box}", "--where", "lon < 10", "-o", "-", status=0 if fits else 64)
    if fits:
        west, _, east, _ = map(float, box.split(","))
        assert int(run.stdout.split()[-1]) == ((lons < 10) & (lons >= west - 1e-5) & (lons <= east)).sum()
    else:
        assert "give the longitudes by --bbox alone" in run.stderr

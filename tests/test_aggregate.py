"""upwell aggregate against xarray on the same granules."""

import json
import os
import subprocess

import netCDF4
import numpy as np
import pytest
import xarray as xr

from test_own_form import Drift, truth_of, upwell

FUNCTIONS = ("mean", "sum", "min", "max", "count", "std", "var")
LAT, LON = 20, 33


def write_granule(path, day, length=1, fill=np.float32(-9999), **storage):
    """sst (float32, a fill), ice (packed int16), n (int32), u (uint8, a fill), big (big endian), bounds, a grid mapping."""
    rng = np.random.default_rng(day)
    storage = dict(zlib=True, complevel=1, chunksizes=(1, 8, 16)) | storage
    with netCDF4.Dataset(path, "w") as f:
        f.time_coverage_start = f"day {day}"
        f.title = "made up"
        for name, size in (("time", None), ("lat", LAT), ("lon", LON), ("nv", 2)):
            f.createDimension(name, size)
        time = f.createVariable("time", "f8", ("time",))
        time.units, time.calendar, time.bounds = "days since 2000-01-01", "standard", "time_bnds"
        time[:] = day + np.arange(length)
        f.createVariable("time_bnds", "f8", ("time", "nv"))[:] = (day + np.arange(length))[:, None] + np.array([0, 1])
        lat = f.createVariable("lat", "f8", ("lat",))
        lat.units, lat.bounds = "degrees_north", "lat_bnds"
        lat[:] = np.linspace(-60, 60, LAT)
        f.createVariable("lat_bnds", "f8", ("lat", "nv"))[:] = np.linspace(-60, 60, LAT)[:, None] + np.array([-1, 1])
        lon = f.createVariable("lon", "f8", ("lon",))
        lon.units = "degrees_east"
        lon[:] = np.linspace(0, 320, LON)
        f.createVariable("crs", "i4", ()).grid_mapping_name = "latitude_longitude"
        f.createVariable("area", "f4", ("lat", "lon"))[:] = 1
        shape = (length, LAT, LON)
        land = np.broadcast_to(np.arange(LAT * LON).reshape(LAT, LON) % 7 == 0, shape)
        values = 290 + 5 * rng.standard_normal(shape)
        clouds = rng.random(shape) < 0.3

        def add(name, kind, data, **options):
            v = f.createVariable(name, kind, ("time", "lat", "lon"), **storage, **options)
            v.set_auto_maskandscale(False)
            v.grid_mapping, v.units, v.coordinates = "crs", "K", "area"
            v[:] = data
            return v

        add("sst", "f4", np.where(land | clouds, fill, values).astype("f4"), fill_value=fill)
        ice = add("ice", "i2", np.where(clouds, -32768, np.round(values)).astype("i2"), fill_value=np.int16(-32768))
        ice.scale_factor, ice.add_offset, ice.valid_min = 0.01, 2.5, np.int16(0)
        add("n", "i4", rng.integers(-1000, 1000, shape).astype("i4"))
        add("u", "u1", np.where(clouds, 255, rng.integers(0, 250, shape)).astype("u1"), fill_value=np.uint8(255))
        add("big", "f8", np.where(clouds, np.nan, values), endian="big")
        f.createVariable("name", "S1", ("time", "nv"))[:] = b"x"
    return path


@pytest.fixture(scope="module")
def granules(tmp_path_factory):
    directory = tmp_path_factory.mktemp("granules")
    return [write_granule(directory / f"g{day:02d}.nc", day) for day in range(40)]


@pytest.fixture(scope="module")
def truth(granules):
    """All of them in memory, decoded by xarray."""
    with xr.open_mfdataset(granules, combine="nested", concat_dim="time", data_vars="minimal", coords="minimal", compat="override") as dataset:
        return dataset.load()


def expected(dataset, name, dims, function, ddof=0):
    """xarray's, of float64; a sum of integers of theirs."""
    values = dataset[name]
    if values.dtype.kind == "f" and function not in ("min", "max"):
        values = values.astype("f8")
    arguments = dict(ddof=ddof) if function in ("std", "var") else {}
    return getattr(values, function)(dims, **arguments)


def assert_equal(ours, theirs, function):
    assert ours.dims == theirs.dims
    ours, theirs = ours.values, theirs.values
    if function in ("min", "max", "count") or theirs.dtype.kind in "iu":
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    else:
        assert ours.dtype == np.float64
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dims", ["time", "lat,lon", "lon", "time,lat", "time,lat,lon"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_values_are_those_of_xarray(granules, truth, tmp_path, function, dims):
    out = tmp_path / "out.nc"
    names = ["sst", "ice", "n", "u", "big"]
    upwell("aggregate", *granules, "--variables", ",".join(names), "--reduce", f"{dims}:{function}", "-o", out)
    with xr.open_dataset(out) as ours:
        for name in names:
            assert_equal(ours[name], expected(truth, name, dims.split(","), function), function)


def test_ddof(granules, truth, tmp_path):
    out = tmp_path / "out.nc"
    upwell("aggregate", *granules[:3], "--variables", "sst,n", "--reduce", "time:std", "--ddof", 2, "-o", out)
    with xr.open_dataset(out) as ours:
        assert np.isnan(ours.sst).any() and not np.isnan(ours.sst).all()
        for name in ("sst", "n"):
            assert_equal(ours[name], expected(truth.isel(time=slice(3)), name, "time", "std", 2), "std")


@pytest.mark.parametrize("source", ["granules", "json", "upwell"])
def test_a_part_of_any_source(granules, truth, tmp_path, source):
    sources = granules
    if source != "granules":
        sources = [tmp_path / f"cube.{source}"]
        upwell("virtualize", *granules, "-o", sources[0], "--drop", "name")
    out = tmp_path / "out.nc"
    upwell("aggregate", *sources, "--variables", "sst", "--reduce", "time:mean", "--sel", "lat=-20:33.5,time=2000-01-05:2000-01-30",
           "--isel", "lon=-1", "-o", out)
    with xr.open_dataset(out) as ours:
        part = truth.sel(lat=slice(-20, 33.5), time=slice("2000-01-05", "2000-01-30")).isel(lon=-1)
        assert_equal(ours.sst, expected(part, "sst", "time", "mean"), "mean")
        np.testing.assert_array_equal(ours.lat, part.lat)
        assert ours.lon == part.lon and "lon" in ours.coords


@pytest.mark.parametrize("box, lon, lat", [
    ("20,-30,100,45", slice(20, 100), slice(-30, 45)),
    ("-170,0,-60,90", slice(190, 300), slice(0, 90)),  # longitudes here count from 0
    ("170,-90,-170,90", slice(170, 190), slice(-90, 90)),  # across the antimeridian
    ("-180,-90,180,0", slice(None), slice(-90, 0)),
])
def test_bounding_box(granules, truth, tmp_path, box, lon, lat):
    out = tmp_path / "out.nc"
    upwell("aggregate", *granules[:5], "--variables", "sst", "--bbox", box, "--reduce", "time:mean", "-o", out)
    part = truth.isel(time=slice(5)).sel(lon=lon, lat=lat)
    with xr.open_dataset(out) as ours:
        np.testing.assert_array_equal(ours.lon, part.lon)
        assert_equal(ours.sst, expected(part, "sst", "time", "mean"), "mean")


@pytest.mark.parametrize("box, word", [
    ("-60,-30,20,30", "one piece"), ("330,0,340,10", "nothing lies in lon"), ("0,70,10,80", "nothing lies in lat"),
    ("0,10,20,0", "south"), ("0,0,10", "WEST,SOUTH"), ("0,0,400,10", "-180 to 360"),
])
def test_boxes_that_hold_nothing_or_two_pieces(granules, tmp_path, box, word):
    run = upwell("aggregate", *granules[:2], "--variables", "sst", f"--bbox={box}", "--reduce", "time:mean", "-o", tmp_path / "out.nc", status=64)
    assert word in run.stderr
    assert not (tmp_path / "out.nc").exists()


def test_file_says_what_was_done(granules, tmp_path):
    out = tmp_path / "out.nc"
    upwell("aggregate", *granules[:4], "--reduce", "time:mean", "-o", out)
    with netCDF4.Dataset(out) as f:
        assert set(f.variables) == {"sst", "ice", "n", "u", "big", "lat", "lon", "lat_bnds", "crs", "area"}
        assert set(f.dimensions) == {"lat", "lon", "nv"}
        assert f["sst"].cell_methods == "time: mean" and f["sst"].units == "K" and f["sst"].grid_mapping == "crs"
        assert np.isnan(f["sst"]._FillValue) and f["sst"].dtype == np.float64
        assert "scale_factor" not in f["ice"].ncattrs() and "valid_min" not in f["ice"].ncattrs()
        assert f["lat"].bounds == "lat_bnds" and f["sst"].coordinates == "area"
        assert f.title == "made up" and "time_coverage_start" not in f.ncattrs()
        assert f["sst"].filters()["zlib"] is False
    upwell("aggregate", *granules[:4], "--variables", "sst", "--reduce", "lat,lon:var", "--compress", "-o", out)
    with netCDF4.Dataset(out) as f:
        assert set(f.variables) == {"sst", "time", "time_bnds", "crs"}
        assert f["sst"].cell_methods == "lat: lon: variance" and f["sst"].units == "(K)2"
        assert f["sst"].filters()["zlib"] is True and "coordinates" not in f["sst"].ncattrs()
    upwell("aggregate", *granules[:4], "--variables", "sst", "--reduce", "time:count", "-o", out)
    with netCDF4.Dataset(out) as f:
        assert f["sst"].units == "1" and "cell_methods" not in f["sst"].ncattrs()
        assert f["sst"].dtype == np.int64 and "_FillValue" not in f["sst"].ncattrs()


@pytest.mark.parametrize("function", ["mean", "min", "count", "std"])
def test_granules_that_differ_are_decoded_each_as_it_is(tmp_path, function):
    """Packing, fill, type, chunks, byte order and time units change in the middle."""
    drifts = [Drift(), Drift(scale=0.02, offset=10.0, fill=-1, chunks=(2, 4, 5)), Drift(dtype="u1", scale=0.5, fill=255, unsigned=None),
              Drift(endian="big", length=5, time_units="hours since 1999-12-31", chunks=(1, 7, 3))]
    paths, start = [], 0
    for i, drift in enumerate(drifts):
        paths.append(drift.write(tmp_path / f"{i}.nc", start))
        start += drift.length
    cube, out = tmp_path / "cube.upwell", tmp_path / "out.nc"
    upwell("virtualize", *paths, "-o", cube, "--on-drift", "keep")
    truth = truth_of(tmp_path, paths)
    values = xr.Dataset({"v": (("time", "lat", "lon"), truth["v"])})
    want = expected(values, "v", "time", function)
    for sources in ([cube], paths):
        upwell("aggregate", *sources, "--variables", "v", "--reduce", f"time:{function}", "-o", out)
        with xr.open_dataset(out) as ours:
            assert_equal(ours.v.drop_vars(["lat", "lon"]), want, function)


def test_same_bytes_on_any_number_of_cores(granules, tmp_path):
    outputs = []
    for cores in ("0", f"0-{os.cpu_count() - 1}"):
        for reduce in ("time:mean", "lat,lon:std"):
            out = tmp_path / f"{len(outputs)}.nc"
            run = subprocess.run(["taskset", "-c", cores, os.environ["UPWELL"], "aggregate", *map(str, granules), "--variables", "sst,ice",
                                  "--reduce", reduce, "-o", str(out)], capture_output=True, text=True)
            assert run.returncode == 0, run.stderr
            with netCDF4.Dataset(out) as f:
                outputs.append(b"".join(f[name][:].tobytes() for name in ("sst", "ice")))
    assert outputs[0] == outputs[2] and outputs[1] == outputs[3]


def test_memory_does_not_grow_with_granules(tmp_path):
    paths = []
    for day in range(240):
        with netCDF4.Dataset(tmp_path / f"{day:03d}.nc", "w") as f:
            for name, size in (("time", None), ("y", 512), ("x", 512)):
                f.createDimension(name, size)
            time = f.createVariable("time", "f8", ("time",))
            time.units = "days since 2000-01-01"
            time[:] = [day]
            v = f.createVariable("v", "f4", ("time", "y", "x"), zlib=True, complevel=1, chunksizes=(1, 256, 256))
            v[:] = np.full((1, 512, 512), day, "f4")
        paths.append(tmp_path / f"{day:03d}.nc")

    def peak(sources):
        run = upwell("aggregate", *sources, "--reduce", "time:mean", "-o", tmp_path / "out.nc", "--stats", "--quiet")
        with xr.open_dataset(tmp_path / "out.nc") as ours:
            assert (ours.v == (len(sources) - 1) / 2).all()
        return json.loads(run.stderr.splitlines()[-1])["peak_memory_bytes"]

    # 216 more granules of 1 MiB each.
    assert peak(paths) < peak(paths[:24]) + (24 << 20)


def test_a_broken_granule_in_the_middle(granules, tmp_path):
    paths = list(granules[:5])
    broken = tmp_path / "broken.nc"
    write_granule(broken, 2)
    reference = tmp_path / "one.json"
    upwell("virtualize", broken, "-o", reference)
    offset, length = json.loads(reference.read_text())["refs"]["sst/0.1.1"][1:]
    with open(broken, "r+b") as f:
        f.seek(offset)
        f.write(b"\xff" * length)
    paths[2] = broken
    out = tmp_path / "out.nc"
    out.write_bytes(b"old")
    run = upwell("aggregate", *paths, "--variables", "sst", "--reduce", "time:mean", "-o", out, status=65)
    assert "chunk" in run.stderr and "broken.nc" in run.stderr
    assert out.read_bytes() == b"old" and not list(tmp_path.glob(".out*"))

    broken.write_bytes(broken.read_bytes()[:3000])
    run = upwell("aggregate", *paths, "--variables", "sst", "--reduce", "time:mean", "-o", out, status=65)
    assert "broken.nc" in run.stderr and out.read_bytes() == b"old"
    upwell("aggregate", *paths, "--variables", "sst", "--reduce", "time:mean", "-o", out, "--on-drift", "skip")


@pytest.mark.parametrize("arguments, status, words", [
    (["--reduce", "depth:mean"], 64, ["depth"]),
    (["--variables", "sst", "--reduce", "depth:mean"], 64, ["depth", "time, lat, lon"]),
    (["--variables", "nothing", "--reduce", "time:mean"], 66, ["nothing", "sst"]),
    (["--variables", "name", "--reduce", "time:mean"], 64, ["name", "not numbers"]),
    (["--reduce", "time:middle"], 64, ["middle", "mean, sum, min"]),
    (["--reduce", "time"], 64, ["time:mean"]),
    (["--variables", "sst", "--reduce", "time:mean", "--sel", "lat=70:80"], 64, ["lat"]),
    (["--variables", "sst", "--reduce", "time:mean", "--isel", "time=5:5"], 64, ["holds nothing"]),
    (["--variables", "sst", "--reduce", "time:mean", "--sel", "depth=1"], 64, ["depth"]),
])
def test_errors_say_what_is_wrong(granules, tmp_path, arguments, status, words):
    out = tmp_path / "out.nc"
    run = upwell("aggregate", *granules[:2], *arguments, "-o", out, status=status)
    assert all(word in run.stderr for word in words), run.stderr
    assert not out.exists()


def test_outputs_that_are_refused(granules, tmp_path):
    upwell("aggregate", granules[0], "--reduce", "time:mean", "-o", tmp_path / "out.txt", status=64)
    before = granules[0].read_bytes()
    upwell("aggregate", granules[0], "--reduce", "time:mean", "-o", granules[0], status=64)
    assert granules[0].read_bytes() == before


@pytest.mark.parametrize("form", ["cube.upwell", "cube.json", "cube.parq"])
def test_a_granule_of_the_cube_is_never_replaced(tmp_path, form):
    """Though only the set is named, by whatever path or link; a link elsewhere is written through."""
    paths = [write_granule(tmp_path / f"g{day}.nc", day) for day in range(3)]
    before = [path.read_bytes() for path in paths]
    cube = tmp_path / form
    upwell("virtualize", *paths, "-o", cube, "--drop", "name")
    (tmp_path / "link.nc").symlink_to("g1.nc")
    os.link(paths[2], tmp_path / "hard.nc")
    reduce = ("aggregate", cube, "--variables", "sst", "--reduce", "time:mean", "-o")
    for output in (paths[1], tmp_path / "link.nc", tmp_path / "hard.nc"):
        # The last granule is known to none of the chunks that are read.
        for command in ([*reduce, output], [*reduce, output, "--isel", "time=0:1"], ["read", cube, "sst", "--isel", "time=0", "-o", output]):
            run = upwell(*command, status=64)
            assert f"{output} is a granule of the cube that is read" in run.stderr
    run = upwell("aggregate", *paths, "--variables", "sst", "--reduce", "time:mean", "-o", tmp_path / "link.nc", status=64)
    assert "is one of the sources" in run.stderr
    assert [path.read_bytes() for path in paths] == before
    assert (tmp_path / "link.nc").is_symlink() and not list(tmp_path.glob(".*.tmp-*"))

    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "result.nc").symlink_to("elsewhere/mean.nc")  # which is not there yet, then is
    for _ in range(2):
        upwell(*reduce, tmp_path / "result.nc")
        assert (tmp_path / "result.nc").is_symlink()
        with xr.open_dataset(tmp_path / "elsewhere/mean.nc") as ours:
            assert ours.sst.shape == (LAT, LON)


def test_what_does_not_fit_is_said_once(granules, tmp_path):
    other = tmp_path / "other.nc"
    with netCDF4.Dataset(other, "w") as f:
        f.createDimension("time", None)
        f.createDimension("lat", 3)
        f.createVariable("time", "f8", ("time",)).units = "days since 2000-01-01"
        f["time"][:] = 100
        f.createVariable("sst", "f4", ("time", "lat"))[:] = 1
    for skip, status in (((), 65), (("--on-drift", "skip"), 0)):
        run = upwell("aggregate", *granules[:2], other, "--variables", "sst", "--reduce", "time:mean", *skip, "-o", tmp_path / "out.nc", status=status)
        reasons = [line.partition(f"{other}: ")[2] for line in run.stderr.splitlines() if str(other) in line]
        assert reasons and len(reasons) == len(set(reasons)), run.stderr
    many = [tmp_path / f"other{i}.nc" for i in range(7)]
    for path in many:
        path.write_bytes(other.read_bytes())
    run = upwell("aggregate", *granules[:2], *many, "--variables", "sst", "--reduce", "time:mean", "-o", tmp_path / "out.nc", status=65)
    assert all(str(path) in run.stderr for path in many), run.stderr


def write_day(path, day, names):
    data = {name: (("time", "lat"), np.float32([[day + k, 2 * day]])) for k, name in enumerate(names)}
    xr.Dataset(data, coords={"time": ("time", [day], {"units": "days since 2020-01-01"}), "lat": ("lat", [1.0, 2.0])}).to_netcdf(path)
    return path


def test_skip_leaves_out_what_cannot_stay_alone(tmp_path):
    """Other packing is decoded, as without the option."""
    paths = [write_day(tmp_path / f"{day}.nc", day, ["ice"] if day == 3 else ["ice", "sst"]) for day in range(4)]
    for scale, path in zip((0.5, 0.25, 0.125), paths):
        with xr.open_dataset(path) as day:
            day.load()
        day.to_netcdf(path, encoding={"sst": {"dtype": "i2", "scale_factor": scale, "_FillValue": -9999}})
    command = ("aggregate", *paths, "--variables", "sst", "--reduce", "time:sum")
    assert "1 of 4 granules" in upwell(*command, "-o", tmp_path / "o.nc", status=65).stderr
    done = upwell(*command, "--on-drift", "skip", "-o", tmp_path / "o.nc")
    assert [line for line in done.stderr.splitlines() if "does not fit" in line and "3.nc" in line] and "1.nc" not in done.stderr.split("kept:")[0]
    with xr.open_dataset(tmp_path / "o.nc") as got, xr.open_mfdataset(paths[:3]) as days:
        assert np.array_equal(got["sst"], days["sst"].sum("time"))
    assert "--on-drift" not in upwell("aggregate", *paths, "--variables", "nosuch", "--reduce", "time:sum", "-o", "-", status=66).stderr


@pytest.mark.parametrize("lacking", [0, 1, 2])
def test_a_variable_that_one_granule_lacks(tmp_path, lacking):
    """Whichever it is: neither the variable nor the granule is left out in silence."""
    paths = [write_day(tmp_path / f"{day}.nc", day, ["ice"] if day == lacking else ["ice", "sst"]) for day in range(3)]
    out = tmp_path / "o.nc"
    command = ("aggregate", *paths, "--reduce", "time:mean", "-o", out)
    assert "sst" in upwell(*command, status=65).stderr and not out.exists()

    upwell(*command, "--variables", "ice")
    with xr.open_dataset(out) as got, xr.open_mfdataset(paths, combine="nested", concat_dim="time", data_vars="all") as all_days:
        assert np.array_equal(got["ice"], all_days["ice"].mean("time")) and "sst" not in got
    out.unlink()

    for options in (("--variables", "sst"), ("--variables", "ice", "--where", "sst >= 0")):
        said = upwell(*command, *options, status=65 if lacking else 66).stderr
        assert f"{lacking}.nc" in said and "sst" in said and "--on-drift skip" in said and not out.exists()
        assert f"{lacking}.nc" in upwell(*command, *options, "--on-drift", "skip").stderr
        with xr.open_dataset(out) as got, xr.open_mfdataset([p for p in paths if p.stem != str(lacking)]) as others:
            assert np.array_equal(got[options[1]], others[options[1]].mean("time"))
        out.unlink()

"""upwell read -o: what the written files hold, and that they are whole or not there."""

import os
import shutil
import subprocess
import time

import netCDF4
import numpy as np
import pytest
import xarray as xr

from test_cli import assert_identical, grid, rows_of, upwell  # noqa: F401, grid is a fixture


def test_outputs_agree(grid, tmp_path):
    with xr.open_dataset(grid) as truth:
        expected = truth["sst"].isel(time=slice(1, 4), lat=3)
        upwell("read", grid, "sst", "--isel", "time=1:4,lat=3", "-o", tmp_path / "a.npy")
        assert_identical(np.load(tmp_path / "a.npy"), expected.values)
        for name in ("a.nc", "a.zarr"):
            upwell("read", grid, "sst", "--isel", "time=1:4,lat=3", "-o", tmp_path / name)
        with xr.open_dataset(tmp_path / "a.nc") as written, xr.open_zarr(tmp_path / "a.zarr") as store:
            assert store.load().identical(written.load())
            assert_identical(written["sst"].values, expected.values)
            assert written["sst"].dims == ("time", "lon")
            for name in ("time", "lat", "lon"):
                assert_identical(written[name].values, expected[name].values)
            assert written["sst"].attrs["units"] == "degC"
            assert written.attrs["title"] == "grid"
        upwell("read", grid, "sst", "--isel", "time=1:4,lat=3", "-o", tmp_path / "a.csv")
        out = upwell("read", grid, "sst", "--isel", "time=1:4,lat=3", "-o", "-").stdout
        assert out == (tmp_path / "a.csv").read_text()
        head, rows = rows_of(out)
        assert head == ["time", "lon", "lat", "sst"]
        values = [float(r[3]) if r[3] else np.nan for r in rows]
        assert {float(r[2]) for r in rows} == {float(expected["lat"])}
        np.testing.assert_array_equal(np.reshape(values, expected.shape), expected.values)
        times = np.array([r[0] for r in rows[::36]], "M8[ns]")
        np.testing.assert_array_equal(times, expected["time"].values)
        assert [float(r[1]) for r in rows[:36]] == list(expected["lon"].values)


@pytest.mark.parametrize("name", ["raw.nc", "decoded.nc", "raw.zarr", "decoded.zarr"])
def test_what_is_written_decodes_to_the_same_values(grid, tmp_path, name):
    options = ["--raw"] if name.startswith("raw") else []
    upwell("read", grid, "sst", *options, "-o", tmp_path / name)
    with xr.open_dataset(grid) as truth, xr.open_dataset(tmp_path / name) as written:
        assert_identical(written["sst"].values, truth["sst"].values)
        np.testing.assert_array_equal(written["time"].values, truth["time"].values)


@pytest.mark.parametrize("kind,packed", [("i2", True), ("i2", False), ("f4", False), ("f8", False)])
def test_missing_values_are_declared(tmp_path, kind, packed):
    """Decoded, they are NaN; readers that go by _FillValue alone (CF 2.5.1) must see that, as in what xarray writes."""
    path, out = tmp_path / "g.nc", tmp_path / "out.nc"
    with netCDF4.Dataset(path, "w") as f:
        f.createDimension("x", 4)
        f.createVariable("x", "f8", ("x",))[:] = np.arange(4)
        v = f.createVariable("v", kind, ("x",), fill_value=-9)
        if packed:
            v.scale_factor = np.float32(0.5)
        v.coordinates = "depth"
        v[:] = np.ma.masked_equal([1, 2, 99, 4], 99)
        f.createVariable("depth", "f4", ("x",), fill_value=1e20)[:] = np.ma.masked_equal([1, 99, 3, 4], 99)
        f.createVariable("plain", "f4", ("x",))[:] = 1
    upwell("read", path, "v", "-o", out)
    with netCDF4.Dataset(out) as f, xr.open_dataset(path) as truth:
        for name in ("v", "depth"):
            assert np.isnan(f[name].getncattr("_FillValue")) and f[name].dtype == truth[name].dtype
            assert f[name][:].mask.tolist() == np.isnan(truth[name].values).tolist()
        assert "_FillValue" not in f["x"].ncattrs()
    upwell("read", path, "v", "--raw", "-o", out)
    with netCDF4.Dataset(out) as f:
        assert f["v"].getncattr("_FillValue") == -9
    upwell("read", path, "plain", "-o", out)
    with netCDF4.Dataset(out) as f:
        assert "_FillValue" not in f["plain"].ncattrs()


def make_curvilinear(path):
    """All that CF lets a variable name: coordinates, bounds, mappings, terms, measures, companions; in two groups."""
    rng = np.random.default_rng(30)
    with netCDF4.Dataset(path, "w") as nc:
        for name, size in (("time", 6), ("lev", 3), ("y", 5), ("x", 4), ("nv", 2), ("corner", 4), ("strlen", 8)):
            nc.createDimension(name, size)

        def add(group, name, dimensions, values, dtype="f8", **attributes):
            fill = attributes.pop("_FillValue", None)
            variable = group.createVariable(name, dtype, dimensions, fill_value=fill)
            variable.setncatts(attributes)
            variable[...] = values

        add(nc, "time", ("time",), np.arange(6) * 24, "i8", units="hours since 2000-02-27", calendar="noleap", bounds="time_bnds")
        add(nc, "time_bnds", ("time", "nv"), np.arange(6)[:, None] * 24 + [0, 24])
        add(nc, "lev", ("lev",), [0.1, 0.5, 0.9], standard_name="ocean_sigma_coordinate", formula_terms="sigma: lev eta: eta depth: depth")
        add(nc, "eta", ("time", "y", "x"), rng.random((6, 5, 4)), "f4")
        add(nc, "depth", ("y", "x"), rng.random((5, 4)), "f4")
        add(nc, "lat", ("y", "x"), rng.random((5, 4)), units="degrees_north", bounds="lat_bnds")
        add(nc, "lat_bnds", ("y", "x", "corner"), rng.random((5, 4, 4)))
        add(nc, "lon", ("y", "x"), rng.random((5, 4)), "i2", scale_factor=0.5, _FillValue=np.int16(-9), units="degrees_east")
        add(nc, "height", (), 2.0, units="m")
        add(nc, "row", ("y", "strlen"), netCDF4.stringtochar(np.array([f"row {i}" for i in range(5)], "S8")), "S1")
        add(nc, "crs", (), 0, "i4", grid_mapping_name="rotated_latitude_longitude")
        add(nc, "area", ("y", "x"), rng.random((5, 4)))
        add(nc, "flag", ("time", "lev", "y", "x"), 1, "i1")
        model = nc.createGroup("model")
        add(model, "v", ("time", "lev", "y", "x"), rng.random((6, 3, 5, 4)), "f4", coordinates="lat /lon height row nowhere",
            grid_mapping="crs", cell_measures="area: area", ancillary_variables="flag", units="K")
    return path


@pytest.mark.parametrize("selection", [{}, {"time": slice(1, 5, 2), "y": slice(2, 4)}, {"time": 3, "x": 1}, {"y": 0, "lev": slice(2, 3)}])
def test_netcdf_takes_along_what_describes_the_array(tmp_path, selection):
    path, out = make_curvilinear(tmp_path / "c.nc"), tmp_path / "out.nc"
    text = ",".join(f"{k}={v.start}:{v.stop}:{v.step or 1}" if isinstance(v, slice) else f"{k}={v}" for k, v in selection.items())
    upwell("read", path, "model/v", *(["--isel", text] if text else []), "-o", out)
    decode = {"decode_coords": "all", "decode_times": xr.coders.CFDatetimeCoder(use_cftime=True)}
    with xr.open_dataset(path, **decode) as root, xr.open_dataset(path, group="model") as model, xr.open_dataset(out, **decode) as written:
        expected = model["v"].isel(selection)
        assert_identical(written["v"].values, expected.values)
        names = {"time", "time_bnds", "lev", "eta", "depth", "lat", "lat_bnds", "lon", "height", "row", "crs"}
        assert set(written.variables) == names | {"v"}
        for name in names:
            here = root[name].isel({d: i for d, i in selection.items() if d in root[name].dims})
            assert written[name].dims == here.dims, name
            np.testing.assert_array_equal(written[name].values, here.values, err_msg=name)
        assert {"time", "lev", "lat", "lon", "height", "row", "crs"} <= set(written["v"].coords)
        assert "units" in written["height"].attrs and written["v"].attrs["units"] == "K"
    with netCDF4.Dataset(out) as nc:  # no attribute names what is not there
        assert nc["v"].grid_mapping == "crs" and nc["lev"].formula_terms == "sigma: lev eta: eta depth: depth"
        assert nc["v"].coordinates.split()[:4] == ["lat", "lon", "height", "row"]
        assert "nowhere" not in nc["v"].coordinates
        assert set(nc["v"].ncattrs()).isdisjoint({"cell_measures", "ancillary_variables"})
        assert nc["row"].dtype == "S1"


@pytest.mark.parametrize("form", ["granule.nc", "cube.json", "cube.parq", "cube.upwell"])
def test_attributes_have_the_type_of_their_variable(tmp_path, form):
    """CF 2.5.1 and 3.5; JSON makes them 64-bit numbers."""
    typed = {"valid_min": 0, "valid_max": 3, "valid_range": [0, 3], "flag_values": [0, 1, 3], "flag_masks": [1, 2, 4]}
    with netCDF4.Dataset(tmp_path / "granule.nc", "w") as f:
        for name, size in (("time", 2), ("x", 5000)):
            f.createDimension(name, size)
        for kind in ("i1", "u1", "i2", "u2", "i4", "i8"):
            v = f.createVariable(kind, kind, ("time", "x"))
            v.setncatts({n: np.array(a, kind) for n, a in typed.items()} | {"flag_meanings": "a b c", "other": np.int16(3)})
            v[:] = 1
        v = f.createVariable("masked", "i1", ("time", "x"), fill_value=np.int8(-128))
        v.setncatts({"flag_values": np.array([0, 1], "i1"), "flag_masks": np.array([1, 2], "i1"), "valid_min": np.int8(0)})
        v[:] = 1
        v = f.createVariable("f4", "f4", ("time", "x"))
        v.setncatts({"valid_range": np.array([-0.1, 300], "f4"), "actual_range": np.array([0.1, 2], "f4"), "missing_value": np.float32(0.3)})
        v[:] = 1
        v = f.createVariable("packed", "i2", ("time", "x"))
        v.setncatts({"scale_factor": 0.01, "valid_range": np.array([0, 9], "i2"), "actual_range": np.array([0.0, 0.09]), "missing_value": np.int16(-9)})
        v[:] = 0.05
    source, out = tmp_path / form, tmp_path / "out.nc"
    if form != "granule.nc":
        upwell("virtualize", tmp_path / "granule.nc", "-o", source)

    def types(name, *options):
        upwell("read", source, name, *options, "-o", out)
        with netCDF4.Dataset(out) as f:
            v = f[name]
            return v.dtype, {n: np.asarray(v.getncattr(n)).dtype for n in v.ncattrs() if n not in ("flag_meanings", "units", "other")}

    for kind in ("i1", "u1", "i2", "u2", "i4", "i8"):
        for options in ((), ("--raw",)):
            written, attributes = types(kind, *options)
            assert written == kind and attributes == {n: np.dtype(kind) for n in typed}, (kind, options)
        upwell("aggregate", source, "--variables", kind, "--reduce", "time:max", "-o", out)
        with netCDF4.Dataset(out) as f:
            assert all(np.asarray(f[kind].getncattr(n)).dtype == kind for n in typed), kind
    assert types("masked", "--raw")[1] == {n: np.dtype("i1") for n in ("_FillValue", "flag_values", "flag_masks", "valid_min")}
    if form != "granule.nc":  # decoded, it is a float; masks are integers all the same
        written, attributes = types("masked")
        assert written == "f4" and attributes == {"flag_values": "f4", "valid_min": "f4", "flag_masks": "i1", "_FillValue": "f4"}
    assert types("f4", "--raw")[1] == {n: np.dtype("f4") for n in ("valid_range", "actual_range", "missing_value")}
    raw = types("packed", "--raw")[1]
    assert raw["valid_range"] == raw["missing_value"] == "i2" and raw["actual_range"] == "f8"
    if form != "granule.nc":
        upwell("aggregate", source, "--variables", "i2", "--reduce", "time:mean", "-o", out)
        with netCDF4.Dataset(out) as f:
            assert f["i2"].valid_min.dtype == np.float64 and f["i2"].valid_min == 0


def test_cdo_finds_the_bounds_of_what_was_read(tmp_path):
    if shutil.which("cdo") is None:
        pytest.skip("cdo is not installed")
    path, out = make_curvilinear(tmp_path / "c.nc"), tmp_path / "out.nc"
    upwell("read", path, "model/v", "--isel", "lev=0", "-o", out)
    run = subprocess.run(["cdo", "sinfon", str(out)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and "not found" not in run.stderr, run.stderr
    assert "2000-02-27" in run.stdout or "2000-02-28" in run.stdout


def test_killed_runs_are_swept_up(grid, tmp_path):
    """What a killed run leaves of a target goes when the target is written again; what may be another's work stays."""
    work = tmp_path / "work"
    work.mkdir()
    old = [work / f".{name}.tmp-1-0" for name in ("o.npy", "o.nc", "o.json", "o.parq")]
    for path in old[:3]:
        path.write_bytes(b"half")
    (old[3] / "sst").mkdir(parents=True)
    (old[3] / "sst" / "refs.0.parq").write_bytes(b"half")
    young, other = work / ".o.npy.tmp-1-1", work / ".x.npy.tmp-1-0"
    young.write_bytes(b""), other.write_bytes(b"")
    long_ago = (1e9, 1e9)
    for path in (*old, old[3] / "sst", old[3] / "sst" / "refs.0.parq", other):
        os.utime(path, long_ago)
    for name in ("o.npy", "o.nc"):
        upwell("read", grid, "sst", "-o", work / name)
    for name in ("o.json", "o.parq"):
        upwell("virtualize", grid, "-o", work / name)
    assert not any(path.exists() for path in old) and young.exists() and other.exists()


def test_equal_names_of_other_things_do_not_meet(tmp_path):
    """A covariance has one dimension twice; dimensions of two groups have one name and two lengths."""
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as nc:
        nc.createDimension("x", 4)
        nc.createDimension("nv", 3)
        nc.createVariable("x", "f8", ("x",))[:] = range(4)
        nc.createVariable("lat", "f8", ("x", "nv"))[:] = np.arange(12).reshape(4, 3)
        inner = nc.createGroup("g")
        inner.createDimension("nv", 2)
        cov = inner.createVariable("cov", "f8", ("x", "x", "nv"))
        cov[:] = np.arange(32).reshape(4, 4, 2)
        cov.coordinates = "lat"
    upwell("read", tmp_path / "a.nc", "g/cov", "-o", tmp_path / "o.nc")
    with netCDF4.Dataset(tmp_path / "o.nc") as nc:
        np.testing.assert_array_equal(nc["cov"][:], np.arange(32).reshape(4, 4, 2))
        np.testing.assert_array_equal(nc["x"][:], range(4))


def test_csv_has_all_coordinates(tmp_path):
    path = make_curvilinear(tmp_path / "c.nc")
    head, rows = rows_of(upwell("read", path, "model/v", "--isel", "time=1:3,lev=1", "-o", "-").stdout)
    assert head == ["time", "y", "x", "lev", "lat", "lon", "height", "row", "v"]
    with xr.open_dataset(path) as root, xr.open_dataset(path, group="model") as model:
        v, lat, lon = model["v"].isel(time=slice(1, 3), lev=1).values, root["lat"].values, root["lon"].values
    for i, (t, y, x) in enumerate(np.ndindex(v.shape)):
        assert rows[i][0] == ("2000-02-28T00:00:00", "2000-03-01T00:00:00")[t]
        assert [float(c) for c in rows[i][1:7]] == [y, x, 0.5, lat[y, x], lon[y, x], 2.0]
        assert rows[i][7] == f"row {y}"
        assert np.float32(rows[i][-1]) == v[t, y, x]
    head, rows = rows_of(upwell("read", path, "time", "-o", "-").stdout)
    assert head == ["time", "time"] and rows[2] == ["2000-03-01T00:00:00"] * 2
    head, rows = rows_of(upwell("read", path, "time", "--raw", "-o", "-").stdout)
    assert rows[2] == ["48", "48"]


def test_csv_joins_characters(tmp_path):
    path = make_curvilinear(tmp_path / "c.nc")
    with netCDF4.Dataset(path, "a") as nc:
        nc["row"]._Encoding = "utf-8"
        nc["row"][2, :] = np.frombuffer("é,\"2\"".encode().ljust(8, b"\0"), "S1")
    head, rows = rows_of(upwell("read", path, "row", "-o", "-").stdout)
    assert head == ["y", "row"] and [r[1] for r in rows] == ["row 0", "row 1", "é,\"2\"", "row 3", "row 4"]
    head, rows = rows_of(upwell("read", path, "model/v", "--isel", "time=0,lev=0,x=0", "-o", "-").stdout)
    assert [r[head.index("row")] for r in rows] == ["row 0", "row 1", "é,\"2\"", "row 3", "row 4"]


def test_a_time_that_is_none_is_an_error_in_csv(tmp_path):
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as nc:
        nc.createDimension("time", 3)
        time = nc.createVariable("time", "f8", ("time",))
        time.units = "days since 2000-01-01"
        time[:] = [0, 1e300, np.nan]
        nc.createVariable("v", "i4", ("time",))[:] = [1, 2, 3]
    run = upwell("read", tmp_path / "a.nc", "v", "-o", tmp_path / "o.csv", status=65)
    assert "time[1]" in run.stderr and "--raw" in run.stderr and not (tmp_path / "o.csv").exists()
    _, rows = rows_of(upwell("read", tmp_path / "a.nc", "v", "--isel", "time=::2", "-o", "-").stdout)
    assert rows == [["2000-01-01T00:00:00", "1"], ["", "3"]]


def test_empty_selection_in_every_output(grid, tmp_path):
    for name in ("e.npy", "e.nc", "e.csv"):
        upwell("read", grid, "sst", "--isel", "time=5:2", "-o", tmp_path / name)
    assert np.load(tmp_path / "e.npy").shape == (0, 19, 36)
    with netCDF4.Dataset(tmp_path / "e.nc") as nc:
        assert nc["sst"].shape == (0, 19, 36)
    assert (tmp_path / "e.csv").read_text() == "time,lat,lon,sst\n"
    assert "values 0  missing 0" in upwell("read", grid, "sst", "--isel", "time=5:2").stdout


def test_what_is_read_is_never_replaced(grid, tmp_path):
    granule = tmp_path / "granule.nc"
    shutil.copy(grid, granule)
    before = granule.read_bytes()
    (tmp_path / "link.nc").symlink_to(granule)
    upwell("virtualize", granule, "-o", tmp_path / "cube.json")
    for source, why in ((granule, "is one of the sources"), (tmp_path / "cube.json", "is a granule of the cube that is read")):
        for output in (granule, tmp_path / "link.nc"):
            run = upwell("read", source, "sst", "--isel", "time=0", "-o", output, status=64)
            assert f"{output} {why}" in run.stderr
    assert granule.read_bytes() == before and (tmp_path / "link.nc").is_symlink()
    upwell("read", tmp_path / "cube.json", "sst", "--isel", "time=0", "-o", tmp_path / "other.nc")

    store = tmp_path / "store.upwell"
    upwell("virtualize", granule, "-o", store)
    (store / "part-1/notes.csv").write_text("kept")
    run = upwell("read", store, "sst", "--isel", "time=0", "-o", store / "part-1/notes.csv", status=64)
    assert "is a file of the set that is read" in run.stderr
    assert (store / "part-1/notes.csv").read_text() == "kept"


def test_valid_ranges_of_unsigned_numbers_mask_nothing(tmp_path):
    """They are of signed numbers, as stored; beside decoded ones a reader that masks by them would hide everything."""
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as f:
        f.createDimension("x", 4)
        v = f.createVariable("v", "i1", ("x",))
        v.setncatts({"_Unsigned": "true", "valid_range": np.array([10, -56], "i1")})
        v.set_auto_maskandscale(False)
        v[:] = np.array([10, 100, -60, -57], "i1")
    upwell("read", tmp_path / "in.nc", "v", "-o", tmp_path / "out.nc")
    with netCDF4.Dataset(tmp_path / "out.nc") as f:
        assert np.ma.count(f["v"][:]) == 4 and f["v"][:].tolist() == [10, 100, 196, 199]

"""upwell info and upwell read: what they print and write equals what xarray, netCDF4 and cftime make of the same granule.

Every test makes its own granules. The bad ones are in test_bad_input.py.
"""

import csv
import io
import json
import os
import signal
import subprocess
from pathlib import Path

import cftime
import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

from http_servers import PlainFiles, serving_files

ROOT = Path(__file__).resolve().parent.parent
UPWELL = os.environ.get("UPWELL", str(ROOT / "build/release/bin/upwell"))


def upwell(*arguments, status=0, **options):
    command = [UPWELL, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    assert run.returncode == status, f"{command}\nstatus {run.returncode}\n{run.stderr}"
    return run


def read_npy(source, array, *arguments, target=None):
    target = target or Path(str(source).rstrip("/").replace("://", "_").replace("/", "_")).name
    out = Path(os.environ["UPWELL_TEST_TMP"]) / f"{target}.npy"
    upwell("read", source, array, *arguments, "-o", out)
    return np.load(out)


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.setenv("UPWELL_TEST_TMP", str(tmp_path / "out"))


def rows_of(text):
    rows = list(csv.reader(io.StringIO(text)))
    return rows[0], rows[1:]


def assert_identical(left, right):
    assert left.dtype == right.dtype
    assert left.shape == right.shape
    np.testing.assert_array_equal(left, right)


@pytest.fixture
def http_root(tmp_path):
    """A directory that Python's own server gives out over HTTP (it ignores Range)."""

    with serving_files(tmp_path, PlainFiles) as url:
        yield url


def make_many(path, **options):
    """Packing and missing values of all sorts: what decides xarray's decoded type and values."""
    rng = np.random.default_rng(3)
    with netCDF4.Dataset(path, "w", **options) as nc:
        nc.createDimension("y", 6)
        nc.createDimension("x", 11)

        def add(name, dtype, fill=None, **attributes):
            v = nc.createVariable(name, dtype, ("y", "x"), fill_value=fill)
            v.set_auto_maskandscale(False)
            for key, value in attributes.items():
                v.setncattr(key, value)
            if np.dtype(dtype).kind == "f":
                values = rng.normal(size=(6, 11)).astype(dtype)
            else:
                limits = np.iinfo(dtype)
                values = rng.integers(limits.min, limits.max, (6, 11), dtype, endpoint=True)
            if fill is not None:
                values[1, 2:5] = fill
            for value in np.atleast_1d(attributes.get("missing_value", [])):
                values[3, 4] = value
            v[:] = values

        dtypes = ["i1", "i2", "i4", "f4", "f8"]
        if options.get("format") in ("NETCDF4", "NETCDF3_64BIT_DATA"):
            dtypes += ["u1", "u2", "u4", "i8", "u8"]
        for t in dtypes:
            kind = np.dtype(t).type
            add(f"plain_{t}", t)
            add(f"fill_{t}", t, fill=kind(99))
            add(f"missing_{t}", t, missing_value=kind(7))
            add(f"both_{t}", t, fill=kind(99), missing_value=kind(99))
            for a in ("f4", "f8"):
                number = np.dtype(a).type
                add(f"scale_{a}_{t}", t, scale_factor=number(0.01))
                add(f"offset_{a}_{t}", t, add_offset=number(273.15))
                add(
                    f"packed_{a}_{t}",
                    t,
                    fill=kind(99),
                    scale_factor=number(0.1),
                    add_offset=number(1.5),
                )
            add(f"mixed_{t}", t, scale_factor=np.float32(0.1), add_offset=np.float64(2.5))
            add(f"integer_scale_{t}", t, scale_factor=np.int32(3))
            add(f"integer_scale_fill_{t}", t, fill=kind(3), scale_factor=np.int32(3))
            add(f"integer_offset_{t}", t, add_offset=np.int16(5))
        add("nan_fill", "f4", fill=np.float32(np.nan))
        add("unsigned_fill", "i1", fill=np.int8(-1), _Unsigned="true")
        add("unsigned_plain", "i2", _Unsigned="true")
        add("unsigned_packed", "i2", fill=np.int16(-2), _Unsigned="true", scale_factor=0.5)
    return path


def test_integer_scale_factor_gives_floats(tmp_path):
    """An integer scale_factor is decoded in float64: no fraction and no missing value is lost."""
    path = make_many(tmp_path / "many.nc", format="NETCDF4")
    with netCDF4.Dataset(path) as nc:
        nc.set_auto_maskandscale(False)
        names = [n for n in nc.variables if n.startswith("integer_scale")]
        assert len(names) == 20
        for name in names:
            stored = nc[name][:]
            expected = stored.astype("f8") * 3
            if "fill" in name:
                expected[stored == nc[name].getncattr("_FillValue")] = np.nan
                assert np.isnan(expected).any()
            assert_identical(read_npy(path, name), expected)


FORMATS = ["NETCDF4", "NETCDF4_CLASSIC", "NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET"]


@pytest.mark.parametrize("form", [*FORMATS, "NETCDF3_64BIT_DATA"])
def test_decoded_values_are_those_of_xarray(tmp_path, form):
    path = make_many(tmp_path / "many.nc", format=form)
    different = []
    with xr.open_dataset(path, decode_times=False, engine="netcdf4") as truth:
        names = list(truth.variables)
        assert len(names) >= 5 * 13
        for name in names:
            if name.startswith("integer_scale"):
                # xarray decodes these to int32, which cuts off the fractions of floats and raises
                # on missing values; the next test has the truth for them.
                continue
            ours, theirs = read_npy(path, name), truth[name].values
            if ours.dtype != theirs.dtype or not np.array_equal(
                ours, theirs, equal_nan=ours.dtype.kind == "f"
            ):
                different.append((name, ours.dtype, theirs.dtype, ours.ravel()[:3], theirs.ravel()[:3]))
    assert not different, different


@pytest.mark.parametrize("form", [*FORMATS, "NETCDF3_64BIT_DATA"])
def test_raw_values_are_the_stored_ones(tmp_path, form):
    path = make_many(tmp_path / "many.nc", format=form)
    with netCDF4.Dataset(path) as nc:
        nc.set_auto_maskandscale(False)
        for name in nc.variables:
            assert_identical(read_npy(path, name, "--raw"), nc[name][:])


def make_grid(path):
    rng = np.random.default_rng(11)
    with netCDF4.Dataset(path, "w") as nc:
        nc.title = "grid"
        nc.createDimension("time", None)
        nc.createDimension("lat", 19)
        nc.createDimension("lon", 36)
        t = nc.createVariable("time", "f8", ("time",), chunksizes=(4,))
        t.units = "days since 2001-01-15 06:00"
        lat = nc.createVariable("lat", "f4", ("lat",))
        lon = nc.createVariable("lon", "f8", ("lon",))
        sst = nc.createVariable(
            "sst", "i2", ("time", "lat", "lon"), zlib=True, chunksizes=(2, 7, 10), fill_value=-1
        )
        sst.scale_factor = 0.5
        sst.units = "degC"
        t[:] = np.arange(8) * 16.25
        lat[:] = 90 - 10 * np.arange(19)
        lon[:] = np.arange(36) * 10.0
        sst.set_auto_maskandscale(False)
        sst[:] = rng.integers(-1, 60, (8, 19, 36))
    return path


@pytest.fixture
def grid(tmp_path):
    return make_grid(tmp_path / "grid.nc")


def test_summary(grid):
    with xr.open_dataset(grid) as truth:
        for arguments, values in (
            ([], truth["sst"].values),
            (["--isel", "time=2,lon=3:9"], truth["sst"].values[2, :, 3:9]),
            (["--isel", "time=1::3,lat=::4,lon=5:31:7"], truth["sst"].values[1::3, ::4, 5:31:7]),
        ):
            words = upwell("read", grid, "sst", *arguments).stdout.split()
            found = {k: float(words[words.index(k) + 1]) for k in ("values", "missing", "min", "max", "mean")}
            assert found["values"] == np.isfinite(values).sum()
            assert found["missing"] == np.isnan(values).sum() > 0
            assert found["min"] == np.nanmin(values)
            assert found["max"] == np.nanmax(values)
            assert found["mean"] == pytest.approx(np.nanmean(values), rel=1e-9)
    with netCDF4.Dataset(grid) as nc:
        nc.set_auto_maskandscale(False)
        words = upwell("read", grid, "sst", "--raw").stdout.split()
        assert float(words[words.index("missing") + 1]) == 0
        assert float(words[words.index("min") + 1]) == nc["sst"][:].min() == -1


def parse_index(text):
    parts = [int(p) if p else None for p in text.split(":")]
    return parts[0] if len(parts) == 1 else slice(*parts)


def index_cases():
    rng = np.random.default_rng(20)
    cases = ["0", "-1", "7", "-8", ":", "3:", ":-2", "-3:", "5:2", "8:", "::3", "1:7:2", "100:200", "-100:3"]
    for _ in range(40):
        first, last = rng.integers(-12, 12, 2)
        cases.append(f"{first}:{last}:{rng.integers(1, 6)}")
    return cases


def test_isel_indexes_like_numpy(grid):
    with xr.open_dataset(grid) as truth:
        values = truth["sst"].values
    rng = np.random.default_rng(21)
    for text in index_cases():
        lat = f"{rng.integers(-19, 19)}:{rng.integers(-19, 19)}:{rng.integers(1, 5)}"
        lon = str(rng.integers(-36, 36)) if rng.random() < 0.3 else f"{rng.integers(0, 36)}:"
        found = read_npy(grid, "sst", "--isel", f"time={text},lat={lat}", "--isel", f"lon={lon}")
        expected = values[parse_index(text), parse_index(lat), parse_index(lon)]
        assert found.shape == expected.shape, (text, lat, lon)
        np.testing.assert_array_equal(found, expected, err_msg=str((text, lat, lon)))


def test_json_says_what_the_text_says(tmp_path):
    """Fill values of every kind, byte order, names of an enumeration."""
    with netCDF4.Dataset(tmp_path / "f.nc", "w") as nc:
        nc.createDimension("x", 2)
        for name, dtype, fill in (("i2", "i2", -999), ("u8", "u8", 2**64 - 1), ("f4", "f4", np.nan), ("f8", ">f8", 1e20), ("c", "S1", b"-")):
            nc.createVariable(name, dtype, ("x",), fill_value=fill, endian="big" if dtype[0] == ">" else "native")
        kind = nc.createEnumType("i1", "kind_t", {"land": 0, "sea": 7})
        nc.createVariable("kind", kind, ("x",))
    arrays = {a["name"]: a for a in json.loads(upwell("info", tmp_path / "f.nc", "--json").stdout)["root"]["arrays"]}
    fills = {n: arrays[n]["attributes"].get("_FillValue") for n in ("i2", "u8", "f4", "f8")}
    assert fills == {"i2": -999, "u8": 2**64 - 1, "f4": "NaN", "f8": 1e20}
    assert {n: arrays[n]["fill_value"] for n in fills} == fills
    assert arrays["f8"]["dtype"] == ">f8" and arrays["i2"]["dtype"] == "<i2"
    assert arrays["c"]["attributes"]["_FillValue"] and arrays["kind"]["enum"] == {"land": 0, "sea": 7}


@pytest.mark.parametrize(
    "text",
    ["time=8", "time=-9", "time=a", "time=1:b", "time=0:4:0", "time=0:4:-1", "depth=0", "time", "time=1,time=2"],
)
def test_wrong_isel_is_usage(grid, tmp_path, text):
    run = upwell("read", grid, "sst", "--isel", text, "-o", tmp_path / "x.npy", status=64)
    assert text.split("=")[0] in run.stderr
    assert not (tmp_path / "x.npy").exists()


@pytest.mark.parametrize(
    ("text", "selection"),
    [
        ("lat=40:-20", {"lat": slice(40, -20)}),
        ("lat=-20:40", {"lat": slice(40, -20)}),
        ("lat=:-35", {"lat": slice(-35, -90)}),
        ("lat=-30", {"lat": -30}),
        ("lon=95:200", {"lon": slice(95, 200)}),
        ("lon=10:10", {"lon": slice(10, 10)}),
        ("lat=10:50,lon=20", {"lat": slice(50, 10), "lon": 20}),
        ("time=2001-02", {"time": slice("2001-02", "2001-02")}),
        ("time=2001", {"time": slice("2001", "2001")}),
        ("time=2001-02:2001-03", {"time": slice("2001-02", "2001-03")}),
        ("time=2001-03:", {"time": slice("2001-03", None)}),
        (":2001-02-16", None),
        ("time=:2001-02-16", {"time": slice(None, "2001-02-16")}),
        ("time=2001-01-31T12", {"time": slice("2001-01-31T12", "2001-01-31T12")}),
        (
            "time=2001-01-15T06:00:2001-03-04T18:59",
            {"time": slice("2001-01-15T06:00", "2001-03-04T18:59")},
        ),
    ],
)
def test_sel_equals_xarray(grid, text, selection):
    if selection is None:
        upwell("read", grid, "sst", "--sel", text, status=64)
        return
    with xr.open_dataset(grid) as truth:
        expected = truth["sst"].sel(selection).values
    found = read_npy(grid, "sst", "--sel", text)
    assert_identical(found, expected)


@pytest.mark.parametrize("calendar", ["360_day", "noleap", "all_leap", "julian", "standard"])
def test_partial_dates_in_every_calendar(tmp_path, calendar):
    path = tmp_path / "c.nc"
    with netCDF4.Dataset(path, "w") as nc:
        nc.createDimension("time", 900)
        t = nc.createVariable("time", "i4", ("time",))
        t.units, t.calendar = "days since 1999-12-25", calendar
        t[:] = np.arange(900)
        nc.createVariable("v", "i4", ("time",))[:] = np.arange(900)
    coder = xr.coders.CFDatetimeCoder(use_cftime=True)
    with xr.open_dataset(path, decode_times=coder) as truth:
        spans = ["2000", "2000-02", "2000-02-28", "2000-12", "2001-02", "2000-02-28:2000-03-01", "2001:2001-03"]
        if calendar in ("360_day", "all_leap", "julian", "standard"):
            spans.append("2000-02-29")
        if calendar == "360_day":
            spans += ["2000-02-30", "2001-02-30:2001-03"]
        for span in spans:
            first, _, last = span.partition(":")
            expected = truth["v"].sel(time=slice(first, last or first)).values
            assert len(expected) > 0
            assert_identical(read_npy(path, "v", "--sel", f"time={span}"), expected)
    if calendar in ("noleap", "standard"):
        run = upwell("read", path, "v", "--sel", "time=2001-02-30", status=64)
        assert "2001-02-30" in run.stderr
        assert calendar in run.stderr


def test_alone_it_says_what_there_is():
    run = upwell(status=64)
    assert run.stdout == ""
    for command in ("info", "read", "aggregate", "virtualize", "append", "verify", "doctor", "serve", "produce"):
        assert any(line.split()[:1] == [command] for line in run.stderr.splitlines()), run.stderr
    assert "upwell COMMAND --help" in run.stderr and len(run.stderr.splitlines()) < 24
    assert max(map(len, run.stderr.splitlines())) <= 110


def test_nearest(grid):
    with xr.open_dataset(grid) as truth:
        for lat, lon in ((43.2, 11), (-91, 1000), (88, 4.9), (-4.9, 355.1)):
            expected = truth["sst"].sel(lat=lat, lon=lon, method="nearest").values
            found = read_npy(grid, "sst", "--sel", f"lat={lat},lon={lon}", "--nearest")
            assert_identical(found, expected)
        expected = truth["sst"].sel(time="2001-02-10", method="nearest").values
        found = read_npy(grid, "sst", "--sel", "time=2001-02-10", "--nearest")
        assert_identical(found, expected)
    run = upwell("read", grid, "sst", "--sel", "lat=43.2", status=64)
    assert "--nearest" in run.stderr
    assert "lat=43.2" in run.stderr


def test_other_types(tmp_path):
    """Half precision, strings, big endian, compact and scalar arrays, groups."""
    path = tmp_path / "other.h5"
    rng = np.random.default_rng(5)
    with h5py.File(path, "w") as h5:
        h5["half"] = rng.normal(size=(5, 4)).astype("f2")
        h5["half_big"] = rng.normal(size=9).astype(">f2")
        for t in (">i2", ">i4", ">i8", ">u2", ">u4", ">u8", ">f4", ">f8"):
            h5["big_" + t[1:]] = (rng.normal(size=(3, 7)) * 1000).astype("i2").astype(t)
        h5["fixed"] = np.array([b"one", b"zwei", b"three"], "S6")
        names = ["eins", "tr\u00eas", "", 'a "b", c']
        h5.create_dataset("vlen", data=names, dtype=h5py.string_dtype())
        h5["scalar"] = np.float64(2.5)
        h5["flag"] = np.array([True, False, True])
        h5["a/b/c/deep"] = np.arange(12, dtype="u2").reshape(3, 4)
        h5.create_dataset("lzf", data=np.arange(1000), chunks=(64,), compression="lzf")
        h5.create_dataset("unwritten", shape=(4, 4), dtype="i4", chunks=(2, 2), fillvalue=8)
        numbers = [n for n in h5 if n.startswith(("half", "big")) or n in ("lzf", "unwritten", "scalar")]
        truth = {n: h5[n][...] for n in [*numbers, "a/b/c/deep"]}
    for name, expected in truth.items():
        found = read_npy(path, name)
        assert_identical(found, expected.astype(expected.dtype.newbyteorder("=")))
    assert read_npy(path, "/a/b/c/deep").shape == (3, 4)
    assert read_npy(path, "fixed").tolist() == [b"one", b"zwei", b"three"]
    assert [s.decode() for s in read_npy(path, "vlen")] == names
    assert read_npy(path, "flag").astype(bool).tolist() == [True, False, True]
    for name, expected in (("vlen", names), ("fixed", ["one", "zwei", "three"])):
        _, rows = rows_of(upwell("read", path, name, "-o", "-").stdout)
        assert [r[-1] for r in rows] == expected
    upwell("read", path, "vlen", "-o", tmp_path / "v.nc")
    with netCDF4.Dataset(tmp_path / "v.nc") as nc:
        assert list(nc["vlen"][:]) == names
    assert upwell("read", path, "scalar", "-o", "-").stdout == "scalar\n2.5\n"


def test_netcdf_characters_and_scalars(tmp_path):
    path = tmp_path / "n.nc"
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as nc:
        nc.createDimension("t", None)
        nc.createDimension("n", 5)
        nc.createVariable("word", "S1", ("t", "n"))[:] = netCDF4.stringtochar(
            np.array(["hello", "world"], "S5")
        )
        nc.createVariable("one", "f8", ())[...] = 6.25
        nc.createVariable("odd", "i2", ("t",))[:] = [3, 4]
    found = read_npy(path, "word")
    assert b"".join(found.ravel().tolist()) == b"helloworld"
    assert read_npy(path, "one").shape == ()
    assert read_npy(path, "one") == 6.25
    assert read_npy(path, "odd").tolist() == [3, 4]


def make_references(grid, directory, url=None):
    prefix = ["--url-prefix", f"{grid.parent}/={url}/"] if url else []
    upwell("virtualize", grid, "-o", directory / "grid.json", *prefix)
    upwell("virtualize", grid, "-o", directory / "grid.parq", *prefix)


@pytest.mark.parametrize("kind", ["json", "parq"])
def test_reference_sets(grid, tmp_path, kind):
    make_references(grid, tmp_path)
    source = tmp_path / f"grid.{kind}"
    with xr.open_dataset(grid) as truth:
        assert_identical(read_npy(source, "sst"), truth["sst"].values)
        expected = truth["sst"].sel(lat=slice(40, 10), time="2001-02").values
        assert_identical(read_npy(source, "sst", "--sel", "lat=10:40,time=2001-02"), expected[-len(expected):])
    text = upwell("info", source).stdout
    assert "sst" in text and "1 granule\n" in text


@pytest.mark.parametrize("name", ["grid.nc", "grid.json", "grid.parq"])
def test_sources_over_http(grid, tmp_path, http_root, name):
    make_references(grid, tmp_path, http_root)
    with xr.open_dataset(grid) as truth:
        found = read_npy(f"{http_root}/{name}", "sst", "--isel", "time=2:7:2,lat=-3")
        assert_identical(found, truth["sst"].values[2:7:2, -3])
    known = json.loads(upwell("info", f"{http_root}/{name}", "--json").stdout)
    assert {a["name"] for a in known["root"]["arrays"]} == {"time", "lat", "lon", "sst"}


def test_disk_cache_saves_the_second_fetch(grid, tmp_path, http_root):
    arguments = ("read", f"{http_root}/grid.nc", "sst", "--stats", "--cache-dir", tmp_path / "cache")
    first, second = (json.loads(upwell(*arguments).stderr.splitlines()[-1]) for _ in range(2))
    assert first["bytes_fetched"] >= grid.stat().st_size // 2
    assert second["bytes_fetched"] < first["bytes_fetched"] / 10
    assert second["cache_hits"] > 0


@pytest.mark.parametrize("command", [["info"], ["read"], ["read", "-o", "-"]])
def test_stats_are_one_json_line(grid, command):
    array = ["sst"] if command[0] == "read" else []
    run = upwell(command[0], grid, *array, *command[1:], "--stats", "--quiet")
    assert len(run.stderr.splitlines()) == 1
    stats = json.loads(run.stderr)
    wanted = {"requests", "rounds", "bytes_asked", "bytes_fetched", "cache_hits", "wall_s", "peak_memory_bytes"}
    assert wanted <= set(stats)
    assert stats["requests"] > 0
    assert stats["bytes_asked"] > 0
    assert 0 < stats["wall_s"] < 60
    assert 1 << 20 < stats["peak_memory_bytes"] < 1 << 30


def test_info_says_what_is_in_it(grid):
    text = upwell("info", grid).stdout
    for part in ("time 8 (unlimited)", "lat 19", "sst", "2 x 7 x 10", "zlib", "scale_factor = 0.5", "title = grid"):
        assert part in text, part
    known = json.loads(upwell("info", grid, "--json").stdout)
    assert known["granules"] == 1
    assert known["problems"] == []
    assert known["root"]["attributes"]["title"] == "grid"
    assert known["root"]["dimensions"]["time"] == {"size": 8, "unlimited": True}
    arrays = {a["name"]: a for a in known["root"]["arrays"]}
    sst = arrays["sst"]
    assert sst["shape"] == [8, 19, 36]
    assert sst["dimensions"] == ["time", "lat", "lon"]
    assert sst["chunk_shape"] == [2, 7, 10]
    assert [c["id"] for c in sst["codecs"]] == ["shuffle", "zlib"]
    assert sst["attributes"]["scale_factor"] == 0.5
    with h5py.File(grid) as h5:
        assert sst["chunks"] == sst["chunks_stored"] == h5["sst"].id.get_num_chunks() == 48
        assert sst["stored_bytes"] == h5["sst"].id.get_storage_size()
        assert sst["bytes"] == h5["sst"].size * 2


def test_info_of_groups(tmp_path):
    path = tmp_path / "g.nc"
    with netCDF4.Dataset(path, "w") as nc:
        inner = nc.createGroup("outer").createGroup("inner")
        inner.createDimension("n", 3)
        inner.createVariable("v", "f4", ("n",)).units = "m"
    assert "outer/inner/v" in upwell("info", path).stdout
    root = json.loads(upwell("info", path, "--json").stdout)["root"]
    assert root["groups"][0]["groups"][0]["arrays"][0]["attributes"]["units"] == "m"


def test_exit_statuses(grid, tmp_path):
    text = tmp_path / "text.nc"
    text.write_text("this is no granule\n")
    upwell(status=64)
    upwell("info", status=64)
    upwell("nonsense", status=64)
    for typed, meant in (("virtualise", "virtualize"), ("raed", "read"), ("Info", "info"), ("append_", "append")):
        assert f"unknown command '{typed}'; did you mean '{meant}'?" in upwell(typed, "x", status=64).stderr
    assert "verify" in upwell("nonsense", status=64).stderr
    for typed, meant in (("--varables=sst", "variables"), ("--redcue", "reduce"), ("--weihgts", "weights")):
        assert f"unknown option {typed.split('=')[0]}; did you mean --{meant}?" in upwell("aggregate", grid, typed, "x", status=64).stderr
    upwell("aggregate", grid, "--variables", "sst", "--reduce", "lat:mean", "-o", tmp_path / "p.png", "--title", "--limits")
    assert "--limit: must be more than 0, not 0" in upwell("search", "--short-name", "x", "--limit", "0", status=64).stderr
    for option, value in (("--timeout", "0"), ("--timeout", "-1"), ("--cache-size", "0")):
        assert f"{option}: must be more than 0, not {value}" in upwell("info", grid, option, value, status=64).stderr
    upwell("read", grid, "sst", "--nonsense", status=64)
    upwell("read", grid, "sst", "--retries", "-1", status=64)
    upwell("info", text, status=65)
    upwell("info", tmp_path / "none.nc", status=66)
    run = upwell("read", grid, "ssst", status=66)
    assert "ssst" in run.stderr
    assert "sst" in run.stderr
    upwell("read", grid, "sst", "-o", tmp_path / "no" / "such" / "x.npy", status=73)
    upwell("read", grid, "sst", "-o", tmp_path / "x.tiff", status=64)
    upwell("serve", grid, "--bind", "127.0.0.1:notaport", status=64)


@pytest.mark.parametrize("command", [["info"], ["info", "--json"], ["read", "-o", "-"]])
def test_full_standard_output_is_an_error(grid, command):
    array = ["sst"] if command[0] == "read" else []
    with open("/dev/full", "w") as full:
        command = [UPWELL, command[0], str(grid), *array, *command[1:]]
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert run.returncode == 73, run.stderr


@pytest.mark.parametrize("command", [["info"], ["read", "-o", "-"]])
def test_a_reader_that_went_away_ends_it_quietly(grid, command):
    array = ["sst"] if command[0] == "read" else []
    end, start = os.pipe()
    os.close(end)
    command = [UPWELL, command[0], str(grid), *array, *command[1:]]
    run = subprocess.run(command, stdout=start, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(start)
    assert run.returncode == -signal.SIGPIPE and run.stderr == ""


def test_labels_that_select_nothing(grid):
    """Times are named as dates; indexes may select nothing, as in Python."""
    for label in ("time=2005", "time=2005:2006", "time=:1999", "lat=100:200", "lat=41:49", "lat=43.2"):
        run = upwell("read", grid, "sst", "--sel", label, status=64)
        extent = "from -90 to 90"
        with xr.open_dataset(grid) as truth:
            if label[0] == "t":
                first, last = (np.datetime_as_string(truth.time[i].values, unit="s") for i in (0, -1))
                extent = f"from {first} to {last}"
        assert f"{label}: no" in run.stderr and f"the coordinate runs {extent}" in run.stderr
    assert "values 0" in upwell("read", grid, "sst", "--isel", "time=5:2").stdout


@pytest.mark.parametrize("command", ["info", "read", "virtualize", "serve"])
def test_help_teaches(command):
    text = upwell(command, "--help").stdout
    assert "Examples:" in text
    assert text.count(f"upwell {command} ") >= 2
    assert "--stats" in text
    assert command in upwell("--help").stdout


EPOCHS = ["1970-01-01", "2000-02-28 12:30:15", "1850-1-1", "1582-10-04 18:00", "0001-01-01", "1999-12-30T23:59:59Z", "2001-03-01 00:00:00 +05:30"]
UNITS = ["days", "hours", "minutes", "seconds", "milliseconds"]


@pytest.mark.parametrize(
    "calendar",
    ["standard", "gregorian", "proleptic_gregorian", "julian", "noleap", "365_day", "all_leap", "366_day", "360_day"],
)
def test_times_are_those_of_cftime(tmp_path, calendar):
    rng = np.random.default_rng(sum(map(ord, calendar)))
    path = tmp_path / "t.nc"
    checked = 0
    with netCDF4.Dataset(path, "w") as nc:
        nc.createDimension("n", 60)
        for e, epoch in enumerate(EPOCHS):
            for u, unit in enumerate(UNITS):
                group = nc.createGroup(f"g{e}_{u}")
                t = group.createVariable("n", "i8", ("n",))
                t.units, t.calendar = f"{unit} since {epoch}", calendar
                scale = [1, 24, 1440, 86400, 86400000][u]
                days = np.concatenate([rng.integers(0, 800, 30), rng.integers(0, 150000, 30)])
                t[:] = np.sort(days) * scale + rng.integers(0, scale, 60)
                group.createVariable("v", "i1", ("n",))[:] = 0
    with netCDF4.Dataset(path) as nc:
        for name, group in nc.groups.items():
            t = group["n"]
            expected = cftime.num2date(t[:].astype("i8"), t.units, t.calendar)
            _, rows = rows_of(upwell("read", path, f"{name}/v", "-o", "-").stdout)
            for row, date in zip(rows, expected, strict=True):
                wanted = f"{date.year:04}-{date.month:02}-{date.day:02}T{date.hour:02}:{date.minute:02}:{date.second:02}"
                if date.microsecond:
                    wanted += f".{date.microsecond:06}".rstrip("0")
                assert row[0] == wanted, (t.units, calendar)
                checked += 1
    assert checked == 60 * len(EPOCHS) * len(UNITS)


@pytest.mark.parametrize("seed", range(6))
def test_random_arrays_and_selections(tmp_path, seed):
    """Arrays of random rank, chunks, filters and byte order; selections against numpy."""
    rng = np.random.default_rng(seed)
    path = tmp_path / "r.h5"
    truth = {}
    with h5py.File(path, "w") as h5:
        for k in range(6):
            rank = int(rng.integers(1, 5))
            shape = tuple(int(n) for n in rng.integers(1, 14, rank))
            dtype = rng.choice(["<i2", ">i4", "<f4", ">f8", "u1", "<u8"])
            data = rng.integers(0, 100, shape).astype(dtype)
            options = {}
            if rng.random() < 0.8:
                options["chunks"] = tuple(int(rng.integers(1, n + 1)) for n in shape)
                options["compression"] = rng.choice(["gzip", "lzf", ""]) or None
                options["shuffle"] = bool(rng.random() < 0.5)
                options["fletcher32"] = bool(rng.random() < 0.5)
            data_set = h5.create_dataset(f"a{k}", data=data, **options)
            for d in range(rank):
                data_set.dims[d].label = f"d{d}"
                scale = h5.create_dataset(f"s{k}_{d}", data=np.arange(shape[d]))
                scale.make_scale(f"s{k}_{d}")
                data_set.dims[d].attach_scale(scale)
            truth[f"a{k}"] = data.astype(data.dtype.newbyteorder("="))
    for name, data in truth.items():
        for _ in range(4):
            index, text = [], []
            for d, n in enumerate(data.shape):
                first, last = sorted(int(v) for v in rng.integers(-n, n + 1, 2))
                part = f"{first}:{last}:{rng.integers(1, 4)}"
                if rng.random() < 0.25:
                    part = str(int(rng.integers(-n, n)))
                index.append(parse_index(part))
                text.append(f"s{name[1:]}_{d}={part}")
            found = read_npy(path, name, "--isel", ",".join(text))
            assert_identical(found, np.asarray(data[tuple(index)]))

"""upwell aggregate -o: tables, Zarr stores and plots hold what the netCDF output holds."""

import csv
import io
import json
import os
import signal
import subprocess
import time

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from test_aggregate import write_granule
from test_own_form import upwell


@pytest.fixture(scope="module")
def granules(tmp_path_factory):
    directory = tmp_path_factory.mktemp("granules")
    return [write_granule(directory / f"g{day:02d}.nc", day) for day in range(5)]


def aggregate(sources, reduce, out, *options, status=0):
    sources = sources if isinstance(sources, list) else [sources]
    return upwell("aggregate", *sources, "--reduce", reduce, "-o", out, *options, status=status)


def without_units(columns):
    return [c.split(" [")[0] for c in columns]


@pytest.mark.parametrize("reduce", ["time:mean", "lat,lon:mean", "lon:max", "time:count", "time,lat,lon:sum"])
def test_csv_is_what_xarray_makes_of_the_netcdf(granules, tmp_path, reduce):
    options = ("--variables", "sst,ice,n")
    aggregate(granules, reduce, tmp_path / "out.nc", *options)
    aggregate(granules, reduce, tmp_path / "out.csv", *options)
    assert upwell("aggregate", *granules, "--reduce", reduce, "-o", "-", *options).stdout == (tmp_path / "out.csv").read_text()
    ours = pd.read_csv(tmp_path / "out.csv")
    ours.columns = without_units(ours.columns)
    with xr.open_dataset(tmp_path / "out.nc") as written:
        names = ["sst", "ice", "n"]
        if not written[names].dims:
            theirs = pd.DataFrame({name: [written[name].item()] for name in names})
        else:
            theirs = written[names].to_dataframe(dim_order=list(written["sst"].dims)).reset_index()
    assert list(ours.columns[-3:]) == names
    if "time" in ours:
        assert ours["time"].str.fullmatch(r"2000-01-0\dT00:00:00").all()
        ours["time"] = ours["time"].astype("datetime64[ns]")
        theirs["time"] = theirs["time"].astype("datetime64[ns]")
    assert set(theirs.columns) - {"crs"} == set(ours.columns)
    for name in ours.columns:
        # The digits of a float32 are as few as give it back.
        np.testing.assert_array_equal(ours[name].to_numpy().astype(theirs[name].dtype), theirs[name].to_numpy(), err_msg=name)


def test_csv_says_units_and_leaves_missing_empty(granules, tmp_path):
    out = tmp_path / "out.csv"
    aggregate(granules, "time:mean", out, "--variables", "sst")
    rows = list(csv.reader(out.read_text().splitlines()))
    assert rows[0] == ["lat [degrees_north]", "lon [degrees_east]", "area", "sst [K]"]
    with xr.open_dataset(granules[0]) as first:
        land = np.isnan(first["sst"].values[0]).ravel()
    empty = np.array([row[3] == "" for row in rows[1:]])
    assert empty.any() and not empty.all() and land[empty].all()


def test_csv_quotes_and_keeps_texts(tmp_path):
    """A coordinate of text with commas and quotes, a dimension without a coordinate, units with a comma."""
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as f:
        for name, size in (("time", 2), ("station", 3), ("level", 2)):
            f.createDimension(name, size)
        names = f.createVariable("station", str, ("station",))
        names[:] = np.array(["plain", 'say "hi", you', "two\nlines"], object)
        v = f.createVariable("v", "f4", ("time", "station", "level"))
        v.units = "m,s"
        v[:] = np.arange(12).reshape(2, 3, 2) / 3
    aggregate(tmp_path / "in.nc", "time:max", tmp_path / "out.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_text(), newline="")))
    assert rows[0] == ["station", "level", "v [m,s]"]
    assert [r[:2] for r in rows[1:]] == [[s, str(k)] for s in ("plain", 'say "hi", you', "two\nlines") for k in range(2)]
    assert [np.float32(r[2]) for r in rows[1:]] == list((np.arange(6, 12) / 3).astype("f4"))


def test_csv_has_the_names_of_stations(tmp_path):
    """Texts of single characters along a dimension of their own (CF 2.2)."""
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as f:
        for name, size in (("station", 3), ("time", 4), ("letters", 5)):
            f.createDimension(name, size)
        f.createVariable("name", "S1", ("station", "letters"))[:] = np.array([list("alpha"), list("pi\0\0\0"), list("a, \"b")], "S1")
        v = f.createVariable("v", "f4", ("station", "time"))
        v.coordinates = "name"
        v[:] = np.arange(12).reshape(3, 4)
    aggregate(tmp_path / "in.nc", "time:max", tmp_path / "out.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_text(), newline="")))
    assert rows == [["station", "name", "v"], ["0", "alpha", "3"], ["1", "pi", "7"], ["2", 'a, "b', "11"]]


def test_csv_of_variables_that_share_no_grid_is_refused(tmp_path):
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as f:
        for name in ("time", "x", "y"):
            f.createDimension(name, 2)
        for name in ("x", "y"):
            f.createVariable(f"of_{name}", "f8", ("time", name))[:] = 1
    run = aggregate(tmp_path / "in.nc", "time:mean", tmp_path / "out.csv", status=65)
    assert "--variables" in run.stderr and not (tmp_path / "out.csv").exists()


def test_a_large_table_takes_little_memory(tmp_path):
    """80 MB of results, 160 MB of text."""
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as f:
        for name, size in (("time", 2), ("y", 2500), ("x", 4000)):
            f.createDimension(name, size)
        v = f.createVariable("v", "f4", ("time", "y", "x"), zlib=True, complevel=1, chunksizes=(1, 500, 500))
        for t in range(2):
            v[t] = (np.arange(10_000_000) % 1000 / 8).reshape(2500, 4000)

    def peak(out):
        run = subprocess.run([os.environ.get("UPWELL", "build/release/bin/upwell"), "aggregate", str(tmp_path / "in.nc"), "--reduce", "time:mean", "-o", str(out), "-q", "--stats"],
                             capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stderr.splitlines()[-1])["peak_memory_bytes"] / 1024

    assert peak(tmp_path / "out.csv") < peak(tmp_path / "out.nc") + 60_000
    last = subprocess.run(["tail", "-n1", tmp_path / "out.csv"], capture_output=True, text=True).stdout
    assert last == "2499,3999,124.875\n"
    assert peak(tmp_path / "out.zarr") < 500_000
    with xr.open_zarr(tmp_path / "out.zarr") as ours:
        np.testing.assert_array_equal(ours["v"].values.ravel(), np.arange(10_000_000) % 1000 / 8)


def run_zarr2(script, *arguments):
    python = os.environ.get("UPWELL_PYTHON_ZARR2")
    if not python:
        pytest.skip("no environment with zarr 2")
    run = subprocess.run([python, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout


COMPARE = """
import sys, warnings
warnings.simplefilter("error")
import numpy as np, xarray as xr, zarr
a, b = xr.open_zarr(sys.argv[1]), xr.open_dataset(sys.argv[2])
assert set(a.variables) == set(b.variables), (set(a.variables), set(b.variables))
assert set(a.coords) == set(b.coords)
for name in b.variables:
    x, y = a[name], b[name]
    assert x.dims == y.dims and x.dtype == y.dtype, (name, x.dtype, y.dtype)
    np.testing.assert_array_equal(x.values, y.values, err_msg=name)
    assert {k: str(v) for k, v in x.attrs.items()} == {k: str(v) for k, v in y.attrs.items()}, name
    for k in ("units", "calendar", "coordinates", "grid_mapping"):
        assert x.encoding.get(k) == y.encoding.get(k), (name, k)
assert a.attrs == b.attrs
print(zarr.__version__)
"""


@pytest.mark.parametrize("reduce", ["time:mean", "lat,lon:max", "time:count"])
def test_zarr_is_the_netcdf(granules, tmp_path, reduce):
    options = ("--variables", "sst,ice,n")
    aggregate(granules, reduce, tmp_path / "out.nc", *options)
    aggregate(granules, reduce, tmp_path / "out.zarr", *options)
    assert run_zarr2(COMPARE, tmp_path / "out.zarr", tmp_path / "out.nc").startswith("2.")
    run = subprocess.run([os.sys.executable, "-c", COMPARE, tmp_path / "out.zarr", tmp_path / "out.nc"], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("3.")


def test_zarr_has_the_chunks_of_the_netcdf(tmp_path):
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as f:
        for name, size in (("time", 2), ("y", 500), ("x", 777)):
            f.createDimension(name, size)
        v = f.createVariable("v", "f8", ("time", "y", "x"), chunksizes=(1, 200, 300))
        v[:] = np.arange(777_000).reshape(2, 500, 777)
    for name in ("out.nc", "out.zarr"):
        aggregate(tmp_path / "in.nc", "time:max", tmp_path / name)
    with netCDF4.Dataset(tmp_path / "out.nc") as f:
        chunks = f["v"].chunking()
    document = json.loads((tmp_path / "out.zarr/v/.zarray").read_text())
    assert document["chunks"] == chunks == [200, 300] and document["compressor"]["id"] == "blosc"
    with xr.open_zarr(tmp_path / "out.zarr") as ours:
        np.testing.assert_array_equal(ours["v"].values, np.arange(388_500, 777_000).reshape(500, 777))
    # Upwell reads it, too.
    upwell("read", tmp_path / "out.zarr", "v", "-o", tmp_path / "back.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "back.npy"), np.arange(388_500, 777_000).reshape(500, 777))


def test_zarr_keeps_texts(tmp_path):
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as f:
        for name, size in (("time", 2), ("station", 3), ("nchar", 4)):
            f.createDimension(name, size)
        f.createVariable("station", str, ("station",))[:] = np.array(["a", "", "größer"], object)
        code = f.createVariable("code", "S1", ("station", "nchar"))
        code[:] = netCDF4.stringtochar(np.array(["ab", "c", "defg"], "S4"))
        v = f.createVariable("v", "f4", ("time", "station"))
        v.coordinates = "code"
        v[:] = 1
    aggregate(tmp_path / "in.nc", "time:max", tmp_path / "out.zarr")
    show = "import sys, xarray as xr; d = xr.open_zarr(sys.argv[1]); print([str(s) for s in d.station.values], [bytes(c).decode() for c in d.code.values])"
    expected = "['a', '', 'größer'] ['ab', 'c', 'defg']\n"
    assert run_zarr2(show, tmp_path / "out.zarr") == expected
    assert subprocess.run([os.sys.executable, "-W", "ignore", "-c", show, tmp_path / "out.zarr"], capture_output=True, text=True, timeout=120).stdout == expected


def test_outputs_are_whole_or_not_there(granules, tmp_path):
    """A run that fails, and one that is interrupted, leave nothing; a store is replaced as a whole, a directory of something else is not."""
    broken = tmp_path / "broken.nc"
    broken.write_bytes(granules[1].read_bytes()[:-2000])
    (tmp_path / "work").mkdir()
    for name in ("out.csv", "out.zarr", "out.nc"):
        upwell("aggregate", granules[0], broken, "--variables", "sst,big", "--reduce", "time:mean", "-o", tmp_path / "work" / name, status=65)
    assert list((tmp_path / "work").iterdir()) == []

    store = tmp_path / "store.zarr"
    aggregate(granules, "time:mean", store, "--variables", "sst,ice")
    aggregate(granules, "time:max", store, "--variables", "ice")
    with xr.open_zarr(store) as ours:
        assert "sst" not in ours and ours["ice"].attrs["cell_methods"].endswith("maximum")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []

    other = tmp_path / "other.zarr"
    other.mkdir()
    (other / "letters.txt").write_text("kept")
    run = aggregate(granules, "time:mean", other, status=73)
    assert "is no Zarr store" in run.stderr and (other / "letters.txt").read_text() == "kept"


def test_a_killed_run_leaves_the_store_that_was_there(tmp_path):
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as f:
        for name, size in (("time", 2), ("y", 3000), ("x", 4000)):
            f.createDimension(name, size)
        v = f.createVariable("v", "f8", ("time", "y", "x"), zlib=True, complevel=1, chunksizes=(1, 100, 100))
        for t in range(2):
            v[t] = np.random.default_rng(t).random((3000, 4000))
    store = tmp_path / "out.zarr"
    aggregate(tmp_path / "in.nc", "time:max", store, "--isel", "y=0:10")
    before = {p.relative_to(store): p.read_bytes() for p in store.rglob("*") if p.is_file()}
    command = [os.environ.get("UPWELL", "build/release/bin/upwell"), "aggregate", str(tmp_path / "in.nc"), "--reduce", "time:mean", "-o", str(store)]
    killed = 0
    for delay in (0.05, 0.15, 0.3, 0.5, 0.8):
        run = subprocess.Popen(command)
        time.sleep(delay)
        run.send_signal(signal.SIGKILL)
        if run.wait(timeout=60) == -signal.SIGKILL:
            killed += 1
            assert {p.relative_to(store): p.read_bytes() for p in store.rglob("*") if p.is_file()} == before
        else:
            break
    assert killed > 0


@pytest.mark.parametrize("name", ["out.jpg", "out.tif", "out", "out.zarr.zip"])
def test_other_endings_are_refused(granules, tmp_path, name):
    run = aggregate(granules, "time:mean", tmp_path / name, status=64)
    assert ".csv" in run.stderr and ".zarr" in run.stderr


@pytest.mark.parametrize("sizes", [(300, 2, 400), (1, 2, 90000), (90000, 2, 1)], ids=str)
def test_a_table_of_variables_whose_dimensions_come_in_another_order(tmp_path, sizes):
    """More cells than are read at once, in either order."""
    rng = np.random.default_rng(3)
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as f:
        for name, size in zip(("time", "y", "x"), sizes):
            f.createDimension(name, size)
        for name, dims in (("a", ("time", "y", "x")), ("b", ("x", "y", "time")), ("c", ("y", "x"))):
            v = f.createVariable(name, "f4", dims)
            v[:] = rng.standard_normal(v.shape)
    upwell("aggregate", tmp_path / "in.nc", "--reduce", "y:max", "-o", tmp_path / "out.csv")
    upwell("aggregate", tmp_path / "in.nc", "--reduce", "y:max", "-o", tmp_path / "out.nc")
    table = np.loadtxt(tmp_path / "out.csv", delimiter=",", skiprows=1)
    with netCDF4.Dataset(tmp_path / "out.nc") as f:
        a, b, c = (f[name][:] for name in "abc")
    time, x = np.indices(a.shape)
    want = np.stack([time, x, a, b.T, np.broadcast_to(c, a.shape)], -1).reshape(-1, 5)
    np.testing.assert_array_equal(table.astype("f4"), want.astype("f4"))

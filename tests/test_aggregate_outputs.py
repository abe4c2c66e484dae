"""upwell aggregate -o: tables hold what the netCDF output holds."""

import csv
import io
import os
import subprocess

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
        run = subprocess.run(["/usr/bin/time", "-f", "%M", os.environ.get("UPWELL", "build/release/bin/upwell"), "aggregate", str(tmp_path / "in.nc"),
                              "--reduce", "time:mean", "-o", str(out)], capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stderr
        return int(run.stderr.split()[-1])

    assert peak(tmp_path / "out.csv") < peak(tmp_path / "out.nc") + 60_000
    last = subprocess.run(["tail", "-n1", tmp_path / "out.csv"], capture_output=True, text=True).stdout
    assert last == "2499,3999,124.875\n"


@pytest.mark.parametrize("name", ["out.png", "out.tif", "out", "out.zarr.zip"])
def test_other_endings_are_refused(granules, tmp_path, name):
    run = aggregate(granules, "time:mean", tmp_path / name, status=64)
    assert ".csv" in run.stderr

"""Variables of netCDF-4 that are shorter than their unlimited dimension are as long as netCDF-C shows them.

The truth is netCDF4-python, element by element: whole boxes netCDF-C gives wrongly where an inner axis is short.
"""

import datetime
import itertools
import json

import netCDF4
import numpy as np
import pytest
import xarray as xr

from test_cli import upwell
from test_serve import serving


def make(path, start=0, length=5):
    with netCDF4.Dataset(path, "w") as nc:
        nc.createDimension("time", None)
        nc.createDimension("x", 3)
        nc.createDimension("run", None)
        t = nc.createVariable("time", "f8", ("time",), chunksizes=(2,))
        t.units = "days since 2000-01-01"
        t[:] = start + np.arange(length)

        def add(name, dtype, dimensions, written, chunks, **options):
            v = nc.createVariable(name, dtype, dimensions, chunksizes=chunks, **options)
            v[tuple(slice(0, n) for n in written)] = start + np.arange(np.prod(written)).reshape(written)

        add("full", "f4", ("time", "x"), (length, 3), (1, 3))
        add("on_grid", "i2", ("time", "x"), (length - 2, 3), (1, 3), fill_value=-7)
        add("cut", "f4", ("time", "x"), (length - 2, 3), (2, 3), zlib=True)
        add("nothing", "i4", ("time",), (0,), (4,))
        add("inner", "i4", ("x", "time"), (3, length - 3), (2, 2))
        add("no_fill", "f8", ("time",), (length - 3,), (2,), fill_value=False)
        add("both", "i4", ("time", "run"), (length - 1, 4), (2, 2))
        group = nc.createGroup("deep").createGroup("er")
        v = group.createVariable("short", "u1", ("time", "run"), chunksizes=(2, 3))
        v[:2, :2] = 9
    return path


def truth_of(path):
    found = {}
    with netCDF4.Dataset(path) as nc:
        nc.set_auto_maskandscale(False)

        def walk(group, prefix):
            for name, v in group.variables.items():
                values = np.empty(v.shape, v.dtype)
                for at in itertools.product(*map(range, v.shape)):
                    values[at] = v[at]
                found[prefix + name] = values
            for name, child in group.groups.items():
                walk(child, f"{prefix}{name}/")

        walk(nc, "")
    return found


def assert_identical(ours, theirs, name):
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape, name
    np.testing.assert_array_equal(ours, theirs, err_msg=name)


def read(source, name, folder, *arguments):
    upwell("read", source, name, "--raw", *arguments, "-o", folder / "v.npy")
    return np.load(folder / "v.npy")


@pytest.fixture
def granule(tmp_path):
    return make(tmp_path / "a.nc")


def test_read_and_info(granule, tmp_path):
    truth = truth_of(granule)
    assert truth["both"].shape == (5, 4) and (truth["no_fill"][2:] > 9e36).all()
    for name, values in truth.items():
        assert_identical(read(granule, name, tmp_path), values, name)
        assert_identical(read(granule, name, tmp_path, "--isel", "time=-2:"),
                         np.take(values, [-2, -1], 1 if name == "inner" else 0), name)
    arrays = json.loads(upwell("info", granule, "--json").stdout)["root"]["arrays"]
    assert {a["name"]: tuple(a["shape"]) for a in arrays} == {n: v.shape for n, v in truth.items() if "/" not in n}


@pytest.mark.parametrize("version", [2, 3])
def test_serve(granule, version):
    with serving(granule) as (server, _):
        ours = xr.open_datatree(f"{server}/datasets/a/zarr", engine="zarr", zarr_format=version, consolidated=True,
                                decode_cf=False)
        for name, values in truth_of(granule).items():
            np.testing.assert_array_equal(ours[name].values, values, err_msg=name)


def test_references_where_they_can_say_it(granule, tmp_path):
    """A last chunk that is cut holds something else than fill; whole chunks that are missing are fill."""
    large = ["--inline-threshold", "0"]  # as if the arrays were
    shorter = ["cut", "no_fill", "deep/er/short"]
    refused = upwell("virtualize", granule, "-o", tmp_path / "r.json", *large, status=65).stderr
    for name in shorter:
        assert f"/{name}: " in refused
    assert "3 of the 5 elements along time are stored" in refused and "--load cut" in refused
    drop = [f"--drop={name}" for name in shorter]
    upwell("virtualize", granule, "-o", tmp_path / "r.json", *large, *drop)
    truth = truth_of(granule)
    for name in ("on_grid", "nothing", "full", "inner", "both"):
        assert_identical(read(tmp_path / "r.json", name, tmp_path), truth[name], name)
    load = [f"--load={name}" for name in shorter]
    upwell("virtualize", granule, "-o", tmp_path / "l.json", *large, *load)
    for name in truth:
        assert_identical(read(tmp_path / "l.json", name, tmp_path), truth[name], name)


def test_many_granules_in_own_form(tmp_path):
    granules = [make(tmp_path / f"{i}.nc", 10 * i, 5 + i) for i in range(3)]
    store = tmp_path / "cube.upwell"
    upwell("virtualize", *granules, "-o", store, "--concat", "time", "--on-drift", "keep")
    truths = [truth_of(g) for g in granules]
    for name in truths[0]:
        expected = np.concatenate([t[name] for t in truths], 1 if name == "inner" else 0)
        assert_identical(read(store, name, tmp_path), expected, name)
    for command in (["verify", store, "--all"], ["doctor", store]):
        upwell(*command)
    last = make(tmp_path / "3.nc", 30, 9)
    upwell("append", store, last)
    upwell("verify", store, "--all")
    expected = np.concatenate([*(t["cut"] for t in truths), truth_of(last)["cut"]])
    assert_identical(read(store, "cut", tmp_path), expected, "cut")
    dates = upwell("read", store, "full", "--sel", f"time={datetime.date(2000, 1, 31)}", "-o", "-").stdout
    assert len(dates.splitlines()) == 4

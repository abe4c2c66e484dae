"""upwell aggregate --rolling, against xarray's rolling (without bottleneck, whose running sums lose digits)."""

import json

import netCDF4
import numpy as np
import pytest
import xarray as xr

from test_aggregate import granules  # noqa: F401
from test_aggregate_refined import ORDERS, aggregate, check, write_layout
from test_own_form import upwell

WINDOWS = [(1, {}), (2, {}), (5, {}), (5, {"center": True}), (6, {"center": True}), (6, {"center": True, "min_periods": 2}), (7, {"min_periods": 1}),
           (60, {}), (100, {"min_periods": 3}), (100, {"center": True, "min_periods": 60})]


def rolled(array, dim, window, function, how):
    if function == "count":
        return array.rolling({dim: window}, **how).count()
    if function in ("min", "max"):
        return getattr(array.rolling({dim: window}, **how), function)()
    array = array.astype("f8")
    if function in ("median", "p90"):
        least = how.get("min_periods", window)
        windows = array.rolling({dim: window}, center=how.get("center", False)).construct("window")
        return windows.quantile(0.5 if function == "median" else 0.9, "window").drop_vars("quantile").where(windows.count("window") >= least)
    return getattr(array.rolling({dim: window}, **how), function)()


def options(how):
    return [*(["--center"] if how.get("center") else []), *(["--min-periods", how["min_periods"]] if "min_periods" in how else [])]


def peak_memory(run):
    """In MB."""
    return json.loads(run.stderr.splitlines()[-1])["peak_memory_bytes"] / 1e6


@pytest.mark.parametrize("window, how", WINDOWS, ids=str)
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "-".join(order))
def test_any_window_of_any_layout(tmp_path, order, window, how):
    rng = np.random.default_rng(window + len(how))
    write_layout(tmp_path / "in.nc", order, np.arange(60) * 200.0, window % 2 == 0, rng)
    with xr.open_dataset(tmp_path / "in.nc") as dataset:
        dataset.load()
    for function in ("mean", "sum", "min", "max", "count", "std", "var", "median", "p90"):
        dim = rng.choice(["time", "time", "lat", "lon"])
        where = ("--where", "m > 0") if rng.random() < 0.5 else ()
        parts = [{}, {"lat": slice(1, 12, 3), "time": slice(2, 55, 2)}]
        isel = parts[rng.integers(0, 2)]
        if how.get("min_periods", window) > dataset.isel(isel).sizes[dim]:
            dim, isel = "time", {}
        if how.get("min_periods", window) > 60:
            continue
        text = ",".join(f"{d}={s.start}:{s.stop}:{s.step}" for d, s in isel.items())
        ours = aggregate([tmp_path / "in.nc"], tmp_path / "out.nc", "--variables", "a,i", "--reduce", f"{dim}:{function}", "--rolling", f"{dim}={window}",
                         *options(how), *where, "--memory", rng.choice(["300kB", "3MB", "1GB"]), *(("--isel", text) if text else ()))
        chosen = dataset.isel(isel)
        for name in ("a", "i"):
            array = chosen[name].where(chosen.m > 0).transpose(*chosen[name].dims) if where else chosen[name]
            theirs = rolled(array, dim, window, function, how).transpose(*array.dims)
            check(ours[name], theirs, function)
            assert ours[name].dtype == theirs.dtype, (function, name)


@pytest.mark.parametrize("function", ["mean", "max"])
def test_over_granules_with_their_coordinates(granules, tmp_path, function):  # noqa: F811
    ours = aggregate(granules, tmp_path / "out.nc", "--variables", "sst,ice", "--reduce", f"time:{function}", "--rolling", "time=3")
    with xr.open_mfdataset(granules, combine="nested", concat_dim="time", data_vars="minimal", coords="minimal", compat="override") as dataset:
        dataset.load()
    for name in ("sst", "ice"):
        check(ours[name], rolled(dataset[name], "time", 3, function, {}), function)
    with xr.open_dataset(tmp_path / "out.nc") as decoded:
        assert np.array_equal(decoded.time, dataset.time) and np.array_equal(decoded.lat, dataset.lat)
    assert "in windows of 3" in ours.sst.attrs["cell_methods"] and "windows of 3 elements of time" in ours.sst.attrs["comment"]


def test_every_output(granules, tmp_path):  # noqa: F811
    what = (*granules, "--variables", "sst", "--reduce", "time:mean", "--rolling", "time=3", "--min-periods", "1")
    truth = aggregate(what[:-8], tmp_path / "out.nc", *what[-8:])
    upwell("aggregate", *what, "-o", tmp_path / "out.zarr")
    with xr.open_zarr(tmp_path / "out.zarr", decode_times=False) as dataset:
        xr.testing.assert_equal(dataset.sst.load(), truth.sst)
    upwell("aggregate", *what, "-o", tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert len(lines) == truth.sst.size + 1
    column = lines[0].split(",").index("sst [K]")
    values = [line.split(",")[column] for line in lines[1:]]
    assert np.array_equal([float(v) if v else np.nan for v in values], truth.sst.values.ravel(), equal_nan=True)
    upwell("aggregate", *what, "--isel", "lat=3,lon=4", "-o", tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("storage", [{"chunksizes": (1, 300, 400), "zlib": True}, {"contiguous": True}, {"chunksizes": (400, 3, 4), "zlib": True}], ids=str)
def test_memory_holds_a_window_and_not_the_axis(tmp_path, storage):
    """192 MB of values in 40 MB."""
    rng = np.random.default_rng(1)
    values = rng.standard_normal((400, 300, 400)).astype("f4")
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as f:
        for name, size in zip(("time", "y", "x"), values.shape):
            f.createDimension(name, size)
        f.createVariable("v", "f4", ("time", "y", "x"), **storage)[:] = values
    run = upwell("aggregate", tmp_path / "in.nc", "--reduce", "time:mean", "--rolling", "time=12", "--memory", "40MB", "-o", tmp_path / "out.nc", "--stats")
    assert peak_memory(run) < 40 + 60
    with xr.open_dataset(tmp_path / "out.nc") as ours:
        theirs = np.lib.stride_tricks.sliding_window_view(values[:, 7, 9].astype("f8"), 12).mean(-1)
        np.testing.assert_allclose(ours.v[11:, 7, 9], theirs, rtol=1e-12, atol=1e-12)
        assert np.isnan(ours.v[:11]).all() and not np.isnan(ours.v[11:]).any()


@pytest.mark.parametrize("arguments, words", [
    (("--rolling", "time"), ["DIMENSION=N"]),
    (("--rolling", "time=0"), ["DIMENSION=N"]),
    (("--rolling", "time=-3"), ["DIMENSION=N"]),
    (("--rolling", "=3"), ["DIMENSION=N"]),
    (("--rolling", ""), ["DIMENSION=N"]),
    (("--rolling", "lat=3"), ["over 'lat' alone"]),
    (("--rolling", "time=3", "--reduce", "time,lat:mean"), ["over 'time' alone"]),
    (("--rolling", "time=3", "--group-by", "time.year"), ["without --group-by"]),
    (("--rolling", "time=3", "--weights", "area"), ["without"]),
    (("--rolling", "time=3", "--min-periods", "4"), ["from 1 to the window"]),
    (("--rolling", "time=3", "--min-periods", "0"), ["from 1 to the window"]),
    (("--rolling", "time=500"), ["never have the 500 values"]),
    (("--center",), ["go with --rolling"]),
    (("--min-periods", "2"), ["go with --rolling"]),
])
def test_mistakes(granules, tmp_path, arguments, words):  # noqa: F811
    reduce = () if "--reduce" in arguments else ("--reduce", "time:mean")
    run = upwell("aggregate", *granules, "--variables", "sst", *reduce, *arguments, "-o", tmp_path / "out.nc", status=64)
    for word in words:
        assert word in run.stderr, run.stderr
    assert not (tmp_path / "out.nc").exists()

"""upwell aggregate where numbers, memory and names are hard: digits, limits, units, what is left out."""

import json
import math
import re

import netCDF4
import numpy as np
import pytest
import xarray as xr

from http_servers import serving_files
from test_own_form import upwell


def write_series(path, values, chunks, name="v", **attributes):
    values = np.asarray(values)
    with netCDF4.Dataset(path, "w") as f:
        for axis, size in zip(("time", "y", "x"), values.shape):
            f.createDimension(axis, size)
        v = f.createVariable(name, values.dtype, ("time", "y", "x")[:values.ndim], chunksizes=chunks, zlib=chunks is not None)
        v.setncatts(attributes)
        v[:] = values
    return path


def reduced(source, function, tmp_path, *options, dims="time", name="v"):
    out = tmp_path / "out.nc"
    upwell("aggregate", source, "--variables", name, "--reduce", f"{dims}:{function}", *options, "-o", out)
    with xr.open_dataset(out, decode_times=False) as f:
        return f[name].load()


@pytest.mark.parametrize("offset", [0.0, 1e8, -3e12])
def test_a_spread_keeps_its_digits_beside_a_large_offset(tmp_path, offset):
    rng = np.random.default_rng(1)
    # Multiples of 2^-10, so that values beside the offset are exact.
    values = offset + np.round(rng.standard_normal((5000, 1, 3)) * 1024) / 1024
    source = write_series(tmp_path / "a.nc", values, (37, 1, 3))
    want = (values - offset).std(axis=0)
    np.testing.assert_allclose(reduced(source, "std", tmp_path), want, rtol=1e-9)
    np.testing.assert_allclose(reduced(source, "var", tmp_path, "--ddof", "1"), (values - offset).var(axis=0, ddof=1), rtol=1e-9)


@pytest.mark.parametrize("place", [0, 1, 2500, 4999])
def test_a_spread_with_an_outlier_in_any_place(tmp_path, place):
    values = np.random.default_rng(2).standard_normal((5000, 1, 2))
    values[place, 0, 0] = 1e12
    got = reduced(write_series(tmp_path / "a.nc", values, (64, 1, 2)), "std", tmp_path)
    exact = [math.sqrt(math.fsum((v - math.fsum(column) / 5000) ** 2 for v in column) / 5000)
             for column in (values[:, 0, 0].tolist(), values[:, 0, 1].tolist())]
    np.testing.assert_allclose(got[0], exact, rtol=1e-12)


@pytest.mark.parametrize("chunk", [100, 1000, 300000])
def test_long_sums_keep_their_digits(tmp_path, chunk):
    """A plain sum of as many is wrong by 4e-12."""
    values = np.full((600000, 1, 1), 0.1)
    values[::2] += 1e6
    source = write_series(tmp_path / "a.nc", values, (chunk, 1, 1))
    exact = math.fsum(values.ravel().tolist())
    assert abs(float(reduced(source, "sum", tmp_path).squeeze()) / exact - 1) < 1e-14
    assert abs(float(reduced(source, "mean", tmp_path).squeeze()) / (exact / values.size) - 1) < 1e-14


def test_totals_that_memory_cannot_hold(tmp_path):
    source = write_series(tmp_path / "a.nc", np.zeros((2, 700, 700), "f4"), (1, 700, 700))
    out = tmp_path / "out.nc"
    run = upwell("aggregate", source, "--reduce", "time:std", "--memory", "7MB", "-o", out, status=64)
    assert "need" in run.stderr and " MB, more than the 7 MB that memory was limited to" in run.stderr and "v: " in run.stderr
    assert not out.exists()
    upwell("aggregate", source, "--reduce", "time:std", "--memory", "100MB", "-o", out)


def test_a_chunk_that_memory_cannot_hold(tmp_path):
    source = write_series(tmp_path / "a.nc", np.zeros((64, 256, 256), "f4"), (64, 256, 256))
    out = tmp_path / "out.nc"
    run = upwell("aggregate", source, "--reduce", "time,y,x:mean", "--memory", "20MB", "-o", out, status=64)
    assert "v: one chunk of 64 x 256 x 256 elements takes 17 MB" in run.stderr
    assert "more than the 20 MB that memory was limited to" in run.stderr and not out.exists()
    upwell("aggregate", source, "--reduce", "time,y,x:mean", "--memory", "60MB", "-o", out)
    # What is not encoded is read in parts.
    plain = write_series(tmp_path / "b.nc", np.ones((64, 256, 256), "f4"), None)
    upwell("aggregate", plain, "--reduce", "time,y,x:mean", "--memory", "20MB", "-o", out)


def peak_memory(source, tmp_path, *options):
    run = upwell("aggregate", source, "--variables", "v", *options, "-o", tmp_path / "out.nc", "--stats")
    return json.loads(run.stderr.splitlines()[-1])["peak_memory_bytes"] / 1e6


def test_a_median_of_few_cells_takes_what_its_values_take(tmp_path):
    """Ten million values of 4 bytes in one cell, in nine, and in as many as memory lets there be."""
    values = np.random.default_rng(5).standard_normal((10_000_000, 1, 1)).astype("f4")
    source = write_series(tmp_path / "a.nc", values, (500_000, 1, 1))
    assert peak_memory(source, tmp_path, "--reduce", "time:median", "--memory", "100MB") < 110
    with xr.open_dataset(tmp_path / "out.nc") as f:
        assert float(f.v[0, 0]) == np.float64(np.median(values.astype("f8")))
    source = write_series(tmp_path / "b.nc", values[:9_999_999].reshape(-1, 3, 3), (50_000, 3, 3))
    assert peak_memory(source, tmp_path, "--reduce", "time:p25", "--memory", "50MB") < 80
    with xr.open_dataset(tmp_path / "out.nc") as f:
        np.testing.assert_array_equal(f.v, np.quantile(values[:9_999_999].reshape(-1, 3, 3).astype("f8"), 0.25, axis=0))


@pytest.mark.parametrize("chunks", [(100, 64, 64), None])
def test_conditions_within_memory(tmp_path, chunks):
    """They are in memory with what they are of: parts are planned for both. What is not encoded is read in parts."""
    values = np.random.default_rng(6).standard_normal((1000, 64, 64)).astype("f4")
    source = write_series(tmp_path / "a.nc", values, chunks)
    kept = np.where(values > 0, values, np.nan).astype("f8")
    for reduce, want in (("time:median", np.nanmedian(kept, 0)), ("time,y,x:mean", np.nanmean(kept)), ("time:std", np.nanstd(kept, 0))):
        assert peak_memory(source, tmp_path, "--reduce", reduce, "--where", "v > 0", "--memory", "24MB") < 24 + 40
        with xr.open_dataset(tmp_path / "out.nc") as f:
            np.testing.assert_allclose(f.v, want, rtol=1e-12)


def test_chunks_of_a_condition_count(tmp_path):
    """One of 42 MB, beside data in small ones."""
    source = write_series(tmp_path / "a.nc", np.ones((160, 256, 256), "f4"), (1, 256, 256))
    with netCDF4.Dataset(source, "a") as f:
        m = f.createVariable("m", "f4", ("time", "y", "x"), chunksizes=(160, 256, 256), zlib=True)
        m[:] = np.random.default_rng(8).standard_normal(m.shape)
    what = ("aggregate", source, "--variables", "v", "--reduce", "time:sum", "--where", "m > 0", "-o", tmp_path / "out.nc", "--memory")
    assert "m: one chunk of 160 x 256 x 256 elements" in upwell(*what, "60MB", status=64).stderr
    assert peak_memory(source, tmp_path, "--reduce", "time:sum", "--where", "m > 0", "--memory", "200MB") < 230


def write_days(path, chunk, side=75, days=730):
    with netCDF4.Dataset(path, "w") as f:
        for axis, size in (("time", days), ("y", side), ("x", side)):
            f.createDimension(axis, size)
        time = f.createVariable("time", "i4", ("time",))
        time.units, time[:] = "days since 2001-01-01", np.arange(days)
        v = f.createVariable("v", "f4", ("time", "y", "x"), chunksizes=(chunk, side, side), zlib=True)
        v[:] = np.random.default_rng(7).integers(0, 100, (days, side, side))
    return path


@pytest.mark.parametrize("chunk, memory, most", [(1, "1MB", 1.01), (10, "1MB", 1.8), (40, "4MB", 4)])
def test_groups_that_memory_does_not_hold_at_once(tmp_path, chunk, memory, most):
    """Chunks without a day of a batch's months are not decoded for it."""
    source = write_days(tmp_path / "in.nc", chunk)
    asked = []
    for memory in ("1GB", memory):
        run = upwell("aggregate", source, "--variables", "v", "--reduce", "time:mean", "--group-by", "time.month", "--memory", memory, "-o",
                     tmp_path / f"{memory}.nc", "--stats")
        asked.append(json.loads(run.stderr.splitlines()[-1])["bytes_asked"])
    assert 0.99 * asked[0] < asked[1] < most * asked[0], asked
    with xr.open_dataset(tmp_path / "1GB.nc") as a, xr.open_dataset(tmp_path / f"{memory}.nc") as b, xr.open_dataset(source) as dataset:
        np.testing.assert_array_equal(a.v, b.v)
        np.testing.assert_allclose(a.v, dataset.v.astype("f8").groupby("time.month").mean("time"), rtol=1e-12)


@pytest.mark.parametrize("options", [("--reduce", "time:mean", "--group-by", "time.month", "--memory", "6MB"),
                                     ("--reduce", "time:median", "--memory", "6MB"),
                                     ("--reduce", "time:max", "--rolling", "time=40", "--memory", "6MB")], ids=lambda o: o[1])
def test_the_budget_counts_what_is_read_again(tmp_path, options):
    """Memory holds a part at a time, so chunks are fetched more than once: that is refused before, and what was planned suffices."""
    write_days(tmp_path / "in.nc", 15, side=150, days=365)
    size = (tmp_path / "in.nc").stat().st_size
    with serving_files(tmp_path) as url:
        what = ("aggregate", f"{url}/in.nc", "--variables", "v", *options, "-o", tmp_path / "out.nc", "--index-cache", "none", "--stats", "--budget")
        fetched = json.loads(upwell(*what, int(1.1 * size)).stderr.splitlines()[-1])["bytes_fetched"]
        assert fetched < 1.1 * size, "from the cache the second time"
        what = (*what[:-1], "--cache-size", "2MB", "--budget")
        refused = upwell(*what, int(1.3 * size), status=64)
        assert "over budget: reading v takes " in refused.stderr
        assert json.loads(refused.stderr.splitlines()[-1])["bytes_fetched"] < size / 20
        planned = re.search(r"reading v takes ([\d.]+) MB", refused.stderr)
        fetched = json.loads(upwell(*what, "1GB").stderr.splitlines()[-1])["bytes_fetched"]
        assert 1.3 * size < fetched < 1.05e6 * float(planned[1]), (size, fetched, planned[0])


@pytest.mark.parametrize("option, word", [("--ddof=-1", "must not be negative"), ("--memory=0", "must be more than 0")])
def test_numbers_that_make_no_sense(tmp_path, option, word):
    source = write_series(tmp_path / "a.nc", np.zeros((2, 3, 4), "f4"), (1, 3, 4))
    run = upwell("aggregate", source, "--reduce", "time:std", option, "-o", tmp_path / "out.nc", status=64)
    assert option[:6] in run.stderr and word in run.stderr
    assert not (tmp_path / "out.nc").exists()


def test_units_of_times(tmp_path):
    """A spread of instants is a duration; they have a mean, but no sum."""
    days = np.arange(6, dtype="f8").reshape(6, 1, 1) + np.zeros((6, 2, 2))
    source = write_series(tmp_path / "a.nc", days, (2, 2, 2), units="days since 2000-01-01", calendar="noleap")
    std = reduced(source, "std", tmp_path)
    assert std.units == "days" and "calendar" not in std.attrs
    np.testing.assert_allclose(std, days.std(axis=0))
    assert reduced(source, "var", tmp_path).units == "days2"
    mean = reduced(source, "mean", tmp_path)
    assert mean.units == "days since 2000-01-01" and mean.calendar == "noleap"
    run = upwell("aggregate", source, "--variables", "v", "--reduce", "time:sum", "-o", tmp_path / "s.nc", status=64)
    assert "/v holds instants, of which there is no sum" in run.stderr and not (tmp_path / "s.nc").exists()


def write_mixed(path, day):
    """v; flags in three ways; a variable without time; variables in groups."""
    with netCDF4.Dataset(path, "w") as f:
        for name, size in (("time", None), ("y", 3), ("x", 4)):
            f.createDimension(name, size)
        time = f.createVariable("time", "i4", ("time",))
        time.units = "days since 2000-01-01"
        time[:] = [day]
        f.createVariable("v", "f4", ("time", "y", "x"))[:] = day
        f.createVariable("depth", "f4", ("y", "x"))[:] = 7
        f.createVariable("when", "f8", ("time", "y", "x")).units = "days since 2000-01-01"
        f["when"][:] = day
        for name, attribute, value in (("kind", "flag_values", np.array([0, 1], "i1")), ("bits", "flag_masks", np.array([1, 2], "i1")),
                                       ("words", "flag_meanings", "good bad")):
            f.createVariable(name, "i1", ("time", "y", "x")).setncattr(attribute, value)
            f[name][:] = day % 2
        f.createGroup("deep").createVariable("w", "f4", ("time", "y", "x"))[:] = 2 * day
        f.createGroup("still").createVariable("u", "f4", ("y", "x"))[:] = 3
    return path


@pytest.mark.parametrize("joined", [False, True])
def test_what_is_left_out_is_named(tmp_path, joined):
    paths = [write_mixed(tmp_path / f"{day}.nc", day) for day in range(4)]
    sources = paths
    if joined:
        sources = [tmp_path / "cube.json"]
        upwell("virtualize", *paths, "-o", sources[0])
    out = tmp_path / "out.nc"
    run = upwell("aggregate", *sources, "--reduce", "time:mean", "-o", out)
    assert "warning: left out, as they hold flags: /kind, /bits, /words (name them with --variables)" in run.stderr
    assert "note: left out, without the dimension time: /depth, /still/u" in run.stderr
    assert "note: written without their groups: /deep/w" in run.stderr
    with netCDF4.Dataset(out) as f:
        assert set(f.variables) == {"v", "when", "w"} and (f["w"][:] == 3).all()
    run = upwell("aggregate", *sources, "--reduce", "time:max", "--variables", "kind,v", "-o", out)
    assert "left out" not in run.stderr
    with netCDF4.Dataset(out) as f:
        assert f["kind"].dtype == np.int8 and f["kind"].flag_values.dtype == np.int8
    run = upwell("aggregate", *sources, "--reduce", "time:sum", "-o", out)
    assert "note: /when holds instants, of which there is no sum: left out" in run.stderr
    run = upwell("aggregate", *sources, "--reduce", "time:mean", "--sel", "x=1", "-o", out, status=64)
    assert "x" in run.stderr

"""upwell aggregate where numbers, memory and names are hard: digits, limits, units, what is left out."""

import math

import netCDF4
import numpy as np
import pytest
import xarray as xr

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

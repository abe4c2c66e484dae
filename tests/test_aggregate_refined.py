"""upwell aggregate with conditions, groups, quantiles and weights, against xarray on the same granules."""

import netCDF4
import numpy as np
import pytest
import xarray as xr

from test_aggregate import LAT, write_granule
from test_own_form import upwell

DAYS = (0, 5, 31, 59, 60, 200, 330, 364, 365, 366, 396, 730, 731, 760, 1000, 1095)


@pytest.fixture(scope="module")
def granules(tmp_path_factory):
    """Of one to three days each, over four years; with a condition that lacks time, and areas with a gap."""
    directory = tmp_path_factory.mktemp("refined")
    paths = []
    for i, day in enumerate(DAYS):
        path = write_granule(directory / f"g{day:04d}.nc", day, length=1 + (i % 3 if day in (5, 200, 1000) else 0))
        with netCDF4.Dataset(path, "a") as f:
            depth = f.createVariable("depth", "i4", ("lat",))
            depth.units = "km"
            depth[:] = np.arange(LAT)
            cell = f.createVariable("cell", "f4", ("lon", "lat"))
            cell.units = "mm.day**-1"
            cell[:] = np.arange(33)[:, None] + 10 * np.arange(LAT)[None, :]
            share = f.createVariable("share", "i1", ("time", "lat", "lon"), fill_value=np.int8(-128), chunksizes=(1, 20, 11), zlib=True)
            share.scale_factor, share.add_offset, share.units = 0.01, 0.0, "1"
            share.set_auto_maskandscale(False)
            rng = np.random.default_rng(1000 + day)
            share[:] = np.where(rng.random(share.shape) < 0.3, -128, rng.integers(0, 101, share.shape))
        paths.append(path)
    return paths


@pytest.fixture(scope="module")
def truth(granules):
    with xr.open_mfdataset(granules, combine="nested", concat_dim="time", data_vars="minimal", coords="minimal", compat="override") as dataset:
        return dataset.load()


def aggregate(granules, out, *options):
    upwell("aggregate", *granules, *options, "-o", out)
    with xr.open_dataset(out, decode_times=False) as dataset:
        return dataset.load()


def check(ours, theirs, function):
    assert ours.dims == theirs.dims, (ours.dims, theirs.dims)
    ours, theirs = ours.values, theirs.values
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    if function in ("min", "max", "count"):
        assert np.array_equal(ours, theirs, equal_nan=True)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def reduced(array, function, dims):
    if function in ("min", "max", "count"):
        return getattr(array, function)(dims)
    if function == "median" or function[0] == "p":
        q = 0.5 if function == "median" else float(function[1:]) / 100
        return array.astype("f8").quantile(q, dims, skipna=True).drop_vars("quantile")
    return getattr(array.astype("f8"), function)(dims)


CONDITIONS = {
    "share < 0.15 or isnan(share)": lambda d: (d.share < 0.15) | np.isnan(d.share),
    "share <= 15 %": lambda d: d.share <= np.float32(0.15),
    "not share > 0.5 and sst > 18 degC": lambda d: ~(d.share > 0.5) & (d.sst > np.float32(291.15)),
    "n in (1, 2, 3) or 0 <= n < 500": lambda d: d.n.isin([1, 2, 3]) | ((d.n >= 0) & (d.n < 500)),
    "(u & 3) == 1 or cell > 100": lambda d: ((d.u.fillna(4).astype(int) & 3) == 1) | (d.cell > 100),
    "(n & 3) == 1 or cell > 100": lambda d: ((d.n & 3) == 1) | (d.cell > 100),
    "depth > 4000 m": lambda d: d.depth > 4,
    "cell > 17.5 'cm per day' or 1 'ft/week' <= cell < 1e-6 \"m s⁻¹\"": lambda d: (d.cell > 175) | ((d.cell >= 304.8 / 7) & (d.cell < 86.4)),
    "abs(sst - ice * 1) < 1.5": lambda d: abs(d.sst - d.ice * 1) < 1.5,
    "lat > 0": lambda d: d.lat > 0,
    "sst != sst": lambda d: d.sst != d.sst,
}


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("function", ["mean", "min", "count", "std"])
def test_conditions(granules, truth, tmp_path, condition, function):
    ours = aggregate(granules, tmp_path / "out.nc", "--variables", "sst,n", "--where", condition, "--reduce", f"time:{function}")
    for name in ("sst", "n"):
        check(ours[name], reduced(truth[name].where(CONDITIONS[condition](truth)), function, ["time"]), function)
    assert f"where {condition}" in ours.sst.attrs["comment"]


@pytest.mark.parametrize("dims", ["time", "lat,lon", "time,lat,lon", "lon"])
def test_conditions_over_any_dimensions_and_a_part(granules, truth, tmp_path, dims):
    ours = aggregate(granules, tmp_path / "out.nc", "--variables", "sst", "--where", "share < 0.3", "--reduce", f"{dims}:sum",
                     "--isel", "lat=3:17,time=1:12:2", "--sel", "lon=20:250")
    part = truth.isel(lat=slice(3, 17), time=slice(1, 12, 2)).sel(lon=slice(20, 250))
    check(ours.sst, reduced(part.sst.where(part.share < 0.3), "sum", dims.split(",")), "sum")


@pytest.mark.parametrize("part", ["year", "season", "month", "day", "dayofyear", "hour"])
@pytest.mark.parametrize("function", ["mean", "max", "median"])
def test_groups(granules, truth, tmp_path, part, function):
    ours = aggregate(granules, tmp_path / "out.nc", "--variables", "sst", "--reduce", f"time:{function}", "--group-by", f"time.{part}")
    groups = truth.sst.astype("f8") if function != "max" else truth.sst
    theirs = groups.groupby(f"time.{part}")
    theirs = theirs.median("time") if function == "median" else getattr(theirs, function)("time")
    assert list(ours[part].values) == list(theirs[part].values)
    check(ours.sst, theirs.transpose(part, "lat", "lon"), function)


@pytest.mark.parametrize("memory", ["8MB", "2GB"])
def test_groups_over_more_dimensions_in_any_memory(granules, truth, tmp_path, memory):
    ours = aggregate(granules, tmp_path / "out.nc", "--variables", "sst", "--reduce", "time,lon:sum", "--group-by", "time.month",
                     "--where", "share < 0.5", "--memory", memory)
    theirs = truth.sst.where(truth.share < 0.5).astype("f8").groupby("time.month").sum(["time", "lon"])
    check(ours.sst, theirs.transpose("month", "lat"), "sum")


@pytest.mark.parametrize("units", ["days since 1970-01-01", "days since 1990-01-01 01:00", "hours since 1800-01-01 01:00:00"])
@pytest.mark.parametrize("calendar", ["standard", "noleap"])
def test_times_that_no_double_holds(tmp_path, units, calendar):
    """Hours as parts of days: a third of them lies before the hour that is meant. At ends of months and years, too."""
    hours = 8760 * 24 + np.arange(-30, 800)
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as f:
        f.createDimension("time", len(hours))
        time = f.createVariable("time", "f8", ("time",))
        time.units, time.calendar = units, calendar
        time[:] = hours / 24 if units.startswith("days") else hours
        f.createVariable("v", "f8", ("time",))[:] = np.arange(len(hours))
    with xr.open_dataset(tmp_path / "in.nc", decode_times=xr.coders.CFDatetimeCoder(use_cftime=True)) as dataset:
        dataset.load()
    for part in ("hour", "day", "month", "year", "dayofyear"):
        ours = aggregate([tmp_path / "in.nc"], tmp_path / "out.nc", "--variables", "v", "--reduce", "time:sum", "--group-by", f"time.{part}")
        theirs = dataset.v.groupby(f"time.{part}").sum("time")
        assert list(ours[part].values) == list(theirs[part].values)
        check(ours.v, theirs, "sum")


def test_the_name_of_groups_is_taken(tmp_path):
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as f:
        for name, size in (("time", 4), ("month", 3)):
            f.createDimension(name, size)
        time = f.createVariable("time", "f8", ("time",))
        time.units = "days since 2000-01-01"
        time[:] = np.arange(4) * 20
        f.createVariable("v", "f4", ("time", "month"))[:] = 1
        f.createVariable("year", "f4", ("time",))[:] = 2
    reduce = ("--reduce", "time:mean", "-o", tmp_path / "out.nc")
    assert "has 'month' already" in upwell("aggregate", tmp_path / "in.nc", "--variables", "v", "--group-by", "time.month", *reduce, status=64).stderr
    assert "'year'" in upwell("aggregate", tmp_path / "in.nc", "--variables", "v,year", "--group-by", "time.year", *reduce, status=64).stderr
    assert "'year'" in upwell("aggregate", tmp_path / "in.nc", "--variables", "year", "--group-by", "time.year", *reduce, status=64).stderr
    assert not (tmp_path / "out.nc").exists()
    assert aggregate([tmp_path / "in.nc"], tmp_path / "out.nc", "--variables", "v", "--reduce", "time:mean", "--group-by", "time.year").v.shape == (1, 3)


def test_a_condition_on_longitudes_that_a_box_counts_anew(tmp_path):
    """The grid is 0..345; across Greenwich the box makes -45 of 315, which `lon < 100` must not see."""
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as f:
        for name, size in (("time", 2), ("lon", 24)):
            f.createDimension(name, size)
        lon = f.createVariable("lon", "f8", ("lon",))
        lon.units, lon[:] = "degrees_east", np.arange(24) * 15
        f.createVariable("v", "f4", ("time", "lon"))[:] = 1
        lat = f.createVariable("lat", "f8", ())
        lat.units, lat[...] = "degrees_north", 10
    reduce = ("--variables", "v", "--reduce", "time:count", "-o", tmp_path / "out.nc", "--where", "lon < 100")
    run = upwell("aggregate", tmp_path / "in.nc", "--bbox=-50,-60,50,60", *reduce, status=64)
    assert "lon is not counted from -50" in run.stderr and not (tmp_path / "out.nc").exists()


@pytest.mark.parametrize("function", ["mean", "count", "sum", "max"])
def test_a_result_of_nothing_is_told(granules, tmp_path, function):
    reduce = (*granules[:3], "--variables", "sst", "--reduce", f"time:{function}", "-o", tmp_path / "out.nc")
    assert "the result holds nothing" in upwell("aggregate", *reduce, "--where", "sst < 20").stderr
    assert "the result holds nothing" not in upwell("aggregate", *reduce, "--where", "sst > 20").stderr


def test_medians_of_even_counts(tmp_path):
    rows = [[5, np.inf, np.inf, -np.inf], [-1.7e308, 1.7e308, np.nan, np.nan], [-1.0000000000000002, 1, np.nan, np.nan], [-0.3, 0.1 * 3, 4, -4],
            [np.inf, np.inf, 1, 2]]
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as f:
        f.createDimension("x", len(rows))
        f.createDimension("n", 4)
        f.createVariable("v", "f8", ("x", "n"))[:] = np.array(rows)
    ours = aggregate([tmp_path / "in.nc"], tmp_path / "out.nc", "--variables", "v", "--reduce", "n:median")
    np.testing.assert_array_equal(ours.v, np.nanmedian(np.array(rows), axis=1))


def test_times_in_another_calendar(tmp_path):
    paths = []
    for i in range(4):
        path = write_granule(tmp_path / f"g{i}.nc", 100 * i, length=100)
        with netCDF4.Dataset(path, "a") as f:
            f["time"].calendar = "360_day"
        paths.append(path)
    with xr.open_mfdataset(paths, combine="nested", concat_dim="time", data_vars="minimal", coords="minimal", compat="override",
                           decode_times=xr.coders.CFDatetimeCoder(use_cftime=True)) as dataset:
        truth = dataset.sst.load()
    for part in ("year", "month", "dayofyear"):
        ours = aggregate(paths, tmp_path / f"{part}.nc", "--variables", "sst", "--reduce", "time:min", "--group-by", f"time.{part}")
        theirs = truth.groupby(f"time.{part}").min("time")
        assert list(ours[part].values) == list(theirs[part].values)
        check(ours.sst, theirs.transpose(part, "lat", "lon"), "min")


@pytest.mark.parametrize("function", ["median", "p0", "p2.5", "p90", "p100"])
@pytest.mark.parametrize("dims", ["time", "lat,lon", "time,lat,lon"])
@pytest.mark.parametrize("memory", ["2MB", "1GB"])
def test_quantiles(granules, truth, tmp_path, function, dims, memory):
    ours = aggregate(granules, tmp_path / "out.nc", "--variables", "sst,n,big", "--reduce", f"{dims}:{function}", "--memory", memory)
    for name in ("sst", "n", "big"):
        check(ours[name], reduced(truth[name], function, dims.split(",")), function)
    assert ours.sst.attrs["quantile"] == (0.5 if function == "median" else float(function[1:]) / 100)


@pytest.mark.parametrize("function", ["mean", "sum"])
@pytest.mark.parametrize("dims", ["lat,lon", "time,lat,lon", "lat"])
def test_weights(granules, truth, tmp_path, function, dims):
    for weights, theirs in (("area", np.cos(np.deg2rad(truth.lat))), ("cell", truth.cell.astype("f8"))):
        ours = aggregate(granules, tmp_path / f"{weights}.nc", "--variables", "sst,n", "--reduce", f"{dims}:{function}", "--weights", weights)
        for name in ("sst", "n"):
            array = truth[name].astype("f8").weighted(theirs)
            check(ours[name], getattr(array, function)(dims.split(",")), function)


def test_all_at_once_and_what_is_missing_everywhere(granules, truth, tmp_path):
    ours = aggregate(granules, tmp_path / "out.nc", "--variables", "sst", "--reduce", "time,lat,lon:mean", "--group-by", "time.year",
                     "--weights", "area", "--where", "share < 0.15 or isnan(share)", "--bbox", "10,-30,200,50")
    part = truth.sel(lon=slice(10, 200), lat=slice(-30, 50))
    masked = part.sst.astype("f8").where((part.share < 0.15) | np.isnan(part.share))
    weights = np.cos(np.deg2rad(part.lat))
    theirs = masked.groupby("time.year").map(lambda group: group.weighted(weights).mean(["time", "lat", "lon"]))
    check(ours.sst, theirs, "mean")
    nothing = aggregate(granules, tmp_path / "none.nc", "--variables", "sst,n", "--reduce", "time:mean", "--where", "share > 5")
    assert np.isnan(nothing.sst).all() and np.isnan(nothing.n).all()


def test_a_box_across_the_meridian_takes_its_condition_along(granules, truth, tmp_path):
    ours = aggregate(granules, tmp_path / "out.nc", "--variables", "sst", "--reduce", "time:mean", "--where", "share < 0.5",
                     "--bbox=-30,-90,40,90")
    west = truth.sel(lon=slice(330, 360)), truth.sel(lon=slice(0, 40))
    part = xr.concat(west, "lon", data_vars="minimal", coords="minimal", compat="override")
    check(ours.sst, reduced(part.sst.where(part.share < 0.5), "mean", ["time"]), "mean")


def test_weights_by_a_variable_that_is_called_area(tmp_path):
    """Of a curvilinear grid, and beside latitudes, where area is their cosine."""
    area, v = np.arange(1, 13.0).reshape(3, 4), np.arange(12.0).reshape(3, 4) ** 2
    for name, dims in (("curvilinear", ("y", "x")), ("regular", ("lat", "lon"))):
        with netCDF4.Dataset(tmp_path / f"{name}.nc", "w") as f:
            for dim, size in zip(dims, v.shape):
                f.createDimension(dim, size)
            for called, values in (("area", area), ("v", v)):
                f.createVariable(called, "f8", dims)[:] = values
            if name == "regular":
                f.createVariable("lat", "f8", ("lat",)).units = "degrees_north"
                f["lat"][:] = [0, 30, 60]
    by_area, by_latitude = (v * area).sum() / area.sum(), (v.mean(1) * np.cos(np.radians([0, 30, 60]))).sum() / np.cos(np.radians([0, 30, 60])).sum()
    for name, weights, expected in (("curvilinear", "area", by_area), ("curvilinear", "/area", by_area), ("regular", "area", by_latitude), ("regular", "/area", by_area)):
        dims = "y,x" if name == "curvilinear" else "lat,lon"
        out = upwell("aggregate", tmp_path / f"{name}.nc", "--variables", "v", "--reduce", f"{dims}:mean", "--weights", weights, "-o", "-").stdout
        np.testing.assert_allclose(float(out.split()[-1]), expected, rtol=1e-12)


def test_one_missing_variable_in_one_granule_is_no_silent_result(granules, tmp_path):
    lacking = write_granule(tmp_path / "late.nc", 2000)  # without share
    out = upwell("aggregate", *granules, lacking, "--variables", "sst", "--reduce", "time:mean", "--where", "share < 0.5",
                 "-o", tmp_path / "out.nc", status=65)
    assert "late.nc" in out.stderr and "share" in out.stderr and "--on-drift skip" in out.stderr
    assert not (tmp_path / "out.nc").exists()


@pytest.mark.parametrize("options, status, words", [
    (("--where", "shar < 0.5"), 66, ["--where", "share"]),
    (("--where", "share <"), 64, ["something is missing", "^"]),
    (("--where", "share"), 64, ["no condition"]),
    (("--where", "1 < 2"), 64, ["names no variable"]),
    (("--where", "share < 5 K"), 64, ["cannot be converted to '1'"]),
    (("--where", "sst < 20 C"), 64, ["write degC"]),
    (("--where", "time_bnds < 1"), 64, ["dimension 'nv'", "has not"]),
    (("--where", "(sst & 3) == 1"), 64, ["two integers"]),
    (("--where", "sst - 5 degC > 1"), 64, ["different zeros"]),
    (("--where", ""), 64, ["something is missing"]),
    (("--group-by", ""), 64, ["time.year"]),
    (("--weights", ""), 64, ["--weights"]),
    (("--group-by", "time"), 64, ["time.year"]),
    (("--group-by", "time.century"), 64, ["season"]),
    (("--group-by", "lat.year"), 64, ["a dimension that is reduced", "--reduce lat,time:mean"]),
    (("--ddof", "1"), 64, ["std and var"]),
    (("--bbox", "40,-94,73,-120"), 64, ["WEST,SOUTH,EAST,NORTH"]),
    (("--group-by", "lat.year", "--reduce", "lat:mean"), 64, ["no CF time"]),
    (("--weights", "area", "--reduce", "time:std"), 64, ["mean and sum"]),
    (("--weights", "sst", "--reduce", "lat,lon:mean"), 65, ["weight is missing"]),
    (("--weights", "volume", "--reduce", "lat:mean"), 66, ["--weights"]),
    (("--reduce", "time:p101"), 64, ["percentiles"]),
    (("--reduce", "time:median", "--memory", "1kB"), 64, ["memory was limited"]),
])
def test_mistakes(granules, tmp_path, options, status, words):
    """Told by the first granule, before the others are opened."""
    reduce = () if "--reduce" in options else ("--reduce", "time:mean")
    out = upwell("aggregate", *granules[:3], "--variables", "sst", *reduce, *options, "-o", tmp_path / "out.nc", status=status)
    if "--where" in options:
        (tmp_path / "nothing.nc").write_text("no granule, which would be an error")
        first = upwell("aggregate", granules[0], tmp_path / "nothing.nc", "--variables", "sst", *reduce, *options, "-o", tmp_path / "out.nc", status=status)
        assert first.stderr == out.stderr
    for word in words:
        assert word in out.stderr, out.stderr
    assert not (tmp_path / "out.nc").exists()


ORDERS = (("time", "lat", "lon"), ("lat", "time", "lon"), ("lat", "lon", "time"))


def write_layout(path, order, times, sparse, rng):
    """a (float32), m (int16, its dimensions the other way round) and i (int32, no fill); sparse: chunks that were never written."""
    sizes = {"time": len(times), "lat": 13, "lon": 17}
    with netCDF4.Dataset(path, "w") as f:
        for name, size in sizes.items():
            f.createDimension(name, size)
        time = f.createVariable("time", "f8", ("time",))
        time.units = "hours since 2001-01-01"
        time[:] = times
        for name, kind, dims in (("a", "f4", order), ("m", "i2", order[::-1]), ("i", "i4", order)):
            chunks = [{"time": 7, "lat": 4, "lon": 5}[d] for d in dims]
            v = f.createVariable(name, kind, dims, chunksizes=chunks, zlib=True, fill_value=None if name == "i" else -99)
            data = rng.integers(-50, 50, [sizes[d] for d in dims])
            part = tuple(slice(0, n // 2) for n in data.shape) if sparse and name != "i" else ...
            v[part] = data[part]


@pytest.mark.parametrize("times", ["rising", "falling", "in no order"])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "-".join(order))
def test_any_layout(tmp_path, order, sparse, times):
    """Groups along any axis, in any order; conditions on transposed variables; strides, one element, fill; in little memory."""
    rng = np.random.default_rng(ORDERS.index(order) + 10 * sparse + 100 * len(times))
    hours = {"rising": np.arange(60), "falling": np.arange(60)[::-1], "in no order": rng.permutation(60)}[times] * 200.0
    write_layout(tmp_path / "in.nc", order, hours, sparse, rng)
    with xr.open_dataset(tmp_path / "in.nc") as dataset:
        dataset.load()
    for _ in range(12):
        function, part = rng.choice(["mean", "min", "count", "median", "std"]), rng.choice(["", "year", "month", "day"])
        dims = ["time", "lat"][: rng.integers(1, 3)]
        where = ("--where", "m > 0") if rng.random() < 0.5 else ()
        parts = [{}, {"lat": slice(1, 12, 3), "time": slice(2, 55, 2)}, {"time": slice(3, 4)}]
        isel = parts[rng.integers(0, 3 if part else 2)]
        text = ",".join(f"{d}={s.start}" if s.stop == s.start + 1 else f"{d}={s.start}:{s.stop}:{s.step}" for d, s in isel.items())
        ours = aggregate([tmp_path / "in.nc"], tmp_path / "out.nc", "--variables", "a,i", "--reduce", f"{','.join(dims)}:{function}", "--memory", "3MB",
                         *where, *(("--group-by", f"time.{part}") if part else ()), *(("--isel", text) if text else ()))
        chosen = dataset.isel(isel)
        for name in ("a", "i"):
            array = chosen[name].where(chosen.m > 0).transpose(*chosen[name].dims) if where else chosen[name]
            if function not in ("min", "count"):
                array = array.astype("f8")
            theirs = getattr(array.groupby(f"time.{part}") if part else array, function)(dims)
            if part:
                assert list(ours[part].values) == list(theirs[part].values)
                theirs = theirs.transpose(*(part if d == "time" else d for d in chosen[name].dims if d == "time" or d not in dims))
            check(ours[name], theirs, function)

"""upwell produce granules: series (1-D products), and time-invariant fields."""

import json
import os
import re
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

from granule_runs import attributes_of, produce, same_bits, variables_of
from llc_world import FILL, World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


MONTHS = [732, 1428, 2172]


def series_task(world, variables, tag="mon_mean", **changes):
    """Each variable with its pairs of files, one a step."""
    task = world.task("GLOBAL_PRES", {}, dimension="1D", **changes)
    task["granule"] = str(world.root / f"out/GLOBAL_PRES_{tag}_ECCO_V0_1D.nc")
    task["variables"] = variables
    metadata = task["dynamic_metadata"]
    for key in ("time_coverage_start", "time_coverage_end", "time_coverage_center"):
        metadata.pop(key)
    return task


def test_a_series_of_values_and_of_profiles(world):
    pressure = world.random.normal(size=3).astype("f4")
    profiles = world.random.normal(size=(3, world.levels))
    task = series_task(world, {
        "Pa_global": [world.write_series("Pa_global", step, value) for step, value in zip(MONTHS, pressure)],
        "theta_mean": [world.write_series("theta_mean", step, values, kind=">f8") for step, values in zip(MONTHS, profiles)]})
    produce(world.root, [task], config=world.config)
    values = variables_of(task["granule"])
    assert list(values) == ["time", "Z", "Pa_global", "theta_mean", "time_bnds"]
    assert same_bits(values["Pa_global"], pressure) and same_bits(values["theta_mean"], profiles.astype("f4"))
    assert values["time"].tolist() == [366, 1080, 1800] and values["time"].dtype == np.int32
    assert values["time_bnds"].tolist() == [[0, 732], [732, 1428], [1428, 2172]]
    assert same_bits(values["Z"], (world.faces[1:] + world.faces[:-1]) / 2)
    with netCDF4.Dataset(task["granule"]) as nc:
        assert nc["theta_mean"].dimensions == ("time", "Z") and nc["theta_mean"].coordinates == "Z time"
        assert nc["Pa_global"].filters()["complevel"] == 5 and nc["Pa_global"].valid_max == pressure.max()
        assert nc["time"].bounds == "time_bnds" and nc["time"].long_name == "center time of averaging period"
    everything = attributes_of(task["granule"])
    assert everything["time_coverage_start"] == "1992-01-01T12:00:00" and everything["time_coverage_end"] == "1992-04-01T00:00:00"
    assert everything["time_coverage_resolution"] == "P1M" and everything["comment"] == "Series."
    assert everything["keywords"] == "AIR > P, MODELS > ALL, OCEANS > TEMPERATURE" and "geospatial_lat_max" not in everything
    with xr.open_dataset(task["granule"]) as ds:
        assert [str(t)[:13] for t in ds.time.values] == ["1992-01-16T18", "1992-02-15T12", "1992-03-16T12"]
        assert float(ds.Pa_global.sel(time="1992-02-15T12")) == pressure[1]
    assert produce(world.root, [task], config=world.config)["kept"] == 1


def test_a_series_of_snapshots(world):
    """As the granules at PO.DAAC: no bounds of time; named without a date."""
    task = series_task(world, {"Pa_global": [world.write_series("Pa_global", step, step / 7, "day_snap") for step in (1, 2, 4)]},
                       "snap", metadata={"time_coverage_duration": "PT0S", "time_coverage_resolution": "PT0S",
                                         "time_long_name": "snapshot time"})
    produce(world.root, [task], config=world.config)
    values, everything = variables_of(task["granule"]), attributes_of(task["granule"])
    assert list(values) == ["time", "Pa_global"] and values["time"].tolist() == [1, 2, 4]
    assert "bounds" not in attributes_of(task["granule"], "time")
    assert everything["title"] == "Pressure" and everything["id"] == "10.5067/PRES"
    assert everything["time_coverage_start"] == "1992-01-01T13:00:00" and everything["time_coverage_end"] == "1992-01-01T16:00:00"


def test_a_series_with_holes(world):
    pairs = {name: [world.write_series(name, step, step, missingValue="[ 1428 ]") for step in MONTHS] for name in ("A", "B")}
    task = series_task(world, {"A": pairs["A"][:1], "B": pairs["B"][1:]})
    report = produce(world.root, [task], config=world.config)
    values = variables_of(task["granule"])
    assert values["A"].tolist() == [732, FILL, FILL] and values["B"].tolist() == [FILL, FILL, 2172]
    assert report["granules"][0]["notes"][:2] == ["A: nothing at 2 of 3 steps", "B: nothing at 1 of 3 steps"]


def series_file(path, values, bounds=True, units="hours since 1992-01-01T12:00:00", times=(366, 1080, 1800), **attributes):
    with netCDF4.Dataset(path, "w") as nc:
        nc.createDimension("time", len(times))
        nc.createDimension("nv", 2)
        time = nc.createVariable("time", "f8", ("time",))
        time.units = units
        time[:] = times
        if bounds:
            time.bounds = "time_bnds"
            nc.createVariable("time_bnds", "f8", ("time", "nv"))[:] = [[0, 732], [732, 1428], [1428, 2172]]
        for name, numbers in values.items():
            nc.createVariable(name, "f8", ("time",), fill_value=-1e9)[:] = numbers
            nc[name].old = "gone"
        nc.setncatts({"old": "gone", **attributes})
    return str(path)


@pytest.mark.parametrize("strip", [True, False])
def test_a_series_from_a_netcdf_file(world, strip):
    numbers = {"Pa_global": np.ma.array(world.random.normal(size=3), mask=[True, False, False]), "mass": [1e21, np.nan, 2e21]}
    path = series_file(world.root / "Pa_global.nc", numbers)
    task = series_task(world, {}, input_netcdf=path, **({"strip_attributes": "True"} if strip else {}))
    del task["variables"]
    report = produce(world.root, [task], config=world.config)
    values = variables_of(task["granule"])
    assert list(values) == ["time", "Pa_global", "mass", "time_bnds"]
    assert same_bits(values["Pa_global"], np.float32([FILL, *numbers["Pa_global"][1:]]))
    assert same_bits(values["mass"], np.float32([1e21, FILL, 2e21])) and values["time_bnds"].tolist()[2] == [1428, 2172]
    pressure, everything = attributes_of(task["granule"], "Pa_global"), attributes_of(task["granule"])
    assert pressure["standard_name"] == "air_pressure_at_sea_level" and ("old" in pressure) != strip
    assert ("old" in everything) != strip and "AIR > P" in everything["keywords"]
    assert everything["time_coverage_end"] == "1992-04-01T00:00:00"
    assert report["granules"][0]["input_bytes"] == os.path.getsize(path)
    assert produce(world.root, [task], config=world.config)["kept"] == 1
    series_file(path, numbers, bounds=False)
    report = produce(world.root, [task], config=world.config)
    assert "time_bnds" not in variables_of(task["granule"]) and "no bounds of time" in report["granules"][0]["notes"][0]
    assert attributes_of(task["granule"])["time_coverage_end"] == "1992-03-16T12:00:00"


def bad_series(world, damage):
    task = series_task(world, {"Pa_global": [world.write_series("Pa_global", step, 1.0) for step in MONTHS]})
    damage(world, task)
    return task


@pytest.mark.parametrize("damage, status, message", [
    (lambda w, t: w.write_series("Pa_global", 1428, [1, 2, 3]), 65, r"1428\.meta: line 2: dimList has 3"),
    (lambda w, t: w.write_series("Pa_global", 1428, [1] * 4), 65, r"1428\.meta: 4 levels, where the steps before have 0"),
    (lambda w, t: w.write_series("Pa_global", 1428, np.nan), 65, r"1428\.data: has a NaN"),
    (lambda w, t: w.write_series("Pa_global", 1428, 1, timeStepNumber="[ 5 ]"), 65, r"1428\.meta: line 5: timeStepNumber is 5"),
    (lambda w, t: w.write_series("Pa_global", 1428, 1, timeInterval="[ 5.0 ]"), 65, r"1428\.meta: line 6: timeInterval ends 5"),
    (lambda w, t: w.write_series("Pa_global", 1428, 1, fldList="{ 'X' }"), 65, r"1428\.meta: line 7: fldList names X"),
    (lambda w, t: os.truncate(t["variables"]["Pa_global"][1][0], 3), 65, r"1428\.data: 3 bytes, where .*1428\.meta says 4"),
    (lambda w, t: os.unlink(t["variables"]["Pa_global"][1][0]), 66, r"1428\.data"),
    (lambda w, t: t["variables"]["Pa_global"].append(t["variables"]["Pa_global"][0]), 65, r"Pa_global: step 732 twice"),
    (lambda w, t: t["dynamic_metadata"].update(dimension="2D", time_coverage_end="1992-02-01T00:00:00"), 65, r"list of one or two|only 1D"),
    (lambda w, t: t.update(input_netcdf=str(w.root / "none.nc")), 66, r"none\.nc"),
    (lambda w, t: t.update(input_netcdf=series_file(w.root / "a.nc", {"A": [1, 2, 3]}, times=(1, 3, 2))), 65, r"a\.nc: time does not ascend at 2"),
    (lambda w, t: t.update(input_netcdf=series_file(w.root / "a.nc", {"A": [1, 2, 3]}, units="m")), 65, r"a\.nc: time: has no units"),
    (lambda w, t: t.update(input_netcdf=series_file(w.root / "a.nc", {})), 65, r"a\.nc: no variables on time"),
    (lambda w, t: t.update(input_netcdf=series_file(w.root / "a.nc", {"A": [1, np.inf, 3]})), 65, r"variable A: 1 values are infinite"),
])
def test_a_series_that_is_broken(world, damage, status, message):
    tasks = [bad_series(world, damage), world.task()]
    report = produce(world.root, tasks, config=world.config, status=status)
    assert report["made"] == 1 and re.search(message, report["stderr"]), report["stderr"]
    assert not Path(tasks[0]["granule"]).exists()


# --- Memory -----------------------------------------------------------------------------------------------------------

def peak(report):
    return json.loads(report["stderr"].splitlines()[-1])["peak_memory_bytes"]


def test_raw_files_of_a_series_are_read_within_the_budget(world):
    """300 .meta files of a megabyte, which is nearly all blanks."""
    steps = [12 + 24 * day for day in range(300)]
    task = series_task(world, {"Pa_global": [world.write_series("Pa_global", step, step / 8, "day_mean") for step in steps]}, "day_mean")
    small = produce(world.root, [task], "--memory", "8MB", "--stats", config=world.config)
    for _, meta in task["variables"]["Pa_global"]:
        with open(meta, "a") as file:
            file.write(" " * (1 << 20))
    report = produce(world.root, [task], "--memory", "8MB", "--stats", config=world.config)
    assert report["made"] == 1 and variables_of(task["granule"])["Pa_global"].tolist() == [step / 8 for step in steps]
    assert peak(report) < peak(small) + (24 << 20)
    report = produce(world.root, [task], "--memory", "1MB", "--no-resume", config=world.config, status=75)
    assert re.search(r"needs about 2 MB of memory, and --memory is 1 MB", report["stderr"]), report["stderr"]


def test_a_small_file_that_unpacks_to_much(world):
    steps = 1_000_000
    path = world.root / "zeros.nc"
    with netCDF4.Dataset(path, "w") as nc:
        nc.createDimension("time", steps)
        time = nc.createVariable("time", "f8", ("time",), zlib=True, complevel=9, shuffle=True)
        time.units = "seconds since 1992-01-01T12:00:00"
        time[:] = np.arange(steps)
        nc.createVariable("A", "f8", ("time",), zlib=True, complevel=9)[:] = 0
    assert path.stat().st_size < 3_000_000
    task = series_task(world, {}, "snap", input_netcdf=str(path))
    del task["variables"]
    report = produce(world.root, [task, world.task()], "--memory", "32MB", "--stats", config=world.config, status=75)
    assert report["made"] == 1
    said = re.search(r"zeros\.nc: the granule needs about (\d+) MB of memory, and --memory is 32 MB", report["stderr"])
    base = peak(report)
    needed = int(said[1])
    assert base < 100 << 20
    report = produce(world.root, [task], "--memory", f"{needed}MB", "--stats", config=world.config)
    assert report["made"] == 1 and not variables_of(task["granule"])["A"].any()
    assert peak(report) < base + (needed << 20)


def test_a_field_that_unpacks_to_much(world):
    """Also of a shape that no memory holds."""
    for size, says in ((1 << 24, r"about \d{3,} MB"), (1 << 60, r"about \d{8,} MB")):
        path = world.root / "huge.nc"
        with h5py.File(path, "w") as file:
            file.create_dataset("A", (size,), "f4", chunks=(1 << 16,), compression=9)
        task = invariant_task(world, input_netcdf=str(path))
        del task["variables"]
        report = produce(world.root, [task], "--memory", "64MB", config=world.config, status=75)
        assert re.search(rf"huge\.nc: the granule needs {says} of memory, and --memory is 64 MB", report["stderr"]), report["stderr"]


# --- Time-invariant ---------------------------------------------------------------------------------------------------

def invariant_task(world, kind="native", dimension="3D", **changes):
    task = world.task("MIXING", {}, kind, dimension, **changes)
    task["granule"] = task["granule"].replace("_mon_mean_1992-01_", "_")
    metadata = task["dynamic_metadata"]
    for key in ("time_coverage_start", "time_coverage_end", "time_coverage_center", "time_long_name"):
        metadata.pop(key)
    metadata.update(time_coverage_duration="TIME-INVARIANT", time_coverage_resolution="TIME-INVARIANT")
    return task


def write_invariant(world, name, values, step=""):
    pair = world.write_raw(name, values)
    moved = []
    for path in pair:
        to = world.root / f"raw/{name}{step}{Path(path).suffix}"
        text = Path(path).read_bytes()
        if to.suffix == ".meta":
            text = re.sub(rb" (timeInterval|timeStepNumber) = .*;\n", b"", text)
        to.write_bytes(text)
        moved.append(str(to))
    return moved


@pytest.mark.parametrize("step", ["", ".0000000000"])
@pytest.mark.parametrize("kind", ["native", "latlon"])
def test_time_invariant_fields(world, kind, step):
    world.make_config(podaac_metadata_filename="podaac.csv")
    deep = world.make_field("DIFFKR", world.levels)
    task = invariant_task(world, kind)
    task["variables"] = {"DIFFKR": [write_invariant(world, "DIFFKR", deep, step)],
                         "THETA": [write_invariant(world, "THETA", world.raw["THETA"], step)]}
    report = produce(world.root, [task], config=world.config)
    values = variables_of(task["granule"])
    for name, field in (("DIFFKR", deep), ("THETA", world.raw["THETA"])):
        assert same_bits(values[name], world.native(field, world.wet_centre) if kind == "native" else world.latlon(field))
    assert not {"time", "time_bnds"} & set(values)
    everything = attributes_of(task["granule"])
    assert not [name for name in everything if name.startswith("time_coverage")]
    if kind == "native":
        assert list(values)[-3:] == ["XC_bnds", "YC_bnds", "Z_bnds"] and everything["title"] == "Mixing"
        assert attributes_of(task["granule"], "DIFFKR")["coordinates"] == "XC YC Z"
    assert report["granules"][0]["notes"][0].startswith("DIFFKR is not in available_diagnostics.log")
    assert produce(world.root, [task], config=world.config)["kept"] == 1


def invariant_file(world, path, values, kind="native", more=None):
    """A granule of these without metadata, coordinates as xarray writes them."""
    axes = ("k", "tile", "j", "i") if kind == "native" else ("Z", "latitude", "longitude")
    with netCDF4.Dataset(path, "w") as nc:
        for name, size in zip(axes, next(iter(values.values())).shape):
            nc.createDimension(name, size)
            if kind == "native":
                nc.createVariable(name, "i4", (name,))[:] = np.arange(size)
        if kind == "native":
            nc.createVariable("XC", "f4", ("tile", "j", "i"))[:] = world.position["XC"]
        for name, field in values.items():
            variable = nc.createVariable(name, "f8", axes[-field.ndim:], fill_value=np.nan)
            variable[:] = field
            variable.setncatts({"old": "gone", "coordinates": "XC", "units": "furlongs"})
        nc.old = "gone"
        if more:
            more(nc)
    return str(path)


@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("kind", ["native", "latlon"])
def test_time_invariant_fields_from_a_netcdf_file(world, kind, strip):
    shape = (world.levels, *(world.level_shape if kind == "native" else (world.rows, world.columns)))
    field = np.where(world.random.random(shape) < 0.3, np.nan, world.random.normal(size=shape))
    values = {"THETA": field, "DIFFKR": field[0]}
    path = invariant_file(world, world.root / "mixing.nc", values, kind)
    task = invariant_task(world, kind, input_netcdf=path, **({"strip_attributes": "True"} if strip else {}))
    del task["variables"]
    produce(world.root, [task], config=world.config)
    made = variables_of(task["granule"])
    for name, numbers in values.items():
        assert same_bits(made[name], np.where(np.isnan(numbers), FILL, numbers.astype("f4")))
    assert not {"time", "time_bnds"} & set(made) and "Z_bnds" in made
    theta, everything = attributes_of(task["granule"], "THETA"), attributes_of(task["granule"])
    assert theta["long_name"] == "long THETA" and theta["units"] == "m" and ("old" in theta) != strip
    assert ("old" in everything) != strip and "OCEANS > TEMPERATURE" in everything["keywords"]
    assert theta["valid_min"] == np.nanmin(field.astype("f4"))
    with netCDF4.Dataset(task["granule"]) as nc:
        assert nc["THETA"].filters()["complevel"] == 5 and "DIFFKR" in nc.variables
    assert produce(world.root, [task], config=world.config)["kept"] == 1


@pytest.mark.parametrize("kind, axes", [("native", (3, 2, 0, 1)), ("native", (1, 3, 2)), ("latlon", (2, 1, 0)), ("latlon", (1, 0))])
def test_time_invariant_fields_in_another_order(world, kind, axes):
    """Granules have depth, tile, j, i, and depth, latitude, longitude, however the file has them."""
    sizes = {"k": world.levels, "Z": world.levels, "tile": 13, "j": world.n, "i": world.n, "latitude": world.rows,
             "longitude": world.columns}
    names = ("k", "tile", "j", "i") if kind == "native" else ("Z", "latitude", "longitude")
    names = names[-len(axes):] if kind == "latlon" or len(axes) == 4 else names
    order = [names[a] for a in axes]
    field = world.random.normal(size=[sizes[name] for name in order]).astype("f4")
    with netCDF4.Dataset(world.root / "a.nc", "w") as nc:
        for name in order:
            nc.createDimension(name, sizes[name])
        nc.createVariable("THETA", "f4", order)[:] = field
    task = invariant_task(world, kind, input_netcdf=str(world.root / "a.nc"))
    del task["variables"]
    produce(world.root, [task], config=world.config)
    with netCDF4.Dataset(task["granule"]) as nc:
        wanted = [name for name in names if name in order]
        assert list(nc["THETA"].dimensions) == wanted
        assert same_bits(nc["THETA"][:].data, field.transpose([order.index(name) for name in wanted]))


@pytest.mark.parametrize("kind, value, precision, good", [
    ("i4", 2**24, "float32", True), ("i4", 2**24 + 1, "float32", False), ("i4", 2**24 + 1, "float64", True),
    ("i4", 2**24 + 2, "float32", True), ("u4", 2**32 - 1, "float32", False), ("i8", 1 - 2**53, "float64", True),
    ("i8", 2**53 + 1, "float64", False), ("u8", 2**63 + 1, "float32", False)])
@pytest.mark.parametrize("fill", [None, 7])
def test_integers_are_exact_or_refused(world, kind, value, precision, good, fill):
    """Also where some are missing, for which they are floats beforehand."""
    world.make_config(array_precision=precision)
    field = np.full(world.level_shape, 3, kind)
    field[4, 3, 2] = value
    with netCDF4.Dataset(world.root / "a.nc", "w") as nc:
        for name, size in zip(("tile", "j", "i"), field.shape):
            nc.createDimension(name, size)
        nc.createVariable("basin", kind, ("tile", "j", "i"), fill_value=fill)[:] = field
    task = invariant_task(world, input_netcdf=str(world.root / "a.nc"))
    del task["variables"]
    report = produce(world.root, [task], config=world.config, status=0 if good else 65)
    if good:
        assert variables_of(task["granule"])["basin"][4, 3, 2] == value
    else:
        assert re.search(rf"a\.nc: basin has integers, and {precision} does not hold its \d+ exactly", report["stderr"])


def other_place(nc):
    nc["XC"][3, 2, 1] += 1


@pytest.mark.parametrize("damage, status, message", [
    (lambda w, t: t.update(input_netcdf=str(w.root / "none.nc")), 66, r"none\.nc"),
    (lambda w, t: (w.root / "a.nc").write_bytes((w.root / "a.nc").read_bytes()[:3000]), 65, r"a\.nc"),
    (lambda w, t: invariant_file(w, w.root / "a.nc", {"A": np.ones((3, *w.level_shape))}), 65, r"a\.nc: k is of another size"),
    (lambda w, t: invariant_file(w, w.root / "a.nc", {"A": np.ones(w.level_shape)[None]}, more=other_place), 65, r"a\.nc: k is of another"),
    (lambda w, t: invariant_file(w, w.root / "a.nc", {"A": np.ones((w.levels, *w.level_shape))}, more=other_place), 65,
     r"a\.nc: XC has .* where the grid has .*: it is on another grid"),
    (lambda w, t: invariant_file(w, w.root / "a.nc", {"A": np.ones((w.levels, w.rows, w.columns))}, "latlon"), 65,
     r"variable A: dimension 'Z', which native granules that are 3D do not have"),
    (lambda w, t: invariant_file(w, w.root / "a.nc", {"A": np.full((w.levels, *w.level_shape), np.inf)}), 65, r"variable A: \d+ values are infinite, the first at k 0 \(5 m\), tile 0, j 0, i 0 \(longitude -?\d"),
    (lambda w, t: t["dynamic_metadata"].update(time_coverage_end="1992-02-01T00:00:00"), 65, r"the task has times, and its name"),
    (lambda w, t: t.update(granule=w.task()["granule"].replace("/out/", "/out/x/")), 65, r"input_netcdf: only|time_coverage_end"),
])
def test_a_time_invariant_task_that_is_broken(world, damage, status, message):
    path = invariant_file(world, world.root / "a.nc", {"A": np.ones((world.levels, *world.level_shape))})
    bad = invariant_task(world, input_netcdf=path)
    del bad["variables"]
    damage(world, bad)
    report = produce(world.root, [bad, world.task()], config=world.config, status=status)
    assert report["made"] == 1 and re.search(message, report["stderr"]), report["stderr"]
    assert not Path(bad["granule"]).exists()


def test_neither_is_in_a_reference_set(world):
    """A dataset of one granule needs none."""
    series = series_task(world, {"Pa_global": [world.write_series("Pa_global", step, 1.0) for step in MONTHS]})
    invariant = invariant_task(world)
    invariant["variables"] = {"DIFFKR": [write_invariant(world, "DIFFKR", world.make_field("DIFFKR", world.levels))]}
    produce(world.root, [series, invariant, world.task()], "--references", str(world.root / "cubes"), config=world.config)
    assert [path.name for path in (world.root / "cubes").iterdir()] == ["SSH_mon_mean_ECCO_V0_native_llc0006.json"]

"""upwell produce granules: raw MITgcm output becomes granules as ECCO dataset production makes them.

On a small synthetic grid (llc_world.py), whose values NumPy gives; and, where the shared data is, against granules of JPL and
of the Python pipeline.
"""

import glob
import gzip
import hashlib
import json
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

import s3_servers
from llc_world import FILL, World, compact, east_north

N = 6

ROOT = Path(__file__).resolve().parent.parent
UPWELL = os.environ.get("UPWELL", str(ROOT / "build/release/bin/upwell"))
ECCO = Path(os.environ.get("UPWELL_SHARED", ROOT.parent / "shared")) / "data/ecco"


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def produce(root, tasks, *options, config=None, status=0, program=None, report=True):
    """Runs the list; gives the report (or standard error without one)."""
    tasklist = root / "tasks.json"
    tasklist.write_text(json.dumps(tasks))
    command = program or [UPWELL, "produce", "granules"]
    arguments = ["--tasklist", str(tasklist)] + (["--cfgfile", str(config)] if config else [])
    if report:
        arguments += ["--report", str(root / "report.json")]
    run = subprocess.run([*command, *arguments, *options], capture_output=True, text=True, timeout=300)
    assert status in (None, run.returncode), f"status {run.returncode}\n{run.stderr}"
    if not report:
        return run.stderr
    return json.loads((root / "report.json").read_text()) | {"stderr": run.stderr}


def variables_of(path):
    with netCDF4.Dataset(path) as nc:
        nc.set_auto_maskandscale(False)
        return {name: variable[...] for name, variable in nc.variables.items()}


def attributes_of(path, variable=None):
    with netCDF4.Dataset(path) as nc:
        owner = nc if variable is None else nc[variable]
        return {name: owner.getncattr(name) for name in owner.ncattrs()}


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


# --- Values -----------------------------------------------------------------------------------------------------------

def test_native_2d(world):
    task = world.task()
    produce(world.root, [task], config=world.config)
    values = variables_of(task["granule"])
    assert list(values) == ["i", "i_g", "j", "j_g", "tile", "time", "XC", "YC", "XG", "YG", "SSH", "time_bnds", "ETAN",
                            "XC_bnds", "YC_bnds"]
    for name in ("SSH", "ETAN"):
        assert same_bits(values[name][0], world.native(world.raw[name], world.wet_centre)[0])
    for name, position in world.position.items():
        assert same_bits(values[name], position)
    assert same_bits(values["XC_bnds"], world.bounds[0])
    assert values["time"].tolist() == [366] and values["time_bnds"].tolist() == [[0, 732]]
    assert values["i"].tolist() == list(range(N)) and values["tile"].tolist() == list(range(13))


def test_native_3d_on_all_points(world):
    task = world.task("VELOCITY", {"THETA": ["THETA"], "UVEL": ["UVEL"], "VVEL": ["VVEL"], "WVEL": ["WVELMASS"]},
                      dimension="3D")
    produce(world.root, [task], config=world.config)
    values = variables_of(task["granule"])
    assert same_bits(values["THETA"][0], world.native(world.raw["THETA"], world.wet_centre))
    assert same_bits(values["UVEL"][0], world.native(world.raw["UVEL"], world.wet_west))
    assert same_bits(values["VVEL"][0], world.native(world.raw["VVEL"], world.wet_south))
    assert same_bits(values["WVEL"][0], world.native(world.raw["WVELMASS"], world.wet_centre))
    assert same_bits(values["Zp1"], world.faces) and same_bits(values["Zl"], world.faces[:-1])
    with netCDF4.Dataset(task["granule"]) as nc:
        assert nc["UVEL"].dimensions == ("time", "k", "tile", "j", "i_g")
        assert nc["VVEL"].dimensions == ("time", "k", "tile", "j_g", "i")
        assert nc["WVEL"].dimensions == ("time", "k_l", "tile", "j", "i")
        assert nc["THETA"].coordinates == "XC YC Z time" and nc["UVEL"].coordinates == "Z time"
        assert nc["WVEL"].coordinates == "XC YC Zl time"
        assert list(nc.dimensions) == ["i", "i_g", "j", "j_g", "k", "k_u", "k_l", "k_p1", "tile", "time", "nv", "nb"]


@pytest.mark.parametrize("kind", ["native", "latlon"])
def test_vectors_point_east_and_north(world, kind):
    task = world.task("VELOCITY", {"EVEL": ["UVEL", "VVEL"], "NVEL": ["UVEL", "VVEL"]}, kind, "3D")
    produce(world.root, [task], config=world.config)
    values = variables_of(task["granule"])
    east, north = east_north(world.raw["UVEL"], world.raw["VVEL"], world.cs, world.sn)
    for name, truth in (("EVEL", east), ("NVEL", north)):
        wanted = world.native(truth, world.wet_centre) if kind == "native" else world.latlon(truth)
        assert same_bits(values[name][0], wanted), name


def test_vectors_at_centres_and_in_either_order(world):
    changes = {"metadata": {"field_components": {"EXFewind": {"x": "EXFuwind", "y": "EXFvwind"}},
                            "field_orientations": {"EXFewind": "zonal"}}}
    task = world.task("WIND", {"EXFewind": ["EXFvwind", "EXFuwind"]}, "latlon", **changes)
    produce(world.root, [task], config=world.config)
    east, _ = east_north(world.raw["EXFuwind"], world.raw["EXFvwind"], world.cs, world.sn, on_faces=False)
    assert same_bits(variables_of(task["granule"])["EXFewind"][0], world.latlon(east)[0])


def test_latlon(world):
    tasks = [world.task(kind="latlon"), world.task("THETA", {"THETA": ["THETA"]}, "latlon", "3D")]
    produce(world.root, tasks, config=world.config)
    flat, deep = (variables_of(task["granule"]) for task in tasks)
    assert list(flat) == ["time", "latitude", "longitude", "SSH", "ETAN", "time_bnds", "latitude_bnds", "longitude_bnds"]
    assert list(deep) == ["time", "Z", "latitude", "longitude", "THETA", "time_bnds", "latitude_bnds", "longitude_bnds", "Z_bnds"]
    assert same_bits(flat["SSH"][0], world.latlon(world.raw["SSH"])[0])
    assert same_bits(deep["THETA"][0], world.latlon(world.raw["THETA"]))
    assert same_bits(flat["latitude_bnds"], world.cell_bounds["lat"].astype("f4"))
    with xr.open_dataset(tasks[1]["granule"]) as ds:
        assert ds.THETA.dims == ("time", "Z", "latitude", "longitude")
        assert str(ds.time.values[0]).startswith("1992-01-16T18:00:00")


def test_factors_in_one_file(world):
    task = world.task(kind="latlon")
    produce(world.root, [task], config=world.config)
    before = variables_of(task["granule"])["SSH"]
    factors = world.root / "factors.npz"
    subprocess.run([UPWELL, "produce", "factors", world.root / "factors", "-o", factors], check=True, capture_output=True)
    task["ecco_mapping_factors_loc"] = str(factors)
    assert produce(world.root, [task], config=world.config)["made"] == 1
    assert same_bits(variables_of(task["granule"])["SSH"], before)


def test_double_precision_in_and_out(world):
    world.make_config(array_precision=None)
    field = world.random.normal(size=(1, 13, N, N))
    world.write_raw("SSH", field, kind=">f8")
    task = world.task(variables={"SSH": ["SSH"]})
    produce(world.root, [task], config=world.config)
    values = variables_of(task["granule"])["SSH"]
    assert same_bits(values[0], np.where(world.wet_centre[0], field[0], 9.969209968386869e36))
    world.make_config()
    produce(world.root, [task], config=world.config)
    assert same_bits(variables_of(task["granule"])["SSH"][0], world.native(field.astype("f4"), world.wet_centre)[0])


# --- The grid ---------------------------------------------------------------------------------------------------------

GRID_TASKS = [("SSH", None, "native", "2D"), ("VELOCITY", {"UVEL": ["UVEL"], "VVEL": ["VVEL"], "WVEL": ["WVELMASS"]}, "native", "3D"),
              ("EVEL", {"EVEL": ["UVEL", "VVEL"]}, "native", "3D"), ("SSH", None, "latlon", "2D"),
              ("NVEL", {"NVEL": ["UVEL", "VVEL"]}, "latlon", "3D")]


def contents(path):
    """All that a granule holds; what ncdump prints but for the attributes that every run has of its own."""
    text = subprocess.run(["ncdump", path], capture_output=True, text=True, check=True).stdout
    return re.sub(r'(date_\w+|uuid|_NCProperties) = "[^"]*"', r"\1", text)


def granules_of_the_grid(world, *options, **changes):
    tasks = [world.task(*task, **changes) for task in GRID_TASKS]
    for i, task in enumerate(tasks):
        task["granule"] = task["granule"].replace("/out/", f"/out/{i}/")
    produce(world.root, tasks, "--no-resume", *options, config=world.config)
    return [contents(task["granule"]) for task in tasks]


def pack(world, name, folder="", mode="w:gz", without=(), more=(), form=tarfile.GNU_FORMAT):
    with tarfile.open(world.root / name, mode, format=form) as archive:
        for path in sorted((world.root / "grid").iterdir()):
            if path.name not in without:
                archive.add(path, folder + path.name)
        for path, member in more:
            archive.add(path, member)
    return str(world.root / name)


@pytest.mark.parametrize("kind", [">f4", ">f8"])
def test_a_grid_without_netcdf_files(world, kind):
    """Masks, bounds, angles and the target's axes come from MITgcm's files and the factors: the same granules."""
    wanted = granules_of_the_grid(world)
    world.write_raw_grid(kind)
    (world.root / "grid/GRID_GEOMETRY_native.nc").unlink()
    assert granules_of_the_grid(world) == wanted
    (world.root / "grid/GRID_GEOMETRY_latlon.nc").unlink()
    assert granules_of_the_grid(world) == wanted


@pytest.mark.parametrize("names, message", [
    (["hFacW.data", "tile003.mitgrid"], r"no file \*native\*.nc, and of the files .* missing: hFacW.data, tile003.mitgrid"),
    (["RF.data"], r"missing: RF.data"), (["XC.data"], r"missing: XC.data"),
    (["available_diagnostics.log"], r"available_diagnostics.log")])
def test_what_a_raw_grid_lacks_is_named(world, names, message):
    world.write_raw_grid()
    (world.root / "grid/GRID_GEOMETRY_native.nc").unlink()
    for name in names:
        (world.root / "grid" / name).unlink()
    report = produce(world.root, [world.task()], config=world.config, status=66)
    assert re.search(message, report["stderr"]) and not (world.root / "out").exists()


@pytest.mark.parametrize("name, size, message", [
    ("hFacS.data", 100, r"hFacS.data has 100 bytes, its .meta says"), ("RF.data", 12, r"RF.data: 3 values of 4 bytes, .* has 5"),
    ("YG.data", 40, r"YG.data: 10 values"), ("XC.data", 40, r"XC.data: .*40 bytes are no field of an llc grid"),
    ("tile002.mitgrid", 8, r"tile002.mitgrid: 8 bytes"), ("AngleSN.data", 0, r"AngleSN.data: 0 values")])
def test_a_raw_grid_that_is_broken(world, name, size, message):
    world.write_raw_grid()
    (world.root / "grid/GRID_GEOMETRY_native.nc").unlink()
    os.truncate(world.root / "grid" / name, size)
    report = produce(world.root, [world.task()], config=world.config, status=65)
    assert re.search(message, report["stderr"]), report["stderr"]


@pytest.mark.parametrize("netcdf", [True, False])
@pytest.mark.parametrize("name, mode, folder, form", [
    ("grid.tar.gz", "w:gz", "", tarfile.GNU_FORMAT), ("grid.tgz", "w:gz", "V0/" + "d" * 120 + "/", tarfile.GNU_FORMAT),
    ("grid.tar", "w", "./grid/", tarfile.USTAR_FORMAT), ("grid.tar.gz", "w:gz", "gr\u00edd/" + "e" * 150 + "/", tarfile.PAX_FORMAT)])
def test_a_grid_in_an_archive(world, netcdf, name, mode, folder, form):
    world.write_raw_grid()
    wanted = granules_of_the_grid(world)
    without = [] if netcdf else ["GRID_GEOMETRY_native.nc", "GRID_GEOMETRY_latlon.nc"]
    archive = pack(world, name, folder, mode, without, form=form)
    (world.root / "grid").rename(world.root / "elsewhere")
    assert granules_of_the_grid(world, ecco_grid_loc=archive) == wanted


def test_an_archive_in_a_bucket(world):
    wanted = granules_of_the_grid(world)
    archive = pack(world, "grid.tar.gz")
    server = s3_servers.start_moto()
    try:
        client = server.client()
        client.create_bucket(Bucket="ecco")
        client.upload_file(archive, "ecco", "V0/grid.tar.gz")
        with pytest.MonkeyPatch.context() as patch:
            for key, value in server.environment.items():
                patch.setenv(key, value)
            assert granules_of_the_grid(world, ecco_grid_loc="s3://ecco/V0/grid.tar.gz") == wanted
    finally:
        server.stop()


@pytest.mark.parametrize("damage, status, message", [
    (lambda path: path.write_bytes(path.read_bytes()[:-3000]), 65, "cut short"),
    (lambda path: path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:5000])), 65, "cut short"),
    (lambda path: path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8), 65, "gzip: incorrect data check"),
    (lambda path: path.write_bytes(gzip.compress(b"nothing of the kind " * 100)), 65, "no tar archive"),
    (lambda path: path.write_bytes(b""), 66, "neither XC.data nor"),
    (lambda path: path.unlink(), 66, "grid.tar.gz")])
def test_an_archive_that_is_broken(world, damage, status, message):
    archive = Path(pack(world, "grid.tar.gz"))
    damage(archive)
    tasks = [world.task(ecco_grid_loc=str(archive)), world.task(name="OTHER")]
    report = produce(world.root, tasks, config=world.config, status=status)
    assert report["made"] == 1 and message in report["stderr"] and "grid.tar.gz" in report["stderr"], report["stderr"]


def test_an_archive_of_two_grids(world):
    archive = pack(world, "grid.tar.gz", "a/", more=[(world.root / "grid/XC.data", "b/XC.data")])
    report = produce(world.root, [world.task(ecco_grid_loc=archive)], config=world.config, status=65)
    assert "two grids in one archive, in a/ and b/" in report["stderr"]


# --- Series -----------------------------------------------------------------------------------------------------------

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
    (lambda w, t: invariant_file(w, w.root / "a.nc", {"A": np.full((w.levels, *w.level_shape), np.inf)}), 65, r"variable A: \d+ values are inf"),
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


# --- Attributes and encoding ------------------------------------------------------------------------------------------

def test_attributes(world):
    task = world.task(metadata={"comment": "More."})
    produce(world.root, [task], config=world.config)
    ssh = attributes_of(task["granule"], "SSH")
    assert list(ssh) == ["_FillValue", "valid_min", "valid_max", "coverage_content_type", "long_name", "standard_name", "units",
                         "comment", "coordinates"]
    wet = world.raw["SSH"][0][world.wet_centre[0]]
    assert ssh["valid_min"] == wet.min() and ssh["valid_max"] == wet.max() and ssh["valid_min"].dtype == np.float32
    assert ssh["comment"] == "One. Two." and ssh["coordinates"] == "XC YC time"
    everything = attributes_of(task["granule"])
    assert list(everything)[:-1] == sorted(list(everything)[:-1], key=str.casefold)
    assert everything["coordinates"] == "XC_bnds XG YC_bnds YG time_bnds"
    assert everything["keywords"] == "MODELS > ALL, OCEANS > ETA, OCEANS > SSH"
    assert everything["title"] == 'Sea level, "monthly"' and everything["id"] == "10.5067/SSHM"
    assert everything["metadata_link"] == "https://example.org/?s=SSH_MONTHLY"
    assert everything["comment"] == "On tiles. More." and everything["summary"] == "This dataset. Summary."
    assert everything["geospatial_lat_max"] == 90.0 and "geospatial_vertical_max" not in everything
    assert everything["cycle"] == 7 and everything["cycle"].dtype == np.int32
    assert everything["geospatial_vertical_min"] == -100.5 and everything["product_name"] == Path(task["granule"]).name
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", everything["uuid"])
    time = attributes_of(task["granule"], "time")
    assert time["units"] == "hours since 1992-01-01T12:00:00" and time["long_name"] == "center time of averaging period"
    assert list(time)[-2:] == ["units", "calendar"] and time["comment"] == ""
    assert attributes_of(task["granule"], "XC_bnds") == {"long_name": "corners"}
    with netCDF4.Dataset(task["granule"]) as nc:
        assert nc["SSH"].filters()["complevel"] == 5 and nc["SSH"].filters()["shuffle"]
        assert nc["SSH"].chunking() == [1, 13, N, N] and nc["XC"].chunking() == "contiguous"


def test_form_of_2026(world):
    task = world.task(ecco_cfg_loc=str(world.config))
    produce(world.root, [task])
    everything = attributes_of(task["granule"])
    assert everything["id"] == "SSH_MONTHLY" and everything["metadata_link"] == "https://doi.org/PODAAC-SSHM"
    assert everything["identifier_product_doi_authority"] == "https://doi.org"
    assert everything["summary"] == "This dataset. Project." and everything["project_summary"] == "Project."
    assert "coordinates_comment" not in everything
    assert attributes_of(task["granule"], "SSH")["coordinates"] == "time XC YC"


def test_keywords_of_granules_before_are_kept_unless_fixed(world):
    tasks = [world.task(), world.task("THETA", {"THETA": ["THETA"]}, dimension="3D")]
    produce(world.root, tasks, config=world.config)
    assert attributes_of(tasks[1]["granule"])["keywords"] == "MODELS > ALL, OCEANS > ETA, OCEANS > SSH, OCEANS > TEMPERATURE"
    produce(world.root, tasks, "--fix", "keywords", config=world.config)
    assert attributes_of(tasks[1]["granule"])["keywords"] == "MODELS > ALL, OCEANS > TEMPERATURE"


def snapshot(world):
    world.write_raw("SSH", world.raw["SSH"], tag="day_snap", step=12, timeInterval="[ 43200.0 ]")
    at = "1992-01-02T00:00:00"
    return world.task(variables={"SSH": ["SSH"]}, tag="day_snap", date="1992-01-02", step=12, metadata={
        "time_coverage_start": at, "time_coverage_end": at, "time_coverage_center": at, "time_long_name": "snapshot time",
        "time_coverage_duration": "PT0S", "time_coverage_resolution": "PT0S"})


def test_snapshots(world):
    task = snapshot(world)
    report = produce(world.root, [task], config=world.config)
    values, everything = variables_of(task["granule"]), attributes_of(task["granule"])
    assert values["time"].tolist() == [12] and values["time_bnds"].tolist() == [[12, 12]]
    assert list(values)[-4:] == ["SSH", "time_bnds", "XC_bnds", "YC_bnds"]
    assert everything["title"] == everything["time_coverage_start"] == "TBD_DATASET"
    assert "no PO.DAAC attributes" in report["granules"][0]["notes"][0]
    produce(world.root, [task], "--fix", "all", config=world.config)
    everything = attributes_of(task["granule"])
    assert everything["title"] == "Snapshots" and everything["time_coverage_start"] == "1992-01-02T00:00:00"
    assert everything["time_coverage_end"] == "1992-01-02T00:00:00"


# --- Running ----------------------------------------------------------------------------------------------------------

def test_what_is_made_is_kept(world):
    tasks = [world.task(), world.task(kind="latlon")]
    first = produce(world.root, tasks, config=world.config)
    assert (first["made"], first["kept"]) == (2, 0)
    stamps = [os.stat(task["granule"]).st_mtime_ns for task in tasks]
    again = produce(world.root, tasks, config=world.config)
    assert (again["made"], again["kept"]) == (0, 2)
    assert stamps == [os.stat(task["granule"]).st_mtime_ns for task in tasks]
    assert produce(world.root, tasks, "--no-resume", config=world.config)["made"] == 2
    # An input that is touched, but the same, changes nothing; one that is another does.
    os.utime(tasks[0]["variables"]["ETAN"][0][0])
    assert produce(world.root, tasks, config=world.config)["kept"] == 2
    world.write_raw("ETAN", world.raw["SSH"])
    assert produce(world.root, tasks, config=world.config)["made"] == 2
    with open(tasks[1]["granule"], "r+b") as granule:
        granule.truncate(1000)
    assert produce(world.root, tasks, config=world.config)["made"] == 1
    world.make_config(history="Made again")
    assert produce(world.root, tasks, config=world.config)["made"] == 2
    # Other factors make lat-lon granules again.
    mask = world.root / "factors/land_mask/ecco_latlon_land_mask_0.xz"
    mask.write_bytes((world.root / "factors/land_mask/ecco_latlon_land_mask_1.xz").read_bytes())
    again = produce(world.root, tasks, config=world.config, status=None)
    assert [granule["outcome"] for granule in again["granules"]][0] == "kept" and again["granules"][1]["outcome"] != "kept"


def test_reproducible(world):
    tasks = [world.task(), world.task("VELOCITY", {"EVEL": ["UVEL", "VVEL"]}, "latlon", "3D")]
    sums = []
    for _ in range(2):
        produce(world.root, tasks, "--reproducible", "--no-resume", config=world.config)
        sums.append([hashlib.sha256(Path(task["granule"]).read_bytes()).hexdigest() for task in tasks])
        time.sleep(1.1)
    assert sums[0] == sums[1]
    everything = attributes_of(tasks[0]["granule"])
    assert everything["date_created"] == "1970-01-01T00:00:00" and everything["uuid"][14] == "5"
    world.write_raw("SSH", world.raw["ETAN"])
    produce(world.root, tasks[:1], "--reproducible", "--created", "2026-01-01T00:00:00", config=world.config)
    other = attributes_of(tasks[0]["granule"])
    assert other["uuid"] != everything["uuid"] and other["date_issued"] == "2026-01-01T00:00:00"


def test_checksums_and_report(world):
    task = world.task()
    produce(world.root, [task], config=world.config)
    report = produce(world.root, [task], "--checksum", "sha256", "--checksum", "md5", config=world.config)
    for program in ("sha256sum", "md5sum"):
        sidecar = task["granule"] + "." + program.removesuffix("sum")
        subprocess.run([program, "-c", sidecar], cwd=world.root / "out", check=True, capture_output=True)
    granule = report["granules"][0]
    assert granule["sha256"] == hashlib.sha256(Path(task["granule"]).read_bytes()).hexdigest()
    assert granule["output_bytes"] == os.path.getsize(task["granule"]) and granule["outcome"] == "made"
    assert granule["input_bytes"] == sum(os.path.getsize(f) for v in task["variables"].values() for f in v[0])


def test_dry_run(world):
    tasks = [world.task(), world.task("THETA", {"THETA": ["THETA"]}, "latlon", "3D")]
    report = produce(world.root, tasks, "--dry-run", config=world.config)
    assert report["planned"] == 2 and not (world.root / "out").exists()
    assert "2 to make" in report["stderr"]
    expected = [granule["output_bytes"] for granule in report["granules"]]
    made = produce(world.root, tasks, config=world.config)
    for guess, granule in zip(expected, made["granules"]):
        assert 0.5 < guess / granule["output_bytes"] < 2


def test_names_of_edp(world, tmp_path):
    for name in ("edp_generate_dataproducts", "edp_generate_datasets"):
        program = tmp_path / name
        program.symlink_to(UPWELL)
        task = world.task(ecco_cfg_loc=str(world.config))
        produce(world.root, [task], "--no-resume", "-l", "DEBUG", config=world.config, program=[str(program)])


def test_many_at_once_in_little_memory(world):
    tasks = [world.task(date=f"{1992 + i // 12}-{i % 12 + 1:02d}") for i in range(60)]
    report = produce(world.root, tasks, "--jobs", "8", "--memory", "1MB", config=world.config)
    assert report["made"] == 60
    reference = variables_of(tasks[0]["granule"])
    for task in tasks:
        values = variables_of(task["granule"])
        assert all(same_bits(values[name], reference[name]) for name in reference)


def test_everything_in_buckets(world):
    """Task list, configuration, grid, factors, metadata, raw output and granules: the same bytes as from files."""
    tasks = [world.task(), world.task("VELOCITY", {"EVEL": ["UVEL", "VVEL"]}, "latlon", "3D")]
    produce(world.root, tasks, "--reproducible", config=world.config)
    local = [Path(task["granule"]).read_bytes() for task in tasks]
    server = s3_servers.start_moto()
    try:
        client = server.client()
        client.create_bucket(Bucket="ecco")
        text = json.dumps(tasks).replace(str(world.root), "s3://ecco")
        (world.root / "remote.json").write_text(text)
        for path in world.root.rglob("*"):
            if path.is_file() and "out" not in path.parts:
                client.upload_file(str(path), "ecco", str(path.relative_to(world.root)))
        command = [UPWELL, "produce", "granules", "--tasklist", "s3://ecco/remote.json", "--cfgfile", "s3://ecco/config.yaml",
                   "--reproducible", "--checksum", "md5"]
        for outcome in ("2 made", "2 kept"):
            run = subprocess.run(command, env={**os.environ, **server.environment}, capture_output=True, text=True, timeout=120)
            assert run.returncode == 0 and outcome in run.stderr, run.stderr
        for task, bytes_wanted in zip(tasks, local):
            key = task["granule"].replace(f"{world.root}/", "")
            got = client.get_object(Bucket="ecco", Key=key)["Body"].read()
            with open(world.root / "remote.nc", "wb") as out:
                out.write(got)
            ours, theirs = variables_of(world.root / "remote.nc"), variables_of(task["granule"])
            assert all(same_bits(ours[name], theirs[name]) for name in theirs) and len(got) == len(bytes_wanted)
            md5 = client.get_object(Bucket="ecco", Key=key + ".md5")["Body"].read().decode()
            assert md5 == f"{hashlib.md5(got).hexdigest()}  {Path(key).name}\n"
    finally:
        server.stop()


# --- Bad input --------------------------------------------------------------------------------------------------------

def broken(world, damage):
    """One good task, one whose input `damage` has spoilt: the good one must be made, the other named."""
    bad = world.task("THETA", {"THETA": ["THETA"]}, dimension="3D")
    data, meta = bad["variables"]["THETA"][0]
    damage(Path(data), Path(meta), bad)
    return [bad, world.task()]


def change(pattern, replacement):
    return lambda data, meta, task: meta.write_text(re.sub(pattern, replacement, meta.read_text(), count=1))


def spoil(index, value):
    def damage(data, meta, task):
        values = np.fromfile(data, ">f4")
        values[index] = value
        values.tofile(data)
    return damage


@pytest.mark.parametrize("damage, status, message", [
    (lambda data, meta, task: data.unlink(), 66, r"THETA_mon_mean.0000000732.data"),
    (lambda data, meta, task: meta.unlink(), 66, r"THETA_mon_mean.0000000732.meta"),
    (lambda data, meta, task: data.write_bytes(data.read_bytes()[:-5]), 65, r"\.data: 7483 bytes, where .*\.meta says 7488"),
    (change(r"dimList = \[\n 6,", "dimList = [\n 7,"), 65, r"\.meta: .*"),
    (change("732", "733"), 65, r"\.meta: line \d+: timeStepNumber is 733, where the file's name says 732"),
    (change("THETA", "SALTY"), 65, r"\.meta: line \d+: fldList names SALTY"),
    (change("2635200.0", "2635100.0"), 65, r"timeInterval ends 2635100"),
    (change("float32", "float16"), 65, r"\.meta: line \d+"),
    (change(r"nrecords = ", "nrecords "), 65, r"\.meta: line \d+"),
    (lambda data, meta, task: task.update(ecco_grid_loc="/nowhere"), 66, r"grid /nowhere"),
    (lambda data, meta, task: task["dynamic_metadata"].update(dimension="1D"), 65, r"only 2D and 3D"),
    (lambda data, meta, task: task["dynamic_metadata"].update(time_coverage_end="soon"), 65, r"soon"),
    (lambda data, meta, task: task.update(granule="out/wrong.nc"), 65, r"its name must be"),
    (lambda data, meta, task: task.update(variables={"THETA": [[str(meta), str(data)]]}), 65, r"THETA"),
])
def test_bad_input(world, damage, status, message):
    tasks = broken(world, damage)
    report = produce(world.root, tasks, config=world.config, status=status)
    assert report["failed"] == 1 and report["made"] == 1
    assert re.search(message, report["granules"][0]["error"]["message"]), report["granules"][0]["error"]
    assert re.search(message, report["stderr"])
    assert Path(tasks[1]["granule"]).exists() and not Path(tasks[0]["granule"]).exists()
    assert not [p for p in (world.root / "out").iterdir() if ".tmp-" in p.name]


def test_values_that_are_no_numbers(world):
    wet = np.argwhere(world.wet_centre)[0]
    for value in (np.nan, np.inf):
        field = world.raw["THETA"].copy()
        field[tuple(wet)] = value
        field[tuple(np.argwhere(~world.wet_centre)[0])] = np.nan  # on land: of no account
        world.write_raw("THETA", field)
        task = world.task("THETA", {"THETA": ["THETA"]}, dimension="3D")
        report = produce(world.root, [task], config=world.config, status=65)
        place = "k {}, tile {}, j {}, i {}".format(*wet)
        assert f"1 values at points of water are NaN or infinite, the first at {place}" in report["stderr"]
        produce(world.root, [task], "--not-finite", "keep", config=world.config)
        made = variables_of(task["granule"])["THETA"][0]
        assert made[tuple(wet)] == (FILL if np.isnan(value) else np.inf)


def test_a_list_that_is_none(world):
    tasklist = world.root / "tasks.json"
    tasklist.write_text('[\n {"granule": "x"},\n oops]')
    run = subprocess.run([UPWELL, "produce", "granules", "--tasklist", tasklist, "--cfgfile", world.config],
                         capture_output=True, text=True)
    assert run.returncode == 65 and "tasks.json" in run.stderr and "line 3" in run.stderr


def test_two_tasks_for_one_granule(world):
    report = produce(world.root, [world.task(), world.task()], config=world.config, status=65)
    assert report["made"] == 1 and "tasks 1 and 2 write the same granule" in report["stderr"]


def test_a_disk_that_is_full(world):
    task = world.task()
    (world.root / "out").write_text("a file where a directory should be")
    report = produce(world.root, [task], config=world.config, status=73)
    assert report["failed"] == 1 and "out" in report["granules"][0]["error"]["message"]


# --- The real thing ---------------------------------------------------------------------------------------------------

needs_ecco = pytest.mark.skipif(not ECCO.exists(), reason=f"no ECCO data at {ECCO}; set UPWELL_SHARED")
CONFIG = ECCO / "configs/product_generation_config_updated.yaml"


@pytest.fixture(scope="module")
def ecco(tmp_path_factory):
    """The shared data as one tree: the grid in one directory, raw 3-D output unpacked."""
    root = tmp_path_factory.mktemp("ecco")
    grid = root / "grid"
    grid.mkdir()
    for path in (ECCO / "grid_ECCOV4r4").iterdir():
        if not path.name.startswith("maskCtrl"):
            (grid / path.name).symlink_to(path)
    for path in (ECCO / "recon").glob("*.nc"):
        (grid / path.name).symlink_to(path)
    for name in ("THETA", "UVEL", "VVEL"):
        source = ECCO / f"synthetic3d/V4r4/diags_monthly/{name}_mon_mean"
        target = root / f"raw/{name}_mon_mean"
        target.mkdir(parents=True)
        stem = f"{name}_mon_mean.0000000732"
        (target / f"{stem}.data").write_bytes(lzma.decompress((source / f"{stem}.data.xz").read_bytes()))
        shutil.copy(source / f"{stem}.meta", target)
    # The salinity of the oracle: what it was made of was water's value at points of water, and 0 on land.
    salt = variables_of(glob.glob(str(ECCO / "oracle/synthetic3d/*native*.nc"))[0])["SALT"][0]
    target = root / "raw/SALT_mon_mean"
    target.mkdir()
    compact(np.where(salt > 1e30, np.float32(0), salt)).astype(">f4").tofile(target / "SALT_mon_mean.0000000732.data")
    shutil.copy(ECCO / "results/V4r4/diags_monthly/SALT_mon_mean/SALT_mon_mean.0000000732.meta", target)
    return root


def ecco_task(ecco, kind, name="SEA_SURFACE_HEIGHT", variables=None):
    saved = json.loads((ECCO / "tests/SSH_native_latlon_local/SSH_native_latlon_mon_mean_tasks.json.sav").read_text())
    task = next(t for t in saved if f"_1992-01_ECCO_V4r4_{kind}_" in t["granule"])
    task["granule"] = str(ecco / "out" / Path(task["granule"]).name)
    task.update(ecco_grid_loc=str(ecco / "grid"), ecco_mapping_factors_loc=str(ECCO / "mapping_factors/V4r4"),
                ecco_metadata_loc=str(ECCO / "metadata/R4"))
    task["variables"] = {v: [[f.replace("../data/ecco_results", str(ECCO / "results")) for f in pair] for pair in pairs]
                         for v, pairs in task["variables"].items()}
    if variables:
        task["granule"] = task["granule"].replace("SEA_SURFACE_HEIGHT", name)
        metadata = task["dynamic_metadata"]
        metadata["summary"] = metadata["summary"].replace(metadata["name"], "ocean potential temperature and salinity")
        metadata.update(dimension="3D", name="ocean potential temperature and salinity")
        metadata.pop("comment")
        task["variables"] = {v: [[str(ecco / f"raw/{s}_mon_mean/{s}_mon_mean.0000000732.{e}") for e in ("data", "meta")]
                                 for s in sources] for v, sources in variables.items()}
    return task


def header(path):
    """Lines of ncdump -hs; without dates, identity and versions; names of coordinates, which Python has in no order, sorted."""
    text = subprocess.run(["ncdump", "-hs", path], capture_output=True, text=True, check=True).stdout
    text = re.sub(r'(date_\w+|uuid|_NCProperties) = "[^"]*"', r"\1", text)
    return [re.sub(r'coordinates = "([^"]*)"', lambda m: " ".join(sorted(m[1].split())), line)
            for line in text.splitlines()[1:]]


def assert_equals_oracle(made, oracle):
    ours, theirs = variables_of(made), variables_of(oracle)
    assert list(ours) == list(theirs)
    for name in theirs:
        assert same_bits(ours[name], theirs[name]), name
    assert header(made) == header(oracle)
    assert os.path.getsize(made) <= os.path.getsize(oracle)


@needs_ecco
def test_the_native_granule_of_the_pipeline(ecco):
    task = ecco_task(ecco, "native")
    produce(ecco, [task], config=CONFIG)
    assert_equals_oracle(task["granule"], glob.glob(str(ECCO / "oracle/native_SSH_from_python/*.nc"))[0])


@needs_ecco
@pytest.mark.parametrize("packed", [False, True])
def test_the_raw_grid_of_v4r4(ecco, tmp_path, packed):
    """Without its netCDF files, in a directory and in an archive."""
    grid = tmp_path / "grid"
    grid.mkdir()
    for path in (ecco / "grid").iterdir():
        if path.suffix != ".nc":
            (grid / path.name).symlink_to(path.resolve())
    for path in (ECCO / "recon").glob("hFac*.data.gz"):
        (grid / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    location = str(grid)
    if packed:
        location = str(tmp_path / "grid_ECCOV4r4.tar.gz")
        with tarfile.open(location, "w:gz", compresslevel=1, dereference=True) as archive:
            archive.add(grid, "grid_ECCOV4r4")
    native, latlon = (ecco_task(ecco, kind) for kind in ("native", "latlon"))
    deep = [ecco_task(ecco, kind, "OCEAN_TEMPERATURE_SALINITY", {"THETA": ["THETA"], "SALT": ["SALT"]})
            for kind in ("native", "latlon")]
    for task in (native, latlon, *deep):
        task["ecco_grid_loc"] = location
    produce(ecco, [native, latlon], "--no-resume", config=CONFIG)
    produce(ecco, deep, "--no-resume", "--fix", "keywords", config=CONFIG)
    assert_equals_oracle(native["granule"], glob.glob(str(ECCO / "oracle/native_SSH_from_python/*.nc"))[0])
    assert_equals_oracle(latlon["granule"], glob.glob(str(ECCO / "tests/SSH_native_latlon_local/V4r4_sav/latlon/*/*/*.nc"))[0])
    for task, kind in zip(deep, ("native", "latlon")):
        assert_equals_oracle(task["granule"], glob.glob(str(ECCO / f"oracle/synthetic3d/*{kind}*.nc"))[0])


@needs_ecco
def test_the_latlon_granule_of_jpl(ecco):
    task = ecco_task(ecco, "latlon")
    produce(ecco, [task], config=CONFIG)
    saved = glob.glob(str(ECCO / "tests/SSH_native_latlon_local/V4r4_sav/latlon/*/*/*.nc"))[0]
    assert_equals_oracle(task["granule"], saved)


@needs_ecco
@pytest.mark.parametrize("kind", ["native", "latlon"])
def test_the_3d_granules_of_the_pipeline(ecco, kind):
    task = ecco_task(ecco, kind, "OCEAN_TEMPERATURE_SALINITY", {"THETA": ["THETA"], "SALT": ["SALT"]})
    produce(ecco, [task], config=CONFIG)
    assert_equals_oracle(task["granule"], glob.glob(str(ECCO / f"oracle/synthetic3d/*{kind}*.nc"))[0])


@needs_ecco
def test_vectors_as_ecco_v4_py_turns_them(ecco):
    task = ecco_task(ecco, "native", "OCEAN_VELOCITY", {"EVEL": ["UVEL", "VVEL"], "NVEL": ["UVEL", "VVEL"]})
    produce(ecco, [task], config=CONFIG)
    values = variables_of(task["granule"])
    for name, letter in (("EVEL", "e"), ("NVEL", "n")):
        truth = np.fromfile(ECCO / f"oracle/UEVN_{letter}_levels0_10_30_tiles_13x90x90_le_f4.bin", "<f4").reshape(3, 13, 90, 90)
        ours = values[name][0][[0, 10, 30]]
        wet = ours < 1e30
        assert wet.sum() == 167632 and same_bits(ours[wet], truth[wet])

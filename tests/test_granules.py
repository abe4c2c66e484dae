"""upwell produce granules: raw MITgcm output becomes granules as ECCO dataset production makes them.

On a small synthetic grid (llc_world.py), whose values NumPy gives; and, where the shared data is, against granules of JPL and
of the Python pipeline.
"""

import glob
import hashlib
import json
import os
import re
import subprocess
import time
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

import s3_servers
import s3_tap
from granule_runs import (CONFIG, ECCO, UPWELL, assert_equals_oracle, attributes_of, ecco_task, needs_ecco, produce, real_tree,
                          same_bits, variables_of)
from llc_world import FILL, World, east_north

N = 6


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


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
    note = "time_coverage_start, title are TBD: 0 rows of podaac.csv are for such granules; --fix snapshots sets them"
    assert report["granules"][0]["notes"] == [note]
    assert f"warning: {task['granule']}: {note}\n" in report["stderr"]
    fixed = produce(world.root, [task], "--fix", "all", config=world.config)
    assert "notes" not in fixed["granules"][0] and "TBD" not in fixed["stderr"]
    everything = attributes_of(task["granule"])
    assert everything["title"] == "Snapshots" and everything["time_coverage_start"] == "1992-01-02T00:00:00"
    assert everything["time_coverage_end"] == "1992-01-02T00:00:00"


def test_what_is_open_is_said_once(world):
    """Of several snapshots one line; no option is named where none helps."""
    tasks = [snapshot(world)] + [snapshot(world) for _ in range(2)]
    for day, task in enumerate(tasks):
        task["granule"] = task["granule"].replace("1992-01-02", f"1992-01-0{day + 2}")
    said = produce(world.root, tasks, config=world.config)["stderr"]
    assert said.count("TBD") == 1 and f"warning: 3 granules, the first {tasks[0]['granule']}: time_coverage_start" in said
    assert "TBD" not in produce(world.root, tasks, "--no-resume", "-l", "ERROR", config=world.config)["stderr"]
    world.make_config(podaac_metadata_filename="nowhere.csv")
    mean = world.task()
    said = produce(world.root, [snapshot(world), mean], config=world.config)
    assert [g["notes"][0].split(": ", 1) for g in said["granules"]] == [
        ["time_coverage_start, title are TBD",
         f"nowhere.csv is not in {world.root}/metadata, or has no rows; --fix snapshots sets the times"],
        ["title is TBD", f"nowhere.csv is not in {world.root}/metadata, or has no rows"]]


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


@pytest.mark.parametrize("change", ["available_diagnostics.log", "GRID_GEOMETRY_latlon.nc", "podaac.csv"])
def test_what_hangs_on_other_files_is_made_again(world, change):
    task = world.task(kind="native" if change == "podaac.csv" else "latlon")
    produce(world.root, [task], config=world.config)
    if change == "podaac.csv":
        path = next(world.root.rglob(change))
        text = path.read_text()
        path.write_text(text.replace("monthly", "weekly"))
        assert path.read_text() != text
    elif change == "GRID_GEOMETRY_latlon.nc":
        with netCDF4.Dataset(next(world.root.rglob(change)), "a") as nc:
            nc["latitude"][0] = nc["latitude"][0] + 0.5
    else:
        path = next(world.root.rglob(change))
        lines = path.read_text().splitlines()
        path.write_text("\n".join(line for line in lines if "|SALT" not in line) + "\n")
        assert path.read_text().splitlines() != lines
    assert produce(world.root, [task], config=world.config)["made"] == 1


def test_factors_of_a_grid_with_other_water_are_refused(world):
    task = world.task(kind="latlon")
    with netCDF4.Dataset(next(world.root.rglob("*native*.nc")), "a") as nc:
        mask = nc["maskC"][:]
        at = np.argwhere(np.asarray(mask[0]) == 0)[0]
        mask[(0, *at)] = 1
        nc["maskC"][:] = mask
    report = produce(world.root, [task, world.task()], config=world.config, status=65)
    where = "tile {}, j {}, i {}".format(*at)
    assert "another grid" in report["granules"][0]["error"]["message"] and where in report["granules"][0]["error"]["message"]
    assert report["made"] == 1 and not Path(task["granule"]).exists()


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
    # A sidecar is that of its granule, whatever was asked of the runs between.
    world.make_config(history="Made again")
    produce(world.root, [task], "--checksum", "md5", config=world.config)
    assert not Path(task["granule"] + ".sha256").exists()
    Path(task["granule"] + ".md5").write_text("0" * 32 + f"  {Path(task['granule']).name}\n")
    assert produce(world.root, [task], "--checksum", "sha256", "--checksum", "md5", config=world.config)["kept"] == 1
    for program in ("sha256sum", "md5sum"):
        subprocess.run([program, "-c", task["granule"] + "." + program.removesuffix("sum")], cwd=world.root / "out", check=True, capture_output=True)
    report = produce(world.root, [task], "--no-resume", config=world.config)
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


@pytest.mark.parametrize("fault", [(500, b""), False], ids=["refused", "cut"])
def test_a_bucket_that_fails_in_the_middle_of_writing(world, fault):
    """The other granules are made, nothing partial is left, the status says try again, and the next run makes what is missing."""
    tasks = [world.task(date=date) for date in ("1992-01", "1992-02", "1992-03")]
    text = json.dumps(tasks).replace(f"{world.root}/out", "s3://ecco/out")
    (world.root / "remote.json").write_text(text)
    keys = [task["granule"].replace(f"{world.root}/", "") for task in tasks]
    command = [UPWELL, "produce", "granules", "--tasklist", world.root / "remote.json", "--cfgfile", world.config, "--retries", "1",
               "--report", world.root / "report.json"]
    server = s3_servers.start_moto()
    try:
        client = server.client()
        client.create_bucket(Bucket="ecco")

        def there():
            listed = client.list_objects_v2(Bucket="ecco").get("Contents", [])
            return sorted(o["Key"] for o in listed if o["Key"].endswith(".nc"))

        with s3_tap.tapping(server.environment["AWS_ENDPOINT_URL"]) as tap:
            environment = {**os.environ, **tap.environment(server)}
            tap.before = lambda request: fault if request.method in ("PUT", "POST") and keys[1] in request.path else None
            run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
            assert run.returncode == 75 and keys[1] in run.stderr and "2 made" in run.stderr, run.stderr
            report = json.loads((world.root / "report.json").read_text())
            assert report["made"] == 2 and report["failed"] == 1
            assert there() == [keys[0], keys[2]]
            tap.before = None
            run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
            assert run.returncode == 0 and "1 made, 2 kept" in run.stderr, run.stderr
            assert there() == keys
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


@pytest.mark.parametrize("key, message", [("ecco_grid_loc", "grid /nowhere"), ("ecco_mapping_factors_loc", "/nowhere"),
                                          ("ecco_metadata_loc", "metadata /nowhere"), ("ecco_cfg_loc", "/nowhere")])
def test_what_all_tasks_share_is_an_error_once(world, key, message):
    tasks = [world.task(kind="latlon", date=f"1992-{month:02}") for month in range(1, 13)]
    good = world.task(variables={"SSH": ["SSH"]})
    for task in tasks:
        task[key] = "/nowhere"
    report = produce(world.root, [*tasks, good], config=None if key == "ecco_cfg_loc" else world.config, status=None)
    errors = [g["error"]["message"] for g in report["granules"] if "error" in g]
    assert len(errors) >= 12 and all(message in e for e in errors[:12])
    assert [g["outcome"] for g in report["granules"][:12]] == ["failed"] * 12
    lines = [line for line in report["stderr"].splitlines() if message in line]
    assert len(lines) == 2, report["stderr"]  # of the granules, and of the program
    assert lines[0].startswith(f"12 granules, the first {tasks[0]['granule']}: not found: ")
    assert lines[1].startswith(f"upwell produce granules: not found: {len(errors)} of 13 tasks failed, the first: ")


def place_of(world, level, tile, j, i):
    """As messages have it; depth only where there are levels."""
    at = ", ".join(f"{name} {index}" for name, index in (("tile", tile), ("j", j), ("i", i)))
    depth = "" if level is None else f"k {level} ({-(world.faces[level] + world.faces[level + 1]) / 2:g} m), "
    lon, lat = (str(float(str(world.position[name][tile, j, i]))) for name in ("XC", "YC"))
    return f"{depth}{at} (longitude {lon}, latitude {lat})"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers(world, value):
    wet = np.argwhere(world.wet_centre)[7]
    field = world.raw["THETA"].copy()
    field[tuple(wet)] = value
    field[tuple(np.argwhere(~world.wet_centre)[0])] = np.nan  # on land: of no account
    world.write_raw("THETA", field)
    task = world.task("THETA", {"THETA": ["THETA"]}, dimension="3D")
    report = produce(world.root, [task], config=world.config, status=65)
    assert f"1 values at points of water are NaN or infinite, the first at {place_of(world, *wet)}; --not-finite" in report["stderr"]
    produce(world.root, [task], "--not-finite", "keep", config=world.config)
    made = variables_of(task["granule"])["THETA"][0]
    assert made[tuple(wet)] == (FILL if np.isnan(value) else np.inf)


@pytest.mark.parametrize("deep", [True, False])
def test_a_cell_that_is_no_number_names_its_point(world, deep):
    """The cell in degrees, and the point of the model's grid that it has its NaN from."""
    name = "THETA" if deep else "SSH"
    level, (wet, ocean, sources) = (1, world.mapping[1]) if deep else (0, world.mapping[0])
    cell = next(c for c in np.flatnonzero(ocean) if sources[c][0] > 3)
    point = np.unravel_index(wet[sources[cell][0]], world.level_shape)
    field = world.raw[name].copy()
    field[(level, *point)] = np.nan
    world.write_raw(name, field)
    task = world.task(name, {name: [name]}, kind="latlon", dimension="3D" if deep else "2D")
    said = produce(world.root, [task], config=world.config, status=65)["stderr"]
    row, column = divmod(int(cell), world.columns)
    lat, lon = (f"{name} {world.centres[key][index]:g}" for name, key, index in
                (("latitude", "lat", row), ("longitude", "lon", column)))
    count = sum(int(sources[cell][0]) in row for row in sources)
    assert f"{count} cells are NaN or infinite, the first at {'Z 1 (20 m), ' if deep else ''}{lat}, {lon}, as are 1 values" in said
    assert f"the first at {place_of(world, level if deep else None, *point)}; --not-finite" in said


def test_a_vector_that_is_no_number_names_both_files(world):
    field = world.raw["VVEL"].copy()
    field[(0, *np.argwhere(world.wet_centre[0])[0])] = np.nan
    world.write_raw("VVEL", field)
    task = world.task("VEL", {"EVEL": ["UVEL", "VVEL"]}, dimension="3D")
    said = produce(world.root, [task], config=world.config, status=65)["stderr"]
    files = [task["variables"]["EVEL"][c][0] for c in (0, 1)]
    assert f"variable EVEL: {files[0]}, {files[1]}: " in said and "NaN or infinite, the first at k 0 (5 m), tile " in said


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

@pytest.fixture(scope="module")
def ecco(tmp_path_factory):
    return real_tree(tmp_path_factory.mktemp("ecco"))


@needs_ecco
def test_the_native_granule_of_the_pipeline(ecco):
    task = ecco_task(ecco, "native")
    produce(ecco, [task], config=CONFIG)
    assert_equals_oracle(task["granule"], glob.glob(str(ECCO / "oracle/native_SSH_from_python/*.nc"))[0])


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

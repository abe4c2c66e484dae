"""upwell produce granules --references: each dataset is a cube as soon as its granules are made, whatever happens meanwhile."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

import s3_servers
from llc_world import World
from test_granules import CONFIG, ECCO, UPWELL, ecco, ecco_task, needs_ecco, produce, same_bits, variables_of  # noqa: F401
from test_virtualize import assert_same, open_store, open_zarr

DATASET = "SSH_mon_mean_ECCO_V0_native_llc0006"


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def dates_of(step):
    end = np.datetime64("1992-01-01T12:00:00") + np.timedelta64(step, "h")
    return {"time_coverage_start": str(end - np.timedelta64(30, "D")), "time_coverage_end": str(end),
            "time_coverage_center": str(end - np.timedelta64(15, "D"))}


def months(world, count, first=0, **options):
    """Tasks of months of 30 days in a row, each of a field of its own."""
    tasks = []
    for k in range(first, first + count):
        step = 732 + 720 * k
        for name in ("SSH", "ETAN"):
            world.write_raw(name, world.raw[name] + np.float32(k), step=step)
        tasks.append(world.task(date=f"{1992 + k // 12}-{k % 12 + 1:02d}", step=step, metadata=dates_of(step), **options))
    return tasks


def keep(world, tasks, output, *options, status=0):
    return produce(world.root, tasks, "--references", str(output), *options, config=world.config, status=status)


def check(store, tasks, tmp_path, names=("SSH", "ETAN", "XC", "time_bnds")):
    """What xarray and fsspec, and upwell read, get through the set are the granules' values."""
    truth = [variables_of(task["granule"]) for task in sorted(tasks, key=lambda t: t["granule"])]
    stored = open_store(store) if not str(store).endswith(".upwell") else None
    for name in names:
        along = netCDF4.Dataset(tasks[0]["granule"])[name].dimensions[0] == "time"
        wanted = np.concatenate([t[name] for t in truth]) if along else truth[0][name]
        if stored is not None:
            assert same_bits(stored[name][...], wanted), name
        subprocess.run([UPWELL, "read", str(store), name, "--raw", "-o", str(tmp_path / "read.npy"), "-q"], check=True, timeout=60)
        assert same_bits(np.load(tmp_path / "read.npy"), wanted), name
    subprocess.run([UPWELL, "verify", str(store), "--all", "-q"], check=True, timeout=60, capture_output=True)


def granules_of(store):
    document = store / ".zmetadata" if store.suffix == ".parq" else store
    return [Path(g["url"]).name for g in json.loads(document.read_text())["upwell"]["granules"]]


@pytest.mark.parametrize("suffix", ["json", "parq", "upwell"])
def test_a_cube_of_what_is_made(world, tmp_path, suffix):
    tasks = months(world, 6)
    store = tmp_path / f"sets/cube.{suffix}"
    report = keep(world, tasks[:4], store)
    said, = report["references"]
    assert said["output"] == str(store) and "error" not in said
    assert (said["granules"], said["added"], said["replaced"], said["updates"]) == (4, 4, 0, 1)
    check(store, tasks[:4], tmp_path)
    # A second run changes nothing.
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in store.parent.rglob("*")}
    again = keep(world, tasks[:4], store)["references"][0]
    assert (again["added"], again["updates"], again["granules"]) == (0, 0, 4)
    assert before == {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in store.parent.rglob("*")}
    # More of the list: added at the end, under readers that have it open.
    more = keep(world, tasks, store)["references"][0]
    assert (more["added"], more["replaced"], more["granules"]) == (2, 0, 6)
    check(store, tasks, tmp_path)


def test_a_directory_has_a_set_of_each_dataset(world, tmp_path):
    tasks = months(world, 3) + months(world, 2, kind="latlon") + [world.task("THETA", {"THETA": ["THETA"]}, dimension="3D")]
    out = tmp_path / "cubes"
    report = keep(world, tasks, out)
    assert sorted(path.name for path in out.iterdir()) == [
        "SSH_mon_mean_ECCO_V0_latlon_regular.json", f"{DATASET}.json", "THETA_mon_mean_ECCO_V0_native_llc0006.json"]
    assert {Path(r["output"]).stem: r["granules"] for r in report["references"]} == {
        DATASET: 3, "SSH_mon_mean_ECCO_V0_latlon_regular": 2, "THETA_mon_mean_ECCO_V0_native_llc0006": 1}
    check(out / f"{DATASET}.json", tasks[:3], tmp_path)
    check(out / "SSH_mon_mean_ECCO_V0_latlon_regular.json", tasks[3:5], tmp_path, ("SSH", "ETAN", "latitude", "time_bnds"))
    check(out / "THETA_mon_mean_ECCO_V0_native_llc0006.json", tasks[5:], tmp_path, ("THETA", "Z_bnds"))
    # Lists that follow add to the same sets; also to one of a single granule.
    world.write_raw("THETA", world.raw["THETA"] + 1, step=1452)
    later = world.task("THETA", {"THETA": ["THETA"]}, dimension="3D", date="1992-02", step=1452, metadata=dates_of(1452))
    report = keep(world, [*months(world, 1, first=3), later], out)
    assert [r["granules"] for r in report["references"]] == [4, 2]
    check(out / "THETA_mon_mean_ECCO_V0_native_llc0006.json", [tasks[5], later], tmp_path, ("THETA", "Z_bnds"))
    named = tmp_path / "named"
    keep(world, tasks, named / "{type}/{name}_{frequency}_{version}_{grid}.upwell")
    assert sorted(str(p.relative_to(named)) for p in named.glob("*/*")) == [
        "latlon/SSH_mon_mean_V0_regular.upwell", "native/SSH_mon_mean_V0_llc0006.upwell", "native/THETA_mon_mean_V0_llc0006.upwell"]


def test_what_makes_no_sense_is_said_before_anything_is_made(world, tmp_path):
    tasks = months(world, 1) + months(world, 1, kind="latlon")
    for output, says in (("cube.json", "do not go into one set"), ("{what}.json", "dataset, name, frequency"), ("{dataset", "between"),
                         ("s3://bucket/x.parq", "in an object store")):
        output = output if output.startswith("s3:") else str(tmp_path / output)
        stderr = produce(world.root, tasks, "--references", output, config=world.config, status=64, report=False)
        assert says in stderr, stderr
    assert not (world.root / "out").exists()


def test_what_was_made_anew_takes_its_place(world, tmp_path):
    tasks = months(world, 4)
    for suffix in ("json", "upwell"):
        store = tmp_path / f"cube.{suffix}"
        keep(world, tasks, store)
        world.write_raw("SSH", world.raw["SSH"] * 2 + np.float32(len(suffix)), step=732 + 720)
        report = keep(world, tasks, store)
        assert (report["made"], report["kept"]) == (1, 3)
        said = report["references"][0]
        assert (said["added"], said["replaced"], said["granules"]) == (0, 1, 4)
        check(store, tasks, tmp_path)


def test_parquet_says_that_it_only_grows(world, tmp_path):
    tasks = months(world, 3)
    store = tmp_path / "cube.parq"
    keep(world, tasks, store)
    world.write_raw("SSH", world.raw["SSH"] * 2, step=732)
    report = keep(world, tasks, store, status=65)
    assert report["made"] == 1 and report["failed"] == 0
    assert "grows only at its end" in report["references"][0]["error"]["message"]
    assert "all granules are there, but not their references" in report["stderr"]


def test_a_task_that_fails_leaves_a_hole_until_it_is_made(world, tmp_path):
    tasks = months(world, 4)
    store = tmp_path / "cube.json"
    data = Path(tasks[1]["variables"]["SSH"][0][0])
    whole = data.read_bytes()
    data.write_bytes(whole[:100])
    report = keep(world, tasks, store, "--references-every", "0", status=65)
    assert report["failed"] == 1 and report["references"][0]["granules"] == 3
    check(store, [tasks[0], *tasks[2:]], tmp_path)
    data.write_bytes(whole)
    assert keep(world, tasks, store)["references"][0]["granules"] == 4
    check(store, tasks, tmp_path)


def test_granules_that_are_there_already_are_added(world, tmp_path):
    tasks = months(world, 3)
    produce(world.root, tasks, config=world.config)
    store = tmp_path / "cube.json"
    report = keep(world, tasks, store)
    assert report["kept"] == 3 and report["references"][0]["added"] == 3
    check(store, tasks, tmp_path)
    # A set that lost its last granules catches up.
    shutil.copy(store, tmp_path / "full.json")
    subprocess.run([UPWELL, "append", str(store), "--remove", "*1992-03*"], check=True, capture_output=True)
    assert keep(world, tasks, store)["references"][0]["added"] == 1
    check(store, tasks, tmp_path)


def test_an_error_of_the_set_is_no_failure_of_granules(world, tmp_path):
    tasks = months(world, 2)
    store = tmp_path / "cube.json"
    store.write_text("{\"nothing\": 1}")
    report = keep(world, tasks, store, status=65)
    assert report["made"] == 2 and report["failed"] == 0 and report["references"][0]["error"]["code"]
    assert store.read_text() == "{\"nothing\": 1}"
    store.unlink()
    assert keep(world, tasks, store)["references"][0]["granules"] == 2


def test_a_run_that_is_killed_catches_up(world, tmp_path):
    tasks = months(world, 40)
    store = tmp_path / "cube.json"
    (world.root / "tasks.json").write_text(json.dumps(tasks))
    command = [UPWELL, "produce", "granules", "--tasklist", str(world.root / "tasks.json"), "--cfgfile", str(world.config), "-q",
               "--references", str(store), "--references-every", "0", "-j", "2"]
    seen = set()
    for _ in range(6):
        run = subprocess.Popen(command)
        until = time.time() + 20
        known = len(granules_of(store)) if store.exists() else 0
        while run.poll() is None and time.time() < until:
            if store.exists() and len(granules_of(store)) > known + 3:  # whole at every moment
                break
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
        run.wait()
        if store.exists():
            there = granules_of(store)
            assert there == sorted(there) and there == [Path(t["granule"]).name for t in tasks[:len(there)]]
            seen.add(len(there))
    assert len(seen) > 1
    report = keep(world, tasks, store)
    assert report["failed"] == 0 and report["references"][0]["granules"] == 40
    check(store, tasks, tmp_path)


def test_two_runs_on_one_set(world, tmp_path):
    """As on a cluster: each its own part of the list."""
    tasks = months(world, 24)
    out = tmp_path / "cubes"
    runs = []
    for part in range(4):
        path = world.root / f"part{part}.json"
        path.write_text(json.dumps(tasks[part::4]))
        runs.append(subprocess.Popen([UPWELL, "produce", "granules", "--tasklist", str(path), "--cfgfile", str(world.config), "-q",
                                      "--references", str(out), "--references-every", "0"]))
    assert [run.wait(timeout=120) for run in runs] == [0] * 4
    check(out / f"{DATASET}.json", tasks, tmp_path)


def test_in_a_bucket(world, tmp_path):
    tasks = months(world, 3)
    server = s3_servers.start_moto()
    try:
        client = server.client()
        client.create_bucket(Bucket="ecco")
        environment = {**os.environ, **server.environment}

        def run(list_, expected):
            (world.root / "remote.json").write_text(json.dumps(list_).replace(f"{world.root}/out", "s3://ecco/out"))
            done = subprocess.run([UPWELL, "produce", "granules", "--tasklist", str(world.root / "remote.json"), "--cfgfile", str(world.config),
                                   "--references", "s3://ecco/cubes/"], env=environment, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0 and expected in done.stderr, done.stderr
        run(tasks[:2], "2 added, 0 replaced; 2 granules now")
        run(tasks, "1 added, 0 replaced; 3 granules now")
        run(tasks, "0 added, 0 replaced; 3 granules now")
        world.write_raw("SSH", world.raw["SSH"] * 2, step=732)
        run(tasks, "0 added, 1 replaced; 3 granules now")
        produce(world.root, tasks, config=world.config)
        subprocess.run([UPWELL, "read", f"s3://ecco/cubes/{DATASET}.json", "SSH", "--raw", "-o", str(tmp_path / "ssh.npy")], env=environment,
                       check=True, timeout=60)
        wanted = np.concatenate([variables_of(task["granule"])["SSH"] for task in tasks])
        assert same_bits(np.load(tmp_path / "ssh.npy"), wanted)
    finally:
        server.stop()


def test_a_dry_run_writes_no_set(world, tmp_path):
    report = keep(world, months(world, 2), tmp_path / "cubes", "--dry-run")
    assert "references" not in report and not (tmp_path / "cubes").exists()


@needs_ecco
def test_months_of_ecco(ecco, tmp_path):  # noqa: F811
    saved = json.loads((ECCO / "tests/SSH_native_latlon_local/SSH_native_latlon_mon_mean_tasks.json.sav").read_text())
    tasks = []
    for task in saved:
        task = {**ecco_task(ecco, "native"), **{k: task[k] for k in ("granule", "variables", "dynamic_metadata")}}
        task["granule"] = str(tmp_path / "out" / Path(task["granule"]).name)
        task["variables"] = {v: [[f.replace("../data/ecco_results", str(ECCO / "results")) for f in pair] for pair in pairs]
                             for v, pairs in task["variables"].items()}
        tasks.append(task)
    report = produce(tmp_path, tasks, "--references", str(tmp_path / "cubes"), config=CONFIG)
    assert [r["granules"] for r in report["references"]] == [3, 3]
    for kind, names in (("native_llc0090", ("SSH", "ETAN", "XC")), ("latlon_0p50deg", ("SSH", "SSHIBC", "latitude"))):
        chosen = [task for task in tasks if kind in task["granule"]]
        store = tmp_path / f"cubes/SEA_SURFACE_HEIGHT_mon_mean_ECCO_V4r4_{kind}.json"
        check(store, chosen, tmp_path, names)
        with xr.open_mfdataset(sorted(task["granule"] for task in chosen), combine="by_coords", data_vars="minimal") as truth:
            assert_same(open_zarr(store), truth, [*names, "time"])

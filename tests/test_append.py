"""upwell append: after every kind of change the store reads, with the real clients, as its granules do."""

import json
import os
import shutil
import subprocess

import netCDF4
import numpy as np
import pytest

from test_virtualize import (
    UPWELL, assert_same, open_kerchunk, open_zarr, truth_of, virtualize, write_step,
)


def append(*arguments, status=0):
    run = subprocess.run(
        [UPWELL, "append", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == status, f"status {run.returncode}\n{run.stderr}"
    return run


def steps(tmp_path, numbers, **options):
    return [write_step(tmp_path / f"g{i}.nc", i, **options) for i in numbers]


def check(store, granules):
    truth = truth_of(granules)
    assert_same(open_zarr(store), truth)
    assert_same(open_kerchunk(store), truth)
    document = store / ".zmetadata" if store.is_dir() else store
    record = json.loads(document.read_text())["upwell"]
    assert [g["url"] for g in record["granules"]] == [str(g) for g in granules]
    assert all(g["size"] == os.path.getsize(g["url"]) for g in record["granules"])


VARIANTS = [
    {},
    {"chunks": (2, 16, 16)},
    {"zlib": False, "shuffle": False, "chunks": (1, 29, 31)},
    {"dtype": "f4", "scale": None, "fill": 1e20, "chunks": (1, 8, 13)},
    {"dtype": "f8", "scale": None, "fill": np.nan},
    {"dtype": "i4", "scale": None, "fill": None},
    {"endian": "big"},
    {"steps": 1},
    {"fletcher32": True},
]


@pytest.mark.parametrize("options", VARIANTS)
def test_added_in_any_order_is_made_at_once(tmp_path, options):
    g = steps(tmp_path, range(6), **options)
    store, whole = tmp_path / "cube.json", tmp_path / "whole.json"
    virtualize(g[1], g[3], "-o", store, "-q")
    append(store, g[5], "-q")
    check(store, [g[1], g[3], g[5]])
    append(store, g[4], g[2], "-q")
    append(store, g[0], "-q")
    check(store, g)
    virtualize(*g, "-o", whole, "-q")
    made, once = json.loads(store.read_text()), json.loads(whole.read_text())
    # Arrays without the time stay in the granule they were first found in.
    moved = {k for k in once["refs"] if made["refs"][k] != once["refs"][k]}
    assert all(k.startswith("mask/") or k == ".zattrs" for k in moved), moved
    assert made["refs"].keys() == once["refs"].keys()


def test_twice_changes_nothing(tmp_path):
    g = steps(tmp_path, range(3))
    store = tmp_path / "cube.json"
    virtualize(*g[:2], "-o", store, "-q")
    append(store, g[2], "-q")
    before, stat = store.read_bytes(), store.stat()
    assert "nothing to do" in append(store, *g).stderr
    assert store.read_bytes() == before and store.stat().st_ino == stat.st_ino
    run = append(store, "--remove", "no-such-granule.nc", "-q", status=66)
    assert "no-such-granule.nc" in run.stderr and str(store) in run.stderr
    run = append(g[0], g[1], status=65)
    assert f"{g[0]}: not a reference set" in run.stderr
    assert store.stat().st_ino == stat.st_ino
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cube.json", "g0.nc", "g1.nc", "g2.nc"]


def test_months_of_unencoded_bytes(tmp_path):
    """Granules of different lengths, each one run of bytes: chunks that fit all of them."""
    paths, day = [], 0
    for month, days in enumerate((31, 28, 31, 30)):
        path = tmp_path / f"m{month}.nc"
        with netCDF4.Dataset(path, "w", format="NETCDF4") as f:
            f.createDimension("time", days)
            f.createDimension("x", 5)
            t = f.createVariable("time", "f8", ("time",))
            t.units = "days since 2001-01-01"
            t[:] = day + np.arange(days)
            f.createVariable("v", "f4", ("time", "x"), contiguous=True)[:] = (
                np.arange(days * 5).reshape(days, 5) + 1000 * month)
        day += days
        paths.append(str(path))
    store = tmp_path / "cube.json"
    virtualize(paths[0], paths[1], "-o", store, "-q", "--inline-threshold", 0)
    append(store, paths[3], "-q")
    append(store, paths[2], "-q")
    assert_same(open_zarr(store), truth_of(paths))


def test_scalar_time_becomes_a_dimension(tmp_path):
    paths = []
    for i in range(4):
        path = tmp_path / f"s{i}.nc"
        with netCDF4.Dataset(path, "w") as f:
            f.createDimension("x", 400)
            t = f.createVariable("time", "f8", ())
            t.units = "days since 2001-01-01"
            t[...] = i
            f.createVariable("v", "f8", ("x",), zlib=True)[:] = np.arange(400) * i
        paths.append(str(path))
    store = tmp_path / "cube.json"
    virtualize(paths[0], paths[2], "-o", store, "-q", "--concat", "time")
    append(store, paths[3], paths[1], "-q")
    cube = open_zarr(store, decode_times=False)
    assert cube.time.values.tolist() == [0, 1, 2, 3]
    assert cube.v.dims == ("time", "x")
    for i in range(4):
        assert np.array_equal(cube.v.values[i], np.arange(400) * i)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_replaced(tmp_path, which):
    g = steps(tmp_path, range(3))
    store = tmp_path / "cube.json"
    virtualize(*g, "-o", store, "-q")
    new = write_step(tmp_path / "v2.nc", which, dtype="i2")
    with netCDF4.Dataset(new, "a") as f:
        f["v"].set_auto_maskandscale(False)
        f["v"][:] = 7 + which
    before = store.read_bytes()
    run = append(store, new, status=65)
    assert "--on-overlap" in run.stderr and g[which] in run.stderr
    append(store, new, "--on-overlap", "skip", "-q")
    assert store.read_bytes() == before
    append(store, new, "--on-overlap", "replace", "-q")
    os.remove(g[which])  # nothing of it is needed any more
    check(store, g[:which] + [new] + g[which + 1:])
    after = store.read_bytes()
    append(store, new, "--on-overlap", "replace", "-q")
    assert store.read_bytes() == after


@pytest.mark.parametrize("which", [0, 1])
def test_written_anew_in_its_place(tmp_path, which):
    g = steps(tmp_path, range(2))
    store = tmp_path / "cube.json"
    virtualize(*g, "-o", store, "-q")
    with netCDF4.Dataset(tmp_path / "other.nc", "w") as f:
        f.createDimension("pad", 5000)
        f.createVariable("pad", "f8", ("pad",))[:] = 1
    write_step(tmp_path / "new.nc", which, title="reprocessed, with another header " * 200)
    os.replace(tmp_path / "new.nc", g[which])
    append(store, *g, status=65)
    append(store, *g, "--on-overlap", "replace", "-q")
    check(store, g)


@pytest.mark.parametrize("which", [0, 1, 3])
def test_removed(tmp_path, which):
    g = steps(tmp_path, range(4))
    store = tmp_path / "cube.json"
    virtualize(*g, "-o", store, "-q")
    append(store, "--remove", f"g{which}.nc", "-q")
    os.remove(g[which])
    check(store, g[:which] + g[which + 1:])
    assert append(store, "--remove", "*", status=64)


def test_what_does_not_fit_is_named(tmp_path):
    g = steps(tmp_path, range(2))
    store = tmp_path / "cube.json"
    virtualize(*g, "-o", store, "-q")
    before = store.read_bytes()
    bad = {
        "scale_factor": write_step(tmp_path / "b1.nc", 5, scale=0.02),
        "chunk shape": write_step(tmp_path / "b2.nc", 6, chunks=(1, 10, 31)),
        "values": write_step(tmp_path / "b3.nc", 7, lat0=1.0),
        "missing variable": write_step(tmp_path / "b4.nc", 8, missing=True),
        "extra variable": write_step(tmp_path / "b5.nc", 9, extra=True),
        "codecs": write_step(tmp_path / "b6.nc", 10, zlib=False, shuffle=False),
        "fill value": write_step(tmp_path / "b7.nc", 11, fill=-1),
        "overlap": write_step(tmp_path / "b8.nc", 0, shift=1.0),
        "byte order": write_step(tmp_path / "b9.nc", 12, endian="big"),
    }
    report = tmp_path / "r.json"
    append(store, *bad.values(), "--report", report, status=65)
    assert store.read_bytes() == before
    found = {s["url"]: {r["kind"] for r in s.get("reasons", [])}
             for s in json.loads(report.read_text())["granules"]}
    for kind, path in bad.items():
        assert kind in found[path], (kind, found[path])
    assert not found[g[0]] and not found[g[1]]
    good = write_step(tmp_path / "good.nc", 3)
    append(store, *bad.values(), good, "--on-drift", "skip", "-q")
    check(store, [*g, good])


def test_other_epochs_are_brought_to_the_stores(tmp_path):
    a = write_step(tmp_path / "a.nc", 0)
    b = write_step(tmp_path / "b.nc", 1, units="days since 2000-01-03", epoch=2)
    store = tmp_path / "cube.json"
    virtualize(a, "-o", store, "-q")
    append(store, b, "-q", "--concat", "time")
    raw = open_zarr(store, decode_times=False)
    assert raw.time.values.tolist() == [0, 1, 2, 3]
    assert raw.time_bnds.values[:, 0].tolist() == [-0.5, 0.5, 1.5, 2.5]


def write_epoch(path, day, kind="i4", unit="hours", hour=0, unlimited=True, names=("time", "y", "x")):
    """One step that counts from its own day."""
    with netCDF4.Dataset(path, "w") as f:
        f.createDimension(names[0], None if unlimited else 1)
        f.createDimension("y", 4)
        f.createDimension("x", 5)
        time = f.createVariable(names[0], kind, (names[0],))
        time.units, time.bounds = f"{unit} since 2020-01-{day + 1:02d} {hour:02d}:00:00", "bnds"
        time[:] = [0]
        f.createDimension("nv", 2)
        f.createVariable("bnds", kind, (names[0], "nv"))[:] = [[0, 24 if unit == "hours" else 1]]
        f.createVariable("v", "f4", (names[0], "y", "x"), zlib=True, chunksizes=(1, 4, 5))[:] = day
    return path


@pytest.mark.parametrize("kind", ["i4", "i2", "f4"])
@pytest.mark.parametrize("form", ["cube.json", "cube.parq", "cube.upwell"])
def test_a_time_keeps_its_type_though_granules_count_from_their_own_day(tmp_path, form, kind):
    g = [write_epoch(tmp_path / f"g{i}.nc", i, kind) for i in range(5)]
    store = tmp_path / form
    virtualize(g[0], "-o", store, "-q")
    append(store, g[1], "-q")
    append(store, g[2], g[3], "-q")
    append(store, g[4], "-q")
    whole = tmp_path / ("whole." + form.split(".")[1])
    virtualize(*g, "-o", whole, "-q")
    for made in (store, whole):
        if form == "cube.upwell":
            values = {}
            for name in ("time", "bnds"):
                out = tmp_path / f"{name}.npy"
                subprocess.run([UPWELL, "read", made, name, "--raw", "-o", out], check=True, timeout=60)
                values[name] = np.load(out)
        else:
            raw = open_zarr(made, decode_times=False)
            values = {name: raw[name].values for name in ("time", "bnds")}
            assert raw.v.values[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
        assert values["time"].dtype == kind and values["bnds"].dtype == kind
        assert values["time"].tolist() == [0, 24, 48, 72, 96]
        assert values["bnds"].tolist() == [[24 * i, 24 * i + 24] for i in range(5)]
        subprocess.run([UPWELL, "verify", made, "--all"], check=True, timeout=60, capture_output=True)


@pytest.mark.parametrize("form", ["cube.json", "cube.parq", "cube.upwell"])
def test_a_time_that_its_type_cannot_hold(tmp_path, form):
    """Noon is no whole day: JSON and Upwell's form take another type, Parquet says what to do."""
    a, b = write_epoch(tmp_path / "a.nc", 0, unit="days"), write_epoch(tmp_path / "b.nc", 1, unit="days", hour=12)
    store = tmp_path / form
    virtualize(a, "-o", store, "-q")
    if form == "cube.parq":
        before = {p: p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}
        run = append(store, b, status=65)
        assert "/time would become float64, it is int32" in run.stderr and "-o NEW" in run.stderr
        assert {p: p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()} == before
        append(store, b, "-o", tmp_path / "new.parq", "-q")
        store = tmp_path / "new.parq"
    else:
        append(store, b, "-q")
    out = tmp_path / "t.npy"
    subprocess.run([UPWELL, "read", store, "time", "--raw", "-o", out], check=True, timeout=60)
    assert np.load(out).tolist() == [0, 1.5]


def test_text_that_is_copied_into_the_set(tmp_path):
    """Fixed text of netCDF, whose padding no set keeps: polarization flags of swaths."""
    def granule(n):
        path = tmp_path / f"g{n}.nc"
        with netCDF4.Dataset(path, "w") as ds:
            ds.createDimension("time", None)
            ds.createDimension("letters", 3)
            ds.createVariable("time", "f8", ("time",)).setncatts({"units": "days since 2000-01-01", "axis": "T"})
            ds["time"][:] = [n]
            ds.createVariable("flag", "S1", ("time",))[:] = np.array([b"HV"[n % 2:n % 2 + 1]])
            ds.createVariable("name", "S1", ("time", "letters"))[:] = np.frombuffer(b"g%02d" % n, "S1").reshape(1, 3)
        return path

    granules, store, once = [granule(n) for n in range(4)], tmp_path / "cube.json", tmp_path / "once.json"
    load = ("--load", "time,flag,name")
    virtualize(*granules[:2], "-o", store, *load)
    append(store, granules[2], granules[3])
    virtualize(*granules, "-o", once, *load)
    for path in (store, once):
        with open_zarr(path) as ds:
            assert ds["flag"].values.tolist() == [b"H", b"V", b"H", b"V"]
            assert [b"".join(np.atleast_1d(row)) for row in ds["name"].values] == [b"g00", b"g01", b"g02", b"g03"]


def test_text_that_granules_pad_in_other_ways(tmp_path):
    h5py = pytest.importorskip("h5py")
    granules = []
    for n, pad in enumerate((h5py.h5t.STR_NULLPAD, h5py.h5t.STR_SPACEPAD, h5py.h5t.STR_NULLTERM)):
        granules.append(tmp_path / f"g{n}.h5")
        with h5py.File(granules[-1], "w") as f:
            f["time"] = np.array([float(n)])
            f["time"].make_scale("time")
            f["time"].attrs["units"] = "days since 2000-01-01"
            kind = h5py.h5t.C_S1.copy()
            kind.set_size(5)
            kind.set_strpad(pad)
            text = {h5py.h5t.STR_SPACEPAD: b"ad   "}.get(pad, b"ad\0\0\0")
            label = h5py.h5d.create(f.id, b"label", kind, h5py.h5s.create_simple((1,)))
            label.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([text], "S5"), mtype=kind)
            f["label"].dims[0].attach_scale(f["time"])
    load = ("--load", "time,label", "--concat", "time")
    virtualize(*granules[:2], "-o", tmp_path / "cube.json", *load)
    append(tmp_path / "cube.json", granules[2])
    with open_zarr(tmp_path / "cube.json") as ds:
        assert ds["label"].values.tolist() == [b"ad", b"ad", b"ad"]


@pytest.mark.parametrize("form", ["cube.json", "cube.parq", "cube.upwell"])
@pytest.mark.parametrize("unlimited", [True, False])
def test_the_concat_dimension_of_a_set_of_one_granule_is_inferred(tmp_path, form, unlimited):
    (tmp_path / "data").mkdir()
    g = [write_epoch(tmp_path / f"data/g{i}.nc", i, unlimited=unlimited) for i in range(3)]
    store = tmp_path / form
    virtualize(g[0], "-o", store, "-q")
    assert "nothing to do" in append(store, g[0]).stderr
    append(store, tmp_path / "data", "-q")
    out = tmp_path / "v.npy"
    subprocess.run([UPWELL, "read", store, "v", "-o", out], check=True, timeout=60)
    assert np.load(out)[:, 0, 0].tolist() == [0, 1, 2]
    assert "joined along time" in append(store, g[1], "--concat", "y", status=64).stderr


def test_a_concat_dimension_that_is_not_clear_is_asked_for(tmp_path):
    paths = []
    for i in range(2):
        paths.append(tmp_path / f"g{i}.nc")
        with netCDF4.Dataset(paths[-1], "w") as f:
            for name in ("row", "column"):
                f.createDimension(name, 2)
            f.createVariable("v", "f4", ("row", "column"), zlib=True)[:] = i
    store = tmp_path / "cube.json"
    virtualize(paths[0], "-o", store, "-q")
    run = append(store, paths[1], status=64)
    assert "is of one granule" in run.stderr and "--concat" in run.stderr and "column, row" in run.stderr
    # What is unlimited only the granules say, not the set.
    counted = [write_epoch(tmp_path / f"c{i}.nc", i, names=("record", "y", "x")) for i in range(2)]
    for path in counted:
        with netCDF4.Dataset(path, "a") as f:
            f["record"].delncattr("units")
            f["record"][:] = [int(path.stem[1:])]
    store = tmp_path / "counted.json"
    virtualize(counted[0], "-o", store, "-q")
    append(store, counted[1], "-q")
    assert open_zarr(store).record.values.tolist() == [0, 1]


def test_a_granule_may_not_begin_inside_a_chunk(tmp_path):
    g = steps(tmp_path, range(2), chunks=(2, 29, 31))
    odd = write_step(tmp_path / "odd.nc", 2, values=[4, 5, 6], steps=3, chunks=(2, 29, 31))
    store = tmp_path / "cube.json"
    virtualize(*g, "-o", store, "-q")
    append(store, odd, "-q")  # the last one may end inside one
    next_one = write_step(tmp_path / "next.nc", 4, chunks=(2, 29, 31))
    run = append(store, next_one, status=65)
    assert f"next.nc: /v: the store's granule {odd} has 3 along time in chunks of 2: what follows would begin inside a chunk" in run.stderr


def test_stores_that_say_too_little(tmp_path):
    g = steps(tmp_path, range(3))
    store = tmp_path / "cube.json"
    virtualize(*g[:2], "-o", store, "-q")
    document = json.loads(store.read_text())
    del document["upwell"]
    store.write_text(json.dumps(document))
    run = append(store, g[2], status=65)
    assert "does not say of which granules" in run.stderr
    parquet = tmp_path / "cube.parq"
    virtualize(*g[:2], "-o", parquet, "-q")
    assert json.loads((parquet / ".zmetadata").read_text())["upwell"]["granules"][1]["url"] == g[1]


def test_two_at_once(tmp_path):
    g = steps(tmp_path, range(8))
    store = tmp_path / "cube.json"
    virtualize(g[0], "-o", store, "-q", "--concat", "time")
    runs = [subprocess.Popen([UPWELL, "append", store, p, "-q", "--concat", "time"]) for p in g[1:]]
    assert [run.wait(timeout=120) for run in runs] == [0] * 7
    check(store, g)


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
def test_killed_at_every_write(tmp_path):
    """Killed at each system call that changes the file system: old or new, and it can be done again."""
    g = steps(tmp_path, range(3))
    store, old = tmp_path / "cube.json", tmp_path / "old.json"
    virtualize(*g[:2], "-o", store, "-q")
    shutil.copy(store, old)
    append(store, g[2], "-q")
    new = store.read_bytes()
    calls = ["write", "fsync", "rename,renameat2"]
    killed = 0
    for call in calls:
        for n in range(1, 400):
            shutil.copy(old, store)
            run = subprocess.run(
                ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                 "-e", f"inject={call}:signal=KILL:when={n}",
                 UPWELL, "append", store, g[2], "-q"], capture_output=True, timeout=120)
            if run.returncode == 0:
                break
            killed += 1
            assert store.read_bytes() in (old.read_bytes(), new), (call, n)
            append(store, g[2], "-q")
            assert store.read_bytes() == new, (call, n)
    assert killed > 0


# --- Parquet: at the end ------------------------------------------------------------------------


def state(store):
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in store.rglob("*") if p.is_file()}


@pytest.mark.parametrize("options", [*VARIANTS, {"record": 3}, {"record": 1}])
def test_parquet_grows_at_its_end(tmp_path, options):
    options = dict(options)
    record = options.pop("record", 10000)
    g = steps(tmp_path, range(7), **options)
    store = tmp_path / "cube.parq"
    virtualize(*g[:2], "-o", store, "-q", "--record-size", record)
    for upto in (3, 4, 7):
        append(store, *g[:upto], "-q")
        check(store, g[:upto])
    before = state(store)
    assert "nothing to do" in append(store, *g).stderr
    assert state(store) == before


def test_parquet_does_not_change_under_a_reader(tmp_path):
    """fsspec reads .zmetadata when it opens, and partitions when chunks are asked for."""
    g = steps(tmp_path, range(6), chunks=(1, 10, 31))
    store = tmp_path / "cube.parq"
    for record in (1, 4, 10000):
        shutil.rmtree(store, ignore_errors=True)
        virtualize(*g[:3], "-o", store, "-q", "--record-size", record)
        early = [open_zarr(store), open_kerchunk(store)]
        append(store, g[3], "-q")
        middle = open_zarr(store)
        append(store, g[4], g[5], "-q")
        for cube in early:
            assert_same(cube, truth_of(g[:3]))
        assert_same(middle, truth_of(g[:4]))
        check(store, g)


def test_parquet_refuses_to_move_rows(tmp_path):
    g = steps(tmp_path, range(4))
    store = tmp_path / "cube.parq"
    virtualize(g[0], g[2], "-o", store, "-q")
    before = state(store)
    new = write_step(tmp_path / "new.nc", 2)
    for arguments in ([g[1]], ["--remove", "g0.nc"], [new, "--on-overlap", "replace"]):
        assert "only at its end" in append(store, *arguments, status=65).stderr
    assert state(store) == before
    bad = write_step(tmp_path / "bad.nc", 3, scale=0.02)
    assert "scale_factor" in append(store, bad, status=65).stderr
    assert state(store) == before


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
def test_parquet_costs_what_the_granule_costs(tmp_path):
    """Partitions that were full before are neither read nor written."""
    g = steps(tmp_path, range(60), steps=1, chunks=(1, 4, 4), nx=33, ny=33)
    small, large = tmp_path / "small.parq", tmp_path / "large.parq"
    virtualize(*g[:3], "-o", small, "-q", "--record-size", 100)
    virtualize(*g[:59], "-o", large, "-q", "--record-size", 100)
    cost = {}
    for store, granule in ((small, g[3]), (large, g[59])):
        before = state(store)
        log = tmp_path / "log"
        subprocess.run(["strace", "-f", "-qq", "-o", log, "-e", "trace=openat,open", UPWELL,
                        "append", store, granule, "-q"], check=True, timeout=120)
        opened = {line.split('"')[1] for line in log.read_text().splitlines() if '/v/refs.' in line}
        written = {p for p in state(store) if before.get(p) != state(store)[p] and p.parent.name == "v"}
        cost[store] = len(opened), len(written)
    assert all(a <= b for a, b in zip(cost[large], (3, 2))) and all(cost[small]), cost
    check(large, g)


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
def test_parquet_killed_at_every_write(tmp_path):
    g = steps(tmp_path, range(3))
    store, old = tmp_path / "cube.parq", tmp_path / "old"
    virtualize(*g[:2], "-o", store, "-q", "--record-size", 3)
    shutil.copytree(store, old)
    append(store, g[2], "-q")
    new = (store / ".zmetadata").read_bytes()
    before = (old / ".zmetadata").read_bytes()
    killed = seen_old = 0
    for call in ("write", "fsync", "rename,renameat2"):
        for n in range(1, 400):
            shutil.rmtree(store)
            shutil.copytree(old, store)
            run = subprocess.run(
                ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                 "-e", f"inject={call}:signal=KILL:when={n}",
                 UPWELL, "append", store, g[2], "-q"], capture_output=True, timeout=120)
            if run.returncode == 0:
                break
            killed += 1
            is_old = (store / ".zmetadata").read_bytes() == before
            assert is_old or (store / ".zmetadata").read_bytes() == new
            seen_old += is_old
            if call != "write":
                assert_same(open_zarr(store), truth_of(g[:2] if is_old else g))
            append(store, g[2], "-q")
            assert (store / ".zmetadata").read_bytes() == new
            check(store, g)
    assert killed and seen_old


def test_a_changed_file_is_not_read(tmp_path):
    """Of the same size, too; a copy that kept its time in seconds is no change."""
    g = steps(tmp_path, range(2), zlib=False, shuffle=False)
    store = tmp_path / "cube.json"
    virtualize(*g, "-o", store, "-q")

    def read(*options):
        command = [UPWELL, "read", str(store), "v", "-o", str(tmp_path / "v.npy"), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    info = os.stat(g[1])
    os.utime(g[1], ns=(info.st_atime_ns, info.st_mtime_ns // 10**9 * 10**9))
    assert read().returncode == 0
    os.utime(g[1], ns=(info.st_atime_ns, info.st_mtime_ns + 10**10))
    run = read()
    assert run.returncode == 65 and g[1] in run.stderr and "since it was indexed" in run.stderr
    assert read("--ignore-changes").returncode == 0


# --- as a set of its own ------------------------------------------------------------------------


@pytest.mark.parametrize("suffix, other", [("parq", "parq"), ("parq", "json"), ("json", "parq")])
def test_another_set_takes_every_change(tmp_path, suffix, other):
    """Inserted, replaced and removed at once; the set that it came from stays as it was, for its readers."""
    g = steps(tmp_path, range(5), chunks=(1, 10, 31))
    store, new = tmp_path / f"v1.{suffix}", tmp_path / f"v2.{other}"
    virtualize(g[0], g[1], g[3], g[4], "-o", store, "-q", "--record-size", "7")
    truth = truth_of([g[0], g[1], g[3], g[4]])
    before = state(store) if store.is_dir() else store.read_bytes()
    reader = open_zarr(store)
    anew = write_step(tmp_path / "anew.nc", 3, chunks=(1, 10, 31))
    run = append(store, g[2], anew, "--on-overlap", "replace", "--remove", "g0.nc", "-o", new)
    assert "2 added, 1 replaced, 1 removed" in run.stderr and str(new) in run.stderr
    check(new, [g[1], g[2], anew, g[4]])
    assert (state(store) if store.is_dir() else store.read_bytes()) == before
    assert_same(reader, truth)
    append(store, g[2], "-o", g[3], status=64)


def test_another_set_is_written_even_without_changes(tmp_path):
    g = steps(tmp_path, range(2))
    virtualize(*g, "-o", tmp_path / "v1.json", "-q")
    append(tmp_path / "v1.json", *g, "-o", tmp_path / "v2.parq", "-q")
    check(tmp_path / "v2.parq", g)
    append(tmp_path / "v1.json", *g, "-o", tmp_path / "v1.json", status=64)


def test_a_granule_that_was_written_anew(tmp_path):
    g = steps(tmp_path, range(3))
    store = tmp_path / "cube.json"
    virtualize(*g, "-o", store, "-q")
    write_step(g[1], 1, shift=0.0, title="anew")
    os.utime(g[1], (1, 1))
    run = append(store, g[1], status=65)
    assert "1 of 1 new granule cannot stand in the store" in run.stderr
    assert f"{g[1]}: /time: it changed since it came into the store; --on-overlap replace" in run.stderr
    append(store, g[1], "--on-overlap", "replace")
    check(store, g)


def test_what_a_store_in_its_own_form_can_keep_is_hinted_at(tmp_path):
    g = steps(tmp_path, range(2))
    odd = write_step(tmp_path / "odd.nc", 2, scale=0.5)
    for name, hinted in (("cube.upwell", True), ("cube.json", False)):
        virtualize(*g, "-o", tmp_path / name, "-q")
        run = append(tmp_path / name, odd, status=65)
        assert "scale_factor 0.5, the store has 0.01" in run.stderr
        assert ("--on-drift keep keeps each granule as it is stored" in run.stderr) == hinted
    append(tmp_path / "cube.upwell", odd, "--on-drift", "keep")

"""Upwell's own form: granules that differ make one cube with the values that each has by itself.

The truth is xarray decoding every granule alone, in a child process.
"""

import datetime
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pyarrow.ipc
import pytest
import xarray as xr

from test_serve import serving
from test_verify import root  # noqa: F401, a fixture
from test_virtualize import UPWELL, bits, open_kerchunk, virtualize

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = int(os.environ.get("UPWELL_DRIFT_ROUNDS", "8"))
LAT, LON = 7, 11


def upwell(*arguments, status=0):
    run = subprocess.run([UPWELL, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert run.returncode == status, f"status {run.returncode}\n{run.stderr}"
    return run


def truth_of(tmp_path, granules):
    out = tmp_path / "truth.npz"
    subprocess.run(
        [sys.executable, ROOT / "tests/oracle/decoded_granules.py", out, *granules], check=True,
        timeout=300,
    )
    with np.load(out) as truth:
        return dict(truth)


class Drift:
    """How one granule stores its variables. Every aspect can be another in the next granule."""

    def __init__(self, **given):
        self.length = 3
        self.dtype, self.scale, self.offset, self.attribute_type = "i2", 0.01, 20.0, "f8"
        self.fill, self.missing, self.unsigned = -32768, None, None
        self.chunks, self.zlib, self.shuffle, self.fletcher32 = (1, LAT, LON), True, True, False
        self.complevel, self.endian, self.written = 4, "little", 1.0
        self.time_units, self.time_type, self.format = "days since 2000-01-01", "f8", "NETCDF4"
        self.count_type = "i4"
        self.__dict__.update(given)

    def write(self, path, start):
        rng = np.random.default_rng(start + 1)
        with netCDF4.Dataset(path, "w", format=self.format) as f:
            f.set_auto_maskandscale(False)
            netcdf4 = self.format == "NETCDF4"
            f.createDimension("time", None if netcdf4 else self.length)
            f.createDimension("lat", LAT)
            f.createDimension("lon", LON)
            t = f.createVariable("time", self.time_type, ("time",))
            t.units, t.calendar = self.time_units, "standard"
            dates = [datetime.datetime(2000, 1, 1) + datetime.timedelta(days=start + i)
                     for i in range(self.length)]
            t[:] = netCDF4.date2num(dates, self.time_units, "standard")
            for name, size in (("lat", LAT), ("lon", LON)):
                f.createVariable(name, "f4", (name,))[:] = np.arange(size)
            self.write_data(f, "v", ("time", "lat", "lon"), (self.length, LAT, LON), rng)
            self.write_data(f, "w", ("lat", "time"), (LAT, self.length), rng)
            n = f.createVariable("n", self.count_type, ("time", "lat"))
            n[:] = rng.integers(0, 100, (self.length, LAT))
        return path

    def write_data(self, f, name, dimensions, shape, rng):
        storage = {}
        if self.format == "NETCDF4":
            chunks = [min(c, s) for c, s in zip(self.chunks, shape)] if self.chunks else None
            storage = dict(endian=self.endian, chunksizes=chunks, contiguous=False)
            if chunks:
                storage |= dict(zlib=self.zlib, complevel=self.complevel, shuffle=self.shuffle,
                                fletcher32=self.fletcher32)
            elif name == "w" or "time" not in dimensions:
                storage.pop("chunksizes")
            if not chunks:
                storage = dict(endian=self.endian)
        v = f.createVariable(name, self.dtype, dimensions, fill_value=self.fill, **storage)
        v.units = "K"
        number = np.dtype(self.attribute_type).type
        if self.scale is not None:
            v.scale_factor = number(self.scale)
        if self.offset is not None:
            v.add_offset = number(self.offset)
        if self.missing is not None:
            v.missing_value = np.dtype(self.dtype).type(self.missing)
        if self.unsigned:
            v._Unsigned = self.unsigned
        if np.dtype(self.dtype).kind == "f":
            data = rng.normal(250, 30, shape).astype(self.dtype)
        else:
            low, high = (0, 200) if np.dtype(self.dtype).itemsize == 1 else (0, 20000)
            if np.dtype(self.dtype).kind == "i":
                low, high = -100, high // 2
            data = rng.integers(low, high, shape).astype(self.dtype)
        flat = data.reshape(-1)
        if self.fill is not None:
            flat[1 % flat.size] = self.fill
        if self.missing is not None:
            flat[2 % flat.size] = self.missing
        axis = dimensions.index("time")
        # netCDF-C gives elements of other rows where an inner axis is not written to its end.
        n = max(1, int(self.length * self.written)) if axis == 0 else self.length
        v[(slice(None),) * axis + (slice(0, n),)] = data.take(range(n), axis)
        if self.format == "NETCDF4" and n < self.length:  # the rest of the unlimited axis exists
            f["time"][self.length - 1] = f["time"][self.length - 1]


def write_all(tmp_path, drifts):
    start, granules = 0, []
    for i, drift in enumerate(drifts):
        granules.append(drift.write(tmp_path / f"g{i:03}.nc", start))
        start += drift.length
    return granules


def check_read(tmp_path, store, truth):
    for name in ("v", "w", "n"):
        out = tmp_path / f"{name}.npy"
        upwell("read", store, name, "-o", out, "-q")
        got = np.load(out)
        assert got.dtype.newbyteorder("=") == truth[name].dtype, name
        assert got.shape == truth[name].shape, name
        same = (got == truth[name]) | (np.isnan(got) & np.isnan(truth[name]))
        assert same.all(), f"{name}: {got[~same][:5]} {truth[name][~same][:5]} at {np.argwhere(~same)[:5]}"
        assert bits(got) == bits(truth[name]), name
    # Across granules and chunks, with steps.
    total = truth["v"].shape[0]
    out = tmp_path / "part.npy"
    upwell("read", store, "v", "--isel", f"time=1:{total}:2,lat=1:6:3,lon=2", "-o", out, "-q")
    assert bits(np.load(out)) == bits(truth["v"][1:total:2, 1:6:3, 2])


def check_served(store, truth):
    with serving(store) as (url, _):
        for version in (2, 3):
            cube = xr.open_zarr(f"{url}/datasets/cube/zarr", zarr_format=version)
            for name in ("v", "w", "n"):
                got = cube[name].values
                assert got.dtype.newbyteorder("=") == truth[name].dtype, name
                assert bits(got) == bits(truth[name]), name
            ns = cube["time"].values.astype("datetime64[ns]").astype("int64")
            assert ns.tolist() == truth["time"].tolist()


def keep(tmp_path, granules, *options, status=0):
    store = tmp_path / "cube.upwell"
    return store, virtualize(*granules, "-o", store, "--on-drift", "keep", *options, status=status)


def test_two_granules_differ_in_packing_and_chunks(tmp_path):
    granules = write_all(tmp_path, [Drift(), Drift(scale=0.02, offset=5.0, chunks=(2, 4, 5))])
    store, run = keep(tmp_path, granules)
    assert "kept: /v: chunk shape differs in 1 granule" in run.stderr
    assert "kept: /v: scale_factor differs in 1 granule" in run.stderr
    truth = truth_of(tmp_path, granules)
    check_read(tmp_path, store, truth)
    check_served(store, truth)
    info = json.loads(upwell("info", store, "--json").stdout)
    assert info["format"] == "upwell" and info["granules"] == 2
    upwell("verify", store, "--all")
    # Refused without being told to keep it.
    virtualize(*granules, "-o", tmp_path / "other.upwell", status=65)
    virtualize(*granules, "-o", tmp_path / "other.json", "--on-drift", "keep", status=64)


def test_other_programs_read_the_columns(tmp_path):
    granules = write_all(tmp_path, [Drift(), Drift(chunks=(2, 4, 5)), Drift(written=0.4)])
    store, _ = keep(tmp_path, granules, "-q")
    part = store / "part-1"
    tables = {}
    for name in ("granules", "chunks", "inline"):
        with pyarrow.memory_map(str(part / f"{name}.arrow")) as file:
            tables[name] = pyarrow.ipc.open_file(file).read_all()
            tables[name].validate(full=True)
    assert tables["granules"]["url"].to_pylist() == [str(g) for g in granules]
    assert tables["granules"]["size"].to_pylist() == [g.stat().st_size for g in granules]
    assert tables["granules"]["length"].to_pylist() == [3, 3, 3]
    chunks = tables["chunks"].to_pylist()
    for one in json.loads((part / "part.json").read_text())["segments"]:
        if one["array"] != "/n":
            continue
        with h5py.File(granules[0]) as f:
            stored = [f["n"].id.get_chunk_info(i) for i in range(f["n"].id.get_num_chunks())]
        rows = chunks[one["first_row"] : one["first_row"] + one["rows"]]
        assert [(r["offset"], r["length"]) for r in rows[:3]] == [(c.byte_offset, c.size) for c in stored]
        assert [r["granule"] for r in rows] == [0] * 3 + [1] * 3 + [2] * 3
    values = np.frombuffer(tables["inline"]["bytes"][0].as_py(), "<f8")
    assert values.tolist() == list(range(9))


def test_a_broken_store_is_refused(tmp_path):
    store, _ = keep(tmp_path, write_all(tmp_path, [Drift(), Drift(scale=1.0)]), "-q")
    for path in sorted(p for p in store.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for broken in (whole[:-2], whole[: len(whole) // 2], b""):
            path.write_bytes(broken)
            assert "cube.upwell" in upwell("info", store, status=65).stderr
        path.write_bytes(whole)
    upwell("info", store)


DRIFTS = {
    "chunk shape": dict(chunks=(2, 3, 4)),
    "contiguous": dict(chunks=None),
    "codecs": dict(shuffle=False, fletcher32=True, complevel=1),
    "no codecs": dict(zlib=False, shuffle=False),
    "byte order": dict(endian="big"),
    "type": dict(dtype="i4"),
    "to float": dict(dtype="f4", scale=None, offset=None, fill=1e20),
    "to double": dict(dtype="f8", scale=None, offset=None, fill=np.nan),
    "single precision": dict(attribute_type="f4"),
    "packing": dict(scale=0.5, offset=None),
    "no packing": dict(scale=None, offset=None),
    "fill": dict(fill=-1),
    "no fill": dict(fill=None),
    "missing value": dict(missing=-5),
    "unsigned": dict(dtype="i1", unsigned="true", fill=-1),
    "time units": dict(time_units="hours since 1999-12-30 12:00:00", time_type="i4"),
    "length": dict(length=4, chunks=(3, LAT, LON)),
    "never written": dict(written=0.4, fill=-9),
    "count type": dict(count_type="i2"),
    "classic": dict(format="NETCDF3_64BIT_OFFSET"),
}


@pytest.mark.parametrize("kind", DRIFTS)
def test_every_kind_of_drift(tmp_path, kind):
    granules = write_all(tmp_path, [Drift(), Drift(**DRIFTS[kind]), Drift()])
    store, _ = keep(tmp_path, granules, "-q")
    check_read(tmp_path, store, truth_of(tmp_path, granules))


def test_over_http_it_reads_the_same(tmp_path, root):
    granules = write_all(tmp_path, [Drift(), Drift(scale=0.5, chunks=(2, 3, 4)), Drift(written=0.4)])
    keep(tmp_path, granules, "-q", "--url-prefix", f"{tmp_path}={root}")
    check_read(tmp_path, f"{root}/cube.upwell", truth_of(tmp_path, granules))
    # A store that came from elsewhere names no file of this machine.
    keep(tmp_path, granules, "-q")
    upwell("read", f"{root}/cube.upwell", "v", status=77)


# --- Export --------------------------------------------------------------------------------------


def test_export_is_refused_with_reasons_or_for_the_longest_uniform_part(tmp_path):
    odd = Drift(scale=0.5, chunks=(2, 3, 4), endian="big", fill=-7)
    drifts = [Drift(), odd, Drift(), Drift(), Drift(), Drift(offset=1.0)]
    granules = write_all(tmp_path, drifts)
    store, _ = keep(tmp_path, granules, "-q")
    run = virtualize(store, "-o", tmp_path / "cube.json", "--inline-threshold", 0, status=65)
    for reason in ("/v: its parts are stored in different ways", "chunk shape (2,3,4)", "byte order",
                   "_FillValue -7", "scale_factor 0.5, the first granule has 0.01", "/w: its parts"):
        assert reason in run.stderr, run.stderr
    assert not (tmp_path / "cube.json").exists()
    run = virtualize(store, "-o", tmp_path / "cube.json", "--inline-threshold", 0, "--longest-uniform")
    assert "only 6 to 15 of 18 along time" in run.stderr
    cube = open_kerchunk(tmp_path / "cube.json")
    truth = truth_of(tmp_path, granules[2:5])
    for name in ("v", "w", "n"):
        assert cube[name].dtype == truth[name].dtype and bits(cube[name].values) == bits(truth[name])
    ns = cube["time"].values.astype("datetime64[ns]").astype("int64")
    assert ns.tolist() == truth["time"].tolist()
    virtualize(granules[0], "-o", tmp_path / "x.json", "--longest-uniform", status=64)


def test_a_uniform_cube_is_exported(tmp_path):
    granules = write_all(tmp_path, [Drift() for _ in range(3)])
    store, run = keep(tmp_path, granules)
    assert "kept" not in run.stderr
    assert json.loads((store / "manifest.json").read_text())["decoded"] == []
    for sources, name in (([store], "cube.json"), (granules, "direct.json")):
        virtualize(*sources, "-o", tmp_path / name, "--inline-threshold", 0, "-q")
    exported = json.loads((tmp_path / "cube.json").read_text())["refs"]
    direct = json.loads((tmp_path / "direct.json").read_text())["refs"]
    for key in direct:
        if not key.rsplit("/", 1)[-1].startswith("."):
            assert exported[key] == direct[key], key


# --- Append --------------------------------------------------------------------------------------


def append(store, *arguments, status=0):
    return upwell("append", store, *arguments, status=status)


def parts_of(store):
    return [p["name"] for p in json.loads((store / "manifest.json").read_text())["parts"]]


def test_appended_granules_read_as_if_made_at_once(tmp_path):
    rng = random.Random(5)
    drifts = [random_drift(rng) for _ in range(7)]
    for drift in drifts:
        drift.time_type, drift.count_type = "f8", "i4"
    granules = write_all(tmp_path, drifts)
    store, _ = keep(tmp_path, granules[:2], "-q")
    for n in range(2, 5):
        append(store, granules[n], "--on-drift", "keep", "-q")
        check_read(tmp_path, store, truth_of(tmp_path, granules[: n + 1]))
    before = (store / "manifest.json").read_bytes()
    assert "nothing to do" in append(store, *granules[:5], "--on-drift", "keep").stderr
    assert (store / "manifest.json").read_bytes() == before
    append(store, granules[6], "--on-drift", "keep", "-q")
    append(store, granules[5], "--on-drift", "keep", "-q")  # in between
    check_read(tmp_path, store, truth_of(tmp_path, granules))
    check_served(store, truth_of(tmp_path, granules))
    append(store, "--remove", granules[3].name, "-q")
    check_read(tmp_path, store, truth_of(tmp_path, granules[:3] + granules[4:]))
    info = json.loads(upwell("info", store, "--json").stdout)
    assert info["granules"] == 6
    upwell("verify", store, "--all")


def test_append_turns_stored_values_into_decoded_ones(tmp_path):
    granules = write_all(tmp_path, [Drift(), Drift(), Drift(scale=0.5)])
    store, _ = keep(tmp_path, granules[:2], "-q")
    append(store, granules[2], status=65)
    append(store, granules[2], "--on-drift", "keep", "-q")
    assert json.loads((store / "manifest.json").read_text())["decoded"] == ["/v", "/w"]
    check_read(tmp_path, store, truth_of(tmp_path, granules))
    append(tmp_path / "no.json", granules[2], "--on-drift", "keep", status=64)


def test_many_additions_leave_few_parts(tmp_path):
    granules = write_all(tmp_path, [Drift(length=1) for _ in range(20)])
    store, _ = keep(tmp_path, granules[:2], "-q")
    for granule in granules[2:]:
        append(store, granule, "-q")
    assert len(parts_of(store)) <= 6
    check_read(tmp_path, store, truth_of(tmp_path, granules))
    named = parts_of(store)
    append(store, granules[0], "-q")  # nothing to do
    assert parts_of(store) == named
    part = json.loads((store / named[0] / "part.json").read_text())
    assert len([s for s in part["segments"] if s["array"] == "/v"]) == 1


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
def test_killed_at_every_write_it_holds_the_old_cube_or_the_new(tmp_path):
    granules = write_all(tmp_path, [Drift(length=2), Drift(scale=0.5), Drift(chunks=(2, 3, 4))])
    whole, _ = keep(tmp_path, granules[:2], "-q")
    old, new = (bits(truth_of(tmp_path, granules[:n])["v"]) for n in (2, 3))
    store, out = tmp_path / "killed.upwell", tmp_path / "v.npy"

    def values():
        upwell("read", store, "v", "-o", out, "-q")
        return bits(np.load(out))

    killed = 0
    for call in ("write,pwrite64", "fsync", "rename,renameat2", "mkdir"):
        for n in range(1, 400):
            shutil.rmtree(store, ignore_errors=True)
            shutil.copytree(whole, store)
            run = subprocess.run(
                ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                 "-e", f"inject={call}:signal=KILL:when={n}",
                 UPWELL, "append", store, granules[2], "--on-drift", "keep", "-q"],
                capture_output=True, timeout=120)
            if run.returncode == 0:
                break
            killed += 1
            assert values() in (old, new), (call, n)
            append(store, granules[2], "--on-drift", "keep", "-q")
            assert values() == new, (call, n)
            assert sorted(p.name for p in store.iterdir()) in (
                ["manifest.json", *parts_of(store)], ["manifest.json", "part-1", *parts_of(store)]), (call, n)
    assert killed > 5


# --- Any drift -----------------------------------------------------------------------------------


def random_drift(rng):
    integer = rng.random() < 0.7
    dtype = rng.choice(["i1", "u1", "i2", "u2", "i4", "u4"] if integer else ["f4", "f8"])
    fills = {"i1": [-128, 99], "u1": [255, 7], "i2": [-32768, -1], "u2": [65535, 3],
             "i4": [-2147483647, 0], "u4": [4294967295, 5], "f4": [1e20, np.nan, -999.0],
             "f8": [1e20, np.nan, 0.0]}[dtype]
    packed = rng.random() < 0.6
    endian = rng.choice(["little", "big"])
    # Packed in a narrower type than their own, values are what xarray makes of them, not what CF says: it
    # compares with _FillValue after it has rounded both, and where that is NaN it scales in the type of the data.
    attribute_types = ["f4", "f8"] if dtype in ("i1", "u1", "i2", "u2") else [dtype if dtype == "f4" else "f8"]
    # xarray masks no fill of unsigned data that are big-endian.
    unsigned = dtype == "i1" or (dtype == "i2" and endian == "little")
    classic = rng.random() < 0.15 and dtype in ("i1", "i2", "i4", "f4", "f8")
    return Drift(
        length=rng.randint(1, 9), dtype=dtype, scale=rng.choice([0.01, 0.5, 3.0]) if packed else None,
        offset=rng.choice([0.0, 273.15, None]) if packed else None,
        attribute_type=rng.choice(attribute_types), fill=rng.choice([*fills, None]),
        missing=rng.choice([None, None, 42]),
        unsigned=rng.choice([None, "true"]) if unsigned else None,
        chunks=rng.choice([None, (1, LAT, LON), (rng.randint(1, 9), rng.randint(1, 7), rng.randint(1, 11))]),
        zlib=rng.random() < 0.7, shuffle=rng.random() < 0.5, fletcher32=rng.random() < 0.3,
        complevel=rng.randint(1, 9), endian=endian, written=rng.choice([1.0, 1.0, 0.5]),
        time_units=rng.choice(["days since 2000-01-01", "hours since 1990-06-01", "seconds since 1970-01-01",
                               "days since 1999-12-31 12:00:00"]),
        time_type=rng.choice(["f8", "f8", "i4"]), count_type=rng.choice(["i4", "i2", "u1", "i8"]),
        format="NETCDF3_64BIT_OFFSET" if classic else "NETCDF4",
    )


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_random_drifts_read_as_each_granule_by_itself(tmp_path, seed):
    rng = random.Random(seed)
    drifts = [random_drift(rng) for _ in range(rng.randint(2, 7))]
    for drift in drifts:  # half days have no whole number of days
        if drift.time_type == "i4" and "12:00" in drift.time_units:
            drift.time_type = "f8"
        if drift.format != "NETCDF4" and drift.count_type in ("u1", "i8"):
            drift.count_type = "i4"
    granules = write_all(tmp_path, drifts)
    shuffled = granules.copy()
    rng.shuffle(shuffled)
    store, _ = keep(tmp_path, shuffled, "-q")
    truth = truth_of(tmp_path, granules)
    check_read(tmp_path, store, truth)
    if seed % 4 == 0:
        check_served(store, truth)


def write_small(path, day, *, units="days since 2000-01-01", scale=0.25, fill=None, chunks=4, kind="i2"):
    """A granule whose arrays are all small enough to be copied; the bounds count in the units of their time (CF 7.1)."""
    with netCDF4.Dataset(path, "w") as f:
        f.createDimension("time", None)
        f.createDimension("nv", 2)
        time = f.createVariable("time", "f8", ("time",))
        time.units, time.bounds = units, "time_bnds"
        per_day = 24 if units.startswith("hours") else 1
        time[:] = (np.arange(4) + day) * per_day
        f.createVariable("time_bnds", "f8", ("time", "nv"))[:] = ((np.arange(4) + day)[:, None] + [0, 1]) * per_day
        q = f.createVariable("q", kind, ("time",), fill_value=fill, chunksizes=(chunks,))
        q.scale_factor = scale
        q[:] = (np.arange(4) + day) / 2
    return path


@pytest.mark.parametrize("later", [dict(scale=0.125), dict(fill=-9), dict(chunks=2), dict(kind="i4"),
                                   dict(units="hours since 2000-01-01"), dict(units="hours since 2000-01-01", scale=0.5, chunks=1)])
def test_a_store_that_began_with_one_small_granule_takes_drifting_ones(tmp_path, later):
    store, names = tmp_path / "s.upwell", ("q", "time", "time_bnds")
    for i in range(3):
        write_small(tmp_path / f"{i}.nc", 4 * i, **(later if i == 1 else {}))
    upwell("virtualize", tmp_path / "0.nc", "-o", store)
    for i in (1, 2):
        upwell("append", store, tmp_path / f"{i}.nc", "--on-drift", "keep")
    upwell("verify", store, "--all")
    expected = {"q": np.arange(12) / 2, "time": np.arange(12.0), "time_bnds": np.arange(12.0)[:, None] + [0, 1]}
    for name in names:
        upwell("read", store, name, "-o", tmp_path / f"{name}.npy")
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), expected[name], err_msg=name)
    upwell("virtualize", *(tmp_path / f"{i}.nc" for i in range(3)), "-o", tmp_path / "once.upwell", "--on-drift", "keep")
    upwell("compare", store, tmp_path / "once.upwell", "--ignore-encoding")

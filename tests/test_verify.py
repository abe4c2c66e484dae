"""upwell verify: says nothing of what is right, and finds what was changed by hand, in granules or in references."""

import base64
import json
import os
import shutil
import subprocess

import h5py
import netCDF4
import numpy as np
import pytest

from http_servers import serving_files
from test_append import VARIANTS
from test_virtualize import UPWELL, both_forms, virtualize, write_step


def verify(source, *options, status=0):
    command = [UPWELL, "verify", str(source), "--json", "-q", *map(str, options)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == status, f"{command}\nstatus {run.returncode}\n{run.stdout}\n{run.stderr}"
    report = json.loads(run.stdout)
    assert report["good"] == (status == 0)
    return report


def kinds(report):
    return sorted({(f["path"], f["kind"]) for f in report["findings"]})


def states(report):
    return [g["state"] for g in report["granules"]]


def compared(report):
    return {v["path"]: v["compared"] for v in report["variables"]}


def edit(source, target, change):
    document = json.loads(source.read_text())
    change(document["refs"])
    target.write_text(json.dumps(document))
    return target


@pytest.fixture
def cube(tmp_path):
    granules = [write_step(tmp_path / f"g{i}.nc", i) for i in range(4)]
    store = tmp_path / "cube.json"
    virtualize(*granules, "-o", store, "-q")
    return store, granules


@pytest.mark.parametrize("options", VARIANTS)
def test_what_virtualize_wrote_is_right(tmp_path, options):
    granules = [write_step(tmp_path / f"g{i}.nc", i, **options) for i in range(3)]
    for store in both_forms(tmp_path, granules):
        sample = verify(store)
        assert states(sample) == ["unchanged"] * 3
        assert compared(sample) == {"/time": 3, "/time_bnds": 3, "/lat": 1, "/lon": 1, "/v": 3, "/mask": 1}
        everything = verify(store, "--all")
        truth = sum(netCDF4.Dataset(g)["v"][:].size * netCDF4.Dataset(g)["v"].dtype.itemsize for g in granules)
        assert {v["path"]: v["bytes"] for v in everything["variables"]}["/v"] == truth


def test_times_of_other_epochs_say_the_same(tmp_path):
    granules = [write_step(tmp_path / "g0.nc", 0), write_step(tmp_path / "g1.nc", 1, units="hours since 2000-01-01",
                                                               values=[48, 72])]
    with netCDF4.Dataset(granules[1], "a") as f:
        f["time_bnds"][:] = [[36, 60], [60, 84]]
    for store in both_forms(tmp_path, granules):
        verify(store, "--all")
    shifted = edit(tmp_path / "cube.json", tmp_path / "shifted.json", lambda refs: refs.update(
        {"time/.zattrs": refs["time/.zattrs"].replace("2000-01-01", "2000-01-02")}))
    assert kinds(verify(shifted, "--all", status=65)) == [("/time", "values"), ("/time_bnds", "values")]


def test_a_dimension_put_in_front_and_months(tmp_path):
    scalars, months = [], []
    for i in range(3):
        scalars.append(tmp_path / f"s{i}.nc")
        with netCDF4.Dataset(scalars[-1], "w") as f:
            f.createDimension("x", 400)
            f.createVariable("time", "f8", ()).units = "days since 2001-01-01"
            f["time"][...] = i
            f.createVariable("v", "f8", ("x",), zlib=True)[:] = np.arange(400) * i
        months.append(tmp_path / f"m{i}.nc")
        with netCDF4.Dataset(months[-1], "w") as f:
            days = (31, 28, 31)[i]
            f.createDimension("time", days)
            f.createDimension("x", 500)
            f.createVariable("time", "f8", ("time",)).units = "days since 2001-01-01"
            f["time"][:] = 31 * i + np.arange(days)
            f.createVariable("v", "f4", ("time", "x"), contiguous=True)[:] = np.random.default_rng(i).normal(size=(days, 500))
    for name, sources in (("scalars.json", scalars), ("months.json", months), ("months.parq", months)):
        virtualize(*sources, "-o", tmp_path / name, "-q", "--concat", "time")
        report = verify(tmp_path / name, "--all")
        assert compared(report)["/v"] == 3
        verify(tmp_path / name, "--sample", 4)


def test_chunks_that_were_never_written(tmp_path):
    """Absent on both sides is right; on one side only it is not."""
    granules = []
    for i in range(2):
        granules.append(tmp_path / f"g{i}.h5")
        with h5py.File(granules[-1], "w") as f:
            t = f.create_dataset("time", data=[float(i)])
            t.make_scale("time")
            t.attrs["units"] = "days since 2000-01-01"
            v = f.create_dataset("v", (1, 64, 64), "f4", chunks=(1, 32, 32), compression="gzip", fillvalue=7)
            v.dims[0].attach_scale(t)
            v.attrs["_FillValue"] = np.float32(7)
            v[0, :32, :32] = i + 1
    store = tmp_path / "cube.json"
    virtualize(*granules, "-o", store, "-q", "--concat", "time", "--inline-threshold", 0)
    refs = json.loads(store.read_text())["refs"]
    assert [k for k in refs if k.startswith("v/") and "." in k[2:] and ".z" not in k] == ["v/0.0.0", "v/1.0.0"]
    for option in (["--all"], ["--sample", 100]):
        verify(store, *option)
        gone = edit(store, tmp_path / "gone.json", lambda r: r.pop("v/1.0.0"))
        assert kinds(verify(gone, *option, status=65)) == [("/v", "missing")]
        extra = edit(store, tmp_path / "extra.json", lambda r: r.update({"v/1.1.1": r["v/1.0.0"]}))
        assert kinds(verify(extra, *option, status=65)) == [("/v", "unwritten")]
        fill = edit(store, tmp_path / "fill.json", lambda r: r.update(
            {"v/.zarray": r["v/.zarray"].replace('"fill_value":7.0', '"fill_value":8.0')}))
        assert kinds(verify(fill, *option, status=65)) == [("/v", "values")]


EDITS = {
    "swapped": (lambda r: r.update({"v/2.0.0": r["v/3.0.0"], "v/3.0.0": r["v/2.0.0"]}), "values"),
    "another granule": (lambda r: r.update({"v/5.0.0": r["v/3.0.0"]}), "values"),
    "removed": (lambda r: r.pop("v/4.0.0"), "missing"),
    "offset": (lambda r: r["v/0.0.0"].__setitem__(1, r["v/0.0.0"][1] + 3), "unreadable"),
    "cut short": (lambda r: r["v/1.0.0"].__setitem__(2, 10), "unreadable"),
    "beyond the end": (lambda r: r["v/1.0.0"].__setitem__(1, 10**9), "unreadable"),
    "packing dropped": (lambda r: r.update({"v/.zattrs": r["v/.zattrs"].replace("add_offset", "add_offsetx")}), "values"),
    "byte order": (lambda r: r.update({"v/.zarray": r["v/.zarray"].replace("<i2", ">i2")}), "values"),
}


@pytest.mark.parametrize("name", EDITS)
def test_references_edited_by_hand(tmp_path, cube, name):
    change, kind = EDITS[name]
    report = verify(edit(cube[0], tmp_path / "edited.json", change), "--all", status=65)
    assert kinds(report) == [("/v", kind)]
    assert report["counts"]["unchanged"] == 4


def test_values_in_the_set_edited_by_hand(tmp_path, cube):
    def flip(refs):
        values = bytearray(base64.b64decode(refs["mask/0.0"].removeprefix("base64:")))
        values[0], values[1] = values[1], values[0]
        refs["mask/0.0"] = "base64:" + base64.b64encode(values).decode()

    report = verify(edit(cube[0], tmp_path / "edited.json", flip), "--all", status=65)
    (finding,) = report["findings"]
    assert finding["path"] == "/mask" and "2 of 899 elements differ, first at [0, 0]: 1 through" in finding["message"]


def test_touched_copied_replaced_and_gone(tmp_path, cube):
    store, granules = cube
    # Copies that keep the time, even if only in whole seconds, are the granules that they were.
    for granule in granules[:2]:
        shutil.copy2(granule, tmp_path / "copy")
        os.replace(tmp_path / "copy", granule)
    whole = int(os.stat(granules[1]).st_mtime) * 10**9
    os.utime(granules[1], ns=(whole, whole))
    assert states(verify(store)) == ["unchanged"] * 4
    run = subprocess.run([UPWELL, "append", store, *granules], capture_output=True, text=True, timeout=60)
    assert "nothing to do" in run.stderr

    os.utime(granules[0], ns=(1, 1))
    report = verify(store, status=65)
    assert states(report) == ["changed"] + ["unchanged"] * 3 and not report["findings"]
    assert "1970-01-01T00:00:00" in report["granules"][0]["detail"]

    write_step(granules[1], 1, title="written anew", chunks=(1, 16, 16))
    report = verify(store, "--all", status=65)
    assert states(report)[1] == "changed" and "/v" in {f["path"] for f in report["findings"]}
    assert {f["granule"] for f in report["findings"]} == {granules[1]}

    os.remove(granules[2])
    report = verify(store, status=65)
    assert states(report) == ["changed", "changed", "vanished", "unchanged"]


def test_only_gone_is_missing_input(tmp_path, cube):
    os.remove(cube[1][0])
    report = verify(cube[0], status=66)
    assert states(report) == ["vanished"] + ["unchanged"] * 3
    assert compared(report)["/v"] == 3 and compared(report)["/lat"] == 1


def test_a_flipped_byte(tmp_path):
    """Under a checksum it is unreadable whatever the time says; the time alone tells of the others."""
    granules = [write_step(tmp_path / f"g{i}.nc", i, fletcher32=True) for i in range(3)]
    store = tmp_path / "cube.json"
    virtualize(*granules, "-o", store, "-q")
    url, offset, length = json.loads(store.read_text())["refs"]["v/2.0.0"]
    assert url == granules[1]
    before = os.stat(url)
    with open(url, "r+b") as f:
        f.seek(offset + length // 2)
        byte = f.read(1)[0]
        f.seek(offset + length // 2)
        f.write(bytes([byte ^ 1]))
    report = verify(store, "--all", status=65)
    assert kinds(report) == [("/v", "unreadable")] and states(report)[1] == "changed"
    os.utime(url, ns=(before.st_mtime_ns, before.st_mtime_ns))
    report = verify(store, "--all", status=65)
    assert kinds(report) == [("/v", "unreadable")] and states(report) == ["unchanged"] * 3
    with open(url, "r+b") as f:
        f.write(b"broken")
    os.utime(url, ns=(before.st_mtime_ns, before.st_mtime_ns))
    report = verify(store, status=65)
    assert [(f["granule"], f["path"], f["kind"]) for f in report["findings"]] == [(url, "", "unreadable")]


def test_samples(tmp_path):
    granules = [write_step(tmp_path / f"g{i}.nc", i, steps=3, chunks=(1, 8, 8)) for i in range(6)]
    store = tmp_path / "cube.json"
    virtualize(*granules, "-o", store, "-q")
    for n in (1, 5, 17, 60):
        report = verify(store, "--sample", n)
        assert sum(compared(report).values()) == n if n < 20 else sum(compared(report).values()) >= 40
        used = sum(g["compared"] > 0 for g in report["granules"])
        assert used == min(n, 6) or used >= 4
    assert verify(store, "--sample", 7) == verify(store, "--sample", 7, "--jobs", 1)
    # One bad chunk among 288 is found by some seed, and not by every one.
    bad = edit(store, tmp_path / "bad.json", lambda r: r.update({"v/4.1.1": r["v/4.1.2"]}))
    verify(bad, "--all", status=65)
    found = 0
    for seed in range(60):
        run = subprocess.run([UPWELL, "verify", bad, "--seed", str(seed), "-q", "--sample", "60"],
                             capture_output=True, text=True, timeout=60)
        found += run.returncode == 65
    assert 0 < found < 60


def test_a_set_without_a_record(tmp_path, cube):
    store, granules = cube
    bare = tmp_path / "bare.json"
    document = json.loads(store.read_text())
    del document["upwell"]
    bare.write_text(json.dumps(document))
    report = verify(bare, "--all")
    assert states(report) == ["unrecorded"] * 4
    assert [g["url"] for g in report["granules"]] == granules
    swapped = edit(bare, tmp_path / "swapped.json", EDITS["swapped"][0])
    assert kinds(verify(swapped, "--all", status=65)) == [("/v", "values")]
    os.remove(granules[1])
    assert states(verify(bare, status=66)) == ["unrecorded", "vanished", "unrecorded", "unrecorded"]


def test_what_kerchunk_wrote(tmp_path):
    hdf, combine = pytest.importorskip("kerchunk.hdf"), pytest.importorskip("kerchunk.combine")
    granules = [write_step(tmp_path / f"g{i}.nc", i) for i in range(3)]
    each = [hdf.SingleHdf5ToZarr(g, g, inline_threshold=100).translate() for g in granules]
    together = combine.MultiZarrToZarr(each, concat_dims=["time"], identical_dims=["lat", "lon", "two"]).translate()
    for name, refs in (("one.json", each[0]), ("all.json", together)):
        (tmp_path / name).write_text(json.dumps(refs))
        report = verify(tmp_path / name, "--all")
        assert compared(report)["/v"] == (1 if name == "one.json" else 3)


@pytest.fixture
def root(tmp_path):
    with serving_files(tmp_path) as url:
        yield url


def test_over_http(tmp_path, cube, root):
    local, granules = cube
    urls = [f"{root}/g{i}.nc" for i in range(4)]
    for store in both_forms(tmp_path, urls):
        for place in (store, f"{root}/{store.name}"):
            report = verify(place, "--all")
            assert states(report) == ["unchanged"] * 4 and [g["url"] for g in report["granules"]] == urls
    # Indexed as files, served from elsewhere: the times are those of another place.
    virtualize(*granules, "-o", tmp_path / "moved.json", "-q", "--url-prefix", f"{tmp_path}/={root}/")
    assert states(verify(tmp_path / "moved.json")) == ["unchanged"] * 4
    for granule in granules:
        os.utime(granule, (1e9, 1e9))
    assert states(verify(tmp_path / "moved.json")) == ["unrecorded"] * 4
    assert states(verify(f"{root}/cube.json")) == ["unchanged"] * 4  # same ETag
    write_step(granules[3], 3, title="anew")
    os.remove(granules[0])
    assert states(verify(f"{root}/cube.json", status=65)) == ["vanished", "unchanged", "unchanged", "changed"]


def test_a_set_from_the_network_names_no_local_granule(tmp_path, cube, root):
    run = subprocess.run([UPWELL, "verify", f"{root}/cube.json"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 77 and "from the network" in run.stderr


@pytest.mark.parametrize("what", ["granule", "zarr", "nothing", "not there"])
def test_what_has_no_granules(tmp_path, cube, what):
    import zarr

    source, status = {"granule": (cube[1][0], 65), "zarr": (tmp_path / "z.zarr", 65),
                      "nothing": (tmp_path / "empty.json", 65), "not there": (tmp_path / "no.json", 66)}[what]
    zarr.save_array(str(tmp_path / "z.zarr"), np.arange(3))
    (tmp_path / "empty.json").write_text('{"version":1,"refs":{".zgroup":"{\\"zarr_format\\":2}"}}')
    run = subprocess.run([UPWELL, "verify", source], capture_output=True, text=True, timeout=60)
    assert run.returncode == status and str(source) in run.stderr

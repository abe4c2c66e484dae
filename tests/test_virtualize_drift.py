"""upwell virtualize: granules that differ are refused, skipped or named in the report."""

import json
import os
import random

import netCDF4
import numpy as np
import pytest
import xarray as xr

from test_virtualize import assert_same, open_zarr, truth_of, virtualize, write_step

DRIFTS = {
    "type": ({"dtype": "i4"}, {"type", "codecs"}),
    "byte order": ({"endian": "big"}, {"byte order"}),
    "codecs": ({"zlib": False}, {"codecs"}),
    "no shuffle": ({"shuffle": False}, {"codecs"}),
    "checksum": ({"fletcher32": True}, {"codecs"}),
    "chunk shape": ({"chunks": (1, 8, 31)}, {"chunk shape"}),
    "scale": ({"scale": 0.02}, {"scale_factor"}),
    "offset": ({"offset": 2.5}, {"add_offset"}),
    "unpacked": ({"scale": None}, {"scale_factor", "add_offset"}),
    "fill": ({"fill": -1}, {"_FillValue", "fill value"}),
    "units": ({"v_units": "degC"}, {"units"}),
    "calendar": ({"calendar": "noleap", "units": "days since 2000-03-01"}, {"unsupported"}),
    "size": ({"nx": 32}, {"shape", "chunk shape"}),
    "coordinate": ({"lat0": 0.5}, {"values"}),
    "extra": ({"extra": True}, {"extra variable"}),
    "missing": ({"missing": True}, {"missing variable"}),
    "duplicate": ({"epoch": 2}, {"duplicate"}),
    "overlap": ({"shift": -1}, {"overlap"}),
    "descending": ({"values": [5, 4]}, {"order"}),
    "repeated": ({"values": [4, 4]}, {"order"}),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_is_refused_or_skipped_with_its_reason(tmp_path, drift):
    options, kinds = DRIFTS[drift]
    odd = 2
    paths = [write_step(tmp_path / f"g{i}.nc", i, **(options if i == odd else {})) for i in range(5)]
    out, report = tmp_path / "o.json", tmp_path / "r.json"
    run = virtualize(*paths, "-o", out, "--report", report, "-q", status=65)
    assert not out.exists() and not list(tmp_path.glob(".o.json*"))
    found = json.loads(report.read_text())
    assert not found["written"]
    offenders = [g for g in found["granules"] if "reasons" in g]
    assert [g["url"] for g in offenders] == [paths[odd]]
    assert {r["kind"] for g in offenders for r in g["reasons"]} == kinds
    assert paths[odd] in run.stderr
    if drift == "byte order":
        assert "byte order big endian, the first granule has little endian" in run.stderr
    run = virtualize(*paths, "-o", out, "--report", report, "--on-drift", "skip")
    assert f"skipped {paths[odd]}" in run.stderr
    assert json.loads(report.read_text())["skipped"] == [paths[odd]]
    assert_same(open_zarr(out), truth_of(paths[:odd] + paths[odd + 1:]))


@pytest.mark.parametrize("bad", [0, 1])
def test_a_first_granule_that_cannot_be_read_is_skipped(tmp_path, bad):
    paths = [write_step(tmp_path / f"g{i}.nc", i) for i in range(4)]
    broken = paths[:bad + 1]
    for path in broken:
        os.truncate(path, 3000)
    out, report = tmp_path / "o.json", tmp_path / "r.json"
    assert broken[0] in virtualize(*paths, "-o", out, status=65).stderr
    run = virtualize(*paths, "-o", out, "--report", report, "--on-drift", "skip")
    for path in broken:
        assert f"skipped {path}" in run.stderr
    assert sorted(json.loads(report.read_text())["skipped"]) == broken
    assert_same(open_zarr(out), truth_of(paths[bad + 1:]))
    for path in paths[bad + 1:]:
        os.truncate(path, 3000)
    assert paths[0] in virtualize(*paths, "-o", out, "--on-drift", "skip", status=65).stderr


def test_a_reference_set_beside_granules(tmp_path):
    """Without _FillValue a set does not say what chunks never written are: they are stored."""
    def write(name, start):
        with netCDF4.Dataset(tmp_path / name, "w") as f:
            f.createDimension("time", None)
            f.createDimension("x", 300)
            t = f.createVariable("time", "f8", ("time",))
            t.units = "days since 2000-01-01"
            t[:] = start + np.arange(2)
            for variable, dtype in (("v", "f4"), ("holes", "i4")):
                f.createVariable(variable, dtype, ("time", "x"), chunksizes=(1, 300))
            f["v"][:] = start
            f["holes"][1] = start  # the first row is netCDF's own fill value
        return str(tmp_path / name)

    a, b, c = (write(f"{i}.nc", 2 * i) for i in range(3))
    large = ["--inline-threshold", "0", "-q"]
    virtualize(a, b, "-o", tmp_path / "ab.json", *large)
    for sources in ([tmp_path / "ab.json", c], [c, tmp_path / "ab.json"]):
        virtualize(*sources, "-o", tmp_path / "abc.json", *large)
        with xr.open_mfdataset([a, b, c], combine="nested", concat_dim="time", decode_cf=False) as truth:
            assert_same(open_zarr(tmp_path / "abc.json", decode_cf=False), truth, ["v", "holes", "time"])


def test_a_report_that_cannot_be_written_is_seen_first(tmp_path):
    path, out = write_step(tmp_path / "g.nc", 0), tmp_path / "o.json"
    for report in (tmp_path / "no" / "r.json", tmp_path):
        assert str(report) in virtualize(path, "-o", out, "--report", report, status=73).stderr
        assert not out.exists()


def test_several_drifts_at_random_are_all_named(tmp_path):
    rng = random.Random(7)
    simple = {k: v for k, v in DRIFTS.items() if k not in ("duplicate", "overlap")}
    for trial in range(6):
        folder = tmp_path / str(trial)
        folder.mkdir()
        chosen = {i: rng.choice(sorted(simple)) for i in rng.sample(range(1, 8), 3)}
        paths = [write_step(folder / f"g{i}.nc", i, **(simple[chosen[i]][0] if i in chosen else {}))
                 for i in range(8)]
        report = folder / "r.json"
        virtualize(*paths, "-o", folder / "o.json", "--report", report, "-q", status=65)
        got = {g["url"]: {r["kind"] for r in g["reasons"]}
               for g in json.loads(report.read_text())["granules"] if "reasons" in g}
        # Which of two overlapping granules goes is another question: values here lie apart.
        for i, drift in chosen.items():
            assert simple[drift][1] <= got[paths[i]], (drift, got)
        assert set(got) == {paths[i] for i in chosen}


def test_report_names_gaps_and_attributes(tmp_path):
    paths = [write_step(tmp_path / f"g{i}.nc", i, title=f"t{i // 3}") for i in (0, 1, 3, 4)]
    report = tmp_path / "r.json"
    run = virtualize(*paths, "-o", tmp_path / "o.json", "--report", report)
    found = json.loads(report.read_text())
    assert len(found["gaps"]) == 1
    gap = found["gaps"][0]
    assert (gap["after"], gap["before"]) == (paths[1], paths[2])
    assert gap["from"].startswith("2000-01-04") and gap["to"].startswith("2000-01-07")
    assert "gap" in run.stderr
    differing = {(d["path"], d["attribute"]): d["granules"] for d in found["attributes_that_differ"]}
    assert differing == {("/", "history"): 3, ("/", "title"): 2}
    for granule, path in zip(found["granules"], paths):
        assert granule["url"] == path and granule["size"] == os.path.getsize(path)
        assert granule["mtime_ns"] == os.stat(path).st_mtime_ns


def test_misaligned_chunks_are_refused(tmp_path):
    paths = [write_step(tmp_path / f"g{i}.nc", i, steps=3, chunks=(2, 29, 31)) for i in range(3)]
    report = tmp_path / "r.json"
    run = virtualize(*paths, "-o", tmp_path / "o.json", "--report", report, "-q", status=65)
    assert "--load v copies" in run.stderr and "--on-drift keep" in run.stderr
    granules = json.loads(report.read_text())["granules"]
    assert [{r["kind"] for r in g.get("reasons", [])} for g in granules] == [
        {"alignment"}, {"alignment"}, set()]
    virtualize(*paths, "-o", tmp_path / "o.json", "--load", "v,lat,lon", "-q")
    assert_same(open_zarr(tmp_path / "o.json"), truth_of(paths), ["v", "time"])


@pytest.mark.parametrize("name", ["o.json", "o.upwell"])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("fill", [np.nan, -999.0])
def test_a_fill_value_that_no_coordinate_has_is_no_drift(tmp_path, name, which, fill):
    """xarray writes _FillValue = NaN into every float variable, also into coordinates, beside granules that have none."""
    paths = [write_step(tmp_path / f"{i}.nc", i) for i in range(2)]
    truth = truth_of(paths)
    with netCDF4.Dataset(tmp_path / "with.nc", "w") as new, netCDF4.Dataset(paths[which]) as old:
        new.set_auto_maskandscale(False)
        old.set_auto_maskandscale(False)
        for dimension in old.dimensions.values():
            new.createDimension(dimension.name, None if dimension.isunlimited() else len(dimension))
        for v in old.variables.values():
            given = {a: v.getncattr(a) for a in v.ncattrs()}
            own = given.pop("_FillValue", fill if v.name in ("lat", "lon", "time") else None)
            filters = v.filters()
            w = new.createVariable(v.name, v.dtype, v.dimensions, fill_value=own, zlib=filters["zlib"], shuffle=filters["shuffle"],
                                   complevel=filters["complevel"], fletcher32=filters["fletcher32"], endian=v.endian(),
                                   chunksizes=None if v.chunking() == "contiguous" else v.chunking())
            w.set_auto_maskandscale(False)
            w.setncatts(given)
            w[:] = v[:]
    os.replace(tmp_path / "with.nc", paths[which])
    virtualize(*paths, "-o", tmp_path / name)
    if name == "o.json":
        assert_same(open_zarr(tmp_path / name), truth)
    # Where it takes a value away, it is.
    with netCDF4.Dataset(paths[which], "a") as f:
        f.set_auto_maskandscale(False)
        f["lat"][3] = fill
    refused = virtualize(*paths, "-o", tmp_path / name, status=65)
    assert "/lat: values" in refused.stderr and "--on-drift keep" not in refused.stderr

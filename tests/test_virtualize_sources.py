"""upwell virtualize: what its arguments may be, and what it says when something is wrong with them."""

import json
import os
from pathlib import Path

import netCDF4
import pytest

from test_own_form import upwell
from test_virtualize import assert_same, four, open_zarr, truth_of, virtualize  # noqa: F401


def test_sources_can_be_lists_patterns_and_directories(tmp_path, four):
    (tmp_path / "list.txt").write_text("# granules\n\n" + "\n".join(Path(p).name for p in four) + "\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    for p in four:
        os.link(p, folder / Path(p).name)
    out = tmp_path / "o.json"
    truth = truth_of(four)
    for source in (f"@{tmp_path}/list.txt", f"{tmp_path}/g*.nc", folder):
        virtualize(source, "-o", out, "-q")
        assert_same(open_zarr(out), truth)


@pytest.mark.parametrize("name", ["a.json", "a.parq", "a.upwell"])
def test_a_set_that_lies_among_its_granules(tmp_path, four, name):
    """The set that is written is no source of itself, whatever directory is named; other sets are, and one is told."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for p in four:
        os.link(p, folder / Path(p).name)
    out, truth = folder / name, truth_of(four)
    virtualize(*sorted(folder.glob("g*.nc"))[:3], "-o", out)
    left_out = f"{out} lies among the sources, and was left out"
    for _ in range(2):
        run = upwell("append", out, folder)
        assert left_out in run.stderr, run.stderr
    assert "nothing to do" in run.stderr
    for _ in range(2):
        assert left_out in virtualize(folder, "-o", out).stderr
    if name != "a.upwell":
        assert_same(open_zarr(out), truth)
    assert "is the set itself" in upwell("append", out, out, status=64).stderr
    other = virtualize(folder, "-o", folder / "other.json", status=65)
    assert f"a reference set lies among the granules, and is a source like them: {out}" in other.stderr, other.stderr


def test_url_prefix(tmp_path, four):
    out = tmp_path / "o.json"
    virtualize(*four, "-o", out, "--url-prefix", f"{tmp_path}=https://example.org/data", "-q")
    refs = json.loads(out.read_text())["refs"]
    assert refs["v/0.0.0"][0] == "https://example.org/data/g0.nc"


@pytest.mark.parametrize("content,status", [(b"", 65), (b"<html><body>login</body></html>", 65),
                                            (b"\x89HDF\r\n\x1a\n" + b"\0" * 50, 65)])
def test_a_broken_granule_writes_nothing(tmp_path, four, content, status):
    bad = tmp_path / "bad.nc"
    bad.write_bytes(content)
    out = tmp_path / "o.json"
    run = virtualize(*four, bad, "-o", out, "-q", status=status)
    assert str(bad) in run.stderr and not out.exists()
    run = virtualize(*four, bad, "-o", out, "--on-drift", "skip")
    assert str(bad) in run.stderr
    assert_same(open_zarr(out), truth_of(four))


def test_usage(tmp_path, four):
    virtualize(tmp_path / "none.nc", "-o", tmp_path / "o.json", status=66)
    virtualize(*four, "-o", tmp_path / "o.json", "--concat", "depth", status=64)
    virtualize(*four, "-o", tmp_path / "no/such/folder/o.json", status=73)
    virtualize(*four, status=64)


@pytest.mark.parametrize("option, value", [("--drop", "nothing"), ("--load", "lat,nothing"), ("--url-prefix", "/elsewhere=x")])
def test_a_name_that_matches_nothing_is_an_error(tmp_path, four, option, value):
    out = tmp_path / "cube.json"
    run = virtualize(*four, "-o", out, option, value, status=64)
    assert option in run.stderr and ("nothing" in run.stderr or "/elsewhere" in run.stderr)
    assert not out.exists()


def test_a_variable_of_later_granules_can_be_dropped(tmp_path, four):
    with netCDF4.Dataset(four[2], "a") as file:
        file.createVariable("late", "f4", ("time",))[:] = 1
    virtualize(*four, "-o", tmp_path / "refused.json", status=65)
    virtualize(*four, "-o", tmp_path / "cube.json", "--drop", "late")


def is_copied(out, name):
    """Whether the references hold the values themselves, in one chunk."""
    refs = json.loads(out.read_text())["refs"]
    return all(isinstance(value, str) for key, value in refs.items() if key.startswith(f"{name}/") and "/." not in key)


def test_load_replaces_what_is_copied_by_default(tmp_path, four):
    for out, options, copied in (("default", [], {"time", "lat", "lon"}), ("lat", ["--load", "lat"], {"time", "lat"}),
                                 ("ordered", ["--order-by", "time"], {"time", "lat", "lon"})):
        virtualize(*four, "-o", tmp_path / f"{out}.json", *options, "--inline-threshold", "0")
        assert {n for n in ("time", "lat", "lon", "v") if is_copied(tmp_path / f"{out}.json", n)} == copied, out

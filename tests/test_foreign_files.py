"""Directories in which not all files are granules."""

import json
import shutil
import subprocess

from test_virtualize import UPWELL, assert_same, open_zarr, truth_of, virtualize, write_step


def test_foreign_files_of_a_directory_are_left_out(tmp_path):
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    for i in range(3):
        write_step(data / f"g{i}.nc", i)
    shutil.move(data / "g2.nc", data / "sub" / "granule_without_ending")
    foreign = {"README.txt": b"hello", "STDOUT.0000": b"log\n" * 999, "empty": b"", "list.json": b'{"files": ["g0.nc"]}',
               "meta.xml": b"<?xml version='1.0'?><a/>"}
    for name, text in foreign.items():
        (data / name).write_bytes(text)
    store, truth = tmp_path / "cube.json", truth_of([data / "g0.nc", data / "g1.nc", data / "sub" / "granule_without_ending"])
    run = virtualize(data, "-o", store)
    assert run.stderr.count("warning:") == 1
    assert "warning: 5 files of no format that is read here were left out: " in run.stderr and ", ...\n" in run.stderr
    assert str(data / "README.txt") in run.stderr
    assert_same(open_zarr(store), truth)
    warnings = tmp_path / "r.json"
    subprocess.run([UPWELL, "append", store, data, "--report", warnings], check=True, timeout=60, capture_output=True)
    assert "5 files" in json.loads(warnings.read_text())["warnings"][0]
    # Named, or by a pattern, such a file is an error; so is a granule that is broken.
    for source in (data / "README.txt", data / "*.txt"):
        assert "README.txt" in virtualize(data / "g0.nc", source, "-o", store, status=65).stderr
    for broken in (b"<html>Please log in</html>", b"", (data / "g1.nc").read_bytes()[:2000]):
        (data / "g9.nc").write_bytes(broken)
        assert "g9.nc" in virtualize(data, "-o", store, status=65).stderr
    (data / "g9.nc").unlink()
    (data / "old").write_bytes(b'{"version": 1, "refs": {".zgroup": "')  # a reference set that was cut off
    assert str(data / "old") in virtualize(data, "-o", store, status=65).stderr


def test_a_directory_of_foreign_files_is_an_error(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for i in range(5):
        (data / f"{i}.txt").write_text("text")
    run = virtualize(data, "-o", tmp_path / "cube.json", status=65)
    assert f"{data}: none of its 5 files is of a format that is read here: {data}/0.txt" in run.stderr
    assert not (tmp_path / "cube.json").exists()

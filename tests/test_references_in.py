"""Reference sets that others wrote, opened with the program and compared with what the clients read."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
UPWELL = pathlib.Path(os.environ.get("UPWELL", ROOT / "build" / "release" / "bin" / "upwell"))

kerchunk_hdf = pytest.importorskip("kerchunk.hdf")
kerchunk_df = pytest.importorskip("kerchunk.df")
h5py = pytest.importorskip("h5py")


def read(source, array, out):
    done = subprocess.run(
        [UPWELL, "read", str(source), array, "--raw", "-o", str(out)],
        capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return np.load(out)


@pytest.fixture(scope="module")
def granule(tmp_path_factory):
    path = tmp_path_factory.mktemp("granule") / "a.h5"
    with h5py.File(path, "w") as h:
        values = np.random.default_rng(1).normal(size=(30, 41)).astype("f4")
        h.create_dataset("g/sub/v", data=values, chunks=(7, 10), compression="gzip", shuffle=True)
        h.create_dataset("i", data=np.arange(1000, dtype=">i2").reshape(10, 100), chunks=(3, 33))
        h.create_dataset("c", data=np.arange(50))
        part = h.create_dataset("part", (100,), "f8", chunks=(10,), fillvalue=-1.5)
        part[5:17] = 3
    return path


@pytest.fixture(scope="module", params=["json", "parquet in parts of 7", "parquet in one part"])
def references(request, granule, tmp_path_factory):
    refs = kerchunk_hdf.SingleHdf5ToZarr(str(granule), str(granule), inline_threshold=100).translate()
    folder = tmp_path_factory.mktemp("references")
    if request.param == "json":
        path = folder / "set.json"
        path.write_text(json.dumps(refs))
        return path
    path = folder / "set.parq"
    record_size = 7 if "7" in request.param else 100_000
    kerchunk_df.refs_to_dataframe(refs, str(path), record_size=record_size)
    return path


@pytest.mark.parametrize("array", ["g/sub/v", "i", "c", "part"])
def test_values_equal_the_granules(references, granule, array, tmp_path):
    with h5py.File(granule) as h:
        wanted = h[array][...]
    got = read(references, array, tmp_path / "out.npy")
    assert got.shape == wanted.shape
    np.testing.assert_array_equal(got, wanted)


def test_a_set_that_is_none_is_bad_data(tmp_path):
    path = tmp_path / "set.json"
    path.write_text('{"version": 1, "refs": {}}')
    done = subprocess.run([UPWELL, "info", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 65
    assert "set.json" in done.stderr

"""Zarr stores as sources, beside zarr-python 2 and 3: files, web servers, shards, holes, and what goes wrong."""

import contextlib
import functools
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from http_servers import serving_with

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "oracle"))
import zarr_conformance  # noqa: E402

UPWELL = zarr_conformance.program()
PYTHONS = zarr_conformance.pythons()
zarr = pytest.importorskip("zarr", minversion="3")


def upwell(*arguments, status=0):
    done = subprocess.run([UPWELL, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return done


def read(source, array, out, **options):
    done = upwell("read", source, array, "--raw", "-q", "--stats", "-o", out, **options)
    return np.load(out), json.loads(done.stderr.splitlines()[-1])


@pytest.fixture(scope="module", params=[3, 2])
def made(request, tmp_path_factory):
    if not PYTHONS[request.param].is_file():
        pytest.skip(f"no Python with zarr {request.param}")
    folder = tmp_path_factory.mktemp(f"zarr{request.param}")
    subprocess.run([PYTHONS[request.param], HERE / "zarr_stores.py", folder], check=True, timeout=120)
    return folder


def test_equal_to_zarr_python(made):
    results = zarr_conformance.compare_all(zarr_conformance.stores(made), made)
    print(zarr_conformance.table(results))
    wrong = [f"{r.name}: {line}" for r in results for line in [*r.differences, *r.unread, *r.refusals]]
    assert not wrong, "\n".join(wrong)
    assert len(results) > 25 and all(r.arrays for r in results)


def test_conformance_stores():
    folder, paths = zarr_conformance.conformance_stores()
    if not folder:
        pytest.skip("no conformance files: set UPWELL_SHARED to the folder that holds data/conformance")
    results = zarr_conformance.compare_all(paths, folder)
    print(zarr_conformance.table(results))
    wrong = [f"{r.name}: {line}" for r in results for line in r.differences]
    assert not wrong, "\n".join(wrong)


def test_a_difference_is_seen(tmp_path):
    """The comparison itself."""
    a = np.arange(6, dtype="<i4").reshape(2, 3)
    assert zarr_conformance.same(a, a.copy())
    assert not zarr_conformance.same(a, a + 1)
    assert not zarr_conformance.same(a, a.astype("<i8"))
    assert not zarr_conformance.same(a, a.reshape(3, 2))
    assert not zarr_conformance.same(np.array([b"a"]), np.array([b"b"]))
    store = tmp_path / "a.zarr"
    zarr.save_array(store, a, zarr_format=2)
    assert zarr_conformance.compare_all([store], tmp_path)[0].verdict == "equal"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zarr_conformance.Store, "values", lambda *_: (a + 1, None))
        assert zarr_conformance.compare_all([store], tmp_path)[0].verdict == "different"


# --- Web servers ---------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    """Files with ranges; no listing. What is in `forbidden` is 403; where `hide` is set, what is not there is 403 too."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments, root, forbidden, hide, seen):
        self.root, self.forbidden, self.hide, self.seen = root, forbidden, hide, seen
        super().__init__(*arguments)

    def answer(self, body):
        self.seen.append((self.command, self.path, self.headers.get("Range")))
        name = self.path.lstrip("/")
        path = self.root / name
        if any(part in name for part in self.forbidden):
            return self.refuse(403)
        if not path.is_file():
            return self.refuse(403 if self.hide else 404)
        data = path.read_bytes()
        wanted = self.headers.get("Range")
        if wanted:
            first, last = wanted.removeprefix("bytes=").split("-")
            first, last = int(first), min(int(last or len(data) - 1), len(data) - 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
            data = data[first: last + 1]
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def refuse(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.answer(True)

    def do_HEAD(self):
        self.answer(False)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(root, forbidden=(), hide=False):
    seen = []
    handler = functools.partial(Handler, root=root, forbidden=forbidden, hide=hide, seen=seen)
    with serving_with(handler) as server:
        yield server.url, seen


@pytest.fixture(scope="module", params=[2, 3])
def store(request, tmp_path_factory):
    """A consolidated group; v: 12 chunks of which one was never written; s (v3): sharded."""
    folder = tmp_path_factory.mktemp("store")
    group = zarr.open_group(folder / "a.zarr", mode="w", zarr_format=request.param)
    v = group.create_array("g/v", shape=(30, 40), chunks=(10, 10), dtype="<f4", fill_value=-1)
    v[...] = np.random.default_rng(3).normal(size=(30, 40))
    if request.param == 3:
        s = group.create_array("s", shape=(64, 64), chunks=(4, 4), shards=(32, 32), dtype="<i2")
        s[...] = np.arange(64 * 64).reshape(64, 64)
        hole = folder / "a.zarr" / "g" / "v" / "c" / "1" / "2"
    else:
        hole = folder / "a.zarr" / "g" / "v" / "1.2"
    zarr.consolidate_metadata(folder / "a.zarr", zarr_format=request.param)
    os.remove(hole)
    group = zarr.open_group(folder / "a.zarr", mode="r")
    return folder, {path: group[path][...] for path in (["g/v", "s"] if request.param == 3 else ["g/v"])}


def test_over_http(store, tmp_path):
    folder, wanted = store
    with served(folder) as (url, _):
        for path, values in wanted.items():
            got, _ = read(f"{url}/a.zarr", path, tmp_path / "v.npy")
            np.testing.assert_array_equal(got, values)
        assert (wanted["g/v"][10:20, 20:30] == -1).all()
        for form in ("a.zarr/", "a.zarr/.zmetadata" if "s" not in wanted else "a.zarr/zarr.json"):
            got, _ = read(f"{url}/{form}", "g/v", tmp_path / "v.npy")
            np.testing.assert_array_equal(got, wanted["g/v"])


def test_opening_asks_for_no_chunk(store, tmp_path):
    folder, _ = store
    with served(folder) as (url, _):
        _, stats = read(f"{url}/a.zarr", "g/v", tmp_path / "v.npy")
        assert stats["requests"] == 5 + 12  # documents of the root in one batch, then the chunks


def test_a_part_of_a_shard_is_a_part_of_the_bytes(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=3)
    s = group.create_array("s", shape=(512, 512), chunks=(16, 16), shards=(256, 256), dtype="<f8", compressors=None,
                           dimension_names=("y", "x"))
    s[...] = np.arange(512 * 512).reshape(512, 512)
    zarr.consolidate_metadata(tmp_path / "a.zarr", zarr_format=3)
    with served(tmp_path) as (url, seen):
        done = upwell("read", f"{url}/a.zarr", "s", "--raw", "-q", "--stats", "--isel", "y=16:32,x=240:272",
                      "-o", tmp_path / "s.npy")
        np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), s[16:32, 240:272])
        stats = json.loads(done.stderr.splitlines()[-1])
        asked = [s for s in seen if "/c/" in s[1]]
        assert [s for s in asked if s[0] == "GET" and not s[2]] == []  # never a whole one
        # Two shards: of each its size, its index, and one chunk.
        assert len(asked) == 6
        documents = sum(f.stat().st_size for f in (tmp_path / "a.zarr").glob("zarr.json"))
        assert stats["bytes_fetched"] == documents + 2 * (16 * 16 * 16 + 4) + 2 * (16 * 16 * 8)


def test_what_is_forbidden_is_no_hole(store, tmp_path):
    folder, _ = store
    with served(folder, forbidden=("1.1", "c/1/1")) as (url, _):
        done = upwell("read", f"{url}/a.zarr", "g/v", "--raw", "-q", "-o", tmp_path / "v.npy", status=77)
        assert "1.1" in done.stderr
        assert not (tmp_path / "v.npy").exists()


def test_a_store_that_hides_what_is_not_there(store, tmp_path):
    """S3 without the right to list answers 403 for everything that is missing."""
    folder, wanted = store
    with served(folder, hide=True) as (url, _):
        upwell("info", f"{url}/a.zarr", status=77)  # the hole cannot be told from a secret
        done = upwell("read", f"{url}/a.zarr", "g/v", "--raw", "-q", "-o", tmp_path / "v.npy", status=77)
        assert "1.2" in done.stderr


def test_no_list_and_not_consolidated(store):
    folder, _ = store
    with served(folder, forbidden=()) as (url, _):
        copy = folder / "plain.zarr"
        shutil.copytree(folder / "a.zarr", copy)
        (copy / ".zmetadata").unlink(missing_ok=True)
        if (copy / "zarr.json").is_file():
            document = json.loads((copy / "zarr.json").read_text())
            document.pop("consolidated_metadata")
            (copy / "zarr.json").write_text(json.dumps(document))
        try:
            done = upwell("info", f"{url}/plain.zarr", status=65)
            assert "consolidate" in done.stderr
            upwell("info", copy)
        finally:
            shutil.rmtree(copy)


def test_nothing_there(tmp_path):
    with served(tmp_path) as (url, _):
        for name in ("none.zarr", "none", "none/"):
            done = upwell("info", f"{url}/{name}", status=66)
            assert "none" in done.stderr
    (tmp_path / "empty").mkdir()
    upwell("info", tmp_path / "empty", status=66)


# --- Damage --------------------------------------------------------------------------------------


@pytest.fixture
def sharded(tmp_path):
    a = zarr.create_array(tmp_path / "s.zarr", shape=(8, 8), chunks=(2, 2), shards=(8, 8), dtype="<i4", compressors=None)
    a[...] = np.arange(64).reshape(8, 8)
    return tmp_path / "s.zarr", tmp_path / "s.zarr" / "c" / "0" / "0"


def test_a_broken_shard_index_is_an_error(sharded, tmp_path):
    store, shard = sharded
    data = bytearray(shard.read_bytes())
    data[-20] ^= 1
    shard.write_bytes(data)
    done = upwell("read", store, "s", "--raw", "-o", tmp_path / "v.npy", status=65)
    assert "index" in done.stderr and "c/0/0" in done.stderr


def test_a_short_shard_is_an_error(sharded, tmp_path):
    store, shard = sharded
    shard.write_bytes(shard.read_bytes()[:100])
    done = upwell("read", store, "s", "--raw", "-o", tmp_path / "v.npy", status=65)
    assert "cannot hold its index" in done.stderr


def test_an_index_that_points_outside_is_an_error(sharded, tmp_path):
    import google_crc32c

    store, shard = sharded
    data = bytearray(shard.read_bytes())
    index = np.frombuffer(data[-260:-4], "<u8").copy()
    index[0] = 1 << 40
    checksum = google_crc32c.value(index.tobytes()).to_bytes(4, "little")
    shard.write_bytes(data[:-260] + index.tobytes() + checksum)
    done = upwell("read", store, "s", "--raw", "-o", tmp_path / "v.npy", status=65)
    assert "beyond" in done.stderr


@pytest.mark.parametrize("change, words", [
    (dict(codecs=[{"name": "sharding_indexed", "configuration": {"chunk_shape": [3, 2], "codecs": [{"name": "bytes"}],
                                                                "index_codecs": [{"name": "bytes"}]}}]), "do not divide"),
    (dict(codecs=[{"name": "zfpy"}]), "not read"),
    (dict(codecs=[]), "no codec"),
    (dict(storage_transformers=[{"name": "x"}]), "storage_transformers"),
    (dict(surprise=1), "not understood"),
    (dict(chunk_grid={"name": "rectilinear"}), "chunk_grid"),
    (dict(data_type="int4"), "int4"),
    (dict(fill_value="soon"), "fill_value"),
])
def test_what_is_not_understood_is_said(sharded, change, words):
    store, _ = sharded
    document = json.loads((store / "zarr.json").read_text())
    (store / "zarr.json").write_text(json.dumps({**document, **change}))
    done = upwell("info", store, status=65)
    assert words in done.stdout + done.stderr


# --- Out again -----------------------------------------------------------------------------------


def test_virtualize_a_store(tmp_path):
    """References to whole objects and to parts of shards, as fsspec and zarr read them."""
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=3)
    for name, options in (("plain", {}), ("sharded", dict(shards=(20, 20)))):
        a = group.create_array(name, shape=(40, 40), chunks=(5, 10), dtype="<f4", dimension_names=("y", "x"), **options)
        a[...] = np.random.default_rng(1).normal(size=(40, 40))
    upwell("virtualize", tmp_path / "a.zarr", "-o", tmp_path / "out.json")
    references = json.loads((tmp_path / "out.json").read_text())["refs"]
    assert len([k for k in references if k.startswith("sharded/") and not k.split("/")[1].startswith(".")]) == 32
    whole = references["plain/0.0"]
    assert pathlib.Path(whole[0]).stat().st_size == whole[2]
    for target in ("out.json", "out.parq"):
        upwell("virtualize", tmp_path / "a.zarr", "-o", tmp_path / target)
        for name in ("plain", "sharded"):
            got, _ = read(tmp_path / target, name, tmp_path / "v.npy")
            np.testing.assert_array_equal(got, group[name][...])
    fsspec = pytest.importorskip("fsspec")
    store = zarr.storage.FsspecStore(fsspec.filesystem("reference", fo=str(tmp_path / "out.json"), asynchronous=True,
                                                       remote_protocol="file", remote_options={"asynchronous": True}),
                                     path="")
    try:
        other = zarr.open_group(store, mode="r", zarr_format=2)
        values = {name: other[name][...] for name in ("plain", "sharded")}
    except (NotImplementedError, TypeError) as error:
        pytest.skip(f"fsspec's reference file system does not go with local files here: {error}")
    for name, got in values.items():
        np.testing.assert_array_equal(got, group[name][...])


def test_virtualize_joins_stores(tmp_path):
    import xarray as xr

    for i in range(3):
        xr.Dataset({"v": (("time", "x"), np.full((2, 4), i, "f4"))},
                   {"time": ("time", np.arange(2) + 2 * i, {"units": "days since 2000-01-01"}), "x": np.arange(4.0)}
                   ).to_zarr(tmp_path / "in" / f"{i}.zarr", zarr_format=2)
    upwell("virtualize", tmp_path / "in", "-o", tmp_path / "cube.json")
    got, _ = read(tmp_path / "cube.json", "v", tmp_path / "v.npy")
    np.testing.assert_array_equal(got, np.repeat([0, 1, 2], 2)[:, None] * np.ones(4, "f4"))


def test_virtualize_leaves_holes(store, tmp_path):
    folder, wanted = store
    upwell("virtualize", folder / "a.zarr", "-o", tmp_path / "out.json")
    got, _ = read(tmp_path / "out.json", "g/v", tmp_path / "v.npy")
    np.testing.assert_array_equal(got, wanted["g/v"])

"""upwell serve: real clients read what it serves, with the values of the granules.

Every test makes its own granules and starts its own server on a free port. The truth is xarray opening the granules.
"""

import gzip
import http.client
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import h5py
import netCDF4
import numpy as np
import pytest
import requests
import xarray as xr

ROOT = Path(__file__).resolve().parent.parent
UPWELL = os.environ.get("UPWELL", str(ROOT / "build/release/bin/upwell"))
ZARR2 = os.environ.get("UPWELL_ZARR2_PYTHON", str(ROOT / ".venv-zarr2/bin/python"))


@contextmanager
def serving(*sources, options=()):
    command = [UPWELL, "serve", *map(str, sources), "--bind", "127.0.0.1:0", "--quiet", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        if not line.startswith("serving http://"):
            process.wait(10)
            raise AssertionError(f"{line!r} {process.stderr.read()}")
        yield line.split()[1].rstrip("/"), process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        finally:
            process.kill()
            process.stdout.close()
            process.stderr.close()
    assert process.returncode == 0


def make_cube(path):
    rng = np.random.default_rng(7)
    with netCDF4.Dataset(path, "w") as nc:
        nc.title = "A <b>cube</b> & more"
        nc.createDimension("time", None)
        nc.createDimension("lat", 50)
        nc.createDimension("lon", 90)
        nc.createDimension("station", 3)
        time_ = nc.createVariable("time", "f8", ("time",), chunksizes=(4,))
        time_.units = "days since 2001-01-01"
        time_.calendar = "noleap"
        lat = nc.createVariable("lat", "f4", ("lat",))
        lat.units = "degrees_north"
        lon = nc.createVariable("lon", "f8", ("lon",))
        lon.units = "degrees_east"
        grid = ("time", "lat", "lon")
        shape = (5, 50, 90)
        sst = nc.createVariable("sst", "f4", grid, zlib=True, shuffle=True, chunksizes=(2, 20, 45))
        sst.units = "K"
        sst.long_name = "sea surface temperature"
        packed = nc.createVariable(
            "packed", "i2", grid, zlib=True, chunksizes=(1, 50, 90), fill_value=-32768
        )
        packed.scale_factor = 0.01
        packed.add_offset = 20.0
        # Checksum, then shuffle, then deflate: numcodecs cannot undo this order, the Zarr view can.
        summed = nc.createVariable(
            "summed", "f8", grid, zlib=True, fletcher32=True, chunksizes=(1, 25, 90)
        )
        plain = nc.createVariable("plain", ">i4", ("lat", "lon"), endian="big")
        names = nc.createVariable("names", str, ("station",))
        scalar = nc.createVariable("scalar", "i8", ())
        time_[:] = np.arange(5)
        lat[:] = np.linspace(-60, 60, 50)
        lon[:] = np.arange(90) * 4
        base = 280 + 20 * np.cos(np.deg2rad(np.linspace(-60, 60, 50)))[None, :, None]
        sst[:] = base + rng.normal(size=shape)
        values = rng.normal(size=shape) * 10 + 20
        packed[:] = np.ma.masked_where(rng.random(shape) < 0.2, values)
        summed[:] = rng.normal(size=shape)
        plain[:] = np.arange(4500).reshape(50, 90)
        names[:] = np.array(["one", "zwei", "três"], dtype=object)
        scalar[...] = -5
        group = nc.createGroup("deep").createGroup("below")
        group.createDimension("n", 7)
        group.createVariable("v", "u1", ("n",))[:] = np.arange(7)
    return path


@pytest.fixture(scope="module")
def cube_path(tmp_path_factory):
    return make_cube(tmp_path_factory.mktemp("serve") / "cube.nc")


@pytest.fixture(scope="module")
def server(cube_path):
    with serving(cube_path) as (url, _):
        yield url


def assert_same(left, right):
    assert set(left.variables) == set(right.variables)
    for name in right.variables:
        a, b = left[name], right[name]
        assert a.dims == b.dims, name
        assert a.dtype == b.dtype, name
        if a.dtype.kind in "fiub":
            np.testing.assert_array_equal(a.values, b.values, err_msg=name)
        else:
            assert list(map(str, a.values.ravel())) == list(map(str, b.values.ravel())), name


@pytest.mark.parametrize("version", [2, 3])
def test_xarray_reads_the_values(server, cube_path, version):
    cube = xr.open_zarr(f"{server}/datasets/cube/zarr", zarr_format=version, consolidated=True)
    truth = xr.open_dataset(cube_path)
    assert_same(cube.drop_vars("names").load(), truth.drop_vars("names").load())
    assert list(cube["names"].values) == ["one", "zwei", "três"]
    assert cube.attrs["title"] == truth.attrs["title"]
    deep = xr.open_zarr(f"{server}/datasets/cube/zarr", group="deep/below", zarr_format=version)
    assert deep["v"].values.tolist() == list(range(7))
    deep = xr.open_zarr(f"{server}/datasets/cube/zarr/deep/below", zarr_format=version)
    assert deep["v"].values.tolist() == list(range(7))


@pytest.mark.parametrize("version", [2, 3])
def test_raw_values_are_the_stored_ones(server, cube_path, version):
    import zarr

    store = zarr.storage.FsspecStore.from_url(f"{server}/datasets/cube/zarr", read_only=True)
    root = zarr.open_group(store, mode="r", zarr_format=version, use_consolidated=True)
    with h5py.File(cube_path) as h5:
        for name in ("sst", "packed", "summed", "plain", "time", "lat"):
            np.testing.assert_array_equal(root[name][...], h5[name][...], err_msg=name)
        assert root["scalar"][...] == -5


def test_stored_chunks(server, cube_path):
    cube = xr.open_zarr(f"{server}/datasets/cube/kerchunk", zarr_format=2, consolidated=True)
    truth = xr.open_dataset(cube_path)
    assert "summed" not in cube
    for name in ("sst", "packed", "plain"):
        np.testing.assert_array_equal(cube[name].values, truth[name].values, err_msg=name)
    with h5py.File(cube_path) as h5:
        mask, stored = h5["sst"].id.read_direct_chunk((2, 20, 45))
    assert mask == 0
    assert requests.get(f"{server}/datasets/cube/kerchunk/sst/1.1.1").content == stored
    refused = requests.get(f"{server}/datasets/cube/kerchunk/names/0")
    assert refused.status_code == 422 and "detail" in refused.json()


def test_references(server, cube_path):
    whole = requests.get(f"{server}/datasets/cube/refs.json")
    assert whole.status_code == 422 and "/summed: " in whole.text and "/sst: " not in whole.text
    refs = requests.get(f"{server}/datasets/cube/refs.json?partial=1").json()
    cube = xr.open_dataset(
        "reference://",
        engine="zarr",
        backend_kwargs={
            "consolidated": False,
            "storage_options": {"fo": refs, "remote_protocol": "file"},
        },
    )
    truth = xr.open_dataset(cube_path)
    assert "summed" not in cube
    for name in ("sst", "packed", "plain", "time"):
        np.testing.assert_array_equal(cube[name].values, truth[name].values, err_msg=name)


def test_zarr_2_reads_the_values(server, cube_path):
    if not Path(ZARR2).exists():
        pytest.skip("no environment with zarr 2")
    script = f"""
import fsspec, zarr, h5py, numpy as np, xarray as xr
assert zarr.__version__.startswith("2")
for view in ("zarr", "kerchunk"):
    root = zarr.open_consolidated(fsspec.get_mapper("{server}/datasets/cube/" + view), mode="r")
    with h5py.File("{cube_path}") as h5:
        for name in ("sst", "packed", "plain", "time") + (("summed",) if view == "zarr" else ()):
            assert np.array_equal(root[name][...], h5[name][...]), name
cube = xr.open_zarr("{server}/datasets/cube/zarr")
assert cube["names"].values.tolist() == ["one", "zwei", "três"]
"""
    run = subprocess.run([ZARR2, "-c", script], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


def test_documents(server):
    base = f"{server}/datasets/cube"
    assert requests.get(f"{server}/datasets").json() == ["cube"]
    assert requests.get(f"{server}/healthz").json()["status"] == "ok"
    assert "sst" in requests.get(f"{base}/keys").json()
    info = requests.get(f"{base}/info").json()
    assert info["dimensions"]["lat"] == 50
    assert info["variables"]["sst"]["attributes"]["units"] == "K"

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    for path in (".zmetadata", "zarr.json", ".zattrs", "packed/.zarray", "packed/zarr.json"):
        json.loads(requests.get(f"{base}/zarr/{path}").text, parse_constant=refuse)


def test_conditions_ranges_and_head(server):
    for path in ("zarr/.zmetadata", "zarr/sst/0.0.0", "zarr/summed/0.0.0", "kerchunk/sst/0.0.0"):
        url = f"{server}/datasets/cube/{path}"
        plain = {"Accept-Encoding": "identity"}
        whole = requests.get(url, headers=plain)
        etag = whole.headers["ETag"]
        assert whole.status_code == 200 and etag.startswith('"')
        assert requests.get(url, headers={"If-None-Match": etag}).status_code == 304
        assert requests.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
        head = requests.head(url, headers=plain)
        assert head.status_code == 200 and head.content == b""
        assert int(head.headers["Content-Length"]) == len(whole.content)
        assert head.headers["ETag"] == etag
        for header, want in (
            ("bytes=0-9", whole.content[:10]),
            ("bytes=-7", whole.content[-7:]),
            ("bytes=5-", whole.content[5:]),
        ):
            part = requests.get(url, headers={"Range": header} | plain)
            assert part.status_code == 206 and part.content == want, header
            assert part.headers["Content-Range"].endswith(f"/{len(whole.content)}")
        beyond = requests.get(url, headers={"Range": f"bytes={len(whole.content)}-"})
        assert beyond.status_code == 416
        stale = requests.get(url, headers={"Range": "bytes=0-1", "If-Range": '"old"'} | plain)
        assert stale.status_code == 200 and stale.content == whole.content
        fresh = requests.get(url, headers={"Range": "bytes=0-1", "If-Range": etag} | plain)
        assert fresh.status_code == 206


def test_json_is_compressed_when_asked(server):
    address = urlsplit(server)
    bodies = []
    for encoding in ("gzip", "identity"):
        connection = http.client.HTTPConnection(address.hostname, address.port)
        connection.request(
            "GET", "/datasets/cube/zarr/.zmetadata", headers={"Accept-Encoding": encoding}
        )
        response = connection.getresponse()
        body = response.read()
        compressed = response.getheader("Content-Encoding") == "gzip"
        assert compressed == (encoding == "gzip")
        assert "Accept-Encoding" in response.getheader("Vary")
        bodies.append(gzip.decompress(body) if compressed else body)
        connection.close()
    assert bodies[0] == bodies[1]


def test_cors(server):
    url = f"{server}/datasets/cube/zarr/sst/0.0.0"
    headers = {
        "Origin": "https://example.org",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "range",
    }
    preflight = requests.options(url, headers=headers)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "range" in preflight.headers["Access-Control-Allow-Headers"].lower()
    answer = requests.get(url, headers={"Origin": "https://example.org"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
    missing = requests.get(url + "9", headers={"Origin": "https://example.org"})
    assert missing.headers["Access-Control-Allow-Origin"] == "*"


def test_statuses(server):
    base = f"{server}/datasets/cube"
    for path in ("zarr/sst/9.0.0", "zarr/sst/c/0/0/9", "zarr/no/0.0", "zarr/sst/0.0", "nothing"):
        answer = requests.get(f"{base}/{path}")
        assert answer.status_code == 404 and "detail" in answer.json(), path
    assert requests.get(f"{server}/datasets/none/info").status_code == 404
    assert requests.post(f"{base}/info", data=b"x").status_code == 405
    address = urlsplit(server)
    for path in ("/datasets/../../etc/passwd", "/datasets/cube/zarr/%2e%2e/x", "/a%00b", "//x", "/%"):
        connection = http.client.HTTPConnection(address.hostname, address.port)
        connection.putrequest("GET", path)
        connection.endheaders()
        assert connection.getresponse().status == 400, path
        connection.close()
    long_path = requests.get(f"{server}/" + "x" * 5000)
    assert long_path.status_code == 414


def test_a_broken_source_is_never_a_missing_chunk(tmp_path):
    path = make_cube(tmp_path / "cube.nc")
    with serving(path) as (url, _):
        base = f"{url}/datasets/cube/zarr"
        assert requests.get(f"{base}/sst/0.0.0").status_code == 200
        os.truncate(path, 4000)
        for chunk in ("sst/0.0.1", "sst/c/0/0/1", "summed/0.0.0", "plain/0.0"):
            answer = requests.get(f"{base}/{chunk}")
            assert answer.status_code == 502, (chunk, answer.text)
            assert "cube.nc" in answer.json()["detail"]
        path.unlink()
        assert requests.get(f"{base}/sst/1.0.1").status_code == 502
        assert requests.get(f"{url}/datasets/cube/picture/sst.png").status_code == 502
        assert requests.get(f"{base}/.zmetadata").status_code == 200


def test_chunks_never_written(tmp_path):
    path = tmp_path / "holes.h5"
    with h5py.File(path, "w") as h5:
        for name, attribute in (("zero", None), ("marked", -1)):
            data = h5.create_dataset(name, (8,), "i4", chunks=(4,), compression="gzip", fillvalue=-1)
            data[:4] = [0, 1, 2, 3]
            if attribute is not None:
                data.attrs["_FillValue"] = np.int32(attribute)
    with serving(path) as (url, _):
        base = f"{url}/datasets/holes/zarr"
        assert requests.get(f"{base}/marked/1").status_code == 404
        assert requests.get(f"{base}/zero/c/1").status_code == 404
        for version in (2, 3):
            cube = xr.open_zarr(base, zarr_format=version, mask_and_scale=False)
            assert cube["zero"].values.tolist() == [0, 1, 2, 3, -1, -1, -1, -1]
            assert cube["marked"].values.tolist() == [0, 1, 2, 3, -1, -1, -1, -1]


def test_codecs_that_browsers_lack_are_encoded_anew(tmp_path):
    path = tmp_path / "odd.h5"
    values = np.arange(6000, dtype="f4").reshape(60, 100)
    with h5py.File(path, "w") as h5:
        h5.create_dataset("lzf", data=values, chunks=(25, 40), compression="lzf", shuffle=True)
        h5.create_dataset(
            "summed", data=values, chunks=(25, 40), fletcher32=True, shuffle=True, compression=4
        )
        h5.create_dataset("text", data=np.array([b"ab", b"cde"], dtype="S5"))
        h5.create_dataset("flag", data=np.array([True, False, True]))
    with serving(path) as (url, _):
        base = f"{url}/datasets/odd"
        metadata = requests.get(f"{base}/zarr/.zmetadata").json()["metadata"]
        assert metadata["lzf/.zarray"]["compressor"]["id"] == "blosc"
        for version in (2, 3):
            cube = xr.open_zarr(f"{base}/zarr", zarr_format=version)
            for name in ("lzf", "summed"):
                np.testing.assert_array_equal(cube[name].values, values)
            assert [bytes(x).rstrip(b"\0") for x in cube["text"].values] == [b"ab", b"cde"]
        assert requests.get(f"{base}/kerchunk/lzf/0.0").status_code == 422


def test_pages_and_pictures(server):
    index = requests.get(f"{server}/")
    assert index.status_code == 200 and "text/html" in index.headers["Content-Type"]
    page = requests.get(f"{server}/datasets/cube/").text
    for html in (index.text, page):
        assert "A &lt;b&gt;cube&lt;/b&gt; &amp; more" in html
        assert "<script" not in html and "http-equiv" not in html
    assert "xr.open_datatree" in page and server in page
    for name in ("sst", "packed", "time", "deep/below/v"):
        assert f"/picture/{name}.png" in page
        picture = requests.get(f"{server}/datasets/cube/picture/{name}.png")
        assert picture.status_code == 200 and picture.content[:8] == b"\x89PNG\r\n\x1a\n"
    last = requests.get(f"{server}/datasets/cube/picture/sst.png?index=time:-1")
    assert last.status_code == 200
    assert last.content != requests.get(f"{server}/datasets/cube/picture/sst.png").content
    assert requests.get(f"{server}/datasets/cube/picture/sst.png?index=time:5").status_code == 400
    assert requests.get(f"{server}/datasets/cube/picture/names.png").status_code == 422


NCZARR = """
import sys, netCDF4, numpy as np
with netCDF4.Dataset(f"file://{sys.argv[1]}#mode=zarr,file") as zarr, netCDF4.Dataset(sys.argv[2]) as truth:
    for name in sys.argv[3:]:
        left, right = zarr[name], truth[name]
        left.set_auto_maskandscale(False), right.set_auto_maskandscale(False)
        assert left.dimensions == right.dimensions and left.dtype.newbyteorder("=") == right.dtype.newbyteorder("="), name
        np.testing.assert_array_equal(left[...], right[...], err_msg=name)
        for key in ("units", "scale_factor"):
            assert getattr(left, key, None) == getattr(right, key, None), (name, key)
"""


def test_netcdf_c_reads_it(server, cube_path, tmp_path):
    """What is served, laid out as files: builds of netCDF-C that read Zarr over HTTP are rare (they need the S3 SDK)."""
    base = f"{server}/datasets/cube/zarr"
    metadata = requests.get(f"{base}/.zmetadata", timeout=10).json()["metadata"]
    names = ["time", "lat", "lon", "sst", "packed", "plain"]
    keys = [k for k in metadata if "/" not in k or k.split("/")[0] in names]
    for name in names:
        array = metadata[f"{name}/.zarray"]
        grid = [-(-n // c) for n, c in zip(array["shape"], array["chunks"])]
        keys += [f"{name}/" + ".".join(map(str, index)) for index in np.ndindex(*grid)]
    for key in keys:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        answer = requests.get(f"{base}/{key}", timeout=10)
        assert answer.status_code == 200, key
        (tmp_path / key).write_bytes(answer.content)
    command = [sys.executable, "-c", NCZARR, str(tmp_path), str(cube_path), *names]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


def test_no_array_hides_the_others(tmp_path):
    """Types that some client cannot parse, and integers of odd precision: the store opens everywhere, values are right."""
    path = tmp_path / "odd.h5"
    twelve_bits = np.arange(-40, 40, dtype="i2").reshape(10, 8)
    with h5py.File(path, "w") as file:
        type12 = h5py.h5t.NATIVE_INT16.copy()
        type12.set_precision(12)
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk((4, 8))
        made = h5py.h5d.create(file.id, b"twelve", type12, h5py.h5s.create_simple((10, 8)), layout)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, twelve_bits)
        file["fields"] = np.zeros(6, np.dtype([("a", "f4"), ("b", "i2", (3,))]))
        file["opaque"] = np.array([b"abcd"] * 3, dtype="V4")
        file["plain"] = np.arange(5.0)
    with serving(f"odd={path}") as (url, _):
        info = requests.get(f"{url}/datasets/odd/info", timeout=10).json()
        assert "zarr-python 3" in info["not_in_zarr2"]["fields"] and "fields" in info["not_in_zarr3"]
        import zarr
        for zarr_format in (2, 3):
            root = zarr.open_group(f"{url}/datasets/odd/zarr", mode="r", zarr_format=zarr_format, use_consolidated=True)
            assert sorted(root.array_keys()) == ["opaque", "plain", "twelve"]
            assert (root["twelve"][:] == twelve_bits).all() and (root["plain"][:] == np.arange(5.0)).all()
            assert root["opaque"][:].tolist() == [b"abcd"] * 3


def test_the_root_of_a_view_says_what_is_there(server):
    for view, formats in (("zarr", {"2", "3"}), ("kerchunk", {"2"})):
        for end in ("", "/"):
            answer = requests.get(f"{server}/datasets/cube/{view}{end}", allow_redirects=False)
            assert answer.status_code == 200
            known = answer.json()
            assert "plain" in known["arrays"] and set(known["metadata"]) == formats
            for document in known["metadata"].values():
                assert requests.get(f"{server}/datasets/cube/{view}/{document}").status_code == 200
    missing = requests.get(f"{server}/datasets/cube/zarr/sst/9.0.0").json()["detail"]
    assert "9.0.0" in missing


def test_errors_name_chunks_by_their_place_in_the_grid(tmp_path):
    path = make_cube(tmp_path / "cube.nc")
    with serving(path) as (url, _):
        os.truncate(path, 4000)
        answer = requests.get(f"{url}/datasets/cube/zarr/sst/1.0.1")
        assert answer.status_code == 502 and "chunk 1.0.1 of /sst" in answer.json()["detail"]


def test_references_of_a_cube_that_they_cannot_say(tmp_path):
    """Granules that differ: refs.json names the array and the reason; parts that are alike are no hindrance."""
    paths = []
    for step in range(3):
        paths.append(tmp_path / f"{step}.nc")
        with netCDF4.Dataset(paths[-1], "w") as f:
            for name, size in (("time", None), ("y", 40), ("x", 50)):
                f.createDimension(name, size)
            time = f.createVariable("time", "i4", ("time",))
            time.units = f"hours since 2000-01-0{step + 1}"
            time[:] = [0]
            for name, chunks in (("alike", (1, 40, 50)), ("drifts", (1, 40, 50 if step < 2 else 25))):
                f.createVariable(name, "f4", ("time", "y", "x"), zlib=True, chunksizes=chunks)[:] = step
    store = tmp_path / "cube.upwell"
    for arguments in (["virtualize", paths[0], "-o", store], ["append", store, paths[1]]):
        subprocess.run([UPWELL, *map(str, arguments)], check=True, timeout=60, capture_output=True)
    with serving(store) as (url, _):
        refs = requests.get(f"{url}/datasets/cube/refs.json").json()["refs"]
        assert {"time/0", "alike/1.0.0", "drifts/1.0.0"} <= refs.keys()
    subprocess.run([UPWELL, "append", store, paths[2], "--on-drift", "keep"], check=True, timeout=60, capture_output=True)
    with serving(store) as (url, _):
        answer = requests.get(f"{url}/datasets/cube/refs.json")
        assert answer.status_code == 422
        assert "/drifts: its parts are stored in different ways: chunk shape (1,40,25)" in answer.text
        assert "alike" not in answer.text and "?partial=1" in answer.text and "--" not in answer.text
        refs = requests.get(f"{url}/datasets/cube/refs.json?partial=1").json()["refs"]
        assert {"time/0", "alike/2.0.0"} <= refs.keys() and not any(key.startswith("drifts") for key in refs)
        assert "drifts" in xr.open_zarr(f"{url}/datasets/cube/zarr")

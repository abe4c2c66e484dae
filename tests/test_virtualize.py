"""upwell virtualize: what it writes is read by the real clients, with the values of the granules.

Every test makes its own granules. The truth is xarray or h5py opening the granules themselves.
"""

import json
import os
import shutil
import subprocess
import zlib
from pathlib import Path

import fsspec
import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr

ROOT = Path(__file__).resolve().parent.parent
UPWELL = os.environ.get("UPWELL", str(ROOT / "build/release/bin/upwell"))
ZARR2 = ROOT / ".venv-zarr2/bin/python"


def virtualize(*arguments, status=0):
    run = subprocess.run(
        [UPWELL, "virtualize", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == status, f"status {run.returncode}\n{run.stderr}"
    return run


def open_zarr(path, group=None, **options):
    """The reference set as a dataset, through fsspec and the zarr engine."""
    return xr.open_dataset(
        "reference://",
        engine="zarr",
        group=group,
        backend_kwargs={
            "consolidated": False,
            "storage_options": {"fo": str(path), "remote_protocol": "file"},
        },
        **options,
    )


def open_store(path):
    fs = fsspec.filesystem("reference", fo=str(path), remote_protocol="file", asynchronous=True)
    return zarr.open_group(zarr.storage.FsspecStore(fs, path=""), mode="r", zarr_format=2)


def open_kerchunk(path, **options):
    # Without the protocol fsspec looks for one in all references, and with pandas 3 stumbles over null
    # paths of Parquet, in kerchunk's own sets as well.
    return xr.open_dataset(
        str(path), engine="kerchunk", storage_options={"remote_protocol": "file"}, **options
    )


def bits(array):
    """Bytes in native order: NaN equals NaN of the same bits, -0.0 is not 0.0."""
    array = np.asarray(array)
    if array.dtype.kind in "OU":
        return [str(x) for x in array.ravel()]
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("="))
    return array.tobytes()


def assert_same(cube, truth, names=None):
    for name in names or truth.variables:
        a, b = cube[name], truth[name]
        assert a.dims == b.dims, name
        assert a.shape == b.shape, name
        if b.dtype.kind not in "OSU":
            assert a.dtype.newbyteorder("=") == b.dtype.newbyteorder("="), name
        assert bits(a.values) == bits(b.values), f"{name}\n{a.values}\n{b.values}"


def both_forms(tmp_path, sources, *options):
    """Runs once for JSON and once for Parquet; gives both."""
    made = []
    for name in ("cube.json", "cube.parq"):
        virtualize(*sources, "-o", tmp_path / name, "-q", *options)
        made.append(tmp_path / name)
    return made


def write_step(path, step, steps=2, units="days since 2000-01-01", calendar="standard", epoch=0,
               dtype="i2", scale=0.01, offset=2.0, fill=-32768, shift=0.0, chunks=None, zlib=True,
               shuffle=True, fletcher32=False, contiguous=False, nx=31, ny=29, extra=False,
               missing=False, endian="native", title="t", lat0=0.0, v_units="K", values=None):
    rng = np.random.default_rng(step)
    with netCDF4.Dataset(path, "w") as f:
        f.title = title
        f.history = f"made {step}"
        f.createDimension("time", None)
        f.createDimension("lat", ny)
        f.createDimension("lon", nx)
        t = f.createVariable("time", "f8", ("time",))
        t.units, t.calendar, t.standard_name = units, calendar, "time"
        t.bounds = "time_bnds"
        f.createDimension("two", 2)
        b = f.createVariable("time_bnds", "f8", ("time", "two"))
        lat = f.createVariable("lat", "f4", ("lat",))
        lat[:] = lat0 + np.arange(ny)
        lon = f.createVariable("lon", "f8", ("lon",))
        lon[:] = 10 + np.arange(nx) * 0.1
        now = step * steps + np.arange(steps) - epoch + shift
        t[:] = now if values is None else values
        b[:] = np.stack([now - 0.5, now + 0.5], 1)
        if not missing:
            v = f.createVariable("v", dtype, ("time", "lat", "lon"), zlib=zlib, shuffle=shuffle,
                                 fletcher32=fletcher32, chunksizes=chunks or (1, ny, nx),
                                 fill_value=fill, endian=endian)
            v.units = v_units
            if scale is not None:
                v.scale_factor, v.add_offset = scale, offset
            v.set_auto_maskandscale(False)
            data = rng.integers(-1000, 1000, (steps, ny, nx)).astype(dtype)
            data[0, 0, 0] = fill if fill is not None else 0
            data[0, 1, 1] = 0
            v[:] = data
        mask = f.createVariable("mask", "i1", ("lat", "lon"))
        mask[:] = np.arange(ny * nx).reshape(ny, nx) % 2
        if extra:
            f.createVariable("extra", "f4", ("lat",))[:] = 1
    return str(path)


def truth_of(paths, **options):
    return xr.open_mfdataset(
        paths, engine="netcdf4", concat_dim="time", combine="nested", data_vars="minimal",
        coords="minimal", compat="override", **options
    ).load()


# --- many granules ------------------------------------------------------------------------------


@pytest.fixture
def four(tmp_path):
    return [write_step(tmp_path / f"g{i}.nc", i) for i in range(4)]


def test_json_and_parquet_equal_open_mfdataset(tmp_path, four):
    truth, raw = truth_of(four), truth_of(four, decode_cf=False)
    for cube in both_forms(tmp_path, four[::-1]):
        assert_same(open_zarr(cube), truth)
        assert_same(open_kerchunk(cube), truth)
        assert_same(open_zarr(cube, decode_cf=False), raw, ["v", "mask", "lat", "lon", "time"])


def test_zarr_python_2_reads_it(tmp_path, four):
    if not ZARR2.exists():
        pytest.skip("no .venv-zarr2")
    truth = truth_of(four)
    truth.v.values.tofile(tmp_path / "v.bin")
    code = """
import sys, fsspec, zarr, numpy as np, xarray as xr
assert zarr.__version__.startswith("2")
path, v = sys.argv[1], np.fromfile(sys.argv[2])
m = fsspec.get_mapper("reference://", fo=path, remote_protocol="file")
z = zarr.open(m, mode="r")
assert z["v"].shape == (8, 29, 31), z["v"].shape
d = xr.open_dataset(m, engine="zarr", backend_kwargs={"consolidated": False})
assert d.v.values.astype("f8").tobytes() == v.tobytes()
"""
    for cube in both_forms(tmp_path, four):
        subprocess.run([ZARR2, "-c", code, cube, tmp_path / "v.bin"], check=True, timeout=120)


def test_kerchunk_combines_what_we_write(tmp_path, four):
    from kerchunk.combine import MultiZarrToZarr

    halves = []
    for k in (0, 2):
        virtualize(four[k], four[k + 1], "-o", tmp_path / f"h{k}.json", "-q")
        halves.append(str(tmp_path / f"h{k}.json"))
    refs = MultiZarrToZarr(halves, concat_dims=["time"], identical_dims=["lat", "lon"],
                           remote_protocol="file").translate()
    (tmp_path / "k.json").write_text(json.dumps(refs))
    assert_same(open_zarr(tmp_path / "k.json"), truth_of(four), ["v", "time"])


def test_reference_sets_are_sources_too(tmp_path, four):
    sets = []
    for i, granule in enumerate(four):
        out = tmp_path / (f"s{i}.json" if i % 2 else f"s{i}.parq")
        virtualize(granule, "-o", out, "-q")
        sets.append(out)
    virtualize(*sets, "-o", tmp_path / "cube.json", "--concat", "time", "-q")
    assert_same(open_zarr(tmp_path / "cube.json"), truth_of(four))


def test_same_input_same_bytes(tmp_path, four):
    one, two = tmp_path / "1.json", tmp_path / "2.json"
    virtualize(*four, "-o", one, "-q")
    virtualize(*four, "-o", two, "-q", "--jobs", 1)
    assert one.read_bytes() == two.read_bytes()


def test_epochs_become_one(tmp_path):
    a = write_step(tmp_path / "a.nc", 0)
    b = write_step(tmp_path / "b.nc", 1, units="days since 2000-01-03", epoch=2)
    c = write_step(tmp_path / "c.nc", 2, units="hours since 2000-01-05 00:00:00",
                   values=[0, 24])
    cube, _ = both_forms(tmp_path, [a, b], )
    truth = truth_of([a, b])
    assert_same(open_zarr(cube), truth, ["time", "v", "lat"])
    raw = open_zarr(cube, decode_times=False)
    assert raw.time.values.tolist() == [0, 1, 2, 3]
    assert raw.time_bnds.values[:, 0].tolist() == [-0.5, 0.5, 1.5, 2.5]
    assert raw.time.encoding["chunks"] == (4,)
    virtualize(a, c, "-o", tmp_path / "c.json", "-q")
    raw = open_zarr(tmp_path / "c.json", decode_times=False)
    assert raw.time.values.tolist() == [0, 1, 4, 5]


@pytest.mark.parametrize("dtype,scale,fill,chunks", [
    ("i2", 0.01, -32768, (1, 29, 31)),
    ("f4", None, 1e20, (1, 8, 13)),
    ("f8", None, np.nan, (2, 29, 31)),
    ("u1", None, 255, (1, 29, 16)),
    ("i4", None, None, (1, 29, 31)),
    ("i8", None, -1, (1, 29, 31)),
])
@pytest.mark.parametrize("endian", ["little", "big"])
def test_types_fills_and_edges(tmp_path, dtype, scale, fill, chunks, endian):
    paths = [write_step(tmp_path / f"g{i}.nc", i, dtype=dtype, scale=scale, fill=fill,
                        chunks=chunks, endian=endian) for i in range(3)]
    truth = truth_of(paths)
    for cube in both_forms(tmp_path, paths):
        assert_same(open_zarr(cube), truth)


@pytest.mark.parametrize("options", [
    {"zlib": False}, {"zlib": False, "fletcher32": True}, {"fletcher32": True},
    {"shuffle": False}, {"zlib": False, "shuffle": False},
])
def test_filters(tmp_path, options):
    paths = [write_step(tmp_path / f"g{i}.nc", i, **options) for i in range(2)]
    cube, _ = both_forms(tmp_path, paths)
    assert_same(open_zarr(cube), truth_of(paths))


def test_months_of_different_length_in_contiguous_granules(tmp_path):
    paths, day = [], 0
    for month, days in enumerate((31, 28, 30)):
        path = tmp_path / f"m{month}.nc"
        with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC" if month == 9 else "NETCDF4") as f:
            f.createDimension("time", days)
            f.createDimension("x", 1000)
            t = f.createVariable("time", "i4", ("time",), contiguous=True)
            t.units = "days since 2001-01-01"
            t[:] = np.arange(day, day + days)
            v = f.createVariable("v", "f4", ("time", "x"), contiguous=True)
            v[:] = np.arange(days * 1000).reshape(days, 1000) + day
        day += days
        paths.append(str(path))
    cube, _ = both_forms(tmp_path, paths)
    assert_same(open_zarr(cube), truth_of(paths))


def test_netcdf3_records(tmp_path):
    paths = []
    for k in range(3):
        path = tmp_path / f"c{k}.nc"
        with netCDF4.Dataset(path, "w", format="NETCDF3_64BIT_OFFSET") as f:
            f.createDimension("time", None)
            f.createDimension("x", 600)
            t = f.createVariable("time", "f8", ("time",))
            t.units = "hours since 2001-01-01"
            a = f.createVariable("a", "i2", ("time", "x"))
            b = f.createVariable("b", "f4", ("time", "x"))
            still = f.createVariable("still", "f8", ("x",))
            t[:] = np.arange(2) + 2 * k
            a[:] = np.arange(1200).reshape(2, 600) + k
            b[:] = np.arange(1200).reshape(2, 600) / 3 + k
            still[:] = np.arange(600) / 7
        paths.append(str(path))
    cube, _ = both_forms(tmp_path, paths)
    assert_same(open_zarr(cube), truth_of(paths))


def test_a_scalar_time_becomes_a_dimension(tmp_path):
    paths = []
    for k in (1, 0, 2):
        path = tmp_path / f"s{k}.nc"
        with netCDF4.Dataset(path, "w") as f:
            f.createDimension("y", 40)
            f.createDimension("x", 30)
            t = f.createVariable("time", "f8", ())
            t.units = "days since 2001-01-01"
            t[...] = k
            v = f.createVariable("v", "f4", ("y", "x"), zlib=True, chunksizes=(16, 16))
            v.coordinates = "time area"
            v[:] = np.arange(1200).reshape(40, 30) * (k + 1)
            f.createVariable("area", "f4", ("y", "x"))[:] = 3
            f.createVariable("crs", "i4", ())[...] = 1
        paths.append(str(path))
    cube, _ = both_forms(tmp_path, paths, "--concat", "time")
    got = open_zarr(cube)
    assert got.v.dims == ("time", "y", "x")
    assert got.area.dims == ("y", "x") and got.crs.dims == ()
    for k, path in enumerate(sorted(paths)):
        with xr.open_dataset(path, engine="netcdf4") as one:
            assert got.time.values[k] == one.time.values
            assert bits(got.v.values[k]) == bits(one.v.values)


def test_nested_groups(tmp_path):
    paths = []
    for k in range(2):
        path = tmp_path / f"n{k}.nc"
        with netCDF4.Dataset(path, "w") as f:
            f.createDimension("time", None)
            f.createVariable("time", "f8", ("time",)).units = "days since 2001-01-01"
            f["time"][:] = [k]
            inner = f.createGroup("a/b")
            inner.note = "deep"
            inner.createDimension("x", 500)
            v = inner.createVariable("v", "f4", ("time", "x"), zlib=True, chunksizes=(1, 500))
            v[:] = np.arange(500)[None] + k
            own = f.createGroup("a")
            own.createVariable("w", "i4", ("time",))[:] = [k * 10]
        paths.append(str(path))
    # zarr-python 3 lists nothing below a group of a reference file system (kerchunk's own sets are
    # no different), so arrays are named, and groups opened by zarr-python 2 below.
    for cube in both_forms(tmp_path, paths):
        root = open_store(cube)
        assert root["a/b"].attrs["note"] == "deep"
        assert np.array_equal(root["a/b/v"][...], np.arange(500.0)[None] + [[0], [1]])
        assert root["a/w"][...].tolist() == [0, 10]
    if not ZARR2.exists():
        pytest.skip("no .venv-zarr2")
    code = """
import sys, fsspec, xarray as xr
m = fsspec.get_mapper("reference://", fo=sys.argv[1], remote_protocol="file")
d = xr.open_dataset(m, engine="zarr", group="a/b", backend_kwargs={"consolidated": False})
assert d.attrs["note"] == "deep" and d.v.values[1, 3] == 4, d
"""
    subprocess.run([ZARR2, "-c", code, tmp_path / "cube.json"], check=True, timeout=120)


# --- one granule, odd things ----------------------------------------------------------------------


def test_strings(tmp_path):
    path = tmp_path / "s.nc"
    with netCDF4.Dataset(path, "w") as f:
        f.createDimension("n", 3)
        f.createDimension("len", 4)
        f.createVariable("s", str, ("n",))[:] = np.array(["a", "größe", ""], dtype=object)
        c = f.createVariable("c", "S1", ("n", "len"))
        c[:] = np.array([list("abcd"), list("efgh"), list("ijkl")], dtype="S1")
    for cube in both_forms(tmp_path, [path]):
        with xr.open_dataset(path, engine="netcdf4") as truth:
            got = open_zarr(cube)
            assert got.s.values.tolist() == truth.s.values.tolist()
            assert got.c.values.tolist() == truth.c.values.tolist()


def test_strings_along_time(tmp_path):
    paths = []
    for k in range(3):
        path = tmp_path / f"s{k}.nc"
        with netCDF4.Dataset(path, "w") as f:
            f.createDimension("time", None)
            f.createVariable("time", "f8", ("time",)).units = "days since 2001-01-01"
            f["time"][:] = [2 * k, 2 * k + 1]
            s = f.createVariable("s", str, ("time",))
            s[0], s[1] = f"first {k}", f"ö{k}"
        paths.append(path)
    cube, _ = both_forms(tmp_path, paths)
    assert open_zarr(cube).s.values.tolist() == [w for k in range(3) for w in (f"first {k}", f"ö{k}")]


def test_h5py_layouts(tmp_path):
    """Compact, contiguous, missing chunks with every kind of fill, twice deflate, masks, zero size."""
    path = tmp_path / "h.h5"
    rng = np.random.default_rng(1)
    truth = {}
    with h5py.File(path, "w") as f:
        def put(name, data, **options):
            truth[name] = np.asarray(data)
            return f.create_dataset(name, data=data, **options)

        put("contiguous", rng.random((50, 60)))
        dcpl = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        dcpl.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((4000,))
        h5py.h5d.create(f.id, b"compact", h5py.h5t.NATIVE_INT64, space, dcpl)
        f["compact"][:] = truth["compact"] = np.arange(4000)
        put("lzf_small", np.arange(20), chunks=(20,), compression="lzf")
        put("edges", rng.integers(0, 100, (33, 47)), chunks=(10, 10), compression="gzip")
        put("big", rng.random((40, 40)).astype(">f4"), chunks=(16, 16), shuffle=True)
        for name, fill in (("holes0", 0), ("holes7", 7)):
            d = f.create_dataset(name, (64, 64), "i4", chunks=(16, 16), compression="gzip",
                                 fillvalue=fill)
            d[:16, :16] = 5
            d[:16, 16:32] = 0
            truth[name] = d[:]
        dcpl = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        dcpl.set_chunk((32, 32))
        dcpl.set_deflate(4)
        dcpl.set_deflate(6)
        space = h5py.h5s.create_simple((64, 64))
        h5py.h5d.create(f.id, b"twice", h5py.h5t.NATIVE_DOUBLE, space, dcpl)
        f["twice"][:] = truth["twice"] = rng.random((64, 64))
        d = f.create_dataset("masked", (64, 64), "i4", chunks=(32, 32), compression="gzip",
                             shuffle=True)
        data = rng.integers(0, 9, (64, 64)).astype("i4")
        d[32:], d[:32, 32:] = data[32:], data[:32, 32:]
        d.id.write_direct_chunk((0, 0), data[:32, :32].tobytes(), filter_mask=0b11)
        truth["masked"] = data
        d = f.create_dataset("all_masked", (64, 64), "i4", chunks=(32, 32), compression="gzip",
                             shuffle=True)
        for i in (0, 32):
            for j in (0, 32):
                d.id.write_direct_chunk((i, j), zlib.compress(data[i:i+32, j:j+32].tobytes()),
                                        filter_mask=0b01)
        truth["all_masked"] = data
        f.create_dataset("empty", (0, 3), "f4", chunks=(1, 3), maxshape=(None, 3))
        f["scalar"] = truth["scalar"] = np.float64(2.5)
        f["bool"] = truth["bool"] = np.arange(2000) % 3 == 0
        f["complex"] = truth["complex"] = (np.arange(300) * (1 + 2j)).astype("c16")
        kind = np.dtype([("a", "<i4"), ("b", ">f8"), ("c", "S3")])
        f["table"] = truth["table"] = np.array([(i, i / 3, b"x%d" % (i % 9)) for i in range(200)],
                                               dtype=kind)
    with h5py.File(path) as f:
        assert np.array_equal(f["masked"][:], data)
    for cube in both_forms(tmp_path, [path]):
        root = open_store(cube)
        for name, values in truth.items():
            got = root[name][...]
            if values.dtype.kind == "c":  # HDF5 has no complex numbers: a pair (r, i)
                assert got.tobytes() == values.tobytes(), name
            elif values.dtype.names:
                assert np.asarray(got).tolist() == values.tolist(), name
            else:
                assert np.array_equal(got, values), name
        assert root["empty"].shape == (0, 3)


def test_filters_that_zarr_has_not_are_refused_by_name(tmp_path):
    path = tmp_path / "h.h5"
    with h5py.File(path, "w") as f:
        f.create_dataset("packed", data=np.arange(10000), chunks=(1000,), scaleoffset=0)
        f.create_dataset("lzf", data=np.arange(10000), chunks=(1000,), compression="lzf")
        f["good"] = np.arange(5000)
    out = tmp_path / "o.json"
    run = virtualize(path, "-o", out, "--report", tmp_path / "r.json", "-q", status=65)
    assert not out.exists()
    assert "/packed" in run.stderr and "scaleoffset" in run.stderr and "--drop" in run.stderr
    refused = json.loads((tmp_path / "r.json").read_text())["refused"]
    assert sorted(r["path"] for r in refused) == ["/lzf", "/packed"]
    virtualize(path, "-o", out, "--drop", "packed", "--load", "lzf", "-q")
    refs = json.loads(out.read_text())["refs"]
    assert "packed/.zarray" not in refs
    assert np.array_equal(open_store(out)["lzf"][...], np.arange(10000))


def test_fill_without_attribute_does_not_mask_zeros(tmp_path):
    path = tmp_path / "h.nc"
    with netCDF4.Dataset(path, "w") as f:
        f.createDimension("x", 40)
        v = f.createVariable("v", "f4", ("x",), zlib=True, chunksizes=(10,))
        v[:10] = 0
        v[20:30] = 1
    virtualize(path, "-o", tmp_path / "o.json", "--inline-threshold", 0, "-q")
    with xr.open_dataset(path, engine="netcdf4") as truth:
        assert_same(open_zarr(tmp_path / "o.json"), truth)


def test_memory_follows_the_chunks_that_exist(tmp_path):
    """Two hundred million places, a hundred chunks."""
    blob = tmp_path / "blob"
    blob.write_bytes(np.arange(1, 101, dtype="<f4").tobytes())
    array = {"zarr_format": 2, "shape": [200_000, 1000], "chunks": [1, 1], "dtype": "<f4", "compressor": None,
             "filters": None, "fill_value": 0, "order": "C"}
    refs = {".zgroup": '{"zarr_format":2}', "v/.zarray": json.dumps(array),
            "v/.zattrs": '{"_ARRAY_DIMENSIONS":["y","x"]}'}
    refs |= {f"v/{i * 1999}.{i * 7}": [str(blob), i * 4, 4] for i in range(100)}
    sparse, out = tmp_path / "sparse.json", tmp_path / "out.json"
    sparse.write_text(json.dumps({"version": 1, "refs": refs}))

    def in_little_memory(*arguments):
        command = ["prlimit", f"--as={1 << 30}", UPWELL, *map(str, arguments), "-q"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, run.stderr
        return run.stdout

    assert "values 100  missing 199999900" in in_little_memory("read", sparse, "v")
    in_little_memory("virtualize", sparse, "-o", out)
    written = json.loads(out.read_text())["refs"]
    assert {k: v for k, v in written.items() if isinstance(v, list)} == {k: v for k, v in refs.items() if isinstance(v, list)}


def test_cdo_reads_the_cube_as_it_reads_the_granules(tmp_path, four):
    cdo = shutil.which("cdo")
    if cdo is None:
        pytest.skip("cdo is not installed")
    cube, out, merged = tmp_path / "cube.json", tmp_path / "out.nc", tmp_path / "merged.nc"
    virtualize(*four, "-o", cube, "-q")
    subprocess.run([UPWELL, "read", cube, "v", "-o", out, "-q"], check=True, timeout=60)
    subprocess.run([cdo, "-s", "-O", "mergetime", *four, merged], check=True, timeout=60)

    def table(path):
        # Missing values are NaN in one file and -32768 in the others.
        command = [cdo, "-s", "output", "-setmissval,-9999", "-setctomiss,nan", "-selname,v", path]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert table(out) == table(merged) and len(table(out).splitlines()) > 10

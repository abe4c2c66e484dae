"""Values that other tools, and once this one, got wrong in silence; and outputs that must not destroy what is there."""

import os
import pathlib
import subprocess

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

ROOT = pathlib.Path(__file__).resolve().parent.parent
UPWELL = os.environ.get("UPWELL", str(ROOT / "build/release/bin/upwell"))


def upwell(*arguments, status=0):
    done = subprocess.run([UPWELL, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return done


def granule(path, day, fill=None, group=False):
    """Two days, with a second time and bounds of both; the epoch is the granule's own first day."""
    with netCDF4.Dataset(path, "w") as root:
        root.createDimension("time", None)
        root.createDimension("nv", 2)
        for name in ("time", "t2"):
            variable = root.createVariable(name, "i4", ("time",))
            variable.units = f"days since 2000-01-{day:02d}"
            variable.bounds = name + "_b"
            variable[:] = [0, 1]
            root.createVariable(name + "_b", "i4", ("time", "nv"))[:] = [[0, 1], [1, 2]]
        if fill is not None:
            root["t2"].missing_value = np.int32(fill)
            root["t2"][1] = fill
        root.createVariable("v", "f4", ("time",))[:] = [day, day + 1]
    return path


def test_bounds_of_every_time_follow_it(tmp_path):
    granules = [granule(tmp_path / f"{day}.nc", day) for day in (1, 3)]
    upwell("virtualize", *granules, "-o", tmp_path / "cube.json", "--concat", "time")
    cube = xr.open_dataset(str(tmp_path / "cube.json"), engine="kerchunk", decode_times=False)
    for name in ("time", "t2"):
        assert cube[name].values.tolist() == [0, 1, 2, 3]
        assert cube[name + "_b"].values.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]


def test_missing_times_stay_missing(tmp_path):
    granules = [granule(tmp_path / f"{day}.nc", day, fill=-9999) for day in (1, 3)]
    upwell("virtualize", *granules, "-o", tmp_path / "cube.json", "--concat", "time")
    cube = xr.open_dataset(str(tmp_path / "cube.json"), engine="kerchunk", decode_times=False, mask_and_scale=False)
    assert cube["t2"].values.tolist() == [0, -9999, 2, -9999]


def test_every_value_of_static_variables_counts(tmp_path):
    for k in (0, 1):
        with netCDF4.Dataset(tmp_path / f"{k}.nc", "w") as root:
            for name, size in (("time", None), ("y", 1500), ("x", 1500)):
                root.createDimension(name, size)
            time = root.createVariable("time", "i4", ("time",))
            time.units = "days since 2000-01-01"
            time[:] = [k]
            field = np.zeros((1500, 1500))
            field[300:400] = 77 * k
            root.createVariable("area", "f8", ("y", "x"), zlib=True, chunksizes=(100, 1500))[:] = field
            root.createVariable("v", "f4", ("time",))[:] = [k]
    done = upwell("virtualize", tmp_path / "0.nc", tmp_path / "1.nc", "-o", tmp_path / "cube.json", status=65)
    assert "area" in done.stderr and not (tmp_path / "cube.json").exists()


@pytest.mark.parametrize("kind,fill,other", [("i8", 2**63 - 1, 2**63 - 2), ("i8", -(2**63) + 2, -(2**63)),
                                             ("u8", 2**64 - 2, 2**64 - 1), ("i8", 2**53 + 1, 2**53)])
def test_missing_values_of_64_bits_are_exact(tmp_path, kind, fill, other):
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as root:
        root.createDimension("x", 3)
        variable = root.createVariable("v", kind, ("x",), fill_value=fill)
        variable.set_auto_mask(False)
        variable[:] = np.array([fill, other, 7], dtype=kind)
    upwell("read", tmp_path / "a.nc", "v", "-o", tmp_path / "v.npy")
    assert np.isnan(np.load(tmp_path / "v.npy")).tolist() == [True, False, False]


def test_unsigned_may_say_false(tmp_path):
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as root:
        root.createDimension("x", 3)
        variable = root.createVariable("v", "u1", ("x",))
        variable.set_auto_maskandscale(False)
        variable.setncattr("_Unsigned", "false")
        variable[:] = np.array([1, 133, 238], dtype="u1")
    upwell("read", tmp_path / "a.nc", "v", "-o", tmp_path / "v.npy")
    assert np.load(tmp_path / "v.npy").tolist() == xr.open_dataset(tmp_path / "a.nc")["v"].values.tolist() == [1, -123, -18]


def test_checksummed_shuffle_is_written_only_where_numcodecs_can_undo_it(tmp_path):
    for kind, status in (("f8", 65), ("f4", 0)):
        with netCDF4.Dataset(tmp_path / f"{kind}.nc", "w") as root:
            root.createDimension("x", 5000)
            variable = root.createVariable("v", kind, ("x",), zlib=True, shuffle=True, fletcher32=True, chunksizes=(1000,))
            variable[:] = np.arange(5000)
        upwell("virtualize", tmp_path / f"{kind}.nc", "-o", tmp_path / f"{kind}.json", status=status)
    cube = xr.open_dataset(str(tmp_path / "f4.json"), engine="kerchunk")
    assert np.array_equal(cube["v"].values, np.arange(5000, dtype="f4"))


def test_outputs_never_replace_granules_or_strangers(tmp_path):
    source = granule(tmp_path / "a.nc", 1)
    before = source.read_bytes()
    upwell("virtualize", source, "-o", source, status=64)
    upwell("read", source, "v", "-o", source, status=64)
    upwell("virtualize", source, "-o", tmp_path / "cube.txt", status=64)
    assert source.read_bytes() == before
    stranger = tmp_path / "mine.parq"
    stranger.mkdir()
    (stranger / "thesis.txt").write_text("important")
    upwell("virtualize", source, "-o", stranger, status=73)
    assert (stranger / "thesis.txt").read_text() == "important"
    upwell("virtualize", source, "-o", tmp_path / "cube.parq")
    upwell("virtualize", source, "-o", tmp_path / "cube.parq")  # an own one may be replaced


def test_what_csv_cannot_say_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        ragged = file.create_dataset("ragged", (2,), dtype=h5py.vlen_dtype("i4"))
        ragged[0], ragged[1] = [1], [1, 2]
        file["pair"] = np.zeros(2, dtype=[("a", "i4"), ("b", "f8")])
    for name in ("ragged", "pair"):
        upwell("read", tmp_path / "a.h5", name, "-o", "-", status=65)

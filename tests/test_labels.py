"""Elements that are taken by a label: names of stations, as strings and as characters along a dimension of their own."""

import subprocess

import netCDF4
import numpy as np
import pytest

from test_virtualize import UPWELL

NAMES = ["Oslo", "Bergen", "Bod\u00f8", "Oslo N"]
VALUES = np.random.default_rng(5).normal(280, 5, (6, 4)).astype("f4")


def run(*command, status=0):
    done = subprocess.run([UPWELL, *map(str, command), "-q"], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def write_stations(path, kind, names=NAMES):
    with netCDF4.Dataset(path, "w", format="NETCDF4" if kind == "text" else "NETCDF3_CLASSIC") as file:
        file.createDimension("time", 6)
        file.createDimension("station", len(names))
        time = file.createVariable("time", "f8", ("time",))
        time.units = "days since 2000-01-01"
        time[:] = np.arange(6)
        if kind == "text":
            labels = file.createVariable("name", str, ("station",))
            labels[:] = np.array(names, dtype=object)
        else:
            file.createDimension("letters", 12)
            labels = file.createVariable("name", "S1", ("station", "letters"))
            padding = b"\0" if kind == "zeros" else b" "
            labels[:] = [[bytes([b]) for b in name.encode().ljust(12, padding)] for name in names]
        labels.cf_role = "timeseries_id"
        height = file.createVariable("height", "f4", ("station",))
        height[:] = [10.5, 20, 30, 40][: len(names)]
        variable = file.createVariable("temperature", "f4", ("time", "station"))
        variable.setncatts({"units": "K", "coordinates": "name height"})
        variable[:] = VALUES[:, : len(names)]
    return path


@pytest.mark.parametrize("kind", ["text", "zeros", "blanks"])
def test_a_station_is_taken_by_its_name(tmp_path, kind):
    path = write_stations(tmp_path / "stations.nc", kind)
    for number, name in enumerate(NAMES):
        run("read", path, "temperature", "--sel", f"name={name}", "-o", tmp_path / "one.npy")
        np.testing.assert_array_equal(np.load(tmp_path / "one.npy"), VALUES[:, number])
    run("aggregate", path, "--variables", "temperature", "--sel", "name=Bergen", "--reduce", "time:max", "-o", tmp_path / "max.nc")
    with netCDF4.Dataset(tmp_path / "max.nc") as file:
        assert file["temperature"][...] == VALUES[:, 1].max()
    run("read", path, "temperature", "--sel", "height=10.5,time=2000-01-02", "-o", tmp_path / "one.npy")
    assert np.load(tmp_path / "one.npy") == VALUES[1, 0]


def test_labels_that_take_none_or_several_are_told(tmp_path):
    path = write_stations(tmp_path / "stations.nc", "text")
    assert "no such label; there are: Oslo, Bergen, Bod\u00f8, Oslo N" in run("read", path, "temperature", "--sel", "name=oslo", status=64)
    twice = write_stations(tmp_path / "twice.nc", "zeros", ["Oslo", "Bergen", "Oslo"])
    assert "elements 0 and 2 have this label" in run("read", twice, "temperature", "--sel", "name=Oslo", status=64)
    assert "--sel name=LABEL" in run("aggregate", path, "--variables", "temperature", "--where", "name == 3", "--reduce", "time:max", "-o", "-", status=64)

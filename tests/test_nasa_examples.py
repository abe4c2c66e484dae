"""The examples of docs/guide/nasa.md, as they are written there, against the fake Earthdata; their values beside xarray's."""

import os
import pathlib
import re
import subprocess

import numpy as np
import pytest
import xarray as xr
from earthdata import granules

from test_virtualize import UPWELL

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs/guide/nasa.md"


def documented(start, page=PAGE):
    """(the command of the page that begins so, the output that the page shows for it)"""
    blocks = re.findall(r"^```\n(.*?)^```$", page.read_text(), flags=re.M | re.S)
    (block,) = [block for block in blocks if block.startswith(f"$ {start}")]
    lines = block.splitlines()
    end = next((i for i, line in enumerate(lines) if not line.endswith(("|", "\\"))), len(lines) - 1) + 1
    return "\n".join(lines[:end])[2:], lines[end:]


def run_documented(earthdata, start, directory):
    """Runs it in `directory` as it is, and gives what it printed."""
    command, shown = documented(start)
    path = f"{pathlib.Path(UPWELL).resolve().parent}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=directory, capture_output=True, text=True, timeout=300,
                          env={**os.environ, **earthdata.environment(), "PATH": path})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == shown, f"the page shows something else:\n{done.stdout}"
    assert not earthdata.strayed()
    return done.stdout


def test_mean_height_of_one_beam(earthdata, tmp_path):
    printed = run_documented(earthdata, "upwell read --short-name ATL03", tmp_path)
    granule = tmp_path / "granule.h5"
    granule.write_bytes(granules.atl03(0, 1))
    with xr.open_dataset(granule, group="gt1l/heights", engine="h5netcdf") as heights:
        assert float(printed.split(" mean ")[1]) == pytest.approx(float(heights.h_ph.mean(dtype="f8")), rel=1e-9)


def test_great_lakes(earthdata, tmp_path):
    run_documented(earthdata, "upwell aggregate --short-name MUR-JPL-L4-GLOB-v4.1 --temporal 2010,2019", tmp_path)
    paths = []
    for year in range(2010, 2020):
        for day in (24, 25):
            number = int((np.datetime64(f"{year}-12-{day}") - np.datetime64("2002-06-01")).astype(int))
            paths.append(tmp_path / f"{number}.nc")
            paths[-1].write_bytes(granules.mur(number, 1))
    with xr.open_mfdataset(paths, engine="netcdf4", combine="nested", concat_dim="time") as days, xr.open_dataset(tmp_path / "lakes.nc") as lakes:
        box = days.sel(lat=slice(40.26, 48.95), lon=slice(-94.93, -73.83))
        assert box.sizes["time"] == 20 and box.sizes["lat"] >= 3 and box.sizes["lon"] >= 8
        water = box.analysed_sst.astype("f8").where((box.sea_ice_fraction < 0.15) | box.sea_ice_fraction.isnull())
        expected = water.groupby("time.year").mean("time")
        without_condition = box.analysed_sst.astype("f8").groupby("time.year").mean("time")
        assert (np.abs(expected - without_condition) > 1e-3).sum() > 20, "the condition takes days away"
        assert 0 < np.isnan(expected.where(without_condition.notnull(), 0)).sum() < expected.size / 2, "and all of some"
        np.testing.assert_allclose(lakes.analysed_sst, expected, rtol=1e-12)
        np.testing.assert_array_equal(lakes.lon, box.lon)

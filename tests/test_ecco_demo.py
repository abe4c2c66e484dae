"""demo/ecco: production from end to end on a model made of formulas, and that its comparison would notice what is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import netCDF4
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "demo/ecco/run.py"


def demo(place, *options, status=0):
    run = subprocess.run([sys.executable, RUN, place, *options], capture_output=True, text=True, timeout=300)
    assert run.returncode == status, f"status {run.returncode}\n{run.stdout}{run.stderr}"
    return run.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("ecco")
    return place, demo(place)


def test_every_value_is_numpys(made):
    place, text = made
    for kind in ("native", "latlon", "turned", "coordinates", "time-invariant", "series"):
        assert f"{kind}: " in text
    assert "values equal NumPy's, bit for bit" in text and "DIFFERENT" not in text
    report = json.loads((place / "report.json").read_text())
    assert report["made"] == report["tasks"] == len(list(place.glob("out/**/*.nc"))) > 10
    tasks = json.loads((place / "tasks.json").read_text())
    assert [t["granule"] for t in tasks] == [g["granule"] for g in report["granules"]]


def test_granules_say_what_they_are(made):
    place, _ = made
    with netCDF4.Dataset(next(place.glob("out/*/latlon/mon_mean/OCEAN_VELOCITY/*1992-02*.nc"))) as nc:
        assert nc["EVEL"].standard_name == "eastward_sea_water_velocity" and nc["EVEL"].shape[0] == 1
        assert nc.time_coverage_start == "1992-02-01T00:00:00" and nc.time_coverage_end == "1992-03-01T00:00:00"
        assert list(nc.variables)[:4] == ["time", "Z", "latitude", "longitude"]


@pytest.mark.parametrize("pattern, variable", [("native/mon_mean/*/SEA*1992-02*", "SSH"), ("latlon/mon_mean/*/OCEAN_T*1992-01*", "SALT"),
                                               ("latlon/mon_mean/*/OCEAN_V*1992-03*", "NVEL"), ("native/mon_mean/*/OCEAN_V*", "XC_bnds"),
                                               ("native/OCEAN_MIXING*.nc", "DIFFKR"), ("1d/mon_mean/*/*.nc", "global_mean_sea_level")])
def test_the_comparison_notices_one_value(made, pattern, variable):
    place, _ = made
    path = next(place.glob("out/*/" + pattern))
    whole = path.read_bytes()
    try:
        with netCDF4.Dataset(path, "a") as nc:
            nc.set_auto_maskandscale(False)
            values = nc[variable][...]
            some = np.flatnonzero(values < 1e30)[min(10, values.size - 1)]
            values.flat[some] += 1e-3
            nc[variable][...] = values
        text = demo(place, "--check", status=1)
        assert text.count("DIFFERENT") == 1 and variable in text and "1 of " in text, text
    finally:
        path.write_bytes(whole)


def test_a_month_that_is_missing(made, tmp_path):
    """Bad input: a .data that is cut short fails its granules by name, and no other."""
    place, _ = made
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", place, copy], check=True)
    subprocess.run(["rm", "-r", copy / "out"], check=True)
    data = next(copy.glob("results/**/SSH_mon_mean.0000001428.data"))
    os.truncate(data, 1000)
    upwell = os.environ.get("UPWELL", str(ROOT / "build/release/bin/upwell"))
    run = subprocess.run([upwell, "produce", "granules", "--tasklist", "tasks.json", "--cfgfile", "config.yaml"], cwd=copy,
                         capture_output=True, text=True, timeout=120)
    assert run.returncode == 65 and "SSH_mon_mean.0000001428.data: 1000 bytes" in run.stderr
    granules = [p.name for p in copy.glob("out/**/*.nc")]
    assert len(granules) == len(list(place.glob("out/**/*.nc"))) - 2
    assert not [name for name in granules if name.startswith("SEA_SURFACE_HEIGHT_mon_mean_1992-02")]

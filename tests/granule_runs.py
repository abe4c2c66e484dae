"""Running upwell produce granules in tests, and the real ECCO data as one tree: what the test files of granules share."""

import json
import lzma
import glob
import os
import re
import shutil
import subprocess
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from llc_world import compact

ROOT = Path(__file__).resolve().parent.parent
UPWELL = os.environ.get("UPWELL", str(ROOT / "build/release/bin/upwell"))
ECCO = Path(os.environ.get("UPWELL_SHARED", ROOT.parent / "shared")) / "data/ecco"


def produce(root, tasks, *options, config=None, status=0, program=None, report=True):
    """Runs the list; gives the report (or standard error without one)."""
    tasklist = root / "tasks.json"
    tasklist.write_text(json.dumps(tasks))
    command = program or [UPWELL, "produce", "granules"]
    arguments = ["--tasklist", str(tasklist)] + (["--cfgfile", str(config)] if config else [])
    if report:
        arguments += ["--report", str(root / "report.json")]
    run = subprocess.run([*command, *arguments, *options], capture_output=True, text=True, timeout=300)
    assert status in (None, run.returncode), f"status {run.returncode}\n{run.stderr}"
    if not report:
        return run.stderr
    return json.loads((root / "report.json").read_text()) | {"stderr": run.stderr}


def variables_of(path):
    with netCDF4.Dataset(path) as nc:
        nc.set_auto_maskandscale(False)
        return {name: variable[...] for name, variable in nc.variables.items()}


def attributes_of(path, variable=None):
    with netCDF4.Dataset(path) as nc:
        owner = nc if variable is None else nc[variable]
        return {name: owner.getncattr(name) for name in owner.ncattrs()}


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


# --- The real thing ---------------------------------------------------------------------------------------------------

needs_ecco = pytest.mark.skipif(not ECCO.exists(), reason=f"no ECCO data at {ECCO}; set UPWELL_SHARED")
CONFIG = ECCO / "configs/product_generation_config_updated.yaml"


def real_tree(root):
    """The shared data as one tree: the grid in one directory, raw 3-D output unpacked."""
    grid = root / "grid"
    grid.mkdir()
    for path in (ECCO / "grid_ECCOV4r4").iterdir():
        if not path.name.startswith("maskCtrl"):
            (grid / path.name).symlink_to(path)
    for path in (ECCO / "recon").glob("*.nc"):
        (grid / path.name).symlink_to(path)
    for name in ("THETA", "UVEL", "VVEL"):
        source = ECCO / f"synthetic3d/V4r4/diags_monthly/{name}_mon_mean"
        target = root / f"raw/{name}_mon_mean"
        target.mkdir(parents=True)
        stem = f"{name}_mon_mean.0000000732"
        (target / f"{stem}.data").write_bytes(lzma.decompress((source / f"{stem}.data.xz").read_bytes()))
        shutil.copy(source / f"{stem}.meta", target)
    # The salinity of the oracle: what it was made of was water's value at points of water, and 0 on land.
    salt = variables_of(glob.glob(str(ECCO / "oracle/synthetic3d/*native*.nc"))[0])["SALT"][0]
    target = root / "raw/SALT_mon_mean"
    target.mkdir()
    compact(np.where(salt > 1e30, np.float32(0), salt)).astype(">f4").tofile(target / "SALT_mon_mean.0000000732.data")
    shutil.copy(ECCO / "results/V4r4/diags_monthly/SALT_mon_mean/SALT_mon_mean.0000000732.meta", target)
    return root


def ecco_task(ecco, kind, name="SEA_SURFACE_HEIGHT", variables=None):
    saved = json.loads((ECCO / "tests/SSH_native_latlon_local/SSH_native_latlon_mon_mean_tasks.json.sav").read_text())
    task = next(t for t in saved if f"_1992-01_ECCO_V4r4_{kind}_" in t["granule"])
    task["granule"] = str(ecco / "out" / Path(task["granule"]).name)
    task.update(ecco_grid_loc=str(ecco / "grid"), ecco_mapping_factors_loc=str(ECCO / "mapping_factors/V4r4"),
                ecco_metadata_loc=str(ECCO / "metadata/R4"))
    task["variables"] = {v: [[f.replace("../data/ecco_results", str(ECCO / "results")) for f in pair] for pair in pairs]
                         for v, pairs in task["variables"].items()}
    if variables:
        task["granule"] = task["granule"].replace("SEA_SURFACE_HEIGHT", name)
        metadata = task["dynamic_metadata"]
        metadata["summary"] = metadata["summary"].replace(metadata["name"], "ocean potential temperature and salinity")
        metadata.update(dimension="3D", name="ocean potential temperature and salinity")
        metadata.pop("comment")
        task["variables"] = {v: [[str(ecco / f"raw/{s}_mon_mean/{s}_mon_mean.0000000732.{e}") for e in ("data", "meta")]
                                 for s in sources] for v, sources in variables.items()}
    return task


def header(path):
    """Lines of ncdump -hs; without dates, identity and versions; names of coordinates, which Python has in no order, sorted."""
    text = subprocess.run(["ncdump", "-hs", path], capture_output=True, text=True, check=True).stdout
    text = re.sub(r'(date_\w+|uuid|_NCProperties) = "[^"]*"', r"\1", text)
    return [re.sub(r'coordinates = "([^"]*)"', lambda m: " ".join(sorted(m[1].split())), line)
            for line in text.splitlines()[1:]]


def assert_equals_oracle(made, oracle):
    ours, theirs = variables_of(made), variables_of(oracle)
    assert list(ours) == list(theirs)
    for name in theirs:
        assert same_bits(ours[name], theirs[name]), name
    assert header(made) == header(oracle)
    assert os.path.getsize(made) <= os.path.getsize(oracle)

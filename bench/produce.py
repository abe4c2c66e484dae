"""Granule production: the same granules from Upwell, raw output to files, and from xarray, which has the values in memory
already and only writes them. The ECCO of 90 cells an edge and 50 levels is synthetic (tests/llc_world.py)."""

import json
import os
import pathlib
import sys

import numpy as np

XARRAY = "xarray writing it, zlib 5, from memory"
PIPELINE = "ECCO's Python pipeline, measured before on two cores"

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from llc_world import World  # noqa: E402


class FullWorld(World):
    """As large as ECCO V4's, 45 % of it dry, smooth fields with a little noise; one source for each cell, as its factors have it."""

    def __init__(self, root):
        super().__init__(root, n=90, levels=50, rows=360, columns=720)

    def make_depth(self):
        tile, j, i = np.meshgrid(*(np.arange(size) for size in self.level_shape), indexing="ij")
        waves = np.sin(tile * 1.7 + i / 17) + np.cos(tile * 0.9 + j / 13) + 0.3 * np.sin(i / 3) * np.cos(j / 4)
        return np.clip(((waves + 1.1) * 25).astype(int), 0, self.levels)

    def make_field(self, name, levels):
        k, tile, j, i = np.meshgrid(np.arange(levels), *(np.arange(size) for size in self.level_shape), indexing="ij", sparse=True)
        base = np.sin(tile * 1.3 + i / 23 + len(name)) * np.cos(j / 31) * np.exp(-k / 20.0) + 0.05 * np.sin(i / 2.5) * np.cos(j / 2)
        return (20 * base + self.random.normal(scale=2e-3, size=base.shape)).astype("f4")

    def make_factors(self):
        for name in ("sparse", "land_mask", "latlon_grid"):
            (self.root / "factors" / name).mkdir(parents=True)
        cells = self.rows * self.columns
        source = self.random.permutation(np.resize(np.arange(np.prod(self.level_shape)), cells))
        source = np.sort(source)[np.argsort(np.arange(cells))]  # neighbours in the target are neighbours in the source
        for level in range(self.levels):
            wet = self.wet_centre[level].ravel()
            ocean = wet[source]
            rank = np.cumsum(wet) - 1
            columns = np.flatnonzero(ocean)
            rows = rank[source[columns]]
            indptr = np.searchsorted(rows, np.arange(wet.sum() + 1)).astype("i4")
            self.write_level(level, int(wet.sum()), np.int32(columns), indptr, np.ones(len(columns), "i8"), ocean)
        self.write_target_grid()


def world_in(directory):
    """Made once; some 400 MB."""
    root = directory / "llc90"
    if not (root / "complete").exists():
        FullWorld(root)
        (root / "complete").touch()
    world = object.__new__(FullWorld)
    world.root, world.n, world.levels = root, 90, 50
    world.config = root / "config.yaml"
    return world


def check_same_values(ours, theirs):
    import netCDF4

    with netCDF4.Dataset(ours) as a, netCDF4.Dataset(theirs) as b:
        a.set_auto_maskandscale(False)
        b.set_auto_maskandscale(False)
        assert set(a.variables) == set(b.variables), (list(a.variables), list(b.variables))
        for name in a.variables:
            assert a[name][...].tobytes() == b[name][...].tobytes(), name
    return os.path.getsize(ours) / os.path.getsize(theirs)


def bench(run_upwell, run_peer, interleave, directory, scratch, rounds):
    world = world_in(directory)
    flat = {"SSH": ["SSH"], "ETAN": ["ETAN"]}
    deep = {"THETA": ["THETA"], "SALT": ["SALT"]}
    velocity = {"EVEL": ["UVEL", "VVEL"], "NVEL": ["UVEL", "VVEL"]}
    rows = []
    fast = ["--compression", "fast"]
    # The last figure: seconds a granule of ECCO's Python pipeline, which is not here to run.
    for work, variables, kind, dimension, count, options, pipeline in (
            ("2-D native granule, 2 variables", flat, "native", "2D", 48, [], 0.6),
            ("2-D lat-lon granule, 2 variables", flat, "latlon", "2D", 48, [], 1.2),
            ("3-D native granule, 2 variables", deep, "native", "3D", 8, [], 4.0),
            ("3-D native granule, 2 variables, --compression fast", deep, "native", "3D", 8, fast, 4.0),
            ("3-D lat-lon granule, 2 variables", deep, "latlon", "3D", 6, [], 21),
            ("3-D lat-lon granule, 2 variables, --compression fast", deep, "latlon", "3D", 6, fast, 21),
            ("3-D lat-lon granule, a vector turned and mapped", velocity, "latlon", "3D", 6, [], None)):
        rows += granule_rows(run_upwell, run_peer, interleave, world, pathlib.Path(scratch), rounds, work, variables, kind, dimension,
                             count, options, pipeline)
    return rows + memory_rows(run_upwell, world, pathlib.Path(scratch), flat)


def make_tasks(world, scratch, variables, kind, dimension, count):
    name = "VELOCITY" if "EVEL" in variables else "FIELDS"
    tasks = []
    for i in range(count):
        task = world.task(name, variables, kind, dimension, date=f"{1900 + i // 12}-{i % 12 + 1:02d}")
        task["granule"] = str(scratch / f"out{count}" / pathlib.Path(task["granule"]).name)
        tasks.append(task)
    tasklist = scratch / "tasks.json"
    tasklist.write_text(json.dumps(tasks))
    return tasks, ["produce", "granules", "--tasklist", str(tasklist), "--cfgfile", str(world.config), "--no-resume"]


def granule_rows(run_upwell, run_peer, interleave, world, scratch, rounds, work, variables, kind, dimension, count, options, pipeline):
    tasks, command = make_tasks(world, scratch, variables, kind, dimension, count)
    run_upwell(*command, *options)
    copy = scratch / "theirs.nc"
    ours, theirs = interleave(rounds, lambda: run_upwell(*command, *options),
                              lambda: run_peer("xarray_write", tasks[0]["granule"], copy, ",".join(variables), 3))
    size = check_same_values(tasks[0]["granule"], copy)
    seconds = [s.inner / count for s in ours]
    note = f"values equal; file {100 * size - 100:+.1f} %; of {count} in a run, from raw files to synced granules"
    for task in tasks:
        os.remove(task["granule"])
    rows = [(work, XARRAY, seconds, [s.inner for s in theirs], "s", note)]
    return rows + [(work, PIPELINE, seconds, [pipeline], "s", "its own granules, of as many cells")] * (pipeline is not None)


def memory_rows(run_upwell, world, scratch, variables):
    peaks = {}
    for count in (30, 300):
        tasks, command = make_tasks(world, scratch, variables, "native", "2D", count)
        peaks[count] = run_upwell(*command).memory_mib
        for task in tasks:
            os.remove(task["granule"])
    return [("300 2-D native granules, peak memory", "the same of 30 granules", [peaks[300]], [peaks[30]], "MiB", "one run each")]

"""Upwell beside its peers: the same work, interleaved in one run, results checked equal before a time counts.

Run it with ./dev bench. It prints tables and writes them to docs/performance.md (not with --quick). Ratios are of medians;
absolute times belong to the machine of that day.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import inputs
import nasa
import produce
import remote
import serving

ROOT = pathlib.Path(__file__).resolve().parent.parent
UPWELL = os.environ.get("UPWELL", str(ROOT / "build/release/bin/upwell"))
PEERS = str(pathlib.Path(__file__).with_name("peers.py"))


class Sample:
    """What one run of one process cost."""

    def __init__(self, inner, wall, cpu, memory_mib, result):
        self.inner, self.wall, self.cpu, self.memory_mib, self.result = inner, wall, cpu, memory_mib, result


def run(command):
    """Runs a command to its end and accounts for it alone."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, text=True)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output, errors = out.read(), err.read()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\nended with {process.returncode}: {errors}")
    return output, errors, wall, usage.ru_utime + usage.ru_stime


def run_program(*command):
    """Another program, of which nothing but the whole process can be measured. Its peak memory includes a few pages of this one."""
    with open(os.devnull, "w") as null:
        start = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=null)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return Sample(wall, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, None)


def run_upwell(*arguments, result=lambda output: output, inside=lambda command: command):
    output, errors, wall, cpu = run(inside([UPWELL, *arguments, "--stats", "--quiet"]))
    stats = json.loads(errors.strip().splitlines()[-1])
    return Sample(stats["wall_s"], wall, cpu, stats["peak_memory_bytes"] / 2**20, result(output))


def run_peer(*arguments, inside=lambda command: command):
    output, _, wall, cpu = run(inside([sys.executable, PEERS, *map(str, arguments)]))
    answer = json.loads(output.strip().splitlines()[-1])
    return Sample(answer["seconds"], wall, cpu, answer["memory_mib"], answer["result"])


def chunk_references(path):
    """Key to (offset, length) of all references with a place; the URLs differ in form between tools."""
    refs = json.loads(pathlib.Path(path).read_text())["refs"]
    return {key: tuple(value[1:]) for key, value in refs.items() if isinstance(value, list)}


def check_same_references(ours, theirs):
    a, b = chunk_references(ours), chunk_references(theirs)
    # Either may have inlined small arrays that the other points to; those that both point to must agree, and be the bulk.
    common = a.keys() & b.keys()
    different = [key for key in common if a[key] != b[key]]
    if different or len(common) < 0.9 * max(len(a), len(b)):
        raise SystemExit(f"references differ: {different[:3]}, {len(common)} common of {len(a)} and {len(b)}")
    return len(common)


def check_close(name, a, b, tolerance=1e-6):
    if abs(a - b) > tolerance * abs(b):
        raise SystemExit(f"{name}: {a} is not {b}")


# What each row is to reach, by its work (and peer).
AIMS = {
    "index one MUR-like granule, inner": 50,
    "index one MUR-like granule, whole process": 100,
    "index 100,000 chunks, inner": 40,
    "find 100,000 chunks (upwell info), inner": 4,
    "combine 365 reference sets, inner": 150,
    "combine 10,000 reference sets, peak memory": 1,
    ("mean of an 81 MB deflated variable, inner", "h5py"): 6,
    ("mean of an 81 MB deflated variable, inner", "xarray (h5netcdf)"): 20,
    "open 1,000,000 references and look up 1,000, inner": 500,
    "open 100,000,000 references and look up 1,000, peak memory": 1,
    ("mean over time of 24 files, 1.04 GB, whole process", "ncra"): 5,
    ("mean over time of 24 files, 1.04 GB, whole process", "xarray + dask"): 5,
    ("mean over time of 24 files, 1.04 GB, peak memory", "ncra"): 5,
    ("mean over time of 24 files, 1.04 GB, peak memory", "xarray + dask"): 10,
    "served metadata (zarr.json of a group)": 40,
    "served 1 MiB chunk, not cached": 4,
    "served 1 MiB chunk, passed through": 0.8,
    "remote scan, ATL03-like": 10,
    "remote scan, ATL03-like: bytes": 50,
    "map 50 levels, nearest, 1 source a cell, inner": 8,
    "map 50 levels, means within 120 km, inner": 8,
    ("2-D native granule, 2 variables", produce.PIPELINE): 25,
    ("2-D lat-lon granule, 2 variables", produce.PIPELINE): 25,
    ("3-D native granule, 2 variables", produce.XARRAY): 4,
    ("3-D lat-lon granule, 2 variables", produce.PIPELINE): 20,
    ("3-D lat-lon granule, 2 variables, --compression fast", produce.PIPELINE): 40,
    nasa.PHOTONS_WORK: 10,
    nasa.PHOTONS_WORK + ": bytes": 8,
    nasa.LAKES_WORK: 10,
    nasa.LAKES_WORK + ": bytes": 10,
    nasa.SEARCH_WORK + ", processor time": 5,
    nasa.GENERATE_WORK.format(nasa.GENERATED) + ", processor time": 30,
    nasa.GENERATE_WORK.format(nasa.GENERATED) + ", peak memory": 1,
    "remote 2 % slice of three variables": 5,
    "remote 2 % slice of three variables: bytes": 20,
}


class Row:
    def __init__(self, work, peer, ours, theirs, unit="s", note=""):
        self.work, self.peer, self.ours, self.theirs, self.unit, self.note = work, peer, ours, theirs, unit, note

    @staticmethod
    def spread(values):
        return f"{statistics.median(values):.4g} [{min(values):.4g}–{max(values):.4g}]"

    def cells(self):
        median_ours, median_theirs = statistics.median(self.ours), statistics.median(self.theirs)
        ratio = median_theirs / median_ours if self.unit in ("s", "MiB", "MB") else median_ours / median_theirs
        aim = AIMS.get(self.work) or AIMS.get((self.work, self.peer))
        return [self.work, self.peer, f"{self.spread(self.ours)} {self.unit}", f"{self.spread(self.theirs)} {self.unit}", f"**{ratio:.1f}x**",
                f"{aim}x" if aim else "", self.note]


def interleave(rounds, *jobs):
    """A B A B ...: so that a machine whose speed drifts drifts for all."""
    samples = [[] for _ in jobs]
    for job in jobs:
        job()  # caches warm for everybody
    for _ in range(rounds):
        for job, collected in zip(jobs, samples):
            collected.append(job())
    return samples


def times(samples, attribute):
    return [getattr(s, attribute) for s in samples]


def rows_for(work, peer, ours, theirs, note=""):
    return [Row(work + ", inner", peer, times(ours, "inner"), times(theirs, "inner"), "s", note),
            Row(work + ", whole process", peer, times(ours, "wall"), times(theirs, "wall")),
            Row(work + ", peak memory", peer, times(ours, "memory_mib"), times(theirs, "memory_mib"), "MiB")]


def bench_index(work, path, directory, rounds, *equal):
    """Both write a JSON file and wait for no disk; as users run it, Upwell does wait (a row of its own).

    `equal`: options that leave out what the peer does not do."""
    ours_out, synced_out, theirs_out = directory / "ours.json", directory / "synced.json", directory / "theirs.json"
    ours, synced, theirs = interleave(rounds, lambda: run_upwell("virtualize", str(path), "-o", str(ours_out), "--no-sync", *equal),
                                      lambda: run_upwell("virtualize", str(path), "-o", str(synced_out)),
                                      lambda: run_peer("kerchunk_index", path, theirs_out))
    n = check_same_references(ours_out, theirs_out)
    return rows_for(work, "kerchunk", ours, theirs, f"{n} references equal; both write JSON and sync nothing") + [
        Row(work + ", whole process, synced to the disk (the default)", "kerchunk, not synced", times(synced, "wall"), times(theirs, "wall"))]


def bench_walk(path, rounds):
    def count(output):
        array = json.loads(output)["root"]["arrays"][0]
        return [array["chunks_stored"], array["stored_bytes"]]

    ours, theirs = interleave(rounds, lambda: run_upwell("info", "--json", str(path), result=count), lambda: run_peer("h5py_chunk_iter", path, "v"))
    if ours[-1].result != theirs[-1].result:
        raise SystemExit(f"walk: {ours[-1].result} is not {theirs[-1].result}")
    return rows_for("find 100,000 chunks (upwell info)", "h5py chunk_iter", ours, theirs, "equal numbers of chunks and bytes; nothing is written")


def combine_job(sets, directory, out):
    listing = directory / f"sets{len(sets)}.txt"
    listing.write_text("".join(f"{path}\n" for path in sets))
    return lambda: run_upwell("virtualize", f"@{listing}", "-o", str(out), "--concat", "time", "--no-sync")


def bench_combine(sets, directory, rounds):
    ours_out, theirs_out = directory / "ours.json", directory / "theirs.json"
    ours, theirs = interleave(rounds, combine_job(sets, directory, ours_out), lambda: run_peer("kerchunk_combine", sets[0].parent, theirs_out))
    n = check_same_references(ours_out, theirs_out)
    return rows_for(f"combine {len(sets)} reference sets", "MultiZarrToZarr", ours, theirs,
                    f"{n} references equal; both read and write JSON and sync nothing; ours compares the values of lat and lon, too")


def bench_growth(sets, directory, rounds):
    """Whether ten times as many sets take ten times as long, and no more memory than an index of them is allowed."""
    out = directory / "many.json"
    many, few = interleave(rounds, combine_job(sets, directory, out), combine_job(sets[: len(sets) // 10], directory, directory / "few.json"))
    n = len(chunk_references(out))
    if n != 100 * len(sets):
        raise SystemExit(f"combine: {n} references of {len(sets)} sets")
    work = f"combine {len(sets):,} reference sets"
    return [Row(work + ", inner", f"10 times {len(sets) // 10:,} sets", times(many, "inner"), [10 * t for t in times(few, "inner")], "s",
                f"{n} references; 1x is linear growth"),
            Row(work + ", peak memory", "24 bytes a reference + 50 MiB", times(many, "memory_mib"), [24 * n / 2**20 + 50], "MiB", "the limit that was set")]


def bench_mean(granule, rounds):
    def mean_of(output):
        return float(output.split("mean")[1].split()[0])

    ours, h5py, xarray = interleave(rounds, lambda: run_upwell("read", str(granule), "analysed_sst", result=mean_of),
                                    lambda: run_peer("h5py_mean", granule, "analysed_sst"),
                                    lambda: run_peer("xarray_mean", granule, "analysed_sst"))
    check_close("mean against h5py", ours[-1].result, h5py[-1].result)
    check_close("mean against xarray", ours[-1].result, xarray[-1].result)
    work = "mean of an 81 MB deflated variable"
    note = f"means equal to 1e-6: {ours[-1].result:.9g}"
    return rows_for(work, "h5py", ours, h5py, note) + rows_for(work, "xarray (h5netcdf)", ours, xarray, note)


def run_lookup(store):
    output, _, wall, cpu = run([str(pathlib.Path(UPWELL).with_name("upwell_lookup")), str(store), "v", "1000"])
    answer = json.loads(output)
    return Sample(answer["seconds"], wall, cpu, answer["memory_mib"], answer["result"])


def bench_lookup(directory, scratch, rounds):
    """The same million references for both, in the form that each keeps them in; then a hundred million, which have no peer."""
    _, small, _ = inputs.make(directory)
    million, store = inputs.million_references(directory), scratch / "million.upwell"
    run_upwell("virtualize", str(million), "-o", str(store))
    ours, theirs = interleave(rounds, lambda: run_lookup(store), lambda: run_peer("fsspec_lookup", million, "v", 1000))
    if ours[-1].result != theirs[-1].result:
        raise SystemExit(f"lookup: {ours[-1].result} is not {theirs[-1].result}")
    rows = rows_for("open 1,000,000 references and look up 1,000", "fsspec JSON", ours, theirs, "equal places; Upwell's own form")
    store, links = scratch / "hundred_million.upwell", inputs.hundred_million_references(directory, small)
    made = run_upwell("virtualize", str(links), "-o", str(store), "--concat", "phony_dim_0")
    (found,) = interleave(rounds, lambda: run_lookup(store))
    if found[-1].result[0] != 100_000_000:
        raise SystemExit(f"lookup: {found[-1].result[0]} chunks instead of 1e8")
    work = "100,000,000 references"
    return rows + [Row(f"open {work} and look up 1,000, peak memory", "the limit that was set", times(found, "memory_mib"), [100.0], "MiB",
                       f"in {statistics.median(times(found, 'inner')) * 1e3:.1f} ms"),
                   Row(f"find {work} in 1,000 granules and keep them, peak memory", "24 bytes a reference + 50 MiB", [made.memory_mib],
                       [24e8 / 2**20 + 50], "MiB", f"in {made.inner:.1f} s")]


def check_means(paths, *outputs):
    """Each output beside sums of doubles. Peers add up and write float32: a few of its last digits are allowed."""
    import netCDF4
    import numpy as np

    for name in ("sst", "err"):
        total, count = 0.0, 0
        for path in paths:
            with netCDF4.Dataset(path) as file:
                values = file[name][0].astype("f8").filled(np.nan)
            total = total + np.nan_to_num(values)
            count = count + ~np.isnan(values)
        with np.errstate(invalid="ignore"):
            mean = total / count
        for output, tolerance in outputs:
            with netCDF4.Dataset(output) as file:
                values = np.ma.filled(file[name][:].astype("f8"), np.nan).reshape(mean.shape)  # ncra keeps the time
            np.testing.assert_allclose(values, mean, rtol=tolerance, err_msg=f"{output} {name}")


def bench_aggregate(paths, directory, rounds):
    """The mean over time, read from deflated files and written without compression by all."""
    ours_out, ncra_out, xarray_out = (directory / f"{name}.nc" for name in ("ours", "ncra", "xarray"))
    ours, ncra, xarray = interleave(
        rounds, lambda: run_upwell("aggregate", *map(str, paths), "--reduce", "time:mean", "-o", str(ours_out), "--no-sync"),
        lambda: run_program("ncra", "-O", "-L", "0", *paths, ncra_out),
        lambda: run_peer("xarray_time_mean", xarray_out, *paths))
    check_means(paths, (ours_out, 1e-13), (ncra_out, 2e-6), (xarray_out, 2e-6))
    work = f"mean over time of {len(paths)} files, 1.04 GB"
    rows = []
    for peer, theirs in (("ncra", ncra), ("xarray + dask", xarray)):
        note = "ours adds up and writes float64, the others float32; nothing is compressed or synced" if not rows else ""
        rows += rows_for(work, peer, ours, theirs, note)[peer == "ncra":]  # of a program there is no inner time
        rows.append(Row(work + ", processor time", peer, times(ours, "cpu"), times(theirs, "cpu")))
    return rows


def bench_mapping(scratch, rounds):
    """50 levels of an llc90 field to half degrees, in one process each: Upwell from raw bytes to masked values, scipy its products alone."""
    grid, field = inputs.llc90_grid(scratch)
    rows = []
    for work, options in (("nearest, 1 source a cell", ["--method", "nearest"]), ("means within 120 km", ["--radius", "120000"])):
        factors, ours_out, theirs_out = scratch / "factors.npz", scratch / "ours.npy", scratch / "theirs.npy"
        made, _, _, _ = run([UPWELL, "produce", "factors", str(grid), *options, "-o", str(factors), "--json"])

        def map_levels():
            command = [UPWELL, "produce", "factors", str(factors), "--map", str(field), "--map-to", str(ours_out), "--repeat", "9", "--json"]
            output, _, wall, cpu = run(command)
            return Sample(statistics.median(json.loads(output.splitlines()[-1])["map_seconds"]), wall, cpu, 0, None)

        ours, theirs = interleave(rounds, map_levels, lambda: run_peer("scipy_mapping", factors, field, theirs_out))
        if ours_out.read_bytes()[-50 * 259200 * 4:] != theirs_out.read_bytes()[-50 * 259200 * 4:]:
            raise SystemExit(f"mapping, {work}: values differ")
        note = f"values equal bit for bit; {theirs[-1].result / 259200 / 50:.1f} weights a cell; factors made in {json.loads(made)['seconds']:.2f} s"
        rows.append(Row(f"map 50 levels, {work}, inner", "scipy, loop of 50 products", times(ours, "inner"), times(theirs, "inner"), "s", note))
    return rows


def bench_remote(directory, rounds):
    def run_in(link, kind, *arguments):
        return {"upwell": run_upwell, "peer": run_peer}[kind](*arguments, inside=link.inside)

    return [Row(*r) for r in remote.bench(run_in, directory, check_same_references, rounds)]


def bench_nasa(data, scratch, rounds):
    def run_in(side, *arguments, inside):
        return {"upwell": run_upwell, "peer": run_peer}[side](*arguments, inside=inside)

    return [Row(*r) for r in nasa.bench(run_in, UPWELL, scratch, data, rounds)]


def table(rows):
    lines = ["| work | peer | Upwell | peer's | ratio | aim | |", "|---|---|---|---|---|---|---|"]
    return "\n".join(lines + ["| " + " | ".join(row.cells()) + " |" for row in rows])


DATA = ROOT / "build/bench"
PAGE = ROOT / "docs/performance.md"


def write_section(title, rows, rounds):
    """Replaces the section of this title in the page, or adds it before those that are written by hand."""
    commit = subprocess.run(["git", "-C", str(ROOT), "log", "-1", "--format=%h"], capture_output=True, text=True).stdout.strip()
    section = f"## {title}\n\nPrinted on {datetime.date.today()} at {commit or 'an unknown commit'}, {rounds} rounds.\n\n{table(rows)}\n\n"
    page = PAGE.read_text()
    sections = re.split(r"^(?=## )", page, flags=re.M)
    places = [i for i, text in enumerate(sections) if text.startswith((f"## {title}\n", BY_HAND))]
    if sections[places[0]].startswith(BY_HAND):
        sections.insert(places[0], section)
    else:
        sections[places[0]] = section
    PAGE.write_text("".join(sections))


BY_HAND = "## What limits each row\n"


def bench_indexing(data, scratch, rounds):
    granule, small, _ = inputs.make(data)
    return (bench_index("index one MUR-like granule", granule, scratch, rounds, "--load", "time", "--inline-threshold", "0")
            + bench_index("index 100,000 chunks", small, scratch, rounds) + bench_walk(small, rounds))


def bench_combining(data, scratch, rounds):
    granule, _, sets = inputs.make(data)
    return bench_combine(sets, scratch, rounds) + bench_growth(inputs.many_sets(data, granule), scratch, min(rounds, 3))


# By name: the section of the page, and the function of (where inputs are kept, a scratch directory, rounds) that gives its rows.
PARTS = {
    "index": ("Indexing granules", bench_indexing),
    "combine": ("Combining reference sets", bench_combining),
    "lookup": ("Opening many references", bench_lookup),
    "mapping": ("Mapping to latitude and longitude", lambda _, scratch, rounds: bench_mapping(scratch, rounds)),
    "mean": ("Reading a whole variable", lambda data, _, rounds: bench_mean(inputs.make(data)[0], rounds)),
    "aggregate": ("Aggregating many files", lambda data, scratch, rounds: bench_aggregate(inputs.series(data), scratch, rounds)),
    "serve": ("Serving", lambda _, scratch, rounds: [Row(*r) for r in serving.bench(UPWELL, scratch, rounds)]),
    "produce": ("Making granules", lambda data, scratch, rounds: [Row(*r) for r in produce.bench(run_upwell, run_peer, interleave, data, scratch, rounds)]),
    "nasa": ("NASA's archive from afar", bench_nasa),
    "remote": ("Over a wide-area link", lambda _, scratch, rounds: bench_remote(scratch, rounds)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round, nothing written to docs/")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part (may be repeated); the page keeps the others' figures")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    for name in options.only or PARTS:
        title, bench = PARTS[name]
        with tempfile.TemporaryDirectory() as scratch:
            rows = bench(DATA, pathlib.Path(scratch), rounds)
        print(table(rows), flush=True)
        if rows and not options.quick:
            write_section(title, rows, rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Upwell beside its peers: the same work, interleaved in one run, results checked equal before a time counts.

Run it with ./dev bench. It prints a table and writes docs/performance.md (not with --quick). Ratios are of medians; absolute
times belong to the machine of that day.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import inputs
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


class Row:
    def __init__(self, work, peer, ours, theirs, unit="s", note=""):
        self.work, self.peer, self.ours, self.theirs, self.unit, self.note = work, peer, ours, theirs, unit, note

    @staticmethod
    def spread(values):
        return f"{statistics.median(values):.4g} [{min(values):.4g}–{max(values):.4g}]"

    def cells(self):
        median_ours, median_theirs = statistics.median(self.ours), statistics.median(self.theirs)
        ratio = median_theirs / median_ours if self.unit in ("s", "MiB", "MB") else median_ours / median_theirs
        return [self.work, self.peer, f"{self.spread(self.ours)} {self.unit}", f"{self.spread(self.theirs)} {self.unit}", f"**{ratio:.1f}x**", self.note]


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


def bench_remote(directory, rounds):
    def run_in(link, kind, *arguments):
        return {"upwell": run_upwell, "peer": run_peer}[kind](*arguments, inside=link.inside)

    return [Row(*r) for r in remote.bench(run_in, directory, check_same_references, rounds)]


def table(rows):
    lines = ["| work | peer | Upwell | peer's | ratio | |", "|---|---|---|---|---|---|"]
    return "\n".join(lines + ["| " + " | ".join(row.cells()) + " |" for row in rows])


PAGE = """# Performance

Written by `./dev bench` on {date}: {cores} cores of {machine}, Python {python}. Upwell and the peer ran in turn ({rounds} rounds after a
warm-up), results were checked equal before a time counted. Cells are median [minimum–maximum]; the ratio is of medians, and above 1
Upwell is better. "Inner" leaves out process start and imports (for Upwell: what `--stats` reports as wall_s).
Inputs come from fixed seeds (`bench/inputs.py`), peers' jobs are in `bench/peers.py`, `bench/serving.py` and
`bench/remote.py`.

{table}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round, nothing written to docs/")
    parser.add_argument("--only", choices=["index", "combine", "mean", "serve", "remote"], help="one part, nothing written to docs/")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    if options.only != "remote":
        granule, small, sets = inputs.make(ROOT / "build/bench")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        if options.only in (None, "index"):
            rows += bench_index("index one MUR-like granule", granule, directory, rounds, "--load", "time", "--inline-threshold", "0")
            rows += bench_index("index 100,000 chunks", small, directory, rounds)
            rows += bench_walk(small, rounds)
        if options.only in (None, "combine"):
            rows += bench_combine(sets, directory, rounds)
            rows += bench_growth(inputs.many_sets(ROOT / "build/bench", granule), directory, min(rounds, 3))
        if options.only in (None, "mean"):
            rows += bench_mean(granule, rounds)
        if options.only in (None, "serve"):
            rows += [Row(*r) for r in serving.bench(UPWELL, directory, rounds)]
        if options.only in (None, "remote"):
            rows += bench_remote(directory, rounds)
    print(table(rows))
    if not options.quick and options.only is None:
        page = PAGE.format(date=datetime.date.today(), cores=os.cpu_count(), machine=platform.machine(), python=platform.python_version(),
                           rounds=rounds, table=table(rows))
        (ROOT / "docs/performance.md").write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())

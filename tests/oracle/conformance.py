"""Compares what Upwell reads with what libhdf5 and netCDF-C read, file by file.

Each file is read in child processes (upwell_dump, and hdf5_oracle or netcdf_oracle), which print one JSON line per
object: structure, attributes, positions of chunks, and a hash of the values. Run as a program it prints the tables and,
with --write, puts them into docs/conformance.md.
"""

import argparse
import collections
import concurrent.futures
import csv
import functools
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GOOD_SECONDS = 10.0
BROKEN_SECONDS = 1.0
ORACLE_SECONDS = 40.0
OUR_MEMORY = 256 << 20

# Ids of codecs and the numbers of the HDF5 filters that they are.
FILTER_IDS = {"zlib": 1, "shuffle": 2, "fletcher32": 3, "hdf5_szip": 4, "hdf5_nbit": 5, "hdf5_scaleoffset": 6}


def shared_data():
    folder = pathlib.Path(os.environ.get("UPWELL_SHARED", ROOT.parent / "shared")) / "data" / "conformance"
    return folder if (folder / "MANIFEST.tsv").is_file() else None


def programs():
    return pathlib.Path(os.environ.get("UPWELL_BIN", ROOT / "build" / "release" / "bin"))


def manifest(folder, kind):
    """Paths of the files of a kind: "hdf5" or "netcdf3"."""
    chosen = []
    with open(folder / "MANIFEST.tsv", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            category, form, path = row["category"], row["format"] or "", row["path"]
            if kind == "hdf5":
                wanted = form == "hdf5" or (category in ("hdf5", "generated") and form in ("other", "CRASH"))
            else:
                wanted = form == "nc3" or (category == "netcdf3" and path.endswith((".nc", ".nc3", ".cdf")))
            if wanted and (folder / path).is_file():
                chosen.append(path)
    return sorted(set(chosen))


@functools.cache
def plugin_folder():
    """Decoders of registered HDF5 filters for libhdf5: those of the hdf5plugin package, where it is installed."""
    found = sorted(ROOT.glob(".venv*/lib/python3*/site-packages/hdf5plugin/plugins"))
    return found[0] if found else None


class Answer:
    """What a program said of a file."""

    def __init__(self, program, path, seconds, memory=None):
        def limit():
            if memory:
                resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        environment = dict(os.environ, MALLOC_ARENA_MAX="2", HDF5_USE_FILE_LOCKING="FALSE")
        plugins = plugin_folder()
        if plugins:
            environment["HDF5_PLUGIN_PATH"] = str(plugins)
        began = time.monotonic()
        try:
            # External raw files are found relative to the working directory by libhdf5.
            done = subprocess.run([*program, path], capture_output=True, timeout=seconds, preexec_fn=limit,
                                  cwd=path.parent, env=environment)
            self.status, output, self.late = done.returncode, done.stdout, False
            self.said = done.stderr.decode("utf-8", "replace").strip()
        except subprocess.TimeoutExpired as slow:
            self.status, output, self.late, self.said = None, slow.stdout or b"", True, ""
        self.seconds = time.monotonic() - began
        self.file, self.objects, self.problems = {}, {}, {}
        for text in output.decode("latin-1").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if line["kind"] == "file":
                self.file = line
            elif line["kind"] == "problem":
                self.problems[line["path"]] = line
            else:
                self.objects[line["path"]] = line

    @property
    def crashed(self):
        return self.status is not None and (self.status < 0 or self.status == 134)

    @property
    def opened(self):
        return "error" not in self.file and bool(self.file)


class Comparison:
    """Differences between an oracle's answer and ours for one file."""

    def __init__(self, path, oracle, ours, dimensions=None):
        self.path, self.oracle, self.ours, self.dimensions = path, oracle, ours, dimensions
        self.differences, self.refusals = [], collections.Counter()
        self.structure_only = self.arrays = 0
        if oracle.opened and ours.opened:
            self.objects()
        if dimensions:
            self.differences += dimensions.differences
        self.verdict = self.judge()

    def differ(self, path, what, theirs, mine):
        self.differences.append(f"{path}: {what}: expected {str(theirs)[:160]}, got {str(mine)[:160]}")

    def refuse_or_differ(self, path, what, line):
        if line.get("code") == "unsupported":
            self.refusals[reason(line["error"])] += 1
        else:
            self.differ(path, what, "to be read", f"{line.get('code')}: {line['error']}")

    def objects(self):
        covered = {line.get("addr") for path, line in self.oracle.objects.items() if path in self.ours.objects}
        for path, theirs in self.oracle.objects.items():
            mine = self.ours.objects.get(path)
            if theirs["kind"] == "error":
                continue
            if mine is not None:
                if mine["kind"] != theirs["kind"]:
                    self.differ(path, "kind", theirs["kind"], mine["kind"])
                    continue
                self.attributes(path, theirs["attrs"], mine["attrs"])
                if theirs["kind"] == "array":
                    self.array(path, theirs, mine)
            elif "error" in theirs or theirs.get("addr") in covered:
                continue
            else:
                problem = self.problem_for(path)
                if problem:
                    self.refuse_or_differ(path, "object", problem)
                else:
                    self.differ(path, "object", theirs["kind"], "nothing")
        for path, mine in self.ours.objects.items():
            if path not in self.oracle.objects:
                self.differ(path, "object", "nothing", mine["kind"])

    def problem_for(self, path):
        while True:
            if path in self.ours.problems:
                return self.ours.problems[path]
            if path in ("", "/"):
                return None
            path = path.rsplit("/", 1)[0]

    def attributes(self, path, theirs, mine):
        if theirs is None:  # libhdf5 gives up on all when it cannot read one
            return
        for name, value in theirs.items():
            if "error" in value:
                continue
            got = mine.get(name)
            if got is None:
                problem = self.ours.problems.get(path)
                if problem:
                    self.refuse_or_differ(path, f"attribute {name}", problem)
                else:
                    self.differ(path, f"attribute {name}", value, "nothing")
                continue
            for key in ("type", "shape", "null", "hash"):
                if key in value and value.get(key) != got.get(key):
                    self.differ(path, f"attribute {name} {key}", value.get(key), got.get(key))
        for name in mine:
            if name not in theirs:
                self.differ(path, f"attribute {name}", "nothing", mine[name])

    def array(self, path, theirs, mine):
        self.arrays += 1
        if "type" not in theirs:
            return
        if theirs["type"] == "char" and mine["type"].startswith("s1"):
            mine["type"] = "char"
        keys = ["type", "shape", "null"]
        is_virtual = theirs.get("layout") == "virtual"
        keys += [] if is_virtual else ["max"]
        for key in keys + ["fill", "dims"]:
            if key == "max" and key in theirs:
                # With lengths of 4 bytes libhdf5 shows "unlimited" as the largest of them.
                theirs[key] = [-1 if n == 0xFFFFFFFF else n for n in theirs[key]]
            if key in theirs and theirs[key] != mine.get(key):
                self.differ(path, key, theirs[key], mine.get(key))
        if theirs.get("layout") == "chunked" and mine.get("segments") == 1:
            if theirs["chunk"] != mine["chunk"]:
                self.differ(path, "chunk shape", theirs["chunk"], mine["chunk"])
            known = [i for i in theirs["filters"] if i in FILTER_IDS.values()]
            if len(known) == len(theirs["filters"]) == len(mine["codecs"]):
                if known != [FILTER_IDS.get(c) for c in mine["codecs"]]:
                    self.differ(path, "filters", theirs["filters"], mine["codecs"])
            # libhdf5 numbers the chunks of an extensible array wrongly in H5Dget_chunk_info (not when reading) if the
            # unlimited axis is not the first; and forgets the user block.
            told_right = self.oracle.file.get("user_block") == 0 and not (
                theirs["max"].count(-1) == 1 and theirs["max"][0] != -1)
            if told_right and "chunks_hash" in theirs and "chunks_hash" in mine:
                for key in ("chunks", "chunks_hash"):
                    if theirs[key] != mine[key]:
                        self.differ(path, key, theirs[key], mine[key])
        if "error" in theirs or "undefined" in theirs:
            if theirs.get("no_filter"):
                self.structure_only += 1
            return
        if "error" in mine:
            self.refuse_or_differ(path, "values", mine)
        elif theirs.get("hash") != mine.get("hash"):
            self.differ(path, "values", theirs.get("hash"), mine.get("hash"))

    def judge(self):
        ours, oracle = self.ours, self.oracle
        if ours.crashed or (ours.status not in (None, 0) and not ours.file):
            return "crash"
        oracle_reads = oracle.opened and not oracle.crashed and not oracle.late
        if ours.late or (not oracle_reads and not ours.opened and ours.seconds > BROKEN_SECONDS):
            return "slow"
        if not ours.opened:
            if not oracle_reads:
                return "broken"
            if ours.file.get("code") == "unsupported":
                self.refusals[reason(ours.file["error"])] += 1
                return "refused"
            self.differ("/", "file", "to be read", ours.file.get("error"))
            return "different"
        if not oracle.opened or oracle.crashed or oracle.late:
            return "ours alone"
        if self.differences:
            return "different"
        return "refused" if self.refusals else "equal"


def reason(error):
    """The last part of an error, without what names one file's places."""
    text = error.split(": ")[-1]
    return " ".join("N" if word.strip("(),").isdigit() else word for word in text.split())[:90]


class Dimensions:
    """Names and sizes of the dimensions of one file against netCDF-C's, where netCDF-C opens it."""

    def __init__(self, netcdf, ours, short_lengths, as_source=None):
        """as_source() gives what the program itself shows: there variables are as long as their dimensions."""
        self.differences, self.groups, self.arrays, self.extended = [], 0, 0, 0
        self.compared = netcdf.status == 0 and netcdf.opened and ours.opened
        if self.compared:
            self.known = {d[0] for o in netcdf.objects.values() if o["kind"] == "group" for d in o["dims"]}
            self.short_lengths = short_lengths
            for path, theirs in netcdf.objects.items():
                self.compare(path, theirs, ours.objects)
            if as_source:
                self.compare_shapes(netcdf.objects, ours.objects, as_source)

    def compare(self, path, theirs, objects):
        group, name = path.rsplit("/", 1)
        # A variable that has the name of a dimension whose values it does not hold.
        mine = theirs["kind"] == "array" and objects.get(f"{group}/_nc4_non_coord_{name}") or objects.get(path)
        if mine is None:
            return  # refused: the comparison with libhdf5 tells
        got, expected = mine["dims"], theirs["dims"]
        if theirs["kind"] == "group":
            self.groups += 1
            # Ours are named to the last axis; netCDF-C leaves some without, and knows some types not.
            got = [d for d in got if d[0] in self.known or not d[0].startswith("phony_dim_")]
            if self.short_lengths:  # of which libhdf5 shows "unlimited" as a number
                got, expected = [d[:2] for d in got], [d[:2] for d in expected]
        else:
            self.arrays += 1
            got = [None if e is None else g for g, e in zip(got, expected)] if len(got) == len(expected) else got
        if got != expected:
            self.differences.append(f"{path}: dimensions: expected {str(expected)[:300]}, got {str(got)[:300]}")


    def compare_shapes(self, theirs, ours, as_source):
        """Of the variables that have another shape in HDF5 than netCDF-C shows."""
        paths = [p for p, o in theirs.items() if o["kind"] == "array" and o["shape"] and "shape" in ours.get(p, {})
                 and o["shape"] != ours[p]["shape"]]
        shown = as_source().objects if paths else {}
        for path in paths:
            # Where a dimension is shorter than its variable (a file that contradicts itself), netCDF-C hides values; ours are all shown.
            expected = theirs[path]["shape"]
            if len(expected) == len(ours[path]["shape"]):
                expected = [max(pair) for pair in zip(expected, ours[path]["shape"])]
            self.extended += expected != ours[path]["shape"]
            got = shown.get(path, {}).get("shape")
            if got != expected:
                self.differences.append(f"{path}: shape: expected {expected}, got {got}")


def compare_file(folder, path, oracle_name):
    bin_folder = programs()
    oracle = Answer([bin_folder / oracle_name], folder / path, ORACLE_SECONDS)
    ours = Answer([bin_folder / "upwell_dump"], folder / path, GOOD_SECONDS, OUR_MEMORY)
    dimensions = None
    if oracle_name == "hdf5_oracle":
        names = Answer([sys.executable, HERE / "netcdf_dimensions.py"], folder / path, ORACLE_SECONDS)
        short_lengths = any(0xFFFFFFFF in o.get("max", []) for o in oracle.objects.values())
        dimensions = Dimensions(names, ours, short_lengths, lambda: Answer(
            [bin_folder / "upwell_dump", "--source"], folder / path, GOOD_SECONDS, OUR_MEMORY))
    return Comparison(path, oracle, ours, dimensions)


def run(kind, only=""):
    folder = shared_data()
    oracle_name = "hdf5_oracle" if kind == "hdf5" else "netcdf_oracle"
    paths = [p for p in manifest(folder, kind) if only in p]
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda p: compare_file(folder, p, oracle_name), paths))


VERDICTS = [
    ("equal", "equal in structure and values"),
    ("refused", "equal but for what is refused with a reason"),
    ("broken", "the oracle cannot read it, ours gives a clear error"),
    ("ours alone", "read by ours, while the oracle fails, crashes or hangs"),
    ("different", "different"),
    ("crash", "crash of ours"),
    ("slow", "over the time limit"),
]


def table(kind, results):
    title = {"hdf5": "HDF5 and netCDF-4 against libhdf5", "netcdf3": "netCDF-3 (CDF-1, 2, 5) against netCDF-C"}[kind]
    count = collections.Counter(r.verdict for r in results)
    lines = [f"## {title}", "", "| | files |", "|---|---:|", f"| all | {len(results)} |"]
    lines += [f"| {text} | {count[verdict]} |" for verdict, text in VERDICTS]
    arrays = sum(r.arrays for r in results)
    unread = sum(r.structure_only for r in results)
    lines += ["", f"{arrays} arrays were compared; of {unread} only the structure and the places of the chunks, because "
              "the oracle has no decoder for their filter."]
    named = [r.dimensions for r in results if r.dimensions and r.dimensions.compared]
    if named:
        lines += ["", f"Dimensions are netCDF-C's, by name, number, length and kind, in the {len(named)} files that it opens: "
                  f"{sum(d.groups for d in named)} groups, {sum(d.arrays for d in named)} variables; different in "
                  f"{sum(bool(d.differences) for d in named)} files. {sum(d.extended for d in named)} variables are "
                  "shorter in HDF5 than their dimension: they are shown as long as netCDF-C shows them."]
    refusals = sum((r.refusals for r in results), collections.Counter())
    if refusals:
        lines += ["", "| refused because | objects |", "|---|---:|"]
        lines += [f"| {text.replace('|', '/')} | {n} |" for text, n in refusals.most_common()]
    slowest = max(results, key=lambda r: r.ours.seconds, default=None)
    if slowest:
        lines += ["", f"Slowest file: {slowest.ours.seconds:.2f} s. Limits: {GOOD_SECONDS:.0f} s "
                  f"({BROKEN_SECONDS:.0f} s for a broken file), {OUR_MEMORY >> 20} MiB of address space."]
    return "\n".join(lines) + "\n"


def write_section(kind, text):
    """Replaces the section of one kind in docs/conformance.md."""
    page = ROOT / "docs" / "conformance.md"
    old = page.read_text() if page.is_file() else ("# Conformance\n\nWhat `tests/oracle/conformance.py --write` "
                                                   "measured over the files of the conformance collection.\n\n")
    begin, end = f"<!-- {kind} begin -->\n", f"<!-- {kind} end -->\n"
    if begin in old:
        old = old[: old.index(begin)] + old[old.index(end) + len(end):]
    page.write_text(old.rstrip("\n") + "\n\n" + begin + text + end)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=["hdf5", "netcdf3"])
    parser.add_argument("--only", default="", help="files whose path contains this")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/conformance.md")
    parser.add_argument("--show", default="different,crash,slow", help="verdicts of which to list the files")
    options = parser.parse_args()
    if not shared_data():
        print("no conformance files (UPWELL_SHARED)", file=sys.stderr)
        return 66
    bad = 0
    for kind in options.kinds:
        results = run(kind, options.only)
        for r in results:
            if r.verdict in options.show.split(","):
                print(f"{r.verdict}\t{r.path}\t{r.ours.file.get('error') or r.ours.said[-200:]}")
                for line in r.differences[:8]:
                    print(f"    {line}")
        text = table(kind, results)
        print(text)
        if options.write and not options.only:
            write_section(kind, text)
        bad += sum(r.verdict in ("different", "crash", "slow") for r in results)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

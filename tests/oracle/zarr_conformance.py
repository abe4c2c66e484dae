"""Compares what Upwell reads of Zarr stores with what zarr-python 3, and of v2 stores also zarr-python 2, read.

As a program it prints the table over the stores of the conformance data and, with --write, puts it into
docs/conformance.md."""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import conformance  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MARKERS = (".zarray", ".zgroup", ".zmetadata", "zarr.json")
SECONDS = 60


def pythons():
    """zarr-python 3 and 2, as far as they are there."""
    three = os.environ.get("UPWELL_PYTHON", ROOT / ".venv" / "bin" / "python")
    two = os.environ.get("UPWELL_PYTHON_ZARR2", ROOT / ".venv-zarr2" / "bin" / "python")
    return {3: pathlib.Path(three), 2: pathlib.Path(two)}


def program():
    return pathlib.Path(os.environ.get("UPWELL", conformance.programs() / "upwell"))


def stores(folder):
    """The outermost Zarr stores below a folder; not kerchunk's Parquet sets, which have a .zmetadata too."""
    found = []
    for at, folders, files in os.walk(folder):
        folders.sort()
        if not any(marker in files for marker in MARKERS):
            continue
        folders.clear()
        path = pathlib.Path(at)
        zmetadata = path / ".zmetadata"
        if not (zmetadata.is_file() and "record_size" in json.loads(zmetadata.read_text())):
            found.append(path)
    return found


def run(arguments):
    return subprocess.run(arguments, capture_output=True, text=True, timeout=SECONDS,
                          env=dict(os.environ, MALLOC_ARENA_MAX="2"))


class Store:
    """One store, read by everyone."""

    def __init__(self, path, name, answers):
        """`answers`: folder of what zarr_oracle.py said, by version."""
        self.path, self.name = path, name
        self.differences, self.refusals, self.unread = [], collections.Counter(), collections.Counter()
        self.arrays = 0
        with tempfile.TemporaryDirectory() as folder:
            self.folder = pathlib.Path(folder)
            self.ours()
            for version, answer in answers.items():
                self.compare(version, answer)
        self.verdict = "different" if self.differences else "refused" if self.refusals else \
            "nothing to compare" if self.arrays == 0 and self.unread else "equal"

    def ours(self):
        done = run([program(), "info", "--json", self.path])
        self.nodes, self.problems, self.error = {}, {}, None
        if done.returncode < 0 or not done.stdout:
            self.error = done.stderr.strip() or f"status {done.returncode}"
            if done.returncode not in (65, 66, 75, 77):
                self.differences.append(f"status {done.returncode}: {self.error[-200:]}")
            return
        answer = json.loads(done.stdout)
        self.problems = {p["path"]: p["error"] for p in answer["problems"]}

        def visit(group, path):
            self.nodes[path] = group
            for array in group["arrays"]:
                self.nodes[f"{path}/{array['name']}"] = array
            for child in group["groups"]:
                visit(child, f"{path}/{child['name']}")

        visit(answer["root"], "")
        self.root_name = self.path.name.rsplit(".", 1)[0]

    def values(self, path):
        """The values, or why not."""
        target = self.folder / "ours.npy"
        done = run([program(), "read", "--raw", "-q", "-o", target, self.path, path])
        if done.returncode != 0:
            return None, done.stderr.strip()
        return np.load(target), None

    def compare(self, version, out):
        objects = out / "objects.jsonl"
        if not (out / "done").is_file() or not objects.is_file():
            self.unread[f"zarr-python {version} fails"] += 1
            return
        lines = [json.loads(line) for line in objects.read_text().splitlines()]
        for line in lines:
            if "error" in line:
                self.unread[f"zarr-python {version}: {line['error'][:80]}"] += 1
            elif line["kind"] == "group":
                self.group(line)
            else:
                self.array(line, out)

    def problem(self, path):
        if self.error:
            return self.error
        while path and path not in self.problems:
            path = path.rsplit("/", 1)[0]
        return self.problems.get(path or "/")

    def refuse(self, path, error):
        if any(word in error for word in ("not read", "unknown codec", "not known", "not understood", "unsupported")):
            self.refusals[reason(error)] += 1
        else:
            self.differences.append(f"{path}: {error[-200:]}")

    def group(self, line):
        node = self.nodes.get(line["path"])
        if node is None:
            self.refuse(line["path"], self.problem(line["path"]) or "group is not there")
        else:
            self.attributes(line, node)

    def attributes(self, line, node):
        theirs = {k: v for k, v in line["attributes"].items() if k not in ("_ARRAY_DIMENSIONS", "_FillValue")}
        mine = {k: v for k, v in node["attributes"].items() if k != "_FillValue"}
        if plain(theirs) != plain(mine):
            self.differences.append(f"{line['path']}: attributes {str(theirs)[:150]}, got {str(mine)[:150]}")

    def array(self, line, out):
        path = line["path"] or f"/{self.root_name}"
        node = self.nodes.get(path)
        if node is None:
            self.refuse(path, self.problem(line["path"]) or "array is not there")
            return
        self.attributes(line, node)
        if node["shape"] != line["shape"]:
            self.differences.append(f"{path}: shape {line['shape']}, got {node['shape']}")
            return
        mine, error = self.values(path)
        if error:
            self.refuse(path, error)
            return
        if line.get("undefined"):
            return
        self.arrays += 1
        theirs = np.load(out / f"{line['values']}.npy")
        if not same(theirs, mine):
            self.differences.append(f"{path}: values {theirs.dtype} {theirs.reshape(-1)[:4]}, "
                                    f"got {mine.dtype} {mine.reshape(-1)[:4]}")


def plain(attributes):
    """As text; a list of numbers is one of doubles here as soon as one of them is."""
    def one(value):
        if isinstance(value, list) and any(isinstance(v, float) for v in value):
            return [float(v) if isinstance(v, int) else v for v in value]
        return value

    return json.dumps({k: one(v) for k, v in attributes.items()}, sort_keys=True)


def same(theirs, mine):
    if theirs.shape != mine.shape:
        return False
    if theirs.dtype.kind == "S" and mine.dtype.kind == "S":
        return bool((theirs == mine).all())
    if theirs.dtype.newbyteorder("=") != mine.dtype.newbyteorder("="):
        return False
    if theirs.dtype.kind in "fc":
        return np.array_equal(theirs, mine, equal_nan=True)
    if theirs.dtype.kind == "V":
        return theirs.astype(theirs.dtype.newbyteorder("=")).tobytes() == mine.astype(mine.dtype.newbyteorder("=")).tobytes()
    return theirs.astype(theirs.dtype.newbyteorder("=")).tobytes() == mine.tobytes()


def reason(error):
    text = error.split(": ")[-1].split(" (leave")[0]
    return " ".join("N" if word.strip("(),").isdigit() else word for word in text.split())[:90]


def ask_oracle(version, paths, out):
    """Folder of the answer for each path. One process for all; those that it died over, each by itself."""
    out.mkdir()
    ask = [pythons()[version], HERE / "zarr_oracle.py"]
    run([*ask, out, *paths])
    answers = {}
    for i, path in enumerate(paths):
        answers[path] = out / str(i)
        if not (answers[path] / "done").is_file() and len(paths) > 1:
            alone = out / f"alone{i}"
            answers[path] = ask_oracle(version, [path], alone)[path]
    return answers


def compare_all(paths, base):
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        asked = {3: list(paths), 2: [p for p in paths if not list(p.rglob("zarr.json"))]}
        waiting = {version: pool.submit(ask_oracle, version, asked[version], pathlib.Path(folder) / str(version))
                   for version in asked if pythons()[version].is_file() and asked[version]}
        answers = {version: future.result() for version, future in waiting.items()}
        return list(pool.map(lambda p: Store(p, str(p.relative_to(base)),
                                             {version: folders[p] for version, folders in answers.items() if p in folders}),
                             paths))


def table(results):
    count = collections.Counter(r.verdict for r in results)
    lines = ["## Zarr stores against zarr-python 3, and 2 for v2 stores", "", "| | stores |", "|---|---:|",
             f"| all | {len(results)} |",
             f"| equal in structure, attributes and values | {count['equal']} |",
             f"| equal but for what is refused with a reason | {count['refused']} |",
             f"| nothing that zarr-python reads | {count['nothing to compare']} |",
             f"| different | {count['different']} |", "",
             f"{sum(r.arrays for r in results)} comparisons of the values of an array."]
    refusals = sum((r.refusals for r in results), collections.Counter())
    if refusals:
        lines += ["", "| refused because | comparisons |", "|---|---:|"]
        lines += [f"| {text.replace('|', '/')} | {n} |" for text, n in sorted(refusals.items(), key=lambda i: (-i[1], i[0]))]
    return "\n".join(lines) + "\n"


def conformance_stores():
    folder = conformance.shared_data()
    return folder, (stores(folder / "zarr") + stores(folder / "netcdf-c-tests")) if folder else []


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="stores whose path contains this")
    parser.add_argument("--write", action="store_true", help="put the table into docs/conformance.md")
    parser.add_argument("--unread", action="store_true", help="list what zarr-python cannot read")
    options = parser.parse_args()
    folder, paths = conformance_stores()
    if not folder:
        print("no conformance files (UPWELL_SHARED)", file=sys.stderr)
        return 66
    results = compare_all([p for p in paths if options.only in str(p)], folder)
    for r in results:
        for line in r.differences:
            print(f"different\t{r.name}\t{line}")
        if options.unread:
            for line in r.unread:
                print(f"unread\t{r.name}\t{line}")
    text = table(results)
    print(text)
    if options.write and not options.only:
        conformance.write_section("zarr", text)
    return 1 if any(r.differences for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())

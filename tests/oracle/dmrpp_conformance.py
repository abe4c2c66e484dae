"""Compares the chunk tables of DMR++ documents with Upwell's own scan of the granules that they describe.

Of every pair the variables, their types, shapes, chunk shapes, filters, fill values, the place, size and filter mask of each
chunk, and the values are compared. As a program it prints the table over the pairs of the conformance data and, with --write,
puts it into docs/conformance.md."""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import conformance  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = 30


def pairs(folder):
    """(document, granule) for each document of which the granule is there: beside it, or the only file of its name."""
    by_name = collections.defaultdict(list)
    documents = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".dmrpp" and path.read_bytes()[:100].lstrip().startswith(b"<"):  # one of the name is a list
            documents.append(path)
        elif path.is_file():
            by_name[path.name].append(path)
    found = []
    for document in documents:
        href = re.search(rb'href="([^"]*)"', document.read_bytes()[:4000])
        name = href.group(1).decode().rsplit("/", 1)[-1] if href else ""
        beside = [document.with_suffix(""), document.with_suffix(".h5")]
        granule = next((p for p in beside if p.is_file() and p.suffix != ".dmrpp"), None)
        for wanted in (document.name.removesuffix(".dmrpp"), name):
            if granule is None and len(by_name[wanted]) == 1:
                granule = by_name[wanted][0]
        if granule is not None:
            found.append((document, granule))
    return documents, found


def dump(path):
    """What upwell_dump says: the file's line, objects by path, problems by path."""
    done = subprocess.run([conformance.programs() / "upwell_dump", "--source", path], capture_output=True, timeout=SECONDS,
                          env=dict(os.environ, MALLOC_ARENA_MAX="2"))
    lines = [conformance.json.loads(line) for line in done.stdout.decode("latin-1").splitlines()]
    file = next((line for line in lines if line["kind"] == "file"), {"error": f"status {done.returncode}"})
    arrays = {line["path"]: line for line in lines if line["kind"] == "array"}
    problems = {line["path"]: line for line in lines if line["kind"] == "problem"}
    return file, arrays, problems


class Pair:
    def __init__(self, document, granule, name):
        self.name = name
        self.differences, self.refused = [], []
        self.variables = self.chunks = self.added = self.empty = 0
        self.granule = granule
        self.kind = b"HDF4" if granule.read_bytes()[:4] == b"\x0e\x03\x13\x01" else b""
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            # The granule under every name by which the document may look for it.
            target = folder / (granule.name + ".dmrpp")
            target.write_bytes(document.read_bytes())
            href = re.search(rb'href="([^"]*)"', document.read_bytes()[:4000])
            for link in {granule.name, href.group(1).decode().rsplit("/", 1)[-1] if href else granule.name}:
                if link and not link.startswith("OPeNDAP"):
                    (folder / link).symlink_to(granule)
            self.theirs, self.their_arrays, self.their_problems = dump(target)
            self.ours, self.our_arrays, _ = dump(granule)
        self.compare()
        self.verdict = "different" if self.differences else "refused" if self.refused else "equal"

    def differ(self, path, kind, document, granule):
        self.differences.append(f"{path}: {kind}: document {str(document)[:150]}, granule {str(granule)[:150]}")

    def compare(self):
        if "error" not in self.theirs and b"HDF4" == self.kind:
            return self.hdf4()
        if "error" in self.theirs or "error" in self.ours:
            self.differ("/", "file", self.theirs.get("error"), self.ours.get("error"))
            return
        # Documents made with the CF option have names without blanks and points.
        named = {cf_name(path): path for path in self.our_arrays}
        for path, problem in self.their_problems.items():
            if problem["code"] != "unsupported":
                self.differ(path, "problem", problem["error"], "")
            elif cf_name(path) in named:
                self.refused.append(f"{path}: {problem['error']}")
            else:
                self.empty += 1
        seen = set()
        for path, theirs in self.their_arrays.items():
            mine = named.get(cf_name(path))
            if mine is not None:
                seen.add(mine)
                self.array(path, theirs, self.our_arrays[mine])
            elif not theirs.get("table") or all(chunk[4] != 0 for chunk in theirs["table"]):
                self.added += 1  # its values stand in the document, or in another object
            else:
                self.differ(path, "variable", theirs["type"], "nothing")
        for path, mine in self.our_arrays.items():
            if path not in seen and path not in self.their_problems:
                self.differ(path, "variable", "nothing", mine["type"])

    def hdf4(self):
        done = subprocess.run([sys.executable, HERE / "hdf4_oracle.py", self.granule], capture_output=True, text=True,
                              timeout=SECONDS)
        hashes = conformance.json.loads(done.stdout) if done.returncode == 0 else {}
        for path, theirs in self.their_arrays.items():
            self.variables += 1
            wanted = hashes.get(path.rsplit("/", 1)[-1], done.stderr[-200:] or "nothing")
            if wanted != theirs.get("hash"):
                self.differ(path, "values", theirs.get("error") or theirs.get("hash"), wanted)

    def array(self, path, theirs, mine):
        self.variables += 1
        inline = not theirs.get("table") and bool(mine.get("table"))
        strings = theirs["type"].startswith(("s", "vs")) and mine["type"].startswith(("s", "vs"))
        placed = theirs.get("table") or mine.get("table")
        if not strings and plain(theirs["type"], placed) != plain(mine["type"], placed):
            self.differ(path, "type", theirs["type"], mine["type"])
        if theirs["shape"] != mine["shape"]:
            self.differ(path, "shape", theirs["shape"], mine["shape"])
        if theirs.get("hash") != mine.get("hash") or "hash" not in mine:
            self.differ(path, "values", theirs.get("error") or theirs.get("hash"), mine.get("error") or mine.get("hash"))
        if "fill" in theirs and "fill" in mine and theirs["fill"] != mine["fill"]:
            self.differ(path, "fill", theirs["fill"], mine["fill"])
        if inline:
            return  # the values are in the document
        for kind in ("chunk", "codecs", "table"):
            if theirs.get(kind) != mine.get(kind):
                self.differ(path, kind, theirs.get(kind), mine.get(kind))
        self.chunks += len(mine.get("table", []))


def plain(type_text, placed):
    """Strings differ in what pads them, which the values show; where nothing is stored, members have no place."""
    text = re.sub(r"s(\d+)(np|nt|sp)(utf8)?", r"s\1", type_text)
    return text if placed else re.sub(r"@\d+|(?<=c)\d+(?={)", "", text)


def cf_name(path):
    return path.replace(" ", "_").replace(".", "_")


def compare_all(folder):
    documents, found = pairs(folder)
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = list(pool.map(lambda p: Pair(*p, str(p[0].relative_to(folder))), found))
    return documents, results


def lone_problems(folder):
    """What is wrong with documents whose granule is not there: they are understood but for variables without values."""
    documents, found = pairs(folder)
    paired = {document for document, _ in found}
    wrong = []
    for document in documents:
        if document in paired:
            continue
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / document.name
            # Nothing is asked of servers.
            copy.write_bytes(re.sub(rb'href="https?://[^"]*/', b'href="', document.read_bytes()))
            file, arrays, problems = dump(copy)
        wrong += [f"{document.name}: {file['error']}"] if "error" in file else []
        wrong += [f"{document.name}: {path}: {p['error']}" for path, p in problems.items() if p["code"] != "unsupported"]
        wrong += [] if arrays else [f"{document.name}: no variable"]
    return wrong


def table(documents, results):
    count = collections.Counter(r.verdict for r in results)
    hdf4 = sum(r.kind == b"HDF4" for r in results)
    lines = ["## DMR++ documents against the granules that they describe", "", "| | documents |", "|---|---:|",
             f"| all | {len(documents)} |",
             f"| without their granule: understood, but not compared | {len(documents) - len(results)} |",
             f"| with their granule (pairs) | {len(results)} |",
             f"| equal | {count['equal']} |",
             f"| equal but for what is refused with a reason | {count['refused']} |",
             f"| different | {count['different']} |", "",
             "Equal: in variables, types, filters, fill values, the place, size and filter mask of each chunk, and all values; "
             f"of {hdf4} HDF4 granules in values, against pyhdf. {sum(r.variables for r in results)} variables and "
             f"{sum(r.chunks for r in results)} chunks were compared. Some documents add variables that their granule does not "
             f"hold, coordinates of grids that OPeNDAP computes: of {sum(r.added for r in results)} the values lie in the document "
             f"or a side file, of {sum(r.empty for r in results)} in unfinished documents nowhere, which is said of each."]
    refused = collections.Counter(line.split(": ", 1)[1] for r in results for line in r.refused)
    if refused:
        lines += ["", "| refused because | variables |", "|---|---:|"]
        lines += [f"| {text} | {n} |" for text, n in sorted(refused.items(), key=lambda i: (-i[1], i[0]))]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/conformance.md")
    options = parser.parse_args()
    folder = conformance.shared_data()
    if not folder:
        print("no conformance files (UPWELL_SHARED)", file=sys.stderr)
        return 66
    documents, results = compare_all(folder)
    for r in results:
        for line in r.differences:
            print(f"different\t{r.name.rsplit('/', 1)[-1]}\t{line}")
    text = table(documents, results)
    print(text)
    if options.write:
        conformance.write_section("dmrpp", text)
    return 1 if any(r.differences for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Runs clang-tidy on the project's sources: tidy.py BUILD_DIRECTORY [FILE...]

It works on the unity units, where the library headers that cost most of its time are read once for a folder and not once for
each file; FILE picks the units that hold the file. One process per core, and only units that changed: a clean one is remembered
by the hash of its preprocessed text, the compile command and .clang-tidy. Exit status 1 when there are findings.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLANG_TIDY = "clang-tidy-19"


def held_by(source: str) -> set[str]:
    """The project's files that a unit includes; the file itself when it is not a unity unit."""
    if "/Unity/" not in source:
        return {source}
    return set(re.findall(r'^#include "(/[^"]+)"', pathlib.Path(source).read_text(), re.MULTILINE))


def key_of(entry: dict) -> str | None:
    """What decides the outcome: None when the file does not even preprocess (clang-tidy then tells why)."""
    command = shlex.split(entry["command"])
    while command and not pathlib.PurePath(command[0]).name.startswith("clang++"):
        command.pop(0)  # ccache and its environment
    output = command.index("-o")
    command[output : output + 2] = []
    preprocessed = subprocess.run(
        [*command, "-E"], cwd=entry["directory"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    if preprocessed.returncode != 0:
        return None
    digest = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    digest.update(" ".join(command).encode())
    digest.update(preprocessed.stdout)
    return digest.hexdigest()


def check(entry: dict, build: pathlib.Path) -> tuple[str, bool, str, float]:
    start = time.monotonic()
    name = os.path.relpath(entry["file"], build).replace("CMakeFiles/", "").replace(".dir/Unity", "")
    key = key_of(entry)
    clean = build / "tidy-clean" / key if key else None
    if clean and clean.exists():
        return name, True, "", time.monotonic() - start
    run = subprocess.run(
        [CLANG_TIDY, "--quiet", "-p", str(build), entry["file"]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    if run.returncode == 0 and clean:
        clean.touch()
    return name, run.returncode == 0, run.stdout + (run.stderr if run.returncode else ""), time.monotonic() - start


def main() -> int:
    build = pathlib.Path(sys.argv[1]).resolve()
    wanted = {str(pathlib.Path(f).resolve()) for f in sys.argv[2:]}
    units = []  # (size of what it holds, compile command)
    for entry in json.loads((build / "compile_commands.json").read_text()):
        held = held_by(entry["file"])
        if any(h.startswith(str(ROOT / "src")) for h in held) and (not wanted or wanted & held):
            units.append((sum(os.path.getsize(h) for h in held), entry))
    # Big units first, so that no core waits for one at the end.
    units.sort(key=lambda unit: -unit[0])
    entries = [entry for _, entry in units]
    (build / "tidy-clean").mkdir(exist_ok=True)
    if not entries:
        print("clang-tidy: nothing to check", file=sys.stderr)
        return 1 if wanted else 0
    workers = int(os.environ.get("UPWELL_JOBS", os.cpu_count() or 1))
    failed = []
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for name, good, text, seconds in pool.map(lambda e: check(e, build), entries):
            if not good:
                failed.append(name)
                print(text, flush=True)
            elif os.environ.get("UPWELL_VERBOSE"):
                print(f"clang-tidy: {name} {seconds:.1f} s", flush=True)
    print(f"clang-tidy: {len(entries)} units, {len(failed)} with findings, {time.monotonic() - start:.0f} s")
    for name in failed:
        print(f"  {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Checks that includes only go down the components, and that no header drags in a heavy library.

The order is base <- {io, codec} <- cube <- format <- refs <- {access <- generate, compute, produce, serve} <- cli: a component may include itself and what is left
of it; io and codec do not know each other, nor do access, compute, produce and serve. Exit status 1 and one line per fault when something is wrong.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src" / "upwell"

ALLOWED = {
    "base": set(),
    "io": {"base"},
    "codec": {"base"},
    "cube": {"base", "io", "codec"},
    "format": {"base", "io", "codec", "cube"},
    "refs": {"base", "io", "codec", "cube", "format"},
    "access": {"base", "io", "codec", "cube", "format", "refs"},
    "generate": {"base", "io", "codec", "cube", "format", "refs", "access"},
    "compute": {"base", "io", "codec", "cube", "format", "refs"},
    "produce": {"base", "io", "codec", "cube", "format", "refs"},
    "serve": {"base", "io", "codec", "cube", "format", "refs"},
    "cli": {"base", "io", "codec", "cube", "format", "refs", "access", "generate", "compute", "produce", "serve"},
}

# Seconds of compile time each, for every file that includes the header: they belong into the .cpp that uses them.
HEAVY = re.compile(
    r"^(nlohmann/|simdjson|CLI/|boost/|spdlog/|yaml-cpp/|netcdf|hdf5\.h|H5|hwy/|curl/|tbb/|oneapi/|openssl/|gtest/|gmock/|png\.h|pugixml|nanoflann|archive|lzma\.h)"
)
# Suites that several test programs run are headers with tests in them.
FOR_TESTS = re.compile(r"(^|_)(test|tests|conformance)(_|\.)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def faults_of(path: pathlib.Path) -> list[str]:
    parts = path.relative_to(SOURCES).parts
    own = parts[0] if len(parts) > 1 else None  # main.cpp stands above all components
    faults = []
    if own is not None and own not in ALLOWED:
        return [f"{path.relative_to(ROOT)}:1: component '{own}' has no place in tools/check_includes.py"]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        bracket, name = match.groups()
        where = f"{path.relative_to(ROOT)}:{number}"
        for_test = FOR_TESTS.search(path.name) and name.startswith(("gtest/", "gmock/"))
        if path.suffix == ".hpp" and HEAVY.match(name) and not for_test:
            faults.append(f"{where}: heavy header <{name}> in a header; include it in the .cpp that needs it")
        if bracket != '"' or HEAVY.match(name):
            continue
        if name.startswith("../") or not (SOURCES / name).exists():
            faults.append(f'{where}: "{name}" is not a path below src/upwell')
            continue
        used = name.split("/")[0]
        if own is not None and used != own and used not in ALLOWED[own]:
            faults.append(f"{where}: {own} must not include {used} (\"{name}\")")
    return faults


def main() -> int:
    files = sorted(p for p in SOURCES.rglob("*") if p.suffix in {".hpp", ".cpp"})
    faults = [fault for path in files for fault in faults_of(path)]
    print("\n".join(faults) if faults else f"includes: {len(files)} files in order")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""ECCO dataset production from end to end on a model made of formulas: raw output, task list, mapping factors, granules; and every value
of the granules compared with NumPy. Run it with ./dev demo ecco [DIRECTORY], a few seconds.

--check compares the granules that are there, and makes nothing.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import check_granules  # noqa: E402
import make_model  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
UPWELL = os.environ.get("UPWELL", str(ROOT / "build/release/bin/upwell"))
COMMANDS = [
    "produce factors grid --resolution {resolution:g} -o factors.npz",
    "produce tasks --jobfile jobs.txt --ecco_source_root results --ecco_destination_root out --ecco_grid_loc grid"
    " --ecco_mapping_factors_loc factors.npz --ecco_metadata_loc metadata --cfgfile config.yaml --check-meta -o tasks.json",
    "produce granules --tasklist tasks.json --cfgfile config.yaml --fix keywords --report report.json",
]


def run_commands(place):
    for command in COMMANDS:
        command = command.format(resolution=make_model.RESOLUTION)
        print(f"$ upwell {command}", flush=True)
        subprocess.run([UPWELL, *command.split()], cwd=place, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", nargs="?", type=Path, default=ROOT / "build/demo/ecco", metavar="DIRECTORY",
                        help="where everything goes (default build/demo/ecco)")
    parser.add_argument("--check", action="store_true", help="only compare the granules that are there")
    options = parser.parse_args()
    if not options.check:
        make_model.make(options.place)
        print(f"{options.place}: a model of 13 x {make_model.N} x {make_model.N} points and {make_model.LEVELS} levels, "
              f"{len(make_model.STEPS)} months", flush=True)
        try:
            run_commands(options.place)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"upwell ended with status {error.returncode}") from None
    faults, equal = check_granules.check(options.place)
    for kind, count in equal.items():
        print(f"{kind}: {count} values equal NumPy's, bit for bit")
    for fault in faults:
        print(f"DIFFERENT {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

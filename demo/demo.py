"""The demonstration: real ocean granules, virtualized into cubes, served, and read with xarray. Run it with ./dev demo.

Granules: three monthly means of a NEMO ocean model and the OSTIA sea-surface temperatures (PyPI: iris-sample-data), and the
COADS climatology (Debian: ferret-datasets), one netCDF-4 collection and two single files, one of them netCDF-3.
"""

import argparse
import http.client
import importlib.resources
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent
UPWELL = os.environ.get("UPWELL", str(ROOT / "build/release/bin/upwell"))
OUT = ROOT / "build/demo"
FERRET = pathlib.Path("/usr/share/ferret-vis/data")


def say(text):
    print(f"▸ {text}", flush=True)


def cubes():
    """Name, granules, options of `upwell virtualize`, and the variable to look at."""
    samples = pathlib.Path(str(importlib.resources.files("iris_sample_data"))) / "sample_data"
    nemo = sorted((samples / "NEMO").glob("nemo_1m_*_grid-T.nc"))
    found = [
        ("nemo", nemo, ["--concat", "time_counter", "--order-by", "time_centered"], "tos"),
        ("ostia", [samples / "ostia_monthly.nc"], [], "surface_temperature"),
    ]
    for directory in FERRET.parent.rglob("coads_climatology.cdf") if FERRET.parent.exists() else []:
        found.append(("coads", [directory], [], "SST"))
        break
    return found


def virtualize():
    OUT.mkdir(parents=True, exist_ok=True)
    made = []
    for name, granules, options, variable in cubes():
        target = OUT / f"{name}.json"
        command = [UPWELL, "virtualize", *map(str, granules), "-o", str(target), "--quiet", *options]
        say("upwell virtualize " + " ".join([f"({len(granules)} granules)", "-o", target.name, *options]))
        subprocess.run(command, check=True)
        size = sum(g.stat().st_size for g in granules)
        print(f"    {size / 1e6:.1f} MB of granules, {target.stat().st_size / 1e3:.0f} kB of references; no data copied")
        made.append((name, granules, target, variable))
    return made


def serve(made, bind):
    # The sample granules lie below .venv: a server follows references to hidden directories only where it is told to.
    roots = sorted({str(g.parent) for _, granules, _, _ in made for g in granules})
    options = ["--bind", bind, *(word for root in roots for word in ("--allow-root", root))]
    say(f"upwell serve {' '.join(t.name for _, _, t, _ in made)} --bind {bind} --allow-root (where the granules are)")
    process = subprocess.Popen([UPWELL, "serve", *(str(t) for _, _, t, _ in made), *options], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("serving "):
            # Whatever it prints later must not fill the pipe.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return process, line.split()[1].rstrip("/")
    raise SystemExit(f"upwell serve ended with status {process.wait()}")


def open_granules(name, granules):
    import xarray as xr

    # decode_times off: some of these calendars need no decoding to compare values.
    parts = [xr.open_dataset(g, decode_times=False) for g in granules]
    if len(parts) == 1:
        return parts[0]
    parts.sort(key=lambda p: float(p["time_centered"].values[0]))
    return xr.concat(parts, dim="time_counter", data_vars="minimal", coords="minimal", compat="override",
                     combine_attrs="override")


def compare(url, references, name, granules):
    """Every array, through the server (Zarr v2 and v3) and through the reference set itself, against the granules."""
    import numpy as np
    import xarray as xr

    truth = open_granules(name, granules)
    views = {
        "zarr v2": xr.open_zarr(f"{url}/datasets/{name}/zarr", zarr_format=2, decode_times=False, chunks=None),
        "zarr v3": xr.open_zarr(f"{url}/datasets/{name}/zarr", zarr_format=3, decode_times=False, chunks=None),
        "references": xr.open_dataset(str(references), engine="kerchunk", decode_times=False, chunks=None),
    }
    for view, dataset in views.items():
        missing = set(truth.variables) - set(dataset.variables)
        if missing:
            raise SystemExit(f"{name} as {view}: lacks {sorted(missing)}")
        for variable in truth.variables:
            expected, got = truth[variable], dataset[variable]
            if expected.dims != got.dims or not np.array_equal(expected.values, got.values, equal_nan=expected.dtype.kind == "f"):
                raise SystemExit(f"{name} as {view}: {variable} differs from the granules")
        cells = sum(v.size for v in truth.variables.values())
        print(f"    {name} as {view}: {len(truth.variables)} variables, {cells:,} values equal the granules'")


def check_pages(url, made):
    """The page and the pictures a person would look at are there."""
    host = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    for path, kind in [("/", "text/html"), *((f"/datasets/{n}/picture/{v}.png", "image/png") for n, _, _, v in made)]:
        host.request("GET", path)
        answer = host.getresponse()
        body = answer.read()
        if answer.status != 200 or not answer.headers["Content-Type"].startswith(kind) or len(body) < 500:
            raise SystemExit(f"{path}: status {answer.status}, {answer.headers['Content-Type']}, {len(body)} bytes")
    host.request("GET", "/datasets")
    if json.loads(host.getresponse().read()) != [n for n, _, _, _ in made]:
        raise SystemExit("/datasets does not list the cubes")


def print_invitation(url, made):
    name, _, _, variable = made[0]
    print(f"""
Open {url}/ in a browser, or in Python (pip install xarray zarr aiohttp):

    import xarray as xr
    url = "{url}/datasets/{name}/zarr"
    cube = xr.open_zarr(url, zarr_format=2, decode_times=False, chunks=None)
    print(cube)
    print(cube["{variable}"].mean(("y", "x")).values)

Ctrl-C ends the server.""", flush=True)


def stop(process):
    process.send_signal(signal.SIGINT)
    try:
        return process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        raise SystemExit("the server did not stop") from None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the granules and exit")
    parser.add_argument("--bind", help="address to serve on (default 127.0.0.1:9000; with --check a free port)")
    options = parser.parse_args()
    made = virtualize()
    process, url = serve(made, options.bind or ("127.0.0.1:0" if options.check else "127.0.0.1:9000"))
    if not options.check:
        print_invitation(url, made)
        try:
            return process.wait()
        except KeyboardInterrupt:
            return stop(process)
    try:
        say("reading back with xarray")
        for name, granules, references, _ in made:
            compare(url, references, name, granules)
        check_pages(url, made)
    finally:
        status = stop(process)
    if status != 0:
        raise SystemExit(f"the server ended with status {status}")
    say("the cubes equal their granules")
    return 0


if __name__ == "__main__":
    sys.exit(main())

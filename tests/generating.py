"""What tests of `upwell generate` share: a run against the fake Earthdata, and sets as other programs see them (fsspec, zarr,
xarray), compared value by value with what the granules hold.
"""

import json
import os
import pathlib
import re
import subprocess

import fsspec
import numpy as np
import xarray

from earthdata import granules

UPWELL = pathlib.Path(os.environ.get("UPWELL", "build/release/bin/upwell"))
MUR, TELLUS = "MUR-JPL-L4-GLOB-v4.1", "TELLUS_GRAC-GRFO_MASCON_CRI_GRID_RL06.3_V4"
BUCKET = "podaac-ops-cumulus-protected"
SHORT = ("--start-date", "2002-06-02", "--end-date", "2002-06-04")
STEM = f"{MUR}_2002-06-02_to_2002-06-04_virtual_"
DAYS = [1, 2, 3, 4]  # the last begins at 21:00 of the day before


def generate(fake, *arguments, status=0, login=True, timeout=120, command=(UPWELL,), **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("EARTHDATA_", "AWS_", "NETRC"))}
    s3 = {"AWS_ENDPOINT_URL_S3": fake.url("s3"), "AWS_REGION": "us-west-2"} if "AWS_ENDPOINT_URL" not in environment else {}
    done = subprocess.run([*map(str, command), "generate", *map(str, arguments)], env={**clean, **s3, **fake.environment(login=login), **environment},
                          capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    assert done.returncode == status, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def keys_in(server, bucket):
    return sorted(o["Key"] for o in server.client().list_objects_v2(Bucket=bucket).get("Contents", []))


def document_in(server, key, bucket="outputs"):
    return json.loads(server.client().get_object(Bucket=bucket, Key=key)["Body"].read())


def day_of(url):
    """Of a MUR granule, counted from 2002-06-01."""
    year, month, day = map(int, re.search(r"/(\d{4})(\d\d)(\d\d)090000-JPL", url).groups())
    return (np.datetime64(f"{year}-{month:02}-{day:02}") - np.datetime64("2002-06-01")).astype(int)


def opened(references, files, group="", **options):
    """The set, or a group of it, as xarray sees it, its granules being `files`: URL to bytes."""
    memory = fsspec.filesystem("memory")
    renamed = {}
    for key, value in references["refs"].items():
        if isinstance(value, list):
            path = "/" + value[0].split("://", 1)[1]
            if not memory.exists(path):
                memory.pipe(path, files(value[0]))
            value = ["memory://" + path, *value[1:]]
        renamed[key] = value
    fs = fsspec.filesystem("reference", fo={"version": 1, "refs": renamed}, remote_protocol="memory")
    return xarray.open_dataset(fs.get_mapper(group), engine="zarr", consolidated=False, **options)


def urls_in(references):
    return {value[0] for value in references["refs"].values() if isinstance(value, list)}


def check_mur(references, days, revisions=()):
    """Every stored value of every variable."""
    revision = dict(revisions)
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    with opened(references, lambda url: granules.mur(day_of(url), revision.get(day_of(url), 1)), mask_and_scale=False, decode_times=False) as ds:
        assert ds.sizes == {"time": len(days), "lat": granules.LAT, "lon": granules.LON}
        for n, day in enumerate(days):
            expected = granules.mur_values(day, revision.get(day, 1))
            for name, values in expected.items():
                np.testing.assert_array_equal(ds[name].values[n:n + 1], values, err_msg=f"{name} of day {day}")
        np.testing.assert_array_equal(ds.lat.values, np.linspace(-89.99, 89.99, granules.LAT).astype("f4"))
        np.testing.assert_array_equal(ds.lon.values, np.linspace(-179.99, 180, granules.LON).astype("f4"))
        assert ds.attrs["title"] == "Daily MUR SST, Final product"


def both(directory, stem=STEM):
    return [json.loads((directory / f"{stem}{kind}.json").read_text()) for kind in ("s3", "https")]

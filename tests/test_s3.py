"""s3:// against services that check signatures: the conformance suite of the stores, and the program."""

import json
import os
import pathlib
import subprocess
import sys

import fsspec
import netCDF4
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import s3_servers  # noqa: E402
from http_servers import PlainFiles, serving_files  # noqa: E402
from s3_tap import tapping  # noqa: E402

UPWELL = pathlib.Path(os.environ.get("UPWELL", "build/release/bin/upwell"))
ROOT = pathlib.Path(__file__).resolve().parent.parent


def run_with(environment, *command, timeout=120):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    return subprocess.run([str(c) for c in command], env={**clean, **environment}, capture_output=True, text=True,
                          timeout=timeout)


@pytest.fixture(scope="module", params=["moto", "versity"])
def server(request, tmp_path_factory):
    if request.param == "moto":
        running = s3_servers.start_moto()
    else:
        cache = ROOT / "build" / "tools"
        cache.mkdir(parents=True, exist_ok=True)
        program, why = s3_servers.versitygw(cache)
        if program is None:
            pytest.skip(why)
        running = s3_servers.start_versity(program, tmp_path_factory.mktemp("versity"))
    try:
        running.client().create_bucket(Bucket="granules")
        yield running
    finally:
        running.stop()


def test_conformance_of_the_store(server):
    program = UPWELL.parent / "upwell_io_test"
    if not program.is_file():
        pytest.skip(f"{program} is not built")
    done = run_with({**server.environment, "UPWELL_S3_TEST_URL": "s3://granules/conformance/"}, program,
                    "--gtest_filter=S3/*:S3Live.*")
    assert done.returncode == 0, done.stdout[-6000:]
    assert "PASSED" in done.stdout and "SKIPPED" not in done.stdout


DAYS, SHAPE = 5, (40, 60)


def values(day):
    return np.arange(SHAPE[0] * SHAPE[1], dtype="f4").reshape(SHAPE) + 1000 * day


@pytest.fixture(scope="module")
def granules(tmp_path_factory):
    """Granules with names that are hard to sign."""
    directory = tmp_path_factory.mktemp("granules")
    for day in range(DAYS):
        with netCDF4.Dataset(directory / f"sst day={day} +é.nc", "w") as nc:
            nc.createDimension("time", None)
            nc.createDimension("lat", SHAPE[0])
            nc.createDimension("lon", SHAPE[1])
            time = nc.createVariable("time", "f8", ("time",))
            time.units = "days since 2020-01-01"
            time[:] = [day]
            nc.createVariable("sst", "f4", ("time", "lat", "lon"), zlib=True)[:] = values(day)[None]
    return directory


@pytest.fixture(scope="module")
def bucket(server, granules):
    """The same granules in the service, among other things."""
    client = server.client()
    for path in granules.iterdir():
        client.upload_file(str(path), "granules", f"2020/{path.name}")
    client.put_object(Bucket="granules", Key="2020/README.txt", Body=b"no granule")
    client.put_object(Bucket="granules", Key="2020/more/x.nc", Body=b"no granule")
    return server


def upwell(server, *arguments, **environment):
    return run_with({**server.environment, **environment}, UPWELL, *arguments)


def read_sst(server, source, tmp_path, *options, **environment):
    out = tmp_path / "sst.npy"
    out.unlink(missing_ok=True)
    done = upwell(server, "read", source, "sst", "-o", out, "--quiet", *options, **environment)
    assert done.returncode == 0, done.stderr
    return np.load(out)


EXPECTED = np.stack([values(day) for day in range(DAYS)])


@pytest.mark.parametrize("name", ["cube.json", "cube.parq"])
def test_from_a_bucket_into_a_bucket(bucket, tmp_path, name):
    output = f"s3://granules/out/{name}"
    done = upwell(bucket, "virtualize", "s3://granules/2020/*.nc", "-o", output)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(read_sst(bucket, output, tmp_path), EXPECTED)
    again = upwell(bucket, "virtualize", "s3://granules/2020/*.nc", "-o", output)
    if name.endswith(".json"):
        assert again.returncode == 0, again.stderr
    else:
        assert again.returncode != 0 and "already" in again.stderr
    assert np.array_equal(read_sst(bucket, output, tmp_path), EXPECTED)


def test_the_same_references_as_from_files(bucket, granules, tmp_path):
    assert upwell(bucket, "virtualize", "s3://granules/2020/*.nc", "-o", tmp_path / "a.json").returncode == 0
    local = upwell(bucket, "virtualize", granules, "-o", tmp_path / "b.json", "--url-prefix", f"{granules}=s3://granules/2020")
    assert local.returncode == 0, local.stderr
    remote, local = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    # Identities of the granules (ETag, time) are those of the place where they were read.
    assert list(remote["refs"].items()) == list(local["refs"].items()) and remote.keys() == local.keys()


def test_a_set_in_a_bucket_is_kept_up_to_date(bucket, granules, tmp_path):
    """In one conditional PUT; a Parquet set of many objects becomes another set."""
    store = "s3://granules/kept.json"
    urls = [f"s3://granules/2020/{p.name}" for p in sorted(granules.glob("*.nc"))]
    assert upwell(bucket, "virtualize", *urls[:2], "-o", store).returncode == 0
    added = upwell(bucket, "append", store, *urls)
    assert added.returncode == 0, added.stderr
    again = upwell(bucket, "append", store, *urls)
    assert again.returncode == 0 and "nothing to do" in again.stderr, again.stderr
    assert upwell(bucket, "virtualize", *urls, "-o", "s3://granules/whole.json").returncode == 0
    np.testing.assert_array_equal(read_sst(bucket, store, tmp_path), read_sst(bucket, "s3://granules/whole.json", tmp_path))
    removed = upwell(bucket, "append", store, "--remove", urls[0])
    assert removed.returncode == 0 and "1 removed" in removed.stderr, removed.stderr
    assert len(read_sst(bucket, store, tmp_path)) < len(read_sst(bucket, "s3://granules/whole.json", tmp_path))
    assert upwell(bucket, "append", store, urls[0], "-o", "s3://granules/next.parq").returncode == 0
    np.testing.assert_array_equal(read_sst(bucket, "s3://granules/next.parq", tmp_path), read_sst(bucket, "s3://granules/whole.json", tmp_path))
    refused = upwell(bucket, "append", "s3://granules/next.parq", "--remove", urls[0])
    assert refused.returncode == 65 and "-o" in refused.stderr


def test_two_that_write_one_set_in_json_at_once(bucket, granules, tmp_path):
    """The one whose PUT is refused begins again upon what the other wrote, and gives up with "try again" in the end."""
    store = "s3://granules/shared.json"
    urls = [f"s3://granules/2020/{p.name}" for p in sorted(granules.glob("*.nc"))]
    assert upwell(bucket, "virtualize", *urls[:2], "-o", store).returncode == 0
    with tapping(bucket.url) as tap:
        others = [["append", store, urls[2]], ["append", store, "--remove", urls[0]]]

        def overtake(request):
            if request.method == "PUT" and request.path.endswith("shared.json") and others:
                assert upwell(bucket, *others.pop(0)).returncode == 0
            return True

        tap.before = overtake
        done = upwell(bucket, "append", store, urls[3], AWS_ENDPOINT_URL=tap.url)
        assert done.returncode == 0 and not others, done.stderr
        assert len(read_sst(bucket, store, tmp_path)) == 3
        others = [["append", store, urls[0]] if i % 2 == 0 else ["append", store, "--remove", urls[0]] for i in range(12)]
        done = upwell(bucket, "append", store, "--remove", urls[3], AWS_ENDPOINT_URL=tap.url)
        assert done.returncode == 75 and "run it again" in done.stderr, done.stderr


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("name", ["python.json", "python.parq"])
def test_xarray_opens_a_set_in_a_bucket(bucket, granules, tmp_path, name, told):
    """As docs/guide/s3.md says; in a process of its own, for s3fs keeps its connections."""
    done = upwell(bucket, "virtualize", "s3://granules/2020/*.nc", "-o", f"s3://granules/{told}{name}")
    assert done.returncode == 0, done.stderr
    code = """
import sys
import numpy as np, xarray as xr
url, endpoint, out = sys.argv[1:]
options = {"remote_protocol": "s3"}
if endpoint:
    bucket = {"endpoint_url": endpoint}
    options |= {"target_protocol": "s3", "target_options": dict(bucket), "remote_options": dict(bucket)}
with xr.open_dataset(url, engine="kerchunk", storage_options=options) as ds:
    np.save(out, ds["sst"].values)
"""
    environment = dict(bucket.environment)
    if told:
        environment.pop("AWS_ENDPOINT_URL")
    done = run_with(environment, sys.executable, "-c", code, f"s3://granules/{told}{name}", bucket.url if told else "", tmp_path / "sst.npy")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "sst.npy"), np.stack([values(day) for day in range(DAYS)]))


def test_a_prefix_without_its_slash(bucket, tmp_path):
    for command in (["virtualize", "s3://granules/2020", "-o", tmp_path / "a.json"], ["virtualize", "s3://granules/2020", "-o", "s3://granules/a.upwell"]):
        done = upwell(bucket, *command)
        assert done.returncode == 66 and "s3://granules/2020/ names them all" in done.stderr, done.stderr
    done = upwell(bucket, "virtualize", "s3://granules/202", "-o", tmp_path / "a.json")
    assert done.returncode == 66 and "names them all" not in done.stderr


def test_nothing_matches(bucket, tmp_path):
    done = upwell(bucket, "virtualize", "s3://granules/2021/*.nc", "-o", tmp_path / "a.json")
    assert done.returncode == 66 and "no object matches" in done.stderr


def test_profiles_and_tokens(bucket, granules, tmp_path):
    (tmp_path / "credentials").write_text(
        f"[archive]\naws_access_key_id = {s3_servers.ACCESS}\naws_secret_access_key = {s3_servers.SECRET}\n"
        f"[wrong]\naws_access_key_id = {s3_servers.ACCESS}\naws_secret_access_key = not the secret\n")
    files = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"), "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    source = f"s3://granules/2020/{sorted(granules.iterdir())[0].name}"
    assert np.array_equal(read_sst(bucket, source, tmp_path, AWS_PROFILE="archive", **files)[0], values(0))
    wrong = upwell(bucket, "info", source, "--s3-profile", "wrong", **files)
    assert wrong.returncode == 77 and "SignatureDoesNotMatch" in wrong.stderr
    assert "not the secret" not in wrong.stderr
    nobody = upwell(bucket, "info", source, "--s3-profile", "nobody", **files)
    assert nobody.returncode == 78 and "nobody" in nobody.stderr
    unknown = upwell(bucket, "info", source, AWS_ACCESS_KEY_ID="AKUNKNOWN")
    if bucket.kind == "moto":  # versitygw says 404 and a code of its own
        assert unknown.returncode == 77
    assert unknown.returncode != 0 and "access key" in unknown.stderr
    unsigned = upwell(bucket, "info", source, "--s3-anonymous")
    assert unsigned.returncode == 77 and "not signed" in unsigned.stderr


def test_missing_things_are_named(bucket, tmp_path):
    for source in ("s3://granules/2020/none.nc", "s3://no-such-bucket/none.nc"):
        done = upwell(bucket, "info", source)
        assert done.returncode == 66, done.stderr
        assert source in done.stderr
        assert ("NoSuchBucket" if "no-such-bucket" in source else "NoSuchKey") in done.stderr


def test_an_upload_that_was_given_up_leaves_nothing(bucket):
    if bucket.kind == "moto":
        pytest.skip("moto 5.2.5 fails to list uploads")
    assert "Uploads" not in bucket.client().list_multipart_uploads(Bucket="granules")


@pytest.fixture(scope="module")
def moto():
    """One of its own: other tests must not find its buckets."""
    running = s3_servers.start_moto()
    try:
        yield running
    finally:
        running.stop()


def test_what_only_amazon_does(moto, granules, tmp_path):
    client = moto.client()
    for name in ("granules", "public"):
        client.create_bucket(Bucket=name)
        client.upload_file(str(sorted(granules.iterdir())[1]), name, "a.nc", ExtraArgs={"ACL": "public-read"} if name == "public" else {})
    # A public bucket, without credentials and in spite of them.
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    assert np.array_equal(read_sst(moto, "s3://public/a.nc", tmp_path, **none)[0], values(1))
    assert np.array_equal(read_sst(moto, "s3://public/a.nc", tmp_path, "--s3-anonymous")[0], values(1))
    # Session tokens.
    token = {"AWS_SESSION_TOKEN": s3_servers.TOKEN}
    assert np.array_equal(read_sst(moto, "s3://granules/a.nc", tmp_path, **token)[0], values(1))
    old = upwell(moto, "info", "s3://granules/a.nc", AWS_SESSION_TOKEN="old")
    assert old.returncode == 77 and "ExpiredToken" in old.stderr
    # The region is found out.
    assert np.array_equal(read_sst(moto, "s3://granules/a.nc", tmp_path, "--s3-region", "eu-west-1")[0], values(1))


@pytest.mark.parametrize("name", ["cube.json", "cube.parq"])
def test_two_places_of_each_granule(moto, granules, tmp_path, name):
    client = moto.client()
    client.create_bucket(Bucket="mirror")
    for path in granules.iterdir():
        client.upload_file(str(path), "mirror", f"a/{path.name}")
    out = tmp_path / name
    with serving_files(granules, PlainFiles) as web:
        done = upwell(moto, "virtualize", granules, "-o", out, "--url-prefix", f"{granules}={web}",
                      "--also-at", f"{web}/=s3://mirror/a/")
        assert done.returncode == 0, done.stderr
        # Others read the first place.
        fs = fsspec.filesystem("reference", fo=str(out), remote_protocol="http", skip_instance_cache=True,
                               **({"lazy": True} if name.endswith(".parq") else {}))
        assert fs.cat("sst/.zarray")
        assert len(fs.cat("sst/2.0.0")) > 10
        assert np.array_equal(read_sst(moto, out, tmp_path), EXPECTED)
        assert np.array_equal(read_sst(moto, out, tmp_path, "--prefer", "s3"), EXPECTED)
        # Without credentials for the bucket: the web.
        assert np.array_equal(read_sst(moto, out, tmp_path, "--prefer", "s3", "--s3-anonymous"), EXPECTED)
    assert np.array_equal(read_sst(moto, out, tmp_path, "--retries", "0"), EXPECTED)


def test_places_must_be_remote(moto, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text('{"version":1,"locations":[["s3://mirror/","file:///etc/"]],"refs":{".zgroup":"{\\"zarr_format\\":2}"}}')
    done = upwell(moto, "info", bad)
    assert done.returncode == 65 and "locations" in done.stderr
    done = upwell(moto, "virtualize", bad, "-o", tmp_path / "x.json", "--also-at", "s3://mirror/=/etc/")
    assert done.returncode == 64 and "--also-at" in done.stderr

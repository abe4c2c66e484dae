"""upwell generate: a collection of the fake Earthdata as reference sets, every value compared with what the granules hold.

The sets are opened by other programs (fsspec, zarr, xarray); the bytes that references lead to are those of the fake.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import threading

import fsspec
import numpy as np
import pytest
import xarray

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import s3_servers  # noqa: E402
from earthdata import granules  # noqa: E402
from earthdata.fixture import running  # noqa: E402
from http_servers import PlainFiles, serving_with  # noqa: E402

UPWELL = pathlib.Path(os.environ.get("UPWELL", "build/release/bin/upwell"))
ROOT = pathlib.Path(__file__).resolve().parent.parent
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


@pytest.fixture(scope="module")
def moto():
    pytest.importorskip("moto")
    server = s3_servers.start_moto()
    server.client().create_bucket(Bucket="outputs")
    server.client().create_bucket(Bucket="staging")
    yield server
    server.stop()


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


# --- As the container -----------------------------------------------------------------------------------------------

def test_environment_of_the_container(earthdata, moto):
    """Everything from the environment: secrets from the Parameter Store, results into both buckets under the names of before."""
    ssm = moto.client("ssm")
    ssm.put_parameter(Name="virtualzarr-gen-edl_username", Value=earthdata.user, Type="SecureString", Overwrite=True)
    ssm.put_parameter(Name="virtualzarr-gen-edl_password", Value=earthdata.password, Type="SecureString", Overwrite=True)
    done = generate(earthdata, login=False, **moto.environment, COLLECTION=MUR, LOADABLE_VARS="lat,lon,time", START_DATE="6-2-2002",
                    END_DATE="6-4-2002", OUTPUT_BUCKET="outputs", STAGING_BUCKET="staging", CPU_COUNT="16", MEMORY_LIMIT="12GB",
                    BATCH_SIZE="48", SSM_EDL_USERNAME="virtualzarr-gen-edl_username", SSM_EDL_PASSWORD="virtualzarr-gen-edl_password")
    names = [f"virtual_collections/{MUR}/{MUR}_6-2-2002_to_6-4-2002_virtual_{kind}.json" for kind in ("https", "s3")]
    assert keys_in(moto, "outputs") == names == keys_in(moto, "staging")
    https, s3 = (document_in(moto, name) for name in names)
    check_mur(s3, DAYS)
    check_mur(https, DAYS)
    assert {url.rsplit("/", 2)[0] for url in urls_in(s3)} == {f"s3://{BUCKET}"}
    assert urls_in(https) == {url.replace("s3://", earthdata.url("podaac", "/")) for url in urls_in(s3)}
    assert document_in(moto, names[0], "staging") == https and document_in(moto, names[1], "staging") == s3
    assert "4 added" in done.stderr and not earthdata.strayed()
    everything = done.stdout + done.stderr + json.dumps([s3, https])
    assert earthdata.password not in everything
    again = generate(earthdata, **moto.environment, COLLECTION=MUR, START_DATE="6-2-2002", END_DATE="6-4-2002", OUTPUT_BUCKET="outputs",
                     LOADABLE_VARS="", STAGING_BUCKET="", SSM_EDL_USERNAME="", SSM_EDL_PASSWORD="")
    assert "nothing to do, 4 granules" in again.stderr


def test_parameters_that_cannot_be_had(earthdata, moto):
    run = {"COLLECTION": MUR, "OUTPUT_BUCKET": "outputs", **moto.environment}
    done = generate(earthdata, status=66, **run, SSM_EDL_USERNAME="none", SSM_EDL_PASSWORD="none")
    assert "parameter none" in done.stderr and "ParameterNotFound" in done.stderr
    done = generate(earthdata, status=64, **run, SSM_EDL_USERNAME="one")
    assert "belong together" in done.stderr
    moto.client("ssm").put_parameter(Name="wrong", Value="wrong", Type="SecureString", Overwrite=True)
    moto.client("ssm").put_parameter(Name="/edl/user", Value=earthdata.user, Type="SecureString", Overwrite=True)
    before = len(earthdata.log())
    done = generate(earthdata, *SHORT, status=77, login=False, **run, SSM_EDL_USERNAME="/edl/user", SSM_EDL_PASSWORD="wrong")
    assert done.stderr.startswith("upwell generate: not logged in: ") and done.stderr.count("\n") == 1, "the reason, and once"
    assert (f"does not accept this user name and password ({earthdata.user}, from the parameters /edl/user and wrong of the Parameter Store)"
            in done.stderr)
    assert len(earthdata.log()) == before + 1, "a wrong password is not tried again"
    done = generate(earthdata, status=78, **{**run, "AWS_REGION": ""}, SSM_EDL_USERNAME="x", SSM_EDL_PASSWORD="x")
    assert "AWS_REGION" in done.stderr


def test_keys_of_the_containers_role(earthdata, moto):
    """As ECS and Batch give them."""
    import http.server

    asked = []

    class Agent(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization")))
            body = json.dumps({"AccessKeyId": s3_servers.ACCESS, "SecretAccessKey": s3_servers.SECRET, "Token": s3_servers.TOKEN,
                               "Expiration": "2099-01-01T00:00:00Z", "RoleArn": "arn:x"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Agent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    keyless = {k: v for k, v in moto.environment.items() if "KEY" not in k}
    role = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{server.server_port}/role", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "agent-token"}
    generate(earthdata, "--collection", MUR, "--start-date", "2003-01-01", "--end-date", "2003-01-01", "--output-bucket", "outputs", **keyless, **role)
    assert set(asked) == {("/role", "agent-token")}
    assert f"virtual_collections/{MUR}/{MUR}_2003-01-01_to_2003-01-01_virtual_s3.json" in keys_in(moto, "outputs")
    server.shutdown()
    done = generate(earthdata, "--collection", MUR, *SHORT, "--output-bucket", "outputs", status=78, **keyless,
                    AWS_CONTAINER_CREDENTIALS_FULL_URI="http://example.org/role")
    assert "over plain http on this machine alone" in done.stderr


def test_keys_of_the_instances_role(earthdata, moto):
    """As EC2 gives them: a token first, then the role's name, then its keys."""
    import http.server

    asked = []

    class Service(http.server.BaseHTTPRequestHandler):
        def answer(self, text, status=200):
            asked.append((self.command, self.path))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def do_PUT(self):
            right = self.path == "/latest/api/token" and int(self.headers["X-aws-ec2-metadata-token-ttl-seconds"]) > 0
            self.answer("session-token" if right else "", 200 if right else 400)

        def do_GET(self):
            roles = "/latest/meta-data/iam/security-credentials/"
            answers = {roles: "the-role", roles + "the-role": json.dumps({
                "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": s3_servers.ACCESS, "SecretAccessKey": s3_servers.SECRET,
                "Token": s3_servers.TOKEN, "Expiration": "2099-01-01T00:00:00Z"})}
            if self.headers.get("X-aws-ec2-metadata-token") != "session-token":
                self.answer("", 401)
            elif with_role and self.path in answers:
                self.answer(answers[self.path])
            else:
                self.answer("", 404)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    keyless = {k: v for k, v in moto.environment.items() if "KEY" not in k}
    run = ("--collection", MUR, "--start-date", "2003-01-02", "--end-date", "2003-01-02", "--output-bucket", "outputs")
    service = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{server.server_port}/", "HOME": "/nonexistent"}
    with_role = False
    generate(earthdata, *run, status=77, **keyless, **service)
    generate(earthdata, *run, status=77, **keyless, **service, AWS_EC2_METADATA_DISABLED="true")
    with_role, before = True, len(asked)
    generate(earthdata, *run, **keyless, **service)
    assert [command for command, _ in asked[before:before + 3]] == ["PUT", "GET", "GET"]
    assert f"virtual_collections/{MUR}/{MUR}_2003-01-02_to_2003-01-02_virtual_s3.json" in keys_in(moto, "outputs")
    server.shutdown()
    done = generate(earthdata, *run, status=78, **keyless, AWS_EC2_METADATA_SERVICE_ENDPOINT="http://example.org")
    assert "over plain http on this machine alone" in done.stderr


def test_buckets_that_are_not_there_or_not_ours(earthdata, moto):
    done = generate(earthdata, "--collection", MUR, *SHORT, "--output-bucket", "nowhere", status=66, **moto.environment)
    assert "NoSuchBucket" in done.stderr
    done = generate(earthdata, "--collection", MUR, *SHORT, "--output-bucket", "outputs", status=77,
                    **{**moto.environment, "AWS_SECRET_ACCESS_KEY": "other"})
    assert "SignatureDoesNotMatch" in done.stderr


# --- What is in the sets --------------------------------------------------------------------------------------------

def test_sets_are_complete_and_open_where_they_lead(earthdata, tmp_path):
    generate(earthdata, "--collection", MUR, *SHORT, "--loadable-vars", "time,mask", "-o", tmp_path)
    s3, https = both(tmp_path)
    check_mur(s3, DAYS)
    check_mur(https, DAYS)
    inline = {key.split("/")[0] for key, value in https["refs"].items() if isinstance(value, str) and "/." not in key and "/" in key}
    assert inline == {"time", "mask", "lat", "lon"}, "LOADABLE_VARS says which are copied, beside what is tiny"
    # Through the gateway, as a user opens it.
    out = tmp_path / "sst.npy"
    environment = {**os.environ, **earthdata.environment()}
    subprocess.run([UPWELL, "read", tmp_path / f"{STEM}https.json", "analysed_sst", "--raw", "-o", out], env=environment, check=True, timeout=60)
    np.testing.assert_array_equal(np.load(out), np.concatenate([granules.mur_values(d)["analysed_sst"] for d in DAYS]))


def test_granules_are_read_from_s3_where_that_is_open(earthdata, tmp_path):
    earthdata.set(in_region=True)
    since = earthdata.log()[-1]["number"] if earthdata.log() else 0
    done = generate(earthdata, "--collection", MUR, *SHORT, "-o", tmp_path)
    log = earthdata.log(since)
    assert "over https" not in done.stderr
    asked = [e for e in log if e["role"] == "podaac"]
    assert {e["path"] for e in asked} == {"/s3credentials"} and len(asked) == 1, "keys are asked for once"
    assert {e["authorization"] for e in log if e["role"] == "s3"} == {"aws"} and not earthdata.strayed(log)
    s3, https = both(tmp_path)
    check_mur(s3, DAYS)
    check_mur(https, DAYS)
    outside = tmp_path / "outside"
    earthdata.set(in_region=False)
    done = generate(earthdata, "--collection", MUR, *SHORT, "-o", outside)
    assert "granules are read over https, since S3 is not open from here" in done.stderr
    assert [d["refs"] for d in both(outside)] == [s3["refs"], https["refs"]], "which way was taken changes nothing"
    generate(earthdata, "--collection", MUR, *SHORT, "-o", tmp_path / "no", "--access", "s3", status=77)


def test_the_same_in_parquet(earthdata, tmp_path):
    generate(earthdata, "--collection", MUR, *SHORT, "-o", tmp_path)
    generate(earthdata, "--collection", MUR, *SHORT, "-o", tmp_path, "--parquet")
    for kind, document in zip(("s3", "https"), both(tmp_path)):
        fs = fsspec.filesystem("reference", fo=str(tmp_path / f"{STEM}{kind}.parq"), remote_protocol="memory")
        for key, value in document["refs"].items():
            if isinstance(value, list):
                found = fs.references[key]
                assert [found[0], *map(int, found[1:])] == value


def test_a_whole_collection_has_a_short_name(tmp_path):
    with running("--mur", 3, "--ecco", 0, "--atl03", 0, "--tellus", 1) as small:
        generate(small, "--collection", MUR, "-o", tmp_path)
        assert {p.name for p in tmp_path.iterdir() if p.suffix == ".json"} == {f"{MUR}_virtual_s3.json", f"{MUR}_virtual_https.json"}
        check_mur(both(tmp_path, f"{MUR}_virtual_")[0], [0, 1, 2])
        generate(small, "--collection", MUR, "--start-date", "2002-06-02", "-o", tmp_path)
        generate(small, "--collection", MUR, "--end-date", "6-1-2002", "-o", tmp_path)
        names = {p.name for p in tmp_path.iterdir()}
        assert {f"{MUR}_2002-06-02_to_present_virtual_s3.json", f"{MUR}_beginning_to_6-1-2002_virtual_https.json"} <= names


# --- Kept up to date ------------------------------------------------------------------------------------------------

def test_what_is_new_revised_and_deleted_is_followed(tmp_path):
    stem = f"{MUR}_virtual_"
    with running("--mur", 6, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "-o", tmp_path, "--parquet")
        generate(fake, *run)
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        since = fake.log()[-1]["number"]
        assert "nothing to do, 6 granules" in generate(fake, *run).stderr
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
        assert not [e for e in fake.log(since) if e["role"] == "podaac"], "nothing is even looked at"

        fake.granules(MUR, "add", count=2)
        since = fake.log()[-1]["number"]
        assert "2 added, 0 replaced, 0 removed" in generate(fake, *run).stderr
        read = {day_of(e["path"]) for e in fake.log(since) if e["role"] == "s3"}
        assert read == {6, 7}, "only what is new is scanned"
        for document in both(tmp_path, stem):
            check_mur(document, range(8))

        fake.granules(MUR, "revise", number=0)  # in it lie the arrays without time
        fake.granules(MUR, "revise", number=3)
        done = generate(fake, *run)
        assert "2 added, 2 replaced, 0 removed" in done.stderr, done.stderr
        for document in both(tmp_path, stem):
            check_mur(document, range(8), {0: 2, 3: 2}.items())

        fake.granules(MUR, "delete", number=2)
        fake.granules(MUR, "delete", number=7)
        fake.granules(MUR, "revise", number=4)
        done = generate(fake, *run)
        assert "1 added, 1 replaced, 2 removed" in done.stderr, done.stderr
        for document in both(tmp_path, stem):
            check_mur(document, [0, 1, 3, 4, 5, 6], {0: 2, 3: 2, 4: 2}.items())
        assert "nothing to do, 6 granules" in generate(fake, *run).stderr
        fs = fsspec.filesystem("reference", fo=str(tmp_path / f"{stem}s3.parq"), remote_protocol="memory")
        document = both(tmp_path, stem)[0]
        for key, value in document["refs"].items():
            if isinstance(value, list):
                assert [fs.references[key][0], *map(int, fs.references[key][1:])] == value


def test_a_set_of_a_clock_that_was_ahead(tmp_path):
    """What changed before the time that it gives is not taken for known."""
    with running("--mur", 4, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "-o", tmp_path)
        generate(fake, *run)
        path = tmp_path / f"{MUR}_virtual_s3.json"
        text, count = re.subn(r'("as_of":\s*)"[^"]+"', r'\1"2999-01-01T00:00:00Z"', path.read_text())
        assert count == 1
        path.write_text(text)
        fake.granules(MUR, "add", count=1)
        fake.granules(MUR, "delete", number=1)
        done = generate(fake, *run)
        assert "1 added, 0 replaced, 1 removed" in done.stderr, done.stderr
        for document in both(tmp_path, f"{MUR}_virtual_"):
            check_mur(document, [0, 2, 3, 4])
        assert "2999" not in path.read_text()


def test_the_time_of_a_set_is_the_catalogues(tmp_path):
    """A machine whose clock is two hours fast; here it is the catalogue's that is slow. What changes next counts."""
    with running("--mur", 4, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        fake.fault("date", host="cmr", seconds=-7200)
        run = ("--collection", MUR, "-o", tmp_path)
        generate(fake, *run)
        told = re.search(r'"as_of":\s*"([^"]+)Z"', (tmp_path / f"{MUR}_virtual_s3.json").read_text())[1]
        behind = np.datetime64("now") - np.datetime64(told)
        assert np.timedelta64(2 * 60 + 15, "m") <= behind < np.timedelta64(2 * 60 + 20, "m")
        fake.granules(MUR, "revise", number=1)
        assert "1 replaced, 0 removed" in generate(fake, *run).stderr


def test_a_revised_granule_gets_another_name(tmp_path):
    """It takes the place of what it was before, wherever it lies in the set."""
    with running("--mur", 5, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "-o", tmp_path)
        generate(fake, *run)
        fake.granules(MUR, "rename", number=2)
        fake.granules(MUR, "rename", number=4)
        fake.granules(MUR, "add", count=1)
        done = generate(fake, *run)
        assert "5 granules" not in done.stderr and "6 granules now" in done.stderr, done.stderr
        for document in both(tmp_path, f"{MUR}_virtual_"):
            check_mur(document, range(6), {2: 2, 4: 2}.items())
            named = [url for url in urls_in(document) if "-r2.nc" in url]
            assert len(named) == 2 and len(urls_in(document)) == 6
        assert "nothing to do, 6 granules" in generate(fake, *run).stderr


def test_granules_behind_other_hosts(tmp_path):
    """The https set follows the links of each granule's record, whatever host its bucket was behind before."""
    with running("--mur", 4, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "-o", tmp_path, "--parquet")

        def check(days, moved):
            s3, https = both(tmp_path, f"{MUR}_virtual_")
            check_mur(s3, days)
            there = {fake.url("nsidc" if day_of(url) in moved else "podaac", url.removeprefix("s3:/")) for url in urls_in(s3)}
            assert urls_in(https) == there
            parquet = fsspec.filesystem("reference", fo=str(tmp_path / f"{MUR}_virtual_https.parq"), remote_protocol="memory")
            assert {parquet.references[key][0] for key, value in https["refs"].items() if isinstance(value, list)} == there

        generate(fake, *run)
        check(range(4), set())
        fake.granules(MUR, "move", number=1)
        generate(fake, *run)  # nothing but where it lies
        check(range(4), {1})
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        assert "nothing to do, 4 granules" in generate(fake, *run).stderr
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
        fake.granules(MUR, "add", count=1)
        assert "1 added, 0 replaced, 0 removed" in generate(fake, *run).stderr
        check(range(5), {1})
        for number in (0, 2, 3, 4):
            fake.granules(MUR, "move", number=number)
        generate(fake, *run)
        check(range(5), range(5))


def test_a_copy_of_another_state_is_renewed(tmp_path):
    """A run that ended between its copies and its set, or another one's copy that came later."""
    with running("--mur", 3, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "-o", tmp_path)
        generate(fake, *run)
        path = tmp_path / f"{MUR}_virtual_https.json"
        old = path.read_text()
        fake.granules(MUR, "add", count=1)
        generate(fake, *run)
        new = path.read_text()
        for other in (old, old[:2000]):
            path.write_text(other)
            assert "nothing to do, 4 granules" in generate(fake, *run).stderr
            assert path.read_text() == new


def test_a_revised_granule_is_no_answer_any_more(tmp_path):
    """Its new name does not match what the collection's form asks for; the feed of what the form asks for does not tell of it."""
    form = tmp_path / "form.yaml"
    form.write_text(f"{MUR}:\n  searches:\n    - granule-name: '*fv04.1'\n")
    with running("--mur", 6, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "--collections", form, "-o", tmp_path)
        generate(fake, *run)
        fake.granules(MUR, "rename", number=2)
        assert "1 removed" in generate(fake, *run).stderr
        fake.granules(MUR, "delete", number=5)
        fake.granules(MUR, "revise", number=0)
        assert "1 replaced, 1 removed" in generate(fake, *run).stderr
        for document in both(tmp_path, f"{MUR}_virtual_"):
            check_mur(document, [0, 1, 3, 4], {0: 2}.items())
        assert "nothing to do, 4 granules" in generate(fake, *run).stderr


def test_other_instructions_make_a_set_anew(tmp_path):
    with running("--mur", 3, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "-o", tmp_path)
        def refs():
            return both(tmp_path, f"{MUR}_virtual_")[0]["refs"]
        generate(fake, *run, "--loadable-vars", "time")
        assert isinstance(refs()["mask/0.0.0"], list)
        done = generate(fake, *run, "--loadable-vars", "time,mask")
        assert "made by other instructions" in done.stderr and "load time,mask" in done.stderr
        assert not any(isinstance(value, list) for key, value in refs().items() if key.startswith("mask/")), "copied"
        assert "nothing to do, 3 granules" in generate(fake, *run, "--loadable-vars", "time,mask").stderr
        assert "made by other instructions" in generate(fake, *run, "--loadable-vars", "time,mask", "--drop", "analysis_error").stderr
        assert not any(key.startswith("analysis_error") for key in refs())
        form = tmp_path / "form.yaml"
        form.write_text(f"{MUR}:\n  searches:\n    - granule-name: '20020601*'\n    - granule-name: '20020602*'\n")
        assert "made by other instructions" in generate(fake, *run, "--collections", form).stderr
        check_mur(both(tmp_path, f"{MUR}_virtual_")[0], [0, 1])


def test_a_granule_whose_record_leads_to_no_data(tmp_path):
    with running("--mur", 5, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "-o", tmp_path)
        fake.granules(MUR, "unlink", number=1)
        done = generate(fake, *run, status=65)
        assert "20020602090000" in done.stderr and "no link leads to its data (--skip-missing" in done.stderr
        assert not list(tmp_path.glob("*.json"))
        done = generate(fake, *run, "--skip-missing")
        assert "missing 20020602090000" in done.stderr and "4 granules now" in done.stderr
        for document in both(tmp_path, f"{MUR}_virtual_"):
            check_mur(document, [0, 2, 3, 4])
        # One of the set loses its link.
        fake.granules(MUR, "unlink", number=3)
        before = {p: p.read_bytes() for p in tmp_path.glob("*.json")}
        assert "20020604090000" in generate(fake, *run, status=65).stderr
        assert {p: p.read_bytes() for p in tmp_path.glob("*.json")} == before
        assert "1 removed" in generate(fake, *run, "--skip-missing").stderr
        for document in both(tmp_path, f"{MUR}_virtual_"):
            check_mur(document, [0, 2, 4])
        assert "nothing to do, 3 granules" in generate(fake, *run, "--skip-missing").stderr


def test_parquet_in_a_bucket_is_written_anew(tmp_path, moto):
    with running("--mur", 3, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "--output-bucket", "staging", "--parquet")
        generate(fake, *run, **moto.environment)
        fake.granules(MUR, "add", count=1)
        fake.granules(MUR, "revise", number=1)
        assert "2 added, 1 replaced" in generate(fake, *run, **moto.environment).stderr
    base = f"virtual_collections/{MUR}/{MUR}_virtual_"
    document = document_in(moto, base + "s3.json", "staging")
    check_mur(document, range(4), {1: 2}.items())
    for kind in ("s3", "https"):
        here = tmp_path / f"{kind}.parq"
        for key in keys_in(moto, "staging"):
            if key.startswith(f"{base}{kind}.parq/"):
                path = here / key.removeprefix(f"{base}{kind}.parq/")
                path.parent.mkdir(parents=True, exist_ok=True)
                moto.client().download_file("staging", key, str(path))
        fs = fsspec.filesystem("reference", fo=str(here), remote_protocol="memory")
        document = document_in(moto, f"{base}{kind}.json", "staging")
        for key, value in document["refs"].items():
            if isinstance(value, list):
                assert [fs.references[key][0], *map(int, fs.references[key][1:])] == value


def test_runs_at_once_leave_sets_that_agree(moto):
    with running("--mur", 12, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        arguments = ("--collection", MUR, "--start-date", "2002-06-01", "--output-bucket", "outputs")
        for _ in range(2):
            fake.granules(MUR, "add", count=1)
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                list(pool.map(lambda _: generate(fake, *arguments, **moto.environment), range(3)))
        base = f"virtual_collections/{MUR}/{MUR}_2002-06-01_to_present_virtual_"
        s3, https = (document_in(moto, f"{base}{kind}.json") for kind in ("s3", "https"))
        check_mur(s3, range(14))
        assert urls_in(https) == {url.replace("s3://", fake.url("podaac", "/")) for url in urls_in(s3)}


def test_a_collection_of_one_file_that_gets_another_name(tmp_path):
    with running("--mur", 1, "--ecco", 0, "--atl03", 0, "--tellus", 5) as fake:
        run = ("--collection", TELLUS, "-o", tmp_path)
        generate(fake, *run)
        stem = f"{TELLUS}_virtual_"
        fake.granules(TELLUS, "add", count=1)
        generate(fake, *run)
        for document in both(tmp_path, stem):
            assert len(urls_in(document)) == 1
            with opened(document, lambda _: granules.tellus(6, 1), decode_times=False) as ds:
                np.testing.assert_array_equal(ds.lwe_thickness.values, granules.tellus_values(6))


def test_sets_of_other_programs_are_made_anew(earthdata, tmp_path):
    other = tmp_path / f"{STEM}s3.json"
    other.write_text(json.dumps({"version": 1, "refs": {".zgroup": '{"zarr_format": 2}'}}))
    done = generate(earthdata, "--collection", MUR, *SHORT, "-o", tmp_path)
    assert "made by another program" in done.stderr and "4 added" in done.stderr
    check_mur(both(tmp_path)[0], DAYS)
    done = generate(earthdata, "--collection", MUR, *SHORT, "-o", tmp_path, "--rebuild")
    assert "4 added" in done.stderr


# --- Level 2 --------------------------------------------------------------------------------------------------------

FORM = """
ATL03:
  version: "006"
  searches:
    - {granule-name: "ATL03_20181014*"}
  new-dimension: granule_start
  coordinates: {granule_start: begin, name: granule}
  constant: [/ancillary_data/atlas_sdp_gps_epoch, /ancillary_data/release]
"""


def test_swaths_get_a_dimension_by_a_file(tmp_path):
    collections = tmp_path / "collections.yaml"
    collections.write_text(FORM)
    with running("--mur", 1, "--ecco", 0, "--atl03", 40, "--tellus", 1) as fake:
        run = ("--collection", "ATL03", "--collections", collections, "-o", tmp_path)
        generate(fake, *run)
        document = json.loads((tmp_path / "ATL03_virtual_https.json").read_text())
        steps = len(json.loads(document["refs"]["granule_start/.zarray"])["shape"]) and json.loads(document["refs"]["granule_start/.zarray"])["shape"][0]
        assert steps == 16, "of the 40 those of one day: one each 94 minutes"
        start = np.datetime64("2018-10-14", "s")

        def bytes_of(url):
            stamp = re.search(r"ATL03_(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)_", url).groups()
            when = np.datetime64("{}-{}-{}T{}:{}:{}".format(*stamp))
            return granules.atl03(int((when - start) / np.timedelta64(5640, "s")), 1)

        with opened(document, bytes_of) as root:
            expected = start + np.arange(steps) * np.timedelta64(5640, "s")
            np.testing.assert_array_equal(root.granule_start.values.astype("M8[s]"), expected)
            assert root.name.values[1].rstrip(b"\0").decode().startswith("ATL03_20181014013400_")
        with opened(document, bytes_of, group="gt2l/heights", decode_times=False) as beam:
            assert beam.h_ph.dims[0] == "granule_start" and beam.h_ph.shape == (steps, granules.PHOTONS)
            for n in range(steps):
                values = granules.atl03_values(n, granules.BEAMS.index("gt2l"))
                for name, expected in values.items():
                    # delta_time counts the photons of every beam, and is the same in all granules here.
                    ours = beam[name].values if name == "delta_time" else beam[name].values[n]
                    np.testing.assert_array_equal(ours, expected)
        assert "nothing to do, 16 granules" in generate(fake, *run).stderr


@pytest.mark.parametrize("text, message", [
    ("A: {new-dimension: granule}", "needs a coordinate of its name"),
    ("A: {coordinates: {x: begin}}", "lie along a new-dimension"),
    ("A: {new-dimension: g, coordinates: {g: start}}", "'start' is none of them"),
    ("A: {colour: red}", "'colour' is not known"),
    ("A: {searches: [{temporal: yesterday}]}", "temporal 'yesterday'"),
    ("A: [", "collections.yaml:2"),
    ("- A", "names of collections are wanted"),
])
def test_forms_that_are_not_understood(earthdata, tmp_path, text, message):
    collections = tmp_path / "collections.yaml"
    collections.write_text(text + "\n")
    done = generate(earthdata, "--collection", MUR, "--collections", collections, "-o", tmp_path, status=78)
    assert message in done.stderr and "collections.yaml:" in done.stderr


# --- What goes wrong ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, status, message", [
    (("--start-date", "yesterday"), 64, "write it as 2022-01-31"),
    (("--start-date", "1/31/2022"), 64, "month-day-year"),
    (("--start-date", "13-31-2022"), 64, "date '13-31-2022'"),
    (("--start-date", "2003", "--end-date", "2002"), 64, "2003"),
    (("--start-date", "1990", "--end-date", "1990-12"), 66, "has no granules in 1990,1990-12"),
    (("--memory-limit", "lots"), 64, "write 12GB, 512MiB or auto"),
    (("--loadable-vars", "nothing", *SHORT), 64, "the first granule has no such variable"),
    (("--drop", "nothing", *SHORT), 64, "--drop nothing: no granule has it"),
])
def test_wrong_options(earthdata, tmp_path, arguments, status, message):
    done = generate(earthdata, "--collection", MUR, *arguments, "-o", tmp_path / "out", status=status)
    assert message in done.stderr, done.stderr
    assert not list(tmp_path.glob("out/*.json"))


def test_which_collection_and_where_to(earthdata, tmp_path):
    assert "no collection is so described" in generate(earthdata, "--collection", "NONE", "-o", tmp_path, status=66).stderr
    assert "a short name such as" in generate(earthdata, "--collection", "../x", "-o", tmp_path, status=64).stderr
    assert "where to?" in generate(earthdata, "--collection", MUR, status=64).stderr
    assert "where to?" in generate(earthdata, "--collection", MUR, "-o", tmp_path, "--output-bucket", "b", status=64).stderr
    assert "--collection is required" in generate(earthdata, "-o", tmp_path, status=64).stderr


class BusyParameterStore(PlainFiles):
    """Asked too often at first; its values were stored from files."""

    def do_POST(self):
        name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["Name"]
        self.server.asked.append(name)
        busy = len(self.server.asked) <= 2
        answer = {"__type": "ThrottlingException", "message": "Rate exceeded"} if busy else {"Parameter": {"Value": self.server.values[name] + "\n"}}
        body = json.dumps(answer).encode()
        self.send_response(400 if busy else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_busy_parameter_store(earthdata, tmp_path):
    with serving_with(BusyParameterStore, asked=[], values={"u": earthdata.user, "p": earthdata.password}) as server:
        done = generate(earthdata, "--collection", MUR, *SHORT, "-o", tmp_path, login=False, SSM_EDL_USERNAME="u", SSM_EDL_PASSWORD="p",
                        AWS_ENDPOINT_URL_SSM=server.url, AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", MEMORY_LIMIT=" 0.5", LOADABLE_VARS="lat, lon, time")
        assert server.asked == ["u", "u", "u", "p"]
    assert "4 granules now" in done.stderr and earthdata.password not in done.stderr


def test_a_set_that_was_cut(earthdata, tmp_path):
    run = ("--collection", MUR, *SHORT, "-o", tmp_path)
    generate(earthdata, *run)
    (path,) = tmp_path.glob("*virtual_s3.json")
    path.write_bytes(path.read_bytes()[:1000])
    assert "--rebuild makes it anew" in generate(earthdata, *run, status=65).stderr
    assert "4 granules now" in generate(earthdata, *run, "--rebuild").stderr


def test_nobody_is_logged_in(earthdata, tmp_path):
    done = generate(earthdata, "--collection", MUR, *SHORT, "-o", tmp_path, status=77, login=False)
    assert "nobody is logged in" in done.stderr and not list(tmp_path.glob("*.json"))
    done = generate(earthdata, "--collection", MUR, *SHORT, "-o", tmp_path, status=77, EARTHDATA_PASSWORD="wrong")
    assert "does not accept this user name and password" in done.stderr


def test_a_granule_that_was_withdrawn(earthdata, tmp_path):
    """The catalogue has it, the archive has not."""
    name = "20020603090000-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1.nc"
    earthdata.fault("status", status=404, host="podaac", path=f"*{name}")
    run = ("--collection", MUR, *SHORT, "-o", tmp_path)
    done = generate(earthdata, *run, status=66)
    assert name in done.stderr and not list(tmp_path.glob("*.json"))
    done = generate(earthdata, *run, "--skip-missing")
    assert f"missing s3://{BUCKET}/{MUR}/{name}" in done.stderr and "3 added" in done.stderr
    for document in both(tmp_path):
        check_mur(document, [1, 3, 4])


def test_a_catalogue_that_does_not_tell_all(earthdata, tmp_path):
    earthdata.fault("hits", host="cmr", path="/search/granules*", delta=1)
    done = generate(earthdata, "--collection", MUR, *SHORT, "-o", tmp_path, status=75)
    assert "search again" in done.stderr and not list(tmp_path.glob("*.json"))


# --- Bounded memory -------------------------------------------------------------------------------------------------

def test_a_thousand_granules_take_little_memory(tmp_path):
    with running("--mur", 1000, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        done = generate(fake, "--collection", MUR, "-o", tmp_path, "--stats", timeout=300)
    stats = json.loads(done.stderr.splitlines()[-1])
    assert "1000 granules now" in done.stderr
    print(stats)
    assert stats["peak_memory_bytes"] < 200 << 20, stats
    document = both(tmp_path, f"{MUR}_virtual_")[1]
    assert len(urls_in(document)) == 1000
    for day in (0, 499, 999):
        reference = document["refs"][f"analysed_sst/{day}.1.1"]
        assert day_of(reference[0]) == day
        stored = granules.mur(day, 1)[reference[1]:reference[1] + reference[2]]
        corner = (0, granules.LAT // 2, granules.LON // 2)
        assert stored == granules.stored(granules.mur_values(day)["analysed_sst"], corner, (1, granules.LAT // 2, granules.LON // 2))

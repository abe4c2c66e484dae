"""upwell generate: a collection of the fake Earthdata as reference sets, and what goes wrong; as the container, too."""

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

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import s3_servers  # noqa: E402
from earthdata import granules  # noqa: E402
from earthdata.fixture import running  # noqa: E402
from generating import BUCKET, DAYS, MUR, SHORT, STEM, UPWELL, both, check_mur, day_of, document_in, generate, keys_in, opened, urls_in  # noqa: E402
from http_servers import PlainFiles, serving_with  # noqa: E402


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
    assert "withdrawn" in done.stderr and "--skip-missing" in done.stderr
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

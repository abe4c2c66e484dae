"""The fake Earthdata against clients that are not ours: earthaccess as it comes from PyPI, curl, botocore.

They are led to it by their resolver and a certificate authority, and are otherwise unchanged: what the fake answers is what they
expect of NASA.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from earthdata import granules
from earthdata.asking import bearer, search, signed

MUR, ECCO, TELLUS = "MUR-JPL-L4-GLOB-v4.1", "ECCO_L4_SSH_LLC0090GRID_DAILY_V4R4", "TELLUS_GRAC-GRFO_MASCON_CRI_GRID_RL06.3_V4"
DAY5 = f"/podaac-ops-cumulus-protected/{MUR}/20020606090000-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1.nc"
START = "import json, sys, warnings\nwarnings.simplefilter('ignore')\nimport earthaccess\n"


@pytest.fixture
def earthaccess(earthdata, tmp_path):
    """Runs code in a process where earthaccess is imported and may log in from the environment."""
    pytest.importorskip("earthaccess", reason="earthaccess is not installed: tests/requirements.txt has it")
    named = {"EARTHDATA_USERNAME": earthdata.user, "EARTHDATA_PASSWORD": earthdata.password, "HOME": str(tmp_path)}

    def run(code, *arguments, **environment):
        return earthdata.peer(START + code, *arguments, **(named | environment))

    return run


# --- earthaccess ------------------------------------------------------------------------------------------------------

def test_login(earthdata, earthaccess, tmp_path):
    code = "a = earthaccess.login(strategy=sys.argv[1])\nprint(json.dumps([a.authenticated, earthaccess.get_edl_token()['access_token']]))"
    on, token = earthaccess(code, "environment")
    assert on and token.count(".") == 2
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine urs.earthdata.nasa.gov login {earthdata.user} password {earthdata.password}\n")
    netrc.chmod(0o600)
    assert earthaccess(code, "netrc", NETRC=str(netrc), EARTHDATA_USERNAME="") == [True, token], "the token is found again"
    assert earthaccess(code, "environment", EARTHDATA_USERNAME="", EARTHDATA_TOKEN="abc") == [True, "abc"], "it checks no token"
    assert not earthdata.strayed()
    assert {e["path"] for e in earthdata.log() if e["role"] == "urs"} == {"/api/users/find_or_create_token", "/profile", "/home"}


def test_wrong_password(earthaccess):
    code = """try:
    earthaccess.login(strategy="environment")
except earthaccess.exceptions.LoginAttemptFailure as problem:
    print(json.dumps(str(problem)))"""
    assert "Invalid user credentials" in earthaccess(code, EARTHDATA_PASSWORD="wrong")


def test_search(earthdata, earthaccess):
    code = f"""earthaccess.login(strategy="environment")
few = earthaccess.search_data(short_name="{MUR}", temporal=("2010-01-01", "2010-01-05"))
many = earthaccess.search_data(short_name="{ECCO}", count=5000)
box = earthaccess.search_data(short_name="ATL03", bounding_box=(169, -60, 171, -50))
named = earthaccess.search_data(short_name="{MUR}", granule_name="201001*")
sets = earthaccess.search_datasets(provider="POCLOUD", cloud_hosted=True)
print(json.dumps([[g["umm"]["GranuleUR"] for g in few], [g["meta"]["concept-id"] for g in many], len(box), len(named),
                  [s["umm"]["ShortName"] for s in sets], few[0].data_links(), few[0].data_links(access="direct"),
                  round(few[0].size(), 4), few[0].get_s3_credentials_endpoint()]))"""
    few, many, box, named, sets, https, s3, size, endpoint = earthaccess(code)
    assert [name[:8] for name in few] == ["20100101", "20100102", "20100103", "20100104", "20100105", "20100106"]
    assert len(many) == len(set(many)) == 6000, "earthaccess gives whole pages"
    assert 0 < box < 40 and named == 31 and set(sets) == {MUR, ECCO, TELLUS}
    name = few[0] + ".nc"
    assert https == [f"https://archive.podaac.earthdata.nasa.gov/podaac-ops-cumulus-protected/{MUR}/{name}"]
    assert s3 == [f"s3://podaac-ops-cumulus-protected/{MUR}/{name}"]
    assert size == pytest.approx(len(granules.mur(0, 1)) / 2**20, abs=1e-3)
    assert endpoint == "https://archive.podaac.earthdata.nasa.gov/s3credentials"
    assert any(e["search_after"] for e in earthdata.log()) and not earthdata.strayed()


def test_open_and_read(earthdata, earthaccess, tmp_path):
    """Opened over the gateway, through xarray and h5netcdf: the values are those that were made."""
    code = f"""import numpy, xarray
earthaccess.login(strategy="environment")
found = earthaccess.search_data(short_name="{MUR}", temporal=("2002-06-05T21:00:01", "2002-06-07T20:59:59"))
files = earthaccess.open(found)
with xarray.open_mfdataset(files, engine="h5netcdf", mask_and_scale=False, decode_times=False) as ds:
    numpy.save(sys.argv[1], ds.analysed_sst.values)
    times = ds.time.values.tolist()
photons = earthaccess.open(earthaccess.search_data(short_name="ATL03", count=1))
with xarray.open_dataset(photons[0], engine="h5netcdf", group="gt2r/heights", phony_dims="sort") as ds:
    mean = float(ds.h_ph.astype("f8").mean())
print(json.dumps([times, mean]))"""
    times, mean = earthaccess(code, tmp_path / "sst.npy")
    days = [granules.mur_values(n) for n in (5, 6)]
    assert times == [int(day["time"][0]) for day in days]
    np.testing.assert_array_equal(np.load(tmp_path / "sst.npy"), np.concatenate([day["analysed_sst"] for day in days]))
    assert mean == pytest.approx(granules.atl03_values(0, 3)["h_ph"].astype("f8").mean())
    assert {e["status"] for e in earthdata.log() if e["role"] == "s3"} <= {200, 206} and not earthdata.strayed()


def test_download(earthdata, earthaccess, tmp_path):
    code = f"""earthaccess.login(strategy="environment")
found = earthaccess.search_data(short_name="{MUR}", temporal=("2002-06-05T21:00:01", "2002-06-07T20:59:59"))
found += earthaccess.search_data(short_name="{TELLUS}")
paths = earthaccess.download(found, sys.argv[1])
sums = [part["Checksum"]["Value"] for g in found for part in g["umm"]["DataGranule"]["ArchiveAndDistributionInformation"] if "Checksum" in part]
print(json.dumps([[str(p) for p in paths], sums, earthaccess.get_s3_credentials(daac="PODAAC")]))"""
    paths, sums, keys = earthaccess(code, tmp_path / "data")
    digests = {pathlib.Path(p).name: hashlib.md5(pathlib.Path(p).read_bytes()).hexdigest() for p in paths}
    assert len(digests) == 5 and set(sums) == {d for name, d in digests.items() if name.endswith(".nc")}, "TELLUS has .tif and .txt, too"
    assert set(keys) == {"accessKeyId", "secretAccessKey", "sessionToken", "expiration"} and not earthdata.strayed()


def test_what_earthaccess_makes_of_faults(earthdata, earthaccess, tmp_path):
    """Its own shortcomings, which the fake shows: a login page is saved as data, what CMR left out is not missed."""
    code = f"""earthaccess.login(strategy="environment")
def attempt(act):
    try:
        return act()
    except Exception as problem:
        return f"{{type(problem).__name__}}: {{problem}}"
def query():
    return len(earthaccess.search_data(short_name="{MUR}", temporal=("2010-01-01", "2010-01-05"), count=6))
found = earthaccess.search_data(short_name="{MUR}", count=1)
print(json.dumps([attempt(query), attempt(query), [str(p) for p in earthaccess.download(found[:1], sys.argv[1])]]))"""
    earthdata.fault("429", host="cmr", query="temporal", times=1)
    earthdata.fault("partial", host="cmr", query="page_size=6", times=1, items=2)
    earthdata.fault("html", host="podaac", method="GET", times=1)
    limited, fewer, paths = earthaccess(code, tmp_path / "data")
    assert "This fault was asked for: 429" in limited and fewer == 2
    assert pathlib.Path(paths[0]).read_bytes().startswith(b"<!DOCTYPE html>")


def test_eula(earthdata, earthaccess, tmp_path):
    code = f"""earthaccess.login(strategy="environment")
try:
    earthaccess.download(["https://archive.podaac.earthdata.nasa.gov{DAY5}"], sys.argv[1])
except Exception as problem:
    print(json.dumps(f"{{type(problem).__name__}}: {{problem}}"))"""
    earthdata.set_user(eula=False)
    assert earthaccess(code, tmp_path / "data").startswith("EulaNotAccepted")


# --- curl -------------------------------------------------------------------------------------------------------------

def curl(fake, *arguments, tmp_path):
    if not shutil.which("curl"):
        pytest.skip("no curl")
    return subprocess.run(["curl", "-sS", "--cacert", fake.ca, *map(str, arguments)], capture_output=True, timeout=60, cwd=tmp_path,
                          env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})


@pytest.mark.parametrize("names", ["local", "nasa"])
def test_curl_with_netrc_and_cookies(earthdata, tmp_path, names):
    """What NASA's help pages tell users of curl; libcurl resolves names under localhost by itself."""
    url, login = earthdata.url("podaac", DAY5), "urs.earthdata.localhost"
    options = []
    if names == "nasa":
        url, login = f"https://archive.podaac.earthdata.nasa.gov{DAY5}", "urs.earthdata.nasa.gov"
        options = [x for place in earthdata.started["connect_to"] for x in ("--connect-to", place)]
    (tmp_path / ".netrc").write_text(f"machine {login} login {earthdata.user} password {earthdata.password}\n")
    for _ in range(2):
        done = curl(earthdata, *options, "-n", "-c", "jar", "-b", "jar", "-L", "--fail", url, tmp_path=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout == granules.mur(5, 1)
    log = earthdata.log()
    assert [e["authorization"] for e in log if e["role"] == "urs"] == ["basic"], "once: the cookie spares the second login"
    assert [e["status"] for e in log if e["role"] == "podaac"] == [302, 301, 303, 303]
    # Back at the host that it began with, curl (7.88 at least) sends it the password of the login host, unless the port differs.
    assert {e["role"] for e in earthdata.strayed()} <= ({"podaac"} if names == "nasa" else set())


def test_curl_with_a_token(earthdata, tmp_path):
    done = curl(earthdata, "-H", f"Authorization: {bearer(earthdata)}", "-L", "--fail", "-r", "100-199", earthdata.url("podaac", DAY5),
                tmp_path=tmp_path)
    assert done.stdout == granules.mur(5, 1)[100:200], done.stderr
    assert [(e["role"], e["status"]) for e in earthdata.log()] == [("podaac", 303), ("s3", 206)] and not earthdata.strayed()


# --- botocore ---------------------------------------------------------------------------------------------------------

def test_direct_access(earthdata):
    """Keys of /s3credentials: good inside of the region, refused outside, and when they have expired."""
    pytest.importorskip("boto3")
    code = """import json, ssl, sys, time, urllib.request
import boto3, botocore.exceptions
from botocore.config import Config
request = urllib.request.Request("https://archive.podaac.earthdata.nasa.gov/s3credentials", headers={"Authorization": sys.argv[1]})
keys = json.load(urllib.request.urlopen(request))
client = boto3.client("s3", endpoint_url="https://s3.us-west-2.amazonaws.com", region_name="us-west-2", verify=sys.argv[3],
                      aws_access_key_id=keys["accessKeyId"], aws_secret_access_key=keys["secretAccessKey"],
                      aws_session_token=keys["sessionToken"], config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}))
time.sleep(float(sys.argv[4]))
bucket, key = sys.argv[2].lstrip("/").split("/", 1)
try:
    print(json.dumps(client.get_object(Bucket=bucket, Key=key, Range="bytes=0-7")["Body"].read().hex()))
except botocore.exceptions.ClientError as problem:
    print(json.dumps(problem.response["Error"]["Code"]))
"""

    def direct(wait=0):
        return earthdata.peer(code, bearer(earthdata), DAY5, earthdata.ca, wait)

    assert direct() == "AccessDenied"
    earthdata.set(in_region=True)
    assert direct() == granules.mur(5, 1)[:8].hex()
    earthdata.set(credentials_seconds=0)
    assert direct(1.1) == "ExpiredToken"
    assert not earthdata.strayed()


def test_python_client_of_no_host(earthdata):
    """A peer cannot leave loopback, whatever name it tries."""
    with pytest.raises(RuntimeError, match="is not a host of the fake Earthdata"):
        earthdata.peer("import urllib.request\nurllib.request.urlopen('https://opendap.earthdata.nasa.gov/')")
    assert search(earthdata, short_name=MUR).status == 200 and signed(earthdata, DAY5)

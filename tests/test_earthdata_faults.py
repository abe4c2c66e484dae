"""The faults of the fake Earthdata, its log, and how it starts and ends."""

import email.utils
import hashlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest
from earthdata import faults, granules
from earthdata.asking import ask, bearer, follow, search, signed
from earthdata.fixture import running

MUR = "MUR-JPL-L4-GLOB-v4.1"
DAY5 = f"/podaac-ops-cumulus-protected/{MUR}/20020606090000-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1.nc"
DATA = granules.mur(5, 1)


# --- Of any host ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, more, status, headers", [
    ("429", {}, 429, {"Retry-After": "1"}), ("429", {"retry_after": 7}, 429, {"Retry-After": "7"}), ("500", {}, 500, {"Retry-After": None}),
    ("503", {"retry_after": 2}, 503, {"Retry-After": "2"}), ("502", {}, 502, {}), ("504", {}, 504, {}),
    ("status", {"status": 418, "body": "teapot", "headers": {"X-A": "b"}}, 418, {"X-A": "b"}),
    ("html", {}, 200, {"Content-Type": "text/html; charset=utf-8"})])
@pytest.mark.parametrize("role, path", [("cmr", f"/search/granules.umm_json?short_name={MUR}"), ("podaac", DAY5), ("s3", DAY5), ("urs", "/home")])
def test_other_answers(earthdata, kind, more, status, headers, role, path):
    earthdata.fault(kind, host=role, times=1, **more)
    spoiled = ask(earthdata, role, path)
    assert spoiled.status == status and headers.items() <= {name: spoiled.headers[name] for name in headers}.items()
    if kind == "html":
        assert b'action="/login"' in spoiled.body
    assert earthdata.log()[-1]["fault"] == kind
    assert ask(earthdata, role, path).headers.get("Retry-After") is None and earthdata.log()[-1]["fault"] == "", "once"


def test_rules_choose(earthdata):
    url = signed(earthdata, DAY5)
    other = signed(earthdata, DAY5.replace("0606", "0607"))
    earthdata.fault("500", host="s3", path="*/20020606*", method="GET", skip=1, times=2)
    assert follow(earthdata, other).status == 200
    assert [follow(earthdata, url).status for _ in range(4)] == [200, 500, 500, 200]
    rule = earthdata.faults()[0]
    assert (rule["seen"], rule["done"]) == (4, 2)
    earthdata.fault("429", host="cmr", query="page_size=7")
    assert search(earthdata, short_name=MUR, page_size=7).status == 429
    assert search(earthdata, short_name=MUR, page_size=8).status == 200
    earthdata.mend()
    assert search(earthdata, short_name=MUR, page_size=7).status == 200
    with pytest.raises(ValueError, match="no fault is called 'flood'; there are"):
        earthdata.fault("flood")


def test_every_kind_is_tested():
    text = pathlib.Path(__file__).read_text()
    assert not [kind for kind in faults.KINDS if f'"{kind}"' not in text]


def test_cut_and_reset(earthdata):
    url = signed(earthdata, DAY5)
    earthdata.fault("cut", host="s3", after=5000, times=1)
    with pytest.raises(http.client.IncompleteRead) as problem:
        follow(earthdata, url)
    assert problem.value.partial == DATA[:5000] and earthdata.log()[-1]["bytes"] == 5000
    earthdata.fault("cut", host="s3", times=1)
    with pytest.raises(http.client.IncompleteRead) as problem:
        follow(earthdata, url)
    assert len(problem.value.partial) == len(DATA) // 2
    earthdata.fault("reset", host="s3", times=1)
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        follow(earthdata, url)
    earthdata.fault("cut", host="cmr", after=100, times=1)
    with pytest.raises(http.client.IncompleteRead):
        search(earthdata, short_name=MUR)
    assert follow(earthdata, url).body == DATA and search(earthdata, short_name=MUR).status == 200


def test_stall(earthdata):
    url = signed(earthdata, DAY5)
    earthdata.fault("stall", host="s3", seconds=0.5, times=2)
    began = time.monotonic()
    assert follow(earthdata, url).body == DATA and time.monotonic() - began >= 0.5
    with pytest.raises(TimeoutError):
        follow(earthdata, url, timeout=0.2)
    earthdata.fault("stall", host="s3", after=1000, seconds=0.5)
    began = time.monotonic()
    assert follow(earthdata, url, Range="bytes=0-1999").body == DATA[:2000] and time.monotonic() - began >= 0.5


# --- Of the login host and gateways -----------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, status, text", [("eula", 403, "EULA Acceptance Failure"), ("unapproved", 401, "Application approval required")])
def test_one_refusal(earthdata, kind, status, text):
    place = ask(earthdata, "podaac", DAY5).headers["Location"]
    earthdata.fault(kind, host="urs", path="/oauth/authorize", times=1)
    answer = follow(earthdata, place, Authorization=bearer(earthdata))
    assert answer.status == status and answer.json()["error_description"] == text
    assert follow(earthdata, place, Authorization=bearer(earthdata)).status == 302
    if kind == "eula":
        earthdata.fault(kind, host="podaac", path="*/20020606*", times=1)
        assert ask(earthdata, "podaac", DAY5, Authorization=bearer(earthdata)).json()["error_description"] == text
        assert ask(earthdata, "podaac", DAY5, Authorization=bearer(earthdata)).status == 303


def test_expired_early(earthdata):
    url = signed(earthdata, DAY5)
    earthdata.fault("expired-signature", host="s3", times=1)
    late = follow(earthdata, url)
    assert late.status == 403 and b"Request has expired" in late.body and follow(earthdata, url).status == 200
    earthdata.fault("expired-signature", host="podaac", times=1)
    late = follow(earthdata, signed(earthdata, DAY5))
    assert late.status == 403 and b"Request has expired" in late.body and follow(earthdata, signed(earthdata, DAY5)).status == 200
    earthdata.fault("expired-token", host="s3", times=1)
    late = follow(earthdata, url)
    assert late.status == 400 and b"<Code>ExpiredToken</Code>" in late.body
    earthdata.fault("expired-token", host="cmr", times=1)
    assert search(earthdata, short_name=MUR).status == 401 and search(earthdata, short_name=MUR).status == 200


def test_a_cookie_with_each_refusal(earthdata):
    earthdata.fault("balancer", host="podaac")
    refused = [ask(earthdata, "podaac", DAY5, Authorization="Bearer unknown") for _ in range(2)]
    assert [r.status for r in refused] == [401, 401] and refused[0].headers["Set-Cookie"] != refused[1].headers["Set-Cookie"]
    assert ask(earthdata, "podaac", DAY5, Authorization=bearer(earthdata)).status == 303


def test_a_clock_that_is_off(earthdata):
    def clock():
        told = search(earthdata, short_name=MUR).headers["Date"]
        return email.utils.parsedate_to_datetime(told).timestamp() - time.time()

    earthdata.fault("date", host="cmr", seconds=-7200, times=1)
    assert abs(clock() + 7200) < 60 and abs(clock()) < 60


# --- Of objects -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, more, status, told, body", [
    ("wrong-range", {}, 206, "bytes 101-200/91380", DATA[100:200]),
    ("wrong-range", {"shift": -50}, 206, "bytes 50-149/91380", DATA[100:200]),
    ("other-range", {"shift": 1000}, 206, "bytes 1100-1199/91380", DATA[1100:1200]),
    ("ignore-range", {}, 200, None, DATA),
    ("corrupt", {}, 206, "bytes 100-199/91380", bytes([DATA[100] ^ 255]) + DATA[101:200]),
    ("corrupt", {"at": 150}, 206, "bytes 100-199/91380", DATA[100:150] + bytes([DATA[150] ^ 255]) + DATA[151:200])])
def test_objects_that_lie(earthdata, kind, more, status, told, body):
    url = signed(earthdata, DAY5)
    earthdata.fault(kind, host="s3", times=1, **more)
    reply = follow(earthdata, url, Range="bytes=100-199")
    assert (reply.status, reply.headers["Content-Range"]) == (status, told) and reply.body == body
    assert follow(earthdata, url, Range="bytes=100-199").body == DATA[100:200]


def test_an_object_that_changed(earthdata):
    url = signed(earthdata, DAY5)
    earthdata.fault("changed", host="s3", times=1)
    etag, before = follow(earthdata, url).headers["ETag"], follow(earthdata, url).headers["ETag"]
    assert etag != before == f'"{hashlib.md5(DATA).hexdigest()}"'


# --- Of CMR -----------------------------------------------------------------------------------------------------------

def walk(fake, **parameters):
    """[(hits, concept ids, reply)] by Search-After."""
    after, result = None, []
    while True:
        reply = search(fake, after=after, **parameters)
        result.append((reply.json()["hits"], [i["meta"]["concept-id"] for i in reply.json()["items"]], reply))
        after = reply.headers["CMR-Search-After"]
        if after is None:
            return result


MONTH = {"short_name": MUR, "temporal": "2010-01-01T00:00:00Z,2010-01-31T00:00:00Z", "page_size": 10}


def test_duplicates_between_pages(earthdata):
    right = [i for _, ids, _ in walk(earthdata, **MONTH) for i in ids]
    assert len(right) == len(set(right)) == 31
    earthdata.fault("duplicates", host="cmr", count=2)
    got = walk(earthdata, **MONTH)
    assert got[1][1][:2] == got[0][1][-2:] and len(got[1][1]) == 10
    assert list(dict.fromkeys(i for _, ids, _ in got for i in ids)) == right


def test_hits_that_change(earthdata):
    earthdata.fault("hits", host="cmr", skip=1, delta=3)
    got = walk(earthdata, **MONTH)
    assert [hits for hits, _, _ in got] == [31, 34, 34, 34, 34]
    assert [int(reply.headers["CMR-Hits"]) for _, _, reply in got] == [31, 34, 34, 34, 34]


def test_partial_pages(earthdata):
    earthdata.fault("partial", host="cmr", items=4, times=1)
    reply = search(earthdata, **MONTH)
    assert reply.status == 200 and reply.headers["CMR-Time-Out"] == "true"
    assert len(reply.json()["items"]) == 4 and reply.json()["hits"] == 31
    assert search(earthdata, **MONTH).headers["CMR-Time-Out"] is None


def test_other_faults_of_cmr(earthdata):
    earthdata.fault("no-search-after", host="cmr", times=1)
    assert search(earthdata, **MONTH).headers["CMR-Search-After"] is None
    earthdata.fault("untranslatable", host="cmr", times=1)
    items = search(earthdata, **MONTH).json()["items"]
    assert list(items[0]["umm"]) == ["_errors"] and "GranuleUR" in items[1]["umm"]


# --- Log, settings, process -------------------------------------------------------------------------------------------

def test_log(earthdata):
    url = signed(earthdata, DAY5)
    follow(earthdata, url, Range="bytes=0-9", Cookie="a=b", User_Agent="upwell/1")
    first, second = earthdata.log()
    assert (first["role"], first["method"], first["path"], first["status"], first["authorization"]) == ("podaac", "GET", DAY5, 303, "bearer")
    assert (second["role"], second["range"], second["bytes"], second["status"]) == ("s3", "bytes=0-9", 10, 206)
    assert second["authorization"] == "none" and second["cookies"] == ["a"] and second["user_agent"] == "upwell/1"
    assert second["host"] == earthdata.hosts["s3"]["local"] and second["connection"] > 0 and "X-Amz-Signature" in second["query"]
    assert not earthdata.strayed() and earthdata.log(since=first["number"]) == [second]
    ask(earthdata, "cmr", "/search/granules.umm_json", Authorization="Basic eDp5")
    assert [e["role"] for e in earthdata.strayed()] == ["cmr"]


def test_objects_of_a_test(earthdata):
    url = earthdata.put("podaac-ops-cumulus-public", "virtual_collections/X/x.json", b"{}")
    assert follow(earthdata, follow(earthdata, url).headers["Location"]).body == b"{}"
    earthdata.reset()
    assert follow(earthdata, url).status == 404


def test_misdirected(earthdata):
    assert ask(earthdata, "urs", "/", host=f"cmr.earthdata.localhost:{earthdata.hosts['urs']['port']}").status == 421


def test_names_of_nasa_are_kept(earthdata):
    reply = ask(earthdata, "podaac", DAY5, host=f"archive.podaac.earthdata.nasa.gov:{earthdata.hosts['podaac']['port']}")
    assert reply.headers["Location"].startswith("https://urs.earthdata.nasa.gov/oauth/authorize?")


def test_one_port_and_full_files(tmp_path):
    (tmp_path / "mur_00.nc").write_bytes(granules.mur(100, 1))
    (tmp_path / "mur_01.nc").write_bytes(granules.mur(200, 1))
    (tmp_path / "mur_01.nc.dmrpp").write_text("beside")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with running("--port", port, "--full", tmp_path, "--mur", 10, "--recorded", tmp_path) as fake:
        assert {h["port"] for h in fake.hosts.values()} == {port} and fake.started["recorded"] == 0
        path = search(fake, short_name=MUR).json()["items"][1]["umm"]["RelatedUrls"][2]["URL"]
        entry = search(fake, short_name=MUR).json()["items"][1]["umm"]["DataGranule"]["ArchiveAndDistributionInformation"][1]
        path = path.removeprefix(fake.url("podaac"))
        assert follow(fake, signed(fake, path)).body == granules.mur(200, 1)
        assert entry["Checksum"]["Value"] == hashlib.md5(granules.mur(200, 1)).hexdigest()
        assert follow(fake, signed(fake, path + ".dmrpp")).body == b"beside"
        assert follow(fake, signed(fake, path.replace("0602", "0601") + ".dmrpp")).body.startswith(b"<?xml")


@pytest.mark.parametrize("end", ["standard input", "signal"])
def test_it_ends(end):
    with running("--mur", 5) as fake:
        folder = pathlib.Path(fake.ca).parent
        assert folder.is_dir()
        if end == "signal":
            fake.process.send_signal(signal.SIGTERM)
            fake.process.wait(10)
    assert fake.process.returncode == 0 and not folder.exists()


def test_it_ends_with_its_owner():
    code = ("import json, os, subprocess, sys\n"
            "p = subprocess.Popen([sys.executable, '-m', 'earthdata'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
            "print(json.loads(p.stdout.readline())['pid'], flush=True)\nos._exit(9)")
    owner = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, cwd=pathlib.Path(__file__).parent)
    fake = int(json.loads(owner.stdout))
    for _ in range(100):
        if not running_process(fake):
            return
        time.sleep(0.1)
    os.kill(fake, signal.SIGKILL)
    raise AssertionError("it outlived its owner")


def running_process(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False

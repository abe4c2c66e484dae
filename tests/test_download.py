"""upwell download: whole files with the right checksums or none, gone on with where they broke off."""

import hashlib
import http.server
import json
import os
import re
import signal
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest

from cmr_server import granule, serving_catalogue
from http_servers import serving_with
from test_virtualize import UPWELL

MEGABYTE = 1 << 20


class Objects(http.server.BaseHTTPRequestHandler):
    """Ranges of `server.objects`, unless not `server.ranges`; an answer to a request without a range breaks off unless `server.whole`.
    `server.fault(name, first byte)` gives a status, or one with headers, in place of an answer.
    """
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, with_body):
        name = self.path.rsplit("/", 1)[-1]
        data = self.server.objects.get(name)
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if self.server.ranges else None
        first = int(span[1]) if span else 0
        fault = 404 if data is None else self.server.fault(name, first)
        if fault:
            status, headers = fault if isinstance(fault, tuple) else (fault, {})
            self.send_response(status)
            for header in ({"Content-Length": "0"} | headers).items():
                self.send_header(*header)
            self.end_headers()
            return
        part = data[first:int(span[2]) + 1 if span[2] else None] if span else data
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", '"' + hashlib.md5(data).hexdigest() + '"')
        self.end_headers()
        if with_body:
            if "Range" not in self.headers and not self.server.whole:
                part, self.close_connection = part[:len(part) // 2], True
            self.server.sent += len(part)
            try:
                self.wfile.write(part)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client wants none of it


@contextmanager
def serving_objects(objects, fault=lambda name, first: None, ranges=True):
    with serving_with(Objects, objects=objects, fault=fault, ranges=ranges, whole=True, sent=0) as server:
        yield server


def download(*arguments, status=0, text=None):
    run = subprocess.run([UPWELL, "download", *map(str, arguments)], capture_output=True, text=True, timeout=120, input=text)
    assert run.returncode == status, f"status {run.returncode}\n{run.stdout}\n{run.stderr}"
    return run


def granule_line(server, name, data, checksum=None, algorithm="MD5"):
    """As `upwell search --format json` writes it."""
    md5 = checksum or hashlib.md5(data).hexdigest()
    return json.dumps({"name": name, "data": [{"name": name, "https": f"{server.url}/{name}", "size": len(data),
                                               "checksum": {"algorithm": algorithm, "value": md5}}]})


def test_files_come_whole_and_are_left_alone_when_they_are_right(tmp_path):
    objects = {f"g{n}.nc": os.urandom(5 * MEGABYTE + n) for n in range(6)} | {"empty.nc": b""}
    with serving_objects(objects) as server:
        lines = "\n".join(granule_line(server, name, data) for name, data in objects.items())
        first = [json.loads(line) for line in download("@-", "-d", tmp_path / "out", "--json", text=lines).stdout.splitlines()]
        assert {r["status"] for r in first} == {"fetched"} and all(r["verified"] for r in first)
        assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == objects
        sent = server.sent
        again = download("@-", "-d", tmp_path / "out", "--json", text=lines)
        assert {json.loads(line)["status"] for line in again.stdout.splitlines()} == {"present"} and server.sent == sent
        # One that was damaged is fetched again; without a checksum the length decides.
        (tmp_path / "out/g1.nc").write_bytes(objects["g1.nc"][:-1] + b"?")
        again = download("@-", "-d", tmp_path / "out", "--json", text=lines)
        assert sum(json.loads(line)["status"] == "fetched" for line in again.stdout.splitlines()) == 1
        assert (tmp_path / "out/g1.nc").read_bytes() == objects["g1.nc"]
        (tmp_path / "out/g2.nc").write_bytes(b"short")
        download(f"{server.url}/g2.nc", "-d", tmp_path / "out")
        assert (tmp_path / "out/g2.nc").read_bytes() == objects["g2.nc"]


def test_what_broke_off_is_gone_on_with(tmp_path):
    data = os.urandom(40 * MEGABYTE)
    broken = [True]

    def fault(name, first):
        return 503 if broken[0] and first >= 20 * MEGABYTE else None

    with serving_objects({"big.nc": data}, fault) as server:
        url = f"{server.url}/big.nc"
        assert "503" in download(url, "-d", tmp_path, "--retries", 0, status=75).stderr
        assert not (tmp_path / "big.nc").exists()
        broken[0], server.sent = False, 0
        run = download(url, "-d", tmp_path, "--json")
        result = json.loads(run.stdout)
        assert result["status"] == "resumed" and 16 * MEGABYTE <= result["bytes"] < len(data)
        assert server.sent == result["bytes"]
        assert (tmp_path / "big.nc").read_bytes() == data and [p.name for p in tmp_path.iterdir()] == ["big.nc"]


@pytest.mark.parametrize("refusal", [405, 501, 505, (200, {"Content-Encoding": "br"}), (302, {"Location": "ftp://127.0.0.1/big.nc"})])
def test_what_broke_off_is_kept_when_a_server_refuses(tmp_path, refusal):
    """Only one that ignores ranges is asked for the whole."""
    data = os.urandom(40 * MEGABYTE)
    once = iter([refusal])
    with serving_objects({"big.nc": data}, lambda name, first: next(once, None) if first >= 20 * MEGABYTE else None) as server:
        url = f"{server.url}/big.nc"
        download(url, "-d", tmp_path, "--retries", 0, status=65)
        part = (tmp_path / ".big.nc.part").read_bytes()
        assert len(part) >= 16 * MEGABYTE and data.startswith(part) and next(once, None) is None
        server.sent = 0
        assert json.loads(download(url, "-d", tmp_path, "--json").stdout)["status"] == "resumed"
        assert server.sent == len(data) - len(part) and (tmp_path / "big.nc").read_bytes() == data


def test_a_part_is_kept_until_the_whole_is_there(tmp_path):
    """A server that ignores ranges all at once, and breaks off."""
    data = os.urandom(40 * MEGABYTE)
    broken = [True]
    with serving_objects({"big.nc": data}, lambda name, first: 503 if broken[0] and first >= 20 * MEGABYTE else None) as server:
        url = f"{server.url}/big.nc"
        download(url, "-d", tmp_path, "--retries", 0, status=75)
        part = (tmp_path / ".big.nc.part").read_bytes()
        broken[0], server.ranges, server.whole = False, False, False
        assert "bytes remaining" in download(url, "-d", tmp_path, "--retries", 0, status=75).stderr
        assert len(part) >= 16 * MEGABYTE and (tmp_path / ".big.nc.part").read_bytes() == part
        server.whole = True
        assert json.loads(download(url, "-d", tmp_path, "--json").stdout)["status"] == "fetched"
        assert (tmp_path / "big.nc").read_bytes() == data


def test_a_part_of_another_state_is_not_gone_on_with(tmp_path):
    old, new = os.urandom(30 * MEGABYTE), os.urandom(30 * MEGABYTE)
    objects, broken = {"x.nc": old}, [True]
    with serving_objects(objects, lambda name, first: 503 if broken[0] and first >= 20 * MEGABYTE else None) as server:
        download(f"{server.url}/x.nc", "-d", tmp_path, "--retries", 0, status=75)
        objects["x.nc"], broken[0] = new, False
        download(f"{server.url}/x.nc", "-d", tmp_path)
        assert (tmp_path / "x.nc").read_bytes() == new


def test_wrong_bytes_are_thrown_away(tmp_path):
    data = os.urandom(MEGABYTE)
    (tmp_path / "x.nc").write_bytes(b"before")
    with serving_objects({"x.nc": data}) as server:
        run = download("@-", "-d", tmp_path, text=granule_line(server, "x.nc", data, "0" * 32), status=65)
        assert "its MD5 is " + hashlib.md5(data).hexdigest() in run.stderr
        assert "thrown away: run this again" in run.stderr
        assert (tmp_path / "x.nc").read_bytes() == b"before" and [p.name for p in tmp_path.iterdir()] == ["x.nc"]
        run = download("@-", "-d", tmp_path, text=granule_line(server, "x.nc", data + b"more"), status=65)
        assert "as recorded" in run.stderr


@pytest.mark.parametrize("algorithm, kind", [("MD5", "md5"), ("sha1", "sha1"), ("SHA-256", "sha256"), ("SHA-384", "sha384"), ("SHA-512", "sha512"), ("SHA-2", "sha512")])
def test_checksums_of_all_kinds_in_any_case(tmp_path, algorithm, kind):
    data = os.urandom(100_000)
    right, wrong = hashlib.new(kind, data).hexdigest().upper(), hashlib.new(kind, b"other").hexdigest()
    with serving_objects({"x.nc": data}) as server:
        run = download("@-", "-d", tmp_path, text=granule_line(server, "x.nc", data, right, algorithm))
        assert run.stderr == "1 fetched, 0 resumed, 0 there already; 1 verified by checksum\n"
        run = download("@-", "-d", tmp_path, "--again", text=granule_line(server, "x.nc", data, wrong, algorithm), status=65)
        assert f"its {algorithm} is {right.lower()}, not {wrong} as recorded" in run.stderr


def test_checksums_of_other_kinds_are_warned_of(tmp_path):
    data = os.urandom(1000)
    with serving_objects({"x.nc": data, "y.nc": data}) as server:
        lines = [granule_line(server, "x.nc", data, "12345678", "Adler-32"), granule_line(server, "y.nc", data)]
        run = download("@-", "-d", tmp_path, text="\n".join(lines))
    assert "warning: checksums of 1 of 2 files are of a kind that cannot be compared here (Adler-32)" in run.stderr
    assert "2 fetched, 0 resumed, 0 there already; 1 verified by checksum" in run.stderr


def test_one_that_fails_does_not_stop_the_others(tmp_path):
    objects = {f"g{n}.nc": os.urandom(1000) for n in range(5)}
    with serving_objects(objects, lambda name, first: 403 if name == "g2.nc" else None) as server:
        urls = [f"{server.url}/g{n}.nc" for n in (0, 2, 3, 9)]
        run = download(*urls, "-d", tmp_path, status=77)
        assert "2 of 4 files failed" in run.stderr and "g2.nc" in run.stderr and "g9.nc" in run.stderr
        assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".")) == ["g0.nc", "g3.nc"]


@pytest.mark.parametrize("sources, said", [
    (("https://h/a/x.nc", "https://h/b/x.nc"), "two files would have the name x.nc"),
    (("https://h/a/",), "does not end in the name of a file"),
    (("/local/x.nc",), "only https and s3 URLs"),
])
def test_what_cannot_be_downloaded_is_said_first(tmp_path, sources, said):
    assert said in download(*sources, "-d", tmp_path, status=64).stderr


def test_what_is_found_is_downloaded(tmp_path):
    """Sizes and checksums come from the catalogue, through a pipe."""
    objects = {granule(n)["umm"]["GranuleUR"] + ".nc": os.urandom(1000 + n) for n in range(3)}

    def make(number):
        made = granule(number, base=server.url)
        for entry in made["umm"]["DataGranule"]["ArchiveAndDistributionInformation"]:
            if entry["Name"] in objects:
                data = objects[entry["Name"]]
                entry |= {"SizeInBytes": len(data), "Checksum": {"Algorithm": "MD5", "Value": hashlib.md5(data).hexdigest()}}
        return made

    with serving_objects(objects) as server, serving_catalogue(count=3, make=make) as catalogue:
        command = f"{UPWELL} search --short-name MUR --format json | {UPWELL} download @- -d {tmp_path}"
        run = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=120,
                             env={**os.environ, "CMR_HOST": catalogue.url})
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines()[-1] == "3 fetched, 0 resumed, 0 there already; 3 verified by checksum"
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == objects


def test_a_server_without_ranges_gives_whole_files(tmp_path):
    """Also those that are too large to be read for the sake of a part."""
    objects = {f"g{n}.nc": os.urandom(20 * MEGABYTE + n) for n in range(3)}
    with serving_objects(objects, ranges=False) as server:
        (tmp_path / ".g0.nc.part").write_bytes(objects["g0.nc"][:1000])  # is of no use there
        run = download("@-", "-d", tmp_path, text="\n".join(granule_line(server, name, data) for name, data in objects.items()))
        assert run.stderr == "3 fetched, 0 resumed, 0 there already; 3 verified by checksum\n"
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == objects
        wrong = granule_line(server, "g1.nc", objects["g1.nc"], "0" * 32)
        assert "as recorded" in download("@-", "-d", tmp_path, text=wrong, status=65).stderr


def test_what_is_listed_twice_is_taken_once(tmp_path):
    data = os.urandom(1000)
    with serving_objects({"x.nc": data}) as server:
        lines = [f"{server.url}/x.nc", granule_line(server, "x.nc", data), f"{server.url}/x.nc"]
        run = download("@-", "-d", tmp_path, text="\n".join(lines))
        assert run.stderr == "1 fetched, 0 resumed, 0 there already; 1 verified by checksum\n"
        lines.append(granule_line(server, "x.nc", data, "0" * 32))
        assert "is listed twice, with different" in download("@-", "-d", tmp_path, text="\n".join(lines), status=64).stderr


def test_a_link_leads_to_the_new_file(tmp_path):
    data = os.urandom(1000)
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/x.nc").symlink_to("../disk/there.nc")
    with serving_objects({"x.nc": data}) as server:
        download(f"{server.url}/x.nc", "-d", tmp_path / "out")
    assert (tmp_path / "out/x.nc").is_symlink() and (tmp_path / "disk/there.nc").read_bytes() == data
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["there.nc"]


def test_two_processes_do_not_write_one_file(tmp_path):
    data = os.urandom(30 * MEGABYTE)
    with serving_objects({"x.nc": data}, lambda name, first: time.sleep(0.3)) as server:
        command = [UPWELL, "download", f"{server.url}/x.nc", "-d", str(tmp_path)]
        runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        ends = sorted((run.wait(timeout=60), run.stderr.read()) for run in runs)
    assert [status for status, _ in ends] == [0, 75] and "another process is fetching it" in ends[1][1]
    assert (tmp_path / "x.nc").read_bytes() == data


def test_a_name_of_a_file_is_one(tmp_path):
    data = os.urandom(1000)
    with serving_objects({"x.nc": data, "y.nc": data}) as server:
        download(f"{server.url}/x.nc", "-o", tmp_path / "mine.NC")
        assert (tmp_path / "mine.NC").read_bytes() == data and [p.name for p in tmp_path.iterdir()] == ["mine.NC"]
        assert "1 there already" in download(f"{server.url}/x.nc", "-o", tmp_path / "mine.NC").stderr
        run = download(f"{server.url}/x.nc", f"{server.url}/y.nc", "-o", tmp_path / "two.nc", status=64)
        assert "two.nc is the name of a file, and 2 files come: name a directory" in run.stderr and not (tmp_path / "two.nc").exists()
        (tmp_path / "two.nc").mkdir()
        download(f"{server.url}/x.nc", f"{server.url}/y.nc", "-o", tmp_path / "two.nc")
        assert sorted(p.name for p in (tmp_path / "two.nc").iterdir()) == ["x.nc", "y.nc"]
        download(f"{server.url}/x.nc", "-o", tmp_path / "v1.2")
        assert (tmp_path / "v1.2" / "x.nc").read_bytes() == data


def test_a_run_that_is_killed_keeps_the_pieces_that_came(tmp_path):
    data = os.urandom(26 * MEGABYTE)
    held = threading.Event()

    def hold(_, first):
        if first == 12 * MEGABYTE and not held.is_set():
            held.wait(60)

    with serving_objects({"g.nc": data}, hold) as server:
        command = [UPWELL, "download", f"{server.url}/g.nc", "-d", tmp_path]
        run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        part = tmp_path / ".g.nc.part"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (part.exists() and part.stat().st_size == 12 * MEGABYTE):
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        run.wait(30)
        held.set()
        assert part.stat().st_size == 12 * MEGABYTE
        before = server.sent
        assert "0 fetched, 1 resumed" in download(f"{server.url}/g.nc", "-d", tmp_path).stderr
        assert (tmp_path / "g.nc").read_bytes() == data
        assert server.sent - before <= 18 * MEGABYTE  # the 14 that lacked, and the 4 that were held

"""Faults at random: whatever a network, a server or a disk does, a command gives exactly the right values or an error that
says what was wrong, and leaves nothing behind.

The run is as long as UPWELL_FAULT_SECONDS says (default 20) and repeats with UPWELL_FAULT_SEED, which a failure prints.
"""

import http.server
import json
import os
import random
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from pathlib import Path

import netCDF4
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
UPWELL = os.environ.get("UPWELL", str(ROOT / "build/release/bin/upwell"))
SECONDS = float(os.environ.get("UPWELL_FAULT_SECONDS", "20"))
SEED = int(os.environ.get("UPWELL_FAULT_SEED", str(int(time.time()))))
SHAPE = (2, 60, 70)

# Faults that pass when asked again, and those that stay for the object or lie about it.
PASSING = ["500", "503", "429", "reset", "cut", "stall", "short-header"]
LYING = ["html", "other-range", "wrong-length", "changed", "404", "403", "expired"]


def make_granule(path, day, seed):
    rng = np.random.default_rng([day, seed])
    with netCDF4.Dataset(path, "w") as nc:
        for name, size in zip(("time", "lat", "lon"), (None, *SHAPE[1:])):
            nc.createDimension(name, size)
        time_ = nc.createVariable("time", "f8", ("time",))
        time_.units = "days since 2020-01-01"
        time_[:] = [2 * day, 2 * day + 1]
        v = nc.createVariable("v", "f4", ("time", "lat", "lon"), zlib=True, chunksizes=(1, 20, 35))
        values = rng.random(SHAPE, dtype="f4")
        v[:] = values
    return values


def test_without_libcurl(tmp_path):
    """A library that is missing is told at once, however many requests wait for it (more than go to a host at a time)."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/libcurl.so.4").touch()
    array = {"zarr_format": 2, "shape": [200], "chunks": [1], "dtype": "<f8", "order": "C"}
    array.update(compressor=None, filters=None, fill_value=0)
    refs = {".zgroup": '{"zarr_format": 2}', "v/.zarray": json.dumps(array)}
    refs.update({f"v/{i}": [f"http://127.0.0.1:9/{i}.bin", 0, 8] for i in range(200)})
    (tmp_path / "r.json").write_text(json.dumps({"version": 1, "refs": refs}))
    done = subprocess.run(
        [UPWELL, "read", "r.json", "v", "-o", "v.npy"],
        cwd=tmp_path,
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path / "lib")},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 78 and "libcurl.so.4 could not be loaded" in done.stderr, done


class FaultyServer:
    """Files of a directory over HTTP with ranges; each answer may be spoiled in a way that real servers know."""

    def __init__(self, directory, seed):
        self.directory, self.random, self.rate, self.kinds = directory, random.Random(seed), 0.0, []
        self.done = {}
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                self.answer(body=True)

            def answer(self, body):
                path = owner.directory / self.path.split("?")[0].lstrip("/")
                if not path.is_file():
                    return self.plain(404, b"no such file", body)
                data, fault = path.read_bytes(), owner.choose()
                if fault in ("500", "503", "429", "404", "403"):
                    return self.plain(int(fault), b"not now", body, {"Retry-After": "0"} if fault != "404" else {})
                if fault == "expired":
                    return self.plain(400, b"<Error><Code>ExpiredToken</Code></Error>", body)
                if fault == "html":
                    return self.plain(200, b"<!DOCTYPE html><html>Please log in</html>" * 20, body, {"Content-Type": "text/html"})
                if fault == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    self.close_connection = True
                    return self.connection.close()
                if fault == "stall":
                    time.sleep(1.6)
                    self.close_connection = True
                    return None
                if fault == "short-header":
                    self.wfile.write(b"HTTP/1.1 206 Par")
                    self.close_connection = True
                    return None
                return self.send_range(path, data, fault, body)

            def plain(self, status, content, body, headers={}):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if body:
                    self.wfile.write(content)

            def send_range(self, path, data, fault, body):
                first, last, total = 0, len(data) - 1, len(data)
                asked = self.headers.get("Range", "")
                if asked.startswith("bytes=") and body:
                    a, b = asked[6:].split("-")
                    first = int(a) if a else max(0, total - int(b))
                    last = min(last, int(b)) if a and b else last
                    if first > last:
                        return self.plain(416, b"", body, {"Content-Range": f"bytes */{total}"})
                part = data[first : last + 1]
                info = path.stat()
                etag = f'"{info.st_size:x}-{info.st_mtime_ns:x}"'
                if fault == "changed":
                    etag = f'"{owner.random.random()}"'
                self.send_response(206 if asked and body else 200)
                if asked and body:
                    shift = 1 if fault == "other-range" else 0
                    self.send_header("Content-Range", f"bytes {first + shift}-{last + shift}/{total + shift}")
                length = len(part) + (7 if fault == "wrong-length" else 0)
                self.send_header("Content-Length", str(length if body else total))
                self.send_header("ETag", etag)
                self.send_header("Accept-Ranges", "bytes")
                self.end_headers()
                if body:
                    if fault in ("cut", "wrong-length"):
                        self.close_connection = True
                    self.wfile.write(part[: len(part) // 2] if fault == "cut" else part)

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def choose(self):
        if not self.kinds or self.random.random() >= self.rate:
            return None
        kind = self.random.choice(self.kinds)
        self.done[kind] = self.done.get(kind, 0) + 1
        return kind

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Run:
    def __init__(self, directory, seed):
        self.random, self.directory = random.Random(seed), directory
        self.data, self.work = directory / "data", directory / "work"
        self.data.mkdir()
        self.version = 0
        self.truth = [make_granule(self.data / f"g{i}.nc", i, 0) for i in range(4)]
        self.server = FaultyServer(self.data, seed)
        self.urls = [f"{self.server.url}/g{i}.nc" for i in range(4)]
        self.cache = directory / "cache"
        self.right = self.failed = 0

    def upwell(self, *arguments, rlimit=None):
        command = [UPWELL, *map(str, arguments), "-q", "--timeout", "1", "--retries", str(self.random.choice([0, 2, 6]))]
        if self.random.random() < 0.3:
            command += ["--cache-dir", str(self.cache)]
        if rlimit is not None:
            command = ["prlimit", f"--fsize={rlimit}", *command]
        # Python ignores SIGXFSZ: inherited, a file that may not grow is a failing write, as a full disk is.
        run = subprocess.run(command, capture_output=True, text=True, timeout=120, restore_signals=rlimit is None)
        what = f"{' '.join(command)}\nstatus {run.returncode}\n{run.stderr}"
        assert run.returncode >= 0 and run.returncode != 70, what
        assert run.returncode == 0 or any(len(line) > 20 for line in run.stderr.splitlines() if line.startswith("upwell ")), what
        return run, what

    def quiet(self):
        self.server.kinds, self.server.rate = [], 0.0

    def disturb(self):
        kind = self.random.random()
        self.server.kinds = PASSING if kind < 0.5 else LYING if kind < 0.75 else PASSING + LYING
        self.server.rate = self.random.choice([0.03, 0.1, 0.3, 0.7])

    def count(self, ok):
        self.right += ok
        self.failed += not ok

    def read(self, source, expected, cube=True, raw=()):
        """A random part, in a random form."""
        t, y, x = (sorted(self.random.sample(range(n + 1), 2)) for n in expected.shape)
        text = f"time={t[0]}:{t[1]},lat={y[0]}:{y[1]},lon={x[0]}:{x[1]}"
        out = self.work / ("part." + self.random.choice(["npy", "nc"]))
        out.unlink(missing_ok=True)
        run, what = self.upwell("read", source, "v", "--isel", text, "-o", out, *raw)
        if run.returncode != 0:
            assert not out.exists(), what
            assert not list(self.work.glob("*.tmp*")) and not list(self.work.glob(".*")), what
            return self.count(False)
        if out.suffix == ".npy":
            values = np.load(out)
        else:
            with netCDF4.Dataset(out) as nc:
                values = np.asarray(nc["v"][:])
        np.testing.assert_array_equal(values, expected[t[0] : t[1], y[0] : y[1], x[0] : x[1]], err_msg=what)
        return self.count(True)

    def step(self):
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        whole = np.concatenate(self.truth)
        store = self.work / self.random.choice(["cube.json", "cube.parq"])
        action = self.random.choice(["granule", "virtualize", "virtualize", "append", "replaced", "full disk"])
        if action == "granule":
            self.disturb()
            i = self.random.randrange(4)
            self.read(self.urls[i], self.truth[i])
        elif action == "full disk":
            self.quiet()
            run, what = self.upwell("virtualize", *self.urls, "-o", store, rlimit=self.random.choice([1, 100, 500]))
            assert run.returncode in (73, 75) and not store.exists(), what
            self.count(False)
        elif action == "replaced":
            self.replaced(store, whole)
        else:
            self.disturb()
            first = self.urls if action == "virtualize" else self.urls[:2]
            run, what = self.upwell("virtualize", *first, "-o", store)
            if run.returncode != 0:
                assert not store.exists() and not list(self.work.iterdir()), what
                return self.count(False)
            if action == "append":
                before = np.concatenate(self.truth[:2])
                run, what = self.upwell("append", store, *self.urls)
                whole = whole if run.returncode == 0 else before
            self.quiet()
            self.read(store, whole)
            self.disturb()
            self.read(store, whole)
        self.quiet()

    def replaced(self, store, whole):
        """A granule that is written anew between the scan and the read is an error, never a value of neither."""
        self.quiet()
        run, what = self.upwell("virtualize", *self.urls, "-o", store)
        assert run.returncode == 0, what
        self.version += 1
        i = self.random.randrange(4)
        self.truth[i] = make_granule(self.data / "new.nc", i, self.version)
        os.replace(self.data / "new.nc", self.data / f"g{i}.nc")
        out = self.work / "all.npy"
        run, what = self.upwell("read", store, "v", "-o", out)
        assert run.returncode == 65 and f"g{i}.nc" in run.stderr and "since it was indexed" in run.stderr, what
        self.count(False)
        run, what = self.upwell("append", store, self.urls[i], "--on-overlap", "replace") if store.suffix == ".json" else \
            self.upwell("append", store, self.urls[i], "--on-overlap", "replace", "-o", self.work / "next.parq")
        assert run.returncode == 0, what
        self.read(store if store.suffix == ".json" else self.work / "next.parq", np.concatenate(self.truth))


def test_right_or_an_error(tmp_path):
    print(f"UPWELL_FAULT_SEED={SEED}")
    run = Run(tmp_path, SEED)
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            run.step()
    finally:
        run.server.close()
    print(f"{run.right} right, {run.failed} refused; faults: {json.dumps(run.server.done)}")
    assert run.right > 0 and run.failed > 0
    assert len(run.server.done) > 3

"""Bad input: every command ends soon, in little memory, with the right exit status and a message that names what and where,
and leaves no half-written output.
"""

import http.server
import json
import os
import random
import resource
import shutil
import signal
import socketserver
import subprocess
import threading
import time
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest

from http_servers import serving_with

ROOT = Path(__file__).resolve().parent.parent
UPWELL = os.environ.get("UPWELL", str(ROOT / "build/release/bin/upwell"))
# The address space of a run: whoever asks for an array that claims more is told so (75), and nothing else may need as much.
MEMORY = 1 << 30


def run(*arguments, timeout=30):
    """Runs the program; fails on a signal, on our own bug (70), and on memory that a small file cannot justify."""
    # Address space that no test here needs: what takes more fails here, and leaves the machine alone.
    command = ["prlimit", f"--as={MEMORY}", UPWELL, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    killer = threading.Timer(timeout, process.kill)
    killer.start()
    errors = []
    reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))
    reader.start()
    output = process.stdout.read()
    reader.join()
    _, wait_status, usage = os.wait4(process.pid, 0)
    killer.cancel()
    process.stdout.close()
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(wait_status)
    stderr = errors[0].decode("utf-8", "replace")
    what = f"{command}\nstatus {process.returncode}\n{stderr}"
    assert process.returncode >= 0, what
    assert process.returncode != 70, what
    assert "terminate called" not in stderr, what
    assert "Traceback" not in stderr, what
    # Linux counts the memory of the process that forks, too: this one's is the least that can be seen.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert usage.ru_maxrss * 1024 < MEMORY or usage.ru_maxrss <= own, what
    return process.returncode, output.decode("utf-8", "replace"), stderr


def expect(status, *arguments, says=()):
    code, _, stderr = run(*arguments)
    assert code == status, f"{arguments}: status {code}\n{stderr}"
    assert stderr.startswith("upwell "), stderr
    for part in says:
        assert str(part) in stderr, f"{part!r} not in {stderr!r}"
    return stderr


def commands(source, out, array="v"):
    """Every command on one bad source. `out` is a directory that must stay empty."""
    return [
        ("info", source),
        ("info", source, "--json"),
        ("read", source, array, "-o", out / "r.npy"),
        ("read", source, array, "-o", out / "r.nc"),
        ("virtualize", source, "-o", out / "v.json"),
        ("virtualize", source, "-o", out / "v.parq"),
        ("serve", source, "--bind", "127.0.0.1:0"),
    ]


@pytest.fixture
def out(tmp_path):
    directory = tmp_path / "out"
    directory.mkdir()
    yield directory
    assert list(directory.iterdir()) == []


def make_netcdf(path, form="NETCDF4"):
    with netCDF4.Dataset(path, "w", format=form) as nc:
        nc.title = "small"
        nc.createDimension("time", None)
        nc.createDimension("x", 40)
        t = nc.createVariable("time", "f8", ("time",))
        t.units = "days since 2000-01-01"
        options = {"zlib": True, "chunksizes": (2, 20)} if form == "NETCDF4" else {}
        nc.createVariable("v", "f4", ("time", "x"), **options).units = "m"
        t[:] = np.arange(6)
        nc["v"][:] = np.random.default_rng(1).normal(size=(6, 40))
    return path


NOT_GRANULES = {
    "empty.nc": b"",
    "page.nc": b"<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>Earthdata</body></html>\n",
    "magic.nc": b"GRAP" + bytes(range(256)) * 8,
    "short.nc": b"CDF",
    "signature.h5": b"\x89HDF\r\n\x1a\n",
    "version.nc": b"CDF\x07" + bytes(60),
    "text.json": b'{"version": 1, "refs": {"v/.zarray": ',
    "list.json": b"[1, 2, 3]",
}


@pytest.mark.parametrize("name", NOT_GRANULES)
def test_not_a_granule(tmp_path, out, name):
    source = tmp_path / name
    source.write_bytes(NOT_GRANULES[name])
    for command in commands(source, out):
        expect(65, *command, says=[source])


def test_html_is_called_so(tmp_path):
    source = tmp_path / "page.nc"
    source.write_bytes(NOT_GRANULES["page.nc"])
    assert "HTML" in expect(65, "info", source)


def test_missing_and_directory(tmp_path, out):
    (tmp_path / "folder").mkdir()
    for source in (tmp_path / "none.nc", tmp_path / "folder"):
        for command in commands(source, out):
            expect(66, *command, says=[source])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path, out):
    source = make_netcdf(tmp_path / "secret.nc")
    source.chmod(0)
    for command in commands(source, out):
        expect(77, *command, says=[source])


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"])
def test_truncated_at_many_lengths(tmp_path, out, form):
    """A cut file either fails, or gives the very values: where only the unread rest of the file is gone."""
    whole = make_netcdf(tmp_path / "whole.nc", form)
    data = whole.read_bytes()
    with netCDF4.Dataset(whole) as nc:
        values = nc["v"][:].filled(np.nan)
    cuts = sorted({*range(0, min(len(data), 400), 23), *range(0, len(data), max(1, len(data) // 40)), len(data) - 1})
    cut = tmp_path / "cut.nc"
    target = tmp_path / "cut.npy"
    failed = 0
    for n in cuts:
        cut.write_bytes(data[:n])
        code, _, stderr = run("read", cut, "v", "-o", target)
        if code == 0:
            np.testing.assert_array_equal(np.load(target), values, err_msg=f"cut at {n} of {len(data)}")
            target.unlink()
        else:
            failed += 1
            assert code == 65, (n, code, stderr)
            assert str(cut) in stderr
        assert not target.exists()
        assert run("info", cut)[0] in (0, 65)
    assert failed >= len(cuts) - 4
    cut.write_bytes(data[: len(data) // 3])
    for command in commands(cut, out):
        if command[0] in ("read", "virtualize"):
            expect(65, *command, says=[cut])


def test_huge_claims_in_netcdf3(tmp_path, out):
    data = bytearray(make_netcdf(tmp_path / "a.nc", "NETCDF3_CLASSIC").read_bytes())
    source = tmp_path / "huge.nc"
    # numrecs at byte 4, the count of dimensions at 12, the length of the first name at 16, of "x" after its name
    x = data.index(b"x\0\0\0") + 4
    for at, value in ((4, 0x7FFFFFF0), (12, 0x7FFFFFFF), (16, 0x7FFFFFFF), (x, 0x7FFFFFF0), (x, 0x10000000)):
        patched = bytearray(data)
        patched[at : at + 4] = value.to_bytes(4, "big")
        source.write_bytes(patched)
        for command in commands(source, out):
            if command[0] in ("read", "virtualize"):
                expect(65, *command, says=[source])
            elif command[0] == "info":
                assert run(*command)[0] in (0, 65)


def test_huge_claims_in_hdf5(tmp_path, out):
    """A petabyte that was never written: it can be looked at, and reading it whole is refused at once."""
    source = tmp_path / "huge.h5"
    with h5py.File(source, "w") as h5:
        h5.create_dataset("v", shape=(1 << 25, 1 << 25), dtype="f8", chunks=(1 << 10, 1 << 10))
    assert run("info", source)[0] == 0
    start = time.monotonic()
    for name in ("r.npy", "r.nc", "r.csv"):
        code, _, stderr = run("read", source, "v", "-o", out / name)
        assert code in (64, 65, 75), (code, stderr)
        assert "v" in stderr
    assert time.monotonic() - start < 10


def test_cyclic_groups(tmp_path):
    source = tmp_path / "cycle.h5"
    with h5py.File(source, "w") as h5:
        h5["v"] = np.arange(5)
        inner = h5.create_group("a").create_group("b")
        inner["up"] = h5["a"]
        inner["root"] = h5["/"]
        h5["a/itself"] = h5py.SoftLink("/a/itself")
        h5["a/other"] = h5py.SoftLink("/a/another")
        h5["a/another"] = h5py.SoftLink("/a/other")
        h5["file"] = h5py.ExternalLink("cycle.h5", "/")
    code, output, stderr = run("info", source)
    assert code in (0, 65, 66), stderr
    assert len(output) < 100_000
    target = tmp_path / "v.npy"
    code, _, stderr = run("read", source, "v", "-o", target)
    assert code == 0, stderr
    assert np.load(target).tolist() == list(range(5))


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_damaged_hdf5(tmp_path, libver):
    """300 copies of a small file with some bytes changed at random: an answer or bad data, never more."""
    whole = tmp_path / "whole.h5"
    with h5py.File(whole, "w", libver=libver) as h5:
        h5.attrs["title"] = "damaged"
        h5.create_dataset("v", data=np.arange(600.0).reshape(20, 30), chunks=(5, 7), compression="gzip")
        h5.create_dataset("names", data=["a", "bcd", "ef"], dtype=h5py.string_dtype())
        h5.create_dataset("g/flat", data=np.arange(20, dtype="i2"))
        h5["g"].attrs["list"] = np.arange(5)
    data = whole.read_bytes()
    rng = random.Random(77)
    source, target = tmp_path / "damaged.h5", tmp_path / "out.npy"
    codes = []

    def claims_much(array):
        """Whether the damage made the array one that HDF5 allows and that takes more than this test's memory."""
        root = json.loads(run("info", source, "--json")[1])["root"]
        return any(a["name"] == array and a["bytes"] > MEMORY // 2 for a in root["arrays"])

    for k in range(150):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 8, 40])):
            # most of the structure lies in front
            at = rng.randrange(min(len(data), 3000) if rng.random() < 0.7 else len(data))
            damaged[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        source.write_bytes(damaged)
        for command in (("info", source), ("read", source, ("v", "names")[k % 2], "-o", target)):
            start = time.monotonic()
            code, _, stderr = run(*command)
            took = time.monotonic() - start
            # The array's name may be what was damaged (66); a filter or type may become one that is unknown (65).
            allowed = (0, 65) if command[0] == "info" else (0, 65, 66)
            if code == 75 and command[0] == "read" and claims_much(command[2]):
                allowed = (75,)  # a limit was reached, and nothing was written
            assert code in allowed, (k, command, code, stderr)
            assert took < 2, (k, command, took)
            if code and code != 75:
                assert str(source) in stderr, (k, command, stderr)
            assert code == 0 or not target.exists()
            target.unlink(missing_ok=True)
            codes.append(code)
    assert codes.count(65) > 20
    assert codes.count(0) > 20


@pytest.mark.parametrize("kind", ["deflate", "fletcher32"])
def test_corrupt_chunk_is_named(tmp_path, out, kind):
    source = tmp_path / "corrupt.h5"
    options = {"compression": "gzip"} if kind == "deflate" else {"fletcher32": True}
    with h5py.File(source, "w") as h5:
        values = np.random.default_rng(2).integers(0, 50, (40, 60))
        h5.create_dataset("group/v", data=values, chunks=(10, 20), **options)
        chunk = h5["group/v"].id.get_chunk_info_by_coord((20, 40))
    data = bytearray(source.read_bytes())
    middle = chunk.byte_offset + chunk.size // 2
    for k in range(30):
        data[middle + k] ^= 0xA5
    source.write_bytes(data)
    for name in ("r.npy", "r.nc", "r.csv"):
        expect(65, "read", source, "group/v", "-o", out / name, says=[source, "chunk 2.2 of v"])
    expect(65, "read", source, "group/v", says=[source, "chunk 2.2 of v"])
    # what does not touch the chunk is read
    _, printed, _ = run("info", source, "--json")
    dims = [a["dimensions"] for g in json.loads(printed)["root"]["groups"] for a in g["arrays"]][0]
    target = tmp_path / "ok.npy"
    code, _, stderr = run("read", source, "group/v", "--isel", f"{dims[0]}=0:20", "-o", target)
    assert code == 0, stderr
    np.testing.assert_array_equal(np.load(target), values[:20])


def test_existing_output_stays(tmp_path):
    source = make_netcdf(tmp_path / "a.nc")
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 2 // 3])
    for name, command in (("o.npy", "read"), ("o.nc", "read"), ("o.csv", "read"), ("o.json", "virtualize")):
        target = tmp_path / name
        target.write_text("precious")
        array = ["v"] if command == "read" else []
        expect(65, command, source, *array, "-o", target)
        assert target.read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nc", "o.csv", "o.json", "o.nc", "o.npy"]


class Faulty(http.server.BaseHTTPRequestHandler):
    """GET and HEAD of a granule that fail in the way that the path names."""

    protocol_version = "HTTP/1.1"
    data = b""
    stop = threading.Event()

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, body):
        how = self.path.split("/")[1]
        with self.server.lock:
            self.server.count[how] = self.server.count.get(how, 0) + 1
            nth = self.server.count[how]
        if how in ("500", "503", "404", "401", "403", "429"):
            return self.status(int(how), body)
        if how == "once429" and nth == 1:
            return self.status(429, body)
        if how == "nothing":
            self.close_connection = True
            return None
        if how == "stall":
            self.stop.wait(20)
            self.close_connection = True
            return None
        if how == "html":
            page = b"<!DOCTYPE html><html><body>Please log in</body></html>"
            return self.send(200, page, body, {"Content-Type": "text/html"})
        first, last = 0, len(self.data) - 1
        wanted = self.headers.get("Range")
        if wanted:
            a, b = wanted.removeprefix("bytes=").split("-")
            first, last = (int(a), min(int(b or last), last)) if a else (max(0, last + 1 - int(b)), last)
        part = self.data[first : last + 1]
        extra = {"Content-Range": f"bytes {first}-{last}/{len(self.data)}"} if wanted else {}
        return self.send(206 if wanted else 200, part, body, extra, short=how == "short")

    def status(self, code, body):
        extra = {"Retry-After": "1"} if code == 429 else {}
        return self.send(code, b"no\n", body, extra)

    def send(self, code, content, body, extra, short=False):
        self.send_response(code)
        for key, value in extra.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[: len(content) // 2] if short else content)
        if short:
            self.close_connection = True


@pytest.fixture
def faulty(tmp_path):
    Faulty.data = make_netcdf(tmp_path / "source.nc").read_bytes()
    Faulty.stop.clear()
    with serving_with(Faulty, count={}, lock=threading.Lock()) as server:
        yield server, server.url
        Faulty.stop.set()


FAULTS = {"500": 75, "503": 75, "429": 75, "404": 66, "401": 77, "403": 77, "short": 75, "nothing": 75, "stall": 75, "html": 65}


@pytest.mark.parametrize("how", FAULTS)
def test_bad_servers(faulty, out, how):
    server, url = faulty
    source = f"{url}/{how}/a.nc"
    few = ("--timeout", "1", "--retries", "1")
    for command in commands(source, out):
        start = time.monotonic()
        expect(FAULTS[how], *command, *few, says=[source])
        assert time.monotonic() - start < 15
    if FAULTS[how] != 75:
        assert server.count[how] <= 3 * len(commands(source, out))  # not tried again


def test_what_passes_is_tried_again(faulty, tmp_path):
    server, url = faulty
    start = time.monotonic()
    code, _, stderr = run("read", f"{url}/once429/a.nc", "v", "-o", tmp_path / "v.npy")
    assert code == 0, stderr
    assert time.monotonic() - start > 0.9, "Retry-After was not waited for"
    with netCDF4.Dataset(tmp_path / "source.nc") as nc:
        np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), nc["v"][:].filled())


def test_nobody_listens(out):
    with socketserver.TCPServer(("127.0.0.1", 0), None) as taken:
        port = taken.server_address[1]
    source = f"http://127.0.0.1:{port}/a.nc"
    for command in commands(source, out):
        expect(75, *command, "--timeout", "1", "--retries", "1", says=[source])


def test_references_to_a_missing_granule(tmp_path, out):
    granule = make_netcdf(tmp_path / "a.nc")
    references = tmp_path / "a.json"
    assert run("virtualize", granule, "-o", references, "--inline-threshold", 0)[0] == 0
    shutil.move(granule, tmp_path / "elsewhere.nc")
    assert run("info", references)[0] == 0
    expect(66, "read", references, "v", "-o", out / "v.npy", says=["a.nc"])
    (tmp_path / "a.nc").write_bytes((tmp_path / "elsewhere.nc").read_bytes()[:200])
    expect(65, "read", references, "v", "-o", out / "v.npy", says=["a.nc"])


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Steps of 1.6 MB that no compression makes much smaller."""
    source = tmp_path_factory.mktemp("noise") / "big.nc"
    with netCDF4.Dataset(source, "w") as nc:
        nc.createDimension("t", 2)
        nc.createDimension("x", 200_000)
        nc.createVariable("v", "f8", ("t", "x"))[:] = np.random.default_rng(5).random((2, 200_000))
    return source


READ, MEAN = ("read", "v"), ("aggregate", "--reduce", "t:mean")
FULL = [(READ, "o.npy", 100_000), (READ, "o.csv", 100_000)]
FULL += [(how, "o.nc", size) for how in (READ, MEAN, (*MEAN, "--compress")) for size in (4_000, 100_000, 1_000_000)]


@pytest.mark.parametrize("older", (False, True))
@pytest.mark.parametrize(("how", "name", "size"), FULL)
def test_full_disk(noise, tmp_path, how, name, size, older):
    """A limit on the size of a file stands for a full disk."""
    target = tmp_path / name
    if older:
        target.write_bytes(b"older")
    command = [UPWELL, how[0], str(noise), *how[1:], "-o", str(target)]
    # Python ignores SIGXFSZ; so does the program then, and sees EFBIG as it would see ENOSPC.
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        restore_signals=False,
    )
    assert done.returncode == 73, done
    assert str(tmp_path) in done.stderr and "HDF5-DIAG" not in done.stderr
    assert os.listdir(tmp_path) == ([name] if older else [])
    if older:
        assert target.read_bytes() == b"older"


@pytest.fixture(scope="module")
def long_runs(tmp_path_factory):
    """What each kind of output is written from, for long enough to be stopped."""
    directory = tmp_path_factory.mktemp("long")
    with netCDF4.Dataset(directory / "long.nc", "w") as nc:
        nc.createDimension("x", 5_000_000)
        nc.createVariable("v", "f8", ("x",), chunksizes=(5_000,))[:] = np.random.default_rng(5).random(5_000_000)
    with netCDF4.Dataset(directory / "wide.nc", "w") as nc:
        nc.createDimension("x", 10)
        for n in range(500):
            nc.createVariable(f"v{n}", "f8", ("x",))[:] = 0
    runs = {name: ("read", directory / "long.nc", "v", "-o") for name in ("o.csv", "o.nc", "o.zarr")}
    return runs | {"o.parquet": ("virtualize", directory / "wide.nc", "-o")}


def stopped(long_runs, target, signals):
    """Started, and sent these as soon as there is a temporary name in the target's directory; its status."""
    before = set(os.listdir(target.parent))
    run = subprocess.Popen([UPWELL, *long_runs[target.name], target], stdout=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while set(os.listdir(target.parent)) == before:
        assert run.poll() is None and time.monotonic() < end
    for how in signals:
        run.send_signal(how)
    return run.wait(timeout=20)


@pytest.mark.parametrize("signals", ([signal.SIGINT], [signal.SIGTERM], [signal.SIGHUP] * 3), ids=("INT", "TERM", "HUPs"))
@pytest.mark.parametrize("name", ("o.csv", "o.nc", "o.zarr", "o.parquet"))
def test_a_signal_leaves_nothing(long_runs, tmp_path, name, signals):
    """It ends the run as it always does, also when it comes more than once, and the temporary file or directory goes."""
    assert stopped(long_runs, tmp_path / name, signals) == -signals[0]
    assert os.listdir(tmp_path) == []


def test_a_signal_leaves_the_older_directory(long_runs, tmp_path):
    target = tmp_path / "o.zarr"
    target.mkdir()
    (target / ".zgroup").write_text("older")
    assert stopped(long_runs, target, [signal.SIGTERM]) == -signal.SIGTERM
    assert os.listdir(tmp_path) == ["o.zarr"] and (target / ".zgroup").read_text() == "older"


def test_an_ignored_signal_stays_ignored(long_runs, tmp_path):
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert stopped(long_runs, tmp_path / "o.zarr", [signal.SIGHUP]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert os.listdir(tmp_path) == ["o.zarr"]

"""upwell serve: many clients, bad ones, limits, its start and its end, and sets that change under it."""

import concurrent.futures
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import netCDF4
import numpy as np
import pytest
import requests
import xarray as xr

from test_serve import UPWELL, cube_path, server, serving  # noqa: F401


def test_many_clients_at_once(server):
    paths = ["zarr/.zmetadata", "zarr/sst/0.0.0", "zarr/summed/1.1.0", "picture/sst.png", "info"]
    want = {p: requests.get(f"{server}/datasets/cube/{p}").content for p in paths}

    def work(worker):
        with requests.Session() as session:
            for i in range(60):
                path = paths[(worker + i) % len(paths)]
                answer = session.get(f"{server}/datasets/cube/{path}", timeout=30)
                assert answer.status_code == 200 and answer.content == want[path]
        return True

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(16)))


def raw_exchange(server, data, timeout=10):
    address = urlsplit(server)
    with socket.create_connection((address.hostname, address.port), timeout=timeout) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        out = b""
        while block := sock.recv(65536):
            out += block
    return out


def test_pipelined_requests_are_answered_in_order(server):
    one = "GET /datasets HTTP/1.1\r\nHost: x\r\n\r\n"
    two = "GET /datasets/cube/picture/sst.png HTTP/1.1\r\nHost: x\r\n\r\n"
    three = "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    out = raw_exchange(server, (one + two + one + three).encode())
    places = [out.find(b'["cube"]'), out.find(b"PNG"), out.rfind(b'["cube"]'), out.find(b"detail")]
    assert places == sorted(places) and -1 not in places
    assert out.count(b"HTTP/1.1 ") == 4


def test_bad_requests_end_with_a_status(server):
    assert raw_exchange(server, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
    huge = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40000 + b"\r\n\r\n"
    assert raw_exchange(server, huge).startswith(b"HTTP/1.1 431")
    body = b"POST /datasets HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
    assert raw_exchange(server, body).startswith(b"HTTP/1.1 413")


def test_idle_clients_do_not_block_others(server):
    address = urlsplit(server)
    idle = [socket.create_connection((address.hostname, address.port)) for _ in range(200)]
    slow = [socket.create_connection((address.hostname, address.port)) for _ in range(50)]
    try:
        for sock in slow:
            sock.sendall(b"GET /data")
        start = time.monotonic()
        assert requests.get(f"{server}/datasets", timeout=5).json() == ["cube"]
        assert time.monotonic() - start < 2
    finally:
        for sock in idle + slow:
            sock.close()


def test_beyond_the_limits_is_503(cube_path):
    with serving(cube_path, options=("--max-connections", "4")) as (url, _):
        address = urlsplit(url)
        held = [socket.create_connection((address.hostname, address.port)) for _ in range(4)]
        try:
            time.sleep(0.3)
            refused = requests.get(f"{url}/datasets", timeout=5)
            assert refused.status_code == 503 and "Retry-After" in refused.headers
        finally:
            for sock in held:
                sock.close()
        time.sleep(0.3)
        assert requests.get(f"{url}/datasets", timeout=5).status_code == 200


def test_stopping_finishes_what_is_in_flight(cube_path):
    with serving(cube_path) as (url, process):
        answers = []

        def ask():
            answers.append(requests.get(f"{url}/datasets/cube/picture/packed.png?index=time:2"))

        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        thread.join(30)
        assert process.wait(30) == 0
        # Either it was answered in full, or it came after the socket was closed.
        assert not answers or answers[0].content.endswith(b"IEND\xaeB`\x82")


def run_serve(*arguments):
    return subprocess.run(
        [UPWELL, "serve", *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


def test_sources_that_cannot_be_opened(tmp_path, cube_path):
    empty = tmp_path / "empty.nc"
    empty.write_bytes(b"")
    html = tmp_path / "page.nc"
    html.write_text("<!DOCTYPE html><html>Please log in</html>")
    missing = run_serve(tmp_path / "none.nc", "--bind", "127.0.0.1:0")
    assert missing.returncode == 66 and "none.nc" in missing.stderr
    for bad in (empty, html):
        run = run_serve(bad, "--bind", "127.0.0.1:0")
        assert run.returncode == 65 and bad.name in run.stderr
    assert run_serve(cube_path, "--bind", "nowhere:x").returncode == 64
    with serving(empty, cube_path, options=("--keep-going",)) as (url, _):
        assert requests.get(f"{url}/datasets").json() == ["cube"]


def test_names(cube_path, tmp_path):
    other = tmp_path / "cube.nc"
    shutil.copy(cube_path, other)
    with serving(cube_path, other, f"mine={cube_path}") as (url, _):
        assert requests.get(f"{url}/datasets").json() == ["cube", "cube-2", "mine"]
        assert requests.get(f"{url}/datasets/mine/keys").status_code == 200


def test_port_in_use(server, cube_path):
    run = run_serve(cube_path, "--bind", urlsplit(server).netloc)
    assert run.returncode == 75 and "in use" in run.stderr


def test_requests_share_one_memory(tmp_path):
    """Chunks of 96 MB, six pictures and six chunks at once: memory stays below what the server was given.
    Side by side they take a quarter more than that."""
    path = tmp_path / "large.nc"
    with netCDF4.Dataset(path, "w") as nc:
        nc.createDimension("time", 6)
        nc.createDimension("y", 4000)
        nc.createDimension("x", 6000)
        v = nc.createVariable("v", "f4", ("time", "y", "x"), zlib=True, complevel=1, shuffle=True, fletcher32=True,
                              chunksizes=(1, 4000, 6000))
        for k in range(6):
            v[k] = np.arange(6000, dtype="f4") + k
    limit = 1000 << 20
    with serving(f"large={path}", options=["--memory", "1000MB"]) as (url, process):
        targets = [f"{url}/datasets/large/picture/v.png?index=time:{k}" for k in range(6)]
        targets += [f"{url}/datasets/large/zarr/v/{k}.0.0" for k in range(6)]
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda t: requests.get(t, timeout=120), targets))
        assert [a.status_code for a in answers] == [200] * 12
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
        assert peak < limit, peak
        array = xr.open_zarr(f"{url}/datasets/large/zarr", chunks=None, mask_and_scale=False)["v"]
        assert (array[3, 17].values == np.arange(6000, dtype="f4") + 3).all()
    with serving(f"large={path}", options=["--memory", "100MB"]) as (url, _):
        refused = requests.get(f"{url}/datasets/large/picture/v.png", timeout=60)
        assert refused.status_code == 503 and "--memory" in refused.json()["detail"]


def test_a_port_alone_is_of_this_machine(cube_path):
    process = subprocess.Popen([UPWELL, "serve", cube_path, "--bind", ":0", "-q"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().startswith("serving http://127.0.0.1:")
    finally:
        process.terminate()
        process.wait(40)
        process.stdout.close()


def write_day(path, day, value):
    with netCDF4.Dataset(path, "w") as nc:
        nc.createDimension("time", None)
        nc.createDimension("x", 4)
        t = nc.createVariable("time", "f8", ("time",))
        t.units = "days since 2020-01-01"
        t[:] = [day]
        nc.createVariable("v", "f4", ("time", "x"), chunksizes=(1, 4), zlib=True)[:] = value
    return path


@pytest.mark.parametrize("name", ["cube.json", "cube.upwell", "cube.parq"])
def test_a_set_that_grows_is_served_as_it_is_now(tmp_path, name):
    """Granules are added and written anew under a server; what cannot be opened does not take its place."""
    store = tmp_path / name
    days = [write_day(tmp_path / f"{i}.nc", i, i) for i in range(4)]

    def run(command, *arguments):
        subprocess.run([UPWELL, command, *map(str, arguments), "-q"], check=True, timeout=60)

    def values(url):
        return xr.open_zarr(f"{url}/datasets/cube/zarr", zarr_format=2, decode_times=False)["v"].values[:, 0].tolist()

    def wait_for(url, expected):
        end, found = time.monotonic() + 60, None
        while found != expected and time.monotonic() < end:
            try:
                found = values(url)
            except Exception:  # opened before, read after: a coordinate in one chunk has another length
                time.sleep(0.1)
        assert found == expected

    run("virtualize", *days[:2], "-o", store, "--inline-threshold", "0")
    with serving(store, options=("--refresh", "0.2")) as (url, _):
        assert values(url) == [0, 1]
        opened = xr.open_zarr(f"{url}/datasets/cube/zarr", zarr_format=3, decode_times=False, chunks=None)
        run("append", store, days[2])
        wait_for(url, [0, 1, 2])
        if name.endswith(".json"):
            kept = store.read_bytes()
            store.write_bytes(b"{broken")
            time.sleep(1)
            assert values(url) == [0, 1, 2]
            store.write_bytes(kept)
        if not name.endswith(".parq"):
            write_day(days[1], 1, 11)
            run("append", store, days[1], "--on-overlap", "replace")
            wait_for(url, [0, 11, 2])
        run("append", store, days[3])
        wait_for(url, [0, 1 if name.endswith(".parq") else 11, 2, 3])
        # Who had opened it before goes on reading.
        assert opened["v"].values[:, 0].tolist() == [0, 1 if name.endswith(".parq") else 11]


@pytest.mark.parametrize("name", ["cube.json", "cube.upwell"])
@pytest.mark.parametrize("change", ["insert", "remove"])
def test_a_change_that_moves_values_is_not_followed(tmp_path, name, change):
    """A client that has read the old coordinates must not get what belongs to others, not even with status 200."""
    store = tmp_path / name
    days = [write_day(tmp_path / f"{i}.nc", i, i) for i in range(4)]
    subprocess.run([UPWELL, "virtualize", *map(str, [days[0], days[1], days[3]]), "-o", str(store), "-q"], check=True, timeout=60)
    with serving(store, options=("--refresh", "0.2")) as (url, _):
        opened = xr.open_zarr(f"{url}/datasets/cube/zarr", zarr_format=3, decode_times=False, chunks=None)
        assert opened["time"].values.tolist() == [0, 1, 3]
        time.sleep(1)
        more = [str(days[2])] if change == "insert" else ["--remove", "0.nc"]
        subprocess.run([UPWELL, "append", str(store), *more, "-q"], check=True, timeout=60)
        time.sleep(2)
        assert opened["v"].values[:, 0].tolist() == [0, 1, 3]
        again = xr.open_zarr(f"{url}/datasets/cube/zarr", zarr_format=3, decode_times=False, chunks=None)
        assert again["time"].values.tolist() == [0, 1, 3]
        assert again["v"].values[:, 0].tolist() == [0, 1, 3]

"""Served metadata and chunks: Upwell, xpublish and nginx on loopback, loaded by wrk in turn, answers checked first."""

import contextlib
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import xarray as xr

XPUBLISH = """
import sys, xarray as xr, xpublish
from xpublish_zarr import ZarrPlugin
dataset = xr.open_dataset(sys.argv[1], engine="zarr", chunks={})
for v in dataset.variables.values():
    v.encoding.update(compressor=None, compressors=None, filters=None)
rest = xpublish.Rest({"cube": dataset}, plugins={"zarr": ZarrPlugin()}, cache_kws={"available_bytes": 0})
rest.serve(host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
"""

NGINX = """
daemon off; user root; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000; client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2;
fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
server {{ listen 127.0.0.1:{port}; root {root}; }} }}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


@contextlib.contextmanager
def server(command, url):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for _ in range(300):
            try:
                get(url)
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(f"{command[0]} ended: {process.stderr.read().decode()[-500:]}") from None
                time.sleep(0.1)
        else:
            raise SystemExit(f"{url} does not answer")
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def rate(url, seconds):
    out = subprocess.run(["wrk", "-t1", "-c8", f"-d{seconds}s", url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"{url}: {out}")
    return float(re.search(r"Requests/sec:\s*([\d.]+)", out).group(1))


def make_store(directory):
    """Uncompressed 1 MiB chunks: what is measured is the server, not a codec."""
    values = np.random.default_rng(5).normal(size=(64, 512, 512)).astype("f4")
    dataset = xr.Dataset({"v": (("time", "y", "x"), values, {"units": "1"})}, coords={"time": np.arange(64)})
    store = directory / "store"
    dataset.to_zarr(store, mode="w", zarr_format=2, consolidated=True, encoding={"v": {"chunks": (1, 512, 512), "compressors": None}})
    netcdf = directory / "cube.nc"
    dataset.to_netcdf(netcdf, engine="h5netcdf", encoding={"v": {"chunksizes": (1, 512, 512)}})
    return store, netcdf, values


def bench(upwell, directory, rounds):
    if shutil.which("wrk") is None or shutil.which("nginx") is None:
        raise SystemExit("wrk and nginx are needed")
    store, netcdf, values = make_store(directory)
    ports = [free_port() for _ in range(3)]
    (directory / "xpublish_app.py").write_text(XPUBLISH)
    (directory / "nginx.conf").write_text(NGINX.format(dir=directory, port=ports[2], root=directory))
    ours, theirs, static = (f"http://127.0.0.1:{p}" for p in ports)
    with server([upwell, "serve", f"cube={netcdf}", "--bind", f"127.0.0.1:{ports[0]}"], f"{ours}/healthz"), \
         server([sys.executable, str(directory / "xpublish_app.py"), str(store), str(ports[1])], f"{theirs}/datasets"), \
         server(["nginx", "-p", str(directory), "-c", str(directory / "nginx.conf")], f"{static}/store/.zmetadata"):
        chunk = values[7].tobytes()
        # xpublish's plugin speaks Zarr v3; of nginx only the bytes of a file are wanted.
        documents = {"ours": f"{ours}/datasets/cube/zarr/zarr.json", "theirs": f"{theirs}/datasets/cube/zarr/zarr.json"}
        chunks = {"ours": f"{ours}/datasets/cube/zarr/v/c/7/0/0", "theirs": f"{theirs}/datasets/cube/zarr/v/c/7/0/0",
                  "static": f"{static}/store/v/7.0.0"}
        for name, url in chunks.items():
            if get(url) != chunk:
                raise SystemExit(f"{name}: the chunk differs")
        for name, url in documents.items():
            described = json.loads(get(url))["consolidated_metadata"]["metadata"]["v"]
            if described["shape"] != list(values.shape) or described["data_type"] != "float32":
                raise SystemExit(f"{name}: the metadata describe another array")
        seconds = 1 if rounds == 1 else 3
        measured = {}
        for _ in range(rounds):
            for what, urls in (("document", documents), ("chunk", chunks)):
                for name, url in urls.items():
                    measured.setdefault((name, what), []).append(rate(url, seconds))
    note = "8 connections, 1 MiB chunk, equal bytes"
    return [("served metadata (zarr.json of a group)", "xpublish", measured["ours", "document"], measured["theirs", "document"], "requests/s",
             "8 connections, equal content"),
            ("served 1 MiB chunk, not cached", "xpublish", measured["ours", "chunk"], measured["theirs", "chunk"], "requests/s", note),
            ("served 1 MiB chunk, passed through", "nginx static file", measured["ours", "chunk"], measured["static", "chunk"], "requests/s", note)]

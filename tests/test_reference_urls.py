"""Reference sets that want to be led where they must not: files of the machine, its networks, by links, names and redirects."""

import http.server
import json
import os
import pathlib
import socket
import subprocess
import threading
import urllib.error
import urllib.request

import h5py
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
UPWELL = pathlib.Path(os.environ.get("UPWELL", ROOT / "build" / "release" / "bin" / "upwell"))

kerchunk_df = pytest.importorskip("kerchunk.df")


METADATA = {"link": "http://169.254.169.254/latest/meta-data/iam/security-credentials/"}


def run(*arguments):
    return subprocess.run([UPWELL, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def refused(done, *says):
    assert done.returncode == 77, (done.returncode, done.stderr)
    for part in says:
        assert part in done.stderr, done.stderr


def references(url, length=16):
    """One array of bytes whose only chunk is what the URL names."""
    array = {"zarr_format": 2, "shape": [length], "chunks": [length], "dtype": "|u1", "compressor": None,
             "filters": None, "fill_value": 255, "order": "C"}
    return {"version": 1, "refs": {".zgroup": '{"zarr_format": 2}', "v/.zarray": json.dumps(array),
                                   "v/.zattrs": '{"_ARRAY_DIMENSIONS": ["x"]}', "v/0": [url, 0, length]}}


@pytest.fixture(params=["json", "parquet"])
def write(request, tmp_path):
    """Writes a set with one URL and gives its path."""
    folder = tmp_path / "sets"
    folder.mkdir()

    def make(url, name="set"):
        if request.param == "json":
            path = folder / f"{name}.json"
            path.write_text(json.dumps(references(url)))
        else:
            path = folder / f"{name}.parq"
            kerchunk_df.refs_to_dataframe(references(url), str(path))
        return path

    make.beside = "" if request.param == "json" else "../"  # from a set to the folder that it lies in
    return make


@pytest.fixture
def web():
    """web(folder) serves it on 127.0.0.1, web.seen has the paths that were asked for; "/to?URL" redirects there."""
    servers = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def send_head(self):
            self.server.seen.append(self.path)
            if not self.path.startswith("/to?"):
                return super().send_head()
            self.send_response(302)
            self.send_header("Location", self.path[4:])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None

    def start(folder):
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), lambda *a, **k: Handler(*a, directory=str(folder), **k))
        server.daemon_threads = True
        server.seen = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        server.url = f"http://127.0.0.1:{server.server_port}/"
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("url", ["/etc/passwd", "file:///etc/passwd", "/proc/self/environ", "../../../../../../../../etc/passwd",
                                 "file:///%70roc/self/environ"])
def test_a_local_set_names_no_system_file(write, tmp_path, url):
    for command in [["read", "{}", "v", "-o", tmp_path / "o.npy"], ["virtualize", "{}", "-o", tmp_path / "o.json", "--load", "v"]]:
        path = write(url)
        refused(run(*[path if a == "{}" else a for a in command]), "passwd" if "passwd" in url else "environ", path.name, "--allow-root")
    assert not (tmp_path / "o.npy").exists()
    assert not (tmp_path / "o.json").exists()


def test_a_link_is_judged_by_where_it_leads(write, tmp_path):
    secret = tmp_path / ".keys" / "id"
    secret.parent.mkdir()
    secret.write_bytes(bytes(range(16)))
    link = tmp_path / "sets" / "granule.bin"
    for target in [secret, pathlib.Path("/etc/passwd")]:
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        for name in [write.beside + "granule.bin", str(link)]:
            refused(run("read", write(name), "v", "-o", tmp_path / "o.npy"), "granule.bin", str(target), "--allow-root")
    link.unlink()
    link.symlink_to(secret)
    done = run("read", write(write.beside + "granule.bin"), "v", "-o", tmp_path / "o.npy", "--allow-root", secret.parent)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), np.arange(16))


def test_archives_anywhere_need_no_option(write, tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "g.bin").write_bytes(bytes(range(16)))
    (tmp_path / "current").symlink_to(archive)
    for name in [archive / "g.bin", tmp_path / "current" / "g.bin", (archive / "g.bin").as_uri(),
                 write.beside + "../archive/g.bin"]:
        done = run("read", write(str(name)), "v", "-o", tmp_path / "o.npy")
        assert done.returncode == 0, done.stderr
    done = run("read", write(str(archive / "g.bin")), "v", "-o", tmp_path / "o.npy", "--allow-root", tmp_path / "sets")
    refused(done, "g.bin", "below no directory that --allow-root names")


def test_no_set_names_link_local_addresses(write, web, tmp_path):
    for url in [METADATA["link"], "http://[fe80::1]/x", "http://[fd00:ec2::254]/latest", "http://2852039166/x"]:
        path = write(url)
        refused(run("read", path, "v", "-o", tmp_path / "o.npy", "--retries", 0), "link-local", "--allow-host")
        server = web(tmp_path / "sets")
        refused(run("read", server.url + path.name, "v", "-o", tmp_path / "o.npy", "--retries", 0), "link-local", "--allow-host")


def test_a_set_from_the_network_names_no_file(write, web, tmp_path):
    for url in ["/etc/passwd", "file:///proc/self/environ", str(tmp_path / "sets" / "x")]:
        path = write(url)
        server = web(tmp_path / "sets")
        refused(run("read", server.url + path.name, "v", "-o", tmp_path / "o.npy", "--allow-root", "/"), "from the network", "copy")


def test_redirects_and_names_are_seen_through(write, web, tmp_path):
    inner = web(tmp_path)
    (tmp_path / "secret.bin").write_bytes(bytes(range(16)))
    outer = web(tmp_path / "sets")
    secret = f"127.0.0.2:{inner.server_port}/secret.bin"  # another host that is this machine, too
    inner_address = inner.url + "secret.bin"
    name = socket.gethostname()
    try:
        resolves = socket.gethostbyname(name).startswith("127.")
    except OSError:
        resolves = False
    targets = [f"{outer.url}to?http://{secret}", f"{outer.url}to?{METADATA['link']}"]
    if resolves:
        targets.append(inner_address.replace("127.0.0.1", name))
    for url in targets:
        path = write(url)
        refused(run("read", outer.url + path.name, "v", "-o", tmp_path / "o.npy", "--retries", 0), "--allow-host")
        assert run("verify", outer.url + path.name, "--retries", 0).returncode != 0
    assert inner.seen == []
    if resolves:
        path = write(targets[-1])
        done = run("read", outer.url + path.name, "v", "-o", tmp_path / "o.npy", "--allow-host", name)
        assert done.returncode == 0, done.stderr
        np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), np.arange(16))
    # A local set may name this machine's networks, also by a redirect.
    done = run("read", write(f"{outer.url}to?{inner_address}"), "v", "-o", tmp_path / "o.npy")
    assert done.returncode == 0, done.stderr


def test_a_server_does_not_hand_out_what_it_may_not_read(write, web, tmp_path):
    link = tmp_path / "sets" / "granule.bin"
    link.symlink_to("/etc/passwd")
    path = write(write.beside + "granule.bin")
    server = subprocess.Popen([UPWELL, "serve", f"s={path}", "--bind", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().split()[-1]
        for view in ["zarr", "kerchunk"]:
            with pytest.raises(urllib.error.HTTPError) as error:
                urllib.request.urlopen(f"{url}datasets/s/{view}/v/0", timeout=20)
            assert error.value.code in (403, 502)
            assert b"root:" not in error.value.read()
    finally:
        server.terminate()
        server.wait(20)


def test_granules_name_no_more_than_sets(tmp_path):
    secret = tmp_path / ".keys"
    secret.mkdir()
    (secret / "raw").write_bytes(bytes(range(16)))
    with h5py.File(tmp_path / "a.h5", "w") as h:
        for name, target in [("passwd", "/etc/passwd"), ("key", str(secret / "raw")), ("fine", str(tmp_path / "raw"))]:
            h.create_dataset(name, (16,), "u1", external=[(target, 0, 16)])
    (tmp_path / "raw").write_bytes(bytes(range(16)))
    done = run("info", tmp_path / "a.h5")
    assert "--allow-root /etc allows it" in done.stdout + done.stderr
    for name in ["passwd", "key"]:
        assert run("read", tmp_path / "a.h5", name, "-o", tmp_path / "o.npy").returncode != 0
    done = run("read", tmp_path / "a.h5", "fine", "-o", tmp_path / "o.npy")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), np.arange(16))


def test_every_command_takes_the_options(tmp_path):
    for command in ["info", "read", "serve", "virtualize", "append"]:
        text = run(command, "--help").stdout
        assert "--allow-host" in text and "--allow-root" in text
    done = run("info", tmp_path / "x.json", "--allow-root", tmp_path / "absent")
    assert done.returncode == 64

"""Scans and slices over an emulated wide-area link: two network namespaces joined by bench/wan.cpp, nginx in one of them.

Bytes and requests are those of nginx's log. Needs root, TUN and network namespaces; where these cannot be had it says so.
"""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import h5py
import numpy as np

ROUND_TRIP_MS, MBIT = 40, 400
SERVER = "10.91.0.2:8080"
SLICE = (300000, 312000)  # 2 % of the photons of one beam
SLICED = ("lat_ph", "lon_ph", "h_ph")

NGINX = """
daemon off; user root; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{ log_format traffic '$bytes_sent'; access_log {dir}/traffic.log traffic; sendfile on; tcp_nodelay on; keepalive_requests 1000000;
client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
server {{ listen {server}; root {root}; }} }}
"""


def make_granule(path):
    """As ATL03: six beams of ten variables at photon rate and 25 at segment rate, small chunks, version 1 B-trees."""
    random = np.random.default_rng(11)
    photons, segments = 600000, 30000
    how = {"chunks": (10000,), "compression": 6, "shuffle": True}
    with h5py.File(path, "w", libver="earliest") as f:
        for beam in ("gt1l", "gt1r", "gt2l", "gt2r", "gt3l", "gt3r"):
            heights, geolocation = f.create_group(f"{beam}/heights"), f.create_group(f"{beam}/geolocation")
            along = np.linspace(20, 60, photons) + random.normal(0, 1e-6, photons)
            for n, name in enumerate(("lat_ph", "lon_ph", "delta_time", "dist_ph_along")):
                heights.create_dataset(name, data=along * (n + 1), **how)
            for name in ("h_ph", "dist_ph_across"):
                heights.create_dataset(name, data=random.normal(100, 30, photons).astype("f4"), **how)
            for name in ("ph_id_channel", "ph_id_count", "ph_id_pulse", "quality_ph"):
                heights.create_dataset(name, data=random.integers(0, 9, photons).astype("i1"), **how)
            for n in range(25):
                variable = geolocation.create_dataset(f"seg_{n:02d}", data=np.cumsum(random.normal(size=segments)), **how)
                variable.attrs["units"] = "1"
                variable.attrs["description"] = "a variable at segment rate, described at some length " * 4


class Link:
    """The running link."""

    def __init__(self, directory):
        self.log = directory / "traffic.log"
        self.client = f"upwell-{os.getpid()}-c"[-14:]
        self.server = f"upwell-{os.getpid()}-s"[-14:]

    def inside(self, command):
        return ["ip", "netns", "exec", self.client, *command]

    def received(self):
        """Bytes that have come to the client so far, with all headers of all layers above the link."""
        shown = subprocess.run(["ip", "-n", self.client, "-j", "-s", "link", "show", "dev", f"{self.client}0"], check=True, capture_output=True)
        return json.loads(shown.stdout)[0]["stats64"]["rx"]["bytes"]

    @contextlib.contextmanager
    def traffic(self):
        """Adds requests and bytes of what happens inside to the dictionary that it gives."""
        before = self.log.read_text().splitlines() if self.log.is_file() else []
        counted = {}
        yield counted
        time.sleep(0.1)
        lines = self.log.read_text().splitlines()[len(before):]
        counted.update(requests=len(lines), bytes=sum(map(int, lines)))


def why_not():
    """Why there can be no emulated link here; None when there can."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.path.exists("/dev/net/tun"):
        return "no /dev/net/tun"
    for program in ("ip", "nginx", "g++"):
        if shutil.which(program) is None:
            return f"no {program}"
    return None


@contextlib.contextmanager
def link(directory):
    """The two namespaces, joined."""
    program = directory / "wan"
    source = pathlib.Path(__file__).with_name("wan.cpp")
    subprocess.run(["g++", "-O2", "-std=c++20", str(source), "-o", str(program)], check=True)
    made = Link(directory)
    command = [str(program), made.client, made.server, str(ROUND_TRIP_MS), str(MBIT)]
    wan = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if wan.stdout.readline().strip() != "ready":
            raise OSError(wan.stderr.read().strip() or "the link did not come up")
        yield made
    finally:
        end(wan)


@contextlib.contextmanager
def server(directory, root, wide):
    """nginx on the far side."""
    conf = directory / "wan-nginx.conf"
    conf.write_text(NGINX.format(dir=directory, root=root, server=SERVER))
    nginx = subprocess.Popen(["ip", "netns", "exec", wide.server, "nginx", "-p", str(directory), "-c", str(conf)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for _ in range(50):
            if (directory / "nginx.pid").is_file() and (directory / "nginx.pid").read_text().strip():
                break
            if nginx.poll() is not None:
                raise OSError(nginx.stderr.read().decode().strip())
            time.sleep(0.1)
        yield
    finally:
        end(nginx)


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


def bench(run_in, directory, check_same_references, rounds):
    """run_in(link, kind, *arguments) runs "upwell" or "peer" inside; gives its Sample. Rows of times and of bytes, or none."""
    reason = why_not()
    if reason:
        print(f"remote: skipped, no emulated link here: {reason}", file=sys.stderr)
        return []
    served = directory / "served"
    served.mkdir()
    make_granule(served / "granule.h5")
    os.utime(served / "granule.h5", (1.7e9, 1.7e9))  # what is a moment old is not kept
    url = f"http://{SERVER}/granule.h5"
    with contextlib.ExitStack() as stack:
        try:
            wide = stack.enter_context(link(directory))
            stack.enter_context(server(directory, served, wide))
        except OSError as problem:
            print(f"remote: skipped, no emulated link here: {problem}", file=sys.stderr)
            return []
        figures = {}

        def measure(name, kind, *arguments):
            with wide.traffic() as traffic:
                sample = run_in(wide, kind, *arguments)
            figures.setdefault((name, kind), []).append((sample.inner, traffic["bytes"] / 1e6, traffic["requests"]))
            return sample

        first, last = SLICE
        read = ("read", url, *(f"gt1l/heights/{name}" for name in SLICED), "--isel", f"0={first}:{last}")  # along the first axis, as h5py

        def check_slice(ours, theirs):
            lines = [line for line in ours.splitlines() if " mean " in line]
            for name, line in zip(SLICED, lines, strict=True):
                mean = float(line.split()[-1])
                if abs(mean - theirs[name]) > 1e-6 * abs(theirs[name]):
                    raise SystemExit(f"{name}: {mean} and {theirs[name]} differ")

        for number in range(rounds):
            # Nobody has seen the granule before; then each does the same again, which the peer has no means to do faster. Both write the
            # references to a file and wait for no disk.
            kept = directory / f"index-{number}"
            for again in ("", " again"):
                out, peer_out = directory / "remote.json", directory / "remote-peer.json"
                measure("scan" + again, "upwell", "virtualize", url, "-o", str(out), "--no-sync", "--index-cache", str(kept / "scan"))
                measure("scan" + again, "peer", "remote_scan", url, peer_out)
                check_same_references(out, peer_out)
                theirs = measure("slice" + again, "peer", "remote_slice", url, first, last, *SLICED).result
                check_slice(measure("slice" + again, "upwell", *read, "--index-cache", str(kept / "slice")).result, theirs)
    rows = []
    where = f"{ROUND_TRIP_MS} ms, {MBIT} Mbit/s"
    scan, sliced = "remote scan, ATL03-like", "remote 2 % slice of three variables"
    kerchunk, h5py_blocks = "kerchunk, 4 MiB block cache", "h5py + fsspec, 4 MiB block cache"
    for name, work, peer in (("scan", scan, kerchunk), ("scan again", scan + ", the second time", kerchunk), ("slice", sliced, h5py_blocks),
                             ("slice again", sliced + ", the second time", h5py_blocks)):
        ours, theirs = figures[name, "upwell"], figures[name, "peer"]
        note = f"{where}; {ours[0][2]} against {theirs[0][2]} requests"
        rows.append((work, peer, [o[0] for o in ours], [t[0] for t in theirs], "s", note))
        rows.append((f"{work}: bytes", peer, [o[1] for o in ours], [t[1] for t in theirs], "MB", ""))
    return rows

"""The fake as a fixture of pytest, and for other programs that start it. Standard library only."""

import json
import os
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from .names import environment_of

HERE = pathlib.Path(__file__).resolve().parent
ENTITLED = {"basic": {"urs"}, "bearer": {"urs", "cmr", "podaac", "nsidc"}, "aws": {"s3"}}  # who may see what


class Earthdata:
    """A running fake; `started` is what it printed."""

    def __init__(self, started, process):
        self.started, self.process = started, process
        self.ca, self.user, self.password = started["ca"], started["user"], started["password"]
        self.hosts = started["hosts"]

    def control(self, method, path, value=None):
        body = value if isinstance(value, bytes) else json.dumps(value).encode() if value is not None else None
        request = urllib.request.Request(self.started["control"] + path, body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as problem:
            raise ValueError(problem.read().decode()) from None

    def environment(self, login=True):
        """For a client that takes hosts and authorities from its environment; without `login`, no credentials."""
        return environment_of(self.started, login)

    def url(self, role, path=""):
        return self.hosts[role]["url"] + path

    def fault(self, kind, **rule):
        """See faults.py."""
        self.control("POST", "/faults", {"kind": kind, **rule})

    def mend(self):
        self.control("DELETE", "/faults")

    def faults(self):
        return self.control("GET", "/faults")

    def log(self, since=0):
        return self.control("GET", f"/log?since={since}")

    def token(self, seconds=3600, user=None):
        """A token of that life; of 0, an expired one."""
        return self.control("POST", "/tokens", {"name": user or self.user, "seconds": seconds})["access_token"]

    def set_user(self, name=None, **changes):
        return self.control("POST", "/users", {"name": name or self.user, **changes})

    def set(self, **settings):
        return self.control("POST", "/settings", settings)

    def granules(self, collection, action, **more):
        return self.control("POST", "/granules", {"collection": collection, "action": action, **more})

    def put(self, bucket, key, data):
        """An object; gives its address at the gateway, for clients of names under localhost."""
        self.control("PUT", f"/objects/{bucket}/{key}", data)
        return self.url("podaac", f"/{bucket}/{key}")

    def reset(self):
        self.control("POST", "/reset", {})

    def strayed(self, log=None):
        """The requests whose Authorization came to a host that it is not for."""
        entries = self.log() if log is None else log
        return [e for e in entries if e["authorization"] != "none" and e["role"] not in ENTITLED.get(e["authorization"], set())]

    def peer(self, code, *arguments, timeout=120, **environment):
        """Runs Python code in a child process for which NASA's names are this fake's (see peer.py). Gives what it printed as JSON."""
        prelude = f"from earthdata.peer import pretend\npretend({json.dumps(self.started['connect_to'])})\n"
        names = {name: value for name, value in os.environ.items() if not name.startswith(("EARTHDATA_", "AWS_", "NETRC"))}
        names |= {"SSL_CERT_FILE": self.ca, "REQUESTS_CA_BUNDLE": self.ca, "PYTHONPATH": str(HERE.parent), **environment}
        done = subprocess.run([sys.executable, "-c", prelude + code, *map(str, arguments)], env=names, capture_output=True, text=True,
                              timeout=timeout)
        if done.returncode:
            raise RuntimeError(f"{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def running(*options, python=sys.executable, command=()):
    """A fake with these options; `command` goes before it (ip netns exec NAME)."""
    process = subprocess.Popen([*command, python, "-m", "earthdata", *map(str, options)], cwd=HERE.parent, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the fake Earthdata did not start: status {process.wait(10)}")
        yield Earthdata(json.loads(line), process)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def earthdata_process():
    for package in ("aiohttp", "cryptography", "h5py", "netCDF4"):
        pytest.importorskip(package)
    with running() as fake:
        yield fake


@pytest.fixture
def earthdata(earthdata_process):
    """As new for every test."""
    earthdata_process.reset()
    return earthdata_process

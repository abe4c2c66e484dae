"""Passwords and signatures in URLs: no command prints them, and none writes them to a file."""

import json
import os
import shutil
import subprocess

import netCDF4
import numpy as np
import pytest

from http_servers import serving_files
from test_virtualize import UPWELL

WORD, SIGNATURE = "PASSMARK", "SIGMARK"


def write_granule(path, day, scale=0.1):
    with netCDF4.Dataset(path, "w") as granule:
        granule.createDimension("time", None)
        granule.createDimension("x", 4000)  # more than what is copied into sets
        time = granule.createVariable("time", "f8", ("time",))
        time.units = "days since 2000-01-01"
        time[:] = [day]
        sst = granule.createVariable("sst", "i2", ("time", "x"), zlib=True)
        sst.scale_factor = scale
        sst.set_auto_scale(False)
        sst[:] = np.random.default_rng(day).integers(0, 30000, (1, 4000))


class World:
    """Granules behind URLs that hold a password, a signature or both; and a folder that commands write to."""

    def __init__(self, base, folder, user, query):
        self.base, self.folder, self.inputs = base, folder, folder / "inputs"
        self.prefix, self.query = base.replace("://", f"://bob:{WORD}@") if user else base, query
        self.inputs.mkdir()
        (folder / "out").mkdir()
        self.environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "out/cache"), "HOME": str(folder / "out")}

    def url(self, name):
        return f"{self.prefix}/{name}{self.query}"

    def run(self, *arguments):
        """What it printed; nothing of it, and no file that it wrote, holds a secret."""
        done = subprocess.run([UPWELL, *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd=self.folder / "out",
                              env=self.environment)
        printed = done.stdout + done.stderr
        for secret in (WORD, SIGNATURE):
            assert secret not in printed, f"{arguments[0]}: {printed}"
            for path in (self.folder / "out").rglob("*"):
                assert secret not in str(path) and not (path.is_file() and secret.encode() in path.read_bytes()), f"{arguments}: {path}"
        return done

    def set_with(self, name, last="b.nc", inline=500):
        """A reference set that another program, or an older Upwell, has made of such URLs."""
        plain = self.inputs / "plain.json"
        done = subprocess.run([UPWELL, "virtualize", f"{self.base}/a.nc", f"{self.base}/b.nc", "-o", plain, "--inline-threshold", str(inline)],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        text = plain.read_text().replace(self.base, self.prefix).replace('.nc"', f'.nc{self.query}"').replace("/b.nc", "/" + last)
        (self.inputs / name).write_text(text)
        return self.inputs / name


@pytest.fixture(params=[(True, ""), (False, "?X-Amz-Signature=" + SIGNATURE), (True, "?Expires=1&sv=2020&sig=" + SIGNATURE)],
                ids=["password", "signature", "both"])
def world(request, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for day, name in enumerate(("a.nc", "b.nc", "c.nc", "d.nc")):
        write_granule(data / name, day, scale=0.2 if name == "d.nc" else 0.1)
    (data / "page.nc").write_text("<html>log in</html>")
    (data / "broken.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + b"x" * 100)
    with serving_files(data) as base:
        yield World(base, tmp_path, *request.param)


def test_commands_of_granules(world):
    for name in ("a.nc", "gone.nc", "page.nc", "broken.nc"):
        url = world.url(name)
        status = 0 if name == "a.nc" else None
        for command in (["info", url], ["info", url, "--json"], ["read", url, "sst"], ["read", url, "sst", "-o", "sst.nc"],
                        ["doctor", url], ["doctor", url, "--json"], ["compare", url, url], ["compare", url, url, "--json"],
                        ["login", "--check", url], ["aggregate", url, "--reduce", "time:mean", "-o", "mean.nc"]):
            done = world.run(*command)
            assert status is None or done.returncode == 0 or command[0] == "login", done.stderr
        world.run("read", url, "nope")
        world.run("compare", url, world.url("b.nc"))
        world.run("download", url, "--json")
        world.run("aggregate", world.url("a.nc"), url, "--reduce", "time:mean", "-o", "mean.nc")
    world.run("info", world.url("a.nc"), world.url("b.nc"))
    world.run("download", world.url("a.nc"), world.url("x/a.nc"))
    world.run("search", "--cmr-host", world.url("a.nc"), "--short-name", "x")


def test_granules_that_differ(world):
    urls = [world.url(name) for name in ("a.nc", "b.nc", "d.nc")]
    for drift in ("keep", "refuse", "skip"):
        done = world.run("aggregate", *urls, "--reduce", "time:mean", "-o", "mean.nc", "--on-drift", drift)
        assert "scale_factor" in done.stderr and "d.nc" in done.stderr, done.stderr


def test_sets_that_hold_secrets_are_read_and_judged(world):
    for name, last in (("good.json", "b.nc"), ("gone.json", "gone.nc"), ("other.json", "c.nc")):
        cube = world.set_with(name, last)
        for command in (["verify", cube], ["verify", cube, "--all", "--json"], ["info", cube], ["info", cube, "--json"], ["read", cube, "sst"],
                        ["doctor", cube], ["aggregate", cube, "--reduce", "time:mean", "-o", "mean.nc"]):
            done = world.run(*command, "--allow-host", "127.0.0.1")
            assert name != "good.json" or done.returncode == 0, done.stderr
            assert command[0] != "verify" or last in done.stdout or name == "good.json"
        world.run("read", cube, "sst")


def test_no_set_is_made_that_holds_secrets(world):
    urls, local = [world.url(name) for name in ("a.nc", "b.nc", "c.nc")], ("--allow-host", "127.0.0.1")
    said = "holds a user name or password" if "@" in urls[0] else "holds a signature, token or key"
    for output in ("c.json", "c.parq", "c.upwell", "s3://bucket/c.json"):
        done = world.run("virtualize", *urls, "-o", output, "--report", "report.json")
        assert done.returncode == 64 and said in done.stderr and not (world.folder / "out" / output).exists()
    assert said in json.loads((world.folder / "out/report.json").read_text())["error"]
    cube = world.set_with("given.json")
    for command in (["virtualize", cube, "-o", "d.json"], ["append", cube, world.base + "/c.nc", "-o", "d.json"],
                    ["virtualize", world.base + "/a.nc", "-o", "d.json", "--also-at", f"{world.base}/={world.url('')}"]):
        done = world.run(*command, *local)
        assert done.returncode == 64 and said in done.stderr, done.stderr
    plain = world.folder / "out/plain.json"
    shutil.copy(world.inputs / "plain.json", plain)
    before = plain.read_bytes()
    done = world.run("append", plain, world.url("c.nc"))
    assert done.returncode == 64 and said in done.stderr and plain.read_bytes() == before


def test_granules_of_which_all_is_copied_count_too(world):
    done = world.run("append", world.set_with("copied.json", inline=20000), "--remove", "*b.nc*", "-o", "less.json", "--allow-host", "127.0.0.1")
    assert done.returncode == 64 and "a.nc" in done.stderr, done.stderr


def test_a_prefix_takes_the_user_out(world):
    if world.query:
        return
    done = world.run("virtualize", world.url("a.nc"), world.url("b.nc"), "-o", "c.json", "--url-prefix", f"{world.prefix}/={world.base}/")
    assert done.returncode == 0, done.stderr
    assert f"{world.base}/a.nc" in (world.folder / "out/c.json").read_text()


@pytest.fixture
def plain_world(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    write_granule(data / "a.nc", 0)
    with serving_files(data) as base:
        yield World(base, tmp_path, False, "")


@pytest.mark.parametrize("name", ["token", "access_token", "apikey", "key", "X-Amz-Security-Token", "sig", "x-amz-signature", "signature", "SIGNATURE", "%74oken"])
def test_every_name_of_a_secret_is_refused_and_blotted(plain_world, name):
    url = f"{plain_world.base}/a.nc?format=nc&{name}={SIGNATURE}"
    for output in ("c.json", "c.parq", "c.upwell", "c.zarr"):
        done = plain_world.run("virtualize", url, "-o", output)
        assert done.returncode == 64 and "holds a signature, token or key" in done.stderr, done.stderr
    plain = plain_world.folder / "out/plain.json"
    assert plain_world.run("virtualize", plain_world.base + "/a.nc", "-o", plain).returncode == 0
    assert plain_world.run("append", plain, url).returncode == 64
    for command in (["info", url], ["verify", url], ["doctor", url, "--json"]):
        plain_world.run(*command)


@pytest.mark.parametrize("query", ["service=WCS&format=nc", "version=1", "cycle=5&pass=12", "keyword=token", "code=KJFK"])
def test_ordinary_queries_stay(plain_world, query):
    done = plain_world.run("virtualize", f"{plain_world.base}/a.nc?{query}", "-o", "c.json")
    assert done.returncode == 0, done.stderr
    assert query in (plain_world.folder / "out/c.json").read_text()


@pytest.mark.parametrize("url", [f"https://user:pa'{WORD}@127.0.0.1:1/x.nc", f"https://user:p/{WORD}@127.0.0.1:1/x.nc",
                                 f'https://user:p"/{WORD}@127.0.0.1:1/x.nc', f"https://me@org:p#{WORD}@127.0.0.1:1/x.nc",
                                 f"https://127.0.0.1:1/x.nc?a='1'&token={WORD}", f"https://127.0.0.1:1/x.nc#access_token={WORD}"])
def test_passwords_that_are_no_proper_urls(plain_world, url):
    for command in (["info", url], ["info", url, "--json"], ["read", url, "sst"], ["virtualize", url, "-o", "c.json"], ["download", url], ["download", url, "--json"],
                    ["verify", url], ["verify", url, "--json"], ["doctor", url], ["doctor", url, "--json"], ["compare", url, url],
                    ["compare", url, url, "--json"], ["aggregate", url, "--reduce", "time:mean", "-o", "m.nc"]):
        assert plain_world.run(*command, "--retries", "0").returncode != 0

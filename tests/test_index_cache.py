"""What scans of remote granules keep on disk: the second open is one request, and never another granule's."""

import functools
import json
import os
import subprocess

import h5py
import numpy as np
import pytest

from http_servers import RangeFiles, serving_with
from test_virtualize import UPWELL

REQUESTS = []


class CountingServer(RangeFiles):
    def answer(self, with_body):
        REQUESTS.append(self.headers.get("Range", self.command))
        super().answer(with_body)


def write_granule(path, seed=1):
    random = np.random.default_rng(seed)
    with h5py.File(path, "w", libver="earliest") as f:
        for beam in ("a", "b", "c"):
            group = f.create_group(f"{beam}/heights")
            for n in range(6):
                group.create_dataset(f"v{n}", data=random.normal(size=5_000), chunks=(500,), compression=4)
    os.utime(path, (1.5e9 + seed, 1.5e9 + seed))


@pytest.fixture
def url(tmp_path):
    (tmp_path / "served").mkdir()
    write_granule(tmp_path / "served/granule.h5")
    with serving_with(functools.partial(CountingServer, directory=str(tmp_path / "served"))) as server:
        yield f"{server.url}/granule.h5"


def run(*command, environment={}, status=0):
    REQUESTS.clear()
    done = subprocess.run([UPWELL, *map(str, command), "--stats", "-q"], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})
    assert done.returncode == status, done.stderr
    stats = json.loads(done.stderr.splitlines()[-1])
    local = 0 if str(command[1]).startswith("http") else 10  # reads of a local reference set count, too
    assert len(REQUESTS) <= stats["requests"] <= len(REQUESTS) + local
    return done.stdout, stats


def kept_files(directory):
    return [p for p in directory.rglob("*") if p.is_file() and p.name != "usage"]


def test_the_scale_of_an_array_is_read_along_with_it(tmp_path):
    """The header of a scale goes on in three other places, one for each list of who refers to it. That it is wanted comes out last."""
    random = np.random.default_rng(3)
    path = tmp_path / "granule.h5"
    with h5py.File(path, "w", libver="earliest") as f:
        heights = f.create_group("beam/heights")
        for name in ("delta_time", "a", "b", "c", "d", "e", "g", "h"):
            variable = heights.create_dataset(name, data=random.normal(size=300_000), chunks=(5000,), compression=4)
            variable.attrs["description"] = "a variable of this rate, described at some length " * 4
            if name == "delta_time":
                variable.make_scale(name)
            else:
                variable.dims[0].attach_scale(heights["delta_time"])
    with serving_with(functools.partial(CountingServer, directory=str(tmp_path))) as server:
        shown, cost = run("read", f"{server.url}/granule.h5", "beam/heights/h")
    assert "h (delta_time) [300000]" in shown
    assert cost["rounds"] == 5


def test_the_second_open_is_one_request(url, tmp_path):
    first, cost = run("info", url)
    assert cost["requests"] > 10 and cost["rounds"] >= 3
    second, cost = run("info", url)
    assert second == first and cost["requests"] == 1 and cost["rounds"] == 1
    # Every command that scans; what it reads of chunks comes on top.
    run("virtualize", url, "-o", tmp_path / "first.json", "--index-cache", "none")
    run("virtualize", url, "-o", tmp_path / "second.json", "--inline-threshold", 0)
    assert len(REQUESTS) == 1
    refs = [json.loads((tmp_path / name).read_text())["refs"] for name in ("first.json", "second.json")]
    assert refs[0].keys() == refs[1].keys()
    truth, _ = run("read", url, "b/heights/v3", "--isel", "0=700:800", "--index-cache", "none")
    values, cost = run("read", url, "b/heights/v3", "--isel", "0=700:800")
    assert values == truth and cost["requests"] == 2
    doctor, _ = run("doctor", url, "--json", "--index-cache", "none")
    again, cost = run("doctor", url, "--json")
    assert json.loads(again) == json.loads(doctor)
    assert len([r for r in REQUESTS if r != "HEAD"]) == 1


def test_a_part_first_then_the_whole(url):
    whole, _ = run("info", url, "--index-cache", "none")
    run("read", url, "a/heights/v1", "--isel", "0=0:10")
    text, part = run("info", url)
    assert text == whole and part["requests"] > 1
    text, cost = run("info", url)
    assert text == whole and cost["requests"] == 1


def test_another_granule_at_the_same_place_is_read_anew(url, tmp_path):
    before, _ = run("info", url)
    with h5py.File(tmp_path / "served/granule.h5", "a") as f:
        f["b/heights/v3"].attrs["units"] = "m"
    os.utime(tmp_path / "served/granule.h5", (1.6e9, 1.6e9))
    after, cost = run("info", url)
    assert after != before and "units = m" in after and cost["requests"] > 1


def test_damage_is_read_over(url, tmp_path):
    cache = tmp_path / "index"
    truth, _ = run("info", url, "--index-cache", cache)
    (file,) = kept_files(cache)
    assert file.stat().st_mode & 0o777 == 0o600 and cache.stat().st_mode & 0o777 == 0o700
    good = file.read_bytes()
    for damaged in (good[:100], good[:-1], good[:400] + bytes([good[400] ^ 1]) + good[401:], b"", good + b"x"):
        file.write_bytes(damaged)
        text, cost = run("info", url, "--index-cache", cache)
        assert text == truth and cost["requests"] > 1
        assert file.read_bytes() == good


def test_what_may_hold_a_secret_or_has_just_changed_is_not_kept(url, tmp_path):
    for source in (url + "?signature=abc", url.replace("//", "//me:word@")):
        run("info", source, "--index-cache", tmp_path / "index")
        assert kept_files(tmp_path / "index") == []
    os.utime(tmp_path / "served/granule.h5")
    run("info", url, "--index-cache", tmp_path / "index")
    assert kept_files(tmp_path / "index") == []


def test_where_it_lies_and_how_it_is_turned_off(url, tmp_path):
    home, cache = tmp_path / "home", tmp_path / "xdg"
    run("info", url, environment={"XDG_CACHE_HOME": str(cache)})
    assert len(kept_files(cache / "upwell/index")) == 1
    run("info", url, environment={"XDG_CACHE_HOME": "", "HOME": str(home)})
    assert len(kept_files(home / ".cache/upwell/index")) == 1
    run("info", url, environment={"XDG_CACHE_HOME": str(tmp_path / "other"), "UPWELL_INDEX_CACHE": "none"})
    assert not (tmp_path / "other").exists()
    (tmp_path / "file").write_text("")
    text, _ = run("info", url, "--index-cache", tmp_path / "file/index")  # cannot be made: harms nothing
    assert "v3" in text


def test_many_at_once(url, tmp_path):
    truth, _ = run("info", url, "--index-cache", "none")
    command = [UPWELL, "info", url, "--index-cache", str(tmp_path / "index"), "-q"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    assert [p.communicate(timeout=120)[0] for p in running] == [truth] * 8
    _, cost = run("info", url, "--index-cache", tmp_path / "index")
    assert cost["requests"] == 1


def test_verify_does_not_believe_it(url, tmp_path):
    run("virtualize", url, "-o", tmp_path / "cube.json")
    _, cost = run("verify", tmp_path / "cube.json", "--all")
    assert cost["requests"] > 10

"""Upwell's own form in S3: written and changed there as on a file system, safely under readers and beside other writers.

The truth is the local store that was made in the same way, and xarray decoding every granule alone.
"""

import json
import os
import random
import signal
import subprocess
import threading

import numpy as np
import pytest

from s3_tap import tapping
from test_own_form import Drift, random_drift, truth_of, write_all
from test_s3 import UPWELL, run_with, server  # noqa: F401, a fixture
from test_virtualize import bits

NAMES = ("v", "w", "n")
KEEP = ("--on-drift", "keep", "-q")
FILES = ("part.json", "granules.arrow", "chunks.arrow", "inline.arrow")


class Bucket:
    """A bucket of its own, with a program that may be sent through a tap."""

    def __init__(self, server, name):
        self.server, self.name, self.client = server, name, server.client()
        self.client.create_bucket(Bucket=name)

    def url(self, key):
        return f"s3://{self.name}/{key}"

    def upload(self, paths):
        for path in paths:
            self.client.upload_file(str(path), self.name, f"g/{path.name}")
        return [self.url(f"g/{path.name}") for path in paths]

    def upwell(self, *arguments, status=0, tap=None, **more):
        environment = tap.environment(self.server) if tap else self.server.environment
        run = run_with({**environment, **more}, UPWELL, *arguments)
        assert run.returncode == status, f"status {run.returncode}\n{run.stderr}"
        return run

    def start(self, *arguments, tap=None):
        environment = tap.environment(self.server) if tap else self.server.environment
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return subprocess.Popen([str(a) for a in (UPWELL, *arguments)], env={**clean, **environment},
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def objects(self, prefix):
        """Key below the prefix: bytes."""
        out = {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
            for entry in page.get("Contents", []):
                out[entry["Key"].removeprefix(prefix)] = self.client.get_object(
                    Bucket=self.name, Key=entry["Key"])["Body"].read()
        return out

    def restore(self, prefix, objects):
        for key in self.objects(prefix):
            if key not in objects:
                self.client.delete_object(Bucket=self.name, Key=prefix + key)
        for key, body in objects.items():
            self.client.put_object(Bucket=self.name, Key=prefix + key, Body=body)

    def values(self, store, tmp_path, name="v"):
        out = tmp_path / "read.npy"
        out.unlink(missing_ok=True)
        self.upwell("read", store, name, "-o", out, "-q")
        return np.load(out)


@pytest.fixture
def bucket(server, request):  # noqa: F811
    return Bucket(server, "b" + "".join(c for c in request.node.name.lower() if c.isalnum())[:40])


def manifest_of(objects):
    return json.loads(objects["manifest.json"])


def named(objects, member="parts"):
    return [p["name"] if member == "parts" else p[0] for p in manifest_of(objects).get(member, [])]


def check_only_named(objects):
    """Every object of the store belongs to the manifest, whole, and nothing is missing."""
    manifest = manifest_of(objects)
    for part in manifest["parts"]:
        for file, size in part["files"].items():
            assert len(objects[f"{part['name']}/{file}"]) == size
    known = {*named(objects), *named(objects, "superseded")}
    assert {key.split("/")[0] for key in objects} == {"manifest.json", *known}


def age(objects):
    """The same store, with what is superseded no more needed by anybody."""
    manifest = manifest_of(objects)
    for part in manifest.get("superseded", []):
        part[1] = 1_000_000_000
    return {**objects, "manifest.json": json.dumps(manifest).encode()}


def check_as_local(bucket, tmp_path, key, local):
    """The same bytes in the same parts, under other names; the same values."""
    objects = bucket.objects(f"{key}/")
    remote, here = manifest_of(objects), json.loads((local / "manifest.json").read_text())
    assert len(remote["parts"]) == len(here["parts"])
    for a, b in zip(remote["parts"], here["parts"]):
        for file in b["files"]:
            assert objects[f"{a['name']}/{file}"] == (local / b["name"] / file).read_bytes(), (a, file)
        assert {**a, "name": ""} == {**b, "name": ""}
    for manifest in (remote, here):
        for member in ("parts", "superseded"):
            manifest.pop(member, None)
    assert remote == here
    check_only_named(objects)
    for name in NAMES:
        there = bucket.values(bucket.url(key), tmp_path, name)
        mine = bucket.values(local, tmp_path, name)
        assert there.dtype == mine.dtype and bits(there) == bits(mine)


def drifts_of(seed, count):
    rng = random.Random(seed)
    drifts = [random_drift(rng) for _ in range(count)]
    for drift in drifts:
        drift.time_type, drift.count_type = "f8", "i4"
    return drifts


def test_every_change_gives_the_store_that_it_gives_locally(bucket, tmp_path):
    granules = write_all(tmp_path, drifts_of(11, 8))
    urls = bucket.upload(granules)
    local = tmp_path / "cube.upwell"

    def both(*arguments, store_last=False):
        for store in (bucket.url("cube.upwell"), local):
            at = ("-o", store) if store_last else ()
            command, *rest = arguments
            bucket.upwell(command, *(() if store_last else (store,)), *rest, *at, *KEEP)
        check_as_local(bucket, tmp_path, "cube.upwell", local)

    both("virtualize", *urls[1:3], store_last=True)
    both("append", urls[3])                              # at the end
    both("append", urls[6], urls[7])
    before = bucket.objects("cube.upwell/")
    assert "nothing to do" in bucket.upwell("append", bucket.url("cube.upwell"), *urls[6:], "--on-drift", "keep").stderr
    assert bucket.objects("cube.upwell/") == before      # twice changes nothing
    both("append", urls[4], urls[5])                     # in between
    both("append", urls[0])                              # before the first
    truth = truth_of(tmp_path, granules)
    for name in NAMES:
        assert bits(bucket.values(bucket.url("cube.upwell"), tmp_path, name)) == bits(truth[name])
    both("append", "--remove", granules[3].name)
    start = sum(d.length for d in drifts_of(11, 8)[:5])
    new = Drift(length=drifts_of(11, 8)[5].length, scale=0.125, time_units="seconds since 1970-01-01")
    anew = bucket.upload([new.write(tmp_path / "anew.nc", start)])
    run = bucket.upwell("append", bucket.url("cube.upwell"), *anew, *KEEP, status=65)
    assert "--on-overlap" in run.stderr
    before = bucket.objects("cube.upwell/")
    bucket.upwell("append", bucket.url("cube.upwell"), *anew, *KEEP, "--on-overlap", "skip")
    assert bucket.objects("cube.upwell/") == before
    both("append", *anew, "--on-overlap", "replace")
    left = [*granules[:3], granules[4], tmp_path / "anew.nc", *granules[6:]]
    truth = truth_of(tmp_path, left)
    for name in NAMES:
        assert bits(bucket.values(bucket.url("cube.upwell"), tmp_path, name)) == bits(truth[name])
    bucket.upwell("verify", bucket.url("cube.upwell"), "--all")
    assert "no such granule" in bucket.upwell("append", bucket.url("cube.upwell"), "--remove", "none.nc", status=66).stderr


def test_one_store_in_the_place_of_another(bucket, tmp_path):
    granules = write_all(tmp_path, [Drift(), Drift(scale=0.5), Drift(offset=3.0)])
    urls = bucket.upload(granules)
    store = bucket.url("cube.upwell")
    bucket.upwell("virtualize", *urls[:2], "-o", store, *KEEP)
    first = named(bucket.objects("cube.upwell/"))
    bucket.upwell("virtualize", *urls[1:], "-o", store, *KEEP)
    objects = bucket.objects("cube.upwell/")
    check_only_named(objects)
    assert named(objects, "superseded") == first and not set(first) & set(named(objects))
    assert bits(bucket.values(store, tmp_path)) == bits(truth_of(tmp_path, granules[1:])["v"])
    # What is no store is not replaced, and a bucket that is not there is found out first.
    bucket.client.put_object(Bucket=bucket.name, Key="x.upwell/manifest.json", Body=b'{"of": "somebody"}')
    assert "manifest.json" in bucket.upwell("virtualize", *urls, "-o", bucket.url("x.upwell"), *KEEP, status=65).stderr
    assert bucket.objects("x.upwell/") == {"manifest.json": b'{"of": "somebody"}'}
    run = bucket.upwell("virtualize", *urls, "-o", "s3://no-such-bucket-here/x.upwell", *KEEP, status=66)
    assert "NoSuchBucket" in run.stderr
    assert "no-store.upwell" in bucket.upwell("append", bucket.url("no-store.upwell"), urls[0], status=66).stderr
    web = f"{bucket.server.url}/x.upwell"
    assert "cannot be written" in bucket.upwell("virtualize", *urls, "-o", web, *KEEP, status=65).stderr


def test_superseded_parts_stay_a_day_and_leftovers_go(bucket, tmp_path):
    granules = write_all(tmp_path, [Drift(length=1) for _ in range(6)])
    urls = bucket.upload(granules)
    store = bucket.url("cube.upwell")
    bucket.upwell("virtualize", *urls[:2], "-o", store, "-q")
    first = bucket.objects("cube.upwell/")
    bucket.upwell("append", store, "--remove", granules[0].name, "-q")
    objects = bucket.objects("cube.upwell/")
    assert named(objects, "superseded") == named(first)
    # A reader that holds the older manifest reads on.
    bucket.restore("old.upwell/", {**objects, "manifest.json": first["manifest.json"]})
    assert bits(bucket.values(bucket.url("old.upwell"), tmp_path)) == bits(truth_of(tmp_path, granules[:2])["v"])
    # Killed runs left these; the note is somebody's.
    for key in ("part-2-00000000deadbeef/chunks.arrow", "part-9/part.json", "notes.txt"):
        bucket.client.put_object(Bucket=bucket.name, Key=f"cube.upwell/{key}", Body=b"left")
    bucket.upwell("append", store, urls[1], "-q")  # nothing to do: nothing is touched
    assert "part-9/part.json" in bucket.objects("cube.upwell/")
    bucket.upwell("append", store, urls[2], "-q")
    objects = bucket.objects("cube.upwell/")
    assert objects.pop("notes.txt") == b"left"
    check_only_named(objects)
    assert set(named(first)) <= set(named(objects, "superseded"))
    bucket.restore("cube.upwell/", age(objects))
    bucket.upwell("append", store, urls[3], "-q")
    objects = bucket.objects("cube.upwell/")
    check_only_named(objects)
    assert not set(named(first)) & {key.split("/")[0] for key in objects}
    assert bits(bucket.values(store, tmp_path)) == bits(truth_of(tmp_path, granules[1:4])["v"])


def test_many_additions_leave_few_parts(bucket, tmp_path):
    granules = write_all(tmp_path, [Drift(length=1) for _ in range(14)])
    urls = bucket.upload(granules)
    store = bucket.url("cube.upwell")
    bucket.upwell("virtualize", urls[0], "-o", store, "-q", "--concat", "time")
    for url in urls[1:]:
        bucket.upwell("append", store, url, "-q")
    objects = bucket.objects("cube.upwell/")
    check_only_named(objects)
    assert len(named(objects)) <= 5
    assert bits(bucket.values(store, tmp_path)) == bits(truth_of(tmp_path, granules)["v"])


@pytest.mark.parametrize("command", ["append", "virtualize"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_every_write(bucket, tmp_path, command, moment):
    """kill -9 when a request that writes arrives, or when it is done and its answer is on the way."""
    granules = write_all(tmp_path, [Drift(length=2), Drift(scale=0.5), Drift(chunks=(2, 3, 4)), Drift(length=2)])
    urls = bucket.upload(granules)
    store = bucket.url("cube.upwell")
    bucket.upwell("virtualize", urls[0], "-o", store, "-q", "--concat", "time")
    bucket.upwell("append", store, urls[1], *KEEP)
    whole = age(bucket.objects("cube.upwell/"))
    if command == "append":
        arguments = ["append", store, urls[2], *KEEP]
        made_of = granules[:3]
    else:
        arguments = ["virtualize", *urls[1:3], "-o", store, *KEEP]
        made_of = granules[1:3]
    old, new = bits(truth_of(tmp_path, granules[:2])["v"]), bits(truth_of(tmp_path, made_of)["v"])
    held = {k: v for k, v in whole.items() if k.split("/")[0] in (*named(whole), "manifest.json")}
    killed = put = 0
    with tapping(bucket.server.url) as tap:
        for n in range(1, 60):
            bucket.restore("cube.upwell/", whole)
            process, count = None, [0]
            started, lock = threading.Event(), threading.Lock()

            def strike(request):
                started.wait(30)
                with lock:
                    count[0] += request.writes
                    if request.writes and count[0] == n:
                        process.send_signal(signal.SIGKILL)
                        process.wait(30)
                return process.poll() is None or process.returncode != -signal.SIGKILL

            tap.before, tap.after = (strike, None) if moment == "before" else (None, strike)
            process = bucket.start(*arguments, tap=tap)
            started.set()
            process.communicate(timeout=120)
            tap.settle()
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL
            killed += 1
            now = bucket.objects("cube.upwell/")
            put += now["manifest.json"] != whole["manifest.json"]
            assert bits(bucket.values(store, tmp_path)) == (old if now["manifest.json"] == whole["manifest.json"] else new), n
            bucket.upwell(*arguments)
            assert bits(bucket.values(store, tmp_path)) == new, n
            now = bucket.objects("cube.upwell/")
            # Who holds the manifest of before reads what it names.
            assert all(now[k] == v for k, v in held.items() if k != "manifest.json"), n
            bucket.upwell("append", store, urls[3], *KEEP)
            check_only_named(bucket.objects("cube.upwell/"))
    assert killed >= 9 and put >= 1  # four files, the manifest, four removals


def test_a_lost_answer_is_no_failure(bucket, tmp_path):
    """Each write goes through, and its answer never comes: the program asks again and is not misled."""
    granules = write_all(tmp_path, [Drift(length=2), Drift(scale=0.5)])
    urls = bucket.upload(granules)
    store = bucket.url("cube.upwell")
    truth = bits(truth_of(tmp_path, granules)["v"])
    with tapping(bucket.server.url) as tap:
        bucket.upwell("virtualize", urls[0], "-o", store, "-q", "--concat", "time")
        lost = set()

        def lose(request):
            if request.writes and request.path not in lost and 200 <= request.status < 300:
                lost.add(request.path)
                return False
            return True

        tap.after = lose
        bucket.upwell("append", store, urls[1], *KEEP, tap=tap)
        assert len(lost) >= 5
    assert bits(bucket.values(store, tmp_path)) == truth
    check_only_named(bucket.objects("cube.upwell/"))


def test_a_reader_during_append_sees_one_state(bucket, tmp_path):
    """The store changes right after a reader has read the manifest, and again after each of its next requests."""
    granules = write_all(tmp_path, [Drift(length=2, scale=0.5 + i) for i in range(8)])
    urls = bucket.upload(granules)
    store = bucket.url("cube.upwell")
    bucket.upwell("virtualize", *urls[:3], "-o", store, *KEEP)
    changes = [["append", store, urls[3], *KEEP], ["append", store, "--remove", granules[1].name, *KEEP],
               ["append", store, urls[1], *KEEP], ["virtualize", *urls[4:], "-o", store, *KEEP]]
    with tapping(bucket.server.url) as tap:
        lock = threading.Lock()

        def change(request):
            with lock:
                if "cube.upwell" in request.path and changes:
                    bucket.upwell(*changes.pop(0))
            return True

        tap.after = change
        out = tmp_path / "during.npy"
        bucket.upwell("read", store, "v", "-o", out, "-q", tap=tap)
    assert not changes
    assert bits(np.load(out)) == bits(truth_of(tmp_path, granules[:3])["v"])
    assert bits(bucket.values(store, tmp_path)) == bits(truth_of(tmp_path, granules[4:])["v"])


def test_writers_at_once_all_win_in_turn(bucket, tmp_path):
    granules = write_all(tmp_path, [Drift(length=1, scale=0.25 * (1 + i)) for i in range(7)])
    urls = bucket.upload(granules)
    store = bucket.url("cube.upwell")
    bucket.upwell("virtualize", urls[0], "-o", store, "-q", "--concat", "time")
    runs = [bucket.start("append", store, url, *KEEP) for url in urls[1:]]
    for run in runs:
        _, errors = run.communicate(timeout=120)
        assert run.returncode == 0, errors
    assert bits(bucket.values(store, tmp_path)) == bits(truth_of(tmp_path, granules)["v"])
    bucket.upwell("append", store, "--remove", granules[6].name, *KEEP)
    check_only_named(bucket.objects("cube.upwell/"))


def test_a_writer_that_is_overtaken_begins_again(bucket, tmp_path):
    """At the moment at which one would put its manifest, another run does everything."""
    granules = write_all(tmp_path, [Drift(length=2, scale=0.5 + i) for i in range(4)])
    urls = bucket.upload(granules)
    store = bucket.url("cube.upwell")
    bucket.upwell("virtualize", *urls[:2], "-o", store, *KEEP)
    with tapping(bucket.server.url) as tap:
        others = [["append", store, urls[3], *KEEP], ["append", store, "--remove", granules[0].name, *KEEP]]

        def overtake(request):
            if request.method == "PUT" and request.path.endswith("manifest.json") and others:
                bucket.upwell(*others.pop(0))
            return True

        tap.before = overtake
        bucket.upwell("append", store, urls[2], *KEEP, tap=tap)
        assert [r.status for r in tap.seen if r.method == "PUT" and r.path.endswith("manifest.json")] == [412, 412, 200]
        assert bits(bucket.values(store, tmp_path)) == bits(truth_of(tmp_path, granules[1:])["v"])
        check_only_named(bucket.objects("cube.upwell/"))
        # The same granule by both: the one that comes second has nothing to do.
        others = [["append", store, urls[0], *KEEP]]
        run = bucket.upwell("append", store, urls[0], "--on-drift", "keep", tap=tap)
        assert "nothing to do" in run.stderr
        # Two that make a store: one wins, and the other says so.
        for there in (False, True):
            others = [["virtualize", *urls[:2], "-o", bucket.url("new.upwell"), *KEEP]]
            run = bucket.upwell("virtualize", *urls[2:], "-o", bucket.url("new.upwell"), *KEEP, tap=tap, status=75)
            assert "another run" in run.stderr and not others
            assert bits(bucket.values(bucket.url("new.upwell"), tmp_path)) == bits(truth_of(tmp_path, granules[:2])["v"])
        bucket.upwell("append", bucket.url("new.upwell"), urls[2], *KEEP)
        check_only_named(bucket.objects("new.upwell/"))


def test_a_broken_manifest_can_be_replaced(bucket, tmp_path):
    granules = write_all(tmp_path, [Drift(), Drift()])
    urls = bucket.upload(granules)
    store = bucket.url("cube.upwell")
    bucket.upwell("virtualize", urls[0], "-o", store, *KEEP)
    whole = bucket.objects("cube.upwell/")["manifest.json"]
    for broken in (b"", whole[:len(whole) // 2], b'{"upwell":1}'):
        bucket.client.put_object(Bucket=bucket.name, Key="cube.upwell/manifest.json", Body=broken)
        assert "manifest.json" in bucket.upwell("append", store, urls[1], *KEEP, status=65).stderr
        bucket.upwell("virtualize", *urls, "-o", store, *KEEP)
        assert bits(bucket.values(store, tmp_path)) == bits(truth_of(tmp_path, granules)["v"])
        check_only_named(bucket.objects("cube.upwell/"))


def test_refusals_leave_the_store_as_it_is(bucket, tmp_path):
    granules = write_all(tmp_path, [Drift(), Drift(scale=0.5), Drift()])
    urls = bucket.upload(granules)
    store = bucket.url("cube.upwell")
    bucket.upwell("virtualize", urls[0], "-o", store, "-q", "--concat", "time")
    before = bucket.objects("cube.upwell/")
    bucket.upwell("append", store, urls[1], status=65)  # packed in another way
    assert bucket.objects("cube.upwell/") == before
    with tapping(bucket.server.url) as tap:
        # No part can be uploaded whole: what was is taken back.
        tap.before = lambda request: request.method != "PUT" or not request.path.endswith("chunks.arrow")
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        run = bucket.upwell("append", store, urls[2], "-q", "--retries", "0", tap=tap, status=75, TMPDIR=str(scratch))
        assert "chunks.arrow" in run.stderr
    assert bucket.objects("cube.upwell/") == before
    run = bucket.upwell("append", store, urls[2], "-q", status=73, TMPDIR=str(tmp_path / "nowhere"))
    assert "TMPDIR" in run.stderr
    bucket.upwell("append", store, urls[2], "-q", TMPDIR=str(scratch))
    assert not list(scratch.iterdir())


def test_what_may_not_be_removed_is_said(bucket, tmp_path):
    granules = write_all(tmp_path, [Drift(length=1) for _ in range(3)])
    urls = bucket.upload(granules)
    store = bucket.url("cube.upwell")
    bucket.upwell("virtualize", urls[0], "-o", store, "-q", "--concat", "time")
    bucket.client.put_object(Bucket=bucket.name, Key="cube.upwell/part-7/part.json", Body=b"left")
    denied = 403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    with tapping(bucket.server.url) as tap:
        tap.before = lambda request: denied if request.method == "DELETE" else True
        run = bucket.upwell("append", store, urls[1], tap=tap)
        assert "1 added" in run.stderr and "warning: what earlier runs left" in run.stderr and "AccessDenied" in run.stderr
        tap.before = lambda request: denied if "list-type" in request.path else True
        run = bucket.upwell("append", store, urls[2], tap=tap)
        assert "1 added" in run.stderr and "warning: what earlier runs left" in run.stderr
        # Who may not write hears it before anything is changed.
        before = bucket.objects("cube.upwell/")
        tap.before = lambda request: denied if request.method == "PUT" else True
        run = bucket.upwell("append", store, "--remove", granules[0].name, tap=tap, status=77)
        assert "AccessDenied" in run.stderr and bucket.objects("cube.upwell/") == before
    assert bits(bucket.values(store, tmp_path)) == bits(truth_of(tmp_path, granules)["v"])

"""upwell search: all that a catalogue has, each once, in memory that stays the same; what goes wrong with it is said."""

import http.server
import json
import os
import subprocess

import netCDF4
import numpy as np
import pytest

from cmr_server import collection, granule, serving_catalogue
from http_servers import serving_files, serving_with
from test_virtualize import UPWELL


def search(server, *arguments, status=0, env=(), program=(UPWELL,)):
    environment = {**os.environ, "CMR_HOST": server.url, **dict(env)}
    if "EARTHDATA_TOKEN" not in dict(env):
        environment.pop("EARTHDATA_TOKEN", None)
    run = subprocess.run([*program, "search", *map(str, arguments)], capture_output=True, text=True, timeout=120, env=environment)
    assert run.returncode == status, f"status {run.returncode}\n{run.stdout[:2000]}\n{run.stderr[:2000]}"
    return run


def stats(run):
    return json.loads(run.stderr.splitlines()[-1])


MUR = ("--short-name", "MUR")


def test_table_urls_and_json_tell_of_the_same_granules():
    with serving_catalogue(count=5) as server:
        table = search(server, *MUR).stdout.splitlines()
        assert len(table) == 5
        assert table[0].split() == ["20020601090000-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1", "2002-06-01T00:00:00Z", "400", "MB",
                                    "https://archive.example/protected/20020601090000-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1.nc"]
        urls = search(server, *MUR, "--format", "urls").stdout.splitlines()
        assert urls == [line.split()[-1] for line in table]
        s3 = search(server, *MUR, "--format", "s3-urls").stdout.splitlines()
        assert s3 == [u.replace("https://archive.example/", "s3://") for u in urls]
        lines = [json.loads(line) for line in search(server, *MUR, "--format", "json").stdout.splitlines()]
        assert [g["data"][0]["https"] for g in lines] == urls and [g["data"][0]["s3"] for g in lines] == s3
        assert lines[3]["data"][0]["size"] == 400_000_003
        assert lines[3]["data"][0]["checksum"] == {"algorithm": "MD5", "value": f"{3:032x}"}
        assert lines[0]["bbox"] == [-180, -90, 180, 90]
        umm = [json.loads(line) for line in search(server, *MUR, "--format", "umm").stdout.splitlines()]
        assert umm == [granule(n) for n in range(5)]
        assert search(server, *MUR, "--count").stdout == "5\n"
        tif = search(server, *MUR, "--format", "urls", "--format-preference", "tif").stdout.splitlines()
        assert all(u.endswith(".tif") for u in tif) and len(tif) == 5
        assert [r["given"]["page_size"] for r in server.seen if "granules" in r["path"]][:1] == [["2000"]]


def test_stac_items_are_whole():
    with serving_catalogue(count=2) as server:
        items = [json.loads(line) for line in search(server, *MUR, "--format", "stac").stdout.splitlines()]
    for n, item in enumerate(items):
        assert item["type"] == "Feature" and item["stac_version"] == "1.1.0" and item["collection"] == "C1-POCLOUD"
        assert {link["rel"] for link in item["links"]} >= {"collection"}
        assert item["geometry"]["type"] == "Polygon" and item["bbox"] == [-180, -90, 180, 90]
        data = item["assets"][item["id"] + ".nc"]
        assert data["file:size"] == 400_000_000 + n and data["file:checksum"] == f"d50110{n:032x}"
        assert data["alternate"]["s3"]["href"].startswith("s3://")


def padded(number):
    return granule(number, padding="x" * 3000)


def test_twenty_thousand_granules_take_no_more_memory_than_four_thousand(tmp_path):
    peaks = {}
    for count in (4_000, 20_000):
        with serving_catalogue(count=count, make=padded) as server:
            run = search(server, *MUR, "--format", "urls", "-o", tmp_path / "list.txt", "--stats")
            assert len([r for r in server.seen if "granules" in r["path"]]) == count // 2000
        urls = (tmp_path / "list.txt").read_text().splitlines()
        assert len(urls) == count == len(set(urls))
        peaks[count] = stats(run)["peak_memory_bytes"]
    print(peaks)
    # Which of malloc's arenas a page comes to lie in is the threads' luck, and one more keeps some 10 MB (MALLOC_ARENA_MAX=2 ends that).
    assert peaks[20_000] < 1.4 * peaks[4_000] and peaks[20_000] < 120e6, peaks


def test_what_comes_twice_is_written_once():
    with serving_catalogue(count=7, fault=lambda request, n: "duplicates") as server:
        run = search(server, *MUR, "--page-size", 3, "--format", "urls")
    assert len(run.stdout.splitlines()) == 7 == len(set(run.stdout.splitlines()))
    assert "came twice" in run.stderr


def test_what_is_missing_is_said(tmp_path):
    with serving_catalogue(count=7, fault=lambda request, n: "hits" if "granules" in request["path"] else None) as server:
        out = tmp_path / "list.txt"
        out.write_text("before")
        run = search(server, *MUR, "--page-size", 3, "-o", out, "--format", "urls", status=75)
        assert "counts 8 results, 7 came" in run.stderr and out.read_text() == "before"
        run = search(server, *MUR, "--page-size", 3, "-o", out, "--format", "urls", "--allow-partial")
        assert "warning: " in run.stderr and len(out.read_text().splitlines()) == 7


def test_a_partial_answer_is_no_answer():
    """What CMR has no time for is asked for again, then in pieces."""
    def fault(request, n):
        whole = "temporal[]" not in request["given"]
        return "partial" if "granules" in request["path"] and whole else None

    with serving_catalogue(count=300, fault=fault) as server:
        run = search(server, *MUR, "--format", "urls")
    assert len(set(run.stdout.splitlines())) == 300 == len(run.stdout.splitlines())
    assert "CMR ran out of time" in run.stderr
    with serving_catalogue(count=3, fault=lambda request, n: "partial" if "granules" in request["path"] else None) as server:
        run = search(server, *MUR, status=75)
        assert "answered in part" in run.stderr and "narrow it" in run.stderr and run.stdout == ""


def test_a_server_that_wants_patience_gets_it():
    def fault(request, n):
        return (429, {"errors": ["slow"]}, [("Retry-After", "1")]) if n == 1 else (503, b"", []) if n == 3 else None

    with serving_catalogue(count=5, fault=fault) as server:
        run = search(server, *MUR, "--format", "urls", "--stats")
    assert len(run.stdout.splitlines()) == 5 and stats(run)["retries"] >= 1 and stats(run)["wall_s"] > 0.9


def test_a_token_does_not_go_over_http():
    with serving_catalogue(count=5) as server:
        run = search(server, *MUR, "--format", "urls", "--earthdata-data-host", "127.0.0.1", env={"EARTHDATA_TOKEN": "eyJ.x.y"})
        assert len(run.stdout.splitlines()) == 5 and f"{server.url} is not https, so the token is not sent there" in run.stderr
        assert not any("authorization" in r["headers"] for r in server.seen) and "eyJ.x.y" not in run.stderr
        assert not search(server, *MUR, "--format", "urls").stderr, "no word where there is no token"


def test_errors_are_those_of_the_catalogue():
    def fault(request, n):
        return (400, {"errors": ["Parameter [nonsense] was not recognized."]}, []) if "nonsense" in request["given"] else None

    with serving_catalogue(fault=fault) as server:
        run = search(server, *MUR, "--parameter", "nonsense=1", status=64)
    assert "Parameter [nonsense] was not recognized." in run.stderr


@pytest.mark.parametrize("arguments, said", [
    (("--bounding-box", "30.59,-95.19,30.79,-94.99"), "perhaps -95.19,30.59,-94.99,30.79"),
    (("--polygon", "0,0,10,0,10,10"), "first point: 0,0,10,0,10,10,0,0"),
    (("--polygon", "0,0,10,10,10,0,0,0"), "write 0,0,10,0,10,10,0,0"),
    (("--temporal", "2015,2014"), "write 2014,2015"),
    (("--temporal", "1-1-2022"), "write 2013"),
    (("--cloud-cover", "20"), "write MIN,MAX"),
    (("--pass", "40"), "exactly one --cycle"),
    (("--collections", "--cloud-cover", "0,20"), "leave --collections out"),
    (("--page-size", "2001"), "2001"),
    (("--parameter", "page_num=2"), "pages and tokens"),
])
def test_wrong_values_are_found_before_anything_is_sent(arguments, said):
    with serving_catalogue() as server:
        run = search(server, *MUR, *arguments, status=64)
        assert said in run.stderr and not server.seen


def test_a_search_of_granules_needs_one_collection():
    collections = [collection(1), collection(2, version="4.2"), collection(3, "OSTIA")]
    with serving_catalogue(collections=collections) as server:
        run = search(server, *MUR, status=64)
        assert "version 4.1  C1-POCLOUD" in run.stderr and "version 4.2  C2-POCLOUD" in run.stderr
        assert search(server, *MUR, "--collection-version", "4.2", "--count").stdout == "5\n"
        assert server.seen[-1]["given"]["collection_concept_id[]"] == ["C2-POCLOUD"]
        assert "no collection" in search(server, "--short-name", "nothing", status=66).stderr
        assert "which collection" in search(server, "--temporal", "2020", status=64).stderr
        found = search(server, "--collections").stdout.splitlines()
        assert len(found) == 3 and "OSTIA" in found[2]
        stores = search(server, *MUR, "--published", "--collection-version", "4.1", "--format", "urls").stdout
        assert stores == "https://archive.example/MUR_virtual_https.json\n"


def test_long_searches_are_posted():
    with serving_catalogue() as server:
        names = [f"--granule-ur=granule-{n:06d}-with-a-long-name" for n in range(300)]
        search(server, "--concept-id", "C1-POCLOUD", *names, "--format", "urls")
        assert server.seen[-1]["method"] == "POST" and len(server.seen[-1]["given"]["granule_ur[]"]) == 300


def test_granules_without_a_link_are_said():
    def make(number):
        made = granule(number)
        if number == 2:
            made["umm"]["RelatedUrls"] = []
        return made

    with serving_catalogue(make=make) as server:
        run = search(server, *MUR, "--format", "urls", status=66)
        assert "1 of 5 granules" in run.stderr and "no https link" in run.stderr and len(run.stdout.splitlines()) == 4
        search(server, *MUR, "--format", "urls", "--allow-partial")


def test_what_is_found_is_virtualized(tmp_path):
    """The list goes on through a pipe."""
    directory = tmp_path / "archive"
    directory.mkdir()
    names = [granule(n)["umm"]["GranuleUR"] for n in range(3)]
    for n, name in enumerate(names):
        with netCDF4.Dataset(directory / f"{name}.nc", "w") as f:
            f.createDimension("time", None)
            f.createDimension("x", 8)
            time = f.createVariable("time", "f8", ("time",))
            time.units = "days since 2002-06-01"
            time[:] = [n]
            f.createVariable("sst", "f4", ("time", "x"), chunksizes=(1, 8))[0] = np.arange(8) + n
    with serving_files(directory) as files:
        with serving_catalogue(count=3, make=lambda n: granule(n, base=files.rstrip("/"))) as server:
            command = f"{UPWELL} search --short-name MUR --format urls | {UPWELL} virtualize @- -o {tmp_path}/cube.json -q"
            run = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=120,
                                 env={**os.environ, "CMR_HOST": server.url})
        assert run.returncode == 0, run.stderr
        values = subprocess.run([UPWELL, "read", tmp_path / "cube.json", "sst", "-o", tmp_path / "sst.npy"], timeout=60)
        assert values.returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "sst.npy"), np.arange(3)[:, None] + np.arange(8))


class Stac(http.server.BaseHTTPRequestHandler):
    """POST /search with pages of two, the next by a body to be merged."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append(asked)
        start = int(asked.get("token", 0))
        features = [{"type": "Feature", "stac_version": "1.0.0", "id": f"item-{n}", "collection": "c",
                     "geometry": {"type": "Point", "coordinates": [1, 2]}, "bbox": [1, 2, 1, 2],
                     "properties": {"datetime": "2024-06-01T00:00:00Z"}, "links": [],
                     "assets": {"data": {"href": f"https://h/item-{n}.tif", "roles": ["data"]},
                                "thumbnail": {"href": f"https://h/item-{n}.png", "roles": ["thumbnail"]}}}
                    for n in range(start, min(start + 2, 5))]
        links = [{"rel": "next", "href": f"{self.server.url}/v1/search", "method": "POST", "merge": True,
                  "body": {"token": str(start + 2)}}] if start + 2 < 5 else []
        body = json.dumps({"type": "FeatureCollection", "features": features, "links": links, "numberMatched": 5}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_stac_apis_are_searched_the_same_way():
    with serving_with(Stac, seen=[]) as server:
        where = ("--stac", f"{server.url}/v1", "--stac-collection", "c", "--bbox", "0,0,10,10", "--temporal", "2024-06")
        urls = search(server, *where, "--format", "urls", env={"EARTHDATA_TOKEN": "secret"}).stdout.splitlines()
        assert urls == [f"https://h/item-{n}.tif" for n in range(5)]
        first, second = server.seen[:2]
        assert first["collections"] == ["c"] == second["collections"] and first["bbox"] == [0, 0, 10, 10]
        assert first["datetime"] == "2024-06-01T00:00:00Z/2024-06-30T23:59:59.999Z" and second["token"] == "2"
        items = [json.loads(line) for line in search(server, *where, "--format", "stac", "--limit", 3).stdout.splitlines()]
        assert [i["id"] for i in items] == ["item-0", "item-1", "item-2"]
        assert "not of STAC APIs" in search(server, *where, "--cloud-cover", "0,20", status=64).stderr

"""What reading costs: counted to the byte, refused beforehand when it is too much, from S3 where that answers. Against the fake Earthdata."""

import json

import netCDF4
import numpy as np
import pytest

pytest.importorskip("earthdata.fixture", reason="the fake Earthdata (tests/earthdata) is not here")

from test_login import MUR, asked, day, upwell  # noqa: E402

DAYS = ("--short-name", MUR, "--temporal", "2002-06-01T12:00:00Z,2002-06-03T12:00:00Z")
MEAN = ("aggregate", *DAYS, "--variables", "analysed_sst", "--reduce", "time:mean", "--index-cache", "none")


def stats(done):
    return json.loads(done.stderr.splitlines()[-1])


def served(fake, since=0):
    return [e for e in fake.log(since) if e["method"] != "HEAD"]


def test_every_byte_is_counted(earthdata, tmp_path):
    """Of the catalogue, the login, redirects, scans, chunks and an answer that was an error."""
    earthdata.fault("503", host="s3", skip=1, times=1)
    counted = stats(upwell(earthdata, *MEAN, "-o", tmp_path / "mean.nc", "--stats"))
    log = earthdata.log()
    assert {e["role"] for e in log} == {"cmr", "urs", "podaac", "s3"} and any(e["status"] == 303 for e in log)
    as_sent = sum(e["bytes"] for e in log if e["role"] != "cmr" and e["method"] != "HEAD")
    pages = sum(e["bytes"] for e in log if e["role"] == "cmr")  # before they are compressed
    assert as_sent + pages / 40 < counted["bytes_fetched"] < as_sent + pages / 1.5
    done = upwell(earthdata, "read", earthdata.url("podaac", day(5)), "analysed_sst", "--stats")
    assert stats(done)["bytes_fetched"] == sum(e["bytes"] for e in served(earthdata, log[-1]["number"]))
    assert counted["requests"] == len(log) and counted["retries"] == 1
    assert counted["bytes_headers"] > 100 * len(log) and counted["bytes_sent"] > 100 * len(log)


def cube_of(fake, tmp_path):
    cube = tmp_path / "cube.json"
    upwell(fake, "virtualize", *DAYS, "-o", cube)
    return cube


def test_a_read_beyond_the_budget_fetches_nothing(earthdata, tmp_path):
    cube = cube_of(earthdata, tmp_path)
    cost = stats(upwell(earthdata, "read", cube, "analysed_sst", "--stats"))["bytes_fetched"]
    since = earthdata.log()[-1]["number"]
    done = upwell(earthdata, "read", cube, "analysed_sst", "--budget", "20kB", "--stats", status=64)
    assert "over budget: reading analysed_sst takes " in done.stderr and "raise --budget" in done.stderr
    assert not [e for e in earthdata.log(since) if e["role"] in ("podaac", "s3")]
    done = upwell(earthdata, "read", cube, "analysed_sst", "--budget", cost + 1000)
    assert "values " in done.stdout


def test_a_download_beyond_the_budget_fetches_nothing(earthdata, tmp_path):
    found = (*DAYS, "-d", tmp_path)
    since = earthdata.log()[-1]["number"] if earthdata.log() else 0
    done = upwell(earthdata, "download", *found, "--budget", "100kB", status=64)
    assert "over budget: downloading " in done.stderr and "the budget is 100.0 kB" in done.stderr
    assert not [e for e in earthdata.log(since) if e["role"] in ("podaac", "s3")] and not list(tmp_path.iterdir())
    upwell(earthdata, "download", *found, "--budget", "400kB")
    upwell(earthdata, "download", *found, "--budget", "100kB")  # they are there


def test_an_aggregate_beyond_the_budget_stops_after_the_scans(earthdata, tmp_path):
    out = tmp_path / "mean.nc"
    upwell(earthdata, *MEAN, "-o", out)
    out.unlink()
    whole = sum(e["bytes"] for e in served(earthdata) if e["role"] in ("podaac", "s3"))
    budget = whole - 5000
    since = earthdata.log()[-1]["number"]
    done = upwell(earthdata, *MEAN, "-o", out, "--budget", budget, status=64)
    assert "over budget: reading analysed_sst takes " in done.stderr and not out.exists()
    assert sum(e["bytes"] for e in earthdata.log(since) if e["role"] in ("podaac", "s3")) < budget * 3 // 4
    upwell(earthdata, *MEAN, "-o", out, "--budget", whole + 5000)
    assert out.exists()


@pytest.mark.parametrize("budget", [1000, 15_000, 40_000])
def test_no_more_arrives_than_the_budget(earthdata, tmp_path, budget):
    """Also where nothing tells beforehand how much it will be: scans of granules."""
    cube = tmp_path / "cube.json"
    done = upwell(earthdata, "virtualize", *DAYS, "-o", cube, "--budget", budget, status=64)
    assert "over budget" in done.stderr and "20020" in done.stderr and not cube.exists()
    arrived = sum(e["bytes"] for e in earthdata.log() if e["role"] in ("podaac", "s3") and e["status"] < 300)
    assert arrived <= budget


@pytest.mark.parametrize("budget", [20, 1000, 12_000])
def test_a_first_read_beyond_the_budget_is_not_sent(earthdata, budget):
    done = upwell(earthdata, "info", earthdata.url("podaac", day(5)), "--budget", budget, "--index-cache", "none", "--stats", status=64)
    assert "over budget" in done.stderr and "reading its first bytes takes 12.3 kB" in done.stderr and "raise --budget" in done.stderr
    assert "of which 0 B are spent" in done.stderr and stats(done)["bytes_fetched"] < 2000, "but for the login's token"
    assert not [e for e in earthdata.log() if e["role"] in ("podaac", "s3")]


def direct(fake):
    return ["--prefer", "s3", "--s3-endpoint", fake.url("s3"), "--s3-region", "us-west-2"]


def test_inside_of_the_region_granules_are_read_from_s3(earthdata, tmp_path):
    earthdata.set(in_region=True, credentials_seconds=3600)
    out, other = tmp_path / "mean.nc", tmp_path / "other.nc"
    done = upwell(earthdata, *MEAN, "-o", out, *direct(earthdata))
    assert [e["path"] for e in asked(earthdata, "podaac")] == ["/s3credentials"], "the endpoint is of the search"
    assert {e["authorization"] for e in asked(earthdata, "s3")} == {"aws"} and not earthdata.strayed()
    assert "is not read from S3" not in done.stderr
    upwell(earthdata, *MEAN, "-o", other)
    with netCDF4.Dataset(out) as a, netCDF4.Dataset(other) as b:
        np.testing.assert_array_equal(a["analysed_sst"][:], b["analysed_sst"][:])


def test_elsewhere_https_takes_over_and_it_is_said_once(earthdata, tmp_path):
    earthdata.set(in_region=False, credentials_seconds=3600)
    out = tmp_path / "mean.nc"
    done = upwell(earthdata, *MEAN, "-o", out, *direct(earthdata))
    assert done.stderr.count("is not read from S3") == 1 and "AccessDenied" in done.stderr
    refused = [e for e in asked(earthdata, "s3") if e["authorization"] == "aws"]
    assert 1 <= len(refused) <= 3 and {e["status"] for e in refused} == {403}
    assert out.exists() and not earthdata.strayed()


def test_keys_that_end_their_region_in_the_middle(earthdata, tmp_path):
    """S3 refuses the fifth request: that one and the rest come by https."""
    earthdata.set(in_region=True, credentials_seconds=3600)
    earthdata.fault("status", status=403, host="s3", skip=4, times=1, type="application/xml",
                    body="<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
    cube = tmp_path / "cube.json"
    done = upwell(earthdata, "virtualize", *DAYS, "-o", cube, *direct(earthdata))
    assert done.stderr.count("is not read from S3") == 1
    assert earthdata.url("podaac", day(2)) in cube.read_text()

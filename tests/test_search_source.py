"""A search in place of SOURCE: search, open and compute in one command. Against the fake Earthdata."""

import json
import time
import warnings

import netCDF4
import numpy as np
import pytest

pytest.importorskip("earthdata.fixture", reason="the fake Earthdata (tests/earthdata) is not here")

from test_login import BUCKET, MUR, asked, day, downloaded, upwell  # noqa: E402

FIRST_DAYS = ("--short-name", MUR, "--temporal", "2002-06-01T12:00:00Z,2002-06-03T12:00:00Z")  # of 09:00, twelve hours each way


def mean_of_days(fake, tmp_path, days, rows=slice(None), columns=slice(None)):
    total = []
    for number in days:
        with netCDF4.Dataset(downloaded(fake, day(number), tmp_path / "one.nc")) as granule:
            total.append(np.ma.filled(granule["analysed_sst"][0].astype("f8"), np.nan)[rows, columns])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of land
        return np.nanmean(total, axis=0)


def test_one_command_from_search_to_mean(earthdata, tmp_path):
    out = tmp_path / "mean.nc"
    done = upwell(earthdata, "aggregate", *FIRST_DAYS, "--variables", "analysed_sst", "--reduce", "time:mean", "-o", out)
    assert "found 3 files, 2002-05-31T21:00:00" in done.stderr
    with netCDF4.Dataset(out) as mean:
        np.testing.assert_allclose(np.ma.filled(mean["analysed_sst"][:], np.nan), mean_of_days(earthdata, tmp_path, (1, 2, 3)), rtol=1e-12)
    assert not earthdata.strayed()


def test_the_box_chooses_granules_and_cells(earthdata, tmp_path):
    out = tmp_path / "mean.nc"
    upwell(earthdata, "aggregate", *FIRST_DAYS, "--bbox", "265,40,287,49", "--variables", "analysed_sst", "--reduce", "time:mean", "-o", out)
    searches = [e["query"] for e in asked(earthdata, "cmr") if "granules" in e["path"]]
    assert searches and all("bounding_box[]=-95,40,-73,49" in q for q in searches), searches
    with netCDF4.Dataset(out) as mean:
        assert mean["lat"][0] >= 40 and mean["lat"][-1] <= 49 and mean["lon"][0] >= -95 and mean["lon"][-1] <= -73
        assert np.ma.count(mean["analysed_sst"][:]) > 0


def test_several_intervals_are_one_search(earthdata, tmp_path):
    cube = tmp_path / "cube.json"
    intervals = [f"--temporal=2002-06-0{n}T03:00:00Z,2002-06-0{n}T06:00:00Z" for n in (2, 5, 7)]
    upwell(earthdata, "virtualize", "--short-name", MUR, *intervals, "-o", cube)
    refs = json.loads(cube.read_text())["refs"]
    urls = {v[0] for k, v in refs.items() if k.startswith("analysed_sst/") and isinstance(v, list)}
    assert urls == {earthdata.url("podaac", day(n)) for n in (2, 5, 7)}


def test_other_commands_take_a_search(earthdata, tmp_path):
    one = ("--short-name", MUR, "--granule-name", "20020605*")
    assert "analysed_sst" in upwell(earthdata, "info", *one).stdout
    assert "analysed_sst" in upwell(earthdata, "info", "--short-name", MUR, "--limit", "1").stdout
    assert "values " in upwell(earthdata, "read", *one, "analysed_sst").stdout
    done = upwell(earthdata, "read", *FIRST_DAYS, "analysed_sst", status=64)
    assert "finds 3 files" in done.stderr and "--limit 1" in done.stderr
    cube = tmp_path / "cube.json"
    upwell(earthdata, "virtualize", *one, "-o", cube)
    upwell(earthdata, "append", cube, "--short-name", MUR, "--granule-name", "20020606*")
    assert "2 granules" in upwell(earthdata, "info", cube).stdout
    done = upwell(earthdata, "download", *one, "-d", tmp_path / "copies")
    assert "1 verified by checksum" in done.stderr


@pytest.mark.parametrize("form", ["json", "urls"])
def test_a_list_of_what_was_found(earthdata, tmp_path, form):
    found = tmp_path / "found"
    upwell(earthdata, "search", *FIRST_DAYS, "--format", form, "-o", found)
    out = tmp_path / "mean.nc"
    upwell(earthdata, "aggregate", f"@{found}", "--variables", "analysed_sst", "--reduce", "time:mean", "-o", out)
    with netCDF4.Dataset(out) as mean:
        assert mean["analysed_sst"].shape == (72, 144)


def test_a_table_is_no_list(earthdata, tmp_path):
    found = tmp_path / "found"
    upwell(earthdata, "search", *FIRST_DAYS, "-o", found)
    done = upwell(earthdata, "virtualize", f"@{found}", "-o", tmp_path / "cube.json", status=64)
    assert "--format json" in done.stderr


@pytest.mark.parametrize("arguments, said", [
    (("--temporal", "2002-06-01"), "which collection?"),
    (("x.nc", "--temporal", "2002-06-01"), "not both"),
    (("--short-name", MUR, "--temporal", "2002-06-03,2002-06-01"), "--temporal"),
    (("--short-name", MUR, "--bounding-box", "0,50,10,40"), "--bounding-box"),
    ((), "name a SOURCE, or search"),
])
def test_wrong_searches_are_found_before_anything_is_sent(earthdata, tmp_path, arguments, said):
    done = upwell(earthdata, "virtualize", *arguments, "-o", tmp_path / "cube.json", status=64)
    assert said in done.stderr
    assert not asked(earthdata, "cmr")


def test_no_hits_say_what_to_relax(earthdata, tmp_path):
    box = ("--bounding-box", "0,0,10,10")
    done = upwell(earthdata, "virtualize", "--short-name", MUR, "--temporal", "1990-01", *box, "-o", tmp_path / "cube.json", status=66)
    count = upwell(earthdata, "search", "--short-name", MUR, "--count").stdout.strip()
    assert f"without --temporal there are {count}, without --bounding-box there are none either" in done.stderr
    assert f"has {count} granules, from 2002-05-31" in done.stderr
    assert not (tmp_path / "cube.json").exists()
    done = upwell(earthdata, "search", "--short-name", MUR, "--temporal", "1990-01")
    assert "relax --temporal" in done.stderr


def test_a_withdrawn_granule_is_named(earthdata, tmp_path):
    earthdata.fault("status", status=404, host="podaac", path="*20020602*")
    out = tmp_path / "mean.nc"
    mean = ("aggregate", *FIRST_DAYS, "--variables", "analysed_sst", "--reduce", "time:mean", "-o", out)
    done = upwell(earthdata, *mean, status=66)
    assert day(2).rsplit("/", 1)[-1] in done.stderr and "withdrawn" in done.stderr and "--allow-partial" in done.stderr
    assert not out.exists()
    done = upwell(earthdata, *mean, "--allow-partial")
    assert "warning: left out" in done.stderr and day(2).rsplit("/", 1)[-1] in done.stderr
    with netCDF4.Dataset(out) as result:
        np.testing.assert_allclose(np.ma.filled(result["analysed_sst"][:], np.nan), mean_of_days_without_fault(earthdata, tmp_path), rtol=1e-12)


def test_a_download_of_what_is_there(earthdata, tmp_path):
    """--allow-partial: one that was withdrawn is told of, and all of them are an error still."""
    earthdata.fault("status", status=404, host="podaac", path="*20020602*")
    gone = day(2).rsplit("/", 1)[-1]
    done = upwell(earthdata, "download", *FIRST_DAYS, "-d", tmp_path, status=66)
    assert gone in done.stderr and "withdrawn" in done.stderr
    done = upwell(earthdata, "download", *FIRST_DAYS, "-d", tmp_path, "--allow-partial")
    assert "warning: 1 of 3 files are not there" in done.stderr and gone in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(day(n).rsplit("/", 1)[-1] for n in (1, 3))
    earthdata.fault("status", status=404, host="podaac", path="*2002060*")
    upwell(earthdata, "download", *FIRST_DAYS, "-d", tmp_path / "none", "--allow-partial", status=66)


def mean_of_days_without_fault(fake, tmp_path):
    fake.mend()
    return mean_of_days(fake, tmp_path, (1, 3))


def test_who_searches_without_a_login_is_told_at_the_data(earthdata, tmp_path):
    done = upwell(earthdata, "virtualize", *FIRST_DAYS, "-o", tmp_path / "cube.json", login=False, status=77)
    assert "found 3 files" in done.stderr and "nobody is logged in to Earthdata" in done.stderr
    done = upwell(earthdata, "virtualize", *FIRST_DAYS, "-o", tmp_path / "cube.json", status=77, EARTHDATA_PASSWORD="wrong")
    assert "does not accept this user name and password" in done.stderr


def test_a_token_that_the_catalogue_refuses_does_not_break_a_public_search(earthdata):
    search = ("search", "--short-name", MUR, "--temporal", "2002-06-02,2002-06-04", "--format", "urls")
    done = upwell(earthdata, *search, login=False, EARTHDATA_TOKEN=earthdata.token() + "x")
    assert len(done.stdout.splitlines()) == 4 and "Token does not exist" in done.stderr
    assert [e["authorization"] for e in asked(earthdata, "cmr")][:2] == ["bearer", "none"]


@pytest.mark.parametrize("command", [("search", "--short-name", MUR, "--count"),
                                     ("generate", "--collection", MUR, "--start-date", "2002-06-02", "--end-date", "2002-06-02", "-o", "sets")])
def test_a_catalogue_that_is_not_of_the_login_gets_no_token(earthdata, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    elsewhere = "127.0.0.1:" + earthdata.hosts["cmr"]["local"].rsplit(":", 1)[1]  # not below the login host's domain
    given = {"CMR_HOST": elsewhere, "EARTHDATA_TOKEN": earthdata.token()}
    done = upwell(earthdata, *command, "--earthdata-data-host", "podaac.example", login=False, status=None, **given)
    assert f"https://{elsewhere} is not known to belong to Earthdata" in done.stderr and "--earthdata-data-host 127.0.0.1 allows" in done.stderr
    assert asked(earthdata, "cmr") and {e["authorization"] for e in asked(earthdata, "cmr")} == {"none"}
    done = upwell(earthdata, *command, "--earthdata-data-host", "127.0.0.1", login=False, **given)
    assert "not known" not in done.stderr and {e["authorization"] for e in asked(earthdata, "cmr")} == {"none", "bearer"}


def test_a_token_that_ends_in_the_middle_is_renewed(earthdata, tmp_path):
    """The gateway refuses it from the third granule on."""
    earthdata.fault("status", status=401, host="podaac", skip=2, times=1, headers={"WWW-Authenticate": "Bearer"})
    cube = tmp_path / "cube.json"
    upwell(earthdata, "virtualize", *FIRST_DAYS, "-o", cube, EARTHDATA_TOKEN=earthdata.token())
    assert "3 granules" in upwell(earthdata, "info", cube).stdout
    assert not earthdata.strayed()


def test_the_catalogue_is_waited_for_as_long_as_the_options_say(earthdata):
    earthdata.fault("stall", host="cmr", seconds=40)
    search = ("search", "--short-name", MUR, "--limit", 1)
    start = time.time()
    done = upwell(earthdata, *search, "--timeout", 1, "--retries", 1, status=75)
    assert time.time() - start < 10 and "timed out" in done.stderr and "after 2 attempts" in done.stderr
    assert "note: cmr.earthdata.localhost does not answer within 1 s; it is asked again, 2 of 2" in done.stderr
    done = upwell(earthdata, *search, "--timeout", 1, "--retries", 1, "-q", status=75)
    assert "note:" not in done.stderr


def test_who_waits_for_the_catalogue_is_told(earthdata):
    earthdata.fault("stall", host="cmr", seconds=11, times=1)
    done = upwell(earthdata, "search", "--short-name", MUR, "--limit", 1)
    assert "note: waiting for cmr.earthdata.localhost, which has not answered for 10 s" in done.stderr


@pytest.mark.parametrize("where", [(), ("--stac", "/stac/POCLOUD")])
def test_a_web_page_is_no_answer_of_a_catalogue(earthdata, where):
    earthdata.fault("html", host="cmr")
    place = ("--stac", earthdata.url("cmr", where[1])) if where else ("--short-name", MUR)
    done = upwell(earthdata, "search", *place, "--limit", 1, status=65)
    assert "a web page came instead of an answer of a catalogue" in done.stderr and "check the address" in done.stderr
    assert "cmr.earthdata.localhost" in done.stderr and "JSON element" not in done.stderr


def test_items_of_a_stac_api_in_place_of_source(earthdata, tmp_path):
    where = ("--stac", earthdata.url("cmr", "/stac/POCLOUD"), "--stac-collection", f"{MUR}_4.1", "--temporal",
             "2002-06-01T12:00:00Z,2002-06-03T12:00:00Z")
    out = tmp_path / "mean.nc"
    done = upwell(earthdata, "aggregate", *where, "--variables", "analysed_sst", "--reduce", "time:mean", "-o", out)
    assert "found 3 files" in done.stderr
    with netCDF4.Dataset(out) as result:
        np.testing.assert_allclose(np.ma.filled(result["analysed_sst"][:], np.nan), mean_of_days(earthdata, tmp_path, (1, 2, 3)), rtol=1e-12)
    upwell(earthdata, "download", *where, "-d", tmp_path / "files")
    assert len(list((tmp_path / "files").iterdir())) == 3
    assert "analysed_sst" in upwell(earthdata, "info", *where, "--limit", 1).stdout
    assert "no item is found" in upwell(earthdata, "info", *where[:4], "--temporal", "1990", status=66).stderr
    assert "want --stac URL" in upwell(earthdata, "info", *where[2:], status=64).stderr
    assert "not of STAC APIs" in upwell(earthdata, "info", *where, "--cloud-cover", "0,20", status=64).stderr


def test_published_stores_are_told_of_by_the_search_alone(earthdata, tmp_path):
    said = "note: a store of the collection is published"
    assert upwell(earthdata, "search", *FIRST_DAYS).stderr.count(said) == 1
    assert said not in upwell(earthdata, "search", *FIRST_DAYS, "-q").stderr
    assert said not in upwell(earthdata, "download", *FIRST_DAYS, "-d", tmp_path).stderr

"""The fake Earthdata itself, host by host. Its faults are in test_earthdata_faults.py, real clients in test_earthdata_peers.py."""

import base64
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import time
import urllib.parse
import xml.etree.ElementTree

import h5py
import numpy as np
import pytest
from earthdata import granules
from earthdata.asking import ask, basic, bearer, follow, search, signed

SHARED = os.environ.get("UPWELL_SHARED")
RECORDED = pathlib.Path(SHARED or "/nowhere") / "data/cmr"
MUR, ECCO, ATL03 = "MUR-JPL-L4-GLOB-v4.1", "ECCO_L4_SSH_LLC0090GRID_DAILY_V4R4", "ATL03"
TELLUS = "TELLUS_GRAC-GRFO_MASCON_CRI_GRID_RL06.3_V4"
DAY5 = f"/podaac-ops-cumulus-protected/{MUR}/20020606090000-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1.nc"


# --- The login host ---------------------------------------------------------------------------------------------------

def test_tokens(earthdata):
    me = basic(earthdata.user, earthdata.password)
    first = ask(earthdata, "urs", "/api/users/find_or_create_token", "POST", Authorization=me).json()
    assert set(first) == {"access_token", "token_type", "expiration_date"} and first["token_type"] == "Bearer"
    assert re.fullmatch(r"\d\d/\d\d/\d{4}", first["expiration_date"])
    payload = first["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["uid"] == earthdata.user and 59 < (claims["exp"] - time.time()) / 86400 < 61
    again = ask(earthdata, "urs", "/api/users/find_or_create_token", "POST", Authorization=me).json()
    assert again == first
    second = ask(earthdata, "urs", "/api/users/token", "POST", Authorization=me).json()
    assert second["access_token"] != first["access_token"]
    third = ask(earthdata, "urs", "/api/users/token", "POST", Authorization=me)
    assert third.status == 403 and third.json()["error"] == "max_token_limit"
    assert ask(earthdata, "urs", "/api/users/tokens", Authorization=me).json() == [first, second]
    revoke = f"/api/users/revoke_token?token={first['access_token']}"
    assert ask(earthdata, "urs", revoke, "POST", Authorization=me).status == 200
    assert ask(earthdata, "urs", "/api/users/tokens", Authorization=me).json() == [second]
    assert ask(earthdata, "podaac", DAY5, Authorization="Bearer " + first["access_token"]).status == 302
    assert ask(earthdata, "podaac", DAY5, Authorization="Bearer " + second["access_token"]).status == 303


def test_short_lived_tokens(earthdata):
    me = basic(earthdata.user, earthdata.password)
    earthdata.set(token_seconds=3)
    token = ask(earthdata, "urs", "/api/users/find_or_create_token", "POST", Authorization=me).json()["access_token"]
    assert ask(earthdata, "podaac", DAY5, Authorization="Bearer " + token).status == 303
    time.sleep(3.1)
    assert ask(earthdata, "podaac", DAY5, Authorization="Bearer " + token).status == 302
    assert ask(earthdata, "urs", "/api/users/find_or_create_token", "POST", Authorization=me).json()["access_token"] != token


@pytest.mark.parametrize("header", ["", "Basic !!", basic("fake", "wrong"), basic("nobody", "x"), "Bearer x"])
def test_wrong_password_as_recorded(earthdata, header):
    answer = ask(earthdata, "urs", "/api/users/find_or_create_token", "POST", **({"Authorization": header} if header else {}))
    assert answer.status == 401 and answer.headers["Content-Type"] == "application/json; charset=utf-8"
    recorded = RECORDED / "earthaccess/TestResults.test_no_results/00.body.json"
    told = json.loads(recorded.read_text()) if recorded.is_file() else None
    assert answer.json() == (told or {"error": "invalid_credentials", "error_description": "Invalid user credentials"})


def authorize(fake, **changes):
    query = {"client_id": "x", "response_type": "code", "redirect_uri": fake.url("podaac", "/login"), "state": DAY5, **changes}
    return "/oauth/authorize?" + urllib.parse.urlencode(query)


def test_authorization_dance(earthdata):
    """Without a token: to the login host, there alone the password, and back with a cookie."""
    away = ask(earthdata, "podaac", DAY5)
    assert away.status == 302 and away.headers["Location"].startswith(earthdata.url("urs", "/oauth/authorize?"))
    asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(away.headers["Location"]).query))
    assert asked["app_type"] == "401" and asked["redirect_uri"] == earthdata.url("podaac", "/login")
    challenge = follow(earthdata, away.headers["Location"])
    assert challenge.status == 401 and challenge.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert follow(earthdata, away.headers["Location"], Authorization=basic("fake", "no")).status == 401
    back = follow(earthdata, away.headers["Location"], Authorization=basic(earthdata.user, earthdata.password))
    assert back.status == 302 and back.headers["Location"].startswith(earthdata.url("podaac", "/login?code="))
    session = back.headers["Set-Cookie"].split(";")[0]
    assert follow(earthdata, away.headers["Location"], Cookie=session).status == 302, "the session spares the password"
    landed = follow(earthdata, back.headers["Location"])
    assert landed.status == 301 and landed.headers["Location"] == earthdata.url("podaac", DAY5)
    assert follow(earthdata, back.headers["Location"]).status == 400, "a code is good once"
    cookie = landed.headers["Set-Cookie"].split(";")[0]
    assert cookie.startswith("asf-urs=")
    assert ask(earthdata, "podaac", DAY5, Cookie=cookie).status == 303
    assert ask(earthdata, "nsidc", "/s3credentials", Cookie="asf-urs=made-up").status == 302


def test_a_browser_gets_a_page(earthdata):
    away = ask(earthdata, "podaac", DAY5, User_Agent="Mozilla/5.0")
    assert "app_type" not in away.headers["Location"]
    page = follow(earthdata, away.headers["Location"])
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html") and b"Earthdata Login" in page.body


def test_codes_go_to_gateways_only(earthdata):
    me = basic(earthdata.user, earthdata.password)
    for target in ("https://evil.example/login", earthdata.url("s3", "/login"), earthdata.url("podaac", "/elsewhere")):
        assert ask(earthdata, "urs", authorize(earthdata, redirect_uri=target), Authorization=me).status == 400


@pytest.mark.parametrize("state, status, text", [("approved", 401, "Application approval required"), ("eula", 403, "EULA Acceptance Failure")])
def test_what_stands_between(earthdata, state, status, text):
    earthdata.set_user(**{state: False})
    answer = ask(earthdata, "urs", authorize(earthdata), Authorization=basic(earthdata.user, earthdata.password))
    assert answer.status == status and answer.json()["error_description"] == text
    assert answer.json()["resolution_url"].startswith(earthdata.url("urs", "/approve_app?client_id="))
    if state == "eula":
        answer = ask(earthdata, "podaac", DAY5, Authorization=bearer(earthdata))
        assert answer.status == 403 and answer.json()["error_description"] == text and answer.json()["status_code"] == 403
        page = ask(earthdata, "podaac", DAY5, Authorization=bearer(earthdata), User_Agent="Mozilla/5.0")
        assert page.status == 403 and b"Please accept EULA here" in page.body


def test_profile(earthdata):
    answer = ask(earthdata, "urs", "/profile", Authorization=bearer(earthdata))
    assert answer.status == 302 and answer.headers["Location"] == earthdata.url("urs", "/home")
    assert ask(earthdata, "urs", "/home", Authorization=bearer(earthdata)).status == 200
    assert ask(earthdata, "urs", "/api/users/fake?client_id=x", Authorization=bearer(earthdata)).json()["uid"] == "fake"
    assert ask(earthdata, "urs", "/api/users/other?client_id=x", Authorization=bearer(earthdata)).status == 401
    path = "/oauth/tokens/user?client_id=x&token="
    assert ask(earthdata, "urs", path + earthdata.token(), "POST").json() == {"uid": "fake"}
    assert ask(earthdata, "urs", path + earthdata.token(seconds=0), "POST").status == 401


# --- Gateways and objects ---------------------------------------------------------------------------------------------

def test_gateway_redirects_to_a_signed_url(earthdata):
    reply = ask(earthdata, "podaac", DAY5, Authorization=bearer(earthdata), Range="bytes=10-19")
    assert reply.status == 303 and reply.headers["Cache-Control"] == "private, max-age=3540" and reply.headers["Range"] == "bytes=10-19"
    assert reply.headers["Location"].startswith(earthdata.url("s3")) and "X-Amz-Expires=3600" in reply.headers["Location"]
    cookie = reply.headers["Set-Cookie"].split(";")[0]
    assert ask(earthdata, "podaac", DAY5, Cookie=cookie).status == 303
    whole = follow(earthdata, reply.headers["Location"])
    assert whole.status == 200 and whole.body == granules.mur(5, 1)
    assert whole.headers["ETag"] == f'"{hashlib.md5(whole.body).hexdigest()}"'
    with h5py.File(io.BytesIO(whole.body)) as h:
        np.testing.assert_array_equal(h["analysed_sst"][...], granules.mur_values(5)["analysed_sst"])
    head = follow(earthdata, signed(earthdata, DAY5, "HEAD"), "HEAD")
    assert head.status == 200 and int(head.headers["Content-Length"]) == len(whole.body)
    assert not earthdata.strayed()


@pytest.mark.parametrize("path, method, login, status", [
    (DAY5, "HEAD", False, 303), (DAY5 + "x", "HEAD", False, 404), (DAY5 + "x", "GET", True, 404), ("/no-bucket/x", "GET", True, 404),
    (DAY5.rsplit("/", 1)[0] + "/", "GET", True, 404), (DAY5, "POST", True, 405),
    (DAY5.replace("protected", "public") + ".md5", "GET", False, 303), (DAY5 + ".dmrpp", "GET", True, 303), (DAY5 + ".dmrpp", "GET", False, 302),
    ("/podaac-ops-cumulus-docs/x.txt", "GET", False, 404)])
def test_gateway(earthdata, path, method, login, status):
    reply = ask(earthdata, "podaac", path, method, **({"Authorization": bearer(earthdata)} if login else {}))
    assert reply.status == status
    if status == 404:
        assert reply.headers["Content-Type"].startswith("text/html")


def test_gateway_says_416(earthdata):
    reply = ask(earthdata, "podaac", DAY5, Authorization=bearer(earthdata), Range="bytes=99999999-")
    assert reply.status == 416 and reply.body == b"Invalid Range"


@pytest.mark.parametrize("asked, first, end", [("bytes=0-0", 0, 1), ("bytes=100-199", 100, 200), ("bytes=91000-", 91000, None),
                                               ("bytes=-50", -50, None), ("bytes=91000-999999", 91000, None)])
def test_ranges(earthdata, asked, first, end):
    data = granules.mur(5, 1)
    reply = follow(earthdata, signed(earthdata, DAY5), Range=asked)
    assert reply.status == 206 and reply.body == data[first:end]
    start = first if first >= 0 else len(data) + first
    assert reply.headers["Content-Range"] == f"bytes {start}-{start + len(reply.body) - 1}/{len(data)}"


def test_conditions(earthdata):
    url, etag = signed(earthdata, DAY5), f'"{hashlib.md5(granules.mur(5, 1)).hexdigest()}"'
    assert follow(earthdata, url, If_None_Match=etag).status == 304
    assert follow(earthdata, url, If_Match='"other"').status == 412
    assert follow(earthdata, url, If_Range='"other"', Range="bytes=0-9").status == 200
    assert follow(earthdata, url, If_Range=etag, Range="bytes=0-9").status == 206
    for whole in ("bytes=0-9,20-29", "bytes=9-0", "lines=1-2"):
        assert follow(earthdata, url, Range=whole).status == 200
    beyond = follow(earthdata, url, Range="bytes=99999999-")
    assert beyond.status == 416 and beyond.headers["Content-Range"].startswith("bytes */")


def error_code(reply):
    return xml.etree.ElementTree.fromstring(reply.body).findtext("Code")


def test_signatures(earthdata):
    url = signed(earthdata, DAY5)
    both = follow(earthdata, url, Authorization=bearer(earthdata))
    assert both.status == 400 and error_code(both) == "InvalidArgument" and b"Only one auth mechanism" in both.body
    assert [e["role"] for e in earthdata.strayed()] == ["s3"], "the log tells"
    assert follow(earthdata, url, "HEAD").status == 403, "a signature is good for one method"
    other = follow(earthdata, url.replace("20020606", "20020607"))
    assert other.status == 403 and error_code(other) == "SignatureDoesNotMatch"
    bare = follow(earthdata, url.split("?")[0])
    assert bare.status == 403 and error_code(bare) == "AccessDenied"
    earthdata.set(signed_seconds=3)
    short = signed(earthdata, DAY5)
    assert follow(earthdata, short, Range="bytes=0-9").status == 206
    time.sleep(4.1)
    late = follow(earthdata, short)
    assert late.status == 403 and b"Request has expired" in late.body


def test_s3credentials(earthdata):
    assert ask(earthdata, "nsidc", "/s3credentials").status == 302
    reply = ask(earthdata, "nsidc", "/s3credentials", Authorization=bearer(earthdata))
    keys = reply.json()
    assert set(keys) == {"accessKeyId", "secretAccessKey", "sessionToken", "expiration"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00", keys["expiration"])


@pytest.mark.parametrize("path, data", [
    (DAY5, granules.mur(5, 1)),
    ("/nsidc-cumulus-prod-protected/ATLAS/ATL03/006/2018/10/14/ATL03_20181014013400_00020103_006_02.h5", granules.atl03(1, 1))])
def test_sidecars_lead_to_the_bytes(earthdata, path, data):
    role = "nsidc" if "ATL03" in path else "podaac"
    document = follow(earthdata, ask(earthdata, role, path + ".dmrpp", Authorization=bearer(earthdata)).headers["Location"])
    seen = 0
    with h5py.File(io.BytesIO(data)) as h:
        for node, name in variables(xml.etree.ElementTree.fromstring(document.body)):
            for chunk in node.findall("{*}chunks/{*}chunk[@chunkPositionInArray]"):
                corner = tuple(map(int, chunk.get("chunkPositionInArray").strip("[]").split(",")))
                first, size = int(chunk.get("offset")), int(chunk.get("nBytes"))
                assert h[name].id.read_direct_chunk(corner)[1] == data[first:first + size]
                seen += 1
    assert seen >= 16


def variables(node, path=""):
    """(element, path) of the variables of a DMR++ document."""
    for child in node:
        if child.tag.endswith("}Group"):
            yield from variables(child, f"{path}/{child.get('name')}")
        elif child.find("{*}chunks") is not None:
            yield child, f"{path}/{child.get('name')}"


# --- CMR --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("parameters, hits", [
    ({"short_name": MUR}, 8000), ({"short_name": MUR.lower()}, 8000), ({"concept_id": "C1996881146-POCLOUD"}, 8000),
    ({"short_name": MUR, "version": "4.1"}, 8000), ({"short_name": MUR, "version": "5"}, 0), ({"provider": "NSIDC_CPRD"}, 500),
    ({"short_name[]": [MUR, "ATL03"]}, 8500), ({"short_name": TELLUS}, 1), ({"short_name": "ECCO*", "options[short_name][pattern]": "true"}, 9497),
    # a day of MUR begins at 21 of the day before
    ({"short_name": MUR, "temporal[]": "2010-01-01T00:00:00Z,2010-01-05T20:59:59Z"}, 5),
    ({"short_name": MUR, "temporal[]": "2010-01-01T00:00:00Z,2010-01-05T21:00:00Z"}, 6),
    ({"short_name": MUR, "temporal[]": "2010-01-01T00:00:00Z,2010-01-05T21:00:00Z", "options[temporal][exclude_boundary]": "true"}, 5),
    ({"short_name": MUR, "temporal": "2010-01-01T00:00:00Z/P1D"}, 2), ({"short_name": MUR, "temporal": ",2002-06-03T00:00:00Z"}, 3),
    ({"short_name": ECCO, "temporal": "2010-01-01T00:00:00Z,2012-12-31T00:00:00Z,40,41"}, 9),  # a day ends where the next begins
    ({"short_name": MUR, "temporal[]": ["2010-01-01T00:00:00Z,2010-01-01T01:00:00Z", "2011-01-01T00:00:00Z,2011-01-01T01:00:00Z"]}, 2),
    ({"short_name": MUR, "readable_granule_name[]": "20100101*", "options[readable_granule_name][pattern]": "true"}, 1),
    ({"short_name": MUR, "readable_granule_name[]": "2010010?0900*", "options[readable_granule_name][pattern]": "true"}, 9),
    ({"short_name": MUR, "readable_granule_name[]": "20100101*"}, 0),
    ({"short_name": ATL03, "producer_granule_id": "ATL03_20181014013400_00020103_006_02.h5"}, 1),
    ({"concept_id[]": ["G2028632042-POCLOUD", "G2028632043-POCLOUD"]}, 2),
    ({"short_name": MUR, "exclude[concept_id][]": "G2028632042-POCLOUD"}, 7999),
    ({"short_name": MUR, "bounding_box[]": "-10,-10,10,10"}, 8000), ({"short_name": TELLUS, "point": "0,0"}, 0),
    ({"short_name": TELLUS, "bounding_box": "179,0,-179,1"}, 1),
    ({"short_name": ATL03, "bounding_box": "169,-60,171,-50"}, None), ({"short_name": ATL03, "circle": "170,-59,20000"}, None),
    ({"short_name": ATL03, "polygon": "169,-61,171,-61,171,-59,169,-59,169,-61"}, None), ({"short_name": ATL03, "line": "169,-59,171,-59"}, None),
    ({"short_name": ATL03, "point[]": ["170,-59.5", "-170,59"]}, 0),
    ({"short_name": MUR.lower(), "options[short_name][ignore_case]": "false"}, 0), ({"short_name": ATL03, "platform": "icesat-2"}, 500),
    ({"short_name": MUR, "day_night_flag": "day"}, 0), ({"short_name": MUR, "created_at": ",2002-06-05T00:00:00Z"}, 2),
    ({"short_name": MUR, "downloadable": "true"}, 8000), ({"short_name": MUR, "updated_since": "2020-01-01T00:00:00Z"}, None)])
def test_search(earthdata, parameters, hits):
    reply = search(earthdata, page_size=1, **parameters)
    assert reply.status == 200, reply.body
    body = reply.json()
    assert body["hits"] == int(reply.headers["CMR-Hits"])
    assert body["hits"] == hits if hits is not None else 0 < body["hits"] < (2000 if "updated_since" in parameters else 40)
    assert len(body["items"]) == min(body["hits"], 1)


def test_strips_across_180(earthdata):
    """Each strip is found from either side, and nowhere else."""
    strips = search(earthdata, short_name=ATL03, page_size=500).json()["items"]
    rings = [[(p["Longitude"], p["Latitude"]) for p in
              s["umm"]["SpatialExtent"]["HorizontalSpatialDomain"]["Geometry"]["GPolygons"][0]["Boundary"]["Points"]] for s in strips]
    crossing = [i for i, ring in enumerate(rings) if max(x for x, _ in ring) - min(x for x, _ in ring) > 180]
    assert crossing
    expected = {strips[i]["meta"]["concept-id"] for i in crossing}
    north = {i["meta"]["concept-id"] for box in ("179.99,-90,-179.99,90", "-180,-90,-179.999,90", "179.999,-90,180,90")
             for i in search(earthdata, short_name=ATL03, bounding_box=box, page_size=500).json()["items"]}
    assert expected <= north and len(north) <= len(expected) + 4


@pytest.mark.parametrize("parameters, text", [
    ({}, "The CMR does not allow querying across granules in all collections. To help optimize"),
    ({"bounding_box": "0,0,1,1"}, "across granules in all collections with a spatial condition."),
    ({"short_name": MUR, "colour": "blue"}, "Parameter [colour] was not recognized."),
    ({"short_name": MUR, "page_size": "2001"}, "page_size must be a number between 0 and 2000"),
    ({"short_name": MUR, "page_size": "-1"}, "page_size must be a number between 0 and 2000"),
    ({"short_name": MUR, "page_size": "many"}, "page_size must be a number between 0 and 2000"),
    ({"short_name": MUR, "page_num": "0"}, "page_num must be a number greater than or equal to 1"),
    ({"short_name": MUR, "page_size": "2000", "page_num": "501"}, "exceeds the limit of 1000000"),
    ({"short_name": MUR, "sort_key": "-colour"}, "The sort key [colour] is not a valid field for sorting granules."),
    ({"short_name": MUR, "temporal": "2010-13-01T00:00:00Z,"}, "temporal start datetime is invalid: [2010-13-01T00:00:00Z] is not a valid datetime."),
    ({"short_name": MUR, "temporal": "2011-01-01T00:00:00Z,2010-01-01T00:00:00Z"}, "must be before"),
    ({"short_name": MUR, "temporal": ",,0,3"}, "temporal_start_day [0] must be an integer between 1 and 366"),
    ({"short_name": MUR, "bounding_box": "0,ad,d,0"}, "[0,ad,d,0] is not a valid URL encoded bounding_box"),
    ({"short_name": MUR, "bounding_box": "0,10,1,0"}, "The bounding rectangle north value [0.0] was less than the south value [10.0]"),
    ({"short_name": MUR, "point": "200,0"}, "Point longitude [200.0] must be within -180.0 and 180.0"),
    ({"short_name": MUR, "polygon": "0,0,0,1,1,1,1,0,0,0"}, "listed in the wrong order"),
    ({"short_name": MUR, "polygon": "0,0,1,0,1,1,0,1"}, "Polygon boundary was not closed."),
    ({"short_name": MUR, "circle": "0,0,1"}, "radius must be between 10 and 6000000"),
    ({"concept_id": "S12-POCLOUD"}, "Invalid concept_id [S12-POCLOUD]."),
    ({"short_name": MUR, "granule_ur[]": ["*a", "*b", "*c", "?d", "*e", "*f"], "options[granule_ur][pattern]": "true"}, "leading wildcard")])
def test_search_errors(earthdata, parameters, text):
    reply = search(earthdata, **parameters)
    assert reply.status == 400 and any(text in error for error in reply.json()["errors"]), reply.body


def test_filters_that_the_fake_lacks(earthdata):
    assert "does not evaluate ['cycle', 'passes']" in search(earthdata, short_name=MUR, **{"cycle[]": 1, "passes[0][pass]": 2}).body.decode()
    assert search(earthdata, "collections", processing_level_id="4").status == 501


def pages(fake, **parameters):
    """All items by CMR-Search-After, page by page."""
    after, result = None, []
    while True:
        reply = search(fake, after=after, **parameters)
        assert reply.status == 200, reply.body
        result.append(reply.json()["items"])
        after = reply.headers["CMR-Search-After"]
        assert (after is None) == (result[-1] == [])
        if after is None:
            return result


@pytest.mark.parametrize("more", [{}, {"sort_key": "-start_date"}, {"sort_key[]": ["-revision_date", "granule_ur"]}, {"sort_key": "data_size"}])
def test_pages(earthdata, more):
    got = pages(earthdata, short_name=MUR, temporal="2003-01-01T00:00:00Z,2003-12-31T00:00:00Z", page_size=100, **more)
    assert [len(page) for page in got] == [100, 100, 100, 65, 0]
    items = [item for page in got for item in page]
    starts = [item["umm"]["TemporalExtent"]["RangeDateTime"]["BeginningDateTime"] for item in items]
    assert starts == sorted(starts, reverse=str(more.get("sort_key", more.get("sort_key[]"))).find("-") >= 0)
    assert len({item["meta"]["concept-id"] for item in items}) == 365
    by_number = [i for n in range(1, 5) for i in search(earthdata, short_name=MUR, temporal="2003-01-01T00:00:00Z,2003-12-31T00:00:00Z",
                                                         page_size=100, page_num=n, **more).json()["items"]]
    assert by_number == items


@pytest.mark.parametrize("after, text", [("[0]", "search_after has 1 value(s) but sort has 3"), ("x", "must be a JSON array"),
                                         ('[1,"a",2]', "values of other types")])
def test_bad_search_after(earthdata, after, text):
    reply = search(earthdata, short_name=MUR, after=after)
    assert reply.status == 400 and text in reply.json()["errors"][0]
    assert "page_num is not allowed with search-after" in search(earthdata, short_name=MUR, page_num=2, after='["pocloud",1,2]').json()["errors"]


def test_forms_of_a_search(earthdata):
    plain = search(earthdata, short_name=MUR, page_size=3)
    assert plain.headers["Content-Type"] == "application/vnd.nasa.cmr.umm_results+json;version=1.6.6; charset=utf-8"
    posted = ask(earthdata, "cmr", "/search/granules.umm_json", "POST", f"short_name={MUR}&page_size=3",
                 Content_Type="application/x-www-form-urlencoded")
    zipped = ask(earthdata, "cmr", f"/search/granules.umm_json_v1_6_5?short_name={MUR}&page_size=3", Accept_Encoding="gzip")
    assert zipped.headers["Content-Encoding"] == "gzip" and "version=1.6.5" in zipped.headers["Content-Type"]
    assert plain.json()["items"] == posted.json()["items"] == json.loads(gzip.decompress(zipped.body))["items"]
    assert search(earthdata, short_name=MUR, page_size=0).json()["items"] == []
    one = plain.json()["items"][0]
    alone = ask(earthdata, "cmr", f"/search/concepts/{one['meta']['concept-id']}.umm_json")
    assert alone.json() == one["umm"] and alone.headers["CMR-Revision-Id"] == "1"


def test_a_granule_is_what_is_served(earthdata):
    for name in (MUR, ECCO, TELLUS):
        item = search(earthdata, short_name=name, page_size=1).json()["items"][0]
        links = {u["URL"]: u["Type"] for u in item["umm"]["RelatedUrls"]}
        for part in item["umm"]["DataGranule"]["ArchiveAndDistributionInformation"]:
            url = next(u for u in links if u.endswith("/" + part["Name"]) and u.startswith(earthdata.url("podaac")))
            assert any(u.startswith("s3://") and u.endswith("/" + part["Name"]) for u in links)
            place = follow(earthdata, url, Authorization=bearer(earthdata)).headers["Location"]
            body = follow(earthdata, place).body
            assert len(body) == part["SizeInBytes"]
            if "Checksum" in part:
                assert part["Checksum"] == {"Value": hashlib.md5(body).hexdigest(), "Algorithm": "MD5"} and part["Name"].endswith(".nc")
            if part["Name"].endswith(".md5"):
                assert body.split()[0].decode() in json.dumps(item)
        assert earthdata.url("podaac", "/s3credentials") in links
    rectangles = item["umm"]["SpatialExtent"]["HorizontalSpatialDomain"]["Geometry"]["BoundingRectangles"]
    assert [r["EastBoundingCoordinate"] for r in rectangles] == [180, -0.25], "two halves, split at 180"
    atl03 = search(earthdata, short_name=ATL03, page_size=1).json()["items"][0]["umm"]["DataGranule"]["ArchiveAndDistributionInformation"]
    assert atl03[0]["SizeUnit"] == "NA" and "SizeInBytes" not in atl03[0]


def test_records_are_valid(earthdata):
    folder = RECORDED / "cmr-samples-and-schemas"
    if not folder.is_dir():
        pytest.skip("no UMM schemas: set UPWELL_SHARED to the folder that holds data/cmr")
    jsonschema, referencing = pytest.importorskip("jsonschema"), pytest.importorskip("referencing")
    common = json.loads((folder / "umm-cmn-json-schema.json").read_text())
    registry = referencing.Registry().with_resource("umm-cmn-json-schema.json", referencing.Resource(common, referencing.jsonschema.DRAFT4))
    for kind, letter, name in (("granules", "g", MUR), ("granules", "g", TELLUS), ("granules", "g", ATL03), ("collections", "c", MUR)):
        schema = json.loads((folder / f"umm-{letter}-json-schema.json").read_text())
        record = search(earthdata, kind, short_name=name, page_size=1).json()["items"][0]["umm"]
        version = {"g": "1.6.7", "c": "1.18.6"}[letter]
        record["MetadataSpecification"] |= {"URL": record["MetadataSpecification"]["URL"].rsplit("v", 1)[0] + "v" + version, "Version": version}
        problems = [e.message[:200] for e in jsonschema.Draft7Validator(schema, registry=registry).iter_errors(record)]
        assert not problems, (name, problems)


def test_collections(earthdata):
    reply = search(earthdata, "collections", short_name=MUR, include_granule_counts="true")
    record = reply.json()["items"][0]
    assert record["meta"]["concept-id"] == "C1996881146-POCLOUD" and record["meta"]["granule-count"] == 8000
    assert record["umm"]["DirectDistributionInformation"]["S3CredentialsAPIEndpoint"] == earthdata.url("podaac", "/s3credentials")
    assert search(earthdata, "collections", provider="POCLOUD").json()["hits"] == 3
    assert search(earthdata, "collections", keyword="mascon ocean").json()["hits"] == 1
    assert search(earthdata, "collections", doi="10.5067/GHGMR-4FJ04").json()["hits"] == 1
    assert search(earthdata, "collections", cloud_hosted="false").json()["hits"] == 0


def test_a_collection_that_changes(earthdata):
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    assert search(earthdata, short_name=MUR, updated_since=now).json()["hits"] == 0
    before = search(earthdata, concept_id="G2028632047-POCLOUD").json()["items"][0]
    earthdata.granules(MUR, "revise", number=5)
    earthdata.granules(MUR, "delete", number=7)
    earthdata.granules(MUR, "add", count=2)
    changed = search(earthdata, short_name=MUR, updated_since=now).json()["items"]
    assert search(earthdata, short_name=MUR, created_at=f"{now},").json()["hits"] == 2
    assert [i["meta"]["concept-id"] for i in changed] == [f"G{2028632042 + n}-POCLOUD" for n in (5, 8000, 8001)]
    assert changed[0]["meta"]["revision-id"] == 2 and search(earthdata, short_name=MUR).json()["hits"] == 8001

    def checksum(item):
        return next(p["Checksum"] for p in item["umm"]["DataGranule"]["ArchiveAndDistributionInformation"] if "Checksum" in p)

    assert checksum(changed[0]) != checksum(before)
    assert follow(earthdata, signed(earthdata, DAY5)).body == granules.mur(5, 2)
    gone = ask(earthdata, "cmr", f"/search/deleted-granules.json?revision_date={now}&parent_collection_id=C1996881146-POCLOUD")
    assert [g["concept-id"] for g in gone.json()] == ["G2028632049-POCLOUD"] and gone.headers["CMR-Hits"] == "1"
    assert ask(earthdata, "podaac", DAY5.replace("0606", "0608"), Authorization=bearer(earthdata)).status == 404
    for query, text in (("", "One revision date is required"), ("revision_date=2001-01-01T00:00:00Z", "within one year of today"),
                        ("revision_date=2026-01-01T00:00:00Z,", "Only a starting date")):
        assert text in ask(earthdata, "cmr", f"/search/deleted-granules.json?{query}").json()["errors"][0]
    name = search(earthdata, short_name=TELLUS).json()["items"][0]["umm"]["GranuleUR"]
    earthdata.granules(TELLUS, "add", count=1)
    after = search(earthdata, short_name=TELLUS).json()
    assert after["hits"] == 1 and after["items"][0]["umm"]["GranuleUR"] != name


def test_tokens_at_cmr(earthdata):
    path = f"/search/granules.umm_json?short_name={MUR}&page_size=0"
    assert ask(earthdata, "cmr", path, Authorization=bearer(earthdata)).status == 200
    expired = ask(earthdata, "cmr", path, Authorization=bearer(earthdata, seconds=0))
    assert expired.status == 401 and "has expired. Note the token value has been partially redacted." in expired.json()["errors"][0]
    assert ask(earthdata, "cmr", path, Authorization="Bearer made-up").json() == {"errors": ["Token does not exist"]}


def resident_mb(fake):
    status = pathlib.Path(f"/proc/{fake.started['pid']}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def test_pages_take_no_memory(earthdata):
    search(earthdata, short_name=ECCO, page_size=500)
    before = resident_mb(earthdata)
    for page in range(1, 5):
        assert len(search(earthdata, short_name=ECCO, page_size=2000, page_num=page).json()["items"]) == 2000
    assert resident_mb(earthdata) - before < 25  # the items are 24 MB


def test_recorded_answers(earthdata):
    if not RECORDED.is_dir():
        pytest.skip("no recorded answers: set UPWELL_SHARED to the folder that holds data/cmr")
    assert earthdata.started["recorded"] > 60
    first = search(earthdata, short_name="MOD02QKM", page_size=2)
    folder = RECORDED / "python_cmr/TestMultipleQueries.test_results_unparsed_format"
    assert first.json() == json.loads((folder / "00.body.json").read_text()) and first.headers["CMR-Hits"] == "1404440"
    second = search(earthdata, short_name="MOD02QKM", page_size=2, after=first.headers["CMR-Search-After"])
    assert second.json() == json.loads((folder / "01.body.json").read_text())
    whole = search(earthdata, short_name="TELLUS_GRAC_L3_JPL_RL06_LND_v04", page_size=2000)
    assert len(whole.json()["items"]) == 163 and b"archive.podaac.earthdata.nasa.gov" not in whole.body
    assert earthdata.url("podaac").encode() in whole.body


def test_stac(earthdata):
    query = {"collections": [f"{MUR}_4.1"], "datetime": "2010-01-01T00:00:00Z/2010-01-05T00:00:00Z", "limit": 2}
    got, path, body = [], "/stac/POCLOUD/search", query
    while body:
        page = ask(earthdata, "cmr", path, "POST", json.dumps(body)).json()
        got += page["features"]
        body = next((link["body"] for link in page["links"] if link["rel"] == "next"), None)
    assert [f["id"][:8] for f in got] == ["20100101", "20100102", "20100103", "20100104", "20100105"] and page["numberMatched"] == 5
    assert got[0]["assets"]["data"]["href"].startswith(earthdata.url("podaac"))
    assert ask(earthdata, "cmr", path + "?bbox=1,2&collections=" + MUR).status == 400

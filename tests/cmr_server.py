"""A small Common Metadata Repository: pages by CMR-Search-After, and what goes wrong with it."""

import datetime
import http.server
import json
import time
import urllib.parse
from contextlib import contextmanager

from http_servers import serving_with

START = datetime.datetime(2002, 6, 1, tzinfo=datetime.timezone.utc)


def stamp(when):
    return when.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def parse(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def granule(number, base="https://archive.example/protected", s3="s3://protected", padding=""):
    """One day of a collection like MUR: a netCDF file with a checksum, a picture and text beside it."""
    day = START + datetime.timedelta(days=number)
    name = f"{day:%Y%m%d}090000-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1"
    urls = []
    for suffix, kind in ((".nc.md5", "EXTENDED METADATA"), (".txt", "GET DATA"), (".tif", "GET DATA"), (".nc", "GET DATA")):
        urls.append({"URL": f"{base}/{name}{suffix}", "Type": kind})
        urls.append({"URL": f"{s3}/{name}{suffix}", "Type": kind + ("" if "META" in kind else " VIA DIRECT ACCESS")})
    urls.append({"URL": f"{base}/s3credentials", "Type": "VIEW RELATED INFORMATION"})
    return {
        "meta": {"concept-type": "granule", "concept-id": f"G{1000 + number}-POCLOUD", "revision-id": 3, "native-id": name,
                 "collection-concept-id": "C1-POCLOUD", "provider-id": "POCLOUD", "revision-date": "2024-01-01T00:00:00Z"},
        "umm": {"GranuleUR": name, "CollectionReference": {"ShortName": "MUR", "Version": "4.1"},
                "TemporalExtent": {"RangeDateTime": {"BeginningDateTime": stamp(day),
                                                     "EndingDateTime": stamp(day + datetime.timedelta(days=1))}},
                "SpatialExtent": {"HorizontalSpatialDomain": {"Geometry": {"BoundingRectangles": [
                    {"WestBoundingCoordinate": -180, "SouthBoundingCoordinate": -90, "EastBoundingCoordinate": 180,
                     "NorthBoundingCoordinate": 90}]}}},
                "DataGranule": {"DayNightFlag": "Unspecified", "ArchiveAndDistributionInformation": [
                    {"Name": f"{name}.nc.md5", "SizeInBytes": 98},
                    {"Name": f"{name}.nc", "SizeInBytes": 400_000_000 + number, "Size": 381.5, "SizeUnit": "MB",
                     "Checksum": {"Value": f"{number:032x}", "Algorithm": "MD5"}}]},
                "AccessConstraints": {"Description": padding}, "RelatedUrls": urls}}


def collection(number, short_name="MUR", version="4.1"):
    return {"meta": {"concept-id": f"C{number}-POCLOUD", "provider-id": "POCLOUD", "granule-count": 5},
            "umm": {"ShortName": short_name, "Version": version, "EntryTitle": f"Title of {short_name}",
                    "TemporalExtents": [{"EndsAtPresentFlag": True, "RangeDateTimes": [{"BeginningDateTime": stamp(START)}]}],
                    "RelatedUrls": [{"URL": f"https://archive.example/{short_name}_virtual_https.json", "Type": "GET DATA",
                                     "Subtype": "VIRTUAL COLLECTION", "Description": "reference file"}]}}


class Catalogue(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(urllib.parse.urlparse(self.path).query)

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def answer(self, query):
        server = self.server
        given = urllib.parse.parse_qs(query, keep_blank_values=True)
        path = urllib.parse.urlparse(self.path).path
        after = self.headers.get("CMR-Search-After")
        seen = {"method": self.command, "path": path, "given": given, "after": after, "headers": {name.lower(): value for name, value in self.headers.items()}}
        server.seen.append(seen)
        fault = server.fault(seen, len(server.seen) - 1) if server.fault else None
        if isinstance(fault, tuple):
            return self.reply(*fault)
        if path.startswith("/search/collections"):
            found = [c for c in server.collections
                     if given.get("short_name", [c["umm"]["ShortName"]])[0] == c["umm"]["ShortName"]
                     and given.get("version", [c["umm"]["Version"]])[0] == c["umm"]["Version"]]
            return self.page(found, lambda c: c, given, after, fault)
        first, last = 0, server.count
        for interval in given.get("temporal[]", []):
            begin, end = (parse(text) for text in interval.split(",")[:2])
            days = [(when - START).total_seconds() / 86400 if when else None for when in (begin, end)]
            if days[0] is not None:
                first = max(first, int(-(-days[0] // 1)) - 1)
            if days[1] is not None:
                last = min(last, int(days[1] // 1) + 1)
        self.page(range(first, max(first, last)), server.make, given, after, fault)

    def page(self, found, make, given, after, fault):
        size = int(given.get("page_size", ["10"])[0])
        start = json.loads(after)[0] if after else 0
        if fault == "duplicates" and start:
            start -= 1
        part = found[start:start + size]
        headers = [("CMR-Hits", str(len(found) + (1 if fault == "hits" else 0))), ("Content-Type", "application/json")]
        if fault == "partial":
            part = part[:1]
            headers.append(("CMR-Time-Out", "true"))
        if len(part):
            headers.append(("CMR-Search-After", json.dumps([start + len(part)])))
        if self.server.delay:
            time.sleep(self.server.delay)
        items = ",".join(json.dumps(make(one)) for one in part)
        self.reply(200, f'{{"hits":{len(found)},"took":4,"items":[{items}]}}'.encode(), headers)


@contextmanager
def serving_catalogue(count=5, make=granule, collections=None, fault=None, delay=0):
    """`fault`: a function of a request and its number that says what goes wrong with it: a word, or an answer."""
    collections = [collection(1)] if collections is None else collections
    with serving_with(Catalogue, count=count, make=make, collections=collections, fault=fault, delay=delay, seen=[]) as server:
        yield server

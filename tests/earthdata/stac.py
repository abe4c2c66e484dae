"""A STAC API over the same granules, as CMR-STAC: /stac/PROVIDER/search, by GET and POST, paged by `next` links."""

import json

from . import query, umm
from .front import json_answer


class Stac:
    def __init__(self, hosts, library):
        self.hosts, self.library = hosts, library

    async def __call__(self, request):
        parts = request.path.strip("/").split("/")
        if len(parts) != 3 or parts[2] != "search":
            return json_answer({"code": 404, "description": f"The fake knows no {request.path}"}, 404)
        asked = dict(request.query)
        if request.method == "POST":
            try:
                asked |= json.loads(await request.text())
            except ValueError:
                return json_answer({"code": 400, "description": "the body is not JSON"}, 400)
        try:
            return self.search(request, parts[1], asked)
        except ValueError as reason:  # and what CMR would refuse
            return json_answer({"code": 400, "description": "; ".join(map(str, reason.args))}, 400)

    def search(self, request, provider, asked):
        names = asked.get("collections", [])
        names = names.split(",") if isinstance(names, str) else names
        pairs = [("provider", provider), *(("short_name", self.short_name(name)) for name in names)]
        if "bbox" in asked:
            box = asked["bbox"]
            pairs.append(("bounding_box", box if isinstance(box, str) else ",".join(map(str, box))))
        if "datetime" in asked:
            first, _, last = asked["datetime"].partition("/")
            pairs.append(("temporal", ",".join("" if t == ".." else t for t in (first, last or first))))
        limit = max(0, min(int(asked.get("limit", 10)), 250))
        found, _ = query.find(query.read("granule", pairs), self.library.collections)
        start = int(asked.get("cursor", 0))
        items = [self.item(*one, request) for one in found[start:start + limit]]
        links = []
        if start + limit < len(found):
            here = f"{self.hosts.url('cmr', request['family'])}{request.path}"
            link = {"rel": "next", "href": here, "type": "application/geo+json", "method": request.method}
            more = {**asked, "cursor": start + limit}
            if request.method == "POST":
                link |= {"body": more, "merge": False}
            else:
                link["href"] += "?" + "&".join(f"{k}={v}" for k, v in more.items())
            links.append(link)
        body = {"type": "FeatureCollection", "stac_version": "1.0.0", "numberMatched": len(found), "numberReturned": len(items),
                "features": items, "links": links}
        return json_answer(body, headers={"Content-Type": "application/geo+json; charset=utf-8"})

    def short_name(self, name):
        """CMR-STAC calls a collection SHORTNAME_VERSION."""
        return next((c.short_name for c in self.library.collections if name in (c.short_name, f"{c.short_name}_{c.version}")), name)

    def item(self, c, number, request):
        record = umm.granule(c, number, lambda role: self.hosts.url(role, request["family"]))["umm"]
        shape = c.shape(number)
        rings = [[(r[0], r[1]), (r[2], r[1]), (r[2], r[3]), (r[0], r[3]), (r[0], r[1])] for r in shape.get("rectangles", ())]
        rings += shape.get("polygons", [])
        xs, ys = zip(*(point for ring in rings for point in ring))
        times = record["TemporalExtent"]["RangeDateTime"]
        assets = {}
        for place, link in enumerate(u for u in record["RelatedUrls"] if u["Type"] in ("GET DATA", "GET DATA VIA DIRECT ACCESS")):
            assets["data" if place == 0 else f"data{place}"] = {"href": link["URL"], "title": link["Description"], "roles": ["data"]}
        return {"type": "Feature", "stac_version": "1.0.0", "id": c.name(number), "collection": f"{c.short_name}_{c.version}",
                "geometry": {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]},
                "bbox": [min(xs), min(ys), max(xs), max(ys)],
                "properties": {"datetime": times["BeginningDateTime"], "start_datetime": times["BeginningDateTime"],
                               "end_datetime": times["EndingDateTime"]},
                "assets": assets, "links": []}

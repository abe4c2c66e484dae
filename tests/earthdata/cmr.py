"""The Common Metadata Repository's search: collections, granules, deleted granules, concepts.

What was recorded is answered as recorded, unless the request names a collection that is made here; everything else is found by
query.py and written item by item, so that a page of 2000 granules takes no memory.
"""

import asyncio
import bisect
import collections
import functools
import json
import random
import re
import secrets
import time
import urllib.parse

from . import query, umm
from .catalogue import stamp
from .front import Answer, json_answer
from .shapes import Refused

YEAR_S = 365 * 86400
KEPT_SEARCHES = 8
PAGING = {"page_size", "page_num", "offset", "token", "pretty"}


def errors(status, *texts):
    return json_answer({"errors": list(texts)}, status, {"CMR-Request-Id": secrets.token_hex(16)})


class Cmr:
    def __init__(self, known, hosts, library, recorded):
        self.accounts, self.hosts, self.library, self.recorded = known, hosts, library, recorded
        self.searches = collections.OrderedDict()

    async def __call__(self, request):
        pairs = list(urllib.parse.parse_qsl(request.query_string, keep_blank_values=True))
        if request.method == "POST":
            body = await request.text()
            if request.content_type not in ("application/x-www-form-urlencoded", "application/octet-stream"):
                return errors(415, f"Unsupported content type [{request.content_type}]")
            pairs += urllib.parse.parse_qsl(body, keep_blank_values=True)
        elif request.method not in ("GET", "HEAD"):
            return errors(405, "Method not allowed")
        refusal = self.refusal_of_token(request, pairs)
        return refusal or self.answer(request, pairs)

    def refusal_of_token(self, request, pairs):
        header = request.headers.get("Authorization", "") or dict(pairs).get("token", "")
        if not header and request["fault"].get("kind") != "expired-token":
            return None
        bare = header if " " in header else f"Bearer {header}"
        _, reason = self.accounts.bearer_state(bare)
        shown = bare[:20] + "[...]" if len(bare) > 20 else bare
        if reason == "expired" or request["fault"].get("kind") == "expired-token":
            return errors(401, f"Token [{shown}] has expired. Note the token value has been partially redacted.")
        return errors(401, "Token does not exist") if reason else None

    def answer(self, request, pairs):
        after = request.headers.get("CMR-Search-After")
        if not self.names_ours(pairs):
            found = self.recorded.find(request.path, pairs, after, self.hosts, request["family"])
            if found:
                return Answer(found[0], dict(found[1]), found[2], compressible=True)
        match = re.fullmatch(r"/search/(collections|granules)\.umm_json(?:_v(\d+)_(\d+)(?:_(\d+))?)?", request.path)
        if match:
            pinned = ".".join(n for n in match.groups()[1:] if n)
            return self.search(request, match[1].removesuffix("s"), pairs, after, pinned)
        if request.path == "/search/deleted-granules.json":
            return self.deleted(pairs)
        match = re.fullmatch(r"/search/concepts/([CG]\d+-\w+)(?:/\d+)?(?:\.umm_json\w*)?", request.path)
        if match:
            return self.concept(match[1], request)
        return errors(404, f"The fake knows no {request.path}")

    def names_ours(self, pairs):
        return any(self.library.named(value) for name, value in pairs
                   if name.removesuffix("[]") in ("short_name", "concept_id", "collection_concept_id"))

    def url_of(self, request):
        return functools.partial(self.hosts.url, family=request["family"])

    # --- Search -------------------------------------------------------------------------------------------------------

    def search(self, request, concept, pairs, after, pinned):
        try:
            search = query.read(concept, pairs, after)
            if concept == "collection":
                return self.collections(request, search, after, pinned)
            found, keys = self.found(search, pairs)
            start = search.offset if after is None else bisect.bisect_right(keys, self.after(search, after))
        except Refused as reason:
            return errors(400, *reason.args)
        except query.Unsupported as reason:
            return errors(501, str(reason))
        except TypeError:
            return errors(400, "The search failed with error: search_after has values of other types than sort has. "
                          "Please double check your search_after header.")
        fault = request["fault"]
        if fault.get("kind") == "duplicates" and 0 < start < len(found):  # the pages still come to an end
            start = max(0, start - fault.get("count", 1))
        page = found[start:start + search.page_size]
        if fault.get("kind") == "partial":
            page = page[:fault.get("items", len(page) // 2)]
        hits = len(found) + (fault.get("delta", -1) if fault.get("kind") == "hits" else 0)
        told = query.sort_values(search, *page[-1]) if page else None
        headers = self.headers(hits, told, f"umm_results+json;version={pinned or umm.GRANULE_VERSION}", fault)
        return Answer(200, headers, self.body(hits, page, self.url_of(request), fault), compressible=True)

    def headers(self, hits, told, form, fault):
        headers = {"CMR-Hits": str(hits), "CMR-Took": str(random.randint(8, 300)), "CMR-Request-Id": secrets.token_hex(16),
                   "Content-Type": f"application/vnd.nasa.cmr.{form}; charset=utf-8", "Access-Control-Expose-Headers": "CMR-Hits"}
        if told is not None and fault.get("kind") != "no-search-after":
            headers["CMR-Search-After"] = json.dumps(told, separators=(",", ":"))
        if fault.get("kind") == "partial":
            headers["CMR-Time-Out"] = "true"
        return headers

    def found(self, search, pairs):
        """([(collection, number)], their sort keys) of a search, kept for its next page."""
        question = (tuple(sorted((n, v) for n, v in pairs if n not in PAGING)), self.library.changes)
        if question not in self.searches:
            self.searches[question] = query.find(search, self.library.collections)
        self.searches.move_to_end(question)
        while len(self.searches) > KEPT_SEARCHES:
            self.searches.popitem(last=False)
        return self.searches[question]

    def after(self, search, text):
        """The sort key in a CMR-Search-After."""
        count = len(search.sort or [0, 0]) + 1
        try:
            told = json.loads(text)
        except ValueError:
            told = None
        if not isinstance(told, list):
            raise Refused("search-after header value is invalid, it must be a JSON array.")
        right = len(told) == count and all(isinstance(v, (int, float, str)) for v in told) and isinstance(told[-1], int)
        if not right:
            raise Refused("The search failed with error: [{:type \"illegal_argument_exception\", :reason \"search_after has "
                          f"{len(told)} value(s) but sort has {count}.\"}}]. Please double check your search_after header.")
        return query.sort_key(search, told)

    async def body(self, hits, page, url_of, fault):
        yield f'{{"hits":{hits},"took":{random.randint(8, 300)},"items":['.encode()
        for number, one in enumerate(page):
            record = umm.granule(*one, url_of)
            if fault.get("kind") == "untranslatable" and number == 0:
                record["umm"] = {"_errors": ["Could not parse the native metadata: not well-formed"]}
            yield (b"," if number else b"") + json.dumps(record, separators=(",", ":")).encode()
            if number % 50 == 49:
                await asyncio.sleep(0)  # others get their turn
        yield b"]}"

    def collections(self, request, search, after, pinned):
        fault = request["fault"]
        found = [c for c in self.library.collections if query.collection_matches(search, c)]
        start = search.offset
        if after is not None:
            try:
                start = 1 + [c.concept_id for c in found].index(json.loads(after)[-1])
            except (ValueError, TypeError, IndexError, KeyError):
                raise Refused("search-after header value is invalid.") from None
        page = found[start:start + search.page_size]
        counted = search.flag("include_granule_counts") == "true"
        items = [umm.collection(c, self.url_of(request), counted) for c in page]
        hits = len(found) + (fault.get("delta", -1) if fault.get("kind") == "hits" else 0)
        told = [0.0, page[-1].short_name.lower(), page[-1].concept_id] if page else None
        headers = self.headers(hits, told, f"umm_results+json;version={pinned or umm.COLLECTION_VERSION}", fault)
        body = json.dumps({"hits": hits, "took": 12, "items": items}).encode()
        return Answer(200, headers, body, compressible=True)

    # --- Others -------------------------------------------------------------------------------------------------------

    def deleted(self, pairs):
        """Granules deleted within the last year."""
        given = {name.removesuffix("[]"): value for name, value in pairs}
        try:
            unknown = set(given) - {"revision_date", "parent_collection_id", "provider"}
            if unknown:
                raise Refused(*[f"Parameter [{name}] was not recognized." for name in sorted(unknown)])
            if "revision_date" not in given:
                raise Refused("One revision date is required for deleted granules search.")
            if "," in given["revision_date"]:
                raise Refused("Only a starting date is allowed for deleted granules search, not a range.")
            since = query.interval(given["revision_date"], "revision-date")
            if since.first < time.time() - YEAR_S:
                raise Refused("Revision date must be within one year of today.")
        except Refused as reason:
            return errors(400, *reason.args)
        gone = [{"granule-ur": c.name(n), "concept-id": c.concept(n), "parent-collection-id": c.concept_id, "revision-date": stamp(when)}
                for c in self.library.collections for n, when in c.deleted.items()
                if since.first <= when <= since.last and given.get("provider", c.provider) == c.provider
                and given.get("parent_collection_id", c.concept_id) == c.concept_id]
        return json_answer(gone, headers={"CMR-Hits": str(len(gone)), "CMR-Took": "5"})

    def concept(self, identifier, request):
        """One record alone, without the envelope."""
        for c in self.library.collections:
            if c.concept_id == identifier:
                return self.record(umm.collection(c, self.url_of(request)), umm.COLLECTION_VERSION)
            number = int(identifier[1:].split("-")[0]) - c.first
            if identifier[0] == "G" and 0 <= number < c.count and c.concept(number) == identifier and number not in c.deleted:
                return self.record(umm.granule(c, number, self.url_of(request)), umm.GRANULE_VERSION)
        return errors(404, f"Concept with concept-id [{identifier}] could not be found.")

    def record(self, item, version):
        form = f"application/vnd.nasa.cmr.umm+json;version={version}; charset=utf-8"
        return json_answer(item["umm"], headers={"Content-Type": form, "CMR-Revision-Id": str(item["meta"]["revision-id"])})

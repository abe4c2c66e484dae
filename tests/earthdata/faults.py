"""Faults on request: rules that spoil the answers that they match.

A rule is a dictionary:

    kind     what goes wrong, see KINDS
    host     role: urs, cmr, podaac, nsidc, s3 (default: any)
    method   GET, HEAD, POST (default: any)
    path     pattern of fnmatch for the path (default: any)
    query    what the query contains, decoded (default: anything)
    skip     how many matching requests pass first (default 0)
    times    how many are spoiled then (default: every one)

and what its kind takes. The first rule that matches and is not used up acts.
"""

import fnmatch

KINDS = {
    # of any host
    "status": "answers `status` with `body`, `type` and `headers`",
    "429": "429 with Retry-After: `retry_after` (default 1)",
    "500": "500", "502": "502", "503": "503 with Retry-After: `retry_after` (default: none)", "504": "504",
    "stall": "sends `after` bytes of the body (default 0: not even the header), waits `seconds` (default 3600) and goes on",
    "cut": "closes the connection in order after `after` bytes of the body (default: half of them)",
    "reset": "resets the connection before an answer",
    "html": "200 with the login page of Earthdata Login",
    "date": "the Date of the answer is `seconds` off",
    # of the login host and gateways
    "balancer": "at a gateway: 401 and another cookie each time, for whoever is not logged in",
    "eula": "a EULA that is not accepted",
    "unapproved": "an application that is not approved",
    "expired-signature": "at a gateway: a signed URL that has expired already; at s3: 403 Request has expired",
    # of s3
    "expired-token": "at s3: 400 ExpiredToken; at cmr: 401, expired",
    "ignore-range": "200 and the whole object instead of the range",
    "wrong-range": "206 whose Content-Range is `shift` bytes off (default 1)",
    "other-range": "206 of bytes `shift` further on, and a Content-Range that says so",
    "changed": "another ETag and Last-Modified than before",
    "corrupt": "the byte at `at` of the object (default: the first of the range) differs",
    # of cmr
    "duplicates": "the page begins with the last `count` granules (default 1) of the page before",
    "hits": "CMR-Hits and hits are `delta` more (default -1)",
    "partial": "CMR-Time-Out: true, with `items` granules (default: half of the page)",
    "no-search-after": "a page without CMR-Search-After",
    "untranslatable": "the first granule's umm holds _errors only",
}


class Rules:
    def __init__(self):
        self.rules = []

    def add(self, rule):
        """Gives the reason why not, or nothing."""
        if rule.get("kind") not in KINDS:
            return f"no fault is called {rule.get('kind')!r}; there are {', '.join(KINDS)}"
        self.rules.append({"seen": 0, "done": 0, **rule})
        return ""

    def clear(self):
        self.rules.clear()

    def choose(self, role, method, path, query):
        for rule in self.rules:
            if rule.get("host", role) != role or rule.get("method", method) != method:
                continue
            if not fnmatch.fnmatchcase(path, rule.get("path", "*")) or rule.get("query", "") not in query:
                continue
            rule["seen"] += 1
            if rule["seen"] <= rule.get("skip", 0) or (rule.get("times") is not None and rule["done"] >= rule["times"]):
                continue
            rule["done"] += 1
            return rule
        return {}

"""Answers that public test suites recorded from CMR, given again to the same request.

The recordings (data/cmr of the shared data, see its MANIFEST.md) are pairs NN.meta.json and NN.body.json. Addresses of hosts
that are faked here are written in the family of names in which the request came, so that no client is led to the real ones.
"""

import json
import re
import urllib.parse

from . import names

KEPT = ("content-type", "cmr-hits", "cmr-search-after", "cmr-took", "cmr-request-id")


def canonical(path, pairs, search_after):
    """The same for the same question, however it was written: with or without `[]`, with a plus as it is or encoded."""
    question = sorted((re.sub(r"\[\]$", "", name), value.replace(" ", "+")) for name, value in pairs)
    return path, tuple(question), json.dumps(json.loads(search_after)) if search_after else ""


class Recorded:
    """Empty where there is no folder. Of a question that was put in several sessions, the answer of the longest holds."""

    def __init__(self, folder):
        self.answers = {}
        sessions = [sorted(session.glob("*.meta.json")) for session in folder.glob("*/*")] if folder else []
        for session in sorted(sessions, key=lambda s: (-len(s), s)):
            for meta in session:
                self.add(meta)

    def add(self, meta):
        exchange = json.loads(meta.read_text())
        request, response = exchange["request"], exchange["response"]
        parts = urllib.parse.urlsplit(request["uri"])
        body = meta.with_name(meta.name.replace(".meta.", ".body."))
        if not parts.netloc.startswith("cmr.") or request["method"] != "GET" or not body.is_file():
            return
        headers = {name.lower(): value for name, value in request["headers"].items()}
        key = canonical(parts.path, urllib.parse.parse_qsl(parts.query, keep_blank_values=True), headers.get("cmr-search-after"))
        told = {name: value for name, value in response["headers"].items() if name.lower() in KEPT}
        self.answers.setdefault(key, (response["status"]["code"], told, body))

    def find(self, path, pairs, search_after, hosts, family):
        """(status, headers, body) or None."""
        try:
            answer = self.answers.get(canonical(path, pairs, search_after))
        except ValueError:
            return None
        if answer is None:
            return None
        status, headers, file = answer
        body = file.read_bytes()
        if family != "nasa":
            for role, name in names.REAL.items():
                body = body.replace(f"https://{name}/".encode(), f"{hosts.url(role, family)}/".encode())
        return status, headers, body

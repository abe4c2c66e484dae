"""What every listener does: finds the host that was asked, applies faults, sends answers, and logs them."""

import asyncio
import collections
import email.utils
import json
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from . import pages

PIECE = 1 << 18
LOGGED = 200_000


@dataclass
class Answer:
    """`body` is bytes, or an iterator (async or not) of bytes; `length` is that of an iterator, where it is known."""

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: Any = b""
    length: int | None = None
    compressible: bool = False
    cookies: list = field(default_factory=list)


def json_answer(value, status=200, headers=None, cookies=()):
    body = json.dumps(value).encode()
    return Answer(status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, body, cookies=list(cookies))


def html_answer(page, status=200, headers=None):
    return Answer(status, {"Content-Type": "text/html; charset=utf-8", **(headers or {})}, page.encode())


def redirect(status, url, headers=None, cookies=()):
    return Answer(status, {"Location": url, **(headers or {})}, b"", cookies=list(cookies))


def authorization_kind(header):
    """none, basic, bearer, aws, or other."""
    scheme = header.split(" ", 1)[0].lower()
    return {"": "none", "basic": "basic", "bearer": "bearer", "aws4-hmac-sha256": "aws"}.get(scheme, "other")


class Front:
    """`answerers` maps a role to a coroutine function of the request that gives an Answer."""

    def __init__(self, hosts, rules, answerers):
        self.hosts, self.rules, self.answerers = hosts, rules, answerers
        self.log = collections.deque(maxlen=LOGGED)
        self.logged = 0

    def restart(self, answerers):
        self.answerers = answerers
        self.rules.clear()
        self.log.clear()

    def listener(self, role):
        """A handler for aiohttp's web.Server; role None: by the Host header."""

        async def handle(request):
            asked = self.hosts.role_of(request.host, role)
            entry = self.begin(request, asked)
            try:
                response = await self.respond(request, asked, entry)
            except ConnectionError:  # the client hung up, or a fault did
                response = web.Response()
            finally:
                entry["seconds"] = round(time.monotonic() - entry.pop("began"), 4)
            return response

        return handle

    def begin(self, request, role):
        header = request.headers
        self.logged += 1
        entry = {
            "number": self.logged, "time": time.time(), "began": time.monotonic(), "role": role, "host": request.host,
            "method": request.method, "path": request.path, "query": request.query_string, "range": header.get("Range", ""),
            "authorization": authorization_kind(header.get("Authorization", "")), "cookies": sorted(request.cookies),
            "user_agent": header.get("User-Agent", ""), "search_after": header.get("CMR-Search-After", ""),
            "connection": (request.transport.get_extra_info("peername") or ("", 0))[1] if request.transport else 0,
            "status": 0, "bytes": 0, "fault": "",
        }
        self.log.append(entry)
        return entry

    async def respond(self, request, role, entry):
        if role is None:
            return await self.send(request, Answer(421, {}, b"this host is not served here"), entry, {})
        request["role"], request["family"] = role, self.hosts.family(request.host)
        fault = self.rules.choose(role, request.method, request.path, " ".join(f"{k}={v}" for k, v in request.query.items()))
        request["fault"], entry["fault"] = fault, fault.get("kind", "")
        if entry["fault"] == "reset":
            request.transport.abort()
            raise ConnectionResetError
        if entry["fault"] == "stall" and not fault.get("after"):
            await asyncio.sleep(fault.get("seconds", 3600))
        answer = self.spoiled(fault) or await self.answerers[role](request)
        return await self.send(request, answer, entry, fault)

    def spoiled(self, fault):
        """The answer that takes the place of the right one, or none."""
        kind = fault.get("kind")
        if kind == "status":
            return Answer(fault.get("status", 500), {"Content-Type": fault.get("type", "text/plain"), **fault.get("headers", {})},
                          fault.get("body", "").encode())
        if kind in ("429", "500", "502", "503", "504"):
            wait = fault.get("retry_after", 1 if kind == "429" else None)
            headers = {} if wait is None else {"Retry-After": str(wait)}
            return json_answer({"errors": [f"This fault was asked for: {kind}"]}, int(kind), headers)
        return html_answer(pages.LOGIN) if kind == "html" else None

    async def send(self, request, answer, entry, fault):
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        if fault.get("kind") == "date":
            response.headers["Date"] = email.utils.formatdate(time.time() + fault["seconds"], usegmt=True)
        for cookie in answer.cookies:
            response.headers.add("Set-Cookie", cookie)
        entry["status"] = answer.status
        whole = isinstance(answer.body, bytes)
        length = len(answer.body) if whole else answer.length
        if answer.compressible and "gzip" in request.headers.get("Accept-Encoding", "") and request.method != "HEAD":
            response.enable_compression(web.ContentCoding.gzip)
        elif length is not None:
            response.content_length = length
        await response.prepare(request)
        if request.method != "HEAD":
            limit = self.limit(fault, length)
            async for piece in pieces(answer.body):
                await self.write(request, response, piece, entry, fault, limit)
        await response.write_eof()
        return response

    def limit(self, fault, length):
        """How many bytes of a body pass before the fault acts."""
        if fault.get("kind") == "cut":
            return fault.get("after", (length or 2) // 2)
        return fault.get("after", 0) if fault.get("kind") == "stall" else None

    async def write(self, request, response, piece, entry, fault, limit):
        room = None if limit is None else limit - entry["bytes"]
        if room is not None and 0 <= room < len(piece):
            await response.write(piece[:room])
            entry["bytes"] += room
            if fault["kind"] == "cut":
                await asyncio.sleep(0.05)  # what was written leaves first
                request.transport.close()
                raise ConnectionResetError
            if room:
                await asyncio.sleep(fault.get("seconds", 3600))
            piece = piece[room:]
        await response.write(piece)
        entry["bytes"] += len(piece)


async def pieces(body):
    if isinstance(body, bytes):
        for start in range(0, len(body), PIECE):
            yield body[start:start + PIECE]
    elif hasattr(body, "__aiter__"):
        async for piece in body:
            yield piece
    else:
        for piece in body:
            yield piece

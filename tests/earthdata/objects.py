"""The object host: what signed URLs lead to, as Amazon S3 in path style.

A signed URL holds for its method, host, path and time. A request that has both a signature in its URL and an Authorization
header is refused, as S3 does. Keys of /s3credentials sign requests in the header (Signature Version 4, checked with botocore's
implementation) and are good only inside of the region, which clients are only when told so with --in-region.
"""

import calendar
import email.utils
import hashlib
import hmac
import re
import secrets
import time
import urllib.parse
from dataclasses import dataclass

from . import pages
from .front import Answer

REGION = "us-west-2"
BOTH = ("Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the "
        "Authorization header should be specified")


@dataclass
class Credentials:
    access: str
    secret: str
    token: str
    expires: float


class Signer:
    def __init__(self):
        self.key = secrets.token_bytes(32)
        self.role = Credentials("ASIA" + secrets.token_hex(8).upper(), "", secrets.token_hex(40), 0)
        self.issued = {}  # access key to Credentials

    def new_credentials(self, expires):
        keys = Credentials("ASIA" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30), secrets.token_hex(60), expires)
        self.issued[keys.access] = keys
        return keys

    def signature(self, method, authority, path, query):
        text = "\n".join([method, authority, path, urllib.parse.urlencode(sorted(query.items()))])
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()

    def url(self, method, authority, path, seconds):
        """`seconds` below 0: already expired."""
        now = time.time() + min(seconds, 0)
        query = {
            "A-userid": "fake", "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self.role.access}/{time.strftime('%Y%m%d', time.gmtime(now))}/{REGION}/s3/aws4_request",
            "X-Amz-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)), "X-Amz-Expires": str(max(seconds, 1)),
            "X-Amz-Security-Token": self.role.token, "X-Amz-SignedHeaders": "host",
        }
        query["X-Amz-Signature"] = self.signature(method, authority, path, query)
        return f"https://{authority}{urllib.parse.quote(path)}?{urllib.parse.urlencode(query)}"

    def refusal_of_url(self, request):
        """None, or the answer to a URL that is wrong or has expired."""
        query = dict(request.query)
        given = query.pop("X-Amz-Signature", "")
        if not hmac.compare_digest(given, self.signature(request.method, request.host, request.path, query)):
            return refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you "
                           "provided. Check your key and signing method.")
        start = calendar.timegm(time.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
        end = start + int(query["X-Amz-Expires"])
        if time.time() > end:
            return refused(403, "AccessDenied", "Request has expired", **{"X-Amz-Expires": query["X-Amz-Expires"],
                           "Expires": iso(end), "ServerTime": iso(time.time())})
        return None

    def refusal_of_header(self, request, in_region):
        """None, or the answer to a request whose Authorization header is not that of keys of /s3credentials."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials as Keys

        fields = dict(re.findall(r"(\w+)=([^,\s]+)", request.headers["Authorization"]))
        keys = self.issued.get(fields.get("Credential", "").split("/")[0])
        if keys is None:
            return refused(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
        if request.headers.get("X-Amz-Security-Token", "") != keys.token:
            return refused(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
        if keys.expires < time.time():
            return refused(400, "ExpiredToken", "The provided token has expired.")
        if not in_region:
            return refused(403, "AccessDenied", "Access Denied")
        signed = {name: request.headers.get(name, "") for name in fields.get("SignedHeaders", "").split(";")}
        copy = AWSRequest(method=request.method, url=f"https://{request.host}{request.raw_path}", headers=signed)
        copy.context["timestamp"] = signed.get("x-amz-date", "")
        signer = S3SigV4Auth(Keys(keys.access, keys.secret), "s3", REGION)
        right = signer.signature(signer.string_to_sign(copy, signer.canonical_request(copy)), copy)
        if not hmac.compare_digest(right, fields.get("Signature", "")):
            return refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.")
        return None


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def refused(status, code, message, **more):
    return Answer(status, {"Content-Type": "application/xml"}, pages.s3_error(code, message, **more))


def asked_range(header, size):
    """(first, behind the last) of one range, None of what S3 answers whole, "unsatisfiable"."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        return (max(size - int(last), 0), size) if int(last) and size else "unsatisfiable"
    if last and int(last) < int(first):
        return None
    return (int(first), min(int(last) + 1 if last else size, size)) if int(first) < size else "unsatisfiable"


class Objects:
    def __init__(self, signer, library, in_region=False):
        self.signer, self.library, self.in_region = signer, library, in_region

    async def __call__(self, request):
        if request.method not in ("GET", "HEAD"):
            return refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        refusal = self.refusal(request)
        if refusal:
            return refusal
        bucket, _, key = request.path.lstrip("/").partition("/")
        blob = self.library.blob(bucket, key)
        if blob is None:
            return refused(404, "NoSuchKey", "The specified key does not exist.", Key=key)
        return self.answer(request, blob)

    def refusal(self, request):
        fault = request["fault"].get("kind")
        if fault == "expired-token":
            return refused(400, "ExpiredToken", "The provided token has expired.")
        if fault == "expired-signature":
            return refused(403, "AccessDenied", "Request has expired", ServerTime=iso(time.time()))
        header, signed = request.headers.get("Authorization", ""), "X-Amz-Signature" in request.query
        if header and (signed or not header.startswith("AWS4-HMAC-SHA256 ")):
            return refused(400, "InvalidArgument", BOTH, ArgumentName="Authorization", ArgumentValue="(not shown)")
        if header:
            return self.signer.refusal_of_header(request, self.in_region)
        return self.signer.refusal_of_url(request) if signed else refused(403, "AccessDenied", "Access Denied")

    def answer(self, request, blob):
        fault = request["fault"]
        kind = fault.get("kind")
        etag = f'"{blob.etag}"' if kind != "changed" else f'"{hashlib.md5(blob.etag.encode()).hexdigest()}"'
        modified = blob.modified + (86400 if kind == "changed" else 0)
        headers = {"ETag": etag, "Last-Modified": email.utils.formatdate(modified, usegmt=True), "Accept-Ranges": "bytes",
                   "Content-Type": "binary/octet-stream", "x-amz-request-id": secrets.token_hex(8).upper(), "Server": "AmazonS3"}
        if request.headers.get("If-Match", etag) not in (etag, "*"):
            return refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold", Condition="If-Match")
        if request.headers.get("If-None-Match", "") in (etag, "*"):
            return Answer(304, {"ETag": etag})
        part = asked_range(request.headers.get("Range", ""), blob.size) if request.headers.get("If-Range", etag) == etag else None
        if kind == "ignore-range":
            part = None
        if part == "unsatisfiable":
            answer = refused(416, "InvalidRange", "The requested range is not satisfiable", ActualObjectSize=blob.size)
            answer.headers["Content-Range"] = f"bytes */{blob.size}"
            return answer
        first, end = part or (0, blob.size)
        told = first, end
        shift = fault.get("shift", 1)
        if part and kind == "other-range" and first + shift < blob.size:
            first, end = first + shift, min(end + shift, blob.size)
            told = first, end
        if part and kind == "wrong-range":
            told = first + shift, end + shift
        if part:
            headers["Content-Range"] = f"bytes {told[0]}-{told[1] - 1}/{blob.size}"
        body = blob.pieces(first, end)
        if kind == "corrupt":
            body = corrupted(body, first, fault.get("at", first))
        return Answer(206 if part else 200, headers, body, length=end - first)


def corrupted(pieces, position, at):
    for piece in pieces:
        if position <= at < position + len(piece):
            changed = bytearray(piece)
            changed[at - position] ^= 0xFF
            piece = bytes(changed)
        position += len(piece)
        yield piece

"""A data gateway as thin-egress-app: who is logged in gets 303 to a signed URL, who is not goes to the login host.

As there: HEAD asks for no login; a Bearer that the login host does not know is a redirect to it, not 401; the cookie spares the
next question; a directory is a 404 page. Paths are /BUCKET/KEY; buckets whose name ends in -public or -docs need no login.
"""

import datetime
import secrets
import urllib.parse

from . import login, pages
from .front import Answer, html_answer, json_answer, redirect

COOKIE = "asf-urs"
CLIENT = "fake-tea-client-id"
EARLY_S = 60  # Cache-Control says so many seconds less than the signature is good for


class Gateway:
    def __init__(self, known, hosts, signer, library, signed_seconds=3600, credentials_seconds=3600):
        self.accounts, self.hosts, self.signer, self.library = known, hosts, signer, library
        self.signed_seconds, self.credentials_seconds = signed_seconds, credentials_seconds

    async def __call__(self, request):
        if request.method not in ("GET", "HEAD"):
            return json_answer({"Code": "MethodNotAllowedError", "Message": f"Unsupported method: {request.method}"}, 405)
        fixed = {"/s3credentials": self.s3credentials, "/login": self.login, "/": self.front_page, "/profile": self.front_page,
                 "/s3credentialsREADME": self.front_page}.get(request.path)
        if fixed:
            return fixed(request)
        return self.head(request) if request.method == "HEAD" else self.get(request)

    # --- Who asks -----------------------------------------------------------------------------------------------------

    def who(self, request):
        """(user, cookies to set, None) or (None, [], the answer that refuses)."""
        user = self.accounts.user_of_session(request.cookies.get(COOKIE, ""))
        if user:
            return user, [], None
        header = request.headers.get("Authorization", "")
        if header.lower().startswith("bearer "):
            user, _ = self.accounts.bearer_state(header)
            if user and (not user.eula or request["fault"].get("kind") == "eula"):
                return None, [], self.eula_refusal(request)
            if user:
                return user, [self.cookie(user)], None
        if request["fault"].get("kind") == "balancer":
            balancer = f"balancer={secrets.token_hex(8)}; Path=/"
            return None, [], json_answer({"message": "Unauthorized"}, 401, cookies=[balancer])
        return None, [], self.to_login(request)

    def cookie(self, user):
        return f"{COOKIE}={self.accounts.new_session(user)}; Path=/; Secure; HttpOnly"

    def to_login(self, request):
        """Where a login is to be had; scripts are to get 401 there instead of a page."""
        query = {"client_id": CLIENT, "response_type": "code",
                 "redirect_uri": self.hosts.url(request["role"], request["family"]) + "/login", "state": request.path}
        if not request.headers.get("User-Agent", "").startswith("Mozilla"):
            query["app_type"] = "401"
        return redirect(302, f"{self.hosts.url('urs', request['family'])}/oauth/authorize?{urllib.parse.urlencode(query)}")

    def eula_refusal(self, request):
        status, body = login.refusal("eula", self.hosts.url("urs", request["family"]), CLIENT)
        if not request.headers.get("User-Agent", "").lower().startswith("mozilla"):
            return json_answer(body, status)
        link = body["resolution_url"]
        text = f'Could not fetch data because "{body["error_description"]}". Please accept EULA here: <a href="{link}">{link}</a> and try again.'
        return html_answer(pages.error(body["error_description"], text), status)

    def login(self, request):
        """The way back from the login host."""
        user = self.accounts.user_of_code(request.query.get("code", ""))
        if not user:
            return html_answer(pages.error("Could not login", "Failed to authenticate."), 400)
        target = self.hosts.url(request["role"], request["family"]) + request.query.get("state", "/")
        return redirect(301, target, cookies=[self.cookie(user)])

    def front_page(self, _):
        return html_answer(pages.error("Welcome", "Thin Egress App"))

    # --- Data ---------------------------------------------------------------------------------------------------------

    def find(self, request):
        bucket, _, key = request.path.lstrip("/").partition("/")
        return bucket, key, self.library.blob(bucket, key)

    def signed(self, request, bucket, key):
        seconds = -10 if request["fault"].get("kind") == "expired-signature" else self.signed_seconds
        authority = self.hosts.authority("s3", request["family"])
        return self.signer.url(request.method, authority, f"/{bucket}/{key}", seconds)

    def head(self, request):
        bucket, key, blob = self.find(request)
        if blob is None:
            return html_answer(pages.error("File not found", "File not found"), 404)
        return redirect(303, self.signed(request, bucket, key))

    def get(self, request):
        bucket, key, blob = self.find(request)
        if not bucket or not self.library.has_bucket(bucket):
            return html_answer(pages.error("File not found", "File not found"), 404)
        if not key or key.endswith("/"):
            return html_answer(pages.error("Request Not Serviceable", "Request does not appear to be valid."), 404)
        cookies = []
        if not bucket.endswith(("-public", "-docs")):
            user, cookies, refusal = self.who(request)
            if user is None:
                return refusal
        if blob is None:
            return html_answer(pages.error("Data Not Available", "Could not find requested data."), 404)
        asked = request.headers.get("Range", "")
        headers = {"Cache-Control": f"private, max-age={self.signed_seconds - EARLY_S}"}
        if asked:
            headers["Range"] = asked
            if starts_behind(asked, blob.size):
                return Answer(416, {"Content-Type": "text/plain"}, b"Invalid Range")
        return redirect(303, self.signed(request, bucket, key), headers, cookies)

    def s3credentials(self, request):
        user, cookies, refusal = self.who(request)
        if user is None:
            return refusal
        end = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(seconds=self.credentials_seconds)
        keys = self.signer.new_credentials(end.timestamp())
        return json_answer({"accessKeyId": keys.access, "secretAccessKey": keys.secret, "sessionToken": keys.token,
                            "expiration": str(end)}, headers={"X-Request-Id": secrets.token_hex(8)}, cookies=cookies)


def starts_behind(header, size):
    """Whether S3 answers 416."""
    first = header.removeprefix("bytes=").split("-")[0]
    return first.isdigit() and int(first) >= size

"""The login host, as urs.earthdata.nasa.gov.

Recorded: find_or_create_token, tokens, the wrong password, /profile and /home, the profile of a user. From the source of
thin-egress-app: the answers to a EULA that is not accepted. The rest (texts of the token limit and of an application that is
not approved) is how clients describe it.
"""

import urllib.parse

from . import accounts, pages
from .front import Answer, html_answer, json_answer, redirect
from .names import GATEWAYS

SESSION = "_urs-gui_session"
INVALID = {"error": "invalid_credentials", "error_description": "Invalid user credentials"}
REALM = 'Basic realm="Please enter your Earthdata Login credentials. If you do not have a Earthdata Login, create one at {}//users/new"'


def refusal(kind, base, client):
    """What stands between a user and the data: `kind` eula or unapproved."""
    text = {"eula": "EULA Acceptance Failure", "unapproved": "Application approval required"}[kind]
    status = {"eula": 403, "unapproved": 401}[kind]
    resolution = f"{base}/approve_app?client_id={client}"
    return status, {"status_code": status, "error_description": text, "resolution_url": resolution}


class Login:
    def __init__(self, known, hosts):
        self.accounts, self.hosts = known, hosts

    async def __call__(self, request):
        route = (request.method, request.path.rstrip("/"))
        answer = {
            ("POST", "/api/users/find_or_create_token"): self.find_or_create_token,
            ("GET", "/api/users/tokens"): self.list_tokens,
            ("POST", "/api/users/token"): self.create_token,
            ("POST", "/api/users/revoke_token"): self.revoke_token,
            ("POST", "/oauth/tokens/user"): self.user_of_token,
            ("GET", "/oauth/authorize"): self.authorize,
        }.get(route)
        if answer:
            return answer(request)
        if request.method in ("GET", "HEAD"):
            if route[1] == "/profile":
                return redirect(302, self.hosts.url("urs", request["family"]) + "/home", {"Content-Type": "text/html; charset=utf-8"})
            if route[1] in ("", "/home"):
                return html_answer(pages.HOME if self.who(request) else pages.LOGIN)
            if route[1].startswith("/api/users/"):
                return self.profile(request, route[1].rsplit("/", 1)[1])
        return html_answer(pages.error("Not found", "The page you were looking for doesn't exist."), 404)

    def who(self, request):
        """The user of a Basic or Bearer header or a session, or None."""
        header = request.headers.get("Authorization", "")
        if header.lower().startswith("basic "):
            return self.accounts.user_of_basic(header)
        if header.lower().startswith("bearer "):
            return self.accounts.bearer_state(header)[0]
        return self.accounts.user_of_session(request.cookies.get(SESSION, ""))

    def basic(self, request):
        header = request.headers.get("Authorization", "")
        return self.accounts.user_of_basic(header) if header.lower().startswith("basic ") else None

    def find_or_create_token(self, request):
        user = self.basic(request)
        if not user:
            return json_answer(INVALID, 401)
        tokens = self.accounts.current_tokens(user)
        return json_answer(accounts.as_json(tokens[0] if tokens else self.accounts.new_token(user)))

    def list_tokens(self, request):
        user = self.basic(request)
        if not user:
            return json_answer(INVALID, 401)
        return json_answer([accounts.as_json(token) for token in self.accounts.current_tokens(user)])

    def create_token(self, request):
        user = self.basic(request)
        if not user:
            return json_answer(INVALID, 401)
        token = self.accounts.new_token(user)
        if token is None:
            return json_answer({"error": "max_token_limit", "error_description": "Max token limit reached"}, 403)
        return json_answer(accounts.as_json(token))

    def revoke_token(self, request):
        user = self.basic(request)
        if not user:
            return json_answer(INVALID, 401)
        text = request.query.get("token", "")
        if text not in [token.text for token in user.tokens]:
            return json_answer({"error": "invalid_token", "error_description": "The token is either malformed or does not exist"}, 403)
        self.accounts.revoked.add(text)
        return Answer(200, {"Content-Type": "application/json; charset=utf-8"})

    def user_of_token(self, request):
        """What gateways ask; ours share memory, but clients may ask, too."""
        user, reason = self.accounts.bearer_state("Bearer " + request.query.get("token", ""))
        if not user:
            return json_answer({"error": "invalid_token", "error_description": f"The token is {reason}"}, 401)
        if not user.eula or request["fault"].get("kind") == "eula":
            status, body = refusal("eula", self.hosts.url("urs", request["family"]), request.query.get("client_id", ""))
            return json_answer(body, status)
        return json_answer({"uid": user.name})

    def profile(self, request, name):
        user = self.who(request)
        if not user or user.name != name:
            return json_answer({"error": "invalid_token", "error_description": "The token is either malformed or does not exist"}, 401)
        return json_answer({"uid": name, "first_name": "Fake", "last_name": "User", "country": "United States",
                            "study_area": "Other", "user_type": "Application", "affiliation": "Commercial",
                            "agreed_to_meris_eula": user.eula, "agreed_to_sentinel_eula": user.eula, "email_verified": True,
                            "user_groups": [], "user_authorized_apps": 24})

    def authorize(self, request):
        """The dance: with a login, back to the application with a code; without one, 401 for scripts and a page for people."""
        base, query = self.hosts.url("urs", request["family"]), request.query
        target, client = query.get("redirect_uri", ""), query.get("client_id", "")
        if query.get("response_type") != "code" or not client or not self.of_a_gateway(target):
            return json_answer({"error": "invalid_request", "error_description": "Invalid redirect_uri or client_id"}, 400)
        user = self.who(request)
        if not user:
            if request.headers.get("Authorization", ""):
                return json_answer(INVALID, 401, {"WWW-Authenticate": REALM.format(base)})
            if query.get("app_type") == "401":
                return html_answer("HTTP Basic: Access denied.\n", 401, {"WWW-Authenticate": REALM.format(base)})
            return html_answer(pages.LOGIN)
        fault = request["fault"].get("kind")
        for kind, held in (("unapproved", user.approved), ("eula", user.eula)):
            if not held or fault == kind:
                status, body = refusal(kind, base, client)
                return json_answer(body, status)
        back = {"code": self.accounts.new_code(user)}
        if "state" in query:
            back["state"] = query["state"]
        cookie = f"{SESSION}={self.accounts.new_session(user)}; Path=/; Secure; HttpOnly; SameSite=Lax"
        return redirect(302, f"{target}?{urllib.parse.urlencode(back)}", cookies=[cookie])

    def of_a_gateway(self, target):
        """Only registered applications get codes."""
        parts = urllib.parse.urlsplit(target)
        family = self.hosts.family(parts.netloc)
        return parts.path == "/login" and parts.netloc in [self.hosts.authority(role, family) for role in GATEWAYS]

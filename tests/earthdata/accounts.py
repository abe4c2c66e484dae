"""Users, their tokens, sessions and codes: what Earthdata Login knows.

Tokens are JWTs with the claims of Earthdata's, signed with a key of this run, valid 60 days unless told otherwise, at most two
for a user.
"""

import base64
import binascii
import datetime
import json
import secrets
import time
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

TOKEN_LIMIT = 2
DAY_S = 86400


@dataclass
class User:
    name: str
    password: str
    approved: bool = True  # the data centres' applications
    eula: bool = True
    tokens: list = field(default_factory=list)  # of Token


@dataclass
class Token:
    text: str
    user: str
    expires: float


def new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Accounts:
    def __init__(self, key, users, token_seconds=60 * DAY_S, session_seconds=12 * 3600):
        self.users = {user.name: user for user in users}
        self.token_seconds, self.session_seconds = token_seconds, session_seconds
        self.tokens = {}  # every one ever made: text to Token
        self.revoked = set()
        self.sessions = {}  # cookie value to (user name, end)
        self.codes = {}  # of the authorization dance: code to user name
        self.key = key

    def user_of_basic(self, header):
        """The user of a Basic header with the right password, or None."""
        try:
            name, _, password = base64.b64decode(header.split(" ", 1)[1], validate=True).decode().partition(":")
        except (IndexError, binascii.Error, UnicodeDecodeError):
            return None
        user = self.users.get(name)
        return user if user and secrets.compare_digest(user.password.encode(), password.encode()) else None

    def jwt(self, user, expires):
        head = {"typ": "JWT", "origin": "Earthdata Login", "sig": "edljwtpubkey_ops", "alg": "RS256"}
        claims = {"type": "User", "uid": user.name, "exp": int(expires), "iat": int(time.time()), "jti": secrets.token_hex(8),
                  "iss": "https://urs.earthdata.nasa.gov", "identity_provider": "edl_ops", "acr": "edl", "assurance_level": 3}
        body = ".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
        return body + "." + base64url(self.key.sign(body.encode(), padding.PKCS1v15(), hashes.SHA256()))

    def current_tokens(self, user):
        now = time.time()
        user.tokens = [t for t in user.tokens if t.expires > now and t.text not in self.revoked]
        return user.tokens

    def new_token(self, user, seconds=None):
        """A Token, or None at the limit."""
        if len(self.current_tokens(user)) >= TOKEN_LIMIT:
            return None
        expires = time.time() + (self.token_seconds if seconds is None else seconds)
        token = Token(self.jwt(user, expires), user.name, expires)
        user.tokens.append(token)
        self.tokens[token.text] = token
        return token

    def bearer_state(self, header):
        """(user or None, "" or why not: expired, unknown) of an Authorization header."""
        token = self.tokens.get(header.split(" ", 1)[1].strip() if " " in header else "")
        if token is None or token.text in self.revoked:
            return None, "unknown"
        return (self.users[token.user], "") if token.expires > time.time() else (None, "expired")

    def new_session(self, user):
        value = secrets.token_urlsafe(24)
        self.sessions[value] = (user.name, time.time() + self.session_seconds)
        return value

    def user_of_session(self, value):
        name, end = self.sessions.get(value, ("", 0))
        return self.users.get(name) if end > time.time() else None

    def new_code(self, user):
        code = secrets.token_hex(16)
        self.codes[code] = user.name
        return code

    def user_of_code(self, code):
        """Once."""
        return self.users.get(self.codes.pop(code, ""))


def as_json(token):
    day = datetime.datetime.fromtimestamp(token.expires, datetime.timezone.utc)
    return {"access_token": token.text, "token_type": "Bearer", "expiration_date": day.strftime("%m/%d/%Y")}

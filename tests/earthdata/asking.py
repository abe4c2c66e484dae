"""Single requests to the fake, for tests: nothing is followed, retried or resolved."""

import base64
import http.client
import json
import socket
import ssl
import urllib.parse


class Reply:
    def __init__(self, answer, method):
        self.status, self.headers = answer.status, answer.headers
        self.body = b"" if method == "HEAD" else answer.read()

    def json(self):
        return json.loads(self.body)


def ask(fake, role, path, method="GET", body=None, host=None, timeout=20, **headers):
    """One request on a connection of its own to the name under localhost, which is not resolved. Follows nothing."""
    name, port = (host or fake.hosts[role]["local"]).split(":")
    context = ssl.create_default_context(cafile=fake.ca)
    connection = http.client.HTTPConnection(name, int(port), timeout=timeout)
    plain = socket.create_connection(("127.0.0.1", int(port)), timeout)
    connection.sock = context.wrap_socket(plain, server_hostname=name)
    try:
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        return Reply(connection.getresponse(), method)
    finally:
        connection.close()


def follow(fake, location, method="GET", **headers):
    parts = urllib.parse.urlsplit(location)
    role = next(r for r, h in fake.hosts.items() if h["local"] == parts.netloc)
    return ask(fake, role, f"{parts.path}?{parts.query}" if parts.query else parts.path, method, **headers)


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def bearer(fake, **more):
    return "Bearer " + fake.token(**more)


def search(fake, kind="granules", after=None, **parameters):
    query = urllib.parse.urlencode([(k, v) for k, values in parameters.items() for v in (values if isinstance(values, list) else [values])])
    return ask(fake, "cmr", f"/search/{kind}.umm_json?{query}", **({"CMR_Search_After": after} if after else {}))


def signed(fake, path, method="GET"):
    """The signed URL of an object, as a gateway gives it."""
    reply = ask(fake, "podaac", path, method, Authorization=bearer(fake))
    assert reply.status == 303, reply.body
    return reply.headers["Location"]

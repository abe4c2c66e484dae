"""The hosts, and what each is called by whom.

A host is known by its own name (`urs.earthdata.nasa.gov`, for clients that resolve it to here), by a name under `localhost`
with its port (`urs.earthdata.localhost:40001`, which libcurl resolves to loopback by itself) and by address and port. Answers
name the other hosts in the way in which this one was asked, so that a client never leaves the family that it began with.
"""

import os
from dataclasses import dataclass, field

REAL = {
    "urs": "urs.earthdata.nasa.gov",
    "cmr": "cmr.earthdata.nasa.gov",
    "podaac": "archive.podaac.earthdata.nasa.gov",
    "nsidc": "data.nsidc.earthdatacloud.nasa.gov",
    "s3": "s3.us-west-2.amazonaws.com",
    "status": "status.earthdata.nasa.gov",
}
ALIASES = {"uat.urs.earthdata.nasa.gov": "urs", "cmr.uat.earthdata.nasa.gov": "cmr", "status.uat.earthdata.nasa.gov": "status"}
GATEWAYS = ("podaac", "nsidc")


def local_name(role):
    """urs.earthdata.nasa.gov is urs.earthdata.localhost, s3.us-west-2.amazonaws.com is s3.us-west-2.localhost."""
    return REAL[role].removesuffix(".nasa.gov").removesuffix(".amazonaws.com") + ".localhost"


BY_NAME = {**{name: role for role, name in REAL.items()}, **ALIASES, **{local_name(role): role for role in REAL}}


@dataclass
class Hosts:
    """`ports` by role; with one port for all of them, the Host header tells them apart."""

    bind: str = "127.0.0.1"
    ports: dict = field(default_factory=dict)

    def certificate_names(self):
        return ["localhost", *BY_NAME], ["127.0.0.1", self.bind]

    def family(self, host):
        """Of a Host header: "nasa", "local", or the address or bare name that was asked."""
        name = host.rsplit(":", 1)[0] if ":" in host else host
        if name.endswith(".localhost"):
            return "local"
        return "nasa" if name in BY_NAME else name

    def authority(self, role, family):
        """host[:port] of a role."""
        if family == "nasa":
            return REAL[role]
        return f"{local_name(role) if family == 'local' else family}:{self.ports[role]}"

    def url(self, role, family):
        return f"https://{self.authority(role, family)}"

    def role_of(self, host, listener):
        """The role asked, or None where the name is not served by that listener."""
        named = BY_NAME.get(host.rsplit(":", 1)[0] if ":" in host else host)
        if listener is None:
            return named
        return listener if named in (None, listener) else None


def environment_of(told, login=True):
    """For clients that take hosts and authorities from their environment; `told`: what the program prints."""
    names = {"SSL_CERT_FILE": told["ca"], "CURL_CA_BUNDLE": told["ca"], "REQUESTS_CA_BUNDLE": told["ca"], "NETRC": os.devnull + "/none",
             "EARTHDATA_HOST": told["hosts"]["urs"]["local"], "CMR_HOST": told["hosts"]["cmr"]["local"]}
    return {**names, "EARTHDATA_USERNAME": told["user"], "EARTHDATA_PASSWORD": told["password"]} if login else names

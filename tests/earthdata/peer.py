"""For the process of another client: NASA's names lead to the fake, and nothing but loopback can be reached."""

import errno
import socket

real_getaddrinfo, real_connect = socket.getaddrinfo, socket.socket.connect


def pretend(connect_to):
    """`connect_to` as the fake prints it: NAME:443:ADDRESS:PORT."""
    places = {}
    for line in connect_to:
        name, _, address, port = line.split(":")
        places[name] = address, int(port)

    def getaddrinfo(host, port, *rest, **more):
        name = host.decode() if isinstance(host, bytes) else host
        if name in places and port in (443, "443", "https"):
            return real_getaddrinfo(*places[name], *rest, **more)
        if name not in (None, "localhost", "127.0.0.1", "::1"):
            raise socket.gaierror(socket.EAI_NONAME, f"{name} is not a host of the fake Earthdata")
        return real_getaddrinfo(host, port, *rest, **more)

    def connect(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in {"127.0.0.1", "::1", *(a for a, _ in places.values())}:
            raise OSError(errno.ENETUNREACH, f"{address[0]} is not reached from tests")
        return real_connect(self, address)

    socket.getaddrinfo, socket.socket.connect = getaddrinfo, connect

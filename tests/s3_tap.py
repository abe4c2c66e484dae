"""A proxy in front of an S3 service: it counts what goes through, and calls a test before and after each request."""

import contextlib
import http.client
import http.server
import socketserver
import threading
from dataclasses import dataclass

WRITES = ("PUT", "POST", "DELETE")


@dataclass
class Request:
    method: str
    path: str
    sent: int  # bytes of the body
    received: int = 0
    status: int = 0

    @property
    def writes(self):
        return self.method in WRITES


class Tap:
    """`before` and `after` are called with each request. What they answer with False ends the connection; `before` may give
    (status, body) instead, which is then the service's answer."""

    def __init__(self, upstream):
        self.upstream = upstream.removeprefix("http://")
        self.seen, self.before, self.after = [], None, None
        self.changed, self.under_way = threading.Condition(), 0

    def environment(self, server):
        return {**server.environment, "AWS_ENDPOINT_URL": self.url}

    def settle(self):
        """Waits for requests of clients that are gone."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.under_way == 0, 60)

    @contextlib.contextmanager
    def counted(self):
        with self.changed:
            self.under_way += 1
        try:
            yield
        finally:
            with self.changed:
                self.under_way -= 1
                self.changed.notify_all()

    def pass_on(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = Request(handler.command, handler.path, len(body))
        self.seen.append(request)
        verdict = self.before(request) if self.before else None
        if isinstance(verdict, tuple):
            request.status, content = verdict
            handler.send_response_only(request.status)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)
            return
        if verdict is False:
            handler.close_connection = True
            return
        line = http.client.HTTPConnection(self.upstream, timeout=60)
        line.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
        for name, value in handler.headers.items():
            if name.lower() not in ("connection", "expect"):
                line.putheader(name, value)
        line.endheaders(body)
        answer = line.getresponse()
        content = answer.read()
        request.status, request.received = answer.status, len(content)
        line.close()
        if self.after and self.after(request) is False:
            handler.close_connection = True
            return
        handler.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                handler.send_header(name, value)
        length = answer.getheader("Content-Length") if handler.command == "HEAD" else str(len(content))
        if length is not None:
            handler.send_header("Content-Length", length)
        handler.end_headers()
        handler.wfile.write(content)


@contextlib.contextmanager
def tapping(upstream):
    tap = Tap(upstream)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self):
            with contextlib.suppress(ConnectionError), tap.counted():
                tap.pass_on(self)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do

        def log_message(self, *_):
            pass

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    tap.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield tap
    finally:
        server.shutdown()
        server.server_close()

"""HTTP servers of the tests, in a thread of the test's own process."""

import functools
import http.server
import os
import threading
from contextlib import contextmanager


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the program asks for many ranges at once

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        """Clients that hang up are no news."""


@contextmanager
def serving_with(handler, **attributes):
    """A server that answers with `handler`, which finds `attributes` in self.server; gives it, with its `url`."""
    with Server(("127.0.0.1", 0), handler) as server:
        vars(server).update(attributes)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class PlainFiles(http.server.SimpleHTTPRequestHandler):
    """Python's own: it ignores Range."""

    def log_message(self, *_):
        pass


class RangeFiles(PlainFiles):
    """Ranges and ETags, which Python's own server has not."""

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, with_body):
        path = self.translate_path(self.path)
        if not os.path.isfile(path):
            return self.send_error(404)
        data = open(path, "rb").read()
        part, status = data, 200
        if asked := self.headers.get("Range"):
            low, high = asked.removeprefix("bytes=").split("-")
            high = min(int(high or len(data)), len(data) - 1)
            part, status = data[int(low):high + 1], 206
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {low}-{high}/{len(data)}")
        self.send_header("ETag", f'"{hash(data)}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Last-Modified", self.date_time_string(os.stat(path).st_mtime))
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if with_body:
            self.wfile.write(part)


@contextmanager
def serving_files(folder, handler=RangeFiles):
    """Gives the URL under which the folder's files are."""
    with serving_with(functools.partial(handler, directory=str(folder))) as server:
        yield server.url

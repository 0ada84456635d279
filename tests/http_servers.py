"""HTTP servers on real sockets, which our server calls. They behave as a test needs."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Exchange(BaseHTTPRequestHandler):
    """One request to such a server; `body` is read before the test's function is called."""

    body = b""

    def reply(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """Send a complete answer."""
        self.begin(status, Content_Length=str(len(body)), **headers)
        self.wfile.write(body)

    def begin(self, status: int = 200, **headers: str) -> None:
        """Send only the head. A `_` in a header's name stands for `-`."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing for this request."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Ignore lost clients, which some tests need."""


@contextlib.contextmanager
def serve(answer: Callable[[Exchange], None], tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[str]:
    """Run a server on a loopback port that answers every request this way; yields its URL without a trailing slash."""

    class Handler(Exchange):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            self.body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            answer(self)

    with _Server(("127.0.0.1", port), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()

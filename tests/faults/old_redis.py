"""A server in front of a test's Valkey that passes everything on, but reports the version 6.0."""

import contextlib
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION = re.compile(rb"(redis_version:)(\d+\.\d+\.\d+)")


class OldRedis:
    """The server. `old`: it gives a version of the same length as the true one, so that the rest need not change."""

    def __init__(self, port: int) -> None:
        self.old = True
        self._upstream = ("127.0.0.1", port)

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Listen on a loopback port; its URL."""
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                owner._serve(self.request)

        socketserver.ThreadingTCPServer.daemon_threads = True
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"redis://127.0.0.1:{server.server_address[1]}/0"
            server.shutdown()

    def _serve(self, client: socket.socket) -> None:
        with socket.create_connection(self._upstream) as upstream:
            threading.Thread(target=_pump, args=(client, upstream), daemon=True).start()
            with contextlib.suppress(OSError):
                while data := upstream.recv(2**16):
                    client.sendall(self._aged(data) if self.old else data)

    @staticmethod
    def _aged(data: bytes) -> bytes:
        return _VERSION.sub(lambda match: match[1] + b"6.0." + b"9" * (len(match[2]) - 4), data)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(2**16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)

"""Hundreds of clients that send a part of a request, or read nothing, while others submit."""

import contextlib
import socket
import struct
import time

from benchmarks.faults.fault_runs import Counts, Progress, beating, under_load
from benchmarks.faults.scenarios.scenario import Scenario
from benchmarks.faults.sides import Side

#: Slow clients at the same time, and seconds for which they stay.
CLIENTS, SECONDS = 400, 3.0

_HEAD = b"POST /tasks/beating HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
_GET = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

#: Nothing, half a head, half a body, half a chunk, and unread responses.
_TEXTS = (
    b"",
    _HEAD,
    _HEAD + b"Content-Length: 900\r\n\r\n{",
    _HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{",
    _GET,
)


def _slow(side: Side, text: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", side.port), timeout=30)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sendall(text)
    return client


def _part(side: Side, times: int, progress: Progress) -> Counts:
    def fault() -> None:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(_slow(side, _TEXTS[number % 5])) for number in range(CLIENTS)]
            time.sleep(SECONDS)
            for client in clients[::2]:  # these end with a reset
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return under_load(side, times, fault, progress, submissions=beating(0.01), pause=0.5)


SLOW_CLIENTS = Scenario(f"{CLIENTS} slow clients for {SECONDS:.0f} s, while others submit", _part, 20, 2, plain=True)

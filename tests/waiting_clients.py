"""Clients with a plain socket each, so that a test can have a thousand; and a task that the test controls."""

import contextlib
import http.client
import json
import selectors
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from harness import Service, eventually


class Caller:
    """One connection with one request. A narrow one has a small receive buffer."""

    def __init__(
        self,
        service: Service,
        target: str,
        method: str = "GET",
        version: str = "1.1",
        *,
        narrow: bool = False,
        **headers: str,
    ) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(30)
        if narrow:  # both ends measure their buffers by these
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self.socket.connect(("127.0.0.1", service.port))
        self._file = self.socket.makefile("rb")
        self.send(target, method, version, **headers)

    def send(self, target: str, method: str = "GET", version: str = "1.1", **headers: str) -> None:
        """Send a request without a body."""
        lines = [f"{method} {target} HTTP/{version}", "Host: 127.0.0.1", "Content-Length: 0"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """Wait for status, headers and JSON body."""
        version, status, _ = self._file.readline().decode().split(" ", 2)
        assert version.startswith("HTTP/1."), version
        headers = dict(http.client.parse_headers(self._file).items())
        body = self._file.read(int(headers.get("Content-Length", 0)))
        return int(status), headers, json.loads(body) if body else None

    def rest(self) -> bytes:
        """Read until the server closes the connection."""
        return self._file.read()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self.socket.close()


@contextlib.contextmanager
def calling(service: Service, *targets: str, **headers: str) -> Iterator[list[Caller]]:
    """Open clients and send their requests."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(Caller(service, target, **headers))) for target in targets]


def answered(callers: Sequence[Caller], within: float = 0.0) -> int:
    """How many have something to read, once none has received anything for `within` seconds."""
    with selectors.DefaultSelector() as selector:
        for caller in callers:
            selector.register(caller.socket, selectors.EVENT_READ)
        count = 0
        while ready := selector.select(within):
            for key, _ in ready:
                selector.unregister(key.fileobj)
            count += len(ready)
    return count


def listening(service: Service) -> list[dict[str, Any]]:
    """The number of subscribed connections at Redis."""
    return [each for each in service.redis.client.client_list() if int(each["sub"]) > 0]


def waited_for(service: Service, task_id: str) -> bool:
    """Whether a web process listens to a task."""
    return bool(
        dict(service.redis.client.pubsub_numsub(service.keys.task(task_id)))[service.keys.task(task_id).encode()]
    )


class Puppet:
    """A running task that a test controls."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.id = service.submit("puppet")
        self.path = f"/tasks/{self.id}"
        # Not by polls: the server subscribes to a task that is polled again.
        eventually(lambda: service.redis.client.hexists(service.keys.task(self.id), "g"))

    def do(self, *commands: str) -> None:
        """Send it commands, one after the other."""
        self._service.redis.client.rpush(f"test:puppet:{self.id}", *commands)

    def is_waited_for(self) -> None:
        """Return once a request waits for it."""
        eventually(lambda: waited_for(self._service, self.id))

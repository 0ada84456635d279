"""Connections are distributed evenly among the web processes."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from harness import Service, eventually

from server.web.gunicorn_worker.shared_counts import Balance

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")


@pytest.fixture
def pair(fresh: Service) -> Iterator[Service]:
    """A server with two web processes."""
    fresh.env["WEB_CONCURRENCY"] = "2"
    fresh.start_web()
    eventually(lambda: len(processes(fresh)) == 2)
    yield fresh
    for process in processes(fresh):
        os.kill(process, signal.SIGCONT)


def processes(service: Service) -> list[int]:
    """The web processes, without Gunicorn's arbiter."""
    assert service.web
    children = Path(f"/proc/{service.web.pid}/task/{service.web.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def sockets(process: int) -> int:
    """The number of sockets that a process has open."""
    count = 0
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            count += descriptor.readlink().name.startswith("socket:")
    return count


def connect(service: Service, stack: ExitStack, count: int) -> None:
    """Open connections at the same time, and get an answer on each."""
    clients = [stack.enter_context(socket.create_connection(("127.0.0.1", service.port))) for _ in range(count)]
    for client in clients:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    for client in clients:
        client.settimeout(60)
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


def difference(service: Service) -> int:
    """By how many of 16 clients that connect together one process has more than the other."""
    before = [sockets(process) for process in processes(service)]
    with ExitStack() as stack:
        connect(service, stack, 16)
        after = [sockets(process) for process in processes(service)]
    eventually(lambda: sum(map(sockets, processes(service))) <= sum(before))

    one, other = (now - then for now, then in zip(after, before, strict=True))
    assert one + other >= 16
    return abs(one - other)


def test_clients_that_connect_together_are_shared_by_the_processes(pair: Service) -> None:
    # A process learns of another one within a second of its start, and the machine may keep one from running for a
    # moment. Without Balance, half of the rounds have a difference of more than 2.
    eventually(lambda: difference(pair) <= 2)

    rounds = [difference(pair) for _ in range(20)]

    assert sum(round <= 2 for round in rounds) >= 15, rounds


def test_a_process_that_hangs_does_not_block_new_clients(pair: Service) -> None:
    with ExitStack() as stack:
        connect(pair, stack, 4)
        os.kill(processes(pair)[0], signal.SIGSTOP)
        for _ in range(10):
            assert httpx.get(f"{pair.url}/health/live", timeout=60).status_code == 200


def test_a_process_leaves_a_connection_to_a_process_with_two_fewer() -> None:
    first, second = Balance(901), Balance(902)
    first.publish(3)
    first.refresh()
    assert not first.is_ahead(), "the other one does not accept yet"

    second.publish(2)
    first.refresh()
    assert not first.is_ahead()
    first.publish(4)
    assert first.is_ahead()
    assert not second.is_ahead()

    second.withdraw()
    assert not first.is_ahead()
    first.withdraw()

"""Slow clients and idle connections: the latency of another client at the same time, and the memory of a connection."""

import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx

from benchmarks.speed import proc
from benchmarks.speed.load import Request
from benchmarks.speed.plan import Plan
from benchmarks.speed.progress import say
from benchmarks.speed.ratios import Topic, maximum, minimum, percentile
from benchmarks.speed.sides import DIVIDE, Ours

_SLOW, _REQUESTS = 1_000, 300

_JSON = {"Content-Type": "application/json"}
_HOST = b"Host: 127.0.0.1\r\n"
_LIVE = b"GET /health/live HTTP/1.1\r\n" + _HOST
_POST = b"POST /tasks/divide HTTP/1.1\r\nContent-Type: application/json\r\n" + _HOST

#: The slow clients, and what each of them has sent.
_CLIENTS = {
    "silent": b"",
    "half a head": _LIVE,
    "half a body": _POST + b"Content-Length: 100\r\n\r\n{",
    "half an upload": _POST + b"Content-Length: 1000000\r\n\r\n{",
    "closed, kept open": _LIVE + b"Connection: close\r\n\r\n",
}


def clients(plan: Plan) -> list[Topic]:
    """Measure both with one web process."""
    _allow_files()
    return [_slow(plan), _idle(plan)]


def _allow_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _slow(plan: Plan) -> Topic:
    topic = Topic(f"p99 of a submit and its poll while {_SLOW:,} slow clients hold on", "ms")
    with Ours(WEB_CONCURRENCY="1") as side:
        side.start_web()
        for number in range(plan.rounds):
            topic.add("no slow clients", _p99(side))
            for done, (name, text) in enumerate(_CLIENTS.items()):
                say(topic.title, number * len(_CLIENTS) + done + 1, plan.rounds * len(_CLIENTS), name)
                with _holding(side, text, _SLOW):
                    topic.add(name, _p99(side))
    topic.findings = [maximum(100, topic.median(name), f"with {name}", unit="ms") for name in _CLIENTS]
    return topic


@contextlib.contextmanager
def _holding(side: Ours, text: bytes, count: int) -> Iterator[None]:
    """Open clients that send a part of a request and then nothing."""
    with ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", side.port)))
            client.sendall(text)
        yield


def _p99(side: Ours) -> float:
    """The 99th percentile of a submit with a poll, in milliseconds."""
    with httpx.Client(base_url=side.url, timeout=120) as client:
        return percentile([_once(client) for _ in range(_REQUESTS)], 0.99)


def _once(client: httpx.Client) -> float:
    began = time.perf_counter()
    ticket = client.post(DIVIDE.path, content=DIVIDE.body, headers=_JSON).raise_for_status().json()
    client.get(f"/tasks/{ticket['task_id']}").raise_for_status()
    return (time.perf_counter() - began) * 1000


def _idle(plan: Plan) -> Topic:
    count = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1_000)
    topic = Topic(f"{count:,} idle connections", "")
    with Ours(WEB_CONCURRENCY="1") as side:
        web = side.start_web()
        [pid] = web.children()
        task_id = httpx.post(side.url + DIVIDE.path, content=DIVIDE.body, headers=_JSON).json()["task_id"]
        for _ in range(plan.rounds):
            topic.add("CPU of a poll without them, ms", _poll(pid, side, task_id))
        before = proc.memory(pid)
        with ExitStack() as stack:
            for _ in range(count):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", side.port)))
                client.sendall(_LIVE + b"\r\n")
                client.recv(1000)
            topic.add("KB a connection", (proc.memory(pid) - before) * 1024 / count)
            for _ in range(plan.rounds):
                topic.add("CPU of a poll with them, ms", _poll(pid, side, task_id))
    polls = topic.ratio("CPU of a poll without them, ms", "CPU of a poll with them, ms")
    topic.findings = [
        maximum(4, topic.median("KB a connection"), "of memory a connection", unit="KB"),
        minimum(0.9, polls, "the polls that a second of CPU answers without them"),
    ]
    return topic


def _poll(pid: int, side: Ours, task_id: str) -> float:
    """The CPU time of a poll in milliseconds."""
    before, load = proc.cpu(pid), side.load(Request(f"/tasks/{task_id}"), 2)
    return (proc.cpu(pid) - before) / load.requests * 1000

"""Memory: idle, per waiting client, per stored record. And the time until the server is ready."""

import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack

from harness import ROOT, Process, eventually, free_port

from benchmarks.speed import proc
from benchmarks.speed.growth import fill
from benchmarks.speed.plan import Plan
from benchmarks.speed.progress import say
from benchmarks.speed.ratios import Topic, maximum
from benchmarks.speed.sides import Ours, Side, Tutorial

_MEGABYTE = 2**20


def memory(plan: Plan) -> list[Topic]:
    """Measure memory, and compare it with the goals."""
    topic = Topic("Memory", "MB (PSS) unless noted")
    with ExitStack() as stack:
        ours, stock = stack.enter_context(Ours()), stack.enter_context(Tutorial())
        say("Memory", 1, 3)
        for side, name in ((ours, "this server"), (stock, "tutorial")):
            side.start_web()
            side.launch_worker(lambda worker: len(proc.children(worker.pid)) >= 2)
            _warm(side)
            web = _median_memory(proc.children(side.web.pid if side.web else 0))
            child = _median_memory(_pool(side))
            topic.add(f"idle web process, {name}", web)
            topic.add(f"idle worker child, {name}", child)
        say("Memory", 2, 3)
        topic.add("a waiter, KB", _waiter(ours, plan.waiting_clients))
        ours.workers.pop().kill()
        say("Memory", 3, 3)
        topic.add("a finished record, bytes", _record(ours, min(10_000, 10 * plan.records[0])))
    for process in ("idle web process", "idle worker child"):
        more = topic.median(f"{process}, this server") - topic.median(f"{process}, tutorial")
        topic.findings.append(maximum(10, more, f"more than the tutorial's {process}", _REASON_PROCESS, "MB"))
    topic.findings += [
        maximum(100, topic.median("a waiter, KB"), "a waiter", unit="KB"),
        maximum(500, topic.median("a finished record, bytes"), "a finished record", _REASON_RECORD, "bytes"),
    ]
    return [topic]


_REASON_PROCESS = "pydantic, its models and the catalog; in a child also Pillow and SQLAlchemy."
_REASON_RECORD = "The hash, its entries in the indexes by owner and by expiry, and Redis's own tables."


def _warm(side: Side) -> None:
    for _ in range(50):
        side.http.post("/tasks/divide", json={"x": 1, "y": 2})
    time.sleep(3)


def _pool(side: Side) -> list[int]:
    return proc.children(side.workers[-1].pid)


def _median_memory(pids: list[int]) -> float:
    return statistics.median(proc.memory(pid) for pid in pids)


def _waiter(side: Ours, count: int) -> float:
    """Kilobytes of the web processes per waiting client, without socket buffers."""
    assert side.web is not None
    pids = proc.children(side.web.pid)
    task_id = side.submit_until_accepted("long_running_task", seconds=60, steps=1)
    # A first group is not measured: memory arenas and threads that stay.
    _waiting_clients(side, task_id, count)[0].close()
    before = sum(proc.memory(pid) for pid in pids)
    clients = _waiting_clients(side, task_id, count)
    after = sum(proc.memory(pid) for pid in pids)
    for client in clients:
        client.close()
    return max(0.0, after - before) * 1024 / count


def _waiting_clients(side: Ours, task_id: str, count: int) -> list[socket.socket]:
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", side.port))
        client.sendall(f"GET /tasks/{task_id}?wait=20 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        clients.append(client)
    time.sleep(2)
    return clients


def _record(side: Ours, count: int) -> float:
    fill(side, 1000)
    before = side.redis.client.info("memory")["used_memory"]  # type: ignore[index]
    fill(side, count)
    return float(side.redis.client.info("memory")["used_memory"] - before) / count  # type: ignore[index]


_REASON_START = "Three interpreters import at the same time on two cores; the worker is ready last."
_REASON_IMPORT = (
    "pydantic's settings and models, redis-py, Pillow: the catalog is read from the signatures of the tasks."
)


def start(plan: Plan) -> list[Topic]:
    """Measure `make run` until it is ready, and the imports."""
    topic = Topic("Start", "s")
    stock = "import celery, flask; flask.Flask('x'); celery.Celery('x').finalize()"
    with ExitStack() as stack:
        side = stack.enter_context(Ours(HOST="127.0.0.1"))
        for number in range(plan.rounds):
            say("Start", number + 1, plan.rounds)
            topic.add("make run until ready", _made_ready(side))
            topic.add("import of the web application", _import(side, "import wsgi; wsgi.application"))
            topic.add("import of the worker's", _import(side, "import wsgi; wsgi.celery"))
            topic.add("import of Flask and Celery alone", _import(side, stock))
    alone = topic.median("import of Flask and Celery alone")
    topic.findings = [maximum(3, topic.median("make run until ready"), "until ready", _REASON_START, "s")]
    for name in ("import of the web application", "import of the worker's"):
        more = topic.median(name) - alone
        topic.findings.append(maximum(0.5, more, f"more than Flask and Celery ({name})", _REASON_IMPORT, "s"))
    topic.notes = [
        "Ready means that `/health/ready` answers 200: web and worker are up. `make run` uses a running Redis. "
        "Imports are measured in seconds of CPU."
    ]
    return [topic]


def _import(side: Side, code: str) -> float:
    """Seconds of CPU of an import, which other load on the machine does not increase."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], env=side.env, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _made_ready(side: Side) -> float:
    port = free_port()
    began = time.perf_counter()
    env = side.env | {"PORT": str(port), "MAKEFLAGS": ""}
    running = Process([sys.executable, "-m", "server.cli", "run"], side.folder / "run.log", env)
    try:
        eventually(lambda: _ready(port), seconds=60, every=0.02)
        return time.perf_counter() - began
    finally:
        running.signal_group(15)  # type: ignore[arg-type]
        running.wait(40)
        _kill_left(running.pid)


def _kill_left(leader: int) -> None:
    for pid in proc.group(leader):
        os.kill(pid, 9)


def _ready(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(b"GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1.1 200")
    except OSError:
        return False

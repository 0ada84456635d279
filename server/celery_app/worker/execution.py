"""One attempt of a task, in a worker's child process: claim it, call its function, pass the end to Celery's tracer.

Celery's tracer passes the end to the result backend (`server.celery_app.result_backend`), which stores it.
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

from server.logs import event
from server.sdk.context import Context
from server.sdk.definition import TaskDefinition
from server.sdk.dependencies import resolve
from server.sdk.errors import Canceled, RetryLater, TaskError, describe
from server.sdk.url_uploads import fetched_uploads
from server.services.failures import report
from server.store import Store
from server.store.connection import patiently
from server.store.record import Status
from server.store.tasks import Attempt

#: Maximum size of a result in bytes. Larger results must be saved as a file.
MAX_RESULT_BYTES = 4 * 2**20

log = logging.getLogger(__name__)

T = TypeVar("T")


def new_lease_token(hostname: str) -> str:
    """Make a token for one delivery on a worker. The holder of the token may end the task."""
    return f"{worker_token(hostname)}/{secrets.token_hex(4)}"


def worker_token(hostname: str) -> str:
    """The unique part of a Celery node's name (see `server.celery_app.worker.identity`)."""
    return hostname.rpartition(".")[2]


def execute(definition: TaskDefinition, celery_task: Task) -> Any:
    """Run the task of a message; return its result as JSON.

    Raises:
        Ignore: drop the message, because the task must not run or its end is already stored.
        Exception: the function's own; its description is on the request, for the backend.
    """
    request, store = celery_task.request, celery_task.app.store
    attempt = _whole(lambda: store.tasks.claim(request.id, request.lease_token, definition.throttle))
    if attempt is None:
        raise Ignore()
    request.attempt = attempt
    event(
        log,
        "task.started",
        task_id=attempt.id,
        request_id=attempt.request_id,
        task=definition.name,
        delivery=attempt.deliveries,
    )
    context = Context(store, attempt)
    try:
        return _call(definition, context, store, attempt)
    except Canceled:
        store_end(store, attempt, Status.CANCELED)
        raise Ignore() from None
    except Exception as error:
        request.error = describe(error.__cause__ or error if isinstance(error, RetryLater) else error)
        request.failure = report(error.__cause__ or error if isinstance(error, RetryLater) else error, request.hostname)
        if _retried(definition, store, attempt, error, request.error):
            raise Ignore() from None
        raise
    finally:
        request.files = context.stored_files()


def _call(definition: TaskDefinition, context: Context, store: Store, attempt: Attempt) -> Any:
    signature = definition.signature
    arguments = signature.arguments(definition.read_stored(attempt.input, store.blobs))
    resolve(store, arguments.values(), attempt.owner)
    seconds = definition.limits.soft / 2
    try:
        with fetched_uploads(arguments.values(), store.settings, definition.max_upload_bytes, seconds):
            if signature.context:
                arguments[signature.context] = context
            return _jsonable(definition.function(**arguments))
    except SoftTimeLimitExceeded:
        raise TaskError("time-limit", f"It took longer than {definition.limits.soft:g} seconds.") from None
    except MemoryError:
        raise TaskError("out-of-memory", "It needed more memory than WORKER_MEMORY_LIMIT allows.") from None
    except SystemExit:
        raise TaskError("task-error", "The function ended its process.") from None


def _jsonable(value: Any) -> bytes:
    try:
        text = pydantic_core.to_json(value, inf_nan_mode="null", by_alias=True)
    except pydantic_core.PydanticSerializationError as error:
        raise TaskError("task-error", f"The function's result cannot be represented in JSON: {error}") from None
    if len(text) > MAX_RESULT_BYTES:
        raise TaskError("result-too-large", f"The result has {len(text)} bytes; the limit is {MAX_RESULT_BYTES}.")
    return text


def _retried(
    definition: TaskDefinition, store: Store, attempt: Attempt, error: Exception, described: dict[str, str]
) -> bool:
    wait = _wait(definition, attempt, error)
    if wait is None:
        return False
    event(
        log,
        "task.retrying",
        task_id=attempt.id,
        request_id=attempt.request_id,
        task=definition.name,
        wait=f"{wait:.1f}",
    )
    return _whole(lambda: store.tasks.schedule_retry(attempt.id, attempt.lease_token, wait, described))


def _wait(definition: TaskDefinition, attempt: Attempt, error: Exception) -> float | None:
    """Seconds before the next attempt, or None without one."""
    if isinstance(error, RetryLater):
        return error.seconds
    retries = definition.retries
    if attempt.retries >= retries.most or not isinstance(error, retries.on) or isinstance(error, TaskError):
        return None
    return retries.wait(attempt.retries)


def store_end(store: Store, attempt: Attempt, status: Status, **fields: bytes | str) -> bool:
    """Store the end of an attempt; wait during an outage. False if the attempt had lost its lease."""
    stored = _whole(lambda: store.tasks.finish(attempt.id, attempt.lease_token, status, **fields))
    event(log, f"task.{status}" if stored else "task.superseded", task_id=attempt.id, request_id=attempt.request_id)
    return stored


def _whole(step: Callable[[], T]) -> T:
    """Repeat a step during an outage of Redis. The soft time limit, which is for the function, cannot interrupt it."""
    if threading.current_thread() is not threading.main_thread():
        return patiently(step)
    interrupted = signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # billiard's signal for a soft time limit
    try:
        return patiently(step)
    finally:
        signal.signal(signal.SIGUSR1, interrupted)

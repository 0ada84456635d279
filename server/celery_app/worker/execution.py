"""One attempt of a task, in a worker's child process: claim it, call its function, pass the end to Celery's tracer.

Celery's tracer passes the end to the result backend (`server.celery_app.result_backend`), which stores it.
"""

import logging
import secrets
import time
import traceback
from dataclasses import replace
from typing import Any

from celery import Task
from celery.exceptions import Ignore, Retry
from celery.result import allow_join_result
from celery.signals import task_revoked
from pydantic_core import from_json

from server.celery_app.exposed.tracer import Replaced
from server.celery_app.worker import child, child_slots
from server.celery_app.worker.endings import ending_of
from server.celery_app.worker.task_output import captured
from server.logs import begin_task, encodable, event, redact, spans
from server.sdk.context import Context
from server.sdk.definition import TaskDefinition
from server.sdk.dependencies import resolve
from server.sdk.errors import Canceled, InvalidInput, RedactedError, RetryLater, TaskError, describe, text_of
from server.sdk.signature import TaskInput
from server.sdk.url_uploads import fetched_uploads
from server.services.client import Client
from server.services.failures import report
from server.store import Store
from server.store.connection import until_available
from server.store.record import Status
from server.store.tasks import Attempt

log = logging.getLogger(__name__)


class CanceledAttempt(Ignore):  # type: ignore[misc]
    """The task was canceled while it ran. The main process sends Celery's event of it."""


def new_lease_token(hostname: str) -> str:
    """Create a token for one attempt on a worker. Only a caller with the token may end the task."""
    return f"{worker_token(hostname)}/{secrets.token_hex(4)}"


def worker_token(hostname: str) -> str:
    """The unique part of a Celery node's name (see `server.celery_app.worker.identity`)."""
    return hostname.rpartition(".")[2]


def execute(definition: TaskDefinition, celery_task: Task) -> Any:
    """Run the task of a message; return its result as JSON.

    Raises:
        Ignore: drop the message, because the task must not run or its end is already stored.
        CanceledAttempt: as Ignore, since the task was canceled.
        Retry: another attempt is stored, for Celery's signal and event.
        Exception: the function's own; its description is on the request, for the backend.
    """
    request, store = celery_task.request, celery_task.app.store
    attempt = getattr(request, "attempt", None)  # claimed already, in a burst
    if attempt is None:
        attempt = until_available(lambda: store.tasks.claim(request.id, request.lease_token, definition.throttle))
    if attempt is None:
        raise Ignore()
    about = {"coatcheck.task.id": attempt.id, "coatcheck.task.type": definition.name}
    about |= {"messaging.operation.type": "process", "messaging.destination.name": definition.queue}
    span = spans.begin("CONSUMER", f"process {definition.name}", attempt.trace, about)
    attempt = replace(attempt, trace=span.trace)
    request.attempt, request.began = attempt, time.monotonic()
    hidden = definition.secrets
    begin_task(attempt.log_ids, hidden.values(from_json(attempt.input)) if hidden.possible else ())
    event(log, "task.started", **attempt.log_ids, task=definition.name, delivery=attempt.deliveries)
    child.renew_limit(store.settings.worker_memory_limit)
    context = Context(store, attempt, Client(store).submit_of(attempt))
    try:
        with span.current(), child_slots.limited(attempt.id, definition.limits):
            return _call(definition, context, store, attempt)
    except Canceled as error:
        child.release(error)
        if not store_end(store, attempt, Status.CANCELED):
            raise Ignore() from None
        task_revoked.send(sender=celery_task, request=request, terminated=False, signum=None, expired=False)
        raise CanceledAttempt() from None
    except Exception as error:
        shown = (error.__cause__ or error) if isinstance(error, RetryLater) else error
        request.error, request.failure = describe(shown), report(shown, request.hostname)
        child.release(error)
        retried = _retried(definition, store, request, error)
        if hidden.possible and _shows_secret(error):  # Celery logs it, and sends it in its events
            shown = _without_secrets(shown)
            raise (shown if retried is None else Retry(exc=shown, when=retried)) from None
        if retried is not None:
            raise Retry(exc=shown, when=retried) from None
        raise
    finally:
        request.files = context.stored_files()
        span.end((getattr(request, "error", None) or {}).get("detail", ""))


def _shows_secret(error: BaseException) -> bool:
    text = "".join(traceback.format_exception(error))
    return redact(text) != encodable(text)


def _without_secrets(error: BaseException) -> Exception:
    if isinstance(error, TaskError):
        return TaskError(error.type, redact(text_of(error.detail)))
    return RedactedError(f"{type(error).__name__}: {redact(text_of(error))}").with_traceback(error.__traceback__)


def _call(definition: TaskDefinition, context: Context, store: Store, attempt: Attempt) -> bytes:
    """Call the function. Return its result, or raise one of the exceptions that `execute` handles."""
    try:
        arguments = definition.signature.arguments(_input(definition, store, attempt))
        resolve(store, arguments, attempt.owner)
        seconds = definition.limits.soft / 2
        with fetched_uploads(arguments, store.settings, definition.max_upload_bytes, seconds):
            if definition.signature.context:
                arguments[definition.signature.context] = context
            with captured(context), context.output:
                value = _value(definition, arguments, context)
            result = definition.result_type.to_json(value)
            context.check_result(len(result))
            return result
    except BaseException as error:
        end = ending_of(error, definition.limits.soft)
        if end is error:
            raise
        raise end.with_traceback(error.__traceback__) from end.__cause__ or error


def _value(definition: TaskDefinition, arguments: dict[str, Any], context: Context) -> Any:
    try:
        return definition.call(arguments, context.output.add)
    except Replaced as replaced:
        with allow_join_result():  # Celery forbids waiting inside a task; here all of it runs in this process
            return replaced.signature.apply(throw=True).get()


def _input(definition: TaskDefinition, store: Store, attempt: Attempt) -> TaskInput:
    try:
        return definition.read_stored(attempt.input, store.blobs)
    except InvalidInput as error:
        detail = f"The task type has changed since the task was submitted. {error.detail}"
        raise TaskError("invalid-input", detail) from None


def _retried(definition: TaskDefinition, store: Store, request: Any, error: Exception) -> float | None:
    """Store the retry of a failed attempt. Return the seconds until then, or None if there is none."""
    attempt: Attempt = request.attempt
    wait = _wait(definition, attempt, error)
    if wait is None:
        return None
    event(log, "task.retrying", **attempt.log_ids, task=definition.name, wait=f"{wait:.1f}")
    reason = request.error, request.failure
    return (
        wait
        if until_available(lambda: store.tasks.schedule_retry(attempt.id, attempt.lease_token, wait, *reason))
        else None
    )


def _wait(definition: TaskDefinition, attempt: Attempt, error: Exception) -> float | None:
    if isinstance(error, RetryLater):
        return error.seconds
    retries = definition.retries
    if attempt.retries >= retries.max_retries or not isinstance(error, retries.on) or isinstance(error, TaskError):
        return None
    return retries.wait(attempt.retries)


def store_end(store: Store, attempt: Attempt, status: Status, **fields: bytes | str) -> bool:
    """Store the end of an attempt; wait during an outage. False if the attempt had lost its lease."""
    stored = until_available(lambda: store.tasks.finish(attempt.id, attempt.lease_token, status, **fields))
    log_end(attempt, status, stored)
    return stored


def log_end(attempt: Attempt, status: Status, stored: bool) -> None:
    event(log, f"task.{status}" if stored else "task.superseded", **attempt.log_ids)

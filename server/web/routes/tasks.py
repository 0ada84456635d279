"""Routes of a task: submit, status, result, cancel, retry, delete. Submits are described in `openapi/submits.py`."""

from typing import Any
from urllib.parse import quote

from flask import Response, g, request
from pydantic import BaseModel, ConfigDict, Field

from server.sdk.definition import read_body
from server.sdk.registry import definition, is_registered
from server.services.retry import retry
from server.services.status import failure_object
from server.services.submit import Submission
from server.store import ids
from server.store.connection import UNREACHABLE
from server.store.errors import CoatcheckError
from server.store.record import Record, Status
from server.web.addresses import prefix
from server.web.body.options import read_flag, read_key, read_options
from server.web.body.read import read_input, read_json
from server.web.current import store
from server.web.errors import KEY_PROBLEMS, STORING_PROBLEMS, TASK_PROBLEMS, Problem
from server.web.long_poll import CHANGES, ENDS, ParkedRequest, long_poll, waits
from server.web.middleware import caller, require_submit
from server.web.openapi.components import reference
from server.web.openapi.route import CACHED, TICKET_HEADERS, Access, Api, ResponseSpec, json_body, status_with
from server.web.responses import SUBMIT_HEADERS, accepted, ended, result_answer, status_answer

route = Api("tasks", "tickets")


class RetryRequest(BaseModel):
    """Changes of the input for a retry."""

    model_config = ConfigDict(extra="forbid", strict=True)

    input: dict[str, Any] = Field(default_factory=dict, description="Parameters to replace.")


@route.blueprint.before_request
def check_address() -> Response | None:
    """Check the method: `/tasks/<name>` and `/tasks/<task_id>` have the same pattern but different methods."""
    path_parameters, options = request.view_args or {}, request.method == "OPTIONS"
    name = path_parameters.get("name" if options else "task_id", "")
    is_task_type = is_registered(name)
    if not (options or is_task_type) or request.path != f"/tasks/{name}":
        return None
    allowed = {"Allow": "OPTIONS, POST" if is_task_type else "DELETE, GET, HEAD, OPTIONS"}
    if options:
        return Response(headers=allowed)
    raise Problem(
        "method-not-allowed", f"A task type only supports POST. See {prefix()}/catalog/{name}.", headers=allowed
    )


@route.blueprint.post("/tasks/<name>")
def submit(name: str) -> Response:
    """Store a request as a task and answer with its status; with `wait`, with its end."""
    return long_poll(ENDS, lambda parked: _poll_for_end(parked) if parked else (_submit(name), False))


def _submit(name: str) -> Response:
    submitter = require_submit()
    options, key = read_options(), read_key(submitter)
    with Submission(
        store(), definition(name), submitter.owner, g.request_id, options, key, g.trace, "query"
    ) as submission:
        ticket = submission.submit(read_input(submission))
    g.task_id = ticket.record.id
    return accepted(ticket)


@route.get(
    "/tasks/<task_id>",
    status_with(
        200,
        "The status, with `Retry-After` until the task has ended.",
        "Retry-After",
        "Preference-Applied",
        links=("result", "cancel", "files"),
    ),
    parameters=("wait", "Prefer"),
    problems=(*TASK_PROBLEMS, "invalid-input"),
)
def get_status(task_id: str) -> Response:
    """How a task is.

    Made for polling: repeat after `Retry-After` seconds until `done` is true. With `wait`, the answer is held until the
    status changes.
    """
    if not waits():
        return status_answer(find(task_id))
    return long_poll(CHANGES, lambda parked: _poll_for_change(task_id, parked))


@route.get(
    "/tasks/<task_id>/result",
    ResponseSpec(200, "The result.", reference("TaskResult"), (*CACHED, "Preference-Applied"), ("file", "files")),
    status_with(
        202, "The task has not ended; the status.", "Retry-After", "Preference-Applied", links=("result", "cancel")
    ),
    ResponseSpec(
        303, "A redirect to the file, if `Accept` prefers its type.", headers=("Location", "Cache-Control", "Vary")
    ),
    parameters=("wait", "Prefer"),
    problems=("task-failed", "task-canceled", *TASK_PROBLEMS, "invalid-input"),
)
def get_result(task_id: str) -> Response:
    """The result of a task.

    202 until the task has ended; with `wait`, the answer is held until then. If `Accept` excludes JSON (such as
    `image/*`), a result with exactly one file of a matching type is a redirect to it.
    """
    if not waits():
        return _result(find(task_id))

    def poll(_: ParkedRequest | None) -> tuple[Response, bool]:
        record = find(task_id)
        return _result(record), record.status.done

    return long_poll(ENDS, poll)


def _result(record: Record) -> Response:
    if not record.status.done:
        return status_answer(record, 202)
    if record.status in (Status.FAILED, Status.CANCELED):
        error = {"error": failure_object(record.error, prefix()).model_dump()} if record.error else {}
        raise Problem(f"task-{record.status}", (record.error or {}).get("detail", ""), **error, task_id=record.id)
    if (href := _single_file(record)) is not None:
        return _see_other(href)
    return result_answer(record)


@route.post(
    "/tasks/<task_id>/cancel",
    status_with(200, "The new status.", "Retry-After", links=("status", "result")),
    access=Access.SUBMIT,
    problems=TASK_PROBLEMS,
)
def cancel_task(task_id: str) -> Response:
    """Cancel a task.

    A waiting task is `canceled` immediately and never runs. A running one is `canceling` until its next progress
    report, or is killed after a grace period. A task that has ended is not changed.
    """
    record = find(task_id)
    g.audit_count = 0
    if not record.status.done:
        g.audit_count = int(store().tasks.cancel(task_id) is not None)
        record = find(task_id)
    return status_answer(record)


@route.post(
    "/tasks/<task_id>/retry",
    status_with(
        202,
        "Stored and queued as a new task; its `retry_of` names the earlier one.",
        *TICKET_HEADERS,
        "Idempotency-Replayed",
        links=("status", "result", "cancel"),
    ),
    access=Access.SUBMIT,
    parameters=("again", "copy", "Idempotency-Key"),
    body=json_body(RetryRequest, {"input": {"width": 640}}, required=False),
    problems=(
        *("malformed-body", "bad-request", "unsupported-media-type", *TASK_PROBLEMS),
        *("task-not-done", "already-retried", "expired-input", "invalid-input"),
        *(*KEY_PROBLEMS, *STORING_PROBLEMS),
    ),
)
def retry_task(task_id: str) -> Response:
    """Retry a task.

    Makes a new task from the stored request of one that has ended, including its uploads and options. `input` replaces
    parameters other than files; null sets one to its default. A task that has been retried already (see `retried_as`)
    is only retried with `again=true`. With `copy=true` the task may be unfinished, and neither names the other.
    """
    body, again, copy = read_json(), read_flag("again"), read_flag("copy")
    changes = read_body(RetryRequest, body).input
    options: dict[str, Any] = {"key": read_key(caller()), "again": again, "copy": copy, "trace": g.trace}
    accepted_retry = retry(store(), find(task_id), g.request_id, changes, **options)
    g.audit_count = int(not accepted_retry.replayed)
    return accepted(accepted_retry)


@route.delete(
    "/tasks/<task_id>",
    ResponseSpec(204, "The record and its files are deleted."),
    access=Access.SUBMIT,
    problems=(*TASK_PROBLEMS, "task-not-done"),
)
def delete_task(task_id: str) -> Response:
    """Delete an ended task."""
    record = find(task_id)
    if not record.status.done:
        raise Problem("task-not-done", f"The task is {record.status}.")
    if store().leases.drop(task_id):
        store().blobs.delete(task_id)
        store().leases.collected([task_id])
    return Response(status=204)


def find(task_id: str) -> Record:
    """Find a task of the caller, or say that it is unknown or expired."""
    g.task_id = task_id
    record = store().tasks.get_with_position(task_id)
    if record is not None and caller().sees(record.owner):
        return record
    if record is None and issued(task_id):
        raise Problem("expired-task", task_id=task_id)
    raise Problem("unknown-task")


def _poll_for_end(parked: ParkedRequest) -> tuple[Response, bool]:
    """The answer to a waiting submit, and whether the task has ended."""
    try:
        record = find(g.task_id)
    except UNREACHABLE:
        return parked.first, False  # the task is stored, so the client must not get an error
    except CoatcheckError:  # the task was deleted meanwhile, or the client's key was revoked
        return parked.first, True
    if not record.status.done and not parked.over:
        return parked.first, False
    response = ended(record) if record.status.done else status_answer(record, parked.first.status_code)
    response.headers.update(
        {name: parked.first.headers[name] for name in SUBMIT_HEADERS if name in parked.first.headers}
    )
    return response, record.status.done


def _poll_for_change(task_id: str, parked: ParkedRequest | None) -> tuple[Response, bool]:
    """The status, and whether it differs from the client's, or from the status at the start of the wait."""
    record = find(task_id)
    response = status_answer(record)
    if parked is not None and record.status is Status.QUEUED:
        parked.check_periodically()
    if "If-None-Match" in request.headers:
        changed = response.status_code != 304
    else:
        changed = parked is not None and response.headers["ETag"] != parked.first.headers["ETag"]
    return response, record.status.done or changed


def issued(some_id: str, secret: bytes | None = None) -> bool:
    """Whether this id was issued to an owner whom the caller may see. If its record is gone, it has expired."""
    viewer = caller()
    return ids.issued(some_id, None if viewer.is_admin else viewer.owner, secret or store().read_secret())


def _single_file(record: Record) -> str | None:
    """The only file of the result, if the client prefers its type to JSON."""
    if len(record.files) != 1 or not request.accept_mimetypes:
        return None
    file = record.files[0]
    media_type = file["media_type"].partition(";")[0]
    if request.accept_mimetypes.best_match(["application/json", media_type]) in (None, "application/json"):
        return None
    return f"/tasks/{record.id}/files/{quote(file['name'], safe='')}"


def _see_other(href: str) -> Response:
    return Response(status=303, headers={"Location": href, "Cache-Control": "private, no-cache", "Vary": "Accept"})

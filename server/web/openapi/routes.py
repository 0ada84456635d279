"""Every route that does not depend on the task types, one entry each. Add new ones here.

A test compares the list with the application's routes.
"""

from collections.abc import Mapping

from server.web.openapi.answers import (
    CACHED,
    OF_STORING,
    OF_TASK,
    TICKET_HEADERS,
    UNCHANGED,
    json_of,
    status_with,
)
from server.web.openapi.components import Schema, reference
from server.web.openapi.feeds import FEEDS
from server.web.openapi.inputs import INPUTS
from server.web.openapi.many import MANY
from server.web.openapi.queues import QUEUES
from server.web.openapi.route import Access, Answer, Route
from server.web.openapi.schedules import SCHEDULES
from server.web.openapi.webhooks import WEBHOOKS

TAGS = {
    "tasks": "Submit tasks: one address for each task type.",
    "tickets": "Follow a task: status, result, files, cancel.",
    "many": "Many tasks at a time: lists, batches and bulk calls.",
    "webhooks": "Get a call when a task has ended.",
    "schedules": "Tasks at an interval or by a cron line.",
    "feeds": "Read the rows that `fetch_feed` has stored.",
    "catalogue": "The task types and their schemas.",
    "server": "Health checks, queues, workers and metrics.",
    "documents": "This document, and pages for readers.",
}


_FILE_HEADERS = (*CACHED, "Content-Disposition", "Content-Length", "Accept-Ranges")
_HTML: Mapping[str, Schema] = {"text/html": {"type": "string"}}

_EVENTS: Mapping[str, Schema] = {"text/event-stream": reference("TaskEvent")}

_GET_FILE = Route(
    "get",
    "/tasks/{task_id}/files/{name}",
    "get_file",
    "tickets",
    "An output file of a task",
    (
        Answer(200, "The file, with its media type.", {"*/*": {}}, _FILE_HEADERS),
        Answer(206, "The bytes of the range.", {"*/*": {}}, (*_FILE_HEADERS, "Content-Range")),
        Answer(304, "Not changed since this `ETag`.", headers=CACHED),
    ),
    parameters=("task_id", "file", "If-None-Match", "Range", "If-Range"),
    problems=("unknown-task", "unknown-file", "expired-task", "range-not-satisfiable"),
)

_HEAD_FILE = Route(
    "head",
    _GET_FILE.path,
    "head_file",
    "tickets",
    "The headers of a file",
    tuple(Answer(each.status, each.description, headers=each.headers) for each in _GET_FILE.answers),
    parameters=_GET_FILE.parameters,
    problems=_GET_FILE.problems,
)

_ONE_TASK: tuple[Route, ...] = (
    Route(
        "get",
        "/tasks/{task_id}",
        "get_status",
        "tickets",
        "How a task is",
        (
            status_with(
                200,
                "The status, with `Retry-After` until the task has ended.",
                "Retry-After",
                "Preference-Applied",
                links=("result", "cancel", "files"),
            ),
            UNCHANGED,
        ),
        description="Made for polling: repeat after `Retry-After` seconds until `done` is true. With `wait`, the "
        "answer is held until the status changes.",
        parameters=("task_id", "wait", "Prefer", "If-None-Match"),
        problems=(*OF_TASK, "invalid-input"),
    ),
    Route(
        "get",
        "/tasks/{task_id}/result",
        "get_result",
        "tickets",
        "The result of a task",
        (
            Answer(200, "The result.", json_of(reference("TaskResult")), CACHED, ("file", "files")),
            status_with(202, "The task has not ended; the status.", "Retry-After", links=("result", "cancel")),
            Answer(
                303,
                "A redirect to the file, if `Accept` prefers its type.",
                headers=("Location", "Cache-Control", "Vary"),
            ),
            UNCHANGED,
        ),
        description="202 until the task has ended. If `Accept` excludes JSON (such as `image/*`), a result with "
        "exactly one file of a matching type is a redirect to it.",
        parameters=("task_id", "If-None-Match"),
        problems=("task-failed", "task-canceled", *OF_TASK),
    ),
    Route(
        "get",
        "/tasks/{task_id}/events",
        "stream_events",
        "tickets",
        "The events of a task",
        (
            Answer(200, "Events `status`, `progress`, `log`, and finally `done`.", _EVENTS, ("Cache-Control",)),
            Answer(204, "The client has already received `done`."),
        ),
        description="Server-sent events, with a comment as heartbeat after 15 seconds without an event.",
        parameters=("task_id", "Last-Event-ID"),
        problems=OF_TASK,
    ),
    _GET_FILE,
    _HEAD_FILE,
    Route(
        "post",
        "/tasks/{task_id}/cancel",
        "cancel_task",
        "tickets",
        "Cancel a task",
        (status_with(200, "The new status.", "Retry-After", links=("status", "result")),),
        Access.SUBMIT,
        "A waiting task is `canceled` immediately and never runs. A running one is `canceling` until its next "
        "progress report, or is killed after a grace period. A task that has ended is not changed.",
        parameters=("task_id",),
        problems=OF_TASK,
    ),
    Route(
        "post",
        "/tasks/{task_id}/retry",
        "retry_task",
        "tickets",
        "Retry a task",
        (
            status_with(
                202,
                "Stored and queued as a new task; its `retry_of` names the earlier one.",
                *TICKET_HEADERS,
                links=("status", "result", "cancel"),
            ),
        ),
        Access.SUBMIT,
        "Makes a new task from the stored request of one that has ended, including its uploads.",
        parameters=("task_id",),
        problems=(*OF_TASK, "task-not-done", *OF_STORING),
    ),
    Route(
        "delete",
        "/tasks/{task_id}",
        "delete_task",
        "tickets",
        "Delete an ended task",
        (Answer(204, "The record and its files are deleted."),),
        Access.SUBMIT,
        parameters=("task_id",),
        problems=(*OF_TASK, "task-not-done"),
    ),
)

_SERVER: tuple[Route, ...] = (
    Route(
        "get",
        "/catalog",
        "list_kinds",
        "catalogue",
        "All task types",
        (Answer(200, "The task types, by name.", json_of(reference("Catalog")), CACHED), UNCHANGED),
        parameters=("If-None-Match",),
    ),
    Route(
        "get",
        "/catalog/{name}",
        "get_kind",
        "catalogue",
        "One task type",
        (
            Answer(200, "The task type, with its schemas and limits.", json_of(reference("CatalogEntry")), CACHED),
            UNCHANGED,
        ),
        parameters=("kind", "If-None-Match"),
        problems=("unknown-task-type",),
    ),
    Route(
        "get",
        "/health/live",
        "get_live",
        "server",
        "Whether the process is up",
        (Answer(200, "It is.", json_of(reference("Live"))),),
        Access.ANYONE,
    ),
    Route(
        "get",
        "/health/ready",
        "get_ready",
        "server",
        "Whether tasks are accepted and run",
        (Answer(200, "It would.", json_of(reference("Ready"))),),
        Access.ANYONE,
        "503 gives the reason: Redis is unreachable, or no worker is running.",
        problems=("unavailable",),
    ),
    Route(
        "get",
        "/metrics",
        "get_metrics",
        "server",
        "Metrics for Prometheus",
        (Answer(200, "In Prometheus' text format 0.0.4.", {"text/plain": {"type": "string"}}),),
        Access.ADMIN,
    ),
    Route(
        "get",
        "/openapi.json",
        "get_openapi",
        "documents",
        "This document",
        (Answer(200, "OpenAPI 3.1.", json_of({"type": "object"}), CACHED), UNCHANGED),
        Access.ANYONE,
        parameters=("If-None-Match",),
    ),
    Route(
        "get",
        "/docs",
        "get_docs",
        "documents",
        "A page to read and try the API",
        (Answer(200, "The page.", _HTML),),
        Access.ANYONE,
    ),
    Route(
        "get",
        "/",
        "get_home",
        "documents",
        "The home page",
        (Answer(200, "The page.", _HTML),),
        Access.ANYONE,
    ),
    Route(
        "get",
        "/problems/{name}",
        "get_problem",
        "documents",
        "A page that explains an error",
        (Answer(200, "The page.", _HTML),),
        Access.ANYONE,
        parameters=("problem",),
        problems=("not-found",),
    ),
)

ROUTES = (*_ONE_TASK, *INPUTS, *MANY, *WEBHOOKS, *SCHEDULES, *FEEDS, *QUEUES, *_SERVER)

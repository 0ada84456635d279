"""Every route that is there whatever tasks there are, one entry each: the place to add one.

A test holds the list to the app's own rules.
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
    "tasks": "Hand work in: one address for each kind of task.",
    "tickets": "Come back for it: status, result, files, cancel.",
    "many": "Many tasks at a time: lists, batches, and what is done to all that a filter matches.",
    "webhooks": "Be called when a task has ended.",
    "schedules": "Tasks that come by themselves, at an interval or by a cron line.",
    "feeds": "Read what `fetch_feed` has stored.",
    "catalogue": "Which kinds of task there are.",
    "server": "Is it up, and what has it done.",
    "documents": "This document, and pages to read.",
}


_FILE_HEADERS = (*CACHED, "Content-Disposition", "Content-Length", "Accept-Ranges")
_HTML: Mapping[str, Schema] = {"text/html": {"type": "string"}}

_EVENTS: Mapping[str, Schema] = {"text/event-stream": reference("TaskEvent")}

_GET_FILE = Route(
    "get",
    "/tasks/{task_id}/files/{name}",
    "get_file",
    "tickets",
    "A file that a task made",
    (
        Answer(200, "The file, with its own Content-Type.", {"*/*": {}}, _FILE_HEADERS),
        Answer(206, "The bytes of the range.", {"*/*": {}}, (*_FILE_HEADERS, "Content-Range")),
        Answer(304, "Not changed since that `ETag`.", headers=CACHED),
    ),
    parameters=("task_id", "file", "If-None-Match", "Range", "If-Range"),
    problems=("unknown-task", "unknown-file", "expired-task", "range-not-satisfiable"),
)

_HEAD_FILE = Route(
    "head",
    _GET_FILE.path,
    "head_file",
    "tickets",
    "A file's headers without its bytes",
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
                "The status. `Retry-After` while it is not done.",
                "Retry-After",
                "Preference-Applied",
                links=("result", "cancel", "files"),
            ),
            UNCHANGED,
        ),
        description="Cheap, made for polling: ask again after `Retry-After` seconds, until `done` is true. "
        "With `wait`, the answer is held until the status is another.",
        parameters=("task_id", "wait", "Prefer", "If-None-Match"),
        problems=(*OF_TASK, "invalid-input"),
    ),
    Route(
        "get",
        "/tasks/{task_id}/result",
        "get_result",
        "tickets",
        "What a task gave",
        (
            Answer(200, "The result.", json_of(reference("TaskResult")), CACHED, ("file", "files")),
            status_with(202, "It has not ended; the status.", "Retry-After", links=("result", "cancel")),
            Answer(303, "To its file: `Accept` asks for its type.", headers=("Location", "Cache-Control", "Vary")),
            UNCHANGED,
        ),
        description="202 until the task has ended. With an `Accept` that does not take JSON (`image/*`, say), a result "
        "that holds exactly one file of such a type is a redirect to it.",
        parameters=("task_id", "If-None-Match"),
        problems=("task-failed", "task-canceled", *OF_TASK),
    ),
    Route(
        "get",
        "/tasks/{task_id}/events",
        "stream_events",
        "tickets",
        "What happens to a task, as it happens",
        (
            Answer(200, "Events `status`, `progress`, `log`, last `done`.", _EVENTS, ("Cache-Control",)),
            Answer(204, "`done` has been read already."),
        ),
        description="Server-sent events. A comment every 15 seconds of silence says that the connection lives.",
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
        "Stop a task",
        (status_with(200, "The status after it.", "Retry-After", links=("status", "result")),),
        Access.SUBMIT,
        "A waiting task is `canceled` at once and never runs. A running one is `canceling` until its next progress "
        "report, or is killed after a grace time. One that has ended stays as it is.",
        parameters=("task_id",),
        problems=OF_TASK,
    ),
    Route(
        "post",
        "/tasks/{task_id}/retry",
        "retry_task",
        "tickets",
        "Run a task again",
        (
            status_with(
                202,
                "StoredSchedule and queued, as a new task; its `retry_of` names the old.",
                *TICKET_HEADERS,
                links=("status", "result", "cancel"),
            ),
        ),
        Access.SUBMIT,
        "A new task from the stored request of one that has ended, uploads included.",
        parameters=("task_id",),
        problems=(*OF_TASK, "task-not-done", *OF_STORING),
    ),
    Route(
        "delete",
        "/tasks/{task_id}",
        "delete_task",
        "tickets",
        "Forget a finished task",
        (Answer(204, "Its record and its files are gone."),),
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
        "Every kind of task",
        (Answer(200, "All of them, by name.", json_of(reference("Catalog")), CACHED), UNCHANGED),
        parameters=("If-None-Match",),
    ),
    Route(
        "get",
        "/catalog/{name}",
        "get_kind",
        "catalogue",
        "One kind of task",
        (Answer(200, "Its schemas and limits.", json_of(reference("CatalogEntry")), CACHED), UNCHANGED),
        parameters=("kind", "If-None-Match"),
        problems=("unknown-task-type",),
    ),
    Route(
        "get",
        "/health/live",
        "get_live",
        "server",
        "Is the process up",
        (Answer(200, "It is.", json_of(reference("Live"))),),
        Access.ANYONE,
    ),
    Route(
        "get",
        "/health/ready",
        "get_ready",
        "server",
        "Would a task be taken and run",
        (Answer(200, "It would.", json_of(reference("Ready"))),),
        Access.ANYONE,
        "503 says what is missing: the store is out of reach, or no worker is running.",
        problems=("unavailable",),
    ),
    Route(
        "get",
        "/metrics",
        "get_metrics",
        "server",
        "Counters for Prometheus",
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
        "A page to read and to try it",
        (Answer(200, "The page.", _HTML),),
        Access.ANYONE,
    ),
    Route(
        "get",
        "/",
        "get_home",
        "documents",
        "A page to run tasks, and the way to the others",
        (Answer(200, "The page.", _HTML),),
        Access.ANYONE,
    ),
    Route(
        "get",
        "/problems/{name}",
        "get_problem",
        "documents",
        "What a problem means, and what to do",
        (Answer(200, "The page.", _HTML),),
        Access.ANYONE,
        parameters=("problem",),
        problems=("not-found",),
    ),
)

ROUTES = (*_ONE_TASK, *INPUTS, *MANY, *WEBHOOKS, *SCHEDULES, *FEEDS, *QUEUES, *_SERVER)

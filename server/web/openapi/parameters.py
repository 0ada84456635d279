"""Parameters of requests, to which routes refer by name."""

from typing import Any

from server.services.options import OptionsIn
from server.store.record import Status
from server.web.openapi.components import Schema, without_null

TASK_ID = "01997b5c-0a1e-7c3d-9f00-2b7c1d4e5f60"
_STRING: Schema = {"type": "string"}


def _path(name: str, description: str, example: str) -> dict[str, Any]:
    parameter = {"name": name, "in": "path", "required": True}
    return parameter | {"description": description, "schema": _STRING, "example": example}


def _header(name: str, description: str, example: str, schema: Schema = _STRING) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": schema, "example": example}


def in_query(name: str, description: str, schema: Schema = _STRING) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


#: Descriptions of a submit's options; their schemas come from the model that validates them.
_OPTIONS = {
    "delay": "Seconds before the task may start.",
    "not_before": "The earliest start, with a time zone.",
    "priority": "The priority among waiting tasks.",
    "tag": "A label to filter by; repeatable.",
    "ttl": "Seconds to keep the record and its files after the end.",
    "cancel_after": "Seconds after acceptance at which the task is canceled.",
    "start_within": "Seconds after it is due: a task that has not started by then is canceled.",
    "unique": "A key that only one unfinished task of this type and owner has.",
    "unique_for": "Seconds after acceptance for which the key is kept, even if the task ends before.",
    "on_conflict": "If another task has the key: `return` it, `reject` this one, or `replace` the other if it waits.",
    "debounce": "A key. While its task is scheduled, a submit replaces the input and moves the time on by `delay`.",
    "max_delay": "The most seconds by which `debounce` moves a task on after its first submit.",
    "webhook": "An https URL that receives the signed status object when the task has ended.",
}


def _options() -> dict[str, Any]:
    fields = OptionsIn.model_json_schema()["properties"]
    for schema in fields.values():
        # Generated clients send a default, and an option that is sent is not the same as one that is left out.
        schema.pop("default", None)
    return {name: in_query(name, _OPTIONS.get(name, ""), without_null(schema)) for name, schema in fields.items()}


TIME: Schema = {"type": "string", "format": "date-time"}
_DURATION: Schema = {"type": "string", "pattern": "^[0-9]{1,9}[smh]?$"}
FLAG: Schema = {"type": "boolean"}
_STATUSES: Schema = {"type": "string", "pattern": "^({0})?(,({0}))*$".format("|".join(Status))}

_FILTERS = {
    "filter.status": in_query("status", "Statuses, separated by commas.", _STATUSES) | {"example": "queued,running"},
    "filter.task": in_query("task", "Task types, separated by commas."),
    "filter.owner": in_query("owner", "Owners, separated by commas. For admins, who see all owners' tasks."),
    "filter.tag": in_query("tag", "Tags, separated by commas."),
    "filter.since": in_query("since", "Submitted at this time or later.", TIME),
    "filter.until": in_query("until", "Submitted before this time.", TIME),
    "filter.failure": in_query("failure", "A group's `id` from `/failures`: failed tasks, and those that failed once."),
}

#: Names of the parameters that are options of a submit, and of those that are filters.
OPTIONS: tuple[str, ...] = tuple(_options())
FILTERS: tuple[str, ...] = tuple(_FILTERS)

PARAMETERS: dict[str, Any] = {
    **_options(),
    **_FILTERS,
    "again": in_query("again", "Whether a task that has been retried already is retried again.", FLAG),
    "copy": in_query("copy", "`true` makes a task that is not a retry, also from an unfinished task.", FLAG),
    "dry_run": in_query("dry_run", "`true` says how many tasks match, with a sample, and changes nothing.", FLAG),
    "wait": in_query("wait", "Seconds to hold the answer, 25 at most.", {"type": "integer", "minimum": 0}),
    "Prefer": _header("Prefer", "`wait=N` is the header form of `wait` (RFC 7240).", "wait=10"),
    "Last-Event-ID": _header("Last-Event-ID", "The id of the last received event; later ones are sent.", "3.done"),
    "after": in_query("after", "The number of the last item received.", {"type": "integer", "minimum": 0}),
    "limit": in_query("limit", "Tasks on a page.", {"type": "integer", "minimum": 1, "maximum": 500}),
    "cursor": in_query("cursor", "The start of the page, from `next` of the previous page."),
    "batch_id": _path("batch_id", "The id from `POST /batches`.", TASK_ID),
    "Cancel-After": _header("Cancel-After", "As `cancel_after`: `90`, `90s`, `5m` or `1h`.", "5m", _DURATION),
    "traceparent": _header(
        "traceparent",
        "The trace that the task belongs to (W3C Trace Context); an invalid one is ignored. Also `tracestate`.",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    "Idempotency-Key": _header(
        "Idempotency-Key",
        "Makes the submit safe to repeat for 24 hours: the same key and request return the first answer again.",
        '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
        {"type": "string", "minLength": 1, "maxLength": 255},
    ),
    "read_queue": in_query("queue", "The name of a queue that a worker must read."),
    "queue": _path("name", "The name of a queue.", "default"),
    "task_id": _path("task_id", "The id from the submit.", TASK_ID) | {"schema": {"type": "string", "format": "uuid"}},
    "schedule": _path("name", "At most 64 letters, digits and `_ . -`.", "nightly-report"),
    "task_type": _path("name", "The name of a task type.", "thumbnail"),
    "file": _path("name", "A file's `name` in the result.", "thumbnail.webp"),
    "worker": _path("name", "A worker's `name`.", "celery@host.3f9d2c5a"),
    "key_id": _path("key_id", "A key's `id`.", "3f9d2c5a8b1e4f60"),
    "problem": _path("name", "The last part of a problem's `type`.", "invalid-input"),
    "X-Request-ID": _header("X-Request-ID", "An id for this request, to find it in the log.", "checkout-4711"),
    "If-None-Match": _header("If-None-Match", "The last ETag; 304 if it still matches.", '"5bb2c19d07ae4f38"'),
    "Range": _header("Range", "One range of bytes (RFC 9110, section 14).", "bytes=0-1023"),
    "If-Range": _header("If-Range", "The range if this ETag matches, otherwise the whole file.", '"9f86d081"'),
}

"""The status object, which submits, polls, waits and webhooks all return.

A default factory makes a field optional without a default in the schema: the field is left out, not empty.

Its text is written without the models, which describe it: for 500 tasks, to create and to check them was five times
as slow. A test compares both.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, overload

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from server.sdk.pages import paged_paths
from server.store.batches import Batch
from server.store.ids import milliseconds
from server.store.record import AttemptEnd, CeleryState, Record, Status

MOMENT: dict[str, Any] = {"format": "date-time", "examples": ["2026-01-01T00:00:00.000Z"]}
Number = Annotated[int | float, WithJsonSchema({"type": "number"})]  # a number is sent as it was reported: 3 stays 3


def _open(schema: dict[str, Any]) -> None:
    schema["additionalProperties"] = True


class WireObject(BaseModel):
    """Base of all objects of responses. Fields may be added in a later release, so clients must ignore unknown ones."""

    # A field that is not described here cannot be sent, while the schema stays open.
    model_config = ConfigDict(extra="forbid", json_schema_extra=_open)

    def as_json(self) -> bytes:
        """The object as JSON, without the optional fields that it does not have."""
        return self.model_dump_json(exclude_unset=True).encode()


class Failure(WireObject):
    """The reason why a task failed (an RFC 9457 object)."""

    type: str = Field(json_schema_extra={"format": "uri-reference"}, examples=["/problems/image-unreadable"])
    title: str
    detail: str


class Progress(WireObject):
    """The progress of a task, in units of its choice."""

    done: Number
    total: Number
    percent: int = Field(ge=0, le=100)
    message: str


class QueuePlace(WireObject):
    """The queue of a task, and its place in it."""

    name: str
    position: int | None = Field(description="1 is next; null if it is not in the queue.")


class StatusLinks(WireObject):
    """Addresses of the task, its result and its actions."""

    status: str
    result: str
    events: str
    cancel: str


class PastAttempt(WireObject):
    """An attempt that was followed by another one."""

    started_at: str = Field(json_schema_extra=MOMENT)
    seconds: float = Field(description="Its duration; for a `lost` attempt, until it was noticed.")
    ending: AttemptEnd = Field(
        description="Its function `failed` and is retried, its process `crashed`, its worker was `lost` (no "
        "heartbeat), or was stopped (`handed_back`)."
    )
    detail: str = Field(description="For a `failed` attempt: the reason.")


class TaskStatus(WireObject):
    """The status of a task. Submit, status and cancel return the same object."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})
    task: str = Field(description="The name of its task type.")
    status: Status
    state: CeleryState = Field(description="Celery's name for `status`.")
    done: bool = Field(description="Whether it has ended: `succeeded`, `failed` or `canceled`.")
    progress: Progress | None
    submitted_at: str = Field(json_schema_extra=MOMENT)
    started_at: str | None = Field(json_schema_extra=MOMENT)
    finished_at: str | None = Field(json_schema_extra=MOMENT)
    expires_at: str | None = Field(description="When its record is deleted.", json_schema_extra=MOMENT)
    deliveries: int = Field(description="How often a worker has started it.")
    retries: int = Field(description="How often its function has failed and was retried.")
    queue: QueuePlace
    tags: list[str]
    error: Failure | None
    links: StatusLinks
    not_before: str = Field(
        default_factory=str, description="When a `scheduled` task is due.", json_schema_extra=MOMENT
    )
    paused: bool = Field(default_factory=bool, description="True if it waits because its queue or task type is paused.")
    waits_for: list[str] = Field(default_factory=list, description="The tasks whose files it waits for.")
    retry_of: str = Field(default_factory=str, description="The task that this one retries.")
    retried_as: str = Field(default_factory=str, description="The task that a retry made of this one; the newest.")
    earlier_attempts: list[PastAttempt] = Field(
        default_factory=list, description="Of a task with more than one run: the last of those before, oldest first."
    )


class BatchLinks(WireObject):
    """Addresses of the batch, its tasks and its events."""

    self: str
    events: str
    results: str
    cancel: str
    retry: str


class BatchCounts(WireObject):
    """How many tasks of a batch have which status. `expired` counts tasks whose records are deleted."""

    batch_id: str = Field(json_schema_extra={"format": "uuid"})
    total: int = Field(description="How many items have a task.")
    refused: int = Field(description="How many items have a problem instead.")
    done: bool = Field(description="Whether all tasks have ended.")
    counts: dict[str, int] = Field(examples=[{"queued": 3, "succeeded": 7}])


class BatchStatus(BatchCounts):
    """The status of a batch."""

    task_ids: list[str]
    links: BatchLinks


@overload
def timestamp(milliseconds: int) -> str: ...


@overload
def timestamp(milliseconds: int | None) -> str | None: ...


def timestamp(milliseconds: int | None) -> str | None:
    """Format a time in milliseconds since 1970 as RFC 3339 in UTC, with milliseconds."""
    if milliseconds is None:
        return None
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def links(task_id: str, prefix: str) -> dict[str, str]:
    """The addresses of a task's routes (`StatusLinks`); `prefix` is that of the application's address."""
    base = f"{prefix}/tasks/{task_id}"
    return {"status": base, "result": f"{base}/result", "events": f"{base}/events", "cancel": f"{base}/cancel"}


def batch_links(batch_id: str, prefix: str) -> dict[str, str]:
    """The addresses of a batch's routes (`BatchLinks`)."""
    base = f"{prefix}/batches/{batch_id}"
    return {"self": base, **{name: f"{base}/{name}" for name in ("events", "results", "cancel", "retry")}}


def batch_counts(batch: Batch, counts: Mapping[str, int]) -> BatchCounts:
    statuses = [*Status, "expired"]
    total = len(batch.tasks)
    return BatchCounts(
        batch_id=batch.id,
        total=total,
        refused=len(batch.refusals) + batch.bad,
        done=total == sum(counts.get(status, 0) for status in statuses if status == "expired" or Status(status).done),
        counts={status: counts[status] for status in statuses if status in counts},
    )


def batch_status(batch: Batch, counts: Mapping[str, int], prefix: str) -> BatchStatus:
    fields = {"task_ids": batch.task_ids, "links": batch_links(batch.id, prefix)}
    return BatchStatus.model_validate(batch_counts(batch, counts).model_dump() | fields)


def _progress(last_report: Mapping[str, Any], status: Status) -> Progress:
    """The last report. A function that has succeeded has done all of it, whatever it reported last."""
    last = Progress.model_validate(last_report)
    return last.model_copy(update={"done": last.total, "percent": 100}) if status is Status.SUCCEEDED else last


def failure_object(error: Mapping[str, str], prefix: str) -> Failure:
    """A stored error with the address of the page that explains it."""
    return Failure(type=prefix + error["type"], title=error["title"], detail=error["detail"])


def with_prefix(result: bytes, prefix: str) -> bytes:
    """Put the prefix in front of the addresses in a stored result: those of files, and of routes of tasks."""
    return _hrefs(tuple(paged_paths())).sub(rb"\g<0>" + prefix.encode(), result) if prefix else result


@lru_cache(maxsize=1)
def _hrefs(paths: tuple[str, ...]) -> re.Pattern[bytes]:
    """Match a member `href` of a JSON text up to its address. Within a text of the JSON, a backslash is before `"`."""
    addresses = "|".join([r"/tasks/[0-9a-f-]{36}/files/", *(re.escape(path) + '["/?]' for path in paths)])
    return re.compile(rf'(?<!\\)"href":\s*"(?={addresses})'.encode())


def status_object(record: Record, position: int | None, prefix: str) -> TaskStatus:
    """The status object as a model, for callers in Python."""
    return TaskStatus.model_validate_json(status_json(record, position, prefix))


def status_json(record: Record, position: int | None, prefix: str) -> bytes:
    """The status object as JSON: the fields of `TaskStatus`. `position` is that in the queue, where 1 is next."""
    times = record.started_ms, record.finished_ms, record.expires_ms
    return filled_status(status_template(record, prefix), record.id, *times, position)


def status_template(record: Record, prefix: str) -> str:
    """The status object as JSON, with `%s` where `filled_status` writes a value: similar tasks share it."""
    base = f"{prefix and _quoted(prefix)[1:-1]}/tasks/\0"  # JSON has no such character
    error = None if record.error is None else failure_object(record.error, prefix)
    optional = _optional(record)
    text = (
        f'{{"task_id":"\0","task":{_quoted(record.task_type)},{_STATES[record.status]}'
        f',"progress":{"null" if record.progress is None else _json(_progress(record.progress, record.status))}'
        ',"submitted_at":\0,"started_at":\0,"finished_at":\0,"expires_at":\0'
        f',"deliveries":{record.deliveries},"retries":{record.retries}'
        f',"queue":{{"name":{_quoted(record.queue)},"position":\0}}'
        f',"tags":{_json(record.tags) if record.tags else "[]"},"error":{"null" if error is None else _json(error)}'
        f',"links":{{"status":"{base}","result":"{base}/result","events":"{base}/events","cancel":"{base}/cancel"}}'
        f"{',' + _json(optional)[1:] if optional else '}'}"
    )
    return text.replace("%", "%%").replace("\0", "%s")


def filled_status(
    template: str,
    task_id: str,
    started_ms: int | None,
    finished_ms: int | None,
    expires_ms: int | None,
    position: int | None,
) -> bytes:
    times = _moment(milliseconds(task_id)), _moment(started_ms), _moment(finished_ms), _moment(expires_ms)
    return (template % (task_id, *times, position or "null", task_id, task_id, task_id, task_id)).encode()


def _optional(record: Record) -> dict[str, Any]:
    fields = {
        "not_before": timestamp(record.due_ms) if record.status is Status.SCHEDULED else None,
        "paused": record.paused,
        "waits_for": not record.status.done and record.waits_for,
        "retry_of": record.retry_of,
        "retried_as": record.retried_as,
        "earlier_attempts": [
            PastAttempt(
                started_at=timestamp(each.started_ms), seconds=each.ms / 1000, ending=each.ending, detail=each.reason
            )
            for each in record.earlier_attempts
        ],
    }
    return {name: value for name, value in fields.items() if value}


#: The fields that each status determines.
_STATES = {
    each: f'"status":"{each}","state":"{each.celery_state}","done":{"true" if each.done else "false"}'
    for each in Status
}


def _json(value: Any) -> str:
    return pydantic_core.to_json(value, inf_nan_mode="null").decode()


@lru_cache(maxsize=1024)
def _quoted(text: str) -> str:
    """A name as JSON: of a task type, or a queue."""
    return _json(text)


@lru_cache(maxsize=1024)
def _moment(milliseconds: int | None) -> str:
    """A time as JSON. Tasks of a batch have the same ones."""
    return "null" if milliseconds is None else f'"{timestamp(milliseconds)}"'

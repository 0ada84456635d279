"""Objects on the wire that several routes share. A route's own objects stand beside the route.

A default factory makes a field optional without a default in the schema: the field is left out, not empty.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.store.record import AttemptEnd, Status

MOMENT: dict[str, Any] = {"format": "date-time", "examples": ["2026-01-01T00:00:00.000Z"]}


class WireObject(BaseModel):
    """Base of all objects. Clients must ignore unknown fields, because fields may be added."""

    model_config = ConfigDict(extra="allow")


class FieldError(WireObject):
    """An invalid value in the input."""

    loc: list[str | int] = Field(description="Its location: the parameter, then index or key.", examples=[["width"]])
    msg: str


class Failure(WireObject):
    """The reason why a task failed (an RFC 9457 object)."""

    type: str = Field(json_schema_extra={"format": "uri-reference"}, examples=["/problems/image-unreadable"])
    title: str
    detail: str


def _no_failure() -> Failure:
    return Failure(type="", title="", detail="")


class ProblemObject(WireObject):
    """An error (RFC 9457). `type` is the address of a page that explains it."""

    type: str = Field(json_schema_extra={"format": "uri-reference"}, examples=["/problems/invalid-input"])
    title: str
    status: int
    detail: str = Field(description="A description of this occurrence.")
    # With `default_factory` a field is optional without a default in the schema: it may be missing.
    errors: list[FieldError] = Field(default_factory=list, description="For `invalid-input`: each invalid value.")
    more_errors: int = Field(default_factory=int, description="How many more invalid values there are.")
    error: Failure = Field(default_factory=_no_failure, description="For `task-failed`: the task's error.")
    task_id: str = Field(default_factory=str, description="For problems of a task: its id.")
    limit: int = Field(default_factory=int, description="For `too-large`: the limit in bytes.")
    request_id: str = Field(default_factory=str, description="The `X-Request-ID`, which is also in the log.")


class Progress(WireObject):
    """The progress of a task, in units of its choice."""

    done: float
    total: float
    percent: int = Field(ge=0, le=100)
    message: str


class QueuePlace(WireObject):
    """The queue of a task, and its place in it."""

    name: str
    position: int | None = Field(description="1 is next; null if it is not in the queue.")


class StatusLinks(WireObject):
    """Addresses of the task."""

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
    state: Literal["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"] = Field(
        description="Celery's name for `status`."
    )
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
    waits_for: list[str] = Field(default_factory=list, description="The tasks whose files it waits for.")
    retry_of: str = Field(default_factory=str, description="The task that this one retries.")
    earlier_attempts: list[PastAttempt] = Field(
        default_factory=list, description="Of a task with more than one run: the last of those before, oldest first."
    )

"""Models of the objects in requests and answers."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from server.sdk.context import Upload
from server.store.record import AttemptEnd, Status
from server.web.openapi.components import Components

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


class Problem(WireObject):
    """An error (RFC 9457). `type` is the address of a page that explains it."""

    type: str = Field(json_schema_extra={"format": "uri-reference"}, examples=["/problems/invalid-input"])
    title: str
    status: int
    detail: str = Field(description="A description of this occurrence.")
    # With `default_factory` a field is optional without a default in the schema: it may be missing.
    errors: list[FieldError] = Field(default_factory=list, description="For `invalid-input`: each invalid value.")
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
    retry_of: str = Field(default_factory=str, description="The task that this one retries.")
    earlier_attempts: list[PastAttempt] = Field(
        default_factory=list, description="Of a task with more than one run: the last of those before, oldest first."
    )


class TaskEvent(WireObject):
    """One event of a task's stream. Comments in between are heartbeats."""

    id: str = Field(default_factory=str, description="The value for `Last-Event-ID`.", examples=["3.running-1-0"])
    event: Literal["status", "progress", "log", "done"] = Field(default_factory=lambda: "status")
    data: str = Field(
        default_factory=str,
        description="For `status` and `done` the status object, otherwise the entry and its time `at`.",
        json_schema_extra={"contentMediaType": "application/json"},
    )
    retry: int = Field(default_factory=int, description="Milliseconds before a reconnect.")


class TaskList(WireObject):
    """A page of tasks, newest first, without places in the queue."""

    tasks: list[TaskStatus]
    next: str | None = Field(description="The address of the next page.")


class BatchItem(BaseModel):
    """One submit of a batch."""

    model_config = ConfigDict(extra="forbid")
    task: str
    input: dict[str, Any] = Field(default_factory=dict, description="The task's parameters, as in its JSON body.")
    options: dict[str, Any] = Field(default_factory=dict, description="As in a submit's query: `priority`, `tag`, …")


class BatchRequest(BaseModel):
    """Up to 1,000 submits."""

    model_config = ConfigDict(extra="forbid")
    items: list[BatchItem] = Field(min_length=1, max_length=1000)


class BatchTask(WireObject):
    """An accepted item. A replayed answer only has `task_id` and `links`."""

    task_id: str
    links: StatusLinks
    task: str = Field(default_factory=str)
    status: Status = Field(default_factory=lambda: Status.QUEUED)


class BatchRefusal(WireObject):
    """An item that was refused."""

    problem: Problem


class BatchLinks(WireObject):
    """Addresses of the batch."""

    self: str


class BatchTicket(WireObject):
    """The answer to a batch, with its items in order."""

    batch_id: str
    items: list[BatchTask | BatchRefusal]
    links: BatchLinks


class BatchStatus(WireObject):
    """The status of a batch. `expired` counts tasks whose records are deleted."""

    batch_id: str
    total: int
    done: bool
    counts: dict[str, int] = Field(examples=[{"queued": 3, "succeeded": 7}])
    task_ids: list[str]


class WebhookTry(WireObject):
    """One attempt to deliver a webhook."""

    at: str = Field(json_schema_extra=MOMENT)
    status: int | None = Field(description="The receiver's HTTP status; null without an answer.")
    reason: str | None = Field(description="The reason for a missing answer.")
    ms: int = Field(description="The duration in milliseconds.")


class WebhookDelivery(WireObject):
    """The state of a task's webhook."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})
    url: str
    status: Literal["waiting", "pending", "delivered", "given-up"] = Field(
        description="`waiting` for the task's end, `pending` until an attempt succeeds or none is left."
    )
    next_try_at: str | None = Field(json_schema_extra=MOMENT)
    tries: list[WebhookTry]


class WebhookSecret(WireObject):
    """The secret with which a receiver verifies signatures (Standard Webhooks 1.0.0)."""

    secret: str = Field(pattern="^whsec_")
    previous_until: str | None = Field(
        description="The time until which the previous secret also signs.", json_schema_extra=MOMENT
    )


class KindLimits(WireObject):
    """Time limits of an attempt in seconds, and the size limit of an upload in bytes."""

    soft_seconds: float
    hard_seconds: float
    max_upload_bytes: int


class KindLinks(WireObject):
    """Addresses of the task type: its description, and its submit."""

    self: str
    submit: str


class CatalogEntry(WireObject):
    """A task type."""

    name: str
    summary: str
    description: str
    input_schema: dict[str, Any] = Field(description="JSON Schema (2020-12) of the parameters.")
    output_schema: dict[str, Any] = Field(description="JSON Schema (2020-12) of the result.")
    uploads: dict[str, Literal["one", "many"]] = Field(description="The upload parameters: `one` or `many` files.")
    accepts: list[str] = Field(description="Accepted media types of uploads; empty means any.")
    limits: KindLimits
    links: KindLinks


class Catalog(WireObject):
    """All task types, by name."""

    tasks: list[CatalogEntry]


class Live(WireObject):
    """The answer of a process that is up."""

    status: Literal["live"]


class Ready(WireObject):
    """The answer of a server that accepts and runs tasks."""

    status: Literal["ready"]
    workers: int = Field(ge=1)


_MODELS = (
    *(Problem, TaskStatus, TaskEvent, Catalog, Live, Ready),
    *(TaskList, BatchRequest, BatchTicket, BatchStatus),
    *(WebhookDelivery, WebhookSecret),
)


class _WithoutTitles(GenerateJsonSchema):
    """A schema generator without titles: `Task Id` adds nothing to `task_id`."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False for every field."""
        return False


def place_wire_models(components: Components, more: Iterable[type[BaseModel]] = ()) -> None:
    """Add the models to the components, under their own names."""
    upload = components.reserve("Upload")
    components.place_upload(upload, TypeAdapter(Upload).json_schema())
    models: list[type[BaseModel]] = [*_MODELS, *more]
    for model in models:
        components.reserve(model.__name__)
    for model in models:
        components.place(model.__name__, model.model_json_schema(schema_generator=_WithoutTitles))

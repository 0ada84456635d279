"""The objects on the wire, as models: they describe what the routes send."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from server.sdk.context import Upload
from server.store.record import AttemptEnd, Status
from server.web.openapi.components import Components

MOMENT: dict[str, Any] = {"format": "date-time", "examples": ["2026-01-01T00:00:00.000Z"]}


class WireObject(BaseModel):
    """Fields may be added to it, so a client ignores those that it does not know."""

    model_config = ConfigDict(extra="allow")


class FieldError(WireObject):
    """One place of the input that does not fit."""

    loc: list[str | int] = Field(description="The way to it: parameter, then index or key.", examples=[["width"]])
    msg: str


class Failure(WireObject):
    """Why a task failed (an RFC 9457 object)."""

    type: str = Field(json_schema_extra={"format": "uri-reference"}, examples=["/problems/image-unreadable"])
    title: str
    detail: str


def _no_failure() -> Failure:
    return Failure(type="", title="", detail="")


class Problem(WireObject):
    """An error (RFC 9457). `type` names it and is a page that explains it."""

    type: str = Field(json_schema_extra={"format": "uri-reference"}, examples=["/problems/invalid-input"])
    title: str
    status: int
    detail: str = Field(description="This case, in a sentence.")
    # A `default_factory` makes a field optional without a default in the schema: it is left out, not empty.
    errors: list[FieldError] = Field(default_factory=list, description="Of `invalid-input`: each place.")
    error: Failure = Field(default_factory=_no_failure, description="Of `task-failed`.")
    task_id: str = Field(default_factory=str, description="Of a task's problem.")
    limit: int = Field(default_factory=int, description="Of `too-large`: the limit in bytes.")
    request_id: str = Field(default_factory=str, description="As `X-Request-ID`; the log has it too.")


class Progress(WireObject):
    """How far a running task is, in units of its own."""

    done: float
    total: float
    percent: int = Field(ge=0, le=100)
    message: str


class QueuePlace(WireObject):
    """Where a task waits."""

    name: str
    position: int | None = Field(description="1 is next; null once it has left the queue.")


class StatusLinks(WireObject):
    """Where to go from here."""

    status: str
    result: str
    events: str
    cancel: str


class PastAttempt(WireObject):
    """A run that another one followed."""

    started_at: str = Field(json_schema_extra=MOMENT)
    seconds: float = Field(description="How long it took; of a `lost` one, until that was noticed.")
    ending: AttemptEnd = Field(
        description="Its function `failed` and is tried again, its process `crashed`, its worker fell silent (`lost`), "
        "or was stopped (`handed_back`)."
    )
    detail: str = Field(description="Of a `failed` one, why.")


class TaskStatus(WireObject):
    """How a task is. The same object answers submit, status and cancel."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})
    task: str = Field(description="The name of its kind.")
    status: Status
    state: Literal["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"] = Field(
        description="Celery's word for `status`."
    )
    done: bool = Field(description="It has ended: `succeeded`, `failed` or `canceled`.")
    progress: Progress | None
    submitted_at: str = Field(json_schema_extra=MOMENT)
    started_at: str | None = Field(json_schema_extra=MOMENT)
    finished_at: str | None = Field(json_schema_extra=MOMENT)
    expires_at: str | None = Field(description="When its record goes.", json_schema_extra=MOMENT)
    deliveries: int = Field(description="How often a worker started it.")
    retries: int = Field(description="How often its function failed and was tried again.")
    queue: QueuePlace
    tags: list[str]
    error: Failure | None
    links: StatusLinks
    not_before: str = Field(default_factory=str, description="Of a `scheduled` task.", json_schema_extra=MOMENT)
    retry_of: str = Field(default_factory=str, description="The task that this one is a retry of.")
    earlier_attempts: list[PastAttempt] = Field(
        default_factory=list, description="Of a task with more than one run: the last of those before, oldest first."
    )


class TaskEvent(WireObject):
    """One event of a task's stream. A comment, which is none, says now and then that the connection lives."""

    id: str = Field(default_factory=str, description="For `Last-Event-ID`.", examples=["3.running-1-0"])
    event: Literal["status", "progress", "log", "done"] = Field(default_factory=lambda: "status")
    data: str = Field(
        default_factory=str,
        description="Of `status` and `done` the status object, else what was said, and `at` what time.",
        json_schema_extra={"contentMediaType": "application/json"},
    )
    retry: int = Field(default_factory=int, description="Milliseconds after which to connect again.")


class TaskList(WireObject):
    """A page of tasks, newest first. Their place in the queue is left out."""

    tasks: list[TaskStatus]
    next: str | None = Field(description="The address of the page after.")


class BatchItem(BaseModel):
    """One submit of a batch."""

    model_config = ConfigDict(extra="forbid")
    task: str
    input: dict[str, Any] = Field(default_factory=dict, description="The task's parameters, as its JSON body.")
    options: dict[str, Any] = Field(default_factory=dict, description="As in a submit's query: `priority`, `tag`, …")


class BatchRequest(BaseModel):
    """Up to 1,000 submits."""

    model_config = ConfigDict(extra="forbid")
    items: list[BatchItem] = Field(min_length=1, max_length=1000)


class BatchTask(WireObject):
    """An item that was taken. A replayed answer has `task_id` and `links` alone."""

    task_id: str
    links: StatusLinks
    task: str = Field(default_factory=str)
    status: Status = Field(default_factory=lambda: Status.QUEUED)


class BatchRefusal(WireObject):
    """An item that was not."""

    problem: Problem


class BatchLinks(WireObject):
    """Where the batch is."""

    self: str


class BatchTicket(WireObject):
    """The answer to a batch, item by item in its order."""

    batch_id: str
    items: list[BatchTask | BatchRefusal]
    links: BatchLinks


class BatchStatus(WireObject):
    """How a batch is. `expired` counts the tasks whose records are gone."""

    batch_id: str
    total: int
    done: bool
    counts: dict[str, int] = Field(examples=[{"queued": 3, "succeeded": 7}])
    task_ids: list[str]


class WebhookTry(WireObject):
    """One delivery."""

    at: str = Field(json_schema_extra=MOMENT)
    status: int | None = Field(description="The receiver's HTTP status; null where it gave none.")
    reason: str | None = Field(description="Why it gave none.")
    ms: int = Field(description="How long it took.")


class WebhookDelivery(WireObject):
    """How a task's webhook is."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})
    url: str
    status: Literal["waiting", "pending", "delivered", "given-up"] = Field(
        description="`waiting` for the task's end, `pending` until a try succeeds or none is left."
    )
    next_try_at: str | None = Field(json_schema_extra=MOMENT)
    tries: list[WebhookTry]


class WebhookSecret(WireObject):
    """What a receiver checks signatures with (Standard Webhooks 1.0.0)."""

    secret: str = Field(pattern="^whsec_")
    previous_until: str | None = Field(
        description="Until when the secret before it signs too.", json_schema_extra=MOMENT
    )


class KindLimits(WireObject):
    """Seconds that a run may take, and bytes that one upload may have."""

    soft_seconds: float
    hard_seconds: float
    max_upload_bytes: int


class KindLinks(WireObject):
    """Where the kind is described, and where it is submitted."""

    self: str
    submit: str


class CatalogEntry(WireObject):
    """One kind of task."""

    name: str
    summary: str
    description: str
    input_schema: dict[str, Any] = Field(description="JSON Schema 2020-12 of the parameters.")
    output_schema: dict[str, Any] = Field(description="JSON Schema 2020-12 of the result.")
    uploads: dict[str, Literal["one", "many"]] = Field(description="The parameters that are files.")
    accepts: list[str] = Field(description="Media types of its uploads; empty: any.")
    limits: KindLimits
    links: KindLinks


class Catalog(WireObject):
    """Every kind of task, by name."""

    tasks: list[CatalogEntry]


class Live(WireObject):
    """The process is up."""

    status: Literal["live"]


class Ready(WireObject):
    """A task would be taken, and run."""

    status: Literal["ready"]
    workers: int = Field(ge=1)


_MODELS = (
    *(Problem, TaskStatus, TaskEvent, Catalog, Live, Ready),
    *(TaskList, BatchRequest, BatchTicket, BatchStatus),
    *(WebhookDelivery, WebhookSecret),
)


class _WithoutTitles(GenerateJsonSchema):
    """Fields are not titled: `Task Id` says nothing that `task_id` does not."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def place_wire_models(components: Components, more: Iterable[type[BaseModel]] = ()) -> None:
    """Put the objects on the wire into the components, under their own names."""
    upload = components.reserve("Upload")
    components.place_upload(upload, TypeAdapter(Upload).json_schema())
    models: list[type[BaseModel]] = [*_MODELS, *more]
    for model in models:
        components.reserve(model.__name__)
    for model in models:
        components.place(model.__name__, model.model_json_schema(schema_generator=_WithoutTitles))

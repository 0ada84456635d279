"""The objects of the schedules' routes: requests, and how a schedule is answered."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model, field_validator

from server.sdk.registry import secrets_of
from server.services.cron import check_cron, check_timezone
from server.services.schedules import Schedule, read
from server.services.status import MOMENT, Failure, Number, StatusLinks, WireObject, failure_object, links, timestamp
from server.settings import MAX_DURATION_SECONDS
from server.store.api_keys import Caller
from server.store.record import Status
from server.store.schedules import StoredSchedule
from server.web.addresses import prefix
from server.web.body.options import NESTED
from server.web.current import store

UPCOMING = 5  # number of upcoming times in an answer
MAX_JITTER = 3600  # seconds: the longest delay of a run

MIN_TIME, MAX_TIME = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)

#: The accepted options. The schedule itself determines when its tasks are due.
OPTIONS = tuple(name for name in NESTED if name not in ("delay", "not_before", "debounce", "max_delay"))


class ScheduleRequest(BaseModel):
    """A task, and when to run it: `every` so many seconds, or by a `cron` line.

    A line is minute, hour, day, month and weekday, or a name such as `@daily`.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    task: str
    input: dict[str, Any] = Field(default_factory=dict, description="The task's parameters, as in its JSON body.")
    every: Annotated[float, Field(ge=1, le=MAX_DURATION_SECONDS)] | None = Field(None, description="Seconds.")
    cron: Annotated[str, Field(max_length=200)] | None = Field(None, examples=["30 6 * * MON-FRI"])
    timezone: str = Field("UTC", description="Time zone of the `cron` line, a name of the IANA database.")
    enabled: bool = Field(True, description="False pauses the schedule.")
    overlap: Literal["skip", "queue"] = Field(
        "skip",
        description="If the previous run has not ended: `skip` leaves the new one out, `queue` lets it wait. Once 10 "
        "runs have not ended, both leave it out.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description=f"As in a submit's query: {', '.join(f'`{name}`' for name in OPTIONS)}."
    )

    start_at: AwareDatetime | None = Field(None, description="No run before it; `every` counts from it.")
    end_at: AwareDatetime | None = Field(None, description="No run after it.")
    jitter: Annotated[float, Field(ge=0, le=MAX_JITTER)] = Field(
        0, description="Each run is delayed by up to this many seconds, so that many schedules do not run together."
    )

    @field_validator("start_at", "end_at")
    @classmethod
    def _is_reachable(cls, value: datetime | None) -> datetime | None:
        if value is not None and not MIN_TIME < value < MAX_TIME:
            raise ValueError("Input should be a time between 2000 and 9000")
        return value

    @field_validator("cron")
    @classmethod
    def _is_valid_cron(cls, value: str | None) -> str | None:
        return None if value is None else check_cron(value)

    @field_validator("timezone")
    @classmethod
    def _is_valid_timezone(cls, value: str) -> str:
        return check_timezone(value)


ScheduleChanges: type[BaseModel] = create_model(
    "ScheduleChanges",
    __config__=ConfigDict(extra="forbid"),
    __doc__="The fields of a schedule to change.",
    **{
        name: (field.annotation | None, Field(None, description=field.description))  # type: ignore[operator]
        for name, field in ScheduleRequest.model_fields.items()
    },  # type: ignore[call-overload]
)


class ScheduleRun(WireObject):
    """A task that a schedule has submitted."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})
    status: Status | Literal["expired"]
    tick: str | None = Field(description="When it was due; null for a manual run.", json_schema_extra=MOMENT)
    links: StatusLinks


class ScheduleLinks(WireObject):
    """Addresses of a schedule, and of a manual run."""

    self: str
    run: str


class ScheduleObject(WireObject):
    """A task at an interval or by a cron line."""

    name: str
    owner: str = Field(description="The owner of its tasks: the last one who put it.")
    task: str
    input: dict[str, Any]
    every: Number | None = Field(description="The interval in seconds, counted from `created_at`.")
    cron: str | None
    timezone: str
    enabled: bool
    overlap: Literal["skip", "queue"]
    options: dict[str, Any]
    start_at: str | None = Field(json_schema_extra=MOMENT)
    end_at: str | None = Field(json_schema_extra=MOMENT)
    jitter: float
    created_at: str = Field(json_schema_extra=MOMENT)
    updated_at: str = Field(json_schema_extra=MOMENT)
    next: list[str] = Field(description=f"The next {UPCOMING} times; none while it is paused.")
    runs: list[ScheduleRun] = Field(description="The last ten, newest first.")
    skipped: int = Field(description="The number of runs that were left out because earlier ones had not ended.")
    error: Failure | None = Field(description="The reason why the last run could not be submitted.")
    links: ScheduleLinks


class ScheduleList(WireObject):
    """A page of schedules, by name."""

    schedules: list[ScheduleObject]
    next: str | None


def schedule_page(
    viewer: Caller, after: str | None, limit: int, matches: Callable[[Schedule], bool] = lambda _: True
) -> tuple[list[dict[str, Any]], str | None]:
    """Return up to `limit` matching schedules after a name, and the cursor of the next page. Admins see everyone's."""
    names = store().schedules.names(None if viewer.is_admin else viewer.owner)
    schedules = (
        each for name in names if (after is None or name > after) and (each := load_schedule(name)) and matches(each[0])
    )
    page = list(islice(schedules, limit + 1))
    return [schedule_object(*each) for each in page[:limit]], page[limit - 1][0].name if len(page) > limit else None


def load_schedule(name: str) -> tuple[Schedule, StoredSchedule] | None:
    """Return a schedule and its stored entry, or None."""
    entry = store().schedules.get(name)
    return (read(entry), entry) if entry else None


def schedule_object(schedule: Schedule, stored: StoredSchedule) -> dict[str, Any]:
    """A schedule as the routes answer it, without the secrets of its input."""
    address = f"{prefix()}/schedules/{schedule.name}"
    return {
        "name": schedule.name,
        "owner": schedule.owner,
        **request_fields(schedule),
        "input": secrets_of(schedule.task).hide(schedule.input),
        "created_at": timestamp(schedule.created_ms),
        "updated_at": timestamp(schedule.updated_ms),
        "next": [timestamp(due_ms) for due_ms in schedule.next(store().schedules.now_ms(), UPCOMING)],
        "runs": _runs(stored),
        "skipped": stored.skipped,
        "error": failure_object(stored.error, prefix()) if stored.error else None,
        "links": {"self": address, "run": f"{address}/run"},
    }


def request_fields(schedule: Schedule) -> dict[str, Any]:
    """The request that would make this schedule again, with its secrets."""
    times = {"start_at": timestamp(schedule.start_ms), "end_at": timestamp(schedule.end_ms)}
    return {name: getattr(schedule, name) for name in ScheduleRequest.model_fields if name not in times} | times


def _runs(stored: StoredSchedule) -> list[dict[str, Any]]:
    records = store().tasks.get_many([task_id for task_id, _ in stored.runs])
    return [
        {
            "task_id": task_id,
            "status": record.status if record else "expired",
            "tick": timestamp(due_ms or None),
            "links": links(task_id, prefix()),
        }
        for (task_id, due_ms), record in zip(stored.runs, records, strict=True)
    ]

"""The routes of schedules, and their objects on the wire."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from server.store.record import Status
from server.web.openapi.answers import (
    CACHED,
    OF_KEY,
    OF_STORING,
    TICKET_HEADERS,
    UNCHANGED,
    found,
    json_of,
    status_with,
)
from server.web.openapi.components import reference
from server.web.openapi.models import MOMENT, Failure, StatusLinks, WireObject
from server.web.openapi.route import Access, Answer, Route
from server.web.routes.schedules import SHOWN, ScheduleRequest

_EXAMPLE = {"task": "divide", "input": {"x": 1, "y": 2}, "cron": "30 6 * * MON-FRI", "timezone": "Europe/Berlin"}


class ScheduleRun(WireObject):
    """One of a schedule's tasks."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})
    status: Status | Literal["expired"]
    tick: str | None = Field(description="When it was due; null for a run by hand.", json_schema_extra=MOMENT)
    links: StatusLinks


class ScheduleLinks(WireObject):
    """Where the schedule is, and where it is run now."""

    self: str
    run: str


class Schedule(WireObject):
    """A task that comes by itself."""

    name: str
    owner: str = Field(description="Who put it last; its tasks are this owner's.")
    task: str
    input: dict[str, Any]
    every: float | None = Field(description="Seconds, counted from `created_at`.")
    cron: str | None
    timezone: str
    enabled: bool
    overlap: Literal["skip", "queue"]
    options: dict[str, Any]
    created_at: str = Field(json_schema_extra=MOMENT)
    updated_at: str = Field(json_schema_extra=MOMENT)
    next: list[str] = Field(description=f"The next {SHOWN} times; none while it is paused.")
    runs: list[ScheduleRun] = Field(description="The last ten, newest first.")
    skipped: int = Field(description="How many ticks were skipped because the earlier run still went on.")
    error: Failure | None = Field(description="Why the last tick could not fire.")
    links: ScheduleLinks


class ScheduleList(WireObject):
    """Every schedule, by name."""

    schedules: list[Schedule]


MODELS: tuple[type[BaseModel], ...] = (ScheduleRequest, Schedule, ScheduleList)

_NAME: dict[str, Any] = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "A word of letters, digits and `_ . -`, 64 at most.",
    "schema": {"type": "string"},
    "example": "nightly-report",
}
_SHOWN = json_of(reference("Schedule"))

SCHEDULES: tuple[Route, ...] = (
    Route(
        "get",
        "/schedules",
        "list_schedules",
        "schedules",
        "Every schedule, by name",
        (found("ScheduleList", "All of them."), UNCHANGED),
        Access.ADMIN,
        parameters=("If-None-Match",),
    ),
    Route(
        "get",
        "/schedules/{name}",
        "get_schedule",
        "schedules",
        "A schedule, its next five times and its last runs",
        (found("Schedule", "The schedule."), UNCHANGED),
        Access.ADMIN,
        parameters=("If-None-Match",),
        inline=(_NAME,),
        problems=("unknown-schedule",),
    ),
    Route(
        "put",
        "/schedules/{name}",
        "put_schedule",
        "schedules",
        "Make a schedule, or replace it",
        (
            Answer(200, "Replaced.", _SHOWN, CACHED),
            Answer(201, "Made.", _SHOWN, (*CACHED, "Location")),
        ),
        Access.ADMIN,
        "Either `every` or `cron`. Put again with the same timing, its ticks stay where they are. Where the clocks of "
        "a zone change, a time that is skipped fires right after the gap, and one that comes twice fires once.",
        inline=(_NAME,),
        body={
            "required": True,
            "content": {"application/json": {"schema": reference("ScheduleRequest"), "example": _EXAMPLE}},
        },
        problems=("malformed-body", "too-large", "unsupported-media-type", "invalid-input"),
    ),
    Route(
        "delete",
        "/schedules/{name}",
        "delete_schedule",
        "schedules",
        "Forget a schedule; its tasks stay",
        (Answer(204, "It is gone."),),
        Access.ADMIN,
        inline=(_NAME,),
        problems=("unknown-schedule",),
    ),
    Route(
        "post",
        "/schedules/{name}/run",
        "run_schedule",
        "schedules",
        "Run it once more, now",
        (
            status_with(
                202,
                "StoredSchedule and queued.",
                *TICKET_HEADERS,
                "Idempotency-Replayed",
                links=("status", "result", "cancel"),
            ),
        ),
        Access.ADMIN,
        "A paused one, too.",
        parameters=("Idempotency-Key",),
        inline=(_NAME,),
        problems=("bad-request", "unknown-schedule", "unknown-task-type", "invalid-input", *OF_KEY, *OF_STORING),
    ),
)

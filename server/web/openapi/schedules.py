"""The routes of schedules, and their objects."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

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


class Schedule(WireObject):
    """A task at an interval or by a cron line."""

    name: str
    owner: str = Field(description="The owner of its tasks: the last one who put it.")
    task: str
    input: dict[str, Any]
    every: float | None = Field(description="The interval in seconds, counted from `created_at`.")
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
    next: list[str] = Field(description=f"The next {SHOWN} times; none while it is paused.")
    runs: list[ScheduleRun] = Field(description="The last ten, newest first.")
    skipped: int = Field(description="The number of runs that were skipped because the previous one had not ended.")
    error: Failure | None = Field(description="The reason why the last run could not be submitted.")
    links: ScheduleLinks


class ScheduleList(WireObject):
    """A page of schedules, by name."""

    schedules: list[Schedule]
    next: str | None


MODELS: tuple[type[BaseModel], ...] = (ScheduleRequest, ScheduleChanges, Schedule, ScheduleList)

_NAME: dict[str, Any] = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "At most 64 letters, digits and `_ . -`.",
    "schema": {"type": "string"},
    "example": "nightly-report",
}
_FILTERS: tuple[dict[str, Any], ...] = tuple(
    {"name": name, "in": "query", "description": description, "schema": schema}
    for name, description, schema in (
        ("task", "Only schedules of this task type.", {"type": "string"}),
        ("owner", "Only schedules of this owner.", {"type": "string"}),
        ("enabled", "Only schedules that run, or only paused ones.", {"type": "boolean"}),
    )
)
_SHOWN = json_of(reference("Schedule"))

SCHEDULES: tuple[Route, ...] = (
    Route(
        "get",
        "/schedules",
        "list_schedules",
        "schedules",
        "Schedules, by name",
        (found("ScheduleList", "A page of them; `next`, and `Link`, lead to the next page.", "Link"), UNCHANGED),
        Access.ADMIN,
        parameters=("limit", "cursor", "If-None-Match"),
        inline=_FILTERS,
        problems=("invalid-input",),
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
        "Create or replace a schedule",
        (
            Answer(200, "Replaced.", _SHOWN, CACHED),
            Answer(201, "Created.", _SHOWN, (*CACHED, "Location")),
        ),
        Access.ADMIN,
        "Either `every` or `cron`. If it is put again with the same timing, its fire times do not change. When clocks "
        "change, a skipped time fires right after the gap, and a time that occurs twice fires once.",
        inline=(_NAME,),
        body={
            "required": True,
            "content": {"application/json": {"schema": reference("ScheduleRequest"), "example": _EXAMPLE}},
        },
        problems=("malformed-body", "too-large", "unsupported-media-type", "invalid-input"),
    ),
    Route(
        "patch",
        "/schedules/{name}",
        "patch_schedule",
        "schedules",
        "Change some fields of a schedule",
        (Answer(200, "Changed.", _SHOWN, CACHED),),
        Access.ADMIN,
        "Fields that are left out stay as they are; null sets one to its default. The owner stays.",
        inline=(_NAME,),
        body={
            "required": True,
            "content": {"application/json": {"schema": reference("ScheduleChanges"), "example": {"enabled": False}}},
        },
        problems=("malformed-body", "too-large", "unsupported-media-type", "unknown-schedule", "invalid-input"),
    ),
    Route(
        "delete",
        "/schedules/{name}",
        "delete_schedule",
        "schedules",
        "Delete a schedule; its tasks are kept",
        (Answer(204, "It is deleted."),),
        Access.ADMIN,
        inline=(_NAME,),
        problems=("unknown-schedule",),
    ),
    Route(
        "post",
        "/schedules/{name}/run",
        "run_schedule",
        "schedules",
        "Run a schedule now",
        (
            status_with(
                202,
                "Stored and queued.",
                *TICKET_HEADERS,
                "Idempotency-Replayed",
                links=("status", "result", "cancel"),
            ),
        ),
        Access.ADMIN,
        "Also possible if it is paused.",
        parameters=("Idempotency-Key",),
        inline=(_NAME,),
        problems=("bad-request", "unknown-schedule", "unknown-task-type", "invalid-input", *OF_KEY, *OF_STORING),
    ),
)

"""Schedules: tasks that come by themselves. All of it is an admin's; the tasks are whose key put the schedule."""

import re
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, g
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from server.sdk.definition import refusal
from server.sdk.errors import InvalidInput, UnknownTaskType
from server.services.cron import check_cron, check_timezone
from server.services.schedules import Schedule, put, read, run_now
from server.services.status import links, timestamp
from server.store.schedules import StoredSchedule
from server.web.body.options import FARTHEST, NESTED, nested_options, read_key
from server.web.body.read import read_json
from server.web.current import store
from server.web.errors import Problem
from server.web.middleware import require_admin
from server.web.responses import accepted, json_answer

schedules = Blueprint("schedules", __name__)

#: Number of upcoming times in an answer.
SHOWN = 5

#: The accepted options. The schedule itself determines when its tasks are due.
OPTIONS = tuple(name for name in NESTED if name not in ("delay", "not_before"))

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class ScheduleRequest(BaseModel):
    """What to run, and when: `every` so many seconds, or by a `cron` line (minute hour day month weekday)."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    task: str
    input: dict[str, Any] = Field(default_factory=dict, description="The task's parameters, as in its JSON body.")
    every: Annotated[float, Field(ge=1, le=FARTHEST)] | None = Field(None, description="Seconds.")
    cron: Annotated[str, Field(max_length=200)] | None = Field(None, examples=["30 6 * * MON-FRI"])
    timezone: str = Field("UTC", description="Time zone of the `cron` line, a name of the IANA database.")
    enabled: bool = Field(True, description="False pauses the schedule.")
    overlap: Literal["skip", "queue"] = Field(
        "skip", description="If the previous run has not ended: `skip` leaves the new one out, `queue` lets it wait."
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description=f"As in a submit's query: {', '.join(f'`{name}`' for name in OPTIONS)}."
    )

    @field_validator("cron")
    @classmethod
    def _comes(cls, value: str | None) -> str | None:
        return None if value is None else check_cron(value)

    @field_validator("timezone")
    @classmethod
    def _is_registered(cls, value: str) -> str:
        return check_timezone(value)


@schedules.put("/schedules/<name>")
def put_schedule(name: str) -> Response:
    """Create a schedule, or replace the one with this name."""
    who = require_admin()
    if not _NAME.fullmatch(name):
        raise _invalid(["path", "name"], "Input should be at most 64 letters, digits and _ . -")
    body = read_json()
    try:
        given = ScheduleRequest.model_validate_json(body)
    except ValidationError as error:
        raise refusal(error, body) from None
    if (given.every is None) == (given.cron is None):
        raise _invalid(["every"], "Input should have either every or cron")
    run = nested_options(given.options, OPTIONS)
    now, before = store().schedules.now_ms(), store().schedules.get(name)
    created = read(before).created_ms if before else now
    schedule = Schedule(name=name, owner=who.owner, run=run, created_ms=created, updated_ms=now, **given.model_dump())
    _check_input(schedule)
    is_new = put(store(), schedule)
    return json_answer(_shown(*_find(name)), *((201, {"Location": f"/schedules/{name}"}) if is_new else ()))


def _check_input(schedule: Schedule) -> None:
    """Refuse an input that would fail at each run."""
    try:
        schedule.validated(store().settings.allow_private_addresses)
    except UnknownTaskType as error:
        raise _invalid(["task"], error.detail) from None
    except InvalidInput as error:
        errors = [{**each, "loc": ["input", *each["loc"]]} for each in error.extra["errors"]]
        raise Problem("invalid-input", error.detail, errors=errors) from None


def _invalid(loc: list[str], message: str) -> Problem:
    return Problem("invalid-input", f"Invalid value for {loc[-1]}.", errors=[{"loc": loc, "msg": message}])


@schedules.get("/schedules")
def list_schedules() -> Response:
    """Every schedule, by name."""
    require_admin()
    return json_answer({"schedules": every_schedule()})


def every_schedule() -> list[dict[str, Any]]:
    """The entries of `GET /schedules`."""
    found = [(read(stored), stored) for name in store().schedules.names() if (stored := store().schedules.get(name))]
    return [_shown(*each) for each in found]


@schedules.get("/schedules/<name>")
def show_schedule(name: str) -> Response:
    """Show a schedule with its next five times and its last runs."""
    require_admin()
    return json_answer(_shown(*_find(name)))


@schedules.delete("/schedules/<name>")
def delete_schedule(name: str) -> Response:
    """Delete a schedule. Its tasks are kept."""
    require_admin()
    if not store().schedules.delete(name):
        raise Problem("unknown-schedule")
    return Response(status=204)


@schedules.post("/schedules/<name>/run")
def run_schedule(name: str) -> Response:
    """Run a schedule once now, even if it is paused."""
    who = require_admin()
    ticket = run_now(store(), _find(name)[0], g.request_id, read_key(who))
    g.task_id = ticket.record.id
    return accepted(ticket)


def _find(name: str) -> tuple[Schedule, StoredSchedule]:
    stored = store().schedules.get(name)
    if stored is None:
        raise Problem("unknown-schedule")
    return read(stored), stored


def _shown(schedule: Schedule, stored: StoredSchedule) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "owner": schedule.owner,
        "task": schedule.task,
        "input": schedule.input,
        "every": schedule.every,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "enabled": schedule.enabled,
        "overlap": schedule.overlap,
        "options": schedule.options,
        "created_at": timestamp(schedule.created_ms),
        "updated_at": timestamp(schedule.updated_ms),
        "next": [timestamp(tick) for tick in schedule.next(store().schedules.now_ms(), SHOWN)],
        "runs": _runs(stored),
        "skipped": stored.skipped,
        "error": stored.error,
        "links": {"self": f"/schedules/{schedule.name}", "run": f"/schedules/{schedule.name}/run"},
    }


def _runs(stored: StoredSchedule) -> list[dict[str, Any]]:
    found = store().tasks.get_many([task_id for task_id, _ in stored.runs])
    return [
        {
            "task_id": task_id,
            "status": record.status if record else "expired",
            "tick": timestamp(tick or None),
            "links": links(task_id),
        }
        for (task_id, tick), record in zip(stored.runs, found, strict=True)
    ]

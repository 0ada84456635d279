"""Schedules: tasks that come by themselves. All of it is an admin's; the tasks are whose key put the schedule."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import pydantic_core
from flask import Blueprint, Response, g, request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel, ValidationError, field_validator

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
from server.web.routes.task_list import invalid_query, page_limit

schedules = Blueprint("schedules", __name__)

#: Number of upcoming times in an answer.
SHOWN = 5

#: Filters of the list.
FILTERS = ("task", "owner", "enabled")

#: Seconds: the longest delay of a run.
MAX_JITTER = 3600

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)

#: The accepted options. The schedule itself determines when its tasks are due.
OPTIONS = tuple(name for name in NESTED if name not in ("delay", "not_before"))

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class ScheduleRequest(BaseModel):
    """A task, and when to run it: `every` so many seconds, or by a `cron` line.

    A line is minute, hour, day, month and weekday, or a name such as `@daily`.
    """

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

    start_at: AwareDatetime | None = Field(None, description="No run before it; `every` counts from it.")
    end_at: AwareDatetime | None = Field(None, description="No run after it.")
    jitter: Annotated[float, Field(ge=0, le=MAX_JITTER)] = Field(
        0, description="Each run is delayed by up to this many seconds, so that many schedules do not run together."
    )

    @field_validator("start_at", "end_at")
    @classmethod
    def _is_reachable(cls, value: datetime | None) -> datetime | None:
        if value is not None and not EARLIEST < value < LATEST:
            raise ValueError("Input should be a time between 2000 and 9000")
        return value

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
    before = store().schedules.get(name)
    is_new = _keep(name, who.owner, given, read(before) if before else None)
    return json_answer(_shown(*_find(name)), *((201, {"Location": f"/schedules/{name}"}) if is_new else ()))


@schedules.patch("/schedules/<name>")
def patch_schedule(name: str) -> Response:
    """Change some fields of a schedule; null sets a field to its default. The owner stays."""
    require_admin()
    before, _ = _find(name)
    body = read_json()
    try:
        changes = _Changes.model_validate_json(body).root
    except ValidationError as error:
        raise refusal(error, body) from None
    for one, other in (("every", "cron"), ("cron", "every")):
        if changes.get(one) is not None:
            changes.setdefault(other, None)
    fields = {key: value for key, value in (_fields(before) | changes).items() if value is not None}
    whole = pydantic_core.to_json(fields)
    try:
        given = ScheduleRequest.model_validate_json(whole)
    except ValidationError as error:
        raise refusal(error, whole) from None
    _keep(name, before.owner, given, before)
    return json_answer(_shown(*_find(name)))


class _Changes(RootModel[dict[str, Any]]):
    """The body of a PATCH: a JSON object."""


def _fields(schedule: Schedule) -> dict[str, Any]:
    """The request that would make this schedule again."""
    shown = {"start_at": timestamp(schedule.start_ms), "end_at": timestamp(schedule.end_ms)}
    return {name: getattr(schedule, name) for name in ScheduleRequest.model_fields if name not in shown} | shown


def _keep(name: str, owner: str, given: ScheduleRequest, before: Schedule | None) -> bool:
    """Store a schedule, in place of the one before; True if it is new.

    Raises:
        Problem: `invalid-input`.
    """
    if (given.every is None) == (given.cron is None):
        raise _invalid(["every"], "Input should have either every or cron")
    if given.start_at and given.end_at and given.start_at > given.end_at:
        raise _invalid(["end_at"], "Input should be a time after start_at")
    now = store().schedules.now_ms()
    schedule = Schedule(
        name=name,
        owner=owner,
        run=nested_options(given.options, OPTIONS),
        created_ms=before.created_ms if before else now,
        updated_ms=now,
        start_ms=_milliseconds(given.start_at),
        end_ms=_milliseconds(given.end_at),
        **given.model_dump(exclude={"start_at", "end_at"}),
    )
    _check_input(schedule)
    return put(store(), schedule)


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


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
    """A page of the schedules that match, by name."""
    require_admin()
    limit, after, matches = page_limit(), _asked_cursor(), _asked_filter()
    names = (name for name in store().schedules.names() if after is None or name > after)
    found = list(islice((each for name in names if (each := _stored(name)) and matches(each[0])), limit + 1))
    body: dict[str, Any] = {"schedules": [_shown(*each) for each in found[:limit]], "next": None}
    if len(found) <= limit:
        return json_answer(body)
    given = [(name, request.args[name]) for name in (*FILTERS, "limit") if name in request.args]
    body["next"] = f"/schedules?{urlencode([*given, ('cursor', found[limit - 1][0].name)])}"
    return json_answer(body, headers={"Link": f'<{body["next"]}>; rel="next"'})


def _asked_cursor() -> str | None:
    text = request.args.get("cursor")
    if text is not None and not _NAME.fullmatch(text):
        raise invalid_query("cursor", "Input should be the cursor of a previous page")
    return text


def _asked_filter() -> Callable[[Schedule], bool]:
    """Whether a schedule matches the query.

    Raises:
        Problem: `invalid-input`.
    """
    task, owner, enabled = (request.args.get(name) for name in FILTERS)
    if enabled not in (None, "true", "false"):
        raise invalid_query("enabled", "Input should be true or false")
    return lambda one: (
        (task is None or one.task == task)
        and (owner is None or one.owner == owner)
        and (enabled is None or one.enabled is (enabled == "true"))
    )


def every_schedule() -> list[dict[str, Any]]:
    """All schedules as `GET /schedules` shows them, for the pages."""
    return [_shown(*each) for name in store().schedules.names() if (each := _stored(name))]


def _stored(name: str) -> tuple[Schedule, StoredSchedule] | None:
    stored = store().schedules.get(name)
    return (read(stored), stored) if stored else None


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
    if (found := _stored(name)) is None:
        raise Problem("unknown-schedule")
    return found


def _shown(schedule: Schedule, stored: StoredSchedule) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "owner": schedule.owner,
        **_fields(schedule),
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

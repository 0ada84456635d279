"""Schedules: tasks at an interval or by a cron line. An owner manages its own, an admin everyone's."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pydantic_core
from flask import Response, g, request
from pydantic import RootModel

from server.sdk.definition import read_body
from server.sdk.errors import InvalidInput, UnknownTaskType
from server.sdk.registry import definition
from server.services.schedules import Schedule, put, run_now, with_secrets
from server.services.submit import resolve_uniqueness
from server.store.errors import ScheduleNameTaken
from server.store.schedules import NAME_TAKEN, StoredSchedule
from server.web.addresses import prefix
from server.web.body.options import nested_options, read_key
from server.web.body.read import read_json
from server.web.current import store
from server.web.errors import BODY_PROBLEMS, KEY_PROBLEMS, STORING_PROBLEMS, Problem, invalid
from server.web.middleware import caller
from server.web.openapi.parameters import FLAG, in_query
from server.web.openapi.route import CACHED, TICKET_HEADERS, Access, Api, ResponseSpec, json_body, ok, status_with
from server.web.responses import accepted, json_answer
from server.web.routes.query_parameters import link_to, next_page, page_cursor, page_limit
from server.web.routes.schedule_objects import (
    OPTIONS,
    ScheduleChanges,
    ScheduleList,
    ScheduleObject,
    ScheduleRequest,
    load_schedule,
    request_fields,
    schedule_object,
    schedule_page,
)

route = Api("schedules", "schedules")
FILTERS = ("task", "owner", "enabled")  # filters of the list
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_EXAMPLE = {"task": "divide", "input": {"x": 1, "y": 2}, "cron": "30 6 * * MON-FRI", "timezone": "Europe/Berlin"}
_FILTER_PARAMETERS = (
    in_query("task", "Only schedules of this task type."),
    in_query("owner", "Only schedules of this owner, for admins."),
    in_query("enabled", "Only schedules that run, or only paused ones.", FLAG),
)


@route.put(
    "/schedules/<name>",
    ok(ScheduleObject, "Replaced."),
    ResponseSpec(201, "Created.", ScheduleObject, (*CACHED, "Location")),
    access=Access.SUBMIT,
    parameters=("schedule",),
    body=json_body(ScheduleRequest, _EXAMPLE),
    problems=(*BODY_PROBLEMS, "schedule-name-taken", "too-many-schedules"),
)
def put_schedule(name: str) -> Response:
    """Create or replace a schedule.

    Either `every` or `cron`. If it is put again with the same timing, its fire times do not change. When clocks change,
    a skipped time fires right after the gap, and a time that occurs twice fires once.
    """
    owner = caller().owner
    if not _NAME.fullmatch(name):
        raise invalid("Input should be at most 64 letters, digits and _ . -", "path", "name")
    body = read_body(ScheduleRequest, read_json())
    before = load_schedule(name)
    is_new = _store(name, owner, body, before[0] if before else None)
    return json_answer(_answer(name), *((201, {"Location": f"/schedules/{name}"}) if is_new else ()))


@route.patch(
    "/schedules/<name>",
    ok(ScheduleObject, "Changed."),
    access=Access.SUBMIT,
    parameters=("schedule",),
    body=json_body(ScheduleChanges, {"enabled": False}, required=False),
    problems=(*BODY_PROBLEMS, "unknown-schedule"),
)
def patch_schedule(name: str) -> Response:
    """Change some fields of a schedule.

    Fields that are left out stay as they are; null sets one to its default. The owner stays.
    """
    before, _ = _find(name)
    changes = read_body(RootModel[dict[str, Any]], read_json()).root
    for timing, other in (("every", "cron"), ("cron", "every")):
        if changes.get(timing) is not None:
            changes.setdefault(other, None)
    merged = {key: value for key, value in (request_fields(before) | changes).items() if value is not None}
    _store(name, before.owner, read_body(ScheduleRequest, pydantic_core.to_json(merged)), before)
    return json_answer(_answer(name))


def _store(name: str, owner: str, body: ScheduleRequest, before: Schedule | None) -> bool:
    """Store a schedule, in place of the one before; True if it is new. Raises the problem `invalid-input`."""
    if (body.every is None) == (body.cron is None):
        raise invalid("Input should have either every or cron", "every")
    if body.start_at and body.end_at and body.start_at > body.end_at:
        raise invalid("Input should be a time after start_at", "end_at")
    now = store().schedules.now_ms()
    schedule = Schedule(
        name=name,
        owner=owner,
        run=nested_options(body.options, OPTIONS),
        created_ms=before.created_ms if before else now,
        updated_ms=now,
        start_ms=_milliseconds(body.start_at),
        end_ms=_milliseconds(body.end_at),
        input=with_secrets(body.task, body.input, before),
        **body.model_dump(exclude={"input", "start_at", "end_at"}),
    )
    _check(schedule)
    if not caller().is_admin and before and before.owner != owner:
        raise ScheduleNameTaken(NAME_TAKEN)
    return put(store(), schedule, 0 if caller().is_admin else store().settings.max_schedules_per_owner)


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def _check(schedule: Schedule) -> None:
    """Refuse an input, or options, that would fail at each run."""
    try:
        validated = schedule.validated(store().settings.allow_private_addresses)
    except UnknownTaskType as error:
        raise invalid(error.detail, "task") from None
    except InvalidInput as error:
        errors = [{**each, "loc": ["input", *each["loc"]]} for each in error.extra["errors"]]
        raise Problem("invalid-input", error.detail, errors=errors) from None
    resolve_uniqueness(definition(schedule.task), schedule.run, validated, "options")


@route.get(
    "/schedules",
    ok(ScheduleList, "A page of them; `next`, and `Link`, lead to the next page.", "Link"),
    parameters=("limit", "cursor"),
    inline=_FILTER_PARAMETERS,
    problems=("invalid-input",),
)
def list_schedules() -> Response:
    """Schedules, by name.

    An admin sees everyone's.
    """
    page, cursor = schedule_page(caller(), page_cursor(_NAME), page_limit(), _requested_filter())
    following = next_page("/schedules", cursor, *FILTERS)
    body = {"schedules": page, "next": following and prefix() + following}
    return json_answer(ScheduleList.model_validate(body), headers=link_to(following))


def _requested_filter() -> Callable[[Schedule], bool]:
    """Whether a schedule matches the query. Raises the problem `invalid-input`."""
    task, owner, enabled = (request.args.get(name) for name in FILTERS)
    if enabled not in (None, "true", "false"):
        raise invalid("Input should be true or false", "query", "enabled")
    return lambda schedule: (
        (task is None or schedule.task == task)
        and (owner is None or schedule.owner == owner)
        and (enabled is None or schedule.enabled is (enabled == "true"))
    )


@route.get(
    "/schedules/<name>",
    ok(ScheduleObject, "The schedule."),
    parameters=("schedule",),
    problems=("unknown-schedule",),
)
def get_schedule(name: str) -> Response:
    """A schedule, its next five times and its last runs."""
    return json_answer(_answer(name))


@route.delete(
    "/schedules/<name>",
    ResponseSpec(204, "It is deleted."),
    access=Access.SUBMIT,
    parameters=("schedule",),
    problems=("unknown-schedule",),
)
def delete_schedule(name: str) -> Response:
    """Delete a schedule; its tasks are kept."""
    _find(name)
    if not store().schedules.delete(name):
        raise Problem("unknown-schedule")
    return Response(status=204)


@route.post(
    "/schedules/<name>/run",
    status_with(200, "The earlier task with the same key of `unique`.", *TICKET_HEADERS, "Task-Deduplicated"),
    status_with(
        202, "Stored and queued.", *TICKET_HEADERS, "Idempotency-Replayed", links=("status", "result", "cancel")
    ),
    access=Access.SUBMIT,
    parameters=("schedule", "Idempotency-Key"),
    problems=(
        "bad-request",
        "unknown-schedule",
        "unknown-task-type",
        "invalid-input",
        *KEY_PROBLEMS,
        *STORING_PROBLEMS,
    ),
)
def run_schedule(name: str) -> Response:
    """Run a schedule now.

    Also possible if it is paused.
    """
    ticket = run_now(store(), _find(name)[0], g.request_id, read_key(caller()), g.trace)
    g.task_id = ticket.record.id
    return accepted(ticket)


def _answer(name: str) -> ScheduleObject:
    return ScheduleObject.model_validate(schedule_object(*_find(name)))


def _find(name: str) -> tuple[Schedule, StoredSchedule]:
    """Find a schedule that the caller may see. Raises the problem `unknown-schedule`, also for another owner's."""
    schedule = load_schedule(name)
    if schedule is None or not caller().sees(schedule[0].owner):
        raise Problem("unknown-schedule")
    return schedule

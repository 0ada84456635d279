"""Schedules: each one's times, its last runs, and a form to create or edit one. Admins see all owners' schedules."""

import json
from dataclasses import replace
from itertools import islice
from typing import Any

from flask import Response, request
from pydantic_core import to_json

from server.sdk.definition import TaskDefinition
from server.sdk.registry import catalog, definition
from server.sdk.signature import Arity
from server.services.cron import Timing, check_cron, check_timezone
from server.services.status import timestamp
from server.web.current import store
from server.web.long_poll import event_stream
from server.web.middleware import caller
from server.web.responses import json_answer
from server.web.routes.schedule_objects import UPCOMING, load_schedule, schedule_object, schedule_page
from server.web.ui.blueprint import page, ui, url
from server.web.ui.format.cron_text import cron_text, interval_text
from server.web.ui.forms import Parameter, form_of
from server.web.ui.stream import PageParts

_MAX_SHOWN = 100  # maximum number of schedules on a page, which follows them all


@ui.get("/ui/schedules")
def schedules() -> Response:
    """Show the viewer's schedules by name, and a form for a new one, or for the one in `edit`."""
    task_types, edited = list(catalog()), _edited()
    wanted = request.args.get("task") or (edited["task"] if edited else "")
    chosen = definition(wanted) if wanted else next((each for each in task_types if not each.uploads), task_types[0])
    form = form_of(chosen, "")
    return page(
        "schedules.html",
        "/ui/schedules",
        live=url("/ui/schedules/events", {"cursor": after} if (after := _after()) else {}),
        **_visible(),
        edited=edited or {},
        task_types=[each.name for each in task_types],
        chosen=chosen,
        form=replace(form, parameters=[_parameter(chosen, each) for each in form.parameters]),
    )


@ui.get("/ui/schedules/events")
def schedule_events() -> Response:
    return event_stream(PageParts(caller(), "schedules.html", ["list"], _visible))


def _after() -> str | None:
    return request.args.get("cursor")


def _visible() -> dict[str, Any]:
    shown_schedules, cursor = schedule_page(caller(), _after(), _MAX_SHOWN)
    return {"schedules": [_shown(each) for each in shown_schedules], "cursor": cursor, "later": _after() is not None}


def _edited() -> dict[str, Any] | None:
    """Return the viewer's schedule that the form changes, if there is one."""
    schedule = load_schedule(request.args.get("edit", ""))
    return _shown(schedule_object(*schedule)) if schedule and caller().sees(schedule[0].owner) else None


@ui.get("/ui/schedules/words")
def describe_cron() -> Response:
    """Describe a cron line while the user types it, with its next times."""
    line, zone = request.args.get("cron", "")[:200], request.args.get("timezone", "UTC")[:64]
    try:
        timing = Timing(None, check_cron(line), check_timezone(zone), 0)
    except ValueError as error:
        return json_answer(to_json({"error": str(error)}))
    following = [timestamp(each) for each in islice(timing.after(store().schedules.now_ms()), UPCOMING)]
    return json_answer(to_json({"words": cron_text(line), "next": following}))


def _parameter(task_definition: TaskDefinition, each: Parameter) -> Parameter:
    """Build a parameter of a schedule's form; files are given by address, because each run needs them."""
    if each.control != "file":
        return each
    if task_definition.uploads[each.name] is Arity.MANY:
        return replace(each, control="json", hint='Files as JSON: [{"url": "https://…"}], fetched at each run.')
    return replace(each, control="url", hint="Its address, fetched at each run.", attributes={"data-file": "url"})


def _shown(schedule: dict[str, Any]) -> dict[str, Any]:
    """Return a schedule with a description of its times."""
    when = interval_text(schedule["every"]) if schedule["every"] else cron_text(schedule["cron"])
    zone = "" if schedule["every"] or schedule["timezone"] == "UTC" else f", {schedule['timezone']}"
    values = schedule["input"]
    return schedule | {"when": f"{when}{zone}", "input_values": values, "input": json.dumps(values, ensure_ascii=False)}

"""Schedules: a list, their next times, and a form to make one. An admin's."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, request

from server.sdk.definition import TaskDefinition
from server.sdk.registry import catalog, definition
from server.sdk.signature import Arity
from server.web.middleware import require_admin
from server.web.routes.schedules import every_schedule
from server.web.ui.blueprint import page, ui
from server.web.ui.forms import Parameter, form_of

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


@ui.get("/ui/schedules")
def schedules() -> Response:
    """Every schedule, by name, and the form of a new one for the kind of task that the query names."""
    require_admin()
    kinds = list(catalog())
    wanted = request.args.get("task")
    made = definition(wanted) if wanted else next((each for each in kinds if not each.uploads), kinds[0])
    form = form_of(made, "")
    return page(
        "schedules.html",
        "schedules",
        schedules=[_shown(each) for each in every_schedule()],
        kinds=[each.name for each in kinds],
        chosen=made,
        form=replace(form, parameters=[_parameter(made, each) for each in form.parameters]),
    )


def _parameter(made: TaskDefinition, each: Parameter) -> Parameter:
    """A parameter as a form has it; files come by their addresses, for nobody is there to choose one later."""
    if each.control != "file":
        return each
    if made.uploads[each.name] is Arity.MANY:
        return replace(each, control="json", hint='Files as JSON: [{"url": "https://…"}], fetched at each run.')
    return replace(each, control="url", hint="Its address, fetched at each run.", attributes={"data-file": "url"})


def _shown(schedule: dict[str, Any]) -> dict[str, Any]:
    """A schedule, with its times as its own zone has them."""
    zone = ZoneInfo(schedule["timezone"])
    times = [datetime.fromisoformat(each).astimezone(zone) for each in schedule["next"]]
    return schedule | {"next": times, "input": json.dumps(schedule["input"], ensure_ascii=False)}


@ui.app_template_filter("interval")
def _interval(seconds: float) -> str:
    """`90 s`, `5 min`: exactly."""
    for unit, word in _UNITS:
        if seconds % unit == 0:
            return f"{seconds // unit:.0f} {word}"
    return f"{seconds:g} s"

"""Failures: failed tasks grouped by cause, with a plot of each, and a retry of exactly one group. For admins."""

import time
from dataclasses import dataclass

from flask import Response, request
from pydantic_core import to_json

from server.services.failures import FailureGroup
from server.web.errors import Problem
from server.web.middleware import require_admin
from server.web.responses import json_answer
from server.web.routes.failures import group_since
from server.web.ui.blueprint import page, ui
from server.web.ui.format.words import summary

_RANGES = {"hour": ("1 hour", 3600), "day": ("24 hours", 86_400), "week": ("7 days", 604_800)}

#: Bars of a plot, and tasks of a group that are retried from the page.
_BARS, _MAX_TASKS = 24, 500


@dataclass(frozen=True, slots=True)
class SparkBar:
    """A bar, in percent of the plot; `base` marks a step without failures."""

    x: float
    y: float
    width: float
    height: float
    base: bool


def _range() -> str:
    asked = request.args.get("range", "day")
    return asked if asked in _RANGES else "day"


def _since(chosen: str) -> int:
    return int((time.time() - _RANGES[chosen][1]) * 1000)


@ui.get("/ui/failures")
def failures() -> Response:
    """The groups of a time range, the largest first."""
    require_admin()
    chosen = _range()
    since = _since(chosen)
    found = group_since(since)
    groups = [(each, *_spark(each, since)) for each in found.groups]
    return page(
        "failures.html",
        "/ui/failures",
        range=chosen,
        ranges=[(name, text) for name, (text, _) in _RANGES.items()],
        groups=groups,
        total=found.looked_at,
        complete=found.complete,
    )


@ui.get("/ui/failures/<key>/tasks")
def failure_tasks(key: str) -> Response:
    """The tasks of one group, for its page: the newest ones, as many as are retried at a time."""
    require_admin()
    group = next((each for each in group_since(_since(_range())).groups if each.key == key), None)
    if group is None:
        raise Problem("not-found", "There is no such group of failures in this time.")
    tasks = [
        {"id": each.id, "status": each.status, "kind": each.task_type, "what": summary(each)}
        for each in group.tasks[:_MAX_TASKS]
    ]
    return json_answer(to_json({"tasks": tasks, "count": len(group.tasks)}))


def _spark(group: FailureGroup, since: int) -> tuple[list[SparkBar], str]:
    """Failures over the range as bars, and in a sentence."""
    step = max(1, (int(time.time() * 1000) - since) // _BARS)
    counts = [0] * _BARS
    for moment in group.moments:
        counts[min(_BARS - 1, max(0, (moment - since) // step))] += 1
    most = max(counts)
    width = 100 / _BARS
    bars = [
        SparkBar(
            x=round(at * width, 2),
            y=round(100 - 100 * count / most, 1) if count else 94,
            width=round(width * 0.72, 2),
            height=round(100 * count / most, 1) if count else 6,
            base=not count,
        )
        for at, count in enumerate(counts)
    ]
    minutes = step / 60_000
    return bars, f"{len(group.tasks)} failures; at most {most} in {minutes:.0f} minutes, {counts[-1]} in the last"

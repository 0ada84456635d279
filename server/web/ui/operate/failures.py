"""Failures: failed tasks grouped by cause, with a plot of each, and actions on exactly one group. For admins."""

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from server.services.failures import FailureGroup, grouped
from server.store.causes import CAUSED
from server.store.listing import Filter
from server.web.current import store
from server.web.long_poll import event_stream
from server.web.middleware import require_admin
from server.web.ui.blueprint import page, ui, url
from server.web.ui.stream import PageParts, when_changed

_RANGES = {"hour": ("1 hour", 3600), "day": ("24 hours", 86_400), "week": ("7 days", 604_800)}
_BARS = 24  # number of bars in a plot


@dataclass(frozen=True, slots=True)
class SparkBar:
    """A bar, in percent of the plot; `base` marks a step without failures."""

    x: float
    y: float
    width: float
    height: float
    base: bool


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group as the page shows it; `query` selects it in lists and bulk calls."""

    group: FailureGroup
    bars: list[SparkBar]
    sentence: str
    query: str


@ui.get("/ui/failures")
def failures() -> Response:
    """Show the groups of a time range, the largest first."""
    require_admin()
    chosen = _range()
    address = url("/ui/failures/events", {"range": chosen})
    ranges = [(name, text) for name, (text, _) in _RANGES.items()]
    return page("failures.html", "/ui/failures", range=chosen, ranges=ranges, live=address, **_values(chosen))


@ui.get("/ui/failures/events")
def failure_events() -> Response:
    viewer, chosen = require_admin(), _range()
    # A grouping reads thousands of records.
    values = when_changed(lambda: _counts(chosen), lambda: _values(chosen))
    return event_stream(PageParts(viewer, "failures.html", ["groups"], values))


def _range() -> str:
    requested = request.args.get("range", "day")
    return requested if requested in _RANGES else "day"


def _since(chosen: str) -> int:
    return int((time.time() - _RANGES[chosen][1]) * 1000)


def _counts(chosen: str) -> dict[str, int]:
    return store().listing.count(Filter(None, statuses=CAUSED, since=_since(chosen)))


def _values(chosen: str) -> dict[str, Any]:
    since = _since(chosen)
    grouping = grouped(store(), since)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since / 1000))
    rows = [_row(group, since, moment) for group in grouping.groups]
    return {"rows": rows, "total": grouping.tasks_read, "complete": grouping.complete}


def _row(group: FailureGroup, since: int, moment: str) -> GroupRow:
    # By type and time, so that a request for the group reads no other tasks.
    query = urlencode({"failure": group.cause.key, "task": group.task, "since": moment})
    return GroupRow(group, *_spark(group, since), query)


def _spark(group: FailureGroup, since: int) -> tuple[list[SparkBar], str]:
    """Return failures over the range as bars, and a sentence."""
    step = max(1, (int(time.time() * 1000) - since) // _BARS)
    counts = [0] * _BARS
    for moment in group.moments:
        counts[min(_BARS - 1, max(0, (moment - since) // step))] += 1
    largest = max(counts)
    width = 100 / _BARS
    bars = [
        SparkBar(
            x=round(at * width, 2),
            y=round(100 - 100 * count / largest, 1) if count else 94,
            width=round(width * 0.72, 2),
            height=round(100 * count / largest, 1) if count else 6,
            base=not count,
        )
        for at, count in enumerate(counts)
    ]
    minutes = step / 60_000
    return bars, f"{len(group.moments)} failures; at most {largest} in {minutes:.0f} minutes, {counts[-1]} in the last"

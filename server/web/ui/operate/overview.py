"""The overview: alerts, arrivals, waits and ends, busiest owners, workers. For admins."""

from dataclasses import dataclass
from typing import Any

from flask import Response, request
from werkzeug.wrappers import Response as BaseResponse

from server import __version__
from server.sdk.registry import catalog
from server.services.webhooks import MAX_WEBHOOKS_READ, failing
from server.store.connection.checks import Severity
from server.store.stats import Flow, Flows, Range
from server.web.current import store
from server.web.long_poll import event_stream
from server.web.middleware import require_admin
from server.web.routes.operate.queues import RECOVERIES, cards
from server.web.routes.operate.queues import overview as read_queues
from server.web.ui.blueprint import moved, page, ui, url
from server.web.ui.format.filters import percent
from server.web.ui.operate.overview_stats import (
    MAX_OWNERS,
    QueueRow,
    ended,
    owner_rows,
    plots,
    queue_rows,
    stats,
    type_rows,
)
from server.web.ui.stream import PageParts

_ALARMING = 0.2  # the share of failures that raises an alert
_PARTS = ("alerts", "stats", "plots", "queues", "types", "owners", "workers", "hooks", "recoveries")


@dataclass(frozen=True, slots=True)
class Alert:
    """A problem that needs attention."""

    level: str
    title: str
    text: str
    address: str = ""
    link: str = ""


@ui.get("/ui/queues")
def queues() -> BaseResponse:
    """Redirect from the overview's former address."""
    return moved("/ui/overview", 301)


@ui.get("/ui/overview")
def overview() -> Response:
    """Show the overview for a time range, and for all tasks or one queue, task type or owner."""
    require_admin()
    chosen, subject = _range(), request.args.get("of", "")
    query = {"range": str(chosen)} | ({"of": subject} if subject else {})
    return page(
        "overview.html",
        "/ui/overview",
        range=chosen,
        ranges={each: f"1 {each}" for each in Range},
        of=subject,
        live=url("/ui/overview/events", query),
        **_values(chosen, subject),
    )


@ui.get("/ui/overview/events")
def overview_events() -> Response:
    viewer, chosen, subject = require_admin(), _range(), request.args.get("of", "")
    return event_stream(PageParts(viewer, "overview.html", _PARTS, lambda: _values(chosen, subject)))


def _range() -> Range:
    requested = request.args.get("range", "")
    return Range(requested) if requested in list(Range) else Range.HOUR


def _values(chosen: Range, subject: str) -> dict[str, Any]:
    queue_overview, workers = read_queues(), cards()
    type_queues = {each.name: each.queue for each in catalog()}
    hour = store().flow_stats.read(Range.HOUR)
    flows = hour if chosen is Range.HOUR else store().flow_stats.read(chosen)
    flow = _flow_of(flows, type_queues, subject)
    rows = queue_rows(queue_overview["queues"], hour, type_queues)
    owners = owner_rows(flows, store().flow_stats.unfinished_by_owner())
    shown, range_text = owners[:MAX_OWNERS], f"last {chosen}"
    return {
        "range_text": range_text,
        "alerts": _alerts(rows, workers, hour),
        "stats": stats(rows, workers, flow, range_text),
        "plots": plots(flow, chosen),
        "queues": rows,
        "types": type_rows(flows, type_queues, queue_overview["tasks"]),
        "owners": shown,
        "owner_count": len(owners),
        "subjects": _subjects(type_queues, [row.name for row in shown], subject),
        "findings": [(text, queue_overview["recoveries"][name]) for name, text in RECOVERIES.items()],
        "workers": workers,
        "receivers": failing(store()),
        "undelivered": store().webhooks.pending_count(),
        "looked_at": MAX_WEBHOOKS_READ,
    }


def _subjects(type_queues: dict[str, str], owners: list[str], subject: str) -> dict[str, list[tuple[str, str]]]:
    """Return the subjects that can be shown alone: by title, values of `of` and names."""
    subject_type, _, name = subject.partition(":")
    if subject_type == "owner" and name not in owners:
        owners = [*owners, name]
    return {
        "Queue": [(f"queue:{each}", each) for each in sorted(set(type_queues.values()))],
        "Task type": [(f"task:{each}", each) for each in sorted(type_queues)],
        "Owner": [(f"owner:{each}", each) for each in owners],
    }


def _flow_of(flows: Flows, type_queues: dict[str, str], subject: str) -> Flow:
    subject_type, _, name = subject.partition(":")
    if subject_type == "queue":
        return flows.of_types([each for each, queue in type_queues.items() if queue == name])
    if subject_type == "task":
        return flows.of_types([name])
    return flows.of_owner(name) if subject_type == "owner" else flows.of_types()


def _alerts(rows: list[QueueRow], workers: list[dict[str, Any]], hour: Flows) -> list[Alert]:
    alerts = []
    waiting = sum(row.waiting for row in rows)
    if not workers:
        text = f"{waiting:,} tasks wait until one is started." if waiting else "Tasks wait until one is started."
        alerts.append(Alert("fail" if waiting else "warn", "No worker is running.", text))
    for row in rows:
        if workers and row.waiting and not row.workers:
            alerts.append(Alert("fail", f"No worker reads the queue {row.name}.", f"{row.waiting:,} tasks wait."))
    for name, flow in hour.by_type.items():
        failed, whole = flow.total("failed"), ended(flow)
        if failed > 2 and failed > _ALARMING * whole:
            title = f"{percent(failed, whole)} of {name} failed in the last hour."
            text, address = f"{failed:,} of {whole:,} that ended.", url("/ui/failures?range=hour")
            alerts.append(Alert("fail", title, text, address, "View failures"))
    for finding in store().checks.findings():
        level = "warn" if finding.severity is Severity.WARNING else "fail"
        alerts.append(Alert(level, "Reported by doctor.", finding.text))
    others = sorted({card["version"] for card in workers} - {__version__, None})
    if others:
        text = f"{', '.join(others)}; this web process runs {__version__}."
        alerts.append(Alert("warn", "Workers run another version.", text))
    return alerts

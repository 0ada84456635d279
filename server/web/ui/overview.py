"""The overview: what needs attention, what waits and ends, how fast, and which workers are alive. For admins."""

from dataclasses import dataclass
from typing import Any

from flask import Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from server.web.middleware import require_admin
from server.web.routes.queues import cards
from server.web.routes.queues import overview as read_queues
from server.web.ui.blueprint import page, ui, url
from server.web.ui.format.plots import Plot, Series, plot
from server.web.ui.format.words import percent, span

#: What a recovery means.
FINDINGS = {
    "lost_attempts": "Requeued after their worker died",
    "lost_messages": "Lost messages replaced",
    "returned_messages": "Returned to the queue, never started",
    "orphaned_files": "Orphaned files deleted",
}

_RANGES = (("hour", "1 hour"), ("day", "1 day"))

#: Minutes from which the pace of a queue is taken, and the share of failures that needs attention.
_PACE_MINUTES, _ALARMING = 5, 0.2


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that needs attention."""

    level: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Stat:
    """A key figure with a line that puts it in proportion."""

    name: str
    figure: str
    note: str
    unit: str = ""
    bad: bool = False


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue with its pace."""

    name: str
    waiting: int
    oldest_seconds: float | None
    running: int
    per_minute: str
    failed: int
    ended: int
    drains: str
    state: str
    level: str
    icon: str


@ui.get("/ui/queues")
def queues() -> BaseResponse:
    """The overview's former address."""
    return redirect(url("/ui/overview"), 301)


@ui.get("/ui/overview")
def overview() -> Response:
    """Key figures, plots, queues, task types, workers, recoveries."""
    require_admin()
    found, workers = read_queues(), cards()
    chosen = "day" if request.args.get("range") == "day" else "hour"
    rows = sorted((_row(queue, workers) for queue in found["queues"]), key=lambda row: -row.waiting)
    return page(
        "overview.html",
        "/ui/overview",
        range=chosen,
        ranges=_RANGES,
        alerts=_alerts(rows, workers),
        stats=_stats(rows, workers),
        plots=[_flow(found["queues"], chosen)],
        queues=rows,
        times=sorted((each for each in found["tasks"] if each["runs"]), key=lambda each: -each["runs"]),
        findings=[(text, found["recoveries"][name]) for name, text in FINDINGS.items()],
        workers=workers,
    )


def _row(queue: dict[str, Any], workers: list[dict[str, Any]]) -> QueueRow:
    hour, waiting = queue["last_hour"], queue["waiting"]
    pace = sum(sum(hour[status][-_PACE_MINUTES - 1 : -1]) for status in ("succeeded", "failed")) / _PACE_MINUTES
    failed = sum(hour["failed"])
    if not workers and waiting:
        state, level, mark = "No worker", "warn", "failures"
    elif waiting and not pace:
        state, level, mark = "Nothing has ended for 5 minutes", "warn", "failures"
    else:
        state, level, mark = ("Working" if waiting else "Empty"), "succeeded", "succeeded"
    return QueueRow(
        name=queue["name"],
        waiting=waiting,
        oldest_seconds=queue["oldest_seconds"],
        running=queue["running"],
        per_minute=f"{pace:,.1f}".removesuffix(".0"),
        failed=failed,
        ended=failed + sum(hour["succeeded"]),
        drains="Now" if not waiting else span(60 * waiting / pace) if pace else "Never",
        state=state,
        level=level,
        icon=mark,
    )


def _alerts(rows: list[QueueRow], workers: list[dict[str, Any]]) -> list[Alert]:
    found = []
    waiting = sum(row.waiting for row in rows)
    if not workers:
        text = f"{waiting:,} tasks wait until one is started." if waiting else "Tasks wait until one is started."
        found.append(Alert("fail" if waiting else "warn", "No worker is running.", text))
    for row in rows:
        if row.failed > 2 and row.failed > _ALARMING * row.ended:
            title = f"{percent(row.failed, row.ended)} of the tasks in {row.name} failed in the last hour."
            found.append(Alert("fail", title, f"{row.failed:,} of {row.ended:,} ended."))
    return found


def _stats(rows: list[QueueRow], workers: list[dict[str, Any]]) -> list[Stat]:
    waiting, failed, ended = (sum(getattr(row, name) for row in rows) for name in ("waiting", "failed", "ended"))
    oldest = max(rows, key=lambda row: row.oldest_seconds or 0, default=None)
    figure, _, unit = span(oldest.oldest_seconds if oldest else None).partition(" ")
    slots, busy = sum(card["concurrency"] for card in workers), sum(len(card["running"]) for card in workers)
    return [
        Stat("Waiting", f"{waiting:,}", f"in {len(rows)} queue{'' if len(rows) == 1 else 's'}"),
        Stat("Oldest waits", figure, f"in {oldest.name}" if oldest and unit else "nothing waits", unit),
        Stat("Failed, last hour", f"{failed:,}", f"{percent(failed, ended)} of {ended:,} ended", bad=failed > 0),
        Stat("Busy slots", f"{busy:,}", f"{len(workers)} worker{'' if len(workers) == 1 else 's'}", f"of {slots:,}"),
    ]


def _flow(queues: list[dict[str, Any]], chosen: str) -> Plot:
    counts = [queue[f"last_{chosen}"] for queue in queues]
    step = counts[0]["step_seconds"]

    def total(status: str) -> list[int]:
        return [sum(values) for values in zip(*(each[status] for each in counts), strict=True)]

    succeeded, failed = total("succeeded"), total("failed")
    unit = "per minute" if step == 60 else f"per {step // 60} minutes"
    return plot(
        "flow",
        f"Tasks {unit}",
        [Series("Succeeded", "out-line", succeeded), Series("Failed", "fail-bar", failed, bar=True)],
        step,
        unit,
    )

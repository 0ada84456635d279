"""Queues and workers: what waits and runs, what has ended of late as small plots, who does it. An admin's."""

from dataclasses import dataclass
from typing import Any

from flask import Response

from server.web.middleware import require_admin
from server.web.routes.queues import cards, overview
from server.web.ui.blueprint import page, ui

#: What maintenance's finding means.
FINDINGS = {
    "lost_attempts": "Runs whose worker had gone: they were queued again.",
    "lost_messages": "Tasks whose message was missing: they got a new one.",
    "returned_messages": "Messages that a worker took and did not start: they went back.",
    "orphaned_files": "Files without a record: they were deleted.",
}

_HEIGHT, _STEP = 48, 5


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a plot: what went well from the ground up, what failed on top of it."""

    x: int
    good: float
    bad: float
    good_y: float
    bad_y: float


@dataclass(frozen=True, slots=True)
class Plot:
    """Ends over time."""

    title: str
    width: int
    height: int
    bars: list[Bar]
    good: int
    bad: int
    most: int
    step: str
    begins: str

    @property
    def words(self) -> str:
        """What who does not see it is told."""
        return f"{self.title}: {self.good} succeeded, {self.bad} failed"


@ui.get("/ui/queues")
def queues() -> Response:
    """Each queue, each worker, run times, findings."""
    require_admin()
    found = overview()
    plots = {
        queue["name"]: [_plot("Last hour", queue["last_hour"]), _plot("Last day", queue["last_day"])]
        for queue in found["queues"]
    }
    times = [each for each in found["tasks"] if each["runs"]]
    findings = [(words, found["recoveries"][name]) for name, words in FINDINGS.items()]
    return page(
        "queues.html",
        "queues",
        queues=found["queues"],
        plots=plots,
        times=times,
        findings=findings,
        workers=cards(),
    )


def _plot(title: str, counts: dict[str, Any]) -> Plot:
    good, bad = counts["succeeded"], counts["failed"]
    most = max(1, *(each + other for each, other in zip(good, bad, strict=True)))
    bars = [
        _bar(index * _STEP, each * _HEIGHT / most, other * _HEIGHT / most)
        for index, (each, other) in enumerate(zip(good, bad, strict=True))
        if each or other
    ]
    step = counts["step_seconds"] // 60
    length = len(good) * step
    return Plot(
        title=title,
        width=len(good) * _STEP,
        height=_HEIGHT,
        bars=bars,
        good=sum(good),
        bad=sum(bad),
        most=most if bars else 0,
        step="minute" if step == 1 else f"{step} minutes",
        begins=f"{length} min ago" if length <= 60 else f"{length // 60} h ago",
    )


def _bar(x: int, good: float, bad: float) -> Bar:
    """At least a pixel for what is there at all."""
    good, bad = (round(max(1.0, each), 1) if each else 0.0 for each in (good, bad))
    return Bar(x, good, bad, round(_HEIGHT - good, 1), round(_HEIGHT - good - bad, 1))

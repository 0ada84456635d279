"""The numbers of the overview: key figures, plots, and rows of queues, task types and owners."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from server.store.stats import OTHERS, STEPS, Flow, Flows, Range, percentile
from server.web.routes.operate.queues import Queue
from server.web.ui.format.filters import NONE, counted, percent, span
from server.web.ui.format.plots import Plot, Series, plot

_PACE_MINUTES = 5  # minutes for measuring a queue's speed: a step of the last hour
MAX_OWNERS = 12  # maximum number of owners that the page shows
_ENDS = ("succeeded", "failed", "canceled")
_IN_MINUTES = 180  # minimum seconds of a longest wait that is plotted in minutes


@dataclass(frozen=True, slots=True)
class Stat:
    """A key figure with a line that explains it."""

    name: str
    value: str
    note: str
    unit: str = ""
    bad: bool = False


class QueueRow(Queue):
    """A queue with its task types, and its speed in tasks per minute."""

    types: list[str]
    arriving: float
    ending: float

    @property
    def in_per_minute(self) -> str:
        return _rate(self.arriving)

    @property
    def out_per_minute(self) -> str:
        return _rate(self.ending)

    @property
    def drains(self) -> str:
        """Estimate how long the waiting tasks take at this speed."""
        if not self.waiting:
            return "Now"
        if self.paused_at:
            return "When resumed"
        if not self.ending:
            return "Never"
        left = self.ending - self.arriving
        return span(60 * self.waiting / left) if left > 0 else "Not at this pace"

    @property
    def state(self) -> tuple[str, str, str]:
        if self.paused_at:
            return f"Paused by {self.paused_by}", "warn", "pause"
        if self.waiting and not self.workers:
            return "No worker", "warn", "failures"
        if self.waiting and not self.ending:
            return f"Nothing ended for {_PACE_MINUTES} minutes", "warn", "failures"
        if self.waiting and self.arriving > self.ending:
            return f"Falling behind, +{_rate(self.arriving - self.ending)} per minute", "warn", "failures"
        return ("Keeping up" if self.waiting else "Empty"), "succeeded", "succeeded"


@dataclass(frozen=True, slots=True)
class FlowRow:
    """A task type or an owner in the chosen time range."""

    name: str
    flow: Flow
    unfinished: int = 0
    share: float = 0.0
    queue: str = ""
    times: Any = None

    @property
    def arrived(self) -> int:
        return self.flow.total("arrived")

    @property
    def ended(self) -> int:
        return ended(self.flow)

    @property
    def failed(self) -> int:
        return self.flow.total("failed")

    @property
    def wait(self) -> str:
        """Return the median and the 99th percentile of the waits."""
        median = self.flow.wait(0.5)
        return NONE if median is None else f"{span(median)} / {span(self.flow.wait(0.99))}"

    @property
    def run(self) -> str:
        """Return the median and the 99th percentile of the successful runs in the last day."""
        seconds = self.times["seconds"] if self.times else {"p50": None}
        return NONE if seconds["p50"] is None else f"{span(seconds['p50'])} / {span(seconds['p99'])}"

    @property
    def failed_share(self) -> str:
        return percent(self.failed, self.ended)


def ended(flow: Flow) -> int:
    return sum(flow.total(each) for each in _ENDS)


def _rate(number: float) -> str:
    return f"{number:,.1f}".removesuffix(".0")


def queue_rows(queues: Iterable[dict[str, Any]], hour: Flows, type_queues: dict[str, str]) -> list[QueueRow]:
    """Return the queues, most waiting tasks first. Their speed is that of the last complete and the current step."""
    rows = []
    for queue in queues:
        types = [name for name, of_queue in type_queues.items() if of_queue == queue["name"]]
        flow = hour.of_types(types)
        ends = max(sum(flow.of(each)[at] for each in _ENDS) for at in (-2, -1))
        arriving = max(flow.of("arrived")[at] for at in (-2, -1))
        rows.append(QueueRow(**queue, types=types, arriving=arriving / _PACE_MINUTES, ending=ends / _PACE_MINUTES))
    return sorted(rows, key=lambda row: -row.waiting)


def type_rows(flows: Flows, type_queues: dict[str, str], times: Iterable[dict[str, Any]]) -> list[FlowRow]:
    """Return the task types, most failures first, then the busiest."""
    by_name = {each["task"]: each for each in times}
    rows = [
        FlowRow(name, flow, queue=type_queues.get(name, ""), times=by_name.get(name))
        for name, flow in flows.by_type.items()
    ]
    return sorted(rows, key=lambda row: (-row.failed, -row.arrived, row.name))


def owner_rows(flows: Flows, unfinished: dict[str, int]) -> list[FlowRow]:
    """Return the owners with the most unfinished tasks, then those with the most submits."""
    whole = sum(unfinished.values())
    names = {*unfinished, *flows.by_owner} - {OTHERS}
    rows = [
        FlowRow(name, flows.of_owner(name), unfinished.get(name, 0), unfinished.get(name, 0) / whole if whole else 0)
        for name in names
    ]
    return sorted(rows, key=lambda row: (-row.unfinished, -row.arrived, row.name))


def stats(rows: Sequence[QueueRow], workers: Sequence[dict[str, Any]], flow: Flow, range_text: str) -> list[Stat]:
    """Return six key figures; `flow` is that of the chosen time range, which `range_text` describes."""
    waiting = sum(row.waiting for row in rows)
    oldest = max(rows, key=lambda row: row.latency_seconds, default=None)
    oldest_wait, _, unit = span(oldest.latency_seconds or None if oldest else None).partition(" ")
    wait, _, wait_unit = span(flow.wait(0.5)).partition(" ")
    slots, busy = sum(card["concurrency"] for card in workers), sum(len(card["running"]) for card in workers)
    slowest = _slowest(rows)
    drains, _, drain_unit = (slowest.drains if slowest else "Now").partition(" ")
    failed, whole = flow.total("failed"), ended(flow)
    return [
        Stat("Waiting", f"{waiting:,}", f"in {counted(len(rows), 'queue')}"),
        Stat("Oldest waits", oldest_wait, f"in {oldest.name}" if oldest and unit else "nothing waits", unit),
        Stat("Wait, median / p99", wait, range_text, f"{wait_unit} / {span(flow.wait(0.99))}" if wait_unit else ""),
        Stat(
            "Time to drain",
            drains,
            f"in {slowest.name}" if slowest else "nothing waits",
            drain_unit,
            drains in ("Never", "Not"),
        ),
        Stat("Failed", f"{failed:,}", f"{percent(failed, whole)} of {whole:,} ended, {range_text}", bad=failed > 0),
        Stat("Busy slots", f"{busy:,}", counted(len(workers), "worker"), f"of {slots:,}"),
    ]


def _slowest(rows: Sequence[QueueRow]) -> QueueRow | None:
    """Return the queue that needs the most time to drain."""
    waiting = [row for row in rows if row.waiting]
    return max(
        waiting,
        key=lambda row: row.waiting / (row.ending - row.arriving) if row.ending > row.arriving else 1e12,
        default=None,
    )


def plots(flow: Flow, chosen: Range) -> list[Plot]:
    step = STEPS[chosen][0]
    unit = f"per {step // 60} minutes" if step < 3600 else f"per {step // 3600} hours"
    all_ended = [sum(numbers) for numbers in zip(*(flow.of(each) for each in _ENDS), strict=True)]
    waits = flow.waits()
    median, p99 = ([percentile(each, share) or 0.0 for each in waits] for share in (0.5, 0.99))
    word, divisor = ("minutes", 60) if max(p99) >= _IN_MINUTES else ("seconds", 1)
    return [
        plot(
            "flow",
            f"Tasks {unit}",
            [
                Series("Arrived", "in-line", flow.of("arrived")),
                Series("Ended", "out-line", all_ended),
                Series("Failed", "fail-bar", flow.of("failed"), bar=True),
            ],
            step,
            unit,
        ),
        plot(
            "wait",
            f"Wait, {word}",
            [
                Series("Median", "out-line", [round(each / divisor, 2) for each in median]),
                Series("p99", "in-line", [round(each / divisor, 2) for each in p99]),
            ],
            step,
            unit,
            max,
        ),
    ]

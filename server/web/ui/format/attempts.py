"""A task's life as a waterfall: each attempt's waiting time and run time on one time axis."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from server.store.record import AttemptEnd, EarlierAttempt, Record, Status
from server.store.tasks import Entry
from server.web.ui.format.filters import counted, length
from server.web.ui.format.trace import traced

_ENDINGS = {
    AttemptEnd.FAILED: "Failed",
    AttemptEnd.CRASHED: "Its process died",
    AttemptEnd.LOST: "Its worker went silent",
    AttemptEnd.HANDED_BACK: "Its worker was stopped and gave it back",
}

_UNFINISHED_RUN = (Status.RUNNING, Status.CANCELING)
_MIN_WIDTH = 0.7  # minimum width of a bar in percent of the axis


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar on the axis: its left end and its width in percent, and its length in seconds."""

    x: float
    width: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Line:
    """A wait, or an attempt with the wait after it. An attempt that another one followed has its traceback and log."""

    name: str
    status: str
    seconds: float
    run: Bar | None = None
    wait: Bar | None = None
    note: str = ""
    trace: Markup | None = None
    log: Sequence[Entry] = ()

    @property
    def kept(self) -> str:
        """Describe the traceback and log."""
        lines = counted(len(self.log), "log line") if self.log else ""
        return " and ".join(filter(None, ["Traceback" if self.trace else "", lines]))


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The lines, the labels of the time axis, and a summary in one sentence."""

    lines: list[Line]
    axis_labels: list[str]
    text: str


class _Axis:
    """The time from the submit to the end, or to now."""

    def __init__(self, begin: int, end: int) -> None:
        self.begin, self.end = begin, max(end, begin + 1)

    def bar(self, begin: int, end: int) -> Bar:
        whole = self.end - self.begin
        width = max(_MIN_WIDTH, 100 * (end - begin) / whole)
        x = min(100 - width, max(0.0, 100 * (begin - self.begin) / whole))
        return Bar(round(x, 2), round(width, 2), max(0, end - begin) / 1000)

    def labels(self) -> list[str]:
        seconds = (self.end - self.begin) / 1000
        return ["0", *(f"+{length(seconds * part)}" for part in (1 / 3, 2 / 3, 1))]


def waterfall(record: Record, now: int, log: Sequence[Entry], reports: Mapping[int, dict[str, Any]]) -> Waterfall:
    """Build the waterfall of a task's life up to `now` (ms since 1970); `reports` are by an attempt's start."""
    axis = _Axis(record.submitted_ms, record.finished_ms or now)
    lines = [*_waits(record, axis), *_attempts(record, axis, log, reports)]
    ran = sum(line.run.seconds for line in lines if line.run)
    count = sum(line.run is not None for line in lines)
    whole = length((axis.end - axis.begin) / 1000)
    word = "so far" if record.finished_ms is None else "in all"
    text = f"{counted(count, 'attempt')}, {whole} {word}, {length(ran)} of it running"
    return Waterfall(lines, axis.labels(), text)


def run_seconds(record: Record, now: int) -> float | None:
    """Return the run time of the latest attempt; None before the first."""
    if record.started_ms is None:
        return None
    if record.earlier_attempts and _last_start(record) is None:
        return record.earlier_attempts[-1].ms / 1000
    return max(0, (record.finished_ms or now) - record.started_ms) / 1000


def _waits(record: Record, axis: _Axis) -> Iterator[Line]:
    begin, is_scheduled = record.submitted_ms, record.status is Status.SCHEDULED
    first = record.earlier_attempts[0].started_ms if record.earlier_attempts else record.started_ms
    until = first or record.finished_ms or axis.end
    # A limit of starts per minute moves a queued task back to its schedule: both are shown as one wait.
    if is_scheduled or record.queued_ms:
        end = record.queued_ms if record.queued_ms and not is_scheduled else until
        note = "Until the tasks whose files it needs had ended" if record.waits_for else ""
        yield _wait_line("Scheduled", Status.SCHEDULED, axis.bar(begin, end), note)
        begin = end
    if not is_scheduled and begin < until:
        yield _wait_line("Queued", Status.QUEUED, axis.bar(begin, until))


def _wait_line(name: str, status: Status, bar: Bar, note: str = "") -> Line:
    return Line(name, status, bar.seconds, wait=bar, note=note)


def _attempts(
    record: Record, axis: _Axis, log: Sequence[Entry], reports: Mapping[int, dict[str, Any]]
) -> Iterator[Line]:
    earlier, last = record.earlier_attempts, _last_start(record)
    first = record.deliveries - len(earlier) - (last is not None)
    for at, attempt in enumerate(earlier):
        following = earlier[at + 1].started_ms if at + 1 < len(earlier) else last
        end = following or record.finished_ms or axis.end
        bar, wait = axis.bar(attempt.started_ms, attempt.ended_ms), axis.bar(attempt.ended_ms, end)
        report = reports.get(attempt.started_ms)
        line = Line(f"Attempt {first + at + 1}", "failed", bar.seconds, bar, wait, _note(attempt, wait.seconds, report))
        attempt_log = [entry for entry in log if attempt.started_ms <= entry.at_ms <= attempt.ended_ms]
        yield replace(line, trace=traced(report["traceback"]) if report else None, log=attempt_log)
    if last is not None:
        bar = axis.bar(last, record.finished_ms or axis.end)
        name = f"Attempt {record.deliveries}" if record.deliveries > 1 else "Attempt"
        yield Line(name, record.status, bar.seconds, bar, note="" if record.status.done else "Still running")


def _note(attempt: EarlierAttempt, waited: float, report: dict[str, Any] | None) -> str:
    reason = f"{report['exception']}: {report['message']}" if report else attempt.reason
    suffix = f": {reason}" if reason else ""
    return f"{_ENDINGS[attempt.ending]}{suffix}; then waited {length(waited)}"


def _last_start(record: Record) -> int | None:
    """Return the start of the current attempt, which is not among the earlier ones; None before it starts."""
    waits = not record.status.done and record.status not in _UNFINISHED_RUN
    ended = record.earlier_attempts and record.earlier_attempts[-1].started_ms == record.started_ms
    return None if waits or ended else record.started_ms

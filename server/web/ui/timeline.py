"""A task's life as a list: accepted, scheduled, queued, each run with its end, the waits between them."""

from collections.abc import Iterator
from dataclasses import dataclass

from server.store.record import AttemptEnd, PastAttempt, Record, Status

_ENDINGS = {
    AttemptEnd.FAILED: "failed, and was to be tried again",
    AttemptEnd.CRASHED: "its process died under it",
    AttemptEnd.LOST: "its worker fell silent",
    AttemptEnd.HANDED_BACK: "its worker was stopped, and gave it back",
}

_UNFINISHED_RUN = (Status.RUNNING, Status.CANCELING)


@dataclass(frozen=True, slots=True)
class Step:
    """A line: what began, when (ms since 1970), how long it took (s; None: it takes no time), what is to be said."""

    name: str
    at: int
    seconds: float | None = None
    note: str = ""
    suffix: str = ""
    goes_on: bool = False
    failed: bool = False


def timeline(record: Record, now: int) -> list[Step]:
    """All that is known of a task's life up to `now` (ms since 1970)."""
    return [Step("Accepted", record.submitted_ms), *_waits(record, now), *_runs(record, now), *_end(record)]


def _waits(record: Record, now: int) -> Iterator[Step]:
    """Until it first ran."""
    begun, is_scheduled = record.submitted_ms, record.status is Status.SCHEDULED
    first = record.earlier_attempts[0].started_ms if record.earlier_attempts else record.started_ms
    until = first or record.finished_ms
    # A limit of starts a minute sends a task that was queued back: one wait then, under its last name.
    if is_scheduled or record.queued_ms:
        queued = record.queued_ms if not is_scheduled else None
        note = "until the tasks had ended whose files it takes" if record.waits_for else ""
        yield _span("Scheduled", begun, queued or until, now, note=note)
        begun = queued or begun
    if not is_scheduled and begun != record.finished_ms:
        yield _span("Queued", begun, until, now)


def _runs(record: Record, now: int) -> Iterator[Step]:
    earlier, last = record.earlier_attempts, _last_start(record)
    first = record.deliveries - len(earlier) - (last is not None)
    for number, run in enumerate(earlier, first + 1):
        why = f"{_ENDINGS[run.ending]}{f': {run.why}' if run.why else ''}"
        yield Step(f"Run {number}", run.started_ms, run.ms / 1000, why, failed=True)
        following = earlier[number - first].started_ms if number - first < len(earlier) else last
        yield _span(_wait_name(run), run.ended_ms, following or record.finished_ms, now)
    if last is not None:
        yield _span(f"Run {record.deliveries}" if record.deliveries > 1 else "Run", last, record.finished_ms, now)


def _last_start(record: Record) -> int | None:
    """The start of the run that is not among the earlier ones, or None where the next is still to come."""
    waits = not record.status.done and record.status not in _UNFINISHED_RUN
    ended = record.earlier_attempts and record.earlier_attempts[-1].started_ms == record.started_ms
    return None if waits or ended else record.started_ms


def _wait_name(run: PastAttempt) -> str:
    return "Waited for its next try" if run.ending is AttemptEnd.FAILED else "Queued again"


def _end(record: Record) -> Iterator[Step]:
    if record.status is Status.RETRYING and record.due_ms:
        yield Step("Next try", record.due_ms)
    if record.status is Status.SCHEDULED and record.due_ms:
        yield Step("Due", record.due_ms)
    if record.finished_ms:
        seconds = (record.finished_ms - record.submitted_ms) / 1000
        failed = record.status is Status.FAILED
        yield Step(record.status.capitalize(), record.finished_ms, seconds, suffix="in all", failed=failed)


def _span(name: str, begun: int, ended: int | None, now: int, note: str = "") -> Step:
    """What began and ended, or goes on."""
    seconds = max(0, (ended or now) - begun) / 1000
    return Step(name, begun, seconds, note, "so far" if ended is None else "", goes_on=ended is None)

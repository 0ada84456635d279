"""Schedules: tasks that are submitted at an interval, or by a cron line.

The elected leader fires the runs that are due. It may die at any moment: a run's task and the schedule's next fire time
are stored in one step, so each run fires once as long as one worker is up. Runs missed in an outage are merged into
one. If the previous run has not ended, the new one is skipped or waits for it, as `overlap` says.
"""

import logging
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

import pydantic_core
from pydantic import TypeAdapter

from server.logs import event
from server.logs.trace import NO_TRACE, Trace
from server.sdk.registry import definition, secrets_of
from server.sdk.signature import TaskInput
from server.services.cron import Timing
from server.services.options import Options
from server.services.submit import Accepted, Submission, store_and_publish
from server.store import Store
from server.store.connection import UNREACHABLE, store_error
from server.store.errors import CAPACITY_ERRORS, CoatcheckError
from server.store.schedules import FireTime, StoredSchedule
from server.store.submit import IdempotencyKey, SubmitRequest

_BROKEN_MS = 60_000  # milliseconds before the next attempt with a schedule that cannot be read

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule. `options` are as the client sent them, `run` is the parsed form; times are in ms since 1970.

    `owner` is the owner of its tasks: the last owner that stored it. `every` counts from `created_ms`.
    """

    name: str
    owner: str
    task: str
    input: dict[str, Any]
    every: float | None
    cron: str | None
    timezone: str
    enabled: bool
    overlap: Literal["skip", "queue"]
    options: dict[str, Any]
    run: Options
    created_ms: int
    updated_ms: int
    start_ms: int | None = None
    end_ms: int | None = None
    jitter: float = 0

    @property
    def timing(self) -> Timing:
        jitter_ms = round(self.jitter * 1000)
        seed = f"{self.name} {self.created_ms}" if jitter_ms else ""
        return Timing(
            self.every, self.cron, self.timezone, self.created_ms, self.start_ms, self.end_ms, jitter_ms, seed
        )

    def next(self, after_ms: int, limit: int) -> list[int]:
        """Up to `limit` fire times after a moment; none if it is paused."""
        return list(islice(self.timing.after(after_ms), limit)) if self.enabled else []

    def validated(self, allow_private: bool) -> TaskInput:
        """Validate the input by the task type's schema; raises UnknownTaskType or InvalidInput."""
        return definition(self.task).validate_json(pydantic_core.to_json(self.input), allow_private=allow_private)


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Schedule]:
    return TypeAdapter(Schedule)


def read(stored: StoredSchedule) -> Schedule:
    return _adapter().validate_json(stored.definition)


def put(store: Store, schedule: Schedule, limit: int) -> bool:
    """Store a schedule, replacing the one with its name. Return True if there was none.

    With a limit, the owner has a maximum number and replaces only its own; 0 means no limit, for admins.

    Raises:
        TooManySchedules, ScheduleNameTaken: as in `ScheduleStore.put`.
    """
    following = next(iter(schedule.next(store.schedules.now_ms(), 1)), 0)
    definition, timing = _adapter().dump_json(schedule), schedule.timing.identity()
    return store.schedules.put(schedule.name, definition, timing, following, schedule.owner, limit)


def with_secrets(task: str, task_input: dict[str, Any], before: Schedule | None) -> dict[str, Any]:
    """Return an input with the secrets of the previous schedule, instead of their placeholders."""
    return secrets_of(task).restore(task_input, before.input) if before and before.task == task else task_input


def run_now(
    store: Store, schedule: Schedule, request_id: str, key: IdempotencyKey | None = None, trace: Trace = NO_TRACE
) -> Accepted:
    """Run a schedule once now, regardless of its timing; raises CoatcheckError as `Submission.submit`."""
    task_definition = definition(schedule.task)
    with Submission(store, task_definition, schedule.owner, request_id, schedule.run, key, trace) as submission:
        accepted = submission.submit(schedule.validated(store.settings.allow_private_addresses))
    if not (accepted.replayed or accepted.deduplicated):
        store.schedules.record_run(schedule.name, accepted.record.id)
    return accepted


def fire_due(store: Store, limit: int) -> int:
    """Fire every due run of up to `limit` schedules. Return the number of schedules."""
    now, resumed = store.schedules.now_ms(), store.schedules.resumed_at_ms()
    due_schedules = store.schedules.due(now, limit)
    for name, fire_time in due_schedules:
        due = fire_time
        while 0 < due <= now:
            due = _fire_or_miss(store, name, due, now, resumed)
    return len(due_schedules)


def _fire_or_miss(store: Store, name: str, due: int, now: int, resumed: int) -> int:
    """Fire one run, or record that it was missed. A schedule that cannot fire does not block the others."""
    following = now + _BROKEN_MS
    try:
        stored = store.schedules.get(name)
        if stored is None:
            return 0
        schedule = read(stored)
        following = next(iter(schedule.next(max(due, resumed), 1)), 0)
        _fire(store, schedule, FireTime(name, due, following, schedule.overlap))
    except UNREACHABLE:
        raise
    except Exception as error:
        refusal = store_error(error) or CoatcheckError()
        # When Redis is full, the run is retried until the next one is due.
        temporary, unexpected = isinstance(refusal, CAPACITY_ERRORS), type(refusal) is CoatcheckError
        level = logging.WARNING if temporary else logging.ERROR
        event(log, "schedule.missed", level=level, error=unexpected, schedule=name, reason=refusal.name)
        retried = temporary and following > now
        store.schedules.record_missed(name, due, due if retried else following, refusal.error_object())
        return 0
    return following


def _fire(store: Store, schedule: Schedule, fire_time: FireTime) -> None:
    request_id = f"schedule:{schedule.name}"
    with Submission(store, definition(schedule.task), schedule.owner, request_id, schedule.run) as submission:
        task = submission.prepare(schedule.validated(store.settings.allow_private_addresses))
        result = store_and_publish(store, SubmitRequest(schedule.owner, [task], fire_time=fire_time))
        if result.passed or result.existing:
            return
        if isinstance(outcome := result.outcomes[0], CoatcheckError):
            raise outcome
        submission.keep()
    late = store.clock.now_ms() - fire_time.due_ms
    event(log, "schedule.fired", schedule=schedule.name, task_id=task.id, late_ms=f"{late:.0f}")

"""Tasks that come by themselves: at an interval, or by a cron line.

The elected sweeper fires what is due. It may die at any moment: a tick's task and the schedule's next tick are stored
in one step (`submit.lua`), so a tick fires once, and while any worker lives each one does. The ticks of an outage are
one: a schedule catches up once. A tick whose earlier run still goes on is skipped, or its task waits for that run's
end, as the schedule says.
"""

import logging
import time
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

import pydantic_core
from pydantic import BaseModel, TypeAdapter

from server.connections import UNREACHABLE, store_problem
from server.errors import Problem
from server.logs import event
from server.records import IdempotencyKey, Order, Stored, Tick, timetable
from server.registry import kind
from server.submission import Accepted, Options, Submission, store_and_publish
from server.ticks import Timing

#: Statuses of problems that pass: the tick is tried again until the next one comes.
_PASSING = (429, 503)

#: Milliseconds after which a schedule is looked at again that cannot even be read.
_BROKEN_MS = 60_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    """What to run and when. `options` as they were given, `run` as they are read; times in ms since 1970.

    `owner` is who put it last: the tasks are its. `created_ms` is when it was put first: from there on `every` counts.
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

    @property
    def timing(self) -> Timing:
        """What its ticks follow from."""
        return Timing(self.every, self.cron, self.timezone, self.created_ms)

    def next(self, after_ms: int, most: int) -> list[int]:
        """Its ticks after a moment, at most so many; a paused one has none."""
        return list(islice(self.timing.after(after_ms), most)) if self.enabled else []

    def validated(self) -> BaseModel:
        """The input as its kind takes it.

        Raises:
            Problem: `unknown-kind` or `invalid-input`.
        """
        return kind(self.task).validate_json(pydantic_core.to_json(self.input))


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Schedule]:
    return TypeAdapter(Schedule)


def read(stored: Stored) -> Schedule:
    """The schedule in what is stored of it."""
    return _adapter().validate_json(stored.definition)


def put(schedule: Schedule) -> bool:
    """Store a schedule, in place of the one of its name; True where there was none."""
    following = next(iter(schedule.next(timetable().now_ms(), 1)), 0)
    return timetable().put(schedule.name, _adapter().dump_json(schedule), repr(schedule.timing), following)


def run_now(schedule: Schedule, request_id: str, key: IdempotencyKey | None = None) -> Accepted:
    """Run it once more, whatever its timing says.

    Raises:
        Problem: as `Submission.submit`, or `unknown-kind` or `invalid-input` where its kind is another by now.
    """
    with Submission(kind(schedule.task), schedule.owner, request_id, schedule.run, key) as submission:
        accepted = submission.submit(schedule.validated())
    if not accepted.replayed:
        timetable().note_run(schedule.name, accepted.record.id)
    return accepted


def fire_due(most: int) -> None:
    """Fire every tick that is due, of `most` schedules at the most."""
    now, back = timetable().now_ms(), timetable().came_back_ms()
    for name, tick in timetable().due(now, most):
        due = tick
        while 0 < due <= now:
            due = _fire_or_miss(name, due, now, back)


def _fire_or_miss(name: str, due: int, now: int, back: int) -> int:
    """The schedule's next tick, 0 for none; one schedule that cannot fire does not keep the others from it."""
    following = now + _BROKEN_MS
    try:
        stored = timetable().get(name)
        if stored is None:
            return 0
        schedule = read(stored)
        following = next(iter(schedule.next(max(due, back), 1)), 0)
        _fire(schedule, Tick(name, due, following, schedule.overlap))
    except UNREACHABLE:
        raise
    except Exception as error:
        problem = error if isinstance(error, Problem) else store_problem(error) or Problem("internal-error")
        passing = problem.kind.status in _PASSING
        level = logging.WARNING if passing else logging.ERROR
        broken = problem.name == "internal-error"
        event(log, "schedule.missed", level=level, error=broken, schedule=name, why=problem.name)
        stays = passing and following > now
        timetable().miss(name, due, due if stays else following, problem.body())
        return 0
    return following


def _fire(schedule: Schedule, tick: Tick) -> None:
    request_id = f"schedule:{schedule.name}"
    with Submission(kind(schedule.task), schedule.owner, request_id, schedule.run) as submission:
        task = submission.prepare(schedule.validated())
        receipt = store_and_publish(Order(schedule.owner, [task], tick=tick))
        if receipt.passed:
            return
        if isinstance(outcome := receipt.outcomes[0], Problem):
            raise outcome
        submission.keep()
    late = time.time() * 1000 - tick.due_ms
    event(log, "schedule.fired", schedule=schedule.name, task_id=task.id, late_ms=f"{late:.0f}")

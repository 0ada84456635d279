"""Schedules in Redis; a run that a client started has the fire time 0.

`submit_tasks.lua` advances a schedule in the step that stores the task, so that each fire time fires once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.store.errors import ScheduleNameTaken, TooManySchedules
from server.store.lua import Scripts, ids_of

#: Results of `put_schedule.lua`, in addition to 0 and 1.
_TOO_MANY, _NAME_IN_USE = -1, -2

NAME_TAKEN = "Another owner has a schedule of this name. Choose another name."

#: Maximum number of recorded runs per schedule.
MAX_RUNS = 10


@dataclass(frozen=True, slots=True)
class FireTime:
    """A schedule's due fire time, the next one (0: none), and the action while an earlier run is unfinished."""

    schedule: str
    due_ms: int
    next_ms: int
    overlap: str


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """A stored schedule: `runs` are task ids with their fire times, newest first."""

    definition: bytes
    skipped: int
    error: dict[str, Any] | None
    runs: list[tuple[str, int]]


class ScheduleStore(Scripts):
    """Reads and writes schedules and their fire times."""

    def names(self, owner: str | None = None) -> list[str]:
        """Return all names in order, or those of one owner."""
        key = self.keys.schedules if owner is None else self.keys.schedules_of(owner)
        return sorted(ids_of(self.redis.smembers(key)))

    def get(self, name: str) -> StoredSchedule | None:
        """Return a schedule, or None."""
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(self.keys.schedule(name)).lrange(self.keys.schedule_runs(name), 0, MAX_RUNS - 1)
            fields, runs = pipe.execute()
        if b"definition" not in fields:
            return None
        error = json.loads(fields[b"error"]) if b"error" in fields else None
        skipped = int(fields.get(b"skipped", 0))
        return StoredSchedule(fields[b"definition"], skipped, error, [_run(line) for line in runs])

    def put(self, name: str, definition: bytes, timing: str, next_ms: int, owner: str, limit: int) -> bool:
        """Store a schedule and return whether it is new. An owner with a limit replaces only its own.

        Raises:
            TooManySchedules, ScheduleNameTaken: the limit is reached, or the schedule is another owner's.
        """
        outcome = int(self._call("put_schedule", name, definition, timing, next_ms, owner, limit))
        if outcome == _TOO_MANY:
            raise TooManySchedules(f"You have {limit} schedules, which is the limit. Delete one first.")
        if outcome == _NAME_IN_USE:
            raise ScheduleNameTaken(NAME_TAKEN)
        return bool(outcome)

    def delete(self, name: str) -> bool:
        """Delete a schedule; its tasks are kept. Return False if it does not exist."""
        owner = (self.redis.hget(self.keys.schedule(name), "owner") or b"").decode()
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.srem(self.keys.schedules, name).srem(self.keys.schedules_of(owner), name)
            pipe.zrem(self.keys.fire_times, name)
            pipe.delete(self.keys.schedule(name), self.keys.schedule_runs(name))
            return bool(pipe.execute()[0])

    def due(self, now_ms: int, limit: int) -> list[tuple[str, int]]:
        """Return the schedules with a due fire time, and that time."""
        due = self.redis.zrangebyscore(self.keys.fire_times, 0, now_ms, 0, limit, withscores=True)
        return [(name.decode(), int(due_ms)) for name, due_ms in due]

    def resumed_at_ms(self) -> int:
        """Return when workers resumed after the last outage of all workers or of Redis; 0 if there was none."""
        return int(self.redis.get(self.keys.resumed_at) or 0)

    def record_missed(self, name: str, due_ms: int, next_ms: int, error: Mapping[str, Any]) -> None:
        """Record a fire time that could not fire; the schedule continues with another, or retries the same one."""
        self._call("record_missed_fire", name, due_ms, next_ms, json.dumps(error))

    def record_run(self, name: str, task_id: str) -> None:
        """Record a run that a client started."""
        key, line = self.keys.schedule_runs(name), f"{task_id} 0"
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.lrem(key, 0, line).lpush(key, line).ltrim(key, 0, MAX_RUNS - 1).execute()


def _run(line: bytes) -> tuple[str, int]:
    task_id, fire_time = line.decode().split()
    return task_id, int(fire_time)

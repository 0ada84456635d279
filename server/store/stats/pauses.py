"""Pauses of queues and task types: nothing more of them starts, until they are resumed.

They are stored in Redis, and checked by the scripts that fetch and claim tasks.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from server.store.lua import Scripts

#: Seconds for which a process caches the pauses: reads of tasks say that they are paused up to this late.
CACHE_SECONDS = 1.0

PauseScope = Literal["queue", "task"]


@dataclass(frozen=True, slots=True)
class Pause:
    """When a queue or a task type was paused (milliseconds since 1970), and by which owner."""

    at_ms: int
    by: str


class Pauses(Scripts):
    """Pauses and resumes queues and task types."""

    _recent: Mapping[tuple[str, str], Pause] = {}
    _read_at = -CACHE_SECONDS

    def pause(self, scope: PauseScope, name: str, by: str) -> bool:
        """Let nothing more start. Return False if it is paused already."""
        changed = bool(self._call("pause", scope, name, by))
        self.all()
        return changed

    def resume(self, scope: PauseScope, name: str) -> bool:
        """Let tasks start again. Return False if it is not paused."""
        changed = bool(self._call("resume", scope, name))
        self.all()
        return changed

    def all(self) -> Mapping[tuple[str, str], Pause]:
        """Return all pauses, by scope and name."""
        pauses = {}
        for field, value in self.redis.hgetall(self.keys.pauses).items():
            scope, _, name = field.decode().partition(":")
            at_ms, _, by = value.decode().partition(" ")
            pauses[scope, name] = Pause(int(at_ms), by)
        self._recent, self._read_at = pauses, time.monotonic()
        return pauses

    def cover(self, queue: str, task_type: str) -> bool:
        """Return whether a task of this queue and type cannot start, by pauses that were read at most a second ago."""
        recent = self._recent if time.monotonic() - self._read_at < CACHE_SECONDS else self.all()
        return bool(recent) and (("queue", queue) in recent or ("task", task_type) in recent)

"""Figures: counters since ever, and what is going on now. All lie in Redis, so no restart forgets them."""

import time
from dataclasses import dataclass, field
from functools import lru_cache

from server.connections import client
from server.records.record import PRIORITIES
from server.records.scripts import Scripts
from server.settings import settings

#: Seconds for which a process trusts the pace that it has read: polls that follow one another ask once.
PACE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast queues move: how many tasks the living workers run at once, how many run, and how long runs take."""

    slots: int = 0
    running: int = 0
    #: Seconds by kind, as a moving average of its last runs.
    recent: dict[str, float] = field(default_factory=dict)

    def seconds_to_start(self, kind: str, position: int) -> float:
        """When a task at this place in the queue is likely to start, if those ahead are of its kind."""
        must_end = position - max(0, self.slots - self.running)
        return max(0, must_end) * self.recent.get(kind, 1.0) / max(1, self.slots)


class Figures(Scripts):
    """Reads and counts."""

    _pace = Pace()
    _pace_read_at = -PACE_SECONDS

    def statistics(self) -> dict[str, int]:
        """Counters since ever, by name: `<kind>:<status>`, `<kind>:submitted`, `<kind>:ms`, `sweeper:<finding>`."""
        return {name.decode(): int(value) for name, value in self.redis.hgetall("stats").items()}

    def count(self, name: str, number: int = 1) -> None:
        """Add to a counter."""
        self._call("count", name, number)

    def pace(self) -> Pace:
        """How fast queues move, as it was two seconds ago at most."""
        if time.monotonic() - self._pace_read_at >= PACE_SECONDS:
            slots, running, recent = self._call("pace")
            seconds = {kind.decode(): int(ms) / 1000 for kind, ms in zip(recent[::2], recent[1::2], strict=True)}
            self._pace, self._pace_read_at = Pace(slots, running, seconds), time.monotonic()
        return self._pace

    def waiting(self, queue: str) -> int:
        """How many tasks are queued."""
        return int(self.redis.zcard(f"queued:{queue}"))

    def oldest(self, queue: str) -> float | None:
        """Seconds that the longest waiting task of a queue has waited, or None."""
        now, ages = time.time() * 1000, []
        for rank in range(len(PRIORITIES)):
            first = self.redis.zrangebyscore(f"queued:{queue}", rank * 1e13, rank * 1e13 + 9e12, 0, 1, withscores=True)
            ages += [(now - (score - rank * 1e13)) / 1000 for _, score in first]
        return max(ages, default=None)

    def running(self) -> int:
        """How many tasks are held by workers."""
        return int(self.redis.zcard("leases"))


@lru_cache(maxsize=1)
def figures() -> Figures:
    """The process's figures."""
    return Figures(client(), settings())

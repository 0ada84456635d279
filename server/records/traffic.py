"""What has ended in the last hour and day, how long it ran, and what waits and runs now. All lies in Redis.

A hash for each hour counts the ends of each minute, queue and status, and the run times of each kind in buckets (see
`_lib.lua`): one or two increments a task, and 25 hashes to read for a day. They go by themselves after it.
"""

import time
from dataclasses import dataclass, field
from functools import lru_cache

from server.connections import client
from server.records.scripts import Scripts, ids_of
from server.records.states import Status
from server.settings import settings

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

#: Minutes of a step of the last day.
DAY_STEP = 15

#: Buckets for each doubling of the run time, as `_lib.lua` makes them.
_BUCKETS = 4

ENDS = tuple(status for status in Status if status.done)


@dataclass(frozen=True, slots=True)
class Ends:
    """How many tasks of a queue ended in each minute of the last day, oldest first, by status."""

    minutes: dict[Status, list[int]] = field(
        default_factory=lambda: {status: [0] * (_DAY // _MINUTE) for status in ENDS}
    )

    def last_hour(self, status: Status) -> list[int]:
        """Minute by minute."""
        return self.minutes[status][-60:]

    def last_day(self, status: Status) -> list[int]:
        """By steps of a quarter of an hour."""
        counts = self.minutes[status]
        return [sum(counts[at : at + DAY_STEP]) for at in range(0, len(counts), DAY_STEP)]


@dataclass(frozen=True, slots=True)
class Traffic:
    """The last day: ends by queue, and run times (how many by bucket) by kind of task."""

    ends: dict[str, Ends]
    runs: dict[str, dict[int, int]]

    def percentile(self, kind: str, share: float) -> float | None:
        """Seconds within which this share of the successful runs ended, to a fifth; None where there were none."""
        buckets = self.runs.get(kind, {})
        wanted = share * sum(buckets.values())
        for bucket in sorted(buckets):
            wanted -= buckets[bucket]
            if wanted <= 0:
                return round(2 ** (bucket / _BUCKETS) / 1000, 3)
        return None

    def count(self, kind: str) -> int:
        """How many runs of this kind succeeded."""
        return sum(self.runs.get(kind, {}).values())


class TrafficReader(Scripts):
    """Reads the hours, and what runs."""

    def last_day(self) -> Traffic:
        """What ended up to now."""
        now = int(time.time()) // _MINUTE
        hours = range(now // 60 - 24, now // 60 + 1)
        with self.redis.pipeline(transaction=False) as pipe:
            for hour in hours:
                pipe.hgetall(f"hour:{hour}")
            found = zip(hours, pipe.execute(), strict=True)
        traffic = Traffic({}, {})
        for hour, counts in found:
            for name, count in counts.items():
                _add(traffic, name.decode(), int(count), hour * 60, now)
        return traffic

    def running(self) -> dict[str, int]:
        """How many tasks run, by queue. Workers hold a few each, so this reads no more than that."""
        held = ids_of(self.redis.zrange("leases", 0, -1))
        with self.redis.pipeline(transaction=False) as pipe:
            for task_id in held:
                pipe.hget(f"t:{task_id}", "q")
            queues = [queue.decode() for queue in pipe.execute() if queue]
        return {queue: queues.count(queue) for queue in set(queues)}


def _add(traffic: Traffic, name: str, count: int, first_minute: int, now: int) -> None:
    """One counter of an hour's hash. A queue and a kind have no colon in their names."""
    first, middle, last = name.split(":")
    if first == "run":
        buckets = traffic.runs.setdefault(middle, {})
        buckets[int(last)] = buckets.get(int(last), 0) + count
        return
    ago = now - (first_minute + int(first))
    if 0 <= ago < _DAY // _MINUTE:
        traffic.ends.setdefault(middle, Ends()).minutes[Status(last)][-1 - ago] += count


@lru_cache(maxsize=1)
def traffic() -> TrafficReader:
    """The process's reader."""
    return TrafficReader(client(), settings())

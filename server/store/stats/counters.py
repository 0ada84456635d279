"""Queues, counters, throughput, histograms and hourly statistics. Redis keeps all of them, so no restart resets them.

A hash for each hour counts the ends of each minute, queue and status, and the run times of each task type in buckets
(see `lua/lib/statistics.lua`): one or two increments a task, and 25 hashes to read for a day. Redis expires them.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import Any

from server.store.lua import HISTOGRAM_MS, Scripts, ids_of
from server.store.record import PRIORITIES, Status

#: Seconds for which a process caches the throughput: consecutive polls read it once.
THROUGHPUT_SECONDS = 2.0

#: Seconds for which a queue is read that no task type uses anymore. A delayed task may still be for it.
MAX_QUEUE_AGE = 366 * 86_400

#: Seconds without a task of an unknown type after which its time begins anew; more than the longest deferral.
FORGET_UNREGISTERED = 1_800


@dataclass(frozen=True, slots=True)
class Throughput:
    """The speed of the queues: tasks that living workers can run at the same time, running tasks, and run times."""

    slots: int = 0
    running: int = 0
    #: Seconds by task type, as a moving average of recent runs.
    recent: dict[str, float] = field(default_factory=dict)

    def seconds_to_start(self, task_type: str, position: int) -> float:
        """Estimate when a task at this position starts, if the tasks before it are of this type."""
        must_end = position - max(0, self.slots - self.running)
        return max(0, must_end) * self.recent.get(task_type, 1.0) / max(1, self.slots)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations of one task type: how many were within each bound, and their sum."""

    counts: tuple[int, ...] = (0,) * (len(HISTOGRAM_MS) + 1)
    total_ms: int = 0

    def buckets(self) -> list[tuple[str, float]]:
        """Return the upper bounds in seconds, and the number of durations up to each."""
        bounds = [*(f"{ms / 1000:g}" for ms in HISTOGRAM_MS), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self.counts)), strict=True))


@dataclass(frozen=True, slots=True)
class RedisUsage:
    """Memory and connections of Redis. A limit of 0 means that there is none, or that Redis does not tell it."""

    memory_bytes: int
    memory_limit: int
    connections: int
    connections_limit: int


class Counters(Scripts):
    """Reads and increments counters, and reads Redis's usage."""

    _throughput = Throughput()
    _throughput_read_at = -THROUGHPUT_SECONDS

    def statistics(self) -> dict[str, int]:
        """Return counters by name: `<type>:<status>`, `<type>:submitted`, `recovery:<finding>`, `webhook:<outcome>`."""
        return self.read(self.keys.stats)

    def read(self, key: str) -> dict[str, int]:
        """Return the counters of a hash."""
        return {name.decode(): int(value) for name, value in self.redis.hgetall(key).items()}

    def count(self, name: str, number: int = 1) -> None:
        """Add to one of the counters since the first start."""
        self.add(self.keys.stats, {name: number})

    def add(self, key: str, numbers: Mapping[str, int | str]) -> None:
        """Add to counters of a hash; `now` sets a field to the time in ms."""
        self._call("add_to_counters", key, *chain.from_iterable(numbers.items()))

    def throughput(self) -> Throughput:
        """Return the throughput, at most two seconds old."""
        if time.monotonic() - self._throughput_read_at >= THROUGHPUT_SECONDS:
            slots, running, recent = self._call("get_throughput")
            seconds = {
                task_type.decode(): int(ms) / 1000 for task_type, ms in zip(recent[::2], recent[1::2], strict=True)
            }
            self._throughput, self._throughput_read_at = Throughput(slots, running, seconds), time.monotonic()
        return self._throughput

    def latency(self, queue: str) -> float:
        """Seconds that the oldest task of a queue that could run has waited; 0 where none waits."""
        now, ages = self.now_ms(), []
        for rank in range(len(PRIORITIES)):
            first = self.redis.zrangebyscore(
                self.keys.queued(queue), rank * 1e13, rank * 1e13 + 9e12, 0, 1, withscores=True
            )
            ages += [(now - (score - rank * 1e13)) / 1000 for _, score in first]
        return max(0.0, *ages) if ages else 0.0

    def running(self) -> int:
        return int(self.redis.zcard(self.keys.leases))

    def histograms(self) -> dict[tuple[str, str], Histogram]:
        """Return the histograms by `wait` or `run`, and task type."""
        by_series: dict[tuple[str, str], dict[str, int]] = {}
        for name, number in self.read(self.keys.histograms).items():
            measure, task_type, part = name.split(":")
            by_series.setdefault((measure, task_type), {})[part] = number
        sizes = range(1, len(HISTOGRAM_MS) + 2)
        return {
            series: Histogram(tuple(parts.get(str(bucket), 0) for bucket in sizes), parts.get("ms", 0))
            for series, parts in by_series.items()
        }

    def redis_usage(self) -> RedisUsage:
        """Return the memory and connections in use."""
        with self.redis.pipeline(transaction=False) as pipe:
            memory, clients = pipe.info("memory").info("clients").execute()
        return RedisUsage(
            memory.get("used_memory", 0),
            memory.get("maxmemory", 0),
            clients.get("connected_clients", 0),
            clients.get("maxclients", 0),
        )

    def stored_bytes(self) -> int:
        """Return the bytes of the inputs, uploads and outputs of all owners, as their quotas count them."""
        return sum(self.read(self.keys.bytes_held).values())


_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

#: Minutes per step of the last day.
DAY_STEP = 15

#: Number of buckets for each doubling of the run time, as in `lua/lib/statistics.lua`.
_BUCKETS = 4

ENDS = tuple(status for status in Status if status.done)


@dataclass(frozen=True, slots=True)
class Ends:
    """The tasks of a queue that ended in each minute of the last day, oldest first, by status."""

    minutes: dict[Status, list[int]] = field(
        default_factory=lambda: {status: [0] * (_DAY // _MINUTE) for status in ENDS}
    )

    def last_hour(self, status: Status) -> list[int]:
        """Return the counts of the last hour by minute."""
        return self.minutes[status][-60:]

    def last_day(self, status: Status) -> list[int]:
        """Return the counts of the last day by quarter of an hour."""
        counts = self.minutes[status]
        return [sum(counts[at : at + DAY_STEP]) for at in range(0, len(counts), DAY_STEP)]


@dataclass(frozen=True, slots=True)
class DayStats:
    """The last day: ended tasks by queue, and run times (counts by bucket) by task type."""

    ends: dict[str, Ends]
    runs: dict[str, dict[int, int]]

    def percentile(self, task_type: str, share: float) -> float | None:
        """Return the seconds within which this share of successful attempts ended, to a fifth; None without any."""
        buckets = self.runs.get(task_type, {})
        wanted = share * sum(buckets.values())
        for bucket in sorted(buckets):
            wanted -= buckets[bucket]
            if wanted <= 0:
                return round(2 ** (bucket / _BUCKETS) / 1000, 3)
        return None

    def count(self, task_type: str) -> int:
        """Count the successful attempts of this task type."""
        return sum(self.runs.get(task_type, {}).values())


class HourlyStats(Scripts):
    """Reads the hours, and the running tasks."""

    def last_day(self) -> DayStats:
        """Return the statistics up to now."""
        now = self.now_ms() // 1000 // _MINUTE
        hours = range(now // 60 - 24, now // 60 + 1)
        stats = DayStats({}, {})
        for hour, counts in zip(hours, self._each("hgetall", map(self.keys.hour, hours)), strict=True):
            for name, count in counts.items():
                _add(stats, name.decode(), int(count), hour * 60, now)
        return stats

    def running(self) -> dict[str, int]:
        """Count the running tasks by queue. A worker runs few tasks at a time, so this read is small."""
        ids = ids_of(self.redis.zrange(self.keys.leases, 0, -1))
        return Counter(queue.decode() for queue in self._each("hget", map(self.keys.task, ids), "q") if queue)


def _add(stats: DayStats, name: str, count: int, first_minute: int, now: int) -> None:
    """Add one counter of an hour's hash. Names of queues and task types contain no colon."""
    first, middle, last = name.split(":")
    if first == "run":
        buckets = stats.runs.setdefault(middle, {})
        buckets[int(last)] = buckets.get(int(last), 0) + count
        return
    ago = now - (first_minute + int(first))
    if 0 <= ago < _DAY // _MINUTE:
        stats.ends.setdefault(middle, Ends()).minutes[Status(last)][-1 - ago] += count


class Queues(Scripts):
    """Queues in use, and task types that no worker knows: both change with a deploy."""

    def note(self, names: Iterable[str]) -> None:
        """Record that these queues are in use, and forget those that have not been in use for long."""
        now = self.now_ms() / 1000
        key = self.keys.queues
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.zadd(key, dict.fromkeys(names, now)).zremrangebyscore(key, 0, now - MAX_QUEUE_AGE).execute()

    def names(self) -> list[str]:
        """All queues that a worker has used in the last year."""
        return ids_of(self.redis.zrange(self.keys.queues, 0, -1))

    def waiting(self, names: Sequence[str]) -> dict[str, int]:
        """Count the tasks that wait in each queue, with the throttled ones."""
        keys = (key(name) for name in names for key in (self.keys.queued, self.keys.throttled_in))
        counts = iter(self._each("zcard", keys))
        return {name: next(counts) + next(counts) for name in names}

    def unattended(self, workers: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        """The queues that have tasks and that none of these workers reads, with the number of tasks."""
        idle = [name for name in self.names() if not any(reads(worker, name) for worker in workers)]
        return {name: count for name, count in self.waiting(idle).items() if count}

    def unregistered_seconds(self, task_type: str, workers: Sequence[Mapping[str, Any]]) -> float | None:
        """Seconds since a task was first met whose type no worker knows; None if one of these workers knows it."""
        key = self.keys.unregistered(task_type)
        if any(task_type in worker.get("tasks", ()) for worker in workers):
            self.redis.delete(key)
            return None
        now = self.now_ms()
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.set(key, now, nx=True).expire(key, FORGET_UNREGISTERED)
            since = pipe.get(key).execute()[-1]
        return (now - int(since)) / 1000


def reads(worker: Mapping[str, Any], queue: str) -> bool:
    """Whether a worker reads a queue, by its card. A card without a list of queues is a worker's that reads all."""
    return queue in worker.get("queues", (queue,))

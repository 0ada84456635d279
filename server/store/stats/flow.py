"""Arrivals, starts, waits and ends by task type and by owner, over an hour, a day and a week.

`lua/lib/statistics.lua` counts by steps of five minutes. The first event of an hour sums up those before: their steps
are kept for a day more, the sums for a week. Past a limit of names in an hour, further ones are counted as `OTHERS`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from server.store.lua import Scripts

#: The name for all owners or task types beyond the limit.
OTHERS = "*"

#: Seconds of the shortest step.
_STEP = 300

#: Counters of waits, and the bucket of the shortest ones.
_WAITED, _FIRST_BUCKET = "waited_", 5

_Counter = tuple[int, str, int]


class Range(StrEnum):
    """A time range to look back."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


#: Seconds per step, and number of steps.
STEPS = {Range.HOUR: (300, 12), Range.DAY: (900, 96), Range.WEEK: (7200, 84)}


def percentile(waits: Counter[int], share: float) -> float | None:
    """Estimate the seconds that this share of the waits did not exceed; None without waits."""
    rank = share * waits.total()
    for bucket in sorted(waits):
        if 0 < rank <= waits[bucket]:
            low = 0 if bucket == _FIRST_BUCKET else 1 << bucket - 1
            return (low + ((1 << bucket) - low) * rank / waits[bucket]) / 1000
        rank -= waits[bucket]
    return None


@dataclass(frozen=True, slots=True)
class Flow:
    """Counts by step, oldest first, by name; the last step is incomplete."""

    steps: int
    counts: dict[str, list[int]] = field(default_factory=dict)

    def of(self, counter: str) -> list[int]:
        """`arrived`, or the status in which tasks ended."""
        return self.counts.get(counter, [0] * self.steps)

    def total(self, counter: str) -> int:
        """Return the sum of all steps."""
        return sum(self.counts.get(counter, ()))

    def add(self, counter: str, step: int, number: int) -> None:
        """Add a number to a step."""
        self.counts.setdefault(counter, [0] * self.steps)[step] += number

    def waits(self) -> list[Counter[int]]:
        """Count the started tasks of each step by the bucket of their wait: bucket n is up to 2^n ms."""
        by_step: list[Counter[int]] = [Counter() for _ in range(self.steps)]
        for counter, numbers in self.counts.items():
            if counter.startswith(_WAITED):
                bucket = int(counter.removeprefix(_WAITED))
                for waits, number in zip(by_step, numbers, strict=True):
                    waits[bucket] = number
        return by_step

    def wait(self, share: float) -> float | None:
        """Return the percentile of the waits of all started tasks, in seconds."""
        return percentile(sum(self.waits(), Counter()), share)


@dataclass(frozen=True, slots=True)
class Flows:
    """The flow of each task type and of each owner."""

    range: Range
    by_type: dict[str, Flow]
    by_owner: dict[str, Flow]

    def of_types(self, names: Iterable[str] | None = None) -> Flow:
        """Return the sum of these task types, or of all."""
        flow = Flow(STEPS[self.range][1])
        for name in self.by_type if names is None else set(names) & set(self.by_type):
            for counter, numbers in self.by_type[name].counts.items():
                for step, number in enumerate(numbers):
                    flow.add(counter, step, number)
        return flow

    def of_owner(self, name: str) -> Flow:
        return self.by_owner.get(name, Flow(STEPS[self.range][1]))


class FlowStats(Scripts):
    """Reads the hourly counters of types and owners."""

    def read(self, span: Range) -> Flows:
        """Return the flow up to now: reads 2, 25 or 169 hashes."""
        seconds, steps = STEPS[span]
        last = self.now_ms() // 1000 // seconds
        first = last - steps + 1
        hours = range(first * seconds // 3600, -(-(last + 1) * seconds // 3600))
        flows = Flows(span, {}, {})
        for at, name, number in self._week(hours) if span is Range.WEEK else self._steps(hours):
            step = at // seconds - first
            if 0 <= step < steps:
                group, rest = name.split(":", 1)
                owner_or_type, _, counter = rest.rpartition(":")
                by_name = flows.by_type if group == "t" else flows.by_owner
                by_name.setdefault(owner_or_type, Flow(steps)).add(counter, step, number)
        return flows

    def _steps(self, hours: Iterable[int]) -> Iterator[_Counter]:
        """Yield each counter of five minutes: its beginning, `<t or o>:<name>:<counter>`, and its number."""
        for hour, counts in self._hashes(self.keys.flow, hours):
            for name, number in counts.items():
                step, _, rest = name.decode().partition(":")
                yield hour * 3600 + int(step) * _STEP, rest, int(number)

    def _week(self, hours: Iterable[int]) -> Iterator[_Counter]:
        """Yield each counter of an hour; where it has not been summed up, those of five minutes."""
        open_hours = []
        for hour, counts in self._hashes(self.keys.week, hours):
            if not counts:
                open_hours.append(hour)
            for name, number in counts.items():
                yield hour * 3600, name.decode(), int(number)
        yield from self._steps(open_hours)

    def _hashes(self, key: Callable[[int], str], hours: Iterable[int]) -> Iterator[tuple[int, dict[bytes, bytes]]]:
        numbers = list(hours)
        yield from zip(numbers, self._each("hgetall", map(key, numbers)), strict=True)

    def unfinished_by_owner(self, limit: int = 2_000) -> dict[str, int]:
        """Count the unfinished tasks of up to `limit` owners who have any."""
        counts: dict[str, int] = {}
        for owner, number in self.redis.hscan_iter(self.keys.unfinished, count=500):
            counts[owner.decode()] = int(number)
            if len(counts) >= limit:
                break
        return counts

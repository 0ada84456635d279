"""Wait and run times by task type, in the buckets of a Prometheus histogram; `lua/lib/statistics.lua` counts them."""

from dataclasses import dataclass
from itertools import accumulate

from server.store.lua import HISTOGRAM_MS, Scripts


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations of one task type: how many were within each bound, and their sum."""

    counts: tuple[int, ...] = (0,) * (len(HISTOGRAM_MS) + 1)
    total_ms: int = 0

    def buckets(self) -> list[tuple[str, float]]:
        """Return the upper bounds in seconds, and how many durations were at most as long."""
        bounds = [*(f"{ms / 1000:g}" for ms in HISTOGRAM_MS), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self.counts)), strict=True))


class Histograms(Scripts):
    """Reads the histograms."""

    def read(self) -> dict[tuple[str, str], Histogram]:
        """Return the histograms by `wait` or `run`, and task type."""
        found: dict[tuple[str, str], dict[str, int]] = {}
        for field, number in self.redis.hgetall(self.keys.histograms).items():
            what, task_type, part = field.decode().split(":")
            found.setdefault((what, task_type), {})[part] = int(number)
        sizes = range(1, len(HISTOGRAM_MS) + 2)
        return {
            name: Histogram(tuple(parts.get(str(bucket), 0) for bucket in sizes), parts.get("ms", 0))
            for name, parts in found.items()
        }

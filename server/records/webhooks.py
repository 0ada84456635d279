"""Webhooks that are still to be delivered: a sorted set of task ids by the time when each is due.

The script that ends a task puts it there, so no crash comes between an end and its webhook. The tries that were made
lie in the record and go with it.
"""

import json
from dataclasses import asdict, dataclass
from functools import lru_cache

from server.connections import client
from server.records.scripts import Scripts
from server.settings import settings

#: Seconds for which a delivery has a webhook to itself; longer than one try may take.
LEASE = 30


@dataclass(frozen=True, slots=True)
class Try:
    """One delivery: when it began (ms since 1970), how long it took, and the HTTP status or why there is none."""

    at: int
    ms: int
    status: int | None = None
    reason: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status <= 299

    @property
    def last(self) -> bool:
        """Whether nothing is tried after it: the receiver has it, or wants no more (410)."""
        return self.succeeded or self.status == 410


class Webhooks(Scripts):
    """Which are due, who delivers them, what came of it."""

    def due(self) -> int:
        """How many are due now."""
        return int(self.redis.zcount("webhooks", 0, self.now_ms()))

    def take(self) -> tuple[str, int] | None:
        """A webhook that is due and its lease, or None."""
        lease, *ids = self._call("take", "webhooks", 1, LEASE * 1000)
        return (ids[0].decode(), int(lease)) if ids else None

    def note(self, task_id: str, lease: int, tries: list[Try], wait_seconds: float | None) -> bool:
        """Keep the tries of a webhook that was taken, and when the next is due (None: never).

        False where the lease has run out or the record has gone: the try does not count.
        """
        wait = "" if wait_seconds is None else int(wait_seconds * 1000)
        kept = json.dumps([asdict(each) for each in tries], separators=(",", ":"))
        return bool(self._call("webhooks_note", task_id, lease, kept, wait))

    def tries(self, task_id: str) -> list[Try]:
        """The tries so far, oldest first."""
        kept = self.redis.hget(f"t:{task_id}", "wt")
        return [Try(**each) for each in json.loads(kept)] if kept else []

    def next_ms(self, task_id: str) -> int | None:
        """When the next try is due, in ms since 1970; None where none is."""
        score = self.redis.zscore("webhooks", task_id)
        return None if score is None else int(score)


@lru_cache(maxsize=1)
def webhooks() -> Webhooks:
    """The process's view of the webhooks."""
    return Webhooks(client(), settings())

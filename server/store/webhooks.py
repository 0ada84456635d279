"""Webhooks that are still to be delivered, and the secrets that sign them.

The due webhooks are a sorted set of task ids by time. The script that ends a task adds it, so that no crash comes
between an end and its webhook. The attempts are stored in the record and are deleted with it.
"""

import base64
import json
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from server.store.lua import Scripts

#: Seconds for which a delivery has a webhook to itself; longer than one try may take.
LEASE = 30


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
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
        return int(self.redis.zcount(self.keys.webhooks, 0, self.now_ms()))

    def lease_due(self) -> tuple[str, int] | None:
        """A webhook that is due and its lease, or None."""
        lease, *ids = self._call("lease_webhooks", 1, LEASE * 1000)
        return (ids[0].decode(), int(lease)) if ids else None

    def record_attempts(
        self, task_id: str, lease: int, tries: list[DeliveryAttempt], wait_seconds: float | None
    ) -> bool:
        """Keep the tries of a webhook that was taken, and when the next is due (None: never).

        False where the lease has run out or the record has gone: the try does not count.
        """
        wait = "" if wait_seconds is None else int(wait_seconds * 1000)
        kept = json.dumps([asdict(each) for each in tries], separators=(",", ":"))
        return bool(self._call("record_webhook_attempts", task_id, lease, kept, wait))

    def attempts(self, task_id: str) -> list[DeliveryAttempt]:
        """The tries so far, oldest first."""
        kept = self.redis.hget(self.keys.task(task_id), "wt")
        return [DeliveryAttempt(**each) for each in json.loads(kept)] if kept else []

    def next_ms(self, task_id: str) -> int | None:
        """When the next try is due, in ms since 1970; None where none is."""
        score = self.redis.zscore(self.keys.webhooks, task_id)
        return None if score is None else int(score)


PREFIX = "whsec_"

#: Seconds for which the secret before a rotation still signs.
OVERLAP = 86_400

_BYTES = 32  # Standard Webhooks 1.0.0: 24 to 64


class WebhookSecrets(Scripts):
    """The secrets that webhooks are signed with: a hash for each owner, made on first use.

    After a rotation the previous secret signs too, for a day: a receiver has that long to learn the new one. A second
    rotation within the day drops the oldest immediately, which is how to get rid of a leaked secret.
    """

    def current(self, owner: str) -> str:
        """The owner's secret; it is made where there is none."""
        return self.signing(owner)[0]

    def signing(self, owner: str) -> list[str]:
        """The secrets to sign with: the owner's, and the one before while it still holds."""
        if not self.redis.hexists(self._key(owner), "current"):  # looked at first: a full Redis takes nothing more
            self.redis.hsetnx(self._key(owner), "current", _make())
        current, previous, until = self.redis.hmget(self._key(owner), "current", "previous", "until")
        holds = previous is not None and float(until) > self._now()
        return [current.decode(), previous.decode()] if holds else [current.decode()]

    def rotate(self, owner: str) -> str:
        """Make a new secret; the current one signs for `OVERLAP` seconds more."""
        made = _make()

        def change(pipe: Any) -> None:
            current = pipe.hget(self._key(owner), "current")
            pipe.multi()
            pipe.hset(self._key(owner), "current", made)
            if current is not None:
                pipe.hset(self._key(owner), mapping={"previous": current, "until": int(self._now()) + OVERLAP})

        self.redis.transaction(change, self._key(owner))
        return made

    def previous_until(self, owner: str) -> int | None:
        """Until when the secret before signs too, in seconds since 1970; None where it does not."""
        until = self.redis.hget(self._key(owner), "until")
        return int(until) if until is not None and int(until) > self._now() else None

    def _now(self) -> float:
        return self.now_ms() / 1000

    def _key(self, owner: str) -> str:
        return self.keys.webhook_secret(owner)


def raw(secret: str) -> bytes:
    """The bytes that a secret stands for."""
    return base64.b64decode(secret.removeprefix(PREFIX))


def _make() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def _key(owner: str) -> str:
    return f"webhook-secret:{owner}"

"""Undelivered webhooks, and the secrets that sign them.

The due webhooks are a sorted set of the ids of tasks and batches by time. The script that ends one adds it, so that no
crash can separate an end from its webhook. The attempts are stored in the record or the batch and are deleted with it.
"""

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from server.store.lua import Scripts

#: Seconds of a delivery's exclusive lease; longer than one attempt may take.
LEASE = 30


#: Counters of attempts. One that failed is retried, or given up after the last attempt or a 410.
OUTCOMES = ("delivered", "retried", "given_up")


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One delivery: its start (ms since 1970), its duration, and the HTTP status or the reason for its absence."""

    at: int
    ms: int
    status: int | None = None
    reason: str | None = None

    @property
    def succeeded(self) -> bool:
        """Return whether the receiver has accepted it."""
        return self.status is not None and 200 <= self.status <= 299

    @property
    def last(self) -> bool:
        """Return whether no attempt follows: the receiver has accepted it, or refuses further ones (410)."""
        return self.succeeded or self.status == 410


@dataclass(frozen=True, slots=True)
class PendingWebhook:
    """A webhook of a task or a batch that is not delivered yet, and when it is due (ms since 1970)."""

    id: str
    of_batch: bool
    url: str
    attempts: list[DeliveryAttempt]
    next_ms: int

    @property
    def path(self) -> str:
        """Return the path of its task or batch."""
        return f"/batches/{self.id}" if self.of_batch else f"/tasks/{self.id}"


class Webhooks(Scripts):
    """Leases due webhooks, and records their attempts."""

    def due(self) -> int:
        """Count the webhooks to send now."""
        return int(self.redis.zcount(self.keys.webhooks, 0, self.now_ms()))

    def pending_count(self) -> int:
        return int(self.redis.zcard(self.keys.webhooks))

    def lease_due(self) -> tuple[str, int] | None:
        """Return a due webhook and its lease, or None."""
        lease, *ids = self._call("lease_webhooks", 1, LEASE * 1000)
        return (ids[0].decode(), int(lease)) if ids else None

    def record_attempts(
        self, task_id: str, lease: int, tries: list[DeliveryAttempt], wait_seconds: float | None, outcome: str = ""
    ) -> bool:
        """Store the attempts of a leased webhook, and the time of the next one (None: never).

        `outcome` is the counter of the last attempt, one of `OUTCOMES`; empty if nothing was sent. Return False if the
        lease has expired or the record is deleted: the attempt does not count.
        """
        wait = "" if wait_seconds is None else int(wait_seconds * 1000)
        attempts = json.dumps([asdict(each) for each in tries], separators=(",", ":"))
        return bool(self._call("record_webhook_attempts", task_id, lease, attempts, wait, outcome))

    def send_again(self, some_id: str) -> bool:
        """Make the webhook of an ended task or batch due now. Return False if it has none, or has not ended."""
        return bool(self._call("send_webhook_again", some_id))

    def pending(self, limit: int) -> list[PendingWebhook]:
        """Return the undelivered webhooks with their attempts, those that are due first, in two round trips."""
        due = self.redis.zrange(self.keys.webhooks, 0, limit - 1, withscores=True)
        ids = [some_id.decode() for some_id, _ in due]
        webhooks = []
        for some_id, (_, score), (url, tries, of_batch) in zip(ids, due, self._read(ids), strict=True):
            if url is not None:
                webhooks.append(PendingWebhook(some_id, of_batch, url.decode(), _attempts(tries), int(score)))
        return webhooks

    def attempts(self, some_id: str) -> list[DeliveryAttempt]:
        """Return the attempts for a task or a batch so far, oldest first."""
        [(_, tries, _)] = self._read([some_id])
        return _attempts(tries)

    def _read(self, ids: Sequence[str]) -> list[tuple[bytes | None, bytes | None, bool]]:
        """Read URL and attempts of each task or batch, and whether it is a batch."""
        keys = (key(some_id) for some_id in ids for key in (self.keys.task, self.keys.batch))
        read = self._each("hmget", keys, "wh", "wt")
        pairs = zip(read[::2], read[1::2], strict=True)
        return [(*of_batch, True) if of_task[0] is None else (*of_task, False) for of_task, of_batch in pairs]

    def next_ms(self, task_id: str) -> int | None:
        """Return the time of the next attempt, in ms since 1970; None if there is none."""
        score = self.redis.zscore(self.keys.webhooks, task_id)
        return None if score is None else int(score)


def _attempts(text: bytes | None) -> list[DeliveryAttempt]:
    return [DeliveryAttempt(**each) for each in json.loads(text)] if text else []


PREFIX = "whsec_"

#: Seconds for which the previous secret also signs after a rotation.
OVERLAP = 86_400

_BYTES = 32  # Standard Webhooks 1.0.0: 24 to 64


class WebhookSecrets(Scripts):
    """The secrets that sign webhooks: a hash for each owner, created on first use.

    After a rotation the previous secret also signs for a day, so that a receiver can switch to the new one. A second
    rotation within the day drops the oldest immediately, which invalidates a leaked secret.
    """

    def current(self, owner: str) -> str:
        """Return the owner's secret; create it if there is none."""
        return self.signing(owner)[0]

    def signing(self, owner: str) -> list[str]:
        """Return the secrets to sign with: the owner's, and the previous one while it is valid."""
        if not self.redis.hexists(self._key(owner), "current"):  # read first, because a full Redis accepts no write
            self.redis.hsetnx(self._key(owner), "current", _new_secret())
        current, previous, until = self.redis.hmget(self._key(owner), "current", "previous", "until")
        overlaps = previous is not None and float(until) > self._now()
        return [current.decode(), previous.decode()] if overlaps else [current.decode()]

    def rotate(self, owner: str) -> str:
        """Create a new secret; the current one also signs for `OVERLAP` seconds."""
        secret = _new_secret()

        def change(pipe: Any) -> None:
            current = pipe.hget(self._key(owner), "current")
            pipe.multi()
            pipe.hset(self._key(owner), "current", secret)
            if current is not None:
                pipe.hset(self._key(owner), mapping={"previous": current, "until": int(self._now()) + OVERLAP})

        self.redis.transaction(change, self._key(owner))
        return secret

    def previous_until(self, owner: str) -> int | None:
        """Return until when the previous secret also signs, in seconds since 1970; None if it does not."""
        until = self.redis.hget(self._key(owner), "until")
        return int(until) if until is not None and int(until) > self._now() else None

    def _now(self) -> float:
        return self.now_ms() / 1000

    def _key(self, owner: str) -> str:
        return self.keys.webhook_secret(owner)


def raw(secret: str) -> bytes:
    """Return the bytes that a secret encodes."""
    return base64.b64decode(secret.removeprefix(PREFIX))


def _new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()

"""The secrets that webhooks are signed with: one for each owner, made on first use, `whsec_` and Base64.

For a day after a rotation the one before signs too, so that a receiver has that long to learn the new one. A second
rotation within the day ends the oldest at once: this is how a secret that has leaked is got rid of.
"""

import base64
import secrets
import time
from functools import lru_cache
from typing import Any

import redis

from server.connections import client

PREFIX = "whsec_"

#: Seconds for which the secret before a rotation still signs.
OVERLAP = 86_400

_BYTES = 32  # Standard Webhooks 1.0.0: 24 to 64


class WebhookSecrets:
    """The secrets in one Redis: a hash for each owner."""

    def __init__(self, connection: "redis.Redis") -> None:
        self._redis: Any = connection  # redis-py types its answers for both settings of `decode_responses`

    def current(self, owner: str) -> str:
        """The owner's secret; it is made where there is none."""
        return self.signing(owner)[0]

    def signing(self, owner: str) -> list[str]:
        """The secrets to sign with: the owner's, and the one before while it still holds."""
        if not self._redis.hexists(_key(owner), "current"):  # looked at first: a full Redis takes nothing more
            self._redis.hsetnx(_key(owner), "current", _make())
        current, previous, until = self._redis.hmget(_key(owner), "current", "previous", "until")
        holds = previous is not None and float(until) > time.time()
        return [current.decode(), previous.decode()] if holds else [current.decode()]

    def rotate(self, owner: str) -> str:
        """Make a new secret; the current one signs for `OVERLAP` seconds more."""
        made = _make()

        def change(pipe: Any) -> None:
            current = pipe.hget(_key(owner), "current")
            pipe.multi()
            pipe.hset(_key(owner), "current", made)
            if current is not None:
                pipe.hset(_key(owner), mapping={"previous": current, "until": int(time.time()) + OVERLAP})

        self._redis.transaction(change, _key(owner))
        return made

    def previous_until(self, owner: str) -> int | None:
        """Until when the secret before signs too, in seconds since 1970; None where it does not."""
        until = self._redis.hget(_key(owner), "until")
        return int(until) if until is not None and int(until) > time.time() else None


def raw(secret: str) -> bytes:
    """The bytes that a secret stands for."""
    return base64.b64decode(secret.removeprefix(PREFIX))


def _make() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def _key(owner: str) -> str:
    return f"webhook-secret:{owner}"


@lru_cache(maxsize=1)
def webhook_secrets() -> WebhookSecrets:
    """The process's view of the secrets."""
    return WebhookSecrets(client())

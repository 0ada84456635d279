"""API keys: stored as hashes in Redis, each with an owner and a role. The key itself is only shown once."""

import hashlib
import hmac
import json
import re
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import redis

from server.settings import Settings
from server.store.scripts import Scripts

_PREFIX = "cck_"
_SHOWN = len(_PREFIX) + 6
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")

#: Seconds for which a process trusts its cache: a revoked key works for at most this long.
CACHE_SECONDS = 2.0


class Role(StrEnum):
    """What a key may do: `submit` its owner's tasks, `read` them only, `admin` everyone's and the rest."""

    SUBMIT = "submit"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request; `key` is the fingerprint of the request's key."""

    owner: str
    role: Role
    key: str = ""

    @property
    def is_admin(self) -> bool:
        """Return whether the caller may use all owners' tasks."""
        return self.role is Role.ADMIN

    @property
    def may_submit(self) -> bool:
        """Whether it may do more than look."""
        return self.role is not Role.READ


#: The key's placeholder for a caller whom a trusted proxy has signed in (`AUTH_PROXY_HEADER`).
PROXY = "proxy"

#: The caller of a request without a key, if no key is configured and only loopback is served.
LOCAL = Caller("local", Role.ADMIN)


class ApiKeys(Scripts):
    """The keys in one Redis: a hash from a key's SHA-256 to its owner and role.

    A key has 256 random bits, so one round of SHA-256 is enough: there is nothing to guess.
    """

    def __init__(self, connection: "redis.Redis", config: Settings) -> None:
        super().__init__(connection, config)
        self._read_at = -CACHE_SECONDS
        self._known: dict[bytes, Caller] = {}

    def create(self, owner: str, role: Role) -> str:
        """Make a key; its text is returned here and nowhere else.

        Raises:
            ValueError: the owner's name does not do.
        """
        check_owner(owner)
        key = _PREFIX + secrets.token_urlsafe(32)
        entry = {"owner": owner, "role": role, "shown": key[:_SHOWN], "created": int(time.time())}
        self.redis.hset("keys", fingerprint(key), json.dumps(entry))
        return key

    def revoke(self, shown: str) -> int:
        """Drop the keys that begin so; the number of them."""
        gone = [
            digest
            for digest, entry in self._entries().items()
            if len(shown) >= _SHOWN and shown.startswith(entry["shown"])
        ]
        return int(self.redis.hdel("keys", *gone)) if gone else 0

    def entries(self) -> list[dict[str, Any]]:
        """Return the stored data of each key: never the key itself."""
        return sorted(self._entries().values(), key=lambda entry: entry["created"])

    def in_memory_for(self) -> float:
        """Seconds for which nothing here will ask Redis."""
        return self._read_at + CACHE_SECONDS - time.monotonic()

    def refresh(self) -> None:
        """Read the keys again."""
        self._known = {
            digest: Caller(entry["owner"], Role(entry["role"]), digest.decode())
            for digest, entry in self._entries().items()
        }
        self._read_at = time.monotonic()

    def any(self) -> bool:
        """Whether a key is configured."""
        return bool(self._current())

    def owners(self) -> set[str]:
        """Everyone who has a key."""
        return {caller.owner for caller in self._current().values()} | {LOCAL.owner}

    def find(self, key: str) -> Caller | None:
        """Whose key it is."""
        return self.by_fingerprint(fingerprint(key))

    def holds(self, caller: Caller) -> bool:
        """Return whether the caller's key is still valid, because it has not been revoked."""
        if caller.key == PROXY:
            return True
        return not self.any() if caller == LOCAL else self.by_fingerprint(caller.key) == caller

    def by_fingerprint(self, name: str) -> Caller | None:
        """Whose key has this fingerprint, compared in constant time with each that there is."""
        digest, found = name.encode(), None
        for known, caller in self._current().items():
            if hmac.compare_digest(known, digest):
                found = caller
        return found

    def _current(self) -> dict[bytes, Caller]:
        if self.in_memory_for() <= 0:
            self.refresh()
        return self._known

    def _entries(self) -> dict[bytes, dict[str, Any]]:
        return {digest: json.loads(entry) for digest, entry in self.redis.hgetall("keys").items()}


def check_owner(owner: str) -> None:
    if not OWNER.fullmatch(owner):
        raise ValueError("an owner is a word of letters, digits and _ . @ - (64 at most)")


def fingerprint(key: str) -> str:
    """Return the stored form of a key."""
    return hashlib.sha256(key.encode()).hexdigest()

"""API keys: stored as hashes in Redis, each with an owner and a role. The key itself is only shown once."""

import hashlib
import json
import re
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import redis

from server.settings import Settings
from server.store.lua import Scripts, StoreClock

_PREFIX = "cck_"
_SHOWN = len(_PREFIX) + 6
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")

#: Seconds for which a process trusts its cache: a revoked key works for at most this long.
CACHE_SECONDS = 2.0

#: Maximum number of keys that a process caches.
_MAX_KNOWN = 10_000


class Role(StrEnum):
    """What a key may do: `submit` its owner's tasks, `read` them, `admin` everything, read `metrics` alone."""

    SUBMIT = "submit"
    READ = "read"
    ADMIN = "admin"
    METRICS = "metrics"


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
        """Return whether the caller may change tasks."""
        return self.role in (Role.SUBMIT, Role.ADMIN)


#: The key's placeholder for a caller whom a trusted proxy has signed in (`AUTH_PROXY_HEADER`).
PROXY = "proxy"

#: The caller of a request without a key, if no key is configured and only loopback is served.
LOCAL = Caller("local", Role.ADMIN)


class ApiKeys(Scripts):
    """The keys in one Redis: a hash from a key's SHA-256 to its owner and role.

    A key has 256 random bits and cannot be guessed, so one round of SHA-256 is enough. A process caches the keys that
    it has looked up until a counter changes, which every change of the keys increments.
    """

    def __init__(self, connection: "redis.Redis", config: Settings, clock: StoreClock) -> None:
        super().__init__(connection, config, clock)
        self._checked_at = -CACHE_SECONDS
        self._version: tuple[bytes | None, bool] | None = None
        self._known: dict[str, Caller] = {}
        self._emptied = False

    def create(self, owner: str, role: Role) -> str:
        """Create a key. Its text is returned only here.

        Raises:
            ValueError: the owner's name is not valid.
        """
        check_owner(owner)
        key = _PREFIX + secrets.token_urlsafe(32)
        entry = {"owner": owner, "role": role, "shown": key[:_SHOWN], "created": self.now_ms() // 1000}
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.hset(self.keys.api_keys, fingerprint(key), json.dumps(entry)).incr(
                self.keys.api_keys_version
            ).execute()
        return key

    def revoke(self, shown: str) -> int:
        """Delete the keys that begin with this text. Return their number."""
        if len(shown) < _SHOWN:
            return 0
        gone = [digest for digest, entry in self._entries().items() if shown.startswith(entry["shown"])]
        if not gone:
            return 0
        with self.redis.pipeline(transaction=True) as pipe:
            return int(pipe.hdel(self.keys.api_keys, *gone).incr(self.keys.api_keys_version).execute()[0])

    def entries(self) -> list[dict[str, Any]]:
        """Return the stored data of each key: never the key itself."""
        return sorted(self._entries().values(), key=lambda entry: entry["created"])

    def any(self) -> bool:
        """Return whether a key is configured, or was until Redis was emptied: that must not open the API."""
        self._look()
        return self._version is not None and (self._version[1] or self._emptied)

    def find(self, key: str) -> Caller | None:
        """Find the owner and role of a key."""
        return self.by_fingerprint(fingerprint(key))

    def holds(self, caller: Caller) -> bool:
        """Return whether the caller's key is still valid, because it has not been revoked."""
        if caller.key == PROXY:
            return True
        return not self.any() if caller == LOCAL else self.by_fingerprint(caller.key) == caller

    def by_fingerprint(self, digest: str) -> Caller | None:
        """Find the owner and role of the key with this SHA-256, with one lookup."""
        self._look()
        known = self._known  # a concurrent change replaces the dict
        if (caller := known.get(digest)) is not None:
            return caller
        entry = self.redis.hget(self.keys.api_keys, digest)
        if entry is None:
            return None
        if not self.any():  # the first key was just created: requests without a key are refused from now on
            self.refresh()
            known = self._known
        stored = json.loads(entry)
        caller = Caller(stored["owner"], Role(stored["role"]), digest)
        if len(known) >= _MAX_KNOWN:
            known.clear()
        known[digest] = caller
        return caller

    def remembered(self, digest: str) -> Caller | None:
        """Find the owner and role of a cached key without asking Redis."""
        return self._known.get(digest)

    def in_memory_for(self) -> float:
        """Return the seconds for which `any` and `remembered` are valid without asking Redis."""
        return self._checked_at + CACHE_SECONDS - time.monotonic()

    def refresh(self) -> None:
        """Drop the cached keys if a key was created or revoked since the last check."""
        now = time.monotonic()
        with self.redis.pipeline(transaction=False) as pipe:
            version, number = pipe.get(self.keys.api_keys_version).hlen(self.keys.api_keys).execute()
        had_version = self._version is not None and self._version[0] is not None
        self._emptied = version is None and (self._emptied or had_version)  # revoking keys leaves the counter
        if (found := (version, number > 0)) != self._version:
            self._known, self._version = {}, found
        self._checked_at = now

    def _look(self) -> None:
        if self.in_memory_for() <= 0:
            self.refresh()

    def _entries(self) -> dict[bytes, dict[str, Any]]:
        return {digest: json.loads(entry) for digest, entry in self.redis.hgetall(self.keys.api_keys).items()}


def check_owner(owner: str) -> None:
    if not OWNER.fullmatch(owner):
        raise ValueError("an owner is a word of letters, digits and _ . @ - (64 at most)")


def fingerprint(key: str) -> str:
    """Return the stored form of a key."""
    return hashlib.sha256(key.encode()).hexdigest()

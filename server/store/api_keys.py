"""API keys: stored as hashes in Redis, each with an owner and a role. The key itself is only shown once.

`ADMIN_KEY` of the settings is an admin's key that is not stored.
"""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable
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
_MAX_CACHED = 10_000

#: Seconds for which a key's `rate_limit` counts.
RATE_PERIOD = 60

#: Digits of a key's SHA-256 that are its id.
_ID_DIGITS = 16

#: The expiry of a key that does not expire.
_NEVER = float("inf")

#: Seconds between two writes of when a process's keys were last used.
_USED_SECONDS = 30.0


class Role(StrEnum):
    """The permissions of a key: `submit` its owner's tasks, `read` them, `admin` everything, read `metrics` alone."""

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
    #: Requests per minute, if the key has a limit.
    rate_limit: int | None = None

    @property
    def is_admin(self) -> bool:
        """Return whether the caller may use all owners' tasks."""
        return self.role is Role.ADMIN

    def sees(self, owner: str) -> bool:
        """Return whether the caller may see what belongs to an owner."""
        return self.is_admin or owner == self.owner

    @property
    def may_submit(self) -> bool:
        """Return whether the caller may change tasks."""
        return self.role in (Role.SUBMIT, Role.ADMIN)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The stored data of a key, never the key itself. Times are milliseconds since 1970."""

    id: str
    owner: str
    role: Role
    shown: str
    note: str
    created_ms: int
    expires_ms: int | None
    used_ms: int | None
    rate_limit: int | None
    weight: int


#: The greatest weight of a key.
MAX_WEIGHT = 100

#: Maximum life of a key that expires in seconds, requests per minute of one with a limit, and characters of a note.
MAX_LIFETIME, MAX_RATE_LIMIT, MAX_NOTE = 10 * 366 * 86_400, 1_000_000, 200

#: The owner of tasks and changes with `ADMIN_KEY`.
_ADMIN_OWNER = "admin"

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
        digest = config.admin_key and fingerprint(config.admin_key)
        self._admin = {digest: (Caller(_ADMIN_OWNER, Role.ADMIN, digest), _NEVER)} if digest else {}
        self._checked_at = -CACHE_SECONDS
        self._version: tuple[bytes | None, bool] | None = None
        #: Each cached key's caller, and when it expires in milliseconds since 1970.
        self._cache = dict(self._admin)
        self._used: set[str] = set()
        self._used_at = time.monotonic()
        self._emptied = False

    def create(
        self,
        owner: str,
        role: Role,
        note: str = "",
        seconds: int | None = None,
        rate_limit: int | None = None,
        weight: int = 1,
    ) -> str:
        """Create a key that expires after some seconds, or never. Its text is returned only here.

        The greatest `weight` of an owner's keys is the owner's share of the turns in a queue.

        Raises:
            ValueError: the owner's name is not valid.
        """
        check_owner(owner)
        key, now = _PREFIX + secrets.token_urlsafe(32), self.now_ms()
        entry = {"owner": owner, "role": role, "shown": key[:_SHOWN], "created": now // 1000}
        if note:
            entry["note"] = note
        if rate_limit is not None:
            entry["rate_limit"] = rate_limit
        if weight != 1:
            entry["weight"] = weight
        if seconds is not None:
            entry["expires"] = now + seconds * 1000
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.hset(self.keys.api_keys, fingerprint(key), json.dumps(entry))
            pipe.incr(self.keys.api_keys_version).execute()
        if weight != 1:
            self._weigh(owner)
        return key

    def describe(self, key: str) -> ApiKey | None:
        """Return the stored data of a key, with one lookup; without its last use."""
        digest = fingerprint(key)
        entry = self.redis.hget(self.keys.api_keys, digest)
        return _api_key(digest, json.loads(entry), None) if entry else None

    def revoke(self, shown: str) -> list[ApiKey]:
        """Delete the keys with this id, or that begin with this text. Return them."""
        if len(shown) < _SHOWN:
            return []
        return self._revoke(lambda each: each.id == shown or shown.startswith(each.shown))

    def revoke_id(self, key_id: str) -> bool:
        """Delete the key with this id. Return whether it exists."""
        return bool(self._revoke(lambda each: each.id == key_id))

    def _revoke(self, matches: Callable[[ApiKey], bool]) -> list[ApiKey]:
        gone = [(digest, each) for digest, each in self._entries() if matches(each)]
        if gone:
            digests = [digest for digest, _ in gone]
            with self.redis.pipeline(transaction=True) as pipe:
                pipe.hdel(self.keys.api_keys, *digests).hdel(self.keys.api_keys_used, *digests)
                pipe.incr(self.keys.api_keys_version).execute()
            for owner in {each.owner for _, each in gone if each.weight != 1}:
                self._weigh(owner)
        return [each for _, each in gone]

    def _weigh(self, owner: str) -> None:
        """Store the share of turns that the keys of an owner give it."""
        weight = max((each.weight for _, each in self._entries() if each.owner == owner), default=1)
        if weight == 1:
            self.redis.hdel(self.keys.weights, owner)
        else:
            self.redis.hset(self.keys.weights, owner, weight)

    def entries(self) -> list[ApiKey]:
        """Return the stored data of each key, the oldest first."""
        return sorted((each for _, each in self._entries()), key=lambda each: each.created_ms)

    def any(self) -> bool:
        """Return whether a key is configured, or was until Redis was emptied: that must not open the API."""
        if self._admin:
            return True
        self._refresh_if_due()
        return self._version is not None and (self._version[1] or self._emptied)

    def find(self, key: str) -> Caller | None:
        """Find the owner and role of a key."""
        return self.by_fingerprint(fingerprint(key))

    def is_valid(self, caller: Caller) -> bool:
        """Return whether the caller's key is still valid, because it has not been revoked."""
        if caller.key == PROXY:
            return True
        return not self.any() if caller == LOCAL else self.by_fingerprint(caller.key) == caller

    def by_fingerprint(self, digest: str) -> Caller | None:
        """Find the owner and role of the key with this SHA-256, with one lookup."""
        self._refresh_if_due()
        if (caller := self.cached(digest)) is not None:
            return caller
        entry = self.redis.hget(self.keys.api_keys, digest)
        if entry is None:
            return None
        if not self.any():  # the first key was just created: requests without a key are refused from now on
            self.refresh()
        cache = self._cache  # a concurrent change replaces the dict
        stored = json.loads(entry)
        if len(cache) >= _MAX_CACHED:
            cache.clear()
            cache.update(self._admin)
        caller = Caller(stored["owner"], Role(stored["role"]), digest, stored.get("rate_limit"))
        cache[digest] = caller, stored.get("expires", _NEVER)
        return self.cached(digest)

    def cached(self, digest: str) -> Caller | None:
        """Find the owner and role of a cached key without asking Redis."""
        caller, expires = self._cache.get(digest, (None, _NEVER))
        if caller is None or (expires < _NEVER and expires <= self._clock.now_ns() // 1_000_000):
            return None
        self._used.add(digest)
        return caller

    def count_request(self, caller: Caller) -> tuple[int, int]:
        """Count a request of a key with a limit. Return the requests of this minute, and its remaining seconds."""
        now = self.now_ms() // 1000
        name = self.keys.requests(caller.key, now // RATE_PERIOD)
        with self.redis.pipeline(transaction=True) as pipe:
            count = pipe.incr(name).expire(name, 2 * RATE_PERIOD).execute()[0]
        return int(count), RATE_PERIOD - now % RATE_PERIOD

    def in_memory_for(self) -> float:
        """Return the seconds for which `any` and `cached` are valid without asking Redis."""
        return self._checked_at + CACHE_SECONDS - time.monotonic()

    def refresh(self) -> None:
        """Drop the cached keys if a key was created or revoked since the last check."""
        now = time.monotonic()
        with self.redis.pipeline(transaction=False) as pipe:
            version, number = pipe.get(self.keys.api_keys_version).hlen(self.keys.api_keys).execute()
        had_version = self._version is not None and self._version[0] is not None
        self._emptied = version is None and (self._emptied or had_version)  # revoking keys leaves the counter
        if (read := (version, number > 0)) != self._version:
            self._cache, self._version = dict(self._admin), read
        self._checked_at = now
        if self._used and now - self._used_at >= _USED_SECONDS:
            self._note_use()

    def _refresh_if_due(self) -> None:
        if self.in_memory_for() <= 0:
            self.refresh()

    def _note_use(self) -> None:
        """Store when the keys of this process were last used, without those that were revoked meanwhile."""
        used, self._used, self._used_at = self._used, set(), time.monotonic()
        if stored := self.redis.hmget(self.keys.api_keys, *used):
            now = self.now_ms()
            if kept := {digest: now for digest, entry in zip(used, stored, strict=True) if entry is not None}:
                self.redis.hset(self.keys.api_keys_used, mapping=kept)

    def _entries(self) -> list[tuple[str, ApiKey]]:
        used = self.redis.hgetall(self.keys.api_keys_used)
        return [
            (digest.decode(), _api_key(digest.decode(), json.loads(entry), used.get(digest)))
            for digest, entry in self.redis.hgetall(self.keys.api_keys).items()
        ]


def _api_key(digest: str, entry: dict[str, Any], used: bytes | None) -> ApiKey:
    return ApiKey(
        id=digest[:_ID_DIGITS],
        owner=entry["owner"],
        role=Role(entry["role"]),
        shown=entry["shown"],
        note=entry.get("note", ""),
        created_ms=entry["created"] * 1000,
        expires_ms=entry.get("expires"),
        used_ms=int(used) if used else None,
        rate_limit=entry.get("rate_limit"),
        weight=entry.get("weight", 1),
    )


def check_owner(owner: str) -> None:
    if not OWNER.fullmatch(owner):
        raise ValueError("an owner is a word of letters, digits and _ . @ - (64 at most)")


def fingerprint(key: str) -> str:
    """Return the stored form of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def id_of(key: str) -> str:
    """Return the id of a key, which may be shown."""
    return fingerprint(key)[:_ID_DIGITS]

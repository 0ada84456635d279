"""Checks of Redis's configuration. Each finding is one sentence that says what to change."""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from server.logs import event
from server.store.connection import UNREACHABLE, RedisFull, connections_wanted, outage_reason
from server.store.keys import FORMAT
from server.store.lua import Scripts

#: The oldest Redis with all commands of our scripts.
MIN_VERSION = (6, 2)

#: Seconds before the slower checks are repeated.
_REPEAT_AFTER = 10.0

#: Placeholders for the key that is written and deleted as a test, and for one of our channels.
_PROBE, _CHANNEL = "<probe>", "<channel>"

#: Commands that web, worker and broker need, each harmless for the test key.
_COMMANDS: tuple[tuple[str | int, ...], ...] = (
    ("SET", _PROBE, 1, "PX", 1000),
    ("GET", _PROBE),
    ("EXISTS", _PROBE),
    ("PERSIST", _PROBE),
    ("EXPIRE", _PROBE, 1),
    ("INCRBY", _PROBE, 1),
    ("UNLINK", _PROBE),
    ("HSET", _PROBE, "a", 1),
    ("HGETALL", _PROBE),
    ("HSCAN", _PROBE, 0),
    ("HINCRBY", _PROBE, "a", 1),
    ("HDEL", _PROBE, "a"),
    ("ZADD", _PROBE, 1, "a"),
    ("ZRANGE", _PROBE, 0, 0),
    ("ZREM", _PROBE, "a"),
    ("SADD", _PROBE, "a"),
    ("SMEMBERS", _PROBE),
    ("SREM", _PROBE, "a"),
    ("LPUSH", _PROBE, 1),
    ("LRANGE", _PROBE, 0, 0),
    ("BRPOP", _PROBE, 1),
    ("LLEN", "default"),
    ("HLEN", "unacked"),
    ("SMEMBERS", "_kombu.binding.celery"),
    ("EVAL", "return redis.call('TIME')", 0),
    ("SCRIPT", "EXISTS", "0" * 40),
    ("PUBLISH", _CHANNEL, ""),
    ("CLIENT", "ID"),
)

log = logging.getLogger(__name__)


class Severity(IntEnum):
    """The severity of a finding."""

    WARNING = 1
    #: The server is not ready.
    ERROR = 2
    #: A restart does not help: web and worker do not start.
    FATAL = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of Redis's configuration."""

    severity: Severity
    text: str


class Checks(Scripts):
    """The checks of one Redis. Methods raise `server.store.connection.UNREACHABLE` if it does not answer."""

    _findings: Sequence[Finding] = ()
    _checked_at = -_REPEAT_AFTER

    def findings(self) -> list[Finding]:
        """Run all checks; the worst finding is first. The configuration is checked periodically, writes always."""
        if time.monotonic() - self._checked_at >= _REPEAT_AFTER:
            self._findings = self._check()
            self._checked_at = time.monotonic()
        findings = self._findings
        # After a fatal finding, a write would fail for the same reason.
        if not any(finding.severity is Severity.FATAL for finding in findings):
            findings = [*findings, *self._written()]
        return sorted(findings, key=lambda finding: -finding.severity)

    def at_start(self) -> str | None:
        """Log the problems of Redis. Return the sentence for which a process must not start.

        An outage is not such a problem: the process starts and waits.
        """
        try:
            findings = self.findings()
        except UNREACHABLE as error:
            event(log, "redis.unreachable", level=logging.ERROR, reason=outage_reason(error))
            return None
        finally:
            self.redis.close()  # a parent of other processes must not keep a connection
        for finding in findings:
            level = logging.WARNING if finding.severity is Severity.WARNING else logging.ERROR
            event(log, "redis.setup", level=level, reason=finding.text)
        return next((finding.text for finding in findings if finding.severity is Severity.FATAL), None)

    def _written(self) -> list[Finding]:
        """Write a key, because a Redis that cannot write still answers reads."""
        try:
            self.redis.set(self.keys.probe, 1, px=1000)
        except RedisFull:
            return [Finding(Severity.ERROR, "Redis is full: its `maxmemory` is reached. Raise it, or delete tasks.")]
        except NoPermissionError:
            pass  # the check of permissions reports it
        return []

    def _check(self) -> list[Finding]:
        info = self.redis.info()
        if (hopeless := _version(info) or _cluster(info)) is not None:  # other checks would fail for the same reason
            return [hopeless]
        checks = _eviction(info), self._permissions(), self._format(), self._persistence(info), self._max_clients(info)
        return [finding for finding in checks if finding is not None]

    def _permissions(self) -> Finding | None:
        with self.redis.pipeline(transaction=False) as pipe:
            keys = {_PROBE: self.keys.probe, _CHANNEL: self.keys.task("")}
            for command in _COMMANDS:
                pipe.execute_command(*(keys.get(str(word), word) for word in command))
            replies = pipe.execute(raise_on_error=False)
        denied = [
            str(command[0])
            for command, reply in zip(_COMMANDS, replies, strict=True)
            if isinstance(reply, NoPermissionError) or "NOPERM" in str(reply)
        ]
        if not denied:
            return None
        names = ", ".join(sorted(set(denied)))
        text = f"The Redis user of REDIS_URL is not allowed to use {names}, or their keys. Extend its ACL."
        return Finding(Severity.FATAL, text)

    def _format(self) -> Finding | None:
        """Refuse a store that another release has written. Mark an empty one with this release's format."""
        stored: bytes | None = self.redis.get(self.keys.format)
        if stored is None:
            with suppress(RedisFull, NoPermissionError):  # the next start marks it
                self.redis.set(self.keys.format, FORMAT, nx=True)
        if stored is None or stored.decode() == FORMAT:
            return None
        text = f"Redis has data in the format {stored.decode()!r}, and this release knows the format {FORMAT!r}. "
        text += "Start the release that wrote it, or set KEY_PREFIX or REDIS_URL to an empty store."
        return Finding(Severity.FATAL, text)

    def _persistence(self, info: dict[str, Any]) -> Finding | None:
        if info.get("aof_enabled"):
            return None
        try:
            snapshots = bool(self.redis.config_get("save").get("save"))
        except ResponseError:  # managed servers do not answer this
            return Finding(Severity.WARNING, "Redis has no append-only file: its restart may lose accepted tasks.")
        if snapshots:
            text = "Redis saves snapshots alone: a crash loses the tasks since the last one. Set `appendonly yes`."
        else:
            text = "Redis saves nothing to its disk: its restart loses every task. Set `appendonly yes`."
        return Finding(Severity.WARNING, text)

    def _max_clients(self, info: dict[str, Any]) -> Finding | None:
        limit, wanted = info.get("maxclients"), connections_wanted(self._config)
        if limit is None or limit >= wanted:
            return None
        text = f"Redis accepts {limit} connections; one web server and one worker use up to {wanted}."
        return Finding(Severity.WARNING, f"{text} Raise `maxclients`, or lower MAX_REDIS_CONNECTIONS.")


def _version(info: dict[str, Any]) -> Finding | None:
    version = str(info.get("redis_version", ""))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) >= MIN_VERSION:
        return None
    oldest = ".".join(map(str, MIN_VERSION))
    return Finding(Severity.FATAL, f"Redis {version} is too old. Use Redis {oldest} or newer, or Valkey.")


def _cluster(info: dict[str, Any]) -> Finding | None:
    if not info.get("cluster_enabled"):
        return None
    return Finding(
        Severity.FATAL, "Redis runs in cluster mode, which is not supported. Use a single server or Sentinel."
    )


def _eviction(info: dict[str, Any]) -> Finding | None:
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction" or not info.get("maxmemory"):
        return None
    text = (
        f"Redis deletes accepted tasks when its memory is full: `maxmemory-policy` is {policy}. Set it to noeviction."
    )
    return Finding(Severity.ERROR, text)

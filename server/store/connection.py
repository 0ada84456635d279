"""The process's connection to Redis: one bounded pool, short time-outs, TLS as one setting."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, OutOfMemoryError, ResponseError, TimeoutError
from redis.retry import Retry
from redis.sentinel import Sentinel

from server.settings import Settings
from server.store.errors import CoatcheckError, StorageFull, StoreUnavailable

T = TypeVar("T")

#: Seconds. A submit is answered 503 within 1.5 s when Redis is silent: one time-out and what Flask needs.
CONNECT_TIMEOUT = 0.5
SOCKET_TIMEOUT = 1.0

#: What a Redis that is gone, silent or starting raises.
UNREACHABLE = (ConnectionError, TimeoutError, redis.exceptions.BusyLoadingError, redis.exceptions.ReadOnlyError)

#: What Redis says where it will not write now: a full disk, a fail-over. Some have exceptions of their own, but not
#: inside a script.
_NOT_NOW = ("MISCONF", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "READONLY", "LOADING")

#: Seconds for which a running task waits for a Redis that is gone.
OUTAGE_TIMEOUT = 600.0


def connect(config: Settings, *, timeout: float = SOCKET_TIMEOUT) -> "redis.Redis":
    """Make a client; nothing is sent before the first command.

    A connection that broke while it was idle (a restarted server) is replaced once, at once: every script of ours
    may be sent twice. A time-out is not tried again.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_keepalive": True,
        "health_check_interval": 0,
        "max_connections": config.web_threads + 4,
        "retry": Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
    }
    url = config.redis_url
    if urlsplit(url).scheme == "rediss":
        options["ssl_cert_reqs"] = "required" if config.redis_tls_verify else "none"
        options["ssl_check_hostname"] = config.redis_tls_verify
    if urlsplit(url).scheme == "sentinel":
        return _through_sentinel(url, options)
    return redis.Redis.from_url(url, **options)


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """`sentinel://[:password@]host:port[;sentinel://host:port…]/master-name/db`; the password is Redis's own."""

    nodes: list[tuple[str, int]]
    master: str
    database: int
    password: str | None

    @property
    def for_kombu(self) -> str:
        """kombu's form: every node with the database, the master's name being an option of its transport."""
        secret = f":{quote(self.password, safe='')}@" if self.password else ""
        return ";".join(f"sentinel://{secret}{host}:{port}/{self.database}" for host, port in self.nodes)


def parse_sentinel(url: str) -> SentinelUrl:
    """Read the address of a Redis that Sentinel watches."""
    parts = [urlsplit(part) for part in url.split(";")]
    _, name, *rest = (parts[-1].path + "/").split("/")
    nodes = [(part.hostname or "127.0.0.1", part.port or 26379) for part in parts]
    password = unquote(parts[0].password) if parts[0].password else None
    return SentinelUrl(nodes, name or "mymaster", int(rest[0] or 0) if rest else 0, password)


def _through_sentinel(url: str, options: dict[str, Any]) -> "redis.Redis":
    where = parse_sentinel(url)
    timeouts = {key: options[key] for key in ("socket_timeout", "socket_connect_timeout")}
    sentinel: Any = cast(Any, Sentinel)(where.nodes, sentinel_kwargs=timeouts)
    master = sentinel.master_for(where.master, db=where.database, password=where.password, **options)
    return cast(redis.Redis, master)


def store_error(error: Exception) -> CoatcheckError | None:
    """The error of a Redis or a blob store that accepts nothing for now; None where it is something else."""
    if isinstance(error, CoatcheckError):
        return error
    text = str(error) if isinstance(error, ResponseError) else ""
    # At `maxmemory`; inside a script Redis says so in a plain ResponseError.
    if isinstance(error, OutOfMemoryError) or "OOM command not allowed" in text:
        return StorageFull()
    # A blob store that is out of reach raises an OSError.
    if isinstance(error, (*UNREACHABLE, OSError)) or any(word in text for word in _NOT_NOW):
        return StoreUnavailable("The store cannot be reached.")
    return None


def patiently(step: Callable[[], T], seconds: float = OUTAGE_TIMEOUT) -> T:
    """What `step` gives, tried again for so many seconds where Redis is out of reach: for what runs in a worker."""
    until = time.monotonic() + seconds
    wait = 0.1
    while True:
        try:
            return step()
        except UNREACHABLE:
            if time.monotonic() > until:
                raise
            time.sleep(wait)
            wait = min(2.0, wait * 2)

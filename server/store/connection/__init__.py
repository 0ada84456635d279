"""The process's connections to Redis: one bounded pool (pool.py), short time-outs, TLS as one setting.

Redis can be down, or answer "not now" (`NotReady`). Callers treat both as an outage: code that waits for the end of
an outage catches `UNREACHABLE` or calls `until_available`. checks.py: whether Redis keeps accepted tasks.
"""

import logging
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.connection import DefaultParser, HiredisRespSerializer
from redis.exceptions import ConnectionError, OutOfMemoryError, TimeoutError
from redis.retry import Retry
from redis.sentinel import Sentinel

from server.logs import event
from server.settings import Settings
from server.store.connection.pool import Client, Pool, SentinelPool
from server.store.errors import CoatcheckError, StorageFull, StoreUnavailable

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Time-outs in seconds. While Redis is silent, a submit gets a 503 within 1.5 s: one time-out, and Flask's time.
CONNECT_TIMEOUT = 0.5
SOCKET_TIMEOUT = 1.0

#: Errors of a Redis that is down, silent, or answers "not now".
UNREACHABLE = (ConnectionError, TimeoutError)

#: Redis's answers that mean "not now", by their code.
NOT_READY = {
    "BUSY": "Redis is busy with a script.",
    "CLUSTERDOWN": "The Redis cluster is down.",
    "LOADING": "Redis is loading its data.",
    "MASTERDOWN": "Redis has lost its master.",
    "MISCONF": "Redis cannot save to its disk, and accepts no writes.",
    "NOREPLICAS": "Redis has too few replicas, and accepts no writes.",
    "READONLY": "Redis is a read-only replica.",
    "TRYAGAIN": "The Redis cluster is moving its data.",
}

#: Before Redis 7, an error inside a script came as "ERR Error running script (…): @user_script:1: -READONLY …".
_IN_SCRIPT = re.compile(r"^ERR Error running script .*?@user_script:\s*\d+:\s*-?([A-Z]+) ", re.DOTALL)

#: Seconds for which a running task waits for an unreachable Redis.
OUTAGE_TIMEOUT = 600.0


class NotReady(ConnectionError, StoreUnavailable):
    """Redis answers that it cannot do this now, which is treated as an outage."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text, status_code=code)
        StoreUnavailable.__init__(self, NOT_READY[code])
        self.args = (f"{code} {text}",)


class RedisFull(OutOfMemoryError, StorageFull):
    """Redis is at `maxmemory` and refuses commands that need memory."""

    def __init__(self, text: str) -> None:
        super().__init__(text, status_code="OOM")
        StorageFull.__init__(self)
        self.args = (text,)


class Parser(DefaultParser):  # type: ignore[misc, valid-type]
    """redis-py's parser, which raises `NotReady` and `RedisFull` when Redis answers "not now" or "full".

    The parser sees every reply: of commands, pipelines, transactions and scripts, of our clients and of kombu's.
    """

    @classmethod
    def parse_error(cls, response: str) -> Exception:
        """The exception of an error reply."""
        in_script = _IN_SCRIPT.match(response)
        code, _, text = response.partition(" ")
        code = in_script[1] if in_script else code
        if code in NOT_READY:
            return NotReady(code, text)
        if code == "OOM":
            return RedisFull(text)
        return cast(Exception, super().parse_error(response))


class _Packer(HiredisRespSerializer):
    """redis-py's packer, without its check of the type of each argument of a script: a batch has 17,000 of them."""

    def pack(self, *args: Any) -> Any:
        return [hiredis.pack_command(args)] if args[0] == "EVALSHA" else super().pack(*args)


class _Once(Retry):
    """Reconnect and try a second time, unless Redis has answered "not now" and no other server could.

    After a failover, the name of the server may resolve to another one.
    """

    def call_with_retry(self, do: Any, fail: Any, is_retryable: Any = None, with_failure_count: bool = False) -> Any:
        """Retry as redis-py does, except after some answers."""
        return super().call_with_retry(do, fail, is_retryable or _worth_reconnecting, with_failure_count)


def _worth_reconnecting(error: Exception) -> bool:
    return not isinstance(error, NotReady) or error.status_code in ("READONLY", "MASTERDOWN")


def connections_wanted(config: Settings) -> int:
    """Connections of one web server and one worker at most, measured with `CLIENT LIST`.

    A web process has one more, which listens for changes. A worker has the broker's three, and one for each child.
    """
    size = pool_size(config)
    return config.web_concurrency * (size + 1) + size + 3 + config.worker_concurrency


def pool_size(config: Settings) -> int:
    """Connections of the pool of one process: what its share of `MAX_REDIS_CONNECTIONS` leaves, at least two."""
    return max(2, config.max_redis_connections // config.web_concurrency - 1)


def connect(config: Settings, *, timeout: float = SOCKET_TIMEOUT) -> "redis.Redis":
    """Create a client; nothing is sent before the first command.

    A connection that broke while it was idle (a restarted server) is replaced once, without a wait: all our scripts may
    be sent twice. A time-out is not retried.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_keepalive": True,
        "health_check_interval": 0,
        "parser_class": Parser,
        "command_packer": _Packer(),
        "max_connections": pool_size(config),
        "retry": _Once(NoBackoff(), 1, supported_errors=(ConnectionError,)),
    }
    url = config.redis_url
    if urlsplit(url).scheme == "rediss":
        options["ssl_cert_reqs"] = "required" if config.redis_tls_verify else "none"
        options["ssl_check_hostname"] = config.redis_tls_verify
    if urlsplit(url).scheme == "sentinel":
        return _through_sentinel(url, options)
    return Client.from_pool(Pool.from_url(url, **options))


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """`sentinel://[:password@]host:port[;sentinel://host:port…]/master-name/db`; the password is Redis's own."""

    nodes: list[tuple[str, int]]
    master: str
    database: int
    password: str | None

    @property
    def for_kombu(self) -> str:
        """Return kombu's form: every node with the database; the master's name is an option of its transport."""
        secret = f":{quote(self.password, safe='')}@" if self.password else ""
        return ";".join(f"sentinel://{secret}{host}:{port}/{self.database}" for host, port in self.nodes)


def parse_sentinel(url: str) -> SentinelUrl:
    """Parse the address of a Redis behind Sentinel."""
    parts = [urlsplit(part) for part in url.split(";")]
    _, name, *rest = (parts[-1].path + "/").split("/")
    nodes = [(part.hostname or "127.0.0.1", part.port or 26379) for part in parts]
    password = unquote(parts[0].password) if parts[0].password else None
    return SentinelUrl(nodes, name or "mymaster", int(rest[0] or 0) if rest else 0, password)


def _through_sentinel(url: str, options: dict[str, Any]) -> "redis.Redis":
    parsed = parse_sentinel(url)
    timeouts = {key: options[key] for key in ("socket_timeout", "socket_connect_timeout")}
    sentinel: Any = cast(Any, Sentinel)(parsed.nodes, sentinel_kwargs=timeouts)
    master = sentinel.master_for(
        parsed.master,
        Client,
        connection_pool_class=SentinelPool,
        db=parsed.database,
        password=parsed.password,
        **options,
    )
    return cast(redis.Redis, master)


def store_error(error: Exception) -> CoatcheckError | None:
    """Return the error for a Redis or blob store that accepts nothing for now; None for any other error."""
    if isinstance(error, CoatcheckError):
        return error
    if isinstance(error, UNREACHABLE):
        return StoreUnavailable(outage_reason(error))
    return None


def outage_reason(error: BaseException) -> str:
    """Describe in one sentence why Redis cannot be used, without host name and password."""
    if isinstance(error, NotReady):
        return error.detail
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"The certificate of Redis is not trusted ({cause.verify_message}). If your provider signs its own, "
                "set REDIS_TLS_VERIFY=false."
            )
        cause = cause.__cause__ or cause.__context__
    if "max number of clients" in str(error):
        return "Redis accepts no more connections (its maxclients)."
    return "The store cannot be reached."


def until_available(step: Callable[[], T], seconds: float = OUTAGE_TIMEOUT, *, storage_wait_seconds: float = 0) -> T:
    """Call `step` and return its result. Retry while the store is unavailable, for code that runs in a worker.

    Raises:
        StorageFull: the storage was still full after `storage_wait_seconds`.
    """
    began = time.monotonic()
    wait = 0.1
    while True:
        try:
            return step()
        except (*UNREACHABLE, StoreUnavailable, StorageFull) as error:
            limit = storage_wait_seconds if isinstance(error, StorageFull) else seconds
            if time.monotonic() - began >= limit:
                raise
            if wait == 0.1:
                event(log, "store.waiting", level=logging.WARNING, reason=error)
        time.sleep(wait)
        wait = min(2.0, wait * 2)

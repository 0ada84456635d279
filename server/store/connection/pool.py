"""A small pool of connections, and its client: callers wait for a free connection, and idle ones are closed.

The smallest plans of managed Redis accept twenty connections. redis-py's own pools raise an error when all are in use,
or keep every connection that was ever needed.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from redis import ConnectionPool, Redis
from redis.exceptions import ConnectionError, MaxConnectionsError, ResponseError, TimeoutError
from redis.sentinel import SentinelConnectionPool

T = TypeVar("T")

#: Seconds to wait for a free connection.
POOL_TIMEOUT = 1.0

#: Seconds without use after which a connection is closed; the one that was used last is kept.
IDLE_SECONDS = 10.0


class _Shared:
    """The changes to redis-py's pools."""

    def reset(self: Any) -> None:
        """Begin anew, also in a forked child, for which another thread may have held the lock."""
        self._lock = threading.RLock()
        self._returned = threading.Condition(self._lock)
        self._released: dict[Any, float] = {}
        self._broken_at = 0.0  # when a connection came back that had failed
        self._closer: threading.Thread | None = None
        super().reset()  # type: ignore[misc]

    def get_connection(self: Any, *_: Any, **__: Any) -> Any:
        """Take a connection; wait if all are in use. redis-py's own method took ten times as long for its metrics.

        Raises:
            ConnectionError: none was free in time, or Redis failed to answer another thread meanwhile.
        """
        self._checkpid()
        began = time.monotonic()
        with self._lock:
            if not self._returned.wait_for(self._has_free, POOL_TIMEOUT):
                raise MaxConnectionsError("All connections to Redis are in use.")
            if self._broken_at > began:  # a silent Redis: another wait for its answer would be too long for a request
                raise ConnectionError("Redis has just failed to answer.")
            free = self._available_connections
            connection = free.pop() if free else self.make_connection()
            self._in_use_connections.add(connection)
        try:
            self._prepare(connection)
        except BaseException:
            self.release(connection)
            raise
        return connection

    def _has_free(self: Any) -> bool:
        return bool(len(self._in_use_connections) < self.max_connections)

    def _prepare(self: Any, connection: Any) -> None:
        """Connect; renew a connection that Redis has closed, or that came back with an unread answer."""
        if connection.is_connected:
            with contextlib.suppress(ConnectionError, TimeoutError, OSError):
                if not connection.can_read():
                    return
            connection.disconnect()
        connection.connect()

    def make_connection(self: Any) -> Any:
        """Make a connection; `get_connection` limits their number, since some are used outside the pool."""
        self._created_connections = 0
        return super().make_connection()  # type: ignore[misc]

    def release(self: Any, connection: Any) -> None:
        """Put a connection back into the pool."""
        self._checkpid()
        with self._lock:
            if connection not in self._in_use_connections:
                return
            self._in_use_connections.remove(connection)
            now = time.monotonic()
            if not connection.is_connected:
                self._broken_at = now
            if not self.owns_connection(connection):
                connection.disconnect()
            else:
                self._released[connection] = now
                self._available_connections.append(connection)
            self._returned.notify()
            if len(self._available_connections) > 1 and self._closer is None:
                self._closer = threading.Thread(target=self._close_idle, name="idle connections", daemon=True)
                self._closer.start()

    def _close_idle(self: Any) -> None:
        """Close idle connections until only one is open."""
        me = self._closer
        while self._closer is me:
            time.sleep(IDLE_SECONDS / 2)
            with self._lock:
                before = time.monotonic() - IDLE_SECONDS
                idle = [each for each in self._available_connections[:-1] if self._released.get(each, 0) < before]
                self._available_connections = [each for each in self._available_connections if each not in idle]
                for connection in idle:
                    self._released.pop(connection, None)
                if len(self._available_connections) + len(self._in_use_connections) <= 1:
                    self._closer = None
            for connection in idle:
                connection.disconnect()


class Pool(_Shared, ConnectionPool):
    """The connections to one Redis."""


class SentinelPool(_Shared, SentinelConnectionPool):
    """The connections to the master that Sentinel names."""


def with_connection(client: Redis, call: Callable[[Any], T]) -> T:
    """Call a function with a connection, and again as the connection's `retry` says."""
    pool: Any = client.connection_pool
    connection = pool.get_connection()
    try:
        answer: T = connection.retry.call_with_retry(lambda: call(connection), lambda _: connection.disconnect())
    except BaseException as error:
        if not isinstance(error, ResponseError):  # an unread answer must not be the next command's
            connection.disconnect()
        raise
    finally:
        pool.release(connection)
    return answer


class Client(Redis):
    """redis-py's client without its metrics and special cases, which took half of a call's CPU."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and return its answer; send it again as the connection's `retry` says."""
        parse: Any = self.parse_response

        def call(connection: Any) -> Any:
            connection.send_command(*args)
            return parse(connection, args[0], **options)

        return with_connection(self, call)

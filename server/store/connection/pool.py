"""A small pool of connections: callers wait for a free one, and idle ones are closed.

The smallest plans of managed Redis accept twenty connections. redis-py's own pools raise an error when all are in use,
or keep every connection that was ever needed.
"""

import threading
import time
from typing import Any

from redis import ConnectionPool
from redis.exceptions import ConnectionError, MaxConnectionsError
from redis.sentinel import SentinelConnectionPool

#: Seconds to wait for a free connection.
POOL_TIMEOUT = 1.0

#: Seconds without use after which a connection is closed; the one that was used last is kept.
IDLE_SECONDS = 10.0


class _Shared:
    """The changes to redis-py's pools."""

    def reset(self: Any) -> None:
        """Begin anew, also in a forked child, for which another thread may have held the lock."""
        self._lock = threading.RLock()
        self._slots = threading.Semaphore(self.max_connections)
        self._released: dict[Any, float] = {}
        self._broken_at = 0.0  # when a connection came back that had failed
        self._closer: threading.Thread | None = None
        super().reset()  # type: ignore[misc]

    def get_connection(self: Any, *_: Any, **__: Any) -> Any:
        """Take a connection; wait if all are in use.

        Raises:
            ConnectionError: none was free in time, or Redis failed to answer another thread meanwhile.
        """
        self._checkpid()
        began = time.monotonic()
        if not self._slots.acquire(timeout=POOL_TIMEOUT):
            raise MaxConnectionsError("All connections to Redis are in use.")
        if self._broken_at > began:  # a silent Redis: another wait for its answer would be too long for a request
            self._slots.release()
            raise ConnectionError("Redis has just failed to answer.")
        return super().get_connection()  # type: ignore[misc]

    def make_connection(self: Any) -> Any:
        """Make a connection; `get_connection` limits their number, since some are used outside the pool.

        `release` is not called for one that could not be made.
        """
        self._created_connections = 0
        try:
            return super().make_connection()  # type: ignore[misc]
        except BaseException:
            self._slots.release()
            raise

    def release(self: Any, connection: Any) -> None:
        """Give a connection back."""
        self._checkpid()
        with self._lock:
            held = connection in self._in_use_connections
            self._released[connection] = now = time.monotonic()
            if held and not connection.is_connected:
                self._broken_at = now
            super().release(connection)  # type: ignore[misc]
            if len(self._available_connections) > 1 and self._closer is None:
                self._closer = threading.Thread(target=self._close_idle, name="idle connections", daemon=True)
                self._closer.start()
        if held:
            self._slots.release()

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

"""Counts that a process adds to Redis every few seconds, instead of a command for each event."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from server.store.connection import UNREACHABLE
from server.store.errors import CoatcheckError
from server.store.stats.counters import Counters

#: Seconds between two flushes: a killed process loses the counts of this time.
FLUSH_SECONDS = 5.0

#: The value of a field that is not a counter but the time of the flush.
NOW = "now"


class CounterBuffer:
    """Counts for one hash. Any thread may add to it; a caller flushes it when it is due."""

    def __init__(self, counters: Callable[[], Counters], key: str) -> None:
        self._counters = counters
        self._key = key
        self._counts: dict[str, int] = {}
        self._times: set[str] = set()
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._flushed_at = time.monotonic()

    def add(self, name: str, number: int = 1) -> None:
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + number

    def note_time(self, name: str) -> None:
        """Set a field to the time of the next flush, in ms since 1970."""
        with self._lock:
            self._times.add(name)

    def due(self) -> bool:
        """Return whether the caller should flush: once every few seconds, if there are counts."""
        if not self._counts or (now := time.monotonic()) - self._flushed_at < FLUSH_SECONDS:
            return False
        self._flushed_at = now
        return True

    def flush(self) -> None:
        """Add the counts to the hash. If Redis does not accept them, the next flush adds them."""
        if not self._flushing.acquire(blocking=False):
            return
        try:
            with self._lock:
                counts, self._counts = self._counts, {}
                times, self._times = self._times, set()
            if counts and not self._stored({**counts, **dict.fromkeys(times, NOW)}):
                for name, number in counts.items():
                    self.add(name, number)
        finally:
            self._flushing.release()

    def _stored(self, values: dict[str, int | str]) -> bool:
        with suppress(*UNREACHABLE, CoatcheckError):
            self._counters().add(self._key, values)
            return True
        return False

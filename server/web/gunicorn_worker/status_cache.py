"""Cached task records, kept current by messages from Redis: polls of these tasks send nothing to Redis.

The second poll of a task subscribes to its changes. A record read after the subscription is active stays valid until a
change is published, which happens in the script call that makes the change, before its caller has an answer.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from server.store.lua import StoreClock
from server.store.record import Record, Status
from server.web.gunicorn_worker.notifier import Notifier, Subscription
from server.web.long_poll import CHANGES
from server.web.responses import encoded_status

#: Tasks that a process caches, each with at most one subscription.
MAX_TASKS = 2000

#: Seconds for which a cached record is valid: for a queued task, whose position changes without a message, and for
#: others.
_QUEUED_SECONDS = 1.0
_OTHER_SECONDS = 10.0

#: Maximum bytes of a result that is cached with its record.
_MAX_RESULT = 2048

#: Caches a record that a thread has read, with the estimated seconds until the task starts.
Offer = Callable[[Record, float | None], None]


class Entry:
    """A task that was polled; `record` is None if it must be read."""

    __slots__ = ("_encoded", "_prefix", "record", "subscription", "to_start", "until", "version")

    def __init__(self) -> None:
        self.record: Record | None = None
        self._prefix: str | None = None
        self._encoded = b"", ""
        self.to_start: float | None = None
        self.until = 0.0
        self.subscription: Subscription | None = None
        #: The number of changes received: a record read before a change does not replace one read after it.
        self.version = 0

    def keep(self, record: Record) -> None:
        """Replace the record by a newer one."""
        self.record, self._prefix = record, None

    def encoded(self, prefix: str) -> tuple[bytes, str]:
        """Return the status object with its ETag. Those of the last prefix are cached."""
        if prefix != self._prefix:
            assert self.record is not None
            self._prefix, self._encoded = prefix, encoded_status(self.record, prefix)
        return self._encoded

    def invalidate(self) -> None:
        """Drop the record, because it may have changed."""
        self.record = None
        self.version += 1


class StatusCache:
    """The cached records of one process. Only an offer may be used from another thread."""

    def __init__(self, notifier: Notifier, post: Callable[..., None], clock: StoreClock) -> None:
        self.clock = clock
        self._notifier = notifier
        self._post = post
        self._entries: dict[str, Entry] = {}

    def get(self, task_id: str) -> Entry | None:
        """Return the entry of a task whose record is cached and current."""
        entry = self._entries.get(task_id)
        if entry is None or entry.record is None or not self._notifier.in_sync(task_id):
            return None
        is_current = entry.record is not None and time.monotonic() < entry.until  # `in_sync` may have changed it
        return entry if is_current else None

    def offer(self, task_id: str) -> Offer | None:
        """Return the callback for a record that a thread is about to read, or None if it would not be cached."""
        entry = self._entries.get(task_id)
        if entry is None:
            self._entries[task_id] = Entry()
            if len(self._entries) > MAX_TASKS:
                self._drop(next(iter(self._entries)))
            return None
        if entry.subscription is None:
            entry.subscription = self._notifier.subscribe(task_id, CHANGES, entry.invalidate)
        if not self._notifier.in_sync(task_id):
            return None
        version = entry.version

        def keep(record: Record, to_start: float | None) -> None:
            """Called by the thread that has read the record: the first read of Redis's clock may wait."""
            self._post(self._keep, entry, version, record, to_start, _valid_seconds(record, self.clock.now_ns() / 1e9))

        return keep

    def _drop(self, task_id: str) -> None:
        entry = self._entries.pop(task_id)
        if entry.subscription is not None:
            self._notifier.unsubscribe(entry.subscription)

    def _keep(self, entry: Entry, version: int, record: Record, to_start: float | None, seconds: float) -> None:
        if entry.version != version:
            return
        small = len(record.result or b"") <= _MAX_RESULT and not record.files
        entry.keep(replace(record, input=None, result=record.result if small else None))
        entry.to_start, entry.until = to_start, time.monotonic() + seconds


def _valid_seconds(record: Record, now: float) -> float:
    if record.status is Status.QUEUED:
        return _QUEUED_SECONDS
    return _OTHER_SECONDS if record.expires_ms is None else min(record.expires_ms / 1000 - now, _OTHER_SECONDS)

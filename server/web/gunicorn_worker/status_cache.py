"""Records that this process has read and of which it would have heard a change: polls that ask Redis nothing.

A task that is asked for a second time is subscribed to. What was read after the subscription stands counts until a
change is published, which happens in the step that makes it, before whoever made it has an answer.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from server.store.record import Record, Status
from server.web.gunicorn_worker.notifier import Notifier, Subscription
from server.web.long_poll import CHANGES
from server.web.responses import encoded_status

#: Tasks that a process remembers, each with one subscription at most.
MAX_TASKS = 2000

#: Seconds for which a record counts without being read: in a queue, where its place changes without a word, and else.
_QUEUED_SECONDS = 1.0
_OTHER_SECONDS = 10.0

#: Bytes of a result that is remembered with its record.
_MAX_RESULT = 2048

#: Keeps what a thread has read: the record, and in how many seconds it is likely to start.
Offer = Callable[[Record, float | None], None]


class Entry:
    """A task that was asked for; `record` is None where it is to be read."""

    __slots__ = ("body", "etag", "record", "subscription", "to_start", "turn", "until")

    def __init__(self) -> None:
        self.record: Record | None = None
        self.body, self.etag = b"", ""
        self.to_start: float | None = None
        self.until = 0.0
        self.subscription: Subscription | None = None
        #: Changes that were heard: what was read before one does not replace what is read after it.
        self.turn = 0

    def forget(self) -> None:
        """The record has changed, or may have."""
        self.record = None
        self.turn += 1


class StatusCache:
    """The records of one process's polls. Everything but an offer belongs to the loop's thread."""

    def __init__(self, notifier: Notifier, post: Callable[..., None]) -> None:
        self._notifier = notifier
        self._post = post
        self._entries: dict[str, Entry] = {}

    def get(self, task_id: str) -> Entry | None:
        """The entry of a task whose record is known and up to date."""
        entry = self._entries.get(task_id)
        if entry is None or entry.record is None or not self._notifier.in_sync(task_id):
            return None
        return (
            entry if entry.record is not None and time.time() < entry.until else None
        )  # `in_sync` may have changed it

    def offer(self, task_id: str) -> Offer | None:
        """What to do with the record that a thread is about to read; None where it would not be of use."""
        entry = self._entries.get(task_id)
        if entry is None:
            self._entries[task_id] = Entry()
            if len(self._entries) > MAX_TASKS:
                self._drop(next(iter(self._entries)))
            return None
        if entry.subscription is None:
            entry.subscription = self._notifier.subscribe(task_id, CHANGES, entry.forget)
        if not self._notifier.in_sync(task_id):
            return None
        return partial(self._post, self._keep, entry, entry.turn)

    def _drop(self, task_id: str) -> None:
        entry = self._entries.pop(task_id)
        if entry.subscription is not None:
            self._notifier.unsubscribe(entry.subscription)

    def _keep(self, entry: Entry, turn: int, record: Record, to_start: float | None) -> None:
        if entry.turn != turn:
            return
        small = len(record.result or b"") <= _MAX_RESULT and not record.files
        entry.record = replace(record, input=None, result=record.result if small else None)
        entry.body, entry.etag = encoded_status(record)
        entry.to_start, entry.until = to_start, _until(record)


def _until(record: Record) -> float:
    now = time.time()
    if record.status is Status.QUEUED:
        return now + _QUEUED_SECONDS
    expires = record.expires_ms / 1000 if record.expires_ms is not None else now + _OTHER_SECONDS
    return min(expires, now + _OTHER_SECONDS)

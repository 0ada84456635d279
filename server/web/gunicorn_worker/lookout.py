"""Polls that ask Redis nothing: records that this process has read and of which it would have heard a change.

A client that polls gets the same answer most of the time. So who asks for a task a second time has it watched (see
`waiters.py`), and what was read last is the answer for as long as no word came: a change is published in the
step that makes it, before whoever made it has an answer. Where the connection is lost or silent, each poll reads.
"""

import threading
import time
from dataclasses import replace

from flask import current_app

from server.store.record import Record, Status
from server.store.tasks import Tasks
from server.web.current import store
from server.web.gunicorn_worker.waiters import CHANGES, Waiters, Watch, waiters

#: Tasks that a process remembers, each with one watch at most.
MOST = 2000

#: Seconds for which a record counts without being read: in a queue, where its place changes without a word, and else.
QUEUED_SECONDS = 1.0
OTHER_SECONDS = 10.0


#: Where the application keeps it among Flask's extensions.
_EXTENSION = "coatcheck.lookout"


class _Seen:
    """A task that was asked for: watched from the second time on."""

    __slots__ = ("record", "turn", "until", "watch")

    def __init__(self) -> None:
        self.watch: Watch | None = None
        self.record: Record | None = None  # None: it is to be read
        self.until = 0.0
        self.turn = 0  # changes that were heard: what was read before one does not replace what is read after it


class Lookout:
    """The records of this process's polls."""

    def __init__(self, stored: Tasks, watched: Waiters) -> None:
        self._records = stored
        self._waiters = watched
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}

    def look(self, task_id: str) -> Record | None:
        """What `Tasks.look` gives, but for the input and the result, which a status does not tell."""
        seen = self._seen.get(task_id)
        if seen is None:
            return self._first(task_id)
        watch = seen.watch or self._watch(task_id, seen)
        # In this order: a word that came before this call has rung, and whoever reads anew takes the record away first.
        unchanged = self._waiters.hears(task_id) and not watch.rung
        if unchanged and (record := seen.record) is not None and time.time() < seen.until:
            return record
        return self._read(task_id, seen, watch)

    def _watch(self, task_id: str, seen: _Seen) -> Watch:
        with self._lock:
            seen.watch = seen.watch or self._waiters.watch(task_id, CHANGES)
            return seen.watch

    def _first(self, task_id: str) -> Record | None:
        record = self._records.get_with_position(task_id)
        if record is not None:
            with self._lock:
                self._seen.setdefault(task_id, _Seen())
                oldest = next(iter(self._seen))
                left = self._seen.pop(oldest) if len(self._seen) > MOST else None
            if left is not None and left.watch is not None:
                left.watch.close()
        return record

    def _read(self, task_id: str, seen: _Seen, watch: Watch) -> Record | None:
        with self._lock:
            if watch.rung:
                seen.record, watch.rung = None, False
                seen.turn += 1
            turn = seen.turn
        would_hear = self._waiters.hears(task_id)
        record = self._records.get_with_position(task_id)
        if record is not None and would_hear:
            with self._lock:
                if seen.turn == turn:
                    seen.record, seen.until = replace(record, input=b"", result=None), _until(record)
        return record


def _until(record: Record) -> float:
    now = time.time()
    if record.status is Status.QUEUED:
        return now + QUEUED_SECONDS
    expires = record.expires_ms / 1000 if record.expires_ms is not None else now + OTHER_SECONDS
    return min(expires, now + OTHER_SECONDS)


def lookout() -> Lookout:
    """The lookout of the current application in this process."""
    found: Lookout | None = current_app.extensions.get(_EXTENSION)
    if found is None:
        found = current_app.extensions.setdefault(_EXTENSION, Lookout(store().tasks, waiters()))
    return found

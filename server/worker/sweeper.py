"""Finds what has slipped through, whatever the reason, and puts it right. One worker at a time does it.

It does not need to know which process died: it compares the records, which are the truth, with the queues and the
leases. What it publishes twice is harmless, because a claim succeeds once.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from kombu.exceptions import OperationalError

from server.broker import outside
from server.broker.message import queue_list, rebuild
from server.broker.throttling import let_all_run
from server.connections import UNREACHABLE
from server.logs import event
from server.records import PRIORITIES, Status, Upkeep, figures, records, upkeep
from server.registry import catalog
from server.schedules import fire_due
from server.settings import settings

#: At most so many of each finding in one round, so that a round stays short.
BATCH = 200

#: Of what has expired it may be more: it has to keep up with what ends.
EXPIRED_BATCH = 1000

#: Seconds for which a queued record may be seen without a message before it gets a new one.
PATIENCE = 2.0

#: Seconds after which a task without a message at another broker gets one, and after which one that waits while that
#: broker's queue is empty does.
UNPUBLISHED_AFTER = 1.0
VANISHED_AFTER = 10.0

log = logging.getLogger(__name__)


class Sweeper:
    """Sweeps when it is this worker's turn."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._next_slow_round = 0.0

    def round(self) -> None:
        """Sweep once, if this worker is the elected one. What goes wrong with one finding leaves the others alone."""
        quiet = upkeep().elect_sweeper(self._worker)
        if quiet is None:
            return
        for step in self._steps(upkeep(), judging=quiet == 0):
            try:
                step()
            except UNREACHABLE:
                raise
            except Exception:
                event(log, "sweeper.failed", level=logging.ERROR, error=True)

    def _steps(self, store: Upkeep, *, judging: bool) -> Iterator[Callable[[], None]]:
        yield partial(self._publish_due, store)
        yield partial(fire_due, BATCH)
        yield partial(self._cancel_overdue, store)
        yield partial(let_all_run, BATCH)
        if judging:
            yield partial(self._release_lost, store)
            yield partial(self._give_back_stale, store)
        yield partial(self._drop_expired, store)
        if not settings().broker_is_redis:
            yield partial(self._publish_unpublished, store)
        elif time.monotonic() >= self._next_slow_round:
            self._next_slow_round = time.monotonic() + PATIENCE
            yield partial(self._publish_nowhere, store)

    def _publish_due(self, store: Upkeep) -> None:
        for task_id in store.due(BATCH):
            record = records().get(task_id)
            if record is None:  # it waited for another task, was canceled, and has expired before that one ended
                store.forget("due", task_id)
            else:
                store.publish(record, rebuild(record))

    def _cancel_overdue(self, store: Upkeep) -> None:
        for task_id in store.overdue(BATCH):
            records().cancel(task_id)
            store.forget("deadlines", task_id)

    def _publish(self, store: Upkeep, task_id: str) -> bool:
        record = records().get(task_id)
        return record is not None and store.publish(record, rebuild(record))

    def _release_lost(self, store: Upkeep) -> None:
        for task_id in store.lost(BATCH):
            record = records().get(task_id)
            if record is None:
                store.forget("leases", task_id)
                continue
            status = store.release(task_id, "", record.rank, rebuild(record), crashed=True)
            if status:
                figures().count("sweeper:lost")
                event(log, "sweeper.lost", level=logging.WARNING, task_id=task_id, task=record.kind, status=status)

    def _give_back_stale(self, store: Upkeep) -> None:
        if settings().broker_is_redis and (found := store.restore_stale_messages(BATCH)):
            figures().count("sweeper:given_back", found)

    def _publish_unpublished(self, store: Upkeep) -> None:
        """What a broker of its own has no message of yet, or has lost all messages of (a queue that was purged)."""
        with suppress(OperationalError):
            task_ids = store.unpublished(UNPUBLISHED_AFTER, BATCH)
            found = [record for task_id in task_ids if (record := records().get(task_id))]
            queued = [record for record in found if record.status is Status.QUEUED]
            store.published(list(set(task_ids) - {record.id for record in queued}))
            outside.publish(queued)
            if time.monotonic() >= self._next_slow_round:
                self._next_slow_round = time.monotonic() + VANISHED_AFTER
                for queue in sorted({kind.queue for kind in catalog()}):
                    if outside.waiting(queue) == 0:
                        for task_id in store.waiting_longer_than(VANISHED_AFTER, queue, BATCH):
                            self._publish(store, task_id)

    def _publish_nowhere(self, store: Upkeep) -> None:
        for queue in sorted({kind.queue for kind in catalog()}):
            lists = [queue_list(queue, rank) for rank in range(len(PRIORITIES))]
            for task_id in store.nowhere(queue, lists, PATIENCE, BATCH):
                if self._publish(store, task_id):
                    figures().count("sweeper:nowhere")
                    event(log, "sweeper.nowhere", level=logging.WARNING, task_id=task_id)

    def _drop_expired(self, store: Upkeep) -> None:
        for task_id in store.expired(EXPIRED_BATCH):
            store.drop(task_id)

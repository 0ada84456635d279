"""Maintenance: find lost, due and expired tasks and repair them, whatever the cause. One worker at a time does it.

It does not need to know which process died: it compares the records, which are the truth, with queues and leases.
Publishing a message twice is harmless, because a claim succeeds once.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from kombu.exceptions import OperationalError

from server.logs import event
from server.sdk.registry import catalog
from server.services.message import queue_list, rebuild
from server.services.schedules import fire_due
from server.services.throttling import release_all
from server.store import Store
from server.store.connection import UNREACHABLE
from server.store.record import PRIORITIES, Status

#: Maximum number of repairs of each kind in one round, so that a round stays short.
BATCH = 200

#: The same for expired records, which must be deleted as fast as tasks end.
EXPIRED_BATCH = 1000

#: Seconds that a queued record may be without a message before it gets a new one.
TIMEOUT = 2.0

#: With an external broker: seconds before a task without a message gets one, and before a task that waits while the
#: broker's queue is empty gets one.
UNPUBLISHED_AFTER = 1.0
VANISHED_AFTER = 10.0

log = logging.getLogger(__name__)


class Maintenance:
    """Maintains the store while this worker is the elected leader."""

    def __init__(self, store: Store, app: Any, worker: str) -> None:
        self._store = store
        self._app = app
        self._worker = worker
        self._next_slow_round = 0.0

    def round(self) -> None:
        """Run all steps once if this worker is the leader. An error in one step does not stop the others."""
        quiet = self._store.leases.elect_leader(self._worker)
        if quiet is None:
            return
        for step in self._steps(judging=quiet == 0):
            try:
                step()
            except UNREACHABLE:
                raise
            except Exception:
                event(log, "maintenance.failed", level=logging.ERROR, error=True)

    def _steps(self, *, judging: bool) -> Iterator[Callable[[], None]]:
        yield partial(self._publish_due)
        yield partial(fire_due, self._store, BATCH)
        yield partial(self._cancel_overdue)
        yield partial(release_all, self._store, BATCH)
        if judging:
            yield partial(self._release_lost)
            yield partial(self._give_back_stale)
        yield partial(self._drop_expired)
        if not self._store.settings.broker_is_redis:
            yield partial(self._publish_unpublished)
        elif time.monotonic() >= self._next_slow_round:
            self._next_slow_round = time.monotonic() + TIMEOUT
            yield partial(self._publish_lost)

    def _publish_due(self) -> None:
        for task_id in self._store.leases.due(BATCH):
            record = self._store.tasks.get(task_id)
            if record is None:  # it waited for another task, was canceled, and expired before that task ended
                self._store.leases.forget("due", task_id)
            else:
                self._store.leases.publish(record, rebuild(self._store.settings, record))

    def _cancel_overdue(self) -> None:
        for task_id in self._store.leases.overdue(BATCH):
            self._store.tasks.cancel(task_id)
            self._store.leases.forget("deadlines", task_id)

    def _publish(self, task_id: str) -> bool:
        record = self._store.tasks.get(task_id)
        return record is not None and self._store.leases.publish(record, rebuild(self._store.settings, record))

    def _release_lost(self) -> None:
        for task_id in self._store.leases.expired_leases(BATCH):
            record = self._store.tasks.get(task_id)
            if record is None:
                self._store.leases.forget("leases", task_id)
                continue
            status = self._store.leases.release(
                task_id, "", record.rank, rebuild(self._store.settings, record), crashed=True
            )
            if status:
                self._store.counters.count("recovery:lost_attempts")
                event(
                    log,
                    "maintenance.lost",
                    level=logging.WARNING,
                    task_id=task_id,
                    task=record.task_type,
                    status=status,
                )

    def _give_back_stale(self) -> None:
        if self._store.settings.broker_is_redis and (found := self._store.leases.restore_stale_messages(BATCH)):
            self._store.counters.count("recovery:returned_messages", found)

    def _publish_unpublished(self) -> None:
        """Publish tasks that have no message at the external broker yet, or whose queue was purged there."""
        with suppress(OperationalError):
            task_ids = self._store.leases.unpublished(UNPUBLISHED_AFTER, BATCH)
            found = [record for task_id in task_ids if (record := self._store.tasks.get(task_id))]
            queued = [record for record in found if record.status is Status.QUEUED]
            self._store.leases.published(list(set(task_ids) - {record.id for record in queued}))
            self._app.external_broker.publish(queued)
            if time.monotonic() >= self._next_slow_round:
                self._next_slow_round = time.monotonic() + VANISHED_AFTER
                for queue in sorted({each.queue for each in catalog()}):
                    if self._app.external_broker.waiting(queue) == 0:
                        for task_id in self._store.leases.waiting_longer_than(VANISHED_AFTER, queue, BATCH):
                            self._publish(task_id)

    def _publish_lost(self) -> None:
        for queue in sorted({each.queue for each in catalog()}):
            lists = [queue_list(queue, rank) for rank in range(len(PRIORITIES))]
            for task_id in self._store.leases.find_lost_messages(queue, lists, TIMEOUT, BATCH):
                if self._publish(task_id):
                    self._store.counters.count("recovery:lost_messages")
                    event(log, "maintenance.lost_message", level=logging.WARNING, task_id=task_id)

    def _drop_expired(self) -> None:
        for task_id in self._store.leases.expired_records(EXPIRED_BATCH):
            self._store.leases.drop(task_id)

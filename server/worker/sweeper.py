"""Finds what has slipped through, whatever the reason, and puts it right. One worker at a time does it.

It does not need to know which process died: it compares the records, which are the truth, with the queues and the
leases. What it publishes twice is harmless, because a claim succeeds once.
"""

import logging
import time
from contextlib import suppress

from celery import Celery
from kombu.exceptions import OperationalError

from server.broker import outside
from server.broker.message import queue_list, rebuild
from server.broker.throttling import let_all_run
from server.logs import event
from server.records import PRIORITIES, Status, Upkeep, figures, records, upkeep
from server.records.webhooks import webhooks
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

#: Seconds between two searches for files without a record: the whole blob store is listed.
ORPHANS_EVERY = 3600

log = logging.getLogger(__name__)


class Sweeper:
    """Sweeps when it is this worker's turn."""

    def __init__(self, app: Celery, worker: str) -> None:
        self._app = app
        self._worker = worker
        self._next_slow_round = 0.0

    def sweep(self) -> None:
        """One round, if this worker is the elected one."""
        store = upkeep()
        quiet = store.elect_sweeper(self._worker)
        if quiet is None:
            return
        self._publish_due(store)
        fire_due(BATCH)
        self._cancel_overdue(store)
        let_all_run(BATCH)
        if quiet == 0:
            self._release_lost(store)
            if settings().broker_is_redis and (found := store.restore_stale_messages(BATCH)):
                figures().count("sweeper:given_back", found)
        if webhooks().claim_job():
            outside.send_job(self._app, "coatcheck.webhook", rank=0)  # a few of them do not wait behind many tasks
        self._drop_expired(store)
        if store.is_time_for("orphans", ORPHANS_EVERY):
            outside.send_job(self._app, "coatcheck.collect_orphans")
        if not settings().broker_is_redis:
            self._publish_unpublished(store)
        elif time.monotonic() >= self._next_slow_round:
            self._next_slow_round = time.monotonic() + PATIENCE
            self._publish_nowhere(store)

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
        with_files = [task_id for task_id in store.expired(EXPIRED_BATCH) if store.drop(task_id)]
        if with_files:
            outside.send_job(self._app, "coatcheck.collect", with_files)

"""The rescuer: finds tasks that lost their worker or their message, and repairs them.

It does not need to know which process died: it compares the records, which are the truth, with the queues and the
leases. A message that it publishes twice is harmless, because a claim succeeds once.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from kombu.exceptions import OperationalError

from server.celery_app.external_broker import ExternalBroker
from server.celery_app.worker.maintenance.leader import Leader
from server.celery_app.worker.maintenance.service import BATCH, run_each, until_done
from server.logs import event
from server.sdk.registry import queue_names
from server.store import Store
from server.store.record import Status

#: Seconds without a message after which a queued record gets a new one, and seconds between two searches.
LOST_AFTER = 2.0

#: Seconds after which a task without a message at an external broker gets one, and after which a task gets another one
#: if it waits although that broker's queue is empty.
UNPUBLISHED_AFTER = 1.0
VANISHED_AFTER = 10.0
WARN_EVERY = 30.0  # seconds between two warnings of a queue that has tasks and no worker

log = logging.getLogger(__name__)


class Rescuer:
    """Releases expired leases, returns the messages of dead workers, replaces lost messages."""

    name = "rescuer"
    interval = 1.0

    def __init__(self, store: Store, leader: Leader) -> None:
        self._store = store
        self._leader = leader
        self._next_search = 0.0
        self._next_warning = 0.0

    def round(self) -> int | None:
        if not self._leader.may_check_leases():
            return None
        steps: list[Callable[[], int]] = [partial(until_done, self._release_lost), self._warn_of_queues]
        if self._store.settings.broker_is_redis:
            steps.append(partial(until_done, self._restore_stale))
            if time.monotonic() >= self._next_search:
                self._next_search = time.monotonic() + LOST_AFTER
                steps.append(self._publish_lost)
        return run_each(*steps)

    def _release_lost(self, limit: int) -> int:
        released = self._store.leases.release_expired(limit)
        for task_id, name, status in released:
            if status:
                self._store.counters.count("recovery:lost_attempts")
                ids = self._store.tasks.log_ids(task_id)
                event(log, "maintenance.lost", level=logging.WARNING, **ids, task=name, status=status)
        return len(released)

    def _warn_of_queues(self) -> int:
        if time.monotonic() >= self._next_warning:
            self._next_warning = time.monotonic() + WARN_EVERY
            for queue, waiting in self._store.queues.unattended(self._store.leases.workers()).items():
                event(log, "queue.without_worker", level=logging.WARNING, queue=queue, waiting=waiting)
        return 0

    def _restore_stale(self, limit: int) -> int:
        restored = self._store.leases.restore_stale_messages(limit)
        if restored:
            self._store.counters.count("recovery:returned_messages", restored)
        return restored

    def _publish_lost(self) -> int:
        return sum(until_done(partial(self._publish_lost_of, queue)) for queue in _queues(self._store))

    def _publish_lost_of(self, queue: str, limit: int) -> int:
        task_ids = self._store.leases.requeue_lost(queue, LOST_AFTER, limit)
        for task_id in task_ids:
            self._store.counters.count("recovery:lost_messages")
            event(log, "maintenance.lost_message", level=logging.WARNING, **self._store.tasks.log_ids(task_id))
        return len(task_ids)


class BrokerRescuer:
    """Publishes tasks without a message at an external broker such as RabbitMQ."""

    name = "broker_rescuer"
    interval = 1.0

    def __init__(self, store: Store, leader: Leader, broker: ExternalBroker) -> None:
        self._store = store
        self._leader = leader
        self._broker = broker
        self._next_search = 0.0

    def round(self) -> int | None:
        """Publish missing messages, and those of tasks that wait while the broker's queue is empty (purged)."""
        if not self._leader.elected:
            return None
        done = 0
        with suppress(OperationalError):
            done += until_done(self._publish_unpublished)
            if time.monotonic() >= self._next_search:
                self._next_search = time.monotonic() + VANISHED_AFTER
                done += sum(self._publish_vanished(queue) for queue in _queues(self._store))
        return done

    def _publish_unpublished(self, limit: int) -> int:
        until_ms = self._store.leases.now_ms() - int(UNPUBLISHED_AFTER * 1000)
        task_ids = self._store.leases.unpublished(until_ms, limit)
        records = [record for record in self._store.tasks.get_many(task_ids) if record]
        queued = [record for record in records if record.status is Status.QUEUED]
        self._store.leases.published(list(set(task_ids) - {record.id for record in queued}), until_ms)
        self._broker.publish(queued, until_ms)
        return len(task_ids)

    def _publish_vanished(self, queue: str) -> int:
        if self._broker.waiting(queue) > 0:
            return 0
        waiting = self._store.leases.waiting_longer_than(VANISHED_AFTER, queue, BATCH)
        return len(self._store.leases.requeue(waiting))


def _queues(store: Store) -> list[str]:
    return sorted(queue_names() | set(store.queues.names()))

"""The scheduler: queues due tasks."""

from functools import partial

from server.celery_app.worker.maintenance.leader import Leader
from server.celery_app.worker.maintenance.service import run_each, until_done
from server.services.message import rebuild
from server.services.schedules import fire_due
from server.services.throttling import release_all
from server.store import Store

#: Tasks per step, so that the other steps get their turn.
BATCH = 200

#: Schedules per round. More than a batch: those that cannot fire stay due and must not block the others.
MAX_SCHEDULES = 10_000


class Scheduler:
    """Queues delayed tasks and retries, fires schedules, releases throttled tasks, cancels at deadlines."""

    name = "scheduler"
    interval = 0.5

    def __init__(self, store: Store, leader: Leader) -> None:
        self._store = store
        self._leader = leader

    def round(self) -> int:
        """Queue everything that is due."""
        if not self._leader.elected:
            return 0
        return run_each(
            partial(until_done, self._publish_due, BATCH),
            partial(until_done, self._cancel_overdue, BATCH),
            partial(release_all, self._store, BATCH),
            partial(fire_due, self._store, MAX_SCHEDULES),
        )

    def _publish_due(self) -> int:
        due = self._store.leases.due(BATCH)
        for task_id, record in zip(due, self._store.tasks.get_many(due), strict=True):
            if record is None:  # it waited for another task, was canceled, and has expired before that one ended
                self._store.leases.forget("due", task_id)
            else:
                self._store.leases.publish(record, rebuild(self._store.settings, record))
        return len(due)

    def _cancel_overdue(self) -> int:
        overdue = self._store.leases.overdue(BATCH)
        for task_id in overdue:
            self._store.tasks.cancel(task_id)
            self._store.leases.forget("deadlines", task_id)
        return len(overdue)

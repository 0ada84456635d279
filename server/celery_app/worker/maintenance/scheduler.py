"""The scheduler: queues due tasks."""

from functools import partial

from server.celery_app.worker.maintenance.leader import Leader
from server.celery_app.worker.maintenance.service import run_each, until_done
from server.services.schedules import fire_due
from server.services.throttling import release_due
from server.store import Store

#: Schedules per round. More than a batch: those that cannot fire stay due and must not block the others.
MAX_SCHEDULES = 10_000


class Scheduler:
    """Queues delayed tasks and retries, fires schedules, releases throttled tasks, cancels at deadlines."""

    name = "scheduler"
    interval = 0.5

    def __init__(self, store: Store, leader: Leader) -> None:
        self._store = store
        self._leader = leader

    def round(self) -> int | None:
        if not self._leader.elected:
            return None
        return run_each(
            partial(until_done, self._store.leases.enqueue_due),
            partial(until_done, self._store.leases.cancel_overdue),
            partial(release_due, self._store),
            partial(fire_due, self._store, MAX_SCHEDULES),
        )

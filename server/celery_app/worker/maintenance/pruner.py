"""The pruner: deletes expired records."""

from server.celery_app.worker.maintenance.leader import Leader
from server.celery_app.worker.maintenance.service import until_done
from server.store import Store

BATCH = 1000


class Pruner:
    """Deletes expired records. The blob cleanup deletes their files."""

    name = "pruner"
    interval = 1.0

    def __init__(self, store: Store, leader: Leader) -> None:
        self._store = store
        self._leader = leader

    def round(self) -> int:
        """Delete all that has expired by now."""
        return until_done(self._drop, BATCH) if self._leader.elected else 0

    def _drop(self) -> int:
        expired = self._store.leases.expired_records(BATCH)
        for task_id in expired:
            self._store.leases.drop(task_id)
        return len(expired)

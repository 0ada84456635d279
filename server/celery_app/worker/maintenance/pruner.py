"""The pruner: deletes expired records, and inputs that are kept for a shorter time."""

from server.celery_app.worker.maintenance.leader import Leader
from server.celery_app.worker.maintenance.service import until_done
from server.store import Store


class Pruner:
    """Deletes expired records and inputs. The blob cleanup deletes the files of records."""

    name = "pruner"
    interval = 1.0

    def __init__(self, store: Store, leader: Leader) -> None:
        self._store = store
        self._leader = leader

    def round(self) -> int | None:
        if not self._leader.elected:
            return None
        return until_done(self._store.leases.delete_expired) + until_done(self._delete_inputs)

    def _delete_inputs(self, limit: int) -> int:
        task_ids = self._store.leases.delete_expired_inputs(limit)
        for task_id in task_ids:
            self._store.blobs.delete(f"{task_id}/in")
        return len(task_ids)

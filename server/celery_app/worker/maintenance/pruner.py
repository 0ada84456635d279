"""The pruner: deletes expired records, and inputs that are kept for a shorter time."""

from functools import partial

from server.celery_app.worker.maintenance.leader import Leader
from server.celery_app.worker.maintenance.service import until_done
from server.store import Store

BATCH = 200  # records per script, which blocks Redis while it runs


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
        records = until_done(partial(self._store.leases.delete_expired, BATCH), BATCH)
        return records + until_done(self._delete_inputs, BATCH)

    def _delete_inputs(self) -> int:
        found = self._store.leases.delete_expired_inputs(BATCH)
        for task_id in found:
            self._store.blobs.delete(f"{task_id}/in")
        return len(found)

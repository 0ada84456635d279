"""The pruner: deletes expired records."""

from functools import partial

from server.celery_app.worker.maintenance.leader import Leader
from server.celery_app.worker.maintenance.service import until_done
from server.store import Store

#: Records per script, which blocks Redis while it runs.
BATCH = 200


class Pruner:
    """Deletes expired records. The blob cleanup deletes their files."""

    name = "pruner"
    interval = 1.0

    def __init__(self, store: Store, leader: Leader) -> None:
        self._store = store
        self._leader = leader

    def round(self) -> int | None:
        """Delete all records that have expired."""
        return until_done(partial(self._store.leases.delete_expired, BATCH), BATCH) if self._leader.elected else None

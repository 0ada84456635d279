"""Deletes files that no client can read anymore."""

import logging
import time
from itertools import islice

from server.logs import event
from server.store import Store, ids
from server.store.errors import StoreUnavailable

BATCH = 100  # number of tasks whose files are deleted under one lease
ORPHANS_EVERY = 3600  # seconds between two searches for files without a record, which list the whole blob store

#: Seconds without a change before files of a task without a record are deleted. A request that uploads them has timed
#: out long before.
ORPHANED_AFTER = 3600.0

log = logging.getLogger(__name__)


class BlobCleanup:
    """Deletes unused files. Any number may run: each leases some tasks, and another one continues if it dies."""

    name = "blob_cleanup"
    interval = 1.0

    def __init__(self, store: Store) -> None:
        self._store = store

    def round(self) -> int:
        """Delete the files of deleted records, and from time to time orphans. Return for how many tasks."""
        done = 0
        try:
            while task_ids := self._store.leases.lease_uncollected(BATCH):
                for task_id in task_ids:
                    self._store.blobs.delete(task_id)
                self._store.leases.collected(task_ids)
                done += len(task_ids)
            if self._store.leases.acquire_slot("orphans", ORPHANS_EVERY):
                done += self._collect_orphans()
        except StoreUnavailable as error:  # the store is unreachable: the leased tasks are returned later
            event(log, "blob_cleanup.store_unreachable", level=logging.WARNING, reason=error)
        return done

    def _collect_orphans(self) -> int:
        """Delete the files that a killed web process received and left behind.

        Only files with an id that this server has issued: a bucket may contain other objects.
        """
        # Redis and buckets have their own clocks, a folder has this machine's: the earlier one is safe.
        before = min(time.time(), self._store.leases.now_ms() / 1000) - ORPHANED_AFTER
        old = (task_id for task_id, changed in self._store.blobs.prefixes() if changed < before)
        secret = self._store.read_secret()
        number = 0
        while task_ids := list(islice(old, BATCH)):
            for task_id in self._store.leases.without_record(task_ids):
                if ids.issued(task_id, None, secret):
                    self._store.blobs.delete(task_id)
                    number += 1
        if number:
            self._store.counters.count("recovery:orphaned_files", number)
            event(log, "maintenance.orphans", number=number)
        return number

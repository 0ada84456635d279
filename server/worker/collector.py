"""Deletes files that nobody can ask for any more."""

import logging
import time
from collections.abc import Iterator
from itertools import islice

from server import ids
from server.blobs.process import store
from server.keys import keys, secret
from server.logs import event
from server.records import figures, upkeep

#: Tasks whose files are deleted under one lease.
BATCH = 100

#: Seconds between two searches for files without a record: the whole blob store is listed.
ORPHANS_EVERY = 3600

#: Seconds without a change after which the files of a task that has no record are nobody's: a request that still
#: brings them has long been timed out.
ORPHANED_AFTER = 3600.0

log = logging.getLogger(__name__)


class Collector:
    """Any number of them: each takes some for a while, and what one that dies has not deleted another one will."""

    def round(self) -> None:
        """Delete the files of tasks whose records were dropped, and now and then look for what was left behind."""
        try:
            while task_ids := upkeep().take_uncollected(BATCH):
                for task_id in task_ids:
                    store().delete(task_id)
                upkeep().collected(task_ids)
            if upkeep().is_time_for("orphans", ORPHANS_EVERY):
                _collect_orphans()
        except OSError as error:  # the store is out of reach: what was taken comes again
            event(log, "collector.store_unreachable", level=logging.WARNING, reason=error)


def _collect_orphans() -> None:
    """Delete the files that a web process took in and that it left behind by being killed.

    Only what bears an id that this server has issued: a bucket may hold other things, too.
    """
    before = time.time() - ORPHANED_AFTER
    old = (task_id for task_id, changed in store().prefixes() if changed < before)
    owners = keys().owners() | upkeep().owners()
    number = 0
    for task_ids in _batches(old):
        for task_id in upkeep().without_record(task_ids):
            if any(ids.issued(task_id, owner, secret()) for owner in owners):
                store().delete(task_id)
                number += 1
    if number:
        figures().count("sweeper:orphans", number)
        event(log, "sweeper.orphans", number=number)


def _batches(task_ids: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(task_ids, BATCH)):
        yield batch

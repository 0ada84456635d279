"""Jobs that belong to no task: deleting the files of records that are gone, delivering webhooks.

They run in a pool child, because object stores and receivers are slow, and they have no record of their own.
"""

import logging
import time

from celery import Celery

from server import ids
from server.blobs.process import store
from server.keys import keys, secret
from server.logs import event
from server.records import figures, upkeep
from server.webhooks import deliver_due

#: Seconds without a change after which the files of a task that has no record are nobody's: a request that still
#: brings them has long been timed out.
ORPHANED_AFTER = 3600.0

log = logging.getLogger(__name__)


def install(app: Celery) -> None:
    """Register the jobs. A lost delivery is noticed by its lease, so its message need not come again."""
    app.task(collect, name="coatcheck.collect", ignore_result=True)
    app.task(collect_orphans, name="coatcheck.collect_orphans", ignore_result=True, time_limit=3600)
    app.task(deliver_due, name="coatcheck.webhook", ignore_result=True, acks_late=False, time_limit=120)


def collect(task_ids: list[str]) -> None:
    """Delete all the files of these tasks."""
    blobs = store()
    for task_id in task_ids:
        blobs.delete(task_id)


def collect_orphans() -> None:
    """Delete the files that a web process took in and that it, or the record's end, left behind by being killed.

    Only what bears an id that this server has issued: a bucket may hold other things, too.
    """
    before = time.time() - ORPHANED_AFTER
    old = [task_id for task_id, changed in store().prefixes() if changed < before]
    owners = keys().owners() | upkeep().owners()
    ours = [task_id for task_id in old if any(ids.issued(task_id, owner, secret()) for owner in owners)]
    orphans = upkeep().without_record(ours)
    collect(orphans)
    if orphans:
        figures().count("sweeper:orphans", len(orphans))
        event(log, "sweeper.orphans", number=len(orphans))

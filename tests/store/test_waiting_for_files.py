"""Tasks that wait for a file of another task, in the store."""

from dataclasses import replace

import pytest
from submitting import prepare, submit_many

from server.services.submit import store_and_publish
from server.store import Store
from server.store.record import Status
from server.store.submit import SubmitRequest


@pytest.mark.parametrize("deleted", [False, True], ids=["ended", "deleted"])
def test_a_task_that_is_stored_after_the_end_of_its_source_leaves_no_entry(deleted: bool, store: Store) -> None:
    [source] = submit_many(store, 1)
    waiting = replace(prepare(store), waits_for=(source,))  # it was unfinished when the request was read
    assert store.tasks.claim(source, "w/1")
    store.tasks.finish(source, "w/1", Status.SUCCEEDED)
    if deleted:
        store.leases.drop(source)

    store_and_publish(store, SubmitRequest("alice", [waiting]))
    store.leases.enqueue_due(10)

    record = store.tasks.get(waiting.id)
    assert record is not None
    assert record.status is (Status.FAILED if deleted else Status.QUEUED)
    assert store.redis.exists(store.keys.dependents(source)) == 0

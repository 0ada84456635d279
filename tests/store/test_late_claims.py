"""A task that has not started within `start_within` never starts: each way to claim one refuses it."""

import time

from submitting import submit_many

from server.store import Store
from server.store.record import Record, Status


def read(store: Store, task_id: str) -> Record:
    """The record of a task."""
    record = store.tasks.get(task_id)
    assert record is not None
    return record


def is_refused(store: Store, task_id: str) -> bool:
    """Whether the task has ended without a start, and no queue has it."""
    record = read(store, task_id)
    assert record.error is None or record.error["type"] == "/problems/not-started-in-time"
    left = (
        store.redis.zscore(store.keys.start_deadlines, task_id),
        store.redis.zscore(store.keys.queued("default"), task_id),
    )
    return (record.status, record.deliveries, *left) == (Status.CANCELED, 0, None, None) and record.error is not None


def test_a_claim_after_the_deadline_cancels_the_task(store: Store) -> None:
    [task_id] = submit_many(store, 1, start_within=0.05)
    time.sleep(0.1)
    assert store.tasks.claim(task_id, "w/1") is None
    assert is_refused(store, task_id)
    assert store.tasks.claim(task_id, "w/1") is None, "the same call, sent again"


def test_a_step_of_a_burst_after_the_deadline_cancels_the_task(store: Store) -> None:
    first, late = submit_many(store, 1)[0], submit_many(store, 1, start_within=0.05)[0]
    store.redis.rpop("default")
    attempt = store.tasks.claim(first, "w/1")
    assert attempt is not None
    time.sleep(0.1)
    assert store.tasks.finish_and_claim(attempt, Status.SUCCEEDED, " divide ", ["default", "normal"], r="3") == (
        True,
        None,
    )
    assert is_refused(store, late)
    assert read(store, first).status is Status.SUCCEEDED


def test_maintenance_cancels_a_late_task_that_nobody_claims(store: Store) -> None:
    now, scheduled, later = (
        submit_many(store, 1, start_within=0.05, **more)[0] for more in ({}, {"delay": 0.05}, {"delay": 60})
    )
    time.sleep(0.2)
    assert store.leases.cancel_overdue(100) == 2
    assert is_refused(store, now)
    assert is_refused(store, scheduled)
    assert read(store, later).status is Status.SCHEDULED
    assert store.leases.cancel_overdue(100) == 0


def test_a_deadline_without_a_record_is_dropped(store: Store) -> None:
    store.redis.zadd(store.keys.start_deadlines, {"gone": 1})
    store.leases.cancel_overdue(100)
    assert not store.redis.exists(store.keys.start_deadlines)


def test_a_task_that_has_started_once_may_start_again_at_any_time(store: Store) -> None:
    [task_id] = submit_many(store, 1, start_within=0.1)
    assert store.tasks.claim(task_id, "w/1") is not None
    time.sleep(0.15)
    store.leases.release(task_id, "w/1", crashed=True)
    assert store.leases.cancel_overdue(100) == 0
    assert store.tasks.claim(task_id, "w/2") is not None


def test_a_waiting_task_that_is_canceled_leaves_no_deadline(store: Store) -> None:
    [task_id] = submit_many(store, 1, start_within=60)
    store.tasks.cancel(task_id)
    assert read(store, task_id).error is None
    assert not store.redis.exists(store.keys.start_deadlines)

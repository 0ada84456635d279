"""A step of a burst: the end of one attempt and the claim of the next task, in one script that may be sent twice."""

import pytest
from submitting import submit_many

from server.store import Store
from server.store.record import Status
from server.store.tasks import Attempt

LISTS = ["default", "high", "default", "normal"]


def begin(store: Store, count: int = 3) -> tuple[list[str], Attempt]:
    """Submit tasks and claim the first one, as a child does for a message."""
    ids = submit_many(store, count)
    store.redis.rpop("default")
    attempt = store.tasks.claim(ids[0], "w/1")
    assert attempt is not None
    return ids, attempt


def step(store: Store, attempt: Attempt, types: str = " divide ") -> tuple[bool, Attempt | None]:
    """End an attempt and claim the next task."""
    return store.tasks.finish_and_claim(attempt, Status.SUCCEEDED, types, LISTS, r="3")


def status(store: Store, task_id: str) -> Status:
    """The status of a task."""
    record = store.tasks.get(task_id)
    assert record is not None
    return record.status


def test_a_step_ends_one_task_and_claims_the_next_in_the_order_of_the_queue(store: Store) -> None:
    ids, first = begin(store)
    urgent = submit_many(store, 1, priority="high")[0]
    claimed = [first.id]
    attempt: Attempt | None = first
    while attempt is not None:
        stored, attempt = step(store, attempt)
        assert stored
        claimed += [attempt.id] if attempt else []
    assert claimed == [ids[0], urgent, *ids[1:]]
    assert {status(store, task_id) for task_id in claimed} == {Status.SUCCEEDED}
    assert store.redis.exists(store.keys.bursts("w"), store.keys.leases, "unacked") == 0


def test_a_repeated_step_returns_the_same_task(store: Store) -> None:
    ids, first = begin(store)
    _, second = step(store, first)
    assert step(store, first) == (True, second)
    assert second is not None
    store.tasks.cancel(second.id)
    assert step(store, first) == (True, second)
    assert (second.id, second.deliveries, status(store, ids[2])) == (ids[1], 1, Status.QUEUED)


def test_a_repeated_step_that_claimed_nothing_may_claim(store: Store) -> None:
    ids, first = begin(store, 1)
    assert step(store, first) == (True, None)
    ids += submit_many(store, 1)
    stored, second = step(store, first)
    assert second is not None
    assert (stored, second.id) == (True, ids[1])


@pytest.mark.parametrize("case", ["other type", "draining", "plain message", "lease lost"])
def test_a_step_claims_only_tasks_for_this_child(case: str, store: Store) -> None:
    ids, first = begin(store)
    if case == "draining":
        store.leases.mark_draining("w", 60)
    elif case == "plain message":
        store.redis.rpush("default", '{"body": ""}')
    elif case == "lease lost":
        store.leases.release(first.id, "w/1", crashed=False)
    stored, second = step(store, first, " hello " if case == "other type" else " divide ")
    assert (stored, second) == (case != "lease lost", None)
    assert store.redis.llen("default") == {"plain message": 3, "lease lost": 3}.get(case, 2)
    assert status(store, ids[1]) == Status.QUEUED


def test_canceled_tasks_are_skipped(store: Store) -> None:
    ids, first = begin(store)
    store.tasks.cancel(ids[1])
    _, second = step(store, first)
    assert second is not None
    assert second.id == ids[2]


def test_the_token_of_the_first_task_renews_and_releases_what_the_child_has_now(store: Store) -> None:
    ids, first = begin(store)
    step(store, first)
    assert store.leases.renew([(ids[0], "w/1")]) == [(ids[1], "divide", "mine")]
    assert store.leases.release(ids[0], "w/1", crashed=True) == (ids[1], Status.QUEUED)
    assert store.leases.release(ids[0], "w/1", crashed=True) is None
    assert (status(store, ids[0]), store.redis.hget(store.keys.task(ids[1]), "c")) == (Status.SUCCEEDED, b"3")
    assert not store.redis.exists(store.keys.bursts("w"))


def test_a_child_learns_that_its_later_task_has_another_lease(store: Store) -> None:
    ids, first = begin(store, 2)
    step(store, first)
    store.redis.zadd(store.keys.leases, {ids[1]: 0})
    assert store.leases.release_expired(10) == [(ids[1], "divide", "queued")]
    assert store.leases.renew([(ids[0], "w/1")]) == [(ids[1], "divide", "queued")]
    store.tasks.claim(ids[1], "v/2")
    assert store.leases.renew([(ids[0], "w/1")]) == [(ids[1], "divide", "other")]
    assert not store.tasks.finish(ids[1], "w/1", Status.SUCCEEDED)
    assert not store.redis.exists(store.keys.bursts("w"))


def test_a_retry_ends_the_burst(store: Store) -> None:
    _, first = begin(store, 2)
    _, second = step(store, first)
    assert second is not None
    assert store.tasks.schedule_retry(second.id, "w/1", 1.0, {"detail": "not yet"})
    assert not store.redis.exists(store.keys.bursts("w"))

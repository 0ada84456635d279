"""Tasks whose worker dies again and again: the one that kills it must not take the same others with it each time."""

import itertools

from submitting import submit_many

from server.store import Store
from server.store.record import Status


def lose(store: Store, task_ids: list[str]) -> list[str]:
    """Start tasks on one worker that dies; their new statuses."""
    for number, task_id in enumerate(task_ids):
        assert store.tasks.claim(task_id, f"worker/{number}")
    store.redis.zadd(store.keys.leases, dict.fromkeys(task_ids, 0))
    return [status for _, _, status in store.leases.release_expired(len(task_ids))]


def waits(store: Store, task_ids: list[str]) -> list[float]:
    """Seconds until each is due, after which it is queued."""
    now, due = store.clock.now_ms(), dict(store.redis.zrange(store.keys.due, 0, -1, withscores=True))
    store.redis.zadd(store.keys.due, dict.fromkeys(task_ids, 0))
    store.leases.enqueue_due(len(task_ids))
    return [(due[task_id.encode()] - now) / 1000 for task_id in task_ids]


def test_the_first_death_of_a_worker_delays_no_task(store: Store) -> None:
    assert set(lose(store, submit_many(store, 4))) == {Status.QUEUED}


def test_tasks_whose_worker_dies_again_wait_for_different_times(store: Store) -> None:
    task_ids = submit_many(store, 40)
    lose(store, task_ids)

    for maximum in (4, 8, 16, 30, 30, 30, 30):
        assert set(lose(store, task_ids)) == {Status.RETRYING}
        ordered = sorted(waits(store, task_ids))
        assert -0.1 < ordered[0] < maximum / 4
        assert maximum * 3 / 4 < ordered[-1] <= maximum
        assert max(later - earlier for earlier, later in itertools.pairwise(ordered)) < maximum / 2

    assert set(lose(store, task_ids)) == {Status.FAILED}


def test_a_task_that_waits_for_an_attempt_says_why_until_it_succeeds(store: Store) -> None:
    task_ids = submit_many(store, 1)
    lose(store, task_ids)
    lose(store, task_ids)

    record = store.tasks.get(task_ids[0])
    assert record is not None
    assert record.error is not None
    assert (record.retries, record.error["type"]) == (0, "/problems/worker-lost")

    waits(store, task_ids)
    assert store.tasks.claim(task_ids[0], "worker/9")
    assert store.tasks.finish(task_ids[0], "worker/9", Status.SUCCEEDED, r=b"1")
    ended = store.tasks.get(task_ids[0])
    assert ended is not None
    assert ended.error is None

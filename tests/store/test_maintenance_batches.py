"""Batches of maintenance: each is one script, and one that finds less than its size was the last."""

from submitting import submit_many

from server.services.cron import Timing
from server.services.options import Options
from server.store import Store
from server.store.record import Status


def all_of(store: Store, ids: list[str]) -> set[Status | None]:
    return {record and record.status for record in store.tasks.get_many(ids)}


def test_ten_thousand_tasks_that_are_due_together_are_queued_in_fifty_rounds(store: Store) -> None:
    ids = submit_many(store, 10_000, delay=3600)
    store.redis.zadd(store.keys.due, dict.fromkeys(ids, 1), xx=True)

    assert [store.leases.enqueue_due(200) for _ in range(51)] == [200] * 50 + [0]

    assert all_of(store, ids[::500]) == {Status.QUEUED}
    assert store.queues.waiting(["default"])["default"] == 10_000


def test_overdue_tasks_are_canceled_and_expired_ones_are_deleted(store: Store) -> None:
    ids = submit_many(store, 450, cancel_after=3600)
    store.redis.zadd(store.keys.deadlines, dict.fromkeys(ids, 1), xx=True)

    assert [store.leases.cancel_overdue(200) for _ in range(3)] == [200, 200, 50]
    assert all_of(store, ids) == {Status.CANCELED}
    store.redis.zadd(store.keys.expiry, dict.fromkeys(ids, 1), xx=True)
    assert [store.leases.delete_expired(200) for _ in range(3)] == [200, 200, 50]
    assert all_of(store, ids) == {None}


def test_a_fetch_drops_messages_without_a_task_in_batches(store: Store) -> None:
    dead = submit_many(store, 900)
    for task_id in dead:
        store.tasks.cancel(task_id)
    store.redis.lpush("default", *dead)
    [alive] = submit_many(store, 1)

    fetched = [store.leases._call("fetch_message", "ab", "default", "normal") for _ in range(2)]

    assert fetched[0][1:3] == [alive.encode(), f"{alive}:ab".encode()]
    assert fetched[1] is None
    assert store.redis.llen("default") == 400, "so that Redis is not blocked"
    assert store.leases._call("fetch_message", "ab", "default", "normal") is None
    assert store.redis.llen("default") == 0
    assert store.redis.hlen(store.keys.unacked) == 1


def test_a_message_that_was_fetched_and_not_started_is_restored(store: Store) -> None:
    [task_id] = submit_many(store, 1, priority="high")
    store.leases._call("fetch_message", "ab", "default", "high")
    store.redis.zadd(store.keys.unacked_index, {f"{task_id}:ab": 1})

    assert store.leases.restore_stale_messages(10) == 1

    assert store.redis.llen(store.keys.high_list("default")) == 1
    assert not store.redis.exists(store.keys.unacked)


def test_a_users_own_message_is_restored_unchanged_and_marked_as_redelivered(store: Store) -> None:
    text = '{"headers": {"list": []}, "properties": {"priority": 9, "delivery_tag": "t", "delivery_info": {"a": []}}}'
    store.leases._call("publish_message", "mine", "low", text, "")
    assert store.leases._call("fetch_message", "ab", "mine", "low") == [b"mine", text.encode()]

    store.leases.restore_messages(["t"])

    [back] = store.redis.lrange(store.keys.low_list("mine"), 0, -1)
    assert back == text.replace('{"a"', '{"redelivered": true, "a"').encode()


def test_identities_contain_only_values_that_differ_from_the_default() -> None:
    assert Options().identity() == {}
    assert Options(priority="high", delay=2).identity() == {"priority": "high", "delay": 2}
    assert Timing(None, "@daily", "UTC", 5).identity() == Timing(None, "@daily", "UTC", 9).identity()
    assert Timing(5.0, None, "UTC", 5).identity() != Timing(5.0, None, "UTC", 9).identity()

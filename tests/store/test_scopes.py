"""Limits by a parameter (`limit_by`): a scope for each value, whose tasks wait apart from those of the others."""

from dataclasses import replace

import pytest
from submitting import prepare
from test_constant_cost import commands
from test_turns import fetch, fetch_all

from server.services.submit import store_and_publish
from server.services.throttling import release_due
from server.store import Store
from server.store.leases import Throttle
from server.store.record import Status, limit_scope
from server.store.submit import SubmitRequest

ONE = Throttle(max_running=1, by="x")


def submit(store: Store, *accounts: object, owner: str = "alice") -> list[str]:
    """Store tasks that are counted by these values; their ids."""
    tasks = [replace(prepare(store, owner), limit_scope=limit_scope([account])) for account in accounts]
    for at in range(0, len(tasks), 500):
        store_and_publish(store, SubmitRequest(owner, tasks[at : at + 500]))
    return [task.id for task in tasks]


def claims(store: Store, ids: list[str], throttle: Throttle = ONE) -> list[bool]:
    """Fetch and claim these tasks; whether each started."""
    assert sorted(fetch_all(store)) == sorted(ids)
    return [store.tasks.claim(task_id, "w/1", throttle) is not None for task_id in ids]


def scoped_keys(store: Store) -> list[bytes]:
    """The keys of all scopes."""
    return [key for key in store.redis.keys("*") if b"throttled" in key or b"=" in key or b"type:" in key]


def test_each_value_has_its_own_limit_across_owners(store: Store) -> None:
    ids = submit(store, 1, 1, 2) + submit(store, 1, 3, owner="bob")

    assert claims(store, ids) == [True, False, True, False, True]
    assert store.queues.waiting(["default"])["default"] == 2
    assert store.leases.throttled() == [("divide", "=[1]")]


@pytest.mark.parametrize("end", ["finish", "retry", "hand back", "crash", "lose", "cancel"])
def test_any_end_of_an_attempt_lets_the_next_task_with_its_value_start(end: str, store: Store) -> None:
    first, second, other = submit(store, 1, 1, 2)
    assert claims(store, [first, second, other]) == [True, False, True]
    assert store.leases.due_scopes(10) == [], "no slot is free"

    if end == "finish":
        store.tasks.finish(first, "w/1", Status.SUCCEEDED)
    elif end == "retry":
        store.tasks.schedule_retry(first, "w/1", 60, {"detail": ""})
    elif end == "lose":
        store.redis.zadd(store.keys.leases, {first: 1})
        store.leases.release_expired(10)
    elif end == "cancel":
        assert store.tasks.cancel(first) is Status.CANCELING
        assert store.leases.due_scopes(10) == [], "it still runs"
        store.tasks.finish(first, "w/1", Status.CANCELED)
    else:
        store.leases.release(first, "w/1", crashed=end == "crash")
    assert store.redis.zcard(store.keys.index("=[1]", "divide", "running")) == 0

    assert store.leases.due_scopes(10) == [("divide", "=[1]")]
    assert store.leases.release_throttled("divide", "=[1]", ONE, 1) == 1
    waiting = fetch_all(store)
    assert second in waiting
    assert store.tasks.claim(second, "w/1", ONE) is not None
    assert other not in waiting


def test_the_next_task_waits_for_its_turn_and_a_canceled_task_uses_no_turn(store: Store) -> None:
    ids = submit(store, *[1] * 4)
    assert claims(store, ids) == [True, False, False, False]
    store.tasks.cancel(ids[1])
    store.tasks.finish(ids[0], "w/1", Status.SUCCEEDED)

    assert store.leases.release_throttled("divide", "=[1]", ONE, 10) == 1
    store.tasks.cancel(ids[2])

    assert store.leases.due_scopes(10) == [("divide", "=[1]")], "the slot that it had got is free"
    assert store.leases.release_throttled("divide", "=[1]", ONE, 10) == 1
    assert fetch_all(store) == ids[3:]


def test_a_value_leaves_no_keys(store: Store) -> None:
    ids = submit(store, 1, 1, 1, 2)
    assert claims(store, ids, Throttle(max_running=1, per_minute=1, by="x")) == [True, False, False, True]
    for task_id in ids[1:3]:
        store.tasks.cancel(task_id)
    for task_id in (ids[0], ids[3]):
        store.tasks.finish(task_id, "w/1", Status.SUCCEEDED)
    release_due(store)

    assert scoped_keys(store) == [key for key in store.redis.keys("*") if b"starts:" in key]
    assert all(0 < store.redis.pttl(key) <= 60_000 for key in scoped_keys(store))


def test_a_limit_per_minute_counts_by_value_and_is_checked_after_the_minute(store: Store) -> None:
    throttle = Throttle(per_minute=1, by="x")
    ids = submit(store, 1, 1, 2)
    assert claims(store, ids, throttle) == [True, False, True]
    store.tasks.finish(ids[0], "w/1", Status.SUCCEEDED)
    starts = store.keys.starts("divide", "=[1]")
    [(_, started)] = store.redis.zrange(starts, 0, -1, withscores=True)

    assert store.leases.due_scopes(10) == [("divide", "=[1]")]
    assert store.leases.release_throttled("divide", "=[1]", throttle, 10) == 0
    assert store.redis.zscore(store.keys.throttled_scopes, "divide:=[1]") <= started + 60_000
    store.redis.delete(starts)
    assert store.leases.release_throttled("divide", "=[1]", throttle, 10) == 1


@pytest.mark.parametrize("after", [Throttle(), Throttle(max_running=1), Throttle(max_running=1, per_owner=True)])
def test_a_deploy_may_change_the_type_of_a_limit(after: Throttle, store: Store) -> None:
    ids = submit(store, 1, 1)
    assert claims(store, ids) == [True, False]

    assert store.leases.release_throttled("divide", "=[1]", after, 10) == 1
    assert claims(store, ids[1:], after) == [after == Throttle()]
    for task_id in ids:
        store.tasks.cancel(task_id)
        store.tasks.finish(task_id, "w/1", Status.CANCELED)
    store.leases.release_throttled("divide", "", after, 10)
    store.leases.release_throttled("divide", "alice", after, 10)
    assert scoped_keys(store) == []


def test_tasks_of_a_release_without_the_limit_share_a_scope(store: Store) -> None:
    old = [prepare(store) for _ in range(2)]
    store_and_publish(store, SubmitRequest("alice", old))
    ids = [task.id for task in old]

    assert claims(store, ids) == [True, False]
    store.tasks.finish(ids[0], "w/1", Status.SUCCEEDED)
    assert store.leases.due_scopes(10) == [("divide", "=")]
    assert store.leases.release_throttled("divide", "=", ONE, 10) == 1


def test_a_scope_is_released_when_its_type_has_no_limit_any_more(store: Store) -> None:
    [running, waiting] = submit(store, 1, 1)
    assert claims(store, [running, waiting], Throttle(max_running=1)) == [True, False]
    store.redis.zadd(store.keys.throttled_scopes, {"divide:": 0})

    assert release_due(store) == 1, "the type has no limit here"
    assert fetch(store) == waiting
    assert store.redis.keys("*throttl*") == []


def test_a_debounced_submit_is_counted_by_its_last_value(store: Store) -> None:
    ids = []
    for account in (1, 2):
        task = prepare(store, delay=60, debounce="d-key", max_delay=60)
        stored = store_and_publish(store, SubmitRequest("alice", [replace(task, limit_scope=limit_scope([account]))]))
        ids.append(stored.existing.get(0, task.id))

    assert ids[0] == ids[1]
    assert store.redis.hget(store.keys.task(ids[0]), "lb") == b"=[2]"


def test_the_cost_is_independent_of_the_number_of_waiting_values(store: Store) -> None:
    counts = []
    for values in (20, 2_000):
        store.redis.flushall()
        ids = submit(store, *[account for account in range(values) for _ in range(2)])
        assert claims(store, ids).count(False) == values
        new, next_one = submit(store, "new", 7)
        assert fetch(store) == new
        assert fetch(store) == next_one
        counts.append(
            [
                commands(store, lambda new=new: store.tasks.claim(new, "w/1", ONE)),  # type: ignore[misc]
                commands(store, lambda next_one=next_one: store.tasks.claim(next_one, "w/1", ONE)),  # type: ignore[misc]
                commands(store, lambda ids=ids: store.tasks.finish(ids[0], "w/1", Status.SUCCEEDED)),  # type: ignore[misc]
                commands(store, lambda: store.leases.release_throttled("divide", "=[0]", ONE, 1)),
                commands(store, lambda: release_due(store)),
            ]
        )
    # At the start of each five minutes, and of an hour, the statistics take some commands more.
    assert all(abs(few - many) <= 20 for few, many in zip(*counts, strict=True)), counts


@pytest.mark.parametrize("again", ["its message comes back", "it is delivered again", "its type is unknown"])
def test_a_message_that_comes_again_leaves_a_throttled_task_where_it_waits(again: str, store: Store) -> None:
    running, waiting = submit(store, 1, 1)
    assert claims(store, [running, waiting]) == [True, False]
    store.tasks.finish(running, "w/1", Status.SUCCEEDED)

    if again == "its message comes back":  # its worker was killed before it acknowledged it
        store.redis.zadd(store.keys.unacked_index, {store.redis.hget(store.keys.task(waiting), "m"): 1})
        store.leases.restore_stale_messages(10)
        assert fetch(store) is None
    elif again == "it is delivered again":
        assert store.tasks.claim(waiting, "w/2", ONE) is None
    else:
        assert store.leases.defer_unregistered(waiting)

    assert store.leases.release_throttled("divide", "=[1]", ONE, 10) == 1
    assert claims(store, [waiting]) == [True]
    assert store.queues.waiting(["default"])["default"] == 0


def test_a_throttled_task_returns_to_its_queue_when_no_worker_knows_its_type_any_more(store: Store) -> None:
    removed = [replace(prepare(store), task_type="removed", limit_scope=limit_scope([1])) for _ in range(2)]
    store_and_publish(store, SubmitRequest("alice", removed))
    ids = [task.id for task in removed]
    assert claims(store, ids) == [True, False]
    store.tasks.finish(ids[0], "w/1", Status.SUCCEEDED)

    store.leases.heartbeat("other", {"tasks": ["removed"]})
    assert release_due(store) == 0, "a leader that knows its limits releases it"
    store.leases.deregister("other")
    store.redis.zadd(store.keys.throttled_scopes, {"removed:=[1]": 0})

    assert release_due(store) == 1
    assert fetch(store) == ids[1]

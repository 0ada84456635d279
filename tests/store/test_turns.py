"""Turns: owners share a queue, however many tasks each has waiting, and the other promises still hold."""

import itertools
import json
import random
import time
from collections.abc import Callable, Iterable

import pytest
from submitting import submit_many
from test_constant_cost import commands

from server.services.throttling import release_all
from server.store import Store
from server.store.api_keys import Role
from server.store.leases import Throttle
from server.store.lua import source
from server.store.record import Status

NORMAL = ["default", "normal"]
LISTS = ["default", "high", *NORMAL, "default", "low"]

_NONCES = itertools.count(16)


def fetch(store: Store) -> str | None:
    """Fetch the next message, as a worker's main process does: the id of its task, or a Celery task's message."""
    script = source("fetch_message", store.settings)
    answer = store.redis.eval(script, 0, f"{next(_NONCES):x}", *LISTS)
    return answer[1].decode() if answer else None


def fetch_all(store: Store) -> list[str]:
    """Fetch until nothing is left."""
    return list(iter(lambda: fetch(store), None))


def owners_of(store: Store, ids: Iterable[str | None]) -> str:
    """The first letter of each task's owner."""
    return "".join(store.redis.hget(store.keys.task(str(task_id)), "o").decode()[0] for task_id in ids)


def position(store: Store, task_id: str) -> int | None:
    """The position in the queue that a client sees."""
    record = store.tasks.get_with_position(task_id)
    assert record is not None
    assert store.tasks.position(record) == record.position
    return record.position


def test_the_first_task_of_a_second_owner_is_second_in_line(store: Store) -> None:
    alice = submit_many(store, 60)
    [bob] = submit_many(store, 1, "bob")

    assert position(store, bob) == 2
    assert position(store, alice[-1]) == 61
    assert fetch_all(store) == [alice[0], bob, *alice[1:]]
    assert store.redis.llen("default") == 0


def test_owners_take_turns_whoever_submitted_first(store: Store) -> None:
    for owner, count in (("alice", 6), ("bob", 3), ("carol", 1)):
        submit_many(store, count, owner)
    first = [fetch(store) for _ in range(2)]
    submit_many(store, 4, "dave")

    assert owners_of(store, first + fetch_all(store)) == "abcdabdabdadaa"
    assert store.redis.llen("default") == 0


def test_a_heavier_key_has_more_turns(store: Store) -> None:
    store.api_keys.create("bob", Role.SUBMIT, weight=3)
    submit_many(store, 40)
    submit_many(store, 40, "bob")

    first = owners_of(store, [fetch(store) for _ in range(40)])

    assert 29 <= first.count("b") <= 31
    store.api_keys.revoke(next(each.id for each in store.api_keys.entries()))
    assert not store.redis.exists(store.keys.weights)


def test_the_greatest_weight_of_an_owners_keys_counts(store: Store) -> None:
    ids = []
    for weight in (4, 1, 2):
        store.api_keys.create("bob", Role.SUBMIT, weight=weight)
        ids = [each.id for each in store.api_keys.entries() if each.weight == 4]
    assert store.redis.hget(store.keys.weights, "bob") == b"4"
    store.api_keys.revoke_id(ids[0])
    assert store.redis.hget(store.keys.weights, "bob") == b"2"


def test_priorities_go_before_turns(store: Store) -> None:
    normal = submit_many(store, 2)
    low = submit_many(store, 2, "bob", priority="low")
    high = submit_many(store, 3, priority="high")

    assert [position(store, task_id) for task_id in (*high, *normal, *low)] == list(range(1, 8))
    assert fetch_all(store) == [*high, *normal, *low]


def test_a_later_owner_neither_gains_nor_loses_turns(store: Store) -> None:
    submit_many(store, 50)
    for _ in range(30):
        fetch(store)
    submit_many(store, 50, "bob")

    assert owners_of(store, [fetch(store) for _ in range(20)]).count("b") in (10, 11)


@pytest.mark.parametrize("order", [list, lambda ids: ids[::-1]])
def test_canceled_tasks_leave_the_queue_and_the_lists(order: Callable[[list[str]], list[str]], store: Store) -> None:
    ids = submit_many(store, 20)
    kept = submit_many(store, 2, "bob")
    for task_id in order(ids):
        store.tasks.cancel(task_id)

    assert store.redis.llen("default") == 2, "Celery's tools read it"
    assert [position(store, task_id) for task_id in kept] == [1, 2]
    assert fetch_all(store) == kept


def test_an_owner_who_canceled_all_does_not_wait_for_them(store: Store) -> None:
    for task_id in submit_many(store, 20)[::-1]:
        store.tasks.cancel(task_id)
    bob = submit_many(store, 5, "bob")
    [again] = submit_many(store, 1)

    assert fetch_all(store) == [bob[0], again, *bob[1:]]


def test_restored_messages_keep_their_turns(store: Store) -> None:
    alice, bob = submit_many(store, 3), submit_many(store, 2, "bob")
    fetched = [str(fetch(store)) for _ in range(3)]
    assert [position(store, task_id) for task_id in fetched] == [1, 2, 3], "a worker has them"
    tags = [tag.decode() for tag in store.redis.hkeys("unacked")]

    store.leases.restore_messages(tags)

    assert store.redis.llen("default") == 5
    assert fetch_all(store) == [alice[0], bob[0], alice[1], bob[1], alice[2]]


def test_a_task_whose_message_was_forgotten_is_found(store: Store) -> None:
    ids = submit_many(store, 3)
    fetch(store)
    store.leases.forget_message(store.redis.hkeys("unacked")[0].decode())

    assert store.leases.requeue_lost("default", 0, 10) == [ids[0]]
    assert store.leases.requeue_lost("default", 0, 10) == []
    assert fetch_all(store) == ids


def test_a_purge_by_celerys_tools_loses_nothing(store: Store) -> None:
    ids = submit_many(store, 450)
    store.redis.delete("default")

    assert fetch(store) == ids[0]
    while store.leases.requeue_lost("default", 0, 200):
        pass
    assert store.redis.llen("default") == 449
    assert fetch_all(store) == ids[1:]


def test_tasks_of_an_earlier_release_run_first_come_first_served(store: Store) -> None:
    ids = submit_many(store, 3)
    store.redis.delete(
        store.keys.turns("default"), store.keys.turn("queue:default"), store.keys.turn_ends("queue:default")
    )

    assert fetch(store) is None
    store.leases.requeue_lost("default", 0, 10)
    store.leases.requeue_lost("default", 0, 10)
    assert [position(store, task_id) for task_id in ids] == [1, 2, 3]
    assert fetch_all(store) == ids
    assert store.redis.llen("default") == 0


def test_a_message_of_an_earlier_release_counts_a_task(store: Store) -> None:
    ids = submit_many(store, 2)
    store.redis.delete("default")
    store.redis.lpush("default", *ids)

    store.tasks.cancel(ids[0])

    assert store.redis.llen("default") == 1
    assert fetch_all(store) == ids[1:]
    assert store.redis.llen("default") == 0


@pytest.mark.parametrize("priority", ["high", "normal", "low"])
def test_a_restored_message_has_the_time_when_its_task_was_queued(priority: str, store: Store) -> None:
    submit_many(store, 1, priority=priority)
    [queued, once, twice] = keys = [getattr(store.keys, f"{priority}_list")("default"), "once", "twice"]

    def published(key: str) -> float:
        [message] = store.redis.lrange(key, 0, -1)
        return float(json.loads(message)["properties"]["published_at"])

    store.redis.copy(queued, once)
    time.sleep(0.01)
    fetch(store)
    store.leases.restore_messages([store.redis.hkeys("unacked")[0].decode()])
    store.redis.rename(queued, twice)
    store.leases.requeue_lost("default", 0, 10)

    assert len({published(key) for key in keys}) == 1
    assert abs(published(queued) - store.clock.now_ms() / 1000) < 60


def test_messages_of_celery_applications_keep_their_position_in_the_list(store: Store) -> None:
    ids = submit_many(store, 2)
    message = json.dumps({"body": "", "properties": {"delivery_tag": "t"}})
    store.redis.lpush("default", message)
    ids += submit_many(store, 1, "bob")

    assert store.redis.llen("default") == 4
    assert fetch_all(store) == [ids[0], ids[2], message, ids[1]]


def test_a_burst_follows_the_turns(store: Store) -> None:
    alice, bob = submit_many(store, 3), submit_many(store, 2, "bob")
    attempt = store.tasks.claim(str(fetch(store)), "w/1")
    claimed = []
    while attempt is not None:
        claimed.append(attempt.id)
        _, attempt = store.tasks.finish_and_claim(attempt, Status.SUCCEEDED, " divide ", NORMAL)

    assert claimed == [alice[0], bob[0], alice[1], bob[1], alice[2]]
    assert store.redis.zcard(store.keys.turns("default")) == store.redis.llen("default") == 0


def test_owners_take_turns_under_a_limit_too(store: Store) -> None:
    throttle = Throttle(max_running=1)
    alice = submit_many(store, 10)
    assert store.tasks.claim(str(fetch(store)), "w/1", throttle)
    assert [store.tasks.claim(task_id, "w/2", throttle) for task_id in fetch_all(store)] == [None] * 9
    [bob] = submit_many(store, 1, "bob")
    assert store.tasks.claim(str(fetch(store)), "w/3", throttle) is None

    store.tasks.finish(alice[0], "w/1", Status.SUCCEEDED)
    ran = []
    for _ in range(3):
        assert store.leases.release_throttled("divide", "", throttle, 1) == 1
        ran.append(str(fetch(store)))
        assert store.tasks.claim(ran[-1], "w/1", throttle)
        store.tasks.finish(ran[-1], "w/1", Status.SUCCEEDED)

    assert ran == [alice[1], bob, alice[2]]


def test_a_task_that_is_throttled_again_keeps_its_turn(store: Store) -> None:
    throttle = Throttle(max_running=1)
    ids = submit_many(store, 4)
    assert store.tasks.claim(str(fetch(store)), "w/1", throttle)
    for task_id in fetch_all(store):
        assert store.tasks.claim(task_id, "w/2", throttle) is None
    release_all(store)  # the type has no limit here

    for task_id in [str(fetch(store))]:
        assert store.tasks.claim(task_id, "w/2", throttle) is None
    release_all(store)

    assert fetch_all(store) == ids[1:]


def test_turns_leave_no_keys(store: Store) -> None:
    for number in range(20):
        submit_many(store, 2, f"owner-{number}")
    for task_id in fetch_all(store):
        attempt = store.tasks.claim(task_id, "w/1")
        assert attempt is not None
        store.tasks.finish(task_id, "w/1", Status.SUCCEEDED)

    names = store.keys
    assert not store.redis.exists(
        names.turns("default"), names.turn("queue:default"), names.turn_ends("queue:default"), names.queued("default")
    )


@pytest.mark.parametrize("act", ["submit", "fetch"])
def test_a_submit_and_a_fetch_cost_the_same_with_any_number_of_owners(act: str, store: Store) -> None:
    counts = []
    for owners in (1, 300):
        store.redis.flushall()
        for number in range(owners):
            submit_many(store, 2, f"owner-{number}")
        fetch(store)
        counts.append(commands(store, lambda: submit_many(store, 1, "new") if act == "submit" else fetch(store)))
    assert abs(counts[0] - counts[1]) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_steps_loses_no_task_and_miscounts_none(seed: int, store: Store) -> None:
    chance, waiting, fetched = random.Random(seed), set[str](), dict[str, str]()
    throttles = Throttle(), Throttle(max_running=2), Throttle(max_running=2, by="x")
    running: list[str] = []
    for _ in range(400):
        step = chance.choice(
            ["submit", "submit", "fetch", "fetch", "claim", "claim", "cancel", "restore", "end", "release"]
        )
        if step == "submit":
            options = {"priority": chance.choice(["high", "normal", "low"])}
            waiting |= set(submit_many(store, chance.randint(1, 3), chance.choice("abc"), **options))
        elif step == "fetch" and (task_id := fetch(store)):
            assert task_id in waiting and task_id not in fetched
            fetched[task_id] = store.redis.hget(store.keys.task(task_id), "m").decode()
        elif step == "claim" and fetched:
            task_id = chance.choice(sorted(fetched))
            tag = fetched.pop(task_id)
            if store.tasks.claim(task_id, "w/1", chance.choice(throttles)):
                waiting.discard(task_id)
                running.append(task_id)
            store.leases.forget_message(tag)
        elif step == "cancel" and waiting - fetched.keys():
            task_id = chance.choice(sorted(waiting - fetched.keys()))
            assert store.tasks.cancel(task_id) is Status.CANCELED
            waiting.discard(task_id)
        elif step == "restore" and fetched:
            task_id = chance.choice(sorted(fetched))
            store.leases.restore_messages([fetched.pop(task_id)])
        elif step == "end" and running:
            task_id = running.pop()
            done = chance.random() < 0.7
            if done:
                assert store.tasks.finish(task_id, "w/1", Status.SUCCEEDED)
            else:
                assert store.leases.release(task_id, "w/1", crashed=False)
            waiting |= set() if done else {task_id}
        elif step == "release":
            release_all(store)
        tickets = sum(
            store.redis.llen(getattr(store.keys, f"{name}_list")("default")) for name in ("high", "normal", "low")
        )
        aside = store.redis.zcard(store.keys.throttled_in("default"))
        assert tickets + len(fetched) + aside == len(waiting) == store.queues.waiting(["default"])["default"]
        assert store.redis.zcard(store.keys.turns("default")) == tickets + len(fetched)
        in_scope = [task_id for task_id in running if store.redis.hexists(store.keys.task(task_id), "lb")]
        assert store.redis.zcard(store.keys.index("=", "divide", "running")) == len(in_scope)
    release_all(store)
    assert set(fetch_all(store)) == waiting - fetched.keys()

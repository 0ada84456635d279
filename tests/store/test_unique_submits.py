"""A submit with a key may be sent twice, since its answer may be lost: it acts once, whatever happens on a conflict."""

from typing import Any

import pytest
from submitting import prepare

from server.store import Store
from server.store.errors import DuplicateTask
from server.store.record import UNIQUE, NewTask, Status, unique_key
from server.store.submit import SubmitRequest, SubmitResult

KEY = unique_key(UNIQUE, b"k")


def make(store: Store, **options: Any) -> NewTask:
    """A task that is ready to be stored, with the key."""
    return prepare(store, unique=KEY, **options)


def store_tasks(store: Store, *tasks: NewTask) -> SubmitResult:
    """Store tasks in one step."""
    return store.submits.submit(SubmitRequest("alice", tasks))


def statuses(store: Store, *tasks: NewTask) -> list[Status | None]:
    """The status of each."""
    records = [store.tasks.get(task.id) for task in tasks]
    return [record.status if record else None for record in records]


@pytest.mark.parametrize("way", ["return", "reject", "replace"])
def test_a_repeated_call_acts_once(store: Store, way: str) -> None:
    first, second = make(store), make(store, on_conflict=way)
    store_tasks(store, first)
    results = [store_tasks(store, second) for _ in range(2)]
    if way == "return":
        assert [result.existing for result in results] == [{0: first.id}] * 2
    elif way == "reject":
        assert [type(result.outcomes[0]) for result in results] == [DuplicateTask] * 2
    else:
        assert [result.outcomes for result in results] == [[1], [1]]
    gone = way == "replace"
    assert statuses(store, first, second) == ([Status.CANCELED, Status.QUEUED] if gone else [Status.QUEUED, None])
    assert store.redis.hget(store.keys.unfinished, "alice") == b"1"
    assert store.redis.zcard(store.keys.queued("default")) == 1


def test_a_task_replaces_another_task_of_the_same_call(store: Store) -> None:
    tasks = [prepare(store), make(store), make(store, on_conflict="replace"), prepare(store)]
    assert store_tasks(store, *tasks).unfinished == 3
    assert statuses(store, *tasks) == [Status.QUEUED, Status.CANCELED, Status.QUEUED, Status.QUEUED]
    assert store.redis.hget(store.keys.unfinished, "alice") == b"3"
    assert store.redis.zcard(store.keys.queued("default")) == 3
    assert store.redis.zcard(store.keys.index("alice", "divide", "queued")) == 3
    assert store.redis.zcard(store.keys.index("alice", "divide", "canceled")) == 1


def test_a_replaced_task_never_starts(store: Store) -> None:
    first, second = make(store), make(store, on_conflict="replace")
    store_tasks(store, first)
    store_tasks(store, second)
    assert store.tasks.claim(first.id, "w/1") is None
    assert store.tasks.claim(second.id, "w/1") is not None


def test_the_key_belongs_to_an_owner(store: Store) -> None:
    store_tasks(store, make(store))
    other = prepare(store, "bob", unique=KEY)
    assert store.submits.submit(SubmitRequest("bob", [other])).outcomes == [2]


def test_the_end_of_an_earlier_task_does_not_free_the_key(store: Store) -> None:
    first, second = make(store), make(store, on_conflict="replace")
    store_tasks(store, first)
    store.redis.delete(store.keys.unique("alice", "divide", KEY))  # lost, as after a FLUSH
    store_tasks(store, second)
    store.tasks.cancel(first.id)
    assert store.redis.get(store.keys.unique("alice", "divide", KEY)) == second.id.encode()
    store.tasks.cancel(second.id)
    assert not store.redis.exists(store.keys.unique("alice", "divide", KEY))


def test_a_task_whose_record_was_lost_is_replaced(store: Store) -> None:
    first, second = make(store), make(store)
    store_tasks(store, first)
    store.redis.delete(store.keys.task(first.id))
    assert store_tasks(store, second).existing == {}


def test_a_lost_attempt_keeps_the_key(store: Store) -> None:
    first, second = make(store), make(store)
    store_tasks(store, first)
    assert store.tasks.claim(first.id, "w/1")
    store.leases.release(first.id, "w/1", crashed=True)
    assert store_tasks(store, second).existing == {0: first.id}


def test_no_duration_of_an_option_is_rounded_to_zero(store: Store) -> None:
    short = prepare(store, delay=1e-9, cancel_after=0.0004, start_within=0.0004, unique="key", unique_for=0.0004)
    assert (short.delay_ms, short.cancel_after_ms, short.start_within_ms, short.unique_for_ms) == (1, 1, 1, 1)
    assert prepare(store, cancel_after=1.001).cancel_after_ms == 1001
    assert (prepare(store).delay_ms, prepare(store).cancel_after_ms) == (0, 0)

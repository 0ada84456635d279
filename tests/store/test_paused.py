"""Pauses in the store: the scripts that fetch, claim and release, with paused queues and types."""

import itertools

import pytest
from submitting import submit_many
from test_constant_cost import commands

from server.services.throttling import release_all
from server.store import Store
from server.store.lua import source
from server.store.record import Status
from server.store.stats.pauses import PauseScope

PAUSES: list[tuple[PauseScope, str]] = [("queue", "default"), ("task", "divide")]

_NONCES = itertools.count(16)


def fetch(store: Store) -> str | None:
    """Fetch the next message, as a worker's main process does; the id of its task."""
    script = source("fetch_message", store.settings)
    answer = store.redis.eval(script, 0, f"{next(_NONCES):x}", "default", "high", "default", "normal", "default", "low")
    return answer[1].decode() if answer else None


@pytest.mark.parametrize(("scope", "name"), PAUSES)
def test_a_fetched_task_waits_for_the_end_of_a_pause_at_its_old_position(
    scope: PauseScope, name: str, store: Store
) -> None:
    ids = submit_many(store, 5)
    fetched = [fetch(store), fetch(store)]
    store.pauses.pause(scope, name, "root")

    claims = [store.tasks.claim(str(task_id), "w/1") for task_id in fetched]
    release_all(store)

    assert (fetched, claims) == (ids[:2], [None, None])
    assert fetch(store) is None
    assert store.queues.waiting(["default"])["default"] == 5
    store.pauses.resume(scope, name)
    release_all(store)
    assert [fetch(store) for _ in range(6)] == [*ids, None]


@pytest.mark.parametrize(("scope", "name"), PAUSES)
def test_a_burst_ends_at_a_pause(scope: PauseScope, name: str, store: Store) -> None:
    first, second = submit_many(store, 2)
    assert fetch(store) == first
    attempt = store.tasks.claim(first, "w/1")
    assert attempt is not None
    store.pauses.pause(scope, name, "root")

    lists = ["default", "normal"]
    assert store.tasks.finish_and_claim(attempt, Status.SUCCEEDED, " divide ", lists) == (True, None)

    store.pauses.resume(scope, name)
    release_all(store)
    assert fetch(store) == second


def test_with_another_broker_a_paused_queue_keeps_what_was_delivered(store: Store) -> None:
    other = Store(store.settings.model_copy(update={"celery_broker_url": "amqp://127.0.0.1"}))
    ids = submit_many(other, 3)
    other.leases.published(ids, other.leases.now_ms() + 1000)
    other.pauses.pause("queue", "default", "root")
    assert [other.tasks.claim(task_id, "w/1") for task_id in ids] == [None] * 3

    assert release_all(other) == 0
    assert other.leases.unpublished(other.leases.now_ms() + 1000, 10) == []
    other.pauses.resume("queue", "default")

    assert release_all(other) == 3
    assert sorted(other.leases.unpublished(other.leases.now_ms() + 1000, 10)) == ids
    other.redis.close()


def test_more_tasks_than_one_step_handles_are_resumed_together(store: Store) -> None:
    ids = submit_many(store, 450)
    store.pauses.pause("task", "divide", "root")
    assert fetch(store) is None
    assert store.redis.llen("default") == 0

    store.pauses.resume("task", "divide")

    assert release_all(store) == 450
    assert [fetch(store) for _ in ids] == ids


def test_a_pause_that_is_repeated_keeps_its_time_and_a_resume_wakes_a_worker(store: Store) -> None:
    assert store.pauses.pause("queue", "default", "root")
    first = store.pauses.all()
    assert not store.pauses.pause("queue", "default", "bob")
    assert store.pauses.all() == first
    store.redis.delete(store.keys.notify_list("default"))

    assert store.pauses.resume("queue", "default")
    assert not store.pauses.resume("queue", "default")
    assert store.redis.llen(store.keys.notify_list("default")) == 1


def test_without_pauses_a_fetch_reads_once(store: Store) -> None:
    submit_many(store, 3)
    fetch(store)
    without = commands(store, lambda: fetch(store))
    store.pauses.pause("queue", "other", "root")
    with_one = commands(store, lambda: fetch(store))
    assert with_one - without <= 3

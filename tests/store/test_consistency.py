"""Random operations of clients, workers and maintenance: after each one the indexes agree with the records.

A failure prints the seed and the operations until then. Tasks have numbers there, in the order of their submits.
"""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from harness import Redis
from invariants import Snapshot, violations
from random_operations import QUEUES, Operations

from server import tasks
from server.services.throttling import release_all
from server.settings import Settings
from server.store import Store
from server.store.errors import StoreUnavailable
from server.store.record import Status

BROKERS = {"redis": "", "external": "amqp://127.0.0.1"}

#: Keys of statistics and of names begin like this. They stay when all tasks are deleted.
KEPT = ("flow:", "format", "histograms", "hour:", "maintenance", "recent", "seen", "stats", "types", "week:")
KEPT_OF_SCHEDULES = ("bell:", "fire_times", "schedule")


@pytest.fixture
def any_store(valkey: Redis, request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store, with Redis or another program as its broker."""
    valkey.client.flushall()
    # Leases are so long that none expires on a slow machine unless the test wants it.
    settings = Settings(
        redis_url=valkey.url,
        lease_seconds=300,
        secret_key="a key of the tests",
        celery_broker_url=BROKERS[request.param],
    )
    tasks.load(settings)
    store = Store(settings)
    yield store
    store.redis.close()


def run(store: Store, seed: int, steps: int) -> None:
    operations = Operations(store, seed)
    try:
        for _ in range(steps):
            with suppress(StoreUnavailable):
                operations.step()
            assert violations(operations) == []
        for end in (end_attempts, delete_all):
            end(operations)
            assert violations(operations) == []
        assert left_over(operations) == []
    except Exception as error:
        error.add_note("\n".join([f"Seed {seed}, {len(operations.log)} operations:", *operations.log]))
        raise


def end_attempts(operations: Operations) -> None:
    """End all attempts, pauses and limits: maintenance releases all tasks that are throttled."""
    store, keys = operations.store, operations.keys
    operations.log.append("end_attempts")
    for task_id in operations.members(keys.leases):
        token = store.redis.hget(keys.task(task_id), "w")
        assert token
        store.tasks.finish(task_id, token.decode(), Status.CANCELED)
    operations.resume()
    release_all(store)
    assert operations.members(keys.throttled_scopes) == []


def delete_all(operations: Operations) -> None:
    """Cancel all tasks and delete their records and messages, as clients, workers and maintenance do."""
    store, keys = operations.store, operations.keys
    operations.log.append("delete_all")
    for record in operations.records():
        store.tasks.cancel(record.id)
    for tag in operations.members(keys.unacked_index):
        store.leases.forget_message(tag)
    for record in operations.records():
        assert record.status.done, record
        store.leases.drop(record.id)
    operations.expire(keys.due, operations.members(keys.due))
    store.leases.enqueue_due(1000)
    if store.settings.broker_is_redis:
        for queue in QUEUES:
            store.leases.requeue_lost(queue, 0, 100)
        for _ in range(40):
            operations.fetch()
    else:
        until_ms = store.clock.now_ms() + 1000
        store.leases.published(store.leases.unpublished(until_ms, 1000), until_ms)


def left_over(operations: Operations) -> list[str]:
    """Return the keys that stay forever although each task is deleted."""
    redis, keys = operations.redis, operations.keys
    redis.zrem(keys.webhooks, *operations.batches, "")
    kept = tuple(keys.prefix + name for name in KEPT + KEPT_OF_SCHEDULES)
    names = [name for name in Snapshot(operations).names if not name.startswith(kept)]
    return [name for name in names if redis.pttl(name) == -1]


@pytest.mark.parametrize("any_store", BROKERS, indirect=True)
@pytest.mark.parametrize("seed", [3, 8])
def test_indexes_and_records_agree_after_each_operation(any_store: Store, seed: int) -> None:
    run(any_store, seed, steps=120)


@pytest.mark.slow
@pytest.mark.parametrize("any_store", BROKERS, indirect=True)
@pytest.mark.parametrize("seed", range(100, 130))
def test_indexes_and_records_agree_after_each_of_many_operations(any_store: Store, seed: int) -> None:
    run(any_store, seed, steps=300)

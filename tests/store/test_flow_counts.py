"""Arrivals, starts, waits and ends by task type and owner, over an hour, a day and a week."""

import time
from collections import Counter

import pytest
from submitting import submit_many

from server.store import Store
from server.store.record import Status
from server.store.stats import OTHERS, STEPS, Range, percentile


@pytest.mark.parametrize("span", Range)
def test_arrivals_starts_waits_and_ends_are_counted_by_type_and_owner(span: Range, store: Store) -> None:
    first, second, third = submit_many(store, 3)
    submit_many(store, 2, "bob")
    time.sleep(0.1)
    for task_id, status in ((first, Status.SUCCEEDED), (second, Status.FAILED)):
        store.tasks.claim(task_id, "w/1")
        store.tasks.finish(task_id, "w/1", status)
    store.tasks.cancel(third)

    flows = store.flow_stats.read(span)

    everything, alice, bob = flows.of_types(), flows.of_owner("alice"), flows.of_owner("bob")
    assert {name: sum(numbers) for name, numbers in alice.counts.items() if not name.startswith("waited_")} == {
        "arrived": 3,
        "succeeded": 1,
        "failed": 1,
        "canceled": 1,
    }
    assert (everything.total("arrived"), bob.total("arrived"), bob.total("failed")) == (5, 2, 0)
    assert flows.of_types(["divide"]) == everything
    assert flows.of_types(["hello"]).total("arrived") == 0
    assert alice.of("arrived")[-2:] in ([0, 3], [3, 0]), "the step before, where one began just now"
    assert len(alice.of("canceled")) == STEPS[span][1]
    assert sum(waits.total() for waits in alice.waits()) == 2
    median = alice.wait(0.5)
    assert median is not None
    assert 0.064 < median < 2
    assert bob.wait(0.5) is None


def test_percentiles_of_waits_are_estimated_within_buckets_of_powers_of_two() -> None:
    assert percentile(Counter({5: 100}), 0.5) == 0.016, "the first bucket begins at 0"
    assert percentile(Counter({7: 100}), 0.5) == 0.096, "64 to 128 ms"
    mixed = Counter({5: 98, 12: 2})
    assert percentile(mixed, 0.98) == 0.032
    assert percentile(mixed, 0.99) == 3.072, "2,048 to 4,096 ms"
    assert percentile(Counter({5: 0}), 0.5) is None
    assert percentile(Counter(), 0.5) is None


def test_the_first_event_of_an_hour_sums_up_earlier_hours_for_a_week(store: Store) -> None:
    hour, keys = store.clock.now_ms() // 3_600_000, store.keys
    store.redis.hset(keys.flow(hour - 2), mapping={"3:t:divide:arrived": 4, "4:t:divide:arrived": 5})
    store.redis.hset(keys.flow(hour - 1), mapping={"0:o:alice:waited_7": 70})
    assert store.flow_stats.read(Range.WEEK).of_types().total("arrived") == 9, "hours not yet summed up count, too"

    submit_many(store, 2)

    assert store.redis.hgetall(keys.week(hour - 2)) == {b"t:divide:arrived": b"9"}
    assert store.redis.hgetall(keys.week(hour - 1)) == {b"o:alice:waited_7": b"70"}
    assert 24 * 3600 < store.redis.ttl(keys.flow(hour - 2)) <= 25 * 3600
    assert 7 * 86_400 < store.redis.ttl(keys.week(hour - 2)) <= 8.1 * 86_400
    week = store.flow_stats.read(Range.WEEK)
    assert week.of_types().total("arrived") == 11
    assert week.of_owner("alice").total("waited_7") == 70
    assert store.flow_stats.read(Range.DAY).of_types().total("arrived") == 11


def test_owners_beyond_a_limit_are_counted_together(store: Store) -> None:
    hour = store.clock.now_ms() // 3_600_000
    store.redis.hset(store.keys.flow(hour), mapping={f"0:o:owner-{number}:arrived": 1 for number in range(5000)})

    submit_many(store, 2, "alice")

    flows = store.flow_stats.read(Range.WEEK)
    assert flows.of_owner("alice").total("arrived") == 0
    assert flows.of_owner(OTHERS).total("arrived") == 2
    assert flows.of_owner("owner-7").total("arrived") == 1


def test_unfinished_tasks_are_counted_by_owner(store: Store) -> None:
    submit_many(store, 3)
    [task_id] = submit_many(store, 1, "bob")
    store.tasks.cancel(task_id)

    assert store.flow_stats.unfinished_by_owner() == {"alice": 3}

"""Schedules in the store: how many runs may line up, and how fast many of them fire together."""

from submitting import prepare

from server.services.options import Options
from server.services.publish import store_and_publish
from server.services.schedules import Schedule, fire_due, put
from server.store import Store
from server.store.listing import Filter
from server.store.record import Status
from server.store.schedules import MAX_RUNS, FireTime
from server.store.submit import SubmitRequest

SECOND = 1_000


def every_hour(store: Store, name: str, overlap: str = "skip") -> None:
    """Store a schedule."""
    now = store.schedules.now_ms()
    put(
        store,
        Schedule(
            name=name,
            owner="alice",
            task="divide",
            input={"x": 1, "y": 2},
            every=3600,
            cron=None,
            timezone="UTC",
            enabled=True,
            overlap="queue" if overlap == "queue" else "skip",
            options={},
            run=Options(),
            created_ms=now,
            updated_ms=now,
        ),
        0,
    )


def test_runs_that_wait_for_an_earlier_one_are_bounded(store: Store) -> None:
    every_hour(store, "chain", "queue")

    def fire() -> bool:
        """Fire the next run; whether it was stored."""
        [(name, due)] = store.schedules.due(2**53, 1)
        fire_time = FireTime(name, due, due + 3600 * SECOND, "queue")
        return not store_and_publish(store, SubmitRequest("alice", [prepare(store)], fire_time=fire_time)).passed

    assert [fire() for _ in range(MAX_RUNS + 2)] == [True] * MAX_RUNS + [False, False]
    found = store.schedules.get("chain")
    assert found is not None and found.skipped == 2 and len(found.runs) == MAX_RUNS


def test_a_thousand_schedules_that_are_due_together_fire_in_one_round(store: Store) -> None:
    for number in range(1_000):
        every_hour(store, f"report-{number}")
    due = store.schedules.now_ms()
    store.redis.zadd(store.keys.fire_times, {f"report-{number}": due for number in range(1_000)})

    assert fire_due(store, 10_000) == 1_000

    assert store.listing.count(Filter(None))[Status.QUEUED] == 1_000

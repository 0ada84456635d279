"""The runs of a schedule with `overlap: queue` wait for each other."""

from submitting import prepare, submit_many

from server.services.submit import store_and_publish
from server.store import Store
from server.store.record import Status
from server.store.schedules import FireTime
from server.store.submit import SubmitRequest


def fire(store: Store, at_ms: int) -> str:
    """Fire the run of a time; the id of its task."""
    task = prepare(store)
    store_and_publish(store, SubmitRequest("alice", [task], fire_time=FireTime("s", at_ms, at_ms + 1, "queue")))
    return task.id


def test_a_run_that_a_client_starts_lets_no_other_run_overtake(store: Store) -> None:
    store.schedules.put("s", b"{}", "timing", 1000, "alice", 0)
    first, second = fire(store, 1000), fire(store, 1001)
    [started] = submit_many(store, 1)
    store.schedules.record_run("s", started)
    third = fire(store, 1002)

    assert store.tasks.claim(first, "w/1")
    assert store.tasks.claim(started, "w/2")
    store.tasks.finish(started, "w/2", Status.SUCCEEDED)
    assert store.tasks.claim(third, "w/2") is None, "the first one still runs"

    store.tasks.finish(first, "w/1", Status.SUCCEEDED)
    assert store.tasks.claim(second, "w/1")
    store.tasks.finish(second, "w/1", Status.SUCCEEDED)
    assert store.tasks.claim(third, "w/1")


def test_a_canceled_run_passes_its_place_to_no_run_that_is_deleted(store: Store) -> None:
    store.schedules.put("s", b"{}", "timing", 1000, "alice", 0)
    first, second, third = (fire(store, at_ms) for at_ms in (1000, 1001, 1002))
    assert store.tasks.claim(first, "w/1")
    store.tasks.cancel(third)
    store.leases.drop(third)

    store.tasks.cancel(second)

    assert store.redis.exists(store.keys.task(third)) == 0
    assert store.tasks.get(third) is None

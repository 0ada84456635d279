"""Histograms of wait and run times, and counts that a process adds to Redis every few seconds."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from submitting import submit_many

from server.settings import Settings
from server.store import Store
from server.store.lua import HISTOGRAM_MS
from server.store.record import Status
from server.store.stats import CounterBuffer, Histogram, counter_buffer


def test_waits_and_runs_are_counted_in_the_bucket_of_their_duration(store: Store) -> None:
    succeeded, failed = submit_many(store, 2)
    time.sleep(0.03)
    for task_id, status in ((succeeded, Status.SUCCEEDED), (failed, Status.FAILED)):
        store.tasks.claim(task_id, "w/1")
        store.redis.hincrby(store.keys.task(task_id), "b", -7_000)  # it seems to have started 7 s earlier
        store.tasks.finish(task_id, "w/1", status)

    histograms = store.counters.histograms()

    run, wait = histograms["run", "divide"], histograms["wait", "divide"]
    assert dict(run.buckets()) == {f"{ms / 1000:g}": 2.0 * (ms >= 10_000) for ms in HISTOGRAM_MS} | {"+Inf": 2}
    assert 14_000 <= run.total_ms < 16_000
    assert dict(wait.buckets())["0.025"] == 0
    assert dict(wait.buckets())["+Inf"] == 2
    assert 60 <= wait.total_ms < 2_000


@pytest.mark.parametrize(("ms", "bucket"), [(10, 0), (11, 1), (1_800_000, -2), (1_800_001, -1)])
def test_a_bound_belongs_to_its_bucket(store: Store, ms: int, bucket: int) -> None:
    (task_id,) = submit_many(store, 1)
    store.tasks.claim(task_id, "w/1")
    now = store.redis.time()
    now_ms = now[0] * 1000 + now[1] // 1000
    while True:  # the script reads the clock again: retry where it has moved on
        store.redis.delete(store.keys.histograms)
        store.redis.hset(store.keys.task(task_id), mapping={"b": now_ms - ms, "s": "running"})
        store.tasks.finish(task_id, "w/1", Status.SUCCEEDED)
        histogram = store.counters.histograms()["run", "divide"]
        if histogram.total_ms == ms:
            break
        now_ms += histogram.total_ms - ms

    counts = [0] * (len(HISTOGRAM_MS) + 1)
    counts[bucket] = 1
    assert histogram == Histogram(tuple(counts), ms)


def test_threads_count_together_and_a_flush_adds_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (CounterBuffer(lambda: store.counters, store.keys.http_requests) for _ in range(2))
    assert not first.due()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: [first.add("GET /x:2") for _ in range(1000)], range(8)))
    second.add("GET /x:2", 5)
    assert not first.due(), "a flush was just now"

    monkeypatch.setattr(counter_buffer, "FLUSH_SECONDS", 0.0)
    assert first.due()
    first.flush()
    second.flush()

    assert store.counters.read(store.keys.http_requests) == {"GET /x:2": 8005}
    assert not first.due(), "nothing has been counted since"


def test_counts_that_redis_does_not_accept_are_kept(store: Store) -> None:
    gone = Store(Settings(redis_url="redis://127.0.0.1:1/0"))
    target = gone
    counters = CounterBuffer(lambda: target.counters, store.keys.maintenance)
    counters.add("pruner:runs", 3)
    counters.note_time("pruner:last_ms")
    counters.flush()
    counters.add("pruner:runs")
    counters.note_time("pruner:last_ms")

    target = store
    counters.flush()

    counts = store.counters.read(store.keys.maintenance)
    assert counts["pruner:runs"] == 4
    assert counts["pruner:last_ms"] == pytest.approx(store.counters.now_ms(), abs=5_000)
    with pytest.raises(redis.ConnectionError):
        gone.counters.count("x")

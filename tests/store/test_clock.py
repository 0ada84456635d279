"""Redis's clock is the only one: a process whose own is two minutes off changes nothing."""

import random
import time
from datetime import datetime
from typing import Any

import pytest
from celery import Celery
from celery.signals import before_task_publish
from submitting import prepare, submit_many

from server.celery_app import publish_signals
from server.store import Store, ids
from server.store.record import Status

CLOCK_OFFSET = 120.0


@pytest.fixture(params=[CLOCK_OFFSET, -CLOCK_OFFSET], ids=["ahead", "behind"])
def skewed(request: pytest.FixtureRequest, store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A process whose wall clock is off."""
    true, true_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: true() + request.param)
    monkeypatch.setattr(time, "time_ns", lambda: true_ns() + int(request.param * 1e9))
    return store


def redis_ms(store: Store) -> int:
    seconds, micros = store.redis.time()
    return int(seconds * 1000 + micros // 1000)


def test_delays_deadlines_and_ids_use_the_clock_of_redis(skewed: Store) -> None:
    now = redis_ms(skewed)
    [task_id] = submit_many(skewed, 1, delay=60, cancel_after=90)

    record = skewed.tasks.get(task_id)

    assert record is not None
    assert now + 60_000 <= (record.due_ms or 0) < now + 62_000
    assert now + 90_000 <= skewed.redis.zscore(skewed.keys.deadlines, task_id) < now + 92_000
    assert now - 100 <= ids.milliseconds(task_id) < now + 2_000


def test_not_before_is_compared_with_the_clock_of_redis(skewed: Store) -> None:
    now = redis_ms(skewed)
    [soon] = submit_many(skewed, 1, not_before_ms=now + 30_000)
    [past] = submit_many(skewed, 1, not_before_ms=now - 30_000)

    records = skewed.tasks.get_many([soon, past])

    assert [record and record.status for record in records] == [Status.SCHEDULED, Status.QUEUED]


def test_the_signal_of_a_publish_has_the_time_of_redis(skewed: Store) -> None:
    times: list[str] = []

    def receive(headers: dict[str, Any], **_: Any) -> None:
        times.append(headers["eta"])

    publish_signals.install(Celery(), skewed)
    before_task_publish.connect(receive)
    now = redis_ms(skewed)
    try:
        skewed.before_publish([prepare(skewed, delay=60)])
    finally:
        before_task_publish.disconnect(receive)

    [eta] = times
    assert now + 60_000 <= datetime.fromisoformat(eta).timestamp() * 1000 < now + 62_000


def test_a_record_is_kept_for_its_ttl(skewed: Store) -> None:
    [task_id] = submit_many(skewed, 1, ttl=60)
    skewed.tasks.cancel(task_id)
    assert skewed.tasks.get(task_id) is not None

    # A process knows Redis's time to within the time of an answer, which is long on a loaded machine.
    skewed.redis.hset(skewed.keys.task(task_id), "x", redis_ms(skewed) - 1_000)

    assert skewed.tasks.get(task_id) is None


def test_the_previous_webhook_secret_signs_until_it_expires(skewed: Store) -> None:
    first = skewed.webhook_secrets.current("alice")
    second = skewed.webhook_secrets.rotate("alice")

    assert skewed.webhook_secrets.signing("alice") == [second, first]
    until = skewed.webhook_secrets.previous_until("alice")
    assert until is not None
    assert abs(until - redis_ms(skewed) / 1000 - 86_400) < 2


def test_the_time_is_never_ahead_of_redis(store: Store) -> None:
    store.clock.now_ns()
    for _ in range(20):
        submit_many(store, 1)
        time.sleep(random.uniform(0, 0.02))
        assert store.clock.now_ms() <= redis_ms(store)


def test_the_time_of_a_late_answer_does_not_set_the_clock_back(store: Store) -> None:
    before = store.clock.now_ms()

    store.clock.adjust(before - 5_000, time.monotonic())

    assert store.clock.now_ms() >= before


def test_the_clock_is_set_from_replies_and_never_waits_afterwards(store: Store) -> None:
    submit_many(store, 1)
    store.redis.config_resetstat()

    store.clock.now_ns()

    assert "cmdstat_time" not in store.redis.info("commandstats")

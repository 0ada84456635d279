"""The services of maintenance, each alone on a Valkey."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from harness import Redis, eventually

from server.celery_app.worker.maintenance import _services
from server.celery_app.worker.maintenance.blob_cleanup import BlobCleanup
from server.celery_app.worker.maintenance.heartbeat import Heartbeat
from server.celery_app.worker.maintenance.leader import Leader
from server.celery_app.worker.maintenance.pruner import Pruner
from server.celery_app.worker.maintenance.rescuer import Rescuer
from server.celery_app.worker.maintenance.scheduler import Scheduler
from server.celery_app.worker.maintenance.service import BATCH, Runner, run_each, until_done
from server.sdk.registry import definition
from server.services.options import Options
from server.services.schedules import Schedule, put
from server.services.submit import Submission
from server.store import Store
from server.store.record import Status
from server.store.stats import CounterBuffer


def submit(store: Store, owner: str = "alice", **options: Any) -> str:
    """Store a task with its message."""
    divide = definition("divide")
    with Submission(store, divide, owner, options=Options(**options)) as submission:
        return submission.submit(divide.validate_json(b'{"x": 1, "y": 2}')).record.id


def status(store: Store, task_id: str) -> Status | None:
    record = store.tasks.get(task_id)
    return record.status if record else None


@pytest.fixture
def leader(store: Store) -> Leader:
    """A leader that is elected."""
    elected = Leader(store, "one")
    elected.round()
    return elected


def test_one_worker_is_elected_and_another_one_when_it_has_left(store: Store) -> None:
    first, second = Leader(store, "one"), Leader(store, "two")

    assert (first.round(), second.round()) == (1, 0)
    assert (first.elected, second.elected) == (True, False)
    assert first.round() == 0, "it was elected before"
    store.leases.deregister("one")
    assert (second.round(), second.elected) == (1, True)


def test_a_leader_expires_no_lease_shortly_after_an_outage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.store.leases.OUTAGE", 0.1)
    leader = Leader(store, "one")
    assert leader.may_check_leases()
    time.sleep(0.2)
    assert not leader.may_check_leases()


def test_a_worker_that_is_not_the_leader_does_nothing(store: Store) -> None:
    task_id = submit(store, delay=0.3)
    time.sleep(0.4)
    idle = Leader(store, "one")
    store.leases.elect_leader("two")

    assert [service(store, idle).round() for service in (Scheduler, Rescuer, Pruner)] == [None, None, None]
    assert status(store, task_id) is Status.SCHEDULED


@pytest.mark.slow
def test_the_scheduler_queues_all_due_tasks_in_one_round(store: Store, leader: Leader) -> None:
    due = [submit(store, delay=0.3) for _ in range(450)]  # more than two batches
    later = submit(store, delay=60)
    time.sleep(0.4)

    assert Scheduler(store, leader).round() == len(due)
    assert {status(store, task_id) for task_id in due} == {Status.QUEUED}
    assert status(store, later) is Status.SCHEDULED


@pytest.mark.slow
@pytest.mark.parametrize("timing", [(60, None), (None, "* * * * *"), (None, "30 6 1 1 MON")])
def test_a_thousand_schedules_that_are_due_together_fire_in_one_round(
    store: Store, leader: Leader, timing: tuple[float | None, str | None]
) -> None:
    now = store.schedules.now_ms()
    values: Any = {"x": 1, "y": 2}
    for number in range(1000):
        schedule = Schedule(
            f"s{number}", "alice", "divide", values, *timing, "Europe/Berlin", True, "skip", {}, Options(), now, now
        )
        put(store, schedule, 0)
    store.redis.zadd(store.keys.fire_times, {f"s{number}": now - 1 for number in range(1000)})

    Scheduler(store, leader).round()

    assert store.queues.waiting(["default"]) == {"default": 1000}


def test_the_scheduler_cancels_tasks_past_their_deadline(store: Store, leader: Leader) -> None:
    task_id = submit(store, cancel_after=0.3)
    time.sleep(0.4)

    assert Scheduler(store, leader).round() == 1
    assert status(store, task_id) is Status.CANCELED


def test_the_rescuer_requeues_a_task_whose_lease_has_expired(store: Store, leader: Leader) -> None:
    task_id = submit(store)
    assert store.tasks.claim(task_id, "dead/1")
    store.redis.zadd(store.keys.leases, {task_id: 1})

    assert Rescuer(store, leader).round() >= 1
    assert status(store, task_id) is Status.QUEUED
    assert store.counters.statistics()["recovery:lost_attempts"] == 1


def test_the_rescuer_replaces_a_lost_message(store: Store, leader: Leader, valkey: Redis) -> None:
    task_id = submit(store)
    queues = [key for key in valkey.client.keys("default*") if valkey.client.type(key) == b"list"]
    valkey.client.delete(*queues)
    rescuer = Rescuer(store, leader)

    eventually(rescuer.round, seconds=10, every=0.5)
    assert status(store, task_id) is Status.QUEUED
    assert [valkey.client.llen(key) for key in queues] == [1]


@pytest.mark.slow
def test_the_pruner_deletes_all_expired_tasks_in_one_round(store: Store, leader: Leader) -> None:
    ended = [submit(store, owner="many", ttl=1) for _ in range(1100)]  # more than a batch
    for task_id in ended:
        store.tasks.cancel(task_id)
    kept = submit(store)
    time.sleep(1.1)

    assert Pruner(store, leader).round() == len(ended)
    assert status(store, kept) is Status.QUEUED
    assert store.redis.zcard("expiry") == 0


def test_the_heartbeat_shows_that_a_worker_is_alive(store: Store) -> None:
    assert Heartbeat(store, "celery@host.1f2e", {"name": "celery@host.1f2e", "concurrency": 4}).round() == 0
    assert [(card["name"], card["concurrency"]) for card in store.leases.workers()] == [("celery@host.1f2e", 4)]


def test_the_blob_cleanup_deletes_the_files_of_all_deleted_tasks(store: Store) -> None:
    for number in range(150):  # more than a batch
        with store.blobs.writer(f"task-{number}/1-a.txt") as writer:
            writer.write(b"x" * 100)
        store.redis.zadd(store.keys.uncollected, {f"task-{number}": 0})

    assert BlobCleanup(store).round() == 150
    assert store.redis.zcard("uncollected") == 0
    assert list(store.blobs.prefixes()) == []


def test_each_service_has_its_own_name_and_interval(store: Store) -> None:
    app = SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from={"default": None})))
    consumer = SimpleNamespace(hostname="celery@host.1f2e", controller=SimpleNamespace(concurrency=2), app=app)
    services = _services(consumer, store)

    assert len({service.name for service in services}) == len(services)
    slow = [service.name for service in services if not 0 < service.interval <= 5]
    assert slow == [], "a round that does something less often calls `leases.acquire_slot`"


class Counting:
    """A service that fails in its second round."""

    name = "counting"
    interval = 0.01

    def __init__(self) -> None:
        self.rounds = 0

    def round(self) -> int:
        """Count."""
        self.rounds += 1
        if self.rounds == 2:
            raise ValueError("a mistake")
        return 3


class Idle:
    """A service whose work another worker does."""

    name = "idle"
    interval = 0.01

    def __init__(self) -> None:
        self.rounds = 0

    def round(self) -> None:
        """Do nothing."""
        self.rounds += 1


def test_a_runner_counts_the_work_of_its_service_and_survives_its_errors(store: Store) -> None:
    service, counters = Counting(), CounterBuffer(lambda: store.counters, store.keys.maintenance)
    runner = Runner(service, counters, 0.5)
    runner.start()
    eventually(lambda: service.rounds >= 4)
    runner.stop()
    runner.join(5)
    counters.flush()

    assert not runner.is_alive()
    counts = store.counters.read(store.keys.maintenance)
    assert 0 < counts.pop("counting:us") < 30e6
    assert counts.pop("counting:last_ms") == pytest.approx(store.counters.now_ms(), abs=5_000)
    done = service.rounds - 1
    assert counts == {"counting:runs": done, "counting:items": 3 * done, "counting:failures": 1}


def test_a_round_that_another_worker_does_is_not_counted(store: Store) -> None:
    service, counters = Idle(), CounterBuffer(lambda: store.counters, store.keys.maintenance)
    runner = Runner(service, counters, 0.5)
    runner.start()
    eventually(lambda: service.rounds >= 3)
    runner.stop()
    runner.join(5)
    counters.flush()

    assert store.counters.read(store.keys.maintenance) == {}


def test_a_failed_step_does_not_stop_the_others_but_an_outage_ends_the_round() -> None:
    def fail(error: Exception) -> Callable[[], int]:
        def step() -> int:
            raise error

        return step

    assert run_each(lambda: 1, fail(ValueError()), lambda: 2) == 3
    from redis.exceptions import ConnectionError

    with pytest.raises(ConnectionError):
        run_each(lambda: 1, fail(ConnectionError()), lambda: 2)


def test_batches_repeat_until_one_is_not_full() -> None:
    batches = iter([BATCH, BATCH, 2, BATCH])
    assert until_done(lambda _: next(batches)) == 2 * BATCH + 2

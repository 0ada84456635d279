"""Outages of Redis: no worker dies, running tasks end once, and workers continue."""

import time
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest
from harness import Service
from ledger import starts

slow = pytest.mark.slow


def _interrupt_redis(service: Service, how: str, seconds: float) -> None:
    if how == "killed":
        service.redis.process.kill()
        time.sleep(seconds)
        service.redis.start()
    else:
        service.redis.process.signal(SIGSTOP)
        time.sleep(seconds)
        service.redis.process.signal(SIGCONT)


SHORT = [("killed", 0.3, 2), ("silent", 5, 2)]
LONG = [
    (how, seconds_down, busy) for how in ("killed", "silent") for seconds_down in (0.3, 5, 30) for busy in (0, 1, 2)
]


@slow
@pytest.mark.parametrize(
    ("how", "seconds_down", "busy"), SHORT + [pytest.param(*each, marks=slow) for each in LONG if each not in SHORT]
)
def test_a_worker_survives_an_outage_and_its_tasks_end_once(
    fresh: Service, how: str, seconds_down: float, busy: int
) -> None:
    fresh.start(workers=1)
    worker = fresh.workers[0]
    running = [fresh.submit("ledgered", seconds=seconds_down / 2 + 0.5) for _ in range(busy)]
    for task_id in running:
        fresh.wait_for(task_id, "running", "succeeded")
    waiting = [fresh.submit("ledgered") for _ in range(3)] if busy == 2 else []
    _interrupt_redis(fresh, how, seconds_down)
    began = time.monotonic()
    later = fresh.submit_until_accepted("ledgered")
    for task_id in (*running, *waiting, later):
        end = fresh.wait_for(task_id)
        assert (end["status"], end["deliveries"], starts(fresh, task_id)) == ("succeeded", 1, 1)
    assert time.monotonic() - began < 15 + 5
    assert worker.alive
    assert "Unrecoverable" not in worker.output()


@slow
def test_a_task_that_reports_and_saves_during_an_outage_succeeds(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES="sample_tasks", LEASE_SECONDS="60") as service:  # longer than any outage here
        service.start(workers=1)
        reporting = service.submit("reports", seconds=3)
        saving = service.submit("saves_late", seconds=1)
        for task_id in (reporting, saving):
            service.wait_for(task_id, "running")
        _interrupt_redis(service, "killed", 2.5)
        for task_id in (reporting, saving):
            end = service.wait_for(task_id)
            assert (end["status"], end["deliveries"]) == ("succeeded", 1)
        assert service.http.get(f"/tasks/{saving}/files/late.txt").text == "late"


@slow
def test_a_failure_during_an_outage_is_retried(fresh: Service) -> None:
    fresh.start(workers=1)
    task_id = fresh.submit("fails_late", seconds=1)
    fresh.wait_for(task_id, "running")
    _interrupt_redis(fresh, "killed", 2)
    end = fresh.wait_for(task_id)
    assert (end["status"], end["retries"]) == ("succeeded", 1)


@slow
def test_a_soft_limit_during_an_outage_does_not_break_the_end_of_a_task(fresh: Service) -> None:
    fresh.start(workers=1)
    task_id = fresh.submit("just_in_time")
    fresh.wait_for(task_id, "running")
    _interrupt_redis(fresh, "silent", 4)
    assert fresh.wait_for(task_id)["status"] == "succeeded"

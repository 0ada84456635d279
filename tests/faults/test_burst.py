"""A child that claims its next task itself keeps every promise for the second and later tasks, too."""

import json
import signal
import subprocess
import time
from itertools import pairwise
from typing import Any

import pytest
from harness import ROOT, Process, Service, eventually
from ledger import attempts, overlapping, starts

SHORT = {"task": "ledgered", "input": {}}


def submit_all(service: Service, *items: dict[str, Any]) -> list[str]:
    """Submit tasks in one step, so that they wait in this order."""
    answer = service.http.post("/batches", json={"items": list(items)})
    return [item["task_id"] for item in answer.json()["items"]]


def submit_between_short_tasks(service: Service, task: str, **parameters: Any) -> tuple[str, list[str], Process]:
    """Submit a task between short ones, and start a worker with one child."""
    service.start_web()
    last = {"task": task, "input": parameters}
    ids = submit_all(service, *[SHORT] * 5, last, *[SHORT] * 5)
    return ids[5], ids[:5] + ids[6:], service.start_worker(WORKER_CONCURRENCY="1")


def celery(service: Service, *arguments: str) -> None:
    """Run one of Celery's own commands."""
    command = ["celery", "-A", "wsgi", *arguments]
    subprocess.run(command, cwd=ROOT, env=service.env, capture_output=True, timeout=60, check=False)


def in_bursts(service: Service) -> list[str]:
    """The tasks that children have claimed by themselves, now."""
    client = service.redis.client
    return [task_id.decode() for key in client.scan_iter("*bursts:*") for task_id in client.hvals(key)]


def _shown_as_running(service: Service) -> list[str]:
    workers = service.http.get("/workers").json()["workers"]
    return [task["task_id"] for worker in workers for task in worker["running"]]


def all_succeed_once(service: Service, ids: list[str], seconds: float = 40) -> None:
    """Wait until each has succeeded in its first attempt."""
    for task_id in ids:
        assert service.wait_for(task_id, seconds=seconds)["status"] == "succeeded"
    assert [starts(service, task_id) for task_id in ids] == [1] * len(ids)
    assert in_bursts(service) == []


@pytest.mark.slow
def test_a_later_task_of_a_burst_is_shown_as_running_on_its_worker(fresh: Service) -> None:
    fresh.env["LEASE_SECONDS"] = "3"
    long, short, _ = submit_between_short_tasks(fresh, "ledgered", seconds=8)
    fresh.wait_for(long, "running")
    assert in_bursts(fresh) == [long]
    eventually(lambda: _shown_as_running(fresh) == [long])
    assert not fresh.redis.client.exists("unacked")
    fresh.start_worker()  # it would rerun a task that lost its lease
    all_succeed_once(fresh, [long, *short])
    assert fresh.status(long)["deliveries"] == 1


@pytest.mark.slow
def test_a_later_task_of_a_burst_is_interrupted_at_its_soft_limit(fresh: Service) -> None:
    long, short, _ = submit_between_short_tasks(fresh, "sleeps_too_long")
    fresh.wait_for(long, "running")
    assert in_bursts(fresh) == [long]
    end = fresh.wait_for(long)
    assert (end["status"], end["error"]["detail"]) == ("failed", "It took longer than 1 seconds.")
    all_succeed_once(fresh, short)


def test_a_later_task_of_a_burst_is_killed_at_its_hard_limit_and_no_other_with_it(fresh: Service) -> None:
    stuck, short, worker = submit_between_short_tasks(fresh, "blocks_in_c")
    fresh.wait_for(stuck, "running")
    assert in_bursts(fresh) == [stuck]
    end = fresh.wait_for(stuck)
    assert (end["status"], end["error"]["type"], end["deliveries"]) == ("failed", "/problems/time-limit", 1)
    all_succeed_once(fresh, short)
    assert worker.alive
    assert "worker_lost" not in worker.output()


@pytest.mark.slow
def test_a_later_task_of_a_burst_that_kills_its_child_fails_alone(fresh: Service) -> None:
    poison, short, worker = submit_between_short_tasks(fresh, "kills_child")
    end = fresh.wait_for(poison)
    assert (end["status"], end["error"]["type"]) == ("failed", "/problems/worker-lost")
    assert starts(fresh, poison) == 3
    all_succeed_once(fresh, short)
    assert worker.alive


def test_a_later_task_of_a_burst_is_canceled_after_the_grace(fresh: Service) -> None:
    fresh.env["CANCEL_GRACE_SECONDS"] = "1"
    unresponsive, short, worker = submit_between_short_tasks(fresh, "ledgered", seconds=60)
    fresh.wait_for(unresponsive, "running")
    assert in_bursts(fresh) == [unresponsive]
    fresh.http.post(f"/tasks/{unresponsive}/cancel")
    assert fresh.wait_for(unresponsive)["status"] == "canceled"
    all_succeed_once(fresh, short)
    assert worker.alive


@pytest.mark.slow
def test_a_later_task_of_a_burst_is_canceled_by_celerys_terminate(fresh: Service) -> None:
    fresh.env["CANCEL_GRACE_SECONDS"] = "1"
    unresponsive, short, _ = submit_between_short_tasks(fresh, "ledgered", seconds=60)
    eventually(lambda: _shown_as_running(fresh) == [unresponsive])
    assert in_bursts(fresh) == [unresponsive]
    celery(fresh, "control", "terminate", "TERM", unresponsive)
    assert fresh.wait_for(unresponsive)["status"] == "canceled"
    all_succeed_once(fresh, short)


@pytest.mark.slow
def test_a_later_task_of_a_burst_is_retried(fresh: Service) -> None:
    flaky, short, _ = submit_between_short_tasks(fresh, "flaky", failures=2)
    end = fresh.wait_for(flaky)
    assert (end["status"], end["retries"], starts(fresh, flaky)) == ("succeeded", 2, 3)
    all_succeed_once(fresh, short)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_later_task_of_a_burst_moves_to_another_worker(fresh: Service, how: str) -> None:
    long, short, worker = submit_between_short_tasks(fresh, "beating", seconds=5)
    fresh.wait_for(long, "running")
    assert in_bursts(fresh) == [long]
    if how == "stopped":
        worker.signal(signal.SIGTERM)
        assert worker.wait(25) == 0
        assert fresh.status(long)["status"] == "queued"
        assert int(fresh.redis.client.hget(fresh.keys.task(long), "c")) == 0
    else:
        worker.kill_main()
    fresh.start_worker()
    end = fresh.wait_for(long)
    assert (end["status"], end["deliveries"]) == ("succeeded", 2)
    all_succeed_once(fresh, short) if how == "stopped" else [fresh.wait_for(each) for each in short]
    assert overlapping(fresh) == []


@pytest.mark.slow
def test_a_later_task_of_a_burst_that_has_lost_its_lease_is_stopped(fresh: Service) -> None:
    long, _, worker = submit_between_short_tasks(fresh, "beating", seconds=20)
    fresh.wait_for(long, "running")
    assert in_bursts(fresh) == [long]
    worker.signal_group(signal.SIGSTOP)
    other = fresh.start_worker()
    eventually(lambda: fresh.status(long)["deliveries"] == 2)
    worker.signal_group(signal.SIGCONT)
    eventually(lambda: "task.killed" in worker.output())
    assert fresh.wait_for(long, seconds=60)["status"] == "succeeded"
    assert (starts(fresh, long), other.alive, worker.alive) == (2, True, True)


@pytest.mark.slow
def test_a_worker_that_stops_during_a_burst_finishes_its_task_and_claims_no_more(fresh: Service) -> None:
    fresh.start_web()
    ids = submit_all(fresh, *[{"task": "ledgered", "input": {"seconds": 0.01}}] * 400)
    worker = fresh.start_worker()
    eventually(lambda: in_bursts(fresh))
    worker.signal(signal.SIGTERM)
    assert worker.wait(25) == 0
    done = [task_id for task_id in ids if fresh.status(task_id)["done"]]
    assert len(done) < len(ids)
    assert worker.output().count("task.handed_back") == 0
    fresh.start_worker()
    all_succeed_once(fresh, ids)


@pytest.mark.slow
def test_no_task_is_lost_or_runs_twice_when_processes_are_killed_during_bursts(fresh: Service) -> None:
    fresh.start_web()
    ids = submit_all(fresh, *[{"task": "beating", "input": {"seconds": 0.01}}] * 400)
    for number in range(6):
        worker = fresh.start_worker()
        eventually(lambda: in_bursts(fresh) or not fresh.redis.client.llen("default"))
        time.sleep(0.1)
        worker.kill_one_child() if number % 2 else worker.kill_main()
    for task_id in ids:
        assert fresh.wait_for(task_id, seconds=60)["status"] == "succeeded"
    assert set(attempts(fresh)) == set(ids)
    assert overlapping(fresh) == []


def test_types_with_limits_and_plain_celery_tasks_are_left_to_the_main_process(fresh: Service) -> None:
    fresh.env["TASK_MODULES"] = "sample_tasks,plain_tasks"
    fresh.start_web()
    limited = {"task": "one_at_a_time", "input": {"seconds": 0.02}}
    first = submit_all(fresh, *[SHORT, limited] * 5)
    celery(fresh, "call", "plain_tasks.plain", "--args", json.dumps(["between", 0.0]))
    ids = first + submit_all(fresh, *[SHORT] * 5)
    fresh.start_worker()
    all_succeed_once(fresh, ids)
    eventually(lambda: starts(fresh, "between") == 1)
    alone = sorted(attempts(fresh)[task_id][0].start for task_id in first[1::2])
    assert all(later - earlier >= 0.02 for earlier, later in pairwise(alone))

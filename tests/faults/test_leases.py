"""A live worker keeps its tasks as long as they take; a dead worker loses them."""

import json
import signal
import subprocess

import pytest
from harness import ROOT, Service, eventually
from ledger import attempts, overlapping, starts


@pytest.mark.slow
@pytest.mark.parametrize("times", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_task_longer_than_several_leases_starts_once(fresh: Service, times: int) -> None:
    fresh.env["LEASE_SECONDS"] = "3"
    fresh.start(workers=2)
    task_id = fresh.submit("ledgered", seconds=3.0 * times)
    assert fresh.wait_for(task_id, seconds=3 * times + 15)["deliveries"] == 1
    assert starts(fresh, task_id) == 1


@pytest.mark.slow
def test_tasks_of_a_killed_worker_run_elsewhere_within_the_lease_and_a_few_seconds(fresh: Service) -> None:
    fresh.start(workers=2)
    running = [fresh.submit("beating", seconds=2) for _ in range(4)]
    for task_id in running:
        fresh.wait_for(task_id, "running")
    fresh.workers[0].kill_main()
    ends = [fresh.wait_for(task_id) for task_id in running]
    assert [end["status"] for end in ends] == ["succeeded"] * 4
    assert sorted(end["deliveries"] for end in ends) == [1, 1, 2, 2]
    assert overlapping(fresh) == []


@pytest.mark.slow
def test_unstarted_tasks_of_a_killed_worker_do_not_wait_for_the_lease(fresh: Service) -> None:
    fresh.env["LEASE_SECONDS"] = "60"
    fresh.start(workers=1)
    fresh.workers[0].signal_group(signal.SIGSTOP)
    task_id = fresh.submit("ledgered")
    client = fresh.redis.client
    # Fetch the message as a worker does that has ended since.
    assert client.rpop("default")
    tag = f"{task_id}:abc"
    client.hset("unacked", tag, f'["{task_id}","","default"]')
    client.zadd("unacked_index", {tag: client.time()[0]})
    fresh.workers[0].signal_group(signal.SIGCONT)
    assert fresh.wait_for(task_id)["status"] == "succeeded"
    assert starts(fresh, task_id) == 1


def call(service: Service, task: str, name: str, seconds: float) -> None:
    """Publish a plain Celery task by Celery's own command."""
    command = ["celery", "-A", "wsgi", "call", f"plain_tasks.{task}", "--args", json.dumps([name, seconds])]
    subprocess.run(command, cwd=ROOT, env=service.env, capture_output=True, timeout=60, check=True)


def ended(service: Service, name: str) -> bool:
    """Whether an attempt of it has ended."""
    return any(attempt.ended for attempt in attempts(service).get(name, []))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["plain", "based"])
def test_a_plain_celery_task_longer_than_several_leases_starts_once(fresh: Service, task: str) -> None:
    fresh.env |= {"LEASE_SECONDS": "5", "TASK_MODULES": "sample_tasks,plain_tasks"}
    fresh.start(workers=2)
    call(fresh, task, "long", 12)
    eventually(lambda: ended(fresh, "long"))
    eventually(lambda: fresh.redis.client.hlen("unacked") == 0)
    assert starts(fresh, "long") == 1


@pytest.mark.slow
def test_a_plain_celery_task_of_a_killed_worker_runs_elsewhere(fresh: Service) -> None:
    fresh.env |= {"TASK_MODULES": "sample_tasks,plain_tasks"}
    fresh.start()
    call(fresh, "plain", "bereft", 4)
    eventually(lambda: starts(fresh, "bereft") == 1)
    fresh.workers[0].kill_main()
    fresh.start_worker()
    eventually(lambda: ended(fresh, "bereft"))
    assert starts(fresh, "bereft") == 2

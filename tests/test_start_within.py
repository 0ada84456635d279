"""`start_within`: a task that no worker has started in time is canceled, however it was submitted."""

import time
from typing import Any

import pytest
from harness import Service, eventually

REASON = "/problems/not-started-in-time"


@pytest.fixture
def idle(fresh: Service) -> Service:
    """A server without a worker."""
    fresh.start_web()
    return fresh


def submit(service: Service, query: str, **parameters: Any) -> str:
    answer = service.http.post(f"/tasks/ledgered?{query}", json=parameters)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def ends_unstarted(service: Service, task_id: str) -> None:
    ended = service.wait_for(task_id)
    assert (ended["status"], ended["deliveries"], ended["error"]["type"]) == ("canceled", 0, REASON)
    assert not any(task_id.encode() in line for line in service.redis.client.lrange("test:ledger", 0, -1))


@pytest.mark.slow
def test_a_task_that_waited_too_long_is_canceled_with_a_reason(idle: Service) -> None:
    late, patient = submit(idle, "start_within=0.5"), submit(idle, "start_within=60")
    time.sleep(1)
    idle.start_worker()
    ends_unstarted(idle, late)
    problem = idle.http.get(f"/tasks/{late}/result")
    assert (problem.status_code, problem.json()["type"]) == (409, "/problems/task-canceled")
    assert problem.json()["error"]["type"] == REASON
    assert idle.wait_for(patient)["status"] == "succeeded"


def test_the_time_counts_from_when_the_task_is_due_until_its_start(service: Service) -> None:
    task_id = submit(service, "delay=2&start_within=1.5", seconds=2)
    assert service.wait_for(task_id)["status"] == "succeeded"


def test_a_task_that_does_not_start_in_time_is_canceled_while_others_run(service: Service) -> None:
    first = service.submit("one_at_a_time", seconds=4)
    service.wait_for(first, "running")
    waiting = service.http.post("/tasks/one_at_a_time?start_within=1", json={"seconds": 0}).json()["task_id"]
    ends_unstarted(service, waiting)
    assert service.status(first)["status"] == "running"


@pytest.mark.slow
def test_a_task_whose_worker_is_killed_runs_again_after_the_deadline(fresh: Service) -> None:
    worker = fresh.start().workers[0]
    task_id = submit(fresh, "start_within=2", seconds=1)
    fresh.wait_for(task_id, "running")
    worker.kill()
    time.sleep(2)
    fresh.start_worker()
    ended = fresh.wait_for(task_id, seconds=60)
    assert (ended["status"], ended["deliveries"]) == ("succeeded", 2)


@pytest.mark.slow
def test_batches_schedules_and_retries_keep_start_within(idle: Service) -> None:
    item = {"task": "ledgered", "options": {"start_within": 0.5}}
    [answer] = idle.http.post("/batches", json={"items": [item]}).json()["items"]
    schedule = {"task": "ledgered", "every": 3600, "options": {"start_within": 0.5}}
    assert idle.http.put("/schedules/nightly", json=schedule).status_code == 201
    run = idle.http.post("/schedules/nightly/run").json()["task_id"]
    time.sleep(1)
    worker = idle.start_worker()
    for task_id in (answer["task_id"], run):
        ends_unstarted(idle, task_id)
    worker.kill()
    retried = idle.http.post(f"/tasks/{run}/retry").json()["task_id"]
    time.sleep(1)
    idle.start_worker()
    ends_unstarted(idle, retried)


def test_the_events_have_the_reason(idle: Service) -> None:
    task_id = submit(idle, "start_within=0.5")
    time.sleep(1)
    idle.start_worker()
    events = idle.http.get(f"/tasks/{task_id}/events", headers={"Accept": "text/event-stream"}).text
    assert "event: done" in events
    assert REASON in events
    eventually(lambda: idle.status(task_id)["done"])

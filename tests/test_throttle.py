"""Limits of a task type: how many run at the same time, and start per minute."""

import time
from itertools import pairwise

import pytest
from harness import Service, eventually


def spans(service: Service, ids: list[str]) -> list[tuple[float, float]]:
    """The times of these tasks by the ledger, in order."""
    lines = [line.decode().split() for line in service.redis.client.lrange("test:ledger", 0, -1)]
    starts = {line[0]: float(line[2]) for line in lines if line[1] == "start"}
    ends = {line[0]: float(line[2]) for line in lines if line[1] == "end"}
    return sorted((starts[each], ends[each]) for each in ids)


def test_tasks_of_a_type_with_a_limit_of_one_never_overlap(service: Service) -> None:
    ids = [service.submit("one_at_a_time", seconds=0.1) for _ in range(6)]
    for each in ids:
        assert service.wait_for(each)["status"] == "succeeded"
    runs = spans(service, ids)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(runs))


def test_other_tasks_run_while_a_limited_type_waits(service: Service) -> None:
    running = service.submit("one_at_a_time", seconds=300)
    service.wait_for(running, "running")
    for _ in range(2):
        service.submit("one_at_a_time")
    quick = service.submit("divide", x=1, y=2)
    assert service.wait_for(quick)["status"] == "succeeded"
    assert service.status(running)["status"] == "running"
    service.http.post("/bulk/cancel", params={"task": "one_at_a_time"})


def test_a_throttled_task_can_be_canceled(service: Service) -> None:
    running = service.submit("one_at_a_time", seconds=300)
    service.wait_for(running, "running")
    waiting = service.submit("one_at_a_time")
    eventually(lambda: service.redis.client.zcard(service.keys.throttled("one_at_a_time", "")))
    assert service.http.post(f"/tasks/{waiting}/cancel").json()["status"] == "canceled"
    service.http.post(f"/tasks/{running}/cancel")
    after = service.submit("one_at_a_time", seconds=0)
    assert service.wait_for(after)["status"] == "succeeded"
    assert service.status(waiting)["deliveries"] == 0


def test_an_account_at_its_limit_does_not_block_another(service: Service) -> None:
    running = service.submit("one_per_account", account_id=1, seconds=300)
    service.wait_for(running, "running")
    waiting = service.submit("one_per_account", account_id=1)
    other = service.submit("one_per_account", account_id=2)

    assert service.wait_for(other)["status"] == "succeeded"
    eventually(lambda: service.redis.client.zcard(service.keys.throttled("one_per_account", "=[1]")))
    assert service.status(waiting)["deliveries"] == 0
    assert service.http.get("/queues/default").json()["waiting"] >= 1
    service.http.post(f"/tasks/{running}/cancel")
    assert service.wait_for(waiting)["status"] == "succeeded"

    answer = service.http.post(f"/tasks/{other}/retry", json={"input": {"account_id": 1}})
    assert service.redis.client.hget(service.keys.task(answer.json()["task_id"]), "lb") == b"=[1]"


@pytest.mark.slow
def test_a_killed_worker_does_not_leave_its_task_type_throttled(fresh: Service) -> None:
    fresh.start()
    ids = [fresh.submit("one_at_a_time", seconds=3) for _ in range(2)]
    fresh.wait_for(ids[0], "running")
    long = fresh.submit("one_per_account", account_id=1, seconds=300)
    ids.append(fresh.submit("one_per_account", account_id=1))
    fresh.wait_for(long, "running")
    fresh.workers[0].kill()
    fresh.start_worker()
    eventually(lambda: fresh.status(long)["deliveries"] == 2)
    fresh.http.post(f"/tasks/{long}/cancel")
    for each in ids:
        assert fresh.wait_for(each)["status"] == "succeeded"
    index = fresh.keys.index("=[1]", "one_per_account", "running")
    eventually(lambda: not fresh.redis.client.exists(fresh.keys.throttled_scopes, index))


def started(service: Service, ids: list[str]) -> list[str]:
    """The tasks of this list that have run."""
    return [task_id for task_id in ids if service.status(task_id)["deliveries"]]


def skip_a_minute(service: Service) -> None:
    """Move the last starts a minute into the past."""
    client = service.redis.client
    for member, score in client.zrange(service.keys.starts("three_a_minute", ""), 0, -1, withscores=True):
        client.zadd(service.keys.starts("three_a_minute", ""), {member: score - 60_000})


@pytest.mark.slow
def test_a_task_type_does_not_exceed_its_limit_per_minute(fresh: Service) -> None:
    fresh.start()
    ids = [fresh.submit("three_a_minute") for _ in range(8)]
    eventually(lambda: fresh.redis.client.zcard(fresh.keys.throttled("three_a_minute", "")) == 5)
    eventually(lambda: fresh.http.get("/tasks?status=succeeded").json()["tasks"][2:])
    assert len(started(fresh, ids)) == 3
    fresh.workers[0].kill()  # tasks that waited without a worker do not all start at the same time afterwards
    skip_a_minute(fresh)
    fresh.start_worker()
    eventually(lambda: len(started(fresh, ids)) == 6)
    time.sleep(2.5)
    assert len(started(fresh, ids)) == 6


@pytest.mark.slow
def test_throttled_tasks_that_were_canceled_do_not_count_toward_the_limit_per_minute(fresh: Service) -> None:
    fresh.start()
    ids = [fresh.submit("three_a_minute") for _ in range(9)]
    eventually(lambda: fresh.redis.client.zcard(fresh.keys.throttled("three_a_minute", "")) == 6)
    fresh.http.post("/bulk/cancel", params={"task": "three_a_minute", "status": "queued"})
    after = fresh.submit("three_a_minute")
    eventually(lambda: fresh.redis.client.zscore(fresh.keys.throttled("three_a_minute", ""), after) is not None)
    skip_a_minute(fresh)
    assert fresh.wait_for(after)["status"] == "succeeded"
    assert len(started(fresh, ids)) == 3


def test_many_canceled_throttled_tasks_do_not_block_the_next_task(service: Service) -> None:
    running = service.submit("one_at_a_time", seconds=300)
    service.wait_for(running, "running")
    for _ in range(40):
        service.submit("one_at_a_time")
    eventually(lambda: service.redis.client.zcard(service.keys.throttled("one_at_a_time", "")) == 40)
    service.http.post("/bulk/cancel", params={"task": "one_at_a_time", "status": "queued"})
    after = service.submit("one_at_a_time", seconds=0)
    service.http.post(f"/tasks/{running}/cancel")
    assert service.wait_for(after)["status"] == "succeeded"
    eventually(
        lambda: (
            not service.redis.client.exists(service.keys.throttled_scopes, service.keys.throttled("one_at_a_time", ""))
        )
    )


LIMITED = """
import os, time
from server.sdk.registry import task

@task(max_running=int(os.environ["LIMIT"]))
def limited(seconds: float) -> None:
    time.sleep(seconds)
"""


@pytest.mark.slow
def test_throttled_tasks_run_after_a_deploy_removes_the_limit(fresh: Service) -> None:
    (fresh.folder / "limited.py").write_text(LIMITED)
    fresh.env |= {"TASK_MODULES": "limited", "PYTHONPATH": f"{fresh.env['PYTHONPATH']}:{fresh.folder}", "LIMIT": "1"}
    fresh.start()
    ids = [fresh.submit("limited", seconds=3) for _ in range(3)]
    eventually(lambda: fresh.redis.client.zcard(fresh.keys.throttled("limited", "")) == 2)
    fresh.workers[0].kill()
    fresh.start_worker(LIMIT="0")
    assert [fresh.wait_for(each)["status"] for each in ids] == ["succeeded"] * 3

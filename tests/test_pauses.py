"""Pauses of queues and task types through HTTP: nothing more starts, and nothing is lost."""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Service, eventually

from server.store.api_keys import Role


@pytest.fixture
def paused(service: Service) -> Iterator[Service]:
    """A server whose pauses end with the test."""
    yield service
    for path in ("/queues/default/pause", "/queues/slow.1/pause", "/catalog/divide/pause", "/catalog/ledgered/pause"):
        assert service.http.delete(path).status_code == 204


def pause(service: Service, path: str) -> dict[str, Any]:
    """Pause a queue or a task type."""
    answer = service.http.put(f"{path}/pause")
    assert answer.status_code == 200
    state: dict[str, Any] = answer.json()
    return state


def divide(service: Service, count: int = 1, **options: Any) -> list[str]:
    """Submit tasks; their ids."""
    responses = [service.http.post("/tasks/divide", params=options, json={"x": 1, "y": 2}) for _ in range(count)]
    assert {answer.status_code for answer in responses} == {202}
    return [answer.json()["task_id"] for answer in responses]


def started(service: Service, ids: list[str]) -> list[str]:
    """Those of these tasks that a worker has started."""
    return [task_id for task_id in ids if service.status(task_id)["deliveries"]]


@pytest.mark.parametrize("path", ["/queues/default", "/catalog/divide"])
def test_no_task_starts_until_the_pause_ends(path: str, paused: Service) -> None:
    assert pause(paused, path)["paused"]
    ids = divide(paused, 3)
    ids += divide(paused, 1, delay=0.2) + divide(paused, 1, priority="high")

    eventually(lambda: paused.status(ids[3])["status"] == "queued")
    time.sleep(2)

    assert started(paused, ids) == []
    assert paused.http.get(path).json()["paused"]
    assert paused.http.get("/queues/default").json()["waiting"] == len(ids)
    assert paused.http.delete(f"{path}/pause").status_code == 204
    resumed_at = time.monotonic()
    for task_id in ids:
        assert paused.wait_for(task_id)["status"] == "succeeded"
    assert time.monotonic() - resumed_at < 20
    assert not paused.http.get(path).json()["paused"]


@pytest.mark.parametrize("path", ["/queues/default", "/catalog/divide"])
def test_a_status_shows_that_its_task_waits_for_the_end_of_a_pause(path: str, paused: Service) -> None:
    before = divide(paused, 1)
    paused.wait_for(before[0])
    pause(paused, path)

    accepted = paused.http.post("/tasks/divide", json={"x": 1, "y": 2})
    task_id = accepted.json()["task_id"]
    polled = paused.http.get(f"/tasks/{task_id}")
    listed = paused.http.get("/tasks", params={"limit": 1}).json()["tasks"][0]
    later = paused.http.get(f"/tasks/{divide(paused, delay=60)[0]}").json()

    assert accepted.json()["paused"] and polled.json()["paused"] and listed["paused"]
    assert accepted.headers["Retry-After"] == polled.headers["Retry-After"] == "30"
    assert "paused" not in paused.status(before[0]), "it has ended"
    assert "paused" not in later, "it is not due"
    paused.http.delete(f"{path}/pause")
    assert "paused" not in paused.wait_for(task_id)


def test_other_queues_and_types_and_running_tasks_continue(paused: Service) -> None:
    running = paused.submit("ledgered", seconds=1)
    paused.wait_for(running, "running")
    pause(paused, "/catalog/ledgered")
    waiting = [paused.submit("ledgered", seconds=0.1) for _ in range(3)]

    assert paused.wait_for(divide(paused)[0])["status"] == "succeeded"
    pause(paused, "/queues/default")
    other = paused.http.post("/tasks/in_a_queue_of_its_own").json()["task_id"]

    assert paused.wait_for(running)["status"] == "succeeded"
    assert paused.wait_for(other)["status"] == "succeeded"
    paused.http.delete("/queues/default/pause")
    assert paused.wait_for(divide(paused)[0])["status"] == "succeeded"
    assert started(paused, waiting) == [], "their type is still paused"
    paused.http.delete("/catalog/ledgered/pause")
    assert {paused.wait_for(task_id)["status"] for task_id in waiting} == {"succeeded"}


@pytest.mark.parametrize("path", ["/queues/default", "/catalog/divide"])
def test_a_task_can_be_canceled_while_it_is_paused(path: str, paused: Service) -> None:
    pause(paused, path)
    ids = divide(paused, 3)
    time.sleep(0.7)

    assert paused.http.post(f"/tasks/{ids[1]}/cancel").json()["status"] == "canceled"
    paused.http.delete(f"{path}/pause")

    assert [paused.wait_for(task_id)["status"] for task_id in ids] == ["succeeded", "canceled", "succeeded"]
    assert paused.http.get("/queues/default").json()["waiting"] == 0


def test_readiness_and_queues_show_pauses_and_who_set_them(paused: Service) -> None:
    pause(paused, "/queues/slow.1")
    again = pause(paused, "/queues/slow.1")
    pause(paused, "/catalog/divide")

    [queue] = [each for each in paused.http.get("/queues").json()["queues"] if each["name"] == "slow.1"]
    warnings = paused.http.get("/health/ready").json()["warnings"]

    assert (queue["paused"], queue["paused_by"]) == (True, "local")
    assert queue["paused_at"] == again["paused_at"], "the second one changes nothing"
    assert "Queue slow.1 is paused: nothing of it starts." in warnings
    assert "Task type divide is paused: nothing of it starts." in warnings
    assert "Paused by local" in paused.http.get("/ui/overview").text
    assert paused.http.get("/queues/default").json()["paused"] is False
    acts = paused.http.get("/audit?target=slow.1&action=pause_queue").json()["entries"]
    assert [(each["by"], each["count"]) for each in acts] == [("local", 1)], "the second one changes nothing"


def test_an_autoscaler_sees_no_latency_in_a_paused_queue(paused: Service) -> None:
    pause(paused, "/queues/default")
    ids = divide(paused, 2)
    time.sleep(0.3)

    queue = paused.http.get("/queues/default").json()

    assert (queue["waiting"], queue["latency_seconds"]) == (2, 0)
    assert paused.redis.client.llen("default") == 2, "Celery's tools read it"
    assert 'coatcheck_queue_latency_seconds{queue="default"} 0.0' in paused.http.get("/metrics").text
    paused.http.delete("/queues/default/pause")
    assert {paused.wait_for(task_id)["status"] for task_id in ids} == {"succeeded"}


@pytest.mark.parametrize("path", ["/queues/nope/pause", "/catalog/nope/pause"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_unknown_name_is_not_found(method: str, path: str, service: Service) -> None:
    assert service.http.request(method, path).status_code == 404


@pytest.mark.slow
def test_only_an_admin_may_pause(fresh: Service) -> None:
    keys = fresh.store.api_keys
    admin, submit = keys.create("root", Role.ADMIN), keys.create("alice", Role.SUBMIT)
    fresh.start_web()
    for path in ("/queues/default/pause", "/catalog/divide/pause"):
        for method in ("PUT", "DELETE"):
            answer = fresh.http.request(method, path, headers={"Authorization": f"Bearer {submit}"})
            assert answer.status_code == 403
            answer = fresh.http.request(method, path, headers={"Authorization": f"Bearer {admin}"})
            assert answer.status_code in (200, 204)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/queues/default", "/catalog/ledgered"])
def test_a_task_fetched_before_the_pause_does_not_start_and_keeps_its_position(path: str, fresh: Service) -> None:
    fresh.start_web()
    worker = fresh.start_worker("--concurrency=2")
    for child in worker.children():
        os.kill(child, signal.SIGSTOP)
    ids = [fresh.submit("ledgered", seconds=0.2) for _ in range(6)]
    eventually(lambda: fresh.redis.client.hlen("unacked") == 2)

    pause(fresh, path)
    for child in worker.children():
        os.kill(child, signal.SIGCONT)
    time.sleep(2.5)

    assert started(fresh, ids) == []
    before = fresh.redis.client.info("commandstats")["cmdstat_rpop"]["calls"]
    time.sleep(1)
    assert fresh.redis.client.info("commandstats")["cmdstat_rpop"]["calls"] == before, "no fetch during the pause"
    fresh.http.delete(f"{path}/pause")
    for task_id in ids:
        assert fresh.wait_for(task_id)["status"] == "succeeded"
    lines = [line.decode().split() for line in fresh.redis.client.lrange("test:ledger", 0, -1)]
    order = [line[0] for line in lines if line[1] == "start"]
    assert [set(order[at : at + 2]) for at in (0, 2, 4)] == [set(ids[at : at + 2]) for at in (0, 2, 4)]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/queues/default", "/catalog/divide"])
def test_a_child_that_claims_its_next_task_itself_stops_at_a_pause(path: str, fresh: Service) -> None:
    fresh.start_web()
    ids = divide(fresh, 300)
    fresh.start_worker("--concurrency=2")
    eventually(lambda: fresh.http.get("/tasks/count?status=succeeded").json()["total"])

    pause(fresh, path)
    time.sleep(1)
    ended = fresh.http.get("/tasks/count?status=succeeded").json()["total"]
    time.sleep(2)

    assert 0 < ended < 300
    assert fresh.http.get("/tasks/count?status=succeeded").json()["total"] == ended
    fresh.http.delete(f"{path}/pause")
    assert {fresh.wait_for(task_id)["status"] for task_id in ids} == {"succeeded"}
    assert sum(fresh.status(task_id)["deliveries"] for task_id in ids) == 300


@pytest.mark.slow
def test_pauses_cancels_and_kills_together_lose_nothing(fresh: Service) -> None:
    fresh.start()
    ids: list[str] = []
    for number in range(12):
        path = ("/queues/default", "/catalog/ledgered")[number % 2]
        ids += [fresh.submit("ledgered", seconds=0.05) for _ in range(10)]
        pause(fresh, path)
        ids += [fresh.submit("ledgered", seconds=0.05) for _ in range(10)]
        fresh.http.post(f"/tasks/{ids[-3]}/cancel")
        if number % 3 == 0:
            fresh.workers[-1].kill()
            fresh.start_worker()
        elif number % 3 == 1:
            fresh.workers[-1].kill_one_child()
        assert fresh.http.delete(f"{path}/pause").status_code == 204

    ends = [fresh.wait_for(task_id, seconds=60)["status"] for task_id in ids]

    assert set(ends) <= {"succeeded", "canceled"}
    assert 1 <= ends.count("canceled") <= 12
    assert fresh.http.get("/queues/default").json()["waiting"] == 0
    assert not fresh.redis.client.exists(fresh.keys.throttled_scopes, fresh.keys.pauses)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/queues/default", "/catalog/divide"])
def test_a_pause_survives_restarts_of_everything(path: str, fresh: Service) -> None:
    fresh.start()
    pause(fresh, path)
    ids = divide(fresh, 5)
    assert fresh.web is not None
    fresh.web.kill()
    fresh.workers[0].kill()
    fresh.redis.process.kill()
    fresh.redis.start()
    fresh.start()

    time.sleep(3)

    assert started(fresh, ids) == []
    assert all(fresh.status(task_id)["paused"] for task_id in ids)
    fresh.http.delete(f"{path}/pause")
    assert {fresh.wait_for(task_id)["status"] for task_id in ids} == {"succeeded"}

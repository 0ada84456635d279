"""The options of a submit: delay, priority, tags, TTL and cancel_after."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from harness import Service, eventually

BODY = {"x": 1, "y": 2}


def test_a_delayed_task_is_scheduled_and_then_runs_once(service: Service) -> None:
    ticket = service.http.post("/tasks/ledgered?delay=1", json={}).json()
    assert (ticket["status"], ticket["state"]) == ("scheduled", "PENDING")
    assert ticket["not_before"]
    ended = service.wait_for(ticket["task_id"])
    assert ended["status"] == "succeeded"
    assert ended["deliveries"] == 1
    assert ended["started_at"] >= ticket["not_before"]


def test_a_task_can_be_due_at_a_given_time(service: Service) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=1)
    ticket = service.http.post("/tasks/divide", params={"not_before": moment.isoformat()}, json=BODY).json()
    assert ticket["status"] == "scheduled"
    assert service.wait_for(ticket["task_id"])["started_at"][:19] >= moment.isoformat()[:19]


def test_a_time_in_the_past_means_now(service: Service) -> None:
    for past in ("2020-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"):
        ticket = service.http.post("/tasks/divide", params={"not_before": past}, json=BODY).json()
        assert ticket["status"] == "queued"


@pytest.mark.slow
def test_a_scheduled_task_survives_restarts_of_everything(fresh: Service) -> None:
    fresh.start()
    ticket = fresh.http.post("/tasks/ledgered?delay=4", json={}).json()
    for process in (*fresh.workers, fresh.web, fresh.redis.process):
        assert process is not None
        process.kill()
    fresh.redis.start()
    fresh.start()
    assert fresh.wait_for(ticket["task_id"])["status"] == "succeeded"
    starts = [line for line in fresh.redis.client.lrange("test:ledger", 0, -1) if b" start " in line]
    assert len(starts) == 1


@pytest.fixture
def one_slot(fresh: Service) -> Service:
    """A worker that runs one task at a time, so that the order of the starts is the order of the queue."""
    fresh.start_web()
    return fresh


def order(service: Service, expected: int) -> list[str]:
    def started_tasks() -> list[str] | None:
        lines = [line.decode().split() for line in service.redis.client.lrange("test:ledger", 0, -1)]
        started = [line[0] for line in lines if line[1] == "start"]
        return started if len(started) == expected else None

    task_ids = eventually(started_tasks)
    assert task_ids is not None
    return task_ids


def test_high_priority_runs_first_and_low_last(one_slot: Service) -> None:
    def submit(priority: str) -> str:
        answer = one_slot.http.post(f"/tasks/ledgered?priority={priority}", json={})
        return str(answer.json()["task_id"])

    low, normal, high = submit("low"), submit("normal"), submit("high")
    assert one_slot.status(high)["queue"]["position"] == 1
    assert one_slot.status(low)["queue"]["position"] == 3
    one_slot.start_worker(WORKER_CONCURRENCY="1")
    assert order(one_slot, 3) == [high, normal, low]


def test_low_priority_is_not_starved(one_slot: Service) -> None:
    items = [{"task": "ledgered", "input": {}, "options": {"priority": "high"}}] * 60
    one_slot.http.post("/batches", json={"items": items})
    low = one_slot.http.post("/tasks/ledgered?priority=low", json={}).json()["task_id"]
    one_slot.start_worker(WORKER_CONCURRENCY="1")
    assert order(one_slot, 61).index(low) < 30


def test_tags_are_shown_without_duplicates(service: Service) -> None:
    ticket = service.http.post("/tasks/divide?tag=red&tag=blue&tag=red", json=BODY).json()
    assert ticket["tags"] == ["red", "blue"]
    assert service.wait_for(ticket["task_id"])["tags"] == ["red", "blue"]


def test_ttl_sets_how_long_a_record_is_kept(service: Service) -> None:
    task_id = service.http.post("/tasks/divide?ttl=1", json=BODY).json()["task_id"]
    ended = service.wait_for(task_id)
    finished = datetime.fromisoformat(ended["finished_at"])
    assert datetime.fromisoformat(ended["expires_at"]) - finished == timedelta(seconds=1)
    eventually(lambda: service.http.get(f"/tasks/{task_id}").status_code == 410)
    eventually(lambda: not list(service.redis.client.scan_iter(f"*{task_id}*")))
    indexes = service.redis.client.scan_iter(service.keys.index("*", "*", "*"))
    assert all(service.redis.client.zscore(name, task_id) is None for name in indexes)


@pytest.mark.parametrize("how", [{"params": {"cancel_after": "1"}}, {"headers": {"Cancel-After": "1s"}}])
def test_a_task_can_be_canceled_after_a_time(service: Service, how: dict[str, Any]) -> None:
    task_id = service.http.post("/tasks/reports", json={"seconds": 30}, **how).json()["task_id"]
    ended = service.wait_for(task_id)
    assert ended["status"] == "canceled"
    assert service.http.get(f"/tasks/{task_id}/result").json()["type"] == "/problems/task-canceled"


def test_cancel_after_accepts_minutes(service: Service) -> None:
    task_id = service.http.post("/tasks/divide", json=BODY, headers={"Cancel-After": "5m"}).json()["task_id"]
    due = service.redis.client.zscore(service.keys.deadlines, task_id)
    assert due is None or 250 < due / 1000 - time.time() < 310  # None: it has ended already


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delay", "-1"),
        ("delay", "soon"),
        ("delay", "nan"),
        ("delay", "1e99"),
        ("not_before", "tomorrow"),
        ("not_before", "2030-01-01T00:00:00"),
        ("not_before", "0.5"),
        ("not_before", "1893456000"),
        ("not_before", "9999-12-31T23:59:59-14:00"),
        ("not_before", "2100-01-01T00:00:00Z"),
        ("priority", "urgent"),
        ("ttl", "0"),
        ("ttl", "1.5"),
        ("cancel_after", "0"),
        ("tag", ""),
        ("tag", "a b"),
        ("tag", "x" * 65),
    ],
)
def test_the_error_for_an_invalid_option_names_it(service: Service, name: str, value: str) -> None:
    answer = service.http.post("/tasks/divide", params={name: value}, json=BODY)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"][:2] == ["query", name]


@pytest.mark.parametrize("value", ["", "soon", "1.5", "5d", "-1"])
def test_the_error_for_an_invalid_cancel_after_names_it(service: Service, value: str) -> None:
    for query in ({}, {"cancel_after": 5}):
        answer = service.http.post("/tasks/divide", params=query, json=BODY, headers={"Cancel-After": value})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["loc"] == ["header", "Cancel-After"]


def test_a_repeated_option_is_refused(service: Service) -> None:
    answer = service.http.post("/tasks/divide?priority=low&priority=high", json=BODY)

    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"loc": ["query", "priority"], "msg": "Given more than once"}]


UNKNOWN = [
    ("POST", "/batches?delay=60&webhook=https://example.com/hook"),
    ("POST", "/tasks/{task_id}/cancel?delay=60"),
    ("POST", "/tasks/{task_id}/retry?delay=60&copy=true"),
    ("POST", "/bulk/cancel?tag=none&delay=60"),
    ("POST", "/tasks/query?delay=60"),
    ("QUERY", "/tasks?delay=60"),
    ("POST", "/schedules/none/run?delay=60"),
    ("PUT", "/schedules/none?delay=60"),
    ("DELETE", "/tasks/{task_id}?delay=60"),
]


@pytest.mark.parametrize(("method", "path"), UNKNOWN, ids=[f"{method} {path}" for method, path in UNKNOWN])
def test_a_route_that_changes_state_refuses_an_unknown_option(service: Service, method: str, path: str) -> None:
    task_id = service.submit("divide", **BODY)
    body = {"items": [{"task": "divide", "input": BODY}]}

    answer = service.http.request(method, path.format(task_id=task_id), json=body)

    assert answer.status_code == 400
    assert answer.json()["detail"] == "Unknown in the query: delay."


def test_a_route_that_only_reads_ignores_unknown_options(service: Service) -> None:
    task_id = service.submit("divide", **BODY)

    assert service.http.get(f"/tasks/{task_id}?_=1764338400").status_code == 200

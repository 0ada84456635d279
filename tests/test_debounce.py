"""`debounce`: while a task with a key is scheduled, a submit replaces its input and postpones it."""

import time
import uuid
from datetime import datetime
from typing import Any

import httpx
import pytest
from harness import Service
from test_unique import ids_of, send_simultaneously


def new_key() -> str:
    return uuid.uuid4().hex


def post(service: Service, key: str, delay: float, seconds: float = 0, **options: Any) -> httpx.Response:
    query = {"debounce": key, "delay": delay, **options}
    return service.http.post("/tasks/ledgered", params=query, json={"seconds": seconds})


def due(status: dict[str, Any]) -> float:
    return datetime.fromisoformat(status["not_before"]).timestamp()


def starts(service: Service, task_id: str) -> int:
    lines = service.redis.client.lrange("test:ledger", 0, -1)
    return sum(line.startswith(f"{task_id} start ".encode()) for line in lines)


def test_repeated_submits_run_once_with_the_last_input_after_the_last_delay(service: Service) -> None:
    key = new_key()
    responses = []
    for number in range(5):
        responses.append(post(service, key, 1.5, seconds=number / 10))
        time.sleep(0.3)
    assert [answer.status_code for answer in responses] == [202] * 5
    assert [answer.json()["status"] for answer in responses] == ["scheduled"] * 5
    [task_id] = ids_of(responses)
    times = [due(answer.json()) for answer in responses]
    assert times == sorted(set(times))
    ended = service.wait_for(task_id)
    assert (ended["status"], starts(service, task_id)) == ("succeeded", 1)
    assert datetime.fromisoformat(ended["started_at"]).timestamp() >= times[-1]
    assert service.result(task_id) == 0.4


def test_max_delay_counts_from_the_first_submit(service: Service) -> None:
    key = new_key()
    began = time.monotonic()
    first = post(service, key, 1, max_delay=2).json()
    last = first
    while last["task_id"] == first["task_id"] and time.monotonic() - began < 15:
        if last["status"] == "scheduled":  # the scheduler can queue it between the move of its time and the answer
            assert due(last) <= datetime.fromisoformat(first["submitted_at"]).timestamp() + 2.5
        time.sleep(0.2)
        last = post(service, key, 1, max_delay=2).json()
    assert time.monotonic() - began < 10
    assert service.wait_for(first["task_id"])["status"] == "succeeded"


def test_a_submit_after_the_due_time_creates_another_task(service: Service) -> None:
    key = new_key()
    first = post(service, key, 0.1, seconds=2).json()["task_id"]
    service.wait_for(first, "running")
    second = post(service, key, 60)
    assert second.status_code == 202
    assert second.json()["task_id"] != first
    service.wait_for(first)
    assert post(service, key, 60).json()["task_id"] == second.json()["task_id"], "the end of the first frees no key"


@pytest.mark.slow
def test_fifty_simultaneous_submits_create_one_task(service: Service) -> None:
    key, query = new_key(), {"delay": 60}

    def send() -> httpx.Response:
        return httpx.post(f"{service.url}/tasks/ledgered", params={"debounce": key, **query}, json={}, timeout=60)

    responses = send_simultaneously(50, send)
    assert {answer.status_code for answer in responses} == {202}
    assert len(ids_of(responses)) == 1


def test_a_canceled_task_frees_its_key(service: Service) -> None:
    key = new_key()
    first = post(service, key, 60).json()["task_id"]
    service.http.post(f"/tasks/{first}/cancel")
    assert post(service, key, 60).json()["task_id"] != first


@pytest.mark.slow
def test_inputs_of_any_length_replace_each_other_and_are_counted_once(fresh: Service) -> None:
    fresh.start_web()
    bytes_key = fresh.keys.bytes_held

    def send(length: int) -> str:
        query = {"debounce": "k", "delay": 60}
        answer = fresh.http.post("/tasks/fails_with_a_message", params=query, json={"text": "x" * length})
        return str(answer.json()["task_id"])

    first = send(5)
    for length in (5000, 10, 300):
        assert send(length) == first
        stored = fresh.http.get(f"/tasks/{first}/input").json()["input"]
        assert stored == {"text": "x" * length}
        counted = int(fresh.redis.client.hget(bytes_key, "local") or 0)
        assert counted == (length + len('{"text":""}') if length > 64 else 0)
    assert fresh.redis.client.hget(fresh.keys.unfinished, "local") == b"1"


@pytest.mark.slow
def test_a_postponed_task_survives_restarts_of_all_processes(fresh: Service) -> None:
    fresh.start()
    key = new_key()
    first = post(fresh, key, 1).json()["task_id"]
    moved = post(fresh, key, 5, seconds=0.1).json()
    for process in (*fresh.workers, fresh.web, fresh.redis.process):
        assert process is not None
        process.kill()
    fresh.redis.start()
    fresh.start()
    ended = fresh.wait_for(first)
    assert datetime.fromisoformat(ended["started_at"]).timestamp() >= due(moved)
    assert (starts(fresh, first), fresh.result(first)) == (1, 0.1)


def test_a_long_poll_gets_the_new_start_time(service: Service) -> None:
    key = new_key()
    first = post(service, key, 60)
    task_id = first.json()["task_id"]
    before = service.http.get(f"/tasks/{task_id}")
    moved = post(service, key, 120)
    after = service.http.get(f"/tasks/{task_id}", headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert after.json()["not_before"] == moved.json()["not_before"] > before.json()["not_before"]


@pytest.mark.slow
def test_start_within_is_postponed_with_the_task(fresh: Service) -> None:
    fresh.start_web()
    key = new_key()
    first = post(fresh, key, 60, start_within=10).json()["task_id"]
    moved = post(fresh, key, 90).json()
    until = fresh.redis.client.zscore(fresh.keys.start_deadlines, first)
    assert until is not None
    assert until / 1000 == pytest.approx(due(moved) + 10)


def test_the_items_of_a_batch_are_debounced(service: Service) -> None:
    key = new_key()
    items = [
        {"task": "ledgered", "input": {"seconds": number / 10}, "options": {"debounce": key, "delay": 1}}
        for number in range(3)
    ]
    responses = service.http.post("/batches", json={"items": items}).json()["items"]
    [task_id] = {answer["task_id"] for answer in responses}
    assert service.result(task_id) == 0.2


def test_a_request_repeated_with_an_idempotency_key_postpones_a_task_once(service: Service) -> None:
    key, headers = new_key(), {"Idempotency-Key": new_key()}
    first = post(service, key, 60).json()
    query = {"debounce": key, "delay": 90}
    moved, again = (
        service.http.post("/tasks/ledgered", params=query, json={"seconds": 0}, headers=headers) for _ in range(2)
    )
    assert again.headers["Idempotency-Replayed"] == "true"
    assert {moved.json()["task_id"], again.json()["task_id"]} == {first["task_id"]}
    assert again.json()["not_before"] == moved.json()["not_before"]


def test_a_retry_of_a_debounced_task_runs_immediately(service: Service) -> None:
    key = new_key()
    first = post(service, key, 0.1).json()["task_id"]
    service.wait_for(first)
    waiting = post(service, key, 60).json()["task_id"]
    retried = service.http.post(f"/tasks/{first}/retry")
    assert retried.status_code == 202
    assert service.wait_for(retried.json()["task_id"])["status"] == "succeeded"
    assert post(service, key, 60).json()["task_id"] == waiting


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("debounce=k", "debounce"),
        ("debounce=k&delay=0", "debounce"),
        ("debounce=k&delay=1&not_before=2020-01-01T00:00:00Z", "debounce"),
        ("debounce=k&delay=1&unique=k", "debounce"),
        ("max_delay=5&delay=1", "max_delay"),
        ("debounce=k&delay=9&max_delay=5", "max_delay"),
    ],
)
def test_incompatible_options_are_refused(service: Service, query: str, name: str) -> None:
    answer = service.http.post(f"/tasks/ledgered?{query}", json={})
    assert answer.status_code == 422
    assert name in {each["loc"][-1] for each in answer.json()["errors"]}


def test_a_task_type_with_uploads_or_a_unique_key_cannot_be_debounced(service: Service) -> None:
    query = {"debounce": "k", "delay": 5}
    files = {"file": ("a.txt", b"content", "text/plain")}
    refused = [
        service.http.post("/tasks/echo_file", params=query, files=files),
        service.http.post("/tasks/report_of", params=query, json={"user_id": "x"}),
    ]
    assert [answer.status_code for answer in refused] == [422, 422]

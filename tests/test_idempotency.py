"""A repeated request with an Idempotency-Key creates no second task."""

import signal
import threading
import uuid
from collections import Counter
from typing import Any

import httpx
import pytest
from harness import Service, eventually

from server.store.submit import IdempotencyKey


def key() -> dict[str, str]:
    return {"Idempotency-Key": f'"{uuid.uuid4()}"'}


def test_a_repeated_request_with_its_key_gets_the_first_response(service: Service) -> None:
    headers = key()
    first = service.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=headers)
    second = service.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=headers)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["task_id"] == second.json()["task_id"]
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.headers["Location"] == first.headers["Location"]


def test_another_request_with_the_same_key_is_refused(service: Service) -> None:
    headers = key()
    assert service.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=headers).status_code == 202
    for path, body in (("/tasks/divide", {"x": 1, "y": 3}), ("/tasks/divide?priority=high", {"x": 1, "y": 2})):
        answer = service.http.post(path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")


def test_a_key_without_quotes_is_the_same_key(service: Service) -> None:
    quoted = key()
    bare = {"Idempotency-Key": quoted["Idempotency-Key"].strip('"')}
    first = service.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=quoted).json()
    assert service.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=bare).json()["task_id"] == first["task_id"]


def test_a_refused_request_frees_its_key(service: Service) -> None:
    headers = key()
    assert service.http.post("/tasks/divide", json={"x": "one", "y": 2}, headers=headers).status_code == 422
    assert service.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=headers).status_code == 202


def test_the_same_upload_with_the_same_key_is_stored_once(service: Service) -> None:
    headers = key()
    responses = [
        service.http.post("/tasks/echo_file", files={"file": ("a.txt", b"content", "text/plain")}, headers=headers)
        for _ in range(2)
    ]
    first, second = (answer.json()["task_id"] for answer in responses)
    assert first == second
    other = service.http.post("/tasks/echo_file", files={"file": ("a.txt", b"other", "text/plain")}, headers=headers)
    assert other.status_code == 422
    kept = {
        name.decode().split("/")[0].rpartition(":")[2]
        for name in service.redis.client.scan_iter(service.keys.blob("*in*0*"))
    }
    assert kept <= {first} or first in kept


def test_a_request_that_repeats_an_unfinished_one_is_answered_409(service: Service) -> None:
    headers = key() | {"Content-Type": "text/plain"}
    begun, go_on = threading.Event(), threading.Event()
    responses: list[httpx.Response] = []

    def slow_body() -> Any:
        yield b"x" * 100_000  # more than the loop reads before a request begins
        begun.set()
        go_on.wait(30)
        yield b"second half"

    def send() -> None:
        responses.append(httpx.post(f"{service.url}/tasks/echo_file", content=slow_body(), headers=headers, timeout=30))

    sender = threading.Thread(target=send)
    sender.start()
    begun.wait(10)
    reserved = service.keys.idempotency("local", IdempotencyKey("local", headers["Idempotency-Key"].strip('"')).digest)
    eventually(lambda: service.redis.client.exists(reserved))  # else the second may be the first
    refused = service.http.post("/tasks/echo_file", content=b"first half", headers=headers)
    go_on.set()
    sender.join(20)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/idempotency-key-in-use")
    assert responses[0].status_code == 202


def test_fifty_simultaneous_requests_with_one_key_create_one_task(service: Service) -> None:
    headers = key()
    tag = uuid.uuid4().hex
    responses: list[httpx.Response] = []

    def send() -> None:
        url = f"{service.url}/tasks/divide?tag={tag}"
        responses.append(httpx.post(url, json={"x": 1, "y": 2}, headers=headers, timeout=30))

    senders = [threading.Thread(target=send) for _ in range(50)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(30)
    codes = Counter(answer.status_code for answer in responses)
    assert set(codes) <= {202, 409}
    assert len({answer.json()["task_id"] for answer in responses if answer.status_code == 202}) == 1
    assert len(service.http.get("/tasks", params={"tag": tag}).json()["tasks"]) == 1


@pytest.mark.slow
def test_a_key_survives_a_crash_of_the_web_process(fresh: Service) -> None:
    web = fresh.start_web()
    headers = key()
    first = fresh.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=headers).json()
    web.signal_group(signal.SIGKILL)
    web.wait()
    fresh.start_web()
    again = fresh.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=headers)
    assert (again.status_code, again.json()["task_id"]) == (202, first["task_id"])


def test_the_keys_of_two_owners_are_two_keys(service: Service) -> None:
    alices, bobs = IdempotencyKey("alice", "k"), IdempotencyKey("bob", "k")

    assert service.keys.idempotency("alice", alices.digest) != service.keys.idempotency("bob", bobs.digest)


def test_an_empty_key_is_refused(service: Service) -> None:
    answer = service.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers={"Idempotency-Key": '""'})
    assert answer.status_code == 400

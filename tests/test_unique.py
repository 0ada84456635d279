"""`unique`: one unfinished task has a key of an owner and a type, for every way and number of simultaneous submits."""

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from harness import Service, eventually

from server.store.record import UNIQUE, unique_key

DUPLICATE = "/problems/duplicate-task"


def new_key() -> str:
    return uuid.uuid4().hex


def post(
    service: Service, key: str, task: str = "ledgered", headers: dict[str, str] | None = None, **options: Any
) -> httpx.Response:
    """Submit a task with a key; the options that are not of the query are its parameters."""
    parameters = {"seconds": options.pop("seconds", 0)}
    return service.http.post(f"/tasks/{task}", params={"unique": key, **options}, json=parameters, headers=headers)


def send_simultaneously(count: int, send: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """Send requests at the same time."""
    responses: list[httpx.Response] = []
    barrier = threading.Barrier(count)

    def act() -> None:
        barrier.wait(30)
        responses.append(send())

    senders = [threading.Thread(target=act) for _ in range(count)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    return responses


def ids_of(responses: list[httpx.Response]) -> set[str]:
    return {answer.json()["task_id"] for answer in responses}


# -- while an earlier one is unfinished


def test_a_second_submit_gets_the_first_task_until_that_has_ended(service: Service) -> None:
    key = new_key()
    first = post(service, key, delay=60)
    second = post(service, key, seconds=1)
    assert (first.status_code, second.status_code) == (202, 200)
    assert "Task-Deduplicated" not in first.headers
    assert second.headers["Task-Deduplicated"] == "true"
    assert second.headers["Location"] == first.headers["Location"]
    assert second.json()["task_id"] == first.json()["task_id"]
    assert second.json()["status"] == "scheduled"
    service.http.post(f"/tasks/{first.json()['task_id']}/cancel")
    third = post(service, key)
    assert third.status_code == 202
    service.wait_for(third.json()["task_id"])
    fourth = post(service, key)
    assert fourth.status_code == 202
    service.wait_for(fourth.json()["task_id"])
    stored = unique_key(UNIQUE, key.encode())
    assert not service.redis.client.exists(service.keys.unique("local", "ledgered", stored))


def test_a_key_blocks_neither_other_types_nor_other_keys(service: Service) -> None:
    key = new_key()
    responses = [
        post(service, key, delay=60),
        post(service, key, "beating", delay=60),
        post(service, key + "1", delay=60),
    ]
    assert [answer.status_code for answer in responses] == [202, 202, 202]


@pytest.mark.parametrize("way", ["return", "reject", "replace"])
def test_fifty_simultaneous_submits_leave_one_task(service: Service, way: str) -> None:
    key = tag = new_key()

    def send() -> httpx.Response:
        url = f"{service.url}/tasks/ledgered"
        return httpx.post(url, params={"unique": key, "tag": tag, "delay": 60, "on_conflict": way}, json={}, timeout=60)

    responses = send_simultaneously(50, send)
    codes = Counter(answer.status_code for answer in responses)
    assert codes == {"return": {202: 1, 200: 49}, "reject": {202: 1, 409: 49}, "replace": {202: 50}}[way]
    assert len(ids_of(responses)) == (50 if way == "replace" else 1)
    counts = Counter(task["status"] for task in service.http.get("/tasks", params={"tag": tag}).json()["tasks"])
    assert counts == ({"scheduled": 1, "canceled": 49} if way == "replace" else {"scheduled": 1})


def test_reject_names_the_earlier_task(service: Service) -> None:
    key = new_key()
    first = post(service, key, delay=60).json()["task_id"]
    refused = post(service, key, on_conflict="reject")
    assert (refused.status_code, refused.json()["type"], refused.json()["task_id"]) == (409, DUPLICATE, first)


@pytest.mark.parametrize("when", [{"delay": 60}, {"queued": 1}])
def test_replace_cancels_a_waiting_task_and_accepts_the_new_one(fresh: Service, when: dict[str, int]) -> None:
    fresh.start_web()
    key, delay = new_key(), when.get("delay", 0)
    first = post(fresh, key, delay=delay).json()["task_id"]
    second = post(fresh, key, on_conflict="replace", seconds=0.1)
    assert second.status_code == 202
    assert fresh.status(first)["status"] == "canceled"
    assert second.json()["queue"]["position"] == 1
    assert fresh.redis.client.hget(fresh.keys.unfinished, "local") == b"1"
    fresh.start_worker()
    assert fresh.wait_for(second.json()["task_id"])["status"] == "succeeded"
    assert fresh.status(first)["deliveries"] == 0


def test_replace_leaves_a_running_task(service: Service) -> None:
    key = new_key()
    first = post(service, key, seconds=2).json()["task_id"]
    service.wait_for(first, "running")
    refused = post(service, key, on_conflict="replace")
    assert (refused.status_code, refused.json()["task_id"]) == (409, first)
    assert service.wait_for(first)["status"] == "succeeded"
    assert post(service, key, on_conflict="replace").status_code == 202


def test_a_replaced_task_frees_space_in_a_full_quota(fresh: Service) -> None:
    fresh.env["MAX_WAITING_PER_OWNER"] = "1"
    fresh.start_web()
    key = new_key()
    assert post(fresh, key).status_code == 202
    assert post(fresh, new_key()).status_code == 429
    assert post(fresh, key, on_conflict="replace").status_code == 202


# -- with unique_for


def test_unique_for_keeps_the_key_after_the_end(service: Service) -> None:
    key = new_key()
    first = post(service, key, unique_for=3).json()
    service.wait_for(first["task_id"])
    second = post(service, key)
    assert (second.status_code, second.json()["task_id"], second.json()["status"]) == (
        200,
        first["task_id"],
        "succeeded",
    )
    assert post(service, key, on_conflict="replace").status_code == 409
    eventually(lambda: post(service, key).status_code == 202, seconds=10, every=0.2)


def test_unique_for_does_not_end_before_the_task(service: Service) -> None:
    key = new_key()
    first = post(service, key, unique_for=0.2, seconds=1.5).json()["task_id"]
    time.sleep(0.5)
    assert post(service, key).json()["task_id"] == first
    service.wait_for(first)
    assert post(service, key).status_code == 202


@pytest.mark.parametrize("how", ["deleted", "expired"])
def test_a_kept_key_outlives_its_record(service: Service, how: str) -> None:
    key = new_key()
    first = post(service, key, unique_for=60, ttl=1 if how == "expired" else 600).json()["task_id"]
    service.wait_for(first)
    if how == "deleted":
        assert service.http.delete(f"/tasks/{first}").status_code == 204
    eventually(lambda: service.http.get(f"/tasks/{first}").status_code == 410)
    refused = post(service, key)
    assert (refused.status_code, refused.json()["type"], refused.json()["task_id"]) == (409, DUPLICATE, first)


def test_a_key_whose_record_is_lost_is_free(service: Service) -> None:
    key = new_key()
    first = post(service, key, delay=600).json()["task_id"]
    service.store.leases.drop(first)
    service.redis.client.hincrby(service.keys.unfinished, "local", -1)
    service.redis.client.zrem(service.keys.due, first)
    assert post(service, key).status_code == 202


# -- kills and restarts


@pytest.mark.slow
def test_a_killed_worker_leaves_one_task_and_the_key_is_free_at_its_end(fresh: Service) -> None:
    fresh.start()
    key = new_key()
    first = post(fresh, key, seconds=2).json()["task_id"]
    fresh.wait_for(first, "running")
    fresh.workers[0].kill()
    assert ids_of(send_simultaneously(10, lambda: post_raw(fresh, key))) == {first}
    fresh.start_worker()
    fresh.wait_for(first, "running", seconds=60)
    assert post(fresh, key).json()["task_id"] == first
    ended = fresh.wait_for(first, seconds=60)
    assert (ended["status"], ended["deliveries"]) == ("succeeded", 2)
    assert post(fresh, key).status_code == 202


def post_raw(service: Service, key: str) -> httpx.Response:
    """Submit by a connection of its own."""
    return httpx.post(f"{service.url}/tasks/ledgered", params={"unique": key}, json={}, timeout=60)


@pytest.mark.slow
def test_a_key_survives_restarts_of_everything(fresh: Service) -> None:
    fresh.start()
    key = new_key()
    first = post(fresh, key, delay=4).json()["task_id"]
    for process in (*fresh.workers, fresh.web, fresh.redis.process):
        assert process is not None
        process.kill()
    fresh.redis.start()
    fresh.start()
    assert post(fresh, key).json()["task_id"] == first
    assert fresh.wait_for(first)["status"] == "succeeded"
    assert post(fresh, key).status_code == 202


@pytest.mark.parametrize("task", ["kills_child", "fails_late"])
def test_a_task_that_fails_or_is_retried_keeps_its_key_until_its_end(service: Service, task: str) -> None:
    key = new_key()
    first = service.http.post(f"/tasks/{task}", params={"unique": key}, json={}).json()["task_id"]
    while not service.status(first)["done"]:
        answer = service.http.post(f"/tasks/{task}", params={"unique": key, "on_conflict": "reject"}, json={})
        if answer.status_code == 202:
            assert service.status(first)["done"]
            break
        assert answer.json()["task_id"] == first
        time.sleep(0.1)


# -- other ways to submit


def test_the_items_of_a_batch_are_deduplicated_one_by_one(service: Service) -> None:
    key, tag = new_key(), new_key()

    def item(**more: Any) -> dict[str, Any]:
        return {"task": "ledgered", "options": {"unique": key, "delay": 60, "tag": tag, **more}}

    body = {"items": [item(), item(), item(on_conflict="reject"), item(on_conflict="replace"), {"task": "ledgered"}]}
    batch = service.http.post("/batches", json=body).json()
    first, second, third, fourth, fifth = batch["items"]
    assert (second["task_id"], second["deduplicated"]) == (first["task_id"], True)
    assert (third["problem"]["type"], third["problem"]["task_id"]) == (DUPLICATE, first["task_id"])
    assert fourth["task_id"] != first["task_id"]
    tasks = service.http.get("/tasks", params={"tag": tag}).json()["tasks"]
    assert {task["task_id"]: task["status"] for task in tasks} == {
        first["task_id"]: "canceled",
        fourth["task_id"]: "scheduled",
    }
    assert service.wait_for(fifth["task_id"])["status"] == "succeeded"
    counts = service.http.get(batch["links"]["self"]).json()["counts"]
    assert counts == {"canceled": 1, "scheduled": 1, "succeeded": 1}
    service.http.post(f"/tasks/{fourth['task_id']}/cancel")
    assert service.http.get(batch["links"]["self"], params={"wait": 5}).json()["done"]
    assert service.redis.client.hget(service.keys.batch(batch["batch_id"]), "left") == b"0"
    lines = service.http.get(batch["links"]["results"]).text.splitlines()
    answered = [json.loads(line).get("task_id") for line in lines]
    assert answered == [item.get("task_id") for item in batch["items"]]
    eventually(lambda: not service.redis.client.exists(service.keys.unfinished))


def test_an_idempotency_key_repeats_the_response_with_the_earlier_task(service: Service) -> None:
    key, headers = new_key(), {"Idempotency-Key": new_key()}
    first = post(service, key, delay=60).json()["task_id"]
    first_response = post(service, key, headers=headers)
    service.http.post(f"/tasks/{first}/cancel")
    again = post(service, key, headers=headers)
    assert (first_response.status_code, again.status_code) == (200, 200)
    assert first_response.json()["task_id"] == again.json()["task_id"] == first
    assert "Idempotency-Replayed" not in first_response.headers
    assert (again.headers["Idempotency-Replayed"], again.headers["Task-Deduplicated"]) == ("true", "true")


def test_a_rejected_request_leaves_its_idempotency_key_free(service: Service) -> None:
    key, headers = new_key(), {"Idempotency-Key": new_key()}
    first = post(service, key, delay=60).json()["task_id"]
    assert post(service, key, headers=headers, on_conflict="reject").status_code == 409
    service.http.post(f"/tasks/{first}/cancel")
    assert post(service, key, headers=headers, on_conflict="reject").status_code == 202


def test_a_submit_that_waits_gets_the_end_of_the_earlier_task(service: Service) -> None:
    key = new_key()
    first = post(service, key, seconds=1, unique_for=60).json()["task_id"]
    for _ in range(2):  # while it runs, and after its end
        began = time.monotonic()
        ended = post(service, key, wait=20)
        assert (ended.status_code, ended.json()["task_id"], ended.json()["result"]) == (200, first, 1)
        assert ended.headers["Task-Deduplicated"] == "true"
        assert time.monotonic() - began < 15


def test_a_file_of_a_deduplicated_submit_is_not_kept(service: Service) -> None:
    key = new_key()

    def send() -> httpx.Response:
        files = {"file": ("a.txt", new_key().encode(), "text/plain")}
        return service.http.post("/tasks/echo_file", params={"unique": key, "unique_for": 60}, files=files)

    first, second = send(), send()
    assert (first.status_code, second.status_code) == (202, 200)
    kept = {name.decode() for name in service.redis.client.scan_iter(service.keys.blob("*/in/0*"))}
    assert len({name for name in kept if first.json()["task_id"] in name}) >= 1
    uploads = {name.split("/")[0].rpartition(":")[2] for name in kept}
    records = {task_id for task_id in uploads if service.store.tasks.get(task_id)}
    assert uploads == records


def test_a_scheduled_run_is_skipped_when_its_key_is_in_use(service: Service) -> None:
    key, name = new_key(), f"s-{new_key()[:8]}"
    first = post(service, key, delay=600).json()["task_id"]
    schedule = {"task": "ledgered", "every": 1, "options": {"unique": key}}
    assert service.http.put(f"/schedules/{name}", json=schedule).status_code == 201
    eventually(lambda: service.http.get(f"/schedules/{name}").json()["skipped"] >= 2)
    run = service.http.post(f"/schedules/{name}/run")
    assert (run.status_code, run.json()["task_id"], run.headers["Task-Deduplicated"]) == (200, first, "true")
    assert service.http.get(f"/schedules/{name}").json()["runs"] == []
    service.http.post(f"/tasks/{first}/cancel")
    eventually(lambda: service.http.get(f"/schedules/{name}").json()["runs"])
    service.http.delete(f"/schedules/{name}")


def test_a_schedule_that_rejects_duplicates_reports_it_and_continues(service: Service) -> None:
    key, name = new_key(), f"s-{new_key()[:8]}"
    first = post(service, key, delay=600).json()["task_id"]
    schedule = {"task": "ledgered", "every": 1, "options": {"unique": key, "on_conflict": "reject"}}
    assert service.http.put(f"/schedules/{name}", json=schedule).status_code == 201
    eventually(lambda: (service.http.get(f"/schedules/{name}").json()["error"] or {}).get("type") == DUPLICATE)
    service.http.post(f"/tasks/{first}/cancel")
    eventually(lambda: service.http.get(f"/schedules/{name}").json()["runs"])
    service.http.delete(f"/schedules/{name}")


def test_a_retry_keeps_the_key(service: Service) -> None:
    key = new_key()
    first = post(service, key, unique_for=60).json()["task_id"]
    service.wait_for(first)
    retried = service.http.post(f"/tasks/{first}/retry")
    assert retried.status_code == 202, "its own key does not block it"
    second = retried.json()["task_id"]
    service.wait_for(second)
    assert post(service, key).json()["task_id"] == second


def test_a_retry_while_another_task_has_the_key_is_refused(service: Service) -> None:
    key = new_key()
    first = post(service, key).json()["task_id"]
    service.wait_for(first)
    second = post(service, key, delay=60).json()["task_id"]
    refused = service.http.post(f"/tasks/{first}/retry")
    assert (refused.status_code, refused.json()["type"], refused.json()["task_id"]) == (409, DUPLICATE, second)


# -- a type that is unique by its parameters


def test_a_type_may_be_unique_by_its_parameters(service: Service) -> None:
    user = new_key()

    def send(**parameters: Any) -> httpx.Response:
        return service.http.post("/tasks/report_of", json=parameters)

    first = send(user_id=user, seconds=2)
    assert first.status_code == 202
    assert send(user_id=user, seconds=3).json()["task_id"] == first.json()["task_id"]
    assert send(user_id=user, year=2025).status_code == 202
    assert send(user_id=user + "1").status_code == 202
    assert service.http.post(f"/tasks/report_of?user_id={user}").status_code == 200, "as text of the query, too"
    refused = service.http.post("/tasks/report_of?on_conflict=reject", json={"user_id": user})
    assert (refused.status_code, refused.json()["task_id"]) == (409, first.json()["task_id"])
    service.wait_for(first.json()["task_id"])
    assert send(user_id=user).status_code == 202


def test_fifty_simultaneous_submits_of_a_unique_type_create_one_task(service: Service) -> None:
    body = {"user_id": new_key(), "seconds": 12}
    responses = send_simultaneously(50, lambda: httpx.post(f"{service.url}/tasks/report_of", json=body, timeout=60))
    assert Counter(answer.status_code for answer in responses) == {202: 1, 200: 49}
    assert len(ids_of(responses)) == 1


def test_a_retry_with_changed_parameters_has_another_key(service: Service) -> None:
    user = new_key()
    first = service.http.post("/tasks/report_of", json={"user_id": user}).json()["task_id"]
    service.wait_for(first)
    holds = service.http.post("/tasks/report_of?delay=60", json={"user_id": user}).json()["task_id"]
    assert service.http.post(f"/tasks/{first}/retry").json()["task_id"] == holds
    changed = service.http.post(f"/tasks/{first}/retry", json={"input": {"user_id": user + "1"}})
    assert changed.status_code == 202


@pytest.mark.parametrize(
    ("query", "name"),
    [("unique=", "unique"), ("unique=a&unique_for=0", "unique_for"), ("unique=a&on_conflict=maybe", "on_conflict")],
)
def test_the_error_for_an_invalid_option_names_it(service: Service, query: str, name: str) -> None:
    answer = service.http.post(f"/tasks/ledgered?{query}", json={})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["query", name])


@pytest.mark.parametrize("query", ["unique_for=3", "on_conflict=reject"])
def test_options_of_unique_without_a_key_are_refused(service: Service, query: str) -> None:
    answer = service.http.post(f"/tasks/ledgered?{query}", json={})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["query", "unique"])

    name, value = query.split("=")
    item = {"task": "ledgered", "options": {name: float(value) if name == "unique_for" else value}}
    [refused] = service.http.post("/batches", json={"items": [item]}).json()["items"]
    assert refused["problem"]["errors"][0]["loc"] == ["options", "unique"]

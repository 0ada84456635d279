"""Retries: of one task, and of all that match a filter; none is retried twice."""

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from harness import Service, eventually
from test_task_list import batch, pages

from server.sdk.errors import RetryLater
from server.store.api_keys import Role

#: Options that a retry keeps.
KEPT = {"priority": "high", "tag": ["kept"], "ttl": 600, "cancel_after": 90, "webhook": "https://example.com/hook"}


@pytest.mark.parametrize(
    ("seconds", "wait"), [(-5, 0), (90.5, 90.5), (1e15, 366 * 86_400), (float("inf"), 366 * 86_400)]
)
def test_a_task_that_retries_itself_waits_at_most_366_days(seconds: float, wait: float) -> None:
    assert RetryLater(seconds).seconds == wait


def failed(service: Service) -> str:
    """Return the id of a task that has failed."""
    task_id = service.submit("divide", x=1, y=0)
    service.wait_for(task_id)
    return task_id


def canceled(service: Service, count: int, **item: Any) -> tuple[str, list[str]]:
    """Return a tag, and the ids of tasks that have it and were canceled."""
    tag = uuid.uuid4().hex
    task_ids = batch(service, count, tag, options={"tag": [tag], "delay": 60}, **item)
    assert service.http.post("/bulk/cancel", params={"tag": tag}).json()["canceled"] == count
    return tag, task_ids


def retried(service: Service, tag: str) -> list[str]:
    """Return the tasks with a tag that have been retried, once for each retry."""
    listed = [task for page in pages(service, tag=tag, limit=500) for task in page["tasks"]]
    return sorted(task["retry_of"] for task in listed if "retry_of" in task)


def test_a_retry_runs_the_stored_request_with_its_upload(service: Service) -> None:
    old = service.http.post("/tasks/echo_file", files={"file": ("a.txt", b"content", "text/plain")}).json()["task_id"]
    service.wait_for(old)
    answer = service.http.post(f"/tasks/{old}/retry")
    assert answer.status_code == 202
    new = answer.json()
    assert new["retry_of"] == old
    assert new["task_id"] != old
    service.http.delete(f"/tasks/{old}")
    assert service.result(new["task_id"])["bytes"] == len(b"content")
    assert service.status(new["task_id"])["retry_of"] == old


def test_a_retry_replaces_parameters_and_keeps_the_others(service: Service) -> None:
    task_id = service.submit("divide", x=1, y=0)
    service.wait_for(task_id)
    again = service.http.post(f"/tasks/{task_id}/retry", json={"input": {"y": 4}})
    assert (again.status_code, again.json()["retry_of"]) == (202, task_id)
    assert service.result(again.json()["task_id"]) == 0.25
    stored = service.http.get(f"/tasks/{again.json()['task_id']}/input").json()["input"]
    assert stored == {"x": 1, "y": 4}


def test_a_retry_with_null_uses_the_default_and_an_invalid_value_is_refused(service: Service) -> None:
    task_id = service.submit("typed", text="a", number=7)
    service.wait_for(task_id)
    path = f"/tasks/{task_id}/retry"
    for changes, location in (({"number": 70}, ["number"]), ({"unheard_of": 1}, ["unheard_of"])):
        answer = service.http.post(path, json={"input": changes})
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, location)
    assert service.http.post(path, json={"inputs": {}}).status_code == 422
    again = service.http.post(path, json={"input": {"number": None}}).json()["task_id"]
    assert service.result(again)["number"] == 1


def test_a_retry_cannot_choose_a_stored_file(service: Service) -> None:
    task_id = service.http.post("/tasks/echo_file", files={"file": ("a.txt", b"mine", "text/plain")}).json()["task_id"]
    service.wait_for(task_id)
    stolen = {"key": "someone", "filename": "b.txt", "media_type": "text/plain", "size": 4}
    answer = service.http.post(f"/tasks/{task_id}/retry", json={"input": {"file": stolen}})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["input", "file"])
    again = service.http.post(f"/tasks/{task_id}/retry", json={"input": {"name": "c.txt"}}).json()["task_id"]
    assert service.result(again)["name"] == "c.txt"


def test_an_unfinished_task_is_neither_retried_nor_deleted(service: Service) -> None:
    waiting = service.http.post("/tasks/divide?delay=60", json={"x": 1, "y": 2}).json()["task_id"]
    for answer in (service.http.post(f"/tasks/{waiting}/retry"), service.http.delete(f"/tasks/{waiting}")):
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/task-not-done")
    service.http.post(f"/tasks/{waiting}/cancel")


def test_each_record_names_the_other_in_polls_too(service: Service) -> None:
    old = failed(service)
    before = [service.http.get(f"/tasks/{old}") for _ in range(4)][-1]  # the server caches polled tasks
    assert "retried_as" not in before.json()
    new = service.http.post(f"/tasks/{old}/retry").json()
    after = service.http.get(f"/tasks/{old}", headers={"If-None-Match": before.headers["ETag"]})
    assert (after.status_code, after.json()["retried_as"], new["retry_of"]) == (200, new["task_id"], old)


def test_a_second_retry_without_again_is_refused_and_names_the_first(service: Service) -> None:
    old = failed(service)
    first = service.http.post(f"/tasks/{old}/retry").json()["task_id"]
    for body in ({}, {"input": {"y": 2}}):
        answer = service.http.post(f"/tasks/{old}/retry", json=body)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/already-retried")
        assert answer.json()["task_id"] == first
    again = service.http.post(f"/tasks/{old}/retry?again=true")
    assert (again.status_code, again.json()["retry_of"]) == (202, old)
    assert service.status(old)["retried_as"] == again.json()["task_id"] != first
    assert service.http.post(f"/tasks/{old}/retry?again=yes").json()["errors"][0]["loc"] == ["query", "again"]


def test_a_retry_that_was_deleted_still_counts(service: Service) -> None:
    old = failed(service)
    new = service.http.post(f"/tasks/{old}/retry").json()["task_id"]
    service.wait_for(new)
    assert service.http.delete(f"/tasks/{new}").status_code == 204
    assert service.http.post(f"/tasks/{old}/retry").json()["task_id"] == new
    assert service.http.get(f"/tasks/{new}").status_code == 410


def test_simultaneous_retries_create_one_task(service: Service) -> None:
    old = service.http.post("/tasks/echo_file", files={"file": ("a.txt", b"content", "text/plain")}).json()["task_id"]
    service.wait_for(old)
    together = threading.Barrier(8)

    def press(_: int) -> httpx.Response:
        together.wait()
        return service.http.post(f"/tasks/{old}/retry")

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(press, range(8)))
    assert sorted(answer.status_code for answer in responses) == [202, *[409] * 7]
    assert {answer.json()["task_id"] for answer in responses} == {service.status(old)["retried_as"]}
    files = {key.decode()[-41:-5] for key in service.redis.client.scan_iter("*/in/0")}
    assert all(service.store.tasks.get(each) for each in files), "refused retries leave no file behind"


def test_a_retry_with_an_idempotency_key_may_be_repeated(service: Service) -> None:
    old = failed(service)
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first, second = (service.http.post(f"/tasks/{old}/retry", json={"input": {"y": 5}}, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["task_id"] == second.json()["task_id"]
    assert second.headers["Idempotency-Replayed"] == "true"
    other = service.http.post(f"/tasks/{old}/retry", json={"input": {"y": 6}}, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    of_another = service.http.post(f"/tasks/{failed(service)}/retry", json={"input": {"y": 5}}, headers=key)
    assert of_another.status_code == 422
    new_key = service.http.post(f"/tasks/{old}/retry", headers={"Idempotency-Key": uuid.uuid4().hex})
    assert (new_key.status_code, new_key.json()["task_id"]) == (409, first.json()["task_id"])


def test_the_idempotency_key_of_an_admins_retry_belongs_to_the_admin(fresh: Service) -> None:
    keys = {
        owner: fresh.store.api_keys.create(owner, role) for owner, role in (("root", Role.ADMIN), ("al", Role.SUBMIT))
    }
    root, al = ({"Authorization": f"Bearer {key}", "Idempotency-Key": "mine"} for key in keys.values())
    fresh.http.headers["Authorization"] = root["Authorization"]
    fresh.start()
    task_id = fresh.http.post("/tasks/divide", json={"x": 1, "y": 0}, headers=al).json()["task_id"]
    fresh.wait_for(task_id)
    first, second = (fresh.http.post(f"/tasks/{task_id}/retry", headers=root) for _ in range(2))
    assert (first.status_code, second.headers.get("Idempotency-Replayed")) == (202, "true")
    assert first.json()["task_id"] == second.json()["task_id"]
    assert fresh.store.tasks.get(first.json()["task_id"]).owner == "al"  # type: ignore[union-attr]


def test_a_retry_keeps_the_options_but_not_the_delay(service: Service) -> None:
    old = service.http.post("/tasks/divide", params={**KEPT, "delay": 60}, json={"x": 1, "y": 2}).json()["task_id"]
    service.http.post(f"/tasks/{old}/cancel")
    new = service.http.post(f"/tasks/{old}/retry").json()
    records = [service.store.tasks.get(each) for each in (old, new["task_id"])]
    for name in ("priority", "tags", "ttl", "cancel_after_ms", "webhook"):
        assert getattr(records[0], name) == getattr(records[1], name), name
    assert records[1] and (records[1].cancel_after_ms, records[1].due_ms) == (90_000, None)
    deadline = service.redis.client.zscore(service.keys.deadlines, new["task_id"])
    assert deadline is None or deadline > time.time() * 1000 + 60_000


@pytest.mark.slow
def test_a_retry_is_canceled_after_the_same_time(service: Service) -> None:
    old = service.http.post("/tasks/beating?cancel_after=1", json={"seconds": 30}).json()["task_id"]
    assert service.wait_for(old)["status"] == "canceled"
    new = service.http.post(f"/tasks/{old}/retry").json()["task_id"]
    assert service.wait_for(new)["status"] == "canceled"


def test_bulk_retry_retries_failed_and_canceled_tasks(service: Service) -> None:
    tag = uuid.uuid4().hex
    good, bad = batch(service, 1, tag)[0], batch(service, 1, tag, input={"x": 1, "y": 0})[0]
    for each in (good, bad):
        service.wait_for(each)
    answer = service.http.post("/bulk/retry", params={"tag": tag}).json()
    assert answer == {"retried": 1, "refused": [], "more": False, "next": None}
    newest = service.http.get("/tasks", params={"tag": tag, "limit": 1}).json()["tasks"][0]
    assert newest["retry_of"] == bad


def test_a_bulk_retry_continues_where_the_previous_one_ended(service: Service) -> None:
    tag = uuid.uuid4().hex
    canceled = batch(service, 503, tag, options={"tag": [tag], "delay": 60})
    service.http.post("/bulk/cancel", params={"tag": tag})
    first = service.http.post("/bulk/retry", params={"tag": tag}).json()
    assert (first["retried"], first["more"]) == (500, True)
    second = service.http.post(first["next"]).json()
    assert (second["retried"], second["more"], second["next"]) == (3, False, None)
    listed = [task for page in pages(service, tag=tag, limit=500) for task in page["tasks"]]
    assert sorted(task["retry_of"] for task in listed if "retry_of" in task) == sorted(canceled)


def test_one_task_that_cannot_be_retried_does_not_stop_the_others(service: Service) -> None:
    tag = uuid.uuid4().hex
    file = {"file": {"data": "aGVsbG8="}}
    task_ids = [*batch(service, 2, tag), *batch(service, 1, tag, task="echo_file", input=file), *batch(service, 2, tag)]
    for each in task_ids:
        service.wait_for(each)
    for key in service.redis.client.scan_iter(f"*{task_ids[2]}/in*"):
        service.redis.client.delete(key)
    answer = service.http.post("/bulk/retry", params={"tag": tag, "status": "succeeded"}).json()
    assert answer["retried"] == 4
    assert [(each["task_id"], each["problem"]["status"]) for each in answer["refused"]] == [(task_ids[2], 410)]


def test_a_bulk_retry_stops_at_the_quota_and_links_to_the_rest(fresh: Service) -> None:
    fresh.env["MAX_WAITING_PER_OWNER"] = "3"
    fresh.start_web()
    ids = [fresh.submit("divide", x=1, y=2) for _ in range(3)]
    fresh.http.post("/bulk/cancel?status=queued")
    fresh.submit("divide", x=1, y=2)
    first = fresh.http.post("/bulk/retry?status=canceled").json()
    assert (first["retried"], first["refused"], first["more"]) == (2, [], True)
    assert fresh.http.post(first["next"]).status_code == 429
    fresh.http.post("/bulk/cancel?status=queued")
    assert fresh.http.post(first["next"]).json()["retried"] == 1
    newest = fresh.http.get("/tasks?status=queued").json()["tasks"][0]
    assert newest["retry_of"] == ids[0]


def test_a_repeated_bulk_retry_retries_each_task_once(service: Service) -> None:
    tag, task_ids = canceled(service, 158)
    query = {"tag": tag, "status": "canceled"}
    first, second = (service.http.post("/bulk/retry", params=query).json() for _ in range(2))
    assert (first["retried"], second["retried"]) == (158, 0)
    assert (second["refused"], second["next"]) == ([], None)
    assert retried(service, tag) == sorted(task_ids)


def test_a_bulk_retry_with_again_retries_all_tasks_again(service: Service) -> None:
    tag, task_ids = canceled(service, 3)
    query = {"tag": tag, "status": "canceled"}
    for extra in ({}, {"again": "true"}, {"again": "false"}):
        service.http.post("/bulk/retry", params=query | extra)
    assert retried(service, tag) == sorted(task_ids * 2)


@pytest.mark.parametrize("presses", [2, 6])
def test_simultaneous_bulk_retries_retry_each_task_once(service: Service, presses: int) -> None:
    tag, task_ids = canceled(service, 250)
    together = threading.Barrier(presses)

    def press(_: int) -> dict[str, Any]:
        together.wait()
        response = service.http.post("/bulk/retry", params={"tag": tag, "status": "canceled"})
        assert response.status_code == 200, response.text
        report: dict[str, Any] = response.json()
        return report

    with ThreadPoolExecutor(presses) as pool:
        reports = list(pool.map(press, range(presses)))
    assert sum(report["retried"] for report in reports) == 250
    assert all(report["refused"] == [] for report in reports)
    assert retried(service, tag) == sorted(task_ids)


def test_a_bulk_retry_repeated_after_a_kill_retries_each_task_once(fresh: Service) -> None:
    web = fresh.start_web()
    tag, task_ids = canceled(fresh, 400, task="slow_to_validate", input={"x": 1})
    retries = fresh.keys.unfinished

    def press() -> None:
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{fresh.url}/bulk/retry?tag={tag}&status=canceled", timeout=30)

    pressed = threading.Thread(target=press)
    pressed.start()
    eventually(lambda: any(int(each) for each in fresh.redis.client.hvals(retries)), every=0.001)
    web.kill()
    pressed.join()
    before = sum(int(each) for each in fresh.redis.client.hvals(retries))
    assert 0 < before < 400, "killed between two steps"
    fresh.start_web()
    answer = fresh.http.post("/bulk/retry", params={"tag": tag, "status": "canceled"}).json()
    assert (answer["retried"], answer["refused"]) == (400 - before, [])
    assert retried(fresh, tag) == sorted(task_ids)


def test_a_dry_run_counts_matching_tasks_and_changes_nothing(service: Service) -> None:
    tag, task_ids = canceled(service, 5)
    service.http.post(f"/tasks/{task_ids[4]}/retry")
    query = {"tag": tag, "status": "canceled", "dry_run": "true"}
    preview = service.http.post("/bulk/retry", params=query).json()
    assert (preview["matching"], preview["already_retried"], preview["retried"], preview["next"]) == (4, 1, 0, None)
    assert [task["task_id"] for task in preview["sample"]] == task_ids[3:0:-1]
    again = service.http.post("/bulk/retry", params=query | {"again": "true"}).json()
    assert (again["matching"], again["already_retried"]) == (5, 0)
    assert retried(service, tag) == [task_ids[4]]

    waiting = batch(service, 4, tag, options={"tag": [tag], "delay": 60})
    preview = service.http.post("/bulk/cancel", params={"tag": tag, "status": "scheduled", "dry_run": "true"}).json()
    assert (preview["matching"], preview["canceled"], len(preview["sample"])) == (4, 0, 3)
    assert {service.status(each)["status"] for each in waiting} == {"scheduled"}
    assert service.http.post("/bulk/cancel", params={"tag": tag, "dry_run": "false"}).json()["canceled"] == 4


@pytest.mark.parametrize("query", ["dry_run=1", "dry_run=", "dry_run=true&dry_run=yes&again=maybe"])
def test_a_flag_that_is_not_true_or_false_is_refused(service: Service, query: str) -> None:
    tag, _ = canceled(service, 1)
    assert service.http.post(f"/bulk/retry?tag={tag}&{query}").status_code == 422
    assert retried(service, tag) == []


@pytest.mark.parametrize("query", ["dry_run=true", "again=true", "again=true&dry_run=false"])
def test_a_flag_is_not_a_filter(service: Service, query: str) -> None:
    assert service.http.post(f"/bulk/retry?{query}").status_code == 400


def test_a_bulk_cancel_refuses_again(service: Service) -> None:
    assert service.http.post("/bulk/cancel?tag=any&again=true").status_code == 400

"""Batches: many submits in one request."""

import json
import uuid
from typing import Any

import pytest
from harness import Service, eventually


def submit(service: Service, *items: Any, **headers: str) -> dict[str, Any]:
    answer = service.http.post("/batches", json={"items": list(items)}, headers=headers)
    assert answer.status_code == 202, answer.text
    receipt: dict[str, Any] = answer.json()
    return receipt


def done(service: Service, batch_id: str) -> dict[str, Any]:
    def poll() -> dict[str, Any] | None:
        record: dict[str, Any] = service.http.get(f"/batches/{batch_id}").json()
        return record if record["done"] else None

    record = eventually(poll)
    assert record is not None
    return record


GOOD = {"task": "divide", "input": {"x": 1, "y": 2}}


def test_each_item_becomes_a_task(service: Service) -> None:
    ticket = submit(service, GOOD, GOOD, GOOD)
    ids = [item["task_id"] for item in ticket["items"]]
    assert len(set(ids)) == 3
    assert [service.result(each) for each in ids] == [0.5, 0.5, 0.5]


def test_a_batch_counts_its_tasks_by_status(service: Service) -> None:
    failing = {"task": "divide", "input": {"x": 1, "y": 0}}
    ticket = submit(service, GOOD, GOOD, failing)
    body = done(service, ticket["batch_id"])
    assert body["counts"] == {"succeeded": 2, "failed": 1}
    assert body["total"] == 3


def test_one_invalid_item_does_not_stop_the_others(service: Service) -> None:
    bad: list[Any] = [
        {"task": "no-such-kind"},
        {"task": "divide", "input": {"x": "one", "y": 2}},
        {"task": "divide", "input": {"x": 1, "y": 2}, "options": {"delay": -1}},
        {"task": "divide", "input": {"x": 1, "y": 2}, "options": {"colour": "red"}},
        {"task": "divide", "input": {"x": 1, "y": 2}, "options": {"not_before": "0001-01-01T00:00:00"}},
        {"task": "divide", "input": {"x": 1, "y": 2}, "options": {"not_before": "9999-12-31T23:59:59-14:00"}},
        {"input": {}},
        "text",
    ]
    ticket = submit(service, GOOD, *bad, GOOD)
    assert "task_id" in ticket["items"][0]
    assert "task_id" in ticket["items"][-1]
    statuses = [item["problem"]["status"] for item in ticket["items"][1:-1]]
    assert statuses == [404, 422, 422, 422, 422, 422, 422, 422]
    assert done(service, ticket["batch_id"])["total"] == 2


def test_a_batch_may_be_sent_as_ndjson(service: Service) -> None:
    text = "\n".join([json.dumps(GOOD), "{not json", "", json.dumps(GOOD)])
    answer = service.http.post("/batches", content=text, headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 202
    items = answer.json()["items"]
    assert ["task_id" in item for item in items] == [True, False, True]
    assert items[1]["problem"]["type"] == "/problems/malformed-body"


def test_each_item_has_its_options(service: Service) -> None:
    tag = uuid.uuid4().hex
    ticket = submit(service, GOOD | {"options": {"delay": 60, "tag": [tag], "priority": "low"}})
    listed = service.http.get("/tasks", params={"tag": tag}).json()["tasks"]
    assert [task["task_id"] for task in listed] == [ticket["items"][0]["task_id"]]
    assert listed[0]["status"] == "scheduled"


def test_an_item_may_contain_an_upload(service: Service) -> None:
    ticket = submit(service, {"task": "echo_file", "input": {"file": {"data": "aGVsbG8=", "filename": "h.txt"}}})
    assert service.result(ticket["items"][0]["task_id"])["bytes"] == 5


def test_a_body_that_is_not_a_batch_is_refused(service: Service) -> None:
    for body in ({}, {"items": "text"}, {"items": []}, [GOOD], {"items": [GOOD], "more": 1}):
        assert service.http.post("/batches", json=body).status_code == 422, body
    assert service.http.post("/batches", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400


def test_an_empty_ndjson_batch_is_refused(service: Service) -> None:
    for text in (b"", b"\n \n"):
        answer = service.http.post("/batches", content=text, headers={"Content-Type": "application/x-ndjson"})
        assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_an_unsupported_media_type_is_answered_with_the_supported_ones(service: Service, media_type: str) -> None:
    text = json.dumps({"items": [GOOD]})
    answer = service.http.post("/batches", content=text, headers={"Content-Type": media_type})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]


def test_more_than_a_thousand_items_are_refused(service: Service) -> None:
    assert service.http.post("/batches", json={"items": [GOOD] * 1001}).status_code == 422


def test_a_repeated_batch_is_stored_once(service: Service) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = submit(service, GOOD, GOOD, **headers)
    second = submit(service, GOOD, GOOD, **headers)
    assert second["batch_id"] == first["batch_id"]
    assert [item["task_id"] for item in second["items"]] == [item["task_id"] for item in first["items"]]


def test_a_repeated_batch_is_answered_item_by_item_again(service: Service) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    items = [{"task": "no-such-kind"}, GOOD, "text", GOOD, {"task": "divide"}]
    first = submit(service, *items, **headers)
    second = submit(service, *items, **headers)
    assert [each.get("task_id") for each in second["items"]] == [each.get("task_id") for each in first["items"]]
    assert [each.get("problem") for each in second["items"]] == [each.get("problem") for each in first["items"]]


@pytest.mark.slow
def test_items_over_the_quota_leave_no_upload_and_are_refused_again(fresh: Service) -> None:
    fresh.env["MAX_WAITING_PER_OWNER"] = "1"
    fresh.start_web()
    item = {"task": "echo_file", "input": {"file": {"data": "aGVsbG8="}}}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first, second = (submit(fresh, "text", item, item, GOOD, **headers)["items"] for _ in range(2))
    for items in (first, second):
        assert [each.get("problem", {}).get("status") for each in items] == [422, None, 429, 429]
    assert second[1]["task_id"] == first[1]["task_id"]
    blobs = {key.split(b"/")[0].split(b":")[-1].decode() for key in fresh.redis.client.scan_iter("*/in*")}
    assert blobs == {first[1]["task_id"]}


def test_a_batch_that_was_never_created_is_unknown(service: Service) -> None:
    answer = service.http.get("/batches/01a1fbb0-9079-7224-a173-29e28bff437b")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-batch")


def test_the_answer_to_a_head_request_has_no_length_if_it_is_streamed(service: Service) -> None:
    batch_id = submit(service, {"task": "divide", "input": {"x": 1, "y": 2}})["batch_id"]
    done(service, batch_id)

    for path in (f"/batches/{batch_id}/results", f"/batches/{batch_id}/events"):
        answer = service.http.head(path)
        assert answer.status_code == 200
        assert "Content-Length" not in answer.headers  # a GET has a body

"""Retention by task type: `ttl` of records, and `input_ttl`, after which the input and its uploads are deleted."""

from collections.abc import Iterator
from typing import Any

import pytest
from harness import Service, eventually

from server.sdk.registry import definition, task
from server.store.record import Status


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("ttl"), TASK_MODULES="ttl_tasks") as server:
        yield server.start()


def long_text() -> str:
    return "personal " * 50


def uploaded(server: Service) -> str:
    answer = server.http.post("/tasks/reads", files={"file": ("a.txt", b"x" * 300)}, data={"text": long_text()})
    return str(answer.json()["task_id"])


def blobs_of(server: Service, task_id: str) -> list[bytes]:
    return [key for key in server.redis.client.scan_iter("*") if task_id.encode() + b"/" in key]


def test_the_input_and_its_uploads_are_deleted_and_the_record_stays(server: Service) -> None:
    task_id = uploaded(server)
    assert [key for key in blobs_of(server, task_id) if b"/in/" in key]
    assert server.result(task_id) == 300
    assert server.http.get(f"/tasks/{task_id}/input").json()["input"]["text"] == long_text()

    eventually(lambda: server.http.get(f"/tasks/{task_id}/input").status_code == 410)
    problem = server.http.get(f"/tasks/{task_id}/input").json()
    assert problem["type"] == "/problems/expired-input"
    assert server.result(task_id) == 300
    eventually(lambda: not [key for key in blobs_of(server, task_id) if b"/in/" in key])
    assert "personal" not in str([server.redis.client.dump(key) for key in server.redis.client.scan_iter("*")])
    file = server.http.get(f"/tasks/{task_id}/files/copy.txt")
    assert (file.status_code, len(file.content)) == (200, 300)


def test_a_retry_after_the_input_is_deleted_is_refused_with_the_reason(server: Service) -> None:
    task_id = server.submit("quick")
    server.wait_for(task_id)
    eventually(lambda: server.http.get(f"/tasks/{task_id}/input").status_code == 410)

    for body in ({}, {"input": {"number": 2}}):
        answer = server.http.post(f"/tasks/{task_id}/retry", json=body)
        assert (answer.status_code, answer.json()["type"]) == (410, "/problems/expired-input")
    assert server.http.get(f"/ui/tasks/{task_id}").status_code == 200
    assert "Deleted: its task type" in server.http.get(f"/ui/tasks/{task_id}").text
    assert task_id in server.http.get("/ui/tasks").text


def test_the_bytes_of_a_deleted_input_are_returned_to_the_quota(server: Service) -> None:
    def stored_bytes() -> int:
        return int(server.redis.client.hget(server.keys.bytes_held, "local") or 0)

    eventually(lambda: not server.redis.client.exists(server.keys.input_expiry))
    before = stored_bytes()
    task_id = uploaded(server)
    assert stored_bytes() - before > 700
    server.result(task_id)
    eventually(lambda: not server.redis.client.exists(server.keys.input_expiry))
    assert stored_bytes() - before == 300  # its output


def test_a_record_is_kept_for_its_types_ttl_unless_the_submit_sets_one(server: Service) -> None:
    def kept(query: dict[str, int]) -> float:
        task_id = server.http.post("/tasks/quick", params=query, json={}).json()["task_id"]
        server.wait_for(task_id)
        record = server.store.tasks.get(task_id)
        assert record and record.status is Status.SUCCEEDED and record.expires_ms and record.finished_ms
        return (record.expires_ms - record.finished_ms) / 1000

    assert kept({}) == 4321
    assert kept({"ttl": 99}) == 99


def test_a_deleted_task_leaves_nothing(server: Service) -> None:
    task_id = server.submit("quick")
    server.wait_for(task_id)
    assert server.http.delete(f"/tasks/{task_id}").status_code == 204
    assert server.redis.client.zscore(server.keys.input_expiry, task_id) is None


@pytest.mark.parametrize("option", ["ttl", "input_ttl"])
@pytest.mark.parametrize("seconds", [0, -1, 10**9])
def test_an_invalid_ttl_is_refused_when_the_type_is_registered(option: str, seconds: int) -> None:
    options: dict[str, Any] = {option: seconds, "name": f"impossible-{option}-{seconds}".replace("--", "-minus-")}
    with pytest.raises(ValueError, match=f"{option} must be between 1 and"):

        @task(**options)
        def impossible() -> None: ...


def test_without_a_ttl_nothing_changes() -> None:
    @task(name="of-no-ttl")
    def plain() -> None: ...

    assert (definition("of-no-ttl").ttl, definition("of-no-ttl").input_ttl) == (None, None)

"""Celery's signals and events: receivers get the same for our tasks as for Celery's own."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Service, eventually


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server whose task module listens to signals, and which sends events."""
    settings = {"TASK_MODULES": "signal_tasks", "CELERY_EVENTS": "true", "KEY_PREFIX": "coatcheck:"}
    with Service(tmp_path_factory.mktemp("heard"), CANCEL_GRACE_SECONDS="1", **settings) as service:
        yield service.start()


def signals_of(service: Service, signal: str, task_id: str) -> list[dict[str, Any]]:
    """The lines of a signal's receivers about a task."""
    lines = [json.loads(line) for line in service.redis.client.lrange("heard", 0, -1)]
    return [line for line in lines if line["signal"] == signal and line["id"] == task_id]


def test_a_submit_sends_signals_before_and_after_the_publish(server: Service) -> None:
    plain = server.submit("divide", x=1, y=2)
    late = server.http.post("/tasks/divide?delay=600&priority=high", json={"x": 1, "y": 2}).json()["task_id"]
    batch = server.http.post("/batches", json={"items": [{"task": "divide", "input": {"x": 1, "y": 2}}] * 3}).json()
    refused = server.http.post("/tasks/divide", json={"x": "one"})

    assert refused.status_code == 422
    (first,) = signals_of(server, "before_task_publish", plain)
    assert (first["task"], first["queue"], first["priority"], first["eta"], first["stored"]) == (
        *("divide", "default", 5, None),
        False,
    )
    (delayed,) = signals_of(server, "before_task_publish", late)
    assert delayed["priority"] == 0
    assert delayed["eta"] > time.strftime("%Y-%m-%dT%H:%M", time.gmtime())
    for task_id in (plain, late, *(item["task_id"] for item in batch["items"])):
        assert len(signals_of(server, "before_task_publish", task_id)) == 1
        assert [line["task"] for line in signals_of(server, "after_task_publish", task_id)] == ["divide"]
    server.http.post(f"/tasks/{late}/cancel")


def test_a_retry_and_a_cancel_send_signals(server: Service) -> None:
    again = server.submit("second_time_lucky")
    assert server.result(again) == 1
    stopped, killed = server.submit("stops_on_cancel"), server.submit("ignores_cancel")
    for task_id in (stopped, killed):
        server.wait_for(task_id, "running")
        server.http.post(f"/tasks/{task_id}/cancel")
        assert server.wait_for(task_id)["status"] == "canceled"

    (retry,) = signals_of(server, "task_retry", again)
    assert (retry["task"], retry["reason"]) == ("second_time_lucky", "OSError('the first time')")
    assert 0 < retry["when"] < 1
    worker = server.workers[0].pid
    for task_id, was_killed in ((stopped, False), (killed, True)):
        (revoked,) = eventually(lambda each=task_id: signals_of(server, "task_revoked", each))
        assert revoked["terminated"] is was_killed
        assert (revoked["pid"] == worker) is was_killed, "only the main process knows that a child was killed"


def test_a_worker_sends_the_signal_when_a_waiting_task_is_canceled(server: Service) -> None:
    def later(**options: object) -> str:
        response = server.http.post("/tasks/divide", params={"delay": 600, **options}, json={"x": 1, "y": 2})
        assert response.status_code in (200, 202), response.text
        return str(response.json()["task_id"])

    overdue, one, in_bulk = later(cancel_after=1), later(), later(tag="bulk")
    replaced = later(unique="one", on_conflict="replace")
    later(unique="one", on_conflict="replace")
    server.http.post(f"/tasks/{one}/cancel")
    server.http.post("/bulk/cancel", params={"tag": "bulk"})

    for task_id in (one, in_bulk, replaced, overdue):
        eventually(lambda each=task_id: signals_of(server, "task_revoked", each))
    for task_id in (one, in_bulk, replaced, overdue):
        (revoked,) = signals_of(server, "task_revoked", task_id)
        assert (revoked["task"], revoked["terminated"], revoked["expired"]) == ("divide", False, task_id == overdue)
        assert revoked["pid"] == server.workers[0].pid
    server.cancel_unfinished()


def test_without_listeners_a_submit_builds_no_message_and_a_cancel_stores_nothing(tmp_path: Path) -> None:
    with Service(tmp_path) as quiet:
        quiet.start_web()
        task_id = quiet.submit("divide", x=1, y=2)
        quiet.http.post(f"/tasks/{task_id}/cancel")

        assert not [key for key in quiet.redis.client.keys("*") if b"celeryev" in key]
        assert not quiet.redis.client.exists(quiet.keys.canceled)

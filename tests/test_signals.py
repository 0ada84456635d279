"""Celery's signals and events: those who listen hear of our tasks what they hear of Celery's own."""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from harness import Service, eventually


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server whose task module listens to signals, and which sends events."""
    settings = {"TASK_MODULES": "signal_tasks", "CELERY_EVENTS": "true", "KEY_PREFIX": "coatcheck:"}
    with Service(tmp_path_factory.mktemp("heard"), CANCEL_GRACE_SECONDS="1", **settings) as made:
        yield made.start()


def told(service: Service, signal: str, task_id: str) -> list[dict[str, Any]]:
    """What the receivers of a signal have written of a task."""
    lines = [json.loads(line) for line in service.redis.client.lrange("heard", 0, -1)]
    return [line for line in lines if line["signal"] == signal and line["id"] == task_id]


class Exporter:
    """What celery-exporter does: a Celery application that knows only the broker, a receiver, and a state."""

    def __init__(self, url: str) -> None:
        self.app = Celery(broker=url)
        self.state = self.app.events.State()
        self.counted: Counter[tuple[str, str]] = Counter()
        self.seen: dict[str, list[str]] = defaultdict(list)
        self.ready = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Exporter":
        self._thread.start()
        eventually(lambda: self.ready)
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.should_stop = True
        self._thread.join(30)

    def _run(self) -> None:
        with self.app.connection() as connection:
            kinds = ("sent", "received", "started", "succeeded", "failed", "rejected", "revoked", "retried")
            handlers = {f"task-{kind}": self._count for kind in kinds}
            handlers["worker-heartbeat"] = self._alive
            self._receiver = self.app.events.Receiver(connection, handlers=handlers)
            self._receiver.capture(limit=None, timeout=None, wakeup=True)

    def _count(self, event: dict[str, Any]) -> None:
        self.state.event(event)
        task = self.state.tasks.get(event["uuid"])
        self.counted[event["type"], task.name] += 1
        self.seen[event["uuid"]].append(event["type"])

    def _alive(self, event: dict[str, Any]) -> None:
        self.ready = True


def test_a_submit_tells_of_the_publish_before_and_after(heard: Service) -> None:
    plain = heard.submit("divide", x=1, y=2)
    late = heard.http.post("/tasks/divide?delay=600&priority=high", json={"x": 1, "y": 2}).json()["task_id"]
    batch = heard.http.post("/batches", json={"items": [{"task": "divide", "input": {"x": 1, "y": 2}}] * 3}).json()
    refused = heard.http.post("/tasks/divide", json={"x": "one"})

    assert refused.status_code == 422
    (first,) = told(heard, "before_task_publish", plain)
    assert (first["task"], first["queue"], first["priority"], first["eta"], first["stored"]) == (
        *("divide", "default", 5, None),
        False,
    )
    (delayed,) = told(heard, "before_task_publish", late)
    assert delayed["priority"] == 0
    assert delayed["eta"] > time.strftime("%Y-%m-%dT%H:%M", time.gmtime())
    for task_id in (plain, late, *(item["task_id"] for item in batch["items"])):
        assert len(told(heard, "before_task_publish", task_id)) == 1
        assert [line["task"] for line in told(heard, "after_task_publish", task_id)] == ["divide"]
    heard.http.post(f"/tasks/{late}/cancel")


def test_a_retry_and_a_cancel_are_told(heard: Service) -> None:
    again = heard.submit("second_time_lucky")
    assert heard.result(again) == 1
    stopped, killed = heard.submit("polite"), heard.submit("deaf")
    for task_id in (stopped, killed):
        heard.wait_for(task_id, "running")
        heard.http.post(f"/tasks/{task_id}/cancel")
        assert heard.wait_for(task_id)["status"] == "canceled"

    (retry,) = told(heard, "task_retry", again)
    assert (retry["task"], retry["reason"]) == ("second_time_lucky", "OSError('the first time')")
    assert 0 < retry["when"] < 1
    worker = heard.workers[0].pid
    for task_id, was_killed in ((stopped, False), (killed, True)):
        (revoked,) = eventually(lambda each=task_id: told(heard, "task_revoked", each))
        assert revoked["terminated"] is was_killed
        assert (revoked["pid"] == worker) is was_killed, "only the main process knows that a child was killed"


def test_the_counters_of_celery_exporter_move(heard: Service) -> None:
    with Exporter(heard.redis.url) as exporter:
        count_events(heard, exporter)


def count_events(heard: Service, exporter: Exporter) -> None:
    """Run tasks of every end, and compare the events of each, and the counters."""
    done, failed = heard.submit("divide", x=1, y=2), heard.submit("divide", x=1, y=0)
    again, stopped, killed = heard.submit("second_time_lucky"), heard.submit("polite"), heard.submit("deaf")
    for task_id in (stopped, killed):
        heard.wait_for(task_id, "running")
        heard.http.post(f"/tasks/{task_id}/cancel")

    begun = ["task-sent", "task-received", "task-started"]
    expected = {
        done: [*begun, "task-succeeded"],
        failed: [*begun, "task-failed"],
        again: [*begun, "task-retried", *begun[1:], "task-succeeded"],
        stopped: [*begun, "task-revoked"],
        killed: [*begun, "task-revoked"],
    }

    def complete() -> bool:
        return all(len(exporter.seen[task_id]) == len(events) for task_id, events in expected.items())

    eventually(complete)
    for task_id, events in expected.items():
        assert sorted(exporter.seen[task_id]) == sorted(events)
    assert exporter.counted["task-sent", "divide"] == 2
    assert exporter.state.tasks[failed].exception.startswith("TaskError(")
    assert exporter.state.tasks[done].runtime >= 0


def test_without_listeners_a_submit_makes_no_message(tmp_path: Path) -> None:
    with Service(tmp_path) as quiet:
        quiet.start_web()
        quiet.submit("divide", x=1, y=2)

        assert not [key for key in quiet.redis.client.keys("*") if b"celeryev" in key]

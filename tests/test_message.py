"""The message that a worker builds is the one that `apply_async` publishes, through kombu, into a real Redis list."""

import base64
import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from harness import ROOT, Service, eventually

from server.celery_app.message import WIRE_PRIORITY, build, priority_of

#: Publishes tasks with `apply_async`, by the transport of stock Celery or by ours.
PUBLISH = """
import json, sys
from wsgi import celery
if sys.argv[1] == "stock":
    celery.conf.broker_transport = "redis"
for name, priority, number in json.loads(sys.argv[2]):
    celery.tasks[name].apply_async(task_id=f"{name}-{priority}", priority=number)
"""

QUEUES = {"divide": "default", "in_a_queue_of_its_own": "slow.1"}
CASES = [(task_type, priority) for task_type in QUEUES for priority in WIRE_PRIORITY]

Published = dict[str, dict[str, Any]]


@pytest.fixture(scope="module", params=["stock", "ours"])
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """The messages that `apply_async` has put into Redis, by id."""
    with Service(tmp_path_factory.mktemp("published"), TASK_MODULES="client_tasks") as service:
        command = [
            sys.executable,
            "-c",
            PUBLISH,
            request.param,
            json.dumps([(*case, WIRE_PRIORITY[case[1]]) for case in CASES]),
        ]
        subprocess.run(command, env=service.env, cwd=ROOT, check=True)
        client: Any = service.redis.client
        lists = [key for key in client.scan_iter(_type="list") if b"bell:" not in key]
        messages = [json.loads(text) for key in lists for text in client.lrange(key, 0, -1)]
        yield {message["headers"]["id"]: message for message in messages}


@pytest.mark.parametrize(("task_type", "priority"), CASES)
def test_the_message_equals_that_of_apply_async(published: Published, task_type: str, priority: str) -> None:
    task_id = f"{task_type}-{priority}"

    message = build(task_id, f"{task_id}:ab", task_type, QUEUES[task_type], priority)

    assert_same(copy.deepcopy(published[task_id]), message)


def test_celerys_ten_priorities_map_to_three() -> None:
    assert [priority_of(number) for number in range(10)] == ["high"] * 4 + ["normal"] * 3 + ["low"] * 3


def assert_same(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Compare field by field; ids of messages and senders may differ, if they have the same form."""
    assert json.loads(base64.b64decode(ours.pop("body"))) == json.loads(base64.b64decode(theirs.pop("body")))
    mine, stock = ours.pop("headers"), theirs.pop("headers")
    assert (type(mine.pop("origin")), type(stock.pop("origin"))) == (str, str)
    # Without limits in the message, the worker uses the task's own, which are those that stock Celery copies.
    hard, soft = stock.pop("timelimit")
    assert mine.pop("timelimit") == [None, None]
    assert 0 < soft < hard
    assert mine == stock
    mine, stock = ours.pop("properties"), theirs.pop("properties")
    assert (type(mine.pop("delivery_tag")), type(stock.pop("delivery_tag"))) == (str, str)
    assert (mine.pop("reply_to"), type(stock.pop("reply_to"))) == ("", str)  # nobody waits for a reply
    assert mine == stock
    assert ours == theirs


def test_a_message_carries_no_input(service: Service) -> None:
    payload = build("x", "x:1", "divide", "default", "high")

    args, kwargs, embed = json.loads(base64.b64decode(payload["body"]))
    assert (args, kwargs) == ([], {})
    assert set(embed.values()) == {None}


@pytest.mark.slow
def test_celerys_tools_see_the_task(service: Service) -> None:
    task_id = service.submit("reports", seconds=120)
    service.wait_for(task_id, "running")
    command = [sys.executable, "-m", "celery", "-A", "wsgi", "inspect", "active", "--json"]

    def inspected() -> Any:
        done = subprocess.run(command, env=service.env, cwd=ROOT, capture_output=True, text=True, check=True)
        return [task for tasks in json.loads(done.stdout).values() for task in tasks if task["id"] == task_id]

    (active,) = eventually(inspected)

    assert (active["name"], active["args"], active["kwargs"]) == ("reports", [], {})
    service.http.post(f"/tasks/{task_id}/cancel")

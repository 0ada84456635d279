"""Polls that do not read Redis still show every change, in each of several web processes."""

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import Service, eventually
from waiting_clients import Puppet

from server.store.api_keys import Role
from server.web.gunicorn_worker.status_cache import MAX_TASKS

#: Polls on separate connections after which both web processes have the status in memory.
MANY = 12


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two web processes, and a worker with a puppet."""
    settings = {"TASK_MODULES": "sample_tasks,puppet_tasks", "WEB_CONCURRENCY": "2", "MAX_WAITING_PER_OWNER": "9000"}
    with Service(tmp_path_factory.mktemp("watched"), **settings) as service:
        yield service.start()


@pytest.fixture
def web_only(tmp_path: Path) -> Iterator[Service]:
    """One web process without a worker, so that nothing else uses Redis."""
    with Service(tmp_path) as service:
        service.start_web()
        yield service


def submit(service: Service, **query: Any) -> str:
    answer = service.http.post("/tasks/divide", params=query, json={"x": 1, "y": 2})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def polls(service: Service, task_id: str, times: int = MANY) -> list[httpx.Response]:
    """Poll on new connections, which either process accepts."""
    return [httpx.get(f"{service.url}/tasks/{task_id}", timeout=30) for _ in range(times)]


def script_calls(service: Service) -> int:
    """The number of scripts that Redis has run."""
    return int(service.redis.client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


@pytest.mark.slow
def test_polls_of_an_unchanged_task_rarely_use_redis(web_only: Service) -> None:
    task_id = submit(web_only, delay=600)
    polls(web_only, task_id, 5)
    before, began = script_calls(web_only), time.monotonic()
    assert {answer.json()["status"] for answer in polls(web_only, task_id, 100)} == {"scheduled"}
    paths = [f"{web_only.url}/tasks/{task_id}/result"] * 50
    assert {httpx.get(path, timeout=30).status_code for path in paths} == {202}
    assert script_calls(web_only) - before <= 3 + (time.monotonic() - began)  # it is read again periodically


@pytest.mark.slow
def test_the_next_poll_of_each_process_shows_a_cancel(watched: Service) -> None:
    for _ in range(5):
        task_id = submit(watched, delay=600)
        assert {answer.json()["status"] for answer in polls(watched, task_id)} == {"scheduled"}
        assert httpx.post(f"{watched.url}/tasks/{task_id}/cancel").json()["status"] == "canceled"
        assert {answer.json()["status"] for answer in polls(watched, task_id)} == {"canceled"}


def test_the_next_poll_of_each_process_does_not_find_a_deleted_task(watched: Service) -> None:
    task_id = submit(watched, delay=600)
    httpx.post(f"{watched.url}/tasks/{task_id}/cancel")
    polls(watched, task_id)
    assert httpx.delete(f"{watched.url}/tasks/{task_id}").status_code == 204
    assert {answer.status_code for answer in polls(watched, task_id)} == {410}


@pytest.mark.slow
def test_the_next_poll_of_each_process_shows_stored_progress(watched: Service) -> None:
    puppet = Puppet(watched)

    def stored() -> float:
        progress: float = json.loads(watched.redis.client.hget(watched.keys.task(puppet.id), "g") or "{}").get(
            "percent", 0
        )
        return progress

    for percent in (20, 40, 60, 80):
        polls(watched, puppet.id)
        puppet.do(f"progress {percent}")
        eventually(lambda percent=percent: stored() == percent)
        assert {answer.json()["progress"]["percent"] for answer in polls(watched, puppet.id)} == {percent}
    puppet.do("end")
    watched.wait_for(puppet.id)


def test_a_cached_response_has_the_etag_of_one_from_redis(watched: Service) -> None:
    task_id = submit(watched, delay=600)
    first, *rest = polls(watched, task_id)
    assert {answer.headers["ETag"] for answer in rest} == {first.headers["ETag"]}
    assert {answer.content for answer in rest} == {first.content}


def test_a_finished_task_is_gone_when_it_expires(watched: Service) -> None:
    task_id = submit(watched, ttl=2)
    watched.wait_for(task_id)
    assert {answer.status_code for answer in polls(watched, task_id)} <= {200, 410}
    eventually(lambda: {answer.status_code for answer in polls(watched, task_id, 4)} == {410})


def test_polls_show_a_changed_position_in_the_queue(web_only: Service) -> None:
    first, second = submit(web_only), submit(web_only)
    assert {answer.json()["queue"]["position"] for answer in polls(web_only, second, 5)} == {2}
    web_only.http.post(f"/tasks/{first}/cancel")
    eventually(lambda: web_only.status(second)["queue"]["position"] == 1)


def test_the_next_poll_reports_that_redis_is_down(web_only: Service) -> None:
    task_id = submit(web_only, delay=600)
    polls(web_only, task_id, 5)
    web_only.redis.process.kill()
    assert {answer.status_code for answer in polls(web_only, task_id, 3)} == {503}


def test_polls_are_answered_again_when_redis_is_back(web_only: Service) -> None:
    task_id = submit(web_only, delay=600)
    polls(web_only, task_id, 5)
    web_only.redis.process.kill()
    web_only.redis.start()
    eventually(lambda: web_only.http.get(f"/tasks/{task_id}").status_code == 200)


def test_polls_report_a_redis_that_does_not_answer_within_seconds(web_only: Service) -> None:
    task_id = submit(web_only, delay=600)
    polls(web_only, task_id, 5)
    web_only.redis.process.signal(signal.SIGSTOP)
    eventually(lambda: web_only.http.get(f"/tasks/{task_id}").status_code == 503)
    web_only.redis.process.signal(signal.SIGCONT)
    eventually(lambda: web_only.http.get(f"/tasks/{task_id}").status_code == 200)


def test_polls_show_a_change_made_during_an_outage(web_only: Service) -> None:
    task_id = submit(web_only, delay=600)
    polls(web_only, task_id, 5)
    web_only.redis.process.kill()
    web_only.redis.start()
    web_only.redis.client.hset(web_only.keys.task(task_id), "d", 7)  # as another process may do without a notification
    assert {answer.json()["deliveries"] for answer in polls(web_only, task_id, 10) if answer.status_code == 200} == {7}


@pytest.mark.slow
def test_a_cached_task_is_shown_only_to_its_owner(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        keys = service.store.api_keys
        alice, bob = ({"Authorization": f"Bearer {keys.create(name, Role.SUBMIT)}"} for name in ("alice", "bob"))
        service.start_web()
        ticket = service.http.post("/tasks/divide?delay=600", json={"x": 1, "y": 2}, headers=alice).json()
        path = f"/tasks/{ticket['task_id']}"
        assert [service.http.get(path, headers=alice).status_code for _ in range(5)] == [200] * 5
        assert [service.http.get(path, headers=bob).status_code for _ in range(5)] == [404] * 5


@pytest.mark.slow
def test_a_process_subscribes_to_a_limited_number_of_tasks(web_only: Service) -> None:
    items = [{"task": "divide", "input": {"x": 1, "y": 2}, "options": {"delay": 600}}] * 100
    ids: list[str] = []
    while len(ids) < MAX_TASKS + 100:
        ids += [item["task_id"] for item in web_only.http.post("/batches", json={"items": items}).json()["items"]]
    for task_id in ids:
        web_only.status(task_id)
        web_only.status(task_id)
    eventually(lambda: len(web_only.redis.client.pubsub_channels(web_only.keys.task("*"))) <= MAX_TASKS + 1)
    assert web_only.status(ids[0])["status"] == "scheduled"


@pytest.mark.slow
def test_simultaneous_polls_of_a_task_are_answered_from_the_cache(web_only: Service) -> None:
    task_id = submit(web_only)
    before = script_calls(web_only)

    def poll_often(_: int) -> None:
        with httpx.Client(base_url=web_only.url, timeout=30) as client:
            for _ in range(150):
                assert client.get(f"/tasks/{task_id}").json()["status"] == "queued"

    with ThreadPoolExecutor(16) as callers:
        list(callers.map(poll_often, range(16)))
    assert script_calls(web_only) - before < 16 * 150 / 4

"""Waiting clients: on submit and on status, by query and by header, a thousand at the same time."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ROOT, Service, eventually
from waiting_clients import Caller, Puppet, answered, calling, listening, waited_for

TASKS = "sample_tasks,puppet_tasks"


@pytest.fixture(scope="module")
def waited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with a puppet, and a worker with more children than a test uses."""
    with Service(tmp_path_factory.mktemp("waited"), TASK_MODULES=TASKS, WORKER_CONCURRENCY="4") as service:
        yield service.start()


@pytest.fixture
def puppet(waited: Service) -> Iterator[Puppet]:
    """A running task, which ends with its test."""
    running = Puppet(waited)
    yield running
    running.do("end")
    waited.wait_for(running.id)


def start(folder: Path, **settings: str) -> Service:
    """Start a server for one test."""
    return Service(folder, TASK_MODULES=TASKS, LEASE_SECONDS="5", SOFT_SHUTDOWN_SECONDS="2", **settings)


# -- submit


def test_a_waiting_submit_is_answered_with_the_end_and_the_result(waited: Service) -> None:
    answer = waited.http.post("/tasks/ledgered?wait=20", json={"seconds": 0.2})
    body = answer.json()
    assert answer.status_code == 200
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert answer.headers["Operation-Location"] == f"{waited.url}/tasks/{body['task_id']}"
    assert body["status"] == "succeeded" and body["done"] and body["result"] == 0.2
    assert {name: value for name, value in body.items() if name != "result"} == waited.status(body["task_id"])


def test_a_prefer_header_works_like_the_query(waited: Service) -> None:
    prefer = {"Prefer": 'respond-async, Wait = "20"; for=me'}
    answer = waited.http.post("/tasks/ledgered", json={"seconds": 0.2}, headers=prefer)
    assert answer.status_code == 200
    assert answer.headers["Preference-Applied"] == "wait=20"


def test_a_waiting_submit_is_answered_with_the_error_of_a_failed_task(waited: Service) -> None:
    answer = waited.http.post("/tasks/misbehaves?wait=20", json={"how": "path"})
    body = answer.json()
    assert answer.status_code == 200
    assert body["status"] == "failed" and body["error"]["type"] == "/problems/task-error" and body["result"] is None


def test_a_waiting_submit_gets_a_ticket_if_the_task_takes_longer(waited: Service) -> None:
    began = time.monotonic()
    answer = waited.http.post("/tasks/ledgered?wait=1", json={"seconds": 2})
    assert time.monotonic() - began >= 1
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"{waited.url}/tasks/{answer.json()['task_id']}/result"
    assert answer.json()["status"] == "running" and "Retry-After" in answer.headers


def test_a_submit_that_does_not_wait_is_answered_immediately(waited: Service) -> None:
    for target in ("/tasks/ledgered", "/tasks/ledgered?wait=0"):
        answer = waited.http.post(target, json={"seconds": 0.1})
        assert answer.status_code == 202
        assert "Preference-Applied" not in answer.headers


def test_a_repeated_submit_waits_for_the_task_of_the_first(waited: Service) -> None:
    headers = {"Idempotency-Key": "waits"}
    first = waited.http.post("/tasks/ledgered", json={"seconds": 1}, headers=headers)
    again = waited.http.post("/tasks/ledgered?wait=20", json={"seconds": 1}, headers=headers)
    assert again.status_code == 200
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["task_id"] == first.json()["task_id"] and again.json()["result"] == 1


def test_a_submit_with_an_upload_can_wait(waited: Service) -> None:
    headers = {"Content-Type": "text/plain", "Expect": "100-continue"}
    answer = waited.http.post("/tasks/echo_file?wait=20", content=b"x" * 300_000, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["result"]["bytes"] == 300_000


@pytest.mark.parametrize("wrong", ["-1", "1.5", "soon", "", "٣", "1 "])
def test_an_invalid_wait_is_refused_before_the_task_is_queued(waited: Service, wrong: str) -> None:
    before = waited.http.get("/tasks?limit=1").json()["tasks"]
    for answer in (
        waited.http.post("/tasks/ledgered", params={"wait": wrong}, json={}),
        waited.http.get("/tasks/unknown", params={"wait": wrong}),
    ):
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["loc"] == ["query", "wait"]
    assert waited.http.get("/tasks?limit=1").json()["tasks"] == before


def test_no_wait_is_longer_than_that_of_a_router(waited: Service, puppet: Puppet) -> None:
    puppet.do("end")
    waited.wait_for(puppet.id)
    for seconds in ("26", "600", "9" * 5000):
        answer = waited.http.get(puppet.path, params={"wait": seconds})
        assert (answer.status_code, answer.headers["Preference-Applied"]) == (200, "wait=25")


def test_a_preference_is_applied_as_far_as_possible_and_is_never_an_error(waited: Service, puppet: Puppet) -> None:
    puppet.do("end")
    waited.wait_for(puppet.id)
    preferences = {"wait=600": "wait=25", "wait=soon": None, "wait": None, "wait=-1": None, "respond-async": None}
    for prefer, applied in preferences.items():
        answer = waited.http.get(puppet.path, headers={"Prefer": prefer})
        assert answer.status_code == 200
        assert answer.headers.get("Preference-Applied") == applied


# -- status


def test_a_poll_waits_until_the_status_differs_from_that_at_its_arrival(waited: Service, puppet: Puppet) -> None:
    with calling(waited, f"{puppet.path}?wait=20") as [caller]:
        puppet.is_waited_for()
        assert answered([caller], within=0.3) == 0
        puppet.do("log this does not change the status")
        assert answered([caller], within=0.3) == 0
        puppet.do("progress 50")
        status, headers, body = caller.answer()
    assert (status, headers["Preference-Applied"], body["progress"]["percent"]) == (200, "wait=20", 50)


def test_a_poll_waits_until_the_status_differs_from_the_clients(waited: Service, puppet: Puppet) -> None:
    old = waited.http.get(puppet.path).headers["ETag"]
    with calling(waited, f"{puppet.path}?wait=20", If_None_Match=old) as [caller]:
        puppet.is_waited_for()
        puppet.do("progress 40")
        status, headers, body = caller.answer()
    assert status == 200 and body["progress"]["percent"] == 40 and headers["ETag"] != old
    immediate = waited.http.get(f"{puppet.path}?wait=20", headers={"If-None-Match": old})
    assert immediate.status_code == 200 and immediate.json() == body


def test_a_poll_of_an_unchanged_status_is_answered_when_its_wait_times_out(waited: Service, puppet: Puppet) -> None:
    began = time.monotonic()
    answer = waited.http.get(f"{puppet.path}?wait=1")
    assert time.monotonic() - began >= 1
    assert answer.status_code == 200 and answer.json()["status"] == "running"
    same = waited.http.get(puppet.path, headers={"If-None-Match": answer.headers["ETag"], "Prefer": "wait=1"})
    assert same.status_code == 304
    assert same.headers["ETag"] == answer.headers["ETag"] and same.headers["Preference-Applied"] == "wait=1"


def test_the_end_of_a_task_answers_waiting_requests(waited: Service, puppet: Puppet) -> None:
    with calling(waited, *[f"{puppet.path}?wait=20"] * 20) as callers:
        puppet.is_waited_for()
        puppet.do("end")
        for caller in callers:
            assert caller.answer()[2]["status"] == "succeeded"


def test_a_cancel_answers_waiting_requests(waited: Service, puppet: Puppet) -> None:
    with calling(waited, f"{puppet.path}?wait=20") as [caller]:
        puppet.is_waited_for()
        waited.http.post(f"{puppet.path}/cancel")
        assert caller.answer()[2]["status"] in ("canceling", "canceled")


def test_a_poll_of_an_ended_task_does_not_wait(waited: Service, puppet: Puppet) -> None:
    puppet.do("end")
    waited.wait_for(puppet.id)
    first = waited.http.get(f"{puppet.path}?wait=20")
    again = waited.http.get(f"{puppet.path}?wait=20", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    assert first.headers["Preference-Applied"] == "wait=20"
    assert first.elapsed.total_seconds() + again.elapsed.total_seconds() < 20


def test_a_poll_of_an_unknown_task_does_not_wait(waited: Service) -> None:
    assert waited.http.get("/tasks/unknown?wait=20").status_code == 404


def test_a_changed_position_in_the_queue_answers_a_waiting_poll(tmp_path: Path) -> None:
    with start(tmp_path) as service:
        service.start_web()
        first, second = service.submit("ledgered"), service.submit("ledgered")
        with calling(service, f"/tasks/{second}?wait=20") as [caller]:
            eventually(lambda: waited_for(service, second))
            service.http.post(f"/tasks/{first}/cancel")
            body = caller.answer()[2]
        assert (body["status"], body["queue"]["position"]) == ("queued", 1)


# -- the connection


def test_a_connection_can_be_used_again_after_a_wait(waited: Service, puppet: Puppet) -> None:
    with calling(waited, f"{puppet.path}?wait=20") as [caller]:
        puppet.is_waited_for()
        caller.send("/health/live")  # before the answer has come
        time.sleep(0.2)
        puppet.do("end")
        assert caller.answer()[2]["status"] == "succeeded"
        assert caller.answer()[2] == {"status": "live"}
        caller.send(f"{puppet.path}?wait=20")
        assert caller.answer()[2]["status"] == "succeeded"


def test_an_http_1_0_client_is_answered_and_its_connection_closed(waited: Service, puppet: Puppet) -> None:
    with contextlib.closing(Caller(waited, f"{puppet.path}?wait=20", version="1.0")) as caller:
        puppet.is_waited_for()
        puppet.do("end")
        assert caller.answer()[2]["status"] == "succeeded"
        assert caller.socket.recv(1) == b""


def test_a_wait_is_one_line_in_the_log_with_the_request_id_of_its_client(waited: Service, puppet: Puppet) -> None:
    with calling(waited, f"{puppet.path}?wait=20", X_Request_ID="held-back") as [caller]:
        puppet.is_waited_for()
        puppet.do("end")
        assert caller.answer()[1]["X-Request-ID"] == "held-back"
    assert waited.web is not None
    assert waited.web.output().count("held-back") == 1


# -- limits


@pytest.mark.slow
def test_a_thousand_requests_wait_while_others_poll_and_one_more_does_not_wait(tmp_path: Path) -> None:
    """With the default settings, except for the addresses."""
    allow_files(2000)
    with start(tmp_path, WEB_CONCURRENCY="2") as service:
        service.start_web()
        items = service.http.post("/batches", json={"items": [{"task": "ledgered", "input": {}}] * 1000}).json()[
            "items"
        ]
        paths = [f"/tasks/{item['task_id']}" for item in items]
        with calling(service, *[f"{path}?wait=25" for path in paths]) as callers:
            eventually(lambda: len(service.redis.client.pubsub_channels(service.keys.task("?*"))) == 1000)
            assert len(listening(service)) <= 2  # one connection for each web process
            assert not may_wait(service, paths[0])
            assert [service.http.get(path).status_code for path in paths[:50]] == [200] * 50
            assert answered(callers) == 0
            for caller in callers[:10]:
                caller.close()
            eventually(lambda: may_wait(service, paths[0]))
            assert service.http.post("/bulk/cancel?status=queued").status_code == 200
            assert all(caller.answer()[0] == 200 for caller in callers[10:])
        eventually(lambda: not service.redis.client.pubsub_channels(service.keys.task("?*")))


def may_wait(service: Service, path: str) -> bool:
    """Whether one more request may wait for a second."""
    answer = service.http.get(f"{path}?wait=1")
    assert answer.status_code == 200
    return "Preference-Applied" in answer.headers


def allow_files(number: int) -> None:
    """Let this process open this number of sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, max(number, hard)))


def test_a_submit_without_a_free_waiting_slot_gets_its_ticket_immediately(tmp_path: Path) -> None:
    with start(tmp_path, MAX_WAITERS="0") as service:
        service.start_web()
        answer = service.http.post("/tasks/ledgered?wait=20", json={})
        assert answer.status_code == 202
        assert "Preference-Applied" not in answer.headers


def test_waiting_requests_use_no_thread(tmp_path: Path) -> None:
    with start(tmp_path, WEB_THREADS="1") as service:
        service.start()
        puppet = Puppet(service)
        with calling(service, *[f"{puppet.path}?wait=20"] * 10) as callers:
            puppet.is_waited_for()
            assert service.status(puppet.id)["status"] == "running"
            assert answered(callers) == 0
            puppet.do("end")
            assert all(caller.answer()[2]["done"] for caller in callers)


def test_a_client_that_disconnects_frees_its_slot(tmp_path: Path) -> None:
    with start(tmp_path, MAX_WAITERS="1") as service:
        service.start()
        puppet = Puppet(service)
        with calling(service, f"{puppet.path}?wait=25") as [caller]:
            puppet.is_waited_for()
            assert not may_wait(service, puppet.path)
            caller.close()
            eventually(lambda: may_wait(service, puppet.path))
        eventually(lambda: not waited_for(service, puppet.id))


def test_a_killed_web_process_frees_the_slots_of_its_clients(tmp_path: Path) -> None:
    with start(tmp_path, MAX_WAITERS="1") as service:
        service.start()
        puppet = Puppet(service)
        with calling(service, f"{puppet.path}?wait=25"):
            puppet.is_waited_for()
            assert service.web is not None
            [process] = service.web.children()
            os.kill(process, signal.SIGKILL)
            eventually(lambda: service.web.children() not in ([], [process]))
        service.http.close()
        service.http = type(service.http)(base_url=service.url, timeout=30)
        eventually(lambda: may_wait(service, puppet.path))


# -- disconnects, kills and restarts


def test_a_stopping_server_answers_all_waiting_requests(tmp_path: Path) -> None:
    with start(tmp_path) as service:
        service.start()
        puppet = Puppet(service)
        targets = [f"{puppet.path}?wait=25"] * 100
        with calling(service, *targets) as callers, calling(service, "/tasks/puppet?wait=25", method="POST") as [last]:
            eventually(lambda: len(service.http.get("/tasks?status=running").json()["tasks"]) == 2)
            puppet.is_waited_for()
            time.sleep(0.5)
            assert service.web is not None
            service.web.signal(signal.SIGTERM)
            for caller in callers:
                status, headers, body = caller.answer()
                assert (status, headers["Connection"], body["status"]) == (200, "close", "running")
                caller.close()
            status, headers, body = last.answer()
            assert status == 202 and headers["Location"] == f"http://127.0.0.1/tasks/{body['task_id']}/result"
        assert service.web.wait() == 0


@pytest.mark.slow
def test_a_restart_of_redis_does_not_end_a_wait(tmp_path: Path) -> None:
    with start(tmp_path) as service:
        service.start()
        puppet = Puppet(service)
        with calling(service, f"{puppet.path}?wait=25", "/tasks/ledgered?wait=25") as [caller, _]:
            puppet.is_waited_for()
            service.redis.process.kill()
            time.sleep(1)
            service.redis.start()
            puppet.is_waited_for()
            puppet.do("progress 70")
            status, _, body = caller.answer()
        assert (status, body["progress"]["percent"]) == (200, 70)


def test_a_change_that_was_missed_is_noticed_when_the_connection_is_back(tmp_path: Path) -> None:
    with start(tmp_path) as service:
        service.start()
        puppet = Puppet(service)
        with calling(service, f"{puppet.path}?wait=25") as [caller]:
            puppet.is_waited_for()
            [connection] = listening(service)
            with service.redis.client.pipeline() as pipe:
                pipe.client_kill_filter(_id=connection["id"])
                pipe.hset(
                    service.keys.task(puppet.id), "g", '{"done":9,"total":10,"percent":90,"message":""}'
                ).execute()
            assert caller.answer()[2]["progress"]["percent"] == 90


def test_a_server_that_cannot_park_answers_immediately(waited: Service) -> None:
    """Flask's test client is an example of such a server."""
    script = """
import sys
import wsgi
client = wsgi.application.test_client()
answer = client.post("/tasks/ledgered?wait=20", json={"seconds": 0.3}, base_url="http://localhost")
assert answer.status_code == 202 and "Preference-Applied" not in answer.headers, answer.text
events = client.get(answer.json["links"]["events"], base_url="http://localhost")
assert events.text.startswith("retry: 5000"), events.text
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=waited.env, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

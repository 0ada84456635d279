"""Submits beyond the limits are refused before anything is stored; accepted tasks are run."""

import re
import time
from signal import SIGTERM

import httpx
import pytest
from harness import Service, eventually


def _fill(service: Service, count: int) -> tuple[list[str], httpx.Response]:
    accepted = []
    for _ in range(count):
        answer = service.http.post("/tasks/ledgered", json={})
        if answer.status_code != 202:
            return accepted, answer
        accepted.append(answer.json()["task_id"])
    raise AssertionError("nothing was refused")


def _all_done(service: Service, accepted: list[str]) -> None:
    service.start_worker()
    for task_id in accepted:
        assert service.wait_for(task_id)["status"] == "succeeded"
    assert service.redis.client.hlen(service.keys.unfinished) == 0


@pytest.mark.slow
def test_an_owner_with_too_many_unfinished_tasks_gets_a_429(fresh: Service) -> None:
    fresh.env["MAX_WAITING_PER_OWNER"] = "5"
    fresh.start_web()
    accepted, refusal = _fill(fresh, 10)
    assert (len(accepted), refusal.status_code) == (5, 429)
    assert int(refusal.headers["Retry-After"]) > 0
    assert "RateLimit" in refusal.headers and "RateLimit-Policy" in refusal.headers
    _all_done(fresh, accepted)


def test_an_owner_with_too_many_bytes_gets_a_429_until_its_records_are_deleted(fresh: Service) -> None:
    fresh.env["MAX_BYTES_PER_OWNER"] = "250000"
    fresh.start_web()
    mail = {"recipients": ["a@example.org"], "subject": "In a year", "text": "x" * 7_000}
    accepted: list[str] = []
    for number in range(60):
        headers = {"Idempotency-Key": f'"{number}"'}
        first, repeated = (
            fresh.http.post("/tasks/send_email?delay=31536000", json=mail, headers=headers) for _ in range(2)
        )
        if first.status_code != 202:
            break
        assert repeated.headers["Idempotency-Replayed"] == "true"
        accepted.append(first.json()["task_id"])

    assert (len(accepted), first.status_code) == (35, 429), first.text
    assert first.json()["type"] == "/problems/over-quota"
    assert int(first.headers["Retry-After"]) > 0
    assert first.headers["RateLimit-Policy"] == '"bytes";q=250000;qu="content-bytes"'
    assert re.fullmatch(r'"bytes";r=\d{4}', first.headers["RateLimit"])
    assert 35 * 7_000 < int(fresh.redis.client.hget(fresh.keys.bytes_held, "local")) <= 250_000
    for task_id in accepted:
        fresh.http.post(f"/tasks/{task_id}/cancel")
        assert fresh.http.delete(f"/tasks/{task_id}").status_code == 204
    assert not fresh.redis.client.exists(fresh.keys.bytes_held)
    assert fresh.http.post("/tasks/send_email?delay=60", json=mail).status_code == 202


def test_outputs_over_the_owners_bytes_end_as_storage_full_and_leave_nothing(fresh: Service) -> None:
    fresh.env["MAX_BYTES_PER_OWNER"] = "90000"
    fresh.start()
    ended = [fresh.wait_for(fresh.submit("saves", size=size)) for size in (10_000, 80_001, 20_000)]
    ended.append(fresh.wait_for(fresh.submit("typed", text="x" * 50_000)))  # the result has them too
    assert [(each["status"], (each["error"] or {}).get("type")) for each in ended] == [
        ("succeeded", None),
        ("failed", "/problems/storage-full"),
        ("succeeded", None),
        ("failed", "/problems/storage-full"),
    ]
    assert "the limit is 90000" in ended[1]["error"]["detail"]
    assert int(fresh.redis.client.get(fresh.keys.blob("bytes"))) == 30_000
    for each in ended:
        assert fresh.http.delete(f"/tasks/{each['task_id']}").status_code == 204
    assert not fresh.redis.client.exists(fresh.keys.bytes_held)


@pytest.mark.slow
def test_a_full_queue_is_a_503(fresh: Service) -> None:
    fresh.env["MAX_WAITING_PER_QUEUE"] = "5"
    fresh.start_web()
    accepted, refusal = _fill(fresh, 10)
    assert (len(accepted), refusal.status_code) == (5, 503)
    assert int(refusal.headers["Retry-After"]) > 0
    _all_done(fresh, accepted)


def test_uploads_over_the_budget_are_a_503_and_leave_nothing(fresh: Service) -> None:
    fresh.env["MAX_BLOB_BYTES"] = str(2**20)
    fresh.start_web()
    file = {"file": ("a.txt", b"x" * 600_000, "text/plain")}
    accepted = fresh.http.post("/tasks/echo_file", files=file)
    refusal = fresh.http.post("/tasks/echo_file", files=file)
    assert (accepted.status_code, refusal.status_code) == (202, 503)
    assert int(refusal.headers["Retry-After"]) > 0
    assert int(fresh.redis.client.get(fresh.keys.blob("bytes"))) == 600_000
    assert fresh.redis.client.hvals(fresh.keys.unfinished) == [b"1"]


@pytest.mark.slow
def test_a_redis_at_maxmemory_refuses_submits_and_all_accepted_tasks_finish(fresh: Service) -> None:
    fresh.start_web()
    accepted = [fresh.submit("typed", text="x") for _ in range(10)]
    accepted.append(fresh.submit("long_running_task", seconds=1, steps=5))
    fresh.redis.client.config_set("maxmemory", "1mb")  # less than it holds already
    for _ in range(3):
        refusal = fresh.http.post("/tasks/typed", json={"text": "x"})
        assert refusal.status_code == 503, refusal.text
        assert int(refusal.headers["Retry-After"]) > 0
    fresh.start_worker()
    for task_id in accepted:
        assert fresh.wait_for(task_id)["status"] == "succeeded"


@pytest.mark.slow
def test_an_output_waits_while_redis_is_full(fresh: Service) -> None:
    fresh.env["MAX_BLOB_BYTES"] = str(2**20)
    fresh.start()
    first = fresh.submit("saves", size=2**20)
    assert fresh.wait_for(first)["status"] == "succeeded"
    second = fresh.submit("saves", size=2**20)
    fresh.wait_for(second, "running")
    time.sleep(1)
    assert fresh.status(second)["status"] == "running"
    assert fresh.http.delete(f"/tasks/{first}").status_code == 204
    end = fresh.wait_for(second)
    assert (end["status"], end["deliveries"]) == ("succeeded", 1)


@pytest.mark.slow
def test_an_output_fails_as_storage_full_when_redis_stays_full(fresh: Service) -> None:
    fresh.env |= {"MAX_BLOB_BYTES": str(2**20), "STORAGE_WAIT_SECONDS": "2"}
    fresh.start()
    end = fresh.wait_for(fresh.submit("saves", size=2**20 + 1))
    assert (end["status"], end["error"]["type"], end["deliveries"]) == ("failed", "/problems/storage-full", 1)


@pytest.mark.slow
def test_at_maxmemory_expired_records_are_deleted_and_webhooks_are_sent(fresh: Service) -> None:
    fresh.env["ALLOW_PRIVATE_ADDRESSES"] = "true"
    fresh.start()
    webhook = {"webhook": "http://127.0.0.1:1/nobody"}
    tried = fresh.http.post("/tasks/divide", params=webhook, json={"x": 1, "y": 2}).json()["task_id"]
    eventually(lambda: fresh.http.get(f"/tasks/{tried}/webhook").json()["tries"])
    file = {"file": ("a.txt", b"x" * 1000, "text/plain")}
    expiring = fresh.http.post("/tasks/echo_file", params=webhook | {"ttl": 5}, files=file).json()["task_id"]
    fresh.wait_for(expiring)
    fresh.redis.client.zadd(fresh.keys.webhooks, {tried: (time.time() + 1) * 1000}, xx=True)
    fresh.redis.client.config_set("maxmemory", "1mb")
    eventually(lambda: not fresh.redis.client.exists(fresh.keys.task(expiring)))
    eventually(lambda: int(fresh.redis.client.get(fresh.keys.blob("bytes")) or 0) == 0)
    eventually(lambda: len(fresh.http.get(f"/tasks/{tried}/webhook").json()["tries"]) == 2)


@pytest.mark.slow
def test_a_worker_stopped_while_redis_is_at_maxmemory_returns_its_tasks(fresh: Service) -> None:
    fresh.start()
    task_id = fresh.submit("long_running_task", seconds=6, steps=60)
    fresh.wait_for(task_id, "running")
    fresh.redis.client.config_set("maxmemory", "1mb")
    fresh.workers[0].signal(SIGTERM)
    assert fresh.workers[0].wait(25) == 0
    assert fresh.status(task_id)["status"] == "queued"
    fresh.start_worker()
    assert fresh.wait_for(task_id)["status"] == "succeeded"

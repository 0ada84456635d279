"""The end of a batch: waiting for it, its events, results and webhook, and calls that change all its tasks."""

import itertools
import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from harness import Service, eventually
from standardwebhooks import Webhook
from test_webhooks import Receiver, make_due, secret_of

from server.store import Store, ids
from server.store.api_keys import Role
from server.store.record import NewTask
from server.store.submit import SubmitRequest

GOOD = {"task": "divide", "input": {"x": 1, "y": 2}}
FAILING = {"task": "divide", "input": {"x": 1, "y": 0}}
LATER = GOOD | {"options": {"delay": 600}}


@pytest.fixture(scope="module")
def open_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that may connect to loopback addresses."""
    folder = tmp_path_factory.mktemp("open")
    with Service(folder, TASK_MODULES="sample_tasks", ALLOW_PRIVATE_ADDRESSES="true") as service:
        yield service.start()


def submit(service: Service, *items: Any, headers: dict[str, str] | None = None, **params: str) -> dict[str, Any]:
    answer = service.http.post("/batches", json={"items": list(items)}, params=params, headers=headers)
    assert answer.status_code == 202, answer.text
    receipt: dict[str, Any] = answer.json()
    return receipt


def batch_of(service: Service, *items: Any, **params: str) -> str:
    return str(submit(service, *items, **params)["batch_id"])


def status(service: Service, batch_id: str, **params: Any) -> dict[str, Any]:
    answer = service.http.get(f"/batches/{batch_id}", params=params)
    assert answer.status_code == 200, answer.text
    record: dict[str, Any] = answer.json()
    return record


def lines(service: Service, batch_id: str) -> list[dict[str, Any]]:
    answer = service.http.get(f"/batches/{batch_id}/results")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/jsonl")
    return [json.loads(line) for line in answer.text.splitlines()]


def names(problems: list[dict[str, Any]]) -> list[str]:
    return [each.get("problem", {}).get("type", "").rpartition("/")[2] for each in problems]


# -- waiting


def test_waiting_for_a_batch_ends_with_its_last_task(service: Service) -> None:
    batch_id = batch_of(service, *[GOOD] * 50, FAILING, {"task": "ledgered", "input": {"seconds": 1}})
    answer = service.http.get(f"/batches/{batch_id}", params={"wait": 25})
    assert answer.json()["done"] and answer.json()["counts"] == {"succeeded": 51, "failed": 1}
    assert answer.headers["Preference-Applied"] == "wait=25" and "Retry-After" not in answer.headers


def test_waiting_for_an_unfinished_batch_ends_at_its_timeout(service: Service) -> None:
    batch_id = batch_of(service, GOOD, LATER)
    began = time.monotonic()
    answer = service.http.get(f"/batches/{batch_id}", headers={"Prefer": "wait=1"})
    assert 1 <= time.monotonic() - began < 10
    assert not answer.json()["done"] and answer.headers["Retry-After"] == "1"


@pytest.mark.slow
def test_sixty_clients_that_wait_for_a_batch_use_no_thread(fresh: Service) -> None:
    fresh.env["WEB_THREADS"] = "2"
    fresh.start_web()
    batch_id = batch_of(fresh, LATER, LATER)
    channel = fresh.keys.task(batch_id)
    with ThreadPoolExecutor(60) as threads:
        waiting = [threads.submit(status, fresh, batch_id, wait=20) for _ in range(60)]
        eventually(lambda: dict(fresh.redis.client.pubsub_numsub(channel)).get(channel.encode()))
        time.sleep(0.5)
        began = time.monotonic()
        assert fresh.http.get("/queues").status_code == 200
        assert time.monotonic() - began < 5
        fresh.http.post(f"/batches/{batch_id}/cancel")
        assert [each.result(20)["counts"] for each in waiting] == [{"canceled": 2}] * 60


def test_a_batch_without_a_valid_item_has_ended(service: Service) -> None:
    batch = status(service, batch_of(service, {"task": "no-such-kind"}, "text"))
    assert (batch["done"], batch["total"], batch["refused"], batch["counts"]) == (True, 0, 2, {})


@pytest.mark.slow
def test_a_batch_over_the_quota_ends_with_the_accepted_tasks(fresh: Service) -> None:
    fresh.env["MAX_WAITING_PER_OWNER"] = "3"
    fresh.start()
    batch_id = batch_of(fresh, *[GOOD] * 5, {"task": "no-such-kind"})
    batch = status(fresh, batch_id, wait=20)
    assert (batch["done"], batch["total"], batch["refused"], batch["counts"]) == (True, 3, 3, {"succeeded": 3})
    results = lines(fresh, batch_id)
    assert [each.get("result") for each in results] == [0.5, 0.5, 0.5, None, None, None]
    assert names(results)[3:] == ["over-quota", "over-quota", "unknown-task-type"]


def test_the_batch_of_another_owner_is_unknown(fresh: Service) -> None:
    mine, other = (fresh.store.api_keys.create(owner, Role.SUBMIT) for owner in ("ann", "bob"))
    fresh.start_web()
    as_owner, as_other = ({"Authorization": f"Bearer {key}"} for key in (mine, other))
    batch_id = submit(fresh, LATER, headers=as_owner)["batch_id"]
    for method, path in [("GET", ""), ("GET", "/events"), ("GET", "/results"), ("POST", "/cancel")]:
        answer = fresh.http.request(method, f"/batches/{batch_id}{path}", headers=as_other)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-batch"), path
    assert fresh.http.get(f"/batches/{batch_id}", headers=as_owner).json()["counts"] == {"scheduled": 1}


def test_a_batch_is_kept_until_its_end_and_then_expires(service: Service) -> None:
    batch_id = batch_of(service, LATER)
    key = service.keys.batch(batch_id)
    assert service.redis.client.ttl(key) == -1
    service.http.post(f"/batches/{batch_id}/cancel")
    assert 86_400 < service.redis.client.ttl(key) < 30 * 86_400
    service.redis.client.delete(key)
    for path in ("", "/events", "/results"):
        answer = service.http.get(f"/batches/{batch_id}{path}")
        assert (answer.status_code, answer.json()["type"]) == (410, "/problems/expired-batch")


# -- events


def events(service: Service, batch_id: str, **headers: str) -> Iterator[dict[str, str]]:
    with httpx.stream("GET", f"{service.url}/batches/{batch_id}/events", headers=headers, timeout=30) as answer:
        assert answer.status_code == 200
        event: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name:
                event[name] = value
            elif "event" in event:
                yield event
                event = {}


def test_events_report_each_change_of_the_counts_and_the_end(service: Service) -> None:
    batch_id = batch_of(service, GOOD, {"task": "ledgered", "input": {"seconds": 1}}, LATER)
    counts = []
    for event in events(service, batch_id):
        data = json.loads(event["data"])
        counts.append((event["event"], data["counts"]))
        if data["counts"].get("succeeded") == 2 and not data["done"]:
            service.http.post(f"/batches/{batch_id}/cancel")
    assert counts[-1] == ("done", {"succeeded": 2, "canceled": 1})
    assert ("counts", {"scheduled": 1, "succeeded": 2}) in counts
    assert all(one != other for one, other in itertools.pairwise(counts))


def test_a_stream_of_counts_resumes_after_its_last_event(service: Service) -> None:
    batch_id = batch_of(service, LATER, LATER)
    first = next(events(service, batch_id))
    stream = events(service, batch_id, **{"Last-Event-ID": first["id"]})
    threading.Timer(0.5, service.http.post, [f"/tasks/{status(service, batch_id)['task_ids'][0]}/cancel"]).start()
    assert json.loads(next(stream)["data"])["counts"] == {"scheduled": 1, "canceled": 1}
    service.http.post(f"/batches/{batch_id}/cancel")
    assert next(stream)["event"] == "done"
    again = service.http.get(f"/batches/{batch_id}/events", headers={"Last-Event-ID": "done"})
    assert again.status_code == 204


# -- results


def test_results_have_a_line_for_each_item_in_order(service: Service) -> None:
    bad = {"task": "divide", "input": {"x": "one", "y": 2}}
    ticket = submit(service, GOOD, FAILING, bad, LATER, {"task": "typed", "input": {"text": "y" * 70_000}}, GOOD)
    ids = [item.get("task_id") for item in ticket["items"]]
    ended = {"scheduled": 1, "succeeded": 3, "failed": 1}
    eventually(lambda: {word: n for word, n in status(service, ticket["batch_id"])["counts"].items() if n} == ended)
    results = lines(service, ticket["batch_id"])
    assert [each["index"] for each in results] == list(range(6))
    assert [each.get("task_id") for each in results] == ids
    assert [each.get("status") for each in results] == [
        *("succeeded", "failed", None, "scheduled", "succeeded", "succeeded")
    ]
    assert results[0]["result"] == results[5]["result"] == 0.5
    assert results[1]["error"] == service.status(ids[1])["error"] and "result" not in results[1]
    assert results[2] == {"index": 2, "problem": ticket["items"][2]["problem"]}
    assert set(results[3]) == {"index", "task_id", "status"}
    assert results[4]["result"] == service.result(ids[4])


def test_a_deleted_record_has_its_problem_in_its_line(service: Service) -> None:
    ticket = submit(service, GOOD, GOOD)
    status(service, ticket["batch_id"], wait=20)
    service.http.delete(f"/tasks/{ticket['items'][0]['task_id']}")
    assert names(lines(service, ticket["batch_id"])) == ["expired-task", ""]
    batch = status(service, ticket["batch_id"])
    assert batch["done"] and batch["counts"] == {"succeeded": 1, "expired": 1}


@pytest.mark.slow
def test_many_long_results_are_never_in_memory_at_the_same_time(service: Service) -> None:
    ticket = submit(service, *[GOOD] * 300)
    status(service, ticket["batch_id"], wait=25)
    long = b'"' + b"x" * 2**20 + b'"'
    pipe = service.redis.client.pipeline()
    for item in ticket["items"]:
        pipe.hdel(service.keys.task(item["task_id"]), "r")
        pipe.set(service.keys.result(item["task_id"]), long)
    pipe.execute()
    assert service.web is not None
    processes = service.web.children()
    before = {pid: peak_kilobytes(pid) for pid in processes}
    total = 0
    with httpx.stream("GET", f"{service.url}/batches/{ticket['batch_id']}/results", timeout=60) as answer:
        for piece in answer.iter_bytes():
            total += len(piece)
    for item in ticket["items"]:
        service.redis.client.delete(service.keys.result(item["task_id"]))
    assert total > 300 * 2**20
    assert max(peak_kilobytes(pid) - before[pid] for pid in processes) < 60 * 1024


def peak_kilobytes(pid: int) -> int:
    with Path(f"/proc/{pid}/status").open() as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


# -- cancel


def test_a_batch_is_canceled_as_a_whole(service: Service) -> None:
    ticket = submit(service, GOOD, {"task": "reports"}, LATER, LATER)
    service.wait_for(ticket["items"][0]["task_id"])
    service.wait_for(ticket["items"][1]["task_id"], "running")
    answer = service.http.post(f"/batches/{ticket['batch_id']}/cancel")
    assert answer.status_code == 200
    assert status(service, ticket["batch_id"], wait=20)["counts"] == {"succeeded": 1, "canceled": 3}
    acts = service.http.get("/audit", params={"action": "cancel_batch"}).json()["entries"]
    assert (acts[0]["target"], acts[0]["count"]) == (ticket["batch_id"], 3)


# -- the webhook


def test_the_webhook_of_a_batch_is_called_once_at_its_end(open_service: Service) -> None:
    with Receiver().listening() as receiver:
        batch_id = batch_of(open_service, *[GOOD] * 30, FAILING, {"task": "nothing"}, "text", webhook=receiver.url)
        batch = status(open_service, batch_id, wait=25)
        receiver.wait()
        headers, body = receiver.got[0]
        sent = Webhook(secret_of(open_service)).verify(body, headers)
        assert sent["type"] == "batch.ended" and sent["data"] == batch
        assert headers["webhook-id"] == batch_id
        time.sleep(2)
        assert len(receiver.got) == 1
        assert open_service.redis.client.zscore(open_service.keys.webhooks, batch_id) is None


def test_the_webhook_of_a_batch_counts_each_final_status(open_service: Service) -> None:
    items = [
        GOOD,
        FAILING,
        {"task": "kills_child"},
        {"task": "reports", "options": {"cancel_after": 1}},
        LATER | {"options": {"delay": 600, "start_within": 1}},
        LATER,
        {"task": "nothing", "options": {"ttl": 1}},
        {"task": "no-such-kind"},
    ]
    with Receiver().listening() as receiver:
        batch_id = batch_of(open_service, *items, webhook=receiver.url)
        waiting = ("scheduled", "queued", "running")
        ended = {"succeeded": 1, "failed": 2, "canceled": 1, "expired": 1}

        def all_but_one_ended() -> bool:
            counts = status(open_service, batch_id)["counts"]
            return {word: count for word, count in counts.items() if count and word not in waiting} == ended

        eventually(all_but_one_ended, seconds=60)
        assert not receiver.got
        open_service.http.post(f"/batches/{batch_id}/cancel")
        receiver.wait()
        data = json.loads(receiver.got[0][1])["data"]
        assert data["done"] and data["refused"] == 1
        assert data["counts"] == ended | {"canceled": 3}


def test_a_batch_of_refused_items_also_calls_its_webhook(open_service: Service) -> None:
    with Receiver().listening() as receiver:
        batch_of(open_service, {"task": "no-such-kind"}, webhook=receiver.url)
        receiver.wait()
        assert json.loads(receiver.got[0][1])["data"]["refused"] == 1


def test_the_webhook_of_a_batch_is_retried_until_it_is_delivered(open_service: Service) -> None:
    def webhook() -> dict[str, Any]:
        record: dict[str, Any] = open_service.http.get(f"/batches/{batch_id}/webhook").json()
        return record

    with Receiver(503, 500, 204).listening() as receiver:
        batch_id = batch_of(open_service, GOOD, webhook=receiver.url)
        eventually(lambda: [each["status"] for each in webhook()["tries"]] == [503])
        make_due(open_service, batch_id)
        eventually(lambda: [each["status"] for each in webhook()["tries"]] == [503, 500])
        assert receiver.got[0][1] == receiver.got[1][1]

        failing = open_service.http.get("/webhook-receivers").json()["receivers"]
        [entry] = [each for each in failing if each["host"] == urlsplit(receiver.url).netloc]
        assert (entry["pending"], entry["last_try"]["status"], entry["sample"]) == (1, 500, batch_id)
        assert (webhook()["batch_id"], webhook()["status"]) == (batch_id, "pending")
        assert open_service.http.post(entry["href"]).status_code == 202
        eventually(lambda: webhook()["status"] == "delivered")
        assert entry["host"] not in open_service.http.get("/webhook-receivers").text


def test_a_webhook_that_a_batch_does_not_have_cannot_be_sent_again(open_service: Service) -> None:
    unfinished = batch_of(open_service, LATER, webhook="http://127.0.0.1:9/")
    address = f"/batches/{unfinished}/webhook"
    assert open_service.http.get(address).json()["status"] == "waiting"
    assert open_service.http.post(address).status_code == 409
    open_service.redis.client.hdel(open_service.keys.batch(unfinished), "wh")  # so that it is not called at its end
    open_service.http.post(f"/batches/{unfinished}/cancel")
    assert [open_service.http.request(method, address).status_code for method in ("GET", "POST")] == [404, 404]


def test_a_batch_with_a_forbidden_webhook_url_is_refused(service: Service) -> None:
    answer = service.http.post("/batches", json={"items": [GOOD]}, params={"webhook": "http://127.0.0.1/x"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["query", "webhook"]


@pytest.mark.slow
def test_a_batch_ends_once_although_every_process_is_killed(fresh: Service) -> None:
    fresh.env["ALLOW_PRIVATE_ADDRESSES"] = "true"
    fresh.start(workers=2)
    with Receiver().listening() as receiver:
        item = {"task": "ledgered", "input": {"seconds": 0.3}}
        batch_id = batch_of(fresh, *[item] * 20, webhook=receiver.url)
        eventually(lambda: status(fresh, batch_id)["counts"].get("succeeded"))
        for worker in fresh.workers:
            worker.signal_group(signal.SIGKILL)
        assert fresh.web is not None
        fresh.web.kill()
        fresh.start_web()
        fresh.start_worker()
        eventually(lambda: status(fresh, batch_id, wait=20)["done"], seconds=90)
        receiver.wait(seconds=60)
        assert status(fresh, batch_id)["counts"] == {"succeeded": 20}
        time.sleep(2)
        assert len(receiver.got) == 1


def test_cancels_that_race_with_tasks_end_a_batch_once(open_service: Service) -> None:
    with Receiver().listening() as receiver:
        batch_id = batch_of(open_service, *[GOOD] * 100, webhook=receiver.url)
        with ThreadPoolExecutor(4) as threads:
            for each in [threads.submit(open_service.http.post, f"/batches/{batch_id}/cancel") for _ in range(4)]:
                assert each.result(30).status_code == 200
        batch = status(open_service, batch_id, wait=25)
        assert batch["done"] and sum(batch["counts"].values()) == 100
        receiver.wait()
        time.sleep(2)
        assert len(receiver.got) == 1
        assert int(open_service.redis.client.hget(open_service.keys.batch(batch_id), "left")) == 0


# -- retry


def test_the_failed_tasks_of_a_batch_are_retried_once(service: Service) -> None:
    ticket = submit(service, GOOD, FAILING, FAILING, LATER)
    batch_id = ticket["batch_id"]
    failed = [item["task_id"] for item in ticket["items"][1:3]]
    eventually(lambda: status(service, batch_id)["counts"].get("failed") == 2)
    with ThreadPoolExecutor(4) as threads:
        pressed = [threads.submit(service.http.post, f"/batches/{batch_id}/retry") for _ in range(4)]
        responses = [each.result(20) for each in pressed]
    assert {each.status_code for each in responses} == {200}
    retries = [task_id for each in responses for task_id in each.json()["task_ids"]]
    assert len(retries) == sum(each.json()["retried"] for each in responses) == 2
    assert sorted(service.status(task_id)["retry_of"] for task_id in retries) == sorted(failed)
    assert [service.status(task_id)["retried_as"] in retries for task_id in failed] == [True, True]
    assert service.http.post(f"/batches/{batch_id}/retry?again=true").json()["retried"] == 2
    assert service.http.post(f"/batches/{batch_id}/retry").json() == {
        **{"retried": 0, "task_ids": [], "refused": [], "more": False}
    }


# -- a repeated request


def test_a_repeated_script_call_gets_the_first_reply_and_counts_once(fresh: Service) -> None:
    store, owner = Store(fresh.store.settings.model_copy(update={"max_waiting_per_owner": 2})), "ann"
    tasks = [NewTask(ids.new(owner, store.secret, store.clock.now_ns()), owner, "nothing", b"{}") for _ in range(3)]
    batch_id = ids.new(owner, store.secret, store.clock.now_ns())
    first, second = (store.submits.submit(SubmitRequest(owner, tasks, batch=batch_id)) for _ in range(2))
    assert [isinstance(each, int) for each in first.outcomes] == [True, True, False]
    assert list(map(str, second.outcomes)) == list(map(str, first.outcomes))
    for task in tasks[:2]:
        store.tasks.cancel(task.id)
    assert fresh.redis.client.hget(fresh.keys.batch(batch_id), "left") == b"0"
    third = store.submits.submit(SubmitRequest(owner, tasks, batch=batch_id))
    assert [isinstance(each, int) for each in third.outcomes] == [True, True, False]
    batch = store.batches.get(batch_id)
    assert batch is not None and batch.task_ids == [task.id for task in tasks[:2]] and batch.finished_ms

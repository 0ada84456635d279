"""Webhooks: a real receiver, an independent verifier, and processes that die at the wrong moment."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from harness import ROOT, Service, eventually
from http_servers import Exchange, serve
from standardwebhooks import Webhook, WebhookVerificationError

MINUTE_MS = 60_000


class Receiver:
    """Stores requests, and answers with the given statuses; the last one is repeated."""

    def __init__(self, *statuses: int, **headers: str) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.url = ""
        self._statuses = statuses or (204,)
        self._headers = headers

    def answer(self, exchange: Exchange) -> None:
        """Store the request and answer."""
        assert exchange.command == "POST"
        headers = {name.lower(): value for name, value in exchange.headers.items()}
        self.got.append((headers, exchange.body))
        exchange.reply(self._statuses[min(len(self.got), len(self._statuses)) - 1], **self._headers)

    @contextmanager
    def listening(self) -> Iterator["Receiver"]:
        """Listen on a loopback port."""
        with serve(self.answer) as url:
            self.url = url + "/hook?token=x"
            yield self

    def wait(self, number: int = 1, seconds: float = 60) -> None:
        """Wait for this number of requests."""
        eventually(lambda: len(self.got) >= number, seconds=seconds)


@pytest.fixture(scope="module")
def open_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that may connect to loopback addresses."""
    folder = tmp_path_factory.mktemp("open")
    with Service(folder, TASK_MODULES="sample_tasks", ALLOW_PRIVATE_ADDRESSES="true") as service:
        yield service.start()


def submit(service: Service, task: str, url: str, options: dict[str, int] | None = None, **parameters: Any) -> str:
    """Submit a task with a webhook; its id."""
    answer = service.http.post(f"/tasks/{task}", params={"webhook": url, **(options or {})}, json=parameters)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def delivery(service: Service, task_id: str) -> dict[str, Any]:
    """The server's description of a webhook."""
    answer = service.http.get(f"/tasks/{task_id}/webhook")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def settled(service: Service, task_id: str, status: str, seconds: float = 15) -> list[dict[str, Any]]:
    """Wait until the webhook has this status; its attempts."""

    def tries() -> list[dict[str, Any]] | None:
        webhook = delivery(service, task_id)
        return webhook["tries"] if webhook["status"] == status else None

    return eventually(tries, seconds=seconds) or []


def make_due(service: Service, task_id: str) -> None:
    """Make the next attempt due, or expire a lease."""
    service.redis.client.zadd(service.keys.webhooks, {task_id: 0}, xx=True)


def secret_of(service: Service) -> str:
    """The caller's secret."""
    return str(service.http.get("/webhook-secret").json()["secret"])


# -- the end of a task is POSTed


def test_the_webhook_of_a_task_that_did_not_start_in_time_has_the_reason(open_service: Service) -> None:
    with Receiver().listening() as receiver:
        first = open_service.submit("one_at_a_time", seconds=3)
        open_service.wait_for(first, "running")
        submit(open_service, "one_at_a_time", receiver.url, {"start_within": 1}, seconds=0)
        receiver.wait()
    body = receiver.got[0][1]
    assert b"canceled" in body
    assert b"/problems/not-started-in-time" in body


@pytest.mark.parametrize(
    ("task", "parameters", "status"),
    [("divide", {"x": 1, "y": 2}, "succeeded"), ("divide", {"x": 1, "y": 0}, "failed"), ("kills_child", {}, "failed")],
)
def test_the_end_of_a_task_is_posted_as_a_signed_status_object(
    open_service: Service, task: str, parameters: dict[str, Any], status: str
) -> None:
    with Receiver().listening() as receiver:
        task_id = submit(open_service, task, receiver.url, **parameters)
        receiver.wait()
        headers, body = receiver.got[0]
        assert Webhook(secret_of(open_service)).verify(body, headers) == open_service.status(task_id)
        assert json.loads(body)["status"] == status
        assert headers["webhook-id"] == task_id
        assert headers["content-type"] == "application/json"
        tries = settled(open_service, task_id, "delivered")
        assert [(each["status"], each["reason"]) for each in tries] == [(204, None)]
        assert len(receiver.got) == 1


@pytest.mark.parametrize("delay", [0, 600])
def test_a_canceled_task_is_posted_whether_it_ran_or_not(open_service: Service, delay: int) -> None:
    with Receiver().listening() as receiver:
        task_id = submit(open_service, "reports", receiver.url, {"delay": delay})
        if not delay:
            open_service.wait_for(task_id, "running")
        assert delivery(open_service, task_id)["status"] == "waiting"
        open_service.http.post(f"/tasks/{task_id}/cancel")
        receiver.wait()
        assert json.loads(receiver.got[0][1])["status"] == "canceled"


def test_a_batch_s_item_has_its_own_webhook(open_service: Service) -> None:
    with Receiver().listening() as receiver:
        item = {"task": "divide", "input": {"x": 4, "y": 2}}
        items = [item | {"options": {"webhook": receiver.url}}, item]
        assert open_service.http.post("/batches", json={"items": items}).status_code == 202
        receiver.wait()
        time.sleep(1.5)
        assert len(receiver.got) == 1


def test_a_retried_task_keeps_its_webhook(open_service: Service) -> None:
    with Receiver().listening() as receiver:
        first = submit(open_service, "divide", receiver.url, x=1, y=0)
        receiver.wait()
        second = open_service.http.post(f"/tasks/{first}/retry").json()["task_id"]
        receiver.wait(2)
        assert [headers["webhook-id"] for headers, _ in receiver.got] == [first, second]


# -- attempts


def test_a_failed_delivery_is_retried_with_growing_waits_and_the_same_id(open_service: Service) -> None:
    with Receiver(500, 503, 200).listening() as receiver:
        task_id = submit(open_service, "divide", receiver.url, x=1, y=2)
        receiver.wait()
        first = eventually(lambda: delivery(open_service, task_id)["next_try_at"])
        receiver.wait(2)  # five seconds later, without any help
        eventually(lambda: len(delivery(open_service, task_id)["tries"]) == 2)
        pending = delivery(open_service, task_id)
        assert pending["next_try_at"] != first
        assert (pending["status"], [each["status"] for each in pending["tries"]]) == ("pending", [500, 503])
        wait_ms = open_service.redis.client.zscore(open_service.keys.webhooks, task_id) - time.time() * 1000
        assert 4 * MINUTE_MS < wait_ms < 6 * MINUTE_MS
        make_due(open_service, task_id)
        tries = settled(open_service, task_id, "delivered")
        assert [each["status"] for each in tries] == [500, 503, 200]
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
        assert len({body for _, body in receiver.got}) == 1
        for headers, body in receiver.got:  # each signed anew, with its own time
            Webhook(secret_of(open_service)).verify(body, headers)


def test_delivery_is_given_up_after_a_day_of_attempts(open_service: Service) -> None:
    with Receiver(500).listening() as receiver:
        task_id = submit(open_service, "divide", receiver.url, x=1, y=2)
        for number in range(1, 7):
            eventually(lambda number=number: len(delivery(open_service, task_id)["tries"]) == number)  # type: ignore[misc]
            make_due(open_service, task_id)
        assert len(settled(open_service, task_id, "given-up")) == 7
        assert delivery(open_service, task_id)["next_try_at"] is None


def test_a_webhook_is_sent_again_on_request_and_its_receiver_is_listed_while_it_fails(open_service: Service) -> None:
    with Receiver(204, 500, 204).listening() as receiver:
        task_id = submit(open_service, "divide", receiver.url, x=1, y=2)
        settled(open_service, task_id, "delivered")
        answer = open_service.http.post(f"/tasks/{task_id}/webhook")
        assert (answer.status_code, answer.json()["task_id"]) == (202, task_id)
        receiver.wait(2)
        assert [each["status"] for each in settled(open_service, task_id, "pending")] == [204, 500]
        host = urlsplit(receiver.url).netloc
        [listed] = [
            each for each in open_service.http.get("/webhook-receivers").json()["receivers"] if each["host"] == host
        ]
        assert (listed["pending"], listed["last_try"]["status"], listed["sample"]) == (1, 500, task_id)
        open_service.http.post(f"/tasks/{task_id}/webhook")
        assert [each["status"] for each in settled(open_service, task_id, "delivered")] == [204, 500, 204]
        hosts = {each["host"] for each in open_service.http.get("/webhook-receivers").json()["receivers"]}
        assert host not in hosts
        running = submit(open_service, "reports", receiver.url, seconds=60)
        assert open_service.http.post(f"/tasks/{running}/webhook").status_code == 409
        open_service.http.post(f"/tasks/{running}/cancel")
        assert open_service.http.post(f"/tasks/{open_service.submit('divide', x=1, y=2)}/webhook").status_code == 404


def test_a_receiver_that_answers_410_is_not_called_again(open_service: Service) -> None:
    with Receiver(410).listening() as receiver:
        task_id = submit(open_service, "divide", receiver.url, x=1, y=2)
        assert [each["status"] for each in settled(open_service, task_id, "given-up")] == [410]
        assert open_service.redis.client.zscore(open_service.keys.webhooks, task_id) is None


def test_a_redirect_is_a_failure_and_is_not_followed(open_service: Service) -> None:
    with Receiver().listening() as target, Receiver(307, Location=target.url).listening() as receiver:
        task_id = submit(open_service, "divide", receiver.url, x=1, y=2)
        eventually(lambda: delivery(open_service, task_id)["tries"])
        webhook = delivery(open_service, task_id)
        assert (webhook["status"], webhook["tries"][0]["status"]) == ("pending", 307)
        assert target.got == []


def test_an_unreachable_receiver_is_recorded_with_the_reason(open_service: Service) -> None:
    task_id = submit(open_service, "divide", "http://127.0.0.1:1/", x=1, y=2)
    eventually(lambda: delivery(open_service, task_id)["tries"])
    attempt = delivery(open_service, task_id)["tries"][0]
    assert (attempt["status"], attempt["reason"]) == (None, "The server cannot be reached.")


def test_a_pending_webhook_ends_with_its_record(open_service: Service) -> None:
    with Receiver(500).listening() as receiver:
        task_id = submit(open_service, "divide", receiver.url, {"ttl": 3}, x=1, y=2)
        receiver.wait()
        eventually(lambda: open_service.http.get(f"/tasks/{task_id}").status_code == 410)
        eventually(lambda: open_service.redis.client.zscore(open_service.keys.webhooks, task_id) is None)
        assert not open_service.redis.client.exists(open_service.keys.task(task_id))


class Hanging:
    """A receiver that does not answer until it is released."""

    def __init__(self) -> None:
        self.called = 0
        self.release = threading.Event()

    def answer(self, exchange: Exchange) -> None:
        """Let the webhook sender wait."""
        self.called += 1
        self.release.wait(30)
        exchange.reply(204)


@pytest.fixture
def one_slot(tmp_path: Path) -> Iterator[Service]:
    """A server that runs one task at a time."""
    settings = {"TASK_MODULES": "sample_tasks", "ALLOW_PRIVATE_ADDRESSES": "true", "WORKER_CONCURRENCY": "1"}
    with Service(tmp_path, **settings) as service:
        yield service.start()


def test_receivers_that_hang_do_not_delay_tasks(one_slot: Service) -> None:
    hanging = Hanging()
    with serve(hanging.answer) as url:
        ids = [submit(one_slot, "divide", url, x=1, y=2) for _ in range(12)]
        eventually(lambda: hanging.called >= 12)
        assert one_slot.result(one_slot.submit("divide", x=6, y=2)) == 3
        hanging.release.set()
        for task_id in ids:
            settled(one_slot, task_id, "delivered")


def test_a_webhook_does_not_wait_for_running_tasks(one_slot: Service) -> None:
    with Receiver().listening() as receiver:
        running = one_slot.submit("long_running_task", seconds=600)
        one_slot.wait_for(running, "running")
        queued = submit(one_slot, "divide", receiver.url, x=1, y=2)
        one_slot.http.post(f"/tasks/{queued}/cancel")
        receiver.wait()
        assert one_slot.status(running)["status"] == "running"


def test_a_receiver_that_hangs_does_not_block_others(one_slot: Service) -> None:
    hanging = Hanging()
    with serve(hanging.answer) as url, Receiver().listening() as receiver:
        for _ in range(4):
            submit(one_slot, "divide", url, x=1, y=2)
        eventually(lambda: hanging.called == 4)
        time.sleep(2.5)  # from here on it counts as slow
        many = [submit(one_slot, "divide", url, x=1, y=2) for _ in range(20)]
        one_slot.wait_for(many[-1])
        one_slot.wait_for(submit(one_slot, "divide", receiver.url, x=1, y=2))
        receiver.wait()
        assert hanging.called < 16  # the webhook sender's threads
        hanging.release.set()


# -- processes that die


@pytest.fixture
def dying(tmp_path: Path) -> Iterator[Service]:
    """A server whose worker a test kills."""
    settings = {"TASK_MODULES": "sample_tasks", "ALLOW_PRIVATE_ADDRESSES": "true", "LEASE_SECONDS": "5"}
    with Service(tmp_path, **settings) as service:
        yield service


def test_a_worker_killed_between_the_end_and_the_delivery_loses_no_webhook(dying: Service) -> None:
    with Receiver().listening() as receiver:
        dying.start()
        task_id = submit(dying, "divide", receiver.url, x=1, y=2)
        dying.wait_for(task_id)
        dying.workers[0].kill()
        dying.start_worker()
        receiver.wait()
        assert json.loads(receiver.got[0][1])["task_id"] == task_id


@pytest.mark.slow
def test_a_webhook_is_delivered_again_with_the_same_id_after_a_kill(dying: Service) -> None:
    webhook_ids: list[str] = []

    def answer(exchange: Exchange) -> None:
        webhook_ids.append(exchange.headers["webhook-id"])
        if len(webhook_ids) == 1:
            dying.workers[0].kill()
        else:
            exchange.reply(204)

    with serve(answer) as url:
        dying.start()
        task_id = submit(dying, "divide", url, x=1, y=2)
        eventually(lambda: len(webhook_ids) == 1)
        eventually(lambda: not dying.workers[0].alive)
        dying.start_worker()
        make_due(dying, task_id)
        assert len(settled(dying, task_id, "delivered", seconds=30)) == 1
        assert webhook_ids == [task_id, task_id]


@pytest.mark.slow
def test_a_cancel_while_no_worker_is_up_is_posted_later(dying: Service) -> None:
    with Receiver().listening() as receiver:
        dying.start_web()
        task_id = submit(dying, "divide", receiver.url, x=1, y=2)
        dying.http.post(f"/tasks/{task_id}/cancel")
        dying.redis.process.kill()
        dying.redis.start()
        dying.start_worker()
        receiver.wait()
        assert json.loads(receiver.got[0][1])["status"] == "canceled"


# -- permitted addresses


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.com/hook", "must begin with https"),
        ("ftp://example.com/", "must begin with http"),
        ("https://127.0.0.1/", "no public address"),
        ("https://10.1.2.3:8443/", "no public address"),
        ("https://[::1]/", "no public address"),
        ("https://169.254.169.254/", "no public address"),
        ("https://me:secret@example.com/", "user name"),
        ("https://example.com/" + "x" * 2100, "2048 characters"),
        ("nonsense", "must begin with http"),
    ],
)
def test_an_invalid_url_is_refused_before_the_task_is_queued(service: Service, url: str, message: str) -> None:
    before = set(service.redis.client.keys(service.keys.task("*")))
    answer = service.http.post("/tasks/divide", params={"webhook": url}, json={"x": 1, "y": 2})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["loc"] == ["query", "webhook"]
    assert message in error["msg"]
    assert set(service.redis.client.keys(service.keys.task("*"))) <= before


def test_a_host_name_that_resolves_to_a_private_address_is_refused_at_delivery(service: Service) -> None:
    with Receiver().listening() as receiver:
        url = receiver.url.replace("http://127.0.0.1", "https://localhost")
        task_id = submit(service, "divide", url, x=1, y=2)
        eventually(lambda: delivery(service, task_id)["tries"])
        attempt = delivery(service, task_id)["tries"][0]
        assert (attempt["status"], attempt["reason"]) == (None, "The URL's host has no public address.")
        assert receiver.got == []


def test_a_task_without_a_webhook_has_no_deliveries(service: Service) -> None:
    task_id = service.submit("divide", x=1, y=2)
    assert service.http.get(f"/tasks/{task_id}/webhook").status_code == 404


# -- secrets


def keys_command(service: Service, *arguments: str) -> str:
    """The output of the command."""
    command = [sys.executable, "-m", "server.cli", "keys", *arguments]
    done = subprocess.run(command, env=service.env, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_rotated_secret_signs_in_addition_to_the_new_one_for_a_day(open_service: Service) -> None:
    old = secret_of(open_service)
    rotated = open_service.http.post("/webhook-secret/rotate")
    assert rotated.headers["Cache-Control"] == "no-store"
    new = rotated.json()["secret"]
    assert new == secret_of(open_service) != old
    assert new.startswith("whsec_")
    assert rotated.json()["previous_until"] is not None
    with Receiver().listening() as receiver:
        submit(open_service, "divide", receiver.url, x=1, y=2)
        receiver.wait()
        headers, body = receiver.got[0]
        assert len(headers["webhook-signature"].split()) == 2
        for secret in (old, new):
            Webhook(secret).verify(body, headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(new).verify(body + b" ", headers)
        open_service.redis.client.hset(open_service.keys.webhook_secret("local"), "until", int(time.time()) - 1)
        submit(open_service, "divide", receiver.url, x=1, y=2)
        receiver.wait(2)
        headers, body = receiver.got[1]
        Webhook(new).verify(body, headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(old).verify(body, headers)
    assert open_service.http.get("/webhook-secret").json() == {"secret": new, "previous_until": None}


def test_the_command_shows_and_rotates_the_same_secrets(open_service: Service) -> None:
    assert keys_command(open_service, "webhook-secret", "--owner", "local") == secret_of(open_service)
    rotated = keys_command(open_service, "webhook-secret", "--owner", "local", "--rotate")
    assert rotated == secret_of(open_service)
    secret = keys_command(open_service, "webhook-secret", "--owner", "alice")
    assert keys_command(open_service, "webhook-secret", "--owner", "alice") == secret != rotated


def test_each_owner_has_its_own_secret_and_a_reader_sees_none(tmp_path: Path) -> None:
    with Service(tmp_path) as keyed:
        keyed.start_web()
        roles = [("alice", "submit"), ("bob", "submit"), ("alice", "read"), ("root", "admin")]
        keys = [keys_command(keyed, "create", "--owner", owner, "--role", role) for owner, role in roles]
        responses = [keyed.http.get("/webhook-secret", headers={"Authorization": f"Bearer {key}"}) for key in keys]
        assert [answer.status_code for answer in responses] == [200, 200, 403, 200]
        assert len({answer.json()["secret"] for answer in (responses[0], responses[1], responses[3])}) == 3
        assert keyed.http.post("/webhook-secret/rotate").status_code == 401

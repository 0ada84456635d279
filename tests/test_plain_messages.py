"""Messages of plain Celery and kombu on our transport: storage, redelivery and expiry."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from harness import ROOT, Service, eventually
from kombu import Connection, Exchange, Queue

from server.celery_app.transport import Transport

#: Its routing key is not its name.
LETTERS = Queue("letters", Exchange("post", type="direct"), routing_key="by.air")


@pytest.fixture
def connection(fresh: Service) -> Iterator[Connection]:
    options = {"store": fresh.store, "priority_steps": [0, 1, 2]}
    with Connection(fresh.redis.url, transport=Transport, transport_options=options) as open_connection:
        yield open_connection


def publish(connection: Connection, queue: Queue, body: object = "hello", **options: Any) -> None:
    connection.Producer().publish(
        body, exchange=queue.exchange, routing_key=queue.routing_key, declare=[queue], **options
    )


def receive(connection: Connection, queue: Queue, **options: Any) -> Any:
    """The next message of a queue, not acknowledged."""
    messages: list[Any] = []
    with connection.Consumer([queue], callbacks=[lambda _, message: messages.append(message)], **options):
        while not messages:
            connection.drain_events(timeout=30)
    return messages[0]


def test_a_message_of_a_queue_with_another_routing_key_is_redelivered_after_a_kill(
    fresh: Service, connection: Connection
) -> None:
    publish(connection, LETTERS)
    tag = receive(connection, LETTERS).delivery_tag  # and its process dies

    fresh.store.leases.restore_messages([tag])

    again = receive(connection, LETTERS)
    assert again.payload == "hello"
    assert again.delivery_info["redelivered"] is True


def test_a_rejected_message_is_redelivered_each_time(fresh: Service, connection: Connection) -> None:
    publish(connection, LETTERS)
    first = receive(connection, LETTERS)
    assert not first.delivery_info.get("redelivered")
    first.reject(requeue=True)
    stored = fresh.redis.client.lindex("letters\x06\x161", 0)

    for _ in range(3):
        again = receive(connection, LETTERS)
        assert again.delivery_info["redelivered"] is True
        again.reject(requeue=True)

    assert stored is not None
    assert fresh.redis.client.lindex("letters\x06\x161", 0) == stored
    receive(connection, LETTERS).ack()
    assert fresh.redis.client.exists("unacked", "letters", "letters\x06\x161") == 0


def test_a_rejected_message_does_not_block_others(fresh: Service, connection: Connection) -> None:
    publish(connection, LETTERS, "rejected")
    publish(connection, LETTERS, "waiting")
    receive(connection, LETTERS).reject(requeue=True)

    bodies = [connection.default_channel.basic_get("letters").decode() for _ in range(2)]

    assert bodies == ["waiting", "rejected"]


def test_ten_priorities_map_to_three_and_lower_numbers_come_first(fresh: Service, connection: Connection) -> None:
    for number in range(9, -1, -1):
        publish(connection, LETTERS, str(number), priority=number)

    lengths = [fresh.redis.client.llen(name) for name in ("letters\x06\x161", "letters", "letters\x06\x162")]
    read = [int(connection.default_channel.basic_get("letters", no_ack=True).decode()) for _ in range(10)]

    assert lengths == [4, 3, 3]
    assert read == [3, 2, 1, 0, 6, 5, 4, 9, 8, 7]


def test_a_reply_expires_when_its_client_has_gone(fresh: Service, connection: Connection) -> None:
    queue = Queue("client.reply.celery.pidbox", Exchange("reply.celery.pidbox", type="direct"), routing_key="client")
    publish(connection, queue)

    lists = [key for key in fresh.redis.client.scan_iter() if b"client.reply" in key]

    assert len(lists) == 2
    assert queue.name.encode() in lists, "the list that clients with stock kombu read"
    assert all(0 < fresh.redis.client.pttl(key) <= 10_000 for key in lists)


def test_an_unused_queue_with_an_expiry_expires(fresh: Service, connection: Connection) -> None:
    queue = Queue("brief", Exchange("brief"), routing_key="brief", expires=2)
    publish(connection, queue, "one", priority=5)
    time.sleep(1)
    publish(connection, queue, "two", priority=5)
    time.sleep(1.2)
    receive(connection, queue).ack()
    assert 1000 < fresh.redis.client.pttl("brief") <= 2000
    lists = ("brief", "brief\x06\x161", "brief\x06\x162", fresh.keys.notify_list("brief"))
    eventually(lambda: not fresh.redis.client.exists(*lists))


def test_one_message_is_read_without_a_consumer(fresh: Service, connection: Connection) -> None:
    publish(connection, LETTERS, "first")
    publish(connection, LETTERS, "second")
    channel = connection.default_channel

    first = channel.basic_get("letters", no_ack=True)
    second = channel.basic_get("letters")

    assert (first.decode(), second.decode()) == ("first", "second")
    assert fresh.redis.client.hkeys("unacked") == [second.delivery_tag.encode()]
    second.ack()
    assert channel.basic_get("letters") is None
    assert not fresh.redis.client.exists("unacked")


def test_a_consumer_without_acknowledgement_leaves_no_keys(fresh: Service, connection: Connection) -> None:
    publish(connection, LETTERS)
    receive(connection, LETTERS, no_ack=True)
    assert not fresh.redis.client.exists("unacked", "unacked_index")


@pytest.mark.slow
def test_celerys_inspect_leaves_no_keys(fresh: Service) -> None:
    fresh.env["LEASE_SECONDS"] = "3"
    fresh.start_worker()
    before = set(fresh.redis.client.keys())
    ping = subprocess.run(
        ["celery", "-A", "wsgi", "inspect", "ping"], env=fresh.env, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "pong" in ping.stdout
    time.sleep(8)  # longer than a message without an owner is left alone
    assert {key for key in set(fresh.redis.client.keys()) - before if b"reply" in key or b"unacked" in key} == set()


MANY_THREADS = """
from concurrent.futures import ThreadPoolExecutor
from wsgi import celery
import plain_tasks

celery.set_default()
with ThreadPoolExecutor(20) as threads:
    results = list(threads.map(lambda number: plain_tasks.total.delay(number, 1), range(40)))
    assert [each.get(timeout=60) for each in results] == list(range(1, 41))
    assert list(threads.map(lambda number: plain_tasks.total.delay(number, 2).get(timeout=60), range(40)))[-1] == 41
"""


@pytest.mark.slow
def test_many_threads_of_an_application_submit_plain_tasks_and_wait_for_them(fresh: Service) -> None:
    fresh.env["TASK_MODULES"] = "plain_tasks"
    fresh.start_worker()

    done = subprocess.run(
        [sys.executable, "-c", MANY_THREADS],
        env=fresh.env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]

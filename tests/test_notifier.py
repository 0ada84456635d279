"""The loop's own subscription: its use of redis-py, and what it does when Redis is unresponsive or down."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness import Redis

from server.settings import Settings
from server.store import Store
from server.web.gunicorn_worker.notifier import Notifier

ENDS = frozenset({"succeeded"})


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    yield server
    server.client.close()
    server.process.kill()


def run(redis: Redis, scenario: Callable[[Notifier, list[str]], Any]) -> None:
    """Run a scenario with a notifier; it gets the list to which its notifications are added."""
    store = Store(Settings(redis_url=redis.url))

    async def main() -> None:
        notifier = Notifier(asyncio.get_running_loop(), store.listening_connection, store.keys)
        await asyncio.wait_for(scenario(notifier, []), 20)
        notifier.stop()
        await asyncio.sleep(0)

    # A thread of its own, because Playwright keeps a loop running in the main one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, main()).result()
    store.redis.close()


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def channel(redis: Redis) -> str:
    """The channel of task 1, as the notifier has subscribed to it."""
    [name] = [name for name in redis.client.pubsub_channels("*") if name.endswith(b"1")]
    return str(name.decode())


def test_a_connection_shows_its_socket(redis: Redis) -> None:
    store = Store(Settings(redis_url=redis.url))
    connection = store.listening_connection()
    assert connection._sock.fileno() > 0 and connection.pack_command("PING")
    connection.disconnect()
    store.redis.close()


def test_a_subscription_receives_only_its_messages(redis: Redis) -> None:
    async def scenario(notifier: Notifier, heard: list[str]) -> None:
        subscription = notifier.subscribe("1", ENDS, lambda: heard.append("1"))
        await until(lambda: heard)  # it is confirmed
        name = channel(redis)
        redis.client.publish(name, "progress")
        redis.client.publish(name, "succeeded")
        # Redis may answer the publisher shortly before it writes to the subscriber.
        await until(lambda: notifier.in_sync("1") and len(heard) > 1)
        assert heard == ["1", "1"], "one of the two messages is subscribed"
        notifier.unsubscribe(subscription)
        assert not notifier.in_sync("1")

    run(redis, scenario)


def test_a_lost_connection_is_replaced_and_its_subscribers_are_called(redis: Redis) -> None:
    async def scenario(notifier: Notifier, heard: list[str]) -> None:
        notifier.subscribe("1", ENDS, lambda: heard.append("1"))
        await until(lambda: heard)
        redis.process.kill()
        await until(lambda: not notifier.in_sync("1"))
        redis.start()
        await until(lambda: len(heard) == 2)
        assert notifier.in_sync("1")

    run(redis, scenario)


def test_an_error_in_one_subscriber_does_not_affect_others(redis: Redis) -> None:
    async def scenario(notifier: Notifier, heard: list[str]) -> None:
        notifier.subscribe("1", ENDS, lambda: 1 / 0)
        notifier.subscribe("1", ENDS, lambda: heard.append("1"))
        await until(lambda: heard)
        assert notifier.in_sync("1")

    run(redis, scenario)

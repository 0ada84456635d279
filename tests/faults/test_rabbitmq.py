"""The same promises with RabbitMQ as broker: records are in Redis, and maintenance closes the gap."""

import os
import time
from collections.abc import Iterator
from signal import SIGCONT, SIGSTOP, SIGTERM

import pytest
from brokers import SERVER, RabbitMQ
from harness import Service
from kombu import Connection
from ledger import attempts, overlapping, starts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SERVER and not os.environ.get("CI"), reason="rabbitmq-server is not installed"),
]


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    broker = RabbitMQ(tmp_path_factory.mktemp("rabbit"))
    yield broker
    broker.stop()


@pytest.fixture
def fresh(fresh: Service, rabbit: RabbitMQ) -> Service:
    """A server whose broker is RabbitMQ, with an empty queue."""
    fresh.env["CELERY_BROKER_URL"] = rabbit.url
    with Connection(rabbit.url) as connection:
        channel = connection.default_channel
        channel.queue_declare("default", durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
        channel.queue_purge("default")
    return fresh


def test_tasks_run_on_a_quorum_queue_and_nothing_is_left(fresh: Service, rabbit: RabbitMQ) -> None:
    fresh.start(workers=1)
    accepted = [fresh.submit("ledgered") for _ in range(20)]
    for task_id in accepted:
        assert fresh.wait_for(task_id)["deliveries"] == 1
    assert fresh.wait_for(fresh.submit("flaky", failures=1))["retries"] == 1
    assert fresh.redis.client.zcard(fresh.keys.unpublished) == 0
    assert not fresh.redis.client.exists("unacked", "unacked_index")
    with Connection(rabbit.url) as connection:
        queue = connection.default_channel.queue_declare("default", passive=True)
        assert queue.message_count == 0


def test_a_killed_worker_and_a_killed_child_lose_nothing(fresh: Service) -> None:
    fresh.start(workers=2)
    accepted = [fresh.submit("beating", seconds=1) for _ in range(6)]
    fresh.wait_for(accepted[0], "running")
    fresh.workers[1].kill_one_child()
    fresh.workers[0].kill_main()
    for task_id in accepted:
        assert fresh.wait_for(task_id, seconds=60)["status"] == "succeeded"
    assert overlapping(fresh) == []
    assert set(attempts(fresh)) == set(accepted)


@pytest.mark.parametrize("how", ["killed", "silent"])
def test_a_broker_outage_delays_accepted_tasks_and_loses_none(fresh: Service, rabbit: RabbitMQ, how: str) -> None:
    """The queue is some seconds old: RabbitMQ itself forgets a quorum queue that it had no time to note."""
    time.sleep(6)
    fresh.start(workers=1)
    running = fresh.submit("ledgered", seconds=2)
    fresh.wait_for(running, "running")
    rabbit.kill() if how == "killed" else rabbit.process.signal_group(SIGSTOP)
    accepted = [fresh.submit("ledgered") for _ in range(5)]
    rabbit.start() if how == "killed" else rabbit.process.signal_group(SIGCONT)
    for task_id in (running, *accepted):
        assert fresh.wait_for(task_id, seconds=60)["status"] == "succeeded"
        assert starts(fresh, task_id) == 1
    assert fresh.workers[0].alive


def test_messages_that_the_broker_has_lost_are_published_again(fresh: Service, rabbit: RabbitMQ) -> None:
    fresh.start_web()
    accepted = [fresh.submit("ledgered") for _ in range(3)]
    with Connection(rabbit.url) as connection:
        assert connection.default_channel.queue_purge("default") == 3
    fresh.start_worker()
    for task_id in accepted:
        assert fresh.wait_for(task_id, seconds=60)["status"] == "succeeded"


def test_a_stopping_worker_returns_long_tasks(fresh: Service) -> None:
    fresh.start(workers=2)
    tasks = [fresh.submit("beating", seconds=6) for _ in range(2)]
    for task_id in tasks:
        fresh.wait_for(task_id, "running")
    fresh.workers[0].signal(SIGTERM)
    assert fresh.workers[0].wait(25) == 0
    for task_id in tasks:
        assert fresh.wait_for(task_id)["status"] == "succeeded"
    assert overlapping(fresh) == []
    assert all(int(fresh.redis.client.hget(fresh.keys.task(task_id), "c") or 0) == 0 for task_id in tasks)


def test_a_canceled_task_never_runs(fresh: Service) -> None:
    fresh.start_web()
    canceled = fresh.submit("ledgered")
    fresh.http.post(f"/tasks/{canceled}/cancel")
    fresh.start_worker()
    fresh.wait_for(fresh.submit("ledgered"))
    assert starts(fresh, canceled) == 0

"""A message is never lost between queue and worker."""

import time
from typing import Any

import pytest
from harness import Service
from kombu import Connection, Queue
from kombu.transport import redis as stock
from ledger import attempts, overlapping

from server.celery_app import transport

QUEUE = Queue("default", exchange=None, routing_key="default")


def _die_during_a_fetch(service: Service, transport_class: Any) -> tuple[int, int]:
    """Begin a fetch and exit when Redis has executed it; the numbers of queued and of recorded messages."""
    options = {"store": service.store} if transport_class is transport.Transport else {}
    with Connection(service.redis.url, transport=transport_class, transport_options=options) as connection:
        connection.Producer().publish({}, exchange="", routing_key="default", declare=[QUEUE])
        channel = connection.default_channel
        with connection.Consumer([QUEUE], callbacks=[lambda *_: None]):
            channel.connection.cycle._register_BRPOP(channel)
            time.sleep(0.2)
            channel._in_poll = None
            channel.client.connection.disconnect()
            return service.redis.client.llen("default"), service.redis.client.hlen("unacked")


def test_a_worker_killed_during_a_fetch_leaves_the_message_recorded_as_fetched(fresh: Service) -> None:
    assert _die_during_a_fetch(fresh, transport.Transport) == (0, 1)


def test_stock_kombu_loses_the_message(fresh: Service) -> None:
    assert _die_during_a_fetch(fresh, stock.Transport) == (0, 0)


def test_messages_of_all_queues_are_fetched_by_priority(fresh: Service) -> None:
    fetched: list[int] = []
    queues = [Queue(name, exchange=None, routing_key=name) for name in ("default", "other")]
    with Connection(
        fresh.redis.url,
        transport=transport.Transport,
        transport_options={"priority_steps": [0, 1, 2], "store": fresh.store},
    ) as c:
        for queue in queues:
            for priority in (9, 5, 0):
                c.Producer().publish(priority, exchange="", routing_key=queue.name, priority=priority, declare=[queue])
        with c.Consumer(queues, callbacks=[lambda body, _: fetched.append(body)]):
            while len(fetched) < 6:
                c.drain_events(timeout=5)
    assert fetched == [0, 0, 5, 5, 9, 9]


def test_messages_of_a_dead_worker_are_returned_in_their_order(fresh: Service) -> None:
    fresh.start_web()
    ids = [fresh.submit("ledgered") for _ in range(5)]
    client = fresh.redis.client
    for task_id in ids:  # what a fetch does, for a worker that has ended
        assert client.rpop("default")
        tag = f"{task_id}:abc"
        client.hset("unacked", tag, f'["{task_id}","","default"]')
        client.zadd("unacked_index", {tag: client.time()[0] - 60})
    fresh.start_worker(WORKER_CONCURRENCY="1")
    started = {task_id: fresh.wait_for(task_id)["started_at"] for task_id in ids}
    assert sorted(ids, key=started.__getitem__) == ids


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_no_task_is_lost_when_busy_workers_are_killed(fresh: Service, rounds: int) -> None:
    fresh.start(workers=1)
    accepted = []
    for _ in range(rounds):
        accepted += [fresh.submit("beating", seconds=0.02) for _ in range(30)]
        fresh.workers[-1].kill_main()
        fresh.start_worker()
    for task_id in accepted:
        assert fresh.wait_for(task_id, seconds=60)["status"] == "succeeded"
    assert set(attempts(fresh)) == set(accepted)
    assert overlapping(fresh) == []


def test_a_worker_continues_to_fetch_after_redis_lost_its_scripts(fresh: Service) -> None:
    fresh.start(workers=1)
    for _ in range(2):
        assert fresh.wait_for(fresh.submit("ledgered"))["status"] == "succeeded"
        fresh.redis.client.script_flush()
    sent = fresh.redis.client.info("commandstats")
    assert sent["cmdstat_evalsha"]["calls"] > sent["cmdstat_eval"]["calls"]

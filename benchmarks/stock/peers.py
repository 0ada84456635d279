"""The empty task in four other libraries, each as its documentation has it, with its own Redis broker.

A worker's command names the attribute with its library's part, which is created on first use, so that no worker imports
another's library. `python -c "from benchmarks.stock.peers import QUEUE; QUEUE['rq'](100)"` queues tasks.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any

URL = os.environ["REDIS_URL"]


def empty() -> None:
    """Do nothing at all, and succeed."""


def _rq(count: int) -> None:
    import redis  # noqa: PLC0415
    from rq import Queue  # noqa: PLC0415

    queue = Queue(connection=redis.Redis.from_url(URL))
    queue.enqueue_many([Queue.prepare_data(empty) for _ in range(count)])


def _dramatiq_actor() -> Any:
    import dramatiq  # noqa: PLC0415
    from dramatiq.brokers.redis import RedisBroker  # noqa: PLC0415

    dramatiq.set_broker(RedisBroker(url=URL))
    return dramatiq.actor(empty)


def _dramatiq(count: int) -> None:
    actor = _dramatiq_actor()
    for _ in range(count):
        actor.send()


def _taskiq_broker() -> Any:
    from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker  # noqa: PLC0415

    results: Any = RedisAsyncResultBackend(redis_url=URL)
    broker = RedisStreamBroker(url=URL, consumer_id="0").with_result_backend(results)
    broker.register_task(empty, task_name="empty")
    return broker


def _taskiq(count: int) -> None:
    async def queue() -> None:
        broker = _taskiq_broker()
        await broker.startup()
        task = broker.find_task("empty")
        for _ in range(count):
            await task.kiq()
        await broker.shutdown()

    asyncio.run(queue())


def _huey_task() -> Any:
    from huey import RedisHuey  # noqa: PLC0415

    return RedisHuey("peers", url=URL).task()(empty)


def _huey(count: int) -> None:
    task = _huey_task()
    for _ in range(count):
        task()


#: By the attribute that a worker's command names.
_WORKERS: dict[str, Callable[[], Any]] = {
    "dramatiq_actor": _dramatiq_actor,
    "taskiq_broker": _taskiq_broker,
    "huey": lambda: _huey_task().huey,
}
QUEUE = {"rq": _rq, "dramatiq": _dramatiq, "taskiq": _taskiq, "huey": _huey}


def __getattr__(name: str) -> Any:
    """Create what a worker asks for on first use."""
    if name not in _WORKERS:
        raise AttributeError(name)
    globals()[name] = _WORKERS[name]()
    return globals()[name]

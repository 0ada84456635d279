"""The store alone, on a Valkey: work that must not grow with owners, keys or inputs, and maintenance that keeps up."""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from harness import Redis

from benchmarks.speed.figures import Topic, at_most
from benchmarks.speed.plan import Plan
from benchmarks.speed.progress import say
from server import tasks
from server.sdk.registry import definition
from server.services.publish import store_and_publish
from server.services.submit import Submission
from server.settings import Settings
from server.store import Store, ids
from server.store.api_keys import ApiKeys, Role, fingerprint
from server.store.listing import Filter
from server.store.record import Status, Throttle
from server.store.submit import SubmitRequest

#: Calls of which one figure is the median.
_CALLS = 50

#: Tasks of the figures in bytes, and those that are due together.
_SMALL_TASKS, _DUE = 5_000, 10_000


def store(plan: Plan) -> list[Topic]:
    """Measure each size in a store of its own."""
    latency = Topic("Store: growth with owners, keys and inputs", "ms")
    owners = (10, 1_000, 5_000) if plan.rounds > 1 else (10, 100)
    for count in owners:
        say("Store", owners.index(count) + 1, len(owners), f"{count:,} owners")
        _by_owners(latency, plan, count)
    _by_keys(latency, plan)
    _by_input(latency, plan)
    for what in ("list of everyone's tasks", "count of everyone's tasks", "claim with max_running", "404"):
        few, many = (latency.median(f"{what}, {count:,} owners") for count in (owners[0], owners[-1]))
        latency.findings.append(at_most(1.1, many / few, f"{what}: {owners[-1]:,} owners compared with {owners[0]}"))
    keys = (latency.median(f"first use of a key, {count:,} keys") for count in (10_000, 10))
    latency.findings.append(at_most(1.1, next(keys) / next(keys), "first use of a key: 10,000 keys compared with 10"))
    return [latency, _maintenance(plan), _bytes(plan)]


@contextmanager
def _store() -> Iterator[Store]:
    folder = Path(tempfile.mkdtemp())
    redis = Redis(folder)
    made = Store(Settings(redis_url=redis.url, max_waiting_per_owner=10**6, max_waiting_per_queue=10**6))
    tasks.load(made.settings)
    try:
        yield made
    finally:
        made.redis.close()
        redis.client.close()
        redis.process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _submit(made: Store, count: int, owner: str = "alice") -> list[str]:
    kind = definition("divide")
    given = kind.validate_json(b'{"x": 355, "y": 113}')
    new = [Submission(made, kind, owner, "0123456789abcdef").prepare(given) for _ in range(count)]
    for start in range(0, count, 500):
        store_and_publish(made, SubmitRequest(owner, new[start : start + 500]))
    return [task.id for task in new]


def _median(act: Callable[[], object]) -> float:
    act()
    times = []
    for _ in range(_CALLS):
        began = time.perf_counter()
        act()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def _by_owners(topic: Topic, plan: Plan, count: int) -> None:
    with _store() as made:
        for number in range(count):
            _submit(made, max(2, 100 // count), f"owner-{number}")  # a full page in any case
        gone = ids.new("owner-1", made.secret, made.clock.now_ns())
        acts: dict[str, Callable[[], object]] = {
            "list of everyone's tasks": lambda: made.listing.page(Filter(None), 50),
            "count of everyone's tasks": lambda: made.listing.count(Filter(None)),
            "claim with max_running": lambda: made.tasks.claim(_submit(made, 1)[0], "w/1", Throttle(max_running=10**6)),
            "404": lambda: ids.issued(gone, None, made.secret) and made.tasks.get(gone),
        }
        for _ in range(plan.rounds):
            for what, act in acts.items():
                topic.add(f"{what}, {count:,} owners", _median(act))


def _by_keys(topic: Topic, plan: Plan) -> None:
    for count in (10, 10_000):
        with _store() as made:
            with made.redis.pipeline() as pipe:
                for number in range(count):
                    pipe.hset(made.keys.api_keys, fingerprint(f"{number}"), "{}")
                pipe.execute()
            key = made.api_keys.create("alice", Role.SUBMIT)
            for _ in range(plan.rounds):
                topic.add(f"first use of a key, {count:,} keys", _median(partial(_found, made, key)))


def _found(made: Store, key: str) -> object:
    """A lookup by a process that has not met the key."""
    return ApiKeys(made.redis, made.settings, made.clock).find(key)


def _by_input(topic: Topic, plan: Plan) -> None:
    for size in (20, 2**20):
        with _store() as made:
            [task_id] = _submit(made, 1)
            made.redis.hdel(made.keys.task(task_id), "i")
            made.redis.set(made.keys.input(task_id), b"x" * size)
            for _ in range(plan.rounds):
                topic.add(f"status, {size:,} bytes of input", _median(partial(made.tasks.get_with_position, task_id)))


def _maintenance(plan: Plan) -> Topic:
    topic = Topic(f"Store: {_DUE:,} tasks at the same moment", "s")
    with _store() as made:
        for _ in range(plan.rounds):
            task_ids = _submit(made, _DUE)
            score = dict.fromkeys(task_ids, 1)
            with made.redis.pipeline() as pipe:  # as if each had been scheduled
                for task_id in task_ids:
                    pipe.hset(made.keys.task(task_id), "s", "scheduled")
                    pipe.zrem(made.keys.queued("default"), task_id)
                pipe.delete("default").zadd(made.keys.due, score).execute()
            topic.add("due together", _drained(lambda: made.leases.enqueue_due(200)))
            made.redis.zadd(made.keys.deadlines, score)
            topic.add("past their deadline together", _drained(lambda: made.leases.cancel_overdue(200)))
            made.redis.zadd(made.keys.expiry, score)
            topic.add("expired together", _drained(lambda: made.leases.delete_expired(200)))
    topic.findings.append(at_most(2, topic.median("due together"), "until all are queued", unit="s"))
    return topic


def _drained(batch: Callable[[], int]) -> float:
    began = time.perf_counter()
    while batch() == 200:
        pass
    return time.perf_counter() - began


def _bytes(plan: Plan) -> Topic:
    topic = Topic("Store: memory of Redis for a small task", "bytes")
    for _ in range(plan.rounds):
        with _store() as made:
            _submit(made, 500)
            before = made.redis.info("memory")["used_memory"]
            task_ids = _submit(made, _SMALL_TASKS)
            topic.add("queued", (made.redis.info("memory")["used_memory"] - before) / _SMALL_TASKS)
            for task_id in task_ids:
                made.tasks.claim(task_id, "abcdef01/12345678")
                made.tasks.finish(task_id, "abcdef01/12345678", Status.SUCCEEDED, r=b"3.1415929203539825")
            made.redis.delete("default")
            topic.add("finished", (made.redis.info("memory")["used_memory"] - before) / _SMALL_TASKS)
    why = "Each task is in an index of everyone's tasks and in one of its owner's, at 108 bytes an entry."
    for status in ("queued", "finished"):
        topic.findings.append(at_most(500, topic.median(status), status, why, unit="bytes"))
    return topic

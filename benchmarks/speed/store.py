"""The store alone, on a Valkey: work that must not grow with owners, keys or inputs, and maintenance that keeps up."""

import itertools
import os
import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from harness import Redis

from benchmarks.speed.plan import Plan
from benchmarks.speed.progress import say
from benchmarks.speed.ratios import Topic, maximum
from server import tasks
from server.sdk.registry import definition
from server.services.submit import Submission, store_and_publish
from server.settings import Settings
from server.store import Store, ids
from server.store.api_keys import ApiKeys, Role, fingerprint
from server.store.connection import connect
from server.store.leases import Throttle
from server.store.listing import Filter
from server.store.lua import source
from server.store.record import Status, limit_scope
from server.store.submit import SubmitRequest

#: Calls of which one figure is the median.
_CALLS = 50

#: Tasks of the figures in bytes, and those that are due together.
_SMALL_TASKS, _DUE = 5_000, 10_000


def store(plan: Plan) -> list[Topic]:
    """Measure each size in a store of its own, in turns."""
    cores = os.sched_getaffinity(0)
    # On one core: a round trip to a Valkey on another takes up to twice the time, whatever the request.
    os.sched_setaffinity(0, {min(cores)})
    try:
        return [_growth(plan), _maintenance(plan), _bytes(plan)]
    finally:
        os.sched_setaffinity(0, cores)


def _growth(plan: Plan) -> Topic:
    latency = Topic("Store: growth with owners, keys and inputs", "ms")
    owners = (10, 1_000, 5_000) if plan.rounds > 1 else (10, 100)
    _by_owners(latency, plan, owners)
    waiting = (1, 100, 10_000) if plan.rounds > 1 else (1, 100)
    _by_owners_in_line(latency, plan, waiting)
    _by_keys(latency, plan)
    values = (10, 10_000) if plan.rounds > 1 else (10, 100)
    _by_values(latency, plan, values)
    _by_input(latency, plan)
    for action in _ACTS:
        many, few = (f"{action}, {count:,} owners" for count in (owners[-1], owners[0]))
        goal = f"{action}: {owners[-1]:,} owners compared with {owners[0]}"
        latency.findings.append(maximum(1.1, latency.ratio(many, few), goal))
    for action in _STEPS:
        many, few = (f"{action}, {count:,} owners waiting" for count in (waiting[-1], waiting[0]))
        goal = f"{action}: {waiting[-1]:,} owners waiting compared with {waiting[0]}"
        latency.findings.append(maximum(1.1, latency.ratio(many, few), goal))
    many, few = (f"claim with limit_by, {count:,} values" for count in reversed(values))
    goal = f"claim with limit_by: {values[-1]:,} values compared with {values[0]}"
    latency.findings.append(maximum(1.1, latency.ratio(many, few), goal))
    many, few = (f"first use of a key, {count:,} keys" for count in (10_000, 10))
    goal = "first use of a key: 10,000 keys compared with 10"
    latency.findings.append(maximum(1.1, latency.ratio(many, few), goal))
    return latency


@contextmanager
def _store() -> Iterator[Store]:
    folder = Path(tempfile.mkdtemp())
    redis = Redis(folder)
    store = Store(Settings(redis_url=redis.url, max_waiting_per_owner=10**6, max_waiting_per_queue=10**6))
    tasks.load(store.settings)
    store.redis = connect(store.settings, timeout=60)  # the disk may be busy with another part's append-only file
    try:
        yield store
    finally:
        store.redis.close()
        redis.client.close()
        redis.process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _submit(store: Store, count: int, owner: str = "alice") -> list[str]:
    task_type = definition("divide")
    parameters = task_type.validate_json(b'{"x": 355, "y": 113}')
    new = [Submission(store, task_type, owner, "0123456789abcdef").prepare(parameters) for _ in range(count)]
    for start in range(0, count, 500):
        store_and_publish(store, SubmitRequest(owner, new[start : start + 500]))
    return [task.id for task in new]


def _in_turns(topic: Topic, plan: Plan, acts: dict[str, Callable[[], object]]) -> None:
    """Add a median of each act's times in each round; the acts take turns, call by call."""
    for _ in range(plan.rounds):
        times: dict[str, list[float]] = {name: [] for name in acts}
        for _ in range(_CALLS):
            for name, act in acts.items():
                began = time.perf_counter()
                act()
                times[name].append((time.perf_counter() - began) * 1000)
        for name, durations in times.items():
            topic.add(name, statistics.median(durations))


def _list(store: Store) -> object:
    return store.listing.page(Filter(None), 50)


def _count(store: Store) -> object:
    return store.listing.count(Filter(None))


def _claim(store: Store) -> object:
    return store.tasks.claim(_submit(store, 1)[0], "w/1", Throttle(max_running=10**6))


def _miss(store: Store) -> object:
    gone = ids.new("owner-1", store.secret, store.clock.now_ns())
    return ids.issued(gone, None, store.secret) and store.tasks.get(gone)


_ACTS: dict[str, Callable[[Store], object]] = {
    "list of everyone's tasks": _list,
    "count of everyone's tasks": _count,
    "claim with max_running": _claim,
    "404": _miss,
}


def _by_owners(topic: Topic, plan: Plan, owners: Sequence[int]) -> None:
    with ExitStack() as stack:
        stores = {}
        for count in owners:
            say("Store", len(stores) + 1, len(owners), f"{count:,} owners")
            stores[count] = stack.enter_context(_store())
            for number in range(count):
                _submit(stores[count], max(2, 100 // count), f"owner-{number}")  # a full page in any case
        time.sleep(2)  # until all that was submitted is in the append-only files
        for action, act in _ACTS.items():
            _in_turns(topic, plan, {f"{action}, {n:,} owners": partial(act, store) for n, store in stores.items()})


def _fetch(store: Store) -> object:
    script = source("fetch_message", store.settings)
    return store.redis.eval(script, 0, secrets.token_hex(4), "default", "high", "default", "normal", "default", "low")


_STEPS: dict[str, Callable[[Store], object]] = {"submit": lambda store: _submit(store, 1, "new"), "fetch": _fetch}


def _by_owners_in_line(topic: Topic, plan: Plan, owners: Sequence[int]) -> None:
    """The same 10,000 tasks, of one owner or of as many; fewer in the short form."""
    with ExitStack() as stack:
        stores = {}
        for count in owners:
            say("Store", len(stores) + 1, len(owners), f"{count:,} owners waiting")
            stores[count] = stack.enter_context(_store())
            for number in range(count):
                _submit(stores[count], max(owners) // count, f"owner-{number}")
        time.sleep(2)
        for action, step in _STEPS.items():
            _in_turns(
                topic, plan, {f"{action}, {n:,} owners waiting": partial(step, store) for n, store in stores.items()}
            )


def _by_keys(topic: Topic, plan: Plan) -> None:
    acts: dict[str, Callable[[], object]] = {}
    with ExitStack() as stack:
        for count in (10, 10_000):
            store = stack.enter_context(_store())
            with store.redis.pipeline() as pipe:
                for number in range(count):
                    pipe.hset(store.keys.api_keys, fingerprint(f"{number}"), "{}")
                pipe.execute()
            acts[f"first use of a key, {count:,} keys"] = partial(
                _find_key, store, store.api_keys.create("alice", Role.SUBMIT)
            )
        _in_turns(topic, plan, acts)


def _find_key(store: Store, key: str) -> object:
    """A lookup by a process that has not met the key."""
    return ApiKeys(store.redis, store.settings, store.clock).find(key)


def _by_values(topic: Topic, plan: Plan, counts: Sequence[int]) -> None:
    """The same tasks, with few values or many: each has a running task, and the others are over its limit."""
    with ExitStack() as stack:
        acts: dict[str, Callable[[], object]] = {}
        for count in counts:
            say("Store", len(acts) + 1, len(counts), f"{count:,} values")
            store = stack.enter_context(_store())
            for number in range(2 * max(counts)):
                _claim_with(store, number % count)
            acts[f"claim with limit_by, {count:,} values"] = partial(_claim_next, store, itertools.count(count))
        time.sleep(2)
        _in_turns(topic, plan, acts)


def _claim_next(store: Store, values: Iterator[int]) -> object:
    return _claim_with(store, next(values))


def _claim_with(store: Store, value: int) -> object:
    task_type = definition("divide")
    task = Submission(store, task_type, "alice").prepare(task_type.validate_json(b'{"x": 355, "y": 113}'))
    task.limit_scope = limit_scope([value])
    store_and_publish(store, SubmitRequest("alice", [task]))
    return store.tasks.claim(task.id, "w/1", Throttle(max_running=1, by="x"))


def _by_input(topic: Topic, plan: Plan) -> None:
    with _store() as store:
        acts: dict[str, Callable[[], object]] = {}
        for size, task_id in zip((20, 2**20), _submit(store, 2), strict=True):
            store.redis.hdel(store.keys.task(task_id), "i")
            store.redis.set(store.keys.input(task_id), b"x" * size)
            acts[f"status, {size:,} bytes of input"] = partial(store.tasks.get_with_position, task_id)
        _in_turns(topic, plan, acts)


def _maintenance(plan: Plan) -> Topic:
    topic = Topic(f"Store: {_DUE:,} tasks at the same moment", "s")
    with _store() as store:
        for _ in range(plan.rounds):
            task_ids = _submit(store, _DUE)
            score = dict.fromkeys(task_ids, 1)
            with store.redis.pipeline() as pipe:  # as if each had been scheduled
                for task_id in task_ids:
                    pipe.hset(store.keys.task(task_id), "s", "scheduled")
                    pipe.zrem(store.keys.queued("default"), task_id).zrem(store.keys.turns("default"), task_id)
                pipe.delete("default").zadd(store.keys.due, score).execute()
            topic.add("due together", _drained(lambda: store.leases.enqueue_due(200)))
            store.redis.zadd(store.keys.deadlines, score)
            topic.add("past their deadline together", _drained(lambda: store.leases.cancel_overdue(200)))
            store.redis.zadd(store.keys.expiry, score)
            topic.add("expired together", _drained(lambda: store.leases.delete_expired(200)))
    topic.findings.append(maximum(2, topic.median("due together"), "until all are queued", unit="s"))
    return topic


def _drained(batch: Callable[[], int]) -> float:
    began = time.perf_counter()
    while batch() == 200:
        pass
    return time.perf_counter() - began


def _bytes(plan: Plan) -> Topic:
    topic = Topic("Store: memory of Redis for a small task", "bytes")
    for _ in range(plan.rounds):
        with _store() as store:
            _submit(store, 500)
            before = store.redis.info("memory")["used_memory"]
            task_ids = _submit(store, _SMALL_TASKS)
            topic.add("queued", (store.redis.info("memory")["used_memory"] - before) / _SMALL_TASKS)
            for task_id in task_ids:
                store.tasks.claim(task_id, "abcdef01/12345678")
                store.tasks.finish(task_id, "abcdef01/12345678", Status.SUCCEEDED, r=b"3.1415929203539825")
            store.redis.delete("default")
            topic.add("finished", (store.redis.info("memory")["used_memory"] - before) / _SMALL_TASKS)
    reason = "Two indexes and two orders of the queue (one by expiry, once it has ended) take 110 bytes an entry."
    for status in ("queued", "finished"):
        topic.findings.append(maximum(500, topic.median(status), status, reason, unit="bytes"))
    return topic

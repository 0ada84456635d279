"""Latency with many records and with a long queue, compared with an empty server."""

import json
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from redis.commands.core import Script

from benchmarks.speed.plan import Plan
from benchmarks.speed.progress import say
from benchmarks.speed.ratios import Topic, maximum
from benchmarks.speed.sides import DIVIDE, Ours
from server.store.lua import source

_DEPTH = 100_000

#: Requests to one server before the other gets its turn.
_SLICE = 20


_REASON = (
    "The embedded Valkey allocates with libc, which takes longer the larger its heap is, and most of the time of a "
    "script is the allocation of its words. Redis with jemalloc, as providers run it, grows less."
)


def growth(plan: Plan) -> list[Topic]:
    """Compare each size with a server that has one record, in turns."""
    topic = Topic("Growth: latency compared with one record", "ratio of medians")
    depth = min(_DEPTH, plan.records[-1])
    cases = [(f"{count:,} finished records", count, 0) for count in plan.records]
    cases += [(f"{depth:,} queued", 0, depth)]
    for done, (name, finished, queued) in enumerate(cases):
        say("Growth", done + 1, len(cases), name)
        _compare(plan, topic, name, finished, queued)
    topic.findings = [
        maximum(1.1, statistics.median(values), name, _REASON) for name, values in topic.series.items() if "(" in name
    ]
    return [topic]


def _compare(plan: Plan, topic: Topic, name: str, finished: int, queued: int) -> None:
    with ExitStack() as stack:
        small, large = (stack.enter_context(Ours(WEB_CONCURRENCY="1")) for _ in range(2))
        for side in (small, large):
            side.start_web()
            fill(side, 1)
        fill(large, finished)
        if queued:
            _submit_many(large, queued)
        for request, send in {"submit": _submit, "status": _status}.items():
            for _ in range(plan.rounds * 5):
                one, many = send(small), send(large)
                topic.add(f"{request} ({name})", many / one)


def _submit(side: Ours) -> float:
    """Median milliseconds of a slice of submits."""
    return _median(lambda: side.http.post(DIVIDE.path, content=DIVIDE.body, headers=_JSON).raise_for_status())


def _status(side: Ours) -> float:
    """Median milliseconds of first polls, which read the record, for the last tasks in the queue."""
    task_ids = iter(_submit_many(side, _SLICE))
    return _median(lambda: side.http.get(f"/tasks/{next(task_ids)}").raise_for_status())


_JSON = {"Content-Type": "application/json"}


def _median(send: Callable[[], object]) -> float:
    times = []
    for _ in range(_SLICE):
        began = time.perf_counter()
        send()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def _submit_many(side: Ours, count: int) -> list[str]:
    task_ids: list[str] = []
    item = {"task": "divide", "input": json.loads(DIVIDE.body or b"")}
    while len(task_ids) < count:
        body = {"items": [item] * min(1000, count - len(task_ids))}
        answer = side.http.post("/batches", json=body)
        if answer.status_code == 202:  # otherwise a 503, if the machine is busy
            task_ids += [each["task_id"] for each in answer.json()["items"]]
    return task_ids


def fill(side: Ours, count: int) -> None:
    """Create `count` succeeded tasks: submit them as a client does, end them with the worker's scripts."""
    redis: Any = side.redis.client
    claim, finish = (Script(redis, source(f"{name}_task", side.store.settings)) for name in ("claim", "finish"))
    for start in range(0, count, 1000):
        task_ids = _submit_many(side, min(1000, count - start))
        for first in range(0, len(task_ids), 100):  # more would outlast the client's time-out on a busy machine
            with redis.pipeline(transaction=False) as pipe:
                for task_id in task_ids[first : first + 100]:
                    claim(args=[task_id, "bench/1", 30_000, 0, 0, ""], client=pipe)
                    finish(args=[task_id, "bench/1", "succeeded", "r", "3.1415929203539825"], client=pipe)
                pipe.execute()
        redis.delete("default")

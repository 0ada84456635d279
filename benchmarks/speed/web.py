"""Submits, polls and batches: rates, and CPU of the web processes."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import httpx
from harness import eventually

from benchmarks.speed.load import Request
from benchmarks.speed.plan import Plan
from benchmarks.speed.progress import say
from benchmarks.speed.ratios import Topic, maximum, minimum
from benchmarks.speed.sides import DIVIDE, FastAPI, Flower, Ours, Side, Tutorial

HELLO = Request("/health/live")
_HELLO_NOTE = (
    "The hello-world route is `GET /health/live`, the smallest route of this server: the event loop "
    "answers it with a request id, an ETag and a log line, without Redis."
)
_NOTES = [
    "wrk keeps 16 connections busy. Gunicorn's sync workers close each connection after its answer, which is part of "
    "the tutorial's figure.",
    "Two web processes each (Flower has one). No worker runs, so that nothing else uses the CPU.",
]


def web(plan: Plan) -> list[Topic]:
    """Run the benchmarks of submits, polls and batches."""
    with ExitStack() as stack:
        sides = [stack.enter_context(server()) for server in (Ours, Tutorial, FastAPI, Flower)]
        for side in sides:
            side.start_web()
        return [_submits(plan, sides), *_polls(plan, sides), _query(plan, sides[0]), _batches(plan, sides[0])]


@dataclass(slots=True)
class _Cost:
    """The cost of a topic's requests, in milliseconds each."""

    web: Topic = field(default_factory=lambda: Topic("", ""))
    redis: Topic = field(default_factory=lambda: Topic("", ""))
    p99: Topic = field(default_factory=lambda: Topic("", ""))


def _rates(plan: Plan, topic: Topic, cost: _Cost, runs: dict[str, tuple[Side, Request]]) -> None:
    for number in range(plan.rounds):
        for done, (name, (side, request)) in enumerate(runs.items()):
            say(topic.title, number * len(runs) + done + 1, plan.rounds * len(runs), name)
            web, redis = side.web_cpu(), side.redis_cpu()
            load = side.load(request, plan.seconds)
            if load.refused:
                raise RuntimeError(f"{name}: {load.refused} of {load.requests} requests were refused")
            topic.add(name, load.rate)
            cost.web.add(name, (side.web_cpu() - web) / load.requests * 1000)
            cost.redis.add(name, (side.redis_cpu() - redis) / load.requests * 1000)
            cost.p99.add(name, load.p99_ms)


def _submits(plan: Plan, sides: list[Side]) -> Topic:
    ours, *others = sides
    topic = Topic("Submits", "a second", notes=[*_NOTES, _HELLO_NOTE])
    cost = _Cost()
    runs = {side.name: (side, side.submit) for side in sides} | {"hello-world": (ours, HELLO)}
    _rates(plan, topic, cost, runs)
    for side in sides:
        side.forget_all()
    name, tutorial = ours.name, others[0].name
    reason = (
        "One thread validates and stores all submits that arrive together, by one script. What is left is that script, "
        "the id, the record, the answer and the log line of each, and two system calls."
    )
    topic.findings = [
        minimum(5, topic.ratio(name, tutorial), "the tutorial's Flask", reason),
        maximum(0.5, cost.p99.ratio(name, tutorial), "the tutorial's 99th percentile under 16 connections", reason),
        maximum(0.25, cost.web.median(name) + cost.redis.median(name), "of CPU, web and Redis together", reason, "ms"),
    ]
    topic.notes += [_p99_note(cost.p99), _cpu_note(cost.web)]
    return topic


def _p99_note(p99: Topic) -> str:
    return f"99th percentiles in milliseconds: {', '.join(f'{name} {p99.median(name):.1f}' for name in p99.series)}."


def _cpu_note(cpu: Topic) -> str:
    """CPU per request, which other load on the machine affects least."""
    each = ", ".join(f"{name} {cpu.median(name):.2f}" for name in cpu.series)
    ours, tutorial = list(cpu.series)[:2]
    return (
        f"Milliseconds of the web processes' CPU per request: {each}. By CPU, this server handles "
        f"{cpu.ratio(tutorial, ours)} the tutorial's requests and {cpu.ratio('hello-world', ours)} hello-world's."
    )


def _polls(plan: Plan, sides: list[Side]) -> list[Topic]:
    pending = _of_status(plan, sides, "Status polls, task not done", _submitted)
    for side in sides:
        side.launch_worker()
    done = _of_status(plan, sides, "Status polls, task done", _ended)
    for side in sides:
        side.workers.pop().kill()
        side.forget_all()
    return [pending, done]


def _of_status(plan: Plan, sides: list[Side], title: str, make: Callable[[Side], Request]) -> Topic:
    ours = sides[0]
    topic, cost = Topic(title, "a second"), _Cost()
    runs = {side.name: (side, make(side)) for side in sides}
    poll = runs[ours.name][1]
    etag = ours.http.get(poll.path).headers["ETag"]
    again = Request(poll.path, headers=(f"If-None-Match: {etag}",))
    result, read = Request(f"{poll.path}/result"), Request(f"{poll.path}/input")
    others = {_AGAIN: again, _RESULT: result, _READ: read, "hello-world": HELLO}
    _rates(plan, topic, cost, runs | {name: (ours, request) for name, request in others.items()})
    name = ours.name
    topic.findings = [
        minimum(10, topic.ratio(name, sides[1].name), "the tutorial's Flask", _REASON_STOCK_POLL),
        minimum(10, topic.ratio(_AGAIN, sides[1].name), "the tutorial's Flask, with a 304", _REASON_STOCK_POLL),
        minimum(1.8, topic.ratio(_RESULT, sides[1].name), "the tutorial's Flask, `GET …/result`", _REASON_READ),
        minimum(1.8, topic.ratio(_READ, sides[1].name), "the tutorial's Flask, a route through Flask", _REASON_READ),
    ]
    topic.notes += [_POLL_NOTE, _cpu_note(cost.web)]
    return topic


_AGAIN, _RESULT, _READ = (f"this server, {route}" for route in ("304", "result", "through Flask"))
_POLL_NOTE = (
    "Every poll of a run asks for the same task, which this server's web processes answer from memory until a change "
    f'arrives. "{_READ}" is `GET …/input` of that task, which Flask answers in a thread and reads from Redis.'
)
_REASON_STOCK_POLL = (
    "The event loop answers a known poll from memory. What is left is reading the request, the log line and asyncio."
)

_REASON_READ = "Flask answers it in a thread and reads the record: it costs about what a route of Flask costs."


def _submitted(side: Side) -> Request:
    body = httpx.post(side.url + side.submit.path, content=side.submit.body, headers=_JSON, timeout=30).json()
    if isinstance(side, Flower):
        return Request(f"/api/task/result/{body['task-id']}")
    return Request(f"/tasks/{body['task_id']}")


_JSON = {"Content-Type": "application/json"}


def _ended(side: Side) -> Request:
    request = _submitted(side)

    def ended() -> bool:
        text = side.http.get(request.path).text
        return any(word in text for word in ('"done":true', '"ready":true', '"state": "SUCCESS"'))

    eventually(ended, seconds=60, every=0.2)
    return request


def _query(plan: Plan, side: Side) -> Topic:
    """Compare one request for the status of 500 tasks with the first poll of each of them."""
    topic = Topic("The status of 500 tasks in one request", "times the CPU of a first poll, web and Redis together")
    for number in range(plan.rounds):
        say(topic.title, number + 1, plan.rounds)
        items = [{"task": "divide", "input": json.loads(DIVIDE.body or b"")}] * 500
        batch = side.http.post("/batches", json={"items": items}).raise_for_status().json()
        task_ids = [item["task_id"] for item in batch["items"]]
        before = side.web_cpu() + side.redis_cpu()
        for task_id in task_ids:
            side.http.get(f"/tasks/{task_id}").raise_for_status()
        between = side.web_cpu() + side.redis_cpu()
        queries = side.load(Request("/tasks/query", json.dumps({"task_ids": task_ids}).encode()), plan.seconds, 2)
        after = side.web_cpu() + side.redis_cpu()
        topic.add("500 tasks", (after - between) / queries.requests / (between - before) * len(task_ids))
        side.forget_all()
    topic.findings = [maximum(10, topic.median("500 tasks"), "first polls", _REASON_QUERY)]
    return topic


_REASON_QUERY = "A script reads 500 records, and each of them is written: 5 µs in Redis, 7 in Python."


def _batches(plan: Plan, side: Side) -> Topic:
    """Measure batches per second of CPU, because the goal is for one core."""
    topic = Topic("Batches of 1,000", "tasks accepted a second of CPU")
    items = [{"task": "divide", "input": json.loads(DIVIDE.body or b"")}] * 1000
    batch = Request("/batches", json.dumps({"items": items}).encode())
    for number in range(plan.rounds):
        say(topic.title, number + 1, plan.rounds)
        web, redis = side.web_cpu(), side.redis_cpu()
        tasks = 1000 * side.load(batch, plan.seconds, connections=2).requests
        web, redis = side.web_cpu() - web, side.redis_cpu() - redis
        topic.add("by the web processes' CPU", tasks / web)
        topic.add("by the web processes' and Redis's", tasks / (web + redis))
        side.forget_all()
    both = topic.median("by the web processes' and Redis's")
    goal = minimum(15_000, both, "of web and Redis CPU", _REASON_BATCH, "a second")
    topic.findings = [goal]
    return topic


_REASON_BATCH = "Each item is validated, and gets an id with a keyed hash, a record and a message."

"""Submits, polls and batches: rates, and CPU of the web processes."""

import json
from collections.abc import Callable
from contextlib import ExitStack

import httpx
from harness import eventually

from benchmarks.speed.figures import Topic, at_least
from benchmarks.speed.load import Request
from benchmarks.speed.plan import Plan
from benchmarks.speed.progress import say
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
        sides = [stack.enter_context(kind()) for kind in (Ours, Tutorial, FastAPI, Flower)]
        for side in sides:
            side.start_web()
        return [_submits(plan, sides), *_polls(plan, sides), _batches(plan, sides[0])]


def _rates(plan: Plan, topic: Topic, cpu: Topic, runs: dict[str, tuple[Side, Request]]) -> None:
    for number in range(plan.rounds):
        for done, (name, (side, request)) in enumerate(runs.items()):
            say(topic.title, number * len(runs) + done + 1, plan.rounds * len(runs), name)
            before = side.web_cpu()
            load = side.load(request, plan.seconds)
            if load.refused:
                raise RuntimeError(f"{name}: {load.refused} of {load.requests} requests were refused")
            topic.add(name, load.rate)
            cpu.add(name, (side.web_cpu() - before) / load.requests * 1000)


def _submits(plan: Plan, sides: list[Side]) -> Topic:
    ours, *others = sides
    topic = Topic("Submits", "a second", notes=[*_NOTES, _HELLO_NOTE])
    cpu = Topic("", "")
    runs = {side.name: (side, side.submit) for side in sides} | {"hello-world": (ours, HELLO)}
    _rates(plan, topic, cpu, runs)
    for side in sides:
        side.forget_all()
    name, tutorial = ours.name, others[0].name
    why = (
        "One thread validates and stores all submits that arrive together, by one script. What is left is that script, "
        "and the id, the record and the answer of each."
    )
    topic.findings = [
        at_least(5, topic.ratio(name, tutorial), "the tutorial's Flask", why),
    ]
    topic.notes.append(_cpu_note(cpu))
    return topic


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
    topic, cpu = Topic(title, "a second"), Topic("", "")
    runs = {side.name: (side, make(side)) for side in sides}
    poll = runs[ours.name][1]
    etag = ours.http.get(poll.path).headers["ETag"]
    again = Request(poll.path, headers=(f"If-None-Match: {etag}",))
    read = Request(f"{poll.path}/result")
    others = {"this server, 304": again, _READ: read, "hello-world": HELLO}
    _rates(plan, topic, cpu, runs | {name: (ours, request) for name, request in others.items()})
    name = ours.name
    topic.findings = [
        at_least(10, topic.ratio(name, sides[1].name), "the tutorial's Flask", _WHY_STOCK_POLL),
        at_least(1, topic.ratio("this server, 304", name), "a full answer's rate with a 304"),
    ]
    topic.notes += [_POLL_NOTE, _cpu_note(cpu)]
    return topic


_READ = "this server, read"
_POLL_NOTE = (
    "Every poll of a run asks for the same task, which this server's web processes answer from memory until a change "
    f'arrives. "{_READ}" is `GET …/result` of that task, which reads Redis each time. So does the tutorial.'
)
_WHY_STOCK_POLL = (
    "The event loop answers a known poll from memory. What is left is reading the request, the log line and asyncio."
)


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
    goal = at_least(10_000, topic.median("by the web processes' CPU"), "", _WHY_BATCH, "a second and core")
    topic.findings = [goal]
    return topic


_WHY_BATCH = "Each item is validated, and gets an id with a keyed hash, a record and a message."

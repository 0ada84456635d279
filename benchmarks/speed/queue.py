"""Tasks through a worker: how many it drains, and how soon a client knows."""

import statistics
import time
from contextlib import ExitStack

from harness import eventually

from benchmarks.speed import proc
from benchmarks.speed.plan import Plan
from benchmarks.speed.progress import say
from benchmarks.speed.ratios import Topic, maximum, minimum, percentile
from benchmarks.speed.sides import EMPTY, Ours, Side, Tutorial

#: Seconds between two polls; a tutorial's client polls less often, and so sees the end later.
_POLL = 0.01


def queue(plan: Plan) -> list[Topic]:
    """Measure empty tasks, tasks of 100 ms, and one task at a time."""
    with ExitStack() as stack:
        ours = stack.enter_context(Ours())
        stock = stack.enter_context(Tutorial(LATE_ACKS="1"))
        for side in (ours, stock):
            side.start_web()
        return [_drained(plan, ours, stock), _spread(plan, ours), _latency(plan, ours, stock)]


def _drained(plan: Plan, ours: Side, stock: Side) -> Topic:
    topic = Topic("Empty tasks drained", "a second, by one worker with two children")
    cpu: dict[str, list[Spent]] = {}
    for number in range(plan.rounds):
        for done, side in enumerate((ours, stock)):
            name = "this server" if side is ours else "stock, late acks and started-tracking"
            say(topic.title, 2 * number + done + 1, 2 * plan.rounds, name)
            rate, spent = drain(side, plan.drained)
            topic.add(name, rate)
            cpu.setdefault(name, []).append(spent)
    one, other = topic.series
    reason = (
        "More than half of a task's CPU is the child's: Celery's tracer, the call and its answer. The rest is one "
        "script, which ends a task with its indexes, lease and counters, and claims the next one."
    )
    topic.findings = [minimum(2.5, topic.ratio(one, other), "stock Celery with late acks and started-tracking", reason)]
    spent_on = "; ".join(f"{name} {by_process(spent)}" for name, spent in cpu.items())
    topic.notes = [
        "The queue is filled before the worker starts; the rate is that of the last nine tenths. Stock has its default "
        "prefetch multiplier of 4; this server fetches a task when a child is free.",
        f"Milliseconds of CPU for each task (medians): {spent_on}.",
    ]
    return topic


#: Seconds of CPU by process; of a drain, milliseconds for each task.
Spent = dict[str, float]


def by_process(rounds: list[Spent]) -> str:
    """Say how much CPU a task takes, in all and by process."""
    medians = {process: statistics.median(spent[process] for spent in rounds) for process in rounds[0]}
    each = ", ".join(f"{process} {spent:.2f}" for process, spent in medians.items())
    return f"{sum(medians.values()):.2f} ({each})"


def drain(side: Side, count: int) -> tuple[float, Spent]:
    """Tasks a second, and CPU for each."""
    side.queue(count)
    ended = side.counter(count)
    worker = side.launch_worker()
    eventually(lambda: ended() >= count // 10, seconds=60, every=0.01)
    began, first = time.monotonic(), ended()
    before = _spent(side)
    eventually(lambda: ended() >= count, seconds=600, every=0.02)
    rate = (count - first) / (time.monotonic() - began)
    spent = {name: (seconds - before[name]) / (count - first) * 1000 for name, seconds in _spent(side).items()}
    worker.kill()
    side.workers.remove(worker)
    side.forget_all()
    return rate, spent


def _spent(side: Side) -> Spent:
    leader = side.workers[-1].pid
    main = proc.cpu(leader)
    return {"main process": main, "children": proc.cpu_of_group(leader) - main, "Redis": side.redis_cpu()}


def _spread(plan: Plan, ours: Side) -> Topic:
    topic = Topic(f"{_SPREAD} tasks of 100 ms on two children", "x the ideal time")
    ideal = _SPREAD * 0.1 / 2
    worker = ours.launch_worker()
    _wait(ours)
    for number in range(plan.rounds):
        say(topic.title, number + 1, plan.rounds)
        items = [{"task": "pause", "input": {"seconds": 0.1}}] * _SPREAD
        began = time.perf_counter()
        batch = ours.http.post("/batches", json={"items": items}).raise_for_status().json()["batch_id"]
        eventually(lambda batch=batch: ours.http.get(f"/batches/{batch}").json()["done"], seconds=60, every=0.005)
        topic.add("this server", (time.perf_counter() - began) / ideal)
    worker.kill()
    ours.workers.remove(worker)
    reason = "The submit of the batch, and for each task a fetch and an end, are part of the time."
    topic.findings = [maximum(1.03, topic.median("this server"), "the ideal time", reason)]
    topic.notes = [f"The ideal is {ideal:g} s: {_SPREAD} x 100 ms on two children, without anything else."]
    return topic


#: Tasks of 100 ms that two children share.
_SPREAD = 40


def _latency(plan: Plan, ours: Side, stock: Side) -> Topic:
    topic = Topic("From submit to the client knowing the end", "ms, idle server, empty task")
    for side in (ours, stock):
        side.launch_worker()
        (_wait if side is ours else _poll)(side)
    for number in range(plan.latencies):
        say(topic.title, number + 1, plan.latencies)
        topic.add("this server, ?wait=", _wait(ours))
        topic.add(f"stock, polled each {_POLL * 1000:.0f} ms", _poll(stock))
    one, other = topic.series
    best, rest = percentile(topic.series[one], 0.99), percentile(topic.series[other], 0.99)
    reason = "Three processes and Redis hand the task on; on a machine with other work each waits for its turn."
    topic.findings = [
        maximum(10, topic.median(one), "(median)", reason, "ms"),
        maximum(30, best, "(99th percentile)", reason, "ms"),
    ]
    topic.notes = [f"99th percentiles: {best:.1f} ms, stock {rest:.1f} ms. One client, one task at a time, httpx."]
    return topic


def _wait(side: Side) -> float:
    began = time.perf_counter()
    answer = side.http.post(f"{EMPTY}?wait=10", json={})
    spent = time.perf_counter() - began
    if not answer.json()["done"]:
        raise RuntimeError(f"not done within 10 s: {answer.text}")
    return spent * 1000


def _poll(side: Side) -> float:
    began = time.perf_counter()
    task_id = side.http.post(EMPTY, json={}).json()["task_id"]
    while not side.http.get(f"/tasks/{task_id}").json()["ready"]:
        time.sleep(_POLL)
    return (time.perf_counter() - began) * 1000

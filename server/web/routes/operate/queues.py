"""Queues and workers: what waits, what runs, and what has ended recently. For admins only."""

from collections.abc import Mapping
from typing import Any

from flask import Response
from pydantic import Field

from server.sdk.registry import catalog, queue_names
from server.services.status import MOMENT, StatusLinks, WireObject, links, timestamp
from server.store.record import Status
from server.store.stats import DAY_STEP, ENDS, DayStats, Ends, Pause, reads
from server.web.addresses import prefix
from server.web.current import store
from server.web.errors import Problem
from server.web.openapi.route import Access, Api, ResponseSpec, ok
from server.web.responses import json_answer

route = Api("queues", "server")


class EndCounts(WireObject):
    """The number of ended tasks per time step, oldest first. The last step is not complete."""

    step_seconds: int
    succeeded: list[int]
    failed: list[int]
    canceled: list[int]


class QueueFigures(WireObject):
    """Waiting and running tasks of a queue, and the workers that take from it."""

    name: str
    waiting: int
    latency_seconds: float = Field(description="The waiting time of the oldest task that could run; 0 if none waits.")
    running: int
    slots: int = Field(description="The number of tasks that its workers can run at the same time.")
    workers: int = Field(description="The workers that read it. If 0, its tasks wait.")
    paused: bool = Field(description="Whether nothing more of it starts until it is resumed.")
    paused_at: str = Field(default_factory=str, description="When it was paused.", json_schema_extra=MOMENT)
    paused_by: str = Field(default_factory=str, description="The owner of the key that paused it.")


class Queue(QueueFigures):
    """The figures of a queue, and its recently ended tasks."""

    last_hour: EndCounts
    last_day: EndCounts


class RunSeconds(WireObject):
    """Percentiles of run times in seconds, with an error of up to a fifth; null without runs."""

    p50: float | None
    p90: float | None
    p99: float | None


class RunTimes(WireObject):
    """Run times of a task type's successful attempts in the last day."""

    task: str
    runs: int
    seconds: RunSeconds


class OwnerLoad(WireObject):
    """An owner's tasks that have not ended."""

    owner: str
    unfinished: int


class QueueOverview(WireObject):
    """All queues, run times of all task types, the busiest owners, and automatic recoveries."""

    queues: list[Queue]
    tasks: list[RunTimes]
    owners: list[OwnerLoad] = Field(description="The owners with the most tasks that wait or run, up to 20.")
    recoveries: dict[str, int] = Field(description="The number of automatic recoveries by kind, since the first start.")


class WorkerRun(WireObject):
    """A task that a worker runs."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})
    task: str
    owner: str
    started_at: str | None = Field(json_schema_extra=MOMENT)
    links: StatusLinks


class Worker(WireObject):
    """A worker that is up."""

    name: str
    pid: int
    concurrency: int = Field(description="The number of tasks that it can run at the same time.")
    started_at: str = Field(json_schema_extra=MOMENT)
    running: list[WorkerRun]
    queues: list[str] = Field(description="The queues that it reads.")
    version: str | None = Field(description="The release that it runs.")
    memory_bytes: int | None = Field(
        description="Resident memory of its processes; what they share counts in each. Null where it is not known."
    )
    stopping: bool = Field(description="It starts nothing new and exits soon.")


class WorkerList(WireObject):
    """The workers that are up."""

    workers: list[Worker]


#: Automatic recoveries: the names of their counters, and what the overview says.
RECOVERIES = {
    "lost_attempts": "Requeued after their worker died",
    "lost_messages": "Lost messages replaced",
    "returned_messages": "Returned to the queue, never started",
    "orphaned_files": "Orphaned files deleted",
}
_MAX_OWNERS = 20  # owners in `GET /queues`
_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


@route.get("/queues", ok(QueueOverview, "Every queue."), access=Access.METRICS)
def list_queues() -> Response:
    """Waiting, running and recently ended tasks.

    The last hour per minute and the last day per quarter of an hour; run times of the last day.
    """
    return json_answer(QueueOverview.model_validate(overview()))


@route.get(
    "/queues/<name>",
    ok(QueueFigures, "The figures that an autoscaler needs."),
    access=Access.METRICS,
    parameters=("queue",),
    problems=("unknown-queue",),
)
def get_queue(name: str) -> Response:
    """How much waits in a queue, and for how long."""
    return json_answer(queue_state(name))


def check_queue(name: str) -> None:
    """Check that a task type or a worker uses a queue of this name. Raises the problem `unknown-queue`."""
    if name not in queue_names() | set(store().queues.names()):
        raise Problem("unknown-queue")


def queue_state(name: str) -> QueueFigures:
    """Return what waits and runs in one queue. Raises the problem `unknown-queue`."""
    check_queue(name)
    [waiting] = store().queues.waiting([name]).values()
    running = store().hourly_stats.running().get(name, 0)
    return QueueFigures(**_queue_counts(name, waiting, running, store().leases.workers(), store().pauses.all()))


@route.get("/workers", ok(WorkerList, "By name."), access=Access.ADMIN)
def list_workers() -> Response:
    """The workers that are up, and their tasks."""
    return json_answer(WorkerList.model_validate({"workers": cards()}))


@route.post(
    "/workers/<name>/stop",
    ResponseSpec(202, "It stops at its next heartbeat.", Worker),
    access=Access.ADMIN,
    parameters=("worker",),
    problems=("not-found",),
)
def stop_worker(name: str) -> Response:
    """Let a worker drain and exit.

    As SIGTERM: it starts nothing new, ends what it can, and returns the rest to the queue. A process manager may start
    it again, as `make run` does.
    """
    card = next((each for each in cards() if each["name"] == name), None)
    if card is None:
        raise Problem("not-found", f"No worker of the name {name[:100]!r} is up.")
    store().leases.ask_to_stop(name.rpartition(".")[2])
    return json_answer(Worker.model_validate({**card, "stopping": True}), 202)


def overview() -> dict[str, Any]:
    """The body of `GET /queues`."""
    day, running = store().hourly_stats.last_day(), store().hourly_stats.running()
    statistics, workers = store().counters.statistics(), store().leases.workers()
    registered, pauses = queue_names(), store().pauses.all()
    waiting = store().queues.waiting(sorted(registered | set(store().queues.names())))
    return {
        "queues": [
            _ends(name, day) | _queue_counts(name, count, running.get(name, 0), workers, pauses)
            for name, count in waiting.items()
            if count or name in registered or ("queue", name) in pauses
        ],
        "tasks": [_times(each.name, day) for each in catalog()],
        "owners": _busiest(store().flow_stats.unfinished_by_owner()),
        "recoveries": {name: statistics.get(f"recovery:{name}", 0) for name in RECOVERIES},
    }


def _busiest(unfinished: Mapping[str, int]) -> list[dict[str, Any]]:
    first = sorted(unfinished, key=lambda owner: (-unfinished[owner], owner))[:_MAX_OWNERS]
    return [{"owner": owner, "unfinished": unfinished[owner]} for owner in first]


def _queue_counts(
    name: str, waiting: int, running: int, workers: list[dict[str, Any]], pauses: Mapping[tuple[str, str], Pause]
) -> dict[str, Any]:
    serving, pause = [card for card in workers if reads(card, name)], pauses.get(("queue", name))
    counts = {
        "name": name,
        "waiting": waiting,
        "latency_seconds": 0.0 if pause else round(store().counters.latency(name), 3),
        "running": running,
        "slots": sum(card["concurrency"] for card in serving),
        "workers": len(serving),
        "paused": pause is not None,
    }
    return counts if pause is None else counts | {"paused_at": timestamp(pause.at_ms), "paused_by": pause.by}


def _ends(name: str, day: DayStats) -> dict[str, Any]:
    ends = day.ends.get(name, Ends())
    return {
        "last_hour": _counts(60, {status: ends.last_hour(status) for status in ENDS}),
        "last_day": _counts(DAY_STEP * 60, {status: ends.last_day(status) for status in ENDS}),
    }


def _counts(step: int, by_status: dict[Status, list[int]]) -> dict[str, Any]:
    """Ends by time step, oldest first. The last step is not complete."""
    return {"step_seconds": step, **{str(status): counts for status, counts in by_status.items()}}


def _times(name: str, day: DayStats) -> dict[str, Any]:
    shares = {key: day.percentile(name, share) for key, share in _SHARES.items()}
    return {"task": name, "runs": day.count(name), "seconds": shares}


def cards() -> list[dict[str, Any]]:
    """Return the workers that are up, by name, with the tasks that they run."""
    workers = sorted(store().leases.workers(), key=lambda card: card["name"])
    running = [task_id for card in workers for task_id in card["running"]]
    runs = {record.id: record for record in store().tasks.get_many(running) if record is not None}
    return [
        {
            "name": card["name"],
            "pid": card["pid"],
            "concurrency": card["concurrency"],
            "started_at": timestamp(card["started_ms"]),
            "running": [
                {
                    "task_id": task_id,
                    "task": runs[task_id].task_type,
                    "owner": runs[task_id].owner,
                    "started_at": timestamp(runs[task_id].started_ms),
                    "links": links(task_id, prefix()),
                }
                for task_id in card["running"]
                if task_id in runs
            ],
            "queues": card.get("queues", []),
            "version": card.get("version"),
            "memory_bytes": card.get("memory_bytes"),
            "stopping": card.get("stopping", False),
        }
        for card in workers
    ]

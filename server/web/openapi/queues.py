"""The routes of queues and workers, and their objects on the wire."""

from pydantic import BaseModel, Field

from server.web.openapi.answers import UNCHANGED, found
from server.web.openapi.models import MOMENT, StatusLinks, WireObject
from server.web.openapi.route import Access, Route


class EndCounts(WireObject):
    """How many tasks ended in each step of time, oldest first; the last step goes on."""

    step_seconds: int
    succeeded: list[int]
    failed: list[int]
    canceled: list[int]


class Queue(WireObject):
    """What waits in a queue, what runs, and what has ended."""

    name: str
    waiting: int
    oldest_seconds: float | None = Field(description="How long the longest waiting task has waited.")
    running: int
    last_hour: EndCounts
    last_day: EndCounts


class RunSeconds(WireObject):
    """Seconds within which so many of a hundred runs ended, to a fifth; null where there were none."""

    p50: float | None
    p90: float | None
    p99: float | None


class RunTimes(WireObject):
    """How long a kind's successful runs of the last day took."""

    task: str
    runs: int
    seconds: RunSeconds


class QueueOverview(WireObject):
    """Every queue, every kind's run times, and what maintenance has found."""

    queues: list[Queue]
    tasks: list[RunTimes]
    recoveries: dict[str, int] = Field(description="How often it put something right, since ever, by finding.")


class WorkerRun(WireObject):
    """A task that a worker holds."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})
    task: str
    owner: str
    started_at: str | None = Field(json_schema_extra=MOMENT)
    links: StatusLinks


class Worker(WireObject):
    """A worker that lives."""

    name: str
    pid: int
    concurrency: int = Field(description="Tasks that it runs at the same time.")
    started_at: str = Field(json_schema_extra=MOMENT)
    running: list[WorkerRun]


class WorkerList(WireObject):
    """The workers that live."""

    workers: list[Worker]


MODELS: tuple[type[BaseModel], ...] = (QueueOverview, WorkerList)

QUEUES: tuple[Route, ...] = (
    Route(
        "get",
        "/queues",
        "list_queues",
        "server",
        "What waits, what runs, what has ended of late",
        (found("QueueOverview", "Every queue."), UNCHANGED),
        Access.ADMIN,
        "The last hour by the minute and the last day by the quarter of an hour; run times of the last day.",
        parameters=("If-None-Match",),
    ),
    Route(
        "get",
        "/workers",
        "list_workers",
        "server",
        "Which workers live, and what they hold",
        (found("WorkerList", "By name."), UNCHANGED),
        Access.ADMIN,
        parameters=("If-None-Match",),
    ),
)

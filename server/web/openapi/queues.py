"""The routes of queues and workers, and their objects."""

from pydantic import BaseModel, Field

from server.web.openapi.answers import UNCHANGED, found
from server.web.openapi.models import MOMENT, StatusLinks, WireObject
from server.web.openapi.route import Access, Route


class EndCounts(WireObject):
    """The number of ended tasks per time step, oldest first. The last step is not complete."""

    step_seconds: int
    succeeded: list[int]
    failed: list[int]
    canceled: list[int]


class Queue(WireObject):
    """Waiting, running and ended tasks of a queue."""

    name: str
    waiting: int
    oldest_seconds: float | None = Field(description="The waiting time of the oldest task.")
    running: int
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


class QueueOverview(WireObject):
    """All queues, run times of all task types, and automatic recoveries."""

    queues: list[Queue]
    tasks: list[RunTimes]
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


class WorkerList(WireObject):
    """The workers that are up."""

    workers: list[Worker]


MODELS: tuple[type[BaseModel], ...] = (QueueOverview, WorkerList)

QUEUES: tuple[Route, ...] = (
    Route(
        "get",
        "/queues",
        "list_queues",
        "server",
        "Waiting, running and recently ended tasks",
        (found("QueueOverview", "Every queue."), UNCHANGED),
        Access.ADMIN,
        "The last hour per minute and the last day per quarter of an hour; run times of the last day.",
        parameters=("If-None-Match",),
    ),
    Route(
        "get",
        "/workers",
        "list_workers",
        "server",
        "The workers that are up, and their tasks",
        (found("WorkerList", "By name."), UNCHANGED),
        Access.ADMIN,
        parameters=("If-None-Match",),
    ),
)

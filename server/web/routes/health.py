"""Health checks of the web process and of Redis."""

from typing import Literal

from flask import Response, request
from pydantic import Field

from server.services.status import WireObject
from server.store.connection import UNREACHABLE, outage_reason
from server.store.connection.checks import Severity
from server.store.stats import reads
from server.web.current import store
from server.web.errors import Problem
from server.web.openapi.route import Access, Api, ResponseSpec
from server.web.responses import LIVE, Live, json_answer

route = Api("health", "server")


_PAUSABLE = {"queue": "Queue", "task": "Task type"}


class Ready(WireObject):
    """The answer of a server that accepts and runs tasks."""

    status: Literal["ready"]
    workers: int = Field(ge=1)
    warnings: list[str]


@route.get("/health/live", ResponseSpec(200, "It is.", Live), access=Access.ANYONE)
def get_live() -> Response:
    """Whether the process is up."""
    return json_answer(LIVE)


@route.get(
    "/health/ready",
    ResponseSpec(200, "It would.", Ready),
    access=Access.ANYONE,
    parameters=("read_queue",),
    problems=("unavailable",),
)
def get_ready() -> Response:
    """Whether tasks are accepted and run.

    503 gives the reason: Redis is unreachable, full, or set up so that it loses tasks; or no worker is running.
    `warnings` are sentences about what ought to be changed.
    """
    queue = request.args.get("queue", "")
    try:
        findings, workers = store().checks.findings(), store().leases.workers()
        unattended, pauses = store().queues.unattended(workers), store().pauses.all()
    except UNREACHABLE as error:
        raise Problem("unavailable", outage_reason(error)) from None
    warnings = [finding.text for finding in findings if finding.severity is Severity.WARNING]
    reasons = [finding.text for finding in findings if finding.severity is not Severity.WARNING]
    warnings += [f"Queue {name} has {count} waiting tasks and no worker." for name, count in unattended.items()]
    warnings += [f"{_PAUSABLE[scope]} {name} is paused: nothing of it starts." for scope, name in sorted(pauses)]
    if queue:
        workers = [worker for worker in workers if reads(worker, queue)]
    if not workers:
        reasons.append(f"No worker reads the queue {queue[:100]}." if queue else "No worker is running.")
    if reasons:
        raise Problem("unavailable", " ".join(reasons), headers={"Retry-After": "5"}, warnings=warnings)
    return json_answer(Ready(status="ready", workers=len(workers), warnings=warnings))

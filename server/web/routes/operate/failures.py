"""Why tasks failed: one task's exception and traceback, and failed tasks grouped by cause. For admins only."""

import time

import pydantic_core
from flask import Response
from pydantic import Field

from server.services.failures import FailureGroup as Group
from server.services.failures import grouped
from server.services.status import MOMENT, WireObject, timestamp
from server.web.current import store
from server.web.errors import TASK_PROBLEMS, Problem
from server.web.openapi.route import Access, Api, ok
from server.web.responses import json_answer
from server.web.routes.query_parameters import query_time
from server.web.routes.tasks import find

route = Api("failures", "tickets")
_LOG_LINES = 20  # log lines that an answer has


class FailureReport(WireObject):
    """Why a task failed. Only this answer has a traceback."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})
    exception: str
    message: str
    place: str = Field(description="File and line of the last frame.")
    traceback: str
    worker: str
    log: list[str] = Field(description=f"The last lines of its log, at most {_LOG_LINES}.")


class FailureGroup(WireObject):
    """Tasks of one type with the same exception at the same place."""

    id: str = Field(description="The value of the filter `failure` in lists and bulk calls.")
    task: str
    exception: str
    message: str = Field(description="That of the newest one.")
    place: str
    count: int = Field(description="Failed tasks.")
    retrying: int = Field(description="Tasks that failed once and wait for their next attempt.")
    first_at: str = Field(json_schema_extra=MOMENT)
    last_at: str = Field(json_schema_extra=MOMENT)
    sample: str = Field(json_schema_extra={"format": "uuid"}, description="The newest one's id.")


class FailureGroups(WireObject):
    """Groups of failed tasks, the largest first."""

    failures: list[FailureGroup]
    looked_at: int = Field(description="Failed tasks that were read, the newest first.")
    complete: bool = Field(description="False if there are older ones that were not read.")


@route.get(
    "/tasks/<task_id>/failure",
    ok(FailureReport, "Exception, message, traceback, worker and the last log lines."),
    access=Access.ADMIN,
    problems=(*TASK_PROBLEMS, "not-found"),
)
def get_failure(task_id: str) -> Response:
    """Get the exception of a failed task."""
    record = find(task_id)
    (raw,) = store().tasks.failures([record.id])
    if raw is None:
        raise Problem("not-found", "No exception is stored for this task.")
    lines = [entry.content["text"] for entry in store().tasks.events(task_id, 0)[1] if entry.event == "log"]
    return json_answer(FailureReport(task_id=task_id, log=lines[-_LOG_LINES:], **pydantic_core.from_json(raw)))


@route.get(
    "/failures",
    ok(FailureGroups, "Groups by task type, exception and place in the code."),
    tag="many",
    access=Access.ADMIN,
    parameters=("filter.since",),
    problems=("invalid-input",),
)
def list_failures() -> Response:
    """Group failed tasks by cause.

    Those of the last day, unless `since` says otherwise.
    """
    since = query_time("since")
    groups = grouped(store(), _day_ago() if since is None else since)
    failures = [_group(each) for each in groups.groups]
    return json_answer(FailureGroups(failures=failures, looked_at=groups.tasks_read, complete=groups.complete))


def _group(group: Group) -> FailureGroup:
    return FailureGroup(
        id=group.cause.key,
        task=group.task,
        exception=group.cause.exception,
        message=group.cause.message,
        place=group.cause.location,
        count=len(group.tasks),
        retrying=len(group.retrying),
        first_at=timestamp(min(group.moments)),
        last_at=timestamp(max(group.moments)),
        sample=group.newest.id,
    )


def _day_ago() -> int:
    return int((time.time() - 86_400) * 1000)

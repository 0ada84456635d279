"""Pause and resume queues and task types, for admins."""

from flask import Response, g

from server.sdk.registry import definition
from server.services.throttling import release_all
from server.store.stats.pauses import PauseScope
from server.web.current import store
from server.web.middleware import caller
from server.web.openapi.route import Access, Api, ResponseSpec
from server.web.responses import json_answer
from server.web.routes.catalog import CatalogEntry, entry
from server.web.routes.operate.queues import QueueFigures, check_queue, queue_state

route = Api("pauses", "server")

_PAUSE_DESCRIPTION = (
    "Submits are still accepted, and running tasks run on; retries, schedules and delayed tasks that are due wait too. "
    "The pause is stored in Redis, until it is ended."
)
_RESUMED = ResponseSpec(204, "It is not paused, and its tasks start again.")


@route.put(
    "/queues/<name>/pause",
    ResponseSpec(200, "It is paused.", QueueFigures),
    access=Access.ADMIN,
    description=_PAUSE_DESCRIPTION,
    parameters=("queue",),
    problems=("unknown-queue",),
)
def pause_queue(name: str) -> Response:
    """Let nothing more of a queue start.

    A queue that is paused already stays so.
    """
    check_queue(name)
    _pause("queue", name)
    return json_answer(queue_state(name))


@route.delete("/queues/<name>/pause", _RESUMED, access=Access.ADMIN, parameters=("queue",), problems=("unknown-queue",))
def resume_queue(name: str) -> Response:
    """Resume a queue.

    It may be one that nothing uses anymore.
    """
    if not _resume("queue", name):
        check_queue(name)
    return Response(status=204)


@route.put(
    "/catalog/<name>/pause",
    ResponseSpec(200, "It is paused.", CatalogEntry),
    tag="catalog",
    access=Access.ADMIN,
    description=_PAUSE_DESCRIPTION,
    parameters=("task_type",),
    problems=("unknown-task-type",),
)
def pause_task_type(name: str) -> Response:
    """Let no more tasks of a type start.

    A type that is paused already stays so.
    """
    definition(name)
    _pause("task", name)
    return json_answer(entry(name))


@route.delete(
    "/catalog/<name>/pause",
    _RESUMED,
    tag="catalog",
    access=Access.ADMIN,
    parameters=("task_type",),
    problems=("unknown-task-type",),
)
def resume_task_type(name: str) -> Response:
    """Resume a task type.

    It may be one that is not registered anymore.
    """
    if not _resume("task", name):
        definition(name)
    return Response(status=204)


def _pause(scope: PauseScope, name: str) -> None:
    g.audit_count = int(store().pauses.pause(scope, name, caller().owner))


def _resume(scope: PauseScope, name: str) -> bool:
    """Resume, and queue the tasks that were throttled meanwhile."""
    resumed = store().pauses.resume(scope, name)
    g.audit_count = int(resumed)
    if resumed:
        release_all(store())
    return resumed

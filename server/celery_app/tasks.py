"""Registers each task type as a Celery task, so that Celery's tools and Flower show it under its name."""

from typing import Any

from celery import Celery, Task

from server.celery_app.message import WIRE_NAMES
from server.celery_app.worker.execution import execute
from server.sdk.definition import TaskDefinition
from server.sdk.errors import TaskError
from server.sdk.registry import catalog, definition, is_registered


def register_tasks(app: Celery) -> None:
    for each in catalog():
        name = WIRE_NAMES.get(each.name, each.name)
        if name not in app.tasks:
            _register(app, each, name)


def _register(app: Celery, made: TaskDefinition, name: str) -> None:
    def body(self: Task) -> Any:
        return execute(made, self)

    body.__qualname__ = name  # not __name__, which Celery compiles: `my-task` is not an identifier
    body.__module__ = made.function.__module__
    body.__doc__ = made.description
    options = {
        "Request": "server.celery_app.worker.request:LeasedRequest",
        "bind": True,
        "acks_late": True,
        "track_started": True,
        "soft_time_limit": made.limits.soft,
        "time_limit": made.limits.hard,
        "throws": (TaskError,),  # expected: no traceback in the log
    }
    app.task(name=name, **options)(body)


def route(name: str, *_: Any, **__: Any) -> dict[str, str] | None:
    """Choose the queue of a task, for Celery's `task_routes` (Celery 6 drops a task's `queue` attribute)."""
    return {"queue": definition(name).queue} if is_registered(name) else None

"""Each task type is a Celery task of its own, so that Celery's and Flower's tools show it under its name."""

from typing import Any

from celery import Celery, Task

from server.celery_app.worker.execution import execute
from server.sdk.definition import TaskDefinition
from server.sdk.errors import TaskError
from server.sdk.registry import catalog, definition, is_registered


def register_tasks(app: Celery) -> None:
    """Make a Celery task of each task type in the catalogue."""
    for each in catalog():
        if each.name not in app.tasks:
            _register(app, each)


def _register(app: Celery, made: TaskDefinition) -> None:
    def body(self: Task) -> Any:
        return execute(made, self)

    body.__qualname__ = made.name  # not its __name__, which Celery compiles: `my-task` is not an identifier
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
    app.task(name=made.name, **options)(body)


def route(name: str, *_: Any, **__: Any) -> dict[str, str] | None:
    """Route a task as Celery's `task_routes` asks (the `queue` attribute of a task is gone in Celery 6)."""
    return {"queue": definition(name).queue} if is_registered(name) else None

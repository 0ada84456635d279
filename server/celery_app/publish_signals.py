"""Celery's signals and events of a publish. With Redis as the broker, a script creates the message, not `send_task`.

A submit sends them only if a receiver is connected, or if CELERY_EVENTS is set. They are sent when a task is accepted:
a delayed one has its time as `eta`, as Celery's own have.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from celery.signals import after_task_publish, before_task_publish
from kombu.exceptions import OperationalError

from server.celery_app.message import build
from server.store import Store
from server.store.connection import UNREACHABLE
from server.store.record import NewTask

#: Arguments, keyword arguments and the parts of a chain. The input of a task is in its record.
_BODY: tuple[Any, ...] = ((), {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None})


def install(app: Celery, store: Store) -> None:
    """Let this process send them for the tasks that it submits."""

    def before(tasks: Sequence[NewTask]) -> None:
        if not before_task_publish.receivers:
            return
        for task in tasks:
            message = _message(task, store.clock.now_ms())
            more = {"properties": message["properties"], "declare": [], "retry_policy": {}}
            before_task_publish.send(**_common(task, message["headers"]), **more)

    def after(tasks: Sequence[NewTask]) -> None:
        if after_task_publish.receivers:
            for task in tasks:
                after_task_publish.send(**_common(task, _message(task, store.clock.now_ms())["headers"]))
        if app.conf.task_send_sent_event:
            _send_events(app, tasks, store.clock.now_ms())

    store.before_publish, store.after_publish = before, after


def _common(task: NewTask, headers: dict[str, Any]) -> dict[str, Any]:
    return {"sender": headers["task"], "body": _BODY, "headers": headers, "exchange": "", "routing_key": task.queue}


def _message(task: NewTask, now_ms: int) -> dict[str, Any]:
    message = build(task.id, "", task.task_type, task.queue, task.priority)
    if due_ms := task.due_ms(now_ms):
        message["headers"]["eta"] = datetime.fromtimestamp(due_ms / 1000, UTC).isoformat()
    return message


def _send_events(app: Celery, tasks: Sequence[NewTask], now_ms: int) -> None:
    """Send the event of each task, in the form of `send_task`. An outage loses them: the tasks are stored already."""
    with suppress(OperationalError, *UNREACHABLE), app.events.default_dispatcher() as dispatcher:
        for task in tasks:
            headers = _message(task, now_ms)["headers"]
            copied = {name: headers[name] for name in ("root_id", "parent_id", "retries", "eta", "expires")}
            shown = {"args": headers["argsrepr"], "kwargs": headers["kwargsrepr"], "name": headers["task"]}
            route = {"queue": task.queue, "exchange": "", "routing_key": task.queue}
            dispatcher.send("task-sent", uuid=task.id, **copied, **shown, **route)

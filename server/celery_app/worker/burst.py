"""Bursts: the script that ends a task claims the next one for the same child, which runs it immediately.

The main process, which fetches and acknowledges each message, is most of an empty task's cost. In a burst it
knows one request, and the lease token of that request stands for each task of the burst in turn (see
`lua/lib/burst.lua`): it renews, stops, and after a child's death queues again what the child has now. Time limits are
in `child_slots`. A task outside a burst is claimed by the child, not by the fetch: otherwise a task that was never
started would count as running, and wait for its lease when its worker dies.
"""

import time
from typing import Any

from celery import Celery, Task
from celery.app.trace import trace_task
from celery.loaders.app import AppLoader
from celery.signals import worker_init
from celery.worker import state

from server.celery_app.message import WIRE_NAMES
from server.celery_app.transport import lists_to_read
from server.celery_app.worker import child, child_slots
from server.celery_app.worker.execution import log_end, store_end
from server.logs import end_task
from server.sdk.registry import catalog
from server.store import Store
from server.store.connection import until_available
from server.store.leases import FREE
from server.store.record import Status
from server.store.tasks import Attempt

#: Seconds of a burst in which another task may follow. Then the main process fetches again, which knows which queues to
#: read, and what Celery's tools have revoked.
MAX_SECONDS = 1.0

#: Attributes of a request that do not count for the next one; nor do Celery's own, which begin with `_`.
_OF_ONE_TASK = {"attempt", "began", "files"}


class _Burst:
    """This child's burst: its beginning, the next task, and the number of its tasks."""

    allowed = False  # by the main process
    under_way = False
    began = 0.0
    request: dict[str, Any]
    following: Attempt | None = None
    fetches = 0


def install(store: Store) -> None:
    """Allow bursts where Redis has the messages, and children are not replaced after some number of messages."""

    def allow(sender: Any, **_: Any) -> None:
        _Burst.allowed = store.settings.broker_is_redis and not sender.max_tasks_per_child

    worker_init.connect(allow, weak=False)


def sends_events(dispatcher: Any) -> bool:
    """Return whether a worker's dispatcher sends the events of tasks."""
    return bool(dispatcher and dispatcher.enabled and (not dispatcher.groups or "task" in dispatcher.groups))


def terms(request: Any) -> dict[str, Any] | None:
    """Return the task types and queues that a child may claim from after this request. None: it must not.

    Celery's tools see only what the main process fetches. None while they listen or have revoked tasks.
    """
    queues = sorted(request.app.amqp.queues.consume_from)
    if not _Burst.allowed or state.revoked or sends_events(request.eventer) or not queues:
        return None
    free = [each.name for each in catalog() if each.throttle == FREE]
    types = [name for name in free if not _celery_task(request.app, name).rate_limit]
    return {"types": f" {' '.join(types)} ", "queues": queues}


def _celery_task(app: Celery, task_type: str) -> Task:
    return app.tasks[WIRE_NAMES.get(task_type, task_type)]


def store_success(store: Store, request: Any, **fields: bytes | str) -> None:
    """Store the success of a task and, in the same step, claim the next one if the burst has time for it."""
    attempt: Attempt = request.attempt
    if not _may_follow(request):
        store_end(store, attempt, Status.SUCCEEDED, **fields)
        return
    queues, types = request.burst["queues"], request.burst["types"]
    _Burst.fetches += 1
    first = _Burst.fetches % len(queues)
    lists = lists_to_read([*queues[first:], *queues[:first]], _Burst.fetches)
    stored, _Burst.following = until_available(
        lambda: store.tasks.finish_and_claim(attempt, Status.SUCCEEDED, types, lists, **fields)
    )
    log_end(attempt, Status.SUCCEEDED, stored)


def _may_follow(request: Any) -> bool:
    if not _Burst.under_way:
        _Burst.began = request.began
        _Burst.request = {
            name: value for name, value in vars(request).items() if name[0] != "_" and name not in _OF_ONE_TASK
        }
    return (
        getattr(request, "burst", None) is not None
        and time.monotonic() - _Burst.began < MAX_SECONDS
        and f" {request.attempt.task_type} " in request.burst["types"]
        and child_slots.may_burst()
        and not child.has_grown()
    )


class Loader(AppLoader):  # type: ignore[misc]
    """Celery's loader: the tracer calls the methods below at the beginning and the end of each task."""

    def on_task_init(self, task_id: str, task: Any) -> None:
        """Forget what an interrupted burst left: its task has been queued again."""
        if not _Burst.under_way:
            _Burst.following = None

    def on_process_cleanup(self) -> None:
        """Run the rest of the burst after its first task."""
        end_task()
        if _Burst.under_way:
            return
        _Burst.under_way = True
        try:
            while (attempt := _Burst.following) is not None:
                _Burst.following = None
                named = {"id": attempt.id, "root_id": attempt.id, "correlation_id": attempt.id}
                task = _celery_task(self.app, attempt.task_type)
                request = {**_Burst.request, **named, "task": task.name, "attempt": attempt}
                trace_task(task, attempt.id, [], {}, request, app=self.app)
        finally:
            _Burst.under_way = False
            child_slots.let_billiard_interrupt()

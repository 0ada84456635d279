"""A message until it is acknowledged: the main process's part of a running task."""

import contextlib
import logging
import os
import signal
import time
from typing import Any
from weakref import WeakValueDictionary

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, WorkerLostError
from celery import Celery, Task
from celery.app.task import Context
from celery.signals import task_revoked, worker_init
from celery.worker.request import Request
from celery.worker.state import requests, task_ready

from server.celery_app.worker import burst
from server.celery_app.worker.execution import CanceledAttempt, new_lease_token
from server.logs import event
from server.store import Store
from server.store.connection import UNREACHABLE
from server.store.record import Status

log = logging.getLogger(__name__)
_NEVER = 1e9  # seconds for billiard's own time limits: ours are in `child_slots`

#: Requests that this worker has not acknowledged. Weak references, since Celery may forget a request without an end.
_tracked: "WeakValueDictionary[int, TrackedRequest]" = WeakValueDictionary()


def install(app: Celery) -> None:
    """Let the messages of all tasks be renewed, including a user's own Celery tasks of any class."""

    def track(**_: Any) -> None:
        for task in app.tasks.values():
            if task.Request == Task.Request:  # stock Celery's class; our task types use `LeasedRequest`
                task.Request = TrackedRequest

    worker_init.connect(track, weak=False)


class TrackedRequest(Request):  # type: ignore[misc]
    """Celery's request, tracked until it is acknowledged, so that its message is renewed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.accepted_at: float | None = None
        self.released = False  # if True, another delivery determines its state
        _tracked[id(self)] = self

    @property
    def delivery_tag(self) -> str:
        return str(self.message.delivery_tag)

    @property
    def running(self) -> bool:
        return self.accepted_at is not None

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        self.accepted_at = time.monotonic()
        super().on_accepted(pid, time_accepted)

    def acknowledge(self) -> None:
        _tracked.pop(id(self), None)
        super().acknowledge()

    def reject(self, requeue: bool = False) -> None:
        _tracked.pop(id(self), None)
        super().reject(requeue=requeue)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Handle a failure, unless the shutdown has killed the child to return its task."""
        if not self.released:
            super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def kill(self) -> None:
        if self.worker_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.worker_pid, signal.SIGKILL)


class LeasedRequest(TrackedRequest):
    """A request of our own task types: a lost child is counted in the record, and the task is retried immediately.

    Stock Celery reruns a task that kills its worker forever (`reject_on_worker_lost`: 32 runs in 15 s,
    celery/celery#5251), or with `task_retry_on_worker_lost` as a new message, which a killed main process does not
    count. And it ends the whole worker on a task's `MemoryError` (celery/celery#2786).
    """

    id: str
    name: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lease_token = new_lease_token(self.hostname)
        self.request_dict["lease_token"] = self.lease_token  # the child claims the task with this token
        self.request_dict["burst"] = burst.terms(self)
        self.time_limits = _NEVER, _NEVER
        self.claimed = False  # whether the heartbeat has seen the claim
        self.failed = False

    def acknowledge(self) -> None:
        """Skip the message of an attempt that succeeded: its end has removed it (see `finish_task.lua`).

        This saves a round trip, which was a quarter of the main process's time per task.
        """
        self.message.forgotten = self.running and not self.failed
        super().acknowledge()
        requests.pop(self.id, None)

    def follow(self, task_id: str, name: str) -> None:
        """Become the request of the task that the child runs now, for Celery's tools: a later one of a burst."""
        if task_id != self.id and not self.acknowledged:
            requests.pop(self.id, None)
            self.id, self.name = task_id, name
            requests[self.id] = self

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Handle a lost child: the record decides whether the task is retried, fails, or is canceled."""
        self.failed = True
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):  # not a Retry, which has the function's exception
            error = error.exc
        if isinstance(error, MemoryError):
            error = WorkerLostError("out of memory")
        lost = isinstance(error, WorkerLostError | Terminated | SystemExit)
        if isinstance(error, CanceledAttempt):
            self.send_event("task-revoked", terminated=False, signum=None, expired=False)
        if self.released or not lost:
            super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
            return
        task_ready(self)
        self.released = True
        with contextlib.suppress(*UNREACHABLE):  # otherwise the lease expires, and maintenance does the same
            if released := self.release(crashed=True):  # else it was killed at its time limit
                task_id, status = released
                ids = self.task.app.store.tasks.log_ids(task_id)
                event(log, "task.worker_lost", level=logging.WARNING, **ids, task=self.name, status=status)
                if status is Status.CANCELED:  # it did not stop when it was asked to
                    killed = {"terminated": True, "signum": signal.SIGKILL.name, "expired": False}
                    self.send_event("task-revoked", **killed)
                    task_revoked.send(sender=self.task, request=Context(self.request_dict), **killed)
        self.acknowledge()

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Treat Celery's `revoke(terminate=True)`, and Flower's button, as a cancel.

        Stock Celery ends the request immediately, while its child, which ignores SIGTERM, continues to run.
        """
        with contextlib.suppress(*UNREACHABLE):
            self.task.app.store.tasks.cancel(self.id)

    def release(self, *, crashed: bool) -> tuple[str, Status] | None:
        """End the attempt of a dead child, queue its task again, and return id and status; None without an attempt."""
        store: Store = self.task.app.store
        return store.leases.release(self.id, self.lease_token, crashed=crashed)


def tracked_requests() -> list[TrackedRequest]:
    """The requests that this worker has not acknowledged; safe to call from any thread."""
    return [request for ref in _tracked.valuerefs() if (request := ref()) is not None]

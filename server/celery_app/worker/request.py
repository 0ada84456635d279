"""A message that this worker holds: the main process's side of a running task."""

import contextlib
import logging
import os
import signal
import time
from typing import Any
from weakref import WeakValueDictionary

from billiard.exceptions import SoftTimeLimitExceeded, Terminated, WorkerLostError
from celery import Celery, Task
from celery.signals import worker_init
from celery.worker.request import Request
from celery.worker.state import task_ready

from server.celery_app.worker.execution import new_lease_token
from server.logs import event
from server.services.message import for_broker
from server.store import Store
from server.store.connection import UNREACHABLE
from server.store.record import DEFAULT_QUEUE, Status

log = logging.getLogger(__name__)

#: What this worker holds. Weak: of a request that Celery forgets, nobody would note the end.
_held: "WeakValueDictionary[int, HeldRequest]" = WeakValueDictionary()


def install(app: Celery) -> None:
    """Let the message of every task be renewed, a user's own Celery tasks' too, on whichever class they are."""

    def hold(**_: Any) -> None:
        for task in app.tasks.values():
            if task.Request == Task.Request:  # stock; our kinds have `LeasedRequest`
                task.Request = HeldRequest

    worker_init.connect(hold, weak=False)


class HeldRequest(Request):  # type: ignore[misc]
    """Celery's request, noted as held until it is acknowledged, so that its message is renewed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.accepted_at: float | None = None
        self.handed_back = False  # what becomes of it is no longer this request's
        _held[id(self)] = self

    @property
    def delivery_tag(self) -> str:
        """The broker's name for this delivery."""
        return str(self.message.delivery_tag)

    @property
    def running(self) -> bool:
        """Whether a child has it."""
        return self.accepted_at is not None

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """A child took it."""
        self.accepted_at = time.monotonic()
        super().on_accepted(pid, time_accepted)

    def acknowledge(self) -> None:
        """It is over: no longer held."""
        _held.pop(id(self), None)
        super().acknowledge()

    def reject(self, requeue: bool = False) -> None:
        """It goes back, or is dropped: no longer held."""
        _held.pop(id(self), None)
        super().reject(requeue=requeue)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """It failed, or was killed to be handed back, which the drain does."""
        if not self.handed_back:
            super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def kill(self) -> None:
        """Kill the child that runs it."""
        if self.worker_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.worker_pid, signal.SIGKILL)


class LeasedRequest(HeldRequest):
    """A task of ours, whose lost child is counted in its record and whose run is retried at once.

    Stock Celery runs a task that kills its worker again without end (`reject_on_worker_lost`: 32 runs in 15 s,
    celery/celery#5251) or, by `task_retry_on_worker_lost`, as a new message that a killed main process does not
    count; and it ends the whole worker on a `MemoryError` that leaves a task (celery/celery#2786).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lease_token = new_lease_token(self.hostname)
        self.request_dict["lease_token"] = self.lease_token  # the child claims by this name
        self.claimed = False  # whether the heartbeat has seen the claim
        self.failed = False

    def acknowledge(self) -> None:
        """A run that has succeeded has taken its message with it (see `finish.lua`).

        The round trip that this saves was a quarter of what a task took the main process.
        """
        self.message.forgotten = self.running and not self.failed
        super().acknowledge()

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """A lost child: the record decides whether the task runs again, fails, or was to be canceled anyway."""
        self.failed = True
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, MemoryError):
            error = WorkerLostError("out of memory")
        lost = isinstance(error, WorkerLostError | Terminated | SystemExit)
        if self.handed_back or not lost or isinstance(error, SoftTimeLimitExceeded):
            super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
            return
        task_ready(self)
        self.handed_back = True
        with contextlib.suppress(*UNREACHABLE):  # else the lease runs out, and maintenance does the same
            status = self.release(crashed=True)
            event(log, "task.worker_lost", level=logging.WARNING, task_id=self.id, task=self.name, status=status)
        self.acknowledge()

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Celery's `revoke(terminate=True)`, and the button of Flower: a cancel like any other.

        Stock ends the request at once, while its child, which does not listen to SIGTERM, runs on.
        """
        with contextlib.suppress(*UNREACHABLE):
            self.task.app.store.tasks.cancel(self.id)

    def release(self, *, crashed: bool) -> Status | None:
        """End the run, whose child is dead, and queue the task again; None where there was no run (any more)."""
        store: Store = self.task.app.store
        rank = int(self.request_dict.get("rank", self.delivery_info.get("priority") or 0))
        queue = str(self.delivery_info.get("routing_key") or DEFAULT_QUEUE)
        message = for_broker(store.settings, self.id, self.name, queue, rank, "worker")
        return store.leases.release(self.id, self.lease_token, rank, message, crashed=crashed)


def held() -> list[HeldRequest]:
    """What this worker holds now; safe to call from any thread."""
    return [request for ref in _held.valuerefs() if (request := ref()) is not None]

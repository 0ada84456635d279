"""Time limits: interrupt a function at its soft limit, kill its child at the hard one."""

import contextlib
import json
import logging
import time

from server.celery_app.worker import child_slots
from server.celery_app.worker.child_slots import RunningTask
from server.celery_app.worker.request import LeasedRequest, tracked_requests
from server.logs import event
from server.sdk.errors import TaskError, describe
from server.store import Store
from server.store.connection import UNREACHABLE
from server.store.record import Status

log = logging.getLogger(__name__)


class TimeLimits:
    """Ends what runs for too long; one for each worker."""

    name = "time_limits"
    interval = 0.25

    def __init__(self, store: Store) -> None:
        self._store = store
        self._interrupted: set[RunningTask] = set()

    def round(self) -> int:
        """Interrupt and kill. Return the number of killed attempts."""
        killed = 0
        running = child_slots.running()
        self._interrupted &= set(running.values())
        for request in tracked_requests():
            task = running.get(request.worker_pid or 0)
            if task is None or not isinstance(request, LeasedRequest) or request.released:
                continue
            seconds = time.monotonic() - task.began
            if seconds >= task.hard:
                self._end(request, task)
                killed += 1
            elif seconds >= task.soft and task not in self._interrupted:
                self._interrupted.add(task)
                with contextlib.suppress(ProcessLookupError):
                    child_slots.interrupt(task.pid)
        return killed

    def _end(self, request: LeasedRequest, task: RunningTask) -> None:
        """First end the record, so that the child's death is not counted as a crash."""
        task_id = task.task_id.decode()
        error = TaskError("time-limit", f"It took longer than {task.hard:g} seconds and was stopped.")
        with contextlib.suppress(*UNREACHABLE):  # then its lease expires, and the task runs again
            fields = {"e": json.dumps(describe(error))}
            self._store.tasks.finish(task_id, request.lease_token, Status.FAILED, **fields)
        if child_slots.running().get(task.pid) == task:
            request.kill()
            event(log, "task.killed", **self._store.tasks.log_ids(task_id), task=request.name, reason="time-limit")

"""Heartbeat: renew the worker's leases, kill attempts that must stop, and record that the worker is alive."""

import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

from server.celery_app.worker.execution import worker_token
from server.celery_app.worker.request import LeasedRequest, tracked_requests
from server.logs import event
from server.sdk.registry import queue_names
from server.store import Store

#: Seconds after which an attempt must have claimed its task. If another worker still has it, the attempt is stopped.
_CLAIMED_BY_NOW = 5.0

log = logging.getLogger(__name__)


class Heartbeat:
    """Renews the messages and leases of this worker; one for each worker."""

    name = "heartbeat"
    interval = 1.0  # a lease lasts much longer, so that a round may fail

    def __init__(self, store: Store, hostname: str, card: dict[str, Any]) -> None:
        self._store = store
        self._worker = worker_token(hostname)
        self._card = card
        self._noted = False
        self._stopping = False

    def round(self) -> int:
        """Renew messages and leases, and kill attempts that must stop. Return the number of killed attempts."""
        killed = 0
        requests = tracked_requests()
        if self._store.settings.broker_is_redis:
            self._store.leases.renew_messages([request.delivery_tag for request in requests])
        # Includes tasks that a child has taken without Celery's loop knowing it yet: the child may have claimed them.
        leased = [request for request in requests if isinstance(request, LeasedRequest)]
        lease_states = self._store.leases.renew([(request.id, request.lease_token) for request in leased])
        for request, (task_id, name, lease_state) in zip(leased, lease_states, strict=True):
            request.follow(task_id, name)
            if _must_stop(request, lease_state):
                request.kill()
                event(
                    log, "task.killed", **self._store.tasks.log_ids(request.id), task=request.name, reason=lease_state
                )
                killed += 1
            request.claimed = request.claimed or lease_state == "mine"
        running = [request.id for request in leased if request.running]
        now = {"running": running, "memory_bytes": _resident_bytes(), "stopping": self._stopping}
        if self._store.leases.heartbeat(self._worker, {**self._card, **now}):
            self._stopping = True
            event(log, "worker.asked_to_stop")
            os.kill(os.getpid(), signal.SIGTERM)
        if not self._noted:
            self._store.queues.note(queue_names())
            self._noted = True
        return killed


def _must_stop(request: LeasedRequest, lease_state: str) -> bool:
    """Return whether an attempt was canceled and has not stopped, or belongs to another worker now."""
    if not request.running or request.released or request.acknowledged:
        return False
    surely_claimed = request.claimed or time.monotonic() - (request.accepted_at or 0) > _CLAIMED_BY_NOW
    return (
        lease_state == "stop"
        or (lease_state == "other" and surely_claimed)
        or (lease_state == "queued" and request.claimed)
    )


def _resident_bytes() -> int | None:
    """Return the resident memory of this worker and its children. Shared pages count in each. None without /proc."""
    process = Path(f"/proc/{os.getpid()}")
    try:
        children = (process / "task" / process.name / "children").read_text().split()
    except OSError:
        return None
    return sum(_resident(name) for name in (process.name, *children))


def _resident(pid: str) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):  # it has just ended
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")

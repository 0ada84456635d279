"""SIGTERM: accept no new tasks, let short ones finish, return the others, and exit before SIGKILL comes.

Stock Celery has a warm shutdown, which waits for the longest task, and a soft one, which sleeps for its whole time-out
inside the signal handler, without lease renewals, and cancels everything at a second SIGTERM (a PaaS may send several).
Here the first SIGTERM starts the time-out and further ones change nothing.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from typing import Any

from celery.signals import worker_ready
from celery.worker import state

from server.celery_app import transport
from server.celery_app.worker import child_slots
from server.celery_app.worker.execution import worker_token
from server.celery_app.worker.request import LeasedRequest, tracked_requests
from server.logs import event
from server.store import Store

STOP_TIMEOUT = 5.0  # seconds for Celery to stop when no task runs anymore; then the process exits without it
DRAINING_SECONDS = 60  # seconds during which a stopping worker's claims are refused; it has exited by then

log = logging.getLogger(__name__)


class Shutdown:
    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._store: Store = consumer.app.store
        self._main_pid = os.getpid()
        self._begun = False

    def begin(self, *_: Any) -> None:
        """The signal handler, which runs in the main thread between two of its steps."""
        if self._begun or os.getpid() != self._main_pid:
            return
        self._begun = True
        transport.stop_fetching()
        child_slots.stop_bursts()
        if not self._store.settings.broker_is_redis:
            self._consumer.call_soon(self._consumer.task_consumer.cancel)
        threading.Thread(target=self._finish, name="drain", daemon=True).start()

    def _finish(self) -> None:
        event(log, "worker.draining", running=sum(request.running for request in tracked_requests()))
        until = time.monotonic() + self._store.settings.soft_shutdown_seconds
        while time.monotonic() < until and any(request.running for request in tracked_requests()):
            time.sleep(0.05)
        try:
            self._hand_back()
        except Exception:  # the worker exits in any case: its leases expire, and the tasks run elsewhere
            event(log, "worker.left_leases", level=logging.WARNING, error=True)
        state.should_stop = os.EX_OK
        time.sleep(STOP_TIMEOUT)
        event(log, "worker.left", level=logging.WARNING)
        os._exit(os.EX_OK)  # the children die with their parent

    def _hand_back(self) -> None:
        """Return all tasks to their queues: first refuse claims, then kill the children, then queue the tasks again."""
        requests = tracked_requests()
        if not requests:
            return
        self._store.leases.mark_draining(worker_token(self._consumer.hostname), DRAINING_SECONDS)
        for request in requests:
            request.released = True
        self._kill_children()
        for request in requests:
            released = request.release(crashed=False) if isinstance(request, LeasedRequest) else None
            if released:
                ids = self._store.tasks.log_ids(released[0])
                event(log, "task.handed_back", **ids, task=request.name, status=released[1])
        if self._store.settings.broker_is_redis:
            self._store.leases.restore_messages([request.delivery_tag for request in requests])

    def _kill_children(self) -> None:
        pids = [process.pid for process in self._consumer.pool._pool._pool]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)  # the killed process is gone before another one can start its task


def install() -> None:
    """Handle SIGTERM and SIGINT once the worker is ready; before that it has no tasks."""

    def take_over(sender: Any, **_: Any) -> None:
        shutdown = Shutdown(sender)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(signum, shutdown.begin)

    worker_ready.connect(take_over, weak=False)

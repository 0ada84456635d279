"""Services of a worker's main process, next to Celery: each has its own thread and runs every second.

They are threads, because Celery's event loop stands still while it reconnects and while it shuts down, and Celery
empties its timers when a connection is lost. Each service has its own thread, so that a slow webhook receiver or object
store does not delay lease renewals. They are not tasks, which would wait behind the users' tasks and delay those.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from celery.signals import worker_ready, worker_shutdown

from server.celery_app.worker.blob_cleanup import BlobCleanup
from server.celery_app.worker.execution import worker_token
from server.celery_app.worker.heartbeat import Heartbeat
from server.celery_app.worker.maintenance import Maintenance
from server.celery_app.worker.webhook_sender import WebhookSender
from server.logs import event
from server.store import Store
from server.store.connection import UNREACHABLE

#: Seconds between two rounds. Leases last much longer, so that a round may fail.
INTERVAL = 1.0

#: Seconds that a stopping worker waits for rounds in progress.
_TIMEOUT = 2.0

log = logging.getLogger(__name__)


class Periodic(threading.Thread):
    """Runs a service immediately and then every second. An outage of Redis only skips rounds."""

    def __init__(self, name: str, do: Callable[[], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._do = do
        self._stopping = threading.Event()
        self._reachable = True

    def run(self) -> None:
        """Run rounds until the service is stopped."""
        self._attempt()
        while not self._stopping.wait(INTERVAL):
            self._attempt()

    def _attempt(self) -> None:
        try:
            self._do()
            self._reachable = True
        except UNREACHABLE:
            if self._reachable:
                event(log, "worker.redis_unreachable", level=logging.WARNING, service=self.name)
            self._reachable = False
        except Exception:
            event(log, "worker.round_failed", level=logging.ERROR, error=True, service=self.name)

    def stop(self) -> None:
        """Start no more rounds after the current one."""
        self._stopping.set()


def install() -> None:
    """Start the services with the worker, and stop them with it."""

    def begin(sender: Any, **_: Any) -> None:
        worker = worker_token(sender.hostname)
        store: Store = sender.app.store
        services = {
            "heartbeat": Heartbeat(store, sender.hostname, worker, sender.controller.concurrency).round,
            "maintenance": Maintenance(store, sender.app, worker).round,
            "webhook_sender": WebhookSender(store).round,
            "blob_cleanup": BlobCleanup(store).round,
        }
        begun = [Periodic(name, do) for name, do in services.items()]
        for rounds in begun:
            rounds.start()
        worker_shutdown.connect(partial(_end, store, worker, begun), weak=False)

    worker_ready.connect(begin, weak=False)


def _end(store: Store, worker: str, begun: Sequence[Periodic], **_: Any) -> None:
    for rounds in begun:
        rounds.stop()
    until = time.monotonic() + _TIMEOUT
    for rounds in begun:
        rounds.join(max(0, until - time.monotonic()))
    with suppress(*UNREACHABLE):
        store.leases.deregister(worker)

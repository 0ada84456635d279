"""What a worker's main process does beside Celery: each job in a thread of its own, with a round every second.

Threads, and not timers of Celery's event loop: that loop stands still while it reconnects to a broker and while it
shuts down, and Celery empties its timers when a connection is lost. One for each job: a receiver or an object store
that is slow does not keep leases from being renewed. And no tasks in a pool child: they would wait behind the users'
tasks, and the users' tasks behind them.
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

#: Seconds between two rounds. A lease is renewed far more often than it runs out, so that a round may fail.
INTERVAL = 1.0

#: Seconds for which a worker that stops waits for the rounds at hand.
_TIMEOUT = 2.0

log = logging.getLogger(__name__)


class Periodic(threading.Thread):
    """A round at once and then each second; an outage of Redis only skips rounds."""

    def __init__(self, name: str, do: Callable[[], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._do = do
        self._stopping = threading.Event()
        self._reachable = True

    def run(self) -> None:
        """Until it is stopped."""
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
        """No more rounds after the one at hand."""
        self._stopping.set()


def install() -> None:
    """Begin with the worker, and end with it."""

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

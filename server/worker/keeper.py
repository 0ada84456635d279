"""A thread of the worker's main process that keeps what the worker holds: leases, cancels, heartbeat, sweeping.

It is a thread, and not a timer of Celery's event loop, because that loop stands still while it reconnects to a
broker and while it shuts down, and because Celery empties its timer when a connection is lost.
"""

import contextlib
import logging
import os
import threading
import time
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutdown

from server.connections import UNREACHABLE
from server.logs import event
from server.records import upkeep
from server.registry.execution import worker_token
from server.settings import settings
from server.worker.request import LeasedRequest, held
from server.worker.sweeper import Sweeper

#: Seconds between two rounds. A lease is renewed far more often than it runs out, so that a round may fail.
INTERVAL = 1.0

#: Seconds after which a run is surely claimed: one that is still another worker's is not to go on.
_CLAIMED_BY_NOW = 5.0

log = logging.getLogger(__name__)


class Keeper(threading.Thread):
    """One for each worker, from its start to its end."""

    def __init__(self, app: Celery, hostname: str, concurrency: int) -> None:
        super().__init__(name="keeper", daemon=True)
        self._hostname = hostname
        self._worker = worker_token(hostname)
        self._concurrency = concurrency
        self._started_ms = int(time.time() * 1000)
        self._sweeper = Sweeper(app, self._worker)
        self._stopping = threading.Event()
        self._reachable = True

    def run(self) -> None:
        """Do a round at once and then each second; an outage of Redis only skips rounds."""
        self._attempt()
        while not self._stopping.wait(INTERVAL):
            self._attempt()

    def _attempt(self) -> None:
        try:
            self._round()
            self._reachable = True
        except UNREACHABLE:
            if self._reachable:
                event(log, "worker.redis_unreachable", level=logging.WARNING)
            self._reachable = False
        except Exception:
            event(log, "worker.keeper_failed", level=logging.ERROR, error=True)

    def stop(self) -> None:
        """No more rounds; the worker is gone from the list of those that live."""
        self._stopping.set()
        with contextlib.suppress(*UNREACHABLE):
            upkeep().farewell(self._worker)

    def _round(self) -> None:
        requests = held()
        if settings().broker_is_redis:
            upkeep().hold_messages([request.delivery_tag for request in requests])
        runs = [request for request in requests if isinstance(request, LeasedRequest) and request.running]
        words = upkeep().renew([(run.id, run.holder) for run in runs])
        for run, word in zip(runs, words, strict=True):
            if _must_stop(run, word):
                event(log, "task.killed", task_id=run.id, task=run.name, reason=word)
                run.kill()
            run.claimed = run.claimed or word == "mine"
        upkeep().heartbeat(self._worker, self._card([run.id for run in runs]))
        self._sweeper.sweep()

    def _card(self, running: list[str]) -> dict[str, Any]:
        return {
            "name": self._hostname,
            "pid": os.getpid(),
            "concurrency": self._concurrency,
            "started_ms": self._started_ms,
            "running": running,
        }


def _must_stop(run: LeasedRequest, word: str) -> bool:
    """Whether a run has been canceled and does not stop, or is no longer this worker's."""
    if run.handed_back or run.acknowledged:
        return False
    surely_claimed = run.claimed or time.monotonic() - (run.accepted_at or 0) > _CLAIMED_BY_NOW
    return word == "stop" or (word == "other" and surely_claimed) or (word == "queued" and run.claimed)


def install(app: Celery) -> None:
    """Start the keeper with the worker."""
    keepers: list[Keeper] = []

    def start(sender: Any, **_: Any) -> None:
        keeper = Keeper(app, sender.hostname, sender.controller.concurrency)
        keepers.append(keeper)
        keeper.start()

    def stop(**_: Any) -> None:
        for keeper in keepers:
            keeper.stop()

    worker_ready.connect(start, weak=False)
    worker_shutdown.connect(stop, weak=False)

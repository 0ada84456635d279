"""The thread of a service: a round immediately and then one per interval.

Threads instead of timers of Celery's event loop: that loop does nothing while it reconnects to a broker and while it
shuts down, and Celery empties its timers when a connection is lost. One thread per service, so that a slow receiver or
object store does not delay lease renewals. And no tasks in a pool child: they would wait behind the users' tasks, and
the users' tasks behind them.

Each service has its own part of a second. Services that run at the same time need a connection to Redis each: a worker
whose services had started together used four, of the twenty that a small plan accepts.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from server.logs import event
from server.store.connection import UNREACHABLE
from server.store.stats import CounterBuffer

BATCH = 200  # items per script, which blocks Redis while it runs, and the other steps of a round

log = logging.getLogger(__name__)


class Service(Protocol):
    """A service of maintenance with one job."""

    name: str  # the name in logs, and of its counter
    interval: float  # seconds between two rounds

    def round(self) -> int | None:
        """Do all due work. Return its amount, for the metrics; None if another worker does it."""
        ...


class Runner(threading.Thread):
    """Runs a service, `part` of a second later than the first one. An outage of Redis only skips rounds."""

    def __init__(self, service: Service, counters: CounterBuffer, part: float) -> None:
        super().__init__(name=service.name, daemon=True)
        self._service = service
        self._offset = time.monotonic() + part
        self._counters = counters
        self._stopping = threading.Event()
        self._reachable = True

    def run(self) -> None:
        self._attempt()
        while not self._stopping.wait(self._until_next()):
            self._attempt()

    def _until_next(self) -> float:
        interval = self._service.interval
        return interval - (time.monotonic() - self._offset) % interval

    def _attempt(self) -> None:
        began = time.perf_counter()
        try:
            if (done := self._service.round()) is not None:
                self._count(done, time.perf_counter() - began)
            self._reachable = True
        except UNREACHABLE:
            if self._reachable:
                event(log, "worker.redis_unreachable", level=logging.WARNING, service=self.name)
            self._reachable = False
        except Exception:
            self._counters.add(f"{self.name}:failures")
            event(log, "worker.round_failed", level=logging.ERROR, error=True, service=self.name)
        if self._counters.due():
            self._counters.flush()

    def _count(self, done: int, seconds: float) -> None:
        self._counters.add(f"{self.name}:runs")
        self._counters.add(f"{self.name}:items", done)
        self._counters.add(f"{self.name}:us", int(seconds * 1e6))
        self._counters.note_time(f"{self.name}:last_ms")

    def stop(self) -> None:
        self._stopping.set()


def run_each(*steps: Callable[[], int]) -> int:
    """Run the steps of a round and add up their results. A failing step does not stop the others; an outage does."""
    done = 0
    for step in steps:
        try:
            done += step()
        except UNREACHABLE:
            raise
        except Exception:
            event(log, "maintenance.failed", level=logging.ERROR, error=True)
    return done


def until_done(step: Callable[[int], int]) -> int:
    """Repeat a step, with the maximum number of items, until it handles fewer. Return the total."""
    done = 0
    while (number := step(BATCH)) >= BATCH:
        done += number
    return done + number

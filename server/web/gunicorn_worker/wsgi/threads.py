"""The threads that run the application, and their calls back to the loop."""

import asyncio
import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from server.logs import event

log = logging.getLogger(__name__)


class Threads:
    """A pool of at most `size` threads, started on demand. Jobs handle their own errors."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._started = 0
        #: One token per free thread: threads add them, the loop removes them.
        self._idle: deque[None] = deque()

    @property
    def waiting(self) -> int:
        """Return the number of jobs that no thread has started."""
        return self._jobs.qsize()

    def submit(self, job: Callable[[], None]) -> None:
        """Run a job in the next free thread. Only the loop may call this."""
        self._jobs.put(job)
        if self._idle:
            self._idle.pop()
        elif self._started < self._size:
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job()
            except Exception:
                event(log, "request.failed", level=logging.ERROR, error=True)
            del job  # its references must not live until the next job
            self._idle.append(None)


class Mailbox:
    """Calls for the loop to make, posted from any thread: several need only one wake-up.

    A wake-up is a byte in a pipe, which costs half as much as `call_soon_threadsafe`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._woken = False
        self._reader, self._writer = os.pipe()
        loop.add_reader(self._reader, self._deliver)

    def post(self, call: Callable[..., object], *args: Any) -> None:
        """Make the loop run this call."""
        self._calls.append((call, args))
        if not self._woken:
            self._woken = True
            os.write(self._writer, b"1")

    def _deliver(self) -> None:
        os.read(self._reader, 1)
        self._woken = False  # first, so that later posts wake the loop again
        for _ in range(len(self._calls)):
            call, args = self._calls.popleft()
            try:
                call(*args)
            except Exception:
                event(log, "connection.failed", level=logging.ERROR, error=True)
